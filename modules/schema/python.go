package schema

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"orch/playbook/jinja/value"
)

// text is Python's str() of a value.
func text(v value.Value) string {
	switch v := v.(type) {
	case value.Str:
		return v.S
	case value.Bytes:
		return string(v)
	}
	return repr(v)
}

// repr is Python's repr() of a value.
func repr(v value.Value) string {
	switch v := v.(type) {
	case value.None:
		return "None"
	case value.Bool:
		if v {
			return "True"
		}
		return "False"
	case value.Int:
		return strconv.FormatInt(int64(v), 10)
	case *value.BigInt:
		return v.V.String()
	case value.Float:
		return floatRepr(float64(v))
	case value.Str:
		return quote(v.S)
	case value.Bytes:
		return "b" + quote(string(v))
	case value.Tuple:
		return "(" + join(v) + ")"
	case *value.List:
		return "[" + join(v.Items) + "]"
	case *value.Dict:
		var parts []string
		for k, item := range v.All() {
			parts = append(parts, repr(k)+": "+repr(item))
		}
		return "{" + strings.Join(parts, ", ") + "}"
	}
	return fmt.Sprintf("<%s>", v.Type())
}

func join(items []value.Value) string {
	parts := make([]string, len(items))
	for i, item := range items {
		parts[i] = repr(item)
	}
	return strings.Join(parts, ", ")
}

func floatRepr(f float64) string {
	switch {
	case math.IsInf(f, 1):
		return "inf"
	case math.IsInf(f, -1):
		return "-inf"
	case math.IsNaN(f):
		return "nan"
	}
	if a := math.Abs(f); a != 0 && (a < 1e-4 || a >= 1e16) {
		return strconv.FormatFloat(f, 'e', -1, 64)
	}
	s := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}

func quote(s string) string {
	q := byte('\'')
	if strings.Contains(s, "'") && !strings.Contains(s, `"`) {
		q = '"'
	}
	var b strings.Builder
	b.WriteByte(q)
	for _, r := range s {
		switch {
		case r == rune(q) || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case r < ' ' || r == 0x7f:
			fmt.Fprintf(&b, `\x%02x`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte(q)
	return b.String()
}

// literalDict reads a dict written as JSON or as a Python literal.
func literalDict(s string) (*value.Dict, bool) {
	v, err := FromJSON([]byte(s))
	if err != nil {
		p := literal{rest: s}
		if v, err = p.value(0); err != nil || strings.TrimSpace(p.rest) != "" {
			return nil, false
		}
	}
	d, ok := v.(*value.Dict)
	return d, ok
}

// A literal is a parser of Python literals: what ast.literal_eval takes, less sets,
// complex numbers and string prefixes.
type literal struct{ rest string }

func (p *literal) eat(tok string) bool {
	p.rest = strings.TrimLeft(p.rest, " \t\r\n")
	if strings.HasPrefix(p.rest, tok) {
		p.rest = p.rest[len(tok):]
		return true
	}
	return false
}

func (p *literal) value(depth int) (value.Value, error) {
	switch {
	case depth > 100:
		return nil, fmt.Errorf("literal nested too deep")
	case p.eat("{"):
		return p.dict(depth)
	case p.eat("["):
		items, err := p.items("]", depth)
		return value.NewList(items...), err
	case p.eat("("):
		items, err := p.items(")", depth)
		return value.Tuple(items), err
	}
	if p.rest != "" && (p.rest[0] == '\'' || p.rest[0] == '"') {
		return p.str()
	}
	end := strings.IndexAny(p.rest, ",:]}) \t\r\n")
	if end < 0 {
		end = len(p.rest)
	}
	word := p.rest[:end]
	p.rest = p.rest[end:]
	switch word {
	case "None":
		return value.None{}, nil
	case "True":
		return value.Bool(true), nil
	case "False":
		return value.Bool(false), nil
	}
	return number(strings.ReplaceAll(word, "_", ""))
}

func (p *literal) dict(depth int) (value.Value, error) {
	d := value.NewDict(8)
	for !p.eat("}") {
		k, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		if !p.eat(":") {
			return nil, fmt.Errorf("expected ':'")
		}
		v, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		if err := d.Set(k, v); err != nil {
			return nil, err
		}
		if !p.eat(",") {
			if !p.eat("}") {
				return nil, fmt.Errorf("expected '}'")
			}
			break
		}
	}
	return d, nil
}

func (p *literal) items(end string, depth int) ([]value.Value, error) {
	var items []value.Value
	for !p.eat(end) {
		v, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		items = append(items, v)
		if !p.eat(",") {
			if !p.eat(end) {
				return nil, fmt.Errorf("expected %q", end)
			}
			break
		}
	}
	return items, nil
}

func (p *literal) str() (value.Value, error) {
	q := p.rest[0]
	var b strings.Builder
	for i := 1; i < len(p.rest); i++ {
		switch c := p.rest[i]; {
		case c == q:
			p.rest = p.rest[i+1:]
			return value.S(b.String()), nil
		case c == '\\' && i+1 < len(p.rest):
			if p.rest[i+1] == '\'' || p.rest[i+1] == '"' {
				b.WriteByte(p.rest[i+1])
				i++
				continue
			}
			r, _, tail, err := strconv.UnquoteChar(p.rest[i:], 0)
			if err != nil {
				return nil, err
			}
			b.WriteRune(r)
			i = len(p.rest) - len(tail) - 1
		default:
			b.WriteByte(c)
		}
	}
	return nil, fmt.Errorf("unterminated string")
}
