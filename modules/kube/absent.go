package kube

import (
	"context"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"orch/modules"
)

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
	if len(objects) > 0 {
		k.filter(items, func(it *item) *unstructured.Unstructured { return it.live })
	}
	out := &K8sOut{}
	var there []*item
	for _, it := range items {
		it.action = Unchanged
		if it.live != nil && it.live.GetDeletionTimestamp() == nil && it.skipped == "" {
			it.action = Delete
			there = append(there, it)
		}
		it.after = it.live
	}
	k.results(out, items)
	plan := modules.Plan[*Target]{Out: out, Warnings: v.cluster.Warnings()}
	for _, it := range items {
		plan.Warnings = append(plan.Warnings, it.remarks()...)
	}
	for _, it := range there {
		plan.Steps = append(plan.Steps, k.deleteStep(v, it, items, out))
	}
	if k.Wait && len(there) > 0 {
		plan.Steps = append(plan.Steps, modules.Step[*Target]{
			Title: "wait until " + summary(there) + " gone", Effect: modules.Act,
			Do: func(ctx context.Context, t *Target) (bool, error) {
				w := k.wait(k.LogLines)
				w.Absent, w.Condition = true, nil
				deleted := slices.DeleteFunc(slices.Clone(there), func(it *item) bool { return it.err != nil })
				report, err := t.wait(ctx, deleted, w)
				if err != nil {
					return false, err
				}
				out.Duration = int(report.Elapsed.Seconds())
				if !report.OK() {
					out.Failure = report.Data()
					return false, report.Failure()
				}
				return false, nil
			},
		})
	}
	return plan, nil
}

// deleteStep deletes one object. With continue_on_error its error goes into the result.
func (k *K8s) deleteStep(v *View, it *item, items []*item, out *K8sOut) modules.Step[*Target] {
	step := modules.Step[*Target]{Title: "delete " + it.id.String(), Diff: v.diffOf(it)}
	if k.ContinueOnError && !v.check {
		step.Effect = modules.Maybe
	}
	step.Do = func(ctx context.Context, t *Target) (bool, error) {
		err := t.remove(ctx, it, k.DeleteOptions)
		if err != nil && k.ContinueOnError {
			it.action, it.err = Fail, err
			k.results(out, items)
			return false, nil
		}
		return err == nil, err
	}
	return step
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
