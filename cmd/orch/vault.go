package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"orch/playbook/settings"
	"orch/playbook/source"
	"orch/playbook/vault"
)

// newVault is ansible-vault.
func newVault() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "vault",
		Short: "Encrypt and decrypt files and strings, as ansible-vault does",
		Args:  args(cobra.NoArgs),
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	addVault(cmd, nil)
	return cmd
}

// addVault adds the subcommands; p is the program orch is called as.
func addVault(cmd *cobra.Command, p *persona) {
	for _, sub := range []func(*vaultJob) *cobra.Command{
		vaultEncrypt, vaultDecrypt, vaultView, vaultEdit, vaultCreate, vaultRekey, vaultString,
	} {
		cmd.AddCommand(sub(&vaultJob{as: p}))
	}
}

// A vaultJob is what the subcommands share.
type vaultJob struct {
	as        *persona // the program orch is called as
	flags     vaultFlags
	encryptID string
	output    string

	settings *settings.Settings
	term     *terminal
	ring     *vault.Keyring
}

func (j *vaultJob) add(cmd *cobra.Command, encrypts, outputs bool) {
	j.flags.add(cmd.Flags())
	if j.as != nil {
		addVerbose(cmd.Flags())
	}
	if encrypts {
		cmd.Flags().StringVar(&j.encryptID, "encrypt-vault-id", "", "the vault id to encrypt with, when several are given")
	}
	if outputs {
		cmd.Flags().StringVar(&j.output, "output", "", "file to write to, - for standard output")
	}
}

func (j *vaultJob) open(cmd *cobra.Command) error {
	s, _, err := loadSettings(cmd.Flags())
	if err != nil {
		return err
	}
	j.settings, j.term = s, openTerminal()
	if j.as != nil {
		j.as.settled(viewOptions{out: os.Stdout, err: cmd.ErrOrStderr(), settings: s})
	}
	sources := j.flags.sourcesFor(s)
	if len(sources) == 0 {
		sources = []vault.Source{{ID: vault.DefaultID, Prompt: true}}
	}
	j.ring = vault.NewKeyring(func() ([]vault.Secret, error) {
		secrets, err := vault.LoadAll(sources, passwords(j.term, j.as))
		if err != nil {
			return nil, inputError(fmt.Errorf("%w\nhint: give a password file with --vault-password-file", err))
		}
		return secrets, nil
	})
	j.ring.Match = j.settings.Bool("DEFAULT_VAULT_ID_MATCH")
	return nil
}

// key chooses the password to encrypt with.
func (j *vaultJob) key() (vault.Secret, error) {
	secrets, err := j.ring.Secrets()
	if err != nil {
		return vault.Secret{}, err
	}
	id := j.encryptID
	if id == "" {
		id = j.settings.Str("DEFAULT_VAULT_ENCRYPT_IDENTITY")
	}
	if id == "" {
		ids := map[string]bool{}
		var names []string
		for _, s := range secrets {
			if !ids[s.ID] {
				ids[s.ID] = true
				names = append(names, s.ID)
			}
		}
		if j.as != nil && len(secrets) > 1 { // Ansible counts passwords, not ids
			all := make([]string, len(secrets))
			for i, s := range secrets {
				all[i] = s.ID
			}
			return vault.Secret{}, ansibleOption("The vault-ids %s are available to encrypt. Specify the vault-id to encrypt with --encrypt-vault-id", strings.Join(all, ","))
		}
		if len(names) > 1 {
			return vault.Secret{}, inputError(fmt.Errorf("the vault-ids %s are available to encrypt; specify the vault-id to encrypt with --encrypt-vault-id", strings.Join(names, ",")))
		}
		return secrets[0], nil
	}
	for _, s := range secrets {
		if s.ID == id {
			return s, nil
		}
	}
	return vault.Secret{}, inputError(fmt.Errorf("did not find a match for --encrypt-vault-id=%s", id))
}

func (j *vaultJob) salt() []byte {
	if s := j.settings.Str("VAULT_ENCRYPT_SALT"); s != "" {
		return []byte(s)
	}
	return nil
}

func (j *vaultJob) seal(plain []byte, key vault.Secret) ([]byte, error) {
	return vault.Encrypt(plain, key.Password, key.ID, j.salt())
}

// readInput reads a file, or standard input for "-".
func readInput(cmd *cobra.Command, path string) ([]byte, error) {
	var text []byte
	var err error
	if path == "-" {
		text, err = io.ReadAll(cmd.InOrStdin())
	} else {
		text, err = os.ReadFile(path)
	}
	if err != nil {
		return nil, inputError(fmt.Errorf("read %s: %w", path, err))
	}
	return text, nil
}

// writeOutput replaces a file by rename, keeping its mode, or writes to standard output.
func writeOutput(cmd *cobra.Command, path string, text []byte) error {
	if path == "-" {
		_, err := cmd.OutOrStdout().Write(text)
		return err
	}
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		real = path
	}
	mode := os.FileMode(0o600)
	if info, err := os.Stat(real); err == nil {
		mode = info.Mode().Perm()
	}
	tmp, err := os.CreateTemp(filepath.Dir(real), ".orch-vault-")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(text)
	err = errors.Join(err, tmp.Chmod(mode), tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), real)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// each runs do on every file, standard input if there is none, and writes the results.
func (j *vaultJob) each(cmd *cobra.Command, paths []string, done string, do func(text []byte) ([]byte, error)) error {
	if len(paths) == 0 {
		paths = []string{"-"}
	}
	if j.output != "" && len(paths) > 1 {
		return inputError(errors.New("at most one input file may be used with the --output option"))
	}
	for _, path := range paths {
		text, err := readInput(cmd, path)
		if err != nil {
			return err
		}
		result, err := do(text)
		if err != nil {
			return j.unopened(cmd.Name(), path, err)
		}
		to := path
		if j.output != "" {
			to = j.output
		}
		if err := writeOutput(cmd, to, result); err != nil {
			return err
		}
	}
	if isTerminal(cmd.OutOrStdout()) {
		fmt.Fprintln(cmd.ErrOrStderr(), done)
	}
	return nil
}

func vaultEncrypt(j *vaultJob) *cobra.Command {
	cmd := &cobra.Command{
		Use: "encrypt [FILE…]", Short: "Encrypt files",
		RunE: func(cmd *cobra.Command, paths []string) error {
			if err := j.open(cmd); err != nil {
				return err
			}
			key, err := j.key()
			if err != nil {
				return err
			}
			return j.each(cmd, paths, "Encryption successful", func(text []byte) ([]byte, error) {
				if vault.Is(text) {
					return nil, errors.New("input is already encrypted")
				}
				return j.seal(text, key)
			})
		},
	}
	j.add(cmd, true, true)
	return cmd
}

func vaultDecrypt(j *vaultJob) *cobra.Command {
	cmd := &cobra.Command{
		Use: "decrypt [FILE…]", Short: "Decrypt files",
		RunE: func(cmd *cobra.Command, paths []string) error {
			if err := j.open(cmd); err != nil {
				return err
			}
			return j.each(cmd, paths, "Decryption successful", j.opened)
		},
	}
	j.add(cmd, false, true)
	return cmd
}

// unopened is the error of a file that cannot be worked on, in the words of who is called
// (ansible-core 2.18: VaultLib.decrypt adds the file's name, and who called it once more).
func (j *vaultJob) unopened(verb, path string, err error) error {
	if j.as == nil || !errors.Is(err, vault.ErrWrongPassword) {
		return inputError(fmt.Errorf("%s: %w", path, err))
	}
	file := path
	if verb != "view" {
		file = source.Absolute(path)
	}
	text := "Decryption failed (no vault secrets were found that could decrypt)"
	if verb == "view" || verb == "decrypt" {
		text += " on " + file
	}
	return ansibleFail("%s for %s", text, file)
}

func (j *vaultJob) opened(text []byte) ([]byte, error) {
	if !vault.Is(text) {
		return nil, errors.New("input is not vault encrypted data")
	}
	return j.ring.Open(text)
}

func vaultView(j *vaultJob) *cobra.Command {
	cmd := &cobra.Command{
		Use: "view FILE…", Short: "Print encrypted files in clear", Args: args(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, paths []string) error {
			if err := j.open(cmd); err != nil {
				return err
			}
			j.output = ""
			for _, path := range paths {
				text, err := readInput(cmd, path)
				if err != nil {
					return err
				}
				plain, err := j.opened(text)
				if err != nil {
					return j.unopened(cmd.Name(), path, err)
				}
				if _, err := cmd.OutOrStdout().Write(plain); err != nil {
					return err
				}
			}
			return nil
		},
	}
	j.add(cmd, false, false)
	return cmd
}

func vaultEdit(j *vaultJob) *cobra.Command   { return vaultEditor(j, "edit") }
func vaultCreate(j *vaultJob) *cobra.Command { return vaultEditor(j, "create") }

// vaultEditor is edit and create: an editor on the clear text, in a file only its user can
// read, which is overwritten before it is removed.
func vaultEditor(j *vaultJob, verb string) *cobra.Command {
	short := map[string]string{"edit": "Edit an encrypted file", "create": "Make an encrypted file in an editor"}[verb]
	cmd := &cobra.Command{
		Use: verb + " FILE", Short: short, Args: args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, paths []string) error {
			if err := j.open(cmd); err != nil {
				return err
			}
			path := paths[0]
			text, err := os.ReadFile(path)
			var plain []byte
			var key vault.Secret
			switch {
			case verb == "create" && err == nil:
				return inputError(fmt.Errorf("%s exists, please use 'edit' instead", path))
			case verb == "create":
				if key, err = j.key(); err != nil {
					return err
				}
			case err != nil:
				return inputError(err)
			default:
				if plain, err = j.opened(text); err != nil {
					return j.unopened(cmd.Name(), path, err)
				}
				if key, err = j.keyOf(text); err != nil {
					return err
				}
			}
			edited, err := j.edit(cmd, plain)
			if err != nil {
				return err
			}
			if verb == "edit" && bytes.Equal(edited, plain) {
				return nil
			}
			sealed, err := j.seal(edited, key)
			if err != nil {
				return err
			}
			return writeOutput(cmd, path, sealed)
		},
	}
	j.add(cmd, true, false)
	return cmd
}

// keyOf is the password that opened a text: editing keeps its vault id.
func (j *vaultJob) keyOf(text []byte) (vault.Secret, error) {
	if j.encryptID != "" {
		return j.key()
	}
	h, err := vault.Parse(text)
	if err != nil {
		return vault.Secret{}, inputError(err)
	}
	secrets, err := j.ring.Secrets()
	if err != nil {
		return vault.Secret{}, err
	}
	for _, s := range secrets {
		if _, err := vault.Decrypt(text, s.Password); err == nil {
			// A file without an id keeps having none, whichever id's password opened it.
			s.ID = cmp.Or(h.ID, vault.DefaultID)
			return s, nil
		}
	}
	return vault.Secret{}, inputError(vault.ErrWrongPassword)
}

func (j *vaultJob) edit(cmd *cobra.Command, plain []byte) ([]byte, error) {
	dir, err := os.MkdirTemp("", "orch-vault-")
	if err != nil {
		return nil, fmt.Errorf("make a private folder: %w", err)
	}
	path := filepath.Join(dir, "vault.yml")
	defer func() {
		if info, err := os.Stat(path); err == nil {
			_ = os.WriteFile(path, make([]byte, info.Size()), 0o600)
		}
		os.RemoveAll(dir)
	}()
	if err := os.WriteFile(path, plain, 0o600); err != nil {
		return nil, fmt.Errorf("write clear text: %w", err)
	}
	editor := strings.Fields(orDefault(os.Getenv("EDITOR"), j.settings.Str("EDITOR")))
	run := exec.CommandContext(cmd.Context(), editor[0], append(editor[1:], path)...)
	run.Stdin, run.Stdout, run.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := run.Run(); err != nil {
		return nil, fmt.Errorf("run editor %s: %w", strings.Join(editor, " "), err)
	}
	return os.ReadFile(path)
}

func vaultRekey(j *vaultJob) *cobra.Command {
	var newFile, newID string
	cmd := &cobra.Command{
		Use: "rekey FILE…", Short: "Encrypt files with another password", Args: args(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, paths []string) error {
			switch {
			case newFile == "" || newID == "":
			case j.as != nil:
				return &ansibleExit{code: ansibleUsage, text: "argument --new-vault-id: not allowed with argument --new-vault-password-file"}
			default:
				return inputError(errors.New("--new-vault-id and --new-vault-password-file both say what the new password is: give one"))
			}
			if err := j.open(cmd); err != nil {
				return err
			}
			src := vault.Source{ID: vault.DefaultID, Prompt: true}
			switch {
			case newFile != "":
				src = vault.Source{ID: vault.DefaultID, File: newFile}
			case newID != "":
				src = vault.ParseSource(newID)
			}
			var ask func(string) (string, error)
			if j.term != nil {
				ask = func(string) (string, error) { return j.term.secret("New Vault password: ") }
			}
			key, err := src.Load(ask)
			if err != nil {
				return inputError(err)
			}
			return j.each(cmd, paths, "Rekey successful", func(text []byte) ([]byte, error) {
				plain, err := j.opened(text)
				if err != nil {
					return nil, err
				}
				return j.seal(plain, key)
			})
		},
	}
	j.add(cmd, true, false)
	cmd.Flags().StringVar(&newFile, "new-vault-password-file", "", "file with the new password")
	cmd.Flags().StringVar(&newID, "new-vault-id", "", "the new vault id: ID@FILE or ID@prompt")
	return cmd
}

func vaultString(j *vaultJob) *cobra.Command {
	var names []string
	var stdinName string
	var prompt, show bool
	cmd := &cobra.Command{
		Use: "encrypt_string [TEXT…]", Short: "Encrypt strings for use in YAML files", Aliases: []string{"encrypt-string"},
		RunE: func(cmd *cobra.Command, texts []string) error {
			if err := j.open(cmd); err != nil {
				return err
			}
			key, err := j.key()
			if err != nil {
				return err
			}
			switch {
			case prompt:
				read := j.term.secret
				if show {
					read = func(p string) (string, error) { return j.term.Ask(cmd.Context(), p, true) }
				}
				text, err := read("String to encrypt: ")
				if err != nil {
					return inputError(err)
				}
				texts = append(texts, text)
			case len(texts) == 0 || len(texts) == 1 && texts[0] == "-":
				text, err := io.ReadAll(cmd.InOrStdin())
				if err != nil {
					return fmt.Errorf("read standard input: %w", err)
				}
				texts, names = []string{string(text)}, append([]string{stdinName}, names...)
			}
			var b strings.Builder
			for i, text := range texts {
				sealed, err := j.seal([]byte(text), key)
				if err != nil {
					return err
				}
				indent := "          "
				if i < len(names) && names[i] != "" {
					b.WriteString(names[i] + ": ")
				}
				b.WriteString("!vault |\n")
				for line := range strings.Lines(string(sealed)) {
					b.WriteString(indent + line)
				}
			}
			if j.output != "" {
				return writeOutput(cmd, j.output, []byte(b.String()))
			}
			_, err = io.WriteString(cmd.OutOrStdout(), b.String())
			return err
		},
	}
	j.add(cmd, true, true)
	cmd.Flags().StringArrayVarP(&names, "name", "n", nil, "variable name of a string; repeatable")
	cmd.Flags().StringVar(&stdinName, "stdin-name", "", "variable name of the string from standard input")
	cmd.Flags().BoolVarP(&prompt, "prompt", "p", false, "ask for the string")
	cmd.Flags().BoolVar(&show, "show-input", false, "show the string while it is typed")
	return cmd
}
