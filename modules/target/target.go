// Package target implements a host's View and Target, and the three places a host
// module can run: in this process (local), inside the helper on the host, and on the
// controller over a plain shell (Shell) where the helper cannot run.
//
// Package machine is this machine. Shell is any machine a transport.Conn reaches, through POSIX sh
// and, where there is one, SFTP. Modules cannot tell the difference.
package target

import (
	"context"
	"io"
	"net"

	"orch/modules"
	"orch/modules/target/wire"
)

// A Request is one run of a host module on one host.
type Request struct {
	// Module is the full name of an entry of host.Modules.
	Module string
	// Args is the decoded and validated module struct.
	Args any
	modules.Options
	// Env is the task's environment.
	Env map[string]string
	// Sources are the contents the module may ask for, by hex sha1 checksum. What is at
	// most 64 KiB rides in the request; more is streamed when a step asks for it.
	Sources map[string]Content
	// Emit receives lines of output while the module runs; nil drops them.
	Emit func(line string)
	// Job makes it an async job, which outlives the request and the connection: the
	// result says that it has begun, under which name, and where its own will be.
	Job *wire.Job
}

// Content is bytes the controller holds for a host.
type Content struct {
	Size int64
	Open func() (io.ReadCloser, error)
}

// A Placement runs host modules for one (host, become user). It is safe for
// concurrent use. Run's error is a *transport.Lost or the engine's own trouble.
type Placement interface {
	Run(ctx context.Context, req Request) (modules.Result, error)
	// Dial opens a connection from the host, with the rights of the become user.
	Dial(ctx context.Context, network, addr string) (net.Conn, error)
	Close() error
}
