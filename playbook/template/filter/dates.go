package filter

import (
	"fmt"
	"math"
	"strings"
	"time"

	"orch/playbook/jinja"
	"orch/playbook/jinja/value"
)

var dateFilters = []def{
	{
		names: "strftime", sig: "second=None, utc=False", filter: strftimeFilter,
		doc: "Formats a time with the format that is piped in (that of strftime in the C locale): the given seconds since 1970, or now; " +
			"in the controller's time zone, or UTC with utc=true.",
		examples: []string{"{{ '%Y-%m-%d %H:%M:%S %Z' | strftime(1441357287, utc=true) }}", "2015-09-04 09:01:27 GMT"},
	},
	{
		names: "to_datetime", sig: "format='%Y-%m-%d %H:%M:%S'", filter: toDatetime,
		doc: "Reads a time of the given format. The result has year, month, day, hour, minute, second, strftime(), isoformat(), timestamp(), " +
			"and subtracting two gives a difference with days, seconds and total_seconds().",
		examples: []string{
			"{{ ('2016-08-14 20:00:12' | to_datetime) - ('2016-08-13 18:00:00' | to_datetime) }}", "1 day, 2:00:12",
			"{{ (('2016-08-14' | to_datetime('%Y-%m-%d')) - ('2016-08-13' | to_datetime('%Y-%m-%d'))).total_seconds() }}", "86400.0",
		},
	},
}

func strftimeFilter(c *call) (value.Value, error) {
	format, err := c.input()
	if err != nil {
		return nil, err
	}
	t := time.Now()
	if c.has(0) {
		sec, err := value.ToFloat(c.args[0])
		if err != nil {
			return nil, valueErr("Invalid value for epoch value (%s)", value.String(c.args[0]))
		}
		whole, frac := math.Modf(float64(sec))
		t = time.Unix(int64(whole), int64(frac*1e9))
	}
	if c.truth(1) {
		t = t.In(time.FixedZone("GMT", 0)) // what CPython calls it
	} else {
		t = t.Local()
	}
	return value.S(strftime(format, t, true)), nil
}

// A dateTime is Python's datetime.datetime, with or without a time zone.
type dateTime struct {
	t     time.Time
	aware bool
}

// Type implements value.Value.
func (*dateTime) Type() string { return "datetime" }

func (d *dateTime) isoformat(sep string) string {
	s := d.t.Format("2006-01-02") + sep + d.t.Format("15:04:05")
	if us := d.t.Nanosecond() / 1000; us != 0 {
		s += fmt.Sprintf(".%06d", us)
	}
	if d.aware {
		s += d.t.Format("-07:00")
	}
	return s
}

// Str implements value.Texter.
func (d *dateTime) Str() string { return d.isoformat(" ") }

// Repr implements value.Texter.
func (d *dateTime) Repr() string {
	parts := []string{d.t.Format("2006, 1, 2")}
	parts = append(parts, fmt.Sprint(d.t.Hour()), fmt.Sprint(d.t.Minute()))
	if s, us := d.t.Second(), d.t.Nanosecond()/1000; s != 0 || us != 0 {
		parts = append(parts, fmt.Sprint(s))
		if us != 0 {
			parts = append(parts, fmt.Sprint(us))
		}
	}
	return "datetime.datetime(" + strings.Join(parts, ", ") + ")"
}

// method makes a callable attribute.
func method(name, sig string, do func(b jinja.Bound) (value.Value, error)) value.Value {
	return &jinja.Function{Name: name, Sig: signature(sig), Do: func(_ *jinja.Call, b jinja.Bound) (value.Value, error) { return do(b) }}
}

// Attr implements value.Object.
func (d *dateTime) Attr(name string) (value.Value, bool, error) {
	number := map[string]int{
		"year": d.t.Year(), "month": int(d.t.Month()), "day": d.t.Day(), "hour": d.t.Hour(),
		"minute": d.t.Minute(), "second": d.t.Second(), "microsecond": d.t.Nanosecond() / 1000,
	}
	if n, ok := number[name]; ok {
		return value.Int(n), true, nil
	}
	fixed := func(v value.Value) (value.Value, bool, error) {
		return method(name, "", func(jinja.Bound) (value.Value, error) { return v, nil }), true, nil
	}
	switch name {
	case "strftime":
		return method(name, "format", func(b jinja.Bound) (value.Value, error) {
			format, ok := asStr(b.Args[0])
			if !ok {
				return nil, typeErr("strftime() argument 1 must be str, not %s", b.Args[0].Type())
			}
			return value.S(strftime(format, d.t, d.aware)), nil
		}), true, nil
	case "isoformat":
		return method(name, "sep='T'", func(b jinja.Bound) (value.Value, error) {
			return value.S(d.isoformat(value.String(b.Args[0]))), nil
		}), true, nil
	case "timestamp":
		return fixed(value.Float(float64(d.instant().UnixMicro()) / 1e6))
	case "weekday":
		return fixed(value.Int((d.t.Weekday() + 6) % 7))
	case "isoweekday":
		return fixed(value.Int((d.t.Weekday()+6)%7 + 1))
	case "toordinal":
		return fixed(value.Int(d.t.Truncate(24*time.Hour).Unix()/86400 + 719163))
	case "date":
		return fixed(value.S(d.t.Format("2006-01-02")))
	case "time":
		return fixed(value.S(d.isoformat(" ")[11:]))
	}
	return nil, false, nil
}

// instant is the moment meant: one without a zone is of the controller's local time.
func (d *dateTime) instant() time.Time {
	if d.aware {
		return d.t
	}
	return time.Date(d.t.Year(), d.t.Month(), d.t.Day(), d.t.Hour(), d.t.Minute(), d.t.Second(), d.t.Nanosecond(), time.Local)
}

// Operate implements value.Operand: differences, and adding a difference.
func (d *dateTime) Operate(op string, other value.Value, reflected bool) (value.Value, bool, error) {
	switch o := other.(type) {
	case *dateTime:
		if op != "-" || reflected {
			return nil, false, nil
		}
		if d.aware != o.aware {
			return nil, true, typeErr("can't subtract offset-naive and offset-aware datetimes")
		}
		return timeDelta(d.t.Sub(o.t)), true, nil
	case timeDelta:
		switch {
		case op == "+":
			return &dateTime{d.t.Add(time.Duration(o)), d.aware}, true, nil
		case op == "-" && !reflected:
			return &dateTime{d.t.Add(-time.Duration(o)), d.aware}, true, nil
		}
	}
	return nil, false, nil
}

// CompareTo implements value.Comparer.
func (d *dateTime) CompareTo(other value.Value) (int, bool) {
	o, ok := other.(*dateTime)
	if !ok || d.aware != o.aware {
		return 0, false
	}
	return d.t.Compare(o.t), true
}

// A timeDelta is Python's datetime.timedelta.
type timeDelta time.Duration

// Type implements value.Value.
func (timeDelta) Type() string { return "timedelta" }

// split is the difference as Python keeps it: only the days can be negative.
func (d timeDelta) split() (days, seconds, micros int64) {
	us := time.Duration(d).Microseconds()
	const day = 86400 * 1e6
	days = int64(math.Floor(float64(us) / day))
	us -= days * day
	return days, us / 1e6, us % 1e6
}

// Str implements value.Texter.
func (d timeDelta) Str() string {
	days, s, us := d.split()
	out := fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
	if us != 0 {
		out += fmt.Sprintf(".%06d", us)
	}
	switch days {
	case 0:
		return out
	case 1, -1:
		return fmt.Sprintf("%d day, %s", days, out)
	}
	return fmt.Sprintf("%d days, %s", days, out)
}

// Repr implements value.Texter.
func (d timeDelta) Repr() string {
	days, s, us := d.split()
	var parts []string
	for _, p := range []struct {
		name string
		n    int64
	}{{"days", days}, {"seconds", s}, {"microseconds", us}} {
		if p.n != 0 {
			parts = append(parts, fmt.Sprintf("%s=%d", p.name, p.n))
		}
	}
	if parts == nil {
		parts = []string{"0"}
	}
	return "datetime.timedelta(" + strings.Join(parts, ", ") + ")"
}

// Truth implements value.Truther.
func (d timeDelta) Truth() bool { return d != 0 }

// Attr implements value.Object.
func (d timeDelta) Attr(name string) (value.Value, bool, error) {
	days, s, us := d.split()
	switch name {
	case "days":
		return value.Int(days), true, nil
	case "seconds":
		return value.Int(s), true, nil
	case "microseconds":
		return value.Int(us), true, nil
	case "total_seconds":
		return method(name, "", func(jinja.Bound) (value.Value, error) {
			return value.Float(float64(time.Duration(d).Microseconds()) / 1e6), nil
		}), true, nil
	}
	return nil, false, nil
}

// Operate implements value.Operand.
func (d timeDelta) Operate(op string, other value.Value, reflected bool) (value.Value, bool, error) {
	if o, ok := other.(timeDelta); ok {
		switch op {
		case "+":
			return d + o, true, nil
		case "-":
			if reflected {
				d, o = o, d
			}
			return d - o, true, nil
		case "/":
			if reflected {
				d, o = o, d
			}
			if o == 0 {
				return nil, true, value.Errorf("ZeroDivisionError", "division by zero")
			}
			return value.Float(float64(d) / float64(o)), true, nil
		}
		return nil, false, nil
	}
	f, ok := asFloat(other)
	switch {
	case ok && op == "*":
		return timeDelta(float64(d) * f), true, nil
	case ok && op == "/" && !reflected && f != 0:
		return timeDelta(float64(d) / f), true, nil
	}
	return nil, false, nil
}

// CompareTo implements value.Comparer.
func (d timeDelta) CompareTo(other value.Value) (int, bool) {
	o, ok := other.(timeDelta)
	switch {
	case !ok:
		return 0, false
	case d < o:
		return -1, true
	case d > o:
		return 1, true
	}
	return 0, true
}
