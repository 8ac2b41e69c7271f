// Package template is Ansible's layer over the template language: its filters, tests
// and lookups, native types, omit, strings an author wrote that are templates
// themselves, sprig under its own namespace, and Go templates for .gotmpl files.
package template

import (
	"context"

	"orch/playbook/jinja"
	"orch/playbook/jinja/value"
)

// A Scope is the variables of one evaluation (task, host, item, attempt) and what
// lookups may ask of the controller. Its Lookup returns variables already templated,
// remembers them for this evaluation, and reports cycles.
type Scope interface {
	jinja.Vars
	// Names lists the names of all variables, sorted.
	Names() []string
	// Raw returns a variable as its author wrote it. Ansible asks for a variable's type
	// before it is templated: a number keeps its type only when it was written as one.
	Raw(name string) (value.Value, bool, error)
	// With opens the scope of another evaluation, with more variables on top of all others.
	With(top ...value.Named) Scope
	// Site is what lookups and some filters need of the controller.
	Site() *Site
}

// A Site is the controller's side of an evaluation. Nil functions mean "not here".
type Site struct {
	// SearchPath are the folders relative file names are looked for in, in order:
	// role, including file, playbook (ansible_search_path). kind is "files",
	// "templates", "vars" or "tasks": the sub-folder tried first in each.
	SearchPath []string
	Basedir    string // the playbook's folder
	// OpenVault decrypts a file or string that is vault text; the plaintext is
	// registered as a secret.
	OpenVault func(text []byte) ([]byte, error)
	// Hosts expands a host pattern (lookup inventory_hostnames).
	Hosts func(pattern string) ([]string, error)
	// Setting is a setting of ansible.cfg by its Ansible name (lookup config), and
	// SettingOrigin where its value is from.
	Setting       func(name string) (value.Value, bool)
	SettingOrigin func(name string) string
	// PluginSetting is an option of a connection, become or other plugin.
	PluginSetting func(kind, plugin, name string) (PluginOption, bool)
	// Secret hears of values that are to be masked: generated passwords.
	Secret func(text string)
	// Check is set in check mode.
	Check bool
	// Warn reports a remark once.
	Warn func(msg string)
}

// A PluginOption is an option of a plugin of Ansible's.
type PluginOption struct {
	Value  value.Value // where no variable sets it
	Origin string      // of Value
	Vars   []string    // the last of them that is set wins
	Typed  func(value.Value) value.Value
}

// A Templater turns what authors wrote into values. *Engine implements it; playbook/vars
// and playbook/run know only this.
type Templater interface {
	// Value evaluates v: strings with an Origin are templates, dicts and lists are
	// walked, anything else is itself.
	Value(ctx context.Context, v value.Value, s Scope) (value.Value, error)
	// Truth evaluates a condition (when, until, that …): a Str with an Origin is an
	// expression, evaluated again where Ansible evaluates twice; other values are
	// judged by their truth. It returns Bool or Unknown.
	Truth(ctx context.Context, cond value.Value, s Scope) (value.Value, error)
	// Expr evaluates a bare expression (debug: var, orch eval).
	Expr(ctx context.Context, expr value.Str, s Scope) (value.Value, error)
	// Lookup runs a lookup, for with_… and loops.
	Lookup(ctx context.Context, name string, terms []value.Value, opts []jinja.NamedArg, s Scope) (value.Value, error)
	// Check parses without evaluating: what the loader reports.
	Check(v value.Value, cond bool) []error
}
