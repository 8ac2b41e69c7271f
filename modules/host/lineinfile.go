package host

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"orch/modules"
	"orch/playbook/pyre"
)

// Lineinfile makes sure that a line is in a file, or is not, or replaces one.
//
// Regular expressions are Python's, searched in each line.
type Lineinfile struct {
	// Whether the line is to be there.
	State string `orch:"enum=absent|present,default=present"`
	// The last line that matches is replaced; with absent, all that match are removed.
	Regexp *string `orch:"alias=regex"`
	// Text to look for, instead of regexp.
	SearchString *string
	// The line.
	Line *string `orch:"alias=value"`
	// Add the line after the last one that matches this, or at EOF or BOF.
	Insertafter string
	// Add the line before the last one that matches this, or at BOF.
	Insertbefore string
	// line may contain groups of regexp, and is added only if regexp matches.
	Backrefs bool
	// Make the file if there is none.
	Create bool
	// Work on the first match instead of the last.
	Firstmatch bool
	EditArgs
}

// Validate implements modules.Validator.
func (l *Lineinfile) Validate() error {
	switch {
	case l.Insertbefore != "" && l.Insertafter != "":
		return errors.New("parameters are mutually exclusive: insertbefore|insertafter")
	case l.Regexp != nil && l.SearchString != nil:
		return errors.New("parameters are mutually exclusive: regexp|search_string")
	case l.Backrefs && l.SearchString != nil:
		return errors.New("parameters are mutually exclusive: backrefs|search_string")
	case l.State == "present" && l.Backrefs && l.Regexp == nil:
		return errors.New("regexp is required with backrefs=true")
	case l.State == "present" && l.Line == nil:
		return errors.New("line is required with state=present")
	case l.Regexp == nil && l.SearchString == nil && l.Line == nil:
		return errors.New("one of line, search_string, or regexp is required with state=absent")
	}
	return l.EditArgs.Validate()
}

// LineOut is the result of lineinfile.
type LineOut struct {
	Msg    string `json:"msg"`
	Backup string `json:"backup"`
	Found  *int   `json:"found,omitempty"`
}

// Plan implements modules.Module.
func (l *Lineinfile) Plan(ctx context.Context, v modules.View) (plan, error) {
	l = clone(l)
	out := &LineOut{}
	p := plan{Out: out, Warnings: l.warnings()}
	before, err := l.load(ctx, v)
	if err != nil {
		return p, err
	}
	if before == nil && l.State == "absent" {
		out.Msg = "file not present"
		p.Msg = out.Msg
		return p, nil
	}
	if before == nil && !l.Create {
		rc := 257
		f := &modules.Failure{Msg: "Destination " + l.Path + " does not exist !", RC: &rc}
		p.Steps = []step{failing("change "+l.Path, f)}
		return p, nil
	}
	lines := strings.SplitAfter(string(before), "\n")
	if lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	edit := l.present
	if l.State == "absent" {
		edit = l.absent
	}
	lines, msg, err := edit(lines, out)
	if err != nil {
		return p, err
	}
	after := []byte(strings.Join(lines, ""))
	var attrs bool
	p.Steps, attrs, err = l.save(ctx, v, before, after, l.Create, func(w modules.Written) { out.Backup = w.BackupFile })
	out.Msg = attrsMsg(msg, attrs)
	p.Msg = out.Msg
	return p, err
}

func (l *Lineinfile) warnings() []string {
	const text = "The %s is an empty string, which will match every line in the file. This may have unintended consequences, such as replacing the last line in the file rather than appending."
	switch {
	case l.Regexp != nil && *l.Regexp == "":
		return []string{fmt.Sprintf(text, "regular expression") + " If this is desired, use '^' to match every line in the file and avoid this warning."}
	case l.SearchString != nil && *l.SearchString == "":
		return []string{fmt.Sprintf(text, "search string")}
	}
	return nil
}

// find is the index of the line to replace, and its match; -1 if there is none.
func (l *Lineinfile) find(lines []string) (at int, m *pyre.Match, err error) {
	at = -1
	var re *pyre.Regexp
	if l.Regexp != nil {
		if re, err = compileBytes(*l.Regexp); err != nil {
			return at, nil, err
		}
	}
	for i, line := range lines {
		found := false
		if re != nil {
			got, err := search(re, line)
			if err != nil {
				return at, nil, err
			}
			if found = got != nil; found {
				m = got
			}
		}
		if l.SearchString != nil {
			found = strings.Contains(line, *l.SearchString)
		}
		if found {
			at = i
			if l.Firstmatch {
				break
			}
		}
	}
	return at, m, nil
}

func (l *Lineinfile) present(lines []string, _ *LineOut) ([]string, string, error) {
	at, m, err := l.find(lines)
	if err != nil {
		return nil, "", err
	}
	line := *l.Line
	matched, insert := at >= 0, -1
	if !matched {
		if at, insert, err = l.place(lines); err != nil {
			return nil, "", err
		}
	}
	ended := strings.TrimSuffix(line, "\n") + "\n"
	switch {
	case at >= 0:
		if l.Backrefs && m != nil {
			if line, err = m.Expand(line); err != nil {
				return nil, "", modules.Failf("%s", err)
			}
			ended = strings.TrimSuffix(line, "\n") + "\n"
		}
		if lines[at] == ended {
			return lines, "", nil
		}
		lines[at] = ended
		return lines, "line replaced", nil
	case l.Backrefs:
		return lines, "", nil
	case l.Insertbefore == "BOF" || l.Insertafter == "BOF":
		return slices.Insert(lines, 0, line+"\n"), "line added", nil
	case insert < 0:
		if n := len(lines); n > 0 && !strings.HasSuffix(lines[n-1], "\n") && !strings.HasSuffix(lines[n-1], "\r") {
			lines = append(lines, "\n")
		}
		return append(lines, line+"\n"), "line added", nil
	}
	if l.Insertafter != "" {
		if n := len(lines); n == insert && !strings.HasSuffix(lines[n-1], "\n") {
			lines[n-1] += "\n"
		}
		if insert < len(lines) && strings.TrimRight(lines[insert], "\r\n") == line {
			return lines, "", nil
		}
	}
	return slices.Insert(lines, insert, line+"\n"), "line added", nil
}

// place finds the line itself, or else where to insert it; -1 is the end.
func (l *Lineinfile) place(lines []string) (exact, insert int, err error) {
	exact, insert = -1, -1
	pattern := ""
	switch {
	case l.Insertafter != "" && l.Insertafter != "BOF" && l.Insertafter != "EOF":
		pattern = l.Insertafter
	case l.Insertafter == "" && l.Insertbefore != "" && l.Insertbefore != "BOF":
		pattern = l.Insertbefore
	}
	var re *pyre.Regexp
	if pattern != "" {
		if re, err = compileBytes(pattern); err != nil {
			return exact, insert, err
		}
	}
	for i, line := range lines {
		if strings.TrimRight(line, "\r\n") == *l.Line {
			exact = i
			continue
		}
		if re == nil {
			continue
		}
		m, err := search(re, line)
		if err != nil {
			return exact, insert, err
		}
		if m == nil {
			continue
		}
		insert = i
		if l.Insertafter != "" {
			insert = i + 1
		}
		if l.Firstmatch {
			break
		}
	}
	return exact, insert, nil
}

func (l *Lineinfile) absent(lines []string, out *LineOut) ([]string, string, error) {
	var re *pyre.Regexp
	if l.Regexp != nil {
		var err error
		if re, err = compileBytes(*l.Regexp); err != nil {
			return nil, "", err
		}
	}
	var kept []string
	for _, line := range lines {
		drop := false
		switch {
		case re != nil:
			m, err := search(re, line)
			if err != nil {
				return nil, "", err
			}
			drop = m != nil
		case l.SearchString != nil:
			drop = strings.Contains(line, *l.SearchString)
		default:
			drop = strings.TrimRight(line, "\r\n") == *l.Line
		}
		if !drop {
			kept = append(kept, line)
		}
	}
	n := len(lines) - len(kept)
	out.Found = &n
	if n == 0 {
		return kept, "", nil
	}
	return kept, fmt.Sprintf("%d line(s) removed", n), nil
}
