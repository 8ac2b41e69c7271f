package filter_test

import (
	"strings"
	"testing"

	"orch/playbook/jinja"
	"orch/playbook/jinja/value"
	"orch/playbook/template/filter"
)

func TestBcrypt(t *testing.T) {
	env := newEnv(t)
	// A vector of the original implementation.
	v, err := eval(env, "'U*U' | password_hash('blowfish', 'CCCCCCCCCCCCCCCCCCCCC.', rounds=5, ident='2a')", jinja.MapVars{})
	if want := "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"; err != nil || value.String(v) != want {
		t.Errorf("got %v, %v; want %s", v, err, want)
	}
	for expr, want := range map[string]string{
		"'x' | password_hash('blowfish', 'short')":                                     "salt of 22 characters",
		"'x' | password_hash('blowfish', rounds=3)":                                    "rounds must be from 4 to 31",
		"'x' | password_hash('blowfish', 'CCCCCCCCCCCCCCCCCCCCC.', rounds=4, ident=9)": "'2a', '2b', '2y'",
		"'x' | password_hash(salt_size=99)":                                            "at most 16",
	} {
		if _, err := eval(env, expr, jinja.MapVars{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want an error with %q", expr, err, want)
		}
	}
}

func TestRandomWithoutSeed(t *testing.T) {
	env := newEnv(t)
	for range 50 {
		v, err := eval(env, "10 | random(start=5)", jinja.MapVars{})
		if n, ok := v.(value.Int); err != nil || !ok || n < 5 || n > 9 {
			t.Fatalf("got %v, %v", v, err)
		}
	}
	a, err := eval(env, "'pw' | password_hash('md5') == 'pw' | password_hash('md5')", jinja.MapVars{})
	if err != nil || a != value.Bool(false) {
		t.Errorf("two random salts are the same: %v, %v", a, err)
	}
	v, err := eval(env, "range(30) | shuffle | sort == range(30) | list", jinja.MapVars{})
	if err != nil || v != value.Bool(true) {
		t.Errorf("shuffle loses items: %v, %v", v, err)
	}
}

// TestUnknown checks what becomes of values that a check run does not know.
func TestUnknown(t *testing.T) {
	env := newEnv(t)
	vars := jinja.MapVars{
		"u": value.Unknown{Of: "r"}, "d": value.D("a", value.Unknown{Of: "r.a"}, "b", value.Int(1)),
		"l":      value.NewList(value.Int(1), value.Unknown{Of: "r[1]"}),
		"result": value.D("changed", value.Unknown{Of: "r.changed"}),
	}
	for expr, unknown := range map[string]bool{
		"u | b64encode": true, "u | ternary(1, 2)": true, "true | ternary(1, u)": false, "d | to_json": true,
		"d | to_nice_yaml": true, "d | combine({'b': 2})": false, "d | combine(u)": true, "u is match('x')": true,
		"result is changed": true, "l is any": false, "l is all": true, "l | union([2])": true, "l | flatten": false,
		"'x' | regex_replace(u, 'y')": true, "u | type_debug": true, "u | mandatory": true, "d | dict2items": false,
		"l | community.general.version_sort": true, "l | unique": false, "[u] | unique(attribute='a')": true,
		"l | items2dict": true, "[u, 1] is subset([2])": true,
	} {
		v, err := eval(env, expr, vars)
		if err != nil {
			t.Errorf("%s: %v", expr, err)
			continue
		}
		if value.IsUnknown(v) != unknown {
			t.Errorf("%s: got %s, want unknown: %v", expr, value.Repr(v), unknown)
		}
	}
}

// TestDataHoldsNoSecrets checks that text from outside cannot pose as encrypted by an author.
func TestDataHoldsNoSecrets(t *testing.T) {
	_, err := eval(newEnv(t), `'a: !vault |\n  $ANSIBLE_VAULT;1.1;AES256\n  6162\n' | from_yaml`, jinja.MapVars{})
	if err == nil || !strings.Contains(err.Error(), "!vault") {
		t.Errorf("got %v", err)
	}
	v, err := eval(newEnv(t), `('a: x' | from_yaml).a`, jinja.MapVars{})
	if s, ok := v.(value.Str); err != nil || !ok || s.From != nil {
		t.Errorf("a string from data has an author: %v, %v", v, err)
	}
}

// TestComplete holds the names of ansible-core 2.18.
func TestComplete(t *testing.T) {
	builtin := func(docs []filter.Doc) string {
		var names []string
		for _, d := range docs {
			if d.Collection == "ansible.builtin" {
				names = append(names, d.Name)
			}
		}
		return strings.Join(names, " ")
	}
	if got := builtin(filter.Docs()); got != coreFilters {
		t.Errorf("filters:\n got %s\nwant %s", got, coreFilters)
	}
	if got := builtin(filter.TestDocs()); got != coreTests {
		t.Errorf("tests:\n got %s\nwant %s", got, coreTests)
	}
	filters, tests := filter.Filters(), filter.Tests()
	for _, name := range strings.Fields(coreFilters) {
		if filters[name] == nil || filters[name] != filters["ansible.builtin."+name] {
			t.Errorf("the filter %s is not known by both names", name)
		}
	}
	for _, name := range strings.Fields(coreTests) {
		if tests[name] == nil || tests[name] != tests["ansible.builtin."+name] {
			t.Errorf("the test %s is not known by both names", name)
		}
	}
	for _, name := range []string{"ipaddr", "ansible.netcommon.ipaddr", "json_query", "community.general.keep_keys"} {
		if filters[name] == nil {
			t.Errorf("the filter %s is not known", name)
		}
	}
	if tests["private"] != nil {
		t.Error("a test of a collection has a bare name")
	}
}

const coreFilters = "b64decode b64encode basename bool checksum combinations combine comment commonpath dict2items difference dirname " +
	"expanduser expandvars extract fileglob flatten from_json from_yaml from_yaml_all hash human_readable human_to_bytes intersect items2dict " +
	"log mandatory md5 normpath password_hash path_join permutations pow product quote random realpath regex_escape regex_findall regex_replace " +
	"regex_search rekey_on_member relpath root sha1 shuffle split splitext strftime subelements symmetric_difference ternary to_datetime to_json " +
	"to_nice_json to_nice_yaml to_uuid to_yaml type_debug union unique unvault urldecode urlsplit vault win_basename win_dirname win_splitdrive " +
	"zip zip_longest"

const coreTests = "abs all any change changed contains directory exists failed failure falsy file finished is_abs is_dir is_file is_link is_mount " +
	"is_same_file isnan issubset issuperset link link_exists match mount nan reachable regex same_file search skip skipped started subset " +
	"succeeded success successful superset timedout truthy unreachable uri url urn vault_encrypted vaulted_file version version_compare"
