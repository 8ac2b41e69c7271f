package value

import (
	"math"
	"math/big"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// FromJSON is Python's json.loads: objects keep their order (a repeated name its last
// value), integers of any size stay integers, NaN and Infinity are read. An error is a
// JSONDecodeError with Python's text.
func FromJSON(data []byte) (Value, error) {
	p := jsonParser{src: string(data)}
	if strings.HasPrefix(p.src, "\ufeff") {
		return nil, p.fail("Unexpected UTF-8 BOM (decode using utf-8-sig)", 0)
	}
	p.space()
	v, err := p.value(0)
	if err != nil {
		return nil, err
	}
	if p.space(); p.pos < len(p.src) {
		return nil, p.fail("Extra data", p.pos)
	}
	return v, nil
}

type jsonParser struct {
	src string
	pos int
}

func (p *jsonParser) fail(msg string, at int) error {
	at = min(at, len(p.src))
	before := p.src[:at]
	line := 1 + strings.Count(before, "\n")
	col := utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:]) + 1
	return Errorf("JSONDecodeError", "%s: line %d column %d (char %d)", msg, line, col, utf8.RuneCountInString(before))
}

func (p *jsonParser) space() {
	for p.pos < len(p.src) && strings.IndexByte(" \t\n\r", p.src[p.pos]) >= 0 {
		p.pos++
	}
}

func (p *jsonParser) peek() byte {
	if p.pos < len(p.src) {
		return p.src[p.pos]
	}
	return 0
}

var jsonWords = []struct {
	text string
	val  Value
}{
	{"null", None{}},
	{"true", Bool(true)},
	{"false", Bool(false)},
	{"NaN", Float(math.NaN())},
	{"Infinity", Float(math.Inf(1))},
	{"-Infinity", Float(math.Inf(-1))},
}

func (p *jsonParser) value(depth int) (Value, error) {
	if depth > 2*maxDepth {
		return nil, Errorf("RecursionError", "maximum recursion depth exceeded while decoding a JSON document")
	}
	switch c := p.peek(); {
	case c == '"':
		s, err := p.text()
		return S(s), err
	case c == '{':
		return p.object(depth + 1)
	case c == '[':
		return p.array(depth + 1)
	}
	if n := p.numberLen(); n > 0 {
		lit := p.src[p.pos : p.pos+n]
		p.pos += n
		return parseJSONNumber(lit)
	}
	for _, w := range jsonWords {
		if strings.HasPrefix(p.src[p.pos:], w.text) {
			p.pos += len(w.text)
			return w.val, nil
		}
	}
	return nil, p.fail("Expecting value", p.pos)
}

// numberLen is the length of the number that begins here: as much as is one.
func (p *jsonParser) numberLen() int {
	s := p.src[p.pos:]
	n := 0
	digits := func() bool {
		from := n
		for n < len(s) && s[n] >= '0' && s[n] <= '9' {
			n++
		}
		return n > from
	}
	if n < len(s) && s[n] == '-' {
		n++
	}
	if n < len(s) && s[n] == '0' {
		n++
	} else if !digits() {
		return 0
	}
	if whole := n; n < len(s) && s[n] == '.' {
		if n++; !digits() {
			return whole
		}
	}
	if mantissa := n; n < len(s) && (s[n] == 'e' || s[n] == 'E') {
		if n++; n < len(s) && (s[n] == '+' || s[n] == '-') {
			n++
		}
		if !digits() {
			return mantissa
		}
	}
	return n
}

func parseJSONNumber(s string) (Value, error) {
	if strings.ContainsAny(s, ".eE") {
		return ParseFloat(s)
	}
	if i, err := strconv.ParseInt(s, 10, 64); err == nil {
		return Int(i), nil
	}
	n, ok := new(big.Int).SetString(s, 10)
	if !ok {
		return nil, valueErr("invalid number %q", s)
	}
	return NewBig(n), nil
}

func (p *jsonParser) array(depth int) (Value, error) {
	p.pos++
	l := &List{Items: []Value{}}
	if p.space(); p.peek() == ']' {
		p.pos++
		return l, nil
	}
	for {
		v, err := p.value(depth)
		if err != nil {
			return nil, err
		}
		l.Items = append(l.Items, v)
		p.space()
		switch p.peek() {
		case ']':
			p.pos++
			return l, nil
		case ',':
			p.pos++
			p.space()
		default:
			return nil, p.fail("Expecting ',' delimiter", p.pos)
		}
	}
}

func (p *jsonParser) object(depth int) (Value, error) {
	p.pos++
	d := NewDict(0)
	if p.space(); p.peek() == '}' {
		p.pos++
		return d, nil
	}
	for {
		if p.peek() != '"' {
			return nil, p.fail("Expecting property name enclosed in double quotes", p.pos)
		}
		name, err := p.text()
		if err != nil {
			return nil, err
		}
		if p.space(); p.peek() != ':' {
			return nil, p.fail("Expecting ':' delimiter", p.pos)
		}
		p.pos++
		p.space()
		v, err := p.value(depth)
		if err != nil {
			return nil, err
		}
		d.SetStr(name, v)
		p.space()
		switch p.peek() {
		case '}':
			p.pos++
			return d, nil
		case ',':
			p.pos++
			p.space()
		default:
			return nil, p.fail("Expecting ',' delimiter", p.pos)
		}
	}
}

// text reads a string; most have no escape and are a part of the source.
func (p *jsonParser) text() (string, error) {
	start := p.pos
	p.pos++
	for i := p.pos; i < len(p.src); i++ {
		switch c := p.src[i]; {
		case c == '"':
			s := p.src[p.pos:i]
			p.pos = i + 1
			return s, nil
		case c == '\\' || c < ' ':
			return p.escaped(start)
		}
	}
	return "", p.fail("Unterminated string starting at", start)
}

func (p *jsonParser) escaped(start int) (string, error) {
	var b strings.Builder
	for p.pos < len(p.src) {
		c := p.src[p.pos]
		switch {
		case c == '"':
			p.pos++
			return b.String(), nil
		case c < ' ':
			return "", p.fail("Invalid control character at", p.pos)
		case c != '\\':
			b.WriteByte(c)
			p.pos++
			continue
		}
		if p.pos+1 >= len(p.src) {
			break
		}
		c = p.src[p.pos+1]
		if c == 'u' {
			r, err := p.unicode()
			if err != nil {
				return "", err
			}
			b.WriteRune(r)
			continue
		}
		i := strings.IndexByte(`"\/bfnrt`, c)
		if i < 0 {
			return "", p.fail(`Invalid \escape`, p.pos)
		}
		b.WriteByte("\"\\/\b\f\n\r\t"[i])
		p.pos += 2
	}
	return "", p.fail("Unterminated string starting at", start)
}

// unicode reads \uXXXX, or two of them that are a surrogate pair.
func (p *jsonParser) unicode() (rune, error) {
	hex := func(at int) (rune, bool) {
		if at+6 > len(p.src) || p.src[at:at+2] != `\u` {
			return 0, false
		}
		n, err := strconv.ParseUint(p.src[at+2:at+6], 16, 32)
		return rune(n), err == nil
	}
	r, ok := hex(p.pos)
	if !ok {
		return 0, p.fail(`Invalid \uXXXX escape`, p.pos+1)
	}
	p.pos += 6
	if utf16.IsSurrogate(r) {
		if low, ok := hex(p.pos); ok {
			if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
				p.pos += 6
				return pair, nil
			}
		}
	}
	return r, nil
}
