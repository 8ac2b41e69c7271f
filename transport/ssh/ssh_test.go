package ssh_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"orch/transport"
	"orch/transport/ssh"
	"orch/transport/transporttest"
)

// alone keeps the user's own configuration, keys and agent out of the tests.
func alone(t *testing.T) string {
	t.Helper()
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("SSH_AUTH_SOCK", "")
	if err := os.Mkdir(filepath.Join(home, ".ssh"), 0o700); err != nil {
		t.Fatal(err)
	}
	return home
}

func configFor(s *transporttest.SSHD) ssh.Config {
	return ssh.Config{Host: s.Host, Port: s.Port, User: s.User, KeyFile: s.KeyFile, Args: []string{"-F", "none", "-o", "UserKnownHostsFile=" + s.KnownHosts}}
}

func dial(t *testing.T, config ssh.Config) transport.Conn {
	t.Helper()
	conn, err := ssh.Dial(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	})
	return conn
}

func output(t *testing.T, conn transport.Conn, argv ...string) string {
	t.Helper()
	out, errOut, exit, err := transporttest.Output(t.Context(), conn, transport.Cmd{Argv: argv})
	if err != nil || exit != 0 {
		t.Fatalf("%q: exit %d, %v, %s", argv, exit, err, errOut)
	}
	return out
}

func TestSuiteOnSshd(t *testing.T) {
	alone(t)
	s := transporttest.Sshd(t)
	transporttest.Run(t, transporttest.Options{}, func(t *testing.T) transport.Conn { return dialLong(t, configFor(s)) })
}

// dialLong leaves the connection open for the subtests.
func dialLong(t *testing.T, config ssh.Config) transport.Conn {
	t.Helper()
	conn, err := ssh.Dial(context.Background(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// Every login shell, and hosts that allow one session a connection.
func TestSuiteOnServers(t *testing.T) {
	alone(t)
	for _, shell := range []string{"/bin/sh", "/bin/bash", "/bin/csh", "/usr/bin/tcsh", "/usr/bin/fish", "/usr/bin/zsh"} {
		t.Run(filepath.Base(shell), func(t *testing.T) {
			if _, err := os.Stat(shell); err != nil {
				t.Skip(err)
			}
			s := (&transporttest.Server{Shell: shell, MaxSessions: 4}).Start(t)
			transporttest.Run(t, transporttest.Options{Big: 1 << 20, Starts: 20}, func(t *testing.T) transport.Conn {
				return dialLong(t, serverConfig(t, s))
			})
		})
	}
}

func serverConfig(t *testing.T, s *transporttest.Server) ssh.Config {
	t.Helper()
	host, port, err := net.SplitHostPort(s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	config := ssh.Config{Host: host, User: "any", HostKeys: "off", Args: []string{"-F", "none", "-p", port}}
	return config
}

func TestFewSessions(t *testing.T) {
	alone(t)
	s := (&transporttest.Server{MaxSessions: 1}).Start(t)
	conn := dialLong(t, serverConfig(t, s))
	ctx, cancel := context.WithCancel(t.Context())
	var procs []transport.Process
	for range 3 {
		p, err := conn.Start(ctx, transport.Cmd{Argv: []string{"sleep", "60"}})
		if err != nil {
			t.Fatal(err)
		}
		procs = append(procs, p)
	}
	if n := s.Accepted.Load(); n < 3 {
		t.Errorf("%d connections for 3 long commands on a host with one session each", n)
	}
	cancel()
	for _, p := range procs {
		if _, err := p.Wait(); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}
}

func TestNoise(t *testing.T) {
	home := alone(t)
	rc := "echo welcome to the host\necho careful >&2\n"
	if err := os.WriteFile(filepath.Join(home, ".bashrc"), []byte(rc), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("BASH_ENV", filepath.Join(home, ".bashrc"))
	s := (&transporttest.Server{Shell: "/bin/bash"}).Start(t)
	conn := dial(t, serverConfig(t, s))
	out, errOut, _, err := transporttest.Output(t.Context(), conn, transport.Cmd{Argv: []string{"sh", "-c", "echo out; echo err >&2"}})
	if err != nil || out != "out\n" || errOut != "err\n" {
		t.Errorf("stdout %q, stderr %q, %v", out, errOut, err)
	}
}

func TestNologin(t *testing.T) {
	alone(t)
	s := (&transporttest.Server{Shell: "/bin/false"}).Start(t)
	conn := dial(t, serverConfig(t, s))
	_, _, _, err := transporttest.Output(t.Context(), conn, transport.Cmd{Argv: []string{"true"}})
	if err == nil || !strings.Contains(err.Error(), "login shell ended with 1 before the command started") {
		t.Error(err)
	}
}

func TestFiles(t *testing.T) {
	alone(t)
	for name, s := range map[string]*transporttest.SSHD{
		"sftp": transporttest.Sshd(t), "cat": transporttest.Sshd(t, "Subsystem sftp /bin/false"),
	} {
		t.Run(name, func(t *testing.T) {
			conn := dial(t, configFor(s)).(transport.Filer)
			path := filepath.Join(t.TempDir(), "it's a file")
			data := strings.Repeat("binary\x00\xff\n", 100_000)
			for range 2 {
				if err := conn.Put(t.Context(), path, 0o640, strings.NewReader(data)); err != nil {
					t.Fatal(err)
				}
			}
			var got bytes.Buffer
			if err := conn.Get(t.Context(), path, &got); err != nil || got.String() != data {
				t.Errorf("%d bytes came back, %v", got.Len(), err)
			}
			if st, err := os.Stat(path); err != nil || st.Mode() != 0o640 {
				t.Errorf("%v, %v", st.Mode(), err)
			}
			if err := conn.Get(t.Context(), path+"no", io.Discard); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("a missing file: %v", err)
			}
			if err := conn.Put(t.Context(), "/no/such/dir/x", 0o600, strings.NewReader("x")); err == nil {
				t.Error("writing into a missing folder worked")
			}
			if left, _ := filepath.Glob(filepath.Dir(path) + "/*.orch-*"); left != nil {
				t.Errorf("left behind: %q", left)
			}
		})
	}
}

func TestDialFromTheHost(t *testing.T) {
	alone(t)
	s := transporttest.Sshd(t)
	conn := dial(t, configFor(s)).(transport.Dialer)
	sock := filepath.Join(t.TempDir(), "s")
	for network, addr := range map[string]string{"tcp": "127.0.0.1:0", "unix": sock} {
		l, err := net.Listen(network, addr)
		if err != nil {
			t.Fatal(err)
		}
		server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hi from "+network) })}
		go func() { _ = server.Serve(l) }()
		defer server.Close()
		client := http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return conn.Dial(ctx, network, l.Addr().String())
		}}}
		resp, err := client.Get("http://host/")
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		client.CloseIdleConnections()
		if string(body) != "hi from "+network {
			t.Errorf("%s: got %q", network, body)
		}
	}
	if _, err := conn.Dial(t.Context(), "unix", "/no/such/socket"); err == nil {
		t.Error("a missing socket was dialled")
	}
	if _, err := conn.Dial(t.Context(), "tcp", "127.0.0.1:1"); err == nil || errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("a closed port: %v", err)
	}
	never := dial(t, configFor(transporttest.Sshd(t, "AllowTcpForwarding no"))).(transport.Dialer)
	if _, err := never.Dial(t.Context(), "tcp", s.Addr); !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), "AllowTcpForwarding") {
		t.Errorf("a host that forwards nothing: %v", err)
	}
}

// A port has no owner, a socket in the file system has.
func TestDialAsAnother(t *testing.T) {
	alone(t)
	s := transporttest.Sshd(t)
	conn, err := transport.As(dial(t, configFor(s)), transport.Become{Method: "sudo"})
	if err != nil {
		t.Fatal(err)
	}
	dialer := conn.(transport.Dialer)
	if c, err := dialer.Dial(t.Context(), "tcp", s.Addr); err != nil {
		t.Error(err)
	} else {
		c.Close()
	}
	if _, err := dialer.Dial(t.Context(), "unix", "/run/any.sock"); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("a socket: %v", err)
	}
}

func TestTerminal(t *testing.T) {
	alone(t)
	conn := dial(t, configFor(transporttest.Sshd(t)))
	cmd := transport.Cmd{Argv: []string{"sh", "-c", `[ -t 1 ] && [ -t 2 ] && printf 'a\nb'; echo e >&2`}, TTY: true}
	out, _, exit, err := transporttest.Output(t.Context(), conn, cmd)
	if err != nil || exit != 0 || out != "a\nbe\n" {
		t.Errorf("%q, exit %d, %v", out, exit, err)
	}
}

func TestKilledServer(t *testing.T) {
	alone(t)
	s := transporttest.Sshd(t)
	conn := dial(t, configFor(s))
	out := &bytes.Buffer{}
	p, err := conn.Start(t.Context(), transport.Cmd{Argv: []string{"sleep", "5"}, Stdout: out})
	if err != nil {
		t.Fatal(err)
	}
	for _, pid := range s.Children(t) {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	_, err = p.Wait()
	var lost *transport.Lost
	if !errors.As(err, &lost) || !lost.Started {
		t.Fatalf("got %v, want a *transport.Lost that has started", err)
	}
	if !strings.Contains(err.Error(), "outcome unknown") || !strings.Contains(err.Error(), s.User+"@"+s.Addr) {
		t.Error(err)
	}
	_, err = conn.Start(t.Context(), transport.Cmd{Argv: []string{"true"}})
	if !errors.As(err, &lost) || lost.Started {
		t.Errorf("a Start after the loss: %v", err)
	}
	if conn.(transport.Checker).Err() == nil {
		t.Error("the connection does not know that it is gone")
	}
}

func TestFrozenServer(t *testing.T) {
	alone(t)
	s := transporttest.Sshd(t)
	config := configFor(s)
	config.Args = append(config.Args, "-o", "ServerAliveInterval=1", "-o", "ServerAliveCountMax=1")
	conn := dial(t, config)
	p, err := conn.Start(t.Context(), transport.Cmd{Argv: []string{"sleep", "30"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, pid := range s.Children(t) {
		_ = syscall.Kill(pid, syscall.SIGSTOP)
		defer func() { _ = syscall.Kill(pid, syscall.SIGKILL) }()
	}
	begin := time.Now()
	_, err = p.Wait()
	var lost *transport.Lost
	if !errors.As(err, &lost) || !lost.Started || !strings.Contains(err.Error(), "keepalive") {
		t.Errorf("got %v", err)
	}
	if took := time.Since(begin); took > 8*time.Second {
		t.Errorf("it took %v to notice", took)
	}
}

func TestSilentServer(t *testing.T) {
	alone(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	_, err = ssh.Dial(t.Context(), ssh.Config{Host: "127.0.0.1", User: "me", Args: []string{"-F", "none", "-p", port}, ConnectTimeout: 300 * time.Millisecond})
	var lost *transport.Lost
	if !errors.As(err, &lost) || !strings.Contains(err.Error(), "no answer within 300ms") {
		t.Error(err)
	}
}

func TestRefusedConnection(t *testing.T) {
	alone(t)
	_, err := ssh.Dial(t.Context(), ssh.Config{Host: "127.0.0.1", Port: 1, User: "me"})
	var lost *transport.Lost
	if !errors.As(err, &lost) || lost.Started || !strings.Contains(err.Error(), "ssh me@127.0.0.1:1: connect: ") {
		t.Error(err)
	}
}

func TestJumpHosts(t *testing.T) {
	home := alone(t)
	s, jump := transporttest.Sshd(t), transporttest.Sshd(t)
	known, err := os.ReadFile(jump.KnownHosts)
	if err != nil {
		t.Fatal(err)
	}
	conf := fmt.Sprintf("Host bastion\n HostName 127.0.0.1\n Port %d\n IdentityFile %s\n User %s\nHost *\n UserKnownHostsFile %s/.ssh/known_hosts\n", jump.Port, jump.KeyFile, jump.User, home)
	more, _ := os.ReadFile(s.KnownHosts)
	for name, text := range map[string]string{"known_hosts": string(known) + string(more), "config": conf} {
		if err := os.WriteFile(filepath.Join(home, ".ssh", name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	shared := &ssh.Shared{}
	defer shared.Close()
	config := ssh.Config{Host: s.Host, Port: s.Port, User: s.User, KeyFile: s.KeyFile, Args: []string{"-J", "bastion"}, Shared: shared}
	a, b := dial(t, config), dial(t, config)
	if got := output(t, a, "echo", "over"); got != "over\n" {
		t.Errorf("got %q", got)
	}
	if got := output(t, b, "echo", "over"); got != "over\n" {
		t.Errorf("got %q", got)
	}
	// Two processes (monitor and child) a connection, or one for root.
	if n := len(jump.Children(t)); n > 2 {
		t.Errorf("%d processes on the jump host for two connections: it must be one connection", n)
	}
	if _, err := exec.LookPath("nc"); err == nil {
		config.Args = []string{"-o", "ProxyCommand=nc %h %p"}
		if got := output(t, dial(t, config), "echo", "over"); got != "over\n" {
			t.Errorf("got %q", got)
		}
	}
	config.Args = []string{"-o", "ProxyCommand=sh -c 'echo no way >&2; exit 1'"}
	if _, err := ssh.Dial(t.Context(), config); err == nil || !strings.Contains(err.Error(), "no way") {
		t.Errorf("a failing proxy command: %v", err)
	}
}

func run(argv ...string) (string, error) {
	out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput()
	return string(out), err
}

func port(s *transporttest.SSHD) string { return fmt.Sprint(s.Port) }
