package kube

import (
	"context"
	"encoding/json"
	"slices"
	"sort"
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// A revision is an older state of a workload's pod template.
type revision struct {
	number   int64
	template map[string]any
	notes    map[string]string // annotations
	created  time.Time
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
			r.number, _ = strconv.ParseInt(u.GetAnnotations()[revisionNote], 10, 64)
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

// current is the number of a workload's present revision. One that its controller has not
// seen yet will get the next number.
func current(live *unstructured.Unstructured, revs []revision) int64 {
	number, err := strconv.ParseInt(live.GetAnnotations()[revisionNote], 10, 64)
	newest := int64(0)
	if len(revs) > 0 {
		newest = revs[len(revs)-1].number
	}
	if err != nil { // no Deployment
		number = newest
	}
	template, _ := nested(live.Object, "spec", "template")
	i := slices.IndexFunc(revs, func(r revision) bool { return r.number == number })
	if i >= 0 && (object{live.Object}).stale() && !sameTemplate(revs[i].template, template) {
		return newest + 1
	}
	return number
}

// before is the newest revision below the present one whose template differs from it: the
// one that undo goes back to. nil if there is none.
func before(revs []revision, now int64, template map[string]any) *revision {
	for i := len(revs) - 1; i >= 0; i-- {
		if r := &revs[i]; r.number < now && !sameTemplate(r.template, template) {
			return r
		}
	}
	return nil
}

// containerLists are the fields of a pod's spec that hold containers with images.
var containerLists = []string{"initContainers", "containers"}

func imagesOf(u *unstructured.Unstructured) map[string]string {
	t, _ := nested(u.Object, "spec", "template")
	return templateImages(t)
}

func templateImages(t map[string]any) map[string]string {
	images := map[string]string{}
	for _, list := range containerLists {
		for _, c := range (object{t}).list("spec", list) {
			images[c.str("name")] = c.str("image")
		}
	}
	return images
}
