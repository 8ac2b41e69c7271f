package modules

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"testing"
)

// steps is a module whose plan is given.
type steps struct{ plan Plan[*[]string] }

func (s *steps) Plan(context.Context, *[]string) (Plan[*[]string], error) { return s.plan, nil }

func do(name string, changed bool, err error) func(context.Context, *[]string) (bool, error) {
	return func(_ context.Context, log *[]string) (bool, error) {
		*log = append(*log, name)
		return changed, err
	}
}

type out struct {
	A int `json:"a"`
	B int `json:"b" orch:"after"`
}

func run(t *testing.T, p Plan[*[]string], o Options) (Result, []string) {
	t.Helper()
	var log []string
	res, err := Run[*[]string, *[]string](t.Context(), &steps{p}, &log, &log, o)
	if err != nil {
		t.Fatal(err)
	}
	return res, log
}

func TestEffects(t *testing.T) {
	for _, c := range []struct {
		effect                         Effect
		says                           bool
		changed                        bool
		checkChanged, maybe, isSkipped bool
	}{
		{Change, false, true, true, false, false},
		{Maybe, false, false, false, true, false},
		{Maybe, true, true, false, true, false},
		{Act, false, false, false, false, true},
		{Act, true, true, false, false, true},
	} {
		p := Plan[*[]string]{Steps: []Step[*[]string]{{Title: "x", Effect: c.effect, Do: do("x", c.says, nil)}}, Out: &out{A: 1}}
		if res, log := run(t, p, Options{}); res.Changed != c.changed || len(log) != 1 || res.Unknown != nil {
			t.Errorf("%+v: %+v", c, res)
		}
		res, log := run(t, p, Options{Check: true})
		if res.Changed != c.checkChanged || res.Maybe != c.maybe || res.Skipped != c.isSkipped || log != nil {
			t.Errorf("check %+v: %+v", c, res)
		}
		if !slices.Equal(res.Unknown, []string{"b"}) {
			t.Errorf("check %+v: unknown %q", c, res.Unknown)
		}
	}
}

func TestAFailureEndsTheStepsAndKeepsWhatWasDone(t *testing.T) {
	p := Plan[*[]string]{Out: &out{A: 1}, Steps: []Step[*[]string]{
		{Title: "one", Do: do("one", true, nil)}, {Title: "two", Do: do("two", false, Failf("no"))}, {Title: "three", Do: do("three", true, nil)},
	}}
	res, log := run(t, p, Options{})
	if res.Failure == nil || !res.Changed || !slices.Equal(log, []string{"one", "two"}) || string(res.Out) != `{"a":1,"b":0}` {
		t.Errorf("%+v, %q", res, log)
	}
	bad := errors.New("broken")
	var list []string
	_, err := Run[*[]string, *[]string](t.Context(), &steps{Plan[*[]string]{Steps: []Step[*[]string]{{Do: do("x", false, bad)}}}}, &list, &list, Options{})
	if !errors.Is(err, bad) {
		t.Errorf("the engine's own trouble is %v", err)
	}
}

func TestVerify(t *testing.T) {
	p := Plan[*[]string]{Steps: []Step[*[]string]{{Title: "make it so", Do: do("x", true, nil)}}}
	if res, _ := run(t, p, Options{Verify: true}); res.Failure == nil {
		t.Error("a module that is never done passes")
	}
	p.Steps[0].Always = true
	if res, _ := run(t, p, Options{Verify: true}); res.Failure != nil {
		t.Errorf("restarting fails: %s", res.Failure.Msg)
	}
}

func TestInner(t *testing.T) {
	inner := Result{Changed: true, Out: json.RawMessage(`{"x":1}`), Steps: []StepResult{{Title: "inner"}}, Unknown: []string{"y"}}
	p := Plan[*[]string]{
		Warnings: []string{"w"}, Steps: []Step[*[]string]{{Title: "outer", Effect: Act, Do: do("outer", false, nil)}},
		Inner: func(_ context.Context, _ *[]string, o Options) (Result, error) {
			if o.Check {
				inner.Skipped = true
			}
			return inner, nil
		},
	}
	res, _ := run(t, p, Options{})
	if !res.Changed || string(res.Out) != `{"x":1}` || len(res.Steps) != 2 || len(res.Warnings) != 1 {
		t.Errorf("%+v", res)
	}
	if res, _ := run(t, p, Options{Check: true}); !res.Skipped {
		t.Errorf("check: %+v", res)
	}
}

func TestEntryChecksItsWorld(t *testing.T) {
	e := Bind("a.b.steps", func() Module[*[]string, *[]string] { return &steps{} }, Alias("a.b.other"), FreeForm("x"))
	if e.Short() != "steps" || e.FreeForm != "x" || len(e.Aliases) != 1 {
		t.Errorf("%+v", e)
	}
	if _, err := e.Run(t.Context(), "no module", nil, nil, Options{}); err == nil {
		t.Error("a stranger runs")
	}
	if _, err := e.Run(t.Context(), e.New(), "no view", nil, Options{}); err == nil {
		t.Error("a module runs in another world")
	}
}
