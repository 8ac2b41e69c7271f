package run

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"orch/inventory"
	"orch/playbook"
	"orch/playbook/jinja/value"
	"orch/playbook/source"
)

// An engine is one run.
type engine struct {
	cfg    Config
	redact *Redactor

	// ctx is that of running steps; stopping is set once no new task may begin.
	ctx      context.Context
	cancel   context.CancelFunc
	stopping atomic.Bool
	stopped  chan struct{} // closed when stopping is set

	emitMu sync.Mutex
	warned map[string]bool
	over   bool // the last event was handed on

	// What follows is used by the goroutine of the strategy alone.
	counts              map[string]*Counts
	order               []string // hosts in the order they were first counted
	failed, unreachable map[string]bool
	pending             map[string][]string
	stats               *value.Dict
	ids                 int
	startAt             string
	step                bool
	endRun              bool
	// past is what hosts have behind them in a run that is resumed, nil in any other.
	past    map[string]*past
	answers map[TaskRef]value.Value
}

func newEngine(ctx context.Context, c Config) *engine {
	c.Forks = cmp.Or(c.Forks, 50)
	c.Grace = cmp.Or(c.Grace, 10*time.Second)
	c.Strategy = cmp.Or(c.Strategy, "linear")
	c.Gathering = cmp.Or(c.Gathering, "implicit")
	c.MaxDiff = cmp.Or(c.MaxDiff, 104448)
	c.PollInterval = cmp.Or(c.PollInterval, 15)
	if c.Redactor == nil {
		c.Redactor = NewRedactor()
	}
	e := &engine{
		cfg: c, redact: c.Redactor, stopped: make(chan struct{}), warned: map[string]bool{},
		counts: map[string]*Counts{}, failed: map[string]bool{}, unreachable: map[string]bool{},
		pending: map[string][]string{}, startAt: c.StartAt, step: c.Step,
	}
	e.past, e.answers = c.Resume.past()
	e.ctx, e.cancel = context.WithCancel(ctx)
	e.redact.Add(c.Defaults.Password, c.Defaults.Become.Password)
	return e
}

func (e *engine) run() (RunDone, error) {
	start := time.Now()
	defer e.cancel()
	if err := e.refuse(); err != nil {
		return RunDone{}, err
	}
	finished := make(chan struct{})
	defer close(finished)
	go e.watch(finished)

	e.emit(RunStart{Playbooks: paths(e.cfg.Playbooks), Check: e.cfg.Check, Diff: e.cfg.Diff, Time: start})
	var err error
	for i, pb := range e.cfg.Playbooks {
		e.emit(PlaybookStart{Path: pb.Path, Plays: len(pb.Plays)})
		for j, p := range pb.Plays {
			if e.interrupted() || e.endRun || err != nil {
				break
			}
			err = e.play(p, pb, playNumber(i, j))
		}
		if err != nil || e.endRun || len(e.failed)+len(e.unreachable) > 0 {
			break
		}
		if i+1 < len(e.cfg.Playbooks) {
			e.emit(PlaybookDone{e.done(start, nil)})
		}
	}
	done := e.done(start, err)
	if err == nil && e.startAt != "" && !e.interrupted() {
		err = source.Diagnostics{{
			Msg: "no task matches --start-at-task \"" + e.startAt + "\"", Hint: "only static includes are followed",
			Rule: RuleNoStart, Ansible: &source.Ansible{
				Msg: fmt.Sprintf("No matching task %q found. Note: --start-at-task can only follow static includes.", e.startAt), Placeless: true,
			},
		}}
	}
	e.emit(done)
	return done, err
}

// done is what has become of the hosts so far.
func (e *engine) done(start time.Time, err error) RunDone {
	return RunDone{
		Recap: e.counts, Hosts: e.order, Failed: keys(e.failed, e.order), Unreachable: keys(e.unreachable, e.order),
		Stats: e.stats, Interrupted: e.interrupted(), Aborted: err != nil, Duration: time.Since(start), Pending: e.pending,
	}
}

// watch turns the caller's wishes into ends: Stop lets running steps go on for the
// grace, the context's end stops them at once.
func (e *engine) watch(finished <-chan struct{}) {
	select {
	case <-finished:
		return
	case <-e.cfg.Stop:
		e.emit(Stopping{Grace: e.cfg.Grace})
	case <-e.ctx.Done():
	}
	e.halt()
	select {
	case <-finished:
		return
	case <-e.ctx.Done():
	case <-time.After(e.cfg.Grace):
	}
	e.emit(Stopping{})
	e.cancel()
}

// halt lets no new task begin.
func (e *engine) halt() {
	if !e.stopping.Swap(true) {
		close(e.stopped)
	}
}

// interrupted says whether the run was asked to end.
func (e *engine) interrupted() bool { return e.stopping.Load() || e.ctx.Err() != nil }

// emit hands an event on, masked. Events arrive one at a time.
func (e *engine) emit(ev Event) {
	ev = e.redact.event(ev)
	e.emitMu.Lock()
	defer e.emitMu.Unlock()
	switch w := ev.(type) {
	case RunDone:
		defer func() { e.over = true }()
	case Stopping:
		if e.over {
			return // it came too late to stop anything
		}
	case Warning:
		key := source.Place(w.Pos) + "\x00" + w.Msg
		if e.warned[key] {
			return
		}
		e.warned[key] = true
	}
	if e.cfg.Sink != nil {
		e.cfg.Sink(ev)
	}
}

// Warn reports a remark of the run once per text and place.
func (e *engine) warn(pos source.Pos, msg string) {
	e.emit(Warning{Diagnostic: source.Diagnostic{Severity: source.Warning, Pos: pos, Msg: msg}})
}

func (e *engine) deprecated(pos source.Pos, msg string) {
	e.emit(Warning{Diagnostic: source.Diagnostic{Severity: source.Warning, Pos: pos, Msg: msg}, Deprecated: true})
}

// count returns a host's line of the recap.
func (e *engine) count(host string) *Counts {
	c := e.counts[host]
	if c == nil {
		c = &Counts{}
		e.counts[host] = c
		e.order = append(e.order, host)
	}
	return c
}

// tally is count for an outcome: what was counted by the run that is resumed is not
// counted again.
func (e *engine) tally(host string, o *outcome) *Counts {
	if o.past {
		return &Counts{}
	}
	return e.count(host)
}

// inventoryHost finds a host by name; nil for one that only delegation knows.
func (e *engine) inventoryHost(name string) *inventory.Host {
	if h, ok := e.cfg.Inventory.Host(name); ok {
		return h
	}
	if isLocalhost(name) {
		if h := e.cfg.Inventory.Localhost(); h != nil && h.Name == name {
			return h
		}
	}
	return nil
}

func paths(pbs []*playbook.Playbook) []string {
	out := make([]string, len(pbs))
	for i, pb := range pbs {
		out[i] = pb.Path
	}
	return out
}

// keys lists the members of set: those in order first, then the others by name.
func keys(set map[string]bool, order []string) []string {
	var out, rest []string
	for _, name := range order {
		if set[name] {
			out = append(out, name)
		}
	}
	for name := range set {
		if set[name] && !slices.Contains(out, name) {
			rest = append(rest, name)
		}
	}
	slices.Sort(rest)
	return append(out, rest...)
}

// isInput says whether err is about what the user gave, found before anything was touched.
func isInput(err error) bool {
	var ds source.Diagnostics
	var abort *AbortError
	return errors.As(err, &ds) && !errors.As(err, &abort)
}

// An AbortError ends a run that had begun: an included file that cannot be parsed, an
// unknown handler.
type AbortError struct {
	Pos source.Pos
	Err error
	// Placeless says that Ansible's message of it names no place.
	Placeless bool
}

// Error implements error.
func (e *AbortError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *AbortError) Unwrap() error { return e.Err }
