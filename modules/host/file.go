package host

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"strings"

	"orch/modules"
)

// File manages files, folders and links themselves: their kind, owner and permissions,
// not their content.
type File struct {
	// File to manage.
	Path string `orch:"required,path,alias=dest|name"`
	// What is to be at path. The default is what is there, else directory with recurse and
	// file without; file makes nothing.
	State string `orch:"enum=absent|directory|file|hard|link|touch"`
	// What a link points to. A relative path of a symbolic link is taken as it is.
	Src string `orch:"path"`
	// Give owner, group and permissions to everything inside a folder too.
	Recurse bool
	// Make a link although src is missing or something else is at path.
	Force bool
	// Work on what a link at path points to.
	Follow bool `orch:"default=true"`
	// Time of last change: preserve, now, or a time in modification_time_format. The default
	// is now for touch and preserve otherwise.
	ModificationTime string
	// Format of modification_time, as for strftime.
	ModificationTimeFormat string `orch:"default=%Y%m%d%H%M.%S"`
	// Time of last access; as modification_time.
	AccessTime string
	// Format of access_time.
	AccessTimeFormat string `orch:"default=%Y%m%d%H%M.%S"`
	// Only say whether the file looks binary; for actions of others.
	DiffPeek *bool `orch:"name=_diff_peek"`
	// Name the file gets in a folder; for actions of others.
	OriginalBasename string `orch:"name=_original_basename"`
	FileArgs
}

// FileOut is the result of file.
type FileOut struct {
	Path string `json:"path,omitempty"`
	Dest string `json:"dest,omitempty"`
	Src  string `json:"src,omitempty"`
	// AppearsBinary is the answer to _diff_peek.
	AppearsBinary *bool `json:"appears_binary,omitempty"`
	PathInfo
}

// Plan implements modules.Module.
func (f *File) Plan(ctx context.Context, v modules.View) (plan, error) {
	out := &FileOut{}
	p := plan{Out: out}
	f = clone(f)
	if err := f.prepare(ctx, v); err != nil {
		return p, err
	}
	now, err := lstat(ctx, v, f.Path)
	if err != nil {
		return p, err
	}
	prev := stateOf(now)
	if err := f.settle(prev); err != nil {
		out.Path = f.Path
		return p, err
	}
	if prev == "link" && f.Follow && (f.State == "file" || f.State == "directory") {
		if f.Path, err = realpath(ctx, v, f.Path); err != nil {
			return p, err
		}
		if now, err = lstat(ctx, v, f.Path); err != nil {
			return p, err
		}
		prev = stateOf(now)
	}
	out.Path = f.Path
	if f.DiffPeek != nil {
		data, err := readFile(ctx, v, f.Path)
		binary := isBinary(data)
		out.AppearsBinary = &binary
		return p, err
	}
	switch f.State {
	case "absent":
		err = f.absent(&p, prev)
	case "file":
		err = f.file(ctx, v, &p, prev)
	case "directory":
		err = f.directory(ctx, v, &p, prev)
	case "touch":
		out.Path, out.Dest = "", f.Path
		err = f.touch(ctx, v, &p, prev)
	case "link":
		out.Path, out.Dest = "", f.Path
		err = f.link(ctx, v, &p, prev)
		out.Src = f.Src
	case "hard":
		out.Path, out.Dest = "", f.Path
		err = f.hard(ctx, v, &p, prev)
		out.Src = f.Src
	}
	if err != nil {
		return p, err
	}
	return p, finish(ctx, v, &p, func(ctx context.Context, v modules.View) error { return out.fill(ctx, v, f.Path) })
}

// prepare expands paths and, where path is a folder and src a file's name, moves inside.
func (f *File) prepare(ctx context.Context, v modules.View) (err error) {
	if err = expand(ctx, v, &f.Path); err != nil {
		return err
	}
	if f.Src, err = expandText(ctx, v, f.Src); err != nil {
		return err
	}
	if f.State == "hard" {
		if err = expand(ctx, v, &f.Src); err != nil {
			return err
		}
	}
	name := f.OriginalBasename
	if name == "" && f.Src != "" {
		name = path.Base(f.Src)
	}
	if f.State != "link" && f.State != "absent" && name != "" {
		if fi, err := stat(ctx, v, f.Path); err != nil {
			return err
		} else if fi != nil && fi.Mode.IsDir() {
			f.Path = path.Join(f.Path, name)
		}
	}
	if len(f.Path) > 1 {
		f.Path = strings.TrimRight(f.Path, "/")
	}
	return f.checkSELinux(ctx, v)
}

// settle decides the default state and what only some states take.
func (f *File) settle(prev string) error {
	if f.State == "" {
		switch {
		case prev != "absent":
			f.State = prev
		case f.Recurse:
			f.State = "directory"
		default:
			f.State = "file"
		}
	}
	if f.Recurse && f.State != "directory" {
		return modules.Failf("recurse option requires state to be 'directory'")
	}
	if f.Src != "" && f.State != "link" && f.State != "hard" {
		return modules.Failf("src option requires state to be 'link' or 'hard'")
	}
	return nil
}

func (f *File) stateDiff(before, after string) *modules.Diff {
	c := newChange(f.Path)
	c.add("state", before, after)
	return c.diff()
}

func (f *File) absent(p *plan, prev string) error {
	if prev == "absent" {
		return nil
	}
	p.Steps = []step{{
		Title: "remove " + f.Path, Diff: f.stateDiff(prev, "absent"),
		Do: func(ctx context.Context, t modules.Target) (bool, error) {
			err := t.RemoveAll(ctx, f.Path)
			if errors.Is(err, fs.ErrNotExist) {
				return true, nil
			}
			if e := fileFailure(err); err != nil && e != err {
				return false, modules.Failf("unlinking failed: %s", err)
			}
			return true, err
		},
	}}
	return nil
}

func (f *File) file(ctx context.Context, v modules.View, p *plan, prev string) (err error) {
	if prev != "file" && prev != "hard" {
		fail := modules.Failf("file (%s) is %s, cannot continue", f.Path, prev)
		if prev != "absent" {
			return fail
		}
		p.Steps = []step{failing("find "+f.Path, fail)}
		return nil
	}
	p.Steps, err = f.attrAndTimes(ctx, v, f.Path, "preserve")
	return err
}

func (f *File) directory(ctx context.Context, v modules.View, p *plan, prev string) (err error) {
	switch prev {
	case "directory":
	case "absent":
		p.Steps = []step{{
			Title: "make folder " + f.Path, Diff: f.stateDiff(prev, "directory"),
			Do: func(ctx context.Context, t modules.Target) (bool, error) {
				if err := makeDirs(ctx, t, f.Path, &f.FileArgs); err != nil {
					return false, err
				}
				_, err := f.setTimes(ctx, t, f.Path, "preserve")
				return true, err
			},
		}}
		return nil
	default:
		return modules.Failf("%s already exists as a %s", f.Path, prev)
	}
	if p.Steps, err = f.attrAndTimes(ctx, v, f.Path, "preserve"); err != nil || !f.Recurse {
		return err
	}
	more, err := f.recurse(ctx, v)
	p.Steps = append(p.Steps, more...)
	return err
}

func (f *File) touch(ctx context.Context, v modules.View, p *plan, prev string) (err error) {
	if prev == "absent" {
		w := rewrite{FileArgs: f.FileArgs, path: f.Path, data: []byte{}}
		p.Steps = []step{{
			Title: "make empty file " + f.Path, Diff: f.stateDiff(prev, "touch"),
			Do: func(ctx context.Context, t modules.Target) (bool, error) {
				if _, err := w.do(ctx, t); err != nil {
					var fail *modules.Failure
					if errors.As(err, &fail) {
						return false, modules.Failf("Error, could not touch target: %s", fail.Msg)
					}
					return false, err
				}
				_, err := f.setTimes(ctx, t, f.Path, "now")
				return true, err
			},
		}}
		return nil
	}
	target := f.Path
	if prev == "link" && f.Follow {
		if target, err = realpath(ctx, v, f.Path); err != nil {
			return err
		}
	}
	p.Steps, err = f.attrAndTimes(ctx, v, target, "now")
	return err
}
