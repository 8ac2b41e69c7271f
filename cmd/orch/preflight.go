package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"orch/playbook"
	"orch/playbook/source"
	"orch/playbook/vars"
)

// preflight finds the mistakes that lie outside the playbooks and can be known before
// anything is dialled: tags nobody uses, files of variables that cannot be read.
func (j *job) preflight(ctx context.Context) error {
	var diags source.Diagnostics
	diags = append(diags, j.unknownTags()...)
	if a := j.flags.adhoc; a != nil {
		if err := j.nobody(a.pattern); err != nil {
			return err
		}
	}
	for _, pb := range j.playbooks {
		dir, err := filepath.Abs(filepath.Dir(pb.Path))
		if err != nil {
			return fmt.Errorf("find folder of playbook: %w", err)
		}
		for _, p := range pb.Plays {
			diags = append(diags, j.brokenVars(ctx, p, dir)...)
		}
	}
	diags = append(diags, j.noHosts()...)
	diags = unique(diags)
	if diags.HasErrors() {
		return diags
	}
	for _, d := range diags {
		j.warn(d)
	}
	return nil
}

// nobody refuses a pattern of the command line that matches no host.
func (j *job) nobody(pattern string) error {
	hosts, err := selector{j, func(error) error { return nil }}.Select([]string{pattern})
	if err != nil || len(hosts) > 0 {
		return err
	}
	names := []string{"all", "localhost"}
	for _, h := range j.inv.Hosts() {
		names = append(names, h.Name)
	}
	for _, g := range j.inv.Groups() {
		names = append(names, g.Name)
	}
	hint := source.DidYouMean(pattern, names)
	if hint == "" {
		hint = "orch inventory --graph shows what there is"
	}
	return inputError(fmt.Errorf("%q matches no host of the inventory\nhint: %s", pattern, hint))
}

// unique drops repetitions: every host of a group meets the same broken file.
func unique(diags source.Diagnostics) source.Diagnostics {
	seen := map[string]bool{}
	return slices.DeleteFunc(diags, func(d source.Diagnostic) bool {
		key := source.Place(d.Pos) + d.Msg
		was := seen[key]
		seen[key] = true
		return was
	})
}

// noHosts warns of an inventory without hosts where every play wants some: most likely
// it was forgotten.
func (j *job) noHosts() source.Diagnostics {
	if len(j.inv.Hosts()) > 0 {
		return nil
	}
	for _, pb := range j.playbooks {
		for _, p := range pb.Plays {
			if hosts, err := playHosts(j, p); err != nil || len(hosts) > 0 {
				return nil
			}
		}
	}
	return source.Diagnostics{{
		Severity: source.Warning, Msg: "the inventory has no hosts, and localhost is none of \"all\"", Hint: "name one with -i: a file, a folder, or hosts with a comma",
	}}
}

// unknownTags are tags asked for that no task has. Where includes may bring more, that is
// a warning; a tag to be skipped that does not exist leaves out nothing, and is one too.
func (j *job) unknownTags() source.Diagnostics {
	known, complete := []string{"all", "tagged", "untagged", "always", "never"}, true
	for _, pb := range j.playbooks {
		tags, all := pb.Tags()
		known, complete = append(known, tags...), complete && all
	}
	var diags source.Diagnostics
	check := func(flag string, tags []string, severity source.Severity) {
		for _, t := range tags {
			if !slices.Contains(known, t) {
				diags = append(diags, source.Diagnostic{
					Severity: severity, Msg: fmt.Sprintf("%s %q: no task has this tag", flag, t), Hint: tagHint(t, known[5:]),
				})
			}
		}
	}
	wanted := source.Error
	if !complete {
		wanted = source.Warning
	}
	check("--tags", j.flags.onlyTags(j.project), wanted)
	check("--skip-tags", words(j.settings.List("TAGS_SKIP")), source.Warning)
	return diags
}

func tagHint(tag string, known []string) string {
	if hint := source.DidYouMean(tag, known); hint != "" || len(known) == 0 {
		return hint
	}
	known = slices.Compact(slices.Sorted(slices.Values(known)))
	if len(known) > 20 {
		return "orch run --list-tags shows them"
	}
	return "one of " + strings.Join(known, ", ")
}

// brokenVars reads the vars_files of a play and the files of variables of its hosts.
func (j *job) brokenVars(ctx context.Context, p *playbook.Play, dir string) source.Diagnostics {
	var diags source.Diagnostics
	for _, e := range j.vars.Play(p, vars.PlayOptions{Basedir: dir}).CheckVarsFiles() {
		if errors.Is(e.Err, fs.ErrNotExist) {
			// ansible-core 2.18 passes over such a file and says nothing
			diags = append(diags, source.Diagnostic{Severity: source.Warning, Pos: e.Pos, Msg: strings.TrimSuffix(e.Err.Error(), ": "+fs.ErrNotExist.Error()) + " does not exist"})
			continue
		}
		diags = append(diags, asDiagnostics(e.Err)...)
	}
	hosts, err := playHosts(j, p)
	if err != nil {
		return diags // the run says so when it gets there
	}
	for _, h := range hosts {
		if ctx.Err() != nil {
			break
		}
		if err := j.vars.CheckHost(h, dir); err != nil {
			diags = append(diags, asDiagnostics(err)...)
		}
	}
	return diags
}

// playHosts are the hosts of a play, as far as its pattern is known before a run.
func playHosts(j *job, p *playbook.Play) ([]string, error) {
	quiet := selector{j, func(err error) error { return err }}
	l := playbook.Resolve(&playbook.Playbook{Plays: []*playbook.Play{{Hosts: p.Hosts}}}, playbook.ResolveOptions{Hosts: quiet})
	return l.Plays[0].Hosts, l.Plays[0].Err
}

func asDiagnostics(err error) source.Diagnostics {
	var diags source.Diagnostics
	if errors.As(err, &diags) {
		return diags
	}
	return source.Diagnostics{{Msg: err.Error()}}
}
