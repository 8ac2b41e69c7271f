package report

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"orch/playbook/run"
)

// JUnit collects results and writes them, when the run ends, as a JUnit report: a suite
// a play, a case a task on a host. Ignored and rescued failures are no failures.
func JUnit(w io.Writer) run.Sink {
	j := &junit{w: w, tasks: map[int]run.TaskStart{}}
	return j.event
}

type junit struct {
	w      io.Writer
	suites []*suite
	tasks  map[int]run.TaskStart
	failed map[string][]string // texts of failed items, by task and host
	err    error
}

type suites struct {
	XMLName  xml.Name `xml:"testsuites"`
	Tests    int      `xml:"tests,attr"`
	Failures int      `xml:"failures,attr"`
	Errors   int      `xml:"errors,attr"`
	Skipped  int      `xml:"skipped,attr"`
	Time     string   `xml:"time,attr"`
	Suites   []*suite `xml:"testsuite"`
}

type suite struct {
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Errors   int         `xml:"errors,attr"`
	Skipped  int         `xml:"skipped,attr"`
	Time     string      `xml:"time,attr"`
	Stamp    string      `xml:"timestamp,attr"`
	Cases    []*testcase `xml:"testcase"`

	spent time.Duration
}

type testcase struct {
	Name      string   `xml:"name,attr"`
	Classname string   `xml:"classname,attr"`
	Time      string   `xml:"time,attr"`
	Failure   *problem `xml:"failure"`
	Error     *problem `xml:"error"`
	Skipped   *problem `xml:"skipped"`
	Output    string   `xml:"system-out,omitempty"`
}

type problem struct {
	Message string `xml:"message,attr,omitempty"`
	Text    string `xml:",chardata"`
}

func (j *junit) event(ev run.Event) {
	switch ev := ev.(type) {
	case run.PlayStart:
		name := ev.Name
		if ev.Batches > 1 {
			name += fmt.Sprintf(" (batch %d of %d)", ev.Batch, ev.Batches)
		}
		j.suites = append(j.suites, &suite{Name: clean(name), Stamp: time.Now().UTC().Format("2006-01-02T15:04:05")})
	case run.TaskStart:
		j.tasks[ev.ID] = ev
	case run.ItemDone:
		if ev.Result.Status == run.Failed {
			if j.failed == nil {
				j.failed = map[string][]string{}
			}
			key := fmt.Sprint(ev.ID, " ", ev.Host)
			j.failed[key] = append(j.failed[key], "item "+ev.Label+": "+ev.Result.Msg)
		}
	case run.TaskDone:
		j.done(ev)
	case run.RunDone:
		j.write(ev.Duration)
	}
}

func (j *junit) done(ev run.TaskDone) {
	t, r := j.tasks[ev.ID], ev.Result
	if t.Implicit || t.Module == "ansible.builtin.meta" || len(j.suites) == 0 {
		return
	}
	s := j.suites[len(j.suites)-1]
	c := &testcase{
		Name: clean(fmt.Sprintf("[%s] %s", ev.Host, t.Name)), Classname: clean(place(t)), Time: seconds(r.Duration),
	}
	s.Tests++
	s.spent += r.Duration
	text := r.Msg
	if f := r.Failure; f != nil && f.Stderr != "" {
		text += "\n" + f.Stderr
	}
	if items := j.failed[fmt.Sprint(ev.ID, " ", ev.Host)]; items != nil {
		text += "\n" + strings.Join(items, "\n")
	}
	p := &problem{Message: clean(first(r.Msg)), Text: clean(text)}
	switch {
	case (r.Status == run.Failed || r.Status == run.Unreachable) && (r.Ignored || r.Rescued):
		c.Output = clean(text)
	case r.Status == run.Failed:
		c.Failure = p
		s.Failures++
	case r.Status == run.Unreachable:
		c.Error = p
		s.Errors++
	case r.Status == run.Skipped:
		c.Skipped = &problem{Message: p.Message}
		s.Skipped++
	}
	s.Cases = append(s.Cases, c)
}

func place(t run.TaskStart) string {
	if t.Pos.File == "" {
		return t.Module
	}
	return fmt.Sprintf("%s:%d", t.Pos.File, t.Pos.Line)
}

func (j *junit) write(spent time.Duration) {
	all := suites{Suites: j.suites, Time: seconds(spent)}
	for _, s := range j.suites {
		s.Time = seconds(s.spent)
		all.Tests += s.Tests
		all.Failures += s.Failures
		all.Errors += s.Errors
		all.Skipped += s.Skipped
	}
	if _, j.err = io.WriteString(j.w, xml.Header); j.err != nil {
		return
	}
	enc := xml.NewEncoder(j.w)
	enc.Indent("", "  ")
	if j.err = enc.Encode(all); j.err == nil {
		_, j.err = io.WriteString(j.w, "\n")
	}
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.3f", d.Seconds()) }

// clean drops what XML has no form for.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || r < 0x20 && r != '\n' && r != '\t' && r != '\r' {
			return -1
		}
		return r
	}, s)
}
