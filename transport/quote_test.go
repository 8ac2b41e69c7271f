package transport

import (
	"os/exec"
	"strings"
	"testing"
)

func TestSplit(t *testing.T) {
	for line, want := range map[string][]string{
		"": nil, "  ": nil, "a b": {"a", "b"}, `a\ b 'c d' "e f"`: {"a b", "c d", "e f"}, `''`: {""}, `a''b""c`: {"abc"},
		`"\"\\\$\x"`: {`"\$\x`}, `'a\'`: {`a\`}, "a\n\tb": {"a", "b"}, `-o 'A=b c'`: {"-o", "A=b c"},
	} {
		got, err := Split(line)
		if err != nil || strings.Join(got, "\x00") != strings.Join(want, "\x00") || len(got) != len(want) {
			t.Errorf("%q: %q, %v; want %q", line, got, err, want)
		}
	}
	for _, line := range []string{`'`, `"`, `a\`, `"a\"`, `'a`} {
		if got, err := Split(line); err == nil {
			t.Errorf("%q: %q", line, got)
		}
	}
}

// FuzzQuote: what is quoted is one word again, and the shell agrees.
func FuzzQuote(f *testing.F) {
	for _, seed := range []string{"", "a b", "it's", "\n", "!$`\\\"", "-n", "\xff", "~"} {
		f.Add(seed, seed)
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		if strings.ContainsRune(a+b, 0) {
			return
		}
		words, err := Split(Quote(a, b))
		if err != nil || len(words) != 2 || words[0] != a || words[1] != b {
			t.Fatalf("%q, %q came back as %q, %v", a, b, words, err)
		}
		out, err := exec.Command("/bin/sh", "-c", "printf '%s|%s' "+Quote(a, b)).Output()
		if err != nil || string(out) != a+"|"+b {
			t.Fatalf("the shell made %q of %q, %q: %v", out, a, b, err)
		}
	})
}

// FuzzEncode: printf makes the text again, and no byte of it means anything to any shell.
func FuzzEncode(f *testing.F) {
	for _, seed := range []string{"", "cd /x && exec y", "%s!'\"\n\\012", "-n", "\x7f\x80\xff", endOfLines} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.ContainsRune(text, 0) || text == "" {
			return
		}
		line := encode(text)
		if strings.ContainsAny(line, "'\"!$`%\n\r~#*?^") || line == endOfLines || line[0] == '-' {
			t.Fatalf("%q is encoded as %q", text, line)
		}
		out, err := exec.Command("/bin/sh", "-c", `printf "`+line+`"`).Output()
		if err != nil || string(out) != text {
			t.Fatalf("printf made %q of %q: %v", out, text, err)
		}
	})
}
