package host

import (
	"bytes"
	"context"
	"path"

	"orch/modules"
	"orch/playbook/pyre"
)

// EditArgs are the arguments of the modules that change lines of a text file.
type EditArgs struct {
	// File to change.
	Path string `orch:"required,path,alias=dest|destfile|name"`
	// Keep a copy of the file before it changes.
	Backup bool
	// Command that must accept the new file, %s, before it is put in place.
	ValidateCmd string `orch:"name=validate"`
	FileArgs
}

// Validate implements modules.Validator.
func (e *EditArgs) Validate() error {
	if err := checkValidate(e.ValidateCmd); err != nil {
		return err
	}
	return e.validate()
}

// load reads the file; nil if there is none.
func (e *EditArgs) load(ctx context.Context, v modules.View) ([]byte, error) {
	if err := expand(ctx, v, &e.Path); err != nil {
		return nil, err
	}
	fi, err := stat(ctx, v, e.Path)
	if err != nil {
		return nil, err
	}
	if fi != nil && fi.Mode.IsDir() {
		rc := 256
		return nil, &modules.Failure{Msg: "Path " + e.Path + " is a directory !", RC: &rc}
	}
	return readFile(ctx, v, e.Path)
}

// save plans the new content of the file, through links, and the attributes. before is
// nil for a new file. It says whether there is something beside the content to change.
func (e *EditArgs) save(ctx context.Context, v modules.View, before, after []byte, mkdirs bool, done func(modules.Written)) (steps []step, attrs bool, err error) {
	real, err := realpath(ctx, v, e.Path)
	if err != nil {
		return nil, false, err
	}
	w := &rewrite{FileArgs: e.FileArgs, path: real, data: after, backup: e.Backup, validate: e.ValidateCmd, done: done}
	more, err := e.attrSteps(ctx, v, real)
	if err != nil {
		return nil, false, err
	}
	if before != nil && bytes.Equal(before, after) {
		return more, len(more) > 0, nil
	}
	do := w.do
	if mkdirs {
		do = func(ctx context.Context, t modules.Target) (bool, error) {
			if err := makeDirs(ctx, t, path.Dir(real), &FileArgs{}); err != nil {
				return false, err
			}
			return w.do(ctx, t)
		}
	}
	title := "change " + e.Path
	if before == nil {
		title = "write " + e.Path
	}
	d := fileDiff(e.Path, before, after)
	d.BeforeHeader, d.AfterHeader = e.Path+" (content)", e.Path+" (content)"
	return []step{{Title: title, Diff: d, Do: do}}, len(more) > 0, nil
}

// attrsMsg is what lineinfile and its kin say when more than the content changes.
func attrsMsg(msg string, attrs bool) string {
	const more = "ownership, perms or SE linux context changed"
	switch {
	case !attrs:
		return msg
	case msg == "":
		return more
	}
	return msg + " and " + more
}

// compileBytes compiles a regular expression for the bytes of a file.
func compileBytes(pattern string) (*pyre.Regexp, error) {
	re, err := pyre.Compile(pattern, pyre.Bytes)
	if err != nil {
		return nil, modules.Failf("invalid regular expression %q: %s", pattern, err)
	}
	return re, nil
}

// search is re.search that fails the task when it takes too long.
func search(re *pyre.Regexp, text string) (*pyre.Match, error) {
	m, err := re.Search(text)
	if err != nil {
		return nil, modules.Failf("%s", err)
	}
	return m, nil
}

// splitLines is Python's bytes.splitlines(True).
func splitLines(data []byte) []string {
	var lines []string
	start := 0
	for i := 0; i < len(data); i++ {
		end := 0
		switch {
		case data[i] == '\n':
			end = i + 1
		case data[i] == '\r' && i+1 < len(data) && data[i+1] == '\n':
			end = i + 2
		case data[i] == '\r':
			end = i + 1
		}
		if end > 0 {
			lines = append(lines, string(data[start:end]))
			start, i = end, end-1
		}
	}
	if start < len(data) {
		lines = append(lines, string(data[start:]))
	}
	return lines
}
