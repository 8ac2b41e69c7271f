// Package schema derives everything there is to say about a module from its struct:
// decoding with Ansible's coercions, validation, suggestions, reference documentation,
// JSON Schema and completion. Exported fields are the arguments, field names become
// snake_case, tags say what a machine needs (orch:"required,enum=a|b,default=x,
// alias=dest,secret"), and doc comments, read from the embedded source, are the manual.
package schema

import (
	"embed"

	"orch/modules"
	"orch/playbook/jinja/value"
	"orch/playbook/source"
)

// A World is what a module manages.
type World string

// The worlds.
const (
	Host      World = "host"
	Site      World = "site"
	Cluster   World = "cluster"
	Container World = "container"
)

// A Table is the modules of one world.
type Table struct {
	World   World
	Entries []modules.Entry
	// Source holds the package's Go files, for the doc comments.
	Source embed.FS
}

// A Spec is a module's description.
type Spec struct {
	modules.Entry
	World World
	Args  []Arg

	source embed.FS
	err    error
}

// An Arg is an argument of a module.
type Arg struct {
	Name     string // snake_case
	Aliases  []string
	Type     string // Ansible's word: str, int, float, bool, list, dict, path, raw
	Elements string // of a list
	Required bool
	Secret   bool
	Default  string
	Choices  []string
	// Options are the arguments of a dict, or of each dict in a list; nil for any.
	Options []Arg

	field string // name of the Go field
	index []int  // of the Go field, through embedded structs
	rest  bool   // takes every argument that has no field of its own
}

// Describe describes the modules of a table. What is wrong with a struct (an unknown
// tag, a field type that has no meaning) is reported by NewRegistry.
func Describe(table Table) []*Spec { return nil }

// Decode makes the module's struct from a task's templated arguments, with
// ansible-core 2.18's coercions and defaults, and checks it. at gives an argument's
// place; it may be nil. All mistakes are reported; the module is nil if there is an Error.
func (s *Spec) Decode(args *value.Dict, at func(name string) source.Pos) (any, source.Diagnostics) {
	return nil, nil
}

// CheckLiteral checks what can be known before a run: unknown and missing arguments,
// and the types and choices of those that are no templates.
func (s *Spec) CheckLiteral(args *value.Dict, at func(name string) source.Pos, isTemplate func(value.Value) bool) source.Diagnostics {
	return nil
}

// Arg returns the argument with that name or alias; nil if there is none.
func (s *Spec) Arg(name string) *Arg { return nil }
