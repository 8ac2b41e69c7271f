package wire

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"

	"github.com/hashicorp/yamux"

	"orch/modules"
)

// A Runner runs modules for the server: on the machine it is on.
type Runner interface {
	// Run decodes and runs; content opens what the request offers.
	Run(ctx context.Context, run Run, content func(ctx context.Context, sum string) (io.ReadCloser, error), watch func(string)) (modules.Result, error)
}

// Serve is the helper's side: it answers requests until its input ends. Then the
// contexts of running requests are cancelled, and it returns when they have ended.
func Serve(ctx context.Context, conn io.ReadWriteCloser, r Runner) error {
	session, err := yamux.Server(&whole{ReadWriteCloser: conn}, config())
	if err != nil {
		return fmt.Errorf("start session: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	for {
		stream, err := session.AcceptStreamWithContext(ctx)
		if err != nil {
			if errClosed(err) {
				return nil
			}
			return err
		}
		running.Go(func() {
			defer stream.Close()
			serveStream(ctx, session, stream, r)
		})
	}
}

// serveStream answers the requests of one stream, one after the other.
func serveStream(ctx context.Context, session *yamux.Session, stream *yamux.Stream, r Runner) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	heads := make(chan Head)
	// Reading goes on while a module runs: the end of the stream cancels it.
	go func() {
		defer close(heads)
		defer cancel()
		for {
			var head Head
			budget := MaxFrame
			if err := ReadFrame(stream, &head, &budget); err != nil {
				return
			}
			select {
			case heads <- head:
			case <-ctx.Done():
				return
			}
			if head.Dial != nil {
				// The stream belongs to the connection from here on.
				<-ctx.Done()
				return
			}
		}
	}()
	for head := range heads {
		switch {
		case head.Run != nil:
			serveRun(ctx, session, stream, *head.Run, r)
		case head.Dial != nil:
			serveDial(ctx, stream, *head.Dial)
			return
		default:
			_ = WriteFrame(stream, Frame{Error: "request of an unknown kind"}) // nobody may be left to hear it
		}
	}
}

func serveRun(ctx context.Context, session *yamux.Session, stream *yamux.Stream, run Run, r Runner) {
	var mu sync.Mutex
	send := func(f Frame) error {
		mu.Lock()
		defer mu.Unlock()
		return WriteFrame(stream, f)
	}
	var watch func(string)
	if run.Watch {
		watch = func(line string) { _ = send(Frame{Line: &line}) } // watching is a courtesy
	}
	if run.Notes {
		ctx = modules.WithNotes(ctx, func(title string) { _ = send(Frame{Step: &title}) })
	}
	content := func(ctx context.Context, sum string) (io.ReadCloser, error) {
		if data, ok := run.Inline[sum]; ok {
			return io.NopCloser(bytes.NewReader(data)), nil
		}
		if _, ok := run.Offered[sum]; !ok {
			return nil, fmt.Errorf("no content %s was offered", sum)
		}
		return ask(ctx, session, sum)
	}
	res, err := r.Run(ctx, run, content, watch)
	f := Frame{Result: &res}
	if err != nil {
		f = Frame{Error: err.Error()}
	}
	if err := send(f); err != nil {
		_ = send(Frame{Error: err.Error()}) // an answer that is too large says so
	}
}

// ask opens a stream to the controller for content.
func ask(ctx context.Context, session *yamux.Session, sum string) (io.ReadCloser, error) {
	stream, err := session.OpenStream()
	if err != nil {
		return nil, fmt.Errorf("ask for content: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { stream.Close() })
	defer stop()
	if err := WriteFrame(stream, Head{Source: sum}); err != nil {
		stream.Close()
		return nil, fmt.Errorf("ask for content: %w", err)
	}
	var f Frame
	budget := 4096
	if err := ReadFrame(stream, &f, &budget); err != nil || !f.OK {
		stream.Close()
		if err == nil {
			err = errors.New(f.Error)
		}
		return nil, fmt.Errorf("ask for content: %w", err)
	}
	return stream, nil
}

func serveDial(ctx context.Context, stream *yamux.Stream, d Dial) {
	if d.Network != "tcp" && d.Network != "unix" {
		_ = WriteFrame(stream, Frame{Error: fmt.Sprintf("network %q, one of tcp, unix", d.Network)})
		return
	}
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, d.Network, d.Addr)
	if err != nil {
		_ = WriteFrame(stream, Frame{Error: err.Error()})
		return
	}
	defer conn.Close()
	if WriteFrame(stream, Frame{OK: true}) != nil {
		return
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	done := make(chan struct{})
	go func() {
		_, _ = io.Copy(conn, stream)
		if half, ok := conn.(interface{ CloseWrite() error }); ok {
			_ = half.CloseWrite()
		}
		close(done)
	}()
	_, _ = io.Copy(stream, conn)
	stream.Close()
	<-done
}

// Decode reads the arguments of a request into a module's struct.
func Decode(run Run, module any) error {
	if err := json.Unmarshal(run.Args, module); err != nil {
		return fmt.Errorf("decode arguments of %s: %w", run.Module, err)
	}
	return nil
}
