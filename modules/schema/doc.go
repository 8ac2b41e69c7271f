package schema

import (
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"reflect"
	"strings"
	"sync"
)

// A Doc is a module's manual, from the doc comments of its struct.
type Doc struct {
	Summary string            // first sentence, without the struct's name
	Text    string            // the whole comment of the struct
	Args    map[string]string // by argument name; nested ones as "outer.inner"
}

// structs holds the comments of a package's structs: "Type" and "Type.Field".
type structs map[string]string

// parsed caches the comments of each embedded source; parsing is left until a manual is
// asked for, so that a run does not pay for it.
var parsed sync.Map // embed.FS → func() (structs, error)

func commentsOf(fsys embed.FS) (structs, error) {
	once, _ := parsed.LoadOrStore(fsys, sync.OnceValues(func() (structs, error) { return parseComments(fsys) }))
	load, ok := once.(func() (structs, error))
	if !ok {
		return nil, errors.New("comments cache holds a stranger")
	}
	return load()
}

func parseComments(fsys embed.FS) (structs, error) {
	entries, err := fsys.ReadDir(".")
	if err != nil {
		return nil, err
	}
	out := structs{}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".go") || strings.HasSuffix(e.Name(), "_test.go") {
			continue
		}
		src, err := fsys.ReadFile(e.Name())
		if err != nil {
			return nil, err
		}
		if err := out.addFile(e.Name(), src); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (s structs) addFile(name string, src []byte) error {
	file, err := parser.ParseFile(token.NewFileSet(), name, src, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return fmt.Errorf("read the comments of a module: %w", err)
	}
	for _, decl := range file.Decls {
		gen, ok := decl.(*ast.GenDecl)
		if !ok || gen.Tok != token.TYPE {
			continue
		}
		for _, spec := range gen.Specs {
			s.addType(gen, spec)
		}
	}
	return nil
}

func (s structs) addType(gen *ast.GenDecl, spec ast.Spec) {
	ts, ok := spec.(*ast.TypeSpec)
	if !ok {
		return
	}
	st, ok := ts.Type.(*ast.StructType)
	if !ok {
		return
	}
	doc := ts.Doc
	if doc == nil {
		doc = gen.Doc
	}
	s[ts.Name.Name] = strings.TrimSpace(doc.Text())
	for _, field := range st.Fields.List {
		text := strings.TrimSpace(field.Doc.Text())
		if text == "" {
			text = strings.TrimSpace(field.Comment.Text())
		}
		for _, name := range field.Names {
			s[ts.Name.Name+"."+name.Name] = text
		}
	}
}

// Doc reads the module's manual from its source.
func (s *Spec) Doc() (Doc, error) {
	var all []structs
	for _, fsys := range s.sources {
		c, err := commentsOf(fsys)
		if err != nil {
			return Doc{}, err
		}
		all = append(all, c)
	}
	look := func(key string) string {
		for _, c := range all {
			if text := c[key]; text != "" {
				return text
			}
		}
		return ""
	}
	name := reflect.TypeOf(s.New()).Elem().Name()
	d := Doc{Text: look(name), Args: map[string]string{}}
	d.Summary = summary(d.Text, name)
	d.fill("", s.Args, look)
	return d, nil
}

func (d Doc) fill(prefix string, args []Arg, look func(string) string) {
	for _, a := range args {
		d.Args[prefix+a.Name] = look(a.owner + "." + a.field)
		d.fill(prefix+a.Name+".", a.Options, look)
	}
}

// summary is the first sentence of a struct's comment: "Systemd manages units." becomes
// "Manages units".
func summary(text, name string) string {
	s := strings.Join(strings.Fields(text), " ")
	if i := strings.Index(s, ". "); i >= 0 {
		s = s[:i]
	}
	s = strings.TrimPrefix(strings.TrimSuffix(s, "."), name+" ")
	if s == "" {
		return ""
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// Markdown is the module's page of the reference.
func Markdown(s *Spec) (string, error) {
	d, err := s.Doc()
	if err != nil {
		return "", err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n\n%s\n", s.Name, d.Text)
	if len(s.Aliases) > 0 {
		fmt.Fprintf(&b, "\nAlso known as %s.\n", strings.Join(s.Aliases, ", "))
	}
	if s.FreeForm != "" {
		fmt.Fprintf(&b, "\nA plain string is the argument `%s`.\n", s.FreeForm)
	}
	if len(s.Args) > 0 {
		b.WriteString("\n| argument | type | meaning |\n|---|---|---|\n")
		markdownArgs(&b, "", s.Args, d)
	}
	return b.String(), nil
}

func markdownArgs(b *strings.Builder, prefix string, args []Arg, d Doc) {
	for _, a := range args {
		meaning := strings.Join(strings.Fields(d.Args[prefix+a.Name]), " ")
		if notes := a.notes(); notes != "" {
			meaning += " (" + notes + ")"
		}
		fmt.Fprintf(b, "| `%s` | %s | %s |\n", prefix+a.Name, a.typeText(), strings.ReplaceAll(meaning, "|", `\|`))
		markdownArgs(b, prefix+a.Name+".", a.Options, d)
	}
}

func (a *Arg) typeText() string {
	if a.Elements != "" {
		return a.Type + " of " + a.Elements
	}
	return a.Type
}

func (a *Arg) notes() string {
	var notes []string
	if a.Required {
		notes = append(notes, "required")
	}
	if a.Choices != nil {
		notes = append(notes, "one of "+strings.Join(a.Choices, ", "))
	}
	if a.Default != "" {
		notes = append(notes, "default "+a.Default)
	}
	if a.Aliases != nil {
		notes = append(notes, "also "+strings.Join(a.Aliases, ", "))
	}
	if a.Secret {
		notes = append(notes, "secret")
	}
	return strings.Join(notes, "; ")
}

// Text is what orch doc prints, in lines of at most width characters.
func Text(s *Spec, width int) (string, error) {
	d, err := s.Doc()
	if err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString(s.Name)
	if len(s.Aliases) > 0 {
		b.WriteString(" (" + strings.Join(s.Aliases, ", ") + ")")
	}
	b.WriteString("\n\n")
	for para := range strings.SplitSeq(d.Text, "\n\n") {
		wrap(&b, para, "  ", width)
		b.WriteByte('\n')
	}
	textArgs(&b, "", s.Args, d, width)
	return b.String(), nil
}

func textArgs(b *strings.Builder, prefix string, args []Arg, d Doc, width int) {
	for _, a := range args {
		fmt.Fprintf(b, "  %s  %s\n", prefix+a.Name, a.typeText())
		meaning := d.Args[prefix+a.Name]
		if notes := a.notes(); notes != "" {
			meaning += " (" + notes + ")"
		}
		wrap(b, meaning, "      ", width)
		textArgs(b, prefix+a.Name+".", a.Options, d, width)
	}
}

func wrap(b *strings.Builder, text, indent string, width int) {
	col := 0
	for _, word := range strings.Fields(text) {
		switch {
		case col == 0:
			b.WriteString(indent)
			col = len(indent)
		case col+1+len(word) > width:
			b.WriteString("\n" + indent)
			col = len(indent)
		default:
			b.WriteByte(' ')
			col++
		}
		b.WriteString(word)
		col += len(word)
	}
	if col > 0 {
		b.WriteByte('\n')
	}
}

// schemaNode is a JSON Schema.
type schemaNode struct {
	Schema      string                 `json:"$schema,omitempty"`
	Title       string                 `json:"title,omitempty"`
	Description string                 `json:"description,omitempty"`
	Type        []string               `json:"type,omitempty"`
	AnyOf       []schemaNode           `json:"anyOf,omitempty"`
	Enum        []string               `json:"enum,omitempty"`
	Pattern     string                 `json:"pattern,omitempty"`
	Default     string                 `json:"default,omitempty"`
	Items       *schemaNode            `json:"items,omitempty"`
	Properties  map[string]*schemaNode `json:"properties,omitempty"`
	Required    []string               `json:"required,omitempty"`
	Additional  *bool                  `json:"additionalProperties,omitempty"`
}

// JSONSchema is the JSON Schema (draft 2020-12) of the module's arguments, for editors.
// A template may stand for any value, so every type but a string also takes one.
func (s *Spec) JSONSchema() ([]byte, error) {
	d, err := s.Doc()
	if err != nil {
		return nil, err
	}
	n := objectSchema("", s.Args, d)
	n.Schema = "https://json-schema.org/draft/2020-12/schema"
	n.Title, n.Description = s.Name, d.Summary
	if s.FreeForm != "" {
		n.Type = []string{"object", "string"}
	}
	return json.MarshalIndent(n, "", "  ")
}

func objectSchema(prefix string, args []Arg, d Doc) *schemaNode {
	open := restOf(args) != nil
	n := &schemaNode{Type: []string{"object"}, Properties: map[string]*schemaNode{}, Additional: &open}
	for _, a := range args {
		if a.rest {
			continue
		}
		p := argSchema(prefix, a, d)
		p.Description = strings.Join(strings.Fields(d.Args[prefix+a.Name]), " ")
		for _, name := range append([]string{a.Name}, a.Aliases...) {
			n.Properties[name] = p
		}
		if a.Required && len(a.Aliases) == 0 {
			n.Required = append(n.Required, a.Name)
		}
	}
	return n
}

func argSchema(prefix string, a Arg, d Doc) *schemaNode {
	n := &schemaNode{Default: a.Default}
	switch a.Type {
	case "bool":
		n.Type = []string{"boolean", "string"}
	case "int":
		n.Type = []string{"integer", "string"}
	case "float":
		n.Type = []string{"number", "string"}
	case "list":
		n.Type = []string{"array", "string"}
		item := a
		item.Type, item.Elements, item.Default = a.Elements, "", ""
		n.Items = argSchema(prefix, item, d)
		return n
	case "dict":
		if a.Options != nil {
			n = objectSchema(prefix+a.Name+".", a.Options, d)
		}
		n.Type = []string{"object", "string"}
	case "str", "path":
		n.Type = []string{"string", "number", "boolean"}
	}
	if a.Choices != nil {
		n.AnyOf = []schemaNode{{Enum: a.Choices}, {Type: []string{"string"}, Pattern: `\{\{`}}
	}
	return n
}
