package template

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	gotemplate "text/template"
	"text/template/parse"

	"github.com/Masterminds/sprig/v3"
	"sigs.k8s.io/yaml"

	"orch/playbook/jinja"
	"orch/playbook/jinja/value"
	"orch/playbook/source"
)

// A goRun renders one Go template: text/template with sprig, the variables as dot, strict
// on missing keys. Templates in files beside it that begin with _ may be included by the
// names they define, any file of the search path by its name.
type goRun struct {
	ctx   context.Context
	scope Scope
	dirs  []string
	root  *gotemplate.Template
	// dot holds the variables the templates name; others are not evaluated.
	dot   map[string]any
	asked map[string]bool
	// authored are the texts an author wrote that were met: what tpl may evaluate.
	authored map[string]bool
	unknown  *value.Unknown
	err      error // of a variable
	depth    int
}

// errUnknown ends a rendering that needs what is not known yet.
var errUnknown = errors.New("not known yet")

func (e *Engine) renderGo(ctx context.Context, f File, s Scope) (value.Value, error) {
	r := &goRun{ctx: ctx, scope: s, dot: map[string]any{}, asked: map[string]bool{}, authored: map[string]bool{}}
	dir := filepath.Dir(f.Path)
	if in, ok := withIncludes(ctx, s.Site(), dir).Value(includeKey{}).(*includes); ok {
		r.dirs = in.dirs
	}
	left, right := f.VariableStart, f.VariableEnd
	r.root = gotemplate.New(f.Path).Delims(left, right).Option("missingkey=error").Funcs(sprig.TxtFuncMap()).Funcs(r.funcs())
	if _, err := r.root.Parse(f.Text); err != nil {
		return nil, goError(err, f.Text)
	}
	if err := r.helpers(dir); err != nil {
		return nil, err
	}
	if err := r.collect(); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if r.unknown == nil {
		err := r.root.Execute(&limited{w: &out, left: maxGoOutput}, r.dot)
		if r.err != nil {
			return nil, r.err
		}
		if err != nil && !errors.Is(err, errUnknown) {
			return nil, goError(err, f.Text)
		}
	}
	if r.unknown != nil {
		return *r.unknown, nil
	}
	return value.S(out.String()), nil
}

// maxGoOutput bounds what a Go template may print, as Jinja's limit does.
const maxGoOutput = 64 << 20

type limited struct {
	w    *bytes.Buffer
	left int
}

// Write implements io.Writer.
func (l *limited) Write(p []byte) (int, error) {
	if l.left -= len(p); l.left < 0 {
		return 0, fmt.Errorf("the template prints more than %d bytes", maxGoOutput)
	}
	return l.w.Write(p)
}

// helpers reads the files beside the template whose names begin with _, for the
// templates they define.
func (r *goRun) helpers(dir string) error {
	files, err := filepath.Glob(filepath.Join(dir, "_*"))
	if err != nil {
		return fmt.Errorf("helpers of a template: %w", err)
	}
	for _, path := range files {
		if ext := filepath.Ext(path); ext != ".tpl" && ext != ".gotmpl" {
			continue
		}
		if err := r.add(path, path); err != nil {
			return err
		}
	}
	return nil
}

func (r *goRun) add(name, path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("could not read template: %w", err)
	}
	if _, err := r.root.New(name).Parse(string(text)); err != nil {
		return goError(err, string(text))
	}
	return nil
}

// collect evaluates the variables that the templates name. Dot used as a whole needs all.
func (r *goRun) collect() error {
	names := map[string]bool{}
	all := false
	for _, t := range r.root.Templates() {
		if t.Tree != nil && t.Root != nil {
			goNames(t.Root, names, &all)
		}
	}
	if all {
		for _, name := range r.scope.Names() {
			names[name] = true
		}
	}
	for _, name := range sortedKeys(names) {
		if err := r.ask(name, all); err != nil {
			return err
		}
	}
	return nil
}

// ask puts a variable into dot. An undefined one is left out, so that its use is an
// error with the place. With lenient, one that cannot be evaluated is left out too:
// nobody may want it.
func (r *goRun) ask(name string, lenient bool) error {
	if r.asked[name] {
		return nil
	}
	r.asked[name] = true
	v, ok, err := r.scope.Lookup(name)
	if err != nil {
		if lenient {
			return nil
		}
		return wrap(&jinja.Error{Msg: err.Error(), Err: err}, value.Str{}, 0)
	}
	if _, undefined := v.(*value.Undefined); !ok || undefined {
		return nil
	}
	if v, err = plain(v); err != nil {
		return err
	}
	if u, unknown := value.HasUnknown(v); unknown {
		if !lenient {
			r.unknown = &u
		}
		return nil
	}
	r.note(v)
	r.dot[name] = value.ToGo(v)
	return nil
}

// note remembers authored texts.
func (r *goRun) note(v value.Value) {
	switch v := v.(type) {
	case value.Str:
		if v.From != nil {
			r.authored[v.S] = true
		}
	case *value.List:
		for _, item := range v.Items {
			r.note(item)
		}
	case *value.Dict:
		for _, item := range v.All() {
			r.note(item)
		}
	}
}

// goNames collects the names of fields and string constants of a template, any of which
// may be a variable, and whether dot is used as a whole.
func goNames(n parse.Node, names map[string]bool, all *bool) {
	switch n := n.(type) {
	case *parse.ListNode:
		if n != nil {
			for _, c := range n.Nodes {
				goNames(c, names, all)
			}
		}
	case *parse.ActionNode:
		goNames(n.Pipe, names, all)
	case *parse.IfNode:
		goBranch(&n.BranchNode, names, all)
	case *parse.RangeNode:
		goBranch(&n.BranchNode, names, all)
	case *parse.WithNode:
		goBranch(&n.BranchNode, names, all)
	case *parse.TemplateNode:
		goPassed(n.Pipe, names, all)
	case *parse.PipeNode:
		if n != nil {
			for _, c := range n.Cmds {
				goNames(c, names, all)
			}
		}
	case *parse.CommandNode:
		goCommand(n, names, all)
	case *parse.FieldNode:
		names[n.Ident[0]] = true
	case *parse.VariableNode:
		if len(n.Ident) > 1 {
			names[n.Ident[1]] = true
		} else if n.Ident[0] == "$" {
			*all = true
		}
	case *parse.ChainNode:
		goNames(n.Node, names, all)
		names[n.Field[0]] = true
	case *parse.StringNode:
		names[n.Text] = true
	case *parse.DotNode:
		*all = true
	}
}

func goBranch(n *parse.BranchNode, names map[string]bool, all *bool) {
	goNames(n.Pipe, names, all)
	inner := false // dot is something else inside of with and range
	if n.NodeType == parse.NodeIf {
		goNames(n.List, names, all)
	} else {
		goNames(n.List, names, &inner)
	}
	goNames(n.ElseList, names, all)
}

// goCommand: a template handed dot does not use it as a whole by that.
func goCommand(n *parse.CommandNode, names map[string]bool, all *bool) {
	if len(n.Args) > 0 {
		if f, ok := n.Args[0].(*parse.IdentifierNode); ok && slices.Contains([]string{"include", "tpl", "index", "get", "hasKey", "dig", "pluck"}, f.Ident) {
			for _, arg := range n.Args[1:] {
				goPassed(arg, names, all)
			}
			return
		}
	}
	for _, arg := range n.Args {
		goNames(arg, names, all)
	}
}

func goPassed(n parse.Node, names map[string]bool, all *bool) {
	if p, ok := n.(*parse.PipeNode); ok && p != nil && len(p.Cmds) == 1 && len(p.Cmds[0].Args) == 1 {
		n = p.Cmds[0].Args[0]
	}
	switch n := n.(type) {
	case *parse.DotNode:
		return
	case *parse.VariableNode:
		if len(n.Ident) == 1 {
			return
		}
	case *parse.PipeNode:
		if n == nil {
			return
		}
	}
	goNames(n, names, all)
}

// funcs are the functions beside sprig's, those of Helm.
func (r *goRun) funcs() gotemplate.FuncMap {
	return gotemplate.FuncMap{
		"include":       r.include,
		"tpl":           r.tpl,
		"required":      required,
		"toYaml":        toYAML,
		"fromYaml":      fromYAML,
		"fromYamlArray": fromYAMLArray,
		"toJson":        toJSON,
		"fromJson":      fromJSON,
	}
}

// include renders a template by the name it was defined with, or a file.
func (r *goRun) include(name string, dot any) (string, error) {
	t := r.root.Lookup(name)
	if t == nil {
		path := (&includes{dirs: r.dirs, site: r.scope.Site()}).find(name)
		if path == "" {
			return "", fmt.Errorf("no template %q is defined, and no such file is in the search path", name)
		}
		if err := r.add(path, path); err != nil {
			return "", err
		}
		if err := r.collect(); err != nil {
			r.err = err
			return "", err
		}
		if r.unknown != nil {
			return "", errUnknown
		}
		t = r.root.Lookup(path)
	}
	return r.execute(t, dot)
}

func (r *goRun) execute(t *gotemplate.Template, dot any) (string, error) {
	const maxDepth = 200
	if r.depth++; r.depth > maxDepth {
		return "", fmt.Errorf("templates include each other without end")
	}
	defer func() { r.depth-- }()
	var out bytes.Buffer
	err := t.Execute(&limited{w: &out, left: maxGoOutput}, dot)
	return out.String(), err
}

// tpl renders a text as a template. Only what an author wrote is one: a constant of the
// template, or a variable's text as it stands in a file.
func (r *goRun) tpl(text string, dot any) (string, error) {
	if strings.Contains(text, "{{") && !r.authored[text] && !r.constant(text) {
		return "", fmt.Errorf("tpl: the text is data, not an author's: %q", shorten(text))
	}
	t, err := r.root.Clone()
	if err != nil {
		return "", err
	}
	if t, err = t.New("tpl").Parse(text); err != nil {
		return "", err
	}
	names, all := map[string]bool{}, false
	goNames(t.Root, names, &all)
	for _, name := range sortedKeys(names) {
		if err := r.ask(name, false); err != nil {
			r.err = err
			return "", err
		}
	}
	if r.unknown != nil {
		return "", errUnknown
	}
	return r.execute(t, dot)
}

// constant says whether text stands in one of the templates.
func (r *goRun) constant(text string) bool {
	for _, t := range r.root.Templates() {
		if t.Tree == nil || t.Root == nil {
			continue
		}
		names, all := map[string]bool{}, false
		goNames(t.Root, names, &all)
		if names[text] {
			return true
		}
	}
	return false
}

func shorten(s string) string {
	const limit = 60
	if r := []rune(s); len(r) > limit {
		return string(r[:limit]) + "…"
	}
	return s
}

func sortedKeys(m map[string]bool) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func required(msg string, v any) (any, error) {
	if v == nil || v == "" {
		return nil, errors.New(msg)
	}
	return v, nil
}

func toYAML(v any) (string, error) {
	text, err := yaml.Marshal(v)
	return strings.TrimSuffix(string(text), "\n"), err
}

func fromYAML(text string) (map[string]any, error) {
	out := map[string]any{}
	return out, yaml.Unmarshal([]byte(text), &out)
}

func fromYAMLArray(text string) ([]any, error) {
	var out []any
	return out, yaml.Unmarshal([]byte(text), &out)
}

func toJSON(v any) (string, error) {
	text, err := json.Marshal(v)
	return string(text), err
}

func fromJSON(text string) (any, error) {
	var out any
	return out, json.Unmarshal([]byte(text), &out)
}

// goPlace is where text/template's errors say what is wrong.
var goPlace = source.Lazy(`(?s)^template: (.*?):(\d+)(?::(\d+))?: (.*)$`)

// goError gives an error of text/template its place: that of the innermost template.
func goError(err error, text string) error {
	out := &Error{Msg: err.Error(), Text: text, Err: err}
	msg := err.Error()
	for {
		m := goPlace().FindStringSubmatch(msg)
		if m == nil {
			break
		}
		line, _ := strconv.Atoi(m[2])
		col, _ := strconv.Atoi(m[3])
		out.Pos = source.Pos{File: m[1], Line: line}
		if m[3] != "" {
			out.Pos.Col = col + 1
		}
		out.Msg = m[4]
		i := strings.Index(m[4], "template: ")
		if i < 0 {
			break
		}
		msg = m[4][i:]
	}
	return out
}
