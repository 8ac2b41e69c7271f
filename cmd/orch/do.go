package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"orch/playbook/jinja/value"
)

// newDo is the ad-hoc command: one module on some hosts.
func newDo() *cobra.Command {
	f := &playFlags{}
	var module, moduleArgs string
	var background, poll int
	cmd := &cobra.Command{
		Use:   "do PATTERN",
		Short: "Run one module on hosts",
		Example: `  orch do web -i stage -m ping
  orch do web -i stage -m command -a uptime
  orch do all -i stage -b -m apt -a "name=curl state=present" --check`,
		Args: args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, pattern []string) error {
			if background != 0 {
				return inputError(fmt.Errorf("--background is not supported yet"))
			}
			return f.runModule(cmd, pattern[0], module, moduleArgs)
		},
	}
	fs := cmd.Flags()
	f.add(fs)
	fs.StringVarP(&module, "module-name", "m", "command", "module")
	fs.StringVarP(&moduleArgs, "args", "a", "", "arguments: k=v words, a command line, or JSON")
	fs.IntVarP(&background, "background", "B", 0, "run in the background for at most this many seconds")
	fs.IntVarP(&poll, "poll", "P", 15, "seconds between looks at a background task")
	fs.StringVar(&f.output, "output", "minimal", "minimal, oneline, terminal, plain, json, ansible")
	fs.DurationVar(&f.lockTimeout, "lock-timeout", 0, "how long to wait for another run on the same inventory")
	fs.BoolVar(&f.listHosts, "list-hosts", false, "print the hosts and do nothing")
	_ = cmd.RegisterFlagCompletionFunc("module-name", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		r, err := newRegistry()
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		return r.Names(), cobra.ShellCompDirectiveNoFileComp
	})
	return cmd
}

// runModule makes a playbook of one task and runs it. The playbook lies in the working
// folder as far as relative names go.
func (f *playFlags) runModule(cmd *cobra.Command, pattern, module, moduleArgs string) error {
	if module == "command" && strings.TrimSpace(moduleArgs) == "" && !f.listHosts {
		return inputError(fmt.Errorf("no argument passed to command module\nhint: -a \"uptime\", or another module with -m"))
	}
	dir, err := os.Getwd()
	if err != nil {
		return fmt.Errorf("find the working folder: %w", err)
	}
	path := filepath.Join(dir, "command line")
	quoted := func(s string) string {
		text, _ := value.JSON(value.S(s), value.JSONOptions{}) // text always encodes
		return text
	}
	arguments := quoted(moduleArgs)
	if trimmed := strings.TrimSpace(moduleArgs); strings.HasPrefix(trimmed, "{") && strings.HasSuffix(trimmed, "}") {
		arguments = trimmed
	}
	text := fmt.Sprintf("- hosts: %s\n  name: ad-hoc\n  gather_facts: false\n  tasks:\n    - %s: %s\n",
		quoted(pattern), quoted(module), arguments)
	files.Add(path, []byte(text))
	return f.runPlaybooks(cmd, []string{path})
}
