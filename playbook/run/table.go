package run

import (
	"context"
	"embed"
	"errors"

	"orch/modules"
	"orch/modules/control"
	"orch/modules/schema"
)

// Source is the package's source, for the manual.
//
//go:embed table.go
var Source embed.FS

// Table describes the modules that the executor itself is, beside those that package
// control describes: a registry needs them for checks and the manual.
func Table() schema.Table {
	return schema.Table{World: schema.Site, Source: Source, Entries: []modules.Entry{
		modules.Bind(modIncludeVars, func() control.Module { return &IncludeVars{} }, modules.FreeForm("_raw_params")),
	}}
}

// IncludeVars reads variables from files of the controller, for this host and the rest
// of the run. They win over those of plays, blocks and tasks.
type IncludeVars struct {
	// The file to read, looked for in vars/ first.
	File string `orch:"alias=_raw_params,path"`
	// A folder whose files to read, in alphabetical order.
	Dir string `orch:"path"`
	// Put everything into a variable of this name.
	Name string
	// How deep to go into the folder; 0 is all the way.
	Depth int
	// Read only files whose names match this regular expression.
	FilesMatching string
	// Leave out files whose names end in these regular expressions.
	IgnoreFiles []string
	// Extensions of files to read.
	Extensions []string `orch:"default=json|yaml|yml"`
	// Leave out files with other extensions, instead of failing.
	IgnoreUnknownExtensions bool
	// Merge dictionaries with what the host has, or replace them.
	HashBehaviour string `orch:"enum=replace|merge"`
}

// Plan implements control.Module. It is never called: what the module reads are an
// author's strings, and a result is data.
func (*IncludeVars) Plan(context.Context, control.View) (modules.Plan[control.Target], error) {
	return modules.Plan[control.Target]{}, errors.New("include_vars is part of the executor")
}
