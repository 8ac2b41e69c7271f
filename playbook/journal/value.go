package journal

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"unicode/utf8"

	"orch/playbook/jinja/value"
)

// Values are JSON where JSON has a form for them. Others are objects whose one member
// "$" is a list: the kind, and what it takes to make the value anew.
const mark = "$"

// A formError is a value that cannot be written down.
type formError struct{ kind string }

// Error implements error.
func (e *formError) Error() string {
	return "a value of type " + e.kind + " has no form in the journal"
}

func encodeValue(v value.Value) (json.RawMessage, error) {
	plain, err := wrap(v, 0)
	if err != nil {
		return nil, err
	}
	return value.AppendJSON(nil, plain, value.JSONOptions{ItemSep: ",", KeySep: ":"})
}

// maxDepth is how deep values may be nested: deeper ones are the work of somebody who
// wants to see what happens.
const maxDepth = 500

// wrap replaces what JSON has no form for. A value without any is returned as it is.
func wrap(v value.Value, depth int) (value.Value, error) {
	if depth > maxDepth {
		return nil, &formError{"deeply nested " + v.Type()}
	}
	switch v := v.(type) {
	case value.None, value.Bool, value.Int, *value.BigInt:
		return v, nil
	case value.Float:
		if f := float64(v); math.IsNaN(f) || math.IsInf(f, 0) {
			return tagged("float", value.S(strconv.FormatFloat(f, 'g', -1, 64))), nil
		}
		return v, nil
	case value.Str:
		return wrapStr(v), nil
	case value.Markup:
		return tagged("markup", wrapStr(value.S(string(v)))), nil
	case value.Bytes:
		return tagged("bytes", value.S(base64.StdEncoding.EncodeToString([]byte(v)))), nil
	case value.Unknown:
		return tagged("unknown", value.S(v.Of)), nil
	case *value.Undefined:
		return tagged("undefined", value.S(v.Name), value.S(v.Hint)), nil
	case value.Sealed:
		return tagged("vault", value.S(v.Text)), nil
	case value.Tuple:
		items, _, err := wrapAll(v, depth)
		return tagged("tuple", items...), err
	case *value.List:
		items, changed, err := wrapAll(v.Items, depth)
		if err != nil || !changed {
			return v, err
		}
		return value.NewList(items...), nil
	case *value.Dict:
		return wrapDict(v, depth)
	case value.Mapping:
		d := value.NewDict(v.Len())
		for _, k := range v.Keys() {
			item, ok, err := v.Get(k)
			if err != nil || !ok {
				return nil, &formError{v.Type()}
			}
			if err := d.Set(k, item); err != nil {
				return nil, &formError{v.Type()}
			}
		}
		return wrapDict(d, depth)
	}
	return nil, &formError{v.Type()}
}

func tagged(kind string, args ...value.Value) value.Value {
	return value.D(mark, value.NewList(append([]value.Value{value.S(kind)}, args...)...))
}

// wrapStr keeps what makes a string more than its text: an author's place, and bytes that
// are no UTF-8.
func wrapStr(s value.Str) value.Value {
	switch {
	case s.From != nil:
		return tagged("author", value.S(s.S), value.Bool(s.Text), value.S(s.From.File), value.Int(s.From.Line), value.Int(s.From.Col))
	case s.Text:
		return tagged("text", value.S(s.S))
	case !utf8.ValidString(s.S):
		return tagged("raw", value.S(base64.StdEncoding.EncodeToString([]byte(s.S))))
	}
	return s
}

func wrapAll(items []value.Value, depth int) ([]value.Value, bool, error) {
	out := make([]value.Value, len(items))
	changed := false
	for i, item := range items {
		got, err := wrap(item, depth+1)
		if err != nil {
			return nil, false, err
		}
		out[i] = got
		changed = changed || !same(got, item)
	}
	return out, changed, nil
}

// same says whether wrap left a value alone: containers come back as they were, and only
// strings and floats can change and not be containers.
func same(a, b value.Value) bool {
	switch a := a.(type) {
	case *value.Dict:
		d, ok := b.(*value.Dict)
		return ok && a == d
	case *value.List:
		l, ok := b.(*value.List)
		return ok && a == l
	}
	return true
}

func wrapDict(d *value.Dict, depth int) (value.Value, error) {
	plainKeys, changed := true, false
	out := value.NewDict(d.Len())
	for k, item := range d.All() {
		name, ok := k.(value.Str)
		plainKeys = plainKeys && ok && name.S != mark && !name.Text && utf8.ValidString(name.S)
		got, err := wrap(item, depth+1)
		if err != nil {
			return nil, err
		}
		changed = changed || !same(got, item)
		_ = out.Set(k, got) // a key of a dict
	}
	if plainKeys {
		if !changed {
			return d, nil
		}
		return out, nil
	}
	pairs := make([]value.Value, 0, d.Len())
	for k, item := range out.All() {
		key, err := wrap(k, depth+1)
		if err != nil {
			return nil, err
		}
		pairs = append(pairs, value.NewList(key, item))
	}
	return tagged("dict", pairs...), nil
}

func decodeValue(text []byte) (value.Value, error) {
	v, err := value.FromJSON(text)
	if err != nil {
		return nil, fmt.Errorf("decode value: %w", err)
	}
	return unwrap(v)
}

func unwrap(v value.Value) (value.Value, error) {
	switch v := v.(type) {
	case *value.List:
		items, err := unwrapAll(v.Items)
		return value.NewList(items...), err
	case *value.Dict:
		if tag, ok := v.GetStr(mark); ok && v.Len() == 1 {
			return untag(tag)
		}
		out := value.NewDict(v.Len())
		for k, item := range v.All() {
			got, err := unwrap(item)
			if err != nil {
				return nil, err
			}
			_ = out.Set(k, got) // a key of a dict
		}
		return out, nil
	}
	return v, nil
}

func unwrapAll(items []value.Value) ([]value.Value, error) {
	out := make([]value.Value, len(items))
	for i, item := range items {
		var err error
		if out[i], err = unwrap(item); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// untag makes a value from its tag.
func untag(tag value.Value) (value.Value, error) {
	list, ok := tag.(*value.List)
	if !ok || len(list.Items) == 0 {
		return nil, fmt.Errorf("decode value: %q is no list", mark)
	}
	kind, args := value.String(list.Items[0]), list.Items[1:]
	text := func(i int) string {
		if i < len(args) {
			if s, ok := args[i].(value.Str); ok {
				return s.S
			}
		}
		return ""
	}
	number := func(i int) int {
		if i < len(args) {
			if n, ok := args[i].(value.Int); ok {
				return int(n)
			}
		}
		return 0
	}
	switch kind {
	case "float":
		f, err := strconv.ParseFloat(text(0), 64)
		return value.Float(f), err
	case "text":
		return value.Str{S: text(0), Text: true}, nil
	case "author":
		flag := len(args) > 1 && args[1] == value.Value(value.Bool(true))
		return value.Str{S: text(0), Text: flag, From: &value.Origin{File: text(2), Line: number(3), Col: number(4)}}, nil
	case "raw":
		b, err := base64.StdEncoding.DecodeString(text(0))
		return value.S(string(b)), err
	case "markup":
		items, err := unwrapAll(args)
		if err != nil || len(items) == 0 {
			return value.Markup(""), err
		}
		return value.Markup(value.String(items[0])), nil
	case "bytes":
		b, err := base64.StdEncoding.DecodeString(text(0))
		return value.Bytes(b), err
	case "unknown":
		return value.Unknown{Of: text(0)}, nil
	case "undefined":
		return &value.Undefined{Name: text(0), Hint: text(1)}, nil
	case "vault":
		return value.Sealed{Text: text(0)}, nil
	case "tuple":
		items, err := unwrapAll(args)
		return value.Tuple(items), err
	case "dict":
		return untagDict(args)
	}
	return nil, fmt.Errorf("decode value: unknown kind %q", kind)
}

func untagDict(pairs []value.Value) (value.Value, error) {
	out := value.NewDict(len(pairs))
	for _, p := range pairs {
		pair, ok := p.(*value.List)
		if !ok || len(pair.Items) != 2 {
			return nil, fmt.Errorf("decode value: a dict wants pairs")
		}
		items, err := unwrapAll(pair.Items)
		if err != nil {
			return nil, err
		}
		if err := out.Set(items[0], items[1]); err != nil {
			return nil, fmt.Errorf("decode value: %w", err)
		}
	}
	return out, nil
}
