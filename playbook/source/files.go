package source

import (
	"os"
	"strings"
	"sync"
	"time"
)

// Files reads files and remembers them, so that messages can show their lines. A file
// that has changed on disk is read again. It is safe for concurrent use.
type Files struct {
	mu    sync.Mutex
	known map[string]*file
	// parsed are the paths given to Parse, in order.
	parsed []string
}

type file struct {
	data  []byte
	size  int64
	mtime time.Time
	fixed bool // given by Add
	hide  bool // its lines are not to be shown
	lines []string
	parse sync.Once
	docs  []*Node
	diags Diagnostics
}

// NewFiles makes an empty registry.
func NewFiles() *Files { return &Files{known: map[string]*file{}} }

// Add gives the text of a file that is not to be read from disk: what a script printed,
// the plaintext of an encrypted file.
func (f *Files) Add(path string, data []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.known[path] = &file{data: data, fixed: true}
}

// Hide keeps the lines of a file out of messages: it is encrypted, and the places in what
// is reported are those of the plaintext.
func (f *Files) Hide(path string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if e := f.known[path]; e != nil {
		e.hide = true
	}
}

// ReadFile returns a file's content, which is not to be modified.
func (f *Files) ReadFile(path string) ([]byte, error) {
	e, err := f.open(path)
	if err != nil {
		return nil, err
	}
	return e.data, nil
}

func (f *Files) open(path string) (*file, error) {
	f.mu.Lock()
	e := f.known[path]
	f.mu.Unlock()
	if e != nil && e.fixed {
		return e, nil
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if e != nil && e.size == info.Size() && e.mtime.Equal(info.ModTime()) {
		return e, nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	e = &file{data: data, size: info.Size(), mtime: info.ModTime()}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.known[path] = e
	return e, nil
}

// Parse reads and parses a file, once: a second call returns the same nodes, or waits for
// the first to have them.
func (f *Files) Parse(path string) ([]*Node, Diagnostics, error) {
	e, err := f.open(path)
	if err != nil {
		return nil, nil, err
	}
	e.parse.Do(func() {
		e.docs, e.diags = Parse(path, e.data)
		f.mu.Lock()
		defer f.mu.Unlock()
		f.parsed = append(f.parsed, path)
	})
	return e.docs, e.diags, nil
}

// Parsed returns the files parsed so far, from number n on, and their content. It leaves
// out those that were given by Add.
func (f *Files) Parsed(n int) (paths []string, data [][]byte, next int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, path := range f.parsed[min(n, len(f.parsed)):] {
		if e := f.known[path]; !e.fixed {
			paths, data = append(paths, path), append(data, e.data)
		}
	}
	return paths, data, len(f.parsed)
}

// Line returns line n of a file, from 1, without its end. A file that was not read
// before is read for it.
func (f *Files) Line(path string, n int) (string, bool) {
	lines := f.Lines(path)
	if n < 1 || n > len(lines) {
		return "", false
	}
	return lines[n-1], true
}

// Lines returns a file's lines without their ends; nil if it cannot be read.
func (f *Files) Lines(path string) []string {
	if path == "" {
		return nil
	}
	e, err := f.open(path)
	if err != nil {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if e.hide {
		return nil
	}
	if e.lines == nil {
		e.lines = splitLines(string(e.data))
	}
	return e.lines
}

// splitLines splits at line feeds, and at carriage returns as YAML does.
func splitLines(text string) []string {
	text = strings.TrimPrefix(text, "\ufeff")
	if strings.ContainsRune(text, '\r') {
		text = strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\r", "\n")
	}
	return strings.Split(text, "\n")
}
