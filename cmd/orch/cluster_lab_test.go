package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"orch/testdata/lab/counting"
	"orch/testdata/lab/labtest"
)

// A kubectl looks into a cluster beside orch.
type kubectl struct{ folder, context string }

func (k kubectl) run(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.Command(filepath.Join(k.folder, "kubectl"), append([]string{"--context", k.context}, args...)...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+filepath.Join(k.folder, "both.kubeconfig"))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("kubectl %q: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// A finish is the result of a task on a host, as an event tells it.
type finish struct {
	Host   string
	Result struct {
		Steps []struct {
			Title  string
			Effect int
		}
	}
}

// changes are the titles of the steps that change something, or would.
func (f finish) changes() (titles []string) {
	for _, s := range f.Result.Steps {
		if s.Effect == 0 {
			titles = append(titles, s.Title)
		}
	}
	return titles
}

// finishes lists the results of a task in their order.
func finishes(t *testing.T, events, task string) (all []finish) {
	t.Helper()
	names := map[int]string{}
	for line := range strings.Lines(events) {
		var ev struct {
			Event, Name string
			Task        int
			finish
		}
		if err := json.Unmarshal([]byte(line), &ev); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		switch ev.Event {
		case "task_start":
			names[ev.Task] = ev.Name
		case "task_done":
			if names[ev.Task] == task {
				all = append(all, ev.finish)
			}
		}
	}
	return all
}

// finished lists the hosts of the results of a task in their order.
func finished(t *testing.T, events, task string) (hosts []string) {
	t.Helper()
	for _, f := range finishes(t, events, task) {
		hosts = append(hosts, f.Host)
	}
	return hosts
}

// The shop's own playbook and its live inventory: two clusters, one after the other, and
// the second one left alone when the first one fails.
func TestLabShopLive(t *testing.T) {
	folder := labtest.Cluster(t)
	if _, err := os.Stat(filepath.Join(folder, "both.kubeconfig")); err != nil {
		t.Fatalf("the second cluster is not there: %v", err)
	}
	project := filepath.Join(t.TempDir(), "shop")
	if err := os.CopyFS(project, os.DirFS("../../examples/shop")); err != nil {
		t.Fatal(err)
	}
	cache, err := exec.Command("go", "env", "GOCACHE").Output()
	if err != nil {
		t.Fatal(err)
	}
	ns := labtest.Name(t, "shop")
	image := labtest.Registry(t, folder) + "/" + ns
	one, two := kubectl{folder, "lab"}, kubectl{folder, "lab-two"}
	t.Cleanup(func() {
		for _, k := range []kubectl{one, two} {
			k.run(t, "delete", "namespace", ns, "--ignore-not-found", "--wait=false")
		}
		for _, tag := range []string{"1.4.2", "1.4.3"} {
			_ = exec.Command("docker", "rmi", "-f", image+":"+tag).Run()
		}
	})
	deploy := func(args ...string) ran {
		t.Helper()
		return orch(t, project, []string{"ORCH_CLUSTER=" + folder, "ORCH_LAB=", "GOCACHE=" + strings.TrimSpace(string(cache)), "GOFLAGS=" + os.Getenv("GOFLAGS")},
			append([]string{
				"run", "playbooks/deploy.yml", "-i", "live", "-l", "localhost,builders,clusters", "--output", "json",
				"-e", "shop_namespace=" + ns, "-e", "image_repository=" + image,
			}, args...)...)
	}
	const apply, verify = "Apply the shop's objects", "Ask a pod for the front page"
	// On clusters that have nothing of it, a check knows all that a run will do.
	checked := deploy("--check", "--diff")
	checked.want(t, "the check", 0)
	if hosts := finished(t, checked.out, apply); fmt.Sprint(hosts) != "[live-one live-two]" || !strings.Contains(checked.out, "known after the run") {
		t.Errorf("checked for %v", hosts)
	}
	if left := one.run(t, "get", "namespace", ns, "--ignore-not-found"); left != "" {
		t.Errorf("the check left %s", left)
	}
	first := deploy()
	first.want(t, "the first run", 0)
	if hosts := finished(t, first.out, apply); fmt.Sprint(hosts) != "[live-one live-two]" {
		t.Errorf("rolled out to %v", hosts)
	}
	// The check said what the run then did.
	for i, f := range finishes(t, first.out, apply) {
		if said, did := finishes(t, checked.out, apply)[i].changes(), f.changes(); len(did) < 8 || !slices.Equal(said, did) {
			t.Errorf("%s: the check said\n%q\nthe run did\n%q", f.Host, said, did)
		}
	}
	// One after the other: the first cluster serves before the second one is begun.
	if i, j := strings.Index(first.out, `"host":"live-one"`), strings.Index(first.out, `"host":"live-two"`); strings.Count(first.out[i:j], "http://10.244.") == 0 {
		t.Errorf("%s on live-one does not come before live-two", verify)
	}
	ready := func(k kubectl) string {
		return k.run(t, "-n", ns, "get", "deployment", "shop", "-o", "jsonpath={.status.readyReplicas} {.spec.template.spec.containers[0].image}")
	}
	was := ready(two)
	if !strings.HasPrefix(was, "1 "+image+"@sha256:") || ready(one) != was {
		t.Errorf("one: %s, two: %s", ready(one), was)
	}
	deploy().want(t, "the second run", 0)
	var counts struct {
		Recap map[string]struct{ Changed int }
	}
	second := strings.Split(strings.TrimSpace(deploy().out), "\n")
	if err := json.Unmarshal([]byte(second[len(second)-1]), &counts); err != nil || counts.Recap["live-one"].Changed+counts.Recap["live-two"].Changed != 0 {
		t.Errorf("the second run changes %v (%v)", counts.Recap, err)
	}
	// No room for the pods of another release on the first cluster.
	one.run(t, "-n", ns, "create", "quota", "full", "--hard=pods=1")
	broken := deploy("-e", "release=1.4.3")
	broken.want(t, "the run without room", 2)
	if hosts := finished(t, broken.out, apply); fmt.Sprint(hosts) != "[live-one]" || !strings.Contains(broken.out, "exceeded quota: full") {
		t.Errorf("after the failure: %v\n%s", hosts, broken.out)
	}
	if is := ready(two); is != was {
		t.Errorf("the second cluster has %s, had %s", is, was)
	}
	if serves := one.run(t, "-n", ns, "get", "deployment", "shop", "-o", "jsonpath={.status.readyReplicas}"); serves != "1" {
		t.Errorf("on the first cluster %s pods serve", serves)
	}
}

// Conditions about an object are the playbook's own language.
func TestLabReadyWhen(t *testing.T) {
	folder := labtest.Cluster(t)
	dir, ns := t.TempDir(), labtest.Name(t, "own")
	admin := kubectl{folder, "lab"}
	t.Cleanup(func() { admin.run(t, "delete", "namespace", ns, "--ignore-not-found", "--wait=false") })
	play := `
- hosts: localhost
  gather_facts: false
  vars: {wanted: [yes-it-is, it-is]}
  module_defaults:
    kubernetes.core.k8s: {kubeconfig: ` + folder + `/admin.kubeconfig, namespace: ` + ns + `, wait: true, wait_timeout: 2}
  tasks:
    - k8s: {kind: Namespace, name: ` + ns + `}
    - k8s:
        definition: {apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {up: yes-it-is}}
        ready_when: [object.data.up in wanted, object.metadata.uid is defined]
        failed_when_object: object.data.broken is defined
    - k8s:
        definition: {apiVersion: v1, kind: ConfigMap, metadata: {name: b}, data: {broken: "1"}}
        failed_when_object: object.data.broken is defined
      register: broken
      ignore_errors: true
    - k8s:
        definition: {apiVersion: v1, kind: ConfigMap, metadata: {name: c}}
        ready_when: object.status.phase == 'Running'
      register: never
      ignore_errors: true
    - k8s:
        definition: {apiVersion: v1, kind: ConfigMap, metadata: {name: d}}
        ready_when: object.data | nope
        wait_timeout: 60
      register: wrong
      ignore_errors: true
    - assert:
        that:
          - "'failed_when_object holds' in broken.msg"
          - "'ready_when does not hold yet' in never.msg and never.failure.timed_out"
          - "'nope' in wrong.msg"
`
	if err := os.WriteFile(filepath.Join(dir, "site.yml"), []byte(play), 0o644); err != nil {
		t.Fatal(err)
	}
	orch(t, dir, nil, "run", "site.yml").want(t, "the playbook", 0)
}

// A wait is interrupted like a command on a host: the run says at once what it does, what
// runs gets its time, and no further task begins.
func TestLabInterruptOfAWait(t *testing.T) {
	folder := labtest.Cluster(t)
	ns := labtest.Name(t, "stop")
	admin := kubectl{folder, "lab"}
	t.Cleanup(func() { admin.run(t, "delete", "namespace", ns, "--ignore-not-found", "--wait=false") })
	admin.run(t, "create", "namespace", ns)
	dir := write(t, map[string]string{"site.yml": `
- hosts: localhost
  gather_facts: false
  module_defaults:
    kubernetes.core.k8s: {kubeconfig: ` + folder + `/admin.kubeconfig, namespace: ` + ns + `, wait: true, wait_timeout: 300}
  tasks:
    - k8s: {definition: {apiVersion: v1, kind: Pod, metadata: {name: gated}, spec: {schedulingGates: [{name: lab.orch/hold}], containers: [{name: p, image: none}]}}}
    - k8s: {definition: {apiVersion: v1, kind: ConfigMap, metadata: {name: next}}}
`})
	begun := func() bool {
		return admin.run(t, "-n", ns, "get", "pod", "gated", "--ignore-not-found", "-o", "name") != ""
	}
	cmd, wait := running(t, dir, begun, "run", "site.yml", "--output", "json")
	at := time.Now()
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	r := wait()
	if took := time.Since(at); took < 9*time.Second || took > 30*time.Second {
		t.Errorf("it took %s", took)
	}
	r.want(t, "the run", 130)
	r.contains(t, `"msg":"interrupted"`, `"interrupted":true`)
	var first struct {
		Time    time.Time
		Seconds float64
	}
	for line := range strings.Lines(r.out) {
		if strings.Contains(line, `"event":"stopping"`) {
			if err := json.Unmarshal([]byte(line), &first); err != nil {
				t.Fatal(err)
			}
			break
		}
	}
	if late := first.Time.Sub(at); first.Seconds != 10 || late > 2*time.Second {
		t.Errorf("said after %s: %g s\n%s", late, first.Seconds, r.out)
	}
	if made := admin.run(t, "-n", ns, "get", "configmap", "next", "--ignore-not-found", "-o", "name"); made != "" {
		t.Errorf("another task made %s", made)
	}
}

// relay serves the engine of this machine on two sockets of a host: one for everybody, one
// for root alone.
const relay = `
import os, socket, threading
def pump(a, b):
    try:
        while True:
            data = a.recv(65536)
            if not data: break
            b.sendall(data)
    except OSError: pass
    try: b.shutdown(socket.SHUT_WR)
    except OSError: pass
def serve(path, mode):
    s = socket.socket(socket.AF_UNIX); s.bind(path); os.chmod(path, mode); s.listen(64)
    while True:
        c, _ = s.accept()
        u = socket.create_connection(("172.30.77.1", PORT))
        threading.Thread(target=pump, args=(c, u), daemon=True).start()
        threading.Thread(target=pump, args=(u, c), daemon=True).start()
threading.Thread(target=serve, args=("DIR/root.sock", 0o600), daemon=True).start()
serve("DIR/all.sock", 0o666)
`

// The engine of a host is reached through the host's own connection: its socket by ssh
// itself, one for root alone by the helper, which become has started.
func TestLabEngineOfAHost(t *testing.T) {
	labtest.Cluster(t)
	host := lab(t, "web1")
	listener, err := net.Listen("tcp", "172.30.77.1:0")
	if err != nil {
		t.Fatal(err)
	}
	proxy := counting.Socket("/var/run/docker.sock")
	server := &http.Server{Handler: proxy}
	go func() { _ = server.Serve(listener) }()
	name := labtest.Name(t, "orch")
	dir := "/var/tmp/cluster-" + name
	t.Cleanup(func() {
		server.Close()
		host.sh(t, "pkill -f '^python3 "+dir+"/relay.py$'; rm -rf "+dir)
		_ = exec.Command("docker", "rm", "-f", name).Run()
		_ = exec.Command("docker", "rmi", "-f", name+":1").Run()
	})
	host.sh(t, "mkdir -p "+dir)
	script := strings.NewReplacer("PORT", fmt.Sprint(listener.Addr().(*net.TCPAddr).Port), "DIR", dir).Replace(relay)
	put := exec.Command("docker", "exec", "-i", host.name, "sh", "-c", "cat >"+dir+"/relay.py && (setsid python3 "+dir+"/relay.py >/dev/null 2>&1 </dev/null &) && until test -S "+dir+"/all.sock -a -S "+dir+"/root.sock; do sleep 0.1; done")
	put.Stdin = strings.NewReader(script)
	if out, err := put.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}

	project := t.TempDir()
	if err := labtest.Compile("../../modules/container/testdata/prog/main.c", filepath.Join(project, "prog")); err != nil {
		t.Fatal(err)
	}
	files := map[string]string{
		"Dockerfile": "FROM scratch\nCOPY prog /prog\nRUN --mount=type=secret,id=token,target=/t [\"/prog\", \"cat\", \"/t\"]\nENTRYPOINT [\"/prog\"]\n",
		"site.yml": `
- hosts: web1
  gather_facts: false
  become: "{{ as_root }}"
  module_defaults:
    group/community.docker.docker: {docker_host: "unix://` + dir + `/{{ sock }}.sock"}
  tasks:
    - docker_host_info: {}
    - docker_image: {name: ` + name + `, tag: "1", source: build, build: {path: ., network: none, nocache: true, secrets: {token: hunter-two}}}
    - docker_container: {name: ` + name + `, image: "` + name + `:1", pull: never, detach: false, cleanup: true, command: [env, HOME]}
    - docker_container: {name: ` + name + `, image: "` + name + `:1", pull: never, command: [serve], stop_timeout: 1}
    - docker_container: {name: ` + name + `, state: absent, force_kill: true}
    - docker_image: {name: ` + name + `, tag: "1", state: absent, force_absent: true}
`,
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(project, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	run := func(sock string, root bool, args ...string) ran {
		return orch(t, project, nil, append([]string{"run", "site.yml", "-i", host.inventory(), "-e", "sock=" + sock, "-e", fmt.Sprintf(`{"as_root": %v}`, root)}, args...)...)
	}
	for _, way := range []struct {
		sock string
		root bool
	}{{"all", false}, {"root", true}} {
		proxy.Take()
		run(way.sock, way.root, "--check").want(t, "the check by "+way.sock, 0)
		if c := proxy.Take(); len(c.Writes) > 0 || c.Reads == 0 {
			t.Errorf("%s: the check asked for %s: %q", way.sock, c, c.Writes)
		}
		done := run(way.sock, way.root)
		done.want(t, "the run by "+way.sock, 0)
		if c := proxy.Take(); len(c.Writes) == 0 {
			t.Errorf("%s: another engine was used: %s\n%s", way.sock, c, done.out)
		}
	}
	refused := run("root", false)
	refused.want(t, "the run without become", 2)
	if c := proxy.Take(); c.Reads+len(c.Writes) > 0 || !strings.Contains(refused.out, "cannot reach the container engine at unix://"+dir+"/root.sock of web1") || !strings.Contains(refused.out, "hint: is the engine running? become: true") {
		t.Errorf("without become: %s\n%s\n%s", c, refused.out, refused.err)
	}
}
