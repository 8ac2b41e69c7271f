package host

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"path"
	"regexp"
	"slices"
	"strings"

	"orch/modules"
)

// AptRepository adds or removes lines of APT's sources: "deb URL SUITE COMPONENT…", or a
// ppa:OWNER/NAME of Ubuntu.
type AptRepository struct {
	// The line.
	Repo string `orch:"required"`
	// Whether it is to be there.
	State string `orch:"enum=absent|present,default=present"`
	// Permissions of a new file.
	Mode modules.Mode
	// Read the lists of packages after a change.
	UpdateCache bool `orch:"default=true,alias=update-cache"`
	// How often to try that again.
	UpdateCacheRetries int `orch:"default=5"`
	// Longest pause between tries, in seconds.
	UpdateCacheRetryMaxDelay int `orch:"default=12"`
	// File of /etc/apt/sources.list.d, without .list; the default comes from the line.
	Filename string
	// Install python3-apt where it is missing. It is not needed.
	InstallPythonApt bool `orch:"default=true"`
	// Check the certificate of the server that describes a PPA.
	ValidateCerts bool `orch:"default=true"`
	// Release a PPA is taken for; the default is the host's.
	Codename string
}

// AptRepositoryOut is the result of apt_repository.
type AptRepositoryOut struct {
	Repo           string   `json:"repo"`
	State          string   `json:"state"`
	SourcesAdded   []string `json:"sources_added"`
	SourcesRemoved []string `json:"sources_removed"`
}

const sourcesDir = "/etc/apt/sources.list.d"

// Plan implements modules.Module.
func (a *AptRepository) Plan(ctx context.Context, v modules.View) (plan, error) {
	out := &AptRepositoryOut{Repo: a.Repo, State: a.State, SourcesAdded: []string{}, SourcesRemoved: []string{}}
	p := plan{Out: out}
	line, key, err := a.line(ctx, v)
	if err != nil {
		return p, err
	}
	line = sourceLine(line)
	if f := strings.Fields(line); len(f) < 3 || f[0] != "deb" && f[0] != "deb-src" {
		return p, modules.Failf("Invalid repository string: %s", a.Repo)
	}
	files, err := glob(ctx, v, sourcesDir+"/*.list")
	if err != nil {
		return p, err
	}
	found := false
	for _, file := range append([]string{"/etc/apt/sources.list"}, files...) {
		data, err := readFile(ctx, v, file)
		if err != nil {
			return p, err
		}
		lines := strings.SplitAfter(string(data), "\n")
		kept := slices.DeleteFunc(slices.Clone(lines), func(l string) bool { return sourceLine(l) == line })
		if len(kept) == len(lines) {
			continue
		}
		found = true
		if a.State == "absent" {
			p.Steps = append(p.Steps, a.drop(file, data, strings.Join(kept, ""), out))
		}
	}
	if a.State == "present" && !found {
		s, err := a.add(ctx, v, line, key, out)
		if err != nil {
			return p, err
		}
		p.Steps = append(p.Steps, s)
	}
	if len(p.Steps) > 0 && a.UpdateCache {
		apt := &Apt{UpdateCacheRetries: a.UpdateCacheRetries, UpdateCacheRetryMaxDelay: a.UpdateCacheRetryMaxDelay}
		s := apt.update(false, &AptOut{})
		s.Effect = modules.Act
		p.Steps = append(p.Steps, s)
	}
	return p, nil
}

// sourceLine is a line without its comment and with single spaces, to compare by.
func sourceLine(l string) string {
	l, _, _ = strings.Cut(l, " #")
	l = strings.TrimSpace(l)
	if strings.HasPrefix(l, "#") {
		return ""
	}
	return strings.Join(strings.Fields(l), " ")
}

func (a *AptRepository) drop(file string, before []byte, after string, out *AptRepositoryOut) step {
	return step{Title: "remove the source from " + file, Diff: fileDiff(file, before, []byte(after)), Do: func(ctx context.Context, t modules.Target) (bool, error) {
		if strings.TrimSpace(after) == "" && strings.HasPrefix(file, sourcesDir) {
			out.SourcesRemoved = append(out.SourcesRemoved, file)
			return true, fileFailure(t.Remove(ctx, file))
		}
		_, err := t.Write(ctx, file, strings.NewReader(after), modules.WriteOptions{})
		return true, fileFailure(err)
	}}
}

func (a *AptRepository) add(ctx context.Context, v modules.View, line, key string, out *AptRepositoryOut) (step, error) {
	name := strings.TrimSuffix(a.Filename, ".list")
	if name == "" {
		name = sourceName(line)
	}
	file := name + ".list"
	if !path.IsAbs(file) {
		file = path.Join(sourcesDir, file)
	}
	before, err := readFile(ctx, v, file)
	if err != nil {
		return step{}, err
	}
	after := string(before)
	if after != "" && !strings.HasSuffix(after, "\n") {
		after += "\n"
	}
	after += line + "\n"
	mode := a.Mode
	if mode == "" {
		mode = "0644"
	}
	w := &rewrite{FileArgs: FileArgs{Mode: mode}, path: file, data: []byte(after)}
	if before != nil && a.Mode == "" {
		w.Mode = ""
	}
	return step{Title: "add the source to " + file, Diff: fileDiff(file, before, w.data), Do: func(ctx context.Context, t modules.Target) (bool, error) {
		if key != "" {
			if err := a.trust(ctx, t, key); err != nil {
				return false, err
			}
		}
		if before == nil {
			out.SourcesAdded = append(out.SourcesAdded, file)
		}
		return w.do(ctx, t)
	}}, nil
}

var notFileName = lazy(`[^a-zA-Z0-9]+`)

// sourceName makes a file's name of a line, as Ansible does: its address and suite.
func sourceName(line string) string {
	line = regexp.MustCompile(`\[[^\]]+\]`).ReplaceAllString(line, "")
	line = strings.ReplaceAll(line, "http://", "")
	line = strings.ReplaceAll(line, "https://", "")
	f := strings.Fields(line)
	if len(f) > 1 {
		f = f[1:]
	}
	host, rest, _ := strings.Cut(strings.Join(f[:min(len(f), 2)], " "), "@")
	if rest != "" {
		host = rest
	}
	return strings.Trim(notFileName().ReplaceAllString(strings.TrimSuffix(host, "/"), "_"), "_")
}

// line is the source's line; of a PPA, with the fingerprint of its key.
func (a *AptRepository) line(ctx context.Context, v modules.View) (line, key string, err error) {
	ppa, ok := strings.CutPrefix(a.Repo, "ppa:")
	if !ok {
		return a.Repo, "", nil
	}
	owner, name, ok := strings.Cut(ppa, "/")
	if !ok {
		name = "ppa"
	}
	codename := a.Codename
	if codename == "" {
		s := &scan{ctx: ctx, v: v}
		rel, _ := s.osRelease()
		codename = rel["VERSION_CODENAME"]
	}
	line = "deb http://ppa.launchpad.net/" + owner + "/" + name + "/ubuntu " + codename + " main"
	if a.State == "absent" {
		return line, "", nil
	}
	f := &fetcher{URL: "https://api.launchpad.net/1.0/~" + owner + "/+archive/" + name, Headers: map[string]string{"Accept": "application/json"}, ValidateCerts: a.ValidateCerts, UseProxy: true, Timeout: 30}
	resp, err := f.do(ctx, v)
	if err != nil {
		return "", "", requestFailure(err)
	}
	defer func() { _ = resp.Body.Close() }() // only read
	var info struct {
		Key string `json:"signing_key_fingerprint"`
	}
	if resp.StatusCode != http.StatusOK || json.NewDecoder(resp.Body).Decode(&info) != nil || info.Key == "" {
		return "", "", modules.Failf("failed to fetch PPA information, error was: HTTP Error %s", resp.Status)
	}
	return line, info.Key, nil
}

// trust gets a PPA's key.
func (a *AptRepository) trust(ctx context.Context, t modules.Target, key string) error {
	k := &AptKey{ID: key, Keyserver: "hkp://keyserver.ubuntu.com:80", State: "present", Keyring: "/etc/apt/trusted.gpg.d/ppa-" + strings.ToLower(key) + ".gpg"}
	p, err := k.Plan(ctx, t)
	if err != nil {
		return err
	}
	for _, s := range p.Steps {
		if _, err := s.Do(ctx, t); err != nil {
			return err
		}
	}
	return nil
}

// AptKey adds or removes keys that APT trusts. It needs gpg on the host.
type AptKey struct {
	// Identity of the key: its last 8 or 16 digits, or the fingerprint.
	ID string `orch:"name=id"`
	// Where to get it.
	URL string `orch:"name=url"`
	// The key itself.
	Data string
	// File on the host that holds it.
	File string `orch:"path"`
	// Keyring to put it in.
	Keyring string `orch:"path"`
	// Check the certificate of the URL's server.
	ValidateCerts bool `orch:"default=true"`
	// Server to ask for the key by its id.
	Keyserver string
	// Whether the key is to be there.
	State string `orch:"enum=absent|present,default=present"`
}

// Validate implements modules.Validator.
func (a *AptKey) Validate() error {
	n := 0
	for _, s := range []string{a.Data, a.File, a.Keyserver, a.URL} {
		if s != "" {
			n++
		}
	}
	switch {
	case n > 1:
		return errors.New("parameters are mutually exclusive: data|file|keyserver|url")
	case n == 0 && a.ID == "":
		return errors.New("one of the following is required: data, file, id, keyserver, url")
	case a.Keyserver != "" && a.ID == "" || a.State == "absent" && a.ID == "":
		return errors.New("id is required with keyserver and with state=absent")
	}
	return nil
}

// AptKeyOut is the result of apt_key.
type AptKeyOut struct {
	Before []string `json:"before"`
	After  []string `json:"after" orch:"after"`
	KeyID  string   `json:"key_id,omitempty"`
}

func (a *AptKey) ring() string {
	if a.Keyring != "" {
		return a.Keyring
	}
	return "/etc/apt/trusted.gpg"
}

// Plan implements modules.Module.
func (a *AptKey) Plan(ctx context.Context, v modules.View) (plan, error) {
	a = clone(a)
	out := &AptKeyOut{}
	p := plan{Out: out}
	if err := expand(ctx, v, &a.File, &a.Keyring); err != nil {
		return p, err
	}
	a.ID = strings.ToUpper(strings.TrimPrefix(strings.ReplaceAll(a.ID, " ", ""), "0x"))
	have, err := a.keys(ctx, v)
	if err != nil {
		return p, err
	}
	out.Before, out.After, out.KeyID = have, have, a.ID
	is := slices.ContainsFunc(have, func(k string) bool { return a.ID != "" && strings.HasSuffix(k, a.ID) })
	switch {
	case a.State == "absent" && is:
		p.Steps = []step{command("remove the key "+a.ID, a.gpg("--batch", "--yes", "--delete-keys", a.ID)...)}
	case a.State == "present" && !is:
		effect := modules.Change
		if a.ID == "" {
			effect = modules.Maybe // whose key it is, the key itself tells
		}
		p.Steps = []step{{Title: "add the key " + a.ID + " to " + a.ring(), Effect: effect, Do: func(ctx context.Context, t modules.Target) (bool, error) {
			return a.add(ctx, t, have, out)
		}}}
	}
	return p, nil
}

// gpg works on the keyring in the old format: APT reads no keyboxes.
func (a *AptKey) gpg(args ...string) []string {
	return append([]string{"gpg", "--no-default-keyring", "--keyring", "gnupg-ring:" + a.ring()}, args...)
}

// keys lists the fingerprints in the keyring; all of APT's when none is named.
func (a *AptKey) keys(ctx context.Context, v modules.View) ([]string, error) {
	rings := []string{a.ring()}
	if a.Keyring == "" {
		for _, pattern := range []string{"/etc/apt/trusted.gpg.d/*.gpg", "/etc/apt/trusted.gpg.d/*.asc"} {
			more, err := glob(ctx, v, pattern)
			if err != nil {
				return nil, err
			}
			rings = append(rings, more...)
		}
	}
	ids := []string{}
	for _, ring := range rings {
		fi, err := stat(ctx, v, ring)
		if err != nil {
			return nil, err
		}
		if fi == nil {
			continue
		}
		o, err := v.Query(ctx, "gpg", "--with-colons", "--show-keys", ring)
		if err != nil {
			return nil, startFailure([]string{"gpg"}, err)
		}
		ids = append(ids, fingerprints(o.Stdout)...)
	}
	return ids, nil
}

func fingerprints(text string) []string {
	var ids []string
	for line := range strings.Lines(text) {
		if f := strings.Split(line, ":"); len(f) > 9 && f[0] == "fpr" {
			ids = append(ids, f[9])
		}
	}
	return ids
}

func (a *AptKey) add(ctx context.Context, t modules.Target, have []string, out *AptKeyOut) (bool, error) {
	if a.Keyserver != "" {
		if _, err := mustRun(ctx, t, a.gpg("--batch", "--keyserver", a.Keyserver, "--recv-keys", a.ID)...); err != nil {
			return false, err
		}
	} else {
		data, err := a.content(ctx, t)
		if err != nil {
			return false, err
		}
		o, err := must(ctx, t, modules.Command{Argv: []string{"gpg", "--with-colons", "--show-keys"}, Stdin: strings.NewReader(data)})
		if err != nil {
			return false, err
		}
		ids := fingerprints(o.Stdout)
		if a.ID != "" && !slices.ContainsFunc(ids, func(k string) bool { return strings.HasSuffix(k, a.ID) }) {
			return false, modules.Failf("key does not seem to have been added: the data holds no key %s", a.ID)
		}
		if len(ids) > 0 && !slices.ContainsFunc(ids, func(k string) bool { return !slices.Contains(have, k) }) {
			return false, nil
		}
		if _, err := must(ctx, t, modules.Command{Argv: a.gpg("--batch", "--import"), Stdin: strings.NewReader(data)}); err != nil {
			return false, err
		}
	}
	if err := t.Chmod(ctx, a.ring(), 0o644, true); err != nil {
		return true, fileFailure(err)
	}
	after, err := a.keys(ctx, t)
	out.After = after
	return true, err
}

func (a *AptKey) content(ctx context.Context, t modules.Target) (string, error) {
	switch {
	case a.Data != "":
		return a.Data, nil
	case a.File != "":
		data, err := t.ReadFile(ctx, a.File)
		return string(data), fileFailure(err)
	case a.URL == "":
		return "", modules.Failf("Missing key data: give data, file, url or keyserver")
	}
	return getText(ctx, t, a.URL, a.ValidateCerts)
}
