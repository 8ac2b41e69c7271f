package vault

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The files in testdata were written by ansible-vault with this password.
const (
	password  = "open sesame"
	plaintext = "two words\nsecond line\n"
)

func TestDecryptsAnsibleVaultFiles(t *testing.T) {
	for name, id := range map[string]string{"default.vault": "", "prod.vault": "prod"} {
		text, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		h, err := Parse(text)
		if err != nil || h.ID != id {
			t.Errorf("%s: header %+v, %v; want id %q", name, h, err, id)
		}
		plain, err := Decrypt(text, []byte(password))
		if err != nil || string(plain) != plaintext {
			t.Errorf("%s: %q, %v", name, plain, err)
		}
		if _, err := Decrypt(text, []byte("open barley")); !errors.Is(err, ErrWrongPassword) {
			t.Errorf("%s: wrong password: %v", name, err)
		}
	}
}

func TestEncryptRoundTrip(t *testing.T) {
	for _, plain := range []string{"", "x", strings.Repeat("0123456789abcdef", 3), strings.Repeat("ü\n", 500)} {
		for _, id := range []string{"", DefaultID, "prod"} {
			text, err := Encrypt([]byte(plain), []byte("pw"), id, nil)
			if err != nil {
				t.Fatal(err)
			}
			for line := range strings.Lines(string(text)) {
				if len(line) > lineLen+1 {
					t.Errorf("line of %d characters", len(line)-1)
				}
			}
			got, err := Decrypt(text, []byte("pw"))
			if err != nil || string(got) != plain {
				t.Errorf("id %q: got %q, %v; want %q", id, got, err, plain)
			}
		}
	}
}

func TestEncryptWithSaltIsRepeatable(t *testing.T) {
	a, _ := Encrypt([]byte("x"), []byte("pw"), "", []byte("salt"))
	b, _ := Encrypt([]byte("x"), []byte("pw"), "", []byte("salt"))
	if !bytes.Equal(a, b) {
		t.Error("two encryptions with one salt differ")
	}
}

func TestBrokenTextIsRefused(t *testing.T) {
	good, _ := Encrypt([]byte("x"), []byte("pw"), "", nil)
	for name, text := range map[string]string{
		"no header":  "hello",
		"version":    strings.Replace(string(good), "1.1", "3.0", 1),
		"cipher":     strings.Replace(string(good), "AES256", "ROT13", 1),
		"odd hex":    string(good[:len(good)-2]),
		"no hex":     "$ANSIBLE_VAULT;1.1;AES256\nzz\n",
		"one part":   "$ANSIBLE_VAULT;1.1;AES256\n6162\n",
		"truncated":  string(good[:60]),
		"empty body": "$ANSIBLE_VAULT;1.1;AES256\n",
	} {
		if _, err := Decrypt([]byte(text), []byte("pw")); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v, want ErrFormat", name, err)
		}
	}
}

func TestKeyringOrderAndMatch(t *testing.T) {
	text, _ := Encrypt([]byte("x"), []byte("right"), "prod", nil)
	secrets := []Secret{{"dev", []byte("right")}, {"prod", []byte("wrong")}}
	ring := func() *Keyring { return NewKeyring(func() ([]Secret, error) { return secrets, nil }) }

	var opened []string
	k := ring()
	k.Opened = func(p []byte) { opened = append(opened, string(p)) }
	for range 2 {
		if plain, err := k.Open(text); err != nil || string(plain) != "x" {
			t.Errorf("another id's password must be tried: %q, %v", plain, err)
		}
	}
	if len(opened) != 1 {
		t.Errorf("the plaintext was reported %d times", len(opened))
	}
	k = ring()
	k.Match = true
	if _, err := k.Open(text); !errors.Is(err, ErrWrongPassword) {
		t.Errorf("vault_id_match must keep to the id: %v", err)
	}
	var none *Keyring
	if _, err := none.Open(text); !errors.Is(err, ErrNoPassword) {
		t.Errorf("empty keyring: %v", err)
	}
}

func TestSources(t *testing.T) {
	dir := t.TempDir()
	plain := filepath.Join(dir, "pw")
	script := filepath.Join(dir, "get-client.sh")
	os.WriteFile(plain, []byte("  from file \n"), 0o600)
	os.WriteFile(script, []byte("#!/bin/sh\necho \"$1 $2\"\n"), 0o700)
	for arg, want := range map[string]Secret{
		plain:            {DefaultID, []byte("from file")},
		"dev@" + plain:   {"dev", []byte("from file")},
		"a@b@" + plain:   {"a@b", []byte("from file")},
		"prod@" + script: {"prod", []byte("--vault-id prod")},
		"prod@prompt":    {"prod", []byte("typed")},
		"@" + plain:      {DefaultID, []byte("from file")},
	} {
		got, err := ParseSource(arg).Load(func(string) (string, error) { return "typed", nil })
		if err != nil || got.ID != want.ID || !bytes.Equal(got.Password, want.Password) {
			t.Errorf("%s: %q %q, %v; want %q %q", arg, got.ID, got.Password, err, want.ID, want.Password)
		}
	}
	if _, err := ParseSource("x@prompt").Load(nil); err == nil || !strings.Contains(err.Error(), "no terminal") {
		t.Errorf("prompt without a terminal: %v", err)
	}
	if _, err := ParseSource(filepath.Join(dir, "missing")).Load(nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
}

func FuzzDecrypt(f *testing.F) {
	good, _ := Encrypt([]byte("x"), []byte("pw"), "prod", nil)
	f.Add(good)
	f.Add([]byte("$ANSIBLE_VAULT;1.1;AES256\n6162"))
	f.Fuzz(func(t *testing.T, text []byte) {
		_, err := Decrypt(text, []byte("pw"))
		if err == nil && !Is(text) {
			t.Errorf("opened what is no vault text: %q", text)
		}
	})
}
