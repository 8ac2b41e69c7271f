package filter

import (
	"fmt"

	"orch/playbook/jinja/value"
)

var resultTests = []def{
	{
		names: "failed failure", test: resultFlag("failed"),
		doc:      "Whether a task's registered result says that it failed.",
		examples: []string{"{{ {'failed': true} is failed }}", "True"},
	},
	{
		names: "succeeded success successful", test: not(resultFlag("failed")),
		doc:      "Whether a task's registered result says that it did not fail.",
		examples: []string{"{{ {'rc': 0} is success }}", "True"},
	},
	{
		names: "changed change", test: isChanged,
		doc:      "Whether a task's registered result says that it changed something; of a loop's result, whether any item did.",
		examples: []string{"{{ {'results': [{'changed': false}, {'changed': true}]} is changed }}", "True"},
	},
	{
		names: "skipped skip", test: resultFlag("skipped"),
		doc:      "Whether a task's registered result says that it was skipped.",
		examples: []string{"{{ {} is skipped }}", "False"},
	},
	{
		names: "unreachable", test: resultFlag("unreachable"),
		doc:      "Whether a task's registered result says that the host could not be reached.",
		examples: []string{"{{ {'unreachable': true} is unreachable }}", "True"},
	},
	{
		names: "reachable", test: not(resultFlag("unreachable")),
		doc:      "Whether a task's registered result says that the host was reached.",
		examples: []string{"{{ {} is reachable }}", "True"},
	},
	{
		names: "timedout", test: isTimedOut,
		doc:      "Whether a task's registered result says that it ran into its time limit.",
		examples: []string{"{{ {'timedout': {'period': 5}} is timedout }}", "True"},
	},
	{
		names: "started", test: asyncFlag("started"),
		doc:      "Whether an asynchronous task has started; true for any other task.",
		examples: []string{"{{ {'started': 0} is started }}", "False"},
	},
	{
		names: "finished", test: asyncFlag("finished"),
		doc:      "Whether an asynchronous task has finished; true for any other task.",
		examples: []string{"{{ {'finished': 1} is finished }}", "True"},
	},
}

func not(test func(*call) (bool, error)) func(*call) (bool, error) {
	return func(c *call) (bool, error) {
		ok, err := test(c)
		return !ok, err
	}
}

// result is the dict of a registered result.
func (c *call) result() (*value.Dict, error) {
	d, ok, err := asDict(c.in)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, fmt.Errorf("the '%s' test expects a dictionary, not '%s'", c.Name, c.in.Type())
	}
	return d, nil
}

// known is the truth of v; an Unknown part makes the answer Unknown.
func known(v value.Value) (bool, error) {
	if u, ok := v.(value.Unknown); ok {
		return false, &value.UnknownError{U: u}
	}
	return value.Truth(v), nil
}

func resultFlag(name string) func(*call) (bool, error) {
	return func(c *call) (bool, error) {
		d, err := c.result()
		if err != nil {
			return false, err
		}
		v, ok := d.GetStr(name)
		if !ok {
			return false, nil
		}
		return known(v)
	}
}

func isChanged(c *call) (bool, error) {
	d, err := c.result()
	if err != nil {
		return false, err
	}
	if v, ok := d.GetStr("changed"); ok {
		return known(v)
	}
	v, _ := d.GetStr("results")
	results, ok := v.(*value.List)
	if !ok {
		return false, nil
	}
	for i, r := range results.Items {
		item, ok, err := asDict(r)
		if err != nil {
			return false, err
		}
		if !ok {
			if i == 0 {
				return false, nil
			}
			return false, typeErr("results[%d] is no dictionary, but '%s'", i, r.Type())
		}
		if v, ok := item.GetStr("changed"); ok {
			if changed, err := known(v); changed || err != nil {
				return changed, err
			}
		}
	}
	return false, nil
}

func isTimedOut(c *call) (bool, error) {
	d, err := c.result()
	if err != nil {
		return false, err
	}
	v, ok := d.GetStr("timedout")
	if !ok || !value.Truth(v) {
		return false, nil
	}
	limit, ok, err := asDict(v)
	if err != nil || !ok {
		return false, err
	}
	period, ok := limit.GetStr("period")
	if !ok {
		return false, nil
	}
	return known(period)
}

func asyncFlag(name string) func(*call) (bool, error) {
	return func(c *call) (bool, error) {
		d, err := c.result()
		if err != nil {
			return false, err
		}
		v, ok := d.GetStr(name)
		if !ok {
			return true, nil
		}
		return value.EqualOp(v, value.Int(1))
	}
}
