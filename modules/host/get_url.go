package host

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"

	"orch/modules"
)

// GetURL downloads a file to the host.
//
// Without checksum or force the server is asked whether the file is newer than what is
// there.
type GetURL struct {
	// File to write, or a folder to put it in.
	Dest string `orch:"required,path"`
	// Keep a copy of the file that is replaced.
	Backup bool
	// ALGORITHM:HEX, or ALGORITHM:URL of a list of checksums. A file that has it already is
	// not downloaded.
	Checksum string
	// Folder for the temporary file.
	TmpDest string `orch:"path"`
	// Seconds until the request is given up.
	Timeout int `orch:"default=10"`
	URLArgs
	FileArgs
}

// Validate implements modules.Validator.
func (g *GetURL) Validate() error {
	algo, _, ok := strings.Cut(g.Checksum, ":")
	switch {
	case g.Checksum != "" && !ok:
		return errors.New("The checksum parameter has to be in format <algorithm>:<checksum>") //nolint:staticcheck // Ansible's words
	case g.Checksum != "" && digestOf[algo] == 0:
		return fmt.Errorf("checksum algorithm %q is not supported: use md5, sha1, sha224, sha256, sha384 or sha512", algo)
	}
	if err := g.URLArgs.validate(); err != nil {
		return err
	}
	return g.FileArgs.validate()
}

// digestOf is the length in hex digits of each algorithm's checksum.
var digestOf = map[string]int{"md5": 32, "sha1": 40, "sha224": 56, "sha256": 64, "sha384": 96, "sha512": 128}

// GetURLOut is the result of get_url.
type GetURLOut struct {
	URL          string  `json:"url"`
	Dest         string  `json:"dest"`
	Src          string  `json:"src,omitempty" orch:"after"`
	ChecksumSrc  *string `json:"checksum_src" orch:"after"`
	ChecksumDest *string `json:"checksum_dest"`
	MD5Sum       string  `json:"md5sum,omitempty" orch:"after"`
	BackupFile   string  `json:"backup_file,omitempty"`
	Elapsed      int     `json:"elapsed"`
	StatusCode   int     `json:"status_code,omitempty" orch:"after"`
	Msg          string  `json:"msg,omitempty" orch:"after"`
	PathInfo
}

// Plan implements modules.Module.
func (g *GetURL) Plan(ctx context.Context, v modules.View) (plan, error) {
	g = clone(g)
	if err := expand(ctx, v, &g.Dest, &g.TmpDest); err != nil {
		return plan{}, err
	}
	out := &GetURLOut{URL: g.URL, Dest: g.Dest}
	p := plan{Out: out}
	fi, err := stat(ctx, v, g.Dest)
	if err != nil {
		return p, err
	}
	dir := fi != nil && fi.Mode.IsDir()
	if dir { // the server may know a better name, which a download tells
		g.Dest = path.Join(g.Dest, urlFile(g.URL))
		out.Dest = g.Dest
		if fi, err = stat(ctx, v, g.Dest); err != nil {
			return p, err
		}
	}
	same, err := g.same(ctx, v, fi != nil, out)
	if err != nil {
		return p, err
	}
	if same {
		if p.Steps, err = g.attrSteps(ctx, v, g.Dest); err != nil {
			return p, err
		}
		out.Msg = "file already exists"
		if len(p.Steps) > 0 {
			out.Msg += " but file attributes changed"
		}
	} else {
		effect := modules.Change
		if fi != nil && g.Checksum == "" && !strings.HasPrefix(g.URL, "file:") {
			effect = modules.Maybe
		}
		p.Steps = []step{{Title: "download " + g.URL + " to " + g.Dest, Effect: effect, Do: func(ctx context.Context, t modules.Target) (bool, error) {
			return g.download(ctx, t, fi, dir, out)
		}}}
	}
	return p, finish(ctx, v, &p, func(ctx context.Context, v modules.View) error { return out.fill(ctx, v, out.Dest) })
}

// same says whether the file is known to be right without a download.
func (g *GetURL) same(ctx context.Context, v modules.View, exists bool, out *GetURLOut) (bool, error) {
	if !exists {
		return false, nil
	}
	if src, ok := strings.CutPrefix(g.URL, "file://"); ok && g.Checksum == "" {
		a, err := v.Checksum(ctx, g.Dest, "sha1")
		if err != nil {
			return false, fileFailure(err)
		}
		b, err := v.Checksum(ctx, src, "sha1")
		if err != nil {
			return false, nil // the download says what is wrong
		}
		out.ChecksumDest, out.ChecksumSrc = &a, &b
		return a == b, nil
	}
	if g.Checksum == "" || g.Force {
		return false, nil
	}
	algo, want, err := g.checksum(ctx, v)
	if err != nil {
		return false, err
	}
	have, err := v.Checksum(ctx, g.Dest, algo)
	if err != nil {
		return false, fileFailure(err)
	}
	return have == want, nil
}

var notWord = lazy(`\W+`)

// checksum is the algorithm and the hex digest asked for, looked up where it is a URL.
func (g *GetURL) checksum(ctx context.Context, v modules.View) (algo, digest string, err error) {
	algo, digest, _ = strings.Cut(g.Checksum, ":")
	if strings.Contains(digest, "://") {
		list, err := g.list(ctx, v, digest)
		if err != nil {
			return "", "", err
		}
		if digest = lookup(list, urlFile(g.URL)); digest == "" {
			_, from, _ := strings.Cut(g.Checksum, ":")
			return "", "", modules.Failf("Unable to find a checksum for file '%s' in '%s'", urlFile(g.URL), from)
		}
	}
	digest = strings.ToLower(notWord().ReplaceAllString(digest, ""))
	if _, err := hex.DecodeString(digest); err != nil || digest == "" {
		return "", "", modules.Failf("The checksum format is invalid")
	}
	return algo, digest, nil
}

func (g *GetURL) list(ctx context.Context, v modules.View, from string) (string, error) {
	f, err := g.fetcher(ctx, v)
	if err != nil {
		return "", err
	}
	f.URL, f.Timeout = from, g.Timeout
	resp, err := f.do(ctx, v)
	if err != nil {
		return "", requestFailure(err)
	}
	defer func() { _ = resp.Body.Close() }() // only read
	if resp.StatusCode != http.StatusOK {
		return "", modules.Failf("Request failed")
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, 16<<20))
	return string(data), err
}

// lookup finds a file's checksum in a list: a single word, or lines of checksum and name.
func lookup(list, name string) string {
	lines := strings.Split(strings.TrimRight(list, "\n"), "\n")
	if len(lines) == 1 && len(strings.Fields(lines[0])) == 1 {
		return strings.TrimSpace(lines[0])
	}
	for _, line := range lines {
		sum, file, ok := strings.Cut(strings.TrimRight(line, "\r"), " ")
		if ok && (strings.HasPrefix(file, " ") || strings.HasPrefix(file, "*")) {
			file = file[1:]
		}
		if ok && strings.TrimLeft(file, "./") == name {
			return sum
		}
	}
	return ""
}

// urlFile is the file name a URL ends in.
func urlFile(s string) string {
	u, err := url.Parse(s)
	if err != nil {
		return "index.html"
	}
	if name := path.Base(u.Path); name != "/" && name != "." {
		return name
	}
	return "index.html"
}

func (g *GetURL) download(ctx context.Context, t modules.Target, fi *modules.FileInfo, dir bool, out *GetURLOut) (bool, error) {
	start := time.Now()
	defer func() { out.Elapsed = int(time.Since(start).Seconds()) }()
	f, err := g.fetcher(ctx, t)
	if err != nil {
		return false, err
	}
	f.Timeout = g.Timeout
	if fi != nil && !g.Force && g.Checksum == "" {
		f.Headers["If-Modified-Since"] = fi.Mtime.UTC().Format(http.TimeFormat)
	}
	resp, err := f.do(ctx, t)
	if err != nil {
		return false, requestFailure(err)
	}
	defer func() { _ = resp.Body.Close() }() // only read
	out.StatusCode = resp.StatusCode
	switch resp.StatusCode {
	case http.StatusNotModified:
		out.Msg = "HTTP Error 304: Not Modified"
		return false, nil
	case http.StatusOK:
	default:
		out.Msg = "Request failed"
		return false, &modules.Failure{Msg: "Request failed", Hint: fmt.Sprintf("HTTP Error %s", resp.Status)}
	}
	out.Msg = "OK (unknown bytes)"
	if resp.ContentLength >= 0 {
		out.Msg = fmt.Sprintf("OK (%d bytes)", resp.ContentLength)
	}
	if dir {
		if name := attachment(resp); name != "" {
			out.Dest = path.Join(path.Dir(g.Dest), name)
		}
	}
	return g.place(ctx, t, f, resp, out)
}

// attachment is the name the server gives the file.
func attachment(resp *http.Response) string {
	_, params, err := mime.ParseMediaType(resp.Header.Get("Content-Disposition"))
	if err == nil && params["filename"] != "" {
		return path.Base("/" + params["filename"])
	}
	if resp.Request != nil {
		return urlFile(resp.Request.URL.String())
	}
	return ""
}

// place stores the answer in a temporary file, checks it, and replaces dest if it differs.
func (g *GetURL) place(ctx context.Context, t modules.Target, f *fetcher, resp *http.Response, out *GetURLOut) (bool, error) {
	body, err := f.body(resp)
	if err != nil {
		return false, err
	}
	dir := g.TmpDest
	if dir == "" {
		if dir, err = t.TempDir(ctx); err != nil {
			return false, err
		}
	}
	tmp := path.Join(dir, "get_url."+sha1Hex([]byte(g.URL + " " + out.Dest))[:16]+".tmp")
	mode := modules.FromUnixMode(0o600)
	sum := md5.New()
	written, err := t.Write(ctx, tmp, io.TeeReader(body, sum), modules.WriteOptions{Mode: &mode})
	if err != nil {
		return false, fileFailure(err)
	}
	defer func() { _ = t.Remove(context.WithoutCancel(ctx), tmp) }() // a temporary file may stay
	out.Src, out.ChecksumSrc, out.MD5Sum = tmp, &written.Sum, hex.EncodeToString(sum.Sum(nil))
	if g.Checksum != "" {
		algo, want, err := g.checksum(ctx, t)
		if err != nil {
			return false, err
		}
		have, err := t.Checksum(ctx, tmp, algo)
		if err != nil {
			return false, fileFailure(err)
		}
		if have != want {
			return false, modules.Failf("The checksum for %s did not match %s; it was %s.", tmp, want, have)
		}
	}
	if now, err := t.Checksum(ctx, out.Dest, "sha1"); err == nil {
		out.ChecksumDest = &now
		if now == written.Sum {
			return g.apply(ctx, t, out.Dest)
		}
	}
	w := &rewrite{FileArgs: g.FileArgs, path: out.Dest, backup: g.Backup, sum: written.Sum, done: func(w modules.Written) { out.BackupFile = w.BackupFile }}
	w.open = func(ctx context.Context, t modules.Target) (io.ReadCloser, error) { return t.Open(ctx, tmp) }
	return w.do(ctx, t)
}
