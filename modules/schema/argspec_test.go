package schema

import (
	"os"
	"strings"
	"testing"

	"orch/playbook/jinja/value"
)

// testdata/argspec.jsonl is recorded from ansible-core by the script beside it.
func TestArgumentSpec(t *testing.T) {
	raw, err := os.ReadFile("testdata/argspec.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(raw)), "\n")
	spec := NewArgumentSpec(dict(t, lines[0]))
	for _, line := range lines[1:] {
		c := dict(t, line)
		params, _ := c.GetStr("params")
		wantOut, _ := c.GetStr("out")
		wantErrs, _ := c.GetStr("errors")
		out, errs, _, _ := spec.Validate(params.(*value.Dict))
		for i, e := range errs {
			errs[i], _, _ = strings.Cut(e, "Valid booleans include:")
		}
		if got, want := strings.Join(errs, "\n"), strings.Join(words(wantErrs), "\n"); got != want {
			t.Errorf("%s:\n got %s\nwant %s", value.Repr(params), got, want)
		}
		if len(errs) == 0 && value.Repr(out) != value.Repr(wantOut) {
			t.Errorf("%s:\n got %s\nwant %s", value.Repr(params), value.Repr(out), value.Repr(wantOut))
		}
	}
}

func TestArgumentSpecSecrets(t *testing.T) {
	spec := dict(t, `{"p":{"no_log":true},"d":{"type":"dict","options":{"q":{"no_log":true}}},"a":{"aliases":["b"]}}`)
	_, _, warnings, secrets := NewArgumentSpec(spec).Validate(dict(t, `{"p":"x","d":{"q":["y",1]},"a":1,"b":2}`))
	if strings.Join(secrets, " ") != "x y 1" {
		t.Errorf("secrets %q", secrets)
	}
	if len(warnings) != 1 || warnings[0] != "Both option a and its alias b are set." {
		t.Errorf("warnings %q", warnings)
	}
}
