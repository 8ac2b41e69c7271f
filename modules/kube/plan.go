package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// Method is how an object is brought to its definition.
type Method string

// The methods.
const (
	// Merge patches what the definition names and leaves the rest: several tasks may each
	// define a part (kubernetes.core's default).
	Merge Method = "merge"
	// Apply is server-side apply: what the last apply set and this one does not is removed.
	Apply Method = "apply"
	// Put replaces the whole object (force: true).
	Put Method = "put"
	// PatchOnly is Merge for objects that must exist (state: patched).
	PatchOnly Method = "patched"
)

// parallel bounds the requests of one task that are under way at once.
const parallel = 16

// listFrom is how many objects of a kind and namespace are looked up by one LIST
// instead of a GET each.
const listFrom = 4

// A writer brings objects to their definitions by one method.
type writer struct {
	method  Method
	manager string // field manager of server-side apply
	force   bool   // take fields from other managers
	types   []types.PatchType
	// validation is the server's field validation: Strict, Warn, Ignore, or "" for its
	// own default.
	validation string
	// goOn keeps the others going when one object fails: its error stays in the item.
	goOn    bool
	rules   []ConflictRule // of server-side apply
	replace Replacing
	respect bool // leave replicas to autoscalers
}

// fail keeps an object's error if the others go on, and returns it if not.
func (w writer) fail(it *item, err error) error {
	err = fmt.Errorf("%s: %s", it.id, hide(explainAPI(err).Error(), secretsOf(it.want, it.live)))
	if !w.goOn {
		return err
	}
	it.action, it.err, it.after = Fail, err, it.live
	return nil
}

// lookup fills in what is there now: one LIST per kind and namespace for many objects.
func (v *View) lookup(ctx context.Context, items []*item) error {
	type bucket struct {
		gvk       schema.GroupVersionKind
		namespace string
	}
	buckets := map[bucket][]*item{}
	for _, it := range items {
		if it.mapping != nil && it.id.Name != "" {
			b := bucket{it.id.GroupVersionKind, it.id.Namespace}
			buckets[b] = append(buckets[b], it)
		}
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for _, list := range buckets {
		if len(list) >= listFrom {
			g.Go(func() error {
				err := v.lookupList(ctx, list)
				if apierrors.IsForbidden(err) { // allowed to get what it may not list
					return v.lookupEach(ctx, list)
				}
				return err
			})
			continue
		}
		for _, it := range list {
			g.Go(func() error { return v.lookupEach(ctx, []*item{it}) })
		}
	}
	return g.Wait()
}

func (v *View) lookupList(ctx context.Context, list []*item) error {
	byName := make(map[string]*item, len(list))
	for _, it := range list {
		byName[it.id.Name] = it
	}
	res := v.cluster.Resource(list[0].mapping, list[0].id.Namespace)
	for opts := (metav1.ListOptions{Limit: 500}); ; {
		page, err := res.List(ctx, opts)
		if apierrors.IsNotFound(err) {
			return nil
		}
		if err != nil {
			return err
		}
		for i := range page.Items {
			if it, ok := byName[page.Items[i].GetName()]; ok {
				it.live = &page.Items[i]
			}
		}
		if opts.Continue = page.GetContinue(); opts.Continue == "" {
			return nil
		}
	}
}

func (v *View) lookupEach(ctx context.Context, list []*item) error {
	for _, it := range list {
		live, err := v.cluster.Resource(it.mapping, it.id.Namespace).Get(ctx, it.id.Name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			return fmt.Errorf("get %s: %w", it.id, explainAPI(err))
		}
		it.live = live
	}
	return nil
}

// plan asks the server what writing every object would come to.
func (v *View) plan(ctx context.Context, items []*item, w writer) error {
	if err := v.lookup(ctx, items); err != nil {
		return err
	}
	if w.respect {
		if err := v.respectAutoscalers(ctx, items); err != nil {
			return err
		}
	}
	for _, it := range items {
		// Before the dry runs: a namespace of the set makes room for the others.
		if it.live == nil && stageOf(it.id.Kind) <= stages["CustomResourceDefinition"] {
			v.cluster.overlay.add(it.want)
		}
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for _, it := range items {
		g.Go(func() error {
			if err := v.planOne(ctx, it, w); err != nil {
				return w.fail(it, err)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for _, it := range items {
		if v.check && it.action == Create && it.id.Name != "" {
			v.cluster.overlay.keep(it.id, it.after)
		}
	}
	return nil
}

func (v *View) planOne(ctx context.Context, it *item, w writer) error {
	planned := (*unstructured.Unstructured)(nil)
	if it.live == nil {
		planned = v.cluster.overlay.object(it.id)
	}
	switch {
	case it.skipped != "":
		it.action, it.after = Unchanged, it.live
		return nil
	case planned != nil && v.check:
		// An earlier task of this check run makes the object: the server cannot say what
		// this part of its definition comes to.
		it.action, it.after, it.unverified = Configure, it.want, "an earlier task of this run makes it"
		if covers(planned.Object, it.want.Object) {
			it.action, it.after = Unchanged, planned
		}
		return nil
	case it.live == nil && w.method == PatchOnly:
		// kubernetes.core: patching what is not there is nothing, and a warning
		it.action, it.skipped = Unchanged, "it does not exist, and state patched makes nothing"
		return nil
	case it.live == nil:
		it.action = Create
	default:
		it.action = Configure
	}
	if it.mapping == nil || it.live == nil && !v.check {
		// Of what is not there a run asks nothing first: the create itself is refused by the
		// same words, and half of a first rollout's requests are saved.
		it.after = it.want
		return nil
	}
	if it.live != nil && w.method == Merge && covers(it.live.Object, it.want.Object) {
		// The definition is there to the letter: no need to ask.
		it.action, it.after = Unchanged, it.live
		return nil
	}
	after, err := w.write(ctx, v.cluster, it, true)
	switch {
	case err == nil:
	case it.live != nil && immutable(err) && (w.replace == ReplaceImmutable || w.replace == ReplaceAlways):
		return v.planReplace(ctx, it, w)
	case it.live != nil && immutable(err):
		return fmt.Errorf("%w\nhint: replace: if_immutable deletes the object and makes it anew", explainAPI(err))
	case apierrors.IsNotFound(err) && it.live == nil && v.cluster.overlay.hasNamespace(it.id.Namespace):
		it.after, it.unverified = it.want, "its namespace is made by the same run"
		return nil
	case v.check && (apierrors.IsInvalid(err) || apierrors.IsBadRequest(err)) && hasLater(it.want.Object):
		it.after, it.unverified = it.want, "a part of it is known only after the run"
		return nil
	case unverifiable(err):
		it.after, it.unverified = it.want, "a webhook takes no part in dry runs"
		return nil
	default:
		return err
	}
	it.after = after
	switch {
	case it.live == nil:
	case same(it.live, after):
		it.action = Unchanged
	case w.replace == ReplaceAlways:
		return v.planReplace(ctx, it, w)
	}
	return nil
}

// unverifiable reports a webhook without dry-run support.
func unverifiable(err error) bool {
	return apierrors.IsBadRequest(err) && strings.Contains(err.Error(), "does not support dry run")
}

// same compares what a write would leave with what is there.
func same(live, after *unstructured.Unstructured) bool {
	return reflect.DeepEqual(withoutNoise(live), withoutNoise(after))
}

// covers reports whether every field of want is in have with the same value. Lists must
// be equal: how they merge is the server's knowledge. Data written as stringData is
// never covered.
func covers(have, want any) bool {
	switch w := want.(type) {
	case map[string]any:
		h, ok := have.(map[string]any)
		if !ok {
			return len(w) == 0 && have == nil
		}
		for k, v := range w {
			if k == "status" || k == "stringData" {
				return false
			}
			hv, found := h[k]
			if !found && v != nil || !covers(hv, v) {
				return false
			}
		}
		return true
	}
	return reflect.DeepEqual(have, want)
}

// write brings one object to its definition, or asks what that would come to.
func (w writer) write(ctx context.Context, c *Cluster, it *item, dry bool) (*unstructured.Unstructured, error) {
	var dryRun []string
	if dry {
		dryRun = []string{metav1.DryRunAll}
	}
	res := c.Resource(it.mapping, it.id.Namespace)
	switch {
	case w.method == Apply && it.id.Name != "":
		return w.apply(ctx, res, it, dryRun)
	case it.live == nil:
		return res.Create(ctx, it.want, metav1.CreateOptions{DryRun: dryRun, FieldManager: w.manager, FieldValidation: w.validation})
	case w.method == Put:
		put := it.want.DeepCopy()
		put.SetResourceVersion(it.live.GetResourceVersion())
		return res.Update(ctx, put, metav1.UpdateOptions{DryRun: dryRun, FieldManager: w.manager, FieldValidation: w.validation})
	}
	return w.patch(ctx, c, it, dryRun)
}

// patch tries the kinds of merge in order: a custom resource knows no strategic merge.
func (w writer) patch(ctx context.Context, c *Cluster, it *item, dryRun []string) (*unstructured.Unstructured, error) {
	body, err := json.Marshal(it.want.Object)
	if err != nil {
		return nil, fmt.Errorf("encode: %w", err)
	}
	kinds := w.types
	if len(kinds) == 0 {
		kinds = []types.PatchType{types.MergePatchType}
		if builtIn(it.id.Group) {
			kinds = []types.PatchType{types.StrategicMergePatchType, types.MergePatchType}
		}
	}
	res := c.Resource(it.mapping, it.id.Namespace)
	var last error
	for _, kind := range kinds {
		after, err := res.Patch(ctx, it.id.Name, kind, body, metav1.PatchOptions{
			DryRun: dryRun, FieldManager: w.manager, FieldValidation: w.validation,
		})
		if err == nil || !apierrors.IsUnsupportedMediaType(err) {
			return after, err
		}
		last = err
	}
	return nil, last
}

// builtIn reports whether a group may be the server's own: "apps", "networking.k8s.io".
// Some kinds of *.k8s.io are custom resources; the server then refuses the strategic
// merge and gets the other.
func builtIn(group string) bool {
	return !strings.Contains(group, ".") || strings.HasSuffix(group, ".k8s.io")
}

// byStage groups the objects that something happens to, in the order of writing.
func byStage(items []*item) [][]*item {
	groups := make([][]*item, 9)
	for _, it := range items {
		n := stageOf(it.id.Kind)
		groups[n] = append(groups[n], it)
	}
	var order [][]*item
	for _, g := range groups {
		if len(g) > 0 {
			order = append(order, g)
		}
	}
	return order
}

// execute writes what the plan says, stage by stage. A failure stops later stages; what
// was written stays, and is in the items.
func (t *Target) execute(ctx context.Context, items []*item, w writer) error {
	for _, stage := range byStage(items) {
		g, gctx := errgroup.WithContext(ctx)
		g.SetLimit(parallel)
		crds := false
		for _, it := range stage {
			if it.action == Unchanged || it.action == Fail {
				continue
			}
			crds = crds || it.id.Kind == "CustomResourceDefinition"
			g.Go(func() error { return t.writeOne(gctx, it, w) })
		}
		if err := g.Wait(); err != nil {
			return err
		}
		if crds {
			if err := t.established(ctx, stage); err != nil {
				return err
			}
		}
	}
	return nil
}

func (t *Target) writeOne(ctx context.Context, it *item, w writer) error {
	if it.mapping == nil {
		m, err := t.cluster.Mapping(it.id.GroupVersionKind)
		if err != nil {
			return w.fail(it, err)
		}
		it.mapping = m
	}
	write := func() (*unstructured.Unstructured, error) { return w.write(ctx, t.cluster, it, false) }
	if it.action == Replace {
		write = func() (*unstructured.Unstructured, error) { return t.replace(ctx, it, w) }
	}
	after, err := patiently(ctx, write)
	if err != nil {
		return w.fail(it, err)
	}
	it.after, it.unverified, it.wrote = after, "", true
	if it.id.Name == "" {
		it.id.Name = after.GetName()
	}
	return nil
}

// patiently repeats a write that is refused for a reason that is over in a moment.
func patiently(ctx context.Context, write func() (*unstructured.Unstructured, error)) (*unstructured.Unstructured, error) {
	for try := 1; ; try++ {
		after, err := write()
		if !momentary(err) || try == maxTries {
			return after, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(time.Duration(try) * 100 * time.Millisecond):
		}
	}
}

// momentary reports a quota that another object is counted against at the same time, and
// a pod whose namespace is so new that its default account is not there.
func momentary(err error) bool {
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return false
	}
	details := status.Status().Details
	return apierrors.IsConflict(err) && details != nil && details.Kind == "resourcequotas" ||
		apierrors.IsForbidden(err) && strings.Contains(err.Error(), "error looking up service account")
}
