// Package vault reads and writes ansible-vault text, formats 1.1 and 1.2 (AES256):
// whole files and single strings.
//
// A [Keyring] holds the passwords of a run by vault id. Opening tries the id named in
// the text first, then the others, in order, as ansible-core 2.18 does unless
// vault_id_match is set. Passwords are asked for (files, scripts, prompts) only when
// the first text is opened.
package vault

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// DefaultID is the vault id of a password given without one.
const DefaultID = "default"

const (
	magic      = "$ANSIBLE_VAULT"
	iterations = 10000
	saltLen    = 32
	lineLen    = 80
)

// Errors callers decide on.
var (
	// ErrNoPassword: text is encrypted and the keyring is empty.
	ErrNoPassword = errors.New("attempting to decrypt but no vault secrets found")
	// ErrWrongPassword: no password of the keyring opens the text.
	ErrWrongPassword = errors.New("decryption failed (no vault secrets were found that could decrypt)")
	// ErrFormat: the text only looks like vault text.
	ErrFormat = errors.New("not well-formed vault text")
)

// Is reports whether text is vault text.
func Is(text []byte) bool { return bytes.HasPrefix(bytes.TrimLeft(text, " \t\r\n"), []byte(magic)) }

// A Header is the first line of vault text.
type Header struct {
	Version string // "1.1" or "1.2"
	Cipher  string // "AES256"
	ID      string // vault id of format 1.2, else ""
}

// A sealed is the body of vault text.
type sealed struct{ salt, mac, ciphertext []byte }

// Parse splits vault text into its header and checks its form.
func Parse(text []byte) (Header, error) {
	h, _, err := parse(text)
	return h, err
}

func parse(text []byte) (Header, sealed, error) {
	head, body, _ := strings.Cut(strings.TrimSpace(string(text)), "\n")
	parts := strings.Split(strings.TrimSpace(head), ";")
	if len(parts) < 3 || parts[0] != magic {
		return Header{}, sealed{}, fmt.Errorf("%w: no %s header", ErrFormat, magic)
	}
	h := Header{Version: strings.TrimSpace(parts[1]), Cipher: strings.TrimSpace(parts[2])}
	if len(parts) > 3 {
		h.ID = strings.TrimSpace(parts[3])
	}
	if h.Version != "1.1" && h.Version != "1.2" {
		return h, sealed{}, fmt.Errorf("%w: version %q, one of 1.1, 1.2", ErrFormat, h.Version)
	}
	if h.Cipher != "AES256" {
		return h, sealed{}, fmt.Errorf("%w: cipher %q, only AES256", ErrFormat, h.Cipher)
	}
	inner, err := hex.DecodeString(strings.Join(strings.Fields(body), ""))
	if err != nil {
		return h, sealed{}, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	fields := bytes.SplitN(inner, []byte("\n"), 3)
	if len(fields) != 3 {
		return h, sealed{}, fmt.Errorf("%w: body has %d parts, not 3", ErrFormat, len(fields))
	}
	var s sealed
	for i, dst := range []*[]byte{&s.salt, &s.mac, &s.ciphertext} {
		if *dst, err = hex.DecodeString(string(fields[i])); err != nil {
			return h, sealed{}, fmt.Errorf("%w: %w", ErrFormat, err)
		}
	}
	return h, s, nil
}

// derive makes the cipher key, the MAC key and the counter block of a password.
func derive(password, salt []byte) (key, macKey, iv []byte, err error) {
	k, err := pbkdf2.Key(sha256.New, string(password), salt, iterations, 32+32+aes.BlockSize)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("derive key: %w", err)
	}
	return k[:32], k[32:64], k[64:], nil
}

// Decrypt opens vault text with one password.
func Decrypt(text, password []byte) ([]byte, error) {
	_, s, err := parse(text)
	if err != nil {
		return nil, err
	}
	return s.open(password)
}

func (s sealed) open(password []byte) ([]byte, error) {
	key, macKey, iv, err := derive(password, s.salt)
	if err != nil {
		return nil, err
	}
	mac := hmac.New(sha256.New, macKey)
	mac.Write(s.ciphertext)
	if !hmac.Equal(mac.Sum(nil), s.mac) {
		return nil, ErrWrongPassword
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("make cipher: %w", err)
	}
	plain := make([]byte, len(s.ciphertext))
	cipher.NewCTR(block, iv).XORKeyStream(plain, s.ciphertext)
	return unpad(plain)
}

// unpad removes PKCS#7 padding.
func unpad(plain []byte) ([]byte, error) {
	if len(plain) == 0 || len(plain)%aes.BlockSize != 0 {
		return nil, fmt.Errorf("%w: bad length", ErrFormat)
	}
	n := int(plain[len(plain)-1])
	if n == 0 || n > aes.BlockSize || !bytes.Equal(plain[len(plain)-n:], bytes.Repeat([]byte{byte(n)}, n)) {
		return nil, fmt.Errorf("%w: bad padding", ErrFormat)
	}
	return plain[:len(plain)-n], nil
}

// Encrypt makes vault text: format 1.1 for the default id, 1.2 for another. salt is
// random when nil (VAULT_ENCRYPT_SALT makes the result repeatable).
func Encrypt(plain, password []byte, id string, salt []byte) ([]byte, error) {
	if salt == nil {
		salt = make([]byte, saltLen)
		if _, err := rand.Read(salt); err != nil {
			return nil, fmt.Errorf("read random salt: %w", err)
		}
	}
	key, macKey, iv, err := derive(password, salt)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("make cipher: %w", err)
	}
	n := aes.BlockSize - len(plain)%aes.BlockSize
	padded := append(bytes.Clone(plain), bytes.Repeat([]byte{byte(n)}, n)...)
	cipher.NewCTR(block, iv).XORKeyStream(padded, padded)
	mac := hmac.New(sha256.New, macKey)
	mac.Write(padded)
	inner := hex.EncodeToString(salt) + "\n" + hex.EncodeToString(mac.Sum(nil)) + "\n" + hex.EncodeToString(padded)
	body := hex.EncodeToString([]byte(inner))

	var b strings.Builder
	b.WriteString(magic + ";1.1;AES256")
	if id != "" && id != DefaultID {
		b.Reset()
		b.WriteString(magic + ";1.2;AES256;" + id)
	}
	b.WriteByte('\n')
	for len(body) > lineLen {
		b.WriteString(body[:lineLen] + "\n")
		body = body[lineLen:]
	}
	b.WriteString(body + "\n")
	return []byte(b.String()), nil
}
