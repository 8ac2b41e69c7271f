// Package ssh connects to hosts with golang.org/x/crypto/ssh.
//
// It reads what OpenSSH's client reads (configuration, agent, keys, certificates, known
// hosts, jump hosts) and means the same by it, but starts no ssh program: a connection
// costs a key exchange, and everything after it is a channel. What of OpenSSH's
// configuration it does not understand it refuses by name.
//
// sshd allows ten sessions on a connection by default: more Starts than that wait a
// moment and then get a further connection. Cancelling kills the remote process group
// through another session, because sshd leaves processes alone when their channel is
// closed. Silence is noticed by keepalives: a frozen host is a *transport.Lost.
package ssh

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os/user"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"orch/transport"
)

// Config says how to reach a host. What it leaves open, Args say, then the configuration
// files, then OpenSSH's defaults.
type Config struct {
	Host string // an address, or a name the configuration files may know
	Port int
	User string

	Password string
	KeyFile  string // tried before the keys of the configuration

	// Args are options as ssh takes them: -o Key=value, -J, -i, -p, -F, -l …
	Args []string
	// HostKeys is "strict", "accept-new" or "off"; "" leaves it to the configuration,
	// whose default is strict. There is no asking.
	HostKeys string

	ConnectTimeout time.Duration // 0: by configuration, or 10 s

	// Passphrase asks for the passphrase of a key; nil: encrypted keys are not used.
	Passphrase func(ctx context.Context, path string) (string, error)
	// Shared is what connections have in common; nil makes one for this connection.
	Shared *Shared
}

// defaults where the configuration is silent.
const (
	connectTimeout = 10 * time.Second
	aliveInterval  = 15 * time.Second
	aliveCount     = 3
)

// target is a Config with everything resolved.
type target struct {
	Config
	opts     *options
	hostname string // what is dialled and looked up
	addr     string
	user     string
	shared   *Shared
	timeout  time.Duration
}

// String names the target in messages.
func (t *target) String() string { return "ssh " + t.user + "@" + t.addr }

// Dial connects and authenticates. Its error is a *transport.Lost that says what was
// tried; a mistake in the configuration is an error of its own.
func Dial(ctx context.Context, config Config) (transport.Conn, error) {
	return dial(ctx, config, 0)
}

// maxJumps bounds jump hosts that are reached over jump hosts.
const maxJumps = 8

func dial(ctx context.Context, config Config, depth int) (*Conn, error) {
	if depth > maxJumps {
		return nil, fmt.Errorf("ssh %s: more than %d jump hosts: does one lead to itself?", config.Host, maxJumps)
	}
	t, err := resolve(config)
	if err != nil {
		return nil, err
	}
	c := &Conn{target: t, depth: depth, changed: make(chan struct{}), ended: make(chan struct{})}
	if config.Shared == nil {
		c.owned = t.shared
	}
	l, err := c.connect(ctx)
	if err != nil {
		if c.owned != nil {
			_ = c.owned.Close() // the first error is the one to tell
		}
		return nil, err
	}
	c.links = []*link{l}
	return c, nil
}

// resolve merges the configuration, the arguments and the files.
func resolve(config Config) (*target, error) {
	if config.Host == "" || strings.HasPrefix(config.Host, "-") {
		return nil, fmt.Errorf("ssh: %q is not a host", config.Host)
	}
	t := &target{Config: config, shared: config.Shared, user: config.User}
	if t.shared == nil {
		t.shared = &Shared{}
	}
	opts, err := parseArgs(config.Args)
	if err != nil {
		return nil, fmt.Errorf("ssh %s: %w", config.Host, err)
	}
	if config.User != "" {
		opts.set("user", config.User, "the connection variables")
	}
	if config.Port != 0 {
		opts.set("port", strconv.Itoa(config.Port), "the connection variables")
	}
	if err := opts.readFiles(t.shared, config.Host); err != nil {
		return nil, fmt.Errorf("ssh %s: %w", config.Host, err)
	}
	t.opts = opts
	if t.user = opts.get("user"); t.user == "" {
		me, err := user.Current()
		if err != nil {
			return nil, fmt.Errorf("ssh %s: no user given, and this one is unknown: %w", config.Host, err)
		}
		t.user = me.Username
	}
	port := opts.get("port")
	if port == "" {
		port = "22"
	}
	if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
		return nil, fmt.Errorf("ssh %s: port %q (%s) is not a number from 1 to 65535", config.Host, port, opts.from("port"))
	}
	t.hostname = config.Host
	if name := opts.get("hostname"); name != "" {
		if t.hostname, err = expand(name, map[byte]string{'h': config.Host}); err != nil {
			return nil, fmt.Errorf("ssh %s: hostname: %w", config.Host, err)
		}
	}
	t.addr = net.JoinHostPort(t.hostname, port)
	t.timeout = config.ConnectTimeout
	if t.timeout == 0 {
		t.timeout, err = opts.seconds("connecttimeout", connectTimeout)
	}
	return t, err
}

// tokens are what percent signs stand for in options.
func (t *target) tokens() map[byte]string {
	_, port, _ := net.SplitHostPort(t.addr)
	local, _ := user.Current()
	name := ""
	if local != nil {
		name = local.Username
	}
	return map[byte]string{
		'h': t.hostname, 'n': t.Host, 'p': port, 'r': t.user, 'u': name, 'd': home(), 'k': t.keyAlias(),
	}
}

// keyAlias is the name host keys are looked up by.
func (t *target) keyAlias() string {
	if t.opts != nil {
		if alias := t.opts.get("hostkeyalias"); alias != "" {
			return alias
		}
	}
	return strings.ToLower(t.hostname)
}

// lost makes an unreachable host of an error.
func (t *target) lost(err error, started bool) error {
	var already *transport.Lost
	if errors.As(err, &already) && already.Host == t.String() {
		return err
	}
	return &transport.Lost{Host: t.String(), Started: started, Err: err}
}

// open makes a connection: the network part, the key exchange and the authentication.
func (c *Conn) open(ctx context.Context) (*ssh.Client, error) {
	t := c.target
	silent := fmt.Errorf("no answer within %v", t.timeout)
	ctx, cancel := context.WithTimeoutCause(ctx, t.timeout, silent)
	defer cancel()
	config, auth, err := t.clientConfig(ctx)
	if err != nil {
		return nil, err
	}
	raw, err := c.dialNetwork(ctx)
	if err != nil {
		switch {
		case ctx.Err() != nil:
			err = context.Cause(ctx)
		case errors.Is(err, context.DeadlineExceeded): // the socket's deadline came before the context's
			err = silent
		}
		return nil, t.lost(fmt.Errorf("connect: %w", err), false)
	}
	clock := &deadline{conn: raw, timeout: t.timeout}
	auth.clock = clock
	clock.start()
	stop := context.AfterFunc(ctx, func() {
		if !clock.paused() {
			raw.Close()
		}
	})
	conn, chans, reqs, err := ssh.NewClientConn(raw, t.addr, config)
	stopped := stop()
	if err != nil {
		raw.Close()
		switch keys := (*hostKeyError)(nil); {
		case errors.As(err, &keys):
			err = keys
		case !stopped && ctx.Err() != nil || clock.expired():
			err = fmt.Errorf("no answer within %v during the handshake", t.timeout)
		default:
			err = auth.explain(err)
		}
		return nil, t.lost(err, false)
	}
	clock.stop()
	return ssh.NewClient(conn, chans, reqs), nil
}

// A deadline limits a handshake, except while a person is asked for a passphrase.
type deadline struct {
	conn    net.Conn
	timeout time.Duration
	mu      sync.Mutex
	asking  bool
	end     time.Time
}

func (d *deadline) start() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asking, d.end = false, time.Now().Add(d.timeout)
	_ = d.conn.SetDeadline(d.end) // pipes of a proxy command have none
}

func (d *deadline) stop() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asking = true
	_ = d.conn.SetDeadline(time.Time{})
}

func (d *deadline) paused() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.asking
}

func (d *deadline) expired() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return !d.asking && !d.end.IsZero() && time.Now().After(d.end)
}
