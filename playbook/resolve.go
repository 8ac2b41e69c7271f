package playbook

import (
	"fmt"
	"slices"
	"strings"

	"orch/playbook/jinja/value"
)

// TagsMatch reports whether a task with tags is to run under --tags only and --skip-tags
// skip (ansible-core 2.18: Taggable.evaluate_tags). The run side decides first: always
// runs, never runs only when named, all and tagged do not reach never.
func TagsMatch(tags, only, skip []string) bool {
	untagged := len(tags) == 0
	if untagged {
		tags = []string{"untagged"}
	}
	meets := func(list []string) bool {
		return slices.ContainsFunc(tags, func(t string) bool { return slices.Contains(list, t) })
	}
	never := slices.Contains(tags, "never")
	always := slices.Contains(tags, "always")
	if len(only) > 0 && !always && !meets(only) &&
		(never || !slices.Contains(only, "all") && (untagged || !slices.Contains(only, "tagged"))) {
		return false
	}
	switch {
	case slices.Contains(skip, "all"):
		return always && !slices.Contains(skip, "always")
	case meets(skip):
		return false
	}
	return untagged || !slices.Contains(skip, "tagged")
}

// A Selector expands the pattern of a play, narrowed by the limit of the run.
type Selector interface {
	Select(pattern []string) ([]string, error)
}

// ResolveOptions narrow what Resolve lists.
type ResolveOptions struct {
	// Hosts expands patterns; nil lists no hosts.
	Hosts Selector
	// Only and Skip are --tags and --skip-tags; no Only is all.
	Only, Skip []string
	// Template evaluates templates in hosts and tags with what is known before a run;
	// nil, or an error, leaves them as written.
	Template func(p *Play, v value.Value) (value.Value, error)
}

// A Listing says what will run where, as far as it is known before a run.
type Listing struct {
	Path  string
	Plays []ListedPlay
}

// A ListedPlay is a play of a Listing.
type ListedPlay struct {
	Play    *Play
	Number  int // from 1
	Name    string
	Pattern []string
	Hosts   []string
	Err     error // of the pattern
	Tags    []string
	Tasks   []ListedTask
	// TaskTags are the tags of the play and of its listed tasks, sorted.
	TaskTags []string
}

// A ListedTask is a task of a ListedPlay.
type ListedTask struct {
	Task *Task
	// Name is what ansible-playbook --list-tasks shows.
	Name string
	Tags []string // inherited ones too, sorted
}

// Resolve lists plays, hosts, tasks and tags. It is pure: it connects to nothing and
// changes nothing. Dynamic includes are listed themselves, not what they bring in; tasks of
// rescue and always are not listed (as ansible-core does).
func Resolve(pb *Playbook, o ResolveOptions) Listing {
	l := Listing{Path: pb.Path}
	if len(o.Only) == 0 {
		o.Only = []string{"all"}
	}
	for i, p := range pb.Plays {
		r := resolver{o: o, play: p}
		lp := ListedPlay{Play: p, Number: i + 1, Pattern: r.texts(patternOf(p)), Tags: r.texts(p.Tags)}
		lp.Name = strings.Join(lp.Pattern, ",")
		if p.Name != nil {
			if s, ok := p.Name.Val.(value.Str); ok && s.S != "" {
				lp.Name = s.S
			}
		}
		if o.Hosts != nil {
			lp.Hosts, lp.Err = o.Hosts.Select(lp.Pattern)
		}
		r.nodes(p.PreTasks, lp.Tags)
		for _, role := range p.Roles {
			if role.Body != nil {
				r.nodes([]Node{role.Body}, lp.Tags)
			}
		}
		r.nodes(p.Tasks, lp.Tags)
		r.nodes(p.PostTasks, lp.Tags)
		lp.Tasks = r.out
		all := slices.Clone(lp.Tags)
		for _, t := range lp.Tasks {
			all = append(all, t.Tags...)
		}
		slices.Sort(all)
		lp.TaskTags = slices.Compact(all)
		l.Plays = append(l.Plays, lp)
	}
	return l
}

func patternOf(p *Play) []value.Value {
	if list, ok := p.Hosts.(*value.List); ok {
		return list.Items
	}
	if p.Hosts == nil {
		return nil
	}
	return []value.Value{p.Hosts}
}

type resolver struct {
	o    ResolveOptions
	play *Play
	out  []ListedTask
}

// texts evaluates names and flattens lists among them.
func (r *resolver) texts(vals []value.Value) []string {
	var out []string
	for _, v := range vals {
		if r.o.Template != nil && templated(v) {
			if got, err := r.o.Template(r.play, v); err == nil {
				v = got
			}
		}
		switch v := v.(type) {
		case value.Str:
			out = append(out, v.S)
		case *value.List:
			out = append(out, r.texts(v.Items)...)
		default:
			out = append(out, tagText(v))
		}
	}
	return out
}

// nodes lists tasks; tags are those inherited.
func (r *resolver) nodes(nodes []Node, tags []string) {
	for _, n := range nodes {
		own := append(slices.Clone(tags), r.texts(n.Common().Tags)...)
		switch n := n.(type) {
		case *Block:
			r.nodes(n.Block, own)
		case *Task:
			slices.Sort(own)
			own = slices.Compact(own)
			if TagsMatch(own, r.o.Only, r.o.Skip) {
				r.out = append(r.out, ListedTask{Task: n, Name: n.listName(), Tags: own})
			}
		}
	}
}

// listName is the task's name with its role in front, or else the action alone.
func (t *Task) listName() string {
	if t.Name == nil {
		return t.Action
	}
	name := tagText(t.Name.Val)
	if s, ok := t.Name.Val.(value.Str); ok {
		name = s.S
	}
	if name == "" {
		return t.Action
	}
	if t.Role != nil {
		return t.Role.FullName() + " : " + name
	}
	return name
}

// Show says what of a Listing is wanted.
type Show struct{ Hosts, Tasks, Tags bool }

// Format prints a Listing as ansible-playbook --list-hosts, --list-tasks and --list-tags
// do.
func (l Listing) Format(s Show) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\nplaybook: %s\n", l.Path)
	for _, p := range l.Plays {
		b.WriteString(p.format(s))
	}
	return b.String()
}

func (p ListedPlay) format(s Show) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n  play #%d (%s): %s\tTAGS: [%s]", p.Number, strings.Join(p.Pattern, ","), p.Name, strings.Join(p.Tags, ","))
	if s.Hosts {
		quoted := make([]string, len(p.Pattern))
		for i, part := range p.Pattern {
			quoted[i] = value.Repr(value.S(part))
		}
		fmt.Fprintf(&b, "\n    pattern: [%s]\n    hosts (%d):", strings.Join(quoted, ", "), len(p.Hosts))
		for _, h := range p.Hosts {
			b.WriteString("\n      " + h)
		}
	}
	b.WriteByte('\n')
	if !s.Tasks && !s.Tags {
		return b.String()
	}
	if s.Tasks {
		b.WriteString("    tasks:\n")
		for _, t := range p.Tasks {
			fmt.Fprintf(&b, "      %s\tTAGS: [%s]\n", t.Name, strings.Join(t.Tags, ", "))
		}
	}
	if s.Tags {
		fmt.Fprintf(&b, "      TASK TAGS: [%s]\n", strings.Join(p.TaskTags, ", "))
	}
	return b.String()
}
