package run

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"orch/playbook"
	"orch/playbook/jinja/value"
	"orch/playbook/source"
)

// keywords are a task's keywords after inheritance, as written. Lists that extend those
// of their parents are in the order they apply: outermost first.
type keywords struct {
	when           []playbook.Scalar
	tags           []value.Value
	environment    []value.Value
	moduleDefaults []value.Value
	notify         []value.Value
	collections    []string

	connection, port, remoteUser                                     field
	become, becomeMethod, becomeUser, becomeFlags, becomeExe         field
	noLog, runOnce, ignoreErrors, ignoreUnreachable, checkMode, diff field
	anyErrorsFatal, throttle, timeout, debugger                      field
	delegateTo, delegateFacts                                        field
}

// chain lists the keywords a task inherits from, its own first: blocks outwards, those
// of imports and uses of roles among them, then the play (ansible-core 2.18:
// Block._get_parent_attribute).
func chain(t *playbook.Task, play *playbook.Play) []*playbook.Keywords {
	ks := []*playbook.Keywords{&t.Keywords}
	for b := t.Parent; b != nil; b = b.Parent {
		ks = append(ks, &b.Keywords)
	}
	return append(ks, &play.Keywords)
}

// A field is a keyword's value: none, a literal, or a template.
type field struct {
	pos source.Pos
	raw value.Value // nil: not given
	// outer is what holds when the value is omit: that of the enclosing block, or none.
	outer *field
	// literal is set when raw needs no templating.
	literal bool
}

func newField(s *playbook.Scalar) field {
	if s == nil {
		return field{}
	}
	return field{pos: s.Pos, raw: s.Val, literal: isLiteral(s.Val)}
}

func (f field) given() bool { return f.raw != nil }

// isLiteral says whether templating v yields v.
func isLiteral(v value.Value) bool {
	switch v := v.(type) {
	case value.Str:
		return v.From == nil || !strings.Contains(v.S, "{{") && !strings.Contains(v.S, "{%") && !strings.Contains(v.S, "{#")
	case value.Sealed:
		return false
	case *value.List:
		for _, item := range v.Items {
			if !isLiteral(item) {
				return false
			}
		}
	case *value.Dict:
		for k, item := range v.All() {
			if !isLiteral(k) || !isLiteral(item) {
				return false
			}
		}
	}
	return true
}

// A keywordError is a keyword whose value is not what it must be.
type keywordError struct {
	pos source.Pos
	msg string
}

// Error implements error.
func (e *keywordError) Error() string { return e.msg }

// wrongField is a value of the wrong type, in Ansible's words.
func wrongField(name string, f field, v value.Value, isa, why string) error {
	return &keywordError{f.pos, fmt.Sprintf("the field '%s' has an invalid value (%s), and could not be converted to %s. %s", name, value.Repr(v), isa, why)}
}

func toBool(name string, f field, v value.Value) (bool, error) {
	switch v := v.(type) {
	case value.Bool:
		return bool(v), nil
	case value.Int:
		if v == 0 || v == 1 {
			return v == 1, nil
		}
	case value.Float:
		if v == 0 || v == 1 {
			return v == 1, nil
		}
	case value.None:
		return false, nil
	case value.Str:
		switch strings.ToLower(strings.TrimSpace(v.S)) {
		case "yes", "on", "1", "true", "t", "y", "1.0":
			return true, nil
		case "no", "off", "0", "false", "f", "n", "0.0":
			return false, nil
		}
	}
	return false, wrongField(name, f, v, "bool", fmt.Sprintf("The value '%s' is not a valid boolean. Valid booleans include: "+
		"0, 1, 'y', 'yes', 'on', 'true', 't', 'n', 'no', 'off', 'false', 'f'", value.String(v)))
}

func toFloat(name string, f field, v value.Value) (float64, error) {
	switch v := v.(type) {
	case value.Int:
		return float64(v), nil
	case value.Float:
		return float64(v), nil
	case value.Bool:
		if v {
			return 1, nil
		}
		return 0, nil
	case value.Str:
		if n, err := strconv.ParseFloat(strings.TrimSpace(v.S), 64); err == nil && !math.IsNaN(n) {
			return n, nil
		}
	}
	return 0, wrongField(name, f, v, "float", fmt.Sprintf("could not convert string to float: %s", value.Repr(v)))
}

func toInt(name string, f field, v value.Value) (int, error) {
	n, err := toFloat(name, f, v)
	if err != nil || n != math.Trunc(n) || math.Abs(n) > 1<<31 {
		return 0, wrongField(name, f, v, "int", fmt.Sprintf("invalid literal for int() with base 10: %s", value.Repr(v)))
	}
	return int(n), nil
}

// resolve computes a task's keywords. The defaults of the settings come last.
func resolve(t *playbook.Task, play *playbook.Play) *keywords {
	ks := chain(t, play)
	k := &keywords{}
	pick := func(get func(*playbook.Keywords) *playbook.Scalar) field {
		var first field
		at := &first
		for _, kw := range ks {
			s := get(kw)
			if s == nil {
				continue
			}
			if at.given() {
				at.outer = &field{}
				at = at.outer
			}
			*at = newField(s)
			if at.literal {
				break // it cannot be omit
			}
		}
		return first
	}
	k.connection = pick(func(k *playbook.Keywords) *playbook.Scalar { return k.Connection })
	k.port = pick(func(k *playbook.Keywords) *playbook.Scalar { return k.Port })
	k.remoteUser = pick(func(k *playbook.Keywords) *playbook.Scalar { return k.RemoteUser })
	k.become = pick(func(k *playbook.Keywords) *playbook.Scalar { return k.Become })
	k.becomeMethod = pick(func(k *playbook.Keywords) *playbook.Scalar { return k.BecomeMethod })
	k.becomeUser = pick(func(k *playbook.Keywords) *playbook.Scalar { return k.BecomeUser })
	k.becomeFlags = pick(func(k *playbook.Keywords) *playbook.Scalar { return k.BecomeFlags })
	k.becomeExe = pick(func(k *playbook.Keywords) *playbook.Scalar { return k.BecomeExe })
	k.noLog = pick(func(k *playbook.Keywords) *playbook.Scalar { return k.NoLog })
	k.runOnce = pick(func(k *playbook.Keywords) *playbook.Scalar { return k.RunOnce })
	k.ignoreErrors = pick(func(k *playbook.Keywords) *playbook.Scalar { return k.IgnoreErrors })
	k.ignoreUnreachable = pick(func(k *playbook.Keywords) *playbook.Scalar { return k.IgnoreUnreachable })
	k.checkMode = pick(func(k *playbook.Keywords) *playbook.Scalar { return k.CheckMode })
	k.diff = pick(func(k *playbook.Keywords) *playbook.Scalar { return k.Diff })
	k.anyErrorsFatal = pick(func(k *playbook.Keywords) *playbook.Scalar { return k.AnyErrorsFatal })
	k.throttle = pick(func(k *playbook.Keywords) *playbook.Scalar { return k.Throttle })
	k.timeout = pick(func(k *playbook.Keywords) *playbook.Scalar { return k.Timeout })
	k.debugger = pick(func(k *playbook.Keywords) *playbook.Scalar { return k.Debugger })
	k.delegateTo = pick(func(k *playbook.Keywords) *playbook.Scalar { return k.DelegateTo })
	k.delegateFacts = pick(func(k *playbook.Keywords) *playbook.Scalar { return k.DelegateFacts })
	for _, kw := range ks {
		if kw.Notify != nil {
			k.notify = kw.Notify
			break
		}
	}
	for _, kw := range ks {
		if kw.Collections != nil {
			k.collections = kw.Collections
			break
		}
	}
	for i := len(ks) - 1; i >= 0; i-- {
		if ks[i] != &play.Keywords || !t.Handler { // what import_playbook asks is not asked of handlers
			k.when = append(k.when, ks[i].When...)
		}
		k.tags = append(k.tags, ks[i].Tags...)
		k.environment = append(k.environment, ks[i].Environment...)
		k.moduleDefaults = append(k.moduleDefaults, ks[i].ModuleDefaults...)
	}
	return k
}
