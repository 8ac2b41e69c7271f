package report

import (
	"fmt"
	"io"
	"strings"
	"time"

	"orch/modules"
	"orch/playbook/jinja/value"
	"orch/playbook/run"
)

// Plain prints what changes and what goes wrong, a line for each host and task, and a
// recap: for logs and pipes. -v adds hosts with nothing to change and values, -vv the
// places of tasks, -vvv arguments.
func Plain(w io.Writer, o Options) run.Sink {
	p := newPlain(w, o)
	return p.event
}

type plain struct {
	printer
	o     Options
	tasks map[int]run.TaskStart
	last  int // the task whose heading was printed
	check bool
	// before and after are called around what is printed; nil for nothing (terminal).
	before, after func()
}

func newPlain(w io.Writer, o Options) *plain {
	return &plain{printer: printer{w: w}, o: o, tasks: map[int]run.TaskStart{}}
}

func (p *plain) event(ev run.Event) {
	switch ev := ev.(type) {
	case run.RunStart:
		p.check = ev.Check
	case run.PlayStart:
		p.play(ev)
	case run.NoHosts:
		p.around(func() { p.noHosts(ev) })
	case run.TaskStart:
		p.tasks[ev.ID] = ev
	case run.Resumed:
		p.line(ev.ID, func() {
			p.printf("  %s %s: %s done before\n", p.word("goes on", cyan), ev.Host, plural(ev.Done, "task"))
		})
	case run.HostLine:
		if p.o.Verbosity > 0 {
			p.line(ev.ID, func() { p.printf("  %s: %s\n", ev.Host, ev.Line) })
		}
	case run.ItemDone:
		p.done(ev.ID, ev.Host, ev.Label, ev.Result, false)
	case run.Retry:
		p.line(ev.ID, func() {
			p.printf("  %s %s: %s (try %d of %d)\n", p.word("retrying", yellow), ev.Host, first(ev.Result.Msg), ev.Attempt, ev.Retries)
		})
	case run.AsyncPoll:
		if p.o.Verbosity > 0 {
			p.line(ev.ID, func() { p.printf("  %s: job %s is still running\n", ev.Host, ev.Job) })
		}
	case run.TaskDone:
		p.done(ev.ID, ev.Host, "", ev.Result, ev.Loop)
	case run.Included:
		if p.o.Verbosity > 0 {
			p.line(ev.ID, func() { p.printf("  included %s for %s\n", ev.File, strings.Join(ev.Hosts, ", ")) })
		}
	case run.Notified:
		if p.o.Verbosity > 1 && ev.Saved {
			p.line(ev.ID, func() { p.printf("  %s: notified %s\n", ev.Host, strings.Join(ev.Handlers, ", ")) })
		}
	case run.Warning:
		p.around(func() { p.printf("%s\n", p.o.paint(yellow, p.o.explain(ev.Diagnostic))) })
	case run.Stopping:
		p.around(func() { p.printf("%s\n", p.o.paint(yellow, stopping(ev))) })
	case run.RunDone:
		p.recap(ev)
	}
}

func stopping(ev run.Stopping) string {
	if ev.Grace == 0 {
		return "interrupted: what runs is ended now"
	}
	return fmt.Sprintf("interrupted: no new task begins, and what runs has %s to end; Ctrl-C again ends it at once", ev.Grace)
}

func (p *plain) around(f func()) {
	if p.before != nil {
		p.before()
	}
	f()
	if p.after != nil {
		p.after()
	}
}

func (p *plain) play(ev run.PlayStart) {
	p.last = 0
	p.around(func() {
		p.printf("\n%s", p.o.paint(bold, "PLAY "+ev.Name))
		if ev.Batches > 1 {
			p.printf(" (batch %d of %d)", ev.Batch, ev.Batches)
		}
		if n := len(ev.Hosts); n == 0 {
			p.printf("\n")
		} else if n > 5 {
			p.printf(": %d hosts\n", n)
		} else {
			p.printf(": %s\n", strings.Join(ev.Hosts, ", "))
		}
	})
}

func (p *plain) noHosts(ev run.NoHosts) {
	if ev.Matched {
		p.printf("  no hosts are left\n")
		return
	}
	p.printf("  no hosts matched\n")
}

// line prints something of a task, under its heading.
func (p *plain) line(id int, f func()) {
	p.around(func() {
		if p.last != id {
			p.last = id
			t := p.tasks[id]
			word := "TASK"
			if t.Handler {
				word = "HANDLER"
			}
			p.printf("%s", p.o.paint(bold, word+" "+t.Name))
			if p.o.Verbosity > 1 && t.Pos.File != "" {
				p.printf("  (%s:%d)", t.Pos.File, t.Pos.Line)
			}
			p.printf("\n")
		}
		f()
	})
}

func (p *plain) word(word, code string) string { return p.o.paint(code, fmt.Sprintf("%-11s", word)) }

// done prints a result, if there is something to say about it.
func (p *plain) done(id int, host, label string, r run.Result, loop bool) {
	t := p.tasks[id]
	debug := t.Module == "ansible.builtin.debug" && r.Status == run.OK && !r.Maybe && !r.NoLog
	quiet := (r.Status == run.OK || r.Status == run.Skipped) && !r.Maybe && len(r.Warnings) == 0
	if loop && r.Status != run.Unreachable {
		return // the items said it
	}
	if quiet && !debug && p.o.Verbosity == 0 {
		return
	}
	p.line(id, func() {
		who := host
		if r.Delegated != "" && r.Delegated != host {
			who += " → " + r.Delegated
		}
		if label != "" {
			who += " (" + label + ")"
		}
		word, code := status(r, t.Check)
		p.printf("  %s %s%s\n", p.word(word, code), who, summary(r, debug, t.Check))
		p.details(r, debug)
	})
}

// status is a word for a result; check says that the task was only planned.
func status(r run.Result, check bool) (word, code string) {
	switch {
	case r.Status == run.Failed && (r.Ignored || r.Rescued):
		return "failed", yellow
	case r.Status == run.Failed:
		return "FAILED", red
	case r.Status == run.Unreachable:
		return "UNREACHABLE", brightRed
	case r.Unknown:
		return "unknown", cyan
	case r.Maybe:
		return "may change", cyan
	case r.Status == run.Changed && check:
		return "would", yellow
	case r.Status == run.Changed:
		return "changed", yellow
	case r.Status == run.Skipped:
		return "skipped", cyan
	}
	return "ok", green
}

// summary is what follows the host on its line.
func summary(r run.Result, debug, check bool) string {
	switch {
	case r.Status == run.Failed || r.Status == run.Unreachable:
		text := ": " + first(r.Msg)
		if r.Ignored {
			text += " (ignored)"
		}
		if r.Rescued {
			text += " (rescued)"
		}
		return text
	case r.Unknown:
		return ": " + r.Msg
	case debug:
		return ""
	}
	var titles []string
	for _, s := range r.Steps {
		switch {
		case s.Changed && r.Status == run.Changed, check && s.Effect == modules.Change:
			titles = append(titles, s.Title)
		case check && s.Effect == modules.Maybe:
			titles = append(titles, s.Title+"?")
		}
	}
	if titles != nil {
		return ": " + strings.Join(titles, "; ")
	}
	if r.Status == run.Skipped && r.Msg != "" {
		return ": " + first(r.Msg)
	}
	return ""
}

// details are the lines below a result.
func (p *plain) details(r run.Result, debug bool) {
	for _, w := range r.Warnings {
		p.indent(p.o.paint(yellow, "warning: "+w))
	}
	if debug && r.Value != nil {
		for k, v := range r.Value.All() {
			if name := value.String(k); shownByDebug(name) {
				p.indent(name + ": " + text(v))
			}
		}
	}
	switch {
	case r.NoLog:
	case r.Status == run.Failed:
		p.failure(r)
	case r.Status == run.Unreachable:
		p.indent(after(r.Msg))
	}
	if p.o.Diff && r.Status != run.Failed {
		for _, d := range r.Diffs {
			p.indent(strings.TrimRight(p.o.diffText(d), "\n"))
		}
	}
	if p.o.Verbosity > 2 && r.Args != nil {
		p.indent("arguments: " + toJSON(r.Args, ""))
	}
	if p.o.Verbosity > 0 && r.Value != nil && !debug {
		p.indent(toJSON(r.Value, "  "))
	}
}

func shownByDebug(name string) bool {
	switch name {
	case "changed", "failed", "skipped", "item", "ansible_loop_var", "warnings", "attempts", "ansible_index_var":
		return false
	}
	return !strings.HasPrefix(name, "_ansible_")
}

func text(v value.Value) string {
	if s, ok := v.(value.Str); ok {
		return s.S
	}
	return toJSON(v, "  ")
}

func (p *plain) failure(r run.Result) {
	if rest := after(r.Msg); rest != "" {
		p.indent(rest)
	}
	if f := r.Failure; f != nil {
		if len(f.Cmd) > 0 {
			p.indent("command: " + strings.Join(f.Cmd, " "))
		}
		if f.RC != nil {
			p.indent(fmt.Sprintf("exit code: %d", *f.RC))
		}
		p.indent(tail(f.Stdout, 10))
		p.indent(tail(f.Stderr, 20))
		if f.Hint != "" {
			p.indent("hint: " + f.Hint)
		}
	}
	if r.Cause.Msg != "" && r.Cause.Pos.Line > 0 {
		cause := r.Cause
		if strings.HasPrefix(r.Msg, cause.Msg) { // it stands on the line above
			cause.Msg = "here"
		}
		p.indent(p.o.explain(cause))
	}
}

func (p *plain) indent(text string) {
	if text = strings.TrimRight(text, "\n"); text == "" {
		return
	}
	for line := range strings.Lines(text + "\n") {
		p.printf("      %s", line)
	}
}

func first(s string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(s), "\n")
	return line
}

func after(s string) string {
	_, rest, _ := strings.Cut(strings.TrimSpace(s), "\n")
	return rest
}

// tail is the last n lines of a text.
func tail(s string, n int) string {
	lines := strings.Split(strings.TrimRight(s, "\n"), "\n")
	if len(lines) > n {
		lines = append([]string{fmt.Sprintf("… %d lines", len(lines)-n)}, lines[len(lines)-n:]...)
	}
	return strings.Join(lines, "\n")
}

// recap is the table at the end, and what it comes to in one sentence.
func (p *plain) recap(ev run.RunDone) {
	if p.before != nil {
		p.before()
	}
	wide := 4
	for _, h := range ev.Hosts {
		wide = max(wide, width(h))
	}
	if len(ev.Hosts) > 0 {
		p.printf("\n%s\n", p.o.paint(bold, "RECAP"))
	}
	var all run.Counts
	for _, h := range ev.Hosts {
		c := ev.Recap[h]
		p.printf("  %s%s", h, strings.Repeat(" ", wide-width(h)))
		for _, f := range []struct {
			name, code string
			n          int
			always     bool
		}{
			{"ok", green, c.OK, true},
			{"changed", yellow, c.Changed, true},
			{"may change", cyan, c.Maybe, false},
			{"skipped", cyan, c.Skipped, false},
			{"ignored", yellow, c.Ignored, false},
			{"rescued", yellow, c.Rescued, false},
			{"failed", red, c.Failed, false},
			{"unreachable", brightRed, c.Unreachable, false},
		} {
			if f.n > 0 || f.always {
				code := f.code
				if f.n == 0 {
					code = ""
				}
				p.printf("  %s", p.o.paint(code, fmt.Sprintf("%s=%d", f.name, f.n)))
			}
		}
		p.printf("\n")
		all.Changed += c.Changed
		all.Maybe += c.Maybe
		all.Made += c.Made
		all.OK += c.OK
	}
	for _, h := range ev.Hosts {
		if names := ev.Pending[h]; names != nil {
			p.printf("  %s: handlers notified and not run: %s\n", h, strings.Join(names, ", "))
		}
	}
	if ev.Stats != nil {
		p.printf("  statistics: %s\n", toJSON(ev.Stats, ""))
	}
	p.printf("%s in %s\n", p.verdict(ev, all), ev.Duration.Round(10*time.Millisecond))
}

func (p *plain) verdict(ev run.RunDone, all run.Counts) string {
	var words []string
	if n := len(ev.Failed); n > 0 {
		words = append(words, p.o.paint(red, plural(n, "host")+" failed"))
	}
	if n := len(ev.Unreachable); n > 0 {
		words = append(words, p.o.paint(brightRed, plural(n, "host")+" unreachable"))
	}
	if ev.Interrupted {
		words = append(words, p.o.paint(red, "interrupted"))
	}
	switch {
	case all.Changed == all.Made && all.Maybe == 0 && p.check:
		words = append(words, "nothing would change")
	case all.Changed == 0 && len(words) == 0:
		words = append(words, p.o.paint(green, "nothing changed"))
	case p.check:
		change := plural(all.Changed-all.Made, "change") + " pending"
		if all.Maybe > 0 {
			change += fmt.Sprintf(", %d possible", all.Maybe)
		}
		words = append(words, p.o.paint(yellow, change))
	default:
		words = append(words, p.o.paint(yellow, plural(all.Changed, "change")))
	}
	if all.Made > 0 {
		words = append(words, p.o.paint(yellow, plural(all.Made, "change")+" made by tasks with check_mode: false"))
	}
	return strings.Join(words, ", ")
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
