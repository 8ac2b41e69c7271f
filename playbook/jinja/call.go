package jinja

import (
	"fmt"
	"strings"

	"orch/playbook/jinja/value"
)

// Resolve finds a name as the template sees it where the call stands: what it set itself
// on its root level or in the loop around, then the variables, then the globals.
func (c *Call) Resolve(name string) (value.Value, bool, error) {
	if c.local != nil {
		if v, ok := c.local(name); ok {
			return v, true, nil
		}
	}
	if c.in == nil {
		return nil, false, nil
	}
	v, err := c.in.scope.lookup(c.in.st, name)
	if err != nil || v == missing {
		return nil, false, err
	}
	return v, true, nil
}

// Filter applies the filter name, as `in | name(args)` does.
func (c *Call) Filter(name string, in value.Value, args Args) (value.Value, error) {
	f := c.Env.filters[name]
	if f == nil {
		return nil, value.Errorf("TemplateSyntaxError", "%s", c.Env.missing("filter", name, "No filter named '%s'."))
	}
	bound, unknown, err := f.Sig.prepare(name, in, args)
	if err != nil || unknown != nil {
		return unknown, err
	}
	if err := c.Step(1); err != nil {
		return nil, err
	}
	v, err := f.Do(c.named(name), in, bound)
	return settleUnknown(v, err)
}

// Test applies the test name, as `in is name(args)` does. The result is a Bool or Unknown.
func (c *Call) Test(name string, in value.Value, args Args) (value.Value, error) {
	t := c.Env.tests[name]
	if t == nil {
		return nil, value.Errorf("TemplateSyntaxError", "%s", c.Env.missing("test", name, "No test named '%s'."))
	}
	bound, unknown, err := t.Sig.prepare(name, in, args)
	if err != nil || unknown != nil {
		return unknown, err
	}
	if err := c.Step(1); err != nil {
		return nil, err
	}
	ok, err := t.Do(c.named(name), in, bound)
	return settleUnknown(boolean(ok), err)
}

func (s *Signature) prepare(name string, in value.Value, args Args) (Bound, value.Value, error) {
	unknown, err := s.check(args.Pos, args.Named)
	if err == nil {
		err = s.checkOne(in, &unknown)
	}
	if err != nil || unknown != nil {
		return Bound{}, unknown, err
	}
	b, err := s.Bind(name, args)
	return b, nil, err
}

func (c *Call) named(name string) *Call {
	d := *c
	d.Name = name
	return &d
}

func settleUnknown(v value.Value, err error) (value.Value, error) {
	if u, ok := err.(*value.UnknownError); ok {
		return u.U, nil
	}
	if err != nil {
		return nil, err
	}
	return v, nil
}

// Call calls a value as the template would: a function, macro or method.
func (c *Call) Call(fn value.Value, args Args) (value.Value, error) {
	switch fn := fn.(type) {
	case *value.BoundMethod:
		return fn.Call(args.Pos, args.Named)
	case Func:
		return fn.Call(c, args)
	case value.Unknown:
		return fn, nil
	case *value.Undefined:
		return nil, &value.UndefinedError{U: fn}
	}
	return nil, value.Errorf("TypeError", "'%s' object is not callable", fn.Type())
}

// Attr is x.name in the template: an attribute, else an item, else undefined.
func (c *Call) Attr(x value.Value, name string) (value.Value, error) {
	return c.in.getAttr(x, value.S(name), name, c.At, "")
}

// Item is x[key] in the template: an item, else an attribute, else undefined.
func (c *Call) Item(x, key value.Value) (value.Value, error) {
	return c.in.getItem(x, key, c.At, "")
}

// Undefined makes an undefined value of the environment's kind. hint is the whole
// message; without one it is that of a missing variable.
func (c *Call) Undefined(name, hint string) *value.Undefined {
	return &value.Undefined{Name: name, Hint: hint, Lenient: c.Env.opts.Lenient, At: c.At}
}

// Step counts work against the limit and notices cancellation: lazy sequences call it
// for each element.
func (c *Call) Step(n int) error {
	if c.in == nil {
		return nil
	}
	for range n {
		if err := c.in.st.step(); err != nil {
			return err
		}
	}
	return nil
}

// Limits are the limits in force.
func (c *Call) Limits() Limits { return c.Env.limits }

// Template is the name of the template the call stands in.
func (c *Call) Template() string {
	if c.in == nil {
		return ""
	}
	return c.in.name
}

// Call implements Func.
func (f *Function) Call(c *Call, args Args) (value.Value, error) {
	unknown, err := f.Sig.check(args.Pos, args.Named)
	if err != nil || unknown != nil {
		return unknown, err
	}
	b, err := f.Sig.Bind(f.Name, args)
	if err != nil {
		return nil, err
	}
	d := *c
	d.Name = f.Name
	return f.Do(&d, b)
}

// Bind matches arguments to the parameters as Python does. name is for its errors, which
// are Python's.
func (s *Signature) Bind(name string, args Args) (Bound, error) {
	var b Bound
	n := len(s.Params)
	if n > 0 {
		b.Args = make([]value.Value, n)
	}
	if k := copy(b.Args, args.Pos); k < len(args.Pos) {
		if !s.VarArgs {
			return b, s.tooMany(name, len(args.Pos))
		}
		b.Var = args.Pos[k:]
	}
	for _, arg := range args.Named {
		i := s.param(arg.Name)
		switch {
		case i >= 0 && b.Args[i] != nil:
			return b, value.Errorf("TypeError", "%s() got multiple values for argument '%s'", name, arg.Name)
		case i >= 0:
			b.Args[i] = arg.Val
		case s.KwArgs:
			b.KwVar = append(b.KwVar, arg)
		default:
			return b, value.Errorf("TypeError", "%s() got an unexpected keyword argument '%s'", name, arg.Name)
		}
	}
	var missing []string
	for i, p := range s.Params {
		switch {
		case b.Args[i] != nil:
		case p.Default != nil:
			b.Args[i] = p.Default
		case !p.Optional:
			missing = append(missing, "'"+p.Name+"'")
		}
	}
	if n := len(missing); n > 0 {
		plural := ""
		if n > 1 {
			plural = "s"
		}
		return b, value.Errorf("TypeError", "%s() missing %d required positional argument%s: %s", name, n, plural, strings.Join(missing, " and "))
	}
	return b, nil
}

func (s *Signature) param(name string) int {
	for i := range s.Params {
		if s.Params[i].Name == name {
			return i
		}
	}
	return -1
}

func (s *Signature) tooMany(name string, given int) error {
	required := 0
	for _, p := range s.Params {
		if p.Default == nil && !p.Optional {
			required++
		}
	}
	takes := fmt.Sprint(len(s.Params))
	if required < len(s.Params) {
		takes = fmt.Sprintf("from %d to %d", required, len(s.Params))
	}
	return value.Errorf("TypeError", "%s() takes %s positional arguments but %d were given", name, takes, given)
}
