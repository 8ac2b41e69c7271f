package main

import (
	"fmt"
	"io"
	"os"
	"sort"
	"strings"

	"github.com/spf13/cobra"

	"orch/inventory"
	"orch/playbook/jinja/value"
	"orch/playbook/template/pyyaml"
	"orch/playbook/vars"
)

func newInventory() *cobra.Command {
	f := &projectFlags{}
	var list, graph, withVars, export, asYAML bool
	var host, output, playbookDir string
	cmd := &cobra.Command{
		Use:   "inventory [GROUP]",
		Short: "Show hosts, groups and their variables",
		Example: `  orch inventory -i stage --graph
  orch inventory -i stage --list
  orch inventory -i stage --host web1`,
		Args: args(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, group []string) error {
			p, err := f.open(cmd.Context(), cmd.Flags(), cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			n := 0
			for _, on := range []bool{list, graph, host != ""} {
				if on {
					n++
				}
			}
			if n != 1 {
				return inputError(fmt.Errorf("no action selected, one of --host, --graph and --list is needed"))
			}
			out := cmd.OutOrStdout()
			if output != "" {
				file, err := os.Create(output)
				if err != nil {
					return fmt.Errorf("write output: %w", err)
				}
				defer file.Close()
				out = file
			}
			if playbookDir == "" {
				playbookDir, _ = os.Getwd() // without it there are no group_vars beside a playbook
			}
			show := &inventoryShow{p: p, run: p.varsRun(vars.Options{}), dir: playbookDir, export: export, cmd: cmd}
			switch {
			case graph:
				return show.graph(out, group, withVars)
			case host != "":
				h, ok := p.inv.Host(host)
				if !ok {
					return inputError(fmt.Errorf("could not match supplied host pattern, ignoring: %s\nhint: orch inventory --graph shows the hosts", host))
				}
				d, err := show.hostVars(h)
				if err != nil {
					return err
				}
				return show.print(out, d, asYAML)
			}
			d, err := show.list(asYAML)
			if err != nil {
				return err
			}
			return show.print(out, d, asYAML)
		},
	}
	fs := cmd.Flags()
	f.add(fs)
	fs.BoolVar(&list, "list", false, "all hosts and groups as JSON, as an inventory script prints them")
	fs.BoolVar(&graph, "graph", false, "the groups as a tree")
	fs.StringVar(&host, "host", "", "the variables of a host")
	fs.BoolVar(&withVars, "vars", false, "with --graph: show variables too")
	fs.BoolVar(&export, "export", false, "with --list: keep group variables with the groups")
	fs.BoolVarP(&asYAML, "yaml", "y", false, "print YAML instead of JSON")
	fs.StringVar(&output, "output", "", "write to this file")
	fs.StringVar(&playbookDir, "playbook-dir", "", "folder of the playbook whose group_vars count")
	return cmd
}

// An inventoryShow prints an inventory as ansible-inventory does.
type inventoryShow struct {
	p      *project
	run    *vars.Run
	dir    string
	export bool
	cmd    *cobra.Command
}

// hostVars are the inventory variables of a host, untemplated, group variables first.
func (s *inventoryShow) hostVars(h *inventory.Host) (*value.Dict, error) {
	scope := s.run.Eval(s.cmd.Context(), h.Name, vars.PlayOptions{Basedir: s.dir})
	var names []string
	d := value.NewDict(8)
	names = append(names, scope.Names()...)
	sort.Strings(names)
	for _, name := range names {
		found, err := scope.Explain(name)
		if err != nil {
			return nil, err
		}
		for _, set := range found {
			if !set.Winner || set.Level > vars.PlaybookHostFiles || set.Level == vars.RoleDefaults {
				continue
			}
			if s.export && set.Level != vars.InventoryHostVars && set.Level != vars.InventoryHostFiles && set.Level != vars.PlaybookHostFiles {
				continue
			}
			d.SetStr(name, set.Value)
			break
		}
	}
	return d, nil
}

func (s *inventoryShow) print(out io.Writer, d *value.Dict, asYAML bool) error {
	var text string
	var err error
	if asYAML {
		text, err = pyyaml.Marshal(d, pyyaml.Options{Indent: 2, SortKeys: true})
	} else {
		text, err = value.JSON(d, value.JSONOptions{Indent: "    ", SortKeys: true})
		text += "\n"
	}
	if err != nil {
		return fmt.Errorf("print inventory: %w", err)
	}
	_, err = io.WriteString(out, s.p.redactor.Mask(text))
	return err
}

func nameList(n int, name func(int) string) *value.List {
	l := value.NewList()
	for i := range n {
		l.Items = append(l.Items, value.S(name(i)))
	}
	return l
}

// list is what an inventory script prints: groups, and _meta with the hosts' variables.
func (s *inventoryShow) list(asYAML bool) (*value.Dict, error) {
	hostVars := value.NewDict(8)
	for _, h := range s.p.inv.Hosts() {
		d, err := s.hostVars(h)
		if err != nil {
			return nil, err
		}
		if d.Len() > 0 {
			hostVars.SetStr(h.Name, d)
		}
	}
	all, _ := s.p.inv.Group(inventory.All)
	if asYAML {
		d := value.NewDict(1)
		d.SetStr(inventory.All, s.tree(all, hostVars, map[string]bool{}))
		return d, nil
	}
	d := value.NewDict(8)
	d.SetStr("_meta", value.D("hostvars", hostVars))
	for _, g := range s.p.inv.Groups() {
		group := value.NewDict(2)
		if len(g.Children) > 0 {
			group.SetStr("children", nameList(len(g.Children), func(i int) string { return g.Children[i].Name }))
		}
		if len(g.Hosts) > 0 && g != all {
			group.SetStr("hosts", nameList(len(g.Hosts), func(i int) string { return g.Hosts[i].Name }))
		}
		if s.export && g.Vars.Len() > 0 {
			group.SetStr("vars", g.Vars)
		}
		if group.Len() > 0 {
			d.SetStr(g.Name, group)
		}
	}
	return d, nil
}

// tree is the YAML form: nested groups, a host's variables where it is first named.
func (s *inventoryShow) tree(g *inventory.Group, hostVars *value.Dict, seen map[string]bool) *value.Dict {
	d := value.NewDict(2)
	children := value.NewDict(len(g.Children))
	for _, c := range g.Children {
		children.SetStr(c.Name, s.tree(c, hostVars, seen))
	}
	if children.Len() > 0 {
		d.SetStr("children", children)
	}
	hosts := value.NewDict(len(g.Hosts))
	for _, h := range g.Hosts {
		if g.Name == inventory.All {
			continue
		}
		v, ok := hostVars.GetStr(h.Name)
		if !ok || seen[h.Name] {
			v = value.NewDict(0)
		}
		seen[h.Name] = true
		hosts.SetStr(h.Name, v)
	}
	if hosts.Len() > 0 {
		d.SetStr("hosts", hosts)
	}
	if s.export && g.Vars.Len() > 0 {
		d.SetStr("vars", g.Vars)
	}
	return d
}

func (s *inventoryShow) graph(out io.Writer, group []string, withVars bool) error {
	name := inventory.All
	if len(group) > 0 {
		name = group[0]
	}
	g, ok := s.p.inv.Group(name)
	if !ok {
		return inputError(fmt.Errorf("pattern must be valid group name when using --graph: no group %q", name))
	}
	var b strings.Builder
	if err := s.branch(&b, g, 0, withVars); err != nil {
		return err
	}
	_, err := io.WriteString(out, b.String())
	return err
}

func (s *inventoryShow) branch(b *strings.Builder, g *inventory.Group, depth int, withVars bool) error {
	line := func(depth int, text string) {
		if depth > 0 {
			b.WriteString(strings.Repeat("  |", depth) + "--")
		}
		b.WriteString(text + "\n")
	}
	line(depth, "@"+g.Name+":")
	for _, c := range g.Children {
		if err := s.branch(b, c, depth+1, withVars); err != nil {
			return err
		}
	}
	if g.Name != inventory.All {
		for _, h := range g.Hosts {
			line(depth+1, h.Name)
			if !withVars {
				continue
			}
			d, err := s.hostVars(h)
			if err != nil {
				return err
			}
			for k, v := range d.All() {
				line(depth+2, fmt.Sprintf("{%s = %s}", value.String(k), s.p.redactor.Mask(value.String(v))))
			}
		}
	}
	if withVars {
		for k, v := range g.Vars.All() {
			line(depth+1, fmt.Sprintf("{%s = %s}", value.String(k), s.p.redactor.Mask(value.String(v))))
		}
	}
	return nil
}
