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

// Plan implements modules.Module.
func (p *Ping) Plan(context.Context, modules.View) (plan, error) {
	if p.Data == "crash" {
		return plan{}, modules.Failf("boom")
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
