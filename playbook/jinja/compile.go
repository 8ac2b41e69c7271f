package jinja

import (
	"fmt"
	"sync/atomic"

	"orch/playbook/jinja/value"
)

// A program is a compiled template or expression. But for size it is never changed
// afterwards, and it knows no name, so that one source is compiled once.
type program struct {
	size  atomic.Int64 // how much it printed the last time
	root  execFn
	slots int
	// expr is set for an expression, single for a template that is one {{ }} and nothing
	// else: both give its value.
	expr, single evalFn
	singleAt     value.Place
	anonymous    Template // the program as a template without a name
	// free are the names looked up in the context, freeAt where each comes up first.
	free      []string
	freeIndex map[string]int
	freeAt    []value.Place
	// asked is set for the names that are looked up at all: others stand for variables of
	// the template that may be unset.
	asked   []bool
	blocks  map[string]*block
	extends bool
	// composed is set when other templates may take part, mutates when a method may be
	// called that changes a value the template did not make.
	composed, mutates bool
	// retains is set when values may hold on to the evaluation: a call's does.
	retains        bool
	filters, tests []Ref
	judged         []int // the values of a filled expression whose truth is asked for
}

// An escapeMode is whether printed values are escaped where a node stands.
type escapeMode uint8

const (
	escapeOff escapeMode = iota
	escapeOn
	escapeVolatile // decided when it runs
)

// A compiler turns the nodes of one template into closures.
type compiler struct {
	env    *Env
	prog   *program
	err    error
	escape escapeMode
	spaces int

	// The state of inheritance while the root level is compiled.
	extendsSoFar int
	knownExtends bool
	blocks       map[string]*blockStmt

	single node // the expression that is the whole template
	bare   bool // nothing has to be set before the root level runs
}

// A frame is the scope that is being compiled.
type frame struct {
	sym            *symbols
	toplevel, root bool
	loop, block    bool // directly inside of
	soft           bool
	outputCheck    bool
	assigned       *[]local // by set, in this loop body or block, so far
}

func (f *frame) fn() *function { return f.sym.fn }

// inner makes the frame of a scope inside f.
func (f *frame) inner() *frame {
	return &frame{sym: newSymbols(f.sym.fn, f.sym), outputCheck: f.outputCheck}
}

// function makes the frame of a function inside f.
func (f *frame) function() *frame {
	return &frame{sym: newSymbols(newFunction(f.sym.fn), f.sym)}
}

// softly makes the frame of a branch: it shares f's scope, but what it names need not
// exist.
func (f *frame) softly() *frame {
	s := *f
	s.root, s.soft = false, true
	return &s
}

func compileTemplate(env *Env, t *template) (*program, error) {
	c := newCompiler(env)
	c.prog.mutates = mutates(t.body)
	walk(t, func(n node) {
		switch n := n.(type) {
		case *blockStmt:
			c.prog.composed = true
			if c.blocks[n.name] != nil {
				c.fail(n.at(), "block '%s' defined twice", n.name)
			}
			c.blocks[n.name] = n
		case *extendsStmt:
			c.prog.composed, c.prog.extends = true, true
		case *includeStmt, *importStmt, *fromStmt:
			c.prog.composed = true
		}
	})
	f := c.rootFrame()
	f.outputCheck = c.prog.extends
	var selfRef *ref
	if undeclared(t.body, "self")["self"] {
		r := f.sym.declare("self")
		selfRef = &r
	}
	f.sym.analyze(t.body...)
	enter := c.enter(f)
	if selfRef != nil {
		enter = c.declareSelf(enter, *selfRef)
	}
	c.single, c.bare = single(t), enter == nil
	body := c.body(t.body, f)
	c.prog.root = inSequence(enter, body)
	c.prog.slots = f.fn().n
	for name, b := range c.blocks {
		c.prog.blocks[name] = c.blockBody(name, b)
	}
	c.prog.slots = f.fn().n
	return c.prog, c.err
}

// single returns the expression of a template that is nothing else.
func single(t *template) node {
	if len(t.body) != 1 {
		return nil
	}
	o, ok := t.body[0].(*outputStmt)
	if !ok || len(o.parts) != 1 {
		return nil
	}
	if _, data := o.parts[0].(*dataNode); data {
		return nil
	}
	return o.parts[0]
}

func compileExpression(env *Env, n node) (*program, error) {
	c := newCompiler(env)
	c.prog.mutates = mutates([]node{n})
	f := c.rootFrame()
	f.sym.analyze(n)
	c.enter(f) // registers the free names; an expression has nothing else to enter
	c.prog.expr = c.expr(n, f)
	c.prog.slots = f.fn().n
	return c.prog, c.err
}

func newCompiler(env *Env) *compiler {
	c := &compiler{env: env, blocks: map[string]*blockStmt{}}
	c.prog = &program{freeIndex: map[string]int{}, blocks: map[string]*block{}}
	if env.opts.Autoescape {
		c.escape = escapeOn
	}
	return c
}

func (c *compiler) rootFrame() *frame {
	return &frame{sym: newSymbols(newFunction(nil), nil), toplevel: true, root: true}
}

func (c *compiler) fail(at value.Place, format string, args ...any) {
	if c.err == nil {
		c.err = &Error{At: at, Msg: fmt.Sprintf(format, args...), Syntax: true}
	}
}

// freeName registers a name that comes from the context.
func (c *compiler) freeName(name string, at value.Place) int {
	i, ok := c.prog.freeIndex[name]
	if !ok {
		i = len(c.prog.free)
		c.prog.freeIndex[name] = i
		c.prog.free = append(c.prog.free, name)
		c.prog.freeAt = append(c.prog.freeAt, at)
		c.prog.asked = append(c.prog.asked, false)
	} else if c.prog.freeAt[i] == (value.Place{}) {
		c.prog.freeAt[i] = at
	}
	return i
}

// A local is a variable as seen from a function: so many activations outwards.
type local struct {
	name       string
	hops, slot int
}

func (f *frame) local(s stored) local {
	return local{s.name, hops(f.fn(), s.ref), s.ref.slot()}
}

// visible are the assigned variables of the scope and those around it, innermost first.
func (f *frame) visible() []local {
	var out []local
	for _, s := range f.sym.allStores() {
		out = append(out, f.local(s))
	}
	return out
}

// get reads the variable; false while it is unset.
func (a *activation) get(l local) (value.Value, bool) {
	v := a.outwards(l.hops).slots[l.slot]
	return v, v != nil && v != missing
}

// hops is how many activations outwards from fn the variable lives.
func hops(fn *function, r ref) int {
	n := 0
	for fn != r.fn {
		fn = fn.parent
		n++
	}
	return n
}

func (a *activation) outwards(n int) *activation {
	for ; n > 0; n-- {
		a = a.up
	}
	return a
}

// enter sets the variables of a scope to what they begin with. What comes from the
// context is looked up only when it is used.
func (c *compiler) enter(f *frame) execFn {
	type alias struct{ slot, hops, from int }
	var unset, lazy []int
	var aliases []alias
	for _, r := range f.sym.order {
		switch l := f.sym.loads[r]; l.kind {
		case loadResolve:
			c.prog.asked[c.freeName(l.name, value.Place{})] = true
			if f.sym.isStored(l.name) {
				lazy = append(lazy, r.slot())
			}
		case loadUndefined:
			unset = append(unset, r.slot())
		case loadAlias:
			aliases = append(aliases, alias{r.slot(), hops(f.fn(), l.from), l.from.slot()})
		}
	}
	if len(unset)+len(lazy)+len(aliases) == 0 {
		return nil
	}
	return func(a *activation, _ *output) error {
		for _, i := range unset {
			a.slots[i] = missing
		}
		for _, i := range lazy {
			a.slots[i] = nil
		}
		for _, al := range aliases {
			a.slots[al.slot] = a.outwards(al.hops).slots[al.from]
		}
		return nil
	}
}

// leave unsets the variables of a scope: a macro made inside may be called later.
func (c *compiler) leave(f *frame) execFn {
	slots := make([]int, 0, len(f.sym.order))
	for _, r := range f.sym.order {
		if l := f.sym.loads[r]; l.kind != loadResolve || f.sym.isStored(l.name) {
			slots = append(slots, r.slot())
		}
	}
	if len(slots) == 0 {
		return nil
	}
	return func(a *activation, _ *output) error {
		for _, i := range slots {
			a.slots[i] = missing
		}
		return nil
	}
}

// name compiles the use of a variable.
func (c *compiler) name(name string, at value.Place, f *frame) evalFn {
	r, ok := f.sym.find(name)
	if !ok { // a name the analysis of its scope does not cover: it is not set there
		c.prog.asked[c.freeName(name, at)] = true
		return c.free(name, at)
	}
	rule, _ := f.sym.loadOf(r)
	if rule.kind == loadResolve && !f.sym.assigned(name) {
		return c.free(name, at)
	}
	up, slot := hops(f.fn(), r), r.slot()
	resolve := c.free(name, at)
	if up == 0 {
		return func(a *activation) (value.Value, error) {
			v := a.slots[slot]
			if v == nil {
				return resolve(a)
			}
			if v == missing {
				return a.in.undefined(name, at), nil
			}
			return v, nil
		}
	}
	return func(a *activation) (value.Value, error) {
		v := a.outwards(up).slots[slot]
		if v == nil {
			return resolve(a)
		}
		if v == missing {
			return a.in.undefined(name, at), nil
		}
		return v, nil
	}
}

// free compiles the use of a variable from the context.
func (c *compiler) free(name string, at value.Place) evalFn {
	i := c.freeName(name, at)
	return func(a *activation) (value.Value, error) {
		v := a.in.free[i]
		if v == nil {
			var err error
			if v, err = a.in.resolve(i); err != nil {
				return nil, a.in.fail(at, err)
			}
		}
		if v == missing {
			return a.in.undefined(name, at), nil
		}
		return v, nil
	}
}

// body compiles statements; nil for none.
func (c *compiler) body(nodes []node, f *frame) execFn {
	var list []execFn
	for _, n := range nodes {
		run, end := c.statement(n, f)
		if run != nil {
			list = append(list, run)
		}
		if end {
			break
		}
	}
	return inSequence(list...)
}

func inSequence(list ...execFn) execFn {
	run := make([]execFn, 0, len(list))
	for _, f := range list {
		if f != nil {
			run = append(run, f)
		}
	}
	switch len(run) {
	case 0:
		return nil
	case 1:
		return run[0]
	}
	return func(a *activation, o *output) error {
		for _, f := range run {
			if err := f(a, o); err != nil {
				return err
			}
		}
		return nil
	}
}

func noop(*activation, *output) error { return nil }

// orNoop makes a missing body callable.
func orNoop(f execFn) execFn {
	if f == nil {
		return noop
	}
	return f
}
