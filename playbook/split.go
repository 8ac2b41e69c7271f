package playbook

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// An argWord is a part of an argument string: what stands between blanks outside quotes
// and template delimiters, with the further blanks behind it.
type argWord struct {
	text string
	at   int // byte offset in the string
}

// splitter cuts an argument string into words as ansible-core 2.18 does for module
// arguments: every blank is kept for the free form of command and shell, a lone backslash
// joins lines, and quotes, {{ }}, {% %} and {# #} hold words together.
type splitter struct {
	words []argWord
	quote byte
	depth [3]int // of {{, {% and {#
}

var delimiters = [3][2]string{{"{{", "}}"}, {"{%", "%}"}, {"{#", "#}"}}

func splitArgs(s string) ([]argWord, error) {
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
		sp.words = append(sp.words, argWord{})
	}
	sp.words[len(sp.words)-1].text += blanks
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
		sp.words = append(sp.words, argWord{text, at})
	}
}

// joinWords puts words together again.
func joinWords(words []argWord) string {
	var b strings.Builder
	for _, w := range words {
		if s := b.String(); s != "" && !strings.HasSuffix(s, "\n") {
			b.WriteByte(' ')
		}
		b.WriteString(w.text)
	}
	return b.String()
}

// A pair is key=value of an argument string.
type pair struct {
	key, val string
	at       int // of the word
	valAt    int // of the value, behind its quote
}

// shellOptions are the only pairs taken out of the free form of command, shell, script
// and raw: anything else with a = belongs to the command.
var shellOptions = []string{"creates", "removes", "chdir", "executable", "warn", "stdin", "stdin_add_newline", "strip_empty_ends"}

// parseKV reads key=value pairs; what is none is the free form. With shell set, only
// shellOptions are pairs.
func parseKV(s string, shell bool) (pairs []pair, free string, freeAt int, err error) {
	words, err := splitArgs(s)
	if err != nil {
		return nil, "", 0, err
	}
	var raw []argWord
	for _, w := range words {
		x := decodeEscapes(w.text)
		eq := unescapedEqual(x)
		switch {
		case eq < 0 && strings.Contains(x, "="):
			raw = append(raw, argWord{strings.ReplaceAll(x, `\=`, "="), w.at})
		case eq < 0 || shell && !slices.Contains(shellOptions, x[:eq]):
			raw = append(raw, w)
		default:
			val := strings.TrimSpace(x[eq+1:])
			at := w.at + eq + 1
			if un := unquote(val); un != val {
				val, at = un, at+1
			}
			pairs = append(pairs, pair{strings.TrimSpace(x[:eq]), val, w.at, at})
		}
	}
	if len(raw) > 0 {
		freeAt = raw[0].at
	}
	return pairs, joinWords(raw), freeAt, nil
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
