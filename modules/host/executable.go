package host

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"regexp"
	"strings"

	"orch/modules"
)

// Names of modules that playbooks cannot name: what the executor does on hosts.
const (
	ExecutableModule = "orch.executable"
	JobModule        = "orch.job"
)

// Internal is the table of modules that playbooks cannot name.
func Internal() []modules.Entry {
	return []modules.Entry{
		modules.Bind(ExecutableModule, func() modules.HostModule { return &Executable{} }),
		modules.Bind(JobModule, func() modules.HostModule { return &Job{} }),
	}
}

// An Executable runs a program the controller holds that is a module in Ansible's sense:
// it is given a file of arguments and prints a result as a JSON object.
type Executable struct {
	Sum, Name string // of the program: its hex sha1 and its file's name
	// Interpreter runs it; none: the program itself is started. Python is found on the
	// host when Discover is set.
	Interpreter []string
	Discover    bool
	// Args is the content of the arguments' file; nil: there is none.
	Args []byte
	// Job says that the result is a job's, which keeps what the program said on stderr
	// (ansible-core 2.18: async_wrapper).
	Job bool
}

// pythons are tried in this order: the system's before those of ansible-core 2.18's
// INTERPRETER_PYTHON_FALLBACK, which may be stubs of a version manager.
var pythons = []string{
	"/usr/bin/python3", "python3", "python3.13", "python3.12", "python3.11", "python3.10", "python3.9", "python3.8", "/usr/bin/python", "python",
}

// Plan implements modules.Module. The program itself decides whether to change anything:
// it is told of check mode, so the step is planned and run in that mode too.
func (e *Executable) Plan(context.Context, modules.View) (plan, error) {
	out := &modules.Answer{}
	return plan{Out: out, Steps: []step{{Title: "run " + e.Name, Effect: modules.Maybe, Always: true, Do: func(ctx context.Context, t modules.Target) (bool, error) {
		err := e.run(ctx, t, out)
		return out.Truth("changed"), err
	}}}}, nil
}

func (e *Executable) run(ctx context.Context, t modules.Target, out *modules.Answer) error {
	at, drop, err := putTemp(ctx, t, e.Sum, e.Name, 0o700)
	if err != nil {
		return err
	}
	defer drop()
	argv := append(append([]string(nil), e.Interpreter...), at)
	if e.Discover {
		if argv[0], err = findPython(ctx, t); err != nil {
			return err
		}
	}
	if e.Args != nil {
		args, mode := path.Join(path.Dir(at), "args"), fs.FileMode(0o600)
		if _, err := t.Write(ctx, args, strings.NewReader(string(e.Args)), modules.WriteOptions{Mode: &mode}); err != nil {
			return fileFailure(err)
		}
		argv = append(argv, args)
	}
	o, err := t.Run(ctx, modules.Command{Argv: argv})
	if errors.Is(err, fs.ErrNotExist) {
		// What a shell says of a program that is not there.
		o, err = modules.Output{RC: 127, Stderr: "/bin/sh: " + argv[0] + ": not found\n"}, nil
	}
	if err != nil {
		return fileFailure(err)
	}
	*out = readAnswer(o, argv[0])
	if e.Job && o.Stderr != "" {
		out.Set("stderr", o.Stderr)
	}
	return nil
}

func findPython(ctx context.Context, v modules.View) (string, error) {
	for _, name := range pythons {
		p, err := v.LookPath(ctx, name)
		if err != nil {
			return "", err
		}
		if p == "" {
			continue
		}
		if _, err := v.Stat(ctx, p); err == nil {
			return p, nil
		}
	}
	return "/usr/bin/python", nil
}

// readAnswer makes a result of what a module printed (ansible-core 2.18:
// ActionBase._parse_returned_data).
func readAnswer(o modules.Output, interpreter string) modules.Answer {
	text, junk, found := objectLines(o.Stdout)
	a, err := modules.ParseAnswer([]byte(text))
	if !found || err != nil {
		return noAnswer(o, interpreter)
	}
	if junk != "" {
		var warnings []any
		if list, ok := a.List("warnings"); ok {
			warnings = list
		}
		a.Set("warnings", append(warnings, "Module invocation had junk after the JSON data: "+junk))
	}
	return a
}

// objectLines finds the JSON object in what a module printed: from the first line that
// begins with a brace to the last that ends with one. junk is what comes after it.
func objectLines(text string) (object, junk string, found bool) {
	lines := strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n")
	start, end := -1, -1
	for i, line := range lines {
		line = strings.TrimSpace(line)
		if start < 0 && strings.HasPrefix(line, "{") {
			start = i
		}
		if start >= 0 && strings.HasSuffix(line, "}") {
			end = i + 1
		}
	}
	if start < 0 || end < 0 {
		return "", "", false
	}
	return strings.Join(lines[start:end], "\n"), strings.TrimSpace(strings.Join(lines[end:], "\n")), true
}

func noAnswer(o modules.Output, interpreter string) modules.Answer {
	var a modules.Answer
	a.Set("failed", true)
	a.Set("module_stdout", o.Stdout)
	a.Set("module_stderr", o.Stderr)
	a.Set("rc", o.RC)
	for _, text := range []string{o.Stdout, o.Stderr} {
		if strings.HasPrefix(text, "Traceback") {
			a.Set("exception", text)
		}
	}
	msg := "MODULE FAILURE"
	missing := regexp.MustCompile(regexp.QuoteMeta(interpreter) + `: (?:No such file or directory|not found)`)
	if missing.MatchString(o.Stderr) || missing.MatchString(o.Stdout) {
		msg = "The module failed to execute correctly, you probably need to set the interpreter."
	}
	a.Set("msg", msg+"\nSee stdout/stderr for the exact error")
	return a
}
