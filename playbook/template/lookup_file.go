package template

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/encoding/htmlindex"

	"orch/playbook/jinja/value"
	"orch/playbook/keyval"
	"orch/playbook/pyre"
	"orch/playbook/template/filter"
)

// The lookups that read files of the controller.
var fileLookups = map[string]Lookup{
	"file": {Run: runFile, Options: []Option{
		{Name: "rstrip", Kind: "bool", Default: value.Bool(true), Doc: "drop white space at the end"},
		{Name: "lstrip", Kind: "bool", Default: value.Bool(false), Doc: "drop white space at the start"},
	}, Doc: "Returns the contents of files, decrypted if they are vault text."},
	"unvault":  {Run: runUnvault, Doc: "Returns the contents of files, decrypted by vault."},
	"fileglob": {Run: runFileglob, Doc: "Returns the files in one folder whose names match a pattern."},
	"first_found": {Run: runFirstFound, Lenient: true, Options: []Option{
		{Name: "files", Kind: "list", Default: value.NewList(), Doc: "names to look for"},
		{Name: "paths", Kind: "list", Default: value.NewList(), Doc: "folders to look in"},
		{Name: "skip", Kind: "bool", Default: value.Bool(false), Doc: "yield an empty list when nothing is found"},
	}, Doc: "Returns the first file that exists, of files looked for in paths."},
	"csvfile": {Run: runCSV, Options: []Option{
		{Name: "file", Kind: "str", Default: value.S("ansible.csv"), Doc: "the CSV file"},
		{Name: "delimiter", Kind: "str", Default: value.S("TAB"), Doc: "the separator of columns; TAB for a tab"},
		{Name: "col", Kind: "int", Default: value.Int(1), Doc: "the column to return, from 0"},
		{Name: "keycol", Kind: "int", Default: value.Int(0), Doc: "the column to search, from 0"},
		{Name: "default", Doc: "what to return when there is nothing"},
		{Name: "encoding", Kind: "str", Default: value.S("utf-8"), Doc: "the encoding of the file"},
	}, Doc: "Returns a column of the row of a CSV file whose key column equals the term."},
	"ini": {Run: runINI, Options: []Option{
		{Name: "file", Kind: "str", Default: value.S("ansible.ini"), Doc: "the INI file"},
		{Name: "section", Kind: "str", Default: value.S("global"), Doc: "the section to look in"},
		{Name: "type", Kind: "str", Default: value.S("ini"), Choices: []string{"ini", "properties"}, Doc: "ini, or properties for a file without sections"},
		{Name: "re", Kind: "bool", Default: value.Bool(false), Doc: "the term is a regular expression"},
		{Name: "default", Default: value.S(""), Doc: "what to return when there is nothing"},
		{Name: "encoding", Kind: "str", Default: value.S("utf-8"), Doc: "the encoding of the file"},
		{Name: "case_sensitive", Kind: "bool", Default: value.Bool(false), Doc: "names of options keep their case"},
		{Name: "allow_no_value", Aliases: []string{"allow_none"}, Kind: "bool", Default: value.Bool(false), Doc: "options may have no value"},
		{Name: "interpolation", Kind: "bool", Default: value.Bool(true), Doc: "replace %(name)s in values"},
	}, Doc: "Returns the value of a key in a section of an INI or properties file."},
	"template": {Run: runTemplate, Options: []Option{
		{Name: "convert_data", Kind: "bool", Default: value.Bool(true), Doc: "read text that looks like a list, dict or boolean as one"},
		{Name: "jinja2_native", Kind: "bool", Default: value.Bool(false), Doc: "type the result natively, where the setting of that name is on"},
		{Name: "template_vars", Kind: "dict", Default: value.NewDict(0), Doc: "further variables"},
		{Name: "variable_start_string", Kind: "str", Doc: "begins an expression; {{"},
		{Name: "variable_end_string", Kind: "str", Doc: "ends an expression; }}"},
		{Name: "comment_start_string", Kind: "str", Doc: "begins a comment; {#"},
		{Name: "comment_end_string", Kind: "str", Doc: "ends a comment; #}"},
	}, Doc: "Returns template files rendered; text that looks like a list, dict or boolean becomes one unless convert_data is off."},
	"community.general.filetree": {
		Run: runFiletree, Options: []Option{{Name: "exclude", Kind: "str", Doc: "leave out names that match a regular expression"}},
		Doc: "Returns every file and folder below the folders given, with its properties.",
	},
}

func runFile(c *LookupCall) ([]value.Value, error) {
	terms, err := c.TextTerms()
	if err != nil {
		return nil, err
	}
	var out []value.Value
	for _, term := range terms {
		path, err := c.Site().Find("files", term)
		if err != nil {
			return nil, lookupErrorf("the 'file' lookup had an issue accessing the file '%s'. file not found: %w", term, err)
		}
		text, err := c.Site().readFile(path)
		if err != nil {
			return nil, lookupErrorf("the 'file' lookup had an issue accessing the file '%s': %w", term, err)
		}
		s := string(text)
		if c.Flag("lstrip") {
			s = strings.TrimLeftFunc(s, isSpace)
		}
		if c.Flag("rstrip") {
			s = rstrip(s)
		}
		out = append(out, value.S(s))
	}
	return out, nil
}

// isSpace is Python's str.isspace for a character.
func isSpace(r rune) bool { return unicode.IsSpace(r) || r >= 0x1c && r <= 0x1f }

func rstrip(s string) string { return strings.TrimRightFunc(s, isSpace) }

func runUnvault(c *LookupCall) ([]value.Value, error) {
	terms, err := c.TextTerms()
	if err != nil {
		return nil, err
	}
	var out []value.Value
	for _, term := range terms {
		path, err := c.Site().Find("files", term)
		if err != nil {
			return nil, lookupErrorf("unable to find file matching %q: %w", term, err)
		}
		text, err := c.Site().readFile(path)
		if err != nil {
			return nil, lookupErrorf("unvault %q: %w", term, err)
		}
		out = append(out, value.S(string(text)))
	}
	return out, nil
}

func runFileglob(c *LookupCall) ([]value.Value, error) {
	terms, err := c.TextTerms()
	if err != nil {
		return nil, err
	}
	site := c.Site()
	var out []value.Value
	for _, term := range terms {
		dir, pattern := filepath.Split(term)
		var dirs []string
		if dir != "" {
			path, err := site.Find("files", strings.TrimSuffix(dir, "/"))
			if filepath.IsAbs(dir) {
				path, err = filepath.Clean(dir), nil
			}
			if err != nil {
				site.warn(fmt.Sprintf("Unable to find '%s' in expected paths (use -vvvvv to see paths)", strings.TrimSuffix(dir, "/")))
				continue
			}
			dirs = []string{path}
		} else {
			for _, p := range site.SearchPath {
				dirs = append(dirs, filepath.Join(p, "files"), p)
			}
		}
		for _, dir := range dirs {
			files, err := globFiles(dir, pattern)
			if err != nil {
				return nil, lookupErrorf("fileglob %q: %w", term, err)
			}
			if len(files) > 0 {
				out = append(out, files...)
				break
			}
		}
	}
	return out, nil
}

// globFiles lists the files of a folder whose names match, as Python's glob does: * does
// not match a dot at the start, [!x] is a negated class.
func globFiles(dir, pattern string) ([]value.Value, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, nil // no such folder holds no files
	}
	match := strings.ReplaceAll(pattern, "[!", "[^")
	var out []value.Value
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") && !strings.HasPrefix(pattern, ".") {
			continue
		}
		ok, err := filepath.Match(match, e.Name())
		if err != nil {
			return nil, err
		}
		if path := filepath.Join(dir, e.Name()); ok && isFile(path) {
			out = append(out, value.S(path))
		}
	}
	return out, nil
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// A search is the list of files first_found looks for.
type search struct {
	c     *LookupCall
	files []value.Value
	skip  bool
}

func runFirstFound(c *LookupCall) ([]value.Value, error) {
	terms := c.Terms
	if len(terms) == 0 {
		terms = c.List("files")
	}
	s := &search{c: c}
	if err := s.add(terms); err != nil {
		return nil, err
	}
	for _, f := range s.files {
		v, err := c.engine.Value(c.Ctx, f, c.scope)
		if err != nil {
			if IsUndefined(err) != nil {
				continue // ansible-core 2.18: a name that cannot be made is no file
			}
			return nil, err
		}
		path, err := c.Site().Find(c.Subdir, value.String(v))
		if err == nil {
			return []value.Value{value.S(path)}, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	if s.skip {
		return nil, nil
	}
	return nil, lookupErrorf("no file was found when using first_found")
}

func (s *search) add(terms []value.Value) error {
	for _, term := range terms {
		if list, ok := term.(*value.List); ok {
			if err := s.add(list.Items); err != nil {
				return err
			}
			continue
		}
		var files []value.Value
		switch t := term.(type) {
		case *value.Dict:
			var named []value.Named
			for k, v := range t.All() {
				named = append(named, value.Named{Name: value.String(k), Val: v})
			}
			if err := s.c.bind(named); err != nil {
				return err
			}
			files = s.c.List("files")
		case value.Str:
			files = []value.Value{t}
		default:
			return lookupErrorf("invalid term supplied, can handle string, mapping or list of strings but got: %s for %s", term.Type(), value.Repr(term))
		}
		s.skip = s.c.Flag("skip")
		names, paths := files, splitTexts(s.c.List("paths"), ",:;")
		if s.c.engine.opt.Mode != Strict { // ansible-core 2.19 does not split names
			names = splitTexts(files, ",;")
		}
		if len(paths) == 0 {
			s.files = append(s.files, names...)
			continue
		}
		for _, path := range paths {
			for _, name := range names {
				s.files = append(s.files, joinPath(path, name))
			}
		}
	}
	return nil
}

// splitTexts cuts each text at separators, outside of templates; the parts keep their
// author's mark.
func splitTexts(items []value.Value, separators string) []value.Value {
	var out []value.Value
	for _, item := range items {
		s, ok := item.(value.Str)
		if !ok || mayBeTemplate(s.S) {
			out = append(out, item)
			continue
		}
		for _, part := range strings.FieldsFunc(s.S+" ", func(r rune) bool { return strings.ContainsRune(separators, r) }) {
			out = append(out, value.Str{S: strings.TrimSuffix(part, " "), From: s.From})
		}
	}
	return out
}

// joinPath is Python's os.path.join; the result is an author's if its parts are.
func joinPath(dir, name value.Value) value.Value {
	d, _ := dir.(value.Str)
	n, ok := name.(value.Str)
	if !ok || strings.HasPrefix(n.S, "/") {
		return name
	}
	if d.S != "" && !strings.HasSuffix(d.S, "/") {
		d.S += "/"
	}
	joined := value.Str{S: d.S + n.S}
	if d.From != nil && n.From != nil {
		joined.From = n.From
	}
	return joined
}

func runCSV(c *LookupCall) ([]value.Value, error) {
	terms, err := c.TextTerms()
	if err != nil {
		return nil, err
	}
	if len(terms) == 0 {
		return nil, lookupErrorf("Search key is required but was not found")
	}
	var out []value.Value
	for _, term := range terms {
		key, err := c.inline(term)
		if err != nil {
			return nil, err
		}
		v, err := c.csvValue(key)
		if err != nil {
			return nil, err
		}
		switch v := v.(type) {
		case nil, value.None:
		case *value.List:
			out = append(out, v.Items...)
		default:
			out = append(out, v)
		}
	}
	return out, nil
}

// inline takes options from a term like "key file=x.csv", and returns the key.
func (c *LookupCall) inline(term string) (string, error) {
	pairs, key, _, err := keyval.Parse(term, nil)
	if err != nil {
		return "", lookupErrorf("%w", err)
	}
	for _, kv := range pairs {
		o := c.option(kv.Key)
		if o == nil {
			return "", lookupErrorf("%s is not a valid option", kv.Key)
		}
		// ansible-core 2.18 makes numbers of the columns only when a row is found.
		c.options[o.Name] = value.S(kv.Val)
	}
	if key == "" {
		return "", lookupErrorf("Search key is required but was not found")
	}
	return key, nil
}

func (c *LookupCall) csvValue(key string) (value.Value, error) {
	path, err := c.Site().Find("files", c.Text("file"))
	if err != nil {
		return nil, lookupErrorf("csvfile: No such file or directory: %w", err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, lookupErrorf("csvfile: %w", err)
	}
	s, err := decodeText(text, c.Text("encoding"))
	if err != nil {
		return nil, lookupErrorf("csvfile: %w", err)
	}
	delimiter := c.Text("delimiter")
	if delimiter == "TAB" || delimiter == `\t` {
		delimiter = "\t"
	}
	if utf8.RuneCountInString(delimiter) != 1 {
		return nil, lookupErrorf(`csvfile: "delimiter" must be a 1-character string`)
	}
	comma, _ := utf8.DecodeRuneInString(delimiter)
	for _, row := range csvRows(s, comma) {
		keycol, err := c.column(row, "keycol")
		if err != nil {
			return nil, err
		}
		if keycol != key {
			continue
		}
		col, err := c.column(row, "col")
		return value.S(col), err
	}
	return c.Option("default"), nil
}

// column is Python's row[int(i)], i being an option.
func (c *LookupCall) column(row []string, option string) (string, error) {
	v, err := coerceInt(c.Option(option))
	if err != nil {
		return "", lookupErrorf("csvfile: %s: %w", option, err)
	}
	n, _ := v.(value.Int)
	i := int(n)
	if i < 0 {
		i += len(row)
	}
	if i < 0 || i >= len(row) {
		return "", lookupErrorf("csvfile: list index out of range")
	}
	return row[i], nil
}

// decodeText makes UTF-8 of text in an encoding Python knows by that name.
func decodeText(text []byte, encoding string) (string, error) {
	switch name := strings.ReplaceAll(strings.ToLower(encoding), "_", "-"); name {
	case "utf-8", "utf8":
		if !utf8.Valid(text) {
			return "", fmt.Errorf("'utf-8' codec can't decode the file")
		}
		return string(text), nil
	case "utf-8-sig":
		return strings.TrimPrefix(string(text), "\ufeff"), nil
	default:
		enc, err := htmlindex.Get(name)
		if err != nil {
			return "", fmt.Errorf("unknown encoding: %s", encoding)
		}
		out, err := enc.NewDecoder().Bytes(text)
		return string(out), err
	}
}

func runTemplate(c *LookupCall) ([]value.Value, error) {
	terms, err := c.TextTerms()
	if err != nil {
		return nil, err
	}
	f := File{Overrides: DefaultOverrides(), Typed: c.Flag("convert_data")}
	f.VariableStart, f.VariableEnd = c.Text("variable_start_string"), c.Text("variable_end_string")
	f.CommentStart, f.CommentEnd = c.Text("comment_start_string"), c.Text("comment_end_string")
	if vars, ok := c.Option("template_vars").(*value.Dict); ok {
		for k, v := range vars.All() {
			f.Vars = append(f.Vars, value.Named{Name: value.String(k), Val: v})
		}
	}
	native := c.engine.opt.Mode == Native && c.Flag("jinja2_native")
	if c.engine.opt.Mode == Strict { // ansible-core 2.19: neither option has an effect
		f.Typed, native = true, true
	}
	f.native = native
	var out []value.Value
	for _, term := range terms {
		path, err := c.Site().Find("templates", term)
		if err != nil {
			return nil, lookupErrorf("the template file %s could not be found for the lookup: %w", term, err)
		}
		f.Path, f.Name = path, term
		v, err := c.engine.Render(c.Ctx, f, c.scope)
		if err != nil {
			return nil, err
		}
		if _, unknown := v.(value.Unknown); !unknown && (!f.Typed || c.engine.opt.Mode != Classic && !native) {
			// ansible-core 2.18: this text is not to be read as a literal anywhere.
			v = value.Str{S: value.String(v), Text: true}
		}
		out = append(out, v)
	}
	return out, nil
}

func runFiletree(c *LookupCall) ([]value.Value, error) {
	terms, err := c.TextTerms()
	if err != nil {
		return nil, err
	}
	var exclude *pyre.Regexp
	if pattern := c.Text("exclude"); pattern != "" {
		if exclude, err = filter.Regexp(pattern, 0); err != nil {
			return nil, optionErrorf("filetree: exclude: %s", err)
		}
	}
	var out []value.Value
	var seen []string
	for _, term := range terms {
		root, err := c.Site().Find("files", strings.TrimSuffix(term, "/"))
		if err != nil {
			continue // ansible: walking a folder that is not there finds nothing
		}
		err = filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
			if err != nil || path == root {
				return err
			}
			if exclude != nil {
				if m, err := exclude.Search(e.Name()); err != nil || m != nil {
					return err
				}
			}
			rel, err := filepath.Rel(root, path)
			if err != nil || slices.Contains(seen, rel) {
				return err
			}
			props, err := fileProps(root, rel)
			if props != nil {
				seen = append(seen, rel)
				out = append(out, props)
			}
			return err
		})
		if err != nil {
			return nil, lookupErrorf("filetree %q: %w", term, err)
		}
	}
	return out, nil
}

// fileProps are the properties community.general's filetree gives; nil for a file of
// another kind than file, folder and link.
func fileProps(root, rel string) (value.Value, error) {
	path := filepath.Join(root, rel)
	info, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	d := value.D("root", value.S(root+"/"), "path", value.S(rel))
	switch mode := info.Mode(); {
	case mode&fs.ModeSymlink != 0:
		target, err := os.Readlink(path)
		if err != nil {
			return nil, err
		}
		d.SetStr("state", value.S("link"))
		d.SetStr("src", value.S(target))
	case mode.IsDir():
		d.SetStr("state", value.S("directory"))
	case mode.IsRegular():
		d.SetStr("state", value.S("file"))
		d.SetStr("src", value.S(path))
	default:
		return nil, nil
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return d, nil
	}
	d.SetStr("uid", value.Int(st.Uid))
	d.SetStr("gid", value.Int(st.Gid))
	d.SetStr("owner", owner(info))
	group := strconv.FormatUint(uint64(st.Gid), 10)
	if g, err := user.LookupGroupId(group); err == nil {
		group = g.Name
	}
	d.SetStr("group", value.S(group))
	d.SetStr("mode", value.S(fmt.Sprintf("0%03o", st.Mode&0o7777)))
	d.SetStr("size", value.Int(info.Size()))
	d.SetStr("mtime", value.Float(float64(info.ModTime().UnixNano())/1e9))
	d.SetStr("ctime", value.Float(float64(st.Ctim.Sec)+float64(st.Ctim.Nsec)/1e9))
	return d, nil
}
