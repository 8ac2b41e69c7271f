package main

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"orch/playbook"
	"orch/playbook/jinja/value"
	"orch/playbook/settings"
	"orch/playbook/source"
	"orch/playbook/vault"
)

// Flags shared by commands, with the names ansible-playbook gives them. Each group adds
// itself to a flag set; what was really given is asked of the set later, so that a
// setting knows whether it comes from a flag.

// inventoryFlags choose hosts.
type inventoryFlags struct {
	sources []string
	limit   string
	flush   bool
}

func (f *inventoryFlags) add(fs *pflag.FlagSet) {
	fs.StringArrayVarP(&f.sources, "inventory", "i", nil, "inventory: a path, a name in inventories/, or hosts with a comma; repeatable")
	fs.StringVarP(&f.limit, "limit", "l", "", "further limit hosts to a pattern, or to the hosts in @FILE")
	fs.BoolVar(&f.flush, "flush-cache", false, "clear the fact cache of every host of the inventory")
}

// varsFlags set extra variables.
type varsFlags struct{ extra []string }

func (f *varsFlags) add(fs *pflag.FlagSet) {
	fs.StringArrayVarP(&f.extra, "extra-vars", "e", nil, "set variables: key=value, YAML/JSON, or @FILE; repeatable")
}

// vaultFlags say where vault passwords come from.
type vaultFlags struct {
	ids   []string
	files []string
	ask   bool
}

func (f *vaultFlags) add(fs *pflag.FlagSet) {
	fs.StringArrayVar(&f.ids, "vault-id", nil, "vault identity: FILE, ID@FILE or ID@prompt; repeatable")
	fs.StringArrayVar(&f.files, "vault-password-file", nil, "vault password file or script; repeatable")
	fs.StringArrayVar(&f.files, "vault-pass-file", nil, "the same")
	fs.BoolVarP(&f.ask, "ask-vault-password", "J", false, "ask for the vault password")
	fs.BoolVar(&f.ask, "ask-vault-pass", false, "the same")
	_ = fs.MarkHidden("vault-pass-file")
	_ = fs.MarkHidden("ask-vault-pass")
}

// sourcesFor lists the vault password sources in the order they are tried.
func (f *vaultFlags) sourcesFor(s *settings.Settings) []vault.Source {
	var list []vault.Source
	for _, id := range s.List("DEFAULT_VAULT_IDENTITY_LIST") {
		list = append(list, vault.ParseSource(id))
	}
	for _, id := range f.ids {
		list = append(list, vault.ParseSource(id))
	}
	files := f.files
	if path := s.Path("DEFAULT_VAULT_PASSWORD_FILE"); path != "" && !slices.Contains(files, path) {
		files = append(slices.Clone(files), path) // it is tried beside those of flags
	}
	for _, file := range files {
		list = append(list, vault.Source{ID: s.Str("DEFAULT_VAULT_IDENTITY"), File: file})
	}
	if f.ask || s.Bool("DEFAULT_ASK_VAULT_PASS") {
		list = append(list, vault.Source{ID: s.Str("DEFAULT_VAULT_IDENTITY"), Prompt: true})
	}
	return list
}

// connectionFlags say how hosts are reached.
type connectionFlags struct {
	user, connection, privateKey string
	timeout                      int
	sshCommonArgs, sshExtraArgs  string
	sftpExtraArgs, scpExtraArgs  string
	askPass                      bool
	passwordFile                 string
	become                       bool
	becomeMethod, becomeUser     string
	askBecomePass                bool
	becomePasswordFile           string
	forks                        int
}

func (f *connectionFlags) add(fs *pflag.FlagSet) {
	fs.StringVarP(&f.user, "user", "u", "", "connect as this user")
	fs.StringVarP(&f.connection, "connection", "c", "", "connection type: ssh or local")
	fs.StringVar(&f.privateKey, "private-key", "", "private key file")
	fs.StringVar(&f.privateKey, "key-file", "", "the same")
	fs.IntVarP(&f.timeout, "timeout", "T", 0, "seconds to wait for a connection")
	fs.StringVar(&f.sshCommonArgs, "ssh-common-args", "", "options for every ssh connection (-o, -J, -i, -p, -F)")
	fs.StringVar(&f.sshExtraArgs, "ssh-extra-args", "", "the same, after those of the inventory")
	fs.StringVar(&f.sftpExtraArgs, "sftp-extra-args", "", "accepted and void: files travel over the same connection")
	fs.StringVar(&f.scpExtraArgs, "scp-extra-args", "", "accepted and void")
	fs.BoolVarP(&f.askPass, "ask-pass", "k", false, "ask for the connection password")
	fs.StringVar(&f.passwordFile, "connection-password-file", "", "file with the connection password")
	fs.StringVar(&f.passwordFile, "conn-pass-file", "", "the same")
	fs.BoolVarP(&f.become, "become", "b", false, "run tasks as another user")
	fs.StringVar(&f.becomeMethod, "become-method", "", "sudo, su, doas")
	fs.StringVar(&f.becomeUser, "become-user", "", "the user to become (root)")
	fs.BoolVarP(&f.askBecomePass, "ask-become-pass", "K", false, "ask for the become password")
	fs.StringVar(&f.becomePasswordFile, "become-password-file", "", "file with the become password")
	fs.StringVar(&f.becomePasswordFile, "become-pass-file", "", "the same")
	fs.IntVarP(&f.forks, "forks", "f", 0, "hosts worked on at once (50)")
	for _, name := range []string{"key-file", "conn-pass-file", "become-pass-file", "sftp-extra-args", "scp-extra-args"} {
		_ = fs.MarkHidden(name)
	}
}

// runFlags say how a run behaves.
type runFlags struct {
	check, diff   bool
	forceHandlers bool
	modulePath    []string
}

func (f *runFlags) add(fs *pflag.FlagSet) {
	fs.BoolVarP(&f.check, "check", "C", false, "change nothing; say what would change")
	fs.BoolVarP(&f.diff, "diff", "D", false, "show what changes in files")
	addVerbose(fs)
	fs.BoolVar(&f.forceHandlers, "force-handlers", false, "run handlers even if a task failed")
	fs.StringArrayVarP(&f.modulePath, "module-path", "M", nil, "further folders of modules")
}

// addVerbose adds -v, which is read as the setting DEFAULT_VERBOSITY.
func addVerbose(fs *pflag.FlagSet) {
	fs.CountP("verbose", "v", "say more; up to -vvvv")
}

// tagFlags choose tasks.
type tagFlags struct{ tags, skip []string }

func (f *tagFlags) add(fs *pflag.FlagSet) {
	fs.StringArrayVarP(&f.tags, "tags", "t", nil, "only tasks with one of these tags")
	fs.StringArrayVar(&f.skip, "skip-tags", nil, "no tasks with one of these tags")
}

// words splits the values of a repeatable flag at commas.
func words(values []string) []string {
	var list []string
	for _, v := range values {
		for w := range strings.SplitSeq(v, ",") {
			if w = strings.TrimSpace(w); w != "" {
				list = append(list, w)
			}
		}
	}
	return list
}

// flagSettings maps the flags that were given to the settings they set.
var flagSettings = map[string]string{
	"user": "DEFAULT_REMOTE_USER", "connection": "DEFAULT_TRANSPORT", "private-key": "DEFAULT_PRIVATE_KEY_FILE",
	"key-file": "DEFAULT_PRIVATE_KEY_FILE", "timeout": "DEFAULT_TIMEOUT", "forks": "DEFAULT_FORKS",
	"ask-pass": "DEFAULT_ASK_PASS", "become": "DEFAULT_BECOME", "become-method": "DEFAULT_BECOME_METHOD",
	"become-user": "DEFAULT_BECOME_USER", "ask-become-pass": "DEFAULT_BECOME_ASK_PASS",
	"become-password-file": "BECOME_PASSWORD_FILE", "become-pass-file": "BECOME_PASSWORD_FILE",
	"connection-password-file": "CONNECTION_PASSWORD_FILE", "conn-pass-file": "CONNECTION_PASSWORD_FILE",
	"diff": "DIFF_ALWAYS", "force-handlers": "DEFAULT_FORCE_HANDLERS", "verbose": "DEFAULT_VERBOSITY",
	"ssh-common-args": "ssh_common_args", "ssh-extra-args": "ssh_extra_args",
	"tags": "TAGS_RUN", "skip-tags": "TAGS_SKIP", "inventory": "DEFAULT_HOST_LIST", "inventory-file": "DEFAULT_HOST_LIST", "playbook-dir": "PLAYBOOK_DIR",
}

// loadSettings reads the settings with the flags of fs on top. Warnings are returned,
// errors end the command.
func loadSettings(fs *pflag.FlagSet) (*settings.Settings, source.Diagnostics, error) {
	o := settings.Options{Flags: map[string]string{}, Flag: map[string]string{}}
	fs.Visit(func(f *pflag.Flag) {
		name, ok := flagSettings[f.Name]
		if !ok {
			return
		}
		o.Flags[name], o.Flag[name] = f.Value.String(), "--"+f.Name
		if list, ok := f.Value.(pflag.SliceValue); ok {
			o.Flags[name] = strings.Join(list.GetSlice(), ",")
		}
	})
	s, diags := settings.Load(o)
	if diags.HasErrors() {
		return nil, nil, inputError(diags)
	}
	return s, diags, nil
}

// parseExtraVars reads the -e options, later ones over earlier ones. Their strings are
// an author's: they may be templates.
func parseExtraVars(args []string, open func([]byte) ([]byte, error)) (*value.Dict, error) {
	vars := value.NewDict(len(args))
	for _, arg := range args {
		d, err := parseExtraVar(arg, open)
		if err != nil {
			return nil, err
		}
		for k, v := range d.All() {
			if err := vars.Set(k, v); err != nil {
				return nil, fmt.Errorf("extra variables: %w", err)
			}
		}
	}
	return vars, nil
}

func parseExtraVar(arg string, open func([]byte) ([]byte, error)) (*value.Dict, error) {
	file, text := "--extra-vars", []byte(arg)
	if path, ok := strings.CutPrefix(arg, "@"); ok {
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("read extra variables: %w", err)
		}
		if vault.Is(data) {
			if data, err = open(data); err != nil {
				return nil, fmt.Errorf("read extra variables of %s: %w", path, err)
			}
		}
		file, text = path, data
	} else if trimmed := strings.TrimSpace(arg); trimmed == "" {
		return value.NewDict(0), nil
	} else if trimmed[0] != '{' && trimmed[0] != '[' {
		return keyValues(arg)
	}
	docs, diags := source.Parse(file, text)
	if diags.HasErrors() {
		return nil, diags
	}
	if len(docs) == 0 || docs[0].IsNull() {
		return value.NewDict(0), nil
	}
	d, ok := docs[0].Value(source.Author).(*value.Dict)
	if !ok {
		return nil, fmt.Errorf("extra variables of %s must be a mapping, not %s", strconv.Quote(file), docs[0].Describe())
	}
	return d, nil
}

// keyValues reads "a=1 b='two words'": values are text, as on ansible's command line.
func keyValues(arg string) (*value.Dict, error) {
	pairs, err := playbook.ParseKV(arg)
	if err != nil {
		return nil, fmt.Errorf("extra variables %q: %w", arg, err)
	}
	at := &value.Origin{File: "--extra-vars", Line: 1, Col: 1}
	d := value.NewDict(len(pairs))
	for _, p := range pairs {
		d.SetStr(p[0], value.Str{S: p[1], From: at})
	}
	return d, nil
}
