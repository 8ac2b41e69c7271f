package host

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"orch/modules"
)

// Copy puts files in place. It is the part of copy, template and assemble that runs on the
// host: the content is held by the controller, or by the host itself with remote_src.
type Copy struct {
	// File or folder on the host, with remote_src.
	Src string `orch:"path"`
	// Hex sha1 of the content the controller holds.
	Sum string `orch:"name=_sum"`
	// Size of that content; big content is not read for a diff.
	Bytes int64 `orch:"name=_bytes"`
	// Permissions of the controller's file, for mode preserve.
	SourceMode int `orch:"name=_source_mode"`
	// Name the file gets in a folder.
	OriginalBasename string `orch:"name=_original_basename"`
	// Files, folders and links of a folder to copy.
	Tree []CopyItem `orch:"name=_tree"`
	// Where to put it: a file, or a folder to put it in.
	Dest string `orch:"required,path"`
	// Keep a copy of what is replaced.
	Backup bool
	// Replace a file whose content differs; otherwise only make what is missing.
	Force bool `orch:"default=true"`
	// Command that must accept the new file, %s, before it is put in place.
	ValidateCmd string `orch:"name=validate"`
	// Permissions of new folders.
	DirectoryMode modules.Mode
	// src is on the host.
	RemoteSrc bool
	// Copy what links in src point to.
	LocalFollow *bool
	// Hex sha1 the content must have.
	Checksum string
	// Follow a link at dest.
	Follow bool
	FileArgs
}

// A CopyItem is a file, folder or link inside a folder to copy.
type CopyItem struct {
	// Path inside dest.
	Rel string
	// Hex sha1 of a file's content.
	Sum string
	// Size of a file's content.
	Bytes int64
	// Permissions on the controller.
	SourceMode int
	// It is a folder.
	Dir bool
	// What a link points to.
	Link string
}

// Validate implements modules.Validator.
func (c *Copy) Validate() error {
	if err := checkValidate(c.ValidateCmd); err != nil {
		return err
	}
	return c.validate()
}

// CopyOut is the result of copy.
type CopyOut struct {
	Dest       string `json:"dest,omitempty"`
	Path       string `json:"path,omitempty"`
	Src        string `json:"src,omitempty"`
	Checksum   string `json:"checksum,omitempty"`
	MD5Sum     string `json:"md5sum,omitempty"`
	BackupFile string `json:"backup_file,omitempty"`
	PathInfo
}

// Plan implements modules.Module.
func (c *Copy) Plan(ctx context.Context, v modules.View) (plan, error) {
	out := &CopyOut{}
	p := plan{Out: out}
	c = clone(c)
	if err := expand(ctx, v, &c.Dest, &c.Src); err != nil {
		return p, err
	}
	if c.Tree != nil {
		return c.tree(ctx, v, p, out, c.Tree, nil)
	}
	it := item{sum: c.Sum, bytes: c.Bytes, mode: fs.FileMode(0), name: c.OriginalBasename}
	if c.Mode == modules.Preserve {
		it.mode = modules.FromUnixMode(uint32(c.SourceMode))
	}
	if c.RemoteSrc {
		fi, err := stat(ctx, v, c.Src)
		switch {
		case err != nil:
			return p, err
		case fi == nil:
			p.Steps = []step{failing("copy "+c.Src, modules.Failf("Source %s not found", c.Src))}
			return p, nil
		case fi.Mode.IsDir():
			return c.remoteTree(ctx, v, p, out)
		case !fi.Mode.IsRegular():
			return p, modules.Failf("Cannot copy invalid source '%s': not a file", c.Src)
		}
		if it, err = hostItem(ctx, v, c.Src, fi); err != nil {
			return p, err
		}
	}
	out.Src, out.Checksum = c.Src, it.sum
	if c.Checksum != "" && c.Checksum != it.sum {
		return p, modules.Failf("Copied file does not match the expected checksum. Transfer failed.")
	}
	mkdirs := strings.HasSuffix(c.Dest, "/")
	dest, err := c.destination(ctx, v, it.name)
	if err != nil {
		return p, err
	}
	out.Dest = dest
	if p.Steps, err = c.one(ctx, v, it, dest, mkdirs, out); err != nil {
		return p, err
	}
	return p, finish(ctx, v, &p, func(ctx context.Context, v modules.View) error { return out.fill(ctx, v, out.Dest) })
}

// destination is the file dest means: inside it, if it is a folder.
func (c *Copy) destination(ctx context.Context, v modules.View, name string) (string, error) {
	fi, err := stat(ctx, v, c.Dest)
	if err != nil {
		return "", err
	}
	if name != "" && (strings.HasSuffix(c.Dest, "/") || fi != nil && fi.Mode.IsDir()) {
		return path.Join(c.Dest, name), nil
	}
	if fi != nil && fi.Mode.IsDir() {
		return "", modules.Failf("can not use content with a dir as dest")
	}
	return path.Clean(c.Dest), nil
}

// An item is one file to put in place.
type item struct {
	sum      string
	bytes    int64
	mode     fs.FileMode // for mode preserve, and of a host's own file
	name     string
	hostPath string // the content is this file of the host; "" for the controller's
	info     *modules.FileInfo
}

func hostItem(ctx context.Context, v modules.View, p string, fi *modules.FileInfo) (item, error) {
	sum, err := v.Checksum(ctx, p, "sha1")
	if errors.Is(err, fs.ErrPermission) {
		return item{}, modules.Failf("Source %s not readable", p)
	}
	if err != nil {
		return item{}, fileFailure(err)
	}
	return item{sum: sum, bytes: fi.Size, mode: fi.Mode, name: path.Base(p), hostPath: p, info: fi}, nil
}

// open opens the content.
func (it *item) open(ctx context.Context, v modules.View) (io.ReadCloser, error) {
	if it.hostPath != "" {
		r, err := v.Open(ctx, it.hostPath)
		if err != nil {
			return nil, fileFailure(err)
		}
		return r, nil
	}
	return v.Source(ctx, it.sum)
}

// one plans one file.
func (c *Copy) one(ctx context.Context, v modules.View, it item, dest string, mkdirs bool, out *CopyOut) ([]step, error) {
	if err := c.checkSELinux(ctx, v); err != nil {
		return nil, err
	}
	now, err := lstat(ctx, v, dest)
	if err != nil {
		return nil, err
	}
	link := now != nil && now.Mode&fs.ModeSymlink != 0
	if link && c.Follow {
		if dest, err = realpath(ctx, v, dest); err != nil {
			return nil, err
		}
		if now, err = lstat(ctx, v, dest); err != nil {
			return nil, err
		}
		link, out.Dest = false, dest
	}
	if now != nil && now.Mode.IsDir() {
		return nil, modules.Failf("can not copy a file over the directory %s", dest)
	}
	if now != nil && !c.Force {
		return nil, nil
	}
	args := c.FileArgs
	if it.mode != 0 && (args.Mode == modules.Preserve || args.Mode == "" && it.hostPath != "") {
		args.Mode = modules.ModeOf(int64(modules.UnixMode(it.mode)))
	}
	if now != nil && !link && now.Mode.IsRegular() {
		sum, err := v.Checksum(ctx, dest, "sha1")
		if err != nil && !errors.Is(err, fs.ErrPermission) {
			return nil, fileFailure(err)
		}
		if err == nil && sum == it.sum {
			if c.Mode == "" {
				args.Mode = "" // a file that is right already keeps its permissions
			}
			return args.attrSteps(ctx, v, dest)
		}
	}
	diff, err := c.diff(ctx, v, it, dest, now != nil && !link)
	if err != nil {
		return nil, err
	}
	w := rewrite{FileArgs: args, path: dest, backup: c.Backup, validate: c.ValidateCmd, sum: it.sum}
	return []step{{Title: "write " + dest, Diff: diff, Do: func(ctx context.Context, t modules.Target) (bool, error) {
		return c.write(ctx, t, &w, it, mkdirs, link, out)
	}}}, nil
}

func (c *Copy) write(ctx context.Context, t modules.Target, w *rewrite, it item, mkdirs, link bool, out *CopyOut) (bool, error) {
	if out.Src == "" { // a result of a change has one; there is no copy on the host to name
		out.Src = c.OriginalBasename
	}
	if mkdirs {
		dirs := c.FileArgs
		dirs.Mode = c.DirectoryMode
		if err := makeDirs(ctx, t, path.Dir(w.path), &dirs); err != nil {
			return false, err
		}
	}
	if link {
		if err := t.Remove(ctx, w.path); err != nil {
			return false, fileFailure(err)
		}
	}
	sum := md5.New()
	w.open = func(ctx context.Context, t modules.Target) (io.ReadCloser, error) {
		r, err := it.open(ctx, t)
		if err != nil {
			return nil, err
		}
		return teeCloser{io.TeeReader(r, sum), r}, nil
	}
	w.done = func(done modules.Written) {
		out.BackupFile, out.MD5Sum = done.BackupFile, hex.EncodeToString(sum.Sum(nil))
	}
	if _, err := w.do(ctx, t); err != nil {
		return false, err
	}
	if it.info != nil { // as Ansible's copystat
		if err := t.Chtimes(ctx, w.path, it.info.Atime, it.info.Mtime, true); err != nil {
			return true, fileFailure(err)
		}
	}
	return true, nil
}

type teeCloser struct {
	io.Reader
	io.Closer
}

// diff reads both contents if they are small enough to be shown.
func (c *Copy) diff(ctx context.Context, v modules.View, it item, dest string, exists bool) (*modules.Diff, error) {
	if it.bytes > maxDiff {
		return &modules.Diff{BeforeHeader: dest, AfterHeader: dest, Prepared: "diff skipped: file is too large\n"}, nil
	}
	r, err := it.open(ctx, v)
	if err != nil {
		return nil, err
	}
	defer func() { _ = r.Close() }() // only read
	after, err := io.ReadAll(io.LimitReader(r, maxDiff+1))
	if err != nil {
		return nil, err
	}
	var before []byte
	if exists {
		before, err = v.ReadFile(ctx, dest)
		if err != nil && !errors.Is(err, fs.ErrPermission) {
			return nil, fileFailure(err)
		}
	}
	d := fileDiff(dest, before, after)
	if !exists {
		d.BeforeHeader = "" // ansible-core 2.18: what is not there has no name
	}
	return d, nil
}

// tree plans a folder: its files, then folders and links. items of the host itself have
// their content at from.
func (c *Copy) tree(ctx context.Context, v modules.View, p plan, out *CopyOut, items []CopyItem, from func(rel string) item) (plan, error) {
	out.Dest, out.Src = c.Dest, c.OriginalBasename
	for _, it := range items {
		dest := path.Join(c.Dest, it.Rel)
		var steps []step
		var err error
		switch {
		case it.Link != "":
			f := File{Path: dest, State: "link", Src: it.Link, Force: true, FileArgs: c.FileArgs}
			f.Mode = ""
			steps, err = planned(f.Plan(ctx, v))
			c.withParents(steps, dest)
		case it.Dir:
			f := File{Path: dest, State: "directory", FileArgs: c.FileArgs, Follow: true}
			f.Mode = c.DirectoryMode
			steps, err = planned(f.Plan(ctx, v))
		default:
			file := item{sum: it.Sum, bytes: it.Bytes, mode: modules.FromUnixMode(uint32(it.SourceMode))}
			if from != nil {
				file = from(it.Rel)
			}
			one := &CopyOut{Dest: dest}
			steps, err = c.one(ctx, v, file, dest, true, one)
		}
		if err != nil {
			return p, err
		}
		p.Steps = append(p.Steps, steps...)
	}
	return p, finish(ctx, v, &p, func(ctx context.Context, v modules.View) error { return out.fill(ctx, v, out.Dest) })
}

// withParents makes the folders above dest before the first step.
func (c *Copy) withParents(steps []step, dest string) {
	if len(steps) == 0 {
		return
	}
	do := steps[0].Do
	steps[0].Do = func(ctx context.Context, t modules.Target) (bool, error) {
		dirs := c.FileArgs
		dirs.Mode = c.DirectoryMode
		if err := makeDirs(ctx, t, path.Dir(dest), &dirs); err != nil {
			return false, err
		}
		return do(ctx, t)
	}
}

// planned takes the steps of another module's plan.
func planned(p plan, err error) ([]step, error) { return p.Steps, err }

// remoteTree copies a folder of the host: its content where src ends in a slash, else the
// folder itself.
func (c *Copy) remoteTree(ctx context.Context, v modules.View, p plan, out *CopyOut) (plan, error) {
	base := strings.TrimRight(c.Src, "/")
	if !strings.HasSuffix(c.Src, "/") {
		c.Dest = path.Join(c.Dest, path.Base(base))
	}
	follow := c.LocalFollow != nil && *c.LocalFollow
	files := map[string]item{}
	items := []CopyItem{{Rel: ".", Dir: true}}
	var walk func(rel string) error
	walk = func(rel string) error {
		entries, err := v.ReadDir(ctx, path.Join(base, rel))
		if err != nil {
			return fileFailure(err)
		}
		for _, e := range entries {
			name := path.Join(rel, e.Name)
			at := path.Join(base, name)
			if e.Mode&fs.ModeSymlink != 0 {
				fi, err := stat(ctx, v, at)
				if err != nil {
					return err
				}
				if !follow || fi == nil {
					target, err := v.Readlink(ctx, at)
					if err != nil {
						return fileFailure(err)
					}
					items = append(items, CopyItem{Rel: name, Link: target})
					continue
				}
				e.Mode, e.Size = fi.Mode, fi.Size
			}
			if e.Mode.IsDir() {
				items = append(items, CopyItem{Rel: name, Dir: true})
				if err := walk(name); err != nil {
					return err
				}
				continue
			}
			it, err := hostItem(ctx, v, at, &e)
			if err != nil {
				return err
			}
			files[name] = it
			items = append(items, CopyItem{Rel: name})
		}
		return nil
	}
	if err := walk(""); err != nil {
		return p, err
	}
	slices.SortStableFunc(items, func(a, b CopyItem) int { return strings.Compare(a.Rel, b.Rel) })
	p, err := c.tree(ctx, v, p, out, items, func(rel string) item { return files[rel] })
	out.Src = c.Src
	return p, err
}
