package playbook

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"orch/playbook/jinja/value"
	"orch/playbook/source"
)

var update = flag.Bool("update", false, "rewrite the expected parts of testdata")

// cases runs do for every txtar of a folder: its files are written into a folder of their
// own, the file "want" is compared with what do returns.
func cases(t *testing.T, glob string, do func(t *testing.T, l *Loader) string) {
	paths, _ := filepath.Glob(glob)
	if len(paths) == 0 {
		t.Fatalf("no cases in %s", glob)
	}
	for _, path := range paths {
		path, err := filepath.Abs(path)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			ar, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			dir, want := unpack(t, ar)
			t.Chdir(dir)
			got := strings.ReplaceAll(do(t, newTestLoader(t, dir)), dir+"/", "")
			if *update {
				if want < 0 {
					ar.Files = append(ar.Files, txtar.File{Name: "want"})
					want = len(ar.Files) - 1
				}
				ar.Files[want].Data = []byte(got)
				if err := os.WriteFile(path, txtar.Format(ar), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			if want < 0 {
				t.Fatal("the case has no want")
			}
			if diff := cmp.Diff(string(ar.Files[want].Data), got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func unpack(t *testing.T, ar *txtar.Archive) (dir string, want int) {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	want = -1
	for i, f := range ar.Files {
		if f.Name == "want" {
			want = i
			continue
		}
		path := filepath.Join(dir, f.Name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, f.Data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir, want
}

func TestLoad(t *testing.T) {
	cases(t, "testdata/ok/*.txtar", func(t *testing.T, l *Loader) string {
		pb, diags := l.Load("site.yml")
		if diags.HasErrors() {
			t.Errorf("errors:\n%s", diags.Format(l.Files()))
		}
		return dumpPlaybook(pb) + diags.Format(l.Files())
	})
}

func TestMistakes(t *testing.T) {
	cases(t, "testdata/err/*.txtar", func(t *testing.T, l *Loader) string {
		_, diags := l.Load("site.yml")
		if !diags.HasErrors() && !strings.Contains(t.Name(), "warning") {
			t.Error("no mistake was found")
		}
		return diags.Format(l.Files())
	})
}

func TestLint(t *testing.T) {
	cases(t, "testdata/lint/*.txtar", func(t *testing.T, l *Loader) string {
		pb, diags := l.Load("site.yml")
		if diags.HasErrors() {
			t.Errorf("errors:\n%s", diags.Format(l.Files()))
		}
		return l.Lint(pb).Format(l.Files())
	})
}

func TestList(t *testing.T) {
	cases(t, "testdata/list/*.txtar", func(t *testing.T, l *Loader) string {
		pb, diags := l.Load("site.yml")
		if diags.HasErrors() {
			t.Errorf("errors:\n%s", diags.Format(l.Files()))
		}
		data, err := os.ReadFile("args")
		if err != nil {
			t.Fatal(err)
		}
		var out strings.Builder
		for line := range strings.Lines(string(data)) {
			only, skip, _ := strings.Cut(strings.TrimSpace(line), "!")
			out.WriteString("# " + line)
			for _, p := range Resolve(pb, ResolveOptions{Only: fields(only), Skip: fields(skip), Hosts: fakeHosts{}}).Plays {
				out.WriteString(p.format(Show{Hosts: true, Tasks: true, Tags: true}))
			}
		}
		return out.String()
	})
}

func fields(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' })
}

type fakeHosts struct{}

func (fakeHosts) Select(pattern []string) ([]string, error) { return pattern, nil }

func TestTagsMatch(t *testing.T) {
	for _, c := range []struct {
		tags, only, skip string
		want             bool
	}{
		{"", "all", "", true},
		{"a", "all", "", true},
		{"never", "all", "", false},
		{"always", "b", "", true},
		{"a", "a", "", true},
		{"a", "b", "", false},
		{"", "a", "", false},
		{"", "untagged", "", true},
		{"a", "untagged", "", false},
		{"a", "tagged", "", true},
		{"", "tagged", "", false},
		{"never", "never", "", true},
		{"a,never", "a", "", true},
		{"a,never", "tagged", "", false},
		{"a,never", "all", "", false},
		{"never,always", "x", "", true},
		{"a", "all", "a", false},
		{"a", "all", "b", true},
		{"always", "all", "always", false},
		{"always", "all", "all", true},
		{"always", "all", "all,always", false},
		{"a", "all", "all", false},
		{"a", "all", "tagged", false},
		{"", "all", "tagged", true},
		{"", "all", "untagged", false},
		{"a", "a", "a", false},
		{"always", "all", "tagged", false},
		{"a,b", "b,c", "", true},
		{"a", "", "", true},
		{"a,b", "all", "b", false},
	} {
		if got := TagsMatch(fields(c.tags), fields(c.only), fields(c.skip)); got != c.want {
			t.Errorf("tags %q, only %q, skip %q: %v", c.tags, c.only, c.skip, got)
		}
	}
}

// TestThreeMistakes holds the promise that everything is reported in one go.
func TestThreeMistakes(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "site.yml")
	text := "- hosts: all\n  taks: []\n  tasks:\n    - nme: x\n      debug: msg=1\n    - copi: src=a\n    - copy: src=a dst=b\n    - command: x\n      when: a ??\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	_, diags := newTestLoader(t, dir).Load(path)
	lines := map[int]bool{}
	for _, d := range diags {
		lines[d.Pos.Line] = true
	}
	for _, line := range []int{2, 4, 6, 7, 9} {
		if !lines[line] {
			t.Errorf("the mistake on line %d is missing:\n%s", line, diags)
		}
	}
}

// TestIncludes loads what a run brings in.
func TestIncludes(t *testing.T) {
	ar, err := txtar.ParseFile("testdata/dynamic.txtar")
	if err != nil {
		t.Fatal(err)
	}
	dir, _ := unpack(t, ar)
	t.Chdir(dir)
	l := newTestLoader(t, dir)
	pb, diags := l.Load("site.yml")
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	outer := pb.Plays[0].Tasks[0].(*Block)
	inc := outer.Block[0].(*Task)
	path, searched := l.FindTasks("sub/more.yml", inc, outer)
	if path == "" {
		t.Fatalf("not found in %v", searched)
	}
	nodes, err := l.IncludeTasks(path, inc, outer)
	if err != nil {
		t.Fatal(err)
	}
	b := nodes[0].(*Block)
	if b.Parent != outer || b.File == "" || len(b.Tags) != 1 || b.When != nil {
		t.Errorf("the include's block: %+v", b)
	}
	nested := b.Block[1].(*Task)
	if path, _ := l.FindTasks("deeper.yml", nested, b); !strings.HasSuffix(path, "sub/deeper.yml") {
		t.Errorf("deeper.yml is looked for beside the including file, found %q", path)
	}
	if _, err := l.IncludeTasks(filepath.Join(dir, "broken.yml"), inc, outer); err == nil {
		t.Error("a broken file is included")
	}

	role := outer.Block[1].(*Task)
	r, err := l.IncludeRole(IncludeRole{Name: "r", TasksFrom: "other", AllowDuplicates: true}, role, outer)
	if err != nil {
		t.Fatal(err)
	}
	task := r.Tasks[0].(*Task)
	if r.Static || r.Public || !r.AllowDuplicates || task.Role != r || task.Parent != r.Body || r.Body.Parent.Parent != outer {
		t.Errorf("role: %+v", r)
	}
	if v, _ := r.Defaults.GetStr("d"); v != value.Int(1) {
		t.Errorf("defaults: %v", v)
	}
	if len(r.AllHandlers()) != 1 || !r.Handlers[0].(*Task).Handler {
		t.Errorf("handlers: %v", r.Handlers)
	}
	_, err = l.IncludeRole(IncludeRole{Name: "rr"}, role, outer)
	if ds, ok := err.(source.Diagnostics); !ok || ds[0].Hint == "" && !strings.Contains(ds[0].Msg, "was not found") {
		t.Errorf("unknown role: %v", err)
	}
}

func TestVarsFile(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	l := newTestLoader(t, dir)
	d, diags := l.VarsFile(write("a.yml", "$ANSIBLE_VAULT;1.1;AES256\n6f70656e\n"))
	if diags != nil || d == nil || d.Len() != 1 {
		t.Errorf("encrypted: %v, %v", d, diags)
	}
	for name, text := range map[string]string{
		"wrong.yml": "$ANSIBLE_VAULT;1.1;AES256\n6162\n", "list.yml": "- a\n", "bad.yml": "a: b: c\n",
	} {
		if _, diags := l.VarsFile(write(name, text)); !diags.HasErrors() {
			t.Errorf("%s: no error", name)
		}
	}
	if d, diags := l.VarsFile(write("empty.yml", "---\n")); d != nil || diags != nil {
		t.Errorf("empty: %v, %v", d, diags)
	}
}

func FuzzLoad(f *testing.F) {
	paths, _ := filepath.Glob("testdata/*/*.txtar")
	for _, path := range paths {
		if ar, err := txtar.ParseFile(path); err == nil {
			for _, file := range ar.Files {
				if strings.HasSuffix(file.Name, ".yml") {
					f.Add(string(file.Data))
				}
			}
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		l := newTestLoader(t, "testdata")
		l.Files().Add("site.yml", []byte(text))
		pb, diags := l.Load("site.yml")
		_ = diags.Format(l.Files())
		_ = dumpPlaybook(pb)
		_ = l.Lint(pb)
		_ = Resolve(pb, ResolveOptions{})
	})
}

// TestSettings checks what settings change: keys given twice, unknown keys, and what is
// left to the run.
func TestSettings(t *testing.T) {
	const text = "- hosts: all\n  hosts: all\n  tasks:\n    - debug: msg=1\n      nme: x\n    - copy: dst=x\n    - debug: msg=1\n      when: a ??\n"
	count := func(change func(*Config)) (errs, warnings, remarks int) {
		l := newTestLoader(t, t.TempDir())
		change(&l.c)
		l.Files().Add("site.yml", []byte(text))
		pb, diags := l.Load("site.yml")
		return len(diags.Only(source.Error)), len(diags.Only(source.Warning)), len(pb.remarks)
	}
	for name, c := range map[string]struct {
		change func(*Config)
		want   [3]int
	}{
		"default":    {func(*Config) {}, [3]int{4, 1, 0}},
		"duplicates": {func(c *Config) { c.DuplicateKeys = "error" }, [3]int{5, 0, 0}},
		"ignored":    {func(c *Config) { c.DuplicateKeys = "ignore" }, [3]int{4, 0, 0}},
		"lenient":    {func(c *Config) { c.LenientTasks = true }, [3]int{3, 2, 0}},
		"deferred":   {func(c *Config) { c.Deferred = true }, [3]int{1, 1, 3}},
	} {
		errs, warnings, remarks := count(c.change)
		if got := [3]int{errs, warnings, remarks}; got != c.want {
			t.Errorf("%s: errors, warnings, remarks %v, want %v", name, got, c.want)
		}
	}
	if ds := Strict(source.Diagnostics{{Severity: source.Warning}}); !ds.HasErrors() {
		t.Error("strict lint has no errors")
	}
}
