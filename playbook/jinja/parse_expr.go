package jinja

import (
	"strings"

	"orch/playbook/jinja/value"
)

func (p *parser) expression() node {
	if !p.enter() {
		return nil
	}
	defer p.leave()
	return p.condexpr()
}

// condexpr: or ['if' or ['else' condexpr]]…
func (p *parser) condexpr() node {
	at := p.tok.at
	x := p.or()
	for p.acceptName("if") {
		c := &condExpr{pos: pos{at}, yes: x}
		c.test = p.or()
		if p.acceptName("else") {
			if !p.enter() {
				return nil
			}
			c.no = p.condexpr()
			p.leave()
		}
		x = c
		p.link()
		at = p.tok.at
	}
	return x
}

func (p *parser) or() node {
	return p.words("or", func() node { return p.words("and", p.not) })
}

func (p *parser) words(word string, operand func() node) node {
	at := p.tok.at
	x := operand()
	for p.acceptName(word) {
		x = &binExpr{pos: pos{at}, op: tokName, word: word, left: x, right: operand()}
		p.link()
	}
	return x
}

func (p *parser) not() node {
	if !p.tok.is("not") {
		return p.compare()
	}
	if !p.enter() {
		return nil
	}
	defer p.leave()
	at := p.advance().at
	return &unaryExpr{pos: pos{at}, op: tokName, x: p.not()}
}

func (p *parser) compare() node {
	at := p.tok.at
	x := p.sum()
	var ops []operand
	for {
		o := operand{at: p.tok.at}
		switch {
		case p.tok.kind == tokEq || p.tok.kind == tokNe || p.tok.kind == tokLt ||
			p.tok.kind == tokLteq || p.tok.kind == tokGt || p.tok.kind == tokGteq:
			o.op = kindNames[p.advance().kind]
		case p.acceptName("in"):
			o.op = "in"
		case p.tok.is("not") && p.look().is("in"):
			p.advance()
			p.advance()
			o.op = "not in"
		default:
			if ops == nil {
				return x
			}
			return &compareExpr{pos: pos{at}, first: x, ops: ops}
		}
		p.link()
		o.x = p.sum()
		ops = append(ops, o)
	}
}

func (p *parser) binary(operand func() node, kinds ...kind) node {
	at := p.tok.at
	x := operand()
	for isKind(p.tok.kind, kinds) {
		op := p.advance()
		p.link()
		x = &binExpr{pos: pos{at}, op: op.kind, left: x, right: operand()}
	}
	return x
}

func isKind(k kind, kinds []kind) bool {
	for _, x := range kinds {
		if k == x {
			return true
		}
	}
	return false
}

func (p *parser) sum() node { return p.binary(p.concat, tokAdd, tokSub) }

func (p *parser) concat() node {
	at := p.tok.at
	x := p.product()
	if p.tok.kind != tokTilde {
		return x
	}
	items := []node{x}
	for p.accept(tokTilde) {
		p.link()
		items = append(items, p.product())
	}
	return &concatExpr{pos{at}, items}
}

func (p *parser) product() node {
	return p.binary(p.power, tokMul, tokDiv, tokFloordiv, tokMod)
}

// power is left associative in Jinja2's tree, and Python's source then puts parentheses
// around the left operand: 2 ** 3 ** 2 is 64.
func (p *parser) power() node {
	return p.binary(func() node { return p.unary(true) }, tokPow)
}

func (p *parser) unary(filters bool) node {
	if !p.enter() {
		return nil
	}
	defer p.leave()
	var x node
	at := p.tok.at
	switch p.tok.kind {
	case tokSub, tokAdd:
		op := p.advance()
		x = &unaryExpr{pos: pos{at}, op: op.kind, x: p.unary(false)}
	default:
		x = p.primary(false)
	}
	x = p.postfix(x)
	if filters {
		x = p.filters(x)
	}
	return x
}

// primary is a name or literal; with ns, also the target of a namespace assignment.
func (p *parser) primary(ns bool) node {
	t := p.tok
	switch t.kind {
	case tokName:
		p.advance()
		switch t.val {
		case "true", "True":
			return &constExpr{pos{t.at}, value.Bool(true)}
		case "false", "False":
			return &constExpr{pos{t.at}, value.Bool(false)}
		case "none", "None":
			return &constExpr{pos{t.at}, value.None{}}
		}
		if ns && p.accept(tokDot) {
			return &nsExpr{pos{t.at}, t.val, p.expect(tokName).val}
		}
		return &nameExpr{pos: pos{t.at}, name: t.val}
	case tokString:
		return p.strings()
	case tokValue:
		p.advance()
		return t.node
	case tokInteger, tokFloat:
		p.advance()
		v, msg := numberValue(t)
		if msg != "" {
			p.fail(t.at, "%s", msg)
			return nil
		}
		return &constExpr{pos{t.at}, v}
	case tokLparen:
		p.advance()
		if !p.enter() {
			return nil
		}
		defer p.leave()
		x := p.tuple(tupleRule{cond: true, parens: true})
		p.expect(tokRparen)
		return x
	case tokLbracket:
		return p.list()
	case tokLbrace:
		return p.dict()
	}
	p.fail(t.at, "unexpected '%s'", t)
	return nil
}

// strings joins adjacent literals.
func (p *parser) strings() node {
	t := p.advance()
	c := &concatExpr{pos: pos{t.at}}
	var b strings.Builder
	flush := func() {
		if b.Len() > 0 {
			c.items = append(c.items, &constExpr{pos{t.at}, value.S(b.String())})
			b.Reset()
		}
	}
	if p.tok.kind != tokString && t.node == nil {
		return &constExpr{pos{t.at}, value.S(t.val)}
	}
	for {
		if t.node == nil {
			b.WriteString(t.val)
		} else {
			flush()
			c.items = append(c.items, t.node)
		}
		if p.tok.kind != tokString {
			break
		}
		t = p.advance()
	}
	if c.items == nil {
		return &constExpr{c.pos, value.S(b.String())}
	}
	flush()
	return c
}

// A tupleRule says what may stand in a tuple without parentheses, and where it ends.
type tupleRule struct {
	cond   bool // conditional expressions
	target bool // only names and literals: the target of an assignment
	ns     bool // and ns.attr
	parens bool // the empty tuple is allowed
}

func (p *parser) tuple(r tupleRule) node {
	at := p.tok.at
	var items []node
	isTuple := false
	for p.err == nil {
		if items != nil {
			p.expect(tokComma)
		}
		if p.tupleEnd() {
			break
		}
		switch {
		case r.target:
			if !p.enter() {
				return nil
			}
			items = append(items, p.primary(r.ns))
			p.leave()
		case r.cond:
			items = append(items, p.expression())
		default:
			items = append(items, p.or())
		}
		if p.tok.kind != tokComma {
			break
		}
		isTuple = true
		at = p.tok.at
	}
	if !isTuple {
		if items != nil {
			return items[0]
		}
		if !r.parens {
			p.fail(p.tok.at, "Expected an expression, got '%s'", p.tok)
			return nil
		}
	}
	return &tupleExpr{pos: pos{at}, items: items}
}

// tupleEnd is where a tuple may end after a comma. Jinja2 means to stop at `in` and
// `recursive` too, but does not.
func (p *parser) tupleEnd() bool {
	switch p.tok.kind {
	case tokVariableEnd, tokBlockEnd, tokRparen:
		return true
	}
	return false
}

func (p *parser) list() node {
	l := &listExpr{pos: pos{p.advance().at}}
	for p.tok.kind != tokRbracket && p.err == nil {
		if l.items != nil {
			p.expect(tokComma)
		}
		if p.tok.kind == tokRbracket {
			break
		}
		l.items = append(l.items, p.expression())
	}
	p.expect(tokRbracket)
	return l
}

func (p *parser) dict() node {
	d := &dictExpr{pos: pos{p.advance().at}}
	for p.tok.kind != tokRbrace && p.err == nil {
		if d.keys != nil {
			p.expect(tokComma)
		}
		if p.tok.kind == tokRbrace {
			break
		}
		d.keys = append(d.keys, p.expression())
		p.expect(tokColon)
		d.vals = append(d.vals, p.expression())
	}
	p.expect(tokRbrace)
	return d
}

// postfix reads attributes, subscripts and calls.
func (p *parser) postfix(x node) node {
	for {
		switch p.tok.kind {
		case tokDot, tokLbracket:
			x = p.subscript(x)
		case tokLparen:
			x = p.call(x)
		default:
			return x
		}
		p.link()
	}
}

// filters reads filters, tests and the calls of what they yield.
func (p *parser) filters(x node) node {
	for {
		switch {
		case p.tok.kind == tokPipe:
			p.advance()
			x = p.filter(x)
		case p.tok.is("is"):
			x = p.test(x)
		case p.tok.kind == tokLparen:
			x = p.call(x)
		default:
			return x
		}
		p.link()
	}
}

func (p *parser) call(fn node) node {
	at := p.tok.at
	return &callExpr{pos{at}, fn, p.arguments()}
}

func (p *parser) subscript(x node) node {
	t := p.advance()
	if t.kind == tokDot {
		name := p.advance()
		switch name.kind {
		case tokName:
			return &attrExpr{pos{name.at}, x, name.val}
		case tokInteger:
			v, _ := numberValue(name)
			return &itemExpr{pos{name.at}, x, &constExpr{pos{name.at}, v}}
		}
		p.fail(name.at, "expected name or number")
		return x
	}
	var keys []node
	for p.tok.kind != tokRbracket && p.err == nil {
		if keys != nil {
			p.expect(tokComma)
		}
		keys = append(keys, p.subscribed())
	}
	p.expect(tokRbracket)
	if len(keys) == 1 {
		return &itemExpr{pos{t.at}, x, keys[0]}
	}
	return &itemExpr{pos{t.at}, x, &tupleExpr{pos: pos{t.at}, items: keys}}
}

// subscribed is a key or a slice.
func (p *parser) subscribed() node {
	at := p.tok.at
	var lo node
	if p.tok.kind != tokColon {
		if lo = p.expression(); p.tok.kind != tokColon {
			return lo
		}
	}
	p.advance()
	s := &sliceExpr{pos: pos{at}, lo: lo}
	bound := func() node {
		if k := p.tok.kind; k == tokColon || k == tokRbracket || k == tokComma {
			return nil
		}
		return p.expression()
	}
	s.hi = bound()
	if p.accept(tokColon) {
		// After the second colon a third one is not a bound: expression reports it.
		if k := p.tok.kind; k != tokRbracket && k != tokComma {
			s.step = p.expression()
		}
	}
	return s
}

// arguments reads the parenthesised arguments of a call.
func (p *parser) arguments() arguments {
	var a arguments
	if !p.enter() {
		return a
	}
	defer p.leave()
	open := p.expect(tokLparen)
	comma := false
	valid := func(ok bool) {
		if !ok {
			p.fail(open.at, "invalid syntax for function call expression")
		}
	}
	for p.tok.kind != tokRparen && p.err == nil {
		if comma {
			p.expect(tokComma)
			if p.tok.kind == tokRparen {
				break
			}
		}
		comma = true
		switch {
		case p.tok.kind == tokMul:
			valid(a.star == nil && a.double == nil)
			p.advance()
			a.star = p.expression()
		case p.tok.kind == tokPow:
			valid(a.double == nil)
			p.advance()
			a.double = p.expression()
		case p.tok.kind == tokName && p.look().kind == tokAssign:
			valid(a.double == nil)
			name := p.advance()
			p.advance()
			for _, k := range a.named {
				if k.name == name.val {
					p.fail(name.at, "keyword argument repeated: %s", name.val)
				}
			}
			a.named = append(a.named, keyword{name.val, p.expression()})
		default:
			valid(a.star == nil && a.double == nil && a.named == nil)
			a.pos = append(a.pos, p.expression())
		}
	}
	p.expect(tokRparen)
	return a
}

// dotted reads the name of a filter or test, which may have dots.
func (p *parser) dotted() token {
	t := p.expect(tokName)
	for p.accept(tokDot) {
		t.val += "." + p.expect(tokName).val
	}
	return t
}

func (p *parser) filter(x node) node {
	name := p.dotted()
	f := &filterExpr{pos: pos{name.at}, x: x, name: name.val}
	if p.tok.kind == tokLparen {
		f.args = p.arguments()
	}
	return f
}

// test: 'is' ['not'] name [arguments | primary postfix…]
func (p *parser) test(x node) node {
	p.advance()
	negated := p.acceptName("not")
	name := p.dotted()
	t := &testExpr{pos: pos{name.at}, x: x, name: name.val}
	switch k := p.tok.kind; {
	case k == tokLparen:
		t.args = p.arguments()
	case k == tokName && (p.tok.val == "else" || p.tok.val == "or" || p.tok.val == "and"):
	case k == tokName || k == tokString || k == tokInteger || k == tokFloat || k == tokLbracket || k == tokLbrace:
		if p.tok.is("is") {
			p.fail(p.tok.at, "You cannot chain multiple tests with is")
			return t
		}
		t.args.pos = []node{p.postfix(p.primary(false))}
	}
	if negated {
		return &unaryExpr{pos: pos{name.at}, op: tokName, x: t}
	}
	return t
}
