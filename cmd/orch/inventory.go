package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"orch/inventory"
	"orch/playbook/jinja/value"
	"orch/playbook/template/pyyaml"
	"orch/playbook/vars"
)

// inventoryShowFlags are the flags of the command that shows an inventory.
type inventoryShowFlags struct {
	project                       projectFlags
	list, graph, withVars, export bool
	asYAML, asTOML                bool
	host, output, dir             string
}

func (f *inventoryShowFlags) add(fs *pflag.FlagSet) {
	f.project.add(fs)
	fs.BoolVar(&f.list, "list", false, "all hosts and groups as JSON, as an inventory script prints them")
	fs.BoolVar(&f.graph, "graph", false, "the groups as a tree")
	fs.StringVar(&f.host, "host", "", "the variables of a host")
	fs.BoolVar(&f.withVars, "vars", false, "with --graph: show variables too")
	fs.BoolVar(&f.export, "export", false, "with --list: keep group variables with the groups")
	fs.BoolVarP(&f.asYAML, "yaml", "y", false, "print YAML instead of JSON")
	fs.BoolVar(&f.asTOML, "toml", false, "print TOML instead of JSON")
	fs.StringVar(&f.output, "output", "", "write to this file")
	fs.StringVar(&f.dir, "playbook-dir", "", "folder of the playbook whose group_vars count")
}

func newInventory() *cobra.Command {
	f := &inventoryShowFlags{}
	cmd := &cobra.Command{
		Use:   "inventory [GROUP]",
		Short: "Show hosts, groups and their variables",
		Example: `  orch inventory -i stage --graph
  orch inventory -i stage --list
  orch inventory -i stage --host web1`,
		Args: args(cobra.MaximumNArgs(1)),
		RunE: f.show,
	}
	f.add(cmd.Flags())
	return cmd
}

// newAnsibleInventory is orch inventory with the flags of ansible-inventory.
func newAnsibleInventory(p *persona) *cobra.Command {
	f := &inventoryShowFlags{}
	f.project.as = p
	cmd := &cobra.Command{
		Use:   "ansible-inventory [options] [group]",
		Short: "Show Ansible inventory information, by default it uses the inventory script JSON format",
		Args:  needs("group", 0, 1),
		RunE:  f.show,
	}
	f.add(cmd.Flags())
	addVerbose(cmd.Flags())
	inventoryFile(cmd.Flags(), &f.project.inventory)
	return cmd
}

// show does what the flags ask for.
func (f *inventoryShowFlags) show(cmd *cobra.Command, group []string) error {
	if err := f.check(); err != nil {
		return err
	}
	p, err := f.project.open(cmd.Context(), cmd.Flags(), cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	if f.dir == "" {
		f.dir = p.settings.Path("PLAYBOOK_DIR")
	}
	export := f.export || p.settings.Bool("INVENTORY_EXPORT")
	show := &inventoryShow{p: p, run: p.varsRun(vars.Options{}), flags: f, export: export, cmd: cmd}
	text, err := show.text(group)
	if err != nil {
		return err
	}
	text = p.redactor.Mask(text)
	if f.output != "" {
		if err := os.WriteFile(f.output, []byte(text), 0o666); err != nil {
			return fmt.Errorf("write output: %w", err)
		}
		return nil
	}
	_, err = io.WriteString(cmd.OutOrStdout(), strings.TrimSuffix(text, "\n")+"\n")
	return err
}

// check wants exactly one of the actions.
func (f *inventoryShowFlags) check() error {
	n := 0
	for _, on := range []bool{f.list, f.graph, f.host != ""} {
		if on {
			n++
		}
	}
	switch {
	case n == 1:
		return nil
	case f.project.as == nil:
		return inputError(fmt.Errorf("no action selected, one of --host, --graph and --list is needed"))
	case n == 0:
		return ansibleOption("No action selected, at least one of --host, --graph or --list needs to be specified.")
	}
	return ansibleOption("Conflicting options used, only one of --host, --graph or --list can be used at the same time.")
}

// An inventoryShow prints an inventory as ansible-inventory does.
type inventoryShow struct {
	p      *project
	run    *vars.Run
	flags  *inventoryShowFlags
	export bool
	cmd    *cobra.Command

	within map[*inventory.Host]bool // the hosts the limit leaves
	seen   map[string]bool          // hosts and groups that were shown in full
}

// text is what is printed, without the line end.
func (s *inventoryShow) text(group []string) (string, error) {
	all, _ := s.p.inv.Group(inventory.All)
	hosts, err := s.p.inv.Narrow(s.p.inv.Members(all), s.p.limit)
	if err := s.p.mismatch(err); err != nil {
		return "", err
	}
	s.within, s.seen = map[*inventory.Host]bool{}, map[string]bool{}
	for _, h := range hosts {
		s.within[h] = true
	}
	switch {
	case s.flags.graph:
		return s.graph(group)
	case s.flags.host != "":
		return s.host(s.flags.host)
	}
	d := value.NewDict(8)
	switch {
	case s.flags.asYAML:
		err = s.tree(d, all)
	case s.flags.asTOML:
		err = s.tables(d, all)
	default:
		if err = s.groups(d, all); err == nil {
			err = s.meta(d, hosts)
		}
	}
	if err != nil {
		return "", err
	}
	return s.dump(d)
}

func (s *inventoryShow) host(name string) (string, error) {
	found, err := s.p.inv.Match(name)
	if err := s.p.mismatch(err); err != nil {
		return "", err
	}
	if len(found) != 1 {
		if s.p.as != nil {
			return "", ansibleOption("You must pass a single valid host to --host parameter")
		}
		return "", inputError(fmt.Errorf("--host wants one host, %q matches %d\nhint: orch inventory --graph shows the hosts", name, len(found)))
	}
	d, err := s.hostVars(found[0])
	if err != nil {
		return "", err
	}
	return s.dump(d)
}

// hostVars are the variables of a host, untemplated: all that it would have in a play but
// what every host has, or with --export its own.
func (s *inventoryShow) hostVars(h *inventory.Host) (*value.Dict, error) {
	scope := s.run.Eval(s.cmd.Context(), h.Name, vars.PlayOptions{Basedir: s.flags.dir})
	names := scope.Names()
	slices.Sort(names)
	d := value.NewDict(8)
	for _, name := range names {
		found, err := scope.Explain(name)
		if err != nil {
			return nil, err
		}
		i := slices.IndexFunc(found, func(set vars.Setting) bool { return set.Winner })
		if i < 0 {
			continue
		}
		level := found[i].Level
		switch {
		case level >= vars.Magic, internalVars[name]:
			continue
		case s.export && level != vars.InventoryHostVars && level != vars.InventoryHostFiles && level != vars.PlaybookHostFiles:
			continue
		}
		d.SetStr(name, found[i].Value)
	}
	return d, nil
}

// internalVars are what a host's variables hold and no inventory sets (ansible-core 2.18:
// INTERNAL_STATIC_VARS).
var internalVars = map[string]bool{
	"ansible_facts": true, "group_names": true, "inventory_dir": true, "inventory_file": true,
	"inventory_hostname": true, "inventory_hostname_short": true,
}

func (s *inventoryShow) groupVars(g *inventory.Group) (*value.Dict, error) {
	d, err := s.run.GroupVars(g, s.flags.dir)
	if err == nil && g.Priority != 1 {
		d.SetStr("ansible_group_priority", value.Int(g.Priority))
	}
	return d, err
}

// dump is d in the format the flags want. Ansible writes vault texts as they are.
func (s *inventoryShow) dump(d *value.Dict) (string, error) {
	var text string
	var err error
	switch {
	case s.flags.asYAML:
		text, err = pyyaml.Marshal(d, pyyaml.Options{Flow: pyyaml.FlowNever, SortKeys: true})
	case s.flags.asTOML:
		if key := notText(d); key != nil {
			return "", fmt.Errorf("The source inventory contains a non-string key (%s) which cannot be represented in TOML. "+
				"The specified key will need to be converted to a string. Be aware that if your playbooks expect this key to be non-string, "+
				"your playbooks will need to be modified to support this change.", value.Repr(key))
		}
		var b bytes.Buffer
		enc := toml.NewEncoder(&b)
		enc.Indent = ""
		err = enc.Encode(value.ToGo(d))
		text = b.String()
	default:
		o := value.JSONOptions{Indent: "    ", SortKeys: true, Unicode: true, Default: sealedJSON}
		if text, err = value.JSON(d, o); err != nil { // keys of several types have no order
			o.SortKeys = false
			text, err = value.JSON(d, o)
		}
	}
	if err != nil {
		return "", fmt.Errorf("print inventory: %w", err)
	}
	return text, nil
}

// notText is the first key in v that is no text; nil for none.
func notText(v value.Value) value.Value {
	switch v := v.(type) {
	case *value.List:
		for _, item := range v.Items {
			if key := notText(item); key != nil {
				return key
			}
		}
	case *value.Dict:
		for k, item := range v.All() {
			if _, ok := k.(value.Str); !ok {
				return k
			}
			if key := notText(item); key != nil {
				return key
			}
		}
	}
	return nil
}

// sealedJSON is the form Ansible's JSON gives a vault text.
func sealedJSON(v value.Value) (value.Value, error) {
	if sealed, ok := v.(value.Sealed); ok {
		return value.D("__ansible_vault", value.S(sealed.Text)), nil
	}
	return value.S(value.String(v)), nil
}

// groups fills d with what an inventory script prints: each group by its name.
func (s *inventoryShow) groups(d *value.Dict, g *inventory.Group) error {
	group := value.NewDict(3)
	if hosts := s.names(g); len(hosts.Items) > 0 {
		group.SetStr("hosts", hosts)
	}
	children := value.NewList()
	for _, c := range g.Children {
		children.Items = append(children.Items, value.S(c.Name))
		if s.seen[c.Name] {
			continue
		}
		s.seen[c.Name] = true
		if err := s.groups(d, c); err != nil {
			return err
		}
	}
	if len(children.Items) > 0 {
		group.SetStr("children", children)
	}
	return s.close(d, g, group)
}

// names lists the hosts of a group that the limit leaves; those of all are in others.
func (s *inventoryShow) names(g *inventory.Group) *value.List {
	list := value.NewList()
	for _, h := range g.Hosts {
		if g.Name != inventory.All && s.within[h] {
			list.Items = append(list.Items, value.S(h.Name))
		}
	}
	return list
}

// close adds a group's variables where they are wanted, and the group to d unless
// nothing is in it.
func (s *inventoryShow) close(d *value.Dict, g *inventory.Group, group *value.Dict) error {
	if s.export {
		v, err := s.groupVars(g)
		if err != nil {
			return err
		}
		if v.Len() > 0 {
			group.SetStr("vars", v)
		}
	}
	if group.Len() > 0 {
		d.SetStr(g.Name, group)
	}
	return nil
}

func (s *inventoryShow) meta(d *value.Dict, hosts []*inventory.Host) error {
	hostVars := value.NewDict(len(hosts))
	for _, h := range hosts {
		v, err := s.hostVars(h)
		if err != nil {
			return err
		}
		if v.Len() > 0 {
			hostVars.SetStr(h.Name, v)
		}
	}
	d.SetStr("_meta", value.D("hostvars", hostVars))
	return nil
}

// hosts adds the hosts of a group, the variables of each where it is first shown.
func (s *inventoryShow) hosts(g *inventory.Group, group *value.Dict) error {
	hosts := value.NewDict(len(g.Hosts))
	for _, h := range g.Hosts {
		if g.Name == inventory.All || !s.within[h] {
			continue
		}
		v := value.NewDict(0)
		if !s.seen["host "+h.Name] {
			s.seen["host "+h.Name] = true
			var err error
			if v, err = s.hostVars(h); err != nil {
				return err
			}
		}
		hosts.SetStr(h.Name, v)
	}
	if hosts.Len() > 0 {
		group.SetStr("hosts", hosts)
	}
	return nil
}

// tree is the YAML form: groups inside groups.
func (s *inventoryShow) tree(d *value.Dict, g *inventory.Group) error {
	group := value.NewDict(3)
	children := value.NewDict(len(g.Children))
	for _, c := range g.Children {
		if s.seen[c.Name] {
			children.SetStr(c.Name, value.NewDict(0))
			continue
		}
		s.seen[c.Name] = true
		if err := s.tree(children, c); err != nil {
			return err
		}
	}
	if children.Len() > 0 {
		group.SetStr("children", children)
	}
	if err := s.hosts(g, group); err != nil {
		return err
	}
	return s.close(d, g, group)
}

// tables is the TOML form: groups side by side.
func (s *inventoryShow) tables(d *value.Dict, g *inventory.Group) error {
	group := value.NewDict(3)
	children := value.NewList()
	for _, c := range g.Children {
		if c.Name == inventory.Ungrouped && len(c.Hosts) == 0 {
			continue
		}
		if g.Name != inventory.All {
			children.Items = append(children.Items, value.S(c.Name))
		}
		if err := s.tables(d, c); err != nil {
			return err
		}
	}
	if len(children.Items) > 0 {
		group.SetStr("children", children)
	}
	if err := s.hosts(g, group); err != nil {
		return err
	}
	return s.close(d, g, group)
}

func (s *inventoryShow) graph(group []string) (string, error) {
	name := inventory.All
	if len(group) > 0 {
		name = group[0]
	}
	g, ok := s.p.inv.Group(name)
	if !ok {
		if s.p.as != nil {
			return "", ansibleOption("Pattern must be valid group name when using --graph")
		}
		return "", inputError(fmt.Errorf("pattern must be valid group name when using --graph: no group %q", name))
	}
	var b strings.Builder
	err := s.branch(&b, g, 0)
	return strings.TrimSuffix(b.String(), "\n"), err
}

func (s *inventoryShow) branch(b *strings.Builder, g *inventory.Group, depth int) error {
	line := func(depth int, text string) {
		if depth > 0 {
			b.WriteString(strings.Repeat("  |", depth) + "--")
		}
		b.WriteString(text + "\n")
	}
	show := func(depth int, d *value.Dict, err error) error {
		if err != nil {
			return err
		}
		names := d.Keys()
		slices.SortFunc(names, func(a, b value.Value) int { return strings.Compare(value.String(a), value.String(b)) })
		for _, k := range names {
			v, _, _ := d.Get(k) // a key of d
			line(depth, fmt.Sprintf("{%s = %s}", value.String(k), value.String(v)))
		}
		return nil
	}
	line(depth, "@"+g.Name+":")
	for _, c := range g.Children {
		if err := s.branch(b, c, depth+1); err != nil {
			return err
		}
	}
	for _, h := range g.Hosts {
		if g.Name == inventory.All {
			break
		}
		line(depth+1, h.Name)
		if s.flags.withVars {
			d, err := s.hostVars(h)
			if err := show(depth+2, d, err); err != nil {
				return err
			}
		}
	}
	if !s.flags.withVars {
		return nil
	}
	d, err := s.groupVars(g)
	return show(depth+1, d, err)
}
