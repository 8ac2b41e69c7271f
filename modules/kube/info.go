package kube

import (
	"context"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"orch/modules"
)

// K8sInfo reads objects of a cluster: one by name, or all of a kind that labels and
// fields select.
type K8sInfo struct {
	Auth
	Named
	Waiting
	// Labels the objects must have.
	LabelSelectors []string
	// Fields the objects must have.
	FieldSelectors []string
	// Fields left out of the result, as paths.
	HiddenFields []string
	// Read names and labels only.
	MetadataOnly bool
}

// Validate implements modules.Validator.
func (k *K8sInfo) Validate() error {
	if k.Kind == "" {
		return errRequired("kind")
	}
	return k.validateAuth()
}

// K8sInfoOut is what the task registers.
type K8sInfoOut struct {
	// APIFound is false when the cluster has no such kind.
	APIFound  bool             `json:"api_found"`
	Resources []map[string]any `json:"resources"`
}

// Plan implements Module. Waiting changes nothing, so it is part of looking.
func (k *K8sInfo) Plan(ctx context.Context, v *View) (modules.Plan[*Target], error) {
	out := &K8sInfoOut{Resources: []map[string]any{}}
	plan := modules.Plan[*Target]{Out: out}
	items, err := k.find(ctx, v)
	if meta.IsNoMatchError(err) {
		return plan, nil
	}
	if err != nil {
		return plan, modules.Failf("%v", explainAPI(err))
	}
	out.APIFound = true
	if k.Wait && !v.check {
		if items, err = k.await(ctx, v, items); err != nil {
			return plan, err
		}
	}
	for _, it := range items {
		o := shownObject(it.live, k.HiddenFields)
		if k.MetadataOnly {
			o = map[string]any{"apiVersion": o["apiVersion"], "kind": o["kind"], "metadata": o["metadata"]}
		}
		out.Resources = append(out.Resources, o)
	}
	plan.Warnings = v.cluster.Warnings()
	return plan, nil
}

func (k *K8sInfo) find(ctx context.Context, v *View) ([]*item, error) {
	gvk, err := v.cluster.KindFor(k.APIVersion, k.Kind)
	if err != nil {
		return nil, err
	}
	m, err := v.cluster.Mapping(gvk)
	if err != nil {
		return nil, err
	}
	res := v.cluster.Resource(m, k.Namespace)
	if k.Name != "" {
		if m.Scope.Name() == meta.RESTScopeNameNamespace {
			res = v.cluster.Resource(m, orElse(k.Namespace, v.cluster.namespace()))
		}
		u, err := res.Get(ctx, k.Name, metav1.GetOptions{})
		if isGone(err) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		return []*item{{id: idOf(u), mapping: m, live: u, want: u}}, nil
	}
	var items []*item
	opts := metav1.ListOptions{
		LabelSelector: strings.Join(k.LabelSelectors, ","), FieldSelector: strings.Join(k.FieldSelectors, ","), Limit: 500,
	}
	for {
		page, err := res.List(ctx, opts)
		if err != nil {
			return nil, err
		}
		for i := range page.Items {
			u := &page.Items[i]
			// Items of a list do not repeat their kind.
			u.SetGroupVersionKind(gvk)
			items = append(items, &item{id: idOf(u), mapping: m, live: u, want: u})
		}
		if opts.Continue = page.GetContinue(); opts.Continue == "" {
			return items, nil
		}
	}
}

// await waits until the objects are ready; those that are not there yet are waited for
// too, as in kubernetes.core.
func (k *K8sInfo) await(ctx context.Context, v *View, items []*item) ([]*item, error) {
	deadline := time.Now().Add(time.Duration(k.WaitTimeout) * time.Second)
	for len(items) == 0 {
		if time.Now().After(deadline) {
			return nil, modules.Failf("no %s matched within %d s", k.Kind, k.WaitTimeout)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(250 * time.Millisecond):
		}
		var err error
		if items, err = k.find(ctx, v); err != nil {
			return nil, modules.Failf("%v", explainAPI(err))
		}
	}
	o := k.wait(25)
	o.Timeout = max(time.Until(deadline), time.Second)
	report, err := v.wait(ctx, items, o)
	if err != nil {
		return nil, err
	}
	if !report.OK() {
		return nil, report.Failure()
	}
	for i, it := range items {
		if live := report.Outcomes[i].Live; live != nil {
			it.live = live
		}
	}
	return items, nil
}

// one finds the single object a module is about; a missing one is a failure.
func (v *View) one(ctx context.Context, n Named) (*item, error) {
	gvk, err := v.cluster.KindFor(n.APIVersion, n.Kind)
	if err != nil {
		return nil, modules.Failf("%v", explainAPI(err))
	}
	u := &unstructured.Unstructured{Object: map[string]any{}}
	u.SetGroupVersionKind(gvk)
	u.SetName(n.Name)
	items, err := v.resolve([]*unstructured.Unstructured{u}, n.Namespace)
	if err != nil {
		return nil, modules.Failf("%v", err)
	}
	if err := v.lookup(ctx, items); err != nil {
		return nil, modules.Failf("%v", err)
	}
	if items[0].live == nil && v.check {
		if items[0].live = v.cluster.overlay.object(items[0].id); items[0].live != nil {
			items[0].unverified = "an earlier task of this run makes it"
		}
	}
	if items[0].live == nil {
		return nil, modules.Failf("%s does not exist", items[0].id)
	}
	return items[0], nil
}
