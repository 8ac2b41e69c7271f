package host

import (
	"context"
	"errors"
	"io/fs"
	"strings"

	"orch/modules"
)

// Getent reads a database of the host (passwd, hosts, services …) into facts.
type Getent struct {
	// The database.
	Database string `orch:"required"`
	// The entry; all by default.
	Key *string
	// Service of nsswitch.conf to ask.
	Service string
	// What separates fields; a colon for passwd and its kin, white space otherwise.
	Split *string
	// Fail when there is no such entry.
	FailKey bool `orch:"default=true"`
}

// GetentOut is the result of getent.
type GetentOut struct {
	Facts map[string]map[string]record `json:"ansible_facts" orch:"after"`
	Msg   string                       `json:"msg,omitempty"`
}

// A record is an entry's fields; an entry found several times has a list of them.
type record struct{ rows [][]string }

// MarshalJSON implements json.Marshaler.
func (r record) MarshalJSON() ([]byte, error) {
	switch len(r.rows) {
	case 0:
		return []byte("null"), nil
	case 1:
		return jsonText(r.rows[0])
	}
	return jsonText(r.rows)
}

// Plan implements modules.Module.
func (g *Getent) Plan(ctx context.Context, v modules.View) (plan, error) {
	argv := []string{"getent", g.Database}
	if g.Key != nil {
		argv = append(argv, *g.Key)
	}
	if g.Service != "" {
		argv = append(argv, "-s", g.Service)
	}
	o, err := v.Query(ctx, argv...)
	if errors.Is(err, fs.ErrNotExist) {
		return plan{}, modules.Failf(`Failed to find required executable "getent" in paths`)
	}
	if err != nil {
		return plan{}, err
	}
	entries := map[string]record{}
	out := &GetentOut{Facts: map[string]map[string]record{"getent_" + g.Database: entries}}
	switch {
	case o.RC == 0:
		for line := range strings.Lines(o.Stdout) {
			fields := g.fields(strings.TrimRight(line, "\r\n"))
			if len(fields) > 0 {
				entries[fields[0]] = record{append(entries[fields[0]].rows, append([]string{}, fields[1:]...))}
			}
		}
		return plan{Out: out}, nil
	case o.RC == 2 && !g.FailKey && g.Key != nil:
		entries[*g.Key] = record{}
		out.Msg = "One or more supplied key could not be found in the database."
		return plan{Out: out, Msg: out.Msg}, nil
	}
	if o.RC == 2 {
		f := modules.Failf("One or more supplied key could not be found in the database.")
		return plan{Steps: []step{failing("look up "+g.title(), f)}, Out: out}, nil
	}
	msg := map[int]string{
		1: "Missing arguments, or database unknown.",
		3: "Enumeration not supported on this database.",
	}[o.RC]
	if msg == "" {
		msg = "Unexpected failure!"
	}
	return plan{}, modules.Failf("%s", msg)
}

func (g *Getent) title() string {
	if g.Key == nil {
		return g.Database
	}
	return *g.Key + " in " + g.Database
}

func (g *Getent) fields(line string) []string {
	switch {
	case g.Split != nil:
		return strings.Split(line, *g.Split)
	case g.Database == "passwd" || g.Database == "shadow" || g.Database == "group" || g.Database == "gshadow":
		return strings.Split(line, ":")
	}
	return strings.Fields(line)
}
