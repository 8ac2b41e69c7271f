package filter

import (
	"fmt"
	"strings"
	"time"

	"orch/playbook/jinja/value"
)

// What lookups and globals have in common with filters.

// Datetime is a moment as Python's naive datetime.datetime, to the microsecond.
func Datetime(t time.Time) value.Value { return &dateTime{t: t.Truncate(time.Microsecond)} }

// Strftime formats a moment as Python's strftime does, of a naive datetime.
func Strftime(format string, t time.Time) string { return strftime(format, t, false) }

// Chooser returns a function that chooses a number below n. With a seed it is the one
// Python's random.Random(seed) chooses; without, the system's randomness.
func Chooser(seed value.Value) (func(n int) int, error) {
	s, err := newSource(seed)
	if err != nil {
		return nil, err
	}
	return func(n int) int { return belowInt(s, n) }, nil
}

// RandomSalt makes a salt for a method of [HashPassword].
func RandomSalt(method string) (string, error) {
	c, err := cryptMethod(method)
	return randomSalt(c.saltSize), err
}

// HashPassword is the crypt hash of a password by sha512_crypt, sha256_crypt, bcrypt or
// md5_crypt, with the salt given and the method's usual rounds.
func HashPassword(password, method, salt, ident string) (string, error) {
	c, err := cryptMethod(method)
	if err != nil {
		return "", err
	}
	out, err := c.sum(password, salt, c.rounds, ident)
	if err != nil {
		return "", fmt.Errorf("could not hash the secret: %w", err)
	}
	return out, nil
}

func cryptMethod(name string) (crypter, error) {
	short := strings.TrimSuffix(name, "_crypt")
	if short == "bcrypt" {
		short = "blowfish"
	}
	c, ok := crypters[short]
	if !ok {
		return c, fmt.Errorf("%q is no method of hashing passwords: use sha512_crypt, sha256_crypt, bcrypt or md5_crypt", name)
	}
	return c, nil
}

// Time returns the moment a datetime of the template language stands for.
func Time(v value.Value) (time.Time, bool) {
	if d, ok := v.(*dateTime); ok {
		return d.instant(), true
	}
	return time.Time{}, false
}
