package run

import (
	"fmt"
	"reflect"
	"strings"

	"orch/playbook/jinja/value"
	"orch/playbook/source"
	"orch/playbook/template"
	"orch/playbook/vars"
)

// arguments templates and decodes the task's arguments. Constant ones are decoded once;
// every host gets a copy of the struct, as Plan may keep notes in it.
func (w *work) arguments(scope *vars.Scope) (*value.Dict, any, source.Diagnostics, error) {
	t := w.t
	if t.constant {
		t.once.Do(func() {
			args, err := w.withDefaults(scope, t.args)
			if err != nil {
				t.diags.Errorf(t.src.Pos, "%v", err)
				args = t.args
			}
			t.given = args
			if t.spec != nil && !t.native() && err == nil {
				t.decoded, t.diags = t.spec.Decode(args, t.at)
			}
		})
		return t.given, clone(t.decoded), t.diags, nil
	}
	v, err := w.templated(scope)
	if err != nil {
		return nil, nil, nil, argsError(err)
	}
	args, ok := v.(*value.Dict)
	if !ok {
		return value.D("args", v), nil, nil, nil // Unknown as a whole
	}
	if args, err = w.splat(scope, args); err != nil {
		return nil, nil, nil, err
	}
	if args, err = w.withDefaults(scope, args); err != nil {
		return nil, nil, nil, err
	}
	args, _ = template.DropOmit(args).(*value.Dict)
	if t.spec == nil || t.native() || holdsUnknown(args) {
		return args, nil, nil, nil
	}
	module, diags := t.spec.Decode(args, t.at)
	return args, module, diags, nil
}

// templated evaluates the arguments as written. Conditions (assert's that) are handed on
// as their author wrote them, to be evaluated again; only a template in place of the
// whole list is evaluated here.
func (w *work) templated(scope *vars.Scope) (value.Value, error) {
	that, ok := w.t.args.GetStr("that")
	if !ok || !w.t.is(modAssert) {
		return w.b.run.cfg.Templater.Value(w.ctx, w.t.args, scope)
	}
	if s, isText := that.(value.Str); isText && !isLiteral(s) {
		v, err := w.b.run.cfg.Templater.Value(w.ctx, s, scope)
		if err != nil {
			return nil, err
		}
		if _, list := v.(*value.List); list {
			that = v
		}
	}
	rest := value.NewDict(w.t.args.Len())
	for k, v := range w.t.args.All() {
		if name, ok := k.(value.Str); !ok || name.S != "that" {
			_ = rest.Set(k, v) // a key of a dict
		}
	}
	v, err := w.b.run.cfg.Templater.Value(w.ctx, rest, scope)
	if args, ok := v.(*value.Dict); ok && err == nil {
		args = args.Copy()
		args.SetStr("that", that)
		return args, nil
	}
	return v, err
}

// splat adds what args: "{{ … }}" gives; the task's own arguments win.
func (w *work) splat(scope *vars.Scope, args *value.Dict) (*value.Dict, error) {
	s := w.t.splat
	if s == nil {
		return args, nil
	}
	v, err := w.b.run.cfg.Templater.Value(w.ctx, s.Val, scope)
	if err != nil {
		return nil, err
	}
	if value.IsUnknown(v) {
		return value.D("args", v), nil
	}
	more, ok := v.(*value.Dict)
	if !ok {
		return nil, &keywordError{s.Pos, fmt.Sprintf("invalid or malformed argument: '%s'", value.String(v))}
	}
	return merge(more, args), nil
}

// withDefaults puts module_defaults below args: those of groups, then the module's. What
// is said nearer to the task replaces what was said of the same group or module
// (ansible-core 2.18: get_action_args_with_defaults).
func (w *work) withDefaults(scope *vars.Scope, args *value.Dict) (*value.Dict, error) {
	if len(w.t.kw.moduleDefaults) == 0 {
		return args, nil
	}
	groups, own := value.NewDict(1), value.NewDict(0)
	for _, raw := range w.t.kw.moduleDefaults {
		v, err := w.b.run.cfg.Templater.Value(w.ctx, raw, scope)
		if err != nil {
			return nil, fmt.Errorf("module_defaults: %w", err)
		}
		items := []value.Value{v}
		if list, ok := v.(*value.List); ok {
			items = list.Items
		}
		for _, item := range items {
			d, ok := item.(*value.Dict)
			if !ok {
				return nil, fmt.Errorf("module_defaults must be a dictionary, not %s", item.Type())
			}
			for k, v := range d.All() {
				defaults, ok := v.(*value.Dict)
				if !ok {
					continue
				}
				switch name := value.String(k); {
				case strings.HasPrefix(name, "group/"):
					if w.b.run.inGroup(strings.TrimPrefix(name, "group/"), w.t.module) {
						groups.SetStr(name, defaults)
					}
				case w.b.run.sameModule(name, w.t):
					own = defaults
				}
			}
		}
	}
	base := value.NewDict(4)
	for _, defaults := range groups.All() {
		base = merge(base, defaults.(*value.Dict))
	}
	return merge(merge(base, own), args), nil
}

func (e *engine) sameModule(name string, t *task) bool {
	if name == t.module || builtin+name == t.module {
		return true
	}
	s, ok := e.cfg.Modules.Lookup(name, t.kw.collections)
	return ok && s.Name == t.module
}

func (e *engine) inGroup(group, module string) bool {
	for _, name := range e.cfg.ActionGroups[strings.TrimPrefix(group, builtin)] {
		if name == module {
			return true
		}
	}
	return false
}

// merge makes a dict of low's and high's entries; high wins.
func merge(low, high *value.Dict) *value.Dict {
	if low.Len() == 0 {
		return high
	}
	out := value.NewDict(low.Len() + high.Len())
	for _, d := range []*value.Dict{low, high} {
		for k, v := range d.All() {
			_ = out.Set(k, v) // a key of a dict
		}
	}
	return out
}

// clone copies the struct module points to.
func clone(module any) any {
	if module == nil {
		return nil
	}
	v := reflect.New(reflect.TypeOf(module).Elem())
	v.Elem().Set(reflect.ValueOf(module).Elem())
	return v.Interface()
}

func holdsUnknown(v value.Value) bool {
	switch v := v.(type) {
	case value.Unknown:
		return true
	case *value.List:
		for _, item := range v.Items {
			if holdsUnknown(item) {
				return true
			}
		}
	case value.Tuple:
		for _, item := range v {
			if holdsUnknown(item) {
				return true
			}
		}
	case *value.Dict:
		for _, item := range v.All() {
			if holdsUnknown(item) {
				return true
			}
		}
	case *partial:
		return true
	}
	return false
}

// environment merges the task's environment, later dicts over earlier ones.
func (w *work) environment(scope *vars.Scope) (map[string]string, error) {
	if len(w.t.kw.environment) == 0 {
		return nil, nil
	}
	env := map[string]string{}
	for _, raw := range w.t.kw.environment {
		items := []value.Value{raw}
		if list, ok := raw.(*value.List); ok {
			items = list.Items
		}
		for _, item := range items {
			if err := w.addEnvironment(env, item, scope); err != nil {
				return nil, err
			}
		}
	}
	return env, nil
}

func (w *work) addEnvironment(env map[string]string, item value.Value, scope *vars.Scope) error {
	if _, ok := item.(*value.Dict); !ok {
		v, err := w.b.run.cfg.Templater.Value(w.ctx, item, scope)
		if err != nil {
			return w.unlessFacts(err)
		}
		if list, ok := v.(*value.List); ok {
			for _, inner := range list.Items {
				if err := w.addEnvironment(env, inner, scope); err != nil {
					return err
				}
			}
			return nil
		}
		item = v
	}
	switch item := item.(type) {
	case *value.Dict:
		for k, raw := range item.All() {
			v, err := w.b.run.cfg.Templater.Value(w.ctx, raw, scope)
			if err != nil {
				if err := w.unlessFacts(err); err != nil {
					return err
				}
				continue
			}
			if !template.IsOmit(v) {
				env[value.String(k)] = value.String(v)
			}
		}
	case value.None, value.Unknown:
	default:
		if !template.IsOmit(item) && value.String(item) != "" {
			return fmt.Errorf("environment must be a dictionary, received %s (%s)", value.String(item), item.Type())
		}
	}
	return nil
}

// unlessFacts passes over what an environment needs of facts that are not there yet: the
// task that gathers them has that environment too (ansible-core 2.18).
func (w *work) unlessFacts(err error) error {
	text := err.Error()
	gathers := w.t.is(modSetup, modGatherFacts)
	if template.IsUndefined(err) != nil && (strings.Contains(text, "ansible_env") ||
		gathers && (strings.Contains(text, "ansible_facts.env") || strings.Contains(text, "'env'"))) {
		return nil
	}
	return fieldError("environment", err)
}
