package target

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"orch/modules"
	"orch/modules/target/machine"
	"orch/transport/local"
)

// world is a view and target with what a test needs to reach it.
type world struct {
	modules.Target
	lines []string
}

// both runs a test on this machine by system calls and through a shell: modules must not
// be able to tell.
func both(t *testing.T, env map[string]string, test func(t *testing.T, w *world, dir string)) {
	t.Helper()
	t.Run("os", func(t *testing.T) {
		w := &world{}
		o := machine.New(env)
		o.Watch = func(l string) { w.lines = append(w.lines, l) }
		o.Tmp = filepath.Join(t.TempDir(), "tmp")
		w.Target = o
		test(t, w, t.TempDir())
	})
	t.Run("shell", func(t *testing.T) {
		w := &world{}
		s := NewShell(local.New(), nil, HostSpec{RemoteTmp: filepath.Join(t.TempDir(), "tmp")})
		w.Target = &shellTarget{Shell: s, req: Request{Env: env, Emit: func(l string) { w.lines = append(w.lines, l) }}}
		test(t, w, t.TempDir())
	})
}

func write(t *testing.T, path, text string, mode fs.FileMode) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestReading(t *testing.T) {
	both(t, nil, func(t *testing.T, w *world, dir string) {
		ctx := t.Context()
		file := write(t, filepath.Join(dir, "it's a \"file\"\nwith a -name"), "text\x00\xff\n", 0o640)
		link := filepath.Join(dir, "link")
		if err := os.Symlink(file, link); err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(filepath.Join(dir, ".hidden"), 0o700); err != nil {
			t.Fatal(err)
		}
		if got, err := w.ReadFile(ctx, file); err != nil || string(got) != "text\x00\xff\n" {
			t.Errorf("ReadFile: %q, %v", got, err)
		}
		var st syscall.Stat_t
		if err := syscall.Stat(file, &st); err != nil {
			t.Fatal(err)
		}
		info, err := w.Stat(ctx, link)
		if err != nil || info.Mode != 0o640 || info.Size != 7 || info.Inode != st.Ino || info.Dev != st.Dev || info.UID != os.Getuid() || info.Nlink != 1 ||
			info.Mtime.Unix() != st.Mtim.Sec || info.Ctime.Unix() != st.Ctim.Sec || info.Blocks != st.Blocks || info.BlkSize != st.Blksize {
			t.Errorf("Stat: %+v, %v", info, err)
		}
		if info, err = w.Lstat(ctx, link); err != nil || info.Mode.Type() != fs.ModeSymlink || info.Name != "link" {
			t.Errorf("Lstat: %+v, %v", info, err)
		}
		if got, err := w.Readlink(ctx, link); err != nil || got != file {
			t.Errorf("Readlink: %q, %v", got, err)
		}
		entries, err := w.ReadDir(ctx, dir)
		names := map[string]fs.FileMode{}
		for _, e := range entries {
			names[e.Name] = e.Mode
		}
		if err != nil || len(names) != 3 || !names[".hidden"].IsDir() || names["link"].Type() != fs.ModeSymlink || names[filepath.Base(file)] != 0o640 {
			t.Errorf("ReadDir: %v, %v", names, err)
		}
		if empty, err := w.ReadDir(ctx, filepath.Join(dir, ".hidden")); err != nil || len(empty) != 0 {
			t.Errorf("an empty folder: %v, %v", empty, err)
		}
		if sum, err := w.Checksum(ctx, file, "sha1"); err != nil || sum != "b4eb6a8e8cd0d1a7fc4f1a1dfd2ce1b9fb7bbf03" && len(sum) != 40 {
			t.Errorf("Checksum: %q, %v", sum, err)
		}
		if _, err := w.Checksum(ctx, file, "crc"); err == nil {
			t.Error("an unknown algorithm was taken")
		}
		var sf syscall.Statfs_t
		if err := syscall.Statfs(dir, &sf); err != nil {
			t.Fatal(err)
		}
		if got, err := w.Statfs(ctx, dir); err != nil || got.Size != sf.Blocks*uint64(sf.Frsize) || got.NoExec || got.ReadOnly {
			t.Errorf("Statfs: %+v, %v", got, err)
		}
		missing := filepath.Join(dir, "missing")
		for name, err := range map[string]error{
			"ReadFile": second(w.ReadFile(ctx, missing)), "Stat": second(w.Stat(ctx, missing)), "Lstat": second(w.Lstat(ctx, missing)),
			"ReadDir": second(w.ReadDir(ctx, missing)), "Readlink": second(w.Readlink(ctx, missing)), "Open": second(w.Open(ctx, missing)),
			"Checksum": second(w.Checksum(ctx, missing, "md5")), "under a file": second(w.Stat(ctx, link+"/x/y")),
		} {
			if err == nil || !errors.Is(err, fs.ErrNotExist) && name != "under a file" {
				t.Errorf("%s of a missing file: %v, want fs.ErrNotExist", name, err)
			}
		}
		if _, err := w.Statfs(ctx, missing); err == nil {
			t.Error("Statfs of a missing file worked")
		}
	})
}

// currentUmask asks a child: a process can read its own only by setting it.
func currentUmask(t *testing.T) fs.FileMode {
	t.Helper()
	out, err := exec.Command("sh", "-c", "umask").Output()
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(out)), 8, 32)
	if err != nil {
		t.Fatal(err)
	}
	return fs.FileMode(n)
}

func second[T any](_ T, err error) error { return err }

func TestWriting(t *testing.T) {
	both(t, nil, func(t *testing.T, w *world, dir string) {
		ctx := t.Context()
		file := filepath.Join(dir, "new file")
		done, err := w.Write(ctx, file, strings.NewReader("hello"), modules.WriteOptions{})
		if err != nil || done.Size != 5 || done.Sum != "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d" {
			t.Fatalf("%+v, %v", done, err)
		}
		if st, _ := os.Stat(file); st.Mode() != 0o666&^currentUmask(t) {
			t.Errorf("a new file has mode %v", st.Mode())
		}
		write(t, file, "old", 0o751)
		link := filepath.Join(dir, "link")
		if err := os.Symlink(file, link); err != nil {
			t.Fatal(err)
		}
		done, err = w.Write(ctx, link, strings.NewReader("through the link"), modules.WriteOptions{Backup: true})
		if err != nil || done.BackupFile == "" || !strings.HasPrefix(done.BackupFile, file+".") || !strings.HasSuffix(done.BackupFile, "~") {
			t.Fatalf("%+v, %v", done, err)
		}
		check(t, file, "through the link", 0o751)
		check(t, done.BackupFile, "old", 0o751)
		mode := fs.FileMode(0o600) | fs.ModeSetuid
		if _, err = w.Write(ctx, link, strings.NewReader("instead"), modules.WriteOptions{NoFollow: true, Mode: &mode}); err != nil {
			t.Fatal(err)
		}
		check(t, link, "instead", mode)
		check(t, file, "through the link", 0o751)
		failed := func(name string, r string, o modules.WriteOptions) error {
			t.Helper()
			_, err := w.Write(ctx, file, strings.NewReader(r), o)
			if err == nil {
				t.Errorf("%s: written", name)
			}
			check(t, file, "through the link", 0o751)
			return err
		}
		err = failed("rejected", "no good", modules.WriteOptions{Validate: []string{"grep", "-q", "good enough", "%s"}})
		var failure *modules.Failure
		if !errors.As(err, &failure) || failure.RC == nil || *failure.RC != 1 {
			t.Errorf("rejected content: %v", err)
		}
		failed("wrong sum", "x", modules.WriteOptions{Sum: strings.Repeat("0", 40)})
		if _, err := w.Write(ctx, filepath.Join(dir, "no", "folder"), strings.NewReader("x"), modules.WriteOptions{}); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("into a missing folder: %v", err)
		}
		if left, _ := filepath.Glob(filepath.Join(dir, ".ansible_tmp*")); left != nil {
			t.Errorf("left behind: %q", left)
		}
	})
}

func check(t *testing.T, path, text string, mode fs.FileMode) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil || string(got) != text {
		t.Errorf("%s holds %q, %v; want %q", path, got, err, text)
	}
	if st, err := os.Lstat(path); err == nil && st.Mode() != mode {
		t.Errorf("%s has mode %v, want %v", path, st.Mode(), mode)
	}
}

// A bind mount cannot be replaced by a rename: in containers /etc/hosts is one.
func TestWritingOverAMount(t *testing.T) {
	both(t, nil, func(t *testing.T, w *world, dir string) {
		place, other := write(t, filepath.Join(dir, "place"), "old", 0o644), write(t, filepath.Join(dir, "other"), "old", 0o644)
		if err := syscall.Mount(other, place, "", syscall.MS_BIND, ""); err != nil {
			t.Skipf("no bind mounts here: %v", err)
		}
		defer func() { _ = syscall.Unmount(place, 0) }()
		if _, err := w.Write(t.Context(), place, strings.NewReader("new"), modules.WriteOptions{}); err == nil {
			t.Error("the mount was replaced without leave")
		}
		check(t, other, "old", 0o644)
		if _, err := w.Write(t.Context(), place, strings.NewReader("new"), modules.WriteOptions{Unsafe: true}); err != nil {
			t.Error(err)
		}
		check(t, other, "new", 0o644)
		if left, _ := filepath.Glob(filepath.Join(dir, ".ansible_tmp*")); left != nil {
			t.Errorf("left behind: %q", left)
		}
	})
}

func TestChanging(t *testing.T) {
	both(t, nil, func(t *testing.T, w *world, dir string) {
		ctx := t.Context()
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		file := write(t, filepath.Join(dir, "-f 'x'"), "x", 0o644)
		link, hard, sub := filepath.Join(dir, "l"), filepath.Join(dir, "h"), filepath.Join(dir, "sub")
		must(w.Symlink(ctx, "-f 'x'", link))
		must(w.Link(ctx, file, hard))
		must(w.Mkdir(ctx, sub, 0o750))
		if st, err := os.Stat(sub); err != nil || st.Mode().Perm() != 0o750&^currentUmask(t) {
			t.Errorf("%v, %v", st.Mode(), err)
		}
		for name, err := range map[string]error{"Symlink": w.Symlink(ctx, "x", link), "Link": w.Link(ctx, file, hard), "Mkdir": w.Mkdir(ctx, sub, 0o700)} {
			if !errors.Is(err, fs.ErrExist) {
				t.Errorf("%s over something: %v, want fs.ErrExist", name, err)
			}
		}
		must(w.Chmod(ctx, link, 0o4755, true))
		must(w.Chmod(ctx, file, 0o755|fs.ModeSetuid, true))
		if st, _ := os.Stat(file); st.Mode() != 0o755|fs.ModeSetuid {
			t.Errorf("mode %v", st.Mode())
		}
		must(w.Chmod(ctx, link, 0o600, false))
		if st, _ := os.Stat(file); st.Mode().Perm() != 0o755 {
			t.Errorf("a link was followed: %v", st.Mode())
		}
		when := time.Unix(1_000_000_000, 123_000_000)
		must(w.Chtimes(ctx, file, when, when.Add(time.Second), true))
		if st, _ := os.Stat(file); !st.ModTime().Equal(when.Add(time.Second)) {
			t.Errorf("mtime %v", st.ModTime())
		}
		must(w.Chtimes(ctx, link, when, when, false))
		if os.Getuid() == 0 {
			must(w.Chown(ctx, link, 12, -1, false))
			must(w.Chown(ctx, file, -1, 13, true))
			info, err := w.Lstat(ctx, file)
			linkInfo, err2 := w.Lstat(ctx, link)
			if err != nil || err2 != nil || info.UID != 0 || info.GID != 13 || linkInfo.UID != 12 {
				t.Errorf("%+v, %+v", info, linkInfo)
			}
		}
		if err := w.Remove(ctx, filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("Remove of nothing: %v", err)
		}
		must(w.Rename(ctx, hard, filepath.Join(sub, "h")))
		if err := w.Remove(ctx, sub); err == nil {
			t.Error("Remove took a full folder")
		}
		must(os.Symlink(dir, filepath.Join(sub, "up")))
		must(w.RemoveAll(ctx, sub))
		must(w.Remove(ctx, link))
		must(w.RemoveAll(ctx, sub))
		if _, err := os.Stat(file); err != nil {
			t.Errorf("RemoveAll followed a link: %v", err)
		}
	})
}

func TestRunning(t *testing.T) {
	both(t, map[string]string{"FROM_TASK": "it's set"}, func(t *testing.T, w *world, dir string) {
		ctx := t.Context()
		out, err := w.Run(ctx, modules.Command{Argv: []string{"sh", "-c", `printf '%s|' "$FROM_TASK" "$MORE"; pwd; umask; cat; echo err >&2; exit 3`}, Dir: dir, Env: []string{"MORE=m"}, Stdin: strings.NewReader("in"), Umask: ptr(0o077)})
		real, _ := filepath.EvalSymlinks(dir)
		if err != nil || out.RC != 3 || out.Stdout != "it's set|m|"+real+"\n0077\nin" || out.Stderr != "err\n" {
			t.Errorf("%+v, %v", out, err)
		}
		if out, err := w.Run(ctx, modules.Command{Argv: []string{"sh", "-c", "kill -9 $$"}}); err != nil || out.RC != -9 {
			t.Errorf("a killed command: %+v, %v", out, err)
		}
		if out, err := w.Query(ctx, "sh", "-c", "echo $LC_ALL"); err != nil || out.Stdout != "C\n" {
			t.Errorf("%+v, %v", out, err)
		}
		if _, err := w.Query(ctx, "no-such-program"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("a missing program: %v", err)
		}
		if _, err := w.Run(ctx, modules.Command{Argv: []string{"sh", "-c", "echo one; echo two"}, Stream: true}); err != nil || strings.Join(w.lines, " ") != "one two" {
			t.Errorf("watched %q, %v", w.lines, err)
		}
		want, _ := exec.LookPath("cat")
		if got, err := w.LookPath(ctx, "cat"); err != nil || got != want {
			t.Errorf("LookPath: %q, %v", got, err)
		}
		if got, err := w.LookPath(ctx, "no-such-program"); err != nil || got != "" {
			t.Errorf("LookPath of nothing: %q, %v", got, err)
		}
		env, err := w.Env(ctx)
		if err != nil || env["FROM_TASK"] != "it's set" || env["PATH"] == "" {
			t.Errorf("Env: %v, %v", env, err)
		}
		short, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
		defer cancel()
		begin := time.Now()
		if _, err := w.Run(short, modules.Command{Argv: []string{"sh", "-c", "sleep 60 & wait"}}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a command that takes too long: %v", err)
		}
		if took := time.Since(begin); took > 5*time.Second {
			t.Errorf("it took %v to stop", took)
		}
		if os.Getuid() == 0 {
			if out, err := w.Run(ctx, modules.Command{Argv: []string{"sh", "-c", `id -un; echo "$1"`, "sh", "it's"}, User: "nobody"}); err != nil || out.Stdout != "nobody\nit's\n" {
				t.Errorf("as nobody: %+v, %v", out, err)
			}
		}
	})
}

// A command that leaves a daemon with its output must not hang: local commands end with
// the process, not with the pipe.
func TestDaemonKeepsTheOutput(t *testing.T) {
	begin := time.Now()
	out, err := machine.New(nil).Run(t.Context(), modules.Command{Argv: []string{"sh", "-c", "sleep 20 & echo started"}})
	if err != nil || out.Stdout != "started\n" || time.Since(begin) > 10*time.Second {
		t.Errorf("%+v, %v after %v", out, err, time.Since(begin))
	}
}

func ptr[T any](v T) *T { return &v }

func TestUsers(t *testing.T) {
	both(t, nil, func(t *testing.T, w *world, _ string) {
		ctx := t.Context()
		if u, err := w.User(ctx, "root"); err != nil || u.UID != 0 || u.Home != "/root" || u.Shell == "" {
			t.Errorf("%+v, %v", u, err)
		}
		if u, err := w.UserID(ctx, 0); err != nil || u.Name != "root" {
			t.Errorf("%+v, %v", u, err)
		}
		if g, err := w.Group(ctx, "root"); err != nil || g.GID != 0 {
			t.Errorf("%+v, %v", g, err)
		}
		if g, err := w.GroupID(ctx, 0); err != nil || g.Name != "root" {
			t.Errorf("%+v, %v", g, err)
		}
		if u, err := w.Whoami(ctx); err != nil || u.UID != os.Getuid() {
			t.Errorf("%+v, %v", u, err)
		}
		for name, err := range map[string]error{
			"user": second(w.User(ctx, "no-such-user")), "uid": second(w.UserID(ctx, 987654)),
			"group": second(w.Group(ctx, "no-such-group")), "gid": second(w.GroupID(ctx, 987654)), "a number as name": second(w.User(ctx, "0")),
		} {
			if !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("a missing %s: %v", name, err)
			}
		}
	})
}

func TestTempDir(t *testing.T) {
	both(t, nil, func(t *testing.T, w *world, _ string) {
		dir, err := w.TempDir(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if st, err := os.Stat(dir); err != nil || st.Mode() != 0o700|fs.ModeDir {
			t.Errorf("%v, %v", st.Mode(), err)
		}
	})
}
