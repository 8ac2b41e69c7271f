package run

import (
	"slices"
	"strconv"

	"orch/playbook"
	"orch/playbook/jinja/value"
	"orch/playbook/source"
)

// A Record is what a task came to on a host: what a later run needs to take the task for
// done and to go on behind it. The records of one host come in the order of its tasks.
//
// A host's place in a run is the sequence of its records, not a path: a run that goes on
// walks its plays anew and takes the outcome of every recorded task instead of running
// it. So blocks, rescues, notified handlers and included files are where they were.
type Record struct {
	// Host is "" for an answer to vars_prompt, whose name is in Task.
	Host string
	Task TaskRef
	// Stop says that no task of the host's own ended its play but another host's, or a
	// file that could not be included.
	Stop bool
	// Cleared says that failures of the host before do not count (clear_host_errors).
	Cleared bool
	Ignored bool // ignore_errors or ignore_unreachable took care of it
	Rescued bool
	Loop    bool
	// Secret says that nothing of it may be kept in clear: no_log, private.
	Secret bool
	// Register is the name the value is registered under.
	Register string
	Outcome  Kept
	Items    []Kept // of a loop, those that left something to keep
	// Missing names what was not kept because it is secret; see [Unkept].
	Missing []string
}

// A TaskRef names a task the same in every process that has read the same files.
type TaskRef struct {
	Play    string // playbook and play, from 1: "1.2"
	Place   string // file:line:column
	Action  string // as written
	Name    string // as written
	Handler bool
}

// Kept is what stays of an outcome.
type Kept struct {
	Status Status
	// Changed is what the result says, which a failed one may too.
	Changed bool
	// Value is what register stores, or what a rescue sees; nil if nobody asks for it.
	// Partial marks one of check mode, of which only this much is known.
	Value   value.Value
	Partial bool
	// Data are parts of a result that the engine acts on: add_host, ansible_stats.
	Data      *value.Dict
	Facts     *KeptFacts
	Notify    []string
	Delegated string
	Include   *KeptInclude
}

// KeptFacts are variables a task gave its host: facts as JSON or as values, or
// variables of set_fact.
type KeptFacts struct {
	JSON           []byte
	Dict           *value.Dict
	Set, Cacheable bool
}

// A KeptInclude is what a dynamic include asked for.
type KeptInclude struct {
	Path, Name string
	Role       playbook.IncludeRole
	Vars       []value.Named
	Label      string
	NoLog      bool
}

// ref names the task.
func (t *task) ref() TaskRef {
	r := TaskRef{Play: t.play.number, Place: source.Place(t.src.Pos), Action: t.src.Action, Handler: t.src.Handler}
	if t.src.Name != nil {
		r.Name = value.String(t.src.Name.Val)
	}
	return r
}

// actedOn are the parts of a result that process acts on.
var actedOn = []string{"add_host", "add_group", "parent_groups", "ansible_stats"}

// keep makes what stays of an outcome, but for its value.
func keep(o *outcome) Kept {
	k := Kept{Status: o.status, Delegated: o.delegated}
	if o.dict != nil {
		k.Changed = flagOf(o.dict, "changed")
		for _, name := range actedOn {
			if v, ok := o.dict.GetStr(name); ok {
				if k.Data == nil {
					k.Data = value.NewDict(2)
				}
				k.Data.SetStr(name, v)
			}
		}
	}
	if o.status == OK || o.status == Changed {
		k.Notify = o.notify
	}
	if f := o.facts; f != nil && !f.included {
		k.Facts = &KeptFacts{JSON: f.json, Dict: f.dict, Set: f.set, Cacheable: f.cacheable}
	}
	if i := o.include; i != nil {
		k.Include = &KeptInclude{Path: i.path, Name: i.name, Role: i.role, Vars: i.vars, Label: i.label, NoLog: i.noLog}
	}
	return k
}

func (k *Kept) nothing() bool {
	return k.Data == nil && k.Facts == nil && k.Notify == nil && k.Include == nil && k.Status != Changed
}

// record hands the task's outcome on the host to who keeps it.
func (b *batch) record(w *work, o *outcome) {
	if b.run.cfg.Record == nil {
		return
	}
	r := &Record{
		Host: w.h.name, Task: w.t.ref(), Loop: o.loop, Rescued: o.rescued, Secret: o.noLog, Outcome: keep(o),
		Ignored: o.status == Failed && o.ignoreErrors || o.status == Unreachable && o.ignoreUnreachable,
	}
	if w.t.src.Register != nil {
		r.Register = registerName(w.t.src)
	}
	if w.t.src.Register != nil || o.rescued {
		r.Outcome.Value = o.value
		if p, ok := o.value.(*partial); ok {
			r.Outcome.Value, r.Outcome.Partial = p.Dict, true
		}
	}
	for _, it := range o.items {
		if k := keep(it); !k.nothing() {
			r.Items = append(r.Items, k)
		}
	}
	b.run.cfg.Record(r)
}

// stopped records that the host's play was ended by something else than its own task.
func (b *batch) stopped(h *host, rescued bool) {
	if b.run.cfg.Record != nil {
		b.run.cfg.Record(&Record{Host: h.name, Stop: true, Rescued: rescued})
	}
}

// passed records that a task was passed over for the hosts (--step).
func (b *batch) passed(t *task, hosts []*host) {
	if b.run.cfg.Record == nil {
		return
	}
	for _, h := range hosts {
		b.run.cfg.Record(&Record{Host: h.name, Task: t.ref(), Outcome: Kept{Status: Skipped}})
	}
}

// Names says what the task left: the variables it set, and what has no name of its own.
func (r *Record) Names() []string {
	var out []string
	add := func(name string) {
		if name != "" && !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	add(r.Register)
	for _, k := range append([]Kept{r.Outcome}, r.Items...) {
		switch f := k.Facts; {
		case f != nil && f.Dict != nil:
			for name := range f.Dict.All() {
				add(value.String(name))
			}
		case f != nil:
			add("ansible_facts")
		}
		if k.Include != nil {
			add(k.Include.Name + k.Include.Role.Name)
		}
		if k.Data != nil {
			for name := range k.Data.All() {
				add(value.String(name))
			}
		}
	}
	if r.Host == "" {
		add(r.Task.Name)
	}
	if out == nil {
		out = []string{"its result"}
	}
	return out
}

func playNumber(playbook, play int) string {
	return strconv.Itoa(playbook+1) + "." + strconv.Itoa(play+1)
}
