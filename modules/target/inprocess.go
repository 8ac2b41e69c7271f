package target

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"

	"orch/modules"
	"orch/modules/target/machine"
)

// An InProcess placement runs modules in this process, on this machine: connection local
// without become.
type InProcess struct {
	Table machine.Table
	// Tmp is remote_tmp, "" for the default.
	Tmp string
	// Self is PoolConfig.Self.
	Self []string
}

// Run implements Placement.
func (p *InProcess) Run(ctx context.Context, req Request) (modules.Result, error) {
	if req.Job != nil {
		return p.start(ctx, req)
	}
	entry, err := p.Table.Lookup(req.Module)
	if err != nil {
		return modules.Result{}, err
	}
	o := machine.New(req.Env)
	o.Tmp, o.Watch = p.Tmp, req.Emit
	o.Content = func(_ context.Context, sum string) (io.ReadCloser, error) { return openSource(req.Sources, sum) }
	res, err := entry.Run(ctx, req.Args, o, o, req.Options)
	return res, machine.AsFailure(err, &res)
}

// start starts an async job in a process of its own.
func (p *InProcess) start(ctx context.Context, req Request) (modules.Result, error) {
	if len(p.Self) == 0 {
		return modules.Result{}, errors.New("async is not possible on this machine: there is no program to run the job")
	}
	run, err := request(req, p.Tmp)
	if err != nil {
		return modules.Result{}, err
	}
	var res modules.Result
	res, err = machine.StartJob(ctx, p.Self, run, func(_ context.Context, sum string) (io.ReadCloser, error) { return openSource(req.Sources, sum) })
	return res, machine.AsFailure(err, &res)
}

// openSource opens content a request offers.
func openSource(sources map[string]Content, sum string) (io.ReadCloser, error) {
	c, ok := sources[sum]
	if !ok {
		return nil, fmt.Errorf("no content %s was offered", sum)
	}
	return c.Open()
}

// Dial implements Placement.
func (p *InProcess) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	return (&machine.OS{}).Dial(ctx, network, addr)
}

// Close implements Placement.
func (p *InProcess) Close() error { return nil }
