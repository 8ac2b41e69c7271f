package moduletest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"orch/modules"
)

func (h *Host) did(format string, args ...any) {
	what := fmt.Sprintf(format, args...)
	if h.frozen {
		h.Unexpected("change in a plan: " + what)
	}
	h.Did = append(h.Did, what)
}

func (h *Host) nameOf(uid, gid int) string {
	user, group := fmt.Sprint(uid), fmt.Sprint(gid)
	if uid < 0 {
		user = ""
	}
	if gid < 0 {
		group = ""
	}
	for _, u := range h.Users {
		if u.UID == uid {
			user = u.Name
		}
	}
	for _, g := range h.Groups {
		if g.GID == gid {
			group = g.Name
		}
	}
	return user + ":" + group
}

// Run implements modules.Target.
func (h *Host) Run(_ context.Context, cmd modules.Command) (modules.Output, error) {
	line := Join(cmd.Argv)
	log := "$ " + line
	if cmd.User != "" {
		log += " (as " + cmd.User + ")"
	}
	if cmd.Dir != "" {
		log += " (in " + cmd.Dir + ")"
	}
	if len(cmd.Env) > 0 {
		log += " (env " + strings.Join(cmd.Env, " ") + ")"
	}
	if cmd.Umask != nil {
		log += fmt.Sprintf(" (umask %04o)", *cmd.Umask)
	}
	if cmd.Stdin != nil {
		in, err := io.ReadAll(cmd.Stdin)
		if err != nil {
			return modules.Output{}, err
		}
		log += fmt.Sprintf(" < %q", in)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.did("%s", log)
	if len(cmd.Argv) > 0 && slices.Contains(h.Missing, path.Base(cmd.Argv[0])) {
		return modules.Output{}, notExist("exec", cmd.Argv[0])
	}
	out := h.answers[line]
	if effect := h.effects[line]; effect != nil {
		if err := h.script(effect); err != nil {
			return out, err
		}
	}
	return out, nil
}

// Write implements modules.Target.
func (h *Host) Write(_ context.Context, p string, r io.Reader, o modules.WriteOptions) (modules.Written, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	data, err := io.ReadAll(r)
	if err != nil {
		return modules.Written{}, err
	}
	at, old, err := h.walk("open", p, !o.NoFollow)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return modules.Written{}, err
	}
	if dir := h.files[path.Dir(at)]; dir == nil || !dir.mode.IsDir() {
		return modules.Written{}, notExist("open", at)
	}
	sum := sha1Hex(data)
	if o.Sum != "" && o.Sum != sum {
		return modules.Written{}, modules.Failf("checksum of %s is %s, want %s", p, sum, o.Sum)
	}
	if o.Validate != nil {
		argv := slices.Clone(o.Validate)
		for i, a := range argv {
			argv[i] = strings.ReplaceAll(a, "%s", at+".new")
		}
		h.did("validate: $ %s", Join(argv))
		if out := h.answers[Join(argv)]; out.RC != 0 {
			return modules.Written{}, &modules.Failure{Msg: fmt.Sprintf("failed to validate: rc:%d error:%s", out.RC, strings.TrimSpace(out.Stderr)), RC: &out.RC, Stderr: out.Stderr}
		}
	}
	w := modules.Written{Size: int64(len(data)), Sum: sum}
	mode, uid, gid := fs.FileMode(0o666&^h.Umask), 0, 0
	if me, err := findUser(h.Users, func(u modules.User) bool { return u.Name == h.Me }, h.Me); err == nil {
		uid, gid = me.UID, me.GID
	}
	if old != nil {
		mode, uid, gid = old.mode, old.uid, old.gid
		if o.Backup {
			w.BackupFile = at + ".123.2026-01-02@03:04:05~"
			h.put(w.BackupFile, old.mode, old.uid, old.gid, old.data, "")
			h.did("back up %s", at)
		}
	}
	if o.Mode != nil {
		mode = *o.Mode
	}
	if o.UID != nil {
		uid = *o.UID
	}
	if o.GID != nil {
		gid = *o.GID
	}
	h.put(at, mode, uid, gid, data, "")
	unsafe := ""
	if o.Unsafe {
		unsafe = " unsafe"
	}
	h.did("write %s %04o %s%s", at, modules.UnixMode(mode), h.nameOf(uid, gid), unsafe)
	return w, nil
}

func (h *Host) edit(op, p string, follow bool, log string, change func(at string, f *file) error) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	at, f, err := h.walk(op, p, follow)
	if err != nil {
		return err
	}
	h.did("%s", strings.ReplaceAll(log, "PATH", at))
	return change(at, f)
}

// Chmod implements modules.Target.
func (h *Host) Chmod(_ context.Context, p string, mode fs.FileMode, follow bool) error {
	return h.edit("chmod", p, follow, fmt.Sprintf("chmod PATH %04o", modules.UnixMode(mode)), func(_ string, f *file) error {
		f.mode = f.mode.Type() | mode&^fs.ModeType
		return nil
	})
}

// Chown implements modules.Target.
func (h *Host) Chown(_ context.Context, p string, uid, gid int, follow bool) error {
	return h.edit("chown", p, follow, "chown PATH "+h.nameOf(uid, gid), func(_ string, f *file) error {
		if uid >= 0 {
			f.uid = uid
		}
		if gid >= 0 {
			f.gid = gid
		}
		return nil
	})
}

// Chtimes implements modules.Target.
func (h *Host) Chtimes(_ context.Context, p string, atime, mtime time.Time, follow bool) error {
	log := "set times of PATH"
	if time.Since(mtime) > time.Hour {
		log += " to " + mtime.UTC().Format("2006-01-02 15:04:05")
	}
	return h.edit("chtimes", p, follow, log, func(_ string, f *file) error {
		f.atime, f.mtime = atime, mtime
		return nil
	})
}

// Symlink implements modules.Target.
func (h *Host) Symlink(_ context.Context, target, p string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	at, f, _ := h.walk("symlink", p, false)
	if f != nil {
		return &fs.PathError{Op: "symlink", Path: p, Err: fs.ErrExist}
	}
	if at == "" {
		return notExist("symlink", p)
	}
	h.did("symlink %s -> %s", at, target)
	h.put(at, fs.ModeSymlink|0o777, 0, 0, nil, target)
	return nil
}

// Link implements modules.Target.
func (h *Host) Link(_ context.Context, target, p string) error {
	return h.edit("link", target, true, "link "+p+" to PATH", func(_ string, f *file) error {
		h.files[path.Clean(p)] = f
		return nil
	})
}

// Mkdir implements modules.Target.
func (h *Host) Mkdir(_ context.Context, p string, mode fs.FileMode) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	at, f, _ := h.walk("mkdir", p, false)
	if f != nil {
		return &fs.PathError{Op: "mkdir", Path: p, Err: fs.ErrExist}
	}
	if dir := h.files[path.Dir(at)]; dir == nil {
		return notExist("mkdir", p)
	}
	h.did("mkdir %s %04o", at, modules.UnixMode(mode))
	h.put(at, fs.ModeDir|mode, 0, 0, nil, "")
	return nil
}

// Rename implements modules.Target.
func (h *Host) Rename(_ context.Context, from, to string) error {
	return h.edit("rename", from, false, "rename PATH to "+to, func(at string, _ *file) error {
		to = path.Clean(to)
		for name, f := range h.files {
			if name == at || strings.HasPrefix(name, at+"/") {
				delete(h.files, name)
				h.files[to+strings.TrimPrefix(name, at)] = f
			}
		}
		return nil
	})
}

// Remove implements modules.Target.
func (h *Host) Remove(_ context.Context, p string) error {
	return h.edit("remove", p, false, "remove PATH", func(at string, _ *file) error {
		for name := range h.files {
			if strings.HasPrefix(name, at+"/") {
				return &fs.PathError{Op: "remove", Path: p, Err: errors.New("directory not empty")}
			}
		}
		delete(h.files, at)
		return nil
	})
}

// RemoveAll implements modules.Target.
func (h *Host) RemoveAll(_ context.Context, p string) error {
	return h.edit("remove", p, false, "remove PATH", func(at string, _ *file) error {
		for name := range h.files {
			if name == at || strings.HasPrefix(name, at+"/") {
				delete(h.files, name)
			}
		}
		return nil
	})
}

// Emit implements modules.Target.
func (h *Host) Emit(string) {}
