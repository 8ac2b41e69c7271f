package kube

import (
	"context"
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"orch/modules"
)

// K8sScale sets the number of replicas of Deployments, StatefulSets, ReplicaSets,
// ReplicationControllers, or the parallelism of Jobs.
type K8sScale struct {
	Auth
	Named
	// The objects to scale, by a definition of them: only their names matter.
	ResourceDefinition modules.Raw `orch:"alias=definition|inline"`
	// File with such a definition on the controller, or an http(s) URL.
	Src string
	// The number of replicas.
	Replicas *int `orch:"required"`
	// Scale only if there are this many now.
	CurrentReplicas *int
	// Scale only if the object has this resource version.
	ResourceVersion string
	// Labels of the objects to scale, instead of a name.
	LabelSelectors []string
	// Go on with the other objects when one cannot be scaled; the error is in the result.
	ContinueOnError bool
	// What to do about a HorizontalPodAutoscaler of the object: ignore it with a warning,
	// fail, or adjust its bounds so that they hold the number.
	HPA string `orch:"name=hpa,enum=ignore|fail|adjust,default=ignore"`
	// Whether to wait until the replicas are ready.
	Wait bool `orch:"default=true"`
	// Seconds to wait at most.
	WaitTimeout int `orch:"default=20"`
	// Accepted and void: changes are watched.
	WaitSleep int `orch:"default=5"`
}

// Validate implements modules.Validator.
func (k *K8sScale) Validate() error {
	given := btoi(len(k.ResourceDefinition) > 0) + btoi(k.Src != "") + btoi(k.Name != "") + btoi(len(k.LabelSelectors) > 0)
	switch {
	case given != 1:
		return fmt.Errorf("exactly one of name, label_selectors, resource_definition and src is required")
	case (k.Name != "" || len(k.LabelSelectors) > 0) && k.Kind == "":
		return errRequired("kind")
	case *k.Replicas < 0:
		return fmt.Errorf("replicas: %d is negative", *k.Replicas)
	}
	return nil
}

// ScaleOut is what the task registers: the object, or {results: […]} for several.
type ScaleOut struct {
	Result   any `json:"result"`
	Duration int `json:"duration" orch:"after"`
	// Failure is the failure's message as data.
	Failure *FailureOut `json:"failure,omitempty"`
	// Error is what went wrong with a single object under continue_on_error.
	Error *ErrorOut `json:"error,omitempty"`

	warnings []string // of the wait
}

// Report implements modules.Reporter.
func (o *ScaleOut) Report(res *modules.Result) { res.Warnings = append(res.Warnings, o.warnings...) }

// results fills in what the task registers.
func (o *ScaleOut) results(items []*item) {
	list := []ItemOut{}
	for _, it := range items {
		one := ItemOut{Result: shownObject(it.after, nil), Method: "patch", Changed: it.action == Configure}
		if it.err != nil {
			one.Error = &ErrorOut{it.err.Error()}
		}
		list = append(list, one)
	}
	if len(list) == 1 {
		o.Result, o.Error = list[0].Result, list[0].Error
		return
	}
	o.Result = map[string]any{"results": list}
}

// Plan implements Module.
func (k *K8sScale) Plan(ctx context.Context, v *View) (modules.Plan[*Target], error) {
	items, err := k.items(ctx, v)
	if err != nil {
		return modules.Plan[*Target]{}, err
	}
	if len(items) == 1 && items[0].unverified != "" {
		return afterwards(items[0], "scale", &ScaleOut{Result: shownObject(items[0].live, nil)}), nil
	}
	out := &ScaleOut{}
	plan := modules.Plan[*Target]{Out: out}
	for _, it := range items {
		it.after, it.action = it.live, Unchanged
		if it.err == nil {
			it.err = k.planOne(ctx, v, it, &plan, func() { out.results(items) })
		}
		if it.err != nil && !k.ContinueOnError {
			return plan, it.err
		}
		plan.Warnings = append(plan.Warnings, it.remarks()...)
	}
	out.results(items)
	waited := slices.DeleteFunc(slices.Clone(items), func(it *item) bool {
		return it.err != nil || it.skipped != "" || it.id.Kind == "Job" // kubernetes.core: a Job's end is not what is asked for
	})
	if k.Wait && len(waited) > 0 {
		plan.Steps = append(plan.Steps, modules.Step[*Target]{
			Title: "wait until " + summary(waited) + " ready", Effect: modules.Act,
			Do: func(ctx context.Context, t *Target) (bool, error) {
				report, err := t.wait(ctx, waited, Waiting{WaitTimeout: k.WaitTimeout}.wait(25))
				if err != nil {
					return false, err
				}
				live(waited, report)
				out.results(items)
				out.Duration, out.Failure = int(report.Elapsed.Seconds()), report.failure()
				out.warnings = report.Warnings()
				if !report.OK() {
					return false, report.Failure()
				}
				return false, nil
			},
		})
	}
	return plan, nil
}

// items finds what is to be scaled; what is not there is an error of its own.
func (k *K8sScale) items(ctx context.Context, v *View) ([]*item, error) {
	if k.Name != "" {
		it, err := v.one(ctx, k.Named)
		return []*item{it}, err
	}
	if len(k.LabelSelectors) > 0 {
		return v.selected(ctx, k.Named, k.LabelSelectors)
	}
	objects, err := (&K8s{Named: k.Named, ResourceDefinition: k.ResourceDefinition, Src: k.Src}).definitions(ctx, v)
	if err != nil {
		return nil, modules.Failf("%v", err)
	}
	items, err := v.resolve(objects, k.Namespace)
	if err == nil {
		err = v.lookup(ctx, items)
	}
	if err != nil {
		return nil, modules.Failf("%v", err)
	}
	for _, it := range items {
		if it.live == nil {
			it.err = modules.Failf("%s does not exist", it.id)
		}
	}
	return items, nil
}

// planOne adds the step that scales one object, if it is to be scaled.
func (k *K8sScale) planOne(ctx context.Context, v *View, it *item, plan *modules.Plan[*Target], done func()) error {
	field := "replicas"
	if it.id.Kind == "Job" {
		field = "parallelism"
	}
	now := object{it.live.Object}.num(1, "spec", field)
	switch {
	case k.CurrentReplicas != nil && now != int64(*k.CurrentReplicas):
		plan.Msg, it.skipped = fmt.Sprintf("there are %d replicas, not %d", now, *k.CurrentReplicas), "it has another number of replicas"
		return nil
	case k.ResourceVersion != "" && k.ResourceVersion != it.live.GetResourceVersion():
		plan.Msg, it.skipped = "the object has another resource version", "it has another resource version"
		return nil
	case now == int64(*k.Replicas):
		return nil
	}
	if err := k.autoscaler(ctx, v, it, plan); err != nil {
		return err
	}
	body := fmt.Appendf(nil, `{"spec":{%q:%d}}`, field, *k.Replicas)
	patch := func(ctx context.Context, dry ...string) error {
		u, err := v.cluster.Resource(it.mapping, it.id.Namespace).
			Patch(ctx, it.id.Name, types.MergePatchType, body, metav1.PatchOptions{DryRun: dry})
		if err != nil {
			return modules.Failf("scale %s: %v", it.id, explainAPI(err))
		}
		it.after, it.action = u, Configure
		return nil
	}
	if err := patch(ctx, metav1.DryRunAll); err != nil {
		return err
	}
	step := modules.Step[*Target]{Title: fmt.Sprintf("scale %s from %d to %d", it.id, now, *k.Replicas), Diff: v.diffOf(it)}
	if k.ContinueOnError && !v.check {
		step.Effect = modules.Maybe // it may fail without failing the task
	}
	step.Do = func(ctx context.Context, _ *Target) (bool, error) {
		err := patch(ctx)
		if err != nil && k.ContinueOnError {
			it.action, it.err, err = Fail, err, nil
		}
		done()
		return it.err == nil, err
	}
	plan.Steps = append(plan.Steps, step)
	return nil
}

// autoscaler deals with what would set another number at once.
func (k *K8sScale) autoscaler(ctx context.Context, v *View, it *item, plan *modules.Plan[*Target]) error {
	if !hasReplicas(it.id.Kind) || *k.Replicas == 0 {
		return nil // 0 switches its autoscaler off
	}
	list, err := v.autoscalers(ctx, it.id.Namespace)
	if err != nil {
		return modules.Failf("%v", err)
	}
	i := slices.IndexFunc(list, func(a unstructured.Unstructured) bool { return scales(&a, it.id) })
	if i < 0 {
		return nil
	}
	a, n := &list[i], int64(*k.Replicas)
	least, most := object{a.Object}.num(1, "spec", "minReplicas"), object{a.Object}.num(1, "spec", "maxReplicas")
	switch {
	case k.HPA == "fail":
		return modules.Failf("HorizontalPodAutoscaler %s sets the replicas of %s\nhint: hpa: adjust changes its bounds", a.GetName(), it.id)
	case k.HPA == "adjust" && (n < least || n > most):
		return k.adjust(ctx, v, it, a, min(n, least), max(n, most), plan)
	case n < least || n > most:
		it.notes = append(it.notes, fmt.Sprintf("HorizontalPodAutoscaler %s will put its replicas back between %d and %d (hpa: adjust)", a.GetName(), least, most))
	default:
		it.notes = append(it.notes, fmt.Sprintf("HorizontalPodAutoscaler %s may set another number of replicas", a.GetName()))
	}
	return nil
}

// adjust plans the bounds of an autoscaler.
func (k *K8sScale) adjust(ctx context.Context, v *View, it *item, a *unstructured.Unstructured, least, most int64, plan *modules.Plan[*Target]) error {
	m, err := v.cluster.Mapping(autoscalerKind)
	if err != nil {
		return modules.Failf("%v", explainAPI(err))
	}
	body := fmt.Appendf(nil, `{"spec":{"minReplicas":%d,"maxReplicas":%d}}`, least, most)
	patch := func(ctx context.Context, dry ...string) (*unstructured.Unstructured, error) {
		u, err := v.cluster.Resource(m, it.id.Namespace).Patch(ctx, a.GetName(), types.MergePatchType, body, metav1.PatchOptions{DryRun: dry})
		if err != nil {
			return nil, modules.Failf("adjust HorizontalPodAutoscaler %s: %v", a.GetName(), explainAPI(err))
		}
		return u, nil
	}
	after, err := patch(ctx, metav1.DryRunAll)
	if err != nil {
		return err
	}
	bounds := &item{id: ID{autoscalerKind, it.id.Namespace, a.GetName()}, live: a, after: after}
	plan.Steps = append(plan.Steps, modules.Step[*Target]{
		Title: fmt.Sprintf("adjust %s to %d to %d replicas", bounds.id, least, most), Diff: v.diffOf(bounds),
		Do: func(ctx context.Context, _ *Target) (bool, error) {
			_, err := patch(ctx)
			return err == nil, err
		},
	})
	return nil
}
