package kube

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"orch/modules"
)

// An Event is a warning the cluster gave about an object.
type Event struct {
	Reason  string    `json:"reason"`
	Message string    `json:"message"`
	Count   int32     `json:"count"`
	Last    time.Time `json:"last"`
}

// An Outcome is how one object of a set ended.
type Outcome struct {
	ID      ID
	Live    *unstructured.Unstructured
	Status  Status
	Pod     *unstructured.Unstructured // the pod that is to blame, nil if none is
	Trouble Trouble
	Same    int // pods with this trouble

	events []Event
	logs   []string
}

// A Report is how a wait ended.
type Report struct {
	Outcomes []Outcome
	TimedOut bool
	Elapsed  time.Duration
}

// Failed reports whether an object has failed for good.
func (r *Report) Failed() bool {
	for _, o := range r.Outcomes {
		if o.Status.State == Failed {
			return true
		}
	}
	return false
}

// OK reports whether every object is where it should be.
func (r *Report) OK() bool { return !r.TimedOut && !r.Failed() }

// Warnings are remarks about objects that are good enough.
func (r *Report) Warnings() []string {
	var list []string
	for _, o := range r.Outcomes {
		for _, w := range o.Status.Warnings {
			list = append(list, fmt.Sprintf("%s: %s", o.ID, w))
		}
	}
	return list
}

// line is what the live view shows while the wait goes on.
func (r *Report) line() string {
	var waiting []string
	for _, o := range r.Outcomes {
		if o.Status.State == Progressing || o.Status.State == Terminating || o.Status.State == Absent {
			waiting = append(waiting, fmt.Sprintf("%s: %s", o.ID, orElse(o.Status.Message, string(o.Status.State))))
		}
	}
	return strings.Join(waiting, "; ")
}

// explain gathers what the failure report quotes: events and the last lines of the
// container that is to blame.
func (v *View) explain(ctx context.Context, r *Report, o Wait) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	since := time.Now().Add(-r.Elapsed)
	for i := range r.Outcomes {
		out := &r.Outcomes[i]
		if out.Status.State == Ready || out.Live == nil {
			continue
		}
		about := out.Live
		if out.Pod != nil {
			about = out.Pod
		}
		out.events = v.eventsOf(ctx, about, since)
		if out.Pod != nil && out.Trouble.Container != "" && (out.Trouble.ExitCode > 0 || out.Trouble.Reason == "NotReady") {
			out.logs = v.tail(ctx, out.Pod, out.Trouble, o.LogLines)
		}
	}
}

// tail reads the last lines of a container: of its previous run if it crashed.
func (v *View) tail(ctx context.Context, pod *unstructured.Unstructured, t Trouble, lines int64) []string {
	if lines <= 0 {
		lines = 25
	}
	for _, previous := range []bool{t.Reason == "CrashLoopBackOff", false, true} {
		stream, err := v.cluster.Typed.CoreV1().Pods(pod.GetNamespace()).GetLogs(pod.GetName(), &corev1.PodLogOptions{
			Container: t.Container, TailLines: &lines, Previous: previous,
		}).Stream(ctx)
		if err != nil {
			continue
		}
		text, _ := io.ReadAll(io.LimitReader(stream, 1<<20))
		stream.Close()
		if s := strings.TrimRight(string(text), "\n"); s != "" {
			return strings.Split(s, "\n")
		}
	}
	return nil
}

// Failure is the report as a task's failure: what failed, which pod, why, what the
// cluster said and what the container printed last.
func (r *Report) Failure() *modules.Failure {
	var b strings.Builder
	for _, o := range r.Outcomes {
		if o.Status.State == Ready || o.Status.State == Present || r.Failed() && o.Status.State != Failed {
			continue
		}
		verb := "failed"
		if o.Status.State != Failed {
			verb = "is not ready"
		}
		fmt.Fprintf(&b, "%s %s after %.1fs", o.ID, verb, r.Elapsed.Seconds())
		if o.Pod == nil {
			fmt.Fprintf(&b, ": %s", reasonAnd(o.Status.Reason, o.Status.Message))
		}
		b.WriteByte('\n')
		o.describe(&b)
	}
	f := modules.Failf("%s", strings.TrimRight(b.String(), "\n"))
	if r.TimedOut && !r.Failed() {
		f.Hint = "raise wait_timeout if it only needs longer"
	}
	return f
}

func reasonAnd(reason, message string) string {
	switch {
	case reason == "" || strings.Contains(message, reason):
		return message
	case message == "":
		return reason
	}
	return reason + ": " + message
}

func (o *Outcome) describe(b *strings.Builder) {
	if o.Pod != nil {
		fmt.Fprintf(b, "  pod %s", o.Pod.GetName())
		if node := (object{o.Pod.Object}).str("spec", "nodeName"); node != "" {
			fmt.Fprintf(b, " on node %s", node)
		}
		if o.Same > 1 {
			fmt.Fprintf(b, " (and %d more, same reason)", o.Same-1)
		}
		b.WriteByte('\n')
		what := "    "
		if o.Trouble.Container != "" {
			kind := "container"
			if o.Trouble.Init {
				kind = "init container"
			}
			what = fmt.Sprintf("    %s %s: ", kind, o.Trouble.Container)
		}
		fmt.Fprintf(b, "%s%s\n", what, reasonAnd(o.Trouble.Reason, o.Trouble.Message))
		if o.Trouble.Restarts > 0 {
			fmt.Fprintf(b, "    restarted %d times\n", o.Trouble.Restarts)
		}
	}
	for _, e := range o.events {
		fmt.Fprintf(b, "  event %s x%d: %s\n", e.Reason, e.Count, e.Message)
	}
	for i, line := range o.logs {
		if i == 0 {
			b.WriteString("  last lines of its log:\n")
		}
		fmt.Fprintf(b, "    | %s\n", line)
	}
}
