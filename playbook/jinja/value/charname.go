package value

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/runenames"
)

// CharNamed is the character of a Unicode name, as Python's \N{…} reads it: the case does
// not matter. Aliases (LF) are not known.
func CharNamed(name string) (rune, bool) {
	name = strings.ToUpper(name)
	if hex, ok := strings.CutPrefix(name, "CJK UNIFIED IDEOGRAPH-"); ok {
		n, err := strconv.ParseUint(hex, 16, 32)
		return rune(n), err == nil && unicode.Is(unicode.Unified_Ideograph, rune(n))
	}
	if syllable, ok := strings.CutPrefix(name, "HANGUL SYLLABLE "); ok {
		return hangul(syllable)
	}
	if name == "" || name[0] == '<' { // what the table calls characters without a name
		return 0, false
	}
	if r, ok := named.Load(name); ok {
		return r.(rune), true
	}
	for r := rune(0); r <= unicode.MaxRune; r++ {
		if r == 0x40000 {
			r = 0xe0000 // nothing has a name between
		}
		if runenames.Name(r) == name {
			named.Store(name, r)
			return r, true
		}
	}
	return 0, false
}

// named are the names found so far: going through all takes milliseconds.
var named sync.Map

// The parts of a syllable's name, in the order of the code points.
var (
	initials = strings.Split("G GG N D DD R M B BB S SS  J JJ C K T P H", " ")
	vowels   = strings.Split("A AE YA YAE EO E YEO YE O WA WAE OE YO U WEO WE WI YU EU YI I", " ")
	finals   = strings.Split(" G GG GS N NJ NH D L LG LM LB LS LT LP LH M B BS S SS NG J C K T P H", " ")
)

func hangul(name string) (rune, bool) {
	for i, first := range initials {
		rest, ok := strings.CutPrefix(name, first)
		if !ok {
			continue
		}
		for j, vowel := range vowels {
			last, ok := strings.CutPrefix(rest, vowel)
			if !ok {
				continue
			}
			for k, final := range finals {
				if final == last {
					return rune(0xac00 + (i*len(vowels)+j)*len(finals) + k), true
				}
			}
		}
	}
	return 0, false
}

// What is wrong with a \N escape, in Python's words.
var (
	errMalformedName = errors.New(`malformed \N character escape`)
	errUnknownName   = errors.New("unknown Unicode character name")
)

// NameEscape reads what follows \N in a string literal, and how long that is.
func NameEscape(s string) (text string, n int, err error) {
	end := strings.IndexByte(s, '}')
	if !strings.HasPrefix(s, "{") || end < 2 {
		return "", 0, errMalformedName
	}
	r, ok := CharNamed(s[1:end])
	if !ok {
		return "", 0, errUnknownName
	}
	return string(r), end + 1, nil
}

// ExpandNames replaces the \N{…} of a regular expression by \U escapes.
func ExpandNames(pattern string) (string, error) {
	if !strings.Contains(pattern, `\N{`) {
		return pattern, nil
	}
	var b strings.Builder
	for i := 0; i < len(pattern); i++ {
		if pattern[i] != '\\' || i+1 == len(pattern) {
			b.WriteByte(pattern[i])
			continue
		}
		text, n, err := NameEscape(pattern[i+2:])
		switch {
		case pattern[i+1] != 'N' || err == errMalformedName:
			b.WriteString(pattern[i : i+2])
			i++
			continue
		case err != nil:
			name, _, _ := strings.Cut(pattern[i+3:], "}")
			return "", fmt.Errorf("undefined character name '%s' at position %d", name, utf8.RuneCountInString(pattern[:i]))
		}
		r, _ := utf8.DecodeRuneInString(text)
		fmt.Fprintf(&b, `\U%08x`, r)
		i += 1 + n
	}
	return b.String(), nil
}
