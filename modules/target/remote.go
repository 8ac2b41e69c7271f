package target

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"

	"orch/modules"
	"orch/modules/target/wire"
	"orch/transport"
)

// A remote placement runs modules in the helper on the host.
type remote struct {
	name   string
	helper *helperProcess
	tmp    string
	offers *offers
}

// offers are the contents that running requests offer, by checksum. Two requests may
// offer the same content.
type offers struct {
	mu   sync.Mutex
	open map[string]Content
	uses map[string]int
}

func newOffers() *offers { return &offers{open: map[string]Content{}, uses: map[string]int{}} }

func (o *offers) add(sources map[string]Content) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for sum, c := range sources {
		o.open[sum] = c
		o.uses[sum]++
	}
}

func (o *offers) remove(sources map[string]Content) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for sum := range sources {
		if o.uses[sum]--; o.uses[sum] <= 0 {
			delete(o.open, sum)
			delete(o.uses, sum)
		}
	}
}

func (o *offers) content(sum string) (io.ReadCloser, error) {
	o.mu.Lock()
	c, ok := o.open[sum]
	o.mu.Unlock()
	if !ok {
		return nil, fmt.Errorf("no content %s was offered", sum)
	}
	return c.Open()
}

// Run implements Placement.
func (r *remote) Run(ctx context.Context, req Request) (modules.Result, error) {
	run, err := request(req, r.tmp)
	if err != nil {
		return modules.Result{}, err
	}
	r.offers.add(req.Sources)
	defer r.offers.remove(req.Sources)
	res, err := r.helper.client.Run(ctx, run, req.Emit)
	var own *wire.HelperError
	switch {
	case err == nil:
		return res, nil
	case ctx.Err() != nil:
		return res, ctx.Err()
	case errors.As(err, &own):
		return modules.Result{Failure: modules.Failf("%s", own.Msg)}, nil
	}
	// A request that did not leave may be sent again, over another connection.
	started := !errors.Is(err, wire.ErrNotSent)
	why := r.helper.why(err)
	var lost *transport.Lost
	if errors.As(why, &lost) {
		return res, &transport.Lost{Host: lost.Host, Started: started, Err: lost.Err}
	}
	return res, &transport.Lost{Host: r.name, Started: started, Err: why}
}

// request makes what the wire carries of a request.
func request(req Request, tmp string) (wire.Run, error) {
	args, err := json.Marshal(req.Args)
	if err != nil {
		return wire.Run{}, fmt.Errorf("encode arguments of %s: %w", req.Module, err)
	}
	run := wire.Run{Module: req.Module, Args: args, Options: req.Options, Env: req.Env, Tmp: tmp, Watch: req.Emit != nil, Job: req.Job}
	return run, pack(&run, req.Sources)
}

// pack puts small contents into the request itself.
func pack(run *wire.Run, sources map[string]Content) error {
	budget := 4 * wire.Inline
	for sum, c := range sources {
		if c.Size > wire.Inline || int(c.Size) > budget {
			if run.Offered == nil {
				run.Offered = map[string]int64{}
			}
			run.Offered[sum] = c.Size
			continue
		}
		budget -= int(c.Size)
		f, err := c.Open()
		if err != nil {
			return fmt.Errorf("open content: %w", err)
		}
		data, err := io.ReadAll(f)
		f.Close()
		if err != nil {
			return fmt.Errorf("read content: %w", err)
		}
		if run.Inline == nil {
			run.Inline = map[string][]byte{}
		}
		run.Inline[sum] = data
	}
	return nil
}

// Dial implements Placement.
func (r *remote) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	return r.helper.client.Dial(ctx, network, addr)
}

// Close implements Placement.
func (r *remote) Close() error { return r.helper.close() }
