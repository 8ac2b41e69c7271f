package ssh

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestArgs(t *testing.T) {
	for _, c := range []struct{ args, key, want string }{
		{"-o Port=2222", "port", "2222"},
		{"-oPort=2222", "port", "2222"},
		{"-o 'Port 2222'", "port", "2222"},
		{"-p2222", "port", "2222"},
		{"-p 1 -o Port=2", "port", "1"}, // the first counts
		{`-o IdentityFile="/a b"`, "identityfile", "/a b"},
		{`-o ProxyCommand="ssh -W %h:%p jump"`, "proxycommand", "ssh -W %h:%p jump"},
		{"-J a,b -l me", "proxyjump", "a,b"},
		{"-C -o ControlMaster=auto -o ControlPersist=60s -qA", "forwardagent", "yes"},
		{"-i /k", "identityfile", "/k"},
		{"-o kexalgorithms=+diffie-hellman-group14-sha1", "kexalgorithms", "+diffie-hellman-group14-sha1"},
	} {
		fields, err := words(c.args)
		if err != nil {
			t.Fatal(err)
		}
		o, err := parseArgs(fields)
		if err != nil || o.get(c.key) != c.want {
			t.Errorf("%s: %s is %q, %v; want %q", c.args, c.key, o.get(c.key), err, c.want)
		}
	}
}

func TestBadArgs(t *testing.T) {
	for args, want := range map[string]string{
		"-L 8080:x:80":               `ssh argument "-L" is not supported`,
		"-o":                         `"-o" needs a value`,
		"-o Port":                    "is not KEY=VALUE",
		"host":                       `"host" is not an option`,
		"-o Prot=22":                 `unknown ssh option "Prot"`,
		"-o IdentityFil=x":           `did you mean "identityfile"`,
		"-o PKCS11Provider=/x.so":    `ssh option "PKCS11Provider" is not supported`,
		"-o LocalForward=80:x:80":    `ssh option "LocalForward" is not supported`,
		"-o CanonicalizeHostname=ye": `ssh option "CanonicalizeHostname" is not supported`,
	} {
		fields, err := words(args)
		if err != nil {
			t.Fatal(err)
		}
		if err := CheckArgs(fields); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", args, err, want)
		}
	}
}

func TestBadValues(t *testing.T) {
	t.Setenv("HOME", t.TempDir())
	for option, want := range map[string]string{
		"Port=x": `port "x" (-o Port) is not a number`, "Port=99999": "from 1 to 65535", "ConnectTimeout=soon": `connecttimeout is "soon", want a time`,
	} {
		if _, err := resolve(Config{Host: "h", Args: []string{"-F", "none", "-o", option}}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", option, err, want)
		}
	}
	if _, err := resolve(Config{Host: "-oProxyCommand=evil"}); err == nil {
		t.Error("a host that is an option was taken")
	}
}

// files writes ~/.ssh/config and what it includes.
func files(t *testing.T, texts map[string]string) {
	t.Helper()
	home := t.TempDir()
	t.Setenv("HOME", home)
	if err := os.Mkdir(filepath.Join(home, ".ssh"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range texts {
		if err := os.WriteFile(filepath.Join(home, ".ssh", name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestConfigFile(t *testing.T) {
	files(t, map[string]string{
		"config": `# mine
User = first
Include conf-*
Host web* !web9
	HostName %h.example.com
	Port 2201
	IdentityFile ~/.ssh/a
	IdentityFile "~/.ssh/b c"
Host db
	User second
	ServerAliveInterval 1m30s
Match host web1.example.com user first
	HostKeyAlias matched
Match originalhost db exec "test %n = db"
	HostKeyAlias by-exec
Match !host db,web*
	HostKeyAlias neither
`,
		"conf-1": "Host inc\n  Port 77\nMatch user first\n  ConnectTimeout 3\n",
	})
	for _, c := range []struct{ host, addr, user, alias string }{
		{"web1", "web1.example.com:2201", "first", "matched"},
		{"web9", "web9:22", "first", "web9"},
		{"db", "db:22", "first", "by-exec"},
		{"inc", "inc:77", "first", "neither"},
		{"UPPER", "UPPER:22", "first", "neither"},
	} {
		got, err := resolve(Config{Host: c.host})
		if err != nil {
			t.Fatal(err)
		}
		if got.addr != c.addr || got.user != c.user || got.keyAlias() != c.alias || got.timeout != 3*time.Second {
			t.Errorf("%s: %s as %s, key alias %q, timeout %v; want %+v", c.host, got.addr, got.user, got.keyAlias(), got.timeout, c)
		}
	}
	got, err := resolve(Config{Host: "web1", User: "me", Port: 5})
	if err != nil || got.user != "me" || got.addr != "web1.example.com:5" {
		t.Errorf("variables do not win: %v %v", got, err)
	}
	ids := got.opts.values["identityfile"]
	if len(ids) != 2 || ids[1].text != "~/.ssh/b c" {
		t.Errorf("identity files %v", ids)
	}
	if d, err := (&options{values: map[string][]setting{"x": {{"1m30s", ""}}}}).seconds("x", 0); err != nil || d != 90*time.Second {
		t.Errorf("%v, %v", d, err)
	}
}

func TestBadConfigFiles(t *testing.T) {
	for text, want := range map[string]string{
		"Host *\n  Prot 22\n":                       `config:2: unknown ssh option "Prot": did you mean "port"?`,
		"Match final\n":                             `criterion "final" is not supported: one of all, host, originalhost, user, localuser, exec`,
		"Match user\n":                              `criterion "user" needs a value`,
		"Host *\n  KnownHostsCommand /bin/x\n":      `config:2: ssh option "KnownHostsCommand" is not supported`,
		"Include config\n":                          "Include goes deeper",
		"Host h\n  HostName %z\n":                   "there is no token %z",
		"Host *\n  StrictHostKeyChecking maybe\n":   "",
		"IgnoreUnknown Use*,Fut*\nFutureOption 1\n": "",
	} {
		files(t, map[string]string{"config": text})
		_, err := resolve(Config{Host: "h"})
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func TestJumpSpecs(t *testing.T) {
	for text, want := range map[string]Config{
		"h": {Host: "h"}, "u@h": {User: "u", Host: "h"}, "u@h:22": {User: "u", Host: "h", Port: 22}, "[::1]:22": {Host: "::1", Port: 22},
		"ssh://u@h:2": {User: "u", Host: "h", Port: 2}, "a@b@h": {User: "a@b", Host: "h"},
	} {
		got, err := parseJump(text)
		if err != nil || got.Host != want.Host || got.User != want.User || got.Port != want.Port {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "u@", "h:x"} {
		if got, err := parseJump(text); err == nil {
			t.Errorf("%q: %+v", text, got)
		}
	}
}

func FuzzArgs(f *testing.F) {
	for _, seed := range []string{"-o Port=22", "-J a@b:1,c -i /x", `-o "ProxyCommand=a %h"`, "-", "--", "-oX", "-A4"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		fields, err := words(line)
		if err != nil {
			return
		}
		if o, err := parseArgs(fields); err == nil && o == nil {
			t.Fatal("neither options nor an error")
		}
	})
}
