package jinja

import (
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
