package target

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"orch/modules"
	"orch/modules/host"
	"orch/transport"
)

// labAddr are the hosts of testdata/lab.
var labAddr = map[string]string{
	"web1": "172.30.77.11", "web2": "172.30.77.12", "db1": "172.30.77.13", "app1": "172.30.77.14", "new1": "172.30.77.15",
}

// labSpec describes a host of the lab for user orch; without the lab the test is skipped.
func labSpec(t *testing.T, name string) HostSpec {
	t.Helper()
	dir := os.Getenv("ORCH_LAB")
	if _, err := os.Stat(filepath.Join(dir, "hosts.ini")); dir == "" || err != nil {
		t.Skip("ORCH_LAB names no lab that is up: make lab")
	}
	return HostSpec{
		Name: name, Address: labAddr[name], User: "orch", KeyFile: filepath.Join(dir, "id_ed25519"),
		CommonArgs: "-o UserKnownHostsFile=" + filepath.Join(dir, "known_hosts"),
	}
}

func labPool(t *testing.T) (*Pool, *[]string) {
	var warnings []string
	p := NewPool(PoolConfig{Warn: func(host, msg string) { warnings = append(warnings, host+": "+msg) }})
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return p, &warnings
}

func command(t *testing.T, p *Pool, spec HostSpec, line string) modules.Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	place, err := p.Connect(ctx, spec)
	if err != nil {
		t.Fatalf("%s: connect: %v", spec.Name, err)
	}
	res, err := place.Run(ctx, Request{Module: "ansible.builtin.shell", Args: &host.Shell{Cmd: line, CommandArgs: host.CommandArgs{StripEmptyEnds: true}}})
	if err != nil {
		t.Fatalf("%s: %v", spec.Name, err)
	}
	return res
}

func TestLabHosts(t *testing.T) {
	for name := range labAddr {
		for _, c := range []struct {
			as     transport.Become
			helper bool
			want   string
		}{
			{transport.Become{}, true, "orch"},
			{transport.Become{}, false, "orch"},
			{transport.Become{Method: "sudo"}, true, "root"},
			{transport.Become{Method: "sudo"}, false, "root"},
			{transport.Become{Method: "sudo", User: "postgres"}, true, "postgres"},
			{transport.Become{Method: "sudo", User: "nobody"}, true, "nobody"},
			{transport.Become{Method: "su", Password: "root-secret"}, true, "root"},
		} {
			title := name + "/" + c.want + "/" + c.as.Method
			if !c.helper {
				title += "/shell"
			}
			t.Run(title, func(t *testing.T) {
				spec := labSpec(t, name)
				spec.Become, spec.NoHelper = c.as, !c.helper
				p, warnings := labPool(t)
				res := command(t, p, spec, "id -un")
				if res.Failure != nil || !strings.Contains(string(res.Out), `"stdout":"`+c.want) {
					t.Errorf("%+v: %s", res.Failure, res.Out)
				}
				if len(*warnings) > 0 {
					t.Errorf("warnings: %q", *warnings)
				}
			})
		}
	}
}
