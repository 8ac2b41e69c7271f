package kube

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"
)

// want is the comment above a document: the state, then a reason or words of the
// message, and after "; warns" a word of a warning.
var want = regexp.MustCompile(`(?m)^# want: ([a-z]+)(.*)$`)

func TestCompute(t *testing.T) {
	files, err := filepath.Glob("testdata/status/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no documents: %v", err)
	}
	count := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, doc := range strings.Split(string(text), "\n---\n") {
			count++
			m := want.FindStringSubmatch(doc)
			if m == nil {
				t.Fatalf("%s: a document without a want:\n%s", file, doc)
			}
			u := document(t, doc)
			t.Run(u.GetKind()+"/"+u.GetName(), func(t *testing.T) { checkStatus(t, Compute(u), m[1], m[2]) })
		}
	}
	if count < 60 {
		t.Errorf("%d documents, want at least 60", count)
	}
}

func checkStatus(t *testing.T, s Status, state, rest string) {
	t.Helper()
	reason, warns, _ := strings.Cut(rest, "; warns ")
	if string(s.State) != state {
		t.Errorf("state %s (%s: %s), want %s", s.State, s.Reason, s.Message, state)
	}
	word, message, _ := strings.Cut(strings.TrimSpace(reason), " ")
	if word != "" && s.Reason != word {
		t.Errorf("reason %q, want %q", s.Reason, word)
	}
	if !strings.Contains(s.Message, message) {
		t.Errorf("message %q has no %q", s.Message, message)
	}
	if warnings := strings.Join(s.Warnings, "\n"); (warns == "") != (warnings == "") || !strings.Contains(warnings, warns) {
		t.Errorf("warnings %q, want one with %q", warnings, warns)
	}
}

func document(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	var o map[string]any
	if err := yaml.Unmarshal([]byte(text), &o); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	return &unstructured.Unstructured{Object: normalize(o).(map[string]any)}
}

func TestComputeNothing(t *testing.T) {
	if s := Compute(nil); s.State != Absent {
		t.Errorf("state %s, want absent", s.State)
	}
}

// judged runs the tracker's verdict over a workload and what is below it.
func judged(t *testing.T, o Wait, held time.Duration, docs ...string) Outcome {
	t.Helper()
	tr := &tracker{
		opts: o, start: time.Now().Add(-time.Minute), objects: map[string]*unstructured.Unstructured{}, pods: map[string]*unstructured.Unstructured{},
		sets: map[string]*unstructured.Unstructured{}, held: map[string]time.Time{}, warned: map[string]Trouble{}, gone: map[string]Status{},
		kick: make(chan struct{}, 1),
	}
	for i, text := range docs {
		u := document(t, text)
		gvk := u.GroupVersionKind()
		if i == 0 {
			tr.items = []*item{{id: idOf(u)}}
		}
		tr.store(gvk, u, false)
	}
	tr.judge()
	for key, at := range tr.held {
		tr.held[key] = at.Add(-held)
	}
	r, _ := tr.judge()
	return r.Outcomes[0]
}

const crashingPod = `{apiVersion: v1, kind: Pod, metadata: {name: db-0, namespace: n, uid: p, ownerReferences: [{uid: w, controller: true}]},
  status: {phase: Running, containerStatuses: [{name: db, restartCount: 1, state: {waiting: {reason: CrashLoopBackOff}}, lastState: {terminated: {exitCode: 7, reason: Error}}}]}}`

// What no object says of itself: why a workload gets nowhere.
func TestJudge(t *testing.T) {
	set := `{apiVersion: apps/v1, kind: StatefulSet, metadata: {name: db, namespace: n, uid: w, generation: 1}, spec: {replicas: 3}, status: {observedGeneration: 1, readyReplicas: 1}}`
	deploy := `{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, namespace: n, uid: d, generation: 1, annotations: {deployment.kubernetes.io/revision: "2"}}, spec: {replicas: 1}, status: {observedGeneration: 1, replicas: 1}}`
	serving := strings.Replace(deploy, "replicas: 1}}", "replicas: 1, updatedReplicas: 1, availableReplicas: 1}}", 1)
	oldSet := `{apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: web-1, namespace: n, uid: w, annotations: {deployment.kubernetes.io/revision: "1"}, ownerReferences: [{uid: d, controller: true}]}}`
	newSet := `{apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: web-2, namespace: n, uid: w2, annotations: {deployment.kubernetes.io/revision: "2"}, ownerReferences: [{uid: d, controller: true}]}}`
	event := func(uid, reason, message string) string {
		return `{apiVersion: v1, kind: Event, type: Warning, metadata: {name: e, namespace: n}, involvedObject: {uid: ` + uid + `}, reason: ` + reason +
			`, message: '` + message + `', lastTimestamp: "` + time.Now().UTC().Format(time.RFC3339) + `"}`
	}
	creating := `{apiVersion: v1, kind: Pod, metadata: {name: db-0, namespace: n, uid: p, ownerReferences: [{uid: w, controller: true}]}, status: {phase: Pending, containerStatuses: [{name: db, state: {waiting: {reason: ContainerCreating}}}]}}`
	ago := func(d time.Duration) string { return time.Now().Add(-d).UTC().Format(time.RFC3339) }
	late := strings.NewReplacer("STARTED", ago(Settle+2*time.Second), "TOLD", ago(Settle-2*time.Second)).Replace(
		`{apiVersion: v1, kind: Pod, metadata: {name: one, namespace: n, uid: p}, spec: {containers: [{name: a}]}, status: {phase: Running,
		  conditions: [{type: Ready, status: "True"}, {type: ContainersReady, status: "True", lastTransitionTime: "TOLD"}], containerStatuses: [{name: a, ready: true, state: {running: {startedAt: "STARTED"}}}]}}`)
	running := func(ago time.Duration, probe string) string {
		return `{apiVersion: v1, kind: Pod, metadata: {name: one, namespace: n, uid: p}, spec: {containers: [{name: a` + probe + `}]}, status: {phase: Running,
		  conditions: [{type: Ready, status: "True"}], containerStatuses: [{name: a, ready: true, state: {running: {startedAt: "` + time.Now().Add(-ago).UTC().Format(time.RFC3339) + `"}}}]}}`
	}
	barePod := `{apiVersion: v1, kind: Pod, metadata: {name: one, namespace: n, uid: p}, status: {phase: Pending, conditions: [{type: PodScheduled, status: "False", reason: Unschedulable, message: no room}]}}`
	for _, c := range []struct {
		name          string
		restarts      int64
		held          time.Duration
		docs          []string
		state, reason string
	}{
		{"a set whose pod crashes", 1, 0, []string{set, crashingPod}, "failed", " CrashLoopBackOff exited with code 7"},
		{"more restarts are allowed", 5, 0, []string{set, crashingPod}, "progressing", " Unavailable"},
		{"an old replica set's pod is not blamed", 1, 0, []string{deploy, oldSet, newSet, crashingPod}, "progressing", " Updating"},
		{"a quota only events tell of", 1, 0, []string{set, event("w", "FailedCreate", "pods \"db-1\" is forbidden: exceeded quota: q")}, "failed", " FailedCreate exceeded quota"},
		{"a controller that tries again", 1, 0, []string{set, event("w", "FailedCreate", "timeout")}, "progressing", " Unavailable"},
		{"a volume that may come", 1, 0, []string{set, creating, event("p", "FailedMount", "secret \"s\" not found")}, "progressing", " Unavailable"},
		{"a volume that does not come", 1, HoldFor, []string{set, creating, event("p", "FailedMount", "secret \"s\" not found")}, "failed", " FailedMount secret"},
		{"a start that nothing vouches for", 1, 0, []string{running(0, "")}, "progressing", " Settling"},
		{"a crash its owner has not heard of", 1, 0, []string{serving, newSet, strings.ReplaceAll(strings.ReplaceAll(crashingPod, "uid: w", "uid: w2"), "restartCount: 1", "restartCount: 0")}, "progressing", " Settling"},
		{"a start with a probe", 1, 0, []string{running(0, ", readinessProbe: {tcpSocket: {port: 1}}")}, "ready", ""},
		{"a container that has run for a while", 1, 0, []string{running(Settle+time.Second, "")}, "ready", ""},
		{"a start the kubelet told of late", 1, 0, []string{late}, "progressing", " Settling"},
		{"no room, for a moment", 1, 0, []string{barePod}, "progressing", " Unschedulable"},
		{"no room", 1, HoldFor, []string{barePod}, "failed", " Unschedulable no room"},
	} {
		t.Run(c.name, func(t *testing.T) {
			checkStatus(t, judged(t, Wait{Restarts: c.restarts}, c.held, c.docs...).Status, c.state, c.reason)
		})
	}
}

func TestJobGoneAfterItsEnd(t *testing.T) {
	u := document(t, `{apiVersion: batch/v1, kind: Job, metadata: {name: j, namespace: n, deletionTimestamp: "2026-01-01T00:00:00Z"}, status: {conditions: [{type: Complete, status: "True"}]}}`)
	tr := &tracker{
		items: []*item{{id: idOf(u)}}, objects: map[string]*unstructured.Unstructured{}, pods: map[string]*unstructured.Unstructured{},
		gone: map[string]Status{}, kick: make(chan struct{}, 1),
	}
	tr.store(schema.GroupVersionKind{Group: "batch", Version: "v1", Kind: "Job"}, u, true)
	if r, done := tr.judge(); !done || !r.OK() {
		t.Errorf("a job that was removed after it completed: %+v", r.Outcomes[0].Status)
	}
}

func TestMaskedHidesEveryCopy(t *testing.T) {
	u := document(t, `{apiVersion: v1, kind: Secret, metadata: {name: s, annotations: {`+lastApplied+`: '{"data":{"p":"aHVudGVyMg=="}}'}}, data: {p: aHVudGVyMg==}, stringData: {q: hunter2}}`)
	shown := show(u)
	if out, err := yaml.Marshal(shownObject(u, nil)); err != nil || strings.Contains(shown+string(out), "hunter2") || strings.Contains(shown+string(out), "aHVudGVy") {
		t.Errorf("the value shows (%v):\n%s\n%s", err, shown, out)
	}
	if !strings.Contains(shown, "7 bytes") {
		t.Errorf("no size: %s", shown)
	}
	if got := hide(`invalid value "aHVudGVyMg=="`, secretsOf(u)); strings.Contains(got, "aHV") {
		t.Errorf("message %q", got)
	}
}

func TestValidateRefusesByName(t *testing.T) {
	for want, k := range map[string]*K8s{
		"one of resource_definition, src, template and kind": {},
		"delete_all wants state: absent":                     {Named: Named{Kind: "Pod"}, State: "present", DeleteAll: true},
		"delete_all goes with kind":                          {State: "absent", DeleteAll: true, Src: "x"},
		"delete_options wants state: absent":                 {Named: Named{Kind: "Pod"}, State: "present", DeleteOptions: &DeleteOptions{}},
		"mutually exclusive: apply|force":                    {Src: "x", Apply: true, Force: true},
		"merge_type: unknown value":                          {Src: "x", MergeType: []string{"deep"}},
		"label_selectors:":                                   {Src: "x", LabelSelectors: []string{"a in ("}},
	} {
		if err := k.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}
