package container

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"

	"orch/modules"
)

// Image builds, pulls, loads, tags, pushes, archives and removes images.
type Image struct {
	Engine
	// Name of the image, with or without a tag, or its ID.
	Name string `orch:"required"`
	// Tag of the image.
	Tag string `orch:"default=latest"`
	// Whether the image is there.
	State string `orch:"enum=present|absent,default=present"`
	// Where the image comes from.
	Source string `orch:"enum=build|load|pull|local"`
	// How it is built.
	Build *Build
	// How it is pulled.
	Pull *Pull
	// Archive to load it from, on the controller.
	LoadPath string
	// Archive to write the image to, on the controller.
	ArchivePath string
	// Push the image to its registry.
	Push bool
	// Name to tag it with: registry/name:tag.
	Repository string
	// Build, pull or load it even if it is there.
	ForceSource bool
	// Remove it even if it is in use.
	ForceAbsent bool
	// Tag it even if the tag is there with another image.
	ForceTag bool
}

// Pull says how an image is pulled.
type Pull struct {
	// Platform to pull for: linux/arm64.
	Platform string
}

// Validate implements modules.Validator.
func (m *Image) Validate() error {
	switch {
	case m.Source == "build" && (m.Build == nil || m.Build.Path == ""):
		return errors.New("source is build but build.path is missing")
	case m.Source == "load" && m.LoadPath == "":
		return errors.New("source is load but load_path is missing")
	case m.State == "present" && m.Source == "" && !m.Push && m.Repository == "" && m.ArchivePath == "":
		return errors.New("state is present but source is missing: build, load, pull or local")
	}
	return m.validate()
}

// ImageOut is what the task registers.
type ImageOut struct {
	Image   map[string]any `json:"image" orch:"after"`
	Actions []string       `json:"actions"`
	// Digest is what the registry calls the pushed image by.
	Digest string `json:"digest,omitempty" orch:"after"`
	Stdout string `json:"stdout,omitempty"`
}

// full is the name with its tag; an ID or a digest stays as it is.
func fullName(name, tag string) string {
	if strings.HasPrefix(name, "sha256:") || strings.Contains(name, "@") {
		return name
	}
	if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, '/') {
		return name
	}
	if tag == "" {
		tag = "latest"
	}
	return name + ":" + tag
}

// find looks for an image; nil when it is not there.
func (v *View) find(ctx context.Context, name string) (*image.InspectResponse, error) {
	got, err := v.cli.ImageInspect(ctx, name)
	if errdefs.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, explain(err)
	}
	return &got, nil
}

// Plan implements Module.
func (m *Image) Plan(ctx context.Context, v *View) (modules.Plan[*Target], error) {
	out := &ImageOut{Image: map[string]any{}, Actions: []string{}}
	plan := modules.Plan[*Target]{Out: out}
	name := fullName(m.Name, m.Tag)
	have, err := v.find(ctx, name)
	if err != nil {
		return plan, err
	}
	if m.State == "absent" {
		return m.planAbsent(plan, name, have), nil
	}
	if have != nil {
		out.Image = asMap(have)
	}
	step, err := m.sourceStep(ctx, v, name, have, out)
	if err != nil {
		return plan, err
	}
	fresh := step != nil || v.would(name) // what comes after works on an image that is not known yet
	switch {
	case step != nil:
		plan.Steps = append(plan.Steps, *step)
		v.will(name)
	case have == nil && !fresh:
		return plan, modules.Failf("there is no image %s on %s", name, v.site.Host())
	}
	pushName := name
	if m.Repository != "" {
		pushName = fullName(m.Repository, m.Tag)
		if err := m.tagStep(ctx, v, &plan, name, pushName, have, fresh, out); err != nil {
			return plan, err
		}
	}
	if m.Push {
		pushed := have
		if pushName != name && !fresh {
			if pushed, err = v.find(ctx, pushName); err != nil {
				return plan, err
			}
		}
		m.pushStep(ctx, v, &plan, pushName, pushed, fresh, out)
	}
	if m.ArchivePath != "" {
		plan.Steps = append(plan.Steps, m.archiveStep(name, out))
	}
	return plan, nil
}

func (m *Image) planAbsent(plan modules.Plan[*Target], name string, have *image.InspectResponse) modules.Plan[*Target] {
	if have == nil {
		return plan
	}
	plan.Steps = append(plan.Steps, modules.Step[*Target]{
		Title: "remove image " + name,
		Do: func(ctx context.Context, t *Target) (bool, error) {
			_, err := t.cli.ImageRemove(ctx, name, image.RemoveOptions{Force: m.ForceAbsent, PruneChildren: true})
			if err != nil && !errdefs.IsNotFound(err) {
				return false, explain(err)
			}
			return true, nil
		},
	})
	return plan
}

// sourceStep brings the image in: by a build, a pull or from an archive.
func (m *Image) sourceStep(ctx context.Context, v *View, name string, have *image.InspectResponse, out *ImageOut) (*modules.Step[*Target], error) {
	if m.Source == "build" {
		return m.buildStep(ctx, v, name, have, out)
	}
	if have != nil && !m.ForceSource {
		return nil, nil
	}
	step := &modules.Step[*Target]{Effect: modules.Change}
	if have != nil {
		step.Effect = modules.Maybe
	}
	switch m.Source {
	case "pull":
		step.Title = "pull image " + name
		step.Do = func(ctx context.Context, t *Target) (bool, error) {
			opts := image.PullOptions{RegistryAuth: t.authFor(name)}
			if m.Pull != nil {
				opts.Platform = m.Pull.Platform
			}
			stream, err := t.cli.ImagePull(ctx, name, opts)
			if err != nil {
				return false, explain(err)
			}
			if _, err := t.progress(stream, nil, nil); err != nil {
				return false, err
			}
			return m.settled(ctx, t, name, have, out, "Pulled image "+name)
		}
	case "load":
		step.Title = "load image " + name + " from " + m.LoadPath
		step.Do = func(ctx context.Context, t *Target) (bool, error) {
			path, err := t.site.Find("files", m.LoadPath)
			if err != nil {
				return false, err
			}
			file, err := os.Open(path)
			if err != nil {
				return false, modules.Failf("open archive: %v", err)
			}
			defer file.Close()
			answer, err := t.cli.ImageLoad(ctx, file, client.ImageLoadWithQuiet(true))
			if err != nil {
				return false, explain(err)
			}
			if _, err := t.progress(answer.Body, nil, nil); err != nil {
				return false, err
			}
			return m.settled(ctx, t, name, have, out, "Loaded image "+name+" from "+m.LoadPath)
		}
	default:
		return nil, nil
	}
	return step, nil
}

// settled reads what a source brought; an image that is the same as before is no change.
func (m *Image) settled(ctx context.Context, t *Target, name string, before *image.InspectResponse, out *ImageOut, action string) (bool, error) {
	now, err := t.find(ctx, name)
	if err != nil {
		return false, err
	}
	if now == nil {
		return false, modules.Failf("the image %s is not there afterwards", name)
	}
	out.Image = asMap(now)
	if before != nil && before.ID == now.ID {
		return false, nil
	}
	out.Actions = append(out.Actions, action)
	return true, nil
}

func (m *Image) tagStep(ctx context.Context, v *View, plan *modules.Plan[*Target], name, repo string, have *image.InspectResponse, fresh bool, out *ImageOut) error {
	tagged, err := v.find(ctx, repo)
	if err != nil {
		return err
	}
	if tagged != nil && have != nil && tagged.ID == have.ID && !fresh {
		return nil
	}
	v.will(repo)
	effect := modules.Change
	if fresh && tagged != nil {
		effect = modules.Maybe
	}
	plan.Steps = append(plan.Steps, modules.Step[*Target]{
		Title: "tag image " + name + " as " + repo, Effect: effect,
		Do: func(ctx context.Context, t *Target) (bool, error) {
			now, err := t.find(ctx, name)
			if err != nil || now == nil {
				return false, orFail(err, "the image %s is gone", name)
			}
			if tagged != nil && tagged.ID == now.ID {
				return false, nil
			}
			if err := t.cli.ImageTag(ctx, name, repo); err != nil {
				return false, explain(err)
			}
			out.Actions = append(out.Actions, "Tagged image "+name+" to "+repo)
			return true, nil
		},
	})
	return nil
}

func orFail(err error, format string, args ...any) error {
	if err != nil {
		return err
	}
	return modules.Failf(format, args...)
}

// pushStep pushes and keeps the digest that the registry answers: what a manifest pins.
// Layers the registry has already are no change.
func (m *Image) pushStep(ctx context.Context, v *View, plan *modules.Plan[*Target], name string, img *image.InspectResponse, fresh bool, out *ImageOut) {
	if !fresh && img != nil {
		out.Digest = digestOf(img.RepoDigests, name)
		if out.Digest != "" && v.inRegistry(ctx, name, out.Digest) {
			return
		}
	}
	plan.Steps = append(plan.Steps, modules.Step[*Target]{
		Title: "push image " + name, Effect: modules.Maybe,
		Do: func(ctx context.Context, t *Target) (bool, error) {
			stream, err := t.cli.ImagePush(ctx, name, image.PushOptions{RegistryAuth: t.authFor(name)})
			if err != nil {
				return false, explain(err)
			}
			var pushed struct {
				Digest string `json:"Digest"`
			}
			sent, err := t.progress(stream, nil, func(aux json.RawMessage) {
				var got struct {
					Digest string `json:"Digest"`
				}
				if json.Unmarshal(aux, &got) == nil && got.Digest != "" {
					pushed = got
				}
			})
			if err != nil {
				return false, err
			}
			if pushed.Digest == "" {
				return false, modules.Failf("the registry did not say the digest of %s", name)
			}
			changed := sent || out.Digest != pushed.Digest
			out.Digest = pushed.Digest
			if changed {
				out.Actions = append(out.Actions, "Pushed image "+name)
			}
			if now, err := t.find(ctx, name); err == nil && now != nil {
				out.Image = asMap(now)
			}
			return changed, nil
		},
	})
}

// inRegistry asks the registry, through the engine, whether it still has a digest under
// the tag.
func (v *View) inRegistry(ctx context.Context, name, digest string) bool {
	got, err := v.cli.DistributionInspect(ctx, name, v.authFor(name))
	return err == nil && got.Descriptor.Digest.String() == digest
}

// digestOf finds the digest of a repository among an image's.
func digestOf(digests []string, name string) string {
	named, err := reference.ParseNormalizedNamed(name)
	if err != nil {
		return ""
	}
	for _, d := range digests {
		repo, digest, ok := strings.Cut(d, "@")
		if !ok {
			continue
		}
		if other, err := reference.ParseNormalizedNamed(repo); err == nil && other.Name() == named.Name() {
			return digest
		}
	}
	return ""
}

func (m *Image) archiveStep(name string, out *ImageOut) modules.Step[*Target] {
	return modules.Step[*Target]{
		Title: "write image " + name + " to " + m.ArchivePath, Effect: modules.Maybe,
		Do: func(ctx context.Context, t *Target) (bool, error) {
			stream, err := t.cli.ImageSave(ctx, []string{name})
			if err != nil {
				return false, explain(err)
			}
			defer stream.Close()
			tmp := m.ArchivePath + ".part"
			file, err := os.Create(tmp)
			if err != nil {
				return false, modules.Failf("write archive: %v", err)
			}
			_, err = io.Copy(file, stream)
			if err = errors.Join(err, file.Close()); err == nil {
				err = os.Rename(tmp, m.ArchivePath)
			}
			if err != nil {
				os.Remove(tmp)
				return false, modules.Failf("write archive: %v", err)
			}
			out.Actions = append(out.Actions, "Archived image "+name+" to "+m.ArchivePath)
			return true, nil
		},
	}
}

// progress reads the engine's stream of messages, hands lines on and reports whether
// layers were really sent. A nil line shows printed text to whoever watches the run; aux
// receives what a builder or registry adds, if it is not nil.
func (t *Target) progress(stream io.ReadCloser, line func(string), aux func(json.RawMessage)) (moved bool, err error) {
	defer stream.Close()
	if line == nil {
		line = func(s string) { t.site.Emit(strings.TrimRight(s, "\n")) }
	}
	dec := json.NewDecoder(stream)
	for {
		var msg struct {
			Stream string          `json:"stream"`
			Status string          `json:"status"`
			ID     string          `json:"id"`
			Error  string          `json:"error"`
			Aux    json.RawMessage `json:"aux"`
		}
		err := dec.Decode(&msg)
		if errors.Is(err, io.EOF) {
			return moved, nil
		}
		if err != nil {
			return moved, modules.Failf("read the engine's answer: %v", err)
		}
		switch {
		case msg.Error != "":
			return moved, modules.Failf("%s", msg.Error)
		case len(msg.Aux) > 0 && aux != nil:
			aux(msg.Aux)
		case msg.Stream != "":
			line(msg.Stream)
		case msg.Status == "Pushed" || msg.Status == "Pull complete":
			moved = true
			t.site.Emit(msg.ID + " " + msg.Status)
		}
	}
}

// asMap is an API answer as register stores it.
func asMap(v any) map[string]any {
	text, err := json.Marshal(v)
	if err != nil {
		return map[string]any{}
	}
	m := map[string]any{}
	if json.Unmarshal(text, &m) != nil {
		return map[string]any{}
	}
	return m
}

// ImageInfo reads images.
type ImageInfo struct {
	Engine
	// Names or IDs of the images; all if not given.
	Name []string
}

// ImagesOut is what the task registers.
type ImagesOut struct {
	Images []map[string]any `json:"images"`
}

// Validate implements modules.Validator.
func (m *ImageInfo) Validate() error { return m.validate() }

// Plan implements Module.
func (m *ImageInfo) Plan(ctx context.Context, v *View) (modules.Plan[*Target], error) {
	out := &ImagesOut{Images: []map[string]any{}}
	names := m.Name
	if len(names) == 0 {
		list, err := v.cli.ImageList(ctx, image.ListOptions{})
		if err != nil {
			return modules.Plan[*Target]{}, explain(err)
		}
		for _, i := range list {
			names = append(names, i.ID)
		}
	}
	for _, name := range names {
		img, err := v.find(ctx, fullName(name, ""))
		if err != nil {
			return modules.Plan[*Target]{}, err
		}
		if img != nil {
			out.Images = append(out.Images, asMap(img))
		}
	}
	return modules.Plan[*Target]{Out: out}, nil
}
