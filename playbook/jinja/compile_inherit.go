package jinja

import (
	"errors"
	"fmt"
	"strings"

	"orch/playbook/jinja/value"
)

// A block is the compiled body of a block statement. It belongs to the template it
// stands in and runs in the scope of the template that is rendered.
type block struct {
	name  string
	prog  *program
	run   execFn
	slots int
	super int // slot of super; -1 when unused
	self  int
}

func (c *compiler) blockBody(name string, n *blockStmt) *block {
	f := &frame{sym: newSymbols(newFunction(nil), nil), block: true, assigned: new([]local)}
	b := &block{name: name, prog: c.prog, super: -1, self: -1}
	used := undeclared(n.body, "self", "super")
	if used["self"] {
		b.self = f.sym.declare("self").slot()
	}
	if used["super"] {
		b.super = f.sym.declare("super").slot()
	}
	f.sym.analyze(n.body...)
	b.run = c.enclosed(f, n.body)
	b.slots = f.fn().n
	return b
}

// A placedBlock is a block with the name of the template it stands in.
type placedBlock struct {
	*block
	tpl *Template
}

// runBlock runs level i of a block in scope s.
func runBlock(st *state, s *scope, name string, i int, o *output) error {
	list := s.blocks[name]
	b := list[i]
	in := s.instance(st, b.tpl)
	if err := st.descend(); err != nil {
		return in.fail(value.Place{}, err)
	}
	defer st.ascend()
	a := &activation{slots: make([]value.Value, b.slots), in: in}
	if b.self >= 0 {
		a.slots[b.self] = &selfRef{st: st, scope: s}
	}
	if b.super >= 0 {
		a.slots[b.super] = superOf(st, s, name, i)
	}
	return b.run(a, o)
}

func superOf(st *state, s *scope, name string, i int) value.Value {
	if i+1 >= len(s.blocks[name]) {
		return &value.Undefined{
			Name: "super", Hint: fmt.Sprintf("there is no parent block called '%s'.", name),
			Lenient: st.env.opts.Lenient,
		}
	}
	return &blockRef{st: st, scope: s, name: name, level: i + 1}
}

// A blockRef is super, or a block as an attribute of self.
type blockRef struct {
	st    *state
	scope *scope
	name  string
	level int
}

// Type implements value.Value.
func (*blockRef) Type() string { return "BlockReference" }

// Attr implements value.Object.
func (b *blockRef) Attr(name string) (value.Value, bool, error) {
	switch name {
	case "super":
		return superOf(b.st, b.scope, b.name, b.level), true, nil
	case "name":
		return value.S(b.name), true, nil
	}
	return nil, false, nil
}

// Call implements Func: the text of the block.
func (b *blockRef) Call(_ *Call, args Args) (value.Value, error) {
	if n := len(args.Pos) + len(args.Named); n > 0 {
		return nil, value.Errorf("TypeError", "BlockReference.__call__() takes 1 positional argument but %d were given", n+1)
	}
	a := &activation{in: &instance{st: b.st, env: b.st.env, scope: b.scope, name: b.scope.name}}
	o := a.newOutput()
	if err := runBlock(b.st, b.scope, b.name, b.level, o); err != nil {
		return nil, err
	}
	v, err := a.captured(o, value.Place{})
	if s, ok := v.(value.Str); ok && b.scope.autoescape {
		v = value.Markup(s.S)
	}
	return v, err
}

// A selfRef is the variable self: the blocks as attributes.
type selfRef struct {
	st    *state
	scope *scope
}

// Type implements value.Value.
func (*selfRef) Type() string { return "TemplateReference" }

// Attr implements value.Object.
func (s *selfRef) Attr(name string) (value.Value, bool, error) {
	if len(s.scope.blocks[name]) == 0 {
		return nil, false, nil
	}
	return &blockRef{st: s.st, scope: s.scope, name: name}, true, nil
}

// Str implements value.Texter.
func (s *selfRef) Str() string { return s.Repr() }

// Repr implements value.Texter.
func (s *selfRef) Repr() string {
	return "<TemplateReference " + nameRepr(s.scope.name) + ">"
}

// nameRepr is the repr of a template's name, which may have none.
func nameRepr(name string) string {
	if name == "" {
		return "None"
	}
	return value.Repr(value.S(name))
}

// declareSelf sets the variable self of the root level.
func (c *compiler) declareSelf(enter execFn, r ref) execFn {
	slot := r.slot()
	return inSequence(enter, func(a *activation, _ *output) error {
		a.slots[slot] = &selfRef{st: a.in.st, scope: a.in.scope}
		return nil
	})
}

func (c *compiler) block(n *blockStmt, f *frame) execFn {
	if f.toplevel && c.knownExtends {
		return nil
	}
	check := f.toplevel && c.extendsSoFar > 0
	name, at, scoped, required := n.name, n.at(), n.scoped, n.required
	names := f.visible()
	return func(a *activation, o *output) error {
		s := a.in.scope
		if check && s.extended() {
			return nil
		}
		if required && len(s.blocks[name]) <= 1 {
			return a.in.fail(at, value.Errorf("TemplateRuntimeError", "Required block '%s' not found", name))
		}
		if scoped {
			s = s.derive(a.locals(names))
		}
		return runBlock(a.in.st, s, name, 0, o)
	}
}

// locals are the current values of variables that are set.
func (a *activation) locals(names []local) map[string]value.Value {
	m := make(map[string]value.Value, len(names))
	for _, n := range names {
		if v, ok := a.get(n); ok {
			m[n.name] = v
		}
	}
	return m
}

// extended says whether an extends statement ran: the template's own text is not printed.
func (s *scope) extended() bool { return s.parent != nil }

func (c *compiler) extends(n *extendsStmt, f *frame) (execFn, bool) {
	if !f.toplevel {
		c.fail(n.at(), "cannot use extend from a non top-level scope")
		return nil, true
	}
	again, known := c.extendsSoFar > 0, c.knownExtends
	x, at := c.expr(n.template, f), n.at()
	if f.root {
		c.knownExtends = true
	}
	c.extendsSoFar++
	return func(a *activation, _ *output) error {
		s := a.in.scope
		if known || again && s.extended() {
			return a.in.fail(at, value.Errorf("TemplateRuntimeError", "extended multiple times"))
		}
		v, err := x(a)
		if err != nil {
			return err
		}
		t, err := a.in.load(v, at, false)
		if err != nil {
			return err
		}
		s.parent = t
		s.addBlocks(t)
		return nil
	}, known
}

func (s *scope) addBlocks(t *Template) {
	if s.blocks == nil {
		s.blocks = make(map[string][]placedBlock, len(t.prog.blocks))
	}
	for name, b := range t.prog.blocks {
		s.blocks[name] = append(s.blocks[name], placedBlock{b, t})
	}
}

// run renders a template's root level in the scope, and what it extends.
func (s *scope) run(st *state, t *Template, o *output) error {
	for depth := 0; t != nil; depth++ {
		if err := st.descend(); err != nil {
			return &Error{Template: t.name, Msg: err.Error(), Err: err}
		}
		in := s.instance(st, t)
		a := &activation{slots: make([]value.Value, t.prog.slots), in: in}
		s.parent = nil
		err := t.prog.execute(a, o)
		if err != nil {
			return err
		}
		t = s.parent
		defer st.ascend()
	}
	return nil
}

func (p *program) execute(a *activation, o *output) error {
	if p.root == nil {
		return nil
	}
	return p.root(a, o)
}

// errMissingTemplate marks the error of a template that the loader does not have.
type errMissingTemplate struct{ msg string }

// Error implements error.
func (e *errMissingTemplate) Error() string { return e.msg }

// Is makes it fs.ErrNotExist.
func (e *errMissingTemplate) Is(target error) bool { return target == ErrNotFound }

// load finds a template by the value of an expression: a name or, with list, also a list
// of names of which the first that exists is taken.
func (in *instance) load(v value.Value, at value.Place, list bool) (*Template, error) {
	switch v := v.(type) {
	case value.Unknown:
		return nil, &unknownFlow{v}
	case *value.Undefined:
		return nil, in.fail(at, &value.UndefinedError{U: v})
	case value.Str, value.Markup:
		name, _ := stringOf(v)
		t, err := in.get(name)
		if err != nil {
			return nil, in.fail(at, err)
		}
		return t, nil
	}
	if !list {
		return nil, in.fail(at, &errMissingTemplate{value.String(v)})
	}
	var names []value.Value
	if value.Truth(v) {
		var err error
		if names, err = value.Items(v); err != nil {
			_, err = in.settle(at, nil, err)
			return nil, err
		}
	}
	if len(names) == 0 {
		return nil, in.fail(at, &errMissingTemplate{"Tried to select from an empty list of templates"})
	}
	var tried []string
	for _, n := range names {
		switch n := n.(type) {
		case value.Unknown:
			return nil, &unknownFlow{n}
		case *value.Undefined:
			tried = append(tried, n.Message())
			continue
		}
		name := value.String(n)
		t, err := in.get(name)
		if err == nil {
			return t, nil
		}
		if !errors.Is(err, ErrNotFound) {
			return nil, in.fail(at, err)
		}
		tried = append(tried, name)
	}
	return nil, in.fail(at, &errMissingTemplate{"none of the templates given were found: " + strings.Join(tried, ", ")})
}

// get loads and compiles a template by name.
func (in *instance) get(name string) (*Template, error) {
	loader := in.env.opts.Loader
	if loader == nil {
		return nil, &errMissingTemplate{fmt.Sprintf("no loader for this environment specified, '%s' can not be loaded", name)}
	}
	src, err := loader.Load(in.st.ctx, name, in.name)
	if errors.Is(err, ErrNotFound) {
		return nil, &errMissingTemplate{name + " not found"}
	}
	if err != nil {
		return nil, err
	}
	return in.env.Template(name, src)
}

func (c *compiler) include(n *includeStmt, f *frame) execFn {
	x, at := c.expr(n.template, f), n.at()
	names := f.visible()
	ignore, with := n.ignoreMissing, n.withContext
	return func(a *activation, o *output) error {
		v, err := x(a)
		if err != nil {
			return err
		}
		t, err := a.in.load(v, at, true)
		if err != nil {
			var e *errMissingTemplate
			if ignore && errors.As(err, &e) {
				return nil
			}
			return err
		}
		st := a.in.st
		if !with {
			m, err := st.module(t)
			if err != nil {
				return err
			}
			return m.print(o)
		}
		s := a.in.scope.derive(a.locals(names))
		s.blocks, s.name, s.autoescape = nil, t.name, t.env.opts.Autoescape
		s.addBlocks(t)
		return s.run(st, t, o)
	}
}

// A module is an imported template: what it exports as attributes, what it prints as text.
type module struct {
	name string
	vars map[string]value.Value
	out  *output
}

// module runs a template without context, once per evaluation.
func (st *state) module(t *Template) (*module, error) {
	if m, ok := st.modules[t.prog]; ok {
		return m, nil
	}
	m, err := newModule(st, t, &scope{isolated: true})
	if err != nil {
		return nil, err
	}
	if st.modules == nil {
		st.modules = map[*program]*module{}
	}
	st.modules[t.prog] = m
	return m, nil
}

func newModule(st *state, t *Template, s *scope) (*module, error) {
	s.name, s.autoescape, s.blocks = t.name, t.env.opts.Autoescape, nil
	s.addBlocks(t)
	o := st.env.textOutput()
	o.native = st.native
	if err := s.run(st, t, o); err != nil {
		return nil, err
	}
	m := &module{name: t.name, vars: make(map[string]value.Value, len(s.exported)), out: o}
	for name := range s.exported {
		if v, ok := s.vars[name]; ok {
			m.vars[name] = v
		}
	}
	return m, nil
}

// print writes what the module printed.
func (m *module) print(o *output) error {
	for _, p := range m.out.parts {
		if err := o.print(p); err != nil {
			return err
		}
	}
	if m.out.unknown != nil {
		o.unknown = m.out.unknown
	}
	return o.data(m.out.buf.String())
}

// Type implements value.Value.
func (*module) Type() string { return "TemplateModule" }

// Attr implements value.Object.
func (m *module) Attr(name string) (value.Value, bool, error) {
	v, ok := m.vars[name]
	return v, ok, nil
}

// Str implements value.Texter: what the template printed.
func (m *module) Str() string {
	o := &output{limit: m.out.buf.Len() + 1<<20}
	if m.print(o) != nil {
		return ""
	}
	return o.buf.String()
}

// Repr implements value.Texter.
func (m *module) Repr() string { return "<TemplateModule " + nameRepr(m.name) + ">" }

// imported returns the loader of an import statement.
func (c *compiler) imported(template node, at value.Place, with bool, f *frame) func(a *activation) (*module, error) {
	x := c.expr(template, f)
	names := f.visible()
	return func(a *activation) (*module, error) {
		v, err := x(a)
		if err != nil {
			return nil, err
		}
		t, err := a.in.load(v, at, false)
		if err != nil {
			return nil, err
		}
		if !with {
			return a.in.st.module(t)
		}
		return newModule(a.in.st, t, a.in.scope.derive(a.locals(names)))
	}
}

func (c *compiler) importAs(n *importStmt, f *frame) execFn {
	load := c.imported(n.template, n.at(), n.withContext, f)
	assign := c.target(&nameExpr{n.pos, n.target, store}, f)
	name, toplevel := n.target, f.toplevel
	return func(a *activation, _ *output) error {
		m, err := load(a)
		if err != nil {
			return err
		}
		if toplevel {
			a.in.scope.set(name, m)
			delete(a.in.scope.exported, name)
		}
		return assign(a, m)
	}
}

func (c *compiler) fromImport(n *fromStmt, f *frame) execFn {
	load := c.imported(n.template, n.at(), n.withContext, f)
	at, toplevel := n.at(), f.toplevel
	assigns := make([]assignFn, len(n.names))
	for i, name := range n.names {
		assigns[i] = c.target(&nameExpr{n.pos, name.alias, store}, f)
	}
	return func(a *activation, _ *output) error {
		m, err := load(a)
		if err != nil {
			return err
		}
		for i, name := range n.names {
			v, ok := m.vars[name.name]
			if !ok {
				u := a.in.undefined(name.name, at)
				u.Hint = fmt.Sprintf("the template '%s' (imported on %s) does not export the requested name '%s'", m.name, a.in.position(at), name.name)
				v = u
			}
			if err := assigns[i](a, v); err != nil {
				return err
			}
			if toplevel {
				a.in.scope.set(name.alias, v)
				delete(a.in.scope.exported, name.alias)
			}
		}
		return nil
	}
}

// position is a place as Jinja2's messages write it.
func (in *instance) position(at value.Place) string {
	if in.name == "" {
		return fmt.Sprintf("line %d", at.Line)
	}
	return fmt.Sprintf("line %d in '%s'", at.Line, in.name)
}
