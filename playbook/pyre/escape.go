package pyre

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
)

const endOfPattern = "bad escape (end of pattern)"

// escape parses what follows a backslash outside a set.
func (p *parser) escape() (*node, error) {
	start := p.pos - 1
	r := p.get()
	switch {
	case r < 0:
		return nil, p.errAt(start, endOfPattern)
	case strings.ContainsRune("AZbB", r):
		return &node{op: opAt, r: r}, nil
	case strings.ContainsRune("dDsSwW", r):
		return &node{op: opSet, set: &class{cats: []byte{byte(r)}}}, nil
	case r == '0':
		p.octal(2)
		return p.octalLit(start)
	case r >= '1' && r <= '9':
		return p.backref(start)
	}
	c, err := p.charEscape(r, start)
	if err != nil {
		return nil, err
	}
	return &node{op: opLit, r: c}, nil
}

// backref parses \1 to \99; three octal digits are a character.
func (p *parser) backref(start int) (*node, error) {
	octal := func(r rune) bool { return r >= '0' && r <= '7' }
	if r := p.peek(); r >= '0' && r <= '9' {
		p.pos++
		if octal(p.src[start+1]) && octal(r) && octal(p.peek()) {
			p.pos++
			return p.octalLit(start)
		}
	}
	g, _ := strconv.Atoi(string(p.src[start+1 : p.pos]))
	if g > p.groups {
		return nil, p.errAt(start+1, "invalid group reference %d", g)
	}
	if p.open[g] {
		return nil, p.errAt(start, "cannot refer to an open group")
	}
	if err := p.checkBehind(g); err != nil {
		return nil, err
	}
	return &node{op: opRef, group: g}, nil
}

// octal consumes up to n octal digits.
func (p *parser) octal(n int) {
	for ; n > 0 && p.peek() >= '0' && p.peek() <= '7'; n-- {
		p.pos++
	}
}

func (p *parser) octalLit(start int) (*node, error) {
	r, err := p.octalValue(start)
	return &node{op: opLit, r: r}, err
}

func (p *parser) octalValue(start int) (rune, error) {
	text := string(p.src[start:p.pos])
	v, _ := strconv.ParseInt(text[1:], 8, 32)
	if v > 0o377 {
		return 0, p.errAt(start, "octal escape value %s outside of range 0-0o377", text)
	}
	return rune(v), nil
}

// charEscape parses the escapes that stand for one character, from the letter r on.
func (p *parser) charEscape(r rune, start int) (rune, error) {
	if c, ok := simpleEscape(r); ok {
		return c, nil
	}
	text := p.flags&Bytes == 0
	switch {
	case r == 'x':
		return p.hex(start, 2)
	case r == 'u' && text:
		return p.hex(start, 4)
	case r == 'U' && text:
		return p.hex(start, 8)
	case r == 'N' && text:
		return p.charName(start)
	case r < 128 && (unicode.IsLetter(r) || unicode.IsDigit(r)):
		return 0, p.errAt(start, "bad escape \\%c", r)
	}
	return r, nil
}

func simpleEscape(r rune) (rune, bool) {
	switch r {
	case 'a':
		return '\a', true
	case 'f':
		return '\f', true
	case 'n':
		return '\n', true
	case 'r':
		return '\r', true
	case 't':
		return '\t', true
	case 'v':
		return '\v', true
	}
	return 0, false
}

func (p *parser) hex(start, n int) (rune, error) {
	from := p.pos
	for p.pos-from < n && strings.ContainsRune("0123456789abcdefABCDEF", p.peek()) {
		p.pos++
	}
	text := string(p.src[start:p.pos])
	if p.pos-from != n {
		return 0, p.errAt(start, "incomplete escape %s", text)
	}
	v, _ := strconv.ParseInt(text[2:], 16, 64)
	if v > unicode.MaxRune {
		return 0, p.errAt(start, "bad escape %s", text)
	}
	return rune(v), nil
}

// charName refuses \N{…}: the table of names is larger than everything else here. Whoever
// has it expands names beforehand.
func (p *parser) charName(start int) (rune, error) {
	if !p.accept('{') {
		return 0, p.err(0, "missing {")
	}
	name, err := p.until('}', "character name")
	if err != nil {
		return 0, err
	}
	return 0, p.errAt(start, "character names are not supported: \\N{%s}", name)
}

// parseClass parses a set after its "[".
func (p *parser) parseClass() (*node, error) {
	start := p.pos - 1
	c := &class{neg: p.accept('^')}
	for empty := true; ; empty = false {
		r := p.get()
		if r < 0 {
			return nil, p.errAt(start, "unterminated character set")
		}
		if r == ']' && !empty {
			return &node{op: opSet, set: c}, nil
		}
		at := p.pos - 1
		lo, cat, err := p.classItem(r, at)
		if err != nil {
			return nil, err
		}
		if !p.accept('-') {
			c.add(lo, cat)
			continue
		}
		end := p.get()
		switch end {
		case -1:
			return nil, p.errAt(start, "unterminated character set")
		case ']':
			c.add(lo, cat)
			c.add('-', 0)
			return &node{op: opSet, set: c}, nil
		}
		hi, hiCat, err := p.classItem(end, p.pos-1)
		if err != nil {
			return nil, err
		}
		if cat != 0 || hiCat != 0 || hi < lo {
			return nil, p.errAt(at, "bad character range %s", string(p.src[at:p.pos]))
		}
		c.ranges = append(c.ranges, span{lo, hi})
	}
}

func (c *class) add(r rune, cat byte) {
	if cat != 0 {
		c.cats = append(c.cats, cat)
		return
	}
	c.ranges = append(c.ranges, span{r, r})
}

// classItem parses one member of a set: a character or a category.
func (p *parser) classItem(r rune, start int) (rune, byte, error) {
	if r != '\\' {
		return r, 0, nil
	}
	r = p.get()
	switch {
	case r < 0:
		return 0, 0, p.errAt(start, endOfPattern)
	case strings.ContainsRune("dDsSwW", r):
		return 0, byte(r), nil
	case r == 'b':
		return '\b', 0, nil
	case r >= '0' && r <= '7':
		p.octal(2)
		c, err := p.octalValue(start)
		return c, 0, err
	}
	c, err := p.charEscape(r, start)
	return c, 0, err
}

// repr is Python's repr of a name, for messages.
func repr(s string) string {
	quote := `'`
	if strings.Contains(s, `'`) && !strings.Contains(s, `"`) {
		quote = `"`
	}
	var b strings.Builder
	b.WriteString(quote)
	for _, r := range s {
		switch {
		case r == '\\' || string(r) == quote:
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case r < ' ' || r == 0x7f:
			fmt.Fprintf(&b, `\x%02x`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String() + quote
}
