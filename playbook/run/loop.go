package run

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"orch/playbook"
	"orch/playbook/jinja/value"
	"orch/playbook/vars"
)

// A loopItem is one turn of a loop: its value and the variables it brings.
type loopItem struct {
	val   value.Value
	index int
	vars  []value.Named
}

func (t *task) loops() bool { return t.src.Loop != nil || t.src.With != "" }

// items evaluates what the task loops over; nil when it is not known yet.
func (w *work) items(scope *vars.Scope) ([]value.Value, error) {
	if w.t.src.With != "" {
		return w.lookup(scope)
	}
	v, err := w.b.run.cfg.Templater.Value(w.ctx, w.t.src.Loop, scope)
	if err != nil {
		return nil, err
	}
	switch v := v.(type) {
	case *value.List:
		if v.Items == nil {
			return []value.Value{}, nil
		}
		return v.Items, nil
	case value.Unknown:
		return nil, nil
	}
	return nil, fmt.Errorf("Invalid data passed to 'loop', it requires a list, got this instead: %s."+
		" Hint: If you passed a list/dict of just one element,"+
		" try adding wantlist=True to your lookup invocation or use q/query instead of lookup.", value.String(v))
}

func (w *work) lookup(scope *vars.Scope) ([]value.Value, error) {
	// These two take the whole of what they are given for the list.
	if name := strings.TrimPrefix(w.t.src.With, builtin); name == "list" || name == "indexed_items" {
		v, err := w.b.run.cfg.Templater.Value(w.ctx, w.t.src.Loop, scope)
		if err != nil || value.IsUnknown(v) {
			return nil, err
		}
		list, ok := v.(*value.List)
		if !ok {
			return nil, fmt.Errorf("with_%s expects a list", name)
		}
		if name == "list" {
			return append([]value.Value{}, list.Items...), nil
		}
	}
	terms := []value.Value{w.t.src.Loop}
	if list, ok := w.t.src.Loop.(*value.List); ok {
		terms = list.Items
	}
	v, err := w.b.run.cfg.Templater.Lookup(w.ctx, w.t.src.With, terms, nil, scope)
	if err != nil || value.IsUnknown(v) {
		return nil, err
	}
	items, err := value.Items(v)
	if items == nil && err == nil {
		items = []value.Value{}
	}
	return items, err
}

// A loopControl is the keyword of that name, evaluated.
type loopControl struct {
	loopVar, indexVar string
	label             *playbook.Scalar
	pause             time.Duration
	extended, all     bool
	parallel          int
}

func (w *work) control(scope *vars.Scope) (loopControl, error) {
	c := loopControl{loopVar: "item", all: true, parallel: 1}
	lc := w.t.src.LoopControl
	if lc == nil {
		return c, nil
	}
	c.label = lc.Label
	var err error
	text := func(dst *string, s *playbook.Scalar, name string) {
		v, ok, ferr := w.field(scope, newField(s))
		if ferr != nil {
			err = errors.Join(err, fmt.Errorf("loop_control %s: %w", name, ferr))
		} else if ok {
			*dst = value.String(v)
		}
	}
	text(&c.loopVar, lc.LoopVar, "loop_var")
	text(&c.indexVar, lc.IndexVar, "index_var")
	pause, perr := w.float(scope, "pause", lc.Pause, 0)
	parallel, nerr := w.int(scope, "parallel", newField(lc.Parallel), 1)
	var eerr, aerr error
	c.extended, eerr = w.flag(scope, "extended", newField(lc.Extended), false)
	c.all, aerr = w.flag(scope, "extended_allitems", newField(lc.ExtendedAllitems), true)
	if parallel > 1 {
		for _, f := range []struct {
			name, why string
			given     bool
		}{
			{"pause", "items that run at once have no pause between them", lc.Pause != nil},
			{"break_when", "no item knows what the one before it came to", len(lc.BreakWhen) > 0},
		} {
			if f.given {
				err = errors.Join(err, &keywordError{lc.Parallel.Pos, fmt.Sprintf("loop_control: parallel and %s exclude each other: %s", f.name, f.why)})
			}
		}
	}
	c.pause = time.Duration(math.Max(0, pause) * float64(time.Second))
	c.parallel = max(1, parallel)
	return c, errors.Join(err, perr, nerr, eerr, aerr)
}

// loop runs the task for every item. Items see what earlier ones registered.
func (w *work) loop(items []value.Value) *outcome {
	scope := w.t.vars.Eval(w.ctx, w.h.vars, w.reach...)
	c, err := w.control(scope)
	if err != nil {
		return w.fail(&outcome{}, scope, err)
	}
	if _, used, _ := scope.Raw(c.loopVar); used {
		w.b.run.warn(w.t.src.Pos, fmt.Sprintf("TASK: %s: The loop variable '%s' is already in use. You should set the `loop_var` value in "+
			"the `loop_control` option for the task to something else to avoid variable collisions and unexpected behavior.",
			w.t.label(w.t.name), c.loopVar))
	}
	o := &outcome{loop: true}
	if len(items) == 0 {
		o.status = Skipped
		o.dict = value.D("changed", value.Bool(false), "skipped", value.Bool(true),
			"skipped_reason", value.S("No items in the list"), "results", value.NewList())
		o.value = o.dict
		return o
	}
	if c.parallel > 1 {
		o.items = w.parallel(items, c)
	} else {
		o.items = w.serial(items, c)
	}
	if n := len(o.items); n > 0 && o.items[n-1].aborts {
		return o.items[n-1]
	}
	w.combine(o)
	return o
}

func (w *work) serial(items []value.Value, c loopControl) []*outcome {
	var out []*outcome
	var last value.Value
	for i, item := range items {
		if i > 0 && c.pause > 0 && !w.sleep(c.pause) || w.b.run.interrupted() && i > 0 {
			break
		}
		it := c.item(items, i, item)
		one, scope := w.turn(it, c, last)
		out = append(out, one)
		if one.aborts {
			break
		}
		last = one.value
		if w.breaks(scope, one) || one.status == Unreachable && !one.ignoreUnreachable {
			break
		}
	}
	return out
}

// parallel runs c.parallel items at a time; none sees what another registers. No more are
// begun once the host cannot be reached.
func (w *work) parallel(items []value.Value, c loopControl) []*outcome {
	out := make([]*outcome, len(items))
	slots := make(chan struct{}, c.parallel)
	var lost atomic.Bool
	var wg sync.WaitGroup
	for i, item := range items {
		slots <- struct{}{}
		if i > 0 && (lost.Load() || w.b.run.interrupted()) {
			out = out[:i]
			break
		}
		wg.Go(func() {
			defer func() { <-slots }()
			o, _ := w.turn(c.item(items, i, item), c, nil)
			if o.status == Unreachable && !o.ignoreUnreachable {
				lost.Store(true)
			}
			out[i] = o
		})
	}
	wg.Wait()
	return out
}

// turn runs one item and reports it.
func (w *work) turn(it *loopItem, c loopControl, last value.Value) (*outcome, *vars.Scope) {
	top := it.vars
	if last != nil && w.t.src.Register != nil {
		top = append(top, value.Named{Name: registerName(w.t.src), Val: last})
	}
	scope := w.t.vars.Eval(w.ctx, w.h.vars, append(slices.Clone(w.reach), top...)...)
	start := time.Now()
	label := value.String(it.val)
	if c.label == nil {
		w.start(label)
	} else {
		w.start("")
	}
	item := &work{b: w.b, t: w.t, h: w.h, ctx: w.ctx, top: top, quiet: w.quiet}
	o := item.one(scope, it, nil)
	if o.aborts = o.raised && c.parallel == 1; o.aborts {
		return o, scope
	}
	o.duration = time.Since(start)
	o.label, o.item = label, true
	w.mark(o, it, c)
	if c.label != nil {
		w.label(o, scope, c)
	}
	w.apply(o)
	w.emit(ItemDone{ID: w.t.id, Host: w.h.name, Label: w.shownLabel(o), Result: w.event(o)})
	return o, scope
}

func (w *work) shownLabel(o *outcome) string {
	if o.noLog {
		return "(censored due to no_log)"
	}
	return o.label
}

// label evaluates loop_control.label, which may use what the item registered.
func (w *work) label(o *outcome, scope *vars.Scope, c loopControl) {
	v, err := w.b.run.cfg.Templater.Value(w.ctx, c.label.Val, w.withResult(scope, o))
	if err != nil {
		w.setFailed(o, true)
		o.cause = diagnose(err, c.label.Pos)
		o.dict.SetStr("msg", value.S("Failed to template loop_control.label: "+err.Error()))
		w.ignores(o, scope)
		return
	}
	o.label = value.String(v)
}

// mark puts the item into its result.
func (w *work) mark(o *outcome, it *loopItem, c loopControl) {
	o.dict.SetStr(c.loopVar, it.val)
	o.dict.SetStr("ansible_loop_var", value.S(c.loopVar))
	if c.indexVar != "" {
		o.dict.SetStr(c.indexVar, value.Int(it.index))
		o.dict.SetStr("ansible_index_var", value.S(c.indexVar))
	}
	if c.extended {
		for _, v := range it.vars {
			if v.Name == "ansible_loop" {
				o.dict.SetStr(v.Name, v.Val)
			}
		}
	}
}

func (w *work) breaks(scope *vars.Scope, o *outcome) bool {
	if w.t.src.LoopControl == nil || len(w.t.src.LoopControl.BreakWhen) == 0 {
		return false
	}
	truth, _, err := w.all(w.withResult(scope, o), w.t.src.LoopControl.BreakWhen)
	if err != nil {
		w.setFailed(o, true)
		o.cause = diagnose(err, w.t.src.Pos)
		o.dict.SetStr("msg", value.S(err.Error()))
		w.ignores(o, scope)
		return true
	}
	return truth == condTrue
}

// item makes the variables of a turn.
func (c loopControl) item(items []value.Value, i int, v value.Value) *loopItem {
	it := &loopItem{val: v, index: i, vars: make([]value.Named, 0, 4)}
	add := func(name string, v value.Value) { it.vars = append(it.vars, value.Named{Name: name, Val: v}) }
	add("ansible_loop_var", value.S(c.loopVar))
	add(c.loopVar, v)
	if c.indexVar != "" {
		add("ansible_index_var", value.S(c.indexVar))
		add(c.indexVar, value.Int(i))
	}
	if c.extended {
		n := len(items)
		d := value.D(
			"index", value.Int(i+1), "index0", value.Int(i), "first", value.Bool(i == 0), "last", value.Bool(i == n-1),
			"length", value.Int(n), "revindex", value.Int(n-i), "revindex0", value.Int(n-i-1))
		if c.all {
			d.SetStr("allitems", value.NewList(items...))
		}
		if i+1 < n {
			d.SetStr("nextitem", items[i+1])
		}
		if i > 0 {
			d.SetStr("previtem", items[i-1])
		}
		add("ansible_loop", d)
	}
	return it
}

// combine makes the result of a loop from those of its items (ansible-core 2.18:
// TaskExecutor.run).
func (w *work) combine(o *outcome) {
	results := make([]value.Value, len(o.items))
	skipped, unknown := true, false
	changed, failed, unreachable, resultFailed := false, false, false, false
	ignoreErrors, ignoreUnreachable := true, true
	for i, it := range o.items {
		results[i] = it.value
		skipped = skipped && it.status == Skipped
		changed = changed || flagOf(it.dict, "changed")
		unknown = unknown || it.unknown
		o.maybe = o.maybe || it.maybe
		o.noLog = o.noLog || it.noLog
		resultFailed = resultFailed || flagOf(it.dict, "failed")
		if it.status == Failed {
			failed = true
			ignoreErrors = ignoreErrors && it.ignoreErrors
		}
		if it.status == Unreachable {
			unreachable = true
			ignoreUnreachable = ignoreUnreachable && it.ignoreUnreachable
		}
		if it.delegated != "" {
			o.delegated, o.address = it.delegated, it.address
		}
		o.attempts = max(o.attempts, it.attempts)
	}
	d := value.NewDict(6)
	d.SetStr("results", value.NewList(results...))
	d.SetStr("skipped", value.Bool(skipped))
	d.SetStr("changed", value.Bool(changed))
	o.status = OK
	msg := "All items completed"
	switch {
	case unreachable:
		o.status, o.ignoreUnreachable = Unreachable, ignoreUnreachable
		d.SetStr("unreachable", value.Bool(true))
		msg = "One or more items were unreachable"
	case failed:
		o.status, o.ignoreErrors = Failed, ignoreErrors
		d.SetStr("failed", value.Bool(true))
		msg = "One or more items failed"
	case skipped:
		o.status = Skipped
		msg = "All items skipped"
	case changed:
		o.status = Changed
	}
	if resultFailed && !failed {
		d.SetStr("failed", value.Bool(true))
		msg = "One or more items failed"
	}
	o.unknown = unknown && o.status != Failed && o.status != Unreachable
	d.SetStr("msg", value.S(msg))
	o.dict, o.value = d, d
}

func flagOf(d *value.Dict, name string) bool {
	v, ok := d.GetStr(name)
	if !ok {
		return false
	}
	b, isBool := v.(value.Bool)
	return isBool && bool(b)
}

func registerName(t *playbook.Task) string { return value.String(t.Register.Val) }
