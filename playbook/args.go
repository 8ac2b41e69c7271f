package playbook

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"orch/playbook/jinja/value"
	"orch/playbook/keyval"
	"orch/playbook/source"
)

const (
	rawParams = "_raw_params"
	builtin   = "ansible.builtin."
	legacy    = "ansible.legacy."
)

// short is the name of a builtin action without its collection; any other name as it is.
func short(action string) string {
	if s, ok := strings.CutPrefix(action, builtin); ok {
		return s
	}
	return strings.TrimPrefix(action, legacy)
}

// languageActions are handled by the loader and the executor; no registry of modules
// needs to hold them.
var languageActions = []string{
	"meta", "include_tasks", "include_role", "import_tasks", "import_role", "include_vars", "set_fact", "gather_facts",
}

// freeFormShell are the modules whose free form is a command line.
var freeFormShell = []string{"command", "shell", "script", "raw", "win_command", "win_shell", "ansible.windows.win_command", "ansible.windows.win_shell"}

// freeForm are all modules that take a free form.
var freeForm = append([]string{
	"include_vars", "include_tasks", "include_role", "import_tasks", "import_role",
	"add_host", "group_by", "set_fact", "meta",
}, freeFormShell...)

// An action is a module call as it was found on a task.
type action struct {
	name string
	key  *source.Node // where the name stands
	arg  *source.Node // what follows it; nil when the name stands in it
	// old marks action: and local_action:, where the name is part of the value.
	old bool
}

// known reports whether name is something a task can call.
func (sc *scope) known(name string) bool {
	if slices.Contains(languageActions, short(name)) || sc.c.Modules == nil {
		return true
	}
	if _, ok := sc.c.Modules.Lookup(name, sc.collections); ok {
		return true
	}
	return sc.executable(name) != "" || slices.Contains(absent, strings.TrimPrefix(name, builtin))
}

// absent are modules of ansible.builtin that are not here. A task of one fails when it is
// reached: roles for several systems hold them under conditions.
var absent = []string{"dnf", "dnf5", "yum", "yum_repository", "rpm_key", "expect", "subversion", "mount_facts"}

// executable finds an executable module in the library folders of the role, of the roles
// around it, of the playbook and of the settings; "" if there is none. Only short names
// and ansible.legacy are looked for.
func (sc *scope) executable(name string) string {
	name = strings.TrimPrefix(name, legacy)
	if strings.ContainsAny(name, "/.") {
		return sc.collectionModule(name)
	}
	var dirs []string
	if sc.role != nil {
		dirs = append(dirs, filepath.Join(sc.role.Path, "library"))
		for _, r := range slices.Backward(sc.role.Parents) {
			dirs = append(dirs, filepath.Join(r.Path, "library"))
		}
	}
	if sc.play != nil {
		for _, r := range sc.play.Roles {
			dirs = append(dirs, filepath.Join(r.Path, "library"))
		}
		dirs = append(dirs, filepath.Join(sc.play.Dir, "library"))
	}
	for _, dir := range append(dirs, sc.c.Library...) {
		if path := sc.libraryFile(dir, name); path != "" {
			return path
		}
	}
	for _, c := range sc.collections {
		if path := sc.collectionModule(c + "." + name); path != "" {
			return path
		}
	}
	return ""
}

// collectionModule finds namespace.collection.name among the installed collections.
func (sc *scope) collectionModule(name string) string {
	parts := strings.Split(name, ".")
	if len(parts) < 3 || sc.play == nil {
		return ""
	}
	dir := sc.c.Roles.Collection(parts[0]+"."+parts[1], sc.play.Dir)
	if dir == "" {
		return ""
	}
	return sc.libraryFile(filepath.Join(append([]string{dir, "plugins", "modules"}, parts[2:len(parts)-1]...)...), parts[len(parts)-1])
}

// findAction finds the module a task calls. Keys that are neither keywords nor the module
// are reported.
func (sc *scope) findAction(n *source.Node, o object) (action, bool) {
	var found []action
	var unknown []source.Entry
	for _, e := range n.Entries {
		name := e.Key.Text
		switch {
		case name == "action" || name == "local_action":
			if a, ok := sc.oldAction(e); ok {
				found = append(found, a)
			} else {
				return action{}, false
			}
		case keywords[name].on&onTasks != 0 || strings.HasPrefix(name, "with_"):
		case removed[name] != "" && !sc.knownModule(name):
			sc.unknownKey(n, e.Key, o)
			if name == "include" {
				sc.extraParams(&sc.diags[len(sc.diags)-1], n, e)
				return action{}, false
			}
		case sc.known(name) && !(keywords[name].on != 0 && sc.c.Modules == nil):
			found = append(found, action{name: name, key: e.Key, arg: e.Value})
		default:
			unknown = append(unknown, e)
		}
	}
	if len(found) > 1 {
		d := mark(sc.errorf(found[1].key.Pos(), "conflicting action statements: %s, %s", found[0].name, found[1].name), found[1].key.Text)
		d.Related = []source.Diagnostic{{Pos: found[0].key.Pos(), Msg: "the first action is here", Len: len(found[0].key.Text)}}
		return action{}, false
	}
	if len(found) == 0 {
		sc.noAction(n, unknown)
		return action{}, false
	}
	for _, e := range unknown {
		sc.unknownKey(n, e.Key, o)
	}
	return found[0], true
}

// knownModule reports whether the registry has a module of that name: a word that
// Ansible removed may be one again.
func (sc *scope) knownModule(name string) bool {
	if sc.c.Modules == nil {
		return false
	}
	_, ok := sc.c.Modules.Lookup(name, sc.collections)
	return ok || sc.executable(name) != ""
}

// unknownKey reports a key beside a task's module. ansible-core takes both for modules.
func (sc *scope) unknownKey(task, key *source.Node, o object) {
	d := sc.invalidKey(key, o, o.String())
	var modules []string
	for _, e := range task.Entries {
		if keywords[e.Key.Text].on&onTasks == 0 && !strings.HasPrefix(e.Key.Text, "with_") {
			modules = append(modules, e.Key.Text)
		}
	}
	if len(modules) > 1 {
		d.Ansible = &source.Ansible{Msg: fmt.Sprintf("conflicting action statements: %s, %s", modules[0], modules[1]), Pos: task.Pos()}
	}
	if sc.c.LenientTasks {
		d.Severity, d.Msg = source.Warning, "Ignoring invalid attribute: "+key.Text
	}
}

// noAction reports a task without a module: the first key that is no keyword was meant
// to be one, or to be a keyword.
func (sc *scope) noAction(n *source.Node, unknown []source.Entry) {
	if len(unknown) == 0 {
		sc.errorf(n.Pos(), "no module/action detected in task.")
		return
	}
	for i, e := range unknown {
		key := e.Key
		if i > 0 {
			sc.unknownKey(n, key, onTask)
			continue
		}
		d := mark(sc.errorf(key.Pos(), "couldn't resolve module/action '%s'. This often indicates a misspelling, "+
			"missing collection, or incorrect module path.", key.Text), key.Text)
		d.Hint = sc.suggestModule(key.Text)
		sc.extraParams(d, n, e)
	}
}

// extraParams is what ansible-core says of a module that is not there and is given a free
// form: it looks at that first.
func (sc *scope) extraParams(d *source.Diagnostic, task *source.Node, e source.Entry) {
	if !e.Value.IsStr() || isTemplate(e.Value.Text) {
		return
	}
	if _, free, _, err := keyval.Parse(e.Value.Text, nil); err == nil && free != "" {
		d.Ansible = &source.Ansible{Msg: extraParams(e.Key.Text), Pos: task.Pos()}
	}
}

// extraParams is ansible-core 2.18's message about a free form for a module that takes
// none. It has the modules by their short names.
func extraParams(action string) string {
	names := slices.DeleteFunc(slices.Clone(freeForm), func(name string) bool { return strings.Contains(name, ".") })
	slices.Sort(names)
	return fmt.Sprintf("this task '%s' has extra params, which is only allowed in the following modules: %s",
		action, strings.Join(names, ", "))
}

// suggestModule finds the module or keyword most like a name.
func (sc *scope) suggestModule(name string) string {
	words := wordsOf(onTask)
	words = append(words, languageActions...)
	if sc.c.Modules != nil {
		for _, full := range sc.c.Modules.Names() {
			words = append(words, full)
			if !strings.Contains(name, ".") {
				words = append(words, full[strings.LastIndexByte(full, '.')+1:])
			}
		}
	}
	return source.DidYouMean(name, words)
}

// oldAction reads action: and local_action:, a string or a mapping with a module key.
func (sc *scope) oldAction(e source.Entry) (action, bool) {
	n := e.Value
	name := n
	if n.Kind == source.MappingNode {
		name = n.Get("module").Value
	}
	if name.IsNull() || name.Kind != source.ScalarNode {
		if n.Kind == source.ScalarNode || n.Kind == source.MappingNode {
			sc.errorf(n.Pos(), "no module/action detected in task.")
		} else {
			sc.errorf(n.Pos(), "unexpected parameter type in action: %s", n.Describe())
		}
		return action{}, false
	}
	words, err := keyval.Split(name.Text)
	if err != nil || len(words) == 0 {
		sc.errorf(name.Pos(), "no module/action detected in task.")
		return action{}, false
	}
	first := strings.TrimSpace(words[0].Text)
	if !isTemplate(first) && !sc.known(first) {
		d := mark(sc.errorf(name.Pos(), "couldn't resolve module/action '%s'. This often indicates a misspelling, "+
			"missing collection, or incorrect module path.", first), first)
		d.Hint = sc.suggestModule(first)
		return action{}, false
	}
	return action{name: first, key: name, arg: n, old: true}, true
}

// arguments reads what follows a module's name in any of its forms, and args:.
func (sc *scope) arguments(t *Task, a action, extra *source.Node) {
	t.Args = value.NewDict(4)
	sc.extraArgs(t, extra)
	switch {
	case a.old:
		sc.oldArguments(t, a)
	case a.arg.IsNull():
	case a.arg.Kind == source.MappingNode:
		sc.mappingArgs(t, a.arg, "")
	case a.arg.IsStr() || a.arg.Tag == source.TagTimestamp:
		sc.stringArgs(t, a.arg, a.arg.Text, 0)
	case a.arg.Tag == source.TagUnsafe || a.arg.Tag == source.TagVault:
		if s, ok := a.arg.Value(source.Author).(value.Str); ok {
			t.FreeForm = &s
			return
		}
		sc.errorf(a.arg.Pos(), "unexpected parameter type in action: %s", a.arg.Describe())
	default:
		sc.errorf(a.arg.Pos(), "unexpected parameter type in action: %s", a.arg.Describe()).
			Hint = "arguments are a mapping, or a string: " + a.name + ": \"" + a.arg.Text + "\""
	}
	sc.commandLine(t, a)
	sc.rawParameters(t, a)
}

// extraArgs reads args: a mapping of defaults, or a template that yields one.
func (sc *scope) extraArgs(t *Task, n *source.Node) {
	switch {
	case n.IsNull():
	case n.Kind == source.MappingNode:
		sc.mappingArgs(t, n, "")
	case n.IsStr() && isTemplate(n.Text):
		t.ArgsTemplate = scalar(n)
		sc.checkTemplates(t.ArgsTemplate.Val, false)
	case n.IsStr():
		sc.errorf(n.Pos(), "Complex args containing variables cannot use bare variables (without Jinja2 delimiters), "+
			"and must use the full variable style ('{{var_name}}')")
	default:
		sc.errorf(n.Pos(), "Complex args must be a dictionary or variable string (\"{{var}}\").")
	}
}

// mappingArgs adds the entries of a mapping, except that of key skip.
func (sc *scope) mappingArgs(t *Task, n *source.Node, skip string) {
	for _, e := range n.Entries {
		if skip != "" && e.Key.Text == skip {
			continue
		}
		if strings.HasPrefix(e.Key.Text, "_ansible_") && !slices.Contains(freeFormShell, short(t.Action)) {
			mark(sc.errorf(e.Key.Pos(), "Invalid parameter specified beginning with keyword '_ansible_' for action '%s': '%s'. "+
				"The prefix '_ansible_' is reserved for internal use only.", t.Action, e.Key.Text), e.Key.Text)
			continue
		}
		_ = t.Args.Set(e.Key.Value(source.Author), e.Value.Value(source.Author)) // keys were hashed before
	}
}

// shellOptions are the only pairs taken out of the free form of command, shell, script
// and raw: anything else with a = belongs to the command.
var shellOptions = []string{"creates", "removes", "chdir", "executable", "warn", "stdin", "stdin_add_newline", "strip_empty_ends"}

// stringArgs reads k=v pairs and the free form of text, which begins at byte from of n.
func (sc *scope) stringArgs(t *Task, n *source.Node, text string, from int) {
	var only []string
	if slices.Contains(freeFormShell, short(t.Action)) {
		only = shellOptions
	}
	pairs, free, freeAt, err := keyval.Parse(text, only)
	if err != nil {
		sc.errorf(n.Pos(), "%s", err).Ansible = &source.Ansible{Msg: fmt.Sprintf("%s. %[1]s", err), Pos: t.Pos}
		return
	}
	at := func(off int) *source.Pos {
		head := n.Text[:min(from+off, len(n.Text))]
		line := strings.Count(head, "\n") + 1
		p := source.Locate(n.At, n.Text, line, len([]rune(head[strings.LastIndexByte(head, '\n')+1:]))+1)
		return &p
	}
	for _, p := range pairs {
		if strings.HasPrefix(p.Key, "_ansible_") {
			mark(sc.errorf(*at(p.At), "Invalid parameter specified beginning with keyword '_ansible_' for action '%s': '%s'. "+
				"The prefix '_ansible_' is reserved for internal use only.", t.Action, p.Key), p.Key)
			continue
		}
		_ = t.Args.Set(value.Str{S: p.Key, From: at(p.At)}, value.Str{S: p.Val, From: at(p.ValAt)})
	}
	if free != "" {
		origin := at(freeAt)
		if free == n.Text {
			origin = n.At // with its marks and block
		}
		t.FreeForm = &value.Str{S: free, From: origin}
	}
}

func (sc *scope) oldArguments(t *Task, a action) {
	text := a.key.Text
	rest := ""
	from := 0
	if words, _ := keyval.Split(text); len(words) > 1 {
		from = words[1].At
		rest = keyval.Join(words[1:])
	}
	if a.arg.Kind == source.MappingNode {
		sc.mappingArgs(t, a.arg, "module")
		if inner, ok := t.Args.GetStr("args"); ok { // action: {module: x, args: {…}}
			_, _ = t.Args.Delete(value.S("args"))
			switch inner := inner.(type) {
			case *value.Dict:
				for k, v := range inner.All() {
					_ = t.Args.Set(k, v)
				}
			case value.Str:
				sc.stringArgs(t, a.arg.Get("args").Value, inner.S, 0)
			}
		}
	}
	if rest != "" {
		sc.stringArgs(t, a.key, rest, from)
	}
}

// commandLine makes cmd the free form of command, shell and script, as ansible-core does.
func (sc *scope) commandLine(t *Task, a action) {
	switch short(t.Action) {
	case "command", "shell", "script":
	default:
		return
	}
	cmd, ok := t.Args.GetStr("cmd")
	if !ok {
		return
	}
	if t.FreeForm != nil {
		sc.errorf(a.key.Pos(), "The 'cmd' argument cannot be used when other raw parameters are specified. "+
			"Please put everything in one or the other place.")
		return
	}
	if s, ok := cmd.(value.Str); ok {
		_, _ = t.Args.Delete(value.S("cmd"))
		t.FreeForm = &s
	}
}

// rawParameters decides what a free form means for a module that takes none: a template
// of all arguments, or a mistake.
func (sc *scope) rawParameters(t *Task, a action) {
	if t.FreeForm == nil || slices.Contains(freeForm, t.Action) || slices.Contains(freeForm, short(t.Action)) || isTemplate(t.Action) {
		return
	}
	if isTemplate(t.FreeForm.S) {
		t.ArgsTemplate = &Scalar{Pos: *t.FreeForm.From, Val: *t.FreeForm}
		t.FreeForm = nil
		return
	}
	d := sc.errorf(t.Pos, "%s", extraParams(t.Action)) // ansible-core 2.18 names the task's place
	d.Hint = "write the arguments as a mapping below " + a.name
}
