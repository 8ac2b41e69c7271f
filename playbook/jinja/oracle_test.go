package jinja_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"sync"
	"testing"
	"time"
)

// An oracle is a Python process that answers what CPython's Jinja2 makes of templates.
type oracle struct {
	mu   sync.Mutex
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *bufio.Reader
	dead error
}

type oracleRequest struct {
	Src       string            `json:"src"`
	Context   json.RawMessage   `json:"context,omitempty"`
	Templates map[string]string `json:"templates,omitempty"`
	Opts      map[string]any    `json:"opts,omitempty"`
	Undefined string            `json:"undefined"`
	// N asks to render so often, or to compile, and to say how long that took.
	N       int  `json:"n,omitempty"`
	Compile bool `json:"compile,omitempty"`
}

type oracleAnswer struct {
	Out   string `json:"out"`
	Error string `json:"error"`
	Skip  string `json:"skip"`
	NS    int64  `json:"ns"`
}

// python is the interpreter that Debian's python3-jinja2 belongs to.
const python = "/usr/bin/python3"

func startOracle(tb testing.TB) *oracle {
	tb.Helper()
	if err := exec.Command(python, "-c", "import jinja2").Run(); err != nil {
		tb.Skipf("python3-jinja2 is not installed: %v", err)
	}
	o := &oracle{cmd: exec.Command(python, "testdata/oracle.py")}
	var err error
	if o.in, err = o.cmd.StdinPipe(); err != nil {
		tb.Fatal(err)
	}
	out, err := o.cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	o.out = bufio.NewReader(out)
	if err := o.cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(o.stop)
	return o
}

func (o *oracle) stop() {
	_ = o.in.Close()
	_ = o.cmd.Process.Kill()
	_ = o.cmd.Wait()
}

// ask may be called by several goroutines; it fails when the process hangs or dies.
func (o *oracle) ask(r oracleRequest, limit time.Duration) (oracleAnswer, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	var a oracleAnswer
	if o.dead != nil {
		return a, o.dead
	}
	line, err := json.Marshal(r)
	if err != nil {
		return a, err
	}
	timer := time.AfterFunc(limit, func() { _ = o.cmd.Process.Kill() })
	defer timer.Stop()
	if _, err := o.in.Write(append(line, '\n')); err != nil {
		o.dead = err
		return a, err
	}
	reply, err := o.out.ReadBytes('\n')
	if err != nil {
		o.dead = errors.Join(errors.New("the oracle process ended"), err)
		return a, o.dead
	}
	return a, json.Unmarshal(reply, &a)
}
