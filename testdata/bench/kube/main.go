// Command kube measures orch on the lab's cluster beside kubernetes.core and kubectl:
// how long a task takes that has nothing to change, how soon a rollout is noticed to be
// ready or to have failed, and what each tool asks of the API server. kube.sh beside
// bench.sh starts it.
//
// All tools go through one counting proxy, take turns, and the median counts.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"orch/testdata/lab/counting"
)

// A bench is the proxy before the cluster, and the tools.
type bench struct {
	ctx    context.Context
	tmp    string
	proxy  *counting.Proxy
	url    string
	rounds int
	space  string
	made   []string // namespaces
	out    *tabwriter.Writer
}

// A tool brings a file of objects to a cluster.
type tool struct {
	name string
	argv func(work string) []string
}

// A sample is one run of a tool.
type sample struct {
	wall, cpu time.Duration
	counts    counting.Counts
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run() error {
	folder := os.Getenv("ORCH_CLUSTER")
	if folder == "" {
		return errors.New("ORCH_CLUSTER is empty: make bench sets it")
	}
	proxy, err := counting.Cluster(folder)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: proxy}
	go func() { _ = server.Serve(listener) }()
	defer server.Close()
	b := &bench{ctx: context.Background(), proxy: proxy, url: "http://" + listener.Addr().String(), rounds: 3}
	if n, err := strconv.Atoi(os.Getenv("BENCH_ROUNDS")); err == nil && n > 0 {
		b.rounds = n
	}
	if b.tmp, err = os.MkdirTemp("", "orch-bench-kube-"); err != nil {
		return err
	}
	defer os.RemoveAll(b.tmp)
	config := fmt.Sprintf("{apiVersion: v1, kind: Config, current-context: b, clusters: [{name: c, cluster: {server: %q}}], users: [{name: u, user: {}}], contexts: [{name: b, context: {cluster: c, user: u}}]}\n", b.url)
	if err := b.write("config", config); err != nil {
		return err
	}
	for _, name := range []string{"K8S_AUTH_KUBECONFIG", "KUBECONFIG"} {
		os.Setenv(name, filepath.Join(b.tmp, "config"))
	}
	b.space = fmt.Sprintf("orch-bench-%d", os.Getpid())
	defer b.sweep()
	b.out = tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', 0)
	for _, part := range []func() error{b.nothingToChange, b.singleTasks, b.firstApply, b.rollouts, b.weight} {
		if err := part(); err != nil {
			return err
		}
		b.out.Flush()
	}
	return nil
}

// namespace is one of this run, removed at its end: every round that makes something has
// its own, so that nothing waits for an older one to go.
func (b *bench) namespace(name string) string {
	name = b.space + "-" + name
	if !slices.Contains(b.made, name) {
		b.made = append(b.made, name)
	}
	return name
}

// sweep removes what the run has made.
func (b *bench) sweep() {
	args := append([]string{"delete", "namespace", "--ignore-not-found", "--wait=false"}, b.made...)
	_ = exec.Command(os.Getenv("BENCH_KUBECTL"), args...).Run()
}

func (b *bench) write(name, text string) error {
	return os.WriteFile(filepath.Join(b.tmp, name), []byte(text), 0o644)
}

// tools are the three, each with the same objects in a namespace of its own.
func (b *bench) tools() []tool {
	play := func(program string) func(string) []string {
		return func(work string) []string {
			return append(strings.Fields(program), filepath.Join(b.tmp, work+".yml"))
		}
	}
	list := []tool{{"orch", play(os.Getenv("BENCH_ORCH") + " run -i localhost,")}}
	if core := os.Getenv("BENCH_ANSIBLE"); core != "" {
		list = append(list, tool{"core", play(core + " -i localhost,")})
	}
	return append(list, tool{"kubectl", func(work string) []string {
		return []string{os.Getenv("BENCH_KUBECTL"), "apply", "-f", filepath.Join(b.tmp, work+".objects")}
	}})
}

// configMaps are n objects in a namespace.
func configMaps(namespace string, n int) string {
	var s strings.Builder
	fmt.Fprintf(&s, "{apiVersion: v1, kind: Namespace, metadata: {name: %s}}\n", namespace)
	for i := range n {
		fmt.Fprintf(&s, "---\n{apiVersion: v1, kind: ConfigMap, metadata: {name: c%d, namespace: %s}, data: {key: \"value %d\", more: text}}\n", i, namespace, i)
	}
	return s.String()
}

const head = "- hosts: all\n  connection: local\n  gather_facts: false\n  tasks:\n"

// prepare writes the objects and the playbook that manages them in one task.
func (b *bench) prepare(work, objects, options string) error {
	if err := b.write(work+".objects", objects); err != nil {
		return err
	}
	return b.write(work+".yml", head+"    - kubernetes.core.k8s: {src: "+filepath.Join(b.tmp, work+".objects")+options+"}\n")
}

// once runs a tool and counts.
func (b *bench) once(argv []string) (sample, string, error) {
	b.proxy.Take()
	cmd := exec.CommandContext(b.ctx, argv[0], argv[1:]...)
	cmd.Dir = b.tmp
	start := time.Now()
	text, err := cmd.CombinedOutput()
	s := sample{wall: time.Since(start), counts: b.proxy.Take()}
	if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		s.cpu = time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
	}
	return s, string(text), err
}

// turns runs orch as often as asked and the others once, after a run that is not counted.
func (b *bench) turns(work string, tools []tool) (map[string][]sample, error) {
	samples := map[string][]sample{}
	for round := range b.rounds + 1 {
		for _, t := range tools {
			if round > 1 && t.name != "orch" {
				continue // seconds and minutes: one that counts is enough
			}
			s, text, err := b.once(t.argv(work + "-" + t.name))
			if err != nil {
				return nil, fmt.Errorf("%s: %w\n%s", t.name, err, text)
			}
			if round > 0 {
				samples[t.name] = append(samples[t.name], s)
			}
		}
	}
	return samples, nil
}

func median(list []sample) sample {
	slices.SortFunc(list, func(a, b sample) int { return int(a.wall - b.wall) })
	m := list[len(list)/2]
	slices.SortFunc(list, func(a, b sample) int { return int(a.cpu - b.cpu) })
	m.cpu = list[len(list)/2].cpu
	return m
}

func (b *bench) table(title string, tools []tool, samples map[string][]sample, per int) {
	fmt.Fprintf(b.out, "\n%s\n\ttime\tprocessor\ttimes orch\trequests\n", title)
	base := median(samples["orch"])
	for _, t := range tools {
		m := median(samples[t.name])
		fmt.Fprintf(b.out, "%s\t%s\t%s\t%.1f\t%s\n", t.name, ms(m.wall/time.Duration(per)), ms(m.cpu/time.Duration(per)), float64(m.wall)/float64(base.wall), m.counts)
	}
}

func ms(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d)/1e6) }

// nothingToChange is 200 ConfigMaps in one task, all there already.
func (b *bench) nothingToChange() error {
	tools := b.tools()
	for _, t := range tools {
		if err := b.prepare("many-"+t.name, configMaps(b.namespace(t.name), 200), ""); err != nil {
			return err
		}
	}
	samples, err := b.turns("many", tools)
	if err != nil {
		return err
	}
	b.table("200 ConfigMaps in one task, nothing to change (goal: 600 ms, no write, 7 times core)", tools, samples, 1)
	return nil
}

// singleTasks is 30 tasks with one object each, all there already.
func (b *bench) singleTasks() error {
	tools := b.tools()[:max(1, len(b.tools())-1)] // kubectl has no tasks
	for _, t := range tools {
		var s strings.Builder
		s.WriteString(head)
		for i := range 30 {
			fmt.Fprintf(&s, "    - kubernetes.core.k8s: {definition: {apiVersion: v1, kind: ConfigMap, metadata: {name: c%d, namespace: %s}, data: {key: \"value %d\", more: text}}}\n", i, b.namespace(t.name), i)
		}
		if err := b.write("single-"+t.name+".yml", s.String()); err != nil {
			return err
		}
	}
	samples, err := b.turns("single", tools)
	if err != nil {
		return err
	}
	b.table("30 tasks of one object, nothing to change, a task (goal: 10 ms)", tools, samples, 30)
	return nil
}

// firstApply is 1,000 objects that are not there.
func (b *bench) firstApply() error {
	tools := slices.DeleteFunc(b.tools(), func(t tool) bool { return t.name == "core" }) // minutes
	samples := map[string][]sample{}
	for round := range b.rounds {
		for _, t := range tools {
			if round > 0 && t.name != "orch" {
				continue
			}
			work := "new-" + t.name
			if err := b.prepare(work, configMaps(b.namespace(fmt.Sprintf("new-%s-%d", t.name, round)), 1000), ""); err != nil {
				return err
			}
			s, text, err := b.once(t.argv(work))
			if err != nil {
				return fmt.Errorf("%s: %w\n%s", t.name, err, text)
			}
			samples[t.name] = append(samples[t.name], s)
		}
	}
	b.table("1,000 ConfigMaps, first apply (goal: 5,000 ms)", tools, samples, 1)
	return nil
}

// A rollout is what is waited for, and the state of the cluster that ends the wait.
type rollout struct {
	name, namespace string
	objects         string
	kind            string // plural, with its API: apis/apps/v1/deployments
	reached         func(o map[string]any) bool
	want            int // objects in the state
	fails           bool
}

// rollouts is how long after the cluster is in the state orch has ended.
func (b *bench) rollouts() error {
	image := os.Getenv("BENCH_IMAGE")
	fmt.Fprintf(b.out, "\nfrom the state of the cluster to orch's end (goals: 200 ms when ready, 1,000 ms when failed)\n\tmedian\tworst\n")
	late := map[string][]time.Duration{}
	for round := range b.rounds {
		for _, r := range cases(image, func(name string) string { return b.namespace(fmt.Sprintf("%s-%d", name, round)) }) {
			d, err := b.follow(r)
			if err != nil {
				return fmt.Errorf("%s: %w", r.name, err)
			}
			late[r.name] = append(late[r.name], d)
		}
	}
	for _, r := range cases(image, b.namespace) {
		list := late[r.name]
		slices.Sort(list)
		fmt.Fprintf(b.out, "%s\t%s\t%s\n", r.name, ms(list[len(list)/2]), ms(list[len(list)-1]))
	}
	return nil
}

func workload(kind, namespace, name, image, more string) string {
	head := "apiVersion: apps/v1, kind: Deployment"
	spec := "replicas: 1, selector: {matchLabels: {app: " + name + "}}, template: {metadata: {labels: {app: " + name + "}}, spec: {"
	if kind == "Job" {
		head, spec = "apiVersion: batch/v1, kind: Job", "backoffLimit: 0, template: {spec: {restartPolicy: Never, "
	}
	return "---\n{" + head + ", metadata: {name: " + name + ", namespace: " + namespace + "}, spec: {" + spec +
		"terminationGracePeriodSeconds: 0, containers: [{name: a, image: \"" + image + "\"" + more + "}]}}}}\n"
}

func cases(image string, ns func(name string) string) []rollout {
	namespace := func(s string) string { return "{apiVersion: v1, kind: Namespace, metadata: {name: " + s + "}}\n" }
	probe := `, readinessProbe: {exec: {command: [/app, "0", ok]}, periodSeconds: 1}`
	three := namespace(ns("ready"))
	for _, name := range []string{"a", "b", "c"} {
		three += workload("Deployment", ns("ready"), name, image, probe)
	}
	const pods, deployments = "api/v1/namespaces/%s/pods", "apis/apps/v1/namespaces/%s/deployments"
	return []rollout{
		{"three Deployments ready", ns("ready"), three, deployments, available, 3, false},
		{"image", ns("image"), namespace(ns("image")) + workload("Deployment", ns("image"), "a", image+"-nope", ""), pods, waiting("ErrImagePull", "ImagePullBackOff"), 1, true},
		{"crash", ns("crash"), namespace(ns("crash")) + workload("Deployment", ns("crash"), "a", image, `, args: ["3", "no database"]`), pods, waiting("CrashLoopBackOff"), 1, true},
		{"job", ns("job"), namespace(ns("job")) + workload("Job", ns("job"), "a", image, `, args: ["4", "no schema"]`), "apis/batch/v1/namespaces/%s/jobs", condition("Failed"), 1, true},
		{"quota", ns("quota"), namespace(ns("quota")) + "---\n{apiVersion: v1, kind: ResourceQuota, metadata: {name: q, namespace: " + ns("quota") + "}, spec: {hard: {pods: \"0\"}}}\n" +
			workload("Deployment", ns("quota"), "a", image, ""), deployments, condition("ReplicaFailure"), 1, true},
	}
}

func field(o any, path ...string) any {
	for _, p := range path {
		m, _ := o.(map[string]any)
		o = m[p]
	}
	return o
}

func available(o map[string]any) bool {
	n, _ := field(o, "status", "availableReplicas").(float64)
	seen, _ := field(o, "status", "observedGeneration").(float64)
	return n == 1 && seen > 0
}

func condition(kind string) func(o map[string]any) bool {
	return func(o map[string]any) bool {
		list, _ := field(o, "status", "conditions").([]any)
		return slices.ContainsFunc(list, func(c any) bool { return field(c, "type") == kind && field(c, "status") == "True" })
	}
}

func waiting(reasons ...string) func(o map[string]any) bool {
	return func(o map[string]any) bool {
		list, _ := field(o, "status", "containerStatuses").([]any)
		return slices.ContainsFunc(list, func(c any) bool {
			reason, _ := field(c, "state", "waiting", "reason").(string)
			return slices.Contains(reasons, reason)
		})
	}
}

// follow rolls out and measures from the state to orch's end.
func (b *bench) follow(r rollout) (time.Duration, error) {
	work := strings.ReplaceAll(r.name, " ", "-")
	if err := b.prepare(work, r.objects, ", wait: true, wait_timeout: 120"); err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(b.ctx, 150*time.Second)
	defer cancel()
	at := make(chan time.Time, 1)
	go watch(ctx, b.url+"/"+fmt.Sprintf(r.kind, r.namespace), r, at)
	_, text, err := b.once(b.tools()[0].argv(work))
	end := time.Now()
	if failed := err != nil; failed != r.fails {
		return 0, fmt.Errorf("failed %v, want %v: %w\n%s", failed, r.fails, err, text)
	}
	select {
	case t := <-at:
		return end.Sub(t), nil
	case <-time.After(5 * time.Second):
		return 0, fmt.Errorf("orch ended before the cluster was in the state\n%s", text)
	}
}

// watch tells when as many objects as wanted are in the state.
func watch(ctx context.Context, url string, r rollout, at chan<- time.Time) {
	done := map[string]bool{}
	for ctx.Err() == nil {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"?watch=true", nil)
		if err != nil {
			return
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			continue
		}
		for lines := bufio.NewReader(resp.Body); ; {
			line, err := lines.ReadBytes('\n')
			if err != nil {
				break
			}
			var event struct {
				Object map[string]any `json:"object"`
			}
			if json.Unmarshal(line, &event) == nil && r.reached(event.Object) {
				name, _ := field(event.Object, "metadata", "name").(string)
				if done[name] = true; len(done) == r.want {
					at <- time.Now()
					resp.Body.Close()
					return
				}
			}
		}
		resp.Body.Close()
	}
}

// weight is the size of the program, both helpers in it.
func (b *bench) weight() error {
	info, err := os.Stat(os.Getenv("BENCH_ORCH"))
	if err != nil {
		return err
	}
	fmt.Fprintf(b.out, "\norch, stripped, both helpers in it (goal: 55 MB)\t%.1f MB\n", float64(info.Size())/1e6)
	return nil
}
