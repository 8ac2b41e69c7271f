package main

import (
	"fmt"

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
