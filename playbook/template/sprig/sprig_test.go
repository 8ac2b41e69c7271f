package sprig_test

import (
	"context"
	"strings"
	"sync"
	"testing"

	"orch/playbook/jinja"
	"orch/playbook/jinja/value"
	"orch/playbook/template/sprig"
)

func newEnv(t testing.TB) *jinja.Env {
	t.Helper()
	env, err := jinja.New(jinja.Options{Filters: sprig.Filters(), Globals: sprig.Globals(), Chainable: true})
	if err != nil {
		t.Fatal(err)
	}
	return env
}

func eval(env *jinja.Env, expr string, vars jinja.MapVars) (value.Value, error) {
	x, err := env.Expr(expr)
	if err != nil {
		return nil, err
	}
	return x.Eval(context.Background(), vars)
}

// TestManuals executes every example and sees to it that every function has one.
func TestManuals(t *testing.T) {
	t.Setenv("TZ", "UTC")
	env := newEnv(t)
	documented := map[string]bool{}
	done := map[string]bool{}
	for _, d := range sprig.Docs() {
		if documented[d.Name] {
			t.Errorf("%s is documented twice", d.Name)
		}
		documented[d.Name] = true
		if d.Signature == "" {
			t.Errorf("there is no function %s", d.Name)
		}
		ex := d.Examples[0]
		if done[ex.Expr] {
			continue
		}
		done[ex.Expr] = true
		v, err := eval(env, strings.TrimSuffix(strings.TrimPrefix(ex.Expr, "{{ "), " }}"), nil)
		if err != nil {
			t.Errorf("%s: %s: %v", d.Name, ex.Expr, err)
			continue
		}
		if got := value.String(v); got != ex.Result {
			t.Errorf("%s: %s\n got %q\nwant %q", d.Name, ex.Expr, got, ex.Result)
		}
	}
	for _, name := range sprig.Names() {
		if !documented[name] {
			t.Errorf("%s has no manual", name)
		}
	}
}

// TestMustVariants calls every must variant with what its plain form is documented with.
func TestMustVariants(t *testing.T) {
	env := newEnv(t)
	for _, d := range sprig.Docs() {
		plain, ok := strings.CutPrefix(d.Name, "must")
		if !ok || plain[0] == '_' {
			continue
		}
		plain = strings.ToLower(plain[:1]) + plain[1:]
		expr := strings.TrimSuffix(strings.TrimPrefix(d.Examples[0].Expr, "{{ "), " }}")
		v, err := eval(env, strings.Replace(expr, "sprig."+plain, "sprig."+d.Name, 1), nil)
		if err != nil || value.String(v) != d.Examples[0].Result {
			t.Errorf("%s: got %v, %v", d.Name, v, err)
		}
	}
}

func TestErrors(t *testing.T) {
	env := newEnv(t)
	vars := jinja.MapVars{"d": value.D("a", value.Int(1))}
	for expr, want := range map[string]string{
		"missing | sprig.trunc(5)":                "'missing' is undefined",
		"sprig.trunc('5', 'x')":                   "sprig.trunc: argument 1: expected an integer, not 'str'",
		"sprig.trunc(1.5, 'x')":                   "1.5 is no integer",
		"sprig.trunc(99999999999999999999, 'x')":  "does not fit 64 bits",
		"5 | sprig.upper":                         "sprig.upper: argument 1: expected a string, not 'int'",
		"sprig.trunc(5)":                          "sprig.trunc takes 2 arguments, 1 were given",
		"sprig.substr(5, 1, 'abc')":               "out of range",
		"'a' | sprig.regexMatch('(')":             "missing closing )",
		"'x' | sprig.toDate('2006')":              "cannot parse",
		"'{' | sprig.fromJson":                    "unexpected end of JSON input",
		"'a' | sprig.first":                       "string",
		"1 | sprig.ternary(1, 2)":                 "expected true or false, not 'int'",
		"sprig.fail('because')":                   "because",
		"sprig.div(1, 0)":                         "divide by zero",
		"'2020' | sprig.date('2006')":             "must be a time or seconds since 1970, not 'str'",
		"'x' | sprig.dateModify('1h')":            "expected a time, not 'str'",
		"sprig.until(99999999999)":                "beyond the limit",
		"'x' | sprig.repeat(99999999999)":         "beyond the limit",
		"sprig.nope(1)":                           "nope",
		"sprig.genSignedCert('x', [], [], 1, {})": `the dict has no "Cert"`,
		"1 | sprig.add(2)":                        "sprig.add",
		"sprig.upper(str='x')":                    "unexpected keyword argument",
	} {
		_, err := eval(env, expr, vars)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want an error with %q", expr, err, want)
		}
	}
}

// TestPure checks that dicts passed in are not changed, as they would be in Helm.
func TestPure(t *testing.T) {
	env := newEnv(t)
	d := value.D("a", value.Int(1), "n", value.D("x", value.Int(1)))
	vars := jinja.MapVars{"d": d, "u": value.Unknown{Of: "r"}}
	for _, expr := range []string{"d | sprig.set('b', 2)", "d | sprig.unset('a')", "d | sprig.mergeOverwrite({'n': {'x': 2}})"} {
		if _, err := eval(env, expr, vars); err != nil {
			t.Errorf("%s: %v", expr, err)
		}
	}
	if got := value.Repr(d); got != "{'a': 1, 'n': {'x': 1}}" {
		t.Errorf("the dict has become %s", got)
	}
	for _, expr := range []string{"u | sprig.upper", "sprig.list(1, [u])"} {
		if v, err := eval(env, expr, vars); err != nil || !value.IsUnknown(v) {
			t.Errorf("%s: got %v, %v, want unknown", expr, v, err)
		}
	}
}

// TestObjects checks times and versions, which stay what they are.
func TestObjects(t *testing.T) {
	t.Setenv("TZ", "UTC")
	env := newEnv(t)
	for expr, want := range map[string]string{
		"sprig.toDate('2006-01-02 MST', '2020-05-06 UTC')":                          "2020-05-06T00:00:00Z",
		"sprig.semver('1.2.3') < sprig.semver('1.10.0')":                            "True",
		"sprig.semver('1.2.3').Minor()":                                             "2",
		"sprig.toDate('2006', '2020') == sprig.toDate('2006', '2020')":              "True",
		"sprig.dict('t', sprig.toDate('2006', '2020')).t.Year()":                    "2020",
		"{'z': 1, 'a': 2} | sprig.merge({'m': 3})":                                  "{'a': 2, 'm': 3, 'z': 1}",
		"sprig.genCAWithKey('h', 1, sprig.genPrivateKey('ecdsa')) | list":           "['Cert', 'Key']",
		"'a-b' | sprig.splitList('-') | sprig.join('+') | sprig.upper":              "A+B",
		"['x', 'y'] | map('sprig.upper') | list":                                    "['X', 'Y']",
		"sprig.trunc is defined and sprig.nope is undefined":                        "True",
		"sprig.dateInZone('2006-01-02', sprig.toDate('2006', '2020'), 'UTC')":       "2020-01-01",
		"[{'a': {'b': 5}}] | map('sprig.dig', 'a', 'b', 0) | list":                  "[5]",
		"sprig.round(1.25, 1) ~ '|' ~ sprig.round(1.15, 1, 0.6)":                    "1.3|1.1",
		"sprig.ternary('a', 'b', true) ~ sprig.default('x', 0) ~ sprig.toJson([1])": "ax[1]",
	} {
		v, err := eval(env, expr, nil)
		if err != nil || value.String(v) != want {
			t.Errorf("%s: got %v, %v; want %s", expr, v, err, want)
		}
	}
}

func TestConcurrentUse(t *testing.T) {
	env := newEnv(t)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if v, err := eval(env, "'hello' | sprig.trunc(2)", nil); err != nil || value.String(v) != "he" {
				t.Error(v, err)
			}
		})
	}
	wg.Wait()
}
