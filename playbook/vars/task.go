package vars

import (
	"context"
	"path/filepath"
	"slices"

	"orch/playbook"
	"orch/playbook/jinja/value"
	"orch/playbook/template"
)

// TaskOptions are what a task's variables depend on beside the task.
type TaskOptions struct {
	// Includes are the variables of the include_tasks and include_role tasks that led to
	// the task, outermost first: the include's vars as written, and its loop variables.
	Includes []*value.Dict
}

// A Task is a task's place among the layers: made once, used for every host.
type Task struct {
	play *Play
	src  *playbook.Task
	role *roleLayers
	// own are the vars of the task, then of its blocks, innermost first.
	own      []*layer
	includes []*layer // innermost first
	site     *template.Site
}

// Task makes the layers of a task.
func (p *Play) Task(t *playbook.Task, o TaskOptions) *Task {
	task := &Task{play: p, src: t, role: p.run.role(roleOf(t))}
	name := "task"
	if t.Name != nil {
		if s, ok := t.Name.Val.(value.Str); ok {
			name = "task " + s.S
		}
	}
	task.own = push(task.own, p.run.layer(TaskVars, name, t.Vars))
	for b := t.Parent; b != nil; b = b.Parent {
		if b.Role != nil && b.Vars == b.Role.Vars {
			continue // those of the use of a role are role vars
		}
		task.own = push(task.own, p.run.layer(BlockVars, "block", b.Vars))
	}
	for _, vars := range slices.Backward(o.Includes) {
		task.includes = push(task.includes, p.run.layer(IncludeParams, "include", vars))
	}
	site := p.run.opt.Site
	site.Basedir = p.opt.Basedir
	site.SearchPath = p.searchPath(t)
	task.site = &site
	return task
}

func roleOf(t *playbook.Task) *playbook.Role {
	if t.Role != nil {
		return t.Role
	}
	for b := t.Parent; b != nil; b = b.Parent {
		if b.Role != nil {
			return b.Role
		}
	}
	return nil
}

// searchPath is ansible_search_path: the role and those that brought it in, innermost
// first, the folder of the task's file, the playbook's.
func (p *Play) searchPath(t *playbook.Task) []string {
	var paths []string
	add := func(dir string) {
		if abs, err := filepath.Abs(dir); err == nil && dir != "" {
			dir = abs
		}
		if dir != "" && !slices.Contains(paths, dir) {
			paths = append(paths, dir)
		}
	}
	if role := roleOf(t); role != nil {
		add(role.Path)
		for _, parent := range slices.Backward(role.Parents) {
			add(parent.Path)
		}
	}
	if t.Pos.File != "" {
		add(filepath.Dir(t.Pos.File))
	}
	add(p.opt.Basedir)
	return paths
}

// SearchPath is where the task's relative file names are looked for.
func (t *Task) SearchPath() []string { return t.site.SearchPath }

// Eval opens the scope of one evaluation of the task on a host: one attempt, of one item
// when it loops. top are variables that win over all others: the loop's, and what the
// executor sets for this evaluation.
func (t *Task) Eval(ctx context.Context, h *Host, top ...value.Named) *Scope {
	s := t.play.Eval(ctx, h, top...)
	s.task = t
	return s
}

// Eval opens a scope without a task: a play's keywords for a host. h may be nil, or have
// no name: hosts, vars_prompt and names of handlers are evaluated for no host.
func (p *Play) Eval(ctx context.Context, h *Host, top ...value.Named) *Scope {
	s := &Scope{ctx: ctx, run: p.run, play: p, top: top}
	if h != nil && h.Name != "" {
		s.host, s.state = h, h.state.cur.Load()
	}
	return s
}

// Eval opens a scope outside any play, for a host's own variables (ansible-inventory,
// orch eval). name may be "".
func (r *Run) Eval(ctx context.Context, name string, o PlayOptions) *Scope {
	p := newPlay(r, &playbook.Play{}, o)
	if name == "" {
		return p.Eval(ctx, nil)
	}
	return p.Eval(ctx, p.Host(name))
}
