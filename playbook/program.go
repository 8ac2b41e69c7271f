package playbook

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"

	"orch/playbook/source"
)

// A Style is how a program that is a module takes its arguments (ansible-core 2.18:
// executor/module_common).
type Style int

// The styles of programs that run as modules.
const (
	StyleOld    Style = iota // a file of k=v words
	StyleJSON                // WANT_JSON: a file of JSON
	StyleBinary              // the same, and no interpreter
	StyleInline              // the JSON is put into its text
	stylePython              // imports ansible.module_utils
	stylePowerShell
)

// InlineArgs is where the arguments stand in a program of StyleInline.
const InlineArgs = "<<INCLUDE_ANSIBLE_MODULE_JSON_ARGS>>"

var (
	importsUtils = source.Lazy(`from +\.{2,} *module_utils.* +import |` +
		`from +ansible_collections\.[^.]+\.[^.]+\.plugins\.module_utils.* +import |` +
		`import +ansible_collections\.[^.]+\.[^.]+\.plugins\.module_utils|` +
		`from +ansible\.module_utils.* +import |import +ansible\.module_utils\.|#<<INCLUDE_ANSIBLE_MODULE_COMMON>>`)
	isPowerShell = source.Lazy(`(?i)# POWERSHELL_COMMON|#Requires -(?:Module|Version)|#AnsibleRequires -(?:OSVersion|PowerShell|CSharpUtil)`)
)

func styleOf(program []byte) Style {
	switch {
	case isBinary(program):
		return StyleBinary
	case importsUtils().Match(program):
		return stylePython
	case isPowerShell().Match(program):
		return stylePowerShell
	case bytes.Contains(program, []byte(InlineArgs)):
		return StyleInline
	case bytes.Contains(program, []byte("WANT_JSON")):
		return StyleJSON
	}
	return StyleOld
}

// isBinary looks for bytes that text does not have.
func isBinary(program []byte) bool {
	return slices.ContainsFunc(program[:min(len(program), 1024)], func(c byte) bool {
		return c == 0x7f || c < 0x20 && !strings.ContainsRune("\a\b\t\n\f\r\x1b", rune(c))
	})
}

// Program reads the program a task names and says how it takes its arguments. The error
// is of a program that cannot be run as a module, at the task: a *source.Diagnostic.
func (t *Task) Program() ([]byte, Style, error) {
	program, err := os.ReadFile(t.Executable)
	d := &source.Diagnostic{Pos: t.Pos, Rule: "program"}
	if t.ActionPos.Line > 0 {
		d.Pos = t.ActionPos
	}
	if err != nil {
		d.Msg = fmt.Sprintf("module %q: %v", t.Action, err)
		return nil, 0, d
	}
	s := styleOf(program)
	switch s {
	case stylePython:
		d.Msg = fmt.Sprintf("module %q is the Python program %s, which imports ansible.module_utils: "+
			"such modules are not supported, that library is not there on hosts", t.Action, t.Executable)
	case stylePowerShell:
		d.Msg = fmt.Sprintf("module %q is the PowerShell program %s: such modules are not supported", t.Action, t.Executable)
	default:
		return program, s, nil
	}
	d.Hint = "use a module that is built in (orch doc lists them), or a program that reads a file of arguments (old style, WANT_JSON) or is a binary"
	return nil, s, d
}
