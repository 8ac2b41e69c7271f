package main

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"orch/playbook"
	"orch/testdata/conformance"
)

// TestConformance runs the recorded cases under Ansible's names and expects what Ansible
// did. A case that says why it differs expects what was written down of orch, and that
// this still differs.
func TestConformance(t *testing.T) {
	cases, err := conformance.Load("../../testdata/conformance")
	if err != nil {
		t.Fatal(err)
	}
	env := []string{"PATH=" + os.Getenv("PATH")}
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			if c.Recorded == "" {
				t.Fatal("nothing is recorded: see testdata/conformance/record")
			}
			got, err := c.Run(t.Context(), env)
			if err != nil {
				t.Fatal(err)
			}
			want := c.Want("want")
			if c.Differs != "" {
				if compare(c, want, got) == "" {
					t.Errorf("does what Ansible does: take out %q", "differs: "+c.Differs)
				}
				if *update {
					if err := c.Save("orch", got); err != nil {
						t.Fatal(err)
					}
				}
				want = c.Want("orch")
			}
			if diff := compare(c, want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestKeywordsHaveCases holds that every keyword of the language is used by a case.
func TestKeywordsHaveCases(t *testing.T) {
	cases, err := conformance.Load("../../testdata/conformance")
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for _, c := range cases {
		text.WriteString(c.Project())
	}
	for _, word := range playbook.Words() {
		if !regexp.MustCompile(`(?m)(^|[\s{,-])` + word + `:`).MatchString(text.String()) {
			t.Errorf("no case uses the keyword %q", word)
		}
	}
}

// compare says how two runs of a case differ: first in what the tasks came to.
func compare(c *conformance.Case, want, got []conformance.Outcome) string {
	text := ""
	for i, command := range c.Commands {
		w, g := want[i], got[i]
		if c.Unordered {
			w.Stdout, g.Stdout = "", ""
		}
		for _, part := range []struct{ what, want, got string }{
			{"status", w.Status, g.Status}, {"stdout", w.Stdout, g.Stdout}, {"stderr", w.Stderr, g.Stderr},
		} {
			if diff := cmp.Diff(part.want, part.got); diff != "" {
				text += "$ " + command + "\n" + part.what + " (-want +got):\n" + diff
			}
		}
	}
	return text
}
