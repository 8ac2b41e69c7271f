package machine

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path"
	"syscall"
	"time"

	"orch/modules"
	"orch/modules/host"
	"orch/modules/target/wire"
)

// StartJob starts self, a command line that runs RunJob, as a process of its own session
// for an async run, and returns the result that says so. content opens what the run was
// offered: the job cannot ask for it later.
func StartJob(ctx context.Context, self []string, run wire.Run, content func(context.Context, string) (io.ReadCloser, error)) (modules.Result, error) {
	if err := inline(ctx, &run, content); err != nil {
		return modules.Result{}, err
	}
	var request bytes.Buffer
	if err := wire.WriteFrame(&request, run); err != nil {
		return modules.Result{}, err
	}
	cmd := exec.Command(self[0], self[1:]...) // not of ctx: it outlives the request
	cmd.Args[0] = "orch"
	cmd.Stdin = &request
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return modules.Result{}, fmt.Errorf("start job: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return modules.Result{}, fmt.Errorf("start job: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() }) // it has not begun
	defer stop()
	line, err := bufio.NewReader(io.LimitReader(out, 1<<20)).ReadBytes('\n')
	go func() { _ = cmd.Wait() }() // nobody else reaps it; its end is in the job's file
	if ctx.Err() != nil {
		return modules.Result{}, ctx.Err()
	}
	a, perr := modules.ParseAnswer(line)
	if err != nil || perr != nil {
		return modules.Result{}, fmt.Errorf("start job: the process said %q: %w", line, errors.Join(err, perr))
	}
	return JobResult(a)
}

// JobResult is the result of a task that has begun a job.
func JobResult(a modules.Answer) (modules.Result, error) {
	var res modules.Result
	a.Report(&res)
	text, err := json.Marshal(a)
	res.Out, res.Changed = text, res.Failure == nil
	return res, err
}

// inline takes all contents a run is offered into the request.
func inline(ctx context.Context, run *wire.Run, content func(context.Context, string) (io.ReadCloser, error)) error {
	for sum := range run.Offered {
		r, err := content(ctx, sum)
		if err != nil {
			return err
		}
		data, err := io.ReadAll(io.LimitReader(r, wire.MaxFrame))
		_ = r.Close() // only read
		if err != nil {
			return fmt.Errorf("read content for a job: %w", err)
		}
		if run.Inline == nil {
			run.Inline = map[string][]byte{}
		}
		run.Inline[sum] = data
	}
	run.Offered = nil
	return nil
}

// RunJob is the process of an async job: it reads a request from in, says on out that it
// has begun or why not, runs the module and leaves the result in the job's file. It
// returns the exit code.
func RunJob(in io.ReadCloser, out io.WriteCloser, table Table) int {
	signal.Ignore(syscall.SIGHUP) // the end of the login is not the job's
	var run wire.Run
	budget := wire.MaxFrame
	err := wire.ReadFrame(in, &run, &budget)
	if err == nil && run.Job == nil {
		err = errors.New("the request is no job")
	}
	var f *JobFile
	if err == nil {
		f, err = NewJobFile(context.Background(), New(run.Env), run.Job.Dir, os.Getpid())
	}
	if err != nil {
		a := modules.Answer{}
		a.Set("failed", true)
		a.Set("msg", err.Error())
		say(out, a)
		return 1
	}
	say(out, f.Begun())
	_ = in.Close() // whoever asked is not waited for
	local := &Local{Table: table}
	content := func(_ context.Context, sum string) (io.ReadCloser, error) {
		data, ok := run.Inline[sum]
		if !ok {
			return nil, fmt.Errorf("no content %s was offered", sum)
		}
		return io.NopCloser(bytes.NewReader(data)), nil
	}
	f.Run(context.Background(), run.Job.Limit, func(ctx context.Context) (modules.Result, error) {
		return local.run(ctx, run, content, nil)
	})
	return 0
}

func say(out io.WriteCloser, a modules.Answer) {
	text, err := json.Marshal(a)
	if err == nil {
		_, _ = out.Write(append(text, '\n')) // nobody may be left to hear it
	}
	_ = out.Close()
}

// NewJobFile makes the folder and the file of a job on a machine. pid is of the process
// that runs it.
func NewJobFile(ctx context.Context, t modules.Target, dir string, pid int) (*JobFile, error) {
	dir, err := host.ExpandPath(ctx, t, dir)
	if err != nil {
		return nil, err
	}
	if err := mkdirAll(ctx, t, dir); err != nil {
		return nil, fmt.Errorf("could not create directory: %s - %w", dir, err)
	}
	f := &JobFile{ID: fmt.Sprintf("j%d.%d", rand.Int64N(999999999999), pid), t: t}
	f.Path = path.Join(dir, f.ID)
	return f, f.save(f.started())
}

func mkdirAll(ctx context.Context, t modules.Target, dir string) error {
	_, err := t.Stat(ctx, dir)
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := mkdirAll(ctx, t, path.Dir(dir)); err != nil {
		return err
	}
	if err := t.Mkdir(ctx, dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// A JobFile is where a job leaves word of itself: Ansible's async_status and ours read
// it (ansible-core 2.18: async_wrapper).
type JobFile struct {
	ID, Path string

	t modules.Target
}

func (f *JobFile) started() modules.Answer {
	var a modules.Answer
	a.Set("started", 1)
	a.Set("finished", 0)
	a.Set("ansible_job_id", f.ID)
	return a
}

// Begun is the result of the task that began the job.
func (f *JobFile) Begun() modules.Answer {
	a := f.started()
	a.Set("results_file", f.Path)
	return a
}

func (f *JobFile) save(a modules.Answer) error {
	text, err := a.Keep()
	if err != nil {
		return fmt.Errorf("encode job: %w", err)
	}
	mode := fs.FileMode(0o600)
	if _, err := f.t.Write(context.Background(), f.Path, bytes.NewReader(text), modules.WriteOptions{Mode: &mode}); err != nil {
		return fmt.Errorf("write job file: %w", err)
	}
	return nil
}

// Run runs the job to its end, or to its limit, and saves what it came to.
func (f *JobFile) Run(ctx context.Context, limit int, job func(context.Context) (modules.Result, error)) {
	ctx, cancel := context.WithTimeoutCause(ctx, killAfter(limit), errJobTime)
	defer cancel()
	var res modules.Result
	var err error
	done := make(chan struct{})
	go func() {
		res, err = job(ctx)
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
		select { // what it started is killed; a module that waits for something else is left
		case <-done:
		case <-time.After(3 * time.Second):
		}
	}
	var a modules.Answer
	switch {
	case errors.Is(context.Cause(ctx), errJobTime):
		a.Set("failed", true)
		a.Set("msg", "Timeout exceeded")
		a.Set("child_pid", os.Getpid())
	case err != nil:
		a.Set("failed", true)
		a.Set("msg", err.Error())
	default:
		if a, err = modules.Flat(res); err != nil {
			a = modules.Answer{}
			a.Set("failed", true)
			a.Set("msg", err.Error())
		}
	}
	a.Set("ansible_job_id", f.ID)
	_ = f.save(a) // a file that cannot be written stays unfinished: that is its reader's answer
}

var errJobTime = errors.New("the time of the job is over")

// killAfter is when a job with a limit of so many seconds is killed. ansible-core 2.18
// looks at it every 5 s and lets the first of them pass: playbooks count on it where they
// give "sleep 2 && reboot" one second.
func killAfter(limit int) time.Duration {
	return 5*time.Second + time.Duration((limit+4)/5)*5*time.Second
}
