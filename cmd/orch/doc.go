package main

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"orch/modules/schema"
)

// docKinds are what has manuals, in the order they are listed.
var docKinds = []string{"module", "filter", "test", "lookup"}

func newDoc() *cobra.Command {
	var list, jsonSchema bool
	var markdown, kind string
	language := map[string]*string{"filter": new(string), "test": new(string), "lookup": new(string)}
	cmd := &cobra.Command{
		Use:   "doc [NAME…]",
		Short: "Print the manual of modules, filters, tests and lookups",
		Long: "Without a name, lists the modules; with --list all there is, or with --type as well one kind.\n" +
			"The manual is made from the modules, filters, tests and lookups themselves.",
		Example: `  orch doc copy
  orch doc --filter combine
  orch doc --list --type lookup`,
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
			if kind != "" && !slices.Contains(docKinds, kind) {
				return inputError(fmt.Errorf("--type %q is not one of %s", kind, strings.Join(docKinds, ", ")))
			}
			for _, k := range docKinds[1:] {
				if name := *language[k]; name != "" {
					return printLanguageDoc(cmd.OutOrStdout(), k, name)
				}
			}
			switch {
			case markdown != "":
				return writeReference(r, markdown)
			case list && kind == "":
				return listAll(cmd.OutOrStdout(), r)
			case list || len(names) == 0:
				return listDocs(cmd.OutOrStdout(), r, cmp.Or(kind, "module"))
			}
			return printDocs(cmd.OutOrStdout(), r, cmp.Or(kind, "module"), names, jsonSchema)
		},
	}
	cmd.Flags().BoolVar(&list, "list", false, "list all there are manuals of")
	cmd.Flags().StringVarP(&kind, "type", "t", "", "the kind to list or print: "+strings.Join(docKinds, ", "))
	cmd.Flags().BoolVar(&jsonSchema, "json-schema", false, "print the arguments of modules as JSON Schema")
	for _, k := range docKinds[1:] {
		cmd.Flags().StringVar(language[k], k, "", "print the manual of a "+k)
	}
	cmd.Flags().StringVar(&markdown, "markdown", "", "write the whole reference as Markdown into a folder")
	return cmd
}

// printDocs prints manuals, or with jsonSchema the arguments of modules.
func printDocs(w io.Writer, r *schema.Registry, kind string, names []string, jsonSchema bool) error {
	for i, name := range names {
		if i > 0 && !jsonSchema {
			fmt.Fprintln(w)
		}
		if kind != "module" {
			if err := printLanguageDoc(w, kind, name); err != nil {
				return err
			}
			continue
		}
		spec, err := findModule(r, name)
		if err != nil {
			return err
		}
		text := ""
		if jsonSchema {
			schema, err := spec.JSONSchema()
			if err != nil {
				return err
			}
			text = string(schema) + "\n"
		} else if text, err = schema.Text(spec, 80); err != nil {
			return err
		}
		fmt.Fprint(w, text)
	}
	return nil
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

// listAll lists every kind under a heading.
func listAll(w io.Writer, r *schema.Registry) error {
	for i, kind := range docKinds {
		if i > 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprintf(w, "%ss:\n", kind)
		if err := listDocs(w, r, kind); err != nil {
			return err
		}
	}
	return nil
}

// listDocs lists what there is of a kind, with the first sentence of its manual.
func listDocs(w io.Writer, r *schema.Registry, kind string) error {
	var rows [][2]string
	if kind == "module" {
		for _, name := range r.Names() {
			spec, _ := r.Lookup(name, nil)
			doc, err := spec.Doc()
			if err != nil {
				return err
			}
			rows = append(rows, [2]string{name, doc.Summary})
		}
	} else {
		docs, err := languageDocs(kind)
		if err != nil {
			return err
		}
		for _, d := range docs {
			summary, _, _ := strings.Cut(strings.TrimSpace(d.Text), ". ")
			rows = append(rows, [2]string{shortName(d), strings.TrimSuffix(summary, ".")})
		}
	}
	width := 0
	for _, row := range rows {
		width = max(width, len(row[0]))
	}
	for _, row := range rows {
		fmt.Fprintf(w, "%-*s  %s\n", width, row[0], row[1])
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
