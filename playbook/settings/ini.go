package settings

import (
	"fmt"
	"strings"

	"orch/playbook/source"
)

// An iniValue is a value of ansible.cfg and its place.
type iniValue struct {
	text string
	pos  source.Pos
}

// parseINI reads ansible.cfg as Python's configparser does: "key = value" or
// "key: value", lines that start with # or ; are comments, " ;" starts one inside a
// line, an indented line continues the value above.
func parseINI(file string, text []byte, diags source.Diagnostics) (map[string]iniValue, source.Diagnostics) {
	values := map[string]iniValue{}
	var section, last string
	n := 0
	for raw := range strings.Lines(string(text)) {
		n++
		line := strings.TrimSpace(raw)
		pos := source.Pos{File: file, Line: n, Col: 1 + strings.Index(raw, line)}
		switch {
		case line == "" || line[0] == '#' || line[0] == ';':
			if line == "" {
				last = ""
			}
		case line[0] == '[' && strings.HasSuffix(line, "]"):
			section, last = strings.ToLower(line[1:len(line)-1]), ""
		case (raw[0] == ' ' || raw[0] == '\t') && last != "":
			v := values[last]
			v.text += "\n" + inlineComment(line)
			values[last] = v
		default:
			at := strings.IndexAny(line, "=:")
			if at <= 0 || section == "" {
				msg := fmt.Sprintf("expected key = value, got %q", line)
				if section == "" {
					msg = fmt.Sprintf("%q stands before the first [section]", line)
				}
				diags = append(diags, source.Diagnostic{Pos: pos, Msg: msg})
				continue
			}
			last = section + "." + strings.ToLower(strings.TrimSpace(line[:at]))
			values[last] = iniValue{inlineComment(strings.TrimSpace(line[at+1:])), pos}
		}
	}
	return values, diags
}

func inlineComment(s string) string {
	if i := strings.Index(s, " ;"); i >= 0 {
		return strings.TrimSpace(s[:i])
	}
	return s
}
