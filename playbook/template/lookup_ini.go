package template

import (
	"strings"

	"orch/playbook/jinja/value"
)

func runINI(c *LookupCall) ([]value.Value, error) {
	terms, err := c.TextTerms()
	if err != nil {
		return nil, err
	}
	var out []value.Value
	for _, term := range terms {
		key, err := c.iniTerm(term)
		if err != nil {
			return nil, err
		}
		values, err := c.iniValues(key)
		if err != nil {
			return nil, err
		}
		out = append(out, values...)
	}
	return out, nil
}

// iniTerm takes options from a term like "user section=a file=b.ini": a word that begins
// with an option's name starts it, other words belong to what came before.
func (c *LookupCall) iniTerm(term string) (string, error) {
	if !strings.Contains(term, "=") && !strings.Contains(strings.TrimSpace(term), " ") {
		return term, nil
	}
	var params []string
	at := map[string]int{}
	this := "key"
	for i, word := range strings.Fields(term) {
		if strings.Contains(word, "=") {
			for _, o := range c.def.Options {
				if strings.Contains(word, o.Name+"=") {
					this = o.Name
				}
			}
		}
		if n, ok := at[this]; ok && i > 0 {
			params[n] += " " + word
			continue
		}
		at[this] = len(params)
		params = append(params, word)
	}
	key := ""
	for _, param := range params {
		name, val, isOption := strings.Cut(param, "=")
		if !isOption {
			if key == "" {
				key = param
			}
			continue
		}
		o := c.option(name)
		if o == nil {
			return "", lookupErrorf("%s is not a valid option.", name)
		}
		if err := c.set(o, value.S(val)); err != nil {
			return "", err
		}
	}
	if key == "" {
		return "", optionErrorf("no key to lookup was provided as first term with in string inline options: %s", term)
	}
	return key, nil
}

func (c *LookupCall) iniValues(key string) ([]value.Value, error) {
	name := c.Text("file")
	path, err := c.Site().Find("files", name)
	if err != nil {
		return nil, lookupErrorf("ini: %w", err)
	}
	raw, err := c.Site().readFile(path)
	if err != nil {
		return nil, lookupErrorf("ini: %w", err)
	}
	text, err := decodeText(raw, c.Text("encoding"))
	if err != nil {
		return nil, lookupErrorf("ini: %w", err)
	}
	section := c.Text("section")
	if c.Text("type") == "properties" {
		section = "java_properties"
		text = "[java_properties]\n" + text
	}
	f := newINI()
	f.cased, f.bare, f.interpolate = c.Flag("case_sensitive"), c.Flag("allow_no_value"), c.Flag("interpolation")
	if err := f.parse(text); err != nil {
		return nil, lookupErrorf("ini: %s: %w", name, err)
	}
	s := f.sections[section]
	if s == nil {
		return nil, lookupErrorf("no section '%s' in %s", section, name)
	}
	if c.Flag("re") {
		return f.matching(s, key)
	}
	o, ok, err := f.get(s, key, 0)
	switch {
	case err != nil:
		return nil, lookupErrorf("ini: %s: %w", name, err)
	case ok && o.none: // a key without a value is None, and left out
		return nil, nil
	case ok:
		return []value.Value{value.S(o.text)}, nil
	}
	switch def := c.Option("default").(type) {
	case value.None:
		return nil, nil
	case *value.List:
		return def.Items, nil
	default:
		return []value.Value{def}, nil
	}
}
