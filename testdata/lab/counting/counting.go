// Package counting puts a proxy before the API server of the lab's cluster, or before a
// container engine's socket, that counts what is asked: reads, dry runs and writes. Tests
// use it to show that a check writes nothing, the benchmarks to count every tool's
// requests alike.
package counting

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// A Proxy hands requests on and counts them. It is safe for concurrent use.
type Proxy struct {
	next *httputil.ReverseProxy

	mu     sync.Mutex
	counts Counts
}

// Counts are the requests of a while.
type Counts struct {
	Reads, DryRuns int
	// Writes are the requests that may change something: "PATCH /api/v1/…".
	Writes []string
}

// String is "12 reads, 3 dry runs, 0 writes".
func (c Counts) String() string {
	return fmt.Sprintf("%d reads, %d dry runs, %d writes", c.Reads, c.DryRuns, len(c.Writes))
}

// Cluster is a proxy before the API server of the cluster whose state folder is given,
// as its administrator.
func Cluster(folder string) (*Proxy, error) {
	pki := filepath.Join(folder, "pki")
	cert, err := tls.LoadX509KeyPair(filepath.Join(pki, "admin.crt"), filepath.Join(pki, "admin.key"))
	if err != nil {
		return nil, fmt.Errorf("read the administrator's certificate: %w", err)
	}
	ca, err := os.ReadFile(filepath.Join(pki, "ca.crt"))
	if err != nil {
		return nil, fmt.Errorf("read the cluster's authority: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		return nil, errors.New("the cluster's authority is no certificate")
	}
	return proxy(&url.URL{Scheme: "https", Host: "127.0.0.1:6443"}, &http.Transport{
		TLSClientConfig: &tls.Config{Certificates: []tls.Certificate{cert}, RootCAs: roots}, MaxIdleConnsPerHost: 64, ForceAttemptHTTP2: true,
	}), nil
}

// Socket is a proxy before the container engine behind a Unix socket.
func Socket(path string) *Proxy {
	return proxy(&url.URL{Scheme: "http", Host: "engine"}, &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", path)
		},
	})
}

func proxy(to *url.URL, transport *http.Transport) *Proxy {
	p := &Proxy{next: httputil.NewSingleHostReverseProxy(to)}
	p.next.Transport = transport
	p.next.FlushInterval = -1 // watches and builds are streams
	return p
}

// ServeHTTP implements http.Handler.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	switch {
	case r.Method == http.MethodGet || r.Method == http.MethodHead || r.Method == http.MethodOptions:
		p.counts.Reads++
	case strings.Contains(r.URL.RawQuery, "dryRun=All"):
		p.counts.DryRuns++
	default:
		p.counts.Writes = append(p.counts.Writes, r.Method+" "+r.URL.Path)
	}
	p.mu.Unlock()
	p.next.ServeHTTP(w, r)
}

// Take returns what was counted since the last call.
func (p *Proxy) Take() Counts {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.counts
	p.counts = Counts{}
	return c
}
