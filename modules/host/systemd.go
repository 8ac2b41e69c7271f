package host

import (
	"context"
	"errors"
	"io/fs"
	"strconv"
	"strings"

	"orch/modules"
)

// Systemd starts, stops, reloads, enables and masks systemd units.
type Systemd struct {
	// Unit to manage; a name without a suffix means a service.
	Name string `orch:"alias=service|unit"`
	// State of the unit; restarted and reloaded always act.
	State string `orch:"enum=reloaded|restarted|started|stopped"`
	// Whether the unit starts at boot.
	Enabled *bool
	// Replace links of other units when enabling.
	Force bool
	// Whether the unit is masked: impossible to start.
	Masked *bool
	// Make systemd read changed unit files first.
	DaemonReload bool `orch:"alias=daemon-reload"`
	// Make systemd start itself anew first.
	DaemonReexec bool `orch:"alias=daemon-reexec"`
	// Whose units: the system's, the user's, or every user's.
	Scope string `orch:"enum=system|user|global,default=system"`
	// Do not wait until the job is done.
	NoBlock bool
}

// Validate implements modules.Validator.
func (s *Systemd) Validate() error {
	if s.State == "" && s.Enabled == nil && s.Masked == nil && !s.DaemonReload && !s.DaemonReexec {
		return errors.New("one of the following is required: state, enabled, masked, daemon_reload, daemon_reexec")
	}
	if s.Name != "" {
		return nil
	}
	for arg, given := range map[string]bool{"state": s.State != "", "enabled": s.Enabled != nil, "masked": s.Masked != nil} {
		if given {
			return errors.New("missing parameter(s) required by '" + arg + "': name")
		}
	}
	return nil
}

// SystemdOut is the result of systemd.
type SystemdOut struct {
	Name    string            `json:"name,omitempty"`
	State   string            `json:"state,omitempty"`
	Enabled *bool             `json:"enabled,omitempty"`
	Status  map[string]string `json:"status"`
}

// Plan implements modules.Module.
func (s *Systemd) Plan(ctx context.Context, v modules.View) (plan, error) {
	out := &SystemdOut{Name: s.Name, Status: map[string]string{}}
	p := plan{Out: out}
	ctl, err := s.systemctl(ctx, v)
	if err != nil {
		return p, err
	}
	if s.DaemonReload {
		p.Steps = append(p.Steps, act("reload systemd", append(ctl, "daemon-reload")...))
	}
	if s.DaemonReexec {
		p.Steps = append(p.Steps, act("start systemd anew", append(ctl, "daemon-reexec")...))
	}
	if s.Name == "" {
		return p, nil
	}
	if out.Status, err = show(ctx, v, append(ctl, "show", s.Name)); err != nil {
		return p, err
	}
	found := out.Status["LoadState"] != "not-found" && out.Status["LoadState"] != ""
	if !found {
		if fi, err := stat(ctx, v, "/etc/init.d/"+s.Name); err != nil {
			return p, err
		} else if fi != nil && s.Scope == "system" {
			found = true
		}
	}
	if !found && (s.State != "" || s.Enabled != nil && *s.Enabled || s.Masked != nil && !*s.Masked) {
		// A unit a package of an earlier task brings may be missing from a check run.
		p.Steps = append(p.Steps, failing("find the unit "+s.Name, modules.Failf("Could not find the requested service %s: host", s.Name)))
		return p, nil
	}
	s.mask(&p, ctl, out)
	if err := s.enable(ctx, v, &p, ctl, out); err != nil {
		return p, err
	}
	s.state(&p, ctl, out)
	return p, nil
}

// systemctl is the command with its scope; for a user's units it must know where the
// user's systemd listens.
func (s *Systemd) systemctl(ctx context.Context, v modules.View) ([]string, error) {
	argv := []string{"systemctl"}
	switch s.Scope {
	case "user":
		argv = append(argv, "--user")
		env, err := v.Env(ctx)
		if err != nil {
			return nil, err
		}
		if env["XDG_RUNTIME_DIR"] == "" {
			me, err := v.Whoami(ctx)
			if err != nil {
				return nil, err
			}
			argv = append([]string{"env", "XDG_RUNTIME_DIR=/run/user/" + strconv.Itoa(me.UID)}, argv...)
		}
	case "global":
		argv = append(argv, "--global")
	}
	if s.NoBlock {
		argv = append(argv, "--no-block")
	}
	if s.Force {
		argv = append(argv, "--force")
	}
	return argv[:len(argv):len(argv)], nil
}

// act is a step that runs a command and is no change.
func act(title string, argv ...string) step {
	return step{Title: title, Effect: modules.Act, Do: func(ctx context.Context, t modules.Target) (bool, error) {
		_, err := mustRun(ctx, t, argv...)
		return false, err
	}}
}

// show reads a unit's properties. Values over several lines are in braces.
func show(ctx context.Context, v modules.View, argv []string) (map[string]string, error) {
	o, err := v.Query(ctx, argv...)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, modules.Failf(`Failed to find required executable "systemctl" in paths`)
	}
	if err != nil {
		return nil, err
	}
	props := map[string]string{}
	if o.RC != 0 {
		return props, nil
	}
	last := ""
	for line := range strings.Lines(o.Stdout) {
		line = strings.TrimSuffix(line, "\n")
		if last != "" {
			props[last] += "\n" + line
			if strings.HasSuffix(line, "}") {
				last = ""
			}
			continue
		}
		k, val, ok := strings.Cut(line, "=")
		if !ok {
			continue
		}
		props[k] = val
		if strings.HasPrefix(k, "Exec") && strings.HasPrefix(val, "{") && !strings.HasSuffix(val, "}") {
			last = k
		}
	}
	return props, nil
}

func (s *Systemd) mask(p *plan, ctl []string, out *SystemdOut) {
	masked := out.Status["LoadState"] == "masked"
	if s.Masked == nil || *s.Masked == masked {
		return
	}
	verb := "mask"
	if masked {
		verb = "unmask"
	}
	p.Steps = append(p.Steps, explained(command(verb+" "+s.Name, append(ctl, verb, s.Name)...), "Failed to "+verb+" service: "))
}

// explained puts words before the command's own when a step fails.
func explained(s step, words string) step {
	do := s.Do
	s.Do = func(ctx context.Context, t modules.Target) (bool, error) {
		changed, err := do(ctx, t)
		var f *modules.Failure
		if errors.As(err, &f) {
			f.Msg = words + f.Msg
		}
		return changed, err
	}
	return s
}

func (s *Systemd) enable(ctx context.Context, v modules.View, p *plan, ctl []string, out *SystemdOut) error {
	if s.Enabled == nil {
		return nil
	}
	enabled, err := s.enabled(ctx, v, ctl, out.Status["UnitFileState"])
	if err != nil {
		return err
	}
	out.Enabled = s.Enabled
	if enabled == *s.Enabled {
		return nil
	}
	verb := "disable"
	if *s.Enabled {
		verb = "enable"
	}
	p.Steps = append(p.Steps, explained(command(verb+" "+s.Name, append(ctl, verb, s.Name)...), "Unable to "+verb+" service "+s.Name+": "))
	return nil
}

// enabled answers as systemctl is-enabled does, which is asked only where the unit's own
// word does not tell: init scripts, and units outside the system's scope.
func (s *Systemd) enabled(ctx context.Context, v modules.View, ctl []string, state string) (bool, error) {
	if s.Scope != "global" {
		switch state {
		case "enabled", "enabled-runtime", "static":
			return true, nil
		case "disabled", "masked", "masked-runtime", "linked", "linked-runtime", "indirect", "alias":
			return false, nil
		}
	}
	o, err := v.Query(ctx, append(ctl, "is-enabled", s.Name, "-l")...)
	if err != nil {
		return false, err
	}
	word := strings.TrimSpace(o.Stdout)
	return o.RC == 0 && word != "indirect" && word != "alias", nil
}

func (s *Systemd) state(p *plan, ctl []string, out *SystemdOut) {
	active := out.Status["ActiveState"]
	running := active == "active" || active == "activating"
	verb := ""
	switch s.State {
	case "started":
		out.State = "started"
		if !running {
			verb = "start"
		}
	case "stopped":
		out.State = "stopped"
		if running || active == "deactivating" {
			verb = "stop"
		}
	case "restarted", "reloaded":
		out.State = "started"
		verb = strings.TrimSuffix(s.State, "ed")
		if !running {
			verb = "start"
		}
	}
	if verb == "" {
		return
	}
	st := explained(command(verb+" "+s.Name, append(ctl, verb, s.Name)...), "Unable to "+verb+" service "+s.Name+": ")
	st.Always = verb == "restart" || verb == "reload"
	p.Steps = append(p.Steps, st)
}
