package transport

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Become says how and as whom a command is run instead of as the login's user. Its zero
// value is: not at all.
type Become struct {
	Method   string // "sudo", "su" or "doas"; "" is none
	User     string // "" is root
	Password string // "" is none: the method must not ask
	Exe      string // "" is the method's name
	// Flags are further flags, split as a shell would; as in Ansible, "" is -H -S -n for
	// sudo.
	Flags string
}

// becomeTimeout is how long a method may take to ask or to let the command start. PAM
// answers a wrong password after some seconds, a directory server may need longer.
const becomeTimeout = 30 * time.Second

// Check says whether there is such a method.
func (b Become) Check() error {
	switch b.Method {
	case "", "sudo", "su", "doas":
		return nil
	}
	return fmt.Errorf("become method %q is not supported: one of sudo, su, doas", b.Method)
}

// As wraps conn so that commands run as another user. It hides the channel for files and
// dials no sockets of the file system: both would have the rights of the login. Ports have
// no owner.
//
// A method's question is answered only when it is seen, so a password never reaches a
// command that did not need one, and it never appears in an argv. The command itself
// follows on stdin after a shell with the new rights has said a random marker: what
// the method prints before that can not be taken for the command's output, and the
// command does not show in the method's log.
func As(conn Conn, b Become) (Conn, error) {
	if b.Method == "" {
		return conn, nil
	}
	if err := b.Check(); err != nil {
		return nil, err
	}
	if b.User == "" {
		b.User = "root"
	}
	flags, err := Split(b.Flags)
	if err != nil {
		return nil, fmt.Errorf("become flags %q: %w", b.Flags, err)
	}
	return &becomeConn{inner: conn, become: b, flags: flags}, nil
}

type becomeConn struct {
	inner  Conn
	become Become
	flags  []string
	// tty is set once a host was found to want a terminal.
	tty atomic.Bool
}

func (c *becomeConn) Close() error { return c.inner.Close() }

// String implements Conn.
func (c *becomeConn) String() string {
	return c.inner.String() + " (" + c.become.Method + " " + c.become.User + ")"
}

// Err is why the connection is gone; see Checker.
func (c *becomeConn) Err() error {
	if checker, ok := c.inner.(Checker); ok {
		return checker.Err()
	}
	return nil
}

// Dial implements Dialer.
func (c *becomeConn) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	dialer, ok := c.inner.(Dialer)
	if !ok || network != "tcp" {
		return nil, fmt.Errorf("%s: dial %s %s: %w as another user", c, network, addr, errors.ErrUnsupported)
	}
	return dialer.Dial(ctx, network, addr)
}

// Start returns when the method has let the command start.
func (c *becomeConn) Start(ctx context.Context, cmd Cmd) (Process, error) {
	if len(cmd.Argv) == 0 {
		return nil, errors.New("no command to start")
	}
	if c.become.Method == "doas" && c.become.Password != "" {
		c.tty.Store(true) // doas reads passwords from a terminal only
	}
	asked := cmd.TTY
	cmd.TTY = asked || c.tty.Load()
	p, err := c.start(ctx, cmd)
	var refused *BecomeError
	if errors.As(err, &refused) && !cmd.TTY && wantsTTY().MatchString(refused.Output) {
		c.tty.Store(true)
		cmd.TTY = true
		return c.start(ctx, cmd)
	}
	return p, err
}

var wantsTTY = lazy(`(?i)must (have a tty|be run from a terminal)|a terminal is required|\btty required`)

func (c *becomeConn) start(ctx context.Context, cmd Cmd) (Process, error) {
	p := &becoming{conn: c, ctx: ctx, ready: make(chan struct{}), asked: make(chan struct{}, 8), done: make(chan struct{})}
	p.prompt = regexp.MustCompile(prompts)
	prompt := "[orch " + rand.Text()[:12] + "] password: "
	if c.become.Method == "sudo" {
		p.prompt = regexp.MustCompile(regexp.QuoteMeta(prompt))
	}
	p.launch = newLaunch(cmd)
	p.launch.lines = cmd.TTY && cmd.Stdin != nil
	found, in := p.launch.out.found, sync.Once{}
	p.launch.out.found = func(word string) bool {
		if strings.TrimSpace(word) == "in" {
			in.Do(func() { close(p.ready) })
			return false
		}
		return found(word)
	}
	p.launch.out.watch, p.launch.err.watch = p.watch(), p.watch()
	stdin, feed := io.Pipe()
	innerCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	p.cancel = cancel
	inner, err := c.inner.Start(innerCtx, Cmd{
		Argv: c.argv(prompt, p.boot(cmd.TTY)), Stdin: stdin,
		Stdout: p.launch.Stdout, Stderr: p.launch.Stderr, TTY: cmd.TTY,
	})
	if err != nil {
		cancel()
		return nil, c.explain(err, "")
	}
	p.feed = feed
	go p.wait(inner, stdin)
	if err := p.authenticate(); err != nil {
		cancel()
		feed.Close()
		<-p.done
		return nil, err
	}
	go p.send(cmd)
	go p.watchContext()
	return p, nil
}

// argv is the method's command line around the shell that says the marker.
func (c *becomeConn) argv(prompt, boot string) []string {
	b := c.become
	exe, flags := b.Exe, slices.Clone(c.flags)
	if exe == "" {
		exe = b.Method
	}
	words := []string{exe}
	switch b.Method {
	case "sudo":
		if len(flags) == 0 {
			flags = []string{"-H"}
		}
		flags = without(flags, "-n", "--non-interactive", "-S", "--stdin")
		if b.Password == "" {
			flags = append(flags, "-n")
		} else {
			flags = append(flags, "-S", "-p", prompt)
		}
		words = append(append(words, flags...), "-u", b.User, "--", "/bin/sh", "-c", boot)
	case "doas":
		flags = without(flags, "-n")
		if b.Password == "" {
			flags = append(flags, "-n")
		}
		words = append(append(words, flags...), "-u", b.User, "--", "/bin/sh", "-c", boot)
	case "su":
		// A shell of the user's own would read its rc files, and nobody has none. Prompt and
		// messages come in English; the boot script puts the locale back.
		words = append([]string{"/bin/sh", "-c", `ORCH_LC_ALL=${LC_ALL-}; LC_ALL=C; export ORCH_LC_ALL LC_ALL; exec "$@"`, "sh"}, words...)
		words = append(append(words, flags...), "-s", "/bin/sh", b.User, "-c", boot)
	}
	return words
}

func without(flags []string, drop ...string) []string {
	return slices.DeleteFunc(flags, func(f string) bool { return slices.Contains(drop, f) })
}

// prompts are what su and doas ask with; su is told to speak English, PAM modules may
// not listen.
const prompts = `(?i)(password|passcode|passwor[dt]|passwort|mot de passe|contrase|senha|parola|has[łl]o|пароль|密码|密碼|パスワード|암호)[^\n]*[:：]\s*$`

// boot is what the new user's shell runs: it says that it is in, then the command's
// script comes as the first line of stdin. A terminal is made transparent first.
func (p *becoming) boot(tty bool) string {
	var b strings.Builder
	if p.conn.become.Method == "su" {
		b.WriteString(`case ${ORCH_LC_ALL-} in "") unset LC_ALL;; *) LC_ALL=$ORCH_LC_ALL;; esac; unset ORCH_LC_ALL; `)
	}
	if tty {
		b.WriteString(`stty raw -echo; `)
	}
	fmt.Fprintf(&b, `printf "\n%s in\n"; %s`, p.launch.mark, readScript)
	return b.String()
}

// becoming is a process on its way through a become method.
type becoming struct {
	conn   *becomeConn
	ctx    context.Context
	cancel context.CancelFunc // of the process below
	launch *Launch
	prompt *regexp.Regexp
	// questions of su and doas, as they were asked; to be read when the process has ended
	questions []string

	feed  *io.PipeWriter
	asked chan struct{}
	ready chan struct{}
	done  chan struct{}
	once  sync.Once
	// How it ended.
	exit          int
	err, canceled error
}

// watch returns a function that reports each new question of the method.
func (p *becoming) watch() func([]byte) {
	seen, line := 0, -1
	return func(noise []byte) {
		if p.conn.become.Method == "sudo" {
			// Its question is ours, and stays in the noise.
			for n := len(p.prompt.FindAllIndex(noise, -1)); seen < n; seen++ {
				p.ask()
			}
			return
		}
		// Those of su and doas are known by standing at the end; each is on a line of its own.
		if at := bytes.Count(noise, []byte("\n")); at > line {
			if question := p.prompt.Find(noise); question != nil {
				line = at
				p.questions = append(p.questions, string(question))
				p.ask()
			}
		}
	}
}

func (p *becoming) ask() {
	select {
	case p.asked <- struct{}{}:
	default:
	}
}

// authenticate answers the method until the new user's shell speaks.
func (p *becoming) authenticate() error {
	timeout := time.NewTimer(becomeTimeout)
	defer timeout.Stop()
	b := p.conn.become
	answered := false
	for {
		select {
		case <-p.ready:
			return nil
		case <-p.ctx.Done():
			return p.ctx.Err()
		case <-p.asked:
			switch {
			case b.Password == "":
				return p.refused(b.Method+" asks for a password and none is given", askHint)
			case answered:
				return p.refused("incorrect "+b.Method+" password", "")
			}
			answered = true
			go io.WriteString(p.feed, b.Password+"\n")
		case <-timeout.C:
			return p.refused(fmt.Sprintf("%s did not answer within %v", b.Method, becomeTimeout), "")
		case <-p.done:
			select {
			case <-p.ready: // and ended at once
				return nil
			default:
			}
			return p.conn.explain(p.err, p.said())
		}
	}
}

const askHint = "set ansible_become_password, or use --ask-become-pass"

// said is what the method printed, without the question and the lecture around it.
func (p *becoming) said() string {
	said := p.launch.err.noise() + p.launch.out.noise()
	if p.conn.become.Method == "sudo" {
		said = p.prompt.ReplaceAllString(said, "")
	}
	for _, question := range p.questions {
		said = strings.Replace(said, question, "", 1)
	}
	return strings.TrimSpace(said)
}

func (p *becoming) refused(msg, hint string) error {
	b := p.conn.become
	return &BecomeError{Host: p.conn.inner.String(), Method: b.Method, User: b.User, Msg: msg, Hint: hint}
}

// refusals are what methods say when they refuse, and what that means.
var refusals = []struct {
	said func() *regexp.Regexp
	msg  string // %s is the method
	hint string
}{
	{lazy(`(?i)a password is required|Authentication required|Authorization required`), "%s wants a password and none is given", askHint},
	{lazy(`(?i)incorrect password|Sorry, try again|authentication failure|Authentication failed|no password was provided`), "incorrect %s password", ""},
	{lazy(`(?i)not in the sudoers file|may not run sudo|is not allowed to (run|execute)|Operation not permitted`), "the login may not use %s for that", ""},
	{lazy(`(?i)unknown user|does not exist|user .* not found`), "there is no such user for %s", ""},
	{lazy(`exec: .*not found`), "%s is not installed", ""},
	{wantsTTY, "%s wants a terminal", ""},
}

// explain turns the end of a method that never let the command start into an error.
func (c *becomeConn) explain(err error, said string) error {
	b := c.become
	out := &BecomeError{Host: c.inner.String(), Method: b.Method, User: b.User, Output: said}
	var lost *Lost
	switch {
	case errors.As(err, &lost) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.Is(err, fs.ErrNotExist):
		out.Msg = b.Method + " is not installed"
		out.Hint = "set become_method to one of sudo, su, doas, or install it"
		return out
	case err != nil:
		return err
	}
	for _, r := range refusals {
		if r.said().MatchString(said) {
			out.Msg, out.Hint = fmt.Sprintf(r.msg, b.Method), r.hint
			return out
		}
	}
	out.Msg = b.Method + " ended before the command started"
	return out
}

// send writes the script and then what the caller has for the command.
func (p *becoming) send(cmd Cmd) {
	defer p.feed.Close()
	_, err := io.WriteString(p.feed, encode(p.launch.script())+"\n")
	switch {
	case err != nil:
	case cmd.TTY:
		if cmd.Stdin != nil {
			p.sendLines(cmd)
		}
		// The terminal must stay open for the output.
		<-p.done
	case cmd.Stdin != nil:
		_, _ = io.Copy(p.feed, cmd.Stdin) // the command may end without reading it all
	}
}

// sendLines sends stdin as encoded lines.
func (p *becoming) sendLines(cmd Cmd) {
	buf := make([]byte, 1024)
	for {
		n, err := cmd.Stdin.Read(buf)
		if n > 0 {
			if _, err := io.WriteString(p.feed, encode(string(buf[:n]))+"\n"); err != nil {
				return
			}
		}
		if err != nil {
			_, _ = io.WriteString(p.feed, endOfLines+"\n") // the process may have ended
			return
		}
	}
}

// wait collects the end of the process below.
func (p *becoming) wait(inner Process, stdin *io.PipeReader) {
	exit, err := inner.Wait()
	stdin.CloseWithError(io.ErrClosedPipe)
	p.exit, p.err, p.canceled = exit, err, p.ctx.Err()
	close(p.done)
}

// watchContext kills the command as the user it runs as: the login itself may not.
func (p *becoming) watchContext() {
	select {
	case <-p.done:
		return
	case <-p.ctx.Done():
	}
	soon, stop := context.WithTimeout(context.Background(), 2*time.Second)
	group := p.launch.Group(soon)
	stop()
	if group != "" {
		if err := Kill(p.conn, group); err == nil {
			select {
			case <-p.done:
			case <-time.After(2 * time.Second):
			}
		}
	}
	p.cancel()
}

// Wait implements Process.
func (p *becoming) Wait() (int, error) {
	<-p.done
	p.once.Do(p.cancel)
	switch {
	case p.canceled != nil:
		return p.exit, p.canceled
	case p.err != nil:
		return p.exit, p.err
	}
	return p.launch.Result(p.exit)
}

// lazy compiles an expression when it is first used: most runs need few of them.
func lazy(expr string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expr) })
}
