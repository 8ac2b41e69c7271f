package source

import (
	"encoding/base64"
	"fmt"
	"math"
	"math/big"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"orch/playbook/jinja/value"
)

// The implicit types of plain scalars are those of PyYAML's resolver, in its order:
// bool, float, int, null, timestamp. Unlike in YAML 1.2, 1e3 is a string.
var (
	floatForm = Lazy(`^(?:[-+]?[0-9][0-9_]*\.[0-9_]*(?:[eE][-+][0-9]+)?` +
		`|\.[0-9][0-9_]*(?:[eE][-+][0-9]+)?` +
		`|[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+\.[0-9_]*` +
		`|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$`)
	intForm = Lazy(`^(?:[-+]?0b[0-1_]+|[-+]?0[0-7_]+|[-+]?(?:0|[1-9][0-9_]*)` +
		`|[-+]?0x[0-9a-fA-F_]+|[-+]?[1-9][0-9_]*(?::[0-5]?[0-9])+)$`)
	dateForm = Lazy(`^(\d{4})-(\d\d)-(\d\d)$`)
	timeForm = Lazy(`^(\d{4})-(\d\d?)-(\d\d?)(?:[Tt]|[ \t]+)(\d\d?):(\d\d):(\d\d)(?:\.(\d*))?` +
		`(?:[ \t]*(Z|([-+])(\d\d?)(?::(\d\d))?))?$`)
)

// resolve is the tag of a plain scalar.
func resolve(text string) string {
	if text == "" {
		return TagNull
	}
	switch c := text[0]; {
	case c >= '0' && c <= '9', c == '-', c == '+', c == '.':
		switch {
		case floatForm().MatchString(text):
			return TagFloat
		case intForm().MatchString(text):
			return TagInt
		case c >= '0' && c <= '9' && (dateForm().MatchString(text) || timeForm().MatchString(text)):
			return TagTimestamp
		}
		return TagStr
	case len(text) > 5:
		return TagStr
	}
	switch text {
	case "yes", "Yes", "YES", "no", "No", "NO", "true", "True", "TRUE", "false", "False", "FALSE",
		"on", "On", "ON", "off", "Off", "OFF":
		return TagBool
	case "~", "null", "Null", "NULL":
		return TagNull
	case "=":
		return tagValue
	}
	return TagStr
}

// construct makes the value of a scalar that is no string.
func construct(tag, text string) (value.Value, error) {
	switch tag {
	case TagNull:
		return value.None{}, nil
	case TagBool:
		switch strings.ToLower(text) {
		case "yes", "true", "on":
			return value.Bool(true), nil
		case "no", "false", "off":
			return value.Bool(false), nil
		}
		return nil, fmt.Errorf("%q is no boolean", text)
	case TagInt:
		return parseInt(text)
	case TagFloat:
		return parseFloat(text)
	case TagTimestamp:
		return parseTime(text)
	case TagBinary:
		// Python's decoder passes over what is not of the alphabet
		raw, err := base64.StdEncoding.DecodeString(strings.Map(func(r rune) rune {
			if r > 'z' || !strings.ContainsRune(base64Alphabet, r) {
				return -1
			}
			return r
		}, text))
		if err != nil {
			return nil, fmt.Errorf("!!binary wants base64: %w", err)
		}
		return value.Bytes(raw), nil
	}
	return nil, fmt.Errorf("could not determine a constructor for the tag %q", tag)
}

const base64Alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="

func parseInt(text string) (value.Value, error) {
	s := strings.ReplaceAll(text, "_", "")
	neg := strings.HasPrefix(s, "-")
	s = strings.TrimLeft(s, "+-")
	base := 10
	switch {
	case s == "0":
	case strings.HasPrefix(s, "0b"):
		base, s = 2, s[2:]
	case strings.HasPrefix(s, "0x"):
		base, s = 16, s[2:]
	case strings.HasPrefix(s, "0"):
		base = 8
	case strings.Contains(s, ":"):
		base = 60
	}
	n := new(big.Int)
	if base == 60 {
		for digit := range strings.SplitSeq(s, ":") {
			d, err := strconv.ParseUint(digit, 10, 63)
			if err != nil {
				return nil, fmt.Errorf("%q is no integer", text)
			}
			n.Add(n.Mul(n, big.NewInt(60)), new(big.Int).SetUint64(d))
		}
	} else if _, ok := n.SetString(s, base); !ok || strings.ContainsAny(s, "+-") {
		return nil, fmt.Errorf("%q is no integer", text)
	}
	if neg {
		n.Neg(n)
	}
	if n.IsInt64() {
		return value.Int(n.Int64()), nil
	}
	return &value.BigInt{V: n}, nil
}

func parseFloat(text string) (value.Value, error) {
	s := strings.ToLower(strings.ReplaceAll(text, "_", ""))
	sign := 1.0
	if strings.HasPrefix(s, "-") {
		sign = -1
	}
	s = strings.TrimLeft(s, "+-")
	switch s {
	case ".inf":
		return value.Float(math.Inf(int(sign))), nil
	case ".nan":
		return value.Float(math.NaN()), nil
	}
	total := 0.0
	for digit := range strings.SplitSeq(s, ":") {
		f, err := strconv.ParseFloat(digit, 64)
		if err != nil && !math.IsInf(f, 0) {
			return nil, fmt.Errorf("%q is no number", text)
		}
		total = total*60 + f
	}
	return value.Float(sign * total), nil
}

// parseTime makes the text Python prints for the date or datetime PyYAML makes: dates
// have no type of their own in the template language, they are data.
func parseTime(text string) (value.Value, error) {
	if m := dateForm().FindStringSubmatch(text); m != nil {
		if !validDate(m[1], m[2], m[3]) {
			return nil, fmt.Errorf("%q is no date", text)
		}
		return value.S(text), nil
	}
	m := timeForm().FindStringSubmatch(text)
	if m == nil {
		return nil, fmt.Errorf("%q is no date", text)
	}
	hour, minute, sec := atoi(m[4]), atoi(m[5]), atoi(m[6])
	if !validDate(m[1], m[2], m[3]) || hour > 23 || minute > 59 || sec > 59 {
		return nil, fmt.Errorf("%q is no date", text)
	}
	out := fmt.Sprintf("%s-%02d-%02d %02d:%02d:%02d", m[1], atoi(m[2]), atoi(m[3]), hour, minute, sec)
	if fraction := (m[7] + "000000")[:6]; fraction != "000000" {
		out += "." + fraction
	}
	switch {
	case m[8] == "Z":
		out += "+00:00"
	case m[9] != "":
		if atoi(m[10]) > 23 {
			return nil, fmt.Errorf("%q is no date", text)
		}
		sign := m[9]
		if atoi(m[10]) == 0 && atoi(m[11]) == 0 {
			sign = "+"
		}
		out += fmt.Sprintf("%s%02d:%02d", sign, atoi(m[10]), atoi(m[11]))
	}
	return value.S(out), nil
}

func validDate(y, m, d string) bool {
	t := time.Date(atoi(y), time.Month(atoi(m)), atoi(d), 0, 0, 0, 0, time.UTC)
	return t.Year() == atoi(y) && int(t.Month()) == atoi(m) && t.Day() == atoi(d) && t.Year() > 0
}

// atoi reads digits a regular expression has matched.
func atoi(s string) int {
	n, _ := strconv.Atoi(s)
	return n
}

// Lazy compiles an expression when it is first used: most runs need few of them.
func Lazy(expr string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expr) })
}
