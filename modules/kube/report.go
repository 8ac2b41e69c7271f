package kube

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

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

	pods    int    // that the present template made
	serving string // which older ones serve still
	events  []Event
	logs    []string
	tags    []string // of the registry, near to the one that cannot be pulled
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
	for i := range r.Outcomes {
		list = append(list, r.Outcomes[i].warnings()...)
	}
	return list
}

func (o *Outcome) warnings() []string {
	var list []string
	for _, w := range o.Status.Warnings {
		list = append(list, fmt.Sprintf("%s: %s", o.ID, w))
	}
	return list
}

// FailureOut is a failure as data: what a task registers as failure.
type FailureOut struct {
	TimedOut bool           `json:"timed_out"`
	Elapsed  float64        `json:"elapsed"`
	Objects  []FailedObject `json:"objects"`
}

// A FailedObject is an object that did not get where it should be, and why.
type FailedObject struct {
	Kind      string   `json:"kind"`
	Namespace string   `json:"namespace,omitempty"`
	Name      string   `json:"name"`
	State     State    `json:"state"`
	Reason    string   `json:"reason,omitempty"`
	Message   string   `json:"message,omitempty"`
	Pod       string   `json:"pod,omitempty"`
	Node      string   `json:"node,omitempty"`
	Container string   `json:"container,omitempty"`
	Image     string   `json:"image,omitempty"`
	ExitCode  *int64   `json:"exit_code,omitempty"`
	Restarts  int64    `json:"restarts,omitempty"`
	Serving   string   `json:"still_serving,omitempty"`
	Tags      []string `json:"nearest_tags,omitempty"`
	Events    []Event  `json:"events,omitempty"`
	Log       []string `json:"log,omitempty"`
}

// told lists what the failure is about: what failed, or what is not there yet.
func (r *Report) told() []*Outcome {
	var list []*Outcome
	for i := range r.Outcomes {
		o := &r.Outcomes[i]
		good := o.Status.State == Ready || o.Status.State == Present
		if !good && (!r.Failed() || o.Status.State == Failed) {
			list = append(list, o)
		}
	}
	return list
}

// failure is Data, nil for a wait that ended well.
func (r *Report) failure() *FailureOut {
	if r.OK() {
		return nil
	}
	return r.Data()
}

// Data is Failure as data.
func (r *Report) Data() *FailureOut {
	out := &FailureOut{TimedOut: r.TimedOut, Elapsed: r.Elapsed.Seconds(), Objects: []FailedObject{}}
	for _, o := range r.told() {
		f := FailedObject{
			Kind: o.ID.Kind, Namespace: o.ID.Namespace, Name: o.ID.Name,
			State: o.Status.State, Reason: o.Status.Reason, Message: o.Status.Message, Events: o.events, Log: o.logs,
			Serving: o.serving, Tags: o.tags,
		}
		if o.Pod != nil {
			f.Pod, f.Node = o.Pod.GetName(), object{o.Pod.Object}.str("spec", "nodeName")
			f.Container, f.Image, f.Restarts = o.Trouble.Container, o.Trouble.Image, o.Trouble.Restarts
			f.Reason, f.Message = orElse(o.Trouble.Reason, f.Reason), orElse(o.Trouble.Message, f.Message)
			if code := o.Trouble.ExitCode; code >= 0 {
				f.ExitCode = &code
			}
		}
		out.Objects = append(out.Objects, f)
	}
	return out
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
		if out.Pod != nil && out.Trouble.Container != "" && (out.Trouble.ExitCode >= 0 || out.Trouble.Reason == "NotReady") {
			out.logs = v.tail(ctx, out.Pod, out.Trouble, o.LogLines)
		}
		if out.Trouble.Reason == "ImagePullBackOff" {
			out.tags = nearestTags(ctx, out.Trouble.Image)
		}
	}
}

// tail reads the last lines of a container: of its previous run if it crashed.
func (v *View) tail(ctx context.Context, pod *unstructured.Unstructured, t Trouble, lines int64) []string {
	if lines <= 0 {
		lines = 25
	}
	for _, previous := range []bool{t.Reason == "CrashLoopBackOff", false, true} {
		stream, err := v.cluster.log(ctx, pod, logOptions{container: t.Container, tail: &lines, previous: previous})
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
	for _, o := range r.told() {
		verb := "failed"
		if o.Status.State != Failed {
			verb = "is not ready"
		}
		fmt.Fprintf(&b, "%s %s after %.1fs", o.ID, verb, r.Elapsed.Seconds())
		switch {
		case o.Pod == nil || o.Status.Reason != o.Trouble.Reason:
			fmt.Fprintf(&b, ": %s", reasonAnd(o.Status.Reason, o.Status.Message))
		case o.pods > 1 || o.serving != "":
			fmt.Fprintf(&b, ": %d of %d new pods cannot serve", o.Same, o.pods)
		}
		b.WriteByte('\n')
		o.describe(&b)
	}
	f := modules.Failf("%s", strings.TrimRight(b.String(), "\n"))
	for _, o := range r.told() {
		if f.Hint == "" {
			f.Hint = o.hint()
		}
	}
	if r.TimedOut && !r.Failed() {
		f.Hint = "raise wait_timeout if it only needs longer"
	}
	return f
}

// hint is what may help against a trouble whose message does not say it.
func (o *Outcome) hint() string {
	said := o.Status.Message + o.Trouble.Message
	switch {
	case o.Trouble.Reason == "ImagePullBackOff" && pullRefused().MatchString(said):
		return "the node logs in to the registry with imagePullSecrets, of the pod or of its service account"
	case o.Trouble.Reason == "ImagePullBackOff":
		return "was the image pushed under this name? a node must reach the registry by it too"
	case o.Trouble.killedForMemory():
		return "raise resources.limits.memory, or look for what the program needs it for"
	case strings.Contains(said, "exceeded quota"):
		return "raise the ResourceQuota that it names, or ask for less"
	}
	return ""
}

func times(n int64) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
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
		if len(o.tags) > 0 {
			fmt.Fprintf(b, "    the registry has no such tag, nearest are %s\n", strings.Join(o.tags, ", "))
		}
		if o.Trouble.Restarts > 0 {
			fmt.Fprintf(b, "    restarted %s\n", times(o.Trouble.Restarts))
		}
	}
	for _, e := range o.events {
		fmt.Fprintf(b, "  event %s x%d: %s\n", e.Reason, e.Count, e.Message)
	}
	if o.serving != "" {
		fmt.Fprintf(b, "  still serving: %s\n", o.serving)
	}
	for i, line := range o.logs {
		if i == 0 {
			b.WriteString("  last lines of its log:\n")
		}
		fmt.Fprintf(b, "    | %s\n", line)
	}
}
