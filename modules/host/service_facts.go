package host

import (
	"context"
	"errors"
	"io/fs"
	"strings"

	"orch/modules"
)

// ServiceFacts lists services and their states as the fact services.
type ServiceFacts struct{}

// A ServiceFact is a service's state.
type ServiceFact struct {
	Name   string `json:"name"`
	State  string `json:"state"`
	Status string `json:"status,omitempty"`
	Source string `json:"source"`
}

// ServiceFactsOut is the result of service_facts.
type ServiceFactsOut struct {
	Facts struct {
		Services map[string]ServiceFact `json:"services"`
	} `json:"ansible_facts"`
}

// Plan implements modules.Module.
func (s *ServiceFacts) Plan(ctx context.Context, v modules.View) (plan, error) {
	out := &ServiceFactsOut{}
	all := map[string]ServiceFact{}
	out.Facts.Services = all
	found, err := sysvServices(ctx, v, all)
	if err != nil {
		return plan{}, err
	}
	more, err := systemdServices(ctx, v, all)
	if err != nil {
		return plan{}, err
	}
	if !found && !more {
		return plan{Out: out, Skip: "Failed to find any services. This can be due to privileges or some other configuration issue."}, nil
	}
	return plan{Out: out}, nil
}

// sysvServices asks service(8), which knows the init scripts.
func sysvServices(ctx context.Context, v modules.View, all map[string]ServiceFact) (bool, error) {
	if p, err := v.LookPath(ctx, "service"); err != nil || p == "" {
		return false, err
	}
	o, err := v.Query(ctx, "service", "--status-all")
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return false, nil
		}
		return false, err
	}
	for line := range strings.Lines(o.Stdout) {
		f := strings.Fields(line)
		if len(f) == 4 && f[0] == "[" && f[2] == "]" {
			state := map[string]string{"+": "running"}[f[1]]
			if state == "" {
				state = "stopped"
			}
			all[f[3]] = ServiceFact{Name: f[3], State: state, Source: "sysv"}
		}
	}
	return len(all) > 0, nil
}

// systemdServices joins the loaded units with the unit files.
func systemdServices(ctx context.Context, v modules.View, all map[string]ServiceFact) (bool, error) {
	list := func(argv ...string) ([][]string, error) {
		o, err := v.Query(ctx, argv...)
		if errors.Is(err, fs.ErrNotExist) || err == nil && o.RC != 0 {
			return nil, nil
		}
		var rows [][]string
		for line := range strings.Lines(o.Stdout) {
			if f := strings.Fields(strings.TrimLeft(line, "●○*× ")); len(f) > 1 && strings.HasSuffix(f[0], ".service") {
				rows = append(rows, f)
			}
		}
		return rows, err
	}
	units, err := list("systemctl", "list-units", "--no-pager", "--type", "service", "--all", "--plain", "--no-legend")
	if err != nil {
		return false, err
	}
	files, err := list("systemctl", "list-unit-files", "--no-pager", "--type", "service", "--all", "--no-legend")
	if err != nil {
		return false, err
	}
	for _, f := range units {
		if len(f) < 4 {
			continue
		}
		state, status := "stopped", "unknown"
		switch {
		case f[3] == "running":
			state = "running"
		case f[1] == "not-found" || f[2] == "failed":
			state = map[bool]string{true: "failed", false: "stopped"}[f[2] == "failed"]
			if f[1] == "not-found" {
				status = "not-found"
			} else {
				status = "failed"
			}
		}
		all[f[0]] = ServiceFact{Name: f[0], State: state, Status: status, Source: "systemd"}
	}
	for _, f := range files {
		fact, loaded := all[f[0]]
		if !loaded {
			fact = ServiceFact{Name: f[0], State: map[bool]string{true: "unknown", false: "inactive"}[strings.HasSuffix(f[0], "@.service")], Source: "systemd"}
		}
		if fact.Status == "" || fact.Status == "unknown" {
			fact.Status = f[1]
		}
		all[f[0]] = fact
	}
	return len(units)+len(files) > 0, nil
}
