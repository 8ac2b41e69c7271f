package control

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"orch/modules"
	"orch/modules/host"
	"orch/playbook/jinja/value"
)

// Package installs or removes packages with the package manager of the host.
type Package struct {
	// Names of the packages.
	Name value.Value `orch:"required"`
	// State of the packages: present, absent, latest, or another the manager's module knows.
	State string
	// Package manager; auto takes the one the facts name.
	Use string `orch:"default=auto"`
	// Further arguments of the manager's module.
	More *value.Dict `orch:"rest"`
}

// managers are the package managers there is a module for.
var managers = []string{"apt"}

// Plan implements modules.Module.
func (p *Package) Plan(ctx context.Context, v View) (plan, error) {
	use := p.Use
	if use == "auto" {
		if val, ok, err := v.Var("ansible_package_use"); err != nil {
			return plan{}, err
		} else if ok {
			use = value.String(val)
		}
	}
	if use == "auto" {
		var err error
		if use, err = fact(ctx, v, "pkg_mgr"); err != nil {
			return plan{}, err
		}
		if use == "" || use == "unknown" {
			return plan{}, modules.Failf(`Could not detect a package manager. Try using the "use" option.`)
		}
	}
	if !slices.Contains(managers, use) {
		return plan{}, modules.Failf(`Could not find a matching action for the "%s" package manager.`, use)
	}
	args := value.NewDict(4)
	args.SetStr("name", p.Name)
	if p.State != "" {
		args.SetStr("state", value.S(p.State))
	}
	if p.More != nil {
		for k, val := range p.More.All() {
			if err := args.Set(k, val); err != nil {
				return plan{}, err
			}
		}
	}
	return handDecoded(v, use, args)
}

// fact is a fact of the host, gathered now if it was not before.
func fact(ctx context.Context, v View, name string) (string, error) {
	if f := v.Fact(name); f != nil {
		return value.String(f), nil
	}
	res, err := v.Plan(ctx, "ansible.builtin.setup", &host.Setup{GatherSubset: []string{"!all"}, Filter: []string{"ansible_" + name}, GatherTimeout: 10, FactPath: "/etc/ansible/facts.d"})
	if err != nil {
		return "", err
	}
	if res.Failure != nil {
		return "", res.Failure
	}
	var out struct {
		Facts map[string]json.RawMessage `json:"ansible_facts"`
	}
	if err := json.Unmarshal(res.Out, &out); err != nil {
		return "", fmt.Errorf("facts of the host: %w", err)
	}
	var text string
	if raw := out.Facts["ansible_"+name]; raw != nil {
		err = json.Unmarshal(raw, &text)
	}
	return text, err
}

// Service manages services with the service manager of the host.
type Service struct {
	// Name of the service.
	Name string `orch:"required"`
	// State of the service; restarted and reloaded always act.
	State string `orch:"enum=reloaded|restarted|started|stopped"`
	// Whether it starts at boot.
	Enabled *bool
	// Seconds between stop and start of a restart, where the manager cannot restart.
	Sleep *int
	// Text in the process list that shows the service runs, where the manager cannot tell.
	Pattern string
	// Run level, for OpenRC.
	Runlevel string `orch:"default=default"`
	// Further arguments for the service's own command.
	Arguments string `orch:"alias=args"`
	// Service manager; auto takes the one the facts name.
	Use string `orch:"default=auto"`
	// Further arguments of the manager's module.
	More *value.Dict `orch:"rest"`
}

// Plan implements modules.Module.
func (s *Service) Plan(ctx context.Context, v View) (plan, error) {
	use := s.Use
	if use == "auto" {
		var err error
		if use, err = fact(ctx, v, "service_mgr"); err != nil {
			return plan{}, err
		}
	}
	args := value.NewDict(4)
	set := func(name, text string) {
		if text != "" {
			args.SetStr(name, value.S(text))
		}
	}
	set("name", s.Name)
	set("state", s.State)
	if s.Enabled != nil {
		args.SetStr("enabled", value.Bool(*s.Enabled))
	}
	if s.More != nil {
		for k, val := range s.More.All() {
			if err := args.Set(k, val); err != nil {
				return plan{}, err
			}
		}
	}
	var warnings []string
	if use == "systemd" {
		for _, unused := range []struct {
			name  string
			given bool
		}{{"pattern", s.Pattern != ""}, {"runlevel", s.Runlevel != "default"}, {"sleep", s.Sleep != nil}, {"arguments", s.Arguments != ""}} {
			if unused.given {
				warnings = append(warnings, fmt.Sprintf(`Ignoring "%s" as it is not used in "systemd"`, unused.name))
			}
		}
		p, err := handDecoded(v, "systemd", args)
		p.Warnings = append(warnings, p.Warnings...)
		return p, err
	}
	set("pattern", s.Pattern)
	set("arguments", s.Arguments)
	if s.Runlevel != "default" {
		return plan{}, modules.Failf("runlevel is not supported: %s is no OpenRC", use)
	}
	if s.Sleep != nil {
		args.SetStr("sleep", value.Int(*s.Sleep))
	}
	return handDecoded(v, "sysvinit", args)
}
