package filter

import (
	"fmt"
	"math"
	"math/big"
	"strings"

	"orch/playbook/jinja/value"
	"orch/playbook/pyre"
)

var mathFilters = []def{
	{
		names: "log", sig: "base=2.718281828459045", filter: logarithm,
		doc:      "The logarithm to a base (e).",
		examples: []string{"{{ 8 | log(2) }}", "3.0", "{{ 1000 | log(10) }}", "3.0"},
	},
	{
		names: "pow", sig: "y", filter: power,
		doc:      "A number raised to a power, as a float.",
		examples: []string{"{{ 2 | pow(10) }}", "1024.0"},
	},
	{
		names: "root", sig: "base=2", filter: root,
		doc:      "The square root, or that of another base.",
		examples: []string{"{{ 9 | root }}", "3.0", "{{ 27 | root(3) }}", "3.0"},
	},
	{
		names: "human_readable", sig: "isbits=False, unit=None", filter: humanReadable,
		doc:      "A number of bytes (or bits) with a unit, the largest fitting one or the one given.",
		examples: []string{"{{ 1048576 | human_readable }}", "1.00 MB", "{{ 2048 | human_readable(unit='K') }}", "2.00 KB"},
	},
	{
		names: "human_to_bytes", sig: "default_unit=None, isbits=False", filter: humanToBytes,
		doc:      "The number of bytes (or bits) a text like 2M or '1.5 GB' means; default_unit is for a text without a unit.",
		examples: []string{"{{ '2K' | human_to_bytes }}", "2048", "{{ '1.5' | human_to_bytes('G') }}", "1610612736"},
	},
}

// numberArg returns a real number, or Python's TypeError under the filter's name.
func numberArg(c *call, v value.Value) (float64, error) {
	f, ok := asFloat(v)
	if !ok {
		return 0, typeErr("%s() can only be used on numbers: must be real number, not %s", c.Name, v.Type())
	}
	return f, nil
}

func logarithm(c *call) (value.Value, error) {
	x, err := numberArg(c, c.in)
	if err != nil {
		// An integer beyond the floats still has a logarithm.
		if b, ok := c.in.(*value.BigInt); ok && b.V.Sign() > 0 {
			return logOfBig(c, b.V)
		}
		return nil, err
	}
	base, err := numberArg(c, c.args[0])
	if err != nil {
		return nil, err
	}
	if x <= 0 || base <= 0 {
		return nil, valueErr("math domain error")
	}
	if base == 10 {
		return finite(log10(x), x)
	}
	if base == 1 {
		return nil, value.Errorf("ZeroDivisionError", "float division by zero")
	}
	return finite(ln(x)/ln(base), x, base)
}

func logOfBig(c *call, n *big.Int) (value.Value, error) {
	base, err := numberArg(c, c.args[0])
	if err != nil {
		return nil, err
	}
	shift := max(n.BitLen()-1000, 0)
	f, _ := new(big.Float).SetInt(new(big.Int).Rsh(n, uint(shift))).Float64()
	return finite((math.Log(f) + float64(shift)*math.Ln2) / math.Log(base))
}

func power(c *call) (value.Value, error) {
	x, err := numberArg(c, c.in)
	if err != nil {
		return nil, err
	}
	y, err := numberArg(c, c.args[0])
	if err != nil {
		return nil, err
	}
	if x == 0 && y < 0 {
		return nil, valueErr("math domain error")
	}
	return finite(value.PowFloat(x, y), x, y)
}

// ln is the natural logarithm, correctly rounded as glibc's is.
func ln(x float64) float64 {
	if math.IsInf(x, 0) || math.IsNaN(x) {
		return math.Log(x)
	}
	hi, lo := log2x(x)
	return hi + lo
}

// log10 is the decimal logarithm; math.Log10 misses powers of ten by a digit.
func log10(x float64) float64 {
	if math.IsInf(x, 0) || math.IsNaN(x) {
		return math.Log10(x)
	}
	const ln10Lo = -2.1707562233822494e-16 // what math.Ln10 lacks
	hi, lo := log2x(x)
	q := hi / math.Ln10
	return q + (math.FMA(-q, math.Ln10, hi)+lo-q*ln10Lo)/math.Ln10
}

// log2x is the natural logarithm as a sum of two floats.
func log2x(x float64) (hi, lo float64) {
	hi = math.Log(x)
	// x = exp(hi) * (1+d): compute exp(hi) as a pair to find d.
	e, eLo := exp2x(hi)
	return hi, ((x - e) - eLo) / x
}

// exp2x is e to the power of x as a sum of two floats, by its series after halving.
func exp2x(x float64) (hi, lo float64) {
	const bits = 200
	t := new(big.Float).SetPrec(bits).SetFloat64(x)
	halvings := 0
	for f, _ := t.Float64(); math.Abs(f) > 1.0/64; f, _ = t.Float64() {
		t.Quo(t, big.NewFloat(2))
		halvings++
	}
	sum, term := big.NewFloat(1).SetPrec(bits), big.NewFloat(1).SetPrec(bits)
	for i := 1; i < 24; i++ {
		term.Mul(term, t).Quo(term, big.NewFloat(float64(i)))
		sum.Add(sum, term)
	}
	for range halvings {
		sum.Mul(sum, sum)
	}
	hi, _ = sum.Float64()
	lo, _ = sum.Sub(sum, new(big.Float).SetFloat64(hi)).Float64()
	return hi, lo
}

func root(c *call) (value.Value, error) {
	x, err := numberArg(c, c.in)
	if err != nil {
		return nil, err
	}
	base, err := value.ToFloat(c.args[0])
	if err != nil {
		return nil, typeErr("root() can only be used on numbers: %s", err)
	}
	switch {
	case base == 2 && x >= 0:
		return finite(math.Sqrt(x), x)
	case base == 0:
		return nil, value.Errorf("ZeroDivisionError", "float division by zero")
	case x < 0:
		return nil, typeErr("root() can only be used on numbers: math domain error")
	}
	return finite(value.PowFloat(x, 1/float64(base)), x)
}

// sizeUnits are the units by size, largest first.
var sizeUnits = []struct {
	letter     string
	limit      float64
	long, bits string
}{
	{"Y", 1 << 80, "yottabyte", "yottabit"},
	{"Z", 1 << 70, "zetabyte", "zetabit"}, // sic
	{"E", 1 << 60, "exabyte", "exabit"},
	{"P", 1 << 50, "petabyte", "petabit"},
	{"T", 1 << 40, "terabyte", "terabit"},
	{"G", 1 << 30, "gigabyte", "gigabit"},
	{"M", 1 << 20, "megabyte", "megabit"},
	{"K", 1 << 10, "kilobyte", "kilobit"},
	{"B", 1, "byte", "bit"},
}

func humanReadable(c *call) (value.Value, error) {
	size, ok := asFloat(c.in)
	if !ok {
		return nil, typeErr("human_readable() failed on bad input: a number is needed, not '%s'", c.in.Type())
	}
	unit, chosen := "", c.has(1)
	if chosen {
		u, err := c.str(1)
		if err != nil {
			return nil, err
		}
		unit = strings.ToUpper(u)
	}
	name := "Bytes"
	if c.truth(0) {
		name = "bits"
	}
	for i, u := range sizeUnits {
		last := i == len(sizeUnits)-1
		if !last && (!chosen && size < u.limit || chosen && unit != u.letter) {
			continue
		}
		suffix := u.letter + name[:1]
		if last {
			suffix = name
		}
		return value.S(fmt.Sprintf("%.2f %s", size/u.limit, suffix)), nil
	}
	return nil, nil // the last unit fits everything
}

const sizeText = `^([0-9]*\.?[0-9]+)(?:\s*([A-Za-z]+))?\s*$`

func humanToBytes(c *call) (value.Value, error) {
	input, err := c.inputText()
	if err != nil {
		return nil, err
	}
	bad := func(why string) error {
		return fmt.Errorf("human_to_bytes() can't interpret following string: %s%s", input, why)
	}
	re, err := pyre.Compile(sizeText, 0)
	if err != nil {
		return nil, err
	}
	m, err := re.Search(input)
	if err != nil || m == nil {
		return nil, bad("")
	}
	digits, _ := m.Group(1)
	num, err := value.ParseFloat(digits)
	if err != nil {
		return nil, bad("")
	}
	unit, ok := m.Group(2)
	if !ok {
		if !c.has(0) {
			return roundToInt(float64(num))
		}
		if unit, err = c.str(0); err != nil {
			return nil, err
		}
	}
	if unit == "" {
		return nil, bad("")
	}
	for _, u := range sizeUnits {
		if !strings.EqualFold(unit[:1], u.letter) {
			continue
		}
		long, short := u.long, u.letter+"B"
		if c.truth(1) {
			long, short = u.bits, u.letter+"b"
		}
		if u.letter == "B" {
			short = short[1:]
		}
		if len(unit) > 1 && !strings.EqualFold(unit, long) && unit != short {
			return nil, bad(" (expected " + choices(u.letter, short, long) + ")")
		}
		return roundToInt(float64(num) * u.limit)
	}
	return nil, bad(" (the suffix must be one of Y, Z, E, P, T, G, M, K, B)")
}

// roundToInt is Python's int(round(x)): half to even.
func roundToInt(x float64) (value.Value, error) {
	n, _ := big.NewFloat(math.RoundToEven(x)).Int(nil)
	return value.NewBig(n), nil
}
