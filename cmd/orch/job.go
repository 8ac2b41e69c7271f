package main

import (
	"os"

	"github.com/spf13/cobra"

	"orch/modules/host"
	"orch/modules/target/machine"
)

// newJob is the process of an async task on this machine. Only orch itself calls it.
func newJob() *cobra.Command {
	return &cobra.Command{
		Use: "async-job", Hidden: true, Args: args(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			table := machine.NewTable(append(host.Modules(), host.Internal()...))
			if code := machine.RunJob(os.Stdin, os.Stdout, table); code != 0 {
				return &exitError{code: code, quiet: true}
			}
			return nil
		},
	}
}

// jobCommand is the command line of newJob; none where this program has no path.
func jobCommand() []string {
	self, err := os.Executable()
	if err != nil {
		return nil
	}
	return []string{self, "async-job"}
}
