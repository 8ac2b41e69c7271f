// Package pyyaml writes YAML byte for byte as PyYAML's safe dumper does with libyaml
// beneath it, the form that Ansible's to_yaml and its inventories have: which strings
// are quoted and how, where long ones are folded, what is written in flow style, the
// order of keys.
//
// One difference is deliberate: a list or dict that occurs twice is written twice, never
// as an anchor and an alias. PyYAML decides by identity of objects, which templating in
// Ansible almost never keeps and here almost always does.
package pyyaml

import (
	"encoding/base64"
	"math"
	"slices"
	"strings"

	"orch/playbook/jinja/value"
)

// Flow says when collections are written in flow style, `[a, b]`.
type Flow int

// The choices of default_flow_style.
const (
	FlowLeaves Flow = iota // None: collections that hold nothing but plain scalars
	FlowNever              // False
	FlowAlways             // True
)

// Options are those of yaml.dump; the zero value is its defaults but for sort_keys.
type Options struct {
	Flow     Flow
	SortKeys bool
	// Indent is the width of a level, 2 to 9; anything else is 2.
	Indent int
	// Width is where long scalars and flow collections are broken: 0 is 80, a negative
	// one never.
	Width int
	// ASCII escapes everything beyond ASCII (allow_unicode=False).
	ASCII bool
	// Style is the style of every scalar: 0, '\'', '"', '|' or '>'.
	Style byte
	// Start and End write the document's markers, "---" and "...".
	Start, End bool
	// Break ends lines: "\n" unless set.
	Break string
	// Scalar, if set, gives each string the text and the style it is written in.
	Scalar func(text string) (string, byte)
	// Represent, if set, replaces what has no form of its own; false means it has none.
	Represent func(v value.Value) (value.Value, bool)
}

// Marshal writes v as one document.
func Marshal(v value.Value, o Options) (string, error) {
	r := &representer{o: o}
	n, err := r.represent(v, 0)
	if err != nil {
		return "", err
	}
	e := newEmitter(o)
	e.document(n)
	return string(e.out), nil
}

// A node is a value as YAML has it.
type node struct {
	kind  nodeKind
	text  string // of a scalar
	style byte   // of a scalar: 0 is plain if possible
	// plain is set when the text, unquoted, would be read back as the value.
	plain bool
	// quoted is set when quotes alone tell the type: a str.
	quoted bool
	tag    string
	flow   bool
	items  []*node // of a sequence; keys and values in turn of a mapping
}

type nodeKind int

const (
	scalarNode nodeKind = iota
	sequenceNode
	mappingNode
)

// maxDepth ends the writing of a container that holds itself.
const maxDepth = 500

// A Plain is text that is written without quotes where its characters allow it: what
// Options.Represent returns for values of other types, such as dates.
type Plain string

// Type implements value.Value.
func (Plain) Type() string { return "plain" }

// maxNodes bounds the size of a document.
const maxNodes = 1 << 21

type representer struct {
	o     Options
	nodes int
}

func (r *representer) scalar(text string) *node {
	n := &node{text: text, style: r.o.Style}
	n.plain = true
	return n
}

func (r *representer) str(text string) *node {
	style := r.o.Style
	if r.o.Scalar != nil {
		text, style = r.o.Scalar(text)
	}
	n := r.scalar(text)
	n.style = style
	n.plain, n.quoted = !resolvesOtherwise(text), true
	return n
}

func (r *representer) represent(v value.Value, depth int) (*node, error) {
	if depth > maxDepth {
		return nil, value.Errorf("RecursionError", "maximum recursion depth exceeded")
	}
	if r.nodes++; r.nodes > maxNodes {
		return nil, value.Errorf("MemoryError", "the document would hold more than %d values", maxNodes)
	}
	switch v := v.(type) {
	case value.None:
		return r.scalar("null"), nil
	case value.Bool:
		if v {
			return r.scalar("true"), nil
		}
		return r.scalar("false"), nil
	case value.Int, *value.BigInt:
		return r.scalar(value.Repr(v)), nil
	case value.Float:
		return r.scalar(float(float64(v))), nil
	case value.Str:
		return r.str(v.S), nil
	case value.Markup:
		return r.str(string(v)), nil
	case Plain:
		return r.scalar(string(v)), nil
	case value.Bytes:
		return &node{text: base64Lines(string(v)), style: '|', tag: "!!binary"}, nil
	case value.Sealed:
		return &node{text: v.Text, style: '|', tag: "!vault"}, nil
	case value.Tuple:
		return r.sequence(v, depth)
	case *value.List:
		return r.sequence(v.Items, depth)
	case *value.Dict:
		return r.mapping(v, depth)
	case value.Mapping:
		return r.mapping(v, depth)
	case *value.Undefined:
		return nil, &value.UndefinedError{U: v}
	case value.Unknown:
		return nil, &value.UnknownError{U: v}
	}
	if r.o.Represent != nil {
		if w, ok := r.o.Represent(v); ok {
			return r.represent(w, depth+1)
		}
	}
	return nil, value.Errorf("RepresenterError", "('cannot represent an object', %s)", value.Repr(v))
}

// float is the representation of a float: its repr, with a dot that YAML 1.1 insists on.
func float(f float64) string {
	switch {
	case math.IsNaN(f):
		return ".nan"
	case math.IsInf(f, 1):
		return ".inf"
	case math.IsInf(f, -1):
		return "-.inf"
	}
	s := value.Repr(value.Float(f))
	if mantissa, exponent, ok := strings.Cut(s, "e"); ok && !strings.Contains(mantissa, ".") {
		s = mantissa + ".0e" + exponent
	}
	return s
}

func base64Lines(s string) string {
	var b strings.Builder
	for len(s) > 0 { // 57 bytes make a line of 76 characters
		n := min(len(s), 57)
		b.WriteString(base64.StdEncoding.EncodeToString([]byte(s[:n])))
		b.WriteByte('\n')
		s = s[n:]
	}
	return b.String()
}

// leaf says whether n lets the collection around it be written in flow style.
func (n *node) leaf() bool { return n.kind == scalarNode && n.style == 0 }

func (r *representer) sequence(items []value.Value, depth int) (*node, error) {
	n := &node{kind: sequenceNode, flow: r.o.Flow != FlowNever}
	for _, item := range items {
		child, err := r.represent(item, depth+1)
		if err != nil {
			return nil, err
		}
		n.add(child, r.o.Flow)
	}
	return n, nil
}

func (n *node) add(child *node, f Flow) {
	n.items = append(n.items, child)
	if f == FlowLeaves && !child.leaf() {
		n.flow = false
	}
}

func (r *representer) mapping(d value.Value, depth int) (*node, error) {
	m := d.(interface {
		Keys() []value.Value
		Get(key value.Value) (value.Value, bool, error)
	})
	keys := m.Keys()
	if r.o.SortKeys {
		// Keys that have no order among themselves stay as they are.
		if sorted, err := value.Sorted(keys, false); err == nil {
			keys = sorted
		}
	}
	n := &node{kind: mappingNode, flow: r.o.Flow != FlowNever}
	for _, k := range keys {
		val, _, err := m.Get(k)
		if err != nil {
			return nil, err
		}
		for _, part := range []value.Value{k, val} {
			child, err := r.represent(part, depth+1)
			if err != nil {
				return nil, err
			}
			n.add(child, r.o.Flow)
		}
	}
	return n, nil
}

func oneOf(s string, words ...string) bool { return slices.Contains(words, s) }
