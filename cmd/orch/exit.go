package main

import (
	"errors"

	"orch/playbook/source"
)

// Exit codes of orch. Where several hold: 130 > 1 > 2 > 4 > 5.
const (
	exitOK          = 0
	exitInternal    = 1   // orch's own trouble
	exitFailed      = 2   // a task failed
	exitInput       = 3   // the input is wrong; nothing was touched
	exitUnreachable = 4   // a host was unreachable
	exitPending     = 5   // changes pending (--check --exit-code)
	exitInterrupted = 130 // Ctrl-C
)

// An exitError ends the program with a code. Its error, if any, has been printed when
// Quiet is set.
type exitError struct {
	code  int
	err   error
	quiet bool
}

func (e *exitError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// inputError marks an error as one of the input.
func inputError(err error) error { return &exitError{code: exitInput, err: err} }

// exitCode is the code an error of a command means.
func exitCode(err error) int {
	var exit *exitError
	var diags source.Diagnostics
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &exit):
		return exit.code
	case errors.As(err, &diags):
		return exitInput
	}
	return exitInternal
}
