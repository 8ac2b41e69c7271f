package filter

import (
	"fmt"
	"math"
	"strings"

	"orch/playbook/jinja/value"
)

func typeErr(format string, args ...any) error { return value.Errorf("TypeError", format, args...) }

func valueErr(format string, args ...any) error { return value.Errorf("ValueError", format, args...) }

// has says whether argument i was given and is not None.
func (c *call) has(i int) bool {
	if c.args[i] == nil {
		return false
	}
	_, none := c.args[i].(value.None)
	return !none
}

// truth is the argument's truth.
func (c *call) truth(i int) bool { return c.args[i] != nil && value.Truth(c.args[i]) }

// str returns a str argument.
func (c *call) str(i int) (string, error) {
	s, ok := asStr(c.args[i])
	if !ok {
		return "", typeErr("%s: argument %d must be a string, not '%s'", c.Name, i+1, c.args[i].Type())
	}
	return s, nil
}

// integer returns an int argument; the int must fit 64 bits.
func (c *call) integer(i int) (int, error) {
	n, ok := asInt(c.args[i])
	if !ok {
		return 0, typeErr("%s: argument %d must be an integer, not '%s'", c.Name, i+1, c.args[i].Type())
	}
	return n, nil
}

// input returns the piped value, which must be a str.
func (c *call) input() (string, error) {
	s, ok := asStr(c.in)
	if !ok {
		return "", typeErr("%s: expected a string, not '%s'", c.Name, c.in.Type())
	}
	return s, nil
}

// inputText is str() of the piped value: what filters of text make of other types.
func (c *call) inputText() (string, error) { return text(c.in) }

// text is Ansible's to_text: str() of anything, bytes decoded.
func text(v value.Value) (string, error) {
	if b, ok := v.(value.Bytes); ok {
		return string(b), nil
	}
	return value.Text(v)
}

func asStr(v value.Value) (string, bool) {
	switch v := v.(type) {
	case value.Str:
		return v.S, true
	case value.Markup:
		return string(v), true
	}
	return "", false
}

// asInt returns an int or bool.
func asInt(v value.Value) (int, bool) {
	switch v := v.(type) {
	case value.Int:
		return int(v), true
	case value.Bool:
		if v {
			return 1, true
		}
		return 0, true
	}
	return 0, false
}

// asFloat returns any real number as a float.
func asFloat(v value.Value) (float64, bool) {
	switch v.(type) {
	case value.Int, value.Bool, *value.BigInt, value.Float:
		f, err := value.ToFloat(v)
		return float64(f), err == nil
	}
	return 0, false
}

// asDict returns a dict; a read-only mapping (hostvars) becomes one.
func asDict(v value.Value) (*value.Dict, bool, error) {
	switch v := v.(type) {
	case *value.Dict:
		return v, true, nil
	case value.Mapping:
		d := value.NewDict(v.Len())
		for _, k := range v.Keys() {
			item, ok, err := v.Get(k)
			if err != nil {
				return nil, true, err
			}
			if !ok {
				continue
			}
			if err := d.Set(k, item); err != nil {
				return nil, true, err
			}
		}
		return d, true, nil
	}
	return nil, false, nil
}

// isSequence is Ansible's is_sequence: a list, tuple or range, no string.
func isSequence(v value.Value) bool {
	switch v.(type) {
	case *value.List, value.Tuple, *value.Range:
		return true
	}
	return false
}

// newList makes a list that owns items.
func newList(items []value.Value) *value.List { return &value.List{Items: items} }

func strs(list []string) *value.List {
	items := make([]value.Value, len(list))
	for i, s := range list {
		items[i] = value.S(s)
	}
	return newList(items)
}

// str wraps a function of strings.
func str(do func(string) string) func(*call) (value.Value, error) {
	return func(c *call) (value.Value, error) {
		s, err := c.input()
		if err != nil {
			return nil, err
		}
		return value.S(do(s)), nil
	}
}

// options spreads keyword arguments over known names; another name is Python's error.
func (c *call) options(known map[string]*value.Value) error {
	for _, kw := range c.kw {
		p, ok := known[kw.Name]
		if !ok {
			return typeErr("%s() got an unexpected keyword argument '%s'", c.Name, kw.Name)
		}
		v, err := unroll(kw.Val)
		if err != nil {
			return err
		}
		*p = v
	}
	return nil
}

// finite turns a result of math into a value as CPython does.
func finite(x float64, in ...float64) (value.Value, error) {
	for _, v := range in {
		if math.IsInf(v, 0) || math.IsNaN(v) {
			return value.Float(x), nil
		}
	}
	if math.IsNaN(x) {
		return nil, valueErr("math domain error")
	}
	if math.IsInf(x, 0) {
		return nil, value.Errorf("OverflowError", "math range error")
	}
	return value.Float(x), nil
}

// repeat is strings.Repeat within what a template may print.
func (c *call) repeat(s string, n int) (string, error) {
	if limit := c.Limits().Output; n > 0 && len(s) > limit/n {
		return "", value.Errorf("MemoryError", "%s: the result would be longer than %d bytes", c.Name, limit)
	}
	return strings.Repeat(s, max(n, 0)), nil
}

// choices lists allowed values for a message.
func choices(of ...string) string {
	quoted := make([]string, len(of))
	for i, s := range of {
		quoted[i] = "'" + s + "'"
	}
	return strings.Join(quoted, ", ")
}

// badChoice is the error for a value outside its choices.
func badChoice(what, got string, of ...string) error {
	return fmt.Errorf("%s '%s' is not one of %s", what, got, choices(of...))
}

// typeName is what Ansible's messages call the type of v.
func typeName(v value.Value) string { return "<class '" + v.Type() + "'>" }
