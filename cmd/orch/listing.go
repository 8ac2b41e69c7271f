package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"

	"orch/inventory"
	"orch/playbook"
	"orch/playbook/jinja/value"
	"orch/playbook/vars"
)

// A selector lists the hosts of patterns within the limit. mismatch judges patterns that
// match nothing.
type selector struct {
	*job
	mismatch func(error) error
}

// Select implements playbook.Selector.
func (s selector) Select(patterns []string) ([]string, error) {
	hosts, err := s.inv.MatchTerms(inventory.SplitPatterns(patterns))
	if err := s.mismatch(err); err != nil {
		return nil, err
	}
	hosts, err = s.inv.Narrow(hosts, s.limit)
	if err := s.mismatch(err); err != nil {
		return nil, err
	}
	names := make([]string, len(hosts))
	for i, h := range hosts {
		names[i] = h.Name
	}
	return names, nil
}

// list prints what --list-hosts, --list-tasks and --list-tags ask for.
func (j *job) list(out io.Writer) error {
	f := j.flags
	for _, pb := range j.playbooks {
		listing := playbook.Resolve(pb, playbook.ResolveOptions{
			Hosts: selector{j, j.project.mismatch}, Only: f.onlyTags(j.project), Skip: words(j.settings.List("TAGS_SKIP")),
			Template: func(p *playbook.Play, v value.Value) (value.Value, error) { return j.static(p, nil, v) },
		})
		fmt.Fprint(out, listing.Format(playbook.Show{Hosts: f.listHosts, Tasks: f.listTasks, Tags: f.listTags}))
	}
	return nil
}

// hostNames lists the names of a host's variables.
func (j *job) hostNames(host string) []string {
	dir := "."
	if len(j.playbooks) > 0 {
		dir = filepath.Dir(j.playbooks[0].Path)
	}
	return j.vars.Eval(context.Background(), host, vars.PlayOptions{Basedir: dir}).Names()
}
