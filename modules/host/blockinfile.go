package host

import (
	"context"
	"errors"
	"slices"
	"strings"

	"orch/modules"
	"orch/playbook/pyre"
)

// Blockinfile makes sure that a block of lines, between two marker lines, is in a file.
type Blockinfile struct {
	// Whether the block is to be there.
	State string `orch:"enum=absent|present,default=present"`
	// The marker lines; {mark} becomes marker_begin and marker_end.
	Marker string `orch:"default=# {mark} ANSIBLE MANAGED BLOCK"`
	// The lines. An empty block is removed.
	Block string `orch:"alias=content"`
	// Put a new block after the last line that matches this, or at EOF.
	Insertafter string
	// Put a new block before the last line that matches this, or at BOF.
	Insertbefore string
	// Make the file if there is none.
	Create bool
	// Word in the opening marker.
	MarkerBegin string `orch:"default=BEGIN"`
	// Word in the closing marker.
	MarkerEnd string `orch:"default=END"`
	// Put an empty line after the block.
	AppendNewline bool
	// Put an empty line before the block.
	PrependNewline bool
	EditArgs
}

// Validate implements modules.Validator.
func (b *Blockinfile) Validate() error {
	if b.Insertbefore != "" && b.Insertafter != "" {
		return errors.New("parameters are mutually exclusive: insertbefore|insertafter")
	}
	return b.EditArgs.Validate()
}

// BlockOut is the result of blockinfile.
type BlockOut struct {
	Msg        string `json:"msg"`
	BackupFile string `json:"backup_file,omitempty"`
}

// Plan implements modules.Module.
func (b *Blockinfile) Plan(ctx context.Context, v modules.View) (plan, error) {
	b = clone(b)
	out := &BlockOut{}
	p := plan{Out: out}
	before, err := b.load(ctx, v)
	if err != nil {
		return p, err
	}
	if before == nil && !b.Create {
		rc := 257
		f := &modules.Failure{Msg: "Path " + b.Path + " does not exist !", RC: &rc}
		p.Steps = []step{failing("change "+b.Path, f)}
		return p, nil
	}
	if before == nil && b.State == "absent" {
		out.Msg = "File " + b.Path + " not present"
		return p, nil
	}
	lines, block, err := b.edit(splitLines(before), string(before))
	if err != nil {
		return p, err
	}
	after := []byte(strings.Join(lines, ""))
	msg := ""
	switch {
	case before == nil:
		msg = "File created"
	case string(before) == string(after):
	case block == nil:
		msg = "Block removed"
	default:
		msg = "Block inserted"
	}
	var attrs bool
	p.Steps, attrs, err = b.save(ctx, v, before, after, true, func(w modules.Written) { out.BackupFile = w.BackupFile })
	out.Msg = attrsMsg(msg, attrs)
	p.Msg = out.Msg
	return p, err
}

func (b *Blockinfile) edit(lines []string, original string) (edited, block []string, err error) {
	begin := strings.ReplaceAll(b.Marker, "{mark}", b.MarkerBegin) + "\n"
	end := strings.ReplaceAll(b.Marker, "{mark}", b.MarkerEnd) + "\n"
	present := b.State == "present"
	if present && b.Block != "" {
		text := strings.TrimSuffix(b.Block, "\n") + "\n"
		block = append(append([]string{begin}, splitLines([]byte(text))...), end)
	}
	n0, n1 := lastIndex(lines, begin), lastIndex(lines, end)
	at := 0
	switch {
	case n0 < 0 || n1 < 0:
		if at, err = b.place(lines, original); err != nil {
			return nil, nil, err
		}
	case n0 < n1:
		lines, at = slices.Delete(lines, n0, n1+1), n0
	default:
		lines, at = slices.Delete(lines, n1, n0+1), n1
	}
	if at > 0 && !strings.HasSuffix(lines[at-1], "\n") {
		lines[at-1] += "\n"
	}
	if b.PrependNewline && present && at != 0 && lines[at-1] != "\n" {
		lines = slices.Insert(lines, at, "\n")
		at++
	}
	lines = slices.Insert(lines, at, block...)
	if after := at + len(block); b.AppendNewline && present && after < len(lines) && lines[after] != "\n" {
		lines = slices.Insert(lines, after, "\n")
	}
	return lines, block, nil
}

func lastIndex(lines []string, line string) int {
	for i := len(lines) - 1; i >= 0; i-- {
		if lines[i] == line {
			return i
		}
	}
	return -1
}

// place is the index a new block goes to.
func (b *Blockinfile) place(lines []string, original string) (int, error) {
	pattern := ""
	switch {
	case b.Insertafter != "" && b.Insertafter != "EOF":
		pattern = b.Insertafter
	case b.Insertafter == "" && b.Insertbefore == "BOF":
		return 0, nil
	case b.Insertafter == "" && b.Insertbefore != "":
		pattern = b.Insertbefore
	default:
		return len(lines), nil
	}
	re, err := compileBytes(pattern)
	if err != nil {
		return 0, err
	}
	at := -1
	if re.Flags()&pyre.Multiline != 0 { // (?m) makes it match across lines
		m, err := search(re, original)
		if err != nil {
			return 0, err
		}
		if m != nil {
			start, end := m.Span(0)
			if b.Insertafter != "" {
				start = end
			}
			at = strings.Count(original[:start], "\n")
		}
	} else {
		for i, line := range lines {
			m, err := search(re, line)
			if err != nil {
				return 0, err
			}
			if m != nil {
				at = i
			}
		}
	}
	switch {
	case at < 0:
		return len(lines), nil
	case b.Insertafter != "":
		return min(at+1, len(lines)), nil
	}
	return at, nil
}
