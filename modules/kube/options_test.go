package kube

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	moduleschema "orch/modules/schema"
	"orch/playbook/jinja/value"
)

// Every option of kubernetes.core 6.5's modules is there under its names, and those of our
// own; one that is not supported is refused by Validate, and one that means nothing says so.
func TestOptionsOfKubernetesCore(t *testing.T) {
	const (
		auth = "host api_key kubeconfig context username password client_cert cert_file client_key key_file ca_cert ssl_ca_cert validate_certs verify_ssl " +
			"proxy no_proxy proxy_headers persist_config impersonate_user impersonate_groups "
		name     = "api_version api version kind name namespace "
		resource = "resource_definition definition inline src "
		wait     = "wait wait_sleep wait_timeout wait_condition "
	)
	specs := map[string]*moduleschema.Spec{}
	for _, s := range moduleschema.Describe(moduleschema.Table{World: moduleschema.Cluster, Entries: Modules(), Source: Source}) {
		specs[s.Short()] = s
	}
	for module, options := range map[string]string{
		"k8s": auth + name + resource + wait + "state force apply server_side_apply merge_type validate append_hash template continue_on_error " +
			"label_selectors generate_name delete_options delete_all all hidden_fields " +
			"field_manager conflicts replace ready_when failed_when_object log_lines respect_hpa",
		"k8s_info":       auth + name + wait + "label_selectors field_selectors hidden_fields metadata_only jsonpath fields sort_by",
		"k8s_json_patch": auth + name + wait + "patch hidden_fields",
		"k8s_scale":      auth + name + resource + "replicas current_replicas resource_version wait wait_timeout wait_sleep label_selectors continue_on_error hpa",
		"k8s_log":        auth + name + "label_selectors container all_containers since_seconds previous tail_lines since_time grep follow_until",
		"k8s_rollout":    auth + name + "label_selectors action to_revision images wait wait_timeout required on_failure log_lines",
	} {
		spec := specs[module]
		if spec == nil {
			t.Fatalf("there is no module %s", module)
		}
		for _, option := range strings.Fields(options) {
			if !takes(spec, option) {
				t.Errorf("%s does not know %s", module, option)
			}
		}
	}
}

func takes(spec *moduleschema.Spec, option string) bool {
	for _, o := range spec.Args {
		if o.Name == option {
			return true
		}
		for _, alias := range o.Aliases {
			if alias == option {
				return true
			}
		}
	}
	return false
}

func TestDropField(t *testing.T) {
	const before = `{metadata: {labels: {a.b/c: x, a: y}}, spec: {replicas: 3, template: {spec: {containers: [{name: a, image: i}, {name: b, ports: [{containerPort: 80}, {containerPort: 81, protocol: UDP}], args: [x, y]}]}}}, finalizers: [p, q]}`
	for field, gone := range map[string]string{
		`.spec.replicas`:                                 "replicas: 3, ",
		`.metadata.labels.a.b/c`:                         "a.b/c: x, ",
		`.metadata.labels.a`:                             ", a: y",
		`.spec.template.spec.containers[name="a"].image`: ", image: i",
		`.spec.template.spec.containers[name="a"]`:       "{name: a, image: i}, ",
		`.spec.template.spec.containers[name="b"].ports[containerPort=80,protocol="TCP"]`: "{containerPort: 80}, ",
		`.spec.template.spec.containers[name="b"].ports[containerPort=81,protocol="UDP"]`: ", {containerPort: 81, protocol: UDP}",
		`.finalizers[="q"]`: ", q",
		`.spec.template.spec.containers[name="c"].image`:   "",
		`.spec.template.spec.containers[name="a"`:          "",
		`.spec.template.spec.containers[]`:                 "",
		`.spec.template.spec.containers[name="b"].args[0]`: "",
		`.spec`: "spec: {replicas: 3, template: {spec: {containers: [{name: a, image: i}, {name: b, ports: [{containerPort: 80}, {containerPort: 81, protocol: UDP}], args: [x, y]}]}}}, ",
	} {
		got, want := document(t, before), document(t, strings.Replace(before, gone, "", 1))
		if ok := dropField(got.Object, field); ok != (gone != "") {
			t.Errorf("%s: dropped %v", field, ok)
		}
		if fmt.Sprint(got.Object) != fmt.Sprint(want.Object) {
			t.Errorf("%s: left\n%v, want\n%v", field, got.Object, want.Object)
		}
	}
}

func TestConflictRules(t *testing.T) {
	for _, c := range []struct {
		rule           ConflictRule
		manager, field string
		ok             bool
	}{
		{ConflictRule{Manager: "kubectl*"}, "kubectl-client-side-apply", ".data.x", true},
		{ConflictRule{Manager: "kubectl"}, "kubectl-edit", ".data.x", false},
		{ConflictRule{Field: ".spec.replicas"}, "any", ".spec.replicas", true},
		{ConflictRule{Field: `.spec.template.spec.containers[*].image`}, "any", `.spec.template.spec.containers[name="web"].image`, true},
		{ConflictRule{Field: ".metadata.labels.*"}, "any", ".metadata.labels.app.kubernetes.io/name", true},
		{ConflictRule{Manager: "helm", Field: ".data.*"}, "kustomize", ".data.x", false},
	} {
		if ok := c.rule.matches(c.manager, c.field); ok != c.ok {
			t.Errorf("%+v and %s of %s: %v", c.rule, c.field, c.manager, ok)
		}
	}
}

func TestClusterConflicts(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.do("k8s", `{apply: true, field_manager: first, definition: {apiVersion: v1, kind: ConfigMap, metadata: {name: c, namespace: NS}, data: {a: "1", b: "1"}}}`, true)
	both := `{server_side_apply: {field_manager: second}, %s definition: {apiVersion: v1, kind: ConfigMap, metadata: {name: c, namespace: NS}, data: {a: "2", b: "2", c: "2"}}}`
	l.fails("k8s", fmt.Sprintf(both, ""), `conflicts with "first"`, ".data.a", ".data.b", "force_conflicts")
	l.fails("k8s", fmt.Sprintf(both, "conflicts: [{field: .data.a, action: take}],"), ".data.b")
	rules := "conflicts: [{field: .data.a, action: take}, {manager: fir*, action: yield}],"
	d := l.do("k8s", fmt.Sprintf(both, rules), true)
	if data := fmt.Sprint(d.at("result", "data")); data != "map[a:2 b:1 c:2]" {
		t.Errorf("data is %s", data)
	}
	if !strings.Contains(strings.Join(d.Warnings, "\n"), ".data.b is left to first") {
		t.Errorf("warnings %q", d.Warnings)
	}
	l.do("k8s", fmt.Sprintf(both, rules), false)
}

// What the server calls immutable (Kubernetes 1.34), and what only looks like it.
func TestClusterReplace(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	deploy := strings.ReplaceAll(l.web(""), "replicas: 1", "replicas: 0")
	job := `{apiVersion: batch/v1, kind: Job, metadata: {name: j, namespace: NS}, spec: {suspend: true, template: {spec: {restartPolicy: Never, containers: [{name: j, image: one}]}}}}`
	binding := `{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: b, namespace: NS}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}, subjects: []}`
	set := strings.ReplaceAll(strings.ReplaceAll(deploy, "kind: Deployment", "kind: StatefulSet"), "spec: {replicas", "spec: {serviceName: one, replicas")
	fixed := `{apiVersion: v1, kind: ConfigMap, metadata: {name: fixed, namespace: NS}, immutable: true, data: {a: one}}`
	service := `{apiVersion: v1, kind: Service, metadata: {name: s, namespace: NS}, spec: {ports: [{port: 80}]}}`
	claim := `{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: p, namespace: NS}, spec: {storageClassName: one, accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Mi}}}}`
	l.do("k8s", `{definition: [`+strings.Join([]string{deploy, job, binding, set, fixed, service, claim}, ", ")+`]}`, true)
	for _, c := range []struct{ name, object, from, to string }{
		{"deployment", deploy, "app: web", "app: other"},
		{"job", job, "image: one", "image: two"},
		{"binding", binding, "name: view", "name: edit"},
		{"set", set, "serviceName: one", "serviceName: two"},
		{"fixed", fixed, "a: one", "a: two"},
	} {
		changed := strings.ReplaceAll(c.object, c.from, c.to)
		uid := l.run(optionsOf(true), "k8s", `{definition: `+c.object+`}`).at("result", "metadata", "uid")
		l.fails("k8s", `{apply: true, definition: `+changed+`}`, "hint: replace: if_immutable")
		d := l.do("k8s", `{apply: true, replace: if_immutable, definition: `+changed+`}`, true)
		if d.at("method") != "replace" || d.at("result", "metadata", "uid") == uid {
			t.Errorf("%s: by %v", c.name, d.at("method"))
		}
		l.do("k8s", `{apply: true, replace: if_immutable, definition: `+changed+`}`, false)
	}
	l.do("k8s", `{replace: if_immutable, definition: `+strings.ReplaceAll(service, "spec: {ports", "spec: {clusterIP: 10.96.77.7, ports")+`}`, true)
	l.fails("k8s", `{replace: if_immutable, definition: `+strings.ReplaceAll(claim, "storageClassName: one", "storageClassName: two")+`}`, "never replaced")
	// Mistakes are no reason to delete anything.
	l.fails("k8s", `{replace: if_immutable, definition: `+strings.ReplaceAll(job, "image: one", `image: ""`)+`}`, "Required value")
	l.fails("k8s", `{apply: true, replace: if_immutable, definition: `+strings.ReplaceAll(set, "image: lab/kube-app:1", `image: ""`)+`}`, "Required value")
	// Always: whatever differs.
	one := `{replace: always, definition: {apiVersion: v1, kind: ConfigMap, metadata: {name: plain, namespace: NS}, data: {a: "%d"}}}`
	l.do("k8s", fmt.Sprintf(one, 1), true)
	l.do("k8s", fmt.Sprintf(one, 1), false)
	if d := l.do("k8s", fmt.Sprintf(one, 2), true); d.at("method") != "replace" {
		t.Errorf("always: by %v", d.at("method"))
	}
}

func TestImmutable(t *testing.T) {
	gk := schema.GroupKind{Kind: "X"}
	invalid := func(messages ...string) error {
		e := apierrors.NewInvalid(gk, "x", nil)
		for _, m := range messages {
			e.ErrStatus.Details.Causes = append(e.ErrStatus.Details.Causes, metav1.StatusCause{Message: m})
		}
		return e
	}
	for _, c := range []struct {
		err  error
		want bool
	}{
		{invalid("Invalid value: {}: field is immutable"), true},
		{invalid("field is immutable", "Required value"), false},
		{invalid("Required value"), false},
		{invalid(), false},
		{apierrors.NewConflict(schema.GroupResource{}, "x", errors.New("field is immutable")), false},
		{errors.New("field is immutable"), false},
	} {
		if got := immutable(c.err); got != c.want {
			t.Errorf("%v: %v", c.err, got)
		}
	}
}

// The number of replicas belongs to the autoscaler, in one task and over several.
func TestClusterAutoscaler(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	hpa := `{apiVersion: autoscaling/v2, kind: HorizontalPodAutoscaler, metadata: {name: h, namespace: NS}, spec: {scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}, minReplicas: 2, maxReplicas: 3}}`
	of := func(n int) string {
		return strings.ReplaceAll(strings.Replace(l.web(""), "replicas: 1", fmt.Sprintf("paused: true, replicas: %d", n), 1), "image: lab/kube-app:1", "image: none")
	}
	both := `{apply: true, definition: [` + of(3) + `, ` + hpa + `]}`
	d := l.do("k8s", both, true)
	if n := d.out["result"].(map[string]any)["results"].([]any)[0].(map[string]any)["result"].(map[string]any)["spec"].(map[string]any)["replicas"]; n != float64(1) {
		t.Errorf("made with %v replicas", n)
	}
	l.do("k8s_scale", `{kind: Deployment, name: web, namespace: NS, replicas: 2, wait: false}`, true)
	l.do("k8s", both, false)
	d = l.do("k8s", `{apply: true, definition: `+of(5)+`}`, false)
	if d.at("result", "spec", "replicas") != float64(2) || !strings.Contains(strings.Join(d.Warnings, "\n"), "HorizontalPodAutoscaler h sets it") {
		t.Errorf("%v replicas, warnings %q", d.at("result", "spec", "replicas"), d.Warnings)
	}
	if d = l.do("k8s", `{respect_hpa: false, definition: `+of(3)+`}`, true); d.at("result", "spec", "replicas") != float64(3) {
		t.Errorf("%v replicas", d.at("result", "spec", "replicas"))
	}
	scale := `{kind: Deployment, name: web, namespace: NS, wait: false, replicas: %d, hpa: %s}`
	l.fails("k8s_scale", fmt.Sprintf(scale, 5, "fail"), "HorizontalPodAutoscaler h sets the replicas")
	if d = l.do("k8s_scale", fmt.Sprintf(scale, 4, "ignore"), true); !strings.Contains(strings.Join(d.Warnings, "\n"), "between 2 and 3") {
		t.Errorf("warnings %q", d.Warnings)
	}
	if d = l.do("k8s_scale", fmt.Sprintf(scale, 6, "adjust"), true); len(d.Steps) != 2 || !strings.Contains(d.Steps[0].Title, "to 2 to 6 replicas") {
		t.Errorf("steps %+v", d.Steps)
	}
	// 0 is how a workload is switched off.
	if d = l.do("k8s", `{apply: true, definition: `+of(0)+`}`, true); d.at("result", "spec", "replicas") != float64(0) {
		t.Errorf("%v replicas", d.at("result", "spec", "replicas"))
	}
}

func TestClusterScaleSeveral(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	web := strings.Replace(l.web(""), "metadata: {name: web, ", "metadata: {name: web, labels: {tier: front}, ", 1)
	l.do("k8s", `{definition: [`+web+`, `+strings.ReplaceAll(web, "web", "shop")+`]}`, true)
	d := l.do("k8s_scale", `{kind: Deployment, api_version: apps/v1, label_selectors: [tier=front], namespace: NS, replicas: 2, wait_timeout: 60}`, true)
	if list := d.at("result", "results").([]any); len(list) != 2 {
		t.Errorf("scaled %d", len(list))
	}
	l.do("k8s_scale", `{definition: {apiVersion: apps/v1, kind: Deployment, metadata: {name: shop}}, namespace: NS, replicas: 0}`, true)
	two := `{namespace: NS, replicas: 1, wait: false, %s definition: [{apiVersion: apps/v1, kind: Deployment, metadata: {name: none}}, {apiVersion: apps/v1, kind: Deployment, metadata: {name: shop}}]}`
	l.fails("k8s_scale", fmt.Sprintf(two, ""), "none does not exist")
	d = l.do("k8s_scale", fmt.Sprintf(two, "continue_on_error: true,"), true)
	if one := d.at("result", "results").([]any)[0].(map[string]any); one["error"] == nil {
		t.Errorf("the missing one: %v", one)
	}
	l.fails("k8s_scale", `{kind: Deployment, api_version: apps/v1, label_selectors: [tier=none], namespace: NS, replicas: 2}`, "no Deployment has labels tier=none")
	l.do("k8s_rollout", `{name: shop, namespace: NS, action: pause}`, true)
	l.do("k8s_rollout", `{name: shop, namespace: NS, action: pause}`, false)
	l.fails("k8s_rollout", `{name: shop, namespace: NS, action: undo}`, "is paused")
	l.do("k8s_rollout", `{name: shop, namespace: NS, action: resume, wait_timeout: 60}`, true)
	l.fails("k8s_rollout", `{kind: StatefulSet, name: shop, namespace: NS, action: pause}`, "only a Deployment can be paused")
}

// The author's own words for ready and failed, over a kind whose state says nothing.
func TestClusterOwnConditions(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	asked := 0
	l.truth = func(o *value.Dict) (value.Value, error) {
		meta, _, _ := o.Get(value.S("metadata"))
		labels, ok, _ := meta.(*value.Dict).Get(value.S("labels"))
		asked++
		if !ok {
			return nil, &value.UndefinedError{U: value.Missing(meta, value.S("labels"))}
		}
		up, _, _ := labels.(*value.Dict).Get(value.S("up"))
		return value.Bool(up != nil), nil
	}
	one := `{wait: true, wait_timeout: %d, %s: "object.metadata.labels.up is defined", definition: {apiVersion: v1, kind: ConfigMap, metadata: {name: c, namespace: NS, labels: {%s}}}}`
	d := l.fails("k8s", fmt.Sprintf(one, 1, "ready_when", ""), "ready_when does not hold yet: object.metadata.labels.up is defined")
	if asked == 0 || d.at("failure", "timed_out") != true {
		t.Errorf("asked %d times: %v", asked, d.out)
	}
	l.do("k8s", fmt.Sprintf(one, 5, "ready_when", "up: a"), true)
	l.fails("k8s", fmt.Sprintf(one, 5, "failed_when_object", "up: a"), "failed_when_object holds")
	l.truth = func(*value.Dict) (value.Value, error) { return nil, errors.New("no filter named nope") }
	l.fails("k8s", fmt.Sprintf(one, 60, "ready_when", "up: b"), "ready_when: no filter named nope")
}

// Of what is not there a run asks nothing first; and what is refused only because others
// are made at the same time is asked for again.
func TestClusterFirstApply(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	const n = 200
	var b strings.Builder
	fmt.Fprintf(&b, "{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {containers: [{name: p, image: none}]}},")
	fmt.Fprintf(&b, `{apiVersion: v1, kind: ResourceQuota, metadata: {name: q}, spec: {hard: {count/configmaps: "%d"}}},`, n+10)
	for i := range n {
		fmt.Fprintf(&b, "{apiVersion: v1, kind: ConfigMap, metadata: {name: c%d}},", i)
	}
	// The namespace is new too: its default account comes when it comes.
	task := strings.ReplaceAll(`{definition: [{apiVersion: v1, kind: Namespace, metadata: {name: NEW}}, `+b.String()+`]}`, "metadata: {name: ", "metadata: {namespace: NEW, name: ")
	fresh := l.ns + "-new"
	task = strings.ReplaceAll(strings.Replace(task, "{namespace: NEW, name: NEW}", "{name: NEW}", 1), "NEW", fresh)
	l.requests()
	l.do("k8s", task, true)
	t.Cleanup(func() {
		if m, err := l.admin.Mapping(schema.GroupVersionKind{Version: "v1", Kind: "Namespace"}); err == nil {
			_ = l.admin.Resource(m, "").Delete(context.Background(), fresh, metav1.DeleteOptions{})
		}
	})
	all, _ := l.requests()
	for _, r := range all {
		if strings.Contains(r, "dryRun") {
			t.Fatalf("asked %s before it was made", r)
		}
	}
	l.do("k8s", task, false)
}
