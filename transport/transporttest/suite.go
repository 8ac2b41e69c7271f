// Package transporttest is the one suite every transport passes: what transport.Conn
// promises, tried on a machine that has a POSIX shell.
package transporttest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"orch/transport"
)

// Options say what a transport does not have to do.
type Options struct {
	// Merged is set when stderr arrives on stdout (become through a terminal).
	Merged bool
	// Big is the size of the stdin test; 0 is 10 MB.
	Big int
	// Starts is how many processes are started at once; 0 is 100.
	Starts int
}

// Run tests the connection that open makes. It is opened once and not closed.
func Run(t *testing.T, o Options, open func(t *testing.T) transport.Conn) {
	t.Helper()
	if o.Big == 0 {
		o.Big = 10 << 20
	}
	if o.Starts == 0 {
		o.Starts = 100
	}
	s := suite{o, open(t)}
	t.Run("exit", s.exit)
	t.Run("streams", s.streams)
	t.Run("stdin", s.stdin)
	t.Run("binary", s.binary)
	t.Run("quoting", s.quoting)
	t.Run("long", s.long)
	t.Run("place", s.place)
	t.Run("missing", s.missing)
	t.Run("cancel", s.cancel)
	t.Run("starts", s.starts)
}

type suite struct {
	o    Options
	conn transport.Conn
}

// limit is how long anything in the suite may take.
const limit = 60 * time.Second

// Output runs a command and returns what it printed and its exit code.
func Output(ctx context.Context, conn transport.Conn, cmd transport.Cmd) (stdout, stderr string, exit int, err error) {
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	p, err := conn.Start(ctx, cmd)
	if err != nil {
		return "", "", -1, err
	}
	exit, err = p.Wait()
	return out.String(), errOut.String(), exit, err
}

func (s suite) run(t *testing.T, cmd transport.Cmd) (stdout, stderr string, exit int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	stdout, stderr, exit, err := Output(ctx, s.conn, cmd)
	if err != nil {
		t.Fatalf("%s: %.60q: %v (stdout %.200q, stderr %.200q)", s.conn, cmd.Argv, err, stdout, stderr)
	}
	return stdout, stderr, exit
}

func sh(script string, args ...string) transport.Cmd {
	return transport.Cmd{Argv: append([]string{"sh", "-c", script, "sh"}, args...)}
}

func (s suite) exit(t *testing.T) {
	for script, want := range map[string]int{
		"exit 0": 0, "exit 1": 1, "exit 77": 77, "exit 255": 255,
		"kill -TERM $$": 143, "kill -KILL $$": 137,
	} {
		if _, _, got := s.run(t, sh(script)); got != want {
			t.Errorf("%s: exit %d, want %d", script, got, want)
		}
	}
}

func (s suite) streams(t *testing.T) {
	out, errOut, _ := s.run(t, sh(`printf 'out\n'; printf 'err\n' >&2; printf 'end'`))
	if s.o.Merged {
		if !strings.Contains(out, "out") || !strings.Contains(out, "err") {
			t.Errorf("got %q", out)
		}
		return
	}
	if out != "out\nend" || errOut != "err\n" {
		t.Errorf("stdout %q, stderr %q", out, errOut)
	}
	if out, _, _ := s.run(t, transport.Cmd{Argv: []string{"cat"}}); out != "" {
		t.Errorf("cat without stdin printed %q", out)
	}
}

// stdin sends a lot, counted and summed on the other side.
func (s suite) stdin(t *testing.T) {
	data := noise(s.o.Big)
	cmd := sh("wc -c; exec true")
	cmd.Stdin = bytes.NewReader(data)
	if out, _, _ := s.run(t, cmd); strings.TrimSpace(out) != fmt.Sprint(len(data)) {
		t.Errorf("%d bytes sent, %q arrived", len(data), out)
	}
	cmd = transport.Cmd{Argv: []string{"sha256sum"}, Stdin: bytes.NewReader(data)}
	if out, _, _ := s.run(t, cmd); !strings.HasPrefix(out, fmt.Sprintf("%x", sha256.Sum256(data))) {
		t.Errorf("the content changed on its way: %q", out)
	}
	// A command that does not read its stdin must not hang.
	cmd = transport.Cmd{Argv: []string{"true"}, Stdin: bytes.NewReader(data)}
	if _, _, exit := s.run(t, cmd); exit != 0 {
		t.Errorf("exit %d", exit)
	}
	// A command whose stdin never ends must not hang when it ends itself.
	r, w := io.Pipe()
	defer w.Close()
	cmd = transport.Cmd{Argv: []string{"head", "-n", "1"}, Stdin: r}
	go func() { _, _ = w.Write([]byte("one\n")) }()
	if out, _, _ := s.run(t, cmd); out != "one\n" {
		t.Errorf("got %q", out)
	}
}

func (s suite) binary(t *testing.T) {
	data := noise(300_000)
	cmd := transport.Cmd{Argv: []string{"cat"}, Stdin: bytes.NewReader(data)}
	if out, _, _ := s.run(t, cmd); out != string(data) {
		t.Errorf("%d binary bytes came back as %d others", len(data), len(out))
	}
}

// noise is bytes of every value, the same in every run.
func noise(n int) []byte {
	r := rand.NewChaCha8([32]byte{7})
	data := make([]byte, n)
	_, _ = r.Read(data)
	return data
}

// Torture are arguments that quoting gets wrong.
func Torture() []string {
	var all strings.Builder
	for b := 1; b < 256; b++ {
		all.WriteByte(byte(b))
	}
	args := []string{
		"", " ", "  two  spaces ", "'", `"`, "''", `'"'"'`, "`id`", "$(id)", "$HOME", "${HOME}", "a;b", "a&b", "a|b", "a>b", "*", "?", "[a]", "{a,b}", "~", "~root",
		"!", "!!", "hello!world", "!-1", "^a^b", "\\", "\\\\", "\\n", "a\\", "#", "# x", "%", "%s", "%n%d", "-", "--", "-n", "-e", "-c", "=", "a=b", "\n", "a\nb\n", "\n\n", "\r\n", "\t", "\x01", "\x7f",
		"ü", "日本語", "\u00a0", "é\u0301", "\xff\xfe", "\xc3", "012", "\\012", "\\0", "end", ".", "(", ")", "<", ">", "if", "then", "function",
		all.String(), strings.Repeat("'", 500), strings.Repeat("!", 100), strings.Repeat("\n", 100),
	}
	return args
}

func (s suite) quoting(t *testing.T) {
	args := Torture()
	check := func(t *testing.T, out string, want []string) {
		t.Helper()
		got := strings.Split(strings.TrimSuffix(out, "\x00"), "\x00")
		if len(got) != len(want) {
			t.Fatalf("%d arguments arrived, want %d", len(got), len(want))
		}
		for i, arg := range want {
			if got[i] != arg {
				t.Errorf("argument %.60q arrived as %.120q", arg, got[i])
			}
		}
	}
	out, _, _ := s.run(t, transport.Cmd{Argv: append([]string{"printf", `%s\0`}, args...)})
	check(t, out, args)
	// The same with an environment, which may travel another way.
	want := []string{args[len(args)-4], "", "two\nlines'"}
	cmd := sh(`printf '%s\0' "$A" "$B" "$C"`)
	cmd.Env = []string{"A=" + want[0], "B=", "C=" + want[2]}
	out, _, _ = s.run(t, cmd)
	check(t, out, want)
	out, _, _ = s.run(t, transport.Cmd{Argv: []string{"env"}, Env: []string{"odd.name=a'b", "C=c"}})
	if !strings.Contains(out, "\nodd.name=a'b\n") && !strings.HasPrefix(out, "odd.name=a'b\n") {
		t.Errorf("a variable whose name is no identifier did not arrive")
	}
}

func (s suite) long(t *testing.T) {
	long := strings.Repeat("a b'c\"d!e\n", 10_000) // 100 kB
	out, _, _ := s.run(t, sh(`printf %s "$1" | sha256sum`, long))
	if !strings.HasPrefix(out, fmt.Sprintf("%x", sha256.Sum256([]byte(long)))) {
		t.Errorf("an argument of %d bytes changed on its way", len(long))
	}
	cmd := sh(`printf %s "$1" | wc -c; cat`, long[:10_000])
	cmd.Stdin = strings.NewReader("rest")
	if out, _, _ := s.run(t, cmd); strings.TrimSpace(out) != "10000\nrest" {
		t.Errorf("got %q", out)
	}
}

func (s suite) place(t *testing.T) {
	cmd := sh(`pwd; umask`)
	cmd.Dir = "/usr/bin"
	mask := 0o027
	cmd.Umask = &mask
	out, _, _ := s.run(t, cmd)
	dir, mode, _ := strings.Cut(strings.TrimSpace(out), "\n")
	if !strings.HasSuffix(dir, "/bin") || mode != "0027" {
		t.Errorf("folder %q, umask %q", dir, mode)
	}
}

func (s suite) missing(t *testing.T) {
	for name, cmd := range map[string]transport.Cmd{
		"program": {Argv: []string{"no-such-program-at-all", "x"}},
		"path":    {Argv: []string{"/no/such/program"}},
		"folder":  {Argv: []string{"true"}, Dir: "/no/such/folder"},
	} {
		_, _, _, err := Output(t.Context(), s.conn, cmd)
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("a missing %s: got error %v, want one that is fs.ErrNotExist", name, err)
		}
	}
	// 127 by itself is an answer.
	if _, _, exit := s.run(t, sh("exit 127")); exit != 127 {
		t.Errorf("exit %d, want 127", exit)
	}
}

// cancel starts a process with a child, cancels, and looks for both.
func (s suite) cancel(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	out := &lines{first: make(chan string, 1)}
	cmd := sh(`sleep 7234 & echo $$ $!; wait`)
	cmd.Stdout = out
	p, err := s.conn.Start(ctx, cmd)
	if err != nil {
		t.Fatal(err)
	}
	var pids string
	select {
	case pids = <-out.first:
	case <-time.After(limit):
		t.Fatal("the process does not start")
	}
	cancel()
	begin := time.Now()
	_, err = p.Wait()
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Wait: %v, want context.Canceled", err)
	}
	if took := time.Since(begin); took > 15*time.Second {
		t.Errorf("Wait took %v after the cancel", took)
	}
	alive := sh(`for p; do if [ -r /proc/$p/stat ] && ! grep -q ') Z' /proc/$p/stat; then echo $p lives; fi; done`, strings.Fields(pids)...)
	for range 50 {
		if got, _, _ := s.run(t, alive); got == "" {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Errorf("of %q some live on after the cancel", pids)
}

// lines hands over the first line written.
type lines struct {
	mu    sync.Mutex
	buf   []byte
	first chan string
	sent  bool
}

// Write implements io.Writer.
func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.buf = append(l.buf, p...)
	if line, _, ok := bytes.Cut(l.buf, []byte("\n")); ok && !l.sent {
		l.first <- string(line)
		l.sent = true
	}
	return len(p), nil
}

// starts begins many processes at once.
func (s suite) starts(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*limit)
	defer cancel()
	var wg sync.WaitGroup
	for i := range s.o.Starts {
		wg.Go(func() {
			want := fmt.Sprintf("%d in\n", i)
			cmd := sh(`printf '%s ' "$1"; cat; sleep 0.1`, fmt.Sprint(i))
			cmd.Stdin = strings.NewReader("in\n")
			out, errOut, exit, err := Output(ctx, s.conn, cmd)
			if err != nil || exit != 0 || out != want {
				t.Errorf("start %d: %q, exit %d, error %v, stderr %q", i, out, exit, err, errOut)
			}
		})
	}
	wg.Wait()
}
