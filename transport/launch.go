package transport

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"sync"
	"time"
)

// maxLine is the longest command line used: BSD's csh takes words of 1 KiB, Linux an
// argument of 128 KiB. A longer script comes over stdin.
const maxLine = 1000

// maxNoise bounds what is kept of the output before a command starts.
const maxNoise = 64 << 10

// A Launch is a Cmd made ready for a shell on the other side. It is how transports that
// can only hand a line to a login shell keep the promises of a Conn:
//
// The line runs a POSIX shell whatever the login shell is. That shell says a random
// marker and its process group on stdout and stderr and then becomes the command. All
// output before the marker is noise (rc files, lectures) and dropped; the process group
// is what a cancelled context kills. Scripts that are long or carry an environment do
// not ride in the line, where every user of the host could read them, but come first
// on stdin.
type Launch struct {
	Line           string    // for the login shell
	Stdin          io.Reader // nil if there is none
	Stdout, Stderr io.Writer

	mark     string
	lines    bool // stdin comes as encoded lines, see endOfLines
	out, err gate
	started  chan struct{} // closed when the group is known

	mu    sync.Mutex
	group string
	state string // "", "started", "dir", "prog"
	cmd   Cmd
}

// NewLaunch makes cmd ready for a login shell.
func NewLaunch(cmd Cmd) *Launch {
	l := newLaunch(cmd)
	script := l.script()
	l.Line = anyShell(script)
	l.Stdin = cmd.Stdin
	if !cmd.TTY && (len(l.Line) > maxLine || len(cmd.Env) > 0) {
		l.Line = anyShell(readScript)
		l.Stdin = strings.NewReader(encode(script) + "\n")
		if cmd.Stdin != nil {
			l.Stdin = io.MultiReader(l.Stdin, cmd.Stdin)
		}
	}
	return l
}

// readScript runs the encoded script that is the first line of stdin. read takes a byte
// at a time from a pipe, as POSIX wants, so what follows the line is left untouched.
const readScript = `IFS= read -r orch_s && eval "$(printf "$orch_s")"`

// endOfLines ends a stdin that is sent as encoded lines, because a terminal knows no end
// of input and gives bytes a meaning. No encoded line is equal to it.
const endOfLines = "~"

func newLaunch(cmd Cmd) *Launch {
	l := &Launch{cmd: cmd, mark: "orch-" + strings.ToLower(rand.Text()), started: make(chan struct{})}
	l.out = gate{mark: l.mark, to: cmd.Stdout, found: l.found}
	l.err = gate{mark: l.mark, to: cmd.Stderr, found: func(string) bool { return true }}
	l.Stdout, l.Stderr = &l.out, &l.err
	return l
}

// found reads what follows a marker on stdout and says whether the command's own output
// comes next.
func (l *Launch) found(rest string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch word := strings.TrimSpace(rest); word {
	case "dir", "prog":
		l.state = word
		return false
	default:
		l.state, l.group = "started", word
		close(l.started)
		return true
	}
}

// script is the POSIX script that says the marker and becomes the command.
func (l *Launch) script() string {
	cmd := l.cmd
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	if cmd.Dir != "" {
		line(`CDPATH= cd -- %s 2>/dev/null || { printf '\n%s dir\n'; exit 126; }`, Quote(cmd.Dir), l.mark)
	}
	if cmd.Umask != nil {
		line(`umask %04o`, *cmd.Umask)
	}
	argv := cmd.Argv
	var odd []string
	for _, pair := range cmd.Env {
		name, val, _ := strings.Cut(pair, "=")
		if !identifier(name) {
			odd = append(odd, pair)
			continue
		}
		line(`%s=%s; export %s`, name, Quote(val), name)
	}
	line(`command -v %s >/dev/null 2>&1 || { printf '\n%s prog\n'; exit 127; }`, Quote(argv[0]), l.mark)
	if len(odd) > 0 {
		argv = append(append([]string{"env"}, odd...), argv...)
	}
	line(`orch_g=; read -r orch_s orch_s orch_s orch_s orch_g orch_s 2>/dev/null </proc/$$/stat`)
	line(`[ -n "$orch_g" ] || orch_g=$(ps -o pgid= -p $$ 2>/dev/null)`)
	line(`printf '\n%s %%s\n' "${orch_g:-$$}"`, l.mark)
	switch {
	case !cmd.TTY:
		line(`printf '\n%s\n' >&2`, l.mark)
		line(`unset orch_g orch_s`)
		line(`exec %s`, Quote(argv...))
	case cmd.Stdin == nil:
		line(`exec %s </dev/null`, Quote(argv...))
	case l.lines:
		// The reader tells its pid to the command's side, which ends it: it would wait for a
		// next line for ever.
		line(`{ read -r orch_s orch_r </proc/self/stat; echo "$orch_s"; while IFS= read -r orch_s && [ "$orch_s" != "%s" ]; do printf "$orch_s"; done; } |`, endOfLines)
		line(`{ read -r orch_s; %s; orch_r=$?; kill -PIPE "$orch_s" 2>/dev/null; exit $orch_r; }`, Quote(argv...))
	default:
		line(`exec %s`, Quote(argv...))
	}
	return b.String()
}

func identifier(name string) bool {
	for i := 0; i < len(name); i++ {
		if !letter(name[i]) && name[i] != '_' || i == 0 && name[i] <= '9' {
			return false
		}
	}
	return name != ""
}

// Group is the process group of the command, waiting a moment for it; "" if the command
// never started.
func (l *Launch) Group(ctx context.Context) string {
	select {
	case <-l.started:
	case <-ctx.Done():
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.group
}

// Result is what the end of the shell means for the command: its exit code if it was
// started, otherwise why it was not.
func (l *Launch) Result(exit int) (int, error) {
	l.mu.Lock()
	state := l.state
	l.mu.Unlock()
	switch state {
	case "started":
		return exit, nil
	case "dir":
		return exit, &fs.PathError{Op: "chdir", Path: l.cmd.Dir, Err: fs.ErrNotExist}
	case "prog":
		return exit, &fs.PathError{Op: "exec", Path: l.cmd.Argv[0], Err: fs.ErrNotExist}
	}
	said := strings.TrimSpace(l.err.noise() + "\n" + l.out.noise())
	if said == "" {
		said = "it said nothing"
	}
	return exit, fmt.Errorf("the login shell ended with %d before the command started: %s", exit, said)
}

// Kill kills a process group through conn, as whoever conn runs commands as. It has its
// own time limit: the context of what is killed is over.
func Kill(conn Conn, group string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	p, err := conn.Start(ctx, Cmd{Argv: []string{"/bin/sh", "-c", "kill -KILL -" + group}})
	if err != nil {
		return err
	}
	_, err = p.Wait()
	return err
}

// A gate drops what is written before the marker and hands the rest on.
type gate struct {
	mark  string
	to    io.Writer
	found func(rest string) (open bool)
	// watch, if set, sees everything dropped so far after each write.
	watch func(noise []byte)

	mu   sync.Mutex
	buf  []byte
	open bool
}

// Write implements io.Writer.
func (g *gate) Write(p []byte) (int, error) {
	g.mu.Lock()
	if g.open {
		g.mu.Unlock()
		return g.pass(p)
	}
	g.buf = append(g.buf, p...)
	var rest []byte
	for !g.open {
		at := bytes.Index(g.buf, []byte("\n"+g.mark))
		if at < 0 {
			break
		}
		end := bytes.IndexByte(g.buf[at+1:], '\n')
		if end < 0 {
			break
		}
		end += at + 1
		word := string(g.buf[at+1+len(g.mark) : end])
		rest = g.buf[end+1:]
		g.buf = append(g.buf[:at:at], rest...)
		g.open = g.found(strings.TrimSuffix(word, "\r"))
		if g.open {
			g.buf = g.buf[:at]
		}
	}
	if len(g.buf) > maxNoise {
		g.buf = append(g.buf[:0], g.buf[len(g.buf)-maxNoise/2:]...)
	}
	opened := g.open
	if !opened && g.watch != nil {
		g.watch(g.buf)
	}
	g.mu.Unlock()
	if opened {
		if _, err := g.pass(rest); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

func (g *gate) pass(p []byte) (int, error) {
	if g.to == nil || len(p) == 0 {
		return len(p), nil
	}
	return g.to.Write(p)
}

func (g *gate) noise() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return string(bytes.ReplaceAll(g.buf, []byte("\r"), nil))
}
