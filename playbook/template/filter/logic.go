package filter

import (
	"fmt"
	"strings"

	"orch/playbook/jinja/value"
)

var logicFilters = []def{
	{
		names: "bool", filter: toBool,
		doc:      "True for yes, on, 1 and true in any case, and for 1 and True; None stays None; everything else is false.",
		examples: []string{"{{ 'Yes' | bool }}", "True", "{{ 'y' | bool }}", "False"},
	},
	{
		names: "ternary", sig: "true_val, false_val, none_val=None", accept: acceptUndefined | acceptUnknown, filter: ternary,
		doc:      "The first argument when the value is true, the second when it is false; none_val, if given, when it is None.",
		examples: []string{"{{ true | ternary('on', 'off') }}", "on", "{{ None | ternary(1, 2, 3) }}", "3"},
	},
	{
		names: "mandatory", sig: "msg=None", accept: acceptUndefined, filter: mandatory,
		doc:      "Hands on a value and fails, with msg if given, when it is undefined.",
		examples: []string{"{{ 'x' | mandatory }}", "x"},
	},
	{
		names: "comment", sig: "style='plain', **options", filter: comment,
		doc: "Makes a text a comment of style plain (#), erlang (%), c (//), cblock (/* */) or xml (<!-- -->). Options: decoration before each " +
			"line, prefix and postfix lines with prefix_count and postfix_count, beginning and end, newline.",
		examples: []string{
			"{{ 'a\\nb' | comment }}", "#\n# a\n# b\n#",
			"{{ 'a' | comment('cblock', prefix='**') }}", "/*\n**\n * a\n *\n */",
		},
	},
	{
		names: "extract", sig: "container, morekeys=None", accept: acceptUndefined, filter: extract,
		doc:      "Looks a key up in a container: for use with map. morekeys are further keys to follow from there.",
		examples: []string{"{{ ['b', 'a'] | map('extract', {'a': 1, 'b': 2}) }}", "[2, 1]", "{{ 'x' | extract({'x': {'y': [5]}}, ['y', 0]) }}", "5"},
	},
}

func toBool(c *call) (value.Value, error) {
	switch v := c.in.(type) {
	case value.None, value.Bool:
		return v, nil
	}
	if s, ok := asStr(c.in); ok {
		switch value.Lower(s) {
		case "yes", "on", "1", "true":
			return value.Bool(true), nil
		}
		return value.Bool(false), nil
	}
	return value.Bool(value.Equal(c.in, value.Int(1))), nil
}

func ternary(c *call) (value.Value, error) {
	switch in := c.in.(type) {
	case value.Unknown:
		return in, nil
	case *value.Undefined:
		return nil, &value.UndefinedError{U: in}
	case value.None:
		if c.has(2) {
			return c.args[2], nil
		}
	}
	if value.Truth(c.in) {
		return c.args[0], nil
	}
	return c.args[1], nil
}

func mandatory(c *call) (value.Value, error) {
	u, missing := c.in.(*value.Undefined)
	if !missing {
		return c.in, nil
	}
	if c.has(0) {
		return nil, fmt.Errorf("%s", value.String(c.args[0]))
	}
	name := ""
	if u.Name != "" {
		name = "'" + u.Name + "' "
	}
	return nil, fmt.Errorf("Mandatory variable %s not defined.", name) //nolint:staticcheck // playbooks compare with it
}

// A commentStyle is how a comment of a language looks.
type commentStyle struct{ beginning, decoration, end string }

var commentStyles = map[string]commentStyle{
	"plain":  {decoration: "# "},
	"erlang": {decoration: "% "},
	"c":      {decoration: "// "},
	"cblock": {"/*", " * ", " */"},
	"xml":    {"<!--", " - ", "-->"},
}

func comment(c *call) (value.Value, error) {
	body, err := c.input()
	if err != nil {
		return nil, err
	}
	name, err := c.str(0)
	if err != nil {
		return nil, err
	}
	style, ok := commentStyles[name]
	if !ok {
		return nil, badChoice("comment style", name, "plain", "erlang", "c", "cblock", "xml")
	}
	opt := map[string]*value.Value{}
	for _, name := range []string{"newline", "beginning", "prefix", "prefix_count", "decoration", "postfix", "postfix_count", "end"} {
		opt[name] = new(value.Value)
	}
	if err := c.options(opt); err != nil {
		return nil, err
	}
	for _, name := range []string{"newline", "decoration", "postfix"} {
		if v := *opt[name]; v != nil {
			if _, ok := asStr(v); !ok {
				return nil, typeErr("comment: %s must be a string, not '%s'", name, v.Type())
			}
		}
	}
	return c.commented(body, style, opt)
}

// commented is body as a comment of a style, as the options change it.
func (c *call) commented(body string, style commentStyle, opt map[string]*value.Value) (value.Value, error) {
	given := func(name, otherwise string) string {
		switch v := *opt[name]; {
		case v == nil:
			return otherwise
		case !value.Truth(v):
			return ""
		default:
			return value.String(v)
		}
	}
	count := func(name string) (int, error) {
		v := *opt[name]
		if v == nil {
			return 1, nil
		}
		n, err := value.ToInt(v)
		if err != nil {
			return 0, err
		}
		i, _ := asInt(n)
		return max(i, 0), nil
	}
	newline := given("newline", "\n")
	decoration := given("decoration", style.decoration)
	border := strings.TrimRight(decoration, " \t\r\n")
	prefixes, err := count("prefix_count")
	if err != nil {
		return nil, err
	}
	postfixes, err := count("postfix_count")
	if err != nil {
		return nil, err
	}
	prefix := given("prefix", border)
	if prefix != "" && prefix != newline {
		prefix += newline
	}
	before, err := c.repeat(prefix, prefixes)
	if err != nil {
		return nil, err
	}
	after, err := c.repeat(newline+given("postfix", border), postfixes)
	if err != nil {
		return nil, err
	}
	var b strings.Builder
	if s := given("beginning", style.beginning); s != "" {
		b.WriteString(s + newline)
	}
	b.WriteString(before)
	lines := decoration + strings.ReplaceAll(body, newline, newline+decoration)
	b.WriteString(strings.ReplaceAll(lines, decoration+newline, border+newline))
	b.WriteString(after)
	if s := given("end", style.end); s != "" {
		b.WriteString(newline + s)
	}
	return value.S(b.String()), nil
}

func extract(c *call) (value.Value, error) {
	keys := []value.Value{c.in}
	if c.has(1) {
		if more, ok := c.args[1].(*value.List); ok {
			keys = append(keys, more.Items...)
		} else {
			keys = append(keys, c.args[1])
		}
	}
	v := c.args[0]
	for _, k := range keys {
		var err error
		if v, err = c.Item(v, k); err != nil {
			return nil, err
		}
	}
	return v, nil
}
