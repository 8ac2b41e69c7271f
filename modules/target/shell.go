package target

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path"
	"strconv"
	"strings"
	"sync"
	"time"

	"orch/modules"
	"orch/modules/target/machine"
	"orch/transport"
)

// A Shell placement runs modules on the controller, against a host that is reached only
// by commands of a POSIX shell: where the helper cannot run. Modules cannot tell.
type Shell struct {
	conn  transport.Conn
	table machine.Table
	spec  HostSpec

	jobs sync.WaitGroup // async jobs that run

	mu  sync.Mutex
	env map[string]string // the login's, once asked for
	me  *modules.User
	db  map[string][]string // passwd and group, once read
}

// NewShell makes the placement for a connection with become applied.
func NewShell(conn transport.Conn, table machine.Table, spec HostSpec) *Shell {
	return &Shell{conn: conn, table: table, spec: spec, db: map[string][]string{}}
}

// Run implements Placement.
func (s *Shell) Run(ctx context.Context, req Request) (modules.Result, error) {
	entry, err := s.table.Lookup(req.Module)
	if err != nil {
		return modules.Result{}, err
	}
	s.mu.Lock()
	clear(s.db) // the task before may have made users
	s.mu.Unlock()
	t := &shellTarget{Shell: s, req: req}
	var res modules.Result
	if req.Job != nil {
		res, err = s.start(ctx, t, entry)
	} else {
		res, err = entry.Run(ctx, req.Args, t, t, req.Options)
	}
	var lost *transport.Lost
	var become *transport.BecomeError
	if errors.As(err, &lost) || errors.As(err, &become) {
		return res, err
	}
	return res, machine.AsFailure(err, &res)
}

// start begins an async job. The module runs here, so the job needs this process: Close
// waits for it.
func (s *Shell) start(ctx context.Context, t *shellTarget, entry modules.Entry) (modules.Result, error) {
	t.req.Emit = nil
	f, err := machine.NewJobFile(ctx, t, t.req.Job.Dir, os.Getpid())
	if err != nil {
		return modules.Result{}, err
	}
	s.jobs.Go(func() {
		f.Run(context.WithoutCancel(ctx), t.req.Job.Limit, func(ctx context.Context) (modules.Result, error) {
			res, err := entry.Run(ctx, t.req.Args, t, t, t.req.Options)
			return res, machine.AsFailure(err, &res)
		})
	})
	res, err := machine.JobResult(f.Begun())
	res.Warnings = append(res.Warnings, "without the helper on the host the job ends with this run, which waits for it")
	return res, err
}

// Dial implements Placement.
func (s *Shell) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	d, ok := s.conn.(transport.Dialer)
	if !ok {
		return nil, fmt.Errorf("%s: connections from the host without the helper: %w", s.conn, errors.ErrUnsupported)
	}
	return d.Dial(ctx, network, addr)
}

// Close implements Placement: it waits for async jobs. The pool closes the connection.
func (s *Shell) Close() error {
	s.jobs.Wait()
	return nil
}

// A shellTarget is the host during one request.
type shellTarget struct {
	*Shell
	req Request
}

// sh runs a script of this package with arguments: its messages are read, so in English.
func (t *shellTarget) sh(ctx context.Context, stdin io.Reader, script string, args ...string) (modules.Output, error) {
	return t.start(ctx, modules.Command{Argv: append([]string{"/bin/sh", "-c", "LC_ALL=C; export LC_ALL; " + script, "sh"}, args...), Stdin: stdin})
}

func (t *shellTarget) start(ctx context.Context, c modules.Command) (modules.Output, error) {
	var stdout, stderr bytes.Buffer
	cmd := transport.Cmd{Argv: c.Argv, Dir: c.Dir, Stdin: c.Stdin, Stdout: &stdout, Stderr: &stderr}
	for k, v := range t.req.Env {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	cmd.Env = append(cmd.Env, c.Env...)
	if c.Umask != nil {
		cmd.Argv = append([]string{"/bin/sh", "-c", fmt.Sprintf(`umask %04o && exec "$@"`, *c.Umask), "sh"}, cmd.Argv...)
	}
	if c.User != "" {
		cmd.Argv = []string{"su", "-s", "/bin/sh", c.User, "-c", "exec " + transport.Quote(cmd.Argv...)}
	}
	if c.Stream && t.req.Emit != nil {
		lines := modules.Lines(t.req.Emit)
		defer lines.Close()
		cmd.Stdout = io.MultiWriter(&stdout, lines)
	}
	p, err := t.conn.Start(ctx, cmd)
	if err != nil {
		return modules.Output{}, err
	}
	exit, err := p.Wait()
	if exit > 128 && exit < 160 {
		exit = -(exit - 128) // as the helper reports a signal
	}
	return modules.Output{Stdout: stdout.String(), Stderr: stderr.String(), RC: exit}, err
}

// said are what tools print, first match first, and the errors that means.
var said = []struct {
	text string
	err  error
}{
	{"No such file", fs.ErrNotExist},
	{"Not a directory", fs.ErrNotExist},
	{"nonexistent", fs.ErrNotExist}, // dash
	{"not found", fs.ErrNotExist},
	{"Permission denied", fs.ErrPermission},
	{"not permitted", fs.ErrPermission},
	{"File exists", fs.ErrExist},
}

// pathError makes the error of a failed command one about a file, by what it printed.
func pathError(op, file string, out modules.Output) error {
	msg := strings.TrimSpace(out.Stderr)
	err := errors.New(msg)
	for _, s := range said {
		if strings.Contains(msg, s.text) {
			err = fmt.Errorf("%w (%s)", s.err, msg)
			break
		}
	}
	return &fs.PathError{Op: op, Path: file, Err: err}
}

// do runs a script that must succeed.
func (t *shellTarget) do(ctx context.Context, op, file, script string, args ...string) (string, error) {
	out, err := t.sh(ctx, nil, script, append([]string{file}, args...)...)
	if err != nil {
		return "", err
	}
	if out.RC != 0 {
		return "", pathError(op, file, out)
	}
	return out.Stdout, nil
}

func (t *shellTarget) Query(ctx context.Context, argv ...string) (modules.Output, error) {
	return t.Run(ctx, modules.Command{Argv: argv, Env: []string{"LC_ALL=C", "LANGUAGE=C"}})
}

func (t *shellTarget) Run(ctx context.Context, c modules.Command) (modules.Output, error) {
	if len(c.Argv) == 0 {
		return modules.Output{}, errors.New("empty command")
	}
	// The sbin folders are searched too, as by the helper.
	argv := append([]string{"/bin/sh", "-c", `PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin; export PATH; command -v "$1" >/dev/null 2>&1 || { echo "orch: $1: not found" >&2; exit 127; }; exec "$@"`, "sh"}, c.Argv...)
	name := c.Argv[0]
	c.Argv = argv
	out, err := t.start(ctx, c)
	if err == nil && out.RC == 127 && strings.Contains(out.Stderr, "orch: "+name+": not found") {
		return modules.Output{}, &fs.PathError{Op: "exec", Path: name, Err: fs.ErrNotExist}
	}
	return out, err
}

func (t *shellTarget) LookPath(ctx context.Context, name string) (string, error) {
	out, err := t.sh(ctx, nil, `PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin; command -v "$1"`, name)
	if err != nil || out.RC != 0 {
		return "", err
	}
	line := strings.TrimSpace(out.Stdout)
	if !strings.HasPrefix(line, "/") { // a builtin or an alias of the shell
		return "", nil
	}
	return line, nil
}

func (t *shellTarget) Open(ctx context.Context, file string) (io.ReadCloser, error) {
	out, err := t.sh(ctx, nil, `exec cat -- "$1"`, file)
	if err != nil {
		return nil, err
	}
	if out.RC != 0 {
		return nil, pathError("open", file, out)
	}
	return io.NopCloser(strings.NewReader(out.Stdout)), nil
}

func (t *shellTarget) ReadFile(ctx context.Context, file string) ([]byte, error) {
	r, err := t.Open(ctx, file)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(r, machine.MaxFile+1))
	if err == nil && len(text) > machine.MaxFile {
		err = &fs.PathError{Op: "read", Path: file, Err: errors.New("file is larger than 64 MiB")}
	}
	return text, err
}

// statFormat is GNU and busybox stat's: every field of FileInfo, then the name.
const statFormat = "%f %s %u %g %d %i %h %b %o %t %T %X %Y %Z %n"

func (t *shellTarget) stat(ctx context.Context, file, flags string) (modules.FileInfo, error) {
	text, err := t.do(ctx, "stat", file, `exec stat `+flags+` -c "`+statFormat+`" -- "$1"`)
	if err != nil {
		return modules.FileInfo{}, err
	}
	return parseStat(strings.TrimSuffix(text, "\n"))
}

func (t *shellTarget) Stat(ctx context.Context, file string) (modules.FileInfo, error) {
	return t.stat(ctx, file, "-L")
}

func (t *shellTarget) Lstat(ctx context.Context, file string) (modules.FileInfo, error) {
	return t.stat(ctx, file, "")
}

func parseStat(line string) (modules.FileInfo, error) {
	f := strings.SplitN(line, " ", 15)
	if len(f) < 15 {
		return modules.FileInfo{}, fmt.Errorf("unexpected answer of stat: %q", line)
	}
	num := func(i, base int) int64 {
		n, _ := strconv.ParseInt(f[i], base, 64)
		return n
	}
	fi := modules.FileInfo{
		Name: path.Base(f[14]), Mode: unixMode(uint32(num(0, 16))), Size: num(1, 10), UID: int(num(2, 10)), GID: int(num(3, 10)),
		Dev: uint64(num(4, 10)), Inode: uint64(num(5, 10)), Nlink: uint64(num(6, 10)), Blocks: num(7, 10), BlkSize: num(8, 10),
		Rdev:  uint64(num(9, 16))<<8 | uint64(num(10, 16)),
		Atime: time.Unix(num(11, 10), 0), Mtime: time.Unix(num(12, 10), 0), Ctime: time.Unix(num(13, 10), 0),
	}
	return fi, nil
}

// unixMode turns st_mode into package fs's.
func unixMode(m uint32) fs.FileMode {
	mode := fs.FileMode(m & 0o777)
	switch m & 0o170000 {
	case 0o040000:
		mode |= fs.ModeDir
	case 0o120000:
		mode |= fs.ModeSymlink
	case 0o060000:
		mode |= fs.ModeDevice
	case 0o020000:
		mode |= fs.ModeDevice | fs.ModeCharDevice
	case 0o010000:
		mode |= fs.ModeNamedPipe
	case 0o140000:
		mode |= fs.ModeSocket
	}
	for bit, flag := range map[uint32]fs.FileMode{0o4000: fs.ModeSetuid, 0o2000: fs.ModeSetgid, 0o1000: fs.ModeSticky} {
		if m&bit != 0 {
			mode |= flag
		}
	}
	return mode
}

func octal(mode fs.FileMode) string {
	n := uint32(mode.Perm())
	for flag, bit := range map[fs.FileMode]uint32{fs.ModeSetuid: 0o4000, fs.ModeSetgid: 0o2000, fs.ModeSticky: 0o1000} {
		if mode&flag != 0 {
			n |= bit
		}
	}
	return fmt.Sprintf("%04o", n)
}

func (t *shellTarget) ReadDir(ctx context.Context, dir string) ([]modules.FileInfo, error) {
	text, err := t.do(ctx, "readdir", dir, `[ -e "$1" ] || { echo "No such file" >&2; exit 1; }
cd -- "$1" || exit 1
for f in * .*; do
	case $f in .|..) continue;; esac
	[ -e "$f" ] || [ -L "$f" ] || continue
	stat -c "`+statFormat+`" -- "$f" 2>/dev/null
	printf '\0'
done`)
	if err != nil {
		return nil, err
	}
	var list []modules.FileInfo
	for entry := range strings.SplitSeq(text, "\x00") {
		if entry = strings.TrimSuffix(entry, "\n"); entry == "" {
			continue
		}
		fi, err := parseStat(entry)
		if err != nil {
			return nil, err
		}
		list = append(list, fi)
	}
	return list, nil
}

func (t *shellTarget) Readlink(ctx context.Context, file string) (string, error) {
	text, err := t.do(ctx, "readlink", file, `readlink -- "$1" || { [ -e "$1" ] || echo "No such file" >&2; exit 1; }`)
	return strings.TrimSuffix(text, "\n"), err
}

func (t *shellTarget) Statfs(ctx context.Context, file string) (modules.FSInfo, error) {
	text, err := t.do(ctx, "statfs", file, `stat -f -c "%S %s %b %f %a %c %d %l" -- "$1" || exit 1; awk -v p="$(df -P -- "$1" | awk 'END{print $6}')" '$2==p{o=$4} END{print o}' /proc/mounts`)
	if err != nil {
		return modules.FSInfo{}, err
	}
	head, opts, _ := strings.Cut(text, "\n")
	var n [8]uint64
	for i, f := range strings.Fields(head) {
		if i < len(n) {
			n[i], _ = strconv.ParseUint(f, 10, 64)
		}
	}
	has := func(opt string) bool { return strings.Contains(","+strings.TrimSpace(opts)+",", ","+opt+",") }
	return modules.FSInfo{
		FragSize: n[0], BlockSize: n[1], Size: n[2] * n[0], Free: n[3] * n[0], Avail: n[4] * n[0],
		Files: n[5], FilesFree: n[6], NameMax: n[7], ReadOnly: has("ro"), NoExec: has("noexec"),
	}, nil
}

func (t *shellTarget) Checksum(ctx context.Context, file, algo string) (string, error) {
	if _, err := machine.NewHash(algo); err != nil {
		return "", err
	}
	text, err := t.do(ctx, "open", file, `if command -v "$2sum" >/dev/null 2>&1; then "$2sum" <"$1" | cut -d' ' -f1; else openssl dgst "-$2" <"$1" | sed 's/.* //'; fi`, algo)
	sum := strings.TrimSpace(text)
	if err == nil && sum == "" {
		return "", &fs.PathError{Op: "open", Path: file, Err: fs.ErrNotExist}
	}
	return sum, err
}

// database reads /etc/passwd or /etc/group once, with what getent adds.
func (t *shellTarget) database(ctx context.Context, name string) ([]string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if list, ok := t.db[name]; ok {
		return list, nil
	}
	out, err := t.sh(ctx, nil, `getent "$1" 2>/dev/null || cat "/etc/$1"`, name)
	if err != nil {
		return nil, err
	}
	t.db[name] = strings.Split(strings.TrimSpace(out.Stdout), "\n")
	return t.db[name], nil
}

func (t *shellTarget) record(ctx context.Context, db string, n int, want string) ([]string, error) {
	list, err := t.database(ctx, db)
	if err != nil {
		return nil, err
	}
	for _, line := range list {
		if f := strings.Split(line, ":"); len(f) > n && f[n] == want {
			return f, nil
		}
	}
	return nil, &fs.PathError{Op: "look up in " + db, Path: want, Err: fs.ErrNotExist}
}

func (t *shellTarget) User(ctx context.Context, name string) (modules.User, error) {
	f, err := t.record(ctx, "passwd", 0, name)
	if err != nil {
		return modules.User{}, err
	}
	return machine.UserOf(f), nil
}

func (t *shellTarget) UserID(ctx context.Context, uid int) (modules.User, error) {
	f, err := t.record(ctx, "passwd", 2, strconv.Itoa(uid))
	if err != nil {
		return modules.User{}, err
	}
	return machine.UserOf(f), nil
}

func (t *shellTarget) Group(ctx context.Context, name string) (modules.Group, error) {
	f, err := t.record(ctx, "group", 0, name)
	if err != nil {
		return modules.Group{}, err
	}
	return machine.GroupOf(f), nil
}

func (t *shellTarget) GroupID(ctx context.Context, gid int) (modules.Group, error) {
	f, err := t.record(ctx, "group", 2, strconv.Itoa(gid))
	if err != nil {
		return modules.Group{}, err
	}
	return machine.GroupOf(f), nil
}

func (t *shellTarget) Env(ctx context.Context) (map[string]string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.env == nil {
		// The login's alone: what this task adds must not stay for the next one.
		bare := &shellTarget{Shell: t.Shell}
		out, err := bare.start(ctx, modules.Command{Argv: []string{"/bin/sh", "-c", `env -0 2>/dev/null || env`}})
		if err != nil {
			return nil, err
		}
		sep := "\n"
		if strings.Contains(out.Stdout, "\x00") {
			sep = "\x00"
		}
		t.env = map[string]string{}
		for pair := range strings.SplitSeq(out.Stdout, sep) {
			if k, v, ok := strings.Cut(pair, "="); ok {
				t.env[k] = v
			}
		}
	}
	env := map[string]string{}
	for k, v := range t.env {
		env[k] = v
	}
	for k, v := range t.req.Env {
		env[k] = v
	}
	return env, nil
}

func (t *shellTarget) Whoami(ctx context.Context) (modules.User, error) {
	t.mu.Lock()
	me := t.me
	t.mu.Unlock()
	if me != nil {
		return *me, nil
	}
	out, err := t.sh(ctx, nil, `id -u; id -g; echo "$HOME"`)
	if err != nil {
		return modules.User{}, err
	}
	f := strings.Split(out.Stdout, "\n")
	if len(f) < 3 {
		return modules.User{}, fmt.Errorf("unexpected answer of id: %q", out.Stdout)
	}
	uid, _ := strconv.Atoi(f[0])
	gid, _ := strconv.Atoi(f[1])
	u, err := t.UserID(ctx, uid)
	if errors.Is(err, fs.ErrNotExist) {
		u, err = modules.User{Name: f[0], UID: uid, GID: gid, Home: f[2]}, nil
	}
	if err == nil {
		t.mu.Lock()
		t.me = &u
		t.mu.Unlock()
	}
	return u, err
}

func (t *shellTarget) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	return t.Shell.Dial(ctx, network, addr)
}

func (t *shellTarget) Source(_ context.Context, sum string) (io.ReadCloser, error) {
	return openSource(t.req.Sources, sum)
}

func (t *shellTarget) TempDir(ctx context.Context) (string, error) {
	text, err := t.do(ctx, "mkdir", t.spec.RemoteTmp, `d=$1
case $d in "") d=$HOME/.cache/orch/tmp;; "~"/*) d=$HOME/${d#"~"/};; esac
u=$(id -u)
( umask 077; mkdir -p "$d" ) 2>/dev/null && [ -w "$d" ] || { d=/var/tmp/orch-$u/tmp; ( umask 077; mkdir -p "$d" ) || exit 1; }
[ -O "$d" ] || { echo "$d belongs to somebody else" >&2; exit 1; }
echo "$d"`)
	return strings.TrimSpace(text), err
}

func (t *shellTarget) Emit(line string) {
	if t.req.Emit != nil {
		t.req.Emit(line)
	}
}
