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

// RuleTruth marks the remark on a condition that is no boolean.
const RuleTruth = "condition-type"

// RuleRange marks the remark on a template that yields a range.
const RuleRange = "range"

// Truth implements Templater. A list holds when all its items do.
func (e *Engine) Truth(ctx context.Context, cond value.Value, s Scope) (value.Value, error) {
	return e.truth(ctx, cond, false, s)
}

// truth is Truth; nested is set for what stands in a list.
func (e *Engine) truth(ctx context.Context, cond value.Value, nested bool, s Scope) (value.Value, error) {
	if e.opt.Mode == Strict {
		return e.strictTruth(ctx, cond, nested, s)
	}
	switch c := cond.(type) {
	case value.Bool, value.Unknown:
		return c, nil
	case value.None:
		return value.Bool(true), nil
	case *value.List:
		return e.all(ctx, c.Items, s)
	case value.Str:
		if c.S == "" {
			e.warn(source.Diagnostic{
				Pos: posOf(c.From), Msg: "an empty condition counts as true", Rule: RuleTruth,
				Hint: "ansible-core 2.19 refuses this; leave it out, or write true",
			})
			return value.Bool(true), nil
		}
		if c.From == nil {
			return e.dataCondition(c, c)
		}
		v, err := e.condition(ctx, c, s)
		if e.keeps(err) {
			return value.Bool(false), nil
		}
		return v, err
	}
	return e.boolean(cond, value.Str{S: value.Repr(cond)})
}

func (e *Engine) all(ctx context.Context, conds []value.Value, s Scope) (value.Value, error) {
	var unknown value.Value
	for _, c := range conds {
		v, err := e.truth(ctx, c, true, s)
		if err != nil {
			return nil, err
		}
		if _, maybe := v.(value.Unknown); maybe {
			unknown = v
			continue
		}
		if v == value.Bool(false) {
			return v, nil
		}
	}
	if unknown != nil {
		return unknown, nil
	}
	return value.Bool(true), nil
}

type delimited struct{}

// Delimited lets conditions be templates without a warning.
func Delimited(ctx context.Context) context.Context {
	return context.WithValue(ctx, delimited{}, true)
}

// condition evaluates an author's condition. One that is a template is rendered first,
// and what an author wrote of the result is evaluated.
func (e *Engine) condition(ctx context.Context, c value.Str, s Scope) (value.Value, error) {
	if !mayBeTemplate(c.S) {
		return e.test(ctx, c, c, s)
	}
	e.warnDelimiters(ctx, c)
	em, v, err := e.render(ctx, c, s)
	switch {
	case err != nil:
		return nil, inCondition(err, c)
	case em == nil:
		return e.single(ctx, v, c, s)
	case len(em.values) > 0:
		return e.testEmbedding(ctx, em, c, s)
	case em.pieces[0] == "":
		return value.Bool(false), nil
	}
	return e.test(ctx, value.Str{S: em.pieces[0], From: c.From}, c, s)
}

// single judges what a lone {{ }} yields. An author's string is evaluated again.
func (e *Engine) single(ctx context.Context, v value.Value, c value.Str, s Scope) (value.Value, error) {
	text, ok := v.(value.Str)
	switch {
	case !ok:
		return e.boolean(v, c)
	case text.S == "":
		return value.Bool(false), nil
	case text.From != nil || harmless().MatchString(text.S):
		if text.From == nil {
			text.From = c.From
		}
		return e.test(ctx, text, c, s)
	}
	return e.dataCondition(text, c)
}

// test evaluates the expression of a condition; written is the condition as it stands.
func (e *Engine) test(ctx context.Context, expr, written value.Str, s Scope) (value.Value, error) {
	reread := expr.S != written.S
	x, err := e.conds.Expr(expr.S)
	if err != nil {
		if err = conditionSyntax(err, expr); reread {
			err = e.discreet(err, expr)
		}
		return nil, err
	}
	v, err := x.Eval(ctx, s)
	if err == nil {
		if u, undefined := v.(*value.Undefined); undefined {
			err = &jinja.Error{Msg: u.Message(), At: u.At, Undefined: u}
		}
	}
	if err != nil {
		if err = wrap(err, expr, 0); reread {
			err = e.discreet(err, expr)
		}
		return nil, inCondition(err, written)
	}
	return e.boolean(v, written)
}

// boolean judges a condition's result. ansible-core 2.18 takes any value's truth; 2.19
// refuses all but booleans.
func (e *Engine) boolean(v value.Value, c value.Str) (value.Value, error) {
	switch v := v.(type) {
	case value.Bool, value.Unknown:
		return v, nil
	case *value.Undefined:
		return nil, inCondition(&value.UndefinedError{U: v}, c)
	}
	if u, ok := value.HasUnknown(v); ok && !value.Truth(v) {
		return u, nil
	}
	truth := value.Truth(v)
	msg := fmt.Sprintf("the condition %q is not a boolean: it is of type '%s' and counts as %t", c.S, v.Type(), truth)
	if e.opt.Mode == Strict {
		return nil, &Error{
			Pos: posOf(c.From), Len: len(c.S), Text: c.S, Msg: msg,
			Hint: "compare it, or use the filter bool",
		}
	}
	e.warn(source.Diagnostic{
		Pos: posOf(c.From), Len: len(c.S), Msg: msg, Rule: RuleTruth,
		Hint: "ansible-core 2.19 refuses this; compare it, or use the filter bool",
	})
	return value.Bool(truth), nil
}

// dataCondition judges a string no author wrote, given or computed as a condition: it is
// never evaluated, and never silently true.
func (e *Engine) dataCondition(text, c value.Str) (value.Value, error) {
	switch text.S {
	case "True", "true":
		return value.Bool(true), nil
	case "False", "false", "":
		return value.Bool(false), nil
	}
	return nil, &Error{
		Pos: posOf(c.From), Len: len(c.S), Text: c.S,
		Msg:  fmt.Sprintf("the condition yields the text %q, which is data and is not evaluated", text.S),
		Hint: "write the condition without {{ }}, or compare the value",
	}
}

func inCondition(err error, c value.Str) error {
	var e *Error
	if !errors.As(err, &e) {
		e = &Error{Pos: posOf(c.From), Msg: err.Error(), Undefined: IsUndefined(err), Err: err}
	}
	out := *e
	out.Condition, out.Text = true, c.S
	if out.Err == nil {
		out.Err = err
	}
	return &out
}

func conditionSyntax(err error, c value.Str) error {
	var je *jinja.Error
	if !errors.As(err, &je) {
		return &Error{Pos: posOf(c.From), Msg: err.Error(), Text: c.S, Condition: true, Err: err}
	}
	// In ansible-core 2.18 it stands in an if: what follows it is the end of that.
	msg := strings.ReplaceAll(je.Msg, "'end of template'", "'end of statement block'")
	out := &Error{
		Msg:  fmt.Sprintf("template error while templating string: %s. String: {%% if %s %%} True {%% else %%} False {%% endif %%}. %s", msg, c.S, msg),
		Text: c.S, Condition: true, Err: err,
	}
	out.place(je, c, 0)
	return out
}
