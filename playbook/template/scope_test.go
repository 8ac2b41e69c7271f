package template_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"orch/playbook/jinja/value"
	"orch/playbook/source"
	"orch/playbook/template"
)

// A testScope is the variables of a test: authored ones and data.
type testScope struct {
	vars, data *value.Dict
	top        []value.Named
	engine     *template.Engine
	site       *template.Site
	busy       map[string]bool
}

var errCycle = errors.New("recursive loop detected in template string")

func (s *testScope) Lookup(name string) (value.Value, bool, error) {
	raw, ok, err := s.Raw(name)
	if err != nil || !ok {
		return nil, false, err
	}
	if name == "vars" {
		return raw, true, nil
	}
	if s.busy[name] {
		return nil, false, errCycle
	}
	if s.busy == nil {
		s.busy = map[string]bool{}
	}
	s.busy[name] = true
	defer delete(s.busy, name)
	v, err := s.engine.Value(context.Background(), raw, s)
	if u := template.IsUndefined(err); u != nil {
		return &value.Undefined{Name: name, Hint: fmt.Sprintf("%s: %s", value.String(raw), err)}, true, nil
	}
	return v, err == nil, err
}

func (s *testScope) Raw(name string) (value.Value, bool, error) {
	for _, t := range slices.Backward(s.top) {
		if t.Name == name {
			return t.Val, true, nil
		}
	}
	switch name {
	case "omit":
		return template.Omit, true, nil
	case "inventory_hostname":
		return value.S("host1"), true, nil
	case "vars":
		return s.vars, true, nil
	}
	for _, d := range []*value.Dict{s.data, s.vars} {
		if d == nil {
			continue
		}
		if v, ok := d.GetStr(name); ok {
			return v, true, nil
		}
	}
	return nil, false, nil
}

func (s *testScope) Names() []string {
	var names []string
	for _, d := range []*value.Dict{s.data, s.vars} {
		if d != nil {
			for k := range d.All() {
				names = append(names, value.String(k))
			}
		}
	}
	slices.Sort(names)
	return names
}

func (s *testScope) Site() *template.Site { return s.site }

func (s *testScope) With(top ...value.Named) template.Scope {
	next := *s
	next.top, next.busy = slices.Concat(s.top, top), nil
	return &next
}

func site(dir string) *template.Site {
	return &template.Site{
		SearchPath: []string{dir}, Basedir: dir,
		Setting: func(name string) (value.Value, bool) {
			if name == "DEFAULT_ROLES_PATH" {
				return value.NewList(value.S("roles")), true
			}
			return nil, false
		},
	}
}

func newEngine(t *testing.T, o template.Options) *template.Engine {
	t.Helper()
	e, err := template.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// author reads YAML as an author's.
func author(t *testing.T, text string) value.Value {
	t.Helper()
	node, diags := source.ParseOne("test.yml", []byte(text))
	if err := diags.Err(); err != nil {
		t.Fatal(err)
	}
	return node.Value(source.Author)
}
