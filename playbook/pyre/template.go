package pyre

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A template is a parsed replacement: literal text and references to groups.
type template []templatePart

type templatePart struct {
	text  string
	group int // -1 for text
}

func (t template) expand(m *Match) string {
	var b strings.Builder
	for _, p := range t {
		if p.group < 0 {
			b.WriteString(p.text)
			continue
		}
		text, _ := m.Group(p.group) // a group that took no part is empty
		b.WriteString(text)
	}
	return b.String()
}

// A templateParser shares the reading and the messages of patterns.
type templateParser struct {
	parser
	re  *Regexp
	out template
	lit strings.Builder
}

// template parses a replacement template: \1, \g<1>, \g<name> and the escapes of
// characters.
func (re *Regexp) template(repl string) (template, error) {
	if strings.IndexByte(repl, '\\') < 0 {
		return template{{text: repl, group: -1}}, nil
	}
	t := &templateParser{re: re, parser: parser{pattern: repl, flags: re.flags}}
	if re.flags&Bytes != 0 {
		t.src = latin1(repl)
	} else {
		t.src, _ = codePoints(repl)
	}
	for t.pos < len(t.src) {
		r := t.get()
		if r != '\\' {
			t.char(r)
			continue
		}
		if err := t.templateEscape(t.pos - 1); err != nil {
			return nil, err
		}
	}
	t.flush()
	return t.out, nil
}

func (t *templateParser) flush() {
	if t.lit.Len() > 0 {
		t.out = append(t.out, templatePart{text: t.lit.String(), group: -1})
		t.lit.Reset()
	}
}

func (t *templateParser) char(r rune) {
	switch {
	case t.flags&Bytes != 0:
		t.lit.WriteByte(byte(r))
	case r >= surrogate+utf8.RuneSelf && r <= surrogate+maxLatin1:
		t.lit.WriteByte(byte(r - surrogate))
	default:
		t.lit.WriteRune(r)
	}
}

func (t *templateParser) group(g, at int) error {
	if g > t.re.groups {
		return t.errAt(at, "invalid group reference %d", g)
	}
	t.flush()
	t.out = append(t.out, templatePart{group: g})
	return nil
}

func (t *templateParser) templateEscape(start int) error {
	r := t.get()
	switch {
	case r < 0:
		return t.errAt(start, endOfPattern)
	case r == 'g':
		return t.named()
	case r == '0':
		t.octal(2)
		v, _ := strconv.ParseInt(string(t.src[start+1:t.pos]), 8, 32)
		t.char(rune(v & 0xff))
		return nil
	case r >= '1' && r <= '9':
		return t.number(start)
	}
	if c, ok := simpleEscape(r); ok {
		t.char(c)
		return nil
	}
	switch {
	case r == 'b':
		t.char('\b')
	case r == '\\':
		t.char(r)
	case r < 128 && unicode.IsLetter(r):
		return t.errAt(start, "bad escape \\%c", r)
	default:
		t.char('\\')
		t.char(r)
	}
	return nil
}

// number parses \1 to \99; three octal digits are a character.
func (t *templateParser) number(start int) error {
	if r := t.peek(); r >= '0' && r <= '9' {
		t.pos++
		octal := func(r rune) bool { return r >= '0' && r <= '7' }
		if octal(t.src[start+1]) && octal(r) && octal(t.peek()) {
			t.pos++
			v, err := t.octalValue(start)
			if err != nil {
				return err
			}
			t.char(v)
			return nil
		}
	}
	g, _ := strconv.Atoi(string(t.src[start+1 : t.pos]))
	return t.group(g, start+1)
}

// named parses \g<…>.
func (t *templateParser) named() error {
	if !t.accept('<') {
		return t.err(0, "missing <")
	}
	name, err := t.until('>', "group name")
	if err != nil {
		return err
	}
	size := len([]rune(name)) + 1
	if identifier(name) {
		g, ok := t.re.GroupIndex(name)
		if !ok {
			return &Error{Msg: "unknown group name " + repr(name), Pattern: t.pattern, Pos: -1}
		}
		return t.group(g, t.pos-size)
	}
	g, err := strconv.ParseUint(name, 10, 31)
	if err != nil {
		return t.err(size, "bad character in group name %s", repr(name))
	}
	return t.group(int(g), t.pos-size)
}
