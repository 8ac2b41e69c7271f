package kube

import (
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// blame finds the pod that keeps a workload from being ready, and reports whether its
// trouble counts as the workload's failure now.
func (t *tracker) blame(o *Outcome) bool {
	if o.Live == nil || !hasPods(o.ID.Kind) {
		return false
	}
	if trouble, ok := t.warned[string(o.Live.GetUID())]; ok && trouble.Urgency == Doomed {
		o.Trouble = trouble
		return true
	}
	counts := false
	pods := t.podsOf(o.Live)
	o.pods = len(pods)
	for _, pod := range pods {
		trouble := podTrouble(object{pod.Object})
		if w, ok := t.warned[string(pod.GetUID())]; ok && trouble.Urgency == None && starting(pod) {
			trouble = w
		}
		if trouble.Urgency == None {
			continue
		}
		now := t.counts(pod, trouble)
		if o.Pod == nil || trouble.Urgency > o.Trouble.Urgency || now && !counts {
			o.Pod, o.Trouble = pod, trouble
		}
		o.Same += btoi(trouble.Reason == o.Trouble.Reason)
		counts = counts || now
	}
	// A Job has a rule of its own for how often its pods may fail.
	return counts && !(o.ID.Kind == "Job" && o.Trouble.Urgency != Hold && o.Trouble.Reason != "ImagePullBackOff" && o.Trouble.ExitCode >= 0)
}

// Settle is how long a container without a readiness probe must have run to be believed.
// The API server counts it as available from its first moment, so one that crashes at
// its start makes a rollout look complete for an instant. Start times are whole seconds,
// and a kubelet may take two more to tell of the end.
const Settle = 4 * time.Second

// settling reports whether a workload is ready only because its containers have not had
// the time to crash.
func (t *tracker) settling(live *unstructured.Unstructured) bool {
	if live == nil || !hasPods(live.GetKind()) || live.GetKind() == "Job" || (object{live.Object}).flag("spec", "paused") {
		return false
	}
	for _, pod := range t.podsOf(live) {
		if phase := (object{pod.Object}).str("status", "phase"); phase != "Running" && phase != "Pending" {
			continue // evicted pods may lie about
		}
		if !settled(object{pod.Object}) {
			return true
		}
	}
	return false
}

// settled reports whether every container of a pod has a readiness probe or has run long
// enough to be believed.
func settled(pod object) bool {
	containers := pod.list("status", "containerStatuses")
	for _, c := range containers {
		if _, probe := probeGrace(pod, c.str("name")); probe != "" {
			continue
		}
		if !c.has("state", "running") {
			return false // its owner counts it still, the pod knows better
		}
		started, err := time.Parse(time.RFC3339, c.str("state", "running", "startedAt"))
		// A start in the future is another clock's: nothing is known then.
		if age := time.Since(started); err == nil && age < Settle+lateness(pod, started) && age > -Settle {
			return false
		}
	}
	return len(containers) > 0
}

// lateness is what a kubelet that is behind may need beyond Settle to tell of an end: it
// told of the start late too. Both times are the node's, in whole seconds.
func lateness(pod object, started time.Time) time.Duration {
	c, _ := pod.condition("ContainersReady")
	told, err := time.Parse(time.RFC3339, c.str("lastTransitionTime"))
	if err != nil {
		return 0
	}
	return min(2*max(told.Sub(started)-time.Second, 0), 20*time.Second)
}

// starting reports whether a pod's containers wait for what they need.
func starting(pod *unstructured.Unstructured) bool {
	for _, c := range (object{pod.Object}).list("status", "containerStatuses") {
		if c.str("state", "waiting", "reason") == "ContainerCreating" {
			return true
		}
	}
	return false
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// counts applies the graces of a trouble that may pass.
func (t *tracker) counts(pod *unstructured.Unstructured, trouble Trouble) bool {
	switch trouble.Urgency {
	case Doomed:
		return true
	case Restarts:
		return trouble.crashed(t.opts.Restarts)
	case Hold:
		key := string(pod.GetUID()) + trouble.Container + trouble.Reason
		since, ok := t.held[key]
		if !ok {
			since = time.Now()
			t.held[key] = since
		}
		return time.Since(since) >= trouble.Grace
	}
	return false
}

// podsOf lists the pods that a workload's present template made, newest first. Of a
// Deployment these are the pods of its newest ReplicaSet: an old one may stay broken.
func (t *tracker) podsOf(w *unstructured.Unstructured) []*unstructured.Unstructured {
	if w.GetKind() == "Pod" {
		return []*unstructured.Unstructured{w}
	}
	if (object{w.Object}).stale() {
		return nil // its controller has not seen the change: what there is may be older
	}
	owner := w.GetUID()
	if w.GetKind() == "Deployment" {
		newest, rev := (*unstructured.Unstructured)(nil), ""
		for _, rs := range t.sets {
			if metav1.GetControllerOf(rs) == nil || metav1.GetControllerOf(rs).UID != owner {
				continue
			}
			r := rs.GetAnnotations()[revisionNote]
			if newest == nil || len(r) > len(rev) || len(r) == len(rev) && r > rev {
				newest, rev = rs, r
			}
		}
		// The controller has not made the new set yet: no pod may be blamed.
		if newest == nil || rev != w.GetAnnotations()[revisionNote] {
			return nil
		}
		owner = newest.GetUID()
	}
	var pods []*unstructured.Unstructured
	for _, p := range t.pods {
		ref := metav1.GetControllerOf(p)
		if ref != nil && ref.UID == owner && p.GetDeletionTimestamp() == nil && present(w, p) {
			pods = append(pods, p)
		}
	}
	sort.Slice(pods, func(i, j int) bool { return pods[i].GetName() < pods[j].GetName() })
	return pods
}

// present reports whether a pod is of the present template of its StatefulSet or
// DaemonSet. A DaemonSet's status does not name its newest revision, but the API server
// counts the templates, and the controller labels pods with the number.
func present(w, pod *unstructured.Unstructured) bool {
	want, have := object{w.Object}.str("status", "updateRevision"), pod.GetLabels()["controller-revision-hash"]
	if w.GetKind() == "DaemonSet" {
		want, have = w.GetAnnotations()["deprecated.daemonset.template.generation"], pod.GetLabels()["pod-template-generation"]
	}
	return want == "" || have == "" || want == have
}

// enough says that a part of a rollout serves that the task has called enough.
func (t *tracker) enough(o Outcome) (Status, bool) {
	if o.Live == nil || o.Status.State != Progressing && o.Status.State != Failed {
		return Status{}, false
	}
	need, part := t.opts.Required.of(o.ID.Kind, object{o.Live.Object})
	if !part {
		return Status{}, false
	}
	pods, serve := t.podsOf(o.Live), int64(0)
	for _, pod := range pods {
		if p := (object{pod.Object}); p.is("Ready", "True") && settled(p) {
			serve++
		}
	}
	if pods == nil || serve < need {
		return Status{}, false
	}
	s := ready("%d new pods serve, and %d are required", serve, need)
	s.Warnings = []string{fmt.Sprintf("%d new pods serve, which is enough: %s", serve, reasonAnd(o.Status.Reason, o.Status.Message))}
	return s, true
}

// serving says which pods of older templates of a workload serve still; "" for none.
func (t *tracker) serving(w *unstructured.Unstructured) string {
	if w == nil || w.GetKind() == "Pod" || !hasPods(w.GetKind()) {
		return ""
	}
	newer := t.podsOf(w)
	type group struct{ revision, images string }
	count := map[group]int{}
	for _, p := range t.pods {
		if slices.Contains(newer, p) || p.GetDeletionTimestamp() != nil || !(object{p.Object}).is("Ready", "True") {
			continue
		}
		ref := metav1.GetControllerOf(p)
		if ref == nil {
			continue
		}
		g := group{images: shortImages(object{p.Object})}
		if rs := t.sets[string(ref.UID)]; rs != nil && w.GetKind() == "Deployment" {
			g.revision = " of revision " + rs.GetAnnotations()[revisionNote]
			ref = metav1.GetControllerOf(rs)
		}
		if ref != nil && ref.UID == w.GetUID() {
			count[g]++
		}
	}
	want := object{w.Object}.num(1, "spec", "replicas")
	if w.GetKind() == "DaemonSet" {
		want = object{w.Object}.num(0, "status", "desiredNumberScheduled")
	}
	var words []string
	for g, n := range count {
		words = append(words, fmt.Sprintf("%d/%d pods%s (%s)", n, want, g.revision, g.images))
	}
	sort.Strings(words)
	return strings.Join(words, ", ")
}

// shortImages lists the images of a pod's containers without their registry's path.
func shortImages(pod object) string {
	var list []string
	for _, c := range pod.list("spec", "containers") {
		image := c.str("image")
		image = image[strings.LastIndexByte(image, '/')+1:]
		if name, digest, ok := strings.Cut(image, "@"); ok {
			image = name + "@" + digest[:min(len(digest), len("sha256:")+12)]
		}
		list = append(list, image)
	}
	return strings.Join(list, ", ")
}

// revisionNote is the annotation in which a Deployment's controller counts revisions.
const revisionNote = "deployment.kubernetes.io/revision"
