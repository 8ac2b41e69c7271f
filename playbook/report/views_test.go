package report

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"orch/modules"
	"orch/playbook/jinja/value"
	"orch/playbook/run"
	"orch/playbook/source"
)

var update = flag.Bool("update", false, "rewrite the expectations of testdata/views")

var (
	durations = regexp.MustCompile(` in [0-9.]+m?s\n`)
	moments   = regexp.MustCompile(`"(time|seconds)":("[^"]*"|[0-9.e-]+)`)
	times     = regexp.MustCompile(`(time|timestamp)="[^"]*"`)
)

func stableView(text, dir string) string {
	text = stable(text, dir)
	text = durations.ReplaceAllString(text, " in …\n")
	text = moments.ReplaceAllString(text, `"$1":…`)
	return times.ReplaceAllString(text, `$1="…"`)
}

// checkDecode shows what is read back from lines of JSON: the same as was shown first.
func checkDecode(t *testing.T, lines []byte, o Options, want string) {
	t.Helper()
	var again bytes.Buffer
	view := Plain(&again, o)
	for line := range bytes.Lines(lines) {
		ev, err := Decode(line)
		must(t, err)
		if ev == nil {
			t.Fatalf("unknown event: %s", line)
		}
		view(ev)
	}
	if d := cmp.Diff(want, again.String()); d != "" {
		t.Errorf("read back from JSON (-first +again):\n%s", d)
	}
}

// TestViews runs the playbooks of testdata/views and compares what each view shows.
func TestViews(t *testing.T) {
	files, err := filepath.Glob("testdata/views/*.txtar")
	must(t, err)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			dir, args, ar := project(t, file)
			diff := slices.Contains(args, "--diff")
			var plain, verbose, lines, junit, minimal, oneline bytes.Buffer
			o := Options{Diff: diff}
			v := Options{Diff: diff, Verbosity: 2}
			play(t, dir, args, Tee(
				Plain(&plain, o), Plain(&verbose, v), JSON(&lines, o), JUnit(&junit),
				Minimal(&minimal, &minimal, AnsibleOptions{Options: o}), Oneline(&oneline, &oneline, AnsibleOptions{Options: o}),
			))
			checkDecode(t, lines.Bytes(), v, verbose.String())
			got := map[string]string{
				"want-plain": plain.String(), "want-plain-vv": verbose.String(), "want-json": lines.String(),
				"want-junit": junit.String(), "want-minimal": minimal.String(), "want-oneline": oneline.String(),
			}
			for _, name := range []string{"want-plain", "want-plain-vv", "want-json", "want-junit", "want-minimal", "want-oneline"} {
				text := stableView(got[name], dir)
				if *update {
					setWant(ar, name, text)
					continue
				}
				if d := cmp.Diff(want(ar, name), text); d != "" {
					t.Errorf("%s (-want +got):\n%s", name, d)
				}
			}
			if *update {
				must(t, os.WriteFile(file, txtar.Format(ar), 0o644))
			}
		})
	}
}

// everything is one event of each kind, with all that a view may show.
func everything() []run.Event {
	rc := 3
	pos := source.Pos{File: "site.yml", Line: 7, Col: 3}
	failed := run.Result{
		Status: run.Failed, Msg: "it broke\nbadly", Failure: &modules.Failure{Msg: "it broke", Cmd: []string{"x"}, RC: &rc, Stderr: "why", Hint: "mend it"},
		Value: value.D("msg", value.S("it broke"), "rc", value.Int(3)), Cause: source.Diagnostic{Pos: pos, Msg: "cause"},
	}
	return []run.Event{
		run.RunStart{Playbooks: []string{"site.yml"}, Check: true, Time: time.Unix(0, 0)},
		run.PlaybookStart{Path: "site.yml"},
		run.PlayStart{Name: "p", Hosts: []string{"h1", "h2"}, Batch: 1, Batches: 2, Pos: pos, Strategy: "linear"},
		run.TaskStart{ID: 1, Name: "r : t", Role: "r", Module: "ansible.builtin.command", Pos: pos, Check: true, Tags: []string{"a"}},
		run.HostStart{ID: 1, Host: "h1", Time: time.Unix(0, 0)},
		run.HostLine{ID: 1, Host: "h1", Line: "working"},
		run.Retry{ID: 1, Host: "h1", Attempt: 1, Retries: 3, Result: failed},
		run.ItemDone{ID: 1, Host: "h1", Label: "i", Result: run.Result{
			Status: run.Changed, Value: value.D("item", value.S("i")),
			Steps: []modules.StepResult{{Title: "run x", Effect: modules.Change, Changed: true}},
		}},
		run.TaskDone{ID: 1, Host: "h1", Loop: true, Result: run.Result{Status: run.Changed, Value: value.D("results", value.NewList())}},
		run.TaskDone{ID: 1, Host: "h2", Result: failed},
		run.TaskStart{ID: 2, Name: "u", Module: "ansible.builtin.debug", Handler: true, Pos: pos, Check: true},
		run.TaskDone{ID: 2, Host: "h1", Result: run.Result{
			Status: run.OK, Unknown: true, Maybe: true, Msg: "known after apply: x",
			Value: value.D("changed", value.Unknown{Of: "x"}),
		}},
		run.TaskDone{ID: 2, Host: "h2", Result: run.Result{Status: run.Unreachable, Msg: "gone", Value: value.D("msg", value.S("gone"))}},
		run.TaskDone{ID: 2, Host: "h3", Result: run.Result{Status: run.Skipped, Value: value.D("skipped", value.Bool(true))}},
		run.TaskDone{ID: 2, Host: "h4", Result: run.Result{
			Status: run.OK, Maybe: true, Delegated: "other", Address: "192.0.2.1",
			Steps: []modules.StepResult{{Title: "ask", Effect: modules.Maybe}},
		}},
		run.Included{ID: 1, File: "inc.yml", Hosts: []string{"h1"}, Label: "i"},
		run.Notified{ID: 1, Host: "h1", Handlers: []string{"u"}, Saved: true},
		run.Warning{Diagnostic: source.Diagnostic{Severity: source.Warning, Pos: pos, Msg: "careful", Hint: "really"}},
		run.Warning{Diagnostic: source.Diagnostic{Severity: source.Warning, Msg: "old"}, Deprecated: true},
		run.NoHosts{Play: "p", Matched: true},
		run.BatchDone{Batch: 1},
		run.RunDone{
			Hosts: []string{"h1", "h2"}, Recap: map[string]*run.Counts{"h1": {OK: 1, Changed: 1, Maybe: 1}, "h2": {Failed: 1, Unreachable: 1}},
			Failed: []string{"h2"}, Unreachable: []string{"h4"}, Stats: value.D("_run", value.D("n", value.Int(1))), Interrupted: true,
			Pending: map[string][]string{"h1": {"u"}}, Duration: time.Second,
		},
	}
}

// TestEventsAreDocumented holds docs/events.md against the events.
func TestEventsAreDocumented(t *testing.T) {
	doc, err := os.ReadFile("../../docs/events.md")
	must(t, err)
	var b bytes.Buffer
	sink := JSON(&b, Options{Verbosity: 3})
	for _, ev := range everything() {
		sink(ev)
	}
	kinds := map[string]bool{}
	for line := range strings.Lines(b.String()) {
		var ev map[string]any
		must(t, json.Unmarshal([]byte(line), &ev))
		kind := ev["event"].(string)
		kinds[kind] = true
		if kind == "unknown" || !strings.Contains(string(doc), "| `"+kind+"` |") {
			t.Errorf("event %q is not documented", kind)
		}
		for field := range ev {
			if field != "event" && field != "time" && !strings.Contains(string(doc), "`"+field+"`") {
				t.Errorf("field %q of %s is not documented", field, kind)
			}
		}
	}
	if len(kinds) != 15 {
		t.Errorf("%d kinds of events, want 15: %v", len(kinds), kinds)
	}
}

func TestPlainShowsEverything(t *testing.T) {
	var b bytes.Buffer
	sink := Plain(&b, Options{Verbosity: 1})
	for _, ev := range everything() {
		sink(ev)
	}
	for _, want := range []string{
		"PLAY p (batch 1 of 2): h1, h2", "TASK r : t", "h1: working", "(try 1 of 3)", "h1 (i): run x", "FAILED      h2: it broke", "badly",
		"command: x", "exit code: 3", "why", "hint: mend it", "site.yml:7:3: cause", "HANDLER u", "unknown     h1: known after apply: x",
		"UNREACHABLE h2: gone", "may change  h4 → other: ask?", "site.yml:7:3: warning: careful", "no hosts are left", "failed=1", "may change=1",
		"handlers notified and not run: u", "1 host failed, 1 host unreachable, interrupted",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is missing:\n%s", want, b.String())
		}
	}
	if strings.Contains(b.String(), "\x1b") {
		t.Error("there are colours without a terminal")
	}
}

func TestJUnitIsXML(t *testing.T) {
	var b bytes.Buffer
	sink := JUnit(&b)
	for _, ev := range everything() {
		sink(ev)
	}
	var got suites
	must(t, xml.Unmarshal(b.Bytes(), &got))
	if got.Tests != 6 || got.Failures != 1 || got.Errors != 1 || got.Skipped != 1 || len(got.Suites) != 1 {
		t.Errorf("tests=%d failures=%d errors=%d skipped=%d suites=%d", got.Tests, got.Failures, got.Errors, got.Skipped, len(got.Suites))
	}
}

// TestTerminal drives the live line by hand: it names slow hosts and never stays on a
// line that something else is printed on.
func TestTerminal(t *testing.T) {
	var b bytes.Buffer
	term := NewTerminal(&b, Options{Width: 60, Color: true})
	defer term.Close()
	start := time.Now().Add(-5 * time.Second)
	term.Event(run.PlayStart{Name: "p", Hosts: []string{"h1", "h2"}})
	term.Event(run.TaskStart{ID: 1, Name: "slow task", Module: "ansible.builtin.command"})
	term.Event(run.HostStart{ID: 1, Host: "h1", Time: start})
	term.Event(run.HostLine{ID: 1, Host: "h1", Line: "half way"})
	term.mu.Lock()
	term.draw(time.Now())
	shown := b.String()
	term.mu.Unlock()
	if !strings.Contains(shown, "slow task · 0/2 · h1 5s: half way") {
		t.Errorf("the live line is not there: %q", shown)
	}
	term.Print([]string{"asked"})
	if !strings.HasSuffix(b.String(), "\r\x1b[K\x1b[0;36masked\x1b[0m\n") {
		t.Errorf("what was asked for is not above the live line: %q", b.String())
	}
	term.mu.Lock()
	term.draw(time.Now())
	term.mu.Unlock()
	term.Event(run.TaskDone{ID: 1, Host: "h1", Result: run.Result{Status: run.Changed, Value: value.NewDict(0)}})
	text := b.String()
	if at := strings.Index(text, "TASK slow task"); at < 0 || !strings.HasSuffix(text[:at], "\r\x1b[K\x1b[1m") {
		t.Errorf("the live line was not erased before the task: %q", text)
	}
}

// TestWatch asks what hosts are doing.
func TestWatch(t *testing.T) {
	w := NewWatch()
	now := time.Now()
	if got := w.Report(now); got[0] != "no host is busy" {
		t.Errorf("at the beginning: %q", got)
	}
	w.Event(run.TaskStart{ID: 1, Name: "install"})
	w.Event(run.HostStart{ID: 1, Host: "b", Item: "nginx", Time: now.Add(-3 * time.Second)})
	w.Event(run.HostStart{ID: 1, Host: "a", Time: now.Add(-9 * time.Second)})
	w.Event(run.HostStart{ID: 1, Host: "c", Time: now.Add(-2 * time.Second)})
	w.Event(run.HostStep{ID: 1, Host: "a", Title: "waits for the connection to root@a:22", Time: now.Add(-8 * time.Second)})
	w.Event(run.HostStep{ID: 1, Host: "b", Title: "run make", Time: now.Add(-time.Second)})
	w.Event(run.HostLine{ID: 1, Host: "b", Line: "cc x.c"})
	w.Event(run.Retry{ID: 1, Host: "c", Attempt: 1, Retries: 3})
	got := w.Report(now)
	for i, want := range []string{
		`a: 9s in task "install", waits for the connection to root@a:22 since 8s`,
		`b: 3s in task "install" (nginx), run make since 1s: cc x.c`,
		`c: 2s in task "install", waits for try 2 of 3 since 0s`,
	} {
		if got[i] != want {
			t.Errorf("line %d: %q, want %q", i+1, got[i], want)
		}
	}
	for _, host := range []string{"a", "b", "c"} {
		w.Event(run.TaskDone{ID: 1, Host: host})
	}
	if got := w.Report(now); got[0] != "no host is busy" {
		t.Errorf("at the end: %q", got)
	}
}

func TestWrap(t *testing.T) {
	for _, c := range []struct {
		text    string
		columns int
		want    []string
	}{
		{"one two three", 7, []string{"one two", "three"}},
		{"a well-known thing", 8, []string{"a well-", "known", "thing"}},
		{"averyverylongword x", 6, []string{"averyv", "erylon", "gword", "x"}},
		{"tabs\tand\nlines", 40, []string{"tabs        and lines"}},
		{"", 10, nil},
	} {
		if got := wrap(c.text, c.columns, true); !slices.Equal(got, c.want) {
			t.Errorf("wrap(%q, %d) = %q, want %q", c.text, c.columns, got, c.want)
		}
	}
}

func TestWidth(t *testing.T) {
	for in, want := range map[string]int{"abc": 3, "äöü": 3, "日本": 4, "e\u0301": 1, "": 0, "🚀": 2} {
		if got := width(in); got != want {
			t.Errorf("width(%q) = %d, want %d", in, got, want)
		}
	}
	if got := cut("abcdef", 4); got != "abc…" {
		t.Errorf("cut = %q", got)
	}
}
