// Package keyval reads the key=value arguments that Ansible takes in one string: of
// modules, of --extra-vars and of some lookups.
package keyval

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A Word is a part of an argument string: what stands between blanks outside quotes
// and template delimiters, with the further blanks behind it.
type Word struct {
	Text string
	At   int // byte offset in the string
}

// splitter cuts an argument string into words as ansible-core 2.18 does for module
// arguments: every blank is kept for the free form of command and shell, a lone backslash
// joins lines, and quotes, {{ }}, {% %} and {# #} hold words together.
type splitter struct {
	words []Word
	quote byte
	depth [3]int // of {{, {% and {#
}

var delimiters = [3][2]string{{"{{", "}}"}, {"{%", "%}"}, {"{#", "#}"}}

// Split cuts an argument string into words.
func Split(s string) ([]Word, error) {
	sp := &splitter{}
	at := 0
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		joined := false
		for j, word := range strings.Split(line, " ") {
			if j > 0 {
				at++
			}
			switch {
			case word == "" && j > 0:
				sp.extend(" ")
			case word == `\` && sp.quote == 0:
				joined = true
			default:
				sp.add(word, at, j == 0)
			}
			at += len(word)
		}
		if i < len(lines)-1 && !joined {
			sp.extend("\n")
		}
		at++
	}
	if sp.open() {
		return nil, fmt.Errorf("failed at splitting arguments, either an unbalanced jinja2 block or quotes: %s", s)
	}
	return sp.words, nil
}

func (sp *splitter) open() bool {
	return sp.quote != 0 || sp.depth != [3]int{}
}

// extend adds blanks to the last word.
func (sp *splitter) extend(blanks string) {
	if len(sp.words) == 0 {
		sp.words = append(sp.words, Word{})
	}
	sp.words[len(sp.words)-1].Text += blanks
}

// add takes the next run of non-blanks: a word of its own, or more of the last one while
// a quote or a template is open.
func (sp *splitter) add(text string, at int, first bool) {
	inQuote, inTemplate := sp.quote != 0, sp.depth != [3]int{}
	for i := range len(text) {
		c := text[i]
		switch {
		case c != '"' && c != '\'' || i > 0 && text[i-1] == '\\':
		case sp.quote == 0:
			sp.quote = c
		case sp.quote == c:
			sp.quote = 0
		}
	}
	for k, d := range delimiters {
		if open, shut := strings.Count(text, d[0]), strings.Count(text, d[1]); open != shut {
			sp.depth[k] = max(sp.depth[k]+open-shut, 0)
		}
	}
	switch {
	case inQuote || inTemplate:
		if !first {
			text = " " + text
		}
		sp.extend(text)
	case text != "":
		sp.words = append(sp.words, Word{text, at})
	}
}

// Join puts words together again.
func Join(words []Word) string {
	var b strings.Builder
	for _, w := range words {
		if s := b.String(); s != "" && !strings.HasSuffix(s, "\n") {
			b.WriteByte(' ')
		}
		b.WriteString(w.Text)
	}
	return b.String()
}

// A Pair is key=value of an argument string.
type Pair struct {
	Key, Val string
	At       int // of the word
	ValAt    int // of the value, behind its quote
}

// Parse reads key=value pairs; what is none is the free form, which begins at freeAt. If
// only is not nil, anything else with a = belongs to the free form.
func Parse(s string, only []string) (pairs []Pair, free string, freeAt int, err error) {
	words, err := Split(s)
	if err != nil {
		return nil, "", 0, err
	}
	var raw []Word
	for _, w := range words {
		x := decodeEscapes(w.Text)
		eq := unescapedEqual(x)
		switch {
		case eq < 0 && strings.Contains(x, "="):
			raw = append(raw, Word{strings.ReplaceAll(x, `\=`, "="), w.At})
		case eq < 0 || only != nil && !slices.Contains(only, x[:eq]):
			raw = append(raw, w)
		default:
			val := strings.TrimSpace(x[eq+1:])
			at := w.At + eq + 1
			if un := unquote(val); un != val {
				val, at = un, at+1
			}
			pairs = append(pairs, Pair{strings.TrimSpace(x[:eq]), val, w.At, at})
		}
	}
	if len(raw) > 0 {
		freeAt = raw[0].At
	}
	return pairs, Join(raw), freeAt, nil
}

// unescapedEqual finds the = that ends the key: not the first character, not escaped.
func unescapedEqual(s string) int {
	for i := 1; i < len(s); i++ {
		if s[i] == '=' && s[i-1] != '\\' {
			return i
		}
	}
	return -1
}

func unquote(s string) string {
	if n := len(s); n > 1 && s[0] == s[n-1] && (s[0] == '"' || s[0] == '\'') && s[n-2] != '\\' {
		return s[1 : n-1]
	}
	return s
}

var escapes = regexp.MustCompile(`\\U[0-9a-fA-F]{8}|\\u[0-9a-fA-F]{4}|\\x[0-9a-fA-F]{2}|\\[\\'"abfnrtv]`)

// decodeEscapes replaces the backslash escapes Python has.
func decodeEscapes(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	return escapes.ReplaceAllStringFunc(s, func(e string) string {
		if i := strings.IndexByte(`\'"abfnrtv`, e[1]); i >= 0 {
			return "\\'\"\a\b\f\n\r\t\v"[i : i+1]
		}
		n, err := strconv.ParseUint(e[2:], 16, 32)
		if err != nil || n > utf8.MaxRune {
			return e
		}
		return string(rune(n))
	})
}
