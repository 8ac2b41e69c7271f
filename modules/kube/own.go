package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"orch/modules"
	"orch/playbook/jinja/value"
)

// A judgement is what the task's own conditions say of an object: false when they leave
// it to the rules of its kind.
type judgement func(u *unstructured.Unstructured) (Status, bool, error)

// judgement makes one of ready_when and failed_when_object; nil when neither is given.
func (k *K8s) judgement(ctx context.Context, site Site) judgement {
	given := func(v value.Value) bool { return v != nil && v != value.None{} }
	if !given(k.ReadyWhen) && !given(k.FailedWhenObject) {
		return nil
	}
	holds := func(cond value.Value, u *unstructured.Unstructured) (bool, error) {
		if !given(cond) {
			return false, nil
		}
		o, err := valueOf(u)
		if err != nil {
			return false, err
		}
		v, err := site.Truth(ctx, cond, value.Named{Name: "object", Val: o})
		// What a controller has not written yet is no mistake.
		if undefined := (*value.UndefinedError)(nil); errors.As(err, &undefined) {
			return false, nil
		}
		return err == nil && value.Truth(v), err
	}
	return func(u *unstructured.Unstructured) (Status, bool, error) {
		bad, err := holds(k.FailedWhenObject, u)
		if err != nil {
			return Status{}, true, modules.Failf("failed_when_object: %v", err)
		}
		if bad {
			return failed("FailedWhen", "failed_when_object holds: %s", value.String(k.FailedWhenObject)), true, nil
		}
		if !given(k.ReadyWhen) {
			return Status{}, false, nil
		}
		good, err := holds(k.ReadyWhen, u)
		switch {
		case err != nil:
			return Status{}, true, modules.Failf("ready_when: %v", err)
		case good:
			return ready("ready_when holds"), true, nil
		}
		return progressing("Waiting", "ready_when does not hold yet: %s", value.String(k.ReadyWhen)), true, nil
	}
}

// valueOf is an object as a value of the template language; the data of a Secret is
// there, conditions may be about it and their values are never shown.
func valueOf(u *unstructured.Unstructured) (value.Value, error) {
	text, err := json.Marshal(u.Object)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", idOf(u), err)
	}
	return value.FromJSON(text)
}
