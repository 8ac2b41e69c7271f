package jinja

import (
	"fmt"
	"strconv"
	"strings"

	"orch/playbook/jinja/value"
)

// A value inside an expression in pieces is one byte of its source that no token has.
const hole = "\x00"

// HoleName is the variable that the value after piece i of a filled expression is looked
// up as. It is no name a source can have.
func HoleName(i int) string { return "{" + strconv.Itoa(i) + "}" }

// Filled compiles an expression given as pieces of source with a value between each two
// of them. A value is never source itself: it stands for a whole operand, or is
// concatenated as text where the source breaks off inside a string literal; anywhere else
// it is a syntax error. Eval looks the values up as HoleName(0), HoleName(1) …
// judged are the values whose bare truth the expression asks for.
func (e *Env) Filled(pieces []string) (x *Expr, judged []int, err error) {
	for _, p := range pieces {
		if strings.Contains(p, hole) {
			return nil, nil, &Error{Msg: "unexpected char '\\x00'", Syntax: true}
		}
	}
	src := strings.Join(pieces, hole)
	p, err := e.cache.get(cacheKey{src, filledSource}, func() (*program, error) {
		n, err := parseFilled(e.syn, src)
		if err != nil {
			return nil, err
		}
		p, err := compileExpression(e, n)
		p.judged = judgedHoles(n)
		return p, err
	})
	if err != nil {
		return nil, nil, err
	}
	return &Expr{env: e, prog: p}, p.judged, nil
}

// HoleAt is the value that stands at a place of a filled expression; -1 for none.
func HoleAt(pieces []string, at value.Place) int {
	place := value.Place{Line: 1, Col: 1}
	for i, p := range pieces {
		if n := strings.Count(p, "\n"); n > 0 {
			place = value.Place{Line: place.Line + n, Col: 1}
			p = p[strings.LastIndexByte(p, '\n')+1:]
		}
		place.Col += len([]rune(p))
		if place == at && i < len(pieces)-1 {
			return i
		}
		place.Col++
	}
	return -1
}

func parseFilled(syn *syntax, src string) (node, error) {
	l := newLexer(syn, src, true)
	l.filled = true
	return parseLone(&parser{lex: l, opts: syn.Options})
}

// holeNode is the use of the value at an offset.
func (l *lexer) holeNode(off int) *nameExpr {
	return &nameExpr{pos: pos{l.at(off)}, name: HoleName(strings.Count(l.src[:off], hole))}
}

// filledString makes the parts of a string literal whose body begins at off.
func (l *lexer) filledString(off int, body string) (node, error) {
	c := &concatExpr{pos: pos{l.at(off)}}
	for i, text := range strings.Split(body, hole) {
		if i > 0 {
			c.items = append(c.items, l.holeNode(off-1))
		}
		plain, msg := unescape(text)
		if msg != "" {
			return nil, l.fail(off, "%s", msg)
		}
		c.items = append(c.items, &constExpr{pos{l.at(off)}, value.S(plain)})
		off += len(text) + len(hole)
	}
	return c, nil
}

// judgedHoles are the values that stand where only their truth matters.
func judgedHoles(root node) []int {
	var out []int
	truth := func(n node) {
		if name, ok := n.(*nameExpr); ok {
			var i int
			if _, err := fmt.Sscanf(name.name, "{%d}", &i); err == nil {
				out = append(out, i)
			}
		}
	}
	truth(root)
	walk(root, func(n node) {
		switch n := n.(type) {
		case *binExpr:
			if n.op == tokName {
				truth(n.left)
				truth(n.right)
			}
		case *unaryExpr:
			if n.op == tokName {
				truth(n.x)
			}
		case *condExpr:
			truth(n.test)
			if n == root {
				truth(n.yes)
				truth(n.no)
			}
		}
	})
	return out
}
