package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"orch/playbook/source"
)

// ConflictRule says what happens to fields that another manager owns.
type ConflictRule struct {
	// The other manager; * stands for any text.
	Manager string
	// The field as the server names it, .spec.replicas; * stands for any text.
	Field string
	// Take the field over, or yield: leave it out of what is applied.
	Action string `orch:"required,enum=take|yield"`
}

func (r ConflictRule) matches(manager, field string) bool {
	return (r.Manager == "" || glob(r.Manager, manager)) && (r.Field == "" || glob(r.Field, field))
}

// glob matches with * alone: the other signs of path.Match stand in field names.
func glob(pattern, text string) bool {
	escaped := strings.NewReplacer(`\`, `\\`, "?", `\?`, "[", `\[`, "/", "\x00").Replace(pattern)
	ok, err := path.Match(escaped, strings.ReplaceAll(text, "/", "\x00"))
	return err == nil && ok
}

// A conflict is a field another manager owns.
type conflict struct{ manager, field string }

var conflictManager = source.Lazy(`^conflict with "([^"]*)"`)

// conflictsOf reads the conflicts of a refused apply.
func conflictsOf(err error) []conflict {
	var status apierrors.APIStatus
	if !errors.As(err, &status) || status.Status().Details == nil {
		return nil
	}
	var list []conflict
	for _, c := range status.Status().Details.Causes {
		if c.Type != metav1.CauseTypeFieldManagerConflict {
			continue
		}
		manager := ""
		if m := conflictManager().FindStringSubmatch(c.Message); m != nil {
			manager = m[1]
		}
		list = append(list, conflict{manager, c.Field})
	}
	return list
}

// apply is one server-side apply, and a second one when the rules settle its conflicts.
func (w writer) apply(ctx context.Context, res dynamic.ResourceInterface, it *item, dryRun []string) (*unstructured.Unstructured, error) {
	after, err := w.applyOnce(ctx, res, it, w.force, dryRun)
	if err == nil || len(w.rules) == 0 {
		return after, err
	}
	list := conflictsOf(err)
	yields := make([]conflict, 0, len(list))
	for _, c := range list {
		rule, ok := w.rule(c)
		if !ok {
			return nil, err
		}
		if rule.Action == "yield" {
			yields = append(yields, c)
		}
	}
	if len(list) == 0 {
		return nil, err
	}
	for _, c := range yields {
		if !dropField(it.want.Object, c.field) {
			return nil, fmt.Errorf("%w\nhint: %s cannot be yielded: it is no single field of the definition", explainAPI(err), c.field)
		}
		it.notes = append(it.notes, fmt.Sprintf("%s is left to %s (conflicts)", c.field, c.manager))
	}
	return w.applyOnce(ctx, res, it, true, dryRun)
}

func (w writer) rule(c conflict) (ConflictRule, bool) {
	for _, r := range w.rules {
		if r.matches(c.manager, c.field) {
			return r, true
		}
	}
	return ConflictRule{}, false
}

func (w writer) applyOnce(ctx context.Context, res dynamic.ResourceInterface, it *item, force bool, dryRun []string) (*unstructured.Unstructured, error) {
	body, err := json.Marshal(it.want.Object)
	if err != nil {
		return nil, fmt.Errorf("encode: %w", err)
	}
	// ApplyOptions have no field validation, the patch that Apply is does.
	return res.Patch(ctx, it.id.Name, types.ApplyPatchType, body, metav1.PatchOptions{
		DryRun: dryRun, Force: &force, FieldManager: w.manager, FieldValidation: w.validation,
	})
}

// dropField removes what the server calls field from a definition:
// .spec.template.spec.containers[name="web"].image. A name in it may hold dots, so the
// definition's own names are tried.
func dropField(o map[string]any, field string) bool {
	for name, inner := range o {
		rest, ok := strings.CutPrefix(field, "."+name)
		if !ok {
			continue
		}
		if rest == "" {
			delete(o, name)
			return true
		}
		switch v := inner.(type) {
		case map[string]any:
			if rest[0] == '.' && dropField(v, rest) {
				return true
			}
		case []any:
			if left, ok := dropItem(v, rest); ok {
				o[name] = left
				return true
			}
		}
	}
	return false
}

// dropItem removes from a list what field, which begins with [ and the keys of an item,
// names: the item itself, or a field of it.
func dropItem(list []any, field string) ([]any, bool) {
	keys, rest, ok := itemKeys(field)
	if !ok {
		return nil, false
	}
	for i, item := range list {
		if !keys.of(item) {
			continue
		}
		if rest == "" {
			return append(list[:i:i], list[i+1:]...), true
		}
		m, ok := item.(map[string]any)
		return list, ok && rest[0] == '.' && dropField(m, rest)
	}
	return nil, false
}

// listKeys identify an item of a list: fields by name, or under "" the item itself.
type listKeys map[string]any

// itemKeys reads [name="web"], [containerPort=80,protocol="TCP"] or [="a"].
func itemKeys(field string) (listKeys, string, bool) {
	rest, ok := strings.CutPrefix(field, "[")
	keys := listKeys{}
	for ok {
		name, after, found := strings.Cut(rest, "=")
		if !found {
			return nil, "", false
		}
		dec := json.NewDecoder(strings.NewReader(after))
		dec.UseNumber()
		var v any
		if dec.Decode(&v) != nil {
			return nil, "", false
		}
		keys[name] = normalize(v)
		switch rest = after[dec.InputOffset():]; {
		case strings.HasPrefix(rest, "]"):
			return keys, rest[1:], true
		case strings.HasPrefix(rest, ","):
			rest = rest[1:]
		default:
			return nil, "", false
		}
	}
	return nil, "", false
}

func (k listKeys) of(item any) bool {
	if v, itself := k[""]; itself {
		return item == v
	}
	m, ok := item.(map[string]any)
	for name, v := range k {
		have, found := m[name]
		// A protocol the definition leaves out is the server's default, not another one.
		ok = ok && (found && have == v || !found && name == "protocol" && v == "TCP")
	}
	return ok
}
