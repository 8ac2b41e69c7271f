package run

import (
	"slices"

	"orch/modules"
	"orch/modules/schema"
	"orch/playbook/jinja/value"
	"orch/playbook/source"
)

// event masks the secrets in all that an event shows.
func (r *Redactor) event(ev Event) Event {
	switch ev := ev.(type) {
	case PlayStart:
		ev.Name = r.Mask(ev.Name)
		return ev
	case NoHosts:
		ev.Play = r.Mask(ev.Play)
		return ev
	case TaskStart:
		ev.Name, ev.Args = r.Mask(ev.Name), r.Mask(ev.Args)
		return ev
	case HostStart:
		ev.Item = r.Mask(ev.Item)
		return ev
	case HostStep:
		ev.Title = r.Mask(ev.Title)
		return ev
	case HostLine:
		ev.Line = r.Mask(ev.Line)
		return ev
	case ItemDone:
		ev.Label, ev.Result = r.Mask(ev.Label), r.result(ev.Result)
		return ev
	case Retry:
		ev.Item, ev.Result = r.Mask(ev.Item), r.result(ev.Result)
		return ev
	case TaskDone:
		ev.Result = r.result(ev.Result)
		return ev
	case Included:
		ev.File, ev.Label = r.Mask(ev.File), r.Mask(ev.Label)
		return ev
	case Notified:
		ev.Handlers = r.texts(ev.Handlers)
		return ev
	case Warning:
		ev.Diagnostic = r.Diagnostic(ev.Diagnostic)
		return ev
	case PlaybookDone:
		ev.Stats = r.dict(ev.Stats)
		return ev
	case RunDone:
		ev.Stats = r.dict(ev.Stats)
		return ev
	}
	return ev
}

func (r *Redactor) texts(list []string) []string {
	for i, s := range list {
		if masked := r.Mask(s); masked != s {
			list = slices.Clone(list)
			list[i] = masked
		}
	}
	return list
}

// Diagnostic masks the secrets of a diagnostic's messages.
func (r *Redactor) Diagnostic(d source.Diagnostic) source.Diagnostic {
	d.Msg, d.Hint = r.Mask(d.Msg), r.Mask(d.Hint)
	if len(d.Related) > 0 {
		related := make([]source.Diagnostic, len(d.Related))
		for i, rel := range d.Related {
			related[i] = r.Diagnostic(rel)
		}
		d.Related = related
	}
	return d
}

func (r *Redactor) result(res Result) Result {
	res.Msg = r.Mask(res.Msg)
	res.Cause = r.Diagnostic(res.Cause)
	res.Warnings, res.Deprecations = r.texts(res.Warnings), r.texts(res.Deprecations)
	res.Value, res.Args = r.dict(res.Value), r.dict(res.Args)
	if len(res.Steps) > 0 {
		steps := make([]modules.StepResult, len(res.Steps))
		for i, s := range res.Steps {
			s.Title = r.Mask(s.Title)
			if s.Diff != nil {
				d := r.diff(*s.Diff)
				s.Diff = &d
			}
			steps[i] = s
		}
		res.Steps = steps
	}
	if len(res.Diffs) > 0 {
		diffs := make([]modules.Diff, len(res.Diffs))
		for i, d := range res.Diffs {
			diffs[i] = r.diff(d)
		}
		res.Diffs = diffs
	}
	if f := res.Failure; f != nil {
		g := *f
		g.Msg, g.Stdout, g.Stderr, g.Hint = r.Mask(f.Msg), r.Mask(f.Stdout), r.Mask(f.Stderr), r.Mask(f.Hint)
		g.Cmd = r.texts(f.Cmd)
		res.Failure = &g
	}
	return res
}

func (r *Redactor) diff(d modules.Diff) modules.Diff {
	d.BeforeHeader, d.AfterHeader = r.Mask(d.BeforeHeader), r.Mask(d.AfterHeader)
	d.Before, d.After, d.Prepared = r.Mask(d.Before), r.Mask(d.After), r.Mask(d.Prepared)
	return d
}

// innocent are keys of results whose values are no secrets under no_log either: masking
// a path or a user's name ever after would hide what nobody hid.
var innocent = map[string]bool{
	"msg": true, "cmd": true, "path": true, "dest": true, "src": true, "name": true, "user": true, "owner": true, "group": true,
	"state": true, "mode": true, "home": true, "shell": true, "start": true, "end": true, "delta": true, "item": true,
	"ansible_loop_var": true, "ansible_index_var": true, "skip_reason": true, "false_condition": true, "checksum": true,
	"md5sum": true, "uuid": true, "backup_file": true, "gecos": true, "comment": true, "append": true, "create_home": true,
	"ansible_included_var_files": true, "warnings": true, "diff": true, "results": false,
}

// learn makes what a task under no_log produced a secret, so that it stays one when the
// registered value is printed by a task that does not hide it.
func (r *Redactor) learn(v value.Value) {
	switch v := v.(type) {
	case value.Str:
		if len(v.S) >= 6 {
			r.Add(v.S)
		}
	case *value.List:
		for _, item := range v.Items {
			r.learn(item)
		}
	case *value.Dict:
		for k, item := range v.All() {
			if !innocent[value.String(k)] {
				r.learn(item)
			}
		}
	case *partial:
		r.learn(v.Dict)
	}
}

// secretArgs makes the values of arguments tagged secret secrets.
func (w *work) secretArgs(args *value.Dict) {
	if w.t.spec != nil {
		w.b.run.secretArgs(w.t.spec.Args, args)
	}
}

func (e *engine) secretArgs(list []schema.Arg, args *value.Dict) {
	for i := range list {
		arg := &list[i]
		for _, name := range append([]string{arg.Name}, arg.Aliases...) {
			v, ok := args.GetStr(name)
			switch {
			case !ok:
			case arg.Secret:
				e.addSecrets(v)
			default:
				e.secretOptions(arg.Options, v)
			}
		}
	}
}

// secretOptions looks for secrets among the options of a mapping, or of those in a list.
func (e *engine) secretOptions(options []schema.Arg, v value.Value) {
	switch v := v.(type) {
	case *value.Dict:
		e.secretArgs(options, v)
	case *value.List:
		for _, item := range v.Items {
			e.secretOptions(options, item)
		}
	}
}

func (e *engine) addSecrets(v value.Value) {
	switch v := v.(type) {
	case value.Str:
		e.redact.Add(v.S)
	case *value.List:
		for _, item := range v.Items {
			e.addSecrets(item)
		}
	case *value.Dict:
		for _, item := range v.All() {
			e.addSecrets(item)
		}
	case value.Int:
		e.redact.Add(value.String(v))
	}
}
