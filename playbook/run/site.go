package run

import (
	"context"
	"crypto/sha1" //nolint:gosec // an address, not a proof
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"orch/modules"
	"orch/modules/control"
	hostmod "orch/modules/host"
	"orch/modules/target"
	"orch/modules/target/wire"
	"orch/playbook/jinja/value"
	"orch/playbook/source"
	"orch/playbook/template"
	"orch/playbook/vars"
	"orch/transport"
)

// A site is the engine's site for one attempt of a task on a host: what actions see and
// use. It implements control.Target.
type site struct {
	w       *work
	o       *outcome
	scope   *vars.Scope
	options modules.Options
	env     map[string]string
	job     *wire.Job // what runs on the host is to be a job

	mu      sync.Mutex
	spec    *target.HostSpec // once computed
	sources map[string]target.Content
}

var _ control.Target = (*site)(nil)

// Host implements control.View.
func (s *site) Host() string { return s.w.h.name }

// Var implements control.View.
func (s *site) Var(name string) (value.Value, bool, error) { return s.scope.Lookup(name) }

// Fact implements control.View.
func (s *site) Fact(name string) value.Value { return s.w.h.vars.State().Fact(name) }

// Template implements control.View.
func (s *site) Template(ctx context.Context, v value.Value) (value.Value, error) {
	return s.w.b.run.cfg.Templater.Value(ctx, v, s.scope)
}

// Truth implements control.View.
func (s *site) Truth(ctx context.Context, cond value.Value, with ...value.Named) (value.Value, error) {
	scope := template.Scope(s.scope)
	if len(with) > 0 {
		scope = s.scope.With(with...)
	}
	// ansible-core 2.18: the arguments of assert are templated before they are conditions,
	// so nothing is left to warn of.
	return s.w.b.run.cfg.Templater.Truth(template.Delimited(ctx), cond, scope)
}

// Expr implements control.View.
func (s *site) Expr(ctx context.Context, expr value.Str) (value.Value, error) {
	return s.w.b.run.cfg.Templater.Expr(ctx, expr, s.scope)
}

// Render implements control.View.
func (s *site) Render(ctx context.Context, r control.Render) (value.Value, error) {
	if s.w.b.run.cfg.Render == nil {
		return nil, errors.New("templates cannot be rendered here")
	}
	f := template.File{
		Path: r.Path, Text: r.Text, Dest: r.Dest, Encoding: r.Encoding, Engine: r.Engine, Stand: r.Stand,
		Overrides: template.Overrides{
			NewlineSequence: r.NewlineSequence, BlockStart: r.BlockStart, BlockEnd: r.BlockEnd,
			VariableStart: r.VariableStart, VariableEnd: r.VariableEnd,
			CommentStart: r.CommentStart, CommentEnd: r.CommentEnd,
			TrimBlocks: r.TrimBlocks, LstripBlocks: r.LstripBlocks,
		},
	}
	v, err := s.w.b.run.cfg.Render(ctx, f, s.scope)
	return v, failed(err)
}

// failed makes a task's failure of an error of the author's files, and keeps those of
// the engine.
func failed(err error) error {
	var te *template.Error
	if errors.As(err, &te) {
		msg, hint := err.Error(), te.Hint
		place := source.Place(te.Pos)
		switch {
		case template.IsUndefined(err) != nil:
			// ansible-core 2.18 has the name of its exception for the place.
			msg, hint = "AnsibleUndefinedVariable: "+msg, strings.TrimSpace("look at "+place+"\n"+hint)
		case place != "":
			msg = place + ": " + msg
		}
		return &modules.Failure{Msg: msg, Hint: hint}
	}
	return err
}

// Find implements control.View.
func (s *site) Find(kind, name string) (string, error) {
	path, err := s.scope.Site().Find(kind, name)
	if err == nil {
		return path, nil
	}
	var missing *template.NotFoundError
	if !errors.As(err, &missing) {
		return "", err
	}
	places := s.scope.Site().Candidates(kind, name)
	for i, path := range places {
		if abs, err := filepath.Abs(path); err == nil {
			places[i] = abs
		}
	}
	return "", &modules.Failure{
		Msg: fmt.Sprintf("Could not find or access '%s'\nSearched in:\n\t%s on the Ansible Controller.\n"+
			"If you are using a module and expect the file to exist on the remote, see the remote_src option",
			name, strings.Join(places, "\n\t")),
	}
}

// ReadFile implements control.View.
func (s *site) ReadFile(path string, decrypt bool) ([]byte, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read file: %w", err)
	}
	open := s.w.b.run.cfg.OpenVault
	if !decrypt || open == nil || !strings.HasPrefix(string(text[:min(len(text), 16)]), "$ANSIBLE_VAULT;") {
		return text, nil
	}
	return open(text)
}

// AddSource implements control.View.
func (s *site) AddSource(c control.Content) (string, error) {
	sum := sha1.New() //nolint:gosec // an address, not a proof
	content := target.Content{Size: int64(len(c.Data))}
	if c.Path == "" {
		sum.Write(c.Data)
		content.Open = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(string(c.Data))), nil }
	} else {
		f, err := os.Open(c.Path)
		if err != nil {
			return "", fmt.Errorf("read source: %w", err)
		}
		defer f.Close()
		if content.Size, err = io.Copy(sum, f); err != nil {
			return "", fmt.Errorf("read source %s: %w", c.Path, err)
		}
		content.Open = func() (io.ReadCloser, error) { return os.Open(c.Path) }
	}
	name := hex.EncodeToString(sum.Sum(nil))
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sources == nil {
		s.sources = map[string]target.Content{}
	}
	s.sources[name] = content
	return name, nil
}

// Plan implements control.View.
func (s *site) Plan(ctx context.Context, module string, args any) (modules.Result, error) {
	o := s.options
	o.Check = true
	return s.request(ctx, module, args, o, nil)
}

// Run implements control.Target.
func (s *site) Run(ctx context.Context, module string, args any) (modules.Result, error) {
	return s.host(ctx, module, args, s.options)
}

// host runs a host module where the task runs, as a job if the task is to be one.
func (s *site) host(ctx context.Context, module string, args any, o modules.Options) (modules.Result, error) {
	return s.request(ctx, module, args, o, s.job)
}

func (s *site) request(ctx context.Context, module string, args any, o modules.Options, job *wire.Job) (modules.Result, error) {
	spec, err := s.hostSpec()
	if err != nil {
		return modules.Result{}, err
	}
	if u, ok := args.(*hostmod.User); ok && !o.Check && spec.Become.User != u.Name {
		// A helper of that user's would keep userdel and usermod from their work, and has
		// the groups of before.
		if err := s.w.b.run.cfg.Connector.Release(spec.Name, u.Name); err != nil {
			s.Warn("end the helper of " + u.Name + ": " + err.Error())
		}
	}
	over := s.waiting(spec)
	p, err := s.w.b.run.cfg.Connector.Connect(ctx, spec)
	over()
	if err != nil {
		return modules.Result{}, s.become(err)
	}
	if !strings.Contains(module, ".") {
		module = builtin + module
	}
	s.mu.Lock()
	sources := s.sources
	s.mu.Unlock()
	res, err := p.Run(ctx, target.Request{Module: module, Args: args, Options: o, Env: s.env, Sources: sources, Emit: s.emitter(), Job: job})
	return res, s.become(err)
}

// become makes the task's failure of a refused escalation.
func (s *site) become(err error) error {
	var be *transport.BecomeError
	if errors.As(err, &be) {
		msg, _, _ := strings.Cut(be.Error(), "\nhint: ")
		return &modules.Failure{Msg: msg, Hint: be.Hint}
	}
	return err
}

// hostSpec is how the task's host, or the one it is delegated to, is reached.
func (s *site) hostSpec() (target.HostSpec, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.spec != nil {
		return *s.spec, nil
	}
	name, scope := s.w.h.name, s.scope
	if s.o.delegated != "" {
		name = s.o.delegated
		scope = s.w.t.vars.Eval(s.w.ctx, s.w.b.play.vars.Host(name), s.w.top...)
	}
	spec, err := s.w.spec(scope, name)
	if err != nil {
		return spec, err
	}
	if spec.Address != name && s.o.delegated != "" {
		s.o.address = spec.Address
	}
	s.spec = &spec
	return spec, nil
}

// Conn implements control.Target.
func (s *site) Conn(ctx context.Context) (transport.Conn, error) {
	spec, err := s.hostSpec()
	if err != nil {
		return nil, err
	}
	over := s.waiting(spec)
	conn, err := s.w.b.run.cfg.Connector.Conn(ctx, spec)
	over()
	return conn, s.become(err)
}

// step says what the host is doing.
func (s *site) step(title string) {
	s.w.emit(HostStep{ID: s.w.t.id, Host: s.w.h.name, Title: title, Time: time.Now()})
}

// patience is how long a connection may take before the run says that it waits for it.
const patience = 500 * time.Millisecond

// waiting says that the task waits for its connection, once it has for a while; the
// function it returns is called when that is over.
func (s *site) waiting(spec target.HostSpec) (over func()) {
	said, gone := false, false
	var mu sync.Mutex
	timer := time.AfterFunc(patience, func() {
		mu.Lock()
		defer mu.Unlock()
		if said = !gone; gone {
			return
		}
		s.step("waits for the connection to " + spec.Target())
	})
	return func() {
		if timer.Stop() {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		if gone = true; said {
			s.step("")
		}
	}
}

// Reconnect implements control.Target.
func (s *site) Reconnect() {
	spec, err := s.hostSpec()
	if err == nil {
		err = s.w.b.run.cfg.Connector.Reset(spec.Name)
	}
	if err != nil {
		s.Warn("reset connection: " + err.Error())
	}
}

// Save implements control.Target: the file appears whole or not at all.
func (s *site) Save(path string, r io.Reader, mode uint32) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".orch-*")
	if err != nil {
		return fmt.Errorf("save file: %w", err)
	}
	defer os.Remove(f.Name()) //nolint:errcheck // gone once renamed
	_, err = io.Copy(f, r)
	if cerr := f.Chmod(fs.FileMode(mode)); err == nil {
		err = cerr
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("save %s: %w", path, err)
	}
	return nil
}

// Check implements control.View.
func (s *site) Check() bool { return s.options.Check }

// Diff implements control.View.
func (s *site) Diff() bool { return s.options.Diff }

// Name implements control.View.
func (s *site) Name() string { return s.w.t.label(s.w.t.name) }

// Interactive implements control.View.
func (s *site) Interactive() control.Prompter { return s.w.b.run.cfg.Prompt }

// Warn implements control.View.
func (s *site) Warn(msg string) {
	if s.o.noLog {
		return
	}
	s.w.b.run.warn(s.w.t.src.Pos, msg)
}

// Deprecated implements control.View.
func (s *site) Deprecated(msg, version string) {
	if version != "" {
		msg += fmt.Sprintf(" This feature will be removed in version %s.", version)
	}
	if !s.o.noLog {
		s.w.b.run.deprecated(s.w.t.src.Pos, msg)
	}
}

// Emit implements control.Target. What pause has to say is always shown: a person is to
// know why nothing happens.
func (s *site) Emit(line string) {
	if s.w.t.is(modPause) {
		s.w.emit(HostLine{ID: s.w.t.id, Host: s.w.h.name, Line: line})
	} else if emit := s.emitter(); emit != nil {
		emit(line)
	}
}

func (s *site) emitter() func(string) {
	if s.o.noLog || !s.w.b.run.cfg.Lines {
		return nil
	}
	return func(line string) {
		s.w.emit(HostLine{ID: s.w.t.id, Host: s.w.h.name, Line: line})
	}
}
