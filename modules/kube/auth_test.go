package kube

import (
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"orch/modules"
)

const kubeconfigText = `
apiVersion: v1
kind: Config
current-context: stage
clusters: [{name: s, cluster: {server: "https://stage:1"}}, {name: l, cluster: {server: "https://live:2"}}]
users: [{name: u, user: {token: from-file, as: deputy}}]
contexts:
- {name: stage, context: {cluster: s, user: u, namespace: shop}}
- {name: live, context: {cluster: l, user: u}}
`

// Which way in wins: options of their own, then what names a file, then a pod's account,
// then the file at home.
func TestAuthPrecedence(t *testing.T) {
	home := t.TempDir()
	path := filepath.Join(home, ".kube", "config")
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(kubeconfigText), 0o600); err != nil {
		t.Fatal(err)
	}
	no := false
	for _, c := range []struct {
		name                   string
		auth                   Auth
		env                    map[string]string
		host, token, namespace string
		as, err                string
	}{
		{name: "the file at home", host: "https://stage:1", token: "from-file", namespace: "shop", as: "deputy"},
		{name: "its other context", auth: Auth{Context: "live"}, host: "https://live:2", token: "from-file", namespace: "default", as: "deputy"},
		{name: "context by environment", env: map[string]string{"K8S_AUTH_CONTEXT": "live"}, host: "https://live:2", token: "from-file", namespace: "default", as: "deputy"},
		{name: "a task beats the environment", auth: Auth{Context: "stage"}, env: map[string]string{"K8S_AUTH_CONTEXT": "live"}, host: "https://stage:1", token: "from-file", namespace: "shop", as: "deputy"},
		{name: "direct", auth: Auth{Host: "https://direct", APIKey: "k"}, host: "https://direct", token: "k"},
		{name: "direct by environment", env: map[string]string{"K8S_AUTH_HOST": "https://env", "K8S_AUTH_API_KEY": "e", "K8S_AUTH_VERIFY_SSL": "no"}, host: "https://env", token: "e"},
		{name: "another host for the file's user", auth: Auth{Host: "https://tunnel"}, host: "https://tunnel", token: "from-file", namespace: "shop", as: "deputy"},
		{name: "impersonation", auth: Auth{ImpersonateUser: "jane", ValidateCerts: &no}, host: "https://stage:1", token: "from-file", namespace: "shop", as: "jane"},
		{name: "no such context", auth: Auth{Context: "dev"}, err: `has no context "dev", it has live, stage`},
		{name: "no such file", auth: Auth{Kubeconfig: modules.Raw(`"/nowhere/config"`)}, err: "no such file or directory\nhint: kubeconfig"},
		{name: "a path that is none", auth: Auth{Kubeconfig: modules.Raw(`[1]`)}, err: "kubeconfig wants a path or a mapping"},
		{name: "a proxy that is none", auth: Auth{Proxy: "nowhere"}, err: `proxy "nowhere" is no URL`},
	} {
		t.Run(c.name, func(t *testing.T) {
			env := func(name string) (string, bool) {
				if name == "HOME" {
					return home, true
				}
				v, ok := c.env[name]
				return v, ok
			}
			config, err := c.auth.Config(env)
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Errorf("error %v, want %q", err, c.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if config.Host != c.host || config.BearerToken != c.token || config.Impersonate.UserName != c.as {
				t.Errorf("host %q, token %q, as %q", config.Host, config.BearerToken, config.Impersonate.UserName)
			}
			if got := c.auth.namespace(env); got != c.namespace {
				t.Errorf("namespace %q, want %q", got, c.namespace)
			}
		})
	}
}

func TestAuthKubeconfigAsMapping(t *testing.T) {
	raw := modules.Raw(`{"apiVersion":"v1","kind":"Config","current-context":"c","clusters":[{"name":"c","cluster":{"server":"https://inline"}}],"contexts":[{"name":"c","context":{"cluster":"c","namespace":"n"}}]}`)
	none := func(string) (string, bool) { return "", false }
	config, err := Auth{Kubeconfig: raw}.Config(none)
	if err != nil || config.Host != "https://inline" || (Auth{Kubeconfig: raw}).namespace(none) != "n" {
		t.Errorf("config %+v: %v", config, err)
	}
}

// answers is a server that gives one answer after the other.
type answers struct {
	codes []int // 0 is a connection that breaks, -1 one that is refused
	asked int
}

func (a *answers) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		if text, _ := io.ReadAll(r.Body); len(text) == 0 {
			return nil, io.ErrShortWrite
		}
	}
	code := a.codes[a.asked]
	a.asked++
	switch code {
	case 0:
		return nil, io.ErrUnexpectedEOF
	case -1:
		return nil, &net.OpError{Op: "dial", Err: io.ErrClosedPipe}
	}
	return &http.Response{StatusCode: code, Header: http.Header{"Retry-After": {"2"}}, Body: io.NopCloser(strings.NewReader(""))}, nil
}

// A write is sent again only when the server cannot have acted on it.
func TestRetrier(t *testing.T) {
	for _, c := range []struct {
		name, method string
		codes        []int
		asked, code  int
	}{
		{"a read of a server that restarts", "GET", []int{-1, 0, 503, 200}, 4, 200},
		{"a write that breaks off", "POST", []int{0, 200}, 1, 0},
		{"a write that was refused a connection", "POST", []int{-1, 201}, 2, 201},
		{"a write the server puts off", "PATCH", []int{429, 200}, 2, 200},
		{"a write the server fails at", "POST", []int{500, 200}, 1, 500},
		{"a read that finds nothing", "GET", []int{404, 200}, 1, 404},
		{"a read that is never answered", "GET", []int{503, 503, 503, 503, 503, 503, 200}, maxTries, 503},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := &answers{codes: c.codes}
			var body io.Reader
			if c.method != "GET" {
				body = strings.NewReader("body")
			}
			req, err := http.NewRequestWithContext(t.Context(), c.method, "http://api/", body)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := (&retrier{next: server, pause: func(time.Duration) {}}).RoundTrip(req)
			code := 0
			if err == nil {
				code = resp.StatusCode
				resp.Body.Close()
			}
			if server.asked != c.asked || code != c.code {
				t.Errorf("asked %d times, code %d (%v); want %d and %d", server.asked, code, err, c.asked, c.code)
			}
		})
	}
}

func TestParse(t *testing.T) {
	list, err := parse("f", []byte("apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: A, metadata: {name: a}, count: 3}\n---\n# nothing\n---\n{\"apiVersion\": \"v1\", \"kind\": \"B\"}\n"))
	if err != nil || len(list) != 2 || list[0].GetKind() != "A" || list[1].GetKind() != "B" {
		t.Fatalf("%v, %v", list, err)
	}
	if n, ok := list[0].Object["count"].(int64); !ok || n != 3 {
		t.Errorf("a whole number is %T", list[0].Object["count"])
	}
	if _, err := parse("f", []byte("a: 1\n---\nb: [\n")); err == nil || !strings.Contains(err.Error(), "f, document 2") {
		t.Errorf("error %v", err)
	}
}

func TestCovers(t *testing.T) {
	have := map[string]any{"a": map[string]any{"b": int64(1), "c": "x"}, "l": []any{"x", "y"}}
	for want, w := range map[bool][]map[string]any{
		true:  {{"a": map[string]any{"b": int64(1)}}, {"l": []any{"x", "y"}}, {"gone": nil}, {}},
		false: {{"a": map[string]any{"b": int64(2)}}, {"l": []any{"x"}}, {"a": nil}, {"new": "x"}, {"stringData": map[string]any{}}},
	} {
		for _, m := range w {
			if covers(have, m) != want {
				t.Errorf("covers(%v) is not %v", m, want)
			}
		}
	}
}
