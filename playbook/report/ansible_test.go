package report

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"orch/inventory"
	"orch/modules/control"
	"orch/modules/schema"
	"orch/modules/target"
	"orch/playbook"
	"orch/playbook/run"
	"orch/playbook/source"
	"orch/playbook/template"
	"orch/playbook/vars"
	"orch/roles"
)

var record = flag.Bool("record", false, "record the output of the ansible-playbook of this machine")

// project lays out an archive and returns its folder, the arguments of its comment and
// the files whose names begin with "want".
func project(t *testing.T, file string) (dir string, args []string, ar *txtar.Archive) {
	t.Helper()
	ar, err := txtar.ParseFile(file)
	must(t, err)
	dir = t.TempDir()
	for _, f := range ar.Files {
		if strings.HasPrefix(f.Name, "want") {
			continue
		}
		path := filepath.Join(dir, f.Name)
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		must(t, os.WriteFile(path, f.Data, 0o644))
	}
	for line := range strings.Lines(string(ar.Comment)) {
		if rest, ok := strings.CutPrefix(line, "args: "); ok {
			args = strings.Fields(rest)
		}
	}
	return dir, args, ar
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func want(ar *txtar.Archive, name string) string {
	for _, f := range ar.Files {
		if f.Name == name {
			return string(f.Data)
		}
	}
	return ""
}

func setWant(ar *txtar.Archive, name, text string) {
	ar.Files = slices.DeleteFunc(ar.Files, func(f txtar.File) bool { return f.Name == name })
	if text != "" {
		ar.Files = append(ar.Files, txtar.File{Name: name, Data: []byte(text)})
	}
}

// play runs site.yml on this machine, with sink as the view.
func play(t *testing.T, dir string, args []string, sink run.Sink) run.RunDone {
	t.Helper()
	inv, ds := inventory.Load(t.Context(), []string{filepath.Join(dir, "hosts")}, inventory.Options{})
	must(t, ds.Err())
	engine, err := template.New(template.Options{Warn: func(d source.Diagnostic) { sink(run.Warning{Diagnostic: d}) }})
	must(t, err)
	reg, err := schema.NewRegistry(control.Table(), control.HostTable(), run.Table())
	must(t, err)
	loader := playbook.NewLoader(playbook.Config{
		Modules: playbook.FromRegistry(reg), Templates: engine, Roles: roles.Finder{Path: []string{filepath.Join(dir, "roles")}},
	})
	pb, ds := loader.Load(filepath.Join(dir, "site.yml"))
	must(t, ds.Err())
	pool := target.NewPool(target.PoolConfig{})
	defer pool.Close()
	files := &vars.Files{}
	c := run.Config{
		Playbooks: []*playbook.Playbook{pb}, Inventory: inv, Templater: engine, Modules: reg, Loader: loader, Files: files,
		Connector: pool, Sink: sink, Render: engine.Render, Excerpt: excerpt,
		Options: run.Options{Forks: 1, Gathering: "explicit", Lines: true, Check: slices.Contains(args, "--check"), Diff: slices.Contains(args, "--diff")},
	}
	c.Defaults.Connection = "local"
	c.Vars = vars.NewRun(vars.Options{Inventory: inv, Templater: engine, Files: files, Verbosity: verbosity(args), Check: c.Check, Diff: c.Diff})
	done, err := run.Run(t.Context(), c)
	must(t, err)
	return done
}

func verbosity(args []string) int {
	for _, a := range args {
		if strings.HasPrefix(a, "-v") {
			return len(a) - 1
		}
	}
	return 0
}

// varying is what differs from run to run.
var varying = regexp.MustCompile(`"(delta|start|end)":( ?)"[^"]*"`)

func stable(text, dir string) string {
	return varying.ReplaceAllString(strings.ReplaceAll(text, dir, "/project"), `"$1":$2"…"`)
}

// TestAnsible compares the view with what ansible-playbook printed for the same
// playbooks (-record). Where ansible-core 2.18 prints something else than the recorder,
// the recording was changed by hand; its comment says so.
func TestAnsible(t *testing.T) {
	files, err := filepath.Glob("testdata/ansible/*.txtar")
	must(t, err)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			dir, args, ar := project(t, file)
			if *record {
				out, errs := ansiblePlaybook(t, dir, args)
				setWant(ar, "want", stable(out, dir))
				setWant(ar, "want-stderr", stable(errs, dir))
				must(t, os.WriteFile(file, txtar.Format(ar), 0o644))
				dir, args, ar = project(t, file)
			}
			var out, errs bytes.Buffer
			o := AnsibleOptions{Options: Options{Verbosity: verbosity(args), Diff: slices.Contains(args, "--diff")}}
			for _, a := range args {
				switch a {
				case "hide-skipped":
					o.HideSkipped = true
				case "hide-ok":
					o.HideOK = true
				case "failed-stderr":
					o.FailedStderr = true
				case "check-markers":
					o.CheckMarkers = true
				case "custom-stats":
					o.ShowCustomStats = true
				}
			}
			play(t, dir, args, Ansible(&out, &errs, o))
			if d := cmp.Diff(want(ar, "want"), stable(out.String(), dir)); d != "" {
				t.Errorf("stdout (-ansible +orch):\n%s", d)
			}
			if d := cmp.Diff(want(ar, "want-stderr"), stable(errs.String(), dir)); d != "" {
				t.Errorf("stderr (-ansible +orch):\n%s", d)
			}
		})
	}
}

func excerpt(pos source.Pos) string {
	return Excerpt(pos, func(file string) []string {
		text, _ := os.ReadFile(file)
		return strings.Split(string(text), "\n")
	})
}

// ansiblePlaybook runs the real one.
func ansiblePlaybook(t *testing.T, dir string, args []string) (out, errs string) {
	t.Helper()
	bin, err := exec.LookPath("/usr/bin/ansible-playbook")
	if err != nil {
		t.Skip("there is no ansible-playbook to record")
	}
	argv := []string{"-i", filepath.Join(dir, "hosts"), filepath.Join(dir, "site.yml"), "-c", "local"}
	env := append(os.Environ(), "ANSIBLE_GATHERING=explicit", "ANSIBLE_FORKS=1", "ANSIBLE_ROLES_PATH="+dir+"/roles",
		"ANSIBLE_PYTHON_INTERPRETER=/usr/bin/python3", "LC_ALL=C.UTF-8", "ANSIBLE_NOCOLOR=1", "COLUMNS=80")
	for _, a := range args {
		switch a {
		case "hide-skipped":
			env = append(env, "ANSIBLE_DISPLAY_SKIPPED_HOSTS=0")
		case "hide-ok":
			env = append(env, "ANSIBLE_DISPLAY_OK_HOSTS=0")
		case "failed-stderr":
			env = append(env, "ANSIBLE_DISPLAY_FAILED_STDERR=1")
		case "check-markers":
			env = append(env, "ANSIBLE_CHECK_MODE_MARKERS=1")
		case "custom-stats":
			env = append(env, "ANSIBLE_SHOW_CUSTOM_STATS=1")
		default:
			argv = append(argv, a)
		}
	}
	cmd := exec.Command(bin, argv...)
	cmd.Env, cmd.Dir = env, dir
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	_ = cmd.Run() // a failed playbook is a recording too
	return stdout.String(), stderr.String()
}
