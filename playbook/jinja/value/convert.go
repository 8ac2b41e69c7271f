package value

import (
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"reflect"
	"slices"
	"strings"
	"time"
)

// FromGo makes a value of plain Go data: nil, booleans, numbers, strings, []byte, times
// (RFC 3339), errors (their text), slices, maps (their keys sorted, as Go's have no
// order), and structs by their json tags. A Value is returned as it is.
func FromGo(x any) Value {
	switch x := x.(type) {
	case nil:
		return None{}
	case Value:
		return x
	case string:
		return S(x)
	case bool:
		return Bool(x)
	case int:
		return Int(x)
	case int64:
		return Int(x)
	case float64:
		return Float(x)
	case []string:
		l := &List{Items: make([]Value, len(x))}
		for i, s := range x {
			l.Items[i] = S(s)
		}
		return l
	case []byte:
		return Bytes(x)
	case json.Number:
		v, err := parseJSONNumber(string(x))
		if err != nil {
			return S(string(x))
		}
		return v
	case json.RawMessage:
		v, err := FromJSON(x)
		if err != nil {
			return S(string(x))
		}
		return v
	case *big.Int:
		if x == nil {
			return None{}
		}
		return NewBig(new(big.Int).Set(x))
	case time.Time:
		return S(x.Format(time.RFC3339Nano))
	case error:
		return S(x.Error())
	}
	return fromReflect(reflect.ValueOf(x))
}

func fromReflect(r reflect.Value) Value {
	switch r.Kind() {
	case reflect.Bool:
		return Bool(r.Bool())
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return Int(r.Int())
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		if n := r.Uint(); n > math.MaxInt64 {
			return &BigInt{new(big.Int).SetUint64(n)}
		}
		return Int(r.Uint())
	case reflect.Float32, reflect.Float64:
		return Float(r.Float())
	case reflect.String:
		return S(r.String())
	case reflect.Pointer, reflect.Interface:
		if r.IsNil() {
			return None{}
		}
		return FromGo(r.Elem().Interface())
	case reflect.Slice, reflect.Array:
		if r.Kind() == reflect.Slice && r.Type().Elem().Kind() == reflect.Uint8 {
			return Bytes(r.Bytes())
		}
		l := &List{Items: make([]Value, r.Len())}
		for i := range l.Items {
			l.Items[i] = FromGo(r.Index(i).Interface())
		}
		return l
	case reflect.Map:
		return fromMap(r)
	case reflect.Struct:
		d := NewDict(r.NumField())
		fromStruct(d, r)
		return d
	}
	return S(fmt.Sprint(r.Interface()))
}

func fromMap(r reflect.Value) Value {
	keys := make([]Value, 0, r.Len())
	vals := make(map[hashKey]Value, r.Len())
	for _, k := range r.MapKeys() {
		key := FromGo(k.Interface())
		h, err := hashOf(key)
		if err != nil {
			key = S(Repr(key))
			h, _ = hashOf(key)
		}
		keys = append(keys, key)
		vals[h] = FromGo(r.MapIndex(k).Interface())
	}
	slices.SortFunc(keys, func(a, b Value) int {
		if order, err := Compare(a, b); err == nil {
			return order
		}
		return strings.Compare(Repr(a), Repr(b))
	})
	d := NewDict(len(keys))
	for _, k := range keys {
		h, _ := hashOf(k)
		_ = d.Set(k, vals[h]) // hashable: checked above
	}
	return d
}

func fromStruct(d *Dict, r reflect.Value) {
	for i := range r.NumField() {
		f := r.Type().Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous && name == "" && reflect.Indirect(r.Field(i)).Kind() == reflect.Struct {
			fromStruct(d, reflect.Indirect(r.Field(i)))
			continue
		}
		if !f.IsExported() || name == "-" || strings.Contains(options, "omitempty") && r.Field(i).IsZero() {
			continue
		}
		if name == "" {
			name = f.Name
		}
		d.SetStr(name, FromGo(r.Field(i).Interface()))
	}
}

// ToGo makes plain Go data: nil, bool, int64, *big.Int, float64, string, []byte, []any and
// map[string]any (a key that is no string by its str()). Iterators are used up; an
// undefined or unknown value becomes nil, an object without items its text. Whoever gets
// the value from a template asks [Endless] before.
func ToGo(v Value) any { return toGo(v, 0) }

func toGo(v Value, depth int) any {
	if depth > maxDepth {
		return nil
	}
	switch v := v.(type) {
	case None, *Undefined, Unknown:
		return nil
	case Bool:
		return bool(v)
	case Int:
		return int64(v)
	case *BigInt:
		return new(big.Int).Set(v.V)
	case Float:
		return float64(v)
	case Str:
		return v.S
	case Markup:
		return string(v)
	case Bytes:
		return []byte(v)
	case dictLike:
		m := make(map[string]any, v.Len())
		for _, k := range v.Keys() {
			if val, ok, err := v.Get(k); err == nil && ok {
				m[String(k)] = toGo(val, depth+1)
			}
		}
		return m
	}
	items, err := Items(v)
	if err != nil {
		return String(v)
	}
	list := make([]any, len(items))
	for i, item := range items {
		list[i] = toGo(item, depth+1)
	}
	return list
}

// Clone is a deep copy: lists and dicts are copied, everything else is immutable or an
// object and shared. Strings keep their authored mark. A list that occurs twice is
// copied once, so cycles stay cycles.
func Clone(v Value) Value {
	switch v.(type) {
	case *List, *Dict, Tuple:
		return (&cloner{}).clone(v)
	}
	return v
}

type cloner struct{ done map[Value]Value }

func (c *cloner) clone(v Value) Value {
	switch v := v.(type) {
	case *List:
		if copied, ok := c.done[v]; ok {
			return copied
		}
		l := &List{Items: make([]Value, len(v.Items))}
		c.note(v, l)
		for i, item := range v.Items {
			l.Items[i] = c.clone(item)
		}
		return l
	case *Dict:
		if copied, ok := c.done[v]; ok {
			return copied
		}
		d := NewDict(v.Len())
		c.note(v, d)
		for k, val := range v.All() {
			d.insert(k, c.clone(val))
		}
		return d
	case Tuple:
		t := make(Tuple, len(v))
		for i, item := range v {
			t[i] = c.clone(item)
		}
		return t
	}
	return v
}

func (c *cloner) note(from, to Value) {
	if c.done == nil {
		c.done = map[Value]Value{}
	}
	c.done[from] = to
}

// HasUnknown finds an Unknown in v or in the lists, tuples and dicts inside it.
func HasUnknown(v Value) (Unknown, bool) {
	var found Unknown
	ok := Holds(v, func(v Value) bool {
		u, is := v.(Unknown)
		if is {
			found = u
		}
		return is
	})
	return found, ok
}

// HasSealed reports an encrypted string in v or in the lists, tuples and dicts inside it.
func HasSealed(v Value) bool {
	return Holds(v, func(v Value) bool { _, is := v.(Sealed); return is })
}

// HasUndefined finds an undefined value in v or in the lists, tuples and dicts inside it.
func HasUndefined(v Value) (*Undefined, bool) {
	var found *Undefined
	ok := Holds(v, func(v Value) bool {
		u, is := v.(*Undefined)
		if is {
			found = u
		}
		return is
	})
	return found, ok
}

// Holds says whether is holds for v or for anything inside of it. Of a value that does not
// end it looks at the beginning.
func Holds(v Value, is func(Value) bool) bool {
	return (&search{root: v, is: is}).walk(v, 0)
}

type search struct {
	root    Value
	is      func(Value) bool
	steps   int
	checked bool // that root is not Endless
}

func (s *search) walk(v Value, depth int) bool {
	if s.is(v) {
		return true
	}
	if !s.checked && s.steps > suspicious {
		if s.checked = true; Endless(s.root) {
			s.steps = maxWalk + 1
		}
	}
	if depth > maxDepth || s.steps > maxWalk {
		return false
	}
	switch v := v.(type) {
	case *List:
		return s.any(v.Items, depth)
	case Tuple:
		return s.any(v, depth)
	case *Dict:
		for k, val := range v.All() {
			if s.steps++; s.walk(k, depth+1) || s.walk(val, depth+1) {
				return true
			}
		}
	}
	return false
}

func (s *search) any(items []Value, depth int) bool {
	for _, item := range items {
		if s.steps++; s.walk(item, depth+1) {
			return true
		}
	}
	return false
}
