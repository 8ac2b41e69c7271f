package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"orch/transport/transporttest"
)

// write makes the files of a project in a folder of its own.
func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// running starts orch and returns once a file exists that a task of its makes. wait
// returns how it ended.
func running(t *testing.T, dir string, exists func() bool, args ...string) (cmd *exec.Cmd, wait func() ran) {
	t.Helper()
	cmd = orchCmd(t, dir, nil, args...)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	wait = func() ran {
		t.Helper()
		select {
		case <-done:
		case <-time.After(2 * time.Minute):
			_ = cmd.Process.Kill()
			t.Fatalf("orch hangs:\n%s\n%s", out.String(), errOut.String())
		}
		return ran{cmd.ProcessState.ExitCode(), out.String(), errOut.String()}
	}
	for range 1200 {
		if exists() {
			return cmd, wait
		}
		select {
		case err := <-done:
			t.Fatalf("orch ended before its task began: %v\n%s\n%s", err, out.String(), errOut.String())
		case <-time.After(50 * time.Millisecond):
		}
	}
	_ = cmd.Process.Kill()
	t.Fatalf("the task does not begin\n%s\n%s", out.String(), errOut.String())
	return nil, nil
}

func there(path string) func() bool {
	return func() bool {
		_, err := os.Stat(path)
		return err == nil
	}
}

// contains fails the test for each text that is missing.
func (r ran) contains(t *testing.T, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(r.out+r.err, text) {
			t.Errorf("%q is not said:\n%s\n%s", text, r.out, r.err)
		}
	}
}

// sshdInventory is a host named far that is sshd on loopback, and one named near that is
// this machine.
func sshdInventory(s *transporttest.SSHD, port int) string {
	return fmt.Sprintf("far ansible_host=127.0.0.1 ansible_port=%d ansible_user=%s ansible_ssh_private_key_file=%s "+
		"ansible_ssh_common_args=\"-F none -o GlobalKnownHostsFile=none -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o ServerAliveInterval=1 -o ServerAliveCountMax=2\"\n"+
		"near ansible_connection=local\n", port, s.User, s.KeyFile)
}

const twoTasks = `
- hosts: all
  gather_facts: false
  tasks:
    - {name: long, shell: "if [ $0 = sh ]; then :; fi; %s"}
    - {name: after, command: echo went on}
`

// A host that dies in the middle of a task is unreachable, nobody knows what became of
// the task, and the other hosts go on.
func TestServerKilledInATask(t *testing.T) {
	r := signalled(t, syscall.SIGKILL)
	r.contains(t, "UNREACHABLE far: ssh ", "outcome unknown", "near  ok=2")
}

// A host that freezes is noticed by keepalives.
func TestServerFrozenInATask(t *testing.T) {
	r := signalled(t, syscall.SIGSTOP)
	r.contains(t, "UNREACHABLE far: ssh ", "keepalive", "outcome unknown", "near  ok=2")
}

// signalled runs twoTasks and sends sig to the server's sessions in the middle of the
// first; the run has to end with 4.
func signalled(t *testing.T, sig syscall.Signal) ran {
	t.Helper()
	s := transporttest.Sshd(t)
	flag := filepath.Join(t.TempDir(), "begun")
	dir := write(t, map[string]string{
		"hosts":    sshdInventory(s, s.Port),
		"site.yml": fmt.Sprintf(twoTasks, "[ {{ inventory_hostname }} = near ] || { touch "+flag+"; sleep 60; }"),
	})
	_, wait := running(t, dir, there(flag), "run", "site.yml", "-i", "hosts")
	for _, pid := range s.Children(t) {
		_ = syscall.Kill(pid, sig)
		t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGKILL) })
	}
	r := wait()
	r.want(t, "the run", 4)
	return r
}

// TestConnectionCut cuts the connection after so many bytes from the host: in the key
// exchange, in the upload, between frames, in a frame. A host is then unreachable, or the
// task was done before; nothing hangs, nothing is orch's own trouble, and what was written
// is whole or not there.
func TestConnectionCut(t *testing.T) {
	s := transporttest.Sshd(t)
	for _, after := range []int64{0, 500, 2_000, 3_500, 5_000, 7_000, 9_000, 12_000, 20_000} {
		t.Run(fmt.Sprint(after), func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { l.Close() })
			var cut atomic.Bool
			go cutting(l, s.Addr, after, &cut)
			made := filepath.Join(t.TempDir(), "made")
			content := strings.Repeat("all of it\n", 20_000)
			dir := write(t, map[string]string{
				"hosts": sshdInventory(s, l.Addr().(*net.TCPAddr).Port), "blob": content,
				"site.yml": "- hosts: far\n  gather_facts: false\n  tasks:\n    - command: echo first\n    - copy: {src: blob, dest: " + made + "}\n    - command: echo last\n",
			})
			r := orch(t, dir, nil, "run", "site.yml", "-i", "hosts")
			switch {
			case r.code == 4:
				r.contains(t, "UNREACHABLE far: ssh ")
			case r.code != 0:
				t.Errorf("the run ended with %d\n%s\n%s", r.code, r.out, r.err)
			default: // uncut, or cut while it said goodbye: everything was done
				if _, err := os.Stat(made); err != nil {
					t.Errorf("the run ended well (cut: %v) without its work: %v", cut.Load(), err)
				}
			}
			if got, err := os.ReadFile(made); err == nil && string(got) != content {
				t.Errorf("%d of %d bytes were left behind", len(got), len(content))
			}
		})
	}
}

// cutting relays connections to addr and breaks each after so many bytes from there.
func cutting(l net.Listener, addr string, after int64, cut *atomic.Bool) {
	for {
		from, err := l.Accept()
		if err != nil {
			return
		}
		to, err := net.Dial("tcp", addr)
		if err != nil {
			from.Close()
			continue
		}
		go func() { _, _ = io.Copy(to, from); to.Close() }()
		go func() {
			if n, _ := io.CopyN(from, to, after); n == after {
				cut.Store(true)
			}
			from.Close()
			to.Close()
		}()
	}
}

// Hosts that are down or refuse are unreachable with their reason; the others go on.
func TestHostsThatDoNotAnswer(t *testing.T) {
	h := lab(t, "new1")
	addr, err := os.ReadFile(filepath.Join(h.state, "addr", "new1"))
	if err != nil {
		t.Fatal(err)
	}
	subnet := strings.TrimSpace(string(addr))
	subnet = subnet[:strings.LastIndexByte(subnet, '.')]
	dir := write(t, map[string]string{
		"hosts":    fmt.Sprintf("down ansible_host=%s.99\nrefuses ansible_host=%s ansible_port=1\nnear ansible_connection=local\n", subnet, strings.TrimSpace(string(addr))),
		"site.yml": "- hosts: all\n  gather_facts: false\n  tasks:\n    - command: echo went on\n    - command: echo went on\n",
	})
	r := orch(t, dir, nil, "run", "site.yml", "-i", "hosts", "-T", "2")
	r.want(t, "the run", 4)
	r.contains(t, "UNREACHABLE refuses: ssh ", "connection refused", "UNREACHABLE down: ssh ", "near     ok=2")
	if !strings.Contains(r.out, "no answer within 2s") && !strings.Contains(r.out, "no route to host") {
		t.Errorf("why the host is down is not said:\n%s", r.out)
	}
}

// A full disk fails the task with the reason, and leaves what was there.
func TestDiskFullWhileCopying(t *testing.T) {
	h := lab(t, "new1")
	h.sh(t, "mkdir -p /mnt/small && mount -t tmpfs -o size=1m none /mnt/small && echo old >/mnt/small/file")
	t.Cleanup(func() { h.sh(t, "umount /mnt/small") })
	dir := write(t, map[string]string{
		"big":      strings.Repeat("x", 3<<20),
		"site.yml": "- hosts: all\n  become: true\n  gather_facts: false\n  tasks:\n    - copy: {src: big, dest: /mnt/small/file}\n",
	})
	for _, env := range [][]string{nil, {noHelper + "=1"}} {
		r := orch(t, dir, env, "run", "site.yml", "-i", h.inventory(), "-l", h.name, "-T", "60")
		r.want(t, "the run", 2)
		if text := strings.ToLower(r.out); !strings.Contains(text, "no space left on device") {
			t.Errorf("the reason is not said:\n%s", r.out)
		}
		if got := h.sh(t, "cat /mnt/small/file; ls -A /mnt/small"); got != "old\nfile\n" {
			t.Errorf("the host has %q", got)
		}
	}
}

// The first Ctrl-C starts nothing new and gives what runs ten seconds; then its process
// group is killed on the host. The second ends all at once.
func TestInterrupt(t *testing.T) {
	s := transporttest.Sshd(t)
	for _, c := range []struct {
		name   string
		times  int
		from   time.Duration
		before time.Duration
	}{{"once", 1, 9 * time.Second, 40 * time.Second}, {"twice", 2, 0, 8 * time.Second}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			work := t.TempDir()
			flag, next := filepath.Join(work, "begun"), filepath.Join(work, "next")
			dir := write(t, map[string]string{
				"hosts": sshdInventory(s, s.Port),
				"site.yml": fmt.Sprintf("- hosts: far\n  gather_facts: false\n  tasks:\n    - shell: sleep 300 & echo $! >%s.part; mv %s.part %s; wait\n    - file: {path: %s, state: touch}\n",
					flag, flag, flag, next),
			})
			cmd, wait := running(t, dir, there(flag), "run", "site.yml", "-i", "hosts")
			start := time.Now()
			for range c.times {
				if err := cmd.Process.Signal(os.Interrupt); err != nil {
					t.Fatal(err)
				}
				time.Sleep(300 * time.Millisecond)
			}
			r := wait()
			took := time.Since(start)
			r.want(t, "the run", 130)
			r.contains(t, "interrupted: no new task begins, and what runs has 10s to end; Ctrl-C again ends it at once\n", "interrupted: what runs is ended now\n", "RECAP")
			if took < c.from || took > c.before {
				t.Errorf("it took %s", took)
			}
			pid, err := os.ReadFile(flag)
			if err != nil {
				t.Fatal(err)
			}
			gone := false
			for range 100 {
				stat, err := os.ReadFile("/proc/" + strings.TrimSpace(string(pid)) + "/stat")
				if gone = err != nil || strings.Contains(string(stat), ") Z "); gone {
					break
				}
				time.Sleep(50 * time.Millisecond)
			}
			if !gone {
				t.Error("the command still runs on the host")
			}
			if there(next)() {
				t.Error("another task was begun")
			}
		})
	}
}
