package jinja

import (
	"fmt"
	"strings"

	"orch/playbook/jinja/value"
)

// Error says where and what: "site.j2:3:7: 'foo' is undefined".
func (e *Error) Error() string {
	var b strings.Builder
	if e.Template != "" {
		b.WriteString(e.Template + ":")
	}
	if e.At != (value.Place{}) {
		fmt.Fprintf(&b, "%d:%d: ", e.At.Line, e.At.Col)
	} else if e.Template != "" {
		b.WriteByte(' ')
	}
	b.WriteString(e.Msg)
	if path := e.Path(); path != "" {
		b.WriteString(" (" + path + ")")
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Path is the chain of names up to the link that is missing: "a.b" when in `a.b.c` the
// value of a has no b. It is empty when the message already names all there is.
func (e *Error) Path() string {
	if e.Undefined == nil || e.Undefined.Path == e.Undefined.Name {
		return ""
	}
	return e.Undefined.Path
}

// syntaxError adds the template's name to a mistake of the lexer, parser or compiler.
func syntaxError(name string, err error) error {
	if e, ok := err.(*Error); ok && e.Template == "" {
		named := *e
		named.Template = name
		return &named
	}
	return err
}
