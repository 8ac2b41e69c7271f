package report

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"orch/playbook/run"
)

// A Watch knows what every host is doing: the answer to "what is it waiting for".
type Watch struct {
	mu    sync.Mutex
	tasks map[int]string
	busy  map[string]*activity
}

// An activity is what a host is doing.
type activity struct {
	task  string
	item  string
	step  string // the title of the step that runs, or what is waited for
	line  string // the last line of output
	since time.Time
	stepS time.Time
}

// NewWatch makes a Watch; its Event is a sink.
func NewWatch() *Watch { return &Watch{tasks: map[int]string{}, busy: map[string]*activity{}} }

// Event is the Watch's sink.
func (w *Watch) Event(ev run.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch ev := ev.(type) {
	case run.TaskStart:
		w.tasks[ev.ID] = ev.Name
	case run.HostStart:
		w.busy[ev.Host] = &activity{task: w.tasks[ev.ID], item: ev.Item, since: ev.Time}
	case run.HostStep:
		if a := w.busy[ev.Host]; a != nil {
			a.step, a.stepS, a.line = ev.Title, ev.Time, ""
		}
	case run.HostLine:
		if a := w.busy[ev.Host]; a != nil {
			a.line = ev.Line
		}
	case run.Retry:
		if a := w.busy[ev.Host]; a != nil {
			a.step, a.stepS, a.line = fmt.Sprintf("waits for try %d of %d", ev.Attempt+1, ev.Retries), time.Now(), ""
		}
	case run.TaskDone:
		delete(w.busy, ev.Host)
	case run.BatchDone:
		clear(w.tasks)
	case run.RunDone:
		clear(w.busy)
	}
}

// busyHost is a host and what it does.
type busyHost struct {
	name string
	activity
}

// hosts lists those busy for at least that long, the longest first.
func (w *Watch) hosts(now time.Time, least time.Duration) []busyHost {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []busyHost
	for name, a := range w.busy {
		if now.Sub(a.since) >= least {
			out = append(out, busyHost{name, *a})
		}
	}
	slices.SortFunc(out, func(a, b busyHost) int {
		if c := a.since.Compare(b.since); c != 0 {
			return c
		}
		return strings.Compare(a.name, b.name)
	})
	return out
}

// Report says of every busy host what it does and since when, a line each.
func (w *Watch) Report(now time.Time) []string {
	hosts := w.hosts(now, 0)
	if len(hosts) == 0 {
		return []string{"no host is busy"}
	}
	out := make([]string, len(hosts))
	for i, h := range hosts {
		text := fmt.Sprintf("%s: %s in task %q", h.name, now.Sub(h.since).Round(time.Second), h.task)
		if h.item != "" {
			text += " (" + h.item + ")"
		}
		if h.step != "" {
			text += fmt.Sprintf(", %s since %s", h.step, now.Sub(h.stepS).Round(time.Second))
		}
		if h.line != "" {
			text += ": " + h.line
		}
		out[i] = text
	}
	return out
}

// short is the part of the live line about a host.
func (h *busyHost) short(now time.Time) string {
	text := fmt.Sprintf("%s %s", h.name, now.Sub(h.since).Round(time.Second))
	if h.item != "" {
		text += " (" + h.item + ")"
	}
	switch {
	case h.line != "":
		text += ": " + h.line
	case h.step != "":
		text += ": " + h.step
	}
	return text
}
