package report

import (
	"fmt"
	"strings"

	"orch/playbook/source"
)

// Excerpt is what Ansible adds to a message whose place it knows: the file and the line
// with the one before it. Its paragraphs of advice are left out. lines returns the lines of
// an author's file.
func Excerpt(pos source.Pos, lines func(file string) []string) string {
	if pos.File == "" || pos.Line == 0 {
		return ""
	}
	text := whereabouts(pos)
	if lines == nil {
		return text
	}
	all := lines(pos.File)
	n := min(pos.Line, len(all))
	for n > 0 && strings.TrimSpace(all[n-1]) == "" {
		n--
	}
	if n == 0 {
		return text
	}
	line, before := strings.TrimRight(all[n-1], "\r\n"), ""
	if n > 1 {
		before = strings.TrimRight(all[n-2], " \t\r\n")
	}
	const shown = "\nThe offending line appears to be:\n\n"
	if keyValue().MatchString(before) {
		at := strings.Index(before, "=") + 1
		text = whereabouts(source.Pos{File: pos.File, Line: pos.Line - 1, Col: at}) + shown + before + "\n" + arrow(at) + "\n"
	} else {
		text += shown + before + "\n" + strings.TrimRight(line, " \t") + "\n" + arrow(pos.Col) + "\n"
	}
	return text
}

func whereabouts(pos source.Pos) string {
	return fmt.Sprintf("\n\nThe error appears to be in '%s': line %d, column %d, but may\n"+
		"be elsewhere in the file depending on the exact syntax problem.\n", source.Absolute(pos.File), pos.Line, pos.Col)
}

func arrow(col int) string { return strings.Repeat(" ", max(0, col-1)) + "^ here" }

// keyValue is what Ansible takes for k=v arguments: where the line before has it, it
// points there.
var keyValue = source.Lazy(`[\pL\pN_]+\s*=\s*[\pL\pN_/-]+`)
