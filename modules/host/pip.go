package host

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"orch/modules"
)

// Pip installs Python packages with the host's pip.
type Pip struct {
	// Packages, with or without versions.
	Name []string
	// Version of the one package.
	Version string
	// File of requirements, on the host.
	Requirements string
	// What the packages are to be.
	State string `orch:"enum=absent|forcereinstall|latest|present,default=present"`
	// Folder of a virtual environment, made if there is none.
	Virtualenv string `orch:"path"`
	// Let it see the system's packages.
	VirtualenvSitePackages bool
	// Command that makes one.
	VirtualenvCommand string `orch:"default=virtualenv"`
	// Python for a new one.
	VirtualenvPython string
	// Further arguments for pip.
	ExtraArgs string
	// Install from source, to be edited.
	Editable bool
	// Folder to run in.
	Chdir string `orch:"path"`
	// The pip program.
	Executable string `orch:"path"`
	// Umask of what is installed.
	Umask string
	// Install into a Python that its distribution manages.
	BreakSystemPackages bool
}

// Validate implements modules.Validator.
func (p *Pip) Validate() error {
	switch {
	case len(p.Name) > 0 && p.Requirements != "":
		return errors.New("parameters are mutually exclusive: name|requirements")
	case len(p.Name) == 0 && p.Requirements == "" && p.Virtualenv == "":
		return errors.New("one of the following is required: name, requirements, virtualenv")
	case p.Executable != "" && p.Virtualenv != "":
		return errors.New("parameters are mutually exclusive: executable|virtualenv")
	case p.State == "latest" && p.Version != "":
		return errors.New("version is incompatible with state=latest")
	case p.Version != "" && len(p.Name) > 1:
		return errors.New("'version' argument is ambiguous when installing multiple package distributions. Please specify version restrictions next to each package in 'name' argument.")
	}
	return nil
}

// PipOut is the result of pip.
type PipOut struct {
	Name         []string `json:"name"`
	Version      *string  `json:"version"`
	State        string   `json:"state"`
	Requirements *string  `json:"requirements"`
	Virtualenv   *string  `json:"virtualenv"`
	Stdout       string   `json:"stdout" orch:"after"`
	Stderr       string   `json:"stderr" orch:"after"`
}

func ptr(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// Plan implements modules.Module.
func (p *Pip) Plan(ctx context.Context, v modules.View) (plan, error) {
	p = clone(p)
	out := &PipOut{Name: p.Name, Version: ptr(p.Version), State: p.State, Requirements: ptr(p.Requirements), Virtualenv: ptr(p.Virtualenv)}
	pl := plan{Out: out}
	if err := expand(ctx, v, &p.Virtualenv, &p.Chdir); err != nil {
		return pl, err
	}
	fresh := false
	if p.Virtualenv != "" {
		fi, err := stat(ctx, v, path.Join(p.Virtualenv, "bin/activate"))
		if err != nil {
			return pl, err
		}
		if fresh = fi == nil; fresh {
			pl.Steps = append(pl.Steps, p.environment())
		}
	}
	if len(p.Name) == 0 && p.Requirements == "" {
		return pl, nil
	}
	pip, err := p.program(ctx, v, fresh)
	if err != nil {
		return pl, err
	}
	effect := modules.Maybe
	if !fresh && p.Requirements == "" && p.State != "latest" && !p.Editable && p.State != "forcereinstall" {
		same, known, err := p.satisfied(ctx, v, pip)
		if err != nil || same {
			return pl, err
		}
		if known {
			effect = modules.Change
		}
	}
	if fresh || p.State == "forcereinstall" {
		effect = modules.Change
	}
	what := strings.Join(p.Name, ", ") + p.Requirements
	verb := "install "
	if p.State == "absent" {
		verb = "remove "
	}
	pl.Steps = append(pl.Steps, step{Title: verb + what + " with pip", Effect: effect, Always: p.State == "forcereinstall", Do: func(ctx context.Context, t modules.Target) (bool, error) {
		return p.run(ctx, t, pip, out)
	}})
	return pl, nil
}

// program finds pip: that of the environment, the one asked for, or pip3.
func (p *Pip) program(ctx context.Context, v modules.View, fresh bool) ([]string, error) {
	if p.Virtualenv != "" {
		return []string{path.Join(p.Virtualenv, "bin/pip")}, nil
	}
	if p.Executable != "" {
		return []string{p.Executable}, nil
	}
	for _, name := range []string{"pip3", "pip"} {
		at, err := v.LookPath(ctx, name)
		if err != nil {
			return nil, err
		}
		if at != "" {
			return []string{at}, nil
		}
	}
	return nil, modules.Failf("Unable to find any of pip3 to use.  pip needs to be installed.")
}

func (p *Pip) environment() step {
	words, err := splitArgs(p.VirtualenvCommand)
	if err != nil || len(words) == 0 {
		words = []string{p.VirtualenvCommand}
	}
	if p.VirtualenvSitePackages {
		words = append(words, "--system-site-packages")
	}
	if p.VirtualenvPython != "" {
		words = append(words, "-p"+p.VirtualenvPython)
	}
	return command("make the virtual environment "+p.Virtualenv, append(words, p.Virtualenv)...)
}

var (
	pipName   = lazy(`^([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[[^\]]*\])?\s*(?:==\s*([^,;\s]+))?$`)
	pipDashes = lazy(`[-_.]+`)
)

// normal is the form names of packages are compared in.
func normal(name string) string { return strings.ToLower(pipDashes().ReplaceAllString(name, "-")) }

// satisfied compares the packages with those installed; known is unset where only pip can
// tell (addresses, ranges of versions).
func (p *Pip) satisfied(ctx context.Context, v modules.View, pip []string) (same, known bool, err error) {
	o, err := v.Query(ctx, append(pip, "list", "--format=freeze", "--disable-pip-version-check")...)
	if errors.Is(err, fs.ErrNotExist) {
		return false, false, modules.Failf("%s is not there", pip[0])
	}
	if err != nil {
		return false, false, err
	}
	have := map[string]string{}
	for line := range strings.Lines(o.Stdout) {
		if name, version, ok := strings.Cut(strings.TrimSpace(line), "=="); ok {
			have[normal(name)] = version
		}
	}
	for _, spec := range p.Name {
		m := pipName().FindStringSubmatch(strings.TrimSpace(spec))
		if m == nil {
			return false, false, nil
		}
		want := m[2]
		if want == "" {
			want = strings.TrimPrefix(p.Version, "==")
		}
		version, is := have[normal(m[1])]
		if p.State == "absent" && is || p.State != "absent" && (!is || want != "" && version != want) {
			return false, true, nil
		}
	}
	return true, true, nil
}

func (p *Pip) run(ctx context.Context, t modules.Target, pip []string, out *PipOut) (bool, error) {
	argv := append([]string{}, pip...)
	switch p.State {
	case "absent":
		argv = append(argv, "uninstall", "-y")
	case "latest":
		argv = append(argv, "install", "-U")
	case "forcereinstall":
		argv = append(argv, "install", "-U", "--force-reinstall", "--no-deps")
	default:
		argv = append(argv, "install")
	}
	if p.BreakSystemPackages {
		argv = append(argv, "--break-system-packages")
	}
	more, err := splitArgs(p.ExtraArgs)
	if err != nil {
		return false, modules.Failf("extra_args: %s", err)
	}
	argv = append(argv, more...)
	if p.Requirements != "" {
		argv = append(argv, "-r", p.Requirements)
	}
	for _, name := range p.Name {
		if p.Version != "" && p.State != "absent" {
			name += "==" + strings.TrimPrefix(p.Version, "==")
		}
		if p.Editable {
			argv = append(argv, "-e")
		}
		argv = append(argv, name)
	}
	cmd := modules.Command{Argv: argv, Dir: p.Chdir, Stream: true}
	if p.Umask != "" {
		n, err := strconv.ParseUint(p.Umask, 8, 32)
		if err != nil {
			return false, modules.Failf("umask must be an octal integer")
		}
		mask := int(n)
		cmd.Umask = &mask
	}
	o, err := t.Run(ctx, cmd)
	if err != nil {
		return false, startFailure(argv, err)
	}
	out.Stdout, out.Stderr = o.Stdout, o.Stderr
	if o.RC != 0 && (p.State != "absent" || !strings.Contains(o.Stderr+o.Stdout, "not installed")) {
		return false, cmdFailure(argv, o, "")
	}
	return strings.Contains(o.Stdout, "Successfully installed") || strings.Contains(o.Stdout, "Successfully uninstalled"), nil
}
