package run

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"orch/modules"
	"orch/playbook/jinja/value"
	"orch/playbook/source"
)

const pem = "-----BEGIN KEY-----\nMIIEvAIBADANBgkq'hkiG9w0\"BAQE\\FAASC\nqhkiG9w0BAQEFAASCBKYwggSiAgEAA\n-----END KEY-----\n"

// TestRedactorForms plants every secret in every form and looks for what is left of it.
func TestRedactorForms(t *testing.T) {
	quote := func(s string) string {
		b, _ := json.Marshal(s)
		return string(b)
	}
	for _, secret := range []string{"hunter2!", `qu'o"te\s and spaces`, "line one is long\nline two is long", pem, "ünïcödé-pass", "a&b=c/d?e+f"} {
		r := NewRedactor()
		r.Add(secret)
		for name, text := range map[string]string{
			"plain": secret, "json": quote(secret), "json in json": quote(quote(secret)), "go": strconv.Quote(secret),
			"shell": "'" + strings.ReplaceAll(secret, "'", `'"'"'`) + "'", "shell 2": "'" + strings.ReplaceAll(secret, "'", `'\''`) + "'",
			"query": url.QueryEscape(secret), "path": url.PathEscape(secret), "python": value.Repr(value.S(secret)),
			"base64":                     base64.StdEncoding.EncodeToString([]byte(secret)),
			"base64 of a text around it": base64.StdEncoding.EncodeToString([]byte("user:" + secret + "\n")),
			"base64 at another place":    base64.URLEncoding.EncodeToString([]byte("ab" + secret + "cd")),
			"twice":                      secret + secret, "crlf": strings.ReplaceAll(secret, "\n", "\r\n"),
		} {
			got := r.Mask("before " + text + " after")
			if !strings.HasPrefix(got, "before ") || !strings.HasSuffix(got, " after") {
				t.Errorf("%s of %q: the text around is gone: %q", name, secret, got)
			}
			if !strings.Contains(got, Mask) {
				t.Errorf("%s of %q is not masked: %q", name, secret, got)
			}
			for _, line := range strings.Split(secret, "\n") {
				if len(line) >= 8 && !strings.HasPrefix(line, "-----") && strings.Contains(got, line) {
					t.Errorf("%s of %q: %q is left of it: %q", name, secret, line, got)
				}
			}
		}
		for _, line := range strings.Split(secret, "\n") {
			if len(line) >= 8 && !strings.HasPrefix(line, "-----") && strings.Contains(r.Mask("x "+line), line) {
				t.Errorf("line %q of a secret is not masked", line)
			}
		}
	}
}

func TestRedactorLeavesOthers(t *testing.T) {
	r := NewRedactor()
	r.Add("", "abc", "true", "s3cr3t")
	text := "abc is true: nothing to hide, s3cr3"
	if got := r.Mask(text); got != text {
		t.Errorf("Mask(%q) = %q", text, got)
	}
	v := value.D("a", value.NewList(value.S("x"), value.Int(1)), "b", value.Float(2))
	if got := r.Value(v); got != value.Value(v) {
		t.Error("a value without secrets was copied")
	}
	masked := r.Value(value.D("k s3cr3t", value.NewList(value.S("is s3cr3t"), value.Int(1)))).(*value.Dict)
	if got := value.Repr(masked); got != "{'k ********': ['is ********', 1]}" {
		t.Errorf("masked value: %s", got)
	}
}

func TestRedactorURLs(t *testing.T) {
	r := NewRedactor()
	for in, want := range map[string]string{
		"get https://bob:pw@host/x failed":              "get https://bob:" + Mask + "@host/x failed",
		"https://host/a@b and http://u:p@q@h":           "https://host/a@b and http://u:" + Mask + "@h",
		"https://bob@host":                              "https://bob@host",
		"http://[::1]:80/x a:b@c":                       "http://[::1]:80/x a:b@c",
		"git clone https://x:y@h 'https://z:w@h/r.git'": "git clone https://x:" + Mask + "@h 'https://z:" + Mask + "@h/r.git'",
	} {
		if got := r.Mask(in); got != want {
			t.Errorf("Mask(%q) = %q, want %q", in, got, want)
		}
	}
}

// A megabyte that is full of beginnings of many secrets is masked, at its end too.
func TestRedactorOfMuchText(t *testing.T) {
	r := NewRedactor()
	for i := range 200 {
		r.Add(fmt.Sprintf("secret number %d of many", i))
	}
	text := strings.Repeat("secret number ", 80_000)
	if got, want := r.Mask(text+"secret number 7 of many"), text+Mask; got != want {
		t.Errorf("got %d bytes that end in %q, want %d", len(got), got[len(got)-40:], len(want))
	}
}

// BenchmarkRedactor masks a megabyte that is full of beginnings of many secrets.
func BenchmarkRedactor(b *testing.B) {
	r := NewRedactor()
	for i := range 200 {
		r.Add(fmt.Sprintf("secret number %d of many", i))
	}
	text := strings.Repeat("secret number ", 80_000)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		r.Mask(text)
	}
}

func FuzzRedactor(f *testing.F) {
	f.Add("hunter2!", "the password is hunter2!")
	f.Fuzz(func(t *testing.T, secret, text string) {
		r := NewRedactor()
		r.Add(secret)
		if got := r.Mask(text + secret + text); worthMasking(secret) && !strings.Contains(Mask, secret) && strings.Contains(got, secret) &&
			!strings.Contains(Mask+text+Mask, secret) {
			t.Errorf("%q is left in %q", secret, got)
		}
	})
}

// TestEventsAreMasked fills every field of every event that can hold text.
func TestEventsAreMasked(t *testing.T) {
	const s = "tops3cret"
	r := NewRedactor()
	r.Add(s)
	d := source.Diagnostic{Msg: s, Hint: s, Related: []source.Diagnostic{{Msg: s}}}
	diff := modules.Diff{BeforeHeader: s, AfterHeader: s, Before: s, After: s, Prepared: s}
	res := Result{
		Msg: s, Steps: []modules.StepResult{{Title: s, Diff: &diff}}, Diffs: []modules.Diff{diff}, Warnings: []string{s},
		Deprecations: []string{s}, Value: value.D("a", value.S(s)), Args: value.D("b", value.NewList(value.S(s))), Cause: d,
		Failure: &modules.Failure{Msg: s, Cmd: []string{s}, Stdout: s, Stderr: s, Hint: s},
	}
	for _, ev := range []Event{
		PlayStart{Name: s},
		NoHosts{Play: s},
		TaskStart{Name: s, Args: s},
		HostStart{Item: s},
		HostLine{Line: s},
		ItemDone{Label: s, Result: res},
		Retry{Item: s, Result: res},
		TaskDone{Result: res},
		Included{File: s, Label: s},
		Notified{Handlers: []string{s}},
		Warning{Diagnostic: d},
		RunDone{Stats: value.D("x", value.S(s))},
	} {
		text, err := json.Marshal(r.event(ev))
		must(t, err)
		got := string(text)
		switch ev := r.event(ev).(type) { // values have no JSON of their own
		case TaskDone:
			got += value.Repr(ev.Result.Value) + value.Repr(ev.Result.Args)
		case ItemDone:
			got += value.Repr(ev.Result.Value)
		case RunDone:
			got += value.Repr(ev.Stats)
		}
		if strings.Contains(got, s) {
			t.Errorf("%T shows the secret: %s", ev, got)
		}
	}
	if res.Value.Len() != 1 || value.Repr(res.Value) != "{'a': 'tops3cret'}" {
		t.Error("masking changed the registered value")
	}
}

// TestSecretsOfARun plants secrets where runs meet them and looks at all events.
func TestSecretsOfARun(t *testing.T) {
	ar := txtar.Parse([]byte(`
-- hosts --
web1 ansible_password=connsecret1 ansible_become_password=becomesecret2
-- site.yml --
- hosts: all
  tasks:
    - command: echo {{ vaulted }}
      register: r
      environment: {TOKEN: "{{ vaulted }}"}
    - debug: {var: r}
    - debug: {msg: "{{ vaulted | b64encode }} {{ vaulted | quote }} {{ vaulted | urlencode }} {{ {'a': vaulted} | to_json }}"}
    - fail: {msg: "cannot use {{ vaulted }}"}
      ignore_errors: true
    - debug: {msg: "{{ item }}"}
      loop: ["{{ vaulted }}"]
    - command: echo hiddenoutput3
      no_log: true
      register: hidden
    - debug: {var: hidden}
    - debug: {msg: "{{ hidden.stdout }} {{ ansible_password }}"}
    - command: line {{ vaulted }}
    - debug: {msg: "{{ nothing[vaulted] }}"}
      ignore_errors: true
`))
	f := newFixture(t, ar.Files, []string{"extra=vaulted:it's a \"vaulted\" secret\nof two lines"})
	f.cfg.Redactor = NewRedactor()
	f.cfg.Redactor.Add("it's a \"vaulted\" secret\nof two lines")
	done, err := f.run()
	must(t, err)
	if len(done.Failed) > 0 {
		t.Fatalf("the run failed:\n%s", f.log.text(done, err))
	}
	var all strings.Builder
	for _, ev := range f.log.events {
		fmt.Fprintf(&all, "%+v\n", ev)
		if td, ok := ev.(TaskDone); ok && td.Result.Value != nil {
			all.WriteString(value.Repr(td.Result.Value) + "\n")
		}
	}
	text := all.String()
	for _, secret := range []string{"vaulted\" secret", "of two lines", "hiddenoutput3", "connsecret1", "becomesecret2", "vaulted%22"} {
		if i := strings.Index(text, secret); i >= 0 {
			t.Errorf("%q is shown: …%s…", secret, text[max(0, i-200):min(len(text), i+100)])
		}
	}
	if !strings.Contains(text, Mask) {
		t.Error("nothing was masked: the test plants nothing")
	}
}

func BenchmarkMask(b *testing.B) {
	r := NewRedactor()
	for range 50 {
		r.Add(fmt.Sprintf("secret-%x", rand.Uint64()))
	}
	text := strings.Repeat("a line of output of a command that says nothing much\n", 200)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		r.Mask(text)
	}
}
