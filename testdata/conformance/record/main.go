// Command record runs the cases through Ansible and writes down what it did.
//
//	ORCH_ANSIBLE=BIN go run ./testdata/conformance/record [-all] [NAME…]
//
// BIN is a folder with ansible-playbook and its kin. Without names, the cases without a
// recording are run; -all runs every one again.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"

	"golang.org/x/sync/errgroup"

	"orch/testdata/conformance"
)

func main() {
	all := flag.Bool("all", false, "record every case again")
	dir := flag.String("dir", "testdata/conformance", "the folder of the cases")
	jobs := flag.Int("jobs", 2, "how many to run at once")
	flag.Parse()
	if err := record(*dir, *all, *jobs, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "record:", err)
		os.Exit(1)
	}
}

func record(dir string, all bool, jobs int, names []string) error {
	bin := os.Getenv("ORCH_ANSIBLE")
	if bin == "" {
		return fmt.Errorf("ORCH_ANSIBLE is not set: it names the folder of ansible-playbook and its kin")
	}
	ctx := context.Background()
	version, err := ansibleVersion(ctx, bin)
	if err != nil {
		return err
	}
	cases, err := conformance.Load(dir)
	if err != nil {
		return err
	}
	env := []string{
		"PATH=" + bin + ":/usr/local/bin:/usr/bin:/bin", "ANSIBLE_DEVEL_WARNING=false",
		// Which Python a host has is no part of the language.
		"ANSIBLE_PYTHON_INTERPRETER=/usr/bin/python3", "ANSIBLE_PIPELINING=1",
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(jobs)
	for _, c := range cases {
		if named := slices.Contains(names, c.Name); !all && !named && (len(names) > 0 || c.Recorded != "") {
			continue
		}
		group.Go(func() error {
			// It may have been edited since.
			c, err := conformance.Read(c.Path)
			if err != nil {
				return err
			}
			outcomes, err := c.Run(ctx, env)
			if err != nil {
				return fmt.Errorf("%s: %w", c.Name, err)
			}
			c.SetRecorded(version)
			fmt.Println(c.Name)
			return c.Save("want", outcomes)
		})
	}
	return group.Wait()
}

var versionLine = regexp.MustCompile(`\[(core [^\]]+)\](?:.*\b([0-9a-f]{10})\b)?`)

// ansibleVersion is what "ansible-playbook --version" calls itself.
func ansibleVersion(ctx context.Context, bin string) (string, error) {
	out, err := exec.CommandContext(ctx, bin+"/ansible-playbook", "--version").Output()
	if err != nil {
		return "", err
	}
	m := versionLine.FindStringSubmatch(string(out))
	if m == nil {
		return "", fmt.Errorf("no version in %q", out)
	}
	version := "ansible-" + m[1]
	if m[2] != "" {
		version += ", commit " + m[2]
	}
	return version, nil
}
