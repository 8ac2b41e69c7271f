package main

import (
	"fmt"
	"strings"

	"orch/modules/container"
	"orch/modules/control"
	"orch/modules/kube"
	"orch/modules/schema"
)

// tables lists the worlds orch knows and their modules.
func tables() []schema.Table {
	return []schema.Table{
		control.Table(),
		control.HostTable(),
		{World: schema.Cluster, Entries: kube.Modules(), Source: kube.Source},
		{World: schema.Container, Entries: container.Modules(), Source: container.Source},
	}
}

func newRegistry() (*schema.Registry, error) {
	r, err := schema.NewRegistry(tables()...)
	if err != nil {
		return nil, fmt.Errorf("read module tables: %w", err)
	}
	return r, nil
}

// groupOf are the action groups module_defaults may name, by the modules' prefix, as the
// collections define them.
var groupOf = map[string]string{"kubernetes.core.k8s": "kubernetes.core.k8s", "community.docker.": "community.docker.docker"}

// builtinGroups are the groups of ansible.builtin (ansible-core 2.18), which stand for
// those of collections. Of most, orch has no module.
var builtinGroups = map[string]string{
	"k8s": "kubernetes.core.k8s", "docker": "community.docker.docker", "acme": "", "aws": "", "azure": "", "cpm": "",
	"gcp": "", "os": "", "ovirt": "", "testgroup": "", "testlegacy": "", "vmware": "",
}

func (j *job) hasActionGroup(name string) bool {
	short, ok := strings.CutPrefix(name, "ansible.builtin.")
	if ok {
		_, ok = builtinGroups[short]
		return ok
	}
	_, ok = actionGroups(j.registry)[name]
	return ok
}

func actionGroups(r *schema.Registry) map[string][]string {
	groups := map[string][]string{}
	for _, name := range r.Names() {
		for prefix, group := range groupOf {
			if strings.HasPrefix(name, prefix) {
				groups[group] = append(groups[group], name)
			}
		}
	}
	for short, name := range builtinGroups {
		groups[short] = groups[name]
	}
	return groups
}
