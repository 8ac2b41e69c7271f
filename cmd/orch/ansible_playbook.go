package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"orch/playbook/settings"
)

// newAnsiblePlaybook is orch run with the flags of ansible-playbook.
func newAnsiblePlaybook(p *persona) *cobra.Command {
	f := &playFlags{}
	f.project.as = p
	cmd := &cobra.Command{
		Use:   "ansible-playbook [options] playbook.yml [playbook2 ...]",
		Short: "Runs Ansible playbooks, executing the defined tasks on the targeted hosts.",
		Args:  needs("playbook", 1, -1),
		RunE: func(cmd *cobra.Command, paths []string) error {
			for _, path := range paths {
				if err := isPlaybook(path); err != nil {
					return err
				}
			}
			f.callback = stdoutCallback
			return f.runPlaybooks(cmd, paths)
		},
	}
	flags := cmd.Flags()
	f.addShared(flags)
	f.addPlaybook(flags)
	inventoryFile(flags, &f.project.inventory)
	return cmd
}

// inventoryFile adds the old name of --inventory.
func inventoryFile(fs *pflag.FlagSet, f *inventoryFlags) {
	fs.StringArrayVar(&f.sources, "inventory-file", nil, "the same as --inventory")
	_ = fs.MarkHidden("inventory-file")
}

// stdoutCallback is the view that stdout_callback names.
func stdoutCallback(s *settings.Settings) (string, error) {
	switch name := strings.TrimPrefix(s.Str("DEFAULT_STDOUT_CALLBACK"), "ansible.builtin."); name {
	case "", "default":
		return "ansible", nil
	case "minimal", "oneline":
		return name, nil
	default:
		return "", ansibleFail("Invalid callback for stdout specified: %s", name)
	}
}

func isPlaybook(path string) error {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return ansibleFail("the playbook: %s could not be found", path)
	case !info.Mode().IsRegular() && info.Mode()&fs.ModeNamedPipe == 0:
		return ansibleFail("the playbook: %s does not appear to be a file", path)
	}
	return nil
}

// newAnsible is orch do with the flags of ansible.
func newAnsible(p *persona) *cobra.Command {
	f := &doFlags{}
	f.project.as = p
	var oneLine bool
	var tree string
	cmd := &cobra.Command{
		Use:   "ansible <host-pattern> [options]",
		Short: "Define and run a single task 'playbook' against a set of hosts",
		Args:  needs("pattern", 1, 1),
		RunE: func(cmd *cobra.Command, pattern []string) error {
			f.callback = func(s *settings.Settings) (string, error) {
				name := "minimal"
				var err error
				switch {
				case oneLine:
					name = "oneline"
				case s.Bool("DEFAULT_LOAD_CALLBACK_PLUGINS") && s.Set("DEFAULT_STDOUT_CALLBACK"):
					name, err = stdoutCallback(s)
				}
				if tree != "" {
					name += ",tree=" + tree
				}
				return name, err
			}
			return f.do(cmd, pattern[0])
		},
	}
	flags := cmd.Flags()
	f.add(flags)
	inventoryFile(flags, &f.project.inventory)
	flags.BoolVarP(&oneLine, "one-line", "o", false, "condense output")
	flags.StringVarP(&tree, "tree", "t", "", "log output to this directory")
	return cmd
}

// newAnsibleVault is orch vault with the flags of ansible-vault.
func newAnsibleVault(p *persona) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ansible-vault [options] {create,decrypt,edit,view,encrypt,encrypt_string,rekey} ...",
		Short: "encryption/decryption utility for Ansible data files",
		Args:  needs("action", 1, 0),
		RunE:  func(*cobra.Command, []string) error { return nil },
	}
	addVault(cmd, p)
	return cmd
}

// newLinkAnsible makes the links by whose names orch is Ansible's programs.
func newLinkAnsible() *cobra.Command {
	return &cobra.Command{
		Use:   "link-ansible DIR",
		Short: "Make links by which orch is called as ansible-playbook, ansible, …",
		Long: `Makes DIR/ansible-playbook, DIR/ansible, DIR/ansible-inventory and DIR/ansible-vault,
links to this program, which then takes the flags, settings and exit codes of the
program it is called as. Nothing that is not such a link is overwritten.`,
		Example: "  orch link-ansible ~/.local/bin",
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, dirs []string) error {
			return linkAnsible(cmd.OutOrStdout(), dirs[0])
		},
	}
}

func linkAnsible(out io.Writer, dir string) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	if self, err = filepath.EvalSymlinks(self); err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	names := slices.Sorted(maps.Keys(personas))
	for _, name := range names {
		if err := isOurs(filepath.Join(dir, name), self); err != nil {
			return inputError(err)
		}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return inputError(fmt.Errorf("make folder: %w", err))
	}
	for _, name := range names {
		path := filepath.Join(dir, name)
		if to, err := os.Readlink(path); err == nil && to == self {
			continue
		}
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("replace link: %w", err)
		}
		if err := os.Symlink(self, path); err != nil {
			return fmt.Errorf("make link: %w", err)
		}
		fmt.Fprintf(out, "%s -> %s\n", path, self)
	}
	return nil
}

// isOurs refuses to replace anything but a link to an orch: this one, or one that was
// moved or removed since.
func isOurs(path, self string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	to, err := os.Readlink(path)
	if info.Mode()&fs.ModeSymlink == 0 || err != nil || to != self && filepath.Base(to) != "orch" {
		return fmt.Errorf("%s is there already and is no link to orch\nhint: name another folder, or move it away", path)
	}
	return nil
}
