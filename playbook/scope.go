package playbook

import (
	"fmt"
	"slices"
	"strings"

	"orch/playbook/jinja/value"
	"orch/playbook/source"
)

// A scope is where in a playbook the loader is: what a task there belongs to and inherits.
type scope struct {
	*load
	play     *Play
	role     *Role
	block    *Block
	handlers bool
	// given are the vars of the import_playbook the play came by; they win over its own.
	given *value.Dict
	// stack are the files that led here by static imports, outermost first.
	stack []string
	// collections are those of the nearest collections keyword.
	collections []string
	// handled says that somebody reckons with a failure of the tasks here: a rescue,
	// ignore_errors or failed_when. What fails there at run time must not stop the load.
	handled bool
	// defaults says that a module_defaults applies: missing arguments may come from it.
	defaults bool
}

// inside is the scope of what b holds.
func (sc scope) inside(b *Block) scope {
	sc.block = b
	sc.inherit(&b.Keywords)
	return sc
}

func (sc *scope) inherit(k *Keywords) {
	if k.Collections != nil {
		sc.collections = k.Collections
	}
	sc.defaults = sc.defaults || len(k.ModuleDefaults) > 0
	sc.handled = sc.handled || ignores(k.IgnoreErrors)
}

// ignores reports whether ignore_errors may be true.
func ignores(s *Scalar) bool {
	if s == nil {
		return false
	}
	v, known := boolOf(s.Val)
	return v || !known
}

// soft reports whether wrong arguments, values and templates are only remarks here.
func (sc *scope) soft() bool { return sc.handled || sc.dynamic || sc.c.Deferred }

// fault adds a mistake that ansible-core notices only when the task runs.
func (sc *scope) fault(pos source.Pos, format string, args ...any) *source.Diagnostic {
	if sc.soft() {
		return sc.remarks.Errorf(pos, format, args...)
	}
	return sc.errorf(pos, format, args...)
}

// later puts off a check whose findings are faults.
func (sc *scope) later(run func() source.Diagnostics) {
	sc.checks = append(sc.checks, check{run, sc.soft()})
}

// scalar is a keyword's value as written; nil for nothing.
func scalar(n *source.Node) *Scalar {
	if n.IsNull() {
		return nil
	}
	return &Scalar{Pos: n.Pos(), Val: n.Value(source.Author)}
}

// str makes a string of text with n's place, whatever type YAML gave it.
func str(n *source.Node) value.Str { return value.Str{S: n.Text, From: n.At} }

// isTemplate reports whether text has template delimiters.
func isTemplate(text string) bool {
	return strings.Contains(text, "{{") || strings.Contains(text, "{%") || strings.Contains(text, "{#")
}

// templated reports whether v is, or holds, a template or an encrypted string: its value
// is not known yet.
func templated(v value.Value) bool {
	switch v := v.(type) {
	case value.Str:
		return v.From != nil && isTemplate(v.S)
	case value.Sealed:
		return true
	case *value.List:
		return slices.ContainsFunc(v.Items, templated)
	case *value.Dict:
		for _, item := range v.All() {
			if templated(item) {
				return true
			}
		}
	}
	return false
}

// literal returns the text of a scalar that is no template.
func literal(n *source.Node) (string, bool) {
	if n == nil || n.Kind != source.ScalarNode || n.IsNull() || n.Tag == source.TagVault ||
		n.Tag == source.TagStr && isTemplate(n.Text) {
		return "", false
	}
	return n.Text, true
}

// mark puts the length of a word into the diagnostic just added.
func mark(d *source.Diagnostic, word string) *source.Diagnostic {
	d.Len = len([]rune(word))
	return d
}

// checkTemplates puts off the parsing of every template in v.
func (sc *scope) checkTemplates(v value.Value, cond bool) {
	if sc.c.Templates == nil || v == nil {
		return
	}
	if s, ok := v.(value.Str); ok && (s.From == nil || !cond && !isTemplate(s.S)) {
		return
	}
	checker := sc.c.Templates
	sc.later(func() source.Diagnostics { return templateErrors(checker, v, cond) })
}

// templateErrors parses the templates of v and returns what is wrong with them.
func templateErrors(c Checker, v value.Value, cond bool) source.Diagnostics {
	var ds source.Diagnostics
	for _, err := range c.Check(v, cond) {
		if d, ok := err.(interface{ Diagnostic() source.Diagnostic }); ok {
			ds = append(ds, d.Diagnostic())
			continue
		}
		ds = append(ds, source.Diagnostic{Pos: originOf(v), Msg: err.Error()})
	}
	return ds
}

// originOf is the place of the first author's string of v.
func originOf(v value.Value) source.Pos {
	switch v := v.(type) {
	case value.Str:
		if v.From != nil {
			return *v.From
		}
	case *value.List:
		for _, item := range v.Items {
			if p := originOf(item); p.Line > 0 {
				return p
			}
		}
	case *value.Dict:
		for k, item := range v.All() {
			if p := originOf(k); p.Line > 0 {
				return p
			}
			if p := originOf(item); p.Line > 0 {
				return p
			}
		}
	}
	return source.Pos{}
}

// pythonKeywords cannot be names of variables.
var pythonKeywords = strings.Fields("False None True and as assert async await break class continue def del elif else except " +
	"finally for from global if import in is lambda nonlocal not or pass raise return try while with yield")

// Identifier reports whether name can be the name of a variable.
func Identifier(name string) bool { return identifier(name) }

// identifier reports whether name can be the name of a variable.
func identifier(name string) bool {
	for i := range len(name) {
		c := name[i]
		if c != '_' && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return name != "" && !slices.Contains(pythonKeywords, name)
}

// vars reads a vars keyword of an object.
func (sc *scope) vars(n *source.Node, object string) *value.Dict {
	if n.IsNull() {
		return nil
	}
	if n.Kind != source.MappingNode {
		sc.errorf(n.Pos(), "Vars in a %s must be specified as a dictionary", object)
		return nil
	}
	for _, e := range n.Entries {
		if !identifier(e.Key.Text) {
			mark(sc.errorf(e.Key.Pos(), "Invalid variable name in vars specified for %s: '%s' is not a valid variable name",
				object, e.Key.Text), e.Key.Text)
		}
	}
	return n.Dict(source.Author)
}

// canon is a text that is the same for values that are equal in Python.
func canon(b *strings.Builder, v value.Value) {
	switch v := v.(type) {
	case nil, value.None:
		b.WriteString("~")
	case value.Str:
		fmt.Fprintf(b, "%q", v.S)
	case value.Sealed:
		fmt.Fprintf(b, "!%q", v.Text)
	case *value.List:
		b.WriteByte('[')
		for _, item := range v.Items {
			canon(b, item)
			b.WriteByte(',')
		}
		b.WriteByte(']')
	case *value.Dict:
		var entries []string
		for k, item := range v.All() {
			var e strings.Builder
			canon(&e, k)
			e.WriteByte(':')
			canon(&e, item)
			entries = append(entries, e.String())
		}
		slices.Sort(entries)
		fmt.Fprintf(b, "{%s}", strings.Join(entries, ","))
	case *value.BigInt:
		b.WriteString(v.V.String())
	default:
		fmt.Fprintf(b, "%v", v)
	}
}
