package value

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// bytesMethods are the methods of bytes that templates meet.
var bytesMethods = map[string]method{
	"decode": takes("/ encoding errors", func(self Value, a []Value) (Value, error) {
		encoding, mode, err := codecArgs("decode", a)
		if err != nil {
			return nil, err
		}
		s, err := Decode(string(self.(Bytes)), encoding, mode)
		return S(s), err
	}).byName(),
	"hex":        takes("/ sep bytes_per_sep", bytesHex).byName(),
	"startswith": bytesMethod("prefix / start end", affix("startswith", strings.HasPrefix)),
	"endswith":   bytesMethod("suffix / start end", affix("endswith", strings.HasSuffix)),
	"find":       bytesMethod("sub / start end", findText(strings.Index, false)),
	"count":      bytesMethod("sub / start end", countText),
	"replace":    bytesMethod("old new / count", replaceText),
	"split":      bytesMethod("/ sep maxsplit", splitMethod(false)).byName(),
	"rsplit":     bytesMethod("/ sep maxsplit", splitMethod(true)).byName(),
	"splitlines": bytesMethod("/ keepends", splitLines).byName(),
	"strip":      bytesMethod("/ bytes", strip(strings.TrimFunc)),
	"lstrip":     bytesMethod("/ bytes", strip(strings.TrimLeftFunc)),
	"rstrip":     bytesMethod("/ bytes", strip(strings.TrimRightFunc)),
	"join":       bytesMethod("iterable", joinBytes),
	"upper":      bytesMethod("", asciiCase('a', 'z')),
	"lower":      bytesMethod("", asciiCase('A', 'Z')),
}

// bytesHex is bytes.hex: groups of the given size, counted from the end, or from the
// start when it is negative.
func bytesHex(self Value, a []Value) (Value, error) {
	digits := hex.EncodeToString([]byte(self.(Bytes)))
	if a[0] == nil {
		return S(digits), nil
	}
	sep, ok := text(a[0])
	if b, isBytes := a[0].(Bytes); isBytes {
		sep, ok = string(b), true
	}
	n, err := Len(a[0])
	if err != nil {
		return nil, err
	}
	if n != 1 {
		return nil, valueErr("sep must be length 1.")
	}
	if !ok {
		return nil, typeErr("sep must be str or bytes.")
	}
	if !isASCII(sep) {
		return nil, valueErr("sep must be ASCII.")
	}
	size, err := intArg(a[1], 1)
	if err != nil {
		return nil, err
	}
	count := len(digits) / 2
	if size == 0 || size >= count || -size >= count {
		return S(digits), nil
	}
	var b strings.Builder
	for i := range count {
		if i > 0 && (size > 0 && (count-i)%size == 0 || size < 0 && i%-size == 0) {
			b.WriteString(sep)
		}
		b.WriteString(digits[2*i : 2*i+2])
	}
	return S(b.String()), nil
}

// asciiCase flips the case of the ASCII letters between lo and hi.
func asciiCase(lo, hi rune) func(Value, []Value) (Value, error) {
	return func(self Value, _ []Value) (Value, error) {
		return S(strings.Map(func(r rune) rune {
			if r >= lo && r <= hi {
				return r ^ 0x20
			}
			return r
		}, selfText(self))), nil
	}
}

func joinBytes(self Value, a []Value) (Value, error) {
	items, err := Items(a[0])
	if err != nil {
		return nil, err
	}
	plain := make(Tuple, len(items))
	for i, item := range items {
		b, ok := item.(Bytes)
		if !ok {
			return nil, typeErr("sequence item %d: expected a bytes-like object, %s found", i, item.Type())
		}
		plain[i] = widen(b)
	}
	return joinText(self, []Value{plain})
}

// bytesMethod lends bytes a method of str: each byte becomes one character and back.
func bytesMethod(params string, do func(Value, []Value) (Value, error)) method {
	return takes(params, func(self Value, a []Value) (Value, error) {
		args := make([]Value, len(a))
		for i, v := range a {
			var err error
			if args[i], err = widenArg(v, i == 0 && strings.HasPrefix(params, "sub ")); err != nil {
				return nil, err
			}
		}
		v, err := do(widen(self.(Bytes)), args)
		if err != nil {
			return nil, err
		}
		return mapResult(v, func(s string) Value { return narrow(s) }), nil
	})
}

// widenArg prepares an argument; where a part of the bytes is looked for, an int is one.
func widenArg(v Value, part bool) (Value, error) {
	switch v := v.(type) {
	case Str, Markup:
		return nil, typeErr("a bytes-like object is required, not 'str'")
	case Bytes:
		return widen(v), nil
	case Tuple:
		wide := make(Tuple, len(v))
		for i, item := range v {
			var err error
			if wide[i], err = widenArg(item, false); err != nil {
				return nil, err
			}
		}
		return wide, nil
	}
	n, ok := index(v)
	if !ok || !part {
		return v, nil
	}
	if n < 0 || n > 255 {
		return nil, valueErr("byte must be in range(0, 256)")
	}
	return S(string(rune(n))), nil
}

func widen(b Bytes) Str {
	r := make([]rune, len(b))
	for i := range len(b) {
		r[i] = rune(b[i])
	}
	return S(string(r))
}

func narrow(s string) Bytes {
	b := make([]byte, 0, len(s))
	for _, r := range s {
		b = append(b, byte(r))
	}
	return Bytes(b)
}

// mapResult converts the strings of a method's result, also within a list or tuple.
func mapResult(v Value, f func(string) Value) Value {
	switch v := v.(type) {
	case Str:
		return f(v.S)
	case *List:
		for i, item := range v.Items {
			v.Items[i] = mapResult(item, f)
		}
	case Tuple:
		for i, item := range v {
			v[i] = mapResult(item, f)
		}
	}
	return v
}

func codecArgs(name string, a []Value) (encoding, mode string, err error) {
	encoding, mode = "utf-8", "strict"
	if a[0] != nil {
		if encoding, err = strArg(a[0], name+"() argument 'encoding'"); err != nil {
			return "", "", err
		}
	}
	if a[1] != nil {
		if mode, err = strArg(a[1], name+"() argument 'errors'"); err != nil {
			return "", "", err
		}
	}
	return encoding, mode, nil
}

func encodeText(self Value, a []Value) (Value, error) {
	encoding, mode, err := codecArgs("encode", a)
	if err != nil {
		return nil, err
	}
	b, err := Encode(selfText(self), encoding, mode)
	return Bytes(b), err
}

// codec is Python's normal name of an encoding.
func codec(name string) (string, error) {
	switch strings.NewReplacer("_", "", "-", "", " ", "").Replace(strings.ToLower(name)) {
	case "utf8", "u8", "utf", "cp65001":
		return "utf-8", nil
	case "ascii", "usascii", "646":
		return "ascii", nil
	case "latin1", "iso88591", "latin", "l1", "8859", "cp819":
		return "latin-1", nil
	case "utf16", "u16":
		return "utf-16", nil
	case "utf16le", "unicodelittleunmarked":
		return "utf-16-le", nil
	case "utf16be", "unicodebigunmarked":
		return "utf-16-be", nil
	case "utf32", "u32":
		return "utf-32", nil
	case "utf32le":
		return "utf-32-le", nil
	case "utf32be":
		return "utf-32-be", nil
	}
	return "", Errorf("LookupError", "unknown encoding: %s", name)
}

// Encode is str.encode for UTF-8, UTF-16, UTF-32, ASCII and Latin-1. mode is Python's
// errors: strict, ignore, replace, backslashreplace, xmlcharrefreplace, surrogateescape.
func Encode(s, encoding, mode string) (string, error) {
	name, err := codec(encoding)
	if err != nil {
		return "", err
	}
	limit := rune(utf8.MaxRune)
	switch name {
	case "ascii":
		limit = 0x7f
	case "latin-1":
		limit = 0xff
	}
	put := encoder(name)
	var out []byte
	switch name {
	case "utf-16":
		out = []byte{0xff, 0xfe}
	case "utf-32":
		out = []byte{0xff, 0xfe, 0, 0}
	}
	n := 0
	for i := 0; i < len(s); n++ {
		r, w := utf8.DecodeRuneInString(s[i:])
		raw := r == utf8.RuneError && w == 1
		switch {
		case raw && mode == "surrogateescape":
			out = append(out, s[i])
		case !raw && r <= limit:
			out = put(out, r)
		default:
			if raw {
				r = 0xdc00 + rune(s[i])
			}
			sub, err := encodeError(name, mode, r, n, limit)
			if err != nil {
				return "", err
			}
			for _, c := range sub {
				out = put(out, c)
			}
		}
		i += w
	}
	return string(out), nil
}

func encoder(name string) func([]byte, rune) []byte {
	units := func(order binary.AppendByteOrder) func([]byte, rune) []byte {
		return func(b []byte, r rune) []byte {
			for _, u := range utf16.Encode([]rune{r}) {
				b = order.AppendUint16(b, u)
			}
			return b
		}
	}
	wide := func(order binary.AppendByteOrder) func([]byte, rune) []byte {
		return func(b []byte, r rune) []byte { return order.AppendUint32(b, uint32(r)) }
	}
	switch name {
	case "ascii", "latin-1":
		return func(b []byte, r rune) []byte { return append(b, byte(r)) }
	case "utf-16", "utf-16-le":
		return units(binary.LittleEndian)
	case "utf-16-be":
		return units(binary.BigEndian)
	case "utf-32", "utf-32-le":
		return wide(binary.LittleEndian)
	case "utf-32-be":
		return wide(binary.BigEndian)
	}
	return utf8.AppendRune
}

// encodeError is what stands for a character that name cannot encode.
func encodeError(name, mode string, r rune, at int, limit rune) (string, error) {
	switch mode {
	case "ignore":
		return "", nil
	case "replace":
		return "?", nil
	case "backslashreplace":
		return string(appendEscape(nil, r)), nil
	case "xmlcharrefreplace":
		return fmt.Sprintf("&#%d;", r), nil
	case "strict", "surrogateescape":
		why := "surrogates not allowed"
		if limit < utf8.MaxRune {
			why = fmt.Sprintf("ordinal not in range(%d)", limit+1)
		}
		return "", Errorf("UnicodeEncodeError", "'%s' codec can't encode character '%s' in position %d: %s",
			name, appendEscape(nil, r), at, why)
	}
	return "", Errorf("LookupError", "unknown error handler name '%s'", mode)
}

// Decode is bytes.decode for the encodings of [Encode].
func Decode(b, encoding, mode string) (string, error) {
	name, err := codec(encoding)
	if err != nil {
		return "", err
	}
	switch {
	case name == "latin-1":
		return widen(Bytes(b)).S, nil
	case strings.HasPrefix(name, "utf-16"), strings.HasPrefix(name, "utf-32"):
		return decodeWide(b, name)
	}
	if name == "utf-8" && utf8.ValidString(b) {
		return b, nil
	}
	var out strings.Builder
	for i := 0; i < len(b); {
		r, w := utf8.DecodeRuneInString(b[i:])
		if (r != utf8.RuneError || w != 1) && (name == "utf-8" || w == 1) {
			out.WriteString(b[i : i+w])
			i += w
			continue
		}
		switch mode {
		case "ignore":
		case "replace":
			out.WriteRune(utf8.RuneError)
		case "backslashreplace":
			fmt.Fprintf(&out, `\x%02x`, b[i])
		case "surrogateescape":
			out.WriteByte(b[i])
		case "strict":
			why := "invalid start byte"
			if name == "ascii" {
				why = "ordinal not in range(128)"
			}
			return "", Errorf("UnicodeDecodeError", "'%s' codec can't decode byte 0x%02x in position %d: %s", name, b[i], i, why)
		default:
			return "", Errorf("LookupError", "unknown error handler name '%s'", mode)
		}
		i++
	}
	return out.String(), nil
}

func decodeWide(b, name string) (string, error) {
	size := 2
	if strings.HasPrefix(name, "utf-32") {
		size = 4
	}
	if len(b)%size != 0 {
		return "", Errorf("UnicodeDecodeError", "'%s' codec can't decode byte 0x%02x in position %d: truncated data", name, b[len(b)-1], len(b)-1)
	}
	var order binary.ByteOrder = binary.LittleEndian
	if strings.HasSuffix(name, "-be") {
		order = binary.BigEndian
	}
	var units []uint16
	var out strings.Builder
	for i := 0; i < len(b); i += size {
		if size == 2 {
			units = append(units, order.Uint16([]byte(b[i:i+2])))
			continue
		}
		out.WriteRune(rune(order.Uint32([]byte(b[i : i+4]))))
	}
	out.WriteString(string(utf16.Decode(units)))
	s := out.String()
	if name == "utf-16" || name == "utf-32" {
		s = strings.TrimPrefix(s, "\ufeff")
	}
	return s, nil
}
