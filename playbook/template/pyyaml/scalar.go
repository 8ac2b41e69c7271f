package pyyaml

import (
	"fmt"
	"unicode/utf8"
)

// An analysis says in which styles a text can be written.
type analysis struct {
	multiline                            bool
	flowPlain, blockPlain, single, block bool
}

func isBreak(r rune) bool {
	return r == '\n' || r == '\r' || r == 0x85 || r == 0x2028 || r == 0x2029
}

func isBlank(r rune) bool { return r == ' ' || r == '\t' || isBreak(r) || r == 0 || r < 0 }

// printable is libyaml's notion: no tabs, and nothing beyond the basic plane.
func printable(r rune) bool {
	return r == '\n' || r >= 0x20 && r <= 0x7e || r >= 0xa0 && r <= 0xd7ff ||
		r >= 0xe000 && r <= 0xfffd && r != 0xfeff
}

// An analyzer looks at each character of a scalar once.
type analyzer struct {
	flow, block              bool // indicators that plain text must not hold
	breaks, special          bool
	leading, trailing        bool // white space at an end
	trailingSpace            bool
	breakSpace, spaceBreak   bool
	afterSpace, afterNewline bool
}

func analyze(s string, unicode bool) analysis {
	if s == "" {
		return analysis{blockPlain: true, single: true}
	}
	var a analyzer
	if len(s) >= 3 && (s[:3] == "---" || s[:3] == "...") {
		a.flow, a.block = true, true
	}
	before := rune(-1)
	for i := 0; i < len(s); {
		r, w := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && w == 1 {
			a.special = true
		}
		next := rune(-1)
		if i+w < len(s) {
			next, _ = utf8.DecodeRuneInString(s[i+w:])
		}
		a.indicators(r, next, before, i == 0)
		if !printable(r) || r > 0x7f && !unicode {
			a.special = true
		}
		a.spacing(r, i == 0, next < 0)
		before = r
		i += w
	}
	return a.result()
}

func (a *analyzer) indicators(r, next, before rune, first bool) {
	switch r {
	case ',', '[', ']', '{', '}':
		a.flow = true
		a.block = a.block || first
	case '#':
		if first || isBlank(before) {
			a.flow, a.block = true, true
		}
	case '&', '*', '!', '|', '>', '\'', '"', '%', '@', '`':
		if first {
			a.flow, a.block = true, true
		}
	case '?':
		a.flow = true
		a.block = a.block || first && isBlank(next)
	case ':':
		a.flow = true
		a.block = a.block || isBlank(next)
	case '-':
		if first && isBlank(next) {
			a.flow, a.block = true, true
		}
	}
}

func (a *analyzer) spacing(r rune, first, last bool) {
	switch {
	case r == ' ':
		a.leading = a.leading || first
		a.trailing = a.trailing || last
		a.trailingSpace = a.trailingSpace || last
		a.breakSpace = a.breakSpace || a.afterNewline
		a.afterSpace, a.afterNewline = true, false
	case isBreak(r):
		a.breaks = true
		a.leading = a.leading || first
		a.trailing = a.trailing || last
		a.spaceBreak = a.spaceBreak || a.afterSpace
		a.afterSpace, a.afterNewline = false, true
	default:
		a.afterSpace, a.afterNewline = false, false
	}
}

func (a *analyzer) result() analysis {
	hard := a.spaceBreak || a.special
	plain := !hard && !a.leading && !a.trailing && !a.breakSpace && !a.breaks
	return analysis{
		multiline:  a.breaks,
		flowPlain:  plain && !a.flow,
		blockPlain: plain && !a.block,
		single:     !hard && !a.breakSpace,
		block:      !hard && !a.trailingSpace,
	}
}

// at returns the rune at i, -1 past the end.
func at(text []rune, i int) rune {
	if i < len(text) {
		return text[i]
	}
	return -1
}

// writeBreak writes a line end inside a quoted or plain scalar: the first of several
// needs a second one, because a single one would be read as a space.
func (e *emitter) writeBreak(r rune, first bool) {
	if first && r == '\n' {
		e.lineBreak('\n')
	}
	e.lineBreak(r)
	e.indentation = true
}

func (e *emitter) plain(s string, fold bool) {
	if !e.space && (s != "" || e.flow > 0) {
		e.put(' ')
	}
	e.flowScalar([]rune(s), fold, func(r rune) { e.put(r) }, func(i int, text []rune) bool { return true })
	e.space, e.indentation = false, false
}

func (e *emitter) singleQuoted(s string, fold bool) {
	e.indicator("'", true, false, false)
	put := func(r rune) {
		if r == '\'' {
			e.put(r)
		}
		e.put(r)
	}
	inner := func(i int, text []rune) bool { return i > 0 && i < len(text)-1 }
	if e.flowScalar([]rune(s), fold, put, inner) {
		e.newline()
	}
	e.indicator("'", false, false, false)
	e.space, e.indentation = false, false
}

// flowScalar writes the text of a plain or single quoted scalar, folding it at spaces
// beyond the width where mayFold allows. It says whether the text ended in a line end.
func (e *emitter) flowScalar(text []rune, fold bool, put func(rune), mayFold func(int, []rune) bool) bool {
	spaces, breaks := false, false
	for i, r := range text {
		switch {
		case r == ' ':
			if fold && !spaces && e.column > e.width && mayFold(i, text) && at(text, i+1) != ' ' {
				e.newline()
			} else {
				e.put(r)
			}
			spaces = true
		case isBreak(r):
			e.writeBreak(r, !breaks)
			breaks = true
		default:
			if breaks {
				e.newline()
			}
			put(r)
			e.indentation = false
			spaces, breaks = false, false
		}
	}
	return breaks
}

func (e *emitter) doubleQuoted(s string, fold bool) {
	e.indicator(`"`, true, false, false)
	text := decode(s)
	spaces := false
	for i, r := range text {
		switch {
		case !printable(r) || r > 0x7f && e.o.ASCII || isBreak(r) || r == '"' || r == '\\':
			for _, c := range escape(r) {
				e.put(c)
			}
			spaces = false
		case r == ' ':
			if fold && !spaces && e.column > e.width && i > 0 && i < len(text)-1 {
				e.newline()
				if text[i+1] == ' ' {
					e.put('\\')
				}
			} else {
				e.put(r)
			}
			spaces = true
		default:
			e.put(r)
			spaces = false
		}
	}
	e.indicator(`"`, false, false, false)
	e.space, e.indentation = false, false
}

// decode makes runes; bytes that are no UTF-8 become the surrogates Python has for them.
func decode(s string) []rune {
	runes := make([]rune, 0, len(s))
	for i := 0; i < len(s); {
		r, w := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && w == 1 {
			r = 0xdc00 + rune(s[i])
		}
		runes = append(runes, r)
		i += w
	}
	return runes
}

func escape(r rune) string {
	const short = "\x00" + `0` + "\x07" + `a` + "\x08" + `b` + "\t" + `t` + "\n" + `n` + "\v" + `v` + "\f" + `f` +
		"\r" + `r` + "\x1b" + `e` + `""` + `\\`
	for i := 0; r < 0x80 && i < len(short); i += 2 {
		if rune(short[i]) == r {
			return `\` + short[i+1:i+2]
		}
	}
	switch {
	case r == 0x85:
		return `\N`
	case r == 0xa0:
		return `\_`
	case r == 0x2028:
		return `\L`
	case r == 0x2029:
		return `\P`
	case r <= 0xff:
		return fmt.Sprintf(`\x%02X`, r)
	case r <= 0xffff:
		return fmt.Sprintf(`\u%04X`, r)
	}
	return fmt.Sprintf(`\U%08X`, r)
}

// blockHead writes the header of a block scalar: an explicit indentation when the text
// begins with white space, and what becomes of its last line ends.
func (e *emitter) blockHead(kind string, text []rune) {
	e.indicator(kind, true, false, false)
	if first := at(text, 0); first == ' ' || isBreak(first) {
		e.indicator(fmt.Sprint(e.best), false, false, false)
	}
	n := len(text)
	e.open = false
	switch {
	case n == 0 || !isBreak(text[n-1]):
		e.indicator("-", false, false, false)
	case n == 1 || isBreak(text[n-2]):
		e.indicator("+", false, false, false)
		e.open = true
	}
	e.lineBreak('\n')
	e.indentation, e.space = true, true
}

func (e *emitter) literal(s string) {
	text := []rune(s)
	e.blockHead("|", text)
	breaks := true
	for _, r := range text {
		if isBreak(r) {
			e.lineBreak(r)
			e.indentation, breaks = true, true
			continue
		}
		if breaks {
			e.newline()
		}
		e.put(r)
		e.indentation, breaks = false, false
	}
}

func (e *emitter) folded(s string) {
	text := []rune(s)
	e.blockHead(">", text)
	breaks, leading := true, true
	for i, r := range text {
		if isBreak(r) {
			if !breaks && !leading && r == '\n' {
				k := i
				for isBreak(at(text, k)) {
					k++
				}
				if !isBlank(at(text, k)) {
					e.lineBreak('\n')
				}
			}
			e.lineBreak(r)
			e.indentation, breaks = true, true
			continue
		}
		if breaks {
			e.newline()
			leading = r == ' ' || r == '\t'
		}
		if !breaks && r == ' ' && at(text, i+1) != ' ' && e.column > e.width {
			e.newline()
		} else {
			e.put(r)
		}
		e.indentation, breaks = false, false
	}
}
