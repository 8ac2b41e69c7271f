package template

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Candidates lists where an author's file may be, in order: in each folder of the search
// path first below kind ("files", "templates", "vars", "tasks"), then in the folder
// itself; last the playbook's folder (ansible-core 2.18: path_dwim_relative_stack).
func (s *Site) Candidates(kind, name string) []string {
	if name == "~" || strings.HasPrefix(name, "~/") {
		if home, err := os.UserHomeDir(); err == nil {
			return []string{filepath.Join(home, name[1:])}
		}
	}
	if filepath.IsAbs(name) {
		return []string{filepath.Clean(name)}
	}
	var out []string
	add := func(parts ...string) {
		out = append(out, filepath.Join(parts...)) // twice too: ansible-core lists them so
	}
	first, _, _ := strings.Cut(name, "/")
	for _, dir := range s.SearchPath {
		// A file included from a sub-folder of a role's tasks looks beside tasks too.
		if parent := filepath.Dir(dir); filepath.Base(parent) == "tasks" {
			add(filepath.Dir(parent), kind, name)
			add(parent, name)
		}
		if first != kind {
			add(dir, kind, name)
		}
		add(dir, name)
	}
	if s.Basedir != "" {
		if first != kind {
			add(s.Basedir, kind, name)
		}
		add(s.Basedir, name)
	}
	return out
}

// Find returns the first candidate that exists. A *NotFoundError lists the places looked
// at.
func (s *Site) Find(kind, name string) (string, error) {
	candidates := s.Candidates(kind, name)
	for _, path := range candidates {
		if _, err := os.Stat(path); err == nil {
			return path, nil
		} else if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrInvalid) {
			// A folder on the way that is a file, or may not be read, holds nothing for us.
			continue
		}
	}
	return "", &NotFoundError{Name: name, Searched: candidates}
}

// A NotFoundError says that an author's file is in none of the places it may be.
type NotFoundError struct {
	Name     string
	Searched []string
}

// Error implements error.
func (e *NotFoundError) Error() string {
	var places []string
	for _, path := range e.Searched {
		if !slices.Contains(places, path) {
			places = append(places, path)
		}
	}
	return fmt.Sprintf("could not find %q\nsearched in:\n\t%s", e.Name, strings.Join(places, "\n\t"))
}

// Unwrap makes the error one of a missing file.
func (e *NotFoundError) Unwrap() error { return fs.ErrNotExist }

// path makes a relative name one below the playbook's folder, and expands ~.
func (s *Site) path(name string) string {
	if name == "~" || strings.HasPrefix(name, "~/") {
		if home, err := os.UserHomeDir(); err == nil {
			return filepath.Join(home, name[1:])
		}
	}
	if filepath.IsAbs(name) {
		return filepath.Clean(name)
	}
	return filepath.Join(s.Basedir, name)
}

// readFile reads an author's file, decrypted if it is vault text.
func (s *Site) readFile(path string) ([]byte, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if !isVault(text) {
		return text, nil
	}
	if s.OpenVault == nil {
		return nil, fmt.Errorf("%s: encrypted by vault, and no vault password was given", path)
	}
	return s.OpenVault(text)
}

func isVault(text []byte) bool {
	return strings.HasPrefix(string(text[:min(len(text), 16)]), "$ANSIBLE_VAULT")
}

func (s *Site) warn(msg string) {
	if s.Warn != nil {
		s.Warn(msg)
	}
}
