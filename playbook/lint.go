package playbook

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"

	"orch/playbook/jinja/value"
	"orch/playbook/source"
)

// Lint looks for what a run might stumble over although the playbook loads: what is wrong
// in files of dynamic includes, templates nobody may ever evaluate, handlers that do not
// exist, variables nobody defines. known are names of variables from elsewhere: the
// inventory, --extra-vars. Everything is a Warning; [Strict] makes errors of them.
func (l *Loader) Lint(pb *Playbook, known ...string) source.Diagnostics {
	ld := l.begin()
	ld.c.Deferred = false
	lint := &linter{load: ld, seen: map[string]bool{}, names: names{defined: map[string]bool{}}}
	for _, name := range known {
		lint.defined[name] = true
	}
	for _, p := range pb.Plays {
		lint.playOf(p)
	}
	lint.undefined()
	ld.remarks = append(ld.remarks, pb.remarks...)
	diags := append(ld.finish(), ld.remarks...)
	for i := range diags {
		diags[i].Severity = source.Warning
	}
	return diags.Sorted()
}

// Strict makes errors of warnings (orch lint --strict).
func Strict(ds source.Diagnostics) source.Diagnostics {
	out := slices.Clone(ds)
	for i := range out {
		out[i].Severity = source.Error
	}
	return out
}

// A linter walks a playbook and what it may bring in.
type linter struct {
	*load
	play *Play
	// seen are the files and roles of dynamic includes that were read already.
	seen map[string]bool

	// handlers are the names of a play's handlers; open says that there may be more.
	handlers map[string]bool
	open     bool
	notified []value.Str

	names
}

func (l *linter) playOf(p *Play) {
	l.play, l.handlers, l.open, l.notified = p, map[string]bool{}, false, nil
	l.vars(p.Vars)
	l.keywords(&p.Keywords)
	for _, prompt := range p.VarsPrompt {
		if s, ok := prompt.Name.(value.Str); ok {
			l.define(s.S)
		}
	}
	for _, v := range p.VarsFiles {
		l.varsFilesOf(v)
	}
	l.adjacent(p.Dir)
	for _, r := range p.Roles {
		l.roleOf(r)
	}
	l.nodes(p.PreTasks)
	l.nodes(p.Tasks)
	l.nodes(p.PostTasks)
	l.nodes(p.Handlers)
	l.unknownHandlers()
}

// roleOf visits the handlers and variables of a role; its tasks too, by its body.
func (l *linter) roleOf(r *Role) {
	l.vars(r.Defaults)
	l.vars(r.RoleVars)
	l.vars(r.Params)
	l.keywords(&r.Keywords)
	for _, dep := range r.Deps {
		l.roleOf(dep)
	}
	l.nodes(r.Tasks)
	l.nodes(r.Handlers)
}

func (l *linter) nodes(nodes []Node) {
	for _, n := range nodes {
		switch n := n.(type) {
		case *Block:
			if n.Role != nil && n == n.Role.Body {
				l.roleOf(n.Role)
				continue
			}
			l.keywords(&n.Keywords)
			l.nodes(n.Block)
			l.nodes(n.Rescue)
			l.nodes(n.Always)
		case *Task:
			l.task(n)
		}
	}
}

// keywords visits what every object may have.
func (l *linter) keywords(k *Keywords) {
	l.vars(k.Vars)
	for _, v := range k.Notify {
		if s, ok := v.(value.Str); ok && !isTemplate(s.S) {
			l.notified = append(l.notified, s)
		}
	}
	l.useKeywords(k)
}

// vars visits variables: their templates may never be evaluated.
func (l *linter) vars(d *value.Dict) {
	if d == nil {
		return
	}
	for k := range d.All() {
		if s, ok := k.(value.Str); ok {
			l.define(s.S)
		}
	}
	if l.c.Templates != nil {
		l.remarks = append(l.remarks, templateErrors(l.c.Templates, d, false)...)
	}
	l.use(d, false)
}

func (l *linter) task(t *Task) {
	l.keywords(&t.Keywords)
	l.defineTask(t)
	l.useTask(t)
	if t.Handler {
		l.handler(t)
	}
	if t.Executable != "" {
		var d *source.Diagnostic
		if _, _, err := t.Program(); errors.As(err, &d) {
			l.remarks = append(l.remarks, *d)
		}
	}
	switch short(t.Module) {
	case "include_tasks":
		l.includeTasks(t)
	case "include_role":
		l.includeRole(t)
	}
}

// handler notes the names a handler answers to.
func (l *linter) handler(t *Task) {
	answer := func(v value.Value) {
		s, ok := v.(value.Str)
		if !ok || isTemplate(s.S) {
			l.open = true
			return
		}
		l.handlers[s.S] = true
		if t.Role != nil {
			l.handlers[t.Role.Name+" : "+s.S] = true
			l.handlers[t.Role.FullName()+" : "+s.S] = true
		}
	}
	if t.Name != nil {
		answer(t.Name.Val)
	}
	for _, v := range t.Listen {
		answer(v)
	}
	if short(t.Module) == "include_tasks" && t.FreeForm != nil && isTemplate(t.FreeForm.S) {
		l.open = true
	}
}

func (l *linter) unknownHandlers() {
	if l.open {
		return
	}
	names := make([]string, 0, len(l.handlers))
	for name := range l.handlers {
		names = append(names, name)
	}
	for _, s := range l.notified {
		if l.handlers[s.S] || s.From == nil {
			continue
		}
		d := mark(l.remarks.Errorf(*s.From, "The requested handler '%s' was not found in either the main handlers list "+
			"nor in the listening handlers list", s.S), s.S)
		d.Rule, d.Hint = "unknown-handler", source.DidYouMean(s.S, names)
	}
}

// includeTasks reads the file of an include whose name is known.
func (l *linter) includeTasks(t *Task) {
	if t.FreeForm == nil || isTemplate(t.FreeForm.S) {
		return
	}
	sc := scope{load: l.load, play: t.Play}
	path, searched := sc.findTasks(t, t.FreeForm.S, t.Parent, t.Handler)
	if path == "" {
		d := mark(l.remarks.Errorf(*t.FreeForm.From, "could not find the file %q", t.FreeForm.S), t.FreeForm.S)
		d.Hint = "searched in " + strings.Join(searched, ", ")
		return
	}
	key := path
	if t.Role != nil {
		key += "\x00" + t.Role.Path
	}
	if l.seen[key] {
		return
	}
	l.seen[key] = true
	if b := l.load.includeTasks(path, t, t.Parent); b != nil {
		l.nodes([]Node{b})
	}
}

// includeRole reads the role of an include whose name is known.
func (l *linter) includeRole(t *Task) {
	req := IncludeRole{RolespecValidate: true}
	for name, to := range map[string]*string{
		"role": &req.Name, "name": &req.Name, "tasks_from": &req.TasksFrom, "vars_from": &req.VarsFrom,
		"defaults_from": &req.DefaultsFrom, "handlers_from": &req.HandlersFrom,
	} {
		v, given := t.Args.GetStr(name)
		s, ok := v.(value.Str)
		if given && (!ok || isTemplate(s.S)) {
			l.open = true // it may bring handlers
			return
		}
		if s.S != "" {
			*to = s.S
		}
	}
	key := strings.Join([]string{req.Name, req.TasksFrom, req.VarsFrom, req.DefaultsFrom, req.HandlersFrom, filepath.Dir(t.Pos.File)}, "\x00")
	if l.seen[key] || req.Name == "" {
		return
	}
	l.seen[key] = true
	if r := l.load.includeRole(req, t, t.Parent); r != nil {
		l.roleOf(r)
	}
}
