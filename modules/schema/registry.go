package schema

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// A Registry finds modules by the names playbooks use.
type Registry struct {
	specs map[string]*Spec // by full name, aliases included
	short map[string]*Spec // by last part of the name; builtin first
	names []string         // full names without aliases, sorted
}

// builtin is the collection of short names.
const builtin = "ansible.builtin."

// NewRegistry joins the tables. An action (world Site) hides the host module of the same
// name: a task calls the action, the action runs the host module.
func NewRegistry(tables ...Table) (*Registry, error) {
	r := &Registry{specs: map[string]*Spec{}, short: map[string]*Spec{}}
	var errs []error
	for _, table := range tables {
		for _, s := range Describe(table) {
			errs = append(errs, s.err)
			for _, name := range append([]string{s.Name}, s.Aliases...) {
				errs = append(errs, r.add(name, s))
			}
		}
	}
	for name, s := range r.specs {
		if name == s.Name {
			r.names = append(r.names, name)
		}
	}
	slices.Sort(r.names)
	return r, errors.Join(errs...)
}

func (r *Registry) add(name string, s *Spec) error {
	old := r.specs[name]
	switch {
	case old == nil:
	case old.World == s.World:
		return fmt.Errorf("module %s is in the table twice", name)
	case old.World == Site:
		return nil
	case s.World != Site:
		return fmt.Errorf("module %s is in the tables %s and %s", name, old.World, s.World)
	}
	r.specs[name] = s
	short := name[strings.LastIndexByte(name, '.')+1:]
	if was := r.short[short]; was == nil || was == old || strings.HasPrefix(name, builtin) {
		r.short[short] = s
	}
	return nil
}

// Lookup finds a module by a full name, or by a short one: in the collections of the
// task's keyword first, then in ansible.builtin, then in any collection that has it.
// ansible.legacy is ansible.builtin.
func (r *Registry) Lookup(name string, collections []string) (*Spec, bool) {
	if strings.Contains(name, ".") {
		if rest, ok := strings.CutPrefix(name, "ansible.legacy."); ok {
			name = builtin + rest
		}
		s, ok := r.specs[name]
		return s, ok
	}
	for _, c := range collections {
		if c == "ansible.legacy" {
			c = "ansible.builtin"
		}
		if s, ok := r.specs[c+"."+name]; ok {
			return s, true
		}
	}
	s, ok := r.short[name]
	return s, ok
}

// Names lists the full names, sorted, without aliases.
func (r *Registry) Names() []string { return slices.Clone(r.names) }

// Suggest returns the known name most like name; "" if none is near.
func (r *Registry) Suggest(name string) string {
	if strings.Contains(name, ".") {
		var all []string
		for n := range r.specs {
			all = append(all, n)
		}
		return nearest(name, all)
	}
	var all []string
	for n := range r.short {
		all = append(all, n)
	}
	return nearest(name, all)
}

// nearest returns the word of all with the smallest edit distance to name, if that is
// small for a name of its length; equal ones are decided by the alphabet.
func nearest(name string, all []string) string {
	best, bestDist := "", max(1, len(name)/3)+1
	slices.Sort(all)
	for _, word := range all {
		if d := distance(name, word); d < bestDist {
			best, bestDist = word, d
		}
	}
	return best
}

// distance is the optimal string alignment distance.
func distance(a, b string) int {
	prev2, prev, cur := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		cur[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			cur[j] = min(prev[j]+1, cur[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				cur[j] = min(cur[j], prev2[j-2]+1)
			}
		}
		prev2, prev, cur = prev, cur, prev2
	}
	return prev[len(b)]
}
