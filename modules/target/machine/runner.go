package machine

import (
	"context"
	"io"

	"orch/modules"
	"orch/modules/target/wire"
)

// A Local runs requests of the wire on this machine: it is what the helper does.
type Local struct {
	Table Table
	// Self is the command line that runs an async job; see RunJob.
	Self []string
}

// Run implements wire.Runner.
func (l *Local) Run(ctx context.Context, run wire.Run, content func(context.Context, string) (io.ReadCloser, error), watch func(string)) (modules.Result, error) {
	if run.Job != nil {
		return StartJob(ctx, l.Self, run, content)
	}
	return l.run(ctx, run, content, watch)
}

func (l *Local) run(ctx context.Context, run wire.Run, content func(context.Context, string) (io.ReadCloser, error), watch func(string)) (modules.Result, error) {
	entry, err := l.Table.Lookup(run.Module)
	if err != nil {
		return modules.Result{}, err
	}
	module := entry.New()
	if err := wire.Decode(run, module); err != nil {
		return modules.Result{}, err
	}
	o := New(run.Env)
	o.Tmp, o.Watch, o.Content = run.Tmp, watch, content
	res, err := entry.Run(ctx, module, o, o, run.Options)
	return res, AsFailure(err, &res)
}
