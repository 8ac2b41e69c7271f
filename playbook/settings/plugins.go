package settings

import (
	"strings"

	"orch/playbook/jinja/value"
)

// A PluginOption is an option of one of Ansible's plugins, as lookup('config') asks for
// it: a setting of the table, or a default, that variables win over.
type PluginOption struct {
	Setting string   // its name in the table; "" when only variables set it
	Default string   // what counts when the setting is empty
	Vars    []string // the last one that is set wins
	Type    Type
}

// pluginOptions are the options by "kind/plugin name" (ansible-core 2.18: the plugins'
// documentation).
var pluginOptions = map[string]PluginOption{
	"connection/ssh host": {Vars: []string{"inventory_hostname", "ansible_host", "ansible_ssh_host"}},
	"connection/ssh host_key_checking": {
		Setting: "HOST_KEY_CHECKING", Vars: []string{"ansible_host_key_checking", "ansible_ssh_host_key_checking"}, Type: Bool,
	},
	"connection/ssh remote_user":          {Setting: "DEFAULT_REMOTE_USER", Vars: []string{"ansible_user", "ansible_ssh_user"}},
	"connection/ssh port":                 {Setting: "DEFAULT_REMOTE_PORT", Vars: []string{"ansible_port", "ansible_ssh_port"}, Type: Int},
	"connection/ssh private_key_file":     {Setting: "DEFAULT_PRIVATE_KEY_FILE", Vars: []string{"ansible_private_key_file", "ansible_ssh_private_key_file"}},
	"connection/ssh ssh_args":             {Setting: "ssh_args", Vars: []string{"ansible_ssh_args"}},
	"connection/ssh ssh_common_args":      {Setting: "ssh_common_args", Vars: []string{"ansible_ssh_common_args"}},
	"connection/ssh ssh_extra_args":       {Setting: "ssh_extra_args", Vars: []string{"ansible_ssh_extra_args"}},
	"connection/ssh ssh_executable":       {Setting: "ssh_executable", Default: "ssh", Vars: []string{"ansible_ssh_executable"}},
	"connection/ssh reconnection_retries": {Setting: "ssh_retries", Vars: []string{"ansible_ssh_retries"}, Type: Int},
	"connection/ssh timeout":              {Setting: "ssh_timeout", Default: "10", Vars: []string{"ansible_ssh_timeout"}, Type: Int},
	"connection/ssh pipelining":           {Setting: "ssh_pipelining", Default: "false", Vars: []string{"ansible_pipelining", "ansible_ssh_pipelining"}, Type: Bool},
	"connection/ssh ssh_transfer_method":  {Setting: "ssh_transfer_method", Default: "smart", Vars: []string{"ansible_ssh_transfer_method"}},
	"connection/ssh use_tty":              {Setting: "ssh_use_tty", Default: "true", Vars: []string{"ansible_ssh_use_tty"}, Type: Bool},
	"connection/ssh control_path":         {Setting: "ssh_control_path", Vars: []string{"ansible_control_path"}},
	"connection/ssh control_path_dir":     {Setting: "ssh_control_path_dir", Default: "~/.ansible/cp", Vars: []string{"ansible_control_path_dir"}},
	"connection/local pipelining":         {Setting: "ANSIBLE_PIPELINING", Default: "false", Vars: []string{"ansible_pipelining"}, Type: Bool},
	"shell/sh remote_tmp":                 {Setting: "remote_tmp", Vars: []string{"ansible_remote_tmp"}},
	"shell/sh async_dir":                  {Setting: "async_dir", Vars: []string{"ansible_async_dir"}},
	"become/sudo become_user":             {Setting: "DEFAULT_BECOME_USER", Vars: []string{"ansible_become_user", "ansible_sudo_user"}},
	"become/sudo become_exe":              {Setting: "sudo_exe", Vars: []string{"ansible_become_exe", "ansible_sudo_exe"}},
	"become/sudo become_flags":            {Setting: "sudo_flags", Vars: []string{"ansible_become_flags", "ansible_sudo_flags"}},
	"become/su become_user":               {Setting: "DEFAULT_BECOME_USER", Vars: []string{"ansible_become_user", "ansible_su_user"}},
	"become/su become_exe":                {Setting: "DEFAULT_BECOME_EXE", Default: "su", Vars: []string{"ansible_become_exe", "ansible_su_exe"}},
	"become/su become_flags":              {Setting: "su_flags", Vars: []string{"ansible_become_flags", "ansible_su_flags"}},
}

// Plugin returns an option of a plugin, with the value it has where no variable sets it.
func (s *Settings) Plugin(kind, plugin, name string) (opt PluginOption, v value.Value, origin string, ok bool) {
	opt, ok = pluginOptions[kind+"/"+strings.TrimPrefix(plugin, "ansible.builtin.")+" "+name]
	if !ok {
		return opt, nil, "", false
	}
	text, origin := opt.Default, "default"
	if set := s.Get(opt.Setting); set.Text != "" {
		text, origin = set.Text, set.Origin
	}
	return opt, opt.Typed(value.S(text)), origin, true
}

// Typed gives a text the type of the option; what is no such text stays as it is.
func (o PluginOption) Typed(v value.Value) value.Value {
	s, ok := v.(value.Str)
	switch {
	case !ok:
	case s.S == "":
		return value.None{}
	case o.Type == Int:
		if n, err := value.ToInt(s); err == nil {
			return n
		}
	case o.Type == Bool:
		if b, ok := parseBool(s.S); ok {
			return value.Bool(b)
		}
	}
	return v
}
