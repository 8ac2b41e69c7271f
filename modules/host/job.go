package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"

	"orch/modules"
)

// A Job looks at the file of an async job, or removes it. It is the host's part of
// async_status.
type Job struct {
	ID      string
	Dir     string // of job files, as written: ~ is expanded on the host
	Cleanup bool
}

// Plan implements modules.Module.
func (j *Job) Plan(ctx context.Context, v modules.View) (plan, error) {
	out := &modules.Answer{}
	p := plan{Out: out}
	dir := j.Dir
	if err := expand(ctx, v, &dir); err != nil {
		return p, err
	}
	if j.ID == "" || path.Base("/"+j.ID) != j.ID {
		return p, modules.Failf("jid %q is no name of a job", j.ID)
	}
	file := path.Join(dir, j.ID)
	out.Set("ansible_job_id", j.ID)
	fi, err := stat(ctx, v, file)
	if err != nil {
		return p, err
	}
	if fi == nil {
		if !j.Cleanup {
			out.Set("results_file", file)
		}
		out.Set("started", 1)
		out.Set("finished", 1)
		out.Set("failed", true)
		out.Set("msg", "could not find job")
		return p, nil
	}
	if j.Cleanup {
		out.Set("erased", file)
		p.Steps = []step{{Title: "remove " + file, Effect: modules.Act, Always: true, Do: func(ctx context.Context, t modules.Target) (bool, error) {
			if err := t.Remove(ctx, file); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return false, fmt.Errorf("remove job file: %w", fileFailure(err))
			}
			return false, nil
		}}}
		return p, nil
	}
	text, err := readFile(ctx, v, file)
	if err != nil {
		return p, fileFailure(err)
	}
	got, err := modules.ParseAnswer(text)
	if err != nil { // not written yet
		got = modules.Answer{}
		got.Set("started", 1)
		got.Set("finished", 0)
	}
	if _, running := got.Fields["started"]; !running {
		got.Set("finished", 1)
	} else if _, said := got.Fields["finished"]; !said {
		got.Set("finished", 0)
	}
	got.Set("ansible_job_id", j.ID)
	*out = got
	out.Set("results_file", file)
	return p, nil
}
