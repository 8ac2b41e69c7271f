package modules

import (
	"slices"
	"strings"
	"testing"
)

func TestLinesAreWhole(t *testing.T) {
	long := strings.Repeat("x", maxLine+1)
	for _, c := range []struct {
		name, in string
		want     []string
	}{
		{"lines", "one\ntwo\n", []string{"one", "two"}},
		{"no end of line", "one\ntwo", []string{"one", "two"}},
		{"empty lines", "\n\none\n", []string{"", "", "one"}},
		{"carriage returns", "one\r\n10%\r20%\r30%\n", []string{"one", "30%"}},
		{"no part of a line that is too long", "one\n" + long + "secret\ntwo\n", []string{"one", "two"}},
		{"nothing", "", nil},
	} {
		for _, size := range []int{1, 2, 7, 1 << 20} {
			var got []string
			w := Lines(func(line string) { got = append(got, line) })
			for rest := c.in; rest != ""; rest = rest[min(size, len(rest)):] {
				if _, err := w.Write([]byte(rest[:min(size, len(rest))])); err != nil {
					t.Fatal(err)
				}
			}
			w.Close()
			if !slices.Equal(got, c.want) {
				t.Errorf("%s in pieces of %d: %q, want %q", c.name, size, got, c.want)
			}
		}
	}
}
