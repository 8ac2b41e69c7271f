package main

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"orch/playbook/jinja/value"
)

// doFlags are the flags of the ad-hoc command.
type doFlags struct {
	playFlags
	module, args     string
	background, poll int
	taskTimeout      int
	dir              string
}

// newDo is the ad-hoc command: one module on some hosts.
func newDo() *cobra.Command {
	f := &doFlags{playFlags: playFlags{journal: journalNever}}
	cmd := &cobra.Command{
		Use:   "do PATTERN",
		Short: "Run one module on hosts",
		Example: `  orch do web -i stage -m ping
  orch do web -i stage -m command -a uptime
  orch do all -i stage -b -m apt -a "name=curl state=present" --check`,
		Args: args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, pattern []string) error { return f.do(cmd, pattern[0]) },
	}
	fs := cmd.Flags()
	f.tags.add(fs)
	f.add(fs)
	fs.StringVar(&f.output, "output", "minimal", "minimal, oneline, terminal, plain, json, ansible")
	fs.DurationVar(&f.lockTimeout, "lock-timeout", 0, "how long to wait for another run on the same inventory")
	_ = cmd.RegisterFlagCompletionFunc("module-name", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		r, err := newRegistry()
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		return r.Names(), cobra.ShellCompDirectiveNoFileComp
	})
	return cmd
}

func (f *doFlags) add(fs *pflag.FlagSet) {
	f.addShared(fs)
	fs.StringVarP(&f.module, "module-name", "m", "", "module (command)")
	fs.StringVarP(&f.args, "args", "a", "", "arguments: k=v words, a command line, or JSON")
	fs.IntVarP(&f.background, "background", "B", 0, "run in the background for at most this many seconds")
	fs.IntVarP(&f.poll, "poll", "P", 15, "seconds between looks at a background task")
	fs.IntVar(&f.taskTimeout, "task-timeout", 0, "seconds the task may take")
	fs.StringVar(&f.dir, "playbook-dir", "", "the folder that stands for that of a playbook")
	fs.BoolVar(&f.listHosts, "list-hosts", false, "print the hosts and do nothing")
}

// run makes a playbook of one task and runs it. The playbook lies in the working folder,
// or that of --playbook-dir, as far as relative names go.
func (f *doFlags) do(cmd *cobra.Command, pattern string) error {
	dir, err := filepath.Abs(orDefault(f.dir, "."))
	if err != nil {
		return fmt.Errorf("find the working folder: %w", err)
	}
	f.adhoc = &adhoc{flags: f, pattern: pattern}
	return f.runPlaybooks(cmd, []string{filepath.Join(dir, adhocFile)})
}

// adhocFile is the name of the playbook an ad-hoc command makes.
const adhocFile = "command line"

// An adhoc is the one task of an ad-hoc command.
type adhoc struct {
	flags   *doFlags
	pattern string
}

// needArgs are modules that mean nothing without arguments (ansible-core 2.18:
// MODULE_REQUIRE_ARGS).
var needArgs = map[string]bool{
	"command": true, "shell": true, "raw": true, "script": true, "win_command": true, "win_shell": true,
}

// write gives the playbook of the task to files by its path, once the settings say what
// is missing on the command line.
func (a *adhoc) write(p *project, path string) error {
	f := a.flags
	module := orDefault(f.module, p.settings.Str("DEFAULT_MODULE_NAME"))
	arguments := orDefault(f.args, p.settings.Str("DEFAULT_MODULE_ARGS"))
	short := strings.TrimPrefix(module, "ansible.builtin.")
	switch {
	case f.listHosts:
		module, arguments = "ping", ""
	case needArgs[short] && strings.TrimSpace(arguments) == "":
		if p.as == nil {
			return inputError(fmt.Errorf("no argument passed to %s module\nhint: -a \"uptime\", or another module with -m", module))
		}
		note := ""
		if strings.HasSuffix(a.pattern, ".yml") {
			note = " (did you mean to run ansible-playbook?)"
		}
		return ansibleOption("No argument passed to %s module%s", module, note)
	case short == "import_playbook":
		if p.as == nil {
			return inputError(fmt.Errorf("%q cannot be run ad hoc", module))
		}
		return ansibleOption("'%s' is not a valid action for ad-hoc commands", module)
	}
	text := quoted(arguments)
	if trimmed := strings.TrimSpace(arguments); strings.HasPrefix(trimmed, "{") && strings.HasSuffix(trimmed, "}") {
		text = trimmed
	}
	task := fmt.Sprintf("%s: %s", quoted(module), text)
	if f.background != 0 {
		task += fmt.Sprintf("\n      async: %d\n      poll: %d", f.background, f.poll)
	}
	if f.taskTimeout != 0 {
		task += fmt.Sprintf("\n      timeout: %d", f.taskTimeout)
	}
	files.Add(path, fmt.Appendf(nil, "- hosts: %s\n  name: Ansible Ad-Hoc\n  gather_facts: false\n  tasks:\n    - %s\n", quoted(a.pattern), task))
	return nil
}

// quoted is a text as YAML and JSON quote it.
func quoted(s string) string {
	text, _ := value.JSON(value.S(s), value.JSONOptions{}) // text always encodes
	return text
}
