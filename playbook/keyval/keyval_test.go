package keyval_test

import (
	"strings"
	"testing"

	"orch/playbook/keyval"
)

func TestParse(t *testing.T) {
	for in, want := range map[string]string{
		"a=b c=d":                                "a=b|c=d|",
		"src=a  dest='b c'":                      "src=a|dest=b c|",
		`msg="x \"y\" z"`:                        `msg=x "y" z|`,
		"echo a=b  c":                            "echo a=b  c shell",
		"echo hi creates=/x chdir=/y":            "creates=/x|chdir=/y|echo hi",
		"foo.yml a=1":                            "a=1|foo.yml",
		"msg={{ a b }}":                          "msg={{ a b }}|",
		"msg={{ a }} b={% if x %}y z{% endif %}": "msg={{ a }}|b={% if x %}y|z{% endif %}",
		`a=x\ny`:                                 "a=x\ny|",
		`x\=y`:                                   "x=y",
		"line one \\\n  two":                     "line one  two",
		"a\n  b":                                 "a\n  b",
		"msg='a\n b' c=d":                        "msg=a\n b|c=d|",
		"=x":                                     "=x",
		"a=":                                     "a=|",
		"  lead":                                 "  lead",
		`a="b=c"`:                                "a=b=c|",
		`p=C:\\x`:                                `p=C:\x|`,
		`u=\u00e9`:                               "u=é|",
	} {
		var only []string
		if strings.HasPrefix(in, "echo") {
			only = []string{"creates", "chdir"}
		}
		pairs, free, _, err := keyval.Parse(in, only)
		if err != nil {
			t.Errorf("%q: %v", in, err)
			continue
		}
		var got strings.Builder
		for _, p := range pairs {
			got.WriteString(p.Key + "=" + p.Val + "|")
		}
		got.WriteString(free)
		if strings.TrimSuffix(want, " shell") != got.String() {
			t.Errorf("%q:\n got %q\nwant %q", in, got.String(), want)
		}
	}
	for _, in := range []string{`a="b`, "{{ a", "it's"} {
		if _, _, _, err := keyval.Parse(in, nil); err == nil {
			t.Errorf("%q is balanced?", in)
		}
	}
}

// TestPlaces checks where pairs and the free form begin.
func TestPlaces(t *testing.T) {
	const in = "run a='b c' it"
	pairs, free, at, err := keyval.Parse(in, nil)
	if err != nil || free != "run it" || at != 0 || len(pairs) != 1 {
		t.Fatal(pairs, free, at, err)
	}
	if p := pairs[0]; in[p.At:p.At+1] != "a" || in[p.ValAt:p.ValAt+3] != "b c" {
		t.Errorf("the pair is at %d, its value at %d", p.At, p.ValAt)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"a=b c", `a="b \" c" {{ d`, "x\\=y \\\n z", "a='\\u00e9'"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		pairs, _, freeAt, err := keyval.Parse(in, nil)
		if err != nil {
			return
		}
		for _, p := range pairs {
			if p.At < 0 || p.At > len(in) || freeAt > len(in) {
				t.Errorf("%q: a place outside: %+v, %d", in, p, freeAt)
			}
		}
	})
}
