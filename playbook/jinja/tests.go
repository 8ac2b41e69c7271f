package jinja

import (
	"maps"

	"orch/playbook/jinja/value"
)

// builtinTests are Jinja2's own tests, in a map that the caller may change.
func builtinTests() map[string]*Test { return maps.Clone(testTable) }

var testTable = map[string]*Test{
	"odd":         test(remainder(2, 1)),
	"even":        test(remainder(2, 0)),
	"divisibleby": test(testDivisibleBy, arg("num")),
	"defined":     known(func(v value.Value) bool { return !isUndefined(v) }),
	"undefined":   known(isUndefined),
	"filter":      test(func(c *Call, in value.Value, _ Bound) (bool, error) { return named(in, c.Env.HasFilter) }),
	"test":        test(func(c *Call, in value.Value, _ Bound) (bool, error) { return named(in, c.Env.HasTest) }),
	"none":        ofType(isNone),
	"boolean":     ofType(func(v value.Value) bool { _, ok := v.(value.Bool); return ok }),
	"false":       ofType(func(v value.Value) bool { b, ok := v.(value.Bool); return ok && !bool(b) }),
	"true":        ofType(func(v value.Value) bool { b, ok := v.(value.Bool); return ok && bool(b) }),
	"integer":     ofType(isInteger),
	"float":       ofType(func(v value.Value) bool { _, ok := v.(value.Float); return ok }),
	"lower":       test(textTest(value.IsLower)),
	"upper":       test(textTest(value.IsUpper)),
	"string":      ofType(func(v value.Value) bool { _, ok := stringOf(v); return ok }),
	"mapping":     ofType(isMapping),
	"number":      ofType(isNumber),
	"sequence":    ofType(isSequence),
	"iterable":    ofTypeOrError(isIterable),
	"callable":    ofType(isCallable),
	"sameas":      sameAs,
	"escaped":     ofType(isMarkup),
	"in":          test(testIn, arg("seq")),
	"==":          test(testEqual, arg("b")),
	"eq":          test(testEqual, arg("b")),
	"equalto":     test(testEqual, arg("b")),
	"!=":          test(testUnequal, arg("b")),
	"ne":          test(testUnequal, arg("b")),
	">":           test(order(">"), arg("b")),
	"gt":          test(order(">"), arg("b")),
	"greaterthan": test(order(">"), arg("b")),
	">=":          test(order(">="), arg("b")),
	"ge":          test(order(">="), arg("b")),
	"<":           test(order("<"), arg("b")),
	"lt":          test(order("<"), arg("b")),
	"lessthan":    test(order("<"), arg("b")),
	"<=":          test(order("<="), arg("b")),
	"le":          test(order("<="), arg("b")),
}

// A testFunc is what a Test does.
type testFunc = func(c *Call, in value.Value, b Bound) (bool, error)

func test(do testFunc, params ...Param) *Test {
	return &Test{Sig: Signature{Params: params}, Do: do}
}

// ofType is a test that only looks at what kind of value it is given, so that it has an
// answer for undefined values too.
func ofType(is func(value.Value) bool) *Test {
	return ofTypeOrError(func(v value.Value) (bool, error) { return is(v), nil })
}

func ofTypeOrError(is func(value.Value) (bool, error)) *Test {
	t := test(func(_ *Call, in value.Value, _ Bound) (bool, error) { return is(in) })
	t.Sig.AcceptUndefined = true
	return t
}

// known is a test that has an answer for Unknown: what a step will produce is defined.
func known(is func(value.Value) bool) *Test {
	t := ofType(is)
	t.Sig.AcceptUnknown = true
	return t
}

func isUndefined(v value.Value) bool {
	_, ok := v.(*value.Undefined)
	return ok
}

func isInteger(v value.Value) bool {
	switch v.(type) {
	case value.Int, *value.BigInt:
		return true
	}
	return false
}

func isMapping(v value.Value) bool {
	switch v.(type) {
	case *value.Dict, value.Mapping:
		return true
	}
	return false
}

// isSequence is Jinja2's test: it has a length and items.
func isSequence(v value.Value) bool {
	switch v := v.(type) {
	case value.Str, value.Markup, value.Bytes, *value.List, value.Tuple, *value.Dict, *value.Range, value.Mapping, value.Tupled:
		return true
	case *value.Undefined:
		return v.Lenient
	case value.Subscripted:
		_, sized := v.(value.Sized)
		return sized
	}
	return false
}

func isIterable(v value.Value) (bool, error) {
	_, err := value.Iter(v)
	if raised(err, "TypeError") {
		return false, nil
	}
	return err == nil, err
}

func isCallable(v value.Value) bool {
	switch v.(type) {
	case Func, *value.BoundMethod, *value.Undefined: // which is callable, to say that it is undefined
		return true
	}
	return false
}

// sameAs is Python's `is`. Values that are not references are the same when they are
// equal and of one type, as CPython has it for constants, small numbers and names.
var sameAs = &Test{
	Sig: Signature{Params: []Param{arg("other")}, AcceptUndefined: true},
	Do: func(_ *Call, in value.Value, b Bound) (bool, error) {
		other := b.Args[0]
		switch in.(type) {
		case value.None, value.Bool, value.Int, value.Float, value.Str, value.Markup, value.Bytes, *value.BigInt, value.Tuple:
			return in.Type() == other.Type() && value.Equal(in, other), nil
		case *value.List, *value.Dict, *value.Undefined, *value.Iterator, *value.DictView, *value.Range:
			return in == other, nil
		}
		return value.Equal(in, other), nil
	},
}

func named(v value.Value, has func(string) bool) (bool, error) {
	if s, ok := stringOf(v); ok {
		return has(s), nil
	}
	return false, value.Hashable(v)
}

func textTest(is func(string) bool) testFunc {
	return func(_ *Call, in value.Value, _ Bound) (bool, error) {
		s, err := value.Text(in)
		return err == nil && is(s), err
	}
}

func remainder(by, want value.Int) testFunc {
	return func(_ *Call, in value.Value, _ Bound) (bool, error) { return leaves(in, by, want) }
}

func leaves(v, by, want value.Value) (bool, error) {
	rest, err := value.Mod(v, by)
	if err != nil {
		return false, err
	}
	return value.EqualOp(rest, want)
}

func testDivisibleBy(_ *Call, in value.Value, b Bound) (bool, error) {
	return leaves(in, b.Args[0], valZero)
}

func testIn(_ *Call, in value.Value, b Bound) (bool, error) { return value.Contains(b.Args[0], in) }

func testEqual(_ *Call, in value.Value, b Bound) (bool, error) { return value.EqualOp(in, b.Args[0]) }

func testUnequal(_ *Call, in value.Value, b Bound) (bool, error) {
	eq, err := value.EqualOp(in, b.Args[0])
	return err == nil && !eq, err
}

func order(op string) testFunc {
	return func(_ *Call, in value.Value, b Bound) (bool, error) { return value.CompareOp(op, in, b.Args[0]) }
}
