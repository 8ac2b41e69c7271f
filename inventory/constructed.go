package inventory

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"orch/playbook/jinja/value"
	"orch/playbook/source"
)

// An Evaluate templates a text.
type Evaluate func(ctx context.Context, text value.Str) (value.Value, error)

// An Evaluator is what the templates of plugin configurations are evaluated with.
type Evaluator interface {
	// With evaluates with some variables, which may be templates themselves.
	With(vars *value.Dict) Evaluate
	// Host evaluates with what a host has so far: its variables, those of its groups, cached
	// facts; files adds group_vars and host_vars, extra the extra variables.
	Host(inv *Inventory, h *Host, files, extra bool) Evaluate
}

// constructedOptions are what a configuration file of the constructed plugin may say.
var constructedOptions = []string{
	"plugin", "use_vars_plugins", "use_extra_vars", "strict", "leading_separator", "compose", "groups", "keyed_groups",
	"cache", "cache_plugin", "cache_timeout", "cache_connection", "cache_prefix",
}

// A constructor makes variables and groups out of what the hosts read so far have
// (ansible-core 2.18: lib/ansible/plugins/inventory/__init__.py, Constructable).
type constructor struct {
	*loader
	file               string
	strict, bare       bool // bare: no separator without a prefix
	useFiles, useExtra bool
	compose, groups    *value.Dict
	keyed              []value.Value
}

func (l *loader) constructed(file string, config *value.Dict) error {
	if l.opts.Evaluator == nil {
		return errors.New("the constructed plugin needs a template engine")
	}
	c := &constructor{loader: l, file: file}
	if err := c.read(config); err != nil {
		return err
	}
	l.inv.reconcile()
	for _, h := range l.inv.order {
		if err := c.host(h); err != nil {
			return fmt.Errorf("failed to parse %s: %w", file, err)
		}
	}
	return nil
}

func (c *constructor) read(config *value.Dict) error {
	for k := range config.All() {
		if err := knownOption(value.String(k), constructedOptions); err != nil {
			return err
		}
	}
	leading := true
	for _, o := range []struct {
		name string
		to   *bool
	}{
		{"strict", &c.strict},
		{"leading_separator", &leading},
		{"use_vars_plugins", &c.useFiles},
		{"use_extra_vars", &c.useExtra},
	} {
		v, ok := config.GetStr(o.name)
		if !ok {
			continue
		}
		on, err := isTrue(v)
		if err != nil {
			return fmt.Errorf("option %s: %w", o.name, err)
		}
		*o.to = on
	}
	c.bare = !leading
	for _, o := range []struct {
		name string
		to   **value.Dict
	}{{"compose", &c.compose}, {"groups", &c.groups}} {
		*o.to = value.NewDict(0)
		v, ok := config.GetStr(o.name)
		if !ok || v.Type() == "NoneType" {
			continue
		}
		d, ok := v.(*value.Dict)
		if !ok {
			return fmt.Errorf("option %s is a mapping, not a %s", o.name, v.Type())
		}
		*o.to = d
	}
	v, ok := config.GetStr("keyed_groups")
	if !ok || v.Type() == "NoneType" {
		return nil
	}
	list, ok := v.(*value.List)
	if !ok {
		return fmt.Errorf("option keyed_groups is a list, not a %s", v.Type())
	}
	c.keyed = list.Items
	return nil
}

func (c *constructor) host(h *Host) error {
	vars := c.opts.Evaluator.Host(c.inv, h, c.useFiles, c.useExtra)
	for name, expr := range c.compose.All() {
		v, err := c.expression(expr, vars)
		if err != nil {
			if c.strict {
				return fmt.Errorf("could not set %s for host %s: %w", value.String(name), h.Name, err)
			}
			continue
		}
		h.Vars.SetStr(value.String(name), v)
	}
	// Once more, with what compose made.
	vars = c.opts.Evaluator.Host(c.inv, h, c.useFiles, c.useExtra)
	for name, cond := range c.groups.All() {
		yes, err := c.condition(cond, vars)
		if err != nil {
			if c.strict {
				return fmt.Errorf("could not add host %s to group %s: %w", h.Name, value.String(name), err)
			}
			continue
		}
		if yes {
			c.inv.addGroup(value.String(name)).add(h)
		}
	}
	for _, entry := range c.keyed {
		if err := c.keyedGroups(entry, vars, h); err != nil {
			return err
		}
	}
	return nil
}

// expression evaluates what compose and key hold: an expression without braces.
func (c *constructor) expression(expr value.Value, vars Evaluate) (value.Value, error) {
	return vars(c.ctx, value.Str{S: "{{" + value.String(expr) + "}}", From: c.origin(expr)})
}

func (c *constructor) condition(cond value.Value, vars Evaluate) (bool, error) {
	text := "{% if " + value.String(cond) + " %} True {% else %} False {% endif %}"
	v, err := vars(c.ctx, value.Str{S: text, From: c.origin(cond)})
	if err != nil {
		return false, err
	}
	return isTrue(v)
}

func (c *constructor) origin(v value.Value) *source.Pos {
	if s, ok := v.(value.Str); ok && s.From != nil {
		return s.From
	}
	return &source.Pos{File: c.file}
}

// keyedGroups puts a host into the groups that the value of a key names.
func (c *constructor) keyedGroups(entry value.Value, vars Evaluate, h *Host) error {
	d, ok := entry.(*value.Dict)
	if !ok || d.Len() == 0 {
		return fmt.Errorf("invalid keyed group entry, it must be a dictionary: %s", value.String(entry))
	}
	expr := option(d, "key", value.None{})
	key, err := c.expression(expr, vars)
	if err != nil {
		if c.strict {
			return fmt.Errorf("could not generate group for host %s from %s entry: %w", h.Name, value.String(expr), err)
		}
		return nil
	}
	fallback, hasFallback := given(d, "default_value")
	trailing, hasTrailing := given(d, "trailing_separator")
	if hasFallback && hasTrailing {
		return errors.New("parameters are mutually exclusive for keyed groups: default_value|trailing_separator")
	}
	if !value.Truth(key) && !(isEmptyText(key) && hasFallback) {
		if _, none := key.(value.None); c.strict && (none || isEmptyText(key)) {
			return fmt.Errorf("no key or key resulted empty for %s in host %s, invalid entry", value.String(expr), h.Name)
		}
		return nil
	}
	prefix, sep := value.String(option(d, "prefix", value.S(""))), value.String(option(d, "separator", value.S("_")))
	parent, err := c.parent(d, vars)
	if err != nil {
		if c.strict {
			return fmt.Errorf("could not generate parent group for group %s: %w", value.String(key), err)
		}
		return nil
	}
	names, err := keyNames(key, sep, fallback, hasFallback, hasTrailing && !value.Truth(trailing))
	if err != nil {
		return err
	}
	if prefix == "" && c.bare {
		sep = ""
	}
	for _, name := range names {
		g := c.inv.addGroup(prefix + sep + name)
		g.add(h)
		if parent == "" {
			continue
		}
		if err := c.inv.link(c.inv.addGroup(parent), g); err != nil {
			return err
		}
	}
	return nil
}

func (c *constructor) parent(d *value.Dict, vars Evaluate) (string, error) {
	raw := option(d, "parent_group", value.S(""))
	text, ok := raw.(value.Str)
	if !ok || text.S == "" {
		return "", nil
	}
	v, err := vars(c.ctx, text)
	if err != nil {
		return "", err
	}
	return value.String(v), nil
}

// keyNames are the names, without prefix, that a key stands for: text for itself, a list
// for its items, a mapping for its pairs.
func keyNames(key value.Value, sep string, fallback value.Value, hasFallback, noTrailing bool) ([]string, error) {
	name := func(v value.Value) string {
		if hasFallback && isEmptyText(v) {
			return value.String(fallback)
		}
		return value.String(v)
	}
	switch key := key.(type) {
	case value.Str:
		return []string{name(key)}, nil
	case *value.List:
		var names []string
		for _, item := range key.Items {
			names = append(names, name(item))
		}
		return names, nil
	case *value.Dict:
		var names []string
		for k, v := range key.All() {
			text := value.String(k) + sep + name(v)
			if noTrailing && isEmptyText(v) {
				text = value.String(k)
			}
			names = append(names, text)
		}
		return names, nil
	}
	return nil, fmt.Errorf("invalid group name format, expected a string or a list of them or dictionary, got: %s", key.Type())
}

func isEmptyText(v value.Value) bool {
	s, ok := v.(value.Str)
	return ok && s.S == ""
}

func option(d *value.Dict, name string, fallback value.Value) value.Value {
	if v, ok := d.GetStr(name); ok {
		return v
	}
	return fallback
}

// given returns an option that is there and not null.
func given(d *value.Dict, name string) (value.Value, bool) {
	v, ok := d.GetStr(name)
	if _, none := v.(value.None); !ok || none {
		return nil, false
	}
	return v, true
}

// isTrue reads a boolean as Ansible does.
func isTrue(v value.Value) (bool, error) {
	switch v := v.(type) {
	case value.Bool:
		return bool(v), nil
	case value.None:
		return false, nil
	}
	switch strings.ToLower(strings.TrimSpace(value.String(v))) {
	case "y", "yes", "on", "1", "true", "t", "1.0":
		return true, nil
	case "n", "no", "off", "0", "false", "f", "0.0":
		return false, nil
	}
	return false, fmt.Errorf("%s is no boolean", value.Repr(v))
}

func knownOption(name string, options []string) error {
	for _, o := range options {
		if o == name {
			return nil
		}
	}
	hint := ""
	if near := source.Suggest(name, options); near != "" {
		hint = fmt.Sprintf("; did you mean %q?", near)
	}
	return fmt.Errorf("unknown option %q, one of %s%s", name, strings.Join(options, ", "), hint)
}
