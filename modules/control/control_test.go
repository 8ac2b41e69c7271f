package control

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"orch/modules"
	"orch/modules/host"
	"orch/modules/moduletest"
	"orch/modules/schema"
	"orch/playbook/jinja/value"
	"orch/transport"
)

// fakeSite is a site over a host in memory. Variables are the host's environment entries
// "var.NAME", in JSON; {{ NAME }} is all the template language it knows.
type fakeSite struct {
	h     *moduletest.Host
	check bool
	warns []string
	said  []string
	// person types; nil: nobody is there.
	person Prompter
}

var _ Target = (*fakeSite)(nil)

func (s *fakeSite) Host() string { return "web1" }

func (s *fakeSite) Var(name string) (value.Value, bool, error) {
	text, ok := s.h.Environ["var."+name]
	if !ok {
		return nil, false, nil
	}
	if text == "unknown" {
		return value.Unknown{Of: name}, true, nil
	}
	v, err := value.FromJSON([]byte(text))
	return v, err == nil, err
}

func (s *fakeSite) Fact(name string) value.Value {
	v, ok, _ := s.Var("ansible_" + name)
	if !ok {
		return nil
	}
	return v
}

func (s *fakeSite) Template(_ context.Context, v value.Value) (value.Value, error) {
	str, ok := v.(value.Str)
	if !ok || !strings.HasPrefix(str.S, "{{ ") {
		return v, nil
	}
	out, _, err := s.Var(strings.TrimSuffix(strings.TrimPrefix(str.S, "{{ "), " }}"))
	return out, err
}

func (s *fakeSite) Truth(ctx context.Context, cond value.Value, _ ...value.Named) (value.Value, error) {
	return s.Expr(ctx, cond.(value.Str))
}

func (s *fakeSite) Expr(_ context.Context, expr value.Str) (value.Value, error) {
	v, ok, err := s.Var(expr.S)
	if !ok && err == nil {
		return &value.Undefined{Name: expr.S}, nil
	}
	return v, err
}

func (s *fakeSite) Render(_ context.Context, r Render) (value.Value, error) {
	data, err := os.ReadFile(r.Path)
	if err != nil {
		return nil, err
	}
	text := string(data)
	for k := range s.h.Environ {
		name, ok := strings.CutPrefix(k, "var.")
		if !ok || !strings.Contains(text, "{{ "+name+" }}") {
			continue
		}
		v, _, err := s.Var(name)
		if err != nil || value.IsUnknown(v) {
			return v, err
		}
		text = strings.ReplaceAll(text, "{{ "+name+" }}", value.String(v))
	}
	return value.S(text), nil
}

func (s *fakeSite) Find(kind, name string) (string, error) {
	p := filepath.Join("testdata", "src", kind, name)
	if _, err := os.Stat(p); err != nil {
		return "", modules.Failf("Could not find or access '%s'", name)
	}
	return p, nil
}

func (s *fakeSite) ReadFile(p string, decrypt bool) ([]byte, error) {
	data, err := os.ReadFile(p)
	if err == nil && decrypt && bytes.HasPrefix(data, []byte(vaultHead)) {
		return []byte("opened\n"), nil
	}
	return data, err
}

func (s *fakeSite) AddSource(c Content) (string, error) {
	data := c.Data
	if c.Path != "" {
		var err error
		if data, err = os.ReadFile(c.Path); err != nil {
			return "", err
		}
	}
	s.h.Sources[sha1Hex(data)] = data
	return sha1Hex(data), nil
}

func (s *fakeSite) run(ctx context.Context, module string, args any, o modules.Options) (modules.Result, error) {
	for _, e := range host.Internal() {
		if e.Name == module {
			return e.Run(ctx, args, s.h, s.h, o)
		}
	}
	reg, err := schema.NewRegistry(HostTable())
	if err != nil {
		return modules.Result{}, err
	}
	spec, ok := reg.Lookup(module, nil)
	if !ok {
		return modules.Result{}, fmt.Errorf("no host module %s", module)
	}
	return spec.Run(ctx, args, s.h, s.h, o)
}

func (s *fakeSite) Plan(ctx context.Context, module string, args any) (modules.Result, error) {
	return s.run(ctx, module, args, modules.Options{Check: true, Diff: true})
}

func (s *fakeSite) Run(ctx context.Context, module string, args any) (modules.Result, error) {
	return s.run(ctx, module, args, modules.Options{Diff: true})
}

func (s *fakeSite) AsyncDir() (string, error)      { return "~/.ansible_async", nil }
func (s *fakeSite) Check() bool                    { return s.check }
func (s *fakeSite) Diff() bool                     { return true }
func (s *fakeSite) Name() string                   { return "task" }
func (s *fakeSite) Interactive() Prompter          { return s.person }
func (s *fakeSite) Warn(msg string)                { s.warns = append(s.warns, msg) }
func (s *fakeSite) Deprecated(msg, version string) { s.warns = append(s.warns, msg+version) }
func (s *fakeSite) Reconnect()                     { s.h.Did = append(s.h.Did, "reconnect") }
func (s *fakeSite) Emit(line string)               { s.said = append(s.said, line) }

func (s *fakeSite) Conn(context.Context) (transport.Conn, error) { return fakeConn{s.h}, nil }

func (s *fakeSite) Save(p string, r io.Reader, mode uint32) error {
	data, err := io.ReadAll(r)
	s.h.Did = append(s.h.Did, fmt.Sprintf("save %d bytes to %s", len(data), filepath.Base(p)))
	if err != nil {
		return err
	}
	return os.WriteFile(p, data, os.FileMode(mode))
}

// fakeConn runs the host's scripted commands; cat reads its files.
type fakeConn struct{ h *moduletest.Host }

func (c fakeConn) Close() error   { return nil }
func (c fakeConn) String() string { return "fake" }

func (c fakeConn) Start(ctx context.Context, cmd transport.Cmd) (transport.Process, error) {
	if cmd.Argv[0] == "cat" && len(cmd.Argv) == 3 {
		data, err := c.h.ReadFile(ctx, cmd.Argv[2])
		if err != nil {
			return exited(1), nil
		}
		_, err = cmd.Stdout.Write(data)
		return exited(0), err
	}
	out, err := c.h.Run(ctx, modules.Command{Argv: cmd.Argv})
	if err != nil {
		return nil, err
	}
	_, e1 := io.WriteString(cmd.Stdout, out.Stdout)
	_, e2 := io.WriteString(cmd.Stderr, out.Stderr)
	return exited(out.RC), errors.Join(e1, e2)
}

type exited int

func (e exited) Wait() (int, error) { return int(e), nil }

func TestModules(t *testing.T) {
	moduletest.Run(t, "testdata", Table(), func(h *moduletest.Host) (any, any) {
		s := &fakeSite{h: h}
		return s, s
	})
}

func TestManual(t *testing.T) {
	if _, err := schema.NewRegistry(Table(), HostTable()); err != nil {
		t.Fatal(err)
	}
	for _, s := range schema.Describe(Table()) {
		d, err := s.Doc()
		if err != nil {
			t.Fatal(err)
		}
		if d.Text == "" {
			t.Errorf("%s has no comment", s.Name)
		}
		for name, text := range d.Args {
			if text == "" {
				t.Errorf("%s: argument %s has no comment", s.Name, name)
			}
		}
	}
}

func TestFetch(t *testing.T) {
	h := moduletest.NewHost()
	h.AddFile("/etc/app.conf", 0o644, 0, 0, []byte("a=1\n"))
	h.Unexpected = func(what string) { t.Error(what) }
	s := &fakeSite{h: h}
	dir := t.TempDir()
	ctx := context.Background()
	entry := func(f *Fetch, o modules.Options) modules.Result {
		t.Helper()
		res, err := modules.Run[View, Target](ctx, f, s, s, o)
		if err != nil {
			t.Fatal(err)
		}
		return res
	}
	f := &Fetch{Src: value.S("/etc/app.conf"), Dest: value.S(dir), FailOnMissing: true, ValidateChecksum: true}
	s.check = true
	if res := entry(f, modules.Options{Check: true}); !res.Skipped || len(h.Did) != 0 {
		t.Errorf("check: %+v, did %q", res, h.Did)
	}
	s.check = false
	if res := entry(f, modules.Options{}); !res.Changed {
		t.Errorf("first: %+v", res)
	}
	if data, err := os.ReadFile(filepath.Join(dir, "web1/etc/app.conf")); err != nil || string(data) != "a=1\n" {
		t.Errorf("fetched %q, %v", data, err)
	}
	if res := entry(f, modules.Options{}); res.Changed {
		t.Errorf("second: %+v", res)
	}
	flat := &Fetch{Src: value.S("/etc/app.conf"), Dest: value.S(dir + "/flat/"), Flat: true, FailOnMissing: true, ValidateChecksum: true}
	if entry(flat, modules.Options{}); !exists(filepath.Join(dir, "flat/app.conf")) {
		t.Error("flat: no file")
	}
	if res := entry(&Fetch{Src: value.S("/nothing"), Dest: value.S(dir), FailOnMissing: true}, modules.Options{}); res.Failure == nil {
		t.Error("a missing file is no failure")
	}
	if res := entry(&Fetch{Src: value.S("/nothing"), Dest: value.S(dir)}, modules.Options{}); res.Failure != nil || res.Msg == "" {
		t.Errorf("ignored: %+v", res)
	}
}

func exists(p string) bool {
	_, err := os.Stat(p)
	return err == nil
}

func TestRebootWaitsForANewBootID(t *testing.T) {
	h := moduletest.NewHost()
	if err := h.Script("$ /bin/sh -c id\n> one\n@ /bin/sh -c reboot\n$ /bin/sh -c id\n> two"); err != nil {
		t.Fatal(err)
	}
	s := &fakeSite{h: h}
	r := &Reboot{RebootTimeout: 5, TestCommand: "whoami", BootTimeCommand: "id", RebootCommand: "reboot"}
	res, err := modules.Run[View, Target](context.Background(), r, s, s, modules.Options{})
	if err != nil || res.Failure != nil || !res.Changed {
		t.Fatalf("%+v, %v", res, err)
	}
	if got := strings.Join(h.Did, "; "); got != "$ /bin/sh -c id; $ /bin/sh -c reboot; reconnect; $ /bin/sh -c id; $ /bin/sh -c whoami" {
		t.Errorf("did %s", got)
	}
}
