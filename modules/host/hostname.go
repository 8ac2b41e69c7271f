package host

import (
	"context"
	"fmt"
	"strings"

	"orch/modules"
)

// Hostname sets the host's name, now and for the next boot.
type Hostname struct {
	// The name.
	Name string `orch:"required"`
	// How to set it; the default goes by the host: systemd, or else /etc/hostname.
	Use string `orch:"enum=alpine|debian|generic|redhat|systemd"`
}

// HostnameOut is the result of hostname.
type HostnameOut struct {
	Name  string            `json:"name"`
	Facts map[string]string `json:"ansible_facts"`
}

// Plan implements modules.Module.
func (h *Hostname) Plan(ctx context.Context, v modules.View) (plan, error) {
	node, domain, _ := strings.Cut(h.Name, ".")
	out := &HostnameOut{Name: h.Name, Facts: map[string]string{
		"ansible_hostname": node, "ansible_nodename": h.Name, "ansible_fqdn": h.Name, "ansible_domain": domain,
	}}
	p := plan{Out: out}
	now, err := readFile(ctx, v, "/proc/sys/kernel/hostname")
	if err != nil {
		return p, err
	}
	later, err := readFile(ctx, v, "/etc/hostname")
	if err != nil {
		return p, err
	}
	current, permanent := strings.TrimSpace(string(now)), strings.TrimSpace(string(later))
	if current == h.Name && permanent == h.Name {
		return p, nil
	}
	systemd := h.Use == "systemd"
	if h.Use == "" {
		fi, err := stat(ctx, v, "/run/systemd/system")
		if err != nil {
			return p, err
		}
		ctl, err := v.LookPath(ctx, "hostnamectl")
		if err != nil {
			return p, err
		}
		systemd = fi != nil && ctl != ""
	}
	diff := &modules.Diff{
		Before: fmt.Sprintf("hostname = %s\npermanent hostname = %s\n", current, permanent),
		After:  fmt.Sprintf("hostname = %s\npermanent hostname = %s\n", h.Name, h.Name),
	}
	p.Steps = []step{{Title: "set the host's name to " + h.Name, Diff: diff, Do: func(ctx context.Context, t modules.Target) (bool, error) {
		if systemd {
			_, err := mustRun(ctx, t, "hostnamectl", "set-hostname", h.Name)
			return true, err
		}
		if permanent != h.Name {
			if _, err := t.Write(ctx, "/etc/hostname", strings.NewReader(h.Name+"\n"), modules.WriteOptions{Unsafe: true}); err != nil {
				return false, fileFailure(err)
			}
		}
		if current != h.Name {
			if _, err := mustRun(ctx, t, "hostname", h.Name); err != nil {
				return true, err
			}
		}
		return true, nil
	}}}
	return p, nil
}
