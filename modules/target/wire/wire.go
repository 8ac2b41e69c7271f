// Package wire is the protocol between the controller and the helper on a host: requests
// and streams, multiplexed over the helper's stdin and stdout by yamux.
//
// Each running request has a stream of its own; when it is done the stream serves the
// next. The controller writes a JSON head; the helper answers with frames: lines to watch
// while the module runs, and one result. Content of more than 64 KiB is no part of a
// request: the helper opens a stream back and asks for it by its checksum when a step
// needs it. A dialled connection is a stream too.
//
// Closing a request's stream cancels it. The end of stdin ends the helper and everything
// it started. Answers of a helper are hostile input: they are bounded, and they are data.
package wire

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/hashicorp/yamux"

	"orch/modules"
)

// Limits of what is read from the other side.
const (
	MaxFrame = 64 << 20 // bytes of one frame: a whole task's answer
	Inline   = 64 << 10 // bytes of content that ride in a request
)

// Ready is the line a helper writes first. The noise of login scripts is gone by then:
// transports drop it up to a random marker, after any password.
const Ready = "orch-helper ready "

// A Head opens a stream.
type Head struct {
	// One of these is set.
	Run    *Run   `json:"run,omitempty"`
	Dial   *Dial  `json:"dial,omitempty"`
	Source string `json:"source,omitempty"` // helper to controller: content by checksum
}

// Run asks for one run of a module.
type Run struct {
	Module  string            `json:"module"`
	Args    json.RawMessage   `json:"args"`
	Options modules.Options   `json:"options"`
	Env     map[string]string `json:"env,omitempty"`
	Tmp     string            `json:"tmp,omitempty"`
	// Inline is content of up to 64 KiB; Offered is the size of what can be asked for.
	Inline  map[string][]byte `json:"inline,omitempty"`
	Offered map[string]int64  `json:"offered,omitempty"`
	Watch   bool              `json:"watch,omitempty"` // lines of output are wanted
	Notes   bool              `json:"notes,omitempty"` // titles of steps that begin are wanted
	// Job makes it an async job: the answer says that it has begun.
	Job *Job `json:"job,omitempty"`
}

// A Job asks that a run outlive the conversation.
type Job struct {
	Dir   string `json:"dir"`   // for its file, as written: ~ is expanded on the host
	Limit int    `json:"limit"` // seconds
}

// Dial asks for a connection from the host.
type Dial struct {
	Network string `json:"network"`
	Addr    string `json:"addr"`
}

// A Frame is part of an answer.
type Frame struct {
	Line   *string         `json:"line,omitempty"`
	Step   *string         `json:"step,omitempty"` // the title of one that begins
	Result *modules.Result `json:"result,omitempty"`
	// Error is the helper's own trouble; OK opens a dialled or content stream.
	Error string `json:"error,omitempty"`
	OK    bool   `json:"ok,omitempty"`
}

// WriteFrame writes a value as one length-prefixed frame.
func WriteFrame(w io.Writer, v any) error {
	var b bytes.Buffer
	b.Write(make([]byte, 4)) // the length, when it is known
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("encode frame: %w", err)
	}
	frame := b.Bytes()
	n := len(frame) - 4
	if n > MaxFrame {
		return fmt.Errorf("frame of %d bytes is larger than %d", n, MaxFrame)
	}
	binary.BigEndian.PutUint32(frame, uint32(n))
	_, err := w.Write(frame)
	return err
}

// ReadFrame reads one frame into v. budget is what may still be read; it is lowered.
func ReadFrame(r io.Reader, v any, budget *int) error {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return err
	}
	n := int(binary.BigEndian.Uint32(head[:]))
	if n > *budget {
		return fmt.Errorf("frame of %d bytes, %d are allowed", n, *budget)
	}
	*budget -= n
	text, err := readText(r, n)
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, v); err != nil {
		return fmt.Errorf("decode frame: %w", err)
	}
	return nil
}

// readText reads n bytes. A large length is the other side's word: memory then grows with
// what really arrives.
func readText(r io.Reader, n int) ([]byte, error) {
	if n <= 64<<10 {
		text := make([]byte, n)
		_, err := io.ReadFull(r, text)
		return text, err
	}
	var text bytes.Buffer
	_, err := io.CopyN(&text, r, int64(n))
	return text.Bytes(), err
}

// config is yamux's for both sides: no output of its own, and no keepalive, which the
// transport below has.
func config() *yamux.Config {
	c := yamux.DefaultConfig()
	c.LogOutput = io.Discard
	c.EnableKeepAlive = false
	// A write may wait for a slow line: what is dead the transport notices.
	c.ConnectionWriteTimeout = 10 * time.Minute
	c.StreamOpenTimeout = 0
	c.StreamCloseTimeout = time.Hour // a relayed connection may stay half open
	c.MaxStreamWindowSize = 1 << 20
	c.AcceptBacklog = 256
	return c
}

// errClosed reports whether an error only says that the other side has gone.
func errClosed(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, yamux.ErrSessionShutdown) || errors.Is(err, yamux.ErrStreamClosed) ||
		errors.Is(err, io.ErrClosedPipe) || errors.Is(err, yamux.ErrConnectionReset)
}

// whole joins yamux's writes: it writes a frame's header and its body one after the
// other, which would cost a packet each.
type whole struct {
	io.ReadWriteCloser
	held []byte
}

// Write implements io.Writer. yamux writes from one goroutine.
func (w *whole) Write(p []byte) (int, error) {
	const header, data = 12, 0
	if len(w.held) == 0 && len(p) == header && p[1] == data && binary.BigEndian.Uint32(p[8:]) > 0 {
		w.held = append(w.held, p...)
		return len(p), nil
	}
	if len(w.held) == 0 {
		return w.ReadWriteCloser.Write(p)
	}
	w.held = append(w.held, p...)
	_, err := w.ReadWriteCloser.Write(w.held)
	if w.held = w.held[:0]; cap(w.held) > 64<<10 {
		w.held = nil
	}
	return len(p), err
}
