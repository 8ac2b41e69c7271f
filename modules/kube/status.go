package kube

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// State is what an object has come to.
type State string

// The states.
const (
	// Ready: the object does what it is for.
	Ready State = "ready"
	// Progressing: it is on its way.
	Progressing State = "progressing"
	// Failed: it will not get there without a change.
	Failed State = "failed"
	// Terminating: it is being deleted.
	Terminating State = "terminating"
	// Present: it is there, and nothing in it says how it is doing.
	Present State = "present"
	// Absent: it is not there.
	Absent State = "absent"
)

// A Status is an object's state and why.
type Status struct {
	State State
	// Reason is a word of the API where there is one: "ProgressDeadlineExceeded".
	Reason  string
	Message string
	// Warnings are remarks about a state that is good enough: a paused deployment.
	Warnings []string
}

func ready(format string, args ...any) Status {
	return Status{State: Ready, Message: fmt.Sprintf(format, args...)}
}

func progressing(reason, format string, args ...any) Status {
	return Status{State: Progressing, Reason: reason, Message: fmt.Sprintf(format, args...)}
}

func failed(reason, format string, args ...any) Status {
	return Status{State: Failed, Reason: reason, Message: fmt.Sprintf(format, args...)}
}

// An object is read access to the fields of an API object.
type object struct{ u map[string]any }

func (o object) str(path ...string) string {
	s, _, _ := unstructured.NestedString(o.u, path...)
	return s
}

// num reads a number; def if it is missing or something else.
func (o object) num(def int64, path ...string) int64 {
	v, found, _ := unstructured.NestedFieldNoCopy(o.u, path...)
	if !found {
		return def
	}
	switch n := v.(type) {
	case int64:
		return n
	case float64:
		return int64(n)
	case int:
		return int64(n)
	}
	return def
}

func (o object) flag(path ...string) bool {
	b, _, _ := unstructured.NestedBool(o.u, path...)
	return b
}

func (o object) list(path ...string) []object {
	items, _, _ := unstructured.NestedFieldNoCopy(o.u, path...)
	slice, _ := items.([]any)
	var list []object
	for _, item := range slice {
		if m, ok := item.(map[string]any); ok {
			list = append(list, object{m})
		}
	}
	return list
}

func (o object) has(path ...string) bool {
	_, found, err := unstructured.NestedFieldNoCopy(o.u, path...)
	return found && err == nil
}

// condition returns the condition of a type; false when the object has none such.
func (o object) condition(kind string) (object, bool) {
	for _, c := range o.list("status", "conditions") {
		if c.str("type") == kind {
			return c, true
		}
	}
	return object{}, false
}

// is reports whether condition kind has status.
func (o object) is(kind, status string) bool {
	c, ok := o.condition(kind)
	return ok && c.str("status") == status
}

// stale reports whether the status speaks of an older generation. An observedGeneration
// that is no number (Argo's is text) says nothing.
func (o object) stale() bool {
	seen := o.num(-1, "status", "observedGeneration")
	return seen >= 0 && seen < o.num(0, "metadata", "generation")
}

// Compute says how an object is doing, from the object alone. It is a pure function:
// what needs other objects (which pod, why) is the tracker's business.
func Compute(u *unstructured.Unstructured) Status {
	if u == nil || u.Object == nil {
		return Status{State: Absent, Message: "not found"}
	}
	o := object{u.Object}
	if o.has("metadata", "deletionTimestamp") {
		msg := "being deleted"
		if f := u.GetFinalizers(); len(f) > 0 {
			msg += ", waiting for " + strings.Join(f, ", ")
		}
		return Status{State: Terminating, Message: msg}
	}
	gvk := u.GroupVersionKind()
	if rule, ok := rules[gvk.Group+"/"+gvk.Kind]; ok {
		if o.stale() && !ignoresGeneration[gvk.Kind] {
			return progressing("GenerationNotObserved", "the controller has not seen the change yet")
		}
		return rule(o)
	}
	return generic(o)
}

// ignoresGeneration lists kinds whose status has no observedGeneration worth waiting for.
var ignoresGeneration = map[string]bool{"Rollout": true, "Pod": true}

// rules are the kinds that are known, by group and kind.
var rules = map[string]func(object) Status{
	"apps/Deployment":                     deployment,
	"apps/StatefulSet":                    statefulSet,
	"apps/DaemonSet":                      daemonSet,
	"apps/ReplicaSet":                     replicaSet,
	"/ReplicationController":              replicaSet,
	"/Pod":                                podStatus,
	"batch/Job":                           job,
	"batch/CronJob":                       cronJob,
	"/Service":                            service,
	"networking.k8s.io/Ingress":           ingress,
	"/PersistentVolumeClaim":              claim,
	"/PersistentVolume":                   volume,
	"policy/PodDisruptionBudget":          disruptionBudget,
	"autoscaling/HorizontalPodAutoscaler": autoscaler,
	"/Namespace":                          namespace,
	"apiextensions.k8s.io/CustomResourceDefinition": definition,
	"apiregistration.k8s.io/APIService":             apiService,
	"/Node":                                         node,
	"/ConfigMap":                                    always,
	"/Secret":                                       always,
	"/ServiceAccount":                               always,
	"/ResourceQuota":                                always,
	"/LimitRange":                                   always,
	"rbac.authorization.k8s.io/Role":                always,
	"rbac.authorization.k8s.io/ClusterRole":         always,
	"rbac.authorization.k8s.io/RoleBinding":         always,
	"rbac.authorization.k8s.io/ClusterRoleBinding":  always,
	"storage.k8s.io/StorageClass":                   always,
	"scheduling.k8s.io/PriorityClass":               always,
	"networking.k8s.io/NetworkPolicy":               always,
	"networking.k8s.io/IngressClass":                always,
	"admissionregistration.k8s.io/ValidatingWebhookConfiguration": always,
	"admissionregistration.k8s.io/MutatingWebhookConfiguration":   always,
	"coordination.k8s.io/Lease":                                   always,
	"argoproj.io/Rollout":                                         argoRollout,
	"gateway.networking.k8s.io/HTTPRoute":                         httpRoute,
	"gateway.networking.k8s.io/Gateway":                           programmed,
	"snapshot.storage.k8s.io/VolumeSnapshot":                      volumeSnapshot,
}

// always is for kinds that are what they say as soon as they are stored.
func always(object) Status { return ready("stored") }

func deployment(o object) Status {
	want := o.num(1, "spec", "replicas")
	updated, total := o.num(0, "status", "updatedReplicas"), o.num(0, "status", "replicas")
	available := o.num(0, "status", "availableReplicas")
	if c, ok := o.condition("ReplicaFailure"); ok && c.str("status") == "True" {
		return failed(c.str("reason"), "%s", c.str("message"))
	}
	if c, ok := o.condition("Progressing"); ok && c.str("reason") == "ProgressDeadlineExceeded" {
		return failed("ProgressDeadlineExceeded", "%s", c.str("message"))
	}
	if o.flag("spec", "paused") {
		s := ready("%d of %d replicas available", available, want)
		s.Warnings = []string{"the deployment is paused: its pod template is not rolled out"}
		return s
	}
	if !o.has("status", "observedGeneration") {
		return progressing("NotObserved", "the controller has not seen it yet")
	}
	switch {
	case updated < want:
		return progressing("Updating", "%d of %d replicas updated", updated, want)
	case total > updated:
		return progressing("RemovingOld", "%d old replicas still to be removed", total-updated)
	case available < want:
		return progressing("Unavailable", "%d of %d replicas available", available, want)
	}
	return ready("%d of %d replicas available", available, want)
}

func statefulSet(o object) Status {
	want := o.num(1, "spec", "replicas")
	have, updated := o.num(0, "status", "readyReplicas"), o.num(0, "status", "updatedReplicas")
	if o.str("spec", "updateStrategy", "type") == "OnDelete" {
		s := ready("%d of %d replicas ready", have, want)
		if o.str("status", "currentRevision") != o.str("status", "updateRevision") {
			s.Warnings = []string{"update strategy OnDelete: old pods stay until they are deleted"}
		}
		if have < want {
			return progressing("Unavailable", "%d of %d replicas ready", have, want)
		}
		return s
	}
	if !o.has("status", "observedGeneration") {
		return progressing("NotObserved", "the controller has not seen it yet")
	}
	partition := o.num(0, "spec", "updateStrategy", "rollingUpdate", "partition")
	target := max(want-partition, 0)
	revisions := o.str("status", "updateRevision") == o.str("status", "currentRevision")
	switch {
	case have < want:
		return progressing("Unavailable", "%d of %d replicas ready", have, want)
	case !revisions && updated < target:
		return progressing("Updating", "%d of %d replicas updated", updated, target)
	}
	return ready("%d of %d replicas ready", have, want)
}

func daemonSet(o object) Status {
	if !o.has("status", "observedGeneration") {
		return progressing("NotObserved", "the controller has not seen it yet")
	}
	want := o.num(0, "status", "desiredNumberScheduled")
	updated, available := o.num(0, "status", "updatedNumberScheduled"), o.num(0, "status", "numberAvailable")
	if o.str("spec", "updateStrategy", "type") == "OnDelete" {
		s := ready("%d of %d pods available", available, want)
		if updated < want {
			s.Warnings = []string{"update strategy OnDelete: old pods stay until they are deleted"}
		}
		return s
	}
	switch {
	case updated < want:
		return progressing("Updating", "%d of %d pods updated", updated, want)
	case available < want:
		return progressing("Unavailable", "%d of %d pods available", available, want)
	}
	return ready("%d of %d pods available", available, want)
}

func replicaSet(o object) Status {
	if c, ok := o.condition("ReplicaFailure"); ok && c.str("status") == "True" {
		return failed(c.str("reason"), "%s", c.str("message"))
	}
	want, have := o.num(1, "spec", "replicas"), o.num(0, "status", "availableReplicas")
	if have < want {
		return progressing("Unavailable", "%d of %d replicas available", have, want)
	}
	return ready("%d of %d replicas available", have, want)
}

func job(o object) Status {
	if c, ok := o.condition("Failed"); ok && c.str("status") == "True" {
		return failed(c.str("reason"), "%s", c.str("message"))
	}
	if o.is("FailureTarget", "True") {
		c, _ := o.condition("FailureTarget")
		return failed(c.str("reason"), "%s", c.str("message"))
	}
	if o.is("Complete", "True") || o.is("SuccessCriteriaMet", "True") {
		return ready("%d completed", o.num(0, "status", "succeeded"))
	}
	if o.flag("spec", "suspend") {
		s := ready("suspended")
		s.Warnings = []string{"the job is suspended: it runs when somebody resumes it"}
		return s
	}
	if n := o.num(0, "status", "failed"); n > 0 {
		return progressing("Retrying", "%d pods failed, %d active", n, o.num(0, "status", "active"))
	}
	return progressing("Running", "%d active, %d of %d completed",
		o.num(0, "status", "active"), o.num(0, "status", "succeeded"), o.num(1, "spec", "completions"))
}

func cronJob(o object) Status {
	s := ready("schedule %s", o.str("spec", "schedule"))
	if o.flag("spec", "suspend") {
		s.Warnings = []string{"the cron job is suspended"}
	}
	return s
}

func service(o object) Status {
	if o.str("spec", "type") != "LoadBalancer" {
		return ready("type %s", orElse(o.str("spec", "type"), "ClusterIP"))
	}
	if len(o.list("status", "loadBalancer", "ingress")) == 0 {
		return progressing("NoAddress", "the load balancer has no address yet")
	}
	return ready("the load balancer has an address")
}

func ingress(o object) Status {
	s := ready("stored")
	if len(o.list("status", "loadBalancer", "ingress")) == 0 {
		s.Warnings = []string{"no controller has given the ingress an address"}
	}
	return s
}

func claim(o object) Status {
	switch phase := o.str("status", "phase"); phase {
	case "Bound":
		if o.is("Resizing", "True") {
			return progressing("Resizing", "the volume is being resized")
		}
		return ready("bound to %s", o.str("spec", "volumeName"))
	case "Lost":
		return failed("Lost", "the bound volume does not exist any more")
	}
	// A claim whose class waits for its first pod never binds before one is there: to
	// wait for it ahead of its workload would wait for ever.
	if o.str("metadata", "annotations", "volume.kubernetes.io/selected-node") == "" {
		return Status{State: Ready, Message: "waits for its first pod", Reason: "Pending"}
	}
	return progressing("Pending", "the volume is being made")
}

func volume(o object) Status {
	switch phase := o.str("status", "phase"); phase {
	case "Available", "Bound":
		return ready("%s", strings.ToLower(phase))
	case "Failed":
		return failed(orElse(o.str("status", "reason"), "Failed"), "%s", o.str("status", "message"))
	case "Released":
		s := ready("released")
		s.Warnings = []string{"the volume is released, not reusable"}
		return s
	}
	return progressing("Pending", "not available yet")
}

func disruptionBudget(o object) Status {
	if !o.has("status", "observedGeneration") {
		return progressing("NotObserved", "the controller has not seen it yet")
	}
	return ready("%d of %d healthy", o.num(0, "status", "currentHealthy"), o.num(0, "status", "desiredHealthy"))
}

func autoscaler(o object) Status {
	if c, ok := o.condition("AbleToScale"); ok && c.str("status") == "False" {
		return failed(c.str("reason"), "%s", c.str("message"))
	}
	s := ready("%d to %d replicas", o.num(1, "spec", "minReplicas"), o.num(0, "spec", "maxReplicas"))
	if c, ok := o.condition("ScalingActive"); ok && c.str("status") == "False" {
		// A cluster without metrics must not keep a rollout from ending.
		s.Warnings = []string{fmt.Sprintf("not scaling: %s: %s", c.str("reason"), c.str("message"))}
	}
	return s
}

func namespace(o object) Status {
	if o.str("status", "phase") == "Terminating" {
		return Status{State: Terminating, Message: "being deleted"}
	}
	return ready("active")
}

func definition(o object) Status {
	if c, ok := o.condition("NamesAccepted"); ok && c.str("status") == "False" {
		return failed(c.str("reason"), "%s", c.str("message"))
	}
	if o.is("Established", "True") {
		return ready("established")
	}
	return progressing("NotEstablished", "the API server does not serve it yet")
}

func apiService(o object) Status {
	if o.is("Available", "True") {
		return ready("available")
	}
	c, _ := o.condition("Available")
	return progressing(orElse(c.str("reason"), "NotAvailable"), "%s", orElse(c.str("message"), "not available yet"))
}

func node(o object) Status {
	if o.is("Ready", "True") {
		s := ready("ready")
		if o.flag("spec", "unschedulable") {
			s.Warnings = []string{"the node is cordoned"}
		}
		return s
	}
	c, _ := o.condition("Ready")
	return progressing(orElse(c.str("reason"), "NotReady"), "%s", orElse(c.str("message"), "not ready"))
}

func argoRollout(o object) Status {
	switch phase := o.str("status", "phase"); phase {
	case "Healthy":
		return ready("healthy")
	case "Degraded":
		return failed("Degraded", "%s", o.str("status", "message"))
	case "Paused":
		s := ready("paused")
		s.Warnings = []string{"the rollout waits for somebody to promote it"}
		return s
	default:
		return progressing(orElse(phase, "NotObserved"), "%s", o.str("status", "message"))
	}
}

func httpRoute(o object) Status {
	parents := o.list("status", "parents")
	for _, p := range parents {
		for _, c := range p.list("conditions") {
			if t := c.str("type"); (t == "Accepted" || t == "ResolvedRefs") && c.str("status") == "False" {
				return failed(c.str("reason"), "%s", c.str("message"))
			}
		}
	}
	if len(parents) == 0 {
		return progressing("NotAccepted", "no gateway has accepted the route yet")
	}
	return ready("accepted")
}

func programmed(o object) Status {
	if c, ok := o.condition("Accepted"); ok && c.str("status") == "False" {
		return failed(c.str("reason"), "%s", c.str("message"))
	}
	if o.is("Programmed", "True") {
		return ready("programmed")
	}
	return progressing("NotProgrammed", "not programmed yet")
}

func volumeSnapshot(o object) Status {
	if msg := o.str("status", "error", "message"); msg != "" {
		return failed("Error", "%s", msg)
	}
	if o.flag("status", "readyToUse") {
		return ready("ready to use")
	}
	return progressing("NotReady", "not ready to use yet")
}

// generic judges kinds nobody told us of by the conventions that controllers follow.
func generic(o object) Status {
	if !o.has("status") {
		return Status{State: Present, Message: "its kind is not known and it has no status"}
	}
	if o.stale() {
		return progressing("GenerationNotObserved", "the controller has not seen the change yet")
	}
	for _, kind := range []string{"Stalled", "Failed"} {
		if c, ok := o.condition(kind); ok && c.str("status") == "True" {
			return failed(orElse(c.str("reason"), kind), "%s", c.str("message"))
		}
	}
	if c, ok := o.condition("Reconciling"); ok && c.str("status") == "True" {
		return progressing(c.str("reason"), "%s", c.str("message"))
	}
	for _, kind := range []string{"Ready", "Available", "Succeeded", "Complete", "Healthy", "Synced"} {
		c, ok := o.condition(kind)
		if !ok {
			continue
		}
		if c.str("status") == "True" {
			return ready("%s", strings.ToLower(kind))
		}
		return progressing(c.str("reason"), "%s", orElse(c.str("message"), "condition "+kind+" is "+c.str("status")))
	}
	switch phase := strings.ToLower(orElse(o.str("status", "phase"), o.str("status", "state"))); phase {
	case "":
		return Status{State: Present, Message: "its status does not say whether it is ready"}
	case "ready", "running", "active", "healthy", "succeeded", "completed", "complete", "bound", "available", "online", "established":
		return ready("%s", phase)
	case "failed", "error", "degraded", "lost", "invalid", "rejected":
		return failed(phase, "%s", orElse(o.str("status", "message"), o.str("status", "reason")))
	default:
		return progressing(phase, "%s", o.str("status", "message"))
	}
}

func orElse(s, fallback string) string {
	if s != "" {
		return s
	}
	return fallback
}
