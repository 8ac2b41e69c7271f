// Package roles knows where roles are: the folders they are looked for in, and the files
// inside one. What stands in those files is read by package playbook.
package roles

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// A Finder looks for roles. The zero Finder knows only the folders beside a playbook.
type Finder struct {
	// Path is roles_path: folders of roles, in order.
	Path []string
	// Collections is collections_path: folders that hold ansible_collections.
	Collections []string
}

// A Search is one question to a Finder.
type Search struct {
	Name string
	// PlaybookDir is the folder of the playbook that asks.
	PlaybookDir string
	// ParentDir is the folder that holds the role that asks (for a dependency, or a role
	// imported from a role); "" if none does.
	ParentDir string
	// Collections are searched for a short name before any folder.
	Collections []string
}

// A Role is a role's place.
type Role struct {
	// Name is the role's name without its collection; of a role given as a path, the
	// last element.
	Name string
	// Path is the role's folder, absolute.
	Path string
	// Collection is "namespace.name" of a role of a collection, else "".
	Collection string
}

// FullName is the name with the collection in front.
func (r Role) FullName() string {
	if r.Collection == "" {
		return r.Name
	}
	return r.Collection + "." + r.Name
}

// Find looks for a role in ansible-core 2.18's order: collections, roles/ beside the
// playbook, roles_path, the folder of the asking role, the playbook's own folder, and last
// the name as a path. searched lists the places looked at, for the message when ok is false.
func (f Finder) Find(s Search) (role Role, searched []string, ok bool) {
	if role, ok := f.inCollections(s); ok {
		return role, nil, true
	}
	for _, c := range s.Collections {
		searched = append(searched, "collection "+c)
	}
	dirs := append([]string{filepath.Join(s.PlaybookDir, "roles")}, f.Path...)
	if s.ParentDir != "" {
		dirs = append(dirs, s.ParentDir)
	}
	dirs = append(dirs, s.PlaybookDir)
	for _, dir := range dirs {
		path := expand(s.Name, dir)
		if exists(path) {
			return Role{Name: s.Name, Path: path}, nil, true
		}
		if !slices.Contains(searched, dir) {
			searched = append(searched, dir)
		}
	}
	if path := expand(s.Name, ""); exists(path) {
		return Role{Name: filepath.Base(s.Name), Path: path}, nil, true
	}
	return Role{}, searched, false
}

// Names lists the roles of the folders a search would look at, for suggestions.
func (f Finder) Names(s Search) []string {
	var names []string
	for _, dir := range append([]string{filepath.Join(s.PlaybookDir, "roles"), s.ParentDir}, f.Path...) {
		if dir == "" {
			continue
		}
		entries, _ := os.ReadDir(dir)
		for _, e := range entries {
			if !strings.HasPrefix(e.Name(), ".") && exists(filepath.Join(dir, e.Name(), "tasks")) {
				names = append(names, e.Name())
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func (f Finder) inCollections(s Search) (Role, bool) {
	collections, name := s.Collections, s.Name
	if parts := strings.Split(s.Name, "."); len(parts) > 2 && !strings.Contains(s.Name, "/") {
		collections = []string{parts[0] + "." + parts[1]}
		name = strings.Join(parts[2:], "/")
	}
	for _, c := range collections {
		ns, coll, ok := strings.Cut(c, ".")
		if !ok {
			continue
		}
		for _, root := range f.roots(s.PlaybookDir) {
			path := filepath.Join(root, "ansible_collections", ns, coll, "roles", name)
			if exists(path) {
				return Role{Name: strings.ReplaceAll(name, "/", "."), Path: path, Collection: c}, true
			}
		}
	}
	return Role{}, false
}

// roots are the folders of collections: those beside the playbook come first.
func (f Finder) roots(playbookDir string) []string {
	roots := []string{filepath.Join(playbookDir, "collections")}
	for _, dir := range f.Collections {
		roots = append(roots, strings.TrimSuffix(strings.TrimSuffix(dir, "/"), "/ansible_collections"))
	}
	return roots
}

// Collection returns the folder of collection "namespace.name"; "" if it is not installed.
func (f Finder) Collection(name, playbookDir string) string {
	ns, coll, ok := strings.Cut(name, ".")
	if !ok {
		return ""
	}
	for _, root := range f.roots(playbookDir) {
		if path := filepath.Join(root, "ansible_collections", ns, coll); exists(path) {
			return path
		}
	}
	return ""
}

// expand makes an absolute, clean path of name in dir.
func expand(name, dir string) string {
	name = os.ExpandEnv(name)
	if name == "~" || strings.HasPrefix(name, "~/") {
		home, _ := os.UserHomeDir()
		name = filepath.Join(home, name[1:])
	}
	if !filepath.IsAbs(name) {
		name = filepath.Join(dir, name)
	}
	if abs, err := filepath.Abs(name); err == nil {
		return abs
	}
	return name
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && !info.IsDir()
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// extensions of a role's files are fixed in ansible-core, whatever the settings say.
var extensions = []string{".yml", ".yaml", ".json"}

// candidates are the names a file may have: main looks for a bare name last, any other
// name is tried as it is first.
func candidates(from string) []string {
	names := make([]string, 0, len(extensions)+1)
	if from != "" {
		names = append(names, from)
	}
	base := cmp.Or(from, "main")
	for _, ext := range extensions {
		names = append(names, base+ext)
	}
	if from == "" {
		names = append(names, "main")
	}
	return names
}

// File finds one of a role's files: sub is "tasks", "handlers", "meta" …, from a name as
// in tasks_from, "" for main. It returns "" when there is none.
func File(role, sub, from string) string {
	for _, name := range candidates(from) {
		if path := within(role, sub, name); isFile(path) {
			return path
		}
	}
	return ""
}

// within is a name in a role's folder; an absolute one stays what it is, so that Inside
// can refuse it.
func within(role, sub, name string) string {
	if filepath.IsAbs(name) {
		return filepath.Clean(name)
	}
	return filepath.Join(role, sub, name)
}

// VarsFiles finds the files of a role's vars or defaults: one file, or all those of a
// folder of that name, to be combined in order.
func VarsFiles(role, sub, from string) []string {
	for _, name := range candidates(from) {
		path := within(role, sub, name)
		switch {
		case isFile(path):
			return []string{path}
		case isDir(path):
			return dirFiles(path)
		}
	}
	return nil
}

// dirFiles lists the variable files below a folder, by name.
func dirFiles(dir string) []string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	var files []string
	for _, e := range entries {
		name := e.Name()
		if strings.HasPrefix(name, ".") || strings.HasSuffix(name, "~") {
			continue
		}
		path, ext := filepath.Join(dir, name), filepath.Ext(name)
		switch {
		case isDir(path):
			if ext == "" {
				files = append(files, dirFiles(path)...)
			}
		case ext == "" || slices.Contains(extensions, ext):
			files = append(files, path)
		}
	}
	return files
}

// Inside reports whether path is below a role's folder sub, so that a name with ".."
// cannot leave it.
func Inside(role, sub, path string) bool {
	rel, err := filepath.Rel(filepath.Join(role, sub), path)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, "../")
}
