package jinja_test

import (
	"context"
	"testing"
	"time"

	"orch/playbook/jinja"
	"orch/playbook/jinja/value"
)

// FuzzTemplate holds that no template makes the engine panic or hang, whatever it is and
// whatever the variables are.
func FuzzTemplate(f *testing.F) {
	for i, c := range corpus(f) {
		if i%7 == 0 { // a part of them: the seeds run with every test
			f.Add(c.Template, i%2 == 0, i%3 == 0)
		}
	}
	for _, s := range []string{"{{", "{%", "{#", "{% raw %}", "{{ '\\N{x}' }}", "{{ 0x_ }}", "{{ \xff }}", "\xff{{ 'a\xff' }}", "{%- endif -%}", "# x\n## y"} {
		f.Add(s, true, true)
	}
	f.Fuzz(func(t *testing.T, src string, lenient, line bool) {
		opts := jinja.Options{
			Do: true, LoopControls: true, Lenient: lenient, Chainable: !line, TrimBlocks: line, LstripBlocks: lenient, Autoescape: line,
			Limits: jinja.Limits{Steps: 20_000, Output: 1 << 16, Range: 1000, Recursion: 50},
			Loader: mapLoader{"x": src, "y": "{% block a %}{% endblock %}"},
		}
		if line {
			opts.LineStatementPrefix, opts.LineCommentPrefix = "#", "##"
		}
		env, err := jinja.New(opts)
		if err != nil {
			t.Fatal(err)
		}
		vars := jinja.MapVars{
			"a": value.Int(1), "s": value.S("text"), "l": value.NewList(value.Int(3), value.S("x"), value.None{}),
			"d": value.D("k", value.NewList(), "u", value.Unknown{Of: "later"}), "u": value.Unknown{Of: "later"},
		}
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if x, err := env.Expr(src); err == nil {
			_, _ = x.Eval(ctx, vars)
			x.FreeNames()
		}
		tmpl, err := env.Template("x", src)
		if err != nil {
			return
		}
		tmpl.FreeNames()
		_, _ = tmpl.Render(ctx, vars)
		_, _ = tmpl.Parts(ctx, vars)
		if ctx.Err() != nil {
			t.Error("the template does not end")
		}
	})
}
