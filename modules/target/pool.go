package target

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/hashicorp/go-multierror"

	"orch/modules/host"
	"orch/modules/target/embedded"
	"orch/modules/target/machine"
	"orch/transport"
	"orch/transport/local"
	"orch/transport/ssh"
)

// A Pool holds one connection per host and one helper per (host, become user) for a run.
// It reconnects when a Placement or Conn is asked for, so between tasks, never within
// one.
type Pool struct {
	config PoolConfig
	table  machine.Table
	shared *ssh.Shared

	mu     sync.Mutex
	conns  map[HostSpec]*slot[transport.Conn]
	places map[HostSpec]*slot[Placement]
	warned map[string]bool
}

// A slot is opened by whoever needs it first; others wait for it.
type slot[T any] struct {
	mu   sync.Mutex
	open bool
	val  T
}

// NewPool makes an empty pool.
func NewPool(config PoolConfig) *Pool {
	if config.Entries == nil {
		config.Entries = append(host.Modules(), host.Internal()...)
	}
	if config.Helper == nil {
		config.Helper = embedded.Helper
	}
	return &Pool{
		config: config, table: machine.NewTable(config.Entries), shared: &ssh.Shared{},
		conns: map[HostSpec]*slot[transport.Conn]{}, places: map[HostSpec]*slot[Placement]{}, warned: map[string]bool{},
	}
}

func slotOf[T any](p *Pool, m map[HostSpec]*slot[T], key HostSpec) *slot[T] {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := m[key]
	if s == nil {
		s = &slot[T]{}
		m[key] = s
	}
	return s
}

// Connect returns the placement for a host, connecting if there is none or it was lost.
// An error is a *transport.Lost (unreachable) or *transport.BecomeError (the task
// fails).
func (p *Pool) Connect(ctx context.Context, spec HostSpec) (Placement, error) {
	s := slotOf(p, p.places, spec)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open {
		if !gone(s.val) {
			return s.val, nil
		}
		_ = s.val.Close() // it is gone already
		s.open = false
	}
	place, err := p.place(ctx, spec)
	if err != nil {
		return nil, err
	}
	s.val, s.open = place, true
	return place, nil
}

// gone reports whether a placement lost its connection or its helper.
func gone(place Placement) bool {
	switch p := place.(type) {
	case *remote:
		return p.helper.gone()
	case *Shell:
		checker, ok := p.conn.(transport.Checker)
		return ok && checker.Err() != nil
	}
	return false
}

// place chooses where the modules of a host run.
func (p *Pool) place(ctx context.Context, spec HostSpec) (Placement, error) {
	if isLocal(spec) && spec.Become.Method == "" {
		return &InProcess{Table: p.table, Tmp: spec.RemoteTmp, Self: p.config.Self}, nil
	}
	if err := checkShell(spec.ShellExecutable); err != nil {
		return nil, err
	}
	login, err := p.login(ctx, spec)
	if err != nil {
		return nil, err
	}
	as, err := transport.As(login, spec.Become)
	if err != nil {
		return nil, err
	}
	why := error(&errNoHelper{"the helper is switched off"})
	if !spec.NoHelper {
		offers := newOffers()
		var h *helperProcess
		if spec.Become.Method == "" {
			h, err = startHelper(ctx, login, p.config.Helper, spec.RemoteTmp, offers.content)
		} else {
			h, err = startHelperAs(ctx, login, as, p.config.Helper, offers.content)
		}
		if err == nil {
			return &remote{name: spec.Name, helper: h, tmp: spec.RemoteTmp, offers: offers}, nil
		}
		var none *errNoHelper
		if !errors.As(err, &none) {
			return nil, p.lost(spec, err)
		}
		why = err
	}
	if !spec.NoHelper {
		p.warn(spec.Name, "modules run over a shell, which is slower: "+why.Error())
	}
	return NewShell(as, p.table, spec), nil
}

// checkShell refuses shells whose language is another one: everything sent to a host is
// POSIX sh, so any that speaks it makes no difference.
func checkShell(path string) error {
	switch filepath.Base(path) {
	case ".", "sh", "bash", "dash", "ash", "ksh", "mksh", "zsh", "busybox":
		return nil
	}
	return fmt.Errorf("ansible_shell_executable %q is not a POSIX shell: one of sh, bash, dash, ash, ksh, mksh, zsh", path)
}

// lost makes an error of the transport one about the host.
func (p *Pool) lost(spec HostSpec, err error) error {
	var lost *transport.Lost
	var become *transport.BecomeError
	if errors.As(err, &lost) || errors.As(err, &become) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return &transport.Lost{Host: spec.Name, Err: err}
}

func isLocal(spec HostSpec) bool {
	return spec.Connection == "local" || spec.Connection == "ansible.builtin.local"
}

// login returns the connection of a host as its login user.
func (p *Pool) login(ctx context.Context, spec HostSpec) (transport.Conn, error) {
	key := spec
	key.Become, key.RemoteTmp, key.ShellExecutable, key.NoHelper = transport.Become{}, "", "", false
	s := slotOf(p, p.conns, key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open {
		checker, ok := s.val.(transport.Checker)
		if !ok || checker.Err() == nil {
			return s.val, nil
		}
		_ = s.val.Close() // it is gone already
		s.open = false
	}
	conn, err := p.dial(ctx, spec)
	if err != nil {
		return nil, err
	}
	s.val, s.open = conn, true
	return conn, nil
}

func (p *Pool) dial(ctx context.Context, spec HostSpec) (transport.Conn, error) {
	switch remote, err := spec.remote(); {
	case err != nil:
		return nil, err
	case !remote:
		return local.New(), nil
	}
	args, err := spec.sshArgs()
	if err != nil {
		return nil, err
	}
	config := ssh.Config{
		Host: spec.Address, Port: spec.Port, User: spec.User, Password: spec.Password, KeyFile: expandHome(spec.KeyFile),
		Args: args, HostKeys: spec.HostKeys, ConnectTimeout: spec.ConnectTimeout, Passphrase: p.config.Passphrase, Shared: p.shared,
	}
	if config.Host == "" {
		config.Host = spec.Name
	}
	var conn transport.Conn
	for try := 0; ; try++ {
		conn, err = ssh.Dial(ctx, config)
		var lost *transport.Lost
		if err == nil || try >= spec.Retries || !errors.As(err, &lost) {
			return conn, err
		}
		// ansible-core 2.18: the pause doubles, up to 30 s.
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(min(time.Second<<min(try, 5), 30*time.Second)):
		}
	}
}

func expandHome(path string) string {
	if len(path) > 1 && path[:2] == "~/" {
		if home, err := os.UserHomeDir(); err == nil {
			return home + path[1:]
		}
	}
	return path
}

// Conn returns the bare connection to a host, with become applied. The pool closes it.
func (p *Pool) Conn(ctx context.Context, spec HostSpec) (transport.Conn, error) {
	login, err := p.login(ctx, spec)
	if err != nil {
		return nil, err
	}
	return transport.As(login, spec.Become)
}

func (p *Pool) warn(name, msg string) {
	p.mu.Lock()
	said := p.warned[name+msg]
	p.warned[name+msg] = true
	p.mu.Unlock()
	if !said && p.config.Warn != nil {
		p.config.Warn(name, msg)
	}
}

// Reset closes every connection to a host (by inventory name), so that the next task
// opens new ones: meta: reset_connection.
func (p *Pool) Reset(name string) error {
	return p.drop(func(s HostSpec) bool { return s.Name == name })
}

// Release ends the helpers of a host (by inventory name) that run as a user.
func (p *Pool) Release(name, user string) error {
	return p.drop(func(s HostSpec) bool { return s.Name == name && s.Become.Method != "" && s.Become.User == user })
}

// drop closes placements before the connections they run over, each kind at once.
func (p *Pool) drop(which func(HostSpec) bool) error {
	p.mu.Lock()
	var places, conns []io.Closer
	for spec, s := range p.places {
		if which(spec) {
			delete(p.places, spec)
			places = append(places, s)
		}
	}
	for spec, s := range p.conns {
		if which(spec) {
			delete(p.conns, spec)
			conns = append(conns, s)
		}
	}
	p.mu.Unlock()
	var all multierror.Group
	for _, c := range places {
		all.Go(c.Close)
	}
	errs := all.Wait()
	all = multierror.Group{}
	for _, c := range conns {
		all.Go(c.Close)
	}
	return multierror.Append(errs, all.Wait().ErrorOrNil()).ErrorOrNil()
}

// Close implements io.Closer for what the slot holds.
func (s *slot[T]) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.open {
		return nil
	}
	s.open = false
	if c, ok := any(s.val).(io.Closer); ok {
		return c.Close()
	}
	return nil
}

// Close closes everything.
func (p *Pool) Close() error {
	err := p.drop(func(HostSpec) bool { return true })
	return multierror.Append(err, p.shared.Close()).ErrorOrNil()
}
