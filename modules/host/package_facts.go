package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"orch/modules"
)

// PackageFacts lists the installed packages as the fact packages.
type PackageFacts struct {
	// Package managers to ask: auto, or apt, rpm, apk or pacman.
	Manager []string `orch:"default=auto"`
	// Take the first manager that answers, or all.
	Strategy string `orch:"enum=first|all,default=first"`
}

// A PackageFact is an installed package.
type PackageFact struct {
	Name     string  `json:"name"`
	Version  string  `json:"version"`
	Release  *string `json:"release,omitempty"`
	Epoch    *string `json:"epoch,omitempty"`
	Arch     string  `json:"arch,omitempty"`
	Category string  `json:"category,omitempty"`
	Origin   string  `json:"origin,omitempty"`
	Source   string  `json:"source"`
}

// PackageFactsOut is the result of package_facts.
type PackageFactsOut struct {
	Facts struct {
		Packages map[string][]PackageFact `json:"packages"`
	} `json:"ansible_facts"`
}

// lister asks one package manager.
type lister struct {
	name string
	argv []string
	read func(line string) (PackageFact, bool)
}

func listers() []lister {
	return []lister{
		{"apt", []string{"dpkg-query", "-W", "-f", `${db:Status-Abbrev}\t${Package}\t${Version}\t${Architecture}\t${Section}\n`}, func(line string) (PackageFact, bool) {
			f := strings.Split(line, "\t")
			// what is wanted ("h" of a held package) does not matter, what is there does
			if len(f) < 5 || len(f[0]) < 2 || f[0][1] != 'i' {
				return PackageFact{}, false
			}
			return PackageFact{Name: f[1], Version: f[2], Arch: f[3], Category: f[4], Source: "apt"}, true
		}},
		{"rpm", []string{"rpm", "-qa", "--qf", `%{NAME}\t%{VERSION}\t%{RELEASE}\t%{EPOCH}\t%{ARCH}\n`}, func(line string) (PackageFact, bool) {
			f := strings.Split(line, "\t")
			if len(f) < 5 {
				return PackageFact{}, false
			}
			p := PackageFact{Name: f[0], Version: f[1], Release: &f[2], Arch: f[4], Source: "rpm"}
			if f[3] != "(none)" {
				p.Epoch = &f[3]
			}
			return p, true
		}},
		{"apk", []string{"apk", "info", "-v"}, func(line string) (PackageFact, bool) {
			rest, release, ok := cutLast(line, "-")
			name, version, ok2 := cutLast(rest, "-")
			return PackageFact{Name: name, Version: version, Release: &release, Source: "apk"}, ok && ok2
		}},
		{"pacman", []string{"pacman", "-Q"}, func(line string) (PackageFact, bool) {
			name, version, ok := strings.Cut(line, " ")
			return PackageFact{Name: name, Version: version, Source: "pacman"}, ok
		}},
	}
}

func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

// Plan implements modules.Module.
func (p *PackageFacts) Plan(ctx context.Context, v modules.View) (plan, error) {
	out := &PackageFactsOut{}
	out.Facts.Packages = map[string][]PackageFact{}
	found := false
	var warnings []string
	for _, want := range p.Manager {
		known := want == "auto"
		for _, l := range listers() {
			if want != "auto" && want != l.name && (want != "dnf" && want != "yum" && want != "zypper" || l.name != "rpm") {
				continue
			}
			known = true
			if found && p.Strategy == "first" {
				continue
			}
			o, err := v.Query(ctx, l.argv...)
			switch {
			case errors.Is(err, fs.ErrNotExist):
				if want == l.name {
					warnings = append(warnings, fmt.Sprintf("Requested package manager %s was not usable by this module: Unable to find required '%s'", want, l.argv[0]))
				}
				continue
			case err == nil && o.RC != 0:
				warnings = append(warnings, fmt.Sprintf("Failed to retrieve packages with %s: Unable to list packages rc=%d : %s", l.name, o.RC, o.Stderr))
				continue
			}
			if err != nil {
				return plan{}, err
			}
			found = true
			for line := range strings.Lines(o.Stdout) {
				if fact, ok := l.read(strings.TrimSuffix(line, "\n")); ok {
					out.Facts.Packages[fact.Name] = append(out.Facts.Packages[fact.Name], fact)
				}
			}
		}
		if !known {
			return plan{}, modules.Failf("manager %q is not supported: use auto, apt, rpm, apk or pacman", want)
		}
	}
	if !found {
		return plan{Warnings: warnings}, modules.Failf("Could not detect a supported package manager from the following list: %s, or the required Python library is not installed. Check warnings for details.", p.Manager)
	}
	return plan{Out: out, Warnings: warnings}, nil
}
