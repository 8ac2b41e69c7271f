package main

import (
	"context"

	"orch/inventory"
	"orch/playbook/jinja/value"
	"orch/playbook/vars"
)

// An evaluator evaluates the templates of inventory plugins.
type evaluator struct {
	p     *project
	facts factReader
}

// A factReader knows the facts of earlier runs.
type factReader interface {
	Get(host string) ([]byte, bool)
}

// With implements inventory.Evaluator.
func (e evaluator) With(extra *value.Dict) inventory.Evaluate {
	r := vars.NewRun(vars.Options{Templater: e.p.engine, ExtraVars: extra})
	return e.evaluate(r, "localhost")
}

// Host implements inventory.Evaluator. Each call looks at the inventory anew: the plugin
// changes it as it goes.
func (e evaluator) Host(inv *inventory.Inventory, h *inventory.Host, files, extra bool) inventory.Evaluate {
	o := vars.Options{
		Inventory: inv, Templater: e.p.engine,
		HashMerge: e.p.settings.Str("DEFAULT_HASH_BEHAVIOUR") == "merge",
	}
	if files {
		o.Files = e.p.files
	}
	if extra {
		o.ExtraVars = e.p.extra
	}
	r := vars.NewRun(o)
	if e.facts != nil {
		if text, ok := e.facts.Get(h.Name); ok {
			if err := r.State(h.Name).UpdateFactsJSON(text); err == nil {
				r.State(h.Name).Publish()
			}
		}
	}
	return e.evaluate(r, h.Name)
}

func (e evaluator) evaluate(r *vars.Run, host string) inventory.Evaluate {
	return func(ctx context.Context, text value.Str) (value.Value, error) {
		return e.p.engine.Value(ctx, text, r.Eval(ctx, host, vars.PlayOptions{}))
	}
}
