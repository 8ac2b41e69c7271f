package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"orch/modules"
)

// K8sRollout looks at, restarts, undoes or changes the rollout of Deployments,
// StatefulSets or DaemonSets, and waits until they serve.
type K8sRollout struct {
	Auth
	// API version of the workload.
	APIVersion string `orch:"default=apps/v1,alias=api|version"`
	// Kind of the workload.
	Kind string `orch:"enum=Deployment|StatefulSet|DaemonSet,default=Deployment"`
	// Name of the workload.
	Name string
	// Its namespace.
	Namespace string
	// Labels of the workloads, instead of a name.
	LabelSelectors []string
	// What to do: status waits, restart replaces all pods, undo goes back to an older
	// revision, history lists the revisions, set_image changes images, pause and resume
	// (of a Deployment) hold changes back and let them go.
	Action string `orch:"enum=status|restart|undo|history|set_image|pause|resume,default=status"`
	// Revision to go back to; the newest that differs if not given.
	ToRevision int
	// Images by container name, for set_image; * stands for every container.
	Images map[string]string
	// Whether to wait until the rollout serves.
	Wait bool `orch:"default=true"`
	// Seconds to wait at most.
	WaitTimeout int `orch:"default=300"`
	// How much of the rollout must serve for the wait to end well: full, max_unavailable (all
	// but what the strategy lets be missing), or a part of its pods: 90%.
	Required string `orch:"default=full"`
	// What to do when the wait fails: keep what is there, or undo. Undo goes back to what
	// was there before this task, or with action status to the revision before; it waits
	// until that serves, and the task fails all the same.
	OnFailure string `orch:"enum=keep|undo,default=keep"`
	// Lines of a failed container's log that the failure quotes.
	LogLines int `orch:"default=25"`
}

// Validate implements modules.Validator.
func (k *K8sRollout) Validate() error {
	_, err := parseRequired(k.Required)
	switch {
	case (k.Name == "") == (len(k.LabelSelectors) == 0):
		return errors.New("exactly one of name and label_selectors is required")
	case k.Action == "set_image" && len(k.Images) == 0:
		return errors.New("action set_image wants images")
	case k.Action != "set_image" && len(k.Images) > 0:
		return errors.New("images goes with action set_image")
	case (k.Action == "pause" || k.Action == "resume") && k.Kind != "Deployment":
		return fmt.Errorf("action %s: only a Deployment can be paused, not a %s", k.Action, k.Kind)
	case k.Action != "undo" && k.ToRevision != 0:
		return errors.New("to_revision goes with action undo")
	case k.OnFailure == "undo" && !k.waits():
		return errors.New("on_failure: undo wants a task that waits")
	case err != nil:
		return err
	}
	return nil
}

// waits reports whether the task waits for the rollout.
func (k *K8sRollout) waits() bool { return k.Wait && k.Action != "pause" && k.Action != "history" }

// RolloutOut is what the task registers: about the workload named, or results for those
// that labels select.
type RolloutOut struct {
	*WorkloadOut
	Results  []*WorkloadOut `json:"results,omitempty"`
	Duration int            `json:"duration" orch:"after"`
	// Failure is the failure's message as data.
	Failure *FailureOut `json:"failure,omitempty"`

	warnings []string // of the wait
}

// Report implements modules.Reporter.
func (o *RolloutOut) Report(res *modules.Result) { res.Warnings = append(res.Warnings, o.warnings...) }

// WorkloadOut is a workload and its revisions.
type WorkloadOut struct {
	Kind      string `json:"kind"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
	Revision  int64  `json:"revision"`
	// PreviousRevision is the one before: that of before the task's change, or the one that
	// undo would go back to.
	PreviousRevision int64             `json:"previous_revision,omitempty"`
	Images           map[string]string `json:"images"`
	History          []RevisionOut     `json:"history,omitempty"`
	// Undone is the revision that on_failure went back to.
	Undone int64 `json:"undone_to,omitempty"`
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

// A workload is what a task rolls out.
type workload struct {
	*item
	revisions []revision
	out       *WorkloadOut
	was       int64 // its revision before the task
	changed   bool  // by the task
}

// Plan implements Module.
func (k *K8sRollout) Plan(ctx context.Context, v *View) (modules.Plan[*Target], error) {
	named := Named{APIVersion: k.APIVersion, Kind: k.Kind, Name: k.Name, Namespace: k.Namespace}
	var items []*item
	var err error
	if k.Name == "" {
		items, err = v.selected(ctx, named, k.LabelSelectors)
	} else {
		items = make([]*item, 1)
		items[0], err = v.one(ctx, named)
	}
	if err != nil {
		return modules.Plan[*Target]{}, err
	}
	out := &RolloutOut{}
	plan := modules.Plan[*Target]{Out: out}
	var all []*workload
	for _, it := range items {
		w := &workload{item: it, out: &WorkloadOut{
			Kind: it.id.Kind, Namespace: it.id.Namespace, Name: it.id.Name, Images: imagesOf(it.live),
		}}
		all = append(all, w)
		out.Results = append(out.Results, w.out)
		if it.unverified != "" {
			out.WorkloadOut, out.Results = w.out, nil
			return afterwards(it, k.Action, out), nil
		}
		if err := k.planOne(ctx, v, w, &plan); err != nil {
			return plan, err
		}
	}
	if k.Name != "" {
		out.WorkloadOut, out.Results = all[0].out, nil
	}
	if k.waits() {
		plan.Steps = append(plan.Steps, k.waitStep(all, out))
	}
	return plan, nil
}

// planOne plans the change of one workload, if its action makes one.
func (k *K8sRollout) planOne(ctx context.Context, v *View, w *workload, plan *modules.Plan[*Target]) error {
	var err error
	if w.revisions, err = v.revisions(ctx, w.item); err != nil {
		return modules.Failf("read revisions of %s: %v", w.id, explainAPI(err))
	}
	now, _ := nested(w.live.Object, "spec", "template")
	w.was = current(w.live, w.revisions)
	w.out.Revision = w.was
	if r := before(w.revisions, w.out.Revision, now); r != nil {
		w.out.PreviousRevision = r.number
	}
	if k.Action == "history" {
		for _, r := range w.revisions {
			w.out.History = append(w.out.History, RevisionOut{
				r.number, r.notes["kubernetes.io/change-cause"], templateImages(r.template), r.created.UTC().Format(time.RFC3339),
			})
		}
		return nil
	}
	c, err := k.change(w)
	if err != nil || c.body == nil {
		return err
	}
	step, err := v.changeStep(ctx, w, c)
	if err != nil || step == nil {
		return err
	}
	step.Always = k.Action == "restart"
	plan.Steps = append(plan.Steps, *step)
	return nil
}

// A change is a patch of a workload; without a body it is none.
type change struct {
	title string
	kind  types.PatchType
	body  any
}

// change is what the action does to a workload.
func (k *K8sRollout) change(w *workload) (change, error) {
	paused := (object{w.live.Object}).flag("spec", "paused")
	merge := func(title string, spec map[string]any) change {
		return change{title + w.id.String(), types.StrategicMergePatchType, map[string]any{"spec": spec}}
	}
	switch k.Action {
	case "restart":
		if paused {
			return change{}, modules.Failf("%s is paused: resume it first", w.id)
		}
		return merge("restart ", map[string]any{"template": map[string]any{"metadata": map[string]any{
			"annotations": map[string]any{restartedAt: time.Now().UTC().Format(time.RFC3339)},
		}}}), nil
	case "set_image":
		spec, err := k.images(w)
		return merge("set images of ", map[string]any{"template": map[string]any{"spec": spec}}), err
	case "pause", "resume":
		return merge(k.Action+" ", map[string]any{"paused": k.Action == "pause"}), nil
	case "undo":
		if paused {
			return change{}, modules.Failf("%s is paused: resume it first", w.id)
		}
		return k.undo(w)
	}
	return change{}, nil
}

// images are the containers of a pod's spec with the images they get.
func (k *K8sRollout) images(w *workload) (map[string]any, error) {
	for name := range k.Images {
		if _, ok := w.out.Images[name]; !ok && name != "*" {
			return nil, modules.Failf("%s has no container %q, it has %s", w.id, name, sorted(slices.Collect(maps.Keys(w.out.Images))))
		}
	}
	spec := map[string]any{}
	for _, list := range containerLists {
		var containers []any
		for _, c := range (object{w.live.Object}).list("spec", "template", "spec", list) {
			if image := orElse(k.Images[c.str("name")], k.Images["*"]); image != "" {
				containers = append(containers, map[string]any{"name": c.str("name"), "image": image})
			}
		}
		if containers != nil {
			spec[list] = containers
		}
	}
	return spec, nil
}

// undo goes back to a revision: its pod template, and nothing else of the object.
func (k *K8sRollout) undo(w *workload) (change, error) {
	now, _ := nested(w.live.Object, "spec", "template")
	to := before(w.revisions, w.out.Revision, now)
	if k.ToRevision != 0 {
		i := slices.IndexFunc(w.revisions, func(r revision) bool { return r.number == int64(k.ToRevision) })
		if i < 0 {
			var have []string
			for _, r := range w.revisions {
				have = append(have, strconv.FormatInt(r.number, 10))
			}
			return change{}, modules.Failf("%s has no revision %d, it has %s", w.id, k.ToRevision, strings.Join(have, ", "))
		}
		to = &w.revisions[i]
	}
	switch {
	case to == nil:
		return change{}, modules.Failf("%s has no older revision that differs", w.id)
	case sameTemplate(to.template, now):
		return change{}, nil
	}
	return backTo(to.template, fmt.Sprintf("undo %s to revision %d", w.id, to.number)), nil
}

// backTo replaces the whole pod template: what the older one does not have must go.
func backTo(template map[string]any, title string) change {
	return change{title, types.JSONPatchType, []map[string]any{{"op": "replace", "path": "/spec/template", "value": template}}}
}

// write changes a workload, or asks what that would come to.
func (v *View) write(ctx context.Context, w *workload, c change, dry ...string) error {
	body, err := json.Marshal(c.body)
	if err != nil {
		return fmt.Errorf("encode patch: %w", err)
	}
	u, err := v.cluster.Resource(w.mapping, w.id.Namespace).
		Patch(ctx, w.id.Name, c.kind, body, metav1.PatchOptions{DryRun: dry, FieldManager: "orch"})
	if err != nil {
		return modules.Failf("%s: %v", c.title, explainAPI(err))
	}
	w.after = u
	return nil
}

// changeStep plans a change by dry run; nil when it changes nothing.
func (v *View) changeStep(ctx context.Context, w *workload, c change) (*modules.Step[*Target], error) {
	if err := v.write(ctx, w, c, metav1.DryRunAll); err != nil {
		return nil, err
	}
	if same(w.live, w.after) {
		return nil, nil
	}
	w.action = Configure
	return &modules.Step[*Target]{Title: c.title, Diff: v.diffOf(w.item), Do: func(ctx context.Context, t *Target) (bool, error) {
		if err := t.write(ctx, w, c); err != nil {
			return false, err
		}
		w.changed = true
		w.out.Images = imagesOf(w.after)
		return true, t.unstick(ctx, w, c)
	}}, nil
}
