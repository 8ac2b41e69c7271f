package host

import (
	"bytes"
	"context"
	"encoding/json"

	"orch/modules"
)

// Ping answers pong: the connection, the login and the helper work.
type Ping struct {
	// What to answer. The word crash makes the module fail.
	Data string `orch:"default=pong"`
}

// PingOut is the result of ping.
type PingOut struct {
	Ping string `json:"ping"`
}

// crashed is the result of a module that ended without one.
type crashed struct {
	ModuleStdout string `json:"module_stdout"`
	ModuleStderr string `json:"module_stderr"`
}

// Plan implements modules.Module.
func (p *Ping) Plan(context.Context, modules.View) (plan, error) {
	if p.Data == "crash" {
		// Ansible's module raises an exception, and its traceback is in the result.
		return plan{Out: &crashed{ModuleStderr: "Exception: boom\n"}}, modules.Failf("boom")
	}
	return plan{Out: &PingOut{Ping: p.Data}}, nil
}

// jsonText encodes without HTML escapes.
func jsonText[T any](v T) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}
