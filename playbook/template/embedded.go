package template

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"orch/playbook/jinja"
	"orch/playbook/jinja/value"
	"orch/playbook/source"
)

// A condition with {{ }} in it is rendered by ansible-core 2.18, and the text parsed as an
// expression, whoever wrote it. Here what is rendered is put together from pieces: the
// author's text, which is source, and what {{ }} printed, which is source only when it is
// an author's too, a number or the name of a constant. Anything else is a value, however
// it looks: it is never parsed.

// A printed is a value that {{ }} of a condition printed, told from the text around it.
type printed struct{ v value.Value }

// Type implements value.Value.
func (printed) Type() string { return "printed value" }

// markPrinted is the Finalize of conditions that are templates.
func markPrinted(m Mode) func(value.Value) (value.Value, error) {
	return func(v value.Value) (value.Value, error) {
		got, err := m.finalize(v)
		return printed{got}, err
	}
}

// joinPrinted is their Concat: what a macro or a set block makes of printed values.
func joinPrinted(nodes []value.Value) (value.Value, error) {
	for i, n := range nodes {
		if p, ok := n.(printed); ok {
			nodes[i] = p.v
		}
	}
	return join(nodes)
}

// An embedding is a condition put together from pieces.
type embedding struct {
	pieces []string      // source: one more than values
	values []value.Value // Str is data
	piece  strings.Builder
	quote  byte   // of the string literal the last piece ends in
	escape bool   // behind a backslash
	read   string // what was printed and became source
}

// render evaluates the template a condition is. single is the value of one that is a lone
// {{ }}, nil for others.
func (e *Engine) render(ctx context.Context, c value.Str, s Scope) (em *embedding, single value.Value, err error) {
	env, err := e.env(overlay{Overrides: Overrides{TrimBlocks: true}, escape: true, mode: e.opt.Mode, embeds: true})
	if err != nil {
		return nil, nil, err
	}
	tmpl, err := env.Template("", c.S)
	if err != nil {
		return nil, nil, err
	}
	nodes, err := tmpl.Parts(ctx, s)
	if err != nil {
		return nil, nil, wrap(err, c, 0)
	}
	if len(nodes) == 1 {
		switch n := nodes[0].(type) {
		case printed:
			v, err := e.opt.Mode.single(n.v)
			return nil, v, err
		case value.Unknown: // what was to be printed depends on it
			return nil, n, nil
		}
	}
	em = &embedding{}
	for _, n := range nodes {
		if err := em.add(n); err != nil {
			return nil, nil, err
		}
	}
	em.pieces = append(em.pieces, em.piece.String())
	return em, nil, nil
}

func (em *embedding) add(node value.Value) error {
	p, ok := node.(printed)
	if u, unknown := node.(value.Unknown); unknown {
		p, ok = printed{u}, true
	}
	switch {
	case !ok:
		em.source(value.String(node))
	case em.quote != 0:
		text, err := join([]value.Value{p.v})
		if err != nil {
			return err
		}
		if s, ok := text.(value.Str); ok {
			text = value.S(s.S)
		}
		em.value(text)
	case isSource(p.v):
		em.read += value.String(p.v) + "\n"
		em.source(value.String(p.v))
	default:
		em.value(p.v)
	}
	return nil
}

// source adds an author's text and follows its quotes.
func (em *embedding) source(text string) {
	em.piece.WriteString(text)
	for i := range len(text) {
		switch c := text[i]; {
		case em.quote == 0:
			if c == '\'' || c == '"' {
				em.quote = c
			}
		case em.escape:
			em.escape = false
		case c == '\\':
			em.escape = true
		case c == em.quote:
			em.quote = 0
		}
	}
}

func (em *embedding) value(v value.Value) {
	em.pieces, em.values = append(em.pieces, em.piece.String()), append(em.values, v)
	em.piece.Reset()
	em.escape = false
}

// harmless is text that means the same whoever wrote it.
var harmless = source.Lazy(`^(?:|[Tt]rue|[Ff]alse|[Nn]one|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?)$`)

// isSource says whether a printed value may be read as source.
func isSource(v value.Value) bool {
	switch v := v.(type) {
	case value.Bool, value.Int, *value.BigInt, value.Float, value.None:
		return true
	case value.Str:
		return v.From != nil || harmless().MatchString(v.S)
	}
	return false
}

// testEmbedding evaluates a condition in pieces; c is the condition as written.
func (e *Engine) testEmbedding(ctx context.Context, em *embedding, c value.Str, s Scope) (value.Value, error) {
	x, judged, err := e.conds.Filled(em.pieces)
	if err != nil {
		return nil, e.discreetOf(em, em.syntax(err, c), c)
	}
	for _, i := range judged {
		if text, ok := em.values[i].(value.Str); ok {
			return e.dataCondition(text, c)
		}
	}
	v, err := x.Eval(ctx, &filledScope{s, em.values})
	if err == nil {
		if u, undefined := v.(*value.Undefined); undefined {
			err = &jinja.Error{Msg: u.Message(), At: u.At, Undefined: u}
		}
	}
	if err != nil {
		err = e.discreetOf(em, em.place(wrap(err, value.Str{S: c.S}, 0), c), c)
		return nil, inCondition(err, c)
	}
	return e.boolean(v, c)
}

// discreetOf is discreet for a condition in pieces, where what was printed may hold a
// secret.
func (e *Engine) discreetOf(em *embedding, err error, c value.Str) error {
	var of *Error
	if e.opt.Secret == nil || !errors.As(err, &of) || of.Text != c.S || !e.opt.Secret(em.read) {
		return err
	}
	return discreetly(of)
}

// place puts an error at the condition: places in the pieces are none of the file's.
func (em *embedding) place(err error, c value.Str) error {
	var e *Error
	if errors.As(err, &e) && e.Pos.File == "" {
		out := *e
		out.Pos, out.Len = posOf(c.From), len(c.S)
		return &out
	}
	return err
}

// syntax words a mistake in the pieces: most often a value that stands where only source
// can.
func (em *embedding) syntax(err error, c value.Str) error {
	out := &Error{
		Pos: posOf(c.From), Len: len(c.S), Text: c.S, Condition: true, Err: err,
		Msg:  "template error while templating string: " + err.Error(),
		Hint: "write the condition without {{ }}, or compare the value",
	}
	var je *jinja.Error
	if !errors.As(err, &je) {
		return out
	}
	out.Msg = fmt.Sprintf("template error while templating string: %s. String: %s", je.Msg, c.S)
	if i := jinja.HoleAt(em.pieces, je.At); i >= 0 {
		before := strings.TrimSpace(em.pieces[i])
		if n := len([]rune(before)); n > 20 {
			before = "…" + string([]rune(before)[n-20:])
		}
		out.Msg = fmt.Sprintf("in the condition %q the embedded value %s, after %q, is data and is not evaluated: %s",
			c.S, value.Repr(em.values[i]), before, je.Msg)
	}
	return out
}

// A filledScope is a scope with the values of an embedding.
type filledScope struct {
	Scope
	values []value.Value
}

// Lookup implements jinja.Vars.
func (s *filledScope) Lookup(name string) (value.Value, bool, error) {
	if strings.HasPrefix(name, "{") {
		for i, v := range s.values {
			if name == jinja.HoleName(i) {
				return v, true, nil
			}
		}
	}
	return s.Scope.Lookup(name)
}
