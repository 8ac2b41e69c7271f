package run

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"orch/playbook"
	"orch/playbook/jinja/value"
	"orch/playbook/source"
	"orch/playbook/template"
	"orch/playbook/vars"
)

// An include is what an include_tasks or include_role asks for on a host. Hosts that ask
// for the same share what is loaded.
type include struct {
	path  string // of include_tasks
	name  string // the same as written
	role  playbook.IncludeRole
	vars  []value.Named // of the loop's turn
	label string
	noLog bool
}

// includes evaluates what the include names.
func (w *work) includes(o *outcome, scope *vars.Scope, item *loopItem) *outcome {
	inc := &include{noLog: o.noLog}
	if item != nil {
		inc.vars, inc.label = item.vars, value.String(item.val)
	}
	var err error
	if w.t.is(modIncludeTasks) {
		err = w.includeTasks(inc, scope)
	} else {
		err = w.includeRole(inc, scope)
	}
	if errors.Is(err, errNotKnown) {
		w.unknownResult(o, "what it includes is not known yet", nil)
		return o
	}
	if err != nil {
		return w.fail(o, scope, err)
	}
	d := value.NewDict(3)
	if inc.path != "" {
		d.SetStr("include", value.S(inc.path))
	}
	d.SetStr("include_args", value.NewDict(0))
	d.SetStr("changed", value.Bool(false))
	o.status, o.dict, o.value, o.include = OK, d, d, inc
	return o
}

var errNotKnown = errors.New("not known yet")

func (w *work) argument(scope *vars.Scope, names ...string) (value.Value, error) {
	for _, name := range names {
		raw, ok := w.t.args.GetStr(name)
		if !ok {
			continue
		}
		v, err := w.b.run.cfg.Templater.Value(w.ctx, raw, scope)
		if err != nil {
			return nil, err
		}
		if value.IsUnknown(v) {
			return nil, errNotKnown
		}
		if template.IsOmit(v) {
			continue
		}
		return v, nil
	}
	return nil, nil
}

func (w *work) includeTasks(inc *include, scope *vars.Scope) error {
	v, err := w.argument(scope, "file", "_raw_params")
	if err != nil {
		return err
	}
	name := text(v)
	if name == "" {
		return errors.New("No include file was specified to the include")
	}
	inc.name = name
	if inc.path, err = w.findTasks(name); err == nil {
		inc.path, err = filepath.Abs(inc.path)
	}
	return err
}

// findTasks looks for a file of tasks as ansible-core 2.18 does: below the folders of the
// including files inside the role (or the playbook's folder), then in the role's tasks,
// then beside the including file.
func (w *work) findTasks(name string) (string, error) {
	if filepath.IsAbs(name) {
		return filepath.Clean(name), nil
	}
	kind := "tasks"
	if w.t.src.Handler {
		kind = "handlers"
	}
	var dirs []string
	add := func(dir string) {
		if !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
	}
	role := roleOf(w.t.src)
	if role != nil {
		add(filepath.Join(role.Path, kind))
		add(filepath.Join(role.Path, "tasks")) // a role's handlers may include its tasks
		add(role.Path)
	}
	for _, dir := range w.t.search {
		add(dir)
	}
	if w.t.src.Pos.File != "" {
		add(filepath.Dir(w.t.src.Pos.File))
	}
	for _, dir := range w.t.vars.SearchPath() {
		add(filepath.Join(dir, kind))
		add(dir)
	}
	for _, dir := range dirs {
		path := filepath.Join(dir, name)
		if info, err := os.Stat(path); err == nil && !info.IsDir() {
			return path, nil
		}
	}
	// The message about a missing file names where ansible-core 2.18 would have it.
	if role != nil {
		return filepath.Join(role.Path, kind, name), nil
	}
	return filepath.Join(w.b.play.basedir, name), nil
}

func (w *work) includeRole(inc *include, scope *vars.Scope) error {
	r := &inc.role
	r.AllowDuplicates, r.RolespecValidate = true, true
	for _, f := range []struct {
		dst   *string
		names []string
	}{
		{&r.Name, []string{"name", "role"}},
		{&r.TasksFrom, []string{"tasks_from"}},
		{&r.VarsFrom, []string{"vars_from"}},
		{&r.DefaultsFrom, []string{"defaults_from"}},
		{&r.HandlersFrom, []string{"handlers_from"}},
	} {
		v, err := w.argument(scope, f.names...)
		if err != nil {
			return err
		}
		*f.dst = text(v)
	}
	if r.Name == "" {
		return errors.New("'name' is a required field for include_role.")
	}
	for _, f := range []struct {
		dst  *bool
		name string
	}{{&r.Public, "public"}, {&r.AllowDuplicates, "allow_duplicates"}, {&r.RolespecValidate, "rolespec_validate"}} {
		v, err := w.argument(scope, f.name)
		if err != nil {
			return err
		}
		if v == nil {
			continue
		}
		if *f.dst, err = toBool(f.name, field{pos: w.t.at(f.name)}, v); err != nil {
			return err
		}
		r.HasPublic = r.HasPublic || f.name == "public"
		r.HasAllowDuplicates = r.HasAllowDuplicates || f.name == "allow_duplicates"
	}
	return nil
}

// same says whether two hosts ask for the same.
func (inc *include) same(other *include) bool {
	if inc.path != other.path || inc.role != other.role || inc.label != other.label || len(inc.vars) != len(other.vars) {
		return false
	}
	for i, v := range inc.vars {
		if v.Name != other.vars[i].Name || !value.Equal(v.Val, other.vars[i].Val) {
			return false
		}
	}
	return true
}

// A shared include is one for all hosts that asked for it.
type shared struct {
	*include
	w     *work // of the first host
	hosts []*host
	dones []done
}

// includeAll loads what the results of an include ask for, puts it where the hosts are
// and into the order that keeps them in step.
func (b *batch) includeAll(t *task, results []done) error {
	if !t.isInclude() {
		return nil
	}
	var all []*shared
	for _, d := range results {
		outcomes := d.o.items
		if !d.o.loop {
			outcomes = []*outcome{d.o}
		}
		from := 0
		for _, o := range outcomes {
			if o.include == nil || o.status == Failed || o.status == Skipped {
				continue
			}
			// A host's includes are in the order of its loop, so the search for an equal
			// one goes on behind the one before.
			at := slices.IndexFunc(all[from:], func(s *shared) bool { return s.same(o.include) && !slices.Contains(s.hosts, d.w.h) })
			if at < 0 {
				all = append(all, &shared{include: o.include, w: d.w})
				at = len(all) - 1 - from
			}
			s := all[from+at]
			s.hosts = append(s.hosts, d.w.h)
			s.dones = append(s.dones, done{d.w, o})
			from += at
		}
	}
	var inserted []*task
	insert := map[*host][]node{}
	failed := map[*host]bool{}
	for _, s := range all {
		nodes, err := b.load(t, s)
		if err != nil {
			if errors.As(err, new(*AbortError)) {
				return err
			}
			b.includeFailed(s, err, failed)
			for _, d := range results {
				if failed[d.w.h] {
					d.o.status, d.o.ignoreErrors = Failed, false
				}
			}
			continue
		}
		inserted = append(inserted, tasks(nil, nodes)...)
		for i, h := range s.hosts {
			d := s.dones[i]
			b.run.tally(h.name, d.o).OK++
			if !d.o.item && !d.o.past {
				b.run.emit(TaskDone{ID: t.id, Host: h.name, Result: d.w.event(d.o)})
			}
			insert[h] = append(insert[h], nodes...)
			if t.src.Handler && !t.is(modIncludeRole) {
				for _, handler := range tasks(nil, nodes) {
					h.it.notify(handler)
				}
			}
		}
	}
	for _, d := range results {
		if failed[d.w.h] {
			b.stopped(d.w.h, d.w.h.it.cur.rescues())
		} else {
			b.record(d.w, d.o)
		}
	}
	for h := range failed {
		h.it.fail()
		b.remove(h.name)
		b.failedNow[h.name] = true
	}
	for h, nodes := range insert {
		if !failed[h] {
			h.it.insert(nodes)
		}
	}
	b.all = splice(b.all, b.cursor, inserted)
	return nil
}

// load reads what an include names and makes it ready.
func (b *batch) load(t *task, s *shared) ([]node, error) {
	in := origin{includes: t.includes, handler: t.src.Handler, search: t.search}
	if d := includedVars(t, s.include); d != nil {
		in.includes = append(slices.Clone(in.includes), d)
	}
	var nodes []node
	shown := s.path
	if t.is(modIncludeTasks) {
		list, err := b.run.cfg.Loader.IncludeTasks(s.path, t.src, t.src.Parent)
		if err != nil {
			return nil, b.includeError(t, s.path, err)
		}
		in.search = append([]string{filepath.Dir(s.path)}, in.search...)
		nodes = b.play.nodes(list, in)
	} else {
		shown = s.role.Name
		role, err := b.run.cfg.Loader.IncludeRole(s.role, t.src, t.src.Parent)
		if err != nil {
			return nil, b.includeError(t, "", err)
		}
		b.play.vars.AddRole(role)
		in.handler, in.search = false, nil
		nodes = b.play.nodes([]playbook.Node{role.Body}, in)
		b.addHandlers(b.play.roleHandlers(role, in))
		b.addHandlers(b.play.importedHandlers([]playbook.Node{role.Body}, in))
	}
	label := s.label
	if s.noLog && label != "" {
		label = "(censored due to no_log)"
	}
	ev := Included{ID: t.id, File: shown, Label: label}
	for i, h := range s.hosts {
		if !s.dones[i].o.past {
			ev.Hosts = append(ev.Hosts, h.name)
		}
	}
	if ev.Hosts != nil {
		b.run.emit(ev)
	}
	return nodes, nil
}

// includedVars are the variables an include gives its tasks: its vars, and those of the
// loop's turn.
func includedVars(t *task, inc *include) *value.Dict {
	if t.src.Vars == nil && len(inc.vars) == 0 {
		return nil
	}
	d := value.NewDict(len(inc.vars) + 4)
	if t.src.Vars != nil {
		for k, v := range t.src.Vars.All() {
			_ = d.Set(k, v) // a key of a dict
		}
	}
	for _, v := range inc.vars {
		d.SetStr(v.Name, v.Val)
	}
	return d
}

// includeError tells a file that is not there, which fails the hosts that asked for it,
// from one that is wrong, which ends the run.
func (b *batch) includeError(t *task, path string, err error) error {
	if path != "" {
		if _, serr := os.Stat(path); serr != nil {
			return fmt.Errorf("Could not find or access '%s' on the Ansible Controller.", path)
		}
	}
	var ds source.Diagnostics
	if errors.As(err, &ds) && path == "" && missingRole(ds) {
		d := ds[0]
		if d.Rule = "role"; d.Ansible != nil {
			d.Msg = cmp.Or(d.Ansible.Msg, d.Msg)
		}
		for _, name := range []string{"name", "role"} {
			if _, ok := t.args.GetStr(name); ok {
				d.Pos = t.at(name)
			}
		}
		return &missingError{d}
	}
	return &AbortError{Pos: t.src.Pos, Err: err}
}

// A missingError is a role that is not there: its message is without its place.
type missingError struct{ d source.Diagnostic }

// Error implements error.
func (e *missingError) Error() string { return e.d.Msg }

func missingRole(ds source.Diagnostics) bool {
	return slices.ContainsFunc(ds, func(d source.Diagnostic) bool { return strings.Contains(d.Msg, "was not found") })
}

// includeFailed fails the hosts that asked for a file that cannot be had.
func (b *batch) includeFailed(s *shared, err error, failed map[*host]bool) {
	for _, d := range s.dones {
		o := &outcome{include: d.o.include, cause: diagnose(err, d.w.t.src.Pos)}
		reason := err.Error() + b.run.excerpt(o.cause, d.w.t.src.Pos)
		// As in ansible-core 2.18 the message is the reason, and ignore_errors does not
		// reach it.
		o.dict = value.D("changed", value.Bool(false), "failed", value.Bool(true), "reason", value.S(reason))
		if s.name != "" {
			o.dict.SetStr("include", value.S(s.name))
		}
		o.status, o.value, o.res.Msg = Failed, o.dict, err.Error()
		b.run.count(d.w.h.name).Failed++
		b.run.emit(TaskDone{ID: d.w.t.id, Host: d.w.h.name, Result: d.w.event(o)})
		failed[d.w.h] = true
	}
}
