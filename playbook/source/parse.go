package source

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"gopkg.in/yaml.v3"

	"orch/playbook/jinja/value"
)

// maxExpansion is how many nodes aliases may add to a document.
const maxExpansion = 1_000_000

// Parse reads the documents of a YAML text. Mistakes are collected; where the syntax is
// broken, the documents before it are returned. A text without documents has no nodes.
func Parse(file string, data []byte) ([]*Node, Diagnostics) {
	if n, ok := parseJSON(file, data); ok {
		return []*Node{n}, nil
	}
	p := &parser{file: file}
	docs := p.documents(data)
	return docs, p.diags
}

// ParseOne reads a text that is one document, as Ansible's files are; nil for an empty one.
func ParseOne(file string, data []byte) (*Node, Diagnostics) {
	docs, diags := Parse(file, data)
	return single(docs, diags)
}

// ParseOne is the function of that name for a file, remembered.
func (f *Files) ParseOne(path string) (*Node, Diagnostics, error) {
	docs, diags, err := f.Parse(path)
	if err != nil {
		return nil, nil, err
	}
	n, diags := single(docs, diags)
	return n, diags, nil
}

func single(docs []*Node, diags Diagnostics) (*Node, Diagnostics) {
	if len(docs) > 1 {
		more := Diagnostics{}
		more.Errorf(docs[1].Pos(), "expected a single document in the stream but found another document").
			Hint = "a file holds one YAML document: remove the second \"---\""
		diags = append(diags[:len(diags):len(diags)], more...)
	}
	if len(docs) == 0 {
		return nil, diags
	}
	return docs[0], diags
}

type parser struct {
	file  string
	lines []string
	diags Diagnostics
	slab  []Pos
	// done holds the nodes of anchors, nil while they are being made.
	done map[*yaml.Node]*Node
	// size counts the nodes below an anchor, aliases expanded.
	size  map[*yaml.Node]int
	total int // nodes made or reached so far
	added int // of them by aliases
	named map[string]*yaml.Node
}

func (p *parser) documents(data []byte) (docs []*Node) {
	p.lines = splitLines(string(data))
	if i := strings.IndexRune(string(data), 0); i >= 0 && len(data) > 0 {
		p.diags = append(p.diags, syntaxError(p.file, data, p.lines, "control characters are not allowed"))
		return nil
	}
	// YAML 1.1 as PyYAML's scanner has it knows the escape \/, the library does not; the
	// columns behind one on its line are two too high.
	if bytes.Contains(data, []byte(`\/`)) && yaml.Unmarshal(data, &yaml.Node{}) != nil {
		data = bytes.ReplaceAll(data, []byte(`\/`), []byte(`\x2f`))
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var doc yaml.Node
		err := decode(dec, &doc)
		if errors.Is(err, io.EOF) {
			return docs
		}
		if err != nil {
			p.diags = append(p.diags, syntaxError(p.file, data, p.lines, err.Error()))
			return docs
		}
		if len(doc.Content) == 0 {
			continue
		}
		p.done, p.size, p.total, p.added = map[*yaml.Node]*Node{}, map[*yaml.Node]int{}, 0, 0
		p.named = map[string]*yaml.Node{}
		docs = append(docs, p.node(doc.Content[0]))
	}
}

// decode turns a panic of the YAML library, which has some for odd input, into an error.
func decode(dec *yaml.Decoder, doc *yaml.Node) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("yaml: %v", r)
		}
	}()
	return dec.Decode(doc)
}

// at puts a place into memory shared by many, since every node has one.
func (p *parser) at(line, col int) *Pos {
	if len(p.slab) == cap(p.slab) {
		p.slab = make([]Pos, 0, 128)
	}
	p.slab = append(p.slab, Pos{File: p.file, Line: line, Col: col})
	return &p.slab[len(p.slab)-1]
}

func (p *parser) node(y *yaml.Node) *Node {
	if y.Kind == yaml.AliasNode {
		return p.alias(y)
	}
	before := p.total
	p.total++
	if y.Anchor != "" {
		p.anchor(y)
	}
	var n *Node
	switch y.Kind {
	case yaml.MappingNode:
		n = p.mapping(y)
	case yaml.SequenceNode:
		n = p.sequence(y)
	default:
		n = p.scalar(y)
	}
	if n.Tag == tagValue || n.Tag == tagMerge {
		p.diags.Errorf(n.Pos(), "could not determine a constructor for %q", n.Text).Hint = "put the value in quotes"
		n.Tag = TagStr
	}
	if y.Anchor != "" {
		p.done[y], p.size[y] = n, p.total-before
	}
	return n
}

// anchor notes the name of a node; PyYAML refuses a name given twice.
func (p *parser) anchor(y *yaml.Node) {
	p.done[y] = nil
	if first := p.named[y.Anchor]; first != nil {
		d := p.diags.Errorf(*p.at(y.Line, y.Column), "found duplicate anchor %q", y.Anchor)
		d.Related = []Diagnostic{{Pos: *p.at(first.Line, first.Column), Msg: "first given here"}}
	}
	p.named[y.Anchor] = y
}

// key makes the node of a key: there = is a string.
func (p *parser) key(y *yaml.Node) *Node {
	if y.Kind == yaml.ScalarNode && y.Style == 0 && y.Value == "=" {
		y.Style = yaml.DoubleQuotedStyle
	}
	return p.node(y)
}

func (p *parser) alias(y *yaml.Node) *Node {
	n := p.done[y.Alias]
	if n == nil {
		p.diags.Errorf(*p.at(y.Line, y.Column), "the anchor %q contains itself", y.Value)
		return p.null(y)
	}
	p.total += p.size[y.Alias]
	p.added += p.size[y.Alias]
	if p.added > maxExpansion {
		if p.added-p.size[y.Alias] <= maxExpansion {
			p.diags.Errorf(*p.at(y.Line, y.Column), "aliases expand to more than %d values", maxExpansion)
		}
		return p.null(y)
	}
	return n
}

func (p *parser) null(y *yaml.Node) *Node {
	return &Node{Tag: TagNull, At: p.at(y.Line, y.Column), scalar: value.None{}}
}

// tag checks an explicit tag: allowed are those of the node's kind.
func (p *parser) tag(y *yaml.Node, allowed ...string) string {
	for _, tag := range allowed {
		if y.Tag == tag {
			return tag
		}
	}
	switch y.Tag {
	case "!vault-encrypted":
		return TagVault
	case "!", "":
		return allowed[0]
	}
	d := p.diags.Errorf(*p.at(y.Line, y.Column), "could not determine a constructor for the tag %q", y.Tag)
	d.Len = len(y.Tag)
	d.Hint = "known tags are " + strings.Join(allowed, ", ")
	return allowed[0]
}

func (p *parser) sequence(y *yaml.Node) *Node {
	n := &Node{Kind: SequenceNode, Tag: p.tag(y, TagSeq, TagOmap, TagPairs, TagUnsafe)}
	n.At = p.at(p.content(y))
	n.Items = make([]*Node, 0, len(y.Content))
	for _, c := range y.Content {
		item := p.node(c)
		if (n.Tag == TagOmap || n.Tag == TagPairs) && (item.Kind != MappingNode || len(item.Entries) != 1) {
			p.diags.Errorf(item.Pos(), "%s wants a list of mappings of one key, not %s", n.Tag, item.Describe())
			continue
		}
		n.Items = append(n.Items, item)
	}
	return n
}

func (p *parser) mapping(y *yaml.Node) *Node {
	n := &Node{Kind: MappingNode, Tag: p.tag(y, TagMap, TagSet, TagUnsafe)}
	n.At = p.at(p.content(y))
	var merged, own []Entry
	for i := 0; i+1 < len(y.Content); i += 2 {
		k := y.Content[i]
		if k.Kind == yaml.ScalarNode && k.Tag == tagMerge {
			merged = p.merge(merged, p.node(y.Content[i+1]))
			continue
		}
		key := p.key(k)
		val := p.node(y.Content[i+1])
		if key.Kind != ScalarNode {
			p.badKey(key)
			continue
		}
		own = append(own, Entry{key, val})
	}
	n.Entries = p.unique(n, merged, own)
	return n
}

// badKey reports a key that is a list or a mapping: nearly always a template without quotes.
func (p *parser) badKey(key *Node) {
	pos := key.Pos()
	if pos.Line >= 1 && pos.Line <= len(p.lines) {
		if i := strings.Index(p.lines[pos.Line-1], "{{"); i >= 0 {
			d := p.diags.Errorf(Pos{File: p.file, Line: pos.Line, Col: column(p.lines[pos.Line-1], i)}, "%s", unquotedMsg)
			d.Len, d.Hint = 2, unquotedHint
			return
		}
	}
	p.diags.Errorf(pos, "found unacceptable key: %s cannot be a key", key.Describe())
}

// merge adds the entries of what << names, as PyYAML does: of a list the first wins.
func (p *parser) merge(into []Entry, n *Node) []Entry {
	switch n.Kind {
	case MappingNode:
		return append(into, n.Entries...)
	case SequenceNode:
		for i := len(n.Items) - 1; i >= 0; i-- {
			if n.Items[i].Kind != MappingNode {
				p.diags.Errorf(n.Items[i].Pos(), "expected a mapping for merging, but found %s", n.Items[i].Describe())
				continue
			}
			into = append(into, n.Items[i].Entries...)
		}
		return into
	}
	p.diags.Errorf(n.Pos(), "expected a mapping or list of mappings for merging, but found %s", n.Describe())
	return into
}

// unique keeps the last value of every key, at the place of the first. A key given
// twice is Ansible's warning; one that overrides a merged key is what merging is for.
func (p *parser) unique(n *Node, merged, own []Entry) []Entry {
	index := value.NewDict(len(merged) + len(own))
	var out []Entry
	put := func(e Entry, fromMerge bool) {
		key := e.Key.Value(Data)
		at, found, err := index.Get(key)
		if err != nil {
			p.diags.Errorf(e.Key.Pos(), "found unacceptable key (%s)", err)
			return
		}
		if !found {
			_ = index.Set(key, value.Int(len(out)))
			out = append(out, e)
			return
		}
		i := int(at.(value.Int))
		if !fromMerge && i >= len(merged) || !fromMerge && p.isOwn(out[i], own) {
			pos := n.Pos()
			d := p.diags.Warnf(e.Key.Pos(), "While constructing a mapping from %s, line %d, column %d, "+
				"found a duplicate dict key (%s). Using last defined value only.", p.file, pos.Line, pos.Col, e.Key.Text)
			d.Rule, d.Len = "duplicate-key", len([]rune(e.Key.Text))
			d.Ansible = &Ansible{Msg: strings.Replace(d.Msg, p.file, Absolute(p.file), 1)}
			d.Related = []Diagnostic{{Pos: out[i].Key.Pos(), Msg: "first given here", Len: d.Len}}
		}
		out[i].Value = e.Value
	}
	for _, e := range merged {
		put(e, true)
	}
	for _, e := range own {
		put(e, false)
	}
	return out
}

func (p *parser) isOwn(e Entry, own []Entry) bool {
	for i := range own {
		if own[i].Key == e.Key {
			return true
		}
	}
	return false
}

func (p *parser) scalar(y *yaml.Node) *Node {
	n := &Node{Text: y.Value}
	quoted := y.Style & (yaml.DoubleQuotedStyle | yaml.SingleQuotedStyle | yaml.LiteralStyle | yaml.FoldedStyle)
	n.Quoted = quoted != 0
	switch {
	case y.Style&yaml.TaggedStyle != 0 && y.Tag != tagMerge:
		n.Tag = p.tag(y, TagStr, TagInt, TagFloat, TagBool, TagNull, TagTimestamp, TagBinary, TagVault, TagUnsafe)
	case n.Quoted:
		n.Tag = TagStr
	case y.Tag == tagMerge:
		n.Tag = tagMerge
	default:
		n.Tag = resolve(y.Value)
	}
	line, col := p.content(y)
	n.At = p.at(line, col)
	p.locate(n, quoted, line, col)
	switch n.Tag {
	case TagStr, TagVault, TagUnsafe, tagValue, tagMerge:
		return n
	}
	v, err := construct(n.Tag, n.Text)
	if err != nil {
		p.diags.Errorf(*n.At, "%s", err).Len = len([]rune(n.Text))
		n.Tag = TagStr
		return n
	}
	n.scalar = v
	return n
}

// content is where a node begins behind its anchor and tag.
func (p *parser) content(y *yaml.Node) (line, col int) {
	line, col = y.Line, y.Column
	if y.Anchor == "" && y.Style&yaml.TaggedStyle == 0 {
		return line, col
	}
	for line >= 1 && line <= len(p.lines) {
		rest := []rune(p.lines[line-1])
		for col-1 < len(rest) {
			switch c := rest[col-1]; {
			case c == ' ' || c == '\t':
				col++
			case c == '&' || c == '!':
				for col-1 < len(rest) && rest[col-1] != ' ' && rest[col-1] != '\t' {
					col++
				}
			case c == '#':
				col = len(rest) + 1
			default:
				return line, col
			}
		}
		if y.Kind == yaml.ScalarNode && y.Value == "" {
			break
		}
		line, col = line+1, 1
	}
	return y.Line, y.Column
}
