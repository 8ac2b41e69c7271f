package value

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Upper is str.upper: by Unicode's full mapping ("ß" becomes "SS").
func Upper(s string) string {
	if isASCII(s) {
		return strings.ToUpper(s)
	}
	return mapChars(s, func(b []byte, r rune, _ int) []byte { return appendUpper(b, r) })
}

// Lower is str.lower, with the Greek final sigma.
func Lower(s string) string {
	if isASCII(s) {
		return strings.ToLower(s)
	}
	return mapChars(s, func(b []byte, r rune, i int) []byte { return appendLower(b, r, s, i) })
}

// Title is str.title: every letter that follows no letter becomes title case.
func Title(s string) string {
	inWord := false
	return mapChars(s, func(b []byte, r rune, i int) []byte {
		if inWord {
			b = appendLower(b, r, s, i)
		} else {
			b = appendTitle(b, r)
		}
		inWord = isCased(r)
		return b
	})
}

// Capitalize is str.capitalize.
func Capitalize(s string) string {
	return mapChars(s, func(b []byte, r rune, i int) []byte {
		if i == 0 {
			return appendTitle(b, r)
		}
		return appendLower(b, r, s, i)
	})
}

// Casefold is str.casefold.
func Casefold(s string) string {
	if isASCII(s) {
		return strings.ToLower(s)
	}
	return mapChars(s, func(b []byte, r rune, _ int) []byte {
		switch f, ok := foldSpecial[r]; {
		case ok:
			return append(b, f...)
		case r >= 0x13a0 && r <= 0x13f5: // Cherokee folds to upper case
			return utf8.AppendRune(b, r)
		case r >= 0x13f8 && r <= 0x13fd:
			return utf8.AppendRune(b, r-8)
		case r >= 0xab70 && r <= 0xabbf:
			return utf8.AppendRune(b, r-0xab70+0x13a0)
		case r == 0x130:
			return append(b, "i\u0307"...)
		}
		return utf8.AppendRune(b, unicode.ToLower(r))
	})
}

func swapCase(s string) string {
	return mapChars(s, func(b []byte, r rune, i int) []byte {
		switch {
		case isUpper(r):
			return appendLower(b, r, s, i)
		case isLower(r):
			return appendUpper(b, r)
		}
		return utf8.AppendRune(b, r)
	})
}

// mapChars maps each character; bytes that are no UTF-8 stay.
func mapChars(s string, f func(b []byte, r rune, i int) []byte) string {
	b := make([]byte, 0, len(s)+4)
	for i := 0; i < len(s); {
		r, w := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && w == 1 {
			b = append(b, s[i])
		} else {
			b = f(b, r, i)
		}
		i += w
	}
	return string(b)
}

func appendUpper(b []byte, r rune) []byte {
	if u, ok := upperSpecial[r]; ok {
		return append(b, u...)
	}
	return utf8.AppendRune(b, unicode.ToUpper(r))
}

func appendTitle(b []byte, r rune) []byte {
	if t, ok := titleSpecial[r]; ok {
		return append(b, t...)
	}
	if u, ok := upperSpecial[r]; ok {
		return append(b, u...)
	}
	return utf8.AppendRune(b, unicode.ToTitle(r))
}

func appendLower(b []byte, r rune, s string, i int) []byte {
	switch r {
	case 'Σ':
		if isFinalSigma(s, i) {
			return append(b, "ς"...)
		}
	case 'İ':
		return append(b, "i\u0307"...)
	}
	return utf8.AppendRune(b, unicode.ToLower(r))
}

// isFinalSigma says whether the sigma at s[i] ends a word (Unicode's Final_Sigma).
func isFinalSigma(s string, i int) bool {
	before := []rune(s[:i])
	for len(before) > 0 && isCaseIgnorable(before[len(before)-1]) {
		before = before[:len(before)-1]
	}
	if len(before) == 0 || !isCased(before[len(before)-1]) {
		return false
	}
	for _, r := range s[i+len("Σ"):] {
		if !isCaseIgnorable(r) {
			return !isCased(r)
		}
	}
	return true
}

const midLetters = "'.:··՟״‘’․‧︓﹒﹕＇．："

func isCaseIgnorable(r rune) bool {
	return strings.ContainsRune(midLetters, r) || unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf, unicode.Lm, unicode.Sk)
}

func isUpper(r rune) bool { return unicode.IsUpper(r) || unicode.Is(unicode.Other_Uppercase, r) }

func isLower(r rune) bool { return unicode.IsLower(r) || unicode.Is(unicode.Other_Lowercase, r) }

func isCased(r rune) bool { return isUpper(r) || isLower(r) || unicode.IsTitle(r) }

// isSpace is str.isspace, which has the ASCII separators that unicode.IsSpace lacks.
func isSpace(r rune) bool { return r >= 0x1c && r <= 0x1f || unicode.IsSpace(r) }

func isDigit(r rune) bool { return unicode.IsDigit(r) || unicode.Is(digitChars, r) }

func isNumeric(r rune) bool { return unicode.IsNumber(r) || unicode.Is(numericChars, r) }

func isAlnum(r rune) bool { return unicode.IsLetter(r) || isNumeric(r) }

func isIdentStart(r rune) bool {
	return r == '_' || unicode.In(r, unicode.L, unicode.Nl, unicode.Other_ID_Start) && !unicode.Is(unicode.Pattern_Syntax, r)
}

func isIdentPart(r rune) bool {
	return isIdentStart(r) || unicode.In(r, unicode.Mn, unicode.Mc, unicode.Nd, unicode.Pc, unicode.Other_ID_Continue)
}

// allChars is the form of most str.is… methods: no empty string, every character.
func allChars(s string, is func(rune) bool) bool {
	for _, r := range s {
		if !is(r) {
			return false
		}
	}
	return s != ""
}

func isIdentifier(s string) bool {
	for i, r := range s {
		if i == 0 && !isIdentStart(r) || !isIdentPart(r) {
			return false
		}
	}
	return s != "" && utf8.ValidString(s)
}

func isPrintable(s string) bool {
	return utf8.ValidString(s) && !slices.ContainsFunc([]rune(s), func(r rune) bool { return !unicode.IsPrint(r) })
}

// IsLower is str.islower, IsUpper str.isupper.
func IsLower(s string) bool { return onlyCase(s, isLower) }

// IsUpper is str.isupper.
func IsUpper(s string) bool { return onlyCase(s, isUpper) }

func onlyCase(s string, want func(rune) bool) bool {
	found := false
	for _, r := range s {
		if want(r) {
			found = true
		} else if isCased(r) {
			return false
		}
	}
	return found
}

func isTitle(s string) bool {
	found, inWord := false, false
	for _, r := range s {
		switch {
		case isUpper(r) || unicode.IsTitle(r):
			if inWord {
				return false
			}
			found, inWord = true, true
		case isLower(r):
			if !inWord {
				return false
			}
		default:
			inWord = false
		}
	}
	return found
}
