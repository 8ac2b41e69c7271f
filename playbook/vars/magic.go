package vars

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"

	"orch/inventory"
	"orch/playbook"
	"orch/playbook/jinja/value"
	"orch/playbook/template"
)

// AnsibleVersion is the ansible-core release whose language orch speaks, as
// ansible_version reports it.
const AnsibleVersion = "2.18.6"

func versionValue() value.Value {
	var major, minor, revision int
	_, _ = fmt.Sscanf(AnsibleVersion, "%d.%d.%d", &major, &minor, &revision)
	return value.D(
		"string", value.S(AnsibleVersion), "full", value.S(AnsibleVersion),
		"major", value.Int(major), "minor", value.Int(minor), "revision", value.Int(revision),
	)
}

// runMagic are the magic variables that are the same for a whole run.
func (r *Run) magic(name string) (value.Value, bool) {
	switch name {
	case "ansible_version":
		return r.version, true
	case "ansible_check_mode":
		return value.Bool(r.opt.Check), true
	case "ansible_diff_mode":
		return value.Bool(r.opt.Diff), true
	case "ansible_forks":
		return value.Int(r.opt.Forks), true
	case "ansible_verbosity":
		return value.Int(r.opt.Verbosity), true
	case "ansible_run_tags":
		return stringList(r.opt.RunTags), true
	case "ansible_skip_tags":
		return stringList(r.opt.SkipTags), true
	case "ansible_inventory_sources":
		return stringList(r.opt.InventorySources), true
	case "ansible_limit":
		return value.S(r.opt.Limit), r.opt.Limit != ""
	case "ansible_config_file":
		if r.opt.ConfigFile == "" {
			return value.None{}, true
		}
		return value.S(r.opt.ConfigFile), true
	case "ansible_playbook_python":
		return value.S(r.opt.Python), true
	case "omit":
		return template.Omit, true
	case "groups":
		return r.groupsValue(), r.opt.Inventory != nil
	}
	return nil, false
}

var runMagicNames = []string{
	"ansible_version", "ansible_check_mode", "ansible_diff_mode", "ansible_forks", "ansible_verbosity",
	"ansible_run_tags", "ansible_skip_tags", "ansible_inventory_sources", "ansible_limit",
	"ansible_config_file", "ansible_playbook_python", "omit", "groups",
}

var playMagicNames = []string{
	"playbook_dir", "ansible_play_name", "ansible_play_hosts_all", "ansible_play_hosts",
	"ansible_play_batch", "play_hosts", "ansible_role_names", "ansible_play_role_names",
	"ansible_dependent_role_names", "role_names", "hostvars", "vars",
}

var taskMagicNames = []string{
	"role_name", "ansible_role_name", "role_path", "role_uuid", "ansible_collection_name",
	"ansible_search_path", "environment", "ansible_parent_role_names", "ansible_parent_role_paths",
}

// magic returns the magic variables, which win over all that authors write.
func (s *Scope) magic(name string) (entry, bool) {
	if v, ok := s.run.magic(name); ok {
		return entry{val: v, static: true}, true
	}
	if s.play == nil { // hostvars
		return entry{val: value.S(s.host.play.opt.Basedir), static: true}, name == "playbook_dir"
	}
	if s.task != nil {
		if name == "environment" {
			// Not static: authors write it, and templates it holds are evaluated when used.
			return entry{val: value.NewList(s.task.src.Environment...)}, true
		}
		if v, ok := s.task.magic(name); ok {
			return entry{val: v, static: true}, true
		}
	}
	v, ok := s.playMagic(name)
	return entry{val: v, static: true}, ok
}

func (s *Scope) playMagic(name string) (value.Value, bool) {
	switch name {
	case "playbook_dir":
		return value.S(s.play.opt.Basedir), true
	case "hostvars":
		return &hostVars{scope: s}, s.run.opt.Inventory != nil
	case "vars":
		return &varsView{scope: s}, true
	case "ansible_play_name":
		return value.S(s.play.opt.Name), true
	case "ansible_play_hosts_all":
		return s.play.hosts.Load().all, true
	case "ansible_play_hosts":
		return s.play.hosts.Load().active, true
	case "ansible_play_batch", "play_hosts":
		return s.play.hosts.Load().batch, true
	case "ansible_play_role_names", "role_names":
		direct, _, _ := s.play.roles.Load().names()
		return stringList(direct), true
	case "ansible_dependent_role_names":
		_, deps, _ := s.play.roles.Load().names()
		return stringList(deps), true
	case "ansible_role_names":
		_, _, all := s.play.roles.Load().names()
		return stringList(all), true
	}
	return nil, false
}

func (t *Task) magic(name string) (value.Value, bool) {
	if name == "ansible_search_path" {
		return stringList(t.site.SearchPath), true
	}
	if t.role == nil {
		return nil, false
	}
	role := roleOf(t.src)
	switch name {
	case "role_name":
		return value.S(t.role.name), true
	case "ansible_role_name":
		return value.S(t.role.fullName), true
	case "role_path":
		return value.S(role.Path), true
	case "role_uuid":
		return value.S(roleUUID(role)), true
	case "ansible_collection_name":
		if role.Collection == "" {
			return value.None{}, true
		}
		return value.S(role.Collection), true
	}
	return nil, false
}

// roleUUID tells one use of a role from another.
func roleUUID(role *playbook.Role) string {
	sum := keyHash(fmt.Sprintf("%s\x00%s:%d:%d", role.Name, role.Pos.File, role.Pos.Line, role.Pos.Col))
	return fmt.Sprintf("%08x-%04x-%04x-%04x-%012x", uint32(sum>>32), uint16(sum>>16), uint16(sum), uint16(sum>>48), sum&(1<<48-1))
}

// parentRoles are ansible_parent_role_names and _paths, which have the precedence of
// include params.
func (t *Task) parentRoles(name string) (entry, bool) {
	if t.role == nil || t.role.parents == nil {
		return entry{}, false
	}
	switch name {
	case "ansible_parent_role_names":
		return entry{val: t.role.parents, static: true}, true
	case "ansible_parent_role_paths":
		return entry{val: t.role.paths, static: true}, true
	}
	return entry{}, false
}

func (s *Scope) magicNames(add func(string)) {
	names := slices.Clone(runMagicNames)
	names = append(names, playMagicNames...)
	if s.task != nil {
		names = append(names, taskMagicNames...)
	}
	for _, name := range names {
		if _, ok := s.magic(name); ok {
			add(name)
		} else if s.task != nil {
			if _, ok := s.task.parentRoles(name); ok {
				add(name)
			}
		}
	}
}

// hostLayers are the layers the inventory and the files beside it and the playbook give
// a host, computed once per host, folder and state of the inventory.
type hostLayers struct {
	generation int64
	host       *inventory.Host // nil for a host nobody declared
	groupNames value.Value
	// files are host_vars, which win over the inventory's own host variables; inventory
	// is the rest. Both highest first.
	files, inventory []*layer
	file, dir        value.Value // inventory_file, inventory_dir
}

type hostKey struct{ name, dirs string }

func (r *Run) hostLayers(name, basedir string, search []string) (*hostLayers, error) {
	dirs := r.playDirs(basedir, search)
	k := hostKey{name, strings.Join(dirs, "\x00")}
	generation := r.generation.Load()
	if got, ok := r.hosts.Load(k); ok {
		if l := got.(*hostLayers); l.generation == generation {
			return l, nil
		}
	}
	l := &hostLayers{generation: generation, groupNames: value.NewList()}
	if r.opt.Inventory != nil {
		if h, ok := r.opt.Inventory.Host(name); ok {
			l.host = h
		} else if local := r.opt.Inventory.Localhost(); local != nil && local.Name == name {
			l.host = local
		}
	}
	if err := r.fillHost(l, name, dirs); err != nil {
		return nil, err
	}
	r.hosts.Store(k, l)
	return l, nil
}

// playDirs are the folders whose group_vars and host_vars belong to the play
// (playbook_vars_root).
func (r *Run) playDirs(basedir string, search []string) []string {
	switch {
	case r.opt.PlaybookVarsRoot == "all" && len(search) > 0:
		return search
	case r.opt.PlaybookVarsRoot == "bottom" && len(search) > 0:
		return search[:1]
	case basedir == "":
		return nil
	}
	return []string{basedir}
}

func (r *Run) fillHost(l *hostLayers, name string, dirs []string) error {
	var groups []*inventory.Group
	var all *inventory.Group
	if l.host != nil {
		for _, g := range r.opt.Inventory.GroupsOf(l.host) {
			if g.Name == inventory.All {
				all = g
				continue
			}
			groups = append(groups, g)
		}
	}
	names := make([]string, 0, len(groups))
	for _, g := range groups {
		names = append(names, g.Name)
	}
	slices.Sort(names)
	l.groupNames = stringList(names)
	sources := r.inventoryDirs()

	low, err := r.groupLayers(all, groups, sources, dirs) // lowest first
	if err != nil {
		return err
	}
	if l.host != nil {
		low = push(low, r.layer(InventoryHostVars, "host "+name, l.host.Vars))
		if l.host.Port != 0 {
			low = append(low, newLayer(InventoryHostVars, "host "+name, value.D("ansible_port", value.Int(l.host.Port))))
		}
	}
	slices.Reverse(low)
	l.inventory = low
	var files []*layer
	for _, at := range []struct {
		level Level
		dirs  []string
	}{{InventoryHostFiles, sources}, {PlaybookHostFiles, dirs}} {
		for _, dir := range at.dirs {
			got, err := r.opt.Files.entity(r, at.level, dir, "host_vars", name)
			if err != nil {
				return err
			}
			files = append(files, got...)
		}
	}
	slices.Reverse(files)
	l.files = files
	l.place(r)
	return nil
}

// defaultPrecedence is ansible-core 2.18's VARIABLE_PRECEDENCE.
var defaultPrecedence = []string{
	"all_inventory", "groups_inventory", "all_plugins_inventory", "all_plugins_play",
	"groups_plugins_inventory", "groups_plugins_play",
}

// groupLayers are the layers of a host's groups, lowest first.
func (r *Run) groupLayers(all *inventory.Group, groups []*inventory.Group, sources, dirs []string) ([]*layer, error) {
	var out []*layer
	files := func(level Level, dirs []string, groups ...*inventory.Group) error {
		for _, dir := range dirs {
			for _, g := range groups {
				if g == nil {
					continue
				}
				got, err := r.opt.Files.entity(r, level, dir, "group_vars", g.Name)
				if err != nil {
					return err
				}
				out = append(out, got...)
			}
		}
		return nil
	}
	precedence := r.opt.Precedence
	if precedence == nil {
		precedence = defaultPrecedence
	}
	for _, what := range precedence {
		var err error
		switch what {
		case "all_inventory":
			if all != nil {
				out = push(out, r.layer(InventoryGroupVars, "group all", all.Vars))
			}
		case "groups_inventory":
			for _, g := range groups {
				out = push(out, r.layer(InventoryGroupVars, "group "+g.Name, g.Vars))
			}
		case "all_plugins_inventory":
			err = files(InventoryGroupFilesAll, sources, all)
		case "all_plugins_play":
			err = files(PlaybookGroupFilesAll, dirs, all)
		case "groups_plugins_inventory":
			err = files(InventoryGroupFiles, sources, groups...)
		case "groups_plugins_play":
			err = files(PlaybookGroupFiles, dirs, groups...)
		default:
			r.warn("ignoring unknown variable precedence entry: " + what)
		}
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (r *Run) warn(msg string) {
	if r.opt.Site.Warn != nil {
		r.opt.Site.Warn(msg)
	}
}

// inventoryDirs are the folders of the inventory's sources, in order.
func (r *Run) inventoryDirs() []string {
	if r.opt.Inventory == nil {
		return nil
	}
	var dirs []string
	for _, src := range r.opt.Inventory.Sources {
		dir, ok := r.opt.Files.sourceDir(src)
		if ok && !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}

// place finds inventory_file and inventory_dir of a host: the inventory may know better
// which source declared it, and then says so among the host's variables.
func (l *hostLayers) place(r *Run) {
	l.file, l.dir = value.None{}, value.None{}
	if l.host == nil || l.host.Implicit || len(r.opt.Inventory.Sources) == 0 {
		return
	}
	src := l.host.Source
	if src == "" {
		src = r.opt.Inventory.Sources[0]
	}
	if dir, ok := r.opt.Files.sourceDir(src); ok {
		if abs, err := filepath.Abs(src); err == nil {
			src = abs
		}
		l.file, l.dir = value.S(src), value.S(dir)
	}
}

var hostMagicNames = []string{"inventory_hostname", "inventory_hostname_short", "group_names", "inventory_file", "inventory_dir"}

// magic are the variables Ansible sets among a host's own: set_fact may override them.
func (l *hostLayers) magic(s *Scope, name string) (entry, bool) {
	switch name {
	case "inventory_hostname":
		return entry{val: value.S(s.host.Name), static: true}, true
	case "inventory_hostname_short":
		return entry{val: value.S(shortName(s.host.Name)), static: true}, true
	case "group_names":
		return entry{val: l.groupNames, static: true}, true
	case "inventory_file", "inventory_dir":
		if l.host != nil && l.host.Vars != nil {
			if v, ok := l.host.Vars.GetStr(name); ok {
				return entry{val: v, static: true}, true
			}
		}
		if name == "inventory_file" {
			return entry{val: l.file, static: true}, true
		}
		return entry{val: l.dir, static: true}, true
	}
	return entry{}, false
}

func (l *hostLayers) magicNames(add func(string)) {
	for _, name := range hostMagicNames {
		add(name)
	}
}

// shortName is a host name up to its first dot; an address is kept.
func shortName(name string) string {
	if _, err := netip.ParseAddr(name); err == nil {
		return name
	}
	short, _, _ := strings.Cut(name, ".")
	return cmp.Or(short, name)
}

// groupsView is the variable groups at one state of the inventory.
type groupsView struct {
	generation int64
	val        value.Value
}

func (r *Run) groupsValue() value.Value {
	if r.opt.Inventory == nil {
		return nil
	}
	generation := r.generation.Load()
	if g := r.groups.Load(); g != nil && g.generation == generation {
		return g.val
	}
	groups := r.opt.Inventory.Groups()
	d := value.NewDict(len(groups))
	for _, g := range groups {
		members := r.opt.Inventory.Members(g)
		items := make([]value.Value, len(members))
		for i, h := range members {
			items[i] = value.S(h.Name)
		}
		d.SetStr(g.Name, value.NewList(items...))
	}
	r.groups.Store(&groupsView{generation, d})
	return d
}

// GroupVars are the variables a group itself has: those of the inventory, and those of
// group_vars beside the inventory and in dir ("" for none), later ones over earlier ones.
func (r *Run) GroupVars(g *inventory.Group, dir string) (*value.Dict, error) {
	var dirs []string
	if dir != "" {
		dirs = []string{dir}
	}
	layers, err := r.groupLayers(nil, []*inventory.Group{g}, r.inventoryDirs(), dirs)
	if err != nil {
		return nil, err
	}
	out := value.NewDict(8)
	for _, l := range layers {
		for _, name := range slices.Sorted(maps.Keys(l.vars)) {
			out.SetStr(name, l.vars[name].val)
		}
	}
	return out, nil
}
