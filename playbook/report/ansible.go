package report

import (
	"cmp"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"orch/playbook/jinja/value"
	"orch/playbook/run"
	"orch/playbook/source"
)

// AnsibleOptions are the settings of Ansible's default callback, by their names.
type AnsibleOptions struct {
	Options
	HideSkipped     bool // display_skipped_hosts = false
	HideOK          bool // display_ok_hosts = false
	FailedStderr    bool // display_failed_stderr
	ShowStart       bool // show_per_host_start
	CheckMarkers    bool // check_mode_markers
	PathOnFailure   bool // show_task_path_on_failure
	ShowCustomStats bool // show_custom_stats
	ShowArgs        bool // display_args_to_stdout
	NoDeprecations  bool // deprecation_warnings = false
	Pretty          *bool
	YAML            bool // callback_result_format = yaml
	// NoSystemWarnings and VerboseToStderr concern what only Ansible itself has to say:
	// warnings about its installation, and its -v messages beside those of the callback.
	NoSystemWarnings, VerboseToStderr bool
	// Log keeps what is said; nil keeps nothing.
	Log *Log
	// Display says warnings; nil makes one. Who else has something to say shares it, so
	// that each text is said once.
	Display *Display
}

// Ansible prints what ansible-playbook 2.18 prints with its default callback, to the
// letter: results to out, warnings to errs.
func Ansible(out, errs io.Writer, o AnsibleOptions) run.Sink {
	return newAnsible(out, errs, o).event
}

func newAnsible(out, errs io.Writer, o AnsibleOptions) *ansible {
	say := o.Display
	if say == nil {
		say = NewDisplay(out, errs, o)
	}
	return &ansible{printer: printer{w: out}, say: say, o: o, tasks: map[int]run.TaskStart{}, columns: say.columns}
}

type ansible struct {
	printer
	say     *Display
	o       AnsibleOptions
	columns int
	// oneLine is set for the oneline callback, which takes the line ends out of JSON that
	// was made with them.
	oneLine bool
	tasks   map[int]run.TaskStart
	banner  int // the task whose banner was printed last
	free    bool
	check   bool
}

func (a *ansible) event(ev run.Event) {
	switch ev := ev.(type) {
	case run.RunStart:
		a.check = ev.Check
	case run.PlaybookStart:
		if a.o.Verbosity > 1 {
			a.stars("PLAYBOOK: " + filepath.Base(ev.Path))
			a.display(fmt.Sprintf("%d plays in %s", ev.Plays, ev.Path), blue)
		}
		if a.check && a.o.CheckMarkers {
			a.stars("DRY RUN")
		}
	case run.PlayStart:
		a.play(ev)
	case run.NoHosts:
		if ev.Matched {
			a.stars("NO MORE HOSTS LEFT")
		} else {
			a.display("skipping: no hosts matched", cyan)
		}
	case run.TaskStart:
		a.start(ev)
	case run.HostStart:
		a.o.Log.exec(ev.Host, a.tasks[ev.ID].Module)
		if t := a.tasks[ev.ID]; a.o.ShowStart && ev.Item == "" {
			a.display(fmt.Sprintf(" [started %s on %s]", kind(t)+": "+t.Name, ev.Host), green)
		}
	case run.HostLine:
		if a.tasks[ev.ID].Module == "ansible.builtin.pause" {
			a.display(ev.Line, "")
		}
	case run.ItemDone:
		a.item(ev)
	case run.Retry:
		a.retry(ev)
	case run.AsyncPoll:
		if ev.Job == "" { // hidden by no_log
			a.display(fmt.Sprintf("ASYNC POLL on %s: jid=None started=None finished=None", ev.Host), darkGray)
			return
		}
		a.display(fmt.Sprintf("ASYNC POLL on %s: jid=%s started=%d finished=%d", ev.Host, ev.Job, one(ev.Started), one(ev.Finished)), darkGray)
	case run.AsyncDone:
		switch {
		case ev.Failed:
			a.display(fmt.Sprintf("ASYNC FAILED on %s: jid=%s", ev.Host, cmp.Or(ev.Job, "None")), darkGray)
		case !a.o.HideOK:
			a.display(fmt.Sprintf("ASYNC OK on %s: jid=%s", ev.Host, cmp.Or(ev.Job, "None")), darkGray)
		}
	case run.TaskDone:
		a.done(ev)
	case run.Included:
		msg := fmt.Sprintf("included: %s for %s", ev.File, strings.Join(ev.Hosts, ", "))
		if ev.Label != "" {
			msg += fmt.Sprintf(" => (item=%s)", ev.Label)
		}
		a.display(msg, cyan)
	case run.Notified:
		if a.o.Verbosity > 1 {
			for _, name := range ev.Handlers {
				if ev.Saved {
					a.display(fmt.Sprintf("Notification for handler %s has been saved.", name), blue)
				} else {
					a.display(fmt.Sprintf("NOTIFIED HANDLER %s for %s", name, ev.Host), blue)
				}
			}
		}
	case run.Stopping:
		a.say.Trouble("User interrupted execution")
	case run.Warning:
		a.warning(ev)
	case run.PlaybookDone:
		a.stats(ev.RunDone)
	case run.RunDone:
		a.stats(ev)
	}
}

func one(b bool) int {
	if b {
		return 1
	}
	return 0
}

func kind(t run.TaskStart) string {
	if t.Handler {
		return "HANDLER"
	}
	return "TASK"
}

// display prints a line on stdout.
func (a *ansible) display(msg, code string) {
	a.o.Log.add(levelInfo, msg)
	a.printf("%s", a.o.paint(code, strings.TrimSuffix(msg, "\n"))+"\n")
}

// failing prints a line of a failure, where the settings want it.
func (a *ansible) failing(msg, code string) {
	if a.o.FailedStderr {
		a.say.write(code, msg)
		return
	}
	a.display(msg, code)
}

// stars is a banner: the text and stars up to the width.
func (a *ansible) stars(msg string) {
	msg = strings.TrimSpace(msg)
	n := max(3, a.columns-width(msg))
	a.o.Log.add(levelInfo, msg+" "+strings.Repeat("*", n))
	a.printf("\n%s %s\n", msg, strings.Repeat("*", n))
}

func (a *ansible) play(ev run.PlayStart) {
	a.free = ev.Strategy == "free" || ev.Strategy == "host_pinned"
	a.banner = 0
	mark := ""
	if ev.Check && a.o.CheckMarkers {
		mark = " [CHECK MODE]"
	}
	if name := strings.TrimSpace(ev.Name); name != "" {
		a.stars("PLAY [" + name + "]" + mark)
		return
	}
	a.stars("PLAY" + mark)
}

func (a *ansible) start(t run.TaskStart) {
	a.tasks[t.ID] = t
	if !a.free && !a.o.HideSkipped && !a.o.HideOK {
		a.head(t)
	}
}

// head prints a task's banner.
func (a *ansible) head(t run.TaskStart) {
	prefix := "TASK"
	if t.Handler {
		prefix = "RUNNING HANDLER"
	}
	name := strings.TrimSpace(t.Name)
	if t.Args != "" && a.o.ShowArgs {
		name += " " + t.Args
	}
	mark := ""
	if t.Check && a.o.CheckMarkers {
		mark = " [CHECK MODE]"
	}
	a.stars(prefix + " [" + name + "]" + mark)
	if a.o.Verbosity >= 2 {
		a.path(t)
	}
	a.banner = t.ID
}

func (a *ansible) path(t run.TaskStart) {
	if t.Pos.File != "" {
		a.display(fmt.Sprintf("task path: %s:%d", source.Absolute(t.Pos.File), t.Pos.Line), darkGray)
	}
}

// need prints the banner if another task's was the last.
func (a *ansible) need(t run.TaskStart) {
	if a.banner != t.ID {
		a.head(t)
	}
}

func hostLabel(host string, r run.Result) string {
	if r.Delegated == "" || r.Delegated == host {
		return host
	}
	label := host + " -> " + r.Delegated
	if r.Address != "" && r.Address != r.Delegated {
		label += "(" + r.Address + ")"
	}
	return label
}

// include says whether a task's ok results are shown by Included instead.
func include(t run.TaskStart) bool {
	return t.Module == "ansible.builtin.include_tasks" || t.Module == "ansible.builtin.include_role"
}

func (a *ansible) item(ev run.ItemDone) {
	t, r := a.tasks[ev.ID], ev.Result
	label := hostLabel(ev.Host, r)
	if r.NoLog {
		ev.Label = "None" // what is left of a censored result has no label
	}
	switch {
	case r.Status == run.Failed || r.Status == run.Unreachable:
		a.need(t)
		a.warnings(r)
		a.failing(fmt.Sprintf("failed: [%s] (item=%s) => %s", label, ev.Label, a.dump(t, r)), red)
	case r.Status == run.Skipped:
		if a.o.HideSkipped {
			return
		}
		a.need(t)
		msg := fmt.Sprintf("skipping: [%s] => (item=%s) ", ev.Host, ev.Label)
		if a.verbose(t, r, 0) {
			msg += " => " + a.dump(t, r)
		}
		a.display(msg, cyan)
	case include(t):
	default:
		a.diffs(t, r)
		word, code := "ok", green
		if r.Status == run.Changed {
			word, code = "changed", yellow
		} else if a.o.HideOK {
			return
		}
		a.need(t)
		msg := fmt.Sprintf("%s: [%s] => (item=%s)", word, label, ev.Label)
		if a.verbose(t, r, 0) {
			msg += " => " + a.dump(t, r)
		}
		a.display(msg, code)
	}
}

func (a *ansible) done(ev run.TaskDone) {
	t, r := a.tasks[ev.ID], ev.Result
	if t.Implicit {
		return
	}
	if r.NoLog { // the items are gone, so the result is shown as one without a loop
		ev.Loop = false
	}
	label := hostLabel(ev.Host, r)
	if t.Module == "ansible.builtin.meta" && r.Status != run.Failed {
		a.meta(ev, r)
		return
	}
	switch {
	case r.Status == run.Failed:
		if reason := field(r, "reason"); include(t) && reason != "" {
			a.say.Error(reason)
		}
		a.need(t)
		a.warnings(r)
		// debug's results are reduced to its message before they are looked at.
		if !ev.Loop || t.Module == "ansible.builtin.debug" {
			if a.o.Verbosity < 2 && a.o.PathOnFailure {
				a.path(t)
			}
			a.failing(fmt.Sprintf("fatal: [%s]: FAILED! => %s", label, a.dump(t, r)), red)
		}
		if r.Ignored {
			a.display("...ignoring", cyan)
		}
	case r.Status == run.Unreachable:
		a.need(t)
		a.failing(fmt.Sprintf("fatal: [%s]: UNREACHABLE! => %s", label, a.dump(t, r)), brightRed)
		if r.Ignored {
			a.display("...ignoring", cyan)
		}
	case r.Status == run.Skipped:
		if a.o.HideSkipped {
			return
		}
		a.need(t)
		msg := fmt.Sprintf("skipping: [%s]", ev.Host)
		if a.verbose(t, r, 0) {
			msg += " => " + a.dump(t, r)
		}
		a.display(msg, cyan)
	case include(t):
		a.need(t)
	default:
		a.ok(ev, t, r, label)
	}
}

// meta shows what a meta task did: nothing unless asked, but that it was skipped.
func (a *ansible) meta(ev run.TaskDone, r run.Result) {
	text := r.Msg
	if r.Status == run.Skipped {
		text = field(r, "skip_reason")
	}
	if a.o.Verbosity > 1 {
		a.display("META: "+text, blue)
	}
	if r.Status == run.Skipped && !a.o.HideSkipped {
		msg := fmt.Sprintf("skipping: [%s]", ev.Host)
		if a.o.Verbosity > 0 {
			msg += " => " + a.dump(a.tasks[ev.ID], r)
		}
		a.display(msg, cyan)
	}
}

func (a *ansible) ok(ev run.TaskDone, t run.TaskStart, r run.Result, label string) {
	if !ev.Loop {
		a.diffs(t, r)
	}
	msg, code := fmt.Sprintf("ok: [%s]", label), green
	if r.Status == run.Changed {
		msg, code = fmt.Sprintf("changed: [%s]", label), yellow
	} else if a.o.HideOK {
		return
	}
	a.need(t)
	a.warnings(r)
	if ev.Loop {
		return
	}
	if a.verbose(t, r, 0) {
		msg += " => " + a.dump(t, r)
	}
	a.display(msg, code)
}

// always says whether a result asks to be printed in full: that of debug and assert.
func always(t run.TaskStart, r run.Result) bool {
	switch {
	case r.Status == run.Skipped || r.NoLog || r.Cause.Msg != "":
		return false
	case t.Module == "ansible.builtin.assert":
		return !quiet(r)
	}
	return t.Module == "ansible.builtin.debug"
}

// quiet says whether assert was told to be.
func quiet(r run.Result) bool {
	if r.Args == nil {
		return false
	}
	v, ok := r.Args.GetStr("quiet")
	return ok && slices.Contains([]string{"true", "yes", "on", "1", "y", "t"}, strings.ToLower(value.String(v)))
}

// verbose says whether a result's value is printed: debug's always, gathered facts never
// (they would be pages).
func (a *ansible) verbose(t run.TaskStart, r run.Result, level int) bool {
	if always(t, r) {
		return true
	}
	switch t.Module {
	case "ansible.builtin.setup", "ansible.builtin.gather_facts":
		return false
	}
	return a.o.Verbosity > level
}

func (a *ansible) diffs(t run.TaskStart, r run.Result) {
	if !a.o.Diff && len(r.Diffs) == 0 || r.Status != run.Changed || r.NoLog {
		return
	}
	var b strings.Builder
	for _, d := range r.Diffs {
		b.WriteString(a.o.diffText(a.yamlDiff(d)))
	}
	if b.Len() > 0 {
		a.need(t)
		a.display(b.String(), "")
	}
}

func (a *ansible) retry(ev run.Retry) {
	t := a.tasks[ev.ID]
	name := strings.TrimPrefix(t.Name, t.Role+" : ")
	msg := fmt.Sprintf("FAILED - RETRYING: [%s]: %s (%d retries left).", hostLabel(ev.Host, ev.Result), name, ev.Retries-ev.Attempt)
	if a.verbose(t, ev.Result, 2) {
		msg += "Result was: " + a.dump(t, ev.Result)
	}
	a.display(msg, darkGray)
}

// dump is a result as JSON, without what the callback hides.
func (a *ansible) dump(t run.TaskStart, r run.Result) string {
	d := value.NewDict(8)
	if r.Value != nil {
		for k, v := range r.Value.All() {
			name := value.String(k)
			if strings.HasPrefix(name, "_ansible_") || name == "failed" || name == "skipped" || name == "warnings" || name == "deprecations" {
				continue
			}
			if name == "diff" && a.o.Verbosity < 3 || name == "exception" || name == "results" && r.Status == run.Skipped {
				continue
			}
			d.SetStr(name, v)
		}
	}
	isDebug := t.Module == "ansible.builtin.debug"
	_, loop := d.GetStr("results")
	if _, msg := d.GetStr("msg"); isDebug && (msg || r.Cause.Msg == "") && !a.oneLine {
		d = debugResult(d)
	} else if a.o.Verbosity > 2 && r.Args != nil && r.Status != run.Unreachable && r.Cause.Msg == "" {
		d.SetStr("invocation", value.D("module_args", r.Args))
	}
	if a.o.YAML && !a.oneLine {
		return a.yaml(d)
	}
	indent := ""
	if always(t, r) && !loop || a.o.Verbosity > 2 || a.o.Pretty != nil && *a.o.Pretty {
		indent = "    "
	}
	if a.o.Pretty != nil && !*a.o.Pretty {
		indent = ""
	}
	if a.oneLine && indent == "" {
		return toJSON(d, "\n")
	}
	return toJSON(d, indent)
}

// debugResult is what debug shows: msg alone, or the variable.
func debugResult(d *value.Dict) *value.Dict {
	if msg, ok := d.GetStr("msg"); ok {
		return value.D("msg", msg)
	}
	out := value.NewDict(d.Len())
	for k, v := range d.All() {
		if !slices.Contains([]string{"changed", "failed", "skipped", "invocation", "skip_reason"}, value.String(k)) {
			_ = out.Set(k, v) // a key of a dict
		}
	}
	return out
}

func (a *ansible) warnings(r run.Result) {
	for _, w := range r.Warnings {
		a.say.Warn(w)
	}
	for _, d := range r.Deprecations {
		a.say.Deprecated(d)
	}
}

func (a *ansible) warning(ev run.Warning) {
	if ev.Deprecated {
		a.say.Deprecated(ev.Msg)
		return
	}
	a.say.Warn(ev.Msg)
}

// stats is the recap.
func (a *ansible) stats(ev run.RunDone) {
	if ev.Aborted {
		return
	}
	a.stars("PLAY RECAP")
	hosts := slices.Sorted(slices.Values(ev.Hosts))
	for _, h := range hosts {
		c := ev.Recap[h]
		line := fmt.Sprintf("%s : %s %s %s %s %s %s %s", a.hostColumn(h, c),
			a.field("ok", c.OK, green), a.field("changed", c.Changed, yellow), a.field("unreachable", c.Unreachable, brightRed),
			a.field("failed", c.Failed, red), a.field("skipped", c.Skipped, cyan), a.field("rescued", c.Rescued, green),
			a.field("ignored", c.Ignored, brightPurple))
		a.o.Log.add(levelInfo, painted().ReplaceAllString(line, ""))
		a.printf("%s\n", line)
	}
	a.printf("\n")
	if ev.Stats != nil && a.o.ShowCustomStats {
		a.customStats(ev.Stats)
	}
	if a.check && a.o.CheckMarkers {
		a.stars("DRY RUN")
	}
}

func (a *ansible) hostColumn(h string, c *run.Counts) string {
	if !a.o.Color {
		return fmt.Sprintf("%-26s", h)
	}
	code := green
	switch {
	case c.Failed > 0 || c.Unreachable > 0:
		code = red
	case c.Changed > 0:
		code = yellow
	}
	return fmt.Sprintf("%-37s", a.o.paint(code, h))
}

func (a *ansible) field(name string, n int, code string) string {
	text := fmt.Sprintf("%s=%-4d", name, n)
	if n == 0 {
		return text
	}
	return a.o.paint(code, text)
}

func (a *ansible) customStats(stats *value.Dict) {
	a.stars("CUSTOM STATS: ")
	var names []string
	for k := range stats.All() {
		names = append(names, value.String(k))
	}
	slices.Sort(names)
	line := func(prefix string, v value.Value) {
		a.printf("\t%s: %s\n", prefix, strings.ReplaceAll(toJSON(v, " "), "\n", ""))
	}
	for _, name := range names {
		if v, _ := stats.GetStr(name); name != "_run" {
			line(name, v)
		}
	}
	if v, ok := stats.GetStr("_run"); ok {
		a.printf("\n")
		line("RUN", v)
	}
	a.printf("\n")
}
