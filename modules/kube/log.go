package kube

import (
	"context"
	"fmt"
	"io"
	"sort"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

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
			for _, c := range pod.Spec.Containers {
				containers = append(containers, c.Name)
			}
		}
		for _, c := range containers {
			if err := k.read(ctx, v, &pod, c, &b); err != nil {
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

func (k *K8sLog) read(ctx context.Context, v *View, pod *corev1.Pod, container string, w io.Writer) error {
	opts := &corev1.PodLogOptions{Container: container, Previous: k.Previous}
	if k.SinceSeconds != nil {
		n := int64(*k.SinceSeconds)
		opts.SinceSeconds = &n
	}
	if k.TailLines != nil {
		n := int64(*k.TailLines)
		opts.TailLines = &n
	}
	stream, err := v.cluster.Typed.CoreV1().Pods(pod.Namespace).GetLogs(pod.Name, opts).Stream(ctx)
	if err != nil {
		return modules.Failf("read log of pod %s/%s: %v", pod.Namespace, pod.Name, explainAPI(err))
	}
	defer stream.Close()
	if _, err := io.Copy(w, io.LimitReader(stream, 64<<20)); err != nil {
		return modules.Failf("read log of pod %s/%s: %v", pod.Namespace, pod.Name, err)
	}
	return nil
}

// pods finds the pods: the one named, those a workload selects, or those with labels.
func (k *K8sLog) pods(ctx context.Context, v *View) ([]corev1.Pod, error) {
	namespace := orElse(k.Namespace, v.cluster.namespace())
	client := v.cluster.Typed.CoreV1().Pods(namespace)
	selector := strings.Join(k.LabelSelectors, ",")
	if k.Name != "" && k.Kind == "Pod" {
		pod, err := client.Get(ctx, k.Name, metav1.GetOptions{})
		if err != nil {
			return nil, modules.Failf("%v", explainAPI(err))
		}
		return []corev1.Pod{*pod}, nil
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
	sort.Slice(list.Items, func(i, j int) bool { return list.Items[i].Name < list.Items[j].Name })
	if k.Name != "" && len(list.Items) > 1 {
		list.Items = list.Items[:1] // kubernetes.core: one pod speaks for its workload
	}
	return list.Items, nil
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
