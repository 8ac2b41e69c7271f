package roles

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func tree(t *testing.T, files ...string) string {
	t.Helper()
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		path := filepath.Join(root, f)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestFind(t *testing.T) {
	root := tree(t, "p/roles/a/tasks/main.yml", "p/roles/sub/deep/tasks/main.yml", "p/bare/tasks/main.yml", "shared/a/tasks/main.yml",
		"shared/b/tasks/main.yml", "parent/c/tasks/main.yml", "p/collections/ansible_collections/n/s/roles/r/tasks/main.yml",
		"site/ansible_collections/n/t/roles/r/tasks/main.yml", "site/ansible_collections/n/t/roles/x/y/tasks/main.yml")
	f := Finder{Path: []string{filepath.Join(root, "shared")}, Collections: []string{filepath.Join(root, "site")}}
	for _, c := range []struct{ name, collections, path, full string }{
		{"a", "", "p/roles/a", "a"},
		{"b", "", "shared/b", "b"},
		{"c", "", "parent/c", "c"},
		{"bare", "", "p/bare", "bare"},
		{"sub/deep", "", "p/roles/sub/deep", "sub/deep"},
		{filepath.Join(root, "shared/a"), "", "shared/a", filepath.Join(root, "shared/a")},
		{"n.s.r", "", "p/collections/ansible_collections/n/s/roles/r", "n.s.r"},
		{"n.t.x.y", "", "site/ansible_collections/n/t/roles/x/y", "n.t.x.y"},
		{"r", "n.t,n.s", "site/ansible_collections/n/t/roles/r", "n.t.r"},
		{"none", "n.t", "", ""},
		{"n.t.none", "", "", ""},
	} {
		s := Search{Name: c.name, PlaybookDir: filepath.Join(root, "p"), ParentDir: filepath.Join(root, "parent")}
		if c.collections != "" {
			s.Collections = strings.Split(c.collections, ",")
		}
		got, searched, ok := f.Find(s)
		rel := strings.TrimPrefix(got.Path, root+"/")
		if ok != (c.path != "") || rel != c.path || got.FullName() != c.full {
			t.Errorf("%s: got %+v, %v, want %s %s", c.name, got, searched, c.path, c.full)
		}
	}
	_, searched, _ := f.Find(Search{Name: "none", PlaybookDir: filepath.Join(root, "p"), Collections: []string{"n.t"}})
	want := []string{"collection n.t", root + "/p/roles", root + "/shared", root + "/p"}
	if !slices.Equal(searched, want) {
		t.Errorf("searched %v, want %v", searched, want)
	}
	if names := f.Names(Search{PlaybookDir: filepath.Join(root, "p")}); !slices.Equal(names, []string{"a", "b"}) {
		t.Errorf("names: %v", names)
	}
	if dir := f.Collection("n.s", filepath.Join(root, "p")); !strings.HasSuffix(dir, "n/s") {
		t.Errorf("collection: %q", dir)
	}
}

func TestFiles(t *testing.T) {
	root := tree(t, "r/tasks/main.yaml", "r/tasks/main", "r/tasks/other.yml", "r/tasks/bare", "r/tasks/bare.yml", "r/handlers/main",
		"r/vars/main/b.yml", "r/vars/main/a", "r/vars/main/sub/c.json", "r/vars/main/.hidden.yml", "r/vars/main/x.txt", "r/vars/main/y.yml~",
		"r/vars/one.yml", "r/defaults/main.json", "r/outside.yml")
	r := filepath.Join(root, "r")
	for _, c := range []struct{ sub, from, want string }{
		{"tasks", "", "tasks/main.yaml"},
		{"tasks", "other", "tasks/other.yml"},
		{"tasks", "other.yml", "tasks/other.yml"},
		{"tasks", "bare", "tasks/bare"},
		{"handlers", "", "handlers/main"},
		{"meta", "", ""},
		{"tasks", "none", ""},
	} {
		if got := strings.TrimPrefix(File(r, c.sub, c.from), r+"/"); got != c.want {
			t.Errorf("File(%s, %s) = %q, want %q", c.sub, c.from, got, c.want)
		}
	}
	var got []string
	for _, f := range VarsFiles(r, "vars", "") {
		got = append(got, strings.TrimPrefix(f, r+"/vars/main/"))
	}
	if want := []string{"a", "b.yml", "sub/c.json"}; !slices.Equal(got, want) {
		t.Errorf("vars/main: %v, want %v", got, want)
	}
	if f := VarsFiles(r, "vars", "one"); len(f) != 1 || filepath.Base(f[0]) != "one.yml" {
		t.Errorf("vars_from one: %v", f)
	}
	if f := VarsFiles(r, "defaults", ""); len(f) != 1 || filepath.Base(f[0]) != "main.json" {
		t.Errorf("defaults: %v", f)
	}
	if Inside(r, "tasks", filepath.Join(r, "tasks/../outside.yml")) || !Inside(r, "tasks", filepath.Join(r, "tasks/x/y.yml")) {
		t.Error("Inside lets a path out, or keeps one out")
	}
}
