package host

import (
	"context"
	"path"
	"strconv"
	"strings"

	"orch/modules"
)

// keyFile is where the user's ssh key is; home is that of the user, if there is one.
func (u *User) keyFile(home string) string {
	if u.Home != "" {
		home = u.Home
	}
	file := u.SshKeyFile
	if file == "" {
		file = path.Join(".ssh", "id_"+u.SshKeyType)
	}
	if path.IsAbs(file) {
		return file
	}
	return path.Join(home, file)
}

func (u *User) sshKey(ctx context.Context, v modules.View, home string, out *UserOut) ([]step, error) {
	if home != "" || u.Home != "" {
		fi, err := stat(ctx, v, u.keyFile(home))
		if err != nil {
			return nil, err
		}
		if fi != nil {
			return nil, nil
		}
	}
	return []step{{Title: "make an ssh key for the user " + u.Name, Do: func(ctx context.Context, t modules.Target) (bool, error) {
		now, err := t.User(ctx, u.Name)
		if err != nil {
			return false, err
		}
		return true, u.makeKey(ctx, t, now)
	}}}, nil
}

func (u *User) makeKey(ctx context.Context, t modules.Target, now modules.User) error {
	file := u.keyFile(now.Home)
	dir := path.Dir(file)
	if fi, err := stat(ctx, t, dir); err != nil {
		return err
	} else if fi == nil {
		if err := t.Mkdir(ctx, dir, 0o700); err != nil {
			return fileFailure(err)
		}
		if err := t.Chown(ctx, dir, now.UID, now.GID, true); err != nil {
			return fileFailure(err)
		}
	}
	comment := u.SshKeyComment
	if comment == "" {
		node, err := t.ReadFile(ctx, "/proc/sys/kernel/hostname")
		if err != nil {
			return fileFailure(err)
		}
		comment = "ansible-generated on " + strings.TrimSpace(string(node))
	}
	argv := []string{"ssh-keygen", "-q", "-t", u.SshKeyType}
	if u.SshKeyBits > 0 {
		argv = append(argv, "-b", strconv.Itoa(u.SshKeyBits))
	}
	pass := ""
	if u.SshKeyPassphrase != nil {
		pass = *u.SshKeyPassphrase
	}
	if _, err := mustRun(ctx, t, append(argv, "-C", comment, "-f", file, "-N", pass)...); err != nil {
		return err
	}
	for _, p := range []string{file, file + ".pub"} {
		if err := t.Chown(ctx, p, now.UID, now.GID, true); err != nil {
			return fileFailure(err)
		}
	}
	return nil
}

// readKey puts the key's public half into the result.
func (u *User) readKey(ctx context.Context, v modules.View, home string, out *UserOut) error {
	if !u.GenerateSshKey {
		return nil
	}
	out.SSHKeyFile = u.keyFile(home)
	pub, err := readFile(ctx, v, out.SSHKeyFile+".pub")
	if err != nil || pub == nil {
		return err
	}
	out.SSHPublicKey = strings.TrimSpace(string(pub))
	if o, err := v.Query(ctx, "ssh-keygen", "-l", "-f", out.SSHKeyFile); err == nil && o.RC == 0 {
		out.SSHFingerprint = strings.TrimSpace(o.Stdout)
	}
	return nil
}
