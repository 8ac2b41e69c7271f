package value

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// String is Python's str(v). The text of a strict undefined value or of Unknown is for
// messages only: the caller checks before it prints one.
func String(v Value) string {
	switch v := v.(type) {
	case Str:
		return v.S
	case Markup:
		return string(v)
	case Int:
		return strconv.FormatInt(int64(v), 10)
	case *Undefined:
		return ""
	case Sealed:
		return v.Text
	case Texter:
		return v.Str()
	}
	return Repr(v)
}

// Repr is Python's repr(v). Of a value too large to be printed it is the beginning, for
// messages; [ReprText] makes that an error.
func Repr(v Value) string {
	switch v := v.(type) {
	case Int:
		return strconv.FormatInt(int64(v), 10)
	case Str:
		return reprText(v.S)
	}
	p := printer{}
	p.repr(v)
	if p.full {
		return p.b.String()[:shownOfEndless] + "..."
	}
	return p.b.String()
}

// ReprText is Python's repr(v) for output: a value too large to be printed is an error.
func ReprText(v Value) (string, error) {
	p := printer{}
	p.repr(v)
	if p.full {
		return "", tooLong(v)
	}
	return p.b.String(), nil
}

// shownOfEndless is how many bytes Repr shows of a value too large to be printed.
const shownOfEndless = 200

// A printer keeps the containers it is inside of, to print a cycle as [...]. It is full
// once it has printed maxText bytes, or is maxNesting deep: then it prints no more.
type printer struct {
	b      strings.Builder
	inside []Value
	depth  int
	full   bool

	root    Value
	checked bool // that root is not Endless
}

func (p *printer) repr(v Value) {
	if p.full = p.full || p.b.Len() > maxText || p.depth > maxNesting; p.full {
		return
	}
	switch {
	case p.depth == 0:
		p.root = v
	case !p.checked && p.b.Len() > suspicious:
		if p.checked, p.full = true, Endless(p.root); p.full {
			return
		}
	}
	p.depth++
	defer func() { p.depth-- }()
	switch v := v.(type) {
	case Str:
		p.b.WriteString(reprText(v.S))
	case *List:
		p.nested(v, "[", "]", func() { p.items(v.Items) })
	case *Dict:
		p.nested(v, "{", "}", func() { p.entries(v) })
	case Tuple:
		p.b.WriteByte('(')
		p.items(v)
		if len(v) == 1 {
			p.b.WriteByte(',')
		}
		p.b.WriteByte(')')
	case *DictView:
		p.b.WriteString(string(v.Kind) + "(")
		p.nested(v.Of, "[", "]", func() { p.items(v.items()) })
		p.b.WriteByte(')')
	case Tupled:
		p.repr(v.Tuple())
	case Texter:
		p.b.WriteString(v.Repr())
	case Mapping:
		p.nested(v, "{", "}", func() { p.entries(v) })
	default:
		p.b.WriteString(reprScalar(v))
	}
}

func (p *printer) nested(v Value, open, end string, body func()) {
	p.b.WriteString(open)
	defer p.b.WriteString(end)
	for _, outer := range p.inside {
		if outer == v {
			p.b.WriteString("...")
			return
		}
	}
	p.inside = append(p.inside, v)
	body()
	p.inside = p.inside[:len(p.inside)-1]
}

func (p *printer) items(items []Value) {
	for i, item := range items {
		if p.full {
			return
		}
		if i > 0 {
			p.b.WriteString(", ")
		}
		p.repr(item)
	}
}

func (p *printer) entries(d dictLike) {
	for i, k := range d.Keys() {
		if p.full {
			return
		}
		if i > 0 {
			p.b.WriteString(", ")
		}
		p.repr(k)
		p.b.WriteString(": ")
		v, ok, err := d.Get(k)
		if err != nil || !ok {
			v = None{}
		}
		p.repr(v)
	}
}

func reprScalar(v Value) string {
	switch v := v.(type) {
	case None:
		return "None"
	case Bool:
		if v {
			return "True"
		}
		return "False"
	case Int:
		return strconv.FormatInt(int64(v), 10)
	case *BigInt:
		return v.V.String()
	case Float:
		return reprFloat(float64(v))
	case Markup:
		return "Markup(" + reprText(string(v)) + ")"
	case Bytes:
		return reprBytes(v)
	case *Range:
		return v.String()
	case *Undefined:
		return "Undefined"
	case Unknown:
		return "<unknown: " + v.Of + ">"
	case Sealed:
		return reprText(v.Text)
	case *BoundMethod:
		return fmt.Sprintf("<built-in method %s of %s object at %p>", v.Name, v.Self.Type(), v)
	case *Iterator:
		return fmt.Sprintf("<generator object at %p>", v)
	}
	return fmt.Sprintf("<%s object at %p>", v.Type(), v)
}

// reprFloat is float.__repr__: the shortest digits that read back the same, with an
// exponent below 1e-4 and from 1e16.
func reprFloat(f float64) string {
	switch {
	case math.IsInf(f, 1):
		return "inf"
	case math.IsInf(f, -1):
		return "-inf"
	case math.IsNaN(f):
		return "nan"
	}
	if abs := math.Abs(f); abs != 0 && (abs < 1e-4 || abs >= 1e16) {
		return strconv.FormatFloat(f, 'e', -1, 64)
	}
	s := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}

// reprText is str.__repr__: single quotes unless only those occur inside.
func reprText(s string) string {
	quote := byte('\'')
	if strings.Contains(s, "'") && !strings.Contains(s, `"`) {
		quote = '"'
	}
	b := make([]byte, 0, len(s)+2)
	b = append(b, quote)
	for i := 0; i < len(s); {
		r, w := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && w == 1:
			b = fmt.Appendf(b, `\udc%02x`, s[i])
		case r == '\\' || r == rune(quote):
			b = append(b, '\\', byte(r))
		case r == '\n':
			b = append(b, `\n`...)
		case r == '\r':
			b = append(b, `\r`...)
		case r == '\t':
			b = append(b, `\t`...)
		case r >= ' ' && r < 0x7f || r > 0x7f && unicode.IsPrint(r):
			b = append(b, s[i:i+w]...)
		default:
			b = appendEscape(b, r)
		}
		i += w
	}
	return string(append(b, quote))
}

func appendEscape(b []byte, r rune) []byte {
	switch {
	case r < 0x100:
		return fmt.Appendf(b, `\x%02x`, r)
	case r < 0x10000:
		return fmt.Appendf(b, `\u%04x`, r)
	}
	return fmt.Appendf(b, `\U%08x`, r)
}

func reprBytes(v Bytes) string {
	s := string(v)
	quote := byte('\'')
	if strings.Contains(s, "'") && !strings.Contains(s, `"`) {
		quote = '"'
	}
	b := append(make([]byte, 0, len(s)+3), 'b', quote)
	for i := range len(s) {
		switch c := s[i]; {
		case c == '\\' || c == quote:
			b = append(b, '\\', c)
		case c == '\n':
			b = append(b, `\n`...)
		case c == '\r':
			b = append(b, `\r`...)
		case c == '\t':
			b = append(b, `\t`...)
		case c >= ' ' && c < 0x7f:
			b = append(b, c)
		default:
			b = fmt.Appendf(b, `\x%02x`, c)
		}
	}
	return string(append(b, quote))
}
