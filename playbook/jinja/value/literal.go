package value

import (
	"math/big"
	"strconv"
	"strings"
	"unicode/utf8"
)

// LiteralEval is Python's ast.literal_eval: it reads strings (all prefixes but f, all
// escapes but \N, adjacent ones joined), bytes, numbers, tuples, lists, dicts, True,
// False and None. Anything else is a SyntaxError or ValueError, as there. What Python
// accepts and there is no value for is a ValueError that says so: sets, complex numbers,
// `...` and lone surrogates.
func LiteralEval(s string) (Value, error) {
	if strings.IndexByte(s, 0) >= 0 {
		return nil, valueErr("source code string cannot contain null bytes")
	}
	p := literalParser{src: strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(strings.TrimLeft(s, " \t"))}
	if err := p.blankLines(); err != nil {
		return nil, err
	}
	v, err := p.exprList(0)
	if err != nil {
		return nil, err
	}
	end := p.pos
	if p.space(1); p.pos < len(p.src) {
		return nil, p.syntax("invalid syntax")
	}
	// A last line of blanks alone is an indented one to CPython, unless it is continued.
	tail := p.src[end:]
	if at := strings.LastIndexByte(tail, '\n'); at >= 0 && !strings.HasSuffix(tail[:at], "\\") && isIndent(tail[at+1:]) {
		return nil, p.syntax("unexpected indent")
	}
	return v, nil
}

// isIndent says whether a line is blanks that indent; a form feed starts at the margin.
func isIndent(s string) bool {
	s = s[strings.LastIndexByte(s, '\f')+1:]
	return s != "" && strings.Trim(s, " \t") == ""
}

type literalParser struct {
	src string
	pos int
}

func (p *literalParser) syntax(format string, args ...any) error {
	err := Errorf("SyntaxError", format, args...).(*Error)
	err.Msg += " (line " + strconv.Itoa(1+strings.Count(p.src[:min(p.pos, len(p.src))], "\n")) + ")"
	return err
}

func malformed(what string) error { return valueErr("malformed node or string: %s", what) }

// blankLines skips empty lines and comments before the expression, which must not be
// indented after one.
func (p *literalParser) blankLines() error {
	for {
		start := p.pos
		p.space(0)
		if p.peek() != '\n' {
			blanks, _, _ := strings.Cut(p.src[start:p.pos], "\\")
			if isIndent(blanks) {
				return p.syntax("unexpected indent")
			}
			return nil
		}
		p.pos++
	}
}

func (p *literalParser) peek() byte {
	if p.pos < len(p.src) {
		return p.src[p.pos]
	}
	return 0
}

// space skips blanks and comments, and newlines within brackets.
func (p *literalParser) space(depth int) {
	for p.pos < len(p.src) {
		switch c := p.src[p.pos]; {
		case c == ' ' || c == '\t' || c == '\f' || c == '\n' && depth > 0:
			p.pos++
		case c == '\\' && strings.HasPrefix(p.src[p.pos:], "\\\n") && p.pos+2 < len(p.src):
			p.pos += 2
		case c == '#':
			for p.pos < len(p.src) && p.src[p.pos] != '\n' {
				p.pos++
			}
		default:
			return
		}
	}
}

// exprList is an expression, or a tuple without its parentheses.
func (p *literalParser) exprList(depth int) (Value, error) {
	v, err := p.expr(depth)
	if err != nil {
		return nil, err
	}
	if p.space(depth); p.peek() != ',' {
		return v, nil
	}
	items := Tuple{v}
	for p.peek() == ',' {
		p.pos++
		if p.space(depth); p.pos >= len(p.src) || p.peek() == ')' || p.peek() == '\n' {
			break
		}
		if v, err = p.expr(depth); err != nil {
			return nil, err
		}
		items = append(items, v)
		p.space(depth)
	}
	return items, nil
}

// maxBrackets is the tokenizer's limit in CPython.
const maxBrackets = 200

func (p *literalParser) expr(depth int) (Value, error) {
	if depth > maxBrackets {
		return nil, p.syntax("too many nested parentheses")
	}
	p.space(depth)
	var v Value
	var err error
	switch c := p.peek(); {
	case p.pos >= len(p.src) || c == '\n':
		return nil, p.syntax("invalid syntax")
	case c == '[':
		v, err = p.list(depth + 1)
	case c == '(':
		v, err = p.tuple(depth + 1)
	case c == '{':
		v, err = p.dict(depth + 1)
	case c == '-' || c == '+':
		return p.signed(c, depth)
	case strings.HasPrefix(p.src[p.pos:], "..."):
		return nil, valueErr("Ellipsis is not supported")
	case c >= '0' && c <= '9' || c == '.':
		v, err = p.number()
	case c == '\'' || c == '"':
		v, err = p.strings(depth)
	case c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z':
		v, err = p.word(depth)
	default:
		return nil, p.syntax("invalid syntax")
	}
	if err != nil {
		return nil, err
	}
	p.space(depth)
	if c := p.peek(); c != 0 && strings.IndexByte(".[(+-*/%<>=&|^@", c) >= 0 {
		return nil, malformed("operator " + strconv.QuoteRune(rune(c)))
	}
	return v, nil
}

// signed is a sign before a number, once.
func (p *literalParser) signed(sign byte, depth int) (Value, error) {
	p.pos++
	p.space(depth)
	bare := strings.TrimLeft(p.src[p.pos:], "( \t\f\n")
	v, err := p.expr(depth)
	if err != nil {
		return nil, err
	}
	switch v.(type) {
	case Int, *BigInt, Float:
		if strings.HasPrefix(bare, "-") || strings.HasPrefix(bare, "+") {
			return nil, malformed("a second sign")
		}
	default:
		return nil, malformed("operator " + strconv.QuoteRune(rune(sign)))
	}
	if sign == '+' {
		return v, nil
	}
	return Neg(v)
}

// closeBracket skips space and says whether the bracket ends here.
func (p *literalParser) closeBracket(end byte, depth int) (bool, error) {
	p.space(depth)
	if p.pos >= len(p.src) {
		open := map[byte]string{')': "(", ']': "[", '}': "{"}[end]
		return false, p.syntax("'%s' was never closed", open)
	}
	if p.peek() == end {
		p.pos++
		return true, nil
	}
	return false, nil
}

// separator wants a comma or the end of the bracket.
func (p *literalParser) separator(end byte, depth int) (done bool, err error) {
	if done, err = p.closeBracket(end, depth); done || err != nil {
		return done, err
	}
	if p.peek() != ',' {
		return false, p.syntax("invalid syntax")
	}
	p.pos++
	return p.closeBracket(end, depth)
}

func (p *literalParser) list(depth int) (Value, error) {
	p.pos++
	l := &List{Items: []Value{}}
	done, err := p.closeBracket(']', depth)
	for !done && err == nil {
		var v Value
		if v, err = p.expr(depth); err != nil {
			return nil, err
		}
		l.Items = append(l.Items, v)
		done, err = p.separator(']', depth)
	}
	return l, err
}

func (p *literalParser) tuple(depth int) (Value, error) {
	p.pos++
	if done, err := p.closeBracket(')', depth); done || err != nil {
		return Tuple{}, err
	}
	v, err := p.exprList(depth)
	if err != nil {
		return nil, err
	}
	done, err := p.closeBracket(')', depth)
	if err == nil && !done {
		err = p.syntax("invalid syntax")
	}
	return v, err
}

func (p *literalParser) dict(depth int) (Value, error) {
	p.pos++
	d := NewDict(0)
	done, err := p.closeBracket('}', depth)
	for !done && err == nil {
		var k, v Value
		if k, err = p.expr(depth); err != nil {
			return nil, err
		}
		if p.space(depth); p.peek() != ':' {
			if c := p.peek(); c == ',' || c == '}' {
				return nil, valueErr("a set is not supported")
			}
			return nil, p.syntax("invalid syntax")
		}
		p.pos++
		if v, err = p.expr(depth); err != nil {
			return nil, err
		}
		if err = d.Set(k, v); err != nil {
			return nil, err
		}
		done, err = p.separator('}', depth)
	}
	return d, err
}

// word is a constant, the prefix of a string, or a name, which is malformed.
func (p *literalParser) word(depth int) (Value, error) {
	start := p.pos
	for p.pos < len(p.src) {
		r, w := utf8.DecodeRuneInString(p.src[p.pos:])
		if !isIdentPart(r) {
			break
		}
		p.pos += w
	}
	word := p.src[start:p.pos]
	if c := p.peek(); c == '\'' || c == '"' {
		p.pos = start
		return p.strings(depth)
	}
	switch word {
	case "True":
		return Bool(true), nil
	case "False":
		return Bool(false), nil
	case "None":
		return None{}, nil
	case "set":
		return nil, valueErr("a set is not supported")
	}
	return nil, malformed(word)
}

func (p *literalParser) number() (Value, error) {
	start := p.pos
	src := p.src[start:]
	if len(src) > 1 && src[0] == '0' && prefixBase(src[1]) != 0 {
		p.pos += 2
		for p.pos < len(p.src) && isIdentPart(rune(p.src[p.pos])) {
			p.pos++
		}
		v, err := ParseInt(p.src[start:p.pos], 0)
		if err != nil {
			return nil, p.syntax("invalid number %q", p.src[start:p.pos])
		}
		return v, nil
	}
	digits := func() bool {
		from := p.pos
		for c := p.peek(); c >= '0' && c <= '9' || c == '_'; c = p.peek() {
			p.pos++
		}
		return p.pos > from
	}
	whole := digits()
	real := false
	if p.peek() == '.' {
		p.pos++
		real = true
		if !digits() && !whole {
			return nil, p.syntax("invalid syntax")
		}
	}
	if c := p.peek(); c == 'e' || c == 'E' {
		p.pos++
		if c := p.peek(); c == '+' || c == '-' {
			p.pos++
		}
		real = true
		if !digits() {
			return nil, p.syntax("invalid decimal literal")
		}
	}
	return p.numberValue(p.src[start:p.pos], real)
}

func (p *literalParser) numberValue(lit string, real bool) (Value, error) {
	switch c := p.peek(); {
	case c == 'j' || c == 'J':
		return nil, valueErr("a complex number is not supported")
	case c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= utf8.RuneSelf:
		return nil, p.syntax("invalid decimal literal")
	case !underscoresBetweenDigits(lit):
		return nil, p.syntax("invalid decimal literal")
	case real:
		return ParseFloat(lit)
	}
	plain := strings.ReplaceAll(lit, "_", "")
	if len(plain) > 1 && plain[0] == '0' && strings.Trim(plain, "0") != "" {
		return nil, p.syntax("leading zeros in decimal integer literals are not permitted; " +
			"use an 0o prefix for octal integers")
	}
	n, ok := new(big.Int).SetString(plain, 10)
	if !ok {
		return nil, p.syntax("invalid decimal literal")
	}
	return NewBig(n), nil
}

// strings reads one string or several adjacent ones.
func (p *literalParser) strings(depth int) (Value, error) {
	var text strings.Builder
	kind := byte(0)
	for {
		s, isBytes, err := p.stringPart()
		if err != nil {
			return nil, err
		}
		this := byte('s')
		if isBytes {
			this = 'b'
		}
		if kind != 0 && kind != this {
			return nil, p.syntax("cannot mix bytes and nonbytes literals")
		}
		kind = this
		text.WriteString(s)
		p.space(depth)
		if !p.atString() {
			break
		}
	}
	if kind == 'b' {
		return Bytes(text.String()), nil
	}
	return S(text.String()), nil
}

// atString says whether a string literal, maybe with a prefix, begins here.
func (p *literalParser) atString() bool {
	i := p.pos
	for i < len(p.src) && i-p.pos < 3 && strings.IndexByte("rRbBuUfF", p.src[i]) >= 0 {
		i++
	}
	return i < len(p.src) && (p.src[i] == '\'' || p.src[i] == '"')
}

func (p *literalParser) stringPart() (s string, isBytes bool, err error) {
	start := p.pos
	for c := p.peek(); c != '\'' && c != '"'; c = p.peek() {
		p.pos++
	}
	raw := false
	switch strings.ToLower(p.src[start:p.pos]) {
	case "", "u":
	case "r":
		raw = true
	case "b":
		isBytes = true
	case "br", "rb":
		raw, isBytes = true, true
	case "f", "fr", "rf":
		return "", false, malformed("an f-string")
	default:
		return "", false, p.syntax("invalid syntax")
	}
	body, err := p.quoted()
	if err != nil {
		return "", false, err
	}
	if isBytes && !isASCII(body) {
		return "", false, p.syntax("bytes can only contain ASCII literal characters")
	}
	if raw {
		return body, isBytes, nil
	}
	s, err = Unescape(body, isBytes)
	if err != nil {
		err = p.syntax("%s", err)
	}
	return s, isBytes, err
}

// quoted returns what is between the quotes, one or three on either side.
func (p *literalParser) quoted() (string, error) {
	quote := p.src[p.pos : p.pos+1]
	if triple := strings.Repeat(quote, 3); strings.HasPrefix(p.src[p.pos:], triple) {
		quote = triple
	}
	p.pos += len(quote)
	start := p.pos
	for p.pos < len(p.src) {
		switch {
		case strings.HasPrefix(p.src[p.pos:], quote):
			p.pos += len(quote)
			return p.src[start : p.pos-len(quote)], nil
		case p.src[p.pos] == '\n' && len(quote) == 1:
			return "", p.syntax("unterminated string literal")
		case p.src[p.pos] == '\\':
			p.pos++
		}
		p.pos++
	}
	return "", p.syntax("unterminated string literal")
}

// Unescape replaces the escapes of a Python string (or bytes) literal. An escape Python
// does not know stays as it is.
func Unescape(s string, bytes bool) (string, error) {
	if strings.IndexByte(s, '\\') < 0 {
		return s, nil
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		if s[i] != '\\' || i+1 == len(s) {
			b.WriteByte(s[i])
			i++
			continue
		}
		out, n, err := escape(s[i:], i, bytes)
		if err != nil {
			return "", err
		}
		b.WriteString(out)
		i += n
	}
	return b.String(), nil
}

var simpleEscapes = map[byte]string{
	'\n': "", '\\': `\`, '\'': "'", '"': `"`, 'a': "\a", 'b': "\b", 'f': "\f", 'n': "\n", 'r': "\r", 't': "\t", 'v': "\v",
}

// escape reads the escape at the start of s, which stands at offset at.
func escape(s string, at int, bytes bool) (string, int, error) {
	c := s[1]
	if out, ok := simpleEscapes[c]; ok {
		return out, 2, nil
	}
	put := func(n uint64) string {
		if bytes {
			return string([]byte{byte(n)})
		}
		return string(rune(n))
	}
	if c >= '0' && c <= '7' {
		end := 2
		for end < min(len(s), 4) && s[end] >= '0' && s[end] <= '7' {
			end++
		}
		n, _ := strconv.ParseUint(s[1:end], 8, 32)
		return put(n), end, nil
	}
	size := map[byte]int{'x': 2, 'u': 4, 'U': 8}[c]
	if bytes && c != 'x' || size == 0 && c != 'N' {
		return s[:2], 2, nil
	}
	if c == 'N' {
		text, n, err := NameEscape(s[2:])
		if err != nil {
			return "", 0, valueErr("(unicode error) %s at position %d", err, at)
		}
		return text, 2 + n, nil
	}
	if len(s) < 2+size {
		return "", 0, truncated(c, at, bytes)
	}
	n, err := strconv.ParseUint(s[2:2+size], 16, 32)
	switch {
	case err != nil:
		return "", 0, truncated(c, at, bytes)
	case n > utf8.MaxRune:
		return "", 0, valueErr("(unicode error) illegal Unicode character at position %d", at)
	case n >= 0xdc80 && n <= 0xdcff && !bytes: // surrogateescape
		return string([]byte{byte(n)}), 2 + size, nil
	case n >= 0xd800 && n < 0xe000 && !bytes:
		return "", 0, valueErr("a lone surrogate at position %d is not supported", at)
	}
	return put(n), 2 + size, nil
}

func truncated(c byte, at int, bytes bool) error {
	if bytes {
		return valueErr(`(value error) invalid \x escape at position %d`, at)
	}
	return valueErr(`(unicode error) truncated \%c escape at position %d`, c, at)
}
