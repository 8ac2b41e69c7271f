package inventory

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"orch/playbook/jinja/value"
	"orch/playbook/source"
)

// An iniReader reads one INI inventory. ansible-core 2.18 is the rule: host lines are
// split as a shell would, values are Python literals where they are one.
type iniReader struct {
	inv   *Inventory
	file  string
	diags source.Diagnostics

	group    *Group
	kind     string // "hosts", "vars", "children"
	declared map[string]bool
	pending  map[string]pendingSection // sections of groups not declared yet
}

type pendingSection struct {
	kind string
	pos  source.Pos
	used string // for children: the group that names it
}

var section = regexp.MustCompile(`^\[([^:\]\s]+)(?::(\w+))?\]\s*(?:#.*)?$`)

func (inv *Inventory) readINI(file string, text []byte) source.Diagnostics {
	r := &iniReader{
		inv: inv, file: file, group: inv.addGroup(Ungrouped), kind: "hosts",
		declared: map[string]bool{All: true, Ungrouped: true}, pending: map[string]pendingSection{},
	}
	for _, g := range inv.names {
		r.declared[g.Name] = true
	}
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		r.line(n, strings.TrimRight(line, "\r\n"))
	}
	names := slices.SortedFunc(maps.Keys(r.pending), func(a, b string) int { return r.pending[a].pos.Line - r.pending[b].pos.Line })
	for _, name := range names {
		p := r.pending[name]
		if r.declared[name] {
			continue
		}
		if p.used != "" {
			r.errorf(p.pos,
				fmt.Sprintf("Section [%s:children] includes undefined group: %s", p.used, name),
				"section [%s:children] includes undefined group %q", p.used, name)
		} else {
			r.errorf(p.pos,
				fmt.Sprintf("Section [%s:vars] not valid for undefined group: %[1]s", name),
				"section [%s:vars] not valid for undefined group %[1]q", name)
		}
		r.diags[len(r.diags)-1].Hint = fmt.Sprintf("declare it with a section [%s]", name)
	}
	return r.diags
}

func (r *iniReader) pos(line, col int) source.Pos {
	return source.Pos{File: r.file, Line: line, Col: col}
}

// errorf adds a mistake; theirs are ansible-core's words, which follow the place.
func (r *iniReader) errorf(pos source.Pos, theirs, format string, args ...any) {
	r.mistake(pos, fmt.Sprintf("%s:%d: %s", source.Absolute(r.file), pos.Line, theirs), fmt.Sprintf(format, args...))
}

// mistake adds a mistake in our words and in ansible-core's, which name no other place.
func (r *iniReader) mistake(pos source.Pos, theirs, ours string) {
	r.diags = append(r.diags, source.Diagnostic{Pos: pos, Msg: ours, Ansible: &source.Ansible{Msg: theirs, Placeless: true}})
}

func (r *iniReader) line(n int, raw string) {
	line := strings.TrimSpace(raw)
	if line == "" || line[0] == '#' || line[0] == ';' {
		return
	}
	col := strings.Index(raw, line) + 1
	if line[0] == '[' {
		if m := section.FindStringSubmatch(line); m != nil {
			r.section(n, col, m[1], m[2])
			return
		}
		if r.kind != "hosts" || strings.HasSuffix(line, "]") && !strings.Contains(line, ":") {
			r.errorf(r.pos(n, col),
				fmt.Sprintf("Invalid section entry: '%s'. Please make sure that there are no spaces in the section entry, "+
					"and that there are no other invalid characters", line),
				"invalid section entry %q: no spaces or colons around the name, like [web] or [web:vars]", line)
			return
		}
	}
	switch r.kind {
	case "hosts":
		r.host(n, raw)
	case "vars":
		r.variable(n, col, line)
	case "children":
		name := strings.TrimSpace(stripComment(line))
		if strings.ContainsAny(name, " \t=") {
			r.errorf(r.pos(n, col),
				fmt.Sprintf("Expected group name, got: %s", line),
				"expected group name, got %q", line)
			return
		}
		if !r.declared[name] {
			r.pending[name] = pendingSection{"children", r.pos(n, col), r.group.Name}
		}
		if err := r.inv.link(r.group, r.inv.addGroup(name)); err != nil {
			r.mistake(r.pos(n, col), err.Error(), err.Error())
		}
	}
}

func (r *iniReader) section(n, col int, name, kind string) {
	if kind == "" {
		kind = "hosts"
	}
	if kind != "hosts" && kind != "vars" && kind != "children" {
		r.errorf(r.pos(n, col),
			fmt.Sprintf("Section [%s:%s] has unknown type: %[2]s", name, kind),
			"section [%s:%s] has unknown type %[2]q", name, kind)
		r.diags[len(r.diags)-1].Hint = "one of hosts, vars, children"
		kind = "skip"
	}
	if kind == "vars" {
		if !r.declared[name] {
			if _, ok := r.pending[name]; !ok {
				r.pending[name] = pendingSection{kind: "vars", pos: r.pos(n, col)}
			}
		}
	} else {
		r.declared[name] = true
	}
	r.group, r.kind = r.inv.addGroup(name), kind
}

func (r *iniReader) host(n int, raw string) {
	tokens, err := shellSplit(raw)
	if err != nil {
		line := strings.TrimSpace(raw)
		r.errorf(r.pos(n, 1),
			fmt.Sprintf("Error parsing host definition '%s': %s", line, err),
			"%v in host line %q", err, line)
		return
	}
	if len(tokens) == 0 {
		return
	}
	head := tokens[0]
	pattern, port, err := SplitPort(head.text)
	if err == nil {
		var names []string
		if names, err = Expand(pattern); err == nil {
			vars, ok := r.hostVars(n, tokens[1:])
			if !ok {
				return
			}
			r.inv.declare(r.group, names, port, vars)
			return
		}
	}
	msg := err.Error()
	if strings.HasSuffix(head.text, ":") {
		msg = fmt.Sprintf("Invalid host pattern '%s' supplied, ending in ':' is not allowed, this character is reserved to provide a port.", head.text)
	}
	r.mistake(r.pos(n, head.col), msg, err.Error())
}

// declare adds hosts to a group and gives each the variables.
func (inv *Inventory) declare(g *Group, names []string, port int, vars *value.Dict) {
	for _, name := range names {
		h := inv.addHost(name, port)
		g.add(h)
		for k, v := range vars.All() {
			inv.set(h.Vars, value.String(k), v)
		}
	}
}

func (r *iniReader) hostVars(n int, tokens []token) (*value.Dict, bool) {
	vars := value.NewDict(len(tokens))
	for _, t := range tokens {
		k, v, ok := strings.Cut(t.text, "=")
		if !ok {
			r.errorf(r.pos(n, t.col),
				fmt.Sprintf("Expected key=value host variable assignment, got: %s", t.text),
				"expected key=value host variable assignment, got %q", t.text)
			return nil, false
		}
		origin := r.pos(n, t.col+len(k)+1)
		vars.SetStr(k, literal(v, &origin))
	}
	return vars, true
}

func (r *iniReader) variable(n, col int, line string) {
	k, v, ok := strings.Cut(line, "=")
	if !ok {
		r.errorf(r.pos(n, col),
			fmt.Sprintf("Expected key=value, got: %s", line),
			"expected key=value, got %q", line)
		return
	}
	v = strings.TrimSpace(v)
	origin := r.pos(n, col+strings.Index(line, v))
	r.inv.set(r.group.Vars, strings.TrimSpace(k), literal(v, &origin))
}

// literal reads a value as Python's literal_eval does, else as the string it is. Its
// strings are an author's.
func literal(text string, at *value.Origin) value.Value {
	v, err := value.LiteralEval(text)
	if err != nil {
		return value.Str{S: text, From: at}
	}
	return authored(v, at)
}

func authored(v value.Value, at *value.Origin) value.Value {
	switch v := v.(type) {
	case value.Str:
		return value.Str{S: v.S, From: at}
	case *value.List:
		for i, item := range v.Items {
			v.Items[i] = authored(item, at)
		}
	case *value.Dict:
		for k, item := range v.All() {
			_ = v.Set(k, authored(item, at)) // the key is there already
		}
	}
	return v
}

func stripComment(s string) string {
	if i := strings.Index(s, " #"); i >= 0 {
		return s[:i]
	}
	return s
}

// A token is a word of a host line.
type token struct {
	text string
	col  int
}

// shellSplit splits as Python's shlex does: quotes, backslashes outside single quotes,
// # starts a comment.
func shellSplit(line string) ([]token, error) {
	var tokens []token
	var b strings.Builder
	start, quote := -1, byte(0)
	flush := func() {
		if start >= 0 {
			tokens = append(tokens, token{b.String(), start + 1})
			b.Reset()
			start = -1
		}
	}
	for i := 0; i < len(line); i++ {
		c := line[i]
		switch {
		case quote != 0:
			switch {
			case c == quote:
				quote = 0
			case c == '\\' && quote == '"' && i+1 < len(line) && strings.IndexByte(`"\`, line[i+1]) >= 0:
				i++
				b.WriteByte(line[i])
			default:
				b.WriteByte(c)
			}
		case c == ' ' || c == '\t':
			flush()
		case c == '#':
			flush()
			return tokens, nil
		default:
			if start < 0 {
				start = i
			}
			switch {
			case c == '\'' || c == '"':
				quote = c
			case c == '\\' && i+1 < len(line):
				i++
				b.WriteByte(line[i])
			default:
				b.WriteByte(c)
			}
		}
	}
	if quote != 0 {
		return nil, fmt.Errorf("no closing quotation")
	}
	flush()
	return tokens, nil
}
