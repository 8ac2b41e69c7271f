package jinja

import (
	"strings"

	"orch/playbook/jinja/value"
)

// A macroCode is a compiled macro or the body of a call block.
type macroCode struct {
	name   string // "" for a call block
	at     value.Place
	params []macroParam
	caller int // slot of the variable caller; -1 when the body does not use it
	kwargs int
	vararg int
	enter  execFn
	body   execFn
	fn     *function
}

type macroParam struct {
	name     string
	slot     int
	fallback evalFn // nil: the parameter is undefined when not given
}

// macroBody compiles the function of a macro inside of f.
func (c *compiler) macroBody(name string, sig *signature, body []node, at value.Place, f *frame) *macroCode {
	inner := f.function()
	m := &macroCode{name: name, at: at, caller: -1, kwargs: -1, vararg: -1, fn: inner.fn()}
	for _, p := range sig.params {
		inner.sym.declare(p.name)
	}
	special := undeclared(body, "caller", "kwargs", "varargs")
	c.specialParams(m, inner, sig, special)
	inner.sym.analyze(sig.defaults...)
	inner.sym.analyze(body...)
	for i, p := range sig.params {
		r, _ := inner.sym.find(p.name)
		mp := macroParam{name: p.name, slot: r.slot()}
		if d := i - len(sig.params) + len(sig.defaults); d >= 0 {
			mp.fallback = c.expr(sig.defaults[d], inner)
		}
		m.params = append(m.params, mp)
	}
	m.enter = orNoop(c.enter(inner))
	m.body = orNoop(c.body(body, inner))
	return m
}

// specialParams declares caller, kwargs and varargs as far as the body uses them and no
// parameter has the name.
func (c *compiler) specialParams(m *macroCode, f *frame, sig *signature, used map[string]bool) {
	named := map[string]bool{}
	for i, p := range sig.params {
		named[p.name] = true
		if p.name == "caller" && used["caller"] && i < len(sig.params)-len(sig.defaults) {
			c.fail(m.at, "When defining macros or call blocks the special \"caller\" argument must be omitted or be given a default.")
		}
	}
	declare := func(name string) int {
		if !used[name] || named[name] {
			return -1
		}
		return f.sym.declare(name).slot()
	}
	m.caller, m.kwargs, m.vararg = declare("caller"), declare("kwargs"), declare("varargs")
	if named["caller"] && used["caller"] {
		m.caller = explicitCaller
	}
}

// explicitCaller marks a macro that has a parameter named caller and uses it.
const explicitCaller = -2

func (c *compiler) macro(n *macroStmt, f *frame) execFn {
	code := c.macroBody(n.name, &n.signature, n.body, n.at(), f)
	r, ok := f.sym.find(n.name)
	if !ok {
		r = f.sym.declare(n.name)
	}
	name, slot, toplevel := n.name, r.slot(), f.toplevel
	return func(a *activation, _ *output) error {
		m := &Macro{code: code, up: a, in: a.in}
		a.slots[slot] = m
		if toplevel {
			a.in.scope.set(name, m)
			if !strings.HasPrefix(name, "_") {
				a.in.scope.export(name)
			}
		}
		return nil
	}
}

func (c *compiler) callBlock(n *callStmt, f *frame) execFn {
	code := c.macroBody("", &n.signature, n.body, n.at(), f)
	caller := func(a *activation) (value.Value, error) {
		return &Macro{code: code, up: a, in: a.in}, nil
	}
	call, at := c.call(n.call, f, caller), n.at()
	return func(a *activation, o *output) error {
		v, err := call(a)
		if err != nil {
			return err
		}
		if err := o.join(v); err != nil {
			return a.in.fail(at, err)
		}
		return nil
	}
}

// A Macro is a macro of a template, or the caller of a call block.
type Macro struct {
	code *macroCode
	up   *activation
	in   *instance
}

// Type implements value.Value.
func (*Macro) Type() string { return "Macro" }

// Attr implements value.Object.
func (m *Macro) Attr(name string) (value.Value, bool, error) {
	switch name {
	case "name":
		if m.code.name == "" {
			return value.None{}, true, nil
		}
		return value.S(m.code.name), true, nil
	case "arguments":
		names := make(value.Tuple, len(m.code.params))
		for i, p := range m.code.params {
			names[i] = value.S(p.name)
		}
		return names, true, nil
	case "catch_kwargs":
		return boolean(m.code.kwargs >= 0), true, nil
	case "catch_varargs":
		return boolean(m.code.vararg >= 0), true, nil
	case "caller":
		return boolean(m.code.caller != -1), true, nil
	case "explicit_caller":
		return boolean(m.explicitCaller()), true, nil
	}
	return nil, false, nil
}

func (m *Macro) explicitCaller() bool {
	for _, p := range m.code.params {
		if p.name == "caller" {
			return true
		}
	}
	return false
}

// Str implements value.Texter.
func (m *Macro) Str() string { return m.Repr() }

// Repr implements value.Texter.
func (m *Macro) Repr() string {
	if m.code.name == "" {
		return "<Macro anonymous>"
	}
	return "<Macro " + value.Repr(value.S(m.code.name)) + ">"
}

// Call implements Func. The text is Markup where the caller's template escapes.
func (m *Macro) Call(c *Call, args Args) (value.Value, error) {
	st := m.in.st
	act := &activation{slots: make([]value.Value, m.code.fn.n), up: m.up, in: m.in}
	if err := m.bind(act, args); err != nil {
		return nil, err
	}
	if err := st.descend(); err != nil {
		return nil, m.in.fail(m.code.at, err)
	}
	defer st.ascend()
	o := act.newOutput()
	_ = m.code.enter(act, o)
	if err := m.defaults(act); err != nil {
		return nil, err
	}
	if err := m.code.body(act, o); err != nil {
		return nil, err
	}
	v, err := act.captured(o, m.code.at)
	if s, ok := v.(value.Str); ok && c.Autoescape {
		v = value.Markup(s.S)
	}
	return v, err
}

// bind stores the arguments in the variables of the macro, as Python's Macro takes them.
func (m *Macro) bind(act *activation, args Args) error {
	code := m.code
	named := args.Named
	take := func(name string) value.Value {
		for i, n := range named {
			if n.Name == name {
				rest := make([]NamedArg, 0, len(named)-1)
				named = append(append(rest, named[:i]...), named[i+1:]...)
				return n.Val
			}
		}
		return nil
	}
	foundCaller := len(args.Pos) >= len(code.params) && m.explicitCaller()
	for i, p := range code.params {
		v := missing
		if i < len(args.Pos) {
			v = args.Pos[i]
		} else {
			if given := take(p.name); given != nil {
				v = given
			}
			foundCaller = foundCaller || p.name == "caller"
		}
		act.slots[p.slot] = v
	}
	if code.caller >= 0 && !foundCaller {
		v := take("caller")
		if _, none := v.(value.None); v == nil || none {
			v = &value.Undefined{Name: "caller", Hint: "No caller defined", Lenient: m.in.env.opts.Lenient, At: code.at}
		}
		act.slots[code.caller] = v
	}
	name := value.Repr(value.S(code.name))
	if code.name == "" {
		name = "None"
	}
	switch {
	case code.kwargs >= 0:
		d := value.NewDict(len(named))
		for _, n := range named {
			d.SetStr(n.Name, n.Val)
		}
		act.slots[code.kwargs] = d
	case len(named) > 0:
		for _, n := range named {
			if n.Name == "caller" {
				return value.Errorf("TypeError", "macro %s was invoked with two values for the special caller argument. This is most likely a bug.", name)
			}
		}
		return value.Errorf("TypeError", "macro %s takes no keyword argument '%s'", name, named[0].Name)
	}
	extra := len(args.Pos) > len(code.params)
	switch {
	case code.vararg >= 0 && extra:
		act.slots[code.vararg] = value.Tuple(args.Pos[len(code.params):])
	case code.vararg >= 0:
		act.slots[code.vararg] = value.Tuple{}
	case extra:
		return value.Errorf("TypeError", "macro %s takes not more than %d argument(s)", name, len(code.params))
	}
	return nil
}

// defaults gives the parameters that were not passed their value, one after the other: a
// default sees the parameters before it.
func (m *Macro) defaults(act *activation) error {
	for _, p := range m.code.params {
		if act.slots[p.slot] != missing {
			continue
		}
		if p.fallback == nil {
			act.slots[p.slot] = &value.Undefined{
				Name: p.name, Hint: "parameter '" + p.name + "' was not provided",
				Lenient: m.in.env.opts.Lenient,
			}
			continue
		}
		v, err := p.fallback(act)
		if err != nil {
			return err
		}
		act.slots[p.slot] = v
	}
	return nil
}
