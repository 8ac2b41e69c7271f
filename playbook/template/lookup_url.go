package template

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"orch/playbook/jinja/value"
)

var urlOptions = []Option{
	{Name: "validate_certs", Kind: "bool", Default: value.Bool(true), Doc: "check the certificate of the server"},
	{Name: "split_lines", Kind: "bool", Default: value.Bool(true), Doc: "return lines instead of one text"},
	{Name: "use_proxy", Kind: "bool", Default: value.Bool(true), Doc: "use the proxy of the environment"},
	{Name: "username", Kind: "str", Doc: "for HTTP authentication"},
	{Name: "password", Kind: "str", Doc: "for HTTP authentication"},
	{Name: "headers", Kind: "dict", Default: value.NewDict(0), Doc: "further headers"},
	{Name: "force", Kind: "bool", Default: value.Bool(false), Setting: "ansible_lookup_url_force", Doc: "ask caches for the latest"},
	{Name: "timeout", Kind: "float", Default: value.Float(10), Setting: "ansible_lookup_url_timeout", Doc: "seconds to wait"},
	{Name: "http_agent", Kind: "str", Default: value.S("ansible-httpget"), Setting: "ansible_lookup_url_agent", Doc: "the User-Agent"},
	{Name: "force_basic_auth", Kind: "bool", Default: value.Bool(false), Setting: "ansible_lookup_url_force_basic_auth", Doc: "send the login with the first request"},
	{
		Name: "follow_redirects", Kind: "str", Default: value.S("urllib2"), Setting: "ansible_lookup_url_follow_redirects",
		Choices: []string{"all", "none", "safe", "urllib2", "no", "yes"},
		Doc:     "which redirects are followed: all of a GET, or none",
	},
	{Name: "use_gssapi", Kind: "bool", Default: value.Bool(false), Setting: "ansible_lookup_url_use_gssapi", Doc: "not supported"},
	{Name: "use_netrc", Kind: "bool", Default: value.Bool(true), Setting: "ansible_lookup_url_use_netrc", Doc: "take the login from ~/.netrc"},
	{Name: "unix_socket", Kind: "str", Setting: "ansible_lookup_url_unix_socket", Doc: "connect to this socket"},
	{Name: "ca_path", Kind: "str", Setting: "ansible_lookup_url_ca_path", Doc: "a file of certificates to trust"},
	{Name: "unredirected_headers", Kind: "list", Setting: "ansible_lookup_url_unredir_headers", Doc: "headers not sent to where a redirect leads"},
	{Name: "ciphers", Kind: "list", Setting: "ansible_lookup_url_ciphers", Doc: "TLS ciphers to use"},
}

// maxURLBody bounds what a server may send.
const maxURLBody = 256 << 20

func runURL(c *LookupCall) ([]value.Value, error) {
	if c.Flag("use_gssapi") {
		return nil, optionErrorf("lookup %q: use_gssapi is not supported", c.Name)
	}
	terms, err := c.TextTerms()
	if err != nil {
		return nil, err
	}
	client, err := c.httpClient()
	if err != nil {
		return nil, err
	}
	var out []value.Value
	for _, term := range terms {
		text, err := c.fetch(client, term)
		if err != nil {
			return nil, err
		}
		if !c.Flag("split_lines") {
			out = append(out, value.S(text))
			continue
		}
		for _, line := range splitLines(text) {
			out = append(out, value.S(line))
		}
	}
	return out, nil
}

func (c *LookupCall) fetch(client *http.Client, term string) (string, error) {
	ctx, cancel := context.WithTimeout(c.Ctx, c.timeout())
	defer cancel()
	req, err := c.request(ctx, term)
	if err != nil {
		return "", err
	}
	resp, err := client.Do(req)
	if err != nil {
		var cert *tls.CertificateVerificationError
		if errors.As(err, &cert) {
			return "", lookupErrorf("error validating the server's certificate for %s: %w", term, err)
		}
		return "", lookupErrorf("failed lookup url for %s : %w", term, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 300 {
		return "", lookupErrorf("received HTTP error for %s : HTTP Error %s", term, resp.Status)
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxURLBody+1))
	if err != nil {
		return "", lookupErrorf("failed lookup url for %s : %w", term, err)
	}
	if len(text) > maxURLBody {
		return "", lookupErrorf("failed lookup url for %s : the answer is longer than %d bytes", term, maxURLBody)
	}
	return string(text), nil
}

func (c *LookupCall) timeout() time.Duration {
	seconds, _ := c.Option("timeout").(value.Float)
	return time.Duration(float64(seconds) * float64(time.Second))
}

func (c *LookupCall) request(ctx context.Context, term string) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, term, nil)
	if err != nil {
		return nil, lookupErrorf("failed lookup url for %s : %w", term, err)
	}
	req.Header.Set("User-Agent", c.Text("http_agent"))
	if c.Flag("force") {
		req.Header.Set("Cache-Control", "no-cache")
	}
	if headers, ok := c.Option("headers").(*value.Dict); ok {
		for k, v := range headers.All() {
			if strings.EqualFold(value.String(k), "host") {
				req.Host = value.String(v)
				continue
			}
			req.Header.Set(value.String(k), value.String(v))
		}
	}
	user, password := c.Text("username"), c.Text("password")
	if user == "" && req.URL.User != nil {
		user = req.URL.User.Username()
		password, _ = req.URL.User.Password()
	}
	if user == "" && c.Flag("use_netrc") {
		user, password = netrc(req.URL.Hostname())
	}
	if user != "" {
		req.SetBasicAuth(user, password)
	}
	return req, nil
}

func (c *LookupCall) httpClient() (*http.Client, error) {
	conf := &tls.Config{InsecureSkipVerify: !c.Flag("validate_certs"), MinVersion: tls.VersionTLS12} //nolint:gosec // validate_certs is the author's choice
	if path := c.Text("ca_path"); path != "" {
		pem, err := os.ReadFile(c.Site().path(path))
		if err != nil {
			return nil, lookupErrorf("ca_path: %w", err)
		}
		conf.RootCAs = x509.NewCertPool()
		if !conf.RootCAs.AppendCertsFromPEM(pem) {
			return nil, lookupErrorf("ca_path: %s holds no certificate", path)
		}
	}
	for _, name := range c.List("ciphers") {
		id, err := cipher(value.String(name))
		if err != nil {
			return nil, err
		}
		conf.CipherSuites = append(conf.CipherSuites, id)
	}
	transport := &http.Transport{TLSClientConfig: conf, DisableKeepAlives: true}
	if c.Flag("use_proxy") {
		transport.Proxy = http.ProxyFromEnvironment
	}
	if socket := c.Text("unix_socket"); socket != "" {
		transport.Proxy = nil
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		}
	}
	return &http.Client{Transport: transport, CheckRedirect: c.redirect}, nil
}

// redirect follows redirects as follow_redirects says, without the headers that belong
// to the first request only.
func (c *LookupCall) redirect(req *http.Request, via []*http.Request) error {
	switch c.Text("follow_redirects") {
	case "none", "no":
		return http.ErrUseLastResponse
	}
	if len(via) >= 10 {
		return fmt.Errorf("the redirects do not end")
	}
	for _, name := range c.List("unredirected_headers") {
		req.Header.Del(value.String(name))
	}
	return nil
}

// cipher finds a TLS cipher suite by its IANA or OpenSSL name.
func cipher(name string) (uint16, error) {
	want := strings.NewReplacer("_", "", "-", "", "TLS", "", "WITH", "", "CBC", "").Replace(strings.ToUpper(name))
	for _, suite := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
		if strings.NewReplacer("_", "", "TLS", "", "WITH", "", "CBC", "").Replace(suite.Name) == want {
			return suite.ID, nil
		}
	}
	return 0, optionErrorf("unknown TLS cipher %q", name)
}

// netrc finds the login for a host in ~/.netrc or $NETRC.
func netrc(host string) (user, password string) {
	path := os.Getenv("NETRC")
	if path == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", ""
		}
		path = filepath.Join(home, ".netrc")
	}
	f, err := os.Open(path)
	if err != nil {
		return "", ""
	}
	defer f.Close()
	words := bufio.NewScanner(f)
	words.Split(bufio.ScanWords)
	next := func() string {
		words.Scan()
		return words.Text()
	}
	match := false
	for words.Scan() {
		switch words.Text() {
		case "machine", "default":
			if match {
				return user, password
			}
			match = words.Text() == "default" || next() == host
		case "login":
			if text := next(); match {
				user = text
			}
		case "password":
			if text := next(); match {
				password = text
			}
		}
	}
	if !match {
		return "", ""
	}
	return user, password
}
