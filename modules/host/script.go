package host

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"orch/modules"
)

// Script runs a script the controller holds. It is the host's part of the action script.
type Script struct {
	// Hex sha1 of the script.
	Sum string `orch:"name=_sum,required"`
	// Name of its file.
	Name string `orch:"name=_name"`
	// Its arguments, as for a shell.
	Args string `orch:"name=_args"`
	// Do not run if this file exists.
	Creates string `orch:"path"`
	// Do not run unless this file exists.
	Removes string `orch:"path"`
	// Folder to run in.
	Chdir string `orch:"path"`
	// Program to run the script with.
	Executable string
}

// ScriptOut is the result of script.
type ScriptOut struct {
	RC     *int   `json:"rc" orch:"after"`
	Stdout string `json:"stdout" orch:"after"`
	Stderr string `json:"stderr" orch:"after"`
}

// FirstWord splits a command line into its first word, unquoted, and the rest as written.
func FirstWord(line string) (word, rest string, err error) {
	words, err := splitArgs(line)
	if err != nil {
		return "", "", err
	}
	if len(words) == 0 {
		return "", "", errors.New("no script given")
	}
	for end := 1; end <= len(line); end++ {
		if end < len(line) && line[end] != ' ' && line[end] != '\t' {
			continue
		}
		if head, err := splitArgs(line[:end]); err == nil && len(head) == 1 && head[0] == words[0] {
			return words[0], strings.TrimSpace(line[end:]), nil
		}
	}
	return words[0], "", nil
}

// Plan implements modules.Module.
func (s *Script) Plan(ctx context.Context, v modules.View) (plan, error) {
	s = clone(s)
	out := &ScriptOut{}
	p := plan{Out: out}
	if err := expand(ctx, v, &s.Creates, &s.Removes); err != nil {
		return p, err
	}
	if s.Creates != "" {
		if fi, err := stat(ctx, v, s.Creates); err != nil || fi != nil {
			p.Skip = s.Creates + " exists, matching creates option"
			return p, err
		}
	}
	if s.Removes != "" {
		if fi, err := stat(ctx, v, s.Removes); err != nil || fi == nil {
			p.Skip = s.Removes + " does not exist, matching removes option"
			return p, err
		}
	}
	effect := modules.Act
	if s.Creates != "" || s.Removes != "" {
		effect = modules.Change
	}
	p.Steps = []step{{Title: "run " + strings.TrimSpace(s.Name+" "+s.Args), Effect: effect, Always: true, Do: func(ctx context.Context, t modules.Target) (bool, error) {
		return true, s.run(ctx, t, out)
	}}}
	return p, nil
}

func (s *Script) run(ctx context.Context, t modules.Target, out *ScriptOut) error {
	at, drop, err := putTemp(ctx, t, s.Sum, s.Name, 0o700)
	if err != nil {
		return err
	}
	defer drop()
	line := shellQuote(at)
	if s.Executable != "" {
		line = s.Executable + " " + line
	}
	o, err := t.Run(ctx, modules.Command{Argv: []string{"/bin/sh", "-c", strings.TrimSpace(line + " " + s.Args)}, Dir: s.Chdir, Stream: true})
	if err != nil {
		return startFailure([]string{s.Name}, err)
	}
	out.RC, out.Stdout, out.Stderr = &o.RC, o.Stdout, o.Stderr
	if o.RC != 0 {
		return &modules.Failure{Msg: "non-zero return code", RC: &o.RC, Stdout: o.Stdout, Stderr: o.Stderr}
	}
	return nil
}

// putTemp writes content of the controller to a file in a folder of its own among the
// temporary files, and gives what removes the folder.
func putTemp(ctx context.Context, t modules.Target, sum, name string, mode fs.FileMode) (at string, drop func(), err error) {
	box, err := tempBox(ctx, t, sum)
	if err != nil {
		return "", nil, err
	}
	drop = func() { _ = t.RemoveAll(context.WithoutCancel(ctx), box) } // a temporary folder may stay
	at = path.Join(box, path.Base("/"+name))
	r, err := t.Source(ctx, sum)
	if err == nil {
		_, err = t.Write(ctx, at, r, modules.WriteOptions{Mode: &mode, Sum: sum})
		_ = r.Close() // only read
		err = fileFailure(err)
	}
	if err != nil {
		drop()
		return "", nil, err
	}
	return at, drop, nil
}

// tempBox makes a folder for content: the same content may be in use more than once.
func tempBox(ctx context.Context, t modules.Target, sum string) (string, error) {
	dir, err := t.TempDir(ctx)
	if err != nil {
		return "", err
	}
	for n := 0; ; n++ {
		box := path.Join(dir, "orch-"+sum)
		if n > 0 {
			box += "." + strconv.Itoa(n)
		}
		err := t.Mkdir(ctx, box, 0o700)
		if err == nil || !errors.Is(err, fs.ErrExist) || n == 1000 {
			return box, fileFailure(err)
		}
	}
}

// shellQuote quotes a word for sh.
func shellQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
