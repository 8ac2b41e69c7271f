package container

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"

	"orch/modules"
)

func isText(raw modules.Raw) bool { return len(raw) > 0 && raw[0] == '"' }

// words reads an option that is text to be split or a list.
func words(raw modules.Raw) ([]string, error) {
	if len(raw) == 0 {
		return nil, nil
	}
	var list []any
	if json.Unmarshal(raw, &list) == nil {
		var out []string
		for _, item := range list {
			out = append(out, fmt.Sprint(item))
		}
		return out, nil
	}
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return nil, fmt.Errorf("want text or a list, not %s", raw)
	}
	return split(text)
}

// split splits text as a shell would.
func split(s string) ([]string, error) {
	var out []string
	var word []byte
	in, quote := false, byte(0)
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case quote != 0:
			switch {
			case c == quote:
				quote = 0
			case c == '\\' && quote == '"' && i+1 < len(s) && (s[i+1] == '"' || s[i+1] == '\\'):
				i++
				word = append(word, s[i])
			default:
				word = append(word, c)
			}
		case c == ' ' || c == '\t' || c == '\n':
			if in {
				out, word, in = append(out, string(word)), nil, false
			}
		default:
			in = true
			switch {
			case c == '\'' || c == '"':
				quote = c
			case c == '\\' && i+1 < len(s):
				i++
				word = append(word, s[i])
			default:
				word = append(word, c)
			}
		}
	}
	if quote != 0 {
		return nil, fmt.Errorf("no closing quotation in %q", s)
	}
	if in {
		out = append(out, string(word))
	}
	return out, nil
}

// Network makes and removes networks of the engine.
type Network struct {
	Engine
	// Name of the network.
	Name string `orch:"required,alias=network_name"`
	// Whether it is there.
	State string `orch:"enum=present|absent,default=present"`
	// Its driver.
	Driver string `orch:"default=bridge"`
	// Options of the driver.
	DriverOptions map[string]string
	// Whether it has IPv6.
	EnableIPv6 *bool `orch:"name=enable_ipv6"`
	// Driver of its addresses.
	IPAMDriver string `orch:"name=ipam_driver"`
	// Its subnets.
	IPAMConfig []Subnet `orch:"name=ipam_config"`
	// Whether it is cut off from other networks.
	Internal *bool
	// Whether containers may join it by hand.
	Attachable *bool
	// Where it is valid.
	Scope string `orch:"enum=local|global|swarm"`
	// Labels.
	Labels map[string]string
	// Containers in it.
	Connected []string `orch:"alias=containers"`
	// Leave containers that are not named in it.
	Appends bool `orch:"alias=incremental"`
	// Make it anew in any case; its containers leave and join again.
	Force bool
}

// Subnet is an address range of a network.
type Subnet struct {
	// The range: 10.5.0.0/24.
	Subnet string
	// The part of it that containers get.
	IPRange string `orch:"name=iprange"`
	// Its gateway.
	Gateway string
	// Addresses that are taken.
	AuxAddresses map[string]string
}

// NetworkOut is what the task registers.
type NetworkOut struct {
	Network map[string]any `json:"network" orch:"after"`
}

// Validate implements modules.Validator.
func (n *Network) Validate() error { return n.validate() }

func (v *View) network(ctx context.Context, name string) (*network.Inspect, error) {
	got, err := v.cli.NetworkInspect(ctx, name, network.InspectOptions{})
	if errdefs.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, explain(err)
	}
	return &got, nil
}

// Plan implements Module.
func (n *Network) Plan(ctx context.Context, v *View) (modules.Plan[*Target], error) {
	out := &NetworkOut{}
	plan := modules.Plan[*Target]{Out: out}
	have, err := v.network(ctx, n.Name)
	if err != nil {
		return plan, err
	}
	if have != nil {
		out.Network = asMap(have)
	}
	remove := modules.Step[*Target]{Title: "remove network " + n.Name, Do: func(ctx context.Context, t *Target) (bool, error) {
		for id := range have.Containers {
			if err := t.cli.NetworkDisconnect(ctx, n.Name, id, true); err != nil {
				return false, explain(err)
			}
		}
		return true, explain(t.cli.NetworkRemove(ctx, n.Name))
	}}
	if n.State == "absent" {
		if have != nil {
			plan.Steps = append(plan.Steps, remove)
		}
		return plan, nil
	}
	diffs := n.differences(have)
	if have != nil && (n.Force || len(diffs) > 0) {
		remove.Title += ": " + orText(diffs, "force")
		remove.Diff = diffText(n.Name, diffs)
		plan.Steps = append(plan.Steps, remove)
	}
	if have == nil || n.Force || len(diffs) > 0 {
		plan.Steps = append(plan.Steps, modules.Step[*Target]{Title: "make network " + n.Name, Do: func(ctx context.Context, t *Target) (bool, error) {
			return true, n.create(ctx, t, have, out)
		}})
	}
	n.members(&plan, have)
	return plan, nil
}

func (n *Network) create(ctx context.Context, t *Target, was *network.Inspect, out *NetworkOut) error {
	opts := network.CreateOptions{Driver: n.Driver, Options: n.DriverOptions, EnableIPv6: n.EnableIPv6, Labels: n.Labels, Scope: n.Scope}
	if n.Internal != nil {
		opts.Internal = *n.Internal
	}
	if n.Attachable != nil {
		opts.Attachable = *n.Attachable
	}
	if n.IPAMDriver != "" || len(n.IPAMConfig) > 0 {
		opts.IPAM = &network.IPAM{Driver: n.IPAMDriver, Config: n.ipam()}
	}
	if _, err := t.cli.NetworkCreate(ctx, n.Name, opts); err != nil {
		return explain(err)
	}
	if was != nil {
		for id := range was.Containers {
			if err := t.cli.NetworkConnect(ctx, n.Name, id, nil); err != nil {
				return explain(err)
			}
		}
	}
	if now, err := t.network(ctx, n.Name); err == nil && now != nil {
		out.Network = asMap(now)
	}
	return nil
}

func (n *Network) ipam() []network.IPAMConfig {
	var list []network.IPAMConfig
	for _, s := range n.IPAMConfig {
		list = append(list, network.IPAMConfig{Subnet: s.Subnet, IPRange: s.IPRange, Gateway: s.Gateway, AuxAddress: s.AuxAddresses})
	}
	return list
}

// differences compares the options given with a network.
func (n *Network) differences(have *network.Inspect) []difference {
	if have == nil {
		return nil
	}
	var diffs []difference
	cmp := func(option string, given bool, want, have any) {
		if given && !reflect.DeepEqual(want, have) {
			diffs = append(diffs, difference{option, want, have})
		}
	}
	cmp("driver", true, n.Driver, have.Driver)
	for k, want := range n.DriverOptions {
		cmp("driver_options."+k, true, want, have.Options[k])
	}
	for k, want := range n.Labels {
		cmp("labels."+k, true, want, have.Labels[k])
	}
	if n.EnableIPv6 != nil {
		cmp("enable_ipv6", true, *n.EnableIPv6, have.EnableIPv6)
	}
	if n.Internal != nil {
		cmp("internal", true, *n.Internal, have.Internal)
	}
	if n.Attachable != nil {
		cmp("attachable", true, *n.Attachable, have.Attachable)
	}
	for i, want := range n.ipam() {
		if i >= len(have.IPAM.Config) {
			diffs = append(diffs, difference{"ipam_config", want.Subnet, "none"})
			continue
		}
		got := have.IPAM.Config[i]
		cmp("ipam_config.subnet", want.Subnet != "", want.Subnet, got.Subnet)
		cmp("ipam_config.gateway", want.Gateway != "", want.Gateway, got.Gateway)
		cmp("ipam_config.iprange", want.IPRange != "", want.IPRange, got.IPRange)
	}
	return diffs
}

// members lets containers join, and others leave unless appends is set.
func (n *Network) members(plan *modules.Plan[*Target], have *network.Inspect) {
	if n.Connected == nil {
		return
	}
	in := map[string]bool{}
	if have != nil {
		for _, e := range have.Containers {
			in[e.Name] = true
		}
	}
	wanted := map[string]bool{}
	for _, name := range n.Connected {
		wanted[name] = true
		if !in[name] {
			plan.Steps = append(plan.Steps, modules.Step[*Target]{
				Title: "connect container " + name + " to network " + n.Name,
				Do: func(ctx context.Context, t *Target) (bool, error) {
					return true, explain(t.cli.NetworkConnect(ctx, n.Name, name, nil))
				},
			})
		}
	}
	for name := range in {
		if !wanted[name] && !n.Appends {
			plan.Steps = append(plan.Steps, modules.Step[*Target]{
				Title: "disconnect container " + name + " from network " + n.Name,
				Do: func(ctx context.Context, t *Target) (bool, error) {
					return true, explain(t.cli.NetworkDisconnect(ctx, n.Name, name, true))
				},
			})
		}
	}
}

// NetworkInfo reads a network.
type NetworkInfo struct {
	Engine
	// Name or ID of the network.
	Name string `orch:"required"`
}

// NetworkInfoOut is what the task registers.
type NetworkInfoOut struct {
	Exists  bool           `json:"exists"`
	Network map[string]any `json:"network"`
}

// Validate implements modules.Validator.
func (n *NetworkInfo) Validate() error { return n.validate() }

// Plan implements Module.
func (n *NetworkInfo) Plan(ctx context.Context, v *View) (modules.Plan[*Target], error) {
	have, err := v.network(ctx, n.Name)
	if err != nil {
		return modules.Plan[*Target]{}, err
	}
	out := &NetworkInfoOut{Exists: have != nil}
	if have != nil {
		out.Network = asMap(have)
	}
	return modules.Plan[*Target]{Out: out}, nil
}

// Volume makes and removes volumes of the engine.
type Volume struct {
	Engine
	// Name of the volume.
	Name string `orch:"required,alias=volume_name"`
	// Whether it is there.
	State string `orch:"enum=present|absent,default=present"`
	// Its driver.
	Driver string `orch:"default=local"`
	// Options of the driver.
	DriverOptions map[string]string
	// Labels.
	Labels map[string]string
	// When a volume that differs is made anew, losing its data.
	Recreate string `orch:"enum=always|never|options-changed,default=never"`
}

// VolumeOut is what the task registers.
type VolumeOut struct {
	Volume map[string]any `json:"volume" orch:"after"`
}

// Validate implements modules.Validator.
func (m *Volume) Validate() error { return m.validate() }

func (v *View) volume(ctx context.Context, name string) (*volume.Volume, error) {
	got, err := v.cli.VolumeInspect(ctx, name)
	if errdefs.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, explain(err)
	}
	return &got, nil
}

// Plan implements Module.
func (m *Volume) Plan(ctx context.Context, v *View) (modules.Plan[*Target], error) {
	out := &VolumeOut{}
	plan := modules.Plan[*Target]{Out: out}
	have, err := v.volume(ctx, m.Name)
	if err != nil {
		return plan, err
	}
	if have != nil {
		out.Volume = asMap(have)
	}
	remove := modules.Step[*Target]{
		Title: "remove volume " + m.Name,
		Do: func(ctx context.Context, t *Target) (bool, error) {
			return true, explain(t.cli.VolumeRemove(ctx, m.Name, false))
		},
	}
	differs := false
	if have != nil {
		differs = have.Driver != m.Driver
		for k, want := range m.DriverOptions {
			differs = differs || have.Options[k] != want
		}
		for k, want := range m.Labels {
			differs = differs || have.Labels[k] != want
		}
	}
	switch {
	case m.State == "absent":
		if have != nil {
			plan.Steps = append(plan.Steps, remove)
		}
		return plan, nil
	case have != nil && (m.Recreate == "always" || differs && m.Recreate == "options-changed"):
		plan.Steps = append(plan.Steps, remove)
	case have != nil:
		if differs {
			plan.Warnings = append(plan.Warnings, "volume "+m.Name+" has other options than asked for; recreate: options-changed makes it anew, without its data")
		}
		return plan, nil
	}
	plan.Steps = append(plan.Steps, modules.Step[*Target]{
		Title: "make volume " + m.Name,
		Do: func(ctx context.Context, t *Target) (bool, error) {
			got, err := t.cli.VolumeCreate(ctx, volume.CreateOptions{Name: m.Name, Driver: m.Driver, DriverOpts: m.DriverOptions, Labels: m.Labels})
			if err != nil {
				return false, explain(err)
			}
			out.Volume = asMap(got)
			return true, nil
		},
	})
	return plan, nil
}

// VolumeInfo reads a volume.
type VolumeInfo struct {
	Engine
	// Name of the volume.
	Name string `orch:"required,alias=volume_name"`
}

// VolumeInfoOut is what the task registers.
type VolumeInfoOut struct {
	Exists bool           `json:"exists"`
	Volume map[string]any `json:"volume"`
}

// Validate implements modules.Validator.
func (m *VolumeInfo) Validate() error { return errors.Join(m.validate()) }

// Plan implements Module.
func (m *VolumeInfo) Plan(ctx context.Context, v *View) (modules.Plan[*Target], error) {
	have, err := v.volume(ctx, m.Name)
	if err != nil {
		return modules.Plan[*Target]{}, err
	}
	out := &VolumeInfoOut{Exists: have != nil}
	if have != nil {
		out.Volume = asMap(have)
	}
	return modules.Plan[*Target]{Out: out}, nil
}
