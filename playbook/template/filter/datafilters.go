package filter

import (
	"fmt"
	"slices"
	"strings"

	"orch/playbook/jinja"
	"orch/playbook/jinja/value"
	"orch/playbook/pyre"
)

var utilsFilters = []def{
	{
		names: "get_path", sig: "path, wantlist=False", filter: getPath,
		doc:      "The value at a path into nested data, such as to_paths writes: names, dots, [0] and ['key'].",
		examples: []string{"{{ {'a': {'b': [5]}} | ansible.utils.get_path('a.b[0]') }}", "5"},
	},
	{
		names: "to_paths", sig: "prepend=None, wantlist=False", filter: toPaths,
		doc:      "Nested data as a flat dict of paths and values; prepend is put before every path.",
		examples: []string{"{{ {'a': {'b-c': [5, {}]}} | ansible.utils.to_paths }}", `{"a['b-c'][0]": 5, "a['b-c'][1]": {}}`},
	},
	{
		names: "index_of", sig: "test, value=None, key=None, fail_on_missing=False, wantlist=False", filter: indexOf,
		doc: "The positions in a list of what passes a test (of the value under key, for a list of dicts); '!' or 'not ' before the test inverts it. " +
			"One position is a number unless wantlist is set.",
		examples: []string{"{{ [1, 5, 9] | ansible.utils.index_of('gt', 4) }}", "[1, 2]", "{{ [{'n': 'a'}, {'n': 'b'}] | ansible.utils.index_of('eq', 'b', 'n') }}", "1"},
	},
	{
		names: "remove_keys", sig: "target, matching_parameter='equality'", filter: removeKeys,
		doc:      "Nested data without the keys of a list; they are compared by equality, or as starts_with, ends_with or regex. Empty items of lists go too.",
		examples: []string{"{{ {'a': 1, 'b': {'a': 2, 'c': 3}} | ansible.utils.remove_keys(['a']) }}", "{'b': {'c': 3}}"},
	},
	{
		names: "keep_keys", sig: "target, matching_parameter='equality'", filter: keepKeys,
		doc:      "Nested data with only the keys of a list; they are compared by equality, or as starts_with, ends_with or regex.",
		examples: []string{"{{ {'a': 1, 'b': {'a': 2, 'c': 3}} | ansible.utils.keep_keys(['a']) }}", "{'a': 1, 'b': {'a': 2}}"},
	},
	{
		names: "replace_keys", sig: "target, matching_parameter='equality'", filter: replaceKeys,
		doc:      "Nested data with keys renamed by a list of before and after; they are compared by equality, or as starts_with, ends_with or regex.",
		examples: []string{"{{ {'a': 1, 'b': {'a': 2}} | ansible.utils.replace_keys([{'before': 'a', 'after': 'x'}]) }}", "{'b': {'x': 2}, 'x': 1}"},
	},
	{
		names: "consolidate", sig: "fail_missing_match_key=True, fail_missing_match_value=True, fail_duplicate=True", filter: consolidate,
		doc: "Brings lists of dicts together by a key: each source has data, match_key and name; the result has an entry per value of the key, " +
			"with a dict per source.",
		examples: []string{
			"{{ [{'name': 'x', 'match_key': 'i', 'data': [{'i': 1}]}, {'name': 'y', 'match_key': 'j', 'data': []}] | ansible.utils.consolidate(fail_missing_match_value=false) }}",
			"{1: {'x': {'i': 1}, 'y': {}}}",
		},
	},
	refused("from_xml", "XML is not read"),
	refused("to_xml", "XML is not written"),
	refused("validate", "there are no validation engines"),
	refused("param_list_compare", "it knows the options of Ansible's network modules"),
}

// refused is a filter that exists elsewhere and not here: the error says so by name.
func refused(name, why string) def {
	return def{
		names: name, sig: "*args, **options", accept: acceptUndefined,
		doc:      "Not supported: " + why + ".",
		examples: []string{"{{ '" + name + " is refused' }}", name + " is refused"},
		filter: func(c *call) (value.Value, error) {
			return nil, fmt.Errorf("the filter '%s' is not supported: %s", c.Name, why)
		},
	}
}

// splitPath takes a path apart into keys and indices.
func splitPath(path string) ([]value.Value, error) {
	re, err := pyre.Compile(`\.?([^\W\d]\w*)|\[(-?\d+)\]|\['((?:[^'\\]|\\.)*)'\]|\["((?:[^"\\]|\\.)*)"\]`, 0)
	if err != nil {
		return nil, err
	}
	var keys []value.Value
	end := 0
	for m, err := range re.FindIter(strings.TrimSpace(path)) {
		if err != nil {
			return nil, err
		}
		start, stop := m.Span(0)
		if start != end {
			break
		}
		end = stop
		for g := 1; g <= 4; g++ {
			s, ok := m.Group(g)
			switch {
			case !ok:
			case g == 2:
				keys = append(keys, literalKey(strings.TrimPrefix(s, "-")))
				if strings.HasPrefix(s, "-") {
					n, err := value.Neg(keys[len(keys)-1])
					if err != nil {
						return nil, err
					}
					keys[len(keys)-1] = n
				}
			default:
				keys = append(keys, value.S(s))
			}
		}
	}
	if end != len(strings.TrimSpace(path)) || len(keys) == 0 {
		return nil, valueErr("'%s' is no path: names, dots, [0] and ['key'] are", path)
	}
	return keys, nil
}

func getPath(c *call) (value.Value, error) {
	path, err := c.str(0)
	if err != nil {
		return nil, err
	}
	keys, err := splitPath(path)
	if err != nil {
		return nil, err
	}
	v := c.in
	for _, k := range keys {
		if v, err = c.Item(v, k); err != nil {
			return nil, err
		}
	}
	if u, ok := v.(*value.Undefined); ok {
		return nil, &value.UndefinedError{U: u}
	}
	if c.truth(1) {
		return newList([]value.Value{v}), nil
	}
	return v, nil
}

func toPaths(c *call) (value.Value, error) {
	in := c.in
	if c.truth(0) {
		in = value.D(value.String(c.args[0]), in)
	}
	plain, err := pyre.Compile("^[a-zA-Z_][a-zA-Z0-9_]*$", pyre.ASCII)
	if err != nil {
		return nil, err
	}
	out := value.NewDict(0)
	var walk func(v value.Value, name string, depth int) error
	walk = func(v value.Value, name string, depth int) error {
		if depth > 500 {
			return value.Errorf("RecursionError", "maximum recursion depth exceeded")
		}
		if d, ok, err := asDict(v); err != nil {
			return err
		} else if ok && d.Len() > 0 {
			for k, item := range d.All() {
				key := value.String(k)
				m, err := plain.Match(key)
				switch {
				case err != nil:
					return err
				case name != "" && m != nil:
					key = name + "." + key
				case name != "":
					key = name + "['" + key + "']"
				}
				if err := walk(item, key, depth+1); err != nil {
					return err
				}
			}
			return nil
		}
		if l, ok := v.(*value.List); ok && len(l.Items) > 0 {
			for i, item := range l.Items {
				if err := walk(item, fmt.Sprintf("%s[%d]", name, i), depth+1); err != nil {
					return err
				}
			}
			return nil
		}
		if name != "" {
			out.SetStr(name, v)
		}
		return nil
	}
	if err := walk(in, "", 0); err != nil {
		return nil, err
	}
	if c.truth(1) {
		return newList([]value.Value{out}), nil
	}
	return out, nil
}

func indexOf(c *call) (value.Value, error) {
	items, err := value.Items(c.in)
	if err != nil {
		return nil, err
	}
	test, err := c.str(0)
	if err != nil {
		return nil, err
	}
	found := []value.Value{}
	for i, item := range items {
		if c.has(2) {
			d, ok, err := asDict(item)
			if err != nil {
				return nil, err
			}
			if !ok {
				return nil, fmt.Errorf("index_of: when a key name is provided, all list entries are required to be dictionaries, got '%s'", item.Type())
			}
			if item, ok, err = d.Get(c.args[2]); err != nil {
				return nil, err
			} else if !ok && c.truth(3) {
				return nil, fmt.Errorf("index_of: '%s' was not found in %s at [%d]", value.String(c.args[2]), value.Repr(d), i)
			} else if !ok {
				continue
			}
		}
		ok, err := c.passes(item, test)
		if err != nil {
			return nil, fmt.Errorf("index_of: testing %s: %w", value.Repr(item), err)
		}
		if ok {
			found = append(found, value.Int(i))
		}
	}
	if len(found) == 1 && !c.truth(4) {
		return found[0], nil
	}
	return newList(found), nil
}

// passes runs the test of index_of on an item.
func (c *call) passes(item value.Value, test string) (bool, error) {
	invert := false
	if rest, ok := strings.CutPrefix(test, "!"); ok {
		test, invert = rest, true
		if test == "=" {
			test = "=="
		}
	} else if rest, ok := strings.CutPrefix(test, "not "); ok {
		test, invert = strings.TrimSpace(rest), true
	}
	var args jinja.Args
	if c.has(1) {
		right := c.args[1]
		if _, isList := right.(*value.List); test == "in" && !isList {
			right = newList([]value.Value{right})
		}
		args.Pos = []value.Value{right}
	}
	v, err := c.Test(test, item, args)
	if err != nil {
		return false, err
	}
	ok, err := known(v)
	return ok != invert, err
}

// A keyMatcher says whether a key is the one meant by a target.
type keyMatcher func(target, key string) (bool, error)

func matcher(c *call, how value.Value) (keyMatcher, error) {
	switch name := value.String(how); name {
	case "equality", "equal", "None":
		return func(target, key string) (bool, error) { return target == key, nil }, nil
	case "starts_with":
		return func(target, key string) (bool, error) { return strings.HasPrefix(key, target), nil }, nil
	case "ends_with":
		return func(target, key string) (bool, error) { return strings.HasSuffix(key, target), nil }, nil
	case "regex":
		return func(target, key string) (bool, error) {
			re, err := compileRegex(value.S(target), false, false)
			if err != nil {
				return false, err
			}
			m, err := re.Match(key)
			return m != nil, err
		}, nil
	default:
		return nil, badChoice(c.Name+": matching_parameter", name, "equality", "starts_with", "ends_with", "regex")
	}
}

// targets are the keys a filter is about.
func (c *call) targets(v value.Value) ([]string, error) {
	if s, ok := asStr(v); ok {
		return []string{s}, nil
	}
	items, err := value.Items(v)
	if err != nil {
		return nil, err
	}
	out := make([]string, len(items))
	for i, item := range items {
		out[i] = value.String(item)
	}
	return out, nil
}

// structured refuses input that is neither list nor dict.
func (c *call) structured() error {
	switch c.in.(type) {
	case *value.List, *value.Dict:
		return nil
	}
	return typeErr("%s: a list or dict is needed, not '%s'", c.Name, c.in.Type())
}

func anyMatch(match keyMatcher, targets []string, key string) (bool, error) {
	for _, t := range targets {
		if ok, err := match(t, key); ok || err != nil {
			return ok, err
		}
	}
	return false, nil
}

// keySetup reads the arguments that the three filters of keys share.
func keySetup(c *call) (keyMatcher, []string, error) {
	if err := c.structured(); err != nil {
		return nil, nil, err
	}
	match, err := matcher(c, c.args[1])
	if err != nil {
		return nil, nil, err
	}
	targets, err := c.targets(c.args[0])
	return match, targets, err
}

func removeKeys(c *call) (value.Value, error) {
	match, targets, err := keySetup(c)
	if err != nil {
		return nil, err
	}
	var walk func(v value.Value) (value.Value, error)
	walk = func(v value.Value) (value.Value, error) {
		switch v := v.(type) {
		case *value.Dict:
			out := value.NewDict(v.Len())
			for k, item := range v.All() {
				gone, err := anyMatch(match, targets, value.String(k))
				if err != nil {
					return nil, err
				}
				if gone {
					continue
				}
				if item, err = walk(item); err != nil {
					return nil, err
				}
				_ = out.Set(k, item) // k was a key before
			}
			return out, nil
		case *value.List:
			out := []value.Value{}
			for _, item := range v.Items {
				empty := !value.Truth(item) // before the keys in it go, or all of them
				item, err := walk(item)
				if err != nil {
					return nil, err
				}
				if d, ok := item.(*value.Dict); !empty && (!ok || d.Len() > 0) {
					out = append(out, item)
				}
			}
			return newList(out), nil
		}
		return v, nil
	}
	return walk(c.in)
}

func keepKeys(c *call) (value.Value, error) {
	match, targets, err := keySetup(c)
	if err != nil {
		return nil, err
	}
	var walk func(v value.Value) (value.Value, error)
	walk = func(v value.Value) (value.Value, error) {
		switch v := v.(type) {
		case *value.List:
			out := make([]value.Value, len(v.Items))
			for i, item := range v.Items {
				var err error
				if out[i], err = walk(item); err != nil {
					return nil, err
				}
			}
			return newList(out), nil
		case *value.Dict:
			return keepIn(v, match, targets, walk)
		}
		return v, nil
	}
	return walk(c.in)
}

func keepIn(d *value.Dict, match keyMatcher, targets []string, walk func(value.Value) (value.Value, error)) (value.Value, error) {
	out := value.NewDict(0)
	for k, item := range d.All() {
		switch item.(type) {
		case *value.List, *value.Dict:
			kept, err := walk(item)
			if err != nil {
				return nil, err
			}
			if l, ok := kept.(*value.List); ok {
				l.Items = slices.DeleteFunc(l.Items, emptyContainer)
				if !slices.ContainsFunc(l.Items, func(v value.Value) bool { _, isStr := asStr(v); return !isStr }) {
					continue
				}
			}
			if !emptyContainer(kept) && len(targets) > 0 {
				_ = out.Set(k, kept)
			}
		default:
			ok, err := anyMatch(match, targets, value.String(k))
			if err != nil {
				return nil, err
			}
			if ok {
				_ = out.Set(k, item)
			}
		}
	}
	return out, nil
}

func emptyContainer(v value.Value) bool {
	switch v := v.(type) {
	case *value.List:
		return len(v.Items) == 0
	case *value.Dict:
		return v.Len() == 0
	}
	return false
}

// A renaming is an entry of replace_keys.
type renaming struct{ before, after string }

func renamings(v value.Value) ([]renaming, error) {
	items, err := value.Items(v)
	if err != nil {
		return nil, err
	}
	out := make([]renaming, len(items))
	for i, item := range items {
		d, ok := item.(*value.Dict)
		if !ok {
			return nil, typeErr("replace_keys: a list of dicts with before and after is needed, not of '%s'", item.Type())
		}
		before, okB := d.GetStr("before")
		after, okA := d.GetStr("after")
		if !okA || !okB {
			return nil, valueErr("replace_keys: %s lacks before or after", value.Repr(item))
		}
		out[i] = renaming{value.String(before), value.String(after)}
	}
	return out, nil
}

func (r renaming) apply(d *value.Dict, match keyMatcher) error {
	for _, k := range d.Keys() {
		ok, err := match(r.before, value.String(k))
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		item, _, _ := d.Get(k)
		if _, err := d.Delete(k); err != nil {
			return err
		}
		d.SetStr(r.after, item)
	}
	return nil
}

func replaceKeys(c *call) (value.Value, error) {
	if err := c.structured(); err != nil {
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
	var walk func(v value.Value) (value.Value, error)
	walk = func(v value.Value) (value.Value, error) {
		switch v := v.(type) {
		case *value.Dict:
			d := v.Copy()
			for _, r := range renames {
				if err := r.apply(d, match); err != nil {
					return nil, err
				}
			}
			for _, k := range d.Keys() {
				item, _, _ := d.Get(k)
				item, err := walk(item)
				if err != nil {
					return nil, err
				}
				_ = d.Set(k, item)
			}
			return d, nil
		case *value.List:
			out := make([]value.Value, len(v.Items))
			for i, item := range v.Items {
				var err error
				if out[i], err = walk(item); err != nil {
					return nil, err
				}
			}
			return newList(out), nil
		}
		return v, nil
	}
	return walk(c.in)
}

// A dataSource is an entry of consolidate's input.
type dataSource struct {
	name, key value.Value
	byKey     *value.Dict
}

func readSource(c *call, n int, v value.Value) (dataSource, error) {
	d, ok := v.(*value.Dict)
	if !ok {
		return dataSource{}, typeErr("consolidate: data source %d is no dict", n)
	}
	s := dataSource{byKey: value.NewDict(0)}
	s.key, _ = d.GetStr("match_key")
	s.name, _ = d.GetStr("name")
	data, _ := d.GetStr("data")
	if s.key == nil || s.name == nil || data == nil {
		return s, valueErr("consolidate: data source %d lacks data, match_key or name", n)
	}
	items, err := value.Items(data)
	if err != nil {
		return s, err
	}
	for i, item := range items {
		entry, _, err := asDict(item)
		if err != nil || entry == nil {
			return s, typeErr("consolidate: list entry %d of data source %d is no dict", i+1, n)
		}
		key, ok, err := entry.Get(s.key)
		if err != nil {
			return s, err
		}
		if !ok {
			if c.truth(0) {
				return s, fmt.Errorf("consolidate: missing match key '%s' in data source %d in list entry %d", value.String(s.key), n, i+1)
			}
			continue
		}
		if _, twice, _ := s.byKey.Get(key); twice && c.truth(2) {
			return s, fmt.Errorf("consolidate: duplicate values in data source %d", n)
		}
		if err := s.byKey.Set(key, entry); err != nil {
			return s, err
		}
	}
	return s, nil
}

func consolidate(c *call) (value.Value, error) {
	items, err := value.Items(c.in)
	if err != nil {
		return nil, err
	}
	var sources []dataSource
	all := newSet(nil)
	for i, item := range items {
		s, err := readSource(c, i+1, item)
		if err != nil {
			return nil, err
		}
		sources = append(sources, s)
		for k := range s.byKey.All() {
			if !all.has(k) {
				all.add(k)
			}
		}
	}
	keys, err := value.Sorted(all.items, false)
	if err != nil {
		return nil, err
	}
	out := value.NewDict(len(keys))
	for _, k := range keys {
		entry := value.NewDict(len(sources))
		for i, s := range sources {
			v, ok, _ := s.byKey.Get(k)
			if !ok {
				if c.truth(1) {
					return nil, fmt.Errorf("consolidate: missing match value %s in data source %d", value.String(k), i+1)
				}
				v = value.NewDict(0)
			}
			if err := entry.Set(s.name, v); err != nil {
				return nil, err
			}
		}
		_ = out.Set(k, entry) // k was a key before
	}
	return out, nil
}
