package filter

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"orch/playbook/jinja/value"
)

var urlFilters = []def{
	{
		names: "urldecode", sig: "encoding='utf-8', errors='replace'", filter: urldecode,
		doc:      "Undoes percent encoding; a plus is a space.",
		examples: []string{"{{ 'a%20b+c%C3%A9' | urldecode }}", "a b cé"},
	},
	{
		names: "urlsplit", sig: "query='', alias='urlsplit'", filter: urlsplitFilter,
		doc: "Takes a URL apart: fragment, hostname, netloc, password, path, port, query, scheme, username; " +
			"or returns the one named.",
		examples: []string{
			"{{ 'http://u:p@www.acme.com:9000/dir/i.html?q=t#frag' | urlsplit('port') }}", "9000",
			"{{ ('http://www.acme.com/dir' | urlsplit).hostname }}", "www.acme.com",
		},
	},
}

func urldecode(c *call) (value.Value, error) {
	s, err := c.input()
	if err != nil {
		return nil, err
	}
	out, err := unquote(strings.ReplaceAll(s, "+", " "), value.String(c.args[0]), value.String(c.args[1]))
	return value.S(out), err
}

// unquote is urllib.parse.unquote: runs of %XX are decoded together.
func unquote(s, encoding, errors string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(s); {
		var run []byte
		for i+2 < len(s) && s[i] == '%' {
			n, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
			if err != nil {
				break
			}
			run = append(run, byte(n))
			i += 3
		}
		if run != nil {
			text, err := value.Decode(string(run), encoding, errors)
			if err != nil {
				return "", err
			}
			b.WriteString(text)
			continue
		}
		b.WriteByte(s[i])
		i++
	}
	return b.String(), nil
}

// A splitURL is what Python's urlsplit returns.
type splitURL struct{ scheme, netloc, path, query, fragment string }

const schemeChars = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-."

// urlsplit is urllib.parse.urlsplit: it splits anything and refuses very little.
func urlsplit(s string) (splitURL, error) {
	s = strings.TrimLeft(s, "\x00\x01\x02\x03\x04\x05\x06\x07\x08\t\n\x0b\x0c\r\x0e\x0f"+
		"\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f ")
	s = strings.NewReplacer("\t", "", "\r", "", "\n", "").Replace(s)
	var u splitURL
	if i := strings.IndexByte(s, ':'); i > 0 && s[0] < utf8.RuneSelf && strings.Trim(s[:i], schemeChars) == "" &&
		(s[0]|0x20 >= 'a' && s[0]|0x20 <= 'z') {
		u.scheme, s = strings.ToLower(s[:i]), s[i+1:]
	}
	if rest, ok := strings.CutPrefix(s, "//"); ok {
		end := strings.IndexAny(rest, "/?#")
		if end < 0 {
			end = len(rest)
		}
		u.netloc, s = rest[:end], rest[end:]
		if strings.Contains(u.netloc, "[") != strings.Contains(u.netloc, "]") {
			return u, valueErr("invalid IPv6 URL")
		}
		if inner, ok := bracketed(u.netloc); ok {
			if _, err := netip.ParseAddr(inner); err != nil && !strings.HasPrefix(inner, "v") {
				return u, valueErr("'%s' does not appear to be an IPv4 or IPv6 address", inner)
			}
		}
	}
	s, u.fragment, _ = strings.Cut(s, "#")
	u.path, u.query, _ = strings.Cut(s, "?")
	return u, nil
}

func bracketed(netloc string) (string, bool) {
	_, rest, ok := strings.Cut(netloc, "[")
	if !ok {
		return "", false
	}
	inner, _, ok := strings.Cut(rest, "]")
	return inner, ok
}

// user returns user name and password; false for one that is not there.
func (u splitURL) user() (name, password string, hasName, hasPassword bool) {
	i := strings.LastIndexByte(u.netloc, '@')
	if i < 0 {
		return "", "", false, false
	}
	name, password, hasPassword = strings.Cut(u.netloc[:i], ":")
	return name, password, true, hasPassword
}

func (u splitURL) host() (name, port string) {
	hostport := u.netloc[strings.LastIndexByte(u.netloc, '@')+1:]
	if _, rest, ok := strings.Cut(hostport, "["); ok {
		name, rest, _ = strings.Cut(rest, "]")
		_, port, _ = strings.Cut(rest, ":")
	} else {
		name, port, _ = strings.Cut(hostport, ":")
	}
	// The zone of an IPv6 address keeps its case.
	addr, zone, scoped := strings.Cut(name, "%")
	name = value.Lower(addr)
	if scoped {
		name += "%" + zone
	}
	return name, port
}

func (u splitURL) port() (value.Value, error) {
	_, port := u.host()
	if port == "" {
		return value.None{}, nil
	}
	n, err := strconv.ParseUint(port, 10, 64)
	if err != nil {
		return nil, valueErr("port could not be cast to integer value as %s", value.Repr(value.S(port)))
	}
	if n > 65535 {
		return nil, valueErr("port out of range 0-65535")
	}
	return value.Int(n), nil
}

func orNone(s string, ok bool) value.Value {
	if !ok {
		return value.None{}
	}
	return value.S(s)
}

var urlParts = []string{"fragment", "hostname", "netloc", "password", "path", "port", "query", "scheme", "username"}

func urlsplitFilter(c *call) (value.Value, error) {
	s, err := c.input()
	if err != nil {
		return nil, err
	}
	u, err := urlsplit(s)
	if err != nil {
		return nil, err
	}
	port, err := u.port()
	if err != nil {
		return nil, err
	}
	host, _ := u.host()
	name, password, hasName, hasPassword := u.user()
	parts := value.D(
		"fragment", value.S(u.fragment), "hostname", orNone(host, host != ""), "netloc", value.S(u.netloc),
		"password", orNone(password, hasPassword), "path", value.S(u.path), "port", port,
		"query", value.S(u.query), "scheme", value.S(u.scheme), "username", orNone(name, hasName),
	)
	if !c.truth(0) {
		return parts, nil
	}
	part := value.String(c.args[0])
	if !slices.Contains(urlParts, part) {
		return nil, fmt.Errorf("%s: unknown URL component: %s\nhint: one of %s", value.String(c.args[1]), part, choices(urlParts...))
	}
	v, _ := parts.GetStr(part)
	return v, nil
}
