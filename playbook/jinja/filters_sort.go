package jinja

import (
	"slices"
	"strings"

	"orch/playbook/jinja/value"
)

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
