package run

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"orch/playbook/jinja/value"
)

// Mask is what stands for a secret in whatever leaves a run.
const Mask = "********"

// minSecret is the length of the shortest text that is masked: what is shorter is in
// half of all words.
const minSecret = 4

// A Redactor knows the secrets of a run and masks them in text: as they are, line by
// line, and as they look quoted for a shell, in JSON, in a Python string, in a URL or in
// base64. It is safe for concurrent use. Masking takes time linear in the text.
type Redactor struct {
	mu      sync.Mutex
	known   map[string]bool // secrets as added
	forms   map[string]bool // all their forms
	dirty   bool
	matcher atomic.Pointer[matcher]
	any     atomic.Bool
}

// NewRedactor makes a Redactor that knows no secrets.
func NewRedactor() *Redactor {
	return &Redactor{known: map[string]bool{}, forms: map[string]bool{}}
}

// Add makes texts secrets. Very short ones, and words such as "true", are not: masking
// them would hide everything else.
func (r *Redactor) Add(secrets ...string) {
	for _, s := range secrets {
		if !worthMasking(s) {
			continue
		}
		r.mu.Lock()
		if !r.known[s] {
			r.known[s] = true
			for _, form := range formsOf(s) {
				r.forms[form] = true
			}
			r.dirty = true
			r.any.Store(true)
		}
		r.mu.Unlock()
	}
}

func worthMasking(s string) bool {
	if len(strings.TrimSpace(s)) < minSecret {
		return false
	}
	switch strings.ToLower(strings.TrimSpace(s)) {
	case "true", "false", "none", "null", "root", "localhost":
		return false
	}
	return true
}

// formsOf lists how a secret may look.
func formsOf(s string) []string {
	texts := []string{s}
	if trimmed := strings.TrimSpace(s); trimmed != s {
		texts = append(texts, trimmed)
	}
	if strings.ContainsAny(s, "\r\n") {
		for line := range strings.Lines(s) {
			// A short line of a long secret (a brace, an END mark) is no secret of its own.
			if line = strings.TrimSpace(line); len(line) >= 8 && !strings.HasPrefix(line, "-----") {
				texts = append(texts, line)
			}
		}
	}
	var out []string
	add := func(form string) {
		if len(form) >= minSecret && !slices.Contains(out, form) {
			out = append(out, form)
		}
	}
	for _, t := range texts {
		add(t)
		for _, form := range escapes(t) {
			add(form)
		}
		for _, form := range base64Forms(t) {
			if len(form) >= 6 {
				add(form)
			}
		}
	}
	return out
}

// escapes are a text inside quotes of several kinds.
func escapes(t string) []string {
	quoted := jsonText(t)
	return []string{
		strings.ReplaceAll(t, `'`, `'"'"'`), strings.ReplaceAll(t, `'`, `'\''`),
		quoted, jsonText(quoted), htmlJSON(t), jsonText(htmlJSON(t)), htmlJSON(htmlJSON(t)), pythonText(t, `'`), pythonText(t, `"`),
		strings.Trim(strconv.Quote(t), `"`), strings.Trim(strconv.QuoteToASCII(t), `"`),
		url.QueryEscape(t), url.PathEscape(t), strings.ReplaceAll(url.QueryEscape(t), "+", "%20"),
		strings.ReplaceAll(t, "\n", "\r\n"),
	}
}

func jsonText(t string) string {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if enc.Encode(t) != nil {
		return t
	}
	text := strings.TrimSuffix(b.String(), "\n")
	return text[1 : len(text)-1]
}

func htmlJSON(t string) string {
	b, err := json.Marshal(t)
	if err != nil {
		return t
	}
	return string(b[1 : len(b)-1])
}

func pythonText(t, quote string) string {
	return strings.NewReplacer(`\`, `\\`, "\n", `\n`, "\r", `\r`, "\t", `\t`, quote, `\`+quote).Replace(t)
}

// base64Forms are the parts of base64 text that show the secret wherever in the encoded
// bytes it begins: the characters at its ends depend on its neighbours and are left out.
func base64Forms(t string) []string {
	var out []string
	for _, enc := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding} {
		for shift := range 3 {
			text := enc.EncodeToString([]byte(strings.Repeat("\x00", shift) + t))
			text = strings.TrimRight(text, "=")
			from := (shift*8 + 5) / 6
			to := (shift + len(t)) * 8 / 6
			if from < to && to <= len(text) {
				out = append(out, text[from:to])
			}
		}
	}
	return out
}

// A matcher finds texts by their first bytes, longest first.
type matcher struct {
	byHead map[[minSecret]byte][]string
	// heads has a bit for every head: most places of a text are passed over by it alone.
	heads [1 << 13]byte
}

func headHash(s string) uint32 {
	h := uint32(s[0]) | uint32(s[1])<<8 | uint32(s[2])<<16 | uint32(s[3])<<24
	return h * 2654435761 >> 16
}

func newMatcher(forms map[string]bool) *matcher {
	m := &matcher{byHead: map[[minSecret]byte][]string{}}
	for form := range forms {
		key := [minSecret]byte([]byte(form[:minSecret]))
		m.byHead[key] = append(m.byHead[key], form)
		h := headHash(form)
		m.heads[h>>3] |= 1 << (h & 7)
	}
	for _, list := range m.byHead {
		slices.SortFunc(list, func(a, b string) int { return len(b) - len(a) })
	}
	return m
}

// at returns the length of the secret that begins at the start of s; 0 for none.
func (m *matcher) at(s string) int {
	h := headHash(s)
	if m.heads[h>>3]&(1<<(h&7)) == 0 {
		return 0
	}
	for _, form := range m.byHead[[minSecret]byte([]byte(s[:minSecret]))] {
		if strings.HasPrefix(s, form) {
			return len(form)
		}
	}
	return 0
}

func (r *Redactor) current() *matcher {
	if !r.any.Load() {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.dirty {
		r.matcher.Store(newMatcher(r.forms))
		r.dirty = false
	}
	return r.matcher.Load()
}

// Mask masks all secrets in text.
func (r *Redactor) Mask(text string) string {
	if r == nil {
		return text
	}
	return maskURL(r.current().mask(text))
}

func (m *matcher) mask(text string) string {
	if m == nil || len(text) < minSecret {
		return text
	}
	var out strings.Builder
	from := 0
	for i := 0; i+minSecret <= len(text); {
		n := m.at(text[i:])
		if n == 0 {
			i++
			continue
		}
		out.WriteString(text[from:i])
		out.WriteString(Mask)
		i += n
		from = i
	}
	if from == 0 {
		return text
	}
	out.WriteString(text[from:])
	return out.String()
}

// maskURL masks the password of URLs: scheme://user:password@host.
func maskURL(text string) string {
	for at := 0; ; {
		i := strings.Index(text[at:], "://")
		if i < 0 {
			return text
		}
		at += i + len("://")
		end := strings.IndexAny(text[at:], "/ \t\n\"'<>?#`")
		if end < 0 {
			end = len(text) - at
		}
		authority := text[at : at+end]
		host := strings.LastIndexByte(authority, '@')
		colon := strings.IndexByte(authority, ':')
		if host < 0 || colon < 0 || colon+1 >= host || authority[colon+1:host] == Mask || strings.Contains(authority[:host], "{{") {
			continue
		}
		text = text[:at+colon+1] + Mask + text[at+host:]
	}
}

// Value masks the strings of v; v itself is not changed, and returned when there is
// nothing to mask.
func (r *Redactor) Value(v value.Value) value.Value {
	if r == nil || v == nil {
		return v
	}
	switch v := v.(type) {
	case value.Str:
		if s := r.Mask(v.S); s != v.S {
			return value.S(s)
		}
	case value.Markup:
		if s := r.Mask(string(v)); s != string(v) {
			return value.S(s)
		}
	case value.Bytes:
		if s := r.Mask(string(v)); s != string(v) {
			return value.Bytes(s)
		}
	case *value.List:
		if items, changed := r.values(v.Items); changed {
			return value.NewList(items...)
		}
	case value.Tuple:
		if items, changed := r.values(v); changed {
			return value.Tuple(items)
		}
	case *value.Dict:
		return r.dict(v)
	case *partial:
		return r.dict(v.Dict)
	}
	return v
}

func (r *Redactor) values(items []value.Value) ([]value.Value, bool) {
	var out []value.Value
	for i, item := range items {
		got := r.Value(item)
		if out == nil && !same(got, item) {
			out = append(make([]value.Value, 0, len(items)), items[:i]...)
		}
		if out != nil {
			out = append(out, got)
		}
	}
	return out, out != nil
}

func (r *Redactor) dict(d *value.Dict) *value.Dict {
	if d == nil {
		return nil
	}
	changed := false
	for k, v := range d.All() {
		if !same(r.Value(k), k) || !same(r.Value(v), v) {
			changed = true
			break
		}
	}
	if !changed {
		return d
	}
	out := value.NewDict(d.Len())
	for k, v := range d.All() {
		_ = out.Set(r.Value(k), r.Value(v)) // a masked key is a string
	}
	return out
}

// same says whether masking left a value as it was.
func same(a, b value.Value) bool {
	switch a := a.(type) {
	case value.Str:
		b, ok := b.(value.Str)
		return ok && a.S == b.S
	case value.Markup:
		b, ok := b.(value.Markup)
		return ok && a == b
	case value.Bytes:
		b, ok := b.(value.Bytes)
		return ok && a == b
	case value.Tuple:
		b, ok := b.(value.Tuple)
		return ok && len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
	case *value.List:
		return value.Value(a) == b
	case *value.Dict:
		return value.Value(a) == b
	}
	return true // other values hold no text
}
