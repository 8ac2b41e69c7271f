package pyyaml

import (
	"strings"
	"unicode/utf8"
)

// An emitter lays out nodes as libyaml 0.2.5 does. What it keeps of what was written:
// the column, whether the last character was white space (so that an indicator needs no
// space before it) and whether the line so far is only indentation.
type emitter struct {
	out    []byte
	o      Options
	indent int // -1 before the first collection
	best   int
	width  int
	column int
	flow   int // how many flow collections we are inside of

	space, indentation bool
	open               bool // the last block scalar keeps its line ends
}

func newEmitter(o Options) *emitter {
	e := &emitter{o: o, indent: -1, best: o.Indent, width: o.Width, space: true, indentation: true}
	if e.best < 2 || e.best > 9 {
		e.best = 2
	}
	if e.width >= 0 && e.width <= e.best*2 {
		e.width = 80
	}
	if e.width < 0 {
		e.width = 1 << 30
	}
	if e.o.Break == "" {
		e.o.Break = "\n"
	}
	return e
}

func (e *emitter) document(n *node) {
	if e.o.Start {
		e.indicator("---", true, false, false)
	}
	e.node(n, context{root: true})
	e.newline()
	if e.o.End || e.open {
		e.indicator("...", true, false, false)
		e.newline()
	}
}

// A context is where a node stands.
type context struct {
	root, mapping, key bool
}

func (e *emitter) put(r rune) {
	e.out = utf8.AppendRune(e.out, r)
	e.column++
}

func (e *emitter) lineBreak(r rune) {
	if r == '\n' {
		e.out = append(e.out, e.o.Break...)
	} else {
		e.out = utf8.AppendRune(e.out, r)
	}
	e.column = 0
}

// newline starts a line of the current indentation, unless that is where we are.
func (e *emitter) newline() {
	indent := max(e.indent, 0)
	if !e.indentation || e.column > indent || e.column == indent && !e.space {
		e.lineBreak('\n')
	}
	for e.column < indent {
		e.put(' ')
	}
	e.space, e.indentation = true, true
}

// indicator writes punctuation. needSpace puts a space before it where there is none.
func (e *emitter) indicator(s string, needSpace, isSpace, isIndent bool) {
	if needSpace && !e.space {
		e.put(' ')
	}
	for _, r := range s {
		e.put(r)
	}
	e.space = isSpace
	e.indentation = e.indentation && isIndent
}

func (e *emitter) deeper(flow, indentless bool) (restore int) {
	restore = e.indent
	switch {
	case e.indent < 0 && flow:
		e.indent = e.best
	case e.indent < 0:
		e.indent = 0
	case !indentless:
		e.indent += e.best
	}
	return restore
}

func (e *emitter) node(n *node, c context) {
	if n.kind == scalarNode {
		e.scalar(n, c)
		return
	}
	flow := e.flow > 0 || n.flow || len(n.items) == 0
	switch {
	case n.kind == sequenceNode && flow:
		e.flowSequence(n)
	case n.kind == sequenceNode:
		e.blockSequence(n, c)
	case flow:
		e.flowMapping(n)
	default:
		e.blockMapping(n)
	}
}

// breakFlow starts a new line where a flow collection has become too wide.
func (e *emitter) breakFlow() {
	if e.column > e.width {
		e.newline()
	}
}

func (e *emitter) flowSequence(n *node) {
	e.indicator("[", true, true, false)
	saved := e.deeper(true, false)
	e.flow++
	for i, item := range n.items {
		if i > 0 {
			e.indicator(",", false, false, false)
		}
		e.breakFlow()
		e.node(item, context{})
	}
	e.flow--
	e.indent = saved
	e.indicator("]", false, false, false)
}

func (e *emitter) flowMapping(n *node) {
	e.indicator("{", true, true, false)
	saved := e.deeper(true, false)
	e.flow++
	for i := 0; i < len(n.items); i += 2 {
		if i > 0 {
			e.indicator(",", false, false, false)
		}
		e.breakFlow()
		if e.simpleKey(n.items[i]) {
			e.node(n.items[i], context{mapping: true, key: true})
			e.indicator(":", false, false, false)
		} else {
			e.indicator("?", true, false, false)
			e.node(n.items[i], context{mapping: true})
			e.breakFlow()
			e.indicator(":", true, false, false)
		}
		e.node(n.items[i+1], context{mapping: true})
	}
	e.flow--
	e.indent = saved
	e.indicator("}", false, false, false)
}

func (e *emitter) blockSequence(n *node, c context) {
	saved := e.deeper(false, c.mapping && !e.indentation)
	for _, item := range n.items {
		e.newline()
		e.indicator("-", true, false, true)
		e.node(item, context{})
	}
	e.indent = saved
}

func (e *emitter) blockMapping(n *node) {
	saved := e.deeper(false, false)
	for i := 0; i < len(n.items); i += 2 {
		e.newline()
		if e.simpleKey(n.items[i]) {
			e.node(n.items[i], context{mapping: true, key: true})
			e.indicator(":", false, false, false)
		} else {
			e.indicator("?", true, false, true)
			e.node(n.items[i], context{mapping: true})
			e.newline()
			e.indicator(":", true, false, true)
		}
		e.node(n.items[i+1], context{mapping: true})
	}
	e.indent = saved
}

// simpleKey says whether a key goes without "?": it is short and on one line.
func (e *emitter) simpleKey(n *node) bool {
	if n.kind != scalarNode {
		return len(n.items) == 0
	}
	return !hasBreak(n.text) && len(n.text)+len(n.tag) <= 128
}

func hasBreak(s string) bool { return strings.ContainsAny(s, "\n\r\u0085\u2028\u2029") }

func (e *emitter) scalar(n *node, c context) {
	style := e.style(n, c)
	tag := n.tag
	if tag == "" && !n.quoted && style != 0 {
		tag = "!"
	}
	if tag != "" {
		e.indicator(tag, true, false, false)
	}
	saved := e.deeper(true, false)
	defer func() { e.indent = saved }()
	switch style {
	case 0:
		e.plain(n.text, !c.key)
	case '\'':
		e.singleQuoted(n.text, !c.key)
	case '"':
		e.doubleQuoted(n.text, !c.key)
	case '|':
		e.literal(n.text)
	case '>':
		e.folded(n.text)
	}
}

// style chooses how a scalar can be written: as wished if possible, else single quoted,
// else double quoted.
func (e *emitter) style(n *node, c context) byte {
	a := analyze(n.text, !e.o.ASCII)
	style := n.style
	if c.key && a.multiline {
		style = '"'
	}
	if style == 0 {
		plain := a.blockPlain
		if e.flow > 0 {
			plain = a.flowPlain
		}
		if !plain || n.text == "" && (e.flow > 0 || c.key) || n.tag == "" && !n.plain {
			style = '\''
		}
	}
	if style == '\'' && !a.single || (style == '|' || style == '>') && (!a.block || e.flow > 0 || c.key) {
		style = '"'
	}
	return style
}
