package control

import (
	"context"
	"fmt"
	"os"
	"path"
	"strings"

	"golang.org/x/text/encoding/charmap"

	"orch/modules"
	"orch/modules/host"
	"orch/playbook/jinja/value"
)

// Template renders a template on the controller and puts the result on the host, as copy
// does.
//
// A file ending in .gotmpl, or engine go, is a template of Go's text/template with sprig;
// everything else is Jinja2.
type Template struct {
	// Template file: a path, or a name in the templates folders.
	Src string `orch:"required,path"`
	// File on the host, or a folder to put it in.
	Dest string `orch:"required,path"`
	// Keep a copy of the file that is replaced.
	Backup bool
	// Replace a file whose content differs.
	Force bool `orch:"default=true"`
	// Follow a link at dest.
	Follow bool
	// Command that must accept the new file, %s, before it is put in place.
	ValidateCmd string `orch:"name=validate"`
	// Lines end with this.
	NewlineSequence string `orch:"default=\n"`
	// Begin of a statement.
	BlockStartString string
	// End of a statement.
	BlockEndString string
	// Begin of a print statement.
	VariableStartString string
	// End of a print statement.
	VariableEndString string
	// Begin of a comment.
	CommentStartString string
	// End of a comment.
	CommentEndString string
	// Drop the newline after a statement.
	TrimBlocks bool `orch:"default=true"`
	// Drop white space before a statement.
	LstripBlocks bool
	// Encoding of the file on the host: utf-8, ascii, latin-1 or utf-16.
	OutputEncoding string `orch:"default=utf-8"`
	// Language of the template; the default goes by the name of the file.
	Engine string `orch:"enum=jinja|go"`
	host.FileArgs
}

// Validate implements modules.Validator.
func (t *Template) Validate() error {
	if t.ValidateCmd != "" && !strings.Contains(t.ValidateCmd, "%s") {
		return fmt.Errorf("validate must contain %%s: %s", t.ValidateCmd)
	}
	switch t.newline() {
	case "\n", "\r", "\r\n":
	default:
		return fmt.Errorf("newline_sequence needs to be one of: \\n, \\r or \\r\\n")
	}
	if _, err := encode("", t.OutputEncoding); err != nil {
		return err
	}
	return t.FileArgs.Validate()
}

func (t *Template) newline() string {
	return strings.NewReplacer(`\r`, "\r", `\n`, "\n").Replace(t.NewlineSequence)
}

// Plan implements modules.Module.
func (t *Template) Plan(ctx context.Context, v View) (plan, error) {
	src, err := v.Find("templates", t.Src)
	if err != nil {
		return plan{}, err
	}
	text, err := v.Render(ctx, Render{
		Path: src, Dest: t.Dest, NewlineSequence: t.newline(), Engine: t.Engine,
		BlockStart: t.BlockStartString, BlockEnd: t.BlockEndString, VariableStart: t.VariableStartString, VariableEnd: t.VariableEndString,
		CommentStart: t.CommentStartString, CommentEnd: t.CommentEndString, TrimBlocks: t.TrimBlocks, LstripBlocks: t.LstripBlocks,
	})
	if err != nil {
		return plan{}, err
	}
	if value.IsUnknown(text) {
		return plan{Steps: []step{{Title: "write " + t.Dest, Effect: modules.Maybe, Do: nothing}}, Out: dictOut{value.D("dest", value.S(t.Dest))}}, nil
	}
	data, err := encode(value.String(text), t.OutputEncoding)
	if err != nil {
		return plan{}, modules.Failf("%s: %s", src, err)
	}
	c := &host.Copy{
		Dest: t.Dest, Backup: t.Backup, Force: t.Force, Follow: t.Follow, ValidateCmd: t.ValidateCmd,
		OriginalBasename: path.Base(src), Bytes: int64(len(data)), FileArgs: t.FileArgs,
	}
	if t.Mode == modules.Preserve {
		fi, err := os.Stat(src)
		if err != nil {
			return plan{}, modules.Failf("%s", err)
		}
		c.SourceMode = int(modules.UnixMode(fi.Mode()))
	}
	if c.Sum, err = v.AddSource(Content{Data: data}); err != nil {
		return plan{}, err
	}
	return hand(v, "ansible.builtin.copy", c), nil
}

// encode writes text in one of Python's encodings: those of Unicode, and those of one
// byte a character.
func encode(text, encoding string) ([]byte, error) {
	var limit rune
	switch strings.ReplaceAll(strings.ToLower(encoding), "_", "-") {
	case "utf-8", "utf8", "":
		return []byte(text), nil
	case "ascii", "us-ascii":
		limit = 0x80
	case "latin-1", "latin1", "iso-8859-1", "iso8859-1":
		limit = 0x100
	case "utf-16", "utf16":
		out := []byte{0xff, 0xfe}
		for _, u := range utf16(text) {
			out = append(out, byte(u), byte(u>>8))
		}
		return out, nil
	default:
		table := byteEncoding(encoding)
		if table == nil {
			return nil, fmt.Errorf("output_encoding %q is not supported: use utf-8, utf-16, ascii, latin-1, or another of one byte a character, such as windows-1252", encoding)
		}
		return encodeBytes(text, encoding, table)
	}
	out := make([]byte, 0, len(text))
	for i, r := range text {
		if r >= limit {
			return nil, fmt.Errorf("'%s' codec can't encode character %q in position %d", encoding, r, i)
		}
		out = append(out, byte(r))
	}
	return out, nil
}

// byteEncoding finds an encoding of one byte a character by a name of Python's: cp1252,
// windows-1252, iso-8859-15, koi8_r; nil if there is none.
func byteEncoding(name string) *charmap.Charmap {
	plain := strings.NewReplacer("-", "", "_", "", " ", "", "ibmcodepage", "cp", "windows", "cp")
	name = plain.Replace(strings.ToLower(name))
	for _, e := range charmap.All {
		if c, ok := e.(*charmap.Charmap); ok && plain.Replace(strings.ToLower(c.String())) == name {
			return c
		}
	}
	return nil
}

func encodeBytes(text, encoding string, table *charmap.Charmap) ([]byte, error) {
	out := make([]byte, 0, len(text))
	at := 0
	for _, r := range text {
		b, ok := table.EncodeRune(r)
		if !ok {
			return nil, fmt.Errorf("'%s' codec can't encode character %q in position %d", encoding, r, at)
		}
		out = append(out, b)
		at++
	}
	return out, nil
}
