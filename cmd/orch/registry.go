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

func actionGroups(r *schema.Registry) map[string][]string {
	groups := map[string][]string{}
	for _, name := range r.Names() {
		for prefix, group := range groupOf {
			if strings.HasPrefix(name, prefix) {
				groups[group] = append(groups[group], name)
			}
		}
	}
	return groups
}
