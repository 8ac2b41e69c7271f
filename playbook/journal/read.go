package journal

import (
	"bufio"
	"bytes"
	"crypto/cipher"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"

	"orch/playbook/jinja/value"
	"orch/playbook/run"
)

// A State is what a run left to go on from.
type State struct {
	Header
	Command
	Files   map[string]string // checksums by path
	Records []*run.Record
	// Damaged is the number of the first line that could not be read, 0 for none: what
	// follows it is not known. A torn last line does not count.
	Damaged int
}

// State reads what the run left. open opens what the vault password locked; nil, or an
// error of it, leaves secrets out.
func (e *Entry) State(open func(text []byte) ([]byte, error)) (*State, error) {
	f, err := os.Open(e.store.path(e.ID, stateExt))
	if err != nil {
		return nil, fmt.Errorf("read the state of run %s: %w", e.ID, err)
	}
	defer f.Close()
	s, err := ReadState(f, open)
	if err != nil {
		return nil, fmt.Errorf("read the state of run %s: %w", e.ID, err)
	}
	return s, nil
}

// ReadState reads a state file, up to its end or to what is no line of one.
func ReadState(r io.Reader, open func(text []byte) ([]byte, error)) (*State, error) {
	lines := bufio.NewReader(r)
	first, err := lines.ReadBytes('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	var h stateHeader
	if err != nil || json.Unmarshal(first, &h) != nil || h.Journal == 0 {
		return nil, errors.New("it is no journal, or was cut short in its first line")
	}
	if h.Journal > Version {
		return nil, fmt.Errorf("it has version %d, this orch reads up to %d", h.Journal, Version)
	}
	d := decoder{tasks: map[int]run.TaskRef{}}
	d.unlock(h.Key, open)
	s := &State{Header: h.Header, Command: h.Command, Files: map[string]string{}}
	s.unlock(open)
	for n := 2; ; n++ {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return s, nil // what has no end of line was being written
		}
		if err != nil {
			return nil, err
		}
		if d.line(s, line) != nil {
			s.Damaged = n
			return s, nil
		}
	}
}

type decoder struct {
	tasks map[int]run.TaskRef
	gcm   cipher.AEAD
}

func (d *decoder) unlock(key string, open func([]byte) ([]byte, error)) {
	if key == "" || open == nil {
		return
	}
	text, err := open([]byte(key))
	if err != nil {
		return // another password by now: the values count as left out
	}
	if raw, err := hex.DecodeString(string(bytes.TrimSpace(text))); err == nil {
		if gcm, err := newGCM(raw); err == nil {
			d.gcm = gcm
		}
	}
}

func (d *decoder) line(s *State, text []byte) error {
	var l stateLine
	if err := json.Unmarshal(text, &l); err != nil {
		return err
	}
	switch {
	case l.Files != nil:
		for path, sum := range l.Files {
			s.Files[path] = sum
		}
	case l.Task > 0:
		d.tasks[l.Task] = run.TaskRef{Play: l.Play, Place: l.Place, Action: l.Action, Name: l.Name, Handler: l.Handler}
	default:
		r, err := d.record(&l)
		if err != nil {
			return err
		}
		s.Records = append(s.Records, r)
	}
	return nil
}

func (d *decoder) record(l *stateLine) (*run.Record, error) {
	r := &run.Record{
		Host: l.Host, Stop: l.Stop, Cleared: l.Cleared, Ignored: l.Ignored, Rescued: l.Rescued, Loop: l.Loop, Secret: l.Secret,
		Missing: l.Missing,
	}
	if !l.Stop && !l.Cleared {
		ref, known := d.tasks[l.Of]
		if !known {
			return nil, fmt.Errorf("no task %d", l.Of)
		}
		r.Task = ref
	}
	text := []byte(l.Payload)
	if l.Sealed != nil && d.gcm != nil && len(l.Sealed) > d.gcm.NonceSize() {
		n := d.gcm.NonceSize()
		if plain, err := d.gcm.Open(nil, l.Sealed[:n], l.Sealed[n:], nil); err == nil {
			text, r.Missing = plain, nil
		}
	}
	var p payload
	if len(text) > 0 {
		if err := json.Unmarshal(text, &p); err != nil {
			return nil, err
		}
	}
	p.Status, p.Changed, p.Delegated, p.Notify = l.Status, l.Changed, l.Delegated, l.Notify
	var err error
	if r.Outcome, err = p.kept.decode(); err != nil {
		return nil, err
	}
	for i := range p.Items {
		it, err := p.Items[i].decode()
		if err != nil {
			return nil, err
		}
		r.Items = append(r.Items, it)
	}
	return r, nil
}

func (k *kept) decode() (run.Kept, error) {
	out := run.Kept{Status: k.Status, Changed: k.Changed, Delegated: k.Delegated, Notify: k.Notify, Partial: k.Partial}
	var err error
	if k.Value != nil {
		if out.Value, err = decodeValue(k.Value); err != nil {
			return out, err
		}
	}
	if out.Data, err = decodeDict(k.Data); err != nil {
		return out, err
	}
	if f := k.Facts; f != nil {
		out.Facts = &run.KeptFacts{Set: f.Set, Cacheable: f.Cacheable}
		if f.Packed != nil {
			out.Facts.JSON, err = inflate(f.Packed)
		} else {
			out.Facts.Dict, err = decodeDict(f.Vars)
		}
		if err == nil && out.Facts.JSON == nil && out.Facts.Dict == nil {
			err = errors.New("facts without any")
		}
		if err != nil {
			return out, err
		}
	}
	if k.Include != nil {
		out.Include, err = k.Include.decode()
	}
	return out, err
}

func decodeDict(text []byte) (*value.Dict, error) {
	if text == nil {
		return nil, nil
	}
	v, err := decodeValue(text)
	if err != nil {
		return nil, err
	}
	d, ok := v.(*value.Dict)
	if !ok {
		return nil, fmt.Errorf("a %s where a dict belongs", v.Type())
	}
	return d, nil
}

func (i *keptInclude) decode() (*run.KeptInclude, error) {
	out := &run.KeptInclude{Path: i.Path, Name: i.Name, Label: i.Label, NoLog: i.NoLog}
	if i.Role != nil {
		if err := json.Unmarshal(i.Role, &out.Role); err != nil {
			return nil, err
		}
	}
	if i.Vars == nil {
		return out, nil
	}
	v, err := decodeValue(i.Vars)
	if err != nil {
		return nil, err
	}
	list, ok := v.(*value.List)
	if !ok || len(list.Items) != len(i.Names) {
		return nil, errors.New("an include whose variables have no names")
	}
	for n, name := range i.Names {
		out.Vars = append(out.Vars, value.Named{Name: name, Val: list.Items[n]})
	}
	return out, nil
}

// entry reads the first and the last line of a run's events.
func (s *Store) entry(id string) (*Entry, error) {
	f, err := os.Open(s.path(id, eventsExt))
	if err != nil {
		return nil, fmt.Errorf("read run %s: %w", id, err)
	}
	defer f.Close()
	first, err := bufio.NewReader(f).ReadBytes('\n')
	var h eventsHeader
	if err != nil || json.Unmarshal(first, &h) != nil || h.Event != "journal" {
		return nil, fmt.Errorf("run %s has no beginning", id)
	}
	if h.Version > Version {
		return nil, fmt.Errorf("run %s is of a newer orch: its journal has version %d, this one reads up to %d", id, h.Version, Version)
	}
	e := &Entry{Header: h.Header, store: s}
	e.ID = id
	var end eventsEnd
	if line, err := lastLine(f); err == nil && json.Unmarshal(line, &end) == nil && end.Event == "journal_end" {
		e.Summary = end.Summary
		return e, nil
	}
	if e.Outcome = Running; !s.running(id) {
		e.Outcome = Cut
		e.Pending, err = e.left()
	}
	return e, err
}

// left computes from its events which handlers a run left behind that was cut short.
func (e *Entry) left() ([]Pending, error) {
	asked := map[string]map[string]bool{} // by host
	ran := map[string]map[string]bool{}
	note := func(all map[string]map[string]bool, host, name string) {
		if all[host] == nil {
			all[host] = map[string]bool{}
		}
		all[host][name] = true
	}
	names := map[int]string{}
	err := e.Events(func(line []byte) error {
		var ev struct {
			Event, Name, Host string
			Task              int
			Handler, Saved    bool
			Handlers          []string
			Result            struct{ Status run.Status }
		}
		if json.Unmarshal(line, &ev) != nil {
			return nil // a line that is none says nothing
		}
		switch ev.Event {
		case "task_start":
			if ev.Handler {
				names[ev.Task] = ev.Name
			}
		case "notified":
			if !ev.Saved {
				delete(asked, ev.Host) // a flush has found the handlers that were meant
			}
			for _, name := range ev.Handlers {
				note(asked, ev.Host, name)
			}
		case "task_done":
			if name, ok := names[ev.Task]; ok {
				note(ran, ev.Host, name)
				delete(asked[ev.Host], name)
			}
		}
		return nil
	})
	var out []Pending
	for _, p := range e.Before {
		if left := without(p.Hosts, ran); len(left) > 0 && p.Run != e.Resumes {
			out = append(out, Pending{p.Run, left})
		}
	}
	own := map[string][]string{}
	for host, set := range asked {
		if len(set) > 0 {
			own[host] = slices.Sorted(maps.Keys(set))
		}
	}
	if len(own) > 0 {
		out = append(out, Pending{e.ID, own})
	}
	return out, err
}

// lastLine reads backwards to the last whole line.
func lastLine(f *os.File) ([]byte, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	for n := int64(4096); ; n *= 8 {
		from := max(0, info.Size()-n)
		text := make([]byte, info.Size()-from)
		if _, err := f.ReadAt(text, from); err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		end := bytes.LastIndexByte(text, '\n')
		if end < 0 && from > 0 {
			continue
		}
		text = text[:max(0, end)]
		if begin := bytes.LastIndexByte(text, '\n'); begin >= 0 || from == 0 {
			return text[begin+1:], nil
		}
	}
}

// Events hands the lines of the run's events to f, without the journal's own; what is
// torn at the end is left out.
func (e *Entry) Events(f func(line []byte) error) error {
	file, err := os.Open(e.store.path(e.ID, eventsExt))
	if err != nil {
		return fmt.Errorf("read run %s: %w", e.ID, err)
	}
	defer file.Close()
	lines := bufio.NewReader(file)
	for n := 0; ; n++ {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read run %s: %w", e.ID, err)
		}
		if n == 0 || bytes.HasPrefix(line, []byte(`{"event":"journal_end"`)) {
			continue
		}
		if err := f(line); err != nil {
			return err
		}
	}
}
