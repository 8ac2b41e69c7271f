package modules

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
)

// An Entry is a module in a world's table, with the world's types erased.
type Entry struct {
	// Name is the full name, "ansible.builtin.copy"; the last part is the short name.
	Name string
	// Aliases are further full names: "ansible.builtin.systemd_service".
	Aliases []string
	// New makes a pointer to the module's struct, to be decoded into.
	New func() any
	// FreeForm names the argument a bare string goes to (command, include_vars): "".
	FreeForm string
	// run is Run with the world's types checked.
	run func(ctx context.Context, module, view, target any, o Options) (Result, error)
}

// Short is the name without its collection.
func (e Entry) Short() string { return e.Name[strings.LastIndexByte(e.Name, '.')+1:] }

// Bind makes the Entry of a module of world V, T.
func Bind[V, T any](name string, build func() Module[V, T], opts ...func(*Entry)) Entry {
	e := Entry{Name: name, New: func() any { return build() }}
	e.run = func(ctx context.Context, module, view, target any, o Options) (Result, error) {
		m, ok := module.(Module[V, T])
		if !ok {
			return Result{}, fmt.Errorf("%s: %T is no module of its world", name, module)
		}
		v, ok := view.(V)
		if !ok {
			return Result{}, fmt.Errorf("%s: %T is no view of its world", name, view)
		}
		t, _ := target.(T)
		return Run(ctx, m, v, t, o)
	}
	for _, opt := range opts {
		opt(&e)
	}
	return e
}

// FreeForm is an option of Bind: a bare string is the argument name.
func FreeForm(arg string) func(*Entry) { return func(e *Entry) { e.FreeForm = arg } }

// Alias is an option of Bind: further full names.
func Alias(names ...string) func(*Entry) { return func(e *Entry) { e.Aliases = names } }

// Run runs a decoded module of the entry on its world. In check mode target may be nil.
func (e Entry) Run(ctx context.Context, module, view, target any, o Options) (Result, error) {
	return e.run(ctx, module, view, target, o)
}

// Run plans m and, unless checking, does the steps. A module's *Failure is in the
// result; any other error is the engine's.
func Run[V, T any](ctx context.Context, m Module[V, T], v V, t T, o Options) (Result, error) {
	plan, err := m.Plan(ctx, v)
	var res Result
	res.Warnings = plan.Warnings
	if err := failure(err, &res); err != nil {
		return res, err
	}
	res.Msg, res.Warnings, res.Unknown = plan.Msg, plan.Warnings, plan.Unknown
	if plan.Skip != "" {
		res.Skipped, res.Msg = true, plan.Skip
	}
	acts := 0
	for _, step := range plan.Steps {
		sr := StepResult{Title: step.Title, Effect: step.Effect, Always: step.Always}
		if o.Diff || step.Diff != nil && step.Diff.Dict {
			sr.Diff = step.Diff
		}
		switch {
		case res.Failure != nil:
			// Steps after a failed one are neither run nor reported.
			continue
		case o.Check:
			res.Changed = res.Changed || step.Effect == Change
			res.Maybe = res.Maybe || step.Effect == Maybe
			if step.Effect == Act {
				acts++
			}
		default:
			if note := Notes(ctx); note != nil {
				note(step.Title)
			}
			changed, err := step.Do(ctx, t)
			sr.Ran = true
			sr.Changed = changed || step.Effect == Change && err == nil
			res.Changed = res.Changed || sr.Changed
			if err := failure(err, &res); err != nil {
				return res, err
			}
		}
		res.Steps = append(res.Steps, sr)
	}
	res.Skipped = res.Skipped || o.Check && acts > 0 && acts == len(plan.Steps) && plan.Inner == nil
	if plan.Inner != nil && res.Failure == nil {
		inner, err := plan.Inner(ctx, t, o)
		res.join(inner)
		return res, failure(err, &res)
	}
	if r, ok := plan.Out.(Reporter); ok && res.Failure == nil {
		r.Report(&res)
	}
	if err := encodeOut(plan.Out, &res, o.Check && len(plan.Steps) > 0); err != nil {
		return res, err
	}
	if o.Verify && !o.Check && res.Failure == nil {
		return res, verify(ctx, m, v, &res)
	}
	return res, nil
}

// join adds what an inner module came to. Its Out stands for both.
func (r *Result) join(in Result) {
	r.Changed, r.Maybe, r.Skipped = r.Changed || in.Changed, r.Maybe || in.Maybe, in.Skipped
	if in.Msg != "" {
		r.Msg = in.Msg
	}
	r.Warnings = append(r.Warnings, in.Warnings...)
	r.Steps = append(r.Steps, in.Steps...)
	r.Failure, r.Out, r.Unknown = in.Failure, in.Out, append(r.Unknown, in.Unknown...)
}

// failure moves a *Failure into the result and hands any other error on.
func failure(err error, res *Result) error {
	var f *Failure
	if errors.As(err, &f) {
		res.Failure = f
		return nil
	}
	return err
}

func verify[V, T any](ctx context.Context, m Module[V, T], v V, res *Result) error {
	again, err := m.Plan(ctx, v)
	if err := failure(err, res); err != nil || res.Failure != nil {
		return err
	}
	for _, step := range again.Steps {
		if step.Effect == Change && !step.Always {
			res.Failure = Failf("after its steps the module would still %s", step.Title)
			return nil
		}
	}
	return nil
}

// encodeOut stores out as JSON and names the fields only steps would have filled in.
func encodeOut(out any, res *Result, pending bool) error {
	if out == nil {
		return nil
	}
	text, err := json.Marshal(out)
	if err != nil {
		return fmt.Errorf("encode result: %w", err)
	}
	res.Out = text
	if !pending {
		return nil
	}
	t := reflect.TypeOf(out)
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() == reflect.Struct {
		for _, f := range reflect.VisibleFields(t) {
			if !f.IsExported() || f.Anonymous || !hasTag(f.Tag.Get("orch"), "after") {
				continue
			}
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			res.Unknown = append(res.Unknown, name)
		}
	}
	return nil
}

func hasTag(tag, word string) bool {
	for part := range strings.SplitSeq(tag, ",") {
		if part == word {
			return true
		}
	}
	return false
}
