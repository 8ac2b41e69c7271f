package kube

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"orch/playbook/source"
)

// Replacing is when an object is deleted and made anew.
type Replacing string

// The values of the option replace.
const (
	ReplaceNever     Replacing = "never"
	ReplaceImmutable Replacing = "if_immutable"
	ReplaceAlways    Replacing = "always"
)

// immutableText are the server's words for a field that cannot be changed (Kubernetes
// 1.34). Other refusals with the same code are mistakes of the definition, for which
// nothing may be deleted.
var immutableText = source.Lazy(`field is immutable|may not change once set|cannot change roleRef|updates to statefulset spec for fields other than|spec is immutable after creation`)

// immutable reports a refusal for no other reason than fields that cannot be changed.
func immutable(err error) bool {
	var status apierrors.APIStatus
	if !apierrors.IsInvalid(err) || !errors.As(err, &status) || status.Status().Details == nil {
		return false
	}
	causes := status.Status().Details.Causes
	for _, c := range causes {
		if !immutableText().MatchString(c.Message) {
			return false
		}
	}
	return len(causes) > 0
}

// neverReplaced are kinds that hold what cannot be made anew.
var neverReplaced = map[string]bool{
	"Namespace": true, "CustomResourceDefinition": true, "PersistentVolume": true, "PersistentVolumeClaim": true,
}

// planReplace plans to delete an object and make it anew, once the server has said that
// it would take the new one: a dry run under a name of its own.
func (v *View) planReplace(ctx context.Context, it *item, w writer) error {
	if neverReplaced[it.id.Kind] {
		return fmt.Errorf("a %s is never replaced: what is in it would go", it.id.Kind)
	}
	proof := it.want.DeepCopy()
	proof.SetName("")
	proof.SetGenerateName(it.id.Name[:min(len(it.id.Name), 40)] + "-")
	after, err := v.cluster.Resource(it.mapping, it.id.Namespace).
		Create(ctx, proof, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}, FieldManager: w.manager, FieldValidation: w.validation})
	switch {
	case err == nil:
		after.SetName(it.id.Name)
		after.SetGenerateName("")
		it.after = after
	case strings.Contains(err.Error(), "already allocated"):
		// An address or a port that the present object holds and gives back.
		it.after = it.want
	default:
		return fmt.Errorf("it cannot be replaced: %w", explainAPI(err))
	}
	it.action = Replace
	return nil
}

// replace deletes an object and makes it anew; if that fails the old one is put back.
func (t *Target) replace(ctx context.Context, it *item, w writer) (*unstructured.Unstructured, error) {
	res := t.cluster.Resource(it.mapping, it.id.Namespace)
	uid, background := it.live.GetUID(), metav1.DeletePropagationBackground
	err := res.Delete(ctx, it.id.Name, metav1.DeleteOptions{
		Preconditions: &metav1.Preconditions{UID: &uid}, PropagationPolicy: &background,
	})
	if err != nil && !isGone(err) {
		return nil, err
	}
	gone, err := t.wait(ctx, []*item{it}, Wait{Timeout: time.Minute, Absent: true})
	if err != nil {
		return nil, err
	}
	if !gone.OK() {
		return nil, fmt.Errorf("it is deleted, and not gone after %s: %s", gone.Elapsed.Round(time.Second), gone.line())
	}
	old := it.live
	it.live = nil
	after, err := w.write(ctx, t.cluster, it, false)
	it.live = old
	if err == nil {
		return after, nil
	}
	back := old.DeepCopy()
	back.SetResourceVersion("")
	back.SetUID("")
	back.SetManagedFields(nil)
	unstructured.RemoveNestedField(back.Object, "status")
	if _, put := res.Create(context.WithoutCancel(ctx), back, metav1.CreateOptions{FieldManager: w.manager}); put != nil {
		return nil, fmt.Errorf("%w\nhint: it is deleted, and could not be put back: %w", explainAPI(err), explainAPI(put))
	}
	return nil, fmt.Errorf("%w\nhint: it was deleted and has been put back as it was", explainAPI(err))
}
