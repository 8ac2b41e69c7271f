package host

import (
	"context"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"time"

	"orch/modules"
)

// A fileTime is one of a file's times as asked for: kept, now, or at.
type fileTime struct {
	keep, now bool
	at        time.Time
}

func (f *File) times(ctx context.Context, v modules.View, def string) (mtime, atime fileTime, err error) {
	if mtime, err = parseFileTime(ctx, v, f.ModificationTime, f.ModificationTimeFormat, def); err != nil {
		return mtime, atime, err
	}
	atime, err = parseFileTime(ctx, v, f.AccessTime, f.AccessTimeFormat, def)
	return mtime, atime, err
}

func parseFileTime(ctx context.Context, v modules.View, text, format, def string) (fileTime, error) {
	if text == "" {
		text = def
	}
	switch text {
	case "preserve":
		return fileTime{keep: true}, nil
	case "now":
		return fileTime{now: true}, nil
	}
	fail := func(err error) (fileTime, error) {
		return fileTime{}, modules.Failf("Error while obtaining timestamp for time %s using format %s: %s", text, format, err)
	}
	t, err := strptime(text, format)
	if err != nil {
		return fail(err)
	}
	// The time is local to the host; date(1) there knows its zone.
	out, err := v.Query(ctx, "date", "-d", t.Format("2006-01-02 15:04:05"), "+%s")
	if err != nil {
		return fileTime{}, err
	}
	n, err := strconv.ParseInt(strings.TrimSpace(out.Stdout), 10, 64)
	if err != nil {
		return fail(fmt.Errorf("date: %s", strings.TrimSpace(out.Stderr)))
	}
	return fileTime{at: time.Unix(n, 0)}, nil
}

// strptime is Python's time.strptime for numeric fields and month names.
func strptime(text, format string) (time.Time, error) {
	year, month, day, hour, minute, sec := 1900, 1, 1, 0, 0, 0
	pm, rest := "", text
	mismatch := fmt.Errorf("time data '%s' does not match format '%s'", text, format)
	for i := 0; i < len(format); i++ {
		c := format[i]
		if c != '%' || i+1 == len(format) {
			if c == ' ' {
				rest = strings.TrimLeft(rest, " \t\n")
				continue
			}
			if rest == "" || rest[0] != c {
				return time.Time{}, mismatch
			}
			rest = rest[1:]
			continue
		}
		i++
		var dst *int
		width := 2
		switch format[i] {
		case 'Y':
			dst, width = &year, 4
		case 'y':
			dst = &year
		case 'm':
			dst = &month
		case 'd':
			dst = &day
		case 'H', 'I':
			dst = &hour
		case 'M':
			dst = &minute
		case 'S':
			dst = &sec
		case 'b', 'B':
			n, name := monthName(rest)
			if n == 0 {
				return time.Time{}, mismatch
			}
			month, rest = n, rest[len(name):]
			continue
		case 'p':
			if len(rest) < 2 {
				return time.Time{}, mismatch
			}
			pm, rest = strings.ToLower(rest[:2]), rest[2:]
			continue
		default:
			return time.Time{}, fmt.Errorf("'%c' is a bad directive in format '%s'", format[i], format)
		}
		n := 0
		for n < width && n < len(rest) && rest[n] >= '0' && rest[n] <= '9' {
			n++
		}
		val, err := strconv.Atoi(rest[:n])
		if err != nil {
			return time.Time{}, mismatch
		}
		if format[i] == 'y' {
			val += 2000
			if val > 2068 {
				val -= 100
			}
		}
		*dst, rest = val, rest[n:]
	}
	if pm != "" {
		hour %= 12
		if pm == "pm" {
			hour += 12
		}
	}
	t := time.Date(year, time.Month(month), day, hour, minute, sec, 0, time.UTC)
	if rest != "" || t.Day() != day || int(t.Month()) != month || hour > 23 || minute > 59 || sec > 61 {
		return time.Time{}, mismatch
	}
	return t, nil
}

func monthName(s string) (int, string) {
	for m := time.January; m <= time.December; m++ {
		for _, name := range []string{m.String(), m.String()[:3]} {
			if len(s) >= len(name) && strings.EqualFold(s[:len(name)], name) {
				return int(m), name
			}
		}
	}
	return 0, ""
}

func (t fileTime) differs(have time.Time) bool { return t.now || !t.keep && !t.at.Equal(have) }

func (t fileTime) value(have time.Time) time.Time {
	switch {
	case t.now:
		return time.Now()
	case t.keep:
		return have
	}
	return t.at
}

// setTimes gives p the times asked for and says whether it had others.
func (f *File) setTimes(ctx context.Context, t modules.Target, p, def string) (bool, error) {
	mtime, atime, err := f.times(ctx, t, def)
	if err != nil || mtime.keep && atime.keep {
		return false, err
	}
	fi, err := t.Stat(ctx, p)
	if err != nil {
		return false, fileFailure(err)
	}
	if !mtime.differs(fi.Mtime) && !atime.differs(fi.Atime) {
		return false, nil
	}
	err = t.Chtimes(ctx, p, atime.value(fi.Atime), mtime.value(fi.Mtime), true)
	if e := fileFailure(err); err != nil && e != err {
		return false, modules.Failf("Error while updating modification or access time: %s", err)
	}
	return true, err
}

// attrAndTimes makes the steps for owner, group, mode and times of what is at p.
func (f *File) attrAndTimes(ctx context.Context, v modules.View, p, def string) ([]step, error) {
	steps, err := f.attrSteps(ctx, v, p)
	if err != nil {
		return nil, err
	}
	mtime, atime, err := f.times(ctx, v, def)
	if err != nil || mtime.keep && atime.keep {
		return steps, err
	}
	fi, err := stat(ctx, v, p)
	if err != nil || fi == nil {
		return steps, err
	}
	if mtime.differs(fi.Mtime) || atime.differs(fi.Atime) {
		c := newChange(p)
		if !mtime.keep {
			c.add("mtime", seconds(fi.Mtime), seconds(mtime.value(fi.Mtime)))
		}
		if !atime.keep {
			c.add("atime", seconds(fi.Atime), seconds(atime.value(fi.Atime)))
		}
		steps = append(steps, step{
			Title: "set the times of " + p, Diff: c.diff(), Always: mtime.now || atime.now,
			Do: func(ctx context.Context, t modules.Target) (bool, error) { return f.setTimes(ctx, t, p, def) },
		})
	}
	return steps, nil
}

// recurse compares everything inside the folder; what differs is set by one step.
func (f *File) recurse(ctx context.Context, v modules.View) ([]step, error) {
	var paths []string
	seen := map[[2]uint64]bool{}
	note := func(p string) error {
		steps, err := f.attrAndTimes(ctx, v, p, "preserve")
		if len(steps) > 0 {
			paths = append(paths, p)
		}
		return err
	}
	var walk func(dir string) error
	walk = func(dir string) error {
		entries, err := v.ReadDir(ctx, dir)
		if err != nil {
			return fileFailure(err)
		}
		for _, e := range entries {
			p := path.Join(dir, e.Name)
			if err := note(p); err != nil {
				return err
			}
			if e.Mode&fs.ModeSymlink != 0 && f.Follow {
				fi, err := stat(ctx, v, p)
				if err != nil || fi == nil || seen[[2]uint64{fi.Dev, fi.Inode}] {
					continue
				}
				seen[[2]uint64{fi.Dev, fi.Inode}] = true
				if p, err = realpath(ctx, v, p); err != nil {
					return err
				}
				if err := note(p); err != nil {
					return err
				}
				e = *fi
			}
			if e.Mode.IsDir() {
				if err := walk(p); err != nil {
					return err
				}
			}
		}
		return nil
	}
	if err := walk(f.Path); err != nil || paths == nil {
		return nil, err
	}
	what := paths[0]
	if len(paths) > 1 {
		what = fmt.Sprintf("%d paths under %s", len(paths), f.Path)
	}
	return []step{{Title: "change the attributes of " + what, Do: func(ctx context.Context, t modules.Target) (bool, error) {
		for _, p := range paths {
			if _, err := f.apply(ctx, t, p); err != nil {
				return true, err
			}
			if _, err := f.setTimes(ctx, t, p, "preserve"); err != nil {
				return true, err
			}
		}
		return true, nil
	}}}, nil
}
