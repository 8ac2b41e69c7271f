package jinja_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"orch/playbook/jinja"
	"orch/playbook/jinja/jinjatest"
	"orch/playbook/jinja/value"
)

// TestRecorded replays what CPython's Jinja2 printed.
func TestRecorded(t *testing.T) {
	for _, name := range []string{"testdata/hand.jsonl", "testdata/language.jsonl"} {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		cases, err := jinjatest.Load(f)
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
		for i := range cases {
			c := &cases[i]
			if r := c.Run(); r.Verdict != jinjatest.Passed {
				want := fmt.Sprintf("error %q", c.Error)
				if c.Expected != nil {
					want = fmt.Sprintf("%q", *c.Expected)
				}
				t.Errorf("%s %q:\ngot  %q %v\nwant %s", c.ID, c.Template, r.Got, r.Err, want)
			}
		}
	}
}

func newEnv(t testing.TB, o jinja.Options) *jinja.Env {
	t.Helper()
	env, err := jinja.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return env
}

func run(t testing.TB, env *jinja.Env, src string, vars jinja.Vars) (string, error) {
	t.Helper()
	tmpl, err := env.Template("t.j2", src)
	if err != nil {
		return "", err
	}
	v, err := tmpl.Render(t.Context(), vars)
	if err != nil {
		return "", err
	}
	if value.IsUnknown(v) {
		return "UNKNOWN", nil
	}
	return value.String(v), nil
}

// ansible is how the layer above uses the language: strict on use, chaining on access.
var ansible = jinja.Options{Chainable: true, Do: true, LoopControls: true, TrimBlocks: true}

func someVars() jinja.MapVars {
	return jinja.MapVars{
		"a": value.D("b", value.S("x"), "l", value.NewList(value.Int(1), value.Int(2))),
		"s": value.S("text"),
		"n": value.None{},
		"l": value.NewList(value.Int(1), value.Int(2), value.Int(3)),
	}
}

func TestErrorTexts(t *testing.T) {
	env := newEnv(t, ansible)
	for _, c := range []struct{ src, want string }{
		{"{{ foo }}", "t.j2:1:4: 'foo' is undefined"},
		{"line\n  {{ foo + 1 }}", "t.j2:2:6: 'foo' is undefined"},
		{"é☃ {{ foo }}", "t.j2:1:7: 'foo' is undefined"},
		{"a\r\nb {{ foo }}", "t.j2:2:6: 'foo' is undefined"},
		{"{{ a.b.c }}", "t.j2:1:8: 'str object' has no attribute 'c' (a.b.c)"},
		{"{{ a.x.y.z }}", "t.j2:1:6: 'dict object' has no attribute 'x' (a.x)"},
		{"{{ a['x'].y }}", "t.j2:1:5: 'dict object' has no attribute 'x' (a['x'])"},
		{"{{ a.l[7] }}", "t.j2:1:7: list object has no element 7 (a.l[7])"},
		{"{{ (a|string).zz }}", "t.j2:1:15: 'str object' has no attribute 'zz'"},
		{"{{ n.x }}", "t.j2:1:6: 'None' has no attribute 'x' (n.x)"},
		{"{% if foo %}{% endif %}", "t.j2:1:7: 'foo' is undefined"},
		{"{% for x in foo %}{% endfor %}", "t.j2:1:13: 'foo' is undefined"},
		{"{% for x in l %}\n{{ x + s }}{% endfor %}", `t.j2:2:4: unsupported operand type(s) for +: 'int' and 'str'`},
		{"{{ s.nope() }}", "t.j2:1:6: 'str object' has no attribute 'nope' (s.nope)"},
		{"{{ s() }}", "t.j2:1:5: 'str' object is not callable"},
		{"{{ 1 / 0 }}", "t.j2:1:4: division by zero"},
		{"{{ s|nosuch }}", "t.j2:1:6: No filter named 'nosuch'."},
		{"{{ s is nosuch }}", "t.j2:1:9: No test named 'nosuch'."},
		{"{% if true %}{{ s|nosuch }}{% endif %}", "t.j2:1:19: No filter named 'nosuch' found."},
		{"{{ s|replace('a') }}", "t.j2:1:6: replace() missing 1 required positional argument: 'new'"},
		{"{{ s|upper(1) }}", "t.j2:1:6: upper() takes 0 positional arguments but 1 were given"},
		{"{{ s|indent(zz=1) }}", "t.j2:1:6: indent() got an unexpected keyword argument 'zz'"},
		{"{{ s|indent(4, width=1) }}", "t.j2:1:6: indent() got multiple values for argument 'width'"},
		{"{% macro m(x) %}{{ x }}{% endmacro %}{{ m() }}", "t.j2:1:20: parameter 'x' was not provided"},
		{"{% macro m() %}{% endmacro %}{{ m(1) }}", "t.j2:1:34: macro 'm' takes not more than 0 argument(s)"},
		{"{% include 'x' %}", "t.j2:1:4: no loader for this environment specified, 'x' can not be loaded"},
		{"{% set a.b = 1 %}", "t.j2:1:8: cannot assign attribute on non-namespace object"},
	} {
		_, err := run(t, env, c.src, someVars())
		if err == nil || err.Error() != c.want {
			t.Errorf("%q:\ngot  %v\nwant %s", c.src, err, c.want)
		}
	}
}

func TestSyntaxErrorTexts(t *testing.T) {
	env := newEnv(t, ansible)
	for _, c := range []struct{ src, want string }{
		{"{{ a", "t.j2:1:5: unexpected end of template, expected 'end of print statement'."},
		{"{{ a b }}", "t.j2:1:6: expected token 'end of print statement', got 'b'"},
		{"{{ }}", "t.j2:1:4: Expected an expression, got 'end of print statement'"},
		{"{{ (a }}", "t.j2:1:7: unexpected '}', expected ')'"},
		{"{{ a) }}", "t.j2:1:5: unexpected ')'"},
		{"{{ 'a }}", `t.j2:1:4: unexpected char "'" at 3`},
		{"{{ a ? b }}", "t.j2:1:6: unexpected char '?' at 5"},
		{"x\n{% nosuch %}", "t.j2:2:4: Encountered unknown tag 'nosuch'."},
		{"{% if a %}\n{% endfor %}", "t.j2:2:4: Encountered unknown tag 'endfor'. Jinja was looking for the following tags: 'elif' or 'else' or 'endif'. The innermost block that needs to be closed is 'if'."},
		{"{% for x in l %}{% if x %}{% endfor %}", "t.j2:1:30: Encountered unknown tag 'endfor'. You probably made a nesting mistake. Jinja is expecting this tag, but currently looking for 'elif' or 'else' or 'endif'. The innermost block that needs to be closed is 'if'."},
		{"{% if a %}", "t.j2:1:11: Unexpected end of template. Jinja was looking for the following tags: 'elif' or 'else' or 'endif'. The innermost block that needs to be closed is 'if'."},
		{"{% trans %}{% endtrans %}", "t.j2:1:4: Encountered unknown tag 'trans'. The i18n extension is not supported."},
		{"{# never ends", "t.j2:1:3: Missing end of comment tag"},
		{"{% raw %}never ends", "t.j2:1:10: Missing end of raw directive"},
		{"{% block a-b %}{% endblock %}", "t.j2:1:11: Block names in Jinja have to be valid Python identifiers and may not contain hyphens, use an underscore instead."},
		{"{{ f(a=1, 2) }}", "t.j2:1:5: invalid syntax for function call expression"},
		{"{{ a is defined is defined }}", "t.j2:1:17: You cannot chain multiple tests with is"},
		{"{% set true = 1 %}", "t.j2:1:8: can't assign to 'const'"},
		{"{% break %}", "t.j2:1:4: 'break' outside loop"},
		{"{% for x in l %}{% set loop = 1 %}{% endfor %}", "t.j2:1:24: Can't assign to special loop variable in for-loop target"},
		{"{% block x %}{% endblock %}{% block x %}{% endblock %}", "t.j2:1:31: block 'x' defined twice"},
	} {
		_, err := env.Template("t.j2", c.src)
		var e *jinja.Error
		if !errors.As(err, &e) || err.Error() != c.want || !e.Syntax {
			t.Errorf("%q:\ngot  %v\nwant %s", c.src, err, c.want)
		}
	}
	off := newEnv(t, jinja.Options{})
	if _, err := off.Template("", "{% do x %}"); err == nil || !strings.Contains(err.Error(), "unknown tag 'do'") {
		t.Errorf("do without its extension: %v", err)
	}
}

// A counting Vars says how often a name was asked for.
type counting struct {
	jinja.MapVars
	asked map[string]int
}

func (c *counting) Lookup(name string) (value.Value, bool, error) {
	c.asked[name]++
	if name == "broken" {
		return nil, false, errors.New("no such luck")
	}
	return c.MapVars.Lookup(name)
}

func TestVarsAreAskedOnceAndWhenUsed(t *testing.T) {
	opts := ansible
	opts.Loader = mapLoader{"inc": "{{ s }}{{ a.b }}", "base": "{% block x %}{% endblock %}{{ s }}"}
	env := newEnv(t, opts)
	for _, src := range []string{
		"{{ s }}{{ s }}{% if false %}{{ broken }}{% endif %}{{ s if s else broken }}",
		"{% for i in l %}{{ s }}{{ l|length }}{% endfor %}",
		"{% macro m() %}{{ s }}{% endmacro %}{{ m() }}{{ m() }}{{ s }}",
		"{{ s }}{% include 'inc' %}{% include 'inc' %}",
		"{% extends 'base' %}{% block x %}{{ s }}{{ l }}{% endblock %}",
		"{% set s = s ~ s %}{{ s }}",
	} {
		vars := &counting{someVars(), map[string]int{}}
		if _, err := run(t, env, src, vars); err != nil {
			t.Errorf("%q: %v", src, err)
		}
		for name, n := range vars.asked {
			if n > 1 {
				t.Errorf("%q: %s was asked for %d times", src, name, n)
			}
		}
	}
	_, err := run(t, env, "x\n{{ broken }}", &counting{nil, map[string]int{}})
	if err == nil || err.Error() != "t.j2:2:4: no such luck" {
		t.Errorf("an error of a variable: %v", err)
	}
}

type mapLoader map[string]string

func (m mapLoader) Load(_ context.Context, name, parent string) (string, error) {
	if name == "denied" {
		return "", errors.New("permission denied")
	}
	if name == "parent" {
		return "[" + parent + "]", nil
	}
	src, ok := m[name]
	if !ok {
		return "", fmt.Errorf("%s: %w", name, fs.ErrNotExist)
	}
	return src, nil
}

func TestTemplatesDoNotChangeTheirVariables(t *testing.T) {
	opts := ansible
	opts.Loader = mapLoader{"grow": "{% do l.append(9) %}", "mac": "{% macro grow(x) %}{% do x.append(9) %}{% endmacro %}"}
	env := newEnv(t, opts)
	for _, c := range []struct{ src, want string }{
		{"{% do l.append(4) %}{{ l }}", "[1, 2, 3, 4]"},
		{"{{ l.append(4) or l }}", "[1, 2, 3, 4]"},
		{"{% set x = l %}{% do x.append(4) %}{{ l }}", "[1, 2, 3, 4]"},
		{"{% do a.l.pop() %}{{ a.l }}", "[1]"},
		{"{% do a.update({'q': 1}) %}{{ a.q }}", "1"},
		{"{% do l['append'](4) %}{{ l|length }}", "4"},
		{"{% do (l|attr('append'))(4) %}{{ l|length }}", "4"},
		{"{% for x in [l] %}{% do x.insert(0, 0) %}{% endfor %}{{ l }}", "[0, 1, 2, 3]"},
		{"{% include 'grow' %}{{ l|length }}", "4"},
		{"{% import 'mac' as m %}{{ m.grow(l) }}{{ l|length }}", "4"},
		{"{% set name = 'append' %}{% do l[name](4) %}{{ l|length }}", "4"},
		{"{% set x = [l] %}{% do x[0].append(4) %}{{ l|length }}", "4"},
	} {
		vars := someVars()
		got, err := run(t, env, c.src, vars)
		if err != nil || got != c.want {
			t.Errorf("%q: got %q %v, want %q", c.src, got, err, c.want)
		}
		if n := len(vars["l"].(*value.List).Items); n != 3 {
			t.Errorf("%q changed the variable l: %s", c.src, value.Repr(vars["l"]))
		}
		if s := value.Repr(vars["a"]); s != "{'b': 'x', 'l': [1, 2]}" {
			t.Errorf("%q changed the variable a: %s", c.src, s)
		}
	}
}

func TestValuesAreSharedWhereNothingChangesThem(t *testing.T) {
	env := newEnv(t, ansible)
	vars := someVars()
	for _, src := range []string{"a.l", "l", "l if s else n", "(l, 1)[0]"} {
		x, err := env.Expr(src)
		if err != nil {
			t.Fatal(err)
		}
		v, err := x.Eval(t.Context(), vars)
		if err != nil || v != vars["l"] && v != mustGet(vars["a"], "l") {
			t.Errorf("%s: not the variable itself: %v %v", src, v, err)
		}
	}
	tmpl, err := env.Template("", "{% set own = [] %}{% do own.append(l) %}{{ own[0] is sameas l }}")
	if err != nil {
		t.Fatal(err)
	}
	if v, err := tmpl.Render(t.Context(), vars); err != nil || value.String(v) != "True" {
		t.Errorf("a list of the template's own: %v %v", v, err)
	}
}

func mustGet(v value.Value, name string) value.Value {
	got, _ := v.(*value.Dict).GetStr(name)
	return got
}

func TestLimits(t *testing.T) {
	opts := ansible
	opts.Limits = jinja.Limits{Output: 1000, Steps: 10_000, Recursion: 50, Range: 5000}
	opts.Loader = mapLoader{"self": "{% include 'self' %}", "ext": "{% extends 'ext' %}"}
	env := newEnv(t, opts)
	for _, c := range []struct{ src, want string }{
		{"{% for i in range(4000) %}{% for j in range(4000) %}{% endfor %}{% endfor %}", "more than 10000 steps"},
		{"{% for i in range(3000) %}0123456789{% endfor %}", "prints more than 1000 bytes"},
		{"{% for i in range(3000) %}{{ i }}{{ 'x' }}{% endfor %}", "prints more than 1000 bytes"},
		{"{% set x %}{% for i in range(3000) %}0123456789{% endfor %}{% endset %}", "prints more than 1000 bytes"},
		{"{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "maximum recursion depth exceeded"},
		{"{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}", "maximum recursion depth exceeded"},
		{"{% include 'self' %}", "maximum recursion depth exceeded"},
		{"{% extends 'ext' %}", "maximum recursion depth exceeded"},
		{"{% block x %}{{ self.x() }}{% endblock %}", "maximum recursion depth exceeded"},
		{"{{ range(6000) }}", "more than the limit of 5000"},
		{"{{ s ~ 'x' * 2000 }}", "would be longer than 1000 bytes"},
		{"{% set ns = namespace(s='0123456789') %}{% for i in range(50) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}", "more than 1000 bytes"},
		{"{% set ns = namespace(s='0123456789') %}{% for i in range(50) %}{% set ns.s = ns.s + ns.s %}{% endfor %}", "longer than 1000 bytes"},
		{"{{ 10 ** (10 ** 10) }}", "too large"},
		{"{{ range(5000)|map('string')|map('upper')|map('lower')|list|length }}", "more than 10000 steps"},
	} {
		_, err := run(t, env, c.src, someVars())
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: got %v, want an error with %q", c.src, err, c.want)
		}
		tmpl, err := env.Template("t.j2", c.src)
		if err != nil {
			t.Fatal(err)
		}
		if parts, err := tmpl.Parts(t.Context(), someVars()); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: got %d parts and %v, want an error with %q", c.src, len(parts), err, c.want)
		}
	}
}

func TestNestingIsBounded(t *testing.T) {
	env := newEnv(t, ansible)
	const n = 100_000
	for _, src := range []string{
		"{{ " + strings.Repeat("(", n) + " }}", "{{ " + strings.Repeat("[", n) + " }}", "{{ " + strings.Repeat("{1:", n) + " }}",
		"{{ " + strings.Repeat("not ", n) + "a }}", "{{ " + strings.Repeat("-", n) + "1 }}", "{{ a" + strings.Repeat(".b", n) + " }}",
		"{{ a" + strings.Repeat("|d", n) + " }}", "{{ a" + strings.Repeat(" + a", n) + " }}", "{{ a" + strings.Repeat(" if a else a", n) + " }}",
		"{{ a" + strings.Repeat("(a", n) + " }}", "{{ a" + strings.Repeat("[a", n) + " }}", "{{ a" + strings.Repeat(" if a", n) + " }}",
		strings.Repeat("{% if a %}", n), strings.Repeat("{% for a in b %}", n), "{% set " + strings.Repeat("(", n) + " %}",
		"{% for " + strings.Repeat("(", n) + " %}", "{{ a" + strings.Repeat(" and a", n) + " }}", "{{ a" + strings.Repeat(" ~ a", n) + " }}",
		"{{ a" + strings.Repeat(" is a", n) + " }}", "{{ a" + strings.Repeat(" < a", n) + " }}",
	} {
		if _, err := env.Template("", src); err == nil {
			t.Errorf("%.20s…: no error", src)
		}
	}
}

func TestCancel(t *testing.T) {
	env := newEnv(t, ansible)
	tmpl, err := env.Template("", "{% for i in range(1000000) %}{% for j in range(1000000) %}{% endfor %}{% endfor %}")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := tmpl.Render(ctx, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the context's error", err)
	}
}

func TestConcurrentUse(t *testing.T) {
	opts := ansible
	opts.Loader = mapLoader{"mac": "{% macro m(x) %}<{{ x }}>{% endmacro %}"}
	env := newEnv(t, opts)
	src := "{% import 'mac' as q %}{% for x in l %}{{ q.m(x) }}{{ loop.index }}{% endfor %}{{ l is defined }}{{ a.b|upper }}"
	vars := someVars()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 100 {
				got, err := run(t, env, src+strings.Repeat(" ", i%7), vars)
				if err != nil || strings.TrimSpace(got) != "<1>1<2>2<3>3TrueX" {
					t.Errorf("got %q %v", got, err)
					return
				}
				x, err := env.Expr("a.l is defined and a.b == 'x'")
				if err != nil {
					t.Error(err)
					return
				}
				if v, err := x.Eval(t.Context(), vars); err != nil || v != value.Value(value.Bool(true)) {
					t.Errorf("got %v %v", v, err)
					return
				}
			}
		})
	}
	wg.Wait()
}
