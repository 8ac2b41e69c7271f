package vault

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
)

// A Secret is a password by its vault id.
type Secret struct {
	ID       string
	Password []byte
}

// A Source says where a password comes from: --vault-id ID@SOURCE,
// --vault-password-file, --ask-vault-pass.
type Source struct {
	ID string
	// File is a password file, or a script when it is executable.
	File string
	// Prompt asks for the password instead ("prompt", "prompt_ask_vault_pass").
	Prompt bool
}

// ParseSource reads the argument of --vault-id: "file", "id@file", "id@prompt".
func ParseSource(arg string) Source {
	id, where := DefaultID, arg
	// ansible-core: split at the last "@", so that file names may not contain one but ids may.
	if i := strings.LastIndexByte(arg, '@'); i >= 0 {
		id, where = arg[:i], arg[i+1:]
		if id == "" {
			id = DefaultID
		}
	}
	if where == "prompt" || where == "prompt_ask_vault_pass" {
		return Source{ID: id, Prompt: true}
	}
	return Source{ID: id, File: where}
}

// Load reads the password of a source. ask is called for prompts; nil means there is
// nobody to ask.
func (s Source) Load(ask func(prompt string) (string, error)) (Secret, error) {
	if s.Prompt {
		if ask == nil {
			return Secret{}, fmt.Errorf("vault id %q wants a prompt, and there is no terminal", s.ID)
		}
		text, err := ask(fmt.Sprintf("Vault password (%s): ", s.ID))
		if err != nil {
			return Secret{}, fmt.Errorf("ask for vault password: %w", err)
		}
		if text == "" {
			return Secret{}, fmt.Errorf("empty vault password for id %q", s.ID)
		}
		return Secret{ID: s.ID, Password: []byte(text)}, nil
	}
	info, err := os.Stat(s.File)
	if err != nil {
		return Secret{}, fmt.Errorf("read vault password file: %w", err)
	}
	var text []byte
	if info.Mode()&0o111 != 0 && !info.IsDir() {
		text, err = s.script()
	} else {
		text, err = os.ReadFile(s.File)
	}
	if err != nil {
		return Secret{}, fmt.Errorf("read vault password file: %w", err)
	}
	text = bytes.TrimSpace(text)
	if len(text) == 0 {
		return Secret{}, fmt.Errorf("vault password file %q is empty", s.File)
	}
	return Secret{ID: s.ID, Password: text}, nil
}

// Check says whether the source can be asked at all: its file is there, or there is
// somebody to ask. It reads no password and runs no script.
func (s Source) Check(ask func(prompt string) (string, error)) error {
	switch {
	case s.Prompt && ask == nil:
		return fmt.Errorf("vault id %q wants a prompt, and there is no terminal", s.ID)
	case s.Prompt:
		return nil
	}
	f, err := os.Open(s.File)
	if err != nil {
		return fmt.Errorf("read vault password file: %w", err)
	}
	return f.Close()
}

// LoadAll reads the passwords of sources, in order.
func LoadAll(sources []Source, ask func(prompt string) (string, error)) ([]Secret, error) {
	var secrets []Secret
	for _, src := range sources {
		s, err := src.Load(ask)
		if err != nil {
			return nil, err
		}
		secrets = append(secrets, s)
	}
	return secrets, nil
}

// script runs an executable password file. ansible-core 2.18: a name that ends in
// -client (before its extension) is also told which id is wanted.
func (s Source) script() ([]byte, error) {
	path, err := filepath.Abs(s.File)
	if err != nil {
		return nil, fmt.Errorf("find script: %w", err)
	}
	var args []string
	if base := filepath.Base(path); strings.HasSuffix(strings.TrimSuffix(base, filepath.Ext(base)), "-client") {
		args = []string{"--vault-id", s.ID}
	}
	cmd := exec.Command(path, args...)
	out, err := cmd.Output() // keeps stderr for the message
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return nil, fmt.Errorf("vault password script %q returned non-zero (%d): %s",
			s.File, exit.ExitCode(), bytes.TrimSpace(exit.Stderr))
	}
	if err != nil {
		return nil, fmt.Errorf("run vault password script %q: %w", s.File, err)
	}
	return out, nil
}

// A Keyring opens vault text with the passwords of a run. It is safe for concurrent
// use; a nil Keyring has no passwords.
type Keyring struct {
	// Match makes only the id named in the text count (vault_id_match).
	Match bool
	// Opened, if set, is told every plaintext that was opened: it is a secret.
	Opened func(plain []byte)

	load    func() ([]Secret, error)
	once    sync.Once
	secrets []Secret
	err     error

	mu    sync.Mutex
	cache map[[2]string][]byte
}

// NewKeyring makes a keyring whose passwords load reads when the first text is opened.
func NewKeyring(load func() ([]Secret, error)) *Keyring {
	return &Keyring{load: load, cache: map[[2]string][]byte{}}
}

// Secrets returns the passwords, reading them if that has not happened yet.
func (k *Keyring) Secrets() ([]Secret, error) {
	if k == nil || k.load == nil {
		return nil, nil
	}
	k.once.Do(func() { k.secrets, k.err = k.load() })
	return k.secrets, k.err
}

// Open decrypts vault text. The same text is decrypted once.
func (k *Keyring) Open(text []byte) ([]byte, error) {
	secrets, err := k.Secrets()
	if err != nil {
		return nil, err
	}
	if len(secrets) == 0 {
		return nil, ErrNoPassword
	}
	h, body, err := parse(text)
	if err != nil {
		return nil, err
	}
	key := [2]string{h.ID, string(body.mac) + string(body.ciphertext)}
	k.mu.Lock()
	plain, ok := k.cache[key]
	k.mu.Unlock()
	if ok {
		return plain, nil
	}
	for _, s := range k.order(secrets, h.ID) {
		plain, err := body.open(s.Password)
		if errors.Is(err, ErrWrongPassword) {
			continue
		}
		if err != nil {
			return nil, err
		}
		k.mu.Lock()
		k.cache[key] = plain
		k.mu.Unlock()
		if k.Opened != nil {
			k.Opened(plain)
		}
		return plain, nil
	}
	return nil, ErrWrongPassword
}

// order puts the passwords of the id named in the text first.
func (k *Keyring) order(secrets []Secret, id string) []Secret {
	if id == "" {
		return secrets
	}
	var first, rest []Secret
	for _, s := range secrets {
		if s.ID == id {
			first = append(first, s)
		} else {
			rest = append(rest, s)
		}
	}
	if k.Match {
		return first
	}
	return append(first, rest...)
}
