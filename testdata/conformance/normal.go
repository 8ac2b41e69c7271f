package conformance

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// varying is what differs from run to run, and what to write in its place.
var varying = []struct {
	re   *regexp.Regexp
	with string
}{
	{regexp.MustCompile(`"(delta|start|end)":( ?)"[^"]*"`), `"$1":$2"…"`},
	{regexp.MustCompile(`ansible-tmp-[0-9.]+-[0-9]+-[0-9]+`), "ansible-tmp"},
	{regexp.MustCompile(`ansible-local-[0-9a-z_]+/tmp[0-9a-z_]+`), "ansible-local/tmp"},
	{regexp.MustCompile(`\bj[0-9]+\.[0-9]+\b`), "jID"},
	{regexp.MustCompile(`"timedout": \{"frame": "[^"]*", `), `"timedout": {`},
	// What moves a terminal's cursor.
	{regexp.MustCompile(`\r\n`), "\n"},
	// Python's tracebacks.
	{regexp.MustCompile(`An exception occurred during task execution[^\n]*\n`), ""},
	// SSH clients have their own words.
	{regexp.MustCompile(`(UNREACHABLE! => \{"changed": false, "msg": )"(?:[^"\\]|\\.)*"`), `$1"…"`},
	// How a command is called is for its own help to say.
	{regexp.MustCompile(`(?s)^usage: .*`), "usage\n"},
}

// listed are sets that Python prints in no order.
var listed = regexp.MustCompile(`(following modules: )([\w., ]+)`)

func normal(text, work string) string {
	text = strings.ReplaceAll(text, work, "$WORK")
	text = strings.ReplaceAll(text, filepath.Dir(work), "$HOME")
	text = listed.ReplaceAllStringFunc(text, func(s string) string {
		m := listed.FindStringSubmatch(s)
		names := strings.Split(m[2], ", ")
		slices.Sort(names)
		return m[1] + strings.Join(names, ", ")
	})
	for _, v := range varying {
		text = v.re.ReplaceAllString(text, v.with)
	}
	return text
}

func normalStdout(text, work string) string {
	// txtar ends every file with a line feed.
	if text = normal(text, work); text != "" {
		text = strings.TrimRight(text, "\n") + "\n"
	}
	return text
}

var message = regexp.MustCompile(`^(\[(DEPRECATION )?WARNING\]:|ERROR! |\[ERROR\]:)`)

// normalStderr undoes the folding of warnings, which depends on the length of paths.
func normalStderr(text, work string) string {
	var out []string
	folded := false
	for _, line := range strings.Split(strings.TrimRight(normal(text, work), "\n"), "\n") {
		switch {
		case message.MatchString(line):
			folded = strings.Contains(line, "WARNING]")
			out = append(out, line)
		case line == "":
			folded = false
		case folded:
			last := &out[len(out)-1]
			if strings.HasSuffix(*last, "-") {
				*last += line
			} else {
				*last = strings.TrimRight(*last, " ") + " " + line
			}
		default:
			out = append(out, strings.TrimRight(line, " "))
		}
	}
	if text := strings.Join(out, "\n"); text != "" {
		return text + "\n"
	}
	return ""
}

var (
	heading = regexp.MustCompile(`^(PLAY|TASK|RUNNING HANDLER|PLAY RECAP)(?: \[(.*)\])? \*+$`)
	state   = regexp.MustCompile(`^(ok|changed|skipping|fatal|failed): \[([^\]]+)\](?:: (FAILED|UNREACHABLE)!)?( => \(item=.*?\))?(?: => .*)?$`)
	include = regexp.MustCompile(`^included: (\S+) for (.*)$`)
)

// statuses lists what each task came to on each host, in the order of the hosts' names,
// each host's tasks in theirs: what the default callback says, without its words.
func statuses(stdout string) string {
	var (
		task  string
		recap bool
		hosts []string
		lines = map[string][]string{}
	)
	add := func(host, format string, args ...any) {
		if _, ok := lines[host]; !ok {
			hosts = append(hosts, host)
		}
		lines[host] = append(lines[host], fmt.Sprintf(format, args...))
	}
	last := ""
	for line := range strings.Lines(stdout) {
		line = strings.TrimRight(line, "\n")
		if m := heading.FindStringSubmatch(line); m != nil {
			task, recap = strings.TrimSpace(m[1]+" "+m[2]), m[1] == "PLAY RECAP"
			continue
		}
		if host, counts, ok := strings.Cut(line, " : ok="); recap && ok {
			add(strings.TrimSpace(host), "recap: ok=%s", strings.Join(strings.Fields(counts), " "))
			continue
		}
		if m := include.FindStringSubmatch(line); m != nil {
			for host := range strings.SplitSeq(m[2], ", ") {
				add(host, "%s: included", task)
			}
			continue
		}
		if line == "...ignoring" && last != "" {
			entries := lines[last]
			entries[len(entries)-1] += ", ignored"
			continue
		}
		if m := state.FindStringSubmatch(line); m != nil {
			host, _, _ := strings.Cut(m[2], " -> ")
			add(host, "%s: %s%s", task, stateName(m[1], m[3]), strings.TrimPrefix(m[4], " =>"))
			last = host
		}
	}
	slices.Sort(hosts)
	var b strings.Builder
	for _, host := range hosts {
		fmt.Fprintf(&b, "%s\n", host)
		for _, line := range lines[host] {
			fmt.Fprintf(&b, "\t%s\n", line)
		}
	}
	return b.String()
}

func stateName(word, how string) string {
	switch {
	case how == "UNREACHABLE":
		return "unreachable"
	case word == "fatal":
		return "failed"
	case word == "skipping":
		return "skipped"
	}
	return word
}
