package jinjatest

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"orch/playbook/jinja"
	"orch/playbook/jinja/value"
)

// The cases of Ansible's environment use a few of its filters and tests. These are plain
// forms of them, as good as the cases need: the real ones are not part of the language.

func ansibleFilters() map[string]*jinja.Filter {
	simple := func(do func(in value.Value) (value.Value, error)) *jinja.Filter {
		return &jinja.Filter{Do: func(_ *jinja.Call, in value.Value, _ jinja.Bound) (value.Value, error) { return do(in) }}
	}
	text := func(do func(string) string) *jinja.Filter {
		return simple(func(in value.Value) (value.Value, error) { return value.S(do(value.String(in))), nil })
	}
	sets := func(do func(a, b value.Value) (value.Value, error)) *jinja.Filter {
		return &jinja.Filter{
			Sig: jinja.Signature{Params: []jinja.Param{{Name: "b"}}},
			Do: func(_ *jinja.Call, in value.Value, b jinja.Bound) (value.Value, error) {
				return do(in, b.Args[0])
			},
		}
	}
	return map[string]*jinja.Filter{
		"bool": simple(toBool),
		"ternary": {
			Sig: jinja.Signature{
				Params:          []jinja.Param{{Name: "true_val"}, {Name: "false_val"}, {Name: "none_val", Default: value.None{}}},
				AcceptUndefined: true,
			},
			Do: ternary,
		},
		"basename": text(func(s string) string { return s[strings.LastIndexByte(s, '/')+1:] }),
		"dirname":  text(dirname),
		"mandatory": {
			Sig: jinja.Signature{Params: []jinja.Param{{Name: "msg", Default: value.None{}}}, AcceptUndefined: true},
			Do: func(_ *jinja.Call, in value.Value, _ jinja.Bound) (value.Value, error) {
				if u, ok := in.(*value.Undefined); ok {
					return nil, &value.UndefinedError{U: u}
				}
				return in, nil
			},
		},
		"union":      sets(union),
		"difference": sets(func(a, b value.Value) (value.Value, error) { return pick(a, b, false) }),
		"intersect":  sets(func(a, b value.Value) (value.Value, error) { return pick(a, b, true) }),
		"dict2items": {
			Sig: jinja.Signature{Params: []jinja.Param{{Name: "key_name", Default: value.S("key")}, {Name: "value_name", Default: value.S("value")}}},
			Do:  dict2items,
		},
		"split": {
			Sig: jinja.Signature{Params: []jinja.Param{{Name: "sep", Default: value.None{}}, {Name: "maxsplit", Default: value.Int(-1)}}},
			Do: func(c *jinja.Call, in value.Value, b jinja.Bound) (value.Value, error) {
				m, ok := value.Method(in, "split")
				if !ok {
					return nil, value.Errorf("AttributeError", "'%s' object has no attribute 'split'", in.Type())
				}
				return c.Call(m, jinja.Args{Pos: b.Args})
			},
		},
	}
}

func toBool(in value.Value) (value.Value, error) {
	switch v := in.(type) {
	case value.Bool, value.None:
		return in, nil
	case value.Int:
		return value.Bool(v == 1), nil
	}
	switch strings.ToLower(value.String(in)) {
	case "yes", "on", "1", "true":
		return value.Bool(true), nil
	}
	return value.Bool(false), nil
}

func ternary(_ *jinja.Call, in value.Value, b jinja.Bound) (value.Value, error) {
	if u, ok := in.(*value.Undefined); ok {
		return nil, &value.UndefinedError{U: u}
	}
	_, none := in.(value.None)
	_, noneGiven := b.Args[2].(value.None)
	switch {
	case none && !noneGiven:
		return b.Args[2], nil
	case value.Truth(in):
		return b.Args[0], nil
	}
	return b.Args[1], nil
}

// dirname is os.path.dirname.
func dirname(s string) string {
	i := strings.LastIndexByte(s, '/') + 1
	head := s[:i]
	if trimmed := strings.TrimRight(head, "/"); trimmed != "" {
		return trimmed
	}
	return head
}

func union(a, b value.Value) (value.Value, error) {
	x, err := value.Items(a)
	if err != nil {
		return nil, err
	}
	y, err := value.Items(b)
	if err != nil {
		return nil, err
	}
	return pick(value.NewList(slices.Concat(x, y)...), value.NewList(), false)
}

// pick returns the distinct items of a that are in b or are not. b is asked as it is, an
// iterator too, which forgets what it passed: so the cases were recorded.
func pick(a, b value.Value, in bool) (value.Value, error) {
	items, err := value.Items(a)
	if err != nil {
		return nil, err
	}
	out := value.NewList()
	for _, v := range items {
		found, err := value.Contains(b, v)
		if err != nil {
			return nil, err
		}
		seen, err := value.Contains(out, v)
		if err != nil {
			return nil, err
		}
		if found == in && !seen {
			out.Items = append(out.Items, v)
		}
	}
	return out, nil
}

func dict2items(_ *jinja.Call, in value.Value, b jinja.Bound) (value.Value, error) {
	d, ok := in.(*value.Dict)
	if !ok {
		return nil, value.Errorf("AnsibleFilterTypeError", "dict2items requires a dictionary, got %s instead.", in.Type())
	}
	out := &value.List{}
	for k, v := range d.All() {
		out.Items = append(out.Items, value.D(value.String(b.Args[0]), k, value.String(b.Args[1]), v))
	}
	return out, nil
}

func ansibleTests() map[string]*jinja.Test {
	result := func(do func(*value.Dict) bool) *jinja.Test {
		return &jinja.Test{Do: func(_ *jinja.Call, in value.Value, _ jinja.Bound) (bool, error) {
			d, ok := in.(*value.Dict)
			if !ok {
				return false, value.Errorf("AnsibleFilterError", "a dictionary of results is required, not %s", in.Type())
			}
			return do(d), nil
		}}
	}
	flag := func(name string) func(*value.Dict) bool {
		return func(d *value.Dict) bool {
			v, ok := d.GetStr(name)
			return ok && value.Truth(v)
		}
	}
	not := func(f func(*value.Dict) bool) func(*value.Dict) bool {
		return func(d *value.Dict) bool { return !f(d) }
	}
	version := &jinja.Test{
		Sig: jinja.Signature{Params: []jinja.Param{
			{Name: "version"},
			{Name: "operator", Default: value.S("eq")},
			{Name: "strict", Default: value.None{}},
			{Name: "version_type", Default: value.None{}},
		}},
		Do: isVersion,
	}
	return map[string]*jinja.Test{
		"failed": result(flag("failed")), "failure": result(flag("failed")),
		"succeeded": result(not(flag("failed"))), "success": result(not(flag("failed"))),
		"changed": result(flag("changed")), "change": result(flag("changed")),
		"skipped": result(flag("skipped")), "skip": result(flag("skipped")),
		"version": version, "version_compare": version,
	}
}

func isVersion(_ *jinja.Call, in value.Value, b jinja.Bound) (bool, error) {
	order := compareVersions(value.String(in), value.String(b.Args[0]))
	switch op := value.String(b.Args[1]); op {
	case "==", "=", "eq":
		return order == 0, nil
	case "!=", "<>", "ne":
		return order != 0, nil
	case "<", "lt":
		return order < 0, nil
	case "<=", "le":
		return order <= 0, nil
	case ">", "gt":
		return order > 0, nil
	case ">=", "ge":
		return order >= 0, nil
	default:
		return false, value.Errorf("AnsibleFilterError", "Invalid operator type (%s)", op)
	}
}

// numbers are all the generator of the cases looked at in a version.
var numbers = regexp.MustCompile(`\d+`)

func compareVersions(a, b string) int {
	x, y := numbers.FindAllString(a, -1), numbers.FindAllString(b, -1)
	for i := range min(len(x), len(y)) {
		m, _ := strconv.Atoi(x[i])
		n, _ := strconv.Atoi(y[i])
		if m != n {
			return m - n
		}
	}
	return len(x) - len(y)
}
