// Command bench measures orch and what it is measured against. bench.sh builds what it
// needs and starts it; each part prints one table.
//
// Time on the clock is comparable within a run only: what is compared runs in turns, and
// the median counts. Processor time (user and system, the program and what it waited for)
// is less sensitive to what else a machine does.
package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
)

// A part is one of the tables.
type part struct {
	name, about string
	run         func(env) error
}

// An env is where the parts find things.
type env struct {
	orch string // the program to measure
	home string // the folder of this command's data
	tmp  string // for files of a run
	self string // this program, for what must be a process of its own
}

func parts() []part {
	return []part{
		{"start", "start-up of orch and of the helper, sizes, loading", startPart},
		{"scale", "the controller's cost as hosts grow", scalePart},
		{"site", "an ordinary playbook beside its peers", sitePart},
		{"weight", "what the program is made of", weightPart},
	}
}

func main() {
	if err := command(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// command runs a helper process (servers, floor, project) or parts.
func command(args []string) error {
	if len(args) > 0 {
		switch args[0] {
		case "servers":
			return servers(args[1:])
		case "floor":
			return floor(args[1:])
		case "project":
			return project(args[1:])
		}
	}
	e := env{orch: os.Getenv("BENCH_ORCH"), home: os.Getenv("BENCH_HOME")}
	if e.orch == "" || e.home == "" {
		return errors.New("started by bench.sh, which sets BENCH_ORCH and BENCH_HOME")
	}
	var err error
	if e.self, err = os.Executable(); err != nil {
		return err
	}
	if e.tmp, err = os.MkdirTemp("", "orch-bench-"); err != nil {
		return err
	}
	defer os.RemoveAll(e.tmp)
	var names []string
	for _, p := range parts() {
		names = append(names, p.name)
		if len(args) > 0 && !slices.Contains(args, p.name) {
			continue
		}
		fmt.Printf("\n== %s: %s\n", p.name, p.about)
		if err := p.run(e); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	for _, arg := range args {
		if !slices.Contains(names, arg) {
			return fmt.Errorf("no part %q: one of %s", arg, strings.Join(names, ", "))
		}
	}
	return nil
}
