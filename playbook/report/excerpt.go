package report

import (
	"fmt"
	"regexp"
	"strings"

	"orch/playbook/source"
)

// Excerpt is what Ansible adds to a message whose place it knows: the file, the line with
// the one before it, and advice about what it thinks of the line. lines returns the lines
// of an author's file.
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
	if keyValue.MatchString(before) {
		at := strings.Index(before, "=") + 1
		text = whereabouts(source.Pos{File: pos.File, Line: pos.Line - 1, Col: at}) + shown + before + "\n" + arrow(at) + "\n\n" + shorthandAdvice
	} else {
		text += shown + before + "\n" + strings.TrimRight(line, " \t") + "\n" + arrow(pos.Col) + "\n"
	}
	return text + advice(line, pos.Col)
}

func whereabouts(pos source.Pos) string {
	return fmt.Sprintf("\n\nThe error appears to be in '%s': line %d, column %d, but may\n"+
		"be elsewhere in the file depending on the exact syntax problem.\n", absolute(pos.File), pos.Line, pos.Col)
}

func arrow(col int) string { return strings.Repeat(" ", max(0, col-1)) + "^ here" }

// keyValue is what Ansible takes for k=v arguments: where the line before has it, it
// points there.
var keyValue = regexp.MustCompile(`[\pL\pN_]+\s*=\s*[\pL\pN_/-]+`)

// advice is what Ansible says about a line it points at, by ansible-core 2.18's rules:
// they look at the line alone, wherever the mistake is.
func advice(line string, col int) string {
	text := ""
	if strings.Contains(line, "\t") {
		text = tabAdvice
	}
	switch packed := strings.ReplaceAll(line, " ", ""); {
	case strings.Contains(line, "{{") && strings.Contains(line, "}}") && !(strings.Contains(line, `"{{`) && strings.Contains(line, "'{{")):
		return text + bracesAdvice
	case strings.Contains(packed, ":{{") && strings.Contains(packed, "}}"):
		return text + mappingAdvice
	}
	if rs := []rune(line); len(rs) > max(1, col-1) && col < len(rs) && rs[col] == ':' && strings.Count(line, ":") > 1 {
		return text + colonAdvice
	}
	return text + quoteAdvice(line)
}

func quoteAdvice(line string) string {
	parts := strings.Split(line, ":")
	if len(parts) < 2 {
		return ""
	}
	val, text := strings.TrimSpace(parts[1]), ""
	for _, q := range []string{"'", `"`} {
		if strings.HasPrefix(val, q) && !strings.HasSuffix(val, q) {
			text = halfQuotedAdvice
		}
	}
	quoted := val != "" && strings.ContainsAny(val[:1], `"'`) && strings.ContainsAny(val[len(val)-1:], `"'`)
	if quoted && strings.Count(line, "'") > 2 || strings.Count(line, `"`) > 2 {
		text += unbalancedAdvice
	}
	return text
}

// What ansible-core 2.18 prints, to the letter.
const (
	shorthandAdvice = "There appears to be both 'k=v' shorthand syntax and YAML in this task. Only one syntax may be used.\n"

	tabAdvice = `There appears to be a tab character at the start of the line.

YAML does not use tabs for formatting. Tabs should be replaced with spaces.

For example:
    - name: update tooling
      vars:
        version: 1.2.3
#    ^--- there is a tab there.

Should be written as:
    - name: update tooling
      vars:
        version: 1.2.3
# ^--- all spaces here.
`

	bracesAdvice = `We could be wrong, but this one looks like it might be an issue with
missing quotes. Always quote template expression brackets when they
start a value. For instance:

    with_items:
      - {{ foo }}

Should be written as:

    with_items:
      - "{{ foo }}"
`

	mappingAdvice = `This one looks easy to fix. YAML thought it was looking for the start of a
hash/dictionary and was confused to see a second "{". Most likely this was
meant to be an ansible template evaluation instead, so we have to give the
parser a small hint that we wanted a string instead. The solution here is to
just quote the entire value.

For instance, if the original line was:

    app_path: {{ base_path }}/foo

It should be written as:

    app_path: "{{ base_path }}/foo"
`

	colonAdvice = `This one looks easy to fix. There seems to be an extra unquoted colon in the line
and this is confusing the parser. It was only expecting to find one free
colon. The solution is just add some quotes around the colon, or quote the
entire line after the first colon.

For instance, if the original line was:

    copy: src=file.txt dest=/path/filename:with_colon.txt

It can be written as:

    copy: src=file.txt dest='/path/filename:with_colon.txt'

Or:

    copy: 'src=file.txt dest=/path/filename:with_colon.txt'
`

	halfQuotedAdvice = `This one looks easy to fix. It seems that there is a value started
with a quote, and the YAML parser is expecting to see the line ended
with the same kind of quote. For instance:

    when: "ok" in result.stdout

Could be written as:

   when: '"ok" in result.stdout'

Or equivalently:

   when: "'ok' in result.stdout"
`

	unbalancedAdvice = `We could be wrong, but this one looks like it might be an issue with
unbalanced quotes. If starting a value with a quote, make sure the
line ends with the same set of quotes. For instance this arbitrary
example:

    foo: "bad" "wolf"

Could be written as:

    foo: '"bad" "wolf"'
`
)
