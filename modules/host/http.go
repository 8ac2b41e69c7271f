package host

import (
	"context"
	"crypto/sha1"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"orch/modules"
)

// A fetcher makes HTTP requests from the host: the connections are the View's.
type fetcher struct {
	URL           string
	Method        string
	Headers       map[string]string
	Body          string
	User, Pass    string
	ForceBasic    bool
	ValidateCerts bool
	ClientCert    string // files on the host
	ClientKey     string
	CAPath        string
	UnixSocket    string
	UseProxy      bool
	Agent         string
	Timeout       int // seconds
	// Follow says whether a redirect is followed; nil follows all.
	Follow func(code int, method string) bool
	// Unredirected are headers that are not sent on after a redirect.
	Unredirected []string
	NoGzip       bool
}

// client builds the HTTP client.
func (f *fetcher) client(ctx context.Context, v modules.View) (*http.Client, error) {
	conf := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: !f.ValidateCerts} //nolint:gosec // as the task says
	if f.ClientCert != "" {
		cert, err := readFile(ctx, v, f.ClientCert)
		if err != nil {
			return nil, err
		}
		key := cert
		if f.ClientKey != "" {
			if key, err = readFile(ctx, v, f.ClientKey); err != nil {
				return nil, err
			}
		}
		pair, err := tls.X509KeyPair(cert, key)
		if err != nil {
			return nil, modules.Failf("client certificate %s: %s", f.ClientCert, err)
		}
		conf.Certificates = []tls.Certificate{pair}
	}
	if err := f.roots(ctx, v, conf); err != nil {
		return nil, err
	}
	dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
		if f.UnixSocket != "" {
			network, addr = "unix", f.UnixSocket
		}
		return v.Dial(ctx, network, addr)
	}
	tr := &http.Transport{DialContext: dial, TLSClientConfig: conf, DisableCompression: true, ForceAttemptHTTP2: false}
	if f.UseProxy {
		env, err := v.Env(ctx)
		if err != nil {
			return nil, err
		}
		tr.Proxy = func(r *http.Request) (*url.URL, error) { return proxyFor(env, r.URL) }
	}
	c := &http.Client{Transport: tr, Timeout: time.Duration(f.Timeout) * time.Second}
	c.CheckRedirect = func(req *http.Request, via []*http.Request) error {
		if len(via) >= 10 {
			return errors.New("stopped after 10 redirects")
		}
		if f.Follow != nil && !f.Follow(req.Response.StatusCode, via[0].Method) {
			return http.ErrUseLastResponse
		}
		for _, name := range f.Unredirected {
			req.Header.Del(name)
		}
		return nil
	}
	return c, nil
}

// roots takes the host's own certificate authorities, not those of where this runs.
func (f *fetcher) roots(ctx context.Context, v modules.View, conf *tls.Config) error {
	if !f.ValidateCerts || !strings.HasPrefix(f.URL, "https:") {
		return nil
	}
	pool := x509.NewCertPool()
	found := false
	files := []string{"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem"}
	if f.CAPath != "" {
		files = []string{f.CAPath}
	}
	for _, p := range files {
		pem, err := readFile(ctx, v, p)
		if err != nil {
			return err
		}
		if pool.AppendCertsFromPEM(pem) {
			found = true
			break
		}
	}
	if f.CAPath != "" && !found {
		return modules.Failf("no certificates in %s", f.CAPath)
	}
	if found {
		conf.RootCAs = pool
	}
	return nil
}

// proxyFor reads the usual variables of the host's environment.
func proxyFor(env map[string]string, u *url.URL) (*url.URL, error) {
	get := func(name string) string {
		if v := env[strings.ToLower(name)]; v != "" {
			return v
		}
		return env[strings.ToUpper(name)]
	}
	for skip := range strings.SplitSeq(get("no_proxy"), ",") {
		skip = strings.TrimPrefix(strings.TrimSpace(skip), ".")
		if skip == "*" || skip != "" && (u.Hostname() == skip || strings.HasSuffix(u.Hostname(), "."+skip)) {
			return nil, nil
		}
	}
	proxy := get(u.Scheme + "_proxy")
	if proxy == "" {
		return nil, nil
	}
	if !strings.Contains(proxy, "://") {
		proxy = "http://" + proxy
	}
	return url.Parse(proxy)
}

// do makes the request. The caller closes the body.
func (f *fetcher) do(ctx context.Context, v modules.View) (*http.Response, error) {
	if p, ok := strings.CutPrefix(f.URL, "file://"); ok {
		return f.file(ctx, v, p)
	}
	c, err := f.client(ctx, v)
	if err != nil {
		return nil, err
	}
	method := f.Method
	if method == "" {
		method = http.MethodGet
	}
	var body io.Reader
	if f.Body != "" {
		body = strings.NewReader(f.Body)
	}
	req, err := http.NewRequestWithContext(ctx, method, f.URL, body)
	if err != nil {
		return nil, modules.Failf("%s", err)
	}
	if u := req.URL.User; u != nil && f.User == "" {
		f.User = u.Username()
		f.Pass, _ = u.Password()
		f.ForceBasic = true
		req.URL.User = nil
	}
	req.Header.Set("User-Agent", f.Agent)
	if f.Agent == "" {
		req.Header.Set("User-Agent", "ansible-httpget")
	}
	for k, val := range f.Headers {
		req.Header.Set(k, val)
		if strings.EqualFold(k, "host") {
			req.Host = val
		}
	}
	if f.User != "" && f.ForceBasic {
		req.SetBasicAuth(f.User, f.Pass)
	}
	resp, err := c.Do(req)
	if err == nil && resp.StatusCode == http.StatusUnauthorized && f.User != "" && !f.ForceBasic {
		_ = resp.Body.Close() // the answer is asked for again
		f.ForceBasic = true
		return f.do(ctx, v)
	}
	return resp, err
}

// file answers for a file: URL.
func (f *fetcher) file(ctx context.Context, v modules.View, p string) (*http.Response, error) {
	if p, err := url.PathUnescape(p); err == nil {
		if r, err := v.Open(ctx, p); err == nil {
			fi, err := v.Stat(ctx, p)
			if err != nil {
				return nil, fileFailure(err)
			}
			return &http.Response{StatusCode: http.StatusOK, Status: "200 OK", Body: r, ContentLength: fi.Size, Header: http.Header{
				"Last-Modified": {fi.Mtime.UTC().Format(http.TimeFormat)}, "Content-Length": {fmt.Sprint(fi.Size)},
			}}, nil
		}
	}
	return nil, fmt.Errorf("<urlopen error [Errno 2] No such file or directory: '%s'>", p)
}

// save writes the answer to a file of the host by w and gives its sha1.
func (f *fetcher) save(ctx context.Context, t modules.Target, at string, w *rewrite) (string, error) {
	resp, err := f.do(ctx, t)
	if err != nil {
		return "", requestFailure(err)
	}
	defer func() { _ = resp.Body.Close() }() // only read
	if resp.StatusCode/100 != 2 {
		return "", modules.Failf("Request failed: HTTP Error %s for %s", resp.Status, f.URL)
	}
	sum := sha1.New()
	w.open = func(context.Context, modules.Target) (io.ReadCloser, error) {
		return teeCloser{io.TeeReader(resp.Body, sum), resp.Body}, nil
	}
	_, err = w.do(ctx, t)
	return hex.EncodeToString(sum.Sum(nil)), err
}

// requestFailure makes a failed request the task's failure.
func requestFailure(err error) error {
	var f *modules.Failure
	if errors.As(err, &f) || errors.Is(err, context.Canceled) {
		return err
	}
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
		var cert *tls.CertificateVerificationError
		if at, bad := url.Parse(u.URL); bad == nil && errors.As(err, &cert) {
			return modules.Failf("Failed to validate the SSL certificate for %s. Make sure your managed systems have a valid CA certificate installed. "+
				"The exception msg was: certificate verify failed: %s", at.Host, cert.Err)
		}
	}
	return modules.Failf("Request failed: <urlopen error %s>", err)
}
