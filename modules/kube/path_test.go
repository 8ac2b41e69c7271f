package kube

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// Paths to a field take kubectl's forms; what they lead to keeps its type.
func TestPathValues(t *testing.T) {
	o := document(t, `{kind: Pod, spec: {num: 2, flag: true, containers: [{name: a, image: x}, {name: b}]}, metadata: {labels: {a.b/c: x1}}}`).Object
	for path, want := range map[string]string{
		".kind": `"Pod"`, "kind": `"Pod"`, "{.kind}": `"Pod"`, "{kind}": `"Pod"`,
		".spec.num": `2`, ".spec.flag": `true`, ".spec.none.at.all": `null`,
		".spec.containers[*].name":         `["a","b"]`,
		".spec.containers[0].name":         `"a"`,
		".spec.containers[*].image":        `"x"`,
		`.spec.containers[?(@.name=="b")]`: `{"name":"b"}`,
		`.metadata.labels.a\.b/c`:          `"x1"`,
		".spec.containers":                 `[{"image":"x","name":"a"},{"name":"b"}]`,
		"..name":                           `["a","b"]`,
	} {
		v, err := pathValues(path, o)
		if text, _ := json.Marshal(v); err != nil || string(text) != want {
			t.Errorf("%s: %s, %v, want %s", path, text, err, want)
		}
	}
	for path, want := range map[string]string{
		".spec.containers[7].name": "out of bounds", "{.a}{.b}": "is no path", ".spec[": "unterminated", "": "is no path",
	} {
		if _, err := pathValues(path, o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", path, err, want)
		}
	}
}

// kubectl get --sort-by: what is not there first, numbers and quantities by their amount,
// numbers in texts too.
func TestSortBy(t *testing.T) {
	for _, c := range []struct{ values, want string }{
		{`["b","a",null,"c"]`, `[<nil> a b c]`},
		{`[10,9,8.5]`, `[8.5 9 10]`},
		{`["v10","v9","v9a","v010","v1.2"]`, `[v1.2 v9 v9a v10 v010]`},
		{`["2Gi","500Mi","1G"]`, `[500Mi 1G 2Gi]`},
		{`["10","9"]`, `[9 10]`},
		{`[true,false]`, `[false true]`},
		{`["2026-05-02T00:00:00Z","2026-05-01T23:00:00Z"]`, `[2026-05-01T23:00:00Z 2026-05-02T00:00:00Z]`},
		{`[null,null]`, `sort_by: no object has .key`},
		{`[1,"a"]`, `neither texts nor numbers`},
		{`[]`, `[]`},
	} {
		var values, list []any
		if err := json.Unmarshal([]byte(c.values), &values); err != nil {
			t.Fatal(err)
		}
		for _, v := range values {
			list = append(list, map[string]any{"key": v})
		}
		got := ""
		if err := sortBy(list, ".key"); err != nil {
			got = err.Error()
		} else {
			for i, o := range list {
				values[i] = o.(map[string]any)["key"]
			}
			got = fmt.Sprint(values)
		}
		if !strings.Contains(got, c.want) {
			t.Errorf("%s: %s, want %s", c.values, got, c.want)
		}
	}
}

func TestNearestTags(t *testing.T) {
	for _, c := range []struct{ tag, tags, want string }{
		{"1.9.3", "1.8.0 1.9.1 1.9.2 latest", "1.9.2 1.9.1 1.8.0"},
		{"1.9.3", "1.9.9 1.9.10 1.9.11 1.9.2", "1.9.11 1.9.10 1.9.9"},
		{"latset", "1 latest", "latest 1"},
		{"1", "1 2", ""},
		{"1", "", ""},
	} {
		if got := strings.Join(nearest(c.tag, strings.Fields(c.tags)), " "); got != c.want {
			t.Errorf("%s of %s: %s, want %s", c.tag, c.tags, got, c.want)
		}
	}
	for _, image := range []string{"web:1", "lab/web:1", "registry.example/web", "registry.example/web:1@sha256:abc", "localhost:1/web:1"} {
		if got := nearestTags(t.Context(), image); got != nil {
			t.Errorf("%s: %q", image, got)
		}
	}
}

func TestRequired(t *testing.T) {
	deployment := `{kind: Deployment, spec: {replicas: %s, strategy: {type: RollingUpdate, rollingUpdate: {maxUnavailable: %s}}}}`
	for _, c := range []struct {
		required, object string
		need             int64
		part             bool
	}{
		{"full", fmt.Sprintf(deployment, "10", "3"), 0, false},
		{"", fmt.Sprintf(deployment, "10", "3"), 0, false},
		{"90%", fmt.Sprintf(deployment, "11", "3"), 10, true},
		{"1%", fmt.Sprintf(deployment, "1", "3"), 1, true},
		{"100%", fmt.Sprintf(deployment, "10", "3"), 10, true},
		{"max_unavailable", fmt.Sprintf(deployment, "10", "3"), 7, true},
		{"max_unavailable", fmt.Sprintf(deployment, "10", "25%"), 8, true},
		{"max_unavailable", fmt.Sprintf(deployment, "2", "9"), 0, true},
		{"max_unavailable", `{kind: Deployment, spec: {replicas: 10, strategy: {type: RollingUpdate}}}`, 8, true},
		{"max_unavailable", `{kind: Deployment, spec: {replicas: 10, strategy: {type: Recreate}}}`, 0, false},
		{"max_unavailable", `{kind: StatefulSet, spec: {replicas: 3, updateStrategy: {type: RollingUpdate}}}`, 2, true},
		{"max_unavailable", `{kind: DaemonSet, spec: {updateStrategy: {type: RollingUpdate, rollingUpdate: {maxUnavailable: 10%}}}, status: {desiredNumberScheduled: 15}}`, 13, true},
	} {
		r, err := parseRequired(c.required)
		if err != nil {
			t.Fatal(err)
		}
		u := document(t, c.object)
		if need, part := r.of(u.GetKind(), object{u.Object}); need != c.need && part || part != c.part {
			t.Errorf("%s of %s: %d %v, want %d %v", c.required, c.object, need, part, c.need, c.part)
		}
	}
	for _, wrong := range []string{"most", "0%", "101%", "90", "-1%"} {
		if _, err := parseRequired(wrong); err == nil {
			t.Errorf("%q is taken", wrong)
		}
	}
}
