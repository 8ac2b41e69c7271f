package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"orch/modules"
)

// Apt installs, upgrades and removes packages on Debian and its kin, with apt-get and
// dpkg-query; it needs no Python.
type Apt struct {
	// Packages: NAME, NAME=VERSION (a glob), NAME>=VERSION, NAME:ARCH, or a glob of names.
	Name []string `orch:"alias=pkg|package"`
	// What the packages are to be.
	State string `orch:"enum=absent|build-dep|fixed|latest|present,default=present"`
	// Read the lists of packages first.
	UpdateCache *bool `orch:"alias=update-cache"`
	// How often to try that again.
	UpdateCacheRetries int `orch:"default=5"`
	// Longest pause between tries, in seconds.
	UpdateCacheRetryMaxDelay int `orch:"default=12"`
	// Seconds for which the lists are fresh enough; implies update_cache.
	CacheValidTime int
	// Remove configuration files too.
	Purge bool
	// Release to take packages from.
	DefaultRelease string `orch:"alias=default-release"`
	// Install what packages recommend; the default is apt's own.
	InstallRecommends *bool `orch:"alias=install-recommends"`
	// Allow everything: unsigned packages, downgrades, held packages.
	Force bool
	// Upgrade the system: yes and safe add packages, full and dist remove some too.
	Upgrade string `orch:"enum=dist|full|no|safe|yes,default=no"`
	// Options for dpkg, joined by commas.
	DpkgOptions string `orch:"default=force-confdef|force-confold"`
	// Package file: a path on the host or a URL.
	Deb string `orch:"path"`
	// Remove packages nothing needs any more.
	Autoremove bool
	// Remove package files that can no longer be downloaded.
	Autoclean bool
	// Remove all downloaded package files.
	Clean bool
	// Let services start (0) or not (101): the answer of a policy-rc.d made for the while.
	PolicyRcD *int `orch:"name=policy_rc_d"`
	// Only upgrade what is installed.
	OnlyUpgrade bool
	// Fail instead of removing anything.
	FailOnAutoremove bool
	// Use apt-get for upgrades. It is always used.
	ForceAptGet bool
	// Install packages that are not signed.
	AllowUnauthenticated bool `orch:"alias=allow-unauthenticated"`
	// Install older versions.
	AllowDowngrade bool `orch:"alias=allow-downgrade|allow_downgrades|allow-downgrades"`
	// Change packages that are held.
	AllowChangeHeldPackages bool
	// Seconds to wait for dpkg's lock.
	LockTimeout int `orch:"default=60"`
	// Install python3-apt where it is missing. It is not needed.
	AutoInstallModuleDeps bool `orch:"default=true"`
}

// Validate implements modules.Validator.
func (a *Apt) Validate() error {
	upgrade := a.Upgrade != "no"
	given := 0
	for _, is := range []bool{len(a.Name) > 0, a.Deb != "", upgrade} {
		if is {
			given++
		}
	}
	switch {
	case given > 1:
		return errors.New("parameters are mutually exclusive: deb|package|upgrade")
	case given == 0 && !a.Autoremove && !a.Autoclean && !a.Clean && a.UpdateCache == nil && a.CacheValidTime == 0 && a.State != "fixed":
		return errors.New("one of the following is required: autoremove, deb, package, update_cache, upgrade")
	}
	return nil
}

// AptOut is the result of apt.
type AptOut struct {
	CacheUpdated    bool   `json:"cache_updated" orch:"after"`
	CacheUpdateTime int64  `json:"cache_update_time"`
	Stdout          string `json:"stdout,omitempty" orch:"after"`
	Stderr          string `json:"stderr,omitempty" orch:"after"`
}

// Plan implements modules.Module.
func (a *Apt) Plan(ctx context.Context, v modules.View) (plan, error) {
	a = clone(a)
	out := &AptOut{}
	p := plan{Out: out}
	due, err := a.updateDue(ctx, v, out)
	if err != nil {
		return p, err
	}
	only := len(a.Name) == 0 && a.Deb == "" && a.Upgrade == "no" && !a.Autoremove && !a.Autoclean && !a.Clean && a.State != "fixed"
	if due {
		p.Steps = append(p.Steps, a.update(only, out))
	}
	if only {
		return p, nil
	}
	job, err := a.job(ctx, v)
	if err != nil {
		return p, err
	}
	if due && job.stale {
		// What there is to do is known only with fresh lists.
		p.Steps = append(p.Steps, step{Title: job.title, Effect: modules.Maybe, Do: func(ctx context.Context, t modules.Target) (bool, error) {
			job, err := a.job(ctx, t)
			if err != nil || job.nothing {
				return false, err
			}
			return a.do(ctx, t, job, out)
		}})
		return p, nil
	}
	if job.failure != nil {
		p.Steps = append(p.Steps, failing(job.title, job.failure))
		return p, nil
	}
	if !job.nothing {
		effect := modules.Change
		if job.maybe {
			effect = modules.Maybe
		}
		p.Steps = append(p.Steps, step{Title: job.title, Effect: effect, Do: func(ctx context.Context, t modules.Target) (bool, error) {
			return a.do(ctx, t, job, out)
		}})
	}
	return p, nil
}

// updateDue says whether the lists are to be read: when asked, unless they are fresh.
func (a *Apt) updateDue(ctx context.Context, v modules.View, out *AptOut) (bool, error) {
	newest := time.Time{}
	for _, p := range []string{"/var/lib/apt/periodic/update-success-stamp", "/var/lib/apt/lists"} {
		fi, err := stat(ctx, v, p)
		if err != nil {
			return false, err
		}
		if fi != nil && fi.Mtime.After(newest) {
			newest = fi.Mtime
		}
	}
	if !newest.IsZero() {
		out.CacheUpdateTime = newest.Unix()
	}
	if a.UpdateCache != nil && !*a.UpdateCache || a.UpdateCache == nil && a.CacheValidTime == 0 {
		return false, nil
	}
	return time.Since(newest) > time.Duration(a.CacheValidTime)*time.Second, nil
}

// update is the step that reads the lists. It is a change only when nothing else was
// asked for, as in Ansible.
func (a *Apt) update(only bool, out *AptOut) step {
	effect := modules.Act
	if only {
		effect = modules.Change
	}
	return step{Title: "update the package lists", Effect: effect, Always: true, Do: func(ctx context.Context, t modules.Target) (bool, error) {
		delay := time.Second
		for try := 0; ; try++ {
			o, err := a.run(ctx, t, nil, "update")
			if err != nil {
				return false, err
			}
			if o.RC == 0 {
				break
			}
			if try >= a.UpdateCacheRetries {
				return false, cmdFailure([]string{"apt-get", "update"}, o, "Failed to update apt cache: "+strings.TrimSpace(o.Stderr))
			}
			if err := pause(ctx, delay); err != nil {
				return false, err
			}
			delay = min(2*delay, time.Duration(a.UpdateCacheRetryMaxDelay)*time.Second)
		}
		out.CacheUpdated = true
		if fi, err := stat(ctx, t, "/var/lib/apt/lists"); err == nil && fi != nil {
			out.CacheUpdateTime = max(out.CacheUpdateTime, fi.Mtime.Unix())
		}
		return only, nil
	}}
}

// An aptJob is what is to be done after the lists are read.
type aptJob struct {
	title   string
	argv    []string // arguments of apt-get
	nothing bool     // all is as it is to be
	stale   bool     // the answer depends on how fresh the lists are
	maybe   bool     // only a run can tell
	failure *modules.Failure
	url     string // of a package file to get first
}

func (a *Apt) job(ctx context.Context, v modules.View) (aptJob, error) {
	switch {
	case a.Upgrade != "no":
		argv := []string{"dist-upgrade"}
		if a.Upgrade == "yes" || a.Upgrade == "safe" {
			argv = []string{"upgrade", "--with-new-pkgs"}
		}
		return a.simulated(ctx, v, "upgrade the system", true, argv...)
	case a.Deb != "":
		return a.debJob(ctx, v)
	case a.State == "fixed" && len(a.Name) == 0:
		return a.simulated(ctx, v, "repair broken packages", false, "install", "--fix-broken")
	case len(a.Name) > 0 && a.State == "absent":
		return a.removeJob(ctx, v)
	case len(a.Name) > 0 && a.State == "build-dep":
		return a.simulated(ctx, v, "install what building "+strings.Join(a.Name, ", ")+" needs", true, append([]string{"build-dep"}, a.Name...)...)
	case len(a.Name) > 0:
		return a.installJob(ctx, v)
	case a.Autoremove:
		return a.simulated(ctx, v, "remove packages nothing needs", false, "autoremove")
	case a.Autoclean:
		return a.simulated(ctx, v, "remove old package files", false, "autoclean")
	}
	return aptJob{title: "remove downloaded package files", argv: []string{"clean"}, maybe: true}, nil
}

// simulated asks apt-get what it would do.
func (a *Apt) simulated(ctx context.Context, v modules.View, title string, stale bool, argv ...string) (aptJob, error) {
	job := aptJob{title: title, argv: argv, stale: stale}
	full := append(append([]string{"apt-get", "-s"}, a.options()...), argv...)
	o, err := v.Query(ctx, full...)
	if errors.Is(err, fs.ErrNotExist) {
		return job, modules.Failf("apt-get is not there: this is no Debian or Ubuntu")
	}
	if err != nil {
		return job, err
	}
	if o.RC != 0 {
		job.failure = cmdFailure(full, o, "")
		return job, nil
	}
	job.nothing = true
	for line := range strings.Lines(o.Stdout) {
		word, _, _ := strings.Cut(line, " ")
		switch word {
		case "Inst", "Remv", "Purg", "Conf", "Del":
			job.nothing = false
		}
	}
	return job, nil
}

func (a *Apt) options() []string {
	var opts []string
	for _, o := range strings.FieldsFunc(a.DpkgOptions, func(r rune) bool { return r == ',' || r == '|' }) {
		opts = append(opts, "-o", "Dpkg::Options::=--"+o)
	}
	opts = append(opts, "-o", fmt.Sprintf("DPkg::Lock::Timeout=%d", a.LockTimeout))
	for _, o := range []struct {
		is   bool
		flag string
	}{
		{a.InstallRecommends != nil && !*a.InstallRecommends, "--no-install-recommends"},
		{a.InstallRecommends != nil && *a.InstallRecommends, "--install-recommends"},
		{a.Force || a.AllowUnauthenticated, "--allow-unauthenticated"},
		{a.Force || a.AllowDowngrade, "--allow-downgrades"},
		{a.Force || a.AllowChangeHeldPackages, "--allow-change-held-packages"},
		{a.Force, "--allow-remove-essential"},
		{a.FailOnAutoremove, "--no-remove"},
		{a.Autoremove && len(a.Name) > 0 || a.Autoremove && a.Upgrade != "no", "--auto-remove"},
		{a.Purge, "--purge"},
		{a.OnlyUpgrade, "--only-upgrade"},
	} {
		if o.is {
			opts = append(opts, o.flag)
		}
	}
	if a.DefaultRelease != "" {
		opts = append(opts, "-t", a.DefaultRelease)
	}
	return opts
}

// run runs apt-get without questions.
func (a *Apt) run(ctx context.Context, t modules.Target, opts []string, args ...string) (modules.Output, error) {
	argv := append(append([]string{"apt-get", "-y"}, opts...), args...)
	o, err := t.Run(ctx, modules.Command{Argv: argv, Env: []string{"DEBIAN_FRONTEND=noninteractive", "DEBIAN_PRIORITY=critical"}, Stream: true})
	if err != nil {
		return o, startFailure(argv, err)
	}
	return o, nil
}

func (a *Apt) do(ctx context.Context, t modules.Target, job aptJob, out *AptOut) (changed bool, err error) {
	if a.PolicyRcD != nil {
		restore, err := a.policy(ctx, t)
		if err != nil {
			return false, err
		}
		defer func() {
			if e := restore(); err == nil {
				err = e
			}
		}()
	}
	if job.url != "" {
		at, drop, err := a.getDeb(ctx, t, job.url)
		if err != nil {
			return false, err
		}
		defer drop()
		local := clone(a)
		local.Deb = at
		if job, err = local.debJob(ctx, t); err != nil || job.nothing {
			return false, err
		}
	}
	if job.failure != nil {
		return false, job.failure
	}
	o, err := a.run(ctx, t, a.options(), job.argv...)
	if err != nil {
		return false, err
	}
	out.Stdout, out.Stderr = o.Stdout, o.Stderr
	if o.RC != 0 {
		argv := append([]string{"apt-get"}, job.argv...)
		return false, cmdFailure(argv, o, fmt.Sprintf("'%s' failed: %s", strings.Join(argv, " "), strings.TrimSpace(o.Stderr)))
	}
	return job.argv[0] != "clean", nil
}

// policy puts a policy-rc.d in place and gives what puts the old one back.
func (a *Apt) policy(ctx context.Context, t modules.Target) (func() error, error) {
	const file = "/usr/sbin/policy-rc.d"
	old, err := lstat(ctx, t, file)
	if err != nil {
		return nil, err
	}
	if old != nil {
		if err := t.Rename(ctx, file, file+".orch"); err != nil {
			return nil, fileFailure(err)
		}
	}
	mode := modules.FromUnixMode(0o755)
	text := fmt.Sprintf("#!/bin/sh\nexit %d\n", *a.PolicyRcD)
	if _, err := t.Write(ctx, file, strings.NewReader(text), modules.WriteOptions{Mode: &mode}); err != nil {
		return nil, fileFailure(err)
	}
	return func() error {
		ctx := context.WithoutCancel(ctx)
		if old != nil {
			return fileFailure(t.Rename(ctx, file+".orch", file))
		}
		return fileFailure(t.Remove(ctx, file))
	}, nil
}

func (a *Apt) debJob(ctx context.Context, v modules.View) (aptJob, error) {
	if strings.Contains(a.Deb, "://") {
		return aptJob{title: "install " + a.Deb, url: a.Deb, maybe: true}, nil
	}
	file := a.Deb
	if err := expand(ctx, v, &file); err != nil {
		return aptJob{}, err
	}
	job := aptJob{title: "install " + file, argv: []string{"install", file}}
	o, err := v.Query(ctx, "dpkg-deb", "-f", file, "Package", "Version", "Architecture")
	if err != nil {
		return job, startFailure([]string{"dpkg-deb"}, err)
	}
	if o.RC != 0 {
		job.failure = modules.Failf("Unable to install package: %s", strings.TrimSpace(o.Stderr))
		return job, nil
	}
	field := map[string]string{}
	for line := range strings.Lines(o.Stdout) {
		if k, val, ok := strings.Cut(strings.TrimSpace(line), ": "); ok {
			field[k] = val
		}
	}
	have, err := installed(ctx, v, []string{field["Package"]})
	if err != nil {
		return job, err
	}
	for _, p := range have {
		if p.version == field["Version"] {
			job.nothing = true
			continue
		}
		if a.AllowDowngrade || a.Force {
			continue
		}
		newer, err := compareVersions(ctx, v, p.version, "gt", field["Version"])
		if err != nil {
			return job, err
		}
		if newer {
			job.failure = modules.Failf("A later version is already installed")
		}
	}
	return job, nil
}

func compareVersions(ctx context.Context, v modules.View, a, op, b string) (bool, error) {
	o, err := v.Query(ctx, "dpkg", "--compare-versions", a, op, b)
	return o.RC == 0, err
}

func (a *Apt) getDeb(ctx context.Context, t modules.Target, from string) (string, func(), error) {
	dir, err := t.TempDir(ctx)
	if err != nil {
		return "", nil, err
	}
	at := path.Join(dir, urlFile(from))
	if !strings.HasSuffix(at, ".deb") {
		at += ".deb"
	}
	f := &fetcher{URL: from, ValidateCerts: true, UseProxy: true, Timeout: 600}
	if _, err := f.save(ctx, t, at, &rewrite{path: at}); err != nil {
		return "", nil, err
	}
	return at, func() { _ = t.Remove(context.WithoutCancel(ctx), at) }, nil // a temporary file may stay
}

// A dpkg is a package that dpkg knows.
type dpkg struct{ name, arch, version, status string }

// installed lists those of names that are installed; names may be globs.
func installed(ctx context.Context, v modules.View, names []string) ([]dpkg, error) {
	argv := append([]string{"dpkg-query", "-W", "-f", `${Package}\t${Architecture}\t${Version}\t${Status}\n`}, names...)
	o, err := v.Query(ctx, argv...)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, modules.Failf("dpkg-query is not there: this is no Debian or Ubuntu")
	}
	if err != nil {
		return nil, err
	}
	var list []dpkg
	for line := range strings.Lines(o.Stdout) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(f) == 4 && strings.HasSuffix(f[3], " installed") || len(f) == 4 && slices.Contains([]string{"config-files", "half-configured", "unpacked", "half-installed"}, path.Base(strings.ReplaceAll(f[3], " ", "/"))) {
			list = append(list, dpkg{f[0], f[1], f[2], f[3][strings.LastIndexByte(f[3], ' ')+1:]})
		}
	}
	return list, nil
}
