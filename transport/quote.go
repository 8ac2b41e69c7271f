package transport

import (
	"errors"
	"strings"
)

// Quote joins argv into words of a POSIX shell. It is the only function that quotes.
func Quote(argv ...string) string {
	var b strings.Builder
	for i, arg := range argv {
		if i > 0 {
			b.WriteByte(' ')
		}
		if plain(arg) {
			b.WriteString(arg)
			continue
		}
		b.WriteByte('\'')
		b.WriteString(strings.ReplaceAll(arg, `'`, `'\''`))
		b.WriteByte('\'')
	}
	return b.String()
}

// plain reports whether a shell takes word as it stands, wherever it is in a command.
func plain(word string) bool {
	for i := 0; i < len(word); i++ {
		if !letter(word[i]) && strings.IndexByte("_-./:,+@%", word[i]) < 0 {
			return false
		}
	}
	return word != ""
}

func letter(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

// encode writes text as a format of printf, on one line, that any login shell takes
// unchanged inside single quotes: csh expands "!" and wants newlines escaped even there,
// fish reads \' and \\ there, and none of them touches a backslash before a digit.
func encode(text string) string {
	const digits = "01234567"
	var b strings.Builder
	b.Grow(len(text) + len(text)/4)
	for i := 0; i < len(text); i++ {
		c := text[i]
		if letter(c) || c == ' ' || strings.IndexByte("_./:,+@=;()[]{}<>|&", c) >= 0 || c == '-' && i > 0 {
			b.WriteByte(c)
			continue
		}
		b.Write([]byte{'\\', digits[c>>6], digits[c>>3&7], digits[c&7]})
	}
	return b.String()
}

// anyShell is the line that makes any login shell (POSIX, csh, fish) become a POSIX shell
// that runs script.
func anyShell(script string) string {
	return `exec /bin/sh -c 'eval "$(printf "` + encode(script) + `")"'`
}

// Split splits a line into words as a POSIX shell does, without expanding anything:
// ansible_ssh_common_args, ansible_become_flags.
func Split(line string) ([]string, error) {
	var words []string
	var word strings.Builder
	in := false // inside a word
	for i := 0; i < len(line); i++ {
		switch c := line[i]; c {
		case ' ', '\t', '\n', '\r':
			if in {
				words, in = append(words, word.String()), false
				word.Reset()
			}
		case '\'':
			end := strings.IndexByte(line[i+1:], '\'')
			if end < 0 {
				return nil, errors.New("a single quote is not closed")
			}
			word.WriteString(line[i+1 : i+1+end])
			i, in = i+1+end, true
		case '"':
			n, err := doubleQuoted(line[i+1:], &word)
			if err != nil {
				return nil, err
			}
			i, in = i+n, true
		case '\\':
			if i+1 == len(line) {
				return nil, errors.New("a backslash at the end escapes nothing")
			}
			i, in = i+1, true
			word.WriteByte(line[i])
		default:
			word.WriteByte(c)
			in = true
		}
	}
	if in {
		words = append(words, word.String())
	}
	return words, nil
}

// doubleQuoted reads up to the closing quote and returns how much it read.
func doubleQuoted(text string, word *strings.Builder) (int, error) {
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"':
			return i + 1, nil
		case c == '\\' && i+1 < len(text) && strings.IndexByte("\\\"$`", text[i+1]) >= 0:
			i++
			word.WriteByte(text[i])
		default:
			word.WriteByte(c)
		}
	}
	return 0, errors.New("a double quote is not closed")
}
