package host

import (
	"bytes"
	"context"
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"orch/modules"
)

// maxDiff is the size beyond which no diff is shown (Ansible's max_diff_size).
const maxDiff = 104448

// fileDiff is the difference between two contents of a file; nil means there was none.
func fileDiff(p string, before, after []byte) *modules.Diff {
	d := &modules.Diff{BeforeHeader: p, AfterHeader: p}
	switch {
	case isBinary(before) || isBinary(after):
		d.Prepared = "diff skipped: file appears to be binary\n"
	case len(before) > maxDiff || len(after) > maxDiff:
		d.Prepared = fmt.Sprintf("diff skipped: file is larger than %d bytes\n", maxDiff)
	default:
		d.Before, d.After = string(before), string(after)
	}
	return d
}

func isBinary(data []byte) bool { return bytes.IndexByte(data[:min(len(data), 8192)], 0) >= 0 }

// A rewrite replaces a file's content, keeping what FileArgs do not change.
type rewrite struct {
	FileArgs
	path     string // links followed already
	data     []byte
	open     func(ctx context.Context, t modules.Target) (io.ReadCloser, error) // instead of data
	sum      string                                                             // with open
	backup   bool
	validate string // a command with %s
	// done is told what the write did.
	done func(modules.Written)
}

// checkValidate is Ansible's rule for validate commands.
func checkValidate(cmd string) error {
	if cmd != "" && !strings.Contains(cmd, "%s") {
		return fmt.Errorf("validate must contain %%s: %s", cmd)
	}
	return nil
}

// do writes the file and sets its attributes.
func (w *rewrite) do(ctx context.Context, t modules.Target) (bool, error) {
	if fi, err := stat(ctx, t, path.Dir(w.path)); err != nil {
		return false, err
	} else if fi == nil {
		return false, modules.Failf("Destination directory %s does not exist", path.Dir(w.path))
	}
	old, err := lstat(ctx, t, w.path)
	if err != nil {
		return false, err
	}
	opts := modules.WriteOptions{Backup: w.backup && old != nil, Unsafe: w.UnsafeWrites, Sum: w.sum}
	if opts.UID, opts.GID, err = w.owners(ctx, t); err != nil {
		return false, err
	}
	if old == nil {
		old = &modules.FileInfo{Mode: fs.FileMode(0o666 &^ umaskOf(ctx, t))}
	}
	if opts.Mode, err = w.modeFor(ctx, t, old); err != nil {
		return false, err
	}
	if w.validate != "" {
		if opts.Validate, err = splitArgs(w.validate); err != nil {
			return false, modules.Failf("validate: %s", err)
		}
	}
	r := io.NopCloser(bytes.NewReader(w.data))
	if w.open != nil {
		if r, err = w.open(ctx, t); err != nil {
			return false, err
		}
	}
	defer func() { _ = r.Close() }() // only read
	written, err := t.Write(ctx, w.path, r, opts)
	if err != nil {
		return false, fileFailure(err)
	}
	if w.done != nil {
		w.done(written)
	}
	return true, nil
}

// textSteps makes path hold after, given what it holds now (nil: no such file): one step
// for the content, or else one for the attributes.
func (w *rewrite) textSteps(ctx context.Context, v modules.View, before []byte, title string) ([]step, error) {
	if err := w.checkSELinux(ctx, v); err != nil {
		return nil, err
	}
	if before != nil && bytes.Equal(before, w.data) {
		return w.attrSteps(ctx, v, w.path)
	}
	return []step{{Title: title, Diff: fileDiff(w.path, before, w.data), Do: w.do}}, nil
}

func sha1Hex(data []byte) string {
	sum := sha1.Sum(data)
	return hex.EncodeToString(sum[:])
}

// splitArgs is Python's shlex.split.
func splitArgs(s string) ([]string, error) {
	var args []string
	var cur strings.Builder
	inWord := false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case ' ', '\t', '\n', '\r':
			if inWord {
				args = append(args, cur.String())
				cur.Reset()
				inWord = false
			}
		case '\'':
			end := strings.IndexByte(s[i+1:], '\'')
			if end < 0 {
				return nil, fmt.Errorf("No closing quotation in %q", s) //nolint:staticcheck // Python's words
			}
			cur.WriteString(s[i+1 : i+1+end])
			i += end + 1
			inWord = true
		case '"':
			n, err := quoted(s[i+1:], &cur)
			if err != nil {
				return nil, err
			}
			i += n
			inWord = true
		case '\\':
			if i+1 >= len(s) {
				return nil, fmt.Errorf("No escaped character in %q", s) //nolint:staticcheck // Python's words
			}
			i++
			cur.WriteByte(s[i])
			inWord = true
		default:
			cur.WriteByte(c)
			inWord = true
		}
	}
	if inWord {
		args = append(args, cur.String())
	}
	return args, nil
}

// quoted reads up to the closing double quote; a backslash escapes only it and itself.
func quoted(s string, out *strings.Builder) (int, error) {
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '"':
			return i + 1, nil
		case s[i] == '\\' && i+1 < len(s) && (s[i+1] == '"' || s[i+1] == '\\'):
			i++
			out.WriteByte(s[i])
		default:
			out.WriteByte(s[i])
		}
	}
	return 0, fmt.Errorf("No closing quotation in %q", s) //nolint:staticcheck // Python's words
}

// command makes a step of a command that must succeed.
func command(title string, argv ...string) step {
	return step{Title: title, Do: func(ctx context.Context, t modules.Target) (bool, error) {
		_, err := mustRun(ctx, t, argv...)
		return true, err
	}}
}

// mustRun runs a command and fails the task when it fails.
func mustRun(ctx context.Context, t modules.Target, argv ...string) (modules.Output, error) {
	return must(ctx, t, modules.Command{Argv: argv})
}

func must(ctx context.Context, t modules.Target, cmd modules.Command) (modules.Output, error) {
	out, err := t.Run(ctx, cmd)
	if err != nil {
		return out, startFailure(cmd.Argv, err)
	}
	if out.RC != 0 {
		return out, cmdFailure(cmd.Argv, out, "")
	}
	return out, nil
}

// cmdFailure is the failure of a command; without msg it is the command's own words.
func cmdFailure(argv []string, out modules.Output, msg string) *modules.Failure {
	if msg == "" {
		msg = strings.TrimSpace(out.Stderr)
	}
	if msg == "" {
		msg = strings.TrimSpace(out.Stdout)
	}
	if msg == "" {
		msg = fmt.Sprintf("%s exited with %d", argv[0], out.RC)
	}
	return &modules.Failure{Msg: msg, Cmd: argv, RC: &out.RC, Stdout: out.Stdout, Stderr: out.Stderr}
}

// startFailure is the failure of a command that could not be started.
func startFailure(argv []string, err error) error {
	f := fileFailure(err)
	if f == err {
		return err
	}
	rc := 2
	return &modules.Failure{Msg: fmt.Sprintf("run %s: %s", argv[0], err), Cmd: argv, RC: &rc}
}
