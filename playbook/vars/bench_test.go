package vars_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"orch/playbook"
	"orch/playbook/jinja/value"
	"orch/playbook/vars"
)

// bench is a host among 500 variables at many levels.
func bench(b *testing.B) (*world, *vars.Task, *vars.Host) {
	w := newWorld(b)
	var text strings.Builder
	for i := range 500 {
		fmt.Fprintf(&text, "var_%d: {a: {b: %d}}\n", i, i)
	}
	text.WriteString("nested: '{{ var_1.a.b }}'\n")
	w.group("all").Vars = dict(b, "all.yml", text.String())
	w.group("web").Vars = dict(b, "web.yml", "x: 1")
	role := &playbook.Role{Name: "r", Static: true, Public: true, Defaults: dict(b, "d.yml", "d: 1"), RoleVars: dict(b, "v.yml", "v: 1")}
	play := w.play(&playbook.Play{Roles: []*playbook.Role{role}})
	block := &playbook.Block{}
	block.Vars = dict(b, "b.yml", "in_block: 1")
	task := &playbook.Task{Parent: block, Role: role}
	task.Vars = dict(b, "t.yml", "in_task: 1")
	h := play.Host("h1")
	for i := range 100 {
		h.State().Register(fmt.Sprintf("result_%d", i), value.D("rc", value.Int(0)))
	}
	h.State().UpdateFacts(value.D("ansible_os_family", value.S("Debian")))
	return w, play.Task(task, vars.TaskOptions{}), h
}

func BenchmarkLookup(b *testing.B) {
	_, task, h := bench(b)
	b.ReportAllocs()
	for b.Loop() {
		s := task.Eval(context.Background(), h)
		if _, ok, err := s.Lookup("var_250"); !ok || err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAttribute(b *testing.B) {
	w, task, h := bench(b)
	tmpl := value.Str{S: "{{ var_250.a.b }}", From: &value.Origin{File: "t.yml", Line: 1, Col: 1}}
	b.ReportAllocs()
	for b.Loop() {
		s := task.Eval(context.Background(), h)
		if _, err := w.opt.Templater.Value(context.Background(), tmpl, s); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCondition(b *testing.B) {
	w, task, h := bench(b)
	cond := value.Str{S: "ansible_os_family == 'Debian' and result_7.rc == 0", From: &value.Origin{File: "t.yml", Line: 1, Col: 1}}
	b.ReportAllocs()
	for b.Loop() {
		s := task.Eval(context.Background(), h)
		if v, err := w.opt.Templater.Truth(context.Background(), cond, s); err != nil || v != value.Bool(true) {
			b.Fatal(v, err)
		}
	}
}

func BenchmarkNested(b *testing.B) {
	w, task, h := bench(b)
	tmpl := value.Str{S: "{{ nested }}", From: &value.Origin{File: "t.yml", Line: 1, Col: 1}}
	b.ReportAllocs()
	for b.Loop() {
		s := task.Eval(context.Background(), h)
		if _, err := w.opt.Templater.Value(context.Background(), tmpl, s); err != nil {
			b.Fatal(err)
		}
	}
}
