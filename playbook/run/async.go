package run

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"orch/modules"
	hostmod "orch/modules/host"
	"orch/modules/schema"
	"orch/modules/target/wire"
	"orch/playbook/jinja/value"
	"orch/transport"
)

// defaultAsyncDir is the folder of job files where neither variable nor setting says
// another.
const defaultAsyncDir = "~/.ansible_async"

// asyncActions are modules of the site that hand over to a host module, which can then be
// a job (ansible-core 2.18: _supports_async).
var asyncActions = []string{builtin + "package", builtin + "service"}

// asyncKeywords evaluates async and poll.
func (w *work) asyncKeywords(c *call) error {
	var err error
	if c.async, err = w.int(c.site.scope, "async", newField(w.t.src.Async), 0); err != nil {
		return err
	}
	c.poll, err = w.int(c.site.scope, "poll", newField(w.t.src.Poll), w.b.run.cfg.PollInterval)
	return err
}

// async begins the module as a job on the host and, unless it is to be forgotten, asks
// for it until it is done (ansible-core 2.18: TaskExecutor._poll_async_result).
func (w *work) async(ctx context.Context, o *outcome, c *call) (modules.Result, error) {
	if !w.t.jobs() {
		return modules.Result{}, modules.Failf("This action (%s) does not support async.", w.t.src.Action)
	}
	dir, err := c.site.AsyncDir()
	if err != nil {
		return modules.Result{}, err
	}
	c.site.job = &wire.Job{Dir: dir, Limit: c.async}
	res, err := w.direct(ctx, o, c)
	c.site.job = nil
	if err != nil || res.Failure != nil || c.poll <= 0 {
		return res, err
	}
	begun, err := modules.ParseAnswer(res.Out)
	if err != nil {
		return res, err
	}
	id := begun.Text("ansible_job_id")
	if id == "" { // check mode: the plan was settled without a job
		res.Unknown = append(res.Unknown, "ansible_job_id", "results_file")
		return res, nil
	}
	return w.wait(ctx, c, &hostmod.Job{ID: id, Dir: dir})
}

// wait asks for a job every c.poll seconds.
func (w *work) wait(ctx context.Context, c *call, job *hostmod.Job) (modules.Result, error) {
	var res modules.Result
	var last modules.Answer
	for left := c.async; left > 0; {
		if !w.sleep(time.Duration(c.poll) * time.Second) {
			if err := context.Cause(ctx); err != nil {
				return res, err
			}
			return res, errors.New("interrupted")
		}
		left -= c.poll
		got, err := c.site.host(ctx, hostmod.JobModule, job, modules.Options{})
		if err != nil {
			// A connection may break while a job goes on: the host may be rebooting.
			if lost := new(transport.Lost); left > 0 && errors.As(err, &lost) && ctx.Err() == nil {
				continue
			}
			return res, err
		}
		if last, err = modules.ParseAnswer(got.Out); err != nil {
			return res, err
		}
		res = got
		if last.Truth("finished") || got.Failure != nil || got.Skipped {
			break
		}
		w.b.run.emit(AsyncPoll{ID: w.t.id, Host: w.h.name, Job: c.shown(job), Started: last.Truth("started"), Finished: false})
	}
	if !last.Truth("finished") {
		return w.late(c, job, last)
	}
	job.Cleanup = true
	if _, err := c.site.host(ctx, hostmod.JobModule, job, modules.Options{}); err != nil {
		return res, err
	}
	w.b.run.emit(AsyncDone{ID: w.t.id, Host: w.h.name, Job: c.shown(job), Failed: res.Failure != nil})
	return res, finish(&res)
}

// shown is the name of a job in events: under no_log it is a part of the result as well.
func (c *call) shown(job *hostmod.Job) string {
	if c.site.o.noLog {
		return ""
	}
	return job.ID
}

// late is the failure of a job that was not done in time. It goes on until its own limit.
func (w *work) late(c *call, job *hostmod.Job, last modules.Answer) (modules.Result, error) {
	w.b.run.emit(AsyncDone{ID: w.t.id, Host: w.h.name, Job: c.shown(job), Failed: true})
	fill(&last)
	var out modules.Answer
	out.Set("async_result", last)
	text, err := json.Marshal(out)
	res := modules.Result{Out: text}
	res.Failure = modules.Failf("async task did not complete within the requested time - %ds", c.async)
	return res, err
}

// finish gives the result of a job what async_status has in every result.
func finish(res *modules.Result) error {
	a, err := modules.ParseAnswer(res.Out)
	if err != nil {
		return fmt.Errorf("result of a job: %w", err)
	}
	fill(&a)
	res.Out, err = json.Marshal(a)
	return err
}

func fill(a *modules.Answer) {
	for name, v := range map[string]any{"started": 1, "stdout": "", "stderr": ""} {
		if _, ok := a.Fields[name]; !ok {
			a.Set(name, v)
		}
	}
}

// jobs says whether the task can be a job.
func (t *task) jobs() bool {
	if t.src.Executable != "" {
		return true
	}
	return t.spec != nil && !t.native() && (t.spec.World == schema.Host || t.is(asyncActions...))
}

// AsyncDir implements control.View.
func (s *site) AsyncDir() (string, error) {
	v, ok, err := s.scope.Lookup("ansible_async_dir")
	if err != nil {
		return "", err
	}
	if ok {
		return value.String(v), nil
	}
	if dir := s.w.b.run.cfg.AsyncDir; dir != "" {
		return dir, nil
	}
	return defaultAsyncDir, nil
}
