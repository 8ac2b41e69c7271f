package schema

import (
	"fmt"
	"slices"
	"strings"

	"orch/playbook/jinja/value"
)

// An ArgumentSpec is Ansible's argument_spec as data: what roles declare in
// meta/argument_specs.yml and validate_argument_spec takes. The order of checks and the
// messages are those of ansible-core 2.18's ArgumentSpecValidator.
type ArgumentSpec struct{ options *value.Dict }

// NewArgumentSpec reads the options part of an argument spec.
func NewArgumentSpec(options *value.Dict) *ArgumentSpec { return &ArgumentSpec{options} }

// Validate checks params and returns a copy of them coerced, with defaults set, and the
// errors in Ansible's words. secrets are the values of no_log options.
func (a *ArgumentSpec) Validate(params *value.Dict) (out *value.Dict, errs, warnings, secrets []string) {
	c := specCheck{}
	out = value.Clone(params).(*value.Dict)
	c.level(a.options, nil, out, nil)
	c.sub(a.options, out, nil)
	if len(c.unsupported) > 0 {
		slices.Sort(c.unsupported)
		c.errs = append(c.errs, fmt.Sprintf("%s. Supported parameters include: %s.", strings.Join(c.unsupported, ", "), c.supported))
	}
	return out, c.errs, c.warnings, c.secrets
}

// Names lists the options.
func (a *ArgumentSpec) Names() []string {
	var names []string
	for k := range a.options.All() {
		names = append(names, value.String(k))
	}
	return names
}

type specCheck struct {
	errs, warnings, secrets []string
	unsupported             []string
	supported               string
}

func (c *specCheck) addf(path []string, format string, args ...any) {
	msg := fmt.Sprintf(format, args...)
	if len(path) > 0 {
		msg += " found in " + strings.Join(path, " -> ")
	}
	c.errs = append(c.errs, msg)
}

// level checks one level of params; rules holds mutually_exclusive and the like of the
// option the level is in, nil at the top.
func (c *specCheck) level(options, rules, params *value.Dict, path []string) {
	aliases := c.aliases(options, params, path)
	c.noteSecrets(options, params)
	c.unknown(options, aliases, params, path)
	if rules != nil {
		c.exclusive(get(rules, "mutually_exclusive"), params, path)
	}
	c.defaults(options, params, false)
	var missing []string
	for name, spec := range optionsOf(options) {
		if _, ok := params.GetStr(name); !ok && truth(get(spec, "required")) {
			missing = append(missing, name)
		}
	}
	if missing != nil {
		slices.Sort(missing)
		c.addf(path, "missing required arguments: %s", strings.Join(missing, ", "))
	}
	c.types(options, params, path)
	c.choices(options, params, path)
	if rules != nil {
		c.together(get(rules, "required_together"), params, path)
		c.oneOf(get(rules, "required_one_of"), params, path)
		c.requiredIf(get(rules, "required_if"), params, path)
		c.requiredBy(get(rules, "required_by"), params, path)
	}
	c.defaults(options, params, true)
}

func optionsOf(options *value.Dict) func(yield func(string, *value.Dict) bool) {
	return func(yield func(string, *value.Dict) bool) {
		for k, v := range options.All() {
			spec, ok := v.(*value.Dict)
			if !ok {
				spec = value.NewDict(0)
			}
			if !yield(value.String(k), spec) {
				return
			}
		}
	}
}

func get(d *value.Dict, name string) value.Value {
	if v, ok := d.GetStr(name); ok {
		if _, none := v.(value.None); !none {
			return v
		}
	}
	return nil
}

func truth(v value.Value) bool {
	if v == nil {
		return false
	}
	b, err := toBool(v)
	return err == nil && b
}

func words(v value.Value) []string {
	switch v := v.(type) {
	case *value.List:
		out := make([]string, len(v.Items))
		for i, item := range v.Items {
			out[i] = value.String(item)
		}
		return out
	case value.Str:
		return []string{v.S}
	}
	return nil
}

// groups reads a list of lists of names; a flat list is one group.
func groups(v value.Value) [][]string {
	list, ok := v.(*value.List)
	if !ok {
		return nil
	}
	var out [][]string
	for _, item := range list.Items {
		if _, flat := item.(value.Str); flat {
			return [][]string{words(list)}
		}
		out = append(out, words(item))
	}
	return out
}

func (c *specCheck) aliases(options, params *value.Dict, path []string) map[string]string {
	aliases := map[string]string{}
	for name, spec := range optionsOf(options) {
		for _, alias := range words(get(spec, "aliases")) {
			aliases[alias] = name
			v, given := params.GetStr(alias)
			if !given {
				continue
			}
			if _, both := params.GetStr(name); both {
				c.warnings = append(c.warnings, fmt.Sprintf("Both option %s and its alias %s are set.", dotted(path, name), dotted(path, alias)))
			}
			params.SetStr(name, v)
		}
	}
	return aliases
}

func (c *specCheck) noteSecrets(options, params *value.Dict) {
	for name, spec := range optionsOf(options) {
		v := get(params, name)
		if v != nil && truth(get(spec, "no_log")) {
			c.secrets = appendTexts(c.secrets, v)
		}
		if get(spec, "options") == nil || v == nil {
			continue
		}
		// Looking for secrets inside is where Ansible first stumbles over text.
		items := []value.Value{v}
		if list, ok := v.(*value.List); ok {
			items = list.Items
		}
		for _, item := range items {
			switch item := item.(type) {
			case *value.Dict:
			case value.Str:
				if _, err := toDict(item); err != nil {
					c.addf(nil, "%s", err)
					return
				}
			default:
				c.addf(nil, "Value '%s' in the sub parameter field '%s' must be a %s, not '%s'", value.String(item), name, typeOf(spec), item.Type())
				return
			}
		}
	}
}

func appendTexts(list []string, v value.Value) []string {
	switch v := v.(type) {
	case *value.Dict:
		for _, item := range v.All() {
			list = appendTexts(list, item)
		}
	case *value.List:
		for _, item := range v.Items {
			list = appendTexts(list, item)
		}
	case value.None, value.Bool:
	default:
		if s := value.String(v); s != "" {
			list = append(list, s)
		}
	}
	return list
}

func (c *specCheck) unknown(options *value.Dict, aliases map[string]string, params *value.Dict, path []string) {
	for k := range params.All() {
		name := value.String(k)
		if _, ok := options.GetStr(name); ok || aliases[name] != "" {
			continue
		}
		c.unsupported = append(c.unsupported, dotted(path, name))
		var names, also []string
		for n := range optionsOf(options) {
			names = append(names, n)
		}
		for a := range aliases {
			also = append(also, a)
		}
		slices.Sort(names)
		slices.Sort(also)
		c.supported = strings.Join(names, ", ")
		if also != nil {
			c.supported += " (" + strings.Join(also, ", ") + ")"
		}
	}
}

func (c *specCheck) defaults(options, params *value.Dict, all bool) {
	for name, spec := range optionsOf(options) {
		if _, ok := params.GetStr(name); ok {
			continue
		}
		if v := get(spec, "default"); v != nil {
			params.SetStr(name, value.Clone(v))
		} else if all {
			params.SetStr(name, value.None{})
		}
	}
}

func typeOf(spec *value.Dict) string {
	if t := get(spec, "type"); t != nil {
		return value.String(t)
	}
	return "str"
}

func (c *specCheck) types(options, params *value.Dict, path []string) {
	for name, spec := range optionsOf(options) {
		v, ok := params.GetStr(name)
		if !ok {
			continue
		}
		if _, none := v.(value.None); none && !truth(get(spec, "required")) && get(spec, "default") == nil {
			continue
		}
		kind := typeOf(spec)
		got, err := coerce(kind, v)
		if err != nil {
			c.addf(nil, "argument '%s' is of type %s%s and we were unable to convert to %s: %s", name, pyType(v), foundIn(path), kind, err)
			continue
		}
		params.SetStr(name, got)
		if elements := get(spec, "elements"); elements != nil {
			params.SetStr(name, c.elements(name, kind, value.String(elements), got, path))
		}
	}
}

func (c *specCheck) elements(name, kind, want string, v value.Value, path []string) value.Value {
	list, ok := v.(*value.List)
	if !ok || kind != "list" {
		c.addf(nil, "Invalid type %s for option '%s', elements value check is supported only with 'list' type", kind, value.String(v))
		return v
	}
	out := value.NewList()
	for _, item := range list.Items {
		got, err := coerce(want, item)
		if err != nil {
			c.addf(nil, "Elements value for option '%s'%s is of type %s and we were unable to convert to %s: %s",
				name, strings.TrimSuffix(foundIn(path), "."), pyType(item), want, err)
			continue
		}
		out.Items = append(out.Items, got)
	}
	return out
}

// coerce converts v to one of Ansible's types.
func coerce(kind string, v value.Value) (value.Value, error) {
	if _, none := v.(value.None); none && kind != "raw" {
		return nil, nullError(kind)
	}
	switch kind {
	case "raw":
		return v, nil
	case "str", "path":
		if s, ok := v.(value.Str); ok {
			return s, nil
		}
		return value.S(value.String(v)), nil
	case "bool":
		b, err := toBool(v)
		return value.Bool(b), err
	case "int":
		switch v.(type) {
		case value.Int, *value.BigInt, value.Bool: // Python's bool is an int
			return v, nil
		}
		n, err := toInt(v)
		return value.Int(n), err
	case "float":
		f, err := toFloat(v)
		return value.Float(f), err
	case "list":
		l, err := toList(v)
		return l, err
	case "dict":
		d, err := toDict(v)
		return d, err
	case "bytes":
		return toBytes(v, 'B')
	case "bits":
		return toBytes(v, 'b')
	case "json", "jsonarg":
		switch v := v.(type) {
		case value.Str:
			return value.S(strings.TrimSpace(v.S)), nil
		case *value.List, *value.Dict, value.Tuple:
			text, err := value.JSON(v, value.JSONOptions{})
			return value.S(text), err
		}
		return nil, fmt.Errorf("%s cannot be converted to a json string", pyType(v))
	}
	return nil, fmt.Errorf("unknown type %q", kind)
}

func (c *specCheck) choices(options, params *value.Dict, path []string) {
	for name, spec := range optionsOf(options) {
		list, ok := get(spec, "choices").(*value.List)
		v, given := params.GetStr(name)
		if !ok || !given {
			continue
		}
		has := func(v value.Value) bool {
			return slices.ContainsFunc(list.Items, func(c value.Value) bool { return value.Equal(c, v) })
		}
		if items, isList := v.(*value.List); isList {
			var bad []string
			for _, item := range items.Items {
				if !has(item) {
					bad = append(bad, value.String(item))
				}
			}
			if bad != nil {
				c.addf(path, "value of %s must be one or more of: %s. Got no match for: %s", name, strings.Join(words(list), ", "), strings.Join(bad, ", "))
			}
			continue
		}
		if has(v) {
			continue
		}
		word, one := "", false
		switch value.String(v) {
		case "False":
			word, one = onlyOne(words(list), []string{"n", "no", "off", "0", "false", "f", "False"})
		case "True":
			word, one = onlyOne(words(list), []string{"y", "yes", "on", "1", "true", "t", "True"})
		}
		if one {
			params.SetStr(name, value.S(word))
			continue
		}
		c.addf(path, "value of %s must be one of: %s, got: %s", name, strings.Join(words(list), ", "), value.String(v))
	}
}

func (c *specCheck) sub(options, params *value.Dict, path []string) {
	for name, spec := range optionsOf(options) {
		kind := typeOf(spec)
		elements := get(spec, "elements")
		if kind != "dict" && (kind != "list" || elements == nil || value.String(elements) != "dict") {
			continue
		}
		inner, ok := get(spec, "options").(*value.Dict)
		if !ok {
			continue
		}
		v := get(params, name)
		if v == nil {
			if !truth(get(spec, "apply_defaults")) {
				continue
			}
			v = value.NewDict(0)
			params.SetStr(name, v)
		}
		items := []value.Value{v}
		if list, ok := v.(*value.List); ok {
			items = list.Items
		}
		here := append(slices.Clone(path), name)
		for _, item := range items {
			d, ok := item.(*value.Dict)
			if !ok {
				c.addf(nil, "value of '%s' must be of type dict or list of dicts", name)
				continue
			}
			c.level(inner, spec, d, here)
			c.sub(inner, d, here)
		}
	}
}
