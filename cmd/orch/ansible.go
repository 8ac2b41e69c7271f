package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"orch/inventory"
	"orch/playbook/report"
	"orch/playbook/run"
	"orch/playbook/settings"
	"orch/playbook/source"
	"orch/playbook/vars"
)

// A persona is orch under the name of one of Ansible's programs: the same commands with
// Ansible's flags, messages and exit codes. A nil persona is orch itself.
type persona struct {
	name    string
	display *report.Display
	// lines returns the lines of an author's file, masked.
	lines func(file string) []string
}

// personas are the names orch answers to, each with its command.
var personas = map[string]func(*persona) *cobra.Command{
	"ansible-playbook": newAnsiblePlaybook, "ansible": newAnsible,
	"ansible-inventory": newAnsibleInventory, "ansible-vault": newAnsibleVault,
}

// Exit codes of Ansible's programs (ansible-core 2.18: lib/ansible/cli/__init__.py);
// those of a run are orch's 0, 2 and 4.
const (
	ansibleError       = 1
	ansibleUsage       = 2
	ansibleParserError = 4
	ansibleOptions     = 5
	ansibleInterrupted = 99
	ansibleUnexpected  = 250
)

// An ansibleExit is an error in Ansible's words with the exit code of its kind.
type ansibleExit struct {
	code int
	text string
}

func (e *ansibleExit) Error() string { return e.text }

func ansibleFail(format string, args ...any) error {
	return &ansibleExit{code: ansibleError, text: fmt.Sprintf(format, args...)}
}

func ansibleOption(format string, args ...any) error {
	return &ansibleExit{code: ansibleOptions, text: fmt.Sprintf(format, args...)}
}

// mainAnsible runs a command line of one of Ansible's programs.
func mainAnsible(ctx context.Context, name string, args []string, stderr *os.File) (code int) {
	p := &persona{name: name, display: report.NewDisplay(os.Stdout, stderr, report.AnsibleOptions{}), lines: files.Lines}
	defer func() {
		if r := recover(); r != nil {
			p.display.Error(fmt.Sprintf("Unexpected Exception, this is probably a bug: %v", r))
			fmt.Fprintf(stderr, "the full traceback was:\n\n%s\n", debug.Stack())
			code = ansibleUnexpected
		}
	}()
	cmd := personas[name](p)
	p.dress(cmd)
	args, err := p.abbreviations(cmd, args)
	if err == nil {
		cmd.SetArgs(args)
		err = cmd.ExecuteContext(ctx)
	}
	return p.finish(cmd, err)
}

// dress gives a command, and those below it, what Ansible's have: its answer to wrong
// usage, --version, and nothing of cobra's own.
func (p *persona) dress(cmd *cobra.Command) {
	cmd.SilenceUsage, cmd.SilenceErrors, cmd.DisableFlagsInUseLine = true, true, true
	cmd.CompletionOptions.DisableDefaultCmd = true
	cmd.SetHelpCommand(&cobra.Command{Hidden: true})
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error {
		return &ansibleExit{code: ansibleUsage, text: err.Error()}
	})
	cmd.Flags().Bool("version", false, "show the version, the config file and where things are looked for, and exit")
	cmd.Flags().SortFlags = true
	inner := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if on, _ := cmd.Flags().GetBool("version"); on {
			return p.version(cmd)
		}
		return inner(cmd, args)
	}
}

// needs is a cobra check of the number of arguments in argparse's words.
func needs(name string, least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if on, _ := cmd.Flags().GetBool("version"); on {
			return nil
		}
		switch {
		case len(args) < least:
			return &ansibleExit{code: ansibleUsage, text: "the following arguments are required: " + name}
		case most >= 0 && len(args) > most:
			return &ansibleExit{code: ansibleUsage, text: "unrecognized arguments: " + strings.Join(args[most:], " ")}
		}
		return nil
	}
}

// abbreviations completes long options that are the beginning of exactly one, as
// argparse does.
func (p *persona) abbreviations(cmd *cobra.Command, args []string) ([]string, error) {
	args = slices.Clone(args)
	sub, _, err := cmd.Find(args)
	if err != nil {
		sub = cmd
	}
	sub.InitDefaultHelpFlag()
	for i, arg := range args {
		if arg == "--" {
			break
		}
		name, val, hasValue := strings.Cut(arg, "=")
		name, long := strings.CutPrefix(name, "--")
		if !long || name == "" || sub.Flags().Lookup(name) != nil {
			continue
		}
		var found []string
		sub.Flags().VisitAll(func(f *pflag.Flag) {
			if strings.HasPrefix(f.Name, name) {
				found = append(found, "--"+f.Name)
			}
		})
		switch {
		case len(found) == 0:
			return nil, &ansibleExit{code: ansibleUsage, text: "unrecognized arguments: " + arg}
		case len(found) > 1:
			return nil, &ansibleExit{code: ansibleUsage, text: fmt.Sprintf("ambiguous option: --%s could match %s", name, strings.Join(found, ", "))}
		}
		if args[i] = found[0]; hasValue {
			args[i] += "=" + val
		}
	}
	return args, nil
}

// settled is called once the settings are known: what is said from now on looks as they
// want it.
func (p *persona) settled(o viewOptions) {
	p.display, p.lines = report.NewDisplay(o.out, o.err, o.ansible()), o.lines
}

// finish says what went wrong and returns the exit code.
func (p *persona) finish(cmd *cobra.Command, err error) int {
	var exit *exitError
	var own *ansibleExit
	var diags source.Diagnostics
	var abort *run.AbortError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &own):
		switch own.code {
		case ansibleUsage:
			fmt.Fprintf(cmd.ErrOrStderr(), "usage: %s\n%s: error: %s\n \n%s", cmd.UseLine(), p.name, own.text, cmd.UsageString())
			return own.code
		case ansibleOptions:
			fmt.Fprintf(cmd.OutOrStdout(), "usage: %s\n\n%s\n\n%s\n", cmd.UseLine(), cmd.Short, cmd.UsageString())
		}
		p.display.Error(own.text)
		return own.code
	case errors.As(err, &exit) && (exit.quiet || exit.err == nil):
		return ansibleCode(exit.code)
	case errors.As(err, &diags):
		text, code := p.mistake(diags)
		if diags[0].Rule == run.RuleNoStart {
			p.display.Trouble(text)
			return exitOK
		}
		p.display.Error(text)
		return code
	case errors.As(err, &abort):
		text := abort.Error()
		if !abort.Placeless {
			text += report.Excerpt(abort.Pos, p.lines)
		}
		p.display.Error(text)
		return ansibleError
	}
	text, _, _ := strings.Cut(err.Error(), "\nhint: ")
	p.display.Error(ansibleWords(text))
	return ansibleError
}

// mistake is the first error of some, which is all Ansible would have come to, and its
// exit code.
func (p *persona) mistake(diags source.Diagnostics) (text string, code int) {
	d := diags.Only(source.Error)[0]
	msg, pos, code := d.Msg, d.Pos, ansibleParserError
	if as := d.Ansible; as != nil {
		msg, code = cmp.Or(as.Msg, msg), cmp.Or(as.Code, code)
		if as.Placeless {
			return msg, code
		}
		if as.Pos.Line > 0 {
			pos = as.Pos
		}
	}
	if d.Rule == "syntax" {
		msg = "We were unable to read either as JSON nor YAML, these are the errors we got from each:\n" +
			"JSON: Expecting value: line 1 column 1 (char 0)\n\n" +
			"Syntax Error while loading YAML.\n  " + strings.TrimPrefix(msg, "syntax error: ")
	}
	if filepath.Base(d.Pos.File) == adhocFile { // ansible-core 2.18: an ad-hoc task has no place
		return msg, code
	}
	return msg + report.Excerpt(pos, p.lines), code
}

// ansibleWords are the words Ansible has for what orch says in its own.
func ansibleWords(msg string) string {
	const noMatch = "could not match supplied host pattern"
	if rest, ok := strings.CutPrefix(msg, noMatch); ok {
		return "Could" + noMatch[len("could"):] + rest
	}
	return msg
}

// ansibleCode is what Ansible gives for an exit code of orch.
func ansibleCode(code int) int {
	switch code {
	case exitInternal, exitInput:
		return ansibleError
	case exitInterrupted:
		return ansibleInterrupted
	}
	return code
}

// warn says a warning in Ansible's form.
func (p *persona) warn(d source.Diagnostic) {
	if d.Rule == inventory.RuleUnparsed {
		p.display.Verbose(3, d.Msg)
		return
	}
	if d.Rule == "group-name" {
		done := "but not replaced"
		if strings.HasSuffix(d.Msg, "_") {
			done = "and automatically replaced"
		}
		d.Msg = "Invalid characters were found in group names " + done + ", use -vvvv to see details"
	}
	if d.Ansible != nil {
		d.Msg = cmp.Or(d.Ansible.Msg, d.Msg)
	}
	p.display.Warn(ansibleWords(d.Msg))
}

// unsupported folds the warnings of settings that do nothing here into one.
func unsupported(diags source.Diagnostics) source.Diagnostics {
	var names []string
	rest := slices.DeleteFunc(slices.Clone(diags), func(d source.Diagnostic) bool {
		if d.Rule == settings.RuleUnsupported {
			names = append(names, strings.TrimSuffix(d.Msg, settings.Unsupported))
			return true
		}
		return false
	})
	if len(names) > 0 {
		rest = append(rest, source.Diagnostic{
			Severity: source.Warning, Msg: "settings that have no effect here: " + strings.Join(names, ", "),
		})
	}
	return rest
}

// voidFlags are flags Ansible's programs have that change nothing here, with what the
// warning says of them.
func (p *persona) voidFlags(fs *pflag.FlagSet) {
	var names []string
	for _, name := range []string{"sftp-extra-args", "scp-extra-args"} {
		if fs.Changed(name) {
			names = append(names, "--"+name)
		}
	}
	if len(names) > 0 {
		p.display.Warn("options that have no effect here: " + strings.Join(names, ", "))
	}
}

// version prints what --version does: scripts read the first line and the config file.
func (p *persona) version(cmd *cobra.Command) error {
	s, _, err := loadSettings(cmd.Flags())
	if err != nil {
		return err
	}
	config := s.File
	if config == "" {
		config = "None"
	} else if abs, err := filepath.Abs(config); err == nil {
		config = abs
	}
	self, err := os.Executable()
	if err != nil {
		self = os.Args[0]
	}
	fmt.Fprintf(cmd.OutOrStdout(), `%s [core %s]
  config file = %s
  configured module search path = %s
  ansible python module location = None
  ansible collection location = %s
  executable location = %s
  python version = None
  jinja version = None
  libyaml = True
  orch version = %s
`, p.name, vars.AnsibleVersion, config, pyList(s.List("DEFAULT_MODULE_PATH")), strings.Join(s.List("COLLECTIONS_PATHS"), ":"), self, version)
	return nil
}

// pyList is a list as Python prints it.
func pyList(items []string) string {
	quoted := make([]string, len(items))
	for i, item := range items {
		quoted[i] = "'" + item + "'"
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// say is where the run's warnings go; nil for orch.
func (p *persona) say() *report.Display {
	if p == nil {
		return nil
	}
	return p.display
}

// header says with -v which settings are read.
func (p *persona) header(s *settings.Settings) {
	if s.File == "" {
		p.display.Verbose(1, "No config file found; using defaults")
		return
	}
	p.display.Verbose(1, "Using "+source.Absolute(s.File)+" as config file")
}
