// Package value holds the values of the template language: what a variable can be
// and what an expression yields. The semantics are Python's (the language is Jinja2),
// the representation is Go's: small immutable values and three reference types,
// *List, *Dict and objects.
//
// Two things are not Python's. A [Str] remembers where an author wrote it, so that the
// layer above can tell a template from data that came from a host; any operation on it
// drops that mark. And [Unknown] stands for what a step would have produced had it run:
// whatever is computed from it is Unknown again.
//
// The package knows nothing of templates, Ansible or YAML and imports only the
// standard library.
package value

import "math/big"

// A Value is one of None, Bool, Int, *BigInt, Float, Str, Markup, Bytes, *List, Tuple,
// *Dict, *DictView, *Range, *Iterator, *BoundMethod, *Undefined, Unknown, Sealed or an
// Object. A nil Value is a bug, never a value.
type Value interface {
	// Type is Python's name of the type: "str", "int", "NoneType", "dict" …
	Type() string
}

// None is Python's None.
type None struct{}

// Bool is Python's bool. Unlike in Go it takes part in arithmetic as 0 and 1.
type Bool bool

// Int is a Python int that fits 64 bits; arithmetic that overflows yields *BigInt.
type Int int64

// BigInt is a Python int beyond 64 bits. It is never modified.
type BigInt struct{ V *big.Int }

// Float is Python's float.
type Float float64

// Bytes is Python's bytes.
type Bytes string

// Tuple is Python's tuple. Its items are never modified.
type Tuple []Value

// A Str is Python's str, by code points, stored as UTF-8. Bytes that are no UTF-8 stand
// for themselves (Python's surrogateescape).
type Str struct {
	S string
	// From says where an author wrote this very string; nil for data and for every
	// computed string. Only a string with From may be evaluated as a template.
	From *Origin
	// Text marks the result of a filter whose text is to stay text for the layer above
	// (Ansible's to_json and its like, which would otherwise be read as a literal). The
	// language gives it no meaning; like From it is handed on by a bare reference only.
	Text bool
	// Vaulted marks the text of an encrypted string (Sealed) until it is worked with. The
	// language gives it no meaning either.
	Vaulted bool
}

// Markup is text that needs no HTML escaping (markupsafe.Markup): a str whose operations
// escape what they combine it with.
type Markup string

// An Origin is the place in a file where an author wrote a string. It is shared and
// never modified.
type Origin struct {
	File string
	Line int // from 1
	Col  int // from 1, in characters
	// Block is set for a YAML block scalar: the string's second and later lines stand
	// in the file as they are in the string, indented by Indent characters.
	Block  bool
	Indent int
	// Marks are the points where file and string part company otherwise: escapes, folded
	// and continued lines. Between two of them they run in step. Usually nil.
	Marks []Mark
}

// A Mark says that the character at Offset of a string stands at Line and Col.
type Mark struct{ Offset, Line, Col int32 }

// S makes a string that is data.
func S(s string) Str { return Str{S: s} }

// Sealed is an encrypted string from an author's file (ansible-vault). The holder of
// the password opens it before it is used; the template language never sees one.
type Sealed struct {
	Text string // the whole vault text, header included
	From *Origin
}

// Undefined is what a name, attribute or item that does not exist evaluates to.
// It is a value: attributes of it are undefined again, and only its use is an error.
type Undefined struct {
	Name string // the variable, attribute or item that is missing, as written
	// Owner is what was asked for Name when it is an attribute or item, nil for a variable.
	Owner Value
	// Hint is the whole message where the plain one says too little (undef(hint=…)).
	Hint string
	// Key is the subscript when it was no string (Name is then its repr).
	Key Value
	// Lenient is set when the value may be printed, iterated, tested and compared, as
	// Jinja's own default class allows; otherwise any use is an error.
	Lenient bool
	At      Place // where in a template the missing thing is named
	// Plain is set for what an inline if without else yields: in every environment it is
	// lenient, and asking it for an attribute is an error.
	Plain bool
	// Path is the chain of names up to the missing link, "a.b", where it is one.
	Path string
}

// A Place is a position in a template's source, from 1; the zero Place is unknown.
type Place struct{ Line, Col int }

// Unknown is a value that will be known only after a step has run.
type Unknown struct {
	Of string // what it is, for messages: "result.stdout of task \"build\""
}

// An Object is a value with attributes that is not a plain container: loop, namespace,
// a macro, hostvars, a module imported by a template.
type Object interface {
	Value
	// Attr returns attribute (or item, where the two are one) name; false when missing.
	Attr(name string) (Value, bool, error)
}

// A Mapping is a read-only dict whose values are made on demand, such as hostvars.
// Filters, tests, iteration and `in` treat it as a dict.
type Mapping interface {
	Object
	Len() int
	Keys() []Value
	Get(key Value) (Value, bool, error)
}

// Type names, as Python has them.
func (None) Type() string       { return "NoneType" }
func (Bool) Type() string       { return "bool" }
func (Int) Type() string        { return "int" }
func (*BigInt) Type() string    { return "int" }
func (Float) Type() string      { return "float" }
func (Str) Type() string        { return "str" }
func (Markup) Type() string     { return "Markup" }
func (Bytes) Type() string      { return "bytes" }
func (Tuple) Type() string      { return "tuple" }
func (*List) Type() string      { return "list" }
func (*Dict) Type() string      { return "dict" }
func (*Undefined) Type() string { return "Undefined" }
func (Unknown) Type() string    { return "Unknown" }
func (Sealed) Type() string     { return "str" }

// A List is Python's list.
type List struct{ Items []Value }

// NewList makes a list that owns items.
func NewList(items ...Value) *List { return &List{Items: items} }

// A Named is a keyword argument of a call.
type Named struct {
	Name string
	Val  Value
}
