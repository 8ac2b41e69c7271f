// Package source reads the YAML that authors write, as Ansible reads it, and keeps the
// place of everything: a [Node] for every key and value, a [Pos] in every [Diagnostic].
//
// The dialect is PyYAML's YAML 1.1 with Ansible's habits: yes/no/on/off booleans, octal
// 0644, base 60, 1_000, dates, .inf, `!vault`, `!unsafe`, merge keys, and a warning for a
// key given twice. A text that is JSON is read as JSON first, as Ansible's loader does.
package source

import (
	"cmp"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

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

// String is "error" or "warning".
func (s Severity) String() string {
	if s == Warning {
		return "warning"
	}
	return "error"
}

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
	// Rule names the check that found it, for machines: "duplicate-key"; often "".
	Rule string
	// Ansible is how ansible-core reports it; nil: with these words at this place.
	Ansible *Ansible
}

// Ansible is how ansible-core reports a mistake that orch reports otherwise: what is said
// under the name of one of Ansible's programs.
type Ansible struct {
	Msg       string // "": the same words
	Pos       Pos    // the zero Pos: the same place
	Placeless bool   // the words are all
	Code      int    // the exit code; 0: that of a mistake found by the parser
}

// Diagnostics collects: no stage stops at its first mistake. It is an error when it
// holds an Error.
type Diagnostics []Diagnostic

// Absolute is path from the root, or path itself where the working folder is gone.
func Absolute(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}

// Place formats a Pos as file:line:col, leaving out what is unknown.
func Place(p Pos) string {
	switch {
	case p.Line == 0:
		return p.File
	case p.Col == 0:
		return fmt.Sprintf("%s:%d", p.File, p.Line)
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Col)
}

// String is the message on one line, with its place and without the source line.
func (d Diagnostic) String() string {
	var b strings.Builder
	if place := Place(d.Pos); place != "" {
		b.WriteString(place + ": ")
	}
	if d.Severity == Warning {
		b.WriteString("warning: ")
	}
	b.WriteString(d.Msg)
	return b.String()
}

// Error implements error.
func (d Diagnostic) Error() string { return d.String() }

// Error implements error: all messages, one a line.
func (ds Diagnostics) Error() string {
	lines := make([]string, len(ds))
	for i, d := range ds {
		lines[i] = d.String()
		if d.Hint != "" {
			lines[i] += "\nhint: " + d.Hint
		}
	}
	return strings.Join(lines, "\n")
}

// HasErrors reports whether one of them is an Error.
func (ds Diagnostics) HasErrors() bool {
	return slices.ContainsFunc(ds, func(d Diagnostic) bool { return d.Severity == Error })
}

// Err returns ds as an error if it holds an Error, else nil.
func (ds Diagnostics) Err() error {
	if ds.HasErrors() {
		return ds
	}
	return nil
}

// Only returns those of a severity.
func (ds Diagnostics) Only(s Severity) Diagnostics {
	var out Diagnostics
	for _, d := range ds {
		if d.Severity == s {
			out = append(out, d)
		}
	}
	return out
}

// Errorf adds an Error at pos.
func (ds *Diagnostics) Errorf(pos Pos, format string, args ...any) *Diagnostic {
	return ds.add(Diagnostic{Pos: pos, Msg: fmt.Sprintf(format, args...)})
}

// Warnf adds a Warning at pos.
func (ds *Diagnostics) Warnf(pos Pos, format string, args ...any) *Diagnostic {
	return ds.add(Diagnostic{Severity: Warning, Pos: pos, Msg: fmt.Sprintf(format, args...)})
}

// Belong says of every mistake from number from on that ansible-core places it where the
// entry begins that holds it, unless more is known.
func (ds Diagnostics) Belong(from int, entry Pos) {
	for i := from; i < len(ds); i++ {
		if ds[i].Ansible == nil && ds[i].Pos.File == entry.File {
			ds[i].Ansible = &Ansible{Pos: entry}
		}
	}
}

// add appends d and returns it, for a hint to be set; the pointer is good until the next.
func (ds *Diagnostics) add(d Diagnostic) *Diagnostic {
	*ds = append(*ds, d)
	return &(*ds)[len(*ds)-1]
}

// Sorted returns ds by file and place, without repetitions. Files keep the order in
// which they first appear: it is the order they were read in.
func (ds Diagnostics) Sorted() Diagnostics {
	rank := map[string]int{}
	for _, d := range ds {
		if _, ok := rank[d.Pos.File]; !ok {
			rank[d.Pos.File] = len(rank)
		}
	}
	out := slices.Clone(ds)
	slices.SortStableFunc(out, func(a, b Diagnostic) int {
		return cmp.Or(
			cmp.Compare(rank[a.Pos.File], rank[b.Pos.File]), cmp.Compare(a.Pos.Line, b.Pos.Line),
			cmp.Compare(a.Pos.Col, b.Pos.Col), cmp.Compare(a.Severity, b.Severity))
	})
	type key struct {
		place, msg string
		sev        Severity
	}
	seen := map[key]bool{}
	return slices.DeleteFunc(out, func(d Diagnostic) bool {
		k := key{Place(d.Pos), d.Msg, d.Severity}
		was := seen[k]
		seen[k] = true
		return was
	})
}

// jsonDiagnostic is the documented JSON form of a Diagnostic.
type jsonDiagnostic struct {
	Severity string       `json:"severity"`
	File     string       `json:"file,omitempty"`
	Line     int          `json:"line,omitempty"`
	Column   int          `json:"column,omitempty"`
	Length   int          `json:"length,omitempty"`
	Message  string       `json:"message"`
	Hint     string       `json:"hint,omitempty"`
	Rule     string       `json:"rule,omitempty"`
	Related  []Diagnostic `json:"related,omitempty"`
}

// MarshalJSON implements json.Marshaler.
func (d Diagnostic) MarshalJSON() ([]byte, error) {
	return json.Marshal(jsonDiagnostic{
		Severity: d.Severity.String(), File: d.Pos.File, Line: d.Pos.Line, Column: d.Pos.Col,
		Length: d.Len, Message: d.Msg, Hint: d.Hint, Rule: d.Rule, Related: d.Related,
	})
}

// UnmarshalJSON implements json.Unmarshaler.
func (d *Diagnostic) UnmarshalJSON(text []byte) error {
	var j jsonDiagnostic
	if err := json.Unmarshal(text, &j); err != nil {
		return err
	}
	*d = Diagnostic{Pos: Pos{File: j.File, Line: j.Line, Col: j.Column}, Len: j.Length, Msg: j.Message, Hint: j.Hint, Rule: j.Rule, Related: j.Related}
	if j.Severity == Warning.String() {
		d.Severity = Warning
	}
	return nil
}
