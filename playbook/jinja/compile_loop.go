package jinja

import (
	"orch/playbook/jinja/value"
)

// A loopCode is a compiled for statement.
type loopCode struct {
	at     value.Place
	iter   evalFn
	iterAt value.Place
	assign assignFn
	// test decides over an item; testAssign stores it in variables of the test's own,
	// because a look ahead must not touch those of the body.
	test       evalFn
	testAssign assignFn
	testEnter  execFn
	testAt     value.Place
	loopSlot   int // of the variable loop; -1 when the body does not use it
	enter      execFn
	body       execFn
	leave      execFn
	orelse     execFn
	recursive  bool
	escape     escapeMode
	fn         *function
}

func (c *compiler) forLoop(n *forStmt, f *frame) execFn {
	l := &loopCode{at: n.at(), iterAt: n.iter.at(), loopSlot: -1, recursive: n.recursive, escape: c.escape}
	inner, orelse := f.inner(), f.inner()
	if n.recursive {
		inner, orelse = f.function(), f.function()
		orelse.sym.fn = inner.sym.fn
		inner.outputCheck, orelse.outputCheck = f.outputCheck, f.outputCheck
	}
	inner.loop, inner.assigned = true, new([]local)
	l.fn = inner.fn()
	c.checkLoopName(n)
	if c.extendedLoop(n) {
		l.loopSlot = inner.sym.declare("loop").slot()
	}
	inner.sym.declareTarget(n.target)
	inner.sym.analyze(n.body...)
	orelse.sym.analyze(n.orelse...)
	if n.test != nil {
		c.loopTest(l, n, f)
	}
	l.iter = c.expr(n.iter, f)
	l.assign = c.target(n.target, inner)
	l.enter = c.enter(inner)
	l.body = orNoop(c.body(n.body, inner))
	if !n.recursive || n.orelse != nil {
		l.leave = c.leave(inner)
	}
	if n.orelse != nil {
		l.orelse = inSequence(c.enclosed(orelse, n.orelse), c.leave(orelse))
	}
	if n.recursive {
		return func(a *activation, o *output) error { return l.runRecursive(a, o) }
	}
	return func(a *activation, o *output) error {
		v, err := l.iter(a)
		if err != nil {
			return err
		}
		return l.run(a, o, v, nil, 0)
	}
}

// checkLoopName refuses to assign the variable loop anywhere inside a loop.
func (c *compiler) checkLoopName(n *forStmt) {
	walk(n, func(x node) {
		if name, ok := x.(*nameExpr); ok && name.use == store && name.name == "loop" {
			c.fail(name.at(), "Can't assign to special loop variable in for-loop target")
		}
	})
}

// extendedLoop says whether the loop needs the variable loop.
func (c *compiler) extendedLoop(n *forStmt) bool {
	if n.recursive || undeclared(n.body, "loop")["loop"] {
		return true
	}
	scoped := false
	walk(n, func(x node) {
		if b, ok := x.(*blockStmt); ok && b.scoped {
			scoped = true
		}
	})
	return scoped
}

func (c *compiler) loopTest(l *loopCode, n *forStmt, f *frame) {
	test := f.inner()
	c.spaces++
	test.sym.space = c.spaces
	test.sym.declareTarget(n.target)
	test.sym.analyze(n.test)
	l.testEnter = orNoop(c.enter(test))
	l.testAssign = c.target(n.target, test)
	l.test, l.testAt = c.expr(n.test, test), n.test.at()
}

// A sequence is what a loop walks through: one item after the other, lists live.
type sequence struct {
	list *value.List
	it   *value.Iterator
	i    int
	size int // -1 when only the end will tell
	// keep decides over each item, when set.
	keep func(v value.Value) (bool, error)
}

// newSequence begins to iterate over v.
func newSequence(v value.Value) (*sequence, error) {
	switch v := v.(type) {
	case *value.List:
		return &sequence{list: v, size: len(v.Items)}, nil
	case value.Tuple:
		return &sequence{list: &value.List{Items: v}, size: len(v)}, nil
	}
	it, err := value.Iter(v)
	if err != nil {
		return nil, err
	}
	s := &sequence{it: it, size: -1}
	if _, lazy := v.(*value.Iterator); !lazy {
		if n, err := value.Len(v); err == nil {
			s.size = n
		}
	}
	return s, nil
}

func (s *sequence) next() (value.Value, bool, error) {
	for {
		var v value.Value
		if s.list != nil {
			if s.i >= len(s.list.Items) {
				return nil, false, nil
			}
			v = s.list.Items[s.i]
			s.i++
		} else {
			var ok bool
			var err error
			if v, ok, err = s.it.Next(); err != nil || !ok {
				return nil, false, err
			}
		}
		if s.keep == nil {
			return v, true, nil
		}
		if keep, err := s.keep(v); err != nil || keep {
			return v, err == nil, err
		}
	}
}

// run runs the loop over v. outer is what loop() calls in a recursive loop.
func (l *loopCode) run(a *activation, o *output, v value.Value, recurse func(value.Value, int) (value.Value, error), depth int) error {
	if u, ok := v.(value.Unknown); ok {
		return &unknownFlow{u}
	}
	seq, err := newSequence(v)
	if err != nil {
		return a.in.fail(l.iterAt, err)
	}
	if l.test != nil {
		l.filter(a, seq)
	}
	var loop *Loop
	if l.loopSlot >= 0 {
		loop = &Loop{seq: seq, depth0: depth, recurse: recurse, in: a.in, at: l.at, index0: -1}
		a.slots[l.loopSlot] = missing
	}
	completed, err := l.iterate(a, o, seq, loop)
	if err != nil {
		return err
	}
	if l.leave != nil {
		_ = l.leave(a, o)
	}
	// As in Jinja2, a body that always leaves early counts as never run.
	if !completed && l.orelse != nil {
		return l.orelse(a, o)
	}
	return nil
}

// iterate runs the body for each item; completed is set once it came to its end.
func (l *loopCode) iterate(a *activation, o *output, seq *sequence, loop *Loop) (completed bool, err error) {
	for {
		var item value.Value
		var ok bool
		if loop != nil {
			item, ok, err = loop.advance()
		} else {
			item, ok, err = seq.next()
		}
		if err != nil {
			return completed, a.in.loopError(l.iterAt, err)
		}
		if !ok {
			return completed, nil
		}
		if err := a.in.st.step(); err != nil {
			return completed, a.in.fail(l.at, err)
		}
		if loop != nil {
			a.slots[l.loopSlot] = loop
		}
		if err := l.assign(a, item); err != nil {
			return completed, err
		}
		if l.enter != nil {
			_ = l.enter(a, o)
		}
		switch err := l.body(a, o); err {
		case nil:
			completed = true
		case errContinue:
		case errBreak:
			return completed, nil
		default:
			return completed, err
		}
	}
}

// loopError is an error of the sequence itself; one that depends on an unknown value
// leaves the course of the loop unknown.
func (in *instance) loopError(at value.Place, err error) error {
	if u, ok := err.(*value.UnknownError); ok {
		return &unknownFlow{u.U}
	}
	return in.fail(at, err)
}

// filter makes seq skip the items that the loop's condition refuses.
func (l *loopCode) filter(a *activation, seq *sequence) {
	seq.size = -1
	if l.recursive { // the condition belongs to the function around
		a = a.up
	}
	entered := false
	seq.keep = func(v value.Value) (bool, error) {
		if !entered {
			entered = true
			_ = l.testEnter(a, nil)
		}
		if err := l.testAssign(a, v); err != nil {
			return false, err
		}
		r, err := l.test(a)
		if err != nil {
			return false, err
		}
		t, known, err := a.truth(r, l.testAt)
		if err == nil && !known {
			return false, &unknownFlow{r.(value.Unknown)}
		}
		return t, err
	}
}

// runRecursive runs a loop that can call itself: its body is a function whose text is
// printed.
func (l *loopCode) runRecursive(a *activation, o *output) error {
	v, err := l.iter(a)
	if err != nil {
		return err
	}
	text, err := l.recurse(a, v, 0)
	if err != nil {
		return err
	}
	if err := o.print(text); err != nil {
		return a.in.fail(l.at, err)
	}
	return nil
}

func (l *loopCode) recurse(a *activation, v value.Value, depth int) (value.Value, error) {
	st := a.in.st
	if err := st.descend(); err != nil {
		return nil, a.in.fail(l.at, err)
	}
	defer st.ascend()
	act := &activation{slots: make([]value.Value, l.fn.n), up: a, in: a.in}
	out := act.newOutput()
	again := func(v value.Value, depth int) (value.Value, error) { return l.recurse(a, v, depth) }
	if err := l.run(act, out, v, again, depth); err != nil {
		return nil, err
	}
	text, err := act.captured(out, l.at)
	if s, ok := text.(value.Str); ok && a.escapes(l.escape) {
		text = value.Markup(s.S)
	}
	return text, err
}
