package jinja

import (
	"math/rand/v2"
	"slices"

	"orch/playbook/jinja/value"
)

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
	return generator(func() (nextFunc, error) {
		switch in.(type) {
		case *value.Undefined:
			return exhausted, nil
		case *value.Dict, value.Mapping:
		default:
			return nil, value.Errorf("TypeError", "Can only get item pairs from a mapping.")
		}
		view, err := callMethod(in, "items")
		if err != nil {
			return nil, err
		}
		it, err := value.Iter(view)
		if err != nil {
			return nil, err
		}
		return it.Next, nil
	}), nil
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
	noSize := err
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
				if noSize != nil && !isNone(b.Args[1]) {
					return nil, false, noSize
				}
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
