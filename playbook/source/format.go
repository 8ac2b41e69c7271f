package source

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Format renders ds for a person: each message with the source line under it and a mark
// under what is meant, then its hint and further places.
func (ds Diagnostics) Format(files *Files) string {
	var b strings.Builder
	for _, d := range ds {
		d.format(&b, files)
	}
	return b.String()
}

// Format renders d with the source line under it.
func (d Diagnostic) Format(files *Files) string {
	var b strings.Builder
	d.format(&b, files)
	return strings.TrimSuffix(b.String(), "\n")
}

func (d Diagnostic) format(b *strings.Builder, files *Files) {
	b.WriteString(d.String() + "\n")
	d.excerpt(b, files)
	for _, r := range d.Related {
		r.Severity = Error // a further place is no remark of its own
		r.format(b, files)
	}
	for line := range strings.SplitSeq(d.Hint, "\n") {
		if line != "" {
			b.WriteString("hint: " + line + "\n")
		}
	}
}

// maxExcerpt is how many characters of a source line are shown.
const maxExcerpt = 160

func (d Diagnostic) excerpt(b *strings.Builder, files *Files) {
	if files == nil || d.Pos.Line == 0 {
		return
	}
	line, ok := files.Line(d.Pos.File, d.Pos.Line)
	if !ok {
		return
	}
	num := fmt.Sprint(d.Pos.Line)
	chars := []rune(printable(line))
	shift := 0
	if d.Pos.Col > maxExcerpt { // keep what is meant in sight
		shift = min(d.Pos.Col-maxExcerpt/2, len(chars))
	}
	shown := chars[shift:min(len(chars), shift+maxExcerpt)]
	fmt.Fprintf(b, "%s | %s\n", num, strings.TrimRight(string(shown), " \r"))
	if d.Pos.Col == 0 || d.Pos.Col-1-shift > len(shown) {
		return
	}
	col := d.Pos.Col - 1 - shift
	n := max(1, min(d.Len, len(shown)-col))
	fmt.Fprintf(b, "%s | %s^%s\n", strings.Repeat(" ", len(num)), strings.Repeat(" ", col), strings.Repeat("~", n-1))
}

// printable keeps the columns of a line and shows what a terminal would act on as spaces.
func printable(line string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == utf8.RuneError {
			return ' '
		}
		return r
	}, line)
}
