package template

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"

	"orch/playbook/jinja/value"
	"orch/playbook/template/filter"
)

// A File is a request to render a template file, as the modules template and the lookup
// of that name make it.
type File struct {
	Path string // of the file; "" when Text is the template
	Text string
	Name string // as the author gave it (template_path); "" for Path
	Dest string // template_destpath
	Overrides
	// Encoding of the result; only utf-8 is supported.
	Encoding string
	// Engine is "jinja", "go", or "" for what the file's name says.
	Engine string
	// Vars are further variables.
	Vars []value.Named
	// Stand is printed for values that are not known yet; if it is "", a text with such a
	// value in it is Unknown.
	Stand string
	// Typed reads the result as a value where it looks like one (lookup template).
	Typed bool

	native bool // with Typed: type the result natively
}

// DefaultOverrides are the template module's: Jinja's, with trim_blocks on.
func DefaultOverrides() Overrides { return Overrides{TrimBlocks: true, NewlineSequence: "\n"} }

// Render renders a template file. The result is a Str, or Unknown; with Typed it may be
// any value.
func (e *Engine) Render(ctx context.Context, f File, s Scope) (value.Value, error) {
	if enc := strings.ToLower(f.Encoding); enc != "" && enc != "utf-8" && enc != "utf8" {
		return nil, fmt.Errorf("output_encoding %q is not supported: only utf-8 is", f.Encoding)
	}
	site := s.Site()
	if f.Path != "" {
		text, err := site.readFile(f.Path)
		if err != nil {
			return nil, fmt.Errorf("could not read template: %w", err)
		}
		if !utf8.Valid(text) {
			return nil, fmt.Errorf("%s: template source files must be utf-8 encoded", f.Path)
		}
		f.Text = string(text)
	}
	vars, err := e.fileVars(ctx, f, s)
	if err != nil {
		return nil, err
	}
	s = s.With(append(vars, f.Vars...)...)
	if f.Engine == "go" || f.Engine == "" && strings.HasSuffix(f.Path, ".gotmpl") {
		return e.renderGo(ctx, f, s)
	}
	if f.Engine != "" && f.Engine != "jinja" {
		return nil, fmt.Errorf("unknown template engine %q: use jinja or go", f.Engine)
	}
	return e.renderJinja(ctx, f, s)
}

func (e *Engine) renderJinja(ctx context.Context, f File, s Scope) (value.Value, error) {
	if err := f.newline(); err != nil {
		return nil, err
	}
	origin := &value.Origin{File: f.Path, Line: 1, Col: 1, Block: true}
	text := value.Str{S: f.Text, From: origin}
	if name := bareName(f.Text); f.Typed && name != "" && f.VariableStart == "" && f.VariableEnd == "" {
		if v, ok, err := e.bare(ctx, name, text, s); ok || err != nil {
			return v, err
		}
	}
	body, over, headed, err := header(f.Text, f.Overrides)
	if err != nil {
		return nil, &Error{Pos: *origin, Msg: err.Error(), Text: f.Text, Err: err}
	}
	if headed {
		origin.Line = 2
		text.S = body
	}
	mode := Classic
	if f.native {
		mode = e.opt.Mode
	}
	env, err := e.env(overlay{Overrides: over, text: !f.Typed, mode: mode})
	if err != nil {
		return nil, err
	}
	tmpl, err := env.Template("", body)
	if err != nil {
		return nil, fileSyntax(err, text)
	}
	dir := ""
	if f.Path != "" {
		dir = filepath.Dir(f.Path)
	}
	ctx = withIncludes(ctx, s.Site(), dir)
	if nests(body) {
		ctx = context.WithValue(ctx, sourceKey{}, text)
	}
	var out value.Value
	if f.Stand != "" && !f.Typed {
		out, err = tmpl.RenderPartly(ctx, s, f.Stand)
	} else {
		out, err = tmpl.Native(ctx, s)
	}
	if e.keeps(err) {
		return value.S(f.Text), nil
	}
	if err != nil {
		return nil, e.inFile(ctx, wrap(err, text, 0))
	}
	newline := over.NewlineSequence
	if newline == "" {
		newline = "\n"
	}
	return restoreNewlines(out, countNewlines(f.Text), newline), nil
}

// newline checks newline_sequence, which may be given with its backslashes.
func (f *File) newline() error {
	switch f.NewlineSequence {
	case "", "\n", "\r", "\r\n":
	case `\n`:
		f.NewlineSequence = "\n"
	case `\r`:
		f.NewlineSequence = "\r"
	case `\r\n`:
		f.NewlineSequence = "\r\n"
	default:
		return fmt.Errorf(`newline_sequence needs to be one of: \n, \r or \r\n, not %q`, f.NewlineSequence)
	}
	return nil
}

func fileSyntax(err error, text value.Str) error {
	out, ok := syntaxError(err, text, 0).(*Error)
	if ok {
		// The whole file is no help in a message; the place is.
		out.Msg, _, _ = strings.Cut(out.Msg, ". String: ")
	}
	return out
}

// inFile replaces the name of an included template by its path.
func (e *Engine) inFile(ctx context.Context, err error) error {
	out, ok := err.(*Error)
	if !ok {
		return err
	}
	var py *value.Error
	if errors.As(err, &py) && py.Class == "TemplateSyntaxError" {
		out.Msg = py.Class + ": " + out.Msg // a name that is looked up when it is reached
	}
	if out.Pos.File == "" || filepath.IsAbs(out.Pos.File) {
		return err
	}
	if in, _ := ctx.Value(includeKey{}).(*includes); in != nil {
		if path := in.find(out.Pos.File); path != "" {
			out.Pos.File = path
		}
	}
	return out
}

// fileVars are the variables of a template file (ansible-core 2.18:
// generate_ansible_template_vars). ansible_managed may use the others.
func (e *Engine) fileVars(ctx context.Context, f File, s Scope) ([]value.Named, error) {
	if f.Path == "" {
		return nil, nil
	}
	info, err := os.Stat(f.Path)
	if err != nil {
		return nil, fmt.Errorf("could not read template: %w", err)
	}
	full, err := filepath.Abs(f.Path)
	if err != nil {
		return nil, fmt.Errorf("could not read template: %w", err)
	}
	host, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("name of this machine: %w", err)
	}
	name := f.Name
	if name == "" {
		name = f.Path
	}
	var dest value.Value = value.None{}
	if f.Dest != "" {
		dest = value.S(f.Dest)
	}
	vars := []value.Named{
		{Name: "template_host", Val: value.S(host)},
		{Name: "template_path", Val: value.S(name)},
		{Name: "template_mtime", Val: filter.Datetime(info.ModTime())},
		{Name: "template_uid", Val: owner(info)},
		{Name: "template_run_date", Val: filter.Datetime(time.Now())},
		{Name: "template_destpath", Val: dest},
		{Name: "template_fullpath", Val: value.S(full)},
	}
	managed, err := e.managed(ctx, info.ModTime(), s.With(vars...))
	if err != nil {
		return nil, err
	}
	return append(vars, value.Named{Name: "ansible_managed", Val: managed}), nil
}

func owner(info os.FileInfo) value.Value {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return value.None{}
	}
	id := strconv.FormatUint(uint64(st.Uid), 10)
	if u, err := user.LookupId(id); err == nil {
		return value.S(u.Username)
	}
	return value.Int(st.Uid)
}

// managed is ansible_managed: a text with {host}, {uid} and {file}, formatted by strftime
// with the time the template file was changed.
func (e *Engine) managed(ctx context.Context, changed time.Time, s Scope) (value.Value, error) {
	text := e.opt.Managed
	if text == "" {
		return value.S("Ansible managed"), nil
	}
	text = strings.NewReplacer(
		"{host}", "{{ template_host }}", "{uid}", "{{ template_uid }}", "{file}", "{{ template_path }}",
		"{{", "{", "}}", "}",
	).Replace(text)
	text = filter.Strftime(text, changed)
	return e.Value(ctx, value.Str{S: text, From: &value.Origin{File: "ansible.cfg"}}, s)
}
