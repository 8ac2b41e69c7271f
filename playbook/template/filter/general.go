package filter

import (
	"fmt"
	"hash/crc32"
	"math/big"
	"slices"
	"strings"

	"golang.org/x/text/unicode/norm"

	"orch/playbook/jinja/value"
)

var generalFilters = []def{
	{
		names: "json_query", sig: "expr", filter: jsonQuery,
		doc:      "Queries data by a JMESPath expression.",
		examples: []string{"{{ {'l': [{'n': 'a', 's': 1}, {'n': 'b', 's': 2}]} | community.general.json_query('l[?s > `1`].n') }}", "['b']"},
	},
	{
		names: "dict", filter: dictOfPairs,
		doc:      "A list of pairs as a dict.",
		examples: []string{"{{ [['a', 1], ['b', 2]] | community.general.dict }}", "{'a': 1, 'b': 2}"},
	},
	{
		names: "dict_kv", sig: "key", accept: acceptUnknown, filter: dictKV,
		doc:      "A dict of one key, whose value is what is piped in.",
		examples: []string{"{{ 5 | community.general.dict_kv('n') }}", "{'n': 5}"},
	},
	{
		names: "counter", filter: counter,
		doc:      "How often each item occurs.",
		examples: []string{"{{ 'abca' | community.general.counter }}", "{'a': 2, 'b': 1, 'c': 1}"},
	},
	{
		names: "crc32", filter: func(c *call) (value.Value, error) {
			s, err := c.input()
			return value.S(fmt.Sprintf("%x", crc32.ChecksumIEEE([]byte(s)))), err
		},
		doc:      "The CRC-32 checksum of a text, in hexadecimal.",
		examples: []string{"{{ 'test' | community.general.crc32 }}", "d87f7e0c"},
	},
	{
		names: "groupby_as_dict", sig: "attribute", filter: groupbyAsDict,
		doc:      "A list of dicts as a dict by one of their keys, whose values must differ.",
		examples: []string{"{{ [{'n': 'a', 'v': 1}] | community.general.groupby_as_dict('n') }}", "{'a': {'n': 'a', 'v': 1}}"},
	},
	{
		names: "lists_mergeby", sig: "*args, **options", filter: listsMergeby,
		doc: "Merges lists of dicts by the value of a key, the last argument; later lists win. Options: recursive, list_merge, as of combine. " +
			"The result is sorted by the key.",
		examples: []string{"{{ [{'n': 'a', 'v': 1}] | community.general.lists_mergeby([{'n': 'a', 'v': 2}, {'n': 'b'}], 'n') }}", "[{'n': 'a', 'v': 2}, {'n': 'b'}]"},
	},
	{
		names: "lists_union", sig: "*lists, **options", filter: listsFilter(func(a, b *set) []value.Value { return newSet(slices.Concat(a.items, b.items)).items }),
		doc:      "The union of lists; flatten=true takes a list of lists apart.",
		examples: []string{"{{ [1, 2] | community.general.lists_union([2, 3], [4]) }}", "[1, 2, 3, 4]"},
	},
	{
		names: "lists_intersect", sig: "*lists, **options", filter: listsFilter(func(a, b *set) []value.Value { return a.keep(b, true) }),
		doc:      "What is in all lists; flatten=true takes a list of lists apart.",
		examples: []string{"{{ [1, 2, 3] | community.general.lists_intersect([2, 3], [3]) }}", "[3]"},
	},
	{
		names: "lists_difference", sig: "*lists, **options", filter: listsFilter(func(a, b *set) []value.Value { return a.keep(b, false) }),
		doc:      "What is in the first list and in no other; flatten=true takes a list of lists apart.",
		examples: []string{"{{ [1, 2, 3] | community.general.lists_difference([2], [3]) }}", "[1]"},
	},
	{
		names: "lists_symmetric_difference", sig: "*lists, **options",
		filter:   listsFilter(func(a, b *set) []value.Value { return append(a.keep(b, false), b.keep(a, false)...) }),
		doc:      "The symmetric difference of lists, from left to right; flatten=true takes a list of lists apart.",
		examples: []string{"{{ [1, 2] | community.general.lists_symmetric_difference([2, 3]) }}", "[1, 3]"},
	},
	{
		names: "version_sort", sig: "reverse=False", filter: versionSort,
		doc:      "A list sorted by loose versions.",
		examples: []string{"{{ ['1.10', '1.9', '1.9.1'] | community.general.version_sort }}", "['1.9', '1.9.1', '1.10']"},
	},
	{
		names: "random_mac", sig: "seed=None", filter: randomMAC,
		doc:      "Completes the beginning of a hardware address at random; with a seed always the same. Not hermetic without one.",
		examples: []string{"{{ '52:54:00' | community.general.random_mac(seed='host') }}", "52:54:00:62:17:96"},
	},
	{
		names: "unicode_normalize", sig: "form='NFC'", filter: unicodeNormalize,
		doc:      "A text in a normal form of Unicode: NFC, NFD, NFKC or NFKD.",
		examples: []string{"{{ 'é' | community.general.unicode_normalize('NFD') | length }}", "2"},
	},
	{
		names: "accumulate", filter: accumulate,
		doc:      "The running sums of a list (or, of texts, the growing text).",
		examples: []string{"{{ [1, 2, 3] | community.general.accumulate }}", "[1, 3, 6]"},
	},
	{
		names: "from_csv", sig: "dialect='excel', fieldnames=None, delimiter=None, skipinitialspace=None, strict=None", filter: fromCSV,
		doc: "CSV text as a list of dicts. dialect is excel, excel-tab or unix; fieldnames replaces a header line; strict refuses malformed quotes.",
		examples: []string{
			"{{ 'n,v\\na,1\\n' | community.general.from_csv }}", "[{'n': 'a', 'v': '1'}]",
			"{{ 'a;1' | community.general.from_csv(delimiter=';', fieldnames=['n', 'v']) }}", "[{'n': 'a', 'v': '1'}]",
		},
	},
	{
		names: "from_ini", filter: fromINI,
		doc:      "INI text as a dict of sections.",
		examples: []string{"{{ '[a]\\nx = 1\\n' | community.general.from_ini }}", "{'a': {'x': '1'}}"},
	},
	{
		names: "to_ini", filter: toINI,
		doc:      "A dict of sections as INI text.",
		examples: []string{"{{ {'a': {'x': 1}} | community.general.to_ini }}", "[a]\nx = 1\n\n"},
	},
	{
		names: "keep_keys", sig: "target, matching_parameter='equal'", filter: shallowKeys(true),
		doc:      "A list of dicts with only some keys; matching_parameter is equal, starts_with, ends_with or regex.",
		examples: []string{"{{ [{'a': 1, 'b': 2}] | community.general.keep_keys(['a']) }}", "[{'a': 1}]"},
	},
	{
		names: "remove_keys", sig: "target, matching_parameter='equal'", filter: shallowKeys(false),
		doc:      "A list of dicts without some keys; matching_parameter is equal, starts_with, ends_with or regex.",
		examples: []string{"{{ [{'a': 1, 'b': 2}] | community.general.remove_keys(['a']) }}", "[{'b': 2}]"},
	},
	{
		names: "replace_keys", sig: "target, matching_parameter='equal'", filter: replaceShallow,
		doc:      "A list of dicts with keys renamed by a list of before and after; matching_parameter is equal, starts_with, ends_with or regex.",
		examples: []string{"{{ [{'a': 1}] | community.general.replace_keys([{'before': 'a', 'after': 'x'}]) }}", "[{'x': 1}]"},
	},
	refused("hashids_encode", "there is no hashids library"),
	refused("hashids_decode", "there is no hashids library"),
	refused("jc", "it is a Python library of command parsers"),
	refused("reveal_ansible_type", "types of Ansible's Python classes do not exist here; use type_debug"),
}

func dictOfPairs(c *call) (value.Value, error) {
	items, err := value.Items(c.in)
	if err != nil {
		return nil, err
	}
	if d, ok, err := asDict(c.in); ok || err != nil {
		return d, err
	}
	out := value.NewDict(len(items))
	for i, item := range items {
		pair, err := value.Items(item)
		if err != nil {
			return nil, typeErr("cannot convert dictionary update sequence element #%d to a sequence", i)
		}
		if len(pair) != 2 {
			return nil, valueErr("dictionary update sequence element #%d has length %d; 2 is required", i, len(pair))
		}
		if err := out.Set(pair[0], pair[1]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func dictKV(c *call) (value.Value, error) {
	if u, ok := c.args[0].(value.Unknown); ok {
		return u, nil
	}
	d := value.NewDict(1)
	err := d.Set(c.args[0], c.in)
	return d, err
}

func counter(c *call) (value.Value, error) {
	if _, isStr := asStr(c.in); !isStr && !isSequence(c.in) {
		return nil, typeErr("counter: the argument must be a sequence (string or list), not '%s'", c.in.Type())
	}
	items, err := value.Items(c.in)
	if err != nil {
		return nil, err
	}
	out := value.NewDict(0)
	for _, item := range items {
		n, _, err := out.Get(item)
		if err != nil {
			return nil, err
		}
		count, _ := n.(value.Int)
		_ = out.Set(item, count+1) // Get has checked the key
	}
	return out, nil
}

func groupbyAsDict(c *call) (value.Value, error) {
	if !isSequence(c.in) {
		return nil, typeErr("groupby_as_dict: input is not a sequence, but '%s'", c.in.Type())
	}
	items, err := value.Items(c.in)
	if err != nil {
		return nil, err
	}
	out := value.NewDict(len(items))
	for i, item := range items {
		d, ok, err := asDict(item)
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, typeErr("sequence element #%d is not a mapping", i)
		}
		key, ok, err := d.Get(c.args[0])
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, fmt.Errorf("attribute not contained in element #%d of sequence", i)
		}
		if _, twice, _ := out.Get(key); twice {
			return nil, fmt.Errorf("multiple sequence entries have attribute value %s", value.Repr(key))
		}
		if err := out.Set(key, item); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// listsToMerge are the lists of lists_mergeby: a list of lists is taken apart.
func listsToMerge(terms []value.Value) ([]*value.List, error) {
	var lists []*value.List
	for _, t := range terms {
		if !isSequence(t) {
			return nil, typeErr("all arguments before the argument index for lists_mergeby must be lists, not '%s'", t.Type())
		}
		items, err := value.Items(t)
		if err != nil {
			return nil, err
		}
		if len(items) == 0 {
			continue
		}
		if slices.ContainsFunc(items, func(v value.Value) bool { return !isSequence(v) }) {
			lists = append(lists, newList(items))
			continue
		}
		for _, item := range items {
			inner, err := value.Items(item)
			if err != nil {
				return nil, err
			}
			lists = append(lists, newList(inner))
		}
	}
	return lists, nil
}

func listsMergeby(c *call) (value.Value, error) {
	var recursive, listMerge value.Value
	if err := c.options(map[string]*value.Value{"recursive": &recursive, "list_merge": &listMerge}); err != nil {
		return nil, fmt.Errorf("'recursive' and 'list_merge' are the only valid keyword arguments")
	}
	m := merger{recursive: recursive != nil && value.Truth(recursive), lists: "replace"}
	if listMerge != nil {
		m.lists = value.String(listMerge)
	}
	if !slices.Contains(listMerges, m.lists) {
		return nil, badChoice("lists_mergeby: list_merge", m.lists, listMerges...)
	}
	terms := append([]value.Value{c.in}, c.rest...)
	if len(terms) < 2 {
		return nil, fmt.Errorf("at least one list and index are needed")
	}
	lists, err := listsToMerge(terms[:len(terms)-1])
	if err != nil {
		return nil, err
	}
	switch len(lists) {
	case 0:
		return newList([]value.Value{}), nil
	case 1:
		return lists[0], nil
	}
	index, ok := asStr(terms[len(terms)-1])
	if !ok {
		return nil, typeErr("first argument after the lists for lists_mergeby must be string, not '%s'", terms[len(terms)-1].Type())
	}
	out := lists[len(lists)-1]
	for _, l := range slices.Backward(lists[:len(lists)-1]) {
		if out, err = m.byKey(l, out, index); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// byKey merges two lists of dicts by the value under index.
func (m merger) byKey(low, high *value.List, index string) (*value.List, error) {
	byKey := value.NewDict(0)
	for _, item := range slices.Concat(low.Items, high.Items) {
		d, ok, err := asDict(item)
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, typeErr("elements of list arguments for lists_mergeby must be dictionaries, %s is '%s'", value.Repr(item), item.Type())
		}
		key, ok := d.GetStr(index)
		if !ok {
			continue
		}
		merged := value.Value(d)
		if before, known, err := byKey.Get(key); err != nil {
			return nil, err
		} else if known {
			if merged, err = m.dicts(before.(*value.Dict), d); err != nil {
				return nil, err
			}
		}
		_ = byKey.Set(key, merged) // Get has checked the key
	}
	var keys, vals []value.Value
	for k, v := range byKey.All() {
		keys, vals = append(keys, k), append(vals, v)
	}
	sorted, err := value.SortedBy(vals, keys, false)
	return newList(sorted), err
}

func listsFilter(do func(a, b *set) []value.Value) func(*call) (value.Value, error) {
	return func(c *call) (value.Value, error) {
		var flat value.Value
		if err := c.options(map[string]*value.Value{"flatten": &flat}); err != nil {
			return nil, err
		}
		terms := append([]value.Value{c.in}, c.rest...)
		if flat != nil && value.Truth(flat) {
			var err error
			if terms, err = c.apart(terms); err != nil {
				return nil, err
			}
		}
		out := newSet(nil)
		for i, t := range terms {
			if !isSequence(t) {
				return nil, typeErr("all arguments of %s must be lists, not '%s'", c.Name, t.Type())
			}
			items, err := value.Items(t)
			if err != nil {
				return nil, err
			}
			if i == 0 {
				out = newSet(items)
			} else {
				out = newSet(do(out, newSet(items)))
			}
		}
		return newList(out.items), nil
	}
}

// apart takes lists whose items are all lists apart.
func (c *call) apart(terms []value.Value) ([]value.Value, error) {
	var out []value.Value
	for _, t := range terms {
		items, err := value.Items(t)
		if err != nil {
			return nil, err
		}
		if len(items) > 0 && !slices.ContainsFunc(items, func(v value.Value) bool { return !isSequence(v) }) {
			out = append(out, items...)
		} else {
			out = append(out, t)
		}
	}
	return out, nil
}

func versionSort(c *call) (value.Value, error) {
	items, err := value.Items(c.in)
	if err != nil {
		return nil, err
	}
	keys := make([]value.Value, len(items))
	for i, item := range items {
		s, err := text(item)
		if err != nil {
			return nil, err
		}
		keys[i] = looseParts(s)
	}
	sorted, err := value.SortedBy(items, keys, c.truth(0))
	return newList(sorted), err
}

func randomMAC(c *call) (value.Value, error) {
	s, err := c.input()
	if err != nil {
		return nil, err
	}
	s = strings.ToLower(s)
	parts := strings.Split(s, ":")
	if len(parts) > 5 {
		return nil, fmt.Errorf("invalid value (%s) for random_mac: 5 colon(:) separated items max", s)
	}
	for _, p := range parts {
		if len(p) < 2 || strings.Trim(p[:2], "0123456789abcdef") != "" {
			return nil, fmt.Errorf("invalid value (%s) for random_mac: '%s' is no hexadecimal byte", s, p)
		}
	}
	src, err := newSource(c.args[0])
	if err != nil {
		return nil, err
	}
	const low, high = 0x1000000000, 0xffffffffff
	n := src.below(big.NewInt(high - low + 1))
	digits := fmt.Sprintf("%x", n.Add(n, big.NewInt(low)))[:2*(6-len(parts))]
	for i := 0; i < len(digits); i += 2 {
		s += ":" + digits[i:i+2]
	}
	return value.S(s), nil
}

func unicodeNormalize(c *call) (value.Value, error) {
	s, err := c.input()
	if err != nil {
		return nil, err
	}
	form, ok := map[string]norm.Form{"NFC": norm.NFC, "NFD": norm.NFD, "NFKC": norm.NFKC, "NFKD": norm.NFKD}[value.String(c.args[0])]
	if !ok {
		return nil, badChoice("unicode_normalize: form", value.String(c.args[0]), "NFC", "NFD", "NFKC", "NFKD")
	}
	return value.S(form.String(s)), nil
}

func accumulate(c *call) (value.Value, error) {
	items, err := value.Items(c.in)
	if err != nil {
		return nil, err
	}
	out := make([]value.Value, len(items))
	for i, item := range items {
		if i > 0 {
			if item, err = value.Add(out[i-1], item); err != nil {
				return nil, err
			}
		}
		out[i] = item
	}
	return newList(out), nil
}

// dictsOf are the items of a list, which must be dicts.
func (c *call) dictsOf() ([]*value.Dict, error) {
	items, err := value.Items(c.in)
	if err != nil {
		return nil, err
	}
	out := make([]*value.Dict, len(items))
	for i, item := range items {
		d, ok, err := asDict(item)
		if err != nil {
			return nil, err
		}
		if !ok || !isSequence(c.in) {
			return nil, typeErr("%s: a list of dicts is needed, not '%s'", c.Name, item.Type())
		}
		out[i] = d
	}
	return out, nil
}

func shallowKeys(keep bool) func(*call) (value.Value, error) {
	return func(c *call) (value.Value, error) {
		dicts, err := c.dictsOf()
		if err != nil {
			return nil, err
		}
		match, err := matcher(c, c.args[1])
		if err != nil {
			return nil, err
		}
		targets, err := c.targets(c.args[0])
		if err != nil {
			return nil, err
		}
		out := make([]value.Value, len(dicts))
		for i, d := range dicts {
			kept := value.NewDict(d.Len())
			for k, v := range d.All() {
				ok, err := anyMatch(match, targets, value.String(k))
				if err != nil {
					return nil, err
				}
				if ok == keep {
					_ = kept.Set(k, v) // k was a key before
				}
			}
			out[i] = kept
		}
		return newList(out), nil
	}
}

func replaceShallow(c *call) (value.Value, error) {
	dicts, err := c.dictsOf()
	if err != nil {
		return nil, err
	}
	match, err := matcher(c, c.args[1])
	if err != nil {
		return nil, err
	}
	renames, err := renamings(c.args[0])
	if err != nil {
		return nil, err
	}
	out := make([]value.Value, len(dicts))
	for i, d := range dicts {
		renamed := value.NewDict(d.Len())
		for k, v := range d.All() {
			for _, r := range renames {
				ok, err := match(r.before, value.String(k))
				if err != nil {
					return nil, err
				}
				if ok {
					k = value.S(r.after)
					break
				}
			}
			_ = renamed.Set(k, v) // k was a key before
		}
		out[i] = renamed
	}
	return newList(out), nil
}
