package inventory

import (
	"fmt"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"

	"orch/playbook/jinja/value"
	"orch/playbook/source"
)

// A reader turns the tree of a YAML, TOML or JSON inventory into groups and hosts.
type reader struct {
	inv   *Inventory
	file  string
	diags source.Diagnostics
	// lists: children may be a list of names, as the toml plugin wants them.
	lists bool
}

// at is the place of a key or value an author wrote.
func (r *reader) at(v value.Value) source.Pos {
	if s, ok := v.(value.Str); ok && s.From != nil {
		return *s.From
	}
	return source.Pos{File: r.file}
}

func (r *reader) errorf(at value.Value, format string, args ...any) {
	r.diags = append(r.diags, source.Diagnostic{Pos: r.at(at), Msg: fmt.Sprintf(format, args...)})
}

func (r *reader) warnf(at value.Value, format string, args ...any) {
	r.diags = append(r.diags, source.Diagnostic{Severity: source.Warning, Pos: r.at(at), Msg: fmt.Sprintf(format, args...)})
}

func (r *reader) err() error {
	if len(r.diags) == 0 {
		return nil
	}
	return r.diags
}

func (l *loader) yaml(path string, text []byte) error {
	root, diags := parseYAML(path, text)
	l.diags = append(l.diags, diags...)
	if root == nil {
		return nil
	}
	r := &reader{inv: l.inv, file: path}
	d, ok := root.(*value.Dict)
	if !ok {
		if _, none := root.(value.None); none {
			r.errorf(nil, "the inventory is empty")
			return r.err()
		}
		class := root.Type()
		switch root.(type) {
		case *value.List:
			class = "ansible.parsing.yaml.objects.AnsibleSequence"
		case value.Str:
			class = "ansible.parsing.yaml.objects.AnsibleUnicode"
		}
		r.diags = append(r.diags, source.Diagnostic{
			Pos: r.at(nil), Msg: fmt.Sprintf("an inventory is a mapping of groups, not a %s", root.Type()),
			Ansible: &source.Ansible{
				Msg:       "YAML inventory has invalid structure, it should be a dictionary, got: <class '" + class + "'>",
				Placeless: true,
			},
		})
		return r.err()
	}
	if plugin, ok := d.GetStr("plugin"); ok && value.Truth(plugin) {
		return l.plugin(path, plugin, d)
	}
	for k, v := range d.All() {
		r.group(nil, k, v)
	}
	return r.err()
}

// plugin reads the configuration file of an inventory plugin. What is not built in is
// refused by name.
func (l *loader) plugin(path string, plugin value.Value, config *value.Dict) error {
	r := &reader{inv: l.inv, file: path}
	name := strings.TrimPrefix(strings.TrimPrefix(value.String(plugin), "ansible.builtin."), "ansible.legacy.")
	var err error
	switch name {
	case "constructed":
		err = l.constructed(path, config)
	case "generator":
		err = l.generator(config)
	default:
		r.errorf(plugin, "inventory plugin %q is not supported, one of constructed, generator", value.String(plugin))
		return r.err()
	}
	if err != nil {
		r.errorf(plugin, "%v", err)
	}
	return r.err()
}

func (l *loader) toml(path string, text []byte) error {
	var tree map[string]any
	meta, err := toml.Decode(string(text), &tree)
	if err != nil {
		return fmt.Errorf("parse toml: %w", err)
	}
	r := &reader{inv: l.inv, file: path, lists: true}
	d, ok := authored(inOrder(tree, nil, meta.Keys()), &value.Origin{File: path}).(*value.Dict)
	if !ok {
		return fmt.Errorf("an inventory is a table of groups")
	}
	for k, v := range d.All() {
		r.group(nil, k, v)
	}
	return r.err()
}

// inOrder is a table with its keys in the order they were written in.
func inOrder(table map[string]any, at toml.Key, written []toml.Key) value.Value {
	d := value.NewDict(len(table))
	for _, key := range written {
		if len(key) <= len(at) || !slices.Equal(key[:len(at)], at) {
			continue
		}
		name := key[len(at)]
		if _, done := d.GetStr(name); done {
			continue
		}
		if inner, ok := table[name].(map[string]any); ok {
			d.SetStr(name, inOrder(inner, key[:len(at)+1], written))
		} else {
			d.SetStr(name, value.FromGo(table[name]))
		}
	}
	return d
}

// group reads one group: {hosts: {…}, vars: {…}, children: {…}}.
func (r *reader) group(parent *Group, key, body value.Value) {
	name, ok := key.(value.Str)
	if !ok {
		r.errorf(key, "a group's name is text, not %s %s", key.Type(), value.Repr(key))
		return
	}
	if err := checkGroupName(name.S); err != nil {
		r.errorf(key, "%v", err)
		return
	}
	g := r.inv.addGroup(name.S)
	if parent != nil {
		if err := r.inv.link(parent, g); err != nil {
			r.errorf(key, "%v", err)
			return
		}
	}
	if _, none := body.(value.None); none {
		return
	}
	d, ok := body.(*value.Dict)
	if !ok {
		r.warnf(key, "skipping %q as this is not a valid group definition: it is a %s, not a mapping", name.S, body.Type())
		return
	}
	for k, v := range d.All() {
		word, _ := k.(value.Str)
		switch word.S {
		case "hosts", "vars", "children":
		default:
			r.diags = append(r.diags, source.Diagnostic{
				Severity: source.Warning, Pos: r.at(k),
				Msg:  fmt.Sprintf("skipping unexpected key %q in group %q", value.String(k), name.S),
				Hint: `only "vars", "children" and "hosts" are valid`,
			})
			continue
		}
		if text, ok := v.(value.Str); ok { // hosts: web1 means {web1: }
			only := value.NewDict(1)
			only.SetStr(text.S, value.None{})
			v = only
		}
		if _, none := v.(value.None); none {
			continue
		}
		if list, ok := v.(*value.List); ok && word.S == "children" && r.lists {
			names := value.NewDict(len(list.Items))
			for _, item := range list.Items {
				names.SetStr(value.String(item), value.None{})
			}
			v = names
		}
		part, ok := v.(*value.Dict)
		if !ok {
			r.errorf(k, "invalid %q entry for group %q: requires a mapping, found %s", word.S, name.S, v.Type())
			continue
		}
		r.part(g, word.S, part)
	}
}

func (r *reader) part(g *Group, kind string, part *value.Dict) {
	for k, v := range part.All() {
		switch kind {
		case "vars":
			r.inv.set(g.Vars, value.String(k), v)
		case "children":
			r.group(g, k, v)
		case "hosts":
			r.host(g, k, v)
		}
	}
}

func (r *reader) host(g *Group, key, body value.Value) {
	text := value.String(key)
	if _, ok := key.(value.Str); !ok {
		r.errorf(key, "Host pattern %s must be a string. Enclose integers/floats in quotation marks.", text)
		return
	}
	name, port, err := SplitPort(text)
	var names []string
	if err == nil {
		names, err = Expand(name)
	}
	if err != nil {
		r.errorf(key, "%v", err)
		return
	}
	vars := value.NewDict(0)
	switch body := body.(type) {
	case value.None:
	case *value.Dict:
		vars = body
	default:
		r.errorf(key, "variables of host %q are a mapping, not a %s", text, body.Type())
		return
	}
	r.inv.declare(g, names, port, vars)
}

// script reads what an executable prints: groups by name, and "_meta" with hostvars.
// Its strings are an author's, as in ansible-core 2.18.
func (l *loader) script(path string) error {
	out, err := l.run(path, "--list")
	if err != nil {
		return err
	}
	root, diags := parseYAML(path+" --list", out)
	if len(diags) > 0 {
		return diags
	}
	r := &reader{inv: l.inv, file: path}
	d, ok := root.(*value.Dict)
	if !ok {
		r.errorf(nil, "the script must print a mapping of groups, not a %s", root.Type())
		return r.err()
	}
	var meta *value.Dict
	for k, v := range d.All() {
		if value.String(k) != "_meta" {
			r.scriptGroup(value.String(k), v)
			continue
		}
		if m, ok := v.(*value.Dict); ok {
			if hv, ok := m.GetStr("hostvars"); ok {
				meta, _ = hv.(*value.Dict)
			}
		}
	}
	for _, h := range l.inv.order {
		vars, err := l.scriptVars(path, h.Name, meta)
		if err != nil {
			return err
		}
		for k, v := range vars.All() {
			l.inv.set(h.Vars, value.String(k), v)
		}
	}
	return r.err()
}

func (r *reader) scriptGroup(name string, body value.Value) {
	g := r.inv.addGroup(name)
	list := body
	if d, ok := body.(*value.Dict); ok {
		_, hosts := d.GetStr("hosts")
		_, children := d.GetStr("children")
		_, vars := d.GetStr("vars")
		if !hosts && !children && !vars { // a host with its variables, the oldest form
			r.inv.declare(g, []string{name}, 0, d)
			return
		}
		if v, ok := d.GetStr("vars"); ok {
			if vd, ok := v.(*value.Dict); ok {
				r.part(g, "vars", vd)
			} else {
				r.errorf(nil, "invalid \"vars\" of group %q: requires a mapping, found %s", name, v.Type())
			}
		}
		if c, ok := d.GetStr("children"); ok && c.Type() != "NoneType" {
			items, err := value.Items(c)
			if err != nil {
				r.errorf(nil, "invalid \"children\" of group %q: %v", name, err)
			}
			for _, item := range items {
				if err := r.inv.link(g, r.inv.addGroup(value.String(item))); err != nil {
					r.errorf(nil, "%v", err)
				}
			}
		}
		list, _ = d.GetStr("hosts")
	}
	if list == nil || list.Type() == "NoneType" {
		return
	}
	if list.Type() == "str" {
		r.errorf(nil, "invalid \"hosts\" of group %q: requires a list, found str", name)
		return
	}
	items, err := value.Items(list)
	if err != nil {
		r.errorf(nil, "invalid \"hosts\" of group %q: %v", name, err)
		return
	}
	for _, item := range items {
		r.inv.declare(g, []string{value.String(item)}, 0, value.NewDict(0))
	}
}

// scriptVars returns a host's variables: of _meta if there is one, else of a call.
func (l *loader) scriptVars(path, host string, meta *value.Dict) (*value.Dict, error) {
	if meta != nil {
		v, _ := meta.GetStr(host)
		if d, ok := v.(*value.Dict); ok {
			return d, nil
		}
		return value.NewDict(0), nil
	}
	out, err := l.run(path, "--host", host)
	if err != nil {
		return nil, err
	}
	if len(out) == 0 {
		return value.NewDict(0), nil
	}
	root, diags := parseYAML(path+" --host "+host, out)
	if len(diags) > 0 {
		return nil, diags
	}
	if d, ok := root.(*value.Dict); ok {
		return d, nil
	}
	return nil, fmt.Errorf("script --host %s must print a mapping, not a %s", host, root.Type())
}

// parseYAML reads one document as an author's value; nil when it cannot be read.
func parseYAML(file string, text []byte) (value.Value, source.Diagnostics) {
	docs, diags := source.Parse(file, text)
	if diags.HasErrors() {
		return nil, diags
	}
	if len(docs) == 0 {
		return value.None{}, diags
	}
	return docs[0].Value(source.Author), diags
}
