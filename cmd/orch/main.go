// Command orch configures machines over SSH and rolls out to Kubernetes clusters from
// one kind of playbook: Ansible's.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"orch/playbook/source"
)

// version is set by the build.
var version = "dev"

func main() {
	os.Exit(mainExit(os.Args, os.Stderr))
}

// mainExit runs a command line and returns the exit code.
func mainExit(args []string, stderr *os.File) (code int) {
	defer func() {
		if p := recover(); p != nil {
			fmt.Fprintf(stderr, "orch: internal error: %v\n%s\nhint: this is a bug; please report it with the lines above\n", p, debug.Stack())
			code = exitInternal
		}
	}()
	// The first interrupt ends things softly where a command knows how; the context ends
	// with the second.
	ctx, stop := interruptible(context.Background())
	defer stop()
	if name := filepath.Base(args[0]); personas[name] != nil {
		return mainAnsible(ctx, name, args[1:], stderr)
	}
	var err error
	if len(args) == 2 && args[1] == "version" {
		err = printVersion(os.Stdout) // making all the commands takes longer than the answer
	} else {
		root := newRoot()
		root.SetArgs(args[1:])
		err = root.ExecuteContext(ctx)
	}
	printError(stderr, err)
	return exitCode(err)
}

// printError prints the error of a command: diagnostics with their source lines.
func printError(w *os.File, err error) {
	var exit *exitError
	if err == nil || errors.As(err, &exit) && (exit.quiet || exit.err == nil) {
		return
	}
	var diags source.Diagnostics
	if errors.As(err, &diags) {
		fmt.Fprint(w, diags.Format(files))
		return
	}
	text, hint, found := strings.Cut(err.Error(), "\nhint: ")
	fmt.Fprintf(w, "error: %s\n", text)
	if found {
		fmt.Fprintf(w, "hint: %s\n", hint)
	}
}

// files remembers what was read, so that messages can show the lines.
var files = source.NewFiles()

// softStop is closed by the first interrupt.
type stopKey struct{}

// interruptible returns a context that a second interrupt (or a termination signal)
// cancels; the first one closes the channel that stopOf returns.
func interruptible(ctx context.Context) (context.Context, func()) {
	soft := make(chan struct{})
	ctx, cancel := context.WithCancel(context.WithValue(ctx, stopKey{}, (<-chan struct{})(soft)))
	sigs := make(chan os.Signal, 2)
	signal.Notify(sigs, os.Interrupt, syscall.SIGTERM)
	go func() {
		for n := 0; ; n++ {
			select {
			case <-sigs:
				if n == 0 {
					close(soft)
					continue
				}
				cancel()
			case <-ctx.Done():
			}
			return
		}
	}()
	return ctx, func() { signal.Stop(sigs); cancel() }
}

func stopOf(ctx context.Context) <-chan struct{} {
	ch, _ := ctx.Value(stopKey{}).(<-chan struct{})
	return ch
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "orch",
		Short: "Configure machines and clusters from Ansible's playbooks",
		Long: `orch runs Ansible's playbooks, roles and inventories: over SSH on machines, through the
API on Kubernetes clusters. It needs no Python on either side.

Exit codes: 0 fine, 1 internal error, 2 a task failed, 3 the input is wrong and nothing
was touched, 4 a host was unreachable, 5 changes are pending (--check --exit-code),
130 interrupted.`,
		Version:       version,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          knownCommand,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetVersionTemplate("orch {{.Version}}\n")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return inputError(flagError(cmd, err))
	})
	root.AddCommand(
		newRun(), newLint(), newDo(), newHistory(), newInventory(), newEval(), newExplainVar(), newVault(), newLinkAnsible(), newDoc(),
		newVersion(), newJob(),
	)
	return root
}

// knownCommand refuses words that are no command.
func knownCommand(root *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	var names []string
	for _, c := range root.Commands() {
		names = append(names, c.Name())
	}
	hint := source.DidYouMean(args[0], names)
	if hint == "" {
		hint = "see orch --help"
	}
	return inputError(fmt.Errorf("unknown command %q\nhint: %s", args[0], hint))
}

// args makes cobra's complaints about arguments errors of the input.
func args(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return inputError(fmt.Errorf("%w\nhint: %s; see %s --help", err, cmd.UseLine(), cmd.CommandPath()))
		}
		return nil
	}
}

var goNumber = regexp.MustCompile(`strconv\.\w+: parsing "[^"]*": `)

// flagError says what is wrong with a flag, and which one may have been meant.
func flagError(cmd *cobra.Command, err error) error {
	text := goNumber.ReplaceAllString(err.Error(), "")
	hint := "see " + cmd.CommandPath() + " --help"
	if name, ok := strings.CutPrefix(text, "unknown flag: "); ok {
		var names []string
		cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, "--"+f.Name) })
		if like := source.DidYouMean(name, names); like != "" {
			hint = like
		}
	}
	return fmt.Errorf("%s\nhint: %s", text, hint)
}
