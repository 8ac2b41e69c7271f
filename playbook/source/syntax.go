package source

import (
	"iter"
	"strconv"
	"strings"
	"unicode/utf8"
)

const (
	unquotedMsg  = "a value that starts with \"{{\" must be in quotes"
	unquotedHint = "write  key: \"{{ variable }}\"  : without quotes YAML takes the braces for a mapping"
)

// The causes behind most syntax errors, found in the source line: the parser itself only
// says where it could not go on.
var (
	lineNumber   = Lazy(`^(?:yaml: )?(?:line (\d+): )?(.*)$`)
	unquotedOpen = Lazy(`(?:^|[:\-]\s+)(?:[\w.-]+:\s+)?(\{\{)`)
	forbidden    = Lazy("(?:^\\s*|[:\\-]\\s+)([@`%])")
	afterQuote   = Lazy(`(?:[:\-]\s+|=)(?:"(?:[^"\\]|\\.)*"|'(?:[^']|'')*')[ \t]*([^\s#,\]}:"'])`)
	badEscape    = Lazy(`^(?:[^\\]|\\[0abt\tnvfre "/\\N_LPxuU])*?(\\[^0abt\tnvfre "/\\N_LPuUx]|\\x..?|\\u.{0,4}|\\U.{0,8})`)
	badAlias     = Lazy(`(?:^\s*|[:\-]\s+)([*&])[^\w-]`)
	noSpace      = Lazy(`^\s*(?:- +)?[A-Za-z_][\w.-]*(:)[^\s:/\\]`)
	secondColon  = Lazy(`^\s*(?:- +)*["']?[^\s"'#][^:"'#]*["']?:\s+[^"'\s|>{\[&!#].*?(:)(?:\s|$)`)
)

// syntaxError says what the YAML library found, in words that name the usual cause.
func syntaxError(file string, data []byte, lines []string, problem string) Diagnostic {
	m := lineNumber().FindStringSubmatch(problem)
	line, _ := strconv.Atoi(m[1])
	e := &syntax{file: file, lines: lines, problem: m[2]}
	if d, ok := e.encoding(data); ok {
		return d
	}
	line = min(max(line, 1), max(len(lines), 1))
	// the library counts from a mark before or behind the cause
	for _, l := range []int{line, line - 1, line + 1} {
		if l < 1 || l > len(lines) {
			continue
		}
		if d, ok := e.cause(l); ok {
			return d
		}
	}
	if d, ok := e.anywhere(line); ok {
		return d
	}
	text := lines[line-1]
	return Diagnostic{
		Pos: Pos{File: file, Line: line, Col: column(text, len(text)-len(strings.TrimLeft(text, " \t")))},
		Msg: "syntax error: " + e.problem, Rule: "syntax",
	}
}

type syntax struct {
	file    string
	lines   []string
	problem string
}

func (e *syntax) at(line, byteCol, length int, msg, hint string) (Diagnostic, bool) {
	return Diagnostic{
		Pos: Pos{File: e.file, Line: line, Col: column(e.lines[line-1], byteCol)},
		Len: length, Msg: "syntax error: " + msg, Hint: hint, Rule: "syntax",
	}, true
}

// column is the character, from 1, at a byte of a line.
func column(line string, at int) int { return utf8.RuneCountInString(line[:min(at, len(line))]) + 1 }

// encoding finds the bytes that make a file no text.
func (e *syntax) encoding(data []byte) (Diagnostic, bool) {
	if !utf8.Valid(data) {
		for i, text := range e.lines {
			for at, r := range text {
				if r == utf8.RuneError && !strings.HasPrefix(text[at:], "\ufffd") {
					return e.at(i+1, at, 1, "the file is not UTF-8", "save the file as UTF-8")
				}
			}
		}
	}
	if !strings.Contains(e.problem, "control characters") {
		return Diagnostic{}, false
	}
	for i, text := range e.lines {
		for at, r := range text {
			if r < ' ' && r != '\t' || r >= 0x7f && r < 0xa0 && r != 0x85 || r == 0xfffe || r == 0xffff {
				return e.at(i+1, at, 1, "control characters are not allowed ("+strconv.QuoteRune(r)+")",
					"write it as an escape in double quotes: \"\\x1b\"")
			}
		}
	}
	return Diagnostic{}, false
}

// cause looks for a usual mistake on a line.
func (e *syntax) cause(line int) (Diagnostic, bool) {
	text := e.lines[line-1]
	if strings.HasPrefix(strings.TrimSpace(text), "#") {
		return Diagnostic{}, false
	}
	indent := text[:len(text)-len(strings.TrimLeft(text, " \t"))]
	if i := strings.IndexByte(indent, '\t'); i >= 0 {
		return e.at(line, i, 1, "a tab cannot indent YAML", "indent with spaces")
	}
	if m := unquotedOpen().FindStringSubmatchIndex(text); m != nil && !insideQuotes(text, m[2]) {
		return e.at(line, m[2], 2, unquotedMsg, unquotedHint)
	}
	if m := forbidden().FindStringSubmatchIndex(text); m != nil && strings.Contains(e.problem, "cannot start any token") {
		c := text[m[2]:m[3]]
		return e.at(line, m[2], 1, "a value cannot start with "+strconv.Quote(c), "put the value in quotes")
	}
	if i := strings.IndexByte(text, '\t'); i >= 0 && strings.Contains(e.problem, "cannot start any token") {
		return e.at(line, i, 1, "a tab cannot stand here", "use spaces")
	}
	if strings.Contains(e.problem, "unknown escape") || strings.Contains(e.problem, "hexdecimal") {
		if m := badEscape().FindStringSubmatchIndex(text); m != nil {
			return e.at(line, m[2], 2, "unknown escape \""+text[m[2]:m[3]]+"\" in double quotes",
				"use single quotes, or double the backslash")
		}
	}
	if m := afterQuote().FindStringSubmatchIndex(text); m != nil && strings.Contains(e.problem, "did not find expected") {
		return e.at(line, m[2], 1, "text after the closing quote",
			"put the whole value in quotes, or escape the quotes inside it")
	}
	if m := secondColon().FindStringSubmatchIndex(text); m != nil && strings.Contains(e.problem, "mapping values") {
		return e.at(line, m[2], 1, "\": \" inside a value without quotes", "put the value in quotes")
	}
	if m := noSpace().FindStringSubmatchIndex(text); m != nil &&
		(strings.Contains(e.problem, "could not find expected ':'") || strings.Contains(e.problem, "mapping values")) {
		return e.at(line, m[2], 1, "a space is missing after the colon", "write \"key: value\"")
	}
	return Diagnostic{}, false
}

// unquoted are the bytes of a line that stand in no quoted string beginning on it; the
// opening quotes are among them.
func unquoted(text string) iter.Seq2[int, byte] {
	return func(yield func(int, byte) bool) {
		var quote byte
		for i := 0; i < len(text); i++ {
			c := text[i]
			switch {
			case quote == '"' && c == '\\', quote == '\'' && strings.HasPrefix(text[i:], "''"):
				i++
			case quote != 0 && c == quote:
				quote = 0
			case quote != 0:
			case !yield(i, c):
				return
			case (c == '"' || c == '\'') && (i == 0 || strings.IndexByte(" \t[{,(", text[i-1]) >= 0):
				quote = c
			}
		}
	}
}

// insideQuotes reports whether the byte at stands in a quoted string that begins on the
// same line.
func insideQuotes(text string, at int) bool {
	for i := range unquoted(text) {
		if i == at {
			return false
		}
	}
	return true
}

// anywhere explains errors by what they say.
func (e *syntax) anywhere(line int) (Diagnostic, bool) {
	switch p := e.problem; {
	case strings.HasPrefix(p, "unknown anchor"):
		name := strings.Trim(strings.TrimSuffix(strings.TrimPrefix(p, "unknown anchor "), " referenced"), "'")
		for i, text := range e.lines {
			if at := strings.Index(text, "*"+name); at >= 0 {
				return e.at(i+1, at, len(name)+1, "found undefined alias \""+name+"\"",
					"an alias *"+name+" needs an anchor &"+name+" before it; quote the value if it is a glob")
			}
		}
	case strings.Contains(p, "expected alphabetic or numeric character"):
		if m := badAlias().FindStringSubmatchIndex(e.lines[line-1]); m != nil {
			return e.at(line, m[2], 1, "a value cannot start with \""+e.lines[line-1][m[2]:m[3]]+"\"",
				"put the value in quotes")
		}
	case strings.Contains(p, "unexpected end of stream"), strings.Contains(p, "document indicator"):
		if at := openQuote(e.lines[line-1]); at >= 0 {
			return e.at(line, at, 1, "the quote opened here is never closed", "")
		}
	case strings.Contains(p, "expected ',' or"):
		open := byte('[')
		if strings.Contains(p, "'}'") {
			open = '{'
		}
		if at := openBracket(e.lines[line-1], open); at >= 0 {
			return e.at(line, at, 1, "the \""+string(open)+"\" opened here is not closed properly: "+p, "")
		}
	case strings.Contains(p, "did not find expected key"), strings.Contains(p, "expected '-' indicator"),
		strings.Contains(p, "expected <document start>"):
		return e.indentation(line, p)
	}
	return Diagnostic{}, false
}

// openQuote finds the quote of a line that is not closed on it, -1 if none.
func openQuote(text string) int {
	at := -1
	for i := range len(text) {
		c := text[i]
		switch {
		case at < 0 && (c == '"' || c == '\'') && (i == 0 || strings.IndexByte(" \t[{,(", text[i-1]) >= 0):
			at = i
		case at >= 0 && c == text[at] && text[i-1] != '\\':
			at = -1
		}
	}
	return at
}

// openBracket finds the last bracket of a line, outside quotes, that is not closed on it;
// where all are closed, the last one. -1 if there is none.
func openBracket(text string, open byte) int {
	var opened []int
	last := -1
	for i, c := range unquoted(text) {
		switch c {
		case open:
			opened, last = append(opened, i), i
		case open + 2: // "]" and "}" stand two behind "[" and "{"
			if len(opened) > 0 {
				opened = opened[:len(opened)-1]
			}
		}
	}
	if len(opened) > 0 {
		return opened[len(opened)-1]
	}
	return last
}

// indentation points at the first line whose indentation fits none of those above it.
func (e *syntax) indentation(line int, problem string) (Diagnostic, bool) {
	var stack []int
	for i, text := range e.lines {
		trimmed := strings.TrimLeft(text, " ")
		if trimmed == "" || trimmed[0] == '#' {
			continue
		}
		in := len(text) - len(trimmed)
		fits := len(stack) == 0 || in > stack[len(stack)-1]
		for len(stack) > 0 && stack[len(stack)-1] > in {
			stack = stack[:len(stack)-1]
		}
		fits = fits || len(stack) > 0 && stack[len(stack)-1] == in
		if i+1 >= line && !fits {
			return e.at(i+1, in, 1, "this line is indented like none of the lines above it", problem)
		}
		stack = append(stack, in)
		for strings.HasPrefix(trimmed, "- ") { // what follows a dash is a level of its own
			rest := strings.TrimLeft(trimmed[1:], " ")
			in += len(trimmed) - len(rest)
			trimmed = rest
			stack = append(stack, in)
		}
		if i+1 > line+3 {
			break
		}
	}
	return Diagnostic{}, false
}
