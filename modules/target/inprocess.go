package target

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"strings"

	"orch/modules"
)

// Table finds host modules by their full name.
type Table map[string]modules.Entry

// NewTable indexes entries by name and alias.
func NewTable(entries []modules.Entry) Table {
	t := Table{}
	for _, e := range entries {
		t[e.Name] = e
		for _, a := range e.Aliases {
			t[a] = e
		}
	}
	return t
}

// Lookup finds a module.
func (t Table) Lookup(name string) (modules.Entry, error) {
	if e, ok := t[name]; ok {
		return e, nil
	}
	if e, ok := t["ansible.builtin."+strings.TrimPrefix(name, "ansible.legacy.")]; ok {
		return e, nil
	}
	return modules.Entry{}, fmt.Errorf("no host module %q", name)
}

// An InProcess placement runs modules in this process, on this machine: connection local
// without become.
type InProcess struct {
	Table Table
	// Tmp is remote_tmp, "" for the default.
	Tmp string
}

// Run implements Placement.
func (p *InProcess) Run(ctx context.Context, req Request) (modules.Result, error) {
	entry, err := p.Table.Lookup(req.Module)
	if err != nil {
		return modules.Result{}, err
	}
	o := NewOS(req.Env)
	o.Tmp, o.Watch = p.Tmp, req.Emit
	o.Content = func(_ context.Context, sum string) (io.ReadCloser, error) { return openSource(req.Sources, sum) }
	res, err := entry.Run(ctx, req.Args, o, o, req.Options)
	return res, asFailure(err, &res)
}

// openSource opens content a request offers.
func openSource(sources map[string]Content, sum string) (io.ReadCloser, error) {
	c, ok := sources[sum]
	if !ok {
		return nil, fmt.Errorf("no content %s was offered", sum)
	}
	return c.Open()
}

// asFailure turns an error of the machine (a permission, a full disk) into the task's
// failure: it is no trouble of the engine's. Cancellation stays an error.
func asFailure(err error, res *modules.Result) error {
	var path *fs.PathError
	switch {
	case err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.As(err, &path):
		res.Failure = modules.Failf("%v", err)
		return nil
	}
	res.Failure = modules.Failf("%v", err)
	return nil
}

// Dial implements Placement.
func (p *InProcess) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	return (&OS{}).Dial(ctx, network, addr)
}

// Close implements Placement.
func (p *InProcess) Close() error { return nil }
