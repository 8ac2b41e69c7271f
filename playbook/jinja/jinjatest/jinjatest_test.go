package jinjatest

import (
	"strings"
	"testing"
)

func TestJudgement(t *testing.T) {
	const lines = `{"id":"1","kind":"tmpl","template":"{{ a }}","context":{"a":1},"opts":{},"expected":"1"}

{"id":"2","kind":"expr","template":"[a, 'x']","context":{"a":1},"opts":{},"expected":"[1, 'x']","expected_native":[1,"x"]}
{"id":"3","kind":"expr","template":"a","context":{"a":1},"opts":{},"expected":"1","expected_native":"1"}
{"id":"4","kind":"tmpl","template":"{{ a }}","context":{},"opts":{"undefined":"StrictUndefined"},"error":["UndefinedError","x"]}
{"id":"5","kind":"tmpl","template":"{{ a }}","context":{},"opts":{},"error":["UndefinedError","x"]}
{"id":"6","kind":"tmpl","template":"{{ a","context":{},"opts":{},"expected":"x"}
{"kind":"tmpl","template":"{{ a }}","context":{},"opts":{},"expected":"x"}
{"id":"8","kind":"tmpl","template":"{{ '/a/b'|basename }}{{ 'yes'|bool }}{{ {'failed': true} is failed }}{{ '1.10' is version('1.9', '>') }}{{ [1,2]|difference([2]) }}{{ true|ternary(1, 2) }}","context":{},"opts":{"ansible":true},"expected":"bTrueTrueTrue[1]1"}
{"id":"9","kind":"tmpl","template":"{% include 'x' %}","templates":{"x":"y"},"context":{},"opts":{"extensions":["jinja2.ext.do"]},"expected":"y"}
{"id":"10","kind":"tmpl","template":"","context":{},"opts":{"undefined":"Strange"},"expected":""}
{"id":"11","kind":"tmpl","template":"","context":{},"opts":{"extensions":["i18n"]},"expected":""}
`
	cases, err := Load(strings.NewReader(lines))
	if err != nil {
		t.Fatal(err)
	}
	want := []Verdict{Passed, Passed, Wrong, Passed, Wrong, Failed, Wrong, Passed, Passed, Failed, Failed}
	if len(cases) != len(want) {
		t.Fatalf("%d cases", len(cases))
	}
	for i := range cases {
		if r := cases[i].Run(); r.Verdict != want[i] {
			t.Errorf("%s: verdict %d, want %d (%q %v)", cases[i].ID, r.Verdict, want[i], r.Got, r.Err)
		}
	}
	if cases[6].ID != "line 8" {
		t.Errorf("a case without id is called %q", cases[6].ID)
	}
	if _, err := Load(strings.NewReader("{")); err == nil || !strings.HasPrefix(err.Error(), "line 1: ") {
		t.Errorf("a bad line: %v", err)
	}
}
