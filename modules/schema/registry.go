package schema

// A Registry finds modules by the names playbooks use.
type Registry struct {
	specs map[string]*Spec // by full name, aliases included
}

// NewRegistry joins the tables. An action (world Site) hides the host module of the same
// name: a task calls the action, the action runs the host module.
func NewRegistry(tables ...Table) (*Registry, error) { return &Registry{}, nil }

// Lookup finds a module by a full name, or by a short one: in the collections of the
// task's keyword first, then in ansible.builtin, then in any collection that has it.
// ansible.legacy is ansible.builtin.
func (r *Registry) Lookup(name string, collections []string) (*Spec, bool) { return nil, false }

// Names lists the full names, sorted, without aliases.
func (r *Registry) Names() []string { return nil }

// Suggest returns the known name most like name; "" if none is near.
func (r *Registry) Suggest(name string) string { return "" }
