package main

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"orch/modules/target/embedded"
)

// A labHost is a host of testdata/lab for these tests.
type labHost struct{ name, state string }

// lab finds a host of the lab that is up, or skips the test. Hosts are looked into by the
// container engine, so that what they say owes nothing to orch.
func lab(t *testing.T, name string) labHost {
	t.Helper()
	dir := os.Getenv("ORCH_LAB")
	if _, err := os.Stat(filepath.Join(dir, "hosts.ini")); dir == "" || err != nil {
		t.Skip("ORCH_LAB names no lab that is up: make lab")
	}
	if _, _, err := embedded.Helper("amd64"); err != nil {
		t.Skip("no helper is embedded: make build")
	}
	if _, err := exec.LookPath("docker"); err != nil {
		t.Skip("the lab's hosts are containers, and there is no docker here")
	}
	return labHost{name, dir}
}

// sh runs a line on the host as root, beside orch.
func (h labHost) sh(t *testing.T, line string) string {
	t.Helper()
	out, err := exec.Command("docker", "exec", h.name, "sh", "-c", line).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %q: %v\n%s", h.name, line, err, out)
	}
	return string(out)
}

// inventory is the lab's.
func (h labHost) inventory() string { return filepath.Join(h.state, "hosts.ini") }

// A ran is what an orch that was run left.
type ran struct {
	code     int
	out, err string
}

// orch runs this program as orch in dir, with the environment added.
func orch(t *testing.T, dir string, env []string, args ...string) ran {
	t.Helper()
	cmd := orchCmd(t, dir, env, args...)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	// A run that hangs is to say where: its goroutines are in what it says.
	stuck := time.AfterFunc(10*time.Minute, func() { _ = cmd.Process.Signal(syscall.SIGABRT) })
	defer stuck.Stop()
	err := cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return ran{cmd.ProcessState.ExitCode(), out.String(), errOut.String()}
}

// orchCmd is the command of orch: the test program under orch's name.
func orchCmd(t *testing.T, dir string, env []string, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Args = append([]string{"orch"}, args...)
	cmd.Dir = dir
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "XDG_CACHE_HOME=" + home + "/.cache", "NO_COLOR=1"}, env...)
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// want fails the test unless the run ended with code.
func (r ran) want(t *testing.T, what string, code int) {
	t.Helper()
	if r.code != code {
		t.Fatalf("%s ended with %d, want %d\n%s\n%s", what, r.code, code, r.out, r.err)
	}
}

// noHelper makes the orch of these tests one without helpers.
const noHelper = "ORCH_TEST_NO_HELPER"

func withoutHelpers(string) (string, func() (io.ReadCloser, error), error) {
	return "", nil, fs.ErrNotExist
}

// TestBadInputInTheLab is TestBadInput for what only hosts with users can refuse.
func TestBadInputInTheLab(t *testing.T) {
	scripts(t, "testdata/lab", map[string]string{"LAB": lab(t, "db1").state})
}
