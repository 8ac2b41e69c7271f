// Package machine is the View and Target of the machine this process runs on: what host
// modules use in the helper, and in orch itself for connection local. It links neither
// ssh nor anything else of the controller's side, so that the helper stays small and
// starts fast.
package machine

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"orch/modules"
)

// MaxFile is the largest file ReadFile reads, here and over a shell.
const MaxFile = 64 << 20

// An OS is the machine this process runs on, for one request: its environment, its
// contents and its watcher. It implements modules.View and modules.Target.
//
// Nothing of it is process-wide: no working folder, no environment and no umask is set,
// so any number of requests may run side by side.
type OS struct {
	// Environ is the login's environment with the task's on top.
	Environ map[string]string
	// Content opens content of the controller by its hex sha1 checksum.
	Content func(ctx context.Context, sum string) (io.ReadCloser, error)
	// Watch receives lines of output; nil drops them.
	Watch func(line string)
	// Tmp is the folder for temporary files; "" is ~/.cache/orch/tmp.
	Tmp string
}

// New makes an OS whose environment is this process's with env on top.
func New(env map[string]string) *OS {
	o := &OS{Environ: map[string]string{}}
	for _, pair := range os.Environ() {
		if k, v, ok := strings.Cut(pair, "="); ok {
			o.Environ[k] = v
		}
	}
	for k, v := range env {
		o.Environ[k] = v
	}
	return o
}

func (o *OS) environ(extra ...string) []string {
	env := make([]string, 0, len(o.Environ)+len(extra))
	for k, v := range o.Environ {
		env = append(env, k+"="+v)
	}
	return append(env, extra...)
}

// Query implements modules.View.
func (o *OS) Query(ctx context.Context, argv ...string) (modules.Output, error) {
	return o.run(ctx, modules.Command{Argv: argv, Env: []string{"LC_ALL=C", "LANGUAGE=C"}})
}

// Run implements modules.Target.
func (o *OS) Run(ctx context.Context, cmd modules.Command) (modules.Output, error) {
	return o.run(ctx, cmd)
}

func (o *OS) run(ctx context.Context, c modules.Command) (modules.Output, error) {
	if len(c.Argv) == 0 {
		return modules.Output{}, errors.New("empty command")
	}
	argv := c.Argv
	if c.Umask != nil {
		// The umask is the process's own: a shell sets it and becomes the command.
		argv = append([]string{"/bin/sh", "-c", fmt.Sprintf(`umask %04o && exec "$@"`, *c.Umask), "sh"}, argv...)
	}
	path, err := o.LookPath(ctx, argv[0])
	if err != nil {
		return modules.Output{}, err
	}
	if path == "" {
		return modules.Output{}, &fs.PathError{Op: "exec", Path: argv[0], Err: fs.ErrNotExist}
	}
	cmd := exec.CommandContext(ctx, path)
	cmd.Args = argv
	cmd.Env = o.environ(c.Env...)
	cmd.Dir = c.Dir
	cmd.Stdin = c.Stdin
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if c.User != "" {
		if err := o.as(ctx, cmd, c.User); err != nil {
			return modules.Output{}, err
		}
	}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 2 * time.Second // a daemon that keeps the pipes must not hold the task
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if c.Stream && o.Watch != nil {
		lines := modules.Lines(o.Watch)
		defer lines.Close()
		cmd.Stdout = io.MultiWriter(&stdout, lines)
	}
	err = cmd.Run()
	out := modules.Output{Stdout: stdout.String(), Stderr: stderr.String()}
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return out, ctx.Err()
	case errors.As(err, &exit):
		out.RC = exit.ExitCode()
		if ws, ok := exit.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
			out.RC = -int(ws.Signal()) // as Python's subprocess reports it
		}
		return out, nil
	case errors.Is(err, exec.ErrWaitDelay):
		return out, nil
	}
	return out, err
}

// as makes a command run as another user, in a process that may.
func (o *OS) as(ctx context.Context, cmd *exec.Cmd, name string) error {
	u, err := o.User(ctx, name)
	if err != nil {
		return err
	}
	groups, err := o.groupsOf(name, u.GID)
	if err != nil {
		return err
	}
	cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(u.UID), Gid: uint32(u.GID), Groups: groups}
	cmd.Env = append(cmd.Env, "HOME="+u.Home, "USER="+u.Name, "LOGNAME="+u.Name)
	return nil
}

// sbin are folders that PATH of an ordinary user lacks and Ansible's modules look in.
var sbin = []string{"/usr/local/sbin", "/usr/sbin", "/sbin"}

// LookPath implements modules.View.
func (o *OS) LookPath(_ context.Context, name string) (string, error) {
	if strings.Contains(name, "/") {
		if executable(name) {
			return name, nil
		}
		if _, err := os.Stat(name); err != nil {
			return "", nil
		}
		return name, nil // let the kernel say why it does not run
	}
	path := o.Environ["PATH"]
	if path == "" {
		path = "/usr/local/bin:/usr/bin:/bin"
	}
	for _, dir := range append(filepath.SplitList(path), sbin...) {
		if file := filepath.Join(dir, name); dir != "" && executable(file) {
			return file, nil
		}
	}
	return "", nil
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && unix.Access(path, unix.X_OK) == nil
}

// Open implements modules.View.
func (o *OS) Open(_ context.Context, path string) (io.ReadCloser, error) { return os.Open(path) }

// ReadFile implements modules.View.
func (o *OS) ReadFile(_ context.Context, path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, MaxFile+1))
	if err == nil && len(text) > MaxFile {
		err = &fs.PathError{Op: "read", Path: path, Err: errors.New("file is larger than 64 MiB")}
	}
	return text, err
}

// Stat implements modules.View.
func (o *OS) Stat(_ context.Context, path string) (modules.FileInfo, error) {
	info, err := os.Stat(path)
	return fileInfo(info), err
}

// Lstat implements modules.View.
func (o *OS) Lstat(_ context.Context, path string) (modules.FileInfo, error) {
	info, err := os.Lstat(path)
	return fileInfo(info), err
}

func fileInfo(info fs.FileInfo) modules.FileInfo {
	if info == nil {
		return modules.FileInfo{}
	}
	fi := modules.FileInfo{Name: info.Name(), Size: info.Size(), Mode: info.Mode(), Mtime: info.ModTime()}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		fi.UID, fi.GID = int(st.Uid), int(st.Gid)
		fi.Dev, fi.Inode, fi.Rdev, fi.Nlink = uint64(st.Dev), st.Ino, uint64(st.Rdev), uint64(st.Nlink)
		fi.Blocks, fi.BlkSize = st.Blocks, int64(st.Blksize)
		fi.Atime = time.Unix(st.Atim.Unix())
		fi.Ctime = time.Unix(st.Ctim.Unix())
	}
	return fi
}

// ReadDir implements modules.View.
func (o *OS) ReadDir(_ context.Context, path string) ([]modules.FileInfo, error) {
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	list := make([]modules.FileInfo, 0, len(entries))
	for _, e := range entries {
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // gone since the folder was read
		}
		if err != nil {
			return nil, err
		}
		list = append(list, fileInfo(info))
	}
	return list, nil
}

// Readlink implements modules.View.
func (o *OS) Readlink(_ context.Context, path string) (string, error) { return os.Readlink(path) }

// Statfs implements modules.View.
func (o *OS) Statfs(_ context.Context, path string) (modules.FSInfo, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return modules.FSInfo{}, &fs.PathError{Op: "statfs", Path: path, Err: err}
	}
	frag := uint64(st.Frsize)
	return modules.FSInfo{
		Size: st.Blocks * frag, Free: st.Bfree * frag, Avail: st.Bavail * frag,
		Files: st.Files, FilesFree: st.Ffree, BlockSize: uint64(st.Bsize), FragSize: frag, NameMax: uint64(st.Namelen),
		ReadOnly: st.Flags&unix.ST_RDONLY != 0, NoExec: st.Flags&unix.ST_NOEXEC != 0,
	}, nil
}

// NewHash makes the digest of a name of hashlib's.
func NewHash(algo string) (hash.Hash, error) {
	switch algo {
	case "md5":
		return md5.New(), nil
	case "sha1":
		return sha1.New(), nil
	case "sha224":
		return sha256.New224(), nil
	case "sha256":
		return sha256.New(), nil
	case "sha384":
		return sha512.New384(), nil
	case "sha512":
		return sha512.New(), nil
	}
	return nil, fmt.Errorf("unknown checksum algorithm %q, one of md5, sha1, sha224, sha256, sha384, sha512", algo)
}

// Checksum implements modules.View.
func (o *OS) Checksum(ctx context.Context, path, algo string) (string, error) {
	h, err := NewHash(algo)
	if err != nil {
		return "", err
	}
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	if _, err := io.Copy(h, &ctxReader{ctx, f}); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// A ctxReader stops reading when its context ends.
type ctxReader struct {
	ctx context.Context
	r   io.Reader
}

func (r *ctxReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}

// Env implements modules.View.
func (o *OS) Env(context.Context) (map[string]string, error) {
	env := make(map[string]string, len(o.Environ))
	for k, v := range o.Environ {
		env[k] = v
	}
	return env, nil
}

// Whoami implements modules.View.
func (o *OS) Whoami(ctx context.Context) (modules.User, error) {
	u, err := o.UserID(ctx, os.Geteuid())
	if errors.Is(err, fs.ErrNotExist) {
		return modules.User{Name: strconv.Itoa(os.Geteuid()), UID: os.Geteuid(), GID: os.Getegid(), Home: "/"}, nil
	}
	return u, err
}

// Dial implements modules.View.
func (o *OS) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, network, addr)
}

// Source implements modules.View.
func (o *OS) Source(ctx context.Context, sum string) (io.ReadCloser, error) {
	if o.Content == nil {
		return nil, fmt.Errorf("no content %s was offered", sum)
	}
	return o.Content(ctx, sum)
}

// TempDir implements modules.View.
func (o *OS) TempDir(ctx context.Context) (string, error) {
	dir := o.Tmp
	if dir == "" {
		home := o.Environ["HOME"]
		if u, err := o.Whoami(ctx); err == nil && (home == "" || os.Geteuid() == 0 && home != u.Home) {
			home = u.Home // under sudo HOME may be another user's
		}
		dir = filepath.Join(home, ".cache", "orch", "tmp")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		dir = filepath.Join(os.TempDir(), fmt.Sprintf("orch-%d", os.Geteuid()))
		if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return "", err
		}
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return "", err
	}
	if st, ok := info.Sys().(*syscall.Stat_t); !info.IsDir() || ok && int(st.Uid) != os.Geteuid() {
		return "", fmt.Errorf("temporary folder %s belongs to somebody else", dir)
	}
	return dir, nil
}

// Emit implements modules.Target.
func (o *OS) Emit(line string) {
	if o.Watch != nil {
		o.Watch(line)
	}
}
