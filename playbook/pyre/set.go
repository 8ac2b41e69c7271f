package pyre

import (
	"slices"
	"sync"
	"unicode"
)

// A runeSet is a set of characters: sorted, disjoint, non-adjacent spans.
type runeSet []span

const (
	maxASCII  = 0x7f
	maxLatin1 = 0xff
)

func newRuneSet(spans []span) runeSet {
	spans = slices.Clone(spans)
	slices.SortFunc(spans, func(a, b span) int { return int(a.lo - b.lo) })
	out := runeSet{}
	for _, s := range spans {
		if n := len(out); n > 0 && s.lo <= out[n-1].hi+1 {
			out[n-1].hi = max(out[n-1].hi, s.hi)
			continue
		}
		out = append(out, s)
	}
	return out
}

func (s runeSet) contains(r rune) bool {
	_, ok := slices.BinarySearchFunc(s, r, func(e span, r rune) int {
		switch {
		case e.hi < r:
			return -1
		case e.lo > r:
			return 1
		}
		return 0
	})
	return ok
}

func (s runeSet) union(t runeSet) runeSet { return newRuneSet(append(slices.Clone(s), t...)) }

// not is the complement within 0 to limit.
func (s runeSet) not(limit rune) runeSet {
	out, next := runeSet{}, rune(0)
	for _, e := range s {
		if e.lo > limit {
			break
		}
		if e.lo > next {
			out = append(out, span{next, e.lo - 1})
		}
		next = e.hi + 1
	}
	if next <= limit {
		out = append(out, span{next, limit})
	}
	return out
}

// clip is the part of s up to limit.
func (s runeSet) clip(limit rune) runeSet {
	var out runeSet
	for _, e := range s {
		if e.lo <= limit {
			out = append(out, span{e.lo, min(e.hi, limit)})
		}
	}
	return out
}

var (
	asciiDigit = runeSet{{'0', '9'}}
	asciiSpace = runeSet{{'\t', '\r'}, {' ', ' '}}
	asciiWord  = runeSet{{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}}
	// unicodeSpace is what str.isspace() accepts: bidirectional types WS, B and S, and
	// category Zs.
	unicodeSpace = runeSet{
		{'\t', '\r'},
		{0x1c, 0x20},
		{0x85, 0x85},
		{0xa0, 0xa0},
		{0x1680, 0x1680},
		{0x2000, 0x200a},
		{0x2028, 0x2029},
		{0x202f, 0x202f},
		{0x205f, 0x205f},
		{0x3000, 0x3000},
	}
)

// A folding knows which characters are the same under IGNORECASE. CPython compares the
// simple lower case of both sides, and adds lower case characters that share an upper
// case (ſ and s, µ and μ).
type folding struct {
	lower  map[rune]rune   // characters that are not their own lower case
	upper  map[rune][]rune // the inverse
	extra  map[rune][]rune // lower case characters with the same upper case
	cased  []rune          // the keys of lower, sorted
	extras []rune          // the keys of extra, sorted
}

// foldings is built on first use: most patterns do not ignore case.
var foldings = sync.OnceValue(func() *folding {
	f := &folding{lower: map[rune]rune{}, upper: map[rune][]rune{}, extra: map[rune][]rune{}}
	byUpper := map[rune][]rune{}
	note := func(c rune) {
		if l := unicode.ToLower(c); l != c {
			f.lower[c] = l
			f.upper[l] = append(f.upper[l], c)
			f.cased = append(f.cased, c)
		}
		// Characters are grouped by upper case; what counts is their lower case.
		u, l := unicode.ToUpper(c), unicode.ToLower(c)
		if c == u && c == l {
			return
		}
		if !slices.Contains(byUpper[u], l) {
			byUpper[u] = append(byUpper[u], l)
		}
	}
	for _, t := range []*unicode.RangeTable{unicode.L, unicode.M, unicode.N, unicode.S} {
		eachRune(t, note)
	}
	// These pairs have the same upper case of several characters.
	for _, pair := range [][]rune{{0x390, 0x1fd3}, {0x3b0, 0x1fe3}, {0xfb05, 0xfb06}} {
		byUpper[-pair[0]] = pair
	}
	for _, same := range byUpper {
		for _, c := range same {
			for _, d := range same {
				if c != d && !slices.Contains(f.extra[c], d) {
					f.extra[c] = append(f.extra[c], d)
				}
			}
		}
	}
	slices.Sort(f.cased)
	for c := range f.extra {
		f.extras = append(f.extras, c)
	}
	slices.Sort(f.extras)
	return f
})

func eachRune(t *unicode.RangeTable, do func(rune)) {
	for _, r := range t.R16 {
		for c := rune(r.Lo); c <= rune(r.Hi); c += rune(r.Stride) {
			do(c)
		}
	}
	for _, r := range t.R32 {
		for c := rune(r.Lo); c <= rune(r.Hi); c += rune(r.Stride) {
			do(c)
		}
	}
}

// fold extends s by everything that matches it when case is ignored.
func (f *folding) fold(s runeSet) runeSet {
	more := []span{}
	one := func(r rune) {
		more = append(more, span{r, r})
	}
	lowered := func(l rune) { // l belongs to the set: so does what becomes l
		one(l)
		for _, u := range f.upper[l] {
			one(u)
		}
	}
	member := func(l rune) {
		lowered(l)
		for _, d := range f.extra[l] {
			lowered(d)
		}
	}
	within(f.cased, s, func(c rune) { member(f.lower[c]) })
	within(f.extras, s, member)
	for l := range f.upper {
		if s.contains(l) {
			member(l)
		}
	}
	return s.union(newRuneSet(more))
}

// within calls do for the members of sorted that are in s.
func within(sorted []rune, s runeSet, do func(rune)) {
	for _, e := range s {
		i, _ := slices.BinarySearch(sorted, e.lo)
		for ; i < len(sorted) && sorted[i] <= e.hi; i++ {
			do(sorted[i])
		}
	}
}

// foldASCII is fold for byte patterns and under the flag ASCII.
func foldASCII(s runeSet) runeSet {
	more := []span{}
	for c := 'a'; c <= 'z'; c++ {
		if s.contains(c) || s.contains(c-32) {
			more = append(more, span{c, c}, span{c - 32, c - 32})
		}
	}
	return s.union(newRuneSet(more))
}
