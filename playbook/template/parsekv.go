package template

import (
	"regexp"
	"strconv"
	"strings"
)

// A pair is key=val of an argument string.
type pair struct{ key, val string }

// parseKV reads the key=value arguments some lookups take in one string, as
// ansible-core 2.18's parse_kv does. What is no pair is joined under the key
// _raw_params.
func parseKV(s string) []pair {
	var out []pair
	var raw []string
	for _, word := range splitArgs(s) {
		text := decodeEscapes(word)
		at := 0
		for at < len(text) && (text[at] != '=' || at == 0 || text[at-1] == '\\') {
			at++
		}
		switch {
		case at < len(text):
			out = append(out, pair{strings.TrimSpace(text[:at]), unquote(strings.TrimSpace(text[at+1:]))})
		case strings.Contains(text, "="):
			raw = append(raw, strings.ReplaceAll(text, `\=`, "="))
		default:
			raw = append(raw, word)
		}
	}
	if len(raw) > 0 {
		out = append(out, pair{rawParams, strings.Join(raw, " ")})
	}
	return out
}

const rawParams = "_raw_params"

// splitArgs cuts at blanks outside of quotes and of {{ }}, {% %}, {# #}.
func splitArgs(s string) []string {
	var out []string
	var word strings.Builder
	var quote byte
	depth := 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case quote != 0:
			if c == quote && s[i-1] != '\\' {
				quote = 0
			}
		case (c == '"' || c == '\'') && (i == 0 || s[i-1] != '\\'):
			quote = c
		case c == '{' && i+1 < len(s) && strings.IndexByte("{%#", s[i+1]) >= 0:
			depth++
		case c == '}' && i > 0 && strings.IndexByte("}%#", s[i-1]) >= 0 && depth > 0:
			depth--
		case depth == 0 && (c == ' ' || c == '\t' || c == '\n'):
			if word.Len() > 0 {
				out = append(out, word.String())
				word.Reset()
			}
			continue
		}
		word.WriteByte(c)
	}
	if word.Len() > 0 {
		out = append(out, word.String())
	}
	return out
}

func unquote(s string) string {
	if n := len(s); n > 1 && s[0] == s[n-1] && (s[0] == '"' || s[0] == '\'') && s[n-2] != '\\' {
		return s[1 : n-1]
	}
	return s
}

var escape = regexp.MustCompile(`\\U[a-fA-F0-9]{8}|\\u[a-fA-F0-9]{4}|\\x[a-fA-F0-9]{2}|\\[\\'"abfnrtv]`)

// decodeEscapes reads Python's escapes.
func decodeEscapes(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	return escape.ReplaceAllStringFunc(s, func(m string) string {
		if n, err := strconv.ParseUint(m[2:], 16, 32); err == nil && len(m) > 2 {
			return string(rune(n))
		}
		if i := strings.IndexByte(`\'"abfnrtv`, m[1]); i >= 0 {
			return "\\'\"\a\b\f\n\r\t\v"[i : i+1]
		}
		return m
	})
}
