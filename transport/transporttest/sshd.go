package transporttest

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

// An SSHD is OpenSSH's server on loopback, for this user.
type SSHD struct {
	Addr, Host    string
	Port          int
	User          string
	KeyFile       string // logs in
	KnownHosts    string // knows the server
	Dir           string // holds all of it
	HostPublicKey ssh.PublicKey
	Process       *os.Process
}

// Sshd starts OpenSSH's server with the given further lines of configuration, or skips
// the test where there is none.
func Sshd(t testing.TB, lines ...string) *SSHD {
	t.Helper()
	const program = "/usr/sbin/sshd"
	if _, err := os.Stat(program); err != nil {
		t.Skip("no sshd on this machine")
	}
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	if me.Uid == "0" {
		// sshd gives up its rights in there.
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
			t.Skip(err)
		}
	}
	dir := t.TempDir()
	s := &SSHD{Dir: dir, User: me.Username, Host: "127.0.0.1"}
	var public ssh.PublicKey
	s.KeyFile, public = KeyFile(t, dir, "")
	hostKey, hostPublic := KeyFile(t, dir, "")
	s.HostPublicKey = hostPublic
	s.Port = freePort(t)
	s.Addr = fmt.Sprintf("127.0.0.1:%d", s.Port)
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	keys := write("authorized_keys", string(ssh.MarshalAuthorizedKey(public)))
	s.KnownHosts = write("known_hosts", fmt.Sprintf("[127.0.0.1]:%d %s", s.Port, ssh.MarshalAuthorizedKey(hostPublic)))
	if !slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(l, "Subsystem") }) {
		lines = append(lines, "Subsystem sftp internal-sftp")
	}
	config := append(lines,
		"Port "+fmt.Sprint(s.Port), "ListenAddress 127.0.0.1", "HostKey "+hostKey, "AuthorizedKeysFile "+keys,
		"PidFile none", "UsePAM no", "SetEnv HOME="+dir, // away from this user's rc files
		"StrictModes no", "PasswordAuthentication no", "PermitRootLogin yes", "MaxStartups 200")
	path := write("sshd_config", strings.Join(config, "\n")+"\n")
	var log bytes.Buffer
	cmd := exec.Command(program, "-D", "-e", "-f", path)
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s.Process = cmd.Process
	done := make(chan struct{})
	go func() { _ = cmd.Wait(); close(done) }()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-done
	})
	for range 200 {
		if conn, err := net.Dial("tcp", s.Addr); err == nil {
			conn.Close()
			return s
		}
		select {
		case <-done:
			t.Fatalf("sshd: %s", log.String())
		case <-time.After(25 * time.Millisecond):
		}
	}
	t.Fatal("sshd does not listen")
	return nil
}

func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// Children are the processes sshd runs for connections, newest last.
func (s *SSHD) Children(t testing.TB) []int {
	t.Helper()
	var pids []int
	for todo := []int{s.Process.Pid}; len(todo) > 0; todo = todo[1:] {
		list, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", todo[0], todo[0]))
		if err != nil {
			continue
		}
		for word := range strings.FieldsSeq(string(list)) {
			var pid int
			if _, err := fmt.Sscan(word, &pid); err != nil {
				t.Fatal(err)
			}
			name, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
			if strings.HasPrefix(string(name), "sshd") {
				pids, todo = append(pids, pid), append(todo, pid)
			}
		}
	}
	return pids
}
