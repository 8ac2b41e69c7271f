package jinja

import (
	"math/big"
	"strconv"
	"strings"
	"unicode/utf8"

	"orch/playbook/jinja/value"
)

// maxDigits is CPython's limit on the length of a decimal integer.
const maxDigits = 4300

// number reads a float or an integer. The digits are those of Jinja2's expressions: one
// underscore may stand between two of them.
func (l *lexer) number() token {
	rest := l.src[l.pos:]
	t := token{kind: tokInteger, at: l.at(l.pos)}
	n := 0
	if l.pos == 0 || l.src[l.pos-1] != '.' {
		n = floatLen(rest)
	}
	if n > 0 {
		t.kind = tokFloat
	} else {
		n = intLen(rest)
	}
	t.val = strings.ReplaceAll(rest[:n], "_", "")
	l.pos += n
	return t
}

// digits is the length of (\d+_)*\d+ at the start of s.
func digits(s string, is func(byte) bool) int {
	n := 0
	for n < len(s) {
		if is(s[n]) {
			n++
			continue
		}
		if n > 0 && s[n] == '_' && n+1 < len(s) && is(s[n+1]) {
			n += 2
			continue
		}
		break
	}
	return n
}

func isDecimal(c byte) bool { return c >= '0' && c <= '9' }

func floatLen(s string) int {
	n := digits(s, isDecimal)
	if n == 0 {
		return 0
	}
	float := false
	if n < len(s) && s[n] == '.' {
		if m := digits(s[n+1:], isDecimal); m > 0 {
			n += 1 + m
			float = true
		}
	}
	if n < len(s) && (s[n] == 'e' || s[n] == 'E') {
		m := n + 1
		if m < len(s) && (s[m] == '+' || s[m] == '-') {
			m++
		}
		if k := digits(s[m:], isDecimal); k > 0 {
			return m + k
		}
	}
	if !float {
		return 0
	}
	return n
}

func intLen(s string) int {
	if s[0] != '0' {
		return digits(s, isDecimal)
	}
	if len(s) > 2 {
		var is func(byte) bool
		switch s[1] {
		case 'b', 'B':
			is = func(c byte) bool { return c == '0' || c == '1' }
		case 'o', 'O':
			is = func(c byte) bool { return c >= '0' && c <= '7' }
		case 'x', 'X':
			is = func(c byte) bool { return isDecimal(c) || c|0x20 >= 'a' && c|0x20 <= 'f' }
		}
		if is != nil {
			from := 2
			if s[2] == '_' {
				from = 3
			}
			if n := digits(s[from:], is); n > 0 {
				return from + n
			}
		}
	}
	return digits(s, func(c byte) bool { return c == '0' })
}

// numberValue is the value of a number token.
func numberValue(t token) (value.Value, string) {
	if t.kind == tokFloat {
		f, _ := strconv.ParseFloat(t.val, 64) // out of range is infinity, as in Python
		return value.Float(f), ""
	}
	if n, err := strconv.ParseInt(t.val, 0, 64); err == nil {
		return value.Int(n), ""
	}
	if len(t.val) > maxDigits && t.val[0] != '0' {
		return nil, "Exceeds the limit (4300 digits) for integer string conversion"
	}
	n, ok := new(big.Int).SetString(t.val, 0)
	if !ok { // many zeros
		return value.Int(0), ""
	}
	return &value.BigInt{V: n}, ""
}

// str reads a string literal; false when it does not end.
func (l *lexer) str() (token, bool, error) {
	rest := l.src[l.pos:]
	quote := rest[0]
	// Inside {{ }} of a playbook Ansible doubles every backslash before Jinja2 sees the
	// string, so that there it neither escapes a character nor the quote.
	literal := l.syn.EscapeBackslashes && l.state == dirVariable && !l.bare
	escaped, filled := false, false
	for i := 1; i < len(rest); i++ {
		switch c := rest[i]; {
		case l.filled && c == hole[0]:
			filled = true
		case c == '\\' && literal && l.syn.EscapedQuotes:
			i++
		case c == '\\' && !literal:
			escaped = true
			if !l.filled || !strings.HasPrefix(rest[i+1:], hole) {
				i++
			}
		case c == quote:
			t := token{kind: tokString, at: l.at(l.pos), val: rest[1:i]}
			if l.syn.NewlineSequence != "\n" {
				t.val = strings.ReplaceAll(t.val, "\n", l.syn.NewlineSequence)
			}
			if filled {
				var err error
				if t.node, err = l.filledString(l.pos+1, t.val); err != nil {
					return t, false, err
				}
			} else if escaped {
				text, msg := unescape(t.val)
				if msg != "" {
					return t, false, l.fail(l.pos, "%s", msg)
				}
				t.val = text
			}
			l.pos += i + 1
			return t, true, nil
		}
	}
	return token{}, false, nil
}

// simpleEscapes are the escapes of one character; the rest of Python's are handled below
// and an unknown one stands for itself.
var simpleEscapes = map[byte]string{
	'\n': "", '\\': "\\", '\'': "'", '"': "\"", 'a': "\a", 'b': "\b",
	'f': "\f", 'n': "\n", 'r': "\r", 't': "\t", 'v': "\v",
}

// unescape decodes the escapes of a Python string literal. The second result is a
// message in CPython's words when it cannot.
func unescape(s string) (string, string) {
	var b strings.Builder
	for {
		i := strings.IndexByte(s, '\\')
		if i < 0 || i+1 == len(s) {
			b.WriteString(s)
			return b.String(), ""
		}
		b.WriteString(s[:i])
		c := s[i+1]
		rest := s[i+2:]
		if text, ok := simpleEscapes[c]; ok {
			b.WriteString(text)
			s = rest
			continue
		}
		width, base := 0, 16
		switch {
		case c >= '0' && c <= '7':
			rest, base = s[i+1:], 8
			for width < 3 && width < len(rest) && rest[width] >= '0' && rest[width] <= '7' {
				width++
			}
		case c == 'x':
			width = 2
		case c == 'u':
			width = 4
		case c == 'U':
			width = 8
		case c == 'N':
			text, n, err := value.NameEscape(rest)
			if err != nil {
				return "", err.Error()
			}
			b.WriteString(text)
			s = rest[n:]
			continue
		default:
			b.WriteString(s[i : i+2])
			s = rest
			continue
		}
		text, msg := codePoint(c, rest, width, base)
		if msg != "" {
			return "", msg
		}
		b.WriteString(text)
		s = rest[width:]
	}
}

func codePoint(c byte, digits string, width, base int) (string, string) {
	truncated := `truncated \` + string(c) + strings.Repeat("X", width) + " escape"
	if len(digits) < width {
		return "", truncated
	}
	n, err := strconv.ParseUint(digits[:width], base, 32)
	switch {
	case err != nil:
		return "", truncated
	case n > utf8.MaxRune:
		return "", "illegal Unicode character"
	case n >= 0xdc80 && n <= 0xdcff: // Python's surrogateescape: a byte that is no UTF-8
		return string([]byte{byte(n - 0xdc00)}), ""
	}
	return string(rune(n)), ""
}
