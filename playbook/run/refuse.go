package run

import (
	"strings"

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
// that are programs of a kind that is not supported. In files that are included
// dynamically they are errors when they are reached.
func (e *engine) refuse() error {
	var ds source.Diagnostics
	for _, pb := range e.cfg.Playbooks {
		for _, p := range pb.Plays {
			lists := [][]playbook.Node{p.PreTasks, p.Tasks, p.PostTasks, p.Handlers}
			for _, r := range p.Roles {
				lists = append(lists, []playbook.Node{r.Body}, r.Handlers)
			}
			for _, list := range lists {
				refuseNodes(&ds, list)
			}
		}
	}
	return ds.Sorted().Err()
}

func refuseNodes(ds *source.Diagnostics, list []playbook.Node) {
	for _, n := range list {
		switch n := n.(type) {
		case *playbook.Task:
			refuse(ds, n)
		case *playbook.Block:
			if n == nil {
				continue
			}
			refuseNodes(ds, n.Block)
			refuseNodes(ds, n.Rescue)
			refuseNodes(ds, n.Always)
		}
	}
}

func refuse(ds *source.Diagnostics, t *playbook.Task) {
	if t.Executable != "" {
		if _, _, err := readModule(t); err != nil {
			*ds = append(*ds, diagnose(err, t.Pos))
		}
	}
}
