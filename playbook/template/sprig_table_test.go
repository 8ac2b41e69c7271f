package template_test

import (
	"strings"
	"testing"

	"orch/playbook/template"
	"orch/playbook/template/sprig"
)

// collisions are the names that sprig and Jinja2 or Ansible share: what each makes of the
// same, the bare name first.
var collisions = []struct{ name, bare, want, prefixed, sprigWant string }{
	{"default", "0 | default('x')", "int 0", "0 | sprig.default('x')", "str 'x'"},
	{"first", "'abc' | first", "str 'a'", "['a', 'b'] | sprig.first", "str 'a'"},
	{"last", "'abc' | last", "str 'c'", "['a', 'b'] | sprig.last", "str 'b'"},
	{"indent", "'a\nb' | indent(2)", "str 'a\\n  b'", "'a\nb' | sprig.indent(2)", "str '  a\\n  b'"},
	{"int", "'010' | int", "int 10", "'010' | sprig.int", "int 8"},
	{"join", "'abc' | join('-')", "str 'a-b-c'", "'abc' | sprig.join('-')", "str 'abc'"},
	{"list", "'ab' | list", "list ['a', 'b']", "sprig.list(1, 2)", "list [1, 2]"},
	{"max", "[1.5, 2.7] | max", "float 2.7", "sprig.max(1, 2)", "int 2"},
	{"min", "[1.5, 2.7] | min", "float 1.5", "sprig.min(1, 2)", "int 1"},
	{"quote", "(\"it's\" | quote) ~ '!'", `str '\'it\'"\'"\'s\'!'`, "\"it's\" | sprig.quote", `str '"it\'s"'`},
	{"replace", "'aaa' | replace('a', 'b', 1)", "str 'baa'", "'aaa' | sprig.replace('a', 'b')", "str 'bbb'"},
	{"reverse", "'abc' | reverse", "str 'cba'", "[1, 2] | sprig.reverse", "list [2, 1]"},
	{"round", "2.5 | round", "float 2.0", "2.5 | sprig.round(0)", "float 3.0"},
	{"shuffle", "['a'] | shuffle", "list ['a']", "'aaa' | sprig.shuffle", "str 'aaa'"},
	{"slice", "[1, 2, 3, 4] | slice(2)", "list [[1, 2], [3, 4]]", "[1, 2, 3, 4] | sprig.slice(1, 3)", "list [2, 3]"},
	{"split", "'a,b' | split(',')", "list ['a', 'b']", "'a,b' | sprig.split(',')", "dict {'_0': 'a', '_1': 'b'}"},
	{"ternary", "'x' | ternary(1, 2)", "int 1", "true | sprig.ternary(1, 2)", "int 1"},
	{"title", "\"it's WORLD\" | title", `str "It's World"`, "\"it's WORLD\" | sprig.title", `str "It'S WORLD"`},
	{"trim", "'xax' | trim('x')", "str 'a'", "' a ' | sprig.trim", "str 'a'"},
	{"upper", "'ß' | upper", "str 'SS'", "'ß' | sprig.upper", "str 'ß'"},
	{"lower", "'A' | lower", "str 'a'", "'A' | sprig.lower", "str 'a'"},
	{"contains", "[1, 2] is contains(1)", "bool True", "'foo' | sprig.contains('oo')", "bool True"},
	{"all", "[1, 0] is all", "bool False", "sprig.all(1, 0)", "bool False"},
	{"any", "[1, 0] is any", "bool True", "sprig.any(1, 0)", "bool True"},
	{"dict", "dict(a=1)", "dict {'a': 1}", "sprig.dict('a', 1)", "dict {'a': 1}"},
	{"now", "now() | type_debug", "str 'datetime'", "sprig.now() is defined", "bool True"},
	{"omit", "omit is defined", "bool True", "{'a': 1, 'b': 2} | sprig.omit('a')", "dict {'b': 2}"},
}

// TestSprigCollisions: a bare name is Jinja2's or Ansible's, the prefixed one sprig's.
func TestSprigCollisions(t *testing.T) {
	b := newBench(t, template.Options{Mode: template.Native}, "n: 5", "")
	for _, c := range collisions {
		b.want("{{ "+c.bare+" }}", c.want)
		b.want("{{ "+c.prefixed+" }}", c.sprigWant)
	}
}

// TestSprigBareNames: no function of sprig is a global of its own: variables of those names
// stay what they are, and undefined when nobody sets them.
func TestSprigBareNames(t *testing.T) {
	b := newBench(t, template.Options{}, "n: 5", "")
	own := " dict range lipsum cycler joiner namespace now omit "
	for _, name := range sprig.Names() {
		if !strings.Contains(own, " "+name+" ") {
			b.want("{{ "+name+" is defined }}", "bool False")
		}
	}
}

// TestSprigHermetic: the manual says which functions depend on more than their arguments.
func TestSprigHermetic(t *testing.T) {
	marked := map[string]bool{}
	for _, d := range sprig.Docs() {
		marked[d.Name] = strings.Contains(d.Text, "Not hermetic")
	}
	for name := range strings.FieldsSeq("date dateInZone dateModify now htmlDate htmlDateInZone randAlphaNum randAlpha randAscii randNumeric " +
		"randBytes randInt uuidv4 env expandenv getHostByName genCA genPrivateKey genSelfSignedCert genSignedCert bcrypt htpasswd shuffle") {
		if !marked[name] {
			t.Errorf("the manual of %s does not say that it is not hermetic", name)
		}
	}
	for name := range strings.FieldsSeq("trunc upper join sha256sum semver merge dig") {
		if marked[name] {
			t.Errorf("the manual of %s says that it is not hermetic", name)
		}
	}
}
