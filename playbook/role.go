package playbook

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"orch/playbook/jinja/value"
	"orch/playbook/source"
	"orch/roles"
)

// A roleUse is a role as a playbook asks for it.
type roleUse struct {
	pos                             source.Pos
	name                            string
	keywords                        Keywords
	params                          *value.Dict
	include                         *Task // import_role or include_role
	owner                           *Role // of a dependency
	tasks, vars, defaults, handlers string
	public                          *bool
	static, validate, duplicates    bool
}

// roleEntries reads roles: or dependencies:.
func (sc scope) roleEntries(n *source.Node, what string, owner *Role) []*Role {
	if n.IsNull() {
		return nil
	}
	if n.Kind != source.SequenceNode {
		if owner != nil {
			sc.errorf(n.Pos(), "Expected role dependencies to be a list.")
		} else {
			sc.errorf(n.Pos(), "A malformed role declaration was encountered.").
				Hint = what + " is a list of roles, not " + n.Describe()
		}
		return nil
	}
	var uses []roleUse
	for _, item := range n.Items {
		if use, ok := sc.roleEntry(item, owner); ok {
			uses = append(uses, use)
		}
	}
	for _, use := range uses { // while one role is read, the others are parsed
		if found, _, ok := sc.findRole(use); ok {
			sc.prefetch(roleFiles(found.Path)...)
		}
	}
	var out []*Role
	for _, use := range uses {
		if r := sc.useRole(use); r != nil {
			out = append(out, r)
		}
	}
	return out
}

func roleFiles(path string) []string {
	var files []string
	for _, sub := range []string{"meta", "defaults", "vars", "tasks", "handlers"} {
		files = append(files, roles.File(path, sub, ""))
	}
	return files
}

// roleEntry reads one entry: a name, or a mapping of keywords and parameters.
func (sc *scope) roleEntry(n *source.Node, owner *Role) (roleUse, bool) {
	use := roleUse{pos: n.Pos(), owner: owner, static: true, validate: true}
	if owner != nil {
		use.static = owner.Static
	}
	switch {
	case n.Kind == source.ScalarNode && !n.IsNull():
		if strings.Contains(n.Text, ",") {
			sc.errorf(n.Pos(), "Invalid old style role requirement: %s", n.Text)
			return use, false
		}
		name, ok := sc.static(nil, str(n), "the name of a role")
		use.name = name
		return use, ok
	case n.Kind != source.MappingNode:
		sc.errorf(n.Pos(), "Invalid role definition: %s", n.Describe())
		return use, false
	}
	name := n.Get("role").Value
	if name == nil {
		name = n.Get("name").Value
	}
	if src := n.Get("src").Value; name == nil && owner != nil && src.IsStr() {
		name = &source.Node{Tag: source.TagStr, Text: galaxyName(src.Text), At: src.At}
	}
	if name.IsNull() || !name.IsStr() || name.Text == "" {
		sc.errorf(n.Pos(), "role definitions must contain a role name")
		return use, false
	}
	ok := false
	use.name, ok = sc.static(nil, str(name), "the name of a role")
	for _, e := range n.Entries {
		switch {
		case e.Key.Text == "role" || e.Key.Text == "name":
		case sc.shared(&use.keywords, e, onRole):
		default:
			if use.params == nil {
				use.params = value.NewDict(2)
			}
			_ = use.params.Set(e.Key.Value(source.Author), e.Value.Value(source.Author)) // keys were hashed before
		}
	}
	return use, ok
}

// galaxyName is the name of a role given by its source alone.
func galaxyName(src string) string {
	name := src[strings.LastIndexByte(src, '/')+1:]
	name, _, _ = strings.Cut(name, ",")
	return strings.TrimSuffix(strings.TrimSuffix(name, ".git"), ".tar.gz")
}

func (sc *scope) findRole(use roleUse) (roles.Role, []string, bool) {
	return sc.c.Roles.Find(sc.roleSearch(use))
}

func (sc *scope) roleSearch(use roleUse) roles.Search {
	s := roles.Search{Name: use.name, Collections: sc.collections}
	if sc.play != nil {
		s.PlaybookDir = sc.play.Dir
	}
	if use.owner != nil {
		s.ParentDir = filepath.Dir(use.owner.Path)
		if c := use.owner.Collection; c != "" {
			s.Collections = append([]string{c}, s.Collections...)
		}
	}
	return s
}

// useRole reads a role for one use of it.
func (sc scope) useRole(use roleUse) *Role {
	found, searched, ok := sc.findRole(use)
	if !ok {
		d := mark(sc.errorf(use.pos, "the role '%s' was not found in %s", use.name, strings.Join(searched, ":")), use.name)
		d.Ansible = &source.Ansible{
			Msg: fmt.Sprintf("the role '%s' was not found in %s", use.name, strings.Join(absolutes(searched), ":")), Code: ansibleError,
		}
		d.Hint = source.DidYouMean(use.name, sc.c.Roles.Names(sc.roleSearch(use)))
		return nil
	}
	r := &Role{
		Keywords: use.keywords, Pos: use.pos, Name: found.Name, Path: found.Path, Collection: found.Collection, Params: use.params,
		Include: use.include, Static: use.static, TasksFrom: use.tasks, VarsFrom: use.vars, DefaultsFrom: use.defaults, HandlersFrom: use.handlers,
	}
	switch {
	case use.public != nil:
		r.Public = *use.public
	case sc.c.PrivateRoleVars != nil:
		r.Public = !*sc.c.PrivateRoleVars
	default:
		r.Public = use.static
	}
	by := use.owner
	if by == nil && use.include != nil {
		by = use.include.Role
	}
	if by != nil {
		r.Parents = append(slices.Clone(by.Parents), by)
	}
	if !sc.ends(r, use) {
		return nil
	}
	if use.include != nil {
		sc.prefetch(roleFiles(r.Path)...)
	}
	r.RoleVars, r.VarsFile = sc.roleVars(r, "vars", use.vars)
	r.Defaults, r.DefaultsFile = sc.roleVars(r, "defaults", use.defaults)
	r.Body = &Block{Keywords: r.Keywords, Pos: r.Pos, Parent: sc.block, Role: r, Implicit: true}

	in := sc.inside(r.Body)
	in.role, in.stack = r, nil
	meta := in.roleMeta(r)
	in.collections = r.Collections
	r.Body.Collections = r.Collections
	if use.include != nil {
		r.AllowDuplicates = use.duplicates
	}
	for _, dep := range r.Deps {
		r.Body.Block = append(r.Body.Block, dep.Body)
	}
	r.Tasks = in.roleTasks(r, "tasks", use.tasks)
	if use.validate {
		if t := in.validation(r, meta); t != nil {
			r.Tasks = append([]Node{t}, r.Tasks...)
		}
	}
	r.Body.Block = append(r.Body.Block, r.Tasks...)
	in.handlers = true
	r.Handlers = in.roleTasks(r, "handlers", use.handlers)
	r.Key = r.key(use.include != nil)
	return r
}

// ends reports whether a role can be read without reading it again and again.
func (sc *scope) ends(r *Role, use roleUse) bool {
	if len(r.Parents) > maxDepth {
		sc.errorf(use.pos, "roles are nested more than %d deep", maxDepth)
		return false
	}
	if !use.static {
		return true // a condition may end it
	}
	for _, p := range slices.Backward(r.Parents) {
		if p.Path == r.Path && (use.owner != nil || p.TasksFrom == r.TasksFrom) {
			sc.errorf(use.pos, "A recursion loop was detected with the roles specified. "+
				"Make sure child roles do not have dependencies on parent roles").Ansible = &source.Ansible{Code: ansibleError}
			return false
		}
		if !p.Static {
			break
		}
	}
	return true
}

// roleVars reads vars or defaults of a role: one file, or a folder of them.
func (sc *scope) roleVars(r *Role, sub, from string) (*value.Dict, string) {
	files := roles.VarsFiles(r.Path, sub, from)
	if len(files) == 0 {
		if from != "" {
			sc.errorf(r.Pos, "Could not find specified file in role: %s/%s", sub, from)
		}
		return nil, ""
	}
	var all *value.Dict
	for _, file := range files {
		if !sc.insideRole(r, sub, file) {
			continue
		}
		d := sc.varsFile(file, r.Pos, fmt.Sprintf("The %s/main.yml file for role '%s' must contain a dictionary of variables", sub, r.Name))
		switch {
		case d == nil:
		case all == nil:
			all = d
		default:
			joined := value.NewDict(all.Len() + d.Len())
			for _, from := range []*value.Dict{all, d} {
				for k, v := range from.All() {
					_ = joined.Set(k, v) // keys were hashed before
				}
			}
			all = joined
		}
	}
	return all, files[0]
}

func (sc *scope) insideRole(r *Role, sub, file string) bool {
	if roles.Inside(r.Path, sub, file) {
		return true
	}
	sc.errorf(r.Pos, "Failed loading '%s' for role (%s) as it is not inside the expected role path: '%s'",
		file, r.Name, filepath.Join(r.Path, sub))
	return false
}

// roleTasks reads tasks or handlers of a role.
func (sc scope) roleTasks(r *Role, sub, from string) []Node {
	file := roles.File(r.Path, sub, from)
	if file == "" {
		if from != "" {
			sc.errorf(r.Pos, "Could not find specified file in role: %s/%s", sub, from)
		}
		return nil
	}
	if !sc.insideRole(r, sub, file) {
		return nil
	}
	n, _ := sc.parse(file, r.Pos, sub)
	if n.IsNull() {
		return nil
	}
	if n.Kind != source.SequenceNode {
		sc.errorf(n.Pos(), "The %s/main.yml file for role '%s' must contain a list of tasks", sub, r.Name)
		return nil
	}
	return sc.nodes(n, sub)
}

// roleMeta reads meta/main.yml and what argument specs there are.
func (sc scope) roleMeta(r *Role) *source.Node {
	specs := roles.File(r.Path, "meta", "argument_specs")
	r.Collections = nil
	if r.Collection != "" {
		r.Collections = []string{r.Collection}
	}
	var n *source.Node
	if file := roles.File(r.Path, "meta", ""); file != "" {
		n, _ = sc.parse(file, r.Pos, "meta")
	}
	if !n.IsNull() && n.Kind != source.MappingNode {
		sc.errorf(n.Pos(), "the 'meta/main.yml' for role %s is not a dictionary", r.Name)
		n = nil
	}
	sc.metaKeywords(r, n)
	if len(r.Collections) > 0 && !slices.Contains(r.Collections, "ansible.builtin") && !slices.Contains(r.Collections, "ansible.legacy") {
		fallback := "ansible.legacy"
		if r.Collection != "" {
			fallback = "ansible.builtin"
		}
		r.Collections = append(r.Collections, fallback)
	}
	sc.collections = r.Collections
	r.Deps = sc.roleEntries(n.Get("dependencies").Value, "dependencies", r)
	spec := n.Get("argument_specs").Value
	if specs != "" {
		file, _ := sc.parse(specs, r.Pos, "argument specs")
		spec = file.Get("argument_specs").Value
	}
	r.ArgumentSpecs = spec.Dict(source.Author)
	return spec
}

func (sc *scope) metaKeywords(r *Role, n *source.Node) {
	if n == nil {
		return
	}
	for _, e := range n.Entries {
		switch e.Key.Text {
		case "dependencies", "galaxy_info", "argument_specs":
		case "allow_duplicates":
			if s := sc.simple(e, keywords["allow_duplicates"]); s != nil {
				r.AllowDuplicates, _ = boolOf(s.Val)
			}
		case "collections":
			var k Keywords
			setCollections(sc, &k, e.Value, onMeta)
			for _, c := range k.Collections {
				if !slices.Contains(r.Collections, c) {
					r.Collections = append(r.Collections, c)
				}
			}
		default:
			var ignored Keywords
			if !sc.shared(&ignored, e, onMeta) {
				sc.invalidKey(e.Key, onMeta, "RoleMetadata")
			}
		}
	}
}

// validation makes the task that checks a role's arguments before anything else of the
// role runs; nil if its entry point has no spec.
func (sc *scope) validation(r *Role, specs *source.Node) *Task {
	entry := cmp.Or(r.TasksFrom, "main")
	spec := specs.Get(entry).Value
	if spec.IsNull() || spec.Kind != source.MappingNode || len(spec.Entries) == 0 {
		return nil
	}
	options := spec.Get("options").Value.Dict(source.Author)
	if options == nil {
		options = value.NewDict(0)
	}
	params := r.Params
	if params == nil {
		params = value.NewDict(0)
	}
	name := fmt.Sprintf("Validating arguments against arg spec '%s'", entry)
	if s := spec.Get("short_description").Value; s != nil && s.Kind == source.ScalarNode {
		name += " - " + s.Text
	}
	args := value.NewDict(3)
	args.SetStr("argument_spec", options)
	args.SetStr("provided_arguments", params)
	args.SetStr("validate_args_context", value.D("type", value.S("role"), "name", value.S(r.Name),
		"argument_spec_name", value.S(entry), "path", value.S(source.Absolute(r.Path))))
	return &Task{
		Keywords: Keywords{
			Name: &Scalar{Pos: spec.Pos(), Val: value.Str{S: name, From: spec.At}},
			Tags: []value.Value{value.S("always")},
		},
		Pos: spec.Pos(), Parent: r.Body, Role: r, Play: sc.play, Implicit: true,
		Action: builtin + "validate_argument_spec", ActionPos: spec.Pos(), Module: builtin + "validate_argument_spec", Args: args,
	}
}

// key is what makes two uses the same (ansible-core 2.18: Role._get_hash_dict).
func (r *Role) key(included bool) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\x00%s\x00%t\x00%s\x00%s\x00%s\x00%s\x00", r.FullName(), r.Path, included,
		r.TasksFrom, r.VarsFrom, r.DefaultsFrom, r.HandlersFrom)
	canon(&b, dictOrNil(r.Params))
	for _, c := range r.When {
		b.WriteByte(0)
		canon(&b, c.Val)
	}
	b.WriteByte(1)
	for _, tag := range r.Tags {
		b.WriteByte(0)
		canon(&b, tag)
	}
	b.WriteByte(1)
	vars := r.Vars
	if r.Include != nil && vars == nil {
		vars = r.Include.Vars
	}
	canon(&b, dictOrNil(vars))
	return b.String()
}

func dictOrNil(d *value.Dict) value.Value {
	if d == nil {
		return nil
	}
	return d
}

// absolutes are the folders a search looked at as ansible-core lists them.
func absolutes(searched []string) []string {
	var out []string
	for _, dir := range searched {
		if strings.HasPrefix(dir, "collection ") {
			continue
		}
		if dir = source.Absolute(dir); !slices.Contains(out, dir) {
			out = append(out, dir)
		}
	}
	return out
}
