package kube

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"orch/modules"
)

// Auth is how a cluster is reached: the options every module of this world has, each
// also read from K8S_AUTH_NAME in the environment.
type Auth struct {
	// URL of the API server.
	Host string
	// Bearer token.
	APIKey string `orch:"secret"`
	// Kubeconfig file, or the configuration itself as a mapping.
	Kubeconfig modules.Raw
	// Context of the kubeconfig to use.
	Context string
	// User name for basic authentication.
	Username string
	// Password for basic authentication.
	Password string `orch:"secret"`
	// Client certificate file.
	ClientCert string `orch:"alias=cert_file"`
	// Client key file.
	ClientKey string `orch:"alias=key_file"`
	// File with the authority that signed the API server's certificate.
	CACert string `orch:"name=ca_cert,alias=ssl_ca_cert"`
	// Whether the API server's certificate is checked.
	ValidateCerts *bool `orch:"alias=verify_ssl"`
	// HTTP proxy on the way to the API server.
	Proxy string
	// Hosts reached without the proxy, with commas between them.
	NoProxy string
	// Headers for the proxy.
	ProxyHeaders ProxyHeaders
	// Does nothing, and says so once: tokens are not written back.
	PersistConfig *bool
	// User to act as.
	ImpersonateUser string
	// Groups to act as.
	ImpersonateGroups []string
}

// ProxyHeaders are what the proxy is told, and nobody behind it; each is also read from
// K8S_AUTH_PROXY_HEADERS_NAME.
type ProxyHeaders struct {
	// User and password for the API server, as user:password, in a header Authorization.
	BasicAuth string `orch:"secret"`
	// User and password for the proxy, as user:password.
	ProxyBasicAuth string `orch:"secret"`
	// What the client calls itself.
	UserAgent string
}

// header is how kubernetes.core sends them: urllib3's make_headers.
func (p ProxyHeaders) header() http.Header {
	h := http.Header{}
	for name, pair := range map[string]string{"Authorization": p.BasicAuth, "Proxy-Authorization": p.ProxyBasicAuth} {
		if pair != "" {
			h.Set(name, "Basic "+base64.StdEncoding.EncodeToString([]byte(pair)))
		}
	}
	if p.UserAgent != "" {
		h.Set("User-Agent", p.UserAgent)
	}
	return h
}

// A Lookup reads a variable of the environment.
type Lookup func(name string) (string, bool)

// fill takes from the environment what no option says.
func (a Auth) fill(env Lookup) Auth {
	text := func(dst *string, name string) {
		if v, ok := env("K8S_AUTH_" + name); ok && *dst == "" {
			*dst = v
		}
	}
	text(&a.Host, "HOST")
	text(&a.APIKey, "API_KEY")
	text(&a.Context, "CONTEXT")
	text(&a.Username, "USERNAME")
	text(&a.Password, "PASSWORD")
	text(&a.ClientCert, "CERT_FILE")
	text(&a.ClientKey, "KEY_FILE")
	text(&a.CACert, "SSL_CA_CERT")
	text(&a.Proxy, "PROXY")
	text(&a.NoProxy, "NO_PROXY")
	text(&a.ProxyHeaders.BasicAuth, "PROXY_HEADERS_BASIC_AUTH")
	text(&a.ProxyHeaders.ProxyBasicAuth, "PROXY_HEADERS_PROXY_BASIC_AUTH")
	text(&a.ProxyHeaders.UserAgent, "PROXY_HEADERS_USER_AGENT")
	text(&a.ImpersonateUser, "IMPERSONATE_USER")
	if v, ok := env("K8S_AUTH_KUBECONFIG"); ok && len(a.Kubeconfig) == 0 {
		a.Kubeconfig, _ = json.Marshal(v)
	}
	if v, ok := env("K8S_AUTH_VERIFY_SSL"); ok && a.ValidateCerts == nil {
		b, err := strconv.ParseBool(v)
		if err != nil {
			b = v == "yes" || v == "on"
		}
		a.ValidateCerts = &b
	}
	if v, ok := env("K8S_AUTH_IMPERSONATE_GROUPS"); ok && len(a.ImpersonateGroups) == 0 {
		a.ImpersonateGroups = strings.Split(v, ",")
	}
	return a
}

// direct reports whether the options name a server and a way in: no file is read then.
func (a Auth) direct() bool {
	return a.Host != "" && (a.APIKey != "" || a.Username != "" && a.Password != "" || a.ClientCert != "" && a.ClientKey != "")
}

// Config makes the client configuration: enough options of their own, else a
// kubeconfig, else the service account of a pod, else ~/.kube/config.
func (a Auth) Config(env Lookup) (*rest.Config, error) {
	a = a.fill(env)
	var config *rest.Config
	var err error
	switch {
	case a.direct():
		config = &rest.Config{Host: a.Host}
	case len(a.Kubeconfig) == 0 && a.Context == "" && inCluster(env):
		config, err = rest.InClusterConfig()
	default:
		config, err = a.fromFile(env)
	}
	if err != nil {
		return nil, err
	}
	if err := a.apply(config); err != nil {
		return nil, err
	}
	config.UserAgent = "orch"
	// The server's own priority and fairness does better than a client that holds itself
	// to 5 requests a second.
	config.QPS, config.RateLimiter = -1, nil
	return config, nil
}

func inCluster(env Lookup) bool {
	_, host := env("KUBERNETES_SERVICE_HOST")
	_, port := env("KUBERNETES_SERVICE_PORT")
	return host && port
}

func (a Auth) fromFile(env Lookup) (*rest.Config, error) {
	file, paths, err := a.file(env)
	if err != nil {
		return nil, err
	}
	config, err := file.ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("use kubeconfig %s: %w", paths, err)
	}
	return config, nil
}

// namespace is the one of the kubeconfig's context, "" where no file is used.
func (a Auth) namespace(env Lookup) string {
	a = a.fill(env)
	if a.direct() || len(a.Kubeconfig) == 0 && a.Context == "" && inCluster(env) {
		return ""
	}
	file, _, err := a.file(env)
	if err != nil {
		return "" // Config has said it
	}
	name, _, err := file.Namespace()
	if err != nil {
		return ""
	}
	return name
}

// file reads the kubeconfig, and says where from.
func (a Auth) file(env Lookup) (clientcmd.ClientConfig, string, error) {
	overrides := &clientcmd.ConfigOverrides{CurrentContext: a.Context}
	if len(a.Kubeconfig) > 0 && a.Kubeconfig[0] == '{' {
		raw, err := clientcmd.Load(a.Kubeconfig)
		if err != nil {
			return nil, "", fmt.Errorf("read kubeconfig option: %w", err)
		}
		return clientcmd.NewDefaultClientConfig(*raw, overrides), "option", nil
	}
	paths, err := a.paths(env)
	if err != nil {
		return nil, "", err
	}
	rules := &clientcmd.ClientConfigLoadingRules{Precedence: paths}
	if len(paths) == 1 {
		rules = &clientcmd.ClientConfigLoadingRules{ExplicitPath: paths[0]}
	}
	merged, err := rules.Load()
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("%w\nhint: kubeconfig, the host's ansible_kubeconfig, K8S_AUTH_KUBECONFIG or KUBECONFIG says where it is", err)
		}
		return nil, "", fmt.Errorf("read kubeconfig: %w", err)
	}
	if a.Context != "" {
		if _, ok := merged.Contexts[a.Context]; !ok {
			var names []string
			for name := range merged.Contexts {
				names = append(names, name)
			}
			return nil, "", fmt.Errorf("kubeconfig %s has no context %q, it has %s",
				strings.Join(paths, ":"), a.Context, orElse(sorted(names), "none"))
		}
	}
	return clientcmd.NewDefaultClientConfig(*merged, overrides), strings.Join(paths, ":"), nil
}

// paths lists the kubeconfig files: the option's, $KUBECONFIG's, ~/.kube/config.
func (a Auth) paths(env Lookup) ([]string, error) {
	if len(a.Kubeconfig) > 0 {
		var path string
		if err := json.Unmarshal(a.Kubeconfig, &path); err != nil {
			return nil, fmt.Errorf("kubeconfig wants a path or a mapping, not %s", a.Kubeconfig)
		}
		return []string{expand(path, env)}, nil
	}
	if v, ok := env("KUBECONFIG"); ok && v != "" {
		return filepath.SplitList(v), nil
	}
	home, _ := env("HOME")
	return []string{filepath.Join(home, ".kube", "config")}, nil
}

func expand(path string, env Lookup) string {
	if rest, ok := strings.CutPrefix(path, "~/"); ok {
		home, _ := env("HOME")
		return filepath.Join(home, rest)
	}
	return path
}

// apply puts options over what a kubeconfig says.
func (a Auth) apply(c *rest.Config) error {
	if a.Host != "" {
		c.Host = a.Host
	}
	if a.APIKey != "" {
		c.BearerToken, c.BearerTokenFile = a.APIKey, ""
	}
	if a.Username != "" {
		c.Username, c.Password = a.Username, a.Password
	}
	for _, f := range []struct {
		path string
		data *[]byte
		file *string
	}{
		{a.ClientCert, &c.CertData, &c.CertFile},
		{a.ClientKey, &c.KeyData, &c.KeyFile},
		{a.CACert, &c.CAData, &c.CAFile},
	} {
		if f.path != "" {
			*f.data, *f.file = nil, f.path
		}
	}
	if a.ValidateCerts != nil && !*a.ValidateCerts {
		c.Insecure, c.CAData, c.CAFile = true, nil, ""
	}
	if a.Proxy != "" {
		u, err := url.Parse(a.Proxy)
		if err != nil || u.Host == "" {
			return fmt.Errorf("proxy %q is no URL", a.Proxy)
		}
		skip := strings.Split(a.NoProxy, ",")
		c.Proxy = func(r *http.Request) (*url.URL, error) {
			for _, host := range skip {
				if host = strings.TrimSpace(host); host != "" && strings.HasSuffix(r.URL.Hostname(), host) {
					return nil, nil
				}
			}
			return u, nil
		}
		// The innermost wrapper is given the transport itself.
		headers := a.ProxyHeaders.header()
		c.Wrap(func(next http.RoundTripper) http.RoundTripper {
			if t, ok := next.(*http.Transport); ok && len(headers) > 0 {
				t.ProxyConnectHeader = headers
			}
			return next
		})
	}
	if a.ImpersonateUser != "" {
		c.Impersonate.UserName = a.ImpersonateUser
	}
	if len(a.ImpersonateGroups) > 0 {
		c.Impersonate.Groups = a.ImpersonateGroups
	}
	return nil
}

// Key identifies the cluster and the user: two tasks with the same key share a client.
func (a Auth) Key(env Lookup) string {
	b, _ := json.Marshal(a.fill(env)) // a struct of strings always encodes
	files, _ := a.paths(env)
	stamp := ""
	for _, path := range files {
		if info, err := os.Stat(path); err == nil {
			stamp += info.ModTime().String()
		}
	}
	return base64.StdEncoding.EncodeToString(b) + strings.Join(files, ":") + stamp
}
