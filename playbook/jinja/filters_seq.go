package jinja

import (
	"math/rand/v2"
	"slices"
	"strings"

	"orch/playbook/jinja/value"
)

// A getter takes what a filter looks at from an item.
type getter func(item value.Value) (value.Value, error)

// getter makes the getter of an attribute: None for the item itself, an int, or a path of
// names and ints with dots. def, unless nil or None, stands for a missing link.
func (c *Call) getter(attribute, def value.Value) (getter, error) {
	parts, err := attributeParts(attribute)
	if err != nil {
		return nil, err
	}
	if len(parts) == 0 {
		return func(item value.Value) (value.Value, error) { return item, nil }, nil
	}
	return func(item value.Value) (value.Value, error) {
		for _, part := range parts {
			var err error
			if item, err = c.Item(item, part); err != nil {
				return nil, err
			}
			if _, undefined := item.(*value.Undefined); undefined && def != nil && !isNone(def) {
				item = def
			}
		}
		return item, nil
	}, nil
}

func attributeParts(attribute value.Value) ([]value.Value, error) {
	if isNone(attribute) {
		return nil, nil
	}
	s, ok := stringOf(attribute)
	if !ok {
		return []value.Value{attribute}, nil
	}
	var parts []value.Value
	for _, part := range strings.Split(s, ".") {
		digits, err := callMethod(value.S(part), "isdigit")
		if err != nil {
			return nil, err
		}
		if value.Truth(digits) {
			n, err := value.ParseInt(part, 10)
			if err != nil {
				return nil, err
			}
			parts = append(parts, n)
			continue
		}
		parts = append(parts, value.S(part))
	}
	return parts, nil
}

// folded makes a getter ignore the case of text.
func (get getter) folded() getter {
	return func(item value.Value) (value.Value, error) {
		v, err := get(item)
		if s, ok := stringOf(v); ok && err == nil {
			return value.S(value.Lower(s)), nil
		}
		return v, err
	}
}

// keyGetter is getter for filters with a parameter case_sensitive.
func (c *Call) keyGetter(attribute, def, caseSensitive value.Value) (getter, error) {
	get, err := c.getter(attribute, def)
	if err != nil {
		return nil, err
	}
	sensitive, err := truth(caseSensitive)
	if err != nil || sensitive {
		return get, err
	}
	return get.folded(), nil
}

func filterLength(_ *Call, in value.Value, _ Bound) (value.Value, error) {
	n, err := value.Len(in)
	return value.Int(n), err
}

func filterList(_ *Call, in value.Value, _ Bound) (value.Value, error) {
	items, err := value.Items(in)
	if err != nil {
		return nil, err
	}
	return value.NewList(slices.Clone(items)...), nil
}

func filterFirst(c *Call, in value.Value, _ Bound) (value.Value, error) {
	it, err := value.Iter(in)
	if err != nil {
		return nil, err
	}
	v, ok, err := it.Next()
	if err != nil || ok {
		return v, err
	}
	return c.Undefined("", "No first item, sequence was empty."), nil
}

func filterLast(c *Call, in value.Value, _ Bound) (value.Value, error) {
	it, ok, err := reversed(in)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, value.Errorf("TypeError", "'%s' object is not reversible", in.Type())
	}
	v, ok, err := it.Next()
	if err != nil || ok {
		return v, err
	}
	return c.Undefined("", "No last item, sequence was empty."), nil
}

// reversed is Python's reversed(v); false for what has no order to reverse.
func reversed(v value.Value) (*value.Iterator, bool, error) {
	switch v := v.(type) {
	case *value.Iterator:
		return nil, false, nil
	case *value.List:
		i := len(v.Items)
		return value.NewIterator(func() (value.Value, bool, error) {
			if i--; i < 0 || i >= len(v.Items) {
				return nil, false, nil
			}
			return v.Items[i], true, nil
		}), true, nil
	case value.Object:
		if _, tuple := v.(value.Tupled); !tuple {
			if _, mapping := v.(value.Mapping); !mapping {
				return nil, false, nil
			}
		}
	}
	if _, err := value.Len(v); err != nil {
		if raised(err, "TypeError") {
			return nil, false, nil
		}
		return nil, false, err
	}
	items, err := value.Items(v)
	if err != nil {
		return nil, false, err
	}
	items = slices.Clone(items)
	slices.Reverse(items)
	return value.IterateSlice(items), true, nil
}

func filterReverse(_ *Call, in value.Value, _ Bound) (value.Value, error) {
	if _, ok := stringOf(in); ok {
		return value.Slice(in, nil, nil, value.Int(-1))
	}
	it, ok, err := reversed(in)
	if err != nil || ok {
		return it, err
	}
	items, err := value.Items(in)
	if raised(err, "TypeError") {
		return nil, filterError("argument must be iterable")
	}
	if err != nil {
		return nil, err
	}
	items = slices.Clone(items)
	slices.Reverse(items)
	return value.NewList(items...), nil
}

func filterRandom(c *Call, in value.Value, _ Bound) (value.Value, error) {
	n, err := value.Len(in)
	if err != nil {
		return nil, err
	}
	if n == 0 {
		return c.Undefined("", "No random item, sequence was empty."), nil
	}
	i := value.Int(rand.IntN(n))
	v, ok, err := value.Item(in, i)
	if err == nil && !ok {
		err = value.MissingItem(in, i)
	}
	return v, err
}

func filterItems(_ *Call, in value.Value, _ Bound) (value.Value, error) {
	switch in.(type) {
	case *value.Undefined:
		return value.IterateSlice(nil), nil
	case *value.Dict, value.Mapping:
	default:
		return nil, value.Errorf("TypeError", "Can only get item pairs from a mapping.")
	}
	view, err := callMethod(in, "items")
	if err != nil {
		return nil, err
	}
	return value.Iter(view)
}

func filterAttr(c *Call, in value.Value, b Bound) (value.Value, error) {
	if _, undefined := in.(*value.Undefined); undefined {
		return c.Item(in, b.Args[0])
	}
	name, ok := stringOf(b.Args[0])
	if !ok {
		return nil, value.Errorf("TypeError", "attribute name must be string, not '%s'", b.Args[0].Type())
	}
	v, ok, err := value.Attr(in, name)
	if err != nil || ok {
		return v, err
	}
	u := value.Missing(in, value.S(name))
	u.Lenient, u.At = c.Env.opts.Lenient, c.At
	return u, nil
}

func filterJoin(c *Call, in value.Value, b Bound) (value.Value, error) {
	get, err := c.getter(b.Args[1], nil)
	if err != nil {
		return nil, err
	}
	it, err := value.Iter(in)
	if err != nil {
		return nil, err
	}
	sep, err := soft(b.Args[0])
	if err != nil {
		return nil, err
	}
	var items []value.Value
	escape := isMarkup(sep)
	for item, err := range it.All() {
		if err == nil {
			item, err = get(item)
		}
		if err == nil {
			item, err = soft(item)
		}
		if err == nil {
			err = c.Step(1)
		}
		if err != nil {
			return nil, err
		}
		escape = escape || isMarkup(item)
		items = append(items, item)
	}
	if c.Autoescape && escape {
		return callMethod(value.Escape(sep), "join", value.Tuple(items))
	}
	return callMethod(plain(sep), "join", value.Tuple(items))
}

func filterBatch(c *Call, in value.Value, b Bound) (value.Value, error) {
	return generator(func() (nextFunc, error) { return c.batches(in, b) }), nil
}

func (c *Call) batches(in value.Value, b Bound) (nextFunc, error) {
	size, err := value.Index(b.Args[0])
	if u, ok := b.Args[0].(*value.Undefined); ok && !u.Lenient {
		return nil, err
	}
	if err != nil { // Python only compares with it: everything is one batch
		size = -1
	}
	it, err := value.Iter(in)
	if err != nil {
		return nil, err
	}
	var pending value.Value // the item that did not fit the last batch
	return func() (value.Value, bool, error) {
		batch := value.NewList()
		if pending != nil {
			batch.Items, pending = append(batch.Items, pending), nil
		}
		for {
			item, ok, err := it.Next()
			if err == nil {
				err = c.Step(1)
			}
			switch {
			case err != nil:
				return nil, false, err
			case !ok && len(batch.Items) == 0:
				return nil, false, nil
			case !ok:
				for !isNone(b.Args[1]) && len(batch.Items) < size {
					if err := c.Step(1); err != nil {
						return nil, false, err
					}
					batch.Items = append(batch.Items, b.Args[1])
				}
				return batch, true, nil
			case len(batch.Items) == size:
				pending = item
				return batch, true, nil
			}
			batch.Items = append(batch.Items, item)
		}
	}, nil
}

func filterSlice(_ *Call, in value.Value, b Bound) (value.Value, error) {
	return generator(func() (nextFunc, error) { return columns(in, b) }), nil
}

func columns(in value.Value, b Bound) (nextFunc, error) {
	count, err := value.Index(b.Args[0])
	if err != nil {
		return nil, err
	}
	items, err := value.Items(in)
	if err != nil {
		return nil, err
	}
	if count == 0 {
		return nil, value.Errorf("ZeroDivisionError", "integer division or modulo by zero")
	}
	items = slices.Clone(items)
	i, offset := -1, 0
	return func() (value.Value, bool, error) {
		if i++; i >= count {
			return nil, false, nil
		}
		size := len(items) / count
		start := offset + i*size
		if i < len(items)%count {
			offset++
		}
		part := value.NewList(slices.Clone(items[start : offset+(i+1)*size])...)
		if !isNone(b.Args[1]) && i >= len(items)%count {
			part.Items = append(part.Items, b.Args[1])
		}
		return part, true, nil
	}, nil
}

func filterUnique(c *Call, in value.Value, b Bound) (value.Value, error) {
	return generator(func() (nextFunc, error) { return c.distinct(in, b) }), nil
}

func (c *Call) distinct(in value.Value, b Bound) (nextFunc, error) {
	get, err := c.keyGetter(b.Args[1], nil, b.Args[0])
	if err != nil {
		return nil, err
	}
	it, err := value.Iter(in)
	if err != nil {
		return nil, err
	}
	seen := value.NewDict(0)
	return func() (value.Value, bool, error) {
		for {
			item, ok, err := it.Next()
			if err != nil || !ok {
				return nil, false, err
			}
			key, err := get(item)
			if err == nil {
				_, ok, err = seen.Get(key)
			}
			if err == nil && !ok {
				err = seen.Set(key, none)
			}
			if err == nil {
				err = c.Step(1)
			}
			if err != nil {
				return nil, false, err
			}
			if !ok {
				return item, true, nil
			}
		}
	}, nil
}

// extreme is the filter min (op "<") or max (op ">").
func extreme(op string) filterFunc {
	return func(c *Call, in value.Value, b Bound) (value.Value, error) {
		get, err := c.keyGetter(b.Args[1], nil, b.Args[0])
		if err != nil {
			return nil, err
		}
		it, err := value.Iter(in)
		if err != nil {
			return nil, err
		}
		var best, bestKey value.Value
		for item, err := range it.All() {
			var key value.Value
			if err == nil {
				key, err = get(item)
			}
			better := best == nil
			if err == nil && !better {
				better, err = value.CompareOp(op, key, bestKey)
			}
			if err == nil {
				err = c.Step(1)
			}
			if err != nil {
				return nil, err
			}
			if better {
				best, bestKey = item, key
			}
		}
		if best == nil {
			return c.Undefined("", "No aggregated item, sequence was empty."), nil
		}
		return best, nil
	}
}

// keyed returns the items of v and their keys.
func (c *Call) keyed(v value.Value, get getter) (items, keys []value.Value, err error) {
	items, err = value.Items(v)
	if err != nil {
		return nil, nil, err
	}
	keys = make([]value.Value, len(items))
	for i, item := range items {
		if keys[i], err = get(item); err != nil {
			return nil, nil, err
		}
	}
	return items, keys, c.Step(len(items))
}

func filterSort(c *Call, in value.Value, b Bound) (value.Value, error) {
	attributes := []value.Value{b.Args[2]}
	if s, ok := stringOf(b.Args[2]); ok {
		attributes = nil
		for _, a := range strings.Split(s, ",") {
			attributes = append(attributes, value.S(a))
		}
	}
	getters := make([]getter, len(attributes))
	for i, a := range attributes {
		get, err := c.keyGetter(a, nil, b.Args[1])
		if err != nil {
			return nil, err
		}
		getters[i] = get
	}
	// As in Jinja2 the key is a list, so that equal items need no order.
	items, keys, err := c.keyed(in, func(item value.Value) (value.Value, error) {
		key := make(value.Tuple, len(getters))
		for i, get := range getters {
			v, err := get(item)
			if err != nil {
				return nil, err
			}
			key[i] = v
		}
		return key, nil
	})
	if err != nil {
		return nil, err
	}
	reverse, err := value.Index(b.Args[0])
	if err != nil {
		return nil, err
	}
	sorted, err := value.SortedBy(items, keys, reverse != 0)
	return value.NewList(sorted...), err
}

func filterDictSort(c *Call, in value.Value, b Bound) (value.Value, error) {
	by, _ := stringOf(b.Args[1])
	pos := slices.Index([]string{"key", "value"}, by)
	if pos < 0 {
		return nil, filterError(`You can only sort by either "key" or "value"`)
	}
	view, err := callMethod(in, "items")
	if err != nil {
		return nil, err
	}
	get, err := c.keyGetter(value.Int(pos), nil, b.Args[0])
	if err != nil {
		return nil, err
	}
	items, keys, err := c.keyed(view, get)
	if err != nil {
		return nil, err
	}
	reverse, err := value.Index(b.Args[2])
	if err != nil {
		return nil, err
	}
	sorted, err := value.SortedBy(items, keys, reverse != 0)
	return value.NewList(sorted...), err
}

// A group is what groupby yields: the tuple (grouper, list), which has these names too.
type group struct {
	grouper value.Value
	list    *value.List
}

// Type implements value.Value.
func (*group) Type() string { return "_GroupTuple" }

// Tuple implements value.Tupled.
func (g *group) Tuple() value.Tuple { return value.Tuple{g.grouper, g.list} }

// Attr implements value.Object.
func (g *group) Attr(name string) (value.Value, bool, error) {
	switch name {
	case "grouper":
		return g.grouper, true, nil
	case "list":
		return g.list, true, nil
	}
	m, ok := value.Method(g.Tuple(), name)
	return m, ok, nil
}

func filterGroupBy(c *Call, in value.Value, b Bound) (value.Value, error) {
	get, err := c.keyGetter(b.Args[0], b.Args[1], b.Args[2])
	if err != nil {
		return nil, err
	}
	shown, err := c.getter(b.Args[0], b.Args[1])
	if err != nil {
		return nil, err
	}
	items, keys, err := c.keyed(in, get)
	if err != nil {
		return nil, err
	}
	order := make([]value.Value, len(items))
	for i := range order {
		order[i] = value.Int(i)
	}
	if order, err = value.SortedBy(order, keys, false); err != nil {
		return nil, err
	}
	groups := value.NewList()
	var last value.Value
	for _, o := range order {
		i := int(o.(value.Int))
		same := false
		if last != nil {
			if same, err = value.EqualOp(last, keys[i]); err != nil {
				return nil, err
			}
		}
		last = keys[i]
		if !same {
			name, err := shown(items[i])
			if err != nil {
				return nil, err
			}
			groups.Items = append(groups.Items, &group{grouper: name, list: value.NewList()})
		}
		g := groups.Items[len(groups.Items)-1].(*group)
		g.list.Items = append(g.list.Items, items[i])
	}
	return groups, nil
}

// filterMap is lazy, also about mistakes in its arguments.
func filterMap(c *Call, in value.Value, b Bound) (value.Value, error) {
	return c.lazy(in, func() (func(value.Value) (value.Value, bool, error), error) {
		apply, err := c.mapping(b)
		if err != nil {
			return nil, err
		}
		return func(item value.Value) (value.Value, bool, error) {
			v, err := apply(item)
			return v, true, err
		}, nil
	})
}

func (c *Call) mapping(b Bound) (getter, error) {
	var attribute, def value.Value
	for _, n := range b.KwVar {
		switch n.Name {
		case "attribute":
			attribute = n.Val
		case "default":
			def = n.Val
		}
	}
	if len(b.Var) == 0 && attribute != nil {
		for _, n := range b.KwVar {
			if n.Name != "attribute" && n.Name != "default" {
				return nil, filterError("Unexpected keyword argument %s", value.Repr(value.S(n.Name)))
			}
		}
		return c.getter(attribute, def)
	}
	if len(b.Var) == 0 {
		return nil, filterError("map requires a filter argument")
	}
	name, err := value.Text(b.Var[0])
	if err != nil {
		return nil, err
	}
	args := Args{Pos: b.Var[1:], Named: b.KwVar}
	return func(item value.Value) (value.Value, error) { return c.Filter(name, item, args) }, nil
}

// lazy makes the iterator of a generator function: prepare is called when the first item
// is asked for, then each item is changed or left out. An empty value ends it before.
func (c *Call) lazy(in value.Value, prepare func() (func(value.Value) (value.Value, bool, error), error)) (value.Value, error) {
	return generator(func() (nextFunc, error) {
		full, err := truth(in)
		if err != nil || !full {
			return exhausted, err
		}
		each, err := prepare()
		if err != nil {
			return nil, err
		}
		it, err := value.Iter(in)
		if err != nil {
			return nil, err
		}
		return func() (value.Value, bool, error) {
			for {
				item, ok, err := it.Next()
				if err != nil || !ok {
					return nil, false, err
				}
				if err := c.Step(1); err != nil {
					return nil, false, err
				}
				if item, ok, err = each(item); err != nil || ok {
					return item, ok, err
				}
			}
		}, nil
	}), nil
}

// A nextFunc returns the next item of a sequence; false at the end.
type nextFunc = func() (value.Value, bool, error)

func exhausted() (value.Value, bool, error) { return nil, false, nil }

// generator makes an iterator as Python's generator functions do: nothing happens, and
// nothing fails, before the first item is asked for.
func generator(start func() (nextFunc, error)) value.Value {
	var next nextFunc
	return value.NewIterator(func() (value.Value, bool, error) {
		if next == nil {
			var err error
			if next, err = start(); err != nil {
				return nil, false, err
			}
		}
		return next()
	})
}

// selection is select, reject, selectattr or rejectattr: it keeps the items for which a
// test (or the truth of the item) is want.
func selection(want, byAttr bool) filterFunc {
	return func(c *Call, in value.Value, b Bound) (value.Value, error) {
		return c.lazy(in, func() (func(value.Value) (value.Value, bool, error), error) {
			args := b.Var
			attribute := none
			if byAttr {
				if len(args) == 0 {
					return nil, filterError("Missing parameter for attribute name")
				}
				attribute, args = args[0], args[1:]
			}
			get, err := c.getter(attribute, nil)
			if err != nil {
				return nil, err
			}
			test, err := c.testFunc(args, b.KwVar)
			if err != nil {
				return nil, err
			}
			return func(item value.Value) (value.Value, bool, error) {
				v, err := get(item)
				if err == nil {
					v, err = test(v)
				}
				if err != nil {
					return nil, false, err
				}
				ok, err := truth(v)
				return item, ok == want, err
			}, nil
		})
	}
}

// testFunc applies the test that args names, if they name one.
func (c *Call) testFunc(args []value.Value, named []NamedArg) (getter, error) {
	if len(args) == 0 {
		return func(v value.Value) (value.Value, error) { return v, nil }, nil
	}
	name, err := value.Text(args[0])
	if err != nil {
		return nil, err
	}
	rest := Args{Pos: args[1:], Named: named}
	return func(v value.Value) (value.Value, error) { return c.Test(name, v, rest) }, nil
}
