package report

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"orch/playbook/run"
)

// A Terminal is the view for a person: what Plain prints, above a line that says what
// the run is doing and which hosts it waits for.
type Terminal struct {
	mu     sync.Mutex
	plain  *plain
	o      Options
	w      io.Writer
	busy   map[string]activity // by host
	shown  bool                // the live line is on the screen
	task   string
	done   int
	hosts  int
	stop   chan struct{}
	ticker *time.Ticker
}

// An activity is what a host is doing.
type activity struct {
	task  string
	item  string
	line  string // the last line of output
	since time.Time
}

// slow is how long a host may be busy before the live line names it.
const slow = time.Second

// NewTerminal starts the view; Close ends it.
func NewTerminal(w io.Writer, o Options) *Terminal {
	t := &Terminal{
		plain: newPlain(w, o), o: o, w: w, busy: map[string]activity{}, stop: make(chan struct{}),
		ticker: time.NewTicker(200 * time.Millisecond),
	}
	t.plain.before = t.erase
	go func() {
		for {
			select {
			case <-t.stop:
				return
			case now := <-t.ticker.C:
				t.mu.Lock()
				t.draw(now)
				t.mu.Unlock()
			}
		}
	}()
	return t
}

// Close erases the live line and ends the view.
func (t *Terminal) Close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	select {
	case <-t.stop:
	default:
		close(t.stop)
		t.ticker.Stop()
		t.erase()
	}
}

// Event is the view's sink.
func (t *Terminal) Event(ev run.Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch ev := ev.(type) {
	case run.PlayStart:
		t.hosts = len(ev.Hosts)
	case run.TaskStart:
		t.task, t.done = ev.Name, 0
	case run.HostStart:
		t.busy[ev.Host] = activity{task: t.task, item: ev.Item, since: ev.Time}
	case run.HostLine:
		a := t.busy[ev.Host]
		a.line = ev.Line
		t.busy[ev.Host] = a
	case run.TaskDone:
		delete(t.busy, ev.Host)
		t.done++
	case run.RunDone:
		t.busy = nil
		t.erase()
	}
	t.plain.event(ev)
}

// Waiting describes what every busy host is doing, the longest first.
func (t *Terminal) Waiting() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.waiting(time.Now(), 0)
}

func (t *Terminal) waiting(now time.Time, least time.Duration) []string {
	type host struct {
		name string
		activity
	}
	var hosts []host
	for name, a := range t.busy {
		if now.Sub(a.since) >= least {
			hosts = append(hosts, host{name, a})
		}
	}
	slices.SortFunc(hosts, func(a, b host) int {
		if c := a.since.Compare(b.since); c != 0 {
			return c
		}
		return strings.Compare(a.name, b.name)
	})
	var out []string
	for _, h := range hosts {
		text := fmt.Sprintf("%s %s", h.name, now.Sub(h.since).Round(time.Second))
		if h.item != "" {
			text += " (" + h.item + ")"
		}
		if h.line != "" {
			text += ": " + h.line
		}
		out = append(out, text)
	}
	return out
}

func (t *Terminal) erase() {
	if t.shown {
		t.plain.printf("\r\x1b[K")
		t.shown = false
	}
}

// draw shows the live line while a host is slow.
func (t *Terminal) draw(now time.Time) {
	waiting := t.waiting(now, slow)
	if len(waiting) == 0 {
		t.erase()
		return
	}
	text := fmt.Sprintf("%s · %d/%d · %s", t.task, t.done, t.hosts, strings.Join(waiting, ", "))
	columns := t.o.Width
	if columns <= 0 {
		columns = 80
	}
	t.plain.printf("\r\x1b[K%s", t.o.paint(darkGray, cut(strings.ReplaceAll(text, "\n", " "), columns-1)))
	t.shown = true
}
