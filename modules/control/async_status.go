package control

import (
	"context"
	"encoding/json"

	"orch/modules"
	"orch/modules/host"
)

// AsyncStatus says how an async task of an earlier task is getting on, or removes what it
// left behind.
type AsyncStatus struct {
	// The ansible_job_id of the task's result.
	JID string `orch:"required"`
	// Whether to look at the job or to remove its file.
	Mode string `orch:"enum=cleanup|status,default=status"`
}

// Plan implements modules.Module.
func (a *AsyncStatus) Plan(ctx context.Context, v View) (plan, error) {
	dir, err := v.AsyncDir()
	if err != nil {
		return plan{}, err
	}
	job := &host.Job{ID: a.JID, Dir: dir, Cleanup: a.Mode == "cleanup"}
	p := hand(v, host.JobModule, job)
	inner := p.Inner
	p.Inner = func(ctx context.Context, t Target, o modules.Options) (modules.Result, error) {
		res, err := inner(ctx, t, o)
		if err != nil {
			return res, err
		}
		return res, a.complete(&res)
	}
	return p, nil
}

// complete adds what Ansible's action has in every result.
func (a *AsyncStatus) complete(res *modules.Result) error {
	out, err := modules.ParseAnswer(res.Out)
	if err != nil {
		return err
	}
	unless := func(name string, v any) {
		if _, ok := out.Fields[name]; !ok {
			out.Set(name, v)
		}
	}
	started := 1
	if a.Mode == "cleanup" {
		started = 0
	}
	unless("started", started)
	unless("finished", 0)
	unless("stdout", "")
	unless("stderr", "")
	res.Out, err = json.Marshal(out)
	return err
}
