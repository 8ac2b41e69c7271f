package host

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"path"
	"strconv"
	"strings"

	"orch/modules"
	"orch/playbook/pyre"
)

// Assemble makes one file of the fragments in a folder of the host, in the order of their
// names.
type Assemble struct {
	// The folder with the fragments.
	Src string `orch:"required,path"`
	AssembleArgs
}

// AssembleArgs are the arguments of assemble wherever the fragments are.
type AssembleArgs struct {
	// File to make.
	Dest string `orch:"required,path"`
	// Text between fragments; \n and other escapes count.
	Delimiter string
	// Take only files whose name matches this.
	Regexp string
	// Leave out files whose name begins with a dot.
	IgnoreHidden bool
	// Keep a copy of the file that is replaced.
	Backup bool
	// Command that must accept the new file, %s, before it is put in place.
	ValidateCmd string `orch:"name=validate"`
	FileArgs
}

// Validate implements modules.Validator.
func (a *AssembleArgs) Validate() error {
	if err := checkValidate(a.ValidateCmd); err != nil {
		return err
	}
	return a.validate()
}

// Regexps implements modules.TextMatcher.
func (a *AssembleArgs) Regexps() []*string { return []*string{&a.Regexp} }

// Matcher is the choice of fragments by name.
func (a *AssembleArgs) Matcher() (func(name string) (bool, error), error) {
	var re *pyre.Regexp
	if a.Regexp != "" {
		var err error
		if re, err = pyre.Compile(a.Regexp, 0); err != nil {
			return nil, modules.Failf("Invalid Regexp (%s) in \"%s\"", err, a.Regexp)
		}
	}
	return func(name string) (bool, error) {
		if a.IgnoreHidden && strings.HasPrefix(name, ".") {
			return false, nil
		}
		if re == nil {
			return true, nil
		}
		m, err := search(re, name)
		return m != nil, err
	}, nil
}

// A Joiner joins fragments: a newline between them where one lacks it, and the delimiter.
type Joiner struct {
	Delimiter string
	buf       bytes.Buffer
	any       bool
}

// Add appends a fragment.
func (j *Joiner) Add(data []byte) {
	if j.any {
		if !bytes.HasSuffix(j.buf.Bytes(), []byte("\n")) {
			j.buf.WriteByte('\n')
		}
		if j.Delimiter != "" {
			text := unescape(j.Delimiter)
			j.buf.WriteString(text)
			if !strings.HasSuffix(text, "\n") {
				j.buf.WriteByte('\n')
			}
		}
	}
	j.any = true
	j.buf.Write(data)
}

// Bytes is what was joined.
func (j *Joiner) Bytes() []byte { return j.buf.Bytes() }

// unescape reads \n, \t, \x41 and the like; an escape that is none stays.
func unescape(s string) string {
	var b strings.Builder
	for s != "" {
		r, multi, tail, err := strconv.UnquoteChar(s, 0)
		switch {
		case err != nil:
			b.WriteByte(s[0])
			s = s[1:]
			continue
		case multi:
			b.WriteRune(r)
		default:
			b.WriteByte(byte(r))
		}
		s = tail
	}
	return b.String()
}

// AssembleOut is the result of assemble.
type AssembleOut struct {
	Src        string `json:"src"`
	Dest       string `json:"dest"`
	Checksum   string `json:"checksum"`
	MD5Sum     string `json:"md5sum"`
	BackupFile string `json:"backup_file,omitempty"`
	Msg        string `json:"msg"`
	PathInfo
}

// Plan implements modules.Module.
func (a *Assemble) Plan(ctx context.Context, v modules.View) (plan, error) {
	a = clone(a)
	out := &AssembleOut{Msg: "OK"}
	p := plan{Out: out}
	if err := expand(ctx, v, &a.Src, &a.Dest); err != nil {
		return p, err
	}
	out.Src, out.Dest = a.Src, a.Dest
	fi, err := stat(ctx, v, a.Src)
	switch {
	case err != nil:
		return p, err
	case fi == nil:
		p.Steps = []step{failing("read "+a.Src, modules.Failf("Source (%s) does not exist", a.Src))}
		return p, nil
	case !fi.Mode.IsDir():
		return p, modules.Failf("Source (%s) is not a directory", a.Src)
	}
	data, err := a.join(ctx, v)
	if err != nil {
		return p, err
	}
	sum := md5.Sum(data)
	out.Checksum, out.MD5Sum = sha1Hex(data), hex.EncodeToString(sum[:])
	before, err := readFile(ctx, v, a.Dest)
	if err != nil {
		return p, err
	}
	w := &rewrite{
		FileArgs: a.FileArgs, path: a.Dest, data: data, backup: a.Backup, validate: a.ValidateCmd,
		done: func(w modules.Written) { out.BackupFile = w.BackupFile },
	}
	if p.Steps, err = w.textSteps(ctx, v, before, "write "+a.Dest); err != nil {
		return p, err
	}
	return p, finish(ctx, v, &p, func(ctx context.Context, v modules.View) error { return out.fill(ctx, v, a.Dest) })
}

func (a *Assemble) join(ctx context.Context, v modules.View) ([]byte, error) {
	takes, err := a.Matcher()
	if err != nil {
		return nil, err
	}
	entries, err := v.ReadDir(ctx, a.Src)
	if err != nil {
		return nil, fileFailure(err)
	}
	j := Joiner{Delimiter: a.Delimiter}
	for _, e := range entries {
		if ok, err := takes(e.Name); err != nil {
			return nil, err
		} else if !ok {
			continue
		}
		at := path.Join(a.Src, e.Name)
		if fi, err := stat(ctx, v, at); err != nil || fi == nil || !fi.Mode.IsRegular() {
			continue
		}
		data, err := v.ReadFile(ctx, at)
		if err != nil {
			return nil, fileFailure(err)
		}
		j.Add(data)
	}
	return j.Bytes(), nil
}
