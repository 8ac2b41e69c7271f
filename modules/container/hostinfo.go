package container

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"

	"orch/modules"
)

// HostInfo reads what the engine says of itself, and lists what it has.
type HostInfo struct {
	Engine
	// List containers that run.
	Containers bool
	// List those that do not run too.
	ContainersAll bool
	// Which containers: a mapping of filters to a value or a list of them.
	ContainersFilters modules.Raw
	// List images.
	Images bool
	// Which images.
	ImagesFilters modules.Raw
	// List networks.
	Networks bool
	// Which networks.
	NetworksFilters modules.Raw
	// List volumes.
	Volumes bool
	// Which volumes.
	VolumesFilters modules.Raw
	// Sum up the space that images, containers, volumes and the build cache take.
	DiskUsage bool
	// All that the engine says of what is listed, not only what its command prints.
	VerboseOutput bool
}

// HostInfoOut is what the task registers.
type HostInfoOut struct {
	CanTalkToDocker bool             `json:"can_talk_to_docker"`
	HostInfo        map[string]any   `json:"host_info"`
	DiskUsage       map[string]any   `json:"disk_usage,omitempty"`
	Containers      []map[string]any `json:"containers,omitempty"`
	Images          []map[string]any `json:"images,omitempty"`
	Networks        []map[string]any `json:"networks,omitempty"`
	Volumes         []map[string]any `json:"volumes,omitempty"`
}

// Validate implements modules.Validator.
func (h *HostInfo) Validate() error {
	for name, raw := range map[string]modules.Raw{
		"containers": h.ContainersFilters, "images": h.ImagesFilters, "networks": h.NetworksFilters, "volumes": h.VolumesFilters,
	} {
		if _, err := filterArgs(raw); err != nil {
			return fmt.Errorf("%s_filters: %w", name, err)
		}
	}
	return h.validate()
}

// filterArgs reads filters: {dangling: true, label: [a, b=c]}.
func filterArgs(raw modules.Raw) (filters.Args, error) {
	args := filters.NewArgs()
	given := map[string]any{}
	if len(raw) > 0 {
		if err := json.Unmarshal(raw, &given); err != nil {
			return args, fmt.Errorf("want a mapping: %w", err)
		}
	}
	for name, v := range given {
		list, ok := v.([]any)
		if !ok {
			list = []any{v}
		}
		for _, item := range list {
			args.Add(name, fmt.Sprint(item))
		}
	}
	return args, nil
}

// Plan implements Module.
func (h *HostInfo) Plan(ctx context.Context, v *View) (modules.Plan[*Target], error) {
	info, err := v.cli.Info(ctx)
	if err != nil {
		return modules.Plan[*Target]{}, explain(err)
	}
	out := &HostInfoOut{CanTalkToDocker: true, HostInfo: asMap(info)}
	for _, list := range []struct {
		on   bool
		read func(context.Context, *View, *HostInfoOut) error
	}{
		{h.DiskUsage, h.usage},
		{h.Containers || h.ContainersAll, h.containers},
		{h.Images, h.images},
		{h.Networks, h.networks},
		{h.Volumes, h.volumes},
	} {
		if !list.on {
			continue
		}
		if err := list.read(ctx, v, out); err != nil {
			return modules.Plan[*Target]{}, explain(err)
		}
	}
	return modules.Plan[*Target]{Out: out}, nil
}

func (h *HostInfo) usage(ctx context.Context, v *View, out *HostInfoOut) error {
	usage, err := v.cli.DiskUsage(ctx, types.DiskUsageOptions{})
	out.DiskUsage = h.shown(usage, "LayersSize")
	return err
}

func (h *HostInfo) containers(ctx context.Context, v *View, out *HostInfoOut) error {
	which, _ := filterArgs(h.ContainersFilters) // Validate has read it
	list, err := v.cli.ContainerList(ctx, container.ListOptions{All: h.ContainersAll, Filters: which})
	out.Containers = shownAll(h, list, "Id", "Image", "Command", "Created", "Status", "Ports", "Names")
	return err
}

func (h *HostInfo) images(ctx context.Context, v *View, out *HostInfoOut) error {
	which, _ := filterArgs(h.ImagesFilters)
	list, err := v.cli.ImageList(ctx, image.ListOptions{Filters: which})
	out.Images = shownAll(h, list, "Id", "RepoTags", "Created", "Size")
	return err
}

func (h *HostInfo) networks(ctx context.Context, v *View, out *HostInfoOut) error {
	which, _ := filterArgs(h.NetworksFilters)
	list, err := v.cli.NetworkList(ctx, network.ListOptions{Filters: which})
	out.Networks = shownAll(h, list, "Id", "Driver", "Name", "Scope")
	return err
}

func (h *HostInfo) volumes(ctx context.Context, v *View, out *HostInfoOut) error {
	which, _ := filterArgs(h.VolumesFilters)
	list, err := v.cli.VolumeList(ctx, volume.ListOptions{Filters: which})
	out.Volumes = shownAll(h, list.Volumes, "Driver", "Name")
	return err
}

// shownAll is what is shown of each item of a list.
func shownAll[T any](h *HostInfo, list []T, fields ...string) (out []map[string]any) {
	for _, item := range list {
		out = append(out, h.shown(item, fields...))
	}
	return out
}

// shown is what the engine says, or the fields that its command prints.
func (h *HostInfo) shown(v any, fields ...string) map[string]any {
	all := asMap(v)
	if h.VerboseOutput {
		return all
	}
	few := make(map[string]any, len(fields))
	for _, f := range fields {
		few[f] = all[f]
	}
	return few
}
