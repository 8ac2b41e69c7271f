package host

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"orch/modules"
)

type (
	plan = modules.Plan[modules.Target]
	step = modules.Step[modules.Target]
)

// clone copies a module, for plans that settle its arguments: a module may be planned again.
func clone[T any](m *T) *T {
	c := *m
	return &c
}

// expand makes arguments of type path what they mean on the host: ~, ~user and $NAME are
// replaced, and a relative path starts where the task's commands do.
func expand(ctx context.Context, v modules.View, paths ...*string) error {
	for _, p := range paths {
		if *p == "" || strings.HasPrefix(*p, "/") && !strings.Contains(*p, "$") {
			continue
		}
		text, err := expandText(ctx, v, *p)
		if err != nil {
			return err
		}
		if !strings.HasPrefix(text, "/") {
			dir, err := workDir(ctx, v)
			if err != nil {
				return err
			}
			// path.Join would drop a final slash, and copy and find read one.
			text = strings.TrimSuffix(dir, "/") + "/" + strings.TrimPrefix(text, "./")
		}
		*p = text
	}
	return nil
}

// ExpandPath makes a path what it means on the host; see expand.
func ExpandPath(ctx context.Context, v modules.View, p string) (string, error) {
	err := expand(ctx, v, &p)
	return p, err
}

// expandText is Python's expanduser(expandvars(s)).
func expandText(ctx context.Context, v modules.View, s string) (string, error) {
	if !strings.Contains(s, "$") && !strings.HasPrefix(s, "~") {
		return s, nil
	}
	env, err := v.Env(ctx)
	if err != nil {
		return "", err
	}
	s = expandVars(s, env)
	if !strings.HasPrefix(s, "~") {
		return s, nil
	}
	name, rest, slash := strings.Cut(s[1:], "/")
	home := env["HOME"]
	switch {
	case name != "":
		u, err := v.User(ctx, name)
		if errors.Is(err, fs.ErrNotExist) {
			return s, nil
		}
		if err != nil {
			return "", err
		}
		home = u.Home
	case home == "":
		u, err := v.Whoami(ctx)
		if err != nil {
			return "", err
		}
		home = u.Home
	}
	if !slash {
		return home, nil
	}
	return strings.TrimRight(home, "/") + "/" + rest, nil
}

// expandVars replaces $NAME and ${NAME}; unknown ones stay, as in Python.
func expandVars(s string, env map[string]string) string {
	var b strings.Builder
	for s != "" {
		before, rest, found := strings.Cut(s, "$")
		b.WriteString(before)
		if !found {
			break
		}
		name, after := "", ""
		if strings.HasPrefix(rest, "{") {
			if end := strings.IndexByte(rest, '}'); end > 0 {
				name, after = rest[1:end], rest[end+1:]
			}
		} else {
			end := 0
			for end < len(rest) && (rest[end] == '_' || isAlnum(rest[end])) {
				end++
			}
			name, after = rest[:end], rest[end:]
		}
		val, ok := env[name]
		if name == "" || !ok {
			b.WriteByte('$')
			s = rest
			continue
		}
		b.WriteString(val)
		s = after
	}
	return b.String()
}

func isAlnum(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// workDir is the folder a task's commands start in.
func workDir(ctx context.Context, v modules.View) (string, error) {
	env, err := v.Env(ctx)
	if err != nil {
		return "", err
	}
	if dir := env["PWD"]; strings.HasPrefix(dir, "/") {
		return dir, nil
	}
	me, err := v.Whoami(ctx)
	return me.Home, err
}

// stat is View.Stat with nil for a file that is not there.
func stat(ctx context.Context, v modules.View, p string) (*modules.FileInfo, error) {
	fi, err := v.Stat(ctx, p)
	return orNil(fi, err)
}

// lstat is View.Lstat with nil for a file that is not there.
func lstat(ctx context.Context, v modules.View, p string) (*modules.FileInfo, error) {
	fi, err := v.Lstat(ctx, p)
	return orNil(fi, err)
}

func orNil(fi modules.FileInfo, err error) (*modules.FileInfo, error) {
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fileFailure(err)
	}
	return &fi, nil
}

// fileFailure makes an error of the file system the task's failure; others stay errors
// of the engine.
func fileFailure(err error) error {
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) || errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrExist) {
		return modules.Failf("%s", err)
	}
	return err
}

// readFile reads a file; nil when it is not there.
func readFile(ctx context.Context, v modules.View, p string) ([]byte, error) {
	data, err := v.ReadFile(ctx, p)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fileFailure(err)
	}
	return data, nil
}

// realpath is Python's os.path.realpath: what is not there is taken as written.
func realpath(ctx context.Context, v modules.View, p string) (string, error) {
	done, rest := "/", strings.Split(path.Clean(p), "/")
	for hops := 0; len(rest) > 0; {
		part := rest[0]
		rest = rest[1:]
		switch part {
		case "", ".":
			continue
		case "..":
			done = path.Dir(done)
			continue
		}
		next := path.Join(done, part)
		fi, err := lstat(ctx, v, next)
		if err != nil {
			return "", err
		}
		if fi == nil || fi.Mode&fs.ModeSymlink == 0 || hops > 40 {
			done = next
			continue
		}
		hops++
		target, err := v.Readlink(ctx, next)
		if err != nil {
			return "", fileFailure(err)
		}
		if path.IsAbs(target) {
			done = "/"
		}
		rest = append(strings.Split(target, "/"), rest...)
	}
	return done, nil
}

// glob is Python's glob.glob without **: files whose names begin with a dot need one in
// the pattern. The result is sorted.
func glob(ctx context.Context, v modules.View, pattern string) ([]string, error) {
	found := []string{"/"}
	for part := range strings.SplitSeq(strings.Trim(pattern, "/"), "/") {
		var next []string
		for _, dir := range found {
			if !strings.ContainsAny(part, "*?[") {
				fi, err := lstat(ctx, v, path.Join(dir, part))
				if err == nil && fi != nil {
					next = append(next, path.Join(dir, part))
				}
				continue
			}
			entries, err := v.ReadDir(ctx, dir)
			if err != nil {
				continue // as Python: what cannot be read matches nothing
			}
			for _, e := range entries {
				if fnmatch(part, e.Name) && (e.Name[0] != '.' || part[0] == '.') {
					next = append(next, path.Join(dir, e.Name))
				}
			}
		}
		found = next
	}
	slices.Sort(found)
	return found, nil
}

// fnmatch is Python's fnmatch.fnmatchcase: * crosses everything, [!x] negates.
func fnmatch(pattern, name string) bool {
	for pattern != "" {
		switch c := pattern[0]; {
		case c == '*':
			pattern = strings.TrimLeft(pattern, "*")
			for i := 0; i <= len(name); i++ {
				if fnmatch(pattern, name[i:]) {
					return true
				}
			}
			return false
		case name == "":
			return false
		case c == '[':
			end := strings.IndexByte(pattern[min(2, len(pattern)):], ']')
			if end < 0 {
				if name[0] != '[' {
					return false
				}
				pattern, name = pattern[1:], name[1:]
				continue
			}
			set := pattern[1 : end+2]
			neg := strings.HasPrefix(set, "!")
			if inSet(strings.TrimPrefix(set, "!"), name[0]) == neg {
				return false
			}
			pattern, name = pattern[end+3:], name[1:]
		case c == '?' || c == name[0]:
			pattern, name = pattern[1:], name[1:]
		default:
			return false
		}
	}
	return name == ""
}

func inSet(set string, c byte) bool {
	for i := 0; i < len(set); i++ {
		if i+2 < len(set) && set[i+1] == '-' {
			if set[i] <= c && c <= set[i+2] {
				return true
			}
			i += 2
			continue
		}
		if set[i] == c {
			return true
		}
	}
	return false
}

// umaskOf is the umask of the process the module's files are made by.
func umaskOf(ctx context.Context, v modules.View) int {
	status, err := v.ReadFile(ctx, "/proc/self/status")
	if err == nil {
		for line := range strings.SplitSeq(string(status), "\n") {
			if text, ok := strings.CutPrefix(line, "Umask:"); ok {
				if n, err := strconv.ParseUint(strings.TrimSpace(text), 8, 32); err == nil {
					return int(n)
				}
			}
		}
	}
	return 0o022
}
