package host

import (
	"context"
	"io"
	"net/http"
	"path"
	"strconv"
	"strings"

	"orch/modules"
)

// getText reads a small text from a URL.
func getText(ctx context.Context, v modules.View, from string, validate bool) (string, error) {
	f := &fetcher{URL: from, ValidateCerts: validate, UseProxy: true, Timeout: 30}
	resp, err := f.do(ctx, v)
	if err != nil {
		return "", requestFailure(err)
	}
	defer func() { _ = resp.Body.Close() }() // only read
	if resp.StatusCode != http.StatusOK {
		return "", modules.Failf("Failed to download key at %s: HTTP Error %s", from, resp.Status)
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, 16<<20))
	return string(data), err
}

// Deb822Repository manages a source of APT in a file of the deb822 format, with its key.
type Deb822Repository struct {
	// Name of the source, and of its file.
	Name string `orch:"required"`
	// Whether it is to be there.
	State string `orch:"enum=present|absent,default=present"`
	// Types of packages.
	Types []string `orch:"enum=deb|deb-src,default=deb"`
	// Addresses.
	Uris []string
	// Suites.
	Suites []string
	// Components.
	Components []string
	// Architectures.
	Architectures []string
	// Key: a fingerprint, a file on the host, a URL, or the key itself.
	SignedBy string
	// Whether the source is used.
	Enabled *bool
	// Permissions of the files.
	Mode modules.Mode `orch:"default=0644"`
	// Allow downgrades from signed to unsigned.
	AllowDowngradeToInsecure *bool
	// Allow sources that are not signed.
	AllowInsecure *bool
	// Allow weak signatures.
	AllowWeak *bool
	// Get indexes by their hashes.
	ByHash *bool
	// Check the date of the lists.
	CheckDate *bool
	// Check until when the lists are valid.
	CheckValidUntil *bool
	// Seconds the date of the lists may lie ahead.
	DateMaxFuture *int
	// Path of InRelease.
	InreleasePath string
	// Languages of descriptions.
	Languages []string
	// Get differences of indexes.
	Pdiffs *bool
	// Kinds of files to get.
	Targets []string
	// Trust the source without a signature.
	Trusted *bool
	// Install python3-debian where it is missing. It is not needed.
	InstallPythonDebian bool
}

// Deb822Out is the result of deb822_repository.
type Deb822Out struct {
	Repo        string `json:"repo"`
	Dest        string `json:"dest"`
	KeyFilename string `json:"key_filename,omitempty"`
}

var (
	keyFingerprint = lazy(`^[0-9A-Fa-f]{8,}!?$`)
	notSourceName  = lazy(`[^a-z0-9-]+`)
)

// Plan implements modules.Module.
func (d *Deb822Repository) Plan(ctx context.Context, v modules.View) (plan, error) {
	name := strings.Trim(notSourceName().ReplaceAllString(strings.ToLower(strings.ReplaceAll(d.Name, "_", "-")), "-"), "-")
	out := &Deb822Out{Dest: path.Join(sourcesDir, name+".sources")}
	p := plan{Out: out}
	keys, err := glob(ctx, v, "/etc/apt/keyrings/"+name+".*")
	if err != nil {
		return p, err
	}
	if d.State == "absent" {
		for _, file := range append([]string{out.Dest}, keys...) {
			s, err := planned((&File{Path: file, State: "absent"}).Plan(ctx, v))
			if err != nil {
				return p, err
			}
			p.Steps = append(p.Steps, s...)
		}
		return p, nil
	}
	signed := d.SignedBy
	if signed != "" && !keyFingerprint().MatchString(signed) && !strings.HasPrefix(signed, "/") {
		if signed, err = d.key(ctx, v, name, out, &p); err != nil {
			return p, err
		}
	}
	out.Repo = d.text(signed)
	before, err := readFile(ctx, v, out.Dest)
	if err != nil {
		return p, err
	}
	w := &rewrite{FileArgs: FileArgs{Mode: d.Mode}, path: out.Dest, data: []byte(out.Repo)}
	steps, err := w.textSteps(ctx, v, before, "write "+out.Dest)
	p.Steps = append(p.Steps, steps...)
	return p, err
}

// key plans the key's file; text in ASCII armour is .asc, the rest .gpg.
func (d *Deb822Repository) key(ctx context.Context, v modules.View, name string, out *Deb822Out, p *plan) (string, error) {
	data := d.SignedBy
	if strings.Contains(strings.SplitN(data, "\n", 2)[0], "://") {
		var err error
		if data, err = getText(ctx, v, strings.TrimSpace(data), true); err != nil {
			return "", err
		}
	}
	ext := ".gpg"
	if strings.HasPrefix(strings.TrimSpace(data), "-----BEGIN PGP") {
		ext = ".asc"
		data = strings.TrimRight(data, "\n") + "\n"
	}
	file := "/etc/apt/keyrings/" + name + ext
	out.KeyFilename = file
	before, err := readFile(ctx, v, file)
	if err != nil {
		return "", err
	}
	w := &rewrite{FileArgs: FileArgs{Mode: d.Mode}, path: file, data: []byte(data)}
	steps, err := w.textSteps(ctx, v, before, "write the key "+file)
	for i := range steps {
		do := steps[i].Do
		steps[i].Do = func(ctx context.Context, t modules.Target) (bool, error) {
			if err := makeDirs(ctx, t, path.Dir(file), &FileArgs{Mode: "0755"}); err != nil {
				return false, err
			}
			return do(ctx, t)
		}
	}
	p.Steps = append(p.Steps, steps...)
	return file, err
}

// text is the file: fields in the order of their names, as Ansible writes them.
func (d *Deb822Repository) text(signed string) string {
	var b strings.Builder
	field := func(name, val string) {
		if val != "" {
			b.WriteString(name + ": " + val + "\n")
		}
	}
	list := func(name string, vals []string) { field(name, strings.Join(vals, " ")) }
	flag := func(name string, val *bool) {
		if val != nil {
			field(name, map[bool]string{true: "yes", false: "no"}[*val])
		}
	}
	flag("Allow-Downgrade-To-Insecure", d.AllowDowngradeToInsecure)
	flag("Allow-Insecure", d.AllowInsecure)
	flag("Allow-Weak", d.AllowWeak)
	list("Architectures", d.Architectures)
	flag("By-Hash", d.ByHash)
	flag("Check-Date", d.CheckDate)
	flag("Check-Valid-Until", d.CheckValidUntil)
	list("Components", d.Components)
	if d.DateMaxFuture != nil {
		field("Date-Max-Future", strconv.Itoa(*d.DateMaxFuture))
	}
	flag("Enabled", d.Enabled)
	field("InRelease-Path", d.InreleasePath)
	list("Languages", d.Languages)
	field("X-Repolib-Name", d.Name)
	flag("PDiffs", d.Pdiffs)
	field("Signed-By", signed)
	list("Suites", d.Suites)
	list("Targets", d.Targets)
	flag("Trusted", d.Trusted)
	list("Types", d.Types)
	list("URIs", d.Uris)
	return b.String()
}
