package host

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"orch/modules"
)

// Sysvinit manages services by their init scripts.
type Sysvinit struct {
	// Name of the service.
	Name string `orch:"required,alias=service"`
	// State of the service; restarted and reloaded always act.
	State string `orch:"enum=started|stopped|restarted|reloaded"`
	// Whether it starts at boot.
	Enabled *bool
	// Seconds between stop and start of a restart.
	Sleep int `orch:"default=1"`
	// Text in the list of processes that shows it runs, where the script cannot tell.
	Pattern string
	// Run levels to be enabled in; the default is those of the script.
	Runlevels []string
	// Further arguments for the script.
	Arguments string `orch:"alias=args"`
	// The script does not detach. Not supported.
	Daemonize bool
}

// Validate implements modules.Validator.
func (s *Sysvinit) Validate() error {
	switch {
	case s.Daemonize:
		return errors.New("daemonize is not supported")
	case s.State == "" && s.Enabled == nil:
		return errors.New("one of the following is required: state, enabled")
	}
	return nil
}

// SysvOut is the result of sysvinit.
type SysvOut struct {
	Name    string `json:"name"`
	State   string `json:"state,omitempty"`
	Enabled *bool  `json:"enabled,omitempty"`
}

// Plan implements modules.Module.
func (s *Sysvinit) Plan(ctx context.Context, v modules.View) (plan, error) {
	out := &SysvOut{Name: s.Name, Enabled: s.Enabled}
	p := plan{Out: out}
	script := "/etc/init.d/" + s.Name
	fi, err := stat(ctx, v, script)
	if err != nil {
		return p, err
	}
	if fi == nil {
		p.Steps = []step{failing("find the service "+s.Name, modules.Failf("Could not find the requested service %s: ", s.Name))}
		return p, nil
	}
	if s.Enabled != nil {
		enabled, err := s.isEnabled(ctx, v)
		if err != nil {
			return p, err
		}
		if enabled != *s.Enabled {
			p.Steps = append(p.Steps, s.enable())
		}
	}
	return p, s.state(ctx, v, &p, out, script)
}

// isEnabled looks for a start link in the folders of the run levels.
func (s *Sysvinit) isEnabled(ctx context.Context, v modules.View) (bool, error) {
	levels := s.Runlevels
	if levels == nil {
		levels = []string{"2", "3", "4", "5", "S"}
	}
	n := 0
	for _, level := range levels {
		found, err := glob(ctx, v, "/etc/rc"+level+".d/S??"+s.Name)
		if err != nil {
			return false, err
		}
		n += min(1, len(found))
	}
	return n > 0 && (s.Runlevels == nil || n == len(levels)), nil
}

func (s *Sysvinit) enable() step {
	verb := "disable"
	if *s.Enabled {
		verb = "enable"
	}
	return step{Title: verb + " " + s.Name, Do: func(ctx context.Context, t modules.Target) (bool, error) {
		tool, err := t.LookPath(ctx, "update-rc.d")
		if err != nil {
			return false, err
		}
		if tool != "" {
			if *s.Enabled {
				if _, err := mustRun(ctx, t, "update-rc.d", s.Name, "defaults"); err != nil {
					return false, err
				}
			}
			_, err = mustRun(ctx, t, append([]string{"update-rc.d", s.Name, verb}, s.Runlevels...)...)
			return true, err
		}
		argv := []string{"chkconfig"}
		if s.Runlevels != nil {
			argv = append(argv, "--level", strings.Join(s.Runlevels, ""))
		}
		word := map[bool]string{true: "on", false: "off"}[*s.Enabled]
		_, err = mustRun(ctx, t, append(argv, s.Name, word)...)
		return true, err
	}}
}

func (s *Sysvinit) state(ctx context.Context, v modules.View, p *plan, out *SysvOut, script string) error {
	if s.State == "" {
		return nil
	}
	running, err := s.running(ctx, v, script)
	if err != nil {
		return err
	}
	out.State = "started"
	run := func(verb string, always bool) {
		argv := append([]string{script, verb}, strings.Fields(s.Arguments)...)
		st := command(verb+" "+s.Name, argv...)
		st.Always = always
		p.Steps = append(p.Steps, st)
	}
	switch {
	case s.State == "stopped":
		out.State = "stopped"
		if running {
			run("stop", false)
		}
	case !running:
		run("start", false)
	case s.State == "reloaded":
		run("reload", true)
	case s.State == "restarted":
		run("stop", true)
		stop := p.Steps[len(p.Steps)-1].Do
		p.Steps[len(p.Steps)-1].Do = func(ctx context.Context, t modules.Target) (bool, error) {
			changed, err := stop(ctx, t)
			if err == nil {
				err = pause(ctx, time.Duration(s.Sleep)*time.Second)
			}
			return changed, err
		}
		run("start", true)
	}
	return nil
}

// running asks the script, or the list of processes.
func (s *Sysvinit) running(ctx context.Context, v modules.View, script string) (bool, error) {
	if s.Pattern != "" {
		o, err := v.Query(ctx, "ps", "-ef")
		if err != nil {
			return false, err
		}
		return slices.ContainsFunc(strings.Split(o.Stdout, "\n"), func(line string) bool { return strings.Contains(line, s.Pattern) }), nil
	}
	o, err := v.Query(ctx, script, "status")
	if err != nil {
		return false, fmt.Errorf("status of %s: %w", s.Name, err)
	}
	text := strings.ToLower(o.Stdout)
	switch {
	case strings.Contains(text, "not running") || strings.Contains(text, "stopped") || strings.Contains(text, "dead"):
		return false, nil
	case strings.Contains(text, "running") || strings.Contains(text, "is active"):
		return true, nil
	}
	return o.RC == 0, nil
}

// pause waits, or until ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
