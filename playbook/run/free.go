package run

import (
	"fmt"
	"sync"

	"orch/playbook/source"
)

// free lets every host go through its tasks at its own speed (ansible-core 2.18:
// strategy/free.py). At most forks hosts are at work at a time; pinned ones keep their
// slot until they are through (host_pinned). What is shared is guarded by b.mu, which is
// not held while a module runs.
func (b *batch) free(pinned bool) error {
	e := b.run
	if b.play.maxFail >= 0 {
		e.warn(source.Pos{}, "Using max_fail_percentage with the free strategy is not supported, as tasks are executed independently on each host")
	}
	slots := make(chan struct{}, e.cfg.Forks)
	var wg sync.WaitGroup
	for _, h := range b.hosts {
		if pinned {
			slots <- struct{}{}
		}
		wg.Go(func() {
			f := &freeHost{b: b, h: h, slots: slots, pinned: pinned}
			f.run()
			if pinned {
				<-slots
			}
		})
	}
	wg.Wait()
	return b.err
}

// A freeHost is a host under a strategy that is not linear.
type freeHost struct {
	b      *batch
	h      *host
	slots  chan struct{}
	pinned bool
}

func (f *freeHost) run() {
	for {
		t := f.next()
		if t == nil {
			return
		}
		if !f.do(t) {
			return
		}
	}
}

// next takes the host's next task; nil when there is none or the run ends.
func (f *freeHost) next() *task {
	b := f.b
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil || b.broken || b.run.interrupted() || b.run.unreachable[f.h.name] {
		return nil
	}
	t := f.h.peek()
	if t != nil {
		f.h.take()
	}
	return t
}

// do performs a task; false when the host is to stop.
func (f *freeHost) do(t *task) bool {
	b := f.b
	b.mu.Lock()
	if t.meta != "" {
		defer b.mu.Unlock()
		if err := b.metaStep(t, []*host{f.h}); err != nil && b.err == nil {
			b.err = err
		}
		return b.err == nil
	}
	w := &work{b: b, t: t, h: f.h, ctx: b.run.ctx}
	scope := t.vars.Eval(w.ctx, f.h.vars)
	w.recall()
	if b.run.step && !w.quiet && !b.ask(w) {
		b.passed(t, []*host{f.h})
		b.mu.Unlock()
		return true
	}
	f.warnings(w)
	if t.id == 0 {
		b.announce(w)
	}
	if !w.quiet && !t.started {
		b.start(t, w)
	}
	if !w.quiet {
		w.resumed()
	}
	f.h.it.began(t)
	throttle, err := w.int(scope, "throttle", t.kw.throttle, 0)
	if err != nil {
		b.run.warn(t.kw.throttle.pos, err.Error())
	}
	gate := t.gate(throttle)
	b.mu.Unlock()

	if gate != nil {
		gate <- struct{}{}
	}
	if !f.pinned {
		f.slots <- struct{}{}
	}
	o := w.do()
	if !f.pinned {
		<-f.slots
	}
	if gate != nil {
		<-gate
	}

	b.mu.Lock()
	defer b.mu.Unlock()
	d := b.take(w, o, false)
	if err := b.includeAll(t, []done{d}); err != nil && b.err == nil {
		b.err = err
	}
	return b.err == nil
}

// gate is what throttle lets through, shared by the hosts; nil for no throttle.
func (t *task) gate(throttle int) chan struct{} {
	if throttle > 0 && t.throttled == nil {
		t.throttled = make(chan struct{}, throttle)
	}
	return t.throttled
}

// warnings names the keywords that need hosts in step.
func (f *freeHost) warnings(w *work) {
	scope := w.t.vars.Eval(w.ctx, f.h.vars)
	if once, _ := w.flag(scope, "run_once", w.t.kw.runOnce, false); once {
		f.b.run.warn(w.t.src.Pos, "Using run_once with the free strategy is not currently supported. This task will still be "+
			"executed for every host in the inventory list.")
	}
	if fatal, _ := w.flag(scope, "any_errors_fatal", w.t.kw.anyErrorsFatal, false); fatal {
		f.b.run.warn(w.t.src.Pos, "Using any_errors_fatal with the free strategy is not supported, as tasks are executed independently on each host")
	}
	if w.t.is(modAddHost, modPause) {
		f.b.err = &AbortError{Pos: w.t.src.Pos, Err: fmt.Errorf("The '%s' module bypasses the host loop, which is currently not supported "+
			"in the free strategy and would instead execute for every host in the inventory list.", w.t.src.Action)}
	}
}
