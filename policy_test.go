package orch_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sort"
	"strings"
	"sync"
	"testing"
)

// The house rules that a compiler does not hold. A rule that fails says what to do.

const (
	maxFile    = 800 // lines of a file
	maxFunc    = 80  // lines of a function
	maxLong    = 10  // functions that may be longer, marked //policy:long REASON
	modulePath = "orch/"
)

// imports is the import table: what each room may import of ours. A trailing slash
// covers the folders below. "modules/host" may import more libraries than the standard
// one only from hostLibraries.
var imports = map[string][]string{
	"transport":                 {},
	"transport/local":           {"transport"},
	"transport/ssh":             {"transport", "transport/local"},
	"transport/transporttest":   {"transport"},
	"playbook/jinja/value":      {},
	"playbook/jinja":            {"playbook/jinja/value"},
	"playbook/jinja/jinjacases": {"playbook/jinja/jinjatest", "playbook/jinja", "playbook/jinja/value", "playbook/template/"},
	"playbook/jinja/jinjatest":  {"playbook/jinja", "playbook/jinja/value", "playbook/template/", "playbook/pyre"},
	"playbook/pyre":             {},
	"playbook/oracle":           {},
	"playbook/keyval":           {},
	"playbook/vault":            {},
	"playbook/source":           {"playbook/jinja/value"},
	"playbook/settings":         {"playbook/jinja/value", "playbook/source"},
	"playbook/template/":        {"playbook/jinja/", "playbook/pyre", "playbook/vault", "playbook/source", "playbook/keyval", "playbook/template/"},
	"playbook/vars":             {"playbook", "playbook/jinja/", "playbook/source", "playbook/template/", "playbook/vault", "inventory"},
	"inventory":                 {"playbook/jinja/", "playbook/source", "playbook/pyre"},
	"roles":                     {"playbook/source", "playbook/jinja/value"},
	"playbook":                  {"modules/schema", "playbook/source", "playbook/keyval", "playbook/jinja/", "playbook/template", "playbook/vault", "playbook/settings", "roles"},
	"modules":                   {},
	"modules/schema":            {"modules", "playbook/source", "playbook/jinja/value"},
	"modules/host":              {"modules", "playbook/pyre"},
	"modules/moduletest":        {"modules", "modules/", "playbook/source", "playbook/jinja/value"},
	"modules/control":           {"modules", "modules/host", "modules/schema", "playbook/jinja/value", "playbook/source", "transport"},
	"modules/kube":              {"modules/control", "modules", "modules/schema", "playbook/jinja/value", "playbook/pyre", "playbook/source", "transport"},
	"modules/container":         {"modules/control", "modules", "modules/schema", "playbook/jinja/value", "playbook/source", "transport"},
	"modules/target":            {"modules", "modules/host", "transport/", "transport", "modules/target/"},
	"modules/target/":           {"modules", "modules/host", "transport/", "transport", "modules/target/", "modules/target"},
	"playbook/run":              {"modules/", "modules", "playbook/", "playbook", "inventory", "roles", "transport", "transport/"},
	"playbook/report":           {"playbook/run", "playbook/jinja/value", "playbook/source", "modules", "playbook/template/"},
	"playbook/journal":          {"playbook/run", "playbook/jinja/value", "playbook/source", "playbook/vault"},
	"cmd/":                      {"modules/", "modules", "playbook/", "playbook", "inventory", "roles", "transport", "transport/", "cmd/"},
	"cmd/orch-helper":           {"modules", "modules/host", "modules/target", "modules/target/"},
	"examples/":                 {},
	".":                         {},
	"testdata/":                 {"transport", "transport/", "modules/", "testdata/", "playbook/jinja/value"},
}

// heavy are libraries that only the named rooms may link.
var heavy = map[string][]string{
	"k8s.io/":                  {"modules/kube", "transport/kube", "inventory/kube"},
	"github.com/docker/docker": {"modules/container", "transport/docker", "inventory/docker"},
}

// hostLibraries are what modules/host may link beside the standard library.
var hostLibraries = []string{"orch/", "github.com/klauspost/compress", "github.com/ulikunitz/xz", "golang.org/x/sys/unix"}

// hostForbidden is what would let a host module's Plan change the host.
var hostForbidden = []string{"os", "os/exec", "os/user", "syscall", "os/signal", "io/ioutil", "golang.org/x/sys/unix"}

// A sourceFile is one Go file of the project that is no test.
type sourceFile struct {
	path, dir string
	text      string
	ast       *ast.File
}

func load(t *testing.T) ([]sourceFile, *token.FileSet) {
	t.Helper()
	tree, err := loadOnce()
	if err != nil {
		t.Fatal(err)
	}
	return tree.files, tree.fset
}

// A tree is every file of the project, parsed.
type tree struct {
	files []sourceFile
	fset  *token.FileSet
}

var loadOnce = sync.OnceValues(func() (tree, error) {
	root := "."
	fset := token.NewFileSet()
	var files []sourceFile
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name := d.Name(); path != root && (name[0] == '.' || name == "testdata" && filepath.Dir(path) != root) {
				return filepath.SkipDir
			}
			// Modules of their own under testdata are not linked into orch.
			if _, err := os.Stat(filepath.Join(path, "go.mod")); err == nil && path != root {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		file, err := parser.ParseFile(fset, path, text, parser.ParseComments)
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, path)
		files = append(files, sourceFile{rel, filepath.ToSlash(filepath.Dir(rel)), string(text), file})
		return nil
	})
	return tree{files, fset}, err
})

// allowed returns what a folder may import; the longest matching row counts.
func allowed(dir string) ([]string, bool) {
	if row, ok := imports[dir]; ok {
		return row, true
	}
	best := ""
	for key := range imports {
		if strings.HasSuffix(key, "/") && strings.HasPrefix(dir+"/", key) && len(key) > len(best) {
			best = key
		}
	}
	row, ok := imports[best]
	return row, ok
}

func TestImportTable(t *testing.T) {
	files, _ := load(t)
	for _, f := range files {
		row, ok := allowed(f.dir)
		if !ok {
			t.Errorf("%s: folder is not in the import table: add a row and the reason", f.path)
			continue
		}
		for _, spec := range f.ast.Imports {
			path := strings.Trim(spec.Path.Value, `"`)
			for lib, rooms := range heavy {
				if strings.HasPrefix(path, lib) && !slices.Contains(rooms, f.dir) {
					t.Errorf("%s imports %s, which only %s may", f.path, path, strings.Join(rooms, ", "))
				}
			}
			if f.dir == "modules/host" {
				checkHostImport(t, f, path)
			}
			ours, ok := strings.CutPrefix(path, modulePath)
			if !ok || ours == f.dir {
				continue
			}
			if !slices.ContainsFunc(row, func(r string) bool {
				return r == ours || strings.HasSuffix(r, "/") && strings.HasPrefix(ours+"/", r)
			}) {
				t.Errorf("%s imports %s; %s may import %q", f.path, ours, f.dir, row)
			}
		}
	}
}

func checkHostImport(t *testing.T, f sourceFile, path string) {
	t.Helper()
	if slices.Contains(hostForbidden, path) {
		t.Errorf("%s imports %s: a host module reaches its host through modules.View and Target only", f.path, path)
	}
	if strings.Contains(path, ".") && !slices.ContainsFunc(hostLibraries, func(lib string) bool { return strings.HasPrefix(path, lib) }) {
		t.Errorf("%s imports %s, which is not on the list of libraries the helper may link", f.path, path)
	}
}

var forbiddenCall = regexp.MustCompile(`\b(?:os\.(?:Setenv|Chdir|Unsetenv)|syscall\.Umask|unix\.Umask|net\.Dial\w*|net\.Listen\w*)\(`)

func TestHostModulesCannotReachTheHostBehindTheView(t *testing.T) {
	files, _ := load(t)
	for _, f := range files {
		if f.dir != "modules/host" {
			continue
		}
		if m := forbiddenCall.FindString(f.text); m != "" {
			t.Errorf("%s calls %s…): use the View or Target", f.path, m)
		}
	}
}

func TestSizes(t *testing.T) {
	files, fset := load(t)
	var long []string
	for _, f := range files {
		if n := strings.Count(f.text, "\n"); n > maxFile && !generated(f) {
			t.Errorf("%s has %d lines, more than %d: split it by topic", f.path, n, maxFile)
		}
		for _, decl := range f.ast.Decls {
			fn, ok := decl.(*ast.FuncDecl)
			if !ok || fn.Body == nil {
				continue
			}
			n := fset.Position(fn.End()).Line - fset.Position(fn.Pos()).Line
			if n <= maxFunc {
				continue
			}
			if fn.Doc != nil && regexp.MustCompile(`(?m)^//policy:long \S+`).MatchString(docText(fn.Doc)) {
				long = append(long, f.path+":"+fn.Name.Name)
				continue
			}
			t.Errorf("%s: %s has %d lines, more than %d", f.path, fn.Name.Name, n, maxFunc)
		}
	}
	if len(long) > maxLong {
		t.Errorf("%d functions are marked //policy:long, at most %d: %q", len(long), maxLong, long)
	}
}

func docText(g *ast.CommentGroup) string {
	var b strings.Builder
	for _, c := range g.List {
		b.WriteString(c.Text + "\n")
	}
	return b.String()
}

func generated(f sourceFile) bool {
	return regexp.MustCompile(`(?m)^// Code generated .* DO NOT EDIT\.$`).MatchString(f.text)
}

func TestNoInit(t *testing.T) {
	files, fset := load(t)
	for _, f := range files {
		for _, decl := range f.ast.Decls {
			if fn, ok := decl.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
				t.Errorf("%s: init(): wire it in main, in an explicit list", fset.Position(fn.Pos()))
			}
		}
	}
}

func TestEverythingExportedIsDocumented(t *testing.T) {
	files, fset := load(t)
	packages := map[string]bool{}
	for _, f := range files {
		packages[f.dir] = packages[f.dir] || f.ast.Doc != nil
		if f.ast.Name.Name == "main" {
			continue
		}
		for _, decl := range f.ast.Decls {
			for _, name := range undocumented(decl) {
				t.Errorf("%s: exported %s has no doc comment", fset.Position(decl.Pos()), name)
			}
		}
	}
	var bare []string
	for dir, ok := range packages {
		if !ok {
			bare = append(bare, dir)
		}
	}
	sort.Strings(bare)
	if len(bare) > 0 {
		t.Errorf("packages without a doc comment: %q", bare)
	}
}

// undocumented returns the exported names of a declaration that nothing is said about.
func undocumented(decl ast.Decl) []string {
	var names []string
	switch d := decl.(type) {
	case *ast.FuncDecl:
		if d.Name.IsExported() && d.Doc == nil && !method(d) {
			names = append(names, d.Name.Name)
		}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch s := spec.(type) {
			case *ast.TypeSpec:
				if s.Name.IsExported() && d.Doc == nil && s.Doc == nil {
					names = append(names, s.Name.Name)
				}
			case *ast.ValueSpec:
				for _, n := range s.Names {
					if n.IsExported() && d.Doc == nil && s.Doc == nil && s.Comment == nil {
						names = append(names, n.Name)
					}
				}
			}
		}
	}
	return names
}

// method reports whether a function is a method of an unexported type, or one that
// every reader knows: its interface documents it.
func method(d *ast.FuncDecl) bool {
	if d.Recv == nil || len(d.Recv.List) == 0 {
		return false
	}
	typ := d.Recv.List[0].Type
	for {
		switch x := typ.(type) {
		case *ast.StarExpr:
			typ = x.X
			continue
		case *ast.IndexExpr:
			typ = x.X
			continue
		case *ast.IndexListExpr:
			typ = x.X
			continue
		}
		break
	}
	if id, ok := typ.(*ast.Ident); ok && !id.IsExported() {
		return true
	}
	switch d.Name.Name {
	case "Error", "String", "Unwrap", "Type", "Attr", "Len", "Less", "Swap", "Plan", "Close", "Read", "Write", "MarshalJSON", "UnmarshalJSON":
		return true
	}
	return false
}

var later = regexp.MustCompile(`\b(?:TODO|FIXME|XXX)\b`)

func TestNothingIsPutOff(t *testing.T) {
	files, fset := load(t)
	for _, f := range files {
		for _, group := range f.ast.Comments {
			if m := later.FindString(docText(group)); m != "" {
				t.Errorf("%s: %s: do it or file it", fset.Position(group.Pos()), m)
			}
		}
	}
}

var printing = regexp.MustCompile(`\bfmt\.Print|\bos\.Std(?:out|err)\b|\blog\.(?:Print|Fatal)`)

func TestOnlyViewsPrint(t *testing.T) {
	files, _ := load(t)
	for _, f := range files {
		if strings.HasPrefix(f.dir, "cmd/") || f.dir == "playbook/report" || f.ast.Name.Name == "main" {
			continue
		}
		if m := printing.FindString(f.text); m != "" {
			t.Errorf("%s uses %s: emit an event or return a diagnostic", f.path, m)
		}
	}
}

var step = regexp.MustCompile("`([a-z][\\w/]*\\.go):(\\w+)`")

func TestHowARunWorksNamesFunctionsThatExist(t *testing.T) {
	text, err := os.ReadFile("docs/how-a-run-works.md")
	if err != nil {
		t.Fatal(err)
	}
	files, _ := load(t)
	have := map[string]bool{}
	for _, f := range files {
		for _, decl := range f.ast.Decls {
			if fn, ok := decl.(*ast.FuncDecl); ok {
				have[filepath.ToSlash(f.path)+":"+fn.Name.Name] = true
			}
		}
	}
	steps := step.FindAllStringSubmatch(string(text), -1)
	if len(steps) < 10 {
		t.Errorf("only %d steps name a function", len(steps))
	}
	for _, m := range steps {
		if !have[m[1]+":"+m[2]] {
			t.Errorf("docs/how-a-run-works.md names %s:%s, which is not there", m[1], m[2])
		}
	}
}
