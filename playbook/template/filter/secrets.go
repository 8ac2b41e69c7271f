package filter

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"fmt"
	"hash"
	"slices"
	"strings"

	"github.com/go-crypt/x/bcrypt"
	"github.com/go-crypt/x/crypt"

	"orch/playbook/jinja/value"
	"orch/playbook/vault"
)

var secretFilters = []def{
	{
		names: "password_hash", sig: "hashtype='sha512', salt=None, salt_size=None, rounds=None, ident=None", filter: passwordHash,
		doc: "The crypt hash of a password: sha512, sha256, blowfish (bcrypt) or md5. Without a salt each result is different, and a task that uses it " +
			"always changes something. ident is bcrypt's variant: 2, 2a, 2b or 2y.",
		examples: []string{
			"{{ 'secret' | password_hash('sha256', 'mysalt', rounds=5000) }}", "$5$mysalt$I2SNajjJ3Gc5gIR/tkrLOGngF8wqv59buJCqxh.o9s8",
			"{{ 'secret' | password_hash('md5', 'salt') }}", "$1$salt$ez2vlPGdaLYkJam5pWs/Y1",
		},
	},
	{
		names: "vault", sig: "secret, salt=None, vault_id='filter_default', wrap_object=False, vaultid=None", filter: vaultFilter,
		doc: "Encrypts a string as ansible-vault does, with the given secret. With a salt the result is always the same; " +
			"wrap_object makes a value that to_yaml writes as !vault.",
		examples: []string{"{{ 'x' | vault('pw') | unvault('pw') }}", "x"},
	},
	{
		names: "unvault", sig: "secret, vault_id='filter_default', vaultid=None", filter: unvault,
		doc:      "Decrypts a vault text with the given secret; any other string stays as it is.",
		examples: []string{"{{ 'plain' | unvault('pw') }}", "plain"},
	},
}

// A crypter is one of the crypt algorithms.
type crypter struct {
	saltSize int // the default, and the most there may be
	exact    bool
	rounds   int // the default; 0 for an algorithm without
	min, max int // of rounds
	sum      func(password, salt string, rounds int, ident string) (string, error)
}

var crypters = map[string]crypter{
	"md5":      {saltSize: 8, sum: md5Crypt},
	"sha256":   {saltSize: 16, rounds: 535000, min: 1000, max: 999999999, sum: shaCrypt("5", sha256.New)},
	"sha512":   {saltSize: 16, rounds: 656000, min: 1000, max: 999999999, sum: shaCrypt("6", sha512.New)},
	"blowfish": {saltSize: 22, exact: true, rounds: 12, min: 4, max: 31, sum: bcryptSum},
}

const saltAlphabet = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

func randomSalt(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	for i := range b {
		b[i] = saltAlphabet[b[i]&63]
	}
	return string(b)
}

// passlibHashes are the other algorithms of passlib 1.7. ansible-core 2.18 deprecates
// them, and has another message for them than for names nobody knows.
var passlibHashes = strings.Fields(`apr_md5_crypt argon2 atlassian_pbkdf2_sha1 bcrypt_sha256 bigcrypt bsd_nthash
	bsdi_crypt cisco_asa cisco_pix cisco_type7 crypt16 cta_pbkdf2_sha1 des_crypt django_argon2 django_bcrypt
	django_bcrypt_sha256 django_des_crypt django_disabled django_pbkdf2_sha1 django_pbkdf2_sha256
	django_salted_md5 django_salted_sha1 dlitz_pbkdf2_sha1 fshp grub_pbkdf2_sha512 hex_md4 hex_md5 hex_sha1
	hex_sha256 hex_sha512 htdigest ldap_bcrypt ldap_bsdi_crypt ldap_des_crypt ldap_hex_md5 ldap_hex_sha1 ldap_md5
	ldap_md5_crypt ldap_pbkdf2_sha1 ldap_pbkdf2_sha256 ldap_pbkdf2_sha512 ldap_plaintext ldap_salted_md5
	ldap_salted_sha1 ldap_salted_sha256 ldap_salted_sha512 ldap_sha1 ldap_sha1_crypt ldap_sha256_crypt
	ldap_sha512_crypt lmhash msdcc msdcc2 mssql2000 mssql2005 mysql323 mysql41 nthash oracle10 oracle11
	pbkdf2_sha1 pbkdf2_sha256 pbkdf2_sha512 phpass plaintext postgres_md5 roundup_plaintext scram scrypt
	sha1_crypt sun_md5_crypt unix_disabled unix_fallback`)

func passwordHash(c *call) (value.Value, error) {
	password, err := c.inputText()
	if err != nil {
		return nil, err
	}
	name := strings.TrimSuffix(value.String(c.args[0]), "_crypt")
	if name == "bcrypt" {
		name = "blowfish"
	}
	algorithm, ok := crypters[name]
	if !ok {
		if name := value.String(c.args[0]); slices.Contains(passlibHashes, name) {
			return nil, fmt.Errorf("%s is not in the list of supported passlib algorithms: md5, blowfish, sha256, sha512", name)
		}
		return nil, fmt.Errorf("passlib does not support '%s' algorithm", value.String(c.args[0]))
	}
	salt, err := algorithm.salt(c)
	if err != nil {
		return nil, err
	}
	rounds := algorithm.rounds
	if c.truth(3) && algorithm.rounds > 0 {
		n, err := value.ToInt(c.args[3])
		if err != nil {
			return nil, err
		}
		if rounds, _ = asInt(n); rounds < algorithm.min || rounds > algorithm.max {
			return nil, valueErr("could not hash the secret: rounds must be from %d to %d, not %d", algorithm.min, algorithm.max, rounds)
		}
	}
	ident := ""
	if c.truth(4) {
		ident = value.String(c.args[4])
	}
	out, err := algorithm.sum(password, salt, rounds, ident)
	if err != nil {
		return nil, fmt.Errorf("could not hash the secret: %w", err)
	}
	return value.S(out), nil
}

func (a crypter) salt(c *call) (string, error) {
	size := a.saltSize
	if c.truth(2) {
		n, ok := asInt(c.args[2])
		if !ok || n < 0 || n > a.saltSize || a.exact && n != a.saltSize {
			return "", valueErr("could not hash the secret: salt_size can be at most %d, not %s", a.saltSize, value.String(c.args[2]))
		}
		size = n
	}
	if !c.truth(1) {
		return randomSalt(size), nil
	}
	salt := value.String(c.args[1])
	if len(salt) > a.saltSize || a.exact && len(salt) != a.saltSize {
		return "", valueErr("could not hash the secret: a salt of %d characters is needed, not of %d", a.saltSize, len(salt))
	}
	for i := range len(salt) {
		if strings.IndexByte(saltAlphabet, salt[i]) < 0 {
			return "", valueErr("could not hash the secret: the salt holds the character '%c', only letters, digits, '.' and '/' are allowed", salt[i])
		}
	}
	return salt, nil
}

func md5Crypt(password, salt string, _ int, _ string) (string, error) {
	return "$1$" + salt + "$" + string(crypt.KeyMD5Crypt([]byte(password), []byte(salt))), nil
}

func shaCrypt(id string, h func() hash.Hash) func(string, string, int, string) (string, error) {
	return func(password, salt string, rounds int, _ string) (string, error) {
		sum := crypt.KeySHACrypt(h, []byte(password), []byte(salt), rounds)
		if rounds == 5000 { // the scheme's own default goes without saying
			return fmt.Sprintf("$%s$%s$%s", id, salt, sum), nil
		}
		return fmt.Sprintf("$%s$rounds=%d$%s$%s", id, rounds, salt, sum), nil
	}
}

func bcryptSum(password, salt string, cost int, ident string) (string, error) {
	switch ident {
	case "":
		ident = "2b"
	case "2a", "2b", "2y":
	default:
		return "", badChoice("ident", ident, "2a", "2b", "2y")
	}
	if strings.IndexByte(password, 0) >= 0 {
		return "", errors.New("the password holds a NUL character")
	}
	raw, err := bcrypt.Base64Decode([]byte(salt))
	if err != nil {
		return "", err
	}
	raw = raw[:16]
	// bcrypt looks at 72 bytes; the library refuses more instead of cutting.
	key, err := bcrypt.Key([]byte(password)[:min(len(password), 72)], raw, cost)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("$%s$%02d$%s%s", ident, cost, bcrypt.Base64Encode(raw), key), nil
}

// secretArg is the password of the vault filters.
func secretArg(v value.Value) ([]byte, error) {
	switch v := v.(type) {
	case value.Bytes:
		return []byte(v), nil
	default:
		if s, ok := asStr(v); ok {
			return []byte(s), nil
		}
	}
	return nil, typeErr("the secret must be a string, not %s", typeName(v))
}

// vaultID is the id an encrypted text is marked with; vaultid is its old name.
func vaultID(c *call, id, old int) string {
	name := value.String(c.args[id])
	if c.has(old) && name == "filter_default" {
		return value.String(c.args[old])
	}
	return name
}

func vaultFilter(c *call) (value.Value, error) {
	secret, err := secretArg(c.args[0])
	if err != nil {
		return nil, err
	}
	plain, ok := asStr(c.in)
	if b, isBytes := c.in.(value.Bytes); isBytes {
		plain, ok = string(b), true
	}
	if !ok {
		return nil, typeErr("Can only vault strings, instead we got: %s", typeName(c.in))
	}
	var salt []byte
	if c.has(1) {
		salt = []byte(value.String(c.args[1])) // ansible-core 2.18: to_bytes takes numbers too
	}
	text, err := vault.Encrypt([]byte(plain), secret, vaultID(c, 2, 4), salt)
	if err != nil {
		return nil, valueErr("Unable to encrypt: %s", err)
	}
	if c.truth(3) {
		return value.Sealed{Text: string(text)}, nil
	}
	return value.S(string(text)), nil
}

func unvault(c *call) (value.Value, error) {
	secret, err := secretArg(c.args[0])
	if err != nil {
		return nil, err
	}
	var text string
	switch v := c.in.(type) {
	case value.Sealed:
		text = v.Text
	case value.Bytes:
		text = string(v)
	default:
		s, ok := asStr(v)
		if !ok {
			return nil, typeErr("Vault should be in the form of a string, instead we got: %s", typeName(c.in))
		}
		text = s
	}
	if !vault.Is([]byte(text)) {
		return value.S(text), nil
	}
	plain, err := vault.Decrypt([]byte(text), secret)
	if err != nil {
		return nil, valueErr("Unable to decrypt: %s", err)
	}
	return value.S(string(plain)), nil
}
