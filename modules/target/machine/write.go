package machine

import (
	"context"
	"crypto/rand"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"orch/modules"
)

// Write implements modules.Target: into a temporary file beside path, checked, given its
// owner and mode, and moved over it. Links are followed unless o.NoFollow.
func (o *OS) Write(ctx context.Context, path string, r io.Reader, w modules.WriteOptions) (modules.Written, error) {
	if !w.NoFollow {
		if real, err := filepath.EvalSymlinks(path); err == nil {
			path = real
		}
	}
	old, err := os.Lstat(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return modules.Written{}, err
	}
	tmp, err := o.tempBeside(ctx, path, w.Unsafe)
	if err != nil {
		return modules.Written{}, err
	}
	defer os.Remove(tmp.Name()) // gone already when all went well
	done, err := fill(ctx, tmp, r, w.Sum)
	if err != nil {
		return done, fmt.Errorf("write %s: %w", path, err)
	}
	if err := o.dress(tmp.Name(), path, old, w); err != nil {
		return done, err
	}
	if len(w.Validate) > 0 {
		if err := o.validate(ctx, tmp.Name(), w.Validate); err != nil {
			return done, err
		}
	}
	if w.Backup && old != nil && old.Mode().IsRegular() {
		if done.BackupFile, err = backup(path, old); err != nil {
			return done, err
		}
	}
	return done, o.install(ctx, tmp.Name(), path, w)
}

// tempBeside makes a temporary file in the folder of path, so that the move is atomic.
// Where that folder cannot be written to but the file in it can, and unsafe allows it,
// the temporary folder serves, and the move becomes a copy.
func (o *OS) tempBeside(ctx context.Context, path string, unsafe bool) (*os.File, error) {
	dir := filepath.Dir(path)
	for range 10 {
		var random [6]byte
		if _, err := rand.Read(random[:]); err != nil {
			return nil, err
		}
		name := filepath.Join(dir, ".ansible_tmp"+hex.EncodeToString(random[:])+filepath.Base(path))
		if len(filepath.Base(name)) > 200 {
			name = filepath.Join(dir, ".ansible_tmp"+hex.EncodeToString(random[:]))
		}
		f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
		switch {
		case err == nil:
			return f, nil
		case errors.Is(err, fs.ErrExist):
			continue
		case errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS):
			if !unsafe || unix.Access(path, unix.W_OK) != nil {
				return nil, err
			}
			tmp, terr := o.TempDir(ctx)
			if terr != nil {
				return nil, err
			}
			return os.CreateTemp(tmp, "write-")
		default:
			return nil, err
		}
	}
	return nil, fmt.Errorf("make a temporary file in %s: every name is taken", dir)
}

func fill(ctx context.Context, f *os.File, r io.Reader, want string) (modules.Written, error) {
	h := sha1.New()
	n, err := io.Copy(io.MultiWriter(f, h), &ctxReader{ctx, r})
	err = errors.Join(err, f.Close())
	done := modules.Written{Size: n, Sum: hex.EncodeToString(h.Sum(nil))}
	if err == nil && want != "" && done.Sum != want {
		err = fmt.Errorf("content has checksum %s, not %s", done.Sum, want)
	}
	return done, err
}

// dress gives a new file its mode and owner: those asked for, else those of the file it
// replaces, else 0666 less the umask.
func (o *OS) dress(tmp, path string, old fs.FileInfo, w modules.WriteOptions) error {
	mode := 0o666 &^ umask()
	uid, gid := -1, -1
	if old != nil && old.Mode().IsRegular() {
		mode = old.Mode()
		if st, ok := old.Sys().(*syscall.Stat_t); ok {
			if int(st.Uid) != os.Geteuid() {
				uid = int(st.Uid)
			}
			if int(st.Gid) != os.Getegid() {
				gid = int(st.Gid)
			}
		}
		copyACL(path, tmp)
	}
	if w.UID != nil {
		uid = *w.UID
	}
	if w.GID != nil {
		gid = *w.GID
	}
	if uid >= 0 || gid >= 0 {
		if err := os.Lchown(tmp, uid, gid); err != nil && (w.UID != nil || w.GID != nil) {
			return err
		}
	}
	if w.Mode != nil {
		mode = *w.Mode
	}
	return os.Chmod(tmp, mode.Perm()|mode&(fs.ModeSetuid|fs.ModeSetgid|fs.ModeSticky))
}

// umask reads the process's umask, which can only be read by setting it otherwise.
func umask() fs.FileMode {
	text, err := os.ReadFile("/proc/self/status")
	if err == nil {
		for line := range strings.Lines(string(text)) {
			if rest, ok := strings.CutPrefix(line, "Umask:"); ok {
				var n uint32
				if _, err := fmt.Sscanf(strings.TrimSpace(rest), "%o", &n); err == nil {
					return fs.FileMode(n)
				}
			}
		}
	}
	return 0o022
}

// copyACL keeps the access list of a file that is replaced, where there is one.
func copyACL(from, to string) {
	buf := make([]byte, 1024)
	n, err := unix.Getxattr(from, "system.posix_acl_access", buf)
	if err == nil && n > 0 {
		_ = unix.Setxattr(to, "system.posix_acl_access", buf[:n], 0) // the mode is right without it
	}
}

func (o *OS) validate(ctx context.Context, tmp string, argv []string) error {
	argv = append([]string(nil), argv...)
	for i := range argv {
		argv[i] = strings.ReplaceAll(argv[i], "%s", tmp)
	}
	out, err := o.run(ctx, modules.Command{Argv: argv})
	if err != nil {
		return err
	}
	if out.RC != 0 {
		return &modules.Failure{
			Msg: "failed to validate: rc:" + fmt.Sprint(out.RC) + " error:" + out.Stderr, Cmd: argv, RC: &out.RC,
			Stdout: out.Stdout, Stderr: out.Stderr,
		}
	}
	return nil
}

// backup keeps a copy beside the file, named as Ansible names it: NAME.PID.DATE~.
func backup(path string, old fs.FileInfo) (string, error) {
	name := fmt.Sprintf("%s.%d.%s~", path, os.Getpid(), time.Now().Format("2006-01-02@15:04:05"))
	in, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer in.Close()
	out, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return "", err
	}
	_, err = io.Copy(out, in)
	if err = errors.Join(err, out.Close()); err != nil {
		return "", err
	}
	if st, ok := old.Sys().(*syscall.Stat_t); ok {
		_ = os.Lchown(name, int(st.Uid), int(st.Gid)) // an ordinary user keeps his own
	}
	return name, errors.Join(os.Chmod(name, old.Mode()), os.Chtimes(name, old.ModTime(), old.ModTime()))
}

// install moves a finished file to its place. A place that cannot be replaced (a bind
// mount, a folder that may not be written to) is written over where o.Unsafe allows it.
func (o *OS) install(ctx context.Context, tmp, path string, w modules.WriteOptions) error {
	err := os.Rename(tmp, path)
	if err == nil {
		return nil
	}
	inPlace := errors.Is(err, syscall.EBUSY) || errors.Is(err, syscall.EXDEV) || errors.Is(err, syscall.ETXTBSY) || errors.Is(err, fs.ErrPermission)
	if !inPlace {
		return err
	}
	if !w.Unsafe {
		return &modules.Failure{
			Msg: fmt.Sprintf("could not replace file: %s to %s: %v", tmp, path, err), Hint: "unsafe_writes: true writes in place",
		}
	}
	in, err := os.Open(tmp)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, &ctxReader{ctx, in})
	return errors.Join(err, out.Close())
}

// Chmod implements modules.Target.
func (o *OS) Chmod(_ context.Context, path string, mode fs.FileMode, follow bool) error {
	if !follow {
		if info, err := os.Lstat(path); err == nil && info.Mode()&fs.ModeSymlink != 0 {
			return nil // Linux gives links no mode
		}
	}
	return os.Chmod(path, mode)
}

// Chown implements modules.Target.
func (o *OS) Chown(_ context.Context, path string, uid, gid int, follow bool) error {
	if follow {
		return os.Chown(path, uid, gid)
	}
	return os.Lchown(path, uid, gid)
}

// Chtimes implements modules.Target.
func (o *OS) Chtimes(_ context.Context, path string, atime, mtime time.Time, follow bool) error {
	if follow {
		return os.Chtimes(path, atime, mtime)
	}
	ts := []unix.Timespec{unix.NsecToTimespec(atime.UnixNano()), unix.NsecToTimespec(mtime.UnixNano())}
	if err := unix.UtimesNanoAt(unix.AT_FDCWD, path, ts, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return &fs.PathError{Op: "utimes", Path: path, Err: err}
	}
	return nil
}

// Symlink implements modules.Target.
func (o *OS) Symlink(_ context.Context, target, path string) error { return os.Symlink(target, path) }

// Link implements modules.Target.
func (o *OS) Link(_ context.Context, target, path string) error { return os.Link(target, path) }

// Mkdir implements modules.Target.
func (o *OS) Mkdir(_ context.Context, path string, mode fs.FileMode) error {
	return os.Mkdir(path, mode)
}

// Rename implements modules.Target.
func (o *OS) Rename(_ context.Context, from, to string) error { return os.Rename(from, to) }

// Remove implements modules.Target.
func (o *OS) Remove(_ context.Context, path string) error { return os.Remove(path) }

// RemoveAll implements modules.Target.
func (o *OS) RemoveAll(_ context.Context, path string) error { return os.RemoveAll(path) }
