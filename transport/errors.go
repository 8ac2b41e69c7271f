package transport

import "strings"

// A Lost error says that the connection went away or never came up: the host is
// unreachable. Started is set when a request may have begun: its outcome is then unknown
// and it is never repeated.
type Lost struct {
	Host    string // as Conn.String says it: "ssh root@web1:22"
	Started bool
	Err     error
}

// Error implements error.
func (e *Lost) Error() string {
	msg := e.Host + ": " + e.Err.Error()
	if e.Started {
		msg += " (outcome unknown)"
	}
	return msg
}

// Unwrap returns the reason.
func (e *Lost) Unwrap() error { return e.Err }

// A BecomeError says that a command could not be run as another user: the command was
// not started.
type BecomeError struct {
	Host   string
	Method string // sudo, su, doas
	User   string
	Msg    string // "incorrect sudo password"
	Output string // what the method said
	Hint   string
}

// Error implements error.
func (e *BecomeError) Error() string {
	msg := e.Host + ": become " + e.User + ": " + e.Msg
	if out := strings.TrimSpace(e.Output); out != "" {
		msg += ": " + out
	}
	if e.Hint != "" {
		msg += "\nhint: " + e.Hint
	}
	return msg
}
