package vars

import (
	"slices"

	"orch/playbook/jinja/value"
)

// A Setting is one layer that sets a variable.
type Setting struct {
	Level  Level
	Source string        // a file, "role web", "group all" …
	Pos    *value.Origin // nil where nothing was written: facts, set_fact, magic
	Value  value.Value   // as written, not templated
	// Winner marks the one whose value is used. Under hash_behaviour=merge several
	// dictionaries are, and all of them are marked.
	Winner bool
}

// Explain lists every layer that sets name, the lowest first: what `orch explain-var`
// prints. The value it comes to is that of Lookup.
func (s *Scope) Explain(name string) ([]Setting, error) {
	var out []Setting
	err := s.walk(name, func(h hit) bool {
		out = append(out, Setting{Level: h.level, Source: h.source, Pos: h.pos, Value: h.val})
		return true
	})
	if err != nil {
		return nil, err
	}
	for i := range out {
		out[i].Winner = i == 0
		_, isDict := out[i].Value.(*value.Dict)
		if i > 0 && isDict && s.run.opt.HashMerge && out[i-1].Winner && out[i-1].Level < Magic {
			_, out[i].Winner = out[i-1].Value.(*value.Dict)
		}
	}
	slices.Reverse(out)
	return out, nil
}
