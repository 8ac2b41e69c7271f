package kube

import (
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
)

// tunnel is a proxy that keeps the headers of each CONNECT.
func tunnel(t *testing.T, asked chan<- http.Header) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect {
			t.Errorf("the proxy is asked to %s %s", r.Method, r.URL)
			return
		}
		asked <- r.Header.Clone()
		to, err := net.Dial("tcp", r.Host)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		w.WriteHeader(http.StatusOK)
		from, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		go func() { _, _ = io.Copy(to, from); to.Close() }()
		_, _ = io.Copy(from, to)
		from.Close()
	}))
	t.Cleanup(s.Close)
	return s
}

// The proxy's headers reach the proxy, from options and from the environment, and nobody
// behind it.
func TestProxyHeaders(t *testing.T) {
	seen := make(chan http.Header, 10)
	api := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen <- r.Header.Clone()
		_, _ = io.WriteString(w, `{"major": "1", "minor": "34"}`)
	}))
	t.Cleanup(api.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: api.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	asked := make(chan http.Header, 10)
	auth := Auth{
		Host: api.URL, APIKey: "token", CACert: ca, Proxy: tunnel(t, asked).URL,
		ProxyHeaders: ProxyHeaders{BasicAuth: "me:secret", UserAgent: "shop/1"},
	}
	env := map[string]string{"K8S_AUTH_PROXY_HEADERS_PROXY_BASIC_AUTH": "gate:keeper", "K8S_AUTH_PROXY_HEADERS_USER_AGENT": "not me"}
	config, err := auth.Config(func(name string) (string, bool) { v, ok := env[name]; return v, ok })
	if err != nil {
		t.Fatal(err)
	}
	cluster, err := Connect(config)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cluster.raw.Get().AbsPath("/version").DoRaw(t.Context()); err != nil {
		t.Fatal(err)
	}
	proxy := <-asked
	for name, want := range map[string]string{"Authorization": "Basic bWU6c2VjcmV0", "Proxy-Authorization": "Basic Z2F0ZTprZWVwZXI=", "User-Agent": "shop/1"} {
		if got := proxy.Get(name); got != want {
			t.Errorf("the proxy has %s %q, want %q", name, got, want)
		}
	}
	server := <-seen
	if got := server.Get("Authorization"); got != "Bearer token" || server.Get("Proxy-Authorization") != "" || server.Get("User-Agent") == "shop/1" {
		t.Errorf("the API server has %v", server)
	}
}
