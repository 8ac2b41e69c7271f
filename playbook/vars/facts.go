package vars

import (
	"slices"
	"strings"

	"orch/playbook/jinja/value"
)

// A factSet is a host's facts: each top-level one as the JSON text it came as, decoded
// when asked for. A thousand hosts with a hundred facts each are then a thousand strings
// and one index.
type factSet struct {
	index *factIndex
	facts []fact // by the index's positions
}

// A fact is JSON, or a value JSON cannot hold (Unknown).
type fact struct {
	json string
	val  value.Value
}

type namedFact struct {
	name string
	fact
}

func (f fact) value() value.Value {
	if f.val != nil {
		return f.val
	}
	return decodeJSON(f.json)
}

// A factIndex says where a fact is. Hosts with the same names share one.
type factIndex struct {
	names []string       // as modules return them
	raw   map[string]int // those names
	// short is ansible_facts: without the prefix ansible_, ansible_local excepted.
	short     map[string]int
	shortKeys []value.Value
	// injected are those that also are variables of their own.
	injected map[string]int
	mask     uint64
}

func (r *Run) factIndex(names []string) *factIndex {
	joined := strings.Join(names, "\x00")
	if ix, ok := r.facts.Load(joined); ok {
		return ix.(*factIndex)
	}
	ix := &factIndex{
		names: names, raw: make(map[string]int, len(names)),
		short: make(map[string]int, len(names)), injected: make(map[string]int, len(names)),
	}
	for i, name := range names {
		ix.raw[name] = i
		short := name
		if name != "ansible_local" {
			short = strings.TrimPrefix(name, "ansible_")
		}
		if _, seen := ix.short[short]; !seen {
			ix.shortKeys = append(ix.shortKeys, value.S(short))
		}
		ix.short[short] = i
		if !restrictedFact(name) {
			ix.injected[name] = i
			ix.mask |= keyOf(name).bit
		}
	}
	got, _ := r.facts.LoadOrStore(joined, ix)
	return got.(*factIndex)
}

func (f *factSet) len() int {
	if f == nil {
		return 0
	}
	return len(f.facts)
}

// get returns a fact by its name in ansible_facts.
func (f *factSet) get(short string) (value.Value, bool) {
	if f == nil {
		return nil, false
	}
	i, ok := f.index.short[short]
	if !ok {
		return nil, false
	}
	return f.facts[i].value(), true
}

// injected returns a fact by its name as a variable.
func (f *factSet) injected(k key) (value.Value, bool) {
	if f == nil || f.index.mask&k.bit == 0 {
		return nil, false
	}
	i, ok := f.index.injected[k.name]
	if !ok {
		return nil, false
	}
	if f.facts[i].val != nil {
		return f.facts[i].val, true
	}
	return stripInternal(f.facts[i].value()), true
}

func (f *factSet) with(r *Run, facts *value.Dict) *factSet {
	add := make([]namedFact, 0, facts.Len())
	for k, v := range facts.All() {
		name, ok := k.(value.Str)
		if !ok {
			continue
		}
		n := namedFact{name: name.S}
		if n.json, ok = encodeJSON(v); !ok {
			n.val = data(v)
		}
		add = append(add, n)
	}
	return f.merge(r, add)
}

func (f *factSet) merge(r *Run, add []namedFact) *factSet {
	var names []string
	var facts []fact
	if f != nil {
		names, facts = slices.Clone(f.index.names), slices.Clone(f.facts)
	}
	at := make(map[string]int, len(names)+len(add))
	for i, name := range names {
		at[name] = i
	}
	for _, n := range add {
		i, ok := at[n.name]
		if !ok {
			i = len(names)
			at[n.name] = i
			names, facts = append(names, n.name), append(facts, fact{})
		}
		facts[i] = n.fact
	}
	return &factSet{index: r.factIndex(names), facts: facts}
}

func (f *factSet) json() []byte {
	if f == nil {
		return nil
	}
	out := []byte{'{'}
	for i, fact := range f.facts {
		if fact.val != nil {
			continue
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		name, _ := encodeJSON(value.S(f.index.names[i]))
		out = append(out, name...)
		out = append(out, ':')
		out = append(out, fact.json...)
	}
	return append(out, '}')
}

// restrictedFact names the facts that never become variables, because they would steer
// the connection to the host that sent them (ansible-core 2.18: vars/clean.py).
func restrictedFact(name string) bool {
	switch name {
	case "ansible_connection", "ansible_host", "ansible_user", "ansible_shell_executable", "ansible_port",
		"ansible_pipelining", "ansible_password", "ansible_timeout", "ansible_shell_type",
		"ansible_module_compression", "ansible_private_key_file", "ansible_remote_user",
		"ansible_ssh_host", "ansible_ssh_user", "ansible_ssh_pass", "ansible_ssh_port",
		"ansible_ssh_private_key_file", "ansible_ssh_timeout", "ansible_become", "ansible_become_method",
		"ansible_become_user", "ansible_become_pass", "ansible_become_password", "ansible_become_exe",
		"ansible_become_flags", "ansible_rsync_path", "ansible_playbook_python", "ansible_facts",
		"add_host", "add_group":
		return true
	}
	if !strings.HasPrefix(name, "ansible_") {
		return strings.HasPrefix(name, "_ansible_")
	}
	rest := name[len("ansible_"):]
	if strings.HasPrefix(rest, "ssh_host_key_") {
		return false
	}
	if strings.HasSuffix(rest, "_interpreter") || strings.HasPrefix(rest, "become_") {
		return true
	}
	// Bridges of containers are network devices whose names look like those of options.
	if strings.HasSuffix(rest, "_bridge") || strings.HasSuffix(rest, "_gwbridge") {
		return false
	}
	for _, plugin := range connectionPlugins {
		if strings.HasPrefix(rest, plugin) {
			return true
		}
	}
	return false
}

// connectionPlugins are the prefixes of the connection plugins' variables.
var connectionPlugins = []string{"ssh_", "local_", "paramiko_ssh_", "psrp_", "winrm_", "docker_", "kubectl_"}

// stripInternal removes keys that begin with _ansible_, at any depth.
func stripInternal(v value.Value) value.Value {
	switch v := v.(type) {
	case *value.List:
		for i, item := range v.Items {
			v.Items[i] = stripInternal(item)
		}
	case *value.Dict:
		for _, k := range v.Keys() {
			if s, ok := k.(value.Str); ok && strings.HasPrefix(s.S, "_ansible_") {
				_, _ = v.Delete(k)
				continue
			}
			item, _, _ := v.Get(k)
			_ = v.Set(k, stripInternal(item))
		}
	}
	return v
}

// A factsView is ansible_facts.
type factsView struct {
	set *factSet
	// decoded keeps what this evaluation asked for: a template that walks one fact in a
	// loop decodes it once.
	decoded map[string]value.Value
}

// Type implements value.Value.
func (*factsView) Type() string { return "dict" }

// Len implements value.Mapping.
func (v *factsView) Len() int {
	if v.set == nil {
		return 0
	}
	return len(v.set.index.shortKeys)
}

// Keys implements value.Mapping.
func (v *factsView) Keys() []value.Value {
	if v.set == nil {
		return nil
	}
	return slices.Clone(v.set.index.shortKeys)
}

// Get implements value.Mapping.
func (v *factsView) Get(k value.Value) (value.Value, bool, error) {
	name, ok := k.(value.Str)
	if !ok {
		return nil, false, value.Hashable(k)
	}
	return v.Attr(name.S)
}

// Attr implements value.Object.
func (v *factsView) Attr(name string) (value.Value, bool, error) {
	if got, ok := v.decoded[name]; ok {
		return got, true, nil
	}
	got, ok := v.set.get(name)
	if ok {
		if v.decoded == nil {
			v.decoded = map[string]value.Value{}
		}
		v.decoded[name] = got
	}
	return got, ok, nil
}

func (f *factSet) names(injected bool, add func(string)) {
	if f == nil {
		return
	}
	if !injected {
		add("ansible_local")
		return
	}
	for _, name := range f.index.names {
		if _, ok := f.index.injected[name]; ok {
			add(name)
		}
	}
}
