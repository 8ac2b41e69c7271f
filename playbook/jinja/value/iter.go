package value

import (
	"fmt"
	"iter"
	"unicode/utf8"
)

// An Iterator is a one-shot lazy sequence: Python's iterators and generators, what map
// and select return. It is not safe for concurrent use.
type Iterator struct {
	next func() (Value, bool, error)
	list *List // iterated live, as in Python, when next is nil
	i    int
	done bool
}

// Type implements Value.
func (*Iterator) Type() string { return "generator" }

// NewIterator makes an iterator of a function that returns the next item, false at the
// end. After the end or an error the function is not called again.
func NewIterator(next func() (Value, bool, error)) *Iterator { return &Iterator{next: next} }

// IterateSlice iterates over items, which must not be changed meanwhile.
func IterateSlice(items []Value) *Iterator { return &Iterator{list: &List{Items: items}} }

// Next returns the next item; false at the end.
func (it *Iterator) Next() (Value, bool, error) {
	if it.done {
		return nil, false, nil
	}
	if it.next == nil {
		if it.i < len(it.list.Items) {
			it.i++
			return it.list.Items[it.i-1], true, nil
		}
		it.done = true
		return nil, false, nil
	}
	v, ok, err := it.next()
	if !ok || err != nil {
		it.done, it.next, it.list = true, nil, nil
		return nil, false, err
	}
	return v, true, nil
}

// All ranges over what is left. It stops after the first error.
func (it *Iterator) All() iter.Seq2[Value, error] {
	return func(yield func(Value, error) bool) {
		for {
			v, ok, err := it.Next()
			if err != nil {
				yield(nil, err)
				return
			}
			if !ok || !yield(v, nil) {
				return
			}
		}
	}
}

// Iter is Python's iter(v): a list, tuple, dict (its keys), str (its characters), view,
// range, iterator (itself) or iterable object.
func Iter(v Value) (*Iterator, error) {
	switch v := v.(type) {
	case *List:
		return &Iterator{list: v}, nil
	case Tuple:
		return IterateSlice(v), nil
	case *Dict:
		return v.iterator(ViewKeys), nil
	case *Iterator:
		return v, nil
	case Str:
		return iterText(v.S), nil
	case Markup:
		return iterText(string(v)), nil
	case Bytes:
		return iterBytes(v), nil
	case *Range:
		return v.iterator(), nil
	case *DictView:
		return v.iterator(), nil
	case Tupled:
		return IterateSlice(v.Tuple()), nil
	case Iterable:
		return v.Iterate()
	case Mapping:
		return IterateSlice(v.Keys()), nil
	case *Undefined:
		if v.Lenient {
			return IterateSlice(nil), nil
		}
	}
	if err := usable(v); err != nil {
		return nil, err
	}
	return nil, typeErr("'%s' object is not iterable", v.Type())
}

// Items is Python's list(v) as a slice. For a list or tuple it is the value's own slice:
// the caller must not change it, nor keep it while the list may change.
func Items(v Value) ([]Value, error) {
	switch v := v.(type) {
	case *List:
		return v.Items, nil
	case Tuple:
		return v, nil
	case *Dict:
		return v.Keys(), nil
	}
	it, err := Iter(v)
	if err != nil {
		return nil, err
	}
	items := []Value{}
	for {
		item, ok, err := it.Next()
		if err != nil {
			return nil, err
		}
		if !ok {
			return items, nil
		}
		items = append(items, item)
	}
}

// Len is Python's len(v).
func Len(v Value) (int, error) {
	switch v := v.(type) {
	case *List:
		return len(v.Items), nil
	case Str:
		return utf8.RuneCountInString(v.S), nil
	case *Dict:
		return v.Len(), nil
	case Tuple:
		return len(v), nil
	case Markup:
		return utf8.RuneCountInString(string(v)), nil
	case Bytes:
		return len(v), nil
	case Sized:
		return v.Len(), nil
	case Tupled:
		return len(v.Tuple()), nil
	case *Undefined:
		if v.Lenient {
			return 0, nil
		}
	}
	if err := usable(v); err != nil {
		return 0, err
	}
	return 0, typeErr("object of type '%s' has no len()", v.Type())
}

// iterText yields characters, which are no Markup even of one.
func iterText(s string) *Iterator {
	i := 0
	return NewIterator(func() (Value, bool, error) {
		if i >= len(s) {
			return nil, false, nil
		}
		_, w := utf8.DecodeRuneInString(s[i:])
		c := s[i : i+w]
		i += w
		return S(c), true, nil
	})
}

func iterBytes(b Bytes) *Iterator {
	i := -1
	return NewIterator(func() (Value, bool, error) {
		if i++; i >= len(b) {
			return nil, false, nil
		}
		return Int(b[i]), true, nil
	})
}

// iterator walks the live dict; changing its size meanwhile is Python's RuntimeError.
func (d *Dict) iterator(kind ViewKind) *Iterator {
	i, size := 0, d.Len()
	return NewIterator(func() (Value, bool, error) {
		if d.Len() != size {
			return nil, false, Errorf("RuntimeError", "dictionary changed size during iteration")
		}
		for i < len(d.keys) && d.keys[i] == nil {
			i++
		}
		if i >= len(d.keys) {
			return nil, false, nil
		}
		i++
		return kind.of(d.keys[i-1], d.vals[i-1]), true, nil
	})
}

// A ViewKind says what of a dict a view shows.
type ViewKind string

// The kinds of dict views.
const (
	ViewKeys   ViewKind = "dict_keys"
	ViewValues ViewKind = "dict_values"
	ViewItems  ViewKind = "dict_items"
)

func (k ViewKind) of(key, val Value) Value {
	switch k {
	case ViewKeys:
		return key
	case ViewValues:
		return val
	}
	return Tuple{key, val}
}

// A DictView is what d.keys(), d.values() and d.items() return: a live view.
type DictView struct {
	Kind ViewKind
	Of   interface {
		Value
		Len() int
		Keys() []Value
		Get(key Value) (Value, bool, error)
	}
}

// Type implements Value.
func (v *DictView) Type() string { return string(v.Kind) }

// Len is the number of entries.
func (v *DictView) Len() int { return v.Of.Len() }

// Contains implements `in`.
func (v *DictView) Contains(item Value) (bool, error) {
	switch v.Kind {
	case ViewKeys:
		_, ok, err := v.Of.Get(item)
		return ok, err
	case ViewItems:
		pair, ok := item.(Tuple)
		if !ok || len(pair) != 2 {
			return false, nil
		}
		val, ok, err := v.Of.Get(pair[0])
		if err != nil || !ok {
			return false, err
		}
		return EqualOp(val, pair[1])
	}
	items, err := Items(v)
	if err != nil {
		return false, err
	}
	return containsItem(items, item)
}

// items are what there is without an error, for equality, which has none.
func (v *DictView) items() []Value {
	items, _ := Items(v)
	return items
}

func (v *DictView) iterator() *Iterator {
	if d, ok := v.Of.(*Dict); ok {
		return d.iterator(v.Kind)
	}
	keys, i := v.Of.Keys(), -1
	return NewIterator(func() (Value, bool, error) {
		if i++; i >= len(keys) {
			return nil, false, nil
		}
		if v.Kind == ViewKeys {
			return keys[i], true, nil
		}
		val, ok, err := v.Of.Get(keys[i])
		if err == nil && !ok {
			err = Errorf("KeyError", "%s", Repr(keys[i]))
		}
		if err != nil {
			return nil, false, err
		}
		return v.Kind.of(keys[i], val), true, nil
	})
}

// A Range is Python's range(start, stop, step); Step is never zero.
type Range struct{ Start, Stop, Step int64 }

// Type implements Value.
func (*Range) Type() string { return "range" }

// Len is the number of elements.
func (r *Range) Len() int {
	lo, hi, step := r.Start, r.Stop, r.Step
	if step < 0 {
		lo, hi, step = hi, lo, -step
	}
	if lo >= hi {
		return 0
	}
	return int((uint64(hi)-uint64(lo)-1)/uint64(step)) + 1
}

// At is element i, which must be within the length.
func (r *Range) At(i int) Int { return Int(r.Start + int64(i)*r.Step) }

// Contains implements `in`.
func (r *Range) Contains(item Value) (bool, error) {
	if err := usable(item); err != nil {
		return false, err
	}
	n, ok := number(item)
	if !ok || n.big != nil {
		return false, nil
	}
	x := n.i
	if n.real {
		if x = int64(n.f); float64(x) != n.f {
			return false, nil
		}
	}
	if r.Step > 0 && (x < r.Start || x >= r.Stop) || r.Step < 0 && (x > r.Start || x <= r.Stop) {
		return false, nil
	}
	return (x-r.Start)%r.Step == 0, nil
}

func (r *Range) equal(s *Range) bool {
	n := r.Len()
	return n == s.Len() && (n == 0 || r.Start == s.Start && (n == 1 || r.Step == s.Step))
}

func (r *Range) iterator() *Iterator {
	i, n := -1, r.Len()
	return NewIterator(func() (Value, bool, error) {
		if i++; i >= n {
			return nil, false, nil
		}
		return r.At(i), true, nil
	})
}

func (r *Range) String() string {
	if r.Step == 1 {
		return fmt.Sprintf("range(%d, %d)", r.Start, r.Stop)
	}
	return fmt.Sprintf("range(%d, %d, %d)", r.Start, r.Stop, r.Step)
}

// Contains is Python's item in container. The error is an *UnknownError when the answer
// depends on a value that is not known.
func Contains(container, item Value) (bool, error) {
	if u, ok := item.(*Undefined); ok && !u.Lenient && !isEmptySequence(container) {
		return false, &UndefinedError{u}
	}
	if err := usable(container); err != nil {
		if u, ok := container.(*Undefined); ok && u.Lenient {
			return false, nil
		}
		return false, err
	}
	switch c := container.(type) {
	case *List:
		return containsItem(c.Items, item)
	case Tuple:
		return containsItem(c, item)
	case *Dict:
		return containsKey(c, item)
	case Str, Markup:
		return containsText(c, item)
	case Bytes:
		return containsBytes(c, item)
	case Container:
		return c.Contains(item)
	case Mapping:
		return containsKey(c, item)
	}
	it, err := Iter(container)
	if err != nil {
		return false, typeErr("argument of type '%s' is not iterable", container.Type())
	}
	for {
		v, ok, err := it.Next()
		if err != nil || !ok {
			return false, err
		}
		if eq, err := EqualOp(v, item); err != nil || eq {
			return eq, err
		}
	}
}

// isEmptySequence finds what Python compares an item with nothing of.
func isEmptySequence(v Value) bool {
	switch v := v.(type) {
	case *List:
		return len(v.Items) == 0
	case Tuple:
		return len(v) == 0
	}
	return false
}

func containsKey(d dictLike, item Value) (bool, error) {
	if u, ok := item.(Unknown); ok {
		return false, &UnknownError{u}
	}
	_, ok, err := d.Get(item)
	return ok, err
}

// containsItem finds item even behind unknown ones; only when it is not found does the
// answer depend on them.
func containsItem(items []Value, item Value) (bool, error) {
	c := comparison{}
	for _, v := range items {
		if u, ok := v.(*Undefined); ok && !u.Lenient {
			return false, &UndefinedError{u}
		}
		if c.equal(v, item, 0) {
			return true, nil
		}
		if c.steps > maxWalk {
			return false, tooLarge("a value that is searched")
		}
	}
	if c.unknown != nil {
		return false, &UnknownError{*c.unknown}
	}
	return false, nil
}
