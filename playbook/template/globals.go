package template

import (
	"time"

	"orch/playbook/jinja"
	"orch/playbook/jinja/value"
	"orch/playbook/template/filter"
)

// globals are the functions Ansible adds to Jinja2's.
func (e *Engine) globals() map[string]value.Value {
	return map[string]value.Value{
		"lookup": &lookupFunc{engine: e, name: "lookup"},
		"query":  &lookupFunc{engine: e, name: "query", list: true},
		"q":      &lookupFunc{engine: e, name: "q", list: true},
		"now":    nowFunc(),
		"undef":  undefFunc(),
	}
}

// nowFunc is now(utc=False, fmt=None).
func nowFunc() *jinja.Function {
	return &jinja.Function{
		Name: "now",
		Sig: jinja.Signature{Params: []jinja.Param{
			{Name: "utc", Default: value.Bool(false)}, {Name: "fmt", Default: value.None{}},
		}},
		Do: func(_ *jinja.Call, b jinja.Bound) (value.Value, error) {
			now := time.Now()
			if value.Truth(b.Args[0]) {
				now = now.UTC()
			}
			if value.Truth(b.Args[1]) {
				return value.S(filter.Strftime(value.String(b.Args[1]), now)), nil
			}
			return filter.Datetime(now), nil
		},
	}
}

// undefFunc is undef(hint=None): a value whose use is an error, for variables somebody
// has to set.
func undefFunc() *jinja.Function {
	return &jinja.Function{
		Name: "undef",
		Sig: jinja.Signature{
			Params:          []jinja.Param{{Name: "hint", Default: value.None{}}},
			AcceptUndefined: true,
		},
		Do: func(_ *jinja.Call, b jinja.Bound) (value.Value, error) {
			hint := "Mandatory variable has not been overridden"
			if _, undefined := b.Args[0].(*value.Undefined); !undefined && value.Truth(b.Args[0]) {
				hint = value.String(b.Args[0])
			}
			return &value.Undefined{Hint: hint}, nil
		},
	}
}
