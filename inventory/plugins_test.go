package inventory

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"orch/playbook/jinja/value"
)

// byName evaluates "{{ NAME }}" and "{% if NAME %}": a template engine's smallest part.
type byName struct{}

func (byName) With(vars *value.Dict) Evaluate {
	return func(_ context.Context, text value.Str) (value.Value, error) {
		s := text.S
		for k, v := range vars.All() {
			s = strings.ReplaceAll(s, "{{ "+value.String(k)+" }}", value.String(v))
		}
		return value.S(s), nil
	}
}

func (byName) Host(inv *Inventory, h *Host, _, _ bool) Evaluate {
	return func(_ context.Context, text value.Str) (value.Value, error) {
		name := strings.TrimSpace(strings.Trim(text.S, "{}"))
		if rest, ok := strings.CutPrefix(name, "% if "); ok {
			name, _, _ = strings.Cut(rest, " ")
		}
		v, ok := h.Vars.GetStr(name)
		if !ok {
			return nil, errors.New("'" + name + "' is undefined")
		}
		return v, nil
	}
}

func TestPlugins(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	hosts := write("hosts.yml", "web: {hosts: {a: {os: deb, up: true, tags: {env: live, own: ''}, many: [x, '']}, b: {os: '', n: 1}}}\n")
	for _, c := range []struct{ name, config, want, err string }{
		{"by value", "keyed_groups: [{key: os}, {key: many}]", "_deb: a, _x: a, _: a", ""},
		{"mapping", "keyed_groups: [{key: tags, prefix: t}]", "t_env_live: a, t_own_: a", ""},
		{"no trailing separator", "keyed_groups: [{key: tags, prefix: t, trailing_separator: false}]", "t_env_live: a, t_own: a", ""},
		{"default", "keyed_groups: [{key: os, prefix: os, default_value: none}]", "os_deb: a, os_none: b", ""},
		{"no leading separator", "leading_separator: false\nkeyed_groups: [{key: os}]", "deb: a", ""},
		{"condition", "groups: {ons: up}\ncompose: {os2: os}", "ons: a", ""},
		{"a number", "keyed_groups: [{key: n}]", "", "invalid group name format"},
		{"strict", "strict: true\ncompose: {x: nowhere}", "", "could not set x for host a: 'nowhere' is undefined"},
		{"unknown option", "keyed_group: []", "", `did you mean "keyed_groups"?`},
		{"both", "keyed_groups: [{key: os, default_value: a, trailing_separator: true}]", "", "mutually exclusive"},
	} {
		t.Run(c.name, func(t *testing.T) {
			made := write("made.yml", "plugin: constructed\n"+c.config+"\n")
			inv, diags := Load(t.Context(), []string{hosts, made}, Options{Evaluator: byName{}})
			if c.err != "" {
				if err := diags.Err(); err == nil || !strings.Contains(err.Error(), c.err) {
					t.Fatalf("error %v, want %q", err, c.err)
				}
				return
			}
			if err := diags.Err(); err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, g := range inv.Groups()[3:] {
				got = append(got, g.Name+": "+names(inv.Members(g)))
			}
			if text := strings.Join(got, ", "); text != c.want {
				t.Errorf("groups %q, want %q", text, c.want)
			}
		})
	}
}

func TestGenerator(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gen.yml")
	const config = `plugin: ansible.builtin.generator
hosts:
  name: "{{ op }}-{{ env }}"
  parents:
    - name: "{{ op }}"
      vars: {which: "{{ op }}"}
      parents: [{name: made}]
layers: {op: [build, run], env: [dev, live]}
`
	if err := os.WriteFile(path, []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	inv, diags := Load(t.Context(), []string{path}, Options{Evaluator: byName{}})
	if err := diags.Err(); err != nil {
		t.Fatal(err)
	}
	if got := names(inv.Hosts()); got != "build-dev build-live run-dev run-live" {
		t.Errorf("hosts %s", got)
	}
	run, _ := inv.Group("run")
	if v, _ := run.Vars.GetStr("which"); value.String(v) != "run" || run.Parents[0].Name != "made" {
		t.Errorf("group run: which=%v below %s", v, run.Parents[0].Name)
	}
}
