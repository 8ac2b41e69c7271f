package host

import (
	"context"
	"strings"

	"orch/modules"
)

// DpkgSelections holds packages at their version, or sets another selection of dpkg.
type DpkgSelections struct {
	// Name of the package.
	Name string `orch:"required"`
	// The selection.
	Selection string `orch:"required,enum=install|hold|deinstall|purge"`
}

// DpkgSelectionsOut is the result of dpkg_selections.
type DpkgSelectionsOut struct {
	Before string `json:"before"`
	After  string `json:"after"`
}

// Plan implements modules.Module.
func (d *DpkgSelections) Plan(ctx context.Context, v modules.View) (plan, error) {
	out := &DpkgSelectionsOut{After: d.Selection}
	p := plan{Out: out}
	o, err := v.Query(ctx, "dpkg", "--get-selections", d.Name)
	if err != nil {
		return p, startFailure([]string{"dpkg"}, err)
	}
	f := strings.Fields(o.Stdout)
	if len(f) < 2 {
		p.Steps = []step{failing("find the package "+d.Name, modules.Failf("Failed to find package '%s' to perform selection '%s'.", d.Name, d.Selection))}
		return p, nil
	}
	if out.Before = f[1]; out.Before == d.Selection {
		return p, nil
	}
	c := newChange(d.Name)
	c.add("selection", out.Before, d.Selection)
	p.Steps = []step{{Title: d.Selection + " the package " + d.Name, Diff: c.diff(), Do: func(ctx context.Context, t modules.Target) (bool, error) {
		_, err := must(ctx, t, modules.Command{Argv: []string{"dpkg", "--set-selections"}, Stdin: strings.NewReader(d.Name + " " + d.Selection + "\n")})
		return true, err
	}}}
	return p, nil
}
