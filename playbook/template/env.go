package template

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"orch/playbook/jinja"
	"orch/playbook/jinja/value"
	"orch/playbook/source"
	"orch/playbook/template/filter"
	"orch/playbook/template/sprig"
)

// Overrides are the settings of Jinja a template file, a task or a lookup may choose.
// Empty strings mean Jinja's own.
type Overrides struct {
	BlockStart, BlockEnd                   string
	VariableStart, VariableEnd             string
	CommentStart, CommentEnd               string
	LineStatementPrefix, LineCommentPrefix string
	TrimBlocks, LstripBlocks               bool
	KeepTrailingNewline                    bool
	NewlineSequence                        string
}

// An overlay is all that tells one environment of an Engine from another.
type overlay struct {
	Overrides
	escape bool // double backslashes in strings of {{ }}
	text   bool // what is printed stays text (template files)
	embeds bool // tell what is printed from the text around it (conditions)
	mode   Mode
}

// environment prepares what all environments share.
func (e *Engine) environment() error {
	e.base = jinja.Options{
		Chainable: true,
		Filters:   jinja.BuiltinFilters(),
		Tests:     map[string]*jinja.Test{},
		Globals:   e.globals(),
		Loader:    fileLoader{},
		Missing:   couldNotLoad,
	}
	for _, ext := range e.opt.Extensions {
		switch strings.TrimSpace(ext) {
		case "jinja2.ext.do":
			e.base.Do = true
		case "jinja2.ext.loopcontrols":
			e.base.LoopControls = true
		case "":
		default:
			return fmt.Errorf("jinja2_extensions: %q is not supported: use jinja2.ext.do or jinja2.ext.loopcontrols", ext)
		}
	}
	for _, more := range []map[string]*jinja.Filter{filter.Filters(), sprig.Filters(), e.opt.Filters} {
		maps.Copy(e.base.Filters, more)
	}
	for _, more := range []map[string]*jinja.Test{filter.Tests(), e.opt.Tests} {
		maps.Copy(e.base.Tests, more)
	}
	for _, more := range []map[string]value.Value{sprig.Globals(), e.opt.Globals} {
		maps.Copy(e.base.Globals, more)
	}
	for name, f := range e.base.Filters {
		e.base.Filters[name] = unrolled(f)
	}
	e.keepText()
	if e.opt.Mode == Strict {
		f := strictTypeDebug(e.base.Filters["type_debug"])
		e.base.Filters["type_debug"], e.base.Filters["ansible.builtin.type_debug"] = f, f
	}
	return nil
}

// unrolled makes a list of what a filter returns to be iterated, so that nobody needs
// |list (ansible-core 2.18: _unroll_iterator).
func unrolled(f *jinja.Filter) *jinja.Filter {
	out := *f
	out.Do = func(c *jinja.Call, in value.Value, b jinja.Bound) (value.Value, error) {
		v, err := f.Do(c, in, b)
		if err != nil {
			return v, err
		}
		switch v.(type) {
		case *value.Iterator, *value.DictView, *value.Range:
			items, err := value.Items(v)
			return value.NewList(items...), err
		}
		return v, nil
	}
	return &out
}

// pluginName is what ansible-core 2.18 takes for the name of a plugin.
var pluginName = source.Lazy(`^\w+(?:\.\w+)*$`)

// couldNotLoad words the lack of a filter or test as ansible-core 2.18 does.
func couldNotLoad(_, name string) string {
	if !pluginName().MatchString(name) {
		return fmt.Sprintf("Could not load \"%s\": 'invalid plugin name: ansible.builtin.%s'", name, name)
	}
	return fmt.Sprintf("Could not load \"%s\": '%s'", name, name)
}

// defaultStringFilters is ansible-core 2.18's STRING_TYPE_FILTERS.
var defaultStringFilters = []string{"string", "to_json", "to_nice_json", "to_yaml", "to_nice_yaml", "ppretty", "json"}

// keepText makes the results of some filters text that is not read as a literal. Only
// the short names are meant, as in ansible-core 2.18.
func (e *Engine) keepText() {
	names := e.opt.StringFilters
	if names == nil {
		names = defaultStringFilters
	}
	for _, name := range names {
		f := e.base.Filters[name]
		if f == nil {
			continue
		}
		do := f.Do
		e.base.Filters[name] = &jinja.Filter{Sig: f.Sig, Do: func(c *jinja.Call, in value.Value, b jinja.Bound) (value.Value, error) {
			v, err := do(c, in, b)
			if s, ok := v.(value.Str); ok && err == nil {
				return value.Str{S: s.S, Text: true}, nil
			}
			return v, err
		}}
	}
}

// env returns the environment of an overlay, made once.
func (e *Engine) env(o overlay) (*jinja.Env, error) {
	if got, ok := e.overlays.Load(o); ok {
		return got.(*jinja.Env), nil
	}
	opt := e.base
	opt.BlockStart, opt.BlockEnd = o.BlockStart, o.BlockEnd
	opt.VariableStart, opt.VariableEnd = o.VariableStart, o.VariableEnd
	opt.CommentStart, opt.CommentEnd = o.CommentStart, o.CommentEnd
	opt.LineStatementPrefix, opt.LineCommentPrefix = o.LineStatementPrefix, o.LineCommentPrefix
	opt.TrimBlocks, opt.LstripBlocks = o.TrimBlocks, o.LstripBlocks
	opt.KeepTrailingNewline, opt.NewlineSequence = o.KeepTrailingNewline, o.NewlineSequence
	opt.EscapeBackslashes, opt.EscapedQuotes = o.escape, o.escape && o.mode == Strict
	opt.Finalize, opt.Concat = o.mode.finalize, o.mode.concat
	if o.text {
		opt.Finalize, opt.Concat = Classic.finalize, concatText
	}
	if o.embeds {
		opt.Finalize, opt.Concat = markPrinted(o.mode), joinPrinted
	}
	env, err := jinja.New(opt)
	if err != nil {
		return nil, err
	}
	got, _ := e.overlays.LoadOrStore(o, env)
	return got.(*jinja.Env), nil
}

// header reads the first line of a template that changes Jinja's settings:
// "#jinja2: lstrip_blocks: True, trim_blocks: False".
func header(text string, o Overrides) (rest string, out Overrides, ok bool, err error) {
	const mark = "#jinja2:"
	if !strings.HasPrefix(text, mark) {
		return text, o, false, nil
	}
	line, rest, found := strings.Cut(text[len(mark):], "\n")
	if !found { // ansible-core 2.18 takes the text without its last character then
		line, rest = line[:max(len(line)-1, 0)], text
	}
	for _, pair := range strings.Split(line, ",") {
		key, val, ok := strings.Cut(pair, ":")
		if !ok {
			return rest, o, true, fmt.Errorf("failed to parse jinja2 override '%s'. Did you use something different from colon as key-value separator?", strings.TrimSpace(pair))
		}
		v, err := value.LiteralEval(strings.TrimSpace(val))
		if err != nil {
			return rest, o, true, fmt.Errorf("jinja2 override %q: %w", strings.TrimSpace(key), err)
		}
		if err := o.set(strings.TrimSpace(key), v); err != nil {
			return rest, o, true, err
		}
	}
	return rest, o, true, nil
}

func (o *Overrides) set(key string, v value.Value) error {
	texts := map[string]*string{
		"block_start_string": &o.BlockStart, "block_end_string": &o.BlockEnd,
		"variable_start_string": &o.VariableStart, "variable_end_string": &o.VariableEnd,
		"comment_start_string": &o.CommentStart, "comment_end_string": &o.CommentEnd,
		"line_statement_prefix": &o.LineStatementPrefix, "line_comment_prefix": &o.LineCommentPrefix,
		"newline_sequence": &o.NewlineSequence,
	}
	flags := map[string]*bool{
		"trim_blocks": &o.TrimBlocks, "lstrip_blocks": &o.LstripBlocks,
		"keep_trailing_newline": &o.KeepTrailingNewline,
	}
	if p, ok := texts[key]; ok {
		switch v := v.(type) {
		case value.Str:
			*p = v.S
			return nil
		case value.None:
			*p = ""
			return nil
		}
		return fmt.Errorf("jinja2 override %q must be a string, not %s", key, value.Repr(v))
	}
	if p, ok := flags[key]; ok {
		*p = value.Truth(v)
		return nil
	}
	names := []string{"trim_blocks", "lstrip_blocks", "keep_trailing_newline"}
	for name := range texts {
		names = append(names, name)
	}
	slices.Sort(names)
	return fmt.Errorf("unknown jinja2 override %q\nhint: known are %s", key, strings.Join(names, ", "))
}

// includeKey carries the folders of include, import and extends through an evaluation.
type includeKey struct{}

type includes struct {
	dirs []string
	site *Site
}

// fileLoader finds templates for include, import and extends. Like Jinja's own it takes
// names below the search path only.
type fileLoader struct{}

// Load implements jinja.Loader.
func (fileLoader) Load(ctx context.Context, name, _ string) (string, error) {
	in, _ := ctx.Value(includeKey{}).(*includes)
	if in == nil {
		return "", fmt.Errorf("%s: %w", name, fs.ErrNotExist)
	}
	path := in.find(name)
	if path == "" {
		return "", fmt.Errorf("%s: %w", name, fs.ErrNotExist)
	}
	text, err := in.site.readFile(path)
	return string(text), err
}

// find returns the path of the template name, "" if there is none.
func (in *includes) find(name string) string {
	var parts []string
	for _, part := range strings.Split(name, "/") {
		switch part {
		case "..":
			return ""
		case "", ".":
		default:
			parts = append(parts, part)
		}
	}
	rel := filepath.Join(parts...)
	for _, dir := range in.dirs {
		path := filepath.Join(dir, rel)
		if isFile(path) {
			return path
		}
	}
	return ""
}

// withIncludes prepares the context of an evaluation that may include templates: from
// the search path and its templates folders, and from extra folders.
func withIncludes(ctx context.Context, site *Site, extra ...string) context.Context {
	if site == nil {
		return ctx
	}
	in := &includes{site: site}
	for _, dir := range slices.Concat(site.SearchPath, []string{site.Basedir}, extra) {
		if dir != "" && !slices.Contains(in.dirs, dir) {
			in.dirs = append(in.dirs, filepath.Join(dir, "templates"), dir)
		}
	}
	return context.WithValue(ctx, includeKey{}, in)
}
