package jinja

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"orch/playbook/jinja/value"
)

// An evalFn is a compiled expression, an execFn a compiled statement.
type (
	evalFn func(a *activation) (value.Value, error)
	execFn func(a *activation, o *output) error
)

// missing is what an unset variable holds. It never leaves the engine.
type missingValue struct{}

// Type implements value.Value.
func (missingValue) Type() string { return "missing" }

var missing value.Value = missingValue{}

// How break and continue leave a loop.
var (
	errBreak    = errors.New("'break' outside loop")
	errContinue = errors.New("'continue' outside loop")
)

// An unknownFlow ends an evaluation whose course depends on a value that is not known
// yet: the result is that Unknown, whatever was printed before.
type unknownFlow struct{ u value.Unknown }

// Error implements error.
func (e *unknownFlow) Error() string { return e.u.Of + " is not known yet" }

// A state is what one evaluation shares over all templates that take part in it.
type state struct {
	ctx   context.Context
	done  <-chan struct{}
	env   *Env
	vars  Vars
	steps int
	depth int
	// native collects what is printed as values.
	native bool
	// clone makes lists and dicts of the variables the template's own, because it may
	// change them.
	clone bool
	// memo keeps variables when several templates take part.
	memo    map[string]value.Value
	modules map[*program]*module
}

// step counts a loop iteration or call. The context is looked at now and then.
func (st *state) step() error {
	st.steps++
	if st.steps > st.env.limits.Steps {
		return fmt.Errorf("the template takes more than %d steps", st.env.limits.Steps)
	}
	if st.steps&0xff == 0 && st.done != nil {
		return st.ctx.Err()
	}
	return nil
}

// descend counts a level of recursion; ascend must follow.
func (st *state) descend() error {
	st.depth++
	if st.depth > st.env.limits.Recursion {
		return value.Errorf("RecursionError", "maximum recursion depth exceeded")
	}
	return st.step()
}

func (st *state) ascend() { st.depth-- }

// lookup finds a variable or global; missing when there is neither.
func (st *state) lookup(name string) (value.Value, error) {
	if v, ok := st.memo[name]; ok {
		return v, nil
	}
	v, ok, err := st.vars.Lookup(name)
	switch {
	case err != nil:
		return nil, err
	case !ok:
		if v, ok = st.env.globals[name]; !ok {
			v = missing
		}
	case st.clone:
		v = value.Clone(v)
	}
	if st.memo != nil {
		st.memo[name] = v
	}
	return v, nil
}

// A scope is Jinja2's context: where the names come from that a template does not set
// itself, and what its root level sets.
type scope struct {
	vars     map[string]value.Value
	exported map[string]bool
	// locals and outer are the names and the scope of whoever includes this template.
	locals map[string]value.Value
	outer  *scope
	// isolated is set for an import without context, which sees the globals only.
	isolated bool
	blocks   map[string][]placedBlock
	// parent is the template that the running one extends.
	parent     *Template
	autoescape bool
	instances  []*instance
	// name is that of the template the scope was made for.
	name string
}

// lookup returns missing for a name that is not there.
func (s *scope) lookup(st *state, name string) (value.Value, error) {
	for ; s != nil; s = s.outer {
		if v, ok := s.vars[name]; ok {
			return v, nil
		}
		if v, ok := s.locals[name]; ok {
			return v, nil
		}
		if s.isolated {
			if v, ok := st.env.globals[name]; ok {
				return v, nil
			}
			return missing, nil
		}
	}
	return st.lookup(name)
}

// set assigns a name on the root level; blocks that run later see it.
func (s *scope) set(name string, v value.Value) {
	if s.vars == nil {
		s.vars = map[string]value.Value{}
	}
	s.vars[name] = v
	for _, in := range s.instances {
		if i, ok := in.prog.freeIndex[name]; ok {
			in.free[i] = nil
		}
	}
}

func (s *scope) export(name string) {
	if s.exported == nil {
		s.exported = map[string]bool{}
	}
	s.exported[name] = true
}

// instance returns the scope's instance of a template: its own or one it extends.
func (s *scope) instance(st *state, t *Template) *instance {
	for _, in := range s.instances {
		if in.prog == t.prog && in.name == t.name {
			return in
		}
	}
	in := &instance{st: st, scope: s, prog: t.prog, name: t.name, env: t.env}
	if n := len(t.prog.free); n > 0 {
		in.free = make([]value.Value, n)
	}
	s.instances = append(s.instances, in)
	return in
}

// derive makes a scope that adds locals.
func (s *scope) derive(locals map[string]value.Value) *scope {
	d := &scope{outer: s, locals: locals, autoescape: s.autoescape, name: s.name}
	if s.blocks != nil {
		d.blocks = make(map[string][]placedBlock, len(s.blocks))
		for name, list := range s.blocks {
			d.blocks[name] = list[:len(list):len(list)]
		}
	}
	return d
}

// An instance is a template running in a scope.
type instance struct {
	st    *state
	env   *Env
	scope *scope
	prog  *program
	name  string
	// free are the names from the scope by their number; nil until looked up.
	free []value.Value
	// spare is a Call that tests use one after the other.
	spare *Call
}

func (in *instance) resolve(i int) (value.Value, error) {
	v, err := in.scope.lookup(in.st, in.prog.free[i])
	if err == nil {
		in.free[i] = v
	}
	return v, err
}

// fail makes err an *Error with a place.
func (in *instance) fail(at value.Place, err error) error {
	switch e := err.(type) {
	case *Error:
		return e
	case *unknownFlow:
		return e
	case *value.UndefinedError:
		if e.U.At != (value.Place{}) {
			at = e.U.At
		}
		return &Error{Template: in.name, At: at, Msg: e.U.Message(), Undefined: e.U, Err: err}
	}
	if err == errBreak || err == errContinue {
		return err
	}
	return &Error{Template: in.name, At: at, Msg: err.Error(), Err: err}
}

// settle makes an error an *Error, and the error of an answer that is not known the
// value Unknown.
func (in *instance) settle(at value.Place, v value.Value, err error) (value.Value, error) {
	if err == nil {
		return v, nil
	}
	if u, ok := err.(*value.UnknownError); ok {
		return u.U, nil
	}
	return nil, in.fail(at, err)
}

func (in *instance) undefined(name string, at value.Place) *value.Undefined {
	return &value.Undefined{Name: name, Lenient: in.env.opts.Lenient, At: at}
}

// An activation holds the variables of a running function.
type activation struct {
	slots []value.Value
	up    *activation // of the enclosing function
	in    *instance
}

// truth decides a condition. known is false when it depends on something that is not
// known yet.
func (a *activation) truth(v value.Value, at value.Place) (truth, known bool, err error) {
	switch v := v.(type) {
	case value.Bool:
		return bool(v), true, nil
	case value.Unknown:
		return false, false, nil
	case *value.Undefined:
		if !v.Lenient {
			return false, true, a.in.fail(at, &value.UndefinedError{U: v})
		}
	}
	return value.Truth(v), true, nil
}

// An output collects what a template prints.
type output struct {
	buf    strings.Builder
	parts  []value.Value
	size   int // of the parts
	native bool
	// unknown is set once something printed is not known.
	unknown value.Value
	// stand is printed for what is not known, if it is not "".
	stand string
	limit int
	// debug prints undefined values as what is missing.
	debug bool
}

func (a *activation) newOutput() *output {
	return &output{native: a.in.st.native, limit: a.in.env.limits.Output, debug: a.in.env.opts.Debug}
}

// textOutput collects text, whatever the evaluation does.
func (e *Env) textOutput() *output { return &output{limit: e.limits.Output, debug: e.opts.Debug} }

func (o *output) data(text string) error {
	if o.native {
		return o.part(value.S(text), len(text))
	}
	if o.buf.Len()+len(text) > o.limit {
		return o.tooBig()
	}
	o.buf.WriteString(text)
	return nil
}

// part collects a value of about so many bytes.
func (o *output) part(v value.Value, size int) error {
	if o.size += size + 1; o.size > o.limit {
		return o.tooBig()
	}
	o.parts = append(o.parts, v)
	return nil
}

func (o *output) tooBig() error {
	return fmt.Errorf("the template prints more than %d bytes", o.limit)
}

// print writes a value. What it writes of an undefined value is decided by its strictness.
func (o *output) print(v value.Value) error {
	if o.native {
		size := 0
		if s, ok := v.(value.Str); ok {
			size = len(s.S)
		}
		return o.part(v, size)
	}
	switch v := v.(type) {
	case value.Str:
		return o.data(v.S)
	case value.Int:
		var digits [20]byte
		if o.buf.Len()+len(digits) > o.limit {
			return o.tooBig()
		}
		o.buf.Write(strconv.AppendInt(digits[:0], int64(v), 10))
		return nil
	case value.Unknown:
		return o.printUnknown(v)
	case *value.Undefined:
		if !v.Lenient {
			return &value.UndefinedError{U: v}
		}
		if o.debug {
			return o.data(debugText(v))
		}
		return nil
	}
	text, err := value.Text(v)
	var unknown *value.UnknownError
	switch {
	case errors.As(err, &unknown):
		return o.printUnknown(unknown.U)
	case err != nil:
		return err
	}
	return o.data(text)
}

func (o *output) printUnknown(u value.Value) error {
	if o.stand != "" {
		return o.data(o.stand)
	}
	o.unknown = u
	return nil
}

// join writes what a filter or call block yields. Jinja2 does not make it text, so that
// anything else is an error, unless values are collected.
func (o *output) join(v value.Value) error {
	switch v := v.(type) {
	case value.Str, value.Markup, value.Unknown:
	case *value.Undefined:
		if !o.native {
			return &value.UndefinedError{U: v}
		}
	default:
		if !o.native {
			return value.Errorf("TypeError", "expected str instance, %s found", v.Type())
		}
	}
	return o.print(v)
}

// debugText is how DebugUndefined prints.
func debugText(u *value.Undefined) string {
	what := u.Name
	switch {
	case u.Hint != "":
		what = "undefined value printed: " + u.Hint
	case u.Owner != nil:
		key := u.Key
		if key == nil {
			key = value.S(u.Name)
		}
		what = "no such element: " + u.Owner.Type() + " object[" + value.Repr(key) + "]"
	}
	return "{{ " + what + " }}"
}

// text is all that was printed, as one value.
func (o *output) text() value.Value {
	if o.unknown != nil {
		return o.unknown
	}
	return value.S(o.buf.String())
}

// captured is what a macro, set block or filter block printed.
func (a *activation) captured(o *output, at value.Place) (value.Value, error) {
	if !o.native {
		return o.text(), nil
	}
	if concat := a.in.env.opts.Concat; concat != nil {
		for _, p := range o.parts {
			if value.IsUnknown(p) {
				return p, nil
			}
		}
		v, err := concat(o.parts)
		return a.in.settle(at, v, err)
	}
	t := a.in.env.textOutput()
	for _, p := range o.parts {
		if err := t.print(p); err != nil {
			return nil, a.in.fail(at, err)
		}
	}
	return t.text(), nil
}
