package template

import (
	"errors"
	"fmt"

	"orch/playbook/jinja"
	"orch/playbook/jinja/value"
	"orch/playbook/source"
)

// An Error is a template, condition or expression that cannot be evaluated, with the
// place in the author's file where the mistake stands.
type Error struct {
	Pos  source.Pos
	Len  int
	Msg  string // in Jinja2's and Ansible's words
	Hint string
	// Text is the template or condition as written.
	Text string
	// Condition marks the error of a condition; Text is that then.
	Condition bool
	// Undefined is the undefined value whose use is the error, if it was that.
	Undefined *value.Undefined
	// Related are the variables that led here, innermost first.
	Related []source.Diagnostic
	Err     error
}

// Error implements error with the message alone: the place is in Pos.
func (e *Error) Error() string {
	if e.Condition && e.Undefined != nil { // ansible-core 2.18 words no other mistake so
		return fmt.Sprintf("error while evaluating conditional (%s): %s", e.Text, e.Msg)
	}
	return e.Msg
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Diagnostic is the error as every stage reports one.
func (e *Error) Diagnostic() source.Diagnostic {
	return source.Diagnostic{Pos: e.Pos, Len: e.Len, Msg: e.Error(), Hint: e.Hint, Related: e.Related}
}

// Diagnose makes a diagnostic of any error of this package: with a place if it has one.
func Diagnose(err error) source.Diagnostic {
	var e *Error
	if errors.As(err, &e) {
		d := e.Diagnostic()
		d.Msg = err.Error()
		return d
	}
	return source.Diagnostic{Msg: err.Error()}
}

// IsUndefined returns the undefined value whose use err is about, or nil.
func IsUndefined(err error) *value.Undefined {
	var e *Error
	if errors.As(err, &e) && e.Undefined != nil {
		return e.Undefined
	}
	var je *jinja.Error
	if errors.As(err, &je) && je.Undefined != nil {
		return je.Undefined
	}
	var ue *value.UndefinedError
	if errors.As(err, &ue) {
		return ue.U
	}
	return nil
}

// variableError is what the variables' owner returns for one that cannot be templated.
type variableError interface {
	error
	Variable() (name string, at *value.Origin)
}

// wrap gives an error of the language its place in the author's file. shift is what was
// put before the author's text on its first line.
func wrap(err error, text value.Str, shift int) error {
	if err == nil {
		return nil
	}
	e := &Error{Text: text.S, Err: err, Undefined: IsUndefined(err)}
	var je *jinja.Error
	if !errors.As(err, &je) {
		var inner *Error
		if errors.As(err, &inner) {
			return err
		}
		e.Msg = err.Error()
		if text.From != nil {
			e.Pos = *text.From
		}
		return e
	}
	e.Msg = je.Msg
	e.place(je, text, shift)
	e.through(je)
	return e
}

// discreet words the error of a text without what it would show of a secret in it. An
// error that arose elsewhere, in a variable the text uses, stays as it is.
func (e *Engine) discreet(err error, text value.Str) error {
	var of *Error
	if e.opt.Secret == nil || !errors.As(err, &of) || of.Text != text.S || !e.opt.Secret(text.S) {
		return err
	}
	return discreetly(of)
}

func discreetly(of *Error) error {
	out := &Error{Pos: of.Pos, Msg: secretMistake, Hint: "what is wrong is not shown, because the text holds a secret"}
	if of.Undefined != nil {
		out.Undefined = &value.Undefined{Hint: secretMistake}
	}
	return out
}

const secretMistake = "a text that holds a secret cannot be evaluated as a template or condition"

func (e *Error) place(je *jinja.Error, text value.Str, shift int) {
	if je.Template != "" {
		e.Pos = source.Pos{File: je.Template, Line: je.At.Line, Col: je.At.Col}
		return
	}
	if text.From == nil {
		return
	}
	e.Pos = *text.From
	if je.At.Line > 0 {
		col := je.At.Col
		if je.At.Line == 1 {
			col = max(col-shift, 1)
		}
		e.Pos = source.Locate(text.From, text.S, je.At.Line, col)
	}
}

// through follows an error into the variable it arose in: the innermost template is
// where the mistake is, and the way there becomes Related.
func (e *Error) through(je *jinja.Error) {
	var inner *Error
	var ve variableError
	isVariable := je.Err != nil && errors.As(je.Err, &ve)
	switch {
	case je.Err != nil && errors.As(je.Err, &inner):
		used := source.Diagnostic{Pos: e.Pos, Msg: "used here"}
		if isVariable {
			name, _ := ve.Variable()
			used.Msg = fmt.Sprintf("variable %q is used here", name)
		}
		e.Pos, e.Len, e.Msg, e.Text, e.Hint = inner.Pos, inner.Len, inner.Msg, inner.Text, inner.Hint
		e.Condition = inner.Condition
		e.Related = append(append(e.Related, inner.Related...), used)
	case isVariable:
		name, at := ve.Variable()
		e.Related = append(e.Related, source.Diagnostic{Pos: e.Pos, Msg: fmt.Sprintf("variable %q is used here", name)})
		e.Msg = ve.Error()
		if at != nil {
			e.Pos = *at
		}
	}
}
