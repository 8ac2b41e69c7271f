package host

import (
	"context"
	"fmt"
	"strings"

	"orch/modules"
	"orch/playbook/pyre"
)

// Replace replaces everything in a file that matches a regular expression.
type Replace struct {
	// Python's regular expression; ^ and $ match at every line.
	Regexp string `orch:"required"`
	// What to put in place, with \1 and \g<name>; nothing by default.
	Replace string
	// Work only after what this matches; . matches newlines too.
	After string
	// Work only before what this matches.
	Before string
	// Encoding of the file: utf-8, or latin-1.
	Encoding string `orch:"default=utf-8"`
	EditArgs
}

// Validate implements modules.Validator.
func (r *Replace) Validate() error {
	switch strings.ToLower(r.Encoding) {
	case "utf-8", "utf8", "ascii", "latin-1", "latin1", "iso-8859-1":
	default:
		return fmt.Errorf("encoding %q is not supported: use utf-8 or latin-1", r.Encoding)
	}
	return r.EditArgs.Validate()
}

// ReplaceOut is the result of replace.
type ReplaceOut struct {
	Msg        string `json:"msg"`
	RC         int    `json:"rc"`
	BackupFile string `json:"backup_file,omitempty"`
}

// Plan implements modules.Module.
func (r *Replace) Plan(ctx context.Context, v modules.View) (plan, error) {
	r = clone(r)
	out := &ReplaceOut{}
	p := plan{Out: out}
	before, err := r.load(ctx, v)
	if err != nil {
		return p, err
	}
	if before == nil {
		rc := 257
		f := &modules.Failure{Msg: "Path " + r.Path + " does not exist !", RC: &rc}
		p.Steps = []step{failing("change "+r.Path, f)}
		return p, nil
	}
	after, n, err := r.edit(string(before))
	if err != nil {
		return p, err
	}
	if n < 0 {
		out.Msg = "Pattern for before/after params did not match the given file: " + r.section()
		p.Msg = out.Msg
		return p, nil
	}
	msg := ""
	if n > 0 && after != string(before) {
		msg = fmt.Sprintf("%d replacements made", n)
	} else {
		after = string(before)
	}
	var attrs bool
	p.Steps, attrs, err = r.save(ctx, v, before, []byte(after), false, func(w modules.Written) { out.BackupFile = w.BackupFile })
	for _, st := range p.Steps {
		if st.Diff != nil && st.Diff.BeforeHeader == r.Path+" (content)" { // unlike its kin, replace names the file alone
			st.Diff.BeforeHeader, st.Diff.AfterHeader = r.Path, r.Path
		}
	}
	out.Msg = attrsMsg(msg, attrs)
	p.Msg = out.Msg
	return p, err
}

// section is the pattern of the part of the file to work on; "" is all of it.
func (r *Replace) section() string {
	switch {
	case r.After != "" && r.Before != "":
		return r.After + "(?P<subsection>.*?)" + r.Before
	case r.After != "":
		return r.After + "(?P<subsection>.*)"
	case r.Before != "":
		return "(?P<subsection>.*)" + r.Before
	}
	return ""
}

// text says whether the file is read as text, not as bytes.
func (r *Replace) text() bool {
	e := strings.ToLower(r.Encoding)
	return e == "utf-8" || e == "utf8"
}

// Regexps implements modules.TextMatcher.
func (r *Replace) Regexps() []*string {
	if !r.text() {
		return nil
	}
	return []*string{&r.Regexp, &r.After, &r.Before}
}

// edit returns the new text and the number of replacements; -1 if the section is missing.
func (r *Replace) edit(text string) (string, int, error) {
	mode := pyre.Flags(0)
	if !r.text() {
		mode = pyre.Bytes
	}
	start, end := 0, len(text)
	if pattern := r.section(); pattern != "" {
		re, err := pyre.Compile(pattern, pyre.DotAll|mode)
		if err != nil {
			return "", 0, modules.Failf("invalid regular expression %q: %s", pattern, err)
		}
		m, err := search(re, text)
		if err != nil || m == nil {
			return "", -1, err
		}
		group, _ := re.GroupIndex("subsection")
		start, end = m.Span(group)
	}
	re, err := pyre.Compile(r.Regexp, pyre.Multiline|mode)
	if err != nil {
		return "", 0, modules.Failf("invalid regular expression %q: %s", r.Regexp, err)
	}
	got, n, err := re.Subn(r.Replace, text[start:end], 0)
	if err != nil {
		return "", 0, modules.Failf("Unable to process replace due to error: %s", err)
	}
	return text[:start] + got + text[end:], n, nil
}
