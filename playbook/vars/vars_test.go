package vars_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"orch/inventory"
	"orch/playbook"
	"orch/playbook/jinja/value"
	"orch/playbook/source"
	"orch/playbook/template"
	"orch/playbook/vars"
)

// dict reads YAML as an author's variables in a file of that name.
func dict(t testing.TB, file, text string) *value.Dict {
	t.Helper()
	node, diags := source.ParseOne(file, []byte(text))
	if err := diags.Err(); err != nil {
		t.Fatal(err)
	}
	d, ok := node.Value(source.Author).(*value.Dict)
	if !ok {
		t.Fatalf("%s is no dictionary: %s", file, text)
	}
	return d
}

func engine(t testing.TB) *template.Engine {
	t.Helper()
	e, err := template.New(template.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// world is a run over an inventory of two groups: web (h1, h2) below site, and db (h3).
type world struct {
	t   testing.TB
	dir string
	opt vars.Options
	run *vars.Run
}

func newWorld(t testing.TB, change ...func(*vars.Options)) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir()}
	inv := inventory.New()
	for _, h := range []struct{ name, group string }{{"h1", "web"}, {"h2", "web"}, {"h3", "db"}} {
		if _, err := inv.AddHost(h.name, 0, h.group); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := inv.AddGroup("web", "site"); err != nil {
		t.Fatal(err)
	}
	inv.Sources = []string{filepath.Join(w.dir, "inventory", "hosts")}
	w.write("inventory/hosts", "")
	w.opt = vars.Options{
		Inventory: inv, Templater: engine(t), Files: &vars.Files{}, Forks: 5, Python: "/usr/bin/python3",
		InventorySources: inv.Sources, RunTags: []string{"all"},
	}
	for _, c := range change {
		c(&w.opt)
	}
	w.run = vars.NewRun(w.opt)
	return w
}

func (w *world) write(name, text string) string {
	w.t.Helper()
	path := filepath.Join(w.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		w.t.Fatal(err)
	}
	return path
}

func (w *world) group(name string) *inventory.Group {
	g, ok := w.opt.Inventory.Group(name)
	if !ok {
		w.t.Fatalf("no group %s", name)
	}
	return g
}

func (w *world) play(p *playbook.Play) *vars.Play {
	if p.File == "" {
		p.File = filepath.Join(w.dir, "site.yml")
	}
	play := w.run.Play(p, vars.PlayOptions{Basedir: w.dir, Name: "the play"})
	play.SetHosts(vars.Hosts{All: []string{"h1", "h2", "h3"}, Active: []string{"h1", "h2"}, Batch: []string{"h1"}})
	return play
}

// scope evaluates for a task without variables of its own.
func (w *world) scope(host string) *vars.Scope {
	play := w.play(&playbook.Play{})
	return play.Task(&playbook.Task{}, vars.TaskOptions{}).Eval(context.Background(), play.Host(host))
}

// want checks that a variable prints as text says; "" for undefined.
func want(t testing.TB, s *vars.Scope, name, text string) {
	t.Helper()
	v, ok, err := s.Lookup(name)
	if err != nil {
		t.Errorf("%s: %v", name, err)
		return
	}
	if _, undefined := v.(*value.Undefined); !ok || undefined {
		if text != "" {
			t.Errorf("%s is undefined, want %s", name, text)
		}
		return
	}
	if got := value.String(v); got != text {
		t.Errorf("%s = %s, want %s", name, got, text)
	}
}

// eval evaluates an author's template in a scope.
func eval(t testing.TB, s template.Scope, w *world, text string) (value.Value, error) {
	t.Helper()
	return w.opt.Templater.Value(context.Background(), value.Str{S: text, From: &value.Origin{File: "t.yml", Line: 1, Col: 1}}, s)
}

func wantEval(t testing.TB, s template.Scope, w *world, text, result string) {
	t.Helper()
	v, err := eval(t, s, w, text)
	if err != nil {
		t.Errorf("%s: %v", text, err)
		return
	}
	if got := value.String(v); got != result {
		t.Errorf("%s is %s, want %s", text, got, result)
	}
}

// TestPrecedence sets one variable at every level, the lowest first: each new one wins,
// and Explain lists them in order with their places.
func TestPrecedence(t *testing.T) {
	w := newWorld(t)
	role := &playbook.Role{Name: "r", Static: true, Public: true, Path: "/roles/r"}
	p := &playbook.Play{Roles: []*playbook.Role{role}}
	block := &playbook.Block{}
	task := &playbook.Task{Parent: block, Role: role}
	var includes []*value.Dict
	set := func(text string) *value.Dict { return dict(t, "file.yml", "x: "+text) }
	host, _ := w.opt.Inventory.Host("h1")
	file := func(name string) func() {
		return func() { w.write(name, "x: "+name) }
	}
	prompts, facts, included, facted, extra := false, false, false, false, false
	steps := []struct {
		level vars.Level
		want  string
		set   func()
	}{
		{vars.RoleDefaults, "defaults", func() { role.Defaults = set("defaults") }},
		{vars.InventoryGroupVars, "all", func() { w.group("all").Vars = set("all") }},
		{vars.InventoryGroupVars, "site", func() { w.group("site").Vars = set("site") }},
		{vars.InventoryGroupVars, "web", func() { w.group("web").Vars = set("web") }},
		{vars.InventoryGroupFilesAll, "inventory/group_vars/all.yml", file("inventory/group_vars/all.yml")},
		{vars.PlaybookGroupFilesAll, "group_vars/all.yml", file("group_vars/all.yml")},
		{vars.InventoryGroupFiles, "inventory/group_vars/web", file("inventory/group_vars/web")},
		{vars.PlaybookGroupFiles, "group_vars/web.yaml", file("group_vars/web.yaml")},
		{vars.InventoryHostVars, "host", func() { host.Vars = set("host") }},
		{vars.InventoryHostFiles, "inventory/host_vars/h1.json", func() { w.write("inventory/host_vars/h1.json", `{"x": "inventory/host_vars/h1.json"}`) }},
		{vars.PlaybookHostFiles, "host_vars/h1/x.yml", file("host_vars/h1/x.yml")},
		{vars.Facts, "fact", func() { facts = true }},
		{vars.PlayVars, "play", func() { p.Vars = set("play") }},
		{vars.PlayPrompts, "prompt", func() { prompts = true }},
		{vars.PlayVarsFiles, "vars/v.yml", func() {
			w.write("vars/v.yml", "x: vars/v.yml")
			p.VarsFiles = []value.Value{value.Str{S: "v.yml", From: &value.Origin{}}}
		}},
		{vars.RoleVars, "role vars", func() { role.RoleVars = set("role vars") }},
		{vars.BlockVars, "block", func() { block.Vars = set("block") }},
		{vars.TaskVars, "task", func() { task.Vars = set("task") }},
		{vars.IncludeVars, "include_vars", func() { included = true }},
		{vars.SetFacts, "set_fact", func() { facted = true }},
		{vars.RoleParams, "role params", func() { role.Params = set("role params") }},
		{vars.IncludeParams, "include params", func() { includes = []*value.Dict{set("outer"), set("include params")} }},
		{vars.ExtraVars, "extra", func() { extra = true }},
	}
	for i, step := range steps {
		step.set()
		opt := w.opt
		opt.Files = &vars.Files{}
		if extra {
			opt.ExtraVars = set("extra")
		}
		w.run = vars.NewRun(opt)
		play := w.play(p)
		if prompts {
			play.SetPrompts(value.D("x", value.S("prompt")))
		}
		state := play.Host("h1").State()
		if facts {
			state.UpdateFacts(value.D("x", value.S("fact")))
		}
		if included {
			state.IncludeVars(set("include_vars"))
		}
		if facted {
			state.SetFacts(value.D("x", value.S("set_fact")))
		}
		s := play.Task(task, vars.TaskOptions{Includes: includes}).Eval(context.Background(), play.Host("h1"))
		want(t, s, "x", step.want)
		all, err := s.Explain("x")
		if err != nil {
			t.Fatal(err)
		}
		last := all[len(all)-1]
		if last.Level != step.level || !last.Winner {
			t.Errorf("step %d: %q wins at level %q, want %q", i, last.Value, last.Level, step.level)
		}
		for j, a := range all {
			if j > 0 && a.Level < all[j-1].Level || a.Winner != (j == len(all)-1) {
				t.Errorf("step %d: Explain has %v (winner %t) after %v", i, a.Level, a.Winner, all[max(j-1, 0)].Level)
			}
		}
	}
}

func TestExplainPlaces(t *testing.T) {
	w := newWorld(t)
	path := w.write("group_vars/all.yml", "other: 1\nx:\n  - 1\n")
	all, err := w.scope("h1").Explain("x")
	if err != nil || len(all) != 1 {
		t.Fatal(all, err)
	}
	if got := all[0]; got.Source != path || got.Pos == nil || got.Pos.File != path || got.Pos.Line != 2 || got.Pos.Col != 1 {
		t.Errorf("got %+v at %+v", got, got.Pos)
	}
}

func TestTopWins(t *testing.T) {
	w := newWorld(t, func(o *vars.Options) { o.ExtraVars = value.D("item", value.S("extra"), "y", value.S("{{ item }}")) })
	play := w.play(&playbook.Play{})
	task := play.Task(&playbook.Task{}, vars.TaskOptions{})
	s := task.Eval(context.Background(), play.Host("h1"), value.Named{Name: "item", Val: value.S("loop")})
	want(t, s, "item", "loop")
	s2 := s.With(value.Named{Name: "item", Val: value.S("inner")})
	if v, _, _ := s2.Lookup("item"); value.String(v) != "inner" {
		t.Errorf("With: got %v", v)
	}
	want(t, s, "item", "loop")
}

func TestHashBehaviour(t *testing.T) {
	for _, merge := range []bool{false, true} {
		w := newWorld(t, func(o *vars.Options) {
			o.HashMerge = merge
			o.ExtraVars = dict(t, "e.yml", "d: {c: {y: 2}, e: 1}")
		})
		w.group("all").Vars = dict(t, "all.yml", "d: {a: 1, c: {x: '{{ one }}', y: 1}}\none: 1\ns: text")
		w.group("web").Vars = dict(t, "web.yml", "d: {b: 2}\ns: {now: dict}")
		s := w.scope("h1")
		want(t, s, "s", "{'now': 'dict'}")
		if !merge {
			want(t, s, "d", "{'c': {'y': 2}, 'e': 1}")
			continue
		}
		want(t, s, "d", "{'a': 1, 'c': {'x': 1, 'y': 2}, 'b': 2, 'e': 1}")
		all, _ := s.Explain("d")
		for _, a := range all {
			if !a.Winner {
				t.Errorf("%v takes no part in the merged value", a.Level)
			}
		}
	}
}

func TestCycles(t *testing.T) {
	w := newWorld(t)
	w.write("loop.j2", "{{ file }}")
	w.group("all").Vars = dict(t, "all.yml", strings.Join([]string{
		"a: '{{ b }}'", "b: 'x{{ c }}'", "c: '{{ a }}'", "self: '{{ self }}'", "file: \"{{ lookup('template', 'loop.j2') }}\"",
	}, "\n"))
	for name, chain := range map[string]string{"a": "a → b → c → a", "self": "self → self", "file": "file"} {
		_, _, err := w.scope("h1").Lookup(name)
		if err == nil || !strings.Contains(err.Error(), "recursive loop detected in template string") || !strings.Contains(err.Error(), chain) {
			t.Errorf("%s: got %v, want the chain %s", name, err, chain)
		}
	}
}

func TestUndefinedVariables(t *testing.T) {
	w := newWorld(t)
	w.group("all").Vars = dict(t, "all.yml", "a: '{{ b }}'\nb: 'x {{ nope }}'\nl: [1, '{{ nope }}']\nbad: '{{ 1 / 0 }}'\nbad2: '{{ bad }}'")
	s := w.scope("h1")
	for _, name := range []string{"a", "b", "l"} {
		v, ok, err := s.Lookup(name)
		u, undefined := v.(*value.Undefined)
		if err != nil || !ok || !undefined {
			t.Errorf("%s: got %v, %t, %v: want it undefined", name, v, ok, err)
			continue
		}
		if !strings.Contains(u.Message(), "'nope' is undefined") {
			t.Errorf("%s: the message is %q", name, u.Message())
		}
	}
	wantEval(t, s, w, "{{ a | default('d') }} {{ l is defined }}", "d False")
	_, _, err := s.Lookup("bad2")
	if err == nil || !strings.Contains(err.Error(), "division by zero") {
		t.Errorf("bad2: %v", err)
	}
	d := template.Diagnose(err)
	if d.Pos.File != "all.yml" || d.Pos.Line != 4 {
		t.Errorf("bad2: the mistake is said to be at %+v", d.Pos)
	}
}

// TestStaticIsShared: what needs no templating is handed out as it is, so that a
// thousand hosts share one value, and what a template does to it stays its own.
func TestStaticIsShared(t *testing.T) {
	w := newWorld(t)
	w.group("all").Vars = dict(t, "all.yml", "l: [1, {a: b}]\nt: ['{{ 1 }}']")
	v1, _, _ := w.scope("h1").Lookup("l")
	v2, _, _ := w.scope("h2").Lookup("l")
	if v1 != v2 {
		t.Error("two hosts have copies of a constant")
	}
	wantEval(t, w.scope("h1"), w, "{% set _ = l.append(3) %}{{ l | length }}", "3")
	want(t, w.scope("h2"), "l", "[1, {'a': 'b'}]")
}

// TestMemo: within an evaluation a variable is computed once, in the next one anew.
func TestMemo(t *testing.T) {
	n := 0
	e, err := template.New(template.Options{Lookups: map[string]template.Lookup{"count": {
		Run: func(*template.LookupCall) ([]value.Value, error) { n++; return []value.Value{value.Int(n)}, nil },
	}}})
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, func(o *vars.Options) { o.Templater = e })
	w.group("all").Vars = dict(t, "all.yml", "x: \"{{ lookup('count') }}\"\ny: '{{ x }}'")
	s := w.scope("h1")
	wantEval(t, s, w, "{{ x }} {{ y }} {{ x }}", "1 1 1")
	wantEval(t, s, w, "{{ x }}", "1")
	wantEval(t, s.With(), w, "{{ x }}", "2")
	wantEval(t, w.scope("h1"), w, "{{ y }}", "3")
}
