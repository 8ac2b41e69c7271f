package pyre_test

import (
	"errors"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"orch/playbook/oracle"
	"orch/playbook/pyre"
)

func compile(t *testing.T, pattern string, flags pyre.Flags) *pyre.Regexp {
	t.Helper()
	re, err := pyre.Compile(pattern, flags)
	if err != nil {
		t.Fatalf("%q: %v", pattern, err)
	}
	return re
}

func TestErrors(t *testing.T) {
	for _, c := range []struct {
		pattern string
		flags   pyre.Flags
		want    string
	}{
		{"(", 0, "missing ), unterminated subpattern at position 0"},
		{"a)", 0, "unbalanced parenthesis at position 1"},
		{"*a", 0, "nothing to repeat at position 0"},
		{"^*", 0, "nothing to repeat at position 1"},
		{"a**", 0, "multiple repeat at position 2"},
		{"a{3,1}", 0, "min repeat greater than max repeat at position 2"},
		{"a{99999999999}", 0, "the repetition number is too large"},
		{"[a", 0, "unterminated character set at position 0"},
		{"[b-a]", 0, "bad character range b-a at position 1"},
		{`[\w-a]`, 0, `bad character range \w-a at position 1`},
		{`\`, 0, "bad escape (end of pattern) at position 0"},
		{`\q`, 0, `bad escape \q at position 0`},
		{`\x1`, 0, `incomplete escape \x1 at position 0`},
		{`\400`, 0, `octal escape value \400 outside of range 0-0o377 at position 0`},
		{`\1`, 0, "invalid group reference 1 at position 1"},
		{`(\1)`, 0, "cannot refer to an open group at position 1"},
		{"(?P<1>a)", 0, "bad character in group name '1' at position 4"},
		{"(?P<a>a)(?P<a>a)", 0, "redefinition of group name 'a' as group 2; was group 1 at position 12"},
		{"(?P=a)", 0, "unknown group name 'a' at position 4"},
		{"(?(2)a)", 0, "invalid group reference 2 at position 3"},
		{"(?(0)a)", 0, "bad group number at position 3"},
		{"(?<=a*)b", 0, "look-behind requires fixed-width pattern"},
		{"(?<=a|bc)b", 0, "look-behind requires fixed-width pattern"},
		{`(?<=(a)\1)b`, 0, "cannot refer to group defined in the same lookbehind subpattern at position 9"},
		{"a(?i)b", 0, "global flags not at the start of the expression at position 1"},
		{"(?L)a", 0, "bad inline flags: cannot use 'L' flag with a str pattern at position 3"},
		{"(?au)a", 0, "bad inline flags: flags 'a', 'u' and 'L' are incompatible at position 4"},
		{"(?i-i:a)", 0, "bad inline flags: flag turned on and off at position 5"},
		{"(?z)", 0, "unknown extension ?z at position 1"},
		{"a\n(b", 0, "missing ), unterminated subpattern at position 2 (line 2, column 1)"},
		{`\N{DASH}`, 0, `character names are not supported: \N{DASH} at position 0`},
		{"a", pyre.ASCII | pyre.Unicode, "ASCII and UNICODE flags are incompatible"},
		{"a", pyre.Locale, "cannot use LOCALE flag with a str pattern"},
		{"a", pyre.Bytes | pyre.Unicode, "cannot use UNICODE flag with a bytes pattern"},
		{strings.Repeat("(", 500) + strings.Repeat(")", 500), 0, "groups are nested more than 400 deep at position 401"},
	} {
		_, err := pyre.Compile(c.pattern, c.flags)
		if err == nil || err.Error() != c.want {
			t.Errorf("%q: got %v, want %s", c.pattern, err, c.want)
		}
	}
}

func TestSub(t *testing.T) {
	for _, c := range []struct{ pattern, repl, text, want string }{
		{"a", "b", "banana", "bbnbnb"},
		{"x*", "-", "abxd", "-a-b--d-"},
		{`(?P<k>\w+)=(\w*)`, `\g<2>=\g<k>`, "a=1 b=2", "1=a 2=b"},
		{`(a)|b`, `[\1]`, "ab", "[a][]"},
		{"a", `\\\n\t\101\0`, "a", "\\\n\tA\x00"},
		{"^", "> ", "x\ny", "> x\ny"},
		{"(?m)^", "> ", "x\ny", "> x\n> y"},
		{"é", "e", "café\xff", "cafe\xff"},
		{"$", "!", "a\n", "a!\n!"},
	} {
		got, err := compile(t, c.pattern, 0).Sub(c.repl, c.text, 0)
		if err != nil || got != c.want {
			t.Errorf("sub %q by %q in %q: got %q, %v; want %q", c.pattern, c.repl, c.text, got, err, c.want)
		}
	}
	for repl, want := range map[string]string{
		`\2`:     "invalid group reference 2 at position 1",
		`\g<x>`:  "unknown group name 'x'",
		`\g<`:    "missing group name at position 3",
		`\g1`:    "missing < at position 2",
		`\g<1`:   "missing >, unterminated name at position 3",
		`\g<-1>`: "bad character in group name '-1' at position 3",
		`\q`:     `bad escape \q at position 0`,
		`a\`:     "bad escape (end of pattern) at position 1",
	} {
		if _, err := compile(t, "(a)", 0).Sub(repl, "a", 0); err == nil || err.Error() != want {
			t.Errorf("template %q: got %v, want %s", repl, err, want)
		}
	}
	out, n, err := compile(t, "a", 0).Subn("b", "aaaa", 3)
	if out != "bbba" || n != 3 || err != nil {
		t.Errorf("subn: %q %d %v", out, n, err)
	}
}

func TestOffsetsAreBytes(t *testing.T) {
	text := "ärger \xfe über"
	m, err := compile(t, `\b(?P<w>ü\w+)`, 0).Search(text)
	if err != nil || m == nil {
		t.Fatal(m, err)
	}
	start, end := m.Span(1)
	if text[start:end] != "über" || m.Text() != "über" {
		t.Errorf("got %q at %d", text[start:end], start)
	}
	if got, ok, known := m.Named("w"); got != "über" || !ok || !known {
		t.Error(got, ok, known)
	}
	if _, _, known := m.Named("x"); known {
		t.Error("a group x is known")
	}
}

func TestBytes(t *testing.T) {
	re := compile(t, "\xff(.)\\xfe", pyre.Bytes|pyre.DotAll)
	m, err := re.Search("\x00\xff\n\xfe")
	if err != nil || m == nil {
		t.Fatal(m, err)
	}
	if got, _ := m.Group(1); got != "\n" {
		t.Errorf("got %q", got)
	}
	out, err := re.Sub(`\1\377`, "\xff\x80\xfe", 0)
	if err != nil || out != "\x80\xff" {
		t.Errorf("got %q, %v", out, err)
	}
	if m, _ := compile(t, `\w`, pyre.Bytes).Search("\xe9"); m != nil {
		t.Error(`\w of a byte pattern matches beyond ASCII`)
	}
}

func TestTimeLimit(t *testing.T) {
	re := compile(t, "(a+)+$", 0).WithLimit(200 * time.Millisecond)
	began := time.Now()
	_, err := re.Search(strings.Repeat("a", 60) + "b")
	var late *pyre.TimeoutError
	if !errors.As(err, &late) || time.Since(began) > 5*time.Second {
		t.Errorf("got %v after %s", err, time.Since(began))
	}
}

func TestSplitAndEscape(t *testing.T) {
	fields, err := compile(t, "(,)|;", 0).Split("a,b;c", 0)
	want := []pyre.Field{{"a", true}, {",", true}, {"b", true}, {"", false}, {"c", true}}
	if err != nil || !slices.Equal(fields, want) {
		t.Errorf("got %v, %v", fields, err)
	}
	if got := pyre.Escape("a.b [ü]\n#&~-"); got != `a\.b\ \[ü\]`+"\\\n"+`\#\&\~\-` {
		t.Errorf("escape: %q", got)
	}
}

func TestConcurrentUse(t *testing.T) {
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			re, err := pyre.Compile(`(\w+)@(\w+)`, pyre.IgnoreCase)
			if err != nil {
				t.Error(err)
				return
			}
			if m, err := re.Search("x me@host y"); err != nil || m.Text() != "me@host" {
				t.Error(m, err)
			}
		})
	}
	wg.Wait()
}

// FuzzOracle is the open-ended form of TestOracle; without python3 it looks for panics.
func FuzzOracle(f *testing.F) {
	for _, s := range []string{"a|b", "(?P<x>a)(?P=x)", "[^a-z]+?", `(?i)ß\b`, "(?(1)a|b)", "(?<=ab)c{,2}"} {
		f.Add(s, "abc ABC", `<\1>`, 0)
	}
	var o *oracle.Process
	if _, err := os.Stat(oracle.Python); err == nil {
		o = startOracle(f)
	}
	f.Fuzz(func(t *testing.T, pattern, text, repl string, flags int) {
		q := question{
			Pattern: strings.ToValidUTF8(pattern, "?"), Text: strings.ToValidUTF8(text, "?"),
			Repl: strings.ToValidUTF8(repl, "?"), Flags: flags & (2 | 8 | 16 | 64 | 256),
		}
		got := ours(q)
		// Names of characters, and what CPython 3.11.2 gets wrong, are left out.
		if o == nil || strings.Contains(pattern, `\N`) || strings.Contains(pattern, ")?+") ||
			strings.Contains(pattern, ")*+") || strings.Contains(pattern, ")++") || strings.Contains(pattern, "}+") {
			return
		}
		same(t, q, got, ask(t, o, q))
	})
}
