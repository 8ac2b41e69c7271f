package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// A taskResult is what a task came to on the one host of a run.
type taskResult struct {
	Name   string
	Status string // ok, changed, skipped, failed
}

// results reads the events of --output json.
func (r ran) results(t *testing.T) []taskResult {
	t.Helper()
	var out []taskResult
	names := map[int]string{}
	for line := range strings.Lines(r.out) {
		var ev struct {
			Event, Name string
			Task        int
			Result      struct {
				Status string
				Maybe  bool
			}
		}
		if err := json.Unmarshal([]byte(line), &ev); err != nil {
			t.Fatalf("no event: %q: %v", line, err)
		}
		switch ev.Event {
		case "task_start":
			names[ev.Task] = ev.Name
		case "task_done":
			out = append(out, taskResult{names[ev.Task], ev.Result.Status})
		}
	}
	return out
}

// states says which trees of a host are its state: what modules manage. Times count, for
// check mode may not even touch. Left out are places other things write to meanwhile:
//   - .cache and /var/tmp/orch-*: the helper, which is orch's own;
//   - /etc/.pwd.lock and /etc/*- : locks and copies of shadow's tools, touched by reading ones;
//   - /var/lib/apt/lists/partial and lock files: made by apt's own queries.
const states = `/etc /home /root /srv /opt /usr/local /var/spool/cron /var/lib/dpkg /var/lib/apt /var/cache/debconf /var/lib/systemd /var/tmp`

// snapshot maps each path of the host's state to what is there.
func (h labHost) snapshot(t *testing.T, times bool, trees string) map[string]string {
	t.Helper()
	format := `%p\t%y %m %u:%g %l`
	if times {
		format += ` %T@ %C@`
	}
	prune := `\( -name .cache -o -path '/var/tmp/orch-*' -o -path '/var/tmp/systemd-private-*' -o -name .pwd.lock -o -path '/etc/*-' -o -path '*/partial' -o -name 'lock*' -o -path '/var/lib/systemd/timers*' -o -path /var/lib/systemd/random-seed \) -prune -o`
	list := h.sh(t, `for d in `+trees+`; do [ -e $d ] && find $d `+prune+` -printf '`+format+`\n'; done; true`)
	sums := h.sh(t, `for d in `+trees+`; do [ -e $d ] && find $d `+prune+` -type f -print0; done | xargs -0r sha256sum -z | tr '\0' '\n'`)
	state := map[string]string{}
	for line := range strings.Lines(list) {
		path, what, _ := strings.Cut(strings.TrimRight(line, "\n"), "\t")
		// Reading a folder's entry that the helper's own files made is not a change.
		if times && path == "/var/tmp" {
			what = "folder of the helper"
		}
		state[path] = what
	}
	for line := range strings.Lines(sums) {
		sum, path, _ := strings.Cut(strings.TrimRight(line, "\n"), "  ")
		state[path] += " " + sum
	}
	state["running"] = h.sh(t, `systemctl list-units --type=service --state=running --no-legend --plain | awk '{print $1}' | grep -v '^user@\|getty\|hostnamed\|timedated' | sort`)
	return state
}

// same reports what differs between two states.
func same(t *testing.T, what string, before, after map[string]string) {
	t.Helper()
	var lines []string
	for _, path := range slices.Sorted(maps.Keys(before)) {
		if now, ok := after[path]; !ok {
			lines = append(lines, "- "+path+"\t"+before[path])
		} else if now != before[path] {
			lines = append(lines, "- "+path+"\t"+before[path], "+ "+path+"\t"+now)
		}
	}
	for _, path := range slices.Sorted(maps.Keys(after)) {
		if _, ok := before[path]; !ok {
			lines = append(lines, "+ "+path+"\t"+after[path])
		}
	}
	if len(lines) > 0 {
		t.Errorf("%s:\n%s", what, strings.Join(lines[:min(len(lines), 60)], "\n"))
	}
}

// proofProject copies the playbook of testdata/lab/modules to a folder of its own and makes the
// archives it needs.
func proofProject(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("testdata/lab/modules")); err != nil {
		t.Fatal(err)
	}
	deb := filepath.Join(t.TempDir(), "proof")
	control := "Package: proof\nVersion: 1\nArchitecture: all\nMaintainer: nobody <nobody@example.org>\nDescription: proof\n"
	if err := os.MkdirAll(filepath.Join(deb, "DEBIAN"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(deb, "DEBIAN/control"), []byte(control), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("dpkg-deb", "--root-owner-group", "--build", deb).CombinedOutput(); err != nil {
		t.Skipf("no package can be made here: %v: %s", err, out)
	}
	pkg, err := os.ReadFile(deb + ".deb")
	if err != nil {
		t.Fatal(err)
	}
	var buf bytes.Buffer
	gz := gzip.NewWriter(&buf)
	tw := tar.NewWriter(gz)
	for _, f := range []struct {
		name string
		data []byte
	}{{"proof.deb", pkg}, {"app/main", []byte("main\n")}} {
		h := &tar.Header{Name: f.name, Mode: 0o644, Size: int64(len(f.data)), ModTime: time.Unix(1_700_000_000, 0)}
		if err := errors.Join(tw.WriteHeader(h), second(tw.Write(f.data))); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(tw.Close(), gz.Close(), os.WriteFile(filepath.Join(dir, "files/bundle.tar.gz"), buf.Bytes(), 0o644)); err != nil {
		t.Fatal(err)
	}
	return dir
}

func second[T any](_ T, err error) error { return err }

// TestModulesInTheLab plans, does and plans again with every host module, in the three
// places a module can run: plans change nothing of the host, nothing is left to change
// after doing, and what was done is the same wherever it was decided.
func TestModulesInTheLab(t *testing.T) {
	h := lab(t, "new1")
	// Other tests log in here meanwhile: on a new host their caches would be seen.
	h.sh(t, `for u in root orch ops; do install -d -o $u -g $u -m 0700 "$(getent passwd $u | cut -d: -f6)/.cache"; done`)
	dir := proofProject(t)
	inside := h.inProcess(t, dir)
	ssh := func(env []string, more ...string) func(t *testing.T, args ...string) ran {
		more = append([]string{"run", "-i", h.inventory(), "-l", h.name, "-T", "60", "--output", "json"}, more...)
		return func(t *testing.T, args ...string) ran { return orch(t, dir, env, append(more, args...)...) }
	}
	// Without the helper each look at the host is a session of its own, and sudo makes it two.
	shell := ssh([]string{noHelper + "=1"}, "-e", "ansible_user=root ansible_become=false")
	var done map[string]string
	for _, place := range []struct {
		name string
		run  func(t *testing.T, args ...string) ran
	}{
		{"helper", ssh(nil)}, {"shell", shell}, {"in process", inside},
	} {
		t.Run(place.name, func(t *testing.T) {
			place.run(t, "undo.yml").want(t, "undo", 0)
			fresh := h.snapshot(t, true, states)
			place.run(t, "site.yml", "--check", "--diff").want(t, "the plan", 0)
			same(t, "planning changed the host", fresh, h.snapshot(t, true, states))
			place.run(t, "site.yml", "--diff").want(t, "the run", 0)
			state := h.snapshot(t, true, states)
			again := place.run(t, "site.yml", "--check", "--diff")
			again.want(t, "the second plan", 0)
			same(t, "the second plan changed the host", state, h.snapshot(t, true, states))
			for _, r := range append(again.results(t), place.run(t, "site.yml").results(t)...) {
				if r.Status == "changed" {
					t.Errorf("%s: there is something left to change", r.Name)
				}
			}
			state = h.snapshot(t, false, "/etc /srv/proof /home")
			if done == nil {
				done = state
			}
			same(t, "the host is not what the first place made it", done, state)
		})
	}
	ssh(nil)(t, "undo.yml").want(t, "undo", 0)
}

// inProcess runs orch on the host itself, as root.
func (h labHost) inProcess(t *testing.T, dir string) func(t *testing.T, args ...string) ran {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	const place = "/tmp/orch-proof" // none of the host's state
	h.sh(t, "rm -rf "+place+"; mkdir "+place)
	t.Cleanup(func() { _ = exec.Command("docker", "exec", h.name, "rm", "-rf", place).Run() })
	for from, to := range map[string]string{self: "orch", dir: "project"} {
		if err := copyInto(h.name, from, place+"/"+to); err != nil {
			t.Fatal(err)
		}
	}
	return func(t *testing.T, args ...string) ran {
		t.Helper()
		line := append([]string{
			"exec", "-w", place + "/project", "-e", "HOME=" + place, "-e", "NO_COLOR=1", h.name, place + "/orch",
			"run", "-i", "here,", "-c", "local", "--output", "json",
		}, args...)
		cmd := exec.CommandContext(t.Context(), "docker", line...)
		var out, errOut bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &errOut
		_ = cmd.Run() // the code says it
		return ran{cmd.ProcessState.ExitCode(), out.String(), errOut.String()}
	}
}

// copyInto copies a file or folder into a container's memory file system, which docker cp
// does not see.
func copyInto(name, from, to string) error {
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		f, err := os.Open(from)
		if err != nil {
			return err
		}
		defer f.Close()
		cmd := exec.Command("docker", "exec", "-i", name, "sh", "-c", "cat >"+to+" && chmod 755 "+to)
		cmd.Stdin = f
		return cmd.Run()
	}
	pr, pw := io.Pipe()
	go func() {
		tw := tar.NewWriter(pw)
		pw.CloseWithError(errors.Join(tw.AddFS(os.DirFS(from)), tw.Close()))
	}()
	cmd := exec.Command("docker", "exec", "-i", name, "sh", "-c", "mkdir "+to+" && tar -xf - -C "+to)
	cmd.Stdin = pr
	return cmd.Run()
}

// TestAsAnsibleInTheLab runs the same playbook with real ansible-core and with orch on one
// host, undone in between, and compares what became of the host and of each task.
func TestAsAnsibleInTheLab(t *testing.T) {
	h := lab(t, "web1")
	program := realAnsible(t)
	dir := proofProject(t)
	ours := func(args ...string) ran {
		return orch(t, dir, nil, append([]string{"run", "-i", h.inventory(), "-l", h.name, "-T", "60", "--output", "json"}, args...)...)
	}
	ours("undo.yml").want(t, "undo", 0)
	defer func() { ours("undo.yml").want(t, "undo", 0) }()
	const trees = "/srv/proof /home/prover /etc/systemd /etc/cron.d /etc/apt /etc/passwd /etc/group"
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	theirs := func() []taskResult {
		cmd := exec.CommandContext(ctx, program, "-i", h.inventory(), "-l", h.name, "site.yml")
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "HOME="+t.TempDir(), "ANSIBLE_STDOUT_CALLBACK=json", "ANSIBLE_PIPELINING=1",
			"ANSIBLE_DEPRECATION_WARNINGS=0", "ANSIBLE_PYTHON_INTERPRETER=/usr/bin/python3", "ANSIBLE_NOCOLOR=1")
		var errOut bytes.Buffer
		cmd.Stderr = &errOut
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("ansible-playbook: %v\n%s\n%s", err, out, errOut.String())
		}
		return ansibleResults(t, out, h.name)
	}
	wantFirst := theirs()
	wantState := h.snapshot(t, false, trees)
	wantAgain := ours("site.yml", "--check").results(t) // Ansible's work looks done to orch
	for _, r := range wantAgain {
		if r.Status == "changed" {
			t.Errorf("%s: done by Ansible, and orch would change it", r.Name)
		}
	}
	ours("undo.yml").want(t, "undo", 0)
	first := ours("site.yml")
	first.want(t, "orch", 0)
	compareTasks(t, wantFirst, first.results(t))
	same(t, "the host differs from what Ansible makes of it (- Ansible, + orch)", wantState, h.snapshot(t, false, trees))
	for _, r := range theirs() {
		if r.Status == "changed" {
			t.Errorf("%s: done by orch, and Ansible changes it", r.Name)
		}
	}
}

// realAnsible finds Ansible's own ansible-playbook, a script: before it in the PATH of these
// tests is orch under that name.
func realAnsible(t *testing.T) string {
	t.Helper()
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		path := filepath.Join(dir, "ansible-playbook")
		if text, err := os.ReadFile(path); err == nil && bytes.HasPrefix(text, []byte("#!")) {
			return path
		}
	}
	t.Skip("no ansible-playbook here to compare with")
	return ""
}

func compareTasks(t *testing.T, want, got []taskResult) {
	t.Helper()
	text := func(list []taskResult) string {
		var b strings.Builder
		for _, r := range list {
			fmt.Fprintln(&b, r.Name, r.Status)
		}
		return b.String()
	}
	w, g := strings.Split(text(want), "\n"), strings.Split(text(got), "\n")
	for i := range max(len(w), len(g)) {
		a, b := "(nothing)", "(nothing)"
		if i < len(w) {
			a = w[i]
		}
		if i < len(g) {
			b = g[i]
		}
		if a != b {
			t.Errorf("task %d: Ansible says %q, orch %q", i+1, a, b)
		}
	}
}

// ansibleResults reads the output of Ansible's json callback.
func ansibleResults(t *testing.T, out []byte, host string) []taskResult {
	t.Helper()
	type result struct{ Changed, Skipped, Failed bool }
	var doc struct {
		Plays []struct {
			Tasks []struct {
				Task  struct{ Name string }
				Hosts map[string]result
			}
		}
	}
	if i := bytes.IndexByte(out, '{'); i > 0 {
		out = out[i:]
	}
	if err := json.Unmarshal(out, &doc); err != nil {
		t.Fatalf("ansible's json: %v", err)
	}
	var list []taskResult
	for _, p := range doc.Plays {
		for _, task := range p.Tasks {
			r, ok := task.Hosts[host]
			if !ok {
				continue
			}
			status := "ok"
			switch {
			case r.Failed:
				status = "failed"
			case r.Skipped:
				status = "skipped"
			case r.Changed:
				status = "changed"
			}
			list = append(list, taskResult{task.Task.Name, status})
		}
	}
	return list
}
