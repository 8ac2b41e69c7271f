package run

import (
	"errors"
	"fmt"
	"slices"

	"orch/playbook/jinja/value"
	"orch/playbook/source"
	"orch/playbook/template"
)

// notify takes in what a changed task asked for. The names are kept until the flush, so
// that handlers defined later are found; while handlers run they are resolved at once.
func (b *batch) notify(w *work, names []string) {
	if len(names) == 0 {
		return
	}
	var known []string
	for _, name := range names {
		found := b.findHandlers(name)
		if len(found) == 0 {
			msg := fmt.Sprintf("The requested handler '%s' was not found in either the main handlers list nor in the listening handlers list", name)
			if b.run.cfg.MissingHandlerWarns {
				b.run.warn(w.t.src.Pos, msg)
				continue
			}
			b.err = &AbortError{Pos: w.t.src.Pos, Err: errors.New(msg), Placeless: true}
			return
		}
		if w.h.it.cur.flushing {
			b.mark(w, found)
			continue
		}
		known = append(known, name)
		if !slices.Contains(w.h.it.notifications, name) {
			w.h.it.notifications = append(w.h.it.notifications, name)
			w.h.it.current = false
		}
	}
	if known != nil {
		w.emit(Notified{ID: w.t.id, Host: w.h.name, Handlers: known, Saved: true})
	}
}

// mark notifies handlers for the host.
func (b *batch) mark(w *work, found []*task) {
	ev := Notified{ID: w.t.id, Host: w.h.name}
	for _, t := range found {
		if w.h.it.notify(t) {
			ev.Handlers = append(ev.Handlers, t.label(t.name))
		}
	}
	if ev.Handlers != nil {
		w.emit(ev)
	}
}

// findHandlers lists the handlers a notification means: one of that name, and all that
// listen, one of each name (ansible-core 2.18:
// search_handlers_by_notification).
func (b *batch) findHandlers(name string) []*task {
	var out, all []*task
	for _, group := range slices.Backward(b.groups) {
		all = append(all, group...)
	}
	for _, t := range all {
		if b.handlerName(t) && t.hasName(name) {
			out = append(out, t)
			break
		}
	}
	seen := map[string]bool{}
	for _, t := range all {
		if !t.listens(name) {
			continue
		}
		if b.handlerName(t) {
			if seen[t.name] {
				continue
			}
			seen[t.name] = true
		}
		if !slices.Contains(out, t) {
			out = append(out, t)
		}
	}
	return out
}

// handlerName templates a handler's name, once, with what is the same for all hosts. One
// that cannot be templated can only be reached by listen.
func (b *batch) handlerName(t *task) bool {
	if t.src.Name == nil {
		return false
	}
	if t.named {
		return true
	}
	raw := t.src.Name.Val
	if isLiteral(raw) {
		t.name, t.named = value.String(raw), true
		return true
	}
	v, err := b.run.cfg.Templater.Value(b.run.ctx, raw, t.vars.Eval(b.run.ctx, b.play.vars.Host("")))
	if err != nil {
		if template.IsUndefined(err) != nil && len(t.src.Listen) == 0 {
			b.run.warn(t.src.Pos, fmt.Sprintf("Handler '%s' is unusable because it has no listen topics and the name could not be templated "+
				"(host-specific variables are not supported in handler names). The error: %s", value.String(raw), err))
		}
		return false
	}
	t.name, t.named = value.String(v), true
	return true
}

func (t *task) hasName(name string) bool {
	if t.name == name {
		return true
	}
	role := roleOf(t.src)
	if role == nil {
		return false
	}
	return shortRole(role)+" : "+t.name == name || roleName(role)+" : "+t.name == name
}

func (t *task) listens(topic string) bool {
	role := roleOf(t.src)
	for _, l := range t.src.Listen {
		for _, name := range appendText(nil, l) {
			if name == topic || role != nil && (shortRole(role)+" : "+name == topic || roleName(role)+" : "+name == topic) {
				return true
			}
		}
	}
	return false
}

// unflushed names the handlers that were notified for the host and did not run.
func (h *host) unflushed() []string {
	var out []string
	add := func(t *task) {
		name := t.name
		if name == "" {
			name = t.src.Action
		}
		if !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	for _, t := range h.b.handlers {
		if h.it.notified[t] {
			add(t)
		}
	}
	for _, name := range h.it.notifications {
		for _, t := range h.b.findHandlers(name) {
			add(t)
		}
	}
	return out
}

// flush matches the host's notifications to handlers and starts running them.
func (b *batch) flush(w *work) error {
	h := w.h
	if h.it.cur.flushing {
		return &AbortError{Pos: source.Pos{}, Err: errors.New("flush_handlers cannot be used as a handler")}
	}
	for _, name := range h.it.notifications {
		b.mark(w, b.findHandlers(name))
	}
	h.it.notifications = nil
	h.it.current = false
	if !b.run.unreachable[h.name] {
		h.it.flush(b.handlers)
	}
	return nil
}
