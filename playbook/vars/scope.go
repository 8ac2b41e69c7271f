package vars

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"orch/playbook/jinja/value"
	"orch/playbook/template"
)

// A Scope is the variables of one evaluation. It remembers what it has templated, so a
// variable is evaluated at most once; the next evaluation starts anew, and a lookup in a
// variable runs again. It belongs to one goroutine.
type Scope struct {
	ctx   context.Context
	run   *Run
	play  *Play     // nil in hostvars
	task  *Task     // nil outside a task
	host  *Host     // nil for no host
	state *snapshot // the host's, at the moment the scope was opened
	top   []value.Named
	// files are the layers of vars_files that templating a later entry of vars_files
	// sees; partial marks such a scope, which has nothing between them and extra vars.
	files   []*layer
	partial bool

	// depth counts scopes opened from one another: a variable that renders a template file
	// that uses the variable is a cycle no single scope sees.
	depth int

	layers *hostLayers
	memo   map[string]*memo
	chain  []string // variables being evaluated, outermost first
}

// maxDepth is how deep scopes may be opened from one another.
const maxDepth = 50

type memo struct {
	val  value.Value
	err  error
	done bool
}

// A CycleError says that a variable needs itself.
type CycleError struct {
	Chain []string    // from the variable back to itself
	Text  value.Value // what it is defined as
}

// Error implements error, beginning as ansible-core 2.18 does.
func (e *CycleError) Error() string {
	text := ""
	if s, ok := e.Text.(value.Str); ok {
		text = s.S
	}
	return fmt.Sprintf("recursive loop detected in template string: %s\n%s", text, strings.Join(e.Chain, " → "))
}

// Lookup implements jinja.Vars. A variable whose template uses something undefined is
// itself undefined, and only its use is an error, as in Ansible.
func (s *Scope) Lookup(name string) (value.Value, bool, error) {
	if m := s.memo[name]; m != nil {
		if !m.done {
			return nil, false, s.cycle(name)
		}
		return m.val, m.val != nil, m.err
	}
	e, ok, err := s.find(name)
	if err != nil || !ok {
		return nil, false, err
	}
	if e.static {
		return e.val, true, nil
	}
	if s.depth > maxDepth {
		return nil, false, &CycleError{Chain: []string{name}, Text: e.val}
	}
	if s.memo == nil {
		s.memo = map[string]*memo{}
	}
	m := &memo{}
	s.memo[name] = m
	s.chain = append(s.chain, name)
	m.val, m.err = s.evaluate(name, e)
	s.chain = s.chain[:len(s.chain)-1]
	m.done = true
	return m.val, m.val != nil, m.err
}

func (s *Scope) evaluate(name string, e entry) (value.Value, error) {
	v, err := s.run.opt.Templater.Value(s.ctx, e.val, s)
	if err == nil {
		return v, nil
	}
	if u := template.IsUndefined(err); u != nil {
		return &value.Undefined{Name: name, Hint: undefinedHint(e.val, err)}, nil
	}
	var cycle *CycleError
	if errors.As(err, &cycle) {
		return nil, err
	}
	return nil, &VariableError{Name: name, Pos: e.pos, Err: err}
}

// A VariableError says which variable could not be templated.
type VariableError struct {
	Name string
	Pos  *value.Origin // where it is defined; may be nil
	Err  error
}

// Error implements error.
func (e *VariableError) Error() string {
	if e.Pos == nil {
		return fmt.Sprintf("%v\nwhile templating variable %q", e.Err, e.Name)
	}
	return fmt.Sprintf("%v\nwhile templating variable %q defined at %s:%d:%d", e.Err, e.Name, e.Pos.File, e.Pos.Line, e.Pos.Col)
}

// Unwrap returns the cause.
func (e *VariableError) Unwrap() error { return e.Err }

// Variable names the variable and where it is defined.
func (e *VariableError) Variable() (name string, at *value.Origin) { return e.Name, e.Pos }

// undefinedHint is the message of a variable that is undefined because of another one.
func undefinedHint(raw value.Value, err error) string { return value.String(raw) + ": " + err.Error() }

func (s *Scope) cycle(name string) error {
	from := slices.Index(s.chain, name)
	if from < 0 {
		from = 0
	}
	e, _, _ := s.find(name)
	return &CycleError{Chain: append(slices.Clone(s.chain[from:]), name), Text: e.val}
}

// Raw returns a variable as its author wrote it.
func (s *Scope) Raw(name string) (value.Value, bool, error) {
	e, ok, err := s.find(name)
	return e.val, ok, err
}

// find returns what wins for name, not yet templated.
func (s *Scope) find(name string) (entry, bool, error) {
	var won entry
	found := false
	merge := s.run.opt.HashMerge
	var dicts []*value.Dict // hash_behaviour=merge: highest first
	err := s.walk(name, func(h hit) bool {
		d, isDict := h.val.(*value.Dict)
		if !found {
			won, found = h.entry, true
			if merge && isDict && h.level < Magic {
				dicts = append(dicts, d)
				return true
			}
			return false
		}
		if !isDict {
			return false
		}
		won.static = won.static && h.static
		dicts = append(dicts, d)
		return true
	})
	if len(dicts) > 1 {
		all := dicts[len(dicts)-1]
		for _, d := range slices.Backward(dicts[:len(dicts)-1]) {
			all = Merge(all, d)
		}
		won.val = all
	}
	return won, found, err
}

// walk calls yield for every layer that sets name, the highest first, until it returns
// false. This is the precedence of ansible-core 2.18 (vars/manager.py).
func (s *Scope) walk(name string, yield func(hit) bool) error {
	for i := len(s.top) - 1; i >= 0; i-- {
		if s.top[i].Name == name {
			if !yield(hit{entry{val: s.top[i].Val, static: true}, LoopVars, "this evaluation"}) {
				return nil
			}
			break
		}
	}
	if e, ok := s.magic(name); ok && !yield(hit{e, Magic, "engine"}) {
		return nil
	}
	k := keyOf(name)
	if e, ok := s.run.extra.get(k); ok && !yield(hit{e, ExtraVars, s.run.extra.source}) {
		return nil
	}
	if !s.partial && !s.walkTask(k, yield) {
		return nil
	}
	if more, err := s.walkPlay(k, yield); !more {
		return err
	}
	if more, err := s.walkHost(k, yield); !more {
		return err
	}
	if s.task != nil && s.task.role != nil && !yieldStack(s.task.role.defaults, k, yield) {
		return nil
	}
	if s.play != nil {
		yieldStack(s.play.roles.Load().defaults, k, yield)
	}
	return nil
}

// walkTask covers the levels from include params down to role vars.
func (s *Scope) walkTask(k key, yield func(hit) bool) bool {
	if s.task != nil {
		if e, ok := s.task.parentRoles(k.name); ok && !yield(hit{e, IncludeParams, "engine"}) {
			return false
		}
		if !yieldLayers(s.task.includes, k, yield) {
			return false
		}
		if s.task.role != nil && !yieldStack(s.task.role.params, k, yield) {
			return false
		}
	}
	if s.state != nil {
		if e, ok := s.state.set.get(k); ok && !yield(hit{e, SetFacts, "host " + s.host.Name}) {
			return false
		}
		if e, ok := s.state.included.get(k); ok && !yield(hit{e, IncludeVars, "include_vars"}) {
			return false
		}
	}
	if s.task != nil {
		if !yieldLayers(s.task.own, k, yield) {
			return false
		}
		if s.task.role != nil && !yieldStack(s.task.role.vars, k, yield) {
			return false
		}
	}
	return true
}

// walkPlay covers the play's levels; the roles' exported vars are the highest of them.
func (s *Scope) walkPlay(k key, yield func(hit) bool) (bool, error) {
	if s.play == nil {
		return true, nil
	}
	if !s.partial && !yieldStack(s.play.roles.Load().vars, k, yield) {
		return false, nil
	}
	files := s.files
	if !s.partial {
		var err error
		if files, err = s.play.varsFiles(s); err != nil {
			return false, err
		}
	}
	if !yieldLayers(files, k, yield) {
		return false, nil
	}
	if l := s.play.prompts.Load(); l != nil {
		if e, ok := l.get(k); ok && !yield(hit{e, l.level, l.source}) {
			return false, nil
		}
	}
	if e, ok := s.play.vars.get(k); ok && !yield(hit{e, PlayVars, s.play.vars.source}) {
		return false, nil
	}
	return true, nil
}

// walkHost covers facts, host vars and group vars.
func (s *Scope) walkHost(k key, yield func(hit) bool) (bool, error) {
	if s.host == nil {
		return true, nil
	}
	if e, ok := s.fact(k); ok && !yield(hit{e, Facts, "host " + s.host.Name}) {
		return false, nil
	}
	layers, err := s.hostLayers()
	if err != nil {
		return false, err
	}
	for _, l := range layers.files {
		if e, ok := l.get(k); ok && !yield(hit{e, l.level, l.source}) {
			return false, nil
		}
	}
	if e, ok := layers.magic(s, k.name); ok && !yield(hit{e, InventoryHostVars, "inventory"}) {
		return false, nil
	}
	return yieldLayers(layers.inventory, k, yield), nil
}

// fact covers what is known of a host: ansible_facts, and the facts as variables of
// their own.
func (s *Scope) fact(k key) (entry, bool) {
	if k.name == "ansible_facts" {
		return entry{val: &factsView{set: s.state.facts}, static: true}, true
	}
	if s.run.opt.NoInjectFacts {
		if k.name != "ansible_local" {
			return entry{}, false
		}
		v, ok := s.state.facts.get(k.name)
		if !ok {
			v = value.NewDict(0)
		}
		return entry{val: v, static: true}, true
	}
	v, ok := s.state.facts.injected(k)
	return entry{val: v, static: true}, ok
}

func yieldLayers(layers []*layer, k key, yield func(hit) bool) bool {
	for _, l := range layers {
		if e, ok := l.get(k); ok && !yield(hit{e, l.level, l.source}) {
			return false
		}
	}
	return true
}

func yieldStack(s *stack, k key, yield func(hit) bool) bool {
	for _, h := range slices.Backward(s.get(k)) {
		if !yield(h) {
			return false
		}
	}
	return true
}

func (s *Scope) hostLayers() (*hostLayers, error) {
	if s.layers == nil {
		root := s.run.opt.PlaybookVarsRoot
		same := root == "" || root == "top"
		if l := s.host.layers.Load(); same && l != nil && l.generation == s.run.generation.Load() {
			s.layers = l
			return l, nil
		}
		dir := s.host.play.opt.Basedir
		var search []string
		if s.task != nil {
			search = s.task.site.SearchPath
		}
		l, err := s.run.hostLayers(s.host.Name, dir, search)
		if err != nil {
			return nil, err
		}
		s.layers = l
		if same {
			s.host.layers.Store(l)
		}
	}
	return s.layers, nil
}

// Names implements template.Scope: the names in the order in which Ansible's levels, the
// lowest first, set them.
func (s *Scope) Names() []string {
	seen := map[string]bool{}
	var names []string
	s.eachName(func(name string) {
		if !seen[name] {
			seen[name] = true
			names = append(names, name)
		}
	})
	return names
}

func (s *Scope) eachName(add func(string)) {
	layers := func(list ...*layer) { // highest first
		for _, l := range slices.Backward(list) {
			l.eachName(add)
		}
	}
	task, role := s.task, (*roleLayers)(nil)
	if task == nil {
		task = &Task{}
	}
	if role = task.role; role == nil {
		role = &roleLayers{}
	}
	roles := &playRoles{}
	if s.play != nil {
		roles = s.play.roles.Load()
	}
	roles.defaults.eachName(add)
	role.defaults.eachName(add)
	s.hostNames(add)
	if s.play != nil {
		layers(s.play.prompts.Load(), s.play.vars)
		if files, err := s.play.varsFiles(s); err == nil {
			layers(files...)
		}
	}
	roles.vars.eachName(add)
	role.vars.eachName(add)
	layers(task.own...)
	if s.host != nil {
		s.state.included.names(add)
		s.state.set.names(add)
	}
	role.params.eachName(add)
	layers(task.includes...)
	layers(s.run.extra)
	s.magicNames(add)
	for _, t := range s.top {
		add(t.Name)
	}
}

// hostNames are the names of the inventory and the facts.
func (s *Scope) hostNames(add func(string)) {
	if s.host == nil {
		return
	}
	if l, err := s.hostLayers(); err == nil {
		for _, layer := range slices.Backward(l.inventory) {
			layer.eachName(add)
		}
		l.magicNames(add)
		for _, layer := range slices.Backward(l.files) {
			layer.eachName(add)
		}
	}
	add("ansible_facts")
	s.state.facts.names(!s.run.opt.NoInjectFacts, add)
}

// Site implements template.Scope.
func (s *Scope) Site() *template.Site {
	if s.task != nil {
		return s.task.site
	}
	site := s.run.opt.Site
	play := s.play
	if play == nil {
		play = s.host.play
	}
	site.Basedir = play.opt.Basedir
	site.SearchPath = []string{play.opt.Basedir}
	return &site
}

// With opens a scope for another evaluation of the same task on the same host, with more
// variables on top: a result that is not registered yet, the next attempt, the variables
// of a template file. It sees what the host has learned meanwhile.
func (s *Scope) With(top ...value.Named) template.Scope {
	next := *s
	next.memo, next.chain = nil, nil
	next.depth++
	next.top = slices.Concat(s.top, top)
	if s.host != nil && s.play != nil {
		next.state = s.host.state.cur.Load()
	}
	return &next
}

// Host is the name of the host, "" for none.
func (s *Scope) Host() string {
	if s.host == nil {
		return ""
	}
	return s.host.Name
}

var _ template.Scope = (*Scope)(nil)
