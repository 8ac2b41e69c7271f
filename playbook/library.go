package playbook

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// libraries remembers the modules of library folders by name.
type libraries struct {
	mu   sync.Mutex
	dirs map[string]map[string]string
}

// notModules are endings of files that are no modules (ansible-core 2.18:
// REJECT_EXTS and the like).
var notModules = []string{".pyc", ".pyo", ".swp", ".bak", "~", ".rpm", ".md", ".txt", ".rst", ".orig", ".yml", ".yaml", ".json", ".ini", ".toml"}

// libraryFile finds module name in a folder, whatever its extension.
func (l *Loader) libraryFile(dir, name string) string {
	l.libs.mu.Lock()
	defer l.libs.mu.Unlock()
	names, ok := l.libs.dirs[dir]
	if !ok {
		names = map[string]string{}
		readLibrary(names, dir)
		if l.libs.dirs == nil {
			l.libs.dirs = map[string]map[string]string{}
		}
		l.libs.dirs[dir] = names
	}
	return names[name]
}

// readLibrary adds the modules of a folder and of those below it.
func readLibrary(names map[string]string, dir string) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		name, path := e.Name(), filepath.Join(dir, e.Name())
		if strings.HasPrefix(name, ".") || name == "__init__.py" || name == "__pycache__" {
			continue
		}
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			readLibrary(names, path)
			continue
		}
		module := strings.TrimSuffix(name, filepath.Ext(name))
		if rejected(name) || names[module] != "" {
			continue
		}
		names[module] = path
	}
}

func rejected(name string) bool {
	for _, end := range notModules {
		if strings.HasSuffix(name, end) {
			return true
		}
	}
	return false
}
