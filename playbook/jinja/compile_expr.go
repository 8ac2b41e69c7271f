package jinja

import (
	"orch/playbook/jinja/value"
)

// expr compiles an expression.
func (c *compiler) expr(n node, f *frame) evalFn {
	switch n := n.(type) {
	case *nameExpr:
		return c.name(n.name, n.at(), f)
	case *constExpr:
		v := n.val
		return func(*activation) (value.Value, error) { return v, nil }
	case *attrExpr:
		return c.attr(n, f)
	case *itemExpr:
		return c.item(n, f)
	case *callExpr:
		return c.call(n, f, nil)
	case *filterExpr:
		return c.filter(n, f, nil)
	case *testExpr:
		return c.test(n, f)
	case *binExpr:
		if n.op == tokName {
			return c.logic(n, f)
		}
		return c.arithmetic(n, f)
	case *unaryExpr:
		return c.unary(n, f)
	case *compareExpr:
		return c.compare(n, f)
	case *condExpr:
		return c.cond(n, f)
	case *concatExpr:
		return c.concat(n, f)
	case *tupleExpr:
		items := c.exprs(n.items, f)
		return func(a *activation) (value.Value, error) {
			vals, err := evalAll(a, items)
			return value.Tuple(vals), err
		}
	case *listExpr:
		items := c.exprs(n.items, f)
		return func(a *activation) (value.Value, error) {
			vals, err := evalAll(a, items)
			return &value.List{Items: vals}, err
		}
	case *dictExpr:
		return c.dict(n, f)
	}
	c.fail(n.at(), "not an expression")
	return func(*activation) (value.Value, error) { return value.None{}, nil }
}

func (c *compiler) exprs(nodes []node, f *frame) []evalFn {
	out := make([]evalFn, len(nodes))
	for i, n := range nodes {
		out[i] = c.expr(n, f)
	}
	return out
}

func evalAll(a *activation, fns []evalFn) ([]value.Value, error) {
	vals := make([]value.Value, len(fns))
	for i, fn := range fns {
		v, err := fn(a)
		if err != nil {
			return nil, err
		}
		vals[i] = v
	}
	return vals, nil
}

func (c *compiler) dict(n *dictExpr, f *frame) evalFn {
	keys, vals := c.exprs(n.keys, f), c.exprs(n.vals, f)
	at := n.at()
	return func(a *activation) (value.Value, error) {
		d := value.NewDict(len(keys))
		var unknown value.Value
		for i := range keys {
			k, err := keys[i](a)
			if err != nil {
				return nil, err
			}
			v, err := vals[i](a)
			if err != nil {
				return nil, err
			}
			switch k := k.(type) {
			case value.Unknown:
				unknown = k
				continue
			case *value.Undefined:
				if !k.Lenient {
					return nil, a.in.fail(n.keys[i].at(), &value.UndefinedError{U: k})
				}
			case value.Str:
				d.SetStr(k.S, v)
				continue
			}
			if err := d.Set(k, v); err != nil {
				return nil, a.in.fail(at, err)
			}
		}
		if unknown != nil {
			return unknown, nil
		}
		return d, nil
	}
}

// pathOf names a chain of attributes and constant items, for messages; "" for anything
// else.
func pathOf(n node) string {
	switch n := n.(type) {
	case *nameExpr:
		return n.name
	case *attrExpr:
		if p := pathOf(n.x); p != "" {
			return p + "." + n.name
		}
	case *itemExpr:
		k, ok := n.key.(*constExpr)
		if !ok {
			return ""
		}
		if p := pathOf(n.x); p != "" {
			return p + "[" + value.Repr(k.val) + "]"
		}
	}
	return ""
}

func (c *compiler) attr(n *attrExpr, f *frame) evalFn {
	x, name, at := c.expr(n.x, f), n.name, n.at()
	path := pathOf(n)
	key := value.Value(value.S(name))
	_, method := value.Method(emptyDict, name)
	method = method || name == "__class__"
	return func(a *activation) (value.Value, error) {
		v, err := x(a)
		if err != nil {
			return nil, err
		}
		if d, ok := v.(*value.Dict); ok && !method {
			if r, ok := d.GetStr(name); ok {
				return r, nil
			}
			return a.in.missing(v, key, at, path), nil
		}
		return a.in.getAttr(v, key, name, at, path)
	}
}

// emptyDict is asked for the names of a dict's methods.
var emptyDict = value.NewDict(0)

// missing is the undefined value of an attribute or item that is not there.
func (in *instance) missing(owner, key value.Value, at value.Place, path string) value.Value {
	u := value.Missing(owner, key)
	u.At, u.Lenient, u.Path = at, in.env.opts.Lenient, path
	return u
}

// getAttr is Jinja2's x.name: an attribute, else an item.
func (in *instance) getAttr(v, key value.Value, name string, at value.Place, path string) (value.Value, error) {
	if u, ok := v.(*value.Undefined); ok {
		return in.attrOfUndefined(u, name, at)
	}
	if name == "__class__" && !value.IsUnknown(v) {
		return class(v.Type()), nil
	}
	r, ok, err := value.Attr(v, name)
	if err == nil && !ok {
		r, ok, err = value.Item(v, key)
	}
	if err != nil {
		return in.settle(at, nil, err)
	}
	if !ok {
		return in.missing(v, key, at, path), nil
	}
	return r, nil
}

func (in *instance) attrOfUndefined(u *value.Undefined, name string, at value.Place) (value.Value, error) {
	switch {
	case name == "__class__":
		return class(u.Type()), nil
	case name == "_undefined_name":
		return value.S(u.Name), nil
	case name == "_undefined_hint" && u.Hint != "":
		return value.S(u.Hint), nil
	case name == "_undefined_hint":
		return value.None{}, nil
	case in.chains(u):
		return u, nil
	}
	return nil, in.fail(at, &value.UndefinedError{U: u})
}

// chains says whether an attribute of u is u again.
func (in *instance) chains(u *value.Undefined) bool { return in.env.opts.Chainable && !u.Plain }

// A class is the type of a value as an object: x.__class__.
type class string

// Type implements value.Value.
func (class) Type() string { return "type" }

// Attr implements value.Object.
func (c class) Attr(name string) (value.Value, bool, error) {
	if name == "__name__" || name == "__qualname__" {
		return value.S(string(c)), true, nil
	}
	return nil, false, nil
}

// Str implements value.Texter.
func (c class) Str() string { return c.Repr() }

// Repr implements value.Texter.
func (c class) Repr() string { return "<class '" + string(c) + "'>" }

// getItem is Jinja2's x[key]: an item, else an attribute.
func (in *instance) getItem(v, key value.Value, at value.Place, path string) (value.Value, error) {
	if u, ok := v.(*value.Undefined); ok {
		if in.chains(u) {
			return u, nil
		}
		return nil, in.fail(at, &value.UndefinedError{U: u})
	}
	if u, ok := key.(*value.Undefined); ok {
		return in.undefinedKey(v, u, at)
	}
	r, ok, err := value.Item(v, key)
	if err == nil && !ok {
		if name, text := stringOf(key); text {
			r, ok, err = value.Attr(v, name)
		}
	}
	if err != nil {
		return in.settle(at, nil, err)
	}
	if !ok {
		return in.missing(v, key, at, path), nil
	}
	return r, nil
}

// undefinedKey subscripts by an undefined value. Only a dict has to hash it, which a
// strict one does not allow; elsewhere Python's TypeError makes the result undefined.
func (in *instance) undefinedKey(v value.Value, key *value.Undefined, at value.Place) (value.Value, error) {
	_, isDict := v.(*value.Dict)
	if _, isMapping := v.(value.Mapping); (isDict || isMapping) && !key.Lenient {
		return nil, in.fail(at, &value.UndefinedError{U: key})
	}
	if value.IsUnknown(v) {
		return v, nil
	}
	return in.missing(v, key, at, ""), nil
}

func stringOf(v value.Value) (string, bool) {
	switch v := v.(type) {
	case value.Str:
		return v.S, true
	case value.Markup:
		return string(v), true
	}
	return "", false
}

func (c *compiler) item(n *itemExpr, f *frame) evalFn {
	if s, ok := n.key.(*sliceExpr); ok {
		return c.slice(n, s, f)
	}
	x, key, at, path := c.expr(n.x, f), c.expr(n.key, f), n.at(), pathOf(n)
	return func(a *activation) (value.Value, error) {
		v, err := x(a)
		if err != nil {
			return nil, err
		}
		k, err := key(a)
		if err != nil {
			return nil, err
		}
		return a.in.getItem(v, k, at, path)
	}
}

func (c *compiler) slice(n *itemExpr, s *sliceExpr, f *frame) evalFn {
	x, at := c.expr(n.x, f), n.at()
	bounds := make([]evalFn, 3)
	for i, b := range []node{s.lo, s.hi, s.step} {
		if b != nil {
			bounds[i] = c.expr(b, f)
		}
	}
	return func(a *activation) (value.Value, error) {
		v, err := x(a)
		if err != nil {
			return nil, err
		}
		var b [3]value.Value
		for i, fn := range bounds {
			if fn == nil {
				continue
			}
			if b[i], err = fn(a); err != nil {
				return nil, err
			}
		}
		if u, ok := v.(*value.Undefined); ok && a.in.chains(u) {
			return u, nil
		}
		r, err := value.Slice(v, b[0], b[1], b[2])
		return a.in.settle(at, r, err)
	}
}

func (c *compiler) arithmetic(n *binExpr, f *frame) evalFn {
	left, right, at := c.expr(n.left, f), c.expr(n.right, f), n.at()
	op := operations[n.op]
	return func(a *activation) (value.Value, error) {
		l, err := left(a)
		if err != nil {
			return nil, err
		}
		r, err := right(a)
		if err != nil {
			return nil, err
		}
		v, err := op(l, r)
		if err != nil {
			return a.in.settle(at, nil, err)
		}
		if s, ok := v.(value.Str); ok && len(s.S) > a.in.env.limits.Output {
			return nil, a.in.fail(at, value.Errorf("MemoryError", "the string would be longer than %d bytes", a.in.env.limits.Output))
		}
		return v, nil
	}
}

var operations = map[kind]func(a, b value.Value) (value.Value, error){
	tokAdd: value.Add, tokSub: value.Sub, tokMul: value.Mul, tokDiv: value.Div,
	tokFloordiv: value.FloorDiv, tokMod: value.Mod, tokPow: value.Pow,
}

func (c *compiler) unary(n *unaryExpr, f *frame) evalFn {
	x, at := c.expr(n.x, f), n.at()
	if n.op == tokName {
		return func(a *activation) (value.Value, error) {
			v, err := x(a)
			if err != nil {
				return nil, err
			}
			t, known, err := a.truth(v, at)
			if err != nil {
				return nil, err
			}
			if !known {
				return v, nil
			}
			return boolean(!t), nil
		}
	}
	op := value.Neg
	if n.op == tokAdd {
		op = value.Pos
	}
	return func(a *activation) (value.Value, error) {
		v, err := x(a)
		if err != nil {
			return nil, err
		}
		r, err := op(v)
		return a.in.settle(at, r, err)
	}
}

// True and False as values, made once.
var (
	valTrue  value.Value = value.Bool(true)
	valFalse value.Value = value.Bool(false)
)

func boolean(b bool) value.Value {
	if b {
		return valTrue
	}
	return valFalse
}

// logic compiles `and` and `or`, which yield one of their operands. With an unknown left
// operand the result is known only when the right one decides it alone; whether the
// right one would have been evaluated is not known then, so its errors do not count.
func (c *compiler) logic(n *binExpr, f *frame) evalFn {
	left, right, at := c.expr(n.left, f), c.expr(n.right, f), n.left.at()
	stop := n.word == "or"
	return func(a *activation) (value.Value, error) {
		l, err := left(a)
		if err != nil {
			return nil, err
		}
		t, known, err := a.truth(l, at)
		switch {
		case err != nil:
			return nil, err
		case known && t == stop:
			return l, nil
		case known:
			return right(a)
		}
		r, err := right(a)
		if err != nil {
			return l, nil //nolint:nilerr // see above
		}
		if b, ok := r.(value.Bool); ok && bool(b) == stop {
			return r, nil
		}
		return l, nil
	}
}

// cond compiles the inline if. Without else it yields a lenient undefined value, in every
// environment.
func (c *compiler) cond(n *condExpr, f *frame) evalFn {
	soft := f.softly()
	test, yes, at, testAt := c.expr(n.test, soft), c.expr(n.yes, soft), n.at(), n.test.at()
	var no evalFn
	if n.no != nil {
		no = c.expr(n.no, soft)
	}
	return func(a *activation) (value.Value, error) {
		v, err := test(a)
		if err != nil {
			return nil, err
		}
		t, known, err := a.truth(v, testAt)
		switch {
		case err != nil:
			return nil, err
		case !known:
			return v, nil
		case t:
			return yes(a)
		case no != nil:
			return no(a)
		}
		return &value.Undefined{
			Hint: "the inline if-expression on " + a.in.position(at) +
				" evaluated to false and no else section was defined.",
			Lenient: true, Plain: true, At: at,
		}, nil
	}
}

// concat compiles `~`: the text of its operands.
func (c *compiler) concat(n *concatExpr, f *frame) evalFn {
	items, escape := c.exprs(n.items, f), c.escape
	return func(a *activation) (value.Value, error) {
		vals, err := evalAll(a, items)
		if err != nil {
			return nil, err
		}
		if a.escapes(escape) {
			if v, ok := markupJoin(vals); ok {
				return v, nil
			}
		}
		o := a.in.env.textOutput()
		for i, v := range vals {
			if err := o.print(v); err != nil {
				return nil, a.in.fail(n.items[i].at(), err)
			}
		}
		return o.text(), nil
	}
}

// markupJoin joins values of which one is Markup: the others are escaped.
func markupJoin(vals []value.Value) (value.Value, bool) {
	markup := false
	for _, v := range vals {
		switch v := v.(type) {
		case value.Markup:
			markup = true
		case value.Unknown:
			return v, true
		case *value.Undefined:
			if !v.Lenient {
				return nil, false // the plain join reports it
			}
		}
	}
	if !markup {
		return nil, false
	}
	var out value.Markup
	for _, v := range vals {
		m, ok := escaped(v).(value.Markup)
		if !ok {
			m = value.Escape(v)
		}
		out += m
	}
	return out, true
}

// escapes says whether printed values are escaped.
func (a *activation) escapes(m escapeMode) bool {
	return m == escapeOn || m == escapeVolatile && a.in.scope.autoescape
}
