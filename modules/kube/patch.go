package kube

import (
	"context"
	"encoding/json"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"orch/modules"
)

func errRequired(name string) error { return fmt.Errorf("missing required arguments: %s", name) }

// K8sJSONPatch changes an existing object by a JSON patch (RFC 6902).
type K8sJSONPatch struct {
	Auth
	Named
	Waiting
	// The operations: a list of {op, path, value, from}.
	Patch modules.Raw `orch:"required"`
	// Fields left out of the result, as paths.
	HiddenFields []string
}

// Validate implements modules.Validator.
func (k *K8sJSONPatch) Validate() error {
	switch {
	case k.Kind == "":
		return errRequired("kind")
	case k.Name == "":
		return errRequired("name")
	}
	var ops []struct {
		Op   string `json:"op"`
		Path string `json:"path"`
	}
	if err := json.Unmarshal(k.Patch, &ops); err != nil {
		return fmt.Errorf("patch wants a list of operations: %w", err)
	}
	for i, op := range ops {
		switch op.Op {
		case "add", "remove", "replace", "copy", "move", "test":
		default:
			return fmt.Errorf("patch[%d]: unknown op %q, one of add, remove, replace, copy, move, test", i, op.Op)
		}
	}
	return nil
}

// PatchOut is what the task registers.
type PatchOut struct {
	Result   map[string]any `json:"result"`
	Duration int            `json:"duration" orch:"after"`
	// Failure is the failure's message as data.
	Failure *FailureOut `json:"failure,omitempty"`

	warnings []string // of the wait
}

// Report implements modules.Reporter.
func (o *PatchOut) Report(res *modules.Result) { res.Warnings = append(res.Warnings, o.warnings...) }

// Plan implements Module.
func (k *K8sJSONPatch) Plan(ctx context.Context, v *View) (modules.Plan[*Target], error) {
	it, err := v.one(ctx, k.Named)
	if err != nil {
		return modules.Plan[*Target]{}, err
	}
	if it.unverified != "" {
		return afterwards(it, "patch", &PatchOut{Result: shownObject(it.live, k.HiddenFields)}), nil
	}
	res := v.cluster.Resource(it.mapping, it.id.Namespace)
	it.after, err = res.Patch(ctx, it.id.Name, types.JSONPatchType, k.Patch, metav1.PatchOptions{DryRun: []string{metav1.DryRunAll}})
	if err != nil {
		return modules.Plan[*Target]{}, modules.Failf("%s: %s", it.id, hide(explainAPI(err).Error(), k.secrets(it)))
	}
	out := &PatchOut{Result: shownObject(it.after, k.HiddenFields)}
	plan := modules.Plan[*Target]{Out: out}
	if !same(it.live, it.after) {
		it.action = Configure
		plan.Steps = append(plan.Steps, modules.Step[*Target]{
			Title: "patch " + it.id.String(), Diff: v.diffOf(it),
			Do: func(ctx context.Context, t *Target) (bool, error) {
				u, err := t.cluster.Resource(it.mapping, it.id.Namespace).Patch(ctx, it.id.Name, types.JSONPatchType, k.Patch, metav1.PatchOptions{})
				if err != nil {
					return false, modules.Failf("%s: %s", it.id, hide(explainAPI(err).Error(), k.secrets(it)))
				}
				it.after = u
				out.Result = shownObject(u, k.HiddenFields)
				return true, nil
			},
		})
	}
	if k.Wait {
		plan.Steps = append(plan.Steps, modules.Step[*Target]{
			Title: "wait until " + it.id.String() + " is ready", Effect: modules.Act,
			Do: func(ctx context.Context, t *Target) (bool, error) {
				report, err := t.wait(ctx, []*item{it}, k.wait(25))
				if err != nil {
					return false, err
				}
				live([]*item{it}, report)
				out.Duration, out.Result, out.Failure = int(report.Elapsed.Seconds()), shownObject(it.after, k.HiddenFields), report.failure()
				out.warnings = report.Warnings()
				if !report.OK() {
					return false, report.Failure()
				}
				return false, nil
			},
		})
	}
	return plan, nil
}

// secrets are the values that no message about the patch may show.
func (k *K8sJSONPatch) secrets(it *item) []string {
	list := secretsOf(it.live, it.after)
	if !isSecret(it.live) {
		return list
	}
	var ops []struct {
		Value any `json:"value"`
	}
	_ = json.Unmarshal(k.Patch, &ops) // Validate has read it
	for _, op := range ops {
		switch v := op.Value.(type) {
		case string:
			list = append(list, v)
		case map[string]any:
			for _, item := range v {
				list = append(list, fmt.Sprint(item))
			}
		}
	}
	return list
}

// afterwards is the plan for an object that an earlier task of a check run makes: only a run
// can say what it comes to.
func afterwards(it *item, verb string, out any) modules.Plan[*Target] {
	return modules.Plan[*Target]{
		Out: out, Warnings: []string{fmt.Sprintf("%s cannot be checked by the server: %s", it.id, it.unverified)},
		Steps: []modules.Step[*Target]{{
			Title: verb + " " + it.id.String(), Effect: modules.Maybe,
			Do: func(context.Context, *Target) (bool, error) {
				return false, fmt.Errorf("%s %s: planned for a check only", verb, it.id)
			},
		}},
	}
}
