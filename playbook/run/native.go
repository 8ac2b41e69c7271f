package run

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"

	"orch/modules"
	"orch/playbook"
	"orch/playbook/jinja/value"
	"orch/playbook/source"
	"orch/playbook/template"
	"orch/playbook/vars"
)

// setFact is the module of that name. It is the executor's own so that values stay what
// they are, unknown ones included.
func (w *work) setFact(o *outcome, scope *vars.Scope) error {
	set := value.NewDict(o.args.Len())
	f := &facts{dict: set, set: true}
	for k, v := range o.args.All() {
		if !isLiteral(k) { // ansible-core 2.18 templates the names too
			got, err := w.b.run.cfg.Templater.Value(w.ctx, k, scope)
			if err != nil {
				return argsError(err)
			}
			k = got
		}
		name := value.String(k)
		if name == "cacheable" {
			b, err := toBool("cacheable", field{}, v)
			if err != nil {
				return &keywordError{w.t.at("cacheable"), err.Error()}
			}
			f.cacheable = b
			continue
		}
		if !playbook.Identifier(name) {
			return w.failed(o, scope, fmt.Sprintf("The variable name '%s' is not valid. Variables must start with a letter or "+
				"underscore character, and contain only letters, numbers and underscores.", name))
		}
		set.SetStr(name, w.b.run.factValue(v))
	}
	if set.Len() == 0 {
		return w.failed(o, scope, "No key/value pairs provided, at least one is required for this action to succeed")
	}
	o.facts = f
	d := value.NewDict(4)
	d.SetStr("ansible_facts", set)
	d.SetStr("changed", value.Bool(false))
	d.SetStr("failed", value.Bool(false))
	o.status, o.dict, o.value = OK, d, d
	return nil
}

// failed is the result of a builtin action that refuses its arguments.
func (w *work) failed(o *outcome, scope *vars.Scope, msg string) error {
	check, err := w.flag(scope, "check_mode", w.t.kw.checkMode, w.b.run.cfg.Check)
	if err != nil {
		return err
	}
	return w.build(o, modules.Result{Failure: &modules.Failure{Msg: msg}}, modules.Options{Check: check})
}

// factValue makes a boolean of a text that looks like one, unless templates keep their
// native types (ansible-core 2.18: action/set_fact).
func (e *engine) factValue(v value.Value) value.Value {
	s, ok := v.(value.Str)
	if !ok || e.cfg.Native {
		return template.Lists(v)
	}
	switch strings.ToLower(s.S) {
	case "true", "yes":
		return value.Bool(true)
	case "false", "no":
		return value.Bool(false)
	}
	return v
}

// gatherFacts runs the fact modules and joins what they found (the module gather_facts).
func (w *work) gatherFacts(o *outcome, scope *vars.Scope, c *call) (modules.Result, error) {
	names := w.b.run.cfg.FactModules
	if v, ok, err := scope.Lookup("ansible_facts_modules"); err == nil && ok {
		names = appendText(nil, v)
	}
	var all []string
	for _, name := range names {
		if name == "smart" || name == "setup" || name == "ansible.legacy.setup" {
			name = modSetup
		}
		if !slices.Contains(all, name) {
			all = append(all, name)
		}
	}
	if len(all) == 0 {
		all = []string{modSetup}
	}
	results := make([]modules.Result, len(all))
	errs := make([]error, len(all))
	var wg sync.WaitGroup
	for i, name := range all {
		wg.Go(func() { results[i], errs[i] = w.factModule(o, name, c) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return modules.Result{}, errs[slices.IndexFunc(errs, func(e error) bool { return e != nil })]
	}
	if len(all) == 1 {
		return results[0], nil
	}
	return joinFacts(all, results)
}

// factModule runs one fact module with the arguments it has of those given.
func (w *work) factModule(o *outcome, name string, c *call) (modules.Result, error) {
	spec, ok := w.b.run.cfg.Modules.Lookup(name, nil)
	if !ok {
		return modules.Result{}, fmt.Errorf("fact module %q is not known", name)
	}
	args := value.NewDict(4)
	for k, v := range o.args.All() {
		if k := value.String(k); k != "parallel" && spec.Arg(k) != nil {
			args.SetStr(k, v)
		}
	}
	inner := &work{b: w.b, h: w.h, ctx: w.ctx, t: &task{src: w.t.src, play: w.t.play, kw: w.t.kw, vars: w.t.vars, module: spec.Name, spec: spec}}
	defaulted, err := inner.withDefaults(c.site.scope, args)
	if err != nil {
		return modules.Result{}, err
	}
	module, diags := spec.Decode(defaulted, nil)
	if err := diags.Err(); err != nil {
		return modules.Result{}, err
	}
	// Looking at facts changes nothing: it is done in check mode too.
	return inner.run(o, &call{module: module, options: c.options, site: c.site, timeout: c.timeout})
}

func joinFacts(names []string, results []modules.Result) (modules.Result, error) {
	all := map[string]json.RawMessage{}
	var out modules.Result
	var failed []string
	for i, res := range results {
		out.Warnings = append(out.Warnings, res.Warnings...)
		if res.Failure != nil {
			failed = append(failed, names[i]+": "+res.Failure.Msg)
			continue
		}
		var top struct {
			Facts map[string]json.RawMessage `json:"ansible_facts"`
		}
		if err := json.Unmarshal(res.Out, &top); err != nil {
			return out, fmt.Errorf("facts of %s: %w", names[i], err)
		}
		for k, v := range top.Facts {
			all[k] = v
		}
	}
	if failed != nil {
		out.Failure = modules.Failf("The following modules failed to execute: %s", strings.Join(failed, "; "))
	}
	text, err := json.Marshal(map[string]any{"ansible_facts": all})
	out.Out = text
	return out, err
}

// includeVars is the module of that name: it reads files of the controller, whose
// strings are an author's.
func (w *work) includeVars(o *outcome, scope *vars.Scope) error {
	r, err := w.newVarsReader(o.args, scope)
	if err != nil {
		return err
	}
	if r.dir != "" {
		err = r.readDir()
	} else {
		err = r.readFile()
	}
	o.noLog = o.noLog || r.sealed // what was encrypted is not shown
	if err != nil {
		if r.dir != "" && errors.As(err, new(source.Diagnostics)) {
			return err
		}
		// ansible-core 2.18: such a failure is told as "message", not as msg.
		w.fail(o, scope, err)
		o.res.Msg = err.Error()
		r.vars = value.NewDict(0)
	}
	result := r.vars
	if r.name != "" {
		result = value.NewDict(1)
		result.SetStr(r.name, r.vars)
	}
	if err == nil && r.behaviour != "" {
		if result, err = r.combine(result); err != nil {
			return err
		}
	}
	d := value.NewDict(5)
	d.SetStr("ansible_facts", result)
	d.SetStr("ansible_included_var_files", value.FromGo(r.files))
	d.SetStr("changed", value.Bool(false))
	d.SetStr("failed", value.Bool(err != nil))
	o.dict, o.value = d, d
	if err != nil {
		d.SetStr("message", value.S(err.Error()))
		return nil
	}
	o.status, o.facts = OK, &facts{dict: result, included: true}
	return nil
}

// A varsReader is one use of include_vars.
type varsReader struct {
	w                *work
	scope            *vars.Scope
	file, dir, name  string
	depth            int
	behaviour        string // hash_behaviour, where it is not the run's
	matching         *regexp.Regexp
	ignore           []*regexp.Regexp
	extensions       []string
	ignoreExtensions bool
	vars             *value.Dict
	files            []string
	sealed           bool // one of them is encrypted
}

var (
	includeVarsDir  = []string{"dir", "depth", "files_matching", "ignore_files", "extensions", "ignore_unknown_extensions"}
	includeVarsFile = []string{"file", "_raw_params"}
	includeVarsAll  = []string{"name", "hash_behaviour"}
)

func (w *work) newVarsReader(args *value.Dict, scope *vars.Scope) (*varsReader, error) {
	r := &varsReader{w: w, scope: scope, extensions: []string{"yaml", "yml", "json"}, vars: value.NewDict(0)}
	var dirs, files []string
	for k, v := range args.All() {
		name := value.String(k)
		switch {
		case slices.Contains(includeVarsDir, name):
			dirs = append(dirs, name)
		case slices.Contains(includeVarsFile, name):
			files = append(files, name)
		case !slices.Contains(includeVarsAll, name):
			return nil, &keywordError{w.t.at(name), name + " is not a valid option in include_vars"}
		}
		if err := r.set(name, v); err != nil {
			return nil, err
		}
	}
	if len(dirs) > 0 && len(files) > 0 {
		return nil, errors.New("You are mixing file only and dir only arguments, these are incompatible")
	}
	return r, nil
}

func (r *varsReader) set(name string, v value.Value) error {
	var err error
	pattern := func(v value.Value) *regexp.Regexp {
		re, perr := regexp.Compile(value.String(v))
		if perr != nil {
			err = &keywordError{r.w.t.at(name), fmt.Sprintf("%s: %v", name, perr)}
		}
		return re
	}
	switch name {
	case "file", "_raw_params":
		r.file = strings.TrimRight(value.String(v), "\n")
	case "dir":
		r.dir = value.String(v)
	case "name":
		if _, none := v.(value.None); !none {
			r.name = value.String(v)
		}
	case "depth":
		r.depth, err = toInt(name, field{}, v)
	case "files_matching":
		if _, none := v.(value.None); !none {
			r.matching = pattern(v)
		}
	case "ignore_files":
		for _, item := range appendText(nil, v) {
			r.ignore = append(r.ignore, pattern(value.S(item+"$")))
		}
	case "extensions":
		r.extensions = appendText(nil, v)
	case "ignore_unknown_extensions":
		r.ignoreExtensions, err = toBool(name, field{}, v)
	case "hash_behaviour":
		switch s := value.String(v); s {
		case "merge", "replace":
			if (s == "merge") != r.w.b.run.cfg.HashMerge {
				r.behaviour = s
			}
		case "None":
		default:
			err = &keywordError{r.w.t.at(name), fmt.Sprintf("hash_behaviour %q: one of replace, merge", s)}
		}
	}
	return err
}

// combine puts what was read together with the host's variables of the same names. As in
// ansible-core 2.18 both must be dictionaries.
func (r *varsReader) combine(read *value.Dict) (*value.Dict, error) {
	out := value.NewDict(read.Len())
	for k, v := range read.All() {
		old, ok, err := r.scope.Raw(value.String(k))
		if err != nil {
			return nil, err
		}
		if !ok {
			old = value.None{}
		}
		low, isLow := old.(*value.Dict)
		high, isHigh := v.(*value.Dict)
		switch {
		case !isLow || !isHigh:
			return nil, fmt.Errorf("failed to combine variables, expected dicts but got a '%s' and a '%s': \n%s\n%s",
				old.Type(), v.Type(), value.String(old), value.String(v))
		case r.behaviour == "merge":
			v = vars.Merge(low, high)
		default:
			v = merge(low, high)
		}
		_ = out.Set(k, v) // a key of a dict
	}
	return out, nil
}

func (r *varsReader) readFile() error {
	const hint = "on the Ansible Controller.\nIf you are using a module and expect the file to exist on the remote, see the remote_src option"
	if r.file == "" {
		r.w.b.run.warn(r.w.t.src.Pos, `Invalid request to find a file that matches a "null" value`)
		return errors.New("Could not find file " + hint)
	}
	path, err := r.scope.Site().Find("vars", r.file)
	var missing *template.NotFoundError
	if errors.As(err, &missing) {
		return fmt.Errorf("Could not find or access '%s'\nSearched in:\n\t%s %s", r.file, strings.Join(missing.Searched, "\n\t"), hint)
	}
	if err != nil {
		return err
	}
	return r.load(path, true)
}

// load reads a file; checked ones must have a known extension.
func (r *varsReader) load(path string, checked bool) error {
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	if !r.validExt(path) && checked && r.dir != "" {
		return fmt.Errorf("%s does not have a valid extension: %s", path, strings.Join(r.extensions, ", "))
	}
	if r.w.b.run.cfg.Files == nil {
		return errors.New("include_vars is not possible here: there are no files")
	}
	dicts, sealed, err := r.w.b.run.cfg.Files.Read(path)
	if err != nil && !errors.As(err, new(*vars.ShapeError)) {
		return err
	}
	if err != nil || len(dicts) > 1 {
		return fmt.Errorf("%s must be stored as a dictionary/hash", path)
	}
	r.sealed = r.sealed || sealed
	r.files = append(r.files, path)
	for _, d := range dicts {
		r.vars = merge(r.vars, d)
	}
	return nil
}

func (r *varsReader) validExt(path string) bool {
	ext := strings.TrimPrefix(filepath.Ext(path), ".")
	return slices.Contains(r.extensions, ext) || ext == "" && slices.Contains(r.extensions, "")
}

// readDir reads the files below a folder, folders first by name (os.walk, sorted).
func (r *varsReader) readDir() error {
	root := r.dir
	if !filepath.IsAbs(root) {
		found, err := r.findDir(root)
		if err != nil {
			return err
		}
		root = found
	}
	root, err := filepath.Abs(root)
	if err != nil {
		return err
	}
	info, err := os.Stat(root)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s directory does not exist", root)
	}
	if err == nil && !info.IsDir() {
		return fmt.Errorf("%s is not a directory", root)
	}
	return r.walk(root, root, 1)
}

func (r *varsReader) findDir(name string) (string, error) {
	for _, dir := range r.scope.Site().SearchPath {
		for _, path := range []string{filepath.Join(dir, "vars", name), filepath.Join(dir, name)} {
			if _, err := os.Stat(path); err == nil {
				return path, nil
			}
		}
	}
	path := filepath.Join(filepath.Dir(r.w.t.src.Pos.File), name)
	if role := roleOf(r.w.t.src); role != nil {
		path = filepath.Join(role.Path, "vars", name)
	}
	return filepath.Abs(path)
}

func (r *varsReader) walk(root, dir string, depth int) error {
	if r.depth != 0 && depth > r.depth {
		return nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("read folder of variables: %w", err)
	}
	var dirs []string
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		info, err := os.Stat(path)
		if err != nil {
			continue
		}
		if info.IsDir() {
			dirs = append(dirs, path)
			continue
		}
		rel, _ := filepath.Rel(root, path)
		if r.skips(e.Name(), rel) {
			continue
		}
		if err := r.load(path, !r.ignoreExtensions); err != nil {
			return err
		}
	}
	for _, d := range dirs {
		if err := r.walk(root, d, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// skips says whether a file is left out. ansible-core 2.18 also leaves out main.yml of
// the role's vars when that is where it looks.
func (r *varsReader) skips(name, rel string) bool {
	if r.matching != nil && !r.matching.MatchString(name) {
		return true
	}
	for _, re := range r.ignore {
		if re.MatchString(name) {
			return true
		}
	}
	if r.ignoreExtensions && !r.validExt(name) {
		return true
	}
	role := roleOf(r.w.t.src)
	return role != nil && rel == "main.yml" && filepath.Clean(r.dir) == "vars"
}
