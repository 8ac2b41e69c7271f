// Package local starts processes on this machine.
package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/creack/pty"

	"orch/transport"
)

// New returns a connection to this machine. Processes run in sessions of their own: an
// interrupt at the terminal does not reach them, and cancelling kills all of one.
func New() transport.Conn { return conn{} }

type conn struct{}

// Interface guards.
var (
	_ transport.Filer  = conn{}
	_ transport.Dialer = conn{}
)

// String implements transport.Conn.
func (conn) String() string { return "local" }

func (conn) Close() error { return nil }

// Dial implements transport.Dialer.
func (conn) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, network, addr)
}

// Put implements transport.Filer.
func (conn) Put(_ context.Context, path string, mode uint32, r io.Reader) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".orch-")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = io.Copy(f, r)
	if err := errors.Join(err, f.Chmod(fs.FileMode(mode)), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// Get implements transport.Filer.
func (conn) Get(_ context.Context, path string, w io.Writer) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(w, f)
	return err
}

// Start implements transport.Conn.
func (conn) Start(ctx context.Context, c transport.Cmd) (transport.Process, error) {
	if len(c.Argv) == 0 {
		return nil, errors.New("no command to start")
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	argv := c.Argv
	if c.Umask != nil {
		// A process has one umask, which its threads share: only a child can have another.
		if _, err := lookPath(c); err != nil {
			return nil, err
		}
		argv = append([]string{"/bin/sh", "-c", fmt.Sprintf(`umask %04o; exec "$@"`, *c.Umask), "sh"}, argv...)
	}
	c.Argv = argv
	path, err := lookPath(c)
	if err != nil {
		return nil, err
	}
	cmd := &exec.Cmd{Path: path, Args: argv, Dir: c.Dir, Stdout: c.Stdout, Stderr: c.Stderr}
	cmd.Env = append(os.Environ(), c.Env...)
	if c.TTY {
		return startTTY(ctx, cmd, c)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	p := &process{ctx: ctx, cmd: cmd, done: make(chan struct{})}
	if c.Stdin != nil {
		// Not cmd.Stdin: Wait would wait for a reader that never ends.
		stdin, err := cmd.StdinPipe()
		if err != nil {
			return nil, err
		}
		p.feed = func() {
			_, _ = io.Copy(stdin, c.Stdin) // the command may end without reading it all
			stdin.Close()
		}
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	if p.feed != nil {
		go p.feed()
	}
	go p.wait(cmd.Wait)
	go p.watch()
	return p, nil
}

// startTTY gives the command a terminal that neither echoes nor changes its output.
func startTTY(ctx context.Context, cmd *exec.Cmd, c transport.Cmd) (transport.Process, error) {
	cmd.Stdout, cmd.Stderr = nil, nil
	master, slave, err := pty.Open()
	if err != nil {
		return nil, fmt.Errorf("open a terminal: %w", err)
	}
	defer slave.Close()
	if err := quiet(slave); err != nil {
		master.Close()
		return nil, fmt.Errorf("prepare a terminal: %w", err)
	}
	cmd.Stdout, cmd.Stderr = slave, slave
	if c.Stdin != nil {
		cmd.Stdin = slave
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 1}
	if err := cmd.Start(); err != nil {
		master.Close()
		return nil, err
	}
	p := &process{ctx: ctx, cmd: cmd, done: make(chan struct{})}
	if c.Stdin != nil {
		go func() { _, _ = io.Copy(master, c.Stdin) }()
	}
	copied := make(chan struct{})
	out := c.Stdout
	if out == nil {
		out = io.Discard
	}
	go func() {
		// Reading fails with EIO when the last process has closed the terminal.
		_, _ = io.Copy(out, master)
		close(copied)
	}()
	go p.wait(func() error {
		err := cmd.Wait()
		select {
		case <-copied:
		case <-ctx.Done():
		}
		master.Close()
		return err
	})
	go p.watch()
	return p, nil
}

type process struct {
	ctx  context.Context
	cmd  *exec.Cmd
	feed func()
	done chan struct{}
	exit int
	err  error
}

// wait collects the end of the process.
func (p *process) wait(wait func() error) {
	err := wait()
	var ended *exec.ExitError
	switch status, _ := p.cmd.ProcessState.Sys().(syscall.WaitStatus); {
	case p.ctx.Err() != nil:
		p.exit, p.err = -1, p.ctx.Err()
	case status.Signaled():
		p.exit = 128 + int(status.Signal())
	case err == nil || errors.As(err, &ended):
		p.exit = p.cmd.ProcessState.ExitCode()
	default:
		p.err = err
	}
	close(p.done)
}

// watch kills the session when the context ends. Its leader may be gone while others
// live on: they are in its group, unless they made one of their own.
func (p *process) watch() {
	select {
	case <-p.done:
		return
	case <-p.ctx.Done():
	}
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) // it may be gone, or another user's
}

// Wait implements transport.Process.
func (p *process) Wait() (int, error) {
	select {
	case <-p.done:
	case <-p.ctx.Done():
		// Something that escaped the group may hold the output open.
		select {
		case <-p.done:
		case <-time.After(2 * time.Second):
			return -1, p.ctx.Err()
		}
	}
	return p.exit, p.err
}

// lookPath finds a program in the PATH the command will have.
func lookPath(c transport.Cmd) (string, error) {
	name := c.Argv[0]
	if strings.Contains(name, "/") {
		path := name
		if !filepath.IsAbs(path) && c.Dir != "" {
			path = filepath.Join(c.Dir, path)
		}
		_, err := os.Stat(path)
		return name, err
	}
	dirs := os.Getenv("PATH")
	for _, pair := range c.Env {
		if path, ok := strings.CutPrefix(pair, "PATH="); ok {
			dirs = path
		}
	}
	for _, dir := range filepath.SplitList(dirs) {
		path := filepath.Join(dir, name)
		if st, err := os.Stat(path); err == nil && st.Mode().IsRegular() && st.Mode()&0o111 != 0 {
			return path, nil
		}
	}
	return "", &fs.PathError{Op: "exec", Path: name, Err: fs.ErrNotExist}
}
