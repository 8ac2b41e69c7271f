package container

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"sigs.k8s.io/yaml"

	"orch/modules"
	"orch/modules/control"
	"orch/modules/schema"
	"orch/playbook/jinja/value"
	"orch/testdata/lab/labtest"
)

var update = flag.Bool("update", false, "write what the cases under testdata/cases yield into them")

// A dialSite is the engine that runs a task, as far as these modules look at it: a host
// whose socket is reached by dial.
type dialSite struct {
	control.Target
	dial  func(ctx context.Context, network, addr string) (net.Conn, error)
	o     modules.Options
	lines []string
}

func (s *dialSite) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	return s.dial(ctx, network, addr)
}
func (s *dialSite) Host() string                          { return "h1" }
func (s *dialSite) Check() bool                           { return s.o.Check }
func (s *dialSite) Find(_, name string) (string, error)   { return name, nil }
func (s *dialSite) Emit(line string)                      { s.lines = append(s.lines, line) }
func (s *dialSite) Var(string) (value.Value, bool, error) { return nil, false, nil }

// runTask runs "module: arguments" as a playbook would.
func runTask(t *testing.T, w *World, s *dialSite, task string) modules.Result {
	t.Helper()
	var given map[string]any
	if err := yaml.Unmarshal([]byte(task), &given); err != nil || len(given) != 1 {
		t.Fatalf("a task is one module (%v):\n%s", err, task)
	}
	table := schema.Table{World: schema.Container, Entries: Modules(), Source: Source}
	for module, args := range given {
		args, _ := args.(map[string]any)
		return labtest.Run(t, table, w, s, s.o, module, args)
	}
	return modules.Result{}
}

// An engine answers as it is told to, line by line: METHOD PATH STATUS BODY. Lines of the
// same request are given one after the other, the last one stays.
type engine struct {
	mu      sync.Mutex
	answers map[string][]answer
	changes []string // requests that could change something, with their bodies
	unknown []string
}

type answer struct {
	status int
	body   string
}

var versioned = regexp.MustCompile(`^/v[0-9.]+/`)

// bodyLines breaks a body into lines at \n; \\n is JSON's own.
var bodyLines = strings.NewReplacer(`\\n`, `\n`, `\n`, "\n")

func newEngine(t *testing.T, script string) *engine {
	t.Helper()
	e := &engine{answers: map[string][]answer{}}
	for line := range strings.Lines(script) {
		if strings.TrimSpace(line) == "" {
			continue
		}
		var method, path string
		var status int
		n, err := fmt.Sscan(line, &method, &path, &status)
		if err != nil {
			t.Fatalf("%d words of %q: %v", n, line, err)
		}
		_, body, _ := strings.Cut(line, fmt.Sprintf(" %d ", status))
		key := method + " " + path
		e.answers[key] = append(e.answers[key], answer{status, bodyLines.Replace(strings.TrimSpace(body))})
	}
	return e
}

func (e *engine) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	w.Header().Set("Api-Version", "1.41")
	path := "/" + versioned.ReplaceAllString(r.URL.Path, "")
	path = strings.Replace(path, "//", "/", 1)
	if path == "/_ping" {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		line := r.Method + " " + path
		if q := r.URL.Query(); len(q) > 0 {
			q.Del("labels") // the hash of a build context
			line += "?" + q.Encode()
		}
		if r.Header.Get("Content-Type") == "application/json" {
			line += " " + strings.TrimSpace(string(body))
		}
		e.changes = append(e.changes, line)
	}
	key := r.Method + " " + path
	list := e.answers[key]
	if len(list) == 0 {
		e.unknown = append(e.unknown, key)
		http.Error(w, `{"message":"not in the script"}`, http.StatusInternalServerError)
		return
	}
	if len(list) > 1 {
		e.answers[key] = list[1:]
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(list[0].status)
	_, _ = io.WriteString(w, list[0].body)
}

// serve starts the engine and returns the way to its socket.
func (e *engine) serve(t *testing.T) func(ctx context.Context, network, addr string) (net.Conn, error) {
	server := httptest.NewServer(e)
	t.Cleanup(server.Close)
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		if network != "unix" || addr != "/var/run/docker.sock" {
			return nil, fmt.Errorf("dialled %s %s", network, addr)
		}
		var d net.Dialer
		return d.DialContext(ctx, "tcp", server.Listener.Addr().String())
	}
}

// Every case runs twice, as a check and for real, and says what both came to.
func TestCases(t *testing.T) {
	files, err := filepath.Glob("testdata/cases/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			t.Setenv("HOME", dir)
			t.Setenv("DOCKER_CONFIG", "")
			parts := map[string]string{}
			want := -1
			for i, f := range archive.Files {
				parts[f.Name] = string(f.Data)
				if f.Name == "want" {
					want = i
				}
				if name, ok := strings.CutPrefix(f.Name, "controller/"); ok {
					path := filepath.Join(dir, name)
					if err := errorsJoin(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, f.Data, 0o644)); err != nil {
						t.Fatal(err)
					}
				}
			}
			task := strings.ReplaceAll(parts["task.yml"], "DIR", dir)
			var got strings.Builder
			for _, o := range []modules.Options{{Check: true, Diff: true}, {Diff: true}} {
				e := newEngine(t, parts["engine"])
				w := &World{}
				s := &dialSite{dial: e.serve(t), o: o}
				res := runTask(t, w, s, task)
				_ = w.Close()
				if o.Check && len(e.changes) > 0 {
					t.Errorf("a check asked for %q", e.changes)
				}
				if len(e.unknown) > 0 {
					t.Errorf("not in the script: %q", e.unknown)
				}
				tell(&got, o.Check, res, e.changes, s.lines)
			}
			text := strings.ReplaceAll(got.String(), dir, "DIR")
			if *update {
				if want < 0 {
					archive.Files = append(archive.Files, txtar.File{Name: "want"})
					want = len(archive.Files) - 1
				}
				archive.Files[want].Data = []byte(text)
				if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if text != parts["want"] {
				t.Errorf("got:\n%s\nwant:\n%s", text, parts["want"])
			}
		})
	}
}

func errorsJoin(list ...error) error {
	for _, err := range list {
		if err != nil {
			return err
		}
	}
	return nil
}

// tell writes what a run came to.
func tell(w io.Writer, check bool, res modules.Result, changes, lines []string) {
	state := "unchanged"
	switch {
	case res.Failure != nil:
		state = "failed"
	case res.Changed:
		state = "changed"
	case res.Maybe:
		state = "may change"
	}
	fmt.Fprintf(w, "%s: %s\n", map[bool]string{true: "check", false: "run"}[check], state)
	if f := res.Failure; f != nil {
		for _, s := range []string{f.Msg, f.Hint} {
			for line := range strings.Lines(s) {
				fmt.Fprintf(w, "  ! %s\n", strings.TrimSpace(line))
			}
		}
	}
	for _, msg := range append(slices.Clone(res.Warnings), res.Msg) {
		if msg != "" {
			fmt.Fprintf(w, "  ~ %s\n", msg)
		}
	}
	if check {
		for _, s := range res.Steps {
			fmt.Fprintf(w, "  step: %s\n", s.Title)
			if s.Diff != nil && s.Diff.Before+s.Diff.After != "" {
				for line := range strings.Lines(s.Diff.Before) {
					fmt.Fprintf(w, "    - %s\n", strings.TrimRight(line, "\n"))
				}
				for line := range strings.Lines(s.Diff.After) {
					fmt.Fprintf(w, "    + %s\n", strings.TrimRight(line, "\n"))
				}
			}
		}
		if len(res.Unknown) > 0 {
			fmt.Fprintf(w, "  known after the run: %s\n", strings.Join(res.Unknown, ", "))
		}
		return
	}
	for _, line := range changes {
		fmt.Fprintf(w, "  > %s\n", compact(line))
	}
	for _, line := range lines {
		fmt.Fprintf(w, "  . %s\n", line)
	}
	if len(res.Out) > 0 {
		fmt.Fprintf(w, "  out: %s\n", compact(string(res.Out)))
	}
}

// compact drops what an API struct says of fields nobody set.
func compact(line string) string {
	i := strings.IndexByte(line, '{')
	if i < 0 {
		return line
	}
	var v any
	if json.Unmarshal([]byte(line[i:]), &v) != nil {
		return line
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(pruned(v))
	return line[:i] + strings.TrimSpace(b.String())
}

func pruned(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, item := range v {
			switch p := pruned(item).(type) {
			case nil:
				delete(v, k)
			default:
				v[k] = p
			}
		}
		if len(v) == 0 {
			return nil
		}
	case []any:
		if len(v) == 0 {
			return nil
		}
		for i, item := range v {
			v[i] = pruned(item)
		}
	case string:
		if v == "" {
			return nil
		}
	case float64:
		if v == 0 {
			return nil
		}
	case bool:
		if !v {
			return nil
		}
	}
	return v
}

// A host that cannot be reached, and a socket that the user may not open.
func TestUnreachableEngine(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"nothing listens": {&net.OpError{Op: "dial", Net: "unix", Err: os.ErrNotExist}, "cannot reach the container engine"},
		"not allowed":     {&net.OpError{Op: "dial", Net: "unix", Err: os.ErrPermission}, "permission denied"},
	} {
		t.Run(name, func(t *testing.T) {
			s := &dialSite{dial: func(context.Context, string, string) (net.Conn, error) { return nil, c.err }}
			res := runTask(t, &World{}, s, `docker_host_info: {}`)
			if res.Failure == nil || !strings.Contains(res.Failure.Msg, c.want) {
				t.Errorf("failure %+v, want %q", res.Failure, c.want)
			}
		})
	}
}

// A connection that breaks in the middle of an answer is a failure, never a success.
func TestBrokenStream(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				for r := bufio.NewReader(conn); ; {
					req, err := http.ReadRequest(r)
					if err != nil {
						return
					}
					switch {
					case strings.HasSuffix(req.URL.Path, "/_ping"):
						fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nContent-Length: 0\r\n\r\n")
					case req.Method == http.MethodPost:
						fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{\"status\":\"Pulling\"}\n{\"sta")
						return
					default:
						fmt.Fprint(conn, "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}")
					}
				}
			}()
		}
	}()
	s := &dialSite{dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "tcp", l.Addr().String())
	}}
	res := runTask(t, &World{}, s, `docker_image: {name: web, source: pull}`)
	if res.Failure == nil || !strings.Contains(res.Failure.Msg, "read the engine's answer") {
		t.Errorf("failure %+v", res.Failure)
	}
}

// In a check run a task may need the image that an earlier one would have made.
func TestCheckGoesOn(t *testing.T) {
	e := newEngine(t, `
GET /images/app:1/json 404 {"message":"No such image"}
GET /images/r.example/app:1/json 404 {"message":"No such image"}
GET /containers/app/json 404 {"message":"No such container"}`)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte("FROM scratch\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	w, s := &World{}, &dialSite{dial: e.serve(t), o: modules.Options{Check: true}}
	for _, task := range []string{
		`docker_image: {name: app, tag: "1", source: build, build: {path: ` + dir + `}}`,
		`docker_container: {name: app, image: "app:1", pull: never}`,
		`docker_image: {name: app, tag: "1", source: local, repository: r.example/app, push: true}`,
		`docker_image: {name: r.example/app, tag: "1", source: local, push: true}`,
	} {
		if res := runTask(t, w, s, task); res.Failure != nil || !res.Changed && !res.Maybe {
			t.Errorf("%+v\n%s", res, task)
		}
	}
	res := runTask(t, &World{}, s, `docker_container: {name: app, image: "app:1", pull: never}`)
	if res.Failure == nil || len(e.changes) > 0 {
		t.Errorf("%+v, asked for %q", res, e.changes)
	}
}
