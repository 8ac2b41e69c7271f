package kube

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/client-go/util/jsonpath"

	"orch/playbook/source"
)

// parsePath reads a JSONPath template, as kubectl get -o jsonpath takes it.
func parsePath(template string) (*jsonpath.JSONPath, error) {
	p := jsonpath.New("path").AllowMissingKeys(true) // kubectl's default
	if err := p.Parse(template); err != nil {
		return nil, fmt.Errorf("%q: %w", template, err)
	}
	return p, nil
}

// plainPath matches the forms of a path to one field that kubectl takes: {.a.b}, {a.b},
// .a.b and a.b.
var plainPath = source.Lazy(`^\{\.?([^{}]+)\}$|^\.?([^{}]+)$`)

// relaxedPath reads a path to a field.
func relaxedPath(path string) (*jsonpath.JSONPath, error) {
	m := plainPath().FindStringSubmatch(path)
	if m == nil {
		return nil, fmt.Errorf("%q is no path, such as .metadata.name", path)
	}
	return parsePath("{." + m[1] + m[2] + "}")
}

// pathText is the text a template makes of an object.
func pathText(template string, o any) (string, error) {
	p, err := parsePath(template)
	if err != nil {
		return "", err
	}
	var b bytes.Buffer
	err = p.Execute(&b, o)
	return b.String(), err
}

// pathValues is what a path leads to: nil for nothing, the value, or a list of several.
func pathValues(path string, o any) (any, error) {
	p, err := relaxedPath(path)
	if err != nil {
		return nil, err
	}
	found, err := p.FindResults(o)
	if err != nil {
		return nil, err
	}
	var values []any
	for _, list := range found {
		for _, v := range list {
			if v.CanInterface() {
				values = append(values, v.Interface())
			}
		}
	}
	switch len(values) {
	case 0:
		return nil, nil
	case 1:
		return values[0], nil
	}
	return values, nil
}

// sortBy sorts objects by a field. kubectl: those without it come first, numbers and
// quantities are compared as such, and numbers within text too (v9 before v10).
func sortBy(list []any, path string) error {
	keys := make(map[int]any, len(list))
	found := false
	order := make([]int, len(list))
	for i, o := range list {
		v, err := pathValues(path, o)
		if err != nil {
			return fmt.Errorf("sort_by: %w", err)
		}
		if several, ok := v.([]any); ok && len(several) > 0 {
			v = several[0]
		}
		keys[i], order[i], found = v, i, found || v != nil
	}
	if !found && len(list) > 0 {
		return fmt.Errorf("sort_by: no object has %s", path)
	}
	var odd error
	slices.SortStableFunc(order, func(i, j int) int {
		n, err := compareValues(keys[i], keys[j])
		odd = cmp.Or(odd, err)
		return n
	})
	if odd != nil {
		return fmt.Errorf("sort_by %s: %w", path, odd)
	}
	sorted := make([]any, len(list))
	for to, from := range order {
		sorted[to] = list[from]
	}
	copy(list, sorted)
	return nil
}

func compareValues(a, b any) (int, error) {
	switch {
	case a == nil && b == nil:
		return 0, nil
	case a == nil:
		return -1, nil
	case b == nil:
		return 1, nil
	}
	switch x := a.(type) {
	case string:
		if y, ok := b.(string); ok {
			return compareText(x, y), nil
		}
	case bool:
		if y, ok := b.(bool); ok {
			return btoi(x) - btoi(y), nil
		}
	}
	x, okX := asFloat(a)
	y, okY := asFloat(b)
	if !okX || !okY {
		return 0, errors.New("neither texts nor numbers, or some of both")
	}
	return cmp.Compare(x, y), nil
}

func asFloat(v any) (float64, bool) {
	switch n := v.(type) {
	case int64:
		return float64(n), true
	case float64:
		return n, true
	}
	return 0, false
}

// compareText compares quantities (500m, 2Gi) by their amount, other texts naturally.
func compareText(a, b string) int {
	x, errX := resource.ParseQuantity(a)
	y, errY := resource.ParseQuantity(b)
	if errX == nil && errY == nil {
		return x.Cmp(y)
	}
	return natural(a, b)
}

// natural compares texts with the numbers in them taken as numbers.
func natural(a, b string) int {
	for a != "" && b != "" {
		x, restA := digits(a)
		y, restB := digits(b)
		if x != "" && y != "" {
			tx, ty := strings.TrimLeft(x, "0"), strings.TrimLeft(y, "0")
			if n := cmp.Or(cmp.Compare(len(tx), len(ty)), strings.Compare(tx, ty), cmp.Compare(len(x), len(y))); n != 0 {
				return n
			}
			a, b = restA, restB
			continue
		}
		if a[0] != b[0] {
			return cmp.Compare(a[0], b[0])
		}
		a, b = a[1:], b[1:]
	}
	return cmp.Compare(len(a), len(b))
}

// digits cuts the number that a text begins with.
func digits(s string) (number, rest string) {
	i := 0
	for i < len(s) && s[i] >= '0' && s[i] <= '9' {
		i++
	}
	return s[:i], s[i:]
}
