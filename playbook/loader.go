package playbook

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"runtime"

	"golang.org/x/sync/errgroup"

	"orch/playbook/jinja/value"
	"orch/playbook/source"
	"orch/roles"
)

// A Config is what loading depends on. All fields may be left empty: what is missing is
// not checked, or is an error where a playbook needs it.
type Config struct {
	// Files reads and remembers files; nil makes a new registry.
	Files *source.Files
	// Modules knows the modules; nil accepts any name.
	Modules Modules
	// Templates parses templates and conditions for mistakes; nil checks none.
	Templates Checker
	// Lookup reports whether there is a lookup of that name, for with_…; nil: any.
	Lookup func(name string) bool
	// ActionGroup reports whether there is a group of modules of that full name, for
	// module_defaults; nil: any.
	ActionGroup func(name string) bool
	// Static templates what must be known while loading: the file of import_tasks, the
	// name of import_role, import_playbook. t is the import, nil for import_playbook. nil
	// refuses templates there.
	Static func(p *Play, t *Task, v value.Value) (value.Value, error)
	// OpenVault decrypts the text of an encrypted file; nil: there are no passwords.
	OpenVault func(text []byte) ([]byte, error)
	// Roles finds roles and collections.
	Roles roles.Finder
	// Library are the folders of executable modules (ANSIBLE_LIBRARY); library/ beside a
	// playbook and in a role is always looked at.
	Library []string

	// DuplicateKeys says what a key given twice is: "warn" (""), "error" or "ignore".
	DuplicateKeys string
	// LenientTasks makes an unknown key of a task a warning
	// (invalid_task_attribute_failed = false).
	LenientTasks bool
	// Deferred leaves to the run what ansible-core only notices there: wrong arguments,
	// values and templates of tasks. They are then remarks of [Lint].
	Deferred bool
	// PrivateRoleVars is private_role_vars, nil when it is not set.
	PrivateRoleVars *bool
}

// Modules finds modules by the names playbooks use.
type Modules interface {
	// Lookup resolves a name; a short one in collections first.
	Lookup(name string, collections []string) (Module, bool)
	// Names lists all full names.
	Names() []string
}

// A Module is what the loader needs to know of one.
type Module interface {
	// FullName is "ansible.builtin.copy".
	FullName() string
	// FreeForm is the argument a bare string goes to; "" if the module takes none.
	FreeForm() string
	// CheckLiteral checks arguments as written, passing over templates.
	CheckLiteral(args *value.Dict, at func(name string) source.Pos, isTemplate func(value.Value) bool) source.Diagnostics
}

// A Checker parses templates without evaluating them. template.Templater is one.
type Checker interface {
	Check(v value.Value, cond bool) []error
}

// A Loader reads playbooks, task files and roles. It may be used by many goroutines.
type Loader struct {
	c    Config
	libs libraries
}

// NewLoader makes a Loader.
func NewLoader(c Config) *Loader {
	if c.Files == nil {
		c.Files = source.NewFiles()
	}
	return &Loader{c: c}
}

// Files are the files read, for showing their lines.
func (l *Loader) Files() *source.Files { return l.c.Files }

// Load reads a playbook with everything it reaches statically. The playbook is returned
// even when there are mistakes, as far as it could be understood.
func (l *Loader) Load(path string) (*Playbook, source.Diagnostics) {
	ld := l.begin()
	pb := &Playbook{Path: path}
	pb.Plays = ld.playbook(path, nil, nil, nil)
	diags := ld.finish()
	pb.remarks = ld.remarks
	return pb, diags
}

// IncludeTasks reads a file of tasks for t, an include_tasks, while a run goes on. The
// tasks' parent is a block around them whose own parent is the one given, with the
// keywords of apply. The error is a source.Diagnostics.
func (l *Loader) IncludeTasks(path string, t *Task, parent *Block) ([]Node, error) {
	ld := l.begin()
	ld.dynamic = true
	b := ld.includeTasks(path, t, parent)
	if err := ld.finish().Err(); err != nil {
		return nil, err
	}
	if b == nil {
		return nil, nil
	}
	return []Node{b}, nil
}

// IncludeRole are the templated arguments of an include_role.
type IncludeRole struct {
	Name                                            string
	TasksFrom, VarsFrom, DefaultsFrom, HandlersFrom string
	Public, AllowDuplicates, RolespecValidate       bool
	HasPublic                                       bool // without it private_role_vars decides
	HasAllowDuplicates                              bool
}

// IncludeRole reads a role for t, an include_role, while a run goes on. The parent of the
// role's Body is the block given, with a block of the keywords of apply between them. The
// error is a source.Diagnostics.
func (l *Loader) IncludeRole(req IncludeRole, t *Task, parent *Block) (*Role, error) {
	ld := l.begin()
	ld.dynamic = true
	r := ld.includeRole(req, t, parent)
	if err := ld.finish().Err(); err != nil {
		return nil, err
	}
	return r, nil
}

// VarsFile reads a file of variables, decrypting it if it is encrypted as a whole. An
// empty file has no variables.
func (l *Loader) VarsFile(path string) (*value.Dict, source.Diagnostics) {
	ld := l.begin()
	d := ld.varsFile(path, source.Pos{}, "")
	return d, ld.finish()
}

// A load is one call of an entry point: it collects mistakes and puts off the checks that
// can be done side by side.
type load struct {
	*Loader
	diags  source.Diagnostics
	checks []check
	// remarks are mistakes that only a run may stumble over, for Lint.
	remarks source.Diagnostics
	dynamic bool // an include of a run: its tasks are checked when they run
	warmed  map[string]bool
	warm    errgroup.Group
	slots   chan struct{} // of warm
}

// A check is work put off. soft says that what it finds is a remark.
type check struct {
	run  func() source.Diagnostics
	soft bool
}

func (l *Loader) begin() *load {
	return &load{Loader: l, warmed: map[string]bool{}, slots: make(chan struct{}, runtime.GOMAXPROCS(0))}
}

// finish runs the checks and returns everything that was found, in order.
func (ld *load) finish() source.Diagnostics {
	_ = ld.warm.Wait() // what failed to parse was reported by whoever needed it
	found := make([]source.Diagnostics, len(ld.checks))
	g, _ := errgroup.WithContext(context.Background())
	g.SetLimit(runtime.GOMAXPROCS(0))
	const batch = 64
	for from := 0; from < len(ld.checks); from += batch {
		g.Go(func() error {
			for i := from; i < min(from+batch, len(ld.checks)); i++ {
				found[i] = ld.checks[i].run()
			}
			return nil
		})
	}
	_ = g.Wait() // checks return no errors
	for i, d := range found {
		if ld.checks[i].soft {
			ld.remarks = append(ld.remarks, d...)
		} else {
			ld.diags = append(ld.diags, d...)
		}
	}
	return ld.diags.Sorted()
}

func (ld *load) errorf(pos source.Pos, format string, args ...any) *source.Diagnostic {
	return ld.diags.Errorf(pos, format, args...)
}

// prefetch parses files in the background: by the time they are needed they are known.
func (ld *load) prefetch(paths ...string) {
	for _, path := range paths {
		if path == "" || ld.warmed[path] {
			continue
		}
		ld.warmed[path] = true
		ld.warm.Go(func() error {
			ld.slots <- struct{}{}
			defer func() { <-ld.slots }()
			_, _, _ = ld.c.Files.Parse(path) // reported when it is needed
			return nil
		})
	}
}

// parse reads a file of one document and reports what is wrong with it; nil for an empty
// file, and false for one that could not be read.
func (ld *load) parse(path string, from source.Pos, what string) (*source.Node, bool) {
	n, diags, err := ld.c.Files.ParseOne(path)
	if err != nil {
		d := ld.errorf(from, "read %s %q: %s", what, path, reason(err))
		if errors.Is(err, fs.ErrNotExist) {
			d.Hint = nearFile(path)
		}
		return nil, false
	}
	if n != nil && n.IsStr() && !n.Quoted {
		if plain, ok := ld.decrypt(path, n.Pos()); ok {
			n, diags = plain.node, plain.diags
		}
	}
	for _, d := range diags {
		if d.Rule == "duplicate-key" {
			switch ld.c.DuplicateKeys {
			case "ignore":
				continue
			case "error":
				d.Severity = source.Error
			}
		}
		ld.diags = append(ld.diags, d)
	}
	return n, !diags.HasErrors()
}

// nearFile is the hint for a file that is not there: a YAML file beside it.
func nearFile(path string) string {
	found, _ := filepath.Glob(filepath.Join(filepath.Dir(path), "*.y*ml")) // the pattern is well formed
	for i, name := range found {
		found[i] = filepath.Base(name)
		if found[i] == filepath.Base(path)+filepath.Ext(name) {
			return "did you mean \"" + found[i] + "\"?"
		}
	}
	return source.DidYouMean(filepath.Base(path), found)
}

// reason is the cause of a failed file operation without its path.
func reason(err error) string {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err.Error()
		}
		err = inner
	}
}

// abs is path as seen from dir.
func abs(dir, path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(dir, path)
}
