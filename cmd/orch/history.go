package main

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"orch/playbook/journal"
	"orch/playbook/report"
	"orch/playbook/source"
)

// newHistory lists runs and shows one.
func newHistory() *cobra.Command {
	verbose := 0
	cmd := &cobra.Command{
		Use:   "history [RUN]",
		Short: "List the runs of this project, or show one",
		Long: `Lists the runs the project's journal (.orch/journal) holds, newest first. With a run,
or the beginning of its name, shows what it did.`,
		Example: `  orch history
  orch history 20260314-0926 -v`,
		Args: args(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, names []string) error {
			store := journal.Open(".")
			if len(names) == 0 {
				return listRuns(cmd, store)
			}
			e, err := store.Find(names[0])
			if err != nil {
				return inputError(err)
			}
			return showRun(cmd, e, verbose)
		},
	}
	cmd.Flags().CountVarP(&verbose, "verbose", "v", "say more; up to -vv")
	return cmd
}

func listRuns(cmd *cobra.Command, store *journal.Store) error {
	runs, err := store.List()
	if err != nil {
		return err
	}
	if len(runs) == 0 {
		fmt.Fprintln(cmd.ErrOrStderr(), "the journal holds no runs")
		return nil
	}
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "RUN\tWHEN\tPLAYBOOK\tINVENTORY\tOUTCOME\tOK\tCHANGED\tFAILED\tUNREACHABLE")
	for _, e := range runs {
		outcome := e.Outcome
		if e.Check {
			outcome += ", check"
		}
		if e.Resumes != "" {
			outcome += ", resumed " + e.Resumes
		}
		if len(e.Pending) > 0 {
			outcome += ", handlers pending"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d\t%d\t%d\t%d\n", e.ID, e.Time.Local().Format("2006-01-02 15:04:05"),
			strings.Join(e.Playbooks, " "), strings.Join(e.Inventory, " "), outcome, e.OK, e.Changed, e.Failed, e.Unreachable)
	}
	return w.Flush()
}

// showRun shows the events of a run through the plain view.
func showRun(cmd *cobra.Command, e *journal.Entry, verbose int) error {
	color := isTerminal(cmd.OutOrStdout())
	view := report.Plain(cmd.OutOrStdout(), report.Options{
		Verbosity: verbose, Color: color, Diff: true,
		// The files may have changed since: their lines are not shown.
		Explain: func(d source.Diagnostic) string { return d.String() },
	})
	err := e.Events(func(line []byte) error {
		ev, err := report.Decode(line)
		if err == nil && ev != nil {
			view(ev)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("show run %s: %w", e.ID, err)
	}
	for _, p := range e.Pending {
		fmt.Fprintf(cmd.OutOrStdout(), "handlers notified by run %s have not run: %s\n", p.Run, pendingText(p.Hosts))
	}
	if e.Outcome == journal.Cut || e.Outcome == journal.Running {
		fmt.Fprintf(cmd.OutOrStdout(), "%s\n", map[string]string{journal.Cut: "the run was cut short", journal.Running: "the run goes on"}[e.Outcome])
	}
	return nil
}
