// Package report shows a run: views that turn its events into text. They see events and
// nothing else.
//
//	sink := report.Plain(os.Stdout, report.Options{})
//	done, err := run.Run(ctx, run.Config{Sink: sink, …})
//
// What events hold is masked already. What a view adds of its own, the source line under
// a diagnostic, comes from Options.Explain, whose owner masks it.
package report

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/pmezard/go-difflib/difflib"

	"orch/modules"
	"orch/playbook/jinja/value"
	"orch/playbook/run"
	"orch/playbook/source"
)

// Options are what views have in common.
type Options struct {
	Verbosity int
	Color     bool
	// Diff shows what changed; Context is how many lines around it, 3 when nil.
	Diff    bool
	Context *int
	// Explain formats a diagnostic with the source line under it; nil: one line.
	Explain func(source.Diagnostic) string
	// Width of the terminal; 0 when there is none.
	Width int
}

func (o Options) context() int {
	if o.Context == nil {
		return 3
	}
	return *o.Context
}

func (o Options) explain(d source.Diagnostic) string {
	if o.Explain != nil {
		return strings.TrimRight(o.Explain(d), "\n")
	}
	text := d.String()
	if d.Hint != "" {
		text += "\nhint: " + d.Hint
	}
	return text
}

// Tee hands every event to all sinks, in order.
func Tee(sinks ...run.Sink) run.Sink {
	return func(ev run.Event) {
		for _, s := range sinks {
			s(ev)
		}
	}
}

// Colours, with Ansible's codes.
const (
	red          = "0;31"
	green        = "0;32"
	yellow       = "0;33"
	blue         = "0;34"
	purple       = "0;35"
	cyan         = "0;36"
	darkGray     = "1;30"
	brightRed    = "1;31"
	brightPurple = "1;35"
	bold         = "1"
)

// paint colours every line of text.
func (o Options) paint(code, text string) string {
	if !o.Color || text == "" || code == "" {
		return text
	}
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = "\x1b[" + code + "m" + line + "\x1b[0m"
	}
	return strings.Join(lines, "\n")
}

// A printer writes lines; the first error ends it, as there is nobody to tell.
type printer struct {
	w   io.Writer
	err error
}

func (p *printer) printf(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format, args...)
	}
}

// knownAfter stands for what only a run would tell.
const knownAfter = "(known after apply)"

// showable replaces what JSON has no form for.
func showable(v value.Value) value.Value {
	switch v := v.(type) {
	case value.Unknown:
		return value.S(knownAfter)
	case *value.Undefined:
		return value.None{}
	case value.Bytes:
		return value.S(string(v))
	case value.Sealed:
		return value.S(run.Mask)
	case *value.List:
		items := make([]value.Value, len(v.Items))
		for i, item := range v.Items {
			items[i] = showable(item)
		}
		return value.NewList(items...)
	case value.Tuple:
		items := make([]value.Value, len(v))
		for i, item := range v {
			items[i] = showable(item)
		}
		return value.NewList(items...)
	case value.Mapping:
		out := value.NewDict(v.Len())
		for _, k := range v.Keys() {
			item, _, _ := v.Get(k) // what cannot be read is shown as nothing
			if item == nil {
				item = value.None{}
			}
			out.SetStr(value.String(k), showable(item))
		}
		return out
	case *value.Dict:
		out := value.NewDict(v.Len())
		for k, item := range v.All() {
			out.SetStr(value.String(k), showable(item))
		}
		return out
	case value.None, value.Bool, value.Int, *value.BigInt, value.Float, value.Str:
		return v
	}
	return value.S(value.String(v))
}

// toJSON is a value as Python's json.dumps with sorted keys writes it. An indent of "\n"
// is indent=0: lines that are not indented.
func toJSON(v value.Value, indent string) string {
	o := value.JSONOptions{Indent: indent, SortKeys: true, Unicode: true}
	if indent == "\n" {
		o.Indent, o.Lines = "", true
	}
	text, err := value.JSON(showable(v), o)
	if err != nil {
		return value.String(v)
	}
	return text
}

// diffText is a diff as Ansible prints it: difflib's unified diff.
func (o Options) diffText(d modules.Diff) string {
	if d.Prepared != "" {
		return d.Prepared
	}
	before, after := "before", "after"
	if d.BeforeHeader != "" {
		before += ": " + d.BeforeHeader
	}
	if d.AfterHeader != "" {
		after += ": " + d.AfterHeader
	}
	text, err := difflib.GetUnifiedDiffString(difflib.UnifiedDiff{
		A: diffLines(d.Before), B: diffLines(d.After), FromFile: before, ToFile: after, Context: o.context(),
	})
	if err != nil || text == "" {
		return ""
	}
	var b strings.Builder
	for line := range strings.Lines(text) {
		code := ""
		switch line[0] {
		case '+':
			code = green
		case '-':
			code = red
		case '@':
			code = cyan
		}
		b.WriteString(o.paint(code, line))
	}
	return b.String() + "\n"
}

// diffLines splits a text, marking a missing newline at its end as diff does.
func diffLines(text string) []string {
	var lines []string
	for line := range strings.Lines(text) {
		lines = append(lines, line)
	}
	if n := len(lines); n > 0 && !strings.HasSuffix(lines[n-1], "\n") {
		lines[n-1] += "\n\\ No newline at end of file\n"
	}
	return lines
}

// width is how many columns a text takes; wide characters take two.
func width(s string) int {
	n := 0
	for _, r := range s {
		switch {
		case r < 0x20 || r >= 0x7f && r < 0xa0 || r >= 0x300 && r <= 0x36f || r == 0x200b || r == 0xfe0f:
		case r >= 0x1100 && r <= 0x115f, r >= 0x2e80 && r <= 0xa4cf, r >= 0xac00 && r <= 0xd7a3, r >= 0xf900 && r <= 0xfaff,
			r >= 0xfe30 && r <= 0xfe6f, r >= 0xff00 && r <= 0xff60, r >= 0xffe0 && r <= 0xffe6, r >= 0x1f300 && r <= 0x1faff,
			r >= 0x20000 && r <= 0x3fffd:
			n += 2
		default:
			n++
		}
	}
	return n
}

// cut shortens a text to n columns.
func cut(s string, n int) string {
	if width(s) <= n {
		return s
	}
	for n > 0 && width(s) > n-1 {
		_, size := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-size]
	}
	return s + "…"
}
