package kube

import (
	"sync"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// An overlay remembers what a check run would have made: a dry run of an object in a
// namespace that is not there yet is refused by the server, and must not fail the play.
type overlay struct {
	mu         sync.Mutex
	namespaces map[string]bool
	kinds      map[schema.GroupKind]bool
	objects    map[string]*unstructured.Unstructured // by ID.same
}

// keep remembers an object that a check run would have made, as it would be.
func (o *overlay) keep(id ID, u *unstructured.Unstructured) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.objects == nil {
		o.objects = map[string]*unstructured.Unstructured{}
	}
	o.objects[id.same()] = u
}

// object returns what a check run would have made under an ID, nil for nothing.
func (o *overlay) object(id ID) *unstructured.Unstructured {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.objects[id.same()]
}

// add remembers an object that a run would create.
func (o *overlay) add(u *unstructured.Unstructured) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch u.GetKind() {
	case "Namespace":
		if o.namespaces == nil {
			o.namespaces = map[string]bool{}
		}
		o.namespaces[u.GetName()] = true
	case "CustomResourceDefinition":
		if o.kinds == nil {
			o.kinds = map[schema.GroupKind]bool{}
		}
		o.kinds[definedKind(u)] = true
	}
}

// definedKind is the kind that a CustomResourceDefinition makes.
func definedKind(u *unstructured.Unstructured) schema.GroupKind {
	o := object{u.Object}
	return schema.GroupKind{Group: o.str("spec", "group"), Kind: o.str("spec", "names", "kind")}
}

func (o *overlay) hasNamespace(name string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.namespaces[name]
}

func (o *overlay) hasKind(gk schema.GroupKind) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.kinds[gk]
}
