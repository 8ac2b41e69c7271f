package filter

import (
	"fmt"
	"strings"

	"orch/playbook/jinja/value"
)

// A csvReader reads CSV as Python's csv module does: quotes may stand in the middle of a
// field, rows may have any length.
type csvReader struct {
	delimiter rune
	skipSpace bool
	strict    bool
	in        []rune
	pos       int
}

// row reads the next row; false at the end.
func (r *csvReader) row() ([]string, bool, error) {
	if r.pos >= len(r.in) {
		return nil, false, nil
	}
	var fields []string
	for {
		field, err := r.field()
		if err != nil {
			return nil, false, err
		}
		fields = append(fields, field)
		if r.pos >= len(r.in) {
			break
		}
		c := r.in[r.pos]
		r.pos++
		if c == r.delimiter {
			continue
		}
		if c == '\r' && r.pos < len(r.in) && r.in[r.pos] == '\n' {
			r.pos++
		}
		break
	}
	if len(fields) == 1 && fields[0] == "" {
		return []string{}, true, nil // a blank line
	}
	return fields, true, nil
}

func (r *csvReader) peek() rune {
	if r.pos < len(r.in) {
		return r.in[r.pos]
	}
	return '\n'
}

func (r *csvReader) field() (string, error) {
	for r.skipSpace && r.peek() == ' ' {
		r.pos++
	}
	var b strings.Builder
	if r.peek() == '"' {
		if err := r.quoted(&b); err != nil {
			return "", err
		}
	}
	for r.pos < len(r.in) {
		c := r.in[r.pos]
		if c == r.delimiter || c == '\n' || c == '\r' {
			break
		}
		b.WriteRune(c)
		r.pos++
	}
	return b.String(), nil
}

// quoted reads up to the closing quote; two quotes are one.
func (r *csvReader) quoted(b *strings.Builder) error {
	for r.pos++; r.pos < len(r.in); r.pos++ {
		c := r.in[r.pos]
		if c != '"' {
			b.WriteRune(c)
			continue
		}
		if r.pos+1 < len(r.in) && r.in[r.pos+1] == '"' {
			b.WriteByte('"')
			r.pos++
			continue
		}
		r.pos++
		if next := r.peek(); r.strict && next != r.delimiter && next != '\n' && next != '\r' {
			return fmt.Errorf("unable to process file: '%c' expected after '\"'", r.delimiter)
		}
		return nil
	}
	if r.strict {
		return fmt.Errorf("unable to process file: unexpected end of data")
	}
	return nil
}

func newCSVReader(c *call) (*csvReader, error) {
	s, err := c.inputText()
	if err != nil {
		return nil, err
	}
	r := &csvReader{delimiter: ',', in: []rune(strings.TrimPrefix(s, "\ufeff")), skipSpace: c.truth(3), strict: c.truth(4)}
	switch dialect := value.String(c.args[0]); dialect {
	case "excel", "unix":
	case "excel-tab":
		r.delimiter = '\t'
	default:
		return nil, badChoice("from_csv: dialect", dialect, "excel", "excel-tab", "unix")
	}
	if c.has(2) {
		d := []rune(value.String(c.args[2]))
		if len(d) != 1 {
			return nil, typeErr("unable to create custom dialect: \"delimiter\" must be a 1-character string")
		}
		r.delimiter = d[0]
	}
	return r, nil
}

func fromCSV(c *call) (value.Value, error) {
	r, err := newCSVReader(c)
	if err != nil {
		return nil, err
	}
	var names []string
	if c.has(1) {
		if names, err = c.targets(c.args[1]); err != nil {
			return nil, err
		}
	}
	rows := []value.Value{}
	for {
		fields, ok, err := r.row()
		if err != nil {
			return nil, err
		}
		switch {
		case !ok:
			return newList(rows), nil
		case names == nil:
			names = fields
		case len(fields) > 0:
			rows = append(rows, csvRow(names, fields))
		}
	}
}

// csvRow is a row as csv.DictReader has it: what is missing is None, what is too much a
// list under None.
func csvRow(names, fields []string) value.Value {
	d := value.NewDict(len(names))
	for i, name := range names {
		if i < len(fields) {
			d.SetStr(name, value.S(fields[i]))
		} else {
			d.SetStr(name, value.None{})
		}
	}
	if len(fields) > len(names) {
		_ = d.Set(value.None{}, strs(fields[len(names):])) // None can be a key
	}
	return d
}

// fromINI reads what Python's configparser reads, without interpolation: keys are lower
// case, indented lines continue a value, sections and keys may not repeat.
func fromINI(c *call) (value.Value, error) {
	s, err := c.input()
	if err != nil {
		return nil, err
	}
	out := value.NewDict(0)
	var section *value.Dict
	key := ""
	for n, line := range strings.Split(strings.ReplaceAll(s, "\r\n", "\n"), "\n") {
		text := strings.TrimSpace(line)
		bad := func(why string) error { return fmt.Errorf("from_ini: line %d: %s: '%s'", n+1, why, text) }
		switch {
		case text == "" || text[0] == '#' || text[0] == ';':
		case key != "" && (line[0] == ' ' || line[0] == '\t'):
			before, _ := section.GetStr(key)
			section.SetStr(key, value.S(value.String(before)+"\n"+text))
		case text[0] == '[' && strings.Contains(text, "]"):
			name := text[1:strings.LastIndexByte(text, ']')]
			if _, twice := out.GetStr(name); twice {
				return nil, bad("the section occurs twice")
			}
			section, key = value.NewDict(0), ""
			out.SetStr(name, section)
		case section == nil:
			return nil, bad("there is no section header before it")
		default:
			i := strings.IndexAny(text, "=:")
			if i < 0 {
				return nil, bad("neither a section nor 'key = value'")
			}
			key = value.Lower(strings.TrimSpace(text[:i]))
			if _, twice := section.GetStr(key); twice {
				return nil, bad("the key occurs twice in its section")
			}
			section.SetStr(key, value.S(strings.TrimSpace(text[i+1:])))
		}
	}
	return out, nil
}

func toINI(c *call) (value.Value, error) {
	d, ok, err := asDict(c.in)
	if err != nil {
		return nil, err
	}
	if !ok || d.Len() == 0 {
		return nil, typeErr("to_ini requires a dict of sections, got %s", value.Repr(c.in))
	}
	var b strings.Builder
	for name, v := range d.All() {
		section, ok, err := asDict(v)
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, typeErr("to_ini: the section '%s' is no dict", value.String(name))
		}
		fmt.Fprintf(&b, "[%s]\n", value.String(name))
		for k, item := range section.All() {
			s, err := text(item)
			if err != nil {
				return nil, err
			}
			fmt.Fprintf(&b, "%s = %s\n", value.Lower(value.String(k)), strings.ReplaceAll(s, "\n", "\n\t"))
		}
		b.WriteByte('\n')
	}
	return value.S(b.String()), nil
}
