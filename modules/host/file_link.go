package host

import (
	"context"
	"fmt"
	"path"

	"orch/modules"
)

func (f *File) link(ctx context.Context, v modules.View, p *plan, prev string) (err error) {
	if f.Src == "" && prev == "link" && f.Follow {
		if f.Src, err = v.Readlink(ctx, f.Path); err != nil {
			return fileFailure(err)
		}
	}
	if f.Src == "" && prev != "link" {
		return modules.Failf("src is required for creating new symlinks")
	}
	abs := f.Src
	if !path.IsAbs(abs) {
		dir := path.Dir(f.Path)
		if prev == "directory" {
			dir = f.Path
		}
		abs = path.Join(dir, f.Src)
	}
	target, err := stat(ctx, v, abs)
	if err != nil {
		return err
	}
	if target == nil && !f.Force && f.Src != "" {
		fail := modules.Failf("src file does not exist, use 'force=yes' if you really want to create the link: %s", abs)
		p.Steps = []step{failing("link "+f.Path+" to "+f.Src, fail)}
		return nil
	}
	if err := f.mayConvert(ctx, v, prev); err != nil {
		return err
	}
	old := ""
	if prev == "link" {
		if old, err = v.Readlink(ctx, f.Path); err != nil {
			return fileFailure(err)
		}
	}
	if prev != "link" || f.Src != "" && old != f.Src {
		p.Steps = []step{f.linkStep(prev, old)}
		return nil
	}
	if f.Follow && target == nil {
		p.Warnings = append(p.Warnings, "Cannot set fs attributes on a non-existent symlink target. follow should be set to False to avoid this.")
		return nil
	}
	at := f.Path
	if f.Follow {
		if at, err = realpath(ctx, v, f.Path); err != nil {
			return err
		}
	}
	p.Steps, err = f.attrAndTimes(ctx, v, at, "preserve")
	return err
}

func (f *File) mayConvert(ctx context.Context, v modules.View, prev string) error {
	switch prev {
	case "directory":
		if !f.Force {
			return modules.Failf("refusing to convert from %s to symlink for %s", prev, f.Path)
		}
		entries, err := v.ReadDir(ctx, f.Path)
		if err != nil {
			return fileFailure(err)
		}
		if len(entries) > 0 {
			return modules.Failf("the directory %s is not empty, refusing to convert it", f.Path)
		}
	case "file", "hard":
		if !f.Force {
			return modules.Failf("refusing to convert from %s to symlink for %s", prev, f.Path)
		}
	}
	return nil
}

func (f *File) linkStep(prev, old string) step {
	c := newChange(f.Path)
	if prev != "link" {
		c.add("state", prev, "link")
	} else {
		c.add("src", old, f.Src)
	}
	return step{
		Title: "link " + f.Path + " to " + f.Src, Diff: c.diff(),
		Do: func(ctx context.Context, t modules.Target) (bool, error) {
			err := f.replace(ctx, t, prev, func(at string) error { return t.Symlink(ctx, f.Src, at) })
			if err != nil {
				return false, err
			}
			at := f.Path
			if f.Follow {
				if at, err = realpath(ctx, t, f.Path); err != nil {
					return true, err
				}
				if fi, err := stat(ctx, t, at); err != nil || fi == nil {
					return true, err
				}
			}
			if _, err := f.apply(ctx, t, at); err != nil {
				return true, err
			}
			_, err = f.setTimes(ctx, t, at, "preserve")
			return true, err
		},
	}
}

// replace puts a link at path by rename, so that there is never nothing there.
func (f *File) replace(ctx context.Context, t modules.Target, prev string, link func(at string) error) error {
	fail := func(err error) error {
		if e := fileFailure(err); e != err {
			return modules.Failf("Error while linking: %s", err)
		}
		return err
	}
	if prev == "absent" {
		if err := link(f.Path); err != nil {
			return fail(err)
		}
		return nil
	}
	tmp := path.Join(path.Dir(f.Path), fmt.Sprintf(".%s.orch.tmp", path.Base(f.Path)))
	if prev == "directory" {
		if err := t.Remove(ctx, f.Path); err != nil {
			return fail(err)
		}
	}
	if err := link(tmp); err != nil {
		return fail(err)
	}
	if err := t.Rename(ctx, tmp, f.Path); err != nil {
		_ = t.Remove(ctx, tmp) // the rename's error is the one to tell
		return fail(err)
	}
	return nil
}

func (f *File) hard(ctx context.Context, v modules.View, p *plan, prev string) error {
	if f.Src == "" {
		if prev != "hard" {
			return modules.Failf("src is required for creating new hardlinks")
		}
		steps, err := f.attrAndTimes(ctx, v, f.Path, "preserve")
		p.Steps = steps
		return err
	}
	src, err := stat(ctx, v, f.Src)
	if err != nil {
		return err
	}
	if src == nil {
		p.Steps = []step{failing("link "+f.Path+" to "+f.Src, modules.Failf("src does not exist"))}
		return nil
	}
	now, err := stat(ctx, v, f.Path)
	if err != nil {
		return err
	}
	if now != nil && now.Inode == src.Inode && now.Dev == src.Dev {
		p.Steps, err = f.attrAndTimes(ctx, v, f.Path, "preserve")
		return err
	}
	if !f.Force {
		switch prev {
		case "hard":
			return modules.Failf("Cannot link, different hard link exists at destination")
		case "file":
			return modules.Failf("Cannot link, file exists at destination")
		case "directory":
			return modules.Failf("Cannot link: different hard link exists at destination")
		}
	}
	p.Steps = []step{{
		Title: "link " + f.Path + " to " + f.Src, Diff: f.stateDiff(prev, "hard"),
		Do: func(ctx context.Context, t modules.Target) (bool, error) {
			from := f.Src
			if f.Follow {
				var err error
				if from, err = realpath(ctx, t, f.Src); err != nil {
					return false, err
				}
			}
			if err := f.replace(ctx, t, prev, func(at string) error { return t.Link(ctx, from, at) }); err != nil {
				return false, err
			}
			_, err := f.apply(ctx, t, f.Path)
			return true, err
		},
	}}
	return nil
}
