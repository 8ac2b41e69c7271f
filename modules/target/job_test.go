package target

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"orch/modules"
	"orch/modules/host"
	"orch/modules/target/machine"
	"orch/modules/target/wire"
	"orch/transport"
	"orch/transport/local"
)

// jobWord makes the test's own program the process of a job; see TestMain.
const jobWord = "orch-test-job"

func shell(line string) Request {
	return Request{Module: "ansible.builtin.shell", Args: &host.Shell{Cmd: line, CommandArgs: host.CommandArgs{StripEmptyEnds: true}}}
}

// begin starts a job and gives its name.
func begin(t *testing.T, p Placement, dir string, limit int, req Request) string {
	t.Helper()
	req.Job = &wire.Job{Dir: dir, Limit: limit}
	res, err := p.Run(t.Context(), req)
	if err != nil || res.Failure != nil || !res.Changed {
		t.Fatalf("start: %+v, %v", res, err)
	}
	var out struct {
		Started, Finished int
		ID                string `json:"ansible_job_id"`
		File              string `json:"results_file"`
	}
	if err := json.Unmarshal(res.Out, &out); err != nil || out.Started != 1 || out.Finished != 0 || filepath.Base(out.File) != out.ID {
		t.Fatalf("started: %s, %v", res.Out, err)
	}
	return out.ID
}

func status(t *testing.T, p Placement, dir, id string) (map[string]any, modules.Result) {
	t.Helper()
	res, err := p.Run(t.Context(), Request{Module: host.JobModule, Args: &host.Job{ID: id, Dir: dir}})
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]any
	if err := json.Unmarshal(res.Out, &out); err != nil {
		t.Fatalf("%s: %v", res.Out, err)
	}
	return out, res
}

// finished waits for a job.
func finished(t *testing.T, p Placement, dir, id string, within time.Duration) (map[string]any, modules.Result) {
	t.Helper()
	for end := time.Now().Add(within); ; time.Sleep(50 * time.Millisecond) {
		out, res := status(t, p, dir, id)
		if out["finished"] == 1.0 {
			return out, res
		}
		if time.Now().After(end) {
			t.Fatalf("the job is not done: %v", out)
		}
	}
}

// TestJobs runs async jobs in this process's place and over a shell.
func TestJobs(t *testing.T) {
	table := machine.NewTable(append(host.Modules(), host.Internal()...))
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	over := NewShell(local.New(), table, HostSpec{RemoteTmp: filepath.Join(t.TempDir(), "tmp")})
	t.Cleanup(func() { _ = over.Close() })
	for name, p := range map[string]Placement{
		"in process": &InProcess{Table: table, Tmp: t.TempDir(), Self: []string{self, jobWord}},
		"shell":      over,
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "async", "jobs")
			go1 := filepath.Join(t.TempDir(), "go")
			req := shell("while [ ! -e " + go1 + " ]; do sleep 0.05; done; echo $WORD; echo no >&2; exit 3")
			req.Env = map[string]string{"WORD": "done"}
			id := begin(t, p, dir, 60, req)
			if out, _ := status(t, p, dir, id); out["finished"] != 0.0 || out["started"] != 1.0 {
				t.Errorf("at once: %v", out)
			}
			if err := os.WriteFile(go1, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			out, res := finished(t, p, dir, id, 20*time.Second)
			if out["stdout"] != "done" || out["stderr"] != "no" || out["rc"] != 3.0 || out["ansible_job_id"] != id || res.Failure == nil || !res.Changed {
				t.Errorf("at the end: %v, %+v", out, res)
			}
			if _, err := p.Run(t.Context(), Request{Module: host.JobModule, Args: &host.Job{ID: id, Dir: dir, Cleanup: true}}); err != nil {
				t.Error(err)
			}
			if out, res := status(t, p, dir, id); res.Failure == nil || out["msg"] != "could not find job" {
				t.Errorf("after the cleanup: %v, %+v", out, res.Failure)
			}
			if _, res := status(t, p, dir, "../../etc/passwd"); res.Failure == nil {
				t.Error("a path was taken for a job")
			}
		})
	}
}

// TestLabJobOutlivesTheConnection begins jobs over the helper and looks at them over
// another connection; the one that takes too long is killed with what it started.
func TestLabJobOutlivesTheConnection(t *testing.T) {
	for _, as := range []transport.Become{{}, {Method: "sudo"}, {Method: "sudo", User: "nobody"}} {
		t.Run(as.Method+as.User, func(t *testing.T) {
			t.Parallel()
			spec := labSpec(t, "web1")
			spec.Become = as
			dir := "/var/tmp/orch-job-test-" + as.Method + as.User
			connect := func() (*Pool, Placement) {
				p, _ := labPool(t)
				place, err := p.Connect(t.Context(), spec)
				if err != nil {
					t.Fatal(err)
				}
				return p, place
			}
			pool, place := connect()
			short := begin(t, place, dir, 60, shell("sleep 2; id -un"))
			long := begin(t, place, dir, 1, shell("sleep 4711 & sleep 4711"))
			if err := pool.Close(); err != nil {
				t.Fatal(err)
			}
			_, place = connect()
			defer func() { _, _ = place.Run(t.Context(), shell("rm -rf "+dir)) }()
			out, _ := finished(t, place, dir, short, 20*time.Second)
			if user, _ := out["stdout"].(string); user == "" || as.User != "" && user != as.User {
				t.Errorf("the job ran as %q: %v", user, out)
			}
			out, res := finished(t, place, dir, long, 30*time.Second)
			if out["msg"] != "Timeout exceeded" || res.Failure == nil {
				t.Errorf("the long job: %v", out)
			}
			left, err := place.Run(t.Context(), shell("pgrep -u $(id -u) -f '^sleep 4711' || true"))
			if err != nil || strings.Contains(string(left.Out), `"stdout":"`) && !strings.Contains(string(left.Out), `"stdout":""`) {
				t.Errorf("what the job started is still there: %s, %v", left.Out, err)
			}
		})
	}
}
