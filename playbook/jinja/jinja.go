// Package jinja is the Jinja2 template language (3.1), to the letter: the same grammar,
// precedence, whitespace rules, scoping, filters, tests and Python value semantics.
// It knows nothing of Ansible; that layer is playbook/template.
//
// Build an [Env] once; it is frozen and may be used by any number of goroutines.
// A template or expression is compiled once, cached, and evaluated against [Vars].
//
// Undefined is a value: an undefined name evaluates to *value.Undefined, attributes of
// it are undefined again when Options.Chainable, and only its use is an [Error].
// value.Unknown is absorbed by everything: whatever is computed from it is Unknown.
package jinja

import (
	"context"
	"fmt"
	"io/fs"

	"orch/playbook/jinja/value"
)

// Vars is where a template's free names come from. It is asked at most once per name
// and evaluation.
type Vars interface {
	// Lookup returns the variable name; false when there is none. An error is one of
	// computing the variable and ends the evaluation.
	Lookup(name string) (value.Value, bool, error)
}

// MapVars is a fixed set of variables.
type MapVars map[string]value.Value

// Lookup implements Vars.
func (m MapVars) Lookup(name string) (value.Value, bool, error) {
	v, ok := m[name]
	return v, ok, nil
}

// Options are an environment's settings, with Jinja2's names and defaults.
type Options struct {
	BlockStart, BlockEnd       string // {% %}
	VariableStart, VariableEnd string // {{ }}
	CommentStart, CommentEnd   string // {# #}
	LineStatementPrefix        string
	LineCommentPrefix          string
	TrimBlocks                 bool
	LstripBlocks               bool
	KeepTrailingNewline        bool
	NewlineSequence            string // "\n"
	// Do and LoopControls enable the statements of those extensions.
	Do, LoopControls bool
	// Chainable makes attributes and items of an undefined value undefined (Ansible's
	// environment); otherwise they are an error at once (StrictUndefined).
	Chainable bool
	// Lenient prints undefined values as nothing and lets them be iterated and tested
	// (Jinja2's own default); otherwise their use is an error.
	Lenient bool
	// EscapeBackslashes keeps backslashes in string literals of expressions inside {{ }}
	// as they are (Ansible's escape_backslashes for strings of playbooks).
	EscapeBackslashes bool
	// EscapedQuotes lets a backslash that is kept still keep a quote from ending the string.
	EscapedQuotes bool
	// Debug prints an undefined value as what is missing, in braces (DebugUndefined).
	Debug bool
	// Autoescape escapes what is printed for HTML, unless it is value.Markup.
	Autoescape bool
	// StrictNames makes an unknown filter or test an error of the parser everywhere;
	// otherwise, inside an if, it is one only when it is reached, as in Jinja2.
	StrictNames bool
	// Missing, if set, words the lack of a filter or test: what is "filter" or "test".
	Missing func(what, name string) string
	// Finalize, if set, is applied to every printed value before it becomes text.
	Finalize func(value.Value) (value.Value, error)
	// Concat, if set, makes the value of what was printed: by a template (Native), a macro, a
	// caller, a set block or a filter block. nodes are the finalized values of {{ }} and the
	// texts between them, never an empty one; it must not keep nodes. Without it the value is
	// their text. It is Jinja2's environment.concat, which Ansible replaces.
	Concat func(nodes []value.Value) (value.Value, error)

	// Filters, Tests and Globals add to and override Jinja2's own. Names may be dotted.
	Filters map[string]*Filter
	Tests   map[string]*Test
	Globals map[string]value.Value
	// Loader finds templates for include, import and extends; nil means there are none.
	Loader Loader
	Limits Limits
}

// A Loader returns the source of template name. An error that is fs.ErrNotExist is what
// `ignore missing` and lists of names skip. parent is the including template's name.
type Loader interface {
	Load(ctx context.Context, name, parent string) (source string, err error)
}

// ErrNotFound is the error of a Loader that has no such template.
var ErrNotFound = fs.ErrNotExist

// Limits stop runaway templates; zero fields mean the defaults.
type Limits struct {
	Output    int // bytes a template may print: 64 MiB
	Steps     int // loop iterations and calls: 50 million
	Recursion int // depth of macros, includes and recursive loops: 200
	Range     int // elements range() may have: 10 million
}

// A NamedArg is a keyword argument.
type NamedArg = value.Named

// Args are the arguments of a call, as written.
type Args struct {
	Pos   []value.Value
	Named []NamedArg
}

// A Func is a callable value: a global function, a bound method, a macro.
type Func interface {
	value.Value
	Call(c *Call, args Args) (value.Value, error)
}

// A Call is what a filter, test or function may ask of the evaluation it runs in.
type Call struct {
	Ctx  context.Context
	Env  *Env
	Vars Vars        // the free variables; Resolve also sees the template's own names
	At   value.Place // where in the template the call stands
	// Name is what the template calls it.
	Name string
	// Autoescape is set where the template escapes what it prints.
	Autoescape bool

	in    *instance
	local func(name string) (value.Value, bool)
}

// A Param is a parameter of a Signature.
type Param struct {
	Name     string
	Default  value.Value // nil: required
	Optional bool        // may be missing: bound to nil
}

// A Signature binds arguments as Python does, with Python's errors.
type Signature struct {
	Params []Param
	// VarArgs and KwArgs accept further positional and keyword arguments.
	VarArgs, KwArgs bool
	// AcceptUndefined hands undefined values on to Do, the piped one included; otherwise
	// one is an error before the call. Lenient undefined values are always handed on.
	AcceptUndefined bool
	// AcceptUnknown hands Unknown arguments on to Do; otherwise the result is Unknown.
	AcceptUnknown bool
}

// Bound are arguments after binding: one per parameter (nil for a missing optional
// one), then the rest. Constant arguments are bound once, so they must not be changed.
type Bound struct {
	Args  []value.Value
	Var   []value.Value
	KwVar []NamedArg
}

// A Filter is `value | name(args)`.
type Filter struct {
	Sig Signature
	Do  func(c *Call, in value.Value, b Bound) (value.Value, error)
}

// A Test is `value is name(args)`. Do must not keep c.
type Test struct {
	Sig Signature
	Do  func(c *Call, in value.Value, b Bound) (bool, error)
}

// A Function is a Func made of a signature and a Go function: a global.
type Function struct {
	Name string
	// Class is the Python class the function is in Jinja2, for its text: "dict".
	Class string
	Sig   Signature
	Do    func(c *Call, b Bound) (value.Value, error)
}

// Type implements value.Value.
func (f *Function) Type() string {
	if f.Class != "" {
		return "type"
	}
	return "function"
}

// Attr implements value.Object.
func (f *Function) Attr(name string) (value.Value, bool, error) {
	if name == "__name__" {
		return value.S(f.Name), true, nil
	}
	return nil, false, nil
}

// Str implements value.Texter.
func (f *Function) Str() string { return f.Repr() }

// Repr implements value.Texter.
func (f *Function) Repr() string {
	if f.Class != "" {
		return "<class '" + f.Class + "'>"
	}
	return fmt.Sprintf("<function %s at %p>", f.Name, f)
}

// A Ref is a name in a template and where it comes up first.
type Ref struct {
	Name string
	At   value.Place
}

// An Error is a mistake in a template or of its evaluation. Errors of the parser and of
// the evaluation have the same form, so that a message always names its place.
type Error struct {
	Template string // name, as given to Env.Template; "" for an expression
	At       value.Place
	Msg      string // in Jinja2's words where it has some
	// Syntax is set for what the lexer, parser or compiler found.
	Syntax bool
	// Undefined is the undefined value whose use is the error, if it was that.
	Undefined *value.Undefined
	Err       error // the cause, e.g. of a lookup
}
