// Package moduletest tests modules with cases as data: a task, a scripted host, and what
// the module is to plan, do and answer. Its [Host] is a host in memory for other tests.
package moduletest

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
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"orch/modules"
)

// A Host is a machine in memory. It answers scripted commands only: what a module asks
// for beyond them is reported as unexpected.
type Host struct {
	// Unexpected receives what the script does not answer.
	Unexpected func(what string)
	// Users, Groups and Environ are the host's databases.
	Users   []modules.User
	Groups  []modules.Group
	Environ map[string]string
	// Me is the name of the user modules run as.
	Me    string
	Umask int
	// Missing are programs LookPath does not find; all others are in /usr/bin.
	Missing []string
	// Dialer answers Dial; nil refuses.
	Dialer func(ctx context.Context, network, addr string) (net.Conn, error)
	// Sources are contents of the controller by hex sha1.
	Sources map[string][]byte
	// Did lists what was changed, in order.
	Did []string

	mu      sync.Mutex
	files   map[string]*file
	answers map[string]modules.Output
	effects map[string][]string // script lines applied once a command has run
	clock   time.Time
	inode   uint64
	frozen  bool
}

type file struct {
	mode         fs.FileMode
	uid, gid     int
	data         []byte
	link         string
	mtime, atime time.Time
	inode        uint64
}

// Epoch is the time on a new Host.
var Epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// NewHost makes a host with an empty / and the user root.
func NewHost() *Host {
	h := &Host{
		Users:   []modules.User{{Name: "root", Home: "/root", Shell: "/bin/bash", Gecos: "root"}},
		Groups:  []modules.Group{{Name: "root"}},
		Environ: map[string]string{"PATH": "/usr/bin:/bin", "HOME": "/root"},
		Me:      "root", Umask: 0o022,
		Sources: map[string][]byte{}, files: map[string]*file{}, answers: map[string]modules.Output{}, effects: map[string][]string{},
		clock: Epoch, Unexpected: func(string) {},
	}
	h.put("/", fs.ModeDir|0o755, 0, 0, nil, "")
	return h
}

// Freeze makes every change unexpected, for plans.
func (h *Host) Freeze(on bool) { h.frozen = on }

// Answer scripts a command.
func (h *Host) Answer(out modules.Output, argv ...string) { h.answers[Join(argv)] = out }

// AddFile puts a file on the host, with the folders above it.
func (h *Host) AddFile(p string, mode fs.FileMode, uid, gid int, data []byte) {
	if dir := path.Dir(p); h.files[dir] == nil && dir != p {
		h.AddFile(dir, fs.ModeDir|0o755, 0, 0, nil)
	}
	h.put(p, mode, uid, gid, data, "")
}

func (h *Host) put(p string, mode fs.FileMode, uid, gid int, data []byte, link string) *file {
	h.inode++
	f := &file{mode: mode, uid: uid, gid: gid, data: data, link: link, mtime: h.clock, atime: h.clock, inode: h.inode}
	h.files[p] = f
	return f
}

// Join writes an argv as a shell would take it, for scripts and logs.
func Join(argv []string) string {
	words := make([]string, len(argv))
	for i, a := range argv {
		if a == "" || strings.ContainsAny(a, " \t\n'\"\\$*?[]{}()<>|&;!#~`") {
			a = "'" + strings.ReplaceAll(a, "'", `'\''`) + "'"
			a = strings.ReplaceAll(a, "\n", `\n`)
		}
		words[i] = a
	}
	return strings.Join(words, " ")
}

func notExist(op, p string) error { return &fs.PathError{Op: op, Path: p, Err: fs.ErrNotExist} }

// walk resolves links in all but, unless follow, the last part of p.
func (h *Host) walk(op, p string, follow bool) (string, *file, error) {
	if !strings.HasPrefix(p, "/") {
		h.Unexpected(fmt.Sprintf("%s of relative path %q", op, p))
	}
	done, rest := "/", strings.Split(path.Clean(p), "/")
	for hops := 0; ; {
		if len(rest) == 0 {
			f := h.files[done]
			if f == nil {
				return done, nil, notExist(op, p)
			}
			return done, f, nil
		}
		part := rest[0]
		rest = rest[1:]
		if part == "" || part == "." {
			continue
		}
		if part == ".." {
			done = path.Dir(done)
			continue
		}
		next := path.Join(done, part)
		f := h.files[next]
		if f == nil {
			if len(rest) == 0 {
				return next, nil, notExist(op, p)
			}
			return "", nil, notExist(op, p)
		}
		if f.mode&fs.ModeSymlink != 0 && (follow || len(rest) > 0) {
			if hops++; hops > 20 {
				return next, nil, &fs.PathError{Op: op, Path: p, Err: errors.New("too many levels of symbolic links")}
			}
			if path.IsAbs(f.link) {
				done = "/"
			}
			rest = append(strings.Split(f.link, "/"), rest...)
			continue
		}
		done = next
	}
}

func (h *Host) info(name string, f *file) modules.FileInfo {
	size := int64(len(f.data))
	if f.link != "" {
		size = int64(len(f.link))
	}
	nlink := uint64(0)
	for _, g := range h.files {
		if g == f {
			nlink++
		}
	}
	return modules.FileInfo{
		Name: path.Base(name), Size: size, Mode: f.mode, UID: f.uid, GID: f.gid, Dev: 1, Inode: f.inode, Nlink: nlink,
		Blocks: (size + 511) / 512, BlkSize: 4096, Atime: f.atime, Mtime: f.mtime, Ctime: f.mtime,
	}
}

// Query implements modules.View.
func (h *Host) Query(_ context.Context, argv ...string) (modules.Output, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(argv) > 0 && slices.Contains(h.Missing, path.Base(argv[0])) {
		return modules.Output{}, notExist("exec", argv[0])
	}
	out, ok := h.answers[Join(argv)]
	if !ok {
		h.Unexpected("query: $ " + Join(argv))
		return modules.Output{}, notExist("exec", argv[0])
	}
	return out, nil
}

// LookPath implements modules.View.
func (h *Host) LookPath(_ context.Context, name string) (string, error) {
	if slices.Contains(h.Missing, name) {
		return "", nil
	}
	if strings.HasPrefix(name, "/") {
		return name, nil
	}
	return "/usr/bin/" + name, nil
}

// Open implements modules.View.
func (h *Host) Open(ctx context.Context, p string) (io.ReadCloser, error) {
	data, err := h.ReadFile(ctx, p)
	if err != nil {
		return nil, err
	}
	return io.NopCloser(bytes.NewReader(data)), nil
}

// ReadFile implements modules.View.
func (h *Host) ReadFile(_ context.Context, p string) ([]byte, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if p == "/proc/self/status" {
		return fmt.Appendf(nil, "Name:\torch\nUmask:\t%04o\n", h.Umask), nil
	}
	_, f, err := h.walk("open", p, true)
	if err != nil {
		return nil, err
	}
	if f.mode.IsDir() {
		return nil, &fs.PathError{Op: "read", Path: p, Err: errors.New("is a directory")}
	}
	return slices.Clone(f.data), nil
}

// Stat implements modules.View.
func (h *Host) Stat(_ context.Context, p string) (modules.FileInfo, error) { return h.statOf(p, true) }

// Lstat implements modules.View.
func (h *Host) Lstat(_ context.Context, p string) (modules.FileInfo, error) {
	return h.statOf(p, false)
}

func (h *Host) statOf(p string, follow bool) (modules.FileInfo, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	_, f, err := h.walk("stat", p, follow)
	if err != nil {
		return modules.FileInfo{}, err
	}
	return h.info(p, f), nil
}

// ReadDir implements modules.View.
func (h *Host) ReadDir(_ context.Context, p string) ([]modules.FileInfo, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	at, f, err := h.walk("open", p, true)
	if err != nil {
		return nil, err
	}
	if !f.mode.IsDir() {
		return nil, &fs.PathError{Op: "readdir", Path: p, Err: errors.New("not a directory")}
	}
	var out []modules.FileInfo
	for name, f := range h.files {
		if name != "/" && path.Dir(name) == at {
			out = append(out, h.info(name, f))
		}
	}
	slices.SortFunc(out, func(a, b modules.FileInfo) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// Readlink implements modules.View.
func (h *Host) Readlink(_ context.Context, p string) (string, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	_, f, err := h.walk("readlink", p, false)
	if err != nil {
		return "", err
	}
	if f.mode&fs.ModeSymlink == 0 {
		return "", &fs.PathError{Op: "readlink", Path: p, Err: errors.New("invalid argument")}
	}
	return f.link, nil
}

// Statfs implements modules.View.
func (h *Host) Statfs(context.Context, string) (modules.FSInfo, error) {
	return modules.FSInfo{Size: 1 << 30, Free: 1 << 29, Avail: 1 << 29, Files: 1000, FilesFree: 900, BlockSize: 4096, FragSize: 4096, NameMax: 255}, nil
}

// Checksum implements modules.View.
func (h *Host) Checksum(ctx context.Context, p, algo string) (string, error) {
	data, err := h.ReadFile(ctx, p)
	if err != nil {
		return "", err
	}
	sums := map[string]hash.Hash{
		"md5": md5.New(), "sha1": sha1.New(), "sha224": sha256.New224(), "sha256": sha256.New(), "sha384": sha512.New384(), "sha512": sha512.New(),
	}
	sum := sums[algo]
	if sum == nil {
		return "", fmt.Errorf("unknown checksum %q", algo)
	}
	sum.Write(data)
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// User implements modules.View.
func (h *Host) User(_ context.Context, name string) (modules.User, error) {
	return findUser(h.Users, func(u modules.User) bool { return u.Name == name }, name)
}

// UserID implements modules.View.
func (h *Host) UserID(_ context.Context, uid int) (modules.User, error) {
	return findUser(h.Users, func(u modules.User) bool { return u.UID == uid }, uid)
}

func findUser[T any](all []modules.User, is func(modules.User) bool, key T) (modules.User, error) {
	if i := slices.IndexFunc(all, is); i >= 0 {
		return all[i], nil
	}
	return modules.User{}, fmt.Errorf("user %v: %w", key, fs.ErrNotExist)
}

// Group implements modules.View.
func (h *Host) Group(_ context.Context, name string) (modules.Group, error) {
	return findGroup(h.Groups, func(g modules.Group) bool { return g.Name == name }, name)
}

// GroupID implements modules.View.
func (h *Host) GroupID(_ context.Context, gid int) (modules.Group, error) {
	return findGroup(h.Groups, func(g modules.Group) bool { return g.GID == gid }, gid)
}

func findGroup[T any](all []modules.Group, is func(modules.Group) bool, key T) (modules.Group, error) {
	if i := slices.IndexFunc(all, is); i >= 0 {
		return all[i], nil
	}
	return modules.Group{}, fmt.Errorf("group %v: %w", key, fs.ErrNotExist)
}

// Env implements modules.View.
func (h *Host) Env(context.Context) (map[string]string, error) { return h.Environ, nil }

// Whoami implements modules.View.
func (h *Host) Whoami(ctx context.Context) (modules.User, error) { return h.User(ctx, h.Me) }

// Dial implements modules.View.
func (h *Host) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	if h.Dialer == nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: errors.New("connection refused")}
	}
	return h.Dialer(ctx, network, addr)
}

// Source implements modules.View.
func (h *Host) Source(_ context.Context, sum string) (io.ReadCloser, error) {
	data, ok := h.Sources[sum]
	if !ok {
		return nil, fmt.Errorf("no source %s", sum)
	}
	return io.NopCloser(bytes.NewReader(data)), nil
}

// TempDir implements modules.View.
func (h *Host) TempDir(context.Context) (string, error) {
	if h.files["/tmp/orch"] == nil {
		h.AddFile("/tmp/orch", fs.ModeDir|0o700, 0, 0, nil)
	}
	return "/tmp/orch", nil
}
