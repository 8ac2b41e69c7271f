package kube

import (
	"context"
	"fmt"
	"sort"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"

	"orch/playbook/source"
)

// Condition is the state a wait is for, when it is not simply "ready".
type Condition struct {
	Type, Status, Reason string
}

// Wait says what to wait for.
type Wait struct {
	Timeout   time.Duration
	Condition *Condition
	// Absent waits for the objects to be gone.
	Absent bool
	// Restarts a container may have before a crash counts as the failure.
	Restarts int64
	// LogLines of a failed container that the report quotes.
	LogLines int64
	// Judge is the task's own word on an object, before the rules of its kind; or nil.
	Judge judgement
	// Required is how much of a workload must serve.
	Required Required
}

// A tracker follows a set of objects, the pods under them and their events, by watches:
// it never polls. One goroutine holds all state.
type tracker struct {
	view  *View
	opts  Wait
	items []*item
	start time.Time

	mu      sync.Mutex
	objects map[string]*unstructured.Unstructured // by kind, namespace, name
	pods    map[string]*unstructured.Unstructured // by namespace/name
	sets    map[string]*unstructured.Unstructured // ReplicaSets by UID
	held    map[string]time.Time                  // when a trouble that may pass was seen first
	warned  map[string]Trouble                    // what events say, by the UID they are about
	gone    map[string]Status                     // how Jobs ended that were removed since
	broken  error                                 // why the task's own conditions say nothing
	kick    chan struct{}
}

// eventNormal is the type of events that are no warnings.
const eventNormal = "Normal"

// watchKinds are looked at under a workload, beside the objects themselves.
var (
	podKind        = schema.GroupVersionKind{Version: "v1", Kind: "Pod"}
	eventKind      = schema.GroupVersionKind{Version: "v1", Kind: "Event"}
	replicaSetKind = schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "ReplicaSet"}
)

// wait follows items until all are there, one has failed for good, or time is up.
func (v *View) wait(ctx context.Context, items []*item, o Wait) (*Report, error) {
	t := &tracker{
		view: v, opts: o, items: items, start: time.Now(),
		objects: map[string]*unstructured.Unstructured{}, pods: map[string]*unstructured.Unstructured{},
		sets: map[string]*unstructured.Unstructured{}, held: map[string]time.Time{},
		warned: map[string]Trouble{}, gone: map[string]Status{}, kick: make(chan struct{}, 1),
	}
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	if err := t.watchAll(ctx); err != nil {
		return nil, err
	}
	tick := time.NewTicker(250 * time.Millisecond) // for graces that run out without an event
	defer tick.Stop()
	said := ""
	for {
		report, done := t.judge()
		if t.broken != nil {
			return nil, t.broken
		}
		if done {
			if report.Failed() {
				v.explain(context.WithoutCancel(ctx), report, o)
			}
			return report, nil
		}
		if line := report.line(); line != said {
			said = line
			v.site.Emit(line)
		}
		select {
		case <-t.kick:
		case <-tick.C:
		case <-ctx.Done():
			report, _ = t.judge()
			report.TimedOut = context.Cause(ctx) == context.DeadlineExceeded
			if !report.TimedOut {
				return report, ctx.Err()
			}
			report.Elapsed = time.Since(t.start)
			v.explain(context.WithoutCancel(ctx), report, o)
			return report, nil
		}
	}
}

// watchAll opens one watch per kind and namespace of the set, and of what is below it.
func (t *tracker) watchAll(ctx context.Context) error {
	type place struct {
		gvk       schema.GroupVersionKind
		namespace string
	}
	places := map[place]bool{} // whether the wait is about them, or only about what is below
	for _, it := range t.items {
		if it.mapping == nil {
			continue
		}
		places[place{it.id.GroupVersionKind, it.id.Namespace}] = true
		if !t.opts.Absent && hasPods(it.id.Kind) {
			below := []schema.GroupVersionKind{podKind, eventKind}
			if it.id.Kind == "Deployment" {
				below = append(below, replicaSetKind)
			}
			for _, gvk := range below {
				p := place{gvk, it.id.Namespace}
				if _, own := places[p]; !own {
					places[p] = false
				}
			}
		}
	}
	for p, needed := range places {
		first := make(chan error, 1)
		go t.follow(ctx, p.gvk, p.namespace, first)
		err := <-first
		if !needed && apierrors.IsForbidden(err) {
			continue // a user who may not see pods can still wait, only not be told why
		}
		if err != nil {
			return fmt.Errorf("watch %s: %w", p.gvk.Kind, explainAPI(err))
		}
	}
	return nil
}

func hasPods(kind string) bool {
	switch kind {
	case "Pod", "Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job", "ReplicationController":
		return true
	}
	return false
}

// follow lists a kind and then watches it, listing again whenever the watch ends: a
// watch that starts at a list's version is the only kind every etcd serves.
func (t *tracker) follow(ctx context.Context, gvk schema.GroupVersionKind, namespace string, first chan<- error) {
	m, err := t.view.cluster.Mapping(gvk)
	if err != nil {
		first <- err
		return
	}
	res := t.view.cluster.Resource(m, namespace)
	opened := false
	for delay := 100 * time.Millisecond; ctx.Err() == nil; {
		list, err := res.List(ctx, metav1.ListOptions{})
		if err == nil {
			t.replace(gvk, namespace, list.Items)
			if !opened {
				opened = true
				first <- nil
			}
			var w watch.Interface
			if w, err = res.Watch(ctx, metav1.ListOptions{ResourceVersion: list.GetResourceVersion()}); err == nil {
				t.consume(ctx, gvk, w)
				delay = 100 * time.Millisecond
				continue
			}
		}
		if !opened {
			first <- err
			return
		}
		select { // the server may be restarting: it is asked again until time is up
		case <-ctx.Done():
		case <-time.After(delay):
			delay = min(2*delay, 2*time.Second)
		}
	}
}

func (t *tracker) consume(ctx context.Context, gvk schema.GroupVersionKind, w watch.Interface) {
	defer w.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case ev, ok := <-w.ResultChan():
			if !ok || ev.Type == watch.Error {
				return
			}
			if u, ok := ev.Object.(*unstructured.Unstructured); ok {
				t.store(gvk, u, ev.Type == watch.Deleted)
			}
		}
	}
}

func (t *tracker) replace(gvk schema.GroupVersionKind, namespace string, list []unstructured.Unstructured) {
	t.mu.Lock()
	for key, u := range t.objects {
		if u.GetKind() == gvk.Kind && u.GetNamespace() == namespace {
			delete(t.objects, key)
		}
	}
	if gvk == podKind {
		for key, u := range t.pods {
			if u.GetNamespace() == namespace {
				delete(t.pods, key)
			}
		}
	}
	t.mu.Unlock()
	for i := range list {
		t.store(gvk, &list[i], false)
	}
	t.wake()
}

func (t *tracker) store(gvk schema.GroupVersionKind, u *unstructured.Unstructured, gone bool) {
	t.mu.Lock()
	if gvk == eventKind {
		t.warning(u)
		t.mu.Unlock()
		t.wake()
		return
	}
	put := func(m map[string]*unstructured.Unstructured, key string) {
		if gone {
			delete(m, key)
		} else {
			m[key] = u
		}
	}
	switch gvk {
	case podKind:
		put(t.pods, u.GetNamespace()+"/"+u.GetName())
	case replicaSetKind:
		put(t.sets, string(u.GetUID()))
	}
	key := ID{gvk, u.GetNamespace(), u.GetName()}.same()
	if gone && gvk.Kind == "Job" { // ttlSecondsAfterFinished may be 0
		t.gone[key] = job(object{u.Object})
	}
	put(t.objects, key)
	t.mu.Unlock()
	t.wake()
}

// refused matches why a pod cannot be made at all; other reasons pass.
var refused = source.Lazy(`is forbidden|exceeded quota|denied the request|is invalid`)

// warning keeps what an event says that no status does: a controller other than the
// Deployment's reports pods it may not make only so, and the kubelet a volume it cannot
// mount.
func (t *tracker) warning(e *unstructured.Unstructured) {
	o := object{e.Object}
	last, err := time.Parse(time.RFC3339, o.str("lastTimestamp"))
	if err != nil || last.Before(t.start.Truncate(time.Second)) || o.str("type") == eventNormal {
		return
	}
	message := strings.TrimSpace(o.str("message"))
	switch reason := o.str("reason"); reason {
	case "FailedCreate":
		if refused().MatchString(message) {
			t.warned[o.str("involvedObject", "uid")] = Trouble{Urgency: Doomed, Reason: reason, Message: message, ExitCode: -1}
		}
	case "FailedMount", "FailedAttachVolume":
		if !transient().MatchString(message) {
			t.warned[o.str("involvedObject", "uid")] = Trouble{Urgency: Hold, Reason: reason, Message: message, ExitCode: -1, Grace: HoldFor}
		}
	}
}

func (t *tracker) wake() {
	select {
	case t.kick <- struct{}{}:
	default:
	}
}

// judge says how the set is doing. It is done when every object is where it should be,
// or one has failed.
func (t *tracker) judge() (*Report, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	report := &Report{Elapsed: time.Since(t.start)}
	pending := 0
	for _, it := range t.items {
		live := t.objects[it.id.same()]
		o := Outcome{ID: it.id, Live: live}
		switch {
		case t.opts.Absent:
			o.Status = Status{State: Absent}
			if live != nil {
				o.Status = Compute(live)
				o.Status.State = Progressing
				o.Status.Message = orElse(o.Status.Message, "still there")
				pending++
			}
		default:
			o.Status = t.status(live)
			if s, ok := t.gone[it.id.same()]; ok && live == nil && s.State != Progressing {
				o.Status = s
			}
			if o.Status.State == Ready && t.opts.Judge == nil && t.settling(live) {
				o.Status = progressing("Settling", "its containers have just started and no readiness probe vouches for them")
			}
			if s, ok := t.enough(o); ok {
				o.Status = s
			}
			switch o.Status.State {
			case Failed:
				t.blame(&o)
			case Progressing, Terminating, Absent:
				pending++
				if t.blame(&o) {
					o.Status = Status{State: Failed, Reason: o.Trouble.Reason, Message: o.Trouble.Message}
					pending--
				}
			}
			o.serving = t.serving(live)
		}
		report.Outcomes = append(report.Outcomes, o)
	}
	return report, report.Failed() || pending == 0
}

func (t *tracker) status(live *unstructured.Unstructured) Status {
	s := Compute(live)
	if t.opts.Judge != nil && live != nil && s.State != Terminating {
		own, decided, err := t.opts.Judge(live)
		if err != nil {
			t.broken = err
		}
		if decided && (own.State != Progressing || s.State != Failed) {
			s = own
		}
	}
	if t.opts.Condition == nil || live == nil {
		return s
	}
	if s.State == Failed {
		return s
	}
	c, ok := object{live.Object}.condition(t.opts.Condition.Type)
	want := orElse(t.opts.Condition.Status, "True")
	if ok && c.str("status") == want && (t.opts.Condition.Reason == "" || c.str("reason") == t.opts.Condition.Reason) {
		return ready("condition %s is %s", t.opts.Condition.Type, want)
	}
	return progressing("Waiting", "condition %s is not %s yet", t.opts.Condition.Type, want)
}

// echoes are messages of events that only say again why a container waits.
var echoes = map[string]bool{"Error: ErrImagePull": true, "Error: ImagePullBackOff": true, "Error: ErrImageNeverPull": true}

// eventsOf lists the warnings about an object, newest last, without those that say the
// same as the trouble does.
func (v *View) eventsOf(ctx context.Context, u *unstructured.Unstructured, since time.Time) []Event {
	m, err := v.cluster.Mapping(eventKind)
	if err != nil {
		return nil // the report is worth giving without them
	}
	list, err := v.cluster.Resource(m, u.GetNamespace()).List(ctx, metav1.ListOptions{
		FieldSelector: "involvedObject.uid=" + string(u.GetUID()),
	})
	if err != nil {
		return nil
	}
	var events []Event
	for i := range list.Items {
		e := object{list.Items[i].Object}
		last, err := time.Parse(time.RFC3339, orElse(e.str("lastTimestamp"), e.str("eventTime")))
		if err != nil || e.str("type") == eventNormal || last.Before(since.Add(-time.Minute)) || echoes[strings.TrimSpace(e.str("message"))] {
			continue
		}
		events = append(events, Event{
			Reason: e.str("reason"), Message: strings.TrimSpace(e.str("message")), Count: int32(max(e.num(1, "count"), 1)), Last: last,
		})
	}
	sort.Slice(events, func(i, j int) bool { return events[i].Last.Before(events[j].Last) })
	if len(events) > 5 {
		events = events[len(events)-5:]
	}
	return events
}

// established waits until the API server serves the kinds that were just defined.
func (t *Target) established(ctx context.Context, items []*item) error {
	var crds []*item
	for _, it := range items {
		if it.id.Kind == "CustomResourceDefinition" {
			crds = append(crds, it)
		}
	}
	report, err := t.wait(ctx, crds, Wait{Timeout: 30 * time.Second})
	if err != nil {
		return err
	}
	if !report.OK() {
		return report.Failure()
	}
	t.cluster.forget()
	return nil
}
