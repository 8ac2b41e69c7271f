package vars

import (
	"path/filepath"
	"slices"
	"strings"

	"orch/playbook"
	"orch/playbook/jinja/value"
)

// roleLayers are what the tasks of one use of a role see of it and of the roles that
// brought it in.
type roleLayers struct {
	defaults *stack
	vars     *stack
	params   *stack
	name     string // role_name: short
	fullName string // ansible_role_name
	parents  value.Value
	paths    value.Value
}

// role returns the layers of a use of a role, made once.
func (r *Run) role(role *playbook.Role) *roleLayers {
	if role == nil {
		return nil
	}
	if l, ok := r.roles.Load(role); ok {
		return l.(*roleLayers)
	}
	l := &roleLayers{}
	l.name, l.fullName = roleNames(role)

	// ansible-core 2.18, playbook/role: a task sees its role's dependencies below its
	// parents, those below the role itself.
	var defaults []*layer
	for _, dep := range allDeps(role) {
		defaults = append(defaults, r.roleDefaults(dep)...)
	}
	for _, parent := range role.Parents {
		defaults = push(defaults, r.roleLayer(RoleDefaults, parent))
	}
	l.defaults = newStack(push(defaults, r.roleLayer(RoleDefaults, role)))

	var vars, params []*layer
	for _, parent := range append(slices.Clone(role.Parents), role) {
		vars = push(vars, r.layer(RoleVars, "role "+parent.Name, parent.Vars))
		vars = push(vars, r.roleLayer(RoleVars, parent))
		params = push(params, r.layer(RoleParams, "role "+parent.Name, parent.Params))
	}
	for _, dep := range allDeps(role) {
		vars = append(vars, r.roleExports(dep)...)
	}
	vars = push(vars, r.roleLayer(RoleVars, role))
	vars = push(vars, r.layer(RoleVars, "role "+role.Name, role.Vars))
	l.vars, l.params = newStack(vars), newStack(params)

	l.parents, l.paths = parentLists(role)
	got, _ := r.roles.LoadOrStore(role, l)
	return got.(*roleLayers)
}

func push(layers []*layer, l *layer) []*layer {
	if l == nil {
		return layers
	}
	return append(layers, l)
}

// roleLayer is a role's defaults/main or vars/main.
func (r *Run) roleLayer(level Level, role *playbook.Role) *layer {
	if level == RoleDefaults {
		return r.layer(level, sourceName(role.DefaultsFile, "role "+role.Name+" defaults"), role.Defaults)
	}
	return r.layer(level, sourceName(role.VarsFile, "role "+role.Name+" vars"), role.RoleVars)
}

func sourceName(file, otherwise string) string {
	if file != "" {
		return file
	}
	return otherwise
}

// roleDefaults are what a role and its dependencies hand to a whole play.
func (r *Run) roleDefaults(role *playbook.Role) []*layer {
	var out []*layer
	for _, dep := range allDeps(role) {
		out = append(out, r.roleDefaults(dep)...)
	}
	return push(out, r.roleLayer(RoleDefaults, role))
}

func (r *Run) roleExports(role *playbook.Role) []*layer {
	var out []*layer
	for _, dep := range allDeps(role) {
		out = append(out, r.roleExports(dep)...)
	}
	return push(out, r.roleLayer(RoleVars, role))
}

// allDeps lists a role's dependencies, theirs first, each once.
func allDeps(role *playbook.Role) []*playbook.Role {
	var out []*playbook.Role
	for _, dep := range role.Deps {
		for _, d := range append(allDeps(dep), dep) {
			if !slices.Contains(out, d) {
				out = append(out, d)
			}
		}
	}
	return out
}

// roleNames are role_name and ansible_role_name.
func roleNames(role *playbook.Role) (short, full string) {
	short = role.Name
	if strings.ContainsRune(short, '/') {
		short = filepath.Base(short)
	}
	if role.Collection == "" {
		return short, short
	}
	short = strings.TrimPrefix(short, role.Collection+".")
	return short, role.Collection + "." + short
}

// parentLists are ansible_parent_role_names and _paths: the roles whose include_role or
// import_role led here, innermost first; nil when there is none.
func parentLists(role *playbook.Role) (names, paths value.Value) {
	n, p := value.NewList(), value.NewList()
	chain := append(slices.Clone(role.Parents), role)
	for i := len(role.Parents) - 1; i >= 0; i-- {
		parent := role.Parents[i]
		if slices.Contains(parent.Deps, chain[i+1]) {
			continue
		}
		_, full := roleNames(parent)
		n.Items = append(n.Items, value.S(full))
		p.Items = append(p.Items, value.S(parent.Path))
	}
	if len(n.Items) == 0 {
		return nil, nil
	}
	return n, p
}

// roleNameLists are the lists of role names of a play.
func (p *playRoles) names() (direct, deps, all []string) {
	for _, role := range p.all {
		_, full := roleNames(role)
		direct = append(direct, full)
	}
	for _, role := range p.all {
		for _, dep := range allDeps(role) {
			if _, full := roleNames(dep); !slices.Contains(deps, full) {
				deps = append(deps, full)
			}
		}
	}
	for _, name := range slices.Concat(deps, direct) {
		if !slices.Contains(all, name) {
			all = append(all, name)
		}
	}
	return direct, deps, all
}
