package source

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"orch/playbook/jinja/value"
	"orch/playbook/oracle"
)

// dump renders a value as the recorded oracle does: JSON with types spelled out.
func dump(v value.Value) string {
	switch v := v.(type) {
	case value.None:
		return "null"
	case value.Bool:
		return fmt.Sprintf("bool:%t", bool(v))
	case value.Int:
		return fmt.Sprintf("int:%d", int64(v))
	case *value.BigInt:
		return "int:" + v.V.String()
	case value.Float:
		return "float:" + pyFloat(float64(v))
	case value.Str:
		return fmt.Sprintf("%q", v.S)
	case value.Bytes:
		return fmt.Sprintf("b%q", string(v))
	case value.Sealed:
		return fmt.Sprintf("vault:%q", v.Text)
	case *value.List:
		var items []string
		for _, item := range v.Items {
			items = append(items, dump(item))
		}
		return "[" + strings.Join(items, ",") + "]"
	case value.Tuple:
		var items []string
		for _, item := range v {
			items = append(items, dump(item))
		}
		return "(" + strings.Join(items, ",") + ")"
	case *value.Dict:
		var items []string
		for k, item := range v.All() {
			items = append(items, dump(k)+":"+dump(item))
		}
		return "{" + strings.Join(items, ",") + "}"
	}
	return "?" + v.Type()
}

// TestDialect compares with testdata/dialect.jsonl, recorded from PyYAML's C loader and
// Ansible's constructor by testdata/record.py. ORCH_RECORD=1 records anew.
func TestDialect(t *testing.T) {
	if os.Getenv("ORCH_RECORD") != "" {
		out, err := exec.Command(oracle.Python, "testdata/record.py").Output()
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile("testdata/dialect.jsonl", out, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	raw, err := os.ReadFile("testdata/dialect.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range strings.Lines(string(raw)) {
		var c struct {
			In, Out string
			Fails   bool
		}
		if err := json.Unmarshal([]byte(line), &c); err != nil {
			t.Fatal(err)
		}
		n++
		node, diags := ParseOne("F", []byte(c.In))
		switch {
		case c.Fails != diags.HasErrors():
			t.Errorf("%q: fails in PyYAML: %v, here: %v", c.In, c.Fails, diags)
		case !c.Fails && dump(node.Value(Data)) != c.Out:
			t.Errorf("%q:\n got %s\nwant %s", c.In, dump(node.Value(Data)), c.Out)
		}
	}
	if n < 150 {
		t.Errorf("only %d cases: is the table complete?", n)
	}
}

// pyFloat is Python's repr of the floats in the table.
func pyFloat(f float64) string {
	switch s := strings.ToLower(fmt.Sprint(f)); {
	case s == "+inf" || s == "-inf" || s == "nan":
		return strings.TrimPrefix(s, "+")
	case strings.ContainsAny(s, ".e"):
		return s
	default:
		return s + ".0"
	}
}
