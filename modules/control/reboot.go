package control

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"orch/modules"
	"orch/modules/host"
)

// Reboot restarts the host and waits until it is back.
type Reboot struct {
	// Seconds to wait before the restart.
	PreRebootDelay int
	// Seconds to wait after it before trying to connect.
	PostRebootDelay int
	// Seconds the host may take.
	RebootTimeout int `orch:"default=600,alias=reboot_timeout_sec"`
	// Seconds one attempt to connect may take.
	ConnectTimeout *int `orch:"alias=connect_timeout_sec"`
	// Command that must succeed when the host is back.
	TestCommand string `orch:"default=whoami"`
	// Message to the users who are logged in.
	Msg string `orch:"default=Reboot initiated by Ansible"`
	// Folders to look for shutdown in.
	SearchPaths []string `orch:"default=/sbin|/bin|/usr/sbin|/usr/bin|/usr/local/sbin"`
	// Command whose output changes with every boot.
	BootTimeCommand string `orch:"default=cat /proc/sys/kernel/random/boot_id"`
	// Command that restarts the host, instead of shutdown -r.
	RebootCommand string
}

// RebootOut is the result of reboot.
type RebootOut struct {
	Rebooted bool `json:"rebooted" orch:"after"`
	Elapsed  int  `json:"elapsed" orch:"after"`
}

// Plan implements modules.Module.
func (r *Reboot) Plan(_ context.Context, v View) (plan, error) {
	if c, ok, err := v.Var("ansible_connection"); err == nil && ok {
		if s := fmt.Sprint(c); strings.Contains(s, "local") {
			return plan{}, modules.Failf("Running reboot with local connection would reboot the control node.")
		}
	}
	out := &RebootOut{}
	return plan{Out: out, Steps: []step{{Title: "reboot", Always: true, Do: func(ctx context.Context, t Target) (bool, error) {
		start := time.Now()
		err := r.reboot(ctx, t)
		out.Elapsed, out.Rebooted = int(time.Since(start).Seconds()), err == nil
		return true, err
	}}}}, nil
}

func (r *Reboot) reboot(ctx context.Context, t Target) error {
	before, err := r.bootID(ctx, t)
	if err != nil {
		return modules.Failf("%s", err)
	}
	if err := r.shutdown(ctx, t); err != nil {
		return err
	}
	if err := sleep(ctx, time.Duration(r.PostRebootDelay)*time.Second); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(r.RebootTimeout)*time.Second)
	defer cancel()
	wait := r.attempt()
	err = retry(ctx, t, wait, func(ctx context.Context) error {
		now, err := r.bootID(ctx, t)
		if err == nil && now == before {
			return errors.New("boot time has not changed")
		}
		return err
	})
	if err != nil {
		return timedOut("Timed out waiting for last boot time check", r.RebootTimeout, err)
	}
	err = retry(ctx, t, wait, func(ctx context.Context) error {
		rc, stdout, stderr, err := execute(ctx, t, "/bin/sh", "-c", r.TestCommand)
		if err == nil && rc != 0 {
			err = fmt.Errorf("Test command failed: %s %s", stderr, stdout) //nolint:staticcheck // Ansible's words
		}
		return err
	})
	if err != nil {
		return timedOut("Timed out waiting for post-reboot test command", r.RebootTimeout, err)
	}
	return nil
}

func (r *Reboot) attempt() time.Duration {
	if r.ConnectTimeout != nil {
		return time.Duration(*r.ConnectTimeout) * time.Second
	}
	return 20 * time.Second
}

func timedOut(what string, seconds int, err error) error {
	return &modules.Failure{Msg: fmt.Sprintf("%s (timeout=%d)", what, seconds), Hint: err.Error()}
}

func (r *Reboot) bootID(ctx context.Context, t Target) (string, error) {
	rc, stdout, stderr, err := execute(ctx, t, "/bin/sh", "-c", r.BootTimeCommand)
	if err != nil {
		return "", err
	}
	if rc != 0 {
		return "", fmt.Errorf("reboot: failed to get host boot time info, rc: %d, stdout: %s, stderr: %s", rc, stdout, stderr)
	}
	return strings.TrimSpace(stdout), nil
}

// shutdown starts the restart. The connection may go away before the command answers.
func (r *Reboot) shutdown(ctx context.Context, t Target) error {
	line := r.RebootCommand
	if line == "" {
		var dirs []string
		for _, dir := range r.SearchPaths {
			dirs = append(dirs, strings.TrimRight(dir, "/")+"/shutdown")
		}
		minutes := r.PreRebootDelay / 60
		line = fmt.Sprintf("for p in %s; do if [ -x \"$p\" ]; then exec \"$p\" -r %d '%s'; fi; done; echo 'Unable to find command \"shutdown\" in search paths' >&2; exit 127",
			strings.Join(dirs, " "), minutes, strings.ReplaceAll(r.Msg, "'", `'\''`))
	}
	rc, stdout, stderr, err := execute(ctx, t, "/bin/sh", "-c", line)
	if err == nil && rc != 0 {
		return &modules.Failure{Msg: "Reboot command failed. Error was: '" + strings.TrimSpace(stdout+", "+stderr) + "'", RC: &rc, Stderr: stderr}
	}
	t.Reconnect()
	return nil
}

// retry tries until ctx ends, pausing longer each time up to 12 seconds, on a new
// connection after each failure. It returns the last error.
func retry(ctx context.Context, t Target, each time.Duration, try func(ctx context.Context) error) error {
	pause := time.Second
	for {
		one, cancel := context.WithTimeout(ctx, each)
		err := try(one)
		cancel()
		if err == nil {
			return nil
		}
		t.Reconnect()
		if sleep(ctx, pause) != nil {
			return err
		}
		pause = min(pause*2, 12*time.Second)
	}
}

// WaitForConnection waits until the host can be reached and the helper works.
type WaitForConnection struct {
	// Seconds one attempt may take.
	ConnectTimeout int `orch:"default=5"`
	// Seconds before the first attempt.
	Delay int
	// Seconds between attempts.
	Sleep int `orch:"default=1"`
	// Seconds to wait in all.
	Timeout int `orch:"default=600"`
}

// ElapsedOut is a result that tells how long something took.
type ElapsedOut struct {
	Elapsed int `json:"elapsed" orch:"after"`
}

// Plan implements modules.Module.
func (w *WaitForConnection) Plan(context.Context, View) (plan, error) {
	out := &ElapsedOut{}
	return plan{Out: out, Steps: []step{{Title: "wait for the connection", Effect: modules.Act, Do: func(ctx context.Context, t Target) (bool, error) {
		start := time.Now()
		err := w.wait(ctx, t)
		out.Elapsed = int(time.Since(start).Seconds())
		return false, err
	}}}}, nil
}

func (w *WaitForConnection) wait(ctx context.Context, t Target) error {
	if err := sleep(ctx, time.Duration(w.Delay)*time.Second); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(w.Timeout)*time.Second)
	defer cancel()
	for {
		t.Reconnect()
		one, done := context.WithTimeout(ctx, time.Duration(w.ConnectTimeout)*time.Second)
		res, err := t.Run(one, "ansible.builtin.ping", &host.Ping{Data: "pong"})
		done()
		if err == nil && res.Failure == nil {
			return nil
		}
		if err == nil {
			err = res.Failure
		}
		if sleep(ctx, time.Duration(w.Sleep)*time.Second) != nil {
			return modules.Failf("timed out waiting for ping module test: %s", err)
		}
	}
}
