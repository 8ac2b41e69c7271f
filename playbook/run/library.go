package run

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"orch/modules"
	"orch/modules/control"
	hostmod "orch/modules/host"
	"orch/playbook"
	"orch/playbook/jinja/value"
	"orch/playbook/template"
	"orch/playbook/vars"
	"orch/transport"
)

// executable runs a program from a library folder as the module it is.
func (w *work) executable(ctx context.Context, o *outcome, c *call) (modules.Result, error) {
	file := w.t.src.Executable
	program, style, err := w.t.src.Program()
	if err != nil {
		return modules.Result{}, err
	}
	args, err := w.programArgs(o, c)
	if err != nil {
		return modules.Result{}, err
	}
	e := &hostmod.Executable{Name: filepath.Base(file), Job: c.async > 0}
	content := control.Content{Path: file}
	switch style {
	case playbook.StyleOld:
		e.Args = words(args)
	case playbook.StyleInline:
		text, err := value.JSON(args, value.JSONOptions{})
		if err != nil {
			return modules.Result{}, fmt.Errorf("arguments of %s: %w", w.t.src.Action, err)
		}
		content = control.Content{Data: inlined(program, text)}
	default:
		text, err := value.JSON(args, value.JSONOptions{})
		if err != nil {
			return modules.Result{}, fmt.Errorf("arguments of %s: %w", w.t.src.Action, err)
		}
		e.Args = []byte(text)
	}
	if style != playbook.StyleBinary {
		if err := w.interpreter(e, program, c.site.scope); err != nil {
			return modules.Result{}, err
		}
	}
	if e.Sum, err = c.site.AddSource(content); err != nil {
		return modules.Result{}, err
	}
	options := c.options
	options.Check = false // the program is told of it, and decides
	options.Verify = false
	return c.site.host(ctx, hostmod.ExecutableModule, e, options)
}

func inlined(program []byte, args string) []byte {
	for _, r := range [][2]string{
		{`"<<INCLUDE_ANSIBLE_MODULE_COMPLEX_ARGS>>"`, value.Repr(value.S(args))},
		{`"<<ANSIBLE_VERSION>>"`, "'" + vars.AnsibleVersion + "'"},
		{"<<SELINUX_SPECIAL_FILESYSTEMS>>", strings.Join(selinuxSpecial, ",")},
		{playbook.InlineArgs, args},
	} {
		program = bytes.ReplaceAll(program, []byte(r[0]), []byte(r[1]))
	}
	return program
}

var selinuxSpecial = []string{"fuse", "nfs", "vboxsf", "ramfs", "9p", "vfat"}

// programArgs are the task's arguments with what ansible-core 2.18 tells every module.
func (w *work) programArgs(o *outcome, c *call) (*value.Dict, error) {
	spec, err := c.site.hostSpec()
	if err != nil {
		return nil, err
	}
	args := value.NewDict(o.args.Len() + 12)
	for k, v := range o.args.All() {
		_ = args.Set(k, v) // a key of a dict
	}
	shell, tmp := spec.ShellExecutable, spec.RemoteTmp
	if shell == "" {
		shell = "/bin/sh"
	}
	if tmp == "" {
		tmp = "~/.ansible/tmp"
	}
	for _, arg := range []value.Named{
		{Name: "check_mode", Val: value.Bool(c.options.Check)},
		{Name: "no_log", Val: value.Bool(o.noLog)},
		{Name: "debug", Val: value.Bool(false)},
		{Name: "diff", Val: value.Bool(c.options.Diff)},
		{Name: "verbosity", Val: value.Int(w.b.run.cfg.Verbosity)},
		{Name: "version", Val: value.S(vars.AnsibleVersion)},
		{Name: "module_name", Val: value.S(w.t.src.Action)},
		{Name: "syslog_facility", Val: value.S("LOG_USER")},
		{Name: "selinux_special_fs", Val: value.FromGo(selinuxSpecial)},
		{Name: "string_conversion_action", Val: value.S("warn")},
		{Name: "socket", Val: value.None{}},
		{Name: "shell_executable", Val: value.S(shell)},
		{Name: "keep_remote_files", Val: value.Bool(false)},
		{Name: "tmpdir", Val: value.None{}},
		{Name: "remote_tmp", Val: value.S(tmp)},
		{Name: "ignore_unknown_opts", Val: value.Bool(false)},
		{Name: "target_log_info", Val: value.None{}},
	} {
		args.SetStr("_ansible_"+arg.Name, arg.Val)
	}
	return args, nil
}

// words is the arguments' file of an old-style module.
func words(args *value.Dict) []byte {
	var b strings.Builder
	for k, v := range args.All() {
		b.WriteString(value.String(k) + "=" + transport.Quote(value.String(v)) + " ")
	}
	return []byte(b.String())
}

// interpreter finds what runs the program: its first line, unless a variable such as
// ansible_bash_interpreter says another (ansible-core 2.18: _get_shebang).
func (w *work) interpreter(e *hostmod.Executable, program []byte, scope *vars.Scope) error {
	line, _, _ := strings.Cut(string(program), "\n")
	shebang, ok := strings.CutPrefix(line, "#!")
	var argv []string
	if ok {
		var err error
		if argv, err = transport.Split(strings.TrimSpace(shebang)); err != nil {
			return fmt.Errorf("module (%s): interpreter line %q: %w", w.t.src.Action, line, err)
		}
	}
	if len(argv) == 0 {
		return fmt.Errorf("module (%s) is missing interpreter line", w.t.src.Action)
	}
	name := filepath.Base(argv[0])
	v, ok, err := scope.Lookup("ansible_" + name + "_interpreter")
	if err != nil {
		return err
	}
	given := ""
	if ok && !template.IsOmit(v) {
		given = strings.TrimSpace(value.String(v))
	}
	if name == "python" && slices.Contains([]string{"", "auto", "auto_legacy", "auto_silent", "auto_legacy_silent"}, given) {
		e.Discover = true
	} else if given != "" {
		argv[0] = given
	}
	e.Interpreter = argv
	return nil
}
