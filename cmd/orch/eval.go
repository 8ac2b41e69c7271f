package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"orch/inventory"
	"orch/playbook/jinja/value"
	"orch/playbook/source"
	"orch/playbook/vars"
)

// openScope opens the project and the variables of the limit's first host, as a play
// without variables of its own sees them.
func openScope(cmd *cobra.Command, f *projectFlags) (*project, *vars.Scope, error) {
	p, err := f.open(cmd.Context(), cmd.Flags(), cmd.ErrOrStderr())
	if err != nil {
		return nil, nil, err
	}
	hosts := []*inventory.Host{p.inv.Localhost()}
	if len(p.limit.Terms) > 0 {
		if hosts, err = p.inv.MatchTerms(p.limit.Terms); err != nil {
			return nil, nil, inputError(err)
		}
	}
	dir, err := os.Getwd()
	if err != nil {
		return nil, nil, fmt.Errorf("find the working folder: %w", err)
	}
	return p, p.varsRun(vars.Options{}).Eval(cmd.Context(), hosts[0].Name, vars.PlayOptions{Basedir: dir}), nil
}

func newEval() *cobra.Command {
	f := &projectFlags{}
	var asJSON, showType bool
	cmd := &cobra.Command{
		Use:   "eval EXPRESSION",
		Short: "Evaluate an expression with a host's variables",
		Example: `  orch eval "groups.web | map('upper') | list" -i stage
  orch eval "shop_features | dict2items" -i stage -l web1 --json`,
		Args: args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, exprs []string) error {
			p, scope, err := openScope(cmd, f)
			if err != nil {
				return err
			}
			at := &value.Origin{File: "expression", Line: 1, Col: 1}
			files.Add(at.File, []byte(exprs[0]))
			v, err := p.engine.Expr(cmd.Context(), value.Str{S: exprs[0], From: at}, scope)
			if err != nil {
				return inputError(err)
			}
			text := value.String(v)
			if _, isText := v.(value.Str); !isText || asJSON {
				if text, err = value.JSON(v, value.JSONOptions{Indent: "  "}); err != nil {
					text = value.Repr(v)
				}
			}
			fmt.Fprintln(cmd.OutOrStdout(), p.redactor.Mask(text))
			if showType {
				fmt.Fprintln(cmd.OutOrStdout(), v.Type())
			}
			return nil
		},
	}
	f.add(cmd.Flags())
	cmd.Flags().BoolVar(&asJSON, "json", false, "print text as JSON too")
	cmd.Flags().BoolVar(&showType, "type", false, "print the type as well")
	return cmd
}

func newExplainVar() *cobra.Command {
	f := &projectFlags{}
	cmd := &cobra.Command{
		Use:     "explain-var NAME",
		Short:   "Say where a host's variable comes from",
		Long:    "Prints every place that sets the variable, from the one that wins downwards.",
		Example: "  orch explain-var shop_port -i stage -l web1",
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, names []string) error {
			p, scope, err := openScope(cmd, f)
			if err != nil {
				return err
			}
			found, err := scope.Explain(names[0])
			if err != nil {
				return inputError(err)
			}
			if len(found) == 0 {
				hint := ""
				if near := source.Suggest(names[0], scope.Names()); near != "" {
					hint = fmt.Sprintf("\nhint: did you mean %q?", near)
				}
				return inputError(fmt.Errorf("%s has no variable %q%s", scope.Host(), names[0], hint))
			}
			for _, s := range found {
				mark, place := " ", ""
				if s.Winner {
					mark = "*"
				}
				if s.Pos != nil {
					place = " " + source.Place(*s.Pos)
				}
				text, err := value.JSON(s.Value, value.JSONOptions{})
				if err != nil {
					text = value.Repr(s.Value)
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%s %-26s %s%s\n    %s\n", mark, s.Level, s.Source, place, p.redactor.Mask(text))
			}
			return nil
		},
	}
	f.add(cmd.Flags())
	return cmd
}
