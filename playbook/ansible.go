package playbook

import (
	"fmt"
	"strings"

	"orch/playbook/jinja/value"
	"orch/playbook/source"
)

// ansibleError is the exit code of Ansible's programs for mistakes that its parser does
// not find.
const ansibleError = 1

// placeless is for mistakes whose place ansible-core does not name.
func placeless() *source.Ansible { return &source.Ansible{Placeless: true} }

// pythonClass is the class that ansible-core's loader gives a node, as Python prints it.
func pythonClass(n *source.Node) string {
	const objects = "ansible.parsing.yaml.objects."
	class := "str"
	switch v := n.Value(source.Author).(type) {
	case *value.Dict:
		class = objects + "AnsibleMapping"
	case *value.List:
		class = objects + "AnsibleSequence"
	case value.Str:
		class = objects + "AnsibleUnicode"
	default:
		class = v.Type()
	}
	return "<class '" + class + "'>"
}

// Undecrypted is the mistake of a file that vault cannot open.
func Undecrypted(path string, at source.Pos, why string) source.Diagnostic {
	theirs := why
	if strings.HasPrefix(why, "decryption failed") { // ansible-core 2.18 names the file where it tried
		theirs += " on " + source.Absolute(path)
	}
	return source.Diagnostic{
		Pos: at, Msg: fmt.Sprintf("decrypt %q: %s", path, why),
		Hint:    "give the password with --vault-password-file or --ask-vault-pass",
		Ansible: &source.Ansible{Msg: strings.ToUpper(theirs[:1]) + theirs[1:], Placeless: true, Code: ansibleError},
	}
}
