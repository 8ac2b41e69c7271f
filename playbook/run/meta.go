package run

import (
	"fmt"
	"slices"

	"orch/playbook/jinja/value"
	"orch/playbook/source"
	"orch/playbook/vars"
)

// metaActions are the actions of meta. Those marked are done once for all hosts.
var metaActions = map[string]bool{
	"flush_handlers": false, "noop": false, "reset_connection": false, "end_host": false, "end_role": false, "role_complete": false,
	"refresh_inventory": true, "clear_facts": true, "clear_host_errors": true, "end_batch": true, "end_play": true,
}

// metaStep does a meta task for the hosts that are at it.
func (b *batch) metaStep(t *task, hosts []*host) error {
	e := b.run
	first := &work{b: b, t: t, h: hosts[0], ctx: e.ctx}
	once, known := metaActions[t.meta]
	b.announce(first)
	if !known {
		b.start(t, first)
		return &AbortError{Pos: t.src.Pos, Err: source.Diagnostics{{
			Pos: t.src.Pos, Msg: fmt.Sprintf("invalid meta action requested: %s", t.meta), Hint: fmt.Sprintf("one of %v", metaNames()),
			Ansible: &source.Ansible{Code: 1},
		}}}
	}
	for _, h := range hosts {
		w := &work{b: b, t: t, h: h, ctx: e.ctx, quiet: h.behind()}
		if !t.implicit && !w.quiet {
			b.start(t, w)
		}
		h.it.began(t)
		o := b.meta(w)
		if b.err != nil {
			return b.err
		}
		if !t.implicit {
			if o.past = w.quiet; o.status == Failed {
				b.process(w, o, false)
				b.stopped(h, o.rescued)
			} else { // what is no task of a host's own is not counted
				w.emit(TaskDone{ID: t.id, Host: h.name, Result: w.event(o)})
			}
		}
		if once {
			break
		}
	}
	return nil
}

// metaNames lists the actions authors may ask for.
func metaNames() []string {
	var names []string
	for name := range metaActions {
		if name != "role_complete" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// meta does a meta action for a host.
func (b *batch) meta(w *work) *outcome {
	o := &outcome{status: OK, dict: value.D("changed", value.Bool(false), "msg", value.S(w.t.meta))}
	o.value = o.dict
	scope := w.t.vars.Eval(w.ctx, w.h.vars)
	if len(w.t.kw.when) > 0 && w.t.meta != "role_complete" {
		switch w.t.meta {
		case "noop", "refresh_inventory", "reset_connection":
			if !w.t.implicit {
				b.run.warn(w.t.src.Pos, w.t.meta+" task does not support when conditional")
			}
		default:
			truth, _, err := w.when(scope)
			if err != nil {
				return w.fail(o, scope, err)
			}
			if truth != condTrue {
				o.status = Skipped
				o.dict.SetStr("skipped", value.Bool(true))
				o.dict.SetStr("skip_reason", value.S(w.t.meta+" conditional evaluated to False"+skipSuffix(w)))
				if w.t.meta == "end_host" {
					o.dict.SetStr("msg", value.S("end_host conditional evaluated to false, continuing execution for "+w.h.name))
				}
				return o
			}
		}
	}
	if err := b.metaAction(w, scope); err != nil {
		return w.fail(o, scope, err)
	}
	o.dict.SetStr("msg", value.S(w.metaMessage()))
	return o
}

// metaMessage says what a meta action did, in Ansible's words.
func (w *work) metaMessage() string {
	switch w.t.meta {
	case "flush_handlers":
		return "triggered running handlers for " + w.h.name
	case "refresh_inventory":
		return "inventory successfully refreshed"
	case "clear_facts":
		return "facts cleared"
	case "clear_host_errors":
		return "cleared host errors"
	case "end_batch":
		return "ending batch"
	case "end_play":
		return "ending play"
	case "end_host":
		return "ending play for " + w.h.name
	case "end_role":
		return "ending role " + roleName(roleOf(w.t.src)) + " for " + w.h.name
	case "reset_connection":
		return "reset connection"
	}
	return w.t.meta
}

func skipSuffix(w *work) string {
	switch w.t.meta {
	case "flush_handlers":
		return ", not running handlers for " + w.h.name
	case "clear_facts":
		return ", not clearing facts and fact cache for " + w.h.name
	case "clear_host_errors":
		return ", not clearing host error state for " + w.h.name
	case "end_batch":
		return ", continuing current batch"
	case "end_play":
		return ", continuing play"
	case "end_host":
		return ", continuing execution for " + w.h.name
	case "end_role":
		return "continuing role " + roleName(roleOf(w.t.src)) + " for " + w.h.name
	}
	return ""
}

func (b *batch) metaAction(w *work, scope *vars.Scope) error {
	e, h := b.run, w.h
	switch w.t.meta {
	case "flush_handlers":
		b.err = b.flush(w)
	case "refresh_inventory":
		if e.cfg.Refresh == nil {
			return fmt.Errorf("the inventory cannot be read again here")
		}
		if err := e.cfg.Refresh(w.ctx); err != nil {
			return err
		}
		e.cfg.Vars.InventoryChanged()
	case "clear_facts":
		for _, other := range b.play.hosts {
			e.cfg.Vars.State(other.Name).ClearFacts()
			e.cfg.Vars.State(other.Name).Publish()
			if e.cfg.Facts != nil {
				if err := e.cfg.Facts.Clear(other.Name); err != nil {
					e.warn(w.t.src.Pos, "fact cache of "+other.Name+": "+err.Error())
				}
			}
		}
	case "clear_host_errors":
		for _, other := range b.play.hosts {
			if e.cfg.Record != nil {
				e.cfg.Record(&Record{Host: other.Name, Cleared: true})
			}
			delete(e.failed, other.Name)
			delete(e.unreachable, other.Name)
			delete(b.failedNow, other.Name)
		}
		for _, other := range b.hosts {
			other.it.clear()
			b.restore(other.name)
		}
	case "end_batch", "end_play":
		for _, other := range b.left() {
			other.it.end()
			b.remove(other.name)
		}
		b.endPlay = b.endPlay || w.t.meta == "end_play"
	case "end_host":
		h.it.end()
		b.remove(h.name)
	case "role_complete":
		if r := w.t.roleRun; r != nil && r.ran[h.name] {
			r.completed[h.name] = true
		}
	case "end_role":
		b.endRole(h, w.t)
	case "reset_connection":
		s := &site{w: w, scope: scope, o: &outcome{}}
		spec, err := s.hostSpec()
		if err != nil {
			return err
		}
		if spec.Connection == "local" {
			e.warn(w.t.src.Pos, "Reset is not implemented for this connection") // ansible-core 2.18
		}
		return e.cfg.Connector.Reset(spec.Name)
	}
	return nil
}

// endRole passes over what is left of the role.
func (b *batch) endRole(h *host, t *task) {
	for next := h.peek(); next != nil; next = h.peek() {
		if next.meta == "role_complete" {
			return
		}
		h.take()
	}
}

// clear forgets that the host failed. A host that had nowhere to go stays at its end.
func (it *iterator) clear() {
	it.current = false
	it.cur.failed = false
	for i := range it.cur.frames {
		it.cur.frames[i].failed = false
	}
}
