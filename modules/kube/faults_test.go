package kube

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"orch/testdata/lab/labtest"
)

// gated is a pod that the scheduler leaves alone until its gate is removed: a wait for
// it lasts as long as the test wants.
const gated = `{apiVersion: v1, kind: Pod, metadata: {name: gated, namespace: NS}, spec: {terminationGracePeriodSeconds: 0, schedulingGates: [{name: lab.orch/hold}], containers: [{name: p, image: IMAGE}]}}`

// release lets the gated pod run.
func (l *lab) release(ctx context.Context) error {
	m, err := l.admin.Mapping(podKind)
	if err != nil {
		return err
	}
	_, err = l.admin.Resource(m, l.ns).Patch(ctx, "gated", types.JSONPatchType,
		[]byte(`[{"op": "remove", "path": "/spec/schedulingGates"}]`), metav1.PatchOptions{})
	return err
}

// waitFor runs a task that waits for the gated pod, does something to the way there in the
// middle, releases the pod, and wants the task to end well.
func (l *lab) waitFor(meddle func() error) {
	l.t.Helper()
	// How long a server takes to come back is no matter of the wait's: it ends well after
	// the pod is released, or the test's own time is up.
	limit := 20 * time.Minute
	if end, ok := l.t.Deadline(); ok {
		limit = min(limit, time.Until(end)-30*time.Second)
	}
	task := fmt.Sprintf(`{wait: true, wait_timeout: %d, definition: %s}`, int(limit.Seconds()), strings.ReplaceAll(gated, "IMAGE", l.app()))
	runs := l.reached(podKind, func(u *unstructured.Unstructured) bool {
		return u.GetName() == "gated" && object{u.Object}.is("Ready", "True")
	})
	failed := make(chan error, 1)
	go func() {
		failed <- func() error {
			m, err := l.admin.Mapping(podKind)
			if err != nil {
				return err
			}
			for { // the wait begins when the pod is there
				if _, err := l.admin.Resource(m, l.ns).Get(l.t.Context(), "gated", metav1.GetOptions{}); err == nil {
					break
				}
				time.Sleep(50 * time.Millisecond)
			}
			time.Sleep(500 * time.Millisecond)
			if err := meddle(); err != nil {
				return err
			}
			return l.release(l.t.Context())
		}()
	}()
	d := l.do("k8s", task, true)
	if err := <-failed; err != nil {
		l.t.Fatal(err)
	}
	if d.at("result", "status", "phase") != "Running" {
		l.t.Errorf("the pod is %v", d.at("result", "status", "phase"))
	}
	if late := time.Since(<-runs); late > Settle+30*time.Second {
		l.t.Errorf("the pod was seen to run %s after it did", late)
	}
}

// The API server is killed and comes back while a task waits.
func TestClusterServerRestarts(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	spare := func() error {
		out, err := exec.Command("../../testdata/lab/kubernetes/cluster.sh", "spare-api").CombinedOutput()
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	}
	if err := spare(); err != nil {
		t.Fatal(err)
	}
	l.kubeconfig = filepath.Join(l.folder, "spare.kubeconfig")
	l.waitFor(spare)
}

// A cutter hands connections on, and breaks them all when told to.
type cutter struct {
	net.Listener
	mu    sync.Mutex
	conns []net.Conn
}

func newCutter(t *testing.T, to string) *cutter {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cutter{Listener: listener}
	t.Cleanup(func() { listener.Close(); c.cut() })
	go func() {
		for {
			in, err := listener.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", to)
			if err != nil {
				in.Close()
				continue
			}
			c.mu.Lock()
			c.conns = append(c.conns, in, out)
			c.mu.Unlock()
			go func() { _, _ = io.Copy(out, in); out.Close() }()
			go func() { _, _ = io.Copy(in, out); in.Close() }()
		}
	}()
	return c
}

func (c *cutter) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.conns {
		conn.Close()
	}
	c.conns = nil
}

// The connection is cut, three times, while a task waits.
func TestClusterConnectionCut(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	config, err := os.ReadFile(l.kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	c := newCutter(t, "127.0.0.1:6443")
	l.kubeconfig = filepath.Join(t.TempDir(), "config")
	through := strings.ReplaceAll(string(config), "127.0.0.1:6443", c.Addr().String())
	if err := os.WriteFile(l.kubeconfig, []byte(through), 0o600); err != nil {
		t.Fatal(err)
	}
	l.waitFor(func() error {
		for range 3 {
			c.cut()
			time.Sleep(300 * time.Millisecond)
		}
		return nil
	})
}

// A transport that answers as told, request by request.
type scripted struct {
	answers []any // an error, or a status code
	asked   []string
}

func (s *scripted) RoundTrip(r *http.Request) (*http.Response, error) {
	s.asked = append(s.asked, r.Method)
	a := s.answers[min(len(s.asked), len(s.answers))-1]
	if err, ok := a.(error); ok {
		return nil, err
	}
	resp := &http.Response{StatusCode: a.(int), Header: http.Header{}, Body: http.NoBody}
	if resp.StatusCode == http.StatusTooManyRequests {
		resp.Header.Set("Retry-After", "3")
	}
	return resp, nil
}

// What is asked again, and what never is: a write that may have been done.
func TestRetries(t *testing.T) {
	refused := &net.OpError{Op: "dial", Err: errors.New("connection refused")}
	reset := &net.OpError{Op: "read", Err: errors.New("connection reset by peer")}
	for _, c := range []struct {
		name, method string
		answers      []any
		asked        int
		ok           bool
	}{
		{"a read that was cut", "GET", []any{reset, 200}, 2, true},
		{"a write that was cut", "PATCH", []any{reset, 200}, 1, false},
		{"a server that is not up, read", "GET", []any{refused, refused, 200}, 3, true},
		{"a server that is not up, write", "POST", []any{refused, 200}, 2, true},
		{"a server that stays down", "GET", []any{refused}, maxTries, false},
		{"too many requests", "PATCH", []any{429, 200}, 2, true},
		{"a read that failed there", "GET", []any{503, 200}, 2, true},
		{"a write that failed there", "PUT", []any{500, 200}, 1, false},
		{"a gateway that gave up", "GET", []any{504, 200}, 1, false},
		{"a server that is not trusted", "GET", []any{&tls.CertificateVerificationError{Err: errors.New("unknown authority")}, 200}, 1, false},
		{"a name nobody knows", "GET", []any{&net.DNSError{IsNotFound: true}, 200}, 1, false},
		{"a refusal", "GET", []any{403, 200}, 1, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &scripted{answers: c.answers}
			var paused time.Duration
			r := &retrier{next: s, pause: func(d time.Duration) { paused += d }}
			req, err := http.NewRequestWithContext(t.Context(), c.method, "http://x/", strings.NewReader("{}"))
			if err != nil {
				t.Fatal(err)
			}
			resp, err := r.RoundTrip(req)
			if ok := err == nil && resp.StatusCode == 200; ok != c.ok || len(s.asked) != c.asked {
				t.Errorf("%d requests, ok %v; want %d, %v (%v)", len(s.asked), ok, c.asked, c.ok, err)
			}
			if c.answers[0] == 429 && paused != 3*time.Second {
				t.Errorf("paused %s, the server said 3 s", paused)
			}
		})
	}
}

// A server that cannot be asked: each cause is told apart, with what may help.
func TestServerThatCannotBeAsked(t *testing.T) {
	unauthorized := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) })
	stranger := httptest.NewTLSServer(unauthorized)
	defer stranger.Close()
	stranger.Config.ErrorLog = log.New(io.Discard, "", 0)
	old, ca := certificate(t, time.Now().Add(-time.Hour))
	expired := httptest.NewUnstartedServer(unauthorized)
	expired.TLS = &tls.Config{Certificates: []tls.Certificate{old}}
	expired.Config.ErrorLog = log.New(io.Discard, "", 0)
	expired.StartTLS()
	defer expired.Close()
	file := filepath.Join(t.TempDir(), "ca")
	if err := os.WriteFile(file, ca, 0o600); err != nil {
		t.Fatal(err)
	}
	other := labtest.Serve(t, http.NotFoundHandler())
	l := &lab{t: t, world: &World{Env: func(string) (string, bool) { return "", false }}}
	for _, c := range []struct {
		name, args string
		words      []string
	}{
		{"unknown authority", `host: "` + stranger.URL + `"`, []string{"the API server cannot be trusted: x509: ", "unknown authority", "hint: ca_cert"}},
		{"expired", `host: "` + expired.URL + `", ca_cert: ` + file, []string{"certificate has expired", "hint: renew"}},
		{"no credentials", `host: "` + stranger.URL + `", validate_certs: false`, []string{"does not know the credentials", "expired?"}},
		{"no TLS", `host: "` + strings.Replace(stranger.URL, "https", "http", 1) + `"`, []string{"what answers is no API server", "HTTP request to an HTTPS server"}},
		{"another server", `host: "http://` + other + `"`, []string{"what answers is no API server", "neither /api nor /apis"}},
	} {
		start := time.Now()
		d := l.run(optionsOf(false), "k8s", `{`+c.args+`, api_key: x, definition: {apiVersion: v1, kind: ConfigMap, metadata: {name: c}}}`)
		if d.Failure == nil {
			t.Fatalf("%s: it works", c.name)
		}
		for _, w := range c.words {
			if !strings.Contains(d.Failure.Msg, w) {
				t.Errorf("%s: no %q in %s", c.name, w, d.Failure.Msg)
			}
		}
		if took := time.Since(start); took > 4*time.Second {
			t.Errorf("%s: tried for %s", c.name, took)
		}
	}
}

// certificate is one for 127.0.0.1 that signs itself, and the same as PEM.
func certificate(t *testing.T, end time.Time) (tls.Certificate, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cert := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotBefore: end.Add(-24 * time.Hour), NotAfter: end,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// A namespace that is going takes nothing new, and says what holds it.
func TestClusterNamespaceTerminates(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	held := `{definition: {apiVersion: v1, kind: ConfigMap, metadata: {name: held, namespace: NS, finalizers: [lab.orch/hold]}}}`
	l.do("k8s", held, true)
	l.do("k8s", `{state: absent, kind: Namespace, name: NS}`, true)
	d := l.fails("k8s", `{state: absent, wait: true, wait_timeout: 3, kind: ConfigMap, name: held, namespace: NS}`, "ConfigMap "+l.ns+"/held", "lab.orch/hold")
	if d.at("failure", "timed_out") != true {
		t.Errorf("failure %v", d.at("failure"))
	}
	l.fails("k8s", `{definition: {apiVersion: v1, kind: ConfigMap, metadata: {name: late, namespace: NS}}}`, "because it is being terminated", l.ns)
	l.fails("k8s", `{wait: true, wait_timeout: 2, definition: {apiVersion: v1, kind: Namespace, metadata: {name: NS, labels: {a: b}}}}`, "Namespace "+l.ns, "is not ready", "being deleted")
	l.do("k8s_json_patch", `{kind: ConfigMap, name: held, namespace: NS, patch: [{op: remove, path: /metadata/finalizers}]}`, true)
}

// webhook serves admission reviews on loopback: it denies what deny returns a reason for.
func (l *lab) webhook(resource string, deny func(operation, name string) string) {
	l.t.Helper()
	cert, ca := certificate(l.t, time.Now().Add(time.Hour))
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}})
	if err != nil {
		l.t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var review struct {
			APIVersion string         `json:"apiVersion"`
			Kind       string         `json:"kind"`
			Request    map[string]any `json:"request,omitempty"`
			Response   map[string]any `json:"response,omitempty"`
		}
		_ = json.NewDecoder(r.Body).Decode(&review)
		operation, _ := review.Request["operation"].(string)
		name, _ := review.Request["name"].(string)
		review.Response = map[string]any{"uid": review.Request["uid"], "allowed": true}
		if reason := deny(operation, name); reason != "" {
			review.Response["allowed"] = false
			review.Response["status"] = map[string]any{"message": reason}
		}
		review.Request = nil
		_ = json.NewEncoder(w).Encode(review)
	})}
	go func() { _ = server.Serve(listener) }()
	l.t.Cleanup(func() { server.Close() })
	l.ca = base64.StdEncoding.EncodeToString(ca)
	l.do("k8s", `{definition: {apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingWebhookConfiguration, metadata: {name: NS}, webhooks: [
	  {name: policy.lab.orch, sideEffects: None, admissionReviewVersions: [v1], failurePolicy: Fail, timeoutSeconds: 10,
	   clientConfig: {url: "https://`+listener.Addr().String()+`/", caBundle: CABUNDLE},
	   namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: NS}},
	   rules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [`+resource+`]}]}]}}`, true)
	l.t.Cleanup(func() {
		m, err := l.admin.Mapping(schema.GroupVersionKind{Group: "admissionregistration.k8s.io", Version: "v1", Kind: "ValidatingWebhookConfiguration"})
		if err == nil {
			_ = l.admin.Resource(m, "").Delete(context.Background(), l.ns, metav1.DeleteOptions{})
		}
	})
}

// settles retries until the API server has heard of a new webhook, which takes it a moment.
func (l *lab) settles(ok func() bool) {
	l.t.Helper()
	for end := time.Now().Add(60 * time.Second); !ok(); time.Sleep(200 * time.Millisecond) {
		if time.Now().After(end) {
			l.t.Fatal("the webhook was never asked")
		}
	}
}

// A webhook that refuses is quoted: for the object itself, at once, even by a check; and
// for the pods of a workload, which only its controller is told of.
func TestClusterWebhookRefuses(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.webhook("configmaps", func(_, name string) string {
		if name == "kube-root-ca.crt" {
			return ""
		}
		return "no " + name + " on fridays"
	})
	probe := 0
	l.settles(func() bool {
		probe++
		d := l.run(optionsOf(true), "k8s", fmt.Sprintf(`{definition: {apiVersion: v1, kind: ConfigMap, metadata: {name: probe%d, namespace: NS}}}`, probe))
		return d.Failure != nil
	})
	l.fails("k8s", `{definition: [{apiVersion: v1, kind: ConfigMap, metadata: {name: c, namespace: NS}}]}`,
		`admission webhook "policy.lab.orch" denied the request`, "no c on fridays", "ConfigMap "+l.ns+"/c")
}

func TestClusterWebhookRefusesPods(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	asked := make(chan struct{}, 100)
	l.webhook("pods", func(string, string) string {
		select {
		case asked <- struct{}{}:
		default:
		}
		return "images must be signed"
	})
	l.settles(func() bool {
		d := l.run(optionsOf(true), "k8s", `{definition: {apiVersion: v1, kind: Pod, metadata: {name: probe, namespace: NS}, spec: {containers: [{name: p, image: x}]}}}`)
		return d.Failure != nil
	})
	d := l.fails("k8s", `{wait: true, wait_timeout: 60, definition: `+l.web("")+`}`,
		"Deployment "+l.ns+"/web failed", "FailedCreate", "policy.lab.orch", "images must be signed")
	if d.at("failure", "timed_out") != false {
		t.Errorf("failure %v", d.at("failure"))
	}
}

// A webhook of an old API version that takes no part in dry runs makes a plan
// unverified, not failed.
func TestUnverifiable(t *testing.T) {
	if err := apierrors.NewBadRequest(`admission webhook "old.example" does not support dry run`); !unverifiable(err) {
		t.Errorf("%v is a failure", err)
	}
	if err := apierrors.NewBadRequest(`admission webhook "old.example" denied the request`); unverifiable(err) {
		t.Errorf("%v is none", err)
	}
}

// A probe that never succeeds gets its own budget and the grace, then it is the reason;
// so does a volume that is not there.
func TestClusterGraceRunsOut(t *testing.T) {
	for _, c := range []struct {
		name, more string
		words      []string
	}{
		{"probe", `, readinessProbe: {tcpSocket: {port: 1}, periodSeconds: 1, failureThreshold: 1}`, []string{"NotReady", "readiness probe (tcp port 1) does not succeed", "event Unhealthy", "| serving"}},
		{"volume", `, volumeMounts: [{name: v, mountPath: /v}]}], volumes: [{name: v, secret: {secretName: gone}}], hostAliases: [{ip: "10.0.0.1"`, []string{"FailedMount", `secret "gone" not found`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			start := time.Now()
			l.fails("k8s", `{wait: true, wait_timeout: 120, definition: `+l.web(c.more)+`}`, append(c.words, "Deployment "+l.ns+"/web failed", "pod web-")...)
			if took := time.Since(start); took < HoldFor {
				t.Errorf("failed after %s, the grace is %s", took, HoldFor)
			}
		})
	}
}

// Every verb that is missing is named with its resource.
func TestClusterForbiddenVerbs(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.do("k8s", `{definition: [
	  {apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: reader, namespace: NS}, rules: [{apiGroups: [""], resources: [configmaps], verbs: [get, list, create]}]},
	  {apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: reader, namespace: NS}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader},
	   subjects: [{kind: User, name: developer}]}]}`, true)
	l.kubeconfig = strings.Replace(l.kubeconfig, "admin.", "developer.", 1)
	one := `{definition: {apiVersion: v1, kind: ConfigMap, metadata: {name: c, namespace: NS}, data: {a: "%s"}}}`
	l.do("k8s", fmt.Sprintf(one, "1"), true)
	l.do("k8s", fmt.Sprintf(one, "1"), false)
	l.fails("k8s", fmt.Sprintf(one, "2"), `User "developer" cannot patch resource "configmaps"`, l.ns, "hint:")
	l.fails("k8s", `{state: absent, kind: ConfigMap, name: c, namespace: NS}`, `cannot delete resource "configmaps"`)
	l.fails("k8s", `{definition: {apiVersion: v1, kind: Secret, metadata: {name: s, namespace: NS}}}`, `cannot get resource "secrets"`)
	l.fails("k8s_scale", `{kind: Deployment, api_version: apps/v1, name: web, namespace: NS, replicas: 1}`, `cannot get resource "deployments"`)
	l.fails("k8s_log", `{name: web, namespace: NS}`, `cannot get resource "pods"`)
}
