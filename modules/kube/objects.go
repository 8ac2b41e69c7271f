package kube

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/yaml"
)

// An ID names an object of a cluster.
type ID struct {
	schema.GroupVersionKind
	Namespace, Name string
}

// String is "Deployment shop/web".
func (id ID) String() string {
	if id.Namespace == "" {
		return id.Kind + " " + id.Name
	}
	return id.Kind + " " + id.Namespace + "/" + id.Name
}

// same ignores the version: apps/v1 and apps/v1beta1 are one object.
func (id ID) same() string {
	return id.Group + "/" + id.Kind + " " + id.Namespace + "/" + id.Name
}

func idOf(u *unstructured.Unstructured) ID {
	return ID{u.GroupVersionKind(), u.GetNamespace(), u.GetName()}
}

// parse reads the objects of one or many documents, YAML or JSON; lists are flattened.
func parse(what string, text []byte) ([]*unstructured.Unstructured, error) {
	var objects []*unstructured.Unstructured
	docs := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(text), 4096)
	for n := 1; ; n++ {
		var raw map[string]any
		err := docs.Decode(&raw)
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%s, document %d: %w", what, n, err)
		}
		if len(raw) == 0 {
			continue
		}
		list, err := flatten(normalize(raw).(map[string]any))
		if err != nil {
			return nil, fmt.Errorf("%s, document %d: %w", what, n, err)
		}
		objects = append(objects, list...)
	}
}

// normalize makes numbers what unstructured objects want: int64 and float64.
func normalize(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, item := range v {
			v[k] = normalize(item)
		}
	case []any:
		for i, item := range v {
			v[i] = normalize(item)
		}
	case float64:
		if n := int64(v); float64(n) == v {
			return n
		}
	case int:
		return int64(v)
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		f, _ := v.Float64()
		return f
	}
	return v
}

func flatten(raw map[string]any) ([]*unstructured.Unstructured, error) {
	u := &unstructured.Unstructured{Object: raw}
	items, ok := raw["items"].([]any)
	if !ok || !strings.HasSuffix(u.GetKind(), "List") {
		return []*unstructured.Unstructured{u}, nil
	}
	var objects []*unstructured.Unstructured
	for _, item := range items {
		m, ok := item.(map[string]any)
		if !ok {
			return nil, fmt.Errorf("an item of a %s is no object", u.GetKind())
		}
		list, err := flatten(m)
		if err != nil {
			return nil, err
		}
		objects = append(objects, list...)
	}
	return objects, nil
}

// keys lists the fields of an object, never their values: it may be a Secret.
func keys(m map[string]any) string {
	list := make([]string, 0, len(m))
	for k := range m {
		list = append(list, k)
	}
	return orElse(sorted(list), "no field")
}

// An item is an object of a set on its way through the pipeline.
type item struct {
	id      ID
	want    *unstructured.Unstructured
	mapping *meta.RESTMapping // nil: the kind is not served (yet)

	live   *unstructured.Unstructured // nil: absent
	after  *unstructured.Unstructured // what a write yields, by dry run or for real
	action Action
	// wrote is set once the object was written for real.
	wrote bool
	// skipped says why nothing is done about the object although it is defined.
	skipped string
	// err is why it could not be planned or written (continue_on_error).
	err error
	// unverified says why the server could not be asked: a namespace or kind that the
	// same run makes.
	unverified string
	// notes are remarks on how the definition was read.
	notes []string
}

// Action is what happens to an object.
type Action string

// The actions.
const (
	Create    Action = "create"
	Configure Action = "configure"
	Unchanged Action = "unchanged"
	Replace   Action = "replace"
	Delete    Action = "delete"
	Fail      Action = "fail"
)

// resolve finds every object's resource and namespace and refuses doubles.
func (v *View) resolve(objects []*unstructured.Unstructured, namespace string) ([]*item, error) {
	var items []*item
	seen := map[string]bool{}
	clusterWide := map[schema.GroupKind]bool{} // whether a kind that the set itself defines is
	for _, u := range objects {
		if u.GetKind() == "CustomResourceDefinition" {
			scope, _, _ := unstructured.NestedString(u.Object, "spec", "scope")
			clusterWide[definedKind(u)] = scope == "Cluster"
		}
	}
	for _, u := range objects {
		it := &item{want: u}
		m, err := v.cluster.Mapping(u.GroupVersionKind())
		switch {
		case err == nil:
			it.mapping = m
			if m.Scope.Name() == meta.RESTScopeNameNamespace {
				if u.GetNamespace() == "" {
					u.SetNamespace(orElse(namespace, v.cluster.namespace()))
				}
			} else {
				u.SetNamespace("")
			}
		case meta.IsNoMatchError(err):
			wide, own := clusterWide[u.GroupVersionKind().GroupKind()]
			if !own && !v.cluster.overlay.hasKind(u.GroupVersionKind().GroupKind()) {
				return nil, err
			}
			it.unverified = "its kind is defined by the same run"
			if !wide && u.GetNamespace() == "" {
				u.SetNamespace(orElse(namespace, v.cluster.namespace()))
			}
		default:
			return nil, explainAPI(err)
		}
		if u.GetName() == "" && u.GetGenerateName() == "" {
			return nil, fmt.Errorf("%s has no metadata.name", u.GetKind())
		}
		it.id = idOf(u)
		if u.GetName() != "" {
			if seen[it.id.same()] {
				return nil, fmt.Errorf("%s is given twice", it.id)
			}
			seen[it.id.same()] = true
		}
		items = append(items, it)
	}
	return items, nil
}

// namespace is the one of the kubeconfig's context.
func (c *Cluster) namespace() string {
	if c.DefaultNamespace != "" {
		return c.DefaultNamespace
	}
	return "default"
}

// stages orders kinds: what others need comes first, what watches them comes last.
var stages = map[string]int{
	"Namespace": 0, "CustomResourceDefinition": 1,
	"PriorityClass": 2, "StorageClass": 2, "IngressClass": 2, "RuntimeClass": 2,
	"ResourceQuota": 3, "LimitRange": 3, "ServiceAccount": 3, "Role": 3, "ClusterRole": 3, "RoleBinding": 3, "ClusterRoleBinding": 3,
	"ConfigMap": 4, "Secret": 4, "PersistentVolume": 4, "PersistentVolumeClaim": 4, "NetworkPolicy": 4,
	"Service": 5,
	"Ingress": 7, "HorizontalPodAutoscaler": 7, "PodDisruptionBudget": 7,
	"MutatingWebhookConfiguration": 8, "ValidatingWebhookConfiguration": 8, "APIService": 8,
}

const workloadStage = 6

func stageOf(kind string) int {
	if n, ok := stages[kind]; ok {
		return n
	}
	return workloadStage
}
