package container

import (
	"bufio"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
)

// An ignoreList is a .dockerignore: patterns from the context's root, ** for any number of
// folders, ! for exceptions; the last pattern that matches decides.
type ignoreList struct {
	rules      []ignoreRule
	exceptions bool
}

type ignoreRule struct {
	re   *regexp.Regexp
	keep bool
}

// readIgnore reads DOCKERFILE.dockerignore, or .dockerignore.
func readIgnore(dir, dockerfile string) (*ignoreList, error) {
	list := &ignoreList{}
	for _, name := range []string{dockerfile + ".dockerignore", ".dockerignore"} {
		f, err := os.Open(filepath.Join(dir, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		defer f.Close()
		for s := bufio.NewScanner(f); s.Scan(); {
			list.add(s.Text())
		}
		break
	}
	return list, nil
}

func (l *ignoreList) add(line string) {
	line = strings.TrimSpace(line)
	if line == "" || line[0] == '#' {
		return
	}
	keep := false
	if line[0] == '!' {
		keep, line = true, strings.TrimSpace(line[1:])
		l.exceptions = true
	}
	line = strings.TrimPrefix(path.Clean(filepath.ToSlash(line)), "/")
	if line == "." || line == "" {
		return
	}
	var b strings.Builder
	b.WriteString("^")
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case c == '*' && i+1 < len(line) && line[i+1] == '*':
			i++
			if i+1 < len(line) && line[i+1] == '/' {
				i++
				b.WriteString("(?:.*/)?")
			} else {
				b.WriteString(".*")
			}
		case c == '*':
			b.WriteString("[^/]*")
		case c == '?':
			b.WriteString("[^/]")
		case c == '[':
			end := strings.IndexByte(line[i:], ']')
			if end < 0 {
				b.WriteString(`\[`)
				continue
			}
			b.WriteString(line[i : i+end+1])
			i += end
		default:
			b.WriteString(regexp.QuoteMeta(string(c)))
		}
	}
	// A folder that is left out takes everything below it along.
	b.WriteString("(?:/.*)?$")
	if re, err := regexp.Compile(b.String()); err == nil {
		l.rules = append(l.rules, ignoreRule{re, keep})
	}
}

func (l *ignoreList) matches(name string) bool {
	out := false
	for _, r := range l.rules {
		if r.re.MatchString(name) {
			out = !r.keep
		}
	}
	return out
}
