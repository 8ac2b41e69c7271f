package kube

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"orch/modules"
	"orch/testdata/lab/counting"
	"orch/testdata/lab/labtest"
)

// checks are what each module is asked to do in check mode: everything it can change, and
// what it reads. FRESH is a namespace that is not there.
var checks = map[string][]string{
	"k8s": {
		`{kind: Namespace, name: FRESH}`,
		`{wait: true, definition: DEPLOYMENT_FRESH}`,
		`{definition: {apiVersion: apps/v1, kind: Deployment, metadata: {name: web, namespace: FRESH}, spec: {replicas: 3}}}`,
		`{namespace: NS, definition: [{apiVersion: v1, kind: ConfigMap, metadata: {name: new}}, {apiVersion: v1, kind: Secret, metadata: {name: new}, stringData: {p: hunter}}]}`,
		`{namespace: NS, kind: ConfigMap, name: c, definition: {data: {a: "2"}}}`,
		`{apply: true, definition: {apiVersion: v1, kind: ConfigMap, metadata: {name: c, namespace: NS}, data: {b: "1"}}}`,
		`{server_side_apply: {field_manager: other}, conflicts: [{manager: orch, action: take}], definition: {apiVersion: v1, kind: ConfigMap, metadata: {name: c, namespace: NS}, data: {a: "3"}}}`,
		`{force: true, definition: {apiVersion: v1, kind: ConfigMap, metadata: {name: c, namespace: NS}, data: {z: "1"}}}`,
		`{state: patched, definition: {apiVersion: v1, kind: ConfigMap, metadata: {name: c, namespace: NS}, data: {a: "4"}}}`,
		`{namespace: NS, generate_name: made-, definition: {apiVersion: v1, kind: ConfigMap}}`,
		`{namespace: NS, append_hash: true, continue_on_error: true, definition: {apiVersion: v1, kind: ConfigMap, metadata: {name: h}, data: {a: "1"}}}`,
		`{replace: if_immutable, definition: {apiVersion: v1, kind: ConfigMap, metadata: {name: fixed, namespace: NS}, immutable: true, data: {a: "2"}}}`,
		`{replace: always, definition: {apiVersion: v1, kind: ConfigMap, metadata: {name: c, namespace: NS}, data: {a: "5"}}}`,
		`{state: absent, kind: ConfigMap, name: c, namespace: NS, wait: true}`,
		`{state: absent, kind: ConfigMap, namespace: NS, label_selectors: [app=x], delete_options: {propagationPolicy: Foreground}}`,
		`{state: absent, kind: ConfigMap, namespace: NS, delete_all: true}`,
		`{definition: {apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: foos.checks.io},
		  spec: {group: checks.io, scope: Namespaced, names: {kind: Foo, plural: foos}, versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}]}}}`,
		`{namespace: NS, definition: {apiVersion: checks.io/v1, kind: Foo, metadata: {name: f}}}`,
	},
	"k8s_info": {`{kind: ConfigMap, namespace: NS}`, `{kind: Deployment, api_version: apps/v1, name: web, namespace: NS, wait: true}`},
	"k8s_json_patch": {
		`{kind: ConfigMap, name: c, namespace: NS, patch: [{op: replace, path: /data/a, value: "2"}]}`,
		`{kind: Deployment, api_version: apps/v1, name: web, namespace: NS, wait: true, patch: [{op: add, path: /spec/minReadySeconds, value: 1}]}`,
	},
	"k8s_log": {`{kind: Deployment, api_version: apps/v1, name: web, namespace: NS, tail_lines: 1}`},
	"k8s_rollout": {
		`{name: web, namespace: NS}`, `{name: web, namespace: NS, action: history}`,
		`{name: web, namespace: NS, action: restart}`, `{name: web, namespace: NS, action: undo}`, `{name: web, namespace: NS, action: pause}`,
		`{name: paused, namespace: NS, action: resume}`, `{name: web, namespace: NS, action: set_image, images: {web: "lab/kube-app:3"}}`,
		`{name: web, namespace: FRESH, action: restart}`,
	},
	"k8s_scale": {
		`{kind: Deployment, api_version: apps/v1, name: web, namespace: NS, replicas: 2}`,
		`{kind: Deployment, api_version: apps/v1, label_selectors: [tier=front], namespace: NS, replicas: 2}`,
		`{kind: Deployment, api_version: apps/v1, name: paused, namespace: NS, replicas: 9, hpa: adjust}`,
		`{kind: Deployment, name: web, namespace: FRESH, replicas: 2}`,
	},
}

// Every module of the table, before a real API server: what would write is a dry run.
func TestClusterCheckWritesNothing(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.do("k8s", `{namespace: NS, definition: [
	  {apiVersion: v1, kind: ConfigMap, metadata: {name: c, labels: {app: x}}, data: {a: "1"}}, {apiVersion: v1, kind: ConfigMap, metadata: {name: fixed}, immutable: true, data: {a: "1"}}]}`, true)
	l.do("k8s", `{wait: true, wait_timeout: 60, definition: `+strings.Replace(l.web(""), "name: web, ", "name: web, labels: {tier: front}, ", 1)+`}`, true)
	l.do("k8s_rollout", `{name: web, namespace: NS, action: set_image, images: {web: "lab/kube-app:2"}}`, true)
	paused := strings.Replace(strings.ReplaceAll(l.web(""), "web", "paused"), "replicas: 1", "paused: true, replicas: 0", 1)
	l.do("k8s", `{definition: [`+paused+`,
	  {apiVersion: autoscaling/v2, kind: HorizontalPodAutoscaler, metadata: {name: h, namespace: NS}, spec: {scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: paused}, minReplicas: 1, maxReplicas: 2}}]}`, true)

	proxy, err := counting.Cluster(l.folder)
	if err != nil {
		t.Fatal(err)
	}
	config := fmt.Sprintf("{apiVersion: v1, kind: Config, current-context: b, clusters: [{name: c, cluster: {server: \"http://%s\"}}], users: [{name: u, user: {}}], contexts: [{name: b, context: {cluster: c, user: u}}]}", labtest.Serve(t, proxy))
	l.kubeconfig = filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(l.kubeconfig, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	words := strings.NewReplacer("DEPLOYMENT_FRESH", strings.ReplaceAll(l.web(""), "NS", l.ns+"-fresh"), "FRESH", l.ns+"-fresh")
	reads := map[string]bool{"k8s_info": true, "k8s_log": true}
	for _, e := range Modules() {
		name := e.Name[strings.LastIndex(e.Name, ".")+1:]
		if len(checks[name]) == 0 {
			t.Errorf("no case checks module %s", name)
		}
		dry := 0
		for _, args := range checks[name] {
			d := l.run(modules.Options{Check: true, Diff: true}, name, words.Replace(args))
			counts := proxy.Take()
			if d.Failure != nil {
				t.Errorf("%s %s: %s", name, args, d.Failure.Msg)
			}
			if changes := d.Changed || d.Maybe; changes == (reads[name] || strings.Contains(args, "history") || args == `{name: web, namespace: NS}`) {
				t.Errorf("%s %s: changes %v: %s", name, args, changes, d.text())
			}
			if len(counts.Writes) > 0 {
				t.Errorf("%s %s wrote: %q", name, args, counts.Writes)
			}
			if counts.Reads+counts.DryRuns == 0 && !strings.Contains(args, "checks.io/v1") {
				t.Errorf("%s %s asked the server nothing", name, args)
			}
			dry += counts.DryRuns
		}
		if (dry == 0) != reads[name] {
			t.Errorf("%s: %d dry runs", name, dry)
		}
	}
}
