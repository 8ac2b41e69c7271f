package value

import (
	"fmt"
	"math"
	"math/big"
)

// A Dict is Python's dict: it keeps insertion order, and keys that are equal in Python
// (1, 1.0 and True) are one key.
type Dict struct {
	keys  []Value
	vals  []Value
	index map[hashKey]int // nil while there are at most smallDict string keys
	holes int             // deleted entries not yet compacted: their key is nil
}

// smallDict is the size up to which a linear search beats a map.
const smallDict = 16

// A hashKey is a Go value that is equal for two keys exactly when they are equal in Python.
type hashKey struct {
	kind byte
	num  int64
	text string
}

// NewDict makes an empty dict with room for n entries.
func NewDict(n int) *Dict {
	return &Dict{keys: make([]Value, 0, n), vals: make([]Value, 0, n)}
}

// D makes a dict of string keys from alternating names and values, for tests and results.
func D(pairs ...any) *Dict {
	d := NewDict(len(pairs) / 2)
	for i := 0; i+1 < len(pairs); i += 2 {
		d.SetStr(pairs[i].(string), pairs[i+1].(Value))
	}
	return d
}

// Hashable reports an error, in Python's words, for a value that cannot be a key.
func Hashable(v Value) error {
	_, err := hashOf(v)
	return err
}

func hashOf(v Value) (hashKey, error) { return hashAt(v, 0) }

// hashAt is hashOf for what is inside of so many tuples.
func hashAt(v Value, depth int) (hashKey, error) {
	switch v := v.(type) {
	case Str:
		return hashKey{kind: 's', text: v.S}, nil
	case Markup:
		return hashKey{kind: 's', text: string(v)}, nil
	case Int:
		return hashKey{kind: 'i', num: int64(v)}, nil
	case Bool:
		if v {
			return hashKey{kind: 'i', num: 1}, nil
		}
		return hashKey{kind: 'i', num: 0}, nil
	case Float:
		f := float64(v)
		if i := int64(f); f == math.Trunc(f) && float64(i) == f && math.Abs(f) < 1<<63 {
			return hashKey{kind: 'i', num: i}, nil
		}
		if f == math.Trunc(f) && !math.IsInf(f, 0) {
			n, _ := big.NewFloat(f).Int(nil)
			return hashKey{kind: 'b', text: n.String()}, nil
		}
		return hashKey{kind: 'f', num: int64(math.Float64bits(f))}, nil
	case *BigInt:
		return hashKey{kind: 'b', text: v.V.String()}, nil
	case None:
		return hashKey{kind: 'n'}, nil
	case Bytes:
		return hashKey{kind: 'y', text: string(v)}, nil
	case Tuple:
		if depth > maxDepth || depth == 1 && Endless(v) {
			return hashKey{}, tooLarge("a tuple that is a key")
		}
		text := make([]byte, 0, 16*len(v))
		for _, item := range v {
			h, err := hashAt(item, depth+1)
			if err != nil {
				return hashKey{}, err
			}
			text = fmt.Appendf(text, "%c%d:%d:%s,", h.kind, h.num, len(h.text), h.text)
		}
		return hashKey{kind: 't', text: string(text)}, nil
	case *Undefined:
		if !v.Lenient {
			return hashKey{}, &UndefinedError{v}
		}
		return hashKey{kind: 'u'}, nil // all lenient undefined values are equal
	case Unknown:
		return hashKey{}, &UnknownError{v}
	case *Range:
		return hashKey{kind: 'r', text: v.String()}, nil
	case Tupled:
		return hashAt(v.Tuple(), depth)
	case *Iterator, *BoundMethod:
		return hashKey{kind: 'o', text: fmt.Sprintf("%p", v)}, nil
	case Object:
		return hashKey{kind: 'o', text: fmt.Sprintf("%p", v)}, nil
	}
	return hashKey{}, typeErr("unhashable type: '%s'", v.Type())
}

// Len is the number of entries.
func (d *Dict) Len() int { return len(d.keys) - d.holes }

func (d *Dict) find(k Value) (int, error) {
	if s, ok := text(k); ok {
		return d.findStr(s), nil
	}
	h, err := hashOf(k)
	if err != nil {
		return -1, err
	}
	if i, ok := d.index[h]; ok { // without an index all keys are strings
		return i, nil
	}
	return -1, nil
}

func (d *Dict) findStr(name string) int {
	if d.index == nil {
		for i, k := range d.keys {
			if s, ok := k.(Str); ok && s.S == name {
				return i
			}
		}
		return -1
	}
	if i, ok := d.index[hashKey{kind: 's', text: name}]; ok {
		return i
	}
	return -1
}

// build makes the index. Dicts of string keys are searched without one while small, so
// a dict that is only read by several goroutines must not be built lazily by a look-up:
// every path that inserts keeps the invariant that a large dict, or one with a key that
// is no string, has its index.
func (d *Dict) build() {
	if d.index != nil {
		return
	}
	index := make(map[hashKey]int, len(d.keys))
	for i, k := range d.keys {
		if k == nil {
			continue
		}
		h, _ := hashOf(k)
		index[h] = i
	}
	d.index = index
}

// Get returns the value of key; false when it is missing. A key that cannot be a key
// (a list) is Python's TypeError.
func (d *Dict) Get(key Value) (Value, bool, error) {
	i, err := d.find(key)
	if err != nil || i < 0 {
		return nil, false, err
	}
	return d.vals[i], true, nil
}

// GetStr returns the value of a string key.
func (d *Dict) GetStr(name string) (Value, bool) {
	if i := d.findStr(name); i >= 0 {
		return d.vals[i], true
	}
	return nil, false
}

// Set inserts or replaces; a replaced entry keeps its place and its key.
func (d *Dict) Set(key, val Value) error {
	i, err := d.find(key)
	if err != nil {
		return err
	}
	if i >= 0 {
		d.vals[i] = val
		return nil
	}
	d.insert(key, val)
	return nil
}

// SetStr is Set for a string key that is data.
func (d *Dict) SetStr(name string, val Value) {
	if i := d.findStr(name); i >= 0 {
		d.vals[i] = val
		return
	}
	d.insert(S(name), val)
}

func (d *Dict) insert(key, val Value) {
	d.keys = append(d.keys, key)
	d.vals = append(d.vals, val)
	if d.index != nil {
		h, _ := hashOf(key)
		d.index[h] = len(d.keys) - 1
		return
	}
	if _, text := key.(Str); !text || len(d.keys) > smallDict {
		d.build()
	}
}

// Delete removes key and says whether it was there.
func (d *Dict) Delete(key Value) (bool, error) {
	i, err := d.find(key)
	if err != nil || i < 0 {
		return false, err
	}
	if d.index != nil {
		h, _ := hashOf(key)
		delete(d.index, h)
	}
	d.keys[i], d.vals[i] = nil, nil
	d.holes++
	if d.holes > len(d.keys)/2 {
		d.compact()
	}
	return true, nil
}

func (d *Dict) compact() {
	n := 0
	for i, k := range d.keys {
		if k == nil {
			continue
		}
		d.keys[n], d.vals[n] = k, d.vals[i]
		n++
	}
	clear(d.keys[n:])
	clear(d.vals[n:])
	d.keys, d.vals, d.holes = d.keys[:n], d.vals[:n], 0
	if d.index != nil {
		d.index = nil
		d.build()
	}
}

// All ranges over the entries in insertion order. The dict must not be changed meanwhile.
func (d *Dict) All() func(yield func(k, v Value) bool) {
	return func(yield func(k, v Value) bool) {
		for i, k := range d.keys {
			if k != nil && !yield(k, d.vals[i]) {
				return
			}
		}
	}
}

// Keys returns the keys in insertion order, in a new slice.
func (d *Dict) Keys() []Value {
	keys := make([]Value, 0, d.Len())
	for k := range d.All() {
		keys = append(keys, k)
	}
	return keys
}
