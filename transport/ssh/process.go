package ssh

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
	"golang.org/x/sync/errgroup"

	"orch/transport"
)

// Start implements transport.Conn. Every command goes through transport.Launch, whatever
// the login shell.
func (c *Conn) Start(ctx context.Context, cmd transport.Cmd) (transport.Process, error) {
	if len(cmd.Argv) == 0 {
		return nil, errors.New("no command to start")
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	session, l, err := c.session(ctx)
	if err != nil {
		return nil, err
	}
	p := &process{conn: c, ctx: ctx, session: session, launch: transport.NewLaunch(cmd), done: make(chan struct{})}
	if err := p.start(l, cmd.TTY); err != nil {
		session.Close()
		c.release(l)
		return nil, err
	}
	go p.wait(l)
	go p.watch()
	return p, nil
}

type process struct {
	conn    *Conn
	ctx     context.Context
	session *ssh.Session
	launch  *transport.Launch
	output  errgroup.Group // reads what the command says
	done    chan struct{}
	exit    int
	err     error
}

func (p *process) start(l *link, tty bool) error {
	s := p.session
	if l.agent {
		if err := agent.RequestAgentForwarding(s); err != nil {
			return fmt.Errorf("%s: forward the agent: %w", p.conn, err)
		}
	}
	if tty {
		// No echo, and nothing done to the output.
		modes := ssh.TerminalModes{ssh.ECHO: 0, ssh.OPOST: 0, ssh.TTY_OP_ISPEED: 38400, ssh.TTY_OP_OSPEED: 38400}
		if err := s.RequestPty("dumb", 24, 80, modes); err != nil {
			return fmt.Errorf("%s: the host gives no terminal: %w", p.conn, err)
		}
	}
	stdin, err := s.StdinPipe()
	if err != nil {
		return p.conn.lost(err, false)
	}
	stdout, err := s.StdoutPipe()
	if err != nil {
		return p.conn.lost(err, false)
	}
	stderr, err := s.StderrPipe()
	if err != nil {
		return p.conn.lost(err, false)
	}
	_, err = await(p.ctx, l, func() (struct{}, error) { return struct{}{}, s.Start(p.launch.Line) }, func(struct{}) {})
	switch {
	case p.ctx.Err() != nil:
		return p.ctx.Err()
	case err != nil && strings.Contains(err.Error(), "exec failed"), err != nil && strings.Contains(err.Error(), "command"):
		return fmt.Errorf("%s: the host runs no commands: %w", p.conn, err)
	case err != nil:
		return p.conn.lost(err, true)
	}
	p.output.Go(func() error { return pump(p.launch.Stdout, stdout) })
	p.output.Go(func() error { return pump(p.launch.Stderr, stderr) })
	if p.launch.Stdin == nil {
		_ = stdin.Close() // a lost connection shows in Wait
		return nil
	}
	go func() {
		_ = pump(stdin, p.launch.Stdin) // the command may end without reading it all
		if !tty {
			_ = stdin.Close()
		}
	}()
	return nil
}

// pump copies like io.Copy, whose buffers of 32 KiB would be most of what a connection
// costs: a helper says a little at a time.
func pump(w io.Writer, r io.Reader) error {
	const least, most = 2 << 10, 32 << 10
	buf := make([]byte, least)
	for {
		n, err := r.Read(buf)
		if n > 0 {
			if _, err := w.Write(buf[:n]); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case n == len(buf) && n < most:
			buf = make([]byte, 2*n)
		case n <= least && len(buf) > least:
			buf = make([]byte, least) // the room of one large answer is not kept for every host
		}
	}
}

// wait collects the end of the command.
func (p *process) wait(l *link) {
	err := p.session.Wait()
	if said := p.output.Wait(); err == nil {
		err = said
	}
	var ended *ssh.ExitError
	switch {
	case p.ctx.Err() != nil:
		p.exit, p.err = -1, p.ctx.Err()
	case err == nil:
		p.exit, p.err = p.launch.Result(0)
	case errors.As(err, &ended):
		p.exit, p.err = p.launch.Result(ended.ExitStatus())
	default:
		// No exit status: the connection ended, or the session was closed under the command.
		var missing *ssh.ExitMissingError
		if errors.As(err, &missing) || errors.Is(err, io.EOF) {
			err = errors.New("the connection ended before the command did")
		}
		p.conn.dead(l)
		p.exit, p.err = -1, p.conn.lost(err, true)
	}
	p.session.Close()
	p.conn.release(l)
	close(p.done)
}

// watch kills the remote process group when the context ends.
func (p *process) watch() {
	select {
	case <-p.done:
		return
	case <-p.ctx.Done():
	}
	soon, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	group := p.launch.Group(soon)
	cancel()
	if group != "" && p.conn.Err() == nil {
		if transport.Kill(p.conn, group) == nil {
			select {
			case <-p.done:
				return
			case <-time.After(2 * time.Second):
			}
		}
	}
	p.session.Close()
}

// Wait implements transport.Process.
func (p *process) Wait() (int, error) {
	<-p.done
	return p.exit, p.err
}

// tail keeps the end of what a process says.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

// Write implements io.Writer.
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p...)
	if len(t.buf) > 4096 {
		t.buf = append(t.buf[:0], t.buf[len(t.buf)-2048:]...)
	}
	return len(p), nil
}

// String is the end of it, trimmed.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(string(t.buf))
}
