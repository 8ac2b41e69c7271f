package template

import (
	"math/rand"
	"time"

	"orch/playbook/jinja"
	"orch/playbook/jinja/value"
)

func ansibleFilters() map[string]*jinja.Filter { return nil }
func ansibleTests() map[string]*jinja.Test     { return nil }
func datetime(t time.Time) value.Value         { return value.S(t.String()) }
func strftime(f string, t time.Time) string    { return f }
func randomSalt(method string) (string, error) { return "", nil }
func hashPassword(text, method, salt, ident string) (string, error) {
	return "", nil
}

type mt struct{ r *rand.Rand }

func (m mt) Below(n int) int      { return m.r.Intn(n) }
func seededRandom(seed string) mt { return mt{rand.New(rand.NewSource(1))} }
func (e *Engine) renderGo(ctx any, f File, s Scope) (value.Value, error) {
	return nil, nil
}
