package container

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	apicontainer "github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/go-connections/nat"

	"orch/modules"
)

// Settings are the options a container is made with.
type Settings struct {
	// Image of the container.
	Image string
	// Command to run instead of the image's: text, or a list.
	Command modules.Raw
	// Entrypoint instead of the image's.
	Entrypoint []string
	// Environment variables.
	Env map[string]string
	// File with environment variables; refused.
	EnvFile string
	// Ports to publish: 8080:80, 127.0.0.1:8080:80/udp.
	Ports []string `orch:"alias=published_ports"`
	// Ports that others in its networks may reach.
	ExposedPorts []string `orch:"alias=exposed|expose"`
	// Folders and volumes: /host:/container:ro.
	Volumes []string
	// Mounts with all their options.
	Mounts []Mount
	// Labels.
	Labels map[string]string
	// When it is started again by the engine.
	RestartPolicy string `orch:"enum=no|on-failure|always|unless-stopped"`
	// How often on-failure starts it again.
	RestartRetries int
	// Its network: bridge, host, none, container:NAME, or a network's name.
	NetworkMode string
	// Its host name.
	Hostname string
	// Its user.
	User string
	// Folder it starts in.
	WorkingDir string
	// All rights.
	Privileged bool
	// Kernel capabilities to add.
	Capabilities []string
	// Kernel capabilities to drop.
	CapDrop []string
	// Devices: /dev/x:/dev/y:rwm.
	Devices []string
	// Security options.
	SecurityOpts []string
	// Name servers.
	DNSServers []string `orch:"name=dns_servers"`
	// Further names in /etc/hosts.
	EtcHosts map[string]string
	// Memory limit, with a unit.
	Memory string
	// Memory and swap limit, with a unit; -1 for none.
	MemorySwap string
	// CPUs it may use, as a number.
	CPUs *float64 `orch:"name=cpus"`
	// CPU weight.
	CPUShares int `orch:"name=cpu_shares"`
	// Size of /dev/shm, with a unit.
	ShmSize string
	// Temporary file systems: /run:size=64m.
	Tmpfs []string
	// Kernel parameters.
	Sysctls map[string]string
	// Limits: nofile:1024:2048.
	Ulimits []string
	// Run an init process that reaps others.
	Init *bool
	// A read-only root file system.
	ReadOnly *bool
	// Signal that stops it.
	StopSignal string
	// Keep standard input open.
	Interactive bool
	// Give it a terminal.
	TTY bool `orch:"name=tty"`
	// Remove it when it ends.
	AutoRemove bool
	// Log driver.
	LogDriver string
	// Options of the log driver.
	LogOptions map[string]string `orch:"alias=log_opt"`
	// Health check.
	Healthcheck *Healthcheck
	// Namespace of process ids.
	PidMode string
	// Namespace of interprocess communication.
	IpcMode string
	// Further groups.
	Groups []string
	// Runtime of the engine.
	Runtime string
}

// Mount is a mount of a container.
type Mount struct {
	// Where it is mounted.
	Target string `orch:"required"`
	// What is mounted.
	Source string
	// Its type.
	Type string `orch:"enum=bind|npipe|tmpfs|volume,default=volume"`
	// Whether it may only be read.
	ReadOnly bool
}

// Healthcheck is how the engine tells whether a container is well.
type Healthcheck struct {
	// Command: text for a shell, or a list that starts with CMD or CMD-SHELL; NONE is none.
	Test modules.Raw
	// Time between checks: 30s.
	Interval string
	// Time a check may take.
	Timeout string
	// Failures that make it unhealthy.
	Retries int
	// Time it gets to start.
	StartPeriod string
}

func (s *Settings) check() error {
	var errs []error
	if s.EnvFile != "" {
		errs = append(errs, errors.New("env_file is not supported: use env"))
	}
	if _, _, err := s.specs(); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// specs turns the options into the API's two structs.
func (s *Settings) specs() (*apicontainer.Config, *apicontainer.HostConfig, error) {
	config := &apicontainer.Config{
		Image: s.Image, Entrypoint: s.Entrypoint, Labels: s.Labels, Hostname: s.Hostname, User: s.User, WorkingDir: s.WorkingDir,
		StopSignal: s.StopSignal, OpenStdin: s.Interactive, Tty: s.TTY, ExposedPorts: nat.PortSet{},
	}
	var err error
	if config.Cmd, err = words(s.Command); err != nil {
		return nil, nil, fmt.Errorf("command: %w", err)
	}
	for _, k := range slices.Sorted(maps.Keys(s.Env)) {
		config.Env = append(config.Env, k+"="+s.Env[k])
	}
	exposed, bindings, err := nat.ParsePortSpecs(s.Ports)
	if err != nil {
		return nil, nil, fmt.Errorf("ports: %w", err)
	}
	config.ExposedPorts = exposed
	for _, p := range s.ExposedPorts {
		if !strings.Contains(p, "/") {
			p += "/tcp"
		}
		config.ExposedPorts[nat.Port(p)] = struct{}{}
	}
	if config.Healthcheck, err = s.Healthcheck.config(); err != nil {
		return nil, nil, err
	}
	host := &apicontainer.HostConfig{
		PortBindings: bindings, Binds: s.Volumes, Privileged: s.Privileged, CapAdd: s.Capabilities, CapDrop: s.CapDrop,
		SecurityOpt: s.SecurityOpts, DNS: s.DNSServers, NetworkMode: apicontainer.NetworkMode(s.NetworkMode), Sysctls: s.Sysctls,
		AutoRemove: s.AutoRemove, Init: s.Init, PidMode: apicontainer.PidMode(s.PidMode), IpcMode: apicontainer.IpcMode(s.IpcMode),
		GroupAdd: s.Groups, Runtime: s.Runtime,
		LogConfig: apicontainer.LogConfig{Type: s.LogDriver, Config: s.LogOptions},
		RestartPolicy: apicontainer.RestartPolicy{
			Name: apicontainer.RestartPolicyMode(s.RestartPolicy), MaximumRetryCount: s.RestartRetries,
		},
	}
	if s.ReadOnly != nil {
		host.ReadonlyRootfs = *s.ReadOnly
	}
	for _, name := range slices.Sorted(maps.Keys(s.EtcHosts)) {
		host.ExtraHosts = append(host.ExtraHosts, name+":"+s.EtcHosts[name])
	}
	for _, m := range s.Mounts {
		host.Mounts = append(host.Mounts, mount.Mount{Type: mount.Type(m.Type), Source: m.Source, Target: m.Target, ReadOnly: m.ReadOnly})
	}
	return config, host, s.resources(host)
}

func (s *Settings) resources(host *apicontainer.HostConfig) error {
	host.CPUShares = int64(s.CPUShares)
	if s.CPUs != nil {
		host.NanoCPUs = int64(*s.CPUs * 1e9)
	}
	for _, size := range []struct {
		name, text string
		to         *int64
	}{{"memory", s.Memory, &host.Memory}, {"memory_swap", s.MemorySwap, &host.MemorySwap}, {"shm_size", s.ShmSize, &host.ShmSize}} {
		switch size.text {
		case "":
		case "-1", "unlimited":
			*size.to = -1
		default:
			n, err := bytesOf(size.text)
			if err != nil {
				return fmt.Errorf("%s: %w", size.name, err)
			}
			*size.to = n
		}
	}
	for _, t := range s.Tmpfs {
		if host.Tmpfs == nil {
			host.Tmpfs = map[string]string{}
		}
		path, opts, _ := strings.Cut(t, ":")
		host.Tmpfs[path] = opts
	}
	for _, d := range s.Devices {
		p := strings.SplitN(d+"::", ":", 4)
		m := apicontainer.DeviceMapping{PathOnHost: p[0], PathInContainer: p[1], CgroupPermissions: p[2]}
		if m.PathInContainer == "" {
			m.PathInContainer = m.PathOnHost
		}
		if m.CgroupPermissions == "" {
			m.CgroupPermissions = "rwm"
		}
		host.Devices = append(host.Devices, m)
	}
	for _, u := range s.Ulimits {
		p := strings.Split(u, ":")
		if len(p) < 2 || len(p) > 3 {
			return fmt.Errorf("ulimits: %q is not name:soft:hard", u)
		}
		soft, err := strconv.ParseInt(p[1], 10, 64)
		hard := soft
		if err == nil && len(p) == 3 {
			hard, err = strconv.ParseInt(p[2], 10, 64)
		}
		if err != nil {
			return fmt.Errorf("ulimits: %q is not name:soft:hard", u)
		}
		host.Ulimits = append(host.Ulimits, &apicontainer.Ulimit{Name: p[0], Soft: soft, Hard: hard})
	}
	return nil
}

func (h *Healthcheck) config() (*apicontainer.HealthConfig, error) {
	if h == nil {
		return nil, nil
	}
	c := &apicontainer.HealthConfig{Retries: h.Retries}
	test, err := words(h.Test)
	if err != nil {
		return nil, fmt.Errorf("healthcheck.test: %w", err)
	}
	switch {
	case len(test) > 0 && (test[0] == "CMD" || test[0] == "CMD-SHELL" || test[0] == "NONE"):
		c.Test = test
	case isText(h.Test):
		c.Test = []string{"CMD-SHELL", strings.Trim(string(h.Test), `"`)}
	case len(test) > 0:
		c.Test = append([]string{"CMD"}, test...)
	}
	for _, d := range []struct {
		name, text string
		to         *time.Duration
	}{{"interval", h.Interval, &c.Interval}, {"timeout", h.Timeout, &c.Timeout}, {"start_period", h.StartPeriod, &c.StartPeriod}} {
		if d.text == "" {
			continue
		}
		if *d.to, err = time.ParseDuration(d.text); err != nil {
			return nil, fmt.Errorf("healthcheck.%s: %q is no duration, like 30s", d.name, d.text)
		}
	}
	return c, nil
}
