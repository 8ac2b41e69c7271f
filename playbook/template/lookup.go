package template

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"orch/playbook/jinja"
	"orch/playbook/jinja/value"
)

// A Lookup is a function of the controller that templates and loops may call.
type Lookup struct {
	// Options are the keyword arguments it takes, with their defaults; a Lookup with none
	// refuses all.
	Options []Option
	// Lenient accepts terms that use undefined variables: Run sees them untemplated
	// (first_found).
	Lenient bool
	Run     func(c *LookupCall) ([]value.Value, error)
	Doc     string
	// Example is a template that uses the lookup, and Result what it yields, by the files
	// of testdata/recorded.
	Example, Result string
}

// An Option is a keyword argument of a Lookup.
type Option struct {
	Name    string
	Aliases []string
	Default value.Value // nil: none
	// Kind converts the argument: "" for any value, or str, bool, int, float, list, dict.
	Kind string
	// Choices are the allowed texts; none for any.
	Choices []string
	// Setting names the variable that sets the default (ansible_lookup_url_timeout).
	Setting string
	Doc     string
}

// A LookupCall is one call of a lookup.
type LookupCall struct {
	Ctx   context.Context
	Name  string
	Terms []value.Value
	// Subdir is where relative files are looked for first: "files", or for a loop's lookup
	// what the task's module reads.
	Subdir string

	engine  *Engine
	scope   Scope
	def     *Lookup
	options map[string]value.Value
}

// Scope is the variables of the evaluation the call is part of.
func (c *LookupCall) Scope() Scope { return c.scope }

// Site is the controller's side.
func (c *LookupCall) Site() *Site { return c.scope.Site() }

// Option returns a keyword argument or its default; nil when it has none.
func (c *LookupCall) Option(name string) value.Value { return c.options[name] }

// Text returns an option as a string, "" when it has no value.
func (c *LookupCall) Text(name string) string {
	v := c.options[name]
	if v == nil || v == (value.None{}) {
		return ""
	}
	return value.String(v)
}

// Flag returns an option as a boolean.
func (c *LookupCall) Flag(name string) bool {
	v := c.options[name]
	return v != nil && value.Truth(v)
}

// Int returns an option of kind int.
func (c *LookupCall) Int(name string) int {
	n, _ := c.options[name].(value.Int)
	return int(n)
}

// List returns an option of kind list.
func (c *LookupCall) List(name string) []value.Value {
	l, _ := c.options[name].(*value.List)
	if l == nil {
		return nil
	}
	return l.Items
}

// TextTerms are the terms as strings; one that is none is an error.
func (c *LookupCall) TextTerms() ([]string, error) {
	out := make([]string, len(c.Terms))
	for i, term := range c.Terms {
		s, ok := term.(value.Str)
		if !ok {
			return nil, lookupErrorf("%s: invalid term %s: it is no string but a %s", c.Name, value.Repr(term), term.Type())
		}
		out[i] = s.S
	}
	return out, nil
}

// A LookupError is what a lookup could not do: errors=warn and errors=ignore pass over it.
type LookupError struct {
	Msg string
	Err error
}

// Error implements error.
func (e *LookupError) Error() string { return e.Msg }

// Unwrap returns the cause.
func (e *LookupError) Unwrap() error { return e.Err }

func lookupErrorf(format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	return &LookupError{Msg: err.Error(), Err: errors.Unwrap(err)}
}

// An OptionError is a mistake in a lookup's arguments, which errors= does not pass over.
type OptionError struct{ Msg string }

// Error implements error.
func (e *OptionError) Error() string { return e.Msg }

func optionErrorf(format string, args ...any) error {
	return &OptionError{Msg: fmt.Sprintf(format, args...)}
}

// refused are lookups people use that orch leaves out, with what to do instead.
var refused = map[string]string{
	"community.general.dig": "use pipe with the program dig",
	"dig":                   "use pipe with the program dig",
}

// find returns a lookup by its name as written: short, or with its collection.
func (e *Engine) findLookup(name string) (*Lookup, error) {
	for _, try := range []string{name, strings.TrimPrefix(strings.TrimPrefix(name, "ansible.builtin."), "ansible.legacy."), "community.general." + name} {
		if l, ok := e.lookups[try]; ok {
			return &l, nil
		}
	}
	if hint, ok := refused[name]; ok {
		return nil, fmt.Errorf("lookup %q is not supported\nhint: %s", name, hint)
	}
	return nil, fmt.Errorf("lookup plugin (%s) not found", name)
}

// LookupNames lists the lookups by their names, sorted.
func (e *Engine) LookupNames() []string {
	names := make([]string, 0, len(e.lookups))
	for name := range e.lookups {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Lookup implements Templater: with_… and loops. terms are as the author wrote them.
func (e *Engine) Lookup(ctx context.Context, name string, terms []value.Value, opts []jinja.NamedArg, s Scope) (value.Value, error) {
	l, err := e.findLookup(name)
	if err != nil {
		return nil, err
	}
	c := &LookupCall{Ctx: ctx, Name: name, Subdir: "files", engine: e, scope: s, def: l}
	var rest []jinja.NamedArg
	for _, o := range opts {
		if o.Name == SubdirOption {
			c.Subdir = value.String(o.Val)
			continue
		}
		rest = append(rest, o)
	}
	if c.Terms, err = e.terms(ctx, terms, l, s); err != nil {
		return nil, err
	}
	for _, term := range c.Terms {
		if u, unknown := term.(value.Unknown); unknown {
			return u, nil
		}
	}
	if err := c.bind(rest); err != nil {
		return nil, err
	}
	items, err := l.Run(c)
	if err != nil {
		return nil, err
	}
	out := make([]value.Value, len(items))
	for i, item := range items {
		if pair, ok := item.(value.Tuple); ok {
			item = value.NewList(pair...) // a loop variable is templated, and so a list
		}
		out[i] = item
	}
	return value.NewList(out...), nil
}

// SubdirOption is an option of Templater.Lookup that no lookup has: the folder a loop's
// lookup searches first, as the task's module decides ("templates", "vars", "files").
const SubdirOption = "_subdir"

// terms evaluates the terms of a loop: a single string may be a template that yields
// the list.
func (e *Engine) terms(ctx context.Context, terms []value.Value, l *Lookup, s Scope) ([]value.Value, error) {
	var out []value.Value
	for _, term := range terms {
		if str, ok := term.(value.Str); ok {
			str.S = strings.TrimSpace(str.S)
			term = str
		}
		v, err := e.Value(ctx, term, s)
		if err != nil {
			if !l.Lenient || IsUndefined(err) == nil {
				return nil, err
			}
			v = term // Run templates it again, item by item
		}
		out = append(out, v)
	}
	if len(out) == 1 {
		if list, ok := out[0].(*value.List); ok {
			return list.Items, nil
		}
	}
	return out, nil
}

// bind converts the options and fills in defaults.
func (c *LookupCall) bind(named []jinja.NamedArg) error {
	c.options = make(map[string]value.Value, len(c.def.Options))
	for i := range c.def.Options {
		o := &c.def.Options[i]
		c.options[o.Name] = o.Default
		if o.Setting != "" {
			v, ok, err := c.scope.Lookup(o.Setting)
			if err != nil {
				return err
			}
			if ok {
				if err := c.set(o, v); err != nil {
					return err
				}
			}
		}
	}
	for _, n := range named {
		o := c.option(n.Name)
		if o == nil {
			// ansible-core 2.18 says nothing.
			if c.engine.opt.Mode == Strict {
				return optionErrorf("lookup %q has no option %q\nhint: %s", c.Name, n.Name, c.known())
			}
			c.Site().warn(fmt.Sprintf("lookup %q has no option %q, and ignores it: %s", c.Name, n.Name, c.known()))
			continue
		}
		if err := c.set(o, n.Val); err != nil {
			return err
		}
	}
	return nil
}

func (c *LookupCall) option(name string) *Option {
	for i := range c.def.Options {
		if o := &c.def.Options[i]; o.Name == name || slices.Contains(o.Aliases, name) {
			return o
		}
	}
	return nil
}

func (c *LookupCall) known() string {
	if len(c.def.Options) == 0 {
		return "it takes no options"
	}
	names := make([]string, len(c.def.Options))
	for i, o := range c.def.Options {
		names[i] = o.Name
	}
	return "its options are " + strings.Join(names, ", ")
}

func (c *LookupCall) set(o *Option, v value.Value) error {
	v, err := coerce(o.Kind, v)
	if err != nil {
		return optionErrorf("Invalid type for configuration option plugin_type: lookup plugin: %s setting: %s (from Direct): %s", c.Name, o.Name, err)
	}
	if len(o.Choices) > 0 && !slices.Contains(o.Choices, value.String(v)) {
		return optionErrorf("Invalid value \"%s\" for configuration option \"plugin_type: lookup plugin: %s setting: %s \", valid values are: %s",
			value.String(v), c.Name, o.Name, strings.Join(o.Choices, ", "))
	}
	c.options[o.Name] = v
	return nil
}
