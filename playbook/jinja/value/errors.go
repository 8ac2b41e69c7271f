package value

import "fmt"

// An Error is what Python would have raised: its class decides who may catch it (the
// filter int catches ValueError, a subscript LookupError), its text is Python's.
type Error struct {
	Class string // "TypeError", "ValueError", "KeyError" …
	Msg   string
}

// Error implements error.
func (e *Error) Error() string { return e.Msg }

// Errorf makes an Error of a Python class.
func Errorf(class, format string, args ...any) error {
	return &Error{Class: class, Msg: fmt.Sprintf(format, args...)}
}

func typeErr(format string, args ...any) error { return Errorf("TypeError", format, args...) }

func valueErr(format string, args ...any) error { return Errorf("ValueError", format, args...) }

// An UndefinedError is the use of an undefined value.
type UndefinedError struct{ U *Undefined }

// Error implements error with Jinja's wording.
func (e *UndefinedError) Error() string { return e.U.Message() }

// An UnknownError is returned by operations that answer with a Go type (a bool, a
// length) and therefore cannot answer Unknown. The caller turns it into e.U.
type UnknownError struct{ U Unknown }

// Error implements error.
func (e *UnknownError) Error() string { return e.U.Of + " is not known yet" }

// Message says what is missing, in Jinja's words: "'x' is undefined", "'dict object' has
// no attribute 'x'", "list object has no element 3".
func (u *Undefined) Message() string {
	switch {
	case u.Hint != "":
		return u.Hint
	case u.Owner == nil && u.Key == nil:
		return reprText(u.Name) + " is undefined"
	case u.Key != nil:
		return ownerName(u.Owner) + " has no element " + Repr(u.Key)
	}
	return "'" + ownerName(u.Owner) + "' has no attribute " + reprText(u.Name)
}

func ownerName(v Value) string {
	if v == nil {
		return "object"
	}
	if _, none := v.(None); none {
		return "None"
	}
	if _, markup := v.(Markup); markup {
		return "markupsafe.Markup object"
	}
	return v.Type() + " object"
}

// Missing makes the undefined value of a failed attribute or subscript access.
func Missing(owner, key Value) *Undefined {
	if s, ok := text(key); ok {
		return &Undefined{Name: s, Owner: owner}
	}
	return &Undefined{Name: Repr(key), Owner: owner, Key: key}
}

// IsUnknown says whether v itself is Unknown.
func IsUnknown(v Value) bool {
	_, ok := v.(Unknown)
	return ok
}

// IsUndefined returns v as an undefined value.
func IsUndefined(v Value) (*Undefined, bool) {
	u, ok := v.(*Undefined)
	return u, ok
}

// usable reports the error of an operation that needs v: v is undefined or unknown.
// A lenient undefined value is usable where Jinja's own Undefined is (text, truth,
// iteration, length, equality); the callers that allow it ask for that before.
func usable(v Value) error {
	switch v := v.(type) {
	case *Undefined:
		return &UndefinedError{v}
	case Unknown:
		return &UnknownError{v}
	}
	return nil
}
