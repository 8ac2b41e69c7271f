package jinja

import (
	"fmt"
	"strings"

	"orch/playbook/jinja/value"
)

// The limits of nesting and of the length of a chain of operators keep the parser and
// the compiler from exhausting the stack.
const (
	maxNesting = 250
	maxChain   = 5000
)

// A parser reads Jinja2's grammar by recursive descent, one method per rule.
type parser struct {
	lex    *lexer
	tok    token  // the current token
	peek   *token // the one after it, if looked at
	err    error  // the first mistake; from then on every token is the end
	depth  int
	chain  int
	tags   []string
	ends   [][]string
	opts   *Options
	inLoop int // for break and continue
}

func parseTemplate(syn *syntax, src string) (*template, error) {
	p := &parser{lex: newLexer(syn, src, false), opts: syn.Options}
	p.advance()
	t := &template{pos: pos{value.Place{Line: 1, Col: 1}}, body: p.subparse(nil)}
	if p.err != nil {
		return nil, p.err
	}
	return t, nil
}

// parseExpression reads a lone expression, without delimiters.
func parseExpression(syn *syntax, src string) (node, error) {
	return parseLone(&parser{lex: newLexer(syn, src, true), opts: syn.Options})
}

func parseLone(p *parser) (node, error) {
	p.advance()
	x := p.expression()
	if p.err == nil && p.tok.kind != tokEOF {
		p.fail(p.tok.at, "chunk after expression")
	}
	return x, p.err
}

func (p *parser) fail(at value.Place, format string, args ...any) {
	if p.err == nil {
		p.err = &Error{At: at, Msg: fmt.Sprintf(format, args...), Syntax: true}
	}
	p.tok = token{kind: tokEOF, at: p.tok.at}
	p.peek = nil
}

// advance goes one token ahead and returns the old one.
func (p *parser) advance() token {
	old := p.tok
	switch {
	case p.err != nil:
		return old
	case p.peek != nil:
		p.tok, p.peek = *p.peek, nil
		return old
	}
	t, err := p.lex.next()
	if err != nil {
		p.err = err
		t = token{kind: tokEOF, at: old.at}
	}
	p.tok = t
	return old
}

// look returns the token after the current one.
func (p *parser) look() token {
	if p.peek == nil {
		if p.err != nil {
			return p.tok
		}
		t, err := p.lex.next()
		if err != nil {
			// The mistake lies behind the current token; whoever comes there reports it
			// in the same words, because the lexer stays where it is.
			return token{kind: tokEOF, at: p.tok.at}
		}
		p.peek = &t
	}
	return *p.peek
}

func (p *parser) accept(k kind) bool {
	if p.tok.kind != k {
		return false
	}
	p.advance()
	return p.err == nil
}

func (p *parser) acceptName(name string) bool {
	if !p.tok.is(name) {
		return false
	}
	p.advance()
	return p.err == nil
}

func (p *parser) expect(k kind) token {
	if p.tok.kind != k {
		p.unexpected(kindNames[k])
	}
	return p.advance()
}

func (p *parser) expectName(name string) token {
	if !p.tok.is(name) {
		p.unexpected(name)
	}
	return p.advance()
}

func (p *parser) unexpected(want string) {
	if p.tok.kind == tokEOF {
		p.fail(p.tok.at, "unexpected end of template, expected '%s'.", want)
		return
	}
	p.fail(p.tok.at, "expected token '%s', got '%s'", want, p.tok)
}

// enter bounds the nesting; the caller must leave again.
func (p *parser) enter() bool {
	p.depth++
	if p.depth > maxNesting {
		p.fail(p.tok.at, "the template is nested too deeply")
	}
	return p.err == nil
}

func (p *parser) leave() { p.depth-- }

// link bounds a chain of operators, filters or subscripts.
func (p *parser) link() {
	if p.chain++; p.chain > maxChain {
		p.fail(p.tok.at, "the expression is too long")
	}
}

// subparse reads data, prints and statements up to one of the end tags, which becomes the
// current token; with no end tags, up to the end.
func (p *parser) subparse(ends []string) []node {
	if !p.enter() {
		return nil
	}
	defer p.leave()
	if ends != nil {
		p.ends = append(p.ends, ends)
		defer func() { p.ends = p.ends[:len(p.ends)-1] }()
	}
	var body, parts []node
	flush := func() {
		if parts != nil && p.err == nil { // after a mistake there may be gaps
			body = append(body, &outputStmt{pos: pos{parts[0].at()}, parts: parts})
			parts = nil
		}
	}
	for p.tok.kind != tokEOF {
		p.chain = 0
		at := p.tok.at
		switch p.tok.kind {
		case tokData:
			text := p.advance().val
			if n := len(parts); n > 0 { // a raw block, or text around a comment
				if last, ok := parts[n-1].(*dataNode); ok {
					last.text += text
					continue
				}
			}
			parts = append(parts, &dataNode{pos{at}, text})
		case tokVariableBegin:
			p.advance()
			x := p.tuple(tupleRule{cond: true})
			p.expect(tokVariableEnd)
			parts = append(parts, x)
		case tokBlockBegin:
			flush()
			p.advance()
			if p.tok.kind == tokName && contains(ends, p.tok.val) {
				return body
			}
			if s := p.statement(); s != nil {
				body = append(body, s)
			}
			p.expect(tokBlockEnd)
		default:
			p.fail(at, "unexpected '%s'", p.tok)
		}
	}
	flush()
	return body
}

func contains(names []string, name string) bool {
	for _, n := range names {
		if n == name {
			return true
		}
	}
	return false
}

// failEnd reports an unknown tag, or the end of the template inside of a statement when
// name is empty, in Jinja2's words.
func (p *parser) failEnd(name string, ends [][]string, at value.Place) {
	msg := "Unexpected end of template."
	if name != "" {
		msg = fmt.Sprintf("Encountered unknown tag '%s'.", name)
	}
	if len(ends) > 0 {
		last := ends[len(ends)-1]
		looking := "'" + strings.Join(last, "' or '") + "'"
		expected := false
		for _, names := range ends {
			expected = expected || name != "" && contains(names, name)
		}
		if expected {
			msg += " You probably made a nesting mistake. Jinja is expecting this tag, but currently looking for " + looking + "."
		} else {
			msg += " Jinja was looking for the following tags: " + looking + "."
		}
	}
	if n := len(p.tags); n > 0 {
		msg += fmt.Sprintf(" The innermost block that needs to be closed is '%s'.", p.tags[n-1])
	}
	p.fail(at, "%s", msg)
}
