package filter

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"orch/playbook/jinja/value"
	"orch/playbook/pyre"
)

var timeFilters = append([]def{{
	names: "to_time_unit", sig: "unit='ms', **options", filter: func(c *call) (value.Value, error) { return toTimeUnit(c, value.String(c.args[0])) },
	doc: "A duration such as '1h 30m' as a number of units: ms, s, m, h, d, w, mo, y or their names. " +
		"Options: month and year, in days (30 and 365).",
	examples: []string{"{{ '1h 30m' | community.general.to_time_unit('min') }}", "90.0"},
}}, timeUnitFilters()...)

func timeUnitFilters() []def {
	var out []def
	for _, u := range []struct{ name, unit, result string }{
		{"milliseconds", "ms", "86400000.0"},
		{"seconds", "s", "86400.0"},
		{"minutes", "m", "1440.0"},
		{"hours", "h", "24.0"},
		{"days", "d", "1.0"},
		{"weeks", "w", "0.142857142857"},
		{"months", "mo", "0.033333333333"},
		{"years", "y", "0.002739726027"},
	} {
		out = append(out, def{
			names: "to_" + u.name, sig: "**options",
			filter:   func(c *call) (value.Value, error) { return toTimeUnit(c, u.unit) },
			doc:      "A duration such as '1h 30m' in " + u.name + ". Options: month and year, in days (30 and 365).",
			examples: []string{"{{ '1d' | community.general.to_" + u.name + " }}", u.result},
		})
	}
	return out
}

var timeUnitNames = map[string]string{
	"millisecond": "ms", "msec": "ms", "msecond": "ms", "sec": "s", "second": "s", "hour": "h", "min": "m", "minute": "m",
	"day": "d", "week": "w", "month": "mo", "year": "y",
}

// timeUnit is the length of a unit in milliseconds; names may be plural.
func timeUnit(name string, month, year float64) (float64, bool) {
	if short, ok := timeUnitNames[strings.TrimRight(name, "s")]; ok {
		name = short
	}
	const day = 86400 * 1000
	length, ok := map[string]float64{
		"ms": 1, "s": 1000, "m": 60 * 1000, "h": 3600 * 1000, "d": day, "w": 7 * day, "mo": month * day, "y": year * day,
	}[name]
	return length, ok
}

func toTimeUnit(c *call, unit string) (value.Value, error) {
	var month, year value.Value = value.Int(30), value.Int(365)
	if err := c.options(map[string]*value.Value{"month": &month, "year": &year}); err != nil {
		return nil, err
	}
	s, err := c.input()
	if err != nil {
		return nil, err
	}
	if s == "0" {
		return value.Int(0), nil
	}
	monthDays, okM := asFloat(month)
	yearDays, okY := asFloat(year)
	if !okM || !okY {
		return nil, typeErr("%s: month and year are numbers of days", c.Name)
	}
	target, ok := timeUnit(unit, monthDays, yearDays)
	if !ok {
		return nil, fmt.Errorf("to_time_unit() can not convert to the following unit: %s, available are ms, s, m, h, d, w, mo, y", unit)
	}
	re, err := pyre.Compile(`(-?\d+)(\w+)`, 0)
	if err != nil {
		return nil, err
	}
	sum := 0.0
	for _, part := range strings.Fields(s) {
		m, err := re.Match(part)
		if err != nil {
			return nil, err
		}
		if m == nil {
			return nil, fmt.Errorf("to_time_unit() can not interpret following string: %s", s)
		}
		digits, _ := m.Group(1)
		name, _ := m.Group(2)
		n, err := strconv.ParseFloat(digits, 64)
		length, ok := timeUnit(name, monthDays, yearDays)
		if err != nil || !ok {
			return nil, fmt.Errorf("to_time_unit() can not interpret following string: %s", s)
		}
		sum += n * length
	}
	return value.Float(roundDigits(sum/target, 12)), nil
}

// roundDigits is Python's round(x, digits): correct for the decimal digits of x.
func roundDigits(x float64, digits int) float64 {
	if math.Abs(x) > 1e15 {
		return x
	}
	r, err := strconv.ParseFloat(strconv.FormatFloat(x, 'f', digits, 64), 64)
	if err != nil {
		return x
	}
	return r
}
