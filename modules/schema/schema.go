// Package schema derives everything there is to say about a module from its struct:
// decoding with Ansible's coercions, validation, suggestions, reference documentation,
// JSON Schema and completion. Exported fields are the arguments, field names become
// snake_case, tags say what a machine needs (orch:"required,enum=a|b,default=x,
// alias=dest|name,secret,path,rest,name=x"), and doc comments, read from the embedded
// source, are the manual.
//
// Messages about arguments are in Ansible's words: playbooks compare them.
package schema

import (
	"embed"
	"fmt"
	"reflect"
	"strings"
	"unicode"

	"orch/modules"
	"orch/playbook/jinja/value"
)

// A World is what a module manages.
type World string

// The worlds.
const (
	Host      World = "host"
	Site      World = "site"
	Cluster   World = "cluster"
	Container World = "container"
)

// A Table is the modules of one world.
type Table struct {
	World   World
	Entries []modules.Entry
	// Source holds the package's Go files, for the doc comments.
	Source embed.FS
	// Uses holds the Go files of other packages whose structs the modules embed.
	Uses []embed.FS
}

// A Spec is a module's description.
type Spec struct {
	modules.Entry
	World World
	Args  []Arg

	sources []embed.FS
	err     error
}

// An Arg is an argument of a module.
type Arg struct {
	Name     string // snake_case
	Aliases  []string
	Type     string // Ansible's word: str, int, float, bool, list, dict, path, raw
	Elements string // of a list
	Required bool
	Secret   bool
	Default  string
	Choices  []string
	// Options are the arguments of a dict, or of each dict in a list; nil for any.
	Options []Arg

	owner string // name of the Go struct the field is declared in
	field string // name of the Go field
	index []int  // of the Go field, through embedded structs
	rest  bool   // takes every argument that has no field of its own
	null  bool   // null is a value of it, not the want of one
	typ   reflect.Type
}

// Describe describes the modules of a table. What is wrong with a struct (an unknown
// tag, a field type that has no meaning) is reported by NewRegistry.
func Describe(table Table) []*Spec {
	specs := make([]*Spec, 0, len(table.Entries))
	for _, e := range table.Entries {
		s := &Spec{Entry: e, World: table.World, sources: append([]embed.FS{table.Source}, table.Uses...)}
		t := reflect.TypeOf(e.New())
		if t.Kind() != reflect.Pointer || t.Elem().Kind() != reflect.Struct {
			s.err = fmt.Errorf("module %s: %s is no pointer to a struct", e.Name, t)
		} else {
			s.Args, s.err = describe(t.Elem())
		}
		if s.err != nil {
			s.err = fmt.Errorf("module %s: %w", e.Name, s.err)
		}
		specs = append(specs, s)
	}
	return specs
}

// Arg returns the argument with that name or alias; nil if there is none.
func (s *Spec) Arg(name string) *Arg { return find(s.Args, name) }

// Rest says whether the module takes arguments of any name (set_fact).
func (s *Spec) Rest() bool { return restOf(s.Args) != nil }

// ArgNames lists the arguments' names for completion, without aliases.
func (s *Spec) ArgNames() []string {
	var names []string
	for _, a := range s.Args {
		if !a.rest && !strings.HasPrefix(a.Name, "_") {
			names = append(names, a.Name)
		}
	}
	return names
}

func find(args []Arg, name string) *Arg {
	for i := range args {
		if a := &args[i]; !a.rest && (a.Name == name || contains(a.Aliases, name)) {
			return a
		}
	}
	return nil
}

func restOf(args []Arg) *Arg {
	for i := range args {
		if args[i].rest {
			return &args[i]
		}
	}
	return nil
}

var (
	modeType  = reflect.TypeFor[modules.Mode]()
	rawType   = reflect.TypeFor[modules.Raw]()
	wholeType = reflect.TypeFor[modules.Whole]()
	valueType = reflect.TypeFor[value.Value]()
	dictType  = reflect.TypeFor[*value.Dict]()
	listType  = reflect.TypeFor[*value.List]()
)

func describe(t reflect.Type) ([]Arg, error) {
	var args []Arg
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Anonymous && f.Type.Kind() == reflect.Struct {
			inner, err := describe(f.Type)
			if err != nil {
				return nil, err
			}
			for _, a := range inner {
				a.index = append([]int{i}, a.index...)
				args = append(args, a)
			}
			continue
		}
		if !f.IsExported() {
			continue
		}
		arg, err := describeField(t, f)
		if err != nil {
			return nil, fmt.Errorf("field %s: %w", f.Name, err)
		}
		arg.index = []int{i}
		args = append(args, arg)
	}
	return args, nil
}

func describeField(t reflect.Type, f reflect.StructField) (Arg, error) {
	a := Arg{Name: snake(f.Name), owner: t.Name(), field: f.Name, typ: f.Type}
	if err := a.parseTag(f.Tag.Get("orch")); err != nil {
		return a, err
	}
	word, elem, opts, err := typeWord(f.Type)
	if err != nil {
		return a, err
	}
	if a.Type == "path" && word == "list" {
		elem = "path"
	}
	if a.Type == "" || word == "list" {
		a.Type = word
	}
	a.Elements, a.Options = elem, opts
	return a, nil
}

func (a *Arg) parseTag(tag string) error {
	if tag == "" {
		return nil
	}
	for part := range strings.SplitSeq(tag, ",") {
		key, val, _ := strings.Cut(part, "=")
		switch key {
		case "required":
			a.Required = true
		case "secret":
			a.Secret = true
		case "path":
			a.Type = "path"
		case "rest":
			a.rest = true
		case "null":
			a.null = true
		case "enum":
			a.Choices = strings.Split(val, "|")
		case "default":
			a.Default = val
		case "alias":
			a.Aliases = strings.Split(val, "|")
		case "name":
			a.Name = val
		default:
			return fmt.Errorf("unknown tag %q", part)
		}
	}
	return nil
}

// typeWord is Ansible's word for a Go type, that of a list's elements, and the arguments
// inside a struct.
func typeWord(t reflect.Type) (word, elem string, opts []Arg, err error) {
	switch t {
	case modeType, rawType, valueType:
		return "raw", "", nil, nil
	case dictType:
		return "dict", "", nil, nil
	case listType:
		return "list", "", nil, nil
	}
	switch t.Kind() {
	case reflect.Pointer:
		return typeWord(t.Elem())
	case reflect.String:
		return "str", "", nil, nil
	case reflect.Bool:
		return "bool", "", nil, nil
	case reflect.Int, reflect.Int64:
		return "int", "", nil, nil
	case reflect.Float64:
		return "float", "", nil, nil
	case reflect.Map:
		if t.Key().Kind() == reflect.String {
			_, _, _, err = typeWord(t.Elem())
			return "dict", "", nil, err
		}
	case reflect.Slice:
		elem, _, opts, err = typeWord(t.Elem())
		return "list", elem, opts, err
	case reflect.Struct:
		opts, err = describe(t)
		return "dict", "", opts, err
	}
	return "", "", nil, fmt.Errorf("type %s has no meaning as an argument", t)
}

// snake turns DaemonReload into daemon_reload and URLUsername into url_username.
func snake(name string) string {
	var b strings.Builder
	rs := []rune(name)
	for i, r := range rs {
		if unicode.IsUpper(r) && i > 0 {
			next := i+1 < len(rs) && unicode.IsLower(rs[i+1])
			if !unicode.IsUpper(rs[i-1]) || next {
				b.WriteByte('_')
			}
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}
