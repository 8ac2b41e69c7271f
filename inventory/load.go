package inventory

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"sort"
	"strings"
	"time"

	"orch/playbook/jinja/value"
	"orch/playbook/source"
)

// Options say how sources are read.
type Options struct {
	// Enabled are the kinds of source to try, in order (INVENTORY_ENABLED).
	Enabled []string
	// IgnoreExts and IgnorePatterns leave files of a folder out.
	IgnoreExts, IgnorePatterns []string
	// OpenVault decrypts a vault-encrypted source; nil: there is no password.
	OpenVault func(text []byte) ([]byte, error)
	// Names says what happens to group names that cannot be variables
	// (TRANSFORM_INVALID_GROUP_CHARS): "always" and "silently" replace what is wrong by
	// "_", "never" and "always" warn.
	Names string
	// Merge joins dictionaries that two sources set (hash_behaviour = merge); nil: the
	// later one counts.
	Merge func(low, high *value.Dict) *value.Dict
	// ScriptTimeout bounds each call of a script; zero means a minute.
	ScriptTimeout time.Duration
	// Evaluator is what the constructed and generator plugins work with; nil: their
	// configuration files are refused.
	Evaluator Evaluator
}

// RuleUnparsed is the rule of a host range that is kept as a name. Ansible tells of it
// with -vvv only.
const RuleUnparsed = "host-range"

// invalidName matches characters that cannot be in a variable's name.
var invalidName = regexp.MustCompile(`[^A-Za-z0-9_]|^[0-9]`)

// Load reads sources into one inventory: files, folders of files, "host," lists. What
// is wrong with one source does not keep the others from being read.
func Load(ctx context.Context, sources []string, o Options) (*Inventory, source.Diagnostics) {
	inv := New()
	inv.lenient = o.Names == "ignore" || o.Names == "silently"
	inv.merge, inv.replace = o.Merge, o.Names == "always" || o.Names == "silently"
	l := loader{ctx: ctx, inv: inv, opts: o}
	for _, src := range sources {
		inv.Sources = append(inv.Sources, src)
		l.source(src, true)
	}
	if inv.Parsed { // ansible-core 2.18 leaves what came of sources that failed as it is
		inv.mu.Lock()
		inv.reconcile()
		inv.mu.Unlock()
	}
	l.checkNames()
	return inv, l.diags
}

type loader struct {
	ctx   context.Context
	inv   *Inventory
	opts  Options
	diags source.Diagnostics
}

func (l *loader) fail(file string, err error) {
	var diags source.Diagnostics
	if errors.As(err, &diags) {
		l.diags = append(l.diags, diags...)
		return
	}
	if pe := (*fs.PathError)(nil); errors.As(err, &pe) {
		err = pe.Err
	}
	l.diags = append(l.diags, source.Diagnostic{Pos: source.Pos{File: file}, Msg: "read inventory: " + err.Error()})
}

func (l *loader) enabled(kind string) bool {
	return len(l.opts.Enabled) == 0 || slices.ContainsFunc(l.opts.Enabled, func(s string) bool {
		return strings.TrimPrefix(s, "ansible.builtin.") == kind
	})
}

// source reads one source and says whether that went well. A folder is as good as one of
// its files.
func (l *loader) source(src string, top bool) bool {
	var kind string
	before := len(l.diags)
	l.inv.current = src
	defer func() { l.inv.current = "" }()
	info, err := os.Stat(src)
	switch {
	case err != nil && strings.Contains(src, ",") && l.enabled("host_list"):
		kind = "host_list"
		l.list(src, false)
	case err != nil && strings.Contains(src, ",") && l.enabled("advanced_host_list"):
		kind = "advanced_host_list"
		l.list(src, true)
	case err != nil:
		l.fail(src, err)
	case info.IsDir():
		parsed := l.folder(src)
		if !parsed {
			l.inv.Failed = append(l.inv.Failed, Failure{Source: src})
		}
		return parsed
	case info.Size() == 0 && !top:
		return true
	default:
		kind = l.file(src, info)
	}
	if diags := l.diags[before:]; diags.HasErrors() {
		l.inv.Failed = append(l.inv.Failed, Failure{src, kind, diags.Only(source.Error), l.attempts(src, kind, diags.Only(source.Error))})
		return false
	}
	l.inv.Parsed = true
	return true
}

// list reads "web1,web2:2222,", in the advanced form "db[1:3]," too.
func (l *loader) list(src string, advanced bool) {
	g := l.inv.addGroup(Ungrouped)
	for _, item := range SplitCommas(src) {
		name, port, err := SplitPort(item)
		names := []string{name}
		switch {
		case err == nil && advanced:
			if names, err = Expand(name); errors.As(err, new(*rangeError)) {
				l.diags = append(l.diags, source.Diagnostic{
					Severity: source.Warning, Rule: RuleUnparsed, Pos: source.Pos{File: src},
					Msg: fmt.Sprintf("Unable to parse address from hostname, leaving unchanged: %v", err),
				})
				names, port, err = []string{item}, 0, nil
			}
		case err == nil && strings.ContainsRune(name, '['):
			// ansible-core 2.18: host_list takes what it cannot read for a name.
			names, port = []string{item}, 0
		}
		if err != nil {
			l.fail(src, err)
			continue
		}
		l.inv.declare(g, names, port, value.NewDict(0))
	}
}

// SplitCommas splits at commas and drops empty parts.
func SplitCommas(s string) []string {
	var parts []string
	for p := range strings.SplitSeq(s, ",") {
		if p = strings.TrimSpace(p); p != "" {
			parts = append(parts, p)
		}
	}
	return parts
}

// folder reads every file of a folder in order of name, folders in it too; group_vars
// and host_vars hold variables. It says whether one was to be had.
func (l *loader) folder(dir string) (parsed bool) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		l.fail(dir, err)
		return false
	}
	sort.Slice(entries, func(i, j int) bool { return entries[i].Name() < entries[j].Name() })
	for _, e := range entries {
		name := e.Name()
		if name[0] == '.' || name == "group_vars" || name == "host_vars" || name == "vars_plugins" || l.ignored(name) {
			continue
		}
		parsed = l.source(filepath.Join(dir, name), false) || parsed
	}
	return parsed
}

func (l *loader) ignored(name string) bool {
	for _, ext := range l.opts.IgnoreExts {
		if strings.HasSuffix(name, ext) {
			return true
		}
	}
	for _, p := range l.opts.IgnorePatterns {
		if re, err := regexp.Compile(p); err == nil && re.MatchString(name) {
			return true
		}
	}
	return false
}

// file reads one file by the first kind of source that takes it: an executable is a
// script, .yml, .yaml and .json are YAML, anything else is INI. A file without an
// ending may be YAML too, if it is not INI.
func (l *loader) file(path string, info fs.FileInfo) (kind string) {
	text, err := os.ReadFile(path)
	if err == nil && bytes.HasPrefix(text, []byte("$ANSIBLE_VAULT")) {
		if l.opts.OpenVault == nil {
			err = errors.New("the file is encrypted and there is no vault password")
		} else {
			text, err = l.opts.OpenVault(text)
		}
	}
	if err != nil {
		l.fail(path, err)
		return ""
	}
	ext := strings.ToLower(filepath.Ext(path))
	switch {
	case info.Mode()&0o111 != 0 && l.enabled("script") && bytes.HasPrefix(text, []byte("#!")):
		kind, err = "script", l.script(path)
	case slices.ContainsFunc([]string{"yaml", "auto", "constructed", "generator"}, l.enabled) && (ext == ".yml" || ext == ".yaml" || ext == ".json" || ext != ".toml" && looksLikeYAML(text)):
		kind, err = "yaml", l.yaml(path, text)
	case ext == ".toml" && l.enabled("toml"):
		kind, err = "toml", l.toml(path, text)
	case l.enabled("ini"):
		kind = "ini"
		l.diags = append(l.diags, l.inv.readINI(path, text)...)
	case ext == "" && l.enabled("yaml"):
		kind, err = "yaml", l.yaml(path, text)
	default:
		err = fmt.Errorf("no kind of inventory that is enabled reads it, of %s", strings.Join(l.opts.Enabled, ", "))
	}
	if err != nil {
		l.fail(path, err)
	}
	return kind
}

// looksLikeYAML tells a YAML inventory without an ending from an INI one by its first line.
func looksLikeYAML(text []byte) bool {
	for line := range bytes.Lines(text) {
		s := string(bytes.TrimSpace(line))
		if s == "" || s[0] == '#' || s[0] == ';' {
			continue
		}
		return s == "---" || strings.HasSuffix(s, ":") && !strings.ContainsAny(s, " \t=[")
	}
	return false
}

// run calls an inventory script.
func (l *loader) run(path string, args ...string) ([]byte, error) {
	timeout := l.opts.ScriptTimeout
	if timeout == 0 {
		timeout = time.Minute
	}
	ctx, cancel := context.WithTimeout(l.ctx, timeout)
	defer cancel()
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("find script: %w", err)
	}
	cmd := exec.CommandContext(ctx, abs, args...)
	cmd.WaitDelay = time.Second
	out, err := cmd.Output()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return nil, fmt.Errorf("script %s did not finish within %s", strings.Join(args, " "), timeout)
	case errors.As(err, &exit):
		return nil, fmt.Errorf("script %s ended with %d: %s", strings.Join(args, " "), exit.ExitCode(), bytes.TrimSpace(exit.Stderr))
	case err != nil:
		return nil, fmt.Errorf("run script: %w", err)
	}
	return out, nil
}

// checkNames warns of group names that cannot be used as variables, as Ansible does.
func (l *loader) checkNames() {
	for _, g := range l.inv.names {
		if _, both := l.inv.hosts[g.Name]; both {
			l.diags = append(l.diags, source.Diagnostic{
				Severity: source.Warning, Msg: "Found both group and host with same name: " + g.Name,
			})
		}
	}
	if l.inv.lenient {
		return
	}
	if l.inv.replace {
		if l.inv.replaced {
			l.diags = append(l.diags, source.Diagnostic{Severity: source.Warning, Rule: "group-name", Msg: "invalid characters in group names, replaced by _"})
		}
		return
	}
	var bad []string
	for _, g := range l.inv.names {
		if invalidName.MatchString(g.Name) {
			bad = append(bad, g.Name)
		}
	}
	if len(bad) > 0 {
		l.diags = append(l.diags, source.Diagnostic{
			Severity: source.Warning, Rule: "group-name",
			Msg:  fmt.Sprintf("invalid characters in group names, not replaced: %s", strings.Join(bad, ", ")),
			Hint: "use letters, digits and _ only",
		})
	}
}
