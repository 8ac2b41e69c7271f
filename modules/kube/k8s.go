package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"orch/modules"
	"orch/modules/control"
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
	// Kinds of patch to try when merging: strategic-merge, merge, json.
	MergeType []string
	// Check the definition against the server's schema first.
	Validate_ *Validate `orch:"name=validate"`
	// Append a hash of the content to the name of ConfigMaps and Secrets.
	AppendHash bool
	// The objects: a mapping, a list of them, or YAML text of one or many documents.
	ResourceDefinition modules.Raw `orch:"alias=definition|inline"`
	// File with the objects on the controller, or an http(s) URL.
	Src string
	// Template of the objects: a path, a mapping with path and options, or a list.
	Template modules.Raw
	// Go on with the other objects when one fails.
	ContinueOnError bool
	// Labels that objects to delete or patch must have.
	LabelSelectors []string
	// Prefix of a name the server completes; such an object is made anew by each run.
	GenerateName string
	// How objects are deleted.
	DeleteOptions *DeleteOptions
	// Delete all objects of the kind in the namespace.
	DeleteAll bool `orch:"alias=all"`
	// Fields left out of the result, as paths: metadata.managedFields.
	HiddenFields []string `orch:"default=metadata.managedFields"`
	// Lines of a failed container's log that the failure quotes.
	LogLines int `orch:"default=25"`
}

// ServerSideApply are the options of server-side apply.
type ServerSideApply struct {
	// Manager the fields belong to.
	FieldManager string `orch:"default=orch"`
	// Take fields from other managers.
	ForceConflicts bool
}

// Validate are the options of validation.
type Validate struct {
	// Fail instead of warning.
	FailOnError bool
	// Accepted and void: the server validates by its own version.
	Version string
	// Refuse unknown fields.
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
	if err := k.validateAuth(); err != nil {
		return err
	}
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
	case k.DeleteAll && k.State != "absent":
		return fmt.Errorf("delete_all wants state: absent")
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
	Result   any            `json:"result"`
	Method   string         `json:"method,omitempty"`
	Duration int            `json:"duration" orch:"after"`
	Objects  []ObjectOut    `json:"objects"`
	Failure  map[string]any `json:"failure,omitempty"`
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
	w := k.writer()
	if err := v.plan(ctx, items, w); err != nil {
		return modules.Plan[*Target]{}, modules.Failf("%v", err)
	}
	out := &K8sOut{Method: string(w.method)}
	plan := modules.Plan[*Target]{Out: out, Warnings: v.cluster.Warnings()}
	k.results(out, items)
	for _, it := range items {
		if it.unverified != "" {
			plan.Warnings = append(plan.Warnings, fmt.Sprintf("%s cannot be checked by the server: %s", it.id, it.unverified))
		}
	}
	plan.Steps = k.steps(items, w, out)
	return plan, nil
}

// steps are one for each object that changes, done together in stages by the first,
// and one that waits.
func (k *K8s) steps(items []*item, w writer, out *K8sOut) []modules.Step[*Target] {
	var steps []modules.Step[*Target]
	start := time.Now()
	for _, it := range items {
		if it.action == Unchanged {
			continue
		}
		step := modules.Step[*Target]{Title: string(it.action) + " " + it.id.String(), Diff: diffOf(it)}
		step.Do = func(context.Context, *Target) (bool, error) { return true, nil }
		if len(steps) == 0 {
			step.Do = func(ctx context.Context, t *Target) (bool, error) {
				err := t.execute(ctx, items, w)
				k.results(out, items)
				if err != nil {
					return false, modules.Failf("%v", err)
				}
				return true, nil
			}
		}
		steps = append(steps, step)
	}
	if k.Wait {
		steps = append(steps, modules.Step[*Target]{
			Title: "wait until " + summary(items) + " ready", Effect: modules.Act,
			Do: func(ctx context.Context, t *Target) (bool, error) {
				report, err := t.wait(ctx, items, k.wait(k.LogLines))
				out.Duration = int(time.Since(start).Seconds())
				if err != nil {
					return false, err
				}
				k.live(items, report)
				k.results(out, items)
				if !report.OK() {
					return false, report.Failure()
				}
				return false, nil
			},
		})
	}
	return steps
}

// live puts what the wait saw last into the result.
func (k *K8s) live(items []*item, r *Report) {
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
	w := writer{method: Merge, manager: "orch"}
	switch {
	case k.ServerSideApply != nil:
		w.method, w.manager, w.force = Apply, k.ServerSideApply.FieldManager, k.ServerSideApply.ForceConflicts
	case k.Apply:
		// The same promise as client-side apply, kept by the server: our fields are ours.
		w.method, w.force = Apply, true
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

// definitions gathers the objects of the task.
func (k *K8s) definitions(ctx context.Context, v *View) ([]*unstructured.Unstructured, error) {
	var objects []*unstructured.Unstructured
	var err error
	switch {
	case len(k.ResourceDefinition) > 0:
		objects, err = inline(k.ResourceDefinition)
	case k.Src != "":
		var text []byte
		if text, err = v.source(ctx, k.Src); err == nil {
			objects, err = parse(k.Src, text)
		}
	case len(k.Template) > 0:
		objects, err = v.templates(ctx, k.Template)
	default:
		if k.State == "absent" && (k.DeleteAll || k.Name == "" || len(k.LabelSelectors) > 0) {
			return nil, nil
		}
		gvk, err := v.cluster.KindFor(k.APIVersion, k.Kind)
		if err != nil {
			return nil, explainAPI(err)
		}
		u := &unstructured.Unstructured{Object: map[string]any{}}
		u.SetGroupVersionKind(gvk)
		u.SetName(k.Name)
		u.SetGenerateName(k.GenerateName)
		objects = []*unstructured.Unstructured{u}
	}
	if err != nil {
		return nil, err
	}
	for _, u := range objects {
		if k.GenerateName != "" && u.GetName() == "" {
			u.SetGenerateName(k.GenerateName)
		}
		if k.Name != "" && u.GetName() == "" && len(objects) == 1 && u.GetGenerateName() == "" {
			u.SetName(k.Name)
		}
		if k.AppendHash {
			if err := appendHash(u); err != nil {
				return nil, err
			}
		}
	}
	return objects, nil
}

// inline reads a definition given in the task: a mapping, a list, or text.
func inline(raw modules.Raw) ([]*unstructured.Unstructured, error) {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return parse("resource_definition", []byte(text))
	}
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) != nil {
		return parse("resource_definition", raw)
	}
	var objects []*unstructured.Unstructured
	for _, item := range list {
		more, err := inline(modules.Raw(item))
		if err != nil {
			return nil, err
		}
		objects = append(objects, more...)
	}
	return objects, nil
}

// source reads a file of the controller or a URL.
func (v *View) source(ctx context.Context, src string) ([]byte, error) {
	if strings.HasPrefix(src, "http://") || strings.HasPrefix(src, "https://") {
		return download(ctx, src)
	}
	path, err := v.site.Find("files", src)
	if err != nil {
		return nil, err
	}
	return v.site.ReadFile(path, true)
}

// templates renders the template option: a path, a mapping with path, or a list.
func (v *View) templates(ctx context.Context, raw modules.Raw) ([]*unstructured.Unstructured, error) {
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) == nil {
		var objects []*unstructured.Unstructured
		for _, item := range list {
			more, err := v.templates(ctx, modules.Raw(item))
			if err != nil {
				return nil, err
			}
			objects = append(objects, more...)
		}
		return objects, nil
	}
	var o struct {
		Path                string `json:"path"`
		NewlineSequence     string `json:"newline_sequence"`
		BlockStartString    string `json:"block_start_string"`
		BlockEndString      string `json:"block_end_string"`
		VariableStartString string `json:"variable_start_string"`
		VariableEndString   string `json:"variable_end_string"`
		TrimBlocks          *bool  `json:"trim_blocks"`
		LstripBlocks        bool   `json:"lstrip_blocks"`
	}
	if json.Unmarshal(raw, &o.Path) != nil {
		if err := json.Unmarshal(raw, &o); err != nil {
			return nil, fmt.Errorf("template wants a path, a mapping with path, or a list: %w", err)
		}
	}
	path, err := v.site.Find("templates", o.Path)
	if err != nil {
		return nil, err
	}
	text, err := v.site.Render(ctx, control.Render{
		Path: path, NewlineSequence: o.NewlineSequence, BlockStart: o.BlockStartString, BlockEnd: o.BlockEndString,
		VariableStart: o.VariableStartString, VariableEnd: o.VariableEndString,
		TrimBlocks: o.TrimBlocks == nil || *o.TrimBlocks, LstripBlocks: o.LstripBlocks,
	})
	if err != nil {
		return nil, err
	}
	s, ok := text.(value.Str)
	if !ok {
		return nil, fmt.Errorf("template %s is known only after other steps have run", o.Path)
	}
	return parse(path, []byte(s.S))
}

// appendHash completes the name of a ConfigMap or Secret by a hash of its content.
func appendHash(u *unstructured.Unstructured) error {
	if u.GetKind() != "ConfigMap" && u.GetKind() != "Secret" {
		return nil
	}
	text, err := json.Marshal(map[string]any{
		"data": u.Object["data"], "binaryData": u.Object["binaryData"], "stringData": u.Object["stringData"], "name": u.GetName(),
	})
	if err != nil {
		return fmt.Errorf("hash %s: %w", u.GetName(), err)
	}
	h := fnv.New64a()
	_, _ = h.Write(text)
	u.SetName(fmt.Sprintf("%s-%x", u.GetName(), h.Sum64()))
	return nil
}

// results fills in what the task registers.
func (k *K8s) results(out *K8sOut, items []*item) {
	out.Objects = nil
	var list []any
	for _, it := range items {
		out.Objects = append(out.Objects, ObjectOut{
			Kind: it.id.Kind, Namespace: it.id.Namespace, Name: it.id.Name, Action: it.action, Reason: it.unverified,
		})
		list = append(list, k.shown(it.after))
	}
	if len(list) == 1 {
		out.Result = list[0]
		return
	}
	out.Result = map[string]any{"results": list}
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

func diffOf(it *item) *modules.Diff {
	after := it.after
	if it.action == Delete {
		after = nil
	}
	return &modules.Diff{
		BeforeHeader: it.id.String(), AfterHeader: it.id.String(), Before: show(it.live), After: show(after),
	}
}

// planAbsent deletes named objects, or all that a selector finds.
func (k *K8s) planAbsent(ctx context.Context, v *View, objects []*unstructured.Unstructured) (modules.Plan[*Target], error) {
	var items []*item
	var err error
	if len(objects) == 0 {
		items, err = k.selected(ctx, v)
	} else {
		items, err = v.resolve(objects, k.Namespace)
		if err == nil {
			err = v.lookup(ctx, items)
		}
	}
	if err != nil {
		return modules.Plan[*Target]{}, modules.Failf("%v", explainAPI(err))
	}
	out := &K8sOut{Method: "delete"}
	var there []*item
	for _, it := range items {
		it.action = Unchanged
		if it.live != nil && it.live.GetDeletionTimestamp() == nil {
			it.action = Delete
			there = append(there, it)
		}
		it.after = it.live
	}
	k.results(out, items)
	plan := modules.Plan[*Target]{Out: out, Warnings: v.cluster.Warnings()}
	for _, it := range there {
		plan.Steps = append(plan.Steps, modules.Step[*Target]{
			Title: "delete " + it.id.String(), Diff: diffOf(it),
			Do: func(ctx context.Context, t *Target) (bool, error) { return true, t.remove(ctx, it, k.DeleteOptions) },
		})
	}
	if k.Wait && len(there) > 0 {
		plan.Steps = append(plan.Steps, modules.Step[*Target]{
			Title: "wait until " + summary(there) + " gone", Effect: modules.Act,
			Do: func(ctx context.Context, t *Target) (bool, error) {
				w := k.wait(k.LogLines)
				w.Absent, w.Condition = true, nil
				report, err := t.wait(ctx, there, w)
				if err == nil && !report.OK() {
					err = report.Failure()
				}
				return false, err
			},
		})
	}
	return plan, nil
}

func (k *K8s) selected(ctx context.Context, v *View) ([]*item, error) {
	gvk, err := v.cluster.KindFor(k.APIVersion, k.Kind)
	if err != nil {
		return nil, err
	}
	m, err := v.cluster.Mapping(gvk)
	if err != nil {
		return nil, err
	}
	if len(k.LabelSelectors) == 0 && !k.DeleteAll {
		return nil, fmt.Errorf("name, label_selectors or delete_all is required to delete %s", gvk.Kind)
	}
	list, err := v.cluster.Resource(m, orElse(k.Namespace, v.cluster.namespace())).
		List(ctx, metav1.ListOptions{LabelSelector: strings.Join(k.LabelSelectors, ",")})
	if err != nil {
		return nil, err
	}
	var items []*item
	for i := range list.Items {
		u := &list.Items[i]
		items = append(items, &item{id: ID{gvk, u.GetNamespace(), u.GetName()}, mapping: m, want: u, live: u})
	}
	return items, nil
}

func (t *Target) remove(ctx context.Context, it *item, o *DeleteOptions) error {
	opts := metav1.DeleteOptions{}
	if o != nil {
		if o.GracePeriodSeconds != nil {
			n := int64(*o.GracePeriodSeconds)
			opts.GracePeriodSeconds = &n
		}
		if o.PropagationPolicy != "" {
			p := metav1.DeletionPropagation(o.PropagationPolicy)
			opts.PropagationPolicy = &p
		}
		if p := o.Preconditions; p != nil {
			opts.Preconditions = &metav1.Preconditions{}
			if p.ResourceVersion != "" {
				opts.Preconditions.ResourceVersion = &p.ResourceVersion
			}
			if uid := types.UID(p.UID); uid != "" {
				opts.Preconditions.UID = &uid
			}
		}
	}
	err := t.cluster.Resource(it.mapping, it.id.Namespace).Delete(ctx, it.id.Name, opts)
	if err != nil && !isGone(err) {
		return modules.Failf("delete %s: %v", it.id, explainAPI(err))
	}
	return nil
}
