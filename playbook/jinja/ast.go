package jinja

import "orch/playbook/jinja/value"

// A node is a part of a parsed template. The nodes are Jinja2's, so that its rules of
// scoping, which are defined over them, can be followed to the letter.
type node interface{ at() value.Place }

// pos is embedded by every node.
type pos struct{ value.Place }

func (p pos) at() value.Place { return p.Place }

// Expressions.
type (
	// A nameExpr loads, stores or declares a variable.
	nameExpr struct {
		pos
		name string
		use  use
	}
	constExpr struct {
		pos
		val value.Value
	}
	// A tupleExpr is also the target of an unpacking assignment.
	tupleExpr struct {
		pos
		items []node
		store bool
	}
	listExpr struct {
		pos
		items []node
	}
	dictExpr struct {
		pos
		keys, vals []node
	}
	// A condExpr is `yes if test else no`; no may be nil.
	condExpr struct {
		pos
		test, yes, no node
	}
	// A binExpr is an arithmetic operation, `and` or `or`.
	binExpr struct {
		pos
		op          kind // tokName for and, or
		word        string
		left, right node
	}
	// A unaryExpr is `-`, `+` or `not`.
	unaryExpr struct {
		pos
		op kind // tokName for not
		x  node
	}
	// A compareExpr is a chain of comparisons, `in` and `not in` among them.
	compareExpr struct {
		pos
		first node
		ops   []operand
	}
	// A concatExpr is `a ~ b ~ c`.
	concatExpr struct {
		pos
		items []node
	}
	attrExpr struct {
		pos
		x    node
		name string
	}
	itemExpr struct {
		pos
		x, key node
	}
	// A sliceExpr is the key of an itemExpr, or part of a tuple there; bounds may be nil.
	sliceExpr struct {
		pos
		lo, hi, step node
	}
	callExpr struct {
		pos
		fn   node
		args arguments
	}
	// A filterExpr applies a filter; x is nil in a filter block.
	filterExpr struct {
		pos
		x    node
		name string
		args arguments
	}
	testExpr struct {
		pos
		x    node
		name string
		args arguments
	}
	// An nsExpr is the target of `set ns.attr = …`.
	nsExpr struct {
		pos
		name, attr string
	}
)

// use is what a nameExpr does to its variable.
type use uint8

const (
	load use = iota
	store
	param
)

// An operand is one comparison of a chain.
type operand struct {
	op string // "==" … "in", "not in"
	x  node
	at value.Place
}

// arguments of a call, filter or test, as written.
type arguments struct {
	pos    []node
	named  []keyword
	star   node // *args
	double node // **kwargs
}

type keyword struct {
	name string
	x    node
}

func (a *arguments) empty() bool {
	return len(a.pos) == 0 && len(a.named) == 0 && a.star == nil && a.double == nil
}

// Statements.
type (
	// An outputStmt prints data and values.
	outputStmt struct {
		pos
		parts []node // *dataNode and expressions
	}
	dataNode struct {
		pos
		text string
	}
	forStmt struct {
		pos
		target, iter, test node
		body, orelse       []node
		recursive          bool
	}
	// An ifStmt is an if with its elifs, each a test and a body.
	ifStmt struct {
		pos
		test   node
		body   []node
		elifs  []*ifStmt
		orelse []node
	}
	macroStmt struct {
		pos
		signature
		name string
		body []node
	}
	callStmt struct {
		pos
		signature
		call *callExpr
		body []node
	}
	filterStmt struct {
		pos
		filter *filterExpr
		body   []node
	}
	withStmt struct {
		pos
		targets, vals []node
		body          []node
	}
	setStmt struct {
		pos
		target, x node
	}
	// A setBlock stores what its body prints; filter may be nil.
	setBlock struct {
		pos
		target node
		filter *filterExpr
		body   []node
	}
	blockStmt struct {
		pos
		name             string
		body             []node
		scoped, required bool
	}
	extendsStmt struct {
		pos
		template node
	}
	includeStmt struct {
		pos
		template      node
		ignoreMissing bool
		withContext   bool
	}
	importStmt struct {
		pos
		template    node
		target      string
		withContext bool
	}
	fromStmt struct {
		pos
		template    node
		names       []importName
		withContext bool
	}
	doStmt struct {
		pos
		x node
	}
	// A scopeStmt is the scope that autoescape opens.
	scopeStmt struct {
		pos
		body []node
	}
	escapeStmt struct {
		pos
		x    node
		body []node
	}
	breakStmt    struct{ pos }
	continueStmt struct{ pos }
	// A template is a whole template.
	template struct {
		pos
		body []node
	}
)

// A signature is the parameters of a macro or call block; defaults belong to the last.
type signature struct {
	params   []*nameExpr
	defaults []node
}

type importName struct{ name, alias string }

// children calls visit for the nodes inside n, in Jinja2's order of fields.
func children(n node, visit func(node)) {
	if e, ok := n.(exprNode); ok {
		e.children(visit)
		return
	}
	switch n := n.(type) {
	case *outputStmt:
		each(n.parts, visit)
	case *forStmt:
		some(visit, n.target, n.iter)
		each(n.body, visit)
		each(n.orelse, visit)
		some(visit, n.test)
	case *ifStmt:
		some(visit, n.test)
		each(n.body, visit)
		for _, e := range n.elifs {
			visit(e)
		}
		each(n.orelse, visit)
	case *macroStmt:
		n.signature.each(visit)
		each(n.body, visit)
	case *callStmt:
		visit(n.call)
		n.signature.each(visit)
		each(n.body, visit)
	case *filterStmt:
		each(n.body, visit)
		visit(n.filter)
	case *withStmt:
		each(n.targets, visit)
		each(n.vals, visit)
		each(n.body, visit)
	case *setStmt:
		some(visit, n.target, n.x)
	case *setBlock:
		visit(n.target)
		if n.filter != nil {
			visit(n.filter)
		}
		each(n.body, visit)
	default:
		childrenRare(n, visit)
	}
}

func childrenRare(n node, visit func(node)) {
	switch n := n.(type) {
	case *blockStmt:
		each(n.body, visit)
	case *extendsStmt:
		visit(n.template)
	case *includeStmt:
		visit(n.template)
	case *importStmt:
		visit(n.template)
	case *fromStmt:
		visit(n.template)
	case *doStmt:
		visit(n.x)
	case *scopeStmt:
		each(n.body, visit)
	case *escapeStmt:
		visit(n.x)
		each(n.body, visit)
	case *template:
		each(n.body, visit)
	}
}

func (s *signature) each(visit func(node)) {
	for _, p := range s.params {
		visit(p)
	}
	each(s.defaults, visit)
}

// An exprNode is an expression with others inside.
type exprNode interface{ children(visit func(node)) }

func (n *tupleExpr) children(visit func(node))  { each(n.items, visit) }
func (n *listExpr) children(visit func(node))   { each(n.items, visit) }
func (n *condExpr) children(visit func(node))   { some(visit, n.test, n.yes, n.no) }
func (n *binExpr) children(visit func(node))    { some(visit, n.left, n.right) }
func (n *unaryExpr) children(visit func(node))  { visit(n.x) }
func (n *concatExpr) children(visit func(node)) { each(n.items, visit) }
func (n *attrExpr) children(visit func(node))   { visit(n.x) }
func (n *itemExpr) children(visit func(node))   { some(visit, n.x, n.key) }
func (n *sliceExpr) children(visit func(node))  { some(visit, n.lo, n.hi, n.step) }

func (n *dictExpr) children(visit func(node)) {
	for i := range n.keys {
		visit(n.keys[i])
		visit(n.vals[i])
	}
}

func (n *compareExpr) children(visit func(node)) {
	visit(n.first)
	for _, o := range n.ops {
		visit(o.x)
	}
}

func (n *callExpr) children(visit func(node)) {
	visit(n.fn)
	n.args.children(visit)
}

func (n *filterExpr) children(visit func(node)) {
	some(visit, n.x)
	n.args.children(visit)
}

func (n *testExpr) children(visit func(node)) {
	visit(n.x)
	n.args.children(visit)
}

func (a *arguments) children(visit func(node)) {
	each(a.pos, visit)
	for _, k := range a.named {
		visit(k.x)
	}
	some(visit, a.star, a.double)
}

func each(nodes []node, visit func(node)) {
	for _, n := range nodes {
		visit(n)
	}
}

func some(visit func(node), nodes ...node) {
	for _, n := range nodes {
		if n != nil {
			visit(n)
		}
	}
}

// walk visits n and everything inside it.
func walk(n node, visit func(node)) {
	visit(n)
	children(n, func(c node) { walk(c, visit) })
}
