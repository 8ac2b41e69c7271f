package vars

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"

	"orch/playbook/jinja/value"
)

// splitJSON cuts a JSON object into its top-level entries without decoding them.
func splitJSON(object []byte) ([]namedFact, error) {
	dec := json.NewDecoder(bytes.NewReader(object))
	if tok, err := dec.Token(); err != nil || tok != json.Delim('{') {
		return nil, fmt.Errorf("facts are no JSON object")
	}
	var out []namedFact
	for dec.More() {
		tok, err := dec.Token()
		if err != nil {
			return nil, fmt.Errorf("facts: %w", err)
		}
		name, _ := tok.(string)
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return nil, fmt.Errorf("fact %q: %w", name, err)
		}
		var compact bytes.Buffer
		if err := json.Compact(&compact, raw); err != nil {
			return nil, fmt.Errorf("fact %q: %w", name, err)
		}
		out = append(out, namedFact{name: name, fact: fact{json: compact.String()}})
	}
	if _, err := dec.Token(); err != nil {
		return nil, fmt.Errorf("facts: %w", err)
	}
	return out, nil
}

// decodeJSON decodes text that splitJSON or appendJSON made, keeping the order of keys.
func decodeJSON(text string) value.Value {
	switch {
	case text == "null":
		return value.None{}
	case text == "true":
		return value.Bool(true)
	case text == "false":
		return value.Bool(false)
	case len(text) >= 2 && text[0] == '"' && !strings.Contains(text, `\`):
		return value.S(text[1 : len(text)-1])
	case text != "" && (text[0] == '-' || text[0] >= '0' && text[0] <= '9'):
		return decodeNumber(text)
	}
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	v, err := decodeNext(dec)
	if err != nil { // the text was checked when it was stored
		return value.None{}
	}
	return v
}

func decodeNext(dec *json.Decoder) (value.Value, error) {
	tok, err := dec.Token()
	if err != nil {
		return nil, err
	}
	switch tok := tok.(type) {
	case nil:
		return value.None{}, nil
	case bool:
		return value.Bool(tok), nil
	case string:
		return value.S(tok), nil
	case json.Number:
		return decodeNumber(tok.String()), nil
	}
	if tok == json.Delim('[') {
		list := value.NewList()
		for dec.More() {
			item, err := decodeNext(dec)
			if err != nil {
				return nil, err
			}
			list.Items = append(list.Items, item)
		}
		_, err = dec.Token()
		return list, err
	}
	dict := value.NewDict(4)
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return nil, err
		}
		item, err := decodeNext(dec)
		if err != nil {
			return nil, err
		}
		dict.SetStr(name.(string), item)
	}
	_, err = dec.Token()
	return dict, err
}

func decodeNumber(text string) value.Value {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return value.Int(n)
	}
	if !strings.ContainsAny(text, ".eE") {
		if n, ok := new(big.Int).SetString(text, 10); ok {
			return &value.BigInt{V: n}
		}
	}
	f, _ := strconv.ParseFloat(text, 64) // out of range is an infinity, as in Python
	return value.Float(f)
}

// appendJSON appends v as JSON; false if it holds what JSON cannot.
func appendJSON(b []byte, v value.Value) ([]byte, bool) {
	switch v := v.(type) {
	case value.None:
		return append(b, "null"...), true
	case value.Bool:
		return strconv.AppendBool(b, bool(v)), true
	case value.Int:
		return strconv.AppendInt(b, int64(v), 10), true
	case *value.BigInt:
		return v.V.Append(b, 10), true
	case value.Float:
		if math.IsInf(float64(v), 0) || math.IsNaN(float64(v)) {
			return b, false
		}
		at := len(b)
		b = strconv.AppendFloat(b, float64(v), 'g', -1, 64)
		if !bytes.ContainsAny(b[at:], ".e") {
			b = append(b, ".0"...)
		}
		return b, true
	case value.Str:
		if strings.ToValidUTF8(v.S, "") != v.S {
			return b, false // JSON would change the bytes
		}
		return appendString(b, v.S), true
	case *value.List:
		return appendItems(b, v.Items)
	case *value.Dict:
		b = append(b, '{')
		first := true
		for k, item := range v.All() {
			name, ok := k.(value.Str)
			if !ok {
				return b, false
			}
			if !first {
				b = append(b, ',')
			}
			first = false
			b = append(appendString(b, name.S), ':')
			if b, ok = appendJSON(b, item); !ok {
				return b, false
			}
		}
		return append(b, '}'), true
	}
	return b, false
}

func appendItems(b []byte, items []value.Value) ([]byte, bool) {
	b = append(b, '[')
	for i, item := range items {
		if i > 0 {
			b = append(b, ',')
		}
		var ok bool
		if b, ok = appendJSON(b, item); !ok {
			return b, false
		}
	}
	return append(b, ']'), true
}

func appendString(b []byte, s string) []byte {
	text, _ := json.Marshal(s) // a string always is JSON
	return append(b, text...)
}
