package jinja

import (
	"errors"
	"math"
	"math/big"
	"slices"
	"strconv"

	"orch/playbook/jinja/value"
)

func filterAbs(_ *Call, in value.Value, _ Bound) (value.Value, error) {
	if !isNumber(in) {
		return nil, value.Errorf("TypeError", "bad operand type for abs(): '%s'", in.Type())
	}
	if negative, err := value.Compare(in, valZero); err == nil && negative < 0 {
		return value.Neg(in)
	}
	if f, ok := in.(value.Float); ok {
		return value.Float(math.Abs(float64(f))), nil
	}
	return value.Pos(in)
}

func isNumber(v value.Value) bool {
	switch v.(type) {
	case value.Int, value.Bool, value.Float, *value.BigInt:
		return true
	}
	return false
}

// raised says whether err is a Python exception of one of the classes.
func raised(err error, classes ...string) bool {
	var e *value.Error
	return errors.As(err, &e) && slices.Contains(classes, e.Class)
}

func filterInt(_ *Call, in value.Value, b Bound) (value.Value, error) {
	v, err := toInt(in, b.Args[1])
	if err == nil || !raised(err, "TypeError", "ValueError") {
		return v, err
	}
	f, err := value.ToFloat(in) // so that "42.23" is 42
	if err == nil {
		if v, err = value.ToInt(f); err == nil {
			return v, nil
		}
	}
	if raised(err, "TypeError", "ValueError", "OverflowError") {
		return b.Args[0], nil
	}
	return nil, err
}

func toInt(in, base value.Value) (value.Value, error) {
	s, ok := stringOf(in)
	if !ok {
		return value.ToInt(in)
	}
	if u, ok := base.(*value.Undefined); ok {
		return nil, value.Errorf("TypeError", "'%s' object cannot be interpreted as an integer", u.Type())
	}
	n, err := value.Index(base)
	if err != nil {
		return nil, err
	}
	return value.ParseInt(s, n)
}

func filterFloat(_ *Call, in value.Value, b Bound) (value.Value, error) {
	f, err := value.ToFloat(in)
	if raised(err, "TypeError", "ValueError") {
		return b.Args[0], nil
	}
	return f, err
}

func filterRound(_ *Call, in value.Value, b Bound) (value.Value, error) {
	method, _ := stringOf(b.Args[1])
	switch method {
	case "common":
		return round(in, b.Args[0])
	case "ceil", "floor":
		return roundToward(in, b.Args[0], method)
	}
	return nil, filterError("method must be common, ceil or floor")
}

// roundToward is ceil(v * 10**precision) / 10**precision, as Jinja2 computes it.
func roundToward(v, precision value.Value, method string) (value.Value, error) {
	factor, err := value.Pow(value.Int(10), precision)
	if err != nil {
		return nil, err
	}
	scaled, err := value.Mul(v, factor)
	if err != nil {
		return nil, err
	}
	switch x := scaled.(type) {
	case value.Float:
		f := math.Floor(float64(x))
		if method == "ceil" {
			f = math.Ceil(float64(x))
		}
		if scaled, err = value.ToInt(value.Float(f)); err != nil {
			return nil, err
		}
	case value.Int, value.Bool, *value.BigInt:
	default:
		return nil, value.Errorf("TypeError", "must be real number, not %s", scaled.Type())
	}
	return value.Div(scaled, factor)
}

// round is Python's round(v, precision): half to even, of the exact value; an int stays
// an int.
func round(v, precision value.Value) (value.Value, error) {
	if !isNumber(v) {
		return nil, value.Errorf("TypeError", "type %s doesn't define __round__ method", v.Type())
	}
	toInt := isNone(precision)
	digits := 0
	if !toInt {
		var err error
		if digits, err = value.Index(precision); err != nil {
			return nil, err
		}
	}
	f, real := v.(value.Float)
	switch {
	case !real && digits >= 0:
		return value.Pos(v)
	case !real:
		whole, _ := value.Pos(v)
		n, _ := new(big.Int).SetString(value.String(whole), 10)
		return value.NewBig(roundTens(new(big.Rat).SetInt(n), -digits)), nil
	case toInt:
		return value.ToInt(value.Float(math.RoundToEven(float64(f))))
	case math.IsInf(float64(f), 0) || math.IsNaN(float64(f)):
		return v, nil
	case digits < 0:
		exact := new(big.Rat)
		exact.SetFloat64(float64(f))
		rounded, _ := new(big.Float).SetInt(roundTens(exact, -digits)).Float64()
		return value.Float(math.Copysign(rounded, float64(f))), nil
	}
	if digits > 323 { // beyond the smallest float: nothing to round
		return v, nil
	}
	rounded, err := strconv.ParseFloat(strconv.FormatFloat(float64(f), 'f', digits, 64), 64)
	if err != nil {
		return nil, value.Errorf("OverflowError", "rounded value too large to represent")
	}
	return value.Float(rounded), nil
}

// roundTens rounds r to a multiple of 10^n, half to even.
func roundTens(r *big.Rat, n int) *big.Int {
	if n > 400 {
		return new(big.Int)
	}
	unit := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n)), nil)
	scaled := new(big.Rat).Quo(r, new(big.Rat).SetInt(unit))
	whole, rest := new(big.Int).DivMod(scaled.Num(), scaled.Denom(), new(big.Int))
	twice := new(big.Int).Lsh(rest, 1)
	if order := twice.Cmp(scaled.Denom()); order > 0 || order == 0 && whole.Bit(0) == 1 {
		whole.Add(whole, big.NewInt(1))
	}
	return whole.Mul(whole, unit)
}

func filterSum(c *Call, in value.Value, b Bound) (value.Value, error) {
	it, err := value.Iter(in)
	if err != nil {
		return nil, err
	}
	get, err := c.getter(b.Args[0], nil)
	if err != nil {
		return nil, err
	}
	total := b.Args[1]
	if _, text := stringOf(total); text {
		return nil, value.Errorf("TypeError", "sum() can't sum strings [use ''.join(seq) instead]")
	}
	for item, err := range it.All() {
		if err == nil {
			err = c.Step(1)
		}
		if err == nil {
			item, err = get(item)
		}
		if err == nil {
			total, err = value.Add(total, item)
		}
		if err != nil {
			return nil, err
		}
	}
	return total, nil
}
