// Package orch holds the tests of the house rules; the program is in cmd/orch.
package orch
