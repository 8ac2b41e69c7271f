package container

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	apicontainer "github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/pkg/stdcopy"

	"orch/modules"
)

// Container makes, changes, starts, stops and removes a container. One whose options
// differ from those given is made anew; options that are not given are left alone.
type Container struct {
	Engine
	Settings
	// Name of the container.
	Name string `orch:"required"`
	// What it should be: there, running, running and healthy, stopped, or gone.
	State string `orch:"enum=absent|present|healthy|stopped|started,default=started"`
	// When the image is pulled: always, missing or never; true means always.
	Pull string `orch:"enum=always|missing|never|true|false,default=missing"`
	// Make it anew in any case.
	Recreate bool
	// Restart it in any case.
	Restart bool
	// Make it anew only if it is not there.
	ComparisonsOff bool `orch:"name=ignore_differences"`
	// Wait for it to end, and fail with its exit code.
	Detach bool `orch:"default=true"`
	// Remove it once it has ended (with detach: false).
	Cleanup bool
	// Output is the result even when it ends well.
	OutputLogs bool
	// Keep anonymous volumes when it is removed.
	KeepVolumes bool `orch:"default=true"`
	// Kill it instead of stopping it.
	ForceKill bool `orch:"alias=forcekill"`
	// Signal to kill it with.
	KillSignal string
	// Seconds it gets to stop.
	StopTimeout *int
	// Seconds to wait until it is healthy.
	HealthyWaitTimeout float64 `orch:"default=300"`
	// How options are compared, by option or for all (*): strict, ignore, or for sets
	// allow_more_present, which is the default for them.
	Comparisons map[string]string
	// Networks it belongs to, and no others when networks_cli_compatible.
	Networks []ContainerNetwork
	// Leave other networks.
	PurgeNetworks bool
	// Accepted and void: the networks given are the networks.
	NetworksCliCompatible *bool
}

// ContainerNetwork is a network of a container.
type ContainerNetwork struct {
	// Name of the network.
	Name string `orch:"required"`
	// Its address there.
	IPv4Address string `orch:"name=ipv4_address"`
	// Its IPv6 address there.
	IPv6Address string `orch:"name=ipv6_address"`
	// Further names it has there.
	Aliases []string
}

// ContainerOut is what the task registers.
type ContainerOut struct {
	Container map[string]any `json:"container" orch:"after"`
	Status    *int           `json:"status,omitempty" orch:"after"`
	Output    string         `json:"output,omitempty" orch:"after"`
}

// Validate implements modules.Validator.
func (c *Container) Validate() error {
	if c.State == "absent" {
		return c.validate()
	}
	return errors.Join(c.check(), checkComparisons(c.Comparisons), c.validate())
}

func (v *View) container(ctx context.Context, name string) (*apicontainer.InspectResponse, error) {
	got, err := v.cli.ContainerInspect(ctx, name)
	if errdefs.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, explain(err)
	}
	return &got, nil
}

func running(c *apicontainer.InspectResponse) bool {
	return c != nil && c.State != nil && c.State.Running
}

// Plan implements Module.
func (c *Container) Plan(ctx context.Context, v *View) (modules.Plan[*Target], error) {
	out := &ContainerOut{}
	plan := modules.Plan[*Target]{Out: out}
	have, err := v.container(ctx, c.Name)
	if err != nil {
		return plan, err
	}
	if have != nil {
		out.Container = asMap(have)
	}
	if c.State == "absent" {
		if have != nil {
			plan.Steps = append(plan.Steps, c.removeStep("remove container "+c.Name))
		}
		return plan, nil
	}
	if have == nil && c.Image == "" {
		return plan, modules.Failf("cannot make container %s: image is missing", c.Name)
	}
	if err := c.imageStep(ctx, v, &plan); err != nil {
		return plan, err
	}
	fresh := have == nil
	if have != nil && !c.ComparisonsOff {
		diffs, err := c.differences(ctx, v, have)
		if err != nil {
			return plan, err
		}
		if len(diffs) > 0 || c.Recreate {
			step := c.removeStep("remove container " + c.Name + ": " + orText(diffs, "recreate"))
			step.Diff = diffText(c.Name, diffs)
			plan.Steps = append(plan.Steps, step)
			fresh = true
		}
	}
	if fresh {
		plan.Steps = append(plan.Steps, modules.Step[*Target]{
			Title: "make container " + c.Name + " of " + c.Image,
			Do:    func(ctx context.Context, t *Target) (bool, error) { return true, c.create(ctx, t) },
		})
	}
	c.stateSteps(&plan, have, fresh, out)
	return plan, nil
}

func orText(diffs []difference, other string) string {
	if len(diffs) == 0 {
		return other
	}
	var names []string
	for _, d := range diffs {
		names = append(names, d.option)
	}
	if len(names) == 1 {
		return names[0] + " differs"
	}
	return strings.Join(names, ", ") + " differ"
}

func diffText(name string, diffs []difference) *modules.Diff {
	d := &modules.Diff{BeforeHeader: name, AfterHeader: name}
	for _, x := range diffs {
		d.Before += fmt.Sprintf("%s: %v\n", x.option, x.have)
		d.After += fmt.Sprintf("%s: %v\n", x.option, x.want)
	}
	return d
}

// imageStep pulls the image where that is asked for.
func (c *Container) imageStep(ctx context.Context, v *View, plan *modules.Plan[*Target]) error {
	if c.Image == "" {
		return nil
	}
	always := c.Pull == "always" || c.Pull == "true"
	img, err := v.find(ctx, fullName(c.Image, ""))
	if err != nil {
		return err
	}
	switch {
	case img != nil && !always || v.would(fullName(c.Image, "")):
		return nil
	case img == nil && (c.Pull == "never" || c.Pull == "false"):
		return modules.Failf("there is no image %s on %s, and pull is %s", c.Image, v.site.Host(), c.Pull)
	}
	effect := modules.Change
	if img != nil {
		effect = modules.Maybe
	}
	plan.Steps = append(plan.Steps, modules.Step[*Target]{
		Title: "pull image " + c.Image, Effect: effect,
		Do: func(ctx context.Context, t *Target) (bool, error) {
			name := fullName(c.Image, "")
			stream, err := t.cli.ImagePull(ctx, name, image.PullOptions{RegistryAuth: t.authFor(name)})
			if err != nil {
				return false, explain(err)
			}
			return t.progress(stream, nil, nil)
		},
	})
	return nil
}

// stateSteps start or stop the container.
func (c *Container) stateSteps(plan *modules.Plan[*Target], have *apicontainer.InspectResponse, fresh bool, out *ContainerOut) {
	add := func(title string, effect modules.Effect, do func(ctx context.Context, t *Target) error) {
		plan.Steps = append(plan.Steps, modules.Step[*Target]{
			Title: title, Effect: effect,
			Do: func(ctx context.Context, t *Target) (bool, error) {
				err := do(ctx, t)
				if now, ierr := t.container(ctx, c.Name); ierr == nil && now != nil {
					out.Container = asMap(now)
				}
				return effect == modules.Change, err
			},
		})
	}
	up := running(have) && !fresh
	switch c.State {
	case "started", "healthy":
		switch {
		case !up:
			add("start container "+c.Name, modules.Change, func(ctx context.Context, t *Target) error { return c.start(ctx, t, out) })
		case c.Restart:
			add("restart container "+c.Name, modules.Change, func(ctx context.Context, t *Target) error {
				return explain(t.cli.ContainerRestart(ctx, c.Name, apicontainer.StopOptions{Timeout: c.StopTimeout}))
			})
		}
		if c.State == "healthy" {
			add("wait until container "+c.Name+" is healthy", modules.Act, c.healthy)
		}
	case "stopped":
		if up {
			add("stop container "+c.Name, modules.Change, c.stop)
		}
	}
	if c.State == "present" && fresh {
		add("look at container "+c.Name, modules.Act, func(context.Context, *Target) error { return nil })
	}
}

func (c *Container) removeStep(title string) modules.Step[*Target] {
	return modules.Step[*Target]{
		Title: title,
		Do: func(ctx context.Context, t *Target) (bool, error) {
			have, err := t.container(ctx, c.Name)
			if err != nil || have == nil {
				return true, err
			}
			if running(have) {
				if err := c.stop(ctx, t); err != nil {
					return false, err
				}
			}
			err = t.cli.ContainerRemove(ctx, c.Name, apicontainer.RemoveOptions{RemoveVolumes: !c.KeepVolumes, Force: c.ForceKill})
			if err != nil && !errdefs.IsNotFound(err) {
				return false, explain(err)
			}
			return true, nil
		},
	}
}

func (c *Container) stop(ctx context.Context, t *Target) error {
	if c.ForceKill {
		return explain(t.cli.ContainerKill(ctx, c.Name, c.KillSignal))
	}
	return explain(t.cli.ContainerStop(ctx, c.Name, apicontainer.StopOptions{Timeout: c.StopTimeout}))
}

func (c *Container) create(ctx context.Context, t *Target) error {
	config, host, err := c.specs()
	if err != nil {
		return modules.Failf("%v", err)
	}
	var nets *network.NetworkingConfig
	if len(c.Networks) > 0 {
		first := c.Networks[0]
		nets = &network.NetworkingConfig{EndpointsConfig: map[string]*network.EndpointSettings{first.Name: first.endpoint()}}
		if c.NetworkMode == "" {
			host.NetworkMode = apicontainer.NetworkMode(first.Name)
		}
	}
	made, err := t.cli.ContainerCreate(ctx, config, host, nets, nil, c.Name)
	if err != nil {
		return explain(err)
	}
	for _, w := range made.Warnings {
		t.site.Emit(w)
	}
	for _, n := range c.Networks[min(1, len(c.Networks)):] {
		if err := t.cli.NetworkConnect(ctx, n.Name, made.ID, n.endpoint()); err != nil {
			return explain(err)
		}
	}
	return nil
}

func (n ContainerNetwork) endpoint() *network.EndpointSettings {
	e := &network.EndpointSettings{Aliases: n.Aliases}
	if n.IPv4Address != "" || n.IPv6Address != "" {
		e.IPAMConfig = &network.EndpointIPAMConfig{IPv4Address: n.IPv4Address, IPv6Address: n.IPv6Address}
	}
	return e
}

// start starts the container. One that ends at once has failed to start: its last lines
// say why.
func (c *Container) start(ctx context.Context, t *Target, out *ContainerOut) error {
	if err := t.cli.ContainerStart(ctx, c.Name, apicontainer.StartOptions{}); err != nil {
		return explain(err)
	}
	if !c.Detach {
		return c.follow(ctx, t, out)
	}
	for range 5 { // a program with a mistake ends within moments
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(60 * time.Millisecond):
		}
		now, err := t.container(ctx, c.Name)
		if err != nil {
			return err
		}
		if now != nil && now.State != nil && !now.State.Running && now.State.ExitCode != 0 {
			return modules.Failf("container %s ended with %d right after its start\n%s", c.Name, now.State.ExitCode, t.logs(ctx, c.Name, 25))
		}
	}
	return nil
}

// follow waits for the container's end.
func (c *Container) follow(ctx context.Context, t *Target, out *ContainerOut) error {
	done, errs := t.cli.ContainerWait(ctx, c.Name, apicontainer.WaitConditionNotRunning)
	var code int
	select {
	case err := <-errs:
		return explain(err)
	case end := <-done:
		code = int(end.StatusCode)
	}
	out.Status, out.Output = &code, t.logs(ctx, c.Name, 1000)
	if c.Cleanup {
		if err := t.cli.ContainerRemove(ctx, c.Name, apicontainer.RemoveOptions{RemoveVolumes: !c.KeepVolumes, Force: true}); err != nil {
			return explain(err)
		}
	}
	if code != 0 {
		return &modules.Failure{Msg: fmt.Sprintf("container %s ended with %d", c.Name, code), RC: &code, Stdout: out.Output}
	}
	return nil
}

// logs reads the last lines a container has printed.
func (t *Target) logs(ctx context.Context, name string, lines int) string {
	r, err := t.cli.ContainerLogs(ctx, name, apicontainer.LogsOptions{ShowStdout: true, ShowStderr: true, Tail: fmt.Sprint(lines)})
	if err != nil {
		return ""
	}
	defer r.Close()
	var b strings.Builder
	_, _ = stdcopy.StdCopy(&b, &b, r) // what could be read is worth showing
	return strings.TrimRight(b.String(), "\n")
}

func (c *Container) healthy(ctx context.Context, t *Target) error {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(c.HealthyWaitTimeout*float64(time.Second)))
	defer cancel()
	for {
		now, err := t.container(ctx, c.Name)
		if err != nil {
			return err
		}
		switch {
		case now == nil || now.State == nil:
			return modules.Failf("container %s is gone", c.Name)
		case now.State.Health == nil:
			return modules.Failf("container %s has no health check", c.Name)
		case now.State.Health.Status == "healthy":
			return nil
		case now.State.Health.Status == "unhealthy" || !now.State.Running:
			return modules.Failf("container %s is %s\n%s", c.Name, now.State.Health.Status, t.logs(ctx, c.Name, 25))
		}
		select {
		case <-ctx.Done():
			return modules.Failf("container %s is not healthy after %gs", c.Name, c.HealthyWaitTimeout)
		case <-time.After(250 * time.Millisecond):
		}
	}
}

// ContainerInfo reads a container.
type ContainerInfo struct {
	Engine
	// Name or ID of the container.
	Name string `orch:"required"`
}

// ContainerInfoOut is what the task registers.
type ContainerInfoOut struct {
	Exists    bool           `json:"exists"`
	Container map[string]any `json:"container"`
}

// Validate implements modules.Validator.
func (c *ContainerInfo) Validate() error { return c.validate() }

// Plan implements Module.
func (c *ContainerInfo) Plan(ctx context.Context, v *View) (modules.Plan[*Target], error) {
	have, err := v.container(ctx, c.Name)
	if err != nil {
		return modules.Plan[*Target]{}, err
	}
	out := &ContainerInfoOut{Exists: have != nil}
	if have != nil {
		out.Container = asMap(have)
	}
	return modules.Plan[*Target]{Out: out}, nil
}

func sortedCopy(list []string) []string {
	out := slices.Clone(list)
	slices.Sort(out)
	return out
}
