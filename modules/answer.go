package modules

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// A Reporter is an Out that says itself what a run came to.
type Reporter interface{ Report(res *Result) }

// An Answer is a result in Ansible's JSON form: one object in which changed, failed, rc,
// skipped, msg and warnings say what the rest is the detail of. It is what a program that
// is a module prints, and what the file of an async job holds.
type Answer struct{ Fields map[string]json.RawMessage }

// ParseAnswer reads an object.
func ParseAnswer(text []byte) (Answer, error) {
	var a Answer
	err := json.Unmarshal(text, &a.Fields)
	if err == nil && a.Fields == nil {
		err = fmt.Errorf("null is no result")
	}
	return a, err
}

// Set sets a field.
func (a *Answer) Set(name string, v any) {
	text, err := json.Marshal(v)
	if err != nil { // of a value that has no JSON
		text, _ = json.Marshal(err.Error())
	}
	if a.Fields == nil {
		a.Fields = map[string]json.RawMessage{}
	}
	a.Fields[name] = text
}

// Names of fields that travel in an Answer and are no part of the result: what Ansible's
// form has no room for.
const (
	keySteps   = "_ansible_steps"
	keyUnknown = "_ansible_unknown"
)

// MarshalJSON implements json.Marshaler. Names that begin with _ansible_ are Ansible's
// own business and left out; Keep has them.
func (a Answer) MarshalJSON() ([]byte, error) { return a.encode(false) }

// Keep is the whole of the answer as JSON, for a file that is read again.
func (a Answer) Keep() ([]byte, error) { return a.encode(true) }

func (a Answer) encode(all bool) ([]byte, error) {
	out := bytes.NewBufferString("{")
	for _, name := range slices.Sorted(maps.Keys(a.Fields)) {
		if !all && strings.HasPrefix(name, "_ansible_") {
			continue
		}
		if out.Len() > 1 {
			out.WriteByte(',')
		}
		key, err := json.Marshal(name)
		if err != nil {
			return nil, err
		}
		out.Write(key)
		out.WriteByte(':')
		out.Write(a.Fields[name])
	}
	out.WriteByte('}')
	return out.Bytes(), nil
}

// Report implements Reporter (ansible-core 2.18: a result without failed has failed when
// its rc is not 0).
func (a *Answer) Report(res *Result) {
	if a.Fields == nil {
		return
	}
	res.Changed = a.Truth("changed")
	res.Skipped = a.Truth("skipped")
	failed := a.Truth("failed")
	if _, said := a.Fields["failed"]; !said {
		rc := a.Text("rc")
		failed = rc != "" && rc != "0" && rc != "null"
	}
	if failed {
		res.Failure = &Failure{Msg: a.Text("msg")}
	}
	var warnings []string
	if err := json.Unmarshal(a.Fields["warnings"], &warnings); err == nil {
		res.Warnings = append(res.Warnings, warnings...)
	}
	if steps, ok := a.Fields[keySteps]; ok {
		_ = json.Unmarshal(steps, &res.Steps) // what is shown beside the result; the file is no input of ours
	}
	if unknown, ok := a.Fields[keyUnknown]; ok {
		_ = json.Unmarshal(unknown, &res.Unknown)
	}
}

// Truth says whether a field is what Python takes for true.
func (a *Answer) Truth(name string) bool {
	switch strings.TrimSpace(string(a.Fields[name])) {
	case "", "null", "false", "0", "0.0", `""`, "[]", "{}":
		return false
	}
	return true
}

// List is a field that is a list.
func (a *Answer) List(name string) ([]any, bool) {
	var list []any
	err := json.Unmarshal(a.Fields[name], &list)
	return list, err == nil && list != nil
}

// Text is a field: a string itself, anything else as JSON; "" if there is none.
func (a *Answer) Text(name string) string {
	raw := a.Fields[name]
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	return string(raw)
}

// Flat makes a result an Answer: the reverse of Report.
func Flat(res Result) (Answer, error) {
	a := Answer{Fields: map[string]json.RawMessage{}}
	if len(res.Out) > 0 {
		out, err := ParseAnswer(res.Out)
		if err != nil {
			return a, fmt.Errorf("decode result: %w", err)
		}
		a = out
	}
	unless := func(name string, v any) {
		if _, ok := a.Fields[name]; !ok {
			a.Set(name, v)
		}
	}
	a.Set("changed", res.Changed)
	if res.Skipped {
		a.Set("skipped", true)
	}
	if res.Msg != "" {
		unless("msg", res.Msg)
	}
	if len(res.Warnings) > 0 {
		a.Set("warnings", res.Warnings)
	}
	if len(res.Steps) > 0 {
		a.Set(keySteps, res.Steps)
	}
	if len(res.Unknown) > 0 {
		a.Set(keyUnknown, res.Unknown)
	}
	f := res.Failure
	if f == nil {
		return a, nil
	}
	a.Set("failed", true)
	a.Set("msg", f.Msg)
	if f.Cmd != nil {
		unless("cmd", f.Cmd)
	}
	if f.RC != nil {
		unless("rc", *f.RC)
	}
	if f.RC != nil || f.Stdout != "" || f.Stderr != "" {
		unless("stdout", f.Stdout)
		unless("stderr", f.Stderr)
	}
	return a, nil
}
