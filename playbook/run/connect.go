package run

import (
	"context"
	"strings"
	"time"

	"orch/modules/target"
	"orch/playbook/jinja/value"
	"orch/playbook/vars"
	"orch/transport"
)

// A Connector opens the way to hosts; [target.Pool] is one. It is asked for every task,
// so it keeps what it has opened. Errors of Connect and Conn are *transport.Lost (the
// host is unreachable), *transport.BecomeError (the task fails), or the engine's own.
type Connector interface {
	Connect(ctx context.Context, spec target.HostSpec) (target.Placement, error)
	// Conn is the bare connection, with become applied. The connector closes it.
	Conn(ctx context.Context, spec target.HostSpec) (transport.Conn, error)
	// Release ends what runs on a host as a user, so that the user can be changed.
	Release(name, user string) error
	// Reset closes every connection to a host, by inventory name.
	Reset(name string) error
	Close() error
}

// spec computes how the task's host is reached: variables win over keywords, those over
// what flags and settings say (ansible-core 2.18: TaskExecutor._set_connection_options).
// Become variables win over become keywords too.
func (w *work) spec(scope *vars.Scope, name string) (target.HostSpec, error) {
	s := w.b.run.cfg.Defaults
	s.Name = name
	c := connector{w: w, scope: scope, kw: w.t.kw}
	c.keyword(&s.Connection, "connection", w.t.kw.connection)
	c.keyword(&s.User, "remote_user", w.t.kw.remoteUser)
	c.number(&s.Port, "port", w.t.kw.port)
	if w.t.src != nil && w.t.src.LocalAction {
		s.Connection = "local"
	}
	if s.Connection == "" || s.Connection == "smart" {
		if h := w.b.run.inventoryHost(name); h == nil || h.Implicit {
			if isLocalhost(name) {
				s.Connection = "local"
			}
		}
	}
	c.text(&s.Connection, "ansible_connection")
	c.text(&s.Address, "ansible_host", "ansible_ssh_host")
	c.text(&s.User, "ansible_user", "ansible_ssh_user", "ansible_remote_user")
	c.int(&s.Port, "ansible_port", "ansible_ssh_port")
	c.text(&s.RemoteTmp, "ansible_remote_tmp")
	c.text(&s.ShellExecutable, "ansible_shell_executable")
	if s.Connection != "local" {
		c.secret(&s.Password, "ansible_password", "ansible_ssh_pass", "ansible_ssh_password")
		c.text(&s.KeyFile, "ansible_private_key_file", "ansible_ssh_private_key_file")
		c.text(&s.SSHArgs, "ansible_ssh_args")
		c.text(&s.CommonArgs, "ansible_ssh_common_args")
		c.text(&s.ExtraArgs, "ansible_ssh_extra_args")
		c.int(&s.Retries, "ansible_ssh_retries")
		c.seconds(&s.ConnectTimeout, "ansible_ssh_timeout", "ansible_timeout")
		c.hostKeys(&s.HostKeys)
	}
	c.becomes(&s)
	if c.err != nil {
		return s, c.err
	}
	return s, nil
}

// reached are the connection variables a task sees though nobody set them: how the host
// is reached (ansible-core 2.18: PlayContext.update_vars).
func (w *work) reached(scope *vars.Scope) []value.Named {
	var out []value.Named
	add := func(v value.Value, names ...string) {
		for _, name := range names {
			if _, set, _ := scope.Raw(name); !set {
				out = append(out, value.Named{Name: name, Val: v})
			}
		}
	}
	if _, set, _ := scope.Raw("ansible_host"); !set {
		add(value.S(w.h.name), "ansible_host", "ansible_ssh_host")
	}
	d := &w.b.run.cfg.Defaults
	if v, ok, err := w.field(scope, w.t.kw.remoteUser); err == nil && ok {
		add(v, "ansible_user", "ansible_ssh_user")
	} else if d.User != "" {
		add(value.S(d.User), "ansible_user", "ansible_ssh_user")
	}
	if v, ok, err := w.field(scope, w.t.kw.port); err == nil && ok {
		add(v, "ansible_port", "ansible_ssh_port")
	} else if d.Port != 0 {
		add(value.Int(d.Port), "ansible_port", "ansible_ssh_port")
	}
	return out
}

// A connector reads the variables and keywords of one HostSpec; its first error stays.
type connector struct {
	w     *work
	scope *vars.Scope
	kw    *keywords
	err   error
}

func (c *connector) variable(names ...string) (value.Value, bool) {
	for _, name := range names {
		v, ok, err := c.scope.Lookup(name)
		if err != nil {
			c.fail(err)
			return nil, false
		}
		if _, none := v.(value.None); ok && !none {
			if u, undefined := value.IsUndefined(v); undefined {
				c.fail(&value.UndefinedError{U: u})
				return nil, false
			}
			return v, true
		}
	}
	return nil, false
}

func (c *connector) fail(err error) {
	if c.err == nil {
		c.err = err
	}
}

func (c *connector) text(dst *string, names ...string) {
	if v, ok := c.variable(names...); ok {
		*dst = value.String(v)
	}
}

func (c *connector) secret(dst *string, names ...string) {
	c.text(dst, names...)
	c.w.b.run.redact.Add(*dst)
}

func (c *connector) int(dst *int, names ...string) {
	if v, ok := c.variable(names...); ok {
		n, err := toInt(names[0], field{}, v)
		if err != nil {
			c.fail(err)
		}
		*dst = n
	}
}

func (c *connector) seconds(dst *time.Duration, names ...string) {
	n := 0
	c.int(&n, names...)
	if n > 0 {
		*dst = time.Duration(n) * time.Second
	}
}

func (c *connector) bool(dst *bool, names ...string) {
	if v, ok := c.variable(names...); ok {
		b, err := toBool(names[0], field{}, v)
		if err != nil {
			c.fail(err)
		}
		*dst = b
	}
}

func (c *connector) hostKeys(dst *string) {
	check := true
	v, ok := c.variable("ansible_ssh_host_key_checking", "ansible_host_key_checking")
	if !ok {
		return
	}
	if s, isText := v.(value.Str); isText && (s.S == "accept-new" || s.S == "strict" || s.S == "off") {
		*dst = s.S
		return
	}
	c.bool(&check, "ansible_ssh_host_key_checking", "ansible_host_key_checking")
	*dst = "strict"
	if !check {
		*dst = "off"
	}
}

func (c *connector) keyword(dst *string, name string, f field) {
	v, ok, err := c.w.field(c.scope, f)
	if err != nil {
		c.fail(fieldError(name, err))
	} else if ok {
		*dst = value.String(v)
	}
}

func (c *connector) number(dst *int, name string, f field) {
	v, ok, err := c.w.field(c.scope, f)
	if err != nil || !ok {
		if err != nil {
			c.fail(fieldError(name, err))
		}
		return
	}
	n, err := toInt(name, f, v)
	if err != nil {
		c.fail(err)
	}
	*dst = n
}

// becomes fills in how rights are raised. The default's Become holds what flags and
// settings say of method, user, flags and password; whether they apply is another
// matter: Options.Become.
func (c *connector) becomes(s *target.HostSpec) {
	on := c.w.b.run.cfg.Become
	if v, ok, err := c.w.field(c.scope, c.kw.become); err != nil {
		c.fail(fieldError("become", err))
	} else if ok {
		b, err := toBool("become", c.kw.become, v)
		if err != nil {
			c.fail(err)
		}
		on = b
	}
	c.bool(&on, "ansible_become")
	b := s.Become
	s.Become = transport.Become{}
	if !on || c.err != nil {
		return
	}
	c.keyword(&b.Method, "become_method", c.kw.becomeMethod)
	c.keyword(&b.User, "become_user", c.kw.becomeUser)
	c.keyword(&b.Flags, "become_flags", c.kw.becomeFlags)
	c.keyword(&b.Exe, "become_exe", c.kw.becomeExe)
	c.text(&b.Method, "ansible_become_method")
	if b.Method == "" {
		b.Method = "sudo"
	}
	b.Method = strings.TrimPrefix(b.Method, "ansible.builtin.")
	c.text(&b.User, "ansible_become_user", "ansible_"+b.Method+"_user")
	c.text(&b.Exe, "ansible_become_exe", "ansible_"+b.Method+"_exe")
	c.text(&b.Flags, "ansible_become_flags", "ansible_"+b.Method+"_flags")
	c.secret(&b.Password, "ansible_become_password", "ansible_become_pass", "ansible_"+b.Method+"_pass")
	if b.User == "" {
		b.User = "root"
	}
	s.Become = b
}

func isLocalhost(name string) bool {
	return name == "localhost" || name == "127.0.0.1" || name == "::1"
}
