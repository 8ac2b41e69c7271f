package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"orch/modules/target/embedded"
	"orch/modules/target/wire"
)

// startPart measures what comes before the first task.
func startPart(e env) error {
	rows := [][]string{{"figure", "clock", "CPU", "goal", ""}}
	add := func(name string, n int, goal time.Duration, dir string, argv ...string) error {
		all, err := repeat(n, dir, nil, argv...)
		if err != nil {
			return err
		}
		wall := median(walls(all))
		rows = append(rows, []string{name, ms(wall), ms(median(cpus(all))), "≤ " + ms(goal), met(wall, goal)})
		return nil
	}
	if err := add("orch version", 20, 20*time.Millisecond, e.tmp, e.orch, "version"); err != nil {
		return err
	}
	ready, answer, size, err := helperStart(e)
	if err != nil {
		return err
	}
	const goalHelper, goalSize = 20 * time.Millisecond, 4_000_000
	rows = append(rows,
		[]string{"helper, until it is ready", ms(median(ready)), "", "≤ " + ms(goalHelper), met(median(ready), goalHelper)},
		[]string{"helper, until its first answer", ms(median(answer)), "", "", ""},
		[]string{"helper, compressed", mb(size), "", "≤ " + mb(goalSize), met(size, goalSize)})
	dir := filepath.Join(e.tmp, "project")
	if err := project([]string{dir}); err != nil {
		return err
	}
	what := fmt.Sprintf("load and resolve %d tasks, %d roles, %d hosts", projectTasks, projectRoles, projectHosts)
	if err := add(what, 7, 500*time.Millisecond, dir, e.orch, "run", "site.yml", "-i", "hosts.ini", "--list-tasks"); err != nil {
		return err
	}
	if err := add("the same, --syntax-check", 7, 500*time.Millisecond, dir, e.orch, "run", "site.yml", "-i", "hosts.ini", "--syntax-check"); err != nil {
		return err
	}
	if err := add("load an inventory of 10,000 hosts", 5, time.Second, dir, e.orch, "inventory", "-i", "many.ini", "--host", "n09999"); err != nil {
		return err
	}
	st, err := os.Stat(e.orch)
	if err != nil {
		return err
	}
	const goalOrch = 55_000_000
	rows = append(rows, []string{"orch, both helpers in it", mb(st.Size()), "", "≤ " + mb(goalOrch), met(st.Size(), goalOrch)})
	table(rows...)
	fmt.Println("medians; the files are in the page cache")
	return nil
}

// helperStart starts this machine's helper as a host does, and returns how long it took
// until it said so and until it had answered a request, and its compressed size.
func helperStart(e env) (ready, answer []time.Duration, size int64, err error) {
	_, open, err := embedded.Helper(runtime.GOARCH)
	if err != nil {
		return nil, nil, 0, err
	}
	r, err := open()
	if err != nil {
		return nil, nil, 0, err
	}
	program, err := io.ReadAll(r)
	if err != nil {
		return nil, nil, 0, err
	}
	path := filepath.Join(e.tmp, "helper")
	if err := os.WriteFile(path, program, 0o700); err != nil {
		return nil, nil, 0, err
	}
	packed, err := embedded.Size(runtime.GOARCH)
	if err != nil {
		return nil, nil, 0, err
	}
	for range 20 {
		a, b, err := helperOnce(path)
		if err != nil {
			return nil, nil, 0, err
		}
		ready, answer = append(ready, a), append(answer, b)
	}
	return ready, answer, packed, nil
}

func helperOnce(path string) (ready, answer time.Duration, err error) {
	cmd := exec.Command(path, "serve")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return 0, 0, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return 0, 0, err
	}
	start := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, 0, err
	}
	in := bufio.NewReader(stdout)
	line, err := in.ReadString('\n')
	if err != nil {
		return 0, 0, err
	}
	ready = time.Since(start)
	if line != strings.TrimRight(wire.Ready, "\n")+"\n" {
		return 0, 0, fmt.Errorf("the helper says %q", line)
	}
	client, err := wire.NewClient(helperPipe{in, stdin}, nil)
	if err != nil {
		return 0, 0, err
	}
	_, err = client.Run(context.Background(), wire.Run{Module: "ansible.builtin.ping", Args: []byte(`{"Data":"pong"}`)}, nil)
	answer = time.Since(start)
	return ready, answer, errors.Join(err, client.Close(), cmd.Wait())
}

// A helperPipe is the helper's output and input.
type helperPipe struct {
	io.Reader
	io.WriteCloser
}
