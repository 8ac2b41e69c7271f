package value

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"unicode/utf8"
)

// JSONOptions are those of Python's json.dumps.
type JSONOptions struct {
	// Indent is what one level is indented by; "" writes everything on one line, unless
	// Lines is set (indent=0: a line per item, not indented).
	Indent string
	Lines  bool
	// ItemSep and KeySep default to ", " ("," when indented) and ": ", unless Separators is
	// set: then they are what they are, even empty.
	ItemSep, KeySep string
	Separators      bool
	SortKeys        bool
	// Unicode writes characters beyond ASCII as they are (ensure_ascii=False).
	Unicode bool
	// SkipKeys leaves out entries whose key cannot be one, instead of failing.
	SkipKeys bool
	// Default, if set, replaces what JSON has no form for.
	Default func(Value) (Value, error)
}

// JSON is Python's json.dumps(v).
func JSON(v Value, o JSONOptions) (string, error) {
	b, err := AppendJSON(nil, v, o)
	return string(b), err
}

// AppendJSON appends Python's json.dumps(v) to dst. Unknown is an *UnknownError, an
// undefined value an *UndefinedError, anything else without a JSON form a TypeError.
func AppendJSON(dst []byte, v Value, o JSONOptions) ([]byte, error) {
	e := jsonEncoder{o: o, dst: dst, begin: len(dst), indented: o.Indent != "" || o.Lines}
	if e.o.ItemSep == "" && !o.Separators {
		e.o.ItemSep = ", "
		if e.indented {
			e.o.ItemSep = ","
		}
	}
	if e.o.KeySep == "" && !o.Separators {
		e.o.KeySep = ": "
	}
	if err := e.value(v); err != nil {
		return dst, err
	}
	return e.dst, nil
}

type jsonEncoder struct {
	o        JSONOptions
	dst      []byte
	indented bool
	inside   []Value

	begin   int // of this value's text in dst
	root    Value
	checked bool // that root is not Endless
}

func (e *jsonEncoder) value(v Value) error {
	switch v := v.(type) {
	case Str:
		e.text(v.S)
	case Markup:
		e.text(string(v))
	case None:
		e.dst = append(e.dst, "null"...)
	case Bool:
		e.dst = strconv.AppendBool(e.dst, bool(v))
	case Int:
		e.dst = strconv.AppendInt(e.dst, int64(v), 10)
	case *BigInt:
		e.dst = v.V.Append(e.dst, 10)
	case Float:
		e.dst = append(e.dst, jsonFloat(float64(v))...)
	case *List:
		return e.nested(v, func() error { return e.list(v.Items) })
	case Tuple:
		return e.nested(v, func() error { return e.list(v) })
	case *Dict:
		return e.nested(v, func() error { return e.dict(v) })
	default:
		return e.other(v)
	}
	return nil
}

func (e *jsonEncoder) other(v Value) error {
	if err := usable(v); err != nil {
		return err
	}
	if t, ok := v.(Tupled); ok {
		return e.value(t.Tuple())
	}
	if e.o.Default != nil {
		return e.nested(v, func() error {
			plain, err := e.o.Default(v)
			if err != nil {
				return err
			}
			return e.value(plain)
		})
	}
	if m, ok := v.(Mapping); ok {
		return e.nested(m, func() error { return e.dict(m) })
	}
	return typeErr("Object of type %s is not JSON serializable", v.Type())
}

func jsonFloat(f float64) string {
	switch {
	case math.IsNaN(f):
		return "NaN"
	case math.IsInf(f, 1):
		return "Infinity"
	case math.IsInf(f, -1):
		return "-Infinity"
	}
	return reprFloat(f)
}

func (e *jsonEncoder) nested(v Value, body func() error) error {
	if slices.ContainsFunc(e.inside, func(outer Value) bool { return sameObject(outer, v) }) {
		return valueErr("Circular reference detected")
	}
	switch {
	case len(e.inside) == 0:
		e.root = v
	case !e.checked && len(e.dst)-e.begin > suspicious:
		if e.checked = true; Endless(e.root) {
			return tooLong(v)
		}
	}
	if len(e.dst)-e.begin > maxText {
		return tooLong(v)
	}
	if len(e.inside) > maxDepth {
		return Errorf("RecursionError", "maximum recursion depth exceeded while encoding a JSON object")
	}
	e.inside = append(e.inside, v)
	defer func() { e.inside = e.inside[:len(e.inside)-1] }()
	return body()
}

func sameObject(a, b Value) bool {
	switch a.(type) {
	case *List, *Dict, *Iterator, *DictView, *Range:
		return a == b
	}
	return false
}

func (e *jsonEncoder) newline() {
	if e.indented {
		e.dst = append(e.dst, '\n')
		for range e.inside {
			if len(e.dst)-e.begin > maxText {
				return // nested reports it
			}
			e.dst = append(e.dst, e.o.Indent...)
		}
	}
}

func (e *jsonEncoder) list(items []Value) error {
	if len(items) == 0 {
		e.dst = append(e.dst, "[]"...)
		return nil
	}
	e.dst = append(e.dst, '[')
	for i, item := range items {
		if i > 0 {
			e.dst = append(e.dst, e.o.ItemSep...)
		}
		e.newline()
		if err := e.value(item); err != nil {
			return err
		}
	}
	e.closeLine()
	e.dst = append(e.dst, ']')
	return nil
}

// closeLine is the newline before a closing bracket, one level further out.
func (e *jsonEncoder) closeLine() {
	inside := e.inside
	e.inside = inside[:max(len(inside)-1, 0)]
	e.newline()
	e.inside = inside
}

func (e *jsonEncoder) dict(d dictLike) error {
	keys := d.Keys()
	if e.o.SortKeys {
		var failed error
		slices.SortStableFunc(keys, func(a, b Value) int {
			order, err := Compare(a, b)
			if err != nil && failed == nil {
				failed = err
			}
			return order
		})
		if failed != nil {
			return failed
		}
	}
	e.dst = append(e.dst, '{')
	n := 0
	for _, k := range keys {
		name, ok := jsonKey(k)
		if !ok {
			if e.o.SkipKeys {
				continue
			}
			return typeErr("keys must be str, int, float, bool or None, not %s", k.Type())
		}
		v, ok, err := d.Get(k)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		if n > 0 {
			e.dst = append(e.dst, e.o.ItemSep...)
		}
		n++
		e.newline()
		e.text(name)
		e.dst = append(e.dst, e.o.KeySep...)
		if err := e.value(v); err != nil {
			return err
		}
	}
	if n > 0 {
		e.closeLine()
	}
	e.dst = append(e.dst, '}')
	return nil
}

func jsonKey(k Value) (string, bool) {
	switch k := k.(type) {
	case Str, Markup, Int, *BigInt:
		return String(k), true
	case Float:
		return jsonFloat(float64(k)), true
	case Bool:
		return strconv.FormatBool(bool(k)), true
	case None:
		return "null", true
	}
	return "", false
}

func (e *jsonEncoder) text(s string) {
	e.dst = append(e.dst, '"')
	for i := 0; i < len(s); {
		r, w := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == '"' || r == '\\':
			e.dst = append(e.dst, '\\', byte(r))
		case r == '\n':
			e.dst = append(e.dst, `\n`...)
		case r == '\r':
			e.dst = append(e.dst, `\r`...)
		case r == '\t':
			e.dst = append(e.dst, `\t`...)
		case r == '\b':
			e.dst = append(e.dst, `\b`...)
		case r == '\f':
			e.dst = append(e.dst, `\f`...)
		case r < ' ':
			e.dst = fmt.Appendf(e.dst, `\u%04x`, r)
		case r < 0x7f || e.o.Unicode:
			e.dst = append(e.dst, s[i:i+w]...)
		case r == utf8.RuneError && w == 1:
			e.dst = fmt.Appendf(e.dst, `\udc%02x`, s[i])
		case r >= 0x10000:
			e.dst = fmt.Appendf(e.dst, `\u%04x\u%04x`, 0xd800+(r-0x10000)>>10, 0xdc00+(r-0x10000)&0x3ff)
		default:
			e.dst = fmt.Appendf(e.dst, `\u%04x`, r)
		}
		i += w
	}
	e.dst = append(e.dst, '"')
}
