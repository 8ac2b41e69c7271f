package report

import (
	"io"
	"strings"
	"sync"
	"unicode"
)

// A Display says what Ansible says beside its callbacks, on stderr: warnings,
// deprecations and errors, each text once. It is safe for concurrent use.
type Display struct {
	o       Options
	columns int
	// quiet leaves deprecations out.
	quiet bool

	mu  sync.Mutex
	out printer
	log *Log
	// verbose is where -v goes.
	verbose printer
	said    map[string]bool
}

// NewDisplay makes a display that writes to errs, and what -v asks for to out. NoDeprecations and the colour and
// width of o are what it asks of its options.
func NewDisplay(out, errs io.Writer, o AnsibleOptions) *Display {
	verbose := printer{w: out}
	if o.VerboseToStderr {
		verbose.w = errs
	}
	return &Display{
		verbose: verbose, log: o.Log,
		o: o.Options, columns: max(79, o.Width-1), quiet: o.NoDeprecations,
		out: printer{w: errs}, said: map[string]bool{},
	}
}

// Warn prints a warning, wrapped at the width.
func (d *Display) Warn(msg string) {
	d.once(levelWarning, brightPurple, strings.Join(wrap("[WARNING]: "+msg, d.columns, true), "\n"))
}

// Trouble prints an error that does not end the program, wrapped at the width.
func (d *Display) Trouble(msg string) {
	d.once(levelError, red, strings.Join(wrap("\n[ERROR]: "+msg, d.columns, true), "\n"))
}

// Error prints an error as it is.
func (d *Display) Error(text string) {
	d.once(levelError, red, "ERROR! "+strings.TrimSuffix(text, "\n"))
}

// Deprecated prints a deprecation. Like Ansible it tells how to be rid of it.
func (d *Display) Deprecated(msg string) {
	if d.quiet {
		return
	}
	msg = "[DEPRECATION WARNING]: " + msg + " Deprecation warnings can be disabled by setting deprecation_warnings=False in ansible.cfg."
	d.once(levelWarning, purple, strings.Join(wrap(msg, d.columns, false), "\n"))
}

func (d *Display) once(level, code, text string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.said[text] {
		return
	}
	d.said[text] = true
	d.log.add(level, text)
	d.out.printf("%s\n", d.o.paint(code, text))
}

// Verbose prints what that many -v ask for, on stdout unless verbose_to_stderr is set.
func (d *Display) Verbose(level int, text string) {
	if d.o.Verbosity < level {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.log.add(levelInfo, text)
	d.verbose.printf("%s\n", d.o.paint(blue, text))
}

// write prints a line that may come again.
func (d *Display) write(code, text string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.log.add(levelInfo, text)
	d.out.printf("%s\n", d.o.paint(code, text))
}

// wrap is Python's textwrap.wrap: whitespace becomes spaces, long words are broken,
// hyphens are places to break at.
func wrap(text string, columns int, drop bool) []string {
	text = strings.Map(func(r rune) rune {
		switch r {
		case '\t', '\n', '\v', '\f', '\r':
			return ' '
		}
		return r
	}, strings.ReplaceAll(text, "\t", "        "))
	var lines []string
	chunks := chunksOf(text)
	for len(chunks) > 0 {
		if drop && len(lines) > 0 && strings.TrimSpace(chunks[0]) == "" {
			chunks = chunks[1:]
			continue
		}
		var line []string
		n := 0
		for len(chunks) > 0 && n+len([]rune(chunks[0])) <= columns {
			n += len([]rune(chunks[0]))
			line = append(line, chunks[0])
			chunks = chunks[1:]
		}
		if len(chunks) > 0 && len([]rune(chunks[0])) > columns {
			rs := []rune(chunks[0])
			room := max(1, columns-n)
			line = append(line, string(rs[:room]))
			chunks[0] = string(rs[room:])
		}
		if drop && len(line) > 0 && strings.TrimSpace(line[len(line)-1]) == "" {
			line = line[:len(line)-1]
		}
		if len(line) > 0 {
			lines = append(lines, strings.Join(line, ""))
		}
	}
	return lines
}

// chunksOf cuts a text into words and the spaces between them as textwrap does: a word is
// cut after a hyphen that stands behind two letters, and around a dash of two hyphens or
// more.
func chunksOf(text string) []string {
	rs := []rune(text)
	is := func(i int, class func(rune) bool) bool { return i >= 0 && i < len(rs) && class(rs[i]) }
	hyphen := func(r rune) bool { return r == '-' }
	word := func(r rune) bool { return r == '_' || unicode.IsLetter(r) || unicode.IsNumber(r) }
	letter := func(r rune) bool { return word(r) && !unicode.IsDigit(r) }
	punct := func(r rune) bool { return word(r) || strings.ContainsRune("!\"'&.,?", r) }
	// dash is the end of a dash that begins at i, 0 if none does.
	dash := func(i int) int {
		j := i
		for is(j, hyphen) {
			j++
		}
		if is(i-1, punct) && j >= i+2 && is(j, word) {
			return j
		}
		return 0
	}
	// ends says whether a word may end before i.
	ends := func(i int) bool {
		switch {
		case i == len(rs) || rs[i] == ' ' || dash(i) > 0:
			return true
		case rs[i-1] != '-' || !is(i, letter) || !is(i+1, letter) && !(is(i+1, hyphen) && is(i+2, letter)):
			return false
		}
		return is(i-3, letter) && is(i-2, letter) || is(i-4, letter) && is(i-3, hyphen) && is(i-2, punct)
	}
	var chunks []string
	for i := 0; i < len(rs); {
		j := i + 1
		switch {
		case rs[i] == ' ':
			for is(j, func(r rune) bool { return r == ' ' }) {
				j++
			}
		case dash(i) > 0:
			j = dash(i)
		default:
			if j == i+1 && rs[i] == '-' { // something must stand before a hyphen
				j++
			}
			for j = min(j, len(rs)); !ends(j); {
				j++
			}
		}
		chunks = append(chunks, string(rs[i:j]))
		i = j
	}
	return chunks
}
