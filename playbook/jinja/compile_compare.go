package jinja

import "orch/playbook/jinja/value"

// A comparison compares two values; the answer may be an *value.UnknownError.
type comparison func(l, r value.Value) (bool, error)

var comparisons = map[string]comparison{
	"==":     value.EqualOp,
	"!=":     func(l, r value.Value) (bool, error) { eq, err := value.EqualOp(l, r); return !eq, err },
	"<":      func(l, r value.Value) (bool, error) { return value.CompareOp("<", l, r) },
	"<=":     func(l, r value.Value) (bool, error) { return value.CompareOp("<=", l, r) },
	">":      func(l, r value.Value) (bool, error) { return value.CompareOp(">", l, r) },
	">=":     func(l, r value.Value) (bool, error) { return value.CompareOp(">=", l, r) },
	"in":     func(l, r value.Value) (bool, error) { return value.Contains(r, l) },
	"not in": func(l, r value.Value) (bool, error) { in, err := value.Contains(r, l); return !in, err },
}

func (c *compiler) compare(n *compareExpr, f *frame) evalFn {
	if len(n.ops) == 1 {
		return c.compareOne(n, f)
	}
	first := c.expr(n.first, f)
	type link struct {
		cmp comparison
		x   evalFn
		at  value.Place
	}
	links := make([]link, len(n.ops))
	for i, o := range n.ops {
		links[i] = link{comparisons[o.op], c.expr(o.x, f), o.at}
	}
	return func(a *activation) (value.Value, error) {
		left, err := first(a)
		if err != nil {
			return nil, err
		}
		var unknown value.Value
		for _, l := range links {
			right, err := l.x(a)
			if err != nil {
				if unknown != nil { // it might not have been evaluated
					return unknown, nil
				}
				return nil, err
			}
			ok, err := l.cmp(left, right)
			if err != nil {
				v, err := a.in.settle(l.at, nil, err)
				if err != nil {
					return nil, err
				}
				unknown = v
			} else if !ok {
				return valFalse, nil
			}
			left = right
		}
		if unknown != nil {
			return unknown, nil
		}
		return valTrue, nil
	}
}

func (c *compiler) compareOne(n *compareExpr, f *frame) evalFn {
	o := n.ops[0]
	left, right, at := c.expr(n.first, f), c.operand(o, f), o.at
	cmp := comparisons[o.op]
	equality := o.op == "==" || o.op == "!="
	negate := o.op == "!="
	return func(a *activation) (value.Value, error) {
		l, err := left(a)
		if err != nil {
			return nil, err
		}
		r, err := right(a)
		if err != nil {
			return nil, err
		}
		if equality { // the most common comparison of all
			if x, ok := l.(value.Str); ok {
				if y, ok := r.(value.Str); ok {
					return boolean((x.S == y.S) != negate), nil
				}
			}
		}
		ok, err := cmp(l, r)
		if err != nil {
			return a.in.settle(at, nil, err)
		}
		return boolean(ok), nil
	}
}

// operand compiles the right side of a comparison. A list of constants to search in is
// made once: nobody else gets hold of it.
func (c *compiler) operand(o operand, f *frame) evalFn {
	l, ok := o.x.(*listExpr)
	if !ok || o.op != "in" && o.op != "not in" {
		return c.expr(o.x, f)
	}
	items := make(value.Tuple, len(l.items))
	for i, item := range l.items {
		k, ok := item.(*constExpr)
		if !ok {
			return c.expr(o.x, f)
		}
		items[i] = k.val
	}
	var v value.Value = items
	return func(*activation) (value.Value, error) { return v, nil }
}
