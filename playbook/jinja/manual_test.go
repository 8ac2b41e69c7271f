package jinja_test

import (
	"testing"

	"orch/playbook/jinja"
)

// TestManuals executes the example of every filter and test of Jinja2's own.
func TestManuals(t *testing.T) {
	env := newEnv(t, jinja.Options{})
	for kind, all := range map[string][]jinja.Manual{"filter": jinja.FilterManuals(), "test": jinja.TestManuals()} {
		have := map[string]bool{}
		for _, m := range all {
			have[m.Name] = true
			if m.Text == "" {
				t.Errorf("%s has no manual", m.Name)
			}
			if got, err := run(t, env, m.Expr, nil); err != nil || got != m.Result {
				t.Errorf("%s %s: %s\n got %q %v\nwant %q", kind, m.Name, m.Expr, got, err, m.Result)
			}
		}
		if want := map[string]int{"filter": 54, "test": 39}[kind]; len(have) != want {
			t.Errorf("%d manuals of a %s, want %d", len(have), kind, want)
		}
	}
	for _, m := range jinja.FilterManuals() {
		if m.Name == "int" && m.Signature != "default=0, base=10" {
			t.Errorf("int has the arguments %q", m.Signature)
		}
	}
}
