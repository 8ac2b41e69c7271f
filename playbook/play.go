package playbook

import (
	"bytes"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"orch/playbook/jinja/value"
	"orch/playbook/keyval"
	"orch/playbook/source"
)

// importNames are the words for import_playbook.
var importNames = []string{"import_playbook", builtin + "import_playbook", legacy + "import_playbook"}

// playbook reads the plays of a file; from is what imports it, stack the files that led here.
func (ld *load) playbook(path string, from *source.Node, stack []string, given *value.Dict) []*Play {
	if slices.Contains(stack, path) || len(stack) > maxDepth {
		ld.errorf(from.Pos(), "import_playbook never ends: %s", strings.Join(append(stack, path), " imports "))
		return nil
	}
	n, read := ld.parse(path, from.Pos(), "playbook")
	at := source.Pos{File: path, Line: 1, Col: 1}
	switch {
	case n == nil || n.IsNull():
		if read {
			ld.errorf(at, "Empty playbook, nothing to do: %s", path).Ansible = &source.Ansible{
				Msg: "Empty playbook, nothing to do: " + source.Absolute(path), Placeless: true,
			}
		}
		return nil
	case n.Kind != source.SequenceNode:
		ld.errorf(n.Pos(), "A playbook must be a list of plays, got %s instead: %s", n.Describe(), path).Ansible = &source.Ansible{
			Msg: fmt.Sprintf("A playbook must be a list of plays, got a %s instead: %s", pythonClass(n), source.Absolute(path)),
		}
		return nil
	case len(n.Items) == 0:
		ld.errorf(n.Pos(), "A playbook must contain at least one play: %s", path)
		return nil
	}
	var plays []*Play
	for _, item := range n.Items {
		if item.Kind != source.MappingNode {
			ld.errorf(item.Pos(), "playbook entries must be either valid plays or 'import_playbook' statements")
			continue
		}
		sc := scope{load: ld, given: given, play: &Play{Pos: item.Pos(), File: path, Dir: filepath.Dir(path)}}
		var imported source.Entry
		for _, name := range importNames {
			if e := item.Get(name); e.Key != nil {
				imported = e
			}
		}
		if imported.Key != nil {
			plays = append(plays, sc.importPlaybook(item, imported, append(slices.Clone(stack), path))...)
			continue
		}
		before := len(ld.diags)
		sc.readPlay(item)
		ld.diags.Belong(before, item.Pos())
		plays = append(plays, sc.play)
	}
	return plays
}

// importPlaybook reads the plays of another playbook and gives them the import's vars,
// tags and conditions.
func (sc scope) importPlaybook(n *source.Node, imported source.Entry, stack []string) []*Play {
	var k Keywords
	for _, e := range n.Entries {
		switch {
		case e.Key == imported.Key:
		case sc.shared(&k, e, onImport):
			switch e.Key.Text {
			case "name", "vars", "tags", "when":
			default:
				sc.diags.Warnf(e.Key.Pos(), "'%s' has no effect on import_playbook", e.Key.Text)
			}
		default:
			sc.invalidKey(e.Key, onImport, "PlaybookInclude")
		}
	}
	sc.play.Vars = overlay(k.Vars, sc.given)
	path, ok := sc.playbookFile(imported)
	if !ok {
		return nil
	}
	plays := sc.playbook(path, imported.Value, stack, sc.play.Vars)
	for _, p := range plays {
		p.When = append(slices.Clone(k.When), p.When...)
		for _, tag := range k.Tags {
			if !slices.ContainsFunc(p.Tags, func(t value.Value) bool { return tagText(t) == tagText(tag) }) {
				p.Tags = append(p.Tags, tag)
			}
		}
	}
	return plays
}

func tagText(v value.Value) string {
	var b strings.Builder
	canon(&b, v)
	return b.String()
}

// overlay is a dict of both, over winning; its entries keep their place.
func overlay(base, over *value.Dict) *value.Dict {
	if over == nil || base == nil {
		if base == nil {
			return over
		}
		return base
	}
	d := value.NewDict(base.Len() + over.Len())
	for _, from := range []*value.Dict{base, over} {
		for k, v := range from.All() {
			_ = d.Set(k, v) // keys were hashed before
		}
	}
	return d
}

// playbookFile is the path import_playbook names: a file, or a collection's playbook.
func (sc *scope) playbookFile(imported source.Entry) (string, bool) {
	n := imported.Value
	switch {
	case n.IsNull():
		sc.errorf(imported.Key.Pos(), "playbook import parameter is missing")
		return "", false
	case !n.IsStr():
		sc.errorf(n.Pos(), "playbook import parameter must be a string indicating a file path, got %s instead", n.Describe())
		return "", false
	}
	words, err := keyval.Split(n.Text)
	if err != nil || len(words) == 0 {
		sc.errorf(n.Pos(), "import_playbook statements must specify the file name to import")
		return "", false
	}
	if len(words) > 1 {
		sc.diags.Warnf(n.Pos(), "what follows the file name of import_playbook is ignored: %s", keyval.Join(words[1:])).
			Hint = "give variables and tags with vars: and tags:"
	}
	name, ok := sc.static(nil, value.Str{S: strings.TrimSpace(words[0].Text), From: n.At}, "the file of import_playbook")
	if !ok {
		return "", false
	}
	if parts := strings.Split(name, "."); len(parts) > 2 && !strings.Contains(name, "/") {
		if dir := sc.c.Roles.Collection(parts[0]+"."+parts[1], sc.play.Dir); dir != "" {
			base := filepath.Join(append([]string{dir, "playbooks"}, parts[2:]...)...)
			for _, ext := range []string{".yml", ".yaml", ".json"} {
				if path := existing(base + ext); path != "" {
					return path, true
				}
			}
		}
	}
	return abs(sc.play.Dir, name), true
}

// readPlay reads a play. Roles come before tasks, since tasks may use their modules.
func (sc *scope) readPlay(n *source.Node) {
	p := sc.play
	lists := map[string]*source.Node{}
	for _, e := range n.Entries {
		name := e.Key.Text
		switch {
		case !e.Key.IsStr():
			sc.errorf(e.Key.Pos(), "'%s' is not a valid attribute for a Play", name)
		case sc.shared(&p.Keywords, e, onPlay):
		case name == "user":
			if other := n.Get("remote_user"); other.Key != nil {
				sc.errorf(e.Key.Pos(), "both 'user' and 'remote_user' are set for this play. "+
					"The use of 'user' is deprecated, and should be removed")
				continue
			}
			p.RemoteUser = sc.simple(e, keywords["remote_user"])
		case slices.Contains([]string{"roles", "handlers", "pre_tasks", "tasks", "post_tasks"}, name):
			lists[name] = e.Value
		default:
			sc.playKeyword(e)
		}
	}
	p.Vars = overlay(p.Vars, sc.given) // what is imported statically may be named by them
	if n.Get("hosts").Key == nil {
		d := sc.errorf(n.Pos(), "the field 'hosts' is required but was not set")
		d.Hint, d.Ansible = "write the hosts of the play, or \"hosts: all\"", placeless()
	}
	sc.inherit(&p.Keywords)
	p.Roles = sc.roleEntries(lists["roles"], "roles", nil)
	in := *sc
	in.handlers = true
	// ansible-core 2.18: handlers of imported roles come after those of the play
	p.Handlers = append(in.nodes(lists["handlers"], "handlers"), p.Handlers...)
	p.PreTasks = sc.nodes(lists["pre_tasks"], "pre_tasks")
	p.Tasks = sc.nodes(lists["tasks"], "tasks")
	p.PostTasks = sc.nodes(lists["post_tasks"], "post_tasks")
}

func (sc *scope) playKeyword(e source.Entry) {
	p, word := sc.play, keywords[e.Key.Text]
	switch e.Key.Text {
	case "hosts":
		sc.hosts(e.Value)
	case "gather_facts":
		p.GatherFacts = sc.simple(e, word)
	case "gather_subset":
		p.GatherSubset = sc.anyValue(e.Value)
	case "gather_timeout":
		p.GatherTimeout = sc.simple(e, word)
	case "fact_path":
		p.FactPath = sc.simple(e, word)
	case "force_handlers":
		p.ForceHandlers = sc.simple(e, word)
	case "max_fail_percentage":
		p.MaxFail = sc.simple(e, word)
	case "strategy":
		p.Strategy = sc.simple(e, word)
		sc.checkStrategy(e.Value)
	case "order":
		p.Order = sc.simple(e, word)
	case "serial":
		sc.serial(e.Value)
	case "vars_files":
		sc.varsFiles(e.Value)
	case "vars_prompt":
		sc.prompts(e.Value)
	default:
		sc.invalidKey(e.Key, onPlay, "Play")
	}
}

func (sc *scope) anyValue(n *source.Node) value.Value {
	if n.IsNull() {
		return nil
	}
	v := n.Value(source.Author)
	sc.checkTemplates(v, false)
	return v
}

// hosts reads the pattern of a play.
func (sc *scope) hosts(n *source.Node) {
	switch {
	case n.IsNull() || n.Kind == source.SequenceNode && len(n.Items) == 0 || n.IsStr() && n.Text == "":
		sc.errorf(n.Pos(), "Hosts list cannot be empty. Please check your playbook").Ansible = placeless()
	case n.Kind == source.SequenceNode:
		for _, item := range n.Items {
			if item.IsNull() {
				sc.errorf(item.Pos(), "Hosts list cannot contain values of 'None'. Please check your playbook")
			} else if item.Kind != source.ScalarNode || !item.IsStr() && item.Tag != source.TagUnsafe {
				sc.errorf(item.Pos(), "Hosts list contains an invalid host value: '%s'", item.Text)
			}
		}
	case !n.IsStr() && n.Tag != source.TagUnsafe:
		sc.errorf(n.Pos(), "Hosts list must be a sequence or string. Please check your playbook.")
	}
	sc.play.Hosts = sc.anyValue(n)
}

var strategies = []string{"linear", "free", "host_pinned", "debug"}

func (sc *scope) checkStrategy(n *source.Node) {
	lit, ok := literal(n)
	if ok && !slices.Contains(strategies, short(lit)) {
		d := mark(sc.fault(n.Pos(), "Invalid play strategy specified: %s", lit), lit)
		d.Hint = "one of " + strings.Join(strategies, ", ")
	}
}

func (sc *scope) serial(n *source.Node) {
	items := []*source.Node{n}
	if n.Kind == source.SequenceNode {
		items = n.Items
	}
	for _, item := range items {
		if item.IsNull() {
			continue
		}
		if item.Kind != source.ScalarNode {
			sc.errorf(item.Pos(), "serial wants a number or a percentage, not %s", item.Describe())
			continue
		}
		if lit, ok := literal(item); ok {
			sc.checkLiteral("serial", lit, item, keyword{form: percent})
		}
		sc.play.Serial = append(sc.play.Serial, sc.anyValue(item))
	}
}

func (sc *scope) varsFiles(n *source.Node) {
	items := []*source.Node{n}
	if n.Kind == source.SequenceNode {
		items = n.Items
	}
	for _, item := range items {
		switch {
		case item.IsNull():
		case item.IsStr() || item.Kind == source.SequenceNode:
			sc.play.VarsFiles = append(sc.play.VarsFiles, sc.anyValue(item))
		default:
			sc.errorf(item.Pos(), "vars_files wants names of files, not %s", item.Describe())
		}
	}
}

var promptKeys = []string{"name", "prompt", "default", "private", "confirm", "encrypt", "salt_size", "salt", "unsafe"}

func (sc *scope) prompts(n *source.Node) {
	items := []*source.Node{n}
	if n.Kind == source.SequenceNode {
		items = n.Items
	}
	for _, item := range items {
		switch {
		case item.IsNull():
			continue
		case item.Kind != source.MappingNode:
			sc.errorf(item.Pos(), "Invalid vars_prompt data structure, expected a mapping, got %s", item.Describe())
			continue
		case item.Get("name").Key == nil:
			sc.errorf(item.Pos(), "Invalid vars_prompt data structure, missing 'name' key")
			continue
		}
		p := Prompt{Pos: item.Pos()}
		for _, e := range item.Entries {
			sc.promptKey(&p, e)
		}
		sc.play.VarsPrompt = append(sc.play.VarsPrompt, p)
	}
}

func (sc *scope) promptKey(p *Prompt, e source.Entry) {
	switch e.Key.Text {
	case "name":
		p.Name = sc.anyValue(e.Value)
	case "prompt":
		p.Prompt = sc.anyValue(e.Value)
	case "default":
		p.Default = sc.anyValue(e.Value)
	case "private":
		p.Private = sc.simple(e, keyword{form: boolean})
	case "confirm":
		p.Confirm = sc.simple(e, keyword{form: boolean})
	case "unsafe":
		p.Unsafe = sc.simple(e, keyword{form: boolean})
	case "encrypt":
		p.Encrypt = sc.anyValue(e.Value)
	case "salt":
		p.Salt = sc.anyValue(e.Value)
	case "salt_size":
		p.SaltSize = sc.anyValue(e.Value)
	default:
		d := mark(sc.errorf(e.Key.Pos(), "Invalid vars_prompt data structure, found unsupported key '%s'", e.Key.Text), e.Key.Text)
		d.Hint = source.DidYouMean(e.Key.Text, promptKeys)
	}
}

// A plaintext is the content of an encrypted file.
type plaintext struct {
	node  *source.Node
	diags source.Diagnostics
}

// decrypt opens a file that is encrypted as a whole; false if it is not.
func (ld *load) decrypt(path string, pos source.Pos) (plaintext, bool) {
	data, err := ld.c.Files.ReadFile(path)
	if err != nil || !bytes.HasPrefix(data, []byte("$ANSIBLE_VAULT;")) {
		return plaintext{}, false
	}
	ld.c.Files.Hide(path)
	fail := func(why string) (plaintext, bool) {
		return plaintext{diags: source.Diagnostics{Undecrypted(path, pos, why)}}, true
	}
	if ld.c.OpenVault == nil {
		return fail("attempting to decrypt but no vault secrets found")
	}
	text, err := ld.c.OpenVault(data)
	if err != nil {
		return fail(err.Error())
	}
	n, diags := source.ParseOne(path, text)
	return plaintext{n, diags}, true
}

// varsFile reads a file that must be a dictionary. wrong is the message when it is none.
func (ld *load) varsFile(path string, from source.Pos, wrong string) *value.Dict {
	n, _ := ld.parse(path, from, "variables")
	if n.IsNull() {
		return nil
	}
	if n.Kind != source.MappingNode {
		if wrong == "" {
			wrong = fmt.Sprintf("%s must be stored as a dictionary/hash", path)
		}
		ld.errorf(n.Pos(), "%s", wrong)
		return nil
	}
	return n.Dict(source.Author)
}
