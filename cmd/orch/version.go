package main

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"
)

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  args(cobra.NoArgs),
		Run: func(cmd *cobra.Command, _ []string) {
			fmt.Fprintf(cmd.OutOrStdout(), "orch %s (%s %s/%s, language level of ansible-core 2.18)\n",
				version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
		},
	}
}
