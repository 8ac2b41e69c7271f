package report

import (
	"slices"
	"testing"
)

// TestChunks holds words to be cut where Python's textwrap cuts them.
func TestChunks(t *testing.T) {
	for text, want := range map[string][]string{
		"a well-known case":      {"a", " ", "well-", "known", " ", "case"},
		"/tmp/i-name/x":          {"/tmp/i-name/x"},
		"e-mail x-y-zed":         {"e-mail", " ", "x-y-", "zed"},
		"--option -v -vv":        {"--option", " ", "-v", " ", "-vv"},
		"this--or that --- else": {"this", "--", "or", " ", "that", " ", "---", " ", "else"},
		"ansible-core2 a1-b2":    {"ansible-", "core2", " ", "a1-b2"},
		"-":                      {"-"},
	} {
		if got := chunksOf(text); !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
