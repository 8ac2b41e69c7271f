package control

import (
	"context"
	"errors"
	"fmt"

	"orch/modules"
	"orch/playbook/jinja/value"
)

// Debug prints a message or a variable.
type Debug struct {
	// What to print.
	Msg value.Value `orch:"null"`
	// Name of the variable, or an expression, to print.
	Var value.Value
	// Print only at this verbosity (-v is 1) or above.
	Verbosity int
}

// Validate implements modules.Validator.
func (d *Debug) Validate() error {
	if d.Msg != nil && d.Var != nil {
		return errors.New("parameters are mutually exclusive: msg|var")
	}
	return nil
}

// Plan implements modules.Module.
func (d *Debug) Plan(ctx context.Context, v View) (plan, error) {
	level, err := verbosity(v)
	if err != nil {
		return plan{}, err
	}
	if d.Verbosity > level {
		const why = "Verbosity threshold not met."
		return plan{Skip: why, Out: dictOut{value.D("skipped_reason", value.S(why))}}, nil
	}
	name, out := "msg", d.Msg
	switch {
	case d.Var != nil:
		if name, out, err = d.variable(ctx, v, level); err != nil {
			return plan{}, err
		}
	case out == nil:
		out = value.S("Hello world!")
	}
	p := plan{}
	shown, ok := known(out)
	if !ok {
		p.Unknown = []string{name}
	}
	p.Out = dictOut{value.D(name, shown)}
	return p, nil
}

func (d *Debug) variable(ctx context.Context, v View, level int) (string, value.Value, error) {
	expr, ok := d.Var.(value.Str)
	if !ok {
		out, err := v.Template(ctx, d.Var)
		return "<class '" + d.Var.Type() + "'>", out, err
	}
	out, err := v.Expr(ctx, expr)
	undefined, isUndefined := value.IsUndefined(out)
	if err == nil && !isUndefined {
		return expr.S, out, nil
	}
	var use *value.UndefinedError
	if err != nil && !errors.As(err, &use) {
		return expr.S, nil, err
	}
	text := "VARIABLE IS NOT DEFINED!"
	switch {
	case level == 0:
	case err != nil:
		text += ": " + err.Error()
	default:
		text += ": " + undefined.Message()
	}
	return expr.S, value.S(text), nil
}

func verbosity(v View) (int, error) {
	val, ok, err := v.Var("ansible_verbosity")
	if err != nil || !ok {
		return 0, err
	}
	n, _ := val.(value.Int)
	return int(n), nil
}

// Fail fails the task with a message.
type Fail struct {
	// The message.
	Msg value.Value
}

// Plan implements modules.Module.
func (f *Fail) Plan(context.Context, View) (plan, error) {
	var msg value.Value = value.S("Failed as requested from task")
	if f.Msg != nil {
		msg = f.Msg
	}
	return plan{Out: dictOut{value.D("msg", msg)}}, modules.Failf("%s", value.String(msg))
}

// Assert checks that conditions hold and fails the task if one does not.
type Assert struct {
	// Conditions, as in when.
	That value.Value `orch:"required"`
	// Message when one does not hold: a string, or a list of them.
	FailMsg value.Value `orch:"alias=msg"`
	// Message when all hold.
	SuccessMsg value.Value
	// Say nothing of conditions that hold.
	Quiet bool
}

// Plan implements modules.Module.
func (a *Assert) Plan(ctx context.Context, v View) (plan, error) {
	fail, err := message(a.FailMsg, "Assertion failed", "fail_msg or msg")
	if err != nil {
		return plan{}, err
	}
	success, err := message(a.SuccessMsg, "All assertions passed", "success_msg")
	if err != nil {
		return plan{}, err
	}
	thats := []value.Value{a.That}
	if list, ok := a.That.(*value.List); ok {
		thats = list.Items
	}
	p := plan{Out: dictOut{value.D("msg", success)}}
	for _, that := range thats {
		got, err := v.Truth(ctx, that)
		if err != nil {
			return plan{}, fmt.Errorf("The conditional check '%s' failed. The error was: %w", value.String(that), err)
		}
		if value.IsUnknown(got) {
			p.Steps = append(p.Steps, step{Title: "assert " + value.String(that), Effect: modules.Maybe, Do: nothing})
			continue
		}
		if !value.Truth(got) {
			p.Out = dictOut{value.D("evaluated_to", got, "assertion", that, "msg", fail)}
			return p, modules.Failf("%s", value.String(fail))
		}
	}
	return p, nil
}

func nothing(context.Context, Target) (bool, error) { return false, nil }

func message(v value.Value, def, name string) (value.Value, error) {
	switch v := v.(type) {
	case nil, value.None:
		return value.S(def), nil
	case value.Str:
		return v, nil
	case *value.List:
		for _, item := range v.Items {
			if _, ok := item.(value.Str); !ok {
				return nil, modules.Failf("Type of one of the elements in %s list is not string type", name)
			}
		}
		return v, nil
	}
	return nil, modules.Failf("Incorrect type for %s, expected a string or list and got <class '%s'>", name, v.Type())
}
