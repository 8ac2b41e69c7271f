package container

import (
	"archive/tar"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// listed writes files and returns the names of the build context.
func listed(t *testing.T, dir, dockerfile string, files map[string]string) []contextFile {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	list, err := contextFiles(dir, dockerfile)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// What is sent: not what .dockerignore names, but always the Dockerfile, and never what orch
// itself keeps in a project.
func TestContextFiles(t *testing.T) {
	got := listed(t, t.TempDir(), "docker/Dockerfile", map[string]string{
		"docker/Dockerfile": "FROM scratch", "docker/other": "", "a.key": "", "sub/a.key": "", "sub/keep.key": "", "b/c/d": "", ".dockerignore": "docker\n**/*.key\n# no\n!sub/keep.key\n",
		".orch/journal/1.state.jsonl": "secret", "sub/.orch/x": "",
	})
	names := []string{}
	for _, f := range got {
		if !f.info.IsDir() {
			names = append(names, f.name)
		}
	}
	if text := strings.Join(names, " "); text != ".dockerignore b/c/d docker/Dockerfile sub/keep.key" {
		t.Errorf("files %s", text)
	}
	if _, err := contextFiles(t.TempDir(), "../Dockerfile"); err == nil || !strings.Contains(err.Error(), "is not in the folder") {
		t.Errorf("a Dockerfile from elsewhere: %v", err)
	}
	// Without exceptions a folder is left out as a whole, and yet the Dockerfile is sent.
	if got := listed(t, t.TempDir(), "docker/Dockerfile", map[string]string{"docker/Dockerfile": "", "docker/x": "", ".dockerignore": "docker"}); len(got) != 2 {
		t.Errorf("%d files: %v", len(got), got)
	}
}

// A file may grow or go between the listing and the sending.
func TestSendContext(t *testing.T) {
	dir := t.TempDir()
	list := listed(t, dir, "Dockerfile", map[string]string{"Dockerfile": "FROM scratch\n", "log": "one\n"})
	grown := filepath.Join(dir, "log")
	if err := os.WriteFile(grown, []byte("one\ntwo\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	r, w := io.Pipe()
	go func() { w.CloseWithError(sendContext(w, list)) }()
	texts := map[string]string{}
	for tr := tar.NewReader(r); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(tr)
		if err != nil {
			t.Fatal(err)
		}
		texts[h.Name] = string(text)
	}
	if texts["log"] != "one\ntwo\n" || texts["Dockerfile"] != "FROM scratch\n" {
		t.Errorf("sent %q", texts)
	}
	if err := os.Remove(grown); err != nil {
		t.Fatal(err)
	}
	if err := sendContext(io.Discard, list); err == nil || !strings.HasPrefix(err.Error(), "log: ") {
		t.Errorf("a file that is gone: %v", err)
	}
}
