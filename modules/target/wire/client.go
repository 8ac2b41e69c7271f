package wire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/yamux"

	"orch/modules"
)

// A Client talks to one helper. It is safe for concurrent use.
type Client struct {
	session *yamux.Session
	// Content opens content the helper asks for; set before the first request.
	content func(sum string) (io.ReadCloser, error)

	mu   sync.Mutex
	idle []*yamux.Stream
}

// NewClient starts the controller's side over the helper's stdin and stdout. content
// opens what the helper asks for by checksum.
func NewClient(conn io.ReadWriteCloser, content func(sum string) (io.ReadCloser, error)) (*Client, error) {
	s, err := yamux.Client(&whole{ReadWriteCloser: conn}, config())
	if err != nil {
		return nil, fmt.Errorf("start session: %w", err)
	}
	c := &Client{session: s, content: content}
	go c.serve()
	return c, nil
}

// serve answers the helper's requests for content.
func (c *Client) serve() {
	for {
		stream, err := c.session.AcceptStream()
		if err != nil {
			return
		}
		go func() {
			defer stream.Close()
			var head Head
			budget := 4096
			if err := ReadFrame(stream, &head, &budget); err != nil || head.Source == "" {
				return
			}
			r, err := c.content(head.Source)
			if err != nil {
				_ = WriteFrame(stream, Frame{Error: err.Error()}) // the helper may have gone
				return
			}
			defer r.Close()
			if WriteFrame(stream, Frame{OK: true}) == nil {
				_, _ = io.Copy(stream, r) // a short copy is found by its checksum
			}
		}()
	}
}

// cancelTime is how long a cancelled request may take to end on the host.
const cancelTime = 5 * time.Second

// ErrNotSent says that a request never left.
var ErrNotSent = errors.New("the request was not sent")

// Run runs a module on the host. An error means that the outcome is unknown, unless it is
// ErrNotSent or a *HelperError.
func (c *Client) Run(ctx context.Context, run Run, watch func(line string)) (modules.Result, error) {
	run.Notes = modules.Notes(ctx) != nil
	stream, err := c.open(ctx, Head{Run: &run})
	if err != nil {
		return modules.Result{}, err
	}
	// A cancelled request is over when the helper has killed what it started, or says
	// nothing for a while.
	stop := context.AfterFunc(ctx, func() {
		_ = stream.SetReadDeadline(time.Now().Add(cancelTime)) // a closed stream has none
		stream.Close()
	})
	budget := MaxFrame
	res, err := c.answer(ctx, stream, watch, &budget)
	if watch != nil || MaxFrame-budget > 8<<10 {
		stream.Shrink() // the room of a large answer is not kept for every host
	}
	var own *HelperError
	if stop() && (err == nil || errors.As(err, &own)) {
		c.keep(stream)
	} else {
		stream.Close()
	}
	return res, err
}

// answer reads what the helper says to a request; budget is lowered by what is kept.
func (c *Client) answer(ctx context.Context, stream *yamux.Stream, watch func(line string), budget *int) (modules.Result, error) {
	for {
		var f Frame
		before := *budget
		if err := ReadFrame(stream, &f, budget); err != nil {
			if ctx.Err() != nil {
				return modules.Result{}, ctx.Err()
			}
			return modules.Result{}, fmt.Errorf("read the helper's answer: %w", err)
		}
		switch {
		case f.Line != nil:
			*budget = before // what is watched is not kept
			if watch != nil {
				watch(*f.Line)
			}
		case f.Step != nil:
			if note := modules.Notes(ctx); note != nil {
				note(*f.Step)
			}
		case f.Error != "" && ctx.Err() != nil:
			return modules.Result{}, ctx.Err()
		case f.Error != "":
			return modules.Result{}, &HelperError{f.Error}
		case f.Result != nil:
			return *f.Result, ctx.Err()
		default:
			return modules.Result{}, errors.New("the helper's answer is empty")
		}
	}
}

// A HelperError is the helper's own trouble with a request it has read.
type HelperError struct{ Msg string }

// Error implements error.
func (e *HelperError) Error() string { return e.Msg }

// Dial opens a connection from the host.
func (c *Client) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	stream, err := c.open(ctx, Head{Dial: &Dial{network, addr}})
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { stream.Close() })
	defer stop()
	var f Frame
	budget := 4096
	if err := ReadFrame(stream, &f, &budget); err != nil {
		stream.Close()
		return nil, fmt.Errorf("dial %s from the host: %w", addr, err)
	}
	if !f.OK {
		stream.Close()
		return nil, &net.OpError{Op: "dial", Net: network, Err: errors.New(f.Error)}
	}
	return stream, nil
}

// maxIdle is how many streams wait for further requests.
const maxIdle = 16

// keep puts a stream aside for the next request: opening and closing one costs packets.
func (c *Client) keep(stream *yamux.Stream) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.idle) >= maxIdle {
		stream.Close()
		return
	}
	c.idle = append(c.idle, stream)
}

func (c *Client) stream() (*yamux.Stream, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.session.IsClosed() {
		return nil, yamux.ErrSessionShutdown
	}
	if n := len(c.idle); n > 0 {
		s := c.idle[n-1]
		c.idle = c.idle[:n-1]
		return s, nil
	}
	return c.session.OpenStream()
}

func (c *Client) open(ctx context.Context, head Head) (*yamux.Stream, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	stream, err := c.stream()
	if err != nil {
		return nil, fmt.Errorf("open stream: %w: %w", ErrNotSent, err)
	}
	if err := WriteFrame(stream, head); err != nil {
		stream.Close()
		return nil, fmt.Errorf("send request: %w", err)
	}
	return stream, nil
}

// Closed is closed when the session has ended.
func (c *Client) Closed() <-chan struct{} { return c.session.CloseChan() }

// Close ends the session and with it the helper.
func (c *Client) Close() error { return c.session.Close() }
