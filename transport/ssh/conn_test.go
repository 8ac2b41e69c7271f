package ssh

import (
	"context"
	"errors"
	"testing"
	"time"
)

// What is asked of the other end ends with its link, even when x/crypto/ssh never answers:
// a channel opened during the teardown of a connection is such a case.
func TestAwaitEndsWithTheLink(t *testing.T) {
	never := func() (int, error) { select {} }
	drop := func(int) { t.Error("dropped what never came") }
	l := &link{over: make(chan struct{})}
	time.AfterFunc(10*time.Millisecond, func() { close(l.over) })
	if _, err := await(t.Context(), l, never, drop); !errors.Is(err, errEnded) {
		t.Errorf("got %v, want %v", err, errEnded)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := await(ctx, &link{over: make(chan struct{})}, never, drop); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
	// An answer that came first counts.
	if got, err := await(t.Context(), &link{over: make(chan struct{})}, func() (int, error) { return 7, nil }, drop); got != 7 || err != nil {
		t.Errorf("got %d, %v", got, err)
	}
}
