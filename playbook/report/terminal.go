package report

import (
	"fmt"
	"io"
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
	watch  *Watch
	shown  bool // the live line is on the screen
	task   string
	done   int
	hosts  int
	stop   chan struct{}
	ticker *time.Ticker
}

// slow is how long a host may be busy before the live line names it.
const slow = time.Second

// NewTerminal starts the view; Close ends it.
func NewTerminal(w io.Writer, o Options) *Terminal {
	t := &Terminal{
		plain: newPlain(w, o), o: o, w: w, watch: NewWatch(), stop: make(chan struct{}),
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
	case run.TaskDone:
		t.done++
	case run.RunDone:
		t.erase()
	}
	t.watch.Event(ev)
	t.plain.event(ev)
}

// Print shows lines above the live line.
func (t *Terminal) Print(lines []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.erase()
	for _, line := range lines {
		t.plain.printf("%s\n", t.o.paint(cyan, line))
	}
}

func (t *Terminal) erase() {
	if t.shown {
		t.plain.printf("\r\x1b[K")
		t.shown = false
	}
}

// draw shows the live line while a host is slow.
func (t *Terminal) draw(now time.Time) {
	hosts := t.watch.hosts(now, slow)
	if len(hosts) == 0 {
		t.erase()
		return
	}
	waiting := make([]string, len(hosts))
	for i := range hosts {
		waiting[i] = hosts[i].short(now)
	}
	text := fmt.Sprintf("%s · %d/%d · %s", t.task, t.done, t.hosts, strings.Join(waiting, ", "))
	columns := t.o.Width
	if columns <= 0 {
		columns = 80
	}
	t.plain.printf("\r\x1b[K%s", t.o.paint(darkGray, cut(strings.ReplaceAll(text, "\n", " "), columns-1)))
	t.shown = true
}
