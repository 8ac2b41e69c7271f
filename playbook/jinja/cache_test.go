package jinja

import (
	"errors"
	"fmt"
	"testing"
)

func TestCacheIsBounded(t *testing.T) {
	c := newCache()
	for i := range 200_000 {
		key := cacheKey{src: fmt.Sprint(i)}
		if _, err := c.get(key, func() (*program, error) { return &program{}, nil }); err != nil {
			t.Fatal(err)
		}
	}
	n := 0
	for i := range c.shards {
		n += len(c.shards[i].young) + len(c.shards[i].old)
	}
	if limit := 2 * cacheShards * shardEntries; n > limit || n < limit/4 {
		t.Errorf("%d programs are kept, the limit is %d", n, limit)
	}
}

func TestCacheKeepsWhatIsUsed(t *testing.T) {
	c := newCache()
	compiled := 0
	hot := func() {
		p, err := c.get(cacheKey{src: "hot", kind: exprSource}, func() (*program, error) {
			compiled++
			return &program{slots: 42}, nil
		})
		if err != nil || p.slots != 42 {
			t.Fatal(p, err)
		}
	}
	for i := range 100_000 {
		if i%100 == 0 {
			hot()
		}
		_, _ = c.get(cacheKey{src: fmt.Sprint(i)}, func() (*program, error) { return &program{}, nil })
	}
	if compiled != 1 {
		t.Errorf("compiled %d times", compiled)
	}
	failing := func() (*program, error) { return nil, errors.New("no") }
	if _, err := c.get(cacheKey{src: "bad"}, failing); err == nil {
		t.Error("the error is lost")
	}
	if _, err := c.get(cacheKey{src: "hot"}, failing); err == nil {
		t.Error("an expression was taken for a template")
	}
}

func TestLiterals(t *testing.T) {
	for s, want := range map[string]int{
		"1.5x": 3, "1e5": 3, "1E+5_0": 6, "1_0.2_5e1": 9, "1.": 0, "1._5": 0, "1e": 0, "12": 0, "1__0.5": 0,
	} {
		if got := floatLen(s); got != want {
			t.Errorf("floatLen(%q) = %d, want %d", s, got, want)
		}
	}
	for s, want := range map[string]int{"0x_1fz": 5, "0b12": 3, "0o18": 3, "0x": 1, "00_0": 4, "012": 1, "1_000_": 5, "9": 1, "0b2": 1} {
		if got := intLen(s); got != want {
			t.Errorf("intLen(%q) = %d, want %d", s, got, want)
		}
	}
	for s, want := range map[string]string{
		`a\tb\n`: "a\tb\n", `\x41\u00e9\U0001F600`: "Aé😀", `\101\0`: "A\x00", `\q\d`: `\q\d`, "a\\\nb": "ab", `\udcff`: "\xff", `a\N{bullet}b`: "a•b", `\'\"\\`: `'"\`,
	} {
		if got, msg := unescape(s); got != want || msg != "" {
			t.Errorf("unescape(%q) = %q %s, want %q", s, got, msg, want)
		}
	}
	for s, want := range map[string]string{
		`\x4`: `truncated \xXX escape`, `\u12`: `truncated \uXXXX escape`, `\xzz`: `truncated \xXX escape`,
		`\U00110000`: "illegal Unicode character", `\N{NOPE}`: "unknown Unicode character name", `\N`: `malformed \N character escape`,
	} {
		if _, msg := unescape(s); msg != want {
			t.Errorf("unescape(%q): %q, want %q", s, msg, want)
		}
	}
}
