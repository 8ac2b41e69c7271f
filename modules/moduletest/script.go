package moduletest

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"

	"orch/modules"
)

func sha1Hex(data []byte) string {
	sum := sha1.Sum(data)
	return hex.EncodeToString(sum[:])
}

// Script applies lines of a case's host section:
//
//	user NAME UID GID HOME SHELL [GECOS]
//	group NAME GID [MEMBER,…]
//	env NAME=VALUE        an entry of the environment
//	whoami NAME           the user modules run as
//	umask 0027
//	missing PROGRAM…      programs that are not there
//	open ADDR…            ports that take connections
//	$ COMMAND             a command, followed by what it answers:
//	> LINE                  a line of stdout
//	! LINE                  a line of stderr
//	= RC                    its exit code
//	@ COMMAND             what follows, up to the next @, holds once this command has run
//	write PATH TEXT       a file (under @)
//	remove PATH|user NAME|group NAME
func (h *Host) Script(text string) error {
	return h.script(strings.Split(strings.TrimRight(text, "\n"), "\n"))
}

func (h *Host) script(lines []string) error {
	cur, under := "", ""
	for _, line := range lines {
		if cmd, ok := strings.CutPrefix(line, "@ "); ok {
			under = cmd
			h.effects[under] = []string{}
			continue
		}
		if under != "" {
			h.effects[under] = append(h.effects[under], line)
			continue
		}
		var err error
		if cur, err = h.line(line, cur); err != nil {
			return fmt.Errorf("host script: %q: %w", line, err)
		}
	}
	return nil
}

func (h *Host) line(line, cur string) (string, error) {
	word, rest, _ := strings.Cut(line, " ")
	f := strings.Fields(rest)
	out := h.answers[cur]
	switch word {
	case "", "#":
	case "$":
		h.answers[rest] = modules.Output{}
		return rest, nil
	case ">":
		out.Stdout += rest + "\n"
		h.answers[cur] = out
	case "!":
		out.Stderr += rest + "\n"
		h.answers[cur] = out
	case "=":
		rc, err := strconv.Atoi(rest)
		out.RC = rc
		h.answers[cur] = out
		return cur, err
	case "user":
		return cur, h.addUser(rest)
	case "group":
		if len(f) < 2 {
			return cur, errors.New("want NAME GID")
		}
		g := modules.Group{Name: f[0]}
		g.GID, _ = strconv.Atoi(f[1])
		if len(f) > 2 {
			g.Members = strings.Split(f[2], ",")
		}
		h.dropGroup(g.Name)
		h.Groups = append(h.Groups, g)
	case "env":
		k, v, _ := strings.Cut(rest, "=")
		h.Environ[k] = v
	case "whoami":
		h.Me = rest
	case "umask":
		n, err := strconv.ParseInt(rest, 8, 32)
		h.Umask = int(n)
		return cur, err
	case "missing":
		h.Missing = append(h.Missing, f...)
	case "open":
		h.listen(f)
	case "write":
		p, text, _ := strings.Cut(rest, " ")
		h.AddFile(p, 0o644, 0, 0, []byte(strings.ReplaceAll(text, `\n`, "\n")))
	case "remove":
		switch {
		case len(f) == 2 && f[0] == "user":
			h.dropUser(f[1])
		case len(f) == 2 && f[0] == "group":
			h.dropGroup(f[1])
		default:
			delete(h.files, rest)
		}
	default:
		return cur, errors.New("unknown word")
	}
	return cur, nil
}

func (h *Host) addUser(rest string) error {
	f := strings.SplitN(rest, " ", 6)
	if len(f) < 5 {
		return errors.New("want NAME UID GID HOME SHELL")
	}
	u := modules.User{Name: f[0], Home: f[3], Shell: f[4]}
	u.UID, _ = strconv.Atoi(f[1])
	u.GID, _ = strconv.Atoi(f[2])
	if len(f) > 5 {
		u.Gecos = f[5]
	}
	h.dropUser(u.Name)
	h.Users = append(h.Users, u)
	return nil
}

func (h *Host) dropUser(name string) {
	for i, u := range h.Users {
		if u.Name == name {
			h.Users = append(h.Users[:i:i], h.Users[i+1:]...)
			return
		}
	}
}

func (h *Host) dropGroup(name string) {
	for i, g := range h.Groups {
		if g.Name == name {
			h.Groups = append(h.Groups[:i:i], h.Groups[i+1:]...)
			return
		}
	}
}

// listen makes addresses take connections and say nothing.
func (h *Host) listen(addrs []string) {
	before := h.Dialer
	h.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
		for _, a := range addrs {
			if a == addr {
				near, _ := net.Pipe()
				return near, nil
			}
		}
		if before != nil {
			return before(ctx, network, addr)
		}
		return nil, &net.OpError{Op: "dial", Net: network, Err: errors.New("connection refused")}
	}
}

// Serve answers HTTP requests to addr with handler, over Dial.
func (h *Host) Serve(addr string, handler http.Handler) {
	before := h.Dialer
	h.Dialer = func(ctx context.Context, network, to string) (net.Conn, error) {
		if to == addr {
			near, far := net.Pipe()
			go func() { _ = http.Serve(&oneConn{conn: far}, handler) }() // ends with the connection
			return near, nil
		}
		if before != nil {
			return before(ctx, network, to)
		}
		return nil, &net.OpError{Op: "dial", Net: network, Err: errors.New("connection refused")}
	}
}

// oneConn is a listener that accepts one connection.
type oneConn struct {
	conn net.Conn
	once sync.Once
}

// Accept implements net.Listener.
func (l *oneConn) Accept() (c net.Conn, err error) {
	err = net.ErrClosed
	l.once.Do(func() { c, err = l.conn, nil })
	return c, err
}

// Close implements net.Listener.
func (l *oneConn) Close() error { return nil }

// Addr implements net.Listener.
func (l *oneConn) Addr() net.Addr { return l.conn.LocalAddr() }

// addSection adds a file from a section named "PATH [MODE] [OWNER:GROUP] [nonl]",
// "PATH/" for a folder or "PATH -> TARGET" for a link.
func (h *Host) addSection(name string, data []byte) error {
	if at, target, ok := strings.Cut(name, " -> "); ok {
		h.AddFile(path.Dir(at), fs.ModeDir|0o755, 0, 0, nil)
		h.put(at, fs.ModeSymlink|0o777, 0, 0, nil, target)
		return nil
	}
	f := strings.Fields(name)
	mode, uid, gid := fs.FileMode(0o644), 0, 0
	dir := strings.HasSuffix(f[0], "/")
	if dir {
		mode, data = 0o755, nil
	}
	for _, word := range f[1:] {
		n, err := strconv.ParseUint(word, 8, 32)
		switch user, group, ok := strings.Cut(word, ":"); {
		case ok:
			u, err := findUser(h.Users, func(u modules.User) bool { return u.Name == user }, user)
			if err != nil {
				return err
			}
			g, err := findGroup(h.Groups, func(g modules.Group) bool { return g.Name == group }, group)
			if err != nil {
				return err
			}
			uid, gid = u.UID, g.GID
		case word == "nonl":
			data = bytes.TrimSuffix(data, []byte("\n"))
		case err != nil:
			return fmt.Errorf("section %q: unknown word %q", name, word)
		default:
			mode = modules.FromUnixMode(uint32(n))
		}
	}
	if dir {
		mode |= fs.ModeDir
	}
	h.AddFile(path.Clean(f[0]), mode, uid, gid, data)
	return nil
}

// respond makes a handler of sections "http METHOD PATH": a status line, headers, a blank
// line and the body.
func respond(sections map[string][]byte) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, ok := sections[r.Method+" "+r.URL.RequestURI()]
		if !ok {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		if !bytes.HasPrefix(raw, []byte("HTTP/")) {
			raw = append([]byte("HTTP/1.1 "), raw...)
		}
		resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(raw)), r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		for k, v := range resp.Header {
			w.Header()[k] = v
		}
		w.WriteHeader(resp.StatusCode)
		var body bytes.Buffer
		_, _ = body.ReadFrom(resp.Body) // the body is in memory
		_, _ = w.Write(body.Bytes())    // a broken pipe is the test's failure
	})
}
