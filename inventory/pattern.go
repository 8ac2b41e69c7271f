package inventory

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"orch/playbook/pyre"
)

// Localhosts are the names that mean this machine when no inventory declares them.
var Localhosts = []string{"localhost", "127.0.0.1", "::1"}

// A NoMatch error names the parts of a pattern that match no host.
type NoMatch struct{ Patterns []string }

// Error implements error.
func (e *NoMatch) Error() string {
	return "could not match supplied host pattern, ignoring: " + strings.Join(e.Patterns, ", ")
}

// Match returns the hosts of a pattern, in inventory order by term: terms apply by kind
// (plain, then &, then !), not in the order written. A *NoMatch error accompanies a
// result when parts of the pattern match nothing.
func (inv *Inventory) Match(pattern string) ([]*Host, error) {
	return inv.MatchTerms(SplitPattern(pattern))
}

// MatchTerms is Match for a pattern that is a list already.
func (inv *Inventory) MatchTerms(terms []string) ([]*Host, error) {
	var plain, and, not []string
	for _, t := range terms {
		switch t = strings.TrimSpace(t); {
		case t == "":
		case t[0] == '&':
			and = append(and, strings.TrimSpace(t[1:]))
		case t[0] == '!':
			not = append(not, strings.TrimSpace(t[1:]))
		default:
			plain = append(plain, t)
		}
	}
	if len(plain) == 0 {
		if len(and)+len(not) == 0 {
			return nil, nil
		}
		plain = []string{All} // "!x" is "all but x"
	}
	var none NoMatch
	one := func(term string) []*Host {
		if term == "" { // a lone & or !
			return nil
		}
		hosts, err := inv.term(term)
		if errors.Is(err, errNoIndex) {
			return nil
		}
		if err != nil || len(hosts) == 0 && term != All {
			none.Patterns = append(none.Patterns, term)
		}
		return hosts
	}
	var hosts []*Host
	seen := map[*Host]bool{}
	for _, t := range plain {
		for _, h := range one(t) {
			if !seen[h] {
				seen[h] = true
				hosts = append(hosts, h)
			}
		}
	}
	for _, t := range and {
		hosts = filter(hosts, one(t), true)
	}
	for _, t := range not {
		hosts = filter(hosts, one(t), false)
	}
	if len(none.Patterns) > 0 {
		return hosts, &none
	}
	return hosts, nil
}

// filter keeps the hosts that are (or are not) in other.
func filter(hosts, other []*Host, in bool) []*Host {
	set := make(map[*Host]bool, len(other))
	for _, h := range other {
		set[h] = true
	}
	return slices.DeleteFunc(hosts, func(h *Host) bool { return set[h] != in })
}

var subscript = regexp.MustCompile(`^(.+)\[(?:(-?[0-9]+)|([0-9]+)[:-]([0-9]*))\]$`)

// errNoIndex says that a subscript is out of range: no mismatch to ansible-core 2.18.
var errNoIndex = errors.New("no host of that index")

// term matches one term without & or !: a name, glob, ~regex, each with an optional
// subscript [n], [a:b].
func (inv *Inventory) term(term string) ([]*Host, error) {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	if h, ok := inv.hosts[term]; ok {
		return []*Host{h}, nil
	}
	if hosts, ok := inv.cache[term]; ok {
		return slices.Clone(hosts), nil
	}
	base, pick := term, func(h []*Host) []*Host { return h }
	if m := subscript.FindStringSubmatch(term); m != nil && term[0] != '~' {
		base, pick = m[1], slicer(m[2], m[3], m[4])
	}
	hosts, err := inv.enumerate(base)
	if err != nil {
		return nil, err
	}
	if base != term && len(hosts) > 0 && len(pick(hosts)) == 0 {
		return nil, errNoIndex
	}
	hosts = pick(hosts)
	if inv.cache == nil {
		inv.cache = map[string][]*Host{}
	}
	inv.cache[term] = hosts
	return slices.Clone(hosts), nil
}

// slicer picks one host, or the range from..to, both included as in Ansible.
func slicer(index, from, to string) func([]*Host) []*Host {
	return func(h []*Host) []*Host {
		if index != "" {
			i, _ := strconv.Atoi(index)
			if i < 0 {
				i += len(h)
			}
			if i < 0 || i >= len(h) {
				return nil
			}
			return h[i : i+1]
		}
		a, _ := strconv.Atoi(from)
		b := len(h) - 1
		if to != "" {
			b, _ = strconv.Atoi(to)
		}
		if a >= len(h) || a > b {
			return nil
		}
		return h[a:min(b+1, len(h))]
	}
}

// enumerate finds the hosts of groups whose name matches, and hosts whose name does.
func (inv *Inventory) enumerate(pattern string) ([]*Host, error) {
	match, err := matcher(pattern)
	if err != nil {
		return nil, err
	}
	var hosts []*Host
	seen := map[*Host]bool{}
	add := func(list ...*Host) {
		for _, h := range list {
			if !seen[h] {
				seen[h] = true
				hosts = append(hosts, h)
			}
		}
	}
	groups := 0
	for _, g := range inv.names {
		if match(g.Name) {
			groups++
			add(g.members()...)
		}
	}
	// ansible-core 2.18: host names are tried when no group matched, or for a pattern
	// that is more than a name.
	if groups == 0 || strings.ContainsAny(pattern, "~.?*[") {
		for _, h := range inv.groups[All].members() {
			if match(h.Name) {
				add(h)
			}
		}
	}
	if len(hosts) == 0 && slices.Contains(Localhosts, pattern) {
		add(inv.localhost(pattern))
	}
	return hosts, nil
}

// Localhost is this machine: the declared host of that name or the implicit one.
func (inv *Inventory) Localhost() *Host {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	for _, name := range Localhosts {
		if h, ok := inv.hosts[name]; ok {
			return h
		}
	}
	return inv.localhost(Localhosts[0])
}

func (inv *Inventory) localhost(name string) *Host {
	if inv.local == nil {
		inv.local = implicit(name)
	}
	return inv.local
}

func matcher(pattern string) (func(string) bool, error) {
	if pattern[0] == '~' {
		re, err := pyre.Compile(pattern[1:], 0)
		if err != nil {
			return nil, fmt.Errorf("invalid host list pattern %q: %w", pattern, err)
		}
		return func(name string) bool {
			m, err := re.Match(name)
			return err == nil && m != nil
		}, nil
	}
	// fnmatch has no escapes and its * matches slashes; names with a slash are not worth
	// more than this.
	glob := strings.NewReplacer(`\`, `\\`, "[!", "[^").Replace(pattern)
	if !strings.ContainsAny(pattern, "*?[") {
		return func(name string) bool { return name == pattern }, nil
	}
	if _, err := path.Match(glob, ""); err != nil {
		return nil, fmt.Errorf("invalid host pattern %q: %w", pattern, err)
	}
	return func(name string) bool { ok, _ := path.Match(glob, name); return ok }, nil
}

var separator = regexp.MustCompile(`(?:[^\s:\[\]]|\[[^\]]*\])+`)

// SplitPattern splits a pattern into its terms: at commas if it has any, else at colons
// that are not inside brackets. An address is one term.
func SplitPattern(pattern string) []string {
	pattern = strings.TrimSpace(pattern)
	if strings.Contains(pattern, ",") {
		var terms []string
		for _, p := range strings.Split(pattern, ",") {
			if p = strings.TrimSpace(p); p != "" {
				terms = append(terms, SplitPattern(p)...)
			}
		}
		if len(terms) == 0 {
			return []string{All} // ansible-core 2.18: nothing but commas
		}
		return terms
	}
	if pattern == "" {
		return nil
	}
	if name, _, err := SplitPort(pattern); err == nil && isAddr(name) {
		return []string{pattern}
	}
	if strings.HasPrefix(strings.TrimLeft(pattern, "!&"), "~") && !strings.Contains(pattern, ":") {
		return []string{pattern}
	}
	return separator.FindAllString(pattern, -1)
}

func isAddr(s string) bool {
	_, err := netip.ParseAddr(strings.Trim(s, "[]"))
	return err == nil
}

// A Limit narrows the hosts of every play.
type Limit struct{ Terms []string }

// ParseLimit reads the argument of --limit: patterns, and @FILE with one a line.
func ParseLimit(arg string) (Limit, error) {
	var l Limit
	for _, t := range SplitPattern(arg) {
		name, ok := strings.CutPrefix(t, "@")
		if !ok {
			l.Terms = append(l.Terms, t)
			continue
		}
		if info, err := os.Stat(name); err == nil && info.IsDir() {
			return l, fmt.Errorf("limit starting with \"@\" must be a file, not a directory: %s", name)
		}
		text, err := os.ReadFile(name)
		if err != nil {
			if pe := (*fs.PathError)(nil); errors.As(err, &pe) {
				err = pe.Err // the name is in the message already
			}
			return l, fmt.Errorf("unable to find limit file %q: %w", name, err)
		}
		for line := range strings.Lines(string(text)) {
			if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
				l.Terms = append(l.Terms, SplitPattern(line)...)
			}
		}
	}
	return l, nil
}

// Narrow keeps the hosts that are also in the limit. The zero Limit keeps all.
func (inv *Inventory) Narrow(hosts []*Host, l Limit) ([]*Host, error) {
	if len(l.Terms) == 0 {
		return hosts, nil
	}
	allowed, err := inv.MatchTerms(l.Terms)
	return filter(slices.Clone(hosts), allowed, true), err
}

// SplitPatterns splits each of several patterns into its terms.
func SplitPatterns(patterns []string) []string {
	var terms []string
	for _, p := range patterns {
		terms = append(terms, SplitPattern(p)...)
	}
	return terms
}
