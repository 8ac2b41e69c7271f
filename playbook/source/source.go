// Package source reads the YAML that authors write, as Ansible reads it, and keeps the
// place of everything: a [Node] for every key and value, a [Pos] in every [Diagnostic].
//
// The dialect is PyYAML's YAML 1.1 with Ansible's habits: yes/no/on/off booleans, octal
// 0644, base 60, 1_000, dates as strings, .inf, `!vault`, `!unsafe`, merge keys, and a
// warning for a key given twice.
package source

import (
	"orch/playbook/jinja/value"
)

// A Pos is a place in a file an author wrote. The zero Pos is nowhere.
type Pos = value.Origin

// Severity tells a mistake from a remark.
type Severity int

// The severities.
const (
	Error Severity = iota
	Warning
)

// A Diagnostic is one mistake or remark, at its place. It is what every stage reports:
// lower case, no full stop, the value quoted, allowed values listed.
type Diagnostic struct {
	Severity Severity
	Pos      Pos
	// Len is how many characters from Pos are meant; 0 for unknown.
	Len  int
	Msg  string
	Hint string // printed on a line of its own after "hint: "
	// Related are further places, each with its own message ("first given here").
	Related []Diagnostic
}

// Diagnostics collects: no stage stops at its first mistake. It is an error when it
// holds an Error.
type Diagnostics []Diagnostic
