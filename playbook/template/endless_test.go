package template_test

import (
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"orch/playbook/jinja/value"
	"orch/playbook/template"
	"orch/playbook/template/sprig"
)

// endless makes values no walk through comes to the end of.
var endless = map[string]func() value.Value{
	"a list in itself": func() value.Value {
		l := value.NewList(value.Int(1))
		l.Items = append(l.Items, l)
		return l
	},
	"a dict in itself": func() value.Value {
		d := value.D("a", value.Int(1))
		d.SetStr("b", d)
		d.SetStr("c", d)
		return d
	},
	"a doubled list": func() value.Value { return grow(60, func(v value.Value) value.Value { return value.NewList(v, v) }) },
	"a doubled dict": func() value.Value {
		return grow(60, func(v value.Value) value.Value { return value.D("a", v, "b", v) })
	},
	"a doubled tuple": func() value.Value { return grow(60, func(v value.Value) value.Value { return value.Tuple{v, v} }) },
	"a repeated list": func() value.Value {
		return grow(4, func(v value.Value) value.Value { return value.NewList(slices.Repeat([]value.Value{v}, 300)...) })
	},
	"a deep list": func() value.Value { return grow(20_000, func(v value.Value) value.Value { return value.NewList(v) }) },
}

func grow(times int, step func(value.Value) value.Value) value.Value {
	var v value.Value = value.Int(1)
	for range times {
		v = step(v)
	}
	return v
}

// TestEndlessEverywhere pipes values that do not end into every filter and test, gives them
// as arguments and uses operators on them: whatever comes of it comes soon, and takes
// little memory.
func TestEndlessEverywhere(t *testing.T) {
	var uses []string
	for _, d := range allFilters() {
		uses = append(uses, fmt.Sprintf("x | %s%s", d.name, arguments(d.signature, "1")), fmt.Sprintf("x | %s%s", d.name, arguments(d.signature, "x")))
		if args := arguments(d.signature, "x"); args != "" {
			uses = append(uses, fmt.Sprintf("'1' | %s%s", d.name, args), fmt.Sprintf("[1] | %s%s", d.name, args))
		}
	}
	for _, d := range allTests() {
		if strings.HasPrefix(d.name, "ansible.utils.") {
			continue // they take texts, one like the other
		}
		uses = append(uses, fmt.Sprintf("x is %s%s", d.name, arguments(d.signature, "x")), fmt.Sprintf("'1' is %s%s", d.name, arguments(d.signature, "x")))
	}
	for _, name := range slices.Sorted(maps.Keys(sprig.Filters())) {
		uses = append(uses, "x | "+name, "'1' | "+name+"(x)", "x | "+name+"(x)")
	}
	for line := range strings.Lines(endlessUses) {
		uses = append(uses, strings.TrimSpace(line))
	}
	slowest := time.Duration(0)
	for name, makes := range endless {
		b := newBench(t, template.Options{Globals: map[string]value.Value{"x": makes(), "y": makes()}}, "n: 5", "")
		for _, use := range uses {
			begin, before := time.Now(), allocated()
			_, err := b.engine.Value(ctx, at("{% set r = "+use+" %}{{ r is defined }}{{ r }}"), b)
			took, grew := time.Since(begin), allocated()-before
			if slowest = max(slowest, took); took > 20*time.Second || grew > 1<<30 {
				t.Errorf("%s: %s took %s and %d MB, and ended with %.200v", name, use, took, grew>>20, err)
			}
			if err != nil && len(err.Error()) > 5000 {
				t.Errorf("%s: %s: the error is %d characters long: %.200v", name, use, len(err.Error()), err)
			}
		}
	}
	t.Logf("%d uses of %d values, the slowest took %s", len(uses), len(endless), slowest)
}

// allocated are the bytes allocated so far.
func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

const endlessUses = `x
x ~ 'a'
x == y
x != y
x < y
x <= x
[x, 1] < [y, 2]
x in [y]
y in x
[x] in [[y]]
x not in y
x in {'a': 1}
{'a': x} == {'a': y}
{'a': 1}[x]
x + x
x * 100000
x * 1000000000
'%s' % x
'%r' % [x]
'{}'.format(x)
'{!r}'.format(x)
'{0[0]}'.format(x)
x.index(y)
x.count(y)
x.remove(y)
x.sort()
x.values() | list
x.items() | list
x.get(y)
x.copy()
[x, y] | sort
[x, y] | unique | list
[x, y] | min
[x, y] | groupby(0)
[x, y] | sum(start=[])
[x, y] | map('string') | list
[x, y] | select('in', [y]) | list
[x, y] | join(',')
[x, y, x] | union([y])
[x, y] | difference([y])
[x, y] | zip([x, y]) | list
[x, y] | product([x, y]) | list
[x, y] | flatten
{'a': x} | combine({'a': y}, recursive=true)
{'a': x} | dict2items
{'a': x} | json_query('a')
{'a': x} | to_json
{'a': x} | to_nice_json
{'a': x} | to_yaml
{'a': x} | to_nice_yaml
{'a': x} | pprint
{x: 1}
dict(a=x)
dict(x)
namespace(a=x)
lookup('dict', x)
q('flattened', x)
q('items', x)
q('nested', x, [1])
q('together', x, x)
q('list', x)
q('subelements', x, 'a')
lookup('env', x)
lookup('template', 'nope.j2', template_vars={'a': x})
x if x else y
x and y
(x | string) == (y | string)
x is in [y]
x is contains(y)
x is subset([y])
x is sameas y
undef(hint=x)
range(x)
x[::-1]
x[0][0]
[x][0:1]
[x, y][x]
x.join('a')
','.join(x)
'a'.replace(x, 'b')
`
