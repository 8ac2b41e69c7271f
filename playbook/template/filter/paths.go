package filter

import (
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strings"

	"orch/playbook/jinja/value"
	"orch/playbook/pyre"
)

var pathFilters = []def{
	{
		names: "basename", filter: str(func(s string) string { return s[strings.LastIndexByte(s, '/')+1:] }),
		doc:      "The last part of a path; empty when the path ends in a slash.",
		examples: []string{"{{ '/etc/asdf/foo.txt' | basename }}", "foo.txt"},
	},
	{
		names: "dirname", filter: str(dirname),
		doc:      "The path without its last part.",
		examples: []string{"{{ '/etc/asdf/foo.txt' | dirname }}", "/etc/asdf"},
	},
	{
		names: "splitext", filter: splitext,
		doc:      "Splits a path into what is before its extension and the extension with its dot.",
		examples: []string{"{{ 'nginx.conf' | splitext }}", "('nginx', '.conf')", "{{ '.profile' | splitext | last }}", ""},
	},
	{
		names: "expanduser", filter: expanduser,
		doc:      "Replaces a leading ~ or ~user by the home directory, on the controller.",
		examples: []string{"{{ '/etc' | expanduser }}", "/etc"},
	},
	{
		names: "expandvars", filter: str(expandvars),
		doc:      "Replaces $NAME and ${NAME} by the controller's environment variables; an unknown one stays.",
		examples: []string{"{{ '$NO_SUCH_VARIABLE/x' | expandvars }}", "$NO_SUCH_VARIABLE/x"},
	},
	{
		names: "path_join", filter: pathJoin,
		doc:      "Joins a list of path parts; an absolute part drops what is before it.",
		examples: []string{"{{ ('etc', 'apt', 'x.list') | path_join }}", "etc/apt/x.list", "{{ ['a', '/b'] | path_join }}", "/b"},
	},
	{
		names: "realpath", sig: "strict=False", filter: realpath,
		doc:      "The absolute path on the controller with all links followed.",
		examples: []string{"{{ '/no/such/../path' | realpath }}", "/no/path"},
	},
	{
		names: "relpath", sig: "start='.'", filter: relpath,
		doc:      "The path as seen from the folder start (the working directory).",
		examples: []string{"{{ '/etc/apt/sources.list' | relpath('/etc') }}", "apt/sources.list"},
	},
	{
		names: "normpath", filter: str(normpath),
		doc:      "The path without double slashes, '.' and '..'.",
		examples: []string{"{{ '/a//b/./../c' | normpath }}", "/a/c"},
	},
	{
		names: "commonpath", filter: commonpath,
		doc:      "The longest path that all paths of a list begin with.",
		examples: []string{"{{ ['/foo/bar/a', '/foo/baz'] | commonpath }}", "/foo"},
	},
	{
		names: "fileglob", filter: fileglob,
		doc:      "The controller's files that match a shell pattern, sorted; folders are left out.",
		examples: []string{"{{ '/no/such/dir/*' | fileglob }}", "[]"},
	},
	{
		names: "win_basename", filter: str(func(s string) string { return winSplit(s)[1] }),
		doc:      "The last part of a Windows path.",
		examples: []string{`{{ 'C:\\users\\asdf\\foo.txt' | win_basename }}`, "foo.txt"},
	},
	{
		names: "win_dirname", filter: str(func(s string) string { return winSplit(s)[0] }),
		doc:      "A Windows path without its last part.",
		examples: []string{`{{ 'C:\\users\\asdf\\foo.txt' | win_dirname }}`, `C:\users\asdf`},
	},
	{
		names: "win_splitdrive", filter: winSplitdrive,
		doc:      "Splits a Windows path into drive (or share) and the rest.",
		examples: []string{`{{ 'C:\\users\\foo' | win_splitdrive | first }}`, "C:"},
	},
}

func dirname(s string) string {
	head := s[:strings.LastIndexByte(s, '/')+1]
	if trimmed := strings.TrimRight(head, "/"); trimmed != "" {
		return trimmed
	}
	return head
}

func splitext(c *call) (value.Value, error) {
	s, err := c.input()
	if err != nil {
		return nil, err
	}
	base := strings.LastIndexByte(s, '/') + 1
	dot := strings.LastIndexByte(s[base:], '.') + base
	// Dots that lead the name begin no extension.
	if dot < base || strings.Trim(s[base:dot], ".") == "" {
		return value.Tuple{value.S(s), value.S("")}, nil
	}
	return value.Tuple{value.S(s[:dot]), value.S(s[dot:])}, nil
}

func expanduser(c *call) (value.Value, error) {
	s, err := c.input()
	if err != nil || !strings.HasPrefix(s, "~") {
		return value.S(s), err
	}
	name, rest, slash := strings.Cut(s[1:], "/")
	home := os.Getenv("HOME")
	if name != "" || home == "" {
		u, err := user.Lookup(name)
		if name == "" {
			u, err = user.Current()
		}
		if err != nil {
			return value.S(s), nil
		}
		home = u.HomeDir
	}
	home = strings.TrimRight(home, "/")
	if slash {
		return value.S(home + "/" + rest), nil
	}
	if home == "" {
		home = "/"
	}
	return value.S(home), nil
}

func expandvars(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); {
		name, size := variable(s[i:])
		v, ok := os.LookupEnv(name)
		if size == 0 || !ok {
			size = max(size, 1)
			b.WriteString(s[i : i+size])
		} else {
			b.WriteString(v)
		}
		i += size
	}
	return b.String()
}

// variable recognises $name and ${name} at the start of s; size is 0 when it is neither.
func variable(s string) (name string, size int) {
	if len(s) < 2 || s[0] != '$' {
		return "", 0
	}
	if s[1] == '{' {
		end := strings.IndexByte(s, '}')
		if end < 0 {
			return "", 0
		}
		return s[2:end], end + 1
	}
	n := 1
	for n < len(s) && (s[n] == '_' || s[n] >= '0' && s[n] <= '9' || s[n]|0x20 >= 'a' && s[n]|0x20 <= 'z') {
		n++
	}
	if n == 1 {
		return "", 0
	}
	return s[1:n], n
}

func joinPath(path string, parts ...string) string {
	for _, p := range parts {
		switch {
		case strings.HasPrefix(p, "/"):
			path = p
		case path == "" || strings.HasSuffix(path, "/"):
			path += p
		default:
			path += "/" + p
		}
	}
	return path
}

func pathJoin(c *call) (value.Value, error) {
	if s, ok := asStr(c.in); ok {
		return value.S(s), nil
	}
	if !isSequence(c.in) {
		return nil, typeErr("|path_join expects string or sequence, got %s instead.", typeName(c.in))
	}
	parts, err := pathList(c)
	if err != nil {
		return nil, err
	}
	if len(parts) == 0 {
		return nil, typeErr("join() missing 1 required positional argument: 'a'")
	}
	return value.S(joinPath(parts[0], parts[1:]...)), nil
}

func pathList(c *call) ([]string, error) {
	if !isSequence(c.in) {
		return nil, typeErr("|%s expects sequence, got %s instead.", c.Name, typeName(c.in))
	}
	items, err := value.Items(c.in)
	if err != nil {
		return nil, err
	}
	parts := make([]string, len(items))
	for i, item := range items {
		s, ok := asStr(item)
		if !ok {
			return nil, typeErr("%s: expected str, bytes or os.PathLike object, not %s", c.Name, item.Type())
		}
		parts[i] = s
	}
	return parts, nil
}

// normpath is posixpath.normpath; two leading slashes stay two.
func normpath(s string) string {
	if s == "" {
		return "."
	}
	clean := filepath.Clean(s)
	if strings.HasPrefix(s, "//") && !strings.HasPrefix(s, "///") {
		return "/" + clean
	}
	return clean
}

func realpath(c *call) (value.Value, error) {
	s, err := c.input()
	if err != nil {
		return nil, err
	}
	if c.truth(0) {
		abs, err := filepath.Abs(s)
		if err != nil {
			return nil, err
		}
		out, err := filepath.EvalSymlinks(abs)
		return value.S(out), err
	}
	return followLinks(s)
}

// followLinks resolves a path as far as it exists. ".." after a link leads to the parent
// of what the link points to, hence the walk part by part.
func followLinks(given string) (value.Value, error) {
	path := "/"
	if !strings.HasPrefix(given, "/") {
		wd, err := os.Getwd()
		if err != nil {
			return nil, err
		}
		path = wd
	}
	parts := strings.Split(given, "/")
	for links := 0; len(parts) > 0; {
		part := parts[0]
		parts = parts[1:]
		switch part {
		case "", ".":
			continue
		case "..":
			path = filepath.Dir(path)
			continue
		}
		next := filepath.Join(path, part)
		target, err := os.Readlink(next)
		if links++; err != nil || links > 255 {
			path = next
			continue
		}
		if strings.HasPrefix(target, "/") {
			path = "/"
		}
		parts = append(strings.Split(target, "/"), parts...)
	}
	return value.S(path), nil
}

func relpath(c *call) (value.Value, error) {
	s, err := c.input()
	if err != nil {
		return nil, err
	}
	start, err := c.str(0)
	if err != nil {
		return nil, err
	}
	if s == "" {
		return nil, valueErr("no path specified")
	}
	from, err := filepath.Abs(start)
	if err != nil {
		return nil, err
	}
	to, err := filepath.Abs(s)
	if err != nil {
		return nil, err
	}
	rel, err := filepath.Rel(from, to)
	return value.S(rel), err
}

func commonpath(c *call) (value.Value, error) {
	paths, err := pathList(c)
	if err != nil {
		return nil, err
	}
	if len(paths) == 0 {
		return nil, valueErr("commonpath() arg is an empty sequence")
	}
	abs := strings.HasPrefix(paths[0], "/")
	var common []string
	for i, p := range paths {
		if strings.HasPrefix(p, "/") != abs {
			return nil, valueErr("can't mix absolute and relative paths")
		}
		parts := slices.DeleteFunc(strings.Split(p, "/"), func(s string) bool { return s == "" || s == "." })
		if i == 0 {
			common = parts
			continue
		}
		n := 0
		for n < min(len(common), len(parts)) && common[n] == parts[n] {
			n++
		}
		common = common[:n]
	}
	root := ""
	if abs {
		root = "/"
	}
	return value.S(root + strings.Join(common, "/")), nil
}

func fileglob(c *call) (value.Value, error) {
	pattern, err := c.input()
	if err != nil {
		return nil, err
	}
	names, err := globPath(pattern)
	if err != nil {
		return nil, err
	}
	files := []string{}
	for _, name := range names {
		if info, err := os.Stat(name); err == nil && info.Mode().IsRegular() {
			files = append(files, name)
		}
	}
	slices.Sort(files)
	return strs(files), nil
}

// globPath is Python's glob.glob without "**": names with a leading dot match only a
// pattern with one, [!x] negates, a backslash is itself.
func globPath(pattern string) ([]string, error) {
	dir, base := "", pattern
	if i := strings.LastIndexByte(pattern, '/'); i >= 0 {
		dir, base = pattern[:i+1], pattern[i+1:]
	}
	dirs := []string{dir}
	if strings.ContainsAny(dir, "*?[") {
		parents, err := globPath(strings.TrimRight(dir, "/"))
		if err != nil {
			return nil, err
		}
		dirs = dirs[:0]
		for _, p := range parents {
			dirs = append(dirs, p+"/")
		}
	}
	if !strings.ContainsAny(base, "*?[") {
		for i := range dirs {
			dirs[i] += base
		}
		return slices.DeleteFunc(dirs, func(p string) bool {
			_, err := os.Lstat(p)
			return err != nil
		}), nil
	}
	re, err := pyre.Compile(fnmatch(base), pyre.DotAll)
	if err != nil {
		return nil, err
	}
	var found []string
	for _, d := range dirs {
		entries, _ := os.ReadDir(joinPath(d, "")) // what cannot be read has no matches
		if d == "" {
			entries, _ = os.ReadDir(".")
		}
		for _, e := range entries {
			if strings.HasPrefix(e.Name(), ".") && !strings.HasPrefix(base, ".") {
				continue
			}
			m, err := re.FullMatch(e.Name())
			if err != nil {
				return nil, err
			}
			if m != nil {
				found = append(found, d+e.Name())
			}
		}
	}
	return found, nil
}

// fnmatch translates a shell pattern of one path component.
func fnmatch(pattern string) string {
	var b strings.Builder
	for i := 0; i < len(pattern); i++ {
		switch pattern[i] {
		case '*':
			b.WriteString(".*")
		case '?':
			b.WriteByte('.')
		case '[':
			j := i + 1
			if j < len(pattern) && pattern[j] == '!' {
				j++
			}
			if j < len(pattern) && pattern[j] == ']' {
				j++
			}
			end := strings.IndexByte(pattern[min(j, len(pattern)):], ']')
			if end < 0 {
				b.WriteString(`\[`)
				continue
			}
			set := strings.ReplaceAll(pattern[i+1:j+end], `\`, `\\`)
			if strings.HasPrefix(set, "!") {
				set = "^" + set[1:]
			} else if strings.HasPrefix(set, "^") {
				set = `\` + set
			}
			b.WriteString("[" + set + "]")
			i = j + end
		default:
			b.WriteString(pyre.Escape(pattern[i : i+1]))
		}
	}
	return b.String()
}

// winDrive is ntpath.splitdrive.
func winDrive(p string) (drive, rest string) {
	norm := strings.ReplaceAll(p, "/", `\`)
	if len(p) >= 2 && norm[:2] == `\\` {
		start := 2
		if len(p) >= 8 && strings.ToUpper(norm[:8]) == `\\?\UNC\` {
			start = 8
		}
		host := strings.IndexByte(norm[start:], '\\')
		if host < 0 {
			return p, ""
		}
		host += start
		share := strings.IndexByte(norm[host+1:], '\\')
		if share < 0 {
			return p, ""
		}
		share += host + 1
		return p[:share], p[share:]
	}
	if len(p) >= 2 && p[1] == ':' {
		return p[:2], p[2:]
	}
	return "", p
}

// winSplit is ntpath.split: the folder and the last part.
func winSplit(p string) [2]string {
	drive, rest := winDrive(p)
	i := strings.LastIndexAny(rest, `/\`) + 1
	head, tail := rest[:i], rest[i:]
	if trimmed := strings.TrimRight(head, `/\`); trimmed != "" {
		head = trimmed
	}
	return [2]string{drive + head, tail}
}

func winSplitdrive(c *call) (value.Value, error) {
	s, err := c.input()
	if err != nil {
		return nil, err
	}
	drive, rest := winDrive(s)
	return value.Tuple{value.S(drive), value.S(rest)}, nil
}
