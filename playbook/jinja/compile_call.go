package jinja

import (
	"orch/playbook/jinja/value"
)

// argFns are the compiled arguments of a call.
type argFns struct {
	pos          []evalFn
	names        []string
	named        []evalFn
	star, double evalFn
	doubleAt     value.Place
	starAt       value.Place
}

func (c *compiler) arguments(a *arguments, f *frame) *argFns {
	if a.empty() {
		return nil
	}
	out := &argFns{pos: c.exprs(a.pos, f)}
	for _, k := range a.named {
		out.names = append(out.names, k.name)
		out.named = append(out.named, c.expr(k.x, f))
	}
	if a.star != nil {
		out.star, out.starAt = c.expr(a.star, f), a.star.at()
	}
	if a.double != nil {
		out.double, out.doubleAt = c.expr(a.double, f), a.double.at()
	}
	return out
}

// eval evaluates the arguments. An Unknown *args or **kwargs is the second result: how
// many arguments there are is not known then.
func (fns *argFns) eval(a *activation) (Args, value.Value, error) {
	var args Args
	if fns == nil {
		return args, nil, nil
	}
	if n := len(fns.pos); n > 0 {
		args.Pos = make([]value.Value, n)
		for i, fn := range fns.pos {
			v, err := fn(a)
			if err != nil {
				return args, nil, err
			}
			args.Pos[i] = v
		}
	}
	for i, fn := range fns.named {
		v, err := fn(a)
		if err != nil {
			return args, nil, err
		}
		args.Named = append(args.Named, NamedArg{Name: fns.names[i], Val: v})
	}
	if fns.star != nil {
		if unknown, err := fns.spread(a, &args); unknown != nil || err != nil {
			return args, unknown, err
		}
	}
	if fns.double != nil {
		if unknown, err := fns.spreadNamed(a, &args); unknown != nil || err != nil {
			return args, unknown, err
		}
	}
	return args, nil, nil
}

func (fns *argFns) spread(a *activation, args *Args) (value.Value, error) {
	v, err := fns.star(a)
	if err != nil || value.IsUnknown(v) {
		return v, err
	}
	items, err := value.Items(v)
	if err != nil {
		v, err := a.in.settle(fns.starAt, nil, err)
		return v, err
	}
	args.Pos = append(args.Pos[:len(args.Pos):len(args.Pos)], items...)
	return nil, nil
}

func (fns *argFns) spreadNamed(a *activation, args *Args) (value.Value, error) {
	v, err := fns.double(a)
	if err != nil || value.IsUnknown(v) {
		return v, err
	}
	m, ok := v.(value.Mapping)
	if !ok {
		d, isDict := v.(*value.Dict)
		if u, isUndefined := v.(*value.Undefined); isUndefined && !u.Lenient {
			return nil, a.in.fail(fns.doubleAt, &value.UndefinedError{U: u})
		}
		if !isDict {
			return nil, a.in.fail(fns.doubleAt, value.Errorf("TypeError", "argument after ** must be a mapping, not %s", v.Type()))
		}
		m = dictMapping{d}
	}
	for _, k := range m.Keys() {
		name, ok := stringOf(k)
		if !ok {
			return nil, a.in.fail(fns.doubleAt, value.Errorf("TypeError", "keywords must be strings"))
		}
		for _, n := range args.Named {
			if n.Name == name {
				return nil, a.in.fail(fns.doubleAt, value.Errorf("TypeError", "got multiple values for keyword argument '%s'", name))
			}
		}
		v, _, err := m.Get(k)
		if err != nil {
			return nil, a.in.fail(fns.doubleAt, err)
		}
		args.Named = append(args.Named, NamedArg{Name: name, Val: v})
	}
	return nil, nil
}

// dictMapping shows a dict as a Mapping.
type dictMapping struct{ *value.Dict }

// Attr implements value.Object.
func (m dictMapping) Attr(name string) (value.Value, bool, error) {
	v, ok := m.GetStr(name)
	return v, ok, nil
}

// testCall is newCall for a test, which does not keep it: one is used again and again.
func (in *instance) testCall(a *activation, name string, at value.Place, locals []local) *Call {
	if in.spare == nil || len(locals) > 0 {
		return a.newCall(name, at, locals)
	}
	c := in.spare
	in.spare = nil // while it is in use
	c.At, c.Name, c.Autoescape, c.local = at, name, in.scope.autoescape, nil
	return c
}

// newCall makes what a function called at this place may ask for.
func (a *activation) newCall(name string, at value.Place, locals []local) *Call {
	in := a.in
	c := &Call{Ctx: in.st.ctx, Env: in.env, Vars: in.st.vars, At: at, Name: name, Autoescape: in.scope.autoescape, in: in}
	if len(locals) > 0 {
		c.local = func(name string) (value.Value, bool) {
			for i := len(locals) - 1; i >= 0; i-- {
				if locals[i].name == name {
					return a.get(locals[i])
				}
			}
			return nil, false
		}
	}
	return c
}

// call compiles a call; with extra, its value is one more keyword argument, `caller`.
func (c *compiler) call(n *callExpr, f *frame, extra evalFn) evalFn {
	c.prog.retains = true
	fn, args, at := c.expr(n.fn, f), c.arguments(&n.args, f), n.at()
	name := pathOf(n.fn)
	locals := f.locals()
	return func(a *activation) (value.Value, error) {
		callee, err := fn(a)
		if err != nil {
			return nil, err
		}
		vals, unknown, err := args.eval(a)
		if err != nil {
			return nil, err
		}
		if extra != nil {
			v, err := extra(a)
			if err != nil {
				return nil, err
			}
			vals.Named = append(vals.Named, NamedArg{Name: "caller", Val: v})
		}
		if err := a.in.st.step(); err != nil {
			return nil, a.in.fail(at, err)
		}
		if m, ok := callee.(*value.BoundMethod); ok {
			if unknown != nil {
				return a.in.unknownCall(m, unknown)
			}
			v, err := m.Call(vals.Pos, vals.Named)
			return a.in.settle(at, v, err)
		}
		if unknown != nil {
			return unknown, nil
		}
		call := a.newCall(name, at, locals)
		v, err := call.Call(callee, vals)
		return a.in.settle(at, v, err)
	}
}

// unknownCall is a method call with arguments whose number is not known. One that would
// change its object leaves the rest of the evaluation unknown.
func (in *instance) unknownCall(m *value.BoundMethod, unknown value.Value) (value.Value, error) {
	u, ok := unknown.(value.Unknown)
	if ok && mutating[m.Name] {
		return nil, &unknownFlow{u}
	}
	return unknown, nil
}

// locals are the names that `set` assigned so far in the loop body or block: functions
// that look at the context see them.
func (f *frame) locals() []local {
	if f.assigned == nil || !f.loop && !f.block {
		return nil
	}
	return *f.assigned
}

// boundArgs are the arguments of a filter or test, bound when it is compiled if they are
// constants.
type boundArgs struct {
	sig   *Signature
	fns   *argFns
	fixed *Bound
}

func (c *compiler) bound(sig *Signature, name string, args *arguments, f *frame) *boundArgs {
	b := &boundArgs{sig: sig, fns: c.arguments(args, f)}
	var fixed Args
	for _, p := range args.pos {
		if k, ok := p.(*constExpr); ok {
			fixed.Pos = append(fixed.Pos, k.val)
		}
	}
	for _, n := range args.named {
		if k, ok := n.x.(*constExpr); ok {
			fixed.Named = append(fixed.Named, NamedArg{Name: n.name, Val: k.val})
		}
	}
	if args.star != nil || args.double != nil || len(fixed.Pos) < len(args.pos) || len(fixed.Named) < len(args.named) {
		return b
	}
	if bound, err := sig.Bind(name, fixed); err == nil { // a wrong call is an error when it is made
		b.fixed = &bound
	}
	return b
}

// eval returns the bound arguments, or an Unknown that makes the result Unknown.
func (b *boundArgs) eval(a *activation, name string, at value.Place) (Bound, value.Value, error) {
	if b.fixed != nil {
		return *b.fixed, nil, nil
	}
	args, unknown, err := b.fns.eval(a)
	if err != nil || unknown != nil {
		return Bound{}, unknown, err
	}
	if unknown, err := b.sig.check(args.Pos, args.Named); unknown != nil || err != nil {
		if err != nil {
			err = a.in.fail(at, err)
		}
		return Bound{}, unknown, err
	}
	bound, err := b.sig.Bind(name, args)
	if err != nil {
		return Bound{}, nil, a.in.fail(at, err)
	}
	return bound, nil, nil
}

// check refuses undefined values that the callee does not accept, and finds Unknown ones
// that make its result Unknown.
func (s *Signature) check(pos []value.Value, named []NamedArg) (value.Value, error) {
	var unknown value.Value
	for _, v := range pos {
		if err := s.checkOne(v, &unknown); err != nil {
			return nil, err
		}
	}
	for _, n := range named {
		if err := s.checkOne(n.Val, &unknown); err != nil {
			return nil, err
		}
	}
	return unknown, nil
}

// piped evaluates what is piped into a filter or test and its arguments, and counts the
// call. An Unknown that makes the result Unknown ends it early.
func (b *boundArgs) piped(a *activation, x evalFn, sig *Signature, name string, at value.Place) (in value.Value, bound Bound, unknown value.Value, err error) {
	if in, err = x(a); err != nil {
		return nil, bound, nil, err
	}
	if bound, unknown, err = b.eval(a, name, at); err != nil {
		return nil, bound, nil, err
	}
	if err := sig.checkOne(in, &unknown); err != nil {
		return nil, bound, nil, a.in.fail(at, err)
	}
	if unknown == nil {
		if err := a.in.st.step(); err != nil {
			return nil, bound, nil, a.in.fail(at, err)
		}
	}
	return in, bound, unknown, nil
}

func (s *Signature) checkOne(v value.Value, unknown *value.Value) error {
	switch v := v.(type) {
	case *value.Undefined:
		if !v.Lenient && !s.AcceptUndefined {
			return &value.UndefinedError{U: v}
		}
	case value.Unknown:
		if !s.AcceptUnknown {
			*unknown = v
		}
	}
	return nil
}

// filter compiles `x | name(args)`; for a filter block input gives the text.
func (c *compiler) filter(n *filterExpr, f *frame, input evalFn) evalFn {
	c.prog.retains = true
	c.prog.filters = append(c.prog.filters, Ref{n.name, n.at()})
	x := input
	if n.x != nil {
		if inner, ok := n.x.(*filterExpr); ok {
			x = c.filter(inner, f, input)
		} else {
			x = c.expr(n.x, f)
		}
	}
	filter := c.env.filters[n.name]
	name, at := n.name, n.at()
	if filter == nil {
		c.unknownName("filter", name, at, f)
		return func(a *activation) (value.Value, error) {
			return nil, a.in.fail(at, a.in.env.missing("filter", name, "No filter named '%s' found."))
		}
	}
	args := c.bound(&filter.Sig, name, &n.args, f)
	locals := f.locals()
	return func(a *activation) (value.Value, error) {
		in, bound, unknown, err := args.piped(a, x, &filter.Sig, name, at)
		if err != nil || unknown != nil {
			return unknown, err
		}
		v, err := filter.Do(a.newCall(name, at, locals), in, bound)
		return a.in.settle(at, v, err)
	}
}

func (c *compiler) unknownName(what, name string, at value.Place, f *frame) {
	if !f.soft || c.env.opts.StrictNames {
		c.fail(at, "%s", c.env.missing(what, name, "No "+what+" named '%s'."))
	}
}

func (c *compiler) test(n *testExpr, f *frame) evalFn {
	c.prog.tests = append(c.prog.tests, Ref{n.name, n.at()})
	x := c.expr(n.x, f)
	test := c.env.tests[n.name]
	name, at := n.name, n.at()
	if test == nil {
		c.unknownName("test", name, at, f)
		return func(a *activation) (value.Value, error) {
			return nil, a.in.fail(at, a.in.env.missing("test", name, "No test named '%s' found."))
		}
	}
	args := c.bound(&test.Sig, name, &n.args, f)
	locals := f.locals()
	return func(a *activation) (value.Value, error) {
		in, bound, unknown, err := args.piped(a, x, &test.Sig, name, at)
		if err != nil || unknown != nil {
			return unknown, err
		}
		call := a.in.testCall(a, name, at, locals)
		ok, err := test.Do(call, in, bound)
		a.in.spare = call
		if err != nil {
			return a.in.settle(at, nil, err)
		}
		return boolean(ok), nil
	}
}
