// Package transport starts processes on one machine, from an argv: that is all a
// transport does. Files, privilege escalation and the helper are built on top of it.
//
// Guarantees every transport gives, tested by transporttest: arguments arrive byte for
// byte (quoting for a remote shell happens in exactly one function); stdout and stderr
// stay apart and may be binary; cancelling the context kills the process and its
// children; any number of Starts may be under way at once.
//
// The package imports nothing of ours.
package transport

import (
	"context"
	"io"
	"net"
)

// A Conn is a connection to one machine. It is safe for concurrent use.
type Conn interface {
	// Start starts cmd. Cancelling ctx kills its process group and closes its streams.
	Start(ctx context.Context, cmd Cmd) (Process, error)
	// Close ends the connection and everything started over it.
	Close() error
	// String names the connection in messages: "ssh root@web1:22".
	String() string
}

// A Cmd is a command to start. Argv is never interpreted by a shell.
type Cmd struct {
	Argv   []string
	Env    []string // NAME=value, added to the environment of the login
	Dir    string   // "" is the login's
	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer
	// Umask, if set, is the umask of the process.
	Umask *int
	// TTY asks for a terminal (the PTY capability); stderr then arrives on Stdout. Stdin
	// is the terminal if there is a Stdin, and never ends.
	TTY bool
}

// A Process is a started command. A program or folder that is not there is an error that
// satisfies errors.Is(err, fs.ErrNotExist), of Start or of Wait.
type Process interface {
	// Wait waits for the end and for all output. The exit code is an answer, not an
	// error; a process ended by a signal has 128+n. Lost connections and cancelled
	// contexts are errors: see Lost.
	Wait() (exit int, err error)
}

// A Filer is a Conn with a channel for big transfers (SFTP on ssh). Become hides it.
type Filer interface {
	// Put writes r to path, with mode, replacing it by rename.
	Put(ctx context.Context, path string, mode uint32, r io.Reader) error
	Get(ctx context.Context, path string, w io.Writer) error
}

// A Dialer is a Conn that can open a network connection from the machine (ssh
// direct-tcpip and direct-streamlocal). Network is "tcp" or "unix". Where the machine can
// not or does not want to, the error is an errors.ErrUnsupported.
type Dialer interface {
	Dial(ctx context.Context, network, addr string) (net.Conn, error)
}

// A Checker is a Conn that knows whether it is still up.
type Checker interface {
	// Err is why the connection is gone, nil while it is up.
	Err() error
}
