package kube

import (
	"embed"

	"orch/modules"
)

// Source is the package's source, for the manual.
//
//go:embed *.go
var Source embed.FS

// Modules is the table of this world.
func Modules() []modules.Entry {
	const core = "kubernetes.core."
	bind := func(name string, build func() Module) modules.Entry {
		return modules.Bind(core+name, build, modules.Alias("community.kubernetes."+name))
	}
	return []modules.Entry{
		bind("k8s", func() Module { return &K8s{} }),
		bind("k8s_info", func() Module { return &K8sInfo{} }),
		bind("k8s_json_patch", func() Module { return &K8sJSONPatch{} }),
		bind("k8s_log", func() Module { return &K8sLog{} }),
		bind("k8s_rollout", func() Module { return &K8sRollout{} }),
		bind("k8s_scale", func() Module { return &K8sScale{} }),
	}
}
