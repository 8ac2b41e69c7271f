package host

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"orch/modules"
)

// Unarchive unpacks an archive on the host with its tar or unzip.
type Unarchive struct {
	// Archive on the host, or a URL, with remote_src.
	Src string `orch:"path"`
	// The archive is on the host.
	RemoteSrc bool
	// Hex sha1 of the archive the controller holds.
	Sum string `orch:"name=_sum"`
	// Name of its file.
	Name string `orch:"name=_name"`
	UnarchiveArgs
}

// UnarchiveArgs are the arguments of unarchive wherever the archive is.
type UnarchiveArgs struct {
	// Folder to unpack into; it must be there.
	Dest string `orch:"required,path"`
	// Do nothing if this file exists.
	Creates string `orch:"path"`
	// Return the names of the files.
	ListFiles bool
	// Files to leave out.
	Exclude []string
	// Files to take; all by default.
	Include []string
	// Do not replace files that are newer than those in the archive.
	KeepNewer bool
	// Further options for tar or unzip.
	ExtraOpts []string
	// Check the certificate of a URL's server.
	ValidateCerts bool `orch:"default=true"`
	// Has no meaning here: content is streamed.
	IoBufferSize int `orch:"default=65536"`
	FileArgs
}

// Validate implements modules.Validator.
func (a *UnarchiveArgs) Validate() error {
	if len(a.Include) > 0 && len(a.Exclude) > 0 {
		return errors.New("parameters are mutually exclusive: include|exclude")
	}
	return a.validate()
}

// UnarchiveOut is the result of unarchive.
type UnarchiveOut struct {
	Dest    string   `json:"dest"`
	Src     string   `json:"src"`
	Handler string   `json:"handler" orch:"after"`
	Files   []string `json:"files,omitempty" orch:"after"`
	PathInfo
}

// Plan implements modules.Module.
func (u *Unarchive) Plan(ctx context.Context, v modules.View) (plan, error) {
	u = clone(u)
	out := &UnarchiveOut{}
	p := plan{Out: out}
	if err := expand(ctx, v, &u.Dest, &u.Creates); err != nil {
		return p, err
	}
	url := strings.Contains(u.Src, "://")
	if !url {
		if err := expand(ctx, v, &u.Src); err != nil {
			return p, err
		}
	}
	out.Dest, out.Src = u.Dest, u.Src
	if u.Creates != "" {
		if fi, err := stat(ctx, v, u.Creates); err != nil || fi != nil {
			p.Skip = "skipped, since " + u.Creates + " exists"
			return p, err
		}
	}
	fi, err := stat(ctx, v, u.Dest)
	switch {
	case err != nil:
		return p, err
	case fi == nil:
		p.Steps = []step{failing("unpack into "+u.Dest, modules.Failf("dest '%s' must be an existing dir", u.Dest))}
		return p, nil
	case !fi.Mode.IsDir():
		return p, modules.Failf("dest '%s' must be an existing dir", u.Dest)
	}
	if u.RemoteSrc && !url {
		if fi, err := stat(ctx, v, u.Src); err != nil {
			return p, err
		} else if fi == nil {
			p.Steps = []step{failing("unpack "+u.Src, modules.Failf("Source '%s' does not exist", u.Src))}
			return p, nil
		}
		a, err := u.inspect(ctx, v, u.Src, v.Query)
		if err != nil {
			return p, err
		}
		out.Handler = a.handler
		if u.ListFiles {
			out.Files = a.files
		}
		if a.same {
			p.Steps, err = u.attributes(ctx, v, a.files)
		} else {
			p.Steps = []step{{Title: "unpack " + u.Src + " into " + u.Dest, Do: func(ctx context.Context, t modules.Target) (bool, error) {
				return true, u.unpack(ctx, t, u.Src, a)
			}}}
		}
		if err != nil {
			return p, err
		}
		return p, finish(ctx, v, &p, func(ctx context.Context, v modules.View) error { return out.fill(ctx, v, u.Dest) })
	}
	p.Steps = []step{{Title: "unpack " + u.Name + u.Src + " into " + u.Dest, Effect: modules.Maybe, Do: func(ctx context.Context, t modules.Target) (bool, error) {
		return u.bring(ctx, t, out)
	}}}
	return p, finish(ctx, v, &p, func(ctx context.Context, v modules.View) error { return out.fill(ctx, v, u.Dest) })
}

// bring gets the archive to the host and unpacks it if what is there differs.
func (u *Unarchive) bring(ctx context.Context, t modules.Target, out *UnarchiveOut) (bool, error) {
	at, drop, err := u.place(ctx, t)
	if err != nil {
		return false, err
	}
	defer drop()
	query := func(ctx context.Context, argv ...string) (modules.Output, error) {
		return t.Run(ctx, modules.Command{Argv: argv})
	}
	a, err := u.inspect(ctx, t, at, query)
	if err != nil {
		return false, err
	}
	out.Handler = a.handler
	if u.ListFiles {
		out.Files = a.files
	}
	if a.same {
		steps, err := u.attributes(ctx, t, a.files)
		for _, s := range steps {
			if _, err := s.Do(ctx, t); err != nil {
				return true, err
			}
		}
		return len(steps) > 0, err
	}
	return true, u.unpack(ctx, t, at, a)
}

func (u *Unarchive) place(ctx context.Context, t modules.Target) (string, func(), error) {
	if u.Sum != "" {
		return putTemp(ctx, t, u.Sum, u.Name, 0o600)
	}
	dir, err := t.TempDir(ctx)
	if err != nil {
		return "", nil, err
	}
	at := path.Join(dir, path.Base(u.Src))
	get := &fetcher{URL: u.Src, ValidateCerts: u.ValidateCerts, Timeout: 60}
	if _, err := get.save(ctx, t, at, &rewrite{path: at}); err != nil {
		return "", nil, err
	}
	return at, func() { _ = t.Remove(context.WithoutCancel(ctx), at) }, nil // a temporary file may stay
}

// An archive is what inspecting one found.
type archive struct {
	handler string
	zip     bool
	files   []string
	same    bool // what is unpacked already is what is in it
}

type query func(ctx context.Context, argv ...string) (modules.Output, error)

func (u *Unarchive) inspect(ctx context.Context, v modules.View, at string, ask query) (*archive, error) {
	a := &archive{handler: "TgzArchive"}
	out, err := ask(ctx, "tar", "-tf", at)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err != nil || out.RC != 0 {
		return u.inspectZip(ctx, v, at, ask, out, err != nil)
	}
	switch {
	case strings.HasSuffix(at, ".tar"):
		a.handler = "TarArchive"
	case strings.HasSuffix(at, "bz2"):
		a.handler = "TarBzipArchive"
	case strings.HasSuffix(at, "xz"):
		a.handler = "TarXzArchive"
	case strings.HasSuffix(at, "zst"):
		a.handler = "TarZstdArchive"
	}
	a.files = u.chosen(strings.Split(strings.TrimSuffix(out.Stdout, "\n"), "\n"))
	argv := append(u.tar("--diff"), "-f", at)
	argv = append(argv, u.Include...)
	out, err = ask(ctx, argv...)
	if err != nil {
		return nil, err
	}
	a.same = u.onlyAccepted(out)
	return a, nil
}

// onlyAccepted says whether tar --diff found nothing but differences the arguments ask for.
func (u *Unarchive) onlyAccepted(out modules.Output) bool {
	if out.RC == 0 {
		return true
	}
	for line := range strings.Lines(out.Stdout + out.Stderr) {
		line = strings.TrimSpace(line)
		switch {
		case line == "", u.Owner != "" && strings.HasSuffix(line, "Uid differs"), u.Group != "" && strings.HasSuffix(line, "Gid differs"),
			u.Mode != "" && strings.HasSuffix(line, "Mode differs"):
		case strings.HasSuffix(line, "Uid differs") || strings.HasSuffix(line, "Gid differs"):
			// Archives made by others; who is not root cannot give files away.
		default:
			return false
		}
	}
	return true
}

func (u *Unarchive) inspectZip(ctx context.Context, v modules.View, at string, ask query, tar modules.Output, noTar bool) (*archive, error) {
	out, err := ask(ctx, "unzip", "-l", at)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err != nil || out.RC != 0 {
		why := "Command \"tar\" could not handle archive: " + strings.TrimSpace(tar.Stderr)
		if noTar {
			why = "Unable to find required 'gtar' or 'tar' binary in the path"
		}
		if err != nil {
			why += "\nUnable to find required 'unzip' binary in the path."
		} else {
			why += "\nCommand \"unzip\" could not handle archive: " + strings.TrimSpace(out.Stdout+out.Stderr)
		}
		return nil, modules.Failf("Failed to find handler for \"%s\". Make sure the required command to extract the file is installed.\n%s", at, why)
	}
	a := &archive{handler: "ZipArchive", zip: true, same: true}
	for line := range strings.Lines(out.Stdout) {
		// "  Length      Date    Time    Name"
		f := strings.Fields(line)
		if len(f) < 4 || strings.Trim(f[0], "0123456789") != "" || !strings.Contains(f[2], ":") {
			continue
		}
		name := strings.TrimSpace(line[strings.Index(line, f[2])+len(f[2]):])
		if len(u.chosen([]string{name})) == 0 {
			continue
		}
		a.files = append(a.files, name)
		fi, err := stat(ctx, v, path.Join(u.Dest, name))
		if err != nil {
			return nil, err
		}
		size, _ := strconv.ParseInt(f[0], 10, 64)
		if fi == nil || !fi.Mode.IsDir() && fi.Size != size {
			a.same = false
		}
	}
	return a, nil
}

// chosen are the files include and exclude leave.
func (u *Unarchive) chosen(files []string) []string {
	return slices.DeleteFunc(files, func(name string) bool {
		match := func(pattern string) bool { return fnmatch(pattern, name) || fnmatch(pattern, path.Base(name)) }
		if len(u.Include) > 0 && !slices.ContainsFunc(u.Include, match) {
			return true
		}
		return name == "" || slices.ContainsFunc(u.Exclude, match)
	})
}

func (u *Unarchive) tar(mode string) []string {
	argv := []string{"tar", mode, "-C", u.Dest}
	argv = append(argv, u.ExtraOpts...)
	for _, e := range u.Exclude {
		argv = append(argv, "--exclude="+e)
	}
	return argv
}

func (u *Unarchive) unpack(ctx context.Context, t modules.Target, at string, a *archive) error {
	var argv []string
	if a.zip {
		argv = []string{"unzip", "-o"}
		if u.KeepNewer {
			argv = []string{"unzip", "-u", "-o"}
		}
		argv = append(append(argv, u.ExtraOpts...), at)
		argv = append(argv, u.Include...)
		if len(u.Exclude) > 0 {
			argv = append(append(argv, "-x"), u.Exclude...)
		}
		argv = append(argv, "-d", u.Dest)
	} else {
		argv = u.tar("--extract")
		if u.KeepNewer {
			argv = append(argv, "--keep-newer-files")
		}
		argv = append(append(argv, "-f", at), u.Include...)
	}
	out, err := t.Run(ctx, modules.Command{Argv: argv})
	if err != nil {
		return startFailure(argv, err)
	}
	if out.RC != 0 {
		return cmdFailure(argv, out, "failed to unpack "+at+" to "+u.Dest)
	}
	steps, err := u.attributes(ctx, t, a.files)
	if err != nil {
		return err
	}
	for _, s := range steps {
		if _, err := s.Do(ctx, t); err != nil {
			return err
		}
	}
	return nil
}

// attributes makes the steps that give owner, group and mode to the unpacked files and to
// the topmost folders of those below one, which need not be in the archive themselves
// (ansible-core 2.18: top_folders).
func (u *Unarchive) attributes(ctx context.Context, v modules.View, files []string) ([]step, error) {
	if u.Owner+u.Group+string(u.Mode) == "" {
		return nil, nil
	}
	names := slices.Clone(files)
	for _, name := range files {
		if top, _, below := strings.Cut(name, "/"); below {
			names = append(names, top)
		}
	}
	var steps []step
	done := map[string]bool{}
	for _, name := range names {
		path := path.Join(u.Dest, name)
		if done[path] {
			continue
		}
		done[path] = true
		more, err := u.attrSteps(ctx, v, path)
		if err != nil {
			return nil, err
		}
		steps = append(steps, more...)
	}
	return steps, nil
}
