package run

import (
	"context"
	"net"
)

// Dial opens a connection from the task's host, with the rights of the become user: how
// modules of a container engine reach its socket.
func (s *site) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	spec, err := s.hostSpec()
	if err != nil {
		return nil, err
	}
	p, err := s.w.b.run.cfg.Connector.Connect(ctx, spec)
	if err != nil {
		return nil, s.become(err)
	}
	return p.Dial(ctx, network, addr)
}
