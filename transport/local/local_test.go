package local_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"orch/transport"
	"orch/transport/local"
	"orch/transport/transporttest"
)

func TestLocal(t *testing.T) {
	transporttest.Run(t, transporttest.Options{}, func(*testing.T) transport.Conn { return local.New() })
}

func TestBecomeOnThisMachine(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, who may become anybody without a password")
	}
	for _, b := range []transport.Become{
		{Method: "sudo", User: "nobody"}, {Method: "su"},
	} {
		t.Run(b.Method+" "+b.User, func(t *testing.T) {
			conn, err := transport.As(local.New(), b)
			if err != nil {
				t.Fatal(err)
			}
			if _, _, _, err := transporttest.Output(t.Context(), conn, transport.Cmd{Argv: []string{"true"}}); err != nil {
				t.Skip(err)
			}
			transporttest.Run(t, transporttest.Options{Big: 1 << 20, Starts: 10}, func(*testing.T) transport.Conn { return conn })
		})
	}
}

func TestTerminal(t *testing.T) {
	cmd := transport.Cmd{Argv: []string{"sh", "-c", `[ -t 1 ] && [ -t 2 ] && printf 'a\nb'; echo e >&2`}, TTY: true}
	out, _, exit, err := transporttest.Output(t.Context(), local.New(), cmd)
	if err != nil || exit != 0 || out != "a\nbe\n" {
		t.Errorf("%q, exit %d, %v", out, exit, err)
	}
}

func TestFiles(t *testing.T) {
	conn := local.New().(transport.Filer)
	path := filepath.Join(t.TempDir(), "f")
	for _, text := range []string{"one", "two, longer"} {
		if err := conn.Put(t.Context(), path, 0o640, strings.NewReader(text)); err != nil {
			t.Fatal(err)
		}
		var got bytes.Buffer
		if err := conn.Get(t.Context(), path, &got); err != nil || got.String() != text {
			t.Errorf("got %q, %v", got.String(), err)
		}
	}
	if st, err := os.Stat(path); err != nil || st.Mode() != 0o640 {
		t.Errorf("%v, %v", st, err)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".orch-*")); left != nil {
		t.Errorf("left behind: %q", left)
	}
}
