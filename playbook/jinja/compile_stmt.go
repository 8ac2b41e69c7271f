package jinja

import (
	"strings"

	"orch/playbook/jinja/value"
)

// statement compiles one statement; nil when it does nothing. end is set when nothing
// after it on this level can run.
func (c *compiler) statement(n node, f *frame) (run execFn, end bool) {
	switch n := n.(type) {
	case *outputStmt:
		return c.output(n, f), false
	case *ifStmt:
		return c.ifElse(n, f), false
	case *forStmt:
		return c.forLoop(n, f), false
	case *setStmt:
		return c.set(n, f), false
	case *setBlock:
		return c.setBlock(n, f), false
	case *withStmt:
		return c.with(n, f), false
	case *macroStmt:
		return c.macro(n, f), false
	case *callStmt:
		return c.callBlock(n, f), false
	case *filterStmt:
		return c.filterBlock(n, f), false
	case *doStmt:
		x := c.expr(n.x, f)
		return func(a *activation, _ *output) error {
			_, err := x(a)
			return err
		}, false
	case *breakStmt:
		return func(*activation, *output) error { return errBreak }, true
	case *continueStmt:
		return func(*activation, *output) error { return errContinue }, true
	case *scopeStmt:
		return c.scoped(n.body, f), false
	case *escapeStmt:
		return c.autoescape(n, f), false
	case *blockStmt:
		return c.block(n, f), false
	case *extendsStmt:
		return c.extends(n, f)
	case *includeStmt:
		return c.include(n, f), false
	case *importStmt:
		return c.importAs(n, f), false
	case *fromStmt:
		return c.fromImport(n, f), false
	}
	c.fail(n.at(), "not a statement")
	return nil, false
}

// output compiles data and {{ }}.
func (c *compiler) output(n *outputStmt, f *frame) execFn {
	hidden := f.outputCheck && c.knownExtends
	var list []execFn
	for _, part := range n.parts {
		if d, ok := part.(*dataNode); ok {
			list = append(list, literal(d.text, d.at()))
			continue
		}
		x := c.expr(part, f)
		if part == c.single && c.bare {
			c.prog.single, c.prog.singleAt = c.finalized(x, part.at()), part.at()
		}
		list = append(list, c.printed(x, part.at()))
	}
	run := inSequence(list...)
	switch {
	case hidden: // a child template's text outside of blocks
		return nil
	case f.outputCheck && run != nil:
		return func(a *activation, o *output) error {
			if a.in.scope.extended() {
				return nil
			}
			return run(a, o)
		}
	}
	return run
}

// literal prints text of the template.
func literal(text string, at value.Place) execFn {
	var v value.Value = value.S(text)
	return func(a *activation, o *output) error {
		var err error
		if o.native {
			err = o.part(v, len(text))
		} else {
			err = o.data(text)
		}
		if err != nil {
			return a.in.fail(at, err)
		}
		return nil
	}
}

// finalized applies the environment's Finalize.
func (c *compiler) finalized(x evalFn, at value.Place) evalFn {
	finalize := c.env.opts.Finalize
	if finalize == nil {
		return x
	}
	return func(a *activation) (value.Value, error) {
		v, err := x(a)
		if err != nil || value.IsUnknown(v) {
			return v, err
		}
		v, err = finalize(v)
		return a.in.settle(at, v, err)
	}
}

func (c *compiler) printed(x evalFn, at value.Place) execFn {
	x = c.finalized(x, at)
	escape := c.escape
	return func(a *activation, o *output) error {
		v, err := x(a)
		if err != nil {
			return err
		}
		if escape != escapeOff && a.escapes(escape) && !o.native {
			v = escaped(v)
		}
		if err := o.print(v); err != nil {
			return a.in.fail(at, err)
		}
		return nil
	}
}

// escaped is v as HTML; what cannot be printed is left for print to report.
func escaped(v value.Value) value.Value {
	switch v := v.(type) {
	case value.Markup, value.Unknown, value.Int, value.Float, value.Bool, value.None:
		return v
	case *value.Undefined:
		return v
	}
	s, err := value.Text(v)
	if err != nil {
		return v
	}
	return value.Escape(value.S(s))
}

func (c *compiler) ifElse(n *ifStmt, f *frame) execFn {
	type branch struct {
		test evalFn
		at   value.Place
		body execFn
	}
	soft := f.softly()
	var branches []branch
	for _, b := range append([]*ifStmt{n}, n.elifs...) {
		branches = append(branches, branch{c.expr(b.test, soft), b.test.at(), orNoop(c.body(b.body, soft))})
	}
	orelse := orNoop(c.body(n.orelse, soft))
	return func(a *activation, o *output) error {
		for i := range branches {
			b := &branches[i]
			v, err := b.test(a)
			if err != nil {
				return err
			}
			t, known, err := a.truth(v, b.at)
			switch {
			case err != nil:
				return err
			case !known:
				return &unknownFlow{v.(value.Unknown)}
			case t:
				return b.body(a, o)
			}
		}
		return orelse(a, o)
	}
}

// An assignFn stores a value in a target.
type assignFn func(a *activation, v value.Value) error

func (c *compiler) target(n node, f *frame) assignFn {
	switch n := n.(type) {
	case *nameExpr:
		r, ok := f.sym.find(n.name)
		if !ok {
			r = f.sym.declare(n.name)
		}
		slot := r.slot()
		if up := hops(f.fn(), r); up > 0 {
			return func(a *activation, v value.Value) error {
				a.outwards(up).slots[slot] = v
				return nil
			}
		}
		return func(a *activation, v value.Value) error {
			a.slots[slot] = v
			return nil
		}
	case *tupleExpr:
		return c.unpack(n, f)
	case *nsExpr:
		return c.nsTarget(n, f)
	}
	c.fail(n.at(), "can't assign to this")
	return func(*activation, value.Value) error { return nil }
}

func (c *compiler) nsTarget(n *nsExpr, f *frame) assignFn {
	x, at := c.name(n.name, n.at(), f), n.at()
	return func(a *activation, v value.Value) error {
		ns, err := x(a)
		if err != nil {
			return err
		}
		target, ok := ns.(*Namespace)
		if !ok {
			if u, unknown := ns.(value.Unknown); unknown {
				return &unknownFlow{u}
			}
			return a.in.fail(at, value.Errorf("TemplateRuntimeError", "cannot assign attribute on non-namespace object"))
		}
		target.Set(n.attr, v)
		return nil
	}
}

// unpack assigns the items of a value to several targets.
func (c *compiler) unpack(n *tupleExpr, f *frame) assignFn {
	targets := make([]assignFn, len(n.items))
	for i, item := range n.items {
		targets[i] = c.target(item, f)
	}
	at := n.at()
	return func(a *activation, v value.Value) error {
		items, err := unpackItems(v, len(targets))
		if err != nil {
			return a.in.fail(at, err)
		}
		for i, assign := range targets {
			item := v // Unknown
			if items != nil {
				item = items[i]
			}
			if err := assign(a, item); err != nil {
				return err
			}
		}
		return nil
	}
}

// unpackItems returns exactly n items of v, or nil when v is Unknown.
func unpackItems(v value.Value, n int) ([]value.Value, error) {
	switch v := v.(type) {
	case value.Tuple:
		if len(v) == n && n > 0 {
			return v, nil
		}
	case value.Unknown:
		return nil, nil
	}
	it, err := value.Iter(v)
	if err != nil {
		if _, ok := err.(*value.Error); ok {
			err = value.Errorf("TypeError", "cannot unpack non-iterable %s object", v.Type())
		}
		return nil, err
	}
	items := make([]value.Value, 0, n)
	for {
		item, ok, err := it.Next()
		switch {
		case err != nil:
			return nil, err
		case !ok && len(items) < n:
			return nil, value.Errorf("ValueError", "not enough values to unpack (expected %d, got %d)", n, len(items))
		case !ok:
			return items, nil
		case len(items) == n:
			return nil, value.Errorf("ValueError", "too many values to unpack (expected %d)", n)
		}
		items = append(items, item)
	}
}

func (c *compiler) set(n *setStmt, f *frame) execFn {
	x, assign := c.expr(n.x, f), c.target(n.target, f)
	publish := c.publish(n.target, f)
	return func(a *activation, _ *output) error {
		v, err := x(a)
		if err != nil {
			return err
		}
		if err := assign(a, v); err != nil {
			return err
		}
		if publish != nil {
			publish(a)
		}
		return nil
	}
}

// publish makes what a set assigned known to the context: on the root level for blocks,
// includes and whoever imports the template, in a loop or block for the functions called
// there.
func (c *compiler) publish(target node, f *frame) func(a *activation) {
	var names []local
	walk(target, func(n node) {
		if name, ok := n.(*nameExpr); ok {
			if r, ok := f.sym.find(name.name); ok {
				names = append(names, f.local(stored{name.name, r}))
			}
		}
	})
	switch {
	case len(names) == 0:
		return nil
	case f.loop || f.block:
		*f.assigned = append(*f.assigned, names...)
		return nil
	case !f.toplevel:
		return nil
	}
	return func(a *activation) {
		for _, s := range names {
			a.in.scope.set(s.name, a.slots[s.slot])
			if !strings.HasPrefix(s.name, "_") {
				a.in.scope.export(s.name)
			}
		}
	}
}

func (c *compiler) setBlock(n *setBlock, f *frame) execFn {
	inner := f.inner()
	inner.outputCheck = false
	inner.sym.analyze(n.body...)
	if n.filter != nil {
		n.filter.args.children(func(x node) { inner.sym.analyze(x) })
	}
	text := c.capture(c.enclosed(inner, n.body), n.at(), c.filterOn(n.filter, inner))
	assign, publish := c.target(n.target, f), c.publish(n.target, f)
	leave := orNoop(c.leave(inner))
	return func(a *activation, o *output) error {
		v, err := text(a)
		if err != nil {
			return err
		}
		if s, ok := v.(value.Str); ok && a.in.scope.autoescape {
			v = value.Markup(s.S)
		}
		if err := assign(a, v); err != nil {
			return err
		}
		if publish != nil {
			publish(a)
		}
		return leave(a, o)
	}
}

// enclosed compiles a body with its frame around it.
func (c *compiler) enclosed(f *frame, nodes []node) execFn {
	enter := c.enter(f)
	return orNoop(inSequence(enter, c.body(nodes, f)))
}

// filterOn returns a constructor of the filter chain over a text; nil when there is none.
func (c *compiler) filterOn(filter *filterExpr, f *frame) func(evalFn) evalFn {
	if filter == nil {
		return nil
	}
	return func(text evalFn) evalFn { return c.filter(filter, f, text) }
}

// capture makes the text that run prints a value, with a filter applied to it if there is
// one. The filter is given Markup where text is escaped.
func (c *compiler) capture(run execFn, at value.Place, filter func(evalFn) evalFn) evalFn {
	escape := c.escape
	captured := func(a *activation) (value.Value, error) {
		o := a.newOutput()
		if err := run(a, o); err != nil {
			return nil, err
		}
		v, err := a.captured(o, at)
		if s, ok := v.(value.Str); ok && filter != nil && a.escapes(escape) {
			v = value.Markup(s.S)
		}
		return v, err
	}
	if filter == nil {
		return captured
	}
	return filter(captured)
}

func (c *compiler) filterBlock(n *filterStmt, f *frame) execFn {
	inner := f.inner()
	inner.sym.analyze(n.body...)
	inner.sym.analyze(n.filter)
	text := c.capture(c.enclosed(inner, n.body), n.at(), c.filterOn(n.filter, inner))
	leave := orNoop(c.leave(inner))
	at := n.at()
	return func(a *activation, o *output) error {
		v, err := text(a)
		if err != nil {
			return err
		}
		if err := o.join(v); err != nil {
			return a.in.fail(at, err)
		}
		return leave(a, o)
	}
}

func (c *compiler) scoped(nodes []node, f *frame) execFn {
	inner := f.inner()
	inner.sym.analyze(nodes...)
	return inSequence(c.enclosed(inner, nodes), c.leave(inner))
}

func (c *compiler) with(n *withStmt, f *frame) execFn {
	inner := f.inner()
	inner.sym.analyze(n.targets...)
	inner.sym.analyze(n.body...)
	enter := c.enter(inner)
	var sets []execFn
	for i, t := range n.targets {
		assign, x := c.target(t, inner), c.expr(n.vals[i], f)
		sets = append(sets, func(a *activation, _ *output) error {
			v, err := x(a)
			if err != nil {
				return err
			}
			return assign(a, v)
		})
	}
	return inSequence(enter, inSequence(sets...), c.body(n.body, inner), c.leave(inner))
}

// autoescape compiles the body for the mode it sets, if that is a constant.
func (c *compiler) autoescape(n *escapeStmt, f *frame) execFn {
	x := c.expr(n.x, f)
	saved := c.escape
	c.escape = escapeVolatile
	if k, ok := n.x.(*constExpr); ok {
		c.escape = escapeOff
		if value.Truth(k.val) {
			c.escape = escapeOn
		}
	}
	body := orNoop(c.body(n.body, f))
	c.escape = saved
	at := n.x.at()
	return func(a *activation, o *output) error {
		v, err := x(a)
		if err != nil {
			return err
		}
		on, known, err := a.truth(v, at)
		switch {
		case err != nil:
			return err
		case !known:
			return &unknownFlow{v.(value.Unknown)}
		}
		s := a.in.scope
		saved := s.autoescape
		s.autoescape = on
		err = body(a, o)
		s.autoescape = saved
		return err
	}
}
