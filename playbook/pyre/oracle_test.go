package pyre_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"orch/playbook/oracle"
	"orch/playbook/pyre"
)

// A question is what is asked of both implementations.
type question struct {
	Pattern string `json:"pattern"`
	Text    string `json:"text"`
	Repl    string `json:"repl"`
	Flags   int    `json:"flags"`
	Bytes   bool   `json:"bytes,omitempty"`
}

// An answer is what they say. Offsets count characters.
type answer struct {
	Skip   bool           `json:"skip,omitempty"`
	Error  string         `json:"error,omitempty"`
	Groups int            `json:"groups"`
	Index  map[string]int `json:"index,omitempty"`
	Search [][2]int       `json:"search"`
	Match  [][2]int       `json:"match"`
	Full   [][2]int       `json:"full"`
	All    [][][2]int     `json:"all"`
	Split  []*string      `json:"split"`
	Sub    string         `json:"sub"`
	SubErr string         `json:"suberr"`
}

func startOracle(t testing.TB) *oracle.Process {
	t.Helper()
	return oracle.Start(t, "import sys; assert (3,11) <= sys.version_info < (3,14)", "testdata/oracle.py")
}

func ask(t testing.TB, o *oracle.Process, q question) answer {
	t.Helper()
	var a answer
	if err := o.Ask(q, &a, 30*time.Second); err != nil {
		t.Fatal(err)
	}
	return a
}

// ours is our answer to q.
func ours(q question) answer {
	flags := pyre.Flags(0)
	for bit, f := range map[int]pyre.Flags{
		2: pyre.IgnoreCase, 8: pyre.Multiline, 16: pyre.DotAll, 64: pyre.Verbose,
		256: pyre.ASCII, 32: pyre.Unicode, 4: pyre.Locale,
	} {
		if q.Flags&bit != 0 {
			flags |= f
		}
	}
	enc, dec := func(s string) string { return s }, func(s string) string { return s }
	if q.Bytes {
		flags |= pyre.Bytes
		enc, dec = toLatin1, fromLatin1
	}
	text := enc(q.Text)
	re, err := pyre.Compile(enc(q.Pattern), flags)
	if err != nil {
		return answer{Error: err.Error()}
	}
	re = re.WithLimit(time.Second)
	a := answer{Groups: re.Groups(), Index: map[string]int{}}
	for i, name := range re.GroupNames() {
		if name != "" {
			a.Index[name] = i
		}
	}
	chars := func(m *pyre.Match) [][2]int { return charSpans(m, text, q.Bytes) }
	fail := func(err error) bool {
		var late *pyre.TimeoutError
		if errors.As(err, &late) {
			a = answer{Skip: true}
		} else if err != nil {
			a = answer{Error: "run: " + err.Error()}
		}
		return err != nil
	}
	for _, f := range []struct {
		do  func(string) (*pyre.Match, error)
		out *[][2]int
	}{{re.Search, &a.Search}, {re.Match, &a.Match}, {re.FullMatch, &a.Full}} {
		m, err := f.do(text)
		if fail(err) {
			return a
		}
		*f.out = chars(m)
	}
	all, err := re.FindAll(text)
	if fail(err) {
		return a
	}
	for _, m := range all {
		a.All = append(a.All, chars(m))
	}
	fields, err := re.Split(text, 0)
	if fail(err) {
		return a
	}
	for _, f := range fields {
		s := dec(f.Text)
		a.Split = append(a.Split, &s)
		if !f.OK {
			a.Split[len(a.Split)-1] = nil
		}
	}
	out, err := re.Sub(enc(q.Repl), text, 0)
	if err != nil {
		a.SubErr = err.Error()
	} else {
		a.Sub = dec(out)
	}
	return a
}

func charSpans(m *pyre.Match, text string, bytes bool) [][2]int {
	if m == nil {
		return nil
	}
	var out [][2]int
	for g := range m.Regexp().Groups() + 1 {
		s, e := m.Span(g)
		if s >= 0 && !bytes {
			s, e = len([]rune(text[:s])), len([]rune(text[:e]))
		}
		out = append(out, [2]int{s, e})
	}
	return out
}

func toLatin1(s string) string {
	b := []byte{}
	for _, r := range s {
		b = append(b, byte(r))
	}
	return string(b)
}

func fromLatin1(s string) string {
	r := []rune{}
	for i := range len(s) {
		r = append(r, rune(s[i]))
	}
	return string(r)
}

// same compares the answers. A position in a message is part of it.
func same(t testing.TB, q question, got, want answer) bool {
	t.Helper()
	if got.Skip || want.Skip {
		return true
	}
	if len(got.Index) == 0 {
		got.Index = nil
	}
	if len(want.Index) == 0 {
		want.Index = nil
	}
	if len(got.All) == 0 && len(want.All) == 0 {
		got.All, want.All = nil, nil
	}
	// CPython reads one token ahead and notices a final backslash before other mistakes.
	const atEnd = "bad escape (end of pattern)"
	if reflect.DeepEqual(got, want) || got.Error != "" && strings.HasPrefix(want.Error, atEnd) {
		return true
	}
	g, _ := json.Marshal(got)
	w, _ := json.Marshal(want)
	t.Errorf("pattern %q flags %d text %q repl %q bytes %v\n got %s\nwant %s", q.Pattern, q.Flags, q.Text, q.Repl, q.Bytes, g, w)
	return false
}

// generator makes random patterns out of the grammar's pieces.
type generator struct {
	*rand.Rand
	groups int
	bytes  bool
}

func (g *generator) pick(of ...string) string { return of[g.IntN(len(of))] }

func (g *generator) atom(depth int) string {
	if depth <= 0 || g.IntN(3) > 0 {
		atoms := []string{
			"a", "b", "a", "b", "c", "A", "ab", ".", `\d`, `\w`, `\s`, `\W`, `\D`, `\S`, "^", "$", `\b`, `\B`,
			"[ab]", "[^a]", "[a-c]", `[\w-]`, `[^\W1]`, `[\Wa]`, `[^\s\d]`, `\n`, "1", "_", " ", "-", `\A`, `\Z`, `\.`,
			`\x61`, `\141`, "[]a]", "[^]a]", "{", "}", "{,}", "a{", "]", "#", "/", ",", ":",
		}
		if !g.bytes {
			atoms = append(atoms, "é", "É", "ß", "ſ", "K", "[à-ü]", "[^é]", `\u00e9`, "ı", "σ", "[Σ]", "ǅ")
		} else {
			atoms = append(atoms, "é", `\xe9`, "[à-ü]")
		}
		if g.groups > 0 && g.IntN(6) == 0 {
			return `\` + strconv.Itoa(1+g.IntN(g.groups))
		}
		return atoms[g.IntN(len(atoms))]
	}
	switch g.IntN(14) {
	case 0, 1, 2:
		g.groups++
		return "(" + g.alt(depth-1) + ")"
	case 3:
		g.groups++
		name := "n" + strconv.Itoa(g.groups)
		s := "(?P<" + name + ">" + g.alt(depth-1) + ")"
		if g.IntN(2) == 0 {
			s += "(?P=" + name + ")"
		}
		return s
	case 4, 5:
		return "(?:" + g.alt(depth-1) + ")"
	case 6:
		return "(?=" + g.alt(depth-1) + ")"
	case 7:
		return "(?!" + g.alt(depth-1) + ")"
	case 8:
		return g.pick("(?<=", "(?<!") + g.pick("a", "b", "ab", ".", "[ab]", `\w`, "a|b", "(?:a|b)c", g.atom(0)) + ")"
	case 9:
		return "(?>" + g.alt(depth-1) + ")"
	case 10:
		return "(?" + g.pick("i", "s", "m", "x", "i-s", "-i", "a", "is") + ":" + g.alt(depth-1) + ")"
	case 11:
		if g.groups > 0 {
			return fmt.Sprintf("(?(%d)%s|%s)", 1+g.IntN(g.groups), g.seq(depth-1), g.seq(depth-1))
		}
		return "(?#x)a"
	}
	return "(?:" + g.alt(depth-1) + ")"
}

func (g *generator) seq(depth int) string {
	var b strings.Builder
	for range 1 + g.IntN(4) {
		atom := g.atom(depth)
		b.WriteString(atom)
		quantifiers := []string{"*", "+", "?", "*?", "+?", "??", "{2}", "{1,2}", "{,2}", "{0,1}?", "{1,}", "*+", "++", "?+"}
		if strings.HasSuffix(atom, ")") {
			// CPython 3.11.2 keeps state of possessively repeated groups (fixed later).
			quantifiers = quantifiers[:11]
		}
		if g.IntN(3) == 0 {
			b.WriteString(g.pick(quantifiers...))
		}
	}
	return b.String()
}

func (g *generator) alt(depth int) string {
	parts := []string{g.seq(depth)}
	for g.IntN(4) == 0 {
		parts = append(parts, g.pick(g.seq(depth), ""))
	}
	return strings.Join(parts, "|")
}

func (g *generator) text() string {
	var b strings.Builder
	for range g.IntN(9) {
		b.WriteString(g.pick("a", "b", "a", "b", "c", "A", "B", "1", "_", " ", "\n", "-", "ab", "é", "É", "à"))
	}
	if !g.bytes && g.IntN(3) == 0 {
		b.WriteString(g.pick("ß", "ſ", "K", "k", "ı", "i", "ς", "Σ", "漢", "😀", "\u00a0", "٣"))
	}
	return b.String()
}

func (g *generator) question() question {
	g.groups = 0
	g.bytes = g.IntN(6) == 0
	q := question{Pattern: g.alt(3), Text: g.text(), Bytes: g.bytes}
	if g.IntN(12) == 0 {
		q.Pattern = g.pick("(?i)", "(?x)", "(?s)", "(?m)", "(?a)", "(?im)") + q.Pattern
	}
	if g.IntN(15) == 0 { // a broken pattern
		i := g.IntN(len(q.Pattern) + 1)
		q.Pattern = strings.ToValidUTF8(q.Pattern[:i]+g.pick("(", ")", "[", `\`, "*", "(?P<", "(?", "{3,1}", "|")+q.Pattern[i:], "")
	}
	for _, f := range []int{2, 8, 16, 64, 256} {
		if g.IntN(6) == 0 {
			q.Flags |= f
		}
	}
	q.Repl = g.pick("-", `<\g<0>>`, `\\x`, `\n`, "", `[\1]`, `\g<1>\g<n1>`, `\q`, `\2`, `\0\g<`)
	return q
}

// emptyRound finds groups with a branch that is empty: repeated ones are the difference the
// package's documentation names.
var emptyRound = regexp.MustCompile(`\|\||\(\||\|\)|[*?}]\?\)`)

// TestOracle compares random programs with CPython.
func TestOracle(t *testing.T) {
	o := startOracle(t)
	g := &generator{}
	oracle.Compare(t, func(rnd *rand.Rand) bool {
		g.Rand = rnd
		q := g.question()
		if emptyRound.MatchString(q.Pattern) {
			return false
		}
		want := ask(t, o, q)
		same(t, q, ours(q), want)
		return !want.Skip
	})
}
