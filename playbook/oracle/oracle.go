// Package oracle lets tests ask Python: a program of the test's own that is kept running
// and answers a line of JSON with a line of JSON. Compare repeats a comparison with it for
// as long as the flag -oracle says:
//
//	go test ./playbook/jinja -run TestOracle -oracle 10m -oracle.seed 7
package oracle

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os/exec"
	"sync"
	"testing"
	"time"
)

// Python is the interpreter that Debian's packages belong to, whatever version manager
// comes first in the path.
const Python = "/usr/bin/python3"

var (
	howLong = flag.Duration("oracle", 2*time.Second, "how long each comparison with Python goes on")
	seed    = flag.Uint64("oracle.seed", 1, "the seed of what is compared")
	all     = flag.Bool("oracle.all", false, "go on after a difference and report them all")
)

// Compare calls once until the time of -oracle is over or something differs. once reports
// a difference to t, and returns whether it compared anything.
func Compare(t *testing.T, once func(rnd *rand.Rand) bool) {
	t.Helper()
	rnd, n := rand.New(rand.NewPCG(*seed, 2)), 0 //nolint:gosec // no secret
	for begin := time.Now(); time.Since(begin) < *howLong && (*all || !t.Failed()); {
		if once(rnd) {
			n++
		}
	}
	t.Logf("%d compared, seed %d", n, *seed)
	if n == 0 {
		t.Error("nothing was compared")
	}
}

// A Process is a running oracle. It may be asked by several goroutines; the questions wait
// for each other.
type Process struct {
	mu     sync.Mutex
	script []string
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *bufio.Reader
	said   bytes.Buffer // on stderr
}

// Start readies the program script, with arguments. The test is skipped when the Python
// statement needs fails: what the program needs is not installed.
func Start(tb testing.TB, needs string, script ...string) *Process {
	tb.Helper()
	if out, err := exec.Command(Python, "-c", needs).CombinedOutput(); err != nil {
		tb.Skipf("python3 lacks what the oracle needs: %s: %v %s", needs, err, out)
	}
	p := &Process{script: script}
	tb.Cleanup(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.stop()
	})
	return p
}

func (p *Process) start() error {
	cmd := exec.Command(Python, p.script...)
	p.said.Reset()
	cmd.Stderr = &p.said
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	p.cmd, p.in, p.out = cmd, in, bufio.NewReaderSize(out, 1<<20)
	return nil
}

func (p *Process) stop() {
	if p.cmd == nil {
		return
	}
	_ = p.in.Close()
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
	p.cmd = nil
}

// Ask sends a question and reads the answer. A process that does not answer within the
// limit is killed; the next question starts another.
func (p *Process) Ask(question, answer any, limit time.Duration) error {
	line, err := json.Marshal(question)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		if err := p.start(); err != nil {
			return err
		}
	}
	process := p.cmd.Process
	timer := time.AfterFunc(limit, func() { _ = process.Kill() })
	defer timer.Stop()
	_, err = p.in.Write(append(line, '\n'))
	var reply []byte
	if err == nil {
		reply, err = p.out.ReadBytes('\n')
	}
	if err != nil {
		p.stop()
		return fmt.Errorf("the oracle ended at %.200s: %w\n%s", line, err, p.said.String())
	}
	return json.Unmarshal(reply, answer)
}
