package playbook

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"orch/playbook/jinja/value"
	"orch/playbook/source"
)

// maxDepth stops includes and dependencies that never end.
const maxDepth = 200

// includeKeywords are all that may stand on include_tasks and include_role
// (ansible-core 2.18: TaskInclude.VALID_INCLUDE_KEYWORDS); listen on a handler.
var includeKeywords = []string{
	"action", "args", "collections", "debugger", "ignore_errors", "loop", "loop_control", "name", "no_log",
	"register", "run_once", "tags", "timeout", "vars", "when", "listen", "local_action",
}

// checkKeys refuses keywords that mean nothing on a dynamic include.
func (sc *scope) checkKeys(t *Task, n *source.Node, class string) {
	for _, e := range n.Entries {
		name := e.Key.Text
		if keywords[name].on&onTasks == 0 || slices.Contains(includeKeywords, name) {
			continue
		}
		d := mark(sc.errorf(e.Key.Pos(), "'%s' is not a valid attribute for a %s", name, class), name)
		d.Hint = "to give the included tasks a keyword, write it under apply: in the arguments of " + t.Action
		if sc.c.LenientTasks {
			d.Severity, d.Msg = source.Warning, "Ignoring invalid attribute: "+name
		}
	}
}

// options refuses arguments an include does not have.
func (sc *scope) options(t *Task, known ...string) bool {
	var bad []string
	var pos source.Pos
	for k := range t.Args.All() {
		s, ok := k.(value.Str)
		if !ok || slices.Contains(known, s.S) {
			continue
		}
		if len(bad) == 0 && s.From != nil {
			pos = *s.From
		}
		bad = append(bad, s.S)
	}
	if bad == nil {
		return true
	}
	d := mark(sc.errorf(pos, "Invalid options for %s: %s", t.Action, strings.Join(bad, ",")), bad[0])
	d.Hint = cmp.Or(source.DidYouMean(bad[0], known), "one of "+strings.Join(known, ", "))
	return false
}

// checkApply checks the argument apply: a mapping of keywords, of includes only.
func (sc *scope) checkApply(t *Task, n *source.Node, include bool) bool {
	v, ok := t.Args.GetStr("apply")
	if !ok {
		return true
	}
	if _, none := v.(value.None); none {
		return true
	}
	d, isDict := v.(*value.Dict)
	switch {
	case !include && (!isDict || d.Len() > 0):
		sc.errorf(t.ActionPos, "Invalid options for %s: apply", t.Action)
		return false
	case !isDict:
		sc.errorf(t.ActionPos, "Expected a dict for apply but got %s instead", v.Type())
		return false
	}
	t.apply = argNode(n, t.Action, "apply")
	if t.apply != nil && include {
		block := &Block{Pos: t.apply.Pos()} // a first reading, for what is wrong with it
		sc.applyTo(block, t.apply)
	}
	return true
}

// argNode finds the node of an argument given in a mapping.
func argNode(n *source.Node, action, name string) *source.Node {
	for _, from := range []string{action, "args", "action", "local_action"} {
		if v := n.Get(from).Value; v != nil {
			if e := v.Get(name); e.Key != nil {
				return e.Value
			}
			if e := v.Get("args").Value.Get(name); e.Key != nil {
				return e.Value
			}
		}
	}
	return nil
}

// applyTo reads the keywords of apply into a block.
func (sc *scope) applyTo(b *Block, n *source.Node) {
	for _, e := range n.Entries {
		switch e.Key.Text {
		case "block", "rescue", "always":
			mark(sc.errorf(e.Key.Pos(), "'%s' cannot stand in apply", e.Key.Text), e.Key.Text)
		default:
			if !sc.shared(&b.Keywords, e, onBlock) {
				sc.invalidKey(e.Key, onBlock, "Block")
			}
		}
	}
}

// checkInclude checks import_tasks and include_tasks, and makes the file its free form.
func (sc *scope) checkInclude(t *Task, n *source.Node) bool {
	include := t.Module == builtin+"include_tasks"
	if include {
		class := "TaskInclude"
		if sc.handlers {
			class = "HandlerTaskInclude"
		}
		sc.checkKeys(t, n, class)
	}
	if !sc.options(t, "file", "apply") || !sc.checkApply(t, n, include) {
		return false
	}
	if file, ok := t.Args.GetStr("file"); ok && t.FreeForm == nil {
		if s, isStr := file.(value.Str); isStr {
			_, _ = t.Args.Delete(value.S("file"))
			t.FreeForm = &s
		}
	}
	if t.FreeForm == nil || t.FreeForm.S == "" {
		if t.ArgsTemplate == nil {
			sc.errorf(t.ActionPos, "No file specified for %s", t.Action)
		}
		return t.ArgsTemplate != nil && include
	}
	if t.Loop != nil && !include {
		sc.errorf(t.ActionPos, "You cannot use loops on 'import_tasks' statements. You should use 'include_tasks' instead.")
		return false
	}
	return true
}

// static templates what must be known now.
func (sc *scope) static(t *Task, s value.Str, what string) (string, bool) {
	if s.From == nil || !isTemplate(s.S) {
		return s.S, true
	}
	pos := *s.From
	if sc.c.Static == nil {
		sc.errorf(pos, "%s cannot be a template here: '%s'", what, s.S)
		return "", false
	}
	v, err := sc.c.Static(sc.play, t, s)
	if err == nil {
		if out, ok := v.(value.Str); ok {
			return out.S, true
		}
		var b strings.Builder
		canon(&b, v)
		return b.String(), true
	}
	d := sc.errorf(pos, "Error when evaluating variable in import path: %s.", s.S)
	d.Hint = "When using static imports, ensure that any variables used in their names are defined in vars/vars_files\n" +
		"or extra-vars passed in from the command line. Static imports cannot use variables from facts or inventory\n" +
		"sources like group or host vars."
	d.Related = []source.Diagnostic{{Pos: pos, Msg: err.Error()}}
	return "", false
}

// importTasks puts the tasks of a file where the import stands, in a block with the
// import's keywords.
func (sc scope) importTasks(t *Task) []Node {
	name, ok := sc.static(t, *t.FreeForm, "the file of import_tasks")
	if !ok {
		return nil
	}
	path, searched := sc.findTasks(t, name, sc.block, sc.handlers)
	if path == "" {
		d := mark(sc.errorf(*t.FreeForm.From, "could not find the file %q", name), t.FreeForm.S)
		d.Hint = "searched in " + strings.Join(searched, ", ")
		return nil
	}
	if slices.Contains(sc.stack, path) || len(sc.stack) > maxDepth {
		sc.errorf(*t.FreeForm.From, "import_tasks never ends: %s", strings.Join(append(sc.stack, path), " imports "))
		return nil
	}
	b := &Block{Keywords: t.Keywords, Pos: t.Pos, Parent: sc.block, Role: sc.role, Implicit: true, File: path, Import: t}
	if !sc.fillBlock(b, t) {
		return nil
	}
	return []Node{b}
}

// fillBlock reads the tasks of b.File for the import or include t.
func (sc scope) fillBlock(b *Block, t *Task) bool {
	from := t.Pos
	if t.FreeForm != nil && t.FreeForm.From != nil {
		from = *t.FreeForm.From
	}
	n, ok := sc.parse(b.File, from, "tasks")
	if !ok {
		return false
	}
	if n.IsNull() || n.Kind == source.SequenceNode && len(n.Items) == 0 {
		sc.diags.Warnf(from, "file %s is empty and had no tasks to include", b.File)
		return true
	}
	if n.Kind != source.SequenceNode {
		sc.errorf(n.Pos(), "included task files must contain a list of tasks")
		return false
	}
	in := sc.inside(b)
	in.stack = append(slices.Clone(sc.stack), b.File)
	b.Block = in.nodes(n, "tasks")
	return true
}

// findTasks looks for the file of an include: beside the files that were included on the
// way here, innermost first, then in the role, then beside the playbook (ansible-core
// 2.18: load_list_of_tasks and path_dwim_relative). It also returns the folders searched.
func (sc *scope) findTasks(t *Task, name string, block *Block, handlers bool) (path string, searched []string) {
	if strings.HasPrefix(name, "~/") {
		home, _ := os.UserHomeDir()
		name = filepath.Join(home, name[2:])
	}
	if filepath.IsAbs(name) {
		return existing(filepath.Clean(name)), []string{filepath.Dir(name)}
	}
	sub := "tasks"
	if handlers {
		sub = "handlers"
	}
	var dirs []string
	for b := block; b != nil; b = b.Parent {
		if b.File != "" {
			dir := filepath.Dir(b.File)
			if b.Role != nil {
				dirs = append(dirs, filepath.Join(dir, sub))
			}
			dirs = append(dirs, dir)
		}
	}
	if t.Role != nil {
		dirs = append(dirs, filepath.Join(t.Role.Path, sub), t.Role.Path, filepath.Join(t.Role.Path, "tasks"))
	}
	if t.Pos.File != "" && t.Role == nil {
		dirs = append(dirs, filepath.Dir(t.Pos.File))
	}
	if sc.play != nil {
		dirs = append(dirs, filepath.Join(sc.play.Dir, sub), sc.play.Dir)
	}
	for _, dir := range dirs {
		if found := existing(filepath.Join(dir, name)); found != "" {
			return found, nil
		}
		if !slices.Contains(searched, dir) {
			searched = append(searched, dir)
		}
	}
	return "", searched
}

// existing returns path if there is a file, else "".
func existing(path string) string {
	if info, err := os.Stat(path); err == nil && !info.IsDir() {
		return path
	}
	return ""
}

// FindTasks finds the file an include_tasks names while a run goes on; "" if there is
// none, with the folders that were searched.
func (l *Loader) FindTasks(name string, t *Task, parent *Block) (path string, searched []string) {
	sc := scope{load: l.begin(), play: t.Play}
	return sc.findTasks(t, name, parent, t.Handler)
}

// at is the scope of what a running include brings in.
func (ld *load) at(t *Task, parent *Block) (sc scope, ok bool) {
	sc = scope{load: ld, play: t.Play, role: t.Role, block: parent, handlers: t.Handler}
	if t.Play != nil {
		sc.inherit(&t.Play.Keywords)
	}
	var chain []*Block
	for b := parent; b != nil; b = b.Parent {
		chain = append(chain, b)
	}
	if len(chain) > maxDepth {
		ld.errorf(t.ActionPos, "%s never ends: it is %d levels deep", t.Action, len(chain))
		return sc, false
	}
	if t.Role != nil {
		sc.inherit(&t.Role.Keywords)
	}
	for _, b := range slices.Backward(chain) {
		sc.inherit(&b.Keywords)
	}
	return sc, true
}

// applied makes the block around what an include brings in: with the keywords of apply,
// none of the include's own.
func (sc *scope) applied(t *Task, parent *Block) *Block {
	b := &Block{Pos: t.Pos, Parent: parent, Role: t.Role, Implicit: true, Import: t}
	if t.apply != nil {
		sc.applyTo(b, t.apply)
	}
	return b
}

func (ld *load) includeTasks(path string, t *Task, parent *Block) *Block {
	sc, ok := ld.at(t, parent)
	if !ok {
		return nil
	}
	b := sc.applied(t, parent)
	b.File = path
	sc.fillBlock(b, t)
	return b
}

// roleArgs are the arguments of import_role and include_role.
var roleArgs = []string{
	"name", "role", "tasks_from", "vars_from", "defaults_from", "handlers_from",
	"apply", "public", "allow_duplicates", "rolespec_validate",
}

// checkRoleInclude checks import_role and include_role.
func (sc *scope) checkRoleInclude(t *Task, n *source.Node) bool {
	include := t.Module == builtin+"include_role"
	if include {
		sc.checkKeys(t, n, "IncludeRole")
	}
	if t.ArgsTemplate != nil && include {
		return true
	}
	_, hasName := t.Args.GetStr("name")
	_, hasRole := t.Args.GetStr("role")
	if !hasName && !hasRole {
		sc.errorf(t.ActionPos, "'name' is a required field for %s.", t.Action)
		return false
	}
	if !sc.options(t, roleArgs...) || !sc.checkApply(t, n, include) {
		return false
	}
	ok := true
	for _, name := range roleArgs[2:6] {
		v, given := t.Args.GetStr(name)
		if _, isStr := v.(value.Str); given && !isStr {
			sc.errorf(t.ActionPos, "Expected a string for %s but got %s instead", name, v.Type())
			ok = false
		}
	}
	for _, name := range roleArgs[7:] {
		if v, given := t.Args.GetStr(name); given && !templated(v) {
			if _, isBool := boolOf(v); !isBool {
				sc.errorf(t.ActionPos, "the field '%s' has an invalid value, and could not be converted to bool", name)
				ok = false
			}
		}
	}
	if t.Loop != nil && !include {
		sc.errorf(t.ActionPos, "You cannot use loops on 'import_role' statements. You should use 'include_role' instead.")
		return false
	}
	return ok
}

// boolOf reads a literal boolean.
func boolOf(v value.Value) (val, ok bool) {
	switch v := v.(type) {
	case value.Bool:
		return bool(v), true
	case value.Str:
		return parseBool(v.S)
	case value.Int:
		return v == 1, v == 0 || v == 1
	}
	return false, false
}

// importRole puts a role where the import stands: a block with the import's keywords
// around the role's body. The role's handlers join the play's.
func (sc scope) importRole(t *Task) []Node {
	use := roleUse{pos: t.Pos, include: t, validate: true, duplicates: true, static: true}
	get := func(name string) (string, bool) {
		v, given := t.Args.GetStr(name)
		s, isStr := v.(value.Str)
		if !given || !isStr {
			return "", !given
		}
		return sc.static(t, s, name+" of import_role")
	}
	ok := true
	for _, f := range []struct {
		name string
		to   *string
	}{
		{"role", &use.name},
		{"name", &use.name},
		{"tasks_from", &use.tasks},
		{"vars_from", &use.vars},
		{"defaults_from", &use.defaults},
		{"handlers_from", &use.handlers},
	} {
		s, good := get(f.name)
		ok = ok && good
		if s != "" {
			*f.to = s
		}
	}
	if !ok {
		return nil
	}
	if v, given := t.Args.GetStr("public"); given {
		b, _ := boolOf(v)
		use.public = &b
	}
	if v, given := t.Args.GetStr("allow_duplicates"); given {
		use.duplicates, _ = boolOf(v)
	}
	if v, given := t.Args.GetStr("rolespec_validate"); given {
		use.validate, _ = boolOf(v)
	}
	around := &Block{Keywords: t.Keywords, Pos: t.Pos, Parent: sc.block, Role: sc.role, Implicit: true, Import: t}
	r := sc.inside(around).useRole(use)
	if r == nil {
		return nil
	}
	around.Block = []Node{r.Body}
	if sc.play != nil {
		sc.play.Handlers = append(sc.play.Handlers, r.AllHandlers()...)
		sc.play.Imported = append(sc.play.Imported, r)
	}
	return []Node{around}
}

func (ld *load) includeRole(req IncludeRole, t *Task, parent *Block) *Role {
	sc, ok := ld.at(t, parent)
	if !ok {
		return nil
	}
	use := roleUse{
		pos: t.Pos, include: t, name: req.Name, tasks: req.TasksFrom, vars: req.VarsFrom, defaults: req.DefaultsFrom,
		handlers: req.HandlersFrom, validate: req.RolespecValidate,
		duplicates: req.AllowDuplicates || !req.HasAllowDuplicates,
	}
	if req.HasPublic {
		use.public = &req.Public
	}
	return sc.inside(sc.applied(t, parent)).useRole(use)
}
