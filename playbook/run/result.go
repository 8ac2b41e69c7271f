package run

import (
	"encoding/json"
	"fmt"
	"strings"

	"orch/modules"
	"orch/playbook/jinja/value"
	"orch/playbook/vars"
)

// A partial is a result of check mode of which only a part is known: whatever else is
// asked of it is Unknown, so that nothing fails because an earlier step was not run.
type partial struct {
	*value.Dict
	of string
}

// Type implements value.Value.
func (*partial) Type() string { return "dict" }

// Attr implements value.Object.
func (p *partial) Attr(name string) (value.Value, bool, error) {
	v, ok := p.GetStr(name)
	if ok || name == "skipped" { // whether it was skipped is known
		return v, ok, nil
	}
	return value.Unknown{Of: name + " of " + p.of}, true, nil
}

// Get implements value.Mapping.
func (p *partial) Get(k value.Value) (value.Value, bool, error) {
	if name, ok := k.(value.Str); ok {
		return p.Attr(name.S)
	}
	return p.Dict.Get(k)
}

// what names the task for values that are not known.
func (w *work) what() string { return fmt.Sprintf("task %q", w.t.label(w.t.name)) }

// unknownResult is the result of a task that was not run because something it needs is
// known only after an earlier step has run.
func (w *work) unknownResult(o *outcome, why string, scope *vars.Scope) {
	d := value.NewDict(4)
	d.SetStr("changed", value.Unknown{Of: "changed of " + w.what()})
	d.SetStr("msg", value.S("known after apply: "+why))
	o.status, o.maybe, o.unknown = OK, true, true
	o.dict, o.value = d, &partial{d, w.what()}
	o.res.Msg = "known after apply: " + why
	if w.t.is(modSetup, modGatherFacts) {
		return
	}
	if scope != nil {
		w.settle(o, scope)
	}
}

// facts are what a module found out about its host.
type facts struct {
	json      []byte      // the object as it came, or
	dict      *value.Dict // its values
	set       bool        // of set_fact
	cacheable bool
	included  bool // of include_vars
}

// build makes what register stores of a module's result.
func (w *work) build(o *outcome, res modules.Result, opt modules.Options) error {
	o.res = res
	o.maybe = res.Maybe && !res.Changed
	d, err := w.decode(o, res)
	if err != nil {
		return err
	}
	o.res.Out = nil // read: a task's outcomes stay until its last host is done
	if f := res.Failure; f != nil {
		d.SetStr("failed", value.Bool(true))
		failure(d, f)
	} else {
		d.SetStr("failed", value.Bool(false))
	}
	if _, ok := d.GetStr("msg"); !ok && res.Msg != "" {
		d.SetStr("msg", value.S(res.Msg))
	}
	if res.Skipped && !res.Changed {
		d.SetStr("skipped", value.Bool(true))
	}
	d.SetStr("changed", value.Bool(res.Changed))
	for _, name := range res.Unknown {
		d.SetStr(name, value.Unknown{Of: name + " of " + w.what()})
	}
	if !w.t.is(modPause) {
		lines(d, "stdout")
		lines(d, "stderr")
	}
	// ansible-core 2.18: file registers its diff whether or not it is shown.
	if opt.Diff || w.t.is("ansible.builtin.file") {
		diffs(d, res.Steps, w.t.is("ansible.builtin.copy", "ansible.builtin.template", "ansible.builtin.lineinfile"))
	}
	if _, ok := d.GetStr("diff"); !ok && res.Failure == nil && w.t.is("ansible.builtin.file") {
		unchangedDiff(d)
	}
	if !opt.Diff {
		for i := range res.Steps {
			res.Steps[i].Diff = nil
		}
	}
	o.warnings = append(o.warnings, res.Warnings...)
	if len(o.warnings) > 0 {
		d.SetStr("warnings", value.FromGo(o.warnings))
	}
	o.dict, o.value = d, d
	switch {
	case res.Failure != nil:
		o.status = Failed
	case res.Skipped && !res.Changed:
		o.status = Skipped
	case res.Changed:
		o.status = Changed
	default:
		o.status = OK
	}
	if opt.Check && (len(res.Unknown) > 0 || res.Skipped && len(res.Steps) > 0) {
		o.value = &partial{d, w.what()}
	}
	return nil
}

// decode reads Out. Facts of a module whose whole result nobody keeps stay the text they
// came as: a thousand hosts then are not a thousand trees.
func (w *work) decode(o *outcome, res modules.Result) (*value.Dict, error) {
	o.facts = nil
	if len(res.Out) == 0 {
		return value.NewDict(6), nil
	}
	out := res.Out
	if w.t.src.Register == nil && w.t.is(modSetup, modGatherFacts) {
		var top struct {
			Facts json.RawMessage `json:"ansible_facts"`
		}
		if err := json.Unmarshal(out, &top); err == nil && len(top.Facts) > 0 {
			o.facts = &facts{json: top.Facts}
			return value.NewDict(4), nil
		}
	}
	v, err := value.FromJSON(out)
	if err != nil {
		return nil, fmt.Errorf("result of %s: %w", w.t.module, err)
	}
	d, ok := v.(*value.Dict)
	if !ok {
		return value.D("result", v), nil
	}
	if f, ok := d.GetStr("ansible_facts"); ok && !w.t.is(modDebug) {
		if fd, ok := f.(*value.Dict); ok {
			o.facts = &facts{dict: fd, cacheable: flagOf(d, "_ansible_facts_cacheable")}
		}
	}
	return d, nil
}

// failure adds what a *modules.Failure says and Out does not.
func failure(d *value.Dict, f *modules.Failure) {
	set := func(name string, v value.Value) {
		if _, ok := d.GetStr(name); !ok {
			d.SetStr(name, v)
		}
	}
	// What Out says in another type than text stays: fail's msg may be any value.
	if v, ok := d.GetStr("msg"); f.Msg != "" && (!ok || v.Type() == "str") {
		d.SetStr("msg", value.S(f.Msg))
	}
	if f.Cmd != nil {
		set("cmd", value.FromGo(f.Cmd))
	}
	if f.RC != nil {
		set("rc", value.Int(*f.RC))
	}
	if f.RC != nil || f.Stdout != "" || f.Stderr != "" {
		set("stdout", value.S(f.Stdout))
		set("stderr", value.S(f.Stderr))
	}
}

// lines adds stdout_lines for stdout, as every action of Ansible does that runs a module.
func lines(d *value.Dict, name string) {
	v, ok := d.GetStr(name)
	if !ok {
		return
	}
	if _, ok := d.GetStr(name + "_lines"); ok {
		return
	}
	switch v := v.(type) {
	case value.Str:
		d.SetStr(name+"_lines", value.FromGo(splitLines(v.S)))
	case value.Unknown:
		d.SetStr(name+"_lines", v)
	}
}

// splitLines is Python's str.splitlines.
func splitLines(s string) []string {
	out := []string{}
	for len(s) > 0 {
		i := strings.IndexAny(s, "\n\r\v\f\x1c\x1d\x1e\u0085\u2028\u2029")
		if i < 0 {
			return append(out, s)
		}
		end := i + 1
		switch {
		case strings.HasPrefix(s[i:], "\r\n"):
			end = i + 2
		case s[i] >= 0x80:
			end = i + len(string([]rune(s[i : i+min(3, len(s)-i)])[0]))
		}
		out = append(out, s[:i])
		s = s[end:]
	}
	return out
}

// diffs puts the differences into a result: one as it is, unless the module's Ansible
// twin returns a list.
func diffs(d *value.Dict, steps []modules.StepResult, several bool) {
	var list []value.Value
	for _, s := range steps {
		if s.Diff == nil {
			continue
		}
		one := value.NewDict(4)
		add := func(name, text string) {
			if text != "" {
				one.SetStr(name, value.S(text))
			}
		}
		add("before_header", s.Diff.BeforeHeader)
		add("after_header", s.Diff.AfterHeader)
		if s.Diff.Prepared != "" {
			add("prepared", s.Diff.Prepared)
		} else {
			one.SetStr("before", diffSide(s.Diff, s.Diff.Before))
			one.SetStr("after", diffSide(s.Diff, s.Diff.After))
		}
		list = append(list, one)
	}
	switch {
	case len(list) == 1 && !several:
		d.SetStr("diff", list[0])
	case list != nil:
		d.SetStr("diff", value.NewList(list...))
	}
}

// unchangedDiff is the diff of a file that is as it should be; one that is rightly absent
// has none.
func unchangedDiff(d *value.Dict) {
	path, ok := d.GetStr("path")
	if !ok {
		path, ok = d.GetStr("dest")
	}
	if state, _ := d.GetStr("state"); !ok || state != nil && value.String(state) == "absent" {
		return
	}
	d.SetStr("diff", value.D("before", value.D("path", path), "after", value.D("path", path)))
}

// diffSide is one side of a diff as register stores it.
func diffSide(d *modules.Diff, text string) value.Value {
	if d.Dict {
		if v, err := value.FromJSON([]byte(text)); err == nil {
			return v
		}
	}
	return value.S(text)
}

const censored = "the output has been hidden due to the fact that 'no_log: true' was specified for this result"

// event makes what views see of an outcome.
func (w *work) event(o *outcome) Result {
	r := Result{
		Status: o.status, Maybe: o.maybe, Unknown: o.unknown, Delegated: o.delegated, Address: o.address,
		Duration: o.duration, Attempts: o.attempts, NoLog: o.noLog,
		Ignored: o.status == Failed && o.ignoreErrors || o.status == Unreachable && o.ignoreUnreachable,
	}
	if o.noLog {
		r.Msg = censored
		r.Value = value.D("censored", value.S(censored))
		for _, name := range []string{"attempts", "changed", "retries"} {
			if v, ok := o.dict.GetStr(name); ok {
				r.Value.SetStr(name, v)
			}
		}
		return r
	}
	r.Value, r.Args, r.Cause = o.dict, o.args, o.cause
	r.Steps, r.Failure, r.Warnings = o.res.Steps, o.res.Failure, o.warnings
	if v, ok := o.dict.GetStr("msg"); ok && !value.IsUnknown(v) {
		if s, ok := v.(value.Str); ok {
			r.Msg = s.S
		}
	}
	if r.Msg == "" {
		r.Msg = o.res.Msg
	}
	for _, s := range o.res.Steps {
		if s.Diff != nil {
			r.Diffs = append(r.Diffs, *s.Diff)
		}
	}
	return r
}
