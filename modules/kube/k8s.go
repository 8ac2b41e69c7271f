package kube

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"orch/modules"
	"orch/playbook/jinja/value"
)

// Waiting are the options of modules that can wait for what they changed.
type Waiting struct {
	// Whether to wait until the objects are ready (or gone).
	Wait bool
	// Accepted and void: changes are watched, nothing is polled.
	WaitSleep int `orch:"default=5"`
	// Seconds to wait at most.
	WaitTimeout int `orch:"default=120"`
	// A condition to wait for, instead of readiness.
	WaitCondition *WaitCondition
}

// WaitCondition is a condition of an object's status.
type WaitCondition struct {
	// Type of the condition.
	Type string
	// Its status.
	Status string `orch:"enum=True|False|Unknown,default=True"`
	// Its reason, if that matters.
	Reason string
}

func (w Waiting) wait(logLines int) Wait {
	o := Wait{Timeout: time.Duration(w.WaitTimeout) * time.Second, LogLines: int64(logLines), Restarts: 1}
	if w.WaitCondition != nil {
		o.Condition = &Condition{w.WaitCondition.Type, w.WaitCondition.Status, w.WaitCondition.Reason}
	}
	return o
}

// Named are the options that name an object.
type Named struct {
	// API version of the object.
	APIVersion string `orch:"name=api_version,default=v1,alias=api|version"`
	// Kind of the object.
	Kind string
	// Name of the object.
	Name string
	// Namespace of the object, and of objects defined without one.
	Namespace string
}

// K8s manages objects of a Kubernetes cluster: it creates, changes, applies, patches and
// deletes them, and waits until they serve.
//
// By default a definition is merged into what is there, so that several tasks may each
// define a part of one object. With apply the definition is the whole truth.
type K8s struct {
	Auth
	Named
	Waiting
	// Whether the object is there, gone, or (patched) changed only if it exists.
	State string `orch:"enum=present|absent|patched,default=present"`
	// Replace the whole object instead of merging.
	Force bool
	// Apply the definition: fields the last apply set and this one does not are removed.
	Apply bool
	// Server-side apply, with field_manager and force_conflicts.
	ServerSideApply *ServerSideApply
	// Manager that the fields we write belong to.
	FieldManager string `orch:"default=orch"`
	// What happens to fields that another manager owns when the definition is applied: the
	// first rule that matches a field decides, and where none does the task fails.
	Conflicts []ConflictRule
	// Whether an object is deleted and made anew: never, only when the change is refused
	// because a field is immutable, or always when it differs. The server must have said in
	// a dry run that it takes the new one; what holds data is never replaced.
	Replace Replacing `orch:"enum=never|if_immutable|always,default=never"`
	// Leave the number of replicas to a HorizontalPodAutoscaler of the workload.
	RespectHPA bool `orch:"name=respect_hpa,default=true"`
	// Kinds of patch to try when merging: strategic-merge, merge, json.
	MergeType []string
	// Have the server check the definition against its schema, in dry runs and writes.
	Validate_ *Validate `orch:"name=validate"`
	// Append a hash of the content to the name of ConfigMaps and Secrets.
	AppendHash bool
	// The objects: a mapping, a list of them, or YAML text of one or many documents.
	ResourceDefinition modules.Raw `orch:"alias=definition|inline"`
	// File with the objects on the controller, or an http(s) URL.
	Src string
	// Template of the objects: a path, a mapping with path and options, or a list.
	Template modules.Raw
	// Go on with the other objects when one fails; the task does not fail then, the error
	// is in result and objects.
	ContinueOnError bool
	// Labels that a definition must have to be looked at, or objects to be deleted.
	LabelSelectors []string
	// Prefix of a name the server completes; such an object is made anew by each run.
	GenerateName string
	// How objects are deleted.
	DeleteOptions *DeleteOptions
	// Delete all objects of the kind in the namespace.
	DeleteAll bool `orch:"alias=all"`
	// Fields left out of the result, as paths: metadata.managedFields.
	HiddenFields []string `orch:"default=metadata.managedFields"`
	// A condition that makes an object ready, instead of the rules of its kind: an
	// expression, or a list of them, about the variable object.
	ReadyWhen value.Value
	// A condition that makes an object failed: an expression about the variable object.
	FailedWhenObject value.Value
	// Lines of a failed container's log that the failure quotes.
	LogLines int `orch:"default=25"`
}

// ServerSideApply are the options of server-side apply.
type ServerSideApply struct {
	// Manager the fields belong to; that of the task if not given.
	FieldManager string
	// Take fields from other managers.
	ForceConflicts bool
}

// Validate are the options of validation.
type Validate struct {
	// Fail on unknown and doubled fields instead of warning of them.
	FailOnError bool
	// Does nothing, and says so: the server validates by its own version.
	Version string
	// Whether unknown fields matter at all.
	Strict *bool
}

// DeleteOptions say how objects are deleted.
type DeleteOptions struct {
	// Seconds a pod gets to stop.
	GracePeriodSeconds *int `orch:"name=gracePeriodSeconds"`
	// Conditions for the deletion.
	Preconditions *Preconditions
	// What happens to what the object owns.
	PropagationPolicy string `orch:"name=propagationPolicy,enum=Foreground|Background|Orphan"`
}

// Preconditions must hold for a deletion.
type Preconditions struct {
	// The object's resource version.
	ResourceVersion string `orch:"name=resourceVersion"`
	// The object's UID.
	UID string `orch:"name=uid"`
}

// Validate implements modules.Validator.
func (k *K8s) Validate() error {
	given := 0
	for _, ok := range []bool{len(k.ResourceDefinition) > 0, k.Src != "", len(k.Template) > 0} {
		given += btoi(ok)
	}
	switch {
	case given > 1:
		return fmt.Errorf("parameters are mutually exclusive: resource_definition|src|template")
	case given == 0 && k.Kind == "":
		return fmt.Errorf("one of resource_definition, src, template and kind is required")
	case k.Apply && k.Force:
		return fmt.Errorf("parameters are mutually exclusive: apply|force")
	case k.Apply && len(k.MergeType) > 0:
		return fmt.Errorf("parameters are mutually exclusive: merge_type|apply")
	case k.ServerSideApply != nil && k.Force:
		return fmt.Errorf("parameters are mutually exclusive: server_side_apply|force")
	case len(k.Conflicts) > 0 && !k.Apply && k.ServerSideApply == nil:
		return fmt.Errorf("conflicts goes with apply or server_side_apply")
	case len(k.Conflicts) > 0 && k.ServerSideApply != nil && k.ServerSideApply.ForceConflicts:
		return fmt.Errorf("parameters are mutually exclusive: conflicts|server_side_apply.force_conflicts")
	case k.State == "absent" && k.Replace != "" && k.Replace != ReplaceNever:
		return fmt.Errorf("replace wants state: present or patched")
	case k.DeleteAll && k.State != "absent":
		return fmt.Errorf("delete_all wants state: absent")
	case k.DeleteAll && (given > 0 || k.Kind == ""):
		return fmt.Errorf("delete_all goes with kind and namespace, not with a definition")
	case k.DeleteOptions != nil && k.State != "absent":
		return fmt.Errorf("delete_options wants state: absent")
	case k.Name != "" && k.GenerateName != "":
		return fmt.Errorf("parameters are mutually exclusive: name|generate_name")
	}
	if _, err := labels.Parse(strings.Join(k.LabelSelectors, ",")); err != nil {
		return fmt.Errorf("label_selectors: %w", err)
	}
	for _, m := range k.MergeType {
		if _, ok := patchTypes[m]; !ok {
			return fmt.Errorf("merge_type: unknown value %q, one of strategic-merge, merge, json", m)
		}
	}
	return nil
}

var patchTypes = map[string]types.PatchType{
	"strategic-merge": types.StrategicMergePatchType, "merge": types.MergePatchType, "json": types.JSONPatchType,
}

// K8sOut is what the task registers: the object, or {results: […]} for several.
type K8sOut struct {
	Result   any         `json:"result"`
	Method   string      `json:"method,omitempty"`
	Duration int         `json:"duration" orch:"after"`
	Objects  []ObjectOut `json:"objects"`
	// Failure is the failure's message as data.
	Failure *FailureOut `json:"failure,omitempty"`
	// Error is what went wrong with a single object under continue_on_error.
	Error *ErrorOut `json:"error,omitempty"`

	warnings []string // of the writes
}

// Report implements modules.Reporter.
func (o *K8sOut) Report(res *modules.Result) { res.Warnings = append(res.Warnings, o.warnings...) }

// ItemOut is one of several objects in result.results.
type ItemOut struct {
	Changed bool           `json:"changed"`
	Method  string         `json:"method,omitempty"`
	Result  map[string]any `json:"result"`
	Error   *ErrorOut      `json:"error,omitempty"`
}

// ErrorOut is what went wrong with an object.
type ErrorOut struct {
	Msg string `json:"msg"`
}

// ObjectOut says what happened to one object.
type ObjectOut struct {
	Kind      string `json:"kind"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
	Action    Action `json:"action"`
	Reason    string `json:"reason,omitempty"`
}

// Plan implements Module.
func (k *K8s) Plan(ctx context.Context, v *View) (modules.Plan[*Target], error) {
	objects, err := k.definitions(ctx, v)
	if err != nil {
		return modules.Plan[*Target]{}, modules.Failf("%v", err)
	}
	if k.State == "absent" {
		return k.planAbsent(ctx, v, objects)
	}
	if len(objects) == 0 {
		return modules.Plan[*Target]{}, modules.Failf("there is no object to define: resource_definition, src or template is empty")
	}
	items, err := v.resolve(objects, k.Namespace)
	if err != nil {
		return modules.Plan[*Target]{}, modules.Failf("%v", err)
	}
	k.filter(items, func(it *item) *unstructured.Unstructured { return it.want })
	if k.Validate_ != nil && k.Validate_.Version != "" {
		v.cluster.warn("validate.version does nothing: the server validates by its own version")
	}
	w := k.writer()
	if err := v.plan(ctx, items, w); err != nil {
		return modules.Plan[*Target]{}, modules.Failf("%v", err)
	}
	out := &K8sOut{}
	plan := modules.Plan[*Target]{Out: out, Warnings: v.cluster.Warnings()}
	k.results(out, items)
	if v.check {
		plan.Warnings = append(plan.Warnings, unverified(items)...)
	}
	for _, it := range items {
		plan.Warnings = append(plan.Warnings, it.remarks()...)
	}
	plan.Steps = k.steps(v, items, w, out)
	return plan, nil
}

// unverified says which objects the server could not look at beforehand, a line for each
// reason.
func unverified(items []*item) []string {
	var reasons []string
	objects := map[string][]string{}
	for _, it := range items {
		if why := it.unverified; why != "" {
			if objects[why] == nil {
				reasons = append(reasons, why)
			}
			objects[why] = append(objects[why], it.id.String())
		}
	}
	for i, why := range reasons {
		reasons[i] = fmt.Sprintf("%s cannot be checked by the server: %s", strings.Join(objects[why], ", "), why)
	}
	return reasons
}

// filter passes over the objects that label_selectors does not match.
func (k *K8s) filter(items []*item, labelled func(*item) *unstructured.Unstructured) {
	selector, err := labels.Parse(strings.Join(k.LabelSelectors, ","))
	if err != nil || selector.Empty() {
		return // Validate refuses what cannot be parsed
	}
	for _, it := range items {
		u := labelled(it)
		if u != nil && !selector.Matches(labels.Set(u.GetLabels())) {
			it.skipped = "label_selectors does not match it"
		}
	}
}

// remarks are what the plan has to say of an object that nothing is done about.
func (it *item) remarks() []string {
	switch {
	case it.err != nil:
		return []string{it.err.Error()}
	case it.skipped != "":
		return []string{fmt.Sprintf("%s is left alone: %s", it.id, it.skipped)}
	}
	var list []string
	for _, note := range it.notes {
		list = append(list, fmt.Sprintf("%s: %s", it.id, note))
	}
	it.notes = nil // each is said once: a write may add to them
	return list
}

// steps are one for each object that changes, done together in stages by the first,
// and one that waits.
func (k *K8s) steps(v *View, items []*item, w writer, out *K8sOut) []modules.Step[*Target] {
	var steps []modules.Step[*Target]
	start := time.Now()
	for _, it := range items {
		if it.action == Unchanged || it.action == Fail {
			continue
		}
		step := modules.Step[*Target]{Title: string(it.action) + " " + it.id.String(), Diff: v.diffOf(it)}
		if w.goOn && !v.check {
			step.Effect = modules.Maybe // the write may fail without failing the task
		}
		written := func() {
			if it.wrote && step.Diff != nil { // the server may have made it more than it was to be
				*step.Diff = *v.diffOf(it)
			}
		}
		step.Do = func(context.Context, *Target) (bool, error) {
			written()
			return it.wrote, nil
		}
		if len(steps) == 0 {
			step.Do = func(ctx context.Context, t *Target) (bool, error) {
				err := t.execute(ctx, items, w)
				k.results(out, items)
				out.warnings = v.cluster.Warnings()
				for _, it := range items {
					if it.wrote {
						out.warnings = append(out.warnings, it.remarks()...)
					}
				}
				written()
				if err != nil { // what was written before it counts
					return slices.ContainsFunc(items, func(it *item) bool { return it.wrote }), modules.Failf("%v", err)
				}
				return it.wrote, nil
			}
		}
		steps = append(steps, step)
	}
	if k.Wait {
		steps = append(steps, modules.Step[*Target]{
			Title: "wait until " + summary(items) + " ready", Effect: modules.Act,
			Do: func(ctx context.Context, t *Target) (bool, error) {
				waited := slices.DeleteFunc(slices.Clone(items), func(it *item) bool { return it.err != nil || it.skipped != "" })
				o := k.wait(k.LogLines)
				o.Judge = k.judgement(ctx, v.site)
				report, err := t.wait(ctx, waited, o)
				out.Duration = int(time.Since(start).Seconds())
				if err != nil {
					return false, err
				}
				live(waited, report)
				k.results(out, items)
				for i, it := range waited {
					if it.wrote { // what was so before needs no mention by every run
						out.warnings = append(out.warnings, report.Outcomes[i].warnings()...)
					}
				}
				if !report.OK() {
					out.Failure = report.Data()
					return false, report.Failure()
				}
				return false, nil
			},
		})
	}
	return steps
}

// live puts what the wait saw last into the result.
func live(items []*item, r *Report) {
	for i, it := range items {
		if r.Outcomes[i].Live != nil {
			it.after = r.Outcomes[i].Live
		}
	}
}

func summary(items []*item) string {
	if len(items) == 1 {
		return items[0].id.String() + " is"
	}
	return fmt.Sprintf("%d objects are", len(items))
}

func (k *K8s) writer() writer {
	w := writer{method: Merge, manager: k.FieldManager, goOn: k.ContinueOnError, rules: k.Conflicts, replace: k.Replace, respect: k.RespectHPA}
	if o := k.Validate_; o != nil {
		switch {
		case o.Strict != nil && !*o.Strict:
			w.validation = metav1.FieldValidationIgnore
		case o.FailOnError:
			w.validation = metav1.FieldValidationStrict
		default:
			w.validation = metav1.FieldValidationWarn
		}
	}
	switch {
	case k.ServerSideApply != nil:
		w.method, w.manager, w.force = Apply, orElse(k.ServerSideApply.FieldManager, k.FieldManager), k.ServerSideApply.ForceConflicts
	case k.Apply:
		// The same promise as client-side apply, kept by the server: our fields are ours.
		w.method, w.force = Apply, len(k.Conflicts) == 0
	case k.Force:
		w.method = Put
	case k.State == "patched":
		w.method = PatchOnly
	}
	for _, m := range k.MergeType {
		w.types = append(w.types, patchTypes[m])
	}
	return w
}

// results fills in what the task registers.
func (k *K8s) results(out *K8sOut, items []*item) {
	out.Objects = nil
	list := []ItemOut{}
	for _, it := range items {
		one := ItemOut{Result: k.shown(it.after), Method: k.methodOf(it), Changed: it.action != Unchanged && it.action != Fail}
		reason := orElse(it.unverified, it.skipped)
		if it.err != nil {
			reason = it.err.Error()
			one.Error = &ErrorOut{reason}
		}
		out.Objects = append(out.Objects, ObjectOut{
			Kind: it.id.Kind, Namespace: it.id.Namespace, Name: it.id.Name, Action: it.action, Reason: reason,
		})
		list = append(list, one)
	}
	if len(list) == 1 {
		out.Result, out.Method, out.Error = list[0].Result, list[0].Method, list[0].Error
		return
	}
	out.Result = map[string]any{"results": list}
}

// methodOf is kubernetes.core's word for how an object is brought to its definition.
func (k *K8s) methodOf(it *item) string {
	switch {
	case it.action == Replace:
		return "replace"
	case k.State == "absent":
		return "delete"
	case k.Apply || k.ServerSideApply != nil:
		return "apply"
	case it.live == nil:
		return "create"
	case k.Force:
		return "update"
	}
	return "patch"
}

// shown is an object without its hidden fields; the data of a Secret is masked.
func (k *K8s) shown(u *unstructured.Unstructured) map[string]any {
	return shownObject(u, k.HiddenFields)
}

func shownObject(u *unstructured.Unstructured, hidden []string) map[string]any {
	if u == nil {
		return map[string]any{}
	}
	o := u.DeepCopy()
	for _, path := range hidden {
		unstructured.RemoveNestedField(o.Object, strings.Split(path, ".")...)
	}
	if isSecret(u) {
		return masked(o.Object)
	}
	return o.Object
}

// diffOf shows what happens to an object, if anybody asks.
func (v *View) diffOf(it *item) *modules.Diff {
	if !v.diff {
		return nil
	}
	after := it.after
	if it.action == Delete {
		after = nil
	}
	return &modules.Diff{
		BeforeHeader: it.id.String(), AfterHeader: it.id.String(), Before: show(it.live), After: show(after),
	}
}
