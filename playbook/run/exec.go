package run

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"orch/modules"
	"orch/modules/schema"
	"orch/playbook"
	"orch/playbook/jinja/value"
	"orch/playbook/source"
	"orch/playbook/template"
	"orch/playbook/vars"
	"orch/transport"
)

// A work is one task on one host.
type work struct {
	b   *batch
	t   *task
	h   *host
	ctx context.Context
	top []value.Named // the variables of a loop's turn
	// reach are connection variables nobody set, with the values they come to.
	reach []value.Named
	// given are variables the debugger set.
	given []value.Named
	// past is what the task came to on the host in the run that is resumed.
	past *Record
	// quiet keeps events back: what is done again has been reported before.
	quiet bool
}

// An outcome is what a task, or an item of its loop, came to.
type outcome struct {
	status  Status
	maybe   bool // check mode: only a run can tell
	unknown bool
	res     modules.Result
	value   value.Value // what register stores: *value.Dict or *partial
	dict    *value.Dict // its known part
	args    *value.Dict
	cause   source.Diagnostic
	items   []*outcome // of a loop
	item    bool       // it is one of those
	loop    bool
	label   string

	noLog, ignoreErrors, ignoreUnreachable bool
	notify                                 []string
	delegated, address                     string
	facts                                  *facts
	include                                *include
	rescued, past                          bool // past: taken from the run that is resumed
	shown                                  bool // views know of it: the debugger stopped at it
	elsewhere                              bool // its facts are another host's
	attempts                               int
	duration                               time.Duration
	// warnings found on the way, beside those of the module.
	warnings []string
	// raised: something of the task could not be evaluated. In a loop that ends the task
	// (aborts), with that error for its result (ansible-core 2.18: TaskExecutor._run_loop).
	raised, aborts bool
}

func (o *outcome) changed() bool { return o.status == Changed }
func (o *outcome) failed() bool  { return o.status == Failed }

// perform runs the task on the host.
func (w *work) perform() *outcome {
	start := time.Now()
	o := w.loopOrOne()
	o.duration = time.Since(start)
	return o
}

func (w *work) loopOrOne() *outcome {
	scope := w.t.vars.Eval(w.ctx, w.h.vars)
	w.reach = append(w.reached(scope), w.given...)
	if w.t.kw.delegateTo.given() {
		if name, err := w.delegate(scope); err == nil && name != "" {
			w.reach = append(w.reach, value.Named{Name: "ansible_delegated_vars", Val: scope.Delegated(name)})
		}
	}
	if w.reach != nil {
		scope = w.t.vars.Eval(w.ctx, w.h.vars, w.reach...)
	}
	if !w.t.loops() {
		return w.one(scope, nil, nil)
	}
	items, err := w.items(scope)
	if err != nil {
		// A condition that is false without the items comes first.
		return w.one(scope, nil, err)
	}
	if items == nil {
		o := &outcome{loop: true}
		w.unknownResult(o, "the items of the loop are not known yet", nil)
		return o
	}
	return w.loop(items)
}

// fail makes o the failed result of an error that is not the module's.
func (w *work) fail(o *outcome, scope *vars.Scope, err error) *outcome {
	o.cause = diagnose(err, w.t.src.Pos)
	d := value.NewDict(3)
	d.SetStr("msg", value.S(err.Error()+w.b.run.excerpt(o.cause, w.t.src.Pos)))
	d.SetStr("failed", value.Bool(true))
	o.status, o.dict, o.value = Failed, d, d
	o.raised = template.IsUndefined(err) != nil || errors.As(err, new(*template.Error)) || errors.As(err, new(*conditionError))
	w.ignores(o, scope)
	return o
}

// excerpt is what Ansible adds to the message of a task that cannot be understood: the
// place of the task, or of the name of a role that is not there.
func (e *engine) excerpt(cause source.Diagnostic, task source.Pos) string {
	switch {
	case e.cfg.Excerpt == nil:
		return ""
	case cause.Rule == "role":
		return e.cfg.Excerpt(cause.Pos)
	case cause.Rule == "undefined", cause.Rule == "condition":
		return e.cfg.Excerpt(task)
	}
	return ""
}

// diagnose gives an error the place it has, else that of the task.
func diagnose(err error, pos source.Pos) source.Diagnostic {
	var ke *keywordError
	var me *missingError
	var ds source.Diagnostics
	d := template.Diagnose(err)
	switch {
	case errors.As(err, new(*undefinedError)):
		d.Rule = "undefined"
	case errors.As(err, new(*conditionError)):
		d.Rule = "condition"
	case errors.As(err, &me):
		d = me.d
	case errors.As(err, &ke):
		d.Pos = ke.pos
	case errors.As(err, &ds) && len(ds) > 0:
		d = ds[0]
	}
	if d.Pos.Line == 0 {
		d.Pos = pos
	}
	return d
}

// field evaluates a keyword; false when it is not given or omitted.
func (w *work) field(scope *vars.Scope, f field) (value.Value, bool, error) {
	switch {
	case !f.given():
		return nil, false, nil
	case f.literal:
		return f.raw, true, nil
	}
	v, err := w.b.run.cfg.Templater.Value(w.ctx, f.raw, scope)
	if err == nil && template.IsOmit(v) && f.outer != nil {
		return w.field(scope, *f.outer)
	}
	if err != nil || template.IsOmit(v) {
		return nil, false, err
	}
	return v, true, nil
}

// flag evaluates a boolean keyword.
func (w *work) flag(scope *vars.Scope, name string, f field, otherwise bool) (bool, error) {
	v, ok, err := w.field(scope, f)
	if err != nil {
		return otherwise, fieldError(name, err)
	}
	if _, none := v.(value.None); !ok || none || value.IsUnknown(v) {
		return otherwise, nil
	}
	return toBool(name, f, v)
}

func (w *work) int(scope *vars.Scope, name string, f field, otherwise int) (int, error) {
	v, ok, err := w.field(scope, f)
	if err != nil {
		return otherwise, fieldError(name, err)
	}
	if _, none := v.(value.None); !ok || none || value.IsUnknown(v) {
		return otherwise, nil
	}
	return toInt(name, f, v)
}

func (w *work) float(scope *vars.Scope, name string, s *playbook.Scalar, otherwise float64) (float64, error) {
	f := newField(s)
	v, ok, err := w.field(scope, f)
	if err != nil {
		return otherwise, fieldError(name, err)
	}
	if _, none := v.(value.None); !ok || none || value.IsUnknown(v) {
		return otherwise, nil
	}
	return toFloat(name, f, v)
}

// one runs the task for one item, or for none. loopErr is why there are no items.
func (w *work) one(scope *vars.Scope, item *loopItem, loopErr error) *outcome {
	o := &outcome{}
	var err error
	if o.noLog, err = w.flag(scope, "no_log", w.t.kw.noLog, w.b.run.cfg.NoLog); err != nil {
		o.noLog = true // what cannot be judged is not shown
		return w.fail(o, scope, err)
	}
	if w.t.kw.delegateTo.given() {
		// A name that cannot be templated matters only if the task is not skipped.
		if name, err := w.delegate(scope); err == nil {
			o.delegated = name
		}
	}
	truth, which, err := w.when(scope)
	if err != nil {
		if loopErr != nil {
			err = loopErr
		}
		return w.fail(o, scope, err)
	}
	if truth == condFalse {
		o.status = Skipped
		d := value.NewDict(4)
		d.SetStr("changed", value.Bool(false))
		d.SetStr("skipped", value.Bool(true))
		d.SetStr("skip_reason", value.S("Conditional result was False"))
		d.SetStr("false_condition", data(which))
		o.dict, o.value = d, d
		return o
	}
	if loopErr != nil {
		return w.fail(o, scope, loopErr)
	}
	if truth == condUnknown {
		w.unknownResult(o, "its condition is not known yet", nil)
		return o
	}
	if w.t.isInclude() {
		return w.includes(o, scope, item)
	}
	if w.t.kw.delegateTo.given() {
		if o.delegated, err = w.delegate(scope); errors.Is(err, errNotKnown) {
			w.unknownResult(o, "the host it is delegated to is not known yet", nil)
			return o
		}
		if err != nil {
			return w.fail(o, scope, err)
		}
	}
	return w.call(o, scope)
}

func data(v value.Value) value.Value {
	if s, ok := v.(value.Str); ok {
		return value.S(s.S)
	}
	return v
}

type condition uint8

const (
	condFalse condition = iota
	condTrue
	condUnknown
)

// when judges the task's conditions in order, up to the first that does not hold.
func (w *work) when(scope *vars.Scope) (condition, value.Value, error) {
	return w.all(scope, w.t.kw.when)
}

func (w *work) all(scope template.Scope, conds []playbook.Scalar) (condition, value.Value, error) {
	out := condTrue
	for _, c := range conds {
		switch v := c.Val.(type) {
		case value.Bool:
			if !v {
				return condFalse, v, nil
			}
			continue
		case value.None:
			continue
		case value.Str:
			if v.S == "" {
				continue
			}
		}
		v, err := w.b.run.cfg.Templater.Truth(w.ctx, c.Val, scope)
		if err != nil {
			return condFalse, nil, &conditionError{text: value.String(c.Val), err: err}
		}
		if value.IsUnknown(v) {
			out = condUnknown
			continue
		}
		if v != value.Value(value.Bool(true)) {
			return condFalse, c.Val, nil
		}
	}
	return out, nil, nil
}

// A conditionError names the condition that could not be judged, in Ansible's words.
type conditionError struct {
	text string
	err  error
}

// Error implements error.
func (e *conditionError) Error() string {
	return fmt.Sprintf("The conditional check '%s' failed. The error was: %s", e.text, e.err)
}

// Unwrap returns the cause.
func (e *conditionError) Unwrap() error { return e.err }

// An undefinedError says in Ansible's words where something undefined was used.
type undefinedError struct {
	msg string
	err error
}

// Error implements error.
func (e *undefinedError) Error() string { return e.msg + ". " + e.err.Error() }

// Unwrap returns the cause.
func (e *undefinedError) Unwrap() error { return e.err }

// fieldError is the error of a keyword that cannot be evaluated.
func fieldError(name string, err error) error {
	if template.IsUndefined(err) == nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return &undefinedError{fmt.Sprintf("The field '%s' has an invalid value, which includes an undefined variable.", name), err}
}

// argsError is the error of arguments that cannot be evaluated.
func argsError(err error) error {
	if template.IsUndefined(err) == nil {
		return err
	}
	return &undefinedError{"The task includes an option with an undefined variable.", err}
}

// delegate is the host the task is delegated to; "" for none.
func (w *work) delegate(scope *vars.Scope) (string, error) {
	v, ok, err := w.field(scope, w.t.kw.delegateTo)
	if err != nil {
		return "", fieldError("delegate_to", err)
	}
	if _, none := v.(value.None); !ok || none {
		return "", nil
	}
	if value.IsUnknown(v) {
		return "", errNotKnown
	}
	name := value.String(v)
	if name == "" {
		return "", &keywordError{w.t.kw.delegateTo.pos, "empty hostname in delegate_to"}
	}
	return name, nil
}

// call prepares the arguments and makes the attempts.
func (w *work) call(o *outcome, scope *vars.Scope) *outcome {
	if err := w.bind(scope); err != nil {
		return w.fail(o, scope, err)
	}
	args, module, diags, err := w.arguments(scope)
	if err != nil {
		return w.fail(o, scope, err)
	}
	o.args = args
	w.secretArgs(args)
	for _, d := range diags.Only(source.Warning) {
		o.warnings = append(o.warnings, d.Msg)
	}
	if holdsUnknown(args) && !w.t.is(modSetFact) {
		w.unknownResult(o, "an argument is not known yet", scope)
		return o
	}
	if diags.HasErrors() {
		return w.wrongArguments(o, scope, diags)
	}
	return w.attempt(o, scope, module)
}

func (w *work) wrongArguments(o *outcome, scope *vars.Scope, diags source.Diagnostics) *outcome {
	var msgs []string
	for _, d := range diags.Only(source.Error) {
		msgs = append(msgs, d.Msg)
	}
	w.fail(o, scope, errors.New(strings.Join(msgs, "; ")))
	o.dict.SetStr("changed", value.Bool(false))
	o.cause = diags.Only(source.Error)[0]
	if o.cause.Pos.Line == 0 {
		o.cause.Pos = w.t.src.Pos
	}
	return o
}

// bind resolves the module of a task whose action is a template.
func (w *work) bind(scope *vars.Scope) error {
	if w.t.module == "" {
		bound, err := w.bound(scope)
		if err != nil {
			return err
		}
		w.t = bound
	}
	if w.t.spec == nil && !w.t.native() && w.t.src.Executable == "" {
		msg := fmt.Sprintf("couldn't resolve module/action '%s'. This often indicates a misspelling, missing collection, or incorrect module path.", w.t.module)
		return &source.Diagnostic{Pos: w.t.at(""), Msg: msg, Hint: didYouMean(w.b.run.cfg.Modules, w.t.module)}
	}
	return nil
}

// bound is a task whose action is a template with the module that comes to.
func (w *work) bound(scope *vars.Scope) (*task, error) {
	action := value.Str{S: w.t.src.Action, From: &w.t.src.ActionPos}
	v, err := w.b.run.cfg.Templater.Value(w.ctx, action, scope)
	if err != nil {
		return nil, err
	}
	t := &task{
		src: w.t.src, play: w.t.play, kw: w.t.kw, vars: w.t.vars, roleRun: w.t.roleRun, includes: w.t.includes,
		search: w.t.search, id: w.t.id, name: w.t.name,
	}
	t.setModule(moduleName(&playbook.Task{Action: value.String(v)}))
	return t, nil
}

func didYouMean(r *schema.Registry, name string) string {
	if s := r.Suggest(name); s != "" {
		return fmt.Sprintf("did you mean %q?", s)
	}
	return ""
}

// native says whether the executor itself is the module.
func (t *task) native() bool {
	return t.is(modMeta, modIncludeTasks, modIncludeRole, modIncludeVars, modSetFact, modGatherFacts)
}

// run executes a decoded module once.
func (w *work) run(o *outcome, c *call) (modules.Result, error) {
	ctx := w.ctx
	if !c.site.o.noLog {
		ctx = modules.WithNotes(ctx, c.site.step)
	}
	if c.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, time.Duration(c.timeout)*time.Second, errTimeout)
		defer cancel()
	}
	var res modules.Result
	var err error
	if c.async > 0 {
		res, err = w.async(ctx, o, c)
	} else {
		res, err = w.direct(ctx, o, c)
	}
	var f *modules.Failure
	if errors.As(err, &f) {
		res.Failure, err = f, nil
	}
	if err != nil && errors.Is(context.Cause(ctx), errTimeout) {
		return modules.Result{Failure: modules.Failf(
			"The %s action failed to execute in the expected time frame (%d) and was terminated", w.t.src.Action, c.timeout)}, errTimeout
	}
	return res, err
}

// direct runs the module in its world.
func (w *work) direct(ctx context.Context, o *outcome, c *call) (modules.Result, error) {
	if w.t.src.Executable != "" {
		return w.executable(ctx, o, c)
	}
	var res modules.Result
	var err error
	switch w.t.spec.World {
	case schema.Host:
		res, err = c.site.host(ctx, w.t.spec.Name, c.module, c.options)
	case schema.Site:
		res, err = w.t.spec.Run(ctx, c.module, c.site, c.site, c.options)
	default:
		world, ok := w.b.run.cfg.Worlds[w.t.spec.World]
		if !ok {
			return res, fmt.Errorf("modules of the world %q cannot run here", w.t.spec.World)
		}
		var view, tgt any
		if view, tgt, err = world(ctx, c.site, c.module); err == nil {
			res, err = w.t.spec.Run(ctx, c.module, view, tgt, c.options)
		}
	}
	return res, err
}

var errTimeout = errors.New("the task's timeout")

// A call is one attempt at a module.
type call struct {
	module  any
	options modules.Options
	site    *site
	timeout int
	// async is the limit of a job in seconds, 0 for none; poll how often it is asked for.
	async, poll int
}

// lost sorts an error of a run: unreachable, or the task's failure.
func (w *work) lost(o *outcome, scope *vars.Scope, err error) *outcome {
	var lost *transport.Lost
	if errors.As(err, &lost) {
		d := value.NewDict(3)
		d.SetStr("msg", value.S(lost.Error()))
		d.SetStr("unreachable", value.Bool(true))
		d.SetStr("changed", value.Bool(false))
		o.status, o.dict, o.value = Unreachable, d, d
		w.ignores(o, scope)
		return o
	}
	if w.b.run.interrupted() && errors.Is(err, context.Canceled) {
		err = errors.New("interrupted")
	}
	return w.fail(o, scope, err)
}
