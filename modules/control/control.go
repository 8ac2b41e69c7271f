package control

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
