package source

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"orch/playbook/jinja/value"
)

var update = flag.Bool("update", false, "rewrite the expected parts of testdata")

// TestMessages reads testdata/*.txtar: a file "in.yml", then "out" with what Format prints.
func TestMessages(t *testing.T) {
	paths, _ := filepath.Glob("testdata/*.txtar")
	if len(paths) == 0 {
		t.Fatal("no cases")
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			ar, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			for i := 0; i+1 < len(ar.Files); i += 2 {
				in, out := ar.Files[i], &ar.Files[i+1]
				data := []byte(strings.NewReplacer("<TAB>", "\t", "<BEL>", "\a", "<FF>", "\xff").Replace(string(in.Data)))
				files := NewFiles()
				files.Add(in.Name, data)
				_, diags := ParseOne(in.Name, data)
				got := diags.Sorted().Format(files)
				if *update {
					out.Data = []byte(got)
					continue
				}
				if diff := cmp.Diff(string(out.Data), got); diff != "" {
					t.Errorf("%s: (-want +got)\n%s", in.Name, diff)
				}
			}
			if *update {
				if err := os.WriteFile(path, txtar.Format(ar), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// TestPlaces checks that every character of every string is found in the file again.
func TestPlaces(t *testing.T) {
	for _, text := range []string{
		"a: b\n", "- a: 'it''s x'\n  b: \"x\"\n", "a: |\n  one\n    two\n\n  three\n", "a: |2\n    one\n  two\n",
		"a: >\n  one\n  two\n\n  three\n    four\n\n    five\n  six\n", "a: >-\n\n  one\n  two\n",
		"a: \"x\\ty\\x41\\u00e9z\\\\w\"\n", "a: \"one\n   two\n\n  three \\\n   four\"\n", "a: 'one\n  two\n\n\n  th''ree'\n",
		"a: one\n  two\n\n  three # c\nb: x\n", "a: !unsafe &x \"one\"\nb: &y\n  !!str two\n", "é: ü ö\n", "a: &x\n  b: c\n",
		"{\"a\": \"bc\", \"d\":\n  [\"e\"]}", "- |\n\n\n  late\n  x\n", "a: x\r\nb: |\r\n  y\r\n  z\r\n",
		"a: \"{{ b }}\\n{{ c }}\"\n",
	} {
		n, diags := ParseOne("F", []byte(text))
		if len(diags) > 0 {
			t.Errorf("%q: %v", text, diags)
			continue
		}
		lines := splitLines(text)
		walk(n, func(s *Node) {
			line, col := 1, 1
			for _, r := range s.Text {
				pos := Locate(s.At, s.Text, line, col)
				if r == '\n' {
					line, col = line+1, 1
					continue
				}
				col++
				row := []rune(lines[pos.Line-1])
				if r > ' ' && r != 'A' && r != 'é' && (pos.Col > len(row) || row[pos.Col-1] != r) {
					t.Errorf("%q: %q of %q is not at %s", text, r, s.Text, Place(pos))
				}
			}
		})
	}
}

func walk(n *Node, visit func(*Node)) {
	if n.Kind == ScalarNode {
		visit(n)
	}
	for _, item := range n.Items {
		walk(item, visit)
	}
	for _, e := range n.Entries {
		walk(e.Key, visit)
		walk(e.Value, visit)
	}
}

func TestModes(t *testing.T) {
	n, _ := ParseOne("F", []byte("a: x\nb: !unsafe y\nc: !unsafe [z]\nd: !vault v\n"))
	d := n.Value(Author).(*value.Dict)
	get := func(k string) value.Value { v, _ := d.GetStr(k); return v }
	if s := get("a").(value.Str); s.From == nil || s.From.Line != 1 || s.From.Col != 4 {
		t.Errorf("a: %+v", s)
	}
	if s := get("b").(value.Str); s.From != nil {
		t.Errorf("an unsafe string may be a template")
	}
	if s := get("c").(*value.List).Items[0].(value.Str); s.From != nil {
		t.Errorf("a string in an unsafe list may be a template")
	}
	if s, ok := get("d").(value.Sealed); !ok || s.From == nil {
		t.Errorf("d: %#v", get("d"))
	}
	if s := n.Dict(Data); s == nil {
		t.Error("no dict")
	} else if v, _ := s.GetStr("a"); v.(value.Str).From != nil {
		t.Error("data has an origin")
	}
}

func TestExpansionIsBounded(t *testing.T) {
	var b strings.Builder
	b.WriteString("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n")
	for i := 1; i < 12; i++ {
		fmt.Fprintf(&b, "a%d: &a%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d, ", i-1), 10), ", "))
	}
	if _, diags := Parse("F", []byte(b.String())); !diags.HasErrors() {
		t.Error("a billion laughs are fine")
	}
}

func TestSuggest(t *testing.T) {
	words := []string{"when", "name", "notify", "with_items", "register"}
	for word, want := range map[string]string{
		"wehn": "when", "Name": "name", "notifiy": "notify", "registr": "register", "zzz": "", "w": "", "when": "",
	} {
		if got := Suggest(word, words); got != want {
			t.Errorf("Suggest(%q) = %q, want %q", word, got, want)
		}
	}
}

func TestSorted(t *testing.T) {
	ds := Diagnostics{
		{Pos: Pos{File: "b", Line: 2}, Msg: "x"},
		{Pos: Pos{File: "a", Line: 9}, Msg: "y"},
		{Pos: Pos{File: "b", Line: 1}, Msg: "z"},
		{Pos: Pos{File: "b", Line: 2}, Msg: "x"},
	}
	if got := ds.Sorted().Error(); got != "b:1: z\nb:2: x\na:9: y" {
		t.Errorf("got %q", got)
	}
}

func TestFilesReadAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.yml")
	files := NewFiles()
	for i := range 3 {
		if err := os.WriteFile(path, []byte(strings.Repeat("a: 1\n", 1)+strings.Repeat("b: 2\n", i)), 0o600); err != nil {
			t.Fatal(err)
		}
		n, _, err := files.ParseOne(path)
		if err != nil || len(n.Entries) != min(i, 1)+1 {
			t.Errorf("round %d: %v, %v", i, n, err)
		}
	}
	if line, ok := files.Line(path, 2); !ok || line != "b: 2" {
		t.Errorf("line 2 is %q", line)
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"a: |2\n   x\n", "{\"a\": [1]}", "a: &x [*x]\n", "\"a\\\n b\"", "? - a\n", "<<: *a\n", "a: >\n\n x\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		docs, diags := Parse("F", []byte(text))
		files := NewFiles()
		files.Add("F", []byte(text))
		_ = diags.Format(files)
		for _, n := range docs {
			_ = n.Value(Author)
			walk(n, func(s *Node) { _ = Locate(s.At, s.Text, 2, 3) })
		}
	})
}

func BenchmarkParse(b *testing.B) {
	text := []byte(strings.Repeat("- name: install {{ x }}\n  apt:\n    name: \"{{ item }}\"\n    state: present\n  when: a is defined\n", 1500))
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if _, diags := Parse("F", text); len(diags) > 0 {
			b.Fatal(diags)
		}
	}
}

func TestDiagnosticForms(t *testing.T) {
	files := NewFiles()
	files.Add("x.yml", []byte("short\n"+strings.Repeat("é", 300)+"\n"))
	d := Diagnostic{
		Pos: Pos{File: "x.yml", Line: 2, Col: 250}, Len: 3, Msg: "wrong", Hint: "right\nor left", Severity: Warning, Rule: "r",
		Related: []Diagnostic{{Pos: Pos{File: "x.yml", Line: 1, Col: 1}, Msg: "here"}},
	}
	text := d.Format(files)
	for _, part := range []string{"x.yml:2:250: warning: wrong\n", "^~~\n", "x.yml:1:1: here\n1 | short\n", "hint: right\nhint: or left"} {
		if !strings.Contains(text, part) {
			t.Errorf("%q is not in\n%s", part, text)
		}
	}
	raw, err := json.Marshal(Diagnostics{d})
	want := `[{"severity":"warning","file":"x.yml","line":2,"column":250,"length":3,"message":"wrong","hint":"right\nor left","rule":"r",` +
		`"related":[{"severity":"error","file":"x.yml","line":1,"column":1,"message":"here"}]}]`
	if err != nil || string(raw) != want {
		t.Errorf("JSON: %s, %v", raw, err)
	}
	if ds := (Diagnostics{d}); ds.Err() != nil || ds.HasErrors() || len(ds.Only(Warning)) != 1 {
		t.Error("a warning is taken for an error")
	}
	files.Hide("x.yml")
	if strings.Contains(d.Format(files), "short") {
		t.Error("a hidden file's line is shown")
	}
}
