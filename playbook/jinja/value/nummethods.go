package value

import (
	"math"
	"math/big"
	"math/bits"
	"strconv"
	"strings"
)

var intMethods = map[string]method{
	"as_integer_ratio": takes("", func(self Value, _ []Value) (Value, error) {
		n, _ := number(self)
		return Tuple{n.value(), Int(1)}, nil
	}),
	"bit_count": takes("", func(self Value, _ []Value) (Value, error) {
		n, _ := number(self)
		count := 0
		for _, w := range n.bigInt().Bits() {
			count += bits.OnesCount(uint(w))
		}
		return Int(count), nil
	}),
	"bit_length": takes("", func(self Value, _ []Value) (Value, error) {
		n, _ := number(self)
		return Int(n.bigInt().BitLen()), nil
	}),
	"conjugate": takes("", func(self Value, _ []Value) (Value, error) { return Pos(self) }),
	"to_bytes":  takes("/ length byteorder signed", intToBytes).byName().atMost(2),
}

var floatMethods = map[string]method{
	"as_integer_ratio": takes("", floatRatio),
	"conjugate":        takes("", func(self Value, _ []Value) (Value, error) { return self, nil }),
	"hex": takes("", func(self Value, _ []Value) (Value, error) {
		return S(floatHex(float64(self.(Float)))), nil
	}),
	"is_integer": takes("", func(self Value, _ []Value) (Value, error) {
		f := float64(self.(Float))
		return Bool(f == math.Trunc(f) && !math.IsInf(f, 0)), nil
	}),
}

func intToBytes(self Value, a []Value) (Value, error) {
	n, _ := number(self)
	length, err := intArg(a[0], 1)
	if err != nil {
		return nil, err
	}
	order := "big"
	if a[1] != nil {
		if order, err = strArg(a[1], "to_bytes() argument 'byteorder'"); err != nil {
			return nil, err
		}
	}
	if order != "big" && order != "little" {
		return nil, valueErr("byteorder must be either 'little' or 'big'")
	}
	if length < 0 {
		return nil, valueErr("length argument must be non-negative")
	}
	if length > maxItems {
		return nil, tooBig()
	}
	i := n.bigInt()
	signed := a[2] != nil && Truth(a[2])
	if i.Sign() < 0 && !signed {
		return nil, Errorf("OverflowError", "can't convert negative int to unsigned")
	}
	need := i.BitLen()
	if signed {
		need++
		if i.Sign() < 0 { // the most negative number needs no further bit
			need = new(big.Int).Not(i).BitLen() + 1
			i = new(big.Int).Add(i, new(big.Int).Lsh(big.NewInt(1), uint(length)*8))
		}
	}
	if need > length*8 {
		return nil, Errorf("OverflowError", "int too big to convert")
	}
	b := i.FillBytes(make([]byte, length))
	if order == "little" {
		for l, r := 0, len(b)-1; l < r; l, r = l+1, r-1 {
			b[l], b[r] = b[r], b[l]
		}
	}
	return Bytes(b), nil
}

func floatRatio(self Value, _ []Value) (Value, error) {
	r := new(big.Rat)
	f := float64(self.(Float))
	switch {
	case math.IsNaN(f):
		return nil, valueErr("cannot convert NaN to integer ratio")
	case r.SetFloat64(f) == nil:
		return nil, Errorf("OverflowError", "cannot convert Infinity to integer ratio")
	}
	return Tuple{NewBig(r.Num()), NewBig(r.Denom())}, nil
}

// floatHex is float.hex: C's %a with 13 hexadecimal digits.
func floatHex(f float64) string {
	switch {
	case math.IsInf(f, 0) || math.IsNaN(f):
		return reprFloat(f)
	case f == 0 && math.Signbit(f):
		return "-0x0.0p+0"
	case f == 0:
		return "0x0.0p+0"
	}
	lead, exp := "1", 0
	mantissa := math.Float64bits(f) & (1<<52 - 1)
	if e := int(math.Float64bits(f) >> 52 & 0x7ff); e == 0 {
		lead, exp = "0", -1022
	} else {
		exp = e - 1023
	}
	digits := strconv.FormatUint(mantissa, 16)
	sign := ""
	if f < 0 {
		sign = "-"
	}
	expSign := "+"
	if exp < 0 {
		expSign, exp = "-", -exp
	}
	return sign + "0x" + lead + "." + strings.Repeat("0", 13-len(digits)) + digits + "p" + expSign + strconv.Itoa(exp)
}
