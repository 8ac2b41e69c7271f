package journal

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"orch/playbook/run"
)

// Options say how a run is kept.
type Options struct {
	// Encode makes a line of an event: the form of `--output json`.
	Encode func(ev run.Event, at time.Time) ([]byte, error)
	// Secret says whether a text holds a secret of the run.
	Secret func(text string) bool
	// Lock encrypts a text with the vault password; nil: there is none, and secrets are
	// left out.
	Lock func(plain []byte) ([]byte, error)
	// Keep is how many runs stay, this one included.
	Keep int
	// Stateless keeps events only: there will be nothing to go on from.
	Stateless bool
}

// A Writer keeps one run. Its methods may be called from any goroutine.
type Writer struct {
	Header
	store  *Store
	o      Options
	events *os.File
	state  *os.File
	queue  chan item
	closed sync.Once
	done   chan struct{}

	// What follows is the writing goroutine's, and the closer's once that has ended.
	toEvents, toState *bufio.Writer
	enc               encoder
	err               error
	end               run.RunDone
	ran               map[string]map[string]bool // handlers that ran, by host
	handlers          map[int]string             // names of handler tasks, by their number
}

type item struct {
	ev   run.Event
	at   time.Time
	rec  *run.Record
	line any // of the state
}

// backlog is how many lines may wait to be written before the run does.
const backlog = 4096

// Create begins to keep a run, and deletes the oldest ones. h gets its ID and time.
func (s *Store) Create(h Header, c Command, o Options) (*Writer, error) {
	h.Time = time.Now().UTC().Truncate(time.Millisecond)
	var err error
	if h.ID, err = newID(h.Time); err != nil {
		return nil, err
	}
	if err := s.makeDir(); err != nil {
		return nil, err
	}
	w := &Writer{
		Header: h, store: s, o: o, queue: make(chan item, backlog), done: make(chan struct{}),
		ran: map[string]map[string]bool{}, handlers: map[int]string{},
	}
	if w.events, err = create(s.path(h.ID, eventsExt), 0o644); err != nil {
		return nil, err
	}
	if err := unix.Flock(int(w.events.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		w.events.Close()
		return nil, fmt.Errorf("lock journal: %w", err)
	}
	w.toEvents, w.toState = bufio.NewWriter(w.events), bufio.NewWriter(io.Discard)
	if !o.Stateless {
		if w.state, err = create(s.path(h.ID, stateExt), 0o600); err != nil {
			w.events.Close()
			return nil, err
		}
		w.toState = bufio.NewWriter(w.state)
	}
	w.enc = newEncoder(o)
	first := stateHeader{Journal: Version, Header: h, Command: c}
	if first.Key, err = w.enc.sealedKey(); err == nil {
		err = first.lock(o)
	}
	if err == nil {
		w.line(w.toState, first)
		w.line(w.toEvents, eventsHeader{"journal", Version, h})
		w.flush()
		err = w.err
	}
	if err == nil {
		err = s.prune(o.Keep)
	}
	if err != nil {
		w.closeFiles()
		return nil, err
	}
	go w.write()
	return w, nil
}

type eventsHeader struct {
	Event   string `json:"event"`
	Version int    `json:"version"`
	Header
}

type eventsEnd struct {
	Event string `json:"event"`
	Summary
}

func (s *Store) makeDir() error {
	if err := os.MkdirAll(s.dir, 0o755); err != nil {
		return fmt.Errorf("make journal: %w", err)
	}
	// Nothing in the folder is for a repository.
	ignore := filepath.Join(filepath.Dir(s.dir), ".gitignore")
	f, err := os.OpenFile(ignore, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("make journal: %w", err)
	}
	_, err = f.WriteString("*\n")
	return errors.Join(err, f.Close())
}

func create(path string, mode fs.FileMode) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL|os.O_APPEND, mode)
	if err != nil {
		return nil, fmt.Errorf("make journal: %w", err)
	}
	return f, nil
}

// Event is the journal's sink. What a host is doing is left out: what it came to is kept.
func (w *Writer) Event(ev run.Event) {
	switch ev.(type) {
	case run.HostStart, run.HostStep:
	default:
		w.queue <- item{ev: ev, at: time.Now()}
	}
}

// Record keeps what a task came to on a host.
func (w *Writer) Record(r *run.Record) { w.queue <- item{rec: r} }

// Files keeps the checksums of files the run has read.
func (w *Writer) Files(sums map[string]string) {
	if len(sums) > 0 {
		w.queue <- item{line: stateFiles{sums}}
	}
}

// gather is how long lines wait for others: a system call for each line would cost more
// than the line. What a killed run did in that time, a resumed one does again.
const gather = 10 * time.Millisecond

// write is the goroutine that writes.
func (w *Writer) write() {
	defer close(w.done)
	var due <-chan time.Time
	for {
		select {
		case it, ok := <-w.queue:
			if !ok {
				return
			}
			w.one(it)
			if due == nil {
				due = time.After(gather)
			}
		case <-due:
			due = nil
			w.flush()
		}
	}
}

func (w *Writer) one(it item) {
	switch {
	case it.rec != nil:
		if w.state != nil {
			w.fail(w.enc.record(w.toState, it.rec))
		}
	case it.line != nil:
		w.line(w.toState, it.line)
	default:
		line, err := w.o.Encode(it.ev, it.at)
		w.fail(err)
		w.put(w.toEvents, line)
		w.watch(it.ev)
	}
}

// watch notes what the summary needs, and syncs behind a batch.
func (w *Writer) watch(ev run.Event) {
	switch ev := ev.(type) {
	case run.TaskStart:
		if ev.Handler {
			w.handlers[ev.ID] = ev.Name
		}
	case run.TaskDone:
		if name, ok := w.handlers[ev.ID]; ok && (ev.Result.Status == run.OK || ev.Result.Status == run.Changed) {
			if w.ran[ev.Host] == nil {
				w.ran[ev.Host] = map[string]bool{}
			}
			w.ran[ev.Host][name] = true
		}
	case run.BatchDone:
		w.flush()
		w.sync()
	case run.RunDone:
		w.end = ev
	}
}

func (w *Writer) line(to *bufio.Writer, v any) {
	text, err := json.Marshal(v)
	w.fail(err)
	w.put(to, append(text, '\n'))
}

func (w *Writer) put(to *bufio.Writer, line []byte) {
	if w.err == nil && len(line) > 0 {
		_, err := to.Write(line)
		w.fail(err)
	}
}

// fail ends the writing: the run goes on, and Close says why.
func (w *Writer) fail(err error) {
	if w.err == nil {
		w.err = err
	}
}

// flush hands what is written to the kernel, the state before the events: what is
// reported is kept.
func (w *Writer) flush() {
	if w.err == nil {
		w.fail(w.toState.Flush())
	}
	if w.err == nil {
		w.fail(w.toEvents.Flush())
	}
}

func (w *Writer) sync() {
	for _, f := range []*os.File{w.state, w.events} {
		if f != nil && w.err == nil {
			w.fail(f.Sync())
		}
	}
}

// Close ends the journal of the run; the error says that it is not whole.
func (w *Writer) Close() error {
	w.closed.Do(func() {
		close(w.queue)
		<-w.done
		w.line(w.toEvents, eventsEnd{"journal_end", w.summary()})
		w.flush()
		w.sync()
		w.fail(w.closeFiles())
	})
	if w.err != nil {
		return fmt.Errorf("write journal: %w", w.err)
	}
	return nil
}

func (w *Writer) closeFiles() error {
	var errs []error
	for _, f := range []*os.File{w.state, w.events} {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	return errors.Join(errs...)
}

func (w *Writer) summary() Summary {
	d := &w.end
	s := Summary{
		Outcome: OK, Hosts: len(d.Hosts), Failed: len(d.Failed), Unreachable: len(d.Unreachable), Seconds: d.Duration.Seconds(),
	}
	for _, c := range d.Recap {
		s.OK += c.OK
		s.Changed += c.Changed
	}
	switch {
	case d.Recap == nil || d.Aborted:
		s.Outcome = Aborted
	case d.Interrupted:
		s.Outcome = Interrupted
	case s.Failed > 0:
		s.Outcome = Failed
	case s.Unreachable > 0:
		s.Outcome = Unreachable
	}
	for _, p := range w.Before {
		if left := without(p.Hosts, w.ran); len(left) > 0 && p.Run != w.Resumes {
			s.Pending = append(s.Pending, Pending{p.Run, left})
		}
	}
	if len(d.Pending) > 0 {
		s.Pending = append(s.Pending, Pending{w.ID, d.Pending})
	}
	return s
}

// without takes the handlers that ran from those that were pending.
func without(pending map[string][]string, ran map[string]map[string]bool) map[string][]string {
	out := map[string][]string{}
	for host, names := range pending {
		for _, name := range names {
			if !ran[host][name] {
				out[host] = append(out[host], name)
			}
		}
	}
	return out
}
