package inventory

import (
	"errors"
	"fmt"

	"orch/playbook/jinja/value"
)

// maxGenerated bounds the product of a generator's layers.
const maxGenerated = 1_000_000

// generator makes a host of every combination of the layers, and its groups (ansible-core
// 2.18: lib/ansible/plugins/inventory/generator.py).
func (l *loader) generator(config *value.Dict) error {
	if l.opts.Evaluator == nil {
		return errors.New("the generator plugin needs a template engine")
	}
	for k := range config.All() {
		if err := knownOption(value.String(k), []string{"plugin", "hosts", "layers"}); err != nil {
			return err
		}
	}
	layers, ok := option(config, "layers", value.None{}).(*value.Dict)
	if !ok {
		return errors.New(`"layers" is a mapping of names to lists`)
	}
	hosts, ok := option(config, "hosts", value.None{}).(*value.Dict)
	if !ok {
		return errors.New(`"hosts" is a mapping with "name" and "parents"`)
	}
	name, ok := hosts.GetStr("name")
	if !ok {
		return errors.New(`"hosts" has no "name"`)
	}
	combinations, err := product(layers)
	if err != nil {
		return err
	}
	for _, vars := range combinations {
		host, err := l.templateText(name, vars)
		if err != nil {
			return err
		}
		h := l.inv.addHost(host, 0)
		link := func(g *Group) error { g.add(h); return nil }
		if err := l.parents(host, hosts, vars, link); err != nil {
			return err
		}
	}
	return nil
}

// product lists the combinations of the layers, those of the last layer next to each other.
func product(layers *value.Dict) ([]*value.Dict, error) {
	out := []*value.Dict{value.NewDict(layers.Len())}
	for name, v := range layers.All() {
		items, err := value.Items(v)
		if err != nil {
			return nil, fmt.Errorf("layer %q: %w", value.String(name), err)
		}
		if len(items)*len(out) > maxGenerated {
			return nil, fmt.Errorf("the layers make more than %d hosts", maxGenerated)
		}
		next := make([]*value.Dict, 0, len(items)*len(out))
		for _, vars := range out {
			for _, item := range items {
				more := value.NewDict(layers.Len())
				for k, v := range vars.All() {
					more.SetStr(value.String(k), v)
				}
				more.SetStr(value.String(name), item)
				next = append(next, more)
			}
		}
		out = next
	}
	return out, nil
}

// parents makes the groups above a host or a group; link puts it into one.
func (l *loader) parents(child string, of, vars *value.Dict, link func(*Group) error) error {
	list := option(of, "parents", value.None{})
	if _, none := list.(value.None); none {
		return nil
	}
	items, err := value.Items(list)
	if err != nil {
		return fmt.Errorf("parents of %s: %w", child, err)
	}
	for _, item := range items {
		parent, ok := item.(*value.Dict)
		if !ok {
			return fmt.Errorf("element %s has a parent with no name element", child)
		}
		raw, ok := parent.GetStr("name")
		if !ok {
			return fmt.Errorf("element %s has a parent with no name element", child)
		}
		name, err := l.templateText(raw, vars)
		if err != nil {
			return err
		}
		g := l.inv.addGroup(name)
		if set, ok := option(parent, "vars", value.None{}).(*value.Dict); ok {
			for k, v := range set.All() {
				text, err := l.templateText(v, vars)
				if err != nil {
					return err
				}
				g.Vars.SetStr(value.String(k), value.S(text))
			}
		}
		if err := link(g); err != nil {
			return err
		}
		up := func(above *Group) error { return l.inv.link(above, g) }
		if err := l.parents(name, parent, vars, up); err != nil {
			return err
		}
	}
	return nil
}

func (l *loader) templateText(text value.Value, vars *value.Dict) (string, error) {
	s, ok := text.(value.Str)
	if !ok {
		return value.String(text), nil
	}
	v, err := l.opts.Evaluator.With(vars)(l.ctx, s)
	if err != nil {
		return "", err
	}
	return value.String(v), nil
}
