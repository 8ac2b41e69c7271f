package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"

	"github.com/spf13/pflag"

	"orch/inventory"
	"orch/playbook/jinja/value"
	"orch/playbook/report"
	"orch/playbook/run"
	"orch/playbook/settings"
	"orch/playbook/source"
	"orch/playbook/template"
	"orch/playbook/vars"
	"orch/playbook/vault"
)

// A project is what most commands need: settings, vault passwords, an inventory, its
// variables and the template engine. It is made by open, in this order.
type project struct {
	as       *persona
	settings *settings.Settings
	vault    *vault.Keyring
	log      *report.Log
	redactor *run.Redactor
	term     *terminal
	inv      *inventory.Inventory
	engine   *template.Engine
	files    *vars.Files
	extra    *value.Dict
	limit    inventory.Limit
	// reload reads the inventory again.
	reload func(ctx context.Context) error
	// limitText is --limit as it was written.
	limitText string

	warn   func(source.Diagnostic)
	tell   func(hint string) // beside the output, when there is somebody to read it
	warned sync.Map
}

// projectFlags are the flags that open reads.
type projectFlags struct {
	inventory inventoryFlags
	vars      varsFlags
	vault     vaultFlags
	strict    bool
	// as is the program orch is called as.
	as *persona
}

func (f *projectFlags) add(fs *pflag.FlagSet) {
	f.inventory.add(fs)
	f.vars.add(fs)
	f.vault.add(fs)
	if f.as == nil {
		fs.BoolVar(&f.strict, "strict", false, "refuse what ansible-core 2.19 refuses, and see types as it does")
	}
}

// open reads everything a command needs to know before it looks at a playbook.
func (f *projectFlags) open(ctx context.Context, fs *pflag.FlagSet, stderr io.Writer) (*project, error) {
	p := &project{as: f.as, term: openTerminal(), redactor: run.NewRedactor()}
	p.warn = func(d source.Diagnostic) {
		if p.as != nil && (d.Rule == template.RuleTruth || d.Rule == template.RuleRange) {
			return // only later versions of Ansible say this
		}
		if _, said := p.warned.LoadOrStore(source.Place(d.Pos)+d.Msg, true); !said {
			d.Severity = source.Warning
			if p.as != nil {
				d.Msg = p.redactor.Mask(d.Msg)
				p.as.warn(d)
				return
			}
			fmt.Fprintln(stderr, p.redactor.Mask(d.Format(files)))
		}
	}
	p.tell = func(hint string) {
		if isTerminal(stderr) {
			fmt.Fprintf(stderr, "hint: %s\n", hint)
		}
	}
	s, diags, err := loadSettings(fs)
	if err != nil {
		return nil, err
	}
	p.settings = s
	if p.log, err = openLog(s); err != nil {
		return nil, err
	}
	if p.as != nil {
		p.as.settled(viewOptions{out: os.Stdout, err: stderr, settings: s, redactor: p.redactor, log: p.log})
		p.as.voidFlags(fs)
		p.as.header(s)
		diags = unsupported(diags)
	}
	passwords := f.vault.sourcesFor(s)
	if p.as == nil {
		for _, src := range passwords {
			if err := src.Check(p.term.asker()); err != nil {
				return nil, inputError(err)
			}
		}
	}
	if p.as != nil {
		if err := p.as.passwordFiles(passwords); err != nil {
			return nil, err
		}
	}
	p.openVault(passwords)
	for _, d := range diags {
		p.warn(d)
	}
	if p.extra, err = parseExtraVars(f.vars.extra, p.open); err != nil {
		return nil, inputError(err)
	}
	if err := p.openEngine(f.strict); err != nil {
		return nil, err
	}
	return p, p.openInventory(ctx, f.inventory, fs.Changed("inventory"))
}

// openVault makes the keyring. Passwords are read when the first text is opened.
func (p *project) openVault(sources []vault.Source) {
	p.vault = vault.NewKeyring(func() ([]vault.Secret, error) { return vault.LoadAll(sources, passwords(p.term, p.as)) })
	p.vault.Match = p.settings.Bool("DEFAULT_VAULT_ID_MATCH")
	p.vault.Opened = func(plain []byte) { p.redactor.Add(secretWords(plain)...) }
}

// secretWords lists what is secret in a decrypted text: the text, and each value of a
// file of variables.
func secretWords(plain []byte) []string {
	text := string(plain)
	docs, diags := source.Parse("vault", plain)
	if diags.HasErrors() || len(docs) == 0 {
		return []string{text}
	}
	var words []string
	var walk func(v value.Value)
	walk = func(v value.Value) {
		switch v := v.(type) {
		case value.Str:
			words = append(words, v.S)
		case *value.List:
			for _, item := range v.Items {
				walk(item)
			}
		case *value.Dict:
			for _, item := range v.All() {
				walk(item)
			}
		}
	}
	root := docs[0].Value(source.Data)
	if _, ok := root.(*value.Dict); !ok {
		return []string{text}
	}
	walk(root)
	return words
}

func (p *project) open(text []byte) ([]byte, error) { return p.vault.Open(text) }

func (p *project) openInventory(ctx context.Context, f inventoryFlags, given bool) error {
	sources, err := p.inventorySources(f, given)
	if err != nil {
		return err
	}
	eval := evaluator{p: p}
	cache, err := openFactCache(p.settings)
	if err != nil {
		return err
	}
	if cache != nil {
		eval.facts = cache
	}
	load := func(ctx context.Context) (*inventory.Inventory, source.Diagnostics) {
		return inventory.Load(ctx, sources, inventory.Options{
			Evaluator: eval,
			Enabled:   p.settings.List("INVENTORY_ENABLED"), IgnoreExts: p.settings.List("INVENTORY_IGNORE_EXTS"),
			IgnorePatterns: p.settings.List("INVENTORY_IGNORE_PATTERNS"), OpenVault: p.open,
			Names: p.settings.Str("TRANSFORM_INVALID_GROUP_CHARS"), Merge: p.merge(),
		})
	}
	p.reload = func(ctx context.Context) error {
		fresh, diags := load(ctx)
		if diags.HasErrors() && p.as == nil {
			return diags
		}
		p.inv.Replace(fresh)
		return nil
	}
	inv, diags := load(ctx)
	if p.as != nil {
		if err := p.as.unparsed(inv, p.settings); err != nil {
			return err
		}
		diags = diags.Only(source.Warning)
	}
	if diags.HasErrors() {
		return diags
	}
	for _, d := range diags {
		p.warn(d)
	}
	p.inv = inv
	limit, err := inventory.ParseLimit(f.limit)
	if err != nil {
		return inputError(err)
	}
	p.limit, p.limitText = limit, f.limit
	if len(limit.Terms) > 0 {
		hosts, err := inv.MatchTerms(limit.Terms)
		if err := p.mismatch(err); err != nil {
			return err
		}
		switch {
		case len(hosts) > 0:
		case p.as != nil && len(inv.Hosts()) > 0:
			return ansibleFail(noTargets)
		case p.as == nil:
			return inputError(fmt.Errorf("--limit %q matches no host of the inventory\nhint: orch inventory --graph shows them", f.limit))
		}
	}
	return nil
}

// merge is what hash_behaviour does to dictionaries of the inventory.
func (p *project) merge() func(low, high *value.Dict) *value.Dict {
	if p.settings.Str("DEFAULT_HASH_BEHAVIOUR") == "merge" {
		return vars.Merge
	}
	return nil
}

// inventorySources are the sources to read. The folders of a project are orch's own.
func (p *project) inventorySources(f inventoryFlags, given bool) ([]string, error) {
	names := f.sources
	if !given {
		names = p.settings.List("DEFAULT_HOST_LIST")
	}
	switch {
	case p.as != nil && len(names) == 0:
		return []string{ansibleHosts}, nil
	case p.as != nil:
		return names, nil
	case len(names) == 0:
		return defaultInventory(), nil
	}
	var sources []string
	for _, name := range names {
		src, err := resolveInventory(name)
		if err != nil {
			return nil, inputError(err)
		}
		sources = append(sources, src)
	}
	return sources, nil
}

// mismatch handles patterns that match nothing as HOST_PATTERN_MISMATCH says.
func (p *project) mismatch(err error) error {
	var none *inventory.NoMatch
	if err == nil || !errors.As(err, &none) {
		return err
	}
	switch p.settings.Str("HOST_PATTERN_MISMATCH") {
	case "error":
		return inputError(err)
	case "ignore":
	default:
		p.warn(source.Diagnostic{Msg: err.Error()})
	}
	return nil
}

func (p *project) openEngine(strict bool) error {
	mode := template.Classic
	switch {
	case strict:
		mode = template.Strict
	case p.settings.Bool("DEFAULT_JINJA2_NATIVE"):
		mode = template.Native
	}
	var null value.Value
	if p.settings.Set("DEFAULT_NULL_REPRESENTATION") {
		null = value.S(p.settings.Str("DEFAULT_NULL_REPRESENTATION"))
	}
	engine, err := template.New(template.Options{
		Null: null, KeepUndefined: !p.settings.Bool("DEFAULT_UNDEFINED_VAR_BEHAVIOR"),
		Mode: mode, Extensions: p.settings.List("DEFAULT_JINJA2_EXTENSIONS"),
		StringFilters: p.settings.List("STRING_TYPE_FILTERS"), Managed: p.settings.Str("DEFAULT_MANAGED_STR"),
		Secret: func(text string) bool { return p.redactor.Mask(text) != text },
		Warn:   p.warn,
	})
	if err != nil {
		return fmt.Errorf("make template engine: %w", err)
	}
	p.engine = engine
	p.files = &vars.Files{
		Open: p.open, Extensions: p.settings.List("YAML_FILENAME_EXTENSIONS"),
		Warn: func(msg string) { p.warn(source.Diagnostic{Msg: msg}) },
	}
	return nil
}

// varsRun makes the variables of a run. basedir is the playbook's folder, or the one
// that stands for it.
func (p *project) varsRun(o vars.Options) *vars.Run {
	s := p.settings
	o.Python, _ = exec.LookPath("python3")
	o.Inventory, o.Templater, o.Files, o.ExtraVars = p.inv, p.engine, p.files, p.extra
	o.Site.OpenVault = p.open
	o.Site.Setting = s.Value
	o.Site.PluginSetting = func(kind, plugin, name string) (template.PluginOption, bool) {
		opt, v, origin, ok := s.Plugin(kind, plugin, name)
		return template.PluginOption{Value: v, Origin: origin, Vars: opt.Vars, Typed: opt.Typed}, ok
	}
	o.Site.Secret = func(text string) { p.redactor.Add(text) }
	o.Site.Warn = func(msg string) { p.warn(source.Diagnostic{Msg: msg}) }
	o.Site.Hosts = func(pattern string) ([]string, error) {
		hosts, err := p.inv.Match(pattern)
		if err := p.mismatch(err); err != nil {
			return nil, err
		}
		names := make([]string, len(hosts))
		for i, h := range hosts {
			names[i] = h.Name
		}
		return names, nil
	}
	o.HashMerge = s.Str("DEFAULT_HASH_BEHAVIOUR") == "merge"
	o.NoInjectFacts = !s.Bool("INJECT_FACTS_AS_VARS")
	o.PlaybookVarsRoot = s.Str("PLAYBOOK_VARS_ROOT")
	o.Forks = s.Int("DEFAULT_FORKS")
	o.Verbosity = s.Int("DEFAULT_VERBOSITY")
	o.Limit = p.limitText
	o.ConfigFile = s.File
	o.InventorySources = p.inv.Sources
	return vars.NewRun(o)
}

// roleFolders are where roles are looked for, beside those next to a playbook.
func (p *project) roleFolders() []string {
	folders := p.settings.List("DEFAULT_ROLES_PATH")
	if wd, err := os.Getwd(); err == nil {
		folders = append(folders, filepath.Join(wd, "roles"))
	}
	return slices.Compact(folders)
}
