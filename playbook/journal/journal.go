// Package journal keeps what runs did, under the project's .orch folder: for `orch run
// --resume`, for `orch history`, and to say that notified handlers have not run.
//
// A run has two files that are only ever appended to. ID.events.jsonl holds its events,
// masked, a line each, as `--output json` prints them. ID.state.jsonl (0600) holds what a
// later run needs to go on from it: see [run.Record]. docs/journal.md describes both.
//
// Lines are written behind the run by one goroutine and handed to the kernel as soon as
// it is idle, so that whatever ends the process loses at most what the run did in that
// moment; a last line that is torn is dropped by readers. They are synced to disk when a
// batch of hosts is through and at the end.
package journal

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Version is that of the files. It grows when a field changes its meaning or goes away.
const Version = 1

const (
	eventsExt = ".events.jsonl"
	stateExt  = ".state.jsonl"
)

// A Store is the journals of a project.
type Store struct{ dir string }

// Open returns the store of a project's folder. It need not exist.
func Open(project string) *Store { return &Store{filepath.Join(project, ".orch", "journal")} }

// A Header says what a run was asked to do.
type Header struct {
	ID        string    `json:"run"`
	Time      time.Time `json:"time"`
	Playbooks []string  `json:"playbooks"`
	Inventory []string  `json:"inventory,omitempty"`
	Limit     string    `json:"limit,omitempty"`
	Check     bool      `json:"check,omitempty"`
	// Resumes is the run this one goes on from.
	Resumes string `json:"resumes,omitempty"`
	// Before are handlers that earlier runs left behind.
	Before []Pending `json:"pending_before,omitempty"`
}

// Same says whether two runs were of the same playbooks and inventory.
func (h *Header) Same(playbooks, inventory []string) bool {
	return slices.Equal(h.Playbooks, playbooks) && slices.Equal(h.Inventory, inventory)
}

// Outcomes of runs.
const (
	Running     = "running"
	Cut         = "cut short" // the process ended without ending the run
	OK          = "ok"
	Failed      = "failed"
	Unreachable = "unreachable"
	Interrupted = "interrupted"
	Aborted     = "aborted" // by an error that is no host's
)

// A Summary is the last line of a run's events.
type Summary struct {
	Outcome     string  `json:"outcome"`
	Hosts       int     `json:"hosts"`
	OK          int     `json:"ok"`
	Changed     int     `json:"changed"`
	Failed      int     `json:"failed"`      // hosts
	Unreachable int     `json:"unreachable"` // hosts
	Seconds     float64 `json:"seconds"`
	// Pending are handlers that were notified and have not run since.
	Pending []Pending `json:"pending,omitempty"`
	// Partial says that the journal lacks the end of the run: it could not be written.
	Partial bool `json:"partial,omitempty"`
}

// Pending are the handlers a run left behind, by host.
type Pending struct {
	Run   string              `json:"run"`
	Hosts map[string][]string `json:"hosts"`
}

// An Entry is a run in the store.
type Entry struct {
	Header
	Summary
	store *Store
}

func (s *Store) path(id, ext string) string { return filepath.Join(s.dir, id+ext) }

// newID names a run so that names sort by time.
func newID(now time.Time) (string, error) {
	var b [1]byte
	if _, err := rand.Read(b[:]); err != nil {
		return "", fmt.Errorf("name the run: %w", err)
	}
	return fmt.Sprintf("%s-%03d%02x", now.UTC().Format("20060102-150405"), now.Nanosecond()/1e6, b[0]), nil
}

// ids lists the runs, oldest first.
func (s *Store) ids() ([]string, error) {
	files, err := os.ReadDir(s.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read journal: %w", err)
	}
	var out []string
	for _, f := range files {
		if id, ok := strings.CutSuffix(f.Name(), eventsExt); ok {
			out = append(out, id)
		}
	}
	slices.Sort(out)
	return out, nil
}

// List returns the runs, newest first. Those whose events cannot be read are left out.
func (s *Store) List() ([]*Entry, error) {
	ids, err := s.ids()
	if err != nil {
		return nil, err
	}
	var out []*Entry
	for _, id := range slices.Backward(ids) {
		if e, err := s.entry(id); err == nil {
			out = append(out, e)
		}
	}
	return out, nil
}

// Find returns the run whose id begins with prefix.
func (s *Store) Find(prefix string) (*Entry, error) {
	ids, err := s.ids()
	if err != nil {
		return nil, err
	}
	var found []string
	for _, id := range ids {
		if strings.HasPrefix(id, prefix) {
			found = append(found, id)
		}
	}
	switch len(found) {
	case 0:
		return nil, fmt.Errorf("no run %q in the journal\nhint: orch history lists them", prefix)
	case 1:
		return s.entry(found[0])
	}
	return nil, fmt.Errorf("%q is the beginning of %d runs: %s", prefix, len(found), strings.Join(found, ", "))
}

// Last returns the newest run that want accepts; nil for none.
func (s *Store) Last(want func(*Entry) bool) (*Entry, error) {
	ids, err := s.ids()
	if err != nil {
		return nil, err
	}
	for _, id := range slices.Backward(ids) {
		if e, err := s.entry(id); err == nil && want(e) {
			return e, nil
		}
	}
	return nil, nil
}

// Resumable says whether there is state to go on from.
func (e *Entry) Resumable() bool {
	_, err := os.Stat(e.store.path(e.ID, stateExt))
	return err == nil && !e.Check && e.Outcome != Running
}

// prune deletes the oldest runs but keep, never one that is being written.
func (s *Store) prune(keep int) error {
	ids, err := s.ids()
	if err != nil {
		return err
	}
	for _, id := range ids[:max(0, len(ids)-keep)] {
		if s.running(id) {
			continue
		}
		// The state goes first: what is left of a run that was half deleted is listed and
		// deleted the next time.
		for _, ext := range []string{stateExt, eventsExt} {
			if err := os.Remove(s.path(id, ext)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("delete old run: %w", err)
			}
		}
	}
	return nil
}

// running says whether a process holds the run's lock, which it does while it writes.
func (s *Store) running(id string) bool {
	f, err := os.Open(s.path(id, eventsExt))
	if err != nil {
		return false
	}
	defer f.Close()
	return errors.Is(unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB), unix.EWOULDBLOCK)
}
