package control

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"orch/modules"
	"orch/modules/host"
)

// Unarchive unpacks an archive into a folder of the host.
type Unarchive struct {
	// Archive on the controller (a path, or a name in the files folders); with remote_src on
	// the host, or a URL the host gets it from.
	Src string `orch:"required,path"`
	// The archive is on the host.
	RemoteSrc *bool
	// The archive is on the controller: the old way to say remote_src: no.
	Copy *bool
	// Decrypt a vault file.
	Decrypt bool `orch:"default=true"`
	host.UnarchiveArgs
}

// Validate implements modules.Validator.
func (u *Unarchive) Validate() error {
	if u.RemoteSrc != nil && u.Copy != nil {
		return errors.New("parameters are mutually exclusive: ('copy', 'remote_src')")
	}
	return u.UnarchiveArgs.Validate()
}

// Plan implements modules.Module.
func (u *Unarchive) Plan(_ context.Context, v View) (plan, error) {
	h := &host.Unarchive{Src: u.Src, UnarchiveArgs: u.UnarchiveArgs}
	if u.RemoteSrc != nil && *u.RemoteSrc || u.Copy != nil && !*u.Copy {
		h.RemoteSrc = true
		return hand(v, "ansible.builtin.unarchive", h), nil
	}
	src, err := v.Find("files", u.Src)
	if err != nil {
		return plan{}, err
	}
	h.Src, h.Name = "", filepath.Base(src)
	if h.Sum, err = addFile(v, src, u.Decrypt); err != nil {
		return plan{}, err
	}
	return hand(v, "ansible.builtin.unarchive", h), nil
}

// Assemble makes one file of the fragments in a folder, in the order of their names.
type Assemble struct {
	// The folder with the fragments.
	Src string `orch:"required,path"`
	// The folder is on the host; otherwise it is on the controller.
	RemoteSrc bool `orch:"default=true"`
	// Decrypt vault files, on the controller.
	Decrypt bool `orch:"default=true"`
	host.AssembleArgs
}

// Plan implements modules.Module.
func (a *Assemble) Plan(_ context.Context, v View) (plan, error) {
	if a.RemoteSrc {
		return hand(v, "ansible.builtin.assemble", &host.Assemble{Src: a.Src, AssembleArgs: a.AssembleArgs}), nil
	}
	dir, err := v.Find("files", strings.TrimSuffix(a.Src, "/"))
	if err != nil {
		return plan{}, err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return plan{}, modules.Failf("Source (%s) is not a directory", dir)
	}
	j := host.Joiner{Delimiter: a.Delimiter}
	takes, err := a.Matcher()
	if err != nil {
		return plan{}, err
	}
	for _, e := range entries {
		if ok, err := takes(e.Name()); err != nil {
			return plan{}, err
		} else if !ok {
			continue
		}
		at := filepath.Join(dir, e.Name())
		if fi, err := os.Stat(at); err != nil || !fi.Mode().IsRegular() {
			continue
		}
		data, err := v.ReadFile(at, a.Decrypt)
		if err != nil {
			return plan{}, err
		}
		j.Add(data)
	}
	c := &host.Copy{
		Dest: a.Dest, Backup: a.Backup, Force: true, ValidateCmd: a.ValidateCmd, OriginalBasename: filepath.Base(dir),
		Bytes: int64(len(j.Bytes())), FileArgs: a.FileArgs,
	}
	if c.Sum, err = v.AddSource(Content{Data: j.Bytes()}); err != nil {
		return plan{}, err
	}
	return hand(v, "ansible.builtin.copy", c), nil
}
