package pyre

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
)

// maxRepeat is CPython's bound of a repetition count.
const maxRepeat = 4294967295

// maxNesting bounds how deep groups nest, as CPython's recursion limit does.
const maxNesting = 400

// A parser reads one pattern. Its structure and its messages follow the documented
// grammar of Python's re; positions are those CPython reports.
type parser struct {
	src     []rune
	pos     int
	pattern string
	flags   Flags

	groups   int // capturing groups opened so far
	names    []string
	open     map[int]bool
	widths   map[int][2]int
	behind   int         // > 0: groups opened before the enclosing look-behind, plus one
	condRefs map[int]int // group number → where a conditional names it
	order    []int       // keys of condRefs in order of appearance
}

func parse(pattern string, flags Flags) (*Regexp, error) {
	p := &parser{pattern: pattern, flags: flags}
	if flags&Bytes != 0 {
		p.src = latin1(pattern)
	} else {
		p.src, _ = codePoints(pattern)
	}
	if err := p.checkFlags(); err != nil {
		return nil, err
	}
	p.names = []string{""}
	p.open, p.widths, p.condRefs = map[int]bool{}, map[int][2]int{}, map[int]int{}
	root, err := p.parseSub(p.flags&Verbose != 0, 0)
	if err != nil {
		return nil, err
	}
	if p.pos < len(p.src) {
		return nil, p.err(0, "unbalanced parenthesis")
	}
	for _, g := range p.order {
		if g > p.groups {
			return nil, p.errAt(p.condRefs[g], "invalid group reference %d", g)
		}
	}
	if err := p.checkFlags(); err != nil {
		return nil, err
	}
	if p.flags&(ASCII|Bytes) == 0 {
		p.flags |= Unicode
	}
	if err := checkLookbehinds(root, pattern); err != nil {
		return nil, err
	}
	return &Regexp{pattern: pattern, flags: p.flags, root: root, groups: p.groups, names: p.names}, nil
}

// checkFlags refuses combinations of flags as Python does, with a ValueError there.
func (p *parser) checkFlags() error {
	refuse := func(msg string) error { return &Error{Msg: msg, Pattern: p.pattern, Pos: -1} }
	if p.flags&Bytes != 0 {
		switch {
		case p.flags&Unicode != 0:
			return refuse("cannot use UNICODE flag with a bytes pattern")
		case p.flags&Locale != 0 && p.flags&ASCII != 0:
			return refuse("ASCII and LOCALE flags are incompatible")
		}
		return nil
	}
	switch {
	case p.flags&Locale != 0:
		return refuse("cannot use LOCALE flag with a str pattern")
	case p.flags&ASCII != 0 && p.flags&Unicode != 0:
		return refuse("ASCII and UNICODE flags are incompatible")
	}
	return nil
}

// checkLookbehinds refuses a look-behind whose width is not fixed.
func checkLookbehinds(n *node, pattern string) error {
	return walkWidths(n, map[int][2]int{}, pattern)
}

func walkWidths(n *node, groups map[int][2]int, pattern string) error {
	for _, s := range n.subs {
		if err := walkWidths(s, groups, pattern); err != nil {
			return err
		}
	}
	switch {
	case n.op == opGroup && n.group > 0:
		n.width(groups)
	case n.op == opAssert && n.behind:
		if lo, hi := n.subs[0].width(groups); lo != hi {
			return &Error{Msg: "look-behind requires fixed-width pattern", Pattern: pattern, Pos: -1}
		}
	}
	return nil
}

func (p *parser) errAt(pos int, format string, args ...any) error {
	msg := fmt.Sprintf(format, args...)
	if p.flags&Bytes != 0 {
		msg = asciiOnly(msg)
	}
	return &Error{Msg: msg, Pattern: p.pattern, Pos: pos}
}

// asciiOnly escapes what is not ASCII, as Python does in messages about byte patterns.
func asciiOnly(s string) string {
	var b strings.Builder
	for _, r := range s {
		if r < 128 {
			b.WriteRune(r)
		} else {
			fmt.Fprintf(&b, `\x%02x`, r)
		}
	}
	return b.String()
}

// err reports a mistake back characters before the current position.
func (p *parser) err(back int, format string, args ...any) error {
	return p.errAt(p.pos-back, format, args...)
}

// peek returns the next character, -1 at the end. An escape counts as its backslash.
func (p *parser) peek() rune {
	if p.pos < len(p.src) {
		return p.src[p.pos]
	}
	return -1
}

func (p *parser) accept(r rune) bool {
	if p.peek() == r {
		p.pos++
		return true
	}
	return false
}

// get consumes and returns the next character, -1 at the end.
func (p *parser) get() rune {
	r := p.peek()
	if r >= 0 {
		p.pos++
	}
	return r
}

// until reads a name up to terminator.
func (p *parser) until(terminator rune, what string) (string, error) {
	start := p.pos
	for {
		switch r := p.get(); {
		case r < 0 && p.pos == start:
			return "", p.err(0, "missing %s", what)
		case r < 0:
			return "", p.err(p.pos-start, "missing %c, unterminated name", terminator)
		case r == terminator && p.pos-1 == start:
			return "", p.err(1, "missing %s", what)
		case r == terminator:
			return string(p.src[start : p.pos-1]), nil
		case r == '\\':
			p.get() // an escape is one token in CPython: \> does not end a name
		}
	}
}

// parseSub parses alternatives up to ")" or the end.
func (p *parser) parseSub(verbose bool, depth int) (*node, error) {
	if depth > maxNesting {
		return nil, p.err(0, "groups are nested more than %d deep", maxNesting)
	}
	var alts []*node
	for {
		seq, err := p.parseSeq(&verbose, depth, depth == 0 && alts == nil)
		if err != nil {
			return nil, err
		}
		alts = append(alts, seq)
		if !p.accept('|') {
			break
		}
	}
	if len(alts) == 1 {
		return alts[0], nil
	}
	return &node{op: opBranch, subs: alts}, nil
}

// parseSeq parses one alternative. first is set where global flags may stand.
func (p *parser) parseSeq(verbose *bool, depth int, first bool) (*node, error) {
	seq := &node{op: opSeq}
	for {
		r := p.peek()
		if r < 0 || r == '|' || r == ')' {
			return seq, nil
		}
		if *verbose && p.skipBlank(r) {
			continue
		}
		item, err := p.parseItem(seq, verbose, depth, first)
		if err != nil {
			return nil, err
		}
		if item != nil {
			seq.subs = append(seq.subs, item)
		}
	}
}

// skipBlank skips white space and comments of verbose mode.
func (p *parser) skipBlank(r rune) bool {
	switch r {
	case ' ', '\t', '\n', '\r', '\v', '\f':
		p.pos++
		return true
	case '#':
		for {
			// An escaped line end does not end the comment, as in CPython's tokenizer.
			switch r := p.get(); r {
			case -1, '\n':
				return true
			case '\\':
				p.get()
			}
		}
	}
	return false
}

// parseItem parses what starts at the current position. It returns nil for what leaves
// nothing to match (a comment, global flags) and for a quantifier, which it applies to
// the last item of seq.
func (p *parser) parseItem(seq *node, verbose *bool, depth int, first bool) (*node, error) {
	r := p.get()
	switch r {
	case '\\':
		return p.escape()
	case '[':
		return p.parseClass()
	case '*', '+', '?', '{':
		return p.quantifier(seq, r)
	case '.':
		return &node{op: opAny}, nil
	case '^', '$':
		return &node{op: opAt, r: r}, nil
	case '(':
		return p.group(verbose, depth, first && len(seq.subs) == 0)
	}
	return &node{op: opLit, r: r}, nil
}

func (p *parser) quantifier(seq *node, r rune) (*node, error) {
	here := p.pos
	n := &node{op: opRepeat, max: -1}
	switch r {
	case '?':
		n.max = 1
	case '+':
		n.min = 1
	case '{':
		ok, err := p.bounds(n, here)
		if err != nil {
			return nil, err
		}
		if !ok {
			p.pos = here
			return &node{op: opLit, r: '{'}, nil
		}
	}
	if len(seq.subs) == 0 || seq.subs[len(seq.subs)-1].op == opAt {
		return nil, p.errAt(here-1, "nothing to repeat")
	}
	last := seq.subs[len(seq.subs)-1]
	if last.op == opRepeat {
		return nil, p.errAt(here-1, "multiple repeat")
	}
	if p.accept('?') {
		n.lazy = true
	} else if p.accept('+') {
		n.possessive = true
	}
	n.subs = []*node{last}
	seq.subs[len(seq.subs)-1] = n
	return nil, nil
}

// bounds parses {m}, {m,}, {,n} and {m,n} after the brace; false when it is none.
func (p *parser) bounds(n *node, here int) (bool, error) {
	if p.peek() == '}' {
		return false, nil
	}
	lo := p.digits()
	hi := lo
	if p.accept(',') {
		hi = p.digits()
	}
	if !p.accept('}') {
		return false, nil
	}
	limit := func(s string) (int, error) {
		v, err := strconv.ParseUint(s, 10, 64)
		if err != nil || v >= maxRepeat {
			return 0, &Error{Msg: "the repetition number is too large", Pattern: p.pattern, Pos: -1}
		}
		return int(v), nil
	}
	var err error
	if lo != "" {
		if n.min, err = limit(lo); err != nil {
			return false, err
		}
	}
	if hi != "" {
		if n.max, err = limit(hi); err != nil {
			return false, err
		}
		if n.max < n.min {
			return false, p.errAt(here, "min repeat greater than max repeat")
		}
	}
	return true, nil
}

func (p *parser) digits() string {
	start := p.pos
	for r := p.peek(); r >= '0' && r <= '9'; r = p.peek() {
		p.pos++
	}
	return string(p.src[start:p.pos])
}

// identifier says whether s is a Python identifier.
func identifier(s string) bool {
	for i, r := range s {
		start := r == '_' || unicode.IsLetter(r) || unicode.Is(unicode.Nl, r)
		if !start && (i == 0 || !unicode.In(r, unicode.Mn, unicode.Mc, unicode.Nd, unicode.Pc)) {
			return false
		}
	}
	return s != ""
}
