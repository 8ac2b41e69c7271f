package main

import (
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"orch/transport/transporttest"
)

var update = flag.Bool("update", false, "rewrite what the scripts expect, and what orch does in the cases that differ on purpose")

func TestMain(m *testing.M) {
	run := func() {
		if os.Getenv(noHelper) != "" {
			helpers = withoutHelpers
		}
		os.Exit(mainExit(os.Args, os.Stderr))
	}
	commands := map[string]func(){"orch": run}
	for name := range personas {
		commands[name] = run
	}
	testscript.Main(m, commands)
}

// scripts runs the scripts of a folder; vars are their environment. A script is named
// after what it shows.
func scripts(t *testing.T, dir string, vars map[string]string) {
	t.Helper()
	testscript.Run(t, testscript.Params{
		Dir:                 dir,
		RequireExplicitExec: true,
		UpdateScripts:       *update,
		Cmds:                map[string]func(ts *testscript.TestScript, neg bool, args []string){"exits": exits},
		Setup: func(env *testscript.Env) error {
			// A home of its own: no ansible.cfg, keys or caches of whoever runs the test.
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("XDG_CACHE_HOME", env.WorkDir+"/.cache")
			env.Setenv("NO_COLOR", "1")
			env.Setenv("PATH", os.Getenv("PATH"))
			env.Setenv("SSH_AUTH_SOCK", "")
			for k, v := range vars {
				env.Setenv(k, v)
			}
			return nil
		},
	})
}

var (
	took        = regexp.MustCompile(`(?m) in [0-9.msh]+$`) // how long a run was
	fingerprint = regexp.MustCompile(`SHA256:[A-Za-z0-9+/]{43}`)
)

// exits CODE COMMAND… runs a command that must end with CODE, and leaves what it printed
// in the files out and err. What differs from run to run stands there as $WORK,
// $SSHD, $SSHUSER, $PORT, $CHANGED, SHA256:… and "in …".
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND…")
	}
	code := 0
	err := ts.Exec(args[1], args[2:]...)
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		code = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	for from, to := range map[string]string{"stdout": "out", "stderr": "err"} {
		text := ts.ReadFile(from)
		for _, name := range []string{"WORK", "CHANGED", "SSHD", "PORT"} {
			if v := ts.Getenv(name); v != "" {
				text = strings.ReplaceAll(text, v, "$"+name)
			}
		}
		if user := ts.Getenv("SSHUSER"); user != "" { // a short word, so only where it logs in
			text = strings.ReplaceAll(text, "ssh "+user+"@", "ssh $SSHUSER@")
		}
		text = fingerprint.ReplaceAllString(took.ReplaceAllString(text, " in …"), "SHA256:…")
		ts.Check(os.WriteFile(ts.MkAbs(to), []byte(text), 0o600))
	}
	if strconv.Itoa(code) != args[0] {
		ts.Fatalf("%q ended with %d, want %s\n%s%s", args[1:], code, args[0], ts.ReadFile("stdout"), ts.ReadFile("stderr"))
	}
}

func TestScripts(t *testing.T) { scripts(t, "testdata", nil) }

// TestBadInput holds every message about wrong input and its exit code. The inventories
// of these scripts have a host whose ProxyCommand leaves a file behind: nothing may be
// dialled that a mistake known beforehand forbids.
func TestBadInput(t *testing.T) { scripts(t, "testdata/bad", nil) }

// TestBadHosts is TestBadInput for what only a real server can refuse.
func TestBadHosts(t *testing.T) {
	t.Setenv("SSH_AUTH_SOCK", "")
	s := transporttest.Sshd(t)
	other := transporttest.Sshd(t)
	key, err := os.ReadFile(other.KnownHosts)
	if err != nil {
		t.Fatal(err)
	}
	// The other server's key under this one's name.
	wrong := strings.Replace(string(key), strconv.Itoa(other.Port), strconv.Itoa(s.Port), 1)
	path := filepath.Join(t.TempDir(), "changed")
	if err := os.WriteFile(path, []byte(wrong), 0o600); err != nil {
		t.Fatal(err)
	}
	scripts(t, "testdata/sshd", map[string]string{
		"PORT": strconv.Itoa(s.Port), "SSHD": s.Dir, "KEY": s.KeyFile, "KNOWN": s.KnownHosts, "CHANGED": path, "SSHUSER": s.User,
	})
}
