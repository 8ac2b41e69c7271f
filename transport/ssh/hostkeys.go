package ssh

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // the format's hash
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"golang.org/x/crypto/ssh"
)

// Known hosts are read here rather than by x/crypto's knownhosts, which refuses a whole
// file for one line of a key type it does not know, parses every key of the file, and
// takes an authority's own key for a host's.

// A knownLine is a line of a known_hosts file, its key not parsed yet.
type knownLine struct {
	marker, hosts, key string
	path               string
	line               int
}

// pos is where the line is.
func (l *knownLine) pos() string { return fmt.Sprintf("%s:%d", l.path, l.line) }

// parse reads the key; a type nobody here knows is no key.
func (l *knownLine) parse() ssh.PublicKey {
	blob, err := base64.StdEncoding.DecodeString(l.key)
	if err != nil {
		return nil
	}
	key, err := ssh.ParsePublicKey(blob)
	if err != nil {
		return nil
	}
	return key
}

func readKnownHosts(path string) ([]*knownLine, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var lines []*knownLine
	n := 0
	for raw := range bytes.Lines(text) {
		n++
		fields := strings.Fields(string(raw))
		if len(fields) == 0 || fields[0][0] == '#' {
			continue
		}
		l := &knownLine{path: path, line: n}
		if fields[0][0] == '@' {
			l.marker, fields = fields[0], fields[1:]
		}
		if len(fields) < 3 {
			continue
		}
		l.hosts, l.key = fields[0], fields[2]
		lines = append(lines, l)
	}
	return lines, nil
}

// matches says whether the line is about name, which has a port unless it is 22.
func (l *knownLine) matches(name string) bool {
	if salted, ok := strings.CutPrefix(l.hosts, "|1|"); ok {
		salt, hash, ok := strings.Cut(salted, "|")
		rawSalt, err1 := base64.StdEncoding.DecodeString(salt)
		rawHash, err2 := base64.StdEncoding.DecodeString(hash)
		if !ok || err1 != nil || err2 != nil {
			return false
		}
		mac := hmac.New(sha1.New, rawSalt)
		mac.Write([]byte(name))
		return hmac.Equal(mac.Sum(nil), rawHash)
	}
	return matchList(strings.ToLower(l.hosts), name)
}

// hostKeys checks the key of one target.
type hostKeys struct {
	t      *target
	policy string
	files  []string
	name   string // as it stands in the files
	lines  []*knownLine
	keys   []ssh.PublicKey // of lines
}

// A hostKeyError says why a host key is not trusted.
type hostKeyError struct{ msg string }

// Error implements error.
func (e *hostKeyError) Error() string { return e.msg }

func (t *target) hostKeys() (*hostKeys, error) {
	h := &hostKeys{t: t, name: t.keyAlias()}
	_, port, _ := net.SplitHostPort(t.addr)
	if port != "22" && t.opts.get("hostkeyalias") == "" {
		h.name = "[" + h.name + "]:" + port
	}
	var err error
	if h.policy, err = t.hostKeyPolicy(); err != nil {
		return nil, err
	}
	for _, key := range []struct{ option, standard string }{
		{"userknownhostsfile", "~/.ssh/known_hosts ~/.ssh/known_hosts2"},
		{"globalknownhostsfile", "/etc/ssh/ssh_known_hosts /etc/ssh/ssh_known_hosts2"},
	} {
		value := t.opts.get(key.option)
		if value == "" {
			value = key.standard
		}
		paths, err := words(value)
		if err != nil {
			return nil, fmt.Errorf("%s: %s: %w", t.opts.from(key.option), key.option, err)
		}
		for _, path := range paths {
			if path == "none" {
				continue
			}
			if path, err = expand(path, t.tokens()); err != nil {
				return nil, fmt.Errorf("%s: %s: %w", t.opts.from(key.option), key.option, err)
			}
			h.files = append(h.files, path)
		}
	}
	return h, h.load()
}

func (t *target) hostKeyPolicy() (string, error) {
	switch t.HostKeys {
	case "strict", "accept-new", "off":
		return t.HostKeys, nil
	case "":
	default:
		return "", fmt.Errorf("host key checking %q: one of strict, accept-new, off", t.HostKeys)
	}
	switch v := strings.ToLower(t.opts.get("stricthostkeychecking")); v {
	case "", "yes", "true", "ask":
		return "strict", nil
	case "accept-new":
		return v, nil
	case "no", "off", "false":
		return "off", nil
	default:
		return "", fmt.Errorf("%s: StrictHostKeyChecking is %q: one of yes, accept-new, no, ask (which means yes: there is no asking)", t.opts.from("stricthostkeychecking"), v)
	}
}

// load finds the lines about this host, and all revoked keys.
func (h *hostKeys) load() error {
	for _, path := range h.files {
		lines, err := h.t.shared.knownHosts(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("known hosts: %w", err)
		}
		for _, l := range lines {
			if l.marker != "@revoked" && !l.matches(h.name) {
				continue
			}
			if key := l.parse(); key != nil {
				h.lines, h.keys = append(h.lines, l), append(h.keys, key)
			}
		}
	}
	return nil
}

// algorithms puts those first that a known key can be checked with: a host that has an
// ed25519 key on file must not be asked for its ecdsa one. The others stay, so that a
// changed key is seen as that.
func (h *hostKeys) algorithms() ([]string, error) {
	supported := ssh.SupportedAlgorithms().HostKeys
	var first, rest, certs []string
	for _, algo := range supported {
		if strings.Contains(algo, "-cert-") {
			certs = append(certs, algo)
			continue
		}
		rest = append(rest, algo)
	}
	// Ed25519 is the cheapest to check.
	rest = preferring(rest, ssh.KeyAlgoED25519)
	for i, key := range h.keys {
		switch h.lines[i].marker {
		case "@cert-authority":
			first = append(slices.Clone(certs), first...)
		case "":
			first = append(first, algorithmsOf(key.Type())...)
		}
	}
	if named, err := h.t.opts.list("hostkeyalgorithms", rest, append(supported, ssh.InsecureAlgorithms().HostKeys...)); err != nil || named != nil {
		return named, err
	}
	var out []string
	for _, algo := range append(first, rest...) {
		if !slices.Contains(out, algo) {
			out = append(out, algo)
		}
	}
	return out, nil
}

func preferring(list []string, first string) []string {
	return append([]string{first}, slices.DeleteFunc(slices.Clone(list), func(a string) bool { return a == first })...)
}

func algorithmsOf(keyType string) []string {
	if keyType == ssh.KeyAlgoRSA {
		return []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256}
	}
	return []string{keyType}
}

// check is the ssh.HostKeyCallback.
func (h *hostKeys) check(_ string, remote net.Addr, key ssh.PublicKey) error {
	if l := h.revoked(key); l != nil {
		return h.fail("the host key of %s (%s) is revoked: %s", h.name, describe(key), l.pos())
	}
	if h.policy == "off" {
		return nil
	}
	if cert, ok := key.(*ssh.Certificate); ok {
		return h.checkCert(cert, remote)
	}
	var known *knownLine
	var knownKey ssh.PublicKey
	for i, l := range h.lines {
		if l.marker != "" {
			continue
		}
		if bytes.Equal(h.keys[i].Marshal(), key.Marshal()) {
			return nil
		}
		if known == nil || h.keys[i].Type() == key.Type() {
			known, knownKey = l, h.keys[i]
		}
	}
	switch {
	case known != nil:
		return h.fail("the host key of %s has changed: it shows %s, but %s says %s\nhint: somebody may be listening; if the change is expected: ssh-keygen -R %s -f %s",
			h.name, describe(key), known.pos(), describe(knownKey), shellWord(h.name), known.path)
	case h.policy == "accept-new":
		return h.add(key)
	}
	return h.fail("the host key of %s is not known: it shows %s\nhint: compare that with the host, then: %s >> %s", h.name, describe(key), h.scan(key), h.file())
}

func (h *hostKeys) fail(format string, args ...any) error {
	return &hostKeyError{fmt.Sprintf(format, args...)}
}

func (h *hostKeys) revoked(key ssh.PublicKey) *knownLine {
	blobs := [][]byte{key.Marshal()}
	if cert, ok := key.(*ssh.Certificate); ok {
		blobs = [][]byte{cert.Key.Marshal(), cert.SignatureKey.Marshal()}
	}
	for i, l := range h.lines {
		if l.marker == "@revoked" && slices.ContainsFunc(blobs, func(b []byte) bool { return bytes.Equal(b, h.keys[i].Marshal()) }) {
			return l
		}
	}
	return nil
}

func (h *hostKeys) checkCert(cert *ssh.Certificate, remote net.Addr) error {
	checker := ssh.CertChecker{
		IsHostAuthority: func(authority ssh.PublicKey, _ string) bool {
			for i, l := range h.lines {
				if l.marker == "@cert-authority" && bytes.Equal(h.keys[i].Marshal(), authority.Marshal()) {
					return true
				}
			}
			return false
		},
	}
	if err := checker.CheckHostKey(net.JoinHostPort(h.t.keyAlias(), "22"), remote, cert); err != nil {
		return h.fail("the host certificate of %s (%s, signed by %s) is not valid: %v", h.name, describe(cert.Key), describe(cert.SignatureKey), err)
	}
	return nil
}

// scan is the command that fetches the key.
func (h *hostKeys) scan(key ssh.PublicKey) string {
	_, port, _ := net.SplitHostPort(h.t.addr)
	flags := ""
	if port != "22" {
		flags = " -p " + port
	}
	return "ssh-keyscan -t " + strings.TrimPrefix(strings.ToLower(short(key)), "ssh-") + flags + " " + shellWord(h.t.hostname)
}

// file is where a new key goes: the first of the user's.
func (h *hostKeys) file() string {
	if len(h.files) == 0 || h.files[0] == os.DevNull {
		return "~/.ssh/known_hosts"
	}
	return h.files[0]
}

var addLock sync.Mutex

// add appends a new key to the user's file.
func (h *hostKeys) add(key ssh.PublicKey) error {
	if len(h.files) == 0 || h.files[0] == os.DevNull {
		return nil
	}
	addLock.Lock()
	defer addLock.Unlock()
	path := h.files[0]
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return h.fail("record the new host key of %s: %v", h.name, err)
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return h.fail("record the new host key of %s: %v", h.name, err)
	}
	line := h.name + " " + key.Type() + " " + base64.StdEncoding.EncodeToString(key.Marshal()) + "\n"
	if st, err := f.Stat(); err == nil && st.Size() > 0 {
		last := make([]byte, 1)
		if _, err := f.ReadAt(last, st.Size()-1); err == nil && last[0] != '\n' {
			line = "\n" + line
		}
	}
	_, err = f.WriteString(line)
	if err := errors.Join(err, f.Close()); err != nil {
		return h.fail("record the new host key of %s: %v", h.name, err)
	}
	h.t.shared.forget(path)
	return nil
}

// describe names a key as ssh-keygen -l does.
func describe(key ssh.PublicKey) string { return short(key) + " " + ssh.FingerprintSHA256(key) }

func short(key ssh.PublicKey) string {
	switch t := key.Type(); {
	case t == ssh.KeyAlgoED25519:
		return "ED25519"
	case t == ssh.KeyAlgoRSA:
		return "RSA"
	case strings.HasPrefix(t, "ecdsa-"):
		return "ECDSA"
	default:
		return t
	}
}
