package run

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"orch/inventory"
	"orch/playbook"
	"orch/playbook/jinja/value"
	"orch/playbook/source"
	"orch/playbook/template"
	"orch/playbook/vars"
)

// A play is a play being run, over its batches.
type play struct {
	tagsErr  error // of the first task whose tags cannot be evaluated
	run      *engine
	src      *playbook.Play
	vars     *vars.Play
	name     string
	number   string // playbook and play, from 1: "1.2"
	strategy string
	debug    bool                // the debugger stops at failures
	hosts    []*inventory.Host   // all its hosts, in order
	roles    map[string]*roleRun // by Role.Key
	roleUses map[*playbook.Role]*roleRun
	maxFail  float64 // percent; below 0: none
	gather   field
	force    bool // force_handlers
	removed  map[string]bool
	answers  *value.Dict // to vars_prompt; nil without
	basedir  string      // playbook_dir
}

// origin is where nodes come from: what dynamic includes give their tasks.
type origin struct {
	includes []*value.Dict
	search   []string
	tags     []value.Value
	handler  bool
}

// newPlay makes a play ready for what is asked of it before its batches.
func (e *engine) newPlay(src *playbook.Play, pb *playbook.Playbook, number string) *play {
	basedir := filepath.Dir(pb.Path)
	if src.Dir != "" {
		basedir = src.Dir
	}
	if abs, err := filepath.Abs(basedir); err == nil {
		basedir = abs
	}
	p := &play{
		run: e, src: src, number: number, roles: map[string]*roleRun{}, roleUses: map[*playbook.Role]*roleRun{},
		basedir: basedir, removed: map[string]bool{},
	}
	p.vars = e.cfg.Vars.Play(src, vars.PlayOptions{Basedir: basedir})
	return p
}

// play runs a play, batch by batch.
func (e *engine) play(src *playbook.Play, pb *playbook.Playbook, number string) error {
	p := e.newPlay(src, pb, number)
	if err := p.prompt(); err != nil {
		return err
	}
	if err := p.setup(); err != nil {
		return err
	}
	if len(p.hosts) == 0 {
		e.emit(PlayStart{Name: p.name, Pos: src.Pos, Strategy: p.strategy})
		e.emit(NoHosts{Play: p.name})
		return nil
	}
	p.warnReserved()
	batches, err := p.batches()
	if err != nil {
		return err
	}
	for i, hosts := range batches {
		if e.interrupted() {
			return nil
		}
		b, wrong := p.newBatch(hosts)
		before := len(e.failed) + len(e.unreachable)
		b.opening = &PlayStart{
			Name: p.name, Hosts: names(hosts), Pos: src.Pos, Batch: i + 1, Batches: len(batches),
			Strategy: p.strategy, Check: p.check(),
		}
		if e.past == nil {
			b.open()
		}
		if wrong != nil {
			return wrong
		}
		if err := b.execute(); err != nil {
			return err
		}
		e.emit(BatchDone{Batch: i + 1})
		if b.endPlay {
			return nil
		}
		// ansible-core 2.18, PlaybookExecutor: the whole playbook ends when all hosts of
		// a batch have failed.
		if b.broken || len(e.failed)+len(e.unreachable)-before == len(hosts) {
			e.endRun = true
			return nil
		}
	}
	return nil
}

// check is whether the play as a whole is in check mode.
func (p *play) check() bool {
	if s := p.src.CheckMode; s != nil {
		if v, err := p.eval(s.Val); err == nil {
			if on, err := toBool("check_mode", newField(s), v); err == nil {
				return on
			}
		}
	}
	return p.run.cfg.Check
}

func names(hosts []*inventory.Host) []string {
	out := make([]string, len(hosts))
	for i, h := range hosts {
		out[i] = h.Name
	}
	return out
}

// setup evaluates what concerns the play as a whole.
func (p *play) setup() error {
	e, src := p.run, p.src
	pattern, err := p.pattern()
	if err != nil {
		return err
	}
	p.name = strings.Join(pattern, ",")
	if _, written := src.Hosts.(*value.List); !written && len(pattern) > 1 {
		p.name = value.Repr(value.FromGo(pattern)) // ansible-core 2.18: Play.get_name
	}
	if src.Name != nil {
		if v, err := p.eval(src.Name.Val); err == nil {
			p.name = value.String(v)
		} else {
			p.name = value.String(src.Name.Val)
		}
	}
	// The name is a variable of the play's tasks; the first Play was for the name.
	p.vars = e.cfg.Vars.Play(src, vars.PlayOptions{Basedir: p.basedir, Name: p.name})
	if p.answers != nil {
		p.vars.SetPrompts(p.answers)
	}
	if err := p.vars.CheckFiles(e.ctx); err != nil {
		return &AbortError{Pos: src.Pos, Err: err}
	}
	if err := p.match(pattern); err != nil {
		return err
	}
	p.strategy = strings.TrimPrefix(e.cfg.Strategy, builtin)
	if s, ok, err := p.text(src.Strategy, "strategy"); err != nil {
		return err
	} else if ok {
		p.strategy = strings.TrimPrefix(s, builtin)
	}
	p.debug = e.cfg.Debugger
	switch p.strategy {
	case "linear", "free", "host_pinned":
	case "debug":
		p.strategy, p.debug = "linear", true
	default:
		// ansible-core 2.18 has begun the play when it looks for the strategy.
		e.emit(PlayStart{Name: p.name, Pos: src.Pos, Strategy: p.strategy})
		return &AbortError{Pos: src.Pos, Err: fmt.Errorf("Invalid play strategy specified: %s", p.strategy)}
	}
	p.maxFail = -1
	if src.MaxFail != nil {
		v, err := p.eval(src.MaxFail.Val)
		if err != nil {
			return p.wrong(src.MaxFail, "max_fail_percentage: "+err.Error())
		}
		if p.maxFail, err = percent(v, src.MaxFail); err != nil {
			return p.wrong(src.MaxFail, err.Error())
		}
	}
	p.force = e.cfg.ForceHandlers
	if src.ForceHandlers != nil {
		v, err := p.eval(src.ForceHandlers.Val)
		if err == nil {
			p.force, err = toBool("force_handlers", newField(src.ForceHandlers), v)
		}
		if err != nil {
			return p.wrong(src.ForceHandlers, err.Error())
		}
	}
	p.gather = newField(src.GatherFacts)
	if !p.gather.literal && p.gather.given() {
		v, err := p.eval(p.gather.raw)
		if err != nil {
			return p.wrong(src.GatherFacts, "gather_facts: "+err.Error())
		}
		p.gather.raw = v
	}
	return p.order()
}

func percent(v value.Value, s *playbook.Scalar) (float64, error) {
	if str, ok := v.(value.Str); ok {
		v = value.S(strings.TrimSuffix(strings.TrimSpace(str.S), "%"))
	}
	return toFloat("max_fail_percentage", newField(s), v)
}

// eval evaluates a value of the play for no host.
func (p *play) eval(v value.Value) (value.Value, error) {
	if isLiteral(v) {
		return v, nil
	}
	got, err := p.run.cfg.Templater.Value(p.run.ctx, v, p.vars.Eval(p.run.ctx, nil))
	if err == nil && template.IsOmit(got) {
		return value.None{}, nil
	}
	return got, err
}

func (p *play) text(s *playbook.Scalar, name string) (string, bool, error) {
	if s == nil {
		return "", false, nil
	}
	v, err := p.eval(s.Val)
	if err != nil {
		return "", false, p.wrong(s, name+": "+err.Error())
	}
	if _, none := v.(value.None); none {
		return "", false, nil
	}
	return value.String(v), true, nil
}

func (p *play) wrong(s *playbook.Scalar, msg string) error {
	pos := p.src.Pos
	if s != nil {
		pos = s.Pos
	}
	return &AbortError{Pos: pos, Err: source.Diagnostics{{Pos: pos, Msg: msg}}}
}

// pattern is the play's hosts, templated.
func (p *play) pattern() ([]string, error) {
	v, err := p.eval(p.src.Hosts)
	if err != nil {
		return nil, p.wrong(nil, fieldError("hosts", err).Error())
	}
	list, ok := v.(*value.List)
	if !ok {
		return []string{value.String(v)}, nil
	}
	var out []string
	for _, item := range list.Items {
		out = append(out, value.String(item))
	}
	return out, nil
}

func (p *play) match(pattern []string) error {
	e := p.run
	var terms []string
	for _, s := range pattern {
		terms = append(terms, inventory.SplitPattern(s)...)
	}
	hosts, err := e.cfg.Inventory.MatchTerms(terms)
	var none *inventory.NoMatch
	if errors.As(err, &none) {
		switch e.cfg.NoMatch {
		case "error":
			return p.wrong(nil, err.Error())
		case "ignore":
		default:
			e.warn(source.Pos{}, "C"+strings.TrimPrefix(err.Error(), "c")) // as Ansible writes it
		}
		err = nil
	}
	if err != nil {
		return p.wrong(nil, err.Error())
	}
	if p.hosts, err = e.cfg.Inventory.Narrow(hosts, e.cfg.Limit); err != nil && !errors.As(err, &none) {
		return p.wrong(nil, err.Error())
	}
	return nil
}

// order puts the hosts into the order of the keyword.
func (p *play) order() error {
	how, ok, err := p.text(p.src.Order, "order")
	if err != nil || !ok {
		return err
	}
	p.hosts = slices.Clone(p.hosts)
	byName := func(a, b *inventory.Host) int { return strings.Compare(a.Name, b.Name) }
	switch how {
	case "inventory", "":
	case "sorted":
		slices.SortStableFunc(p.hosts, byName)
	case "reverse_sorted":
		slices.SortStableFunc(p.hosts, func(a, b *inventory.Host) int { return byName(b, a) })
	case "reverse_inventory":
		slices.Reverse(p.hosts)
	case "shuffle":
		rand.Shuffle(len(p.hosts), func(i, j int) { p.hosts[i], p.hosts[j] = p.hosts[j], p.hosts[i] })
	default:
		return p.wrong(p.src.Order, fmt.Sprintf("order %q: one of inventory, sorted, reverse_sorted, reverse_inventory, shuffle", how))
	}
	return nil
}

// batches cuts the hosts as serial says: numbers and percentages, the last repeats.
func (p *play) batches() ([][]*inventory.Host, error) {
	var sizes []int
	for _, raw := range p.src.Serial {
		v, err := p.eval(raw)
		if err != nil {
			return nil, p.wrong(nil, "serial: "+err.Error())
		}
		items := []value.Value{v}
		if list, ok := v.(*value.List); ok {
			items = list.Items
		}
		for _, item := range items {
			if _, none := item.(value.None); none {
				continue
			}
			n, err := batchSize(item, len(p.hosts))
			if err != nil {
				return nil, p.wrong(nil, err.Error())
			}
			sizes = append(sizes, n)
		}
	}
	var out [][]*inventory.Host
	for rest := p.hosts; len(rest) > 0; {
		size := len(rest)
		if len(sizes) > 0 {
			if n := sizes[min(len(out), len(sizes)-1)]; n > 0 {
				size = min(n, size)
			}
		}
		out = append(out, rest[:size])
		rest = rest[size:]
	}
	return out, nil
}

// batchSize is ansible-core 2.18's pct_to_int: a percentage is truncated in floating
// point and is at least one host.
func batchSize(v value.Value, hosts int) (int, error) {
	s, ok := v.(value.Str)
	if !ok {
		return toInt("serial", field{}, v)
	}
	text, pct := strings.CutSuffix(strings.TrimSpace(s.S), "%")
	if !pct {
		n, err := strconv.Atoi(text)
		if err != nil {
			return 0, fmt.Errorf("serial: %q is neither a number nor a percentage", s.S)
		}
		return n, nil
	}
	n, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return 0, fmt.Errorf("serial: %q is no percentage", s.S)
	}
	return max(1, int(math.Trunc(n/100*float64(hosts)))), nil
}

// roleRun returns the counter of a role; equal uses share one.
func (p *play) roleRun(role *playbook.Role) *roleRun {
	if r := p.roleUses[role]; r != nil {
		return r
	}
	r := p.roles[role.Key]
	if r == nil {
		r = &roleRun{ran: map[string]bool{}, completed: map[string]bool{}}
		p.roles[role.Key] = r
	}
	p.roleUses[role] = r
	return r
}
