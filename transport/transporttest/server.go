package transporttest

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"golang.org/x/crypto/ssh"
)

// A Server is an ssh server in this process that runs commands on this machine. It does
// what no configuration of sshd does: other login shells, failures at a chosen moment.
type Server struct {
	// Shell is the login shell; "" is /bin/sh.
	Shell string
	// MaxSessions limits the sessions of a connection; 0 is 10.
	MaxSessions int
	// Password, Question and Keys say how one logs in: by password, by an interactive
	// question (which wants Password), by these keys. Nothing set: anybody may.
	Password, Question string
	Keys               []ssh.PublicKey
	// HostCert signs the host key, for the name given.
	HostCert   ssh.Signer
	HostCertOf string
	// Accepted counts connections.
	Accepted atomic.Int32

	Addr    string
	HostKey ssh.Signer

	mu    sync.Mutex
	conns []net.Conn
}

// Start listens on loopback until the test ends.
func (s *Server) Start(t testing.TB) *Server {
	t.Helper()
	s.HostKey = NewKey(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.Addr = listener.Addr().String()
	config, err := s.config()
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			s.Accepted.Add(1)
			s.mu.Lock()
			s.conns = append(s.conns, conn)
			s.mu.Unlock()
			wg.Go(func() { s.serve(conn, config) })
		}
	})
	t.Cleanup(func() {
		listener.Close()
		s.Cut()
		wg.Wait()
	})
	return s
}

// Cut breaks every connection.
func (s *Server) Cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.conns {
		c.Close()
	}
	s.conns = nil
}

func (s *Server) config() (*ssh.ServerConfig, error) {
	config := &ssh.ServerConfig{NoClientAuth: s.Password == "" && s.Keys == nil}
	refused := errors.New("refused")
	if s.Password != "" && s.Question == "" {
		config.PasswordCallback = func(_ ssh.ConnMetadata, password []byte) (*ssh.Permissions, error) {
			if string(password) != s.Password {
				return nil, refused
			}
			return nil, nil
		}
	}
	if s.Question != "" {
		config.KeyboardInteractiveCallback = func(_ ssh.ConnMetadata, ask ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
			answers, err := ask("", "", []string{s.Question}, []bool{false})
			if err != nil || len(answers) != 1 || answers[0] != s.Password {
				return nil, refused
			}
			return nil, nil
		}
	}
	if s.Keys != nil {
		check := ssh.CertChecker{
			IsUserAuthority: func(key ssh.PublicKey) bool { return s.knows(key) },
			UserKeyFallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
				if !s.knows(key) {
					return nil, refused
				}
				return nil, nil
			},
		}
		config.PublicKeyCallback = check.Authenticate
	}
	config.AddHostKey(s.HostKey)
	if s.HostCert != nil {
		cert := &ssh.Certificate{Key: s.HostKey.PublicKey(), CertType: ssh.HostCert, ValidPrincipals: []string{s.HostCertOf}, ValidBefore: ssh.CertTimeInfinity}
		if err := cert.SignCert(rand.Reader, s.HostCert); err != nil {
			return nil, err
		}
		signer, err := ssh.NewCertSigner(cert, s.HostKey)
		if err != nil {
			return nil, err
		}
		config.AddHostKey(signer)
	}
	return config, nil
}

func (s *Server) knows(key ssh.PublicKey) bool {
	for _, k := range s.Keys {
		if string(k.Marshal()) == string(key.Marshal()) {
			return true
		}
	}
	return false
}

func (s *Server) serve(raw net.Conn, config *ssh.ServerConfig) {
	defer raw.Close()
	conn, chans, reqs, err := ssh.NewServerConn(raw, config)
	if err != nil {
		return
	}
	defer conn.Close()
	go ssh.DiscardRequests(reqs)
	limit := s.MaxSessions
	if limit == 0 {
		limit = 10
	}
	var sessions atomic.Int32
	for request := range chans {
		if request.ChannelType() != "session" {
			_ = request.Reject(ssh.UnknownChannelType, "sessions only")
			continue
		}
		if int(sessions.Add(1)) > limit {
			sessions.Add(-1)
			_ = request.Reject(ssh.ConnectionFailed, "open failed")
			continue
		}
		channel, requests, err := request.Accept()
		if err != nil {
			return
		}
		go func() {
			defer sessions.Add(-1)
			s.session(channel, requests)
		}()
	}
}

func (s *Server) session(channel ssh.Channel, requests <-chan *ssh.Request) {
	defer channel.Close()
	for request := range requests {
		if request.Type != "exec" {
			_ = request.Reply(false, nil)
			continue
		}
		var command struct{ Line string }
		if err := ssh.Unmarshal(request.Payload, &command); err != nil {
			_ = request.Reply(false, nil)
			return
		}
		_ = request.Reply(true, nil)
		go ssh.DiscardRequests(requests)
		s.exec(channel, command.Line)
		return
	}
}

func (s *Server) exec(channel ssh.Channel, line string) {
	shell := s.Shell
	if shell == "" {
		shell = "/bin/sh"
	}
	cmd := exec.Command(shell, "-c", line)
	cmd.Stdout, cmd.Stderr = channel, channel.Stderr()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	stdin, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		_, _ = fmt.Fprintln(channel.Stderr(), err)
		return
	}
	go func() {
		_, _ = io.Copy(stdin, channel)
		stdin.Close()
	}()
	_ = cmd.Wait()
	status, _ := cmd.ProcessState.Sys().(syscall.WaitStatus)
	if status.Signaled() {
		name := map[syscall.Signal]string{syscall.SIGKILL: "KILL", syscall.SIGTERM: "TERM"}[status.Signal()]
		_, _ = channel.SendRequest("exit-signal", false, ssh.Marshal(struct {
			Signal   string
			Core     bool
			Msg, Tag string
		}{name, false, "", ""}))
		return
	}
	_, _ = channel.SendRequest("exit-status", false, ssh.Marshal(struct{ Code uint32 }{uint32(status.ExitStatus())}))
}

// NewKey makes an ed25519 key.
func NewKey(t testing.TB) ssh.Signer {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

// KeyFile writes a new key, encrypted if there is a passphrase, and returns its path and
// public half.
func KeyFile(t testing.TB, dir, passphrase string) (string, ssh.PublicKey) {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	var block *pem.Block
	if passphrase == "" {
		block, err = ssh.MarshalPrivateKey(private, "test")
	} else {
		block, err = ssh.MarshalPrivateKeyWithPassphrase(private, "test", []byte(passphrase))
	}
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.CreateTemp(dir, "id_")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := pem.Encode(f, block); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(f.Name()+".pub", ssh.MarshalAuthorizedKey(signer.PublicKey()), 0o644); err != nil {
		t.Fatal(err)
	}
	return filepath.Clean(f.Name()), signer.PublicKey()
}
