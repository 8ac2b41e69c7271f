package report

import (
	"strings"
	"unicode"

	"orch/modules"
	"orch/playbook/jinja/value"
	"orch/playbook/source"
	"orch/playbook/template/pyyaml"
)

// yaml is a result as callback_result_format=yaml prints it (ansible-core 2.18:
// CallbackBase._dump_results). Unless callback_format_pretty is off, texts of several
// lines are made such that they can be written as blocks, and lines are not repeated.
func (a *ansible) yaml(d *value.Dict) string {
	lossy := a.o.Pretty == nil || *a.o.Pretty
	if lossy {
		for _, name := range []string{"stdout", "stderr"} {
			_, text := d.GetStr(name)
			if _, lines := d.GetStr(name + "_lines"); text && lines {
				d.SetStr(name+"_lines", value.S("<omitted>"))
			}
		}
	}
	return "\n" + yamlText(d, lossy, lossy)
}

// yamlText is v as YAML, moved in by four; wide says that a level takes four columns.
func yamlText(v value.Value, wide, lossy bool) string {
	o := pyyaml.Options{Flow: pyyaml.FlowNever, SortKeys: true, Scalar: blocks(lossy)}
	o.Represent = func(v value.Value) (value.Value, bool) { return value.S(value.String(v)), true }
	if wide {
		o.Indent = 4
	}
	text, err := pyyaml.Marshal(v, o)
	if err != nil { // a value too deep for YAML
		text = value.String(v) + "\n"
	}
	var b strings.Builder
	for line := range strings.Lines(text) {
		if strings.TrimSpace(line) != "" {
			b.WriteString("    ")
		}
		b.WriteString(line)
	}
	return b.String()
}

// yamlDiff writes the sides of a diff that are dicts as YAML.
func (a *ansible) yamlDiff(d modules.Diff) modules.Diff {
	if !a.o.YAML || !d.Dict {
		return d
	}
	lossy := a.o.Pretty == nil || *a.o.Pretty
	for _, side := range []*string{&d.Before, &d.After} {
		if v, err := value.FromJSON([]byte(*side)); err == nil {
			*side = yamlText(v, true, lossy) + "\n"
		}
	}
	return d
}

// yamlBreaks are what YAML takes for the end of a line.
const yamlBreaks = "\n\u0085\u2028\u2029"

var spacesAtEnd = source.Lazy(" +([" + yamlBreaks + "])")

// blocks writes texts of several lines as blocks. YAML cannot for some of them, which
// lossy mends.
func blocks(lossy bool) func(string) (string, byte) {
	return func(s string) (string, byte) {
		if !strings.ContainsAny(s, yamlBreaks) {
			return s, 0
		}
		if lossy {
			s = expandTabs(strings.TrimRightFunc(s, unicode.IsSpace))
			s = strings.Map(func(r rune) rune {
				if r == '\n' || r >= ' ' && r <= '~' || r == 0x85 || r >= 0xa0 && r != 0xfeff && r != 0xfffe && r != 0xffff {
					return r
				}
				return -1
			}, s)
			s = spacesAtEnd().ReplaceAllString(s, "$1")
		}
		return s, '|'
	}
}

// expandTabs is Python's str.expandtabs.
func expandTabs(s string) string {
	var b strings.Builder
	col := 0
	for _, r := range s {
		switch r {
		case '\t':
			n := 8 - col%8
			b.WriteString(strings.Repeat(" ", n))
			col += n
			continue
		case '\n', '\r':
			col = -1
		}
		b.WriteRune(r)
		col++
	}
	return b.String()
}
