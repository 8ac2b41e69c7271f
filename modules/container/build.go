package container

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"sort"
	"strings"
	"time"

	"github.com/docker/docker/api/types/build"
	"github.com/docker/docker/api/types/image"

	"orch/modules"
)

// Build says how an image is built. The context is a folder of the controller.
type Build struct {
	// Folder with the Dockerfile and what it copies.
	Path string `orch:"required,path"`
	// The Dockerfile, relative to the folder.
	Dockerfile string `orch:"default=Dockerfile"`
	// Build arguments.
	Args map[string]string
	// Labels of the image.
	Labels map[string]string
	// Stage to build.
	Target string
	// Platform to build for: linux/arm64.
	Platform string
	// Network of the build: host, none, default.
	Network string
	// Do not use the cache.
	Nocache bool
	// Look for newer base images.
	Pull bool
	// Remove intermediate containers.
	Rm bool `orch:"default=true"`
	// Images to take cached layers from.
	CacheFrom []string
	// Further names in /etc/hosts.
	EtcHosts map[string]string
	// Size of /dev/shm, with a unit.
	ShmSize string
	// Limits of the build's containers; refused, the engine's builder ignores them.
	ContainerLimits map[string]string
	// Accepted and void: a folder is sent.
	UseConfigProxy *bool
	// Seconds the build may take.
	HTTPTimeout int `orch:"name=http_timeout"`
	// Builder: buildkit, legacy, or auto (BuildKit where the engine has it).
	Builder string `orch:"enum=auto|buildkit|legacy,default=auto"`
	// Secrets for RUN --mount=type=secret, by id: text, kept out of the image.
	Secrets map[string]string `orch:"secret"`
}

// contextLabel notes on the image what it was built from, so that a second run can tell
// that nothing has changed without building.
const contextLabel = "dev.orch.build"

// buildStep builds when the image is not there, when force_source is set, or when what it
// was built from is not what is there now.
func (m *Image) buildStep(ctx context.Context, v *View, name string, have *image.InspectResponse, out *ImageOut) (*modules.Step[*Target], error) {
	b := m.Build
	if len(b.ContainerLimits) > 0 {
		return nil, modules.Failf("build.container_limits is not supported")
	}
	dir, err := v.site.Find("files", b.Path)
	if err != nil {
		return nil, err
	}
	files, err := contextFiles(dir, b.Dockerfile)
	if err != nil {
		return nil, modules.Failf("read build context: %v", err)
	}
	key, err := b.key(files)
	if err != nil {
		return nil, modules.Failf("read build context: %v", err)
	}
	if have != nil && !m.ForceSource && have.Config != nil {
		if was := have.Config.Labels[contextLabel]; was == key {
			return nil, nil
		}
	}
	return &modules.Step[*Target]{
		Title: fmt.Sprintf("build image %s from %s (%d files)", name, b.Path, len(files)),
		Do: func(ctx context.Context, t *Target) (bool, error) {
			if err := t.build(ctx, b, name, key, files, out); err != nil {
				return false, err
			}
			return m.settled(ctx, t, name, have, out, "Built image "+name+" from "+b.Path)
		},
	}, nil
}

// engineFolder is where orch keeps what it has done in a project: files that grow while a
// run goes on, some with secrets in them. It is part of no image.
const engineFolder = ".orch"

// A contextFile is a file of the build context.
type contextFile struct {
	path, name string
	info       fs.FileInfo
	link       string
}

// contextFiles lists what .dockerignore leaves of a folder; the Dockerfile is always sent.
func contextFiles(dir, dockerfile string) ([]contextFile, error) {
	dockerfile = path.Clean(filepath.ToSlash(dockerfile))
	if !filepath.IsLocal(dockerfile) {
		return nil, fmt.Errorf("the Dockerfile %q is not in the folder", dockerfile)
	}
	ignore, err := readIgnore(dir, dockerfile)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(dir, dockerfile)); err != nil {
		return nil, fmt.Errorf("no Dockerfile %q in %s", dockerfile, dir)
	}
	var files []contextFile
	err = filepath.WalkDir(dir, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, file)
		if err != nil || name == "." {
			return err
		}
		name = filepath.ToSlash(name)
		if d.IsDir() && d.Name() == engineFolder {
			return filepath.SkipDir
		}
		if name != dockerfile && name != ".dockerignore" && ignore.matches(name) {
			if d.IsDir() && !ignore.exceptions && !strings.HasPrefix(dockerfile, name+"/") {
				return filepath.SkipDir
			}
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		f := contextFile{path: file, name: name, info: info}
		if info.Mode()&fs.ModeSymlink != 0 {
			if f.link, err = os.Readlink(file); err != nil {
				return err
			}
		} else if !info.Mode().IsRegular() && !info.IsDir() {
			return nil
		}
		files = append(files, f)
		return nil
	})
	sort.Slice(files, func(i, j int) bool { return files[i].name < files[j].name })
	return files, err
}

// key is the hash of everything the image depends on but its base images.
func (b *Build) key(files []contextFile) (string, error) {
	h := sha256.New()
	options := *b
	options.Secrets, options.HTTPTimeout, options.Builder = nil, 0, ""
	options.Path = ""
	text, err := json.Marshal(options)
	if err != nil {
		return "", err
	}
	h.Write(text)
	for _, f := range files {
		fmt.Fprintf(h, "\n%s %o %s ", f.name, f.info.Mode(), f.link)
		if !f.info.Mode().IsRegular() {
			continue
		}
		r, err := os.Open(f.path)
		if err != nil {
			return "", err
		}
		_, err = io.Copy(h, r)
		r.Close()
		if err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// build sends the context and follows the build.
func (t *Target) build(ctx context.Context, b *Build, name, key string, files []contextFile, out *ImageOut) error {
	if b.HTTPTimeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(b.HTTPTimeout)*time.Second)
		defer cancel()
	}
	opts := build.ImageBuildOptions{
		Tags: []string{name}, Dockerfile: b.Dockerfile, NoCache: b.Nocache, PullParent: b.Pull, Remove: b.Rm, ForceRemove: true,
		Target: b.Target, Platform: b.Platform, NetworkMode: b.Network, CacheFrom: b.CacheFrom,
		BuildArgs: map[string]*string{}, Labels: map[string]string{contextLabel: key},
	}
	for k, v := range b.Args {
		opts.BuildArgs[k] = &v
	}
	for k, v := range b.Labels {
		opts.Labels[k] = v
	}
	for host, ip := range b.EtcHosts {
		opts.ExtraHosts = append(opts.ExtraHosts, host+":"+ip)
	}
	if b.ShmSize != "" {
		n, err := bytesOf(b.ShmSize)
		if err != nil {
			return modules.Failf("build.shm_size: %v", err)
		}
		opts.ShmSize = n
	}
	kit, err := t.buildKit(ctx, b)
	if err != nil {
		return err
	}
	if kit {
		opts.Version = build.BuilderBuildKit
		if len(b.Secrets) > 0 {
			s, err := t.openSession(ctx, b.Secrets)
			if err != nil {
				return err
			}
			defer s.Close()
			opts.SessionID = s.id
		}
	}
	r, w := io.Pipe()
	sent := make(chan error, 1)
	go func() {
		err := sendContext(w, files)
		sent <- err
		w.CloseWithError(err)
	}()
	defer r.Close()
	answer, err := t.cli.ImageBuild(ctx, r, opts)
	if err != nil {
		r.Close()
		// The client says only that the request broke off.
		if cause := <-sent; cause != nil && !errors.Is(cause, io.ErrClosedPipe) {
			return modules.Failf("send build context: %v", cause)
		}
		return explain(err)
	}
	log := &buildLog{emit: t.site.Emit}
	_, err = t.progress(answer.Body, log.stream, log.aux)
	out.Stdout = log.text()
	var f *modules.Failure
	if errors.As(err, &f) && out.Stdout != "" {
		f.Stdout = out.Stdout
		if tail := log.tail(10); tail != "" {
			f.Msg += "\n" + tail
		}
	}
	return err
}

// buildKit decides which builder is used.
func (t *Target) buildKit(ctx context.Context, b *Build) (bool, error) {
	switch b.Builder {
	case "buildkit":
		return true, nil
	case "legacy":
		if len(b.Secrets) > 0 {
			return false, modules.Failf("build.secrets wants BuildKit")
		}
		return false, nil
	}
	ping, err := t.cli.Ping(ctx)
	if err != nil {
		return false, explain(err)
	}
	if ping.BuilderVersion == build.BuilderBuildKit || len(b.Secrets) > 0 {
		return true, nil
	}
	info, err := t.cli.Info(ctx)
	if err != nil {
		return false, explain(err)
	}
	// An engine of before 23.0 has BuildKit but does not prefer it.
	return strings.HasPrefix(info.ServerVersion, "20.10") || strings.HasPrefix(info.ServerVersion, "19.03"), nil
}

// sendContext writes the tar of a build context. Owners and times are left out: they are
// no part of what is built.
func sendContext(w io.Writer, files []contextFile) error {
	tw := tar.NewWriter(w)
	for _, f := range files {
		if err := sendFile(tw, f); err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
	}
	return tw.Close()
}

// sendFile writes one file as it is now: it may have grown since the context was listed.
func sendFile(tw *tar.Writer, f contextFile) error {
	info := f.info
	var content io.Reader = strings.NewReader("")
	if info.Mode().IsRegular() {
		r, err := os.Open(f.path)
		if err != nil {
			return err
		}
		defer r.Close()
		if info, err = r.Stat(); err != nil {
			return err
		}
		content = io.LimitReader(r, info.Size())
	}
	h, err := tar.FileInfoHeader(info, f.link)
	if err != nil {
		return err
	}
	h.Name = f.name
	if info.IsDir() {
		h.Name += "/"
	}
	h.Uid, h.Gid, h.Uname, h.Gname = 0, 0, "", ""
	h.ModTime, h.AccessTime, h.ChangeTime = time.Unix(0, 0), time.Time{}, time.Time{}
	if err := tw.WriteHeader(h); err != nil {
		return err
	}
	n, err := io.Copy(tw, content)
	if err == nil && n < h.Size {
		return errors.New("became shorter while it was read")
	}
	return err
}

// bytesOf reads a size with a unit: 64M, 1g, 512.
func bytesOf(s string) (int64, error) {
	text := strings.ToLower(strings.TrimSpace(s))
	text = strings.TrimSuffix(strings.TrimSuffix(text, "b"), "i")
	unit := int64(1)
	for suffix, n := range map[string]int64{"k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40} {
		if rest, ok := strings.CutSuffix(text, suffix); ok {
			text, unit = rest, n
		}
	}
	var n float64
	if _, err := fmt.Sscanf(text, "%g", &n); err != nil || n < 0 {
		return 0, fmt.Errorf("%q is no size, like 64M or 1G", s)
	}
	return int64(n * float64(unit)), nil
}
