package main

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/crypto/ssh"

	"orch/modules/host"
	"orch/modules/target/machine"
	"orch/modules/target/wire"
)

// servers starts ssh servers on loopback, each with an address and an ed25519 key of its
// own, and writes an inventory, known_hosts and a login key into a folder. They end with
// stdin. Whatever starts the helper gets one in this process; nothing else is run.
func servers(args []string) error {
	if len(args) != 2 {
		return errors.New("usage: servers COUNT FOLDER")
	}
	count, err := strconv.Atoi(args[0])
	if err != nil || count < 1 || count > 10_000 {
		return fmt.Errorf("count %q: a number from 1 to 10000", args[0])
	}
	login, err := loginKey(filepath.Join(args[1], "id_ed25519"))
	if err != nil {
		return err
	}
	farm := &farm{login: string(login.Marshal()), table: machine.NewTable(host.Modules())}
	var inventory, known strings.Builder
	for i := range count {
		addr, key, err := farm.listen(i)
		if err != nil {
			return err
		}
		fmt.Fprintf(&inventory, "h%04d ansible_host=%s ansible_port=%d\n", i, addr.IP, addr.Port)
		fmt.Fprintf(&known, "[%s]:%d %s", addr.IP, addr.Port, ssh.MarshalAuthorizedKey(key))
	}
	fmt.Fprintf(&inventory, "[all:vars]\nansible_user=bench\nansible_ssh_private_key_file=%s\nansible_ssh_common_args='-F none -o UserKnownHostsFile=%s'\n",
		filepath.Join(args[1], "id_ed25519"), filepath.Join(args[1], "known_hosts"))
	if err := os.WriteFile(filepath.Join(args[1], "known_hosts"), []byte(known.String()), 0o600); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(args[1], "hosts.ini"), []byte(inventory.String()), 0o600); err != nil {
		return err
	}
	fmt.Println("ready")
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// loginKey writes a new private key and returns its public half.
func loginKey(path string) (ssh.PublicKey, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	block, err := ssh.MarshalPrivateKey(private, "bench")
	if err != nil {
		return nil, err
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		return nil, err
	}
	return signer.PublicKey(), os.WriteFile(path, pem.EncodeToMemory(block), 0o600)
}

// A farm is what the servers have in common.
type farm struct {
	login string
	table machine.Table
}

// listen starts server i.
func (f *farm) listen(i int) (*net.TCPAddr, ssh.PublicKey, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		return nil, nil, err
	}
	config := &ssh.ServerConfig{PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		if string(key.Marshal()) != f.login {
			return nil, errors.New("unknown key")
		}
		return nil, nil
	}}
	config.AddHostKey(signer)
	l, err := net.Listen("tcp", fmt.Sprintf("127.77.%d.%d:0", i/250, i%250+1))
	if err != nil {
		return nil, nil, err
	}
	addr, ok := l.Addr().(*net.TCPAddr)
	if !ok {
		return nil, nil, fmt.Errorf("%v is not a TCP address", l.Addr())
	}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go f.serve(conn, config)
		}
	}()
	return addr, signer.PublicKey(), nil
}

func (f *farm) serve(raw net.Conn, config *ssh.ServerConfig) {
	defer raw.Close()
	conn, chans, requests, err := ssh.NewServerConn(raw, config)
	if err != nil {
		return
	}
	defer conn.Close()
	go ssh.DiscardRequests(requests)
	for request := range chans {
		if request.ChannelType() != "session" {
			_ = request.Reject(ssh.UnknownChannelType, "sessions only") // the client may have gone
			continue
		}
		channel, requests, err := request.Accept()
		if err != nil {
			return
		}
		go f.session(channel, requests)
	}
}

func (f *farm) session(channel ssh.Channel, requests <-chan *ssh.Request) {
	defer channel.Close()
	for request := range requests {
		_ = request.Reply(request.Type == "exec", nil)
		if request.Type != "exec" {
			continue
		}
		go ssh.DiscardRequests(requests)
		code := uint32(0)
		if err := f.helper(channel); err != nil {
			fmt.Fprintln(channel.Stderr(), err)
			code = 1
		}
		_, _ = channel.SendRequest("exit-status", false, ssh.Marshal(struct{ Code uint32 }{code}))
		return
	}
}

var marker = regexp.MustCompile(`orch-[a-z2-7]{20,}`)

// helper plays the login shell that becomes the helper: it reads the script off stdin,
// says the script's marker and serves.
func (f *farm) helper(channel ssh.Channel) error {
	in := bufio.NewReader(channel)
	script, err := in.ReadString('\n')
	if err != nil {
		return err
	}
	mark := marker.FindString(unescape(script))
	if mark == "" || !strings.Contains(unescape(script), "helper-") {
		return errors.New("only the helper is started here")
	}
	fmt.Fprintf(channel.Stderr(), "\n%s\n", mark)
	if _, err := fmt.Fprintf(channel, "\n%s 1\n%s\n", mark, wire.Ready); err != nil {
		return err
	}
	return wire.Serve(context.Background(), stdio{in, channel}, &machine.Local{Table: f.table})
}

// A stdio joins the two directions of a channel.
type stdio struct {
	io.Reader
	io.WriteCloser
}

// unescape undoes the octal escapes a script travels in.
func unescape(text string) string {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] == '\\' && i+3 < len(text) {
			if n, err := strconv.ParseUint(text[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(text[i])
	}
	return b.String()
}
