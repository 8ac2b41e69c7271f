package target

import (
	"context"

	"orch/transport"
)

// A Pool holds one connection per host and one helper per (host, become user) for a run.
// It reconnects when a Placement or Conn is asked for, so between tasks, never within
// one.
type Pool struct {
	config PoolConfig
}

// NewPool makes an empty pool.
func NewPool(config PoolConfig) *Pool { return &Pool{config: config} }

// Connect returns the placement for a host, connecting if there is none or it was lost.
// An error is a *transport.Lost (unreachable) or *transport.BecomeError (the task
// fails).
func (p *Pool) Connect(ctx context.Context, spec HostSpec) (Placement, error) {
	return nil, nil
}

// Conn returns the bare connection to a host, with become applied. The pool closes it.
func (p *Pool) Conn(ctx context.Context, spec HostSpec) (transport.Conn, error) {
	return nil, nil
}

// Reset closes every connection to a host (by inventory name), so that the next task
// opens new ones: meta: reset_connection.
func (p *Pool) Reset(name string) error { return nil }

// Close closes everything.
func (p *Pool) Close() error { return nil }
