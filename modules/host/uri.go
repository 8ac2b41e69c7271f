package host

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"orch/modules"
)

// URI makes an HTTP request from the host and returns the answer.
type URI struct {
	// Body of the request: text, or what body_format encodes.
	Body modules.Raw
	// How body is encoded.
	BodyFormat string `orch:"enum=form-urlencoded|json|raw|form-multipart,default=raw"`
	// File on the host to send as the body; needs remote_src.
	Src string `orch:"path"`
	// src is on the host.
	RemoteSrc bool
	// File to write the answer to, or a folder to put it in.
	Dest string `orch:"path"`
	// Method of the request.
	Method string `orch:"default=GET"`
	// Return the answer's text as content.
	ReturnContent bool
	// Which redirects are followed: safe ones are those of GET and HEAD.
	FollowRedirects string `orch:"enum=all|no|none|safe|urllib2|yes,default=safe"`
	// Do nothing if this file exists.
	Creates string `orch:"path"`
	// Do nothing unless this file exists.
	Removes string `orch:"path"`
	// Codes that mean success.
	StatusCode []int `orch:"default=200"`
	// Seconds until the request is given up.
	Timeout int `orch:"default=30"`
	// Socket to connect to instead of the URL's host.
	UnixSocket string `orch:"path"`
	URLArgs
	FileArgs
}

// URIOut is the result of uri. The answer's headers are further fields, in lower case and
// with underscores.
type URIOut struct {
	Status        int               `json:"status" orch:"after"`
	Redirected    bool              `json:"redirected" orch:"after"`
	URL           string            `json:"url"`
	Msg           string            `json:"msg" orch:"after"`
	Elapsed       int               `json:"elapsed" orch:"after"`
	Content       *string           `json:"content,omitempty" orch:"after"`
	JSON          json.RawMessage   `json:"json,omitempty" orch:"after"`
	Path          string            `json:"path,omitempty" orch:"after"`
	Cookies       map[string]string `json:"cookies" orch:"after"`
	CookiesString string            `json:"cookies_string" orch:"after"`
	PathInfo
	headers http.Header
}

// MarshalJSON implements json.Marshaler.
func (o *URIOut) MarshalJSON() ([]byte, error) {
	type plain URIOut
	text, err := jsonText((*plain)(o))
	if err != nil || o.headers == nil {
		return text, err
	}
	all := map[string]json.RawMessage{}
	for k, vals := range o.headers {
		if all[strings.ReplaceAll(strings.ToLower(k), "-", "_")], err = jsonText(strings.Join(vals, ", ")); err != nil {
			return nil, err
		}
	}
	if err := json.Unmarshal(text, &all); err != nil {
		return nil, err
	}
	return jsonText(all)
}

var upperWord = lazy(`^[A-Z]+$`)

// Validate implements modules.Validator.
func (u *URI) Validate() error {
	switch {
	case !upperWord().MatchString(strings.ToUpper(u.Method)):
		return errors.New("Parameter 'method' needs to be a single word in uppercase, like GET or POST.") //nolint:staticcheck // Ansible's words
	case u.Body != nil && u.Src != "":
		return errors.New("parameters are mutually exclusive: body|src")
	case u.Src != "" && !u.RemoteSrc:
		return errors.New("src is supported with remote_src only")
	}
	if err := u.URLArgs.validate(); err != nil {
		return err
	}
	return u.FileArgs.validate()
}

// Plan implements modules.Module.
func (u *URI) Plan(ctx context.Context, v modules.View) (plan, error) {
	u = clone(u)
	out := &URIOut{URL: u.URL, Cookies: map[string]string{}}
	p := plan{Out: out}
	if err := expand(ctx, v, &u.Dest, &u.Src, &u.Creates, &u.Removes, &u.UnixSocket); err != nil {
		return p, err
	}
	if u.Creates != "" {
		if fi, err := stat(ctx, v, u.Creates); err != nil || fi != nil {
			p.Msg = fmt.Sprintf("skipped, since '%s' exists", u.Creates)
			return p, err
		}
	}
	if u.Removes != "" {
		if fi, err := stat(ctx, v, u.Removes); err != nil || fi == nil {
			p.Msg = fmt.Sprintf("skipped, since '%s' does not exist", u.Removes)
			return p, err
		}
	}
	if u.FollowRedirects == "yes" || u.FollowRedirects == "no" {
		p.Warnings = append(p.Warnings, "Using 'yes' or 'no' for 'follow_redirects' parameter is deprecated.")
	}
	p.Steps = []step{{Title: strings.ToUpper(u.Method) + " " + u.URL, Effect: modules.Act, Do: func(ctx context.Context, t modules.Target) (bool, error) {
		return u.request(ctx, t, out)
	}}}
	return p, nil
}

func (u *URI) follow() func(code int, method string) bool {
	switch u.FollowRedirects {
	case "all", "yes":
		return nil
	case "no", "none":
		return func(int, string) bool { return false }
	case "urllib2":
		return func(code int, method string) bool {
			return method == "GET" || method == "HEAD" || method == "POST" && code <= http.StatusSeeOther
		}
	}
	return func(_ int, method string) bool { return method == "GET" || method == "HEAD" }
}

func (u *URI) request(ctx context.Context, t modules.Target, out *URIOut) (bool, error) {
	f, err := u.fetcher(ctx, t)
	if err != nil {
		return false, err
	}
	f.Timeout, f.UnixSocket, f.Method, f.Follow = u.Timeout, u.UnixSocket, strings.ToUpper(u.Method), u.follow()
	if err := u.encode(ctx, t, f); err != nil {
		return false, err
	}
	if u.Dest != "" && !u.Force {
		if fi, err := stat(ctx, t, u.Dest); err == nil && fi != nil && fi.Mode.IsRegular() {
			f.Headers["If-Modified-Since"] = fi.Mtime.UTC().Format(http.TimeFormat)
		}
	}
	start := time.Now()
	resp, err := f.do(ctx, t)
	out.Elapsed = int(time.Since(start).Seconds())
	if err != nil {
		failed := requestFailure(err)
		var fail *modules.Failure
		if !errors.As(failed, &fail) {
			return false, err
		}
		out.Status = -1
		out.Msg = fmt.Sprintf("Status code was -1 and not %s: %s", pyList(u.StatusCode), fail.Msg)
		return false, modules.Failf("%s", out.Msg)
	}
	defer func() { _ = resp.Body.Close() }() // only read
	return u.answer(ctx, t, f, resp, out)
}

func pyList(n []int) string { return strings.ReplaceAll(fmt.Sprint(n), " ", ", ") }

func (u *URI) answer(ctx context.Context, t modules.Target, f *fetcher, resp *http.Response, out *URIOut) (bool, error) {
	out.Status, out.headers = resp.StatusCode, resp.Header
	if resp.Request != nil {
		out.URL = resp.Request.URL.String()
	}
	out.Redirected = out.URL != u.URL
	var pairs []string
	for _, c := range resp.Cookies() {
		out.Cookies[c.Name] = c.Value
		pairs = append(pairs, c.Name+"="+c.Value)
	}
	out.CookiesString = strings.Join(pairs, "; ")
	length := resp.Header.Get("Content-Length")
	if length == "" {
		length = "unknown"
	}
	out.Msg = "OK (" + length + " bytes)"
	if resp.StatusCode >= 300 {
		out.Msg = fmt.Sprintf("HTTP Error %d: %s", resp.StatusCode, strings.TrimPrefix(resp.Status, fmt.Sprintf("%d ", resp.StatusCode)))
	}
	good := slices.Contains(u.StatusCode, resp.StatusCode)
	body, err := f.body(resp)
	if err != nil {
		return false, err
	}
	changed := false
	if u.Dest != "" && good && resp.StatusCode != http.StatusNotModified {
		if changed, body, err = u.save(ctx, t, resp, body, out); err != nil {
			return changed, err
		}
	}
	if isJSON(resp.Header.Get("Content-Type")) || u.ReturnContent || !good {
		data, err := io.ReadAll(io.LimitReader(body, 64<<20))
		if err != nil {
			return changed, modules.Failf("read the answer of %s: %s", u.URL, err)
		}
		if u.ReturnContent {
			text := string(data)
			out.Content = &text
		}
		if isJSON(resp.Header.Get("Content-Type")) && json.Valid(data) {
			out.JSON = data
		}
	}
	if !good {
		out.Msg = fmt.Sprintf("Status code was %d and not %s: %s", resp.StatusCode, pyList(u.StatusCode), out.Msg)
		return changed, modules.Failf("%s", out.Msg)
	}
	return changed, nil
}

// isJSON says whether a type may be JSON: json, javascript, or a +json.
func isJSON(contentType string) bool {
	kind, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		return false
	}
	_, sub, _ := strings.Cut(kind, "/")
	if _, suffix, ok := strings.Cut(sub, "+"); ok {
		sub = suffix
	}
	return sub == "json" || sub == "javascript"
}

// save writes the answer to dest if it differs, and gives the content back to be read again.
func (u *URI) save(ctx context.Context, t modules.Target, resp *http.Response, body io.Reader, out *URIOut) (bool, io.ReadCloser, error) {
	data, err := io.ReadAll(body)
	if err != nil {
		return false, nil, modules.Failf("read the answer of %s: %s", u.URL, err)
	}
	again := io.NopCloser(bytes.NewReader(data))
	dest := u.Dest
	if fi, err := stat(ctx, t, dest); err != nil {
		return false, again, err
	} else if fi != nil && fi.Mode.IsDir() {
		name := attachment(resp)
		if name == "" {
			name = "index.html"
		}
		dest = path.Join(dest, name)
	}
	out.Path = dest
	if now, err := t.Checksum(ctx, dest, "sha1"); err != nil || now != sha1Hex(data) {
		w := &rewrite{FileArgs: u.FileArgs, path: dest, data: data}
		if _, err := w.do(ctx, t); err != nil {
			return false, again, err
		}
	} else if _, err := u.apply(ctx, t, dest); err != nil {
		return false, again, err
	}
	// As in Ansible, writing dest is a change whatever it held before.
	return true, again, out.fill(ctx, t, dest)
}

func (u *URI) encode(ctx context.Context, v modules.View, f *fetcher) (err error) {
	if u.Src != "" {
		data, err := v.ReadFile(ctx, u.Src)
		if err != nil {
			return modules.Failf("Unable to open source file %s", u.Src)
		}
		f.Body = string(data)
		return nil
	}
	kind := ""
	var text string
	isText := json.Unmarshal(u.Body, &text) == nil && len(u.Body) > 0 && u.Body[0] == '"'
	switch {
	case u.BodyFormat == "json":
		kind = "application/json"
		f.Body = text
		if !isText && u.Body != nil {
			f.Body = string(u.Body)
		}
	case u.BodyFormat == "form-urlencoded":
		kind = "application/x-www-form-urlencoded"
		f.Body = text
		if !isText && u.Body != nil {
			f.Body, err = formBody(u.Body)
		}
	case u.BodyFormat == "form-multipart":
		var header string
		f.Body, header, err = multipartBody(ctx, v, u.Body)
		f.Headers["Content-Type"] = header
	case isText:
		f.Body = text
	default:
		f.Body = string(u.Body)
	}
	given := false
	for k := range f.Headers {
		given = given || strings.EqualFold(k, "content-type")
	}
	if kind != "" && !given {
		f.Headers["Content-Type"] = kind
	}
	return err
}

// members lists a JSON object's members, or an array's pairs, in order.
func members(raw []byte) (names []string, vals []json.RawMessage, err error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	open, err := dec.Token()
	if err != nil {
		return nil, nil, err
	}
	for dec.More() {
		var val json.RawMessage
		if open == json.Delim('{') {
			key, err := dec.Token()
			if err != nil {
				return nil, nil, err
			}
			if err := dec.Decode(&val); err != nil {
				return nil, nil, err
			}
			names, vals = append(names, fmt.Sprint(key)), append(vals, val)
			continue
		}
		var pair []json.RawMessage
		if err := dec.Decode(&pair); err != nil || len(pair) != 2 {
			return nil, nil, errors.New("too many values to unpack (expected 2)")
		}
		names, vals = append(names, scalar(pair[0])), append(vals, pair[1])
	}
	return names, vals, nil
}

// scalar is a JSON scalar as text, as Python's str() has it.
func scalar(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	switch string(raw) {
	case "true":
		return "True"
	case "false":
		return "False"
	}
	return string(raw)
}

func formBody(raw []byte) (string, error) {
	names, vals, err := members(raw)
	if err != nil {
		return "", modules.Failf("failed to parse body as form_urlencoded: %s", err)
	}
	var parts []string
	for i, name := range names {
		items := []json.RawMessage{vals[i]}
		var list []json.RawMessage
		if json.Unmarshal(vals[i], &list) == nil && vals[i][0] == '[' {
			items = list
		}
		for _, item := range items {
			if string(item) != "null" {
				parts = append(parts, url.QueryEscape(name)+"="+url.QueryEscape(scalar(item)))
			}
		}
	}
	return strings.Join(parts, "&"), nil
}

func multipartBody(ctx context.Context, v modules.View, raw []byte) (body, contentType string, err error) {
	names, vals, err := members(raw)
	if err != nil {
		return "", "", modules.Failf("failed to parse body as form-multipart: %s", err)
	}
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for i, name := range names {
		var part struct {
			Filename string `json:"filename"`
			Content  string `json:"content"`
			MimeType string `json:"mime_type"`
		}
		if vals[i][0] != '{' {
			if err := w.WriteField(name, scalar(vals[i])); err != nil {
				return "", "", err
			}
			continue
		}
		if err := json.Unmarshal(vals[i], &part); err != nil {
			return "", "", modules.Failf("failed to parse body as form-multipart: %s: %s", name, err)
		}
		head := textproto.MIMEHeader{}
		disposition := map[string]string{"name": name}
		if part.Filename != "" {
			disposition["filename"] = path.Base(part.Filename)
			if part.Content == "" {
				data, err := v.ReadFile(ctx, part.Filename)
				if err != nil {
					return "", "", fileFailure(err)
				}
				part.Content = string(data)
			}
			if part.MimeType == "" {
				part.MimeType = "application/octet-stream"
			}
		}
		head.Set("Content-Disposition", mime.FormatMediaType("form-data", disposition))
		if part.MimeType != "" {
			head.Set("Content-Type", part.MimeType)
		}
		field, err := w.CreatePart(head)
		if err != nil {
			return "", "", err
		}
		if _, err := io.WriteString(field, part.Content); err != nil {
			return "", "", err
		}
	}
	return b.String(), w.FormDataContentType(), w.Close()
}
