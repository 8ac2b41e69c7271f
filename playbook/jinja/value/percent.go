package value

import (
	"errors"
	"math"
	"math/big"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Text is Python's str(v) for output: a strict undefined value is an *UndefinedError,
// Unknown (also within a container) an *UnknownError, a lenient undefined value "".
func Text(v Value) (string, error) {
	switch v := v.(type) {
	case Str:
		return v.S, nil
	case *Undefined:
		if v.Lenient {
			return "", nil
		}
		return "", &UndefinedError{v}
	case Unknown:
		return "", &UnknownError{v}
	case *List, *Dict, Tuple, *DictView, Tupled, Mapping:
		if u, ok := HasUnknown(v); ok {
			return "", &UnknownError{u}
		}
		if t, ok := v.(Texter); ok {
			return t.Str(), nil
		}
		return ReprText(v)
	}
	return String(v), nil
}

// absorb turns "not known" into the Unknown result.
func absorb(v Value, err error) (Value, error) {
	var unknown *UnknownError
	if errors.As(err, &unknown) {
		return unknown.U, nil
	}
	return v, err
}

// percentFormat is format % args.
func percentFormat(format, args Value) (Value, error) {
	s, _ := text(format)
	_, markup := format.(Markup)
	v, err := (&percent{markup: markup}).format(s, args)
	if out, ok := v.(Str); ok && markup {
		return Markup(out.S), err
	}
	return v, err
}

func (p *percent) format(s string, args Value) (Value, error) {
	p.args = []Value{args}
	switch a := args.(type) {
	case Tuple:
		p.args = a
	case *Dict, Mapping:
		p.mapping = args
	case *List, *Range, *Undefined: // they have items, which is all Python asks
		p.unused = true
	case Bytes:
		p.unused = !p.bytes
	}
	if err := p.run(s); err != nil {
		return absorb(nil, err)
	}
	return S(p.b.String()), nil
}

func percentBytes(format Bytes, args Value) (Value, error) {
	v, err := (&percent{bytes: true}).format(string(format), args)
	if s, ok := v.(Str); ok {
		return Bytes(s.S), err
	}
	return v, err
}

// errVerb is an unsupported conversion; field turns it into the message.
var errVerb = errors.New("unsupported format character")

type percent struct {
	b       strings.Builder
	args    []Value
	next    int
	mapping Value // the dict for %(name)s
	unused  bool  // arguments that are not used are no error
	markup  bool
	bytes   bool // the format is bytes
}

// A conversion is one parsed %-field.
type conversion struct {
	minus, plus, space, alt, zero bool
	width, precision              int
	verb                          rune
}

func (p *percent) run(s string) error {
	for i := 0; i < len(s); {
		at := strings.IndexByte(s[i:], '%')
		if at < 0 {
			p.b.WriteString(s[i:])
			break
		}
		p.b.WriteString(s[i : i+at])
		n, err := p.field(s, i+at+1)
		if err != nil {
			return err
		}
		i = n
	}
	if p.next < len(p.args) && p.mapping == nil && !p.unused {
		what := "string"
		if p.bytes {
			what = "bytes"
		}
		return typeErr("not all arguments converted during %s formatting", what)
	}
	return nil
}

func (p *percent) arg() (Value, error) {
	if p.next >= len(p.args) {
		return nil, typeErr("not enough arguments for format string")
	}
	p.next++
	return p.args[p.next-1], nil
}

func (p *percent) field(s string, i int) (int, error) {
	c := conversion{precision: -1}
	if strings.HasPrefix(s[i:], "%") {
		p.b.WriteByte('%')
		return i + 1, nil
	}
	i, arg, err := p.key(s, i)
	if err != nil {
		return 0, err
	}
	for ; i < len(s); i++ {
		switch s[i] {
		case '-':
			c.minus = true
			continue
		case '+':
			c.plus = true
			continue
		case ' ':
			c.space = true
			continue
		case '#':
			c.alt = true
			continue
		case '0':
			c.zero = true
			continue
		}
		break
	}
	if c.width, i, err = p.size(s, i, "ssize_t"); err != nil {
		return 0, err
	}
	if c.width < 0 {
		c.minus, c.width = true, -c.width
	}
	if i < len(s) && s[i] == '.' {
		if c.precision, i, err = p.size(s, i+1, "int"); err != nil {
			return 0, err
		}
		c.precision = max(c.precision, 0)
	}
	if i < len(s) && strings.IndexByte("hlL", s[i]) >= 0 {
		i++
	}
	if i >= len(s) {
		return 0, valueErr("incomplete format")
	}
	verb, w := utf8.DecodeRuneInString(s[i:])
	c.verb = verb
	if arg == nil {
		if arg, err = p.arg(); err != nil {
			return 0, err
		}
	}
	out, err := p.convert(c, arg)
	if errors.Is(err, errVerb) {
		shown := verb
		if verb < ' ' || verb > unicode.MaxASCII {
			shown = '?'
		}
		err = valueErr("unsupported format character '%c' (0x%x) at index %d", shown, verb, utf8.RuneCountInString(s[:i]))
	}
	p.b.WriteString(out)
	return i + w, err
}

// key reads %(name) and returns the entry of that name.
func (p *percent) key(s string, i int) (int, Value, error) {
	if i >= len(s) || s[i] != '(' {
		return i, nil, nil
	}
	if p.mapping == nil && !p.unused {
		return 0, nil, typeErr("format requires a mapping")
	}
	depth, end := 1, i+1
	for ; end < len(s) && depth > 0; end++ {
		switch s[end] {
		case '(':
			depth++
		case ')':
			depth--
		}
	}
	if depth > 0 {
		return 0, nil, valueErr("incomplete format key")
	}
	name := s[i+1 : end-1]
	if p.unused { // a sequence has items, but none of that name
		return 0, nil, MissingItem(p.args[0], S(name))
	}
	v, ok, err := p.mapping.(dictLike).Get(S(name))
	if err == nil && !ok {
		err = Errorf("KeyError", "%s", reprText(name))
	}
	p.next = len(p.args) // a key forbids further positional arguments
	return end, v, err
}

// size is a width or precision: digits, or * for the next argument.
// ctype is what CPython keeps it in, for the message.
func (p *percent) size(s string, i int, ctype string) (int, int, error) {
	if i < len(s) && s[i] == '*' {
		v, err := p.arg()
		if err != nil {
			return 0, 0, err
		}
		n, ok := index(v)
		if _, big := v.(*BigInt); big {
			return 0, 0, Errorf("OverflowError", "Python int too large to convert to C %s", ctype)
		}
		if !ok {
			return 0, 0, typeErr("* wants int")
		}
		if n > maxItems || n < -maxItems {
			return 0, 0, tooBig()
		}
		return n, i + 1, nil
	}
	n, rest, err := specNumber(s[i:], 0)
	return n, len(s) - len(rest), err
}

func (p *percent) convert(c conversion, v Value) (string, error) {
	if c.verb != 's' && c.verb != 'r' && c.verb != 'a' || IsUnknown(v) {
		if err := usable(v); err != nil {
			return "", err
		}
	}
	switch c.verb {
	case 'b', 's':
		if p.bytes {
			b, ok := v.(Bytes)
			if !ok {
				return "", typeErr("%%b requires a bytes-like object, or an object that implements __bytes__, not '%s'", v.Type())
			}
			return c.pad("", string(b), false), nil
		}
		if c.verb == 'b' {
			return "", errVerb
		}
		return p.convertText(c, v)
	case 'r', 'a':
		return p.convertText(c, v)
	case 'c':
		s, err := charArg(v)
		return c.pad("", s, false), err
	case 'd', 'i', 'u', 'o', 'x', 'X':
		return c.convertInt(v)
	case 'e', 'E', 'f', 'F', 'g', 'G':
		n, ok := number(v)
		if !ok {
			return "", typeErr("must be real number, not %s", v.Type())
		}
		f, err := n.float()
		if err != nil {
			return "", err
		}
		head := c.signOf(math.Signbit(f) && !math.IsNaN(f))
		return c.pad(head, floatBody(math.Abs(f), byte(c.verb), c.precision, c.alt), c.zero), nil
	}
	return "", errVerb
}

func (p *percent) convertText(c conversion, v Value) (string, error) {
	_, undefined := v.(*Undefined) // has a repr, however strict
	s, err := Text(v)
	switch {
	case err != nil && (c.verb == 's' || !undefined):
		return "", err
	case c.verb == 'r':
		if s, err = ReprText(v); err != nil {
			return "", err
		}
	case c.verb == 'a':
		s = ASCII(v)
	}
	if p.markup {
		if m, ok := v.(Markup); !ok || c.verb != 's' {
			s = string(Escape(S(s)))
		} else {
			s = string(m)
		}
	}
	if c.precision >= 0 {
		s = prefix(s, c.precision)
	}
	return c.pad("", s, false), nil
}

// ASCII is Python's ascii(v): repr with everything beyond ASCII escaped.
func ASCII(v Value) string {
	var b []byte
	for _, r := range Repr(v) {
		if r > unicode.MaxASCII {
			b = appendEscape(b, r)
		} else {
			b = append(b, byte(r))
		}
	}
	return string(b)
}

func charArg(v Value) (string, error) {
	if s, ok := text(v); ok {
		if utf8.RuneCountInString(s) == 1 {
			return s, nil
		}
		return "", typeErr("%%c requires int or char")
	}
	n, ok := number(v)
	if !ok || n.real {
		return "", typeErr("%%c requires int or char")
	}
	if n.big != nil || n.i < 0 || n.i > utf8.MaxRune {
		return "", Errorf("OverflowError", "%%c arg not in range(0x110000)")
	}
	return string(rune(n.i)), nil
}

func (c conversion) convertInt(v Value) (string, error) {
	n, ok := number(v)
	base, head := 10, ""
	switch c.verb {
	case 'o':
		base, head = 8, "0o"
	case 'x', 'X':
		base, head = 16, "0"+string(c.verb)
	}
	if base != 10 && (!ok || n.real) {
		return "", typeErr("%%%c format: an integer is required, not %s", c.verb, v.Type())
	}
	if !ok {
		return "", typeErr("%%%c format: a real number is required, not %s", c.verb, v.Type())
	}
	i := n.bigInt()
	if n.real {
		whole, err := truncate(n.f)
		if err != nil {
			return "", err
		}
		i = whole
	}
	digits := new(big.Int).Abs(i).Text(base)
	if c.verb == 'X' {
		digits = strings.ToUpper(digits)
	}
	if c.precision > len(digits) {
		digits = strings.Repeat("0", c.precision-len(digits)) + digits
	}
	sign := c.signOf(i.Sign() < 0)
	if c.alt {
		sign += head
	}
	return c.pad(sign, digits, c.zero), nil
}

// truncate is int(f).
func truncate(f float64) (*big.Int, error) {
	switch {
	case math.IsNaN(f):
		return nil, valueErr("cannot convert float NaN to integer")
	case math.IsInf(f, 0):
		return nil, Errorf("OverflowError", "cannot convert float infinity to integer")
	}
	n, _ := big.NewFloat(f).Int(nil)
	return n, nil
}

func (c conversion) signOf(negative bool) string {
	switch {
	case negative:
		return "-"
	case c.plus:
		return "+"
	case c.space:
		return " "
	}
	return ""
}

func (c conversion) pad(head, body string, zero bool) string {
	missing := c.width - utf8.RuneCountInString(head) - utf8.RuneCountInString(body)
	switch {
	case missing <= 0:
		return head + body
	case c.minus:
		return head + body + strings.Repeat(" ", missing)
	case zero:
		return head + strings.Repeat("0", missing) + body
	}
	return strings.Repeat(" ", missing) + head + body
}
