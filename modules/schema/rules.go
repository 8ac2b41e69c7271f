package schema

import (
	"strings"

	"orch/playbook/jinja/value"
)

// The rules between options, in the words of ansible-core 2.18's check_* functions.

func given(params *value.Dict, names []string) (n int) {
	for _, name := range names {
		if _, ok := params.GetStr(name); ok {
			n++
		}
	}
	return n
}

func (c *specCheck) exclusive(rule value.Value, params *value.Dict, path []string) {
	var bad []string
	for _, group := range groups(rule) {
		if given(params, group) > 1 {
			bad = append(bad, strings.Join(group, "|"))
		}
	}
	if bad != nil {
		c.addf(path, "parameters are mutually exclusive: %s", strings.Join(bad, ", "))
	}
}

func (c *specCheck) together(rule value.Value, params *value.Dict, path []string) {
	for _, group := range groups(rule) {
		if n := given(params, group); n > 0 && n < len(group) {
			c.addf(path, "parameters are required together: %s", strings.Join(group, ", "))
			return
		}
	}
}

func (c *specCheck) oneOf(rule value.Value, params *value.Dict, path []string) {
	for _, group := range groups(rule) {
		if given(params, group) == 0 {
			c.addf(path, "one of the following is required: %s", strings.Join(group, ", "))
			return
		}
	}
}

func (c *specCheck) requiredIf(rule value.Value, params *value.Dict, path []string) {
	list, ok := rule.(*value.List)
	if !ok {
		return
	}
	for _, item := range list.Items {
		req, ok := item.(*value.List)
		if !ok || len(req.Items) < 3 {
			continue
		}
		key, want := value.String(req.Items[0]), req.Items[1]
		got, ok := params.GetStr(key)
		if !ok || !value.Equal(got, want) {
			continue
		}
		needs := words(req.Items[2])
		var missing []string
		for _, name := range needs {
			if given(params, []string{name}) == 0 {
				missing = append(missing, name)
			}
		}
		quantity, tolerated := "all", 1
		if len(req.Items) > 3 && truth(req.Items[3]) {
			quantity, tolerated = "any", len(needs)
		}
		if len(missing) > 0 && len(missing) >= tolerated {
			c.addf(path, "%s is %s but %s of the following are missing: %s", key, value.String(want), quantity, strings.Join(missing, ", "))
			return
		}
	}
}

func (c *specCheck) requiredBy(rule value.Value, params *value.Dict, path []string) {
	dict, ok := rule.(*value.Dict)
	if !ok {
		return
	}
	for k, v := range dict.All() {
		if get(params, value.String(k)) == nil {
			continue
		}
		var missing []string
		for _, name := range words(v) {
			if get(params, name) == nil {
				missing = append(missing, name)
			}
		}
		if missing != nil {
			c.addf(path, "missing parameter(s) required by '%s': %s", value.String(k), strings.Join(missing, ", "))
			return
		}
	}
}
