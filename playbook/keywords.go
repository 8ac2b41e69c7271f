package playbook

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"orch/playbook/jinja/value"
	"orch/playbook/source"
)

// An object is what keywords stand on; its name is Ansible's.
type object uint8

const (
	onPlay object = 1 << iota
	onBlock
	onTask
	onHandler
	onRole   // an entry of roles: or dependencies:
	onImport // import_playbook
	onMeta   // meta/main.yml of a role

	onTasks    = onTask | onHandler
	onAll      = onPlay | onBlock | onTasks | onRole | onImport | onMeta
	onRunnable = onBlock | onTasks | onRole // where delegate_to can stand
)

var objectNames = map[object]string{
	onPlay: "Play", onBlock: "Block", onTask: "Task", onHandler: "Handler", onRole: "RoleInclude",
	onImport: "PlaybookInclude", onMeta: "RoleMetadata",
}

func (o object) String() string { return objectNames[o] }

// A form is the type of a keyword's value.
type form uint8

const (
	text form = iota
	boolean
	integer
	number
	percent
	list // of anything, or one
	anything
)

// A keyword is one of the language's words.
type keyword struct {
	on   object
	form form
	// field is where the value of a simple keyword goes.
	field func(k *Keywords) **Scalar
	// set reads any other keyword that objects share; nil for those an object reads itself.
	set     func(sc *scope, k *Keywords, n *source.Node, o object)
	choices []string // of a literal value
}

// keywords are all of them: those without field and set are read by playKeyword,
// taskKeyword and their like.
var keywords = map[string]keyword{
	"name":               {on: onAll, form: text, field: func(k *Keywords) **Scalar { return &k.Name }},
	"connection":         {on: onAll, form: text, field: func(k *Keywords) **Scalar { return &k.Connection }},
	"port":               {on: onAll, form: integer, field: func(k *Keywords) **Scalar { return &k.Port }},
	"remote_user":        {on: onAll, form: text, field: func(k *Keywords) **Scalar { return &k.RemoteUser }},
	"no_log":             {on: onAll, form: boolean, field: func(k *Keywords) **Scalar { return &k.NoLog }},
	"run_once":           {on: onAll, form: boolean, field: func(k *Keywords) **Scalar { return &k.RunOnce }},
	"ignore_errors":      {on: onAll, form: boolean, field: func(k *Keywords) **Scalar { return &k.IgnoreErrors }},
	"ignore_unreachable": {on: onAll, form: boolean, field: func(k *Keywords) **Scalar { return &k.IgnoreUnreachable }},
	"check_mode":         {on: onAll, form: boolean, field: func(k *Keywords) **Scalar { return &k.CheckMode }},
	"diff":               {on: onAll, form: boolean, field: func(k *Keywords) **Scalar { return &k.Diff }},
	"any_errors_fatal":   {on: onAll, form: boolean, field: func(k *Keywords) **Scalar { return &k.AnyErrorsFatal }},
	"throttle":           {on: onAll, form: integer, field: func(k *Keywords) **Scalar { return &k.Throttle }},
	"timeout":            {on: onAll, form: integer, field: func(k *Keywords) **Scalar { return &k.Timeout }},
	"debugger": {
		on: onAll, form: text, field: func(k *Keywords) **Scalar { return &k.Debugger },
		choices: []string{"always", "on_failed", "on_unreachable", "on_skipped", "never"},
	},
	"become":         {on: onAll, form: boolean, field: func(k *Keywords) **Scalar { return &k.Become }},
	"become_method":  {on: onAll, form: text, field: func(k *Keywords) **Scalar { return &k.BecomeMethod }},
	"become_user":    {on: onAll, form: text, field: func(k *Keywords) **Scalar { return &k.BecomeUser }},
	"become_flags":   {on: onAll, form: text, field: func(k *Keywords) **Scalar { return &k.BecomeFlags }},
	"become_exe":     {on: onAll, form: text, field: func(k *Keywords) **Scalar { return &k.BecomeExe }},
	"delegate_to":    {on: onRunnable, form: text, field: func(k *Keywords) **Scalar { return &k.DelegateTo }},
	"delegate_facts": {on: onRunnable, form: boolean, field: func(k *Keywords) **Scalar { return &k.DelegateFacts }},

	"vars":            {on: onAll, form: anything, set: setVars},
	"tags":            {on: onAll &^ onMeta, form: list, set: setTags},
	"when":            {on: onRunnable | onImport, form: list, set: setWhen},
	"environment":     {on: onAll, form: anything, set: setEnvironment},
	"module_defaults": {on: onAll, form: anything, set: setModuleDefaults},
	"collections":     {on: onAll &^ onImport, form: list, set: setCollections},
	"notify":          {on: onBlock | onTasks, form: list, set: setNotify},

	"hosts": {on: onPlay, form: list}, "gather_facts": {on: onPlay, form: boolean}, "gather_subset": {on: onPlay, form: list},
	"gather_timeout": {on: onPlay, form: integer}, "fact_path": {on: onPlay, form: text}, "vars_files": {on: onPlay, form: list},
	"vars_prompt": {on: onPlay, form: list}, "roles": {on: onPlay, form: list}, "handlers": {on: onPlay, form: list},
	"pre_tasks": {on: onPlay, form: list}, "tasks": {on: onPlay, form: list}, "post_tasks": {on: onPlay, form: list},
	"force_handlers": {on: onPlay, form: boolean}, "max_fail_percentage": {on: onPlay, form: percent},
	"serial": {on: onPlay, form: list}, "strategy": {on: onPlay, form: text},
	"order": {on: onPlay, form: text, choices: []string{"inventory", "sorted", "reverse_sorted", "reverse_inventory", "shuffle"}},

	"block": {on: onBlock, form: list}, "rescue": {on: onBlock, form: list}, "always": {on: onBlock, form: list},

	"action": {on: onTasks, form: anything}, "local_action": {on: onTasks, form: anything}, "args": {on: onTasks, form: anything},
	"async": {on: onTasks, form: integer}, "poll": {on: onTasks, form: integer}, "changed_when": {on: onTasks, form: list},
	"failed_when": {on: onTasks, form: list}, "until": {on: onTasks, form: list}, "retries": {on: onTasks, form: integer},
	"delay": {on: onTasks, form: number}, "register": {on: onTasks, form: text}, "loop": {on: onTasks, form: anything},
	"loop_control": {on: onTasks, form: anything}, "listen": {on: onHandler, form: list},

	"role": {on: onRole, form: text}, "import_playbook": {on: onImport, form: text},
	"allow_duplicates": {on: onMeta, form: boolean}, "dependencies": {on: onMeta, form: list},
	"galaxy_info": {on: onMeta, form: anything}, "argument_specs": {on: onMeta, form: anything},
}

// removed are words of older Ansible, with what to write instead.
var removed = map[string]string{
	"include":      "include was removed in ansible-core 2.16: write import_tasks, include_tasks or import_playbook",
	"sudo":         "sudo was removed in Ansible 2.9: write become: true",
	"sudo_user":    "sudo_user was removed in Ansible 2.9: write become_user",
	"su":           "su was removed in Ansible 2.9: write become: true and become_method: su",
	"su_user":      "su_user was removed in Ansible 2.9: write become_user and become_method: su",
	"always_run":   "always_run was removed in Ansible 2.10: write check_mode: false",
	"static":       "static was removed in Ansible 2.12: write import_tasks or include_tasks",
	"accelerate":   "accelerate was removed in Ansible 2.6",
	"gather_fact":  "did you mean \"gather_facts\"?",
	"with_include": "write include_tasks with loop",
}

// wordsOf lists the keywords of an object, sorted.
func wordsOf(o object) []string {
	var words []string
	for word, k := range keywords {
		if k.on&o != 0 {
			words = append(words, word)
		}
	}
	slices.Sort(words)
	return words
}

// Words lists every keyword of the language, sorted.
func Words() []string { return wordsOf(^object(0)) }

// invalidKey reports a key that an object does not have.
func (sc *scope) invalidKey(key *source.Node, o object, class string, more ...string) *source.Diagnostic {
	d := mark(sc.errorf(key.Pos(), "'%s' is not a valid attribute for a %s", key.Text, class), key.Text)
	if d.Hint = removed[key.Text]; d.Hint == "" {
		d.Hint = source.DidYouMean(key.Text, append(wordsOf(o), more...))
	}
	if k, known := keywords[key.Text]; d.Hint == "" && known {
		d.Hint = fmt.Sprintf("%q belongs to %s", key.Text, placesOf(k.on))
	}
	return d
}

// placesOf names the objects a keyword stands on.
func placesOf(on object) string {
	names := map[object]string{
		onPlay: "a play", onBlock: "a block", onTask: "a task", onHandler: "a handler", onRole: "a role",
		onImport: "import_playbook", onMeta: "meta/main.yml",
	}
	var places []string
	for _, o := range slices.Sorted(maps.Keys(names)) {
		if on&o != 0 {
			places = append(places, names[o])
		}
	}
	return strings.Join(places, ", ")
}

// shared reads a keyword that objects share; false if key is none of o's.
func (sc *scope) shared(k *Keywords, e source.Entry, o object) bool {
	word, ok := keywords[e.Key.Text]
	if !ok || word.on&o == 0 {
		return false
	}
	switch {
	case word.field != nil:
		*word.field(k) = sc.simple(e, word)
	case word.set != nil:
		word.set(sc, k, e.Value, o)
	default:
		return false
	}
	return true
}

// simple reads the value of a keyword that is one scalar.
func (sc *scope) simple(e source.Entry, word keyword) *Scalar {
	n := e.Value
	if n.IsNull() {
		return nil
	}
	if n.Kind != source.ScalarNode {
		sc.errorf(n.Pos(), "The field '%s' is supposed to be a %s type, however the incoming data structure is %s",
			e.Key.Text, formNames[word.form], n.Describe())
		return nil
	}
	s := scalar(n)
	if lit, ok := literal(n); ok {
		sc.checkLiteral(e.Key.Text, lit, n, word)
	} else {
		sc.checkTemplates(s.Val, false)
	}
	return s
}

var formNames = map[form]string{text: "string", boolean: "bool", integer: "int", number: "float", percent: "percent"}

func (sc *scope) checkLiteral(name, lit string, n *source.Node, word keyword) {
	ok := true
	switch word.form {
	case boolean:
		_, ok = parseBool(lit)
	case integer:
		_, err := strconv.Atoi(strings.TrimSpace(lit))
		ok = err == nil || n.Tag != source.TagStr
	case number:
		_, err := strconv.ParseFloat(strings.TrimSpace(lit), 64)
		ok = err == nil || n.Tag != source.TagStr
	case percent:
		_, err := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(lit, "%")), 64)
		ok = err == nil
	}
	if !ok {
		mark(sc.fault(n.Pos(), "the field '%s' has an invalid value ('%s'), and could not be converted to %s",
			name, lit, formNames[word.form]), lit)
		return
	}
	if word.choices != nil && !slices.Contains(word.choices, lit) {
		d := mark(sc.fault(n.Pos(), "'%s' is not a valid value for %s. Must be one of %s",
			lit, name, strings.Join(word.choices, ", ")), lit)
		d.Hint = source.DidYouMean(lit, word.choices)
	}
}

// parseBool reads a boolean as Ansible's strict conversion does.
func parseBool(lit string) (val, ok bool) {
	switch strings.ToLower(strings.TrimSpace(lit)) {
	case "y", "yes", "on", "1", "true", "t", "1.0":
		return true, true
	case "n", "no", "off", "0", "false", "f", "0.0":
		return false, true
	}
	return false, false
}

func setVars(sc *scope, k *Keywords, n *source.Node, o object) {
	k.Vars, k.VarsPos = sc.vars(n, o.String()), n.Pos()
}

func setTags(sc *scope, k *Keywords, n *source.Node, _ object) {
	switch {
	case n.Kind == source.SequenceNode:
		for _, item := range n.Items {
			if item.Kind != source.ScalarNode || item.IsNull() {
				if item.Kind == source.SequenceNode { // flattened when used
					k.Tags = append(k.Tags, item.Value(source.Author))
					continue
				}
				sc.errorf(item.Pos(), "the field 'tags' should be a list of strings and integers, but an item is %s", item.Describe())
				continue
			}
			k.Tags = append(k.Tags, str(item))
			sc.checkTemplates(str(item), false)
		}
	case n.IsStr():
		if isTemplate(n.Text) {
			k.Tags = append(k.Tags, str(n))
			sc.checkTemplates(str(n), false)
			return
		}
		col := 0
		for part := range strings.SplitSeq(n.Text, ",") {
			lead := len(part) - len(strings.TrimLeft(part, " \t\n"))
			at := source.Locate(n.At, n.Text, 1, col+lead+1)
			k.Tags = append(k.Tags, value.Str{S: strings.TrimSpace(part), From: &at})
			col += len(part) + 1
		}
	case n.Kind == source.ScalarNode && !n.IsNull(): // a number
		k.Tags = append(k.Tags, str(n))
	default:
		sc.errorf(n.Pos(), "tags must be specified as a list")
	}
}

// conditions reads a condition or a list of them.
func (sc *scope) conditions(n *source.Node, name string) []Scalar {
	items := []*source.Node{n}
	if n.Kind == source.SequenceNode {
		items = n.Items
	}
	var out []Scalar
	for _, item := range items {
		if item.Kind != source.ScalarNode {
			sc.fault(item.Pos(), "a condition of '%s' is an expression, not %s", name, item.Describe())
			continue
		}
		if item.IsNull() {
			continue // ansible-core: no condition
		}
		s := Scalar{Pos: item.Pos(), Val: item.Value(source.Author)}
		sc.checkTemplates(s.Val, true)
		out = append(out, s)
	}
	return out
}

func setWhen(sc *scope, k *Keywords, n *source.Node, _ object) { k.When = sc.conditions(n, "when") }

func setEnvironment(sc *scope, k *Keywords, n *source.Node, _ object) {
	items := []*source.Node{n}
	if n.Kind == source.SequenceNode {
		items = n.Items
	}
	for _, item := range items {
		if item.IsNull() {
			continue
		}
		if item.Kind != source.MappingNode && !(item.IsStr() && isTemplate(item.Text)) {
			sc.fault(item.Pos(), "environment must be a dictionary, received %s (%s)", item.Text, item.Describe())
			continue
		}
		v := item.Value(source.Author)
		sc.checkTemplates(v, false)
		k.Environment = append(k.Environment, v)
	}
}

const moduleDefaultsMsg = "The field 'module_defaults' is supposed to be a dictionary or list of dictionaries, " +
	"the keys of which must be static action, module, or group names. Only the values may contain " +
	"templates. For example: {'ping': \"{{ ping_defaults }}\"}"

func setModuleDefaults(sc *scope, k *Keywords, n *source.Node, _ object) {
	items := []*source.Node{n}
	if n.Kind == source.SequenceNode {
		items = n.Items
	}
	for _, item := range items {
		if item.IsNull() {
			continue
		}
		if item.Kind != source.MappingNode {
			sc.errorf(item.Pos(), "%s", moduleDefaultsMsg).Ansible = placeless()
			continue
		}
		for _, e := range item.Entries {
			if group, ok := strings.CutPrefix(e.Key.Text, "group/"); ok {
				sc.actionGroup(e.Key, group)
			}
			if isTemplate(e.Key.Text) {
				sc.errorf(e.Key.Pos(), "%s", moduleDefaultsMsg).Ansible = placeless()
			}
		}
		v := item.Value(source.Author)
		sc.checkTemplates(v, false)
		k.ModuleDefaults = append(k.ModuleDefaults, v)
	}
}

// actionGroup checks the name of a group that module_defaults are for.
func (sc *scope) actionGroup(key *source.Node, name string) {
	parts := strings.Split(name, ".")
	if len(parts) < 3 {
		name = builtin + name
	} else if sc.play != nil && sc.c.Roles.Collection(parts[0]+"."+parts[1], sc.play.Dir) != "" {
		return // which modules it holds is written in the collection's metadata
	}
	if sc.c.ActionGroup == nil || sc.c.ActionGroup(name) {
		return
	}
	mark(sc.errorf(key.Pos(), "Error loading module_defaults: could not resolve the module_defaults group %s", name), key.Text).
		Ansible = placeless()
}

func setCollections(sc *scope, k *Keywords, n *source.Node, _ object) {
	k.Collections = []string{}
	items := []*source.Node{n}
	if n.Kind == source.SequenceNode {
		items = n.Items
	}
	for _, item := range items {
		switch {
		case item.IsNull():
		case !item.IsStr():
			sc.errorf(item.Pos(), "a collection is named \"namespace.name\", not %s", item.Describe())
		case isTemplate(item.Text):
			sc.diags.Warnf(item.Pos(), "\"collections\" is not templatable, but we found: %s, it will not be templated and will be used \"as is\".", item.Text)
		default:
			k.Collections = append(k.Collections, item.Text)
		}
	}
}

func setNotify(sc *scope, k *Keywords, n *source.Node, _ object) { k.Notify = sc.strings(n, "notify") }

// strings reads a string or a list of strings.
func (sc *scope) strings(n *source.Node, name string) []value.Value {
	items := []*source.Node{n}
	if n.Kind == source.SequenceNode {
		items = n.Items
	}
	var out []value.Value
	for _, item := range items {
		switch {
		case item.IsNull():
		case item.Kind != source.ScalarNode:
			if item.Kind == source.SequenceNode { // ansible flattens what anchors nest
				out = append(out, sc.strings(item, name)...)
				continue
			}
			sc.errorf(item.Pos(), "the field '%s' should be a list of strings, but an item is %s", name, item.Describe())
		default:
			v := item.Value(source.Author)
			if item.Tag != source.TagStr && item.Tag != source.TagVault && item.Tag != source.TagUnsafe {
				v = str(item)
			}
			sc.checkTemplates(v, false)
			out = append(out, v)
		}
	}
	return out
}
