package machine

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"orch/modules"
)

// Table finds host modules by their full name.
type Table map[string]modules.Entry

// NewTable indexes entries by name and alias.
func NewTable(entries []modules.Entry) Table {
	t := Table{}
	for _, e := range entries {
		t[e.Name] = e
		for _, a := range e.Aliases {
			t[a] = e
		}
	}
	return t
}

// Lookup finds a module.
func (t Table) Lookup(name string) (modules.Entry, error) {
	if e, ok := t[name]; ok {
		return e, nil
	}
	if e, ok := t["ansible.builtin."+strings.TrimPrefix(name, "ansible.legacy.")]; ok {
		return e, nil
	}
	return modules.Entry{}, fmt.Errorf("no host module %q", name)
}

// AsFailure turns an error of the machine (a permission, a full disk) into the task's
// failure: it is no trouble of the engine's. Cancellation stays an error.
func AsFailure(err error, res *modules.Result) error {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	res.Failure = modules.Failf("%v", err)
	return nil
}
