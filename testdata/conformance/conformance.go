// Package conformance holds small playbooks with what ansible-core did with them, and what
// it takes to run one and to compare: the recorder beside it runs Ansible, a test of
// cmd/orch runs orch under Ansible's names.
//
// A case is a txtar archive. Its comment says in words what it shows, then, a line each:
//
//	$ COMMAND           a shell command to run in the case's folder; several are allowed
//	env: NAME=VALUE     an environment variable for all of them
//	unordered           hosts do not wait for each other: compare host by host, not the text
//	differs: REASON     orch does otherwise on purpose
//	recorded: VERSION   written by the recorder
//
// Files whose names begin with "want" are recorded from Ansible, those that begin with
// "orch" from orch, for a case that differs; the others are the case's project. A file
// that begins with "#!" is executable.
package conformance

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/txtar"
)

// A Case is a project, the commands to run in it, and what came of them.
type Case struct {
	Name     string
	Commands []string
	// Differs says why orch is not to do what Ansible does; empty: it is.
	Differs   string
	Unordered bool
	// Recorded names the version that made the expectation; empty: nothing was recorded.
	Recorded string

	env     []string
	archive *txtar.Archive

	// Path is the case's file.
	Path string
}

// An Outcome is what one command did.
type Outcome struct {
	// Status is the exit code and the state of each task on each host.
	Status         string
	Stdout, Stderr string
}

// Load reads every case of a folder in order of name.
func Load(dir string) ([]*Case, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.txtar"))
	if err != nil {
		return nil, err
	}
	var cases []*Case
	for _, path := range paths {
		c, err := Read(path)
		if err != nil {
			return nil, err
		}
		cases = append(cases, c)
	}
	return cases, nil
}

// Read reads the case of a file.
func Read(path string) (*Case, error) {
	ar, err := txtar.ParseFile(path)
	if err != nil {
		return nil, err
	}
	c := &Case{Name: strings.TrimSuffix(filepath.Base(path), ".txtar"), archive: ar, Path: path}
	for line := range strings.Lines(string(ar.Comment)) {
		line = strings.TrimSpace(line)
		key, val, _ := strings.Cut(line, " ")
		switch key {
		case "$":
			c.Commands = append(c.Commands, val)
		case "env:":
			c.env = append(c.env, val)
		case "differs:":
			c.Differs = val
		case "unordered":
			c.Unordered = c.Unordered || val == ""
		case "recorded:":
			c.Recorded = val
		}
	}
	if len(c.Commands) == 0 {
		return nil, fmt.Errorf("%s: no command: a line that begins with %q", path, "$ ")
	}
	return c, nil
}

// Run lays the project out in a new folder and runs its commands there. env is the
// environment; PATH in it decides whose commands they are.
func (c *Case) Run(ctx context.Context, env []string) ([]Outcome, error) {
	dir, err := os.MkdirTemp("", "conformance")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return nil, err
	}
	work := filepath.Join(dir, "work")
	if err := c.layOut(work); err != nil {
		return nil, err
	}
	env = slices.Concat(env, []string{"HOME=" + dir, "PWD=" + work, "LC_ALL=C.UTF-8", "TERM=dumb", "ANSIBLE_NOCOLOR=1", "ANSIBLE_FORKS=1"})
	if _, err := os.Stat(filepath.Join(work, "ansible.cfg")); err != nil {
		// No settings of the machine's.
		empty := filepath.Join(dir, "empty.cfg")
		if err := os.WriteFile(empty, nil, 0o644); err != nil {
			return nil, err
		}
		env = append(env, "ANSIBLE_CONFIG="+empty)
	}
	var out []Outcome
	for _, command := range c.Commands {
		o, err := runOne(ctx, command, work, slices.Concat(env, c.env))
		if err != nil {
			return nil, err
		}
		if c.Unordered {
			o.Status = included.ReplaceAllString(o.Status, "\tincluded")
		}
		out = append(out, o)
	}
	return out, nil
}

// included is an include of a host: without an order, it stands below any task's heading.
var included = regexp.MustCompile(`(?m)^\t.*: included$`)

// Project is the text of the files of the case's project.
func (c *Case) Project() string {
	var b strings.Builder
	for _, f := range c.archive.Files {
		if !kept(f.Name) {
			b.Write(f.Data)
		}
	}
	return b.String()
}

func (c *Case) layOut(work string) error {
	for _, f := range c.archive.Files {
		if kept(f.Name) {
			continue
		}
		path := filepath.Join(work, filepath.FromSlash(f.Name))
		mode := os.FileMode(0o644)
		if strings.HasPrefix(string(f.Data), "#!") {
			mode = 0o755
		}
		if err := cmp.Or(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, f.Data, mode)); err != nil {
			return err
		}
	}
	return os.MkdirAll(work, 0o755)
}

// kept tells the files that hold outcomes.
func kept(name string) bool {
	return strings.HasPrefix(name, "want") || strings.HasPrefix(name, "orch")
}

func runOne(ctx context.Context, command, work string, env []string) (Outcome, error) {
	var stdout, stderr strings.Builder
	cmd := exec.CommandContext(ctx, "sh", "-c", command)
	cmd.Dir, cmd.Env = work, env
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if cmd.ProcessState == nil {
		return Outcome{}, err
	}
	out := normalStdout(stdout.String(), work)
	return Outcome{
		Status: fmt.Sprintf("exit %d\n%s", cmd.ProcessState.ExitCode(), statuses(out)),
		Stdout: out,
		Stderr: normalStderr(stderr.String(), work),
	}, nil
}

// Want returns what a kind of outcome ("want" or "orch") holds for each command.
func (c *Case) Want(kind string) []Outcome {
	out := make([]Outcome, len(c.Commands))
	for i := range out {
		prefix := prefix(kind, i)
		for _, f := range c.archive.Files {
			switch text := string(f.Data); f.Name {
			case prefix + ".status":
				out[i].Status = text
			case prefix + ".stdout":
				out[i].Stdout = text
			case prefix + ".stderr":
				out[i].Stderr = text
			}
		}
	}
	return out
}

func prefix(kind string, command int) string {
	if command == 0 {
		return kind
	}
	return fmt.Sprint(kind, command+1)
}

// Save writes the outcomes of a kind into the case's file.
func (c *Case) Save(kind string, outcomes []Outcome) error {
	c.archive.Files = slices.DeleteFunc(c.archive.Files, func(f txtar.File) bool { return strings.HasPrefix(f.Name, kind) })
	add := func(name, text string) {
		if text != "" {
			c.archive.Files = append(c.archive.Files, txtar.File{Name: name, Data: []byte(text)})
		}
	}
	for i, o := range outcomes {
		add(prefix(kind, i)+".status", o.Status)
		if !c.Unordered {
			add(prefix(kind, i)+".stdout", o.Stdout)
		}
		add(prefix(kind, i)+".stderr", o.Stderr)
	}
	return os.WriteFile(c.Path, txtar.Format(c.archive), 0o644)
}

// SetRecorded notes the version that Save's outcomes are from.
func (c *Case) SetRecorded(version string) {
	lines := strings.Split(strings.TrimSpace(string(c.archive.Comment)), "\n")
	lines = slices.DeleteFunc(lines, func(l string) bool { return strings.HasPrefix(l, "recorded:") })
	lines = append(lines, "recorded: "+version)
	c.Recorded = version
	c.archive.Comment = []byte(strings.Join(lines, "\n") + "\n")
}
