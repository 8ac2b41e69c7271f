package host

import (
	"context"
	"strings"

	"orch/modules"
)

// Tempfile makes a temporary file or folder with a name of its own.
type Tempfile struct {
	// What to make.
	State string `orch:"enum=file|directory,default=file"`
	// Folder to make it in; the default is the host's own.
	Path string `orch:"path"`
	// Begin of the name.
	Prefix string `orch:"default=ansible."`
	// End of the name.
	Suffix string
}

// TempfileOut is the result of tempfile.
type TempfileOut struct {
	Path string `json:"path" orch:"after"`
	PathInfo
}

// Plan implements modules.Module.
func (f *Tempfile) Plan(ctx context.Context, v modules.View) (plan, error) {
	dir := f.Path
	if err := expand(ctx, v, &dir); err != nil {
		return plan{}, err
	}
	if dir == "" {
		env, err := v.Env(ctx)
		if err != nil {
			return plan{}, err
		}
		if dir = env["TMPDIR"]; dir == "" {
			dir = "/tmp"
		}
	}
	argv := []string{"mktemp", "-p", dir, f.Prefix + "XXXXXXXX" + f.Suffix}
	if f.State == "directory" {
		argv = append([]string{"mktemp", "-d"}, argv[1:]...)
	}
	out := &TempfileOut{}
	return plan{Out: out, Steps: []step{{
		Title: "make a temporary " + f.State + " in " + dir, Effect: modules.Act,
		Do: func(ctx context.Context, t modules.Target) (bool, error) {
			o, err := mustRun(ctx, t, argv...)
			if err != nil {
				return false, err
			}
			out.Path = strings.TrimSuffix(o.Stdout, "\n")
			return true, out.fill(ctx, t, out.Path)
		},
	}}}, nil
}
