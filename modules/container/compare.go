package container

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	apicontainer "github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/go-connections/nat"

	"orch/modules"
)

// How an option is compared with what a container has (comparisons).
const (
	ignored   = "ignore"
	strict    = "strict"
	allowMore = "allow_more_present"
)

// compared are the options that are compared, and how unless comparisons says otherwise: a
// container may have more of what is a set (community.docker 5.2).
var compared = map[string]string{
	"capabilities": allowMore, "cap_drop": allowMore, "command": strict, "cpu_shares": strict, "cpus": strict, "devices": allowMore,
	"dns_servers": strict, "entrypoint": strict, "env": allowMore, "etc_hosts": allowMore, "healthcheck": strict, "hostname": strict,
	"image": strict, "init": strict, "ipc_mode": strict, "labels": allowMore, "log_driver": strict, "log_options": allowMore,
	"memory": strict, "memory_swap": strict, "mounts": allowMore, "network_mode": strict, "networks": allowMore, "pid_mode": strict,
	"ports": allowMore, "privileged": strict, "read_only": strict, "restart_policy": strict, "runtime": strict, "security_opts": allowMore,
	"shm_size": strict, "stop_signal": strict, "sysctls": allowMore, "tmpfs": allowMore, "ulimits": allowMore, "user": strict,
	"volumes": allowMore, "working_dir": strict,
}

// checkComparisons reports what comparisons cannot say.
func checkComparisons(c map[string]string) error {
	for _, option := range slices.Sorted(maps.Keys(c)) {
		how, of := c[option], compared[option]
		switch {
		case how != ignored && how != strict && how != allowMore:
			return fmt.Errorf("comparisons: %s is %q, one of %s, %s, %s", option, how, ignored, strict, allowMore)
		case of == "" && option != "*":
			return fmt.Errorf("comparisons: %q is no option that is compared", option)
		case how == allowMore && of != allowMore:
			return fmt.Errorf("comparisons: %s cannot be %s, it is no set", option, allowMore)
		}
	}
	return nil
}

// A difference is an option that is not as asked for.
type difference struct {
	option     string
	want, have any
}

// A comparer gathers differences.
type comparer struct {
	how   map[string]string // comparisons
	diffs []difference
}

func (c *comparer) by(option string) string {
	for _, name := range []string{option, "*"} {
		if how := c.how[name]; how != "" {
			return how
		}
	}
	return compared[option]
}

// value compares an option that is given with what the container has.
func (c *comparer) value(option string, given bool, want, have any) {
	if given && c.by(option) != ignored && !reflect.DeepEqual(want, have) {
		c.diffs = append(c.diffs, difference{option, want, have})
	}
}

// set compares several values in no order.
func (c *comparer) set(option string, given bool, want, have []string) {
	how := c.by(option)
	if !given || how == ignored {
		return
	}
	want, have = sortedCopy(want), sortedCopy(have)
	missing := slices.ContainsFunc(want, func(s string) bool { return !slices.Contains(have, s) })
	if missing || how == strict && !slices.Equal(want, have) {
		c.diffs = append(c.diffs, difference{option, want, have})
	}
}

// dict compares values by name. What the image sets is not too much.
func (c *comparer) dict(option string, want, have, image map[string]string) {
	how := c.by(option)
	if want == nil || how == ignored {
		return
	}
	for _, k := range slices.Sorted(maps.Keys(want)) {
		if v, ok := have[k]; !ok || v != want[k] {
			c.diffs = append(c.diffs, difference{option + "." + k, want[k], v})
		}
	}
	for _, k := range slices.Sorted(maps.Keys(have)) {
		_, asked := want[k]
		if v, set := image[k]; how == strict && !asked && (!set || v != have[k]) {
			c.diffs = append(c.diffs, difference{option + "." + k, "", have[k]})
		}
	}
}

// differences compares the options that are given with a container.
func (c *Container) differences(ctx context.Context, v *View, have *apicontainer.InspectResponse) ([]difference, error) {
	config, host, err := c.specs()
	if err != nil {
		return nil, modules.Failf("%v", err)
	}
	hc, hh := have.Config, have.HostConfig
	if hc == nil || hh == nil {
		return nil, modules.Failf("the engine says nothing of the options of container %s", c.Name)
	}
	d := &comparer{how: c.Comparisons}
	var imageEnv, imageLabels map[string]string
	if c.Image != "" {
		img, err := v.find(ctx, fullName(c.Image, ""))
		if err != nil {
			return nil, err
		}
		if (img == nil || img.ID != have.Image) && d.by("image") != ignored { // of the same name, maybe
			d.diffs = append(d.diffs, difference{"image", c.Image, hc.Image})
		}
		if img != nil && img.Config != nil {
			imageEnv, imageLabels = envOf(img.Config.Env), img.Config.Labels
		}
	}
	d.dict("env", c.Env, envOf(hc.Env), imageEnv)
	d.dict("labels", c.Labels, hc.Labels, imageLabels)
	c.compareConfig(d, config, hc)
	c.compareHost(d, host, hh)
	c.compareNetworks(d, have)
	for i := range d.diffs { // they may be secrets
		if strings.HasPrefix(d.diffs[i].option, "env.") {
			d.diffs[i].want, d.diffs[i].have = "(given)", "(another)"
		}
	}
	return d.diffs, nil
}

func (c *Container) compareConfig(d *comparer, want, have *apicontainer.Config) {
	d.value("command", len(c.Command) > 0, []string(want.Cmd), []string(have.Cmd))
	d.value("entrypoint", c.Entrypoint != nil, []string(want.Entrypoint), []string(have.Entrypoint))
	d.value("hostname", c.Hostname != "", c.Hostname, have.Hostname)
	d.value("user", c.User != "", c.User, have.User)
	d.value("working_dir", c.WorkingDir != "", c.WorkingDir, have.WorkingDir)
	d.value("stop_signal", c.StopSignal != "", c.StopSignal, have.StopSignal)
	d.value("healthcheck", c.Healthcheck != nil, want.Healthcheck, have.Healthcheck)
}

func (c *Container) compareHost(d *comparer, want, have *apicontainer.HostConfig) {
	d.set("ports", c.Ports != nil, portText(want.PortBindings), portText(have.PortBindings))
	d.set("volumes", c.Volumes != nil, binds(c.Volumes), binds(have.Binds))
	d.set("mounts", c.Mounts != nil, texts(want.Mounts, mountText), texts(have.Mounts, mountText))
	d.set("capabilities", c.Capabilities != nil, capabilities(c.Capabilities), capabilities(have.CapAdd))
	d.set("cap_drop", c.CapDrop != nil, capabilities(c.CapDrop), capabilities(have.CapDrop))
	d.set("devices", c.Devices != nil, texts(want.Devices, deviceText), texts(have.Devices, deviceText))
	d.set("security_opts", c.SecurityOpts != nil, c.SecurityOpts, have.SecurityOpt)
	d.set("etc_hosts", c.EtcHosts != nil, want.ExtraHosts, have.ExtraHosts)
	d.set("ulimits", c.Ulimits != nil, texts(want.Ulimits, (*apicontainer.Ulimit).String), texts(have.Ulimits, (*apicontainer.Ulimit).String))
	d.dict("tmpfs", want.Tmpfs, have.Tmpfs, nil)
	d.dict("sysctls", c.Sysctls, have.Sysctls, nil)
	d.dict("log_options", c.LogOptions, have.LogConfig.Config, nil)
	d.value("restart_policy", c.RestartPolicy != "", string(want.RestartPolicy.Name), string(have.RestartPolicy.Name))
	d.value("network_mode", c.NetworkMode != "", c.NetworkMode, string(have.NetworkMode))
	d.value("privileged", c.Privileged, true, have.Privileged)
	d.value("dns_servers", c.DNSServers != nil, c.DNSServers, have.DNS)
	d.value("memory", c.Memory != "", want.Memory, have.Memory)
	d.value("memory_swap", c.MemorySwap != "", want.MemorySwap, have.MemorySwap)
	d.value("cpus", c.CPUs != nil, want.NanoCPUs, have.NanoCPUs)
	d.value("cpu_shares", c.CPUShares != 0, want.CPUShares, have.CPUShares)
	d.value("shm_size", c.ShmSize != "", want.ShmSize, have.ShmSize)
	d.value("init", c.Init != nil, c.Init, have.Init)
	d.value("read_only", c.ReadOnly != nil, want.ReadonlyRootfs, have.ReadonlyRootfs)
	d.value("log_driver", c.LogDriver != "", c.LogDriver, have.LogConfig.Type)
	d.value("pid_mode", c.PidMode != "", c.PidMode, string(have.PidMode))
	d.value("ipc_mode", c.IpcMode != "", c.IpcMode, string(have.IpcMode))
	d.value("runtime", c.Runtime != "", c.Runtime, have.Runtime)
}

func (c *Container) compareNetworks(d *comparer, have *apicontainer.InspectResponse) {
	how := d.by("networks")
	if c.Networks == nil || have.NetworkSettings == nil || how == ignored {
		return
	}
	names := map[string]bool{}
	for _, n := range c.Networks {
		names[n.Name] = true
		e, ok := have.NetworkSettings.Networks[n.Name]
		switch {
		case !ok:
			d.diffs = append(d.diffs, difference{"networks." + n.Name, "member", "no member"})
		case n.IPv4Address != "" && e.IPAddress != n.IPv4Address && (e.IPAMConfig == nil || e.IPAMConfig.IPv4Address != n.IPv4Address):
			d.diffs = append(d.diffs, difference{"networks." + n.Name + ".ipv4_address", n.IPv4Address, e.IPAddress})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(have.NetworkSettings.Networks)) {
		if (c.PurgeNetworks || how == strict) && !names[name] {
			d.diffs = append(d.diffs, difference{"networks." + name, "no member", "member"})
		}
	}
}

// envOf reads NAME=VALUE lines.
func envOf(list []string) map[string]string {
	m := make(map[string]string, len(list))
	for _, line := range list {
		name, v, _ := strings.Cut(line, "=")
		m[name] = v
	}
	return m
}

// texts writes every item of a list as one text, to compare it.
func texts[T any](list []T, text func(T) string) []string {
	out := make([]string, len(list))
	for i, item := range list {
		out[i] = text(item)
	}
	return out
}

func mountText(m mount.Mount) string {
	return fmt.Sprintf("%s:%s:%s:%v", m.Type, m.Source, m.Target, m.ReadOnly)
}

func deviceText(d apicontainer.DeviceMapping) string {
	return d.PathOnHost + ":" + d.PathInContainer + ":" + d.CgroupPermissions
}

// capabilities writes capabilities as the engine keeps them: NET_ADMIN is CAP_NET_ADMIN.
func capabilities(list []string) []string {
	out := make([]string, len(list))
	for i, name := range list {
		if name = strings.ToUpper(name); name != "ALL" && !strings.HasPrefix(name, "CAP_") {
			name = "CAP_" + name
		}
		out[i] = name
	}
	slices.Sort(out)
	return out
}

// binds gives every bind its access mode.
func binds(list []string) []string {
	out := make([]string, len(list))
	for i, b := range list {
		if strings.Count(b, ":") < 2 {
			b += ":rw"
		}
		out[i] = b
	}
	return out
}

func portText(m nat.PortMap) []string {
	var list []string
	for port, bs := range m {
		for _, b := range bs {
			ip := b.HostIP
			if ip == "0.0.0.0" {
				ip = ""
			}
			list = append(list, ip+":"+b.HostPort+":"+string(port))
		}
	}
	slices.Sort(list)
	return list
}
