package playbook

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"orch/playbook/jinja/value"
	"orch/playbook/source"
	"orch/roles"
)

// newer are playbooks that ansible-core 2.18 refuses and older versions accept.
var newer = []string{"invalid.yml", "invalid_skipped.yml", "end_role_handler_error.yml"}

// TestAnsibleTargets loads the playbooks of a checkout of ansible/ansible named by
// ORCH_ANSIBLE_SRC (its targets by ORCH_ANSIBLE_TARGETS, a file of "class name" lines, only
// class A0): what the installed ansible-playbook accepts with --syntax-check must load.
func TestAnsibleTargets(t *testing.T) {
	src, list := os.Getenv("ORCH_ANSIBLE_SRC"), os.Getenv("ORCH_ANSIBLE_TARGETS")
	if src == "" || list == "" {
		t.Skip("ORCH_ANSIBLE_SRC and ORCH_ANSIBLE_TARGETS are not set")
	}
	f, err := os.Open(list)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	targets := filepath.Join(src, "test/integration/targets")
	total, loaded := 0, 0
	for lines := bufio.NewScanner(f); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) < 2 || fields[0] != "A0" {
			continue
		}
		dir := filepath.Join(targets, fields[1])
		for _, path := range playbooksBelow(dir) {
			if slices.Contains(newer, filepath.Base(path)) {
				continue
			}
			total++
			if diags := loadTarget(dir, path, targets); diags.HasErrors() {
				if out, ok := syntaxCheck(dir, path, targets); ok {
					t.Errorf("%s: ansible accepts it:\n%s%s", path, diags.Only(source.Error).Format(source.NewFiles()), out)
				}
				continue
			}
			loaded++
		}
	}
	t.Logf("%d of %d playbooks load", loaded, total)
}

func playbooksBelow(dir string) (out []string) {
	_ = filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() || filepath.Ext(path) != ".yml" && filepath.Ext(path) != ".yaml" {
			return nil
		}
		for _, part := range []string{"/tasks/", "/handlers/", "/vars/", "/defaults/", "/meta/", "/group_vars/", "/host_vars/", "/files/", "/templates/"} {
			if strings.Contains(strings.TrimPrefix(path, dir), part) {
				return nil
			}
		}
		data, _ := os.ReadFile(path)
		n, _ := source.ParseOne(path, data)
		if n == nil || n.Kind != source.SequenceNode || len(n.Items) == 0 {
			return nil
		}
		for _, key := range append([]string{"hosts"}, importNames...) {
			if n.Items[0].Get(key).Key != nil {
				out = append(out, path)
				return nil
			}
		}
		return nil
	})
	return out
}

func loadTarget(dir, path, targets string) source.Diagnostics {
	l := NewLoader(Config{
		Modules: fakeModules{},
		Roles:   roles.Finder{Path: []string{targets, filepath.Join(dir, "roles")}, Collections: []string{dir, filepath.Join(dir, "collections"), "/usr/lib/python3/dist-packages"}},
		Static: func(p *Play, _ *Task, v value.Value) (value.Value, error) {
			return fakeStatic(p, nil, v)
		},
		Library: []string{filepath.Join(dir, "library")},
	})
	_, diags := l.Load(path)
	return diags
}

func syntaxCheck(dir, path, targets string) (string, bool) {
	cmd := exec.Command("ansible-playbook", "--syntax-check", "-i", "localhost,", path)
	cmd.Dir = dir
	cmd.Env = slices.DeleteFunc(os.Environ(), func(e string) bool { return strings.HasPrefix(e, "ANSIBLE_") })
	cmd.Env = append(cmd.Env, "ANSIBLE_ROLES_PATH="+targets+":"+filepath.Join(dir, "roles"), "ANSIBLE_COLLECTIONS_PATH="+dir,
		"ANSIBLE_LIBRARY="+filepath.Join(dir, "library"), "ANSIBLE_LOCALHOST_WARNING=false")
	out, err := cmd.CombinedOutput()
	return string(out), err == nil
}
