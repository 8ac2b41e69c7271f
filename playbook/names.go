package playbook

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"orch/playbook/jinja"
	"orch/playbook/jinja/value"
	"orch/playbook/source"
)

// A Namer is a Checker that can say which variables a template asks for. Without one,
// undefined variables are not looked for.
type Namer interface {
	FreeNames(s value.Str, cond bool) []jinja.Ref
}

// names are the variables a playbook defines and uses, as far as can be seen.
type names struct {
	defined map[string]bool
	// opaque says that something defines variables whose names cannot be seen.
	opaque bool
	used   []use
}

type use struct {
	name string
	at   source.Pos
}

// magic are the variables Ansible defines; those that begin with ansible_ are facts or
// connection settings and are not looked for.
var magic = strings.Fields("inventory_hostname inventory_hostname_short inventory_dir inventory_file group_names groups hostvars " +
	"play_hosts playbook_dir role_name role_names role_path vars environment omit item template_host template_uid template_path " +
	"template_fullpath template_destpath template_run_date discovered_interpreter_python lookup query q now undef")

func (n *names) define(name string) { n.defined[name] = true }

// guarded finds names whose absence a template reckons with.
var guarded = regexp.MustCompile(`\b([A-Za-z_]\w*)(?:\.\w+|\[[^\]]*\])*\s*(?:\|\s*(?:default|d)\b|is\s+(?:not\s+)?(?:defined|undefined)\b)`)

// use notes the variables of every template of v.
func (l *linter) use(v value.Value, cond bool) {
	namer, ok := l.c.Templates.(Namer)
	if !ok || v == nil {
		return
	}
	switch v := v.(type) {
	case value.Str:
		if v.From == nil || !cond && !isTemplate(v.S) {
			return
		}
		guards := map[string]bool{}
		for _, m := range guarded.FindAllStringSubmatch(v.S, -1) {
			guards[m[1]] = true
		}
		for _, ref := range namer.FreeNames(v, cond) {
			if !guards[ref.Name] && !strings.HasPrefix(ref.Name, "ansible_") {
				l.used = append(l.used, use{ref.Name, source.Locate(v.From, v.S, ref.At.Line, ref.At.Col)})
			}
		}
	case *value.List:
		for _, item := range v.Items {
			l.use(item, cond)
		}
	case *value.Dict:
		for _, item := range v.All() {
			l.use(item, cond)
		}
	}
}

func (l *linter) useScalars(list []Scalar, cond bool) {
	for _, s := range list {
		l.use(s.Val, cond)
	}
}

func (l *linter) useKeywords(k *Keywords) {
	l.useScalars(k.When, true)
	for _, list := range [][]value.Value{k.Environment, k.ModuleDefaults, k.Notify, k.Tags} {
		for _, v := range list {
			l.use(v, false)
		}
	}
	for _, s := range []*Scalar{k.Name, k.Connection, k.Port, k.RemoteUser, k.Become, k.BecomeUser, k.NoLog, k.DelegateTo, k.CheckMode} {
		if s != nil {
			l.use(s.Val, false)
		}
	}
}

func (l *linter) useTask(t *Task) {
	if t.Args != nil && !t.Implicit {
		l.use(t.Args, false)
	}
	if t.FreeForm != nil {
		l.use(*t.FreeForm, false)
	}
	l.use(t.Loop, false)
	for _, list := range [][]Scalar{t.ChangedWhen, t.FailedWhen, t.Until} {
		l.useScalars(list, true)
	}
	if that, ok := t.Args.GetStr("that"); ok && short(t.Module) == "assert" {
		l.use(that, true)
	}
}

// defineTask notes the variables a task makes.
func (l *linter) defineTask(t *Task) {
	if t.Register != nil {
		if s, ok := t.Register.Val.(value.Str); ok {
			l.define(s.S)
		}
	}
	if t.LoopControl != nil {
		for _, s := range []*Scalar{t.LoopControl.LoopVar, t.LoopControl.IndexVar} {
			if s == nil {
				continue
			}
			if name, ok := s.Val.(value.Str); ok {
				l.define(name.S)
			}
		}
	}
	switch short(t.Module) {
	case "set_fact", "add_host":
		for k := range t.Args.All() {
			if s, ok := k.(value.Str); ok {
				l.define(s.S)
				l.opaque = l.opaque || isTemplate(s.S)
			}
		}
		l.opaque = l.opaque || t.ArgsTemplate != nil
	case "include_vars":
		l.includeVars(t)
	default:
		l.opaque = l.opaque || t.Executable != "" // it may return facts
	}
}

func (l *linter) includeVars(t *Task) {
	name := t.FreeForm
	if v, ok := t.Args.GetStr("file"); ok {
		if s, isStr := v.(value.Str); isStr {
			name = &s
		}
	}
	if _, dir := t.Args.GetStr("dir"); dir || name == nil || isTemplate(name.S) {
		l.opaque = true
		return
	}
	if v, ok := t.Args.GetStr("name"); ok {
		if s, isStr := v.(value.Str); isStr {
			l.define(s.S)
			return
		}
	}
	dirs := []string{filepath.Dir(t.Pos.File)}
	if t.Role != nil {
		dirs = append(dirs, filepath.Join(t.Role.Path, "vars"), t.Role.Path)
	}
	if l.play != nil {
		dirs = append(dirs, filepath.Join(l.play.Dir, "vars"), l.play.Dir)
	}
	for _, dir := range dirs {
		if path := existing(abs(dir, name.S)); path != "" {
			l.defineFile(path)
			return
		}
	}
}

// varsFilesOf notes the variables of an entry of vars_files.
func (l *linter) varsFilesOf(v value.Value) {
	switch v := v.(type) {
	case value.Str:
		if isTemplate(v.S) {
			l.opaque = true
			return
		}
		for _, dir := range []string{l.play.Dir, filepath.Join(l.play.Dir, "vars")} {
			if path := existing(abs(dir, v.S)); path != "" {
				l.defineFile(path)
				return
			}
		}
	case *value.List:
		for _, item := range v.Items {
			l.varsFilesOf(item)
		}
	}
}

// adjacent notes the variables of group_vars and host_vars beside a playbook.
func (l *linter) adjacent(dir string) {
	for _, sub := range []string{"group_vars", "host_vars"} {
		_ = filepath.WalkDir(filepath.Join(dir, sub), func(path string, e os.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return nil
			}
			switch filepath.Ext(path) {
			case "", ".yml", ".yaml", ".json":
				l.defineFile(path)
			}
			return nil
		})
	}
}

func (l *linter) defineFile(path string) {
	if l.seen["vars\x00"+path] {
		return
	}
	l.seen["vars\x00"+path] = true
	l.vars(l.load.varsFile(path, source.Pos{}, ""))
}

// undefined reports the variables nothing defines.
func (l *linter) undefined() {
	if l.opaque {
		return
	}
	for _, name := range magic {
		l.define(name)
	}
	words := make([]string, 0, len(l.defined))
	for name := range l.defined {
		words = append(words, name)
	}
	for _, u := range l.used {
		if l.defined[u.name] {
			continue
		}
		d := mark(l.remarks.Errorf(u.at, "%q is used and nothing defines it", u.name), u.name)
		d.Rule, d.Hint = "undefined-variable", source.DidYouMean(u.name, words)
	}
}
