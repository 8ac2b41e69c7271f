package playbook

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"orch/playbook/jinja/value"
)

// dumpPlaybook renders what was loaded, one fact a line, for the golden files.
func dumpPlaybook(pb *Playbook) string {
	d := &dumper{}
	for _, p := range pb.Plays {
		d.play(p)
	}
	return d.String()
}

type dumper struct {
	strings.Builder
	depth int
}

func (d *dumper) line(format string, args ...any) {
	d.WriteString(strings.Repeat("  ", d.depth) + fmt.Sprintf(format, args...) + "\n")
}

func show(v value.Value) string {
	if v == nil {
		return "-"
	}
	var b strings.Builder
	canon(&b, v)
	return b.String()
}

func showScalars(list []Scalar) string {
	var out []string
	for _, s := range list {
		out = append(out, show(s.Val))
	}
	return strings.Join(out, " and ")
}

func showValues(list []value.Value) string {
	var out []string
	for _, v := range list {
		out = append(out, show(v))
	}
	return strings.Join(out, " ")
}

// fields prints the fields of a struct that are set.
func (d *dumper) fields(v reflect.Value, skip ...string) {
	for i := range v.NumField() {
		f, name := v.Field(i), v.Type().Field(i).Name
		if f.IsZero() || !v.Type().Field(i).IsExported() || slices.Contains(strings.Fields(strings.Join(skip, " ")), name) {
			continue
		}
		switch x := f.Interface().(type) {
		case *Scalar:
			d.line("%s: %s", name, show(x.Val))
		case []Scalar:
			d.line("%s: %s", name, showScalars(x))
		case []value.Value:
			d.line("%s: %s", name, showValues(x))
		case *value.Dict:
			d.line("%s: %s", name, show(x))
		case *value.Str:
			d.line("%s: %s", name, show(*x))
		case value.Value:
			d.line("%s: %s", name, show(x))
		case []string, string, bool:
			d.line("%s: %v", name, x)
		case *LoopControl:
			d.line("LoopControl:")
			d.depth++
			d.fields(reflect.ValueOf(*x), "Pos")
			d.depth--
		}
	}
}

func (d *dumper) keywords(k Keywords) { d.fields(reflect.ValueOf(k), "VarsPos") }

func (d *dumper) play(p *Play) {
	d.line("play %d:%d hosts %s", p.Pos.Line, p.Pos.Col, show(p.Hosts))
	d.depth++
	d.keywords(p.Keywords)
	d.fields(reflect.ValueOf(*p), "Keywords Pos File Dir Hosts")
	for _, prompt := range p.VarsPrompt {
		d.line("prompt:")
		d.depth++
		d.fields(reflect.ValueOf(prompt), "Pos")
		d.depth--
	}
	for _, r := range p.Roles {
		d.role(r)
	}
	d.list("pre_tasks", p.PreTasks)
	d.list("tasks", p.Tasks)
	d.list("post_tasks", p.PostTasks)
	d.list("handlers", p.Handlers)
	d.depth--
}

func (d *dumper) role(r *Role) {
	d.line("role %s at %s", r.FullName(), r.Path)
	d.depth++
	d.keywords(r.Keywords)
	d.fields(reflect.ValueOf(*r), "Keywords Pos Name Path Collection Key DefaultsFile VarsFile")
	for _, p := range r.Parents {
		d.line("in %s", p.FullName())
	}
	for _, dep := range r.Deps {
		d.role(dep)
	}
	d.list("tasks", r.Tasks)
	d.list("handlers", r.Handlers)
	d.depth--
}

func (d *dumper) list(name string, nodes []Node) {
	if len(nodes) == 0 {
		return
	}
	d.line("%s:", name)
	d.depth++
	for _, n := range nodes {
		d.node(n)
	}
	d.depth--
}

func (d *dumper) node(n Node) {
	switch n := n.(type) {
	case *Block:
		if n.Role != nil && n == n.Role.Body {
			d.role(n.Role)
			return
		}
		d.line("block %d:%d", n.Pos.Line, n.Pos.Col)
		d.depth++
		d.keywords(n.Keywords)
		d.fields(reflect.ValueOf(*n), "Keywords Pos Block Rescue Always")
		d.list("block", n.Block)
		d.list("rescue", n.Rescue)
		d.list("always", n.Always)
		d.depth--
	case *Task:
		d.line("task %d:%d %s = %s", n.Pos.Line, n.Pos.Col, n.Action, n.Module)
		d.depth++
		d.keywords(n.Keywords)
		d.fields(reflect.ValueOf(*n), "Keywords Pos Action ActionPos Module")
		d.depth--
	}
}
