package kube

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// Several workloads by their labels, as kubectl rollout takes them.
func TestClusterRolloutSeveral(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	web := strings.Replace(l.web(""), "metadata: {name: web, ", "metadata: {name: web, labels: {tier: front}, ", 1)
	l.do("k8s", `{wait: true, wait_timeout: 90, definition: [`+web+`, `+strings.ReplaceAll(web, "web", "shop")+`]}`, true)
	both := `{label_selectors: [tier=front], namespace: NS, wait_timeout: 90, %s}`
	l.do("k8s_rollout", fmt.Sprintf(both, "action: status"), false)
	d := l.do("k8s_rollout", fmt.Sprintf(both, `action: set_image, images: {"*": "lab/kube-app:2"}`), true)
	list := d.at("results").([]any)
	if len(list) != 2 || d.at("revision") != nil {
		t.Fatalf("results %v", d.out)
	}
	for _, one := range list {
		one := one.(map[string]any)
		if one["revision"] != float64(2) || one["previous_revision"] != float64(1) || !strings.Contains(fmt.Sprint(one["images"]), "kube-app:2") {
			t.Errorf("%v", one)
		}
	}
	l.do("k8s_rollout", fmt.Sprintf(both, "action: pause"), true)
	l.fails("k8s_rollout", fmt.Sprintf(both, "action: restart"), "is paused: resume it first")
	l.do("k8s_rollout", fmt.Sprintf(both, "action: resume"), true)
	d = l.do("k8s_rollout", fmt.Sprintf(both, "action: history"), false)
	if h := d.at("results").([]any)[0].(map[string]any)["history"].([]any); len(h) != 2 {
		t.Errorf("history %v", h)
	}
	l.fails("k8s_rollout", `{label_selectors: [tier=none], namespace: NS}`, "no Deployment has labels tier=none")
	l.fails("k8s_rollout", `{namespace: NS}`, "exactly one of name and label_selectors")
}

// A rollout that fails is taken back: the task fails, and what was there serves again.
func TestClusterRolloutUndone(t *testing.T) {
	for _, kind := range []string{"Deployment", "StatefulSet"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			web := strings.Replace(l.web(""), "kind: Deployment", "kind: "+kind, 1)
			if kind == "StatefulSet" {
				web = strings.Replace(web, "spec: {replicas", "spec: {serviceName: web, replicas", 1)
			}
			l.do("k8s", `{wait: true, wait_timeout: 90, definition: `+web+`}`, true)
			l.do("k8s_rollout", `{name: web, namespace: NS, kind: `+kind+`, action: set_image, images: {web: "lab/kube-app:2"}}`, true)
			d := l.fails("k8s_rollout", `{name: web, namespace: NS, kind: `+kind+`, action: set_image, on_failure: undo, images: {web: "lab/kube-app:nope"}}`,
				"ImagePullBackOff", kind+" "+l.ns+"/web is undone to revision 2 in ", "(on_failure: undo)")
			if d.at("undone_to") != float64(2) || d.at("images", "web") != "lab/kube-app:2" || !d.Changed || d.at("failure", "timed_out") != false {
				t.Errorf("after the failure: changed %v, %v", d.Changed, d.out)
			}
			l.do("k8s_rollout", `{name: web, namespace: NS, kind: `+kind+`}`, false)
			// Somebody else's rollout: status finds it broken and goes back to the revision before.
			l.do("k8s", `{definition: `+strings.Replace(web, "kube-app:1", "kube-app:other", 1)+`}`, true)
			l.fails("k8s_rollout", `{name: web, namespace: NS, kind: `+kind+`, on_failure: undo}`, "ImagePullBackOff", "is undone to revision ")
			if d := l.do("k8s_rollout", `{name: web, namespace: NS, kind: `+kind+`}`, false); d.at("images", "web") != "lab/kube-app:2" {
				t.Errorf("in the end: %v", d.out)
			}
		})
	}
}

// A part of a rollout may be called enough: pods for which there is no room are not waited
// for then.
func TestClusterRolloutRequired(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	apart := `, ports: [{containerPort: 7777, hostPort: 37777}]` // one on a node, and there is one node
	web := strings.Replace(l.web(apart), "replicas: 1", "replicas: 2", 1)
	l.do("k8s", `{definition: `+web+`}`, true)
	start := time.Now()
	d := l.do("k8s_rollout", `{name: web, namespace: NS, wait_timeout: 90, required: 50%}`, false)
	if took := time.Since(start); took > 60*time.Second || !strings.Contains(strings.Join(d.Warnings, "\n"), "1 new pods serve, which is enough") {
		t.Errorf("after %s, warnings %q", took, d.Warnings)
	}
	l.fails("k8s_rollout", `{name: web, namespace: NS, wait_timeout: 3, required: 51%}`, "is not ready", "Unschedulable")
	l.fails("k8s_rollout", `{name: web, namespace: NS, required: most}`, `required: unknown value "most", one of full, max_unavailable`)
}

func TestClusterInfoPaths(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	maps := ""
	for _, name := range []string{"v10", "v9", "v1"} {
		maps += fmt.Sprintf(`{apiVersion: v1, kind: ConfigMap, metadata: {name: %s, labels: {a: b}}, data: {num: %s}},`, name, strings.Replace(name, "v", "n", 1))
	}
	l.do("k8s", `{namespace: NS, definition: [`+maps+` {apiVersion: v1, kind: Secret, metadata: {name: s}, stringData: {p: hunter-two}},
	  {apiVersion: v1, kind: Service, metadata: {name: v9, labels: {a: b}}, spec: {ports: [{port: 80}]}}]}`, true)
	d := l.do("k8s_info", `{kind: ConfigMap, namespace: NS, label_selectors: [a=b], sort_by: .metadata.name, fields: {name: .metadata.name, num: data.num, none: .status.x},
	  jsonpath: "{range .items[*]}{.metadata.name}={.data.num} {end}"}`, false)
	if got := fmt.Sprint(d.at("resources")); got != "[map[name:v1 none:<nil> num:n1] map[name:v9 none:<nil> num:n9] map[name:v10 none:<nil> num:n10]]" {
		t.Errorf("fields: %s", got)
	}
	if got := d.at("jsonpath"); got != "v1=n1 v9=n9 v10=n10 " {
		t.Errorf("jsonpath: %v", got)
	}
	if d = l.do("k8s_info", `{kind: ConfigMap, name: v9, namespace: NS, jsonpath: "{.data.num}"}`, false); d.at("jsonpath") != "n9" {
		t.Errorf("of one: %v", d.at("jsonpath"))
	}
	if d = l.do("k8s_info", `{kind: Secret, name: s, namespace: NS, jsonpath: "{.data.p}"}`, false); strings.Contains(fmt.Sprint(d.at("jsonpath")), "aHVud") {
		t.Errorf("of a secret: %v", d.at("jsonpath"))
	}
	d = l.do("k8s_info", `{kind: all, namespace: NS, label_selectors: [a=b], fields: {kind: .kind, name: .metadata.name}}`, false)
	if got := fmt.Sprint(d.at("resources")); got != "[map[kind:Service name:v9]]" {
		t.Errorf("all: %s", got)
	}
	l.fails("k8s_info", `{kind: all, name: v9, namespace: NS}`, "name goes with one kind")
	l.fails("k8s_info", `{kind: ConfigMap, namespace: NS, sort_by: .spec.none}`, "no object has .spec.none")
	l.fails("k8s_info", `{kind: ConfigMap, namespace: NS, sort_by: "{.a}{.b}"}`, "is no path")
	l.fails("k8s_info", `{kind: ConfigMap, namespace: NS, jsonpath: "{.a"}`, "unclosed action")
}

func TestClusterLogFollows(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	pod := func(name, args string) string {
		return `{apiVersion: v1, kind: Pod, metadata: {name: ` + name + `, namespace: NS, labels: {a: b}}, spec: {restartPolicy: Never, terminationGracePeriodSeconds: 0, containers: [{name: p, image: ` + l.app() + args + `}]}}`
	}
	// The pod is not there yet when the log is first asked for.
	l.do("k8s", `{definition: [`+pod("up", "")+`, `+pod("done", `, args: ["0", "all done"]`)+`]}`, true)
	d := l.do("k8s_log", `{label_selectors: [a=b], namespace: NS, follow_until: "^all d.ne$"}`, false)
	if !strings.Contains(fmt.Sprint(d.at("log_lines")), "all done") || len(d.at("per_pod").([]any)) != 2 {
		t.Errorf("%v", d.out)
	}
	d = l.do("k8s_log", `{name: up, namespace: NS, grep: "^serv(?P<x>ing)", since_time: "2020-01-01T00:00:00Z", follow_until: serving}`, false)
	if lines := fmt.Sprint(d.at("log_lines")); !strings.HasPrefix(lines, "[serving") {
		t.Errorf("%s", lines)
	}
	if d = l.do("k8s_log", `{name: up, namespace: NS, grep: nothing-like-it}`, false); d.at("log") != "" {
		t.Errorf("%v", d.out)
	}
	if d = l.do("k8s_log", `{name: up, namespace: NS, since_time: "2999-01-01T00:00:00Z"}`, false); d.at("log") != "" {
		t.Errorf("%v", d.out)
	}
	l.fails("k8s_log", `{name: up, namespace: NS, follow_until: never, follow_timeout: 1}`, `no line of the log matched "never" within 1 s`, "| serving")
	l.fails("k8s_log", `{name: done, namespace: NS, follow_until: never}`, `the log ended, and no line of it matched "never"`, "| all done")
	l.fails("k8s_log", `{name: up, namespace: NS, follow_until: "("}`, "follow_until:")
	l.fails("k8s_log", `{name: up, namespace: NS, since_time: yesterday}`, `"yesterday" is no time`)
	if d := l.run(optionsOf(true), "k8s_log", `{name: up, namespace: NS, follow_until: never}`); d.Failure != nil {
		t.Errorf("a check follows: %s", d.Failure.Msg)
	}
}
