package value

import (
	"math"
	"math/big"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A spec is a parsed format specification of Python's format mini-language:
// [[fill]align][sign][z][#][0][width][grouping][.precision][type].
type spec struct {
	fill      string
	align     byte // '<' '>' '=' '^', 0 when not given
	sign      byte // '+' '-' ' ', 0 when not given
	noNegZero bool // z
	alt       bool // #
	width     int
	group     byte // ',' '_', 0
	precision int  // -1 when not given
	verb      byte // 0 when not given
}

// FormatValue is Python's format(v, spec).
func FormatValue(v Value, format string) (string, error) {
	if f, ok := v.(Formatter); ok {
		return f.Format(format)
	}
	if format == "" {
		return Text(v)
	}
	if err := usable(v); err != nil {
		return "", err
	}
	if s, ok := text(v); ok {
		sp, err := parseSpec(format, "str", '<')
		if err != nil {
			return "", err
		}
		return sp.formatText(s)
	}
	if n, ok := number(v); ok {
		sp, err := parseSpec(format, v.Type(), '>')
		if err != nil {
			return "", err
		}
		return sp.formatNumber(n, v.Type())
	}
	return "", typeErr("unsupported format string passed to %s.__format__", v.Type())
}

func isAlign(c byte) bool { return c == '<' || c == '>' || c == '=' || c == '^' }

func parseSpec(format, typ string, defaultAlign byte) (spec, error) {
	sp := spec{fill: " ", precision: -1}
	rest := format
	if _, w := utf8.DecodeRuneInString(rest); len(rest) > w && isAlign(rest[w]) {
		sp.fill, sp.align, rest = rest[:w], rest[w], rest[w+1:]
	} else if rest != "" && isAlign(rest[0]) {
		sp.align, rest = rest[0], rest[1:]
	}
	filled := len(format)-len(rest) > 1
	if rest != "" && strings.IndexByte("+- ", rest[0]) >= 0 {
		sp.sign, rest = rest[0], rest[1:]
	}
	if strings.HasPrefix(rest, "z") {
		sp.noNegZero, rest = true, rest[1:]
	}
	if strings.HasPrefix(rest, "#") {
		sp.alt, rest = true, rest[1:]
	}
	if !filled && strings.HasPrefix(rest, "0") {
		sp.fill, rest = "0", rest[1:]
		if sp.align == 0 && defaultAlign == '>' {
			sp.align = '='
		}
	}
	var err error
	if sp.width, rest, err = specNumber(rest, 0); err != nil {
		return sp, err
	}
	if rest, err = sp.parseGroup(rest); err != nil {
		return sp, err
	}
	if strings.HasPrefix(rest, ".") {
		if sp.precision, rest, err = specNumber(rest[1:], -1); err != nil {
			return sp, err
		}
		if sp.precision < 0 {
			return sp, valueErr("Format specifier missing precision")
		}
	}
	if utf8.RuneCountInString(rest) > 1 {
		return sp, valueErr("Invalid format specifier '%s' for object of type '%s'", format, typ)
	}
	if rest != "" {
		if sp.verb = rest[0]; sp.verb >= utf8.RuneSelf {
			return sp, unknownVerb(rest, typ)
		}
	}
	return sp, sp.checkGroup(typ)
}

func unknownVerb(verb, typ string) error {
	r, _ := utf8.DecodeRuneInString(verb)
	if r > 32 && r < 128 {
		return valueErr("Unknown format code '%s' for object of type '%s'", verb, typ)
	}
	return valueErr(`Unknown format code '\x%x' for object of type '%s'`, r, typ)
}

// specNumber reads digits; more than can matter are an error.
func specNumber(s string, missing int) (int, string, error) {
	end := 0
	for end < len(s) && s[end] >= '0' && s[end] <= '9' {
		end++
	}
	if end == 0 {
		return missing, s, nil
	}
	n, err := strconv.Atoi(s[:end])
	if err != nil {
		return 0, s, valueErr("Too many decimal digits in format string")
	}
	if n > maxItems {
		return 0, s, tooBig()
	}
	return n, s[end:], nil
}

func (sp *spec) parseGroup(rest string) (string, error) {
	for i := range 2 {
		if rest == "" || rest[0] != ',' && rest[0] != '_' {
			break
		}
		switch {
		case i == 0:
			sp.group = rest[0]
		case sp.group != rest[0]:
			return rest, valueErr("Cannot specify both ',' and '_'.")
		default:
			return rest, valueErr("Cannot specify '%c' with '%c'.", sp.group, rest[0])
		}
		rest = rest[1:]
	}
	return rest, nil
}

func (sp *spec) checkGroup(typ string) error {
	verb := sp.verb
	if verb == 0 && typ == "str" {
		verb = 's'
	}
	if sp.group == 0 || verb == 0 || strings.IndexByte("deEfFgG%", verb) >= 0 {
		return nil
	}
	if sp.group == '_' && strings.IndexByte("boxX", verb) >= 0 {
		return nil
	}
	return valueErr("Cannot specify '%c' with '%c'.", sp.group, verb)
}

func (sp *spec) formatText(s string) (string, error) {
	switch {
	case sp.verb != 0 && sp.verb != 's':
		return "", unknownVerb(string(sp.verb), "str")
	case sp.sign == ' ':
		return "", valueErr("Space not allowed in string format specifier")
	case sp.sign != 0:
		return "", valueErr("Sign not allowed in string format specifier")
	case sp.noNegZero:
		return "", valueErr("Negative zero coercion (z) not allowed in string format specifier")
	case sp.alt:
		return "", valueErr("Alternate form (#) not allowed in string format specifier")
	case sp.align == '=':
		return "", valueErr("'=' alignment not allowed in string format specifier")
	}
	if sp.precision >= 0 {
		s = prefix(s, sp.precision)
	}
	return sp.pad("", s, '<'), nil
}

// prefix is the first n characters of s.
func prefix(s string, n int) string {
	if n >= len(s) {
		return s
	}
	for i := range s {
		if n == 0 {
			return s[:i]
		}
		n--
	}
	return s
}

// pad aligns head+body within the width; '=' puts the fill between the two.
func (sp *spec) pad(head, body string, defaultAlign byte) string {
	align := sp.align
	if align == 0 {
		align = defaultAlign
	}
	missing := sp.width - utf8.RuneCountInString(head) - utf8.RuneCountInString(body)
	if missing <= 0 {
		return head + body
	}
	switch align {
	case '<':
		return head + body + strings.Repeat(sp.fill, missing)
	case '=':
		return head + strings.Repeat(sp.fill, missing) + body
	case '^':
		return strings.Repeat(sp.fill, missing/2) + head + body + strings.Repeat(sp.fill, missing-missing/2)
	}
	return strings.Repeat(sp.fill, missing) + head + body
}

func (sp *spec) formatNumber(n numeric, typ string) (string, error) {
	if n.real {
		return sp.formatFloat(n.f, typ)
	}
	switch sp.verb {
	case 0, 'd', 'n', 'b', 'o', 'x', 'X', 'c':
		return sp.formatInt(n.bigInt())
	case 'e', 'E', 'f', 'F', 'g', 'G', '%':
		f, err := n.float()
		if err != nil {
			return "", err
		}
		return sp.formatFloat(f, typ)
	}
	return "", unknownVerb(string(sp.verb), typ)
}

func (sp *spec) formatInt(n *big.Int) (string, error) {
	switch {
	case sp.precision >= 0:
		return "", valueErr("Precision not allowed in integer format specifier")
	case sp.noNegZero:
		return "", valueErr("Negative zero coercion (z) not allowed in integer format specifier")
	case sp.verb == 'c':
		return sp.formatChar(n)
	}
	base, prefix, size := 10, "", 3
	switch sp.verb {
	case 'b':
		base, prefix, size = 2, "0b", 4
	case 'o':
		base, prefix, size = 8, "0o", 4
	case 'x', 'X':
		base, prefix, size = 16, "0"+string(sp.verb), 4
	}
	head := sp.signOf(n.Sign() < 0)
	if sp.alt {
		head += prefix
	}
	digits := new(big.Int).Abs(n).Text(base)
	if sp.verb == 'X' {
		digits = strings.ToUpper(digits)
	}
	return sp.pad(head, sp.grouped(digits, size, len(head)), '>'), nil
}

func (sp *spec) formatChar(n *big.Int) (string, error) {
	switch {
	case sp.sign != 0:
		return "", valueErr("Sign not allowed with integer format specifier 'c'")
	case sp.alt:
		return "", valueErr("Alternate form (#) not allowed with integer format specifier 'c'")
	case !n.IsInt64():
		return "", Errorf("OverflowError", "Python int too large to convert to C long")
	case n.Int64() < 0 || n.Int64() > utf8.MaxRune:
		return "", Errorf("OverflowError", "%%c arg not in range(0x110000)")
	}
	return sp.pad("", string(rune(n.Int64())), '>'), nil
}

func (sp *spec) signOf(negative bool) string {
	switch {
	case negative:
		return "-"
	case sp.sign == '+' || sp.sign == ' ':
		return string(sp.sign)
	}
	return ""
}

// grouped inserts the separators; zeros that fill up the width are grouped too, and
// never let the number begin with a separator.
func (sp *spec) grouped(digits string, size, others int) string {
	if sp.group == 0 {
		return digits
	}
	if sp.fill == "0" && sp.align == '=' {
		n := len(digits)
		for n+(n-1)/size+others < sp.width {
			n++
		}
		digits = strings.Repeat("0", n-len(digits)) + digits
	}
	var b strings.Builder
	for i := range len(digits) {
		if i > 0 && (len(digits)-i)%size == 0 {
			b.WriteByte(sp.group)
		}
		b.WriteByte(digits[i])
	}
	return b.String()
}

func (sp *spec) formatFloat(f float64, typ string) (string, error) {
	verb, precision := sp.verb, sp.precision
	percent := ""
	switch verb {
	case 0, 'e', 'E', 'f', 'F', 'g', 'G', 'n':
	case '%':
		f, verb, percent = f*100, 'f', "%"
	default:
		return "", unknownVerb(string(verb), typ)
	}
	if verb == 'n' {
		verb = 'g'
	}
	if precision > 1<<20 {
		return "", valueErr("precision too big")
	}
	body := floatBody(math.Abs(f), verb, precision, sp.alt)
	negative := math.Signbit(f) && !math.IsNaN(f)
	if mantissa, _, _ := strings.Cut(strings.ToLower(body), "e"); sp.noNegZero && strings.Trim(mantissa, "0.") == "" {
		negative = false
	}
	head := sp.signOf(negative)
	body += percent
	end := 0
	for end < len(body) && body[end] >= '0' && body[end] <= '9' {
		end++
	}
	if end > 0 {
		body = sp.grouped(body[:end], 3, len(head)+len(body)-end) + body[end:]
	}
	return sp.pad(head, body, '>'), nil
}

// floatBody formats a number that is not negative, as %e, %f, %g or (verb 0) as str()
// does; a negative precision is the default one.
func floatBody(f float64, verb byte, precision int, alt bool) string {
	body := ""
	switch {
	case math.IsInf(f, 0):
		body = "inf"
	case math.IsNaN(f):
		body = "nan"
	case verb == 0 && precision < 0:
		if body = reprFloat(f); alt && !strings.Contains(body, ".") {
			body = strings.Replace(body, "e", ".e", 1)
		}
	case verb == 0 || verb == 'g' || verb == 'G':
		body = floatGeneral(f, precision, alt, verb == 0)
	default:
		if precision < 0 {
			precision = 6
		}
		lower := verb | 0x20
		body = strconv.FormatFloat(f, lower, precision, 64)
		if alt && precision == 0 {
			mantissa, exp, found := strings.Cut(body, "e")
			body = mantissa + "."
			if found {
				body += "e" + exp
			}
		}
	}
	if verb == 'E' || verb == 'F' || verb == 'G' {
		return strings.ToUpper(body)
	}
	return body
}

// floatGeneral is %g. str is set for the form without a type, which keeps one digit
// after the point and turns to an exponent one digit earlier.
func floatGeneral(f float64, precision int, alt, str bool) string {
	if precision < 0 {
		precision = 6
	}
	precision = max(precision, 1)
	mantissa, exponent, _ := strings.Cut(strconv.FormatFloat(f, 'e', precision-1, 64), "e")
	digits := strings.Replace(mantissa, ".", "", 1)
	exp, _ := strconv.Atoi(exponent)
	limit := precision
	if str {
		limit--
	}
	useExp := exp < -4 || exp >= limit
	if !alt {
		digits = strings.TrimRight(digits, "0")
	}
	switch {
	case useExp:
		if digits == "" {
			digits = "0"
		}
		s := digits[:1]
		if len(digits) > 1 || alt {
			s += "." + digits[1:]
		}
		return s + "e" + exponent
	case exp < 0:
		digits, exp = strings.Repeat("0", -exp)+digits, 0
	}
	for len(digits) < exp+1 {
		digits += "0"
	}
	s := digits[:exp+1]
	switch rest := digits[exp+1:]; {
	case rest != "" || alt:
		s += "." + rest
	case str:
		s += ".0"
	}
	return s
}
