// Package schema derives everything there is to say about a module from its struct:
// decoding with Ansible's coercions, validation, suggestions, reference documentation,
// JSON Schema and completion. Exported fields are the arguments, field names become
// snake_case, tags say what a machine needs (orch:"required,enum=a|b,default=x,
// alias=dest,secret"), and doc comments, read from the embedded source, are the manual.
package schema

import (
	"embed"

	"orch/modules"
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
}
