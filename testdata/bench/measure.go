package main

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"
)

// A sample is one run of a program.
type sample struct {
	wall, cpu time.Duration
	peak      int64 // bytes of memory, at most
	out       string
}

// measure runs a program and returns what it cost, with its output.
func measure(dir string, environ []string, argv ...string) (sample, error) {
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), environ...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	start := time.Now()
	err := cmd.Run()
	s := sample{wall: time.Since(start), out: out.String()}
	if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		s.cpu = time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
		s.peak = usage.Maxrss << 10
	}
	if err != nil {
		return s, fmt.Errorf("%s: %w\n%s", strings.Join(argv, " "), err, last(s.out, 30))
	}
	return s, nil
}

// repeat measures a program n times.
func repeat(n int, dir string, environ []string, argv ...string) ([]sample, error) {
	var all []sample
	for range n {
		s, err := measure(dir, environ, argv...)
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

// last is the end of a text.
func last(text string, lines int) string {
	all := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

func median[T cmp.Ordered](values []T) T {
	if len(values) == 0 {
		var zero T
		return zero
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

func walls(all []sample) (out []time.Duration) {
	for _, s := range all {
		out = append(out, s.wall)
	}
	return out
}

func cpus(all []sample) (out []time.Duration) {
	for _, s := range all {
		out = append(out, s.cpu)
	}
	return out
}

func peaks(all []sample) (out []int64) {
	for _, s := range all {
		out = append(out, s.peak)
	}
	return out
}

// ms is a time as milliseconds.
func ms(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000) }

// mb is a size as megabytes.
func mb(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }

// met compares a value with its goal, which is the most it may be.
func met[T cmp.Ordered](value, goal T) string {
	if value <= goal {
		return "met"
	}
	return "MISSED"
}

// table prints rows in columns; the first is the head.
func table(rows ...[]string) {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 3, ' ', 0)
	for _, row := range rows {
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	_ = w.Flush() // a broken terminal shows by itself
}
