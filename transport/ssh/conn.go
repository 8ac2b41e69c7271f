package ssh

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	multierror "github.com/hashicorp/go-multierror"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"orch/transport"
)

const (
	// maxSessions is sshd's default for one connection.
	maxSessions = 10
	// maxLinks bounds the connections to one host: with more Starts they wait.
	maxLinks = 8
	// patience is how long a Start waits for a free session before it opens a connection:
	// most commands are shorter than a key exchange.
	patience = 50 * time.Millisecond
	// settle is how long after a session's end sshd may still count it, and starve how
	// long a refusal is put down to that when no other session is open.
	settle, starve = 100 * time.Millisecond, 2 * time.Second
)

// Conn is a connection to a host, as transport.Conn; it is also a transport.Filer,
// Dialer and Checker.
type Conn struct {
	target *target
	depth  int
	owned  *Shared       // closed with the connection
	ended  chan struct{} // closed by Close

	mu      sync.Mutex
	links   []*link // the first is there from the start
	dialing bool
	alone   bool // further connections are refused
	closed  bool
	gone    error
	changed chan struct{} // closed and replaced whenever a Start may go on
	noSFTP  bool
}

// A link is one ssh connection of a Conn.
type link struct {
	client      *ssh.Client
	used, limit int
	freed       time.Time     // when a session last ended
	agent       bool          // forwards the agent
	over        chan struct{} // closed when the link has ended
}

// Interface guards.
var (
	_ transport.Conn    = (*Conn)(nil)
	_ transport.Filer   = (*Conn)(nil)
	_ transport.Dialer  = (*Conn)(nil)
	_ transport.Checker = (*Conn)(nil)
)

// String implements transport.Conn.
func (c *Conn) String() string { return c.target.String() }

// Err implements transport.Checker.
func (c *Conn) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed && c.gone == nil {
		return c.target.lost(net.ErrClosed, false)
	}
	return c.gone
}

// connect opens a link and watches over it.
func (c *Conn) connect(ctx context.Context) (*link, error) {
	interval, err := c.target.opts.seconds("serveraliveinterval", aliveInterval)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c, err)
	}
	count, err := c.target.opts.number("serveralivecountmax", aliveCount)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c, err)
	}
	forward, err := c.target.forwardsAgent()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c, err)
	}
	client, err := c.open(ctx)
	if err != nil {
		return nil, err
	}
	l := &link{client: client, limit: maxSessions, over: make(chan struct{})}
	if forward != "" {
		if err := agent.ForwardToRemote(client, forward); err != nil {
			client.Close()
			return nil, fmt.Errorf("%s: forward the agent: %w", c, err)
		}
		l.agent = true
	}
	go c.watch(l)
	if interval > 0 && count > 0 {
		go c.keepAlive(l, interval, count)
	}
	return l, nil
}

func (t *target) forwardsAgent() (socket string, err error) {
	switch value := t.opts.get("forwardagent"); value {
	case "", "no":
		return "", nil
	case "yes":
		return t.agentSocket(), nil
	default: // a socket of its own
		return expand(value, t.tokens())
	}
}

// watch marks the whole Conn as gone when a link ends: what runs on others goes on, what
// comes next needs a new Conn.
func (c *Conn) watch(l *link) {
	err := l.client.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone == nil && !c.closed {
		if err == nil {
			err = errors.New("the host closed the connection")
		}
		c.gone = c.target.lost(fmt.Errorf("connection lost: %w", err), false)
	}
	c.wake()
	close(l.over)
}

// dead waits a moment for the reason a session ended without an exit status: the end of
// the link is noticed right after that of its sessions. A session that ended alone (sshd
// closed it) leaves the connection up.
func (c *Conn) dead(l *link) {
	select {
	case <-l.over:
	case <-time.After(time.Second):
	}
}

// keepAlive closes a link that does not answer: a frozen host keeps its TCP connection.
func (c *Conn) keepAlive(l *link, interval time.Duration, count int) {
	for {
		select {
		case <-c.ended:
			return
		case <-time.After(interval):
		}
		answered := make(chan error, 1)
		go func() {
			_, _, err := l.client.SendRequest("keepalive@openssh.com", true, nil)
			answered <- err
		}()
		patience := time.NewTimer(interval * time.Duration(count))
		select {
		case err := <-answered:
			patience.Stop()
			if err != nil {
				return // the link ended
			}
		case <-c.ended:
			patience.Stop()
			return
		case <-patience.C:
			c.mu.Lock()
			if c.gone == nil {
				c.gone = c.target.lost(fmt.Errorf("connection lost: no answer to keepalives for %v", interval*time.Duration(count)), false)
			}
			c.mu.Unlock()
			l.client.Close()
			return
		}
	}
}

func (c *Conn) wake() {
	close(c.changed)
	c.changed = make(chan struct{})
}

// acquire takes a session's place on a link, waiting or opening a connection if there
// is none.
func (c *Conn) acquire(ctx context.Context) (*link, error) {
	wait := time.NewTimer(patience)
	defer wait.Stop()
	for waited := false; ; {
		c.mu.Lock()
		l, more, err := c.place(waited)
		changed := c.changed
		c.mu.Unlock()
		switch {
		case err != nil:
			return nil, err
		case l != nil:
			return l, nil
		case more:
			c.grow(ctx)
			continue
		}
		select {
		case <-changed:
		case <-wait.C:
			waited = true
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// place is a free place, or whether the caller shall open a connection.
func (c *Conn) place(waited bool) (l *link, more bool, err error) {
	if c.gone != nil {
		return nil, false, c.gone
	}
	if c.closed {
		return nil, false, c.target.lost(net.ErrClosed, false)
	}
	for _, l := range c.links {
		if l.used < l.limit {
			l.used++
			return l, false, nil
		}
	}
	if waited && !c.dialing && !c.alone && len(c.links) < maxLinks {
		c.dialing = true
		return nil, true, nil
	}
	return nil, false, nil
}

// grow opens a further connection. If that fails the Starts make do with those there are.
func (c *Conn) grow(ctx context.Context) {
	l, err := c.connect(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dialing = false
	switch {
	case err != nil && ctx.Err() == nil:
		c.alone = true
	case err != nil:
	case c.closed:
		l.client.Close()
	default:
		c.links = append(c.links, l)
	}
	c.wake()
}

func (c *Conn) release(l *link) {
	c.mu.Lock()
	defer c.mu.Unlock()
	l.used--
	l.freed = time.Now()
	c.wake()
}

// full tells what to do after sshd refused a session (MaxSessions): try again, soon if a
// session that has just ended may still be counted, else when another ends, which lowers
// the link's limit. When there is no other session the refusal has another reason.
func (c *Conn) full(l *link) (again, soon bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	l.used--
	c.wake()
	ago := time.Since(l.freed)
	switch {
	case ago < settle, l.used == 0 && ago < starve:
		return true, true
	case l.used == 0:
		return false, false
	}
	l.limit = min(l.limit, l.used)
	return true, false
}

// session opens a session on a link that has room.
func (c *Conn) session(ctx context.Context) (*ssh.Session, *link, error) {
	for {
		l, err := c.acquire(ctx)
		if err != nil {
			return nil, nil, err
		}
		s, err := await(ctx, l, l.client.NewSession, func(s *ssh.Session) { s.Close() })
		if err == nil {
			return s, l, nil
		}
		var refused *ssh.OpenChannelError
		if errors.As(err, &refused) {
			again, soon := c.full(l)
			if soon {
				pause(ctx, settle/10)
			}
			if again {
				continue
			}
			return nil, nil, c.target.lost(fmt.Errorf("the host opens no session: %s", refused.Message), false)
		}
		c.release(l)
		if ctx.Err() != nil {
			return nil, nil, ctx.Err()
		}
		return nil, nil, c.lost(err, false)
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// await runs f, which asks the other end of a link for something and knows no context; a
// late result is dropped. It waits for the end of the link as well: a channel that is
// opened just when x/crypto/ssh tears the connection down gets no answer, and no error
// (ssh.mux forgets its channels before it closes the connection).
func await[T any](ctx context.Context, l *link, f func() (T, error), drop func(T)) (T, error) {
	type result struct {
		val T
		err error
	}
	done := make(chan result, 1)
	go func() {
		val, err := f()
		done <- result{val, err}
	}()
	var zero T
	select {
	case r := <-done:
		return r.val, r.err
	case <-l.over:
		select {
		case r := <-done:
			return r.val, r.err
		default:
			return zero, errEnded
		}
	case <-ctx.Done():
		go func() {
			if r := <-done; r.err == nil {
				drop(r.val)
			}
		}()
		return zero, ctx.Err()
	}
}

// errEnded is a link's end where no other reason is known.
var errEnded = errors.New("the connection ended")

// lost is err as the end of the connection, with the reason if one is known.
func (c *Conn) lost(err error, started bool) error {
	c.mu.Lock()
	gone := c.gone
	c.mu.Unlock()
	var why *transport.Lost
	if errors.As(gone, &why) {
		err = why.Err
	}
	return c.target.lost(err, started)
}

// Dial implements transport.Dialer: direct-tcpip and direct-streamlocal.
func (c *Conn) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	if network != "tcp" && network != "unix" {
		return nil, fmt.Errorf("%s: dial %s: the network is one of tcp, unix", c, network)
	}
	c.mu.Lock()
	gone, l := c.gone, c.links[0]
	c.mu.Unlock()
	if gone != nil {
		return nil, gone
	}
	conn, err := await(ctx, l, func() (net.Conn, error) { return l.client.Dial(network, addr) }, func(conn net.Conn) { conn.Close() })
	var refused *ssh.OpenChannelError
	if errors.As(err, &refused) && refused.Reason != ssh.ConnectionFailed {
		err = fmt.Errorf("%w: sshd refuses to forward (AllowTcpForwarding): %w", errors.ErrUnsupported, err)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: dial %s %s: %w", c, network, addr, err)
	}
	return conn, nil
}

// Close implements transport.Conn.
func (c *Conn) Close() error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil
	}
	c.closed = true
	links, gone := c.links, c.gone
	close(c.ended)
	c.wake()
	c.mu.Unlock()
	var all *multierror.Error
	for _, l := range links {
		if err := l.client.Close(); err != nil && gone == nil && !errors.Is(err, net.ErrClosed) && !errors.Is(err, io.EOF) {
			all = multierror.Append(all, fmt.Errorf("%s: close: %w", c, err))
		}
	}
	if c.owned != nil {
		all = multierror.Append(all, c.owned.Close())
	}
	return all.ErrorOrNil()
}
