package ssh

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// dialNetwork makes the connection ssh is spoken over: direct, over a jump host, or the
// pipes of a proxy command.
func (c *Conn) dialNetwork(ctx context.Context) (net.Conn, error) {
	t := c.target
	jump, command := t.opts.get("proxyjump"), t.opts.get("proxycommand")
	if jump != "" && !strings.EqualFold(jump, "none") {
		return c.dialJump(ctx, jump)
	}
	if command != "" && !strings.EqualFold(command, "none") {
		line, err := expand(command, t.tokens())
		if err != nil {
			return nil, fmt.Errorf("%s: ProxyCommand: %w", t.opts.from("proxycommand"), err)
		}
		return dialCommand(line)
	}
	network := "tcp"
	switch family := strings.ToLower(t.opts.get("addressfamily")); family {
	case "", "any":
	case "inet":
		network = "tcp4"
	case "inet6":
		network = "tcp6"
	default:
		return nil, fmt.Errorf("%s: AddressFamily is %q: one of any, inet, inet6", t.opts.from("addressfamily"), family)
	}
	dialer := net.Dialer{KeepAlive: -1} // ours goes through the whole of ssh
	if bind := t.opts.get("bindaddress"); bind != "" && bind != "*" {
		ip := net.ParseIP(bind)
		if ip == nil {
			return nil, fmt.Errorf("%s: BindAddress %q is not an IP address", t.opts.from("bindaddress"), bind)
		}
		dialer.LocalAddr = &net.TCPAddr{IP: ip}
	}
	attempts, err := t.opts.number("connectionattempts", 1)
	if err != nil {
		return nil, err
	}
	for {
		conn, err := dialer.DialContext(ctx, network, t.addr)
		if attempts--; err == nil || attempts <= 0 {
			return conn, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(time.Second):
		}
	}
}

// dialJump goes over the last of a list of jump hosts, which goes over those before it.
func (c *Conn) dialJump(ctx context.Context, list string) (net.Conn, error) {
	t := c.target
	before, last := "", list
	if at := strings.LastIndexByte(list, ','); at >= 0 {
		before, last = list[:at], list[at+1:]
	}
	config, err := parseJump(strings.TrimSpace(last))
	if err != nil {
		return nil, fmt.Errorf("%s: ProxyJump: %w", t.opts.from("proxyjump"), err)
	}
	// As with ssh -J, a jump host has the configuration file, not the arguments, but for
	// the files that say whom to trust: a run has one set of those.
	config.Passphrase, config.Shared, config.HostKeys = t.Passphrase, t.shared, t.HostKeys
	if t.opts.file != "" {
		config.Args = append(config.Args, "-F", t.opts.file)
	}
	for _, name := range []string{"UserKnownHostsFile", "GlobalKnownHostsFile", "StrictHostKeyChecking"} {
		if v := t.opts.get(strings.ToLower(name)); v != "" && strings.HasPrefix(t.opts.from(strings.ToLower(name)), "-o") {
			config.Args = append(config.Args, "-o", name+"="+v)
		}
	}
	if before != "" {
		config.Args = append(config.Args, "-J", before)
	}
	key := fmt.Sprint(list, "\x00", config.Args, config.HostKeys)
	conn, err := t.shared.jumpHost(ctx, key, config, c.depth+1)
	if err != nil {
		return nil, fmt.Errorf("jump host %s: %w", last, err)
	}
	raw, err := conn.Dial(ctx, "tcp", t.addr)
	if err != nil {
		return nil, fmt.Errorf("from jump host %s: %w", last, err)
	}
	return raw, nil
}

// parseJump reads [user@]host[:port], or an ssh:// URL of the same.
func parseJump(text string) (Config, error) {
	var config Config
	rest := strings.TrimPrefix(text, "ssh://")
	if at := strings.LastIndexByte(rest, '@'); at >= 0 {
		config.User, rest = rest[:at], rest[at+1:]
	}
	config.Host = rest
	if host, port, err := net.SplitHostPort(rest); err == nil {
		config.Host = host
		if _, err := fmt.Sscanf(port, "%d", &config.Port); err != nil {
			return config, fmt.Errorf("%q: port %q is not a number", text, port)
		}
	}
	config.Host = strings.Trim(config.Host, "[]")
	if config.Host == "" {
		return config, fmt.Errorf("%q is not [user@]host[:port]", text)
	}
	return config, nil
}

// dialCommand speaks over the pipes of a command.
func dialCommand(line string) (net.Conn, error) {
	cmd := exec.Command("/bin/sh", "-c", "exec "+line)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	said := &tail{}
	cmd.Stderr = said
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("proxy command %q: %w", line, err)
	}
	return &commandConn{Reader: out, WriteCloser: in, cmd: cmd, said: said, line: line}, nil
}

// commandConn is a net.Conn over a process. It has no deadlines: closing it ends all.
type commandConn struct {
	io.Reader
	io.WriteCloser
	cmd  *exec.Cmd
	said *tail
	line string
	once sync.Once
}

// Read implements io.Reader.
func (c *commandConn) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	if errors.Is(err, io.EOF) {
		if said := c.said.String(); said != "" {
			return n, fmt.Errorf("proxy command %q ended: %s", c.line, said)
		}
		return n, fmt.Errorf("proxy command %q ended", c.line)
	}
	return n, err
}

func (c *commandConn) Close() (err error) {
	c.once.Do(func() {
		err = c.WriteCloser.Close()
		_ = syscall.Kill(-c.cmd.Process.Pid, syscall.SIGKILL) // it may be gone
		go func() { _ = c.cmd.Wait() }()
	})
	return err
}

func (c *commandConn) LocalAddr() net.Addr              { return pipeAddr{} }
func (c *commandConn) RemoteAddr() net.Addr             { return pipeAddr{} }
func (c *commandConn) SetDeadline(time.Time) error      { return nil }
func (c *commandConn) SetReadDeadline(time.Time) error  { return nil }
func (c *commandConn) SetWriteDeadline(time.Time) error { return nil }

type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }

// String implements net.Addr.
func (pipeAddr) String() string { return "proxy command" }
