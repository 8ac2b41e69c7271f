package run

import (
	"errors"
	"fmt"
	"time"

	"orch/modules"
	"orch/playbook/jinja/value"
	"orch/playbook/source"
	"orch/playbook/template"
	"orch/playbook/vars"
)

// attempt runs the module until it is done: once, or as until and retries say.
func (w *work) attempt(o *outcome, scope *vars.Scope, module any) *outcome {
	c, attempts, delay, err := w.prepare(o, scope, module)
	if err != nil {
		return w.fail(o, scope, err)
	}
	for n := 1; ; n++ {
		warnings := o.warnings
		if err := w.once(o, scope, c); err != nil {
			return w.lost(o, scope, err)
		}
		o.attempts = n
		if attempts > 1 {
			o.dict.SetStr("attempts", value.Int(n))
		}
		w.judge(o, scope)
		if attempts == 1 || o.unknown {
			break
		}
		done, err := w.until(o, scope)
		if err != nil {
			return w.fail(o, scope, err)
		}
		if done {
			break
		}
		if n == attempts || w.b.run.interrupted() {
			o.attempts = attempts - 1
			o.dict.SetStr("attempts", value.Int(attempts-1))
			w.exhausted(o)
			break
		}
		w.emit(Retry{
			ID: w.t.id, Host: w.h.name, Item: o.label, Attempt: n, Retries: attempts, Result: w.event(o),
		})
		if !w.sleep(delay) {
			return w.fail(o, scope, errors.New("interrupted"))
		}
		c.module = clone(c.module)
		o.warnings = warnings
	}
	w.settle(o, scope)
	return o
}

// prepare evaluates what is the same for all attempts.
func (w *work) prepare(o *outcome, scope *vars.Scope, module any) (*call, int, time.Duration, error) {
	c := &call{module: module}
	var err error
	if c.options.Check, err = w.flag(scope, "check_mode", w.t.kw.checkMode, w.b.run.cfg.Check); err != nil {
		return nil, 0, 0, err
	}
	if c.options.Diff, err = w.flag(scope, "diff", w.t.kw.diff, w.b.run.cfg.Diff); err != nil {
		return nil, 0, 0, err
	}
	c.options.Verify = w.b.run.cfg.Verify
	if c.timeout, err = w.int(scope, "timeout", w.t.kw.timeout, w.b.run.cfg.TaskTimeout); err != nil {
		return nil, 0, 0, err
	}
	c.site = &site{w: w, scope: scope, options: c.options, o: o}
	if c.site.env, err = w.environment(scope); err != nil {
		return nil, 0, 0, err
	}
	if err := w.asyncKeywords(c); err != nil {
		return nil, 0, 0, err
	}
	attempts, delay := 1, 5.0
	if s := w.t.src.Retries; s != nil {
		n, err := w.float(scope, "retries", s, 0)
		if err != nil {
			return nil, 0, 0, err
		}
		attempts += max(0, int(n))
	} else if len(w.t.src.Until) > 0 {
		attempts += 3
	}
	if delay, err = w.float(scope, "delay", w.t.src.Delay, 5); err != nil {
		return nil, 0, 0, err
	}
	if delay < 0 {
		delay = 1
	}
	return c, attempts, time.Duration(delay * float64(time.Second)), nil
}

// once runs the module once and builds what register stores.
func (w *work) once(o *outcome, scope *vars.Scope, c *call) error {
	var res modules.Result
	var err error
	switch {
	case w.t.is(modSetFact):
		return w.setFact(o, scope)
	case w.t.is(modIncludeVars):
		return w.includeVars(o, scope)
	case w.t.is(modGatherFacts):
		res, err = w.gatherFacts(o, scope, c)
	default:
		res, err = w.run(o, c)
	}
	timedOut := errors.Is(err, errTimeout)
	if err != nil && !timedOut {
		return err
	}
	if err := w.build(o, res, c.options); err != nil {
		return err
	}
	w.inventory(o)
	if timedOut {
		o.dict.SetStr("timedout", value.D("period", value.Int(c.timeout)))
	}
	return nil
}

// judge applies changed_when and failed_when. A skipped task is not judged.
func (w *work) judge(o *outcome, scope *vars.Scope) {
	if o.status == Skipped {
		return
	}
	if o.failed() && o.res.Failure == nil && o.cause.Msg != "" {
		return
	}
	if conds := w.t.src.ChangedWhen; len(conds) > 0 {
		truth, _, err := w.all(w.withResult(scope, o), conds)
		switch {
		case err != nil:
			w.setFailed(o, true)
			o.cause = judged(err, w.t.src.Pos)
			o.dict.SetStr("changed_when_result", value.S(err.Error()))
			return
		case truth == condUnknown:
			o.maybe = true
			w.setChanged(o, false)
		default:
			o.maybe = false
			w.setChanged(o, truth == condTrue)
		}
	}
	conds := w.t.src.FailedWhen
	if len(conds) == 0 {
		return
	}
	truth, _, err := w.all(w.withResult(scope, o), conds)
	if err != nil {
		w.setFailed(o, true)
		o.cause = judged(err, w.t.src.Pos)
		o.dict.SetStr("failed_when_result", value.S(err.Error()))
		return
	}
	w.setFailed(o, truth == condTrue)
	o.dict.SetStr("failed_when_result", value.Bool(truth == condTrue))
}

// judged is the cause of a result that could not be judged: the module's own message
// stays as it is.
func judged(err error, pos source.Pos) source.Diagnostic {
	d := diagnose(err, pos)
	d.Rule = ""
	return d
}

func (w *work) setFailed(o *outcome, failed bool) {
	o.dict.SetStr("failed", value.Bool(failed))
	if failed {
		o.status = Failed
		return
	}
	if o.status == Failed {
		o.status = OK
		if v, ok := o.dict.GetStr("changed"); ok && v == value.Value(value.Bool(true)) {
			o.status = Changed
		}
	}
}

// exhausted makes a result failed because no attempt was the last. Where failed_when has
// said that it did not fail, the task did not, though its result says so
// (ansible-core 2.18: TaskResult.is_failed).
func (w *work) exhausted(o *outcome) {
	if _, judged := o.dict.GetStr("failed_when_result"); judged {
		o.dict.SetStr("failed", value.Bool(true))
		return
	}
	w.setFailed(o, true)
}

func (w *work) setChanged(o *outcome, changed bool) {
	o.dict.SetStr("changed", value.Bool(changed))
	if o.status == Failed {
		return
	}
	o.status = OK
	if changed {
		o.status = Changed
	}
}

// withResult is the scope in which a result is judged: it is registered already.
func (w *work) withResult(scope *vars.Scope, o *outcome) template.Scope {
	if w.t.src.Register == nil {
		return scope.With()
	}
	return scope.With(value.Named{Name: registerName(w.t.src), Val: o.value})
}

// until says whether no further attempt is needed. Without until, success is enough.
func (w *work) until(o *outcome, scope *vars.Scope) (bool, error) {
	if len(w.t.src.Until) == 0 {
		return !o.failed(), nil
	}
	truth, _, err := w.all(w.withResult(scope, o), w.t.src.Until)
	return truth != condFalse, err
}

// sleep waits; false when the run is stopping.
func (w *work) sleep(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-w.b.run.stopped:
		return false
	case <-w.ctx.Done():
		return false
	}
}

// settle evaluates what is said about a result once it is there: whether its failure is
// ignored, whom it notifies.
func (w *work) settle(o *outcome, scope *vars.Scope) {
	w.ignores(o, scope)
	if len(w.t.kw.notify) == 0 || o.status != OK && o.status != Changed {
		return
	}
	var names []string
	for _, raw := range w.t.kw.notify {
		v := raw
		if !isLiteral(raw) {
			got, err := w.b.run.cfg.Templater.Value(w.ctx, raw, scope)
			if err != nil {
				w.fail(o, scope, fmt.Errorf("notify: %w", err))
				return
			}
			v = got
		}
		names = appendText(names, v)
	}
	o.notify = names
}

// ignores evaluates ignore_errors and ignore_unreachable of a result that needs them.
func (w *work) ignores(o *outcome, scope *vars.Scope) {
	if o.status != Failed && o.status != Unreachable {
		return
	}
	if scope == nil {
		scope = w.t.vars.Eval(w.ctx, w.h.vars)
	}
	var err error
	if o.ignoreErrors, err = w.flag(scope, "ignore_errors", w.t.kw.ignoreErrors, false); err != nil {
		w.b.run.warn(w.t.src.Pos, err.Error())
	}
	if o.ignoreUnreachable, err = w.flag(scope, "ignore_unreachable", w.t.kw.ignoreUnreachable, false); err != nil {
		w.b.run.warn(w.t.src.Pos, err.Error())
	}
}

func appendText(out []string, v value.Value) []string {
	switch v := v.(type) {
	case *value.List:
		for _, item := range v.Items {
			out = appendText(out, item)
		}
		return out
	case value.None, value.Unknown:
		return out
	}
	if template.IsOmit(v) {
		return out
	}
	return append(out, value.String(v))
}
