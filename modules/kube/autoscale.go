package kube

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

var autoscalerKind = schema.GroupVersionKind{Group: "autoscaling", Version: "v2", Kind: "HorizontalPodAutoscaler"}

// hasReplicas reports kinds whose spec.replicas an autoscaler may set.
func hasReplicas(kind string) bool {
	switch kind {
	case "Deployment", "StatefulSet", "ReplicaSet", "ReplicationController":
		return true
	}
	return false
}

// scales reports whether an autoscaler sets the number of replicas of a workload.
func scales(autoscaler *unstructured.Unstructured, id ID) bool {
	o := object{autoscaler.Object}
	gv, err := schema.ParseGroupVersion(o.str("spec", "scaleTargetRef", "apiVersion"))
	return err == nil && gv.Group == id.Group && autoscaler.GetNamespace() == id.Namespace &&
		o.str("spec", "scaleTargetRef", "kind") == id.Kind && o.str("spec", "scaleTargetRef", "name") == id.Name
}

// autoscalers lists those of a namespace. Who may not list them is told of none: the
// write is refused then, or the autoscaler puts its number back.
func (v *View) autoscalers(ctx context.Context, namespace string) ([]unstructured.Unstructured, error) {
	m, err := v.cluster.Mapping(autoscalerKind)
	if err != nil {
		return nil, nil // a server without autoscaling/v2 has none
	}
	list, err := v.cluster.Resource(m, namespace).List(ctx, metav1.ListOptions{})
	if apierrors.IsForbidden(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list autoscalers of namespace %s: %w", namespace, explainAPI(err))
	}
	return list.Items, nil
}

// respectAutoscalers leaves the number of replicas to the autoscaler of a workload. Two
// numbers are always the author's: to start from 0, and to go to 0, which is how a
// workload is switched off and its autoscaler with it.
func (v *View) respectAutoscalers(ctx context.Context, items []*item) error {
	known := map[string][]unstructured.Unstructured{} // by namespace
	for _, it := range items {
		if it.want != nil && it.id.Kind == autoscalerKind.Kind {
			known[it.id.Namespace] = append(known[it.id.Namespace], *it.want)
		}
	}
	looked := map[string]bool{}
	for _, it := range items {
		want := object{it.want.Object}.num(0, "spec", "replicas")
		if !hasReplicas(it.id.Kind) || want == 0 || it.skipped != "" {
			continue
		}
		if it.live != nil {
			now := object{it.live.Object}.num(1, "spec", "replicas")
			if now == 0 || now == want {
				continue
			}
			if !looked[it.id.Namespace] {
				looked[it.id.Namespace] = true
				list, err := v.autoscalers(ctx, it.id.Namespace)
				if err != nil {
					return err
				}
				known[it.id.Namespace] = append(known[it.id.Namespace], list...)
			}
		}
		for i := range known[it.id.Namespace] {
			if a := &known[it.id.Namespace][i]; scales(a, it.id) {
				it.leaveReplicas(a.GetName())
				break
			}
		}
	}
	return nil
}

// leaveReplicas takes the number from the definition. Of an object that is there it is
// the present one: leaving the field out would, in an apply, give it up to its default.
func (it *item) leaveReplicas(autoscaler string) {
	if it.live == nil {
		unstructured.RemoveNestedField(it.want.Object, "spec", "replicas")
		return
	}
	now := object{it.live.Object}.num(1, "spec", "replicas")
	if err := unstructured.SetNestedField(it.want.Object, now, "spec", "replicas"); err != nil {
		return // the definition's spec is no mapping: the server says so
	}
	it.notes = append(it.notes, fmt.Sprintf("spec.replicas stays %d: HorizontalPodAutoscaler %s sets it (respect_hpa)", now, autoscaler))
}
