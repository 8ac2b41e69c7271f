package main

import (
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	run := func() { os.Exit(mainExit(os.Args, os.Stderr)) }
	commands := map[string]func(){"orch": run}
	for name := range personas {
		commands[name] = run
	}
	testscript.Main(m, commands)
}

// TestScripts runs orch as users do. A script is named after what it shows.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			// A home of its own: no ansible.cfg, keys or caches of whoever runs the test.
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("XDG_CACHE_HOME", env.WorkDir+"/.cache")
			env.Setenv("NO_COLOR", "1")
			env.Setenv("PATH", os.Getenv("PATH"))
			return nil
		},
	})
}
