package jinja_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"orch/playbook/jinja"
	"orch/playbook/jinja/jinjatest"
	"orch/playbook/jinja/value"
	"orch/playbook/oracle"
)

// tokenPattern cuts programs into what the mutations work on.
var tokenPattern = regexp.MustCompile(`\{%[-+]?|[-+]?%\}|\{\{-?|-?\}\}|\w+|'[^']*'|"[^"]*"|\*\*|//|[<>=!]=|\s+|.`)

// A mutator makes new programs of recorded ones.
type mutator struct {
	rnd      *rand.Rand
	programs [][]string // cut into tokens
	cases    []jinjatest.Case
	pool     []string
}

func newMutator(cases []jinjatest.Case) *mutator {
	m := &mutator{}
	for _, c := range cases {
		if len(c.Template) > 200 {
			continue
		}
		src := c.Template
		if c.Kind == "expr" {
			src = "{{ " + src + " }}"
		}
		tokens := tokenPattern.FindAllString(src, -1)
		if len(tokens) == 0 {
			continue
		}
		m.programs = append(m.programs, tokens)
		m.cases = append(m.cases, c)
		for _, t := range tokens {
			if strings.TrimSpace(t) != "" {
				m.pool = append(m.pool, t)
			}
		}
	}
	return m
}

// next returns a program changed in one to three places, and the case it was.
func (m *mutator) next() (string, jinjatest.Case) {
	i := m.rnd.IntN(len(m.programs))
	tokens := slices.Clone(m.programs[i])
	for range 1 + m.rnd.IntN(3) {
		if len(tokens) < 3 {
			break
		}
		at := 1 + m.rnd.IntN(len(tokens)-2)
		switch m.rnd.IntN(6) {
		case 0:
			tokens = slices.Delete(tokens, at, at+1)
		case 1:
			tokens = slices.Insert(tokens, at, " ", m.token(), " ")
		case 2:
			other := 1 + m.rnd.IntN(len(tokens)-2)
			tokens[at], tokens[other] = tokens[other], tokens[at]
		case 3:
			tokens = slices.Insert(tokens, at, m.piece()...)
		default:
			tokens[at] = m.token()
		}
	}
	return strings.Join(tokens, ""), m.cases[i]
}

func (m *mutator) token() string { return m.pool[m.rnd.IntN(len(m.pool))] }

// piece is a few tokens of another program.
func (m *mutator) piece() []string {
	p := m.programs[m.rnd.IntN(len(m.programs))]
	from := m.rnd.IntN(len(p))
	return p[from : from+m.rnd.IntN(min(6, len(p)-from)+1)]
}

// unsteady is what prints differently every time, or what the two cannot agree on:
// addresses, chance, the internals of Python objects.
var unsteady = regexp.MustCompile(`(?i)lipsum|\bdict\s*[.\[]|random|__|\bat 0x|<generator|'g', 'e', 'n', 'e', 'r', 'a', 't', 'o', 'r'|\\N|_undefined`)

func corpus(t testing.TB) []jinjatest.Case {
	var all []jinjatest.Case
	for _, name := range []string{"testdata/hand.jsonl", "testdata/language.jsonl"} {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		cases, err := jinjatest.Load(f)
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, cases...)
	}
	return all
}

// TestOracle mutates recorded programs and compares what they print, or that they fail,
// with CPython's Jinja2.
func TestOracle(t *testing.T) {
	o := startOracle(t)
	m := newMutator(corpus(t))
	envs := map[string]*jinja.Env{}
	for name, opts := range map[string]jinja.Options{"": {Lenient: true}, "strict": {}, "chaining": {Chainable: true}} {
		opts.Do, opts.LoopControls, opts.Loader = true, true, contextLoader{}
		opts.Limits = jinja.Limits{Steps: 1_000_000, Output: 1 << 20, Range: 100_000}
		env, err := jinja.New(opts)
		if err != nil {
			t.Fatal(err)
		}
		envs[name] = env
	}
	kinds := []string{"", "strict", "chaining"}
	oracle.Compare(t, func(rnd *rand.Rand) bool {
		m.rnd = rnd
		src, from := m.next()
		if unsteady.MatchString(src) {
			return false
		}
		kind := kinds[rnd.IntN(len(kinds))]
		var want oracleAnswer
		if o.Ask(oracleRequest{Src: src, Context: from.Context, Templates: from.Loadable, Undefined: kind}, &want, 30*time.Second) != nil {
			return false // a program that CPython hangs in
		}
		if want.Skip != "" || unsteady.MatchString(want.Out) || strings.HasPrefix(want.Error, "AssertionError: Tried to resolve") {
			return false
		}
		got, err := evaluate(envs[kind], src, from)
		if !agrees(want, got, err) {
			t.Errorf("%q (undefined %q)\nCPython: %q %s\nhere:    %q %v", src, kind, want.Out, want.Error, got, err)
		}
		return true
	})
}

// agrees compares the outcomes. Limits of the engine are no differences.
func agrees(want oracleAnswer, got string, err error) bool {
	if err == nil {
		return want.Error == "" && got == want.Out
	}
	var e *value.Error
	if errors.As(err, &e) && (e.Class == "MemoryError" || e.Class == "RecursionError" || e.Class == "OverflowError") {
		return true
	}
	if strings.Contains(err.Error(), "not subscriptable") {
		return true // Jinja2 folds some slices of constants to undefined values
	}
	if s := err.Error(); strings.Contains(s, "the template takes more than") || strings.Contains(s, "the template prints more than") {
		return true
	}
	return want.Error != ""
}

// A contextLoader loads from the templates in the context.
type (
	contextLoader struct{}
	loadableKey   struct{}
)

// Load implements jinja.Loader.
func (contextLoader) Load(ctx context.Context, name, _ string) (string, error) {
	src, ok := ctx.Value(loadableKey{}).(map[string]string)[name]
	if !ok {
		return "", jinja.ErrNotFound
	}
	return src, nil
}

func evaluate(env *jinja.Env, src string, from jinjatest.Case) (string, error) {
	values, err := from.Vars()
	if err != nil {
		return "", err
	}
	tmpl, err := env.Template("", src)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	ctx = context.WithValue(ctx, loadableKey{}, from.Loadable)
	v, err := tmpl.Render(ctx, values)
	if err != nil {
		return "", err
	}
	return value.String(v), nil
}
