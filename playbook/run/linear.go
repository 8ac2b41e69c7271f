package run

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"orch/playbook/jinja/value"
)

// execute takes the batch through its tasks with the play's strategy.
func (b *batch) execute() error {
	err := b.rounds()
	for err == nil && !b.run.interrupted() {
		var more bool
		if more, err = b.leftovers(); err != nil || !more {
			break
		}
		err = b.rounds()
	}
	for _, h := range b.hosts {
		if h.it.cur.failed || h.peek() == nil && h.it.next.failed {
			b.run.failed[h.name] = true
		}
		if left := h.unflushed(); len(left) > 0 {
			b.run.pending[h.name] = append(b.run.pending[h.name], left...)
		}
	}
	return err
}

func (b *batch) rounds() error {
	if b.play.strategy == "linear" {
		return b.linear()
	}
	return b.free(b.play.strategy == "host_pinned")
}

// linear keeps hosts in step: each task is done by all hosts that are at it before any
// goes on (ansible-core 2.18: strategy/linear.py).
func (b *batch) linear() error {
	for !b.run.interrupted() {
		t, hosts := b.lockstep()
		if t == nil {
			return b.err
		}
		if err := b.step(t, hosts); err != nil {
			return err
		}
		if b.broken {
			return nil
		}
	}
	return nil
}

// lockstep picks the next task in the order tasks are written that any host is at, and
// the hosts that are at it.
func (b *batch) lockstep() (*task, []*host) {
	left := b.left()
	at := map[*task][]*host{}
	for _, h := range left {
		if t := h.peek(); t != nil {
			at[t] = append(at[t], h)
		}
	}
	if len(at) == 0 {
		return nil, nil
	}
	for range 2 {
		for b.cursor < len(b.all) {
			t := b.all[b.cursor]
			b.cursor++
			hosts := at[t]
			if hosts == nil {
				continue
			}
			for _, h := range hosts {
				h.take()
			}
			if t.meta == "flush_handlers" {
				b.all = splice(b.all, b.cursor, b.handlers)
			}
			return t, hosts
		}
		b.cursor = 0 // tasks left over after clear_host_errors
	}
	b.err = fmt.Errorf("internal: a host is at a task that is not in the play")
	return nil, nil
}

// step runs one task on the hosts that are at it.
func (b *batch) step(t *task, hosts []*host) error {
	e := b.run
	if t.meta != "" {
		return b.metaStep(t, hosts)
	}
	first := &work{b: b, t: t, h: hosts[0], ctx: e.ctx}
	began := hosts
	scope := t.vars.Eval(e.ctx, hosts[0].vars)
	once, err := first.flag(scope, "run_once", t.kw.runOnce, false)
	if err != nil {
		e.warn(t.kw.runOnce.pos, err.Error())
	}
	once = once || t.is(modAddHost, modPause)
	fatal, err := first.flag(scope, "any_errors_fatal", t.kw.anyErrorsFatal, e.cfg.AnyErrorsFatal)
	if err != nil {
		e.warn(t.kw.anyErrorsFatal.pos, err.Error())
	}
	ignored, _ := first.flag(scope, "ignore_errors", t.kw.ignoreErrors, false)
	fatal = (fatal || once) && !ignored
	throttle, err := first.int(scope, "throttle", t.kw.throttle, 0)
	if err != nil {
		e.warn(t.kw.throttle.pos, err.Error())
	}
	if once {
		all := hosts
		hosts, throttle = hosts[:1], 0
		if i := slices.IndexFunc(all, func(h *host) bool { return h.recorded(t) }); i >= 0 {
			hosts = all[i : i+1] // the one it was run on before
		}
	}
	works := b.works(t, hosts)
	left := false
	for _, w := range works {
		w.recall()
		left = left || w.due()
	}
	if e.step && left && !b.ask(first) {
		b.passed(t, hosts)
		return nil
	}
	b.announce(first)
	for _, h := range began {
		h.it.began(t)
	}
	if left {
		b.start(t, first)
	}
	for _, w := range works {
		if w.due() {
			w.resumed()
		}
	}
	results := b.perform(works, throttle, once)
	if err := b.includeAll(t, results); err != nil {
		return err
	}
	b.consequences(fatal, results)
	return b.err
}

// A done is a task's outcome on a host.
type done struct {
	w *work
	o *outcome
}

func (b *batch) works(t *task, hosts []*host) []*work {
	out := make([]*work, len(hosts))
	for i, h := range hosts {
		out[i] = &work{b: b, t: t, h: h, ctx: b.run.ctx}
	}
	return out
}

// perform does works of one task, forks (or throttle) at a time, and takes results in as
// they come.
func (b *batch) perform(works []*work, throttle int, once bool) []done {
	e := b.run
	n := min(e.cfg.Forks, len(works))
	if throttle > 0 {
		n = min(n, throttle)
	}
	all := make([]done, 0, len(works))
	if n == 1 {
		for _, w := range works {
			if e.interrupted() {
				break
			}
			all = append(all, b.take(w, w.do(), once))
		}
		return all
	}
	next := make(chan *work)
	results := make(chan done, n)
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			for w := range next {
				results <- done{w, w.do()}
			}
		})
	}
	go func() {
		for _, w := range works {
			if e.interrupted() {
				break
			}
			next <- w
		}
		close(next)
		wg.Wait()
		close(results)
	}()
	for d := range results {
		all = append(all, b.take(d.w, d.o, once))
	}
	return all
}

// settleFacts stores the facts of a task without a loop; those of a loop are stored item
// by item.
func (w *work) settleFacts(o *outcome) {
	if !o.loop {
		w.apply(o)
	}
}

// announce gives the task its number and name.
func (b *batch) announce(first *work) {
	t := first.t
	b.run.ids++
	t.id = b.run.ids
	t.name = t.title(first.ctx, t.vars.Eval(first.ctx, first.h.vars))
}

// start emits the TaskStart.
func (b *batch) start(t *task, first *work) {
	b.open()
	t.started = true
	scope := t.vars.Eval(first.ctx, first.h.vars)
	noLog, err := first.flag(scope, "no_log", t.kw.noLog, b.run.cfg.NoLog)
	if err != nil {
		noLog = true
	}
	check, _ := first.flag(scope, "check_mode", t.kw.checkMode, b.run.cfg.Check)
	t.made = b.run.cfg.Check && !check
	ev := TaskStart{
		ID: t.id, Name: t.label(t.name), Module: t.module, Handler: t.src.Handler, Pos: t.src.Pos,
		NoLog: noLog, Check: check, Implicit: t.implicit,
	}
	if ev.Module == "" { // as the first host has it
		if bound, err := first.bound(scope); err == nil {
			ev.Module = bound.module
		}
	}
	if role := roleOf(t.src); role != nil {
		ev.Role = roleName(role)
	}
	for _, tag := range t.kw.tags {
		ev.Tags = append(ev.Tags, value.String(tag))
	}
	if !noLog && t.args != nil && b.run.cfg.ShowArgs {
		var args []string
		for k, v := range t.args.All() {
			args = append(args, value.String(k)+"="+value.String(v))
		}
		ev.Args = strings.Join(args, ", ")
	}
	b.run.emit(ev)
}

// consequences ends other hosts because of any_errors_fatal or max_fail_percentage.
func (b *batch) consequences(fatal bool, results []done) {
	failed := map[string]bool{}
	bad := false
	for _, d := range results {
		if d.o.status == Failed {
			failed[d.w.h.name] = true
		}
		bad = bad || d.o.status == Failed || d.o.status == Unreachable
	}
	if fatal && bad {
		b.failAll(failed)
	}
	if b.play.maxFail < 0 || len(results) == 0 {
		return
	}
	if float64(len(b.failedNow))/float64(b.size) > b.play.maxFail/100 {
		b.failAll(failed)
		b.run.emit(NoHosts{Play: b.play.name, Matched: true})
		if len(b.failedNow) >= len(b.left()) { // ansible-core 2.18 says it again
			b.run.emit(NoHosts{Play: b.play.name, Matched: true})
		}
		b.broken = true
	}
}

// failAll fails every host that can be reached, except those that failed just now: they
// are not to be failed out of their rescue.
func (b *batch) failAll(except map[string]bool) {
	for _, h := range b.left() {
		if except[h.name] {
			continue
		}
		b.failedNow[h.name] = true
		b.stopped(h, h.it.cur.rescues())
		h.it.fail()
		b.remove(h.name)
	}
}

// ask asks whether to perform a task (--step).
func (b *batch) ask(w *work) bool {
	p := b.run.cfg.Prompt
	if p == nil {
		return true
	}
	name := w.t.label(w.t.title(w.ctx, w.t.vars.Eval(w.ctx, w.h.vars)))
	answer, err := p.Ask(context.WithoutCancel(w.ctx), "Perform task: TASK: "+name+" (N)o/(y)es/(c)ontinue: ", true)
	if err != nil {
		return false
	}
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return true
	case "c", "continue":
		b.run.step = false
		return true
	}
	return false
}
