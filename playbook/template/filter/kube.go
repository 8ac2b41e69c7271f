package filter

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"orch/playbook/jinja/value"
)

var kubeFilters = []def{{
	names: "k8s_config_resource_name", filter: k8sConfigResourceName,
	doc: "The name of a ConfigMap or Secret with a hash of its content at the end, as kubectl and kubernetes.core.k8s append it.",
	examples: []string{
		"{{ {'kind': 'ConfigMap', 'metadata': {'name': 'c'}, 'data': {'k': 'v'}} | kubernetes.core.k8s_config_resource_name }}", "c-tgfmcfgbt5",
	},
}}

func k8sConfigResourceName(c *call) (value.Value, error) {
	d, ok, err := asDict(c.in)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, typeErr("k8s_config_resource_name: a resource is needed, not '%s'", c.in.Type())
	}
	meta, _ := d.GetStr("metadata")
	metadata, _ := meta.(*value.Dict)
	if metadata == nil {
		return nil, fmt.Errorf("resource must have a metadata.name key to generate a resource name")
	}
	name, ok := metadata.GetStr("name")
	if !ok {
		return nil, fmt.Errorf("resource must have a metadata.name key to generate a resource name")
	}
	kind, _ := d.GetStr("kind")
	hashed := value.NewDict(4)
	part := func(key string) {
		v, ok := d.GetStr(key)
		if !ok {
			v = value.S("")
		}
		hashed.SetStr(key, v)
	}
	part("data")
	part("kind")
	hashed.SetStr("name", name)
	switch k, _ := asStr(kind); k {
	case "ConfigMap":
	case "Secret":
		part("type")
	default:
		return nil, badChoice("k8s_config_resource_name: kind", k, "ConfigMap", "Secret")
	}
	// The outer order is fixed and happens to be the sorted one.
	s, err := value.JSON(hashed, value.JSONOptions{SortKeys: true, ItemSep: ",", KeySep: ":"})
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte(s))
	digest := strings.NewReplacer("0", "g", "1", "h", "3", "k", "a", "m", "e", "t").Replace(hex.EncodeToString(sum[:])[:10])
	return value.S(value.String(name) + "-" + digest), nil
}
