// Package modules is the contract between the engine and what a task can do.
//
// A module looks before it touches, and the types see to it: [Module.Plan] gets a
// read-only view of its world and returns steps; only a step's Do gets the target.
// Check mode is a plan whose steps are not run, so no module can break it.
//
// Worlds are a host ([View] and [Target]), the engine's site (package control), a
// cluster (package kube) and a container engine (package container). The alternative,
// one Apply behind a dry-run wrapper, was refused: results after a skipped write are
// fiction, and each module would have to be trusted to read before it writes.
//
// The package imports only the standard library: it is linked into the helper.
package modules

import (
	"context"
	"fmt"
)

// A Module brings one aspect of a world to a declared state. V is what may be looked
// at, T what may be changed. The exported fields of the implementing struct are the
// task's arguments; their names, types, tags and doc comments are the only schema.
type Module[V, T any] interface {
	// Plan compares the world with the arguments and returns, in order, the steps that
	// make them agree. No steps: nothing to do.
	Plan(ctx context.Context, v V) (Plan[T], error)
}

// A Validator is a module whose arguments constrain one another in ways tags cannot
// say. It runs after decoding, before any connection is made.
type Validator interface{ Validate() error }

// A TextMatcher is a module with Python's regular expressions of text among its arguments,
// those for which Regexps returns the fields. Where arguments are decoded the characters
// they give by name, \N{EM DASH}, become escapes: the table of names stays on the
// controller. Python knows no names in expressions of bytes.
type TextMatcher interface{ Regexps() []*string }

// A Plan is what a module would do, and what it has to say about it.
type Plan[T any] struct {
	Steps []Step[T]
	// Out is a pointer to a struct that Plan and the steps fill in: what register
	// stores. JSON names are the return values of the Ansible module; fields tagged
	// orch:"after" are unknown when the steps were not run.
	Out any
	// Unknown names what of Out is not known before other steps have run: "msg", or
	// "ansible_facts.release" inside a dict.
	Unknown []string
	// Msg and Warnings are shown with the result.
	Msg      string
	Warnings []string
	// Skip, when set, says why there was nothing to be done that changed counts for
	// (creates=, removes=, unsupported in check mode).
	Skip string
	// Inner, when set, runs another module after the steps (in check mode: plans it), and
	// its result joins this one's: how an action hands over to a host module.
	Inner func(ctx context.Context, t T, o Options) (Result, error)
}

// Effect says what running a step means for "changed".
type Effect int

// The effects.
const (
	Change Effect = iota // a difference was found: the step changes something
	Maybe                // only Do can tell whether it changed something
	Act                  // runs, is not a change by itself unless Do says so; skipped in check mode
)

// A Step is one change to a target.
type Step[T any] struct {
	Title  string // imperative, as shown: "enable nginx.service"
	Effect Effect
	Diff   *Diff // what --diff shows, or nil
	// Always marks what changes something at every run (restarted, touch): a second plan
	// has it again.
	Always bool
	// Do makes the change. What it returns as changed counts for Maybe and Act steps;
	// a Change step has changed something when it returns without error.
	Do func(ctx context.Context, t T) (changed bool, err error)
}

// A Diff is a file or object before and after a step.
type Diff struct {
	BeforeHeader string `json:"before_header,omitempty"` // default: the path
	AfterHeader  string `json:"after_header,omitempty"`
	Before       string `json:"before"`
	After        string `json:"after"`
	// Prepared replaces Before and After by a ready-made text.
	Prepared string `json:"prepared,omitempty"`
	// Dict says that Before and After are JSON dicts, which register stores as such.
	Dict bool `json:"dict,omitempty"`
}

// A Failure is how a module says that a task failed. Any other error is the engine's
// own trouble or the transport's. What Out and changed hold so far is registered too.
type Failure struct {
	Msg string `json:"msg"`
	// Cmd, RC, Stdout and Stderr are set when a command is the reason.
	Cmd    []string `json:"cmd,omitempty"`
	RC     *int     `json:"rc,omitempty"`
	Stdout string   `json:"stdout,omitempty"`
	Stderr string   `json:"stderr,omitempty"`
	Hint   string   `json:"hint,omitempty"`
}

// Error implements error.
func (f *Failure) Error() string { return f.Msg }

// Failf makes a Failure.
func Failf(format string, args ...any) *Failure {
	return &Failure{Msg: fmt.Sprintf(format, args...)}
}

// Options are what a run tells every module.
type Options struct {
	Check bool `json:"check,omitempty"` // plan only
	Diff  bool `json:"diff,omitempty"`  // diffs are wanted
	// Verify plans again after the steps and fails when a Change step is left.
	Verify bool `json:"verify,omitempty"`
}

// A StepResult is what became of a step.
type StepResult struct {
	Title   string `json:"title"`
	Effect  Effect `json:"effect,omitempty"`
	Ran     bool   `json:"ran,omitempty"`
	Changed bool   `json:"changed,omitempty"`
	Always  bool   `json:"always,omitempty"`
	Diff    *Diff  `json:"diff,omitempty"`
}

// A Result is what one run of a module on one target came to.
type Result struct {
	Changed bool `json:"changed,omitempty"`
	// Maybe is set in check mode when only a run can tell whether something changes.
	Maybe bool `json:"maybe,omitempty"`
	// Skipped is set in check mode when the module had only Act steps, and for Plan.Skip.
	Skipped  bool         `json:"skipped,omitempty"`
	Msg      string       `json:"msg,omitempty"`
	Warnings []string     `json:"warnings,omitempty"`
	Steps    []StepResult `json:"steps,omitempty"`
	Failure  *Failure     `json:"failure,omitempty"`
	// Out is the JSON of Plan.Out.
	Out []byte `json:"out,omitempty"`
	// Unknown names the fields of Out (JSON names, dotted inside dicts) that only a run
	// would have filled.
	Unknown []string `json:"unknown,omitempty"`
}
