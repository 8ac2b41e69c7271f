package vars

import (
	"slices"
	"sync"
	"sync/atomic"

	"orch/playbook"
	"orch/playbook/jinja/value"
)

// A Play holds the variables of a play: its own, those of its roles, and its hosts.
type Play struct {
	run *Run
	src *playbook.Play
	opt PlayOptions

	vars    *layer
	prompts atomic.Pointer[layer]
	hosts   atomic.Pointer[hostLists]
	roles   atomic.Pointer[playRoles]

	mu    sync.Mutex
	known map[string]*Host
}

// Hosts are the lists of hosts a play knows, in the play's order.
type Hosts struct {
	All    []string // all the pattern and the limit select (ansible_play_hosts_all)
	Active []string // those not failed or unreachable (ansible_play_hosts)
	Batch  []string // the active ones of the current batch (ansible_play_batch)
}

// hostLists are Hosts as values, shared by every task until they change.
type hostLists struct{ all, active, batch value.Value }

func newPlay(r *Run, p *playbook.Play, o PlayOptions) *Play {
	play := &Play{run: r, src: p, opt: o, known: map[string]*Host{}}
	if p.Vars != nil {
		play.vars = r.layer(PlayVars, "play "+o.Name, p.Vars)
	}
	play.hosts.Store(&hostLists{all: value.NewList(), active: value.NewList(), batch: value.NewList()})
	play.roles.Store(&playRoles{})
	play.addRoles(staticRoles(p)...)
	return play
}

// SetHosts publishes the lists of hosts. The executor calls it when one of them changes.
func (p *Play) SetHosts(h Hosts) {
	p.hosts.Store(&hostLists{all: stringList(h.All), active: stringList(h.Active), batch: stringList(h.Batch)})
}

// SetPrompts stores the answers to vars_prompt. What a person typed is data.
func (p *Play) SetPrompts(answers *value.Dict) {
	p.prompts.Store(newLayer(PlayPrompts, "vars_prompt", data(answers).(*value.Dict)))
}

// AddRole makes a role known to the play that was brought in while it runs
// (include_role). Whether later tasks see its variables follows from `public` and the
// setting private_role_vars.
func (p *Play) AddRole(role *playbook.Role) { p.addRoles(role) }

// Host returns the play's view of a host; the same one for the same name.
func (p *Play) Host(name string) *Host {
	p.mu.Lock()
	defer p.mu.Unlock()
	h := p.known[name]
	if h == nil {
		h = &Host{Name: name, play: p, state: p.run.State(name)}
		p.known[name] = h
	}
	return h
}

// A Host is a host as a play sees it.
type Host struct {
	Name  string
	play  *Play
	state *HostState
	files atomic.Pointer[varsFiles]
	// layers are those of the inventory, where the task does not matter for them.
	layers atomic.Pointer[hostLayers]
}

// State returns what the run has learned about the host.
func (h *Host) State() *HostState { return h.state }

// playRoles are the roles of a play and what they hand to all its tasks.
type playRoles struct {
	all      []*playbook.Role // ansible-core 2.18's play.roles, in order of arrival
	defaults *stack
	vars     *stack
}

func (p *Play) addRoles(roles ...*playbook.Role) {
	p.mu.Lock()
	defer p.mu.Unlock()
	old := p.roles.Load()
	next := &playRoles{all: slices.Clone(old.all)}
	for _, role := range roles {
		if !slices.Contains(next.all, role) {
			next.all = append(next.all, role)
		}
	}
	var defaults, exports []*layer
	for _, role := range next.all {
		if role.Public {
			defaults = append(defaults, p.run.roleDefaults(role)...)
			exports = append(exports, p.run.roleExports(role)...)
		}
	}
	next.defaults, next.vars = newStack(defaults), newStack(exports)
	p.roles.Store(next)
}

// staticRoles lists the roles of a play that are known before it runs: those of roles:
// and those that import_role brought, in order.
func staticRoles(p *playbook.Play) []*playbook.Role {
	roles := slices.Clone(p.Roles)
	add := func(role *playbook.Role) {
		if role == nil || !role.Static || slices.Contains(roles, role) {
			return
		}
		if n := len(role.Parents); n > 0 && slices.Contains(role.Parents[n-1].Deps, role) {
			return // a dependency is seen through the role that asked for it
		}
		roles = append(roles, role)
	}
	var walk func(nodes []playbook.Node)
	walk = func(nodes []playbook.Node) {
		for _, n := range nodes {
			switch n := n.(type) {
			case *playbook.Block:
				add(n.Role)
				walk(n.Block)
				walk(n.Rescue)
				walk(n.Always)
			case *playbook.Task:
				add(n.Role)
			}
		}
	}
	for _, list := range [][]playbook.Node{p.PreTasks, p.Tasks, p.PostTasks, p.Handlers} {
		walk(list)
	}
	for _, role := range p.Roles {
		walk(role.Tasks)
	}
	return roles
}

type layerKey struct {
	level Level
	vars  *value.Dict
}

// layer returns the layer of an author's dict, made once: blocks, roles and groups are
// shared by many tasks and hosts.
func (r *Run) layer(level Level, source string, vars *value.Dict) *layer {
	if vars == nil || vars.Len() == 0 {
		return nil
	}
	k := layerKey{level, vars}
	if l, ok := r.layers.Load(k); ok {
		return l.(*layer)
	}
	l, _ := r.layers.LoadOrStore(k, newLayer(level, source, vars))
	return l.(*layer)
}

func stringList(names []string) *value.List {
	items := make([]value.Value, len(names))
	for i, name := range names {
		items[i] = value.S(name)
	}
	return value.NewList(items...)
}
