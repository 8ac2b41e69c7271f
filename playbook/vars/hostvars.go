package vars

import (
	"context"

	"orch/playbook/jinja/value"
	"orch/playbook/template"
)

// hostVars is the variable hostvars: every host's inventory variables, facts, and what
// it registered, set or included, as of its last published state. It shows neither play
// nor role variables, as in ansible-core 2.18.
type hostVars struct {
	scope *Scope
	views map[string]*hostView // opened in this evaluation
}

// Type implements value.Value.
func (*hostVars) Type() string { return "HostVars" }

// Len implements value.Mapping.
func (h *hostVars) Len() int { return len(h.scope.run.opt.Inventory.Hosts()) }

// Keys implements value.Mapping.
func (h *hostVars) Keys() []value.Value {
	hosts := h.scope.run.opt.Inventory.Hosts()
	keys := make([]value.Value, len(hosts))
	for i, host := range hosts {
		keys[i] = value.S(host.Name)
	}
	return keys
}

// Get implements value.Mapping.
func (h *hostVars) Get(k value.Value) (value.Value, bool, error) {
	name, ok := k.(value.Str)
	if !ok {
		return nil, false, value.Hashable(k)
	}
	return h.Attr(name.S)
}

// Delegated is the variable ansible_delegated_vars of a task that is delegated to a host:
// that host's variables by its name.
func (s *Scope) Delegated(name string) value.Value {
	if s.run.opt.Inventory == nil {
		return value.NewDict(0)
	}
	h := &hostVars{scope: s}
	if known, _ := h.Contains(value.S(name)); !known { // the key is a string
		return value.D(name, value.NewDict(0))
	}
	v, _, _ := h.Attr(name) // it is there
	return value.D(name, v)
}

// Contains implements value.Container: hosts are in it, and no other name, whatever
// hostvars[…] yields for one.
func (h *hostVars) Contains(k value.Value) (bool, error) {
	name, ok := k.(value.Str)
	if !ok {
		return false, value.Hashable(k)
	}
	inv := h.scope.run.opt.Inventory
	if _, ok := inv.Host(name.S); ok {
		return true, nil
	}
	local := inv.Localhost()
	return local != nil && local.Name == name.S, nil
}

// Attr implements value.Object.
func (h *hostVars) Attr(name string) (value.Value, bool, error) {
	if v := h.views[name]; v != nil {
		return v, true, nil
	}
	inv := h.scope.run.opt.Inventory
	if _, ok := inv.Host(name); !ok {
		if local := inv.Localhost(); local == nil || local.Name != name {
			// ansible-core 2.18: HostVars.__getitem__
			return &value.Undefined{Name: "hostvars['" + name + "']"}, true, nil
		}
	}
	v := &hostView{scope: h.scope.run.hostScope(h.scope.ctx, name, h.scope.play)}
	if h.views == nil {
		h.views = map[string]*hostView{}
	}
	h.views[name] = v
	return v, true, nil
}

// hostScope is a scope of what others may see of a host.
func (r *Run) hostScope(ctx context.Context, name string, p *Play) *Scope {
	state := r.State(name)
	return &Scope{ctx: ctx, run: r, host: &Host{Name: name, play: p, state: state}, state: state.pub.Load()}
}

// A hostView is hostvars[h].
type hostView struct{ scope *Scope }

// Type implements value.Value.
func (*hostView) Type() string { return "HostVarsVars" }

// Len implements value.Mapping.
func (v *hostView) Len() int { return len(v.scope.Names()) }

// Keys implements value.Mapping.
func (v *hostView) Keys() []value.Value {
	names := v.scope.Names()
	keys := make([]value.Value, len(names))
	for i, name := range names {
		keys[i] = value.S(name)
	}
	return keys
}

// Get implements value.Mapping.
func (v *hostView) Get(k value.Value) (value.Value, bool, error) {
	name, ok := k.(value.Str)
	if !ok {
		return nil, false, value.Hashable(k)
	}
	return v.Attr(name.S)
}

// Attr implements value.Object.
func (v *hostView) Attr(name string) (value.Value, bool, error) {
	e, ok, err := v.scope.find(name)
	if err != nil || !ok {
		return nil, false, err
	}
	if e.static {
		return e.val, true, nil
	}
	got, err := v.scope.lenient(e.val)
	return got, err == nil, err
}

// lenient templates what can be and keeps the text of what needs a variable the host
// does not have (ansible-core 2.18: HostVarsVars templates with fail_on_undefined off).
// That text is data from then on.
func (s *Scope) lenient(v value.Value) (value.Value, error) {
	switch v := v.(type) {
	case *value.List:
		items := make([]value.Value, len(v.Items))
		for i, item := range v.Items {
			got, err := s.lenient(item)
			if err != nil {
				return nil, err
			}
			items[i] = got
		}
		return value.NewList(items...), nil
	case *value.Dict:
		out := value.NewDict(v.Len())
		for k, item := range v.All() {
			got, err := s.lenient(item)
			if err != nil {
				return nil, err
			}
			if err := out.Set(k, got); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	if isStatic(v) {
		return v, nil
	}
	got, err := s.run.opt.Templater.Value(s.ctx, v, s)
	if err != nil && template.IsUndefined(err) != nil {
		return data(v), nil
	}
	return got, err
}

// varsView is the variable vars: all variables by name, as their authors wrote them
// (ansible-core 2.18 does not template what it holds; lookup('vars') does).
type varsView struct{ scope *Scope }

// Type implements value.Value.
func (*varsView) Type() string { return "dict" }

// Len implements value.Mapping.
func (v *varsView) Len() int { return len(v.scope.Names()) }

// Keys implements value.Mapping.
func (v *varsView) Keys() []value.Value {
	names := v.scope.Names()
	keys := make([]value.Value, len(names))
	for i, name := range names {
		keys[i] = value.S(name)
	}
	return keys
}

// Get implements value.Mapping.
func (v *varsView) Get(k value.Value) (value.Value, bool, error) {
	name, ok := k.(value.Str)
	if !ok {
		return nil, false, value.Hashable(k)
	}
	return v.Attr(name.S)
}

// Attr implements value.Object.
func (v *varsView) Attr(name string) (value.Value, bool, error) {
	e, ok, err := v.scope.find(name)
	if err != nil || !ok {
		return nil, false, err
	}
	if value.HasSealed(e.val) { // an encrypted text is nothing to look at
		return v.scope.Lookup(name)
	}
	return e.val, true, nil
}
