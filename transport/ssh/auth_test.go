package ssh_test

import (
	"context"
	"crypto/rand"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	gossh "golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"orch/transport"
	"orch/transport/ssh"
	"orch/transport/transporttest"
)

// fails dials and checks the error: a lost host, with the given texts in its message.
func fails(t *testing.T, config ssh.Config, want ...string) {
	t.Helper()
	conn, err := ssh.Dial(t.Context(), config)
	if err == nil {
		conn.Close()
		t.Fatal("connected")
	}
	var lost *transport.Lost
	if !errors.As(err, &lost) || lost.Started {
		t.Errorf("%T is no *transport.Lost before the start: %v", err, err)
	}
	for _, text := range want {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("%v\ndoes not say %q", err, text)
		}
	}
}

func TestPasswords(t *testing.T) {
	alone(t)
	for name, s := range map[string]*transporttest.Server{
		"password": {Password: "s3cret"}, "question": {Password: "s3cret", Question: "Password: "}, "foreign question": {Password: "s3cret", Question: "Пароль: "},
	} {
		t.Run(name, func(t *testing.T) {
			config := serverConfig(t, s.Start(t))
			config.Password = "s3cret"
			if got := output(t, dial(t, config), "echo", "in"); got != "in\n" {
				t.Errorf("got %q", got)
			}
			config.Password = "wrong"
			fails(t, config, "ssh any@"+s.Addr, "authentication failed", "tried", "the password")
			config.Password = ""
			fails(t, config, "authentication failed: the host accepts ", "nothing to try", "no password given")
		})
	}
	s := (&transporttest.Server{Password: "s3cret"}).Start(t)
	config := serverConfig(t, s)
	config.Password = "s3cret"
	config.Args = append(config.Args, "-o", "PasswordAuthentication=no", "-o", "KbdInteractiveAuthentication=no")
	fails(t, config, "password is turned off (-o PasswordAuthentication)")
}

func TestKeys(t *testing.T) {
	home := alone(t)
	plain, plainKey := transporttest.KeyFile(t, home, "")
	locked, lockedKey := transporttest.KeyFile(t, home, "open sesame")
	other, _ := transporttest.KeyFile(t, home, "")
	s := (&transporttest.Server{Keys: []gossh.PublicKey{plainKey, lockedKey}}).Start(t)
	config := serverConfig(t, s)

	config.KeyFile = plain
	_ = dial(t, config)
	config.KeyFile = other
	fails(t, config, "authentication failed: the host accepts publickey", "tried "+other+" (ED25519 SHA256:")
	config.KeyFile = filepath.Join(home, "none")
	fails(t, config, "no such file", "no key found")

	asked := 0
	config.KeyFile = locked
	fails(t, config, locked+" is encrypted and there is no way to ask for its passphrase")
	config.Passphrase = func(_ context.Context, path string) (string, error) {
		asked++
		if path != locked {
			t.Errorf("asked for %s", path)
		}
		return "open sesame", nil
	}
	config.Shared = &ssh.Shared{}
	_, _ = dial(t, config), dial(t, config)
	if asked != 1 {
		t.Errorf("asked %d times for one passphrase", asked)
	}
	config.Shared = nil
	config.Passphrase = func(context.Context, string) (string, error) { return "wrong", nil }
	fails(t, config, "wrong passphrase")
	// Nobody is asked for the passphrase of a key the host does not take.
	asked = 0
	unknown, _ := transporttest.KeyFile(t, home, "x")
	config.KeyFile = unknown
	config.Passphrase = func(context.Context, string) (string, error) { asked++; return "x", nil }
	fails(t, config, "authentication failed")
	if asked != 0 {
		t.Error("asked for the passphrase of a key that was refused")
	}

	if err := os.Chmod(plain, 0o644); err != nil {
		t.Fatal(err)
	}
	config.KeyFile = plain
	fails(t, config, "has mode 0644, which lets others read it: chmod 600")
}

// startAgent serves an agent that holds a key, and returns the key.
func startAgent(t *testing.T) gossh.PublicKey {
	t.Helper()
	ring := agent.NewKeyring()
	path, public := transporttest.KeyFile(t, t.TempDir(), "")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	key, err := gossh.ParseRawPrivateKey(text)
	if err != nil {
		t.Fatal(err)
	}
	if err := ring.Add(agent.AddedKey{PrivateKey: key, Comment: "held"}); err != nil {
		t.Fatal(err)
	}
	sock := filepath.Join(t.TempDir(), "agent")
	l, err := net.Listen("unix", sock)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() { _ = agent.ServeAgent(ring, conn) }()
		}
	}()
	t.Setenv("SSH_AUTH_SOCK", sock)
	return public
}

func TestAgent(t *testing.T) {
	alone(t)
	public := startAgent(t)
	s := (&transporttest.Server{Keys: []gossh.PublicKey{public}}).Start(t)
	_ = dial(t, serverConfig(t, s))
	only := serverConfig(t, s)
	only.Args = append(only.Args, "-o", "IdentitiesOnly=yes")
	fails(t, only, "no key found")
	off := serverConfig(t, s)
	off.Args = append(off.Args, "-o", "IdentityAgent=none")
	fails(t, off, "no key found")
	strangers := (&transporttest.Server{Keys: []gossh.PublicKey{transporttest.NewKey(t).PublicKey()}}).Start(t)
	fails(t, serverConfig(t, strangers), `tried agent key "held" (ED25519 SHA256:`)
}

func TestAgentIsForwarded(t *testing.T) {
	alone(t)
	startAgent(t)
	config := configFor(transporttest.Sshd(t))
	config.Args = append(config.Args, "-A")
	conn := dial(t, config)
	if got := output(t, conn, "ssh-add", "-l"); !strings.Contains(got, "held") {
		t.Errorf("the host sees %q", got)
	}
}

func TestCertificates(t *testing.T) {
	home := alone(t)
	authority := transporttest.NewKey(t)
	path, public := transporttest.KeyFile(t, home, "")
	s := (&transporttest.Server{Keys: []gossh.PublicKey{authority.PublicKey()}}).Start(t)
	config := serverConfig(t, s)
	config.KeyFile = path
	fails(t, config, "authentication failed")
	cert := &gossh.Certificate{Key: public, CertType: gossh.UserCert, ValidPrincipals: []string{"any"}, ValidBefore: gossh.CertTimeInfinity}
	if err := cert.SignCert(rand.Reader, authority); err != nil {
		t.Fatal(err)
	}
	text := gossh.MarshalAuthorizedKey(cert)
	elsewhere := filepath.Join(home, "cert")
	if err := os.WriteFile(elsewhere, text, 0o600); err != nil {
		t.Fatal(err)
	}
	named := config
	named.Args = append(named.Args, "-o", "CertificateFile="+elsewhere)
	_ = dial(t, named)
	if err := os.WriteFile(path+"-cert.pub", text, 0o600); err != nil {
		t.Fatal(err)
	}
	_ = dial(t, config)
}

func knownHosts(t *testing.T, lines ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "known_hosts")
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestHostKeys(t *testing.T) {
	alone(t)
	authority := transporttest.NewKey(t)
	s := (&transporttest.Server{HostCert: authority, HostCertOf: "127.0.0.1"}).Start(t)
	_, port, _ := net.SplitHostPort(s.Addr)
	text := func(k gossh.PublicKey) string { return strings.TrimSpace(string(gossh.MarshalAuthorizedKey(k))) }
	right, wrong := text(s.HostKey.PublicKey()), text(transporttest.NewKey(t).PublicKey())
	name := "[127.0.0.1]:" + port
	hashed := "|1|F1E1KeoE/eEWhi10WpGv4OdiO6Y=|3988QV0VE8wmZL7suNrYQLITLCg=" // 192.168.1.61, from sshd(8)
	for _, c := range []struct {
		title string
		lines []string
		want  []string // nil: connects
	}{
		{"plain", []string{name + " " + right}, nil},
		{"comment, list, wildcard", []string{"# x", "", "other," + "[127.0.0.*]:" + port + " " + right + " a comment"}, nil},
		{"lines nobody understands", []string{"nonsense", name + " ssh-dss AAAAB3NzaC1kc3MAAAA=", name + " future-key AAAA", name + " " + right}, nil},
		{"second key of the host", []string{name + " " + wrong, name + " " + right}, nil},
		{"authority", []string{"@cert-authority [127.0.0.1]:* " + text(authority.PublicKey())}, nil},
		{"unknown", []string{hashed + " " + right}, []string{"the host key of " + name + " is not known: it shows ED25519 SHA256:", "hint:", "ssh-keyscan -t ed25519 -p " + port + " 127.0.0.1 >> "}},
		{"excluded", []string{"*,!" + name + " " + right}, []string{"is not known"}},
		{"without the port", []string{"127.0.0.1 " + right}, []string{"is not known"}},
		{"authority as host key", []string{"@cert-authority " + name + " " + right, "@revoked * " + wrong}, []string{"not valid"}},
		{"changed", []string{"# one", name + " " + wrong}, []string{"has changed", "known_hosts:2 says ED25519 SHA256:", "ssh-keygen -R " + "'" + name + "' -f "}},
		{"revoked", []string{name + " " + right, "@revoked * " + right}, []string{"is revoked", "known_hosts:2"}},
	} {
		t.Run(c.title, func(t *testing.T) {
			config := serverConfig(t, s)
			config.HostKeys = "strict"
			config.Args = append(config.Args, "-o", "UserKnownHostsFile="+knownHosts(t, c.lines...), "-o", "GlobalKnownHostsFile=none")
			if c.want == nil {
				_ = dial(t, config)
				return
			}
			fails(t, config, c.want...)
		})
	}
	t.Run("hashed", func(t *testing.T) {
		config := serverConfig(t, s)
		config.HostKeys = "strict"
		config.Args = append(config.Args, "-o", "HostKeyAlias=192.168.1.61", "-o", "UserKnownHostsFile="+knownHosts(t, hashed+" "+right))
		_ = dial(t, config)
	})
	t.Run("accept-new", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "new", "known_hosts")
		config := serverConfig(t, s)
		config.HostKeys = "accept-new"
		config.Args = append(config.Args, "-o", "UserKnownHostsFile="+path)
		_ = dial(t, config)
		if got, err := os.ReadFile(path); err != nil || strings.TrimSpace(string(got)) != name+" "+right {
			t.Errorf("recorded %q, %v", got, err)
		}
		config.HostKeys = "strict"
		_ = dial(t, config)
		config.HostKeys = "accept-new"
		config.Args[len(config.Args)-1] = "UserKnownHostsFile=" + knownHosts(t, name+" "+wrong)
		fails(t, config, "has changed")
	})
	t.Run("off", func(t *testing.T) {
		config := serverConfig(t, s)
		config.HostKeys = ""
		config.Args = append(config.Args, "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile="+knownHosts(t, name+" "+wrong))
		_ = dial(t, config)
	})
}

// A host with several keys must be asked for one that is known.
func TestKnownKeyTypeIsAskedFor(t *testing.T) {
	alone(t)
	dir := t.TempDir()
	rsa := filepath.Join(dir, "rsa")
	if out, err := run("ssh-keygen", "-q", "-t", "rsa", "-b", "2048", "-N", "", "-f", rsa); err != nil {
		t.Skipf("%v: %s", err, out)
	}
	s := transporttest.Sshd(t, "HostKey "+rsa)
	public, err := os.ReadFile(rsa + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	config := configFor(s)
	config.Args = []string{"-F", "none", "-o", "UserKnownHostsFile=" + knownHosts(t, "["+s.Host+"]:"+port(s)+" "+string(public))}
	_ = dial(t, config)
}
