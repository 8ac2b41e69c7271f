package pyre

import (
	"strconv"
	"strings"
	"unicode"
)

// group parses what follows "(".
func (p *parser) group(verbose *bool, depth int, first bool) (*node, error) {
	start := p.pos - 1
	if !p.accept('?') {
		return p.capture(start, "", *verbose, depth)
	}
	switch r := p.get(); r {
	case -1:
		return nil, p.err(0, "unexpected end of pattern")
	case 'P':
		return p.extension(start, *verbose, depth)
	case ':':
		return p.rest(&node{op: opGroup}, start, *verbose, depth)
	case '#':
		return nil, p.comment(start)
	case '=', '!', '<':
		return p.lookaround(r, start, *verbose, depth)
	case '(':
		return p.conditional(start, verbose, depth)
	case '>':
		return p.rest(&node{op: opAtomic}, start, *verbose, depth)
	default:
		if r == '-' || flagOf(r) != 0 {
			return p.inlineFlags(r, start, verbose, depth, first)
		}
		return nil, p.unknown(start + 1)
	}
}

// unknown reports an extension that begins at start; its last character is the one just
// read, with what it escapes.
func (p *parser) unknown(start int) error {
	if p.src[p.pos-1] == '\\' {
		p.get()
	}
	return p.errAt(start, "unknown extension %s", string(p.src[start:p.pos]))
}

// rest parses the body of a group and its closing parenthesis into n.
func (p *parser) rest(n *node, start int, verbose bool, depth int) (*node, error) {
	body, err := p.parseSub(verbose, depth+1)
	if err != nil {
		return nil, err
	}
	if !p.accept(')') {
		return nil, p.errAt(start, "missing ), unterminated subpattern")
	}
	n.subs = []*node{body}
	return n, nil
}

func (p *parser) capture(start int, name string, verbose bool, depth int) (*node, error) {
	g := p.groups + 1
	if name != "" {
		for i, n := range p.names {
			if n == name {
				return nil, p.err(len([]rune(name))+1,
					"redefinition of group name %s as group %d; was group %d", repr(name), g, i)
			}
		}
	}
	p.groups = g
	p.names = append(p.names, name)
	p.open[g] = true
	n, err := p.rest(&node{op: opGroup, group: g}, start, verbose, depth)
	if err != nil {
		return nil, err
	}
	delete(p.open, g)
	return n, nil
}

// comment skips (?#…).
func (p *parser) comment(start int) error {
	for {
		switch p.get() {
		case -1:
			return p.errAt(start, "missing ), unterminated comment")
		case ')':
			return nil
		case '\\':
			p.get() // CPython's tokenizer takes an escaped parenthesis as one token
		}
	}
}

// extension parses (?P<name>…) and (?P=name).
func (p *parser) extension(start int, verbose bool, depth int) (*node, error) {
	switch r := p.get(); r {
	case '<':
		name, err := p.until('>', "group name")
		if err != nil {
			return nil, err
		}
		if !identifier(name) {
			return nil, p.err(len([]rune(name))+1, "bad character in group name %s", repr(name))
		}
		return p.capture(start, name, verbose, depth)
	case '=':
		name, err := p.until(')', "group name")
		if err != nil {
			return nil, err
		}
		size := len([]rune(name)) + 1
		if !identifier(name) {
			return nil, p.err(size, "bad character in group name %s", repr(name))
		}
		g, ok := p.named(name)
		if !ok {
			return nil, p.err(size, "unknown group name %s", repr(name))
		}
		if p.open[g] {
			return nil, p.err(size, "cannot refer to an open group")
		}
		if err := p.checkBehind(g); err != nil {
			return nil, err
		}
		return &node{op: opRef, group: g}, nil
	case -1:
		return nil, p.err(0, "unexpected end of pattern")
	default:
		return nil, p.unknown(start + 1)
	}
}

func (p *parser) named(name string) (int, bool) {
	for i, n := range p.names {
		if i > 0 && n == name {
			return i, true
		}
	}
	return 0, false
}

// checkBehind refuses, inside a look-behind, references to groups of that look-behind.
func (p *parser) checkBehind(g int) error {
	if p.behind == 0 {
		return nil
	}
	if p.open[g] || g > p.groups {
		return p.err(0, "cannot refer to an open group")
	}
	if g >= p.behind {
		return p.err(0, "cannot refer to group defined in the same lookbehind subpattern")
	}
	return nil
}

func (p *parser) lookaround(r rune, start int, verbose bool, depth int) (*node, error) {
	n := &node{op: opAssert, neg: r == '!'}
	saved := p.behind
	if r == '<' {
		r = p.get()
		switch r {
		case -1:
			return nil, p.err(0, "unexpected end of pattern")
		case '=', '!':
			n.neg, n.behind = r == '!', true
		default:
			return nil, p.unknown(start + 1)
		}
		if p.behind == 0 {
			p.behind = p.groups + 1
		}
	}
	n, err := p.rest(n, start, verbose, depth)
	p.behind = saved
	return n, err
}

func (p *parser) conditional(start int, verbose *bool, depth int) (*node, error) {
	name, err := p.until(')', "group name")
	if err != nil {
		return nil, err
	}
	size := len([]rune(name)) + 1
	n := &node{op: opCond}
	if identifier(name) {
		g, ok := p.named(name)
		if !ok {
			return nil, p.err(size, "unknown group name %s", repr(name))
		}
		n.group = g
	} else {
		g, err := strconv.Atoi(name)
		if err != nil || name[0] == '-' {
			return nil, p.err(size, "bad character in group name %s", repr(name))
		}
		if g == 0 {
			return nil, p.err(size, "bad group number")
		}
		if g >= maxRepeat/8 {
			return nil, p.err(size, "invalid group reference %d", g)
		}
		n.group = g
		if _, ok := p.condRefs[g]; !ok {
			p.condRefs[g] = p.pos - size
			p.order = append(p.order, g)
		}
	}
	if err := p.checkBehind(n.group); err != nil {
		return nil, err
	}
	if depth >= maxNesting {
		return nil, p.err(0, "groups are nested more than %d deep", maxNesting)
	}
	for {
		// White space is skipped by the verbose mode of the enclosing group.
		branch, err := p.parseSeq(verbose, depth+1, false)
		if err != nil {
			return nil, err
		}
		n.subs = append(n.subs, branch)
		if p.peek() != '|' {
			break
		}
		if len(n.subs) == 2 {
			return nil, p.err(0, "conditional backref with more than two branches")
		}
		p.pos++
	}
	if !p.accept(')') {
		return nil, p.errAt(start, "missing ), unterminated subpattern")
	}
	return n, nil
}

// flagOf returns the flag a letter of (?…) stands for.
func flagOf(r rune) Flags {
	switch r {
	case 'i':
		return IgnoreCase
	case 'm':
		return Multiline
	case 's':
		return DotAll
	case 'x':
		return Verbose
	case 'a':
		return ASCII
	case 'u':
		return Unicode
	case 'L':
		return Locale
	}
	return 0
}

// inlineFlags parses (?i), (?i:…), (?i-m:…) from their first letter on.
func (p *parser) inlineFlags(r rune, start int, verbose *bool, depth int, first bool) (*node, error) {
	n := &node{op: opGroup}
	if r != '-' {
		end, err := p.flagRun(r, &n.add, ")-:", "missing -, : or )", p.checkAdd)
		if err != nil {
			return nil, err
		}
		if end == ')' {
			if !first {
				return nil, p.errAt(start, "global flags not at the start of the expression")
			}
			p.flags |= n.add
			*verbose = p.flags&Verbose != 0
			return nil, nil
		}
		r = end
	}
	if r == '-' {
		r = p.get()
		if flagOf(r) == 0 {
			return nil, p.badFlag(r, "missing flag")
		}
		if _, err := p.flagRun(r, &n.del, ":", "missing :", p.checkDel); err != nil {
			return nil, err
		}
	}
	if n.add&n.del != 0 {
		return nil, p.err(1, "bad inline flags: flag turned on and off")
	}
	inner := (*verbose || n.add&Verbose != 0) && n.del&Verbose == 0
	return p.rest(n, start, inner, depth)
}

// flagRun reads flag letters, the first being r, up to one of the terminators.
func (p *parser) flagRun(r rune, set *Flags, terminators, missing string, check func(f, all Flags) error) (rune, error) {
	for {
		f := flagOf(r)
		*set |= f
		if err := check(f, *set); err != nil {
			return 0, err
		}
		r = p.get()
		if r >= 0 && strings.ContainsRune(terminators, r) {
			return r, nil
		}
		if flagOf(r) == 0 {
			return 0, p.badFlag(r, missing)
		}
	}
}

func (p *parser) badFlag(r rune, missing string) error {
	switch {
	case r < 0:
		return p.err(0, "%s", missing)
	case unicode.IsLetter(r):
		return p.err(1, "unknown flag")
	}
	return p.err(1, "%s", missing)
}

func (p *parser) checkAdd(f, all Flags) error {
	switch {
	case f == Locale && p.flags&Bytes == 0:
		return p.err(0, "bad inline flags: cannot use 'L' flag with a str pattern")
	case f == Unicode && p.flags&Bytes != 0:
		return p.err(0, "bad inline flags: cannot use 'u' flag with a bytes pattern")
	case f&typeFlags != 0 && all&typeFlags != f:
		return p.err(0, "bad inline flags: flags 'a', 'u' and 'L' are incompatible")
	}
	return nil
}

func (p *parser) checkDel(f, _ Flags) error {
	if f&typeFlags != 0 {
		return p.err(0, "bad inline flags: cannot turn off flags 'a', 'u' and 'L'")
	}
	return nil
}
