package jinja

import (
	"fmt"
	"sort"
	"strings"
	"unicode"
	"unicode/utf8"

	"orch/playbook/jinja/value"
)

// A directive is what can begin in template data.
type directive uint8

const (
	dirRaw directive = iota
	dirBlock
	dirVariable
	dirComment
	dirLineStatement
	dirLineComment
)

// A rule is a directive and the text it begins with.
type rule struct {
	dir  directive
	text string
}

// A syntax is what of the options the lexer needs, prepared once.
type syntax struct {
	*Options
	rules []rule // of equal starts the first wins: the longest
}

func newSyntax(o *Options) *syntax {
	s := &syntax{Options: o, rules: []rule{
		{dirVariable, o.VariableStart}, {dirComment, o.CommentStart}, {dirBlock, o.BlockStart},
	}}
	if o.LineStatementPrefix != "" {
		s.rules = append(s.rules, rule{dirLineStatement, o.LineStatementPrefix})
	}
	if o.LineCommentPrefix != "" {
		s.rules = append(s.rules, rule{dirLineComment, o.LineCommentPrefix})
	}
	// Jinja2 sorts by length, then by the token's name, downwards; that decides between
	// delimiters of which one is the start of the other.
	order := []int{dirVariable: 4, dirLineStatement: 3, dirLineComment: 2, dirComment: 1, dirBlock: 0}
	sort.SliceStable(s.rules, func(i, j int) bool {
		a, b := s.rules[i], s.rules[j]
		if len(a.text) != len(b.text) {
			return len(a.text) > len(b.text)
		}
		return order[a.dir] > order[b.dir]
	})
	return s
}

// A lexer cuts a template into tokens, one at a time: a mistake of the grammar is
// reported before a mistake of the lexer further down, as Jinja2 does.
type lexer struct {
	syn *syntax
	src string // newlines normalised
	pos int
	// state is the directive the lexer is in; data outside of any when inside is false.
	inside    bool
	state     directive
	balance   []byte // closing brackets that are due
	lineStart bool   // the last match ended in a newline
	// found caches per rule where it begins next, so that a delimiter that never comes
	// is searched once and not once per token.
	found []int
	// bare is set for a lone expression, which has no delimiters.
	bare bool
	// filled is set for an expression in pieces: every hole in src is a value.
	filled bool

	mark  int // an offset whose place is known
	place value.Place
}

func newLexer(syn *syntax, src string, bare bool) *lexer {
	if strings.IndexByte(src, '\r') >= 0 {
		src = strings.ReplaceAll(strings.ReplaceAll(src, "\r\n", "\n"), "\r", "\n")
	}
	l := &lexer{syn: syn, src: src, lineStart: true, bare: bare, inside: bare, place: value.Place{Line: 1, Col: 1}}
	if !syn.KeepTrailingNewline {
		l.src = strings.TrimSuffix(l.src, "\n")
	}
	if bare {
		l.state = dirVariable
		return l
	}
	l.found = make([]int, len(syn.rules))
	for i := range l.found {
		l.found[i] = -1
	}
	return l
}

// at returns the place of an offset; offsets mostly grow, so the work is linear.
func (l *lexer) at(off int) value.Place {
	if off < l.mark {
		l.mark, l.place = 0, value.Place{Line: 1, Col: 1}
	}
	text := l.src[l.mark:off]
	if n := strings.Count(text, "\n"); n > 0 {
		l.place.Line += n
		l.place.Col = 1
		text = text[strings.LastIndexByte(text, '\n')+1:]
	}
	l.place.Col += utf8.RuneCountInString(text)
	l.mark = off
	return l.place
}

func (l *lexer) fail(off int, format string, args ...any) error {
	return &Error{At: l.at(off), Msg: fmt.Sprintf(format, args...), Syntax: true}
}

// next returns the next token; after the end it is tokEOF for ever.
func (l *lexer) next() (token, error) {
	for {
		if l.inside {
			t, ok, err := l.tag()
			if ok || err != nil {
				return t, err
			}
			continue
		}
		t, ok, err := l.data()
		if ok || err != nil {
			return t, err
		}
	}
}

// data reads text up to the next directive, or the directive itself when there is no
// text before it.
func (l *lexer) data() (token, bool, error) {
	if l.pos >= len(l.src) {
		return token{kind: tokEOF, at: l.at(len(l.src))}, true, nil
	}
	d := l.directive()
	text, from := l.src[l.pos:d.start], l.pos
	if !d.ok {
		l.pos = len(l.src)
		return l.text(from, text), true, nil
	}
	text = l.strip(text, d.sign, d.dir != dirVariable)
	if text != "" {
		l.pos = d.start // the next call reads the directive
		return l.text(from, text), true, nil
	}
	return l.enter(d)
}

func (l *lexer) text(off int, s string) token {
	at := l.at(off)
	if l.syn.NewlineSequence != "\n" {
		s = strings.ReplaceAll(s, "\n", l.syn.NewlineSequence)
	}
	return token{kind: tokData, at: at, val: s}
}

// strip applies the whitespace control of the directive that follows text.
func (l *lexer) strip(text string, sign byte, block bool) string {
	switch {
	case sign == '-':
		return strings.TrimRightFunc(text, isSpace)
	case sign != '+' && block && l.syn.LstripBlocks:
		line := strings.LastIndexByte(text, '\n') + 1
		if (line > 0 || l.lineStart) && line < len(text) && strings.TrimFunc(text[line:], isSpace) == "" {
			return text[:line]
		}
	}
	return text
}

// A found is a directive found in the source: [start, end) with its sign and, for a line
// comment or statement, the blanks before it.
type found struct {
	dir        directive
	start, end int
	sign       byte
	ok         bool
}

// directive finds the first directive from pos on.
func (l *lexer) directive() found {
	best := found{start: len(l.src)}
	for i, r := range l.syn.rules {
		if l.found[i] < l.pos {
			l.found[i] = l.search(r)
		}
		if start := l.found[i]; start < best.start {
			end := start + strings.Index(l.src[start:], r.text) + len(r.text)
			best = found{dir: r.dir, start: start, end: end, ok: true}
		}
	}
	if !best.ok {
		return best
	}
	if at := best.start; strings.HasPrefix(l.src[at:], l.syn.BlockStart) {
		if end, sign, ok := l.raw(at); ok {
			return found{dir: dirRaw, start: at, end: end, sign: sign, ok: true}
		}
	}
	if best.end < len(l.src) && (l.src[best.end] == '-' || l.src[best.end] == '+') {
		best.sign = l.src[best.end]
		best.end++
	}
	return best
}

// search finds where r begins, from pos on; len(src) when nowhere.
func (l *lexer) search(r rule) int {
	for off := l.pos; ; {
		i := strings.Index(l.src[off:], r.text)
		if i < 0 {
			return len(l.src)
		}
		at := off + i
		switch r.dir {
		case dirLineStatement:
			start := at - len(l.src[l.pos:at]) + len(strings.TrimRight(l.src[l.pos:at], " \t\v"))
			if l.startsLine(start) {
				return start
			}
		case dirLineComment:
			start := l.pos + len(strings.TrimRightFunc(l.src[l.pos:at], func(r rune) bool {
				return r != '\n' && isSpace(r)
			}))
			if l.startsLine(start) {
				return start
			}
			if before, _ := utf8.DecodeLastRuneInString(l.src[:start]); !isSpace(before) {
				return start
			}
		default:
			return at
		}
		off = at + 1
	}
}

func (l *lexer) startsLine(off int) bool { return off == 0 || l.src[off-1] == '\n' }

// raw matches the beginning of a raw block at off: {% raw %}.
func (l *lexer) raw(off int) (end int, sign byte, ok bool) {
	rest, sign := cutSign(l.src[off+len(l.syn.BlockStart):])
	rest = strings.TrimLeftFunc(rest, isSpace)
	rest, ok = strings.CutPrefix(rest, "raw")
	if !ok {
		return 0, 0, false
	}
	rest = strings.TrimLeftFunc(rest, isSpace)
	if after, ok := strings.CutPrefix(rest, "-"+l.syn.BlockEnd); ok {
		return len(l.src) - len(strings.TrimLeftFunc(after, isSpace)), sign, true
	}
	after, ok := strings.CutPrefix(rest, l.syn.BlockEnd)
	return len(l.src) - len(after), sign, ok
}

func cutSign(s string) (string, byte) {
	if s != "" && (s[0] == '-' || s[0] == '+') {
		return s[1:], s[0]
	}
	return s, 0
}

// enter begins directive d. Comments and raw blocks are read whole.
func (l *lexer) enter(d found) (token, bool, error) {
	at := l.at(d.start)
	l.pos = d.end
	l.lineStart = strings.HasSuffix(l.src[:l.pos], "\n")
	switch d.dir {
	case dirRaw:
		return l.rawBody()
	case dirComment:
		return token{}, false, l.comment()
	case dirLineComment:
		n := strings.IndexByte(l.src[l.pos:], '\n')
		if n < 0 {
			n = len(l.src) - l.pos
		}
		l.pos += n
		l.lineStart = false
		return token{}, false, nil
	case dirVariable:
		l.inside, l.state = true, d.dir
		return token{kind: tokVariableBegin, at: at}, true, nil
	}
	l.inside, l.state = true, d.dir
	return token{kind: tokBlockBegin, at: at}, true, nil
}

// end matches the end of a block or comment at the start of s, its sign included, and
// returns its length.
func (l *lexer) end(s, delim string, plus bool) (int, bool) {
	switch {
	case plus && strings.HasPrefix(s, "+") && strings.HasPrefix(s[1:], delim):
		return 1 + len(delim), true
	case strings.HasPrefix(s, "-") && strings.HasPrefix(s[1:], delim):
		rest := strings.TrimLeftFunc(s[1+len(delim):], isSpace)
		return len(s) - len(rest), true
	case strings.HasPrefix(s, delim):
		n := len(delim)
		if plus && l.syn.TrimBlocks && strings.HasPrefix(s[n:], "\n") {
			n++
		}
		return n, true
	}
	return 0, false
}

func (l *lexer) comment() error {
	if l.pos >= len(l.src) {
		return nil // as Jinja2: an opened comment with nothing behind it is no mistake
	}
	i := strings.Index(l.src[l.pos:], l.syn.CommentEnd)
	if i < 0 {
		return l.fail(l.pos, "Missing end of comment tag")
	}
	end := l.pos + i
	if i > 0 && (l.src[end-1] == '-' || l.src[end-1] == '+') {
		end--
	}
	n, _ := l.end(l.src[end:], l.syn.CommentEnd, true)
	l.pos = end + n
	l.lineStart = strings.HasSuffix(l.src[:l.pos], "\n")
	return nil
}

func (l *lexer) rawBody() (token, bool, error) {
	if l.pos >= len(l.src) {
		return token{}, false, nil
	}
	for off := l.pos; ; {
		i := strings.Index(l.src[off:], l.syn.BlockStart)
		if i < 0 {
			return token{}, false, l.fail(l.pos, "Missing end of raw directive")
		}
		off += i
		rest, sign := cutSign(l.src[off+len(l.syn.BlockStart):])
		rest, ok := strings.CutPrefix(strings.TrimLeftFunc(rest, isSpace), "endraw")
		if ok {
			rest = strings.TrimLeftFunc(rest, isSpace)
			if n, ok := l.end(rest, l.syn.BlockEnd, true); ok {
				text, from := l.strip(l.src[l.pos:off], sign, true), l.pos
				l.pos = len(l.src) - len(rest) + n
				l.lineStart = l.src[l.pos-1] == '\n'
				return l.text(from, text), text != "", nil
			}
		}
		off++
	}
}

// leave matches the end of the directive the lexer is in.
func (l *lexer) leave() (token, bool) {
	rest := l.src[l.pos:]
	switch l.state {
	case dirLineStatement:
		blank := len(rest) - len(strings.TrimLeftFunc(rest, isSpace))
		n := blank
		if blank < len(rest) {
			if n = strings.LastIndexByte(rest[:blank], '\n') + 1; n == 0 {
				return token{}, false
			}
		}
		return l.close(tokBlockEnd, n), true
	case dirVariable:
		if n, ok := l.end(rest, l.syn.VariableEnd, false); ok && !l.bare {
			return l.close(tokVariableEnd, n), true
		}
	default:
		if n, ok := l.end(rest, l.syn.BlockEnd, true); ok {
			return l.close(tokBlockEnd, n), true
		}
	}
	return token{}, false
}

func (l *lexer) close(k kind, n int) token {
	t := token{kind: k, at: l.at(l.pos)}
	l.pos += n
	l.inside = false
	l.lineStart = n > 0 && l.src[l.pos-1] == '\n'
	return t
}

// tag reads a token inside a directive; false for whitespace.
func (l *lexer) tag() (token, bool, error) {
	if len(l.balance) == 0 {
		if t, ok := l.leave(); ok {
			return t, true, nil
		}
	}
	rest := l.src[l.pos:]
	if rest == "" {
		return token{kind: tokEOF, at: l.at(l.pos)}, true, nil
	}
	c, width := utf8.DecodeRuneInString(rest)
	switch {
	case isSpace(c):
		l.pos += len(rest) - len(strings.TrimLeftFunc(rest, isSpace))
		return token{}, false, nil
	case c >= '0' && c <= '9':
		return l.number(), true, nil
	case isWord(c):
		return l.name()
	case c == '\'' || c == '"':
		if t, ok, err := l.str(); ok || err != nil {
			return t, true, err
		}
	case l.filled && rest[0] == hole[0]:
		t := token{kind: tokValue, at: l.at(l.pos), node: l.holeNode(l.pos)}
		l.pos += len(hole)
		return t, true, nil
	default:
		if k, n := operatorKind(rest); n > 0 {
			t := token{kind: k, at: l.at(l.pos), val: rest[:n]}
			if err := l.bracket(rest[0]); err != nil {
				return t, true, err
			}
			l.pos += n
			return t, true, nil
		}
	}
	return token{}, false, l.fail(l.pos, "unexpected char %s at %d",
		value.Repr(value.S(rest[:width])), utf8.RuneCountInString(l.src[:l.pos]))
}

func (l *lexer) bracket(c byte) error {
	switch c {
	case '{':
		l.balance = append(l.balance, '}')
	case '(':
		l.balance = append(l.balance, ')')
	case '[':
		l.balance = append(l.balance, ']')
	case '}', ')', ']':
		n := len(l.balance)
		if n == 0 {
			return l.fail(l.pos, "unexpected '%c'", c)
		}
		if want := l.balance[n-1]; want != c {
			return l.fail(l.pos, "unexpected '%c', expected '%c'", c, want)
		}
		l.balance = l.balance[:n-1]
	}
	return nil
}

func (l *lexer) name() (token, bool, error) {
	rest := l.src[l.pos:]
	end := strings.IndexFunc(rest, func(r rune) bool { return !isWord(r) })
	if end < 0 {
		end = len(rest)
	}
	t := token{kind: tokName, at: l.at(l.pos), val: rest[:end]}
	if !isIdentifier(t.val) {
		return t, true, l.fail(l.pos, "Invalid character in identifier")
	}
	l.pos += end
	return t, true, nil
}

// isSpace is Python's str.isspace, which is also \s of its regular expressions.
func isSpace(r rune) bool { return unicode.IsSpace(r) || r >= 0x1c && r <= 0x1f }

// isWord is what may stand in a name as far as the lexer is concerned: \w and the marks
// that Python allows in identifiers.
func isWord(r rune) bool {
	switch {
	case r < utf8.RuneSelf:
		return r == '_' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
	case r == utf8.RuneError:
		return false
	}
	return unicode.In(r, unicode.L, unicode.N, unicode.Mn, unicode.Mc, unicode.Pc, unicode.Other_ID_Continue, unicode.Other_ID_Start)
}

func isIdentifier(s string) bool {
	for i, r := range s {
		start := r == '_' || unicode.In(r, unicode.L, unicode.Nl, unicode.Other_ID_Start)
		if !start && (i == 0 || !unicode.In(r, unicode.Mn, unicode.Mc, unicode.Nd, unicode.Pc, unicode.Other_ID_Continue)) {
			return false
		}
	}
	return s != ""
}
