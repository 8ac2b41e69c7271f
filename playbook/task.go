package playbook

import (
	"fmt"
	"slices"
	"strings"

	"orch/playbook/jinja/value"
	"orch/playbook/source"
)

// nodes reads a list of tasks and blocks. what names the list in messages.
func (sc scope) nodes(n *source.Node, what string) []Node {
	if n.IsNull() {
		return nil
	}
	if n.Kind != source.SequenceNode {
		if what == "block" || what == "rescue" || what == "always" {
			sc.errorf(n.Pos(), "%s must be a list of tasks, not %s", what, n.Describe())
			return nil
		}
		given := n.Describe()
		if n.Kind == source.ScalarNode {
			given = n.Text
		}
		d := sc.errorf(n.Pos(), "A malformed block was encountered while loading %s: %s should be a list or None", what, given)
		d.Hint = "write a list of tasks, each after a dash"
		if sc.play != nil {
			why := fmt.Sprintf("%s should be a list or None but is %s", value.String(n.Value(source.Author)), pythonClass(n))
			d.Ansible = &source.Ansible{Msg: fmt.Sprintf("A malformed block was encountered while loading %s: %s. %[2]s", what, why), Pos: sc.play.Pos}
		}
		return nil
	}
	out := make([]Node, 0, len(n.Items))
	for _, item := range n.Items {
		out = append(out, sc.node(item, what)...)
	}
	return out
}

// node reads one entry of a list of tasks: a task, a block, or what an import brings in.
func (sc scope) node(n *source.Node, what string) []Node {
	if n.IsNull() {
		sc.errorf(n.Pos(), "an entry of %s is empty", what).Hint = "remove the dash"
		return nil
	}
	if n.Kind != source.MappingNode {
		d := sc.errorf(n.Pos(), "an entry of %s must be a task, a mapping, not %s", what, n.Describe())
		if n.IsStr() {
			d.Hint = "write \"- " + strings.TrimSpace(strings.SplitN(n.Text, "\n", 2)[0]) + ":\" if this is a module"
		}
		return nil
	}
	for _, word := range []string{"block", "rescue", "always"} {
		if n.Get(word).Key != nil {
			return sc.entry(n, scope.blockNode)
		}
	}
	return sc.entry(n, scope.taskNode)
}

// entry reads a task or block and says of the mistakes in it where ansible-core sees them.
func (sc scope) entry(n *source.Node, read func(scope, *source.Node) []Node) []Node {
	before := len(sc.diags)
	nodes := read(sc, n)
	sc.diags.Belong(before, n.Pos())
	return nodes
}

func (sc scope) blockNode(n *source.Node) []Node {
	if sc.handlers {
		sc.errorf(n.Pos(), "Using a block as a handler is not supported.")
		return nil
	}
	b := &Block{Pos: n.Pos(), Parent: sc.block, Role: sc.role}
	for _, e := range n.Entries {
		if !e.Key.IsStr() {
			sc.errorf(e.Key.Pos(), "'%s' is not a valid attribute for a Block", e.Key.Text)
			continue
		}
		switch e.Key.Text {
		case "block", "rescue", "always":
		default:
			if !sc.shared(&b.Keywords, e, onBlock) {
				sc.invalidKey(e.Key, onBlock, "Block")
			}
		}
	}
	in := sc.inside(b)
	rescued := in
	rescued.handled = in.handled || !n.Get("rescue").Value.IsNull()
	b.Block = rescued.nodes(n.Get("block").Value, "block")
	b.Rescue = in.nodes(n.Get("rescue").Value, "rescue")
	b.Always = in.nodes(n.Get("always").Value, "always")
	for _, word := range []string{"rescue", "always"} {
		if e := n.Get(word); e.Key != nil && !e.Value.IsNull() && n.Get("block").Value.IsNull() {
			mark(sc.errorf(e.Key.Pos(), "'%s' keyword cannot be used without 'block'", word), word)
		}
	}
	return []Node{b}
}

func (sc scope) taskNode(n *source.Node) []Node {
	t := &Task{Pos: n.Pos(), Parent: sc.block, Role: sc.role, Play: sc.play, Handler: sc.handlers}
	o := onTask
	if sc.handlers {
		o = onHandler
	}
	if c := n.Get("collections"); c.Key != nil { // they decide what the module's name means
		setCollections(&sc, &t.Keywords, c.Value, o)
		sc.collections = t.Collections
	}
	if e := n.Get("ignore_errors"); e.Key != nil {
		sc.handled = sc.handled || ignores(scalar(e.Value))
	}
	sc.handled = sc.handled || n.Get("failed_when").Key != nil
	a, ok := sc.findAction(n, o)
	if ok {
		t.Action, t.ActionPos = a.name, a.key.Pos()
		sc.resolve(t)
		sc.arguments(t, a, n.Get("args").Value)
	}
	for _, e := range n.Entries {
		switch {
		case ok && e.Key == a.key, e.Key.Text == "collections", e.Key.Text == "args", e.Key.Text == "action":
		case e.Key.Text == "local_action":
			t.LocalAction = true
			at := e.Key.Pos()
			t.DelegateTo = &Scalar{Pos: at, Val: value.S("localhost")}
		case sc.shared(&t.Keywords, e, o):
		default:
			sc.taskKeyword(t, e, o)
		}
	}
	sc.inherit(&t.Keywords)
	if !ok {
		return nil
	}
	return sc.taskOf(t, n)
}

// resolve finds the module a task calls.
func (sc *scope) resolve(t *Task) {
	name := short(t.Action)
	switch {
	case isTemplate(t.Action):
		return
	case slices.Contains(languageActions, name):
		t.Module = builtin + name
		return
	}
	if path := sc.executable(t.Action); path != "" {
		t.Module, t.Executable = t.Action, path
		return
	}
	t.Module = t.Action
	if sc.c.Modules == nil {
		return
	}
	if m, ok := sc.c.Modules.Lookup(t.Action, sc.collections); ok {
		t.Module = m.FullName()
	}
}

// taskOf finishes a task: an import becomes the blocks it brings in.
func (sc scope) taskOf(t *Task, n *source.Node) []Node {
	sc.checkTask(t)
	switch t.Module {
	case builtin + "import_tasks", builtin + "include_tasks":
		if !sc.checkInclude(t, n) {
			return nil
		}
		if t.Module == builtin+"import_tasks" {
			return sc.importTasks(t)
		}
	case builtin + "import_role", builtin + "include_role":
		if sc.handlers {
			sc.errorf(t.ActionPos, "Using '%s' as a handler is not supported.", t.Action)
			return nil
		}
		if !sc.checkRoleInclude(t, n) {
			return nil
		}
		if t.Module == builtin+"import_role" {
			return sc.importRole(t)
		}
	case builtin + "meta":
		sc.checkMeta(t)
	}
	return []Node{t}
}

// metaActions are what meta can be told.
var metaActions = []string{
	"clear_facts", "clear_host_errors", "end_batch", "end_host", "end_play", "end_role",
	"flush_handlers", "noop", "refresh_inventory", "reset_connection",
}

func (sc *scope) checkMeta(t *Task) {
	if t.FreeForm == nil {
		sc.errorf(t.ActionPos, "meta wants an action, one of %s", strings.Join(metaActions, ", "))
		return
	}
	word := strings.TrimSpace(t.FreeForm.S)
	switch {
	case isTemplate(word):
		sc.errorf(*t.FreeForm.From, "the action of meta cannot be a template: '%s'", word)
	case !slices.Contains(metaActions, word):
		d := mark(sc.fault(*t.FreeForm.From, "invalid meta action requested: %s", word), word)
		d.Hint = "one of " + strings.Join(metaActions, ", ")
		if s := source.DidYouMean(word, metaActions); s != "" {
			d.Hint = s
		}
	case word == "end_role" && t.Handler:
		sc.errorf(*t.FreeForm.From, "Cannot execute 'end_role' from a handler").Ansible = placeless()
	case word == "end_role" && t.Role == nil:
		sc.errorf(*t.FreeForm.From, "Cannot execute 'end_role' from outside of a role").Ansible = placeless()
	}
}

// taskKeyword reads the keywords only tasks have, and with_….
func (sc *scope) taskKeyword(t *Task, e source.Entry, o object) {
	word := keywords[e.Key.Text]
	switch e.Key.Text {
	case "async":
		t.Async = sc.simple(e, word)
	case "poll":
		t.Poll = sc.simple(e, word)
	case "retries":
		t.Retries = sc.simple(e, word)
	case "delay":
		t.Delay = sc.simple(e, word)
	case "register":
		t.Register = sc.simple(e, word)
		// A template is no name either: ansible-core checks it as it is written.
		if lit := e.Value.Text; e.Value.Kind == source.ScalarNode && !e.Value.IsNull() && !identifier(lit) {
			mark(sc.errorf(e.Value.Pos(), "Invalid variable name in 'register' specified: '%s'", lit), lit).Ansible = placeless()
		}
	case "changed_when":
		t.ChangedWhen = sc.conditions(e.Value, "changed_when")
	case "failed_when":
		t.FailedWhen = sc.conditions(e.Value, "failed_when")
	case "until":
		t.Until = sc.conditions(e.Value, "until")
	case "loop":
		if !e.Value.IsNull() {
			sc.setLoop(t, e, "")
		}
	case "loop_control":
		t.LoopControl = sc.loopControl(e.Value)
	case "listen":
		if o == onHandler {
			t.Listen = sc.strings(e.Value, "listen")
		}
	default:
		sc.withLoop(t, e, o)
	}
}

// withLoop reads with_…; other keys were reported where the module was looked for.
func (sc *scope) withLoop(t *Task, e source.Entry, o object) {
	name, ok := strings.CutPrefix(e.Key.Text, "with_")
	if !ok {
		return
	}
	if name == "" || sc.c.Lookup != nil && !sc.c.Lookup(name) {
		d := sc.invalidKey(e.Key, o, o.String(), "with_items", "with_dict", "with_fileglob", "with_first_found", "with_sequence",
			"with_subelements", "with_nested", "with_together", "with_flattened", "with_lines", "with_indexed_items")
		if d.Hint == "" {
			d.Hint = fmt.Sprintf("there is no lookup %q", name)
		}
		return
	}
	if e.Value.IsNull() {
		mark(sc.errorf(e.Key.Pos(), "you must specify a value when using %s", e.Key.Text), e.Key.Text)
		return
	}
	sc.setLoop(t, e, name)
}

func (sc *scope) setLoop(t *Task, e source.Entry, with string) {
	if t.Loop != nil {
		mark(sc.errorf(e.Key.Pos(), "duplicate loop in task: %s", strings.TrimPrefix(e.Key.Text, "with_")), e.Key.Text)
		return
	}
	t.Loop, t.With = e.Value.Value(source.Author), with
	if with == "" && e.Value.Kind == source.MappingNode {
		sc.fault(e.Value.Pos(), "Invalid data passed to 'loop', it requires a list, got this instead: a mapping.").
			Hint = "use the filter dict2items, or with_dict"
	}
	if lit, ok := literal(e.Value); ok && with == "" {
		mark(sc.fault(e.Value.Pos(), "Invalid data passed to 'loop', it requires a list, got this instead: %s.", lit), lit).
			Hint = fmt.Sprintf("a variable needs braces: \"{{ %s }}\"", lit)
	}
	sc.checkTemplates(t.Loop, false)
}

func (sc *scope) loopControl(n *source.Node) *LoopControl {
	if n.IsNull() {
		return nil
	}
	if n.Kind != source.MappingNode {
		sc.errorf(n.Pos(), "the `loop_control` value must be specified as a dictionary and cannot be a variable itself (though it can contain variables)")
		return nil
	}
	lc := &LoopControl{Pos: n.Pos()}
	fields := map[string]struct {
		to   **Scalar
		form form
	}{
		"loop_var": {&lc.LoopVar, text}, "index_var": {&lc.IndexVar, text}, "label": {&lc.Label, anything},
		"pause": {&lc.Pause, number}, "extended": {&lc.Extended, boolean},
		"extended_allitems": {&lc.ExtendedAllitems, boolean}, "parallel": {&lc.Parallel, integer},
	}
	for _, e := range n.Entries {
		f, ok := fields[e.Key.Text]
		switch {
		case e.Key.Text == "break_when":
			lc.BreakWhen = sc.conditions(e.Value, "break_when")
		case !ok:
			names := []string{"break_when"}
			for name := range fields {
				names = append(names, name)
			}
			mark(sc.errorf(e.Key.Pos(), "'%s' is not a valid attribute for a LoopControl", e.Key.Text), e.Key.Text).
				Hint = source.DidYouMean(e.Key.Text, names)
		case f.form == anything:
			*f.to = scalar(e.Value)
			if *f.to != nil {
				sc.checkTemplates((*f.to).Val, false)
			}
		default:
			*f.to = sc.simple(e, keyword{form: f.form})
		}
	}
	for _, v := range []*Scalar{lc.LoopVar, lc.IndexVar} {
		if v == nil {
			continue
		}
		if s, ok := v.Val.(value.Str); ok && !isTemplate(s.S) && !identifier(s.S) {
			mark(sc.errorf(v.Pos, "'%s' is not a valid variable name", s.S), s.S)
		}
	}
	return lc
}

// checkTask puts off the checks of a task's arguments: templates, and what the module
// says about those that are none.
func (sc *scope) checkTask(t *Task) {
	if t.Args.Len() > 0 {
		sc.checkTemplates(t.Args, false)
	}
	if t.FreeForm != nil {
		sc.checkTemplates(*t.FreeForm, false)
	}
	if t.Executable != "" || sc.c.Modules == nil || t.Module == "" {
		return
	}
	m, ok := sc.c.Modules.Lookup(t.Action, sc.collections)
	if !ok || t.ArgsTemplate != nil {
		return
	}
	partial := sc.defaults
	sc.later(func() source.Diagnostics { return checkArgs(t, m, partial) })
}

// checkArgs lets a module check the arguments of a task. partial says that module_defaults
// may give the missing ones.
func checkArgs(t *Task, m Module, partial bool) source.Diagnostics {
	args := t.Args
	if t.FreeForm != nil {
		args = value.NewDict(t.Args.Len() + 1)
		for k, v := range t.Args.All() {
			_ = args.Set(k, v)
		}
		if name := m.FreeForm(); name != "" {
			args.SetStr(name, *t.FreeForm)
		} else {
			args.SetStr(rawParams, *t.FreeForm)
		}
	}
	at := func(name string) source.Pos {
		for k := range args.All() {
			if s, ok := k.(value.Str); ok && s.S == name && s.From != nil {
				return *s.From
			}
		}
		return t.ActionPos
	}
	ds := m.CheckLiteral(args, at, templated)
	return slices.DeleteFunc(ds, func(d source.Diagnostic) bool {
		return partial && strings.HasPrefix(d.Msg, "missing required argument")
	})
}
