package kube

import (
	"context"
	"fmt"
	"io"
	"sort"
	"strconv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"orch/modules"
	"orch/playbook/pyre"
)

// K8sLog reads the log of a pod, or of the pods of a workload.
type K8sLog struct {
	Auth
	// API version of the object.
	APIVersion string `orch:"default=v1,alias=api|version"`
	// Kind of the object: Pod, or what has pods.
	Kind string `orch:"default=Pod"`
	// Name of the object.
	Name string
	// Namespace of the object.
	Namespace string
	// Labels the pods must have, instead of a name.
	LabelSelectors []string
	// The container; needed where a pod has several.
	Container string
	// Read all containers of the pod.
	AllContainers bool
	// Only what was printed in the last seconds.
	SinceSeconds *int
	// The container's previous run.
	Previous bool
	// Only the last lines.
	TailLines *int
	// Only what was printed since a time: 2026-05-01T12:00:00Z.
	SinceTime string
	// Only lines in which this regular expression (Python's) is found.
	Grep string
	// Follow the log until this regular expression (Python's) is found in a line; the task
	// fails when the containers end before, or when time is up. A check reads what is there.
	FollowUntil string
	// Seconds to follow at most.
	FollowTimeout int `orch:"default=120"`
}

// Validate implements modules.Validator.
func (k *K8sLog) Validate() error {
	switch {
	case k.Name == "" && len(k.LabelSelectors) == 0:
		return fmt.Errorf("one of name and label_selectors is required")
	case k.Container != "" && k.AllContainers:
		return fmt.Errorf("parameters are mutually exclusive: container|all_containers")
	case k.SinceSeconds != nil && k.SinceTime != "":
		return fmt.Errorf("parameters are mutually exclusive: since_seconds|since_time")
	case k.Previous && k.FollowUntil != "":
		return fmt.Errorf("parameters are mutually exclusive: previous|follow_until")
	}
	if _, err := time.Parse(time.RFC3339, k.SinceTime); err != nil && k.SinceTime != "" {
		return fmt.Errorf("since_time: %q is no time, such as 2026-05-01T12:00:00Z", k.SinceTime)
	}
	if _, err := pattern(k.Grep); err != nil {
		return fmt.Errorf("grep: %w", err)
	}
	if _, err := pattern(k.FollowUntil); err != nil {
		return fmt.Errorf("follow_until: %w", err)
	}
	return nil
}

// pattern compiles an expression; nil for none.
func pattern(text string) (*pyre.Regexp, error) {
	if text == "" {
		return nil, nil
	}
	return pyre.Compile(text, 0)
}

// K8sLogOut is what the task registers.
type K8sLogOut struct {
	Log      string   `json:"log"`
	LogLines []string `json:"log_lines"`
	// PerPod is the same by pod and container.
	PerPod []PodLog `json:"per_pod"`
}

// PodLog is the log of a container.
type PodLog struct {
	Pod       string   `json:"pod"`
	Container string   `json:"container,omitempty"`
	LogLines  []string `json:"log_lines"`

	pod *unstructured.Unstructured
}

// Plan implements Module. Reading changes nothing, so it is part of looking.
func (k *K8sLog) Plan(ctx context.Context, v *View) (modules.Plan[*Target], error) {
	out := &K8sLogOut{LogLines: []string{}, PerPod: []PodLog{}}
	plan := modules.Plan[*Target]{Out: out}
	pods, err := k.pods(ctx, v)
	if err != nil {
		return plan, err
	}
	if len(pods) == 0 {
		return plan, modules.Failf("there is no pod to read the log of")
	}
	for _, pod := range pods {
		containers := []string{k.Container}
		if k.AllContainers {
			containers = nil
			for _, c := range (object{pod.Object}).list("spec", "containers") {
				containers = append(containers, c.str("name"))
			}
		}
		for _, c := range containers {
			out.PerPod = append(out.PerPod, PodLog{Pod: pod.GetName(), Container: c, LogLines: []string{}, pod: pod})
		}
	}
	read := k.readAll
	if k.FollowUntil != "" && !v.check {
		read = k.followAll
	}
	err = read(ctx, v, out.PerPod)
	for i := range out.PerPod {
		l := &out.PerPod[i]
		if gerr := k.grep(l); err == nil {
			err = gerr
		}
		out.LogLines = append(out.LogLines, l.LogLines...)
	}
	if len(out.LogLines) > 0 {
		out.Log = strings.Join(out.LogLines, "\n") + "\n"
	}
	return plan, err
}

// grep keeps the lines that are asked for.
func (k *K8sLog) grep(l *PodLog) error {
	re, err := pattern(k.Grep)
	if re == nil || err != nil {
		return err
	}
	kept := []string{}
	for _, line := range l.LogLines {
		m, err := re.Search(line)
		if err != nil {
			return modules.Failf("grep: %v", err)
		}
		if m != nil {
			kept = append(kept, line)
		}
	}
	l.LogLines = kept
	return nil
}

func (k *K8sLog) readAll(ctx context.Context, v *View, logs []PodLog) error {
	for i := range logs {
		if err := k.read(ctx, v, &logs[i]); err != nil {
			return err
		}
	}
	return nil
}

// maxLog bounds what is kept of a container's log.
const maxLog = 64 << 20

func (k *K8sLog) options(l *PodLog) logOptions {
	return logOptions{
		container: l.Container, previous: k.Previous, since: int64Of(k.SinceSeconds), sinceTime: k.SinceTime, tail: int64Of(k.TailLines),
	}
}

func (k *K8sLog) read(ctx context.Context, v *View, l *PodLog) error {
	failed := func(err error) error {
		return modules.Failf("read log of pod %s/%s: %v", l.pod.GetNamespace(), l.Pod, explainAPI(err))
	}
	stream, err := v.cluster.log(ctx, l.pod, k.options(l))
	if err != nil {
		return failed(err)
	}
	defer stream.Close()
	text, err := io.ReadAll(io.LimitReader(stream, maxLog))
	if err != nil {
		return failed(err)
	}
	if s := strings.TrimRight(string(text), "\n"); s != "" {
		l.LogLines = strings.Split(s, "\n")
	}
	return nil
}

func int64Of(n *int) *int64 {
	if n == nil {
		return nil
	}
	wide := int64(*n)
	return &wide
}

// logOptions say what of a container's log is read; nil is all.
type logOptions struct {
	container   string
	previous    bool
	since, tail *int64
	sinceTime   string
	// follow goes on until the container ends; every line then begins with its time.
	follow bool
}

// log opens the log of a pod's container.
func (c *Cluster) log(ctx context.Context, pod *unstructured.Unstructured, o logOptions) (io.ReadCloser, error) {
	req := c.raw.Get().AbsPath("/api/v1/namespaces", pod.GetNamespace(), "pods", pod.GetName(), "log")
	if o.container != "" {
		req.Param("container", o.container)
	}
	if o.previous {
		req.Param("previous", "true")
	}
	if o.since != nil {
		req.Param("sinceSeconds", strconv.FormatInt(*o.since, 10))
	}
	if o.sinceTime != "" {
		req.Param("sinceTime", o.sinceTime)
	}
	if o.tail != nil {
		req.Param("tailLines", strconv.FormatInt(*o.tail, 10))
	}
	if o.follow {
		req.Param("follow", "true").Param("timestamps", "true")
	}
	return req.Stream(ctx)
}

// pods finds the pods: the one named, those a workload selects, or those with labels.
func (k *K8sLog) pods(ctx context.Context, v *View) ([]*unstructured.Unstructured, error) {
	m, err := v.cluster.Mapping(podKind)
	if err != nil {
		return nil, modules.Failf("%v", explainAPI(err))
	}
	client := v.cluster.Resource(m, orElse(k.Namespace, v.cluster.namespace()))
	selector := strings.Join(k.LabelSelectors, ",")
	if k.Name != "" && k.Kind == "Pod" {
		pod, err := client.Get(ctx, k.Name, metav1.GetOptions{})
		if err != nil {
			return nil, modules.Failf("%v", explainAPI(err))
		}
		return []*unstructured.Unstructured{pod}, nil
	}
	if k.Name != "" {
		it, err := v.one(ctx, Named{APIVersion: k.APIVersion, Kind: k.Kind, Name: k.Name, Namespace: k.Namespace})
		if err != nil {
			return nil, err
		}
		if selector, err = selectorOf(it); err != nil {
			return nil, err
		}
	}
	list, err := client.List(ctx, metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		return nil, modules.Failf("%v", explainAPI(err))
	}
	var pods []*unstructured.Unstructured
	for i := range list.Items {
		pods = append(pods, &list.Items[i])
	}
	sort.Slice(pods, func(i, j int) bool { return pods[i].GetName() < pods[j].GetName() })
	if k.Name != "" && len(pods) > 1 {
		pods = pods[:1] // kubernetes.core: one pod speaks for its workload
	}
	return pods, nil
}

func selectorOf(it *item) (string, error) {
	o := object{it.live.Object}
	labels := o.str("status", "selector") // the scale subresource's form, on some kinds
	if labels != "" {
		return labels, nil
	}
	var terms []string
	for _, path := range [][]string{{"spec", "selector", "matchLabels"}, {"spec", "selector"}} {
		m, ok := nested(it.live.Object, path...)
		if !ok {
			continue
		}
		for name, v := range m {
			if s, ok := v.(string); ok {
				terms = append(terms, name+"="+s)
			}
		}
		if len(terms) > 0 {
			sort.Strings(terms)
			return strings.Join(terms, ","), nil
		}
	}
	return "", modules.Failf("%s selects no pods", it.id)
}

func nested(m map[string]any, path ...string) (map[string]any, bool) {
	for _, p := range path {
		next, ok := m[p].(map[string]any)
		if !ok {
			return nil, false
		}
		m = next
	}
	return m, true
}
