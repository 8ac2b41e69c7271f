package kube

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"orch/playbook/source"
)

// A Cluster is one API server, as one user, for a whole run: one HTTP connection pool,
// one copy of what the server serves. It is safe for concurrent use.
type Cluster struct {
	// DefaultNamespace is that of the kubeconfig's context; "" is default.
	DefaultNamespace string
	Config           *rest.Config
	Dynamic          dynamic.Interface

	raw rest.Interface // for what is no object: discovery, logs

	mu       sync.Mutex
	served   served                    // nil: not asked yet
	asked    map[schema.GroupKind]bool // kinds the discovery was refreshed for
	warnings *warnings
	overlay  overlay
}

// Connect makes the client of a cluster. Nothing is sent yet.
func Connect(config *rest.Config) (*Cluster, error) {
	w := &warnings{seen: map[string]bool{}}
	config = rest.CopyConfig(config)
	config.WarningHandler = w
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return &retrier{next: next, pause: time.Sleep} })
	httpClient, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("make client: %w", err)
	}
	config = dynamic.ConfigFor(config)
	config.APIPath = "/"
	raw, err := rest.UnversionedRESTClientForConfigAndClient(config, httpClient)
	if err != nil {
		return nil, fmt.Errorf("make client: %w", err)
	}
	return &Cluster{
		Config: config, Dynamic: dynamic.New(raw), raw: raw, asked: map[schema.GroupKind]bool{}, warnings: w,
	}, nil
}

// Mapping finds the resource of a kind. A kind that is not known makes the server be
// asked once more: it may have been defined a moment ago.
func (c *Cluster) Mapping(gvk schema.GroupVersionKind) (*meta.RESTMapping, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	known, err := c.kinds()
	if err != nil {
		return nil, err
	}
	m, err := known.mapping(gvk)
	if err != nil && !c.asked[gvk.GroupKind()] {
		c.asked[gvk.GroupKind()] = true
		c.served = nil
		if known, err = c.kinds(); err != nil {
			return nil, err
		}
		m, err = known.mapping(gvk)
	}
	return m, err
}

// kinds is what the server serves, asked for once. The caller holds the lock.
func (c *Cluster) kinds() (served, error) {
	if c.served == nil {
		list, err := discover(context.Background(), c.raw)
		if err != nil {
			return nil, err
		}
		c.served = list
	}
	return c.served, nil
}

// forget makes the next question about a kind go to the server.
func (c *Cluster) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.served = nil
	clear(c.asked)
}

// KindFor finds the kind meant by a kind's, a plural, singular or short name and an
// optional apiVersion: "deploy", "Deployment", "deployments".
func (c *Cluster) KindFor(apiVersion, kind string) (schema.GroupVersionKind, error) {
	gv, err := schema.ParseGroupVersion(apiVersion)
	if err != nil {
		return schema.GroupVersionKind{}, fmt.Errorf("api_version %q: %w", apiVersion, err)
	}
	gvk := gv.WithKind(kind)
	if apiVersion != "" {
		if _, err := c.Mapping(gvk); err == nil || !meta.IsNoMatchError(err) {
			return gvk, err
		}
	}
	c.mu.Lock()
	known, err := c.kinds()
	c.mu.Unlock()
	if err != nil {
		return gvk, err
	}
	for _, k := range known {
		if (apiVersion == "" || k.gvk.GroupVersion() == gv) && k.called(kind) {
			return k.gvk, nil
		}
	}
	if apiVersion == "v1" {
		// "v1" is what the option says when the task says nothing.
		return c.KindFor("", kind)
	}
	return gvk, known.noKind(gvk)
}

// Resource is the client of a kind in a namespace ("" for the cluster's own kinds).
func (c *Cluster) Resource(m *meta.RESTMapping, namespace string) dynamic.ResourceInterface {
	if m.Scope.Name() == meta.RESTScopeNameNamespace {
		return c.Dynamic.Resource(m.Resource).Namespace(namespace)
	}
	return c.Dynamic.Resource(m.Resource)
}

// warnings gathers what the API server warns of, each text once.
type warnings struct {
	mu   sync.Mutex
	seen map[string]bool
	list []string
}

// HandleWarningHeader implements rest.WarningHandler.
func (w *warnings) HandleWarningHeader(code int, _, text string) {
	if code != 299 || text == "" {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.seen[text] {
		w.seen[text] = true
		w.list = append(w.list, text)
	}
}

// warn adds a notice that is given once a run.
func (c *Cluster) warn(text string) { c.warnings.HandleWarningHeader(299, "", text) }

// Warnings returns what has been warned of since the last call.
func (c *Cluster) Warnings() []string {
	c.warnings.mu.Lock()
	defer c.warnings.mu.Unlock()
	list := c.warnings.list
	c.warnings.list = nil
	return list
}

// A retrier repeats requests the server asks to repeat (429 with Retry-After), and
// reads that hit a server that is restarting. Writes are repeated only when the server
// has said that it did nothing.
type retrier struct {
	next  http.RoundTripper
	pause func(time.Duration)
}

const maxTries = 6

// RoundTrip implements http.RoundTripper.
func (r *retrier) RoundTrip(req *http.Request) (*http.Response, error) {
	read := req.Method == http.MethodGet || req.Method == http.MethodHead
	for try := 1; ; try++ {
		resp, err := r.next.RoundTrip(req)
		if try == maxTries || req.Context().Err() != nil {
			return resp, err
		}
		wait := time.Duration(try*try) * 100 * time.Millisecond
		switch {
		case err != nil:
			var op *net.OpError
			refused := errors.As(err, &op) && op.Op == "dial"
			if !refused && !read || req.Body != nil && req.GetBody == nil || lasting(err) {
				return resp, err
			}
		case resp.StatusCode == http.StatusTooManyRequests || read && resp.StatusCode >= 500 && resp.StatusCode != http.StatusNotImplemented && resp.StatusCode != http.StatusGatewayTimeout:
			if req.Body != nil && req.GetBody == nil {
				return resp, nil
			}
			if d, err := time.ParseDuration(resp.Header.Get("Retry-After") + "s"); err == nil {
				wait = min(d, 10*time.Second)
			}
			resp.Body.Close()
		default:
			return resp, nil
		}
		if req.GetBody != nil {
			body, err := req.GetBody()
			if err != nil {
				return nil, err
			}
			req = req.Clone(req.Context())
			req.Body = body
		}
		select {
		case <-req.Context().Done():
			return nil, req.Context().Err()
		default:
			r.pause(wait)
		}
	}
}

// lasting reports errors that the next try would meet too: a server that is not the one
// that is trusted, a name that nobody knows.
func lasting(err error) bool {
	var name *net.DNSError
	return errors.As(err, new(*tls.CertificateVerificationError)) || errors.As(err, &name) && name.IsNotFound
}

// invalidMessage is the server's message, without the whole value that it quotes when a
// part of a workload is refused: pages of Go's names for what the author wrote in YAML.
func invalidMessage(s metav1.Status) string {
	const long = 400
	if s.Reason != metav1.StatusReasonInvalid || s.Details == nil || len(s.Message) < long {
		return s.Message
	}
	var causes []string
	for _, c := range s.Details.Causes {
		text := c.Message
		if end := strings.LastIndex(text, "}: "); len(text) > long && end >= 0 {
			text = "Invalid value: " + text[end+len("}: "):]
		}
		causes = append(causes, c.Field+": "+text)
	}
	return fmt.Sprintf("%s %q is invalid: %s", s.Details.Kind, s.Details.Name, strings.Join(causes, ", "))
}

// unexpected is what was answered instead of what an API server answers.
func unexpected(s metav1.Status) string {
	if s.Details == nil || s.Code != http.StatusBadRequest && s.Code != http.StatusNotFound {
		return ""
	}
	for _, c := range s.Details.Causes {
		if c.Type == metav1.CauseTypeUnexpectedServerResponse && c.Message != "" && c.Message != "unknown" {
			text, _, _ := strings.Cut(c.Message, "\n")
			return text
		}
	}
	return ""
}

// A noKindError is a kind that is not served, and one that may have been meant.
type noKindError struct {
	meta.NoKindMatchError
	like string
}

// Unwrap makes it what meta.IsNoMatchError asks for.
func (e *noKindError) Unwrap() error { return &e.NoKindMatchError }

// Error implements error.
func (e *noKindError) Error() string {
	hint := "is it misspelt, or is a CustomResourceDefinition or a controller missing?"
	if e.like != "" {
		hint = "did you mean " + e.like + "?"
	}
	of := ""
	if gv := (schema.GroupVersion{Group: e.GroupKind.Group, Version: e.SearchedVersions[0]}); !gv.Empty() {
		of = " of " + gv.String()
	}
	return fmt.Sprintf("the cluster has no kind %s%s\nhint: %s", e.GroupKind.Kind, of, hint)
}

// noKind looks for a kind that is served and almost the one that is not: "Deployment", or
// "Deployment of apps/v1" if only the version is another.
func (s served) noKind(gvk schema.GroupVersionKind) error {
	e := &noKindError{NoKindMatchError: meta.NoKindMatchError{GroupKind: gvk.GroupKind(), SearchedVersions: []string{gvk.Version}}}
	names := make([]string, len(s))
	for i, k := range s {
		if names[i] = k.gvk.Kind; k.gvk.Kind == gvk.Kind {
			e.like = k.gvk.Kind + " of " + k.gvk.GroupVersion().String()
			return e
		}
	}
	e.like = source.Suggest(gvk.Kind, names)
	return e
}

// explainAPI says what an error of the API means for whoever wrote the task.
func explainAPI(err error) error {
	var status apierrors.APIStatus
	if errors.As(err, &status) {
		s := status.Status()
		switch {
		// 403 is also what a quota, a namespace that is going and pod security answer.
		case apierrors.IsForbidden(err) && strings.Contains(s.Message, " cannot "):
			return fmt.Errorf("%s\nhint: give the user the verb it names, or use another context", s.Message)
		case apierrors.IsUnauthorized(err):
			return errors.New("the API server does not know the credentials\nhint: look at the user of the kubeconfig's context, or at api_key, client_cert and client_key; has a certificate or token expired?")
		case apierrors.HasStatusCause(err, metav1.CauseTypeFieldManagerConflict):
			return fmt.Errorf("%s\nhint: server_side_apply.force_conflicts takes the fields over", s.Message)
		}
		if body := unexpected(s); body != "" {
			return fmt.Errorf("what answers is no API server, or not by this protocol: %s", body)
		}
		return errors.New(invalidMessage(s))
	}
	if untrusted := (*tls.CertificateVerificationError)(nil); errors.As(err, &untrusted) {
		hint := "ca_cert, or the certificate authority of the kubeconfig's cluster, must be the one that signed the server's certificate"
		if invalid := (x509.CertificateInvalidError{}); errors.As(err, &invalid) && invalid.Reason == x509.Expired {
			hint = "renew the server's certificate, or set this machine's clock"
		}
		return fmt.Errorf("the API server cannot be trusted: %w\nhint: %s", untrusted.Err, hint)
	}
	var op *net.OpError
	if errors.As(err, &op) {
		return fmt.Errorf("cannot reach the API server: %w\nhint: is it up, and is its address in the kubeconfig's cluster (or host) right?", op)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return errors.New("the API server did not answer in time")
	}
	return err
}
