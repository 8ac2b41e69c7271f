package value

import "testing"

func TestEndless(t *testing.T) {
	self := NewList(Int(1))
	self.Items = append(self.Items, self, self)
	through := D("k", NewList())
	through.SetStr("k", NewList(Tuple{through}))
	shared, deep := NewList(Int(1)), NewList(Int(1))
	for range 60 {
		shared = NewList(shared, shared)
	}
	for range 100_000 {
		deep = NewList(deep)
	}
	wide := NewList()
	for range 50_000 {
		wide.Items = append(wide.Items, D("a", Int(1)))
	}
	nested := NewList(Int(1))
	for range 100 {
		nested = NewList(nested, Int(1))
	}
	for name, c := range map[string]struct {
		v    Value
		want bool
	}{
		"a list in itself": {self, true}, "a dict in itself": {through, true}, "2^60 items": {shared, true}, "very deep": {deep, true},
		"wide": {wide, false}, "nested": {nested, false}, "a text": {S("x"), false}, "one twice": {NewList(wide, wide), false},
	} {
		if got := Endless(c.v); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
