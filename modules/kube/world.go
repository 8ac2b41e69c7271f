// Package kube holds the modules that manage a cluster through the Kubernetes API: k8s,
// k8s_info, k8s_scale, k8s_json_patch, k8s_rollout and k8s_log.
//
// Their world is one cluster as one user. They run on the controller whatever host the
// play is on; nothing is needed there. All of them end in one pipeline: parse, order,
// look once per kind, plan by the server's own dry run, write only what differs, follow
// what was written until it serves, and explain when it does not.
//
// It is the only package that links client-go.
package kube

import (
	"context"
	"fmt"
	"os"
	"sort"
	"strings"
	"sync"

	"k8s.io/client-go/rest"

	"orch/modules"
	"orch/modules/control"
	"orch/playbook/jinja/value"
)

// Site is what the modules need of the engine beside the cluster.
type Site interface {
	Var(name string) (value.Value, bool, error)
	Find(kind, name string) (string, error)
	ReadFile(path string, decrypt bool) ([]byte, error)
	Render(ctx context.Context, r control.Render) (value.Value, error)
	Truth(ctx context.Context, cond value.Value, with ...value.Named) (value.Value, error)
	Emit(line string)
}

// A View is a cluster that may be looked at. Requests that write are dry runs only.
type View struct {
	cluster *Cluster
	site    Site
	check   bool
	diff    bool
}

// A Target is a cluster that may be changed.
type Target struct {
	*View
}

// A Module is a module of a cluster.
type Module = modules.Module[*View, *Target]

// A World runs the modules of this package. It keeps one client per cluster and user for
// as long as the run lasts.
type World struct {
	// Env looks up the environment; nil is os.LookupEnv.
	Env Lookup
	// Dial makes the client of a configuration; nil is Connect.
	Dial func(*rest.Config) (*Cluster, error)

	mu       sync.Mutex
	clusters map[string]*Cluster
}

// authenticated is a module with the options of Auth.
type authenticated interface{ authentication() *Auth }

func (a *Auth) authentication() *Auth { return a }

// Cluster returns the client for a task's options and the host's variables.
func (w *World) Cluster(a Auth, site Site) (*Cluster, error) {
	env := w.Env
	if env == nil {
		env = os.LookupEnv
	}
	a, err := fromVars(a, env, site)
	if err != nil {
		return nil, err
	}
	key := a.Key(env)
	w.mu.Lock()
	defer w.mu.Unlock()
	if c, ok := w.clusters[key]; ok {
		return c, nil
	}
	config, err := a.Config(env)
	if err != nil {
		return nil, err
	}
	dial := w.Dial
	if dial == nil {
		dial = Connect
	}
	c, err := dial(config)
	if err != nil {
		return nil, err
	}
	c.DefaultNamespace = a.namespace(env)
	if w.clusters == nil {
		w.clusters = map[string]*Cluster{}
	}
	w.clusters[key] = c
	return c, nil
}

// fromVars takes from the host's variables what neither the task nor the environment
// says: a host of the inventory can be a cluster.
func fromVars(a Auth, env Lookup, site Site) (Auth, error) {
	filled := a.fill(env)
	if filled.Host != "" || len(filled.Kubeconfig) > 0 && filled.Context != "" {
		return filled, nil
	}
	text := func(name string) (string, error) {
		v, ok, err := site.Var(name)
		if err != nil || !ok {
			return "", err
		}
		return value.String(v), nil
	}
	if len(filled.Kubeconfig) == 0 {
		path, err := text("ansible_kubeconfig")
		if err != nil {
			return a, err
		}
		if path != "" {
			filled.Kubeconfig = modules.Raw(quote(path))
		}
	}
	if filled.Context == "" {
		name, err := text("ansible_kube_context")
		if err != nil {
			return a, err
		}
		filled.Context = name
	}
	return filled, nil
}

func quote(s string) string {
	out, _ := value.JSON(value.S(s), value.JSONOptions{}) // text always encodes
	return out
}

// Open makes the view and target of a decoded module for the task's host.
func (w *World) Open(_ context.Context, site control.Target, module any) (view, target any, err error) {
	m, ok := module.(authenticated)
	if !ok {
		return nil, nil, fmt.Errorf("%T has no cluster options", module)
	}
	c, err := w.Cluster(*m.authentication(), site)
	if err != nil {
		return nil, nil, modules.Failf("%v", err)
	}
	if a := m.authentication(); a.PersistConfig != nil && *a.PersistConfig {
		c.warn("persist_config does nothing: tokens are not written back to the kubeconfig")
	}
	v := &View{cluster: c, site: site, check: site.Check(), diff: site.Diff()}
	return v, &Target{v}, nil
}

// Close ends every connection.
func (w *World) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.clusters = nil
	return nil
}

func sorted(names []string) string {
	sort.Strings(names)
	return strings.Join(names, ", ")
}
