package wire

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"orch/modules"
)

// A fake runner does what the module's name says.
type fake struct {
	started  chan struct{}
	canceled atomic.Bool
}

// Run implements Runner.
func (f *fake) Run(ctx context.Context, run Run, content func(context.Context, string) (io.ReadCloser, error), watch func(string)) (modules.Result, error) {
	switch run.Module {
	case "echo":
		if watch != nil {
			watch("one")
			watch("two")
		}
		return modules.Result{Changed: true, Msg: run.Env["A"], Out: run.Args}, nil
	case "content":
		var sum string
		if err := json.Unmarshal(run.Args, &sum); err != nil {
			return modules.Result{}, err
		}
		r, err := content(ctx, sum)
		if err != nil {
			return modules.Result{}, err
		}
		defer r.Close()
		data, err := io.ReadAll(r)
		return modules.Result{Msg: string(data)}, err
	case "hang":
		f.started <- struct{}{}
		<-ctx.Done()
		f.canceled.Store(true)
		return modules.Result{}, ctx.Err()
	}
	return modules.Result{}, errors.New("no module " + run.Module)
}

// talk starts both sides over a pipe.
func talk(t *testing.T, content func(string) (io.ReadCloser, error)) (*Client, *fake, net.Conn) {
	t.Helper()
	here, there := net.Pipe()
	f := &fake{started: make(chan struct{}, 1)}
	served := make(chan error, 1)
	go func() { served <- Serve(context.Background(), there, f) }()
	c, err := NewClient(here, content)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Close() // it may be cut already
		select {
		case err := <-served:
			if err != nil {
				t.Errorf("serve: %v", err)
			}
		case <-time.After(10 * time.Second):
			t.Error("the server does not end with its input")
		}
	})
	return c, f, here
}

func TestRun(t *testing.T) {
	c, _, _ := talk(t, nil)
	var lines []string
	res, err := c.Run(t.Context(), Run{Module: "echo", Args: []byte(`{"a":1}`), Env: map[string]string{"A": "b"}, Watch: true}, func(l string) { lines = append(lines, l) })
	if err != nil || !res.Changed || res.Msg != "b" || string(res.Out) != `{"a":1}` {
		t.Errorf("%+v, %v", res, err)
	}
	if strings.Join(lines, " ") != "one two" {
		t.Errorf("watched %q", lines)
	}
	var own *HelperError
	if _, err := c.Run(t.Context(), Run{Module: "none", Args: []byte("{}")}, nil); !errors.As(err, &own) {
		t.Errorf("an unknown module: %v", err)
	}
}

func TestContent(t *testing.T) {
	large := strings.Repeat("0123456789", 100_000)
	c, _, _ := talk(t, func(sum string) (io.ReadCloser, error) {
		if sum != "large" {
			return nil, errors.New("no " + sum)
		}
		return io.NopCloser(strings.NewReader(large)), nil
	})
	run := Run{Module: "content", Inline: map[string][]byte{"small": []byte("in the request")}, Offered: map[string]int64{"large": int64(len(large)), "gone": 1}}
	for sum, want := range map[string]string{"small": "in the request", "large": large} {
		run.Args, _ = json.Marshal(sum)
		if res, err := c.Run(t.Context(), run, nil); err != nil || res.Msg != want {
			t.Errorf("%s: %d bytes, %v", sum, len(res.Msg), err)
		}
	}
	for _, sum := range []string{"gone", "never offered"} {
		run.Args, _ = json.Marshal(sum)
		if _, err := c.Run(t.Context(), run, nil); err == nil {
			t.Errorf("content %q was had", sum)
		}
	}
}

func TestCancelEndsTheRequest(t *testing.T) {
	c, f, _ := talk(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-f.started
		cancel()
	}()
	if _, err := c.Run(ctx, Run{Module: "hang", Args: []byte("{}")}, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if !f.canceled.Load() {
		t.Error("Run came back before the helper had ended the request")
	}
	// The conversation goes on.
	if _, err := c.Run(t.Context(), Run{Module: "echo", Args: []byte("{}")}, nil); err != nil {
		t.Error(err)
	}
}

func TestCutEndsTheRequest(t *testing.T) {
	c, f, pipe := talk(t, nil)
	done := make(chan error, 1)
	go func() {
		_, err := c.Run(context.Background(), Run{Module: "hang", Args: []byte("{}")}, nil)
		done <- err
	}()
	<-f.started
	pipe.Close()
	if err := <-done; err == nil || errors.Is(err, ErrNotSent) {
		t.Errorf("got %v, want an error whose outcome is unknown", err)
	}
	for range 100 {
		if f.canceled.Load() {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if !f.canceled.Load() {
		t.Error("the request goes on without its controller")
	}
	if _, err := c.Run(t.Context(), Run{Module: "echo", Args: []byte("{}")}, nil); !errors.Is(err, ErrNotSent) {
		t.Errorf("after the cut: %v, want ErrNotSent", err)
	}
}

func TestDial(t *testing.T) {
	c, _, _ := talk(t, nil)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = io.Copy(conn, conn)
	}()
	conn, err := c.Dial(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write([]byte("there and back")); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 14)
	if _, err := io.ReadFull(conn, got); err != nil || string(got) != "there and back" {
		t.Errorf("%q, %v", got, err)
	}
	conn.Close()
	for network, addr := range map[string]string{"tcp": "127.0.0.1:1", "unix": "/no/such", "udp": "127.0.0.1:1"} {
		if _, err := c.Dial(t.Context(), network, addr); err == nil {
			t.Errorf("%s %s was dialled", network, addr)
		}
	}
}

func TestFrameBounds(t *testing.T) {
	var b bytes.Buffer
	if err := WriteFrame(&b, Frame{OK: true}); err != nil {
		t.Fatal(err)
	}
	whole := b.Bytes()
	for cut := range whole {
		budget := 100
		var f Frame
		if err := ReadFrame(bytes.NewReader(whole[:cut]), &f, &budget); err == nil {
			t.Errorf("a frame cut at %d was read", cut)
		}
	}
	budget := 3
	if err := ReadFrame(bytes.NewReader(whole), &Frame{}, &budget); err == nil {
		t.Error("a frame larger than allowed was read")
	}
	// A length alone must not cost memory.
	huge := binary.BigEndian.AppendUint32(nil, MaxFrame)
	budget = MaxFrame
	allocated := testing.AllocsPerRun(1, func() { _ = ReadFrame(bytes.NewReader(huge), &Frame{}, &budget) })
	if allocated > 50 {
		t.Errorf("%v allocations for four bytes", allocated)
	}
}

func FuzzReadFrame(f *testing.F) {
	var b bytes.Buffer
	line := "x"
	for _, v := range []any{Frame{OK: true}, Frame{Line: &line}, Frame{Result: &modules.Result{Msg: "m"}}, Head{Source: "s"}} {
		if err := WriteFrame(&b, v); err != nil {
			f.Fatal(err)
		}
		f.Add(b.Bytes())
	}
	f.Add([]byte{0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, data []byte) {
		budget := 1 << 20
		r := bytes.NewReader(data)
		for {
			var frame Frame
			before := budget
			if err := ReadFrame(r, &frame, &budget); err != nil {
				return
			}
			if budget > before || budget < 0 {
				t.Fatalf("budget went from %d to %d", before, budget)
			}
		}
	})
}
