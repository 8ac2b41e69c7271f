package sprig

import (
	"fmt"
	"maps"
	"math"
	"math/big"
	"reflect"
	"slices"
	"time"

	"github.com/Masterminds/semver/v3"

	"orch/playbook/jinja"
	"orch/playbook/jinja/value"
	"orch/playbook/template/filter"
)

// A converter makes an argument of a value. Numbers convert only without loss, and
// nothing is made of a string.
type converter func(v value.Value) (reflect.Value, error)

var timeType = reflect.TypeFor[time.Time]()

func converterOf(t reflect.Type) converter {
	switch {
	case t == timeType:
		return toTime
	case t.Kind() == reflect.Interface:
		return func(v value.Value) (reflect.Value, error) {
			x := toGo(v)
			if x == nil {
				return reflect.Zero(t), nil
			}
			return reflect.ValueOf(x), nil
		}
	case t.Kind() == reflect.Map:
		return toMap
	case t.Kind() == reflect.Slice:
		return toSlice
	case t.Kind() == reflect.Struct:
		return func(v value.Value) (reflect.Value, error) { return toStruct(v, t) }
	}
	return func(v value.Value) (reflect.Value, error) { return toScalar(v, t) }
}

func mismatch(v value.Value, want string) error {
	return fmt.Errorf("expected %s, not '%s'", want, v.Type())
}

func toScalar(v value.Value, t reflect.Type) (reflect.Value, error) {
	out := reflect.New(t).Elem()
	switch t.Kind() {
	case reflect.String:
		switch v := v.(type) {
		case value.Str:
			out.SetString(v.S)
		case value.Markup:
			out.SetString(string(v))
		case value.Bytes:
			out.SetString(string(v))
		default:
			return out, mismatch(v, "a string")
		}
	case reflect.Bool:
		b, ok := v.(value.Bool)
		if !ok {
			return out, mismatch(v, "true or false")
		}
		out.SetBool(bool(b))
	case reflect.Float64:
		f, ok := number(v)
		if !ok {
			return out, mismatch(v, "a number")
		}
		out.SetFloat(f)
	case reflect.Int, reflect.Int64, reflect.Uint32:
		n, err := whole(v)
		if err != nil {
			return out, err
		}
		if t.Kind() == reflect.Uint32 {
			if n < 0 || n > math.MaxUint32 {
				return out, fmt.Errorf("%d is not between 0 and %d", n, uint32(math.MaxUint32))
			}
			out.SetUint(uint64(n))
			break
		}
		out.SetInt(n)
	default:
		return out, fmt.Errorf("no conversion to %s", t)
	}
	return out, nil
}

func number(v value.Value) (float64, bool) {
	switch v := v.(type) {
	case value.Int:
		return float64(v), true
	case value.Float:
		return float64(v), true
	}
	return 0, false
}

func whole(v value.Value) (int64, error) {
	switch v := v.(type) {
	case value.Int:
		return int64(v), nil
	case value.Float:
		if f := float64(v); f == math.Trunc(f) && math.Abs(f) < 1<<53 {
			return int64(f), nil
		}
		return 0, fmt.Errorf("%s is no integer", value.Repr(v))
	case *value.BigInt:
		return 0, fmt.Errorf("%s does not fit 64 bits", v.V)
	}
	return 0, mismatch(v, "an integer")
}

func toMap(v value.Value) (reflect.Value, error) {
	m, ok := toGo(v).(map[string]any)
	if !ok {
		return reflect.Value{}, mismatch(v, "a dict")
	}
	return reflect.ValueOf(m), nil
}

func toSlice(v value.Value) (reflect.Value, error) {
	l, ok := toGo(v).([]any)
	if !ok {
		return reflect.Value{}, mismatch(v, "a list")
	}
	return reflect.ValueOf(l), nil
}

// toStruct fills the fields of a struct from a dict: the certificates sprig hands out.
func toStruct(v value.Value, t reflect.Type) (reflect.Value, error) {
	out := reflect.New(t).Elem()
	d, ok := v.(*value.Dict)
	if !ok {
		return out, mismatch(v, "a dict as returned by sprig")
	}
	for i := range t.NumField() {
		field, ok := d.GetStr(t.Field(i).Name)
		if !ok {
			return out, fmt.Errorf("the dict has no %q", t.Field(i).Name)
		}
		x, err := toScalar(field, t.Field(i).Type)
		if err != nil {
			return out, err
		}
		out.Field(i).Set(x)
	}
	return out, nil
}

func moment(v value.Value) (time.Time, bool) {
	if o, ok := v.(*object); ok {
		t, ok := o.v.(time.Time)
		return t, ok
	}
	return filter.Time(v)
}

func toTime(v value.Value) (reflect.Value, error) {
	t, ok := moment(v)
	if !ok {
		return reflect.Value{}, mismatch(v, "a time")
	}
	return reflect.ValueOf(t), nil
}

// toGo copies a value into plain Go data; times and versions come back as they were.
func toGo(v value.Value) any { return toGoDepth(v, 0) }

// maxDepth ends the copying of a container that holds itself.
const maxDepth = 500

func toGoDepth(v value.Value, depth int) any {
	if depth > maxDepth {
		return nil
	}
	switch v := v.(type) {
	case *object:
		return v.v
	case *value.List:
		return goSlice(v.Items, depth)
	case value.Tuple:
		return goSlice(v, depth)
	case *value.Dict:
		m := make(map[string]any, v.Len())
		for k, item := range v.All() {
			m[value.String(k)] = toGoDepth(item, depth+1)
		}
		return m
	}
	if t, ok := moment(v); ok {
		return t
	}
	return value.ToGo(v)
}

func goSlice(items []value.Value, depth int) []any {
	out := make([]any, len(items))
	for i, item := range items {
		out[i] = toGoDepth(item, depth+1)
	}
	return out
}

// fromGo makes a value of a result; dicts have their keys sorted.
func fromGo(x any) value.Value {
	switch x := x.(type) {
	case time.Time, *semver.Version:
		return &object{x}
	case []any:
		items := make([]value.Value, len(x))
		for i, item := range x {
			items[i] = fromGo(item)
		}
		return value.NewList(items...)
	case [][]any:
		items := make([]value.Value, len(x))
		for i, item := range x {
			items[i] = fromGo(item)
		}
		return value.NewList(items...)
	case map[string]any:
		out := value.NewDict(len(x))
		for _, k := range sortedKeys(x) {
			out.SetStr(k, fromGo(x[k]))
		}
		return out
	case *big.Int:
		return value.NewBig(x)
	}
	return value.FromGo(x)
}

// An object is a Go value that stays what it is: a time or a version. Its methods
// without arguments can be called: `sprig.semver("1.2.3").Major()`.
type object struct{ v any }

// Type implements value.Value.
func (o *object) Type() string {
	if _, ok := o.v.(time.Time); ok {
		return "time"
	}
	return "version"
}

// Str implements value.Texter: a time is RFC 3339.
func (o *object) Str() string {
	if t, ok := o.v.(time.Time); ok {
		return t.Format(time.RFC3339)
	}
	return fmt.Sprint(o.v)
}

// Repr implements value.Texter.
func (o *object) Repr() string { return value.Repr(value.S(o.Str())) }

// CompareTo implements value.Comparer.
func (o *object) CompareTo(other value.Value) (int, bool) {
	p, ok := other.(*object)
	if !ok {
		return 0, false
	}
	switch v := o.v.(type) {
	case time.Time:
		if w, ok := p.v.(time.Time); ok {
			return v.Compare(w), true
		}
	case *semver.Version:
		if w, ok := p.v.(*semver.Version); ok {
			return v.Compare(w), true
		}
	}
	return 0, false
}

// Attr implements value.Object: methods that take nothing and return one value.
func (o *object) Attr(name string) (value.Value, bool, error) {
	m := reflect.ValueOf(o.v).MethodByName(name)
	if !m.IsValid() || m.Type().NumIn() != 0 || m.Type().NumOut() != 1 {
		return nil, false, nil
	}
	return &jinja.Function{Name: name, Do: func(*jinja.Call, jinja.Bound) (value.Value, error) {
		return fromGo(m.Call(nil)[0].Interface()), nil
	}}, true, nil
}

func sortedKeys(m map[string]any) []string { return slices.Sorted(maps.Keys(m)) }
