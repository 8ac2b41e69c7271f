package value

import (
	"strings"
	"unicode/utf8"
)

// formatMethod returns str.format and str.format_map. They are not in the table of
// methods because a format string can itself ask for methods.
func formatMethod(name string) (method, bool) {
	switch name {
	case "format":
		return method{variadic: true, do: func(self Value, pos []Value, named []Named) (Value, error) {
			d := NewDict(len(named))
			for _, n := range named {
				d.SetStr(n.Name, n.Val)
			}
			return formatText(self, pos, d)
		}}, true
	case "format_map":
		return takes("mapping", func(self Value, a []Value) (Value, error) {
			return formatText(self, nil, a[0])
		}), true
	}
	return method{}, false
}

// formatText is self.format(*pos, **named).
func formatText(self Value, pos []Value, named Value) (Value, error) {
	s, _ := text(self)
	_, markup := self.(Markup)
	f := formatter{pos: pos, named: named, markup: markup}
	out, err := f.expand(s, 2)
	if err != nil {
		return absorb(nil, err)
	}
	if markup {
		return Markup(out), nil
	}
	return S(out), nil
}

type formatter struct {
	pos    []Value
	named  Value
	markup bool
	auto   int  // the next automatic index
	manual bool // {0} was seen
	autos  bool // {} was seen
}

func (f *formatter) expand(s string, depth int) (string, error) {
	if depth == 0 {
		return "", valueErr("Max string recursion exceeded")
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		at := strings.IndexAny(s[i:], "{}")
		if at < 0 {
			b.WriteString(s[i:])
			break
		}
		b.WriteString(s[i : i+at])
		i += at
		c := s[i]
		i++
		if i < len(s) && s[i] == c {
			b.WriteByte(c)
			i++
			continue
		}
		if c == '}' || i == len(s) {
			return "", valueErr("Single '%c' encountered in format string", c)
		}
		field, next, err := parseField(s, i)
		if err != nil {
			return "", err
		}
		i = next
		out, err := f.field(field, depth)
		if err != nil {
			return "", err
		}
		b.WriteString(out)
		if b.Len() > maxItems {
			return "", tooBig()
		}
	}
	return b.String(), nil
}

// A field is a parsed {name!conversion:spec}.
type field struct {
	name       string
	conversion rune
	spec       string
}

// parseField reads the field that begins after its brace and returns where it ends.
func parseField(s string, i int) (field, int, error) {
	start := i
	for i < len(s) && strings.IndexByte("}:!", s[i]) < 0 {
		switch s[i] {
		case '{':
			return field{}, 0, valueErr("unexpected '{' in field name")
		case '[':
			for i < len(s) && s[i] != ']' {
				i++
			}
			if i == len(s) {
				return field{}, 0, valueErr("expected '}' before end of string")
			}
		}
		i++
	}
	if i >= len(s) {
		return field{}, 0, valueErr("expected '}' before end of string")
	}
	fd := field{name: s[start:i]}
	c := s[i]
	i++
	if c == '}' {
		return fd, i, nil
	}
	if c == '!' {
		if i >= len(s) {
			return field{}, 0, valueErr("end of string while looking for conversion specifier")
		}
		r, w := utf8.DecodeRuneInString(s[i:])
		fd.conversion = r
		i += w
		if i < len(s) {
			if s[i] == '}' {
				return fd, i + 1, nil
			}
			if s[i] != ':' {
				return field{}, 0, valueErr("expected ':' after conversion specifier")
			}
			i++
		}
	}
	start = i
	for depth := 1; i < len(s); i++ {
		switch s[i] {
		case '{':
			depth++
		case '}':
			if depth--; depth == 0 {
				fd.spec = s[start:i]
				return fd, i + 1, nil
			}
		}
	}
	return field{}, 0, valueErr("unmatched '{' in format spec")
}

func (f *formatter) field(fd field, depth int) (string, error) {
	v, err := f.lookup(fd.name)
	if err != nil {
		return "", err
	}
	if fd.conversion != 0 {
		s, err := Text(v)
		switch {
		case err != nil:
			return "", err
		case fd.conversion == 'r':
			if s, err = ReprText(v); err != nil {
				return "", err
			}
		case fd.conversion == 'a':
			s = ASCII(v)
		case fd.conversion != 's':
			if fd.conversion > 32 && fd.conversion < 127 {
				return "", valueErr("Unknown conversion specifier %c", fd.conversion)
			}
			return "", valueErr(`Unknown conversion specifier \x%x`, fd.conversion)
		}
		v = S(s)
	}
	format := fd.spec
	if strings.ContainsAny(format, "{}") {
		if format, err = f.expand(format, depth-1); err != nil {
			return "", err
		}
	}
	out, err := FormatValue(v, format)
	if f.markup && err == nil {
		if _, safe := v.(Markup); !safe {
			out = string(Escape(S(out)))
		}
	}
	return out, err
}

// lookup finds the object of a field name: an argument, then attributes and items of it.
func (f *formatter) lookup(name string) (Value, error) {
	end := strings.IndexAny(name, ".[")
	if end < 0 {
		end = len(name)
	}
	v, err := f.argument(name[:end])
	if err != nil {
		return nil, err
	}
	for rest := name[end:]; rest != ""; {
		part := ""
		attr := rest[0] == '.'
		if end > 0 && name[len(name)-len(rest)-1] == ']' && !attr && rest[0] != '[' {
			return nil, valueErr("Only '.' or '[' may follow ']' in format field specifier")
		}
		if attr {
			rest = rest[1:]
			end := strings.IndexAny(rest, ".[")
			if end < 0 {
				end = len(rest)
			}
			part, rest = rest[:end], rest[end:]
		} else {
			end := strings.IndexByte(rest, ']')
			if end < 0 {
				return nil, valueErr("Missing ']' in format string")
			}
			part, rest = rest[1:end], rest[end+1:]
		}
		if part == "" {
			return nil, valueErr("Empty attribute in format string")
		}
		if v, err = step(v, part, attr); err != nil {
			return nil, err
		}
	}
	return v, nil
}

func (f *formatter) argument(name string) (Value, error) {
	i, isIndex, err := fieldIndex(name)
	if err != nil {
		return nil, err
	}
	switch {
	case name == "" && f.manual:
		return nil, valueErr("cannot switch from manual field specification to automatic field numbering")
	case name == "":
		f.autos = true
		i = f.auto
		f.auto++
	case isIndex && f.autos:
		return nil, valueErr("cannot switch from automatic field numbering to manual field specification")
	case isIndex:
		f.manual = true
	default:
		v, ok, err := Item(f.named, S(name))
		if err == nil && !ok {
			err = Errorf("KeyError", "%s", reprText(name))
		}
		return v, err
	}
	if f.pos == nil {
		if _, dict := f.named.(*Dict); !dict || f.pos == nil && f.named.(*Dict).Len() > 0 && name != "" {
			return nil, valueErr("Format string contains positional fields")
		}
	}
	if i >= len(f.pos) {
		return nil, Errorf("IndexError", "Replacement index %d out of range for positional args tuple", i)
	}
	return f.pos[i], nil
}

// fieldIndex says whether name is a number.
func fieldIndex(name string) (int, bool, error) {
	n, rest, err := specNumber(name, -1)
	if err != nil {
		return 0, false, err
	}
	return n, rest == "" && name != "", nil
}

func step(v Value, part string, attr bool) (Value, error) {
	if attr {
		out, ok, err := Attr(v, part)
		if err == nil && !ok {
			err = Errorf("AttributeError", "'%s' object has no attribute '%s'", v.Type(), part)
		}
		return out, err
	}
	var key Value = S(part)
	i, isIndex, err := fieldIndex(part)
	if err != nil {
		return nil, err
	}
	if isIndex {
		key = Int(i)
	}
	out, ok, err := Item(v, key)
	if ok || err != nil {
		return out, err
	}
	return nil, MissingItem(v, key)
}

// MissingItem is the error Python raises for v[key] where [Item] finds nothing.
func MissingItem(v, key Value) error {
	_, isIndex := index(key)
	if _, big := key.(*BigInt); big {
		switch v.(type) {
		case Str, Markup, *List, Tuple, Bytes, *Range:
			return Errorf("IndexError", "cannot fit 'int' into an index-sized integer")
		}
	}
	switch v := v.(type) {
	case *Dict, Mapping:
		if err := Hashable(key); err != nil {
			return err
		}
		return Errorf("KeyError", "%s", Repr(key))
	case Str, Markup:
		if isIndex {
			return Errorf("IndexError", "string index out of range")
		}
		return typeErr("string indices must be integers, not '%s'", key.Type())
	case *List, Tuple, Bytes, *Range:
		name := v.Type()
		if isIndex {
			switch name {
			case "bytes":
				return Errorf("IndexError", "index out of range")
			case "range":
				return Errorf("IndexError", "range object index out of range")
			}
			return Errorf("IndexError", "%s index out of range", name)
		}
		if name == "bytes" {
			name = "byte"
		}
		return typeErr("%s indices must be integers or slices, not %s", name, key.Type())
	}
	return typeErr("'%s' object is not subscriptable", v.Type())
}
