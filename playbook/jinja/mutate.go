package jinja

// mutating are the methods that change their object.
var mutating = map[string]bool{
	"append": true, "extend": true, "insert": true, "remove": true, "pop": true, "clear": true,
	"sort": true, "reverse": true, "update": true, "setdefault": true, "popitem": true,
}

// mutates says whether a template may change a value it did not make: whether it mentions
// a method that changes its object, of anything but a variable that only ever holds a
// list or dict written in the template. Such a template works on copies of its variables,
// so that none can change the host's data; all others share it.
func mutates(body []node) bool {
	var own map[string]bool
	found := false
	for _, n := range body {
		walk(n, func(n node) {
			var x node
			switch n := n.(type) {
			case *attrExpr:
				if !mutating[n.name] {
					return
				}
				x = n.x
			case *itemExpr:
				// l['append'], and l[name] with any name, reach methods too.
				if k, ok := n.key.(*constExpr); !ok || !mutatingConst(k) {
					return
				}
				x = n.x
			case *filterExpr:
				if n.name == "attr" {
					found = true
				}
				return
			case *callExpr:
				if i, ok := n.fn.(*itemExpr); ok {
					if _, constant := i.key.(*constExpr); !constant {
						found = true
					}
				}
				return
			default:
				return
			}
			if own == nil {
				own = ownVariables(body)
			}
			if name, ok := x.(*nameExpr); ok && own[name.name] {
				return
			}
			if !isFresh(x) {
				found = true
			}
		})
	}
	return found
}

func mutatingConst(k *constExpr) bool {
	s, ok := stringOf(k.val)
	return ok && mutating[s]
}

// isFresh says whether an expression makes a new list or dict each time.
func isFresh(n node) bool {
	switch n := n.(type) {
	case *listExpr, *dictExpr:
		return true
	case *binExpr:
		return n.op == tokAdd
	}
	return false
}

// ownVariables are the names that are only ever set to a new list or dict.
func ownVariables(body []node) map[string]bool {
	own := map[string]bool{}
	other := map[string]bool{}
	mark := func(n node) {
		walk(n, func(n node) {
			if name, ok := n.(*nameExpr); ok && name.use != load {
				other[name.name] = true
			}
		})
	}
	for _, n := range body {
		walk(n, func(n node) {
			switch n := n.(type) {
			case *setStmt:
				if name, ok := n.target.(*nameExpr); ok && isFresh(n.x) {
					own[name.name] = true
					return
				}
				mark(n.target)
			case *setBlock:
				mark(n.target)
			case *forStmt:
				mark(n.target)
			case *withStmt:
				each(n.targets, mark)
			case *macroStmt:
				other[n.name] = true
				for _, p := range n.params {
					other[p.name] = true
				}
			case *callStmt:
				for _, p := range n.params {
					other[p.name] = true
				}
			case *importStmt:
				other[n.target] = true
			case *fromStmt:
				for _, i := range n.names {
					other[i.alias] = true
				}
			}
		})
	}
	for name := range other {
		delete(own, name)
	}
	return own
}
