package kube

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"orch/modules"
	"orch/playbook/pyre"
)

// errFound ends the reading of all logs: the line was printed.
var errFound = errors.New("found")

// followAll reads the logs as they grow, until one of them has the line.
func (k *K8sLog) followAll(ctx context.Context, v *View, logs []PodLog) error {
	until, err := pattern(k.FollowUntil)
	if err != nil {
		return err
	}
	timeout := time.Duration(k.FollowTimeout) * time.Second
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	g, gctx := errgroup.WithContext(limited)
	for i := range logs {
		g.Go(func() error {
			f := follower{view: v, until: until, log: &logs[i], options: k.options(&logs[i])}
			return f.run(gctx)
		})
	}
	err = g.Wait()
	switch {
	case errors.Is(err, errFound):
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case limited.Err() != nil:
		return modules.Failf("no line of the log matched %q within %d s%s", k.FollowUntil, k.FollowTimeout, lastLines(logs))
	case err != nil:
		return err
	}
	return modules.Failf("the log ended, and no line of it matched %q%s", k.FollowUntil, lastLines(logs))
}

// lastLines is what the logs end with, for a failure.
func lastLines(logs []PodLog) string {
	const most = 10
	var b strings.Builder
	for _, l := range logs {
		fmt.Fprintf(&b, "\n  last lines of pod %s:", l.Pod)
		for _, line := range l.LogLines[max(0, len(l.LogLines)-most):] {
			fmt.Fprintf(&b, "\n    | %s", line)
		}
	}
	return b.String()
}

// A follower reads one container's log as it grows.
type follower struct {
	view    *View
	until   *pyre.Regexp
	log     *PodLog
	options logOptions
	last    time.Time // of the last line read
	kept    int       // bytes
}

// run returns errFound when the line was printed, and nil when the container has ended
// for good. A stream that ends before is opened again where it ended.
func (f *follower) run(ctx context.Context) error {
	f.options.follow = true
	for {
		ended, err := f.ended(ctx) // asked before reading: what was printed until then is read
		if err != nil {
			return err
		}
		stream, err := f.view.cluster.log(ctx, f.log.pod, f.options)
		switch {
		case err == nil:
			err = f.read(stream)
			stream.Close()
			if err != nil {
				return err
			}
			if ended {
				return nil
			}
		case ended && isGone(err):
			return nil
		case !apierrors.IsBadRequest(err): // that would be a container that has not been started yet
			return modules.Failf("follow log of pod %s/%s: %v", f.log.pod.GetNamespace(), f.log.Pod, explainAPI(err))
		case ended:
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(250 * time.Millisecond):
		}
	}
}

// ended reports whether the pod prints nothing any more.
func (f *follower) ended(ctx context.Context) (bool, error) {
	m, err := f.view.cluster.Mapping(podKind)
	if err != nil {
		return false, err
	}
	pod, err := f.view.cluster.Resource(m, f.log.pod.GetNamespace()).Get(ctx, f.log.Pod, metav1.GetOptions{})
	if isGone(err) {
		return true, nil
	}
	if err != nil {
		return false, modules.Failf("%v", explainAPI(err))
	}
	phase := object{pod.Object}.str("status", "phase")
	return phase == "Succeeded" || phase == "Failed", nil
}

// read takes in a stream to its end.
func (f *follower) read(stream io.Reader) error {
	r := bufio.NewReader(stream)
	for {
		text, err := r.ReadString('\n')
		if stamp, line, ok := strings.Cut(strings.TrimRight(text, "\n"), " "); ok {
			at, _ := time.Parse(time.RFC3339Nano, stamp)
			if at.After(f.last) {
				f.last = at
				if err := f.line(line); err != nil {
					return err
				}
			}
		}
		if err != nil { // the end, or a connection that was cut
			f.options.since, f.options.tail = nil, nil
			if !f.last.IsZero() {
				f.options.sinceTime = f.last.UTC().Format(time.RFC3339)
			}
			return nil
		}
	}
}

func (f *follower) line(text string) error {
	if f.kept += len(text); f.kept > maxLog {
		return modules.Failf("the log of pod %s is longer than %d MB", f.log.Pod, maxLog>>20)
	}
	f.log.LogLines = append(f.log.LogLines, text)
	f.view.site.Emit(f.log.Pod + ": " + text)
	m, err := f.until.Search(text)
	if err != nil {
		return modules.Failf("follow_until: %v", err)
	}
	if m != nil {
		return errFound
	}
	return nil
}
