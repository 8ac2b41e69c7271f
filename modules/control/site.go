// Package control holds what runs in the engine: debug, set_fact, assert … and the
// actions that prepare or drive host modules: template, copy, fetch, script, package,
// service, reboot.
//
// Their world is the engine's site for one task on one host. A module that changes the
// engine's own state (facts, hosts, groups, stats) does so by what it returns, as in
// Ansible: the executor acts on ansible_facts, add_host, add_group and ansible_stats of
// the result.
package control

import (
	"context"
	"errors"
	"io"
	"time"

	"orch/modules"
	"orch/playbook/jinja/value"
	"orch/transport"
)

// A Module is a module of the site.
type Module = modules.Module[View, Target]

// A View is the engine's site as it may be looked at.
type View interface {
	// Host is the inventory name of the host the task runs for.
	Host() string
	// Var returns a variable, templated.
	Var(name string) (value.Value, bool, error)
	// Facts returns a gathered fact by its name without "ansible_"; nil if not gathered.
	Fact(name string) value.Value
	// Template evaluates author's strings in v; Truth evaluates a condition, with more
	// variables on top of the task's; Expr a bare expression. Their results may be
	// value.Unknown in check mode.
	Template(ctx context.Context, v value.Value) (value.Value, error)
	Truth(ctx context.Context, cond value.Value, with ...value.Named) (value.Value, error)
	Expr(ctx context.Context, expr value.Str) (value.Value, error)
	// Render renders a template file for destination dest: Str, or Unknown.
	Render(ctx context.Context, r Render) (value.Value, error)
	// Find locates an author's file: kind is "files", "templates", "vars" or "tasks".
	// A missing file is a *modules.Failure that lists the folders searched.
	Find(kind, name string) (string, error)
	// ReadFile reads an author's file, decrypted if it is vault text and decrypt is set.
	ReadFile(path string, decrypt bool) ([]byte, error)
	// AddSource offers content to host modules of this task; see modules.View.Source.
	AddSource(c Content) (sum string, err error)
	// Plan plans a host module on the task's host; args is its decoded struct.
	Plan(ctx context.Context, module string, args any) (modules.Result, error)
	// AsyncDir is the folder of the host where async jobs leave their files, as written.
	AsyncDir() (string, error)
	// Options of the task.
	Check() bool
	Diff() bool
	// Name is the task's, as it is shown.
	Name() string
	// Interactive is the terminal pause may ask on, nil if there is none.
	Interactive() Prompter
	Warn(msg string)
	Deprecated(msg, version string)
}

// A Target is the engine's site as it may be used.
type Target interface {
	View
	// Run runs a host module on the task's host.
	Run(ctx context.Context, module string, args any) (modules.Result, error)
	// Conn is the bare connection to the task's host, with become applied.
	Conn(ctx context.Context) (transport.Conn, error)
	// Reconnect drops the connection; the next use opens a new one.
	Reconnect()
	// Save writes a file on the controller (fetch).
	Save(path string, r io.Reader, mode uint32) error
	// Emit hands a line of progress to whoever watches the run.
	Emit(line string)
}

// A Prompter asks a person at the terminal.
type Prompter interface {
	// Ask shows prompt and reads a line; with a timeout it returns ctx's error.
	Ask(ctx context.Context, prompt string, echo bool) (string, error)
	// Type shows a prompt and reads key by key. The errors are ErrInterrupted, ErrNobody
	// and those of the terminal.
	Type(ctx context.Context, t Typing) (string, error)
}

// A Typing says what a person may type and what ends it.
type Typing struct {
	Prompt string
	Echo   bool
	// For is how long is waited; what was typed by then counts. 0 waits for a key of End.
	For time.Duration
	// End are the keys that end the input, in either case; Interrupt those that end it with
	// ErrInterrupted: "" is the terminal's own, Ctrl-C.
	End, Interrupt string
}

// What becomes of a Typing.
var (
	ErrInterrupted = errors.New("interrupted at the terminal")
	ErrNobody      = errors.New("nobody is at the terminal")
)

// Render is a request to render a template.
type Render struct {
	Path string // of the template file
	Text string // the template itself, when Path is ""
	Dest string // template_destpath
	// Jinja's own settings, as arguments of the template module.
	NewlineSequence                                                            string
	BlockStart, BlockEnd, VariableStart, VariableEnd, CommentStart, CommentEnd string
	TrimBlocks, LstripBlocks                                                   bool
	Encoding                                                                   string
	Engine                                                                     string // "", "jinja" or "go"
	// Stand is printed in a check run for values that are not known yet; if it is "", a
	// text with such a value in it is Unknown.
	Stand string
}

// Content is bytes the controller holds for a host.
type Content struct {
	Path string // a file of the controller, or
	Data []byte // the bytes themselves
}
