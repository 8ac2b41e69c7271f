package run

import (
	"errors"
	"strings"

	"orch/inventory"
	"orch/playbook"
	"orch/playbook/jinja/value"
	"orch/playbook/source"
)

// reserved are names that mean something in a playbook: a variable of that name is
// asking for confusion (ansible-core 2.18: vars/reserved.py and the template language's
// globals).
var reserved = func() map[string]bool {
	set := map[string]bool{}
	for _, name := range strings.Fields(`action any_errors_fatal args async become become_exe become_flags become_method become_user
		changed_when check_mode collections connection debugger delay delegate_facts delegate_to diff environment fact_path failed_when
		force_handlers gather_facts gather_subset gather_timeout handlers hosts ignore_errors ignore_unreachable local_action loop
		loop_control loop_with max_fail_percentage module_defaults name no_log notify order poll port post_tasks pre_tasks register
		remote_user retries roles run_once serial strategy tags tasks throttle timeout until vars_files vars_prompt when with_ block
		rescue always range dict lipsum cycler joiner namespace lookup query q now undef`) {
		set[name] = true
	}
	return set
}()

// warnReserved names the play's variables that have such names.
func (p *play) warnReserved() {
	sets := []*value.Dict{p.src.Vars, p.run.cfg.ExtraVars, p.answers}
	for _, r := range p.src.Roles {
		sets = append(sets, r.Vars, r.Defaults, r.RoleVars)
	}
	for _, d := range sets {
		if d == nil {
			continue
		}
		for k := range d.All() {
			if name := value.String(k); reserved[name] {
				p.run.warn(source.Pos{}, "Found variable using reserved name: "+name)
			}
		}
	}
}

// refuse reports what of the playbooks cannot be run, before anything is touched: modules
// that are programs of a kind that is not supported, in tasks that this run may come to. In
// files that are included dynamically, and in plays whose hosts an earlier play adds, they
// are errors when they are reached.
func (e *engine) refuse() error {
	var ds source.Diagnostics
	for i, pb := range e.cfg.Playbooks {
		for j, src := range pb.Plays {
			refused := Refused(src)
			if len(refused) == 0 {
				continue
			}
			p := e.newPlay(src, pb, playNumber(i, j))
			if p.reaches() {
				ds = append(ds, p.due(refused)...)
			}
		}
	}
	return ds.Sorted().Err()
}

// due are the mistakes of tasks that tags do not leave out.
func (p *play) due(refused []Refusal) source.Diagnostics {
	var ds source.Diagnostics
	for _, r := range refused {
		if t := p.newTask(r.Task, origin{}); r.Task.Handler || p.selected(t) {
			ds = append(ds, r.Diagnostic)
		}
	}
	return ds
}

// reaches says whether the play has hosts, as far as that is known before the run.
func (p *play) reaches() bool {
	pattern, err := p.pattern()
	if err != nil {
		return true
	}
	var terms []string
	for _, s := range pattern {
		terms = append(terms, inventory.SplitPattern(s)...)
	}
	inv := p.run.cfg.Inventory
	hosts, err := inv.MatchTerms(terms)
	if err != nil {
		return !errors.As(err, new(*inventory.NoMatch))
	}
	hosts, err = inv.Narrow(hosts, p.run.cfg.Limit)
	return err != nil || len(hosts) > 0
}

// A Refusal is a task that cannot be run.
type Refusal struct {
	Task       *playbook.Task
	Diagnostic source.Diagnostic
}

// Refused are the tasks of a play, those of dynamic includes apart, that cannot be run.
func Refused(p *playbook.Play) []Refusal {
	var out []Refusal
	lists := [][]playbook.Node{p.PreTasks, p.Tasks, p.PostTasks, p.Handlers}
	for _, r := range p.Roles {
		lists = append(lists, []playbook.Node{r.Body}, r.Handlers)
	}
	for _, list := range lists {
		out = refused(out, list)
	}
	return out
}

func refused(out []Refusal, list []playbook.Node) []Refusal {
	for _, n := range list {
		switch n := n.(type) {
		case *playbook.Task:
			var d *source.Diagnostic
			if n.Executable == "" {
				continue
			}
			if _, _, err := n.Program(); errors.As(err, &d) {
				out = append(out, Refusal{n, *d})
			}
		case *playbook.Block:
			if n != nil {
				out = refused(refused(refused(out, n.Block), n.Rescue), n.Always)
			}
		}
	}
	return out
}
