package moduletest

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/pmezard/go-difflib/difflib"
	"github.com/rogpeppe/go-internal/txtar"
	"gopkg.in/yaml.v3"

	"orch/modules"
	"orch/modules/schema"
	"orch/playbook/jinja/value"
	"orch/playbook/source"
)

var update = flag.Bool("update", false, "rewrite what the module cases expect")

// A Prepare readies the host of a case, and gives view and target of its module's world.
type Prepare func(h *Host) (view, target any)

// Run runs every case under dir, a txtar file each:
//
//	-- task.yml --     the module's name and its arguments
//	-- host --         see Host.Script
//	-- /etc/x 0600 --  a file of the host; "/srv/" a folder, "/a -> b" a link
//	-- http GET /x --  an answer of http://web/
//	-- source NAME --  content of the controller; sha1:NAME in task.yml is its checksum
//	-- want --         the plan, the result, what was done; rewritten by -update
//	-- want /etc/x --  the content of a file that was written
//
// Each case is planned on a host that must not change, run, and planned again: then no
// Change step may be left that is not marked Always.
func Run(t *testing.T, dir string, table schema.Table, prepare Prepare) {
	t.Helper()
	reg, err := schema.NewRegistry(table)
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*", "*.txtar"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases under %s: %v", dir, err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(strings.TrimPrefix(file, dir+"/"), ".txtar")
		t.Run(name, func(t *testing.T) { runFile(t, reg, file, prepare) })
	}
}

func runFile(t *testing.T, reg *schema.Registry, file string, prepare Prepare) {
	ar, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	c, err := newCase(ar, reg, prepare)
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	c.host.Unexpected = func(what string) { t.Errorf("unexpected %s", what) }
	got := c.run(t)
	if *update {
		ar.Files = append(slices.DeleteFunc(ar.Files, isWant), got...)
		if err := os.WriteFile(file, txtar.Format(ar), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want := map[string]string{}
	for _, f := range ar.Files {
		if isWant(f) {
			want[f.Name] = string(f.Data)
		}
	}
	for _, f := range got {
		if want[f.Name] != string(f.Data) {
			t.Errorf("%s:\n%s", f.Name, lineDiff(want[f.Name], string(f.Data)))
		}
		delete(want, f.Name)
	}
	for name := range want {
		t.Errorf("%s: there is no such file", name)
	}
}

func isWant(f txtar.File) bool { return f.Name == "want" || strings.HasPrefix(f.Name, "want ") }

type testCase struct {
	spec         *schema.Spec
	args         *value.Dict
	host         *Host
	view, target any
	before       map[string]file
}

func newCase(ar *txtar.Archive, reg *schema.Registry, prepare Prepare) (*testCase, error) {
	h := NewHost()
	c := &testCase{host: h}
	task := ""
	web := map[string][]byte{}
	sums := map[string]string{}
	for _, f := range ar.Files {
		word, rest, _ := strings.Cut(f.Name, " ")
		switch {
		case f.Name == "task.yml":
			task = string(f.Data)
		case f.Name == "host":
			if err := h.Script(string(f.Data)); err != nil {
				return nil, err
			}
		case word == "http":
			web[rest] = f.Data
		case word == "source":
			sums[rest] = sha1Hex(f.Data)
			h.Sources[sums[rest]] = f.Data
		case strings.HasPrefix(f.Name, "/"):
			if err := h.addSection(f.Name, f.Data); err != nil {
				return nil, err
			}
		}
	}
	if len(web) > 0 {
		h.Serve("web:80", respond(web))
	}
	for name, sum := range sums {
		task = strings.ReplaceAll(task, "sha1:"+name, sum)
	}
	c.view, c.target = h, h
	if prepare != nil {
		c.view, c.target = prepare(h)
	}
	c.before = h.snapshot()
	return c, c.parse(task, reg)
}

func (c *testCase) parse(task string, reg *schema.Registry) error {
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(task), &doc); err != nil {
		return err
	}
	v, err := FromYAML(&doc)
	if err != nil {
		return err
	}
	d, ok := v.(*value.Dict)
	if !ok || d.Len() != 1 {
		return fmt.Errorf("task.yml must be one module")
	}
	for k, args := range d.All() {
		name := k.(value.Str).S
		if c.spec, ok = reg.Lookup(name, nil); !ok {
			return fmt.Errorf("no module %q", name)
		}
		switch args := args.(type) {
		case *value.Dict:
			c.args = args
		case value.Str:
			c.args = value.D(c.spec.FreeForm, args)
		default:
			c.args = value.NewDict(0)
		}
	}
	return nil
}

func (h *Host) snapshot() map[string]file {
	all := map[string]file{}
	for p, f := range h.files {
		all[p] = *f
	}
	return all
}

// run gives the want sections.
func (c *testCase) run(t *testing.T) []txtar.File {
	var b strings.Builder
	module, diags := c.spec.Decode(c.args, nil)
	for _, d := range diags {
		word := "error: "
		if d.Severity == source.Warning {
			word = "warning: "
		}
		b.WriteString(word + d.Msg + "\n")
	}
	if module == nil {
		return []txtar.File{{Name: "want", Data: []byte(b.String())}}
	}
	ctx := context.Background()
	c.host.Freeze(true)
	res, err := c.spec.Run(ctx, module, c.view, nil, modules.Options{Check: true, Diff: true})
	if err != nil {
		t.Fatalf("plan: %v", err)
	}
	c.host.Freeze(false)
	writePlan(&b, res)
	planned := res
	if res, err = c.spec.Run(ctx, c.decode(t), c.view, c.target, modules.Options{Diff: true}); err != nil {
		t.Fatalf("run: %v", err)
	}
	writeResult(&b, res)
	for _, line := range c.host.Did {
		b.WriteString("did: " + line + "\n")
	}
	files := append([]txtar.File{{Name: "want", Data: []byte(b.String())}}, c.written()...)
	if res.Failure == nil {
		c.again(t, planned)
	}
	return files
}

func (c *testCase) decode(t *testing.T) any {
	module, diags := c.spec.Decode(c.args, nil)
	if module == nil {
		t.Fatal(diags)
	}
	return module
}

func (c *testCase) again(t *testing.T, planned modules.Result) {
	c.host.Freeze(true)
	res, err := c.spec.Run(context.Background(), c.decode(t), c.view, nil, modules.Options{Check: true})
	if err != nil {
		t.Fatalf("second plan: %v", err)
	}
	for _, s := range res.Steps {
		if s.Effect == modules.Change && !s.Always {
			t.Errorf("the second plan would still %s", s.Title)
		}
	}
	if res.Failure != nil && planned.Failure == nil {
		t.Errorf("the second plan fails: %s", res.Failure.Msg)
	}
}

func writePlan(b *strings.Builder, res modules.Result) {
	for _, s := range res.Steps {
		b.WriteString([]string{"change: ", "maybe: ", "act: "}[s.Effect] + s.Title + "\n")
		if s.Diff == nil {
			continue
		}
		text := s.Diff.Prepared
		if text == "" {
			text = lineDiff(s.Diff.Before, s.Diff.After)
		}
		for line := range strings.Lines(text) {
			b.WriteString("  " + strings.TrimSuffix(line, "\n") + "\n")
		}
	}
	if len(res.Unknown) > 0 {
		b.WriteString("after: " + strings.Join(res.Unknown, ", ") + "\n")
	}
}

// lineDiff shows the lines that differ and none around them.
func lineDiff(before, after string) string {
	var b strings.Builder
	x, y := splitLines(before), splitLines(after)
	for _, op := range difflib.NewMatcher(x, y).GetOpCodes() {
		if op.Tag == 'e' {
			continue
		}
		for _, line := range x[op.I1:op.I2] {
			b.WriteString("-" + line + "\n")
		}
		for _, line := range y[op.J1:op.J2] {
			b.WriteString("+" + line + "\n")
		}
	}
	return b.String()
}

func splitLines(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(text, "\n"), "\n")
}

// times are what differs from run to run.
var (
	times  = regexp.MustCompile(`"(start|end|stop|delta)":"[^"]*"`)
	paused = regexp.MustCompile(`Paused for [0-9.]+`)
)

func writeResult(b *strings.Builder, res modules.Result) {
	word := "ok"
	switch {
	case res.Failure != nil:
		word = "failed: " + res.Failure.Msg
	case res.Skipped:
		word = "skipped: " + res.Msg
	case res.Changed:
		word = "changed"
	}
	b.WriteString("result: " + word + "\n")
	for _, w := range res.Warnings {
		b.WriteString("warning: " + w + "\n")
	}
	var out map[string]json.RawMessage
	if json.Unmarshal(res.Out, &out) != nil {
		return
	}
	names := make([]string, 0, len(out))
	for k := range out {
		names = append(names, k)
	}
	slices.Sort(names)
	for _, k := range names {
		line := fmt.Sprintf("%q:%s", k, out[k])
		line = times.ReplaceAllString(line, `"$1":"…"`)
		line = paused.ReplaceAllString(line, "Paused for …")
		b.WriteString("out: " + line + "\n")
	}
}

// written lists the files whose content the run changed.
func (c *testCase) written() []txtar.File {
	var files []txtar.File
	for p, f := range c.host.files {
		old, was := c.before[p]
		if f.mode.IsRegular() && (!was || string(old.data) != string(f.data)) {
			data := f.data
			name := "want " + p
			if len(data) > 0 && data[len(data)-1] != '\n' {
				name += " nonl"
				data = append(slices.Clone(data), '\n')
			}
			files = append(files, txtar.File{Name: name, Data: data})
		}
	}
	slices.SortFunc(files, func(a, b txtar.File) int { return strings.Compare(a.Name, b.Name) })
	return files
}

// FromYAML turns a YAML node into a value of plain data.
func FromYAML(n *yaml.Node) (value.Value, error) {
	switch n.Kind {
	case yaml.DocumentNode:
		return FromYAML(n.Content[0])
	case yaml.SequenceNode:
		list := value.NewList()
		for _, item := range n.Content {
			v, err := FromYAML(item)
			if err != nil {
				return nil, err
			}
			list.Items = append(list.Items, v)
		}
		return list, nil
	case yaml.MappingNode:
		d := value.NewDict(len(n.Content) / 2)
		for i := 0; i+1 < len(n.Content); i += 2 {
			v, err := FromYAML(n.Content[i+1])
			if err != nil {
				return nil, err
			}
			d.SetStr(n.Content[i].Value, v)
		}
		return d, nil
	}
	var v any
	if err := n.Decode(&v); err != nil {
		return nil, err
	}
	switch v := v.(type) {
	case nil:
		return value.None{}, nil
	case bool:
		return value.Bool(v), nil
	case int:
		return value.Int(v), nil
	case float64:
		return value.Float(v), nil
	}
	return value.S(n.Value), nil
}
