package template

import (
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"orch/playbook/jinja"
	"orch/playbook/jinja/value"
)

// A lookupFunc is the function lookup, query or q of a template.
type lookupFunc struct {
	engine *Engine
	name   string
	list   bool
}

// Type implements value.Value.
func (*lookupFunc) Type() string { return "function" }

// Attr implements value.Object: a function has no attributes.
func (*lookupFunc) Attr(string) (value.Value, bool, error) { return nil, false, nil }

// Call implements jinja.Func: lookup(name, *terms, wantlist, allow_unsafe, errors, **options).
func (f *lookupFunc) Call(c *jinja.Call, args jinja.Args) (value.Value, error) {
	if len(args.Pos) == 0 {
		return nil, value.Errorf("TypeError", "%s() missing 1 required positional argument: 'name'", f.name)
	}
	scope, ok := c.Vars.(Scope)
	if !ok {
		return nil, fmt.Errorf("lookups cannot be used here")
	}
	call, err := f.prepare(args)
	if err != nil || call.unknown != nil {
		return call.unknown, err
	}
	call.Ctx, call.scope = c.Ctx, scope
	items, err := call.run()
	if err != nil {
		return f.failed(call, err)
	}
	return call.result(items), nil
}

// A request is a call of lookup() with the arguments every lookup has.
type request struct {
	LookupCall
	named   []jinja.NamedArg
	list    bool
	unsafe  bool
	errors  string
	unknown value.Value
}

func (f *lookupFunc) prepare(args jinja.Args) (*request, error) {
	name, ok := args.Pos[0].(value.Str)
	if u, unknown := args.Pos[0].(value.Unknown); unknown {
		return &request{unknown: u}, nil
	}
	if !ok {
		return &request{}, fmt.Errorf("the name of a lookup must be a string, not %s", value.Repr(args.Pos[0]))
	}
	r := &request{list: f.list, errors: "strict"}
	for _, v := range args.Pos[1:] {
		if value.Endless(v) {
			return r, endlessTerm(v)
		}
		if u, ok := value.HasUnknown(v); ok {
			r.unknown = u
			return r, nil
		}
		if u, ok := value.HasUndefined(v); ok {
			return r, &value.UndefinedError{U: u}
		}
	}
	for _, n := range args.Named {
		if value.Endless(n.Val) {
			return r, endlessTerm(n.Val)
		}
		if u, ok := value.HasUnknown(n.Val); ok {
			r.unknown = u
			return r, nil
		}
		switch n.Name {
		case "wantlist":
			r.list = f.list || value.Truth(n.Val)
		case "allow_unsafe":
			r.unsafe = value.Truth(n.Val)
		case "errors":
			r.errors = value.String(n.Val)
			if r.errors != "strict" && r.errors != "warn" && r.errors != "ignore" {
				return r, optionErrorf("errors=%q is not one of strict, warn, ignore", r.errors)
			}
		default:
			r.named = append(r.named, n)
		}
	}
	def, err := f.engine.findLookup(name.S)
	if err != nil {
		return r, err
	}
	r.LookupCall = LookupCall{Name: name.S, Subdir: "files", engine: f.engine, def: def, Terms: slices.Clone(args.Pos[1:])}
	return r, nil
}

func endlessTerm(v value.Value) error {
	return value.Errorf("RecursionError", "the %s given to the lookup contains itself, or is too large", v.Type())
}

func (r *request) run() ([]value.Value, error) {
	for i, term := range r.Terms {
		v, err := r.engine.Value(r.Ctx, literalTerm(r.Ctx, term), r.scope)
		if err != nil {
			return nil, err
		}
		r.Terms[i] = v
	}
	if err := r.bind(r.named); err != nil {
		return nil, err
	}
	return r.def.Run(&r.LookupCall)
}

// failed passes over an error as errors= says.
func (f *lookupFunc) failed(r *request, err error) (value.Value, error) {
	var option *OptionError
	if r.errors == "strict" || errors.As(err, &option) || IsUndefined(err) != nil || r.Ctx.Err() != nil {
		return nil, err
	}
	if r.errors == "warn" {
		r.scope.Site().warn(fmt.Sprintf("Lookup failed but the error is being ignored: %s", err))
	}
	if r.list {
		return value.NewList(), nil
	}
	return value.None{}, nil
}

// result makes the value of the call: a list, or without wantlist the strings joined by
// commas, the one value, or the list when there are several that are no strings. An empty
// result is an empty list, and allow_unsafe leaves the list as it is
// (ansible-core 2.18: Templar._lookup; 2.19 has no allow_unsafe).
func (r *request) result(items []value.Value) value.Value {
	if r.list || r.unsafe && r.engine.opt.Mode != Strict || len(items) == 0 {
		return value.NewList(items...)
	}
	texts := make([]string, len(items))
	for i, item := range items {
		s, ok := item.(value.Str)
		if !ok {
			if len(items) == 1 {
				return items[0]
			}
			return value.NewList(items...)
		}
		texts[i] = s.S
	}
	first := items[0].(value.Str)
	if len(items) == 1 {
		return first
	}
	return value.Str{S: strings.Join(texts, ","), Text: first.Text}
}

// coerce converts an argument to an option's kind with Ansible's coercions.
func coerce(kind string, v value.Value) (value.Value, error) {
	if v == (value.None{}) {
		return v, nil
	}
	switch kind {
	case "":
		return v, nil
	case "str":
		switch v.(type) {
		case *value.List, *value.Dict:
			return nil, fmt.Errorf("%s is no string", value.Repr(v))
		}
		if s, ok := v.(value.Str); ok {
			return s, nil
		}
		return value.S(value.String(v)), nil
	case "bool":
		return coerceBool(v)
	case "int":
		return coerceInt(v)
	case "number":
		return coerceNumber(v)
	case "float":
		switch x := v.(type) {
		case value.Float:
			return x, nil
		case value.Int:
			return value.Float(x), nil
		}
		f, err := strconv.ParseFloat(strings.TrimSpace(value.String(v)), 64)
		if err != nil {
			return nil, fmt.Errorf("%s is no number", value.Repr(v))
		}
		return value.Float(f), nil
	case "list":
		return coerceList(v)
	case "dict":
		if d, ok := v.(*value.Dict); ok {
			return d, nil
		}
		if m, ok := v.(value.Mapping); ok {
			return plain(m)
		}
		return nil, fmt.Errorf("%s is no dictionary", value.Repr(v))
	}
	return nil, fmt.Errorf("unknown kind of option %q", kind)
}

func coerceBool(v value.Value) (value.Value, error) {
	if b, ok := v.(value.Bool); ok {
		return b, nil
	}
	switch strings.ToLower(strings.TrimSpace(value.String(v))) {
	case "y", "yes", "on", "1", "true", "t", "1.0":
		return value.Bool(true), nil
	case "n", "no", "off", "0", "false", "f", "0.0":
		return value.Bool(false), nil
	}
	return nil, fmt.Errorf("%s is no boolean: use true or false", value.Repr(v))
}

// coerceNumber reads an integer in decimal, hexadecimal (0x3f8) or octal (0600).
func coerceNumber(v value.Value) (value.Value, error) {
	s, ok := v.(value.Str)
	if !ok {
		return coerceInt(v)
	}
	n, err := strconv.ParseInt(strings.TrimSpace(s.S), 0, 64)
	if err != nil {
		return nil, fmt.Errorf("%s is no integer", value.Repr(v))
	}
	return value.Int(n), nil
}

func coerceInt(v value.Value) (value.Value, error) {
	switch x := v.(type) {
	case value.Int:
		return x, nil
	case value.Bool:
		if x {
			return value.Int(1), nil
		}
		return value.Int(0), nil
	case value.Float:
		if n, acc := big.NewFloat(float64(x)).Int64(); acc == big.Exact {
			return value.Int(n), nil
		}
	case value.Str:
		if n, err := strconv.ParseInt(strings.TrimSpace(x.S), 10, 64); err == nil {
			return value.Int(n), nil
		}
	}
	return nil, fmt.Errorf("%s is no integer", value.Repr(v))
}

func coerceList(v value.Value) (value.Value, error) {
	switch x := v.(type) {
	case *value.List:
		return x, nil
	case value.Tuple:
		return value.NewList(x...), nil
	case value.Str:
		parts := strings.Split(x.S, ",")
		items := make([]value.Value, len(parts))
		for i, part := range parts {
			items[i] = value.S(strings.TrimSpace(part))
		}
		return value.NewList(items...), nil
	}
	return value.NewList(v), nil
}
