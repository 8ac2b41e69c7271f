package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestReport(t *testing.T) {
	file := filepath.Join(t.TempDir(), "cases.jsonl")
	const lines = `{"id":"right","kind":"tmpl","template":"{{ 1 }}","context":{},"opts":{},"expected":"1"}
{"id":"wrong","kind":"tmpl","template":"{{ 1 }}","context":{},"opts":{},"expected":"2"}
{"id":"broken","kind":"tmpl","template":"{{ 1","context":{},"opts":{},"expected":"1"}
{"id":"fine","kind":"tmpl","template":"{{ 1","context":{},"opts":{},"error":["TemplateSyntaxError","x"]}
{"id":"lax","kind":"tmpl","template":"{{ 1 }}","context":{},"opts":{},"error":["TypeError","x"]}
`
	if err := os.WriteFile(file, []byte(lines), 0o600); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	right, err := report(&b, file, true)
	if err != nil || right {
		t.Fatal(right, err)
	}
	got := strings.ReplaceAll(b.String(), file, "FILE")
	want := `wrong tmpl "{{ 1 }}"
    want "2"
    got  "1"
broken tmpl "{{ 1"
    want "1"
    got error: 1:5: unexpected end of template, expected 'end of print statement'.
lax tmpl "{{ 1 }}"
    want an error: ["TypeError" "x"]
    got  "1"
FILE: 2 passed (40.00 %), 1 failed, 2 silently wrong
`
	if got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	if _, err := report(&b, file+".not", false); err == nil {
		t.Error("a missing file is no error")
	}
}
