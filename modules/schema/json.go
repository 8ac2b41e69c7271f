package schema

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/big"
	"strconv"
	"strings"

	"orch/playbook/jinja/value"
)

// JSON encodes a value. Keys keep their order; those that are no strings become strings.
func JSON(v value.Value) ([]byte, error) {
	var b bytes.Buffer
	err := writeJSON(&b, v, ",", ":")
	return b.Bytes(), err
}

func writeJSON(b *bytes.Buffer, v value.Value, comma, colon string) error {
	switch v := v.(type) {
	case value.None:
		b.WriteString("null")
	case value.Bool:
		b.WriteString(strconv.FormatBool(bool(v)))
	case value.Int, *value.BigInt:
		b.WriteString(text(v))
	case value.Float:
		if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
			return fmt.Errorf("%s has no JSON form", text(v))
		}
		b.WriteString(text(v))
	case value.Tuple:
		return writeJSON(b, value.NewList(v...), comma, colon)
	case *value.List:
		b.WriteByte('[')
		for i, item := range v.Items {
			if i > 0 {
				b.WriteString(comma)
			}
			if err := writeJSON(b, item, comma, colon); err != nil {
				return err
			}
		}
		b.WriteByte(']')
	case *value.Dict:
		b.WriteByte('{')
		first := true
		for k, item := range v.All() {
			if !first {
				b.WriteString(comma)
			}
			first = false
			writeString(b, text(k))
			b.WriteString(colon)
			if err := writeJSON(b, item, comma, colon); err != nil {
				return err
			}
		}
		b.WriteByte('}')
	case value.Mapping:
		d, err := toDict(v)
		if err != nil {
			return err
		}
		return writeJSON(b, d, comma, colon)
	case value.Str, value.Bytes:
		writeString(b, text(v))
	default:
		return fmt.Errorf("a value of type %s has no JSON form", v.Type())
	}
	return nil
}

func writeString(b *bytes.Buffer, s string) {
	enc := json.NewEncoder(b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(s) // a string always encodes
	b.Truncate(b.Len() - 1)
}

// FromJSON decodes one JSON text. Objects keep their order; strings are data.
func FromJSON(raw []byte) (value.Value, error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	v, err := readJSON(dec)
	if err != nil {
		return nil, err
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, fmt.Errorf("text after the JSON value")
	}
	return v, nil
}

func readJSON(dec *json.Decoder) (value.Value, error) {
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
		return number(tok.String())
	case json.Delim:
		if tok == '[' {
			list := value.NewList()
			for dec.More() {
				item, err := readJSON(dec)
				if err != nil {
					return nil, err
				}
				list.Items = append(list.Items, item)
			}
			_, err := dec.Token()
			return list, err
		}
		d := value.NewDict(8)
		for dec.More() {
			key, err := dec.Token()
			if err != nil {
				return nil, err
			}
			item, err := readJSON(dec)
			if err != nil {
				return nil, err
			}
			name, _ := key.(string)
			d.SetStr(name, item)
		}
		_, err := dec.Token()
		return d, err
	}
	return nil, fmt.Errorf("unexpected JSON token %v", tok)
}

func number(s string) (value.Value, error) {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return value.Int(n), nil
	}
	if !strings.ContainsAny(s, ".eE") {
		if n, ok := new(big.Int).SetString(s, 10); ok {
			return &value.BigInt{V: n}, nil
		}
	}
	f, err := strconv.ParseFloat(s, 64)
	return value.Float(f), err
}
