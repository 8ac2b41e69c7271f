package source

import (
	"sort"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"

	"orch/playbook/jinja/value"
)

// Locate finds the place in the file of character col of line of a string, both from 1,
// as a template's error names them. text is the whole string.
func Locate(o *Pos, text string, line, col int) Pos {
	if o == nil {
		return Pos{}
	}
	p := Pos{File: o.File, Line: o.Line, Col: o.Col}
	if line < 1 || o.Line == 0 {
		return p
	}
	col = max(col, 1)
	switch {
	case len(o.Marks) > 0:
		off := offset(text, line, col)
		m := markAt(o.Marks, off)
		p.Line, p.Col = int(m.Line), int(m.Col)+max(off-int(m.Offset), 0)
	case line == 1:
		p.Col += col - 1
	case o.Block:
		p.Line, p.Col = o.Line+line-1, o.Indent+col
	}
	return p
}

// offset counts the characters before line and col.
func offset(text string, line, col int) int {
	n := 0
	for ; line > 1; line-- {
		i := strings.IndexByte(text, '\n')
		if i < 0 {
			break
		}
		n += utf8.RuneCountInString(text[:i+1])
		text = text[i+1:]
	}
	return n + col - 1
}

// scan is the walk over a scalar in its file, to find where file and string part company.
type scan struct {
	lines     []string
	line, col int // of the next character, from 1
	row       []rune
	text      []rune // of the string, not yet met
	at        int    // characters met
	marks     []mark
}

type mark = value.Mark

// locate sets the origin of a scalar that begins, with its quote or indicator, at line
// and col.
func (p *parser) locate(n *Node, style yaml.Style, line, col int) {
	if line < 1 || line > len(p.lines) {
		return
	}
	switch style {
	case yaml.LiteralStyle, yaml.FoldedStyle:
		p.locateBlock(n, style == yaml.FoldedStyle, line)
		return
	case yaml.DoubleQuotedStyle, yaml.SingleQuotedStyle:
		n.At.Col++
		col++
	}
	row := []rune(p.lines[line-1])
	if !strings.ContainsRune(n.Text, '\n') && col-1 <= len(row) && strings.HasPrefix(string(row[col-1:]), n.Text) {
		return // in step all the way
	}
	s := &scan{lines: p.lines, line: line, col: col, row: row, text: []rune(n.Text)}
	switch style {
	case yaml.DoubleQuotedStyle:
		s.quoted('"')
	case yaml.SingleQuotedStyle:
		s.quoted('\'')
	default:
		s.plain()
	}
	setMarks(n.At, s.marks)
}

// mark notes that the next character of the string stands at the scan's place, unless
// that follows from the mark before.
func (s *scan) mark() {
	m := mark{Offset: int32(s.at), Line: int32(s.line), Col: int32(s.col)}
	if k := len(s.marks); k > 0 {
		last := s.marks[k-1]
		if last.Line == m.Line && m.Col-last.Col == m.Offset-last.Offset {
			return
		}
		if last.Offset == m.Offset {
			s.marks[k-1] = m
			return
		}
	}
	s.marks = append(s.marks, m)
}

// next goes to the next line of the file.
func (s *scan) next() bool {
	s.line++
	s.col = 1
	if s.line > len(s.lines) {
		return false
	}
	s.row = []rune(s.lines[s.line-1])
	return true
}

func (s *scan) skipBlanks() {
	for s.col-1 < len(s.row) && (s.row[s.col-1] == ' ' || s.row[s.col-1] == '\t') {
		s.col++
	}
}

// take meets n characters of the string.
func (s *scan) take(n int) {
	n = min(n, len(s.text))
	s.text = s.text[n:]
	s.at += n
}

// fold goes over a line break in a flow scalar: one space, or a line feed for each
// empty line.
func (s *scan) fold() bool {
	for s.next() {
		s.skipBlanks()
		if s.col-1 < len(s.row) {
			if len(s.text) > 0 && (s.text[0] == ' ' || s.text[0] == '\n') {
				for len(s.text) > 0 && s.text[0] == '\n' {
					s.take(1)
				}
				if len(s.text) > 0 && s.text[0] == ' ' && (s.row[s.col-1] != ' ') {
					s.take(1)
				}
			}
			return true
		}
	}
	return false
}

func (s *scan) quoted(quote rune) {
	for len(s.text) > 0 {
		rest := s.row[min(s.col-1, len(s.row)):]
		blank := len(rest) - len([]rune(strings.TrimLeft(string(rest), " \t")))
		switch {
		case blank == len(rest): // blanks before a line break are not in the string
			if !s.fold() {
				return
			}
		case quote == '"' && rest[0] == '\\' && len(rest) == 1: // a continued line
			if !s.next() {
				return
			}
			s.skipBlanks()
		case quote == '"' && rest[0] == '\\':
			s.mark()
			s.col += escapeLen(rest)
			s.take(1)
			s.mark()
		case quote == '\'' && rest[0] == '\'' && len(rest) > 1:
			s.mark()
			s.col += 2
			s.take(1)
			s.mark()
		default:
			s.mark()
			s.col++
			s.take(1)
		}
	}
}

// escapeLen is the length of the escape that rest begins with.
func escapeLen(rest []rune) int {
	switch rest[1] {
	case 'x':
		return 4
	case 'u':
		return 6
	case 'U':
		return 10
	}
	return 2
}

func (s *scan) plain() {
	for len(s.text) > 0 {
		if s.col-1 >= len(s.row) || s.row[s.col-1] != s.text[0] || s.blankTail() {
			if !s.fold() {
				return
			}
			if s.row[s.col-1] != s.text0() {
				return
			}
			continue
		}
		s.mark()
		s.col++
		s.take(1)
	}
}

func (s *scan) text0() rune {
	if len(s.text) == 0 {
		return -1
	}
	return s.text[0]
}

// blankTail reports whether only blanks are left on the line.
func (s *scan) blankTail() bool { return strings.TrimSpace(string(s.row[s.col-1:])) == "" }

// locateBlock sets the origin of a block scalar whose indicator is on line.
func (p *parser) locateBlock(n *Node, folded bool, line int) {
	first := strings.TrimLeft(n.Text, "\n")
	row := line + 1
	for row <= len(p.lines) && strings.Trim(p.lines[row-1], " ") == "" {
		row++
	}
	if first == "" || row > len(p.lines) {
		return
	}
	in := leading(p.lines[row-1]) - leading(first)
	if in < 0 {
		return
	}
	n.At.Line, n.At.Col, n.At.Block, n.At.Indent = line+1, in+1, true, in
	if !folded {
		return
	}
	s := &scan{lines: p.lines, line: line, text: []rune(n.Text)}
	for len(s.text) > 0 && s.next() {
		cut := []rune(strings.TrimRight(string(s.row), " \t"))
		if len(cut) <= in {
			continue
		}
		for len(s.text) > 0 && s.text[0] == '\n' {
			s.take(1)
		}
		if s.at > 0 && len(s.text) > 0 && s.text[0] == ' ' && s.row[in] != ' ' {
			s.take(1)
		}
		s.col = in + 1
		content := s.row[in:]
		if len(s.text) < len(content) {
			content = content[:len(s.text)]
		}
		if string(s.text[:len(content)]) != string(content) {
			break
		}
		s.mark()
		s.take(len(content))
	}
	n.At.Block = false
	setMarks(n.At, s.marks)
}

func leading(s string) int { return len(s) - len(strings.TrimLeft(s, " ")) }

func setMarks(o *Pos, marks []mark) {
	if len(marks) == 0 {
		return
	}
	if marks[0].Offset == 0 {
		o.Line, o.Col = int(marks[0].Line), int(marks[0].Col)
	}
	if len(marks) > 1 || marks[0].Offset != 0 {
		o.Marks = marks
	}
}

// markAt finds the mark that the character at off follows.
func markAt(marks []mark, off int) mark {
	i := sort.Search(len(marks), func(i int) bool { return int(marks[i].Offset) > off })
	return marks[max(i-1, 0)]
}
