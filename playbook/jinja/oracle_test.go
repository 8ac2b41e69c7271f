package jinja_test

import (
	"encoding/json"
	"testing"

	"orch/playbook/oracle"
)

// oracleRequest is what testdata/oracle.py is asked: what CPython's Jinja2 makes of a
// template.
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

func startOracle(tb testing.TB) *oracle.Process {
	tb.Helper()
	return oracle.Start(tb, "import jinja2", "testdata/oracle.py")
}
