// Package run executes a loaded playbook: strategies, loops, blocks, handlers. It emits
// typed events to one sink and prints nothing.
//
// [Run] walks plays and their batches. For a batch, an iterator per host says what comes
// next (blocks, rescue, always, handlers), a strategy decides which host may go on when,
// and a task on a host is one call of exec: conditions, loop, arguments, the module, what
// its result means. Results are processed by one goroutine, so that facts, notifications
// and counts change in one order.
package run

import (
	"context"
	"errors"
	"time"

	"orch/inventory"
	"orch/modules/control"
	"orch/modules/schema"
	"orch/modules/target"
	"orch/playbook"
	"orch/playbook/jinja/value"
	"orch/playbook/source"
	"orch/playbook/template"
	"orch/playbook/vars"
)

// A Config is all that a run needs. The fields up to Sink must be set.
type Config struct {
	Playbooks []*playbook.Playbook
	Inventory *inventory.Inventory
	Vars      *vars.Run
	Templater template.Templater
	Modules   *schema.Registry
	Loader    Loader
	Connector Connector
	Sink      Sink

	// Limit narrows the hosts of every play.
	Limit inventory.Limit
	// Redactor masks secrets in everything that leaves the run; nil makes a new one. The
	// holder of the vault passwords adds what it decrypts.
	Redactor *Redactor
	// ExtraVars are the -e options: vars_prompt does not ask for them.
	ExtraVars *value.Dict
	// Files reads author's files for include_vars; nil refuses include_vars.
	Files *vars.Files
	// Record is told what every task came to on every host, as it happens: what a journal
	// keeps. It returns at once and does not change the record. nil: nobody keeps it.
	Record func(*Record)
	// Resume is what an earlier run of the same playbooks kept, to go on from; nil begins
	// anew.
	Resume *Resume
	// Excerpt is what the message of a task that cannot be understood ends with: the place
	// it is about, as Ansible shows it. nil adds nothing.
	Excerpt func(source.Pos) string
	// OpenVault decrypts the text of an encrypted file; nil: there are no passwords.
	OpenVault func(text []byte) ([]byte, error)
	// Refresh reads the inventory anew (meta: refresh_inventory); nil refuses it.
	Refresh func(ctx context.Context) error
	// Facts keeps facts between runs (fact_caching); nil keeps none.
	Facts FactCache
	// Prompt is the terminal, for pause, vars_prompt and --step; nil if there is none.
	Prompt control.Prompter
	// Render renders a template file; (*template.Engine).Render.
	Render func(ctx context.Context, f template.File, s template.Scope) (value.Value, error)
	// Worlds open the view and target of modules that manage neither a host nor the site.
	Worlds map[schema.World]func(ctx context.Context, site control.Target, module any) (view, target any, err error)
	// ActionGroups are the modules of each group that module_defaults may name, by their
	// full names.
	ActionGroups map[string][]string
	// Stop, once closed, ends the run softly: no new tasks, running steps get Grace to
	// end and are then killed. Cancelling the context of Run ends it at once.
	Stop <-chan struct{}
	// Grace is how long running steps may go on after Stop; 0 is 10 s.
	Grace time.Duration

	Options
}

// Options are the settings and flags of a run.
type Options struct {
	Check, Diff bool
	Verbosity   int
	// Forks is how many hosts are worked on at once; 0 is 50.
	Forks    int
	OnlyTags []string // --tags; nil is all
	SkipTags []string
	StartAt  string // --start-at-task
	Step     bool
	// ForceHandlers runs notified handlers on failed hosts too.
	ForceHandlers  bool
	Strategy       string // default strategy; "" is linear
	Gathering      string // implicit, explicit or smart; "" is implicit
	GatherSubset   []string
	GatherTimeout  int
	FactPath       string
	FactModules    []string // "" or smart: setup
	AnyErrorsFatal bool
	NoLog          bool
	TaskTimeout    int // seconds; 0 for none
	// PollInterval is the seconds between looks at an async task that does not say poll;
	// 0 is 15. AsyncDir is where async tasks leave their files on a host; "" is
	// ~/.ansible_async.
	PollInterval int
	// Debugger stops at failed tasks (enable_task_debugger); DebugIgnored at those too
	// whose failure is ignored (task_debugger_ignore_errors = false).
	Debugger, DebugIgnored bool
	AsyncDir               string
	// MissingHandlerWarns makes a notified handler that does not exist a warning.
	MissingHandlerWarns bool
	// NoMatch says what a play's pattern that matches nothing is: "warning" (""),
	// "error" or "ignore" (host_pattern_mismatch).
	NoMatch   string
	HashMerge bool // hash_behaviour = merge
	// MaxDiff is the size of the largest file shown in a diff; 0 is 104448.
	MaxDiff int
	// Defaults are the values of connection keywords and variables nobody gave: what
	// flags and ansible.cfg say. Its Become holds method, user, flags and password
	// whether Become is set or not.
	Defaults target.HostSpec
	// Become is whether tasks that do not say become do (-b, [privilege_escalation]).
	Become   bool
	ShowArgs bool // display_args_to_stdout
	Native   bool // jinja2_native
	// Lines makes events of the lines of output of commands that run (-v, a live view).
	Lines bool
	// Verify plans again after a module's steps and fails when one is left.
	Verify bool
}

// A Loader reads what dynamic includes name while a run goes on; [playbook.Loader] is
// one. What is wrong with the files is a source.Diagnostics error.
type Loader interface {
	// IncludeTasks reads a file of tasks for t, an include_tasks; parent is the block
	// around t.
	IncludeTasks(path string, t *playbook.Task, parent *playbook.Block) ([]playbook.Node, error)
	// IncludeRole reads a role for t, an include_role.
	IncludeRole(req playbook.IncludeRole, t *playbook.Task, parent *playbook.Block) (*playbook.Role, error)
}

// A FactCache keeps facts between runs, as JSON objects by host.
type FactCache interface {
	Get(host string) ([]byte, bool)
	Set(host string, facts []byte) error
	Clear(host string) error
}

// Run executes the playbooks of c. What became of hosts is in the RunDone, which is also
// the last event; the error is the engine's own trouble or that of the input.
func Run(ctx context.Context, c Config) (RunDone, error) {
	return newEngine(ctx, c).run()
}

// RuleNoStart marks the mistake of a --start-at-task that names no task.
const RuleNoStart = "no-start"

// Exit codes of a run; see [RunDone.ExitCode].
const (
	ExitOK          = 0
	ExitInternal    = 1
	ExitFailed      = 2
	ExitInput       = 3
	ExitUnreachable = 4
	ExitPending     = 5
	ExitInterrupted = 130
)

// ExitCode is the exit status of a run that ended with done and err: interrupted before
// internal before failed before unreachable before pending, which counts only when
// pendingCounts is set (--check --exit-code).
func ExitCode(done RunDone, err error, pendingCounts bool) int {
	failed, unreachable, pending := len(done.Failed) > 0, len(done.Unreachable) > 0, false
	for _, c := range done.Recap {
		pending = pending || c.Changed-c.Made+c.Maybe > 0
	}
	var abort *AbortError
	switch {
	case done.Interrupted:
		return ExitInterrupted
	case (isInput(err) || errors.As(err, &abort)) && len(done.Recap) == 0:
		return ExitInput
	case isInput(err), abort != nil:
		return ExitFailed // a later play was wrong: something may have been touched
	case err != nil:
		return ExitInternal
	case failed:
		return ExitFailed
	case unreachable:
		return ExitUnreachable
	case pendingCounts && pending:
		return ExitPending
	}
	return ExitOK
}
