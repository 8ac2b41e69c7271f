package container

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"

	"github.com/distribution/reference"
	"github.com/docker/docker/api/types/registry"

	"orch/modules"
)

// hub is what Docker's own registry is called in configuration files.
const hub = "https://index.docker.io/v1/"

// Login logs in to a registry for the rest of the run, or out of it. Passwords are kept
// in memory: nothing is written on the host or the controller.
type Login struct {
	Engine
	// Whether to be logged in.
	State string `orch:"enum=present|absent,default=present"`
	// The registry.
	RegistryURL string `orch:"alias=registry|url,default=https://index.docker.io/v1/"`
	// User name.
	Username string
	// Password.
	Password string `orch:"secret"`
	// Log in even if the same login was made before.
	Reauthorize bool `orch:"alias=reauth"`
	// Accepted and void: no file is written.
	ConfigPath string `orch:"alias=dockercfg_path"`
}

// Validate implements modules.Validator.
func (l *Login) Validate() error {
	if l.State == "present" && (l.Username == "" || l.Password == "") {
		return modules.Failf("state is present but all of the following are missing: username, password")
	}
	return l.validate()
}

// LoginOut is what the task registers.
type LoginOut struct {
	LoginResult map[string]string `json:"login_result"`
}

// Plan implements Module.
func (l *Login) Plan(_ context.Context, v *View) (modules.Plan[*Target], error) {
	out := &LoginOut{LoginResult: map[string]string{"serveraddress": l.RegistryURL, "username": l.Username}}
	plan := modules.Plan[*Target]{Out: out}
	server := serverName(l.RegistryURL)
	have, ok := v.auth.get(server)
	if l.State == "absent" {
		if ok {
			plan.Steps = append(plan.Steps, modules.Step[*Target]{
				Title: "log out of " + server,
				Do:    func(_ context.Context, t *Target) (bool, error) { t.auth.remove(server); return true, nil },
			})
		}
		return plan, nil
	}
	if ok && have.Username == l.Username && have.Password == l.Password && !l.Reauthorize {
		return plan, nil
	}
	plan.Steps = append(plan.Steps, modules.Step[*Target]{
		Title: "log in to " + server + " as " + l.Username,
		Do: func(ctx context.Context, t *Target) (bool, error) {
			auth := registry.AuthConfig{Username: l.Username, Password: l.Password, ServerAddress: l.RegistryURL}
			answer, err := t.cli.RegistryLogin(ctx, auth)
			if err != nil {
				return false, explain(err)
			}
			auth.IdentityToken = answer.IdentityToken
			t.auth.set(server, auth)
			out.LoginResult["Status"] = answer.Status
			return true, nil
		},
	})
	return plan, nil
}

// serverName is how a registry is called among the logins.
func serverName(url string) string {
	if url == hub || url == "" || url == "docker.io" {
		return hub
	}
	url = strings.TrimPrefix(strings.TrimPrefix(url, "https://"), "http://")
	name, _, _ := strings.Cut(url, "/")
	return name
}

// authFor encodes the login for an image's registry, "" if there is none.
func (v *View) authFor(ref string) string {
	named, err := reference.ParseNormalizedNamed(ref)
	if err != nil {
		return ""
	}
	auth, ok := v.auth.get(serverName(reference.Domain(named)))
	if !ok {
		// Old engines refuse a push without the header, even where none is needed.
		auth = registry.AuthConfig{}
	}
	text, err := registry.EncodeAuthConfig(auth)
	if err != nil {
		return ""
	}
	return text
}

// readConfig reads a login of the controller's ~/.docker/config.json.
func readConfig(env func(string) string, server string) (registry.AuthConfig, bool) {
	dir := env("DOCKER_CONFIG")
	if dir == "" {
		dir = filepath.Join(env("HOME"), ".docker")
	}
	text, err := os.ReadFile(filepath.Join(dir, "config.json"))
	if err != nil {
		return registry.AuthConfig{}, false
	}
	var config struct {
		Auths map[string]struct {
			Auth          string `json:"auth"`
			IdentityToken string `json:"identitytoken"`
		} `json:"auths"`
	}
	if json.Unmarshal(text, &config) != nil {
		return registry.AuthConfig{}, false
	}
	for name, a := range config.Auths {
		if serverName(name) != server {
			continue
		}
		plain, err := base64.StdEncoding.DecodeString(a.Auth)
		if err != nil {
			continue
		}
		user, password, _ := strings.Cut(string(plain), ":")
		return registry.AuthConfig{Username: user, Password: password, IdentityToken: a.IdentityToken, ServerAddress: name}, true
	}
	return registry.AuthConfig{}, false
}
