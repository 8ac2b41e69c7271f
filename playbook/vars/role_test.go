package vars_test

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"orch/playbook"
	"orch/playbook/jinja/value"
	"orch/playbook/vars"
)

// roles are a play's: app depends on base; other is unrelated.
func roles(t *testing.T, public bool) (app, base, other *playbook.Role) {
	t.Helper()
	role := func(name string) *playbook.Role {
		return &playbook.Role{
			Name: name, Path: "/roles/" + name, Static: true, Public: public,
			Defaults: dict(t, name+"/defaults.yml", "d: "+name+"\n"+name+"_default: 1"),
			RoleVars: dict(t, name+"/vars.yml", "v: "+name+"\n"+name+"_var: 1"),
			Params:   dict(t, name+"/params.yml", name+"_param: 1"),
		}
	}
	app, base, other = role("app"), role("base"), role("other")
	app.Vars = dict(t, "play.yml", "kv: app")
	base.Parents = []*playbook.Role{app}
	app.Deps = []*playbook.Role{base}
	return app, base, other
}

// TestRoleScopes: what a task sees of its own role, of those around it and of the play's
// others, as ansible-core 2.18 has it.
func TestRoleScopes(t *testing.T) {
	app, base, other := roles(t, true)
	privateApp, _, privateOther := roles(t, false)
	for _, c := range []struct {
		name    string
		private bool
		role    *playbook.Role
		want    map[string]string
	}{
		{"own role", false, app, map[string]string{
			"d": "app", "v": "app", "kv": "app", "base_default": "1", "base_var": "1", "app_param": "1",
			"other_default": "1", "other_var": "1", "other_param": "", "base_param": "",
		}},
		{"dependency sees the role that asked for it", false, base, map[string]string{
			"d": "base", "v": "base", "kv": "app", "app_var": "1", "app_default": "1", "app_param": "1", "base_param": "1",
		}},
		{"another role", false, other, map[string]string{
			"d": "other", "v": "other", "kv": "", "app_default": "1", "app_var": "1", "base_var": "1", "app_param": "",
		}},
		{"no role: the last one wins", false, nil, map[string]string{"d": "other", "v": "other", "app_var": "1", "other_param": ""}},
		{"private", true, nil, map[string]string{"d": "", "v": "", "app_var": ""}},
		{"private, own role", true, privateApp, map[string]string{"d": "app", "v": "app", "base_var": "1", "other_var": ""}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			roles := []*playbook.Role{app, other}
			if c.private {
				roles = []*playbook.Role{privateApp, privateOther}
			}
			play := w.play(&playbook.Play{Roles: roles})
			s := play.Task(&playbook.Task{Role: c.role}, vars.TaskOptions{}).Eval(context.Background(), play.Host("h1"))
			for name, text := range c.want {
				want(t, s, name, text)
			}
		})
	}
}

func TestIncludedRole(t *testing.T) {
	for _, public := range []bool{false, true} {
		w := newWorld(t)
		play := w.play(&playbook.Play{})
		role := &playbook.Role{
			Name: "inc", Public: public,
			Defaults: dict(t, "d.yml", "d: default"), RoleVars: dict(t, "v.yml", "v: role"),
		}
		play.AddRole(role)
		inside := play.Task(&playbook.Task{Role: role}, vars.TaskOptions{}).Eval(context.Background(), play.Host("h1"))
		want(t, inside, "d", "default")
		want(t, inside, "v", "role")
		after := w.scopeOf(play, "h1")
		if public {
			want(t, after, "d", "default")
			want(t, after, "v", "role")
		} else {
			want(t, after, "d", "")
			want(t, after, "v", "")
		}
		want(t, after, "ansible_play_role_names", "['inc']")
	}
}

func (w *world) scopeOf(p *vars.Play, host string) *vars.Scope {
	return p.Task(&playbook.Task{}, vars.TaskOptions{}).Eval(context.Background(), p.Host(host))
}

// TestImportedRole: the variables of import_role are there from the start of the play.
func TestImportedRole(t *testing.T) {
	w := newWorld(t)
	role := &playbook.Role{Name: "imp", Static: true, Public: true, RoleVars: dict(t, "v.yml", "v: role")}
	block := &playbook.Block{Role: role, Implicit: true, Block: []playbook.Node{&playbook.Task{Role: role}}}
	play := w.play(&playbook.Play{Tasks: []playbook.Node{&playbook.Task{}, &playbook.Block{Block: []playbook.Node{block}}}})
	want(t, w.scopeOf(play, "h1"), "v", "role")
}

func TestBlockAndIncludeVars(t *testing.T) {
	w := newWorld(t)
	outer := &playbook.Block{}
	outer.Vars = dict(t, "o.yml", "a: outer\nb: outer\nc: outer")
	inner := &playbook.Block{Parent: outer}
	inner.Vars = dict(t, "i.yml", "b: inner\nc: inner")
	task := &playbook.Task{Parent: inner}
	task.Vars = dict(t, "t.yml", "c: task\ntmpl: '{{ a }}{{ b }}{{ c }}'")
	play := w.play(&playbook.Play{})
	s := play.Task(task, vars.TaskOptions{Includes: []*value.Dict{dict(t, "x.yml", "inc: '{{ c }}'\nc2: 1"), value.D("c2", value.Int(2))}}).
		Eval(context.Background(), play.Host("h1"))
	want(t, s, "tmpl", "outerinnertask")
	want(t, s, "inc", "task")
	want(t, s, "c2", "2")
}

func TestGroupVarsFiles(t *testing.T) {
	w := newWorld(t, func(o *vars.Options) {
		o.Files = &vars.Files{Open: func(text []byte) ([]byte, error) { return []byte("sealed: opened"), nil }}
	})
	w.write("group_vars/web/10-first.yml", "a: first\nb: first")
	w.write("group_vars/web/20-second.yaml", "b: second")
	w.write("group_vars/web/sub/deep.json", `{"deep": true}`)
	w.write("group_vars/web/.hidden.yml", "hidden: 1")
	w.write("group_vars/web/backup.yml~", "hidden: 1")
	w.write("group_vars/web/notes.txt", "not yaml: [")
	w.write("group_vars/web/sub.d/x.yml", "hidden: 1") // a folder with an extension
	w.write("group_vars/web.yml", "b: file after folder\nfile: 1")
	w.write("group_vars/web.yaml", "hidden: 1") // .yml was there first
	w.write("group_vars/db.yml", "$ANSIBLE_VAULT;1.1;AES256\n3131")
	w.write("group_vars/site.yml", "")
	w.write("group_vars/ungrouped.yml", "- l: 1\n- l: 2\n  m: 3")
	s := w.scope("h1")
	for name, text := range map[string]string{"a": "first", "b": "file after folder", "deep": "True", "file": "1", "hidden": ""} {
		want(t, s, name, text)
	}
	want(t, w.scope("h3"), "sealed", "opened")
	if _, err := w.opt.Inventory.AddHost("loner", 0); err != nil {
		t.Fatal(err)
	}
	w.run.InventoryChanged()
	want(t, w.scope("loner"), "l", "2")
	want(t, w.scope("loner"), "m", "3")
}

func TestBrokenVarsFile(t *testing.T) {
	w := newWorld(t)
	path := w.write("host_vars/h1.yml", "a: [1\nb: 2\n")
	_, _, err := w.scope("h1").Lookup("anything")
	if err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v, want an error that names %s", err, path)
	}
	want(t, w.scope("h2"), "anything", "")
	w.write("host_vars/h2.yml", "just text")
	w.opt.Files = &vars.Files{}
	w.run = vars.NewRun(w.opt)
	if _, _, err = w.scope("h2").Lookup("a"); err == nil || !strings.Contains(err.Error(), "dictionary") {
		t.Errorf("a file that is no dictionary: %v", err)
	}
}

func TestVarsFiles(t *testing.T) {
	w := newWorld(t)
	w.write("vars/Debian.yml", "os: debian\nfrom_first: '{{ first }}'")
	w.write("vars/default.yml", "os: default")
	w.write("first.yml", "first: 1\nname: Debian")
	w.write("vars/named.yml", "named: yes it is")
	str := func(s string) value.Value {
		return value.Str{S: s, From: &value.Origin{File: "site.yml", Line: 1, Col: 1}}
	}
	play := w.play(&playbook.Play{
		Keywords: playbook.Keywords{Vars: dict(t, "p.yml", "dir: vars")},
		VarsFiles: []value.Value{
			str("first.yml"),
			value.NewList(str("missing.yml"), str("{{ ansible_os_family }}.yml"), str("default.yml")),
			str("not-there.yml"),
			str("{{ dir }}/named.yml"),
		},
	})
	h1 := play.Host("h1")
	// Without facts the name cannot be made: the entry is passed over.
	want(t, w.scopeOf(play, "h1"), "os", "")
	want(t, w.scopeOf(play, "h1"), "first", "1")
	want(t, w.scopeOf(play, "h1"), "named", "yes it is")
	h1.State().UpdateFacts(value.D("ansible_os_family", value.S("Debian")))
	want(t, w.scopeOf(play, "h1"), "os", "debian")
	want(t, w.scopeOf(play, "h1"), "from_first", "1")
	play.Host("h2").State().UpdateFacts(value.D("ansible_os_family", value.S("Other")))
	want(t, w.scopeOf(play, "h2"), "os", "default")
	play.Host("h3").State().UpdateFacts(value.D("ansible_other", value.S("x")))
	if _, _, err := w.scopeOf(play, "h3").Lookup("os"); err == nil {
		t.Error("with facts, an undefined variable in vars_files is an error")
	}
}

func TestPlaybookVarsRoot(t *testing.T) {
	for root, text := range map[string]string{"": "top", "top": "top", "bottom": "role", "all": "top"} {
		w := newWorld(t, func(o *vars.Options) { o.PlaybookVarsRoot = root })
		w.write("group_vars/all.yml", "x: top")
		w.write("roles/r/group_vars/all.yml", "x: role\ny: role")
		play := w.play(&playbook.Play{})
		task := &playbook.Task{Role: &playbook.Role{Name: "r", Path: filepath.Join(w.dir, "roles/r")}}
		s := play.Task(task, vars.TaskOptions{}).Eval(context.Background(), play.Host("h1"))
		want(t, s, "x", text)
		if root == "all" {
			want(t, s, "y", "role")
		}
	}
}

func TestPrecedenceSetting(t *testing.T) {
	w := newWorld(t, func(o *vars.Options) { o.Precedence = []string{"groups_plugins_play", "all_plugins_play"} })
	w.write("group_vars/all.yml", "x: all")
	w.write("group_vars/web.yml", "x: web")
	w.group("web").Vars = dict(t, "web.yml", "y: 1")
	want(t, w.scope("h1"), "x", "all")
	want(t, w.scope("h1"), "y", "")
}
