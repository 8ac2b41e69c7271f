// Package pyre is Python's regular expressions (the module re of Python 3.11): syntax,
// group numbering, flags, error messages, the semantics of empty matches, replacement
// templates. A pattern is parsed as Python parses it and rewritten for
// github.com/dlclark/regexp2, a backtracking engine with look-behind and back
// references.
//
// A str pattern works by code points; bytes that are no UTF-8 match as Python's
// surrogate escapes and come back unchanged. With [Bytes] pattern and text are bytes,
// each a character of Latin-1, for files that are not text. Offsets are always byte
// offsets of the text given, so that text[start:end] is what matched.
//
// Backtracking can take exponential time; every call ends with a [TimeoutError] after
// its limit.
//
// Not supported, as errors: \N{…} (character names; whoever has the table of names puts
// escapes in their place). Different: a group whose last
// repetition within bounds matched nothing, `(a*?){1,2}`, is reported where that was, not
// where it last matched something.
package pyre

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"
)

// Flags are Python's re flags, and the choice of byte mode.
type Flags uint

// The flags.
const (
	IgnoreCase Flags = 1 << iota // re.I
	Multiline                    // re.M
	DotAll                       // re.S
	Verbose                      // re.X
	ASCII                        // re.A
	Unicode                      // re.U: the default of a str pattern
	Locale                       // re.L: byte patterns only; the locale is "C"
	Bytes                        // pattern and text are bytes
)

const typeFlags = ASCII | Unicode | Locale

// DefaultLimit is how long a call may take unless [Regexp.WithLimit] says otherwise.
const DefaultLimit = 10 * time.Second

// An Error is a mistake in a pattern or a replacement template, in Python's words.
type Error struct {
	Msg     string
	Pattern string
	Pos     int // in characters from 0; -1 when the mistake has no place
}

// Error implements error: "missing ), unterminated subpattern at position 0".
func (e *Error) Error() string {
	if e.Pos < 0 {
		return e.Msg
	}
	chars := []rune(e.Pattern)
	msg := fmt.Sprintf("%s at position %d", e.Msg, e.Pos)
	if !strings.Contains(e.Pattern, "\n") || e.Pos > len(chars) {
		return msg
	}
	before := string(chars[:e.Pos])
	line := strings.Count(before, "\n") + 1
	col := e.Pos - len([]rune(before[:strings.LastIndexByte(before, '\n')+1])) + 1
	return fmt.Sprintf("%s (line %d, column %d)", msg, line, col)
}

// A TimeoutError ends a match that takes too long.
type TimeoutError struct {
	Pattern string
	Limit   time.Duration
}

// Error implements error.
func (e *TimeoutError) Error() string {
	return fmt.Sprintf("regular expression %q took longer than %s", e.Pattern, e.Limit)
}

// A Regexp is a compiled pattern, safe for concurrent use.
type Regexp struct {
	pattern string
	flags   Flags
	root    *node
	groups  int
	names   []string // by group number; "" for a group without a name
	limit   time.Duration
	progs   [kinds][2]program // the second index is 1 for texts of ASCII only
}

// Compile parses pattern. The result is cached, as Python's re does.
func Compile(pattern string, flags Flags) (*Regexp, error) {
	key := cacheKey{pattern, flags}
	if re, ok := cache.get(key); ok {
		return re, nil
	}
	re, err := parse(pattern, flags)
	if err != nil {
		return nil, err
	}
	re.limit = DefaultLimit
	cache.put(key, re)
	return re, nil
}

// WithLimit returns the same expression with another time limit for its calls.
func (re *Regexp) WithLimit(d time.Duration) *Regexp {
	return &Regexp{
		pattern: re.pattern, flags: re.flags, root: re.root,
		groups: re.groups, names: re.names, limit: d,
	}
}

// Pattern is the source of the expression.
func (re *Regexp) Pattern() string { return re.pattern }

// Flags are the flags in effect, those of the pattern's head included.
func (re *Regexp) Flags() Flags { return re.flags }

// Groups is the number of capturing groups.
func (re *Regexp) Groups() int { return re.groups }

// GroupNames are the groups' names by number; index 0 is the whole match and has none.
func (re *Regexp) GroupNames() []string { return re.names }

// GroupIndex returns the number of the group called name.
func (re *Regexp) GroupIndex(name string) (int, bool) {
	for i, n := range re.names {
		if n == name && n != "" {
			return i, true
		}
	}
	return 0, false
}

// Escape makes a pattern that matches s itself, as re.escape does.
func Escape(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if strings.IndexByte("()[]{}?*+-|^$\\.&~# \t\n\r\v\f", s[i]) >= 0 {
			b.WriteByte('\\')
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

type cacheKey struct {
	pattern string
	flags   Flags
}

// maxCached bounds the cache; a full one drops an arbitrary entry.
const maxCached = 512

type reCache struct {
	mu   sync.RWMutex
	m    map[cacheKey]*Regexp
	keys []cacheKey
}

var cache = reCache{m: map[cacheKey]*Regexp{}}

func (c *reCache) get(k cacheKey) (*Regexp, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	re, ok := c.m[k]
	return re, ok
}

func (c *reCache) put(k cacheKey, re *Regexp) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.m[k]; !ok {
		if len(c.keys) < maxCached {
			c.keys = append(c.keys, k)
		} else {
			i := rand.IntN(maxCached)
			delete(c.m, c.keys[i])
			c.keys[i] = k
		}
	}
	c.m[k] = re
}
