// Package vars holds the variables of a run: where each one comes from, which wins, and
// what a task on a host sees.
//
// Nothing is merged. A [Scope] is a walk over layers, from the highest precedence to the
// lowest, and a variable is templated when it is asked for. What is shared (a group's
// variables, a role's defaults, a play's vars) is indexed once and shared by every host
// and task; what belongs to a host is in its [HostState]. So the cost of a task does not
// grow with the number of variables, and that of a run not with hosts × variables.
//
//	run := vars.NewRun(vars.Options{Inventory: inv, Templater: engine, Files: files, ExtraVars: extra})
//	play := run.Play(p, vars.PlayOptions{Basedir: dir})
//	play.SetHosts(vars.Hosts{All: names, Active: names, Batch: names})
//	task := play.Task(t, vars.TaskOptions{})      // once per task
//	host := play.Host("web1")                     // once per play and host
//
//	scope := task.Eval(ctx, host)                 // once per attempt
//	v, err := engine.Value(ctx, t.Args, scope)
//	for _, item := range items {
//		scope = task.Eval(ctx, host, value.Named{Name: "item", Val: item})
//		…
//	}
//	host.State().Register("result", dict)
//	host.State().Publish()                        // the task has ended: hostvars sees it
//
// A Scope belongs to one goroutine. Everything else may be used by many.
package vars

import (
	"sync"
	"sync/atomic"

	"orch/inventory"
	"orch/playbook"
	"orch/playbook/jinja/value"
	"orch/playbook/template"
)

// Level is a step of Ansible's variable precedence; a higher level wins.
type Level int

// The levels, lowest first, in the order of Ansible's documentation. Command line values
// (a user, a port) are not variables and come before all of them.
const (
	RoleDefaults           Level = iota + 1
	InventoryGroupVars           // an inventory file or script
	InventoryGroupFilesAll       // group_vars/all beside an inventory
	PlaybookGroupFilesAll        // group_vars/all beside the playbook
	InventoryGroupFiles          // group_vars/* beside an inventory
	PlaybookGroupFiles           // group_vars/* beside the playbook
	InventoryHostVars            // an inventory file or script
	InventoryHostFiles           // host_vars/* beside an inventory
	PlaybookHostFiles            // host_vars/* beside the playbook
	Facts                        // gathered, or set_fact with cacheable
	PlayVars
	PlayPrompts
	PlayVarsFiles
	RoleVars
	BlockVars
	TaskVars
	IncludeVars // the include_vars module
	SetFacts    // set_fact and register
	RoleParams
	IncludeParams
	ExtraVars
	Magic
	LoopVars // item and its like, and what the executor sets for one evaluation
)

var levelNames = [...]string{
	"", "role defaults", "inventory group vars", "inventory group_vars/all", "playbook group_vars/all",
	"inventory group_vars", "playbook group_vars", "inventory host vars", "inventory host_vars",
	"playbook host_vars", "facts", "play vars", "vars_prompt", "vars_files", "role vars", "block vars",
	"task vars", "include_vars", "set_fact or register", "role params", "include params", "extra vars",
	"magic variables", "loop variables",
}

// String names the level as Ansible's documentation does.
func (l Level) String() string {
	if l <= 0 || int(l) >= len(levelNames) {
		return "unknown level"
	}
	return levelNames[l]
}

// Options are what a run's variables depend on.
type Options struct {
	Inventory *inventory.Inventory
	Templater template.Templater
	// Files reads group_vars, host_vars and vars_files; nil: there are none.
	Files *Files
	// ExtraVars are the -e options, already combined: the highest precedence.
	ExtraVars *value.Dict
	// Site is the controller's side of evaluations; SearchPath and Basedir are filled in
	// for each task.
	Site template.Site

	// Settings of ansible.cfg, by their Ansible names where they have one.
	HashMerge        bool     // hash_behaviour = merge
	NoInjectFacts    bool     // inject_facts_as_vars = false
	PlaybookVarsRoot string   // top (default), bottom or all
	Precedence       []string // VARIABLE_PRECEDENCE; nil for the default

	// Values of magic variables.
	Check, Diff      bool
	Forks, Verbosity int
	RunTags          []string
	SkipTags         []string
	Limit            string // "" for none
	ConfigFile       string
	Python           string // ansible_playbook_python
	InventorySources []string
}

// A Run holds the variables of a whole run, over all its plays.
type Run struct {
	opt   Options
	extra *layer

	layers  sync.Map // layerKey → *layer: what several tasks share is indexed once
	roles   sync.Map // *playbook.Role → *roleLayers
	facts   sync.Map // joined names → *factIndex
	hosts   sync.Map // hostKey → *hostLayers
	version value.Value

	mu     sync.Mutex
	states map[string]*HostState
	// generation changes when hosts or groups do.
	generation atomic.Int64
	groups     atomic.Pointer[groupsView]
}

// NewRun makes the variables of a run.
func NewRun(o Options) *Run {
	r := &Run{opt: o, states: map[string]*HostState{}, version: versionValue()}
	if o.ExtraVars != nil {
		r.extra = newLayer(ExtraVars, "command line", o.ExtraVars)
	}
	return r
}

// InventoryChanged must be called after hosts or groups were added or regrouped.
func (r *Run) InventoryChanged() { r.generation.Add(1) }

// State returns the state of the host, which lives as long as the run. The name need not
// be in the inventory: add_host and delegation bring new ones.
func (r *Run) State(name string) *HostState {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.states[name]
	if s == nil {
		s = newHostState(name, r)
		r.states[name] = s
	}
	return s
}

// CheckHost reads the files of variables of a host, as its first task would, and returns
// what is wrong with them.
func (r *Run) CheckHost(name, basedir string) error {
	_, err := r.hostLayers(name, basedir, nil)
	return err
}

// PlayOptions are what a play's variables depend on.
type PlayOptions struct {
	// Basedir is the folder of the playbook given on the command line (playbook_dir).
	Basedir string
	// Name is the play's name, templated (ansible_play_name).
	Name string
}

// Play makes the variables of a play.
func (r *Run) Play(p *playbook.Play, o PlayOptions) *Play { return newPlay(r, p, o) }
