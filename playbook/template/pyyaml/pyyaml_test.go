package pyyaml_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"orch/playbook/jinja/value"
	"orch/playbook/oracle"
	"orch/playbook/template/pyyaml"
)

func TestMarshal(t *testing.T) {
	s := value.S
	for _, c := range []struct {
		v    value.Value
		o    pyyaml.Options
		want string
	}{
		{s("a"), pyyaml.Options{}, "a\n"},
		{s("yes"), pyyaml.Options{}, "'yes'\n"},
		{s("0644"), pyyaml.Options{}, "'0644'\n"},
		{s("1e3"), pyyaml.Options{}, "1e3\n"},
		{s(""), pyyaml.Options{}, "''\n"},
		{s("a: b"), pyyaml.Options{}, "'a: b'\n"},
		{s("it's"), pyyaml.Options{}, "it's\n"},
		{s("tab\there"), pyyaml.Options{}, "\"tab\\there\"\n"},
		{s("😀é"), pyyaml.Options{}, "\"\\U0001F600é\"\n"},
		{s("x\n\n"), pyyaml.Options{Style: '|'}, "|+\n  x\n\n...\n"},
		{value.Float(1e16), pyyaml.Options{}, "1.0e+16\n"},
		{value.None{}, pyyaml.Options{Start: true, End: true}, "--- null\n...\n"},
		{value.Bytes("ab"), pyyaml.Options{}, "!!binary |\n  YWI=\n"},
		{value.D("b", value.Int(1), "a", value.NewList(value.Bool(true))), pyyaml.Options{SortKeys: true}, "a: [true]\nb: 1\n"},
		{value.D("b", value.Int(1), "a", value.NewList()), pyyaml.Options{Flow: pyyaml.FlowNever}, "b: 1\na: []\n"},
		{
			value.D("k", value.NewList(value.D("x", s("1"), "y", value.NewList(s("a"))))),
			pyyaml.Options{Flow: pyyaml.FlowNever, Indent: 4},
			"k:\n-   x: '1'\n    y:\n    - a\n",
		},
		{
			value.D("v", value.Sealed{Text: "$ANSIBLE_VAULT;1.1;AES256\n6162\n"}),
			pyyaml.Options{},
			"v: !vault |\n  $ANSIBLE_VAULT;1.1;AES256\n  6162\n",
		},
	} {
		got, err := pyyaml.Marshal(c.v, c.o)
		if err != nil || got != c.want {
			t.Errorf("%s: got %q, %v; want %q", value.Repr(c.v), got, err, c.want)
		}
	}
	loop := value.NewList()
	loop.Items = append(loop.Items, loop)
	for _, v := range []value.Value{loop, &value.Undefined{Name: "x"}, value.Unknown{Of: "x"}} {
		if out, err := pyyaml.Marshal(v, pyyaml.Options{}); err == nil {
			t.Errorf("%T: got %q, want an error", v, out)
		}
	}
}

type generator struct{ *rand.Rand }

func (g generator) pick(of ...string) string { return of[g.IntN(len(of))] }

func (g generator) str() string {
	if g.IntN(3) == 0 {
		return g.pick("yes", "no", "null", "~", "1", "01", "1.5", "0x1f", "1:30", "2001-01-01", "-", "- a", "a:", ":a", "a #b", "a#b",
			"#", "{a}", "[", "]x", "a,b", "&x", "*", "!", "%", "@", "`", "?", "? a", "---", "--- x", "...", "=", "<<", "", " ", "\n", "a\n", "\na",
			"a\n b", "a \nb", "true", "1_000", "+1", ".5", "1e5", "1.e+5", ".inf", "key: value", "http://x:80", "|", ">", "'", "\"", "it's", "\\")
	}
	var b strings.Builder
	n := g.IntN(5)
	if g.IntN(4) == 0 {
		n = g.IntN(50)
	}
	for range n {
		b.WriteString(g.pick("a", "bc", "word", "longer-word", " ", " ", "  ", "\n", ":", "#", "'", "\"", "é", "漢", "😀", "\t", "-", "\u00a0", "\u2028", "\x07", "0"))
	}
	if g.IntN(6) == 0 {
		return strings.Repeat(g.pick("word ", "x", "ab cd ", "é ", "a  b "), 10+g.IntN(30)) + b.String()
	}
	return b.String()
}

func (g generator) value(depth int) (value.Value, any) {
	k := g.IntN(10)
	switch {
	case depth > 0 && k < 3:
		l, raw := value.NewList(), []any{}
		for range g.IntN(5) {
			v, r := g.value(depth - 1)
			l.Items, raw = append(l.Items, v), append(raw, r)
		}
		return l, raw
	case depth > 0 && k < 6:
		d, raw := value.NewDict(0), map[string]any{}
		for range g.IntN(5) {
			key := g.str()
			v, r := g.value(depth - 1)
			d.SetStr(key, v)
			raw[key] = r
		}
		return d, raw
	case k == 6:
		i := g.IntN(1000) - 500
		return value.Int(i), i
	case k == 7:
		f := g.NormFloat64() * 1e3
		return value.Float(f), f
	case k == 8:
		b := g.IntN(2) == 0
		if g.IntN(3) == 0 {
			return value.None{}, nil
		}
		return value.Bool(b), b
	}
	s := g.str()
	return value.S(s), s
}

// TestOracle compares with PyYAML on random data.
func TestOracle(t *testing.T) {
	p := oracle.Start(t, "from yaml import _yaml; assert _yaml.get_version_string() == '0.2.5'", "testdata/oracle.py")
	oracle.Compare(t, func(rnd *rand.Rand) bool {
		compare(t, generator{rnd}, p)
		return true
	})
}

func compare(t *testing.T, g generator, p *oracle.Process) {
	t.Helper()
	v, raw := g.value(3)
	o, opts := g.options()
	var want struct{ Text, Error string }
	if err := p.Ask(map[string]any{"data": raw, "opts": opts}, &want, 30*time.Second); err != nil {
		t.Fatal(err)
	}
	if got, err := pyyaml.Marshal(v, o); err != nil || got != want.Text {
		t.Errorf("%s %v\n got %q %v\nwant %q %s", value.Repr(v), fmt.Sprint(opts), got, err, want.Text, want.Error)
	}
}

// options are random, for both sides.
func (g generator) options() (pyyaml.Options, map[string]any) {
	o, opts := pyyaml.Options{SortKeys: true}, map[string]any{"default_flow_style": nil}
	if g.IntN(2) == 0 {
		o.Flow, opts["default_flow_style"] = pyyaml.FlowNever, false
	}
	if g.IntN(2) == 0 {
		o.Indent = 2 + g.IntN(4)
		opts["indent"] = o.Indent
	}
	if g.IntN(4) == 0 {
		o.Width = 20 + g.IntN(80)
		opts["width"] = o.Width
	}
	if g.IntN(8) == 0 {
		o.Flow, opts["default_flow_style"] = pyyaml.FlowAlways, true
	}
	if g.IntN(6) == 0 {
		o.Style = g.pick("|", ">", "'", "\"")[0]
		opts["default_style"] = string(o.Style)
	}
	return o, opts
}
