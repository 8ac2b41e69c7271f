package jinja

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"orch/playbook/jinja/value"
)

// An Env compiles templates and expressions. It is frozen and safe for any number of
// goroutines.
type Env struct {
	opts    Options
	syn     *syntax
	limits  Limits
	filters map[string]*Filter
	tests   map[string]*Test
	globals map[string]value.Value
	cache   *cache

	// overlays are shared by everything derived from one environment.
	overlays *overlays
}

// maxOverlays bounds how many derived environments are remembered.
const maxOverlays = 64

type overlays struct {
	mu   sync.Mutex
	envs map[overlayKey]*Env
}

// An overlayKey is the options that an overlay may change.
type overlayKey struct {
	delims                                                [6]string
	statement, comment, newline                           string
	trim, lstrip, keep, do, loops, chain, lenient, strict bool
	backslashes, quotes, autoescape, debug                bool
}

func (o *Options) key() overlayKey {
	return overlayKey{
		delims:    [6]string{o.BlockStart, o.BlockEnd, o.VariableStart, o.VariableEnd, o.CommentStart, o.CommentEnd},
		statement: o.LineStatementPrefix, comment: o.LineCommentPrefix, newline: o.NewlineSequence,
		trim: o.TrimBlocks, lstrip: o.LstripBlocks, keep: o.KeepTrailingNewline, do: o.Do, loops: o.LoopControls,
		chain: o.Chainable, lenient: o.Lenient, strict: o.StrictNames, backslashes: o.EscapeBackslashes,
		quotes:     o.EscapedQuotes,
		autoescape: o.Autoescape, debug: o.Debug,
	}
}

// New makes an environment. The maps of o are copied.
func New(o Options) (*Env, error) {
	e := &Env{
		opts:     o,
		filters:  builtinFilters(),
		tests:    builtinTests(),
		globals:  builtinGlobals(),
		overlays: &overlays{envs: map[overlayKey]*Env{}},
	}
	maps.Copy(e.filters, o.Filters)
	maps.Copy(e.tests, o.Tests)
	maps.Copy(e.globals, o.Globals)
	e.opts.Filters, e.opts.Tests, e.opts.Globals = nil, nil, nil
	if err := e.prepare(); err != nil {
		return nil, err
	}
	return e, nil
}

// prepare fills in defaults and checks the options.
func (e *Env) prepare() error {
	o := &e.opts
	for _, d := range []struct {
		opt   *string
		value string
	}{
		{&o.BlockStart, "{%"},
		{&o.BlockEnd, "%}"},
		{&o.VariableStart, "{{"},
		{&o.VariableEnd, "}}"},
		{&o.CommentStart, "{#"},
		{&o.CommentEnd, "#}"},
		{&o.NewlineSequence, "\n"},
	} {
		if *d.opt == "" {
			*d.opt = d.value
		}
	}
	if o.BlockStart == o.VariableStart || o.BlockStart == o.CommentStart || o.VariableStart == o.CommentStart {
		return fmt.Errorf("block, variable and comment start strings must be different, got %q, %q and %q",
			o.BlockStart, o.VariableStart, o.CommentStart)
	}
	if !slices.Contains([]string{"\n", "\r", "\r\n"}, o.NewlineSequence) {
		return fmt.Errorf("newline sequence %q must be one of \"\\n\", \"\\r\", \"\\r\\n\"", o.NewlineSequence)
	}
	e.limits = o.Limits
	for _, l := range []struct {
		opt   *int
		value int
	}{
		{&e.limits.Output, 64 << 20},
		{&e.limits.Steps, 50_000_000},
		{&e.limits.Recursion, 200},
		{&e.limits.Range, 10_000_000},
	} {
		if *l.opt <= 0 {
			*l.opt = l.value
		}
	}
	e.syn = newSyntax(o)
	e.cache = newCache()
	return nil
}

// Overlay derives an environment with other delimiters, whitespace rules or strictness:
// what a `#jinja2:` header changes. Filters, tests, globals, the loader, the limits and
// the hooks stay those of e, whatever change does to them. Equal overlays are one.
func (e *Env) Overlay(change func(o *Options)) (*Env, error) {
	o := e.opts
	change(&o)
	o.Filters, o.Tests, o.Globals = nil, nil, nil
	o.Loader, o.Limits, o.Finalize, o.Concat = e.opts.Loader, e.opts.Limits, e.opts.Finalize, e.opts.Concat
	d := *e
	d.opts = o
	if d.opts.key() == e.opts.key() {
		return e, nil
	}
	e.overlays.mu.Lock()
	defer e.overlays.mu.Unlock()
	key := o.key()
	if known := e.overlays.envs[key]; known != nil {
		return known, nil
	}
	if err := d.prepare(); err != nil {
		return nil, err
	}
	if len(e.overlays.envs) >= maxOverlays {
		clear(e.overlays.envs)
	}
	e.overlays.envs[key] = &d
	return &d, nil
}

// BuiltinFilters returns Jinja2's own filters by their names; the map is the caller's.
func BuiltinFilters() map[string]*Filter { return builtinFilters() }

// HasFilter says whether there is a filter of that name.
func (e *Env) HasFilter(name string) bool { return e.filters[name] != nil }

// HasTest says whether there is a test of that name.
func (e *Env) HasTest(name string) bool { return e.tests[name] != nil }

// missing words the lack of a filter or test: as Options.Missing does, or in Jinja's own
// words for the place.
func (e *Env) missing(what, name, own string) error {
	if e.opts.Missing != nil {
		return errors.New(e.opts.Missing(what, name))
	}
	return fmt.Errorf(own, name)
}

// IsTemplate says quickly whether src contains anything to evaluate: a start delimiter or
// a line prefix. It does not say that src is a valid template.
func (e *Env) IsTemplate(src string) bool {
	for _, r := range e.syn.rules {
		if strings.Contains(src, r.text) {
			return true
		}
	}
	return false
}

// Expr compiles an expression, without delimiters.
func (e *Env) Expr(src string) (*Expr, error) {
	p, err := e.cache.get(cacheKey{src, exprSource}, func() (*program, error) {
		n, err := parseExpression(e.syn, src)
		if err != nil {
			return nil, err
		}
		return compileExpression(e, n)
	})
	if err != nil {
		return nil, err
	}
	return &Expr{env: e, prog: p}, nil
}

// Template compiles a template. name stands in errors and is what the loader is told.
func (e *Env) Template(name, src string) (*Template, error) {
	p, err := e.cache.get(cacheKey{src, templateSource}, func() (*program, error) {
		t, err := parseTemplate(e.syn, src)
		if err != nil {
			return nil, err
		}
		p, err := compileTemplate(e, t)
		p.anonymous = Template{env: e, prog: p}
		return p, err
	})
	if err != nil {
		return nil, syntaxError(name, err)
	}
	if name == "" {
		return &p.anonymous, nil
	}
	return &Template{env: e, name: name, prog: p}, nil
}

// An Expr is a compiled expression.
type Expr struct {
	env  *Env
	prog *program
}

// A Template is a compiled template.
type Template struct {
	env  *Env
	name string
	prog *program
}

// An evaluation is all that one needs to run, in one allocation.
type evaluation struct {
	state    state
	scope    scope
	instance instance
	act      activation
	free     [4]value.Value
	slots    [2]value.Value
	running  [1]*instance
	call     Call
}

// start prepares an evaluation. The slices inside it are used when they are large enough.
func start(ctx context.Context, env *Env, name string, p *program, vars Vars) *evaluation {
	e := &evaluation{}
	e.init(ctx, env, name, p, vars)
	return e
}

func (e *evaluation) init(ctx context.Context, env *Env, name string, p *program, vars Vars) {
	if vars == nil {
		vars = MapVars(nil)
	}
	e.state = state{ctx: ctx, done: ctx.Done(), env: env, vars: vars, clone: p.mutates || p.composed}
	if p.composed {
		e.state.memo = map[string]value.Value{}
	}
	e.scope.name, e.scope.autoescape = name, env.opts.Autoescape
	e.instance = instance{st: &e.state, env: env, scope: &e.scope, prog: p, name: name}
	e.instance.free = sized(e.free[:], len(p.free))
	e.running[0] = &e.instance
	e.call = Call{Ctx: ctx, Env: env, Vars: vars, in: &e.instance}
	e.instance.spare = &e.call
	e.scope.instances = e.running[:]
	e.act = activation{slots: sized(e.slots[:], p.slots), in: &e.instance}
}

// idle are evaluations to use again.
var idle = sync.Pool{New: func() any { return new(evaluation) }}

// value evaluates an expression that is all of a program. When nothing in it can hold on
// to the evaluation, as calls and filters may, the evaluation is used again.
func (p *program) value(ctx context.Context, env *Env, name string, x evalFn, vars Vars, native bool) (value.Value, error) {
	if p.retains {
		e := start(ctx, env, name, p, vars)
		e.state.native = native
		return outcome(x(&e.act))
	}
	e := idle.Get().(*evaluation)
	e.init(ctx, env, name, p, vars)
	v, err := x(&e.act)
	*e = evaluation{}
	idle.Put(e)
	return outcome(v, err)
}

func sized(room []value.Value, n int) []value.Value {
	if n <= len(room) {
		return room[:n]
	}
	return make([]value.Value, n)
}

// outcome turns the end of an evaluation whose course was not known into Unknown.
func outcome(v value.Value, err error) (value.Value, error) {
	if u, ok := err.(*unknownFlow); ok {
		return u.u, nil
	}
	if err != nil {
		return nil, err
	}
	return v, nil
}

// Eval evaluates the expression. The result may be *value.Undefined or value.Unknown.
func (x *Expr) Eval(ctx context.Context, vars Vars) (value.Value, error) {
	return x.prog.value(ctx, x.env, "", x.prog.expr, vars, false)
}

// FreeNames are the variables the expression asks for.
func (x *Expr) FreeNames() []Ref { return x.prog.freeNames(x.env) }

// Filters are the filters the expression uses.
func (x *Expr) Filters() []Ref { return slices.Clone(x.prog.filters) }

// Tests are the tests the expression uses.
func (x *Expr) Tests() []Ref { return slices.Clone(x.prog.tests) }

// maxSizeHint bounds the room made for an output beforehand.
const maxSizeHint = 1 << 20

// Render prints the template: a Str, or Unknown when what it prints is not known.
func (t *Template) Render(ctx context.Context, vars Vars) (value.Value, error) {
	if t.prog.single != nil && !t.env.opts.Autoescape {
		return t.renderSingle(ctx, vars)
	}
	o := t.env.textOutput()
	o.buf.Grow(int(t.prog.size.Load()))
	if err := t.run(ctx, vars, o, false); err != nil {
		return outcome(nil, err)
	}
	t.prog.size.Store(int64(min(o.buf.Len(), maxSizeHint)))
	return o.text(), nil
}

// RenderPartly prints the template with stand in the place of what it prints and nobody
// knows yet. It is Unknown still when the course of the evaluation is not known.
func (t *Template) RenderPartly(ctx context.Context, vars Vars, stand string) (value.Value, error) {
	o := t.env.textOutput()
	o.stand = stand
	if err := t.run(ctx, vars, o, false); err != nil {
		return outcome(nil, err)
	}
	return o.text(), nil
}

// renderSingle renders a template that is one expression without collecting output.
func (t *Template) renderSingle(ctx context.Context, vars Vars) (value.Value, error) {
	v, err := t.prog.value(ctx, t.env, t.name, t.prog.single, vars, false)
	if err != nil {
		return nil, err
	}
	if s, ok := v.(value.Str); ok && s.From == nil && !s.Text {
		return v, nil
	}
	o := t.env.textOutput()
	if err := o.print(v); err != nil {
		in := instance{env: t.env, name: t.name}
		return nil, in.fail(t.prog.singleAt, err)
	}
	return o.text(), nil
}

func (t *Template) run(ctx context.Context, vars Vars, o *output, native bool) error {
	e := start(ctx, t.env, t.name, t.prog, vars)
	e.state.native, o.native = native, native
	if !t.prog.composed {
		return t.prog.execute(&e.act, o)
	}
	e.scope.addBlocks(t)
	return e.scope.run(&e.state, t, o)
}

// Parts evaluates the template and returns what its nodes printed, one value each, not
// made text: what native types are made of. An Unknown, or an undefined value, may be
// among them.
func (t *Template) Parts(ctx context.Context, vars Vars) ([]value.Value, error) {
	o := t.env.textOutput()
	err := t.run(ctx, vars, o, true)
	if u, ok := err.(*unknownFlow); ok {
		return []value.Value{u.u}, nil
	}
	return o.parts, err
}

// Native evaluates the template to a value: what Options.Concat makes of its nodes.
// Without Concat a template that is a single expression yields its value untouched (also
// an undefined one, and a bare reference to a string keeps its origin), any other text.
func (t *Template) Native(ctx context.Context, vars Vars) (value.Value, error) {
	concat := t.env.opts.Concat
	if t.prog.single == nil && concat == nil {
		return t.Render(ctx, vars)
	}
	var nodes []value.Value
	if t.prog.single != nil {
		v, err := t.prog.value(ctx, t.env, t.name, t.prog.single, vars, true)
		if err != nil || concat == nil {
			return v, err
		}
		nodes = []value.Value{v}
	} else {
		var err error
		if nodes, err = t.Parts(ctx, vars); err != nil {
			return nil, err
		}
	}
	for _, v := range nodes {
		if value.IsUnknown(v) {
			return v, nil
		}
	}
	v, err := concat(nodes)
	in := instance{env: t.env, name: t.name}
	return in.settle(value.Place{Line: 1, Col: 1}, v, err)
}

// Single says whether the template is one expression and nothing else.
func (t *Template) Single() bool { return t.prog.single != nil }

// Name is the template's name.
func (t *Template) Name() string { return t.name }

// FreeNames are the variables the template asks for and does not set itself.
func (t *Template) FreeNames() []Ref { return t.prog.freeNames(t.env) }

// Filters are the filters the template uses.
func (t *Template) Filters() []Ref { return slices.Clone(t.prog.filters) }

// Tests are the tests the template uses.
func (t *Template) Tests() []Ref { return slices.Clone(t.prog.tests) }

func (p *program) freeNames(env *Env) []Ref {
	var refs []Ref
	for i, name := range p.free {
		if _, global := env.globals[name]; p.asked[i] && !global {
			refs = append(refs, Ref{name, p.freeAt[i]})
		}
	}
	slices.SortStableFunc(refs, func(a, b Ref) int {
		if a.At.Line != b.At.Line {
			return a.At.Line - b.At.Line
		}
		return a.At.Col - b.At.Col
	})
	return refs
}
