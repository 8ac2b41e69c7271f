package vars

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"unicode/utf8"

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
	}
	v, err := value.FromJSON([]byte(text))
	if err != nil { // the text was checked when it was stored
		return value.None{}
	}
	return v
}

// encodeJSON is v as compact JSON; false if JSON cannot hold it unchanged.
func encodeJSON(v value.Value) (string, bool) {
	if !isJSON(v) {
		return "", false
	}
	text, err := value.JSON(v, value.JSONOptions{ItemSep: ",", KeySep: ":", Unicode: true})
	return text, err == nil
}

// isJSON says whether v is the same after being written as JSON and read again.
func isJSON(v value.Value) bool {
	switch v := v.(type) {
	case value.None, value.Bool, value.Int, *value.BigInt:
		return true
	case value.Float:
		return !math.IsInf(float64(v), 0) && !math.IsNaN(float64(v))
	case value.Str:
		return utf8.ValidString(v.S)
	case *value.List:
		for _, item := range v.Items {
			if !isJSON(item) {
				return false
			}
		}
		return true
	case *value.Dict:
		for k, item := range v.All() {
			name, ok := k.(value.Str)
			if !ok || !utf8.ValidString(name.S) || !isJSON(item) {
				return false
			}
		}
		return true
	}
	return false
}
