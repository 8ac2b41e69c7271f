package run

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"orch/playbook/jinja/value"
	"orch/playbook/source"
	"orch/playbook/template"
)

// A debugger is the task debugger, stopped at what a task came to on a host
// (ansible-core 2.18: strategy.Debugger). Expressions are the template language's, which
// reads what Python would be asked here; statements are assignments to the arguments of
// the task and to variables.
type debugger struct {
	w      *work
	o      *outcome
	args   *value.Dict // task.args, for the next attempt
	set    *value.Dict // task_vars that were given a value
	screen strings.Builder
}

// debugs says whether the debugger is wanted for an outcome (ansible-core 2.18:
// TaskResult.needs_debugger).
func (w *work) debugs(o *outcome) bool {
	if o.past || w.quiet {
		return false
	}
	e := w.b.run
	failed := o.status == Failed && !(o.ignoreErrors && !e.cfg.DebugIgnored)
	wanted := w.b.play.debug && (failed || o.status == Unreachable)
	if !w.t.kw.debugger.given() {
		return wanted
	}
	v, ok, err := w.field(w.t.vars.Eval(w.ctx, w.h.vars, w.top...), w.t.kw.debugger)
	if err != nil {
		e.warn(w.t.kw.debugger.pos, fieldError("debugger", err).Error())
	}
	if !ok || err != nil {
		return wanted
	}
	switch value.String(v) {
	case "always":
		return true
	case "never":
		return false
	case "on_failed":
		return wanted || failed
	case "on_unreachable":
		return wanted || o.status == Unreachable
	case "on_skipped":
		return wanted || o.status == Skipped
	}
	return wanted
}

// take takes a result in, through the debugger where that is wanted: the work may be
// done again, as it was told to be there.
func (b *batch) take(w *work, o *outcome, once bool) done {
	for w.debugs(o) && !b.run.interrupted() {
		if !o.shown && o.include == nil {
			ev := TaskDone{ID: w.t.id, Host: w.h.name, Result: w.event(o), Loop: o.loop}
			ev.Result.Rescued = o.status == Failed && !o.ignoreErrors && w.h.it.cur.rescues()
			b.run.emit(ev)
			o.shown = true
		}
		again := (&debugger{w: w, o: o}).stop()
		if again == nil {
			break
		}
		w = again
		o = w.do()
	}
	b.process(w, o, once)
	o.facts = nil // stored: an outcome stays until the task's last host is done
	return done{w, o}
}

// stop asks what to do until the answer is to go on (nil), to do the task again (the work
// to do), or to end the run.
func (d *debugger) stop() *work {
	e := d.w.b.run
	d.args, d.set = value.NewDict(0), value.NewDict(0)
	if d.w.t.args != nil {
		d.args = d.w.t.args.Copy()
	}
	prompt := fmt.Sprintf("[%s] %s: %s (debug)> ", d.w.h.name, kindOf(d.w.t), d.w.t.label(d.w.t.name))
	ctx, cancel := context.WithCancel(e.ctx)
	defer cancel()
	go func() {
		select {
		case <-e.stopped:
			cancel()
		case <-ctx.Done():
		}
	}()
	last := ""
	for {
		line, err := "", error(errNobody)
		if e.cfg.Prompt != nil {
			line, err = e.cfg.Prompt.Ask(ctx, e.redact.Mask(d.screen.String())+prompt, true)
		}
		d.screen.Reset()
		if err != nil { // the end of what is typed; nobody is there
			line = "quit"
		}
		if line = strings.TrimSpace(line); line == "" {
			line = last // as Python's cmd does
		}
		last = line
		switch next := d.command(line); next {
		case debugGoOn:
			return nil
		case debugRedo:
			return d.again()
		case debugQuit:
			e.warn(d.w.t.src.Pos, "User interrupted execution")
			e.halt()
			return nil
		}
	}
}

var errNobody = errors.New("there is no terminal")

func kindOf(t *task) string {
	if t.src.Handler {
		return "HANDLER"
	}
	return "TASK"
}

// What follows from a command.
const (
	debugAsk = iota
	debugGoOn
	debugRedo
	debugQuit
)

const debugHelp = `
Documented commands (type help <topic>):
========================================
EOF  c  continue  h  help  p  pprint  q  quit  r  redo  u  update_task

`

var debugTopics = map[string]string{
	"EOF": "End the run", "c": "Go on to the next result", "h": "List the commands, or say what one does",
	"p": "Print an expression: task, task.args, task_vars, host, result", "q": "End the run",
	"r": "Do the task again", "u": "Make the task's arguments anew, from the playbook and task_vars",
}

var debugNames = map[string]string{
	"continue": "c", "c": "c", "help": "h", "h": "h", "?": "h", "pprint": "p", "p": "p", "quit": "q", "q": "q", "EOF": "EOF",
	"redo": "r", "r": "r", "update_task": "u", "u": "u",
}

var debugWord = source.Lazy(`^(\?|[A-Za-z0-9_]+)\s*(.*)$`)

func (d *debugger) command(line string) int {
	if line == "" {
		return debugAsk
	}
	word, rest := "", line
	if m := debugWord().FindStringSubmatch(line); m != nil {
		word, rest = debugNames[m[1]], m[2]
	}
	switch word {
	case "c":
		return debugGoOn
	case "r":
		return debugRedo
	case "q", "EOF":
		return debugQuit
	case "h":
		d.help(rest)
	case "p":
		d.print(rest)
	case "u":
		d.update()
	default:
		d.execute(line)
	}
	return debugAsk
}

func (d *debugger) say(text string) { d.screen.WriteString(text + "\n") }

func (d *debugger) complain(err error) {
	kind, msg := "SyntaxError", err.Error()
	if u := template.IsUndefined(err); u != nil {
		kind = "NameError"
	}
	d.say("***" + kind + ":" + kind + "(" + value.Repr(value.S(msg)) + ")")
}

func (d *debugger) help(topic string) {
	switch text := debugTopics[debugNames[topic]]; {
	case topic == "":
		d.screen.WriteString(debugHelp)
	case text != "":
		d.say(text)
	default:
		d.say("*** No help on " + topic)
	}
}

func (d *debugger) print(expr string) {
	v, err := d.eval(expr)
	if err == nil {
		v, err = d.eval("(" + expr + ") | pprint")
	}
	if err != nil {
		d.complain(err)
		return
	}
	d.say(value.String(v))
}

// update makes the arguments anew.
func (d *debugger) update() {
	v, err := d.w.b.run.cfg.Templater.Value(d.w.ctx, d.w.t.args, d.scope())
	if err != nil {
		d.complain(err)
		return
	}
	if args, ok := v.(*value.Dict); ok {
		d.args = args.Copy()
	}
}

// scope is the task's with the debugger's names on top.
func (d *debugger) scope() template.Scope {
	return d.w.t.vars.Eval(d.w.ctx, d.w.h.vars, append(d.given(), d.w.reach...)...)
}

// given are the variables that were set, here and at an earlier stop.
func (d *debugger) given() []value.Named {
	var out []value.Named
	for k, v := range d.set.All() {
		out = append(out, value.Named{Name: value.String(k), Val: v})
	}
	return append(out, d.w.given...)
}

func (d *debugger) eval(expr string) (value.Value, error) {
	scope := d.scope()
	all := value.NewDict(0)
	if v, ok, err := scope.Lookup("vars"); err == nil && ok {
		if m, isDict := v.(*value.Dict); isDict {
			all = m.Copy()
		}
	}
	for k, v := range d.set.All() {
		_ = all.Set(k, v) // a key of a dict
	}
	t := d.w.t
	task := value.D("name", value.S(t.name), "action", value.S(t.src.Action), "args", d.args)
	if t.src.Register != nil {
		task.SetStr("register", value.S(registerName(t.src)))
	}
	result := value.D("_result", d.o.value, "task_name", value.S(t.label(t.name)), "_host", value.S(d.w.h.name))
	top := scope.With(
		value.Named{Name: "task", Val: task}, value.Named{Name: "task_vars", Val: all},
		value.Named{Name: "host", Val: value.S(d.w.h.name)}, value.Named{Name: "result", Val: result})
	v, err := d.w.b.run.cfg.Templater.Expr(d.w.ctx, value.Str{S: expr, From: &d.w.t.src.Pos}, top)
	if err != nil {
		return nil, err
	}
	if u, undefined := value.IsUndefined(v); undefined {
		return nil, &value.UndefinedError{U: u}
	}
	return v, nil
}

var (
	assignment = source.Lazy(`^(task\.args|task_vars)\s*((?:\[[^\]=]+\]\s*)*)=\s*([^=].*)$`)
	deletion   = source.Lazy(`^del\s+(task\.args|task_vars)\s*((?:\[[^\]]+\]\s*)+)$`)
	index      = source.Lazy(`\[([^\]]+)\]`)
)

// execute does a statement; that of an expression is to print it.
func (d *debugger) execute(line string) {
	if m := assignment().FindStringSubmatch(line); m != nil {
		v, err := d.eval(m[3])
		if err == nil {
			err = d.assign(m[1], m[2], v)
		}
		if err != nil {
			d.complain(err)
		}
		return
	}
	if m := deletion().FindStringSubmatch(line); m != nil {
		if err := d.assign(m[1], m[2], nil); err != nil {
			d.complain(err)
		}
		return
	}
	v, err := d.eval(line)
	if err != nil {
		d.complain(err)
		return
	}
	if _, none := v.(value.None); !none {
		d.say(value.Repr(v))
	}
}

// assign sets, or with nil deletes, what path names below one of the two dicts.
func (d *debugger) assign(name, path string, v value.Value) error {
	dict := d.args
	if name == "task_vars" {
		dict = d.set
	}
	keys := index().FindAllStringSubmatch(path, -1)
	if len(keys) == 0 {
		whole, ok := v.(*value.Dict)
		if !ok {
			return fmt.Errorf("%s must be a dictionary", name)
		}
		if name == "task_vars" {
			d.set = authored(whole).(*value.Dict)
		} else {
			d.args = authored(whole).(*value.Dict)
		}
		return nil
	}
	for i, m := range keys {
		key, err := d.eval(m[1])
		if err != nil {
			return err
		}
		if i == len(keys)-1 {
			if v == nil {
				_, err = dict.Delete(key)
				return err
			}
			return dict.Set(key, authored(v))
		}
		below, ok, err := dict.Get(key)
		if err != nil {
			return err
		}
		inner, isDict := below.(*value.Dict)
		if !ok || !isDict {
			return fmt.Errorf("%s is no dictionary", strings.TrimSpace(name+path))
		}
		inner = inner.Copy()
		if err := dict.Set(key, inner); err != nil {
			return err
		}
		dict = inner
	}
	return nil
}

// authored makes what a person typed an author's: templates in it are evaluated when the
// task is done again.
func authored(v value.Value) value.Value {
	switch v := v.(type) {
	case value.Str:
		return value.Str{S: v.S, From: &value.Origin{}}
	case *value.List:
		items := make([]value.Value, len(v.Items))
		for i, item := range v.Items {
			items[i] = authored(item)
		}
		return value.NewList(items...)
	case *value.Dict:
		out := value.NewDict(v.Len())
		for k, item := range v.All() {
			_ = out.Set(k, authored(item)) // a key of a dict
		}
		return out
	}
	return v
}

// again is the work with the arguments and variables it was given here.
func (d *debugger) again() *work {
	src := *d.w.t.src
	src.Args, src.FreeForm, src.ArgsTemplate = d.args, nil, nil
	old := d.w.t
	t := &task{
		src: &src, play: old.play, kw: old.kw, vars: old.vars, implicit: old.implicit, roleRun: old.roleRun,
		includes: old.includes, search: old.search, id: old.id, name: old.name, named: old.named, started: old.started,
	}
	if old.module != "" {
		t.setModule(old.module)
	}
	return &work{b: d.w.b, t: t, h: d.w.h, ctx: d.w.ctx, given: d.given()}
}
