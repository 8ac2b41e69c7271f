package template

import (
	"fmt"
	"os"
	"strings"

	"orch/playbook/jinja/value"
	"orch/playbook/template/filter"
)

// The lookups that ask the controller and the variables.
var miscLookups = map[string]Lookup{
	"env":                 {Run: runEnv, Options: []Option{{Name: "default", Default: value.S(""), Doc: "what to return when there is nothing"}}, Doc: "Returns environment variables of the controller."},
	"vars":                {Run: runVars, Options: []Option{{Name: "default", Doc: "what to return when there is nothing"}}, Doc: "Returns variables by name, templated."},
	"varnames":            {Run: runVarnames, Doc: "Returns the names of variables that match regular expressions."},
	"inventory_hostnames": {Run: runHostnames, Doc: "Returns the hosts of the inventory that match a pattern."},
	"config": {Run: runConfig, Options: []Option{
		{Name: "on_missing", Kind: "str", Default: value.S("error"), Choices: []string{"error", "warn", "skip"}, Doc: "what to do about a setting there is not"},
		{Name: "plugin_type", Kind: "str", Choices: []string{
			"become", "cache", "callback", "cliconf", "connection", "httpapi", "inventory", "lookup", "netconf", "shell", "vars",
		}, Doc: "the kind of plugin whose option is meant"},
		{Name: "plugin_name", Kind: "str", Doc: "the plugin whose option is meant"},
		{Name: "show_origin", Kind: "bool", Default: value.Bool(false), Doc: "return pairs of value and origin"},
	}, Doc: "Returns settings of ansible.cfg."},
	"url":                             {Run: runURL, Options: urlOptions, Doc: "Returns the contents of URLs, as lines unless split_lines is off."},
	"password":                        {Run: runPassword, Options: passwordOptions, Doc: "Returns a password kept in a file, generated when the file does not exist."},
	"community.general.random_string": {Run: runRandomString, Options: randomStringOptions, Doc: "Returns a random string."},
}

// builtinLookups are all lookups orch has, by name: Ansible's own by their short names.
var builtinLookups = func() map[string]Lookup {
	all := map[string]Lookup{}
	for _, some := range []map[string]Lookup{listLookups, fileLookups, miscLookups} {
		for name, l := range some {
			all[name] = l
		}
	}
	all["community.general.flattened"] = all["flattened"]
	delete(all, "flattened")
	return all
}()

func runEnv(c *LookupCall) ([]value.Value, error) {
	terms, err := c.TextTerms()
	if err != nil {
		return nil, err
	}
	var out []value.Value
	for _, term := range terms {
		fields := strings.Fields(term)
		if len(fields) == 0 {
			return nil, lookupErrorf("env: the name of the variable is empty")
		}
		if text, ok := os.LookupEnv(fields[0]); ok {
			out = append(out, value.S(text))
			continue
		}
		def := c.Option("default")
		if u, ok := def.(*value.Undefined); ok {
			missing := *u
			missing.Hint = fmt.Sprintf("The \"env\" lookup, found an undefined variable: %s", fields[0])
			return nil, &value.UndefinedError{U: &missing}
		}
		out = append(out, def)
	}
	return out, nil
}

func runVars(c *LookupCall) ([]value.Value, error) {
	terms, err := c.TextTerms()
	if err != nil {
		return nil, err
	}
	var out []value.Value
	for _, name := range terms {
		v, ok, err := c.scope.Lookup(name)
		if err != nil {
			return nil, err
		}
		u, undefined := v.(*value.Undefined)
		switch {
		case ok && !undefined:
			out = append(out, v)
		case c.Option("default") != nil:
			out = append(out, c.Option("default"))
		case undefined:
			return nil, &value.UndefinedError{U: u}
		default:
			return nil, &value.UndefinedError{U: &value.Undefined{Name: name, Hint: "No variable found with this name: " + name}}
		}
	}
	return out, nil
}

func runVarnames(c *LookupCall) ([]value.Value, error) {
	var out []value.Value
	names := c.scope.Names()
	for _, t := range c.Terms {
		text, ok := t.(value.Str)
		if !ok {
			return nil, lookupErrorf("Invalid setting identifier, \"%s\" is not a string, it is a <class '%s'>", value.String(t), t.Type())
		}
		term := text.S
		re, err := filter.Regexp(term, 0)
		if err != nil {
			return nil, lookupErrorf("Unable to use \"%s\" as a search parameter: %w", term, err)
		}
		for _, name := range names {
			m, err := re.Search(name)
			if err != nil {
				return nil, lookupErrorf("Unable to use \"%s\" as a search parameter: %w", term, err)
			}
			if m != nil {
				out = append(out, value.S(name))
			}
		}
	}
	return out, nil
}

func runHostnames(c *LookupCall) ([]value.Value, error) {
	var patterns []string
	for _, term := range flattenAll(c.Terms) {
		patterns = append(patterns, value.String(term))
	}
	hosts := c.Site().Hosts
	if hosts == nil {
		return nil, lookupErrorf("inventory_hostnames: there is no inventory here")
	}
	names, err := hosts(strings.Join(patterns, ","))
	if err != nil {
		return nil, nil // ansible-core 2.18: a pattern that selects nothing is an empty list
	}
	out := make([]value.Value, len(names))
	for i, name := range names {
		out[i] = value.S(name)
	}
	return out, nil
}

// pluginOption is an option of a plugin as the host's variables or the settings have it.
func (c *LookupCall) pluginOption(kind, plugin, name string) (value.Value, string, bool, error) {
	opt, ok := c.Site().PluginSetting(kind, plugin, name)
	v, origin := opt.Value, opt.Origin
	for _, variable := range opt.Vars {
		got, set, err := c.scope.Lookup(variable)
		if err != nil {
			return nil, "", false, err
		}
		if set {
			v, origin = opt.Typed(got), "var: "+variable
		}
	}
	return v, origin, ok, nil
}

func runConfig(c *LookupCall) ([]value.Value, error) {
	kind, plugin := c.Text("plugin_type"), c.Text("plugin_name")
	if (kind == "") != (plugin == "") {
		return nil, optionErrorf("Both plugin_type and plugin_name are required, cannot use one without the other")
	}
	site := c.Site()
	var out []value.Value
	for _, term := range c.Terms {
		name, ok := term.(value.Str)
		if !ok {
			return nil, optionErrorf("Invalid setting identifier, \"%s\" is not a string, its a <class '%s'>", value.String(term), term.Type())
		}
		var v value.Value
		var origin string
		found := false
		switch {
		case plugin != "" && site.PluginSetting != nil:
			var err error
			if v, origin, found, err = c.pluginOption(kind, plugin, name.S); err != nil {
				return nil, err
			}
		case plugin == "" && site.Setting != nil:
			if v, found = site.Setting(name.S); found && site.SettingOrigin != nil {
				origin = site.SettingOrigin(name.S)
			}
		}
		switch {
		case found && c.Flag("show_origin"):
			out = append(out, value.Tuple{v, value.S(origin)})
		case found:
			out = append(out, v)
		case c.Text("on_missing") == "error":
			return nil, lookupErrorf("Unable to find setting %s", name.S)
		case c.Text("on_missing") == "warn":
			site.warn("Skipping, did not find setting " + name.S)
		}
	}
	return out, nil
}
