package ssh

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"

	"golang.org/x/crypto/ssh"

	"orch/transport"
)

// An authenticator offers what there is and remembers it for the error message.
type authenticator struct {
	t     *target
	ctx   context.Context
	clock *deadline

	mu      sync.Mutex
	accepts []string // the methods the host offers
	tried   []string
	lacking []string // what could not be tried, and why
}

func (a *authenticator) note(list *[]string, format string, args ...any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if text := fmt.Sprintf(format, args...); !slices.Contains(*list, text) {
		*list = append(*list, text)
	}
}

// clientConfig is what x/crypto needs to know.
func (t *target) clientConfig(ctx context.Context) (*ssh.ClientConfig, *authenticator, error) {
	bad := func(err error) (*ssh.ClientConfig, *authenticator, error) {
		return nil, nil, fmt.Errorf("%s: %w", t, err)
	}
	keys, err := t.hostKeys()
	if err != nil {
		return bad(err)
	}
	a := &authenticator{t: t, ctx: ctx}
	config := &ssh.ClientConfig{User: t.user, HostKeyCallback: keys.check, ClientVersion: "SSH-2.0-orch"}
	if config.HostKeyAlgorithms, err = keys.algorithms(); err != nil {
		return bad(err)
	}
	config.SetDefaults()
	good, insecure := ssh.SupportedAlgorithms(), ssh.InsecureAlgorithms()
	for _, l := range []struct {
		key                 string
		to                  *[]string
		supported, insecure []string
	}{
		{"kexalgorithms", &config.KeyExchanges, good.KeyExchanges, insecure.KeyExchanges},
		{"ciphers", &config.Ciphers, good.Ciphers, insecure.Ciphers},
		{"macs", &config.MACs, good.MACs, insecure.MACs},
	} {
		named, err := t.opts.list(l.key, *l.to, append(l.supported, l.insecure...))
		if err != nil {
			return bad(err)
		}
		if named != nil {
			*l.to = named
		}
	}
	if config.Auth, err = a.methods(); err != nil {
		return bad(err)
	}
	config.AuthCallback = func(c *ssh.ClientAuthContext) (ssh.AuthMethod, error) {
		a.mu.Lock()
		a.accepts = c.AllowedMethods
		a.mu.Unlock()
		return nil, nil // the methods in their order
	}
	return config, a, nil
}

// methods are the authentication methods in the order they are tried.
func (a *authenticator) methods() ([]ssh.AuthMethod, error) {
	order := a.t.opts.get("preferredauthentications")
	if order == "" {
		order = "publickey,keyboard-interactive,password"
	}
	var methods []ssh.AuthMethod
	for _, name := range strings.Split(order, ",") {
		var key string
		var method ssh.AuthMethod
		switch strings.TrimSpace(name) {
		case "publickey":
			key, method = "pubkeyauthentication", ssh.PublicKeysCallback(a.signers)
		case "keyboard-interactive":
			key, method = "kbdinteractiveauthentication", ssh.KeyboardInteractive(a.answer)
		case "password":
			key, method = "passwordauthentication", ssh.PasswordCallback(func() (string, error) {
				a.note(&a.tried, "the password")
				return a.t.Password, nil
			})
		case "gssapi-with-mic", "hostbased", "none":
			continue // never offered
		default:
			return nil, fmt.Errorf("%s: authentication method %q: one of publickey, keyboard-interactive, password", a.t.opts.from("preferredauthentications"), name)
		}
		on, err := a.t.opts.is(key, true)
		if err != nil {
			return nil, err
		}
		switch {
		case !on:
			a.note(&a.lacking, "%s is turned off (%s)", name, a.t.opts.from(key))
		case a.t.Password == "" && name != "publickey":
			a.note(&a.lacking, "no password given")
		default:
			methods = append(methods, method)
		}
	}
	return methods, nil
}

var asksPassword = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?i)pass(word|code|phrase|wort|wd)|contrase|senha|mot de passe`)
})

// answer is the keyboard-interactive challenge: questions about a password get it.
func (a *authenticator) answer(_, instruction string, questions []string, _ []bool) ([]string, error) {
	answers := make([]string, len(questions))
	for i, q := range questions {
		if !asksPassword().MatchString(q) && len(questions)+i > 1 {
			return nil, fmt.Errorf("the host asks %q (%s), which nobody is here to answer", q, instruction)
		}
		a.note(&a.tried, "the password (keyboard-interactive)")
		answers[i] = a.t.Password
	}
	return answers, nil
}

// signers are the keys, best first: the one asked for, those of the agent that the
// configuration names, the agent's others unless IdentitiesOnly, the files.
func (a *authenticator) signers() ([]ssh.Signer, error) {
	t := a.t
	only, err := t.opts.is("identitiesonly", false)
	if err != nil {
		return nil, err
	}
	var held []agentKey
	if path := t.agentSocket(); path != "" {
		if held, err = t.shared.agentKeys(path); err != nil {
			a.note(&a.lacking, "no agent: %v", err)
		}
	}
	var files []*keyFile
	if t.KeyFile != "" {
		path, err := expand(t.KeyFile, t.tokens())
		if err != nil {
			return nil, err
		}
		files = append(files, a.file(path, true)...)
	}
	explicit := len(files)
	named := t.opts.values["identityfile"]
	if len(named) == 0 && t.KeyFile == "" {
		for _, name := range []string{"id_ed25519", "id_ecdsa", "id_rsa"} {
			files = append(files, a.file(filepath.Join(home(), ".ssh", name), false)...)
		}
	}
	for _, id := range named {
		if strings.EqualFold(id.text, "none") {
			continue
		}
		path, err := expand(id.text, t.tokens())
		if err != nil {
			return nil, fmt.Errorf("%s: IdentityFile: %w", id.from, err)
		}
		files = append(files, a.file(path, true)...)
	}
	var out []ssh.Signer
	seen := map[string]bool{}
	add := func(s ssh.Signer, name string) {
		if id := string(s.PublicKey().Marshal()); !seen[id] {
			seen[id] = true
			out = append(out, s)
			a.note(&a.tried, "%s", name)
		}
	}
	addFile := func(f *keyFile) {
		for _, cert := range a.certificates(f) {
			if s, err := ssh.NewCertSigner(cert, f.signer(a)); err == nil {
				add(s, "certificate of "+f.path)
			}
		}
		for _, k := range held {
			if string(k.signer.PublicKey().Marshal()) == string(f.public.Marshal()) {
				add(k.signer, f.path+" (agent)")
				return
			}
		}
		if f.usable(a) {
			add(f.signer(a), f.path+" ("+describe(f.public)+")")
		}
	}
	for _, f := range files[:explicit] {
		addFile(f)
	}
	for _, k := range held {
		if !only || slices.ContainsFunc(files, func(f *keyFile) bool {
			return string(f.public.Marshal()) == string(k.signer.PublicKey().Marshal())
		}) {
			add(k.signer, "agent key "+k.name)
		}
	}
	for _, f := range files[explicit:] {
		addFile(f)
	}
	if len(out) == 0 {
		a.note(&a.lacking, "no key found")
	}
	return out, nil
}

// file reads a key file; one that was asked for and cannot be used is remembered.
func (a *authenticator) file(path string, named bool) []*keyFile {
	f, err := a.t.shared.keyFile(path)
	switch {
	case err == nil:
		return []*keyFile{f}
	case errors.Is(err, fs.ErrNotExist) && !named:
		return nil
	}
	if pe := (*fs.PathError)(nil); errors.As(err, &pe) {
		err = fmt.Errorf("%s: %w", path, pe.Err)
	}
	a.note(&a.lacking, "%v", err)
	return nil
}

// certificates are those beside the key file and those the configuration names.
func (a *authenticator) certificates(f *keyFile) []*ssh.Certificate {
	paths := []string{f.path + "-cert.pub"}
	for _, c := range a.t.opts.values["certificatefile"] {
		path, err := expand(c.text, a.t.tokens())
		if err != nil {
			a.note(&a.lacking, "%s: CertificateFile: %v", c.from, err)
			continue
		}
		paths = append(paths, path)
	}
	var certs []*ssh.Certificate
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			if !errors.Is(err, fs.ErrNotExist) {
				a.note(&a.lacking, "%v", err)
			}
			continue
		}
		key, _, _, _, err := ssh.ParseAuthorizedKey(text)
		cert, ok := key.(*ssh.Certificate)
		if err != nil || !ok {
			a.note(&a.lacking, "%s is not a certificate", path)
			continue
		}
		if string(cert.Key.Marshal()) == string(f.public.Marshal()) {
			certs = append(certs, cert)
		}
	}
	return certs
}

// explain says what was tried when the handshake failed.
func (a *authenticator) explain(err error) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	text := strings.TrimPrefix(strings.TrimPrefix(err.Error(), "ssh: handshake failed: "), "ssh: ")
	if a.accepts == nil {
		if errors.Is(err, io.EOF) {
			text = "the host closed the connection during the key exchange"
		}
		return fmt.Errorf("handshake: %s", text)
	}
	// x/crypto has no other word for it: the host offered to ask, and then did not.
	if strings.Contains(text, "unexpected message type 51 (expected 60)") {
		text = "unable to authenticate"
		if len(a.tried) == 0 || !slices.Contains(a.tried, "the password") {
			a.tried = append(a.tried, "keyboard-interactive (refused without a question)")
		}
	}
	msg := "authentication failed: the host accepts " + strings.Join(a.accepts, ", ")
	if len(a.tried) > 0 {
		msg += "; tried " + strings.Join(a.tried, ", ")
	} else {
		msg += "; nothing to try"
	}
	if len(a.lacking) > 0 {
		msg += "; " + strings.Join(a.lacking, ", ")
	}
	if !strings.Contains(text, "unable to authenticate") {
		msg += ": " + text
	}
	return errors.New(msg)
}

// A keyFile is a private key on disk.
type keyFile struct {
	path   string
	public ssh.PublicKey
	plain  ssh.Signer // nil if encrypted
	pem    []byte

	mu     sync.Mutex
	opened ssh.Signer
}

func readKeyFile(path string) (*keyFile, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	// OpenSSH does not use such a key either.
	if st.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s has mode %04o, which lets others read it: chmod 600", path, st.Mode().Perm())
	}
	f := &keyFile{path: path, pem: text}
	f.plain, err = ssh.ParsePrivateKey(text)
	var locked *ssh.PassphraseMissingError
	switch {
	case err == nil:
		f.public = f.plain.PublicKey()
	case errors.As(err, &locked):
		if f.public = locked.PublicKey; f.public == nil {
			pub, err := os.ReadFile(path + ".pub")
			if err != nil {
				return nil, fmt.Errorf("%s is encrypted in a format that hides its public key: %w", path, err)
			}
			if f.public, _, _, _, err = ssh.ParseAuthorizedKey(pub); err != nil {
				return nil, fmt.Errorf("%s.pub: %w", path, err)
			}
		}
	default:
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return f, nil
}

// usable says whether the private half can be had.
func (f *keyFile) usable(a *authenticator) bool {
	if f.plain == nil && a.t.Passphrase == nil {
		a.note(&a.lacking, "%s is encrypted and there is no way to ask for its passphrase", f.path)
		return false
	}
	return true
}

func (f *keyFile) signer(a *authenticator) ssh.Signer {
	if f.plain != nil {
		return f.plain
	}
	return &lockedSigner{f, a}
}

// A lockedSigner asks for the passphrase when a host has said that it takes the key.
type lockedSigner struct {
	file *keyFile
	auth *authenticator
}

// PublicKey implements ssh.Signer.
func (s *lockedSigner) PublicKey() ssh.PublicKey { return s.file.public }

// Sign implements ssh.Signer.
func (s *lockedSigner) Sign(rand io.Reader, data []byte) (*ssh.Signature, error) {
	return s.SignWithAlgorithm(rand, data, "")
}

// SignWithAlgorithm implements ssh.AlgorithmSigner.
func (s *lockedSigner) SignWithAlgorithm(rand io.Reader, data []byte, algo string) (*ssh.Signature, error) {
	key, err := s.unlock()
	if err != nil {
		return nil, err
	}
	if as, ok := key.(ssh.AlgorithmSigner); ok && algo != "" {
		return as.SignWithAlgorithm(rand, data, algo)
	}
	return key.Sign(rand, data)
}

func (s *lockedSigner) unlock() (ssh.Signer, error) {
	f := s.file
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.opened != nil {
		return f.opened, nil
	}
	if s.auth.t.Passphrase == nil {
		return nil, fmt.Errorf("%s is encrypted and there is no way to ask for its passphrase", f.path)
	}
	if s.auth.clock != nil {
		s.auth.clock.stop()
		defer s.auth.clock.start()
	}
	pass, err := s.auth.t.Passphrase(context.WithoutCancel(s.auth.ctx), f.path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.path, err)
	}
	key, err := ssh.ParsePrivateKeyWithPassphrase(f.pem, []byte(pass))
	if err != nil {
		return nil, fmt.Errorf("%s: wrong passphrase: %w", f.path, err)
	}
	f.opened = key
	return key, nil
}

func shellWord(word string) string { return transport.Quote(word) }
