package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"orch/modules/schema"
)

func newDoc() *cobra.Command {
	var list, jsonSchema bool
	var markdown string
	language := map[string]*string{"filter": new(string), "test": new(string), "lookup": new(string)}
	cmd := &cobra.Command{
		Use:   "doc [MODULE…]",
		Short: "Print the manual of modules",
		Long:  "Without a name, lists the modules. The manual is made from the modules themselves.",
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			r, err := newRegistry()
			if err != nil {
				return nil, cobra.ShellCompDirectiveError
			}
			return r.Names(), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, names []string) error {
			r, err := newRegistry()
			if err != nil {
				return err
			}
			for _, kind := range []string{"filter", "test", "lookup"} {
				if name := *language[kind]; name != "" {
					return printLanguageDoc(cmd.OutOrStdout(), kind, name)
				}
			}
			switch {
			case markdown != "":
				return writeReference(r, markdown)
			case list || len(names) == 0:
				return listModules(cmd, r)
			}
			for i, name := range names {
				spec, err := findModule(r, name)
				if err != nil {
					return err
				}
				if jsonSchema {
					text, err := spec.JSONSchema()
					if err != nil {
						return err
					}
					fmt.Fprintln(cmd.OutOrStdout(), string(text))
					continue
				}
				if i > 0 {
					fmt.Fprintln(cmd.OutOrStdout())
				}
				text, err := schema.Text(spec, 80)
				if err != nil {
					return err
				}
				fmt.Fprint(cmd.OutOrStdout(), text)
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&list, "list", false, "list the modules")
	cmd.Flags().BoolVar(&jsonSchema, "json-schema", false, "print the arguments as JSON Schema")
	for kind, name := range language {
		cmd.Flags().StringVar(name, kind, "", "print the manual of a "+kind)
	}
	cmd.Flags().StringVar(&markdown, "markdown", "", "write the whole reference as Markdown into a folder")
	return cmd
}

func findModule(r *schema.Registry, name string) (*schema.Spec, error) {
	spec, ok := r.Lookup(name, nil)
	if ok {
		return spec, nil
	}
	hint := "orch doc lists the modules"
	if near := r.Suggest(name); near != "" {
		hint = fmt.Sprintf("did you mean %q?", near)
	}
	return nil, inputError(fmt.Errorf("no module %q\nhint: %s", name, hint))
}

func listModules(cmd *cobra.Command, r *schema.Registry) error {
	width := 0
	for _, name := range r.Names() {
		width = max(width, len(name))
	}
	for _, name := range r.Names() {
		spec, _ := r.Lookup(name, nil)
		doc, err := spec.Doc()
		if err != nil {
			return err
		}
		fmt.Fprintf(cmd.OutOrStdout(), "%-*s  %s\n", width, name, doc.Summary)
	}
	return nil
}

// writeReference writes a page for each module and an index.
func writeReference(r *schema.Registry, dir string) error {
	pages := filepath.Join(dir, "modules")
	if err := os.MkdirAll(pages, 0o755); err != nil {
		return fmt.Errorf("write reference: %w", err)
	}
	var index strings.Builder
	index.WriteString("# Modules\n\nMade by `make docs` from the modules themselves.\n\n")
	for _, name := range r.Names() {
		spec, _ := r.Lookup(name, nil)
		text, err := schema.Markdown(spec)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(pages, name+".md"), []byte(text), 0o644); err != nil {
			return fmt.Errorf("write reference: %w", err)
		}
		doc, err := spec.Doc()
		if err != nil {
			return err
		}
		fmt.Fprintf(&index, "- [%s](modules/%s.md): %s\n", name, name, doc.Summary)
	}
	if err := os.WriteFile(filepath.Join(dir, "modules.md"), []byte(index.String()), 0o644); err != nil {
		return fmt.Errorf("write reference: %w", err)
	}
	for _, kind := range []string{"filter", "test", "lookup"} {
		text, err := languageMarkdown(kind)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, kind+"s.md"), []byte(text), 0o644); err != nil {
			return fmt.Errorf("write reference: %w", err)
		}
	}
	return nil
}
