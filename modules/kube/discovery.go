package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
)

// served is what an API server serves, in the server's order of preference. client-go's
// own discovery links the Go types of every API there is, a fifth of the whole program;
// what is needed of it is two documents.
type served []servedKind

// A servedKind is one kind in one version.
type servedKind struct {
	gvk              schema.GroupVersionKind
	plural, singular string
	short            []string
	namespaced       bool
	categories       []string
}

// mapping finds a kind's resource; exactly the version asked for.
func (s served) mapping(gvk schema.GroupVersionKind) (*meta.RESTMapping, error) {
	for _, k := range s {
		if k.gvk != gvk {
			continue
		}
		m := &meta.RESTMapping{Resource: gvk.GroupVersion().WithResource(k.plural), GroupVersionKind: gvk, Scope: meta.RESTScopeRoot}
		if k.namespaced {
			m.Scope = meta.RESTScopeNamespace
		}
		return m, nil
	}
	return nil, s.noKind(gvk)
}

// called reports whether a kind goes by a name: Deployment, deployments, deploy.
func (k servedKind) called(name string) bool {
	return k.plural == name || k.singular == name || strings.EqualFold(k.gvk.Kind, name) || slices.Contains(k.short, name)
}

// aggregated asks for all groups and versions in one document (Kubernetes 1.26 and
// newer); a server that does not know it answers with the list of groups.
const aggregated = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList," +
	"application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json"

// discover reads what the server serves: the core group's document and the others'.
func discover(ctx context.Context, client rest.Interface) (served, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	var all served
	found := false
	for _, path := range []string{"/api", "/apis"} {
		text, err := client.Get().AbsPath(path).SetHeader("Accept", aggregated).DoRaw(ctx)
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("ask the API server what it serves: %w", explainAPI(err))
		}
		list, err := groups(ctx, client, path, text)
		if err != nil {
			return nil, fmt.Errorf("ask the API server what it serves: %w", err)
		}
		all, found = append(all, list...), true
	}
	if !found {
		return nil, errors.New("what answers is no API server: it serves neither /api nor /apis")
	}
	return all, nil
}

// groups reads the answer to /api or /apis.
func groups(ctx context.Context, client rest.Interface, path string, text []byte) (served, error) {
	var doc struct {
		Kind  string `json:"kind"`
		Items []struct {
			Metadata struct {
				Name string `json:"name"`
			} `json:"metadata"`
			Versions []struct {
				Version   string `json:"version"`
				Resources []struct {
					Resource     string   `json:"resource"`
					Singular     string   `json:"singularResource"`
					Short        []string `json:"shortNames"`
					Scope        string   `json:"scope"`
					Categories   []string `json:"categories"`
					ResponseKind *struct {
						Group, Version, Kind string
					} `json:"responseKind"`
				} `json:"resources"`
			} `json:"versions"`
		} `json:"items"`
		// The two forms of older servers.
		CoreVersions []string          `json:"versions"`
		Groups       []metav1.APIGroup `json:"groups"`
	}
	if err := json.Unmarshal(text, &doc); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	var all served
	for _, g := range doc.Items {
		for _, v := range g.Versions {
			for _, r := range v.Resources {
				if r.ResponseKind == nil || r.ResponseKind.Kind == "" {
					continue
				}
				gvk := schema.GroupVersionKind{
					Group: orElse(r.ResponseKind.Group, g.Metadata.Name), Version: orElse(r.ResponseKind.Version, v.Version), Kind: r.ResponseKind.Kind,
				}
				all = append(all, servedKind{gvk, r.Resource, r.Singular, r.Short, r.Scope == "Namespaced", r.Categories})
			}
		}
	}
	if doc.Kind == "APIGroupDiscoveryList" {
		return all, nil
	}
	for _, version := range doc.CoreVersions {
		all = append(all, versionKinds(ctx, client, path+"/"+version)...)
	}
	for _, g := range doc.Groups {
		preferred := slices.IndexFunc(g.Versions, func(v metav1.GroupVersionForDiscovery) bool { return v.Version == g.PreferredVersion.Version })
		if preferred > 0 {
			g.Versions[0], g.Versions[preferred] = g.Versions[preferred], g.Versions[0]
		}
		for _, v := range g.Versions {
			all = append(all, versionKinds(ctx, client, path+"/"+v.GroupVersion)...)
		}
	}
	return all, nil
}

// versionKinds reads one version of one group. A broken aggregated API must not hide all
// the others: it has no kinds.
func versionKinds(ctx context.Context, client rest.Interface, path string) served {
	text, err := client.Get().AbsPath(path).SetHeader("Accept", "application/json").DoRaw(ctx)
	var list metav1.APIResourceList
	if err != nil || json.Unmarshal(text, &list) != nil {
		return nil
	}
	gv, err := schema.ParseGroupVersion(list.GroupVersion)
	if err != nil {
		return nil
	}
	var all served
	for _, r := range list.APIResources {
		if !strings.Contains(r.Name, "/") {
			all = append(all, servedKind{gv.WithKind(r.Kind), r.Name, r.SingularName, r.ShortNames, r.Namespaced, r.Categories})
		}
	}
	return all
}
