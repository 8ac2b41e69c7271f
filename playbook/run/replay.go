package run

import (
	"fmt"

	"orch/playbook/jinja/value"
)

// Resume is what a run goes on from.
type Resume struct {
	Records []*Record
	// Loose finds recorded tasks by role, action and name, for files that have changed;
	// else the place and the order must be the same.
	Loose bool
}

// An Unkept is a task whose value was not kept and that may not be run again unasked.
type Unkept struct {
	Host  string
	Task  TaskRef
	Names []string
}

// Unkept lists the tasks that changed something and made a value that was left out of
// the journal because it is secret. Those that changed nothing are run again.
func (r *Resume) Unkept() []Unkept {
	var out []Unkept
	hosts, order := byHost(r.Records)
	for _, name := range order {
		for _, rec := range hosts[name] {
			if len(rec.Missing) > 0 && rec.Outcome.Changed {
				out = append(out, Unkept{rec.Host, rec.Task, rec.Missing})
			}
		}
	}
	return out
}

// A past is what a host has behind it.
type past struct {
	records []*Record
	at      int
	loose   bool
	told    bool
}

// byHost sorts records by host, each up to where the host stopped: what it did behind a
// failure that nothing took care of (always, handlers under force_handlers) is to be done
// again, as is the task that failed.
func byHost(records []*Record) (hosts map[string][]*Record, order []string) {
	hosts = map[string][]*Record{}
	end := map[string]int{} // 1 + the record a host stopped at
	for _, r := range records {
		list, known := hosts[r.Host]
		if !known {
			order = append(order, r.Host)
		}
		switch {
		case r.Cleared:
			delete(end, r.Host)
		case r.fatal() && end[r.Host] == 0:
			end[r.Host] = len(list) + 1
		}
		if !r.Stop && !r.Cleared {
			list = append(list, r)
		}
		hosts[r.Host] = list
	}
	for host, n := range end {
		hosts[host] = hosts[host][:n-1]
	}
	return hosts, order
}

func (r *Record) fatal() bool {
	if r.Rescued || r.Ignored {
		return false
	}
	return r.Stop || r.Outcome.Status == Failed || r.Outcome.Status == Unreachable
}

// past makes what the hosts have behind them, and the answers to prompts.
func (r *Resume) past() (hosts map[string]*past, answers map[TaskRef]value.Value) {
	if r == nil {
		return nil, nil
	}
	lists, _ := byHost(r.Records)
	hosts, answers = map[string]*past{}, map[TaskRef]value.Value{}
	for _, rec := range lists[""] {
		if len(rec.Missing) == 0 {
			answers[rec.Task] = rec.Outcome.Value
		}
	}
	delete(lists, "")
	for name, list := range lists {
		hosts[name] = &past{records: list, loose: r.Loose}
	}
	return hosts, answers
}

// behind says whether the host still has recorded tasks before it.
func (h *host) behind() bool {
	p := h.b.run.past[h.name]
	return p != nil && p.at < len(p.records)
}

// recorded says whether the next record of the host is the task's, without taking it.
func (h *host) recorded(t *task) bool {
	p := h.b.run.past[h.name]
	return p != nil && p.find(t.ref(), t == h.b.setup) >= 0
}

// recall takes what the task came to on the host in the run that is resumed; nil when the
// host has still to do it.
func (h *host) recall(t *task) *Record {
	p := h.b.run.past[h.name]
	if p == nil || p.at == len(p.records) {
		return nil
	}
	i := p.find(t.ref(), t == h.b.setup)
	switch {
	case i >= 0:
		p.at = i + 1
		return p.records[i]
	case !p.loose && t != h.b.setup:
		h.b.run.warn(t.src.Pos, fmt.Sprintf("%s takes another way than in the run that is resumed: it goes on here, %d tasks before where it stopped",
			h.name, len(p.records)-p.at))
		p.records = p.records[:p.at]
	}
	return nil
}

// find looks for a task among the records. Where the places count it is the next record,
// but for facts that are no longer gathered (they are cached by now).
func (p *past) find(t TaskRef, setup bool) int {
	for i := p.at; i < len(p.records); i++ {
		r := p.records[i].Task
		same := r == t
		if p.loose {
			same = r.Action == t.Action && r.Name == t.Name && r.Handler == t.Handler
		}
		if same {
			return i
		}
		if !p.loose && (setup || r.Action != "gather_facts") {
			break
		}
	}
	return -1
}

// recall gives the work what its task came to before.
func (w *work) recall() {
	w.past = w.h.recall(w.t)
	w.quiet = !w.due()
}

// due says whether the work is to be done: there is no record of it, or one without a
// value that is needed.
func (w *work) due() bool { return w.past == nil || len(w.past.Missing) > 0 }

// resumed says once of each host where it goes on.
func (w *work) resumed() {
	p := w.b.run.past[w.h.name]
	if p != nil && !p.told {
		p.told = true
		if p.at == 0 {
			return
		}
		w.b.run.emit(Resumed{ID: w.t.id, Host: w.h.name, Done: p.at})
	}
}

// do does the task on the host, or takes what it came to before.
func (w *work) do() *outcome {
	if !w.due() {
		return w.replay()
	}
	w.start("")
	o := w.perform()
	w.settleFacts(o)
	return o
}

// replay makes the outcome of the record anew. What include_vars read is an author's and
// is read again.
func (w *work) replay() *outcome {
	if w.t.is(modIncludeVars) {
		o := w.perform()
		w.settleFacts(o)
		if w.quiet = o.status != Failed; !w.quiet {
			w.b.start(w.t, w)
		}
		o.past = w.quiet
		for _, it := range o.items {
			it.past = w.quiet
		}
		return o
	}
	r := w.past
	o := w.restore(&r.Outcome, r.Ignored)
	o.loop, o.noLog = r.Loop, r.Secret
	for i := range r.Items {
		it := w.restore(&r.Items[i], r.Ignored)
		it.item = true
		o.items = append(o.items, it)
	}
	if !o.loop {
		w.apply(o)
	}
	for _, it := range o.items {
		w.apply(it)
	}
	return o
}

func (w *work) restore(k *Kept, ignored bool) *outcome {
	o := &outcome{
		past: true, status: k.Status, delegated: k.Delegated, notify: k.Notify,
		ignoreErrors: ignored, ignoreUnreachable: ignored,
	}
	o.dict = value.D("changed", value.Bool(k.Changed))
	if k.Data != nil {
		for name, v := range k.Data.All() {
			_ = o.dict.Set(name, v) // a key of a dict
		}
		w.inventory(o)
		o.status = k.Status
	}
	o.value = o.dict
	if k.Value != nil {
		o.value = k.Value
		if d, ok := k.Value.(*value.Dict); ok && k.Partial {
			o.value = &partial{d, w.what()}
		}
	}
	if f := k.Facts; f != nil {
		o.facts = &facts{json: f.JSON, dict: f.Dict, set: f.Set, cacheable: f.Cacheable}
	}
	if i := k.Include; i != nil {
		o.include = &include{path: i.Path, name: i.Name, role: i.Role, vars: i.Vars, label: i.Label, noLog: i.NoLog}
	}
	return o
}

// leftovers runs, in a run that is resumed, the handlers of hosts that ended before they
// came to a flush (meta: end_host, end_play).
func (b *batch) leftovers() (any bool, err error) {
	if b.run.past == nil {
		return false, nil
	}
	flush := b.play.flushTask()
	if flush == nil {
		return false, nil
	}
	b.announce(&work{b: b, t: flush, h: b.hosts[0], ctx: b.run.ctx})
	for _, h := range b.left() {
		if h.peek() != nil || h.it.next.failed || h.it.cur.failed || len(h.unflushed()) == 0 {
			continue
		}
		h.it.revive()
		if err := b.flush(&work{b: b, t: flush, h: h, ctx: b.run.ctx}); err != nil {
			return false, err
		}
		any = true
	}
	if any {
		b.all = splice(b.all, b.cursor, b.handlers)
	}
	return any, nil
}
