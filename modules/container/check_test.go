package container

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"orch/modules"
)

// checks are what each module is asked to do in check mode: everything it can change, and
// what it reads. OTHER is a name nothing has.
var checks = map[string][]string{
	"docker_container": {
		`{name: OTHER, image: "NAME:1", pull: never, networks: [{name: NAME}], volumes: ["NAME:/data"]}`,
		`{name: OTHER, image: "NAME:1", pull: never, detach: false, cleanup: true, command: [env, A]}`,
		`{name: OTHER, image: "NAME:1", pull: never, state: present}`,
		`{name: NAME, image: "NAME:1", pull: never, env: {A: "2"}}`,
		`{name: NAME, image: "NAME:1", pull: never, recreate: true}`,
		`{name: NAME, image: "NAME:1", pull: never, restart: true}`,
		`{name: NAME, state: stopped}`, `{name: NAME, state: absent, force_kill: true}`,
		`{name: OTHER, image: "REGISTRY/NAME:1", pull: always}`,
	},
	"docker_container_info": {`{name: NAME}`},
	"docker_host_info":      {`{}`, `{images: true, containers_all: true, networks: true, volumes: true, disk_usage: true, containers_filters: {name: [NAME]}}`},
	"docker_image": {
		`{name: OTHER, tag: "1", source: build, build: {path: CONTEXT}}`,
		`{name: OTHER, tag: "1", source: build, push: true, repository: REGISTRY/OTHER, build: {path: CONTEXT, builder: legacy}}`,
		`{name: OTHER, tag: "1", source: build, build: {path: CONTEXT, secrets: {token: hunter}}}`,
		`{name: NAME, tag: "1", source: local, repository: NAME, push: false, force_tag: true}`,
		`{name: NAME, tag: "1", source: local, repository: "REGISTRY/NAME:2", push: true}`,
		`{name: REGISTRY/NAME, tag: "1", source: pull, force_source: true}`,
		`{name: NAME, tag: "1", source: local, archive_path: CONTEXT/out.tar}`,
		`{name: OTHER, tag: "1", source: load, load_path: CONTEXT/prog}`,
		`{name: NAME, tag: "1", state: absent, force_absent: true}`,
	},
	"docker_image_info": {`{name: ["NAME:1"]}`},
	"docker_login": {
		`{registry_url: REGISTRY, username: u, password: hunter, config_path: CONTEXT/config.json}`,
		`{registry_url: there.example, state: absent, config_path: CONTEXT/config.json}`,
	},
	"docker_network": {
		`{name: OTHER}`, `{name: NAME, internal: true, force: true}`, `{name: NAME, connected: [NAME]}`, `{name: NAME, state: absent, force: true}`,
	},
	"docker_network_info": {`{name: NAME}`},
	"docker_volume":       {`{name: OTHER}`, `{name: NAME, labels: {a: c}, recreate: options-changed}`, `{name: NAME, state: absent}`},
	"docker_volume_info":  {`{name: NAME}`},
}

// Every module of the table, before a real engine: nothing that may change it is asked.
func TestLabCheckWritesNothing(t *testing.T) {
	l := newLab(t)
	dir := l.context(dockerfile, map[string]string{})
	l.do(`docker_image: {name: NAME, tag: "1", source: build, build: {path: `+dir+`, labels: {test: NAME}}}`, "changed")
	l.do(`docker_image: {name: NAME, tag: "1", source: local, repository: REGISTRY/NAME, push: true}`, "changed")
	l.do(`docker_network: {name: NAME, ipam_config: [{subnet: 10.99.78.0/24}]}`, "changed")
	l.do(`docker_volume: {name: NAME, labels: {a: b}}`, "changed")
	l.do(`docker_container: {name: NAME, image: "NAME:1", pull: never, env: {A: "1"}, stop_timeout: 1}`, "changed")
	if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(`{"auths": {"there.example": {"auth": "dTpw"}}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("DOCKER_CONFIG", dir)
	words := strings.NewReplacer("NAME", l.name, "OTHER", l.name+"-2", "REGISTRY", l.registry, "CONTEXT", dir)
	for _, e := range Modules() {
		name := e.Name[strings.LastIndex(e.Name, ".")+1:]
		if len(checks[name]) == 0 {
			t.Errorf("no case checks module %s", name)
		}
		for _, args := range checks[name] {
			l.proxy.Take()
			res := runTask(t, l.world, l.site(modules.Options{Check: true, Diff: true}), name+": "+words.Replace(args))
			counts := l.proxy.Take()
			if res.Failure != nil {
				t.Errorf("%s %s: %s", name, args, res.Failure.Msg)
			}
			if len(counts.Writes) > 0 {
				t.Errorf("%s %s asked for %q", name, args, counts.Writes)
			}
			if counts.Reads == 0 && name != "docker_login" {
				t.Errorf("%s %s asked the engine nothing", name, args)
			}
			if changes := res.Changed || res.Maybe || res.Skipped; changes == strings.HasSuffix(name, "_info") {
				t.Errorf("%s %s: changes %v: %+v", name, args, changes, res.Steps)
			}
		}
	}
}
