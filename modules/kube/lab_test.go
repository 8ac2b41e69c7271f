package kube

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	schemas "k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/yaml"

	"orch/modules"
	"orch/modules/control"
	"orch/modules/schema"
	"orch/playbook/jinja/value"
	"orch/testdata/lab/labtest"
)

// A lab is a namespace of the real cluster and a world whose requests are counted.
type lab struct {
	*counter
	t          *testing.T
	folder, ns string
	kubeconfig string
	ca         string // CABUNDLE in args
	world      *World
	files      map[string]string // of the playbook
	truth      func(o *value.Dict) (value.Value, error)
	admin      *Cluster
}

// A counter keeps what is asked of the API server.
type counter struct {
	mu   sync.Mutex
	seen []string
}

type counted struct {
	c    *counter
	next http.RoundTripper
}

func (c counted) RoundTrip(r *http.Request) (*http.Response, error) {
	c.c.mu.Lock()
	c.c.seen = append(c.c.seen, r.Method+" "+r.URL.RequestURI())
	c.c.mu.Unlock()
	return c.next.RoundTrip(r)
}

// requests returns and forgets what was asked and what of it wrote.
func (c *counter) requests() (all, writes []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range c.seen {
		if !strings.HasPrefix(r, "GET ") && !strings.Contains(r, "dryRun=All") {
			writes = append(writes, r)
		}
	}
	all, c.seen = c.seen, nil
	return all, writes
}

func newLab(t *testing.T) *lab {
	t.Helper()
	folder := labtest.Cluster(t)
	l := &lab{
		counter: &counter{}, t: t, folder: folder, kubeconfig: filepath.Join(folder, "admin.kubeconfig"),
		ns: labtest.Name(t, "kube"),
	}
	l.world = &World{Dial: func(config *rest.Config) (*Cluster, error) {
		config = rest.CopyConfig(config)
		config.Wrap(func(next http.RoundTripper) http.RoundTripper { return counted{l.counter, next} })
		return Connect(config)
	}}
	config, err := clientcmd.BuildConfigFromFlags("", l.kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	config.QPS = -1
	if l.admin, err = Connect(config); err != nil {
		t.Fatal(err)
	}
	m, err := l.admin.Mapping(schemas.GroupVersionKind{Version: "v1", Kind: "Namespace"})
	if err != nil {
		t.Fatal(err)
	}
	spaces := l.admin.Resource(m, "")
	space := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": l.ns},
	}}
	if _, err := spaces.Create(t.Context(), space, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = spaces.Delete(context.Background(), l.ns, metav1.DeleteOptions{}) })
	return l
}

// A labSite is the engine as far as the modules look at it.
type labSite struct {
	control.Target
	o     modules.Options
	files map[string]string
	truth func(o *value.Dict) (value.Value, error) // of any condition about an object
}

func (s *labSite) Var(string) (value.Value, bool, error) { return nil, false, nil }
func (s *labSite) Check() bool                           { return s.o.Check }
func (s *labSite) Diff() bool                            { return s.o.Diff }
func (s *labSite) Emit(string)                           {}
func (s *labSite) Find(_, name string) (string, error)   { return name, nil }

func (s *labSite) ReadFile(path string, _ bool) ([]byte, error) { return []byte(s.files[path]), nil }

func (s *labSite) Render(_ context.Context, r control.Render) (value.Value, error) {
	return value.S(strings.ReplaceAll(s.files[r.Path], "UNKNOWN", r.Stand)), nil
}

func (s *labSite) Truth(_ context.Context, _ value.Value, with ...value.Named) (value.Value, error) {
	return s.truth(with[0].Val.(*value.Dict))
}

// A did is what became of a task.
type did struct {
	modules.Result
	out map[string]any
}

func (d did) text() string {
	text, _ := json.Marshal(d.Result)
	return string(text) + string(d.Result.Out)
}

// run runs a task as a playbook would; NS in args is the lab's namespace.
func (l *lab) run(o modules.Options, module, args string) did {
	l.t.Helper()
	var given map[string]any
	if err := yaml.Unmarshal([]byte(strings.NewReplacer("NS", l.ns, "CABUNDLE", l.ca).Replace(args)), &given); err != nil {
		l.t.Fatalf("%v in\n%s", err, args)
	}
	if l.kubeconfig != "" {
		given["kubeconfig"] = l.kubeconfig
	}
	table := schema.Table{World: schema.Cluster, Entries: Modules(), Source: Source}
	d := did{Result: labtest.Run(l.t, table, l.world, &labSite{o: o, files: l.files, truth: l.truth}, o, module, given)}
	_ = json.Unmarshal(d.Out, &d.out)
	return d
}

// do runs a task that must end well, and says whether it changed something.
func (l *lab) do(module, args string, changed bool) did {
	l.t.Helper()
	d := l.run(modules.Options{Diff: true}, module, args)
	if d.Failure != nil {
		l.t.Fatalf("%s failed: %s\n%s", module, d.Failure.Msg, args)
	}
	if d.Changed != changed {
		l.t.Fatalf("%s: changed is %v\n%s\n%s", module, d.Changed, args, d.text())
	}
	return d
}

// fails runs a task that must fail with every one of words in its message.
func (l *lab) fails(module, args string, words ...string) did {
	l.t.Helper()
	d := l.run(modules.Options{Diff: true}, module, args)
	if d.Failure == nil {
		l.t.Fatalf("%s did not fail\n%s", module, args)
	}
	for _, w := range words {
		if !strings.Contains(d.Failure.Msg, w) {
			l.t.Errorf("the failure has no %q:\n%s", w, d.Failure.Msg)
		}
	}
	return d
}

// at reads a field of a result by its path.
func (d did) at(path ...string) any {
	var v any = d.out
	for _, p := range path {
		m, _ := v.(map[string]any)
		v = m[p]
	}
	return v
}

var appOnce struct {
	sync.Once
	err error
}

// app is the image of testdata/app, in the cluster's registry.
func (l *lab) app() string {
	l.t.Helper()
	appOnce.Do(func() { appOnce.err = pushApp(labtest.Registry(l.t, l.folder), l.t.TempDir()) })
	if appOnce.err != nil {
		l.t.Fatal(appOnce.err)
	}
	return "lab/kube-app:1"
}

func pushApp(addr, tmp string) error {
	bin := filepath.Join(tmp, "app")
	if err := labtest.Compile("testdata/app/app.c", bin); err != nil {
		return err
	}
	program, err := os.ReadFile(bin)
	if err != nil {
		return err
	}
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	_ = w.WriteHeader(&tar.Header{Name: "app", Mode: 0o755, Size: int64(len(program))})
	_, _ = w.Write(program)
	_ = w.Close()
	base := "http://" + addr + "/v2/lab/kube-app/"
	sum := func(b []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(b)) }
	config := fmt.Appendf(nil, `{"architecture":"amd64","os":"linux","config":{"Entrypoint":["/app"]},"rootfs":{"type":"layers","diff_ids":[%q]}}`, sum(layer.Bytes()))
	for _, blob := range [][]byte{layer.Bytes(), config} {
		resp, err := http.Post(base+"blobs/uploads/", "", nil)
		if err != nil {
			return err
		}
		resp.Body.Close()
		to, err := resp.Location()
		if err != nil {
			return err
		}
		q := to.Query()
		q.Set("digest", sum(blob))
		to.RawQuery = q.Encode()
		if err := put(to.String(), "application/octet-stream", blob); err != nil {
			return err
		}
	}
	const docker = "application/vnd.docker."
	manifest := fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":%q,"size":%d,"digest":%q},"layers":[{"mediaType":%q,"size":%d,"digest":%q}]}`,
		docker+"distribution.manifest.v2+json", docker+"container.image.v1+json", len(config), sum(config),
		docker+"image.rootfs.diff.tar", layer.Len(), sum(layer.Bytes()))
	for _, tag := range []string{"1", "2"} {
		if err := put(base+"manifests/"+tag, docker+"distribution.manifest.v2+json", manifest); err != nil {
			return err
		}
	}
	return nil
}

func put(url, kind string, body []byte) error {
	req, err := http.NewRequest(http.MethodPut, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", kind)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusCreated {
		text, _ := io.ReadAll(resp.Body)
		return fmt.Errorf("put %s: %s: %s", url, resp.Status, text)
	}
	return nil
}

func optionsOf(check bool) modules.Options { return modules.Options{Check: check, Diff: true} }
