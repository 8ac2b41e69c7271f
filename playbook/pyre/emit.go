package pyre

import (
	"fmt"
	"math"
	"strings"

	"github.com/dlclark/regexp2"
)

// The kinds of programs a Regexp is compiled to, on demand.
const (
	kindSearch  = iota
	kindAdvance // as search, but the match may not end where the search starts
	kindMatch   // at the start of the text
	kindFull    // the whole text
	kinds
)

// An emitter writes a pattern in regexp2's syntax. Nothing of that engine's own notions
// of case, white space, word characters or group names is used: sets are spelled out,
// and groups are numbered as in the source because none has a name.
type emitter struct {
	strings.Builder
	// ascii is set for the variant for texts that are all ASCII: sets shrink to what
	// such a text can contain, which makes them small and fast.
	ascii bool
	limit rune // the largest character
	err   error
}

// emit translates the pattern for one kind of program.
func (re *Regexp) emit(kind int, ascii bool) (string, error) {
	e := &emitter{ascii: ascii, limit: 0x10ffff}
	if ascii {
		e.limit = maxASCII
	} else if re.flags&Bytes != 0 {
		e.limit = maxLatin1
	}
	if kind == kindMatch || kind == kindFull {
		e.WriteString(`\A`)
	}
	e.WriteString("(?:")
	e.node(re.root, re.flags)
	e.WriteByte(')')
	switch kind {
	case kindAdvance:
		e.WriteString(`(?!\G)`)
	case kindFull:
		e.WriteString(`\z`)
	}
	return e.String(), e.err
}

func compileProgram(re *Regexp, kind int, ascii bool) (*regexp2.Regexp, error) {
	text, err := re.emit(kind, ascii)
	if err != nil {
		return nil, err
	}
	prog, err := regexp2.Compile(text, regexp2.None)
	if err != nil {
		return nil, fmt.Errorf("regular expression %q is not supported: %w", re.pattern, err)
	}
	prog.MatchTimeout = re.limit
	return prog, nil
}

func (e *emitter) node(n *node, f Flags) {
	switch n.op {
	case opSeq:
		for _, s := range n.subs {
			e.node(s, f)
		}
	case opLit:
		e.lit(n.r, f)
	case opAny:
		if f&DotAll != 0 {
			e.set(newRuneSet(nil), true)
		} else {
			e.set(runeSet{{'\n', '\n'}}, true)
		}
	case opSet:
		e.class(n.set, f)
	case opAt:
		e.at(n.r, f)
	case opRepeat:
		e.repeat(n, f)
	case opGroup:
		if n.add&typeFlags != 0 {
			f &^= typeFlags
		}
		if n.group > 0 {
			e.wrap("(", n.subs[0], (f|n.add)&^n.del)
		} else {
			e.wrap("(?:", n.subs[0], (f|n.add)&^n.del)
		}
	case opAtomic:
		e.wrap("(?>", n.subs[0], f)
	case opAssert:
		open := map[[2]bool]string{
			{false, false}: "(?=", {false, true}: "(?!", {true, false}: "(?<=", {true, true}: "(?<!",
		}[[2]bool{n.behind, n.neg}]
		e.wrap(open, n.subs[0], f)
	case opRef:
		if f&IgnoreCase != 0 {
			fmt.Fprintf(e, `(?i:\k<%d>)`, n.group)
		} else {
			fmt.Fprintf(e, `\k<%d>`, n.group)
		}
	case opCond:
		fmt.Fprintf(e, "(?(%d)", n.group)
		e.node(n.subs[0], f)
		e.WriteByte('|')
		if len(n.subs) == 2 {
			e.node(n.subs[1], f)
		}
		e.WriteByte(')')
	case opBranch:
		e.WriteString("(?:")
		for i, s := range n.subs {
			if i > 0 {
				e.WriteByte('|')
			}
			e.node(s, f)
		}
		e.WriteByte(')')
	}
}

func (e *emitter) wrap(open string, n *node, f Flags) {
	e.WriteString(open)
	e.node(n, f)
	e.WriteByte(')')
}

func (e *emitter) repeat(n *node, f Flags) {
	if n.possessive {
		e.WriteString("(?>")
		defer e.WriteByte(')')
	}
	e.wrap("(?:", n.subs[0], f)
	// regexp2 counts in 32 bits, whose largest value means "any number".
	lo := min(n.min, math.MaxInt32-1)
	switch {
	case n.max < 0 && lo == 0:
		e.WriteByte('*')
	case n.max < 0 && lo == 1:
		e.WriteByte('+')
	case n.max < 0:
		fmt.Fprintf(e, "{%d,}", lo)
	case n.min == 0 && n.max == 1:
		e.WriteByte('?')
	default:
		fmt.Fprintf(e, "{%d,%d}", lo, min(n.max, math.MaxInt32))
	}
	if n.lazy {
		e.WriteByte('?')
	}
}

// at writes an anchor.
func (e *emitter) at(r rune, f Flags) {
	switch r {
	case '^':
		if f&Multiline != 0 {
			e.WriteString("(?m:^)")
		} else {
			e.WriteString(`\A`)
		}
	case '$':
		if f&Multiline != 0 {
			e.WriteString("(?m:$)")
		} else {
			e.WriteString(`\Z`)
		}
	case 'A':
		e.WriteString(`\A`)
	case 'Z':
		e.WriteString(`\z`)
	case 'b':
		e.boundary(f)
	case 'B':
		// CPython before 3.14: \B does not match in an empty text.
		e.WriteString(`(?!\A\z)`)
		if e.ascii {
			e.WriteString(`\B`)
			return
		}
		e.WriteString("(?!")
		e.boundary(f)
		e.WriteByte(')')
	}
}

// boundary writes \b. regexp2's own has other word characters beyond ASCII.
func (e *emitter) boundary(f Flags) {
	if e.ascii {
		e.WriteString(`\b`)
		return
	}
	word := "[" + unicodeWordSet + "]"
	if f&(ASCII|Bytes) != 0 {
		word = "[0-9A-Z_a-z]"
	}
	fmt.Fprintf(e, "(?:(?<=%[1]s)(?!%[1]s)|(?<!%[1]s)(?=%[1]s))", word)
}

// unicodeWordSet is the inside of a set that is \w of a str pattern.
const unicodeWordSet = `\p{L}\p{N}_`

func (e *emitter) lit(r rune, f Flags) {
	if f&IgnoreCase == 0 {
		e.char(r)
		return
	}
	s := e.folded(runeSet{{r, r}}, f)
	if len(s) == 1 && s[0].lo == s[0].hi {
		e.char(s[0].lo)
		return
	}
	e.set(s.clip(e.limit), false)
}

func (e *emitter) folded(s runeSet, f Flags) runeSet {
	switch {
	case f&IgnoreCase == 0:
		return s
	case f&(ASCII|Bytes) != 0:
		return foldASCII(s)
	}
	return foldings().fold(s)
}

// char writes one character.
func (e *emitter) char(r rune) {
	if r < 128 && (r == ' ' || r == '_' || r == '-' || r == '/' || r == ':' || r == '=' || r == '"' ||
		'0' <= r && r <= '9' || 'A' <= r && r <= 'Z' || 'a' <= r && r <= 'z') {
		e.WriteByte(byte(r))
		return
	}
	fmt.Fprintf(e, `\x{%X}`, r)
}

// set writes a set of spelled out characters, or its complement.
func (e *emitter) set(s runeSet, neg bool) {
	if len(s) == 0 { // an empty set, or any character
		s, neg = runeSet{{0, 0x10ffff}}, !neg
	}
	e.WriteByte('[')
	if neg {
		e.WriteByte('^')
	}
	e.spans(s)
	e.WriteByte(']')
}

func (e *emitter) spans(s runeSet) {
	for _, r := range s {
		fmt.Fprintf(e, `\x{%X}`, r.lo)
		if r.hi > r.lo {
			fmt.Fprintf(e, `-\x{%X}`, r.hi)
		}
	}
}

// class writes a set as the source has it.
func (e *emitter) class(c *class, f Flags) {
	s := e.folded(newRuneSet(c.ranges), f).clip(e.limit)
	var open []string // what only categories can say: sets, or complements
	word, digit := false, false
	for _, cat := range c.cats {
		set, whole := e.category(cat, f)
		switch {
		case whole:
			s = s.union(set)
		case cat == 'w':
			word = true
		case cat == 'd':
			digit = true
		case cat == 'W':
			open = append(open, unicodeWordSet)
		case cat == 'D':
			open = append(open, `\p{Nd}`)
		}
	}
	named := ""
	if word {
		named = unicodeWordSet
	} else if digit {
		named = `\p{Nd}`
	}
	if named == "" && len(open) == 0 {
		e.set(s, c.neg)
		return
	}
	e.mixed(s, named, open, c.neg)
}

// mixed writes the union of s, the categories named and the complements of the sets
// open, or the complement of that.
func (e *emitter) mixed(s runeSet, named string, open []string, neg bool) {
	spelled := ""
	if named != "" || len(s) > 0 {
		var in emitter
		in.spans(s)
		spelled = in.String() + named
	}
	switch {
	case len(open) == 0 && !neg:
		fmt.Fprintf(e, "[%s]", spelled)
	case len(open) == 0:
		fmt.Fprintf(e, "[^%s]", spelled)
	case !neg:
		// Atomic: a character in several parts must not be tried several times.
		parts := []string{}
		if spelled != "" {
			parts = append(parts, "["+spelled+"]")
		}
		for _, o := range open {
			parts = append(parts, "[^"+o+"]")
		}
		fmt.Fprintf(e, "(?>%s)", strings.Join(parts, "|"))
	default:
		e.WriteString("(?:")
		if spelled != "" {
			fmt.Fprintf(e, "(?![%s])", spelled)
		}
		for _, o := range open[1:] {
			fmt.Fprintf(e, "(?=[%s])", o)
		}
		fmt.Fprintf(e, "[%s])", open[0])
	}
}

// category returns the characters of \d, \s, \w or their complements; whole is false
// when there are too many to spell out.
func (e *emitter) category(cat byte, f Flags) (set runeSet, whole bool) {
	narrow := e.ascii || f&(ASCII|Bytes) != 0
	switch cat | 0x20 {
	case 'd':
		set, whole = asciiDigit, narrow
	case 's':
		set, whole = unicodeSpace, true
		if f&(ASCII|Bytes) != 0 {
			set = asciiSpace
		}
	case 'w':
		set, whole = asciiWord, narrow
	}
	if cat < 'a' {
		set = set.not(e.limit)
	}
	return set.clip(e.limit), whole
}
