package template

import (
	"math"
	"slices"
	"strings"

	"orch/playbook/jinja/value"
)

// Mode is how the result of a template is typed.
type Mode int

// The modes.
const (
	// Classic is ansible-core 2.18's default: what is printed is text, and text that
	// looks like a list, a dict or a boolean becomes one.
	Classic Mode = iota
	// Native is jinja2_native: a lone {{ }} keeps its type, other text is read as a Python
	// literal if it is one.
	Native
	// Strict is ansible-core 2.19: a lone {{ }} keeps its type, other text stays text, and
	// a condition must be a boolean.
	Strict
)

// finalize is applied to every printed value: what is undefined inside is an error, what
// is iterated once becomes a list, and None prints as nothing except in native mode.
func (m Mode) finalize(v value.Value) (value.Value, error) {
	switch v := v.(type) {
	case value.Str, value.Bool, value.Int, value.Float:
		return v, nil
	case value.None:
		if m == Classic {
			return value.S(""), nil
		}
		return v, nil
	case *value.Undefined:
		return nil, &value.UndefinedError{U: v}
	case *value.Range:
		if m == Strict {
			return v, nil // printed as Python does, or an error
		}
		return unroll(v)
	case *value.Iterator, *value.DictView:
		return unroll(v)
	}
	if value.Endless(v) {
		return nil, value.Errorf("RecursionError", "the %s contains itself, or is too large", v.Type())
	}
	if u, ok := value.HasUndefined(v); ok {
		return nil, &value.UndefinedError{U: u}
	}
	return v, nil
}

// unroll makes a list of what is iterated.
func unroll(v value.Value) (value.Value, error) {
	items, err := value.Items(v)
	if err != nil {
		return nil, err
	}
	out := value.NewList(items...)
	if value.Endless(out) {
		return nil, value.Errorf("RecursionError", "a value contains itself, or is too large")
	}
	if u, ok := value.HasUndefined(out); ok {
		return nil, &value.UndefinedError{U: u}
	}
	return out, nil
}

// concat makes the value of what was printed. Between two texts only text can stand.
func (m Mode) concat(nodes []value.Value) (value.Value, error) {
	switch {
	case m == Strict:
		return strictConcat(nodes)
	case len(nodes) == 0 && m == Classic:
		return value.S(""), nil
	case len(nodes) == 0:
		return value.None{}, nil
	case len(nodes) == 1:
		return m.single(nodes[0])
	}
	text, err := join(nodes)
	if err != nil {
		return nil, err
	}
	if u, ok := text.(value.Unknown); ok {
		return u, nil
	}
	return m.literal(text.(value.Str)), nil
}

// single types the only value printed. A string that was handed on by reference keeps
// its author's mark.
func (m Mode) single(v value.Value) (value.Value, error) {
	if m == Strict {
		return strictSingle(v)
	}
	switch x := v.(type) {
	case value.Unknown, omit:
		return v, nil
	case value.Str:
		x.Vaulted = false
		if x.Text {
			return x, nil
		}
		return m.literal(x), nil
	case value.Sealed:
		return value.S(x.Text), nil
	}
	if m != Classic {
		return plain(v)
	}
	switch x := v.(type) {
	case value.Bool:
		return x, nil
	case *value.List, *value.Dict, value.Mapping:
		if !isLiteral(v) {
			return value.S(value.String(v)), nil
		}
		p, err := plain(v)
		return unmark(p), err
	}
	if u, ok := value.HasUnknown(v); ok {
		return u, nil
	}
	return m.literal(value.S(value.String(v))), nil
}

// literal reads text as a value where the mode does: in Classic only what starts as a
// list or dict does, or is a boolean's name (ansible-core 2.18: ansible_eval_concat).
func (m Mode) literal(s value.Str) value.Value {
	if m == Classic {
		if s.S == "True" || s.S == "False" {
			return value.Bool(s.S == "True")
		}
		if !strings.HasPrefix(s.S, "{") && !strings.HasPrefix(s.S, "[") {
			return s
		}
		if v, ok := evalLiteral(s.S, true); ok {
			return v
		}
		return s
	}
	if !mayBeLiteral(s.S) {
		return s
	}
	v, ok := evalLiteral(s.S, false)
	if !ok {
		return s
	}
	if text, isText := v.(value.Str); isText {
		// ansible-core 2.18: a quoted text keeps its quotes.
		return value.S(s.S[:1] + text.S + s.S[:1])
	}
	return v
}

// mayBeLiteral spares texts that cannot be Python literals the parser.
func mayBeLiteral(s string) bool {
	s = strings.TrimLeft(s, "\r\n")
	if s == "" {
		return false
	}
	switch c := s[0]; {
	case c >= '0' && c <= '9', strings.IndexByte(`{[("'-+.TFNbBuUrR#\`, c) >= 0:
		return true
	}
	return false
}

// join is what several nodes print.
func join(nodes []value.Value) (value.Value, error) {
	var b strings.Builder
	for _, n := range nodes {
		switch n := n.(type) {
		case value.Str:
			b.WriteString(n.S)
		case value.Unknown:
			return n, nil
		case value.Bytes:
			b.WriteString(string(n))
		case value.None:
			b.WriteString("None")
		default:
			if u, ok := value.HasUnknown(n); ok {
				return u, nil
			}
			b.WriteString(value.String(n))
		}
	}
	return value.S(b.String()), nil
}

// concatText is ansible_concat: text, whatever it looks like.
func concatText(nodes []value.Value) (value.Value, error) {
	if len(nodes) == 1 {
		if s, ok := nodes[0].(value.Str); ok {
			return s, nil
		}
	}
	return join(nodes)
}

// plain replaces what is computed on demand (hostvars, ansible_facts) by what it holds:
// a value that leaves an evaluation must not depend on it.
func plain(v value.Value) (value.Value, error) {
	if !onDemand(v) {
		return v, nil
	}
	switch x := v.(type) {
	case value.Mapping:
		out := value.NewDict(x.Len())
		for _, k := range x.Keys() {
			item, ok, err := x.Get(k)
			if err != nil {
				return nil, err
			}
			if ok {
				if err := setPlain(out, k, item); err != nil {
					return nil, err
				}
			}
		}
		return out, nil
	case *value.Dict:
		out := value.NewDict(x.Len())
		for k, item := range x.All() {
			if err := setPlain(out, k, item); err != nil {
				return nil, err
			}
		}
		return out, nil
	case value.Tuple:
		items, err := plainItems(x)
		return value.Tuple(items), err
	case value.Tupled:
		return plain(x.Tuple())
	}
	items, err := value.Items(v)
	if err != nil {
		return nil, err
	}
	items, err = plainItems(items)
	return value.NewList(items...), err
}

// unmark takes the mark off texts inside of v: printed and read again, as
// ansible-core 2.18 does with a list or dict, they are like any other.
func unmark(v value.Value) value.Value {
	if !holdsText(v) {
		return v
	}
	switch v := v.(type) {
	case value.Str:
		v.Text = false
		return v
	case *value.List:
		items := make([]value.Value, len(v.Items))
		for i, item := range v.Items {
			items[i] = unmark(item)
		}
		return value.NewList(items...)
	case *value.Dict:
		out := value.NewDict(v.Len())
		for k, item := range v.All() {
			_ = out.Set(k, unmark(item)) // a key of a dict is hashable
		}
		return out
	}
	return v
}

func holdsText(v value.Value) bool {
	switch v := v.(type) {
	case value.Str:
		return v.Text
	case *value.List:
		return slices.ContainsFunc(v.Items, holdsText)
	case *value.Dict:
		for _, item := range v.All() {
			if holdsText(item) {
				return true
			}
		}
	}
	return false
}

// Lists makes lists of tuples: ansible-core 2.18 does where it templates a variable or a
// fact, 2.19 everywhere.
func Lists(v value.Value) value.Value {
	switch v := v.(type) {
	case value.Tuple:
		return Lists(value.NewList(v...))
	case *value.List:
		if !slices.ContainsFunc(v.Items, holdsTuple) {
			return v
		}
		items := make([]value.Value, len(v.Items))
		for i, item := range v.Items {
			items[i] = Lists(item)
		}
		return value.NewList(items...)
	case *value.Dict:
		if !holdsTuple(v) {
			return v
		}
		out := value.NewDict(v.Len())
		for k, item := range v.All() {
			_ = out.Set(k, Lists(item)) // a key of a dict is hashable
		}
		return out
	}
	return v
}

func holdsTuple(v value.Value) bool {
	switch v := v.(type) {
	case value.Tuple:
		return true
	case *value.List:
		return slices.ContainsFunc(v.Items, holdsTuple)
	case *value.Dict:
		for _, item := range v.All() {
			if holdsTuple(item) {
				return true
			}
		}
	}
	return false
}

func setPlain(d *value.Dict, k, item value.Value) error {
	p, err := plain(item)
	if err != nil {
		return err
	}
	return d.Set(k, p)
}

func plainItems(items []value.Value) ([]value.Value, error) {
	out := make([]value.Value, len(items))
	for i, item := range items {
		p, err := plain(item)
		if err != nil {
			return nil, err
		}
		out[i] = p
	}
	return out, nil
}

func onDemand(v value.Value) bool {
	switch v := v.(type) {
	case value.Mapping, *value.Iterator, *value.DictView, *value.Range, value.Tupled:
		return true
	case *value.List:
		for _, item := range v.Items {
			if onDemand(item) {
				return true
			}
		}
	case value.Tuple:
		for _, item := range v {
			if onDemand(item) {
				return true
			}
		}
	case *value.Dict:
		for _, item := range v.All() {
			if onDemand(item) {
				return true
			}
		}
	}
	return false
}

// isLiteral says whether v survives being printed and read again as a Python literal.
func isLiteral(v value.Value) bool {
	switch v := v.(type) {
	case value.None, value.Bool, value.Int, *value.BigInt, value.Str, value.Markup, value.Bytes,
		value.Sealed, value.Unknown, omit:
		return true
	case value.Float:
		return !math.IsNaN(float64(v)) && !math.IsInf(float64(v), 0)
	case *value.List:
		for _, item := range v.Items {
			if !isLiteral(item) {
				return false
			}
		}
		return true
	case value.Tuple:
		for _, item := range v {
			if !isLiteral(item) {
				return false
			}
		}
		return true
	case *value.Dict:
		for k, item := range v.All() {
			if !isLiteral(k) || !isLiteral(item) {
				return false
			}
		}
		return true
	case value.Mapping: // variables: they hold what can be printed
		return true
	case value.Tupled:
		return isLiteral(v.Tuple())
	}
	return false
}
