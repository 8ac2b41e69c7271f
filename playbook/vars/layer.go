package vars

import (
	"hash/maphash"
	"strings"

	"orch/playbook/jinja/value"
)

// A key is a variable's name with its hash, so that a layer without the name is skipped
// without hashing again.
type key struct {
	name string
	bit  uint64
}

var hashSeed = maphash.MakeSeed()

func keyHash(s string) uint64 { return maphash.String(hashSeed, s) }

func keyOf(name string) key {
	return key{name: name, bit: 1 << (maphash.String(hashSeed, name) & 63)}
}

// An entry is a variable as one layer sets it.
type entry struct {
	val value.Value // as the author wrote it
	pos *value.Origin
	// static: templating yields the value itself, so it may be shared and handed out.
	static bool
}

// A layer is a set of variables of one level and source, indexed once and never changed.
type layer struct {
	level  Level
	source string // what people call it: a file, a role, "group web"
	mask   uint64 // the bits of all its names
	vars   map[string]entry
	order  []string // the names as they were written
}

func newLayer(level Level, source string, vars *value.Dict) *layer {
	l := &layer{level: level, source: source, vars: make(map[string]entry, vars.Len()), order: make([]string, 0, vars.Len())}
	for k, v := range vars.All() {
		name, ok := k.(value.Str)
		if !ok { // a variable whose name is no string can only be reached through `vars`
			continue
		}
		pos := name.From
		if pos == nil {
			pos = originOf(v)
		}
		l.vars[name.S] = entry{val: v, pos: pos, static: isStatic(v)}
		l.order = append(l.order, name.S)
		l.mask |= keyOf(name.S).bit
	}
	return l
}

func (l *layer) get(k key) (entry, bool) {
	if l == nil || l.mask&k.bit == 0 {
		return entry{}, false
	}
	e, ok := l.vars[k.name]
	return e, ok
}

func (l *layer) eachName(add func(string)) {
	if l != nil {
		for _, name := range l.order {
			add(name)
		}
	}
}

// A stack is layers of neighbouring levels under one index, for what many tasks share
// and would otherwise walk one by one: the roles of a play.
type stack struct {
	mask uint64
	vars map[string][]hit // lowest first
	// layers are those it was made of, lowest first.
	layers []*layer
}

// A hit is one layer that sets a name.
type hit struct {
	entry
	level  Level
	source string
}

func newStack(layers []*layer) *stack {
	s := &stack{vars: map[string][]hit{}, layers: layers}
	for _, l := range layers {
		s.mask |= l.mask
		for name, e := range l.vars {
			s.vars[name] = append(s.vars[name], hit{entry: e, level: l.level, source: l.source})
		}
	}
	return s
}

func (s *stack) get(k key) []hit {
	if s == nil || s.mask&k.bit == 0 {
		return nil
	}
	return s.vars[k.name]
}

func (s *stack) eachName(add func(string)) {
	if s != nil {
		for _, l := range s.layers {
			l.eachName(add)
		}
	}
}

// isStatic says whether templating v yields v itself.
func isStatic(v value.Value) bool {
	switch v := v.(type) {
	case value.Str:
		return v.From == nil || !hasMarker(v.S)
	case value.Sealed:
		return false
	case *value.List:
		for _, item := range v.Items {
			if !isStatic(item) {
				return false
			}
		}
	case value.Tuple:
		for _, item := range v {
			if !isStatic(item) {
				return false
			}
		}
	case *value.Dict:
		for _, item := range v.All() {
			if !isStatic(item) {
				return false
			}
		}
	}
	return true
}

// hasMarker says whether s may be a template. Variables always use the default
// delimiters: ansible-core 2.18 applies those of a #jinja2: header to its own text only.
func hasMarker(s string) bool {
	for {
		i := strings.IndexByte(s, '{')
		if i < 0 || i+1 >= len(s) {
			return false
		}
		switch s[i+1] {
		case '{', '%', '#':
			return true
		}
		s = s[i+1:]
	}
}

// originOf is the place of a value that has one, or of the first one in it.
func originOf(v value.Value) *value.Origin {
	switch v := v.(type) {
	case value.Str:
		return v.From
	case value.Sealed:
		return v.From
	case *value.List:
		for _, item := range v.Items {
			if o := originOf(item); o != nil {
				return o
			}
		}
	case *value.Dict:
		for k, item := range v.All() {
			if o := originOf(k); o != nil {
				return o
			}
			if o := originOf(item); o != nil {
				return o
			}
		}
	}
	return nil
}

// Merge is Ansible's hash_behaviour=merge: the entries of high go into low, dicts
// recursively. Neither is changed.
func Merge(low, high *value.Dict) *value.Dict {
	out := value.NewDict(low.Len() + high.Len())
	for k, v := range low.All() {
		_ = out.Set(k, v) // a key of a dict is hashable
	}
	for k, v := range high.All() {
		if old, ok, _ := out.Get(k); ok {
			a, isA := old.(*value.Dict)
			b, isB := v.(*value.Dict)
			if isA && isB {
				v = Merge(a, b)
			}
		}
		_ = out.Set(k, v)
	}
	return out
}
