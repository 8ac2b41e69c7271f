package jinja

import (
	"slices"
	"strings"
	"unicode"

	"orch/playbook/jinja/value"
)

// A wrapper is Python's textwrap.TextWrapper as the filter wordwrap sets it up: tabs and
// white space stay, space at the edges of lines is dropped.
type wrapper struct {
	width                int
	breakLong, onHyphens bool
}

// wrap returns the lines of one paragraph.
func (w wrapper) wrap(text string) (*value.List, error) {
	if w.width <= 0 {
		return nil, value.Errorf("ValueError", "invalid width %d (must be > 0)", w.width)
	}
	chunks := w.chunks([]rune(text))
	lines := value.NewList()
	for len(chunks) > 0 {
		var line []rune
		if blankRunes(chunks[0]) && len(lines.Items) > 0 {
			chunks = chunks[1:]
		}
		var last []rune
		for len(chunks) > 0 && len(line)+len(chunks[0]) <= w.width {
			last = chunks[0]
			line = append(line, last...)
			chunks = chunks[1:]
		}
		if len(chunks) > 0 && len(chunks[0]) > w.width {
			if head, rest := w.cut(chunks[0], len(line)); head != nil {
				last = head
				line = append(line, head...)
				if chunks[0] = rest; len(rest) == 0 {
					chunks = chunks[1:]
				}
			}
		}
		if blankRunes(last) {
			line = line[:len(line)-len(last)]
		}
		if len(line) > 0 {
			lines.Items = append(lines.Items, value.S(string(line)))
		}
	}
	return lines, nil
}

// cut takes what of a word longer than a line goes on the line, which has used
// characters already; nil when the word must wait for the next line.
func (w wrapper) cut(word []rune, used int) (head, rest []rune) {
	if !w.breakLong {
		if used > 0 {
			return nil, word
		}
		return word, nil
	}
	room := w.width - used
	if w.onHyphens && len(word) > room {
		hyphen := room - 1
		for hyphen >= 0 && word[hyphen] != '-' {
			hyphen--
		}
		if hyphen > 0 && slices.ContainsFunc(word[:hyphen], func(r rune) bool { return r != '-' }) {
			room = hyphen + 1
		}
	}
	return word[:room], word[room:]
}

func isWrapSpace(r rune) bool { return strings.ContainsRune("\t\n\v\f\r ", r) }

func blankRunes(s []rune) bool { return len(s) > 0 && strings.TrimSpace(string(s)) == "" }

// chunks splits text where a line may be broken.
func (w wrapper) chunks(s []rune) [][]rune {
	var out [][]rune
	for i := 0; i < len(s); {
		end := i + 1
		switch {
		case isWrapSpace(s[i]):
			for end < len(s) && isWrapSpace(s[end]) {
				end++
			}
		case !w.onHyphens:
			for end < len(s) && !isWrapSpace(s[end]) {
				end++
			}
		case i > 0 && isWrapPunct(s[i-1]) && dash(s, i) > 0:
			end = i + dash(s, i)
		default:
			end = wordEnd(s, i+1)
		}
		out = append(out, s[i:end])
		i = end
	}
	return out
}

// isWrapPunct are the characters a dash may follow.
func isWrapPunct(r rune) bool { return isWordChar(r) || strings.ContainsRune(`!"'&.,?`, r) }

// dash is the length of an em-dash (two or more hyphens before a word), else 0.
func dash(s []rune, i int) int {
	n := 0
	for i+n < len(s) && s[i+n] == '-' {
		n++
	}
	if n < 2 || i+n >= len(s) || !isWordChar(s[i+n]) {
		return 0
	}
	return n
}

// wordEnd finds the end of a word of which at least one character has been read: after a
// hyphen between letters, before space, or before an em-dash.
func wordEnd(s []rune, i int) int {
	letter := func(k int) bool {
		return k >= 0 && k < len(s) && isWordChar(s[k]) && !unicode.IsDigit(s[k])
	}
	at := func(k int, r rune) bool { return k >= 0 && k < len(s) && s[k] == r }
	for ; i < len(s) && !isWrapSpace(s[i]); i++ {
		if s[i] == '-' {
			before := letter(i-1) && letter(i-2) || letter(i-3) && at(i-2, '-') && isWrapPunct(s[i-1])
			after := letter(i+1) && (letter(i+2) || at(i+2, '-') && letter(i+3))
			if before && after {
				return i + 1
			}
		}
		if isWrapPunct(s[i-1]) && dash(s, i) > 0 {
			return i
		}
	}
	return i
}
