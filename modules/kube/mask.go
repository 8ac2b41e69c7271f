package kube

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"sort"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// lastApplied is the annotation in which client-side apply keeps the whole object.
const lastApplied = "kubectl.kubernetes.io/last-applied-configuration"

// noise is what a diff leaves out: it is the server's, not the author's.
func withoutNoise(u *unstructured.Unstructured) map[string]any {
	if u == nil {
		return nil
	}
	o := u.DeepCopy()
	for _, path := range [][]string{
		{"status"},
		{"metadata", "managedFields"},
		{"metadata", "uid"},
		{"metadata", "resourceVersion"},
		{"metadata", "generation"},
		{"metadata", "creationTimestamp"},
		{"metadata", "selfLink"},
		{"metadata", "annotations", lastApplied},
		{"metadata", "annotations", revisionNote},
	} {
		unstructured.RemoveNestedField(o.Object, path...)
	}
	if len(o.GetAnnotations()) == 0 {
		unstructured.RemoveNestedField(o.Object, "metadata", "annotations")
	}
	return o.Object
}

// isSecret reports whether an object's data must never be shown.
func isSecret(u *unstructured.Unstructured) bool {
	return u != nil && u.GetKind() == "Secret" && u.GroupVersionKind().Group == ""
}

// masked hides the data of a Secret behind its size and the start of its hash, so that
// a diff still shows whether it changes. The copy that client-side apply keeps in an
// annotation goes.
func masked(o map[string]any) map[string]any {
	unstructured.RemoveNestedField(o, "metadata", "annotations", lastApplied)
	for _, field := range []string{"data", "stringData"} {
		data, ok := o[field].(map[string]any)
		if !ok {
			continue
		}
		for k, v := range data {
			text, _ := v.(string)
			if field == "data" {
				if raw, err := base64.StdEncoding.DecodeString(text); err == nil {
					text = string(raw)
				}
			}
			sum := sha256.Sum256([]byte(text))
			data[k] = fmt.Sprintf("(%d bytes, sha256 %s)", len(text), hex.EncodeToString(sum[:3]))
		}
	}
	return o
}

// show renders an object for a diff; "" for one that is not there.
func show(u *unstructured.Unstructured) string {
	if u == nil {
		return ""
	}
	o := withoutNoise(u)
	if isSecret(u) {
		o = masked(o)
	}
	text, err := yaml.Marshal(o)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// secretsOf lists the plain values of a Secret: they are hidden in messages.
func secretsOf(objects ...*unstructured.Unstructured) []string {
	var list []string
	for _, u := range objects {
		if !isSecret(u) {
			continue
		}
		for _, field := range []string{"data", "stringData"} {
			data, _, _ := unstructured.NestedMap(u.Object, field)
			for _, v := range data {
				text, _ := v.(string)
				list = append(list, text)
				if raw, err := base64.StdEncoding.DecodeString(text); err == nil && field == "data" {
					list = append(list, string(raw))
				}
			}
		}
	}
	sort.Slice(list, func(i, j int) bool { return len(list[i]) > len(list[j]) })
	return list
}

// hide replaces secrets in a message. Values of fewer than 4 characters are no secrets
// worth making every message unreadable for.
func hide(message string, secrets []string) string {
	for _, s := range secrets {
		if len(s) >= 4 {
			message = strings.ReplaceAll(message, s, "********")
		}
	}
	return message
}
