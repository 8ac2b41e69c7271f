package jinja

import "orch/playbook/jinja/value"

// A Namespace is what namespace() makes: the only object whose attributes a template can
// set.
type Namespace struct{ attrs *value.Dict }

// NewNamespace makes a namespace with the entries of a dict (nil for none) and the
// keyword arguments, as dict() takes them.
func NewNamespace(attrs *value.Dict) *Namespace {
	if attrs == nil {
		attrs = value.NewDict(0)
	}
	return &Namespace{attrs}
}

// Type implements value.Value.
func (*Namespace) Type() string { return "Namespace" }

// Attr implements value.Object.
func (n *Namespace) Attr(name string) (value.Value, bool, error) {
	v, ok := n.attrs.GetStr(name)
	return v, ok, nil
}

// Set sets an attribute.
func (n *Namespace) Set(name string, v value.Value) { n.attrs.SetStr(name, v) }

// Str implements value.Texter.
func (n *Namespace) Str() string { return n.Repr() }

// Repr implements value.Texter.
func (n *Namespace) Repr() string { return "<Namespace " + value.Repr(n.attrs) + ">" }
