package filter

import (
	"fmt"
	"slices"
	"strings"

	"orch/playbook/jinja/value"
)

var dictFilters = []def{
	{
		names: "combine", sig: "*dicts, **options", filter: combine,
		doc: "Merges dicts, later ones win; a list of dicts is taken apart. recursive=true merges nested dicts too; list_merge says what becomes of " +
			"lists under the same key: replace, keep, append, prepend, append_rp, prepend_rp (rp: values present in both stay once).",
		examples: []string{
			"{{ {'a': 1, 'b': 2} | combine({'b': 3}) }}", "{'a': 1, 'b': 3}",
			"{{ {'a': {'x': [1]}} | combine({'a': {'x': [2], 'y': 0}}, recursive=true, list_merge='append') }}", "{'a': {'x': [1, 2], 'y': 0}}",
		},
	},
	{
		names: "dict2items", sig: "key_name='key', value_name='value'", filter: dict2items,
		doc:      "A dict as a list of dicts with key and value.",
		examples: []string{"{{ {'a': 1} | dict2items }}", "[{'key': 'a', 'value': 1}]"},
	},
	{
		names: "items2dict", sig: "key_name='key', value_name='value'", filter: items2dict,
		doc:      "A list of dicts with key and value as one dict.",
		examples: []string{"{{ [{'k': 'a', 'v': 1}] | items2dict('k', 'v') }}", "{'a': 1}"},
	},
	{
		names: "subelements", sig: "subelements, skip_missing=False", filter: subelements,
		doc: "Pairs every dict of a list (or value of a dict) with each element of a list inside it; the list is named by key, dotted for nested ones. " +
			"skip_missing leaves out dicts without it.",
		examples: []string{
			"{{ [{'n': 'a', 'g': [1, 2]}] | subelements('g') }}",
			"[({'n': 'a', 'g': [1, 2]}, 1), ({'n': 'a', 'g': [1, 2]}, 2)]",
		},
	},
	{
		names: "rekey_on_member", sig: "key, duplicates='error'", filter: rekeyOnMember,
		doc:      "A dict of dicts (or list of dicts) as a dict keyed by one of their members. duplicates is error or overwrite.",
		examples: []string{"{{ [{'id': 'x', 'n': 1}] | rekey_on_member('id') }}", "{'x': {'id': 'x', 'n': 1}}"},
	},
}

var listMerges = []string{"replace", "keep", "append", "prepend", "append_rp", "prepend_rp"}

func combine(c *call) (value.Value, error) {
	var recursive, listMerge value.Value
	if err := c.options(map[string]*value.Value{"recursive": &recursive, "list_merge": &listMerge}); err != nil {
		return nil, fmt.Errorf("'recursive' and 'list_merge' are the only valid keyword arguments")
	}
	m := merger{recursive: recursive != nil && value.Truth(recursive), lists: "replace"}
	if listMerge != nil {
		m.lists = value.String(listMerge)
	}
	if !slices.Contains(listMerges, m.lists) {
		return nil, badChoice("combine: list_merge", m.lists, listMerges...)
	}
	dicts, err := flatten(append([]value.Value{c.in}, c.rest...), 1, true)
	if err != nil {
		return nil, err
	}
	for _, d := range dicts {
		if u, ok := value.HasUndefined(d); ok {
			return nil, &value.UndefinedError{U: u}
		}
		if u, ok := d.(value.Unknown); ok {
			return u, nil
		}
	}
	switch len(dicts) {
	case 0:
		return value.NewDict(0), nil
	case 1:
		return dicts[0], nil
	}
	// From the right: the rightmost has the last word, and usually the fewest entries.
	out := dicts[len(dicts)-1]
	for _, d := range slices.Backward(dicts[:len(dicts)-1]) {
		if out, err = m.values(d, out); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// A merger merges dicts.
type merger struct {
	recursive bool
	lists     string
}

func (m merger) values(low, high value.Value) (value.Value, error) {
	x, okX, err := asDict(low)
	if err != nil {
		return nil, err
	}
	y, okY, err := asDict(high)
	if err != nil {
		return nil, err
	}
	if !okX || !okY {
		return nil, fmt.Errorf("failed to combine variables, expected dicts but got a '%s' and a '%s'", low.Type(), high.Type())
	}
	return m.dicts(x, y)
}

// dicts merges high into a copy of low.
func (m merger) dicts(low, high *value.Dict) (value.Value, error) {
	if low.Len() == 0 || value.Equal(low, high) { // as Ansible: the order of keys is high's
		return high.Copy(), nil
	}
	if high.Len() == 0 {
		return low, nil
	}
	out := low.Copy()
	for k, y := range high.All() {
		x, present, err := low.Get(k)
		if err != nil {
			return nil, err
		}
		if present {
			if y, err = m.entry(x, y); err != nil {
				return nil, err
			}
		}
		if err := out.Set(k, y); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// entry is what becomes of a key that both have.
func (m merger) entry(x, y value.Value) (value.Value, error) {
	if m.recursive {
		dx, okX := x.(*value.Dict)
		dy, okY := y.(*value.Dict)
		if okX && okY {
			return m.dicts(dx, dy)
		}
	}
	lx, okX := x.(*value.List)
	ly, okY := y.(*value.List)
	if !okX || !okY {
		return y, nil
	}
	absent := func() ([]value.Value, error) {
		var rest []value.Value
		for _, item := range lx.Items {
			in, err := value.Contains(ly, item)
			if err != nil {
				return nil, err
			}
			if !in {
				rest = append(rest, item)
			}
		}
		return rest, nil
	}
	switch m.lists {
	case "keep":
		return x, nil
	case "append":
		return newList(slices.Concat(lx.Items, ly.Items)), nil
	case "prepend":
		return newList(slices.Concat(ly.Items, lx.Items)), nil
	case "append_rp":
		rest, err := absent()
		return newList(slices.Concat(rest, ly.Items)), err
	case "prepend_rp":
		rest, err := absent()
		return newList(slices.Concat(ly.Items, rest)), err
	}
	return y, nil
}

func dict2items(c *call) (value.Value, error) {
	d, ok, err := asDict(c.in)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, typeErr("dict2items requires a dictionary, got %s instead", typeName(c.in))
	}
	items := make([]value.Value, 0, d.Len())
	for k, v := range d.All() {
		item := value.NewDict(2)
		if err := item.Set(c.args[0], k); err != nil {
			return nil, err
		}
		if err := item.Set(c.args[1], v); err != nil {
			return nil, err
		}
		items = append(items, item)
	}
	return newList(items), nil
}

func items2dict(c *call) (value.Value, error) {
	if !isSequence(c.in) {
		return nil, typeErr("items2dict requires a list, got %s instead", typeName(c.in))
	}
	items, err := value.Items(c.in)
	if err != nil {
		return nil, err
	}
	out := value.NewDict(len(items))
	for _, item := range items {
		d, ok, err := asDict(item)
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, typeErr("items2dict requires a list of dictionaries, got %s instead", value.Repr(c.in))
		}
		k, okK, err := d.Get(c.args[0])
		if err != nil {
			return nil, err
		}
		v, okV, err := d.Get(c.args[1])
		if err != nil {
			return nil, err
		}
		if !okK || !okV {
			return nil, typeErr("items2dict requires each dictionary in the list to contain the keys '%s' and '%s', got %s instead",
				value.String(c.args[0]), value.String(c.args[1]), value.Repr(c.in))
		}
		if err := out.Set(k, v); err != nil {
			return nil, typeErr("items2dict requires a list of dictionaries, got %s instead", value.Repr(c.in))
		}
	}
	return out, nil
}

func subelements(c *call) (value.Value, error) {
	var elements []value.Value
	if d, ok, err := asDict(c.in); err != nil {
		return nil, err
	} else if ok {
		for _, v := range d.All() {
			elements = append(elements, v)
		}
	} else if l, ok := c.in.(*value.List); ok {
		elements = l.Items
	} else {
		return nil, fmt.Errorf("obj must be a list of dicts or a nested dict")
	}
	var keys []value.Value
	if l, ok := c.args[0].(*value.List); ok {
		keys = l.Items
	} else if s, ok := asStr(c.args[0]); ok {
		keys = strs(strings.Split(s, ".")).Items
	} else {
		return nil, typeErr("subelements must be a list or a string")
	}
	pairs := []value.Value{}
	for _, e := range elements {
		inner, err := subelementsOf(e, keys, c.truth(1))
		if err != nil {
			return nil, err
		}
		for _, v := range inner {
			pairs = append(pairs, value.Tuple{e, v})
		}
	}
	return newList(pairs), nil
}

func subelementsOf(v value.Value, keys []value.Value, skipMissing bool) ([]value.Value, error) {
	for _, k := range keys {
		d, ok, err := asDict(v)
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, typeErr("the key %s should point to a dictionary, got '%s'", value.String(k), value.String(v))
		}
		inner, ok, err := d.Get(k)
		switch {
		case err != nil:
			return nil, err
		case !ok && skipMissing:
			return nil, nil
		case !ok:
			return nil, fmt.Errorf("could not find %s key in iterated item %s", value.Repr(k), value.Repr(v))
		}
		v = inner
	}
	l, ok := v.(*value.List)
	if !ok {
		return nil, typeErr("the key %s should point to a list, got %s", value.Repr(keys[len(keys)-1]), value.Repr(v))
	}
	return l.Items, nil
}

func rekeyOnMember(c *call) (value.Value, error) {
	duplicates := value.String(c.args[1])
	if duplicates != "error" && duplicates != "overwrite" {
		return nil, valueErr("duplicates parameter to rekey_on_member has unknown value: %s", duplicates)
	}
	var items []value.Value
	if d, ok, err := asDict(c.in); err != nil {
		return nil, err
	} else if ok {
		for _, v := range d.All() {
			items = append(items, v)
		}
	} else if _, isStr := asStr(c.in); isStr {
		return nil, typeErr("Type is not a valid list, set, or dict")
	} else if items, err = value.Items(c.in); err != nil {
		return nil, typeErr("Type is not a valid list, set, or dict")
	}
	out := value.NewDict(len(items))
	for _, item := range items {
		d, ok, err := asDict(item)
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, typeErr("List item is not a valid dict")
		}
		key, ok, err := d.Get(c.args[0])
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, valueErr("Key %s was not found", value.String(c.args[0]))
		}
		if _, taken, _ := out.Get(key); taken && duplicates == "error" {
			return nil, valueErr("Key %s is not unique, cannot correctly turn into dict", value.String(key))
		}
		if err := out.Set(key, item); err != nil {
			return nil, err
		}
	}
	return out, nil
}
