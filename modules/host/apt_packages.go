package host

import (
	"context"
	"slices"
	"strings"

	"orch/modules"
)

// A wanted package is an entry of name.
type wanted struct {
	text, name, arch, op, version string
}

// specPattern splits NAME[:ARCH][=VERSION] and the comparisons.
var specPattern = lazy(`^([^=<>:!\s]+)(?::([^=<>!\s]+))?\s*(?:(>=|<=|>>|<<|=|>|<)\s*(\S+))?$`)

func parseWanted(text string) (wanted, error) {
	m := specPattern().FindStringSubmatch(strings.TrimSpace(text))
	if m == nil {
		return wanted{}, modules.Failf("package %q cannot be read: want NAME, NAME=VERSION or NAME:ARCH", text)
	}
	return wanted{text: strings.TrimSpace(text), name: m[1], arch: m[2], op: m[3], version: m[4]}, nil
}

func (w wanted) full() string {
	if w.arch != "" {
		return w.name + ":" + w.arch
	}
	return w.name
}

func (w wanted) glob() bool { return strings.ContainsAny(w.name, "*?[") }

func (w wanted) is(p dpkg) bool {
	archOK := w.arch == "" || w.arch == "any" || w.arch == p.arch || w.arch == "native"
	return archOK && (w.name == p.name || w.glob() && fnmatch(w.name, p.name))
}

func (a *Apt) wanted() ([]wanted, error) {
	var list []wanted
	for _, text := range a.Name {
		if strings.TrimSpace(text) == "" {
			continue
		}
		w, err := parseWanted(text)
		if err != nil {
			return nil, err
		}
		list = append(list, w)
	}
	return list, nil
}

func fullNames(list []wanted) []string {
	names := make([]string, len(list))
	for i, w := range list {
		names[i] = w.full()
	}
	return names
}

func (a *Apt) removeJob(ctx context.Context, v modules.View) (aptJob, error) {
	list, err := a.wanted()
	if err != nil {
		return aptJob{}, err
	}
	have, err := installed(ctx, v, fullNames(list))
	if err != nil {
		return aptJob{}, err
	}
	var names []string
	for _, p := range have {
		// Files of configuration alone are left, unless they are to be purged.
		if p.status == "config-files" && !a.Purge {
			continue
		}
		if !slices.ContainsFunc(list, func(w wanted) bool { return w.is(p) && (w.version == "" || fnmatch(w.version, p.version)) }) {
			continue
		}
		name := p.name
		if i := slices.IndexFunc(list, func(w wanted) bool { return w.name == p.name && w.arch != "" }); i >= 0 {
			name = list[i].full()
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return aptJob{title: "remove " + strings.Join(names, ", "), argv: append([]string{"remove"}, names...), nothing: names == nil}, nil
}

func (a *Apt) installJob(ctx context.Context, v modules.View) (aptJob, error) {
	list, err := a.wanted()
	if err != nil {
		return aptJob{}, err
	}
	have, err := installed(ctx, v, fullNames(list))
	if err != nil {
		return aptJob{}, err
	}
	have = slices.DeleteFunc(have, func(p dpkg) bool { return p.status == "config-files" })
	job := aptJob{stale: a.State == "latest"}
	todo, unknown, err := a.missing(ctx, v, list, have)
	if err != nil {
		return job, err
	}
	if a.State == "latest" {
		newer, err := a.outdated(ctx, v, list, have)
		if err != nil {
			return job, err
		}
		todo = append(todo, newer...)
	}
	job.title = "install " + strings.Join(append(slices.Clone(todo), unknown...), ", ")
	if unknown != nil {
		job.stale = true
		more, fail, err := a.resolve(ctx, v, unknown)
		if err != nil || fail != nil {
			job.failure = fail
			return job, err
		}
		todo = append(todo, more...)
		job.title = "install " + strings.Join(todo, ", ")
	}
	args := []string{"install"}
	if a.State == "fixed" {
		args = append(args, "--fix-broken")
	}
	job.argv, job.nothing = append(args, todo...), len(todo) == 0
	return job, nil
}

// missing tells what of list is to be installed: known with another version, or unknown
// to dpkg.
func (a *Apt) missing(ctx context.Context, v modules.View, list []wanted, have []dpkg) (todo, unknown []string, err error) {
	for _, w := range list {
		found, fits := false, false
		for _, p := range have {
			if !w.is(p) {
				continue
			}
			found = true
			ok, err := w.fits(ctx, v, p.version)
			if err != nil {
				return nil, nil, err
			}
			fits = fits || ok
		}
		switch {
		case found && fits:
		case found && (w.op == "=" || w.op == ""):
			todo = append(todo, w.text)
		case found:
			todo = append(todo, w.full())
		case a.OnlyUpgrade:
		case w.glob() || w.op != "" && w.op != "=":
			unknown = append(unknown, w.full())
		default:
			unknown = append(unknown, w.text)
		}
	}
	return todo, unknown, nil
}

// fits says whether a version is one that is wanted.
func (w wanted) fits(ctx context.Context, v modules.View, version string) (bool, error) {
	switch w.op {
	case "":
		return true, nil
	case "=":
		return fnmatch(w.version, version), nil
	}
	op := map[string]string{">=": "ge", "<=": "le", ">>": "gt", "<<": "lt", ">": "gt", "<": "lt"}[w.op]
	return compareVersions(ctx, v, version, op, w.version)
}

// outdated lists what is installed and has a newer candidate.
func (a *Apt) outdated(ctx context.Context, v modules.View, list []wanted, have []dpkg) ([]string, error) {
	var names []string
	for _, p := range have {
		if slices.ContainsFunc(list, func(w wanted) bool { return w.is(p) && w.version == "" }) {
			names = append(names, p.name)
		}
	}
	if names == nil {
		return nil, nil
	}
	candidates, err := a.candidates(ctx, v, names)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, p := range have {
		c := candidates[p.name]
		if c == "" || c == "(none)" || c == p.version || !slices.Contains(names, p.name) || slices.Contains(out, p.name) {
			continue
		}
		if a.DefaultRelease == "" {
			newer, err := compareVersions(ctx, v, c, "gt", p.version)
			if err != nil {
				return nil, err
			}
			if !newer {
				continue
			}
		}
		out = append(out, p.name)
	}
	return out, nil
}

// candidates are the versions apt would install.
func (a *Apt) candidates(ctx context.Context, v modules.View, names []string) (map[string]string, error) {
	argv := []string{"apt-cache"}
	if a.DefaultRelease != "" {
		argv = append(argv, "-o", "APT::Default-Release="+a.DefaultRelease)
	}
	o, err := v.Query(ctx, append(append(argv, "policy"), names...)...)
	if err != nil {
		return nil, startFailure(argv, err)
	}
	all := map[string]string{}
	name := ""
	for line := range strings.Lines(o.Stdout) {
		switch trimmed := strings.TrimSpace(line); {
		case !strings.HasPrefix(line, " ") && strings.HasSuffix(trimmed, ":"):
			name, _, _ = strings.Cut(trimmed, ":")
		case strings.HasPrefix(trimmed, "Candidate:"):
			if all[name] == "" {
				all[name] = strings.TrimSpace(strings.TrimPrefix(trimmed, "Candidate:"))
			}
		}
	}
	return all, nil
}

// resolve lets apt say what names dpkg does not know come to: packages, virtual ones that
// something installed provides, or nothing at all.
func (a *Apt) resolve(ctx context.Context, v modules.View, names []string) (todo []string, fail *modules.Failure, err error) {
	job, err := a.simulated(ctx, v, "", false, append([]string{"install"}, names...)...)
	if err != nil {
		return nil, nil, err
	}
	if job.failure == nil {
		if job.nothing {
			return nil, nil, nil
		}
		return names, nil, nil
	}
	for line := range strings.Lines(job.failure.Stderr) {
		if _, name, ok := strings.Cut(line, "Unable to locate package "); ok {
			return nil, modules.Failf("No package matching '%s' is available", strings.TrimSpace(name)), nil
		}
		if _, name, ok := strings.Cut(line, "Couldn't find any package by "); ok {
			_, name, _ = strings.Cut(name, "'")
			name, _, _ = strings.Cut(name, "'")
			return nil, modules.Failf("No package matching '%s' is available", name), nil
		}
		if _, rest, ok := strings.Cut(line, "E: Package '"); ok && strings.Contains(rest, "has no installation candidate") {
			name, _, _ := strings.Cut(rest, "'")
			return nil, modules.Failf("No package matching '%s' is available", name), nil
		}
		if _, rest, ok := strings.Cut(line, "E: Version '"); ok && strings.Contains(rest, "was not found") {
			version, tail, _ := strings.Cut(rest, "'")
			_, name, _ := strings.Cut(tail, "for '")
			name, _, _ = strings.Cut(name, "'")
			return nil, modules.Failf("no available installation candidate for %s=%s", name, version), nil
		}
	}
	return nil, job.failure, nil
}
