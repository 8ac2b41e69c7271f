package filter_test

import (
	"bufio"
	"encoding/json"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"orch/playbook/jinja"
	"orch/playbook/jinja/value"
	"orch/playbook/oracle"
)

// A mutator makes new uses of filters and tests of recorded ones.
type mutator struct {
	*rand.Rand
	uses  [][]string // cut into tokens
	atoms []string   // values to put in
}

var (
	tokens = regexp.MustCompile(`'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|[\w.]+|\*\*|//|[<>=!]=|\s+|.`)
	atom   = regexp.MustCompile(`^(?:['"].*|-?[\d.]+|\w+)$`)
)

// edges are values at the edges of Python's rules.
var edges = []string{
	"''", "' '", "'a'", "'é'", "'0'", "'1.5'", "'-1'", "'yes'", "'a,b'", "'\\n'", "'%'", "'['", "0", "1", "-1", "2", "10", "1.5", "-0.5", "0.0",
	"1000000", "none", "true", "false", "[]", "{}", "[1]", "['a', 'b']", "[none]", "[[1], [2]]", "[{'a': 1}]", "{'a': 1}", "{'a': [1], 'b': none}", "(1, 2)", "missing",
	"s", "l", "d", "words", "nested", "users", "n", "f", "uni", "text",
}

func newMutator(t *testing.T, files ...string) *mutator {
	t.Helper()
	m := &mutator{atoms: slices.Clone(edges)}
	for _, file := range files {
		for _, rec := range recordings(t, file) {
			cut := tokens.FindAllString(rec.Expr, -1)
			m.uses = append(m.uses, cut)
			for _, tok := range cut {
				if tok[0] == '\'' || tok[0] >= '0' && tok[0] <= '9' {
					m.atoms = append(m.atoms, tok)
				}
			}
		}
	}
	return m
}

// next is a use with one or two of its values replaced, dropped or piped on.
func (m *mutator) next() string {
	use := slices.Clone(m.uses[m.IntN(len(m.uses))])
	for range 1 + m.IntN(2) {
		var at []int
		for i, tok := range use {
			if atom.MatchString(tok) && !isName(use, i) {
				at = append(at, i)
			}
		}
		switch k := m.IntN(8); {
		case k == 0: // pipe another value into it
			if i := slices.Index(use, "|"); i > 0 {
				use = append([]string{m.atom(), " "}, use[i:]...)
			}
		case k == 1: // pipe the result on
			other := m.uses[m.IntN(len(m.uses))]
			if i := slices.Index(other, "|"); i > 0 {
				use = append([]string{"(" + strings.Join(use, "") + ")"}, other[i:]...)
			}
		case k == 2: // one more argument
			if i := slices.Index(use, "("); i > 0 && i+1 < len(use) && use[i+1] != ")" {
				use = slices.Insert(use, i+1, m.atom(), ", ")
			}
		case len(at) > 0:
			use[at[m.IntN(len(at))]] = m.atom()
		}
	}
	return strings.Join(use, "")
}

func (m *mutator) atom() string { return m.atoms[m.IntN(len(m.atoms))] }

// isName says whether the token is the name of a filter, test or argument, or a word of
// the language.
func isName(use []string, i int) bool {
	if i+1 < len(use) && use[i+1] == "=" {
		return true
	}
	for j := i - 1; j >= 0; j-- {
		if strings.TrimSpace(use[j]) == "" {
			continue
		}
		return slices.Contains([]string{"|", "is", "not", "."}, use[j])
	}
	return slices.Contains([]string{"is", "not", "in", "and", "or", "if", "else"}, use[i])
}

// unsteady is what differs every time, or by the clock.
var unsteady = regexp.MustCompile(`\bat 0x|<generator|<class|\b(?:shuffle|now|password_hash|vault|strftime|randomize_mac|random_mac|random)\b`)

// TestOracle mutates the recorded uses of ansible-core's filters and tests and compares
// their results, or that they fail, with those of python3's ansible-core, which is 2.14,
// or of the 2.18 that ANSIBLE_LIB names.
func TestOracle(t *testing.T) {
	t.Setenv("TZ", "UTC")
	needs := "import ansible.release, passlib; assert ansible.release.__version__.startswith('2.14.')"
	if os.Getenv("ANSIBLE_LIB") != "" {
		needs = "import passlib"
	}
	o := oracle.Start(t, needs, "testdata/record.py")
	m := newMutator(t, "testdata/cases.jsonl")
	known := loadKnown(t, os.Getenv("ANSIBLE_LIB") == "")
	env, vars := newEnv(t), recordedVars(t)
	oracle.Compare(t, func(rnd *rand.Rand) bool {
		m.Rand = rnd
		expr := m.next()
		if unsteady.MatchString(expr) {
			return false
		}
		var want recording
		if o.Ask(map[string]string{"expr": expr}, &want, 30*time.Second) != nil || want.Skip != "" || unsteady.MatchString(want.Result) {
			return false
		}
		for _, d := range known {
			if d.match.MatchString(expr) && (d.msg == nil || d.msg.MatchString(want.Msg+want.Result)) {
				return false
			}
		}
		v, err := eval(env, expr, vars)
		if value.IsUnknown(v) {
			t.Errorf("%s: is unknown", expr)
			return true
		}
		want.compare(t, v, err)
		return true
	})
}

// A difference is a line of testdata/known.jsonl: what orch means to differ in, or with Old
// set what 2.14 does otherwise than 2.18, and why. Expr matches the expression, Msg the
// error's text or the result, if it is given.
type difference struct {
	Expr, Msg, Why string
	Old            bool

	match, msg *regexp.Regexp
}

func loadKnown(t *testing.T, old bool) []difference {
	t.Helper()
	f, err := os.Open("testdata/known.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out []difference
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var d difference
		if err := json.Unmarshal(lines.Bytes(), &d); err != nil || d.Why == "" {
			t.Fatalf("%s: %v", lines.Text(), err)
		}
		if d.Old && !old {
			continue
		}
		d.match = regexp.MustCompile(d.Expr)
		if d.Msg != "" {
			d.msg = regexp.MustCompile(d.Msg)
		}
		out = append(out, d)
	}
	return out
}

// recordedVars are the variables of the recordings.
func recordedVars(t testing.TB) jinja.MapVars {
	t.Helper()
	data, err := os.ReadFile("testdata/vars.json")
	if err != nil {
		t.Fatal(err)
	}
	v, err := value.FromJSON(data)
	if err != nil {
		t.Fatal(err)
	}
	vars := jinja.MapVars{}
	for k, val := range v.(*value.Dict).All() {
		vars[value.String(k)] = val
	}
	return vars
}
