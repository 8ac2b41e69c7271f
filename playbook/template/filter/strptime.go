package filter

import (
	"strconv"
	"strings"
	"time"

	"orch/playbook/jinja/value"
	"orch/playbook/pyre"
)

// directives are the regular expressions of strptime's conversions, as Python's has them
// in the C locale.
var directives = map[byte]string{
	'd': `(?P<d>3[0-1]|[1-2]\d|0[1-9]|[1-9]| [1-9])`,
	'f': `(?P<f>[0-9]{1,6})`,
	'H': `(?P<H>2[0-3]|[0-1]\d|\d)`,
	'I': `(?P<I>1[0-2]|0[1-9]|[1-9])`,
	'G': `(?P<G>\d\d\d\d)`,
	'j': `(?P<j>36[0-6]|3[0-5]\d|[1-2]\d\d|0[1-9]\d|00[1-9]|[1-9]\d|0[1-9]|[1-9])`,
	'm': `(?P<m>1[0-2]|0[1-9]|[1-9])`,
	'M': `(?P<M>[0-5]\d|\d)`,
	'S': `(?P<S>6[0-1]|[0-5]\d|\d)`,
	'U': `(?P<U>5[0-3]|[0-4]\d|\d)`,
	'W': `(?P<W>5[0-3]|[0-4]\d|\d)`,
	'w': `(?P<w>[0-6])`,
	'u': `(?P<u>[1-7])`,
	'V': `(?P<V>5[0-3]|0[1-9]|[1-4]\d|\d)`,
	'y': `(?P<y>\d\d)`,
	'Y': `(?P<Y>\d\d\d\d)`,
	'z': `(?P<z>[+-]\d\d:?[0-5]\d(:?[0-5]\d(\.\d{1,6})?)?|(?-i:Z))`,
	'A': `(?P<A>wednesday|thursday|saturday|tuesday|monday|friday|sunday)`,
	'a': `(?P<a>mon|tue|wed|thu|fri|sat|sun)`,
	'B': `(?P<B>september|february|november|december|january|october|august|march|april|june|july|may)`,
	'b': `(?P<b>jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)`,
	'p': `(?P<p>am|pm)`,
	'Z': `(?P<Z>utc|gmt)`,
	'%': `%`,
}

func toDatetime(c *call) (value.Value, error) {
	s, err := c.input()
	if err != nil {
		return nil, err
	}
	format, err := c.str(0)
	if err != nil {
		return nil, err
	}
	return strptime(s, format)
}

// strptime is datetime.datetime.strptime.
func strptime(s, format string) (value.Value, error) {
	pattern, err := strptimePattern(format)
	if err != nil {
		return nil, err
	}
	re, err := pyre.Compile(pattern, pyre.IgnoreCase)
	if err != nil {
		return nil, err
	}
	m, err := re.Match(s)
	if err != nil {
		return nil, err
	}
	if m == nil {
		return nil, valueErr("time data %s does not match format %s", value.Repr(value.S(s)), value.Repr(value.S(format)))
	}
	if _, end := m.Span(0); end != len(s) {
		return nil, valueErr("unconverted data remains: %s", s[end:])
	}
	return readTime(m)
}

func strptimePattern(format string) (string, error) {
	expand := strings.NewReplacer("%%", "%%", "%c", "%a %b %d %H:%M:%S %Y", "%x", "%m/%d/%y", "%X", "%H:%M:%S")
	format = expand.Replace(format)
	var b strings.Builder
	for i := 0; i < len(format); i++ {
		switch {
		case format[i] == '%':
			if i++; i == len(format) {
				return "", valueErr("stray %% in format '%s'", format)
			}
			d, ok := directives[format[i]]
			if !ok {
				return "", valueErr("'%c' is a bad directive in format '%s'", format[i], format)
			}
			b.WriteString(d)
		case strings.IndexByte(" \t\n\r\v\f", format[i]) >= 0:
			for i+1 < len(format) && strings.IndexByte(" \t\n\r\v\f", format[i+1]) >= 0 {
				i++
			}
			b.WriteString(`\s+`)
		default:
			b.WriteString(pyre.Escape(format[i : i+1]))
		}
	}
	return b.String(), nil
}

// A timeReader reads the parts of a time out of a match.
type timeReader struct{ m *pyre.Match }

func (r timeReader) num(name string, missing int) int {
	s, ok, _ := r.m.Named(name)
	if !ok {
		return missing
	}
	n, err := strconv.Atoi(strings.TrimSpace(s))
	if err != nil {
		return missing
	}
	return n
}

// index is the position of a name in a list, -1 when it is not part of the format.
func (r timeReader) index(name, list string, width int) int {
	s, ok, _ := r.m.Named(name)
	if !ok {
		return -1
	}
	return strings.Index(list, strings.ToLower(s)[:width]) / width
}

const (
	monthNames = "janfebmaraprmayjunjulaugsepoctnovdec"
	dayNames   = "montuewedthufrisatsun"
)

func readTime(m *pyre.Match) (value.Value, error) {
	r := timeReader{m}
	year, known := r.num("Y", 1900), false
	if y := r.num("y", -1); y >= 0 {
		year = 1900 + y
		if y <= 68 {
			year += 100
		}
	}
	month := r.num("m", max(r.index("B", monthNames, 3), r.index("b", monthNames, 3))+1)
	known = month > 0
	month = max(month, 1)
	day := r.num("d", 1)
	hour := r.num("H", 0)
	if h := r.num("I", -1); h >= 0 {
		hour = h % 12
		if p, _, _ := m.Named("p"); strings.EqualFold(p, "pm") {
			hour += 12
		}
	}
	if j := r.num("j", -1); j >= 0 && !known {
		date := time.Date(year, 1, j, 0, 0, 0, 0, time.UTC)
		year, month, day = date.Year(), int(date.Month()), date.Day()
	} else if date, ok := r.weekDate(year); ok && !known {
		year, month, day = date.Year(), int(date.Month()), date.Day()
	}
	second := r.num("S", 0)
	if second > 59 {
		return nil, valueErr("second must be in 0..59")
	}
	micros := 0
	if f, ok, _ := m.Named("f"); ok {
		micros, _ = strconv.Atoi((f + "000000")[:6])
	}
	zone, aware := r.zone()
	t := time.Date(year, time.Month(month), day, hour, r.num("M", 0), second, micros*1000, zone)
	if t.Day() != day {
		return nil, valueErr("day is out of range for month")
	}
	return &dateTime{t, aware}, nil
}

// weekDate reads a date given by week and day of the week.
func (r timeReader) weekDate(year int) (time.Time, bool) {
	weekday := max(r.index("A", dayNames, 3), r.index("a", dayNames, 3), r.num("u", 0)-1)
	if w := r.num("w", -1); w >= 0 {
		weekday = (w + 6) % 7
	}
	if weekday < 0 {
		return time.Time{}, false
	}
	if g, v := r.num("G", -1), r.num("V", -1); g >= 0 && v >= 0 {
		jan4 := time.Date(g, 1, 4, 0, 0, 0, 0, time.UTC)
		return jan4.AddDate(0, 0, (v-1)*7+weekday-(int(jan4.Weekday())+6)%7), true
	}
	first := time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC)
	start := (int(first.Weekday()) + 6) % 7 // Monday is 0
	week := r.num("W", -1)
	if u := r.num("U", -1); u >= 0 {
		week, start, weekday = u, (start+1)%7, (weekday+1)%7
	}
	if week < 0 {
		return time.Time{}, false
	}
	days := weekday - start
	if start != 0 || week != 0 {
		days = (7-start)%7 + 7*(week-1) + weekday
		if week == 0 {
			days = weekday - start
		}
	}
	return first.AddDate(0, 0, days), true
}

func (r timeReader) zone() (*time.Location, bool) {
	z, ok, _ := r.m.Named("z")
	if !ok {
		return time.UTC, false
	}
	if z == "Z" {
		return time.UTC, true
	}
	digits := strings.ReplaceAll(z[1:], ":", "")
	h, _ := strconv.Atoi(digits[:2])
	m, _ := strconv.Atoi(digits[2:4])
	s := 0
	if len(digits) >= 6 {
		s, _ = strconv.Atoi(digits[4:6])
	}
	offset := h*3600 + m*60 + s
	if z[0] == '-' {
		offset = -offset
	}
	return time.FixedZone("", offset), true
}
