package vars

import (
	"sync"
	"sync/atomic"

	"orch/playbook/jinja/value"
)

// A HostState is what a run learns about a host: facts, set_fact, register and
// include_vars. Its methods may be called from any goroutine; readers never wait.
// What other hosts see through hostvars changes only with [HostState.Publish].
type HostState struct {
	Name string
	run  *Run

	mu  sync.Mutex // held by writers
	cur atomic.Pointer[snapshot]
	pub atomic.Pointer[snapshot]
}

// A snapshot is a state at one moment. It is never changed.
type snapshot struct {
	facts    *factSet
	set      overlay // set_fact and register
	included overlay // include_vars
	// factsGen counts changes of facts, for what is computed from them.
	factsGen int
}

func newHostState(name string, r *Run) *HostState {
	s := &HostState{Name: name, run: r}
	empty := &snapshot{}
	s.cur.Store(empty)
	s.pub.Store(empty)
	return s
}

func (s *HostState) update(f func(*snapshot)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := *s.cur.Load()
	f(&next)
	s.cur.Store(&next)
}

// Publish makes the current state what hostvars shows. The executor calls it when the
// host's task has ended.
func (s *HostState) Publish() { s.pub.Store(s.cur.Load()) }

// Register stores a task's result under name.
func (s *HostState) Register(name string, v value.Value) {
	s.update(func(n *snapshot) { n.set = n.set.with(name, entry{val: v, static: true}) })
}

// SetFacts stores set_fact's variables. They are data: never templates.
func (s *HostState) SetFacts(vars *value.Dict) {
	s.update(func(n *snapshot) {
		for k, v := range vars.All() {
			if name, ok := k.(value.Str); ok {
				n.set = n.set.with(name.S, entry{val: data(v), pos: name.From, static: true})
			}
		}
	})
}

// IncludeVars stores what include_vars read: an author's values, templated when used.
func (s *HostState) IncludeVars(vars *value.Dict) {
	s.update(func(n *snapshot) {
		for k, v := range vars.All() {
			name, ok := k.(value.Str)
			if !ok {
				continue
			}
			if old, ok := n.included.get(keyOf(name.S)); ok && s.run.opt.HashMerge {
				a, isA := old.val.(*value.Dict)
				b, isB := v.(*value.Dict)
				if isA && isB {
					v = Merge(a, b)
				}
			}
			pos := name.From
			if pos == nil {
				pos = originOf(v)
			}
			n.included = n.included.with(name.S, entry{val: v, pos: pos, static: isStatic(v)})
		}
	})
}

// UpdateFacts adds gathered facts, given under the names modules return them
// (ansible_os_family …), to those known. Values that are data are kept as compact JSON.
func (s *HostState) UpdateFacts(facts *value.Dict) {
	s.update(func(n *snapshot) {
		n.facts = n.facts.with(s.run, facts)
		n.factsGen++
	})
}

// UpdateFactsJSON is UpdateFacts for the JSON object a fact module or a fact cache gives.
func (s *HostState) UpdateFactsJSON(object []byte) error {
	entries, err := splitJSON(object)
	if err != nil {
		return err
	}
	s.update(func(n *snapshot) {
		n.facts = n.facts.merge(s.run, entries)
		n.factsGen++
	})
	return nil
}

// ClearFacts forgets the facts (meta: clear_facts); set_fact's variables stay.
func (s *HostState) ClearFacts() {
	s.update(func(n *snapshot) {
		n.facts = nil
		n.factsGen++
	})
}

// FactsJSON is all facts as one JSON object, for a fact cache; nil if there are none.
// Facts that are no data (unknown in check mode) are left out.
func (s *HostState) FactsJSON() []byte { return s.cur.Load().facts.json() }

// Fact returns a fact by its name without "ansible_"; nil when it is not known.
func (s *HostState) Fact(name string) value.Value {
	v, _ := s.cur.Load().facts.get(name)
	return v
}

// HasFacts says whether any facts are known.
func (s *HostState) HasFacts() bool { return s.cur.Load().facts.len() > 0 }

// Registered returns a variable set by set_fact or register.
func (s *HostState) Registered(name string) (value.Value, bool) {
	e, ok := s.cur.Load().set.get(keyOf(name))
	return e.val, ok
}

// Dump returns the variables set by set_fact and register in the order in which they were
// first set: what a journal keeps for resuming.
func (s *HostState) Dump() (set, included *value.Dict) {
	n := s.cur.Load()
	return n.set.dict(), n.included.dict()
}

// An overlay is a map that is cheap to extend: the last few entries in a slice that
// snapshots share, the rest in a map that is copied when the slice is full.
type overlay struct {
	base   map[string]entry
	mask   uint64
	recent []named
	order  []string // every name once, as first set
}

type named struct {
	name string
	entry
}

const recentMax = 32

func (o overlay) with(name string, e entry) overlay {
	k := keyOf(name)
	// Older snapshots hold shorter slices of the same arrays; only the newest one is ever
	// extended, under the state's lock.
	if _, known := o.get(k); !known {
		o.order = append(o.order, name)
	}
	o.mask |= k.bit
	if len(o.recent) < recentMax {
		if o.recent == nil {
			o.recent = make([]named, 0, 4)
		}
		o.recent = append(o.recent, named{name, e})
		return o
	}
	base := make(map[string]entry, len(o.base)+len(o.recent)+1)
	for k, v := range o.base {
		base[k] = v
	}
	for _, n := range o.recent {
		base[n.name] = n.entry
	}
	base[name] = e
	return overlay{base: base, mask: o.mask, order: o.order}
}

func (o overlay) get(k key) (entry, bool) {
	if o.mask&k.bit == 0 {
		return entry{}, false
	}
	for i := len(o.recent) - 1; i >= 0; i-- {
		if o.recent[i].name == k.name {
			return o.recent[i].entry, true
		}
	}
	e, ok := o.base[k.name]
	return e, ok
}

func (o overlay) names(add func(string)) {
	for _, name := range o.order {
		add(name)
	}
}

func (o overlay) dict() *value.Dict {
	d := value.NewDict(len(o.order))
	o.names(func(name string) {
		e, _ := o.get(keyOf(name))
		d.SetStr(name, e.val)
	})
	return d
}

// data drops the authors' marks in v, so that it can never be a template again.
func data(v value.Value) value.Value {
	switch v := v.(type) {
	case value.Str:
		v.From = nil
		return v
	case *value.List:
		if !marked(v) {
			return v
		}
		items := make([]value.Value, len(v.Items))
		for i, item := range v.Items {
			items[i] = data(item)
		}
		return value.NewList(items...)
	case value.Tuple:
		items := make(value.Tuple, len(v))
		for i, item := range v {
			items[i] = data(item)
		}
		return items
	case *value.Dict:
		if !marked(v) {
			return v
		}
		out := value.NewDict(v.Len())
		for k, item := range v.All() {
			_ = out.Set(data(k), data(item))
		}
		return out
	}
	return v
}

func marked(v value.Value) bool {
	switch v := v.(type) {
	case value.Str:
		return v.From != nil
	case *value.List:
		for _, item := range v.Items {
			if marked(item) {
				return true
			}
		}
	case value.Tuple:
		for _, item := range v {
			if marked(item) {
				return true
			}
		}
	case *value.Dict:
		for k, item := range v.All() {
			if marked(k) || marked(item) {
				return true
			}
		}
	}
	return false
}
