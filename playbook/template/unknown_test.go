package template_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"orch/playbook/jinja"
	"orch/playbook/jinja/value"
	"orch/playbook/template"
	"orch/playbook/template/filter"
)

// knowing are filters and tests that say something about a value that is not known.
var knowing = []string{
	"default", "d", "defined", "undefined",
}

// TestUnknownEverywhere pipes a value that a check run does not know into every filter and
// test, and gives it as every argument: the result is not known, and never an error.
func TestUnknownEverywhere(t *testing.T) {
	b := newBench(t, template.Options{}, "n: 5", "")
	b.data = value.D("u", value.Unknown{Of: "result of a step"})
	n := 0
	check := func(text string) {
		t.Helper()
		n++
		v, err := b.engine.Value(ctx, at(text), b)
		if err != nil {
			t.Errorf("%s: %v", text, err)
		} else if _, unknown := value.HasUnknown(v); !unknown {
			t.Errorf("%s is %s %s", text, v.Type(), value.Repr(v))
		}
	}
	for _, d := range allFilters() {
		check(fmt.Sprintf("{{ u | %s%s }}", d.name, arguments(d.signature, "1")))
	}
	for _, d := range allTests() {
		check(fmt.Sprintf("{{ u is %s%s }}", d.name, arguments(d.signature, "1")))
		check(fmt.Sprintf("{{ 'a' if u is %s%s else 'b' }}", d.name, arguments(d.signature, "1")))
	}
	for _, expr := range strings.Split(operators, "\n") {
		check("{{ " + expr + " }}")
		if !strings.ContainsAny(expr[:1], "[({") { // those have a truth of their own
			check("{% if (" + expr + ") %}a{% else %}b{% endif %}")
			check("{% for i in [1, 2] if " + expr + " %}{{ i }}{% endfor %}")
		}
		check("{% set x = " + expr + " %}{{ x }}")
	}
	for _, text := range strings.Split(statements, "\n") {
		check(text)
	}
	if n < 400 {
		t.Errorf("only %d templates", n)
	}
}

const operators = `u
u + 1
1 + u
u - 1
u * 2
u / 2
u // 2
u % 2
u ** 2
-u
not u
u == 1
1 != u
u < 1
1 >= u
1 in u
u in [1]
u ~ 'x'
'x' ~ u
u and 1
u or 0
true and u
false or u
u.a
u['a'].b
u[1:2]
u.a()
[u]
(u, 1)
{'a': u}
1 if u else 2
u if true else 1`

const statements = `a{{ u }}b
{% for i in u %}{{ i }}{% endfor %}
{% for i in [u] %}{{ i }}{% endfor %}
{% if u %}a{% elif n %}b{% endif %}
{% with x = u %}{{ x }}{% endwith %}
{% macro m(x) %}[{{ x }}]{% endmacro %}{{ m(u) }}
{% filter upper %}{{ u }}{% endfilter %}
{% set x %}{{ u }}{% endset %}{{ x }}
{% set ns = namespace(a=u) %}{{ ns.a }}
{% macro m() %}{{ caller(u) }}{% endmacro %}{% call(x) m() %}{{ x }}{% endcall %}
{{ lookup('env', u) }}
{{ q('items', u) }}
{{ lookup(u, 1) }}`

type callable struct{ name, signature string }

// arguments gives every required parameter a value.
func arguments(signature, with string) string {
	var args []string
	for p := range strings.SplitSeq(signature, ", ") {
		if p != "" && !strings.ContainsAny(p, "=*") {
			args = append(args, with)
		}
	}
	if len(args) == 0 {
		return ""
	}
	return "(" + strings.Join(args, ", ") + ")"
}

func allFilters() []callable {
	var out []callable
	for _, m := range jinja.FilterManuals() {
		out = append(out, callable{m.Name, m.Signature})
	}
	for _, d := range filter.Docs() {
		out = append(out, callable{d.FullName(), d.Signature})
	}
	return slices.DeleteFunc(out, func(c callable) bool { return slices.Contains(knowing, c.name) })
}

func allTests() []callable {
	var out []callable
	for _, m := range jinja.TestManuals() {
		if m.Name[0] >= 'a' { // the others are operators
			out = append(out, callable{m.Name, m.Signature})
		}
	}
	for _, d := range filter.TestDocs() {
		out = append(out, callable{d.FullName(), d.Signature})
	}
	return slices.DeleteFunc(out, func(c callable) bool { return slices.Contains(knowing, c.name) })
}
