package source

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"orch/playbook/jinja/value"
)

// parseJSON reads a text that is one JSON object or array, in Python's dialect (NaN and
// Infinity are numbers); false if it is anything else. ansible-core 2.18: a file is
// tried as JSON before it is read as YAML, so that tabs and 1e3 mean what they mean there.
func parseJSON(file string, data []byte) (*Node, bool) {
	text := bytes.TrimLeft(data, " \t\r\n")
	if len(text) == 0 || text[0] != '{' && text[0] != '[' {
		return nil, false
	}
	j := &jsonReader{file: file, data: data, line: 1}
	j.space()
	n, ok := j.value(0)
	if !ok {
		return nil, false
	}
	j.space()
	return n, j.i == len(j.data)
}

// maxJSONDepth keeps hostile nesting off the stack.
const maxJSONDepth = 1000

type jsonReader struct {
	file  string
	data  []byte
	i     int // next byte
	line  int // of i, from 1
	start int // index of the line's first byte
}

func (j *jsonReader) pos() *Pos {
	return &Pos{File: j.file, Line: j.line, Col: utf8.RuneCount(j.data[j.start:j.i]) + 1}
}

func (j *jsonReader) space() {
	for ; j.i < len(j.data); j.i++ {
		switch j.data[j.i] {
		case '\n':
			j.line++
			j.start = j.i + 1
		case ' ', '\t', '\r':
		default:
			return
		}
	}
}

func (j *jsonReader) accept(c byte) bool {
	j.space()
	if j.i < len(j.data) && j.data[j.i] == c {
		j.i++
		return true
	}
	return false
}

func (j *jsonReader) value(depth int) (*Node, bool) {
	j.space()
	if j.i >= len(j.data) || depth > maxJSONDepth {
		return nil, false
	}
	switch j.data[j.i] {
	case '{':
		return j.object(depth)
	case '[':
		return j.array(depth)
	case '"':
		return j.str()
	}
	return j.literal()
}

func (j *jsonReader) array(depth int) (*Node, bool) {
	n := &Node{Kind: SequenceNode, Tag: TagSeq, At: j.pos()}
	j.i++
	if j.accept(']') {
		return n, true
	}
	for {
		item, ok := j.value(depth + 1)
		if !ok {
			return nil, false
		}
		n.Items = append(n.Items, item)
		if j.accept(']') {
			return n, true
		}
		if !j.accept(',') {
			return nil, false
		}
	}
}

func (j *jsonReader) object(depth int) (*Node, bool) {
	n := &Node{Kind: MappingNode, Tag: TagMap, At: j.pos()}
	j.i++
	if j.accept('}') {
		return n, true
	}
	index := map[string]int{}
	for {
		j.space()
		if j.i >= len(j.data) || j.data[j.i] != '"' {
			return nil, false
		}
		key, ok := j.str()
		if !ok || !j.accept(':') {
			return nil, false
		}
		val, ok := j.value(depth + 1)
		if !ok {
			return nil, false
		}
		if i, dup := index[key.Text]; dup {
			n.Entries[i].Value = val
		} else {
			index[key.Text] = len(n.Entries)
			n.Entries = append(n.Entries, Entry{key, val})
		}
		if j.accept('}') {
			return n, true
		}
		if !j.accept(',') {
			return nil, false
		}
	}
}

func (j *jsonReader) str() (*Node, bool) {
	j.i++
	n := &Node{Tag: TagStr, Quoted: true, At: j.pos()}
	from := j.i
	for ; j.i < len(j.data); j.i++ {
		switch c := j.data[j.i]; {
		case c == '"':
			raw := j.data[from:j.i]
			j.i++
			text, ok := unescape(raw)
			n.Text = text
			return n, ok
		case c == '\\':
			j.i++
		case c < ' ':
			return nil, false
		}
	}
	return nil, false
}

func unescape(raw []byte) (string, bool) {
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw), true
	}
	var b strings.Builder
	for i := 0; i < len(raw); i++ {
		if raw[i] != '\\' {
			b.WriteByte(raw[i])
			continue
		}
		if i++; i >= len(raw) {
			return "", false
		}
		if raw[i] == 'u' {
			r, size := unicodeEscape(raw[i+1:])
			if size == 0 {
				return "", false
			}
			b.WriteRune(r)
			i += size
			continue
		}
		k := strings.IndexByte(`"\/bfnrt`, raw[i])
		if k < 0 {
			return "", false
		}
		b.WriteByte("\"\\/\b\f\n\r\t"[k])
	}
	return b.String(), true
}

// unicodeEscape reads what follows \u, a surrogate pair included; size 0 if it is none.
func unicodeEscape(raw []byte) (r rune, size int) {
	hex := func(s []byte) (rune, bool) {
		if len(s) < 4 {
			return 0, false
		}
		n, err := strconv.ParseUint(string(s[:4]), 16, 32)
		return rune(n), err == nil
	}
	hi, ok := hex(raw)
	if !ok {
		return 0, 0
	}
	if utf16.IsSurrogate(hi) && bytes.HasPrefix(raw[4:], []byte(`\u`)) {
		if lo, ok := hex(raw[6:]); ok {
			if r := utf16.DecodeRune(hi, lo); r != utf8.RuneError {
				return r, 10
			}
		}
	}
	return hi, 4
}

func (j *jsonReader) literal() (*Node, bool) {
	n := &Node{At: j.pos()}
	from := j.i
	for j.i < len(j.data) && bytes.IndexByte([]byte(" \t\r\n,]}:\"{["), j.data[j.i]) < 0 {
		j.i++
	}
	n.Text = string(j.data[from:j.i])
	switch n.Text {
	case "null":
		n.Tag, n.scalar = TagNull, value.None{}
	case "true", "false":
		n.Tag, n.scalar = TagBool, value.Bool(n.Text == "true")
	case "NaN":
		n.Tag, n.scalar = TagFloat, value.Float(math.NaN())
	case "Infinity", "-Infinity":
		n.Tag, n.scalar = TagFloat, value.Float(math.Inf(len("Infinity")-len(n.Text)))
		if n.Text == "Infinity" {
			n.scalar = value.Float(math.Inf(1))
		}
	default:
		return n, json.Valid([]byte(n.Text)) && n.number()
	}
	return n, true
}

func (n *Node) number() bool {
	if strings.ContainsAny(n.Text, ".eE") {
		f, err := strconv.ParseFloat(n.Text, 64)
		n.Tag, n.scalar = TagFloat, value.Float(f)
		return err == nil || math.IsInf(f, 0)
	}
	v, err := parseInt(n.Text)
	n.Tag, n.scalar = TagInt, v
	return err == nil
}
