package template

import (
	"time"

	"orch/playbook/jinja"
	"orch/playbook/jinja/value"
	"orch/playbook/template/filter"
)

func ansibleFilters() map[string]*jinja.Filter { return filter.Filters() }

func ansibleTests() map[string]*jinja.Test { return filter.Tests() }

func datetime(t time.Time) value.Value { return filter.Datetime(t) }

func strftime(format string, t time.Time) string { return filter.Strftime(format, t) }
func randomSalt(method string) (string, error)   { return "", nil }
func hashPassword(text, method, salt, ident string) (string, error) {
	return "", nil
}
