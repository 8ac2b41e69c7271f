package source

import "orch/playbook/jinja/value"

// Kind is what a Node is.
type Kind uint8

// The kinds.
const (
	ScalarNode Kind = iota
	MappingNode
	SequenceNode
)

// String names the kind as messages do.
func (k Kind) String() string {
	switch k {
	case MappingNode:
		return "a mapping"
	case SequenceNode:
		return "a list"
	}
	return "a scalar"
}

// Tags of nodes, resolved as PyYAML resolves them.
const (
	TagStr       = "!!str"
	TagInt       = "!!int"
	TagFloat     = "!!float"
	TagBool      = "!!bool"
	TagNull      = "!!null"
	TagTimestamp = "!!timestamp"
	TagBinary    = "!!binary"
	TagMap       = "!!map"
	TagSeq       = "!!seq"
	TagSet       = "!!set"
	TagOmap      = "!!omap"
	TagPairs     = "!!pairs"
	TagVault     = "!vault"
	TagUnsafe    = "!unsafe"

	tagMerge = "!!merge" // <<
	tagValue = "!!value" // =, which PyYAML resolves and cannot construct
)

// A Node is a value of a YAML document and its place. Aliases are resolved: the node of
// an anchor may be reached by several ways, and is not to be modified.
type Node struct {
	Kind Kind
	Tag  string
	// Quoted is set for scalars in quotes and in block style.
	Quoted bool
	// Text is a scalar's text: for numbers and booleans as the author wrote it.
	Text string
	// At is the place of the first character of a scalar's content, or of the first
	// key or item of a collection.
	At *Pos
	// Items are those of a sequence.
	Items []*Node
	// Entries are those of a mapping, merged ones first, each key once.
	Entries []Entry

	scalar value.Value // of a scalar that is no string
}

// An Entry is a key and its value.
type Entry struct{ Key, Value *Node }

// Pos is the node's place; the zero Pos for nil.
func (n *Node) Pos() Pos {
	if n == nil || n.At == nil {
		return Pos{}
	}
	return *n.At
}

// IsNull reports whether there is nothing: no node, or null.
func (n *Node) IsNull() bool { return n == nil || n.Kind == ScalarNode && n.Tag == TagNull }

// IsStr reports whether n is a string (sealed and unsafe ones are none).
func (n *Node) IsStr() bool { return n != nil && n.Kind == ScalarNode && n.Tag == TagStr }

// Get returns the entry of a string key of a mapping; zero if there is none.
func (n *Node) Get(key string) Entry {
	if n == nil {
		return Entry{}
	}
	for _, e := range n.Entries {
		if e.Key.Text == key && e.Key.Kind == ScalarNode && e.Key.Tag == TagStr {
			return e
		}
	}
	return Entry{}
}

// Describe names what n is, for messages: "a list", "a string", "a number", "nothing".
func (n *Node) Describe() string {
	if n.IsNull() {
		return "nothing"
	}
	if n.Kind != ScalarNode {
		return n.Kind.String()
	}
	switch n.Tag {
	case TagInt, TagFloat:
		return "a number"
	case TagBool:
		return "a boolean"
	case TagTimestamp:
		return "a date"
	case TagVault:
		return "an encrypted string"
	}
	return "a string"
}

// Mode says what the strings of a value are.
type Mode int

// The modes.
const (
	// Author marks strings as written by an author: they may be templates.
	Author Mode = iota
	// Data makes plain strings.
	Data
)

// Value makes the value a node stands for. In mode Author strings, keys included, carry
// their origin; !unsafe strings do not. nil is None.
func (n *Node) Value(mode Mode) value.Value {
	if n == nil {
		return value.None{}
	}
	if n.Tag == TagUnsafe {
		mode = Data
	}
	switch n.Kind {
	case MappingNode:
		return n.dict(mode)
	case SequenceNode:
		return n.list(mode)
	}
	switch n.Tag {
	case TagStr, TagUnsafe:
		if mode == Author {
			return value.Str{S: n.Text, From: n.At}
		}
		return value.S(n.Text)
	case TagVault:
		return value.Sealed{Text: n.Text, From: n.At}
	}
	return n.scalar
}

func (n *Node) dict(mode Mode) value.Value {
	if n.Tag == TagSet {
		items := make([]value.Value, len(n.Entries))
		for i, e := range n.Entries {
			items[i] = e.Key.Value(mode)
		}
		return value.NewList(items...)
	}
	d := value.NewDict(len(n.Entries))
	for _, e := range n.Entries {
		_ = d.Set(e.Key.Value(mode), e.Value.Value(mode)) // Parse refuses keys that cannot be
	}
	return d
}

func (n *Node) list(mode Mode) value.Value {
	items := make([]value.Value, len(n.Items))
	pairs := n.Tag == TagOmap || n.Tag == TagPairs
	for i, item := range n.Items {
		if pairs { // Parse has checked the form
			e := item.Entries[0]
			items[i] = value.Tuple{e.Key.Value(mode), e.Value.Value(mode)}
			continue
		}
		items[i] = item.Value(mode)
	}
	return value.NewList(items...)
}

// Dict makes the dict of a mapping; nil for anything else, and for an empty node.
func (n *Node) Dict(mode Mode) *value.Dict {
	if n == nil {
		return nil
	}
	d, _ := n.Value(mode).(*value.Dict)
	return d
}
