package run

import (
	"context"
	"strings"
	"sync"

	"orch/modules/schema"
	"orch/playbook"
	"orch/playbook/jinja/value"
	"orch/playbook/source"
	"orch/playbook/vars"
)

// A task is a playbook.Task made ready for a batch: the same for all its hosts.
type task struct {
	src    *playbook.Task
	play   *play
	kw     *keywords
	vars   *vars.Task
	module string       // the full name, "" when it is a template
	spec   *schema.Spec // nil for what the executor does itself
	meta   string       // the action of a meta task
	// implicit marks tasks nobody wrote: flushes, the end of a role.
	implicit bool
	// roleRun is the role the task belongs to, as the play counts its runs.
	roleRun *roleRun
	// includes are the variables of the dynamic includes that led here, outermost first.
	includes []*value.Dict
	// search are the folders of those includes' files, innermost first.
	search []string

	id    int // of its TaskStart; 0 before
	name  string
	named bool // of a handler: name is templated
	// started is set once its TaskStart has been emitted.
	started bool
	// made: the run is a check and the task, by check_mode: false, is none.
	made bool
	// throttled is what throttle lets through under a strategy that is not linear.
	throttled chan struct{}

	args     *value.Dict      // as written, with the free form under its name
	splat    *playbook.Scalar // args: "{{ … }}", or such a text in place of arguments
	constant bool             // args and defaults hold no templates
	once     sync.Once
	decoded  any // of constant arguments; copied for every use
	given    *value.Dict
	diags    source.Diagnostics
}

// A roleRun is a role as a play counts it: uses with equal parameters are one
// (ansible-core 2.18: Role.__eq__).
type roleRun struct {
	ran       map[string]bool // a task of it was run, by host
	completed map[string]bool
}

// Names of the modules that the executor is.
const (
	builtin         = "ansible.builtin."
	modMeta         = builtin + "meta"
	modIncludeTasks = builtin + "include_tasks"
	modIncludeRole  = builtin + "include_role"
	modIncludeVars  = builtin + "include_vars"
	modSetFact      = builtin + "set_fact"
	modGatherFacts  = builtin + "gather_facts"
	modSetup        = builtin + "setup"
	modDebug        = builtin + "debug"
	modAssert       = builtin + "assert"
	modAddHost      = builtin + "add_host"
	modPause        = builtin + "pause"
)

func (t *task) is(names ...string) bool {
	for _, name := range names {
		if t.module == name {
			return true
		}
	}
	return false
}

func (t *task) isInclude() bool { return t.is(modIncludeTasks, modIncludeRole) }

// moduleName is the full name of what a task calls: as the loader resolved it, or as
// the executor knows it.
func moduleName(t *playbook.Task) string {
	name := t.Module
	if name == "" {
		name = t.Action
	}
	name = strings.Replace(name, "ansible.legacy.", builtin, 1)
	switch name {
	case "meta", "include_tasks", "include_role", "include_vars", "set_fact", "gather_facts":
		return builtin + name
	}
	return name
}

// newTask makes a task ready.
func (p *play) newTask(src *playbook.Task, in origin) *task {
	t := &task{src: src, play: p, kw: resolve(src, p.src), includes: in.includes, search: in.search}
	t.kw.tags = append(t.kw.tags, in.tags...)
	t.vars = p.vars.Task(src, vars.TaskOptions{Includes: in.includes})
	if role := roleOf(src); role != nil {
		t.roleRun = p.roleRun(role)
	}
	if src.Module == "" && !isLiteral(value.Str{S: src.Action, From: &value.Origin{}}) {
		t.args = value.NewDict(0) // bind makes them
		return t
	}
	t.setModule(moduleName(src))
	return t
}

// setModule binds the task to a module and prepares its arguments.
func (t *task) setModule(name string) {
	t.module = name
	free := ""
	if s, ok := t.play.run.cfg.Modules.Lookup(name, t.kw.collections); ok {
		t.spec, t.module, free = s, s.Name, s.FreeForm
	}
	switch {
	case t.is(modIncludeTasks):
		free = "file"
	case t.is(modMeta):
		t.meta = metaAction(t.src)
	case t.is(modIncludeVars):
		free = "_raw_params"
	}
	t.args = t.src.Args
	if t.args == nil {
		t.args = value.NewDict(0)
	}
	t.splat = t.src.ArgsTemplate
	switch {
	case t.src.FreeForm == nil:
	case free == "" && t.spec != nil && t.spec.Arg("_raw_params") == nil && !isLiteral(*t.src.FreeForm):
		// As in ansible-core 2.18 such a text is a dict of all arguments.
		t.splat = &playbook.Scalar{Pos: t.at(""), Val: *t.src.FreeForm}
	default:
		if free == "" {
			free = "_raw_params"
		}
		args := value.NewDict(t.args.Len() + 1)
		args.SetStr(free, *t.src.FreeForm)
		for k, v := range t.args.All() {
			_ = args.Set(k, v) // a key of a dict
		}
		t.args = args
	}
	t.constant = t.splat == nil && isLiteral(t.args)
	for _, d := range t.kw.moduleDefaults {
		t.constant = t.constant && isLiteral(d)
	}
}

func metaAction(t *playbook.Task) string {
	if t.FreeForm != nil {
		return strings.TrimSpace(t.FreeForm.S)
	}
	if t.Args != nil {
		for _, name := range []string{"_raw_params", "free_form", "action"} {
			if v, ok := t.Args.GetStr(name); ok {
				return value.String(v)
			}
		}
	}
	return ""
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

// at gives the place of an argument, of the task for what was not written.
func (t *task) at(name string) source.Pos {
	for k, v := range t.args.All() {
		s, ok := k.(value.Str)
		if !ok || s.S != name {
			continue
		}
		if str, ok := v.(value.Str); ok && str.From != nil {
			return *str.From
		}
		if s.From != nil {
			return *s.From
		}
	}
	if t.src.ActionPos.Line > 0 {
		return t.src.ActionPos
	}
	return t.src.Pos
}

// title is the task's name as far as it can be templated for a host (ansible-core 2.18:
// Task.get_name): "role : name", and the module's name for want of one.
func (t *task) title(ctx context.Context, scope *vars.Scope) string {
	name := ""
	if t.src.Name != nil {
		name = value.String(t.src.Name.Val)
		if scope != nil && !isLiteral(t.src.Name.Val) {
			if v, err := t.play.run.cfg.Templater.Value(ctx, t.src.Name.Val, scope); err == nil && !value.IsUnknown(v) {
				name = value.String(v)
			}
		}
	}
	return name
}

// label is the name with the role's in front, as views print it.
func (t *task) label(name string) string {
	if name == "" {
		name = t.src.Action
		if t.is(modIncludeRole) {
			for _, arg := range []string{"name", "role"} {
				// ansible-core 2.18: IncludeRole.get_name knows of no role around it.
				if v, ok := t.args.GetStr(arg); ok {
					return name + " : " + value.String(v)
				}
			}
		}
	}
	if role := roleOf(t.src); role != nil {
		return roleName(role) + " : " + name
	}
	return name
}

func shortRole(role *playbook.Role) string {
	name := role.Name
	if i := strings.LastIndexByte(name, '/'); i >= 0 {
		name = name[i+1:]
	}
	return strings.TrimPrefix(name, role.Collection+".")
}

func roleName(role *playbook.Role) string {
	name := shortRole(role)
	if role.Collection != "" && !strings.HasPrefix(name, role.Collection+".") {
		return role.Collection + "." + name
	}
	return name
}
