// Package container holds the modules that manage a container engine through Docker's
// API: docker_image, docker_container, docker_network, docker_volume, docker_login and
// their _info companions.
//
// Their world is the engine of the play's host. Its socket is reached through the host's
// own connection, with the rights of the become user, so nothing is installed there: no
// client, no Python. Files to build from are the controller's.
//
// It is the only package that links the docker client.
package container

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/registry"
	"github.com/docker/docker/client"

	"orch/modules"
	"orch/modules/control"
)

// Source is the package's source, for the manual.
//
//go:embed *.go
var Source embed.FS

// Modules is the table of this world.
func Modules() []modules.Entry {
	bind := func(name string, build func() Module, opts ...func(*modules.Entry)) modules.Entry {
		return modules.Bind("community.docker."+name, build, opts...)
	}
	return []modules.Entry{
		bind("docker_container", func() Module { return &Container{} }, modules.Alias("community.general.docker_container")),
		bind("docker_container_info", func() Module { return &ContainerInfo{} }),
		bind("docker_host_info", func() Module { return &HostInfo{} }),
		bind("docker_image", func() Module { return &Image{} }, modules.Alias("community.general.docker_image")),
		bind("docker_image_info", func() Module { return &ImageInfo{} }),
		bind("docker_login", func() Module { return &Login{} }, modules.Alias("community.general.docker_login")),
		bind("docker_network", func() Module { return &Network{} }, modules.Alias("community.general.docker_network")),
		bind("docker_network_info", func() Module { return &NetworkInfo{} }),
		bind("docker_volume", func() Module { return &Volume{} }, modules.Alias("community.general.docker_volume")),
		bind("docker_volume_info", func() Module { return &VolumeInfo{} }),
	}
}

// Dialer opens connections from the task's host.
type Dialer interface {
	Dial(ctx context.Context, network, addr string) (net.Conn, error)
}

// Site is what the modules need of the engine that runs them.
type Site interface {
	Host() string
	Find(kind, name string) (string, error)
	Emit(line string)
}

// A View is a container engine that may be looked at.
type View struct {
	cli   *client.Client
	site  Site
	auth  *logins
	to    *planned
	check bool
}

// planned are the images that earlier tasks of a check run would have made: a task that
// needs one must not fail because nothing was done.
type planned struct {
	mu     sync.Mutex
	images map[string]bool // by host and name
}

// will notes, in a check run, that an image would be there from now on.
func (v *View) will(name string) {
	if !v.check {
		return
	}
	v.to.mu.Lock()
	defer v.to.mu.Unlock()
	if v.to.images == nil {
		v.to.images = map[string]bool{}
	}
	v.to.images[v.site.Host()+" "+name] = true
}

// would reports whether an earlier task of a check run makes an image.
func (v *View) would(name string) bool {
	v.to.mu.Lock()
	defer v.to.mu.Unlock()
	return v.check && v.to.images[v.site.Host()+" "+name]
}

// A Target is a container engine that may be changed.
type Target struct{ *View }

// A Module is a module of a container engine.
type Module = modules.Module[*View, *Target]

// Engine are the options that say which engine is meant. The environment of the
// controller (DOCKER_HOST …) says nothing of a host's engine and is not read.
type Engine struct {
	// Address of the engine: unix:///var/run/docker.sock on the task's host, or tcp://.
	DockerHost string `orch:"alias=docker_url"`
	// Version of the API; auto negotiates.
	APIVersion string `orch:"name=api_version,alias=docker_api_version,default=auto"`
	// Seconds to wait for a connection; what is built or pulled has no limit.
	Timeout int `orch:"default=60"`
	// Accepted and void: nothing is read from the environment of a client on the host.
	Debug bool
	// Use TLS without checking the engine's certificate; refused.
	TLS bool `orch:"name=tls"`
	// Use TLS; refused.
	ValidateCerts bool `orch:"alias=tls_verify"`
	// Accepted and void: our own client is used.
	UseSSHClient bool `orch:"name=use_ssh_client"`
}

func (e *Engine) engine() *Engine { return e }

func (e *Engine) validate() error {
	if e.TLS || e.ValidateCerts {
		return errors.New("tls is not supported yet: reach the engine's socket through the host's connection")
	}
	if h := e.DockerHost; h != "" && !strings.HasPrefix(h, "unix://") && !strings.HasPrefix(h, "tcp://") {
		return fmt.Errorf("docker_host %q: want unix:// or tcp://", h)
	}
	return nil
}

// reached is a module with the options of Engine.
type reached interface{ engine() *Engine }

// A World runs the modules of this package. A client lasts for a task: who may use the
// socket is a matter of the task's become.
type World struct {
	mu      sync.Mutex
	clients []*client.Client
	auth    logins
	to      planned
}

// Open makes the view and target of a decoded module for the task's host.
func (w *World) Open(_ context.Context, site control.Target, module any) (view, target any, err error) {
	m, ok := module.(reached)
	if !ok {
		return nil, nil, fmt.Errorf("%T names no engine", module)
	}
	dial, ok := site.(Dialer)
	if !ok {
		return nil, nil, errors.New("connections from the host cannot be opened here")
	}
	cli, err := w.client(*m.engine(), site.Host(), dial)
	if err != nil {
		return nil, nil, modules.Failf("%v", err)
	}
	v := &View{cli: cli, site: site, auth: &w.auth, to: &w.to, check: site.Check()}
	return v, &Target{v}, nil
}

// client makes the client of a host's engine. Every connection it needs is opened from
// the host, by the host's placement.
func (w *World) client(e Engine, host string, dial Dialer) (*client.Client, error) {
	address := e.DockerHost
	if address == "" {
		address = "unix:///var/run/docker.sock"
	}
	network, addr, _ := strings.Cut(address, "://")
	opts := []client.Opt{
		client.WithHost("tcp://" + host), // the name shown in messages; never resolved
		client.WithDialContext(func(ctx context.Context, _, _ string) (net.Conn, error) {
			ctx, cancel := context.WithTimeout(ctx, seconds(e.Timeout))
			defer cancel()
			conn, err := dial.Dial(ctx, network, addr)
			if err != nil {
				return nil, &dialError{host, address, err}
			}
			return conn, nil
		}),
		client.WithUserAgent("orch"),
	}
	if e.APIVersion == "auto" || e.APIVersion == "" {
		opts = append(opts, client.WithAPIVersionNegotiation())
	} else {
		opts = append(opts, client.WithVersion(e.APIVersion))
	}
	cli, err := client.NewClientWithOpts(opts...)
	if err != nil {
		return nil, fmt.Errorf("make client of the container engine: %w", err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.clients = append(w.clients, cli)
	return cli, nil
}

// Close ends every connection.
func (w *World) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, cli := range w.clients {
		_ = cli.Close() // only idle connections are left
	}
	w.clients = nil
	return nil
}

// logins are the registries logged in to in this run, and those of the controller's
// docker configuration.
type logins struct {
	mu   sync.Mutex
	auth map[string]registry.AuthConfig
}

func (l *logins) set(server string, a registry.AuthConfig) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.auth == nil {
		l.auth = map[string]registry.AuthConfig{}
	}
	l.auth[server] = a
}

func (l *logins) remove(server string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.auth, server)
}

func (l *logins) get(server string) (registry.AuthConfig, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if a, ok := l.auth[server]; ok {
		return a, true
	}
	return readConfig(os.Getenv, server)
}

// A dialError says where the engine was looked for and why it was not reached.
type dialError struct {
	host, address string
	err           error
}

// Error leaves out the words at which the docker client puts a message of its own in the
// place of the cause (docker v28: client.doRequest).
func (e *dialError) Error() string {
	return strings.NewReplacer("dial unix", "unix", "connection refused", "refused").Replace(e.err.Error())
}

func (e *dialError) Unwrap() error { return e.err }

func (e *dialError) failure() *modules.Failure {
	f := modules.Failf("cannot reach the container engine at %s of %s: %v", e.address, e.host, e.err)
	if strings.HasPrefix(e.address, "unix://") {
		f.Hint = "is the engine running? become: true, or a user of the group docker, may use its socket"
	}
	return f
}

// explain says what an error of the engine means.
func explain(err error) error {
	var dial *dialError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &dial):
		return dial.failure()
	case client.IsErrConnectionFailed(err):
		// The engine was reached: an error of dialling is a dialError.
		if broke := (*url.Error)(nil); errors.As(err, &broke) {
			err = broke.Err
		}
		return modules.Failf("the connection to the container engine broke off: %v", err)
	case errdefs.IsPermissionDenied(err):
		return &modules.Failure{Msg: err.Error(), Hint: "become: true, or a user of the group docker, may use the socket"}
	}
	var op *net.OpError
	if errors.As(err, &op) {
		return modules.Failf("cannot reach the container engine: %v", op)
	}
	return modules.Failf("%s", strings.TrimPrefix(err.Error(), "Error response from daemon: "))
}

func seconds(n int) time.Duration { return time.Duration(n) * time.Second }
