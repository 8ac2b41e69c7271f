package value

import (
	"errors"
	"math"
	"math/big"
	"strconv"
	"strings"
	"unicode"
)

// ToInt is Python's int(v): floats are truncated, text is parsed in base 10.
func ToInt(v Value) (Value, error) {
	if s, ok := text(v); ok {
		return ParseInt(s, 10)
	}
	if b, ok := v.(Bytes); ok {
		return bytesNumber(b, func(s string) (Value, error) { return ParseInt(s, 10) })
	}
	n, ok := number(v)
	switch {
	case !ok:
		if err := usable(v); err != nil {
			return nil, err
		}
		return nil, typeErr("int() argument must be a string, a bytes-like object or a real number, not '%s'", v.Type())
	case n.real:
		i, err := truncate(n.f)
		if err != nil {
			return nil, err
		}
		return NewBig(i), nil
	}
	return n.value(), nil
}

// ToFloat is Python's float(v).
func ToFloat(v Value) (Float, error) {
	if s, ok := text(v); ok {
		f, err := ParseFloat(s)
		if err != nil {
			err = valueErr("could not convert string to float: %s", Repr(v))
		}
		return f, err
	}
	if b, ok := v.(Bytes); ok {
		v, err := bytesNumber(b, func(s string) (Value, error) { f, err := ParseFloat(s); return f, err })
		f, _ := v.(Float)
		return f, err
	}
	n, ok := number(v)
	if !ok {
		if err := usable(v); err != nil {
			return 0, err
		}
		return 0, typeErr("float() argument must be a string or a real number, not '%s'", v.Type())
	}
	f, err := n.float()
	return Float(f), err
}

// bytesNumber parses bytes as text; a message quotes the bytes.
func bytesNumber(b Bytes, parse func(string) (Value, error)) (Value, error) {
	v, err := parse(string(b))
	if err != nil {
		return nil, valueErr("%s", strings.Replace(err.Error(), reprText(string(b)), reprBytes(b), 1))
	}
	return v, nil
}

// ParseInt is Python's int(s, base): white space around, a sign, single underscores
// between digits, any decimal digits of Unicode, and the prefix of the base (base 0: of
// any base, as in a literal).
func ParseInt(s string, base int) (Value, error) {
	if base != 0 && (base < 2 || base > 36) {
		return nil, valueErr("int() base must be >= 2 and <= 36, or 0")
	}
	invalid := valueErr("invalid literal for int() with base %d: %s", base, reprText(s))
	t := trimNumber(s)
	negative := strings.HasPrefix(t, "-")
	if negative || strings.HasPrefix(t, "+") {
		t = t[1:]
	}
	zeroBase := base == 0
	if len(t) > 2 && t[0] == '0' {
		if b := prefixBase(t[1]); b != 0 && (base == b || zeroBase) {
			base, t = b, strings.TrimPrefix(t[2:], "_")
		}
	}
	if base == 0 {
		base = 10
	}
	digits, ok := stripUnderscores(t)
	if !ok || zeroBase && base == 10 && len(digits) > 1 && digits[0] == '0' && strings.Trim(digits, "0") != "" {
		return nil, invalid
	}
	if n, err := strconv.ParseInt(digits, base, 64); err == nil && digits[0] != '+' && digits[0] != '-' {
		if negative {
			n = -n
		}
		return Int(n), nil
	}
	if digits == "" || digits[0] == '+' || digits[0] == '-' || len(digits) > maxBits/4 {
		return nil, invalid
	}
	n, ok := new(big.Int).SetString(digits, base)
	if !ok {
		return nil, invalid
	}
	if negative {
		n.Neg(n)
	}
	return NewBig(n), nil
}

func prefixBase(c byte) int {
	switch c {
	case 'x', 'X':
		return 16
	case 'o', 'O':
		return 8
	case 'b', 'B':
		return 2
	}
	return 0
}

// stripUnderscores removes single underscores between digits; false for any others.
func stripUnderscores(s string) (string, bool) {
	if !strings.Contains(s, "_") {
		return s, true
	}
	if s[0] == '_' || s[len(s)-1] == '_' || strings.Contains(s, "__") {
		return s, false
	}
	return strings.ReplaceAll(s, "_", ""), true
}

// trimNumber removes the white space that may surround a number, which among ASCII is C's.
func trimNumber(s string) string {
	if isASCII(s) {
		return strings.Trim(s, " \t\n\v\f\r")
	}
	return strings.TrimFunc(asciiDigits(s), isSpace)
}

// asciiDigits replaces the decimal digits of other scripts.
func asciiDigits(s string) string {
	return strings.Map(func(r rune) rune {
		if r > unicode.MaxASCII && unicode.IsDigit(r) {
			zero := r // the digits of a script are ten code points in order
			for r-zero < 9 && unicode.IsDigit(zero-1) {
				zero--
			}
			return '0' + (r-zero)%10
		}
		return r
	}, s)
}

// ParseFloat is Python's float(s).
func ParseFloat(s string) (Float, error) {
	invalid := valueErr("could not convert string to float: %s", reprText(s))
	t := trimNumber(s)
	unsigned := strings.ToLower(strings.TrimLeft(t, "+-"))
	switch unsigned {
	case "inf", "infinity", "nan":
		if len(t)-len(unsigned) > 1 {
			return 0, invalid
		}
		f := math.Inf(1)
		if unsigned == "nan" {
			f = math.NaN()
		}
		if t[0] == '-' {
			f = -f
		}
		return Float(f), nil
	}
	if strings.ContainsAny(unsigned, "xpin") || !underscoresBetweenDigits(t) {
		return 0, invalid
	}
	f, err := strconv.ParseFloat(strings.ReplaceAll(t, "_", ""), 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return 0, invalid
	}
	return Float(f), nil
}

func underscoresBetweenDigits(s string) bool {
	digit := func(i int) bool { return i >= 0 && i < len(s) && s[i] >= '0' && s[i] <= '9' }
	for i := range len(s) {
		if s[i] == '_' && !(digit(i-1) && digit(i+1)) {
			return false
		}
	}
	return true
}
