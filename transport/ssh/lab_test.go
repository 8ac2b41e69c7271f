package ssh_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"orch/transport"
	"orch/transport/ssh"
	"orch/transport/transporttest"
)

// lab connects to a host of testdata/lab as one of its users.
func lab(t *testing.T, addr, user string) transport.Conn {
	t.Helper()
	dir := labState(t)
	alone(t)
	return dialLong(t, ssh.Config{
		Host: addr, User: user, KeyFile: filepath.Join(dir, "id_ed25519"),
		Args: []string{"-F", "none", "-o", "UserKnownHostsFile=" + filepath.Join(dir, "known_hosts")},
	})
}

// labState is the lab's folder; without a lab the test is skipped.
func labState(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("ORCH_LAB")
	if _, err := os.Stat(filepath.Join(dir, "hosts.ini")); dir == "" || err != nil {
		t.Skip("ORCH_LAB names no lab that is up: make lab")
	}
	return dir
}

// The lab's addresses: see testdata/lab/lab.sh.
const (
	web1 = "172.30.77.11" // sudo without password for orch
	db1  = "172.30.77.13" // sudo with password for ops
	app1 = "172.30.77.14" // csh, no SFTP
	new1 = "172.30.77.15" // asks for passwords by keyboard-interactive
)

func TestSuiteInTheLab(t *testing.T) {
	for _, c := range []struct {
		name, addr, user string
		become           transport.Become
	}{
		{"csh", app1, "orch", transport.Become{}},
		{"sudo", web1, "orch", transport.Become{Method: "sudo"}},
		{"sudo from csh to nobody", app1, "orch", transport.Become{Method: "sudo", User: "nobody"}},
		{"sudo with password", db1, "ops", transport.Become{Method: "sudo", Password: "ops-secret"}},
		{"sudo with password to postgres", db1, "ops", transport.Become{Method: "sudo", User: "postgres", Password: "ops-secret"}},
		{"su with password", db1, "ops", transport.Become{Method: "su", Password: "root-secret"}},
		{"su from root", db1, "root", transport.Become{Method: "su", User: "nobody"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn, err := transport.As(lab(t, c.addr, c.user), c.become)
			if err != nil {
				t.Fatal(err)
			}
			user := c.become.User
			if user == "" {
				user = "root"
			}
			if c.become.Method == "" {
				user = c.user
			}
			if got := output(t, conn, "id", "-un"); strings.TrimSpace(got) != user {
				t.Errorf("became %q, want %q", got, user)
			}
			options := transporttest.Options{Starts: 12, Big: 1 << 20}
			if c.name == "sudo with password" {
				options.Big = 0 // 10 MB behind a password
			}
			transporttest.Run(t, options, func(*testing.T) transport.Conn { return conn })
		})
	}
}

func TestBecomeRefusedInTheLab(t *testing.T) {
	for _, c := range []struct {
		name, addr, user string
		become           transport.Become
		want             string
	}{
		{"sudo, wrong password", db1, "ops", transport.Become{Method: "sudo", Password: "wrong"}, "incorrect sudo password"},
		{"sudo, no password", db1, "ops", transport.Become{Method: "sudo"}, "sudo wants a password and none is given"},
		{"su, wrong password", db1, "ops", transport.Become{Method: "su", Password: "wrong"}, "incorrect su password"},
		{"su, no password", db1, "ops", transport.Become{Method: "su"}, "su asks for a password and none is given"},
		{"no such user", web1, "orch", transport.Become{Method: "sudo", User: "no-such-user"}, "there is no such user for sudo"},
		{"doas is not there", web1, "orch", transport.Become{Method: "doas"}, "doas is not installed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn, err := transport.As(lab(t, c.addr, c.user), c.become)
			if err != nil {
				t.Fatal(err)
			}
			_, err = conn.Start(t.Context(), transport.Cmd{Argv: []string{"true"}})
			var refused *transport.BecomeError
			if !errors.As(err, &refused) || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), c.user+"@"+c.addr) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestFilesWithoutSFTPInTheLab(t *testing.T) {
	conn, ok := lab(t, app1, "orch").(transport.Filer)
	if !ok {
		t.Fatal("no file channel")
	}
	path := "/var/tmp/orch-transport-test.$!'x"
	if err := conn.Put(t.Context(), path, 0o600, strings.NewReader("over cat\x00\xff")); err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	if err := conn.Get(t.Context(), path, &got); err != nil || got.String() != "over cat\x00\xff" {
		t.Errorf("%q, %v", got.String(), err)
	}
	if c, ok := conn.(transport.Conn); ok {
		output(t, c, "rm", path)
	}
}
