package schema

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"orch/playbook/source"
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
		return source.Suggest(name, all)
	}
	var all []string
	for n := range r.short {
		all = append(all, n)
	}
	return source.Suggest(name, all)
}
