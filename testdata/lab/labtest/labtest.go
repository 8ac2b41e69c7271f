// Package labtest is what tests of several packages need of the lab: where it is, names
// nobody else uses, small static programs, and a task run as a playbook would run it.
package labtest

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"orch/modules"
	"orch/modules/control"
	"orch/modules/schema"
	"orch/playbook/jinja/value"
)

// Cluster is the state folder of the lab's cluster; without one the test is skipped.
func Cluster(t testing.TB) string {
	t.Helper()
	folder := os.Getenv("ORCH_CLUSTER")
	if folder == "" {
		t.Skip("ORCH_CLUSTER names no cluster that is up: make lab")
	}
	return folder
}

// Registry is the address of the registry beside the cluster.
func Registry(t testing.TB, folder string) string {
	t.Helper()
	addr, err := os.ReadFile(filepath.Join(folder, "registry.addr"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(addr))
}

// Name is one that no other test and no earlier run of this one uses: of a namespace, an
// image, a container.
func Name(t testing.TB, prefix string) string {
	name := strings.NewReplacer("/", "-", "_", "-").Replace(t.Name())
	return fmt.Sprintf("%s-%s-%d", prefix, strings.ToLower(name), time.Now().UnixNano()%1e6)
}

// Compile makes a static program from a C file.
func Compile(source, program string) error {
	if out, err := exec.Command("gcc", "-Os", "-static", "-s", "-o", program, source).CombinedOutput(); err != nil {
		return fmt.Errorf("gcc: %w: %s", err, out)
	}
	return nil
}

// Serve serves on a port of loopback until the test ends, and returns its address.
func Serve(t testing.TB, h http.Handler) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: h}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { server.Close() })
	return listener.Addr().String()
}

// A World opens the view and target of a module.
type World interface {
	Open(ctx context.Context, site control.Target, module any) (view, target any, err error)
}

// Run runs a module of a table. Arguments it does not take are a failure of the task.
func Run(t testing.TB, table schema.Table, w World, site control.Target, o modules.Options, module string, args map[string]any) modules.Result {
	t.Helper()
	text, err := json.Marshal(args)
	if err != nil {
		t.Fatal(err)
	}
	v, err := value.FromJSON(text)
	if err != nil {
		t.Fatal(err)
	}
	for _, spec := range schema.Describe(table) {
		if spec.Short() != module {
			continue
		}
		m, diags := spec.Decode(v.(*value.Dict), nil)
		if m == nil || len(diags) > 0 {
			var b strings.Builder
			for _, d := range diags {
				fmt.Fprintln(&b, d.Msg)
			}
			return modules.Result{Failure: modules.Failf("%s", strings.TrimSpace(b.String()))}
		}
		view, target, err := w.Open(t.Context(), site, m)
		if err != nil {
			t.Fatal(err)
		}
		res, err := spec.Run(t.Context(), m, view, target, o)
		if err != nil {
			t.Fatalf("%s: %v", module, err)
		}
		return res
	}
	t.Fatalf("there is no module %s", module)
	return modules.Result{}
}
