package run

import (
	"time"

	"orch/modules"
	"orch/playbook/jinja/value"
	"orch/playbook/source"
)

// An Event is something that happened in a run. Views (playbook/report) and the
// journal see nothing else. Events arrive one at a time, in order.
type Event interface{ event() }

// A Sink receives the events of a run.
type Sink func(Event)

// Status is how a task ended on a host.
type Status string

// The statuses. Ignored failures are Failed with Ignored set, rescued ones with Rescued.
const (
	OK          Status = "ok"
	Changed     Status = "changed"
	Skipped     Status = "skipped"
	Failed      Status = "failed"
	Unreachable Status = "unreachable"
)

// RunStart opens a run.
type RunStart struct {
	Playbooks   []string
	Check, Diff bool
	Time        time.Time
}

// PlaybookStart opens one of the playbooks of a run.
type PlaybookStart struct {
	Path  string
	Plays int
}

// PlayStart opens a play, or a batch of it.
type PlayStart struct {
	Name           string
	Hosts          []string
	Pos            source.Pos
	Batch, Batches int // from 1; both 0 when no host matched
	Strategy       string
	Check          bool
}

// NoHosts says that a play matched none (Matched) or has none left.
type NoHosts struct {
	Play    string
	Matched bool
}

// TaskStart opens a task for the hosts of a batch.
type TaskStart struct {
	ID      int    // numbers the tasks as they start, from 1
	Name    string // templated as far as possible; the module's name if it has none
	Role    string
	Module  string
	Handler bool
	Pos     source.Pos
	NoLog   bool
	Check   bool
	Tags    []string
	Args    string // shown by some views; "" under no_log
	// Implicit marks what nobody wrote: flushes of handlers, ends of roles.
	Implicit bool
}

// HostStart says that a host begins a task (item set in a loop), for the live view.
type HostStart struct {
	ID   int
	Host string
	Item string
	Time time.Time
}

// Resumed says, in a run that goes on from an earlier one, where a host does: Done tasks
// of it were done before.
type Resumed struct {
	ID   int
	Host string
	Done int
}

// HostStep says what a host is doing of its task: the title of a step that begins, or
// what is waited for; "" when that is over. For the live view.
type HostStep struct {
	ID          int
	Host, Title string
	Time        time.Time
}

// HostLine is a line of output of a command that still runs.
type HostLine struct {
	ID         int
	Host, Line string
}

// A Result is what a task, or one item of its loop, came to on a host.
type Result struct {
	Status       Status
	Ignored      bool
	Rescued      bool
	Maybe        bool // check mode: only a run can tell
	Unknown      bool // check mode: known after apply
	Msg          string
	Steps        []modules.StepResult
	Diffs        []modules.Diff
	Warnings     []string
	Deprecations []string
	Value        *value.Dict // what register stores, masked under no_log
	Failure      *modules.Failure
	Delegated    string // the host it was delegated to
	// Address is where that host is reached, when that is not its name.
	Address  string
	Duration time.Duration
	Attempts int
	Cause    source.Diagnostic // for failures of templates and arguments
	// NoLog is set when everything but the status was taken away.
	NoLog bool
	// Args are the arguments as the module got them; nil under no_log.
	Args *value.Dict
}

// ItemDone closes an item of a loop.
type ItemDone struct {
	ID     int
	Host   string
	Label  string
	Result Result
}

// Retry says that an until loop goes on.
type Retry struct {
	ID               int
	Host             string
	Item             string
	Attempt, Retries int
	Result           Result
}

// AsyncPoll says that a job was asked for and is not done.
type AsyncPoll struct {
	ID                int
	Host, Job         string
	Started, Finished bool
}

// AsyncDone says that a job that was waited for is done, or late.
type AsyncDone struct {
	ID        int
	Host, Job string
	Failed    bool
}

// TaskDone closes a task on a host.
type TaskDone struct {
	ID     int
	Host   string
	Result Result
	// Loop: the items were reported before by ItemDone.
	Loop bool
}

// Included says that a dynamic include brought tasks in for hosts.
type Included struct {
	ID    int
	File  string // of include_role: the role's name
	Hosts []string
	Label string
}

// BatchDone closes a batch of a play: what a journal may keep is settled.
type BatchDone struct{ Batch int }

// Notified says that a host's task notified handlers (Saved: for the next flush, by the
// names it gave), or that a flush found the handlers that were meant.
type Notified struct {
	ID       int
	Host     string
	Handlers []string
	Saved    bool
}

// A Warning is a remark, said once per text and place.
type Warning struct {
	source.Diagnostic
	Deprecated bool
}

// Counts are a host's line in the recap. Made are those of Changed that a check run has
// made all the same, by tasks with check_mode: false.
type Counts struct {
	OK, Changed, Unreachable, Failed, Skipped, Rescued, Ignored, Maybe, Made int
}

// Stopping says that the run was interrupted: no new task begins, and what runs has Grace
// to end. Without Grace it is ended now.
type Stopping struct{ Grace time.Duration }

// PlaybookDone comes between two playbooks: what has become of the hosts so far.
type PlaybookDone struct{ RunDone }

// RunDone closes a run.
type RunDone struct {
	Recap map[string]*Counts
	Hosts []string // in the order of the recap
	// Failed and Unreachable are the hosts that ended so: what was rescued, ignored or
	// cleared is in neither.
	Failed, Unreachable []string
	Stats               *value.Dict // set_stats, nil if none
	Interrupted         bool
	// Aborted is set when an error that is no host's ended the run; Run returns it.
	Aborted  bool
	Duration time.Duration
	// Pending are handlers that were notified and not run, by host.
	Pending map[string][]string
}

func (RunStart) event()      {}
func (PlaybookStart) event() {}
func (PlayStart) event()     {}
func (NoHosts) event()       {}
func (TaskStart) event()     {}
func (HostStart) event()     {}
func (Resumed) event()       {}
func (HostStep) event()      {}
func (HostLine) event()      {}
func (ItemDone) event()      {}
func (Retry) event()         {}
func (AsyncPoll) event()     {}
func (AsyncDone) event()     {}
func (TaskDone) event()      {}
func (Included) event()      {}
func (BatchDone) event()     {}
func (Notified) event()      {}
func (Warning) event()       {}
func (Stopping) event()      {}
func (PlaybookDone) event()  {}
func (RunDone) event()       {}
