package value

import (
	"slices"
	"strings"
	"unicode/utf8"
)

func splitMethod(right bool) func(Value, []Value) (Value, error) {
	return func(self Value, a []Value) (Value, error) {
		limit, err := intArg(a[1], -1)
		if err != nil {
			return nil, err
		}
		s := selfText(self)
		if a[0] == nil || a[0] == Value(None{}) {
			return textList(splitSpace(s, limit, right)), nil
		}
		sep, err := strArg(a[0], "argument")
		if err != nil {
			return nil, typeErr("must be str or None, not %s", a[0].Type())
		}
		if sep == "" {
			return nil, valueErr("empty separator")
		}
		switch {
		case right:
			return textList(splitRight(s, sep, limit)), nil
		case limit < 0:
			return textList(strings.Split(s, sep)), nil
		}
		return textList(strings.SplitN(s, sep, min(limit, len(s))+1)), nil
	}
}

// splitRight looks for separators from the end, which matters when they can overlap.
func splitRight(s, sep string, limit int) []string {
	var parts []string
	for at := strings.LastIndex(s, sep); at >= 0 && limit != 0; at = strings.LastIndex(s, sep) {
		parts, s = append(parts, s[at+len(sep):]), s[:at]
		limit--
	}
	parts = append(parts, s)
	slices.Reverse(parts)
	return parts
}

func textList(parts []string) *List {
	l := &List{Items: make([]Value, len(parts))}
	for i, p := range parts {
		l.Items[i] = S(p)
	}
	return l
}

// splitSpace splits at runs of white space; what a limit leaves unsplit keeps its inner
// and, on its far side, outer space.
func splitSpace(s string, limit int, right bool) []string {
	if limit < 0 {
		return strings.FieldsFunc(s, isSpace)
	}
	var parts []string
	if !right {
		for s = strings.TrimLeftFunc(s, isSpace); s != ""; s = strings.TrimLeftFunc(s, isSpace) {
			end := strings.IndexFunc(s, isSpace)
			if limit == 0 || end < 0 {
				return append(parts, s)
			}
			parts, s = append(parts, s[:end]), s[end:]
			limit--
		}
		return parts
	}
	for s = strings.TrimRightFunc(s, isSpace); s != ""; s = strings.TrimRightFunc(s, isSpace) {
		end := strings.LastIndexFunc(s, isSpace)
		if limit == 0 || end < 0 {
			parts = append(parts, s)
			break
		}
		_, w := utf8.DecodeRuneInString(s[end:])
		parts, s = append(parts, s[end+w:]), s[:end]
		limit--
	}
	slices.Reverse(parts)
	return parts
}

func splitLines(self Value, a []Value) (Value, error) {
	keep, err := intArg(a[0], 0)
	if err != nil {
		return nil, err
	}
	return textList(SplitLines(selfText(self), keep != 0)), nil
}

// SplitLines is str.splitlines: at every line boundary Unicode knows, with the boundary
// kept or not.
func SplitLines(s string, keep bool) []string {
	lines := []string{}
	for s != "" {
		end := strings.IndexFunc(s, isLineBreak)
		if end < 0 {
			return append(lines, s)
		}
		_, w := utf8.DecodeRuneInString(s[end:])
		if strings.HasPrefix(s[end:], "\r\n") {
			w = 2
		}
		if keep {
			lines = append(lines, s[:end+w])
		} else {
			lines = append(lines, s[:end])
		}
		s = s[end+w:]
	}
	return lines
}

func isLineBreak(r rune) bool {
	return r >= '\n' && r <= '\r' || r >= 0x1c && r <= 0x1e || r == 0x85 || r == 0x2028 || r == 0x2029
}
