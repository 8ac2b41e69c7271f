package value

import (
	"fmt"
	"slices"
	"strings"
)

// A BoundMethod is a method of a built-in type, taken from a value: `s.upper`. It is a
// value that can be called.
type BoundMethod struct {
	Self Value
	Name string
	m    method
}

// Type implements Value.
func (*BoundMethod) Type() string { return "builtin_function_or_method" }

// A method of a built-in type. Methods named by `one of a, b=, *` take their arguments in
// args: one per parameter, nil for what is missing.
type method struct {
	// params are the names of the parameters; those before required must be given, and
	// none can be given by name unless keywords is set.
	params   []string
	required int
	keywords bool
	// positional, if set, is how many parameters can be given by position.
	positional int
	// variadic methods get all arguments as they come.
	variadic bool
	do       func(self Value, args []Value, named []Named) (Value, error)
}

// takes declares a method of positional parameters, those after "/" optional: "a b / c".
func takes(params string, do func(self Value, args []Value) (Value, error)) method {
	m := method{do: func(self Value, args []Value, _ []Named) (Value, error) { return do(self, args) }}
	for _, p := range strings.Fields(params) {
		if p == "/" {
			m.required = len(m.params)
			continue
		}
		m.params = append(m.params, p)
	}
	if !slices.Contains(strings.Fields(params), "/") {
		m.required = len(m.params)
	}
	return m
}

// byName lets the parameters be given by name too.
func (m method) byName() method {
	m.keywords = true
	return m
}

// atMost makes the parameters after the first n keyword-only.
func (m method) atMost(n int) method {
	m.positional = n
	return m
}

// Method returns the method name of v, bound to it: str, list, dict, tuple, int, float,
// bytes, range and the read-only dict methods of a Mapping.
func Method(v Value, name string) (*BoundMethod, bool) {
	var m method
	var ok bool
	switch v.(type) {
	case Str, Markup:
		if m, ok = strMethods[name]; !ok {
			m, ok = formatMethod(name)
		}
	case *List:
		m, ok = listMethods[name]
	case *Dict:
		m, ok = dictMethods[name]
	case Mapping:
		if m, ok = dictMethods[name]; ok && !slices.Contains(readOnlyDictMethods, name) {
			ok = false
		}
	case Tuple, *Range:
		m, ok = tupleMethods[name]
	case Int, Bool, *BigInt:
		m, ok = intMethods[name]
	case Float:
		m, ok = floatMethods[name]
	case Bytes:
		m, ok = bytesMethods[name]
	}
	if !ok {
		return nil, false
	}
	return &BoundMethod{Self: v, Name: name, m: m}, true
}

// Call calls the method with Python's rules for arguments. Unknown arguments make the
// result Unknown, undefined ones are an error, except for methods that store them.
func (b *BoundMethod) Call(pos []Value, named []Named) (Value, error) {
	if !storing[b.Name] {
		for _, v := range pos {
			if IsUnknown(v) {
				return v, nil
			}
		}
		for _, n := range named {
			if IsUnknown(n.Val) {
				return n.Val, nil
			}
		}
	}
	args, err := b.m.bind(b, pos, named)
	if err != nil {
		return nil, err
	}
	if m, ok := b.Self.(Markup); ok {
		return b.callMarkup(m, args, named)
	}
	return absorb(b.m.do(b.Self, args, named))
}

// callMarkup escapes text arguments of methods that put them into the result, and marks
// the result.
func (b *BoundMethod) callMarkup(self Markup, args []Value, named []Named) (Value, error) {
	switch b.Name {
	case "center", "ljust", "replace", "rjust":
		args = slices.Clone(args)
		for i, a := range args {
			if _, ok := text(a); ok && len([]rune(String(a))) != 1 {
				args[i] = Escape(a)
			}
		}
	case "encode":
		return b.m.do(self, args, named)
	}
	v, err := absorb(b.m.do(self, args, named))
	if err != nil {
		return nil, err
	}
	return mapResult(v, func(s string) Value { return Markup(s) }), nil
}

// storing are the methods that only put an argument into a container.
var storing = map[string]bool{
	"append": true, "insert": true, "setdefault": true, "update": true, "get": true, "fromkeys": true,
}

func (b *BoundMethod) label() string { return b.Self.Type() + "." + b.Name }

func (m method) bind(b *BoundMethod, pos []Value, named []Named) ([]Value, error) {
	if m.variadic {
		return pos, nil
	}
	if len(named) > 0 && !m.keywords {
		return nil, typeErr("%s() takes no keyword arguments", b.label())
	}
	if m.positional > 0 && len(pos) > m.positional {
		return nil, typeErr("%s() takes at most %d positional arguments (%d given)", b.Name, m.positional, len(pos))
	}
	if len(pos)+len(named) > len(m.params) || len(pos) < m.required && len(named) == 0 {
		return nil, m.arity(b, len(pos)+len(named))
	}
	args := make([]Value, len(m.params))
	copy(args, pos)
	for _, n := range named {
		i := slices.Index(m.params, n.Name)
		if i < 0 {
			return nil, typeErr("'%s' is an invalid keyword argument for %s()", n.Name, b.Name)
		}
		if args[i] != nil {
			return nil, typeErr("argument for %s() given by name ('%s') and position (%d)", b.Name, n.Name, i+1)
		}
		args[i] = n.Val
	}
	for i := range m.required {
		if args[i] == nil {
			return nil, typeErr("%s() missing required argument '%s' (pos %d)", b.Name, m.params[i], i+1)
		}
	}
	return args, nil
}

func (m method) arity(b *BoundMethod, given int) error {
	count := func(n int) string {
		if n == 1 {
			return "1 argument"
		}
		return fmt.Sprintf("%d arguments", n)
	}
	switch {
	case len(m.params) == 0:
		return typeErr("%s() takes no arguments (%d given)", b.label(), given)
	case m.required == len(m.params) && m.required == 1:
		return typeErr("%s() takes exactly one argument (%d given)", b.label(), given)
	case m.required == len(m.params):
		return typeErr("%s expected %s, got %d", b.Name, count(m.required), given)
	case given < m.required:
		return typeErr("%s expected at least %s, got %d", b.Name, count(m.required), given)
	}
	return typeErr("%s expected at most %s, got %d", b.Name, count(len(m.params)), given)
}
