package template

import (
	"strings"

	"orch/playbook/jinja/value"
)

// evalLiteral reads s as a Python literal. With json the names true, false and null are
// read too, as ansible-core 2.18 does for what its templates print.
func evalLiteral(s string, json bool) (value.Value, bool) {
	v, err := value.LiteralEval(s)
	if err == nil {
		return v, true
	}
	if !json {
		return nil, false
	}
	python := pythonNames(s)
	if python == s {
		return nil, false
	}
	v, err = value.LiteralEval(python)
	return v, err == nil
}

var jsonNames = map[string]string{"true": "True", "false": "False", "null": "None"}

// pythonNames replaces JSON's names by Python's, outside of strings.
func pythonNames(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); {
		switch c := s[i]; {
		case c == '"' || c == '\'':
			end := stringEnd(s, i)
			b.WriteString(s[i:end])
			i = end
		case isWord(c):
			end := i
			for end < len(s) && isWord(s[end]) {
				end++
			}
			word := s[i:end]
			if python, ok := jsonNames[word]; ok {
				word = python
			}
			b.WriteString(word)
			i = end
		default:
			b.WriteByte(c)
			i++
		}
	}
	return b.String()
}

func isWord(c byte) bool {
	return c == '_' || c >= 0x80 || c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z'
}

// stringEnd is the index after the string that begins at i.
func stringEnd(s string, i int) int {
	quote := s[i]
	for i++; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case quote:
			return i + 1
		}
	}
	return len(s)
}
