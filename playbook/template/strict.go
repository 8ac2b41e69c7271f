package template

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"orch/playbook/jinja"
	"orch/playbook/jinja/value"
	"orch/playbook/source"
)

// Conditions under --strict, as ansible-core 2.19 has them: an expression that yields a
// boolean. {{ }} around the whole of it may yield an author's expression; inside of string
// literals it is evaluated as a template of its own; anywhere else it is a mistake.

// strictTruth is Truth. nested is set for what stands in a list.
func (e *Engine) strictTruth(ctx context.Context, cond value.Value, nested bool, s Scope) (value.Value, error) {
	switch c := cond.(type) {
	case value.Bool, value.Unknown:
		return c, nil
	case value.None:
		return value.Bool(true), nil
	case *value.List:
		if !nested {
			return e.all(ctx, c.Items, s)
		}
	case value.Str:
		v, err := e.strictCondition(ctx, c, s)
		if e.keeps(err) {
			return value.Bool(false), nil
		}
		return v, err
	}
	return nil, &Error{Msg: fmt.Sprintf("the condition %s is no string but of type '%s'", value.Repr(cond), cond.Type())}
}

func (e *Engine) strictCondition(ctx context.Context, c value.Str, s Scope) (value.Value, error) {
	expr := trimmed(c)
	if expr.S == "" {
		return nil, emptyCondition(c)
	}
	if expr.From == nil {
		return nil, untrusted(expr, c)
	}
	if isAllTemplate(expr.S) {
		v, err := e.text(ctx, expr, s)
		if err != nil {
			return nil, inCondition(err, c)
		}
		text, ok := v.(value.Str)
		if !ok {
			e.warnDelimiters(ctx, c)
			return e.boolean(v, c)
		}
		switch text = trimmed(text); {
		case text.S == "":
			return nil, emptyCondition(c)
		case text.From == nil:
			return nil, untrusted(text, c)
		}
		expr = text
	}
	if mayBeTemplate(expr.S) {
		return e.testConstants(ctx, expr, c, s)
	}
	return e.test(ctx, expr, c, s)
}

// testConstants evaluates an expression with templates in its string literals.
func (e *Engine) testConstants(ctx context.Context, expr, written value.Str, s Scope) (value.Value, error) {
	pieces, constants := splitConstants(expr)
	x, _, err := e.conds.Filled(pieces)
	if err != nil {
		return nil, conditionSyntax(err, expr)
	}
	if len(constants) > 0 {
		e.warnDelimiters(ctx, written)
	}
	v, err := x.Eval(ctx, &constantScope{s, ctx, e, constants})
	if err == nil {
		if u, undefined := v.(*value.Undefined); undefined {
			err = &jinja.Error{Msg: u.Message(), At: u.At, Undefined: u}
		}
	}
	if err != nil {
		em := &embedding{}
		return nil, inCondition(em.place(wrap(err, value.Str{S: expr.S}, 0), written), written)
	}
	return e.boolean(v, written)
}

// splitConstants cuts an expression at its string literals that are templates.
func splitConstants(expr value.Str) (pieces []string, constants []value.Str) {
	from := 0
	for i := 0; i < len(expr.S); i++ {
		if c := expr.S[i]; c != '\'' && c != '"' {
			continue
		}
		text, end := literalRun(expr.S, i)
		if mayBeTemplate(text) {
			at := *expr.From
			at.Marks = nil
			pieces, from = append(pieces, expr.S[from:i]), end
			constants = append(constants, value.Str{S: text, From: &at})
		}
		i = end - 1
	}
	return append(pieces, expr.S[from:]), constants
}

// literalRun reads the string literal at i and those that follow it: they are one.
func literalRun(s string, i int) (text string, end int) {
	for {
		end = stringEnd(s, i)
		v, err := value.LiteralEval(s[i:end])
		if err != nil {
			return text, end // a mistake the parser names
		}
		text += value.String(v)
		i = end + len(s[end:]) - len(strings.TrimLeft(s[end:], " \t\r\n"))
		if i >= len(s) || s[i] != '\'' && s[i] != '"' {
			return text, end
		}
	}
}

// A constantScope is a scope with the templates of an expression's string literals, which
// are evaluated when the expression reaches them.
type constantScope struct {
	Scope
	ctx       context.Context
	engine    *Engine
	constants []value.Str
}

// Lookup implements jinja.Vars.
func (s *constantScope) Lookup(name string) (value.Value, bool, error) {
	if strings.HasPrefix(name, "{") {
		for i, c := range s.constants {
			if name == jinja.HoleName(i) {
				v, err := s.engine.text(s.ctx, c, s.Scope)
				return v, err == nil, err
			}
		}
	}
	return s.Scope.Lookup(name)
}

// isAllTemplate says whether a condition begins and ends with delimiters.
func isAllTemplate(s string) bool {
	if strings.HasPrefix(s, "#jinja2:") {
		return true
	}
	if len(s) < 4 {
		return false
	}
	switch s[:2] {
	case "{{", "{%", "{#":
	default:
		return false
	}
	switch s[len(s)-2:] {
	case "}}", "%}", "#}":
		return true
	}
	return false
}

// trimmed is c without blanks around it.
func trimmed(c value.Str) value.Str {
	text := strings.TrimSpace(c.S)
	lead := len(c.S) - len(strings.TrimLeft(c.S, " \t\r\n"))
	if lead == 0 || c.From == nil || strings.Contains(c.S[:lead], "\n") {
		return value.Str{S: text, From: c.From}
	}
	at := *c.From
	at.Col += lead
	at.Marks = nil
	for _, m := range c.From.Marks {
		m.Offset -= int32(lead)
		at.Marks = append(at.Marks, m)
	}
	return value.Str{S: text, From: &at}
}

func emptyCondition(c value.Str) error {
	return &Error{
		Pos: posOf(c.From), Len: len(c.S), Text: c.S, Condition: true,
		Msg:  fmt.Sprintf("the condition %q is empty", c.S),
		Hint: "leave it out, or write true",
	}
}

func untrusted(text, c value.Str) error {
	return &Error{
		Pos: posOf(c.From), Len: len(c.S), Text: c.S,
		Msg:  fmt.Sprintf("the condition yields the text %q, which is data and is not evaluated", text.S),
		Hint: "write the condition without {{ }}, compare the value, or use the filter bool",
	}
}

func (e *Engine) warnDelimiters(ctx context.Context, c value.Str) {
	if ctx.Value(delimited{}) != nil {
		return
	}
	e.warn(source.Diagnostic{Pos: posOf(c.From), Len: len(c.S), Msg: fmt.Sprintf(
		"conditional statements should not include jinja2 templating delimiters such as {{ }} or {%% %%}. Found: %s", c.S)})
}

// strictConcat is concat: what is nothing or left out prints nothing.
func strictConcat(nodes []value.Value) (value.Value, error) {
	kept := slices.DeleteFunc(slices.Clone(nodes), func(n value.Value) bool { return n == value.Value(value.None{}) })
	switch len(kept) {
	case 0:
		return value.None{}, nil
	case 1:
		return strictSingle(kept[0])
	}
	return join(slices.DeleteFunc(kept, IsOmit))
}

// strictSingle types the only value printed.
func strictSingle(v value.Value) (value.Value, error) {
	switch x := v.(type) {
	case value.Unknown, omit, value.Str:
		return v, nil
	case value.Sealed:
		return value.S(x.Text), nil
	}
	if value.Holds(v, isRange) {
		return nil, value.Errorf("TypeError", "type 'range' cannot be kept in a variable\nhint: use the filter list")
	}
	p, err := plain(v)
	if err != nil {
		return nil, err
	}
	return dropOmit(Lists(p), true), nil
}

func isRange(v value.Value) bool {
	_, ok := v.(*value.Range)
	return ok
}

// maxAgain is how often what a template yields may be an author's template again.
const maxAgain = 50

type againKey struct{}

// again evaluates what a template handed on of an author's: ansible-core 2.19 templates
// what is reached in a container (vars['name']), 2.18 does not.
func (e *Engine) again(ctx context.Context, out value.Value, from value.Str, s Scope) (value.Value, error) {
	if isConstant(out) {
		return out, nil
	}
	depth, _ := ctx.Value(againKey{}).(int)
	if depth >= maxAgain {
		return nil, &Error{Pos: posOf(from.From), Len: len(from.S), Text: from.S, Msg: fmt.Sprintf("recursive loop detected in template string: %s", from.S)}
	}
	return e.Value(context.WithValue(ctx, againKey{}, depth+1), out, s)
}

// strictTypeDebug names types as ansible-core 2.19 does, whose strings have no class of
// their own.
func strictTypeDebug(f *jinja.Filter) *jinja.Filter {
	return &jinja.Filter{Sig: f.Sig, Do: func(c *jinja.Call, in value.Value, b jinja.Bound) (value.Value, error) {
		switch in.(type) {
		case value.Str, value.Sealed:
			return value.S("str"), nil
		case *value.Undefined:
			return value.S("UndefinedMarker"), nil
		case omit:
			return value.S("_OmitType"), nil
		case *value.DictView:
			return value.S("list"), nil
		}
		return f.Do(c, in, b)
	}}
}
