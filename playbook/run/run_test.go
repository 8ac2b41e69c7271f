package run

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"orch/inventory"
	"orch/modules"
	"orch/modules/control"
	"orch/modules/schema"
	"orch/modules/target"
	"orch/playbook"
	"orch/playbook/jinja/value"
	"orch/playbook/source"
	"orch/playbook/template"
	"orch/playbook/vars"
	"orch/roles"
	"orch/transport"
)

var update = flag.Bool("update", false, "rewrite the expectations of testdata")

// A fixture is a project of a txtar file in a folder of its own, with everything a run
// needs and hosts that do as they are told.
type fixture struct {
	t    testing.TB
	dir  string
	cfg  Config
	fake *fakeHosts
	load source.Diagnostics
	log  *eventLog
}

// newFixture lays out the files of an archive: site.yml, hosts, roles … args are words
// such as "check", "forks=1", "tags=a,b".
func newFixture(t testing.TB, files []txtar.File, args []string) *fixture {
	t.Helper()
	dir := t.TempDir()
	for _, f := range files {
		path := filepath.Join(dir, f.Name)
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		must(t, os.WriteFile(path, f.Data, 0o644))
	}
	f := &fixture{t: t, dir: dir, fake: &fakeHosts{t: t}, log: &eventLog{dir: dir}}
	f.fake.emit = f.log.order
	c := &f.cfg
	c.Forks, c.Lines = 1, true
	extra := f.arguments(args)

	inv, diags := inventory.Load(t.Context(), []string{filepath.Join(dir, "hosts")}, inventory.Options{})
	must(t, diags.Err())
	engine, err := template.New(template.Options{Warn: func(d source.Diagnostic) { f.log.event(Warning{Diagnostic: d}) }})
	must(t, err)
	reg, err := schema.NewRegistry(control.Table(), control.HostTable(), Table())
	must(t, err)
	varsFiles := &vars.Files{}
	loader := playbook.NewLoader(playbook.Config{
		Modules: playbook.FromRegistry(reg), Templates: engine, Roles: roles.Finder{Path: []string{filepath.Join(dir, "roles")}},
	})
	pb, ds := loader.Load(filepath.Join(dir, "site.yml"))
	f.load = ds
	c.Playbooks = []*playbook.Playbook{pb}
	c.Inventory, c.Templater, c.Modules, c.Loader, c.Files = inv, engine, reg, loader, varsFiles
	c.Render, c.Connector, c.Sink = engine.Render, f.fake, f.log.event
	c.ExtraVars = extra
	c.Vars = vars.NewRun(vars.Options{
		Inventory: inv, Templater: engine, Files: varsFiles, ExtraVars: extra, Check: c.Check, Diff: c.Diff, Forks: c.Forks,
		RunTags: c.OnlyTags, SkipTags: c.SkipTags,
	})
	return f
}

func (f *fixture) arguments(args []string) *value.Dict {
	extra := value.NewDict(0)
	for _, arg := range args {
		name, val, _ := strings.Cut(arg, "=")
		switch name {
		case "check":
			f.cfg.Check = true
		case "diff":
			f.cfg.Diff = true
		case "forks":
			f.cfg.Forks, _ = strconv.Atoi(val)
		case "tags":
			f.cfg.OnlyTags = strings.Split(val, ",")
		case "skip-tags":
			f.cfg.SkipTags = strings.Split(val, ",")
		case "limit":
			f.cfg.Limit = inventory.Limit{Terms: inventory.SplitPattern(val)}
		case "start":
			f.cfg.StartAt = strings.ReplaceAll(val, "_", " ")
		case "force-handlers":
			f.cfg.ForceHandlers = true
		case "strategy":
			f.cfg.Strategy = val
		case "facts":
		case "extra":
			k, v, _ := strings.Cut(val, ":")
			extra.SetStr(k, value.S(v))
		default:
			f.t.Fatalf("unknown argument %q of a case", arg)
		}
	}
	if !slices.Contains(args, "facts") {
		f.cfg.Gathering = "explicit"
	}
	return extra
}

func (f *fixture) run() (RunDone, error) {
	f.t.Helper()
	if err := f.load.Err(); err != nil {
		return RunDone{}, err
	}
	return Run(f.t.Context(), f.cfg)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestCases runs every playbook of testdata and compares what happens, in order.
func TestCases(t *testing.T) {
	files, err := filepath.Glob("testdata/*/*.txtar")
	must(t, err)
	for _, file := range files {
		name := strings.TrimSuffix(strings.TrimPrefix(file, "testdata/"), ".txtar")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ar, err := txtar.ParseFile(file)
			must(t, err)
			var args []string
			for line := range strings.Lines(string(ar.Comment)) {
				if rest, ok := strings.CutPrefix(line, "args: "); ok {
					args = strings.Fields(rest)
				}
			}
			want := ""
			at := len(ar.Files)
			for i, f := range ar.Files {
				if f.Name == "want" {
					want, at = string(f.Data), i
				}
			}
			f := newFixture(t, ar.Files[:at], args)
			done, err := f.run()
			got := f.log.text(done, err)
			if *update {
				ar.Files = append(ar.Files[:at], txtar.File{Name: "want", Data: []byte(got)})
				must(t, os.WriteFile(file, txtar.Format(ar), 0o644))
				return
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("%s (-want +got):\n%s", file, d)
			}
		})
	}
}

// An eventLog writes events down, one a line.
type eventLog struct {
	mu     sync.Mutex
	dir    string
	lines  []string
	events []Event
}

func (l *eventLog) add(format string, args ...any) {
	l.lines = append(l.lines, strings.ReplaceAll(fmt.Sprintf(format, args...), l.dir+"/", ""))
}

// order notes what reaches a host.
func (l *eventLog) order(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.add("  > %s", line)
}

func (l *eventLog) event(ev Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events = append(l.events, ev)
	switch ev := ev.(type) {
	case PlayStart:
		l.add("PLAY %s %v %d/%d", ev.Name, ev.Hosts, ev.Batch, ev.Batches)
	case NoHosts:
		l.add("NO HOSTS left=%t", ev.Matched)
	case TaskStart:
		word := "TASK"
		if ev.Handler {
			word = "HANDLER"
		}
		l.add("%s %s", word, ev.Name)
	case ItemDone:
		l.add("  %s (%s)", result(ev.Host, ev.Result), ev.Label)
	case TaskDone:
		l.add("%s", result(ev.Host, ev.Result))
	case Retry:
		l.add("retry %s %d/%d", ev.Host, ev.Attempt, ev.Retries)
	case Included:
		l.add("included %s for %v %s", ev.File, ev.Hosts, ev.Label)
	case Warning:
		l.add("warning: %s", ev.Msg)
	}
}

func result(host string, r Result) string {
	words := []string{string(r.Status)}
	for _, w := range []struct {
		on   bool
		word string
	}{{r.Ignored, "ignored"}, {r.Rescued, "rescued"}, {r.Maybe, "maybe"}, {r.Unknown, "unknown"}} {
		if w.on {
			words = append(words, w.word)
		}
	}
	words = append(words, host)
	if r.Delegated != "" {
		words = append(words, "-> "+r.Delegated)
	}
	msg := r.Msg
	if r.Value != nil {
		if v, ok := r.Value.GetStr("msg"); ok {
			msg = value.String(v)
		}
	}
	if msg != "" {
		words = append(words, "| "+strings.ReplaceAll(msg, "\n", "⏎"))
	} else if r.Value != nil {
		for k, v := range r.Value.All() {
			name := value.String(k)
			if slices.Contains([]string{
				"changed", "failed", "skipped", "results", "ansible_loop_var", "cmd", "rc", "stderr",
				"stdout_lines", "stderr_lines", "start", "end", "delta", "attempts", "skip_reason", "false_condition",
				"ansible_facts", "ansible_stats", "add_host", "add_group", "_ansible_facts_cacheable", "item", "include", "include_args", "failed_when_result", "changed_when_result", "msg", "timedout",
			}, name) {
				continue
			}
			words = append(words, "| "+name+"="+value.String(v))
		}
	}
	return strings.Join(words, " ")
}

func (l *eventLog) text(done RunDone, err error) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, name := range done.Hosts {
		c := done.Recap[name]
		l.add("RECAP %s ok=%d changed=%d unreachable=%d failed=%d skipped=%d rescued=%d ignored=%d", name,
			c.OK, c.Changed, c.Unreachable, c.Failed, c.Skipped, c.Rescued, c.Ignored)
	}
	for _, name := range done.Hosts {
		if p := done.Pending[name]; p != nil {
			l.add("PENDING %s %v", name, p)
		}
	}
	if done.Stats != nil {
		l.add("STATS %s", value.String(done.Stats))
	}
	if err != nil {
		l.add("ERROR %v", err)
	}
	l.add("EXIT %d", ExitCode(done, err, false))
	return strings.Join(l.lines, "\n") + "\n"
}

// fakeHosts are hosts that do as the first word of a command says. They implement
// Connector.
type fakeHosts struct {
	t    testing.TB
	emit func(string)
	// quiet keeps what is run out of the log.
	quiet bool

	mu    sync.Mutex
	tries map[string]int
	busy  map[string]int // how many run at once, by command
	peak  map[string]int
}

func (f *fakeHosts) Connect(_ context.Context, spec target.HostSpec) (target.Placement, error) {
	if strings.HasPrefix(spec.Name, "down") {
		return nil, &transport.Lost{Host: "ssh " + spec.Name, Err: errors.New("connection refused")}
	}
	return &fakeHost{f, spec}, nil
}

func (f *fakeHosts) Conn(context.Context, target.HostSpec) (transport.Conn, error) {
	return nil, errors.New("no bare connections here")
}

func (f *fakeHosts) Release(string, string) error { return nil }

func (f *fakeHosts) Reset(name string) error {
	f.emit("reset " + name)
	return nil
}

func (f *fakeHosts) Close() error { return nil }

type fakeHost struct {
	f    *fakeHosts
	spec target.HostSpec
}

func (h *fakeHost) Dial(context.Context, string, string) (net.Conn, error) {
	return nil, errors.New("no dialling here")
}

func (h *fakeHost) Close() error { return nil }

// Run does what the request says, as seen from outside: a command's words are orders to
// the fake, other modules change something.
func (h *fakeHost) Run(ctx context.Context, req target.Request) (modules.Result, error) {
	text, err := json.Marshal(req.Args)
	must(h.f.t, err)
	var args struct{ Cmd, Path, Dest string }
	must(h.f.t, json.Unmarshal(text, &args))
	name := strings.TrimPrefix(req.Module, builtin)
	line := strings.TrimSpace(strings.Join([]string{name, args.Cmd, args.Path, args.Dest}, " "))
	who := h.spec.Name
	if h.spec.Become.Method != "" {
		who += "(" + h.spec.Become.User + ")"
	}
	if h.spec.Connection == "local" {
		who += "(local)"
	}
	for _, k := range slices.Sorted(func(yield func(string) bool) {
		for k := range req.Env {
			if !yield(k) {
				return
			}
		}
	}) {
		who += " " + k + "=" + req.Env[k]
	}
	if name != "setup" && !h.f.quiet {
		h.f.emit(who + ": " + line)
	}
	switch name {
	case "setup":
		return out(false, map[string]any{"ansible_facts": map[string]any{"ansible_nodename": h.spec.Name, "ansible_distribution": "Debian"}}), nil
	case "ping":
		return out(false, map[string]any{"ping": "pong"}), nil
	case "command", "shell":
		return h.command(ctx, args.Cmd, req)
	}
	return out(true, map[string]any{"path": args.Path + args.Dest}), nil
}

func out(changed bool, v map[string]any) modules.Result {
	text, _ := json.Marshal(v)
	return modules.Result{Changed: changed, Out: text}
}

func (h *fakeHost) command(ctx context.Context, cmd string, req target.Request) (modules.Result, error) {
	word, rest, _ := strings.Cut(cmd, " ")
	if req.Check {
		return modules.Result{
			Skipped: true, Steps: []modules.StepResult{{Title: "run " + cmd, Effect: modules.Act}},
			Out: []byte(`{"cmd":"","stdout":"","rc":0}`), Unknown: []string{"stdout", "rc"},
		}, nil
	}
	h.f.mu.Lock()
	if h.f.tries == nil {
		h.f.tries, h.f.busy, h.f.peak = map[string]int{}, map[string]int{}, map[string]int{}
	}
	h.f.tries[h.spec.Name+cmd]++
	try := h.f.tries[h.spec.Name+cmd]
	h.f.busy[cmd]++
	h.f.peak[cmd] = max(h.f.peak[cmd], h.f.busy[cmd])
	h.f.mu.Unlock()
	defer func() {
		h.f.mu.Lock()
		h.f.busy[cmd]--
		h.f.mu.Unlock()
	}()
	result := map[string]any{"cmd": strings.Fields(cmd), "stdout": "", "stderr": "", "rc": 0}
	switch word {
	case "echo":
		result["stdout"] = rest
	case "fail", "failon":
		where, _, _ := strings.Cut(rest, " ")
		if word == "failon" && where != h.spec.Name {
			break
		}
		rc := 1
		result["rc"], result["stderr"] = rc, "it broke"
		res := out(true, result)
		res.Failure = &modules.Failure{Msg: "non-zero return code", RC: &rc, Stderr: "it broke"}
		return res, nil
	case "flaky": // flaky N: works at the Nth try
		count, _, _ := strings.Cut(rest, " ")
		n, _ := strconv.Atoi(count)
		if try < n {
			rc := 1
			result["rc"] = rc
			res := out(true, result)
			res.Failure = &modules.Failure{Msg: "not yet", RC: &rc}
			return res, nil
		}
		result["stdout"] = fmt.Sprint("try ", try)
	case "die":
		return modules.Result{}, &transport.Lost{Host: "ssh " + h.spec.Name, Started: true, Err: errors.New("connection lost")}
	case "sleep":
		d, _ := time.ParseDuration(rest)
		select {
		case <-time.After(d):
		case <-ctx.Done():
			return modules.Result{}, ctx.Err()
		}
	case "same":
		return out(false, result), nil
	case "line":
		req.Emit(rest)
	case "json":
		return modules.Result{Out: []byte(rest)}, nil
	}
	return out(true, result), nil
}
