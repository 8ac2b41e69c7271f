package jinja

import (
	"html"
	"regexp"
	"slices"
	"strings"
	"sync"

	"orch/playbook/jinja/value"
)

func filterEscape(_ *Call, in value.Value, _ Bound) (value.Value, error) {
	s, err := soft(in)
	if err != nil {
		return nil, err
	}
	return value.Escape(s), nil
}

func filterForceEscape(_ *Call, in value.Value, _ Bound) (value.Value, error) {
	s, err := value.Text(in)
	if err != nil {
		return nil, err
	}
	return value.Escape(value.S(s)), nil
}

func filterSafe(_ *Call, in value.Value, _ Bound) (value.Value, error) {
	s, err := value.Text(in)
	return value.Markup(s), err
}

// filterStripTags removes comments and tags, joins white space and resolves entities.
func filterStripTags(_ *Call, in value.Value, _ Bound) (value.Value, error) {
	s, err := value.Text(in)
	if err != nil {
		return nil, err
	}
	for _, tag := range [][2]string{{"<!--", "-->"}, {"<", ">"}} {
		s = cutOut(s, tag[0], tag[1])
	}
	words, err := callMethod(value.S(s), "split")
	if err != nil {
		return nil, err
	}
	joined, err := callMethod(value.S(" "), "join", words)
	if err != nil {
		return nil, err
	}
	return value.S(html.UnescapeString(value.String(joined))), nil
}

// cutOut removes everything from open to the next end; an open without an end stays.
func cutOut(s, open, end string) string {
	var b strings.Builder
	for {
		before, after, found := strings.Cut(s, open)
		if !found {
			break
		}
		_, rest, closed := strings.Cut(after, end)
		if !closed {
			break
		}
		b.WriteString(before)
		s = rest
	}
	return b.String() + s
}

var htmlSafeJSON = strings.NewReplacer("<", `\u003c`, ">", `\u003e`, "&", `\u0026`, "'", `\u0027`)

func filterToJSON(_ *Call, in value.Value, b Bound) (value.Value, error) {
	o := value.JSONOptions{SortKeys: true}
	if s, ok := stringOf(b.Args[0]); ok {
		o.Indent, o.Lines = s, true
	} else if !isNone(b.Args[0]) {
		n, err := value.Index(b.Args[0])
		if err != nil {
			return nil, err
		}
		o.Indent, o.Lines = strings.Repeat(" ", min(max(n, 0), 1<<10)), true
	}
	s, err := value.JSON(in, o)
	if err != nil {
		return nil, err
	}
	return value.Markup(htmlSafeJSON.Replace(s)), nil
}

func filterXMLAttr(c *Call, in value.Value, b Bound) (value.Value, error) {
	view, err := callMethod(in, "items")
	if err != nil {
		return nil, err
	}
	pairs, err := value.Items(view)
	if err != nil {
		return nil, err
	}
	var attrs []string
	for _, p := range pairs {
		key, val := p.(value.Tuple)[0], p.(value.Tuple)[1]
		if isNone(val) || isUndefined(val) {
			continue
		}
		name, ok := stringOf(key)
		if !ok {
			return nil, value.Errorf("TypeError", "expected string or bytes-like object")
		}
		if strings.ContainsAny(name, " \t\n\r\f\v/>=") {
			return nil, value.Errorf("ValueError", "Invalid character in attribute name: %s", value.Repr(key))
		}
		text, err := soft(val)
		if err != nil {
			return nil, err
		}
		attrs = append(attrs, string(value.Escape(key)+`="`+value.Escape(text)+`"`))
	}
	out := strings.Join(attrs, " ")
	space, err := truth(b.Args[0])
	if err != nil {
		return nil, err
	}
	if space && out != "" {
		out = " " + out
	}
	if c.Autoescape {
		return value.Markup(out), nil
	}
	return value.S(out), nil
}

// filterURLEncode quotes text, or makes a query string of a dict or of pairs.
func filterURLEncode(_ *Call, in value.Value, _ Bound) (value.Value, error) {
	if _, text := stringOf(in); text {
		return urlQuoted(in)
	}
	items := in
	if isMapping(in) {
		view, err := callMethod(in, "items")
		if err != nil {
			return nil, err
		}
		items = view
	} else if ok, err := isIterable(in); err != nil || !ok {
		if err != nil {
			return nil, err
		}
		return urlQuoted(in)
	}
	it, err := value.Iter(items)
	if err != nil {
		return nil, err
	}
	var parts []string
	for pair, err := range it.All() {
		if err != nil {
			return nil, err
		}
		kv, err := unpackPair(pair)
		if err != nil {
			return nil, err
		}
		var quoted [2]string
		for i, v := range kv {
			if quoted[i], err = urlQuote(v, true); err != nil {
				return nil, err
			}
		}
		parts = append(parts, quoted[0]+"="+quoted[1])
	}
	return value.S(strings.Join(parts, "&")), nil
}

func unpackPair(v value.Value) ([]value.Value, error) {
	items, err := value.Items(v)
	switch {
	case err != nil && !raised(err, "TypeError"):
		return nil, err
	case err != nil:
		return nil, value.Errorf("TypeError", "cannot unpack non-iterable %s object", v.Type())
	case len(items) < 2:
		return nil, value.Errorf("ValueError", "not enough values to unpack (expected 2, got %d)", len(items))
	case len(items) > 2:
		return nil, value.Errorf("ValueError", "too many values to unpack (expected 2)")
	}
	return items, nil
}

func urlQuoted(v value.Value) (value.Value, error) {
	s, err := urlQuote(v, false)
	return value.S(s), err
}

// urlQuote is urllib.parse.quote; in a query also "/" is quoted, and a space is "+".
func urlQuote(v value.Value, query bool) (string, error) {
	s, err := value.Text(v)
	if err != nil {
		return "", err
	}
	if b, ok := v.(value.Bytes); ok {
		s = string(b)
	}
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("_.-~", c) >= 0 || c == '/' && !query:
			b.WriteByte(c)
		case c == ' ' && query:
			b.WriteByte('+')
		default:
			b.Write([]byte{'%', hex[c>>4], hex[c&15]})
		}
	}
	return b.String(), nil
}

// The patterns of urlize are Jinja2's, with Python's character classes spelled out.
type urlPatterns struct{ http, email, scheme, space, head, tail *regexp.Regexp }

var urlRegexps = sync.OnceValue(func() urlPatterns {
	classes := strings.NewReplacer(`\w`, `\p{L}\p{N}_`, `\S`, `[^\s\x1c-\x1f\x85\p{Z}]`, `\d`, `\p{Nd}`)
	re := func(pattern string) *regexp.Regexp { return regexp.MustCompile(classes.Replace(pattern)) }
	return urlPatterns{
		http: re(`(?i)^(?:(?:https?://|www\.)(?:(?:[\w%-]+\.)+)?(?:[a-z]{2,63}|xn--[\w%]{2,59})` +
			`|(?:[\w%-]{2,63}\.)+(?:com|net|int|edu|gov|org|info|mil)` +
			`|https?://(?:[\d]{1,3}(?:\.[\d]{1,3}){3}|\[(?:[\da-f]{0,4}:){2}(?:[\da-f]{0,4}:?){1,6}\]))` +
			`(?::[\d]{1,5})?(?:[/?#]\S*)?\n?$`),
		email:  re(`^\S+@[\w][\w.-]*\.[\w]+\n?$`),
		scheme: re(`^[\w.+-]{2,}:/{0,2}$`),
		space:  regexp.MustCompile(`[\s\v\x1c-\x1f\x85\p{Z}]+`),
		head:   regexp.MustCompile(`^(?:[(<]|&lt;)+`),
		tail:   regexp.MustCompile(`(?:[)>.,\n]|&gt;)+$`),
	}
})

// A linker turns words that are addresses into links.
type linker struct {
	re      urlPatterns
	limit   int // longer addresses are shown cut off; negative: never
	attrs   string
	schemes []string
}

func filterUrlize(c *Call, in value.Value, b Bound) (value.Value, error) {
	text, err := soft(in)
	if err != nil {
		return nil, err
	}
	l := linker{re: urlRegexps(), limit: -1}
	if !isNone(b.Args[0]) {
		if l.limit, err = value.Index(b.Args[0]); err != nil {
			return nil, err
		}
	}
	if err := l.setRel(b.Args[3], b.Args[1]); err != nil {
		return nil, err
	}
	if target := b.Args[2]; value.Truth(target) {
		l.attrs += ` target="` + string(value.Escape(target)) + `"`
	}
	if err := l.setSchemes(b.Args[4]); err != nil {
		return nil, err
	}
	s := string(value.Escape(text))
	var out strings.Builder
	for s != "" {
		end, next := len(s), len(s)
		if at := l.re.space.FindStringIndex(s); at != nil {
			end, next = at[0], at[1]
		}
		out.WriteString(l.word(s[:end]) + s[end:next])
		s = s[next:]
	}
	if c.Autoescape {
		return value.Markup(out.String()), nil
	}
	return value.S(out.String()), nil
}

// setRel collects the attribute rel: what is asked for, nofollow, and the policy's
// noopener, sorted.
func (l *linker) setRel(rel, nofollow value.Value) error {
	words := []string{"noopener"}
	if value.Truth(rel) {
		s, err := value.Text(rel)
		if err != nil {
			return err
		}
		words = append(words, strings.Fields(s)...)
	}
	no, err := truth(nofollow)
	if err != nil {
		return err
	}
	if no {
		words = append(words, "nofollow")
	}
	slices.Sort(words)
	l.attrs += ` rel="` + string(value.Escape(value.S(strings.Join(slices.Compact(words), " ")))) + `"`
	return nil
}

func (l *linker) setSchemes(schemes value.Value) error {
	if isNone(schemes) {
		return nil
	}
	items, err := value.Items(schemes)
	if err != nil {
		return err
	}
	for _, item := range items {
		s, ok := stringOf(item)
		if !ok || !l.re.scheme.MatchString(s) {
			return filterError("%s is not a valid URI scheme prefix.", value.Repr(item))
		}
		l.schemes = append(l.schemes, s)
	}
	return nil
}

func (l *linker) word(word string) string {
	head := l.re.head.FindString(word)
	middle := word[len(head):]
	tail := l.re.tail.FindString(middle)
	middle = strings.TrimSuffix(middle, tail)
	// A closing bracket belongs to the address when its opening one does.
	for _, pair := range [][2]string{{"(", ")"}, {"<", ">"}, {"&lt;", "&gt;"}} {
		opened := strings.Count(middle, pair[0])
		if opened <= strings.Count(middle, pair[1]) {
			continue
		}
		for range min(opened, strings.Count(tail, pair[1])) {
			end := strings.Index(tail, pair[1]) + len(pair[1])
			middle, tail = middle+tail[:end], tail[end:]
		}
	}
	return head + l.link(middle) + tail
}

func (l *linker) link(s string) string {
	switch mail, isMail := strings.CutPrefix(s, "mailto:"); {
	case l.re.http.MatchString(s):
		href := s
		if !strings.HasPrefix(s, "https://") && !strings.HasPrefix(s, "http://") {
			href = "https://" + s
		}
		return `<a href="` + href + `"` + l.attrs + ">" + l.shown(s) + "</a>"
	case isMail && l.re.email.MatchString(mail):
		return `<a href="` + s + `">` + mail + "</a>"
	case strings.Contains(s, "@") && !strings.HasPrefix(s, "www.") && !strings.HasPrefix(s, "@") &&
		!strings.Contains(s, ":") && l.re.email.MatchString(s):
		return `<a href="mailto:` + s + `">` + s + "</a>"
	}
	for _, scheme := range l.schemes {
		if s != scheme && strings.HasPrefix(s, scheme) {
			s = `<a href="` + s + `"` + l.attrs + ">" + s + "</a>"
		}
	}
	return s
}

func (l *linker) shown(s string) string {
	if r := []rune(s); l.limit >= 0 && len(r) > l.limit {
		return string(r[:l.limit]) + "..."
	}
	return s
}
