// Command jinjacases runs files of recorded cases and says how many the engine gets right:
//
//	go run ./playbook/jinja/jinjacases [-v] FILE...
//
// Where Jinja2 raised, any error is right. A result other than Jinja2's, without an
// error, is silently wrong.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"

	"orch/playbook/jinja/jinjatest"
)

func main() {
	verbose := flag.Bool("v", false, "list the failures")
	flag.Parse()
	if flag.NArg() == 0 {
		fmt.Fprintln(os.Stderr, "usage: jinjacases [-v] FILE...")
		os.Exit(2)
	}
	ok := true
	for _, name := range flag.Args() {
		right, err := report(os.Stdout, name, *verbose)
		if err != nil {
			fmt.Fprintf(os.Stderr, "jinjacases: %s: %v\n", name, err)
			os.Exit(1)
		}
		ok = ok && right
	}
	if !ok {
		os.Exit(1)
	}
}

func report(w io.Writer, name string, verbose bool) (right bool, err error) {
	f, err := os.Open(name)
	if err != nil {
		return false, err
	}
	defer f.Close()
	cases, err := jinjatest.Load(f)
	if err != nil {
		return false, err
	}
	var count [3]int
	for i := range cases {
		c := &cases[i]
		r := c.Run()
		count[r.Verdict]++
		if verbose && r.Verdict != jinjatest.Passed {
			describe(w, c, r)
		}
	}
	percent := 100.0
	if len(cases) > 0 {
		percent = 100 * float64(count[jinjatest.Passed]) / float64(len(cases))
	}
	fmt.Fprintf(w, "%s: %d passed (%.2f %%), %d failed, %d silently wrong\n", name,
		count[jinjatest.Passed], percent, count[jinjatest.Failed], count[jinjatest.Wrong])
	return count[jinjatest.Passed] == len(cases), nil
}

func describe(w io.Writer, c *jinjatest.Case, r jinjatest.Result) {
	fmt.Fprintf(w, "%s %s %q\n", c.ID, c.Kind, c.Template)
	switch {
	case c.Expected != nil:
		fmt.Fprintf(w, "    want %q\n", *c.Expected)
	default:
		fmt.Fprintf(w, "    want an error: %q\n", c.Error)
	}
	if r.Err != nil {
		fmt.Fprintf(w, "    got error: %v\n", r.Err)
		return
	}
	fmt.Fprintf(w, "    got  %q\n", r.Got)
}
