package jinja

import (
	"strings"

	"orch/playbook/jinja/value"
)

// statement reads the statement whose name is the current token.
func (p *parser) statement() node {
	t := p.tok
	if t.kind != tokName {
		p.fail(t.at, "tag name expected")
		return nil
	}
	read := p.statementRule(t.val)
	if read == nil {
		switch t.val {
		case "do", "break", "continue":
			p.fail(t.at, "Encountered unknown tag '%s'. Its extension is not enabled.", t.val)
		case "trans", "pluralize":
			p.fail(t.at, "Encountered unknown tag '%s'. The i18n extension is not supported.", t.val)
		default:
			p.failEnd(t.val, p.ends, t.at)
		}
		return nil
	}
	p.tags = append(p.tags, t.val)
	p.advance()
	s := read(t.at)
	p.tags = p.tags[:len(p.tags)-1]
	return s
}

func (p *parser) statementRule(name string) func(value.Place) node {
	switch name {
	case "for":
		return p.forLoop
	case "if":
		return p.ifElse
	case "set":
		return p.set
	case "block":
		return p.block
	case "extends":
		return func(at value.Place) node { return &extendsStmt{pos{at}, p.expression()} }
	case "print":
		return p.print
	case "macro":
		return p.macro
	case "include":
		return p.include
	case "from":
		return p.from
	case "import":
		return p.importAs
	case "with":
		return p.with
	case "autoescape":
		return p.autoescape
	case "call":
		return p.callBlock
	case "filter":
		return p.filterBlock
	}
	switch {
	case name == "do" && p.opts.Do:
		return func(at value.Place) node { return &doStmt{pos{at}, p.tuple(tupleRule{cond: true})} }
	case name == "break" && p.opts.LoopControls:
		return func(at value.Place) node { return p.jump(at, &breakStmt{pos{at}}) }
	case name == "continue" && p.opts.LoopControls:
		return func(at value.Place) node { return p.jump(at, &continueStmt{pos{at}}) }
	}
	return nil
}

// jump refuses break and continue outside of a loop, which for Jinja2 is an error of the
// Python it generates.
func (p *parser) jump(at value.Place, n node) node {
	if p.inLoop == 0 {
		p.fail(at, "'%s' outside loop", p.tags[len(p.tags)-1])
	}
	return n
}

// outside reads something that a loop around it does not reach into: the body of a macro
// is a function of its own.
func (p *parser) outside(read func()) {
	saved := p.inLoop
	p.inLoop = 0
	read()
	p.inLoop = saved
}

// body reads statements up to one of the ends, which becomes the current token.
func (p *parser) body(ends ...string) []node {
	p.accept(tokColon) // as Python writes it
	p.expect(tokBlockEnd)
	body := p.subparse(ends)
	if p.err == nil && p.tok.kind == tokEOF {
		stack := append(append([][]string{}, p.ends...), ends)
		p.failEnd("", stack, p.tok.at)
	}
	return body
}

// whole is body up to end, which is consumed.
func (p *parser) whole(end string) []node {
	body := p.body(end)
	p.advance()
	return body
}

func (p *parser) forLoop(at value.Place) node {
	f := &forStmt{pos: pos{at}}
	f.target = p.target(false)
	p.expectName("in")
	f.iter = p.tuple(tupleRule{})
	if p.acceptName("if") {
		f.test = p.expression()
	}
	f.recursive = p.acceptName("recursive")
	p.inLoop++
	f.body = p.body("endfor", "else")
	p.inLoop--
	if p.advance().val == "else" {
		f.orelse = p.whole("endfor")
	}
	return f
}

func (p *parser) ifElse(at value.Place) node {
	first := &ifStmt{pos: pos{at}}
	for n := first; ; {
		n.test = p.tuple(tupleRule{})
		n.body = p.body("elif", "else", "endif")
		p.link()
		switch t := p.advance(); {
		case p.err != nil:
			return first
		case t.is("elif"):
			n = &ifStmt{pos: pos{t.at}}
			first.elifs = append(first.elifs, n)
			continue
		case t.is("else"):
			first.orelse = p.whole("endif")
		}
		return first
	}
}

func (p *parser) set(at value.Place) node {
	target := p.target(true)
	if p.accept(tokAssign) {
		return &setStmt{pos{at}, target, p.tuple(tupleRule{cond: true})}
	}
	s := &setBlock{pos: pos{at}, target: target}
	for p.accept(tokPipe) {
		var x node
		if s.filter != nil {
			x = s.filter
		}
		s.filter, _ = p.filter(x).(*filterExpr)
	}
	s.body = p.whole("endset")
	return s
}

func (p *parser) with(at value.Place) node {
	w := &withStmt{pos: pos{at}}
	for p.tok.kind != tokBlockEnd && p.err == nil {
		if w.targets != nil {
			p.expect(tokComma)
		}
		t := p.target(false)
		setUse(t, param)
		w.targets = append(w.targets, t)
		p.expect(tokAssign)
		w.vals = append(w.vals, p.expression())
	}
	w.body = p.whole("endwith")
	return w
}

func (p *parser) autoescape(at value.Place) node {
	e := &escapeStmt{pos: pos{at}, x: p.expression()}
	e.body = p.whole("endautoescape")
	return &scopeStmt{pos{at}, []node{e}}
}

func (p *parser) block(at value.Place) node {
	b := &blockStmt{pos: pos{at}, name: p.expect(tokName).val}
	b.scoped = p.acceptName("scoped")
	b.required = p.acceptName("required")
	if p.tok.kind == tokSub {
		p.fail(p.tok.at, "Block names in Jinja have to be valid Python identifiers and may not contain hyphens, use an underscore instead.")
	}
	p.outside(func() { b.body = p.body("endblock") })
	if b.required && p.err == nil && !onlySpace(b.body) {
		p.fail(p.tok.at, "Required blocks can only contain comments or whitespace")
	}
	p.advance()
	p.acceptName(b.name)
	return b
}

func onlySpace(body []node) bool {
	for _, n := range body {
		o, ok := n.(*outputStmt)
		if !ok {
			return false
		}
		for _, part := range o.parts {
			if d, ok := part.(*dataNode); !ok || strings.TrimFunc(d.text, isSpace) != "" {
				return false
			}
		}
	}
	return true
}

func (p *parser) include(at value.Place) node {
	n := &includeStmt{pos: pos{at}, template: p.expression(), withContext: true}
	if p.tok.is("ignore") && p.look().is("missing") {
		p.advance()
		p.advance()
		n.ignoreMissing = true
	}
	p.context(&n.withContext)
	return n
}

// context reads `with context` or `without context`.
func (p *parser) context(with *bool) bool {
	if (p.tok.is("with") || p.tok.is("without")) && p.look().is("context") {
		*with = p.advance().val == "with"
		p.advance()
		return true
	}
	return false
}

func (p *parser) importAs(at value.Place) node {
	n := &importStmt{pos: pos{at}, template: p.expression()}
	p.expectName("as")
	n.target = p.nameTarget().name
	p.context(&n.withContext)
	return n
}

func (p *parser) from(at value.Place) node {
	n := &fromStmt{pos: pos{at}, template: p.expression()}
	p.expectName("import")
	for p.err == nil {
		if n.names != nil {
			p.expect(tokComma)
		}
		if p.tok.kind != tokName {
			p.expect(tokName)
			break
		}
		if p.context(&n.withContext) {
			break
		}
		name := p.nameTarget()
		if strings.HasPrefix(name.name, "_") {
			p.fail(name.at(), "names starting with an underline can not be imported")
			break
		}
		i := importName{name.name, name.name}
		if p.acceptName("as") {
			i.alias = p.nameTarget().name
		}
		n.names = append(n.names, i)
		if p.context(&n.withContext) || p.tok.kind != tokComma {
			break
		}
	}
	return n
}

func (p *parser) signature() signature {
	var s signature
	p.expect(tokLparen)
	for p.tok.kind != tokRparen && p.err == nil {
		if s.params != nil {
			p.expect(tokComma)
		}
		name := p.nameTarget()
		name.use = param
		for _, other := range s.params {
			if other.name == name.name {
				p.fail(name.at(), "duplicate argument '%s' in function definition", name.name)
			}
		}
		if p.accept(tokAssign) {
			s.defaults = append(s.defaults, p.expression())
		} else if s.defaults != nil {
			p.fail(p.tok.at, "non-default argument follows default argument")
		}
		s.params = append(s.params, name)
	}
	p.expect(tokRparen)
	return s
}

func (p *parser) macro(at value.Place) node {
	m := &macroStmt{pos: pos{at}}
	m.name = p.nameTarget().name
	m.signature = p.signature()
	p.outside(func() { m.body = p.whole("endmacro") })
	return m
}

func (p *parser) callBlock(at value.Place) node {
	c := &callStmt{pos: pos{at}}
	if p.tok.kind == tokLparen {
		c.signature = p.signature()
	}
	call, ok := p.expression().(*callExpr)
	if !ok {
		p.fail(at, "expected call")
		return nil
	}
	c.call = call
	p.outside(func() { c.body = p.whole("endcall") })
	return c
}

func (p *parser) filterBlock(at value.Place) node {
	f := &filterStmt{pos: pos{at}}
	x := p.filter(nil)
	for p.accept(tokPipe) {
		x = p.filter(x)
	}
	f.filter, _ = x.(*filterExpr)
	f.body = p.whole("endfilter")
	return f
}

func (p *parser) print(at value.Place) node {
	o := &outputStmt{pos: pos{at}}
	for p.tok.kind != tokBlockEnd && p.err == nil {
		if o.parts != nil {
			p.expect(tokComma)
		}
		o.parts = append(o.parts, p.expression())
	}
	return o
}

// nameTarget is a single name that is assigned to.
func (p *parser) nameTarget() *nameExpr {
	t := p.expect(tokName)
	n := &nameExpr{pos{t.at}, t.val, store}
	p.checkTarget(n)
	return n
}

// target is what an assignment assigns to: a name, a tuple, with ns also ns.attr.
func (p *parser) target(ns bool) node {
	n := p.tuple(tupleRule{target: true, ns: ns})
	if p.err != nil {
		return n
	}
	setUse(n, store)
	p.checkTarget(n)
	return n
}

func setUse(n node, u use) {
	switch n := n.(type) {
	case *nameExpr:
		n.use = u
	case *tupleExpr:
		n.store = true
		for _, item := range n.items {
			setUse(item, u)
		}
	}
}

func (p *parser) checkTarget(n node) {
	what := ""
	switch n := n.(type) {
	case *nameExpr:
		switch n.name {
		case "true", "false", "none", "True", "False", "None":
			what = "name"
		}
	case *nsExpr:
	case *tupleExpr:
		for _, item := range n.items {
			if !assignable(item) {
				what = "tuple"
			}
		}
	case *listExpr:
		what = "list"
	case *dictExpr:
		what = "dict"
	default:
		what = "const"
	}
	if what != "" {
		p.fail(n.at(), "can't assign to '%s'", what)
	}
}

func assignable(n node) bool {
	switch n := n.(type) {
	case *nameExpr, *nsExpr:
		return true
	case *tupleExpr:
		for _, item := range n.items {
			if !assignable(item) {
				return false
			}
		}
		return true
	}
	return false
}
