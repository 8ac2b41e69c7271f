// Package jinjatest runs recorded cases: a template or expression with its context, and
// what Python's Jinja2 printed. A file has a case a line, in JSON.
package jinjatest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"orch/playbook/jinja"
	"orch/playbook/jinja/value"
)

// A Case is a line of a file of cases.
type Case struct {
	ID       string            `json:"id"`
	Kind     string            `json:"kind"` // expr or tmpl
	Feature  string            `json:"feature"`
	Template string            `json:"template"`
	Context  json.RawMessage   `json:"context"`
	Loadable map[string]string `json:"templates"`
	Opts     Opts              `json:"opts"`
	// Expected is what was printed; nil when an error was raised.
	Expected *string `json:"expected"`
	// Native is the value of an expression, as JSON.
	Native json.RawMessage `json:"expected_native"`
	Error  []string        `json:"error"`
}

// Opts are the arguments of jinja2.Environment.
type Opts struct {
	TrimBlocks          bool     `json:"trim_blocks"`
	LstripBlocks        bool     `json:"lstrip_blocks"`
	KeepTrailingNewline bool     `json:"keep_trailing_newline"`
	Autoescape          bool     `json:"autoescape"`
	NewlineSequence     string   `json:"newline_sequence"`
	BlockStart          string   `json:"block_start_string"`
	BlockEnd            string   `json:"block_end_string"`
	VariableStart       string   `json:"variable_start_string"`
	VariableEnd         string   `json:"variable_end_string"`
	CommentStart        string   `json:"comment_start_string"`
	CommentEnd          string   `json:"comment_end_string"`
	LineStatementPrefix string   `json:"line_statement_prefix"`
	LineCommentPrefix   string   `json:"line_comment_prefix"`
	Undefined           string   `json:"undefined"` // the class
	Extensions          []string `json:"extensions"`
	Ansible             bool     `json:"ansible"`
}

// Load reads cases.
func Load(r io.Reader) ([]Case, error) {
	var cases []Case
	s := bufio.NewScanner(r)
	s.Buffer(nil, 64<<20)
	for line := 1; s.Scan(); line++ {
		if len(bytes.TrimSpace(s.Bytes())) == 0 {
			continue
		}
		var c Case
		if err := json.Unmarshal(s.Bytes(), &c); err != nil {
			return nil, fmt.Errorf("line %d: %w", line, err)
		}
		if c.ID == "" {
			c.ID = fmt.Sprintf("line %d", line)
		}
		cases = append(cases, c)
	}
	return cases, s.Err()
}

// Env makes the environment of a case.
func (c *Case) Env() (*jinja.Env, error) {
	o := c.Opts
	opts := jinja.Options{
		TrimBlocks: o.TrimBlocks, LstripBlocks: o.LstripBlocks, KeepTrailingNewline: o.KeepTrailingNewline,
		Autoescape: o.Autoescape, NewlineSequence: o.NewlineSequence,
		BlockStart: o.BlockStart, BlockEnd: o.BlockEnd, VariableStart: o.VariableStart, VariableEnd: o.VariableEnd,
		CommentStart: o.CommentStart, CommentEnd: o.CommentEnd,
		LineStatementPrefix: o.LineStatementPrefix, LineCommentPrefix: o.LineCommentPrefix,
		Limits: jinja.Limits{Steps: 5_000_000},
	}
	switch o.Undefined {
	case "":
		opts.Lenient = true
	case "ChainableUndefined":
		opts.Lenient, opts.Chainable = true, true
	case "DebugUndefined":
		opts.Lenient, opts.Debug = true, true
	case "StrictUndefined":
	case "AnsibleUndefined":
		opts.Chainable = true
	default:
		return nil, fmt.Errorf("unknown undefined class %q", o.Undefined)
	}
	for _, name := range o.Extensions {
		switch {
		case strings.HasSuffix(name, ".do") || strings.HasSuffix(name, "ExprStmtExtension"):
			opts.Do = true
		case strings.HasSuffix(name, ".loopcontrols") || strings.HasSuffix(name, "LoopControlExtension"):
			opts.LoopControls = true
		default:
			return nil, fmt.Errorf("unknown extension %q", name)
		}
	}
	if o.Ansible {
		opts.Filters, opts.Tests = ansibleFilters(), ansibleTests()
	}
	opts.Loader = loader(c.Loadable)
	return jinja.New(opts)
}

type loader map[string]string

// Load implements jinja.Loader.
func (l loader) Load(_ context.Context, name, _ string) (string, error) {
	src, ok := l[name]
	if !ok {
		return "", jinja.ErrNotFound
	}
	return src, nil
}

// Vars are the context of the case.
func (c *Case) Vars() (jinja.MapVars, error) {
	vars := jinja.MapVars{}
	if len(c.Context) == 0 {
		return vars, nil
	}
	v, err := value.FromJSON(c.Context)
	if err != nil {
		return nil, err
	}
	d, ok := v.(*value.Dict)
	if !ok {
		return nil, errors.New("the context is no object")
	}
	for k, val := range d.All() {
		vars[value.String(k)] = val
	}
	return vars, nil
}

// A Verdict is how a case went.
type Verdict int

// Verdicts.
const (
	Passed Verdict = iota
	Failed         // an error where Jinja2 printed something
	Wrong          // something else than what Jinja2 printed, without an error
)

// A Result is the outcome of a case.
type Result struct {
	Verdict Verdict
	Got     string
	Err     error
}

// timeout ends a case that does not end.
const timeout = 10 * time.Second

// Run runs a case and judges it: where Jinja2 raised, any error is right.
func (c *Case) Run() Result {
	got, err := c.render()
	switch {
	case c.Expected == nil && err == nil:
		return Result{Wrong, got, nil}
	case c.Expected == nil:
		return Result{Passed, "", err}
	case err != nil:
		return Result{Failed, "", err}
	case got != *c.Expected:
		return Result{Wrong, got, nil}
	}
	if c.Kind == "expr" && len(c.Native) > 0 {
		return c.runNative()
	}
	return Result{Passed, got, nil}
}

func (c *Case) prepare() (*jinja.Env, jinja.MapVars, error) {
	env, err := c.Env()
	if err != nil {
		return nil, nil, err
	}
	vars, err := c.Vars()
	return env, vars, err
}

func (c *Case) render() (string, error) {
	env, vars, err := c.prepare()
	if err != nil {
		return "", err
	}
	src := c.Template
	if c.Kind == "expr" {
		src = "{{ " + src + " }}"
	}
	t, err := env.Template("", src)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	v, err := t.Render(ctx, vars)
	if err != nil {
		return "", err
	}
	return value.String(v), nil
}

// runNative compares the value of the expression, as far as JSON can tell.
func (c *Case) runNative() Result {
	want, err := value.FromJSON(c.Native)
	if err != nil {
		return Result{Failed, "", err}
	}
	env, vars, err := c.prepare()
	if err != nil {
		return Result{Failed, "", err}
	}
	x, err := env.Expr(c.Template)
	if err != nil {
		return Result{Failed, "", err}
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	v, err := x.Eval(ctx, vars)
	if err != nil {
		return Result{Failed, "", err}
	}
	got, err := value.JSON(plain(v), value.JSONOptions{})
	if err != nil {
		return Result{Passed, "", nil} // a value that JSON has no form for: what it prints was compared
	}
	text, err := value.JSON(plain(want), value.JSONOptions{})
	if err != nil || got != text {
		return Result{Wrong, "as a value: " + got + ", want " + text, nil}
	}
	return Result{Passed, got, nil}
}

// plain unrolls what JSON writes as lists.
func plain(v value.Value) value.Value {
	switch v.(type) {
	case *value.Iterator, *value.DictView, *value.Range:
		if items, err := value.Items(v); err == nil {
			return value.NewList(items...)
		}
	}
	return v
}
