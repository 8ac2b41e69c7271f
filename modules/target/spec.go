package target

import (
	"context"
	"fmt"
	"io"
	"time"

	"orch/modules"
	"orch/transport"
	"orch/transport/ssh"
)

// A HostSpec says how a host is reached, with every connection variable resolved. It is
// comparable: two tasks with the same HostSpec share one connection and one helper.
type HostSpec struct {
	Name    string // in the inventory, for messages
	Address string // ansible_host; "" is Name
	Port    int    // ansible_port; 0 is what ssh's configuration says, or 22
	User    string // ansible_user; "" is what ssh's configuration says, or this user

	// Connection is ansible_connection: "ssh", "smart" (ssh), "paramiko_ssh" (ssh) or
	// "local"; "" is ssh. Any other is refused by name.
	Connection string

	Password string // ansible_password, ansible_ssh_pass
	KeyFile  string // ansible_ssh_private_key_file; "" is what ssh would try

	// SSHArgs, CommonArgs and ExtraArgs are ansible_ssh_args, ansible_ssh_common_args and
	// ansible_ssh_extra_args as written; see ssh.CheckArgs for what is understood.
	SSHArgs, CommonArgs, ExtraArgs string

	// HostKeys is "strict", "accept-new" or "off"; "" is what ssh's configuration says, or
	// strict. ansible_host_key_checking: false is "off".
	HostKeys string

	ConnectTimeout time.Duration // ansible_ssh_timeout, ansible_timeout; 0 is 10 s
	Retries        int           // ansible_ssh_retries: more attempts to connect

	Become transport.Become // zero value: no become

	// RemoteTmp is ansible_remote_tmp: where the helper and temporary files go; "" is
	// ~/.cache/orch.
	RemoteTmp string
	// ShellExecutable is ansible_shell_executable. What is sent to a host is POSIX sh, so
	// shells that speak it make no difference; others are refused.
	ShellExecutable string
	// NoHelper forces the Shell placement.
	NoHelper bool
}

// Check finds what no host could be reached with, before one is: an unknown connection or
// become method, arguments that ssh does not have.
func (s HostSpec) Check() error {
	if _, err := s.remote(); err != nil {
		return err
	}
	args, err := s.sshArgs()
	if err != nil {
		return err
	}
	if err := ssh.CheckArgs(args); err != nil {
		return err
	}
	return s.Become.Check()
}

// remote tells ssh from local.
func (s HostSpec) remote() (bool, error) {
	switch s.Connection {
	case "local", "ansible.builtin.local":
		return false, nil
	case "", "ssh", "smart", "paramiko_ssh", "paramiko", "ansible.builtin.ssh", "ansible.builtin.paramiko_ssh":
		return true, nil
	}
	return false, fmt.Errorf("connection %q is not supported, one of ssh, local", s.Connection)
}

// sshArgs are the words of the ssh arguments, those of later settings last.
func (s HostSpec) sshArgs() ([]string, error) {
	var args []string
	for _, line := range []string{s.SSHArgs, s.CommonArgs, s.ExtraArgs} {
		words, err := transport.Split(line)
		if err != nil {
			return nil, fmt.Errorf("ssh arguments %q: %w", line, err)
		}
		args = append(args, words...)
	}
	return args, nil
}

// Target names where the connection goes: user@address:port, and who one becomes there.
func (s HostSpec) Target() string {
	if far, err := s.remote(); err == nil && !far {
		return "this machine"
	}
	out := s.Address
	if out == "" {
		out = s.Name
	}
	if s.User != "" {
		out = s.User + "@" + out
	}
	if s.Port != 0 {
		out = fmt.Sprintf("%s:%d", out, s.Port)
	}
	if s.Become.Method != "" {
		out += fmt.Sprintf(" and for %s to %s", s.Become.Method, s.Become.User)
	}
	return out
}

// PoolConfig is what the connections of a run share.
type PoolConfig struct {
	// Entries are the host modules; nil is host.Modules() and host.Internal().
	Entries []modules.Entry
	// Self is the command line that runs machine.RunJob in a process of its own, for async
	// tasks on this machine; without it they are refused.
	Self []string
	// Warn receives warnings, each once per host and text; nil drops them.
	Warn func(host, msg string)
	// Passphrase asks for the passphrase of an encrypted key; nil: such keys are skipped
	// unless an agent holds them.
	Passphrase func(ctx context.Context, path string) (string, error)
	// Helper opens the gzip-compressed helper for a Go architecture ("amd64") and returns
	// the hex sha256 of its uncompressed bytes; fs.ErrNotExist if there is none. nil is
	// the embedded ones.
	Helper func(arch string) (sum string, open func() (io.ReadCloser, error), err error)
}
