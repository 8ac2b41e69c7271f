package filter

import (
	"fmt"
	"strings"

	"orch/playbook/jinja/value"
)

var setFilters = []def{
	{
		names: "unique", sig: "case_sensitive=None, attribute=None", filter: unique,
		doc: "The different items of a list, the first of each. Texts that differ only in case are the same unless case_sensitive is true; " +
			"with attribute, items are compared by that attribute.",
		examples: []string{"{{ [1, 2, 1] | unique }}", "[1, 2]", "{{ ['a', 'A'] | unique(case_sensitive=true) }}", "['a', 'A']"},
	},
	{
		names: "union", sig: "b", filter: setFilter(true, func(a, b *set) []value.Value { return newSet(append(a.items, b.items...)).items }),
		doc:      "What is in one list or in the other, each once.",
		examples: []string{"{{ [1, 2] | union([2, 3]) }}", "[1, 2, 3]"},
	},
	{
		names: "intersect", sig: "b", filter: setFilter(false, func(a, b *set) []value.Value { return a.keep(b, true) }),
		doc:      "What is in both lists, each once.",
		examples: []string{"{{ [1, 2, 3] | intersect([3, 1]) }}", "[1, 3]"},
	},
	{
		names: "difference", sig: "b", filter: setFilter(false, func(a, b *set) []value.Value { return a.keep(b, false) }),
		doc:      "What is in the first list but not in the second, each once.",
		examples: []string{"{{ [1, 2, 3] | difference([3]) }}", "[1, 2]"},
	},
	{
		names: "symmetric_difference", sig: "b",
		filter:   setFilter(true, func(a, b *set) []value.Value { return append(a.keep(b, false), b.keep(a, false)...) }),
		doc:      "What is in one of the lists but not in both, each once.",
		examples: []string{"{{ [1, 2] | symmetric_difference([2, 3]) }}", "[1, 3]"},
	},
}

// A set holds different values in order of first appearance.
type set struct {
	items []value.Value
	index *value.Dict   // of what can be a key
	other []value.Value // of what cannot
}

func newSet(items []value.Value) *set {
	s := &set{index: value.NewDict(len(items)), items: []value.Value{}}
	for _, item := range items {
		if s.has(item) {
			continue
		}
		s.items = append(s.items, item)
		if s.index.Set(item, value.None{}) != nil {
			s.other = append(s.other, item)
		}
	}
	return s
}

func (s *set) has(v value.Value) bool {
	if _, ok, err := s.index.Get(v); err == nil {
		return ok
	}
	for _, o := range s.other {
		if value.Equal(o, v) {
			return true
		}
	}
	return false
}

// keep returns the items that are in b, or those that are not.
func (s *set) keep(b *set, in bool) []value.Value {
	out := []value.Value{}
	for _, item := range s.items {
		if b.has(item) == in {
			out = append(out, item)
		}
	}
	return out
}

// setFilter makes a filter of do. Python adds what has items that cannot be keys, if adds
// is set, and only things of one kind can be added.
func setFilter(adds bool, do func(a, b *set) []value.Value) func(*call) (value.Value, error) {
	return func(c *call) (value.Value, error) {
		a, err := value.Items(c.in)
		if err != nil {
			return nil, err
		}
		b, err := value.Items(c.args[0])
		if err != nil {
			return nil, err
		}
		for _, list := range [][]value.Value{a, b} {
			for _, item := range list {
				if u, ok := item.(value.Unknown); ok {
					return u, nil
				}
			}
		}
		sa, sb := newSet(a), newSet(b)
		if adds && len(sa.other)+len(sb.other) > 0 && c.in.Type() != c.args[0].Type() {
			return nil, typeErr("can only concatenate %s (not \"%s\") to %s", c.in.Type(), c.args[0].Type(), c.in.Type())
		}
		return newList(do(sa, sb)), nil
	}
}

func unique(c *call) (value.Value, error) {
	items, err := value.Items(c.in)
	if err != nil {
		return nil, err
	}
	keys, err := uniqueKeys(c, items)
	if err != nil {
		return nil, err
	}
	hashable := true
	for _, k := range keys {
		hashable = hashable && value.Hashable(k) == nil
	}
	if !hashable {
		// The words are those that ansible-core's own tests look for.
		if c.has(1) || c.args[0] == value.Bool(false) {
			return nil, fmt.Errorf("unique cannot fall back to comparing one by one: that does not support case_sensitive=false nor attribute")
		}
		keys = items
	}
	seen, out := newSet(nil), []value.Value{}
	for i, k := range keys {
		if seen.has(k) {
			continue
		}
		seen = seen.add(k)
		out = append(out, items[i])
	}
	return newList(out), nil
}

func (s *set) add(v value.Value) *set {
	s.items = append(s.items, v)
	if s.index.Set(v, value.None{}) != nil {
		s.other = append(s.other, v)
	}
	return s
}

// uniqueKeys is what items are compared by: an attribute, and lower case.
func uniqueKeys(c *call, items []value.Value) ([]value.Value, error) {
	keys := make([]value.Value, len(items))
	for i, item := range items {
		var err error
		if c.has(1) {
			if item, err = attributeOf(c, item, value.String(c.args[1])); err != nil {
				return nil, err
			}
		}
		if u, ok := item.(*value.Undefined); ok && !u.Lenient {
			return nil, &value.UndefinedError{U: u}
		}
		if s, ok := asStr(item); ok && !c.truth(0) {
			item = value.S(value.Lower(s))
		}
		keys[i] = item
	}
	return keys, nil
}

// attributeOf follows a dotted path; digits are indices.
func attributeOf(c *call, v value.Value, path string) (value.Value, error) {
	for _, part := range strings.Split(path, ".") {
		var err error
		if v, err = c.Item(v, literalKey(part)); err != nil {
			return nil, err
		}
	}
	return v, nil
}

func literalKey(s string) value.Value {
	if n, err := value.ParseInt(s, 10); err == nil && s != "" && s[0] >= '0' && s[0] <= '9' {
		return n
	}
	return value.S(s)
}
