// Package host holds the modules that run on a machine: file, copy, apt, systemd, user …
//
// A module touches the machine only through modules.View and modules.Target, so that it
// runs unchanged in this process, inside the helper on the machine, and on the controller
// over a plain shell. What os, os/exec and net would give it is out of its reach.
package host

import (
	"embed"

	"orch/modules"
)

// Source is the package's source, for the manual.
//
//go:embed *.go
var Source embed.FS

// Modules is the table of this world.
func Modules() []modules.Entry { return nil }
