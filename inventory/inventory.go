// Package inventory knows hosts, groups and the patterns that select them, and reads
// them from sources: ini, yaml, executable scripts, lists, folders of those.
//
// An inventory is plain data: variables keep the place they were written at and are
// templated where they are used. group_vars and host_vars folders are read by
// playbook/vars, which knows their precedence.
package inventory

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"

	"orch/playbook/jinja/value"
	"orch/playbook/source"
)

// Names of the groups every inventory has.
const (
	All       = "all"
	Ungrouped = "ungrouped"
)

// A Host is one machine (or cluster) of the inventory.
type Host struct {
	Name string
	Port int // from name:port, 0 if none
	// Vars are the variables the sources give the host itself.
	Vars *value.Dict
	// Groups are the groups that hold it directly, in order of declaration.
	Groups []*Group
	// Implicit marks the localhost nobody declared.
	Implicit bool
	Index    int // order of declaration
	// Source is the inventory source that declared it first; "" for those made in a run.
	Source string
}

// A Group holds hosts and groups.
type Group struct {
	Name     string
	Vars     *value.Dict
	Hosts    []*Host
	Children []*Group
	Parents  []*Group
	Priority int // ansible_group_priority, 1 by default
	Depth    int // longest way from all

	has map[*Host]bool
}

// An Inventory is the hosts of a run. It may grow while it runs (add_host, group_by):
// its methods are safe for concurrent use, and the slices they return are not changed
// afterwards.
type Inventory struct {
	Sources []string
	// Failed are the sources that could not be read, in order; Parsed is set when one was.
	Failed []Failure
	Parsed bool

	// merge joins dictionaries that two sources set (hash_behaviour); nil: the later one
	// counts. replace makes group names valid.
	merge    func(low, high *value.Dict) *value.Dict
	replace  bool
	replaced bool // a name was made valid
	// lenient says that nothing is said of names that cannot be variables.
	lenient bool
	// current is the source that is being read.
	current string

	mu     sync.RWMutex
	hosts  map[string]*Host
	groups map[string]*Group
	order  []*Host
	names  []*Group // in order of declaration
	local  *Host    // the implicit localhost, once asked for
	cache  map[string][]*Host
}

// A Failure is a source that could not be read: no file, or one no kind of source takes.
type Failure struct {
	Source string
	// Kind is the kind that tried, "" if none did.
	Kind  string
	Diags source.Diagnostics
	// Attempts are what ansible-core 2.18 tries with such a source, in its order.
	Attempts []Attempt
}

// An Attempt is what a kind of source says of a source that is none of its.
type Attempt struct {
	Kind string
	Why  source.Diagnostic
}

// New makes an inventory of the groups all and ungrouped.
func New() *Inventory {
	inv := &Inventory{hosts: map[string]*Host{}, groups: map[string]*Group{}}
	inv.link(inv.addGroup(All), inv.addGroup(Ungrouped))
	return inv
}

// Replace makes the inventory what another one is (meta: refresh_inventory). The other
// one is not to be used afterwards.
func (inv *Inventory) Replace(other *Inventory) {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	inv.hosts, inv.groups, inv.order, inv.names = other.hosts, other.groups, other.order, other.names
	inv.local, inv.cache = nil, nil
}

// Host returns the declared host name.
func (inv *Inventory) Host(name string) (*Host, bool) {
	inv.mu.RLock()
	defer inv.mu.RUnlock()
	h, ok := inv.hosts[name]
	return h, ok
}

// Group returns the group name.
func (inv *Inventory) Group(name string) (*Group, bool) {
	inv.mu.RLock()
	defer inv.mu.RUnlock()
	g, ok := inv.groups[name]
	return g, ok
}

// Hosts lists all declared hosts in the order of a play on "all".
func (inv *Inventory) Hosts() []*Host {
	inv.mu.RLock()
	defer inv.mu.RUnlock()
	return inv.groups[All].members()
}

// Groups lists the groups in order of declaration, all first.
func (inv *Inventory) Groups() []*Group {
	inv.mu.RLock()
	defer inv.mu.RUnlock()
	return slices.Clone(inv.names)
}

// Members lists the hosts of a group and of the groups below it, each once.
func (inv *Inventory) Members(g *Group) []*Host {
	inv.mu.RLock()
	defer inv.mu.RUnlock()
	return g.members()
}

// GroupsOf lists every group of a host, those above its own included, in the order
// their variables are merged: by depth, priority and name.
func (inv *Inventory) GroupsOf(h *Host) []*Group {
	inv.mu.RLock()
	defer inv.mu.RUnlock()
	return inv.groupsOf(h)
}

func (inv *Inventory) groupsOf(h *Host) []*Group {
	seen := map[*Group]bool{}
	var all []*Group
	var walk func(g *Group)
	walk = func(g *Group) {
		if seen[g] {
			return
		}
		seen[g] = true
		all = append(all, g)
		for _, p := range g.Parents {
			walk(p)
		}
	}
	for _, g := range h.Groups {
		walk(g)
	}
	if h.Implicit {
		walk(inv.groups[All])
	}
	slices.SortFunc(all, func(a, b *Group) int {
		return cmp.Or(cmp.Compare(a.Depth, b.Depth), cmp.Compare(a.Priority, b.Priority), cmp.Compare(a.Name, b.Name))
	})
	return all
}

// AddHost adds a host, or returns the one there is, and puts it into groups, making
// those too. It is what add_host and group_by call during a run.
func (inv *Inventory) AddHost(name string, port int, groups ...string) (*Host, error) {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	h := inv.addHost(name, port)
	for _, g := range groups {
		if err := checkGroupName(g); err != nil {
			return nil, err
		}
		inv.addGroup(g).add(h)
	}
	inv.reconcile()
	return h, nil
}

// AddGroup adds a group below parents, or returns the one there is.
func (inv *Inventory) AddGroup(name string, parents ...string) (*Group, error) {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	if err := checkGroupName(name); err != nil {
		return nil, err
	}
	g := inv.addGroup(name)
	for _, p := range parents {
		if err := inv.link(inv.addGroup(p), g); err != nil {
			return nil, err
		}
	}
	inv.reconcile()
	return g, nil
}

// SetVars adds variables to a host for the rest of the run (add_host).
func (inv *Inventory) SetVars(h *Host, vars *value.Dict) error {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	merged := value.NewDict(h.Vars.Len() + vars.Len())
	for _, d := range []*value.Dict{h.Vars, vars} {
		for k, v := range d.All() {
			if err := merged.Set(k, v); err != nil {
				return fmt.Errorf("set variable of %s: %w", h.Name, err)
			}
		}
	}
	h.Vars = merged // readers may hold the old dict
	return nil
}

// Remarks returns what is to be said of the name of a group that a task makes: "" for a
// name that can be a variable's.
func (inv *Inventory) Remarks(name string) string {
	if inv.lenient || !invalidName.MatchString(name) {
		return ""
	}
	done := "but not replaced"
	if inv.replace {
		done = "and automatically replaced"
	}
	return "Invalid characters were found in group names " + done + ", use -vvvv to see details"
}

func checkGroupName(name string) error {
	if strings.TrimSpace(name) == "" {
		return fmt.Errorf("group name is empty")
	}
	return nil
}

func (inv *Inventory) addHost(name string, port int) *Host {
	if h, ok := inv.hosts[name]; ok {
		if port != 0 {
			h.Port = port
		}
		return h
	}
	h := &Host{Name: name, Port: port, Vars: value.NewDict(0), Index: len(inv.order), Source: inv.current}
	inv.hosts[name] = h
	inv.order = append(inv.order, h)
	inv.cache = nil
	return h
}

// set sets a variable of a source.
func (inv *Inventory) set(vars *value.Dict, name string, v value.Value) {
	if high, ok := v.(*value.Dict); ok && inv.merge != nil {
		if old, ok := vars.GetStr(name); ok {
			if low, ok := old.(*value.Dict); ok {
				v = inv.merge(low, high)
			}
		}
	}
	vars.SetStr(name, v)
}

func (inv *Inventory) addGroup(name string) *Group {
	if inv.replace && invalidName.MatchString(name) {
		name, inv.replaced = invalidName.ReplaceAllString(name, "_"), true
	}
	if g, ok := inv.groups[name]; ok {
		return g
	}
	g := &Group{Name: name, Priority: 1, Vars: value.NewDict(0), has: map[*Host]bool{}}
	inv.groups[name] = g
	inv.names = append(inv.names, g)
	inv.cache = nil
	return g
}

func (g *Group) add(h *Host) {
	if !g.has[h] {
		g.has[h] = true
		g.Hosts = append(g.Hosts, h)
		h.Groups = append(h.Groups, g)
	}
}

// link makes child a group of parent. A loop is an error.
func (inv *Inventory) link(parent, child *Group) error {
	if parent == child {
		return fmt.Errorf("group %q cannot be a child of itself", child.Name)
	}
	if slices.Contains(parent.Children, child) {
		return nil
	}
	if parent.below(child) {
		return fmt.Errorf("adding group %q as a child of %q makes a loop", child.Name, parent.Name)
	}
	parent.Children = append(parent.Children, child)
	child.Parents = append(child.Parents, parent)
	inv.cache = nil
	child.deepen(parent.Depth + 1)
	return nil
}

// below reports whether g is under top.
func (g *Group) below(top *Group) bool {
	for _, p := range g.Parents {
		if p == top || p.below(top) {
			return true
		}
	}
	return false
}

func (g *Group) deepen(depth int) {
	if depth <= g.Depth {
		return
	}
	g.Depth = depth
	for _, c := range g.Children {
		c.deepen(depth + 1)
	}
}

// members walks breadth first, as Ansible does: a group's own hosts come before those
// of the groups below it.
func (g *Group) members() []*Host {
	var hosts []*Host
	seenHost, seenGroup := map[*Host]bool{}, map[*Group]bool{g: true}
	for level := []*Group{g}; len(level) > 0; {
		var next []*Group
		for _, g := range level {
			for _, h := range g.Hosts {
				if !seenHost[h] {
					seenHost[h] = true
					hosts = append(hosts, h)
				}
			}
			for _, c := range g.Children {
				if !seenGroup[c] {
					seenGroup[c] = true
					next = append(next, c)
				}
			}
		}
		level = next
	}
	return hosts
}

// reconcile gives every group a way up to all and every host a group: those of no
// group but all are in ungrouped.
func (inv *Inventory) reconcile() {
	all, ungrouped := inv.groups[All], inv.groups[Ungrouped]
	for _, g := range inv.names {
		if g != all && len(g.Parents) == 0 {
			_ = inv.link(all, g) // all has no parents: no loop is possible
		}
		if p, ok := g.Vars.GetStr("ansible_group_priority"); ok {
			// ansible-core 2.18: it is no variable of the group's hosts.
			if n, ok := p.(value.Int); ok {
				g.Priority = int(n)
				_, _ = g.Vars.Delete(value.S("ansible_group_priority")) // a name can be looked up
			}
		}
	}
	for _, h := range inv.order {
		named := 0
		for _, g := range h.Groups {
			if g != all && g != ungrouped {
				named++
			}
		}
		switch {
		case named == 0:
			ungrouped.add(h)
		case ungrouped.has[h]:
			ungrouped.remove(h)
		}
	}
	inv.cache = nil
}

func (g *Group) remove(h *Host) {
	delete(g.has, h)
	g.Hosts = slices.DeleteFunc(slices.Clone(g.Hosts), func(x *Host) bool { return x == h })
	h.Groups = slices.DeleteFunc(slices.Clone(h.Groups), func(x *Group) bool { return x == g })
}
