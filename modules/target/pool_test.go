package target

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"orch/modules/host"
	"orch/transport"
	"orch/transport/transporttest"
)

// sshdPool is a pool with the helper of this tree and a host that is sshd on loopback.
func sshdPool(t *testing.T, lines ...string) (*Pool, *transporttest.SSHD, HostSpec) {
	t.Helper()
	helper := testHelper(t)
	t.Setenv("SSH_AUTH_SOCK", "")
	s := transporttest.Sshd(t, lines...)
	t.Setenv("HOME", s.Dir) // where that sshd's logins are at home
	p := NewPool(PoolConfig{Helper: helper, Warn: func(h, m string) { t.Errorf("%s: %s", h, m) }})
	t.Cleanup(func() { _ = p.Close() }) // some tests break what it holds
	return p, s, HostSpec{
		Name: "box", Address: s.Host, Port: s.Port, User: s.User, KeyFile: s.KeyFile,
		CommonArgs: "-F none -o UserKnownHostsFile='" + s.KnownHosts + "'",
	}
}

func TestOneConnectionOneHelper(t *testing.T) {
	p, s, spec := sshdPool(t)
	first := shellOut(t, p, spec, "echo $PPID")
	done := make(chan string)
	for range 8 {
		go func() {
			res, err := runShell(t.Context(), p, spec, "echo $PPID", nil)
			if err != nil {
				t.Error(err)
			}
			done <- string(res.Out)
		}()
	}
	for range 8 {
		if out := <-done; !strings.Contains(out, `"stdout":"`+first+`"`) {
			t.Errorf("another helper: %s, want parent %s", out, first)
		}
	}
	// A connection is a process of sshd's, or two with privilege separation.
	if n := len(s.Children(t)); n > 2 {
		t.Errorf("%d processes of sshd for one host", n)
	}
	if err := p.Reset("box"); err != nil {
		t.Error(err)
	}
	if again := shellOut(t, p, spec, "echo $PPID"); again == first {
		t.Error("reset_connection kept the helper")
	}
	if err := p.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	for range 100 {
		if len(s.Children(t)) == 0 {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Errorf("sshd still serves %d", len(s.Children(t)))
}

func TestWatchedLines(t *testing.T) {
	p, _, spec := sshdPool(t)
	place, err := p.Connect(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	first := make(chan string, 1)
	end := filepath.Join(t.TempDir(), "end")
	go func() {
		_, _ = place.Run(t.Context(), Request{
			Module: "ansible.builtin.shell", Args: &host.Shell{Cmd: "echo now; for i in $(seq 200); do [ -e " + end + " ] && exit; sleep 0.1; done"},
			Emit: func(l string) {
				select {
				case first <- l:
				default:
				}
			},
		})
	}()
	select {
	case l := <-first:
		if l != "now" {
			t.Errorf("watched %q", l)
		}
	case <-time.After(20 * time.Second):
		t.Error("a line was not seen while the command ran")
	}
	write(t, end, "", 0o600)
}

// busy starts a long command over the pool and calls then when it runs.
func busy(t *testing.T, p *Pool, spec HostSpec, then func()) error {
	t.Helper()
	flag := filepath.Join(t.TempDir(), "runs")
	done := make(chan error, 1)
	go func() {
		_, err := runShell(context.Background(), p, spec, "touch "+flag+"; sleep 40", nil)
		done <- err
	}()
	for range 600 {
		if _, err := os.Stat(flag); err == nil {
			then()
			return <-done
		}
		select {
		case err := <-done:
			t.Fatalf("the command ended: %v", err)
		case <-time.After(50 * time.Millisecond):
		}
	}
	t.Fatal("the command does not start")
	return nil
}

// unknown checks that an error is a lost connection whose outcome is unknown, and that the
// pool connects again for the next task.
func unknown(t *testing.T, p *Pool, spec HostSpec, err error) {
	t.Helper()
	var lost *transport.Lost
	if !errors.As(err, &lost) || !lost.Started || !strings.Contains(err.Error(), "outcome unknown") {
		t.Fatalf("got %v, want a *transport.Lost whose outcome is unknown", err)
	}
	if strings.Count(err.Error(), lost.Host) != 1 {
		t.Errorf("the host is not named once: %v", err)
	}
	if got := shellOut(t, p, spec, "echo back"); got != "back" {
		t.Errorf("the next task: %q", got)
	}
}

func TestSshdKilledDuringATask(t *testing.T) {
	p, s, spec := sshdPool(t)
	unknown(t, p, spec, busy(t, p, spec, func() {
		for _, pid := range s.Children(t) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}))
}

func TestHostFrozenDuringATask(t *testing.T) {
	p, s, spec := sshdPool(t)
	spec.ExtraArgs = "-o ServerAliveInterval=1 -o ServerAliveCountMax=2"
	unknown(t, p, spec, busy(t, p, spec, func() {
		for _, pid := range s.Children(t) {
			_ = syscall.Kill(pid, syscall.SIGSTOP)
			t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGKILL) })
		}
	}))
}

func TestHelperKilledDuringATask(t *testing.T) {
	p, _, spec := sshdPool(t)
	unknown(t, p, spec, busy(t, p, spec, func() { killHelpers(t) }))
}

func TestConnectionLostBetweenTasks(t *testing.T) {
	p, s, spec := sshdPool(t)
	shellSpec := spec
	shellSpec.NoHelper = true
	for _, sp := range []HostSpec{spec, shellSpec} {
		_ = shellOut(t, p, sp, "true")
	}
	for _, pid := range s.Children(t) {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	conn, err := p.Conn(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	for range 100 { // the end is noticed, not foreseen
		if checker := conn.(transport.Checker); checker.Err() != nil {
			break
		}
		if conn, err = p.Conn(t.Context(), spec); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Millisecond)
	}
	for _, sp := range []HostSpec{spec, shellSpec} {
		if got := shellOut(t, p, sp, "echo again"); got != "again" {
			t.Errorf("got %q", got)
		}
	}
}

func TestHelperTamperedWithBetweenRuns(t *testing.T) {
	p, s, spec := sshdPool(t)
	_ = shellOut(t, p, spec, "true")
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	files, _ := filepath.Glob(s.Dir + "/.cache/orch/helper-*")
	if len(files) != 1 {
		t.Fatalf("helpers: %q", files)
	}
	evil := filepath.Join(t.TempDir(), "evil")
	_ = os.Remove(files[0])
	write(t, files[0], "#!/bin/sh\ntouch "+evil+"\necho orch-helper ready\nsleep 5\n", 0o700)
	if got := shellOut(t, p, spec, "echo fine"); got != "fine" {
		t.Errorf("got %q", got)
	}
	if _, err := os.Stat(evil); err == nil {
		t.Error("a helper that was tampered with was started")
	}
}

func TestDialFromTheHost(t *testing.T) {
	p, s, spec := sshdPool(t)
	place, err := p.Connect(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := place.Dial(t.Context(), "tcp", s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	greeting := make([]byte, 4)
	if _, err := conn.Read(greeting); err != nil || string(greeting) != "SSH-" {
		t.Errorf("%q, %v", greeting, err)
	}
}

func TestUnreachable(t *testing.T) {
	p := NewPool(PoolConfig{})
	defer p.Close()
	_, err := p.Connect(t.Context(), HostSpec{Name: "nowhere", Address: "127.0.0.1", Port: 1, User: "me", CommonArgs: "-F none"})
	var lost *transport.Lost
	if !errors.As(err, &lost) || lost.Started || !strings.Contains(err.Error(), "connection refused") {
		t.Error(err)
	}
}
