package jinja_test

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"orch/playbook/jinja"
	"orch/playbook/jinja/value"
)

func TestNative(t *testing.T) {
	env := newEnv(t, ansible)
	origin := &value.Origin{File: "f.yml", Line: 3}
	vars := someVars()
	vars["authored"] = value.Str{S: "{{ x }}", From: origin}
	for _, c := range []struct {
		src    string
		single bool
		want   string
	}{
		{"{{ l }}", true, "[1, 2, 3]"},
		{"{{ 1 }}", true, "1"},
		{" {{ 1 }}", false, "' 1'"},
		{"{{ 1 }}{{ 2 }}", false, "'12'"},
		{"text", false, "'text'"},
		{"", false, "''"},
		{"{{ n }}", true, "None"},
		{"{% if true %}{{ l }}{% endif %}", false, "'[1, 2, 3]'"},
		{"{{ self is defined }}", false, "'True'"},
	} {
		tmpl, err := env.Template("", c.src)
		if err != nil {
			t.Fatal(err)
		}
		v, err := tmpl.Native(t.Context(), vars)
		if err != nil || value.Repr(v) != c.want || tmpl.Single() != c.single {
			t.Errorf("%q: got %v %v, single %v", c.src, v, err, tmpl.Single())
		}
	}
	for src, kept := range map[string]bool{
		"{{ authored }}": true, "{{ authored|default('x') }}": true, "{{ authored if true }}": true,
		"{{ authored ~ '' }}": false, "{{ authored }} ": false, "{{ authored|upper }}": false, "{{ authored + '' }}": false, "{{ authored[0:] }}": false,
	} {
		tmpl, err := env.Template("", src)
		if err != nil {
			t.Fatal(err)
		}
		v, err := tmpl.Native(t.Context(), vars)
		if s, ok := v.(value.Str); err != nil || !ok || (s.From == origin) != kept {
			t.Errorf("%q: got %#v %v, want the origin kept: %v", src, v, err, kept)
		}
		if v, err := tmpl.Render(t.Context(), vars); err != nil || v.(value.Str).From != nil {
			t.Errorf("%q: rendered text must be data: %#v %v", src, v, err)
		}
	}
	tmpl, _ := env.Template("", "{{ nope }}")
	if v, err := tmpl.Native(t.Context(), vars); err != nil || v.(*value.Undefined).Name != "nope" {
		t.Errorf("an undefined variable alone: %v %v", v, err)
	}
}

func TestPartsAndConcat(t *testing.T) {
	opts := ansible
	opts.Finalize = func(v value.Value) (value.Value, error) {
		if _, none := v.(value.None); none {
			return value.S(""), nil
		}
		if s, ok := v.(value.Str); ok && s.S == "bad" {
			return nil, errors.New("finalize says no")
		}
		return v, nil
	}
	opts.Concat = func(nodes []value.Value) (value.Value, error) {
		if len(nodes) == 1 {
			return nodes[0], nil
		}
		return value.Tuple(slices.Clone(nodes)), nil
	}
	env := newEnv(t, opts)
	for _, c := range []struct{ src, parts, native string }{
		{"{{ l }}", "[[1, 2, 3]]", "[1, 2, 3]"},
		{"a{{ 1 }}b{% for x in l %}{{ x }}{% endfor %}", "['a', 1, 'b', 1, 2, 3]", "('a', 1, 'b', 1, 2, 3)"},
		{"{% macro m() %}{{ l }}{% endmacro %}{{ m() }}", "[[1, 2, 3]]", "[1, 2, 3]"},
		{"{% set x %}{{ 5 }}{% endset %}{{ x + 1 }}", "[6]", "6"},
		{"{% filter first %}{{ l }}{% endfilter %}", "[1]", "1"},
		{"{{ n }}", "['']", "''"},
		{"", "[]", "()"},
	} {
		tmpl, err := env.Template("", c.src)
		if err != nil {
			t.Fatal(err)
		}
		parts, err := tmpl.Parts(t.Context(), someVars())
		if got := value.Repr(value.NewList(parts...)); err != nil || got != c.parts {
			t.Errorf("%q: parts %s %v, want %s", c.src, got, err, c.parts)
		}
		v, err := tmpl.Native(t.Context(), someVars())
		if err != nil || value.Repr(v) != c.native {
			t.Errorf("%q: native %v %v, want %s", c.src, v, err, c.native)
		}
	}
	if got, err := run(t, env, "{% macro m() %}{{ l }}{% endmacro %}{{ m() }}!{{ n }}", someVars()); err != nil || got != "[1, 2, 3]!" {
		t.Errorf("rendered: %q %v", got, err)
	}
	if _, err := run(t, env, "{{ 'bad' }}", nil); err == nil || err.Error() != "t.j2:1:4: finalize says no" {
		t.Errorf("an error of Finalize: %v", err)
	}
}

func TestRenderPartly(t *testing.T) {
	env := newEnv(t, ansible)
	vars := someVars()
	vars["u"], vars["x"] = value.Unknown{Of: "digest"}, value.S("1")
	for source, want := range map[string]string{
		"a{{ u }}b{{ x }}": "a?b1", "{{ 'r@' ~ u }}": "?", "{{ u | upper }}": "?", "{% for i in [x, u] %}{{ i }},{% endfor %}": "1,?,",
		"{% macro m() %}<{{ u }}>{% endmacro %}{{ m() }}": "?", "{{ x }}": "1", "{% if u %}a{% endif %}": "",
	} {
		tmpl, err := env.Template("t", source)
		if err != nil {
			t.Fatal(err)
		}
		v, err := tmpl.RenderPartly(t.Context(), vars, "?")
		if err != nil {
			t.Fatal(err)
		}
		if s, ok := v.(value.Str); ok != (want != "") || s.S != want {
			t.Errorf("%s is %v, want %q", source, v, want)
		}
	}
}

func TestUnknown(t *testing.T) {
	env := newEnv(t, ansible)
	vars := someVars()
	vars["u"] = value.Unknown{Of: "result of task"}
	vars["nested"] = value.D("k", value.Unknown{Of: "later"}, "known", value.Int(1))
	for _, c := range []struct{ src, want string }{
		{"{{ u }}", "UNKNOWN"},
		{"before {{ u }} after", "UNKNOWN"},
		{"{{ u.stdout.lines[0] }}", "UNKNOWN"},
		{"{{ u + 1 }}{{ 1 + u }}{{ -u }}{{ not u }}{{ u ~ 'x' }}", "UNKNOWN"},
		{"{{ u == 1 }}", "UNKNOWN"},
		{"{{ u in l }}", "UNKNOWN"},
		{"{{ 1 in u }}", "UNKNOWN"},
		{"{{ u|upper }}", "UNKNOWN"},
		{"{{ s|replace('t', u) }}", "UNKNOWN"},
		{"{{ u.foo() }}", "UNKNOWN"},
		{"{{ s.replace('t', u) }}", "UNKNOWN"},
		{"{{ l[u] }}{{ l[u:] }}", "UNKNOWN"},
		{"{{ u is defined }}", "True"},
		{"{{ u is undefined }}", "False"},
		{"{{ u is string }}", "UNKNOWN"},
		{"{{ u|default('x') }}", "UNKNOWN"},
		{"{{ u and false }}", "False"},
		{"{{ false and u }}", "False"},
		{"{{ u or true }}", "True"},
		{"{{ true or u }}", "True"},
		{"{{ u or 5 }}", "UNKNOWN"},
		{"{{ u and nope }}", "UNKNOWN"},
		{"{{ 1 < u < 3 }}", "UNKNOWN"},
		{"{{ 3 < u < 1 < 0 }}", "False"},
		{"{{ 'a' if u else 'b' }}", "UNKNOWN"},
		{"{{ u if true else 'b' }}", "UNKNOWN"},
		{"{{ 'a' if true else u }}", "a"},
		{"{% if u %}a{% endif %}", "UNKNOWN"},
		{"{% if true %}a{% elif u %}b{% endif %}", "a"},
		{"{% for x in u %}a{% endfor %}", "UNKNOWN"},
		{"{% for x in l if u %}a{% endfor %}", "UNKNOWN"},
		{"{% for x in [u] %}{{ loop.index }}{% endfor %}", "1"},
		{"{% for a, b in [u] %}{{ loop.index }}{% endfor %}", "1"},
		{"{% set x = u %}ok", "ok"},
		{"{% set x %}{{ u }}{% endset %}{{ x }}", "UNKNOWN"},
		{"{% set x %}{{ u }}{% endset %}{{ x is defined }}", "True"},
		{"{% macro m(x) %}{{ x }}{% endmacro %}{{ m(u) }}", "UNKNOWN"},
		{"{% macro m(x) %}fixed{% endmacro %}{{ m(u) }}", "fixed"},
		{"{% macro m(x) %}{% if x %}{% endif %}{% endmacro %}{{ m(u) is defined }}", "UNKNOWN"},
		{"{% filter upper %}{{ u }}{% endfilter %}", "UNKNOWN"},
		{"{{ nested }}", "UNKNOWN"},
		{"{{ nested.known }}", "1"},
		{"{{ nested.k }}", "UNKNOWN"},
		{"{{ [u]|length }}", "1"},
		{"{{ [1, u]|first }}", "1"},
		{"{{ [1, u]|join(',') }}", "UNKNOWN"},
		{"{{ {u: 1} }}", "UNKNOWN"},
		{"{% set x = [] %}{% do x.append(u) %}{{ x|length }}", "1"},
		{"{{ dict(**u) }}", "UNKNOWN"},
		{"{{ range(*u) }}", "UNKNOWN"},
		{"{% set x = [1] %}{% do x.append(*u) %}{{ x|length }}", "UNKNOWN"},
		{"{% include u %}", "UNKNOWN"},
		{"{% set ns = namespace(a=u) %}{% set ns.b = 1 %}{{ ns.b }}", "1"},
	} {
		got, err := run(t, env, c.src, vars)
		if err != nil || got != c.want {
			t.Errorf("%q: got %q %v, want %q", c.src, got, err, c.want)
		}
	}
	x, err := env.Expr("u.changed and l|length > 2")
	if err != nil {
		t.Fatal(err)
	}
	if v, err := x.Eval(t.Context(), vars); err != nil || v.(value.Unknown).Of != "result of task" {
		t.Errorf("got %v %v", v, err)
	}
}

func TestNamesOfATemplate(t *testing.T) {
	env := newEnv(t, ansible)
	tmpl, err := env.Template("", "{% set x = a %}{{ x }}{{ b.c }}\n{% for i in range(3) %}{{ i + d }}{% endfor %}"+
		"{% macro m(p) %}{{ p }}{{ e }}{% endmacro %}{% block q %}{{ f|upper is defined }}{% endblock %}{% if a %}{{ a|lower }}{% set g = 1 %}{% endif %}{{ g }}")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, r := range tmpl.FreeNames() {
		names = append(names, fmt.Sprintf("%s@%d:%d", r.Name, r.At.Line, r.At.Col))
	}
	want := "a@1:12 b@1:26 d@2:31 e@2:73 f@2:107 g@2:194"
	if got := strings.Join(names, " "); got != want {
		t.Errorf("free names: %s\nwant        %s", got, want)
	}
	if f := tmpl.Filters(); len(f) != 2 || f[0].Name+f[1].Name != "lowerupper" && f[0].Name+f[1].Name != "upperlower" {
		t.Errorf("filters: %v", f)
	}
	if f := tmpl.Tests(); len(f) != 1 || f[0].Name != "defined" {
		t.Errorf("tests: %v", f)
	}
	x, err := env.Expr("a + lipsum() + b")
	if err != nil {
		t.Fatal(err)
	}
	if refs := x.FreeNames(); len(refs) != 2 || refs[1] != (jinja.Ref{Name: "b", At: value.Place{Line: 1, Col: 16}}) {
		t.Errorf("free names of an expression: %v", refs)
	}
	if !env.HasFilter("upper") || env.HasFilter("nope") || !env.HasTest("defined") || env.HasTest("nope") {
		t.Error("HasFilter, HasTest")
	}
}

func TestOverlay(t *testing.T) {
	env := newEnv(t, ansible)
	change := func(o *jinja.Options) {
		o.VariableStart, o.VariableEnd, o.TrimBlocks = "[[", "]]", false
		o.Loader = mapLoader{}
	}
	over, err := env.Overlay(change)
	if err != nil {
		t.Fatal(err)
	}
	if again, _ := env.Overlay(change); again != over {
		t.Error("equal overlays are not one")
	}
	if same, _ := env.Overlay(func(*jinja.Options) {}); same != env {
		t.Error("an overlay that changes nothing is not the environment")
	}
	src := "[[ s|upper ]]{{ s }}{% if true %}\nx{% endif %}"
	if got, err := run(t, over, src, someVars()); err != nil || got != "TEXT{{ s }}\nx" {
		t.Errorf("overlay: %q %v", got, err)
	}
	if got, err := run(t, env, src, someVars()); err != nil || got != "[[ s|upper ]]textx" {
		t.Errorf("environment: %q %v", got, err)
	}
	if _, err := env.Overlay(func(o *jinja.Options) { o.BlockStart = "{{" }); err == nil {
		t.Error("equal delimiters are accepted")
	}
	if _, err := jinja.New(jinja.Options{NewlineSequence: "x"}); err == nil {
		t.Error("a strange newline sequence is accepted")
	}
}

func TestIsTemplate(t *testing.T) {
	env := newEnv(t, ansible)
	for src, want := range map[string]bool{"": false, "text": false, "{": false, "{ {": false, "{{ a": true, "x{% y": true, "{#": true, "}}": false} {
		if env.IsTemplate(src) != want {
			t.Errorf("%q: %v", src, !want)
		}
	}
	line := newEnv(t, jinja.Options{LineStatementPrefix: "%%", VariableStart: "${", VariableEnd: "}"})
	if line.IsTemplate("{{ a }}") || !line.IsTemplate("%% if") || !line.IsTemplate("${a}") {
		t.Error("other delimiters")
	}
}

func TestLoader(t *testing.T) {
	opts := ansible
	opts.Loader = mapLoader{"bad": "ok\n{{ nope }}", "syn": "{% if %}", "deep": "{% include 'bad' %}"}
	env := newEnv(t, opts)
	for _, c := range []struct{ src, want string }{
		{"{% include 'bad' %}", "bad:2:4: 'nope' is undefined"},
		{"{% include 'deep' %}", "bad:2:4: 'nope' is undefined"},
		{"{% include 'syn' ignore missing %}", "syn:1:7: Expected an expression, got 'end of statement block'"},
		{"{% include 'denied' ignore missing %}", "t.j2:1:4: permission denied"},
		{"{% include 'absent' %}", "t.j2:1:4: absent not found"},
		{"{% include ['x', 'y'] %}", "t.j2:1:4: none of the templates given were found: x, y"},
		{"{% from 'bad' import x %}", "bad:2:4: 'nope' is undefined"},
	} {
		if _, err := run(t, env, c.src, nil); err == nil || err.Error() != c.want {
			t.Errorf("%q:\ngot  %v\nwant %s", c.src, err, c.want)
		}
	}
	if got, err := run(t, env, "{% include 'parent' %}", nil); err != nil || got != "[t.j2]" {
		t.Errorf("the parent's name: %q %v", got, err)
	}
	if _, err := run(t, env, "{% include 'absent' %}", nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v is no fs.ErrNotExist", err)
	}
}

func TestEscapeBackslashes(t *testing.T) {
	opts := ansible
	opts.EscapeBackslashes = true
	env := newEnv(t, opts)
	for _, c := range []struct{ src, want string }{
		{`{{ 'a\nb' }}`, `a\nb`},
		{`{{ "\\1" }}`, `\\1`},
		{`{% set x = 'a\tb' %}{{ x }}`, "a\tb"},
		{`{{ '\d+' ~ "\'" }}`, `\d+\'`},
	} {
		if got, err := run(t, env, c.src, nil); err != nil || got != c.want {
			t.Errorf("%s: got %q %v, want %q", c.src, got, err, c.want)
		}
	}
	if _, err := env.Template("", `{{ 'it\'s' }}`); err == nil {
		t.Error("an escaped quote ends the string there: it must be an error")
	}
	opts.EscapedQuotes = true
	if got, err := run(t, newEnv(t, opts), `{{ 'it\'s\\' ~ "\"" }}`, nil); err != nil || got != `it\'s\\\"` {
		t.Errorf("with EscapedQuotes: got %q %v", got, err)
	}
	x, err := env.Expr(`'a\tb'`)
	if err != nil {
		t.Fatal(err)
	}
	if v, _ := x.Eval(t.Context(), nil); value.String(v) != "a\tb" {
		t.Errorf("an expression is not inside of braces: %v", v)
	}
}

func TestCallsSeeTheTemplate(t *testing.T) {
	opts := ansible
	see := func(c *jinja.Call, b jinja.Bound) (value.Value, error) {
		v, ok, err := c.Resolve(value.String(b.Args[0]))
		if err != nil || !ok {
			return value.S("-"), err
		}
		return v, nil
	}
	opts.Globals = map[string]value.Value{
		"see": &jinja.Function{Name: "see", Sig: jinja.Signature{Params: []jinja.Param{{Name: "name"}}}, Do: see},
		"gl":  value.Int(7),
	}
	opts.Filters = map[string]*jinja.Filter{
		"where": {Do: func(c *jinja.Call, in value.Value, _ jinja.Bound) (value.Value, error) {
			return value.S(fmt.Sprintf("%s %s:%d:%d", c.Name, c.Template(), c.At.Line, c.At.Col)), nil
		}},
		"ns.dotted": {Do: func(c *jinja.Call, in value.Value, _ jinja.Bound) (value.Value, error) {
			return c.Filter("upper", in, jinja.Args{})
		}},
		"probe": {Do: func(c *jinja.Call, in value.Value, _ jinja.Bound) (value.Value, error) {
			v, err := c.Attr(in, "b")
			if err != nil {
				return nil, err
			}
			w, err := c.Item(in, value.S("l"))
			if err != nil {
				return nil, err
			}
			is, err := c.Test("string", v, jinja.Args{})
			return value.Tuple{v, w, is}, err
		}},
	}
	env := newEnv(t, opts)
	for _, c := range []struct{ src, want string }{
		{"{{ see('s') }}{{ see('gl') }}{{ see('nope') }}", "text7-"},
		{"{% set x = 1 %}{{ see('x') }}", "1"},
		{"{% for i in l %}{% set y = i %}{{ see('y') }}{{ see('i') }}{% endfor %}{{ see('y') }}", "1-2-3--"},
		{"{% macro m() %}{{ see('s') }}{% endmacro %}{{ m() }}{{ see('m') is callable }}", "textTrue"},
		{"\n {{ s|where }}", "\n where t.j2:2:7"},
		{"{{ s|ns.dotted }}", "TEXT"},
		{"{{ a|probe }}", "('x', [1, 2], True)"},
	} {
		if got, err := run(t, env, c.src, someVars()); err != nil || got != c.want {
			t.Errorf("%q: got %q %v, want %q", c.src, got, err, c.want)
		}
	}
}

func TestStrictNames(t *testing.T) {
	opts := ansible
	opts.StrictNames = true
	env := newEnv(t, opts)
	if _, err := env.Template("", "{% if false %}{{ 1|nosuch }}{% endif %}"); err == nil {
		t.Error("an unknown filter inside an if is accepted")
	}
}

func TestBind(t *testing.T) {
	sig := jinja.Signature{Params: []jinja.Param{{Name: "a"}, {Name: "b", Default: value.Int(2)}, {Name: "c", Optional: true}}}
	pos := func(n ...int) (vals []value.Value) {
		for _, i := range n {
			vals = append(vals, value.Int(i))
		}
		return vals
	}
	named := func(name string) []jinja.NamedArg { return []jinja.NamedArg{{Name: name, Val: value.Int(9)}} }
	open := sig
	open.VarArgs, open.KwArgs = true, true
	for _, c := range []struct {
		sig  jinja.Signature
		args jinja.Args
		want string
	}{
		{sig, jinja.Args{Pos: pos(1)}, "[1 2 <nil>] [] []"},
		{sig, jinja.Args{Pos: pos(1, 3, 4)}, "[1 3 4] [] []"},
		{sig, jinja.Args{Pos: pos(1), Named: named("c")}, "[1 2 9] [] []"},
		{sig, jinja.Args{}, "f() missing 1 required positional argument: 'a'"},
		{sig, jinja.Args{Pos: pos(1, 2, 3, 4)}, "f() takes from 1 to 3 positional arguments but 4 were given"},
		{sig, jinja.Args{Pos: pos(1), Named: named("z")}, "f() got an unexpected keyword argument 'z'"},
		{sig, jinja.Args{Pos: pos(1), Named: named("a")}, "f() got multiple values for argument 'a'"},
		{open, jinja.Args{Pos: pos(1, 2, 3, 4), Named: named("z")}, "[1 2 3] [4] [{z 9}]"},
	} {
		b, err := c.sig.Bind("f", c.args)
		got := fmt.Sprint(b.Args, b.Var, b.KwVar)
		if err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%v: got %s, want %s", c.args, got, c.want)
		}
	}
}
