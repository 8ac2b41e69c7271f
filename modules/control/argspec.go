package control

import (
	"context"
	"strings"

	"orch/modules"
	"orch/modules/schema"
	"orch/playbook/jinja/value"
)

// ValidateArgumentSpec checks values against an argument spec, as roles do.
type ValidateArgumentSpec struct {
	// The spec: option names and their attributes.
	ArgumentSpec value.Value
	// Values to check; variables of the host stand in for those not given.
	ProvidedArguments value.Value
	// What is being checked, for the result.
	ValidateArgsContext value.Value
}

// Plan implements modules.Module.
func (a *ValidateArgumentSpec) Plan(ctx context.Context, v View) (plan, error) {
	context := a.ValidateArgsContext
	if context == nil {
		context = value.NewDict(0)
	}
	out := value.D("validate_args_context", context)
	if a.ArgumentSpec == nil {
		return plan{Out: dictOut{out}}, modules.Failf(`"argument_spec" arg is required in args: {}`)
	}
	spec, ok := a.ArgumentSpec.(*value.Dict)
	if !ok {
		return plan{Out: dictOut{out}}, modules.Failf("Incorrect type for argument_spec, expected dict and got <class '%s'>", a.ArgumentSpec.Type())
	}
	params, err := a.params(v, spec)
	if err != nil {
		return plan{Out: dictOut{out}}, err
	}
	_, errs, warnings, _ := schema.NewArgumentSpec(spec).Validate(params)
	p := plan{Out: dictOut{out}, Warnings: warnings}
	if errs == nil {
		out.SetStr("msg", value.S("The arg spec validation passed"))
		return p, nil
	}
	list := value.NewList()
	for _, e := range errs {
		list.Items = append(list.Items, value.S(e))
	}
	out.SetStr("argument_spec_data", spec)
	out.SetStr("argument_errors", list)
	return p, modules.Failf("Validation of arguments failed:\n%s", strings.Join(errs, "\n"))
}

// params are the host's variables named by the spec, under the arguments given.
func (a *ValidateArgumentSpec) params(v View, spec *value.Dict) (*value.Dict, error) {
	params := value.NewDict(spec.Len())
	for k := range spec.All() {
		val, ok, err := v.Var(value.String(k))
		if err != nil {
			return nil, err
		}
		if ok {
			if err := params.Set(k, val); err != nil {
				return nil, err
			}
		}
	}
	switch given := a.ProvidedArguments.(type) {
	case nil:
	case *value.Dict:
		for k, val := range given.All() {
			if err := params.Set(k, val); err != nil {
				return nil, err
			}
		}
	default:
		return nil, modules.Failf("Incorrect type for provided_arguments, expected dict and got <class '%s'>", given.Type())
	}
	return params, nil
}
