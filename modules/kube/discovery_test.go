package kube

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
)

// What servers of both ages answer; a CustomResourceDefinition made later is in the
// second answer only.
var (
	modern = map[string]string{
		"/api": `{"kind":"APIGroupDiscoveryList","items":[{"metadata":{},"versions":[{"version":"v1","resources":[
		  {"resource":"pods","responseKind":{"group":"","version":"","kind":"Pod"},"scope":"Namespaced","singularResource":"pod","shortNames":["po"]},
		  {"resource":"events","responseKind":{"group":"","version":"","kind":"Event"},"scope":"Namespaced","singularResource":"event"},
		  {"resource":"nodes","responseKind":{"group":"","version":"","kind":"Node"},"scope":"Cluster","singularResource":"node"}]}]}]}`,
		"/apis": `{"kind":"APIGroupDiscoveryList","items":[
		  {"metadata":{"name":"apps"},"versions":[{"version":"v1","resources":[{"resource":"deployments","responseKind":{"group":"apps","version":"v1","kind":"Deployment"},"scope":"Namespaced","singularResource":"deployment","shortNames":["deploy"]}]}]},
		  {"metadata":{"name":"events.k8s.io"},"versions":[{"version":"v1","resources":[{"resource":"events","responseKind":{"group":"","version":"","kind":"Event"},"scope":"Namespaced"}]}]},
		  {"metadata":{"name":"metrics.k8s.io"},"versions":[{"version":"v1beta1","freshness":"Stale"}]}]}`,
	}
	old = map[string]string{
		"/api":               `{"kind":"APIVersions","versions":["v1"]}`,
		"/api/v1":            `{"groupVersion":"v1","resources":[{"name":"pods","singularName":"","namespaced":true,"kind":"Pod","shortNames":["po"]},{"name":"pods/log","namespaced":true,"kind":"Pod"},{"name":"nodes","kind":"Node"}]}`,
		"/apis":              `{"kind":"APIGroupList","groups":[{"name":"apps","versions":[{"groupVersion":"apps/v1beta1","version":"v1beta1"},{"groupVersion":"apps/v1","version":"v1"}],"preferredVersion":{"groupVersion":"apps/v1","version":"v1"}},{"name":"metrics.k8s.io","versions":[{"groupVersion":"metrics.k8s.io/v1beta1","version":"v1beta1"}]}]}`,
		"/apis/apps/v1beta1": `{"groupVersion":"apps/v1beta1","resources":[{"name":"deployments","namespaced":true,"kind":"Deployment","shortNames":["deploy"]}]}`,
		"/apis/apps/v1":      `{"groupVersion":"apps/v1","resources":[{"name":"deployments","namespaced":true,"kind":"Deployment","shortNames":["deploy"]}]}`,
	}
)

func serverOf(t *testing.T, answers func() map[string]string) (*Cluster, *atomic.Int32) {
	t.Helper()
	asked := &atomic.Int32{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		text, ok := answers()[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, text)
	}))
	t.Cleanup(s.Close)
	c, err := Connect(&rest.Config{Host: s.URL, QPS: -1})
	if err != nil {
		t.Fatal(err)
	}
	return c, asked
}

func TestKindsOfServersOfBothAges(t *testing.T) {
	for name, answers := range map[string]map[string]string{"aggregated": modern, "old": old} {
		t.Run(name, func(t *testing.T) {
			c, asked := serverOf(t, func() map[string]string { return answers })
			for _, k := range []struct{ apiVersion, name, want string }{
				{"v1", "Pod", "/v1, Kind=Pod"},
				{"v1", "po", "/v1, Kind=Pod"},
				{"v1", "deploy", "apps/v1, Kind=Deployment"},
				{"", "deployments", "apps/v1, Kind=Deployment"},
				{"apps/v1", "deployment", "apps/v1, Kind=Deployment"},
				{"", "node", "/v1, Kind=Node"},
			} {
				if gvk, err := c.KindFor(k.apiVersion, k.name); err != nil || gvk.String() != k.want {
					t.Errorf("%s %s is %s (%v), want %s", k.apiVersion, k.name, gvk, err, k.want)
				}
			}
			for kind, scope := range map[string]meta.RESTScopeName{"Pod": meta.RESTScopeNameNamespace, "Node": meta.RESTScopeNameRoot} {
				m, err := c.Mapping(schema.GroupVersionKind{Version: "v1", Kind: kind})
				if err != nil || m.Scope.Name() != scope || m.Resource.Resource != strings.ToLower(kind)+"s" {
					t.Errorf("%s: %+v (%v)", kind, m, err)
				}
			}
			if _, err := c.KindFor("metrics.k8s.io/v1beta1", "PodMetrics"); !meta.IsNoMatchError(err) {
				t.Errorf("a kind of a broken API: %v", err)
			}
			before := asked.Load()
			_, _ = c.KindFor("metrics.k8s.io/v1beta1", "PodMetrics")
			if asked.Load() != before {
				t.Error("the server is asked for an unknown kind again and again")
			}
		})
	}
}

func TestKindDefinedMeanwhile(t *testing.T) {
	answers := modern
	c, _ := serverOf(t, func() map[string]string { return answers })
	foo := schema.GroupVersionKind{Group: "x.io", Version: "v1", Kind: "Foo"}
	if _, err := c.Mapping(schema.GroupVersionKind{Version: "v1", Kind: "Pod"}); err != nil {
		t.Fatal(err)
	}
	answers = map[string]string{"/api": modern["/api"], "/apis": `{"kind":"APIGroupDiscoveryList","items":[{"metadata":{"name":"x.io"},"versions":[{"version":"v1","resources":[{"resource":"foos","responseKind":{"kind":"Foo"},"scope":"Namespaced"}]}]}]}`}
	if m, err := c.Mapping(foo); err != nil || m.Resource.Resource != "foos" {
		t.Errorf("%+v, %v", m, err)
	}
}

func TestServerThatServesNonsense(t *testing.T) {
	for _, text := range []string{"", "<html>", `{"kind":"APIGroupDiscoveryList","items":7}`} {
		c, _ := serverOf(t, func() map[string]string { return map[string]string{"/api": text, "/apis": text} })
		if _, err := c.KindFor("v1", "Pod"); err == nil || meta.IsNoMatchError(err) {
			t.Errorf("%q: %v", text, err)
		}
	}
}
