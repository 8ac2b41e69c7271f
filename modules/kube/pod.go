package kube

import (
	"fmt"
	"strings"
	"time"

	"orch/playbook/source"
)

// Urgency says how soon a pod's trouble counts as the failure of what owns it.
type Urgency int

// The urgencies.
const (
	// None: nothing is wrong, or only for a moment.
	None Urgency = iota
	// Hold: it may go away by itself (no room, a volume, a probe): it counts after its grace.
	Hold
	// Restarts: it counts once the container has been restarted more often than allowed.
	Restarts
	// Doomed: it counts now.
	Doomed
)

// HoldFor is the grace of trouble that may go away by itself.
const HoldFor = 30 * time.Second

// A Trouble is what keeps a pod from serving.
type Trouble struct {
	Urgency   Urgency
	Container string // "" for the pod as a whole
	Init      bool
	Image     string
	Reason    string // "ImagePullBackOff"
	Message   string
	ExitCode  int64 // of the last run, -1 if there was none
	Restarts  int64
	Grace     time.Duration // of Hold
}

// pullGone matches messages of a registry that no further try will change.
var pullGone = source.Lazy(`(?i)not found|manifest unknown|no such host|repository does not exist|invalid reference|unauthorized|denied|name unknown`)

// doomedWaiting are reasons to wait for that a container does not get out of.
var doomedWaiting = map[string]bool{
	"ErrImageNeverPull": true, "InvalidImageName": true, "ImageInspectError": true,
	"CreateContainerConfigError": true, "CreateContainerError": true, "RunContainerError": true,
	"PreCreateHookError": true, "PreStartHookError": true, "PostStartHookError": true,
}

// transient are messages of the moment: the kubelet tries again and gets through.
var transient = source.Lazy(`(?i)failed to sync (?:configmap|secret) cache|context deadline exceeded|connection refused|i/o timeout|TLS handshake timeout|too many requests|toomanyrequests`)

// crashed reports whether a container has been restarted more often than allowed: once
// may be bad luck, but the back-off that follows a second crash is none (kubedog's rule).
func (t Trouble) crashed(allowed int64) bool {
	return t.Restarts > allowed || t.Reason == "CrashLoopBackOff" && t.Restarts >= allowed
}

// killedForMemory reports a container that was ended for going over its limit.
func (t Trouble) killedForMemory() bool { return strings.Contains(t.Message, outOfMemory) }

// outOfMemory begins what is said of such a container.
const outOfMemory = "(out of memory"

// pullRefused matches messages of a registry that does not know who asks.
var pullRefused = source.Lazy(`(?i)unauthorized|denied|forbidden|authentication required|no basic auth`)

func podStatus(o object) Status {
	switch phase := o.str("status", "phase"); phase {
	case "Succeeded":
		return ready("completed")
	case "Failed":
		t := podTrouble(o)
		return failed(orElse(t.Reason, orElse(o.str("status", "reason"), "Failed")), "%s",
			orElse(t.Message, orElse(o.str("status", "message"), "the pod failed")))
	}
	if o.is("Ready", "True") {
		return ready("ready")
	}
	t := podTrouble(o)
	switch t.Urgency {
	case Doomed:
		return failed(t.Reason, "%s", t.Message)
	case Restarts:
		if t.crashed(1) {
			return failed(t.Reason, "%s", t.Message)
		}
		return progressing(t.Reason, "%s", t.Message)
	case Hold:
		return progressing(t.Reason, "%s", t.Message)
	}
	if c, ok := o.condition("PodScheduled"); ok && c.str("status") == "False" { // SchedulingGated
		return progressing(c.str("reason"), "%s", c.str("message"))
	}
	return progressing(orElse(o.str("status", "phase"), "Pending"), "not ready yet")
}

// podTrouble finds the worst trouble of a pod.
func podTrouble(o object) Trouble {
	worst := Trouble{ExitCode: -1}
	consider := func(t Trouble) {
		if t.Urgency > worst.Urgency {
			worst = t
		}
	}
	if c, ok := o.condition("PodScheduled"); ok && c.str("status") == "False" && c.str("reason") == "Unschedulable" {
		consider(Trouble{Urgency: Hold, Reason: "Unschedulable", Message: c.str("message"), ExitCode: -1, Grace: HoldFor})
	}
	failed := o.str("status", "phase") == "Failed"
	reason := o.str("status", "reason")
	if failed && passing(reason) {
		return worst
	}
	if failed && reason != "" { // DeadlineExceeded, UnexpectedAdmissionError
		consider(Trouble{Urgency: Doomed, Reason: reason, Message: o.str("status", "message"), ExitCode: -1})
	}
	never := o.str("spec", "restartPolicy") == "Never"
	for _, c := range o.list("status", "initContainerStatuses") {
		t := containerTrouble(o, c, never)
		t.Init = true
		consider(t)
	}
	for _, c := range o.list("status", "containerStatuses") {
		consider(containerTrouble(o, c, never))
	}
	if failed { // no container says why
		consider(Trouble{Urgency: Doomed, Reason: "Failed", Message: o.str("status", "message"), ExitCode: -1})
	}
	return worst
}

// passing reports reasons of a failed pod that mean "try elsewhere", not "broken".
func passing(reason string) bool {
	switch reason {
	case "Evicted", "Preempting", "NodeShutdown", "Terminated", "NodeAffinity", "NodeLost":
		return true
	}
	return false
}

func containerTrouble(pod, c object, never bool) Trouble {
	t := Trouble{
		Container: c.str("name"), Image: c.str("image"), Restarts: c.num(0, "restartCount"), ExitCode: -1,
	}
	last := object{}
	for _, at := range []string{"state", "lastState"} {
		if c.has(at, "terminated") {
			m, _ := c.u[at].(map[string]any)
			term, _ := m["terminated"].(map[string]any)
			last = object{term}
			break
		}
	}
	if last.u != nil {
		t.ExitCode = last.num(-1, "exitCode")
	}
	reason := c.str("state", "waiting", "reason")
	message := c.str("state", "waiting", "message")
	switch {
	case reason == "ErrImagePull" || reason == "ImagePullBackOff":
		t.Reason, t.Message = "ImagePullBackOff", pullMessage(c.str("image"), message)
		// The first failed pull may be bad luck; one that says the image is not there is not.
		if pullGone().MatchString(message) && !transient().MatchString(message) {
			t.Urgency = Doomed
		} else {
			t.Urgency, t.Grace = Hold, HoldFor
		}
	case doomedWaiting[reason] && !transient().MatchString(message):
		t.Urgency, t.Reason, t.Message = Doomed, reason, message
	case reason == "CrashLoopBackOff":
		t.Urgency, t.Reason, t.Message = Restarts, reason, exitMessage(last, t.ExitCode)
	case c.has("state", "terminated") && t.ExitCode != 0:
		t.Reason, t.Message = orElse(last.str("reason"), "Error"), exitMessage(last, t.ExitCode)
		t.Urgency = Restarts
		if never {
			t.Urgency = Doomed
		}
		// krane: the runtime's own exit 128 is a hiccup of the node.
		if last.str("reason") == "ContainerCannotRun" && t.ExitCode == 128 {
			t.Urgency = None
		}
	case t.Restarts > 0 && last.u != nil && t.ExitCode != 0 && !c.flag("ready"):
		t.Urgency, t.Reason, t.Message = Restarts, orElse(last.str("reason"), "Error"), exitMessage(last, t.ExitCode)
	case c.has("state", "running") && !c.flag("ready") && !podIsDeleted(pod):
		if grace, probe := probeGrace(pod, c.str("name")); probe != "" {
			t.Urgency, t.Reason, t.Grace = Hold, "NotReady", grace
			t.Message = "runs, but its readiness probe (" + probe + ") does not succeed"
		}
	}
	if limit := memoryLimit(pod, t.Container); limit != "" && t.killedForMemory() {
		t.Message = strings.Replace(t.Message, outOfMemory, outOfMemory+", its limit is "+limit, 1)
	}
	return t
}

func memoryLimit(pod object, container string) string {
	for _, list := range containerLists {
		for _, c := range pod.list("spec", list) {
			if c.str("name") == container {
				return c.str("resources", "limits", "memory")
			}
		}
	}
	return ""
}

func podIsDeleted(pod object) bool { return pod.has("metadata", "deletionTimestamp") }

// pullMessage shortens what a container runtime says of a failed pull to its cause.
func pullMessage(image, message string) string {
	if i := strings.LastIndex(message, ": "); i >= 0 && pullGone().MatchString(message[i:]) {
		message = message[i+2:]
	}
	if message == "" {
		message = "cannot be pulled"
	}
	return image + ": " + message
}

func exitMessage(last object, code int64) string {
	if last.u == nil {
		return "restarts again and again"
	}
	msg := fmt.Sprintf("exited with code %d", code)
	if sig := last.num(0, "signal"); sig != 0 {
		msg = fmt.Sprintf("was killed by signal %d", sig)
	}
	switch reason := last.str("reason"); reason {
	case "OOMKilled":
		msg += " " + outOfMemory + ")"
	case "", "Error", "Completed":
	default:
		msg += " (" + reason + ")"
	}
	if text := strings.TrimSpace(last.str("message")); text != "" {
		msg += ": " + text
	}
	return msg
}

// probeGrace is how long a container's readiness probe may fail before it counts: its
// own budget, and HoldFor on top.
func probeGrace(pod object, container string) (time.Duration, string) {
	for _, c := range pod.list("spec", "containers") {
		if c.str("name") != container || !c.has("readinessProbe") {
			continue
		}
		seconds := c.num(0, "readinessProbe", "initialDelaySeconds") +
			c.num(10, "readinessProbe", "periodSeconds")*c.num(3, "readinessProbe", "failureThreshold")
		return time.Duration(seconds)*time.Second + HoldFor, describeProbe(c)
	}
	return HoldFor, ""
}

func describeProbe(c object) string {
	switch {
	case c.has("readinessProbe", "httpGet"):
		v, _ := c.u["readinessProbe"].(map[string]any)["httpGet"].(map[string]any)
		return fmt.Sprintf("GET %v on port %v", orElse(object{v}.str("path"), "/"), v["port"])
	case c.has("readinessProbe", "tcpSocket"):
		v, _ := c.u["readinessProbe"].(map[string]any)["tcpSocket"].(map[string]any)
		return fmt.Sprintf("tcp port %v", v["port"])
	case c.has("readinessProbe", "exec"):
		return "exec"
	}
	return "grpc"
}
