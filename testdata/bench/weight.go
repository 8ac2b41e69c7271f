package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// weightPart builds orch with symbols and lists what it is made of: Go's own packages,
// orch's and the ten heaviest dependencies, and why the linker keeps methods nobody calls.
func weightPart(e env) error {
	root := filepath.Dir(filepath.Dir(e.home))
	program := filepath.Join(e.tmp, "orch")
	build := exec.Command("go", "build", "-ldflags=-dumpdep", "-o", program, "./cmd/orch")
	build.Dir = root
	var deps bytes.Buffer
	build.Stderr = &deps
	if err := build.Run(); err != nil {
		return fmt.Errorf("build: %w\n%s", err, last(deps.String(), 20))
	}
	st, err := os.Stat(e.orch)
	if err != nil {
		return err
	}
	weights, err := symbols(program)
	if err != nil {
		return err
	}
	rows := [][]string{{"module", "code and data"}}
	for _, w := range weights[:min(12, len(weights))] {
		rows = append(rows, []string{w.name, mb(w.bytes)})
	}
	var all int64
	for _, w := range weights {
		all += w.bytes
	}
	table(append(rows, []string{"all", mb(all)}, []string{"the stripped program, with tables for stack traces and both helpers", mb(st.Size())})...)
	reflected(deps.String())
	return nil
}

// A weight is what a module adds.
type weight struct {
	name  string
	bytes int64
}

// symbols adds up the symbols in the file by module.
func symbols(program string) ([]weight, error) {
	out, err := exec.Command("go", "tool", "nm", "-size", program).Output()
	if err != nil {
		return nil, fmt.Errorf("go tool nm: %w", err)
	}
	sizes := map[string]int64{}
	lines := bufio.NewScanner(bytes.NewReader(out))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		// b is what is zero at the start and takes no room in the file; so is the scratch
		// memory of crypto's entropy source, whatever nm calls it.
		if len(fields) < 4 || strings.EqualFold(fields[2], "b") || fields[3] == "crypto/internal/fips140/drbg.memory" {
			continue
		}
		n, err := strconv.ParseInt(fields[1], 10, 64)
		if err != nil {
			continue
		}
		sizes[moduleOf(fields[3])] += n
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	var all []weight
	for name, n := range sizes {
		all = append(all, weight{name, n})
	}
	slices.SortFunc(all, func(a, b weight) int { return int(b.bytes - a.bytes) })
	return all, nil
}

var symbolPackage = regexp.MustCompile(`^(?:type:|go:itab\.|go:|\.eq\.|\.hash\.|[*\[\]0-9])*((?:[\w.~%-]+/)*[\w~%-]+)`)

// moduleOf is the module of a symbol, near enough: the first parts of its package.
func moduleOf(symbol string) string {
	m := symbolPackage.FindStringSubmatch(symbol)
	if m == nil {
		return "the rest"
	}
	parts := strings.Split(strings.ReplaceAll(m[1], "%2e", "."), "/")
	switch first := parts[0]; {
	case first == "vendor" || !strings.Contains(first, ".") && first != "orch":
		return "Go's own"
	case first == "github.com" || first == "golang.org" || first == "google.golang.org":
		return strings.Join(parts[:min(3, len(parts))], "/")
	case first == "orch":
		return "orch"
	default:
		return strings.Join(parts[:min(2, len(parts))], "/")
	}
}

// reflected prints the functions that look methods up by name at run time. While one of
// them is reachable, the linker keeps every exported method of every type that may reach
// an interface.
func reflected(deps string) {
	var by []string
	for line := range strings.Lines(deps) {
		if from, ok := strings.CutSuffix(strings.TrimSpace(line), " <ReflectMethod>"); ok && !slices.Contains(by, from) {
			by = append(by, from)
		}
	}
	if len(by) == 0 {
		fmt.Println("no function looks methods up by name: the linker drops methods nobody calls")
		return
	}
	fmt.Println("these look methods up by name, so the linker keeps all exported methods:")
	for _, from := range by {
		fmt.Println("  " + from)
	}
}
