package template_test

import (
	"bufio"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"orch/playbook/jinja/value"
	"orch/playbook/source"
	"orch/playbook/template"
)

// A recording is a line of recorded.jsonl: what ansible-core made of a case.
type recording struct {
	Group, Mode string
	Source      any
	Type, Repr  string
	Error, Msg  string
}

// TestRecorded replays testdata/recorded: what ansible-core 2.18 makes of templates and
// conditions, types included.
func TestRecorded(t *testing.T) {
	t.Setenv("RECORD_ENV", "from the environment")
	os.Unsetenv("RECORD_NOT_SET")
	dir, err := filepath.Abs("testdata/recorded")
	if err != nil {
		t.Fatal(err)
	}
	groups := loadGroups(t, filepath.Join(dir, "cases.yml"))
	engines := map[string]*template.Engine{
		"classic": newEngine(t, template.Options{}), "native": newEngine(t, template.Options{Mode: template.Native}),
	}
	engines["condition"] = engines["classic"]
	n := 0
	for _, rec := range loadRecordings(t, filepath.Join(dir, "recorded.jsonl")) {
		g := groups[rec.Group]
		src, ok := authored(g, rec)
		if !ok {
			t.Errorf("%s: %v is not in cases.yml: run record.py again", rec.Group, rec.Source)
			continue
		}
		n++
		scope := &testScope{vars: g.vars, data: g.data, engine: engines[rec.Mode], site: site(dir)}
		var got value.Value
		if rec.Mode == "condition" {
			got, err = scope.engine.Truth(context.Background(), src, scope)
		} else {
			got, err = scope.engine.Value(context.Background(), src, scope)
		}
		if msg := rec.compare(got, err); msg != "" && !rec.known() {
			t.Errorf("%s, %s: %q\n%s", rec.Group, rec.Mode, rec.Source, msg)
		}
	}
	if n < 300 {
		t.Errorf("only %d cases were replayed", n)
	}
}

// compare returns how a result differs from the recorded one, "" if it does not.
func (r recording) compare(got value.Value, err error) string {
	if r.Error != "" {
		if err == nil {
			return "got " + describe(got) + ", want error: " + r.Msg
		}
		if r.Mode != "condition" && r.Error == "undefined" != (template.IsUndefined(err) != nil) {
			return "got error " + err.Error() + ", want " + r.Error + ": " + r.Msg
		}
		// The words of undefined values are Jinja2's, to the letter.
		want := strings.ReplaceAll(r.Msg, "ansible.parsing.yaml.objects.AnsibleUnicode", "str")
		if r.Error == "undefined" && err.Error() != want {
			return "got error " + err.Error() + ", want " + want
		}
		return ""
	}
	if err != nil {
		return "got error " + err.Error() + ", want " + r.Type + " " + r.Repr
	}
	want := r.Type + " " + r.Repr
	if r.Type == "omit" {
		want = "omit"
	}
	if d := describe(got); d != want {
		return "got  " + d + "\nwant " + want
	}
	return ""
}

func describe(v value.Value) string {
	if template.IsOmit(v) {
		return "omit"
	}
	return v.Type() + " " + value.Repr(v)
}

// A group is an entry of cases.yml.
type group struct{ vars, data, all *value.Dict }

func loadGroups(t *testing.T, path string) map[string]group {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	node, diags := source.ParseOne(path, text)
	if err := diags.Err(); err != nil {
		t.Fatal(err)
	}
	groups := map[string]group{}
	for i, item := range node.Value(source.Author).(*value.List).Items {
		d := item.(*value.Dict)
		name, _ := d.GetStr("name")
		g := group{vars: value.NewDict(0), data: value.NewDict(0), all: d}
		if v, ok := d.GetStr("vars"); ok {
			g.vars = v.(*value.Dict)
		}
		if e := node.Items[i].Get("data"); e.Value != nil {
			g.data = e.Value.Value(source.Data).(*value.Dict)
		}
		groups[value.String(name)] = g
	}
	return groups
}

// authored finds the source of a recording in its group, with its place.
func authored(g group, r recording) (value.Value, bool) {
	list := "templates"
	if r.Mode == "condition" {
		list = "conditions"
	}
	if g.all == nil {
		return nil, false
	}
	v, _ := g.all.GetStr(list)
	items, ok := v.(*value.List)
	if !ok {
		return nil, false
	}
	for _, item := range items.Items {
		if value.ToGo(item) == r.Source {
			return item, true
		}
	}
	return nil, false
}

func loadRecordings(t *testing.T, path string) []recording {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out []recording
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var r recording
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			t.Fatal(err)
		}
		out = append(out, r)
	}
	return out
}

// differences are cases where orch means to differ from ansible-core 2.18.
var differences = map[string]string{
	"{{ [1.5, 2e300 * 1e300] }}":                       "constant folding made a text of it in native mode",
	"{{ [d.keys()] }}":                                 "a view in a list becomes a list in native mode",
	"{{ [range(2)] }}":                                 "a range in a list becomes a list in native mode",
	"{{ lookup('template', 'list.j2') | type_debug }}": "the text's class is Ansible's own affair",
	"'{{ l }}' == \"['hello', 'world']\"":              quotes,
	"'{{ apostrophe }}' == word":                       quotes,
	"'{{ backslash }}' == backslash":                   quotes,
	"'{{ path }}' == path":                             quotes,
	"'{{ quoted_code }}' == ''":                        quotes,
	"{{ out }} == 'hello world'":                       operand,
	"{{ one }} == 'hello'":                             operand,
	"'hel' in {{ one }}":                               operand,
	"{{ lookup_code }} == 'hello'":                     operand,
	"{{ code }}":                                       "data is never an expression",
	"not {{ code }}":                                   "data is never an expression",
	"{{ code }} and true":                              "data is never an expression",
	"word.{{ one }} is defined":                        "data is never a name",
	"n == 5 if t else false":                           "a conditional expression needs no parentheses",
	"(n == 5) if t else false":                         "a conditional expression needs no parentheses",
}

// TestEmbedded shows what orch makes of the differences.
const (
	quotes  = "inside quotes data is text, whatever it looks like"
	operand = "data that is an operand is a value"
)

func (r recording) known() bool {
	source, _ := r.Source.(string)
	_, ok := differences[source]
	return ok && r.Mode != "classic"
}
