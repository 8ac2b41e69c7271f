package settings

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// load reads settings of a folder that holds the given ansible.cfg.
func load(t *testing.T, cfg string, env map[string]string, flags map[string]string) (*Settings, string, []string) {
	t.Helper()
	dir := t.TempDir()
	if cfg != "" {
		if err := os.WriteFile(filepath.Join(dir, "ansible.cfg"), []byte(cfg), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s, diags := Load(Options{
		Dir: dir, Home: filepath.Join(dir, "home"), Flags: flags, Flag: map[string]string{"DEFAULT_FORKS": "--forks"},
		Env: func(name string) (string, bool) { v, ok := env[name]; return v, ok },
	})
	var msgs []string
	for _, d := range diags {
		msgs = append(msgs, d.Msg)
	}
	return s, dir, msgs
}

func TestPrecedenceAndOrigin(t *testing.T) {
	cfg := "[defaults]\n# comment\nforks = 11\n"
	for _, c := range []struct {
		name       string
		cfg        string
		env, flags map[string]string
		want       int
		origin     string
	}{
		{"default", "", nil, nil, 50, "default"},
		{"file", cfg, nil, nil, 11, "ansible.cfg:3"},
		{"ansible env", cfg, map[string]string{"ANSIBLE_FORKS": "12"}, nil, 12, "environment ANSIBLE_FORKS"},
		{"orch env", cfg, map[string]string{"ANSIBLE_FORKS": "12", "ORCH_FORKS": "13"}, nil, 13, "environment ORCH_FORKS"},
		{"flag", cfg, map[string]string{"ORCH_FORKS": "13"}, map[string]string{"DEFAULT_FORKS": "14"}, 14, "flag --forks"},
	} {
		s, _, msgs := load(t, c.cfg, c.env, c.flags)
		if got := s.Int("DEFAULT_FORKS"); got != c.want || len(msgs) > 0 {
			t.Errorf("%s: forks %d, %q; want %d", c.name, got, msgs, c.want)
		}
		if got := s.Get("DEFAULT_FORKS").Origin; !strings.HasSuffix(got, c.origin) {
			t.Errorf("%s: origin %q, want %q", c.name, got, c.origin)
		}
	}
}

func TestTypes(t *testing.T) {
	s, dir, msgs := load(t, `[defaults]
roles_path = roles:../shared:/opt/roles ; ours
inventory = stage, ./hosts
log_path = run.log
gathering: explicit
[privilege_escalation]
become = yes
[tags]
run = a, b
[inventory]
ignore_extensions = .a,
   .b
`, nil, nil)
	if len(msgs) > 0 {
		t.Fatal(msgs)
	}
	for name, want := range map[string][]string{
		"DEFAULT_ROLES_PATH":    {dir + "/roles", filepath.Dir(dir) + "/shared", "/opt/roles"},
		"DEFAULT_HOST_LIST":     {"stage", dir + "/hosts"},
		"TAGS_RUN":              {"a", "b"},
		"INVENTORY_IGNORE_EXTS": {".a", ".b"},
	} {
		if got := s.List(name); !slices.Equal(got, want) {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
	if !s.Bool("DEFAULT_BECOME") || s.Path("DEFAULT_LOG_PATH") != dir+"/run.log" || s.Str("DEFAULT_GATHERING") != "explicit" {
		t.Errorf("become %v, log %q, gathering %q", s.Bool("DEFAULT_BECOME"), s.Path("DEFAULT_LOG_PATH"), s.Str("DEFAULT_GATHERING"))
	}
}

func TestWrongAndUnsupportedValuesAreNamed(t *testing.T) {
	_, _, msgs := load(t, `forks = 3
[defaults]
gathering = sometimes
forks = many
callback_plugins = ./cb
callback_result_format = toml
nonsense
cow_selection = tux
`, map[string]string{"ANSIBLE_BECOME": "perhaps"}, nil)
	all := strings.Join(msgs, "\n")
	for _, want := range []string{
		`"forks = 3" stands before the first [section]`,
		`expected key = value, got "nonsense"`,
		`DEFAULT_GATHERING: unknown value "sometimes", one of implicit, explicit, smart`,
		`DEFAULT_FORKS wants a whole number, not "many"`,
		`DEFAULT_CALLBACK_PLUGIN_PATH (`,
		`callback_result_format: unknown value "toml", one of json, yaml`,
		`DEFAULT_BECOME wants a boolean, not "perhaps"`,
	} {
		if !strings.Contains(all, want) {
			t.Errorf("missing %q in:\n%s", want, all)
		}
	}
	if strings.Contains(all, "COW") {
		t.Errorf("a moot setting is named:\n%s", all)
	}
}

func TestTableIsConsistent(t *testing.T) {
	seen := map[string]string{}
	for _, def := range table {
		if msg := def.check(def.Default); msg != "" {
			t.Errorf("default of %s: %s", def.Name, msg)
		}
		for _, key := range slices.Concat(def.Env, def.Ini) {
			if other, ok := seen[key]; ok {
				t.Errorf("%s belongs to %s and %s", key, other, def.Name)
			}
			seen[key] = def.Name
		}
	}
}

func FuzzINI(f *testing.F) {
	f.Add([]byte("[a]\nb = c\n d\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		values, _ := parseINI("x", text, nil)
		for key, v := range values {
			if !strings.Contains(key, ".") || v.pos.Line == 0 {
				t.Errorf("value %q at %v", key, v.pos)
			}
		}
	})
}
