package jinja

import (
	"slices"
	"strings"
	"unicode/utf8"

	"orch/playbook/jinja/value"
)

// A prettyPrinter is Python's pprint.pformat: 80 columns, one more for each level, dicts
// sorted.
type prettyPrinter struct{ b strings.Builder }

const (
	prettyWidth = 80
	prettyDepth = 200 // levels below which everything stands on one line
)

func filterPprint(_ *Call, in value.Value, _ Bound) (value.Value, error) {
	if u, ok := value.HasUnknown(in); ok {
		return u, nil
	}
	if value.Endless(in) {
		return nil, value.Errorf("RecursionError", "the %s contains itself, or is too large", in.Type())
	}
	p := prettyPrinter{}
	p.format(in, 0, 0, 0)
	return value.S(p.b.String()), nil
}

func (p *prettyPrinter) write(s string) { p.b.WriteString(s) }

// runes is the length of text in characters.
func runes(s string) int { return utf8.RuneCountInString(s) }

// format writes v, which begins at column indent and is followed by allowance more
// characters on its last line.
func (p *prettyPrinter) format(v value.Value, indent, allowance, level int) {
	rep := sortedRepr(v)
	if runes(rep) <= prettyWidth-indent-allowance || level > prettyDepth {
		p.write(rep)
		return
	}
	switch v := v.(type) {
	case *value.Dict:
		p.write("{")
		p.entries(sortedEntries(v), indent+1, allowance+1, level+1)
		p.write("}")
	case *value.List:
		p.write("[")
		p.items(v.Items, indent+1, allowance+1, level+1)
		p.write("]")
	case value.Tuple:
		end := ")"
		if len(v) == 1 {
			end = ",)"
		}
		p.write("(")
		p.items(v, indent+1, allowance+len(end), level+1)
		p.write(end)
	case value.Str:
		p.text(v.S, indent, allowance, level+1)
	case value.Bytes:
		p.bytes(v, indent, allowance, level+1)
	default:
		p.write(rep)
	}
}

func (p *prettyPrinter) newline(indent int) { p.write("\n" + strings.Repeat(" ", indent)) }

func (p *prettyPrinter) items(items []value.Value, indent, allowance, level int) {
	for i, item := range items {
		if i > 0 {
			p.write(",")
			p.newline(indent)
		}
		after := 1
		if i == len(items)-1 {
			after = allowance
		}
		p.format(item, indent, after, level)
	}
}

func (p *prettyPrinter) entries(entries []value.Tuple, indent, allowance, level int) {
	for i, e := range entries {
		if i > 0 {
			p.write(",")
			p.newline(indent)
		}
		after := 1
		if i == len(entries)-1 {
			after = allowance
		}
		key := sortedRepr(e[0])
		p.write(key + ": ")
		p.format(e[1], indent+runes(key)+2, after, level)
	}
}

// text breaks a long string into adjacent literals, at line ends and then at spaces. At
// the outermost level they stand in parentheses.
func (p *prettyPrinter) text(s string, indent, allowance, level int) {
	if level == 1 {
		indent++
		allowance++
	}
	lines := value.SplitLines(s, true)
	width := prettyWidth - indent
	var chunks []string
	for i, line := range lines {
		last := i == len(lines)-1
		room := width
		if last {
			room -= allowance
		}
		if rep := value.Repr(value.S(line)); runes(rep) <= room {
			chunks = append(chunks, rep)
			continue
		}
		chunks = append(chunks, breakLine(line, width, room, last)...)
	}
	if len(chunks) == 1 {
		p.write(chunks[0])
		return
	}
	if level == 1 {
		p.write("(")
	}
	for i, chunk := range chunks {
		if i > 0 {
			p.newline(indent)
		}
		p.write(chunk)
	}
	if level == 1 {
		p.write(")")
	}
}

// breakLine packs the words of a line, each with the space behind it, into literals of
// at most width characters; those of the last line's last word of at most lastWidth.
func breakLine(line string, width, lastWidth int, last bool) []string {
	var chunks []string
	current := ""
	parts := wordsAndSpace(line)
	for i, part := range parts {
		if last && i == len(parts)-1 {
			width = lastWidth
		}
		if runes(value.Repr(value.S(current+part))) <= width {
			current += part
			continue
		}
		if current != "" {
			chunks = append(chunks, value.Repr(value.S(current)))
		}
		current = part
	}
	if current != "" {
		chunks = append(chunks, value.Repr(value.S(current)))
	}
	return chunks
}

func wordsAndSpace(s string) []string {
	var parts []string
	start, inSpace := 0, false
	for i, r := range s {
		space := isPySpace(r)
		if inSpace && !space {
			parts = append(parts, s[start:i])
			start = i
		}
		inSpace = space
	}
	return append(parts, s[start:])
}

func isPySpace(r rune) bool {
	return strings.TrimSpace(string(r)) == "" || r >= 0x1c && r <= 0x1f
}

// bytes breaks at multiples of four bytes.
func (p *prettyPrinter) bytes(v value.Bytes, indent, allowance, level int) {
	if len(v) <= 4 {
		p.write(value.Repr(v))
		return
	}
	parens := level == 1
	if parens {
		indent++
		allowance++
		p.write("(")
	}
	width := prettyWidth - indent
	current, last := value.Bytes(""), len(v)/4*4
	first := true
	emit := func(b value.Bytes) {
		if !first {
			p.newline(indent)
		}
		first = false
		p.write(value.Repr(b))
	}
	for i := 0; i < len(v); i += 4 {
		part := v[i:min(i+4, len(v))]
		if i == last {
			width -= allowance
		}
		if len(value.Repr(current+part)) > width {
			if current != "" {
				emit(current)
			}
			current = part
			continue
		}
		current += part
	}
	if current != "" {
		emit(current)
	}
	if parens {
		p.write(")")
	}
}

// sortedRepr is repr with every dict sorted.
func sortedRepr(v value.Value) string {
	var b strings.Builder
	writeSorted(&b, v)
	return b.String()
}

func writeSorted(b *strings.Builder, v value.Value) {
	list := func(items []value.Value) {
		for i, item := range items {
			if i > 0 {
				b.WriteString(", ")
			}
			writeSorted(b, item)
		}
	}
	switch v := v.(type) {
	case *value.Dict:
		b.WriteByte('{')
		for i, e := range sortedEntries(v) {
			if i > 0 {
				b.WriteString(", ")
			}
			writeSorted(b, e[0])
			b.WriteString(": ")
			writeSorted(b, e[1])
		}
		b.WriteByte('}')
	case *value.List:
		b.WriteByte('[')
		list(v.Items)
		b.WriteByte(']')
	case value.Tuple:
		b.WriteByte('(')
		list(v)
		if len(v) == 1 {
			b.WriteByte(',')
		}
		b.WriteByte(')')
	default:
		b.WriteString(value.Repr(v))
	}
}

// sortedEntries sorts by key; keys without an order by the name of their type.
func sortedEntries(d *value.Dict) []value.Tuple {
	entries := make([]value.Tuple, 0, d.Len())
	for k, v := range d.All() {
		entries = append(entries, value.Tuple{k, v})
	}
	slices.SortStableFunc(entries, func(a, b value.Tuple) int {
		order, err := value.Compare(a[0], b[0])
		if err != nil {
			return strings.Compare(a[0].Type(), b[0].Type())
		}
		return order
	})
	return entries
}
