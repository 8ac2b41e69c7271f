// Package settings knows what a run is configured with, and where each value came from:
// a flag, the environment, ansible.cfg or the default, in this order.
//
// Names, environment variables and file keys are Ansible's. ORCH_X is read before
// ANSIBLE_X for every ANSIBLE_X there is. A setting that Ansible has and orch does not
// act on yet is named in a warning when somebody sets it.
package settings

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"orch/playbook/jinja/value"
	"orch/playbook/source"
)

// Type is a setting's type.
type Type int

// The types. Paths are separated by colons, PathList and List by commas; relative paths
// of a file are relative to that file.
const (
	Str Type = iota
	Bool
	Int
	Float
	List
	Path
	Paths
	PathList
)

// Support says what orch makes of a setting.
type Support int

// The degrees of support.
const (
	Used    Support = iota
	Moot            // nothing here answers to it (Python, plugins' caches): accepted in silence
	Missing         // named in a warning when set
)

// RuleUnsupported is the rule of a warning that names a setting orch does not act on;
// its message ends with Unsupported.
const (
	RuleUnsupported = "setting-unsupported"
	Unsupported     = " is not supported yet and is ignored"
)

// A Setting is an entry of the table.
type Setting struct {
	Name    string   // Ansible's name: "DEFAULT_FORKS"
	Env     []string // "ANSIBLE_FORKS"
	Ini     []string // "defaults.forks"
	Type    Type
	Default string
	Support Support
	Choices []string
}

// A Value is a setting's value and its origin.
type Value struct {
	Text   string
	Origin string // "flag --forks", "environment ORCH_FORKS", "ansible.cfg:3", "default"
	// dir is what relative paths are relative to.
	dir string
}

// Settings are the settings of one run. They are not changed after Load.
type Settings struct {
	// File is the ansible.cfg in use, "" if none.
	File   string
	values map[string]Value
}

// byName indexes the table; by that name settings are asked for.
var byName = func() map[string]*Setting {
	m := make(map[string]*Setting, len(table))
	for i := range table {
		m[table[i].Name] = &table[i]
	}
	return m
}()

// Options say where Load looks.
type Options struct {
	// Flags are the values of command line flags by setting name; Flag names the flag
	// for the origin: "--forks".
	Flags map[string]string
	Flag  map[string]string
	// Env looks up the environment; nil is os.LookupEnv.
	Env func(string) (string, bool)
	// Dir is the folder of the run, "" the working directory.
	Dir string
	// Home is the user's home folder, "" os.UserHomeDir's.
	Home string
}

// Load reads flags, environment and ansible.cfg. Wrong values are errors that name the
// place; settings orch does not support yet are warnings.
func Load(o Options) (*Settings, source.Diagnostics) {
	if o.Env == nil {
		o.Env = os.LookupEnv
	}
	s := &Settings{values: map[string]Value{}}
	var diags source.Diagnostics
	file, found := o.find(&diags)
	var ini map[string]iniValue
	if found {
		s.File = file
		text, err := os.ReadFile(file)
		if err != nil {
			return s, append(diags, source.Diagnostic{Pos: source.Pos{File: file}, Msg: err.Error()})
		}
		ini, diags = parseINI(file, text, diags)
	}
	for i := range table {
		def := &table[i]
		v, ok := o.value(def, ini)
		if !ok {
			s.values[def.Name] = Value{Text: def.Default, Origin: "default", dir: o.Dir}
			continue
		}
		if def.Support == Missing && v.Text != def.Default && !asked(def, v.Text) { // the default asks for nothing
			diags = append(diags, source.Diagnostic{
				Severity: source.Warning, Pos: ini[iniKey(def, ini)].pos,
				Msg: fmt.Sprintf("%s (%s)", def.Name, v.Origin) + Unsupported, Rule: RuleUnsupported,
			})
		}
		if msg := def.check(v.Text); msg != "" {
			diags = append(diags, source.Diagnostic{Msg: fmt.Sprintf("%s: %s", v.Origin, msg)})
			v.Text = def.Default
		}
		s.values[def.Name] = v
	}
	return s, diags
}

// asked says whether a value of a setting asks for what is there anyway: the default
// callback.
func asked(def *Setting, text string) bool {
	return def.Name == "CALLBACKS_ENABLED" && strings.TrimPrefix(strings.TrimSpace(text), "ansible.builtin.") == "default"
}

func iniKey(def *Setting, ini map[string]iniValue) string {
	for _, key := range def.Ini {
		if _, ok := ini[key]; ok {
			return key
		}
	}
	return ""
}

// find returns the ansible.cfg to use: ANSIBLE_CONFIG, ./ansible.cfg, ~/.ansible.cfg,
// /etc/ansible/ansible.cfg.
func (o Options) find(diags *source.Diagnostics) (string, bool) {
	for _, name := range []string{"ORCH_CONFIG", "ANSIBLE_CONFIG"} {
		path, ok := o.Env(name)
		if !ok || path == "" {
			continue
		}
		path = o.expand(path, o.Dir)
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			path = filepath.Join(path, "ansible.cfg")
		}
		if _, err := os.Stat(path); err == nil {
			return path, true
		}
		*diags = append(*diags, source.Diagnostic{
			Severity: source.Warning, Msg: fmt.Sprintf("%s names %q, which is not there", name, path),
		})
	}
	local := filepath.Join(o.Dir, "ansible.cfg")
	if info, err := os.Stat(local); err == nil {
		// ansible-core: a folder anyone can write to may hold anybody's settings.
		dir := o.Dir
		if dir == "" {
			dir = "."
		}
		if d, err := os.Stat(dir); err == nil && d.Mode().Perm()&0o002 != 0 && d.Mode()&os.ModeSticky == 0 {
			*diags = append(*diags, source.Diagnostic{
				Severity: source.Warning,
				Msg:      fmt.Sprintf("ignoring %s: its folder is writable by everybody", local),
				Hint:     "chmod o-w the folder, or name the file in ANSIBLE_CONFIG",
			})
		} else if !info.IsDir() {
			return local, true
		}
	}
	for _, path := range []string{filepath.Join(o.home(), ".ansible.cfg"), "/etc/ansible/ansible.cfg"} {
		if info, err := os.Stat(path); err == nil && !info.IsDir() {
			return path, true
		}
	}
	return "", false
}

func (o Options) value(def *Setting, ini map[string]iniValue) (Value, bool) {
	if v, ok := o.Flags[def.Name]; ok {
		return Value{Text: v, Origin: "flag " + o.Flag[def.Name], dir: o.Dir}, true
	}
	for _, env := range def.Env {
		names := []string{env}
		if rest, ok := strings.CutPrefix(env, "ANSIBLE_"); ok {
			names = []string{"ORCH_" + rest, env}
		}
		for _, name := range names {
			if v, ok := o.Env(name); ok {
				return Value{Text: v, Origin: "environment " + name, dir: o.Dir}, true
			}
		}
	}
	if key := iniKey(def, ini); key != "" {
		v := ini[key]
		return Value{
			Text: v.text, Origin: fmt.Sprintf("%s:%d", v.pos.File, v.pos.Line), dir: filepath.Dir(v.pos.File),
		}, true
	}
	return Value{}, false
}

func (o Options) home() string {
	if o.Home != "" {
		return o.Home
	}
	home, _ := os.UserHomeDir()
	return home
}

// check returns what is wrong with a value, "" if nothing is.
func (def *Setting) check(text string) string {
	switch def.Type {
	case Bool:
		if _, ok := parseBool(text); !ok && text != "" {
			return fmt.Sprintf("%s wants a boolean, not %q", def.Name, text)
		}
	case Int:
		if _, err := strconv.Atoi(strings.TrimSpace(text)); err != nil && text != "" {
			return fmt.Sprintf("%s wants a whole number, not %q", def.Name, text)
		}
	case Float:
		if _, err := strconv.ParseFloat(text, 64); err != nil && text != "" {
			return fmt.Sprintf("%s wants a number, not %q", def.Name, text)
		}
	}
	if len(def.Choices) > 0 && text != "" && !slices.Contains(def.Choices, text) {
		return fmt.Sprintf("%s: unknown value %q, one of %s", def.Name, text, strings.Join(def.Choices, ", "))
	}
	return ""
}

func parseBool(text string) (val, ok bool) {
	switch strings.ToLower(strings.TrimSpace(text)) {
	case "y", "yes", "on", "1", "true", "t", "1.0":
		return true, true
	case "n", "no", "off", "0", "false", "f", "0.0":
		return false, true
	}
	return false, false
}

// Get returns a setting with its origin. An unknown name is a programming mistake and
// yields the zero Value.
func (s *Settings) Get(name string) Value { return s.values[name] }

// Set reports whether somebody set it: it is not the default.
func (s *Settings) Set(name string) bool { return s.values[name].Origin != "default" }

// Str returns a setting as text.
func (s *Settings) Str(name string) string { return s.values[name].Text }

// Bool returns a setting as a boolean.
func (s *Settings) Bool(name string) bool {
	v, _ := parseBool(s.values[name].Text)
	return v
}

// Int returns a setting as a number; 0 for an empty one.
func (s *Settings) Int(name string) int {
	n, _ := strconv.Atoi(strings.TrimSpace(s.values[name].Text))
	return n
}

// List returns the items of a list, or the paths of a path setting.
func (s *Settings) List(name string) []string {
	v := s.values[name]
	def := byName[name]
	if def == nil {
		return nil
	}
	sep := ","
	if def.Type == Paths {
		sep = ":"
	}
	var items []string
	for item := range strings.SplitSeq(v.Text, sep) {
		if item = strings.TrimSpace(item); item == "" {
			continue
		}
		// a name without a slash may also be a name of an inventory; the caller decides
		if def.Type == Paths || def.Type == PathList && strings.ContainsRune(item, '/') {
			item = (Options{}).expand(item, v.dir)
		}
		items = append(items, item)
	}
	return items
}

// Path returns a path setting, ~ and variables expanded, "" if empty.
func (s *Settings) Path(name string) string {
	v := s.values[name]
	if v.Text == "" {
		return ""
	}
	return (Options{}).expand(v.Text, v.dir)
}

func (o Options) expand(path, dir string) string {
	path = os.Expand(path, func(name string) string {
		if name == "ANSIBLE_HOME" {
			return filepath.Join(o.home(), ".ansible")
		}
		return os.Getenv(name)
	})
	if path == "~" || strings.HasPrefix(path, "~/") {
		path = filepath.Join(o.home(), path[1:])
	}
	path = strings.ReplaceAll(path, "{{CWD}}", dir)
	if !filepath.IsAbs(path) && dir != "" {
		path = filepath.Join(dir, path)
	}
	return path
}

// Value returns a setting as a value of the template language (lookup config).
func (s *Settings) Value(name string) (value.Value, bool) {
	def, ok := byName[name]
	if !ok {
		return nil, false
	}
	switch def.Type {
	case Bool:
		return value.Bool(s.Bool(name)), true
	case Int:
		if s.Str(name) == "" {
			return value.None{}, true
		}
		return value.Int(s.Int(name)), true
	case List, Paths, PathList:
		list := value.NewList()
		for _, item := range s.List(name) {
			list.Items = append(list.Items, value.S(item))
		}
		return list, true
	case Path:
		if s.Str(name) == "" {
			return value.None{}, true
		}
		return value.S(s.Path(name)), true
	}
	if s.Str(name) == "" && def.Default == "" {
		return value.None{}, true
	}
	return value.S(s.Str(name)), true
}

// All lists every setting that orch acts on, by name, for a listing.
func (s *Settings) All() []Setting {
	var used []Setting
	for _, def := range table {
		if def.Support == Used {
			used = append(used, def)
		}
	}
	return used
}
