package inventory

import (
	"os"
	"path/filepath"
	"strings"

	"orch/playbook/jinja/value"
	"orch/playbook/source"
)

// attempts are what ansible-core 2.18 reports of a source that failed. There every kind
// of source tries a file in turn; here the file's name says which it is, so the others
// are asked only for what they would have said.
func (l *loader) attempts(path, kind string, failed source.Diagnostics) []Attempt {
	if kind == "" {
		return nil
	}
	own := Attempt{kind, failed[0]}
	ext := strings.ToLower(filepath.Ext(path))
	text, err := os.ReadFile(path)
	if kind != "yaml" || err != nil || ext != ".yml" && ext != ".yaml" && ext != ".json" {
		return []Attempt{own}
	}
	var out []Attempt
	if ext != ".json" && l.enabled("auto") {
		out = append(out, Attempt{"auto", says(notAuto(path, text, failed[0]))})
	}
	if name, ok := pluginOf(path, text); ok && name != "" {
		own.Why = says("Plugin configuration YAML file, not YAML inventory")
	}
	out = append(out, own)
	if l.enabled("ini") {
		if diags := New().readINI(path, text); len(diags) > 0 {
			out = append(out, Attempt{"ini", diags[0]})
		}
	}
	return out
}

func says(msg string) source.Diagnostic {
	return source.Diagnostic{Msg: msg, Ansible: &source.Ansible{Placeless: true}}
}

// notAuto is why a file is no configuration of a plugin that is there.
func notAuto(path string, text []byte, failed source.Diagnostic) string {
	path = source.Absolute(path)
	switch name, ok := pluginOf(path, text); {
	case ok && (name == "" || known(name)):
		return failed.Msg
	case ok:
		return "inventory config '" + path + "' specifies unknown plugin '" + name + "'"
	}
	return "no root 'plugin' key found, '" + path + "' is not a valid YAML inventory plugin config file"
}

// pluginOf is the plugin a file is for; ok is false if it names none, and the name is
// empty if the file is no YAML.
func pluginOf(path string, text []byte) (name string, ok bool) {
	root, diags := parseYAML(path, text)
	if diags.HasErrors() {
		return "", true
	}
	d, isDict := root.(*value.Dict)
	if !isDict {
		return "", false
	}
	v, ok := d.GetStr("plugin")
	if !ok || !value.Truth(v) {
		return "", false
	}
	return value.String(v), true
}

func known(plugin string) bool {
	switch strings.TrimPrefix(strings.TrimPrefix(plugin, "ansible.builtin."), "ansible.legacy.") {
	case "constructed", "generator":
		return true
	}
	return false
}
