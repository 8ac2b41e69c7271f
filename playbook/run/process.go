package run

import (
	"slices"
	"strings"
	"time"

	"orch/inventory"
	"orch/playbook/jinja/value"
	"orch/playbook/source"
	"orch/playbook/vars"
)

// start says that the host begins the task.
func (w *work) start(item string) {
	w.emit(HostStart{ID: w.t.id, Host: w.h.name, Item: item, Time: time.Now()})
}

func (w *work) emit(ev Event) {
	if !w.quiet {
		w.b.run.emit(ev)
	}
}

// apply stores the facts of a result on the host itself, at once: later items of a loop
// see them. Failed tasks set none.
func (w *work) apply(o *outcome) {
	if o.facts == nil || o.status == Failed || o.status == Unreachable || o.status == Skipped {
		return
	}
	target := w.h.name
	if o.delegated != "" && w.t.kw.delegateFacts.given() {
		scope := w.t.vars.Eval(w.ctx, w.h.vars, w.top...)
		if on, err := w.flag(scope, "delegate_facts", w.t.kw.delegateFacts, false); err == nil && on {
			target = o.delegated
			o.elsewhere = true // run_once must not spread what is another host's
		}
	}
	w.store(w.b.run.cfg.Vars.State(target), o.facts)
	if target != w.h.name {
		w.b.run.cfg.Vars.State(target).Publish()
	}
}

func (w *work) store(state *vars.HostState, f *facts) {
	switch {
	case f.included:
		state.IncludeVars(f.dict)
		return
	case f.set:
		state.SetFacts(f.dict)
		if !f.cacheable {
			return
		}
		state.UpdateFacts(f.dict)
	case f.json != nil:
		if err := state.UpdateFactsJSON(f.json); err != nil {
			w.b.run.warn(w.t.src.Pos, "facts of "+state.Name+": "+err.Error())
		}
	default:
		state.UpdateFacts(f.dict)
	}
	if cache := w.b.run.cfg.Facts; cache != nil {
		if err := cache.Set(state.Name, state.FactsJSON()); err != nil {
			w.b.run.warn(source.Pos{}, "fact cache of "+state.Name+": "+err.Error())
		}
	}
}

// process takes a result in: counts, failures, notifications, what it does to the
// inventory, facts of all hosts under run_once (ansible-core 2.18:
// StrategyBase._process_pending_results). once says that the task ran for all hosts.
func (b *batch) process(w *work, o *outcome, once bool) {
	e, h, t := b.run, w.h, w.t
	if o.noLog {
		e.redact.learn(o.value)
	}
	ev := TaskDone{ID: t.id, Host: h.name, Result: w.event(o), Loop: o.loop}
	switch {
	case o.status == Failed && o.ignoreErrors:
		c := e.tally(h.name, o)
		c.OK++
		c.Ignored++
		if flagOf(o.dict, "changed") {
			c.changed(t)
		}
	case o.status == Failed:
		o.rescued = b.failed(w, o, once)
		ev.Result.Rescued = o.rescued
	case o.status == Unreachable && o.ignoreUnreachable:
		c := e.tally(h.name, o)
		c.OK++
		c.Ignored++
	case o.status == Unreachable:
		e.unreachable[h.name] = true
		b.remove(h.name)
		e.tally(h.name, o).Unreachable++
	case o.status == Skipped:
		e.tally(h.name, o).Skipped++
	default:
		if b.succeeded(w, o, once); b.err != nil {
			return // ansible-core 2.18: a missing handler ends the run before the result is shown
		}
	}
	if t.is(modAddHost) {
		b.publish()
	}
	b.register(w, o, once)
	if t.roleRun != nil && (o.status == OK || o.status == Changed || o.status == Failed) {
		t.roleRun.ran[h.name] = true
	}
	if !t.isInclude() && t.meta == "" {
		b.record(w, o) // before the event: what a view has shown is kept
	}
	if o.include == nil && !o.past && !o.shown { // an include is done when its file is there
		e.emit(ev)
	}
}

// failed marks the host, or all under run_once, and says whether a rescue catches it.
func (b *batch) failed(w *work, o *outcome, once bool) bool {
	e, h := b.run, w.h
	rescued := h.it.cur.rescues()
	for _, other := range b.affected(h, once) {
		if other != h {
			b.stopped(other, other.it.cur.rescues())
		}
		other.it.fail()
		b.remove(other.name)
	}
	if h.peek() == nil && h.it.next.failed {
		b.failedNow[h.name] = true
	}
	if !rescued {
		e.tally(h.name, o).Failed++
		return false
	}
	e.tally(h.name, o).Rescued++
	b.restore(h.name)
	result := o.value
	if o.noLog {
		result = value.D("censored", value.S(censored))
	}
	h.vars.State().Register("ansible_failed_task", failedTask(w))
	h.vars.State().Register("ansible_failed_result", result)
	return true
}

// failedTask is ansible_failed_task: what authors ask of it is its name and action.
func failedTask(w *work) value.Value {
	args := value.Value(value.NewDict(0))
	if w.t.args != nil && !w.t.kw.noLog.given() {
		args = plain(w.t.args)
	}
	d := value.D("name", value.S(w.t.name), "action", value.S(w.t.src.Action), "args", args)
	if w.t.src.Name == nil {
		d.SetStr("name", value.S(""))
	}
	if w.t.src.Register != nil {
		d.SetStr("register", value.S(registerName(w.t.src)))
	}
	if role := roleOf(w.t.src); role != nil {
		d.SetStr("role", value.D("_role_name", value.S(role.Name), "_role_path", value.S(role.Path)))
	}
	return d
}

// plain drops the authors' marks: what is kept is data.
func plain(v value.Value) value.Value {
	switch v := v.(type) {
	case value.Str:
		return value.S(v.S)
	case value.Sealed:
		return value.S("(encrypted)")
	case *value.List:
		items := make([]value.Value, len(v.Items))
		for i, item := range v.Items {
			items[i] = plain(item)
		}
		return value.NewList(items...)
	case *value.Dict:
		out := value.NewDict(v.Len())
		for k, item := range v.All() {
			_ = out.Set(plain(k), plain(item)) // a key of a dict
		}
		return out
	}
	return v
}

// affected are the hosts a result is about: under run_once all that can be reached.
func (b *batch) affected(h *host, once bool) []*host {
	if once {
		return b.left()
	}
	return []*host{h}
}

func (b *batch) succeeded(w *work, o *outcome, once bool) {
	e, h, t := b.run, w.h, w.t
	results := o.items
	if !o.loop {
		results = []*outcome{o}
	}
	for _, r := range results {
		if r.status == Skipped {
			continue
		}
		if o.changed() {
			b.notify(w, r.notify)
		}
		if once && r.facts != nil && !r.elsewhere {
			for _, other := range b.left() {
				if other != h {
					w.store(other.vars.State(), r.facts)
					other.vars.State().Publish()
				}
			}
		}
		b.stat(r, h.name)
	}
	if t.isInclude() {
		return // counted when the file is there
	}
	c := e.tally(h.name, o)
	c.OK++
	if o.changed() {
		c.changed(t)
	}
	if o.maybe {
		c.Maybe++
	}
}

// changed counts a change of a task.
func (c *Counts) changed(t *task) {
	c.Changed++
	if t.made {
		c.Made++
	}
}

// register stores the result, under run_once for all hosts.
func (b *batch) register(w *work, o *outcome, once bool) {
	if w.t.src.Register != nil {
		name := registerName(w.t.src)
		for _, h := range b.affected(w.h, once) {
			h.vars.State().Register(name, o.value)
			h.vars.State().Publish()
		}
	}
	w.h.vars.State().Publish()
}

// inventory acts on add_host and add_group of a result: at once, so that the next item
// of a loop and changed_when see it. What was new makes the result changed.
func (w *work) inventory(o *outcome) {
	if o.status != OK && o.status != Changed || o.dict == nil {
		return
	}
	changed, known := false, false
	var err error
	if v, ok := o.dict.GetStr("add_host"); ok {
		if d, isDict := v.(*value.Dict); isDict {
			known = true
			changed, err = w.addHost(d)
		}
	} else if v, ok := o.dict.GetStr("add_group"); ok {
		known = true
		var parents []string
		if p, ok := o.dict.GetStr("parent_groups"); ok {
			parents = appendText(nil, p)
		}
		changed, err = w.addGroup(text(v), parents)
	}
	if err != nil {
		w.setFailed(o, true)
		o.dict.SetStr("msg", value.S(err.Error()))
		return
	}
	if known {
		w.setChanged(o, changed)
	}
}

func (w *work) addHost(d *value.Dict) (bool, error) {
	inv := w.b.run.cfg.Inventory
	nameVal, _ := d.GetStr("host_name")
	name := text(nameVal)
	if name == "" {
		return false, nil
	}
	var groups []string
	if v, ok := d.GetStr("groups"); ok {
		groups = appendText(nil, v)
	}
	vars := value.NewDict(0)
	if v, ok := d.GetStr("host_vars"); ok {
		if hv, ok := v.(*value.Dict); ok {
			vars = hv
		}
	}
	old, known := inv.Host(name)
	changed := !known || !w.inGroups(old, groups)
	for k, v := range vars.All() {
		if known && !changed {
			was, ok, _ := old.Vars.Get(k)
			changed = !ok || !value.Equal(was, v)
		}
	}
	h, err := inv.AddHost(name, 0, groups...)
	if err == nil {
		err = inv.SetVars(h, vars)
	}
	w.b.run.cfg.Vars.InventoryChanged()
	w.b.addedMu.Lock()
	defer w.b.addedMu.Unlock()
	if err == nil && !slices.ContainsFunc(w.b.play.hosts, func(h *inventory.Host) bool { return h.Name == name }) &&
		!slices.Contains(w.b.added, name) {
		w.b.added = append(w.b.added, name)
	}
	return changed, err
}

// inGroups says whether the host is in all the groups already.
func (w *work) inGroups(h *inventory.Host, groups []string) bool {
	all := w.b.run.cfg.Inventory.GroupsOf(h)
	for _, name := range groups {
		if !slices.ContainsFunc(all, func(g *inventory.Group) bool { return g.Name == name }) {
			return false
		}
	}
	return true
}

func (w *work) addGroup(group string, parents []string) (bool, error) {
	inv := w.b.run.cfg.Inventory
	changed := true
	if h := w.b.run.inventoryHost(w.h.name); h != nil {
		changed = !w.inGroups(h, []string{group})
	}
	for _, name := range append([]string{group}, parents...) {
		if msg := inv.Remarks(name); msg != "" {
			w.b.run.warn(w.t.src.Pos, msg)
		}
	}
	_, err := inv.AddGroup(group, parents...)
	if err == nil {
		_, err = inv.AddHost(w.h.name, 0, group)
	}
	w.b.run.cfg.Vars.InventoryChanged()
	return changed, err
}

func text(v value.Value) string {
	if v == nil {
		return ""
	}
	if _, none := v.(value.None); none {
		return ""
	}
	return strings.TrimSpace(value.String(v))
}

// stat acts on ansible_stats: custom statistics of the run, or of a host.
func (b *batch) stat(o *outcome, host string) {
	v, ok := o.dict.GetStr("ansible_stats")
	stats, isDict := v.(*value.Dict)
	if !ok || !isDict {
		return
	}
	d, _ := stats.GetStr("data")
	values, ok := d.(*value.Dict)
	if !ok {
		return
	}
	who := "_run"
	if flagOf(stats, "per_host") {
		who = host
	}
	e := b.run
	if e.stats == nil {
		e.stats = value.NewDict(1)
	}
	var own *value.Dict
	if v, ok := e.stats.GetStr(who); ok {
		own = v.(*value.Dict)
	} else {
		own = value.NewDict(values.Len())
		e.stats.SetStr(who, own)
	}
	for k, v := range values.All() {
		if old, ok, _ := own.Get(k); ok && flagOf(stats, "aggregate") {
			v = aggregate(old, v)
		}
		_ = own.Set(k, v) // a key of a dict
	}
}

// aggregate adds numbers, joins texts and lists, merges dicts; of other pairs the new
// value is kept (ansible-core 2.18: AggregateStats.update_custom_stats).
func aggregate(old, v value.Value) value.Value {
	a, isDict := old.(*value.Dict)
	b, alsoDict := v.(*value.Dict)
	if isDict && alsoDict {
		return vars.Merge(a, b)
	}
	if old.Type() != v.Type() {
		return v
	}
	sum, err := value.Add(old, v)
	if err != nil {
		return v
	}
	return sum
}
