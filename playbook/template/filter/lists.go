package filter

import (
	"fmt"
	"slices"

	"orch/playbook/jinja/value"
)

var listFilters = []def{
	{
		names: "flatten", sig: "levels=None, skip_nulls=True", filter: flattenFilter,
		doc:      "Takes lists inside a list apart, levels deep (all). Nulls are left out unless skip_nulls is false.",
		examples: []string{"{{ [1, [2, [3, None]]] | flatten }}", "[1, 2, 3]", "{{ [1, [2, [3]]] | flatten(levels=1) }}", "[1, 2, [3]]"},
	},
	{
		names: "split", sig: "sep=None, maxsplit=-1", filter: split,
		doc:      "Splits a string at sep (any white space), at most maxsplit times.",
		examples: []string{"{{ 'a,b,c' | split(',') }}", "['a', 'b', 'c']", "{{ ' a  b ' | split }}", "['a', 'b']"},
	},
	{
		names: "zip", sig: "*others, **options", filter: zip,
		doc:      "Pairs the items of lists by position, as many as the shortest has; strict=true refuses lists of unequal length.",
		examples: []string{"{{ [1, 2] | zip(['a', 'b', 'c']) }}", "[(1, 'a'), (2, 'b')]"},
	},
	{
		names: "zip_longest", sig: "*others, **options", filter: zipLongest,
		doc:      "Pairs the items of lists by position, as many as the longest has; fillvalue stands for what is missing.",
		examples: []string{"{{ [1] | zip_longest(['a', 'b'], fillvalue='-') }}", "[(1, 'a'), ('-', 'b')]"},
	},
	{
		names: "product", sig: "*others, **options", filter: product,
		doc:      "All combinations of one item of each list; repeat counts the lists several times.",
		examples: []string{"{{ [1, 2] | product(['a', 'b']) }}", "[(1, 'a'), (1, 'b'), (2, 'a'), (2, 'b')]"},
	},
	{
		names: "permutations", sig: "r=None", filter: permutations,
		doc:      "All orders of r items (all of them) of a list.",
		examples: []string{"{{ [1, 2, 3] | permutations(2) | length }}", "6"},
	},
	{
		names: "combinations", sig: "r", filter: combinations,
		doc:      "All choices of r items of a list, in the list's order.",
		examples: []string{"{{ [1, 2, 3] | combinations(2) }}", "[(1, 2), (1, 3), (2, 3)]"},
	},
}

func flattenFilter(c *call) (value.Value, error) {
	items, err := value.Items(c.in)
	if err != nil {
		return nil, err
	}
	levels := -1
	if c.has(0) {
		n, err := value.ToInt(c.args[0])
		if s, isText := asStr(c.args[0]); isText {
			err = typeErr("'>=' not supported between instances of 'str' and 'int': levels is %q", s)
		}
		if err != nil && slices.ContainsFunc(items, isSequence) { // Python compares no sooner
			return nil, err
		}
		if big, ok := n.(*value.BigInt); !ok || big.V.Sign() < 0 { // beyond 64 bits is all the way
			levels, _ = asInt(n)
			levels = max(levels, 0)
		}
	}
	out, err := flatten(items, levels, c.truth(1))
	return newList(out), err
}

// flatten takes sequences apart, levels deep; below zero means all the way.
func flatten(items []value.Value, levels int, skipNulls bool) ([]value.Value, error) {
	if levels < -500 {
		return nil, value.Errorf("RecursionError", "maximum recursion depth exceeded")
	}
	out := []value.Value{}
	for _, item := range items {
		if skipNulls && isNull(item) {
			continue
		}
		if !isSequence(item) || levels == 0 {
			out = append(out, item)
			continue
		}
		inner, err := value.Items(item)
		if err != nil {
			return nil, err
		}
		if inner, err = flatten(inner, levels-1, skipNulls); err != nil {
			return nil, err
		}
		out = append(out, inner...)
	}
	return out, nil
}

func isNull(v value.Value) bool {
	if _, none := v.(value.None); none {
		return true
	}
	s, _ := asStr(v)
	return s == "None" || s == "null"
}

func split(c *call) (value.Value, error) {
	s, ok := asStr(c.in)
	if !ok {
		return nil, typeErr("descriptor 'split' for 'str' objects doesn't apply to a '%s' object", c.in.Type())
	}
	m, _ := value.Method(value.S(s), "split")
	return m.Call(c.args, nil)
}

// lists are the items of the piped value and of the further arguments.
func (c *call) lists() ([][]value.Value, error) {
	out := make([][]value.Value, 0, 1+len(c.rest))
	for _, v := range append([]value.Value{c.in}, c.rest...) {
		items, err := value.Items(v)
		if err != nil {
			return nil, err
		}
		out = append(out, items)
	}
	return out, nil
}

func zip(c *call) (value.Value, error) {
	var strict value.Value
	if err := c.options(map[string]*value.Value{"strict": &strict}); err != nil {
		return nil, err
	}
	lists, err := c.lists()
	if err != nil {
		return nil, err
	}
	n := len(lists[0])
	for i, l := range lists {
		if len(l) != n && strict != nil && value.Truth(strict) {
			return nil, valueErr("zip() argument %d has %d items, the first has %d", i+1, len(l), n)
		}
		n = min(n, len(l))
	}
	return c.transpose(lists, n, nil)
}

func zipLongest(c *call) (value.Value, error) {
	var fill value.Value = value.None{}
	if err := c.options(map[string]*value.Value{"fillvalue": &fill}); err != nil {
		return nil, err
	}
	lists, err := c.lists()
	if err != nil {
		return nil, err
	}
	n := 0
	for _, l := range lists {
		n = max(n, len(l))
	}
	return c.transpose(lists, n, fill)
}

func (c *call) transpose(lists [][]value.Value, n int, fill value.Value) (value.Value, error) {
	out := make([]value.Value, n)
	for i := range out {
		if err := c.Step(1); err != nil {
			return nil, err
		}
		row := make(value.Tuple, len(lists))
		for j, l := range lists {
			row[j] = fill
			if i < len(l) {
				row[j] = l[i]
			}
		}
		out[i] = row
	}
	return newList(out), nil
}

func product(c *call) (value.Value, error) {
	var repeat value.Value = value.Int(1)
	if err := c.options(map[string]*value.Value{"repeat": &repeat}); err != nil {
		return nil, err
	}
	n, ok := asInt(repeat)
	if !ok {
		return nil, typeErr("'%s' object cannot be interpreted as an integer", repeat.Type())
	}
	if n < 0 || n > 1000 {
		return nil, valueErr("repeat argument must be from 0 to 1000")
	}
	lists, err := c.lists()
	if err != nil {
		return nil, err
	}
	pools := [][]value.Value{}
	for range n {
		pools = append(pools, lists...)
	}
	rows := []value.Value{value.Tuple{}}
	for _, pool := range pools {
		var next []value.Value
		for _, row := range rows {
			for _, item := range pool {
				if err := c.Step(1); err != nil {
					return nil, err
				}
				next = append(next, append(append(value.Tuple{}, row.(value.Tuple)...), item))
			}
		}
		rows = next
	}
	return newList(rows), nil
}

// choose lists the ways to take r of items: next says which may follow those taken.
func (c *call) choose(items []value.Value, r int, next func(taken []int, i int) bool) (value.Value, error) {
	out := []value.Value{}
	var taken []int
	var walk func() error
	walk = func() error {
		if err := c.Step(1); err != nil {
			return err
		}
		if len(taken) == r {
			row := make(value.Tuple, r)
			for i, k := range taken {
				row[i] = items[k]
			}
			out = append(out, row)
			return nil
		}
		for i := range items {
			if !next(taken, i) {
				continue
			}
			taken = append(taken, i)
			if err := walk(); err != nil {
				return err
			}
			taken = taken[:len(taken)-1]
		}
		return nil
	}
	if r > len(items) {
		return newList(out), nil
	}
	err := walk()
	return newList(out), err
}

func (c *call) chosen(n int) (int, error) {
	if !c.has(0) {
		return n, nil
	}
	r, ok := asInt(c.args[0])
	if !ok {
		return 0, typeErr("expected int as r")
	}
	if r < 0 {
		return 0, valueErr("r must be non-negative")
	}
	return r, nil
}

func permutations(c *call) (value.Value, error) {
	items, err := value.Items(c.in)
	if err != nil {
		return nil, err
	}
	r, err := c.chosen(len(items))
	if err != nil {
		return nil, err
	}
	return c.choose(items, r, func(taken []int, i int) bool {
		for _, k := range taken {
			if k == i {
				return false
			}
		}
		return true
	})
}

func combinations(c *call) (value.Value, error) {
	items, err := value.Items(c.in)
	if err != nil {
		return nil, err
	}
	r, err := c.chosen(-1)
	if err != nil {
		return nil, err
	}
	if r < 0 {
		return nil, fmt.Errorf("combinations: r must be an integer")
	}
	return c.choose(items, r, func(taken []int, i int) bool { return len(taken) == 0 || taken[len(taken)-1] < i })
}
