package template

import (
	"orch/playbook/jinja"
	"orch/playbook/jinja/value"
)

// FreeNames lists the variables an author's string asks for when it is evaluated, as a
// condition or as text, with their places in it. One that does not parse asks for none.
func (e *Engine) FreeNames(s value.Str, cond bool) []jinja.Ref {
	switch {
	case s.From == nil:
	case cond && !mayBeTemplate(s.S):
		if x, err := e.conds.Expr(s.S); err == nil {
			return x.FreeNames()
		}
	case mayBeTemplate(s.S):
		if p := e.program(s.S); p.err == nil {
			return p.tmpl.FreeNames()
		}
	}
	return nil
}
