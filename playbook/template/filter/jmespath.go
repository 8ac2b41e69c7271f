package filter

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"

	jmespath "github.com/jmespath/go-jmespath"

	"orch/playbook/jinja/value"
)

// A jsonBridge hands values to the JMESPath library, which knows JSON's types only, and
// takes results back: containers that come back as they were given are the originals,
// with their order of keys and their integers.
type jsonBridge struct {
	expr  string
	dicts map[uintptr]value.Value
	lists map[listKey]value.Value
}

// A listKey is what tells one slice from another.
type listKey struct {
	data uintptr
	size int
}

func jsonQuery(c *call) (value.Value, error) {
	expr, err := c.str(0)
	if err != nil {
		return nil, err
	}
	if u, ok := value.HasUnknown(c.in); ok {
		return u, nil
	}
	query, err := jmespath.Compile(expr)
	if err != nil {
		return nil, fmt.Errorf("json_query: invalid expression '%s': %w", expr, err)
	}
	b := &jsonBridge{expr: expr, dicts: map[uintptr]value.Value{}, lists: map[listKey]value.Value{}}
	out, err := query.Search(b.toJSON(c.in, 0))
	if err != nil {
		return nil, fmt.Errorf("json_query: '%s': %w", expr, err)
	}
	return b.fromJSON(out), nil
}

func (b *jsonBridge) toJSON(v value.Value, depth int) any {
	if depth > 500 {
		return nil
	}
	if d, ok, err := asDict(v); ok && err == nil {
		m := make(map[string]any, d.Len())
		for k, item := range d.All() {
			m[value.String(k)] = b.toJSON(item, depth+1)
		}
		b.dicts[reflect.ValueOf(m).Pointer()] = d
		return m
	}
	if isSequence(v) {
		items, err := value.Items(v)
		if err != nil {
			return nil
		}
		l := make([]any, len(items))
		for i, item := range items {
			l[i] = b.toJSON(item, depth+1)
		}
		if len(l) > 0 {
			b.lists[listKey{reflect.ValueOf(l).Pointer(), len(l)}] = v
		}
		return l
	}
	if f, ok := asFloat(v); ok {
		if boolean, isBool := v.(value.Bool); isBool {
			return bool(boolean)
		}
		return f
	}
	return value.ToGo(v)
}

func (b *jsonBridge) fromJSON(x any) value.Value {
	switch x := x.(type) {
	case float64:
		if x == math.Trunc(x) && math.Abs(x) < 1<<53 {
			return value.Int(x)
		}
		return value.Float(x)
	case []any:
		if v, ok := b.lists[listKey{reflect.ValueOf(x).Pointer(), len(x)}]; ok && len(x) > 0 {
			return v
		}
		items := make([]value.Value, len(x))
		for i, item := range x {
			items[i] = b.fromJSON(item)
		}
		return newList(items)
	case map[string]any:
		if v, ok := b.dicts[reflect.ValueOf(x).Pointer()]; ok {
			return v
		}
		d := value.NewDict(len(x))
		for _, k := range b.order(x) {
			d.SetStr(k, b.fromJSON(x[k]))
		}
		return d
	}
	return value.FromGo(x)
}

// order puts the keys of a dict that the expression made in the expression's order.
func (b *jsonBridge) order(m map[string]any) []string {
	place := func(k string) int {
		for i := 0; ; {
			at := strings.Index(b.expr[i:], k)
			if at < 0 {
				return len(b.expr)
			}
			i += at + len(k)
			if strings.HasPrefix(strings.TrimLeft(b.expr[i:], "\" \t\n"), ":") {
				return i
			}
		}
	}
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(x, y string) int {
		if n := place(x) - place(y); n != 0 {
			return n
		}
		return strings.Compare(x, y)
	})
	return keys
}
