package kube

import (
	"context"
	"fmt"
	"io"
	"sort"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"orch/modules"
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
}

// Validate implements modules.Validator.
func (k *K8sLog) Validate() error {
	switch {
	case k.Name == "" && len(k.LabelSelectors) == 0:
		return fmt.Errorf("one of name and label_selectors is required")
	case k.Container != "" && k.AllContainers:
		return fmt.Errorf("parameters are mutually exclusive: container|all_containers")
	}
	return k.validateAuth()
}

// K8sLogOut is what the task registers.
type K8sLogOut struct {
	Log      string   `json:"log"`
	LogLines []string `json:"log_lines"`
}

// Plan implements Module.
func (k *K8sLog) Plan(ctx context.Context, v *View) (modules.Plan[*Target], error) {
	out := &K8sLogOut{LogLines: []string{}}
	plan := modules.Plan[*Target]{Out: out}
	pods, err := k.pods(ctx, v)
	if err != nil {
		return plan, err
	}
	if len(pods) == 0 {
		return plan, modules.Failf("there is no pod to read the log of")
	}
	var b strings.Builder
	for _, pod := range pods {
		containers := []string{k.Container}
		if k.AllContainers {
			containers = nil
			for _, c := range (object{pod.Object}).list("spec", "containers") {
				containers = append(containers, c.str("name"))
			}
		}
		for _, c := range containers {
			if err := k.read(ctx, v, pod, c, &b); err != nil {
				return plan, err
			}
		}
	}
	out.Log = b.String()
	if s := strings.TrimRight(out.Log, "\n"); s != "" {
		out.LogLines = strings.Split(s, "\n")
	}
	return plan, nil
}

func (k *K8sLog) read(ctx context.Context, v *View, pod *unstructured.Unstructured, container string, w io.Writer) error {
	stream, err := v.cluster.log(ctx, pod, logOptions{
		container: container, previous: k.Previous, since: int64Of(k.SinceSeconds), tail: int64Of(k.TailLines),
	})
	if err != nil {
		return modules.Failf("read log of pod %s/%s: %v", pod.GetNamespace(), pod.GetName(), explainAPI(err))
	}
	defer stream.Close()
	if _, err := io.Copy(w, io.LimitReader(stream, 64<<20)); err != nil {
		return modules.Failf("read log of pod %s/%s: %v", pod.GetNamespace(), pod.GetName(), err)
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
	if o.tail != nil {
		req.Param("tailLines", strconv.FormatInt(*o.tail, 10))
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
