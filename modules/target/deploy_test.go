package target

import (
	"compress/gzip"
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"orch/modules"
	"orch/modules/host"
	"orch/modules/target/machine"
	"orch/transport"
	"orch/transport/local"
)

// userHome is where go keeps its caches: tests move HOME.
var userHome = os.Getenv("HOME")

// builtHelper builds the helper once for all tests of the package.
var builtHelper = sync.OnceValues(func() (path string, err error) {
	dir, err := os.MkdirTemp("", "orch-helper-test-")
	if err != nil {
		return "", err
	}
	path = filepath.Join(dir, "orch-helper")
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", path, "orch/cmd/orch-helper")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "HOME="+userHome)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return path, nil
})

func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == jobWord {
		os.Exit(machine.RunJob(os.Stdin, os.Stdout, machine.NewTable(append(host.Modules(), host.Internal()...))))
	}
	code := m.Run()
	if built.Load() {
		if path, err := builtHelper(); err == nil {
			_ = os.RemoveAll(filepath.Dir(path))
		}
	}
	os.Exit(code)
}

var built atomic.Bool

// testHelper is PoolConfig.Helper for the helper of this source tree.
func testHelper(t testing.TB) func(arch string) (string, func() (io.ReadCloser, error), error) {
	t.Helper()
	built.Store(true)
	path, err := builtHelper()
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	sum := fmt.Sprintf("%x", sha256.Sum256(program))
	return func(arch string) (string, func() (io.ReadCloser, error), error) {
		if arch != runtime.GOARCH {
			return "", nil, fs.ErrNotExist
		}
		return sum, func() (io.ReadCloser, error) { return os.Open(path) }, nil
	}
}

// counted counts the commands started over a connection.
type counted struct {
	transport.Conn
	starts atomic.Int32
}

func (c *counted) Start(ctx context.Context, cmd transport.Cmd) (transport.Process, error) {
	c.starts.Add(1)
	return c.Conn.Start(ctx, cmd)
}

// start starts the helper on this machine with tmp as remote_tmp.
func start(t *testing.T, tmp string) (*helperProcess, int, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	conn := &counted{Conn: local.New()}
	h, err := startHelper(ctx, conn, testHelper(t), tmp, nil)
	return h, int(conn.starts.Load()), err
}

func helpersIn(t *testing.T, dir string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestHelperIsPutThereOnceAndChecked(t *testing.T) {
	t.Setenv("HOME", t.TempDir())
	tmp := filepath.Join(t.TempDir(), "it's here")
	for round, c := range []struct {
		name   string
		before func(file string)
		starts int
	}{
		{"first", func(string) {}, 3},
		{"there", func(string) {}, 1},
		{"tampered with", func(f string) { appendTo(t, f, "x") }, 3},
		{"replaced", func(f string) { write(t, f, "#!/bin/sh\necho orch-helper ready\n", 0o700) }, 3},
		{"a link", func(f string) { _ = os.Rename(f, f+".moved"); _ = os.Symlink(f+".moved", f) }, 3},
		{"not executable", func(f string) { _ = os.Chmod(f, 0o600) }, 3},
		{"deleted", func(f string) { _ = os.Remove(f) }, 3},
		{"there again", func(string) {}, 1},
	} {
		if round > 0 {
			files, _ := filepath.Glob(filepath.Join(tmp, "helper-*"))
			c.before(files[0])
		}
		h, starts, err := start(t, tmp)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if err := h.close(); err != nil {
			t.Errorf("%s: close: %v", c.name, err)
		}
		if starts != c.starts {
			t.Errorf("%s: %d commands, want %d", c.name, starts, c.starts)
		}
	}
	if st, err := os.Stat(tmp); err != nil || st.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", st.Mode(), err)
	}
}

func appendTo(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
}

func TestTwoVersionsAreKept(t *testing.T) {
	t.Setenv("HOME", t.TempDir())
	tmp := t.TempDir()
	for i := range 4 {
		old := write(t, filepath.Join(tmp, fmt.Sprintf("helper-%064d", i)), "old", 0o700)
		stamp := time.Now().Add(time.Duration(i-10) * time.Hour)
		if err := os.Chtimes(old, stamp, stamp); err != nil {
			t.Fatal(err)
		}
	}
	h, _, err := start(t, tmp)
	if err != nil {
		t.Fatal(err)
	}
	defer h.close()
	if got := helpersIn(t, tmp); len(got) != 2 || !strings.HasSuffix(got[0], "3") {
		t.Errorf("kept %q, want the newest old one and this one", got)
	}
}

func TestFoldersOthersCanWriteToAreNotUsed(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	open := filepath.Join(t.TempDir(), "open")
	if err := os.Mkdir(open, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(open, 0o777); err != nil {
		t.Fatal(err)
	}
	h, _, err := start(t, open)
	if err != nil {
		t.Fatal(err)
	}
	defer h.close()
	if got := helpersIn(t, open); len(got) != 0 {
		t.Errorf("%q were put into a folder everybody can write to", got)
	}
	if got, _ := filepath.Glob(home + "/.cache/orch/helper-*"); len(got) != 1 {
		t.Errorf("in the home folder: %q", got)
	}
}

// mount makes a small file system, or skips the test.
func mount(t *testing.T, options string, flags uintptr) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", flags, options); err != nil {
		t.Skipf("no mounts here: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	return dir
}

func TestNoexecFolderIsPassedOver(t *testing.T) {
	t.Setenv("HOME", t.TempDir())
	dir := mount(t, "mode=700", syscall.MS_NOEXEC)
	h, _, err := start(t, dir)
	if err != nil {
		t.Fatal(err)
	}
	defer h.close()
	if got := helpersIn(t, dir); len(got) != 0 {
		t.Errorf("left on the noexec file system: %q", got)
	}
}

func TestFullDiskLeavesTheShell(t *testing.T) {
	dir := mount(t, "mode=700,size=64k", 0)
	t.Setenv("HOME", dir)
	_, _, err := start(t, dir)
	var none *errNoHelper
	if !errors.As(err, &none) || !strings.Contains(err.Error(), "No space left") {
		t.Errorf("got %v, want a reason to do without", err)
	}
	if got := helpersIn(t, dir); len(got) != 0 {
		t.Errorf("left on the full disk: %q", got)
	}
}

func TestNoHelperEmbedded(t *testing.T) {
	var warned []string
	p := NewPool(PoolConfig{
		Warn:   func(host, msg string) { warned = append(warned, host+": "+msg) },
		Helper: func(string) (string, func() (io.ReadCloser, error), error) { return "", nil, fs.ErrNotExist },
	})
	defer p.Close()
	if os.Getuid() != 0 {
		t.Skip("needs a user who may become another")
	}
	spec := HostSpec{Name: "here", Connection: "local", Become: transport.Become{Method: "su", User: "nobody"}}
	if got := shellOut(t, p, spec, "id -un"); got != "nobody" {
		t.Errorf("got %q", got)
	}
	_ = shellOut(t, p, spec, "true")
	if len(warned) != 1 || !strings.Contains(warned[0], "hint: make build") {
		t.Errorf("warned %q, want one hint", warned)
	}
}

// shellOut runs a command line on a host and returns its stdout.
func shellOut(t *testing.T, p *Pool, spec HostSpec, line string) string {
	t.Helper()
	res, err := runShell(t.Context(), p, spec, line, nil)
	if err != nil || res.Failure != nil {
		t.Fatalf("%s: %v, %+v", line, err, res.Failure)
	}
	_, rest, _ := strings.Cut(string(res.Out), `"stdout":"`)
	out, _, _ := strings.Cut(rest, `"`)
	return out
}

func runShell(ctx context.Context, p *Pool, spec HostSpec, line string, emit func(string)) (modules.Result, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	place, err := p.Connect(ctx, spec)
	if err != nil {
		return modules.Result{}, err
	}
	return place.Run(ctx, Request{Module: "ansible.builtin.shell", Args: &host.Shell{Cmd: line, CommandArgs: host.CommandArgs{StripEmptyEnds: true}}, Emit: emit})
}

// Root becomes root, itself and nobody: the last from a copy that nobody may run.
func TestHelperForOtherUsers(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, who may become anybody")
	}
	t.Setenv("HOME", t.TempDir())
	if shared := "/var/tmp/orch-0"; second(os.Stat(shared)) != nil {
		t.Cleanup(func() { _ = os.RemoveAll(shared) })
	}
	p := NewPool(PoolConfig{Helper: testHelper(t), Warn: func(h, m string) { t.Errorf("%s: %s", h, m) }})
	defer p.Close()
	for _, user := range []string{"root", "nobody"} {
		spec := HostSpec{Name: "here", Connection: "local", Become: transport.Become{Method: "su", User: user}}
		if got := shellOut(t, p, spec, "id -un"); got != user {
			t.Errorf("became %q, want %q", got, user)
		}
	}
}

func TestExposedCopyIsRefused(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, who may become anybody")
	}
	sum, open, err := testHelper(t)(runtime.GOARCH)
	if err != nil {
		t.Fatal(err)
	}
	// Anywhere but a test's own folder, which others may not enter.
	dir, err := os.MkdirTemp("/var/tmp", "orch-exposed-")
	if err != nil {
		t.Skip(err)
	}
	defer os.RemoveAll(dir)
	r, err := open()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	file := write(t, filepath.Join(dir, "helper-"+sum), string(text), 0o755)
	as, err := transport.As(local.New(), transport.Become{Method: "su", User: "nobody"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		dir, file fs.FileMode
		uid       string
		want      string // "" is a helper that runs
	}{
		{0o711, 0o755, "0", ""}, {0o733, 0o755, "0", "exposed"}, {0o711, 0o775, "0", "exposed"}, {0o711, 0o755, "12", "exposed"},
	} {
		_ = os.Chmod(dir, c.dir)
		_ = os.Chmod(file, c.file)
		h, answer, err := launch(t.Context(), as, []string{"/bin/sh", "-c", becomeScript, "sh", file, sum, c.uid}, nil)
		if err != nil || answer != c.want || (h != nil) != (c.want == "") {
			t.Errorf("%v: answer %q, %v", c, answer, err)
		}
		if h != nil {
			_ = h.close()
		}
	}
}

// alive says whether a process lives.
func alive(pid string) bool {
	stat, err := os.ReadFile("/proc/" + pid + "/stat")
	return err == nil && !strings.Contains(string(stat), ") Z ")
}

func gone5s(pid string) bool {
	for range 100 {
		if !alive(pid) {
			return true
		}
		time.Sleep(50 * time.Millisecond)
	}
	return false
}

// remoteOf is a helper on this machine, as a placement.
func remoteOf(t *testing.T) *remote {
	t.Helper()
	t.Setenv("HOME", t.TempDir())
	offers := newOffers()
	h, err := startHelper(t.Context(), local.New(), testHelper(t), "", offers.content)
	if err != nil {
		t.Fatal(err)
	}
	return &remote{name: "here", helper: h, offers: offers}
}

// sleeper starts a command in the helper and returns its pid and how its run ended.
func sleeper(ctx context.Context, t *testing.T, r *remote) (pid string, ended <-chan error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "pid")
	done := make(chan error, 1)
	go func() {
		_, err := r.Run(ctx, Request{Module: "ansible.builtin.shell", Args: &host.Shell{Cmd: "sleep 7235 & echo $! >" + file + ".new; mv " + file + ".new " + file + "; wait"}})
		done <- err
	}()
	for range 200 {
		if text, err := os.ReadFile(file); err == nil {
			return strings.TrimSpace(string(text)), done
		}
		select {
		case err := <-done:
			t.Fatalf("the command ended: %v", err)
		case <-time.After(50 * time.Millisecond):
		}
	}
	t.Fatal("the command does not start")
	return "", nil
}

func TestNothingStaysRunning(t *testing.T) {
	for name, end := range map[string]func(r *remote, cancel func()){
		"cancelled request": func(_ *remote, cancel func()) { cancel() },
		"closed placement":  func(r *remote, _ func()) { _ = r.Close() },
		"end of input":      func(r *remote, _ func()) { r.helper.client.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			r := remoteOf(t)
			defer r.Close()
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			pid, done := sleeper(ctx, t, r)
			end(r, cancel)
			if err := <-done; err == nil {
				t.Error("the run ended well")
			}
			if !gone5s(pid) {
				t.Errorf("process %s lives on", pid)
			}
		})
	}
}

func TestKilledHelper(t *testing.T) {
	r := remoteOf(t)
	defer r.Close()
	pid, done := sleeper(context.Background(), t, r)
	defer func() { // nobody else ends what a killed helper had started
		if n, err := strconv.Atoi(pid); err == nil {
			_ = syscall.Kill(n, syscall.SIGKILL)
		}
	}()
	killHelpers(t)
	err := <-done
	var lost *transport.Lost
	if !errors.As(err, &lost) || !lost.Started {
		t.Errorf("got %v, want a *transport.Lost that has started", err)
	}
	if _, err := r.Run(t.Context(), Request{Module: "ansible.builtin.ping", Args: &host.Ping{Data: "pong"}}); !errors.As(err, &lost) || lost.Started {
		t.Errorf("a run after the loss: %v", err)
	}
}

// killHelpers kills the helpers this test process started, directly or over sshd.
func killHelpers(t *testing.T) {
	t.Helper()
	home := os.Getenv("HOME")
	procs, _ := filepath.Glob("/proc/[0-9]*/exe")
	n := 0
	for _, exe := range procs {
		if path, err := os.Readlink(exe); err == nil && strings.HasPrefix(path, home+"/") && strings.Contains(path, "/helper-") {
			var pid int
			if _, err := fmt.Sscanf(exe, "/proc/%d/exe", &pid); err == nil {
				_ = syscall.Kill(pid, syscall.SIGKILL)
				n++
			}
		}
	}
	if n == 0 {
		t.Fatal("no helper found to kill")
	}
}

func TestBigContentIsStreamed(t *testing.T) {
	r := remoteOf(t)
	defer r.Close()
	data := strings.Repeat("0123456789abcdef", 1<<16) // 1 MiB
	dest := filepath.Join(t.TempDir(), "big")
	opened := 0
	hash := fmt.Sprintf("%x", sha1.Sum([]byte(data)))
	res, err := r.Run(t.Context(), Request{
		Module: "ansible.builtin.copy", Args: &host.Copy{Sum: hash, Bytes: int64(len(data)), Dest: dest, Force: true},
		Sources: map[string]Content{hash: {Size: int64(len(data)), Open: func() (io.ReadCloser, error) {
			opened++
			return io.NopCloser(strings.NewReader(data)), nil
		}}},
	})
	if err != nil || res.Failure != nil || !res.Changed {
		t.Fatalf("%+v, %v", res, err)
	}
	if got, _ := os.ReadFile(dest); string(got) != data {
		t.Errorf("%d bytes arrived", len(got))
	}
	res, err = r.Run(t.Context(), Request{
		Module: "ansible.builtin.copy", Args: &host.Copy{Sum: hash, Bytes: int64(len(data)), Dest: dest, Force: true},
		Sources: map[string]Content{hash: {Size: int64(len(data)), Open: func() (io.ReadCloser, error) {
			t.Error("content was asked for that is there")
			return nil, fs.ErrNotExist
		}}},
	})
	if err != nil || res.Changed || opened != 1 {
		t.Errorf("%+v, %v, opened %d times", res, err, opened)
	}
}

// TestColdStart holds the figures for the helper: size and start.
func TestColdStart(t *testing.T) {
	testHelper(t)
	path, err := builtHelper()
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer program.Close()
	size := &counter{}
	w, _ := gzip.NewWriterLevel(size, gzip.BestCompression)
	if _, err := io.Copy(w, program); err != nil {
		t.Fatal(err)
	}
	w.Close()
	if size.n > 4<<20 {
		t.Errorf("%d bytes compressed, at most 4 MiB", size.n)
	}
	best, cpu := time.Hour, time.Hour
	for range 5 {
		begin := time.Now()
		cmd := exec.Command(path)
		_ = cmd.Run() // it says how it is used
		best = min(best, time.Since(begin))
		cpu = min(cpu, cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime())
	}
	t.Logf("%d bytes compressed, start %v, of it CPU %v", size.n, best, cpu)
	// The figure is 20 ms on an idle machine; this finds what multiplies it on a busy one.
	if cpu > 60*time.Millisecond {
		t.Errorf("starting takes %v of CPU", cpu)
	}
}

func TestHelperLinksNothingOfTheController(t *testing.T) {
	cmd := exec.Command("go", "list", "-deps", "orch/cmd/orch-helper")
	cmd.Env = append(os.Environ(), "HOME="+userHome)
	deps, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, heavy := range []string{"\ngolang.org/x/crypto/ssh", "yaml", "k8s.io/", "docker", "/sftp", "orch/playbook/source", "orch/transport", "embedded"} {
		if strings.Contains(string(deps), heavy) {
			t.Errorf("the helper links %q", strings.TrimSpace(heavy))
		}
	}
}

type counter struct{ n int }

// Write implements io.Writer.
func (c *counter) Write(p []byte) (int, error) { c.n += len(p); return len(p), nil }

func TestConnectionsAreRefusedByName(t *testing.T) {
	p := NewPool(PoolConfig{})
	defer p.Close()
	for _, c := range []struct {
		spec HostSpec
		want string
	}{
		{HostSpec{Connection: "winrm"}, `connection "winrm" is not supported, one of ssh, local`},
		{HostSpec{Connection: "local", Become: transport.Become{Method: "runas"}}, `become method "runas" is not supported: one of sudo, su, doas`},
		{HostSpec{ExtraArgs: "-W host:22"}, `ssh argument "-W" is not supported`},
		{HostSpec{CommonArgs: "-o 'Fo"}, "single quote is not closed"},
		{HostSpec{ShellExecutable: "/usr/bin/fish"}, `ansible_shell_executable "/usr/bin/fish" is not a POSIX shell`},
	} {
		c.spec.Name = "h"
		_, err := p.Connect(t.Context(), c.spec)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q", c.spec, err, c.want)
		}
	}
}
