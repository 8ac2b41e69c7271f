package template

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"orch/playbook/jinja"
	"orch/playbook/jinja/value"
	"orch/playbook/source"
)

// Options are an Engine's settings.
type Options struct {
	Mode Mode
	// Extensions is jinja2_extensions: jinja2.ext.do and jinja2.ext.loopcontrols.
	Extensions []string
	// StringFilters is dont_type_filters, whose results stay text; nil for the default.
	StringFilters []string
	// Managed is ansible_managed; "" for "Ansible managed".
	Managed string
	// Null, if set, is what a lone {{ name }} of a null variable yields (null_representation).
	Null value.Value
	// KeepUndefined leaves a text that uses something undefined as it is, and lets such a
	// condition be false (error_on_undefined_vars=False).
	KeepUndefined bool
	// Lookups adds to and overrides the lookups, by their full names.
	Lookups map[string]Lookup
	// Filters, Tests and Globals add to and override Ansible's.
	Filters map[string]*jinja.Filter
	Tests   map[string]*jinja.Test
	Globals map[string]value.Value
	// Secret says whether a text holds a secret: what is wrong with such a text is said
	// without quoting names or pieces of it. nil: no text does.
	Secret func(text string) bool
	// Warn receives remarks with their place: a condition that is no boolean, a template
	// in a condition. Each is said once per place. nil drops them.
	Warn func(source.Diagnostic)
}

// An Engine is Ansible's layer over the template language. It implements Templater and
// may be used by any number of goroutines.
type Engine struct {
	opt     Options
	lookups map[string]Lookup
	base    jinja.Options // what all environments share

	texts    *jinja.Env // strings of playbooks
	conds    *jinja.Env // conditions and expressions
	overlays sync.Map   // overlay → *jinja.Env

	programs sync.Map // source → *program
	said     sync.Map // warnings given: place and text
}

// New makes an Engine.
func New(o Options) (*Engine, error) {
	e := &Engine{opt: o, lookups: map[string]Lookup{}}
	for name, l := range builtinLookups {
		e.lookups[name] = l
	}
	for name, l := range o.Lookups {
		e.lookups[name] = l
	}
	if err := e.environment(); err != nil {
		return nil, err
	}
	var err error
	if e.texts, err = e.env(overlay{Overrides: Overrides{TrimBlocks: true}, escape: true, mode: o.Mode}); err != nil {
		return nil, err
	}
	// Conditions are the inside of {% if %}: backslashes in their strings are Python's.
	e.conds, err = e.env(overlay{Overrides: Overrides{TrimBlocks: true}, mode: o.Mode})
	return e, err
}

// A program is a compiled text of a playbook.
type program struct {
	tmpl     *jinja.Template
	err      error
	bare     string // the variable, when the text is {{ name }} and nothing else
	newlines int    // at the end of the text
	header   int    // lines of a #jinja2: header
	loads    bool   // it may include, import or extend others
	nested   bool   // it may hand a template to a lookup
	ranged   bool   // it yields a range
}

// Value implements Templater.
func (e *Engine) Value(ctx context.Context, v value.Value, s Scope) (value.Value, error) {
	switch v := v.(type) {
	case value.Str:
		if v.From == nil || !mayBeTemplate(v.S) {
			return v, nil
		}
		got, err := e.text(ctx, v, s)
		if e.keeps(err) {
			return v, nil
		}
		return got, err
	case value.Sealed:
		return openSealed(v, s)
	case *value.List:
		items, changed, err := e.items(ctx, v.Items, s)
		if err != nil || !changed {
			return v, err
		}
		return value.NewList(items...), nil
	case value.Tuple:
		// ansible-core 2.18: is_sequence holds for a tuple, and templating one makes a list.
		items, changed, err := e.items(ctx, v, s)
		if err != nil {
			return nil, err
		}
		if !changed {
			items = slices.Clone(v)
		}
		return value.NewList(items...), nil
	case *value.Dict:
		return e.dict(ctx, v, s)
	}
	return v, nil
}

// keeps says whether an error is passed over (ansible-core 2.18: do_template without
// fail_on_undefined).
func (e *Engine) keeps(err error) bool {
	return err != nil && e.opt.KeepUndefined && IsUndefined(err) != nil
}

// items templates what needs it; the slice is copied only then, so that constant values
// are shared.
func (e *Engine) items(ctx context.Context, items []value.Value, s Scope) ([]value.Value, bool, error) {
	var out []value.Value
	for i, item := range items {
		if isConstant(item) {
			continue
		}
		v, err := e.Value(ctx, item, s)
		if err != nil {
			return nil, false, err
		}
		if out == nil {
			out = append(make([]value.Value, 0, len(items)), items...)
		}
		out[i] = v
	}
	if e.opt.Mode == Strict {
		out = slices.DeleteFunc(out, IsOmit)
	}
	return out, out != nil, nil
}

func (e *Engine) dict(ctx context.Context, d *value.Dict, s Scope) (value.Value, error) {
	if isConstant(d) {
		return d, nil
	}
	out := value.NewDict(d.Len())
	for k, item := range d.All() {
		v, err := e.Value(ctx, item, s)
		if err != nil {
			return nil, err
		}
		if e.opt.Mode == Strict && IsOmit(v) {
			continue
		}
		if err := out.Set(k, v); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// isConstant says whether templating v yields v.
func isConstant(v value.Value) bool {
	switch v := v.(type) {
	case value.Str:
		return v.From == nil || !mayBeTemplate(v.S)
	case value.Sealed:
		return false
	case *value.List:
		for _, item := range v.Items {
			if !isConstant(item) {
				return false
			}
		}
	case value.Tuple:
		return false
	case *value.Dict:
		for _, item := range v.All() {
			if !isConstant(item) {
				return false
			}
		}
	}
	return true
}

// mayBeTemplate says whether s holds a start of {{ }}, {% %} or {# #}, or changes the
// delimiters.
func mayBeTemplate(s string) bool {
	for rest := s; ; {
		i := strings.IndexByte(rest, '{')
		if i < 0 || i+1 >= len(rest) {
			return false
		}
		switch rest[i+1] {
		case '{', '%', '#':
			return true
		}
		rest = rest[i+1:]
	}
}

// openSealed decrypts a !vault string. What it holds is never a template
// (ansible-core 2.18: AnsibleVaultEncryptedUnicode is no text to the templar).
func openSealed(v value.Sealed, s Scope) (value.Value, error) {
	site := s.Site()
	if site == nil || site.OpenVault == nil {
		return nil, &Error{Pos: posOf(v.From), Msg: "attempting to decrypt but no vault secrets found"}
	}
	text, err := site.OpenVault([]byte(v.Text))
	if err != nil {
		return nil, &Error{Pos: posOf(v.From), Msg: err.Error(), Err: err}
	}
	return value.Str{S: string(text), Vaulted: true}, nil
}

func posOf(o *value.Origin) source.Pos {
	if o == nil {
		return source.Pos{}
	}
	return *o
}

// text evaluates a string of a playbook.
func (e *Engine) text(ctx context.Context, v value.Str, s Scope) (value.Value, error) {
	p := e.program(v.S)
	if p.err != nil {
		return nil, e.discreet(syntaxError(p.err, v, p.header), v)
	}
	if p.bare != "" {
		if got, ok, err := e.bare(ctx, p.bare, v, s); ok || err != nil {
			return got, err
		}
	}
	if site := s.Site(); p.loads && site != nil {
		// ansible-core 2.18: the templar of a playbook's strings looks in its folder only.
		ctx = context.WithValue(ctx, includeKey{}, &includes{site: site, dirs: []string{site.Basedir}})
	}
	if p.nested {
		ctx = context.WithValue(ctx, sourceKey{}, v)
	}
	out, err := p.tmpl.Native(ctx, s)
	if err != nil {
		if err = wrap(err, v, 0); !isLone(v.S) {
			err = e.discreet(err, v)
		}
		return nil, err
	}
	if e.opt.Mode == Strict {
		if out, err = e.again(ctx, out, v, s); err != nil {
			return nil, err
		}
	} else if p.ranged {
		e.warn(source.Diagnostic{
			Pos: posOf(v.From), Len: len(v.S), Msg: fmt.Sprintf("the template %q yields a range", v.S),
			Hint: "ansible-core 2.19 refuses this; use the filter list", Rule: RuleRange,
		})
	}
	return restoreNewlines(out, p.newlines, "\n"), nil
}

// bare evaluates {{ name }}: a boolean or a number the author wrote, or data that is one,
// keeps its type (ansible-core 2.18: SINGLE_VAR). false: name is no variable.
func (e *Engine) bare(_ context.Context, name string, v value.Str, s Scope) (value.Value, bool, error) {
	raw, ok, err := s.Raw(name)
	if err != nil {
		return nil, false, wrap(err, v, 0)
	}
	if !ok {
		return nil, false, nil
	}
	switch raw.(type) {
	case value.None:
		if e.opt.Null != nil {
			return e.opt.Null, true, nil
		}
		return raw, true, nil
	case value.Bool, value.Int, *value.BigInt, value.Float, value.Unknown:
		return raw, true, nil
	}
	got, ok, err := s.Lookup(name)
	if err != nil {
		col := 1 + strings.Index(v.S, name)
		return nil, false, wrap(&jinja.Error{Msg: err.Error(), At: value.Place{Line: 1, Col: col}, Err: err}, v, 0)
	}
	if !ok {
		return nil, false, nil
	}
	if _, undefined := got.(*value.Undefined); undefined {
		return nil, false, nil // the template says where
	}
	if got, err = e.opt.Mode.finalize(got); err == nil {
		got, err = e.opt.Mode.single(got)
	}
	if err != nil {
		return nil, false, wrap(err, v, 0)
	}
	return restoreNewlines(got, e.program(v.S).newlines, "\n"), true, nil
}

func (e *Engine) program(text string) *program {
	if p, ok := e.programs.Load(text); ok {
		return p.(*program)
	}
	p := e.compile(text)
	got, _ := e.programs.LoadOrStore(text, p)
	return got.(*program)
}

func (e *Engine) compile(text string) *program {
	p := &program{bare: bareName(text), newlines: countNewlines(text), loads: loads(text), nested: nests(text), ranged: yieldsRange(text)}
	env := e.texts
	if rest, over, ok, err := header(text, Overrides{TrimBlocks: true}); err != nil {
		p.err = err
		return p
	} else if ok {
		p.header = 1
		text = rest
		if env, p.err = e.env(overlay{Overrides: over, escape: true, mode: e.opt.Mode}); p.err != nil {
			return p
		}
	}
	p.tmpl, p.err = env.Template("", text)
	return p
}

// bareName returns the name in {{ name }}. A newline may follow, as Python's $ has it.
func bareName(s string) string {
	s = strings.TrimSuffix(s, "\n")
	if !strings.HasPrefix(s, "{{") || !strings.HasSuffix(s, "}}") || len(s) < 5 {
		return ""
	}
	name := strings.TrimSpace(s[2 : len(s)-2])
	for i := range len(name) {
		switch c := name[i]; {
		case c == '_' || c|0x20 >= 'a' && c|0x20 <= 'z', i > 0 && c >= '0' && c <= '9':
		default:
			return ""
		}
	}
	return name
}

// loads says whether a template may ask for other templates.
func loads(text string) bool {
	return strings.Contains(text, "import") || strings.Contains(text, "include") || strings.Contains(text, "extends")
}

// yieldsRange says whether a text is {{ range(…) }} and nothing else.
func yieldsRange(text string) bool {
	text = strings.TrimSpace(text)
	if !strings.HasPrefix(text, "{{") || !strings.HasSuffix(text, "}}") || !strings.Contains(text, "range(") {
		return false
	}
	rest, ok := strings.CutPrefix(strings.TrimSpace(text[2:len(text)-2]), "range(")
	depth := 1
	for i := 0; ok && i < len(rest); i++ {
		switch rest[i] {
		case '\'', '"':
			i = stringEnd(rest, i) - 1
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return i == len(rest)-1
			}
		}
	}
	return false
}

// nests says whether a string inside a template may be a template itself:
// "{{ lookup('file', '{{ dir }}/x') }}". Lookups evaluate such terms.
func nests(text string) bool {
	return strings.Count(text, "{{")+strings.Count(text, "{%") > 1 && (strings.Contains(text, "lookup") || strings.Contains(text, "q"))
}

// sourceKey carries the text being evaluated to the lookups it calls.
type sourceKey struct{}

// literalTerm marks a term that stands as a string in the template being evaluated as
// its author's. It does not matter how the term came about: the author wrote this text.
func literalTerm(ctx context.Context, term value.Value) value.Value {
	s, ok := term.(value.Str)
	if !ok || s.From != nil || !mayBeTemplate(s.S) {
		return term
	}
	src, _ := ctx.Value(sourceKey{}).(value.Str)
	if strings.Contains(src.S, "'"+s.S+"'") || strings.Contains(src.S, `"`+s.S+`"`) {
		s.From = src.From
	}
	return s
}

func countNewlines(s string) int { return len(s) - len(strings.TrimRight(s, "\n")) }

// restoreNewlines gives a text the newlines its template ended with: Jinja drops one,
// and trim_blocks those after a block (ansible-core 2.18: do_template).
func restoreNewlines(v value.Value, want int, newline string) value.Value {
	s, ok := v.(value.Str)
	if !ok || want == 0 {
		return v
	}
	if missing := want - countNewlines(s.S); missing > 0 {
		return value.Str{S: s.S + strings.Repeat(newline, missing), Text: s.Text}
	}
	return v
}

// syntaxError words an error of the parser as ansible-core 2.18 does.
func syntaxError(err error, v value.Str, header int) error {
	var je *jinja.Error
	if !errors.As(err, &je) {
		return &Error{Pos: posOf(v.From), Msg: err.Error(), Text: v.S, Err: err}
	}
	moved := *je
	if moved.At.Line > 0 {
		moved.At.Line += header
	}
	out := &Error{
		Msg:  fmt.Sprintf("template error while templating string: %s. String: %s. %s", je.Msg, v.S, je.Msg),
		Text: v.S, Err: err,
	}
	out.place(&moved, v, 0)
	return out
}

// Expr implements Templater: what `debug: var` and `orch eval` print. An expression that
// is itself a template, or evaluates to an author's string, is evaluated again.
func (e *Engine) Expr(ctx context.Context, expr value.Str, s Scope) (value.Value, error) {
	if expr.From == nil {
		return nil, &Error{Msg: fmt.Sprintf("%q is data, not an author's text, and is not evaluated", expr.S), Text: expr.S}
	}
	reread := mayBeTemplate(expr.S)
	if reread {
		v, err := e.Value(ctx, expr, s)
		if err != nil {
			return nil, err
		}
		again, ok := v.(value.Str)
		if !ok || again.From == nil {
			return v, nil
		}
		expr = again
	}
	v, err := e.inner(ctx, expr, s)
	if reread {
		err = e.discreet(err, value.Str{S: "{{ " + expr.S + " }}"})
	}
	return v, err
}

// isLone says whether a text is one {{ }} and nothing else: an expression, in which
// nothing is a secret.
func isLone(text string) bool {
	inside, ok := strings.CutPrefix(strings.TrimSpace(text), "{{")
	return ok && strings.Index(inside, "}}") == len(inside)-len("}}")
}

// inner evaluates a bare expression as {{ expr }}.
func (e *Engine) inner(ctx context.Context, expr value.Str, s Scope) (value.Value, error) {
	at := *expr.From
	at.Col -= len("{{ ")
	at.Marks = nil
	for _, m := range expr.From.Marks {
		m.Offset += int32(len("{{ "))
		at.Marks = append(at.Marks, m)
	}
	return e.text(ctx, value.Str{S: "{{ " + expr.S + " }}", From: &at}, s)
}

// Check implements Templater.
func (e *Engine) Check(v value.Value, cond bool) []error {
	switch v := v.(type) {
	case value.Str:
		if v.From == nil {
			return nil
		}
		if cond && !mayBeTemplate(v.S) {
			if _, err := e.conds.Expr(v.S); err != nil {
				return []error{conditionSyntax(err, v)}
			}
			return nil
		}
		if mayBeTemplate(v.S) {
			if p := e.program(v.S); p.err != nil {
				return []error{syntaxError(p.err, v, p.header)}
			}
		}
	case *value.List:
		var errs []error
		for _, item := range v.Items {
			errs = append(errs, e.Check(item, cond)...)
		}
		return errs
	case *value.Dict:
		var errs []error
		for _, item := range v.All() {
			errs = append(errs, e.Check(item, cond)...)
		}
		return errs
	}
	return nil
}

// warn says a remark once per text and place.
func (e *Engine) warn(d source.Diagnostic) {
	d.Severity = source.Warning
	key := source.Place(d.Pos) + "\x00" + d.Msg
	if _, said := e.said.LoadOrStore(key, true); !said && e.opt.Warn != nil {
		e.opt.Warn(d)
	}
}

var _ Templater = (*Engine)(nil)
