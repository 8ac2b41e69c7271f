package run

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"orch/modules"
	"orch/modules/control"
	hostmod "orch/modules/host"
	"orch/playbook"
	"orch/playbook/jinja/value"
	"orch/playbook/source"
	"orch/playbook/template"
	"orch/playbook/vars"
	"orch/transport"
)

// A style is how a program that is a module takes its arguments (ansible-core 2.18:
// executor/module_common).
type style int

const (
	styleOld    style = iota // a file of k=v words
	styleJSON                // WANT_JSON: a file of JSON
	styleBinary              // the same, and no interpreter
	styleInline              // the JSON is put into its text
	stylePython              // imports ansible.module_utils
	stylePowerShell
)

const inlineArgs = "<<INCLUDE_ANSIBLE_MODULE_JSON_ARGS>>"

var (
	importsUtils = source.Lazy(`from +\.{2,} *module_utils.* +import |` +
		`from +ansible_collections\.[^.]+\.[^.]+\.plugins\.module_utils.* +import |` +
		`import +ansible_collections\.[^.]+\.[^.]+\.plugins\.module_utils|` +
		`from +ansible\.module_utils.* +import |import +ansible\.module_utils\.|#<<INCLUDE_ANSIBLE_MODULE_COMMON>>`)
	isPowerShell = source.Lazy(`(?i)# POWERSHELL_COMMON|#Requires -(?:Module|Version)|#AnsibleRequires -(?:OSVersion|PowerShell|CSharpUtil)`)
)

func styleOf(program []byte) style {
	switch {
	case isBinary(program):
		return styleBinary
	case importsUtils().Match(program):
		return stylePython
	case isPowerShell().Match(program):
		return stylePowerShell
	case bytes.Contains(program, []byte(inlineArgs)):
		return styleInline
	case bytes.Contains(program, []byte("WANT_JSON")):
		return styleJSON
	}
	return styleOld
}

// isBinary looks for bytes that text does not have.
func isBinary(program []byte) bool {
	return slices.ContainsFunc(program[:min(len(program), 1024)], func(c byte) bool {
		return c == 0x7f || c < 0x20 && !strings.ContainsRune("\a\b\t\n\f\r\x1b", rune(c))
	})
}

// readModule reads the program of a task and says how it takes its arguments. The error
// is of a program that cannot be run as a module, at the task.
func readModule(t *playbook.Task) ([]byte, style, error) {
	program, err := os.ReadFile(t.Executable)
	d := &source.Diagnostic{Pos: t.Pos}
	if err != nil {
		d.Msg = fmt.Sprintf("module %q: %v", t.Action, err)
		return nil, 0, d
	}
	s := styleOf(program)
	switch s {
	case stylePython:
		d.Msg = fmt.Sprintf("module %q is the Python program %s, which imports ansible.module_utils: "+
			"such modules are not supported, that library is not there on hosts", t.Action, t.Executable)
		d.Hint = "programs that read a file of arguments (old style, WANT_JSON) and binaries run as modules"
		return nil, s, d
	case stylePowerShell:
		d.Msg = fmt.Sprintf("module %q is the PowerShell program %s: such modules are not supported", t.Action, t.Executable)
		return nil, s, d
	}
	return program, s, nil
}

// executable runs a program from a library folder as the module it is.
func (w *work) executable(ctx context.Context, o *outcome, c *call) (modules.Result, error) {
	file := w.t.src.Executable
	program, style, err := readModule(w.t.src)
	if err != nil {
		return modules.Result{}, err
	}
	args, err := w.programArgs(o, c)
	if err != nil {
		return modules.Result{}, err
	}
	e := &hostmod.Executable{Name: filepath.Base(file)}
	content := control.Content{Path: file}
	switch style {
	case styleOld:
		e.Args = words(args)
	case styleInline:
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
	if style != styleBinary {
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
		{inlineArgs, args},
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
