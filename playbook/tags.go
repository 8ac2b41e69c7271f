package playbook

import (
	"slices"

	"orch/playbook/jinja/value"
)

// Tags lists every tag the playbook names, sorted. complete is false when there may be
// more: dynamic includes bring their own, and templated tags are known only in a run.
func (pb *Playbook) Tags() (tags []string, complete bool) {
	c := tagCollector{complete: true}
	for _, p := range pb.Plays {
		c.add(p.Tags)
		for _, list := range [][]Node{p.PreTasks, p.Tasks, p.PostTasks, p.Handlers} {
			c.nodes(list)
		}
		for _, r := range p.Roles {
			c.add(r.Tags)
			if r.Body != nil {
				c.nodes([]Node{r.Body})
			}
		}
	}
	slices.Sort(c.tags)
	return slices.Compact(c.tags), c.complete
}

type tagCollector struct {
	tags     []string
	complete bool
}

func (c *tagCollector) add(tags []value.Value) {
	for _, t := range tags {
		switch t := t.(type) {
		case *value.List:
			c.add(t.Items)
		case value.Str:
			if templated(t) {
				c.complete = false
				continue
			}
			c.tags = append(c.tags, t.S)
		default:
			c.tags = append(c.tags, tagText(t))
		}
	}
}

func (c *tagCollector) nodes(nodes []Node) {
	for _, n := range nodes {
		c.add(n.Common().Tags)
		switch n := n.(type) {
		case *Block:
			c.nodes(n.Block)
			c.nodes(n.Rescue)
			c.nodes(n.Always)
		case *Task:
			if dynamic(n) {
				c.complete = false
			}
		}
	}
}

// dynamic says whether a task brings in others while it runs, or may: a templated action.
func dynamic(t *Task) bool {
	switch t.Module {
	case "", "ansible.builtin.include_tasks", "ansible.builtin.include_role":
		return true
	}
	return false
}
