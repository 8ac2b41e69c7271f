package template

import (
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"orch/playbook/jinja/value"
	"orch/playbook/keyval"
	"orch/playbook/template/filter"
)

var passwordOptions = []Option{
	{Name: "encrypt", Kind: "str", Doc: "return the hash: sha512_crypt, sha256_crypt, bcrypt, md5_crypt"},
	{Name: "ident", Kind: "str", Doc: "bcrypt's variant"},
	{Name: "chars", Kind: "list", Doc: "sets of characters, by name or verbatim"},
	{Name: "length", Kind: "int", Default: value.Int(20), Doc: "number of characters"},
	{Name: "seed", Kind: "str", Doc: "makes the same text every time"},
}

// Python's string module, by whose names sets of characters are given.
const (
	lowercase   = "abcdefghijklmnopqrstuvwxyz"
	uppercase   = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	digits      = "0123456789"
	punctuation = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
	whitespace  = " \t\n\r\x0b\x0c"
)

var charSets = map[string]string{
	"ascii_lowercase": lowercase, "ascii_uppercase": uppercase, "ascii_letters": lowercase + uppercase,
	"digits": digits, "hexdigits": digits + "abcdefABCDEF", "octdigits": "01234567",
	"punctuation": punctuation, "whitespace": whitespace,
	"printable": digits + lowercase + uppercase + punctuation + whitespace,
}

const devNull = "/dev/null"

func runPassword(c *LookupCall) ([]value.Value, error) {
	terms, err := c.TextTerms()
	if err != nil {
		return nil, err
	}
	defaults := c.options
	var out []value.Value
	for _, term := range terms {
		c.options = map[string]value.Value{}
		for k, v := range defaults {
			c.options[k] = v
		}
		path, err := c.passwordTerm(term)
		if err != nil {
			return nil, err
		}
		text, err := c.password(c.Site().path(path))
		if err != nil {
			return nil, err
		}
		if c.Site().Secret != nil {
			c.Site().Secret(text)
		}
		out = append(out, value.S(text))
	}
	return out, nil
}

// passwordTerm takes options from a term like "path length=8 chars=digits".
func (c *LookupCall) passwordTerm(term string) (path string, err error) {
	path, rest, _ := strings.Cut(term, " ")
	pairs, free, _, err := keyval.Parse(rest, nil)
	if err != nil {
		return "", lookupErrorf("%w", err)
	}
	if free != "" {
		path += " " + free
		if !strings.HasPrefix(term, path) {
			return "", lookupErrorf("unrecognized value after key=value parameters given to password lookup")
		}
	}
	for _, kv := range pairs {
		o := c.option(kv.Key)
		if o == nil {
			return "", lookupErrorf("unrecognized parameter(s) given to password lookup: %s", kv.Key)
		}
		val := value.Value(value.S(kv.Val))
		if kv.Key == "chars" {
			val = splitChars(kv.Val)
		}
		if err := c.set(o, val); err != nil {
			return "", err
		}
	}
	return path, nil
}

// splitChars reads chars=a,b,,: two commas stand for one that is meant.
func splitChars(s string) *value.List {
	out := value.NewList()
	if strings.Contains(s, ",,") {
		out.Items = append(out.Items, value.S(","))
	}
	for _, part := range strings.Split(strings.ReplaceAll(s, ",,", ","), ",") {
		if part != "" {
			out.Items = append(out.Items, value.S(part))
		}
	}
	return out
}

func (c *LookupCall) password(path string) (string, error) {
	unlock, err := lockPassword(c, path)
	if err != nil {
		return "", err
	}
	defer unlock()
	p, err := readPassword(path)
	if err != nil {
		return "", lookupErrorf("password lookup: %w", err)
	}
	changed := p == nil
	if changed {
		text, err := c.generate()
		if err != nil {
			return "", err
		}
		p = &stored{text: text}
	}
	method, ident := c.Text("encrypt"), c.Text("ident")
	if method != "" && p.salt == "" {
		changed = true
		if p.salt, err = filter.RandomSalt(method); err != nil {
			return "", err
		}
	}
	switch {
	case p.ident == "":
		p.ident = ident
	case ident != "" && ident != p.ident:
		return "", lookupErrorf("the ident parameter provided (%s) does not match the stored one (%s).", p.ident, ident)
	}
	if method == "bcrypt" && p.ident == "" {
		p.ident, changed = "2b", true
	}
	if changed && path != devNull {
		if err := p.write(path, method != ""); err != nil {
			return "", lookupErrorf("password lookup: %w", err)
		}
	}
	if method == "" {
		return p.text, nil
	}
	return filter.HashPassword(p.text, method, p.salt, p.ident)
}

func (c *LookupCall) generate() (string, error) {
	var chars strings.Builder
	specs := c.List("chars")
	if specs == nil {
		specs = []value.Value{value.S("ascii_letters"), value.S("digits"), value.S(".,:-_")}
	}
	for _, spec := range specs {
		name := value.String(spec)
		if set, ok := charSets[name]; ok {
			name = set
		}
		chars.WriteString(name)
	}
	set := []rune(strings.NewReplacer(`"`, "", `'`, "").Replace(chars.String()))
	if len(set) == 0 {
		return "", lookupErrorf("password lookup: chars leaves no character to choose from")
	}
	return randomText(set, c.Int("length"), c.Option("seed"))
}

// randomText chooses n characters. With a seed they are those Python's random.choice
// chooses after random.seed(seed).
func randomText(set []rune, n int, seed value.Value) (string, error) {
	below, err := filter.Chooser(seed)
	if err != nil {
		return "", err
	}
	out := make([]rune, max(n, 0))
	for i := range out {
		out[i] = set[below(len(set))]
	}
	return string(out), nil
}

// stored is the content of a password file: "text salt=… ident=…".
type stored struct{ text, salt, ident string }

// readPassword returns nil when the password is to be generated.
func readPassword(path string) (*stored, error) {
	if path == devNull {
		return nil, nil
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	p := &stored{text: rstrip(string(text))}
	if i := strings.LastIndex(p.text, " salt="); i >= 0 {
		p.text, p.salt = p.text[:i], p.text[i+len(" salt="):]
		if i := strings.LastIndex(p.salt, " ident="); i >= 0 {
			p.salt, p.ident = p.salt[:i], p.salt[i+len(" ident="):]
		}
	}
	return p, nil
}

func (p *stored) write(path string, salted bool) error {
	text := p.text
	if salted || p.salt != "" {
		text += " salt=" + p.salt
		if p.ident != "" {
			text += " ident=" + p.ident
		}
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text + "\n")
	return errors.Join(err, f.Close())
}

// lockPassword keeps other runs from making the password at the same time, by the lock
// file ansible-core 2.18 uses too.
func lockPassword(c *LookupCall, path string) (unlock func(), err error) {
	if path == devNull {
		return func() {}, nil
	}
	dir := filepath.Dir(path)
	lock := filepath.Join(dir, fmt.Sprintf("%x.ansible_lockfile", sha1.Sum([]byte(path)))) //nolint:gosec // a name, not a secret
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, lookupErrorf("password lookup: %w", err)
	}
	const patience = 7 * time.Second
	for waited := time.Duration(0); ; waited += 10 * time.Millisecond {
		f, err := os.OpenFile(lock, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err == nil {
			return func() { _ = os.Remove(lock) }, f.Close()
		}
		if !errors.Is(err, fs.ErrExist) {
			return nil, lookupErrorf("password lookup: %w", err)
		}
		if waited > patience {
			return nil, lookupErrorf("password lookup cannot get the lock in 7 seconds; if no other run is at work, remove %s", lock)
		}
		select {
		case <-c.Ctx.Done():
			return nil, c.Ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
}

var randomStringOptions = []Option{
	{Name: "length", Kind: "int", Default: value.Int(8), Doc: "number of characters"},
	{Name: "upper", Kind: "bool", Default: value.Bool(true), Doc: "use upper case letters"},
	{Name: "lower", Kind: "bool", Default: value.Bool(true), Doc: "use lower case letters"},
	{Name: "numbers", Kind: "bool", Default: value.Bool(true), Doc: "use digits"},
	{Name: "special", Kind: "bool", Default: value.Bool(true), Doc: "use punctuation"},
	{Name: "min_lower", Kind: "int", Default: value.Int(0), Doc: "at least so many lower case letters"},
	{Name: "min_upper", Kind: "int", Default: value.Int(0), Doc: "at least so many upper case letters"},
	{Name: "min_numeric", Kind: "int", Default: value.Int(0), Doc: "at least so many digits"},
	{Name: "min_special", Kind: "int", Default: value.Int(0), Doc: "at least so many special characters"},
	{Name: "override_special", Kind: "str", Doc: "the special characters to use"},
	{Name: "override_all", Kind: "str", Doc: "the only characters to use"},
	{Name: "ignore_similar_chars", Kind: "bool", Default: value.Bool(false), Doc: "leave out similar characters"},
	{Name: "similar_chars", Kind: "str", Default: value.S("il1LoO0"), Doc: "characters that count as similar"},
	{Name: "base64", Kind: "bool", Default: value.Bool(false), Doc: "encode the result"},
	{Name: "seed", Kind: "str", Doc: "makes the same text every time"},
}

// runRandomString is community.general's random_string: the minimal numbers of each kind
// first, the rest from all kinds, shuffled.
func runRandomString(c *LookupCall) ([]value.Value, error) {
	below, err := filter.Chooser(c.Option("seed"))
	if err != nil {
		return nil, err
	}
	sets := map[string]string{"lower": lowercase, "upper": uppercase, "numeric": digits, "special": punctuation}
	if s := c.Text("override_special"); s != "" {
		sets["special"] = s
	}
	all := c.Text("override_all")
	if all == "" {
		for _, k := range []struct{ option, set string }{
			{"lower", "lower"}, {"upper", "upper"}, {"numbers", "numeric"}, {"special", "special"},
		} {
			if c.Flag(k.option) {
				all += sets[k.set]
			}
		}
	}
	var out []rune
	add := func(set string, n int) error {
		if c.Flag("ignore_similar_chars") {
			set = strings.Map(func(r rune) rune {
				if strings.ContainsRune(c.Text("similar_chars"), r) {
					return -1
				}
				return r
			}, set)
		}
		chars := []rune(set)
		if n > 0 && len(chars) == 0 {
			return lookupErrorf("available characters cannot be None, please change constraints")
		}
		for range n {
			out = append(out, chars[below(len(chars))])
		}
		return nil
	}
	if c.Text("override_all") == "" {
		for _, kind := range []string{"numeric", "lower", "upper", "special"} {
			if err := add(sets[kind], c.Int("min_"+kind)); err != nil {
				return nil, err
			}
		}
	}
	if err := add(all, c.Int("length")-len(out)); err != nil {
		return nil, err
	}
	for i := len(out) - 1; i > 0; i-- {
		k := below(i + 1)
		out[i], out[k] = out[k], out[i]
	}
	text := string(out)
	if c.Flag("base64") {
		text = base64.StdEncoding.EncodeToString([]byte(text))
	}
	return []value.Value{value.S(text)}, nil
}
