package control

import (
	"context"
	"regexp"
	"strings"

	"orch/modules"
	"orch/modules/host"
	"orch/playbook/jinja/value"
)

// SetFact sets variables of a host, for the rest of the run.
type SetFact struct {
	// Keep the variables in the fact cache too.
	Cacheable bool
	// The variables: any other arguments.
	Facts *value.Dict `orch:"rest"`
}

// identifier is what a variable may be called.
var identifier = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// Plan implements modules.Module.
func (s *SetFact) Plan(ctx context.Context, v View) (plan, error) {
	if s.Facts == nil || s.Facts.Len() == 0 {
		return plan{}, modules.Failf("No key/value pairs provided, at least one is required for this action to succeed")
	}
	native, err := nativeTypes(v)
	if err != nil {
		return plan{}, err
	}
	p := plan{}
	facts := value.NewDict(s.Facts.Len())
	for k, val := range s.Facts.All() {
		key, err := variableName(ctx, v, k)
		if err != nil {
			return plan{}, err
		}
		val, ok := known(val)
		if !ok {
			p.Unknown = append(p.Unknown, "ansible_facts."+key)
		}
		if !native {
			val = boolWord(val)
		}
		facts.SetStr(key, val)
	}
	p.Out = dictOut{value.D("ansible_facts", facts, "_ansible_facts_cacheable", value.Bool(s.Cacheable))}
	return p, nil
}

// variableName is the templated name of a fact or stat.
func variableName(ctx context.Context, v View, k value.Value) (string, error) {
	name, err := v.Template(ctx, k)
	if err != nil {
		return "", err
	}
	key := value.String(name)
	if !identifier.MatchString(key) {
		return "", modules.Failf("The variable name '%s' is not valid. Variables must start with a letter or underscore character, and contain only letters, numbers and underscores.", key)
	}
	return key, nil
}

// nativeTypes is the setting jinja2_native, as far as the site tells it.
func nativeTypes(v View) (bool, error) {
	val, ok, err := v.Var("ansible_jinja2_native")
	return ok && value.Truth(val), err
}

// boolWord makes a bool of the words true, false, yes and no, as set_fact does where
// templates yield strings.
func boolWord(v value.Value) value.Value {
	if s, ok := v.(value.Str); ok {
		switch strings.ToLower(s.S) {
		case "true", "yes":
			return value.Bool(true)
		case "false", "no":
			return value.Bool(false)
		}
	}
	return v
}

// SetStats adds to the statistics a run ends with.
type SetStats struct {
	// Names and values.
	Data value.Value
	// Keep them for this host instead of for the run.
	PerHost value.Value
	// Add to what is there instead of replacing it; the default is yes.
	Aggregate value.Value
}

// lenient reads a boolean as Ansible does where it is not strict: what is no word for yes
// is no.
func lenient(v value.Value, def bool) value.Bool {
	switch v := v.(type) {
	case nil, value.None:
		return value.Bool(def)
	case value.Bool:
		return v
	}
	switch strings.ToLower(strings.TrimSpace(value.String(v))) {
	case "y", "yes", "on", "1", "true", "t", "1.0":
		return true
	}
	return false
}

// Plan implements modules.Module.
func (s *SetStats) Plan(ctx context.Context, v View) (plan, error) {
	data := value.NewDict(4)
	p := plan{}
	given, ok := s.Data.(*value.Dict)
	if s.Data != nil && !ok {
		return p, modules.Failf("The 'data' option needs to be a dictionary/hash")
	}
	if given != nil {
		for k, val := range given.All() {
			key, err := variableName(ctx, v, k)
			if err != nil {
				return plan{}, err
			}
			val, ok := known(val)
			if !ok {
				p.Unknown = append(p.Unknown, "ansible_stats.data."+key)
			}
			data.SetStr(key, val)
		}
	}
	p.Out = dictOut{value.D("ansible_stats", value.D("data", data, "per_host", lenient(s.PerHost, false), "aggregate", lenient(s.Aggregate, true)))}
	return p, nil
}

// AddHost adds a host to the inventory of the run.
type AddHost struct {
	// Name of the host, with an optional :port.
	Name string `orch:"alias=hostname|host"`
	// Groups it belongs to; new ones are made.
	Groups value.Value `orch:"alias=groupname|group"`
	// Its variables: any other arguments.
	Vars *value.Dict `orch:"rest"`
}

// hostPort splits host:port; an address of version 6 is in brackets then.
var hostPort = regexp.MustCompile(`^(?:\[([0-9a-fA-F:.]+)\]|([^:\[\]]+)):(\d+)$`)

// Plan implements modules.Module.
func (a *AddHost) Plan(context.Context, View) (plan, error) {
	if a.Name == "" {
		return plan{}, modules.Failf("name, host or hostname needs to be provided")
	}
	vars := value.NewDict(4)
	if a.Vars != nil {
		for k, val := range a.Vars.All() {
			if err := vars.Set(k, val); err != nil {
				return plan{}, err
			}
		}
	}
	name := a.Name
	if m := hostPort.FindStringSubmatch(name); m != nil {
		name = m[1] + m[2]
		vars.SetStr("ansible_ssh_port", portValue(m[3]))
	}
	groups := value.NewList()
	switch g := a.Groups.(type) {
	case nil, value.None:
	case *value.List:
		for _, item := range g.Items {
			groups.Items = append(groups.Items, value.S(strings.TrimSpace(value.String(item))))
		}
	case value.Str:
		for part := range strings.SplitSeq(g.S, ",") {
			if part = strings.TrimSpace(part); part != "" {
				groups.Items = append(groups.Items, value.S(part))
			}
		}
	default:
		return plan{}, modules.Failf("Groups must be specified as a list.")
	}
	return plan{Out: dictOut{value.D("add_host", value.D("host_name", value.S(name), "groups", groups, "host_vars", vars))}}, nil
}

func portValue(digits string) value.Value {
	var n value.Int
	for _, d := range digits {
		n = n*10 + value.Int(d-'0')
	}
	return n
}

// GroupBy puts the host into a group that is made for a key.
type GroupBy struct {
	// Name of the group; spaces become dashes.
	Key string `orch:"required"`
	// Groups the new group belongs to.
	Parents []string `orch:"default=all"`
}

// Plan implements modules.Module.
func (g *GroupBy) Plan(context.Context, View) (plan, error) {
	parents := value.NewList()
	for _, p := range g.Parents {
		parents.Items = append(parents.Items, value.S(strings.ReplaceAll(p, " ", "-")))
	}
	return plan{Out: dictOut{value.D("add_group", value.S(strings.ReplaceAll(g.Key, " ", "-")), "parent_groups", parents)}}, nil
}

// GatherFacts gathers facts as a play does: it runs setup.
type GatherFacts struct {
	host.Setup
	// Gather with several modules at once. There is one module, so nothing changes.
	Parallel *bool
}

// Plan implements modules.Module.
func (g *GatherFacts) Plan(_ context.Context, v View) (plan, error) {
	return hand(v, "ansible.builtin.setup", &g.Setup), nil
}
