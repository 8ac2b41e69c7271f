package value

import (
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"
)

// strMethods are str's methods but for format and format_map (see formatMethod).
var strMethods = map[string]method{
	"capitalize":   mapText(Capitalize),
	"casefold":     mapText(Casefold),
	"center":       takes("width / fillchar", justify(func(n, width int) (int, int) { return centerPad(n, width) })),
	"count":        takes("sub / start end", countText),
	"encode":       takes("/ encoding errors", encodeText).byName(),
	"endswith":     takes("suffix / start end", affix("endswith", strings.HasSuffix)),
	"expandtabs":   takes("/ tabsize", expandTabs).byName(),
	"find":         takes("sub / start end", findText(strings.Index, false)),
	"index":        takes("sub / start end", findText(strings.Index, true)),
	"isalnum":      testText(func(s string) bool { return allChars(s, isAlnum) }),
	"isalpha":      testText(func(s string) bool { return allChars(s, unicode.IsLetter) }),
	"isascii":      testText(isASCII),
	"isdecimal":    testText(func(s string) bool { return allChars(s, unicode.IsDigit) }),
	"isdigit":      testText(func(s string) bool { return allChars(s, isDigit) }),
	"isidentifier": testText(isIdentifier),
	"islower":      testText(IsLower),
	"isnumeric":    testText(func(s string) bool { return allChars(s, isNumeric) }),
	"isprintable":  testText(isPrintable),
	"isspace":      testText(func(s string) bool { return allChars(s, isSpace) }),
	"istitle":      testText(isTitle),
	"isupper":      testText(IsUpper),
	"join":         takes("iterable", joinText),
	"ljust":        takes("width / fillchar", justify(func(n, width int) (int, int) { return 0, width - n })),
	"lower":        mapText(Lower),
	"lstrip":       takes("/ chars", strip(strings.TrimLeftFunc)),
	"maketrans":    takes("x / y z", makeTrans),
	"partition":    takes("sep", partition(strings.Index, false)),
	"removeprefix": takes("prefix", cutAffix(strings.TrimPrefix)),
	"removesuffix": takes("suffix", cutAffix(strings.TrimSuffix)),
	"replace":      takes("old new / count", replaceText),
	"rfind":        takes("sub / start end", findText(strings.LastIndex, false)),
	"rindex":       takes("sub / start end", findText(strings.LastIndex, true)),
	"rjust":        takes("width / fillchar", justify(func(n, width int) (int, int) { return width - n, 0 })),
	"rpartition":   takes("sep", partition(strings.LastIndex, true)),
	"rsplit":       takes("/ sep maxsplit", splitMethod(true)).byName(),
	"rstrip":       takes("/ chars", strip(strings.TrimRightFunc)),
	"split":        takes("/ sep maxsplit", splitMethod(false)).byName(),
	"splitlines":   takes("/ keepends", splitLines).byName(),
	"startswith":   takes("prefix / start end", affix("startswith", strings.HasPrefix)),
	"strip":        takes("/ chars", strip(strings.TrimFunc)),
	"swapcase":     mapText(swapCase),
	"title":        mapText(Title),
	"translate":    takes("table", translate),
	"upper":        mapText(Upper),
	"zfill":        takes("width", zfill),
}

// self returns the characters of a method's receiver, known to be text.
func selfText(v Value) string {
	s, _ := text(v)
	return s
}

func mapText(f func(string) string) method {
	return takes("", func(self Value, _ []Value) (Value, error) { return S(f(selfText(self))), nil })
}

func testText(f func(string) bool) method {
	return takes("", func(self Value, _ []Value) (Value, error) { return Bool(f(selfText(self))), nil })
}

// strArg is an argument that must be a str.
func strArg(v Value, what string) (string, error) {
	if s, ok := text(v); ok {
		return s, nil
	}
	if err := usable(v); err != nil {
		return "", err
	}
	return "", typeErr("%s must be str, not %s", what, typeName(v))
}

// typeName is how argument errors call a type: None by its value.
func typeName(v Value) string {
	if _, none := v.(None); none {
		return "None"
	}
	return v.Type()
}

func centerPad(n, width int) (left, right int) {
	pad := width - n
	left = pad/2 + pad&width&1 // CPython's choice of the longer side
	return left, pad - left
}

func justify(sides func(n, width int) (left, right int)) func(Value, []Value) (Value, error) {
	return func(self Value, a []Value) (Value, error) {
		width, err := intArg(a[0], 0)
		if err != nil {
			return nil, err
		}
		fill := " "
		if a[1] != nil {
			var ok bool
			if fill, ok = text(a[1]); !ok {
				return nil, typeErr("The fill character must be a unicode character, not %s", a[1].Type())
			}
			if utf8.RuneCountInString(fill) != 1 {
				return nil, typeErr("The fill character must be exactly one character long")
			}
		}
		s := selfText(self)
		n := utf8.RuneCountInString(s)
		if width <= n {
			return S(s), nil
		}
		if width > maxItems {
			return nil, tooBig()
		}
		left, right := sides(n, width)
		return S(strings.Repeat(fill, left) + s + strings.Repeat(fill, right)), nil
	}
}

// window is the part of s between character positions start and end, and the number of
// characters before it; ok is false when start lies beyond the end of s.
func window(s string, start, end Value) (part string, before int, ok bool, err error) {
	if start == nil && end == nil {
		return s, 0, true, nil
	}
	n := utf8.RuneCountInString(s)
	lo, hi, err := bounds(n, start, end)
	if err != nil || lo > hi {
		return "", 0, false, err
	}
	return span{lo: lo, step: 1, n: hi - lo}.text(s), lo, true, nil
}

func findText(index func(s, sub string) int, must bool) func(Value, []Value) (Value, error) {
	return func(self Value, a []Value) (Value, error) {
		sub, err := strArg(a[0], "argument 1")
		if err != nil {
			return nil, typeErr("must be str, not %s", typeName(a[0]))
		}
		part, before, ok, err := window(selfText(self), a[1], a[2])
		if err != nil {
			return nil, err
		}
		if at := index(part, sub); ok && at >= 0 {
			return Int(before + utf8.RuneCountInString(part[:at])), nil
		}
		if must {
			return nil, valueErr("substring not found")
		}
		return Int(-1), nil
	}
}

func countText(self Value, a []Value) (Value, error) {
	sub, err := strArg(a[0], "argument 1")
	if err != nil {
		return nil, typeErr("must be str, not %s", typeName(a[0]))
	}
	part, _, ok, err := window(selfText(self), a[1], a[2])
	if err != nil || !ok {
		return Int(0), err
	}
	return Int(strings.Count(part, sub)), nil
}

func affix(name string, has func(s, fix string) bool) func(Value, []Value) (Value, error) {
	return func(self Value, a []Value) (Value, error) {
		fixes, isTuple := a[0].(Tuple)
		if !isTuple {
			if _, ok := text(a[0]); !ok {
				return nil, typeErr("%s first arg must be str or a tuple of str, not %s", name, a[0].Type())
			}
			fixes = Tuple{a[0]}
		}
		part, _, ok, err := window(selfText(self), a[1], a[2])
		if err != nil {
			return nil, err
		}
		for _, f := range fixes {
			fix, isText := text(f)
			if !isText {
				return nil, typeErr("tuple for %s must only contain str, not %s", name, f.Type())
			}
			if ok && has(part, fix) {
				return Bool(true), nil
			}
		}
		return Bool(false), nil
	}
}

func expandTabs(self Value, a []Value) (Value, error) {
	size, err := intArg(a[0], 8)
	if err != nil {
		return nil, err
	}
	if size > maxItems {
		return nil, tooBig()
	}
	column, total := 0, 0
	out := mapChars(selfText(self), func(b []byte, r rune, _ int) []byte {
		switch r {
		case '\t':
			if size > 0 {
				n := size - column%size
				column += n
				if total += n; total <= maxItems {
					b = append(b, strings.Repeat(" ", n)...)
				}
			}
			return b
		case '\n', '\r':
			column = 0
		default:
			column++
		}
		return utf8.AppendRune(b, r)
	})
	if total > maxItems {
		return nil, tooBig()
	}
	return S(out), nil
}

func joinText(self Value, a []Value) (Value, error) {
	it, err := Iter(a[0])
	if err != nil {
		if usable(a[0]) != nil {
			return nil, err
		}
		return nil, typeErr("can only join an iterable")
	}
	_, markup := self.(Markup)
	sep := selfText(self)
	var b strings.Builder
	i := 0
	for item, err := range it.All() {
		if err == nil {
			err = usable(item)
		}
		if err != nil {
			return nil, err
		}
		s, ok := text(item)
		if markup {
			s, ok = string(Escape(item)), true
		}
		if !ok {
			return nil, typeErr("sequence item %d: expected str instance, %s found", i, item.Type())
		}
		if i > 0 {
			b.WriteString(sep)
		}
		if b.WriteString(s); b.Len() > maxItems {
			return nil, tooBig()
		}
		i++
	}
	return S(b.String()), nil
}

func strip(trim func(string, func(rune) bool) string) func(Value, []Value) (Value, error) {
	return func(self Value, a []Value) (Value, error) {
		s := selfText(self)
		if a[0] == nil || a[0] == Value(None{}) {
			return S(trim(s, isSpace)), nil
		}
		chars, ok := text(a[0])
		if !ok {
			return nil, typeErr("strip arg must be None or str")
		}
		return S(trim(s, func(r rune) bool { return strings.ContainsRune(chars, r) })), nil
	}
}

func partition(index func(s, sub string) int, last bool) func(Value, []Value) (Value, error) {
	return func(self Value, a []Value) (Value, error) {
		sep, ok := text(a[0])
		if !ok {
			return nil, typeErr("must be str, not %s", typeName(a[0]))
		}
		if sep == "" {
			return nil, valueErr("empty separator")
		}
		s := selfText(self)
		at := index(s, sep)
		switch {
		case at >= 0:
			return Tuple{S(s[:at]), S(sep), S(s[at+len(sep):])}, nil
		case last:
			return Tuple{S(""), S(""), S(s)}, nil
		}
		return Tuple{S(s), S(""), S("")}, nil
	}
}

func cutAffix(cut func(s, fix string) string) func(Value, []Value) (Value, error) {
	return func(self Value, a []Value) (Value, error) {
		fix, err := strArg(a[0], "argument")
		if err != nil {
			return nil, err
		}
		return S(cut(selfText(self), fix)), nil
	}
}

func replaceText(self Value, a []Value) (Value, error) {
	old, err := strArg(a[0], "replace() argument 1")
	if err != nil {
		return nil, err
	}
	with, err := strArg(a[1], "replace() argument 2")
	if err != nil {
		return nil, err
	}
	count, err := intArg(a[2], -1)
	if err != nil {
		return nil, err
	}
	s := selfText(self)
	if n := strings.Count(s, old); n*len(with) > maxItems {
		return nil, tooBig()
	}
	return S(strings.Replace(s, old, with, count)), nil
}

func zfill(self Value, a []Value) (Value, error) {
	width, err := intArg(a[0], 0)
	if err != nil {
		return nil, err
	}
	if width > maxItems {
		return nil, tooBig()
	}
	s := selfText(self)
	sign := ""
	missing := width - utf8.RuneCountInString(s)
	if missing > 0 && s != "" && (s[0] == '+' || s[0] == '-') {
		sign, s = s[:1], s[1:]
	}
	return S(sign + strings.Repeat("0", max(missing, 0)) + s), nil
}

// makeTrans is str.maketrans: the table is a dict from code points.
func makeTrans(_ Value, a []Value) (Value, error) {
	table := NewDict(0)
	if a[1] == nil {
		d, ok := a[0].(*Dict)
		if !ok {
			return nil, typeErr("if you give only one argument to maketrans it must be a dict")
		}
		for k, v := range d.All() {
			if s, ok := text(k); ok {
				if utf8.RuneCountInString(s) != 1 {
					return nil, valueErr("string keys in translate table must be of length 1")
				}
				r, _ := utf8.DecodeRuneInString(s)
				k = Int(r)
			} else if _, ok := index(k); !ok {
				return nil, typeErr("keys in translate table must be strings or integers")
			}
			if err := table.Set(k, v); err != nil {
				return nil, err
			}
		}
		return table, nil
	}
	from, err := strArg(a[0], "first maketrans argument")
	if err != nil {
		return nil, typeErr("first maketrans argument must be a string if there is a second argument")
	}
	to, err := strArg(a[1], "maketrans() argument 2")
	if err != nil {
		return nil, err
	}
	drop := ""
	if a[2] != nil {
		if drop, err = strArg(a[2], "maketrans() argument 3"); err != nil {
			return nil, err
		}
	}
	x, y := codePoints(from), codePoints(to)
	if len(x) != len(y) {
		return nil, valueErr("the first two maketrans arguments must have equal length")
	}
	for i := range x {
		_ = table.Set(Int(x[i]), Int(y[i])) // ints are hashable
	}
	for _, r := range codePoints(drop) {
		_ = table.Set(Int(r), None{})
	}
	return table, nil
}

func translate(self Value, a []Value) (Value, error) {
	var failed error
	out := mapChars(selfText(self), func(b []byte, r rune, _ int) []byte {
		v, ok, err := Item(a[0], Int(r))
		if err != nil && failed == nil {
			failed = err
		}
		if !ok {
			var e *Error
			if errors.As(MissingItem(a[0], Int(r)), &e) && e.Class == "TypeError" && failed == nil {
				failed = e
			}
			return utf8.AppendRune(b, r)
		}
		switch v := v.(type) {
		case None:
		case Str:
			b = append(b, v.S...)
		case Int:
			b = utf8.AppendRune(b, rune(v))
		default:
			failed = typeErr("character mapping must return integer, None or str")
		}
		return b
	})
	return S(out), failed
}
