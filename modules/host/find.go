package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"orch/modules"
	"orch/playbook/pyre"
)

// Find lists files by name, age, size, content or permissions.
type Find struct {
	// Folders to look in.
	Paths []string `orch:"required,path,alias=name|path"`
	// Names to take: globs, or regular expressions with use_regex. All by default.
	Patterns []string `orch:"alias=pattern"`
	// Names to leave out, in the same way.
	Excludes []string `orch:"alias=exclude"`
	// Take only files with a line that matches this at its beginning.
	Contains *string
	// Match contains anywhere in the whole file.
	ReadWholeFile bool
	// What to take.
	FileType string `orch:"enum=any|directory|file|link,default=file"`
	// At least this old, or with a minus at most: a number and s, m, h, d or w.
	Age *string
	// Which time age is about.
	AgeStamp string `orch:"enum=atime|ctime|mtime,default=mtime"`
	// At least this big, or with a minus at most: a number and b, k, m, g or t.
	Size *string
	// Look in folders inside too.
	Recurse bool
	// Take names that begin with a dot.
	Hidden bool
	// Follow links to folders.
	Follow bool
	// Compute checksums.
	GetChecksum bool
	// Algorithm of the checksums.
	ChecksumAlgorithm string `orch:"enum=md5|sha1|sha224|sha256|sha384|sha512,default=sha1,alias=checksum|checksum_algo"`
	// Patterns are Python's regular expressions.
	UseRegex bool
	// How deep to look, with recurse.
	Depth *int
	// Permissions to have: octal or symbolic.
	Mode modules.Mode
	// The permissions exactly, not only some of them.
	ExactMode bool `orch:"default=true"`
	// Encoding of the files contains reads; beyond utf-8 and latin-1 the host's iconv must know it.
	Encoding string
	// Stop after this many.
	Limit *int
}

// Validate implements modules.Validator.
func (f *Find) Validate() error {
	switch {
	case f.Limit != nil && *f.Limit <= 0:
		return fmt.Errorf("limit cannot be %d (use None for unlimited)", *f.Limit)
	case f.Age != nil && !amount().MatchString(strings.ToLower(*f.Age)):
		return errors.New("failed to process age")
	case f.Size != nil && !amount().MatchString(strings.ToLower(*f.Size)):
		return errors.New("failed to process size")
	}
	return nil
}

// FindOut is the result of find.
type FindOut struct {
	Files        []FoundFile       `json:"files"`
	Matched      int               `json:"matched"`
	Examined     int               `json:"examined"`
	Msg          string            `json:"msg"`
	SkippedPaths map[string]string `json:"skipped_paths"`
}

// A FoundFile is a file find found.
type FoundFile struct {
	Path string `json:"path"`
	FileFacts
	Checksum string `json:"checksum,omitempty"`
}

var amount = lazy(`^(-?\d+)([smhdwbkgt])?$`)

// amountOf reads a number with a unit.
func amountOf(text *string, units map[string]int64) (int64, bool) {
	if text == nil {
		return 0, false
	}
	m := amount().FindStringSubmatch(strings.ToLower(*text))
	if m == nil {
		return 0, false
	}
	n, _ := strconv.ParseInt(m[1], 10, 64)
	if unit := units[m[2]]; unit > 0 {
		n *= unit
	}
	return n, true
}

type finder struct {
	*Find
	v          modules.View
	names, not []*pyre.Regexp
	contains   *pyre.Regexp
	age, size  int64
	hasAge     bool
	hasSize    bool
	now        time.Time
	out        *FindOut
}

// Plan implements modules.Module.
func (f *Find) Plan(ctx context.Context, v modules.View) (plan, error) {
	f = clone(f)
	f.Paths = slices.Clone(f.Paths)
	out := &FindOut{Files: []FoundFile{}, SkippedPaths: map[string]string{}, Msg: "All paths examined"}
	p := plan{Out: out}
	w := &finder{Find: f, v: v, now: time.Now(), out: out}
	if err := w.compile(); err != nil {
		return p, err
	}
	w.age, w.hasAge = amountOf(f.Age, map[string]int64{"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800})
	w.size, w.hasSize = amountOf(f.Size, map[string]int64{"b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40})
	for i := range f.Paths {
		if err := expand(ctx, v, &f.Paths[i]); err != nil {
			return p, err
		}
		root := f.Paths[i]
		fi, err := stat(ctx, v, root)
		if err != nil || fi == nil || !fi.Mode.IsDir() {
			out.SkippedPaths[root] = fmt.Sprintf("'%s' is not a directory", root)
			p.Warnings = append(p.Warnings, fmt.Sprintf("Skipped '%s' path due to this access issue: '%s' is not a directory\n", root, root))
			out.Msg = "Not all paths examined, check warnings for details"
			continue
		}
		err = w.walk(ctx, path.Clean(root), 1, nil)
		var skip *unreadable
		switch {
		case errors.As(err, &skip):
			out.SkippedPaths[root] = skip.msg
			p.Warnings = append(p.Warnings, fmt.Sprintf("Skipped '%s' path due to this access issue: %s\n", root, skip.msg))
			out.Msg = "Not all paths examined, check warnings for details"
		case err != nil:
			return p, err
		}
	}
	out.Matched = len(out.Files)
	if f.Limit != nil && out.Matched == *f.Limit {
		out.Msg = "Limit of matches reached"
	}
	return p, nil
}

// Regexps implements modules.TextMatcher.
func (f *Find) Regexps() []*string {
	var out []*string
	if f.UseRegex {
		for _, list := range [][]string{f.Patterns, f.Excludes} {
			for i := range list {
				out = append(out, &list[i])
			}
		}
	}
	if f.Contains != nil {
		out = append(out, f.Contains)
	}
	return out
}

func (w *finder) compile() (err error) {
	one := func(pattern string) *pyre.Regexp {
		re, e := pyre.Compile(pattern, 0)
		if e != nil && err == nil {
			err = modules.Failf("invalid regular expression %q: %s", pattern, e)
		}
		return re
	}
	if w.UseRegex {
		for _, p := range w.Patterns {
			w.names = append(w.names, one(p))
		}
		for _, p := range w.Excludes {
			w.not = append(w.not, one(p))
		}
	}
	if w.Contains != nil {
		w.contains = one(*w.Contains)
	}
	return err
}

func (w *finder) full() bool { return w.Limit != nil && len(w.out.Files) >= *w.Limit }

// walk looks at a folder: its files first, then its folders, as os.walk does.
func (w *finder) walk(ctx context.Context, dir string, depth int, parents [][2]uint64) error {
	entries, err := w.v.ReadDir(ctx, dir)
	if errors.Is(err, fs.ErrPermission) {
		w.out.SkippedPaths[dir] = err.Error()
		return nil
	}
	if err != nil {
		return fileFailure(err)
	}
	w.out.Examined += len(entries)
	var dirs []modules.FileInfo
	for _, e := range entries {
		if e.Mode.IsDir() || e.Mode&fs.ModeSymlink != 0 && w.linkToDir(ctx, path.Join(dir, e.Name)) {
			dirs = append(dirs, e)
			continue
		}
		if err := w.take(ctx, path.Join(dir, e.Name), e, depth); err != nil || w.full() {
			return err
		}
	}
	for _, e := range dirs {
		if err := w.take(ctx, path.Join(dir, e.Name), e, depth); err != nil || w.full() {
			return err
		}
	}
	// As in Ansible, what is just below the depth is still looked at, and counted.
	if !w.Recurse || w.Depth != nil && *w.Depth > 0 && depth > *w.Depth {
		return nil
	}
	for _, e := range dirs {
		at := path.Join(dir, e.Name)
		here := parents
		if e.Mode&fs.ModeSymlink != 0 {
			if !w.Follow {
				continue
			}
			fi, err := stat(ctx, w.v, at)
			if err != nil || fi == nil || slices.Contains(parents, [2]uint64{fi.Dev, fi.Inode}) {
				continue // a loop of links
			}
			here = append(slices.Clone(parents), [2]uint64{fi.Dev, fi.Inode})
		}
		if err := w.walk(ctx, at, depth+1, here); err != nil || w.full() {
			return err
		}
	}
	return nil
}

func (w *finder) linkToDir(ctx context.Context, p string) bool {
	fi, err := stat(ctx, w.v, p)
	return err == nil && fi != nil && fi.Mode.IsDir()
}

// take adds a file if everything asked for holds.
func (w *finder) take(ctx context.Context, p string, e modules.FileInfo, depth int) error {
	if w.Depth != nil && *w.Depth > 0 && depth > *w.Depth || !w.Hidden && strings.HasPrefix(e.Name, ".") {
		return nil
	}
	kind := map[bool]string{true: "directory"}[e.Mode.IsDir()]
	switch {
	case e.Mode&fs.ModeSymlink != 0:
		kind = "link"
	case e.Mode.IsRegular():
		kind = "file"
	}
	if w.FileType != "any" && w.FileType != kind {
		return nil
	}
	ok, err := w.named(e.Name)
	if err != nil || !ok || !w.aged(e) || e.Mode.IsRegular() && !w.sized(e) {
		return err
	}
	if ok, err = w.permitted(e); err != nil || !ok {
		return err
	}
	if w.contains != nil && w.FileType == "file" {
		if ok, err = w.holds(ctx, p); err != nil || !ok {
			return err
		}
	}
	f := FoundFile{Path: p, FileFacts: fileFacts(&e)}
	f.names(ctx, w.v)
	if w.GetChecksum && e.Mode.IsRegular() {
		if f.Checksum, err = w.v.Checksum(ctx, p, w.ChecksumAlgorithm); err != nil && !errors.Is(err, fs.ErrPermission) {
			return fileFailure(err)
		}
	}
	w.out.Files = append(w.out.Files, f)
	return nil
}

func (w *finder) named(name string) (bool, error) {
	match := func(res []*pyre.Regexp, globs []string) (bool, error) {
		if !w.UseRegex {
			return slices.ContainsFunc(globs, func(g string) bool { return fnmatch(g, name) }), nil
		}
		for _, re := range res {
			m, err := re.Match(name)
			if err != nil {
				return false, modules.Failf("%s", err)
			}
			if m != nil {
				return true, nil
			}
		}
		return false, nil
	}
	if len(w.Patterns) > 0 {
		if ok, err := match(w.names, w.Patterns); err != nil || !ok {
			return false, err
		}
	}
	out, err := match(w.not, w.Excludes)
	return !out, err
}

func (w *finder) aged(e modules.FileInfo) bool {
	if !w.hasAge {
		return true
	}
	at := map[string]time.Time{"atime": e.Atime, "ctime": e.Ctime, "mtime": e.Mtime}[w.AgeStamp]
	old := w.now.Sub(at).Seconds()
	if w.age >= 0 {
		return old >= float64(w.age)
	}
	return old <= float64(-w.age)
}

func (w *finder) sized(e modules.FileInfo) bool {
	switch {
	case !w.hasSize:
		return true
	case w.size >= 0:
		return e.Size >= w.size
	}
	return e.Size <= -w.size
}

func (w *finder) permitted(e modules.FileInfo) (bool, error) {
	if w.Mode == "" {
		return true, nil
	}
	want, err := w.Mode.Apply(0, 0)
	if err != nil {
		return false, modules.Failf("%s", err)
	}
	have, bits := modules.UnixMode(e.Mode), modules.UnixMode(want)
	if w.ExactMode {
		return have == bits, nil
	}
	return have&bits != 0, nil
}

// An unreadable ends the search of a folder: the encoding of a file in it is not the one
// that was given.
type unreadable struct{ msg string }

// Error implements error.
func (u *unreadable) Error() string { return u.msg }

// decode reads a file's text. What is neither UTF-8 nor Latin-1 is left to iconv(1).
func (w *finder) decode(ctx context.Context, p string) (string, error) {
	encoding := w.Encoding
	if encoding == "" {
		encoding = `None (default determined by the Python built-in function "open")`
	}
	bad := &unreadable{fmt.Sprintf("Failed to read the file %s due to an encoding error. current encoding: %s", p, encoding)}
	switch strings.ReplaceAll(strings.ToLower(w.Encoding), "_", "-") {
	case "", "utf-8", "utf8", "ascii", "us-ascii":
		data, err := w.v.ReadFile(ctx, p)
		if err == nil && !utf8.Valid(data) {
			return "", bad
		}
		return string(data), err
	case "latin-1", "latin1", "iso-8859-1":
		data, err := w.v.ReadFile(ctx, p)
		text := make([]rune, len(data))
		for i, c := range data {
			text[i] = rune(c)
		}
		return string(text), err
	}
	o, err := w.v.Query(ctx, "iconv", "-f", w.Encoding, "-t", "UTF-8", p)
	switch {
	case err != nil:
		return "", modules.Failf("encoding %q needs iconv on the host: %s", w.Encoding, err)
	case o.RC != 0 && (strings.Contains(o.Stderr, "not supported") || strings.Contains(o.Stderr, "failed to start conversion")):
		return "", &unreadable{"unknown encoding: " + w.Encoding}
	case o.RC != 0:
		return "", bad
	}
	return o.Stdout, nil
}

// holds reads a file for contains; one that may not be read does not hold it.
func (w *finder) holds(ctx context.Context, p string) (bool, error) {
	text, err := w.decode(ctx, p)
	var skip *unreadable
	var fail *modules.Failure
	switch {
	case errors.As(err, &skip), errors.As(err, &fail):
		return false, err
	case err != nil:
		return false, nil
	}
	if w.ReadWholeFile {
		m, err := search(w.contains, text)
		return m != nil, err
	}
	for _, line := range splitLines([]byte(text)) {
		m, err := w.contains.Match(line)
		if err != nil {
			return false, modules.Failf("%s", err)
		}
		if m != nil {
			return true, nil
		}
	}
	return false, nil
}

// lazy compiles an expression when it is first used: most runs need few of them.
func lazy(expr string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expr) })
}
