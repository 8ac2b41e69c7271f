package jinja

import "sort"

// Where a name of a template lives follows Jinja2's identifier tracking to the letter,
// including what looks like accidents: which scope a `set` writes to, that a loop sees
// a root variable as undefined before it is set, that branches of an if share their
// scope. Jinja2 turns names into variables of the Python functions it generates; here
// they become slots of a function's activation.

// A function is what gets an activation of its own: the template, a block, a macro, the
// caller of a call block, the body of a recursive loop.
type function struct {
	parent *function
	vars   map[slotKey]int
	slots  map[int]int // of the variables that need one
	n      int         // slots
}

// A slotKey identifies a variable of a function as Jinja2's generated name does: scopes
// on one level share it. space keeps the filter of a loop apart from its body, which in
// Python are two functions and here one.
type slotKey struct {
	space, level int
	name         string
}

func newFunction(parent *function) *function {
	return &function{parent: parent, vars: map[slotKey]int{}, slots: map[int]int{}}
}

func (f *function) variable(k slotKey) ref {
	i, ok := f.vars[k]
	if !ok {
		i = len(f.vars)
		f.vars[k] = i
	}
	return ref{f, i}
}

// A ref is a variable of a function.
type ref struct {
	fn *function
	id int
}

// slot is where the variable lives in an activation. Names that always come from the
// context are never asked for theirs and have none.
func (r ref) slot() int {
	i, ok := r.fn.slots[r.id]
	if !ok {
		i = r.fn.n
		r.fn.slots[r.id] = i
		r.fn.n++
	}
	return i
}

type loadKind uint8

const (
	loadParam     loadKind = iota // set by whoever enters the scope
	loadResolve                   // from the context
	loadAlias                     // from the enclosing scope
	loadUndefined                 // unset
)

// A loadRule says how a variable begins when its scope is entered.
type loadRule struct {
	kind loadKind
	name string
	from ref
}

// symbols are the names of a scope.
type symbols struct {
	level  int
	space  int
	fn     *function
	parent *symbols
	// base is the scope this one is a branch of; it adds to it.
	base   *symbols
	refs   map[string]ref
	loads  map[ref]loadRule
	order  []ref // of loads
	stores map[string]bool
}

func newSymbols(fn *function, parent *symbols) *symbols {
	s := &symbols{fn: fn, parent: parent}
	if parent != nil {
		s.level = parent.level + 1
	}
	return s
}

func (s *symbols) branch() *symbols {
	return &symbols{level: s.level, space: s.space, fn: s.fn, parent: s.parent, base: s}
}

// own finds a name in the scope itself.
func (s *symbols) own(name string) (ref, bool) {
	for b := s; b != nil; b = b.base {
		if r, ok := b.refs[name]; ok {
			return r, true
		}
	}
	return ref{}, false
}

func (s *symbols) find(name string) (ref, bool) {
	for p := s; p != nil; p = p.parent {
		if r, ok := p.own(name); ok {
			return r, true
		}
	}
	return ref{}, false
}

// loadOf finds how a variable begins.
func (s *symbols) loadOf(r ref) (loadRule, bool) {
	for p := s; p != nil; p = p.parent {
		for b := p; b != nil; b = b.base {
			if l, ok := b.loads[r]; ok {
				return l, true
			}
		}
	}
	return loadRule{}, false
}

func (s *symbols) isStored(name string) bool {
	for b := s; b != nil; b = b.base {
		if b.stores[name] {
			return true
		}
	}
	return false
}

// assigned says whether the scope that owns name ever assigns it.
func (s *symbols) assigned(name string) bool {
	for p := s; p != nil; p = p.parent {
		if _, ok := p.own(name); ok {
			return p.isStored(name)
		}
	}
	return false
}

func (s *symbols) define(name string, l loadRule) ref {
	r := s.fn.variable(slotKey{s.space, s.level, name})
	if s.refs == nil {
		s.refs = map[string]ref{}
	}
	s.refs[name] = r
	s.setLoad(r, l)
	return r
}

func (s *symbols) setLoad(r ref, l loadRule) {
	if s.loads == nil {
		s.loads = map[ref]loadRule{}
	}
	if _, ok := s.loads[r]; !ok {
		s.order = append(s.order, r)
	}
	s.loads[r] = l
}

func (s *symbols) addStore(name string) {
	if s.stores == nil {
		s.stores = map[string]bool{}
	}
	s.stores[name] = true
}

func (s *symbols) store(name string) {
	s.addStore(name)
	if _, ok := s.own(name); ok {
		return
	}
	if s.parent != nil {
		if outer, ok := s.parent.find(name); ok {
			s.define(name, loadRule{kind: loadAlias, name: name, from: outer})
			return
		}
	}
	s.define(name, loadRule{kind: loadUndefined, name: name})
}

func (s *symbols) declare(name string) ref {
	s.addStore(name)
	return s.define(name, loadRule{kind: loadParam, name: name})
}

func (s *symbols) load(name string) {
	if _, ok := s.find(name); !ok {
		s.define(name, loadRule{kind: loadResolve, name: name})
	}
}

// merge takes over what the branches of an if define. What only a branch stores begins as
// what the name is outside, because the branch may not be taken.
func (s *symbols) merge(branches ...*symbols) {
	stored := map[string]bool{}
	for _, b := range branches {
		for name := range b.stores {
			if !s.isStored(name) {
				stored[name] = true
			}
		}
	}
	for _, b := range branches {
		for name, r := range b.refs {
			if s.refs == nil {
				s.refs = map[string]ref{}
			}
			s.refs[name] = r
		}
		for _, r := range b.order {
			s.setLoad(r, b.loads[r])
		}
		for name := range b.stores {
			s.addStore(name)
		}
	}
	names := make([]string, 0, len(stored))
	for name := range stored {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		target, _ := s.find(name)
		rule := loadRule{kind: loadResolve, name: name}
		if s.parent != nil {
			if outer, ok := s.parent.find(name); ok {
				rule = loadRule{kind: loadAlias, name: name, from: outer}
			}
		}
		s.setLoad(target, rule)
	}
}

// A stored is a variable by name.
type stored struct {
	name string
	ref  ref
}

// allStores lists the assigned variables that are visible, innermost first.
func (s *symbols) allStores() []stored {
	seen := map[string]bool{}
	var out []stored
	for p := s; p != nil; p = p.parent {
		var names []string
		for b := p; b != nil; b = b.base {
			for name := range b.stores {
				if !seen[name] {
					seen[name] = true
					names = append(names, name)
				}
			}
		}
		sort.Strings(names)
		for _, name := range names {
			if r, ok := s.find(name); ok {
				out = append(out, stored{name, r})
			}
		}
	}
	return out
}

// analyze collects the names of the nodes that belong to a scope.
func (s *symbols) analyze(nodes ...node) {
	a := analyzer{s}
	for _, n := range nodes {
		if n != nil {
			a.visit(n)
		}
	}
}

type analyzer struct{ sym *symbols }

// visit collects the names of n as far as they belong to the scope: the bodies of
// statements that open one of their own are left out.
func (a *analyzer) visit(n node) {
	switch n := n.(type) {
	case *nameExpr:
		switch n.use {
		case store:
			a.sym.store(n.name)
		case param:
			a.sym.declare(n.name)
		default:
			a.sym.load(n.name)
		}
	case *nsExpr:
		a.sym.load(n.name)
	case *ifStmt:
		a.visitIf(n)
	case *macroStmt:
		a.sym.store(n.name)
	case *importStmt:
		a.visit(n.template)
		a.sym.store(n.target)
	case *fromStmt:
		a.visit(n.template)
		for _, name := range n.names {
			a.sym.store(name.alias)
		}
	case *setStmt:
		a.visit(n.x)
		a.visit(n.target)
	case *forStmt:
		a.visit(n.iter)
	case *callStmt:
		a.visit(n.call)
	case *filterStmt:
		a.visit(n.filter)
	case *withStmt:
		each(n.vals, a.visit)
	case *setBlock:
		a.visit(n.target)
	case *scopeStmt, *blockStmt:
	default:
		children(n, a.visit)
	}
}

func (a *analyzer) visitIf(n *ifStmt) {
	a.visit(n.test)
	outer := a.sym
	inside := func(nodes []node) *symbols {
		a.sym = outer.branch()
		each(nodes, a.visit)
		b := a.sym
		a.sym = outer
		return b
	}
	body := inside(n.body)
	elifs := make([]node, len(n.elifs))
	for i, e := range n.elifs {
		elifs[i] = e
	}
	elif := inside(elifs)
	outer.merge(body, elif, inside(n.orelse))
}

// declareTarget makes the names of a loop's target parameters.
func (s *symbols) declareTarget(n node) {
	switch n := n.(type) {
	case *nameExpr:
		s.declare(n.name)
	case *tupleExpr:
		for _, item := range n.items {
			s.declareTarget(item)
		}
	}
}

// undeclared says which of names the nodes load before they declare them. Blocks are not
// entered.
func undeclared(nodes []node, names ...string) map[string]bool {
	open := map[string]bool{}
	for _, n := range names {
		open[n] = true
	}
	found := map[string]bool{}
	var visit func(node)
	visit = func(n node) {
		switch n := n.(type) {
		case *nameExpr:
			if n.use == load && open[n.name] {
				found[n.name] = true
			} else {
				delete(open, n.name)
			}
			return
		case *blockStmt:
			return
		}
		if len(open) > 0 {
			children(n, visit)
		}
	}
	each(nodes, visit)
	return found
}
