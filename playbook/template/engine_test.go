package template_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"orch/playbook/jinja"
	"orch/playbook/jinja/value"
	"orch/playbook/source"
	"orch/playbook/template"
)

var ctx = context.Background()

// A bench is an engine with the warnings it gave and a scope.
type bench struct {
	*testScope
	t        *testing.T
	warnings []source.Diagnostic
}

func newBench(t *testing.T, o template.Options, vars, data string) *bench {
	t.Helper()
	b := &bench{t: t}
	o.Warn = func(d source.Diagnostic) { b.warnings = append(b.warnings, d) }
	dir := t.TempDir()
	b.testScope = &testScope{engine: newEngine(t, o), site: site(dir), vars: value.NewDict(0), data: value.NewDict(0)}
	if vars != "" {
		b.vars = author(t, vars).(*value.Dict)
	}
	if data != "" {
		node, _ := source.ParseOne("data.yml", []byte(data))
		b.data = node.Value(source.Data).(*value.Dict)
	}
	return b
}

// at is an author's string at line 10, column 5 of play.yml.
func at(s string) value.Str {
	return value.Str{S: s, From: &value.Origin{File: "play.yml", Line: 10, Col: 5}}
}

func (b *bench) write(name, text string) string {
	b.t.Helper()
	path := filepath.Join(b.site.Basedir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		b.t.Fatal(err)
	}
	return path
}

func (b *bench) want(text, result string) {
	b.t.Helper()
	v, err := b.engine.Value(ctx, at(text), b)
	if err != nil {
		b.t.Errorf("%s: %v", text, err)
		return
	}
	if got := describe(v); got != result {
		b.t.Errorf("%s is %s, want %s", text, got, result)
	}
}

func (b *bench) truth(cond value.Value, result string) {
	b.t.Helper()
	v, err := b.engine.Truth(ctx, cond, b)
	got := ""
	if err != nil {
		got = "error: " + err.Error()
	} else {
		got = describe(v)
	}
	if got != result && !(strings.HasPrefix(result, "error: ") && strings.Contains(got, strings.TrimPrefix(result, "error: "))) {
		b.t.Errorf("%s is %s, want %s", value.Repr(cond), got, result)
	}
}

// TestTrust: text that came from a host is never a template, whatever road it takes; the
// twin on the same road from an author's file is.
func TestTrust(t *testing.T) {
	const payload = "{{ lookup('fire') }}"
	fired := 0
	fire := map[string]template.Lookup{"fire": {Run: func(*template.LookupCall) ([]value.Value, error) {
		fired++
		return []value.Value{value.S("fired")}, nil
	}}}
	for _, road := range []struct{ name, expr string }{
		{"a variable", "{{ x }}"},
		{"a variable in text", "a {{ x }} b"},
		{"through another variable", "{{ through }}"},
		{"an item of a list", "{{ l[0] }}"},
		{"an entry of a dict", "{{ d.k }}"},
		{"a whole list", "{{ l }}"},
		{"a filter", "{{ x | default('') }}"},
		{"a condition in it", "{{ x if true else 0 }}"},
		{"a loop", "{% for i in l %}{{ i }}{% endfor %}"},
		{"lookup vars", "{{ lookup('vars', 'x') }}"},
		{"lookup list", "{{ lookup('list', x) }}"},
		{"a lookup's term", "{{ q('items', l) }}"},
		{"a lookup's result", "{{ lookup('file', 'payload.txt') }}"},
		{"a command's output", "{{ lookup('pipe', 'cat payload.txt') }}"},
		{"a rendered file", "{{ lookup('template', 'x.j2') }}"},
	} {
		vars := "through: '{{ x }}'"
		body := "x: \"" + payload + "\"\nl: [\"" + payload + "\"]\nd: {k: \"" + payload + "\"}"
		b := newBench(t, template.Options{Lookups: fire}, vars, body)
		b.write("payload.txt", payload)
		b.write("x.j2", "{{ x }}")
		fired = 0
		v, err := b.engine.Value(ctx, at(road.expr), b)
		if err != nil {
			t.Errorf("%s: %v", road.name, err)
			continue
		}
		if fired > 0 || !strings.Contains(value.String(v), "lookup(") {
			t.Errorf("%s: data was evaluated: %v", road.name, v)
		}
		// A condition that is such data is refused, never silently true.
		if s, ok := v.(value.Str); ok {
			if got, err := b.engine.Truth(ctx, s, b); err == nil {
				t.Errorf("%s: as a condition it is %v", road.name, got)
			}
			if _, err := b.engine.Expr(ctx, s, b); err == nil || fired > 0 {
				t.Errorf("%s: as an expression it was evaluated", road.name)
			}
		}
		if strings.HasPrefix(road.name, "a lookup's result") || strings.HasPrefix(road.name, "a command") {
			continue // what a lookup reads is data from any file
		}
		twin := newBench(t, template.Options{Lookups: fire}, vars+"\n"+body, "")
		twin.write("x.j2", "{{ x }}")
		if v, err = twin.engine.Value(ctx, at(road.expr), twin); err != nil || fired == 0 || !strings.Contains(value.String(v), "fired") {
			t.Errorf("%s: the author's twin is %v, %v", road.name, v, err)
		}
	}
}

// TestTrustConditions: roads on which Ansible evaluates a text a second time.
func TestTrustConditions(t *testing.T) {
	b := newBench(t, template.Options{}, "cond: n == 5\nn: 5\nbools: '{{ n == 5 }}'", "evil: n == 5\nflag: true\ntext: \"True\"")
	b.truth(at("{{ cond }}"), "bool True")
	b.truth(at("{{ evil }}"), `error: the condition yields the text "n == 5", which is data and is not evaluated`)
	b.truth(at("not {{ evil }}"), "error: which is data")
	b.truth(at("{{ n }} == 5"), "bool True")
	b.truth(at("{{ flag }} and {{ bools }}"), "bool True")
	b.truth(at("{{ text }}"), "bool True")
	b.truth(value.S("n == 5"), "error: which is data")
	b.truth(value.S("True"), "bool True")
	b.truth(value.NewList(at("n == 5"), value.S("lookup('pipe', 'id')")), "error: which is data")
	v, err := b.engine.Expr(ctx, at("{{ cond }}"), b)
	if err != nil || describe(v) != "bool True" {
		t.Errorf("Expr of an author's text: %v, %v", v, err)
	}
	if v, err = b.engine.Expr(ctx, at("{{ evil }}"), b); err != nil || describe(v) != "str 'n == 5'" {
		t.Errorf("Expr of data: %v, %v", v, err)
	}
	if v, err = b.engine.Expr(ctx, at("n + 1"), b); err != nil || describe(v) != "str '6'" {
		t.Errorf("Expr: %v, %v", v, err)
	}
}

// TestEmbedded: what {{ }} yields inside a condition is a value where it is data, and
// source only where an author wrote it.
func TestEmbedded(t *testing.T) {
	const vars = "n: 5\nword: hello\ncond: n == 5\npath: 'C:\\new'\nattr: upper()"
	b := newBench(t, template.Options{}, vars, `
out: hello world
one: hello
l: [hello, world]
apostrophe: it's
code: n == 5
closing: "' or n == 5 or '"
backslash: 'a\nb'
trailing: 'a\'
braces: "{{ word }}"
`)
	data := func(text, at string) string {
		return "error: the embedded value '" + text + "', after \"" + at + "\", is data"
	}
	for _, c := range []struct{ cond, want string }{
		{"'hello' in '{{ out }}'", "bool True"},
		{"'{{ l }}' == \"['hello', 'world']\"", "bool True"},
		{"'{{ apostrophe }}' == apostrophe", "bool True"},
		{"'{{ closing }}' == ''", "bool False"},
		{"'{{ closing }}' == closing", "bool True"},
		{"'{{ backslash }}' == backslash", "bool True"},
		{"'{{ path }}' == path", "bool True"},
		{"'{{ trailing }}' == trailing", "bool True"},
		{"'\\{{ one }}' == '\\\\hello'", "bool True"},
		{"'{{ braces }}' == braces", "bool True"},
		{"'\\'{{ one }}\\'' == \"'hello'\"", "bool True"},
		{"{{ out }} == 'hello world'", "bool True"},
		{"'hel' in {{ one }} and n == 5", "bool True"},
		{"{{ code }} == 'n == 5'", "bool True"},
		{"{{ l }}[1] == 'world'", "bool True"},
		{"{{ cond }} and {{ one }} == word", "bool True"},
		{"word.{{ attr }} == '{{ one }}' | upper", "bool True"},
		{"{{ code }}", "error: the condition yields the text \"n == 5\", which is data"},
		{" {{ code }} ", "error: which is data"},
		{"not {{ code }}", "error: which is data"},
		{"{{ code }} and true", "error: which is data"},
		{"({{ one }} == 'x') or ({{ code }})", "error: which is data"},
		{"true if {{ code }} else true", "error: which is data"},
		{"n {{ code }}", data("n == 5", "n")},
		{"word.{{ one }} is defined", data("hello", "word.")},
		{"wo{{ one }} == 5", data("hello", "wo")},
		{"n is {{ one }}", data("hello", "n is")},
		{"n | {{ one }}", data("hello", "n |")},
		{"'{{ one }}' ==", "error: template error while templating string: unexpected 'end of template'"},
		{"'{{ one }}' == nope", "error: 'nope' is undefined"},
		{"'{{ nope }}' == word", "error: 'nope' is undefined"},
	} {
		b.truth(at(c.cond), c.want)
	}
	_, err := b.engine.Truth(ctx, at("'{{ one }}' == nope"), b)
	if d := template.Diagnose(err); d.Pos.Line != 10 || d.Pos.Col != 5 {
		t.Errorf("an error in pieces stands at %v", d.Pos)
	}
	if w := b.warnings[0]; !strings.Contains(w.Msg, "should not include jinja2 templating delimiters such as {{ }} or {% %}. Found: 'hello' in '{{ out }}'") {
		t.Errorf("the warning is %q", w.Msg)
	}
}

// TestEmbeddedDoesNotFire: code in data is not run, in whatever place of a condition the
// data is embedded; the twin in an author's file is where 2.18 reads it as code.
func TestEmbeddedDoesNotFire(t *testing.T) {
	fired := 0
	o := template.Options{Lookups: map[string]template.Lookup{"fire": {Run: func(*template.LookupCall) ([]value.Value, error) {
		fired++
		return []value.Value{value.S("fired")}, nil
	}}}}
	for _, c := range []struct {
		cond, payload string
		twin          bool // fires when the payload is an author's
	}{
		{"{{ x }}", "lookup('fire') == 'fired'", true},
		{"not {{ x }}", "lookup('fire') == 'fired'", true},
		{"{{ x }} == 'fired'", "lookup('fire')", true},
		{"true and {{ x }} == 'fired'", "lookup('fire')", true},
		{"{% if true %}{{ x }}{% endif %} == 'fired'", "lookup('fire')", true},
		{"{% for i in [x] %}{{ i }}{% endfor %} == 'fired'", "lookup('fire')", true},
		{"'{{ x }}' == ''", "' or lookup('fire') or '", false},
		{"\"{{ x }}\" == ''", "\" or lookup('fire') or \"", false},
		{"'{{ x }}{{ x }}' == ''", "' ~ lookup('fire') ~ '", false},
		{"{{ [x] }} == []", "'] + [lookup('fire')] + ['", false},
		{"{{ x | upper | lower }} == 'fired'", "lookup('fire')", false},
		{"{% set y %}{{ x }}{% endset %}{{ y }} == 'fired'", "lookup('fire')", false},
		{"{{ x }} == 'fired'", "{{ lookup('fire') }}", true},
		{"'{{ x }}' == 'fired'", "{{ lookup('fire') }}", true},
	} {
		vars := value.NewDict(0)
		_ = vars.Set(value.S("x"), value.S(c.payload))
		b := newBench(t, o, "", "")
		b.data = vars
		fired = 0
		v, err := b.engine.Truth(ctx, at(c.cond), b)
		if fired > 0 || v == value.Value(value.Bool(true)) {
			t.Errorf("%s with %s: fired %d times, %v, %v", c.cond, c.payload, fired, v, err)
		}
		vars = value.NewDict(0)
		_ = vars.Set(value.S("x"), at(c.payload))
		b.data, b.vars = value.NewDict(0), vars
		if _, err = b.engine.Truth(ctx, at(c.cond), b); c.twin != (fired > 0) {
			t.Errorf("%s with an author's %s: fired %d times, %v", c.cond, c.payload, fired, err)
		}
	}
}

func TestTruth(t *testing.T) {
	b := newBench(t, template.Options{}, "n: 5\nl: [1]\ns: text", "")
	b.truth(value.Bool(true), "bool True")
	b.truth(value.None{}, "bool True")
	b.truth(at(""), "bool True")
	b.truth(value.Int(0), "bool False")
	b.truth(value.NewList(at("n == 5"), at("n == 6"), at("nope")), "bool False")
	b.truth(value.NewList(), "bool True")
	b.warnings = nil
	b.truth(at("l"), "bool True")
	b.truth(at("l"), "bool True")
	if len(b.warnings) != 1 || b.warnings[0].Pos.Line != 10 || !strings.Contains(b.warnings[0].Msg, "is not a boolean: it is of type 'list' and counts as true") {
		t.Errorf("warnings: %v", b.warnings)
	}
	b.truth(at("nope"), "error: error while evaluating conditional (nope): 'nope' is undefined")
	strict := newBench(t, template.Options{Mode: template.Strict}, "n: 5\nl: [1]", "")
	strict.truth(at("n == 5"), "bool True")
	strict.truth(at("l"), "error: is not a boolean")
	strict.truth(at("l | length > 0"), "bool True")
}

// TestUndefinedIsKept: error_on_undefined_vars=False.
func TestUndefinedIsKept(t *testing.T) {
	b := newBench(t, template.Options{KeepUndefined: true}, "n: 5\ninner: 'a {{ nope }}'", "")
	b.want("{{ nope }}", "str '{{ nope }}'")
	b.want("x {{ n }} {{ nope.deeper }}", "str 'x {{ n }} {{ nope.deeper }}'")
	b.want("{{ n }}", "int 5")
	b.want("{{ inner }}!", "str 'a {{ nope }}!'")
	b.want("{{ inner | upper }}", "str 'A {{ NOPE }}'")
	b.truth(at("nope"), "bool False")
	b.truth(at("not nope"), "bool False")
	b.truth(at("'{{ nope }}' == 'x'"), "bool False")
	b.truth(at("nope is defined or n == 5"), "bool True")
	if _, err := b.engine.Value(ctx, at("{{ 1 + 'x' }}"), b); err == nil {
		t.Error("only what is undefined is passed over")
	}
	out, err := b.engine.Render(ctx, template.File{Text: "{{ n }} {{ nope }}\n"}, b)
	if err != nil || value.String(out) != "{{ n }} {{ nope }}\n" {
		t.Errorf("a file is %v, %v", out, err)
	}
}

// TestGroupsAreTuples: what groupby yields is read again as the tuples it prints as.
func TestGroupsAreTuples(t *testing.T) {
	const vars = "l: [{n: 1, k: a}, {n: 2, k: a}]"
	for _, mode := range []template.Mode{template.Classic, template.Native} {
		newBench(t, template.Options{Mode: mode}, vars, "").want("{{ l | groupby('k') }}", "list [('a', [{'n': 1, 'k': 'a'}, {'n': 2, 'k': 'a'}])]")
	}
	newBench(t, template.Options{Mode: template.Strict}, vars, "").want("{{ l | groupby('k') }}", "list [['a', [{'n': 1, 'k': 'a'}, {'n': 2, 'k': 'a'}]]]")
}

// TestNullRepresentation: what null_representation says stands for a null variable alone.
func TestNullRepresentation(t *testing.T) {
	const vars = "nothing: null\nd: {k: null}"
	b := newBench(t, template.Options{Null: value.S("none")}, vars, "")
	b.want("{{ nothing }}", "str 'none'")
	b.want("{{ nothing }}{{ nothing }}", "str ''")
	b.want("{{ d.k }}", "str ''")
	newBench(t, template.Options{}, vars, "").want("{{ nothing }}", "NoneType None")
}

func TestStrictTypes(t *testing.T) {
	b := newBench(t, template.Options{Mode: template.Strict}, "n: 5\ntwice: '{{ n }}'\nlist_text: '[1]'\nnothing: null", "")
	b.want("{{ twice }}", "int 5")
	b.want("{{ twice + 1 }}", "int 6")
	b.want("{{ list_text }}", "str '[1]'")
	b.want("[{{ n }}]", "str '[5]'")
	b.want("{{ nothing }}", "NoneType None")
	b.fails("{{ range(2) }}", "type 'range' cannot be kept in a variable")
	b.fails("{{ [range(2)] }}", "type 'range' cannot be kept in a variable")
	b.want("{{ n }}x", "str '5x'")
	b.want("{{ (1, (2, 3)) }}", "list [1, [2, 3]]")
	b.want("{{ {'a': [(1,)], 'b': {'c': ()}} }}", "dict {'a': [[1]], 'b': {'c': []}}")
}

// TestUnknown: what is computed from a value that is not known is not known.
func TestUnknown(t *testing.T) {
	b := newBench(t, template.Options{}, "through: '{{ u.stdout }}'\ntext: 'a {{ u.stdout }}'\nl: ['{{ u.stdout }}', 1]", "")
	b.top = []value.Named{{Name: "u", Val: value.Unknown{Of: "result of build"}}}
	for _, expr := range []string{
		"{{ u }}", "{{ u.stdout }}", "{{ through }}", "{{ text }}", "x {{ u }}", "{{ u | upper }}", "{{ u + 1 }}",
		"{{ lookup('file', u) }}", "{{ lookup('list', [u]) }}", "{% if u %}a{% endif %}", "{{ u is defined }}x{{ u }}",
	} {
		v, err := b.engine.Value(ctx, at(expr), b)
		if err != nil || !value.IsUnknown(v) {
			t.Errorf("%s is %v, %v: want Unknown", expr, v, err)
		}
	}
	v, err := b.engine.Value(ctx, at("{{ l }}"), b)
	if _, inside := value.HasUnknown(v); err != nil || !inside {
		t.Errorf("a list with an unknown item: %v, %v", v, err)
	}
	for _, cond := range []value.Value{
		at("u"), at("u.rc == 0"), at("u is changed"), at("'{{ u }}' == 'x'"), value.NewList(at("u.rc == 0"), at("true")), value.Unknown{},
	} {
		v, err := b.engine.Truth(ctx, cond, b)
		if err != nil || !value.IsUnknown(v) {
			t.Errorf("%s is %v, %v: want Unknown", value.Repr(cond), v, err)
		}
	}
	b.truth(value.NewList(at("u.rc == 0"), at("false")), "bool False")
	v, err = b.engine.Render(ctx, template.File{Text: "a\n{{ u.stdout }}\n", Overrides: template.DefaultOverrides()}, b)
	if err != nil || !value.IsUnknown(v) {
		t.Errorf("Render: %v, %v", v, err)
	}
}

// TestPlaces: an error is at the place of the mistake in the author's file.
func TestPlaces(t *testing.T) {
	vars := "ok: 1\nbad: \"{{ 1 / 0 }}\"\nvia: 'a {{ bad }}'\nblock: |\n  first\n  second {{ ok.x.y + 1 }}\n"
	b := newBench(t, template.Options{}, vars, "")
	for _, c := range []struct {
		name string
		v    value.Value
		cond bool
		want string // file:line:col: part of the message
	}{
		{"undefined", at("{{ nope }}"), false, "play.yml:10:8: 'nope' is undefined"},
		{"in text", at("abc {{ ok.x.y + 1 }}"), false, "play.yml:10:15: has no attribute 'x'"},
		{"syntax", at("{{ a b }}"), false, "play.yml:10:10: template error while templating string: expected token 'end of print statement', got 'b'. String: {{ a b }}"},
		{"condition", at("ok == nope"), true, "play.yml:10:11: error while evaluating conditional (ok == nope): 'nope' is undefined"},
		{"condition syntax", at("ok =="), true, "play.yml:10:"},
		{"in a variable", at("{{ via }}"), false, "test.yml:2:"},
		{"in a block", at("{{ block }}"), false, "test.yml:6:"},
	} {
		var err error
		if c.cond {
			_, err = b.engine.Truth(ctx, c.v, b)
		} else {
			_, err = b.engine.Value(ctx, c.v, b)
		}
		if err == nil {
			t.Errorf("%s: no error", c.name)
			continue
		}
		d := template.Diagnose(err)
		place, msg, _ := strings.Cut(c.want, ": ")
		if got := source.Place(d.Pos); !strings.HasPrefix(got, place) && c.name != "in a block" || !strings.Contains(d.Msg, msg) {
			t.Errorf("%s: got %s: %s\nwant %s", c.name, source.Place(d.Pos), d.Msg, c.want)
		}
	}
	_, err := b.engine.Value(ctx, b.raw("block"), b)
	if d := template.Diagnose(err); source.Place(d.Pos) != "test.yml:6:16" {
		t.Errorf("in a block scalar: %s: %s", source.Place(d.Pos), d.Msg)
	}
}

func (b *bench) raw(name string) value.Value {
	v, _ := b.vars.GetStr(name)
	return v
}

func TestCheck(t *testing.T) {
	e := newEngine(t, template.Options{})
	for _, c := range []struct {
		v    value.Value
		cond bool
		n    int
	}{
		{at("{{ fine }}"), false, 0},
		{at("{{ broken"), false, 1},
		{at("{{ x | no_such_filter }}"), false, 1},
		{value.S("{{ broken"), false, 0}, // data is no template
		{at("a == b"), true, 0},
		{at("a =="), true, 1},
		{at("{{ a }} == b"), true, 0},
		{author(t, "[{a: '{{ x', b: ['{% if %}']}, '{{ ok }}']"), false, 2},
		{value.Int(1), true, 0},
	} {
		if errs := e.Check(c.v, c.cond); len(errs) != c.n {
			t.Errorf("%s: %v, want %d mistakes", value.Repr(c.v), errs, c.n)
		}
	}
}

func TestDropOmit(t *testing.T) {
	b := newBench(t, template.Options{}, "{}", "")
	v, err := b.engine.Value(ctx, author(t, "{a: '{{ omit }}', b: {c: '{{ nope | default(omit) }}', d: 1}, l: [{x: '{{ omit }}', y: 2}, '{{ omit }}'], s: 'x{{ omit }}'}"), b)
	if err != nil {
		t.Fatal(err)
	}
	got := value.Repr(template.DropOmit(v))
	if want := "{'b': {'d': 1}, 'l': [{'y': 2}, '__omit_place_holder__'], 's': 'x__omit_place_holder__'}"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if template.IsOmit(value.S("__omit_place_holder__")) {
		t.Error("a text passes for omit")
	}
}

func TestSealed(t *testing.T) {
	b := newBench(t, template.Options{}, "plain: 1", "")
	sealed := value.Sealed{Text: "$ANSIBLE_VAULT;…", From: &value.Origin{File: "v.yml", Line: 3, Col: 4}}
	b.vars.SetStr("secret", sealed)
	_, err := b.engine.Value(ctx, at("{{ secret }}"), b)
	if err == nil || !strings.Contains(err.Error(), "no vault secrets found") || template.Diagnose(err).Pos.File != "v.yml" {
		t.Errorf("without a password: %v", err)
	}
	b.site.OpenVault = func([]byte) ([]byte, error) { return []byte("{{ plain }}"), nil }
	b.want("{{ secret }}", "str '{{ plain }}'")
	b.want("x{{ secret }}", "str 'x{{ plain }}'")
	b.site.OpenVault = func([]byte) ([]byte, error) { return nil, errors.New("wrong password") }
	if _, err = b.engine.Value(ctx, at("{{ secret }}"), b); err == nil || !strings.Contains(err.Error(), "wrong password") {
		t.Errorf("with a wrong password: %v", err)
	}
}

func TestExtensions(t *testing.T) {
	b := newBench(t, template.Options{}, "l: [1]", "")
	if _, err := b.engine.Value(ctx, at("{% do l.append(2) %}{{ l }}"), b); err == nil {
		t.Error("do works without its extension")
	}
	b = newBench(t, template.Options{Extensions: []string{"jinja2.ext.do", " jinja2.ext.loopcontrols"}}, "l: [1]", "")
	b.want("{% do l.append(2) %}{{ l }}", "list [1, 2]")
	b.want("{% for i in [1, 2, 3] %}{% if i == 2 %}{% break %}{% endif %}{{ i }}{% endfor %}", "str '1'")
	if _, err := template.New(template.Options{Extensions: []string{"my.ext"}}); err == nil || !strings.Contains(err.Error(), `"my.ext"`) {
		t.Errorf("an unknown extension: %v", err)
	}
}

func TestSprig(t *testing.T) {
	b := newBench(t, template.Options{}, "s: hello\ntrunc: mine", "")
	b.want("{{ s | sprig.trunc(3) }} {{ sprig.trunc(3, s) }} {{ trunc }}", "str 'hel hel mine'")
}

func TestLoops(t *testing.T) {
	b := newBench(t, template.Options{}, "l: [1, [2, 3]]\nd: {a: 1}\nnope_list: '{{ nope }}'", "")
	b.write("files/here.txt", "x")
	for _, c := range []struct {
		name  string
		terms string
		want  string
	}{
		{"items", "'{{ l }}'", "[1, 2, 3]"},
		{"items", "[a, '{{ l }}']", "['a', 1, [2, 3]]"},
		{"items", "one", "['one']"},
		{"list", "[1, [2]]", "[1, [2]]"},
		{"dict", "'{{ d }}'", "[{'key': 'a', 'value': 1}]"},
		{"indexed_items", "[x, y]", "[[0, 'x'], [1, 'y']]"},
		{"nested", "[[a, b], [1]]", "[['a', 1], ['b', 1]]"},
		{"together", "[[a, b], [1]]", "[['a', 1], ['b', None]]"},
		{"sequence", "count=2", "['1', '2']"},
		{"subelements", "[[{n: 1, k: [a]}], k]", "[[{'n': 1}, 'a']]"},
		{"first_found", "['{{ nope }}.txt', here.txt]", "['" + b.site.Basedir + "/files/here.txt']"},
		{"first_found", "[{files: [gone.txt], skip: true}]", "[]"},
		{"flattened", "[1, [2, [3, [4]]]]", "[1, 2, 3, 4]"},
		{"community.general.flattened", "[1, [2]]", "[1, 2]"},
		{"ansible.builtin.items", "[1]", "[1]"},
	} {
		terms := author(t, c.terms)
		list := []value.Value{terms}
		v, err := b.engine.Lookup(ctx, c.name, list, nil, b)
		if err != nil || value.Repr(v) != c.want {
			t.Errorf("with_%s: %s: got %v, %v, want %s", c.name, c.terms, v, err, c.want)
		}
	}
	if _, err := b.engine.Lookup(ctx, "items", []value.Value{at("{{ nope_list }}")}, nil, b); template.IsUndefined(err) == nil {
		t.Errorf("with_items of an undefined variable: %v", err)
	}
	if _, err := b.engine.Lookup(ctx, "dig", nil, nil, b); err == nil || !strings.Contains(err.Error(), "not supported") {
		t.Errorf("dig: %v", err)
	}
	v, err := b.engine.Lookup(ctx, "first_found", []value.Value{author(t, "[x.yml]")},
		[]jinja.NamedArg{{Name: template.SubdirOption, Val: value.S("vars")}}, b)
	if err == nil {
		t.Errorf("first_found: %v", v)
	}
	b.write("vars/x.yml", "")
	v, err = b.engine.Lookup(ctx, "first_found", []value.Value{author(t, "[x.yml]")},
		[]jinja.NamedArg{{Name: template.SubdirOption, Val: value.S("vars")}}, b)
	if err != nil || !strings.HasSuffix(value.String(v), "/vars/x.yml']") {
		t.Errorf("first_found in vars: %v, %v", v, err)
	}
}

func TestWarnings(t *testing.T) {
	b := newBench(t, template.Options{}, "n: 5", "")
	b.truth(at("{{ n }} == 5"), "bool True")
	b.want("{{ range(1, n - 2) }}", "list [1, 2]")
	b.want("{{ range(1, (n)) | list }}", "list [1, 2, 3, 4]")
	b.truth(at(""), "bool True")
	want := []string{
		"conditional statements should not include jinja2 templating delimiters",
		`the template "{{ range(1, n - 2) }}" yields a range`,
		"an empty condition counts as true",
	}
	for i, w := range b.warnings {
		if i >= len(want) || !strings.HasPrefix(w.Msg, want[i]) || w.Pos.Line == 0 {
			t.Errorf("warning %d: %v", i, w)
		}
	}
	if len(b.warnings) != len(want) {
		t.Errorf("%d warnings, want %d", len(b.warnings), len(want))
	}
}

// TestEndlessValues: a value that contains itself is an error, in every mode.
func TestEndlessValues(t *testing.T) {
	for _, mode := range []template.Mode{template.Classic, template.Native, template.Strict} {
		b := newBench(t, template.Options{Mode: mode}, "n: 5", "")
		for _, text := range []string{
			"{% set l = [1] %}{% set _ = l.append(l) %}{{ l }}",
			"{% set l = [1] %}{% set _ = l.append(l) %}x{{ l }}",
			"{% set d = {} %}{% set _ = d.update({'k': [d, d]}) %}{{ d }}",
			"{% set ns = namespace(l=[1]) %}{% for i in range(60) %}{% set ns.l = [ns.l, ns.l] %}{% endfor %}{{ ns.l }}",
			"{% set l = [1] %}{% set _ = l.append(l) %}{{ [l] | map('list') }}",
		} {
			b.fails(text, "contains itself, or is too large")
		}
	}
}

// TestStrictEndless: what hands on a template of its own is found out.
func TestStrictEndless(t *testing.T) {
	b := newBench(t, template.Options{Mode: template.Strict}, "a: \"{{ vars['a'] }}\"", "")
	b.fails("{{ vars['a'] }}", "recursive loop detected in template string")
}

func TestConcurrentEvaluations(t *testing.T) {
	b := newBench(t, template.Options{}, "l: [1, 2]\nn: '{{ l | length }}'", "")
	done := make(chan error)
	for g := range 8 {
		go func() {
			s := &testScope{engine: b.engine, site: b.site, vars: b.vars}
			for i := range 50 {
				v, err := b.engine.Value(ctx, at(fmt.Sprintf("{%% set _ = l.append(%d) %%}{{ l | length }} {{ n }}", g*i)), s)
				if err == nil && value.String(v) != "3 2" {
					err = fmt.Errorf("got %v", v)
				}
				if err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	for range 8 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// TestDiscreet: what is wrong with a text that holds a secret is said without pieces of it.
func TestDiscreet(t *testing.T) {
	secrets := []string{"abc-xyz", "abc xyz ghi", "ab{{ cd }}ef", "ab{% cd", "{{ token_inside }}", "abc(xyz"}
	masked := strings.NewReplacer("abc-xyz", "***", "abc xyz ghi", "***", "ab{{ cd }}ef", "***", "ab{% cd", "***", "abc(xyz", "***")
	for _, mode := range []template.Mode{template.Classic, template.Native, template.Strict} {
		b := newBench(t, template.Options{Mode: mode, Secret: func(text string) bool {
			return slices.ContainsFunc(secrets, func(s string) bool { return strings.Contains(text, s) })
		}}, strings.Join([]string{
			"token: abc-xyz", "words: abc xyz ghi", "braces: 'ab{{ cd }}ef'", "block: 'ab{% cd'", "open: abc(xyz", "plain: nope", "n: 5", "whole: '{{ token_inside }}'",
		}, "\n"), "")
		for _, c := range []struct{ cond, shown string }{
			{"{{ token }}", ""},
			{"{{ words }}", ""},
			{"{{ open }}", ""},
			{"{{ token }} == 5", ""},
			{"n == 5 and {{ words }}", ""},
			{"{{ token }} == {{ n }} and {{ words }}", ""},
			{"{{ plain }}", "'nope' is undefined"},
			{"braces == 5", ""},
			{"block == 5", ""},
			{"whole == 5", "token_inside"}, // an expression is no secret
		} {
			v, err := b.engine.Truth(ctx, at(c.cond), b)
			if err == nil {
				t.Errorf("mode %d: %s is %v", mode, c.cond, v)
				continue
			}
			d := template.Diagnose(err)
			said := masked.Replace(fmt.Sprintf("%v %+v", err, d))
			for _, piece := range []string{"abc", "xyz", "ghi", "'ab", "cd", "'ef"} {
				if strings.Contains(said, piece) {
					t.Errorf("mode %d: %s shows %q: %s", mode, c.cond, piece, said)
				}
			}
			if c.shown != "" && mode != template.Strict && !strings.Contains(said, c.shown) {
				t.Errorf("mode %d: %s does not say %q: %s", mode, c.cond, c.shown, said)
			}
		}
		for _, expr := range []string{"{{ token }}", "{{ words }}"} {
			if v, err := b.engine.Expr(ctx, at(expr), b); err != nil && strings.Contains(fmt.Sprintf("%v %+v", err, template.Diagnose(err)), "abc") {
				t.Errorf("mode %d: %s: %v, %v", mode, expr, v, err)
			}
		}
	}
}
