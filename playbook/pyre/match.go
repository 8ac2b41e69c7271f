package pyre

import (
	"iter"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/dlclark/regexp2"
)

// surrogate is where Python's surrogateescape puts bytes that are no UTF-8.
const surrogate = 0xdc00

type program struct {
	once sync.Once
	re   *regexp2.Regexp
	err  error
}

func (re *Regexp) program(kind int, ascii bool) (*regexp2.Regexp, error) {
	i := 0
	if ascii {
		i = 1
	}
	p := &re.progs[kind][i]
	p.once.Do(func() { p.re, p.err = compileProgram(re, kind, ascii) })
	return p.re, p.err
}

// A subject is a text ready to be searched.
type subject struct {
	text  string
	runes []rune
	offs  []int // byte offset of each rune and of the end; nil when they are the same
	ascii bool
}

func (re *Regexp) subject(text string) *subject {
	s := &subject{text: text, ascii: isASCII(text)}
	if s.ascii || re.flags&Bytes != 0 {
		s.runes = latin1(text)
	} else {
		s.runes, s.offs = codePoints(text)
	}
	return s
}

func (s *subject) offset(i int) int {
	if s.offs == nil {
		return i
	}
	return s.offs[i]
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

func latin1(s string) []rune {
	runes := make([]rune, len(s))
	for i := range len(s) {
		runes[i] = rune(s[i])
	}
	return runes
}

// codePoints decodes s; bytes that are no UTF-8 become surrogate escapes.
func codePoints(s string) (runes []rune, offs []int) {
	runes, offs = make([]rune, 0, len(s)), make([]int, 0, len(s)+1)
	for i := 0; i < len(s); {
		r, w := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && w == 1 {
			r = surrogate + rune(s[i])
		}
		runes, offs = append(runes, r), append(offs, i)
		i += w
	}
	return runes, append(offs, len(s))
}

// A Match is where an expression matched.
type Match struct {
	re    *Regexp
	text  string
	spans []int // start and end by group; -1 for a group that took no part
	end   int   // of the match, in runes
	start int
}

func (re *Regexp) newMatch(s *subject, m *regexp2.Match) *Match {
	out := &Match{re: re, text: s.text, spans: make([]int, 2*re.groups+2)}
	for g := range re.groups + 1 {
		group := m.GroupByNumber(g)
		if group == nil || len(group.Captures) == 0 {
			out.spans[2*g], out.spans[2*g+1] = -1, -1
			continue
		}
		out.spans[2*g] = s.offset(group.Index)
		out.spans[2*g+1] = s.offset(group.Index + group.Length)
	}
	out.start, out.end = m.Index, m.Index+m.Length
	return out
}

// Span returns the byte offsets of group g (0 is the whole match), -1 and -1 when the
// group took no part or does not exist.
func (m *Match) Span(g int) (start, end int) {
	if g < 0 || 2*g >= len(m.spans) {
		return -1, -1
	}
	return m.spans[2*g], m.spans[2*g+1]
}

// Group returns what group g matched; false when it took no part.
func (m *Match) Group(g int) (string, bool) {
	start, end := m.Span(g)
	if start < 0 {
		return "", false
	}
	return m.text[start:end], true
}

// Text is the whole match.
func (m *Match) Text() string { return m.text[m.spans[0]:m.spans[1]] }

// Named returns what the group called name matched; ok is false when it took no part,
// known when there is no such group.
func (m *Match) Named(name string) (text string, ok, known bool) {
	g, known := m.re.GroupIndex(name)
	if !known {
		return "", false, false
	}
	text, ok = m.Group(g)
	return text, ok, true
}

// Regexp is the expression that matched.
func (m *Match) Regexp() *Regexp { return m.re }

func (re *Regexp) run(kind int, s *subject, start int) (*Match, error) {
	prog, err := re.program(kind, s.ascii)
	if err != nil {
		return nil, err
	}
	m, err := prog.FindRunesMatchStartingAt(s.runes, start)
	if err != nil {
		// The engine has no other error at run time.
		return nil, &TimeoutError{Pattern: re.pattern, Limit: re.limit}
	}
	if m == nil {
		return nil, nil
	}
	return re.newMatch(s, m), nil
}

// Search finds the first match anywhere in text; nil when there is none.
func (re *Regexp) Search(text string) (*Match, error) {
	return re.run(kindSearch, re.subject(text), 0)
}

// Match matches at the start of text.
func (re *Regexp) Match(text string) (*Match, error) {
	return re.run(kindMatch, re.subject(text), 0)
}

// FullMatch matches the whole of text.
func (re *Regexp) FullMatch(text string) (*Match, error) {
	return re.run(kindFull, re.subject(text), 0)
}

// FindIter ranges over the matches in text that do not overlap, as re.finditer does: an
// empty match may follow a match directly, but not an empty one. An error is the last
// thing it yields.
func (re *Regexp) FindIter(text string) iter.Seq2[*Match, error] {
	return func(yield func(*Match, error) bool) {
		s := re.subject(text)
		began, kind, pos := time.Now(), kindSearch, 0
		for pos <= len(s.runes) {
			m, err := re.run(kind, s, pos)
			if err == nil && time.Since(began) > re.limit {
				err = &TimeoutError{Pattern: re.pattern, Limit: re.limit}
			}
			if err != nil {
				yield(nil, err)
				return
			}
			if m == nil || !yield(m, nil) {
				return
			}
			pos, kind = m.end, kindSearch
			if m.start == m.end {
				kind = kindAdvance
			}
		}
	}
}

// FindAll returns the matches FindIter ranges over.
func (re *Regexp) FindAll(text string) ([]*Match, error) {
	var all []*Match
	for m, err := range re.FindIter(text) {
		if err != nil {
			return nil, err
		}
		all = append(all, m)
	}
	return all, nil
}

// A Field is a piece of a text that was split: text between matches, or a group of the
// match, which may have taken no part.
type Field struct {
	Text string
	OK   bool
}

// Split splits text at the matches, at most limit times (0: always). Groups of the
// matches are fields of their own, as in re.split.
func (re *Regexp) Split(text string, limit int) ([]Field, error) {
	var fields []Field
	last, n := 0, 0
	if limit >= 0 {
		for m, err := range re.FindIter(text) {
			if err != nil {
				return nil, err
			}
			fields = append(fields, Field{text[last:m.spans[0]], true})
			for g := 1; g <= re.groups; g++ {
				part, ok := m.Group(g)
				fields = append(fields, Field{part, ok})
			}
			last = m.spans[1]
			if n++; n == limit {
				break
			}
		}
	}
	return append(fields, Field{text[last:], true}), nil
}

// Sub replaces the matches in text by the template repl, at most count times (0: all).
func (re *Regexp) Sub(repl, text string, count int) (string, error) {
	out, _, err := re.Subn(repl, text, count)
	return out, err
}

// Subn is Sub that also returns the number of replacements.
func (re *Regexp) Subn(repl, text string, count int) (string, int, error) {
	t, err := re.template(repl)
	if err != nil {
		return "", 0, err
	}
	return re.SubFunc(func(m *Match) (string, error) { return t.expand(m), nil }, text, count)
}

// SubFunc replaces the matches by what repl returns for them.
func (re *Regexp) SubFunc(repl func(*Match) (string, error), text string, count int) (string, int, error) {
	if count < 0 {
		return text, 0, nil
	}
	var b strings.Builder
	last, n := 0, 0
	for m, err := range re.FindIter(text) {
		if err != nil {
			return "", 0, err
		}
		with, err := repl(m)
		if err != nil {
			return "", 0, err
		}
		b.WriteString(text[last:m.spans[0]])
		b.WriteString(with)
		last = m.spans[1]
		if n++; n == count {
			break
		}
	}
	if n == 0 {
		return text, 0, nil
	}
	b.WriteString(text[last:])
	return b.String(), n, nil
}

// Expand fills the template repl with the groups of the match.
func (m *Match) Expand(repl string) (string, error) {
	t, err := m.re.template(repl)
	if err != nil {
		return "", err
	}
	return t.expand(m), nil
}
