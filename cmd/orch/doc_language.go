package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"orch/playbook/jinja"
	"orch/playbook/source"
	"orch/playbook/template"
	"orch/playbook/template/filter"
	"orch/playbook/template/sprig"
)

// languageDocs are the manuals of what templates can call, by kind.
func languageDocs(kind string) ([]filter.Doc, error) {
	switch kind {
	case "filter":
		return slices.Concat(filter.Docs(), jinjaDocs(jinja.FilterManuals()), sprig.Docs()), nil
	case "test":
		return slices.Concat(filter.TestDocs(), jinjaDocs(jinja.TestManuals())), nil
	}
	engine, err := template.New(template.Options{})
	if err != nil {
		return nil, fmt.Errorf("make template engine: %w", err)
	}
	var docs []filter.Doc
	for _, name := range engine.LookupNames() {
		l, ok := engine.LookupDoc(name)
		if !ok {
			continue
		}
		d := filter.Doc{Name: name, Collection: "ansible.builtin", Text: l.Doc}
		if i := strings.LastIndexByte(name, '.'); i >= 0 {
			d.Collection, d.Name = name[:i], name[i+1:]
		}
		var options []string
		for _, o := range l.Options {
			options = append(options, o.Name)
		}
		d.Signature = strings.Join(options, ", ")
		if l.Example != "" {
			d.Examples = []filter.Example{{Expr: l.Example, Result: l.Result}}
		}
		docs = append(docs, d)
	}
	return docs, nil
}

// jinjaDocs are the manuals of Jinja2's own.
func jinjaDocs(manuals []jinja.Manual) []filter.Doc {
	docs := make([]filter.Doc, len(manuals))
	for i, m := range manuals {
		docs[i] = filter.Doc{
			Name: m.Name, Collection: "jinja2", Signature: m.Signature, Text: m.Text,
			Examples: []filter.Example{{Expr: m.Expr, Result: m.Result}},
		}
	}
	return docs
}

// shortName is the name that templates can use: that of a collection only where it is
// needed.
func shortName(d filter.Doc) string {
	switch d.Collection {
	case "ansible.builtin", "jinja2":
		return d.Name
	}
	return d.FullName()
}

// printLanguageDoc prints the manual of a filter, test or lookup.
func printLanguageDoc(w io.Writer, kind, name string) error {
	docs, err := languageDocs(kind)
	if err != nil {
		return err
	}
	var names []string
	for _, d := range docs {
		if d.Name == name || d.FullName() == name {
			fmt.Fprint(w, languageText(d))
			return nil
		}
		names = append(names, d.Name)
	}
	hint := fmt.Sprintf("orch doc --list --type %s lists them", kind)
	if near := source.Suggest(name, names); near != "" {
		hint = fmt.Sprintf("did you mean %q?", near)
	}
	return inputError(fmt.Errorf("no %s %q\nhint: %s", kind, name, hint))
}

func languageText(d filter.Doc) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s", d.FullName())
	if d.Signature != "" {
		fmt.Fprintf(&b, " (%s)", d.Signature)
	}
	fmt.Fprintf(&b, "\n\n%s\n", strings.TrimSpace(d.Text))
	for _, e := range d.Examples {
		fmt.Fprintf(&b, "\n  %s\n  -> %s\n", e.Expr, e.Result)
	}
	return b.String()
}

// languageMarkdown is the reference page of a kind.
func languageMarkdown(kind string) (string, error) {
	docs, err := languageDocs(kind)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "# %ss\n\nMade by `make docs`.\n", strings.ToUpper(kind[:1])+kind[1:])
	for _, d := range docs {
		fmt.Fprintf(&b, "\n## %s\n\n", d.FullName())
		if d.Signature != "" {
			fmt.Fprintf(&b, "Arguments: `%s`\n\n", d.Signature)
		}
		fmt.Fprintf(&b, "%s\n", strings.TrimSpace(d.Text))
		for _, e := range d.Examples {
			fmt.Fprintf(&b, "\n```\n%s\n-> %s\n```\n", e.Expr, e.Result)
		}
	}
	return b.String(), nil
}
