package filter_test

import (
	"strings"
	"testing"

	"orch/playbook/jinja"
	"orch/playbook/jinja/value"
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
