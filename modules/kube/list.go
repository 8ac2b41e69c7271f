package kube

import (
	"context"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"orch/modules"
)

// pageSize is how many objects are asked for at once.
const pageSize = 500

// list reads the objects of a kind, page by page.
func (v *View) list(ctx context.Context, m *meta.RESTMapping, namespace string, o metav1.ListOptions) ([]*item, error) {
	var items []*item
	for o.Limit = pageSize; ; {
		page, err := v.cluster.Resource(m, namespace).List(ctx, o)
		if err != nil {
			return nil, err
		}
		for i := range page.Items {
			u := &page.Items[i]
			// Items of a list do not repeat their kind.
			u.SetGroupVersionKind(m.GroupVersionKind)
			items = append(items, &item{id: idOf(u), mapping: m, live: u, want: u})
		}
		if o.Continue = page.GetContinue(); o.Continue == "" {
			return items, nil
		}
	}
}

// selected finds the objects of a kind that labels select; none is a failure.
func (v *View) selected(ctx context.Context, n Named, labels []string) ([]*item, error) {
	gvk, err := v.cluster.KindFor(n.APIVersion, n.Kind)
	if err != nil {
		return nil, modules.Failf("%v", explainAPI(err))
	}
	m, err := v.cluster.Mapping(gvk)
	if err != nil {
		return nil, modules.Failf("%v", explainAPI(err))
	}
	selector := strings.Join(labels, ",")
	items, err := v.list(ctx, m, orElse(n.Namespace, v.cluster.namespace()), metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		return nil, modules.Failf("%v", explainAPI(err))
	}
	if len(items) == 0 {
		return nil, modules.Failf("no %s has labels %s", gvk.Kind, selector)
	}
	return items, nil
}

// Category lists the kinds of a category, each in the version the server prefers: "all"
// is what kubectl get all shows.
func (c *Cluster) Category(name string) ([]schema.GroupVersionKind, error) {
	c.mu.Lock()
	known, err := c.kinds()
	c.mu.Unlock()
	if err != nil {
		return nil, err
	}
	seen := map[schema.GroupKind]bool{}
	var kinds []schema.GroupVersionKind
	for _, k := range known {
		if slices.Contains(k.categories, name) && !seen[k.gvk.GroupKind()] {
			seen[k.gvk.GroupKind()] = true
			kinds = append(kinds, k.gvk)
		}
	}
	return kinds, nil
}
