package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"orch/modules"
	"orch/modules/control"
	"orch/playbook/jinja/value"
)

// definitions gathers the objects of the task.
func (k *K8s) definitions(ctx context.Context, v *View) ([]*unstructured.Unstructured, error) {
	var objects []*unstructured.Unstructured
	var err error
	switch {
	case len(k.ResourceDefinition) > 0:
		objects, err = inline(k.ResourceDefinition)
	case k.Src != "":
		var text []byte
		if text, err = v.source(ctx, k.Src); err == nil {
			objects, err = parse(k.Src, text)
		}
	case len(k.Template) > 0:
		objects, err = v.templates(ctx, k.Template)
	default:
		if k.State == "absent" && (k.DeleteAll || k.Name == "" || len(k.LabelSelectors) > 0) {
			return nil, nil
		}
		gvk, err := v.cluster.KindFor(k.APIVersion, k.Kind)
		if err != nil {
			return nil, explainAPI(err)
		}
		u := &unstructured.Unstructured{Object: map[string]any{}}
		u.SetGroupVersionKind(gvk)
		u.SetName(k.Name)
		u.SetGenerateName(k.GenerateName)
		objects = []*unstructured.Unstructured{u}
	}
	if err != nil {
		return nil, err
	}
	for _, u := range objects {
		// kubernetes.core: what a definition does not say of itself, the options say.
		if u.GetKind() == "" && k.Kind != "" {
			u.SetKind(k.Kind)
		}
		if u.GetAPIVersion() == "" && k.APIVersion != "" {
			u.SetAPIVersion(k.APIVersion)
		}
		if u.GetKind() == "" || u.GetAPIVersion() == "" {
			return nil, fmt.Errorf("an object needs apiVersion and kind, this one has only %s", keys(u.Object))
		}
		if k.GenerateName != "" && u.GetName() == "" {
			u.SetGenerateName(k.GenerateName)
		}
		if k.Name != "" && u.GetName() == "" && len(objects) == 1 && u.GetGenerateName() == "" {
			u.SetName(k.Name)
		}
		if k.AppendHash {
			if err := appendHash(u); err != nil {
				return nil, err
			}
		}
	}
	return objects, nil
}

// inline reads a definition given in the task: a mapping, a list, or text.
func inline(raw modules.Raw) ([]*unstructured.Unstructured, error) {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return parse("resource_definition", []byte(text))
	}
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) != nil {
		return parse("resource_definition", raw)
	}
	var objects []*unstructured.Unstructured
	for _, item := range list {
		more, err := inline(modules.Raw(item))
		if err != nil {
			return nil, err
		}
		objects = append(objects, more...)
	}
	return objects, nil
}

// source reads a file of the controller or a URL.
func (v *View) source(ctx context.Context, src string) ([]byte, error) {
	if strings.HasPrefix(src, "http://") || strings.HasPrefix(src, "https://") {
		return download(ctx, src)
	}
	path, err := v.site.Find("files", src)
	if err != nil {
		return nil, err
	}
	return v.site.ReadFile(path, true)
}

// templates renders the template option: a path, a mapping with path, or a list.
func (v *View) templates(ctx context.Context, raw modules.Raw) ([]*unstructured.Unstructured, error) {
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) == nil {
		var objects []*unstructured.Unstructured
		for _, item := range list {
			more, err := v.templates(ctx, modules.Raw(item))
			if err != nil {
				return nil, err
			}
			objects = append(objects, more...)
		}
		return objects, nil
	}
	var o struct {
		Path                string `json:"path"`
		NewlineSequence     string `json:"newline_sequence"`
		BlockStartString    string `json:"block_start_string"`
		BlockEndString      string `json:"block_end_string"`
		VariableStartString string `json:"variable_start_string"`
		VariableEndString   string `json:"variable_end_string"`
		TrimBlocks          *bool  `json:"trim_blocks"`
		LstripBlocks        bool   `json:"lstrip_blocks"`
	}
	if json.Unmarshal(raw, &o.Path) != nil {
		if err := json.Unmarshal(raw, &o); err != nil {
			return nil, fmt.Errorf("template wants a path, a mapping with path, or a list: %w", err)
		}
	}
	path, err := v.site.Find("templates", o.Path)
	if err != nil {
		return nil, err
	}
	stand := ""
	if v.check {
		stand = later
	}
	text, err := v.site.Render(ctx, control.Render{
		Path: path, Stand: stand, NewlineSequence: o.NewlineSequence, BlockStart: o.BlockStartString, BlockEnd: o.BlockEndString,
		VariableStart: o.VariableStartString, VariableEnd: o.VariableEndString,
		TrimBlocks: o.TrimBlocks == nil || *o.TrimBlocks, LstripBlocks: o.LstripBlocks,
	})
	if err != nil {
		return nil, err
	}
	s, ok := text.(value.Str)
	if !ok {
		return nil, fmt.Errorf("template %s is known only after other steps have run: a condition or a loop in it is", o.Path)
	}
	return parse(path, []byte(s.S))
}

// later stands in a check run for what an earlier step would have yielded: the digest of
// an image that was not built.
const later = "(known after the run)"

// hasLater reports whether a part of an object is not known yet.
func hasLater(v any) bool {
	switch v := v.(type) {
	case string:
		return strings.Contains(v, later)
	case map[string]any:
		for _, item := range v {
			if hasLater(item) {
				return true
			}
		}
	case []any:
		return slices.ContainsFunc(v, hasLater)
	}
	return false
}

// appendHash completes the name of a ConfigMap or Secret by a hash of its content.
func appendHash(u *unstructured.Unstructured) error {
	if u.GetKind() != "ConfigMap" && u.GetKind() != "Secret" {
		return nil
	}
	text, err := json.Marshal(map[string]any{
		"data": u.Object["data"], "binaryData": u.Object["binaryData"], "stringData": u.Object["stringData"], "name": u.GetName(),
	})
	if err != nil {
		return fmt.Errorf("hash %s: %w", u.GetName(), err)
	}
	h := fnv.New64a()
	_, _ = h.Write(text)
	u.SetName(fmt.Sprintf("%s-%x", u.GetName(), h.Sum64()))
	return nil
}
