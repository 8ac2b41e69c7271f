package report

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"orch/playbook/jinja/value"
	"orch/playbook/run"
)

// commandLike are the modules whose output minimal and oneline print as it came.
func commandLike(module string) bool {
	switch module {
	case "ansible.builtin.command", "ansible.builtin.shell", "ansible.builtin.raw", "ansible.builtin.script",
		"ansible.windows.win_command", "ansible.windows.win_shell":
		return true
	}
	return false
}

// Minimal prints ad-hoc results as ansible does without a play's frame: a block a host.
func Minimal(out, errs io.Writer, o AnsibleOptions) run.Sink {
	return adhoc(out, errs, o, func(a *ansible, t run.TaskStart, host string, r run.Result) (string, string) {
		switch {
		case r.Status == run.Failed && commandLike(t.Module) && hasOutput(r):
			return commandText(host, "FAILED", r), red
		case r.Status == run.Failed:
			return fmt.Sprintf("%s | FAILED! => %s", host, a.indented(t, r)), red
		case r.Status == run.Unreachable:
			return fmt.Sprintf("%s | UNREACHABLE! => %s", host, a.indented(t, r)), brightRed
		case r.Status == run.Skipped:
			return fmt.Sprintf("%s | SKIPPED", host), cyan
		}
		word, code := "SUCCESS", green
		if r.Status == run.Changed {
			word, code = "CHANGED", yellow
		}
		if commandLike(t.Module) {
			return commandText(host, word, r), code
		}
		return fmt.Sprintf("%s | %s => %s", host, word, a.indented(t, r)), code
	})
}

// Oneline prints an ad-hoc result on one line.
func Oneline(out, errs io.Writer, o AnsibleOptions) run.Sink {
	return adhoc(out, errs, o, func(a *ansible, t run.TaskStart, host string, r run.Result) (string, string) {
		a.oneLine = true
		one := func() string { return strings.ReplaceAll(a.dump(t, r), "\n", "") }
		switch {
		case r.Status == run.Failed && commandLike(t.Module) && hasOutput(r):
			return onelineCommand(host, "FAILED", r), red
		case r.Status == run.Failed:
			return fmt.Sprintf("%s | FAILED! => %s", host, one()), red
		case r.Status == run.Unreachable:
			return fmt.Sprintf("%s | UNREACHABLE!: %s", host, field(r, "msg")), brightRed
		case r.Status == run.Skipped:
			return fmt.Sprintf("%s | SKIPPED", host), cyan
		}
		word, code := "SUCCESS", green
		if r.Status == run.Changed {
			word, code = "CHANGED", yellow
		}
		if commandLike(t.Module) {
			return onelineCommand(host, word, r), code
		}
		return fmt.Sprintf("%s | %s => %s", host, word, one()), code
	})
}

func adhoc(out, errs io.Writer, o AnsibleOptions, line func(*ansible, run.TaskStart, string, run.Result) (text, code string)) run.Sink {
	a := newAnsible(out, errs, o)
	return func(ev run.Event) {
		switch ev := ev.(type) {
		case run.TaskStart:
			a.tasks[ev.ID] = ev
		case run.HostStart:
			a.o.Log.exec(ev.Host, a.tasks[ev.ID].Module)
		case run.Warning:
			a.warning(ev)
		case run.TaskDone:
			if a.tasks[ev.ID].Implicit {
				return
			}
			a.warnings(ev.Result)
			if d := a.o.Diff && !a.oneLine; d && ev.Result.Status == run.Changed {
				for _, d := range ev.Result.Diffs {
					a.display(a.o.diffText(a.yamlDiff(d)), "")
				}
			}
			text, code := line(a, a.tasks[ev.ID], ev.Host, ev.Result)
			a.display(text, code)
		}
	}
}

func hasOutput(r run.Result) bool {
	if r.Value == nil {
		return false
	}
	_, ok := r.Value.GetStr("rc")
	return ok
}

func field(r run.Result, name string) string {
	if r.Value == nil {
		return ""
	}
	v, ok := r.Value.GetStr(name)
	if !ok {
		return ""
	}
	return value.String(showable(v))
}

func commandText(host, word string, r run.Result) string {
	rc := field(r, "rc")
	if rc == "" {
		rc = "-1"
	}
	return fmt.Sprintf("%s | %s | rc=%s >>\n%s%s%s\n", host, word, rc, field(r, "stdout"), field(r, "stderr"), field(r, "msg"))
}

func onelineCommand(host, word string, r run.Result) string {
	rc := field(r, "rc")
	if rc == "" {
		rc = "-1"
	}
	stdout := strings.ReplaceAll(strings.ReplaceAll(field(r, "stdout"), "\n", "\\n"), "\r", "\\r")
	text := fmt.Sprintf("%s | %s | rc=%s | (stdout) %s", host, word, rc, stdout)
	if stderr := field(r, "stderr"); stderr != "" {
		text += " (stderr) " + strings.ReplaceAll(strings.ReplaceAll(stderr, "\n", "\\n"), "\r", "\\r")
	}
	return text
}

// indented is dump with four spaces a level, as minimal prints it.
func (a *ansible) indented(t run.TaskStart, r run.Result) string {
	pretty := true
	old := a.o.Pretty
	a.o.Pretty = &pretty
	defer func() { a.o.Pretty = old }()
	return a.dump(t, r)
}

// Tree writes the last result of each host to a file of its name in dir, as JSON.
func Tree(dir string, o AnsibleOptions) run.Sink {
	o.YAML = false
	a := newAnsible(io.Discard, io.Discard, o)
	return func(ev run.Event) {
		switch ev := ev.(type) {
		case run.TaskStart:
			a.tasks[ev.ID] = ev
		case run.TaskDone:
			t := a.tasks[ev.ID]
			if t.Implicit || ev.Result.Status == run.Skipped {
				return
			}
			err := os.MkdirAll(dir, 0o777)
			if err == nil {
				err = os.WriteFile(filepath.Join(dir, filepath.Base(ev.Host)), []byte(a.dump(t, ev.Result)), 0o666)
			}
			if err != nil {
				a.say.Warn(fmt.Sprintf("Unable to write to %s's file: %v", ev.Host, err))
			}
		}
	}
}
