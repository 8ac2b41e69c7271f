package container

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"orch/modules"
	"orch/testdata/lab/counting"
	"orch/testdata/lab/labtest"
)

const socket = "/var/run/docker.sock"

// A lab is the real engine of this machine behind a proxy that counts, and the lab's
// registry. What a test makes there is named after it and removed.
type lab struct {
	t        *testing.T
	name     string // of this test's images, containers …
	registry string
	world    *World
	proxy    *counting.Proxy
	addr     string // of the proxy
}

func newLab(t *testing.T) *lab {
	t.Helper()
	folder := labtest.Cluster(t)
	if _, err := os.Stat(socket); err != nil {
		t.Fatalf("the lab's container engine is not there: %v", err)
	}
	l := &lab{
		t: t, registry: labtest.Registry(t, folder), world: &World{}, name: labtest.Name(t, "orch"), proxy: counting.Socket(socket),
	}
	l.addr = labtest.Serve(t, l.proxy)
	t.Cleanup(func() { l.world.Close() })
	t.Cleanup(l.sweep)
	return l
}

// sweep removes what a failed test may have left.
func (l *lab) sweep() {
	for _, args := range [][]string{
		{"rm", "-f", l.name},
		{"rm", "-f", l.name + "-2"},
		{"network", "rm", l.name},
		{"volume", "rm", l.name},
		{"rmi", "-f", l.name + ":1", l.name + ":2", l.registry + "/" + l.name + ":1"},
	} {
		_ = exec.Command("docker", args...).Run()
	}
}

func (l *lab) site(o modules.Options) *dialSite {
	return &dialSite{o: o, dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", l.addr)
	}}
}

// do runs a task as a check, which must ask the engine for nothing that changes it, and
// then for real; it returns the result and what it registers.
func (l *lab) do(task, state string) (modules.Result, map[string]any) {
	l.t.Helper()
	task = strings.NewReplacer("NAME", l.name, "REGISTRY", l.registry).Replace(task)
	l.proxy.Take()
	checked := runTask(l.t, l.world, l.site(modules.Options{Check: true, Diff: true}), task)
	if counts := l.proxy.Take(); len(counts.Writes) > 0 {
		l.t.Errorf("a check asked for %q\n%s", counts.Writes, task)
	}
	if changes := checked.Changed || checked.Maybe; state == "changed" && !changes || state == "unchanged" && checked.Changed {
		l.t.Errorf("the check says changed %v, maybe %v, the run must be %s: %+v\n%s", checked.Changed, checked.Maybe, state, checked.Steps, task)
	}
	res := runTask(l.t, l.world, l.site(modules.Options{Diff: true}), task)
	got := "unchanged"
	switch {
	case res.Failure != nil:
		got = "failed"
	case res.Changed:
		got = "changed"
	}
	if got != state {
		l.t.Fatalf("%s, want %s: %+v\n%s", got, state, res.Failure, task)
	}
	var out map[string]any
	if len(res.Out) > 0 {
		_ = json.Unmarshal(res.Out, &out)
	}
	return res, out
}

// context writes a build context with the test's program in it.
func (l *lab) context(dockerfile string, more map[string]string) string {
	l.t.Helper()
	dir := l.t.TempDir()
	if err := labtest.Compile("testdata/prog/main.c", filepath.Join(dir, "prog")); err != nil {
		l.t.Fatal(err)
	}
	more["Dockerfile"] = dockerfile
	for name, text := range more {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			l.t.Fatal(err)
		}
	}
	return dir
}

const dockerfile = `FROM scratch
ARG GREETING=none
ENV GREETING=$GREETING
COPY prog /prog
COPY . /all/
ENTRYPOINT ["/prog"]
CMD ["serve"]
`

// Both builders: what is ignored is not sent, arguments arrive, a second run builds
// nothing, a changed file builds again.
func TestLabBuild(t *testing.T) {
	for _, builder := range []string{"buildkit", "legacy", "auto"} {
		t.Run(builder, func(t *testing.T) {
			l := newLab(t)
			dir := l.context(dockerfile, map[string]string{".dockerignore": "*.key\n", "a.key": "private", "b.txt": "public"})
			build := `docker_image: {name: NAME, tag: "1", source: build, build: {path: ` + dir + `, builder: ` + builder + `, args: {GREETING: hello}}}`
			_, out := l.do(build, "changed")
			if !strings.Contains(fmt.Sprint(out["stdout"]), "COPY") {
				t.Errorf("the build's output is %v", out["stdout"])
			}
			l.do(build, "unchanged")
			foreground := `docker_container: {name: NAME, image: "NAME:1", pull: never, detach: false, cleanup: true, command: %s}`
			if _, out := l.do(fmt.Sprintf(foreground, "[env, GREETING]"), "changed"); out["output"] != "hello" {
				t.Errorf("the argument did not arrive: %v", out)
			}
			if _, out := l.do(fmt.Sprintf(foreground, "[cat, /all/b.txt]"), "changed"); out["output"] != "public" {
				t.Errorf("a file did not arrive: %v", out)
			}
			if res, _ := l.do(fmt.Sprintf(foreground, "[cat, /all/a.key]"), "failed"); !strings.Contains(res.Failure.Msg, "ended with 1") {
				t.Errorf("an ignored file arrived: %+v", res.Failure)
			}
			l.sweepContainer()
			if err := os.WriteFile(filepath.Join(dir, "b.txt"), []byte("other"), 0o644); err != nil {
				t.Fatal(err)
			}
			l.do(build, "changed")
		})
	}
}

func (l *lab) sweepContainer() { _ = exec.Command("docker", "rm", "-f", l.name).Run() }

// A secret is there while its step runs, and in no layer.
func TestLabBuildSecret(t *testing.T) {
	l := newLab(t)
	dir := l.context("FROM scratch\nCOPY prog /prog\nRUN --mount=type=secret,id=token,target=/t [\"/prog\", \"cat\", \"/t\"]\n", map[string]string{})
	build := `docker_image: {name: NAME, tag: "1", source: build, build: {path: ` + dir + `, network: none, nocache: true, secrets: {token: hunter-two}}}`
	_, out := l.do(build, "changed")
	if !strings.Contains(fmt.Sprint(out["stdout"]), "hunter-two") {
		t.Errorf("the step did not see the secret: %v", out["stdout"])
	}
	l.do(`docker_image: {name: NAME, tag: "1", source: local, archive_path: `+dir+`/out.tar}`, "changed")
	archive, err := os.ReadFile(dir + "/out.tar")
	if err != nil || len(archive) < 1000 {
		t.Fatalf("%d bytes of archive: %v", len(archive), err)
	}
	if strings.Contains(string(archive), "hunter-two") {
		t.Error("the secret is in the image")
	}
	missing := strings.Replace(build, "{token: hunter-two}", "{other: x}", 1)
	l.do(`docker_image: {name: NAME, tag: "1", state: absent, force_absent: true}`, "changed")
	if res, _ := l.do(missing, "failed"); !strings.Contains(res.Failure.Msg, "token") {
		t.Errorf("a missing secret: %s", res.Failure.Msg)
	}
}

// Build, tag, push, pull back by what the registry called it, export, load.
func TestLabRegistry(t *testing.T) {
	l := newLab(t)
	dir := l.context(dockerfile, map[string]string{})
	l.do(`docker_image: {name: NAME, tag: "1", source: build, build: {path: `+dir+`, labels: {test: NAME}}}`, "changed")
	push := `docker_image: {name: NAME, tag: "1", source: local, repository: REGISTRY/NAME, push: true}`
	_, out := l.do(push, "changed")
	digest := fmt.Sprint(out["digest"])
	if !strings.HasPrefix(digest, "sha256:") {
		t.Fatalf("digest %v", out["digest"])
	}
	if _, out := l.do(push, "unchanged"); out["digest"] != digest {
		t.Errorf("digest %v, then %v", digest, out["digest"])
	}
	l.do(`docker_image: {name: REGISTRY/NAME, tag: "1", state: absent}`, "changed")
	l.do(`docker_image: {name: "REGISTRY/NAME@`+digest+`", source: pull}`, "changed")
	l.do(`docker_image: {name: "REGISTRY/NAME@`+digest+`", source: pull}`, "unchanged")
	res, _ := l.do(`docker_image: {name: REGISTRY/NAME, tag: nope, source: pull}`, "failed")
	if !strings.Contains(res.Failure.Msg, "manifest") {
		t.Errorf("a tag that is not there: %s", res.Failure.Msg)
	}
	l.do(`docker_image: {name: NAME, tag: "1", source: local, archive_path: `+dir+`/out.tar}`, "changed")
	l.do(`docker_image: {name: NAME, tag: "1", state: absent, force_absent: true}`, "changed")
	l.do(`docker_image: {name: NAME, tag: "1", source: load, load_path: `+dir+`/out.tar}`, "changed")
	l.do(`docker_image: {name: NAME, tag: "1", source: load, load_path: `+dir+`/out.tar}`, "unchanged")
	l.do(`docker_image: {name: "REGISTRY/NAME@`+digest+`", state: absent, force_absent: true}`, "changed")
	if _, out := l.do(`docker_image_info: {name: ["NAME:1", "NAME:7"]}`, "unchanged"); len(out["images"].([]any)) != 1 {
		t.Errorf("info: %v", out)
	}
}

// A container's life, and what the engine itself fills in is no difference.
func TestLabContainer(t *testing.T) {
	l := newLab(t)
	dir := l.context(dockerfile, map[string]string{})
	l.do(`docker_image: {name: NAME, tag: "1", source: build, build: {path: `+dir+`, labels: {test: NAME}}}`, "changed")
	l.do(`docker_network: {name: NAME, ipam_config: [{subnet: 10.99.77.0/24}], internal: true, labels: {a: b}}`, "changed")
	l.do(`docker_network: {name: NAME, ipam_config: [{subnet: 10.99.77.0/24}], internal: true, labels: {a: b}}`, "unchanged")
	l.do(`docker_volume: {name: NAME, labels: {a: b}}`, "changed")
	l.do(`docker_volume: {name: NAME, labels: {a: b}}`, "unchanged")
	options := `name: NAME, image: "NAME:1", pull: never, env: {A: "1"}, labels: {x: y1}, ports: ["127.0.0.1:18999:80"], exposed_ports: ["81"],
	  volumes: ["NAME:/data"], tmpfs: ["/run:size=1m"], networks: [{name: NAME, ipv4_address: 10.99.77.9}], hostname: h, user: "1000", working_dir: /,
	  restart_policy: on-failure, restart_retries: 2, capabilities: [NET_ADMIN], cap_drop: [CHOWN], memory: 64M, cpus: 0.5, shm_size: 8M,
	  ulimits: ["nofile:100:200"], etc_hosts: {db: 10.0.0.1}, dns_servers: [10.0.0.2], init: false, read_only: true, stop_signal: SIGTERM,
	  log_driver: json-file, log_options: {max-size: 1m}, security_opts: ["no-new-privileges"], sysctls: {net.ipv4.ip_forward: "0"}, devices: ["/dev/null:/dev/x"],
	  healthcheck: {test: [CMD, /prog, exit, "0", ok], interval: 1s, timeout: 5s, retries: 3}, stop_timeout: 1`
	l.do(`docker_container: {`+options+`, state: present}`, "changed")
	l.do(`docker_container: {`+options+`, state: present}`, "unchanged")
	l.do(`docker_container: {`+options+`, state: healthy}`, "changed")
	l.do(`docker_container: {`+options+`, state: healthy}`, "unchanged")
	l.do(`docker_container: {name: NAME, state: stopped, stop_timeout: 1}`, "changed")
	l.do(`docker_container: {name: NAME, state: stopped}`, "unchanged")
	l.do(`docker_container: {`+options+`, state: started}`, "changed")
	other := strings.Replace(options, "64M", "65M", 1)
	res, _ := l.do(`docker_container: {`+other+`}`, "changed")
	if title := res.Steps[0].Title; !strings.Contains(title, "memory differs") {
		t.Errorf("step %q", title)
	}
	// The engine adds options of its own to these.
	more := `name: NAME, image: "NAME:1", pull: never, state: present, force_kill: true, privileged: true, security_opts: ["apparmor=unconfined"], env: {A: "1"},
	  mounts: [{type: volume, source: NAME, target: /v}, {type: tmpfs, target: /t}, {type: bind, source: /etc, target: /e, read_only: true}], network_mode: none`
	l.do(`docker_container: {`+more+`}`, "changed")
	l.do(`docker_container: {`+more+`}`, "unchanged")
	l.do(`docker_container: {`+more+`, comparisons: {security_opts: strict}}`, "changed")
	l.do(`docker_container: {`+strings.Replace(more, "/t}", "/other}", 1)+`, comparisons: {mounts: ignore}}`, "unchanged")
	l.do(`docker_container: {`+options+`}`, "changed")
	if _, out := l.do(`docker_container_info: {name: NAME}`, "unchanged"); out["exists"] != true {
		t.Errorf("info: %v", out)
	}
	if _, out := l.do(`docker_network_info: {name: NAME}`, "unchanged"); out["exists"] != true {
		t.Errorf("info: %v", out)
	}
	l.do(`docker_network: {name: NAME, state: absent}`, "changed")
	l.do(`docker_container: {name: NAME, state: absent, force_kill: true}`, "changed")
	l.do(`docker_container: {name: NAME, state: absent}`, "unchanged")
	l.do(`docker_volume: {name: NAME, state: absent}`, "changed")
	if _, out := l.do(`docker_volume_info: {name: NAME}`, "unchanged"); out["exists"] != false {
		t.Errorf("info: %v", out)
	}
	_, out := l.do(`docker_host_info: {images: true, images_filters: {label: test=NAME}, networks: true, disk_usage: true}`, "unchanged")
	if images, _ := out["images"].([]any); out["can_talk_to_docker"] != true || len(images) != 1 || out["networks"] == nil || out["disk_usage"] == nil || out["volumes"] != nil {
		t.Errorf("host info: %v", out)
	}
	if images, _ := out["images"].([]any); len(images) == 1 && len(images[0].(map[string]any)) != 4 {
		t.Errorf("an image: %v", images[0])
	}
}

// What goes wrong says so, with what the container printed.
func TestLabContainerFails(t *testing.T) {
	l := newLab(t)
	dir := l.context(dockerfile, map[string]string{})
	l.do(`docker_image: {name: NAME, tag: "1", source: build, build: {path: `+dir+`, labels: {test: NAME}}}`, "changed")
	of := func(more string) string {
		return `docker_container: {name: NAME, image: "NAME:1", pull: never, recreate: true, stop_timeout: 1, ` + more + `}`
	}
	for _, c := range []struct {
		task  string
		words []string
	}{
		{of(`command: [exit, "3", no database]`), []string{"ended with 3 right after its start", "no database"}},
		{of(`detach: false, command: [exit, "4", no schema]`), []string{"ended with 4"}},
		{of(`entrypoint: [/nope]`), []string{"/nope"}},
		{of(`state: healthy`), []string{"has no health check"}},
		{of(`state: healthy, healthcheck: {test: [CMD, /prog, exit, "1", bad], interval: 1s, retries: 1}`), []string{"is unhealthy", "serving"}},
		{`docker_image: {name: NAME, tag: "1", state: absent}`, []string{"container"}},
		{`docker_container: {name: NAME-2, image: "NAME:9", pull: never}`, []string{"there is no image", "pull is never"}},
	} {
		res, _ := l.do(c.task, "failed")
		for _, w := range c.words {
			if !strings.Contains(res.Failure.Msg, w) {
				t.Errorf("no %q in %s\n%s", w, res.Failure.Msg, c.task)
			}
		}
	}
}
