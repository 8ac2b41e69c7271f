package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"time"

	"orch/modules"
)

// Command runs a program, without a shell.
//
// Arguments are split as a shell would, but variables, globs, pipes and redirections mean
// nothing; ~ and $NAME in an argument are replaced unless expand_argument_vars is off.
type Command struct {
	// The command as one string.
	Cmd string `orch:"alias=_raw_params"`
	// The command as a list of arguments.
	Argv []string
	CommandArgs
	// Replace ~ and $NAME in arguments.
	ExpandArgumentVars bool `orch:"default=true"`
}

// CommandArgs are the arguments command and shell share.
type CommandArgs struct {
	// Folder to run in.
	Chdir string `orch:"path"`
	// Do not run if this file or glob exists.
	Creates string `orch:"path"`
	// Do not run unless this file or glob exists.
	Removes string `orch:"path"`
	// Text for the command's standard input.
	Stdin *string
	// End the text for standard input with a newline.
	StdinAddNewline bool `orch:"default=true"`
	// Drop newlines at the end of stdout and stderr.
	StripEmptyEnds bool `orch:"default=true"`
	// Shell to use. Has no meaning for command.
	Executable string
	// Had a meaning before ansible-core 2.14.
	Warn *bool
}

// Shell runs a command line with /bin/sh, or executable.
type Shell struct {
	// The command line.
	Cmd string `orch:"alias=_raw_params"`
	CommandArgs
}

// CommandOut is the result of command and shell.
type CommandOut struct {
	Cmd    cmdLine `json:"cmd"`
	Stdout string  `json:"stdout" orch:"after"`
	Stderr string  `json:"stderr" orch:"after"`
	RC     *int    `json:"rc" orch:"after"`
	Start  *string `json:"start" orch:"after"`
	End    *string `json:"end" orch:"after"`
	Delta  *string `json:"delta" orch:"after"`
	Msg    string  `json:"msg"`

	missing bool // the program was not there or could not be started
}

// MarshalJSON leaves out when a program ran that did not: ansible-core 2.18's
// AnsibleModule.run_command fails by itself then.
func (o *CommandOut) MarshalJSON() ([]byte, error) {
	type fields CommandOut // without this method
	if !o.missing {
		return jsonText((*fields)(o))
	}
	return jsonText(struct {
		*fields
		Start *string `json:"start,omitempty"`
		End   *string `json:"end,omitempty"`
		Delta *string `json:"delta,omitempty"`
	}{fields: (*fields)(o)})
}

// A cmdLine is a list of arguments, the one string a shell got, or nothing.
type cmdLine struct {
	argv []string
	line string
	none bool
}

// MarshalJSON implements json.Marshaler.
func (c cmdLine) MarshalJSON() ([]byte, error) {
	switch {
	case c.none:
		return []byte("null"), nil
	case c.argv != nil:
		return jsonText(c.argv)
	}
	return jsonText(c.line)
}

// Plan implements modules.Module.
func (c *Command) Plan(ctx context.Context, v modules.View) (plan, error) {
	out := &CommandOut{}
	fail := func(f *modules.Failure) (plan, error) {
		out.RC, out.Msg, out.Cmd.none = f.RC, f.Msg, true
		return plan{Out: out}, f
	}
	rc := 256
	argv := c.Argv
	switch {
	case strings.TrimSpace(c.Cmd) == "" && len(c.Argv) == 0:
		return fail(&modules.Failure{Msg: "no command given", RC: &rc})
	case c.Cmd != "" && len(c.Argv) > 0:
		return fail(&modules.Failure{Msg: "only command or argv can be given, not both", RC: &rc})
	case c.Cmd != "":
		var err error
		if argv, err = splitArgs(c.Cmd); err != nil {
			return fail(modules.Failf("%s", err))
		}
	}
	out.Cmd.argv = argv
	run := make([]string, len(argv))
	for i, arg := range argv {
		run[i] = arg
		if c.ExpandArgumentVars {
			var err error
			if run[i], err = expandText(ctx, v, arg); err != nil {
				return plan{}, err
			}
		}
	}
	if c.Chdir != "" && strings.Contains(run[0], "/") && !path.IsAbs(run[0]) {
		// A relative program is one of the folder the command runs in.
		dir := c.Chdir
		if err := expand(ctx, v, &dir); err != nil {
			return plan{}, err
		}
		run[0] = path.Join(dir, run[0])
	}
	p, err := c.plan(ctx, v, out, modules.Command{Argv: run})
	if c.Executable != "" {
		p.Warnings = append(p.Warnings, fmt.Sprintf("As of Ansible 2.4, the parameter 'executable' is no longer supported with the 'command' module. Not using '%s'.", c.Executable))
	}
	return p, err
}

// Plan implements modules.Module.
func (s *Shell) Plan(ctx context.Context, v modules.View) (plan, error) {
	out := &CommandOut{Cmd: cmdLine{line: s.Cmd}}
	if strings.TrimSpace(s.Cmd) == "" {
		rc := 256
		out.Cmd.none = true
		return plan{Out: out}, &modules.Failure{Msg: "no command given", RC: &rc}
	}
	shell := s.Executable
	if shell == "" {
		shell = "/bin/sh"
	}
	return s.plan(ctx, v, out, modules.Command{Argv: []string{shell, "-c", s.Cmd}})
}

func (a *CommandArgs) plan(ctx context.Context, v modules.View, out *CommandOut, cmd modules.Command) (plan, error) {
	p := plan{Out: out}
	a = clone(a)
	if a.Warn != nil {
		p.Warnings = append(p.Warnings, "the parameter 'warn' has no effect since ansible-core 2.14")
	}
	if err := expand(ctx, v, &a.Chdir); err != nil {
		return p, err
	}
	msg, err := a.skip(ctx, v)
	if err != nil {
		return p, err
	}
	if msg != "" {
		zero := 0
		out.Msg, out.Stdout, out.RC = "Did not run command "+msg, "skipped, "+strings.ReplaceAll(msg, "'", ""), &zero
		p.Msg = out.Msg
		return p, nil
	}
	cmd.Dir, cmd.Stream = a.Chdir, true
	if a.Stdin != nil {
		text := *a.Stdin
		if a.StdinAddNewline {
			text += "\n"
		}
		cmd.Stdin = strings.NewReader(text)
	}
	out.Msg = "Command would have run if not in check mode" // run takes it back
	effect := modules.Act
	if a.Creates != "" || a.Removes != "" {
		effect = modules.Change
	}
	p.Steps = []step{{
		Title: "run " + title(cmd.Argv), Effect: effect, Always: true,
		Do: func(ctx context.Context, t modules.Target) (bool, error) {
			err := a.run(ctx, t, cmd, out)
			return err == nil || out.Start != nil, err // what did not start changed nothing
		},
	}}
	return p, nil
}

// skip says why the command need not run; "" if it must.
func (a *CommandArgs) skip(ctx context.Context, v modules.View) (string, error) {
	exists := func(pattern string) (bool, error) {
		if a.Chdir != "" && !path.IsAbs(pattern) && !strings.HasPrefix(pattern, "~") {
			pattern = path.Join(a.Chdir, pattern)
		}
		if err := expand(ctx, v, &pattern); err != nil {
			return false, err
		}
		found, err := glob(ctx, v, pattern)
		return len(found) > 0, err
	}
	if a.Creates != "" {
		if found, err := exists(a.Creates); found || err != nil {
			return fmt.Sprintf("since '%s' exists", a.Creates), err
		}
	}
	if a.Removes != "" {
		if found, err := exists(a.Removes); !found || err != nil {
			return fmt.Sprintf("since '%s' does not exist", a.Removes), err
		}
	}
	return "", nil
}

func (a *CommandArgs) run(ctx context.Context, t modules.Target, cmd modules.Command, out *CommandOut) error {
	out.Msg = ""
	if a.Chdir != "" {
		if fi, err := t.Stat(ctx, a.Chdir); err != nil || !fi.Mode.IsDir() {
			if err == nil {
				err = &fs.PathError{Op: "chdir", Path: a.Chdir, Err: errors.New("not a directory")}
			}
			return modules.Failf("Unable to change directory before execution: %s", err)
		}
	}
	start := time.Now()
	o, err := t.Run(ctx, cmd)
	if err != nil {
		if f := fileFailure(err); f == err {
			return err
		}
		return notStarted(cmd.Argv, out, err)
	}
	end := time.Now()
	out.Stdout, out.Stderr, out.RC = o.Stdout, o.Stderr, &o.RC
	if a.StripEmptyEnds {
		out.Stdout, out.Stderr = strings.TrimRight(o.Stdout, "\r\n"), strings.TrimRight(o.Stderr, "\r\n")
	}
	from, to, took := stamp(start), stamp(end), delta(end.Sub(start))
	out.Start, out.End, out.Delta = &from, &to, &took
	if o.RC != 0 {
		out.Msg = "non-zero return code"
		return &modules.Failure{Msg: out.Msg, RC: &o.RC, Stdout: out.Stdout, Stderr: out.Stderr}
	}
	return nil
}

// notStarted is the failure of a program that is not there, or not to be run: nothing
// happened (ansible-core 2.18: AnsibleModule.run_command).
func notStarted(argv []string, out *CommandOut, err error) error {
	rc := 2
	msg := "Error executing command."
	switch {
	case errors.Is(err, fs.ErrNotExist):
		msg = fmt.Sprintf("[Errno 2] No such file or directory: b'%s'", argv[0])
	case errors.Is(err, fs.ErrPermission):
		rc = 13
		msg = fmt.Sprintf("[Errno 13] Permission denied: b'%s'", argv[0])
	}
	out.RC, out.Msg, out.missing = &rc, msg, true
	out.Cmd = cmdLine{line: strings.Join(argv, " ")}
	return &modules.Failure{Msg: msg, RC: &rc, Hint: err.Error()}
}

// stamp is Python's str() of a datetime.
func stamp(t time.Time) string { return t.Format("2006-01-02 15:04:05.000000") }

// delta is Python's str() of a timedelta.
func delta(d time.Duration) string {
	us := d.Microseconds()
	s := us / 1e6
	days := ""
	if n := s / 86400; n == 1 {
		days = "1 day, "
	} else if n > 1 {
		days = fmt.Sprintf("%d days, ", n)
	}
	return fmt.Sprintf("%s%d:%02d:%02d.%06d", days, s/3600%24, s/60%60, s%60, us%1e6)
}

// title shows a command in a step's title, shortened to one line.
func title(argv []string) string {
	if len(argv) == 3 && argv[1] == "-c" {
		argv = argv[2:]
	}
	line, more, _ := strings.Cut(strings.Join(argv, " "), "\n")
	if more != "" || len(line) > 200 {
		line = line[:min(len(line), 200)] + " …"
	}
	return line
}
