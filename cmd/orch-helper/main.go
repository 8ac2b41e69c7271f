// Command orch-helper runs host modules on the machine it is on. orch puts it there,
// starts it over the connection, talks to it over stdin and stdout, and it ends with its
// input. Async tasks run in copies of it that end with the task. It is of no use by itself.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"orch/modules/host"
	"orch/modules/target/machine"
	"orch/modules/target/wire"
)

// A stdio is the connection to the controller.
type stdio struct {
	io.Reader
	io.Writer
}

func (stdio) Close() error { return os.Stdin.Close() }

func main() {
	table := machine.NewTable(append(host.Modules(), host.Internal()...))
	switch {
	case len(os.Args) == 2 && os.Args[1] == "serve":
	case len(os.Args) == 2 && os.Args[1] == "job":
		os.Exit(machine.RunJob(os.Stdin, os.Stdout, table))
	default:
		fmt.Fprintln(os.Stderr, "orch-helper is started by orch")
		os.Exit(64)
	}
	out := os.Stdout
	// What a library might print must not get into the conversation.
	os.Stdout = os.Stderr
	if _, err := fmt.Fprintln(out, wire.Ready); err != nil {
		os.Exit(1)
	}
	// The program of a running helper may be replaced by another version.
	runner := &machine.Local{Table: table, Self: []string{"/proc/self/exe", "job"}}
	// Whoever ends the helper ends what it started too.
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGHUP, syscall.SIGINT)
	defer stop()
	if err := wire.Serve(ctx, stdio{os.Stdin, out}, runner); err != nil {
		fmt.Fprintln(os.Stderr, "orch-helper:", err)
		os.Exit(1)
	}
}
