package kube

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"orch/modules"
)

func TestClusterMergeAndApply(t *testing.T) {
	l := newLab(t)
	one := `{definition: {apiVersion: v1, kind: ConfigMap, metadata: {name: c, namespace: NS}, data: {a: "1"}}}`
	if d := l.do("k8s", one, true); d.at("method") != "create" {
		t.Errorf("method %v", d.at("method"))
	}
	l.do("k8s", one, false)
	// Another task defines another part: the first one stays.
	d := l.do("k8s", `{kind: ConfigMap, name: c, namespace: NS, definition: {data: {b: "2"}}}`, true)
	if d.at("result", "data", "a") != "1" || d.at("result", "data", "b") != "2" || d.at("method") != "patch" {
		t.Errorf("merged into %v by %v", d.at("result", "data"), d.at("method"))
	}
	if len(d.Steps) != 1 || !strings.Contains(d.Steps[0].Diff.After, "b: \"2\"") {
		t.Errorf("diff %+v", d.Steps)
	}
	// What an apply had and the next one has not goes.
	applied := `{apply: true, definition: {apiVersion: v1, kind: ConfigMap, metadata: {name: d, namespace: NS}, data: {%s}}}`
	l.do("k8s", fmt.Sprintf(applied, `x: "1", y: "2"`), true)
	l.do("k8s", fmt.Sprintf(applied, `x: "1", y: "2"`), false)
	if d := l.do("k8s", fmt.Sprintf(applied, `x: "1"`), true); d.at("result", "data", "y") != nil {
		t.Errorf("y is still there: %v", d.at("result", "data"))
	}
	other := `{server_side_apply: {field_manager: other%s}, definition: {apiVersion: v1, kind: ConfigMap, metadata: {name: d, namespace: NS}, data: {x: "9"}}}`
	l.fails("k8s", fmt.Sprintf(other, ""), `conflict with "orch"`, ".data.x", "force_conflicts")
	l.do("k8s", fmt.Sprintf(other, ", force_conflicts: true"), true)
	if d := l.do("k8s", `{force: true, definition: {apiVersion: v1, kind: ConfigMap, metadata: {name: d, namespace: NS}, data: {z: "1"}}}`, true); d.at("result", "data", "x") != nil {
		t.Errorf("force kept x")
	}
}

func TestClusterAbsentAndSelectors(t *testing.T) {
	l := newLab(t)
	l.do("k8s", `{namespace: NS, definition: [
	  {apiVersion: v1, kind: ConfigMap, metadata: {name: a, labels: {app: x}}}, {apiVersion: v1, kind: ConfigMap, metadata: {name: b, labels: {app: w}}}]}`, true)
	d := l.do("k8s", `{namespace: NS, label_selectors: [app=z], definition: {apiVersion: v1, kind: ConfigMap, metadata: {name: fresh, labels: {app: x}}}}`, false)
	if !strings.Contains(d.text(), "label_selectors does not match") {
		t.Errorf("no word of the filter: %s", d.text())
	}
	if d := l.do("k8s", `{state: patched, namespace: NS, definition: {apiVersion: v1, kind: ConfigMap, metadata: {name: fresh}}}`, false); len(d.Warnings) == 0 {
		t.Error("patching nothing does not warn")
	}
	l.do("k8s", `{state: absent, kind: ConfigMap, namespace: NS, label_selectors: [app=x]}`, true)
	l.do("k8s", `{state: absent, kind: ConfigMap, namespace: NS, name: a}`, false)
	l.do("k8s", `{state: absent, kind: ConfigMap, namespace: NS, name: b, wait: true}`, true)
	l.do("k8s", `{state: absent, kind: ConfigMap, namespace: NS, delete_all: true}`, true)
	if d := l.do("k8s_info", `{kind: ConfigMap, namespace: NS, field_selectors: [metadata.name!=kube-root-ca.crt]}`, false); len(d.out["resources"].([]any)) != 0 {
		t.Errorf("left: %v", d.out)
	}
	l.fails("k8s", `{namespace: NS, definition: {apiVersion: nope.io/v1, kind: Foo, metadata: {name: f}}}`, "no kind Foo of nope.io/v1", "hint: is it misspelt")
	l.fails("k8s", `{namespace: NS, definition: {apiVersion: apps/v1, kind: Deploymnt, metadata: {name: f}}}`, "no kind Deploymnt of apps/v1", "hint: did you mean Deployment?")
	l.fails("k8s", `{namespace: NS, definition: {apiVersion: extensions/v1beta1, kind: Deployment, metadata: {name: f}}}`, "hint: did you mean Deployment of apps/v1?")
	if d := l.do("k8s_info", `{kind: Deploymnt}`, false); d.at("api_found") != false || !strings.Contains(strings.Join(d.Warnings, ""), "did you mean Deployment?") {
		t.Errorf("a kind that is not there: %v, warnings %q", d.out, d.Warnings)
	}
	l.fails("k8s", `{namespace: nowhere-at-all, definition: {apiVersion: v1, kind: ConfigMap, metadata: {name: a}}}`, `namespaces "nowhere-at-all" not found`)
}

func TestClusterGoesOnAfterErrors(t *testing.T) {
	l := newLab(t)
	both := `{namespace: NS, %s definition: [{apiVersion: v1, kind: ConfigMap, metadata: {name: Bad_Name}}, {apiVersion: v1, kind: ConfigMap, metadata: {name: %s}}]}`
	l.fails("k8s", fmt.Sprintf(both, "", "first"), "Bad_Name", "Invalid value")
	d := l.do("k8s", fmt.Sprintf(both, "continue_on_error: true,", "good"), true)
	results := d.at("result", "results").([]any)
	if bad := results[0].(map[string]any); bad["error"] == nil || bad["changed"] != false {
		t.Errorf("the bad one: %v", bad)
	}
	if good := results[1].(map[string]any); good["error"] != nil || good["changed"] != true {
		t.Errorf("the good one: %v", good)
	}
}

func TestClusterValidate(t *testing.T) {
	l := newLab(t)
	bad := `{namespace: NS, validate: %s, definition: {apiVersion: v1, kind: ConfigMap, metadata: {name: v%d}, dada: {a: "1"}}}`
	l.fails("k8s", fmt.Sprintf(bad, "{fail_on_error: true}", 1), `unknown field "dada"`)
	if d := l.do("k8s", fmt.Sprintf(bad, "{fail_on_error: false}", 2), true); !strings.Contains(strings.Join(d.Warnings, " "), `unknown field "dada"`) {
		t.Errorf("warnings %q", d.Warnings)
	}
	if d := l.do("k8s", fmt.Sprintf(bad, "{strict: false}", 3), true); len(d.Warnings) > 0 {
		t.Errorf("warnings %q", d.Warnings)
	}
}

func TestClusterUnchangedIsOneList(t *testing.T) {
	l := newLab(t)
	var b strings.Builder
	for i := range 200 {
		fmt.Fprintf(&b, "{apiVersion: v1, kind: ConfigMap, metadata: {name: c%d}, data: {a: %q}},", i, "v")
	}
	task := `{namespace: NS, definition: [` + b.String() + `]}`
	l.do("k8s", task, true)
	l.requests()
	l.do("k8s", task, false)
	if all, _ := l.requests(); len(all) != 1 || !strings.Contains(all[0], "/configmaps?") {
		t.Errorf("%d requests: %.3q", len(all), all)
	}
}

const deployment1 = `{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, namespace: NS}, spec: {replicas: 1, selector: {matchLabels: {app: web}},
  template: {metadata: {labels: {app: web}}, spec: {terminationGracePeriodSeconds: 0, containers: [{name: web, image: IMAGE%s}]}}}}`

func (l *lab) web(more string) string {
	return strings.ReplaceAll(fmt.Sprintf(deployment1, more), "IMAGE", l.app())
}

// What an earlier step would have yielded is shown as not known, in its place; where the
// server refuses it there, the object is planned without the server's word.
func TestClusterCheckShowsWhatIsNotKnown(t *testing.T) {
	l := newLab(t)
	l.files = map[string]string{
		"web.j2": `{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: ` + l.ns + `}, spec: {containers: [{name: p, image: "r/p@UNKNOWN"}]}}`,
		"bad.j2": `{apiVersion: v1, kind: ConfigMap, metadata: {name: c, namespace: ` + l.ns + `, labels: {release: "UNKNOWN"}}}`,
	}
	for file, warns := range map[string]bool{"web.j2": false, "bad.j2": true} {
		d := l.run(optionsOf(true), "k8s", `{template: `+file+`}`)
		if d.Failure != nil || !d.Changed {
			t.Fatalf("%s: %s", file, d.text())
		}
		if !strings.Contains(d.Steps[0].Diff.After, later) || len(d.Warnings) > 0 != warns {
			t.Errorf("%s: warnings %q, diff\n%s", file, d.Warnings, d.Steps[0].Diff.After)
		}
	}
	if _, writes := l.requests(); len(writes) > 0 {
		t.Errorf("written: %q", writes)
	}
}

// reached waits until a kind's objects satisfy ok, and says when.
func (l *lab) reached(gvk schema.GroupVersionKind, ok func(u *unstructured.Unstructured) bool) <-chan time.Time {
	at := make(chan time.Time, 1)
	m, err := l.admin.Mapping(gvk)
	if err != nil {
		l.t.Fatal(err)
	}
	ctx := l.t.Context()
	go func() {
		defer close(at)
		for ctx.Err() == nil {
			list, err := l.admin.Resource(m, l.ns).List(ctx, metav1.ListOptions{})
			for i := 0; err == nil && i < len(list.Items); i++ {
				if ok(&list.Items[i]) {
					at <- time.Now()
					return
				}
			}
			time.Sleep(50 * time.Millisecond)
		}
	}()
	return at
}

func TestClusterFailuresComeFastAndSayWhy(t *testing.T) {
	waiting := func(reason string) func(u *unstructured.Unstructured) bool {
		return func(u *unstructured.Unstructured) bool {
			for _, c := range (object{u.Object}).list("status", "containerStatuses") {
				if c.str("state", "waiting", "reason") == reason {
					return true
				}
			}
			return false
		}
	}
	broken := func(kind string) func(u *unstructured.Unstructured) bool {
		return func(u *unstructured.Unstructured) bool { return object{u.Object}.is(kind, "True") }
	}
	quota := `{apiVersion: v1, kind: ResourceQuota, metadata: {name: q, namespace: NS}, spec: {hard: {pods: "0"}}}`
	for _, c := range []struct {
		name, before string
		task         func(l *lab) string
		gvk          schema.GroupVersionKind
		state        func(u *unstructured.Unstructured) bool
		words        []string
	}{
		{
			"image", "", func(l *lab) string { return strings.ReplaceAll(l.web(""), "kube-app:1", "kube-app:nope") }, podKind, waiting("ErrImagePull"),
			[]string{"Deployment NS/web failed", "pod web-", "container web", "ImagePullBackOff", "kube-app:nope", "not found", "event Failed"},
		},
		{
			"crash", "", func(l *lab) string { return l.web(`, args: ["3", "no database"]`) }, podKind, waiting("CrashLoopBackOff"),
			[]string{"Deployment NS/web failed", "CrashLoopBackOff", "exited with code 3", "restarted", "| no database"},
		},
		{
			"job", "", func(l *lab) string {
				return `{apiVersion: batch/v1, kind: Job, metadata: {name: j, namespace: NS}, spec: {backoffLimit: 0, template: {spec: {restartPolicy: Never, containers: [{name: j, image: ` + l.app() + `, args: ["4", "no schema"]}]}}}}`
			},
			schema.GroupVersionKind{Group: "batch", Version: "v1", Kind: "Job"},
			broken("Failed"),
			[]string{"Job NS/j failed", "BackoffLimitExceeded", "exited with code 4", "| no schema"},
		},
		{
			"quota", quota, func(l *lab) string { return l.web("") },
			schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "Deployment"},
			broken("ReplicaFailure"),
			[]string{"Deployment NS/web failed", "FailedCreate", "exceeded quota: q"},
		},
		{
			"setquota", quota, func(l *lab) string {
				return strings.ReplaceAll(strings.ReplaceAll(l.web(""), "kind: Deployment", "kind: StatefulSet"), "spec: {replicas", "spec: {serviceName: web, replicas")
			}, eventKind, func(u *unstructured.Unstructured) bool { return object{u.Object}.str("reason") == "FailedCreate" },
			[]string{"StatefulSet NS/web failed", "FailedCreate", "exceeded quota: q"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			if c.before != "" {
				l.do("k8s", `{definition: `+c.before+`}`, true)
				time.Sleep(300 * time.Millisecond) // the quota's own controller counts first
			}
			at := l.reached(c.gvk, c.state)
			words := make([]string, len(c.words))
			for i, w := range c.words {
				words[i] = strings.ReplaceAll(w, "NS", l.ns)
			}
			d := l.fails("k8s", `{wait: true, wait_timeout: 60, definition: `+c.task(l)+`}`, words...)
			end := time.Now()
			if d.at("failure", "objects") == nil || !d.Changed {
				t.Errorf("failure as data: %v, changed %v", d.at("failure"), d.Changed)
			}
			select {
			case since := <-at:
				if late := end.Sub(since); late > 3*time.Second {
					t.Errorf("told %s after the state", late)
				}
			case <-time.After(3 * time.Second):
				t.Error("failed before the cluster was in the state")
			}
		})
	}
}

func TestClusterForbidden(t *testing.T) {
	l := newLab(t)
	l.kubeconfig = strings.Replace(l.kubeconfig, "admin.", "developer.", 1)
	l.fails("k8s", `{namespace: NS, definition: {apiVersion: v1, kind: ConfigMap, metadata: {name: c}}}`, "cannot get resource", "configmaps", l.ns, "hint: give the user the verb")
	l.fails("k8s_info", `{kind: Secret, namespace: NS}`, "cannot list resource", "secrets")
}

func TestClusterSecretsStayHidden(t *testing.T) {
	l := newLab(t)
	secret := `{definition: {apiVersion: v1, kind: Secret, metadata: {name: s, namespace: NS}, stringData: {p: %s}}}`
	texts := l.do("k8s", fmt.Sprintf(secret, "hunter-two"), true).text()
	l.do("k8s", fmt.Sprintf(secret, "hunter-two"), false)
	texts += l.do("k8s", fmt.Sprintf(secret, "hunter-three"), true).text()
	texts += l.do("k8s_info", `{kind: Secret, name: s, namespace: NS}`, false).text()
	texts += l.fails("k8s_json_patch", `{kind: Secret, name: s, namespace: NS, patch: [{op: replace, path: /type, value: hunter-two}]}`, "immutable").text()
	texts += l.fails("k8s", `{definition: {apiVersion: v1, kind: Secret, metadata: {name: s, namespace: NS}, data: {p: hunter-two}}}`).text()
	for _, leak := range []string{"hunter", "aHVudGVy"} {
		if i := strings.Index(texts, leak); i >= 0 {
			t.Errorf("%q shows: %s", leak, texts[max(0, i-200):i+20])
		}
	}
}

func TestClusterRollout(t *testing.T) {
	l := newLab(t)
	l.do("k8s", `{wait: true, wait_timeout: 60, definition: `+l.web("")+`}`, true)
	l.do("k8s_rollout", `{name: web, namespace: NS}`, false)
	d := l.do("k8s_rollout", `{name: web, namespace: NS, action: set_image, images: {web: "lab/kube-app:2"}}`, true)
	if d.at("images", "web") != "lab/kube-app:2" || d.at("revision") != float64(2) {
		t.Errorf("after set_image: %v", d.out)
	}
	l.do("k8s_rollout", `{name: web, namespace: NS, action: set_image, images: {web: "lab/kube-app:2"}}`, false)
	if h := l.do("k8s_rollout", `{name: web, namespace: NS, action: history}`, false).at("history"); len(h.([]any)) != 2 {
		t.Errorf("history %v", h)
	}
	d = l.do("k8s_rollout", `{name: web, namespace: NS, action: undo}`, true)
	if d.at("images", "web") != "lab/kube-app:1" || d.at("previous_revision") != float64(2) {
		t.Errorf("after undo: %v", d.out)
	}
	l.fails("k8s_rollout", `{name: web, namespace: NS, action: undo, to_revision: 77}`, "no revision 77")
	l.fails("k8s_rollout", `{name: web, namespace: NS, action: set_image, images: {db: x}}`, `no container "db", it has web`)
	l.do("k8s_rollout", `{name: web, namespace: NS, action: restart}`, true)
	if d := l.do("k8s_log", `{kind: Deployment, name: web, namespace: NS}`, false); !strings.Contains(fmt.Sprint(d.out["log_lines"]), "serving") {
		t.Errorf("log %v", d.out)
	}
	l.do("k8s_scale", `{kind: Deployment, name: web, namespace: NS, replicas: 2, wait_timeout: 60}`, true)
	l.do("k8s_scale", `{kind: Deployment, name: web, namespace: NS, replicas: 2}`, false)
	l.do("k8s_scale", `{kind: Deployment, name: web, namespace: NS, replicas: 5, current_replicas: 4}`, false)
	l.do("k8s_json_patch", `{kind: Deployment, api_version: apps/v1, name: web, namespace: NS, patch: [{op: add, path: /metadata/labels, value: {tier: front}}]}`, true)
	d = l.do("k8s_info", `{kind: Deployment, api_version: apps/v1, namespace: NS, label_selectors: [tier=front]}`, false)
	if n := len(d.out["resources"].([]any)); n != 1 {
		t.Errorf("%d deployments", n)
	}
	l.fails("k8s_rollout", `{name: web, namespace: NS, action: set_image, images: {web: "lab/kube-app:nope"}}`, "1 of 1 new pods cannot serve", "ImagePullBackOff", "still serving: 2/2 pods of revision ", "(kube-app:1)")
}

func TestClusterDefinitionsFromFilesAndTemplates(t *testing.T) {
	l := newLab(t)
	l.files = map[string]string{
		"two.yml":  "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: one}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: two}\n",
		"three.j2": "{apiVersion: v1, kind: ConfigMap, metadata: {name: three}}",
	}
	l.do("k8s", `{namespace: NS, src: two.yml}`, true)
	l.do("k8s", `{namespace: NS, template: [two.yml, {path: three.j2}]}`, true)
	l.do("k8s", `{namespace: NS, template: three.j2}`, false)
	hashed := `{namespace: NS, append_hash: true, definition: {apiVersion: v1, kind: ConfigMap, metadata: {name: h}, data: {a: "%s"}}}`
	first := l.do("k8s", fmt.Sprintf(hashed, "1"), true).at("result", "metadata", "name")
	l.do("k8s", fmt.Sprintf(hashed, "1"), false)
	if second := l.do("k8s", fmt.Sprintf(hashed, "2"), true).at("result", "metadata", "name"); first == second {
		t.Errorf("both contents are %v", first)
	}
	made := `{namespace: NS, generate_name: job-, definition: {apiVersion: v1, kind: ConfigMap}}`
	a, b := l.do("k8s", made, true), l.do("k8s", made, true)
	if a.at("result", "metadata", "name") == b.at("result", "metadata", "name") {
		t.Errorf("made once: %v", a.out)
	}
	l.fails("k8s", `{namespace: NS, definition: [{apiVersion: v1, kind: ConfigMap, metadata: {name: x}}, {apiVersion: v1, kind: ConfigMap, metadata: {name: x}}]}`, "given twice")
	l.fails("k8s", `{namespace: NS, definition: {kind: Secret, data: {p: hunter}}, api_version: ""}`, "needs apiVersion and kind")
}

func TestClusterWaitRunsOut(t *testing.T) {
	l := newLab(t)
	pod := `{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: NS}, spec: {%s containers: [{name: p, image: ` + l.app() + `}]}}`
	d := l.fails("k8s", `{wait: true, wait_timeout: 2, definition: `+fmt.Sprintf(pod, "nodeSelector: {disk: none},")+`}`,
		"Pod "+l.ns+"/p is not ready after", "Unschedulable", "didn't match Pod's node affinity")
	if d.Failure.Hint == "" || d.at("failure", "timed_out") != true {
		t.Errorf("hint %q, failure %v", d.Failure.Hint, d.at("failure"))
	}
	l.do("k8s", `{state: absent, kind: Pod, name: p, namespace: NS, wait: true, delete_options: {gracePeriodSeconds: 0}}`, true)
	l.do("k8s", `{wait: true, wait_timeout: 30, wait_condition: {type: ContainersReady}, definition: `+fmt.Sprintf(pod, "")+`}`, true)
}

// A kind and its first object in one task: the object waits until the kind is served.
func TestClusterKindAndObjectTogether(t *testing.T) {
	l := newLab(t)
	crd := `{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: foos.NS.io}, spec: {group: NS.io, scope: Namespaced,
	  names: {kind: Foo, plural: foos}, versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {size: {type: integer}, tags: {type: array, items: {type: string}}}}}}}}]}}`
	object := `{apiVersion: NS.io/v1, kind: Foo, metadata: {name: f}, spec: {size: %d}}`
	both := `{namespace: NS, definition: [` + fmt.Sprintf(object, 1) + `, ` + crd + `]}`
	d := l.run(modules.Options{Check: true}, "k8s", both)
	if d.Failure != nil || !d.Changed {
		t.Fatalf("in check mode: %s", d.text())
	}
	t.Cleanup(func() {
		m, err := l.admin.Mapping(schema.GroupVersionKind{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition"})
		if err == nil {
			_ = l.admin.Resource(m, "").Delete(context.Background(), "foos."+l.ns+".io", metav1.DeleteOptions{})
		}
	})
	l.do("k8s", both, true)
	l.do("k8s", both, false)
	// A custom resource knows no strategic merge: a merge patch it is.
	d = l.do("k8s", `{namespace: NS, definition: {apiVersion: NS.io/v1, kind: Foo, metadata: {name: f}, spec: {tags: [a]}}}`, true)
	if d.at("result", "spec", "size") != float64(1) {
		t.Errorf("merged into %v", d.at("result", "spec"))
	}
}
