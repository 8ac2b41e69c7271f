package main

import (
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"orch/playbook"
	"orch/playbook/run"
	"orch/playbook/source"
)

// newLint is the load stage alone, with the remarks a run leaves out.
func newLint() *cobra.Command {
	f := &playFlags{}
	cmd := &cobra.Command{
		Use:   "lint PLAYBOOK…",
		Short: "Check playbooks without connecting to anything",
		Long: `Reports every mistake a run would refuse, and warns of what it would only meet on the
way: unknown modules in dynamic includes, templates that do not parse, handlers that do
not exist. --strict makes the warnings errors.`,
		Args: args(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, paths []string) error {
			j, err := f.prepare(cmd, paths)
			if err != nil {
				return err
			}
			known := j.knownVariables()
			var diags source.Diagnostics
			for _, pb := range j.playbooks {
				diags = append(diags, j.loader.Lint(pb, known...)...)
				for _, p := range pb.Plays {
					diags = refuse(diags, run.Refused(p))
				}
			}
			if diags = diags.Sorted(); f.project.strict {
				diags = playbook.Strict(diags)
			}
			if diags.HasErrors() {
				return diags
			}
			fmt.Fprint(cmd.ErrOrStderr(), j.redactor.Mask(diags.Format(files)))
			return nil
		},
	}
	f.project.add(cmd.Flags())
	f.tags.add(cmd.Flags())
	return cmd
}

// refuse makes errors of what a run refuses at once, wherever a linter's remark says it.
func refuse(diags source.Diagnostics, refused []run.Refusal) source.Diagnostics {
	for _, r := range refused {
		diags = slices.DeleteFunc(diags, func(d source.Diagnostic) bool {
			return source.Place(d.Pos) == source.Place(r.Diagnostic.Pos) && d.Msg == r.Diagnostic.Msg
		})
		diags = append(diags, r.Diagnostic)
	}
	return diags
}

// knownVariables names the variables of the inventory and the command line.
func (j *job) knownVariables() []string {
	var names []string
	for k := range j.extra.All() {
		names = append(names, fmt.Sprint(k))
	}
	for _, h := range j.inv.Hosts() {
		names = append(names, j.hostNames(h.Name)...)
	}
	return names
}
