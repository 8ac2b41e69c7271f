package playbook

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"orch/playbook/jinja"
	"orch/playbook/jinja/value"
	"orch/playbook/source"
	"orch/roles"
)

// builtins are the modules the tests know: all of ansible.builtin, without arguments
// being checked, but for copy.
var builtins = strings.Fields(`add_host apt apt_key apt_repository assemble assert async_status blockinfile command copy cron
deb822_repository debconf debug dnf dnf5 dpkg_selections expect fail fetch file find gather_facts get_url getent git group group_by
hostname include_vars iptables known_hosts lineinfile mount_facts package package_facts pause ping pip raw reboot replace rpm_key
script service service_facts set_fact set_stats setup shell slurp stat subversion systemd systemd_service sysvinit tempfile template
unarchive uri user validate_argument_spec wait_for wait_for_connection yum yum_repository`)

type fakeModules struct{ more []string }

func (f fakeModules) Names() []string {
	var names []string
	for _, n := range builtins {
		names = append(names, builtin+n)
	}
	return append(names, f.more...)
}

func (f fakeModules) Lookup(name string, collections []string) (Module, bool) {
	if slices.Contains(f.more, name) {
		return fakeModule(name), true
	}
	for _, c := range collections {
		if slices.Contains(f.more, c+"."+name) {
			return fakeModule(c + "." + name), true
		}
	}
	if s := short(name); slices.Contains(builtins, s) {
		return fakeModule(builtin + s), true
	}
	return nil, false
}

type fakeModule string

func (m fakeModule) FullName() string { return string(m) }
func (m fakeModule) FreeForm() string { return rawParams }

func (m fakeModule) CheckLiteral(args *value.Dict, at func(string) source.Pos, isTemplate func(value.Value) bool) (ds source.Diagnostics) {
	if m != builtin+"copy" {
		return nil
	}
	known := []string{"src", "dest", "content", "mode", "owner"}
	for k, v := range args.All() {
		name := k.(value.Str).S
		if !slices.Contains(known, name) {
			ds.Errorf(at(name), "Unsupported parameters for (copy) module: %s", name).Hint = source.DidYouMean(name, known)
		}
		if name == "mode" && !isTemplate(v) {
			if _, list := v.(*value.List); list {
				ds.Errorf(at(name), "argument 'mode' is a list")
			}
		}
	}
	if _, ok := args.GetStr("dest"); !ok {
		ds.Errorf(at(""), "missing required arguments: dest")
	}
	return ds
}

// fakeChecker finds the mistakes the tests plant: a template with ??.
type fakeChecker struct{}

type placed struct{ d source.Diagnostic }

func (p placed) Error() string                 { return p.d.Msg }
func (p placed) Diagnostic() source.Diagnostic { return p.d }

func (c fakeChecker) Check(v value.Value, cond bool) (errs []error) {
	switch v := v.(type) {
	case value.Str:
		i := strings.Index(v.S, "??")
		if i < 0 || v.From == nil || !cond && !isTemplate(v.S) {
			return nil
		}
		line := strings.Count(v.S[:i], "\n") + 1
		col := i - strings.LastIndexByte(v.S[:i], '\n')
		return []error{placed{source.Diagnostic{Pos: source.Locate(v.From, v.S, line, col), Len: 2, Msg: "unexpected char '?'"}}}
	case *value.List:
		for _, item := range v.Items {
			errs = append(errs, c.Check(item, cond)...)
		}
	case *value.Dict:
		for _, item := range v.All() {
			errs = append(errs, c.Check(item, cond)...)
		}
	}
	return errs
}

var fakeName = regexp.MustCompile(`[a-z_]+`)

// FreeNames takes every word in braces for a name.
func (fakeChecker) FreeNames(s value.Str, cond bool) (refs []jinja.Ref) {
	for _, m := range fakeName.FindAllStringIndex(s.S, -1) {
		in := cond || strings.Count(s.S[:m[0]], "{{") > strings.Count(s.S[:m[0]], "}}")
		if word := s.S[m[0]:m[1]]; in && !slices.Contains([]string{"default", "is", "defined", "d"}, word) {
			refs = append(refs, jinja.Ref{Name: word, At: value.Place{Line: 1, Col: m[0] + 1}})
		}
	}
	return refs
}

// fakeStatic knows the extra variable "which" and the vars of the play.
func fakeStatic(p *Play, _ *Task, v value.Value) (value.Value, error) {
	s := v.(value.Str).S
	vars := overlay(value.D("which", value.S("one")), p.Vars)
	for k, val := range vars.All() {
		if text, ok := val.(value.Str); ok {
			s = strings.ReplaceAll(s, "{{ "+k.(value.Str).S+" }}", text.S)
		}
	}
	if isTemplate(s) {
		return nil, fmt.Errorf("undefined variable in %q", s)
	}
	return value.S(s), nil
}

func newTestLoader(t testing.TB, dir string) *Loader {
	t.Helper()
	return NewLoader(Config{
		Modules: fakeModules{more: []string{"n.c.thing"}}, Templates: fakeChecker{}, Static: fakeStatic,
		Lookup: func(name string) bool {
			return slices.Contains([]string{"items", "dict", "first_found", "sequence", "fileglob", "nested", "together", "subelements"}, name)
		},
		OpenVault: func(text []byte) ([]byte, error) {
			if strings.Contains(string(text), "6f70656e") {
				return []byte("secret: yes\n"), nil
			}
			return nil, fmt.Errorf("decryption failed")
		},
		Roles: roles.Finder{Path: []string{dir + "/shared"}, Collections: []string{dir + "/coll"}},
	})
}
