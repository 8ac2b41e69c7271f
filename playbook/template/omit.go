package template

import "orch/playbook/jinja/value"

// Omit is the value of the variable omit: an argument that has it is left out, as if its
// author had not written it. It is a type of its own, so that no text can be taken for it.
var Omit value.Value = omit{}

type omit struct{}

// Type implements value.Value: ansible-core 2.18's placeholder is a string.
func (omit) Type() string { return "str" }

// Attr implements value.Object: omit has no attributes.
func (omit) Attr(string) (value.Value, bool, error) { return nil, false, nil }

// Str implements value.Texter: what omit looks like as part of a text.
func (omit) Str() string { return "__omit_place_holder__" }

// Repr implements value.Texter.
func (omit) Repr() string { return "'__omit_place_holder__'" }

// IsOmit says whether v is omit.
func IsOmit(v value.Value) bool {
	_, ok := v.(omit)
	return ok
}

// DropOmit returns v without the entries of dicts whose value is omit, at any depth.
// Items of a list stay, as in ansible-core 2.18; v itself is not changed.
func DropOmit(v value.Value) value.Value { return dropOmit(v, false) }

// dropOmit drops items of lists too if lists is set, as ansible-core 2.19 does.
func dropOmit(v value.Value, lists bool) value.Value {
	if !holdsOmit(v) {
		return v
	}
	switch v := v.(type) {
	case *value.Dict:
		out := value.NewDict(v.Len())
		for k, item := range v.All() {
			if !IsOmit(item) {
				_ = out.Set(k, dropOmit(item, lists)) // a key of a dict is hashable
			}
		}
		return out
	case *value.List:
		items := make([]value.Value, 0, len(v.Items))
		for _, item := range v.Items {
			if !lists || !IsOmit(item) {
				items = append(items, dropOmit(item, lists))
			}
		}
		return value.NewList(items...)
	}
	return v
}

func holdsOmit(v value.Value) bool {
	switch v := v.(type) {
	case omit:
		return true
	case *value.Dict:
		for _, item := range v.All() {
			if holdsOmit(item) {
				return true
			}
		}
	case *value.List:
		for _, item := range v.Items {
			if holdsOmit(item) {
				return true
			}
		}
	}
	return false
}
