package vars_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"orch/playbook"
	"orch/playbook/jinja/value"
	"orch/playbook/vars"
)

func TestFacts(t *testing.T) {
	w := newWorld(t)
	state := w.run.State("h1")
	err := state.UpdateFactsJSON([]byte(`{"ansible_os_family": "Debian", "ansible_processor_vcpus": 4, "ansible_default_ipv4":
		{"address": "10.0.0.1", "_ansible_secret": 1}, "services": {"ssh": {"state": "running"}}, "ansible_local": {"a": {"b": 1}},
		"ansible_user": "root", "ansible_ssh_pass": "x", "ansible_ssh_host_key_rsa_public": "AAA", "ansible_connection": "local",
		"ansible_python_interpreter": "/evil", "ansible_docker_gwbridge": {"device": "d"}, "ansible_docker_host": "tcp://evil",
		"ansible_playbook_python": "/evil", "big": 123456789012345678901234567890, "empty": null, "_ansible_x": 1}`))
	if err != nil {
		t.Fatal(err)
	}
	s := w.scope("h1")
	for name, text := range map[string]string{
		"ansible_os_family": "Debian", "ansible_processor_vcpus": "4", "services": "{'ssh': {'state': 'running'}}",
		"ansible_default_ipv4": "{'address': '10.0.0.1'}", "ansible_local": "{'a': {'b': 1}}",
		"ansible_ssh_host_key_rsa_public": "AAA", "ansible_docker_gwbridge": "{'device': 'd'}",
		"big": "123456789012345678901234567890", "empty": "None",
		// What would steer the connection, or is the engine's, is no variable.
		"ansible_user": "", "ansible_ssh_pass": "", "ansible_connection": "", "ansible_python_interpreter": "",
		"ansible_docker_host": "", "ansible_playbook_python": "/usr/bin/python3", "_ansible_x": "",
	} {
		want(t, s, name, text)
	}
	wantEval(t, s, w, "{{ ansible_facts.os_family }} {{ ansible_facts['default_ipv4'].address }} {{ ansible_facts.user }}", "Debian 10.0.0.1 root")
	wantEval(t, s, w, "{{ ansible_facts.ansible_local.a.b }}", "1")
	wantEval(t, s, w, "{{ 'os_family' in ansible_facts }} {{ 'ansible_os_family' in ansible_facts }}", "True False")
	wantEval(t, s, w, "{{ ansible_facts.nope is defined }} {{ ansible_facts is mapping }}", "False True")
	wantEval(t, w.scope("h2"), w, "{{ ansible_facts }}", "{}")

	state.UpdateFacts(value.D("ansible_os_family", value.S("RedHat"), "new", value.Unknown{Of: "a fact"}))
	want(t, w.scope("h1"), "ansible_os_family", "RedHat")
	want(t, s, "ansible_os_family", "Debian") // an open scope sees what was
	if v, _, _ := w.scope("h1").Lookup("new"); !value.IsUnknown(v) {
		t.Errorf("an unknown fact became %v", v)
	}
	if got := string(state.FactsJSON()); !strings.Contains(got, `"ansible_os_family":"RedHat"`) || strings.Contains(got, `"new"`) {
		t.Errorf("FactsJSON: %s", got)
	}
	if got := state.Fact("os_family"); value.String(got) != "RedHat" {
		t.Errorf("Fact: %v", got)
	}
	state.ClearFacts()
	want(t, w.scope("h1"), "ansible_os_family", "")
	if state.HasFacts() || state.UpdateFactsJSON([]byte(`[1]`)) == nil || state.UpdateFactsJSON([]byte(`{"a": `)) == nil {
		t.Error("facts that are no object were taken")
	}
}

func TestFactsNotInjected(t *testing.T) {
	w := newWorld(t, func(o *vars.Options) { o.NoInjectFacts = true })
	w.run.State("h1").UpdateFacts(value.D("ansible_os_family", value.S("Debian"), "ansible_local", value.D("a", value.Int(1))))
	s := w.scope("h1")
	want(t, s, "ansible_os_family", "")
	want(t, s, "ansible_local", "{'a': 1}")
	wantEval(t, s, w, "{{ ansible_facts.os_family }}", "Debian")
	want(t, w.scope("h2"), "ansible_local", "{}")
}

// TestHostvars: other hosts see what a host has published: its inventory, facts,
// set_fact, register and extra vars, not the play's.
func TestHostvars(t *testing.T) {
	w := newWorld(t, func(o *vars.Options) { o.ExtraVars = value.D("extra", value.S("e")) })
	w.group("web").Vars = dict(t, "web.yml", strings.Join([]string{
		"port: 80", "url: 'http://{{ inventory_hostname }}:{{ port }}'", "needs_play: '{{ play_var }}'",
		"mixed: {ok: '{{ port }}', bad: '{{ play_var }}'}", "other: \"{{ hostvars['h2'].port }}\"", "dir: '{{ playbook_dir }}/x'", "from_file: \"{{ lookup('file', 'f.txt') }}\"",
	}, "\n"))
	w.write("host_vars/h2.yml", "port: 81")
	w.write("files/f.txt", "content")
	play := w.play(&playbook.Play{Keywords: playbook.Keywords{Vars: dict(t, "play.yml", "play_var: p")}})
	h1, h2 := play.Host("h1"), play.Host("h2")
	scope := func() *vars.Scope {
		return play.Task(&playbook.Task{}, vars.TaskOptions{}).Eval(context.Background(), h1)
	}
	h2.State().Register("result", value.D("stdout", value.S("{{ port }}")))
	wantEval(t, scope(), w, "{{ hostvars.h2.result is defined }}", "False")
	h2.State().Publish()
	for text, result := range map[string]string{
		"{{ hostvars.h2.result.stdout }}": "{{ port }}",
		"{{ hostvars['h2'].url }}":        "http://h2:81",
		"{{ hostvars.h1.url }}":           "http://h1:80",
		"{{ hostvars.h2.extra }}":         "e",
		"{{ hostvars.h2.inventory_hostname }} {{ hostvars.h2.group_names }}": "h2 ['site', 'web']",
		"{{ hostvars.h2.play_var is defined }}":                              "False",
		"{{ hostvars.h2.needs_play }}":                                       "{{ play_var }}",
		"{{ hostvars.h2.mixed.ok }} {{ hostvars.h2.mixed.bad }}":             "81 {{ play_var }}",
		"{{ hostvars.h2.other }}":                                            "{{ hostvars['h2'].port }}",
		"{{ other }}":                                                        "81",
		"{{ needs_play }}":                                                   "p",
		"{{ hostvars | length }} {{ hostvars | list | join(',') }}":          "3 h1,h2,h3",
		"{{ hostvars.nobody is defined }} {{ 'h3' in hostvars }}":            "False True",
		"{{ groups['web'] | map('extract', hostvars, 'port') | list }}":      "",
		"{{ hostvars.localhost.inventory_hostname }}":                        "localhost",
		"{{ hostvars[inventory_hostname].ansible_facts }}":                   "{}",
		"{{ hostvars.h2.dir }}|{{ 'playbook_dir' in hostvars.h2 }}":          w.dir + "/x|True",
		"{{ hostvars.h2.ansible_search_path is defined }}":                   "False",
		"{{ hostvars.h2.from_file }}":                                        "content",
	} {
		if result != "" {
			wantEval(t, scope(), w, text, result)
		}
	}
}

func TestSetFactIsData(t *testing.T) {
	w := newWorld(t)
	w.group("all").Vars = dict(t, "all.yml", "secret: fired\nauthored: '{{ secret }}'\npayload: !unsafe '{{ secret }}'")
	state := w.run.State("h1")
	evil := dict(t, "evil.yml", "x: '{{ secret }}'\nl: ['{{ secret }}', {k: '{{ secret }}'}]")
	state.SetFacts(evil)
	state.Register("r", value.D("stdout", value.S("{{ secret }}")))
	state.UpdateFacts(value.D("ansible_fact", value.S("{{ secret }}")))
	s := w.scope("h1")
	want(t, s, "authored", "fired") // the twin: an author's file with the same text
	want(t, s, "x", "{{ secret }}")
	want(t, s, "l", "['{{ secret }}', {'k': '{{ secret }}'}]")
	want(t, s, "ansible_fact", "{{ secret }}")
	want(t, s, "payload", "{{ secret }}")
	wantEval(t, s, w, "{{ r.stdout }} {{ ansible_facts.fact }}", "{{ secret }} {{ secret }}")
	state.IncludeVars(evil) // include_vars reads an author's file
	state.SetFacts(value.D("x", value.None{}))
	wantEval(t, w.scope("h2"), w, "{{ x is defined }}", "False")
	state2 := w.run.State("h2")
	state2.IncludeVars(evil)
	want(t, w.scope("h2"), "x", "fired")
	want(t, w.scope("h2"), "l", "['fired', {'k': 'fired'}]")
}

func TestOverlayKeepsAll(t *testing.T) {
	w := newWorld(t)
	state := w.run.State("h1")
	for i := range 200 {
		state.Register(fmt.Sprintf("v%d", i), value.Int(i))
		state.Register("last", value.Int(i))
	}
	s := w.scope("h1")
	for _, i := range []int{0, 31, 32, 33, 64, 150, 199} {
		want(t, s, fmt.Sprintf("v%d", i), fmt.Sprint(i))
	}
	want(t, s, "last", "199")
	if set, _ := state.Dump(); set.Len() != 201 {
		t.Errorf("Dump has %d variables", set.Len())
	}
}

// TestConcurrentHosts: hosts learn while others read them.
func TestConcurrentHosts(t *testing.T) {
	w := newWorld(t)
	w.group("all").Vars = dict(t, "all.yml", "all_ports: \"{{ hostvars['h2'].port | default(0) }}\"")
	play := w.play(&playbook.Play{})
	task := play.Task(&playbook.Task{}, vars.TaskOptions{})
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range 100 {
				h := play.Host([]string{"h1", "h2", "h3"}[(g+i)%3])
				h.State().Register("port", value.Int(i))
				h.State().UpdateFacts(value.D("ansible_n", value.Int(i)))
				h.State().Publish()
				s := task.Eval(context.Background(), h)
				if _, _, err := s.Lookup("all_ports"); err != nil {
					t.Error(err)
				}
				if i%50 == 0 {
					w.run.InventoryChanged()
					s.Names()
				}
			}
		}()
	}
	wg.Wait()
}

func TestMagic(t *testing.T) {
	w := newWorld(t, func(o *vars.Options) {
		o.Check, o.Verbosity, o.Limit, o.ConfigFile, o.SkipTags = true, 2, "web", "/etc/ansible/ansible.cfg", []string{"slow"}
	})
	parent := &playbook.Role{Name: "outer", Path: "/roles/outer", Static: true, Public: true}
	dep := &playbook.Role{Name: "dep", Path: "/roles/dep", Static: true, Public: true, Parents: []*playbook.Role{parent}}
	parent.Deps = []*playbook.Role{dep}
	inner := &playbook.Role{Name: "acme.web.inner", Path: "/c/inner", Collection: "acme.web", Parents: []*playbook.Role{parent}}
	play := w.play(&playbook.Play{Roles: []*playbook.Role{parent}})
	task := &playbook.Task{Role: inner, Pos: value.Origin{File: "/c/inner/tasks/main.yml"}}
	task.Environment = []value.Value{dict(t, "env.yml", "A: '{{ inventory_hostname }}'")}
	s := play.Task(task, vars.TaskOptions{}).Eval(context.Background(), play.Host("h1"))
	for name, text := range map[string]string{
		"inventory_hostname": "h1", "inventory_hostname_short": "h1", "group_names": "['site', 'web']",
		"groups":             "{'all': ['h3', 'h1', 'h2'], 'ungrouped': [], 'web': ['h1', 'h2'], 'db': ['h3'], 'site': ['h1', 'h2']}",
		"ansible_play_hosts": "['h1', 'h2']", "ansible_play_hosts_all": "['h1', 'h2', 'h3']",
		"ansible_play_batch": "['h1']", "play_hosts": "['h1']", "ansible_play_name": "the play",
		"ansible_check_mode": "True", "ansible_diff_mode": "False", "ansible_verbosity": "2", "ansible_forks": "5",
		"ansible_run_tags": "['all']", "ansible_skip_tags": "['slow']", "ansible_limit": "web",
		"ansible_config_file": "/etc/ansible/ansible.cfg", "ansible_playbook_python": "/usr/bin/python3",
		"playbook_dir": w.dir, "inventory_dir": w.dir + "/inventory", "inventory_file": w.dir + "/inventory/hosts",
		"role_name": "inner", "ansible_role_name": "acme.web.inner", "role_path": "/c/inner", "ansible_collection_name": "acme.web",
		"ansible_parent_role_names": "['outer']", "ansible_parent_role_paths": "['/roles/outer']",
		"ansible_role_names": "['dep', 'outer']", "ansible_play_role_names": "['outer']", "role_names": "['outer']",
		"ansible_dependent_role_names": "['dep']",
		"ansible_search_path":          "['/c/inner', '/roles/outer', '/c/inner/tasks', '" + w.dir + "']",
		"environment":                  "[{'A': 'h1'}]",
	} {
		if name == "groups" {
			continue // checked below: the order of hosts is the inventory's
		}
		want(t, s, name, text)
	}
	wantEval(t, s, w, "{{ groups.web }} {{ ansible_version.full is version('2.18', '>=') if false else ansible_version.major }}", "['h1', 'h2'] 2")
	wantEval(t, s, w, "{{ vars['inventory_hostname'] }} {{ 'playbook_dir' in vars }}", "h1 True")
	names := strings.Join(s.Names(), " ")
	for _, name := range []string{"ansible_facts", "inventory_hostname", "hostvars", "role_path", "omit", "ansible_parent_role_names"} {
		if !strings.Contains(names, name) {
			t.Errorf("Names lacks %s", name)
		}
	}
	// A dependency is no parent that included the role.
	s = play.Task(&playbook.Task{Role: dep}, vars.TaskOptions{}).Eval(context.Background(), play.Host("h1"))
	want(t, s, "ansible_parent_role_names", "")
	want(t, s, "role_name", "dep")
	// set_fact may override the variables of a host, not the engine's.
	play.Host("h1").State().SetFacts(value.D("inventory_hostname", value.S("x"), "ansible_check_mode", value.S("x")))
	s = s.With().(*vars.Scope)
	want(t, s, "inventory_hostname", "x")
	want(t, s, "ansible_check_mode", "True")
}

func TestAddress(t *testing.T) {
	w := newWorld(t)
	for name, short := range map[string]string{"10.0.0.1": "10.0.0.1", "fe80::1": "fe80::1", "a.b.c": "a"} {
		if _, err := w.opt.Inventory.AddHost(name, 2222); err != nil {
			t.Fatal(err)
		}
		w.run.InventoryChanged()
		s := w.scope(name)
		want(t, s, "inventory_hostname_short", short)
		want(t, s, "ansible_port", "2222")
		want(t, s, "group_names", "['ungrouped']")
	}
}
