package inventory

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"orch/playbook/jinja/value"
)

// write makes files of a txtar-like map in a folder of the test.
func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		mode := os.FileMode(0o644)
		if strings.HasPrefix(text, "#!") {
			mode = 0o755
		}
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func names(hosts []*Host) string {
	var s []string
	for _, h := range hosts {
		s = append(s, h.Name)
	}
	return strings.Join(s, " ")
}

func mustLoad(t *testing.T, sources ...string) *Inventory {
	t.Helper()
	inv, diags := Load(context.Background(), sources, Options{Names: "ignore"})
	if len(diags) > 0 {
		t.Fatal(diags)
	}
	return inv
}

const ini = `lonely ansible_port=2022
[web]
web[01:03].x:2222 a=1 b='two words' c="[1, 'x']" # remark
[db]
db-[a:c]
[site:children]
web
db
[site:vars]
domain = example.org
debug=True
[late:vars]
x=1
[late]
web01.x
`

const yaml = `all:
  hosts: {lonely: {ansible_port: 2022}}
  children:
    web:
      hosts:
        web[01:03].x:2222: {a: 1, b: two words, c: [1, x]}
    db:
      hosts: {"db-[a:c]": }
    site:
      children: {web: , db: }
      vars: {domain: example.org, debug: true}
    late:
      hosts: {web01.x: }
      vars: {x: 1}
`

const script = `#!/bin/sh
[ "$1" = --list ] || exit 9
cat <<'J'
{"_meta": {"hostvars": {"lonely": {"ansible_port": 2022}, "web01.x": {"a": 1, "b": "two words", "c": [1, "x"]}}},
 "web": ["web01.x", "web02.x", "web03.x"], "db": {"hosts": ["db-a", "db-b", "db-c"]},
 "site": {"children": ["web", "db"], "vars": {"domain": "example.org", "debug": true}},
 "late": {"hosts": ["web01.x"], "vars": {"x": 1}}, "ungrouped": {"hosts": ["lonely"]}}
J
`

func TestSourcesMeanTheSame(t *testing.T) {
	for name, text := range map[string]string{"hosts": ini, "hosts.yml": yaml, "hosts.sh": script} {
		t.Run(name, func(t *testing.T) {
			dir := write(t, map[string]string{name: text})
			inv := mustLoad(t, filepath.Join(dir, name))
			for pattern, want := range map[string]string{
				"web": "web01.x web02.x web03.x", "site": "web01.x web02.x web03.x db-a db-b db-c",
				"late": "web01.x", "ungrouped": "lonely",
			} {
				if hosts, err := inv.Match(pattern); names(hosts) != want || err != nil {
					t.Errorf("%s: %q, %v; want %q", pattern, names(hosts), err, want)
				}
			}
			if n := len(inv.Hosts()); n != 7 {
				t.Errorf("%d hosts", n)
			}
			h, _ := inv.Host("web01.x")
			for k, want := range map[string]string{"a": "1", "b": "'two words'", "c": "[1, 'x']"} {
				if v, ok := h.Vars.GetStr(k); !ok || value.Repr(v) != want {
					t.Errorf("%s = %v, want %s", k, v, want)
				}
			}
			var groups []string
			for _, g := range inv.GroupsOf(h) {
				groups = append(groups, g.Name)
			}
			if got := strings.Join(groups, " "); got != "all late site web" {
				t.Errorf("groups in order of merging: %s", got)
			}
			site, _ := inv.Group("site")
			if d, _ := site.Vars.GetStr("debug"); d != value.Bool(true) {
				t.Errorf("debug = %v", d)
			}
			if b, _ := h.Vars.GetStr("b"); b.(value.Str).From == nil {
				t.Error("an author's string lost its mark")
			}
		})
	}
}

func TestPatterns(t *testing.T) {
	dir := write(t, map[string]string{"hosts": ini})
	inv := mustLoad(t, dir+"/hosts")
	for pattern, want := range map[string]string{
		"all":                "lonely web01.x web02.x web03.x db-a db-b db-c",
		"*":                  "lonely web01.x web02.x web03.x db-a db-b db-c",
		"":                   "",
		"!db":                "lonely web01.x web02.x web03.x",
		"!web:site":          "db-a db-b db-c",
		"site:&late":         "web01.x",
		"&late:site":         "web01.x",
		"db:web:!db-b":       "db-a db-c web01.x web02.x web03.x",
		"db,web,!web0[13].x": "db-a db-b db-c web02.x",
		"web[0]":             "web01.x",
		"web[-1]":            "web03.x",
		"web[1:]":            "web02.x web03.x",
		"web[0:1]":           "web01.x web02.x",
		"~web0[12]":          "web01.x web02.x",
		"*.x:!web02.x":       "web01.x web03.x",
		"db-?":               "db-a db-b db-c",
		"web01.x,lonely":     "web01.x lonely",
		"localhost":          "localhost",
	} {
		hosts, err := inv.Match(pattern)
		if names(hosts) != want || err != nil {
			t.Errorf("%q: %q, %v; want %q", pattern, names(hosts), err, want)
		}
	}
	hosts, err := inv.Match("web01.x:nothere:!neither")
	var none *NoMatch
	if !errors.As(err, &none) || strings.Join(none.Patterns, " ") != "nothere neither" || names(hosts) != "web01.x" {
		t.Errorf("no match: %q, %v", names(hosts), err)
	}
}

func TestLimit(t *testing.T) {
	dir := write(t, map[string]string{"hosts": ini, "retry": "# failed\nweb02.x\ndb-a\n"})
	inv := mustLoad(t, dir+"/hosts")
	web, _ := inv.Match("web")
	for arg, want := range map[string]string{
		"": "web01.x web02.x web03.x", "@" + dir + "/retry": "web02.x", "web:!web01.x": "web02.x web03.x", "db": "",
	} {
		l, err := ParseLimit(arg)
		if err != nil {
			t.Fatal(err)
		}
		if hosts, err := inv.Narrow(web, l); names(hosts) != want || err != nil {
			t.Errorf("limit %q: %q, %v; want %q", arg, names(hosts), err, want)
		}
	}
	if _, err := ParseLimit("@/nowhere"); err == nil {
		t.Error("a limit file that is not there is no error")
	}
}

func TestMistakesAreNamedWithTheirPlace(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"hosts":    {"[web]\nx y\n", `hosts:2:3: expected key=value host variable assignment, got "y"`},
		"a.ini":    {"[web]\nx a='b\n", `a.ini:2:1: no closing quotation in host line "x a='b"`},
		"b.ini":    {"[web:things]\n", `b.ini:1:1: section [web:things] has unknown type "things"`},
		"c.ini":    {"[web:vars]\na=1\n", `c.ini:1:1: section [web:vars] not valid for undefined group "web"`},
		"d.ini":    {"[a:children]\nb\n", `d.ini:2:1: section [a:children] includes undefined group "b"`},
		"e.ini":    {"[a:children]\nb\n[b:children]\na\n", `e.ini:4:1: adding group "a" as a child of "b" makes a loop`},
		"f.ini":    {"x[3:1]\n", `f.ini:1:1: host range must have begin <= end, not 3:1`},
		"g.yml":    {"all:\n  hosts: [a, b]\n", `g.yml:2:3: invalid "hosts" entry for group "all": requires a mapping, found list`},
		"h.yml":    {"- a\n", `an inventory is a mapping of groups, not a list`},
		"i.yml":    {"all:\n  hosts:\n    a: 3\n", `i.yml:3:5: variables of host "a" are a mapping, not a int`},
		"j.sh":     {"#!/bin/sh\necho oops >&2; exit 3\n", `script --list ended with 3: oops`},
		"k.sh":     {"#!/bin/sh\necho '[]'\n", `the script must print a mapping of groups, not a list`},
		"l.yml":    {"plugin: aws_ec2\n", `inventory plugin "aws_ec2" is not supported, one of`},
		"m.ini":    {"host:99999\n", `m.ini:1:1: invalid port "99999"`},
		"gone.yml": {"", ""},
	} {
		dir := write(t, map[string]string{name: c.text})
		if c.text == "" {
			os.Remove(filepath.Join(dir, name))
			c.want = "read inventory: no such file or directory"
		}
		_, diags := Load(context.Background(), []string{filepath.Join(dir, name)}, Options{})
		if got := diags.Error(); !strings.Contains(got, c.want) {
			t.Errorf("%s: %q\nwant %q", name, got, c.want)
		}
	}
}

func TestFolderAndList(t *testing.T) {
	dir := write(t, map[string]string{
		"inv/01-hosts":           "[web]\na\n",
		"inv/02.yml":             "web: {hosts: {b: }}\n",
		"inv/sub/hosts":          "[web]\nc\n",
		"inv/notes.txt":          "not an inventory at all = [\n",
		"inv/group_vars/all.yml": "x: 1\n",
		"inv/.hidden":            "[web]\nd\n",
	})
	inv, diags := Load(context.Background(), []string{dir + "/inv", "e,f[1:2]:2022,"}, Options{
		IgnoreExts: []string{".txt"}, Enabled: []string{"advanced_host_list", "yaml", "ini"},
	})
	if len(diags) > 0 {
		t.Fatal(diags)
	}
	if got := names(inv.Hosts()); got != "e f1 f2 a b c" {
		t.Errorf("hosts: %s", got)
	}
	if f, _ := inv.Host("f1"); f.Port != 2022 {
		t.Errorf("port %d", f.Port)
	}
}

func TestSplitPort(t *testing.T) {
	for in, want := range map[string]string{
		"a": "a 0", "a:22": "a 22", "[::1]:22": "::1 22", "::1": "::1 0", "[fe80::1]": "fe80::1 0",
		"web[1:3]:2022": "web[1:3] 2022", "10.0.0.1:8022": "10.0.0.1 8022",
	} {
		name, port, err := SplitPort(in)
		if got := fmt.Sprint(name, " ", port); got != want || err != nil {
			t.Errorf("%s: %s, %v; want %s", in, got, err, want)
		}
	}
}

func TestGrowingWhileItRuns(t *testing.T) {
	inv := mustLoad(t, "a,b,")
	h, err := inv.AddHost("c", 0, "new")
	if err != nil {
		t.Fatal(err)
	}
	if err := inv.SetVars(h, value.D("x", value.Int(1))); err != nil {
		t.Fatal(err)
	}
	a, _ := inv.Host("a")
	if _, err := inv.AddHost("a", 0, "new"); err != nil {
		t.Fatal(err)
	}
	hosts, _ := inv.Match("new")
	if names(hosts) != "c a" || len(a.Groups) != 1 {
		t.Errorf("new: %s; groups of a: %d", names(hosts), len(a.Groups))
	}
	if _, err := inv.AddGroup("all", "new"); err == nil {
		t.Error("all below another group is no error")
	}
}

func TestTenThousandHosts(t *testing.T) {
	dir := write(t, map[string]string{"hosts": "[web]\nweb[00001:10000] a=1 b=2\n[site:children]\nweb\n"})
	start := time.Now()
	inv := mustLoad(t, dir+"/hosts")
	hosts, _ := inv.Match("site:!web0000*")
	if len(hosts) != 9991 {
		t.Errorf("%d hosts", len(hosts))
	}
	t.Logf("loaded in %s", time.Since(start).Round(time.Millisecond))
}

func TestGroupsAreReadOnce(t *testing.T) {
	dir := write(t, map[string]string{"a.ini": "[web]\nx\n", "b.ini": "[web]\nx\ny\n[web:vars]\nv=1\n"})
	inv := mustLoad(t, dir+"/a.ini", dir+"/b.ini")
	web, _ := inv.Group("web")
	if names(web.Hosts) != "x y" {
		t.Errorf("web: %s", names(web.Hosts))
	}
	if i := slices.IndexFunc(inv.Groups(), func(g *Group) bool { return g.Name == "web" }); i != 2 {
		t.Errorf("web is group number %d", i)
	}
}

// TestExpandOverflow checks that steps and ends near the greatest integer end a range.
func TestExpandOverflow(t *testing.T) {
	for pattern, want := range map[string]string{
		"h[1:5:9223372036854775807]":                 "h1",
		"h[a:f:9223372036854775807]":                 "ha",
		"h[9223372036854775806:9223372036854775807]": "h9223372036854775806 h9223372036854775807",
	} {
		if got, err := Expand(pattern); err != nil || strings.Join(got, " ") != want {
			t.Errorf("%s: %q, %v; want %s", pattern, got, err, want)
		}
	}
	if got, err := Expand("h[-9223372036854775808:9223372036854775807]"); err == nil {
		t.Errorf("%d hosts", len(got))
	}
}

func FuzzINI(f *testing.F) {
	f.Add(ini)
	f.Add("[a]\nb[1:2] c='d\n[a:children]\na\n")
	f.Fuzz(func(t *testing.T, text string) {
		New().readINI("x", []byte(text))
	})
}

func FuzzYAML(f *testing.F) {
	f.Add("all:\n  hosts:\n    a[1:3]:22: {x: 1}\n  children:\n    web: {vars: {y: '{{ x }}'}, hosts: a1}\n")
	f.Add("web: &w {hosts: {h: }}\ndb:\n  <<: *w\n  children: {web: , db: }\n")
	f.Add("plugin: generator\nhosts: {name: x}\n")
	f.Add(`{"all": {"hosts": {"[::1]:22": null, "5": {}}, "children": ["a"]}}`)
	f.Fuzz(func(t *testing.T, text string) {
		l := loader{ctx: t.Context(), inv: New()}
		if err := l.yaml("x.yml", []byte(text)); err != nil {
			_ = err.Error()
		}
		l.inv.reconcile()
		l.checkNames()
		for _, h := range l.inv.Hosts() {
			if got, ok := l.inv.Host(h.Name); !ok || got != h {
				t.Errorf("host %q is not found by its name", h.Name)
			}
			l.inv.GroupsOf(h)
		}
	})
}

func FuzzPattern(f *testing.F) {
	for _, p := range []string{"all", "a:&b:!c", "~x[", "web[0:1]", "[::1]:22", "[!", "a[-9]"} {
		f.Add(p)
	}
	inv := New()
	inv.AddHost("a", 0, "web")
	f.Fuzz(func(t *testing.T, p string) {
		hosts, _ := inv.Match(p)
		seen := map[string]bool{}
		for _, h := range hosts {
			if seen[h.Name] {
				t.Errorf("%q yields %s twice", p, h.Name)
			}
			seen[h.Name] = true
		}
	})
}
