package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// The playbooks of scale: one light task, and as many more as tell what a task costs.
const (
	connectPlay = "- hosts: all\n  gather_facts: false\n  tasks:\n    - ansible.builtin.ping:\n"
	lightTask   = "    - ansible.builtin.file: {path: /etc, state: directory}\n"
	lightTasks  = 20
)

// goals of DESIGN section 8.
const (
	goalConnect = 6 * time.Millisecond
	goalTask    = 100 * time.Microsecond
	goalMemory  = 400 << 20
)

// scalePart measures the controller against servers in another process. What is counted
// is its processor time beyond that of starting up and loading the same inventory.
func scalePart(e env) error {
	rows := [][]string{{"hosts", "connect, CPU per host", "task, CPU per host and task", "facts and 9 tasks: CPU", "per host", "clock", "peak memory"}}
	var connect, task time.Duration
	var memory int64
	for _, size := range []struct{ hosts, rounds int }{{10, 5}, {100, 3}, {1000, 1}} {
		f, err := scaleAt(e, size.hosts, size.rounds)
		if err != nil {
			return err
		}
		connect, task, memory = f.connect, f.task, f.peak
		rows = append(rows, []string{strconv.Itoa(size.hosts), ms(f.connect), fmt.Sprint(f.task.Round(time.Microsecond)), ms(f.full), ms(f.full / time.Duration(size.hosts)), ms(f.wall), mb(f.peak)})
	}
	rows = append(rows, []string{"goal", "≤ " + ms(goalConnect), "≤ " + fmt.Sprint(goalTask), "", "", "", "≤ 400 MiB"},
		[]string{"", met(connect, goalConnect), met(task, goalTask), "", "", "", met(memory, goalMemory)})
	table(rows...)
	fmt.Println("ed25519 keys, a known_hosts with all hosts, default forks, servers in another process; the first uploads of the helper are not included")
	return nil
}

// figures are those of one number of hosts.
type figures struct {
	connect, task, full, wall time.Duration
	peak                      int64
}

func scaleAt(e env, hosts, rounds int) (figures, error) {
	var f figures
	dir, err := os.MkdirTemp(e.tmp, "scale-")
	if err != nil {
		return f, err
	}
	stop, err := startServers(e, hosts, dir)
	if err != nil {
		return f, err
	}
	defer stop()
	files := map[string]string{"one.yml": connectPlay, "many.yml": connectPlay + strings.Repeat(lightTask, lightTasks)}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return f, err
		}
	}
	run := func(args ...string) ([]sample, error) {
		return repeat(rounds, dir, []string{"SSH_AUTH_SOCK=", "ORCH_OUTPUT="}, append([]string{e.orch, "run", "-i", "hosts.ini", "--output", "plain", "--timeout", "60"}, args...)...)
	}
	base, err := run("one.yml", "--list-hosts")
	if err != nil {
		return f, err
	}
	one, err := run("one.yml")
	if err != nil {
		return f, err
	}
	many, err := run("many.yml")
	if err != nil {
		return f, err
	}
	full, err := run(filepath.Join(e.home, "scale.yml"), "-e", "sandbox="+filepath.Join(dir, "hosts"))
	if err != nil {
		return f, err
	}
	n := time.Duration(hosts)
	f.connect = (median(cpus(one)) - median(cpus(base))) / n
	f.task = (median(cpus(many)) - median(cpus(one))) / (n * lightTasks)
	f.full, f.wall, f.peak = median(cpus(full)), median(walls(full)), median(peaks(full))
	return f, nil
}

// startServers starts the second process and waits until it listens.
func startServers(e env, hosts int, dir string) (stop func(), err error) {
	cmd := exec.Command(e.self, "servers", strconv.Itoa(hosts), dir)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	stop = func() {
		stdin.Close()
		_ = cmd.Wait() // it has served
	}
	if line, err := bufio.NewReader(stdout).ReadString('\n'); err != nil {
		stop()
		return nil, fmt.Errorf("servers: %q: %w", line, err)
	}
	return stop, nil
}
