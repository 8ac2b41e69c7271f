package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"orch/modules/target"
)

// siteRequests is how often site.yml speaks to a host: the facts, and each task and loop
// item that is not the engine's own.
const siteRequests = 25

// A tool does the site's work, or the floor's.
type tool struct {
	name    string
	argv    []string
	environ []string
	dir     string
	first   sample
	again   []sample
}

// sitePart runs the site with every tool, first on hosts that lack everything, then in
// turns with nothing to change.
func sitePart(e env) error {
	inventory := os.Getenv("BENCH_INVENTORY")
	if inventory == "" {
		return fmt.Errorf("BENCH_INVENTORY is empty: bench.sh sets it to the lab's hosts for measuring")
	}
	specs, err := readInventory(inventory)
	if err != nil {
		return err
	}
	playbook := os.Getenv("BENCH_SITE")
	if playbook == "" {
		playbook = filepath.Join(e.home, "site", "site.yml")
	}
	if playbook, err = filepath.Abs(playbook); err != nil {
		return err
	}
	tools := siteTools(e, inventory, playbook)
	for _, t := range tools {
		if t.name == floorName {
			continue
		}
		if err := undo(e, specs); err != nil {
			return err
		}
		if t.first, err = t.measure(e); err != nil {
			return err
		}
		progress("first run, %s: %s", t.name, ms(t.first.wall))
	}
	rounds := 3
	if n, err := strconv.Atoi(os.Getenv("BENCH_ROUNDS")); err == nil && n > 0 {
		rounds = n
	}
	for i := range rounds {
		for _, t := range tools {
			s, err := t.measure(e)
			if err != nil {
				return err
			}
			progress("turn %d of %d, %s: %s", i+1, rounds, t.name, ms(s.wall))
			t.again = append(t.again, s)
		}
	}
	return siteTable(tools, len(specs), rounds)
}

// progress says how far it is: the peers take minutes.
func progress(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "site: "+format+"\n", args...)
}

const (
	floorName   = "floor"
	ansibleName = "ansible-core"
	mitogenName = "mitogen"
)

// siteTools are those that are installed; orch and the floor always are.
func siteTools(e env, inventory, playbook string) []*tool {
	dir := filepath.Dir(playbook)
	tools := []*tool{
		{name: floorName, argv: []string{e.self, "floor", inventory, strconv.Itoa(siteRequests)}},
		{name: "orch", argv: []string{e.orch, "run", playbook, "-i", inventory, "--output", "plain"}},
	}
	if _, err := exec.LookPath("ansible-playbook"); err != nil {
		fmt.Println("ansible-playbook is not installed: no peers")
		return tools
	}
	// The peers are told where python is, so that they need not look for it.
	argv := []string{"ansible-playbook", "-i", inventory, "-e", "ansible_python_interpreter=/usr/bin/python3", playbook}
	environ := []string{"ANSIBLE_PIPELINING=1", "ANSIBLE_FORKS=20", "ANSIBLE_TIMEOUT=60", "ANSIBLE_NOCOWS=1"}
	tools = append(tools, &tool{name: ansibleName, argv: argv, environ: environ})
	if plugins := os.Getenv("BENCH_MITOGEN"); plugins != "" {
		tools = append(tools, &tool{name: mitogenName, argv: argv, environ: append(environ[:len(environ):len(environ)],
			"ANSIBLE_HOST_KEY_CHECKING=False", "ANSIBLE_STRATEGY=mitogen_linear", "ANSIBLE_STRATEGY_PLUGINS="+plugins)})
	}
	for _, t := range tools {
		t.dir = dir
	}
	return tools
}

// measure runs the tool with connections of its own: none is left from the run before.
func (t *tool) measure(e env) (sample, error) {
	sockets, err := os.MkdirTemp(e.tmp, "cp")
	if err != nil {
		return sample{}, err
	}
	// Settings of whoever measures must not count: ansible wants a file that is there.
	settings := filepath.Join(sockets, "ansible.cfg")
	if err := os.WriteFile(settings, nil, 0o600); err != nil {
		return sample{}, err
	}
	s, err := measure(t.dir, append(t.environ, "SSH_AUTH_SOCK=", "ANSIBLE_CONFIG="+settings, "ANSIBLE_SSH_CONTROL_PATH_DIR="+sockets), t.argv...)
	_ = os.Remove(settings)
	masters, _ := filepath.Glob(filepath.Join(sockets, "*")) // the pattern is a good one
	for _, path := range masters {
		_ = exec.Command("ssh", "-o", "ControlPath="+path, "-O", "exit", "host").Run() // it may have ended already
	}
	if err != nil && t.name == mitogenName && strings.Contains(s.out, "unreachable=0") {
		err = nil // Debian's version fails one module; the table counts what failed
	}
	return s, err
}

// failed counts the hosts with a failed task of a peer's run.
func (t *tool) failed() (n int) {
	if len(t.again) == 0 {
		return 0
	}
	for line := range strings.Lines(t.again[0].out) {
		if strings.Contains(line, "failed=") && !strings.Contains(line, "failed=0") {
			n++
		}
	}
	return n
}

func siteTable(tools []*tool, hosts, rounds int) error {
	var orch, floor time.Duration
	rows := [][]string{{"tool", "first run", "nothing to change", "CPU here", "orch is faster by"}}
	for _, t := range tools {
		switch t.name {
		case "orch":
			orch = median(walls(t.again))
		case floorName:
			floor = median(walls(t.again))
		}
	}
	verdict := []string{fmt.Sprintf("orch / floor %.2f (goal ≤ 2.5): %s", ratio(orch, floor), met(ratio(orch, floor), 2.5))}
	for _, t := range tools {
		wall := median(walls(t.again))
		first, faster := ms(t.first.wall), fmt.Sprintf("%.1f", ratio(wall, orch))
		if t.name == floorName {
			first = ""
		}
		rows = append(rows, []string{t.name, first, ms(wall), ms(median(cpus(t.again))), faster})
		if t.name == ansibleName {
			verdict = append(verdict, fmt.Sprintf("ansible-core / orch %.0f (goal ≥ 40, aim 70): %s", ratio(wall, orch), met(40, ratio(wall, orch))))
		}
		if n := t.failed(); n > 0 {
			verdict = append(verdict, fmt.Sprintf("%s failed a task on %d hosts, and did not do what follows it there", t.name, n))
		}
	}
	table(rows...)
	for _, line := range verdict {
		fmt.Println(line)
	}
	fmt.Printf("%d hosts; median of %d runs in turns; the first run is one run and includes the upload of the helper, the others do not\n", hosts, rounds)
	return nil
}

func ratio(a, b time.Duration) float64 { return float64(a) / float64(max(b, 1)) }

// undoScript takes back what the site did and removes what tools left behind.
const undoScript = `userdel -r journal; groupdel journal; rm -rf /srv/journal /etc/vhosts.conf /etc/hosts.app ~/.ansible ~/.cache/orch
: >/etc/motd; sed -i '/BEGIN ANSIBLE MANAGED BLOCK/,/END ANSIBLE MANAGED BLOCK/d' /etc/profile; crontab -r; true`

// undo makes the hosts lack everything again.
func undo(e env, specs []target.HostSpec) error {
	var group errgroup.Group
	for _, s := range specs {
		group.Go(func() error {
			args := append([]string{"ssh", "-i", s.KeyFile, "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes"}, strings.Fields(s.CommonArgs)...)
			_, err := measure(e.tmp, nil, append(args, s.User+"@"+s.Address, undoScript)...)
			return err
		})
	}
	return group.Wait()
}
