package kube

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"orch/modules"
)

// K8sInfo reads objects of a cluster: one by name, or all of a kind that labels and
// fields select. The kind may be a category: "all" is what kubectl get all shows.
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
	// Register a text beside the objects, by a template as kubectl get -o jsonpath takes it:
	// {.items[*].metadata.name}. It is about the object if a name is given, and else about
	// the list of them. What an object does not have is empty.
	JSONPath string `orch:"name=jsonpath"`
	// What of each object resources holds instead of the whole: a path by name, such as
	// ip: .status.podIP. Several matches are a list, none is null.
	Fields map[string]string
	// Path of what the objects are sorted by, as for kubectl get --sort-by: .metadata.name.
	SortBy string
}

// Validate implements modules.Validator.
func (k *K8sInfo) Validate() error {
	if k.Kind == "" {
		return errRequired("kind")
	}
	if k.MetadataOnly && len(k.Fields) > 0 {
		return fmt.Errorf("parameters are mutually exclusive: metadata_only|fields")
	}
	if _, err := parsePath(k.JSONPath); err != nil {
		return fmt.Errorf("jsonpath: %w", err)
	}
	for _, name := range slices.Sorted(maps.Keys(k.Fields)) {
		if _, err := relaxedPath(k.Fields[name]); err != nil {
			return fmt.Errorf("fields.%s: %w", name, err)
		}
	}
	if k.SortBy != "" {
		if _, err := relaxedPath(k.SortBy); err != nil {
			return fmt.Errorf("sort_by: %w", err)
		}
	}
	return nil
}

// K8sInfoOut is what the task registers.
type K8sInfoOut struct {
	// APIFound is false when the cluster has no such kind.
	APIFound  bool             `json:"api_found"`
	Resources []map[string]any `json:"resources"`
	// JSONPath is the text that the template makes.
	JSONPath *string `json:"jsonpath,omitempty"`
}

// Plan implements Module. Waiting changes nothing, so it is part of looking.
func (k *K8sInfo) Plan(ctx context.Context, v *View) (modules.Plan[*Target], error) {
	out := &K8sInfoOut{Resources: []map[string]any{}}
	plan := modules.Plan[*Target]{Out: out}
	items, err := k.find(ctx, v)
	if unknown := (*noKindError)(nil); errors.As(err, &unknown) {
		if unknown.like != "" { // a mistake rather than a question
			plan.Warnings = append(plan.Warnings, fmt.Sprintf("the cluster has no kind %s: did you mean %s?", k.Kind, unknown.like))
		}
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
	if err := k.show(out, items); err != nil {
		return plan, modules.Failf("%v", err)
	}
	plan.Warnings = v.cluster.Warnings()
	return plan, nil
}

// show fills in the result. Paths are about what is shown: the data of a Secret is masked
// in them too.
func (k *K8sInfo) show(out *K8sInfoOut, items []*item) error {
	list := make([]any, len(items))
	for i, it := range items {
		list[i] = shownObject(it.live, k.HiddenFields)
	}
	if k.SortBy != "" {
		if err := sortBy(list, k.SortBy); err != nil {
			return err
		}
	}
	if k.JSONPath != "" {
		var about any = map[string]any{"apiVersion": "v1", "kind": "List", "items": list}
		if k.Name != "" && len(list) > 0 {
			about = list[0]
		}
		text, err := pathText(k.JSONPath, about)
		if err != nil {
			return fmt.Errorf("jsonpath: %w", err)
		}
		out.JSONPath = &text
	}
	for _, entry := range list {
		o, _ := entry.(map[string]any)
		switch {
		case k.MetadataOnly:
			o = map[string]any{"apiVersion": o["apiVersion"], "kind": o["kind"], "metadata": o["metadata"]}
		case len(k.Fields) > 0:
			row := make(map[string]any, len(k.Fields))
			for name, path := range k.Fields {
				found, err := pathValues(path, o)
				if err != nil {
					return fmt.Errorf("fields.%s: %w", name, err)
				}
				row[name] = found
			}
			o = row
		}
		out.Resources = append(out.Resources, o)
	}
	return nil
}

// find reads the objects, of one kind or of all kinds of a category.
func (k *K8sInfo) find(ctx context.Context, v *View) ([]*item, error) {
	gvk, err := v.cluster.KindFor(k.APIVersion, k.Kind)
	if err == nil {
		return k.findKind(ctx, v, gvk)
	}
	if !meta.IsNoMatchError(err) {
		return nil, err
	}
	kinds, cerr := v.cluster.Category(k.Kind)
	switch {
	case cerr != nil:
		return nil, cerr
	case len(kinds) == 0:
		return nil, err
	case k.Name != "":
		return nil, modules.Failf("name goes with one kind, and %s stands for %d", k.Kind, len(kinds))
	}
	found := make([][]*item, len(kinds))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for i, gvk := range kinds {
		g.Go(func() (err error) {
			found[i], err = k.findKind(ctx, v, gvk)
			return err
		})
	}
	err = g.Wait()
	return slices.Concat(found...), err
}

func (k *K8sInfo) findKind(ctx context.Context, v *View, gvk schema.GroupVersionKind) ([]*item, error) {
	m, err := v.cluster.Mapping(gvk)
	if err != nil {
		return nil, err
	}
	if k.Name == "" {
		return v.list(ctx, m, k.Namespace, metav1.ListOptions{
			LabelSelector: strings.Join(k.LabelSelectors, ","), FieldSelector: strings.Join(k.FieldSelectors, ","),
		})
	}
	u, err := v.cluster.Resource(m, orElse(k.Namespace, v.cluster.namespace())).Get(ctx, k.Name, metav1.GetOptions{})
	if isGone(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return []*item{{id: idOf(u), mapping: m, live: u, want: u}}, nil
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
