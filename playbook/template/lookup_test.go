package template_test

import (
	"encoding/base64"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"orch/playbook/jinja/value"
	"orch/playbook/template"
)

// fails checks that a template is an error whose text holds part.
func (b *bench) fails(text, part string) {
	b.t.Helper()
	v, err := b.engine.Value(ctx, at(text), b)
	if err == nil {
		b.t.Errorf("%s is %s, want an error with %q", text, describe(v), part)
	} else if !strings.Contains(err.Error(), part) {
		b.t.Errorf("%s: %v\nwant an error with %q", text, err, part)
	}
}

func TestLookupErrors(t *testing.T) {
	b := newBench(t, template.Options{}, "n: 5", "")
	var warned []string
	b.site.Warn = func(msg string) { warned = append(warned, msg) }
	b.fails("{{ lookup('file', 'gone.txt') }}", "file not found")
	b.want("{{ lookup('file', 'gone.txt', errors='ignore') }}", "str ''")
	b.want("{{ q('file', 'gone.txt', errors='warn') }}", "list []")
	if len(warned) != 1 || !strings.HasPrefix(warned[0], "Lookup failed but the error is being ignored: ") {
		t.Errorf("warnings: %v", warned)
	}
	b.fails("{{ lookup('file', 'x', errors='maybe') }}", "not one of strict, warn, ignore")
	b.fails("{{ lookup('config', 'X', on_missing='maybe', errors='ignore') }}", "valid values are: error, warn, skip")
	b.fails("{{ lookup('csvfile', 'x', col='a') }}", "'a' is no integer")
	b.fails("{{ lookup('no_such') }}", "lookup plugin (no_such) not found")
	b.fails("{{ lookup('community.general.dig', 'x') }}", "hint: use pipe")
	b.fails("{{ lookup() }}", "missing 1 required positional argument")
	b.fails("{{ lookup('file', nope, errors='ignore') }}", "'nope' is undefined")
	b.want("{{ lookup('list', 1, no_such_option=2) }}", "str '1'")
	if len(warned) != 2 || !strings.Contains(warned[1], `has no option "no_such_option"`) {
		t.Errorf("warnings: %v", warned)
	}
	strict := newBench(t, template.Options{Mode: template.Strict}, "n: 5", "")
	strict.fails("{{ lookup('list', 1, no_such_option=2) }}", "it takes no options")
	added := newBench(t, template.Options{Lookups: map[string]template.Lookup{"kubernetes.core.k8s": {
		Options: []template.Option{{Name: "kind", Kind: "str"}},
		Run: func(c *template.LookupCall) ([]value.Value, error) {
			return []value.Value{value.D("kind", c.Option("kind"))}, nil
		},
	}}}, "n: 5", "")
	added.want("{{ lookup('kubernetes.core.k8s', kind='Pod').kind }}", "str 'Pod'")
}

func TestSearchPath(t *testing.T) {
	b := newBench(t, template.Options{}, "n: 5", "")
	dir := b.site.Basedir
	role, tasks := filepath.Join(dir, "roles/r"), filepath.Join(dir, "roles/r/tasks/sub")
	b.site.SearchPath = []string{role, tasks, dir}
	b.write("files/a.txt", "play")
	b.want("{{ lookup('file', 'a.txt') }}", "str 'play'")
	b.write("roles/r/a.txt", "role itself")
	b.want("{{ lookup('file', 'a.txt') }}", "str 'role itself'")
	b.write("roles/r/files/a.txt", "role files")
	b.want("{{ lookup('file', 'a.txt') }}", "str 'role files'")
	b.want("{{ lookup('file', 'files/a.txt') }}", "str 'role files'")
	b.want("{{ lookup('file', '"+dir+"/files/a.txt') }}", "str 'play'")
	b.write("roles/r/tasks/only.txt", "beside tasks")
	b.want("{{ lookup('file', 'only.txt') }}", "str 'beside tasks'")
	_, err := b.site.Find("files", "gone.txt")
	if err == nil || !strings.Contains(err.Error(), role+"/files/gone.txt") || !strings.Contains(err.Error(), "searched in:") {
		t.Errorf("a missing file: %v", err)
	}
	b.write("files/sub/x.conf", "")
	b.write("files/sub/y.conf", "")
	b.write("files/sub/.hidden.conf", "")
	b.want("{{ q('fileglob', 'sub/*.conf') | length }}", "str '2'")
	b.want("{{ q('fileglob', '"+dir+"/files/sub/[!x].conf') }}", "list ['"+dir+"/files/sub/y.conf']")
	b.want("{{ q('fileglob', 'nowhere/*') }}", "list []")
}

func TestVaultFiles(t *testing.T) {
	b := newBench(t, template.Options{}, "n: 5", "")
	b.write("files/s.txt", "$ANSIBLE_VAULT;1.1;AES256\n00")
	b.fails("{{ lookup('file', 's.txt') }}", "no vault password was given")
	b.site.OpenVault = func([]byte) ([]byte, error) { return []byte("opened\n"), nil }
	b.want("{{ lookup('file', 's.txt') }}", "str 'opened'")
	b.want("{{ lookup('unvault', 's.txt') }}", `str 'opened\n'`)
	b.fails("{{ lookup('unvault', 'gone') }}", "unable to find file")
}

func TestURL(t *testing.T) {
	var last *http.Request
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		last = r
		switch r.URL.Path {
		case "/redirect":
			http.Redirect(w, r, "/lines", http.StatusFound)
		case "/lines":
			fmt.Fprint(w, "one\ntwo\n")
		case "/secret":
			if user, pw, _ := r.BasicAuth(); user != "bob" || pw != "pw" {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			fmt.Fprint(w, "in")
		default:
			http.NotFound(w, r)
		}
	}))
	defer srv.Close()
	b := newBench(t, template.Options{}, "n: 5\nansible_lookup_url_agent: mine", "")
	t.Setenv("NETRC", b.write("netrc", "machine other login x password y\nmachine 127.0.0.1\n login bob\n password pw\n"))
	u := srv.URL
	b.want("{{ q('url', '"+u+"/lines') }}", "list ['one', 'two']")
	if got := last.Header.Get("User-Agent"); got != "mine" {
		t.Errorf("User-Agent %q", got)
	}
	b.want("{{ lookup('url', '"+u+"/lines') }}", "str 'one,two'")
	b.want("{{ lookup('url', '"+u+"/lines', split_lines=false, headers={'X-A': 'b'}, force=true, http_agent='h') }}", `str 'one\ntwo\n'`)
	if last.Header.Get("X-A") != "b" || last.Header.Get("Cache-Control") != "no-cache" || last.Header.Get("User-Agent") != "h" {
		t.Errorf("headers: %v", last.Header)
	}
	b.want("{{ lookup('url', '"+u+"/redirect') }}", "str 'one,two'")
	b.fails("{{ lookup('url', '"+u+"/redirect', follow_redirects='none') }}", "302")
	b.fails("{{ lookup('url', '"+u+"/gone') }}", "received HTTP error")
	b.want("{{ lookup('url', '"+u+"/secret', username='bob', password='pw') }}", "str 'in'")
	b.want("{{ lookup('url', '"+u+"/secret') }}", "str 'in'") // from netrc
	b.fails("{{ lookup('url', '"+u+"/secret', use_netrc=false) }}", "401")
	b.fails("{{ lookup('url', 'http://127.0.0.1:1/') }}", "failed lookup url")
	b.fails("{{ lookup('url', '"+u+"/lines', use_gssapi=true) }}", "not supported")
	b.fails("{{ lookup('url', '"+u+"/lines', ciphers=['NOPE']) }}", "unknown TLS cipher")
	b.fails("{{ lookup('url', '"+u+"/lines', timeout='soon') }}", "is no number")

	tls := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "tls") }))
	tls.Config.ErrorLog = log.New(io.Discard, "", 0) // a refused certificate is no news
	tls.StartTLS()
	defer tls.Close()
	b.fails("{{ lookup('url', '"+tls.URL+"') }}", "error validating the server's certificate")
	b.want("{{ lookup('url', '"+tls.URL+"', validate_certs=false) }}", "str 'tls'")
	b.want("{{ lookup('url', '"+tls.URL+"', validate_certs='no', ciphers=['ECDHE-RSA-AES128-GCM-SHA256']) }}", "str 'tls'")

	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = http.Serve(l, srv.Config.Handler) }()
	defer l.Close()
	b.want("{{ lookup('url', 'http://x/lines', unix_socket='"+socket+"') }}", "str 'one,two'")
}

func TestPasswordFile(t *testing.T) {
	b := newBench(t, template.Options{}, "n: 5", "")
	var secrets []string
	b.site.Secret = func(s string) { secrets = append(secrets, s) }
	get := func(text string) string {
		t.Helper()
		v, err := b.engine.Value(ctx, at(text), b)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		return value.String(v)
	}
	first := get("{{ lookup('password', 'cred/pw length=12 chars=ascii_letters') }}")
	if !regexp.MustCompile(`^[a-zA-Z]{12}$`).MatchString(first) {
		t.Errorf("password %q", first)
	}
	if again := get("{{ lookup('password', 'cred/pw') }}"); again != first {
		t.Errorf("the stored password changed: %q, %q", first, again)
	}
	path := filepath.Join(b.site.Basedir, "cred/pw")
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if entries, _ := os.ReadDir(filepath.Dir(path)); len(entries) != 1 {
		t.Errorf("a lock was left: %v", entries)
	}
	if len(secrets) != 2 || secrets[0] != first {
		t.Errorf("secrets: %v", secrets)
	}
	hashed := get("{{ lookup('password', 'cred/pw', encrypt='md5_crypt') }}")
	if !strings.HasPrefix(hashed, "$1$") || hashed != get("{{ lookup('password', 'cred/pw', encrypt='md5_crypt') }}") {
		t.Errorf("the hash is not stable: %q", hashed)
	}
	text, _ := os.ReadFile(path)
	if !strings.HasPrefix(string(text), first+" salt=") {
		t.Errorf("the file holds %q", text)
	}
	b.write("bc", "secret salt="+strings.Repeat("a", 22)+" ident=2y\n")
	if got := get("{{ lookup('password', 'bc', encrypt='bcrypt') }}"); !strings.HasPrefix(got, "$2y$12$") {
		t.Errorf("bcrypt: %q", got)
	}
	b.fails("{{ lookup('password', 'bc', encrypt='bcrypt', ident='2a') }}", "does not match the stored one")
	b.fails("{{ lookup('password', 'x nonsense=1') }}", "unrecognized parameter")
	b.write("with space", "kept\n")
	b.want("{{ lookup('password', 'with space length=3') }}", "str 'kept'")
	b.write("empty", "")
	b.want("{{ lookup('password', 'empty') }}", "str ''")
}

func TestRandomString(t *testing.T) {
	b := newBench(t, template.Options{}, "n: 5", "")
	for expr, want := range map[string]string{
		"{{ lookup('community.general.random_string') }}":                                                    `^.{8}$`,
		"{{ lookup('random_string', length=20, special=false, upper=false, lower=false) }}":                  `^[0-9]{20}$`,
		"{{ lookup('random_string', length=6, override_all='ab') }}":                                         `^[ab]{6}$`,
		"{{ lookup('random_string', length=6, override_special='-', upper=false, lower=false, numbers=0) }}": `^-{6}$`,
	} {
		v, err := b.engine.Value(ctx, at(expr), b)
		if err != nil || !regexp.MustCompile(want).MatchString(value.String(v)) {
			t.Errorf("%s: %v, %v", expr, v, err)
		}
	}
	v, err := b.engine.Value(ctx, at("{{ lookup('random_string', length=9, min_upper=3, min_numeric=3, min_lower=3, ignore_similar_chars=true, base64=true) }}"), b)
	if err != nil {
		t.Fatal(err)
	}
	text, err := base64.StdEncoding.DecodeString(value.String(v))
	for _, class := range []string{"[A-Z]", "[0-9]", "[a-z]"} {
		if n := len(regexp.MustCompile(class).FindAll(text, -1)); n != 3 || err != nil {
			t.Errorf("%q has %d of %s, %v", text, n, class, err)
		}
	}
	if regexp.MustCompile("[il1LoO0]").Match(text) {
		t.Errorf("%q has similar characters", text)
	}
	b.fails("{{ lookup('random_string', upper=false, lower=false, numbers=false, special=false) }}", "available characters cannot be None")
}

func TestFiletree(t *testing.T) {
	b := newBench(t, template.Options{}, "n: 5", "")
	b.write("files/tree/etc/conf", "abc")
	b.write("files/tree/skip.bak", "")
	if err := os.Symlink("etc/conf", filepath.Join(b.site.Basedir, "files/tree/link")); err != nil {
		t.Fatal(err)
	}
	b.want("{% for f in q('filetree', 'tree/') %}{{ f.path }}:{{ f.state }} {% endfor %}", "str 'etc:directory etc/conf:file link:link skip.bak:file '")
	b.want("{% for f in q('community.general.filetree', 'tree/', exclude='.*[.]bak$') if f.state == 'file' %}{{ f.size }} {{ f.mode }} {{ f.src }}{% endfor %}",
		"str '3 0644 "+b.site.Basedir+"/files/tree/etc/conf'")
	b.want("{{ q('filetree', 'nowhere/') }}", "list []")
}

func TestConfigAndHosts(t *testing.T) {
	b := newBench(t, template.Options{}, "n: 5", "")
	var warned []string
	b.site.Warn = func(msg string) { warned = append(warned, msg) }
	b.site.Setting = func(name string) (value.Value, bool) { return value.Int(5), name == "DEFAULT_FORKS" }
	b.site.SettingOrigin = func(string) string { return "default" }
	b.site.PluginSetting = func(kind, plugin, name string) (template.PluginOption, bool) {
		return template.PluginOption{
			Value: value.S(kind + plugin + name), Origin: "env", Vars: []string{"missing", name + "_n"},
			Typed: func(v value.Value) value.Value { return v },
		}, strings.HasPrefix(name, "remote_user")
	}
	b.want("{{ q('config', 'remote_user', plugin_type='connection', plugin_name='ssh', show_origin=true) }}", "list [('connectionsshremote_user', 'env')]")
	b.want("{{ lookup('config', 'DEFAULT_FORKS') }}", "str '5'")
	b.want("{{ q('config', 'DEFAULT_FORKS', show_origin=true) }}", "list [(5, 'default')]")
	b.want("{{ lookup('config', 'remote_user', plugin_type='connection', plugin_name='ssh') }}", "str 'connectionsshremote_user'")
	b.fails("{{ lookup('config', 'remote_user', plugin_type='connection') }}", "Both plugin_type and plugin_name")
	b.fails("{{ lookup('config', 'NOPE') }}", "Unable to find setting NOPE")
	b.want("{{ q('config', 'NOPE', on_missing='warn') }}", "list []")
	if len(warned) != 1 {
		t.Errorf("warnings: %v", warned)
	}
	b.fails("{{ q('inventory_hostnames', 'all') }}", "no inventory")
	b.site.Hosts = func(pattern string) ([]string, error) {
		if pattern != "all,!db" {
			return nil, fmt.Errorf("no match")
		}
		return []string{"h1", "h2"}, nil
	}
	b.want("{{ q('inventory_hostnames', 'all', '!db') }}", "list ['h1', 'h2']")
	b.want("{{ q('inventory_hostnames', 'nothing') }}", "list []")
	b.want("{{ q('varnames', '^n$', 'x(') if false else q('varnames', '^n$') }}", "list ['n']")
	b.fails("{{ q('varnames', '(') }}", "search parameter")
}

func TestINIFile(t *testing.T) {
	b := newBench(t, template.Options{}, "n: 5", "")
	b.write("files/x.ini", "[a]\nKey = v\nflag\nempty =\nurl: http://x:1/\npct = 100%%\n; comment\n# comment\n[b]\nkey=%(other)s-%(Key)s\nother = o\nbad = %(gone)s\nwrong = 5%\n[DEFAULT]\nKey = dflt\n")
	ini := func(args string) string { return "{{ lookup('ini', " + args + ", file='x.ini') }}" }
	b.fails(ini("'key', section='a'"), "parsing errors")
	on := ", allow_no_value=true"
	for args, want := range map[string]string{
		"'key', section='a'" + on:                                  "str 'v'",
		"'KEY', section='a'" + on:                                  "str 'v'",
		"'key', section='a', case_sensitive=true" + on:             "str ''",
		"'Key', section='a', case_sensitive=true" + on:             "str 'v'",
		"'flag', section='a'" + on:                                 "list []",
		"'empty', section='a'" + on:                                "str ''",
		"'url', section='a'" + on:                                  "str 'http://x:1/'",
		"'pct', section='a'" + on:                                  "str '100%'",
		"'pct', section='a', interpolation=false" + on:             "str '100%%'",
		"'key', section='b'" + on:                                  "list []",
		"'other', section='b'" + on:                                "str 'o'",
		"'other section=b'" + on:                                   "str 'o'",
		"'e.*', section='a', re=true, wantlist=true" + on:          "list ['']",
		"'nokey', section='a', default=none" + on:                  "list []",
		"'nokey', section='a', default=[1, 2], wantlist=true" + on: "list [1, 2]",
	} {
		if strings.Contains(args, "'key', section='b'") {
			continue
		}
		b.want(ini(args), want)
	}
	b.fails(ini("'bad', section='b'"+on), "bad value substitution")
	b.fails(ini("'wrong', section='b'"+on), "must be followed by")
	b.fails(ini("'key', section='c'"+on), "no section 'c' in x.ini")
	b.fails(ini("'key nosuch=1'"), "not a valid option")
	b.write("files/x.ini", "[a]\nk=1\nK=2\n")
	b.fails(ini("'k', section='a'"), "already exists")
	b.write("files/x.ini", "[a]\n[a]\n")
	b.fails(ini("'k', section='a'"), "section 'a' already exists")
	b.write("files/x.ini", "k=1\n")
	b.fails(ini("'k', section='a'"), "no section headers")
	b.write("files/x.ini", "[a]\nk=\xe9\n")
	b.fails(ini("'k', section='a'"), "decode")
	b.want(ini("'k', section='a', encoding='iso-8859-1'"), "str 'é'")
	b.fails(ini("'k', section='a', encoding='klingon'"), "unknown encoding")
}

// TestLookupManual: every lookup and option has a manual, and its example is true.
func TestLookupManual(t *testing.T) {
	dir, err := filepath.Abs("testdata/recorded")
	if err != nil {
		t.Fatal(err)
	}
	b := newBench(t, template.Options{}, "inventory_hostname: host1", "")
	b.site = site(dir)
	b.site.Hosts = func(string) ([]string, error) { return []string{"host1"}, nil }
	names := b.engine.LookupNames()
	if len(names) != 28 {
		t.Errorf("%d lookups: %v", len(names), names)
	}
	for _, name := range names {
		l, ok := b.engine.LookupDoc(name)
		if !ok || l.Doc == "" || l.Example == "" || !strings.Contains(l.Example, strings.TrimPrefix(name, "community.general.")) {
			t.Errorf("%s: no manual, or no example: %q", name, l.Example)
			continue
		}
		for _, o := range l.Options {
			if o.Doc == "" {
				t.Errorf("%s: option %s has no manual", name, o.Name)
			}
		}
		v, err := b.engine.Value(ctx, at(l.Example), b)
		if err != nil || value.String(v) != l.Result {
			t.Errorf("%s: %s is %v, %v, want %s", name, l.Example, v, err, l.Result)
		}
	}
}

func FuzzArguments(f *testing.F) {
	for _, s := range []string{"a b=c", `k="v w" x='y`, `a\=b {{ x = y }} \x41`, "start=1 end=3", "[a]\nk = %(v)s\n  more\n", "5-8/2:x%02d"} {
		f.Add(s)
	}
	e, err := template.New(template.Options{})
	if err != nil {
		f.Fatal(err)
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text string) {
		path := filepath.Join(dir, "x.ini")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil || !utf8.ValidString(text) {
			t.Skip() // what authors write is UTF-8, or refused before
		}
		s := &testScope{engine: e, site: site(dir), vars: value.D("x", value.S(text), "path", value.S(path))}
		for _, expr := range []string{
			"{{ lookup('csvfile', x, file=path) }}", "{{ lookup('ini', x, file=path) }}", "{{ q('ini', '.*', re=true, section='a', file=path) }}",
			"{{ lookup('csvfile', 'k', file=path, delimiter=',') }}", "{{ lookup('first_found', x, skip=true) }}",
		} {
			_, _ = e.Value(ctx, at(expr), s) // any error will do, a panic not
		}
		_, _ = e.Render(ctx, template.File{Text: "#jinja2:" + text, Overrides: template.DefaultOverrides()}, s)
		_, _ = e.Render(ctx, template.File{Text: text, Engine: "go"}, s)
		_, _ = e.Value(ctx, value.Str{S: text, From: &value.Origin{File: "f", Line: 1, Col: 1}}, s)
	})
}
