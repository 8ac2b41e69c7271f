package host

import (
	"context"
	"errors"
	"io/fs"
	"strconv"
	"strings"

	"orch/modules"
)

// Group manages groups of users.
type Group struct {
	// Name of the group.
	Name string `orch:"required"`
	// Whether it is to be there.
	State string `orch:"enum=absent|present,default=present"`
	// Number of the group.
	Gid *int
	// Smallest number a new group may get.
	GidMin *int
	// Largest number a new group may get.
	GidMax *int
	// Take a number for groups of the system.
	System bool
	// Use the tools for local groups (lgroupadd) where names come from the network.
	Local bool
	// The number may belong to another group too.
	NonUnique bool
	// Remove the group although it is a user's primary one.
	Force bool
}

// Validate implements modules.Validator.
func (g *Group) Validate() error {
	if g.NonUnique && g.Gid == nil {
		return errors.New("non_unique is True but all of the following are missing: gid")
	}
	return nil
}

// GroupOut is the result of group.
type GroupOut struct {
	Name   string `json:"name"`
	State  string `json:"state"`
	GID    *int   `json:"gid,omitempty" orch:"after"`
	System *bool  `json:"system,omitempty"`
}

// Plan implements modules.Module.
func (g *Group) Plan(ctx context.Context, v modules.View) (plan, error) {
	out := &GroupOut{Name: g.Name, State: g.State}
	p := plan{Out: out}
	now, err := v.Group(ctx, g.Name)
	missing := errors.Is(err, fs.ErrNotExist)
	if err != nil && !missing {
		return p, err
	}
	busybox, err := g.busybox(ctx, v)
	if err != nil {
		return p, err
	}
	switch {
	case g.State == "absent" && missing:
		return p, nil
	case g.State == "absent":
		argv := []string{g.tool("groupdel")}
		if busybox {
			argv = []string{"delgroup"}
		}
		if g.Force {
			argv = append(argv, "-f")
		}
		p.Steps = []step{command("remove the group "+g.Name, append(argv, g.Name)...)}
		return p, nil
	case missing:
		p.Steps = []step{command("make the group "+g.Name, g.addArgv(busybox)...)}
	case g.Gid != nil && *g.Gid != now.GID:
		argv := []string{g.tool("groupmod"), "-g", strconv.Itoa(*g.Gid)}
		if g.NonUnique {
			argv = append(argv, "-o")
		}
		p.Steps = []step{command("change the number of the group "+g.Name+" from "+strconv.Itoa(now.GID)+" to "+strconv.Itoa(*g.Gid), append(argv, g.Name)...)}
	}
	out.System = &g.System
	return p, finish(ctx, v, &p, func(ctx context.Context, v modules.View) error {
		now, err := v.Group(ctx, g.Name)
		if err == nil {
			out.GID = &now.GID
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
}

func (g *Group) tool(name string) string {
	if g.Local {
		return "l" + name
	}
	return name
}

func (g *Group) busybox(ctx context.Context, v modules.View) (bool, error) {
	shadow, err := v.LookPath(ctx, g.tool("groupadd"))
	if err != nil || shadow != "" {
		return false, err
	}
	other, err := v.LookPath(ctx, "addgroup")
	return other != "", err
}

func (g *Group) addArgv(busybox bool) []string {
	argv := []string{g.tool("groupadd")}
	system := "-r"
	if busybox {
		argv, system = []string{"addgroup"}, "-S"
	}
	if g.Gid != nil {
		argv = append(argv, "-g", strconv.Itoa(*g.Gid))
		if g.NonUnique {
			argv = append(argv, "-o")
		}
	}
	if g.System {
		argv = append(argv, system)
	}
	for i, n := range []*int{g.GidMin, g.GidMax} {
		name := []string{"GID_MIN", "GID_MAX"}[i]
		if n != nil {
			argv = append(argv, "-K", name+"="+strconv.Itoa(*n))
		}
	}
	return append(argv, strings.TrimSpace(g.Name))
}
