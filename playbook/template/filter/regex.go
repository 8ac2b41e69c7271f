package filter

import (
	"fmt"
	"strconv"
	"strings"

	"orch/playbook/jinja/value"
	"orch/playbook/pyre"
)

var regexFilters = []def{
	{
		names: "regex_replace", sig: "pattern='', replacement='', ignorecase=False, multiline=False, count=0, mandatory_count=0",
		filter: regexReplace,
		doc: "Replaces what a Python regular expression matches; groups are \\1 or \\g<name>. count limits the replacements, " +
			"mandatory_count fails when there are more or less.",
		examples: []string{
			`{{ 'foobar' | regex_replace('^f.*o(.*)$', '\\1') }}`, "bar",
			`{{ 'a=1' | regex_replace('(?P<k>\\w)=(?P<v>\\w)', '\\g<v>=\\g<k>') }}`, "1=a",
		},
	},
	{
		names: "regex_search", sig: "regex, *args, **options", filter: regexSearch,
		doc: "The first match of a Python regular expression in a text, None when there is none. Arguments '\\\\1' or '\\\\g<name>' give a " +
			"list of those groups instead. Options: ignorecase, multiline.",
		examples: []string{
			`{{ 'server1/db42' | regex_search('db[0-9]+') }}`, "db42",
			`{{ 'server1/db42' | regex_search('server([0-9]+)/(?P<d>\\w+)', '\\1', '\\g<d>') }}`, "['1', 'db42']",
		},
	},
	{
		names: "regex_findall", sig: "regex, multiline=False, ignorecase=False", filter: regexFindall,
		doc:      "All matches of a Python regular expression: the texts, or what its one group matched, or tuples of its groups.",
		examples: []string{`{{ 'a1 b2' | regex_findall('[a-z]\\d') }}`, "['a1', 'b2']", `{{ 'a1 b2' | regex_findall('([a-z])(\\d)') }}`, "[('a', '1'), ('b', '2')]"},
	},
	{
		names: "regex_escape", sig: "re_type='python'", filter: regexEscape,
		doc:      "Escapes a text so that a regular expression matches it literally: re_type python or posix_basic.",
		examples: []string{`{{ '^f.*o$' | regex_escape }}`, `\^f\.\*o\$`, `{{ '^f.o(' | regex_escape('posix_basic') }}`, `\^f\.o(`},
	},
}

// compileRegex compiles the pattern of a filter or test; mistakes name it.
func compileRegex(v value.Value, ignorecase, multiline bool) (*pyre.Regexp, error) {
	pattern, ok := asStr(v)
	if !ok {
		return nil, typeErr("first argument must be string or compiled pattern, not '%s'", v.Type())
	}
	var flags pyre.Flags
	if ignorecase {
		flags |= pyre.IgnoreCase
	}
	if multiline {
		flags |= pyre.Multiline
	}
	re, err := Regexp(pattern, flags)
	if err != nil {
		return nil, fmt.Errorf("invalid regular expression '%s': %w", pattern, err)
	}
	return re, nil
}

// Regexp compiles a pattern of an author, with \N{…} for characters by name.
func Regexp(pattern string, flags pyre.Flags) (*pyre.Regexp, error) {
	expanded, err := value.ExpandNames(pattern)
	if err != nil {
		return nil, err
	}
	return pyre.Compile(expanded, flags)
}

func regexReplace(c *call) (value.Value, error) {
	s, err := c.inputText()
	if err != nil {
		return nil, err
	}
	re, err := compileRegex(c.args[0], c.truth(2), c.truth(3))
	if err != nil {
		return nil, err
	}
	repl, err := c.str(1)
	if err != nil {
		return nil, err
	}
	count, err := c.integer(4)
	if err != nil {
		return nil, err
	}
	mandatory, err := c.integer(5)
	if err != nil {
		return nil, err
	}
	out, n, err := re.Subn(repl, s, count)
	if err != nil {
		return nil, fmt.Errorf("cannot replace by '%s': %w", repl, err)
	}
	if mandatory != 0 && mandatory != n {
		return nil, fmt.Errorf("'%s' should match %d times, but matches %d times in '%s'", re.Pattern(), mandatory, n, s)
	}
	return value.S(out), nil
}

// A groupName is how regex_search names a group: \1 or \g<name>.
type groupName struct {
	name  string
	named bool
}

func groupNames(args []value.Value) ([]groupName, error) {
	out := make([]groupName, len(args))
	for i, arg := range args {
		s, _ := asStr(arg)
		name, named := strings.CutPrefix(s, `\g<`)
		num, numbered := strings.CutPrefix(s, `\`)
		end := strings.LastIndexByte(name, '>')
		digits := len(num) - len(strings.TrimLeft(num, "0123456789"))
		switch {
		case named && end > 0:
			out[i] = groupName{name[:end], true}
		case numbered && digits > 0:
			out[i] = groupName{num[:digits], false}
		default:
			return nil, fmt.Errorf("regex_search: unknown argument '%s'\nhint: groups are given as '\\\\1' or '\\\\g<name>'", value.String(arg))
		}
	}
	return out, nil
}

func groupRefs(re *pyre.Regexp, names []groupName) ([]int, error) {
	refs := make([]int, len(names))
	for i, n := range names {
		if g, ok := re.GroupIndex(n.name); ok {
			refs[i] = g
			continue
		}
		g, err := strconv.Atoi(n.name)
		if err != nil || n.named || g > re.Groups() {
			return nil, value.Errorf("IndexError", "no such group: '%s'", n.name)
		}
		refs[i] = g
	}
	return refs, nil
}

func regexSearch(c *call) (value.Value, error) {
	s, err := c.inputText()
	if err != nil {
		return nil, err
	}
	var ignorecase, multiline value.Value
	if err := c.options(map[string]*value.Value{"ignorecase": &ignorecase, "multiline": &multiline}); err != nil {
		return nil, err
	}
	on := func(v value.Value) bool { return v != nil && value.Truth(v) }
	re, err := compileRegex(c.args[0], on(ignorecase), on(multiline))
	if err != nil {
		return nil, err
	}
	names, err := groupNames(c.rest)
	if err != nil {
		return nil, err
	}
	m, err := re.Search(s)
	if err != nil {
		return nil, err
	}
	if m == nil {
		return value.None{}, nil
	}
	refs, err := groupRefs(re, names)
	if err != nil {
		return nil, err
	}
	if len(refs) == 0 {
		return value.S(m.Text()), nil
	}
	items := make([]value.Value, len(refs))
	for i, g := range refs {
		items[i] = groupValue(m, g)
	}
	return newList(items), nil
}

func groupValue(m *pyre.Match, g int) value.Value {
	if s, ok := m.Group(g); ok {
		return value.S(s)
	}
	return value.None{}
}

func regexFindall(c *call) (value.Value, error) {
	s, err := c.inputText()
	if err != nil {
		return nil, err
	}
	re, err := compileRegex(c.args[0], c.truth(2), c.truth(1))
	if err != nil {
		return nil, err
	}
	items := []value.Value{}
	for m, err := range re.FindIter(s) {
		if err != nil {
			return nil, err
		}
		switch re.Groups() {
		case 0:
			items = append(items, value.S(m.Text()))
		case 1:
			group, _ := m.Group(1)
			items = append(items, value.S(group))
		default:
			groups := make(value.Tuple, re.Groups())
			for g := range groups {
				group, _ := m.Group(g + 1)
				groups[g] = value.S(group)
			}
			items = append(items, groups)
		}
	}
	return newList(items), nil
}

func regexEscape(c *call) (value.Value, error) {
	s, err := c.inputText()
	if err != nil {
		return nil, err
	}
	kind, err := text(c.args[0])
	if err != nil {
		return nil, err
	}
	switch kind {
	case "python":
		return value.S(pyre.Escape(s)), nil
	case "posix_basic":
		var b strings.Builder
		for _, r := range s {
			if strings.ContainsRune(`].[^$*\`, r) {
				b.WriteByte('\\')
			}
			b.WriteRune(r)
		}
		return value.S(b.String()), nil
	case "posix_extended":
		return nil, fmt.Errorf("Regex type (%s) not yet implemented", kind) //nolint:staticcheck // playbooks compare with it
	}
	return nil, fmt.Errorf("Invalid regex type (%s)", kind) //nolint:staticcheck // playbooks compare with it
}
