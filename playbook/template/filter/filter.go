// Package filter is Ansible's filters and tests: all of ansible-core 2.18, and those of
// ansible.utils, community.general, kubernetes.core and ansible.netcommon that playbooks
// use. Each is a line in a table with its signature, its manual and its examples; the
// examples are executed by the package's test.
//
// Where a filter of ansible-core yields the items of a set in arbitrary order (union and
// its kin), the order here is that of first appearance.
package filter

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"orch/playbook/jinja"
	"orch/playbook/jinja/value"
)

// A Doc is the manual of a filter or test.
type Doc struct {
	Name       string
	Collection string // "ansible.builtin", "ansible.utils" …
	Signature  string // the arguments, as in Python; "" for none
	Text       string
	Examples   []Example
}

// FullName is the name with its collection.
func (d Doc) FullName() string { return d.Collection + "." + d.Name }

// An Example is a template and what it prints.
type Example struct{ Expr, Result string }

// A def is a filter or test as the tables have it.
type def struct {
	names string // the name and its aliases
	sig   string // Python's parameter list without the piped value
	doc   string
	// examples are templates and what they print, in turn.
	examples []string
	accept   accept
	filter   func(c *call) (value.Value, error)
	test     func(c *call) (bool, error)
}

// accept says which special values a def wants to see.
type accept int

const (
	acceptUndefined accept = 1 << iota
	acceptUnknown
	acceptIterator // generators stay generators
)

// A group is the defs of one collection; further are collections that have them too.
type group struct {
	collection string
	further    []string
	defs       []def
	qualified  bool // only the names with their collection are known
}

// A call is one use of a filter or test: the piped value, then the arguments by
// parameter, nil for one that is optional and missing.
type call struct {
	*jinja.Call
	in   value.Value
	args []value.Value
	rest []value.Value
	kw   []jinja.NamedArg
}

// newCall turns generators into lists, as Ansible does with what every filter returns.
func newCall(c *jinja.Call, in value.Value, b jinja.Bound, a accept) (*call, error) {
	x := &call{Call: c, in: in, args: b.Args, rest: b.Var, kw: b.KwVar}
	if a&acceptIterator != 0 {
		return x, nil
	}
	var err error
	if x.in, err = unroll(in); err != nil {
		return nil, err
	}
	for _, list := range []*[]value.Value{&x.args, &x.rest} {
		for i, v := range *list {
			if _, lazy := v.(*value.Iterator); !lazy {
				continue
			}
			*list = slices.Clone(*list)
			if (*list)[i], err = unroll(v); err != nil {
				return nil, err
			}
		}
	}
	return x, nil
}

// bounded refuses values that contain themselves, or one part of them so often that a
// filter that walks through them does not end.
func (c *call) bounded() error {
	endless := func(v value.Value) bool { return v != nil && value.Endless(v) }
	culprit := c.in
	switch {
	case endless(c.in):
	case slices.ContainsFunc(c.args, endless):
		culprit = c.args[slices.IndexFunc(c.args, endless)]
	case slices.ContainsFunc(c.rest, endless):
		culprit = c.rest[slices.IndexFunc(c.rest, endless)]
	default:
		i := slices.IndexFunc(c.kw, func(kw jinja.NamedArg) bool { return endless(kw.Val) })
		if i < 0 {
			return nil
		}
		culprit = c.kw[i].Val
	}
	return value.Errorf("RecursionError", "%s: the %s contains itself, or is too large", c.Name, culprit.Type())
}

// unknownBefore turns a mistake that may be due to a value not yet known into that value:
// a check run must not fail because an earlier step was not run.
func (c *call) unknownBefore(err error) error {
	if err == nil {
		return nil
	}
	for _, v := range slices.Concat([]value.Value{c.in}, c.args, c.rest) {
		if v == nil {
			continue
		}
		if u, ok := value.HasUnknown(v); ok {
			return &value.UnknownError{U: u}
		}
	}
	return err
}

func unroll(v value.Value) (value.Value, error) {
	it, ok := v.(*value.Iterator)
	if !ok {
		return v, nil
	}
	items, err := value.Items(it)
	return value.NewList(items...), err
}

func (d *def) signature() jinja.Signature {
	s := signature(d.sig)
	s.AcceptUndefined = d.accept&acceptUndefined != 0
	s.AcceptUnknown = d.accept&acceptUnknown != 0
	return s
}

// signature parses a parameter list: "a, b='x', c=None, *rest, **options".
func signature(list string) jinja.Signature {
	var s jinja.Signature
	for _, p := range splitParams(list) {
		name, def, optional := strings.Cut(p, "=")
		switch {
		case strings.HasPrefix(name, "**"):
			s.KwArgs = true
		case strings.HasPrefix(name, "*"):
			s.VarArgs = true
		case optional:
			s.Params = append(s.Params, jinja.Param{Name: name, Default: literal(def)})
		default:
			s.Params = append(s.Params, jinja.Param{Name: name})
		}
	}
	return s
}

// splitParams splits at commas outside quotes.
func splitParams(list string) []string {
	var out []string
	quoted, start := false, 0
	for i := range len(list) {
		switch {
		case list[i] == '\'':
			quoted = !quoted
		case list[i] == ',' && !quoted:
			out = append(out, strings.TrimSpace(list[start:i]))
			start = i + 1
		}
	}
	if last := strings.TrimSpace(list[start:]); last != "" {
		out = append(out, last)
	}
	return out
}

func literal(s string) value.Value {
	switch s {
	case "None":
		return value.None{}
	case "True":
		return value.Bool(true)
	case "False":
		return value.Bool(false)
	}
	if i, err := strconv.ParseInt(s, 10, 64); err == nil {
		return value.Int(i)
	}
	if f, err := strconv.ParseFloat(s, 64); err == nil {
		return value.Float(f)
	}
	return value.S(strings.Trim(s, "'"))
}

// Filters returns all filters, by bare name and with their collection's.
func Filters() map[string]*jinja.Filter { return maps.Clone(tables().filters) }

// Tests returns all tests, by bare name and with their collection's.
func Tests() map[string]*jinja.Test { return maps.Clone(tables().tests) }

// Docs returns the manuals of the filters, sorted by name.
func Docs() []Doc { return slices.Clone(tables().filterDocs) }

// TestDocs returns the manuals of the tests, sorted by name.
func TestDocs() []Doc { return slices.Clone(tables().testDocs) }

type built struct {
	filters              map[string]*jinja.Filter
	tests                map[string]*jinja.Test
	filterDocs, testDocs []Doc
}

// tables is built once: the maps are shared and never modified.
var tables = sync.OnceValue(func() *built {
	b := &built{filters: map[string]*jinja.Filter{}, tests: map[string]*jinja.Test{}}
	for _, g := range filterGroups() {
		for i := range g.defs {
			b.addFilter(g, &g.defs[i])
		}
	}
	for _, g := range testGroups() {
		for i := range g.defs {
			b.addTest(g, &g.defs[i])
		}
	}
	byName := func(x, y Doc) int { return strings.Compare(x.Name, y.Name) }
	slices.SortStableFunc(b.filterDocs, byName)
	slices.SortStableFunc(b.testDocs, byName)
	return b
})

// filterGroups lists the tables; where two have a bare name, the first one wins it.
func filterGroups() []group {
	builtin := group{collection: "ansible.builtin"}
	for _, part := range [][]def{
		encodingFilters, pathFilters, dataFilters, regexFilters, randomFilters, dateFilters,
		logicFilters, dictFilters, listFilters, setFilters, mathFilters, secretFilters, urlFilters,
	} {
		builtin.defs = append(builtin.defs, part...)
	}
	return append([]group{builtin}, collectionFilters()...)
}

func testGroups() []group {
	builtin := group{collection: "ansible.builtin"}
	for _, part := range [][]def{resultTests, matchTests, logicTests, fileTests, setTests, uriTests} {
		builtin.defs = append(builtin.defs, part...)
	}
	return append([]group{builtin}, collectionTests()...)
}

func (g group) spell(name string) []string {
	names := []string{g.collection + "." + name}
	if !g.qualified {
		names = append(names, name)
	}
	for _, c := range g.further {
		names = append(names, c+"."+name)
	}
	return names
}

func (b *built) addFilter(g group, d *def) {
	f := &jinja.Filter{
		Sig: d.signature(),
		Do: func(c *jinja.Call, in value.Value, bound jinja.Bound) (value.Value, error) {
			x, err := newCall(c, in, bound, d.accept)
			if err == nil {
				err = x.bounded()
			}
			if err != nil {
				return nil, err
			}
			v, err := d.filter(x)
			return v, x.unknownBefore(err)
		},
	}
	for _, name := range strings.Fields(d.names) {
		for _, n := range g.spell(name) {
			if b.filters[n] == nil {
				b.filters[n] = f
			}
		}
		b.filterDocs = append(b.filterDocs, d.manual(g, name))
	}
}

func (b *built) addTest(g group, d *def) {
	t := &jinja.Test{
		Sig: d.signature(),
		Do: func(c *jinja.Call, in value.Value, bound jinja.Bound) (bool, error) {
			x, err := newCall(c, in, bound, d.accept)
			if err != nil {
				return false, err
			}
			ok, err := d.test(x)
			return ok, x.unknownBefore(err)
		},
	}
	for _, name := range strings.Fields(d.names) {
		for _, n := range g.spell(name) {
			if b.tests[n] == nil {
				b.tests[n] = t
			}
		}
		b.testDocs = append(b.testDocs, d.manual(g, name))
	}
}

func (d *def) manual(g group, name string) Doc {
	doc := Doc{Name: name, Collection: g.collection, Signature: d.sig, Text: d.doc}
	for i := 0; i+1 < len(d.examples); i += 2 {
		doc.Examples = append(doc.Examples, Example{d.examples[i], d.examples[i+1]})
	}
	return doc
}
