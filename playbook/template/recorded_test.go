package template_test

import (
	"bufio"
	"context"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"reflect"
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

	strict bool // recorded from ansible-core 2.19
}

// TestRecorded replays testdata/recorded: what ansible-core 2.18 makes of templates and
// conditions, types included.
func TestRecorded(t *testing.T) {
	r := newReplay(t, map[string]template.Mode{
		"classic": template.Classic, "native": template.Native, "condition": template.Classic,
	}, "cases.yml")
	r.run("recorded.jsonl", 800, func(rec recording) bool {
		source, _ := rec.Source.(string)
		_, ok := differences[source]
		return ok && rec.Mode != "classic"
	})
}

// TestStrict replays what ansible-core 2.19 makes of them: --strict.
func TestStrict(t *testing.T) {
	r := newReplay(t, map[string]template.Mode{"strict": template.Strict, "condition": template.Strict}, "cases.yml", "strict.yml")
	r.run("strict.jsonl", 800, func(rec recording) bool {
		source, _ := rec.Source.(string)
		_, ok := strictDifferences[source]
		return ok
	})
}

// A replay runs recorded cases anew.
type replay struct {
	*testing.T
	dir     string
	groups  map[string]group
	engines map[string]*template.Engine
}

func newReplay(t *testing.T, modes map[string]template.Mode, cases ...string) *replay {
	t.Helper()
	t.Setenv("RECORD_ENV", "from the environment")
	os.Unsetenv("RECORD_NOT_SET")
	dir, err := filepath.Abs("testdata/recorded")
	if err != nil {
		t.Fatal(err)
	}
	r := &replay{T: t, dir: dir, groups: map[string]group{}, engines: map[string]*template.Engine{}}
	for mode, m := range modes {
		r.engines[mode] = newEngine(t, template.Options{Mode: m})
	}
	for _, name := range cases {
		maps.Copy(r.groups, loadGroups(t, filepath.Join(dir, name)))
	}
	return r
}

func (r *replay) run(file string, least int, known func(recording) bool) {
	r.Helper()
	recs := loadRecordings(r.T, filepath.Join(r.dir, file))
	if len(recs) < least {
		r.Errorf("only %d cases in %s", len(recs), file)
	}
	for _, rec := range recs {
		g := r.groups[rec.Group]
		rec.strict = r.engines["strict"] != nil
		src, ok := authored(g, rec)
		if !ok {
			r.Errorf("%s: %v is in no file of cases: record it again", rec.Group, rec.Source)
			continue
		}
		scope := &testScope{vars: g.vars, data: g.data, engine: r.engines[rec.Mode], site: site(r.dir)}
		got, err := value.Value(nil), error(nil)
		if rec.Mode == "condition" {
			got, err = scope.engine.Truth(context.Background(), src, scope)
		} else {
			got, err = scope.engine.Value(context.Background(), src, scope)
		}
		if msg := rec.compare(got, err); msg != "" && !known(rec) {
			r.Errorf("%s, %s: %q\n%s", rec.Group, rec.Mode, rec.Source, msg)
		}
	}
}

// compare returns how a result differs from the recorded one, "" if it does not.
func (r recording) compare(got value.Value, err error) string {
	if r.Error != "" {
		if err == nil {
			return "got " + describe(got) + ", want error: " + r.Msg
		}
		if (r.Mode != "condition" || r.strict) && r.Error == "undefined" != (template.IsUndefined(err) != nil) {
			return "got error " + err.Error() + ", want " + r.Error + ": " + r.Msg
		}
		if r.strict {
			return "" // the words are 2.19's own
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
		if reflect.DeepEqual(plainJSON(value.ToGo(item)), r.Source) {
			return item, true
		}
	}
	return nil, false
}

// plainJSON is v as JSON reads it.
func plainJSON(v any) any {
	text, err := json.Marshal(v)
	if err != nil {
		return nil
	}
	var out any
	_ = json.Unmarshal(text, &out)
	return out
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

// strictDifferences are cases where orch --strict means to differ from ansible-core 2.19.
var strictDifferences = map[string]string{
	"{{ list_with_undefined[0] }}":                               "a variable is templated whole, as in 2.18",
	"{{ list_with_undefined | default('caught') }}":              "a variable is templated whole, as in 2.18",
	"{{ lookup('password', '/dev/null', nooption=1) | length }}": "an option without effect is refused",
	"{{ 1 if not t }}":  elseless,
	"x{{ 1 if not t }}": elseless,
	"{{ l.__class__ }}": "no attribute reaches an interpreter: there is no sandbox to keep",
	"{{ lookup('first_found', {'files': 'gone.txt,two.txt'}) | basename }}": "an option that is a list reads a text as one",
	"{{ lookup('first_found', files=['gone.txt', 'two.txt']) | basename }}": "the option names files with and without terms",
}

const elseless = "what has no else is undefined, printed or not"
