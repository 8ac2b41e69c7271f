package jinja_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"orch/playbook/jinja"
	"orch/playbook/jinja/value"
	"orch/playbook/oracle"
)

// A benchCase is measured here and, in the same run, in CPython's Jinja2.
type benchCase struct {
	name    string
	src     string
	context map[string]any
	clients int // evaluations run from so many goroutines at once
}

// hostVars are the variables of a host: 500, some of them nested.
func hostVars() map[string]any {
	vars := map[string]any{
		"a":                          map[string]any{"b": "value"},
		"ansible_os_family":          "Debian",
		"ansible_distribution_major": "12",
		"packages":                   []any{"nginx", "curl", "vim"},
		"enabled":                    true,
	}
	for i := len(vars); i < 500; i++ {
		vars[fmt.Sprintf("variable_%03d", i)] = map[string]any{"name": fmt.Sprintf("n%d", i), "items": []any{i, i + 1}}
	}
	return vars
}

func loopTemplate() (string, map[string]any) {
	var b strings.Builder
	b.WriteString("# {{ title }}\n{% for u in users %}\nuser {{ u.name }} {\n")
	for i := range 30 {
		fmt.Fprintf(&b, "  option%d = {{ u.id }};\n  path%d = /home/{{ u.name }}/{{ loop.index }};\n", i, i)
	}
	b.WriteString("{% if u.groups %}\n  groups = {{ u.groups | join(', ') }};\n{% else %}\n  groups = none;\n{% endif %}\n")
	for i := range 15 {
		fmt.Fprintf(&b, "{%% if u.id > %d %%}  rule%d {{ u.shell | default('/bin/sh') }}\n{%% endif %%}\n", i, i)
	}
	b.WriteString("}\n{% endfor %}\nend\n")
	var users []any
	for i := range 50 {
		u := map[string]any{"name": fmt.Sprintf("user%d", i), "id": i, "groups": []any{"adm", "dev"}}
		if i%3 == 0 {
			u["groups"] = []any{}
		}
		users = append(users, u)
	}
	return b.String(), map[string]any{"title": "users", "users": users}
}

func configTemplate() (string, map[string]any) {
	var b strings.Builder
	b.WriteString("{# a configuration file of 2,000 lines #}\n")
	for i := range 400 {
		fmt.Fprintf(&b, "# section %d\n[section%d]\nhost = {{ config.host }}\nport = {{ config.port + %d }}\n", i, i, i)
		fmt.Fprintf(&b, "{%% if config.tls %%}cert = /etc/ssl/{{ config.host }}-%d.pem{%% endif %%}\n", i)
	}
	return b.String(), map[string]any{"config": map[string]any{"host": "db.example.org", "port": 5000, "tls": true}}
}

func benchCases() []benchCase {
	loop, loopVars := loopTemplate()
	config, configVars := configTemplate()
	when := "ansible_os_family == 'Debian' and ansible_distribution_major | int >= 11 and 'nginx' in packages and (enabled | default(false))"
	return []benchCase{
		{name: "attribute_500_vars", src: "{{ a.b }}", context: hostVars()},
		{name: "when_500_vars", src: "{{ " + when + " }}", context: hostVars()},
		{name: "loop_50_100_lines", src: loop, context: loopVars},
		{name: "config_2000_lines", src: config, context: configVars},
		{name: "parallel_8", src: "{{ " + when + " }}", context: hostVars(), clients: 8},
	}
}

func toVars(m map[string]any) jinja.MapVars {
	vars := jinja.MapVars{}
	for k, v := range m {
		vars[k] = value.FromGo(v)
	}
	return vars
}

func benchEnv(tb testing.TB) *jinja.Env {
	env, err := jinja.New(jinja.Options{TrimBlocks: true, Chainable: true})
	if err != nil {
		tb.Fatal(err)
	}
	return env
}

func renderBench(tb testing.TB, env *jinja.Env, src string, vars jinja.Vars) string {
	t, err := env.Template("", src)
	if err != nil {
		tb.Fatal(err)
	}
	v, err := t.Render(context.Background(), vars)
	if err != nil {
		tb.Fatal(err)
	}
	return value.String(v)
}

// BenchmarkRender renders with the engine, template from the cache.
func BenchmarkRender(b *testing.B) {
	for _, c := range benchCases() {
		b.Run(c.name, func(b *testing.B) {
			env, vars := benchEnv(b), toVars(c.context)
			renderBench(b, env, c.src, vars)
			b.ReportAllocs()
			b.ResetTimer()
			if c.clients == 0 {
				for b.Loop() {
					renderBench(b, env, c.src, vars)
				}
				return
			}
			var wg sync.WaitGroup
			for range c.clients {
				wg.Go(func() {
					for range b.N / c.clients {
						renderBench(b, env, c.src, vars)
					}
				})
			}
			wg.Wait()
		})
	}
}

// BenchmarkExpr evaluates expressions: conditions and single references.
func BenchmarkExpr(b *testing.B) {
	for _, c := range benchCases()[:2] {
		b.Run(c.name, func(b *testing.B) {
			env, vars := benchEnv(b), toVars(c.context)
			x, err := env.Expr(strings.TrimSuffix(strings.TrimPrefix(c.src, "{{ "), " }}"))
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := x.Eval(context.Background(), vars); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkCompile compiles without the cache.
func BenchmarkCompile(b *testing.B) {
	for _, c := range benchCases()[:4] {
		b.Run(c.name, func(b *testing.B) {
			env := benchEnv(b)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if _, err := env.Template("", c.src+fmt.Sprintf("{# %d #}", i)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkCPython renders the same with CPython's Jinja2, as a yardstick: the time is
// measured in that process.
func BenchmarkCPython(b *testing.B) {
	o := startOracle(b)
	for _, c := range benchCases() {
		b.Run(c.name, func(b *testing.B) {
			a := measure(b, o, c, false)
			if got := renderBench(b, benchEnv(b), c.src, toVars(c.context)); got != a.Out {
				b.Fatalf("the engine prints something else:\n%q\nCPython:\n%q", got, a.Out)
			}
		})
	}
}

// BenchmarkCPythonCompile is the yardstick of BenchmarkCompile.
func BenchmarkCPythonCompile(b *testing.B) {
	o := startOracle(b)
	for _, c := range benchCases()[:4] {
		b.Run(c.name, func(b *testing.B) { measure(b, o, c, true) })
	}
}

// measure reports the time the oracle takes for one run of a case.
func measure(b *testing.B, o *oracle.Process, c benchCase, compile bool) oracleAnswer {
	data, err := json.Marshal(c.context)
	if err != nil {
		b.Fatal(err)
	}
	var a oracleAnswer
	err = o.Ask(oracleRequest{
		Src: c.src, Context: data, Undefined: "chaining",
		Opts: map[string]any{"trim_blocks": true}, N: b.N, Compile: compile,
	}, &a, 10*time.Minute)
	if err != nil || a.Error != "" {
		b.Fatal(err, a.Error)
	}
	b.ReportMetric(float64(a.NS)/float64(b.N), "ns/op")
	return a
}
