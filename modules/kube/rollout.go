package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"sort"
	"strconv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"orch/modules"
)

// K8sRollout looks at, restarts, undoes or changes the rollout of a Deployment,
// StatefulSet or DaemonSet, and waits until it serves.
type K8sRollout struct {
	Auth
	// API version of the workload.
	APIVersion string `orch:"default=apps/v1,alias=api|version"`
	// Kind of the workload.
	Kind string `orch:"enum=Deployment|StatefulSet|DaemonSet,default=Deployment"`
	// Name of the workload.
	Name string `orch:"required"`
	// Its namespace.
	Namespace string
	// What to do: status waits, restart replaces all pods, undo goes back to an older
	// revision, history lists the revisions, set_image changes images, pause and resume
	// (of a Deployment) hold changes back and let them go.
	Action string `orch:"enum=status|restart|undo|history|set_image|pause|resume,default=status"`
	// Revision to go back to; the newest that differs if not given.
	ToRevision int
	// Images by container name, for set_image.
	Images map[string]string
	// Whether to wait until the rollout serves.
	Wait bool `orch:"default=true"`
	// Seconds to wait at most.
	WaitTimeout int `orch:"default=300"`
	// Lines of a failed container's log that the failure quotes.
	LogLines int `orch:"default=25"`
}

// Validate implements modules.Validator.
func (k *K8sRollout) Validate() error {
	switch {
	case k.Action == "set_image" && len(k.Images) == 0:
		return fmt.Errorf("action set_image wants images")
	case k.Action != "set_image" && len(k.Images) > 0:
		return fmt.Errorf("images goes with action set_image")
	case (k.Action == "pause" || k.Action == "resume") && k.Kind != "Deployment":
		return fmt.Errorf("action %s: only a Deployment can be paused, not a %s", k.Action, k.Kind)
	case k.Action != "undo" && k.ToRevision != 0:
		return fmt.Errorf("to_revision goes with action undo")
	}
	return k.validateAuth()
}

// RolloutOut is what the task registers.
type RolloutOut struct {
	Revision         int64             `json:"revision"`
	PreviousRevision int64             `json:"previous_revision,omitempty"`
	Images           map[string]string `json:"images"`
	History          []RevisionOut     `json:"history,omitempty"`
	Duration         int               `json:"duration" orch:"after"`
	// Failure is the failure's message as data.
	Failure *FailureOut `json:"failure,omitempty"`
}

// RevisionOut is one revision of a workload.
type RevisionOut struct {
	Revision int64             `json:"revision"`
	Cause    string            `json:"change_cause,omitempty"`
	Images   map[string]string `json:"images"`
	Created  string            `json:"created"`
}

// restartedAt is the annotation kubectl restarts by: it knows ours and we know its.
const restartedAt = "kubectl.kubernetes.io/restartedAt"

// A revision is an older state of a workload's pod template.
type revision struct {
	number   int64
	template map[string]any
	notes    map[string]string // annotations
	created  time.Time
}

// Plan implements Module.
func (k *K8sRollout) Plan(ctx context.Context, v *View) (modules.Plan[*Target], error) {
	it, err := v.one(ctx, Named{APIVersion: k.APIVersion, Kind: k.Kind, Name: k.Name, Namespace: k.Namespace})
	if err != nil {
		return modules.Plan[*Target]{}, err
	}
	if it.unverified != "" {
		return afterwards(it, k.Action, &RolloutOut{Images: imagesOf(it.live)}), nil
	}
	revisions, err := v.revisions(ctx, it)
	if err != nil {
		return modules.Plan[*Target]{}, modules.Failf("read revisions of %s: %v", it.id, explainAPI(err))
	}
	out := &RolloutOut{Images: imagesOf(it.live), Revision: current(it.live, revisions)}
	plan := modules.Plan[*Target]{Out: out}
	if k.Action == "history" {
		for _, r := range revisions {
			out.History = append(out.History, RevisionOut{
				r.number, r.notes["kubernetes.io/change-cause"], templateImages(r.template), r.created.UTC().Format(time.RFC3339),
			})
		}
		return plan, nil
	}
	patch, title, err := k.patch(it, revisions, out)
	if err != nil {
		return plan, err
	}
	if patch != nil {
		step, err := v.patchStep(ctx, it, title, patch, func() {
			out.Images = imagesOf(it.after)
		})
		if err != nil {
			return plan, err
		}
		if step != nil {
			step.Always = k.Action == "restart"
			plan.Steps = append(plan.Steps, *step)
		}
	}
	if k.Wait && k.Action != "pause" {
		it.after = it.live
		o := Wait{Timeout: time.Duration(k.WaitTimeout) * time.Second, LogLines: int64(k.LogLines), Restarts: 1}
		plan.Steps = append(plan.Steps, waitStep(it, o, func(r *Report) {
			out.Duration, out.Images, out.Failure = int(r.Elapsed.Seconds()), imagesOf(it.after), r.failure()
			if n, err := strconv.ParseInt(it.after.GetAnnotations()["deployment.kubernetes.io/revision"], 10, 64); err == nil {
				out.Revision = n
			}
		}))
	}
	return plan, nil
}

// patch is the change an action makes, nil for none.
func (k *K8sRollout) patch(it *item, revisions []revision, out *RolloutOut) (map[string]any, string, error) {
	switch k.Action {
	case "restart":
		return map[string]any{"spec": map[string]any{"template": map[string]any{"metadata": map[string]any{
			"annotations": map[string]any{restartedAt: time.Now().UTC().Format(time.RFC3339)},
		}}}}, "restart " + it.id.String(), nil
	case "set_image":
		var containers []any
		have := out.Images
		for name, image := range k.Images {
			if _, ok := have[name]; !ok {
				return nil, "", modules.Failf("%s has no container %q, it has %s", it.id, name, names(have))
			}
			containers = append(containers, map[string]any{"name": name, "image": image})
		}
		return map[string]any{"spec": map[string]any{"template": map[string]any{"spec": map[string]any{"containers": containers}}}},
			"set images of " + it.id.String(), nil
	case "pause", "resume":
		return map[string]any{"spec": map[string]any{"paused": k.Action == "pause"}}, k.Action + " " + it.id.String(), nil
	case "undo":
		return k.undo(it, revisions, out)
	}
	return nil, "", nil
}

func names(m map[string]string) string {
	var list []string
	for name := range m {
		list = append(list, name)
	}
	return sorted(list)
}

// undo goes back to a revision: its pod template, and nothing else of the object.
func (k *K8sRollout) undo(it *item, revisions []revision, out *RolloutOut) (map[string]any, string, error) {
	if (object{it.live.Object}).flag("spec", "paused") {
		return nil, "", modules.Failf("%s is paused: resume it first", it.id)
	}
	now, _ := nested(it.live.Object, "spec", "template")
	var to *revision
	for i := len(revisions) - 1; i >= 0; i-- {
		r := &revisions[i]
		if k.ToRevision != 0 && r.number != int64(k.ToRevision) || k.ToRevision == 0 && sameTemplate(r.template, now) {
			continue
		}
		if k.ToRevision == 0 && r.number >= out.Revision {
			continue
		}
		to = r
		break
	}
	switch {
	case to == nil && k.ToRevision != 0:
		var have []string
		for _, r := range revisions {
			have = append(have, strconv.FormatInt(r.number, 10))
		}
		return nil, "", modules.Failf("%s has no revision %d, it has %s", it.id, k.ToRevision, strings.Join(have, ", "))
	case to == nil:
		return nil, "", modules.Failf("%s has no older revision that differs", it.id)
	case sameTemplate(to.template, now):
		return nil, "", nil
	}
	out.PreviousRevision = out.Revision
	return map[string]any{"spec": map[string]any{"template": to.template}},
		fmt.Sprintf("undo %s to revision %d", it.id, to.number), nil
}

// patchStep plans a change of a workload by dry run; nil when it changes nothing.
func (v *View) patchStep(ctx context.Context, it *item, title string, patch map[string]any, done func()) (*modules.Step[*Target], error) {
	body, err := json.Marshal(patch)
	if err != nil {
		return nil, fmt.Errorf("encode patch: %w", err)
	}
	kind := types.StrategicMergePatchType
	if t, ok := nested(patch, "spec", "template"); ok && t["spec"] != nil && strings.HasPrefix(title, "undo") {
		// A whole template: what it does not have must go.
		kind = types.JSONPatchType
		if body, err = json.Marshal([]map[string]any{{"op": "replace", "path": "/spec/template", "value": t}}); err != nil {
			return nil, fmt.Errorf("encode patch: %w", err)
		}
	}
	do := func(ctx context.Context, dry ...string) error {
		u, err := v.cluster.Resource(it.mapping, it.id.Namespace).
			Patch(ctx, it.id.Name, kind, body, metav1.PatchOptions{DryRun: dry, FieldManager: "orch"})
		if err != nil {
			return modules.Failf("%s: %v", title, explainAPI(err))
		}
		it.after = u
		return nil
	}
	if err := do(ctx, metav1.DryRunAll); err != nil {
		return nil, err
	}
	if same(it.live, it.after) {
		return nil, nil
	}
	it.action = Configure
	return &modules.Step[*Target]{Title: title, Diff: v.diffOf(it), Do: func(ctx context.Context, _ *Target) (bool, error) {
		if err := do(ctx); err != nil {
			return false, err
		}
		done()
		return true, nil
	}}, nil
}

// revisions lists what the workload's controller has kept, oldest first: ReplicaSets it
// owns, or ControllerRevisions.
func (v *View) revisions(ctx context.Context, it *item) ([]revision, error) {
	gvk := schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "ControllerRevision"}
	if it.id.Kind == "Deployment" {
		gvk = replicaSetKind
	}
	m, err := v.cluster.Mapping(gvk)
	if err != nil {
		return nil, err
	}
	list, err := v.cluster.Resource(m, it.id.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	var revs []revision
	for i := range list.Items {
		u := &list.Items[i]
		ref := metav1.GetControllerOf(u)
		if ref == nil || ref.UID != it.live.GetUID() { // by owner, never by label
			continue
		}
		r := revision{notes: u.GetAnnotations(), created: u.GetCreationTimestamp().Time}
		if it.id.Kind == "Deployment" {
			r.number, _ = strconv.ParseInt(u.GetAnnotations()["deployment.kubernetes.io/revision"], 10, 64)
			r.template, _ = nested(u.Object, "spec", "template")
		} else {
			r.number = object{u.Object}.num(0, "revision")
			r.template, _ = nested(u.Object, "data", "spec", "template")
		}
		r.template = withoutHash(r.template)
		revs = append(revs, r)
	}
	sort.Slice(revs, func(i, j int) bool { return revs[i].number < revs[j].number })
	return revs, nil
}

// withoutHash drops what the controller itself adds to a template.
func withoutHash(t map[string]any) map[string]any {
	u := (&unstructured.Unstructured{Object: t}).DeepCopy()
	unstructured.RemoveNestedField(u.Object, "metadata", "labels", "pod-template-hash")
	delete(u.Object, "$patch")
	return u.Object
}

func sameTemplate(a, b map[string]any) bool {
	x, y := withoutHash(a), withoutHash(b)
	unstructured.RemoveNestedField(x, "metadata", "creationTimestamp")
	unstructured.RemoveNestedField(y, "metadata", "creationTimestamp")
	ja, _ := json.Marshal(x) // maps of an API object always encode
	jb, _ := json.Marshal(y)
	return string(ja) == string(jb)
}

func current(live *unstructured.Unstructured, revs []revision) int64 {
	if n, err := strconv.ParseInt(live.GetAnnotations()["deployment.kubernetes.io/revision"], 10, 64); err == nil {
		return n
	}
	if len(revs) > 0 {
		return revs[len(revs)-1].number
	}
	return 0
}

func imagesOf(u *unstructured.Unstructured) map[string]string {
	t, _ := nested(u.Object, "spec", "template")
	return templateImages(t)
}

func templateImages(t map[string]any) map[string]string {
	images := map[string]string{}
	for _, c := range (object{t}).list("spec", "containers") {
		images[c.str("name")] = c.str("image")
	}
	return images
}
