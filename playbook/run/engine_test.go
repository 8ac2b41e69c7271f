package run

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"orch/modules/control"
	"orch/playbook/jinja/value"
)

// project makes a fixture of an inventory and a playbook.
func project(t testing.TB, hosts, site string, args ...string) *fixture {
	t.Helper()
	return newFixture(t, []txtar.File{{Name: "hosts", Data: []byte(hosts)}, {Name: "site.yml", Data: []byte(site)}}, args)
}

func TestForksBoundHosts(t *testing.T) {
	for _, strategy := range []string{"linear", "free", "host_pinned"} {
		f := project(t, "w[1:9]\n", "- hosts: all\n  tasks:\n    - command: sleep 20ms\n", "forks=3", "strategy="+strategy)
		done, err := f.run()
		must(t, err)
		if got := f.fake.peak["sleep 20ms"]; got != 3 {
			t.Errorf("%s: %d hosts were busy at once, want 3", strategy, got)
		}
		if len(done.Recap) != 9 {
			t.Errorf("%s: %d hosts in the recap", strategy, len(done.Recap))
		}
	}
}

func TestThrottle(t *testing.T) {
	for _, strategy := range []string{"linear", "free"} {
		f := project(t, "w[1:8]\n", "- hosts: all\n  tasks:\n    - command: sleep 10ms\n      throttle: 2\n", "forks=8", "strategy="+strategy)
		_, err := f.run()
		must(t, err)
		if got := f.fake.peak["sleep 10ms"]; got != 2 {
			t.Errorf("%s: %d hosts were busy at once, want 2", strategy, got)
		}
	}
}

func TestParallelLoop(t *testing.T) {
	f := project(t, "w1\n", `
- hosts: all
  tasks:
    - command: sleep 20ms
      loop: "{{ range(8) | list }}"
      loop_control: {parallel: 4}
      register: r
    - debug: {msg: "{{ r.results | map(attribute='item') | list }}"}
`)
	done, err := f.run()
	must(t, err)
	if got := f.fake.peak["sleep 20ms"]; got != 4 {
		t.Errorf("%d items ran at once, want 4", got)
	}
	if text := f.log.text(done, err); !strings.Contains(text, "[0, 1, 2, 3, 4, 5, 6, 7]") {
		t.Errorf("the results are not in the order of the items:\n%s", text)
	}
}

func TestParallelLoopIsALoop(t *testing.T) {
	f := project(t, "w1\n", `
- hosts: all
  tasks:
    - command: flaky 2 {{ item }}
      loop: [a, b, c]
      loop_control: {parallel: 3, index_var: n, extended: true, label: "<{{ item }}>"}
      register: r
      until: r.stdout | default('') == 'try 2'
      retries: 4
      delay: 0
    - debug: {msg: "{{ r.results | map(attribute='n') | list }} {{ r.results | map(attribute='ansible_loop') | map(attribute='index') | list }} {{ r.results | map(attribute='stdout') | list }}"}
`)
	done, err := f.run()
	must(t, err)
	if text := f.log.text(done, err); !strings.Contains(text, "[0, 1, 2] [1, 2, 3] ['try 2', 'try 2', 'try 2']") {
		t.Errorf("unexpected results:\n%s", text)
	}
}

func TestParallelLoopRefuses(t *testing.T) {
	for _, c := range []struct{ control, want string }{
		{"parallel: 2, pause: 1", "parallel and pause exclude each other: items that run at once have no pause between them"},
		{"parallel: 2, break_when: item == 1", "parallel and break_when exclude each other: no item knows what the one before it came to"},
	} {
		f := project(t, "w1\n", "- hosts: all\n  tasks:\n    - command: echo x\n      loop: [1, 2]\n      loop_control: {"+c.control+"}\n")
		done, err := f.run()
		must(t, err)
		if text := f.log.text(done, err); !strings.Contains(text, c.want) || !strings.Contains(text, "EXIT 2") {
			t.Errorf("%s:\n%s", c.control, text)
		}
	}
}

func TestTimeout(t *testing.T) {
	f := project(t, "w1\n", `
- hosts: all
  tasks:
    - command: sleep 1m
      timeout: 1
      register: r
      ignore_errors: true
    - debug: {msg: "{{ r.timedout.period }}"}
`)
	start := time.Now()
	done, err := f.run()
	must(t, err)
	text := f.log.text(done, err)
	if !strings.Contains(text, "failed to execute in the expected time frame (1) and was terminated") || !strings.Contains(text, "ok w1 | 1") {
		t.Errorf("unexpected events:\n%s", text)
	}
	if d := time.Since(start); d > 20*time.Second {
		t.Errorf("the task ran for %s", d)
	}
}

// TestStopSoftly closes Stop while a step runs: it may end, nothing new begins.
func TestStopSoftly(t *testing.T) {
	f := project(t, "w1\n", "- hosts: all\n  tasks:\n    - command: sleep 200ms\n    - command: echo never\n")
	stop := make(chan struct{})
	f.cfg.Stop = stop
	time.AfterFunc(50*time.Millisecond, func() { close(stop) })
	done, err := f.run()
	must(t, err)
	text := f.log.text(done, err)
	if !done.Interrupted || ExitCode(done, err, false) != ExitInterrupted {
		t.Errorf("interrupted=%t exit=%d", done.Interrupted, ExitCode(done, err, false))
	}
	if !strings.Contains(text, "changed w1") || strings.Contains(text, "never") {
		t.Errorf("unexpected events:\n%s", text)
	}
}

// TestStopKills waits for the grace only, then ends the running step.
func TestStopKills(t *testing.T) {
	f := project(t, "w1\n", "- hosts: all\n  tasks:\n    - command: sleep 1m\n")
	stop := make(chan struct{})
	f.cfg.Stop, f.cfg.Grace = stop, 50*time.Millisecond
	close(stop)
	start := time.Now()
	done, err := f.run()
	must(t, err)
	if d := time.Since(start); d > 20*time.Second || !done.Interrupted {
		t.Errorf("took %s, interrupted=%t", d, done.Interrupted)
	}
}

func TestCancelEndsAtOnce(t *testing.T) {
	f := project(t, "w1\n", "- hosts: all\n  tasks:\n    - command: sleep 1m\n")
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	start := time.Now()
	done, err := Run(ctx, f.cfg)
	must(t, err)
	if d := time.Since(start); d > 20*time.Second || !done.Interrupted {
		t.Errorf("took %s, interrupted=%t", d, done.Interrupted)
	}
}

func TestRefusals(t *testing.T) {
	f := newFixture(t, []txtar.File{
		{Name: "hosts", Data: []byte("w1\n")},
		{Name: "site.yml", Data: []byte("- hosts: all\n  tasks:\n    - command: echo x\n    - block:\n        - wants:\n")},
		{Name: "library/wants.py", Data: []byte("#!/usr/bin/python\nimport ansible.module_utils.basic\n")},
	}, nil)
	done, err := f.run()
	if err == nil || !strings.Contains(err.Error(), `module "wants" is the Python program`) {
		t.Fatalf("the run was not refused: %v", err)
	}
	if len(f.log.events) > 0 || ExitCode(done, err, false) != ExitInput {
		t.Errorf("something was touched; exit %d", ExitCode(done, err, false))
	}
}

// TestDebugger types at the task debugger.
func TestDebugger(t *testing.T) {
	for name, c := range map[string]struct {
		site  string
		typed []string
		want  []string // of events
		seen  []string // at the prompt
		not   string
	}{
		"arguments are changed and the task done again": {
			site:  "    - fail: {msg: \"no {{ x }}\"}\n      debugger: on_failed\n      vars: {x: 1}\n    - debug: {msg: after}\n",
			typed: []string{"p task.args", "p result._result.msg", "u", "p task.args['msg']", "task_vars['x'] = 5", "task.args['msg'] = 'now {{ x }}'", "r", "c"},
			want:  []string{"no 1", "now 5"},
			seen:  []string{"[w1] TASK: fail (debug)> ", "{'msg': 'no {{ x }}'}\n", "'no 1'\n"},
			not:   "after",
		},
		"on_failed is passed by success": {
			site: "    - debug: {msg: fine}\n      debugger: on_failed\n", want: []string{"ok w1 | fine"},
		},
		"always, and what is wrong is said": {
			site:  "    - debug: {msg: fine}\n      debugger: always\n    - debug: {msg: after}\n",
			typed: []string{"p nothing", "help", "help r", "1 +", "", "continue"},
			want:  []string{"fine", "after"},
			seen:  []string{"***NameError:", "Documented commands", "Do the task again", "***SyntaxError:"},
		},
		"nobody is there": {
			site: "    - fail:\n      debugger: on_failed\n    - debug: {msg: after}\n", want: []string{"User interrupted execution"}, not: "after",
		},
		"never wins over the strategy": {
			site: "    - fail:\n      debugger: never\n      ignore_errors: true\n    - debug: {msg: after}\n", want: []string{"after"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			strategy := "linear"
			if strings.Contains(name, "strategy") {
				strategy = "debug"
			}
			f := project(t, "w1\n", "- hosts: all\n  gather_facts: false\n  tasks:\n"+c.site, "strategy="+strategy)
			p := &fakePrompt{answers: c.typed}
			f.cfg.Prompt = p
			done, err := f.run()
			must(t, err)
			text := f.log.text(done, err)
			for _, want := range c.want {
				if !strings.Contains(text, want) {
					t.Errorf("the events do not say %q:\n%s", want, text)
				}
			}
			for _, want := range c.seen {
				if !strings.Contains(p.seen, want) {
					t.Errorf("the prompt does not say %q:\n%s", want, p.seen)
				}
			}
			if c.not != "" && strings.Contains(text, c.not) {
				t.Errorf("the events say %q:\n%s", c.not, text)
			}
			if len(p.answers) > 0 {
				t.Errorf("%q was not read", p.answers)
			}
		})
	}
}

func TestExitCode(t *testing.T) {
	failed := RunDone{Failed: []string{"a"}, Unreachable: []string{"b"}, Recap: map[string]*Counts{"a": {Changed: 1}}}
	interrupted := failed
	interrupted.Interrupted = true
	for _, c := range []struct {
		name    string
		done    RunDone
		err     error
		pending bool
		want    int
	}{
		{"fine", RunDone{Recap: failed.Recap}, nil, false, ExitOK},
		{"pending", RunDone{Recap: failed.Recap}, nil, true, ExitPending},
		{"nothing pending", RunDone{}, nil, true, ExitOK},
		{"unreachable", RunDone{Unreachable: []string{"b"}, Recap: failed.Recap}, nil, true, ExitUnreachable},
		{"failed wins over unreachable", failed, nil, true, ExitFailed},
		{"internal wins over failed", failed, errors.New("x"), true, ExitInternal},
		{"interrupted wins", interrupted, errors.New("x"), true, ExitInterrupted},
		{"aborted before anything", RunDone{}, &AbortError{Err: errors.New("x")}, false, ExitInput},
		{"aborted in the middle", failed, &AbortError{Err: errors.New("x")}, false, ExitFailed},
	} {
		if got := ExitCode(c.done, c.err, c.pending); got != c.want {
			t.Errorf("%s: exit %d, want %d", c.name, got, c.want)
		}
	}
}

// TestDataIsNoTemplate registers what looks like a template and uses it everywhere; the
// twin proves that the same text from an author's file is one.
func TestDataIsNoTemplate(t *testing.T) {
	site := `
- hosts: all
  vars:
    authored: "{{ 6 * 7 }}"
  tasks:
    - command: json {"stdout":"{{ '{{' }} 6 * 7 {{ '}}' }}"}
      register: r
    - debug: {msg: "{{ r.stdout }} {{ authored }}"}
    - set_fact: {f: "{{ r.stdout }}"}
    - debug: {msg: "{{ f }} {{ hostvars[inventory_hostname].f }}"}
    - debug: {msg: "{{ item }}"}
      loop: ["{{ r.stdout }}"]
    - debug: {var: r.stdout}
`
	f := project(t, "w1\n", site)
	done, err := f.run()
	must(t, err)
	text := f.log.text(done, err)
	if !strings.Contains(text, "{{ 6 * 7 }} 42") {
		t.Errorf("the twin did not fire, or the data did:\n%s", text)
	}
	if strings.Count(text, "42") != 1 {
		t.Errorf("data was evaluated:\n%s", text)
	}
}

// BenchmarkHostTask runs tasks on many hosts: what a run costs for each.
func BenchmarkHostTask(b *testing.B) {
	f := project(b, "w[1:100]\n", `
- hosts: all
  vars: {x: 1, y: "{{ x }}"}
  tasks:
    - command: same {{ y }} {{ inventory_hostname }}
      when: x == 1
      register: r
    - file: {path: /tmp/x, state: directory}
      become: true
    - debug: {msg: hi}
    - set_fact: {z: "{{ y }}"}
`, "forks=20")
	f.fake.quiet = true
	f.cfg.Sink = func(Event) {}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := f.run(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*400), "µs/host-task")
}

func TestLoopSkipsAfterBreak(t *testing.T) {
	f := project(t, "w1\n", `
- hosts: all
  tasks:
    - debug: {msg: "{{ item }}"}
      loop: [1, 2, 3]
      register: r
      loop_control: {break_when: [item == 2]}
    - debug: {msg: "{{ r.results | length }}"}
`)
	done, err := f.run()
	must(t, err)
	if text := f.log.text(done, err); !strings.Contains(text, "ok w1 | 2\nRECAP") {
		t.Errorf("unexpected events:\n%s", text)
	}
}

// TestPrompts asks for variables and uses the answers.
func TestPrompts(t *testing.T) {
	f := project(t, "w1\n", `
- hosts: all
  vars_prompt:
    - {name: who, prompt: "Who?", private: false, default: nobody}
    - {name: pw, confirm: true}
  tasks:
    - debug: {msg: "{{ who }} {{ pw | length }} {{ pw }}"}
`)
	f.cfg.Prompt = &fakePrompt{answers: []string{"", "first-try", "other", "s3cret-answer", "s3cret-answer"}}
	done, err := f.run()
	must(t, err)
	if text := f.log.text(done, err); !strings.Contains(text, "ok w1 | nobody 13 "+Mask) {
		t.Errorf("unexpected events:\n%s", text)
	}
}

type fakePrompt struct {
	answers []string
	seen    string
}

func (p *fakePrompt) Ask(_ context.Context, prompt string, _ bool) (string, error) {
	p.seen += prompt
	if len(p.answers) == 0 {
		return "", errors.New("nobody answers")
	}
	a := p.answers[0]
	p.answers = p.answers[1:]
	return a, nil
}

func (p *fakePrompt) Type(ctx context.Context, t control.Typing) (string, error) {
	return p.Ask(ctx, t.Prompt, t.Echo)
}

func TestSplitLines(t *testing.T) {
	for in, want := range map[string]int{"": 0, "a": 1, "a\n": 1, "a\nb": 2, "a\r\nb\rc": 3, "a\u2028b\u0085c": 3, "\n\n": 2} {
		if got := splitLines(in); len(got) != want {
			t.Errorf("splitLines(%q) = %q", in, got)
		}
	}
}

func TestUnknownResultKnowsItsItem(t *testing.T) {
	p := &partial{value.D("item", value.Int(1)), "task x"}
	if v, ok, _ := p.Attr("item"); !ok || v != value.Value(value.Int(1)) {
		t.Errorf("item is %v", v)
	}
	if v, ok, _ := p.Attr("stdout"); !ok || !value.IsUnknown(v) {
		t.Errorf("stdout is %v", v)
	}
}
