package vars

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"orch/playbook"
	"orch/playbook/jinja/value"
	"orch/playbook/source"
	"orch/playbook/template"
	"orch/playbook/vault"
)

// A Reader is how files of variables are read.
type Reader interface {
	ReadFile(name string) ([]byte, error)
	ReadDir(name string) ([]fs.DirEntry, error)
	Stat(name string) (fs.FileInfo, error)
}

// Disk reads this machine's files.
type Disk struct{}

// ReadFile implements Reader.
func (Disk) ReadFile(name string) ([]byte, error) { return os.ReadFile(name) }

// ReadDir implements Reader.
func (Disk) ReadDir(name string) ([]fs.DirEntry, error) { return os.ReadDir(name) }

// Stat implements Reader.
func (Disk) Stat(name string) (fs.FileInfo, error) { return os.Stat(name) }

// Files reads files of variables: group_vars, host_vars, vars_files. Each is read when
// first needed and once.
type Files struct {
	// Reader is where files are; nil: this machine.
	Reader Reader
	// Open decrypts a file that is vault text; nil: there are no passwords.
	Open func(text []byte) ([]byte, error)
	// Extensions of files of variables; nil for Ansible's .yml, .yaml and .json.
	Extensions []string
	// Warn reports a remark; may be nil.
	Warn func(msg string)

	cache sync.Map // fileKey or string → any of fileResult, []string
}

type fileResult struct {
	once sync.Once
	vars []*value.Dict
	err  error
}

func (f *Files) reader() Reader {
	if f.Reader == nil {
		return Disk{}
	}
	return f.Reader
}

var defaultExtensions = []string{".yml", ".yaml", ".json"}

func (f *Files) extensions() []string {
	if f.Extensions == nil {
		return defaultExtensions
	}
	return f.Extensions
}

// Load reads one file: a dict of variables, or a list of them, lowest first. An empty
// file holds none. An error that is fs.ErrNotExist says that there is no such file.
func (f *Files) Load(path string) ([]*value.Dict, error) {
	got, _ := f.cache.LoadOrStore(path, &fileResult{})
	r := got.(*fileResult)
	r.once.Do(func() { r.vars, r.err = f.load(path) })
	return r.vars, r.err
}

// A ShapeError says that a file holds something else than variables.
type ShapeError struct {
	Path string
	Type string // what it holds, as Python names it
}

// Error implements error.
func (e *ShapeError) Error() string {
	return fmt.Sprintf("%s: variable files must contain either a dictionary of variables, or a list of dictionaries, not %s", e.Path, e.Type)
}

// Read is Load for a file that a run may have changed since, and says whether the file
// was encrypted.
func (f *Files) Read(path string) (vars []*value.Dict, sealed bool, err error) {
	text, err := f.reader().ReadFile(path)
	if err != nil {
		return nil, false, fmt.Errorf("read variables: %w", err)
	}
	sealed = vault.Is(text)
	vars, err = f.parse(path, text)
	return vars, sealed, err
}

func (f *Files) load(path string) ([]*value.Dict, error) {
	text, err := f.reader().ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read variables: %w", err)
	}
	return f.parse(path, text)
}

func (f *Files) parse(path string, text []byte) ([]*value.Dict, error) {
	if vault.Is(text) {
		if f.Open == nil {
			return nil, fmt.Errorf("%s: attempting to decrypt but no vault secrets found", path)
		}
		var err error
		if text, err = f.Open(text); err != nil {
			return nil, source.Diagnostics{playbook.Undecrypted(path, source.Pos{File: path, Line: 1, Col: 1}, err.Error())}
		}
	}
	node, diags := source.ParseOne(path, text)
	if err := diags.Err(); err != nil {
		return nil, err
	}
	for _, d := range diags {
		if f.Warn != nil {
			f.Warn(d.String())
		}
	}
	v := node.Value(source.Author)
	items := []value.Value{v}
	switch v := v.(type) {
	case value.None:
		return nil, nil
	case *value.List:
		items = v.Items
	}
	var out []*value.Dict
	for _, item := range items {
		d, ok := item.(*value.Dict)
		if !ok {
			return nil, &ShapeError{Path: path, Type: item.Type()}
		}
		out = append(out, d)
	}
	return out, nil
}

type dirKey struct{ dir, kind, name string }

// find lists the files of a host or group in dir/kind, in the order they are merged:
// those of a folder of that name first, then the first file found without or with one of
// the extensions (ansible-core 2.18: DataLoader.find_vars_files).
func (f *Files) find(dir, kind, name string) ([]string, error) {
	k := dirKey{dir, kind, name}
	if got, ok := f.cache.Load(k); ok {
		return got.([]string), nil
	}
	var found []string
	parent := filepath.Join(dir, kind)
	if f.isDir(dirKey{dir: dir, kind: kind}, parent) {
		base := filepath.Join(parent, name)
		for _, ext := range append([]string{""}, f.extensions()...) {
			info, err := f.reader().Stat(base + ext)
			if err != nil {
				continue
			}
			if !info.IsDir() {
				found = append(found, base+ext)
				break
			}
			files, err := f.folder(base + ext)
			if err != nil {
				return nil, err
			}
			found = append(found, files...)
		}
	}
	f.cache.Store(k, found)
	return found, nil
}

// isDir remembers whether there is a folder group_vars or host_vars at all.
func (f *Files) isDir(k dirKey, path string) bool {
	if got, ok := f.cache.Load(k); ok {
		return got.(bool)
	}
	info, err := f.reader().Stat(path)
	is := err == nil && info.IsDir()
	if err == nil && !is && f.Warn != nil {
		f.Warn(fmt.Sprintf("found %s that is not a directory, skipping: %s", k.kind, path))
	}
	f.cache.Store(k, is)
	return is
}

func (f *Files) folder(dir string) ([]string, error) {
	entries, err := f.reader().ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("read folder of variables: %w", err)
	}
	var out []string
	for _, e := range entries {
		name := e.Name()
		if strings.HasPrefix(name, ".") || strings.HasSuffix(name, "~") {
			continue
		}
		path, ext := filepath.Join(dir, name), filepath.Ext(name)
		info, err := f.reader().Stat(path) // follows links
		if err != nil {
			continue
		}
		switch {
		case info.IsDir() && ext == "":
			more, err := f.folder(path)
			if err != nil {
				return nil, err
			}
			out = append(out, more...)
		case info.Mode().IsRegular() && (ext == "" || slices.Contains(f.extensions(), ext)):
			out = append(out, path)
		}
	}
	return out, nil
}

// entity returns the layers of a host or group in dir/kind, lowest first.
func (f *Files) entity(r *Run, level Level, dir, kind, name string) ([]*layer, error) {
	// A host that is named after a folder (a chroot) has no file of its own.
	if f == nil || name == "" || name[0] == filepath.Separator {
		return nil, nil
	}
	files, err := f.find(dir, kind, name)
	if err != nil {
		return nil, err
	}
	var out []*layer
	for _, file := range files {
		vars, err := f.Load(file)
		if err != nil {
			return nil, err
		}
		for _, v := range vars {
			out = push(out, r.layer(level, file, v))
		}
	}
	return out, nil
}

// sourceDir is the folder of an inventory source; false for a list of hosts.
func (f *Files) sourceDir(src string) (string, bool) {
	if f == nil || src == "" {
		return "", false
	}
	info, err := f.reader().Stat(src)
	if err != nil && strings.Contains(src, ",") {
		return "", false
	}
	dir := src
	if err != nil || !info.IsDir() {
		dir = filepath.Dir(src)
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return dir, true
	}
	return abs, true
}

// varsFiles are a play's vars_files as a host sees them: their names may be templates
// over its facts, so they are found again when those change.
type varsFiles struct {
	generation int64
	factsGen   int
	layers     []*layer // highest first
}

// CheckFiles reads the play's vars_files as far as they can be named without a host: what
// is wrong with one is found before a task runs.
func (p *Play) CheckFiles(ctx context.Context) error {
	_, err := p.varsFiles(p.Eval(ctx, nil))
	return err
}

func (p *Play) varsFiles(s *Scope) ([]*layer, error) {
	if len(p.src.VarsFiles) == 0 || p.run.opt.Files == nil {
		return nil, nil
	}
	generation, factsGen := p.run.generation.Load(), 0
	if s.host != nil {
		factsGen = s.state.factsGen
		if got := s.host.files.Load(); got != nil && got.generation == generation && got.factsGen == factsGen {
			return got.layers, nil
		}
	}
	sub := &Scope{
		ctx: s.ctx, run: s.run, play: p, task: s.task, host: s.host, state: s.state, top: s.top, partial: true,
	}
	for _, item := range p.src.VarsFiles {
		sub.memo = nil // an earlier file may define what an earlier name could not use
		more, err := p.varsFile(item, sub)
		if err != nil {
			return nil, err
		}
		for _, l := range more {
			sub.files = append([]*layer{l}, sub.files...)
		}
	}
	if s.host != nil {
		s.host.files.Store(&varsFiles{generation, factsGen, sub.files})
	}
	return sub.files, nil
}

// varsFile reads one entry of vars_files: a name, or a list of which the first that
// exists is read. An entry whose name needs a variable that is not there (facts that are
// not gathered yet) is skipped; so is one whose files do not exist, as in
// ansible-core 2.18.
func (p *Play) varsFile(item value.Value, s *Scope) ([]*layer, error) {
	names := []value.Value{item}
	if list, ok := item.(*value.List); ok {
		names = list.Items
	}
	for _, raw := range names {
		v, err := p.run.opt.Templater.Value(s.ctx, raw, s)
		if err != nil {
			if template.IsUndefined(err) != nil && (s.host == nil || s.state.facts.len() == 0) {
				return nil, nil
			}
			return nil, err
		}
		name, ok := v.(value.Str)
		if !ok {
			if _, unknown := v.(value.Unknown); unknown {
				return nil, nil
			}
			return nil, fmt.Errorf("vars_files entries must be names of files, not %s", v.Type())
		}
		layers, err := p.readVarsFile(name.S)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		return layers, err
	}
	return nil, nil
}

// CheckVarsFiles reads the vars_files whose names are no templates, and returns what is
// wrong with each; one whose file does not exist is an fs.ErrNotExist.
func (p *Play) CheckVarsFiles() []VarsFileError {
	var out []VarsFileError
	for _, item := range p.src.VarsFiles {
		names := []value.Value{item}
		if list, ok := item.(*value.List); ok {
			names = list.Items
		}
		var last error
		var pos source.Pos
		for _, raw := range names {
			name, ok := raw.(value.Str)
			if !ok || strings.Contains(name.S, "{{") || strings.Contains(name.S, "{%") {
				last = nil
				break // what is found depends on variables
			}
			if name.From != nil {
				pos = *name.From
			}
			if _, last = p.readVarsFile(name.S); !errors.Is(last, fs.ErrNotExist) {
				break
			}
		}
		if last != nil {
			out = append(out, VarsFileError{pos, last})
		}
	}
	return out
}

// A VarsFileError says what is wrong with an entry of vars_files.
type VarsFileError struct {
	Pos source.Pos
	Err error
}

func (p *Play) readVarsFile(name string) ([]*layer, error) {
	path, err := p.findVarsFile(name)
	if err != nil {
		return nil, err
	}
	vars, err := p.run.opt.Files.Load(path)
	if err != nil {
		return nil, err
	}
	var out []*layer
	for _, v := range vars {
		out = push(out, p.run.layer(PlayVarsFiles, path, v))
	}
	return out, nil
}

func (p *Play) findVarsFile(name string) (string, error) {
	dirs := []string{p.opt.Basedir}
	if p.src.File != "" {
		dirs = []string{filepath.Dir(p.src.File), p.opt.Basedir}
	}
	var candidates []string
	if filepath.IsAbs(name) {
		candidates = []string{name}
	} else {
		for _, dir := range dirs {
			if first, _, _ := strings.Cut(name, "/"); first != "vars" {
				candidates = append(candidates, filepath.Join(dir, "vars", name))
			}
			candidates = append(candidates, filepath.Join(dir, name))
		}
	}
	for _, path := range candidates {
		if _, err := p.run.opt.Files.reader().Stat(path); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("vars_files %q: %w", name, fs.ErrNotExist)
}
