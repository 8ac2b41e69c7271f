package filter

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha3"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"hash"
	"strings"

	"golang.org/x/crypto/blake2b"
	"golang.org/x/crypto/blake2s"
	"golang.org/x/crypto/ripemd160" //lint:ignore SA1019 hashlib has it

	"orch/playbook/jinja/value"
)

var encodingFilters = []def{
	{
		names: "b64encode", sig: "encoding='utf-8'", filter: b64encode,
		doc:      "Encodes a string in base64. encoding is the character set the text is turned into bytes with: utf-8, utf-16, utf-32, ascii or latin-1.",
		examples: []string{"{{ 'héllo' | b64encode }}", "aMOpbGxv", "{{ 'hi' | b64encode('utf-16-le') }}", "aABpAA=="},
	},
	{
		names: "b64decode", sig: "encoding='utf-8'", filter: b64decode,
		doc:      "Decodes base64 into a string; encoding is the character set of the decoded bytes. Characters that are not base64 are skipped.",
		examples: []string{"{{ 'aGVsbG8=' | b64decode }}", "hello"},
	},
	{
		names: "hash", sig: "hashtype='sha1'", filter: hashFilter,
		doc: "The hexadecimal digest of a text: md5, sha1, sha224, sha256, sha384, sha512, sha512_224, sha512_256, sha3_224, " +
			"sha3_256, sha3_384, sha3_512, blake2b, blake2s or ripemd160.",
		examples: []string{"{{ 'test' | hash('sha256') }}", "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"},
	},
	{
		names: "md5", filter: digest("md5"),
		doc:      "The MD5 digest of a text, in hexadecimal.",
		examples: []string{"{{ 'test' | md5 }}", "098f6bcd4621d373cade4e832627b4f6"},
	},
	{
		names: "sha1 checksum", filter: digest("sha1"),
		doc:      "The SHA-1 digest of a text, in hexadecimal: what Ansible compares files by.",
		examples: []string{"{{ 'test' | sha1 }}", "a94a8fe5ccb19ba61c4c0873d391e987982fbbd3"},
	},
	{
		names: "to_uuid", sig: "namespace='361E6D51-FAEC-444A-9079-341386DA8E2E'", filter: toUUID,
		doc:      "A UUID (version 5) derived from a text, the same for the same text and namespace.",
		examples: []string{"{{ 'example.com' | to_uuid }}", "ae780c3a-a3ab-53c2-bfb4-098da300b3fe"},
	},
	{
		names: "quote", filter: quote,
		doc:      "Quotes a value for a POSIX shell; None becomes the empty string.",
		examples: []string{`{{ "it's" | quote }}`, `'it'"'"'s'`, "{{ 'plain' | quote }}", "plain"},
	},
}

func b64encode(c *call) (value.Value, error) {
	s, err := c.inputText()
	if err != nil {
		return nil, err
	}
	encoding, err := c.str(0)
	if err != nil {
		return nil, err
	}
	b, err := value.Encode(s, encoding, "surrogateescape")
	if err != nil {
		return nil, err
	}
	return value.S(base64.StdEncoding.EncodeToString([]byte(b))), nil
}

func b64decode(c *call) (value.Value, error) {
	s, err := c.inputText()
	if err != nil {
		return nil, err
	}
	encoding, err := c.str(0)
	if err != nil {
		return nil, err
	}
	b, err := lenientBase64(s)
	if err != nil {
		return nil, err
	}
	out, err := value.Decode(string(b), encoding, "surrogateescape")
	if err != nil {
		return nil, err
	}
	return value.S(out), nil
}

const base64Alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

// lenientBase64 decodes as Python's base64.b64decode: foreign characters are skipped,
// the padding ends the text.
func lenientBase64(s string) ([]byte, error) {
	var digits strings.Builder
	pads := 0
	for i := range len(s) {
		if s[i] == '=' {
			if n := digits.Len() % 4; n >= 2 {
				if pads++; n+pads >= 4 {
					return base64.RawStdEncoding.DecodeString(digits.String())
				}
			}
			continue
		}
		if strings.IndexByte(base64Alphabet, s[i]) >= 0 {
			digits.WriteByte(s[i])
			pads = 0
		}
	}
	switch digits.Len() % 4 {
	case 0:
		return base64.RawStdEncoding.DecodeString(digits.String())
	case 1:
		return nil, valueErr("invalid base64-encoded string: number of data characters (%d) cannot be 1 more than a multiple of 4", digits.Len())
	}
	return nil, valueErr("incorrect padding")
}

// hashes are the algorithms of the filter hash, by hashlib's names.
func hashes(name string) (hash.Hash, bool) {
	switch strings.ToLower(strings.ReplaceAll(name, "-", "_")) {
	case "md5":
		return md5.New(), true
	case "sha1", "sha_1":
		return sha1.New(), true
	case "sha224":
		return sha256.New224(), true
	case "sha256":
		return sha256.New(), true
	case "sha384":
		return sha512.New384(), true
	case "sha512":
		return sha512.New(), true
	case "sha512_224":
		return sha512.New512_224(), true
	case "sha512_256":
		return sha512.New512_256(), true
	case "sha3_224":
		return sha3.New224(), true
	case "sha3_256":
		return sha3.New256(), true
	case "sha3_384":
		return sha3.New384(), true
	case "sha3_512":
		return sha3.New512(), true
	case "blake2b":
		h, err := blake2b.New512(nil)
		return h, err == nil
	case "blake2s":
		h, err := blake2s.New256(nil)
		return h, err == nil
	case "ripemd160":
		return ripemd160.New(), true
	}
	return nil, false
}

func hexDigest(algorithm, s string) (value.Value, error) {
	h, ok := hashes(algorithm)
	if !ok {
		return nil, fmt.Errorf("unsupported hash type %s", algorithm)
	}
	h.Write([]byte(s))
	return value.S(hex.EncodeToString(h.Sum(nil))), nil
}

func hashFilter(c *call) (value.Value, error) {
	name, err := c.str(0)
	if err != nil {
		return nil, err
	}
	s, err := c.inputText()
	if err != nil {
		return nil, err
	}
	return hexDigest(name, s)
}

func digest(algorithm string) func(*call) (value.Value, error) {
	return func(c *call) (value.Value, error) {
		s, err := c.inputText()
		if err != nil {
			return nil, err
		}
		return hexDigest(algorithm, s)
	}
}

func toUUID(c *call) (value.Value, error) {
	s, err := c.inputText()
	if err != nil {
		return nil, err
	}
	namespace, err := text(c.args[0])
	if err != nil {
		return nil, err
	}
	digits := strings.NewReplacer("urn:", "", "uuid:", "").Replace(namespace)
	digits = strings.ReplaceAll(strings.Trim(digits, "{}"), "-", "")
	ns, err := hex.DecodeString(digits)
	if err != nil || len(ns) != 16 {
		return nil, valueErr("Invalid value '%s' for 'namespace': badly formed hexadecimal UUID string", namespace)
	}
	sum := sha1.Sum(append(ns, s...))
	id := sum[:16]
	id[6] = id[6]&0x0f | 5<<4
	id[8] = id[8]&0x3f | 0x80
	return value.S(fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:])), nil
}

func quote(c *call) (value.Value, error) {
	if _, none := c.in.(value.None); none {
		return value.S("''"), nil
	}
	s, err := c.inputText()
	if err != nil {
		return nil, err
	}
	return value.S(shellQuote(s)), nil
}

// shellQuote is Python's shlex.quote.
func shellQuote(s string) string {
	if s == "" {
		return "''"
	}
	safe := true
	for i := range len(s) {
		b := s[i]
		safe = safe && (b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9' || strings.IndexByte("_@%+=:,./-", b) >= 0)
	}
	if safe {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'"'"'`) + "'"
}
