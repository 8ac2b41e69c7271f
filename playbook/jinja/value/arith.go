package value

import (
	"math"
	"math/big"
)

// maxBits bounds the integers that ** and << may make, maxItems the characters of a
// repetition or padding, maxList the items of a list: a template must not be able to eat
// the machine.
const (
	maxBits  = 1 << 24
	maxItems = 1 << 28
	maxList  = 1 << 24 // items of one list
)

// Add is a + b.
func Add(a, b Value) (Value, error) {
	switch x := a.(type) {
	case Int:
		if y, ok := b.(Int); ok {
			if s := x + y; (x^s)&(y^s) >= 0 {
				return s, nil
			}
		}
	case Str:
		if y, ok := b.(Str); ok {
			return S(x.S + y.S), nil
		}
	}
	return operate("+", a, b)
}

// Sub is a - b.
func Sub(a, b Value) (Value, error) {
	if x, ok := a.(Int); ok {
		if y, ok := b.(Int); ok {
			if d := x - y; (x^y)&(x^d) >= 0 {
				return d, nil
			}
		}
	}
	return operate("-", a, b)
}

// Mul is a * b.
func Mul(a, b Value) (Value, error) { return operate("*", a, b) }

// Div is a / b: true division.
func Div(a, b Value) (Value, error) { return operate("/", a, b) }

// FloorDiv is a // b.
func FloorDiv(a, b Value) (Value, error) { return operate("//", a, b) }

// Mod is a % b; for a str on the left, formatting.
func Mod(a, b Value) (Value, error) { return operate("%", a, b) }

// Pow is a ** b.
func Pow(a, b Value) (Value, error) { return operate("**", a, b) }

// Neg is -v.
func Neg(v Value) (Value, error) {
	n, err := unary("-", v)
	switch {
	case err != nil || n == nil:
		return v, err
	case n.real:
		return Float(-n.f), nil
	case n.big == nil && n.i != math.MinInt64:
		return Int(-n.i), nil
	}
	return NewBig(new(big.Int).Neg(n.bigInt())), nil
}

// Pos is +v.
func Pos(v Value) (Value, error) {
	n, err := unary("+", v)
	if err != nil || n == nil {
		return v, err
	}
	return n.value(), nil
}

// unary returns nil for an Unknown operand, which is the result.
func unary(op string, v Value) (*numeric, error) {
	if n, ok := number(v); ok {
		return &n, nil
	}
	if IsUnknown(v) {
		return nil, nil
	}
	if err := usable(v); err != nil {
		return nil, err
	}
	return nil, typeErr("bad operand type for unary %s: '%s'", op, v.Type())
}

// NewBig makes the int n, an Int if it fits. n must not be modified afterwards.
func NewBig(n *big.Int) Value {
	if n.IsInt64() {
		return Int(n.Int64())
	}
	return &BigInt{n}
}

func (n numeric) value() Value {
	switch {
	case n.real:
		return Float(n.f)
	case n.big != nil:
		return NewBig(n.big)
	}
	return Int(n.i)
}

func operate(op string, a, b Value) (Value, error) {
	for _, v := range []Value{a, b} {
		if IsUnknown(v) {
			return v, nil
		}
	}
	if _, ok := text(a); ok && op == "%" {
		return percentFormat(a, b)
	}
	for _, v := range []Value{a, b} {
		if err := usable(v); err != nil {
			return nil, err
		}
	}
	if x, ok := number(a); ok {
		if y, ok := number(b); ok {
			return arithmetic(op, x, y)
		}
	}
	if x, ok := a.(Operand); ok {
		if v, ok, err := x.Operate(op, b, false); ok || err != nil {
			return v, err
		}
	}
	if y, ok := b.(Operand); ok {
		if v, ok, err := y.Operate(op, a, true); ok || err != nil {
			return v, err
		}
	}
	switch op {
	case "+":
		return concat(a, b)
	case "*":
		return repeat(a, b)
	case "-":
		if x, ok := a.(*DictView); ok && x.Kind != ViewValues {
			return viewMinus(x, b)
		}
	case "%":
		if x, ok := a.(Bytes); ok {
			return percentBytes(x, b)
		}
	}
	return nil, unsupported(op, a, b)
}

func unsupported(op string, a, b Value) error {
	if op == "**" {
		op = "** or pow()"
	}
	return typeErr("unsupported operand type(s) for %s: '%s' and '%s'", op, a.Type(), b.Type())
}

func arithmetic(op string, x, y numeric) (Value, error) {
	if x.real || y.real {
		return floatArithmetic(op, x, y)
	}
	if op == "/" {
		return divide(x, y)
	}
	if op == "**" {
		return power(x, y)
	}
	if (op == "//" || op == "%") && y.big == nil && y.i == 0 {
		if op == "%" {
			return nil, Errorf("ZeroDivisionError", "integer modulo by zero")
		}
		return nil, Errorf("ZeroDivisionError", "integer division or modulo by zero")
	}
	if x.big == nil && y.big == nil {
		if v, ok := smallArithmetic(op, x.i, y.i); ok {
			return v, nil
		}
	}
	p, q, r := x.bigInt(), y.bigInt(), new(big.Int)
	switch op {
	case "+":
		r.Add(p, q)
	case "-":
		r.Sub(p, q)
	case "*":
		if p.BitLen()+q.BitLen() > maxBits {
			return nil, tooBig()
		}
		r.Mul(p, q)
	default:
		m := new(big.Int)
		r.QuoRem(p, q, m)
		if m.Sign() != 0 && m.Sign() != q.Sign() {
			r.Sub(r, big.NewInt(1))
			m.Add(m, q)
		}
		if op == "%" {
			r = m
		}
	}
	return NewBig(r), nil
}

func tooBig() error { return Errorf("MemoryError", "the result would be too large") }

// smallArithmetic computes in 64 bits; false when the result does not fit.
func smallArithmetic(op string, x, y int64) (Value, bool) {
	switch op {
	case "+":
		s := x + y
		return Int(s), (x^s)&(y^s) >= 0
	case "-":
		d := x - y
		return Int(d), (x^y)&(x^d) >= 0
	case "*":
		if x == 0 || y == 0 {
			return Int(0), true
		}
		p := x * y
		return Int(p), p/y == x && (x != -1 || y != math.MinInt64) && (y != -1 || x != math.MinInt64)
	case "//":
		if x == math.MinInt64 && y == -1 {
			return nil, false
		}
		q := x / y
		if x%y != 0 && (x < 0) != (y < 0) {
			q--
		}
		return Int(q), true
	}
	if y == -1 {
		return Int(0), true
	}
	m := x % y
	if m != 0 && (m < 0) != (y < 0) {
		m += y
	}
	return Int(m), true
}

func (n numeric) float() (float64, error) {
	switch {
	case n.real:
		return n.f, nil
	case n.big == nil:
		return float64(n.i), nil
	}
	f, _ := new(big.Float).SetInt(n.big).Float64()
	if math.IsInf(f, 0) {
		return 0, Errorf("OverflowError", "int too large to convert to float")
	}
	return f, nil
}

func floatArithmetic(op string, x, y numeric) (Value, error) {
	a, err := x.float()
	if err != nil {
		return nil, err
	}
	b, err := y.float()
	if err != nil {
		return nil, err
	}
	switch op {
	case "+":
		return Float(a + b), nil
	case "-":
		return Float(a - b), nil
	case "*":
		return Float(a * b), nil
	case "**":
		return floatPower(a, b)
	}
	if b == 0 {
		what := map[string]string{"/": "float division by zero", "//": "float floor division by zero", "%": "float modulo"}
		return nil, Errorf("ZeroDivisionError", "%s", what[op])
	}
	if op == "/" {
		return Float(a / b), nil
	}
	q, m := floorDivMod(a, b)
	if op == "%" {
		return Float(m), nil
	}
	return Float(q), nil
}

// floorDivMod follows CPython's float_divmod, whose roundings are observable.
func floorDivMod(a, b float64) (q, m float64) {
	m = math.Mod(a, b)
	q = (a - m) / b
	if m != 0 {
		if (b < 0) != (m < 0) {
			m += b
			q--
		}
	} else {
		m = math.Copysign(0, b)
	}
	if q == 0 {
		return math.Copysign(0, a/b), m
	}
	floor := math.Floor(q)
	if q-floor > 0.5 {
		floor++
	}
	return floor, m
}

// divide is int / int, correctly rounded also beyond 2^53.
func divide(x, y numeric) (Value, error) {
	q := y.bigInt()
	if q.Sign() == 0 {
		return nil, Errorf("ZeroDivisionError", "division by zero")
	}
	const exact = 1 << 53
	if x.big == nil && y.big == nil && x.i < exact && x.i > -exact && y.i < exact && y.i > -exact {
		return Float(float64(x.i) / float64(y.i)), nil
	}
	f, _ := new(big.Rat).SetFrac(x.bigInt(), q).Float64()
	if math.IsInf(f, 0) {
		return nil, Errorf("OverflowError", "integer division result too large for a float")
	}
	return Float(f), nil
}

func power(x, y numeric) (Value, error) {
	p, q := x.bigInt(), y.bigInt()
	if q.Sign() < 0 {
		return floatArithmetic("**", x, y)
	}
	if p.IsInt64() && p.Int64() >= -1 && p.Int64() <= 1 { // any exponent, at once
		n := p.Int64()
		if q.Sign() == 0 || n == -1 && q.Bit(0) == 0 {
			n = 1
		}
		return Int(n), nil
	}
	if !q.IsInt64() || q.Int64() > maxBits/int64(p.BitLen()) {
		return nil, tooBig()
	}
	return NewBig(new(big.Int).Exp(p, q, nil)), nil
}

func floatPower(a, b float64) (Value, error) {
	switch {
	case a == 0 && b < 0:
		return nil, Errorf("ZeroDivisionError", "0.0 cannot be raised to a negative power")
	case a < 0 && b != math.Floor(b) && !math.IsInf(a, 0) && !math.IsNaN(b):
		return nil, valueErr("%s ** %s is a complex number, which is not supported", reprFloat(a), reprFloat(b))
	}
	f := PowFloat(a, b)
	if math.IsInf(f, 0) && !math.IsInf(a, 0) && !math.IsInf(b, 0) {
		return nil, Errorf("OverflowError", "(34, 'Numerical result out of range')")
	}
	return Float(f), nil
}
