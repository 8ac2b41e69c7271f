// Package inventory knows hosts, groups and the patterns that select them, and reads
// them from sources: ini, yaml, executable scripts, lists, folders of those.
//
// An inventory is plain data: variables keep the place they were written at and are
// templated where they are used.
package inventory

import (
	"orch/playbook/jinja/value"
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
}

// An Inventory is the hosts of a run. It may grow while it runs (add_host, group_by).
type Inventory struct {
	Sources []string
	hosts   map[string]*Host
	groups  map[string]*Group
	order   []*Host
}
