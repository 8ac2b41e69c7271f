package filter

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A conversion is one % of a strftime format, with glibc's flags and width.
type conversion struct {
	verb  byte
	flag  byte // '-' no padding, '_' spaces, '0' zeros
	upper bool // '^'
	swap  bool // '#'
	width int
}

// strftime is C's strftime in the C locale, with glibc's extensions and Python's %f.
// zone is false for a time without a time zone: %z and %Z are empty.
func strftime(format string, t time.Time, zone bool) string {
	var b strings.Builder
	for i := 0; i < len(format); i++ {
		if format[i] != '%' {
			b.WriteByte(format[i])
			continue
		}
		cv, size := parseConversion(format[i+1:])
		if size == 0 {
			b.WriteByte('%')
			continue
		}
		out, ok := cv.format(t, zone)
		if !ok {
			out = format[i : i+1+size] // glibc prints what it does not know
		}
		b.WriteString(out)
		i += size
	}
	return b.String()
}

func parseConversion(s string) (cv conversion, size int) {
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '-' || c == '_' || c == '0' && cv.width == 0:
			cv.flag = c
		case c == '^':
			cv.upper = true
		case c == '#':
			cv.swap = true
		case c >= '0' && c <= '9':
			cv.width = min(cv.width*10+int(c-'0'), 1000)
		case c == 'E' || c == 'O': // alternative forms, none in the C locale
		default:
			cv.verb = c
			return cv, i + 1
		}
	}
	return cv, 0
}

func (cv conversion) format(t time.Time, zone bool) (string, bool) {
	if s, ok := cv.composed(t, zone); ok {
		return cv.pad(s, ' '), true
	}
	if n, digits, fill, ok := cv.number(t); ok {
		width, s := digits, strconv.Itoa(n)
		switch cv.flag {
		case '-':
			width = 0
		case '_':
			fill = ' '
		case '0':
			fill = '0'
		}
		if cv.width > 0 {
			width = cv.width
		}
		if pad := width - len(s); pad > 0 {
			s = strings.Repeat(string(fill), pad) + s
		}
		return s, true
	}
	s, ok := cv.name(t, zone)
	if cv.upper || cv.swap && cv.verb != 'p' && cv.verb != 'Z' {
		s = strings.ToUpper(s)
	} else if cv.swap {
		s = strings.ToLower(s)
	}
	return cv.pad(s, ' '), ok
}

func (cv conversion) pad(s string, fill rune) string {
	if cv.flag == '0' {
		fill = '0'
	}
	if n := cv.width - len(s); n > 0 && cv.flag != '-' {
		return strings.Repeat(string(fill), n) + s
	}
	return s
}

// composed are the conversions that stand for others.
func (cv conversion) composed(t time.Time, zone bool) (string, bool) {
	format := map[byte]string{
		'c': "%a %b %e %H:%M:%S %Y", 'D': "%m/%d/%y", 'x': "%m/%d/%y", 'F': "%Y-%m-%d",
		'R': "%H:%M", 'T': "%H:%M:%S", 'X': "%H:%M:%S", 'r': "%I:%M:%S %p",
	}[cv.verb]
	if format == "" {
		return "", false
	}
	return strftime(format, t, zone), true
}

// number returns what a numeric conversion prints, to how many digits, filled by what.
func (cv conversion) number(t time.Time) (n, digits int, fill byte, ok bool) {
	isoYear, isoWeek := t.ISOWeek()
	hour12 := (t.Hour()+11)%12 + 1
	switch cv.verb {
	case 'Y':
		return t.Year(), 0, '0', true
	case 'C':
		return t.Year() / 100, 2, '0', true
	case 'y':
		return t.Year() % 100, 2, '0', true
	case 'G':
		return isoYear, 0, '0', true
	case 'g':
		return isoYear % 100, 2, '0', true
	case 'm':
		return int(t.Month()), 2, '0', true
	case 'd':
		return t.Day(), 2, '0', true
	case 'e':
		return t.Day(), 2, ' ', true
	case 'H':
		return t.Hour(), 2, '0', true
	case 'I':
		return hour12, 2, '0', true
	case 'k':
		return t.Hour(), 2, ' ', true
	case 'l':
		return hour12, 2, ' ', true
	case 'j':
		return t.YearDay(), 3, '0', true
	case 'M':
		return t.Minute(), 2, '0', true
	case 'S':
		return t.Second(), 2, '0', true
	case 'f':
		return t.Nanosecond() / 1000, 6, '0', true
	case 's':
		return int(t.Unix()), 0, '0', true
	case 'u':
		return (int(t.Weekday())+6)%7 + 1, 1, '0', true
	case 'w':
		return int(t.Weekday()), 1, '0', true
	case 'U':
		return (t.YearDay() + 6 - int(t.Weekday())) / 7, 2, '0', true
	case 'W':
		return (t.YearDay() + 6 - (int(t.Weekday())+6)%7) / 7, 2, '0', true
	case 'V':
		return isoWeek, 2, '0', true
	}
	return 0, 0, 0, false
}

func (cv conversion) name(t time.Time, zone bool) (string, bool) {
	switch cv.verb {
	case 'a':
		return t.Weekday().String()[:3], true
	case 'A':
		return t.Weekday().String(), true
	case 'b', 'h':
		return t.Month().String()[:3], true
	case 'B':
		return t.Month().String(), true
	case 'p':
		return t.Format("PM"), true
	case 'P':
		return t.Format("pm"), true
	case 'n':
		return "\n", true
	case 't':
		return "\t", true
	case '%':
		return "%", true
	case 'z', 'Z':
		if !zone {
			return "", true
		}
		name, offset := t.Zone()
		if cv.verb == 'Z' {
			return name, true
		}
		sign := '+'
		if offset < 0 {
			sign, offset = '-', -offset
		}
		return fmt.Sprintf("%c%02d%02d", sign, offset/3600, offset/60%60), true
	}
	return "", false
}
