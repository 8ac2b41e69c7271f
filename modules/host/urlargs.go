package host

import (
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"path"
	"strings"

	"orch/modules"
)

// URLArgs are the arguments of the modules that make HTTP requests from the host.
type URLArgs struct {
	// The URL: http, https or file.
	URL string `orch:"name=url,required"`
	// User for basic authentication.
	URLUsername string `orch:"name=url_username,alias=user|username"`
	// Password for basic authentication.
	URLPassword string `orch:"name=url_password,alias=password,secret"`
	// Send user and password at once, without being asked.
	ForceBasicAuth bool
	// Headers of the request.
	Headers map[string]string
	// Headers that are not sent on after a redirect.
	UnredirectedHeaders []string
	// Check the server's certificate.
	ValidateCerts bool `orch:"default=true"`
	// Certificate of the client, a PEM file on the host.
	ClientCert string `orch:"path"`
	// Its key, if that is in a file of its own.
	ClientKey string `orch:"path"`
	// Certificates of authorities, a PEM file on the host.
	CaPath string `orch:"path"`
	// Take proxies from the environment.
	UseProxy bool `orch:"default=true"`
	// Name of the client.
	HttpAgent string `orch:"default=ansible-httpget"`
	// Undo gzip.
	Decompress bool `orch:"default=true"`
	// Look for user and password in the user's .netrc.
	UseNetrc bool `orch:"default=true"`
	// Ask for the whole answer although it may not have changed.
	Force bool `orch:"alias=thirsty"`
	// Kerberos. Not supported.
	UseGssapi bool
	// Ciphers of TLS. Not supported.
	Ciphers []string
}

func (a *URLArgs) validate() error {
	switch {
	case a.UseGssapi:
		return errors.New("use_gssapi is not supported")
	case a.Ciphers != nil:
		return errors.New("ciphers is not supported")
	}
	u, err := url.Parse(a.URL)
	if err != nil {
		return err
	}
	switch u.Scheme {
	case "http", "https", "file":
		return nil
	}
	return errors.New("url " + a.URL + " has a scheme that is not supported: use http, https or file")
}

// fetcher makes the requests; agent and headers may be changed before use.
func (a *URLArgs) fetcher(ctx context.Context, v modules.View) (*fetcher, error) {
	f := &fetcher{
		URL: a.URL, Headers: map[string]string{}, User: a.URLUsername, Pass: a.URLPassword, ForceBasic: a.ForceBasicAuth, ValidateCerts: a.ValidateCerts,
		ClientCert: a.ClientCert, ClientKey: a.ClientKey, CAPath: a.CaPath, UseProxy: a.UseProxy, Agent: a.HttpAgent,
		Unredirected: a.UnredirectedHeaders, NoGzip: !a.Decompress,
	}
	if err := expand(ctx, v, &f.ClientCert, &f.ClientKey, &f.CAPath); err != nil {
		return nil, err
	}
	for k, val := range a.Headers {
		f.Headers[k] = val
	}
	if a.Force {
		f.Headers["Cache-Control"] = "no-cache"
	}
	if a.UseNetrc && f.User == "" && !strings.HasPrefix(a.URL, "file:") {
		return f, f.netrc(ctx, v)
	}
	return f, nil
}

// netrc takes user and password for the URL's host from the user's .netrc.
func (f *fetcher) netrc(ctx context.Context, v modules.View) error {
	me, err := v.Whoami(ctx)
	if err != nil {
		return err
	}
	data, err := v.ReadFile(ctx, path.Join(me.Home, ".netrc"))
	u, bad := url.Parse(f.URL)
	if err != nil || bad != nil {
		return nil // no such file is no mistake
	}
	words := strings.Fields(string(data))
	ours := false
	for i := 0; i < len(words); i++ {
		next := ""
		if i+1 < len(words) {
			next = words[i+1]
		}
		switch words[i] {
		case "machine":
			if f.User != "" {
				return nil
			}
			ours = next == u.Hostname()
		case "default":
			ours = f.User == ""
		case "login":
			if ours {
				f.User = next
			}
		case "password":
			if ours {
				f.Pass = next
			}
		}
	}
	return nil
}

// body is the answer's body, with gzip undone if that is asked for.
func (f *fetcher) body(resp *http.Response) (io.ReadCloser, error) {
	if f.NoGzip || !strings.EqualFold(resp.Header.Get("Content-Encoding"), "gzip") {
		return resp.Body, nil
	}
	z, err := gzip.NewReader(resp.Body)
	if err != nil {
		return nil, modules.Failf("%s: %s", f.URL, err)
	}
	return teeCloser{z, resp.Body}, nil
}
