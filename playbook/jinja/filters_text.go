package jinja

import (
	"math"
	"strings"
	"unicode"
	"unicode/utf8"

	"orch/playbook/jinja/value"
)

func filterCenter(_ *Call, in value.Value, b Bound) (value.Value, error) {
	s, err := soft(in)
	if err != nil {
		return nil, err
	}
	return callMethod(s, "center", b.Args[0])
}

func filterString(_ *Call, in value.Value, _ Bound) (value.Value, error) { return soft(in) }

func filterTrim(_ *Call, in value.Value, b Bound) (value.Value, error) {
	s, err := soft(in)
	if err != nil {
		return nil, err
	}
	return callMethod(s, "strip", b.Args[0])
}

// filterTitle begins words after spaces, hyphens and opening brackets only, unlike
// str.title.
func filterTitle(_ *Call, in value.Value, _ Bound) (value.Value, error) {
	s, err := value.Text(in)
	if err != nil {
		return nil, err
	}
	begins := func(r rune) bool {
		return strings.ContainsRune("-({[<", r) || unicode.IsSpace(r) || r >= 0x1c && r <= 0x1f
	}
	var b strings.Builder
	for s != "" {
		end := strings.IndexFunc(s, begins)
		if end < 0 {
			end = len(s)
		}
		if end > 0 {
			_, w := utf8.DecodeRuneInString(s)
			b.WriteString(value.Upper(s[:w]))
			b.WriteString(value.Lower(s[w:end]))
		}
		s = s[end:]
		next := strings.IndexFunc(s, func(r rune) bool { return !begins(r) })
		if next < 0 {
			next = len(s)
		}
		b.WriteString(s[:next])
		s = s[next:]
	}
	return value.S(b.String()), nil
}

func filterReplace(c *Call, in value.Value, b Bound) (value.Value, error) {
	s, err := soft(in)
	if err != nil {
		return nil, err
	}
	from, err := soft(b.Args[0])
	if err != nil {
		return nil, err
	}
	to, err := soft(b.Args[1])
	if err != nil {
		return nil, err
	}
	count := b.Args[2]
	if isNone(count) {
		count = value.Int(-1)
	}
	if !c.Autoescape {
		s, from, to = plain(s), plain(from), plain(to)
	} else if isMarkup(from) || isMarkup(to) && !isMarkup(s) {
		s = value.Escape(s)
	}
	return callMethod(s, "replace", from, to, count)
}

// plain turns Markup into str.
func plain(v value.Value) value.Value {
	if m, ok := v.(value.Markup); ok {
		return value.S(string(m))
	}
	return v
}

func isMarkup(v value.Value) bool {
	_, ok := v.(value.Markup)
	return ok
}

func filterFormat(_ *Call, in value.Value, b Bound) (value.Value, error) {
	if len(b.Var) > 0 && len(b.KwVar) > 0 {
		return nil, filterError("can't handle positional and keyword arguments at the same time")
	}
	s, err := soft(in)
	if err != nil {
		return nil, err
	}
	if len(b.KwVar) > 0 {
		d := value.NewDict(len(b.KwVar))
		for _, n := range b.KwVar {
			d.SetStr(n.Name, n.Val)
		}
		return value.Mod(s, d)
	}
	return value.Mod(s, value.Tuple(b.Var))
}

// notLines is the error of asking what is no text for its lines.
func notLines(v value.Value) error {
	switch v := v.(type) {
	case *value.Undefined:
		return &value.UndefinedError{U: v}
	case value.Unknown:
		return &value.UnknownError{U: v}
	}
	return value.Errorf("AttributeError", "'%s' object has no attribute 'splitlines'", v.Type())
}

func filterIndent(_ *Call, in value.Value, b Bound) (value.Value, error) {
	s, ok := stringOf(in)
	if !ok {
		return nil, notLines(in)
	}
	indent, ok := stringOf(b.Args[0])
	if !ok {
		n, err := value.Index(b.Args[0])
		if err != nil {
			return nil, err
		}
		spaces, err := value.Mul(value.S(" "), value.Int(n))
		if err != nil {
			return nil, err
		}
		indent, _ = stringOf(spaces)
	}
	first, err := truth(b.Args[1])
	if err != nil {
		return nil, err
	}
	blank, err := truth(b.Args[2])
	if err != nil {
		return nil, err
	}
	lines := value.SplitLines(s+"\n", false)
	for i, line := range lines {
		if i > 0 && (blank || line != "") || i == 0 && first {
			lines[i] = indent + line
		}
	}
	out := strings.Join(lines, "\n")
	if isMarkup(in) {
		return value.Markup(out), nil
	}
	return value.S(out), nil
}

// defaultLeeway is Jinja2's policy truncate.leeway.
const defaultLeeway = 5

func filterTruncate(_ *Call, in value.Value, b Bound) (value.Value, error) {
	length, err := value.Index(b.Args[0])
	if err != nil {
		return nil, err
	}
	leeway := defaultLeeway
	if !isNone(b.Args[3]) {
		if leeway, err = value.Index(b.Args[3]); err != nil {
			return nil, err
		}
	}
	endLen, err := value.Len(b.Args[2])
	if err != nil {
		return nil, err
	}
	if length < endLen {
		return nil, value.Errorf("AssertionError", "expected length >= %d, got %d", endLen, length)
	}
	if leeway < 0 {
		return nil, value.Errorf("AssertionError", "expected leeway >= 0, got %d", leeway)
	}
	if n, err := value.Len(in); err != nil || n <= length+leeway {
		return in, err
	}
	cut, err := value.Slice(in, nil, value.Int(length-endLen), nil)
	if err != nil {
		return nil, err
	}
	killWords, err := truth(b.Args[1])
	if err != nil {
		return nil, err
	}
	if !killWords {
		words, err := callMethod(cut, "rsplit", value.S(" "), value.Int(1))
		if err != nil {
			return nil, err
		}
		cut, _, _ = value.Item(words, value.Int(0))
	}
	return value.Add(cut, b.Args[2])
}

func filterWordCount(_ *Call, in value.Value, _ Bound) (value.Value, error) {
	s, err := value.Text(in)
	if err != nil {
		return nil, err
	}
	return value.Int(len(strings.FieldsFunc(s, func(r rune) bool { return !isWordChar(r) }))), nil
}

// isWordChar is Python's \w.
func isWordChar(r rune) bool { return r == '_' || unicode.IsLetter(r) || unicode.IsNumber(r) }

// filterFileSize prints sizes by factors of 1000, or 1024 when binary.
func filterFileSize(_ *Call, in value.Value, b Bound) (value.Value, error) {
	f, err := value.ToFloat(in)
	if err != nil {
		return nil, err
	}
	binary, err := truth(b.Args[0])
	if err != nil {
		return nil, err
	}
	base, suffix := 1000.0, "B"
	prefixes := []string{"k", "M", "G", "T", "P", "E", "Z", "Y"}
	if binary {
		base, suffix, prefixes[0] = 1024, "iB", "K"
	}
	size := float64(f)
	switch {
	case size == 1:
		return value.S("1 Byte"), nil
	case size < base:
		whole, err := value.ToInt(f)
		if err != nil {
			return nil, err
		}
		return value.S(value.String(whole) + " Bytes"), nil
	case math.IsNaN(size):
		return value.S("nan " + prefixes[7] + suffix), nil
	}
	unit := base
	for i, prefix := range prefixes {
		if unit *= base; size < unit || i == len(prefixes)-1 {
			number, err := value.FormatValue(value.Float(base*size/unit), ".1f")
			return value.S(number + " " + prefix + suffix), err
		}
	}
	return nil, nil
}

func filterWordWrap(c *Call, in value.Value, b Bound) (value.Value, error) {
	s, ok := stringOf(in)
	if !ok {
		return nil, notLines(in)
	}
	width, err := value.Index(b.Args[0])
	if err != nil {
		return nil, err
	}
	w := wrapper{width: width}
	if w.breakLong, err = truth(b.Args[1]); err != nil {
		return nil, err
	}
	if w.onHyphens, err = truth(b.Args[3]); err != nil {
		return nil, err
	}
	sep := b.Args[2]
	if isNone(sep) {
		sep = value.S(c.Env.opts.NewlineSequence)
	}
	paragraphs := value.NewList()
	for _, line := range value.SplitLines(s, false) {
		lines, err := w.wrap(line)
		if err != nil {
			return nil, err
		}
		paragraph, err := callMethod(sep, "join", lines)
		if err != nil {
			return nil, err
		}
		paragraphs.Items = append(paragraphs.Items, paragraph)
	}
	return callMethod(sep, "join", paragraphs)
}
