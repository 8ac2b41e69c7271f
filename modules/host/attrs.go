package host

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"orch/modules"
)

// FileArgs are the arguments of every module that makes files.
type FileArgs struct {
	// Permissions: octal ("0644"), symbolic ("u=rwX,g-w"), or preserve.
	Mode modules.Mode
	// User that owns the file, by name or number.
	Owner string
	// Group that owns the file, by name or number.
	Group string
	// SELinux user. Counts only where SELinux is on, which is not supported.
	Seuser string
	// SELinux role.
	Serole string
	// SELinux level.
	Selevel string
	// SELinux type.
	Setype string
	// Attributes for chattr. Not supported.
	Attributes string `orch:"alias=attr"`
	// Write in place where replacing the file by rename is impossible (a bind mount).
	UnsafeWrites bool
}

func (a *FileArgs) validate() error {
	if a.Attributes != "" {
		return errors.New("attributes is not supported")
	}
	return nil
}

// Validate implements modules.Validator.
func (a *FileArgs) Validate() error { return a.validate() }

// checkSELinux refuses contexts on a host that would need them set. As in Ansible they
// mean nothing where SELinux is off.
func (a *FileArgs) checkSELinux(ctx context.Context, v modules.View) error {
	if a.Seuser+a.Serole+a.Selevel+a.Setype == "" {
		return nil
	}
	fi, err := stat(ctx, v, "/sys/fs/selinux/enforce")
	if err == nil && fi != nil {
		return modules.Failf("seuser, serole, selevel and setype are not supported on a host with SELinux")
	}
	return err
}

// owners resolves owner and group to numbers; nil where none is asked for.
func (a *FileArgs) owners(ctx context.Context, v modules.View) (uid, gid *int, err error) {
	if a.Owner != "" {
		n, err := strconv.Atoi(a.Owner)
		if err != nil {
			u, err := v.User(ctx, a.Owner)
			if errors.Is(err, fs.ErrNotExist) {
				return nil, nil, modules.Failf("chown failed: failed to look up user %s", a.Owner)
			}
			if err != nil {
				return nil, nil, err
			}
			n = u.UID
		}
		uid = &n
	}
	if a.Group != "" {
		n, err := strconv.Atoi(a.Group)
		if err != nil {
			g, err := v.Group(ctx, a.Group)
			if errors.Is(err, fs.ErrNotExist) {
				return nil, nil, modules.Failf("chgrp failed: failed to look up group %s", a.Group)
			}
			if err != nil {
				return nil, nil, err
			}
			n = g.GID
		}
		gid = &n
	}
	return uid, gid, nil
}

// A change is what a step makes of a path: the words of its title and Ansible's diff.
type change struct {
	before, after map[string]any
	words         []string
}

func newChange(p string) *change {
	return &change{before: map[string]any{"path": p}, after: map[string]any{"path": p}}
}

func (c *change) add(key string, before, after any) {
	c.before[key], c.after[key] = before, after
	c.words = append(c.words, fmt.Sprintf("%s from %v to %v", key, before, after))
}

func (c *change) diff() *modules.Diff {
	return &modules.Diff{Before: dictText(c.before), After: dictText(c.after), Dict: true}
}

// dictText is a dict as Ansible's default callback prints it in a diff.
func dictText(d map[string]any) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "    ")
	_ = enc.Encode(d) // strings, numbers and lists of them always encode
	return b.String()
}

// compare notes how fi differs from what is asked for. Owners that are not known yet
// differ: in a check run the task that makes the user has not run.
func (a *FileArgs) compare(ctx context.Context, v modules.View, fi *modules.FileInfo, c *change) error {
	uid, gid, err := a.owners(ctx, v)
	var missing *modules.Failure
	switch {
	case errors.As(err, &missing):
		c.words = append(c.words, "owner to "+strings.Trim(a.Owner+":"+a.Group, ":"))
	case err != nil:
		return err
	}
	if uid != nil && *uid != fi.UID {
		c.add("owner", fi.UID, *uid)
	}
	if gid != nil && *gid != fi.GID {
		c.add("group", fi.GID, *gid)
	}
	mode, err := a.modeFor(ctx, v, fi)
	if err != nil {
		return err
	}
	if mode != nil && modules.UnixMode(*mode) != modules.UnixMode(fi.Mode) {
		c.add("mode", octal(fi.Mode), octal(*mode))
	}
	return nil
}

// modeFor is the mode fi is to get; nil if none is asked for. A link has no mode of its own.
func (a *FileArgs) modeFor(ctx context.Context, v modules.View, fi *modules.FileInfo) (*fs.FileMode, error) {
	if a.Mode == "" || a.Mode == modules.Preserve || fi.Mode&fs.ModeSymlink != 0 {
		return nil, nil
	}
	umask := 0
	if !isOctal(a.Mode) {
		umask = umaskOf(ctx, v)
	}
	mode, err := a.Mode.Apply(fi.Mode, umask)
	if err != nil {
		return nil, modules.Failf("mode must be in octal or symbolic form: %s", err)
	}
	return &mode, nil
}

func isOctal(m modules.Mode) bool { return strings.Trim(string(m), "01234567") == "" }

func octal(m fs.FileMode) string { return fmt.Sprintf("%#04o", modules.UnixMode(m)) }

// apply sets what differs on an existing path, owner first since chown clears setuid.
func (a *FileArgs) apply(ctx context.Context, t modules.Target, p string) (changed bool, err error) {
	fi, err := t.Lstat(ctx, p)
	if err != nil {
		return false, fileFailure(err)
	}
	uid, gid, err := a.owners(ctx, t)
	if err != nil {
		return false, err
	}
	own := [2]int{-1, -1}
	if uid != nil && *uid != fi.UID {
		own[0] = *uid
	}
	if gid != nil && *gid != fi.GID {
		own[1] = *gid
	}
	mode, err := a.modeFor(ctx, t, &fi)
	if err != nil {
		return false, err
	}
	if own != [2]int{-1, -1} {
		if err := t.Chown(ctx, p, own[0], own[1], false); err != nil {
			return false, chFailure("chown", err)
		}
		changed = true
	}
	cleared := changed && fi.Mode&(fs.ModeSetuid|fs.ModeSetgid) != 0
	if mode != nil && (cleared || modules.UnixMode(*mode) != modules.UnixMode(fi.Mode)) {
		if err := t.Chmod(ctx, p, *mode, false); err != nil {
			return changed, chFailure("chmod", err)
		}
		changed = true
	}
	return changed, nil
}

func chFailure(what string, err error) error {
	var f *modules.Failure
	if err := fileFailure(err); errors.As(err, &f) {
		return modules.Failf("%s failed: %s", what, f.Msg)
	}
	return err
}

// attrSteps compares a path that is there with the arguments: no step, or one that sets
// all that differs.
func (a *FileArgs) attrSteps(ctx context.Context, v modules.View, p string) ([]step, error) {
	if err := a.checkSELinux(ctx, v); err != nil {
		return nil, err
	}
	fi, err := lstat(ctx, v, p)
	if fi == nil || err != nil {
		return nil, err
	}
	c := newChange(p)
	if err := a.compare(ctx, v, fi, c); err != nil || c.words == nil {
		return nil, err
	}
	return []step{{
		Title: "change " + strings.Join(c.words, ", ") + " of " + p,
		Diff:  c.diff(),
		Do:    func(ctx context.Context, t modules.Target) (bool, error) { return a.apply(ctx, t, p) },
	}}, nil
}

// PathInfo is what a result says about the file it is about.
type PathInfo struct {
	UID   *int   `json:"uid,omitempty"`
	GID   *int   `json:"gid,omitempty"`
	Owner string `json:"owner,omitempty"`
	Group string `json:"group,omitempty"`
	Mode  string `json:"mode,omitempty"`
	State string `json:"state,omitempty"`
	Size  *int64 `json:"size,omitempty"`
}

// fill reads p's facts; a missing file is state absent.
func (i *PathInfo) fill(ctx context.Context, v modules.View, p string) error {
	*i = PathInfo{State: "absent"}
	fi, err := lstat(ctx, v, p)
	if err != nil || fi == nil {
		return err
	}
	i.UID, i.GID, i.Size = &fi.UID, &fi.GID, &fi.Size
	i.Mode, i.State = octal(fi.Mode), stateOf(fi)
	i.Owner, i.Group = strconv.Itoa(fi.UID), strconv.Itoa(fi.GID)
	if u, err := v.UserID(ctx, fi.UID); err == nil {
		i.Owner = u.Name
	}
	if g, err := v.GroupID(ctx, fi.GID); err == nil {
		i.Group = g.Name
	}
	return nil
}

// stateOf is the word of the file module for what is at a path.
func stateOf(fi *modules.FileInfo) string {
	switch {
	case fi == nil:
		return "absent"
	case fi.Mode&fs.ModeSymlink != 0:
		return "link"
	case fi.Mode.IsDir():
		return "directory"
	case fi.Nlink > 1:
		return "hard"
	}
	return "file"
}

// finish fills Out's view of the file now and, if there are steps, again after the last.
func finish(ctx context.Context, v modules.View, p *plan, fill func(ctx context.Context, v modules.View) error) error {
	if err := fill(ctx, v); err != nil {
		return err
	}
	if len(p.Steps) == 0 {
		return nil
	}
	last := &p.Steps[len(p.Steps)-1]
	do := last.Do
	last.Do = func(ctx context.Context, t modules.Target) (bool, error) {
		changed, err := do(ctx, t)
		if err == nil {
			err = fill(ctx, t)
		}
		return changed, err
	}
	return nil
}

// makeDirs makes p and its missing parents, and gives each new one what args ask for.
func makeDirs(ctx context.Context, t modules.Target, p string, args *FileArgs) error {
	p = path.Clean(p)
	fi, err := stat(ctx, t, p)
	if err != nil {
		return err
	}
	if fi != nil {
		if !fi.Mode.IsDir() {
			return modules.Failf("There was an issue creating %s as requested: it is no directory", p)
		}
		return nil
	}
	if parent := path.Dir(p); parent != p {
		if err := makeDirs(ctx, t, parent, args); err != nil {
			return err
		}
	}
	mode := fs.FileMode(0o777 &^ umaskOf(ctx, t))
	if err := t.Mkdir(ctx, p, mode); err != nil && !errors.Is(err, fs.ErrExist) {
		if f := fileFailure(err); f != err {
			return modules.Failf("There was an issue creating %s as requested: %s", p, f)
		}
		return err
	}
	_, err = args.apply(ctx, t, p)
	return err
}
