package ssh_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	gossh "golang.org/x/crypto/ssh"

	"orch/transport"
	"orch/transport/ssh"
	"orch/transport/transporttest"
)

// What the tests of keys and host keys ask of a server in this process, OpenSSH's own
// server is asked here: it encodes keys, certificates and refusals its own way.

func TestKeysOnSshd(t *testing.T) {
	home := alone(t)
	file := func(name string, lines ...string) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(strings.Join(lines, "")), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	authorized := func(k gossh.PublicKey) string { return string(gossh.MarshalAuthorizedKey(k)) }
	locked, lockedKey := transporttest.KeyFile(t, home, "open sesame")
	signed, _ := transporttest.KeyFile(t, home, "")
	refused, _ := transporttest.KeyFile(t, home, "")
	held := startAgent(t)
	authority, authorityKey := transporttest.KeyFile(t, home, "")
	s := transporttest.Sshd(t,
		"AuthorizedKeysFile "+file("keys", authorized(lockedKey), authorized(held)),
		"TrustedUserCAKeys "+file("authority", authorized(authorityKey)))
	base := func(key string, options ...string) ssh.Config {
		config := configFor(s)
		config.KeyFile = key
		for _, o := range options {
			config.Args = append(config.Args, "-o", o)
		}
		return config
	}
	open := base(locked, "IdentityAgent=none")
	open.Passphrase = func(context.Context, string) (string, error) { return "open sesame", nil }
	shut := open
	shut.Passphrase = func(context.Context, string) (string, error) { return "wrong", nil }
	before := base(signed, "IdentityAgent=none")
	fails(t, before, "authentication failed: the host accepts publickey", "tried "+signed)
	keygen(t, "-s", authority, "-I", "somebody", "-n", s.User, "-V", "-1h:+1h", signed+".pub")
	stranger := base(refused, "IdentityAgent=none")
	late, _ := transporttest.KeyFile(t, home, "")
	keygen(t, "-s", authority, "-I", "somebody", "-n", s.User, "-V", "-2h:-1h", late+".pub")
	for name, config := range map[string]ssh.Config{
		"encrypted key": open, "agent": base(""), "certificate of a user": base(signed, "IdentityAgent=none"),
		"certificate named": base(signed, "IdentityAgent=none", "CertificateFile="+signed+"-cert.pub"),
	} {
		t.Run(name, func(t *testing.T) {
			if got := output(t, dial(t, config), "echo", "in"); got != "in\n" {
				t.Errorf("got %q", got)
			}
		})
	}
	t.Run("refused", func(t *testing.T) {
		fails(t, shut, "authentication failed", "wrong passphrase")
		fails(t, base(locked, "IdentityAgent=none"), "is encrypted and there is no way to ask for its passphrase")
		fails(t, stranger, "authentication failed: the host accepts publickey", "tried "+refused+" (ED25519 SHA256:")
		fails(t, base(late, "IdentityAgent=none"), "authentication failed")
		fails(t, base("", "IdentitiesOnly=yes"), "no key found")
	})
}

// keygen runs ssh-keygen.
func keygen(t *testing.T, args ...string) {
	t.Helper()
	if out, err := run(append([]string{"ssh-keygen", "-q"}, args...)...); err != nil {
		t.Fatalf("ssh-keygen %q: %v: %s", args, err, out)
	}
}

// newHostKey makes a host key of a type in a folder of its own.
func newHostKey(t *testing.T, kind string) (path, public string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), kind)
	keygen(t, "-t", kind, "-N", "", "-f", path)
	text, err := os.ReadFile(path + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	return path, strings.TrimSpace(string(text))
}

func TestHostKeysOnSshd(t *testing.T) {
	alone(t)
	authority, authorityKey := newHostKey(t, "ed25519")
	certified, certifiedKey := newHostKey(t, "ecdsa")
	keygen(t, "-s", authority, "-h", "-I", "host", "-n", "127.0.0.1", certified+".pub")
	rsa, rsaKey := newHostKey(t, "rsa")
	_, otherKey := newHostKey(t, "ed25519")
	s := transporttest.Sshd(t, "HostKey "+rsa, "HostKey "+certified, "HostCertificate "+certified+"-cert.pub")
	name := "[127.0.0.1]:" + port(s)
	right := strings.TrimSpace(string(gossh.MarshalAuthorizedKey(s.HostPublicKey)))
	hashed := func(lines ...string) string {
		path := knownHosts(t, lines...)
		keygen(t, "-H", "-f", path)
		text, err := os.ReadFile(path)
		if err != nil || strings.Contains(string(text), "127.0.0.1") {
			t.Fatalf("%s is not hashed, %v", text, err)
		}
		return path
	}
	for _, c := range []struct {
		title, file, policy string
		want                []string // nil: connects
	}{
		{"plain", knownHosts(t, name+" "+right), "strict", nil},
		{"hashed", hashed("example.org "+otherKey, name+" "+right), "strict", nil},
		{"hashed and changed", hashed(name + " " + otherKey), "strict", []string{"has changed", "says ED25519 SHA256:"}},
		// Asked for the first algorithm both sides have, the host would show another key.
		{"only rsa is known", knownHosts(t, name+" "+rsaKey), "strict", nil},
		{"only ecdsa is known", knownHosts(t, name+" "+certifiedKey), "strict", nil},
		{"authority", knownHosts(t, "@cert-authority [127.0.0.1]:* "+authorityKey), "strict", nil},
		{"authority of others", knownHosts(t, "@cert-authority * "+otherKey), "strict", []string{"the host certificate of " + name, "not valid"}},
		{"revoked", knownHosts(t, name+" "+right, "@revoked * "+right), "strict", []string{"is revoked"}},
		{"revoked authority", knownHosts(t, "@cert-authority * "+authorityKey, "@revoked * "+authorityKey), "strict", []string{"is revoked"}},
		{"revoked and off", knownHosts(t, "@revoked * "+right), "off", []string{"is revoked"}},
		{"unknown", knownHosts(t, "example.org "+right), "strict", []string{"is not known", "hint:"}},
		{"accept-new", knownHosts(t, "example.org "+right), "accept-new", nil},
		{"accept-new, changed", knownHosts(t, name+" "+otherKey), "accept-new", []string{"has changed"}},
		{"off", knownHosts(t, name+" "+otherKey), "off", nil},
	} {
		t.Run(c.title, func(t *testing.T) {
			config := ssh.Config{
				Host: s.Host, Port: s.Port, User: s.User, KeyFile: s.KeyFile, HostKeys: c.policy,
				Args: []string{"-F", "none", "-o", "UserKnownHostsFile=" + c.file, "-o", "GlobalKnownHostsFile=none"},
			}
			if c.want != nil {
				fails(t, config, c.want...)
				return
			}
			_ = dial(t, config)
			if c.policy == "accept-new" {
				config.HostKeys = "strict"
				_ = dial(t, config)
			}
		})
	}
}

// More commands than sshd gives a connection sessions: they wait for one another, or run
// over a further connection.
func TestMaxSessionsOfSshd(t *testing.T) {
	alone(t)
	for _, sessions := range []int{1, 3} {
		t.Run(fmt.Sprint(sessions), func(t *testing.T) {
			conn := dial(t, configFor(transporttest.Sshd(t, fmt.Sprint("MaxSessions ", sessions))))
			failed := make(chan error)
			const commands = 20
			for i := range commands {
				go func() {
					want := fmt.Sprintln("command", i)
					out, _, exit, err := transporttest.Output(t.Context(), conn, transport.Cmd{Argv: []string{"sh", "-c", "sleep 0.1; echo command $0", fmt.Sprint(i)}})
					if err == nil && (exit != 0 || out != want) {
						err = fmt.Errorf("%q, exit %d", out, exit)
					}
					failed <- err
				}()
			}
			for range commands {
				if err := <-failed; err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// A configuration file as people have them: aliases, patterns, Match, several keys.
func TestConfigFileOnSshd(t *testing.T) {
	home := alone(t)
	s := transporttest.Sshd(t)
	other, _ := transporttest.KeyFile(t, home, "")
	config := fmt.Sprintf(`Include more
Host shop-*
  HostName 127.0.0.1
  IdentityFile %s
  IdentityFile %s
  UserKnownHostsFile %s
Match originalhost shop-web user %s
  Port %d
`, other, s.KeyFile, s.KnownHosts, s.User, s.Port)
	for name, text := range map[string]string{"config": config, "more": "Host *\n  User " + s.User + "\n  IdentitiesOnly yes\n"} {
		if err := os.WriteFile(filepath.Join(home, ".ssh", name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got := output(t, dial(t, ssh.Config{Host: "shop-web"}), "echo", "in"); got != "in\n" {
		t.Errorf("got %q", got)
	}
}

// Passwords need hosts with users: web1 takes them, new1 asks questions through PAM.
func TestPasswordsInTheLab(t *testing.T) {
	dir := labState(t)
	alone(t)
	for name, addr := range map[string]string{"password": web1, "keyboard-interactive": new1} {
		t.Run(name, func(t *testing.T) {
			config := ssh.Config{
				Host: addr, User: "ops", Password: "ops-secret",
				Args: []string{"-F", "none", "-o", "UserKnownHostsFile=" + filepath.Join(dir, "known_hosts")},
			}
			if got := output(t, dial(t, config), "id", "-un"); got != "ops\n" {
				t.Errorf("got %q", got)
			}
			config.Password = "wrong"
			fails(t, config, "ssh ops@"+addr, "authentication failed: the host accepts ", name, "tried", "the password")
			config.Password = ""
			fails(t, config, "nothing to try", "no password given")
		})
	}
}
