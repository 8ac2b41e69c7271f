package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"os/user"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/term"

	"orch/playbook/report"
	"orch/playbook/run"
	"orch/playbook/settings"
	"orch/playbook/source"
)

// viewOptions are what views depend on.
type viewOptions struct {
	out, err io.Writer
	settings *settings.Settings
	redactor *run.Redactor
	diff     bool
	display  *report.Display // nil: the view makes its own
	log      *report.Log     // nil: none
}

// A view shows a run. Close ends it.
type view struct {
	run.Sink
	closers []func() error
	// print shows lines beside the run, for who asked; nil: on stderr.
	print func(lines []string)
	live  bool // a person sees what commands print while they run
}

// Close ends the view's parts.
func (v *view) Close() error {
	var errs []error
	for _, c := range v.closers {
		errs = append(errs, c())
	}
	return errors.Join(errs...)
}

// answer tells what every host is doing whenever somebody asks: SIGUSR1, or SIGQUIT,
// which is Ctrl-\ on a terminal. The function it returns ends that.
func answer(w *report.Watch, v *view, stderr io.Writer) (end func()) {
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGUSR1, syscall.SIGQUIT)
	done := make(chan struct{})
	go func() {
		for {
			select {
			case <-done:
				return
			case <-asked:
			}
			lines := w.Report(time.Now())
			if v.print != nil {
				v.print(lines)
				continue
			}
			fmt.Fprintln(stderr, strings.Join(lines, "\n"))
		}
	}()
	return func() {
		signal.Stop(asked)
		close(done)
	}
}

// viewNames are the outputs --output knows.
const viewNames = "auto, terminal, plain, json, ansible, minimal, oneline, junit=FILE, tree=DIR"

// openView makes the view --output names: auto is terminal on a terminal, else plain.
// Several may be given with a comma between them, such as "plain,junit=report.xml".
func openView(output string, o viewOptions) (*view, error) {
	v := &view{}
	var sinks []run.Sink
	for name := range strings.SplitSeq(orDefault(output, "auto"), ",") {
		sink, err := v.open(name, o)
		if err != nil {
			return nil, err
		}
		sinks = append(sinks, sink)
	}
	if o.log != nil && !likeAnsible(output) {
		sinks = append(sinks, report.Ansible(io.Discard, io.Discard, o.ansible()))
	}
	v.Sink = report.Tee(sinks...)
	return v, nil
}

// likeAnsible reports whether one of the views is Ansible's: it writes the log, and
// messages are in Ansible's words.
func likeAnsible(output string) bool {
	return slices.ContainsFunc(strings.Split(output, ","), func(name string) bool {
		return name == "ansible" || name == "minimal" || name == "oneline"
	})
}

// openLog opens log_path, if there is one.
func openLog(s *settings.Settings) (*report.Log, error) {
	path := s.Path("DEFAULT_LOG_PATH")
	if path == "" {
		return nil, nil
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o640)
	if err != nil {
		return nil, inputError(fmt.Errorf("open log_path: %w", err))
	}
	name := "unknown"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	return report.NewLog(f, name, max(s.Int("LOG_VERBOSITY"), s.Int("DEFAULT_VERBOSITY"))), nil
}

// report are the options all views share.
func (o viewOptions) report() report.Options {
	s, tty, context := o.settings, isTerminal(o.out), o.settings.Int("DIFF_CONTEXT")
	opts := report.Options{
		Verbosity: s.Int("DEFAULT_VERBOSITY"), Diff: o.diff, Context: &context,
		Color:   (tty || s.Bool("ANSIBLE_FORCE_COLOR")) && !s.Bool("ANSIBLE_NOCOLOR"),
		Explain: func(d source.Diagnostic) string { return o.redactor.Mask(d.Format(files)) },
	}
	if f, ok := o.out.(*os.File); ok && tty {
		if w, _, err := term.GetSize(int(f.Fd())); err == nil {
			opts.Width = w
		}
	}
	return opts
}

// ansible are the options of Ansible's callbacks.
func (o viewOptions) ansible() report.AnsibleOptions {
	s := o.settings
	a := report.AnsibleOptions{
		Options: o.report(), HideOK: !s.Bool("display_ok_hosts"), HideSkipped: !s.Bool("DISPLAY_SKIPPED_HOSTS"),
		FailedStderr: s.Bool("display_failed_stderr"), ShowStart: s.Bool("show_per_host_start"),
		CheckMarkers: s.Bool("check_mode_markers"), PathOnFailure: s.Bool("show_task_path_on_failure"),
		ShowCustomStats: s.Bool("SHOW_CUSTOM_STATS"), ShowArgs: s.Bool("DISPLAY_ARGS_TO_STDOUT"),
		NoDeprecations: !s.Bool("DEPRECATION_WARNINGS"), NoSystemWarnings: !s.Bool("SYSTEM_WARNINGS"),
		VerboseToStderr: s.Bool("VERBOSE_TO_STDERR"), Display: o.display, Log: o.log,
	}
	a.YAML = s.Str("callback_result_format") == "yaml"
	if s.Set("callback_format_pretty") {
		pretty := s.Bool("callback_format_pretty")
		a.Pretty = &pretty
	}
	return a
}

// excerpt is what Ansible shows of a place in an author's file, masked.
func (o viewOptions) excerpt(pos source.Pos) string { return report.Excerpt(pos, o.lines) }

// lines returns the lines of an author's file, masked.
func (o viewOptions) lines(file string) []string {
	lines := slices.Clone(files.Lines(file))
	for i, line := range lines {
		lines[i] = o.redactor.Mask(line)
	}
	return lines
}

func (v *view) open(name string, o viewOptions) (run.Sink, error) {
	opts := o.report()
	if name == "auto" {
		name = "plain"
		if isTerminal(o.out) {
			name = "terminal"
		}
	}
	kind, file, _ := strings.Cut(name, "=")
	switch kind {
	case "json":
		return report.JSON(o.out, opts), nil
	case "ansible":
		return report.Ansible(o.out, o.err, o.ansible()), nil
	case "minimal":
		return report.Minimal(o.out, o.err, o.ansible()), nil
	case "oneline":
		return report.Oneline(o.out, o.err, o.ansible()), nil
	case "junit":
		if file == "" {
			return nil, errors.New("output junit wants a file: junit=report.xml")
		}
		f, err := os.Create(file)
		if err != nil {
			return nil, fmt.Errorf("write junit report: %w", err)
		}
		v.closers = append(v.closers, f.Close)
		return report.JUnit(f), nil
	case "tree":
		if file == "" {
			return nil, errors.New("output tree wants a folder: tree=results")
		}
		return report.Tree(file, o.ansible()), nil
	case "plain":
		return report.Plain(o.out, opts), nil
	case "terminal":
		t := report.NewTerminal(o.out, opts)
		v.closers = append(v.closers, func() error { t.Close(); return nil })
		v.print, v.live = t.Print, true
		return t.Event, nil
	}
	return nil, fmt.Errorf("unknown output %q\nhint: one of %s", name, viewNames)
}
