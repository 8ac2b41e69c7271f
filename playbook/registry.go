package playbook

import (
	"cmp"

	"orch/modules/schema"
)

// FromRegistry lets the loader look modules up in a registry.
func FromRegistry(r *schema.Registry) Modules { return registry{r} }

type registry struct{ *schema.Registry }

func (r registry) Lookup(name string, collections []string) (Module, bool) {
	s, ok := r.Registry.Lookup(name, collections)
	return spec{s}, ok
}

type spec struct{ *schema.Spec }

func (s spec) FullName() string { return s.Name }

func (s spec) FreeForm() string {
	if s.Arg(rawParams) != nil {
		return rawParams
	}
	return cmp.Or(s.Spec.FreeForm, "")
}
