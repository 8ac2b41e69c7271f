package schema

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"orch/modules"
	"orch/playbook/jinja/value"
	"orch/playbook/source"
)

//go:embed schema_test.go
var testSource embed.FS

// Common is embedded.
type Common struct {
	// Permissions of the file.
	Mode modules.Mode
}

// Rule is nested.
type Rule struct {
	// Port to open.
	Port int `orch:"required"`
	// Proto of the rule.
	Proto string `orch:"enum=tcp|udp,default=tcp"`
}

// Sample does nothing at all. It is there for tests.
type Sample struct {
	Common
	// Name of the thing.
	Name    string   `orch:"required,alias=dest|pkg"`
	State   string   `orch:"enum=present|absent|no,default=present"`
	Enabled *bool    // whether it is on
	Count   int      `orch:"default=3"`
	Ratio   *float64 // a share
	Tags    []string
	Ports   []int
	Env     map[string]string
	Rules   []Rule
	Body    modules.Raw
	URLUser string `orch:"secret"`
	Content *string
}

func (s *Sample) Validate() error {
	if s.Enabled != nil && s.State == "absent" {
		return errors.New("state absent and enabled are mutually exclusive")
	}
	return nil
}

func (s *Sample) Plan(context.Context, modules.View) (modules.Plan[modules.Target], error) {
	return modules.Plan[modules.Target]{}, nil
}

func sample(t *testing.T) *Spec {
	t.Helper()
	table := Table{World: Host, Source: testSource, Entries: []modules.Entry{
		modules.Bind("ansible.builtin.sample", func() modules.HostModule { return &Sample{} }),
	}}
	if _, err := NewRegistry(table); err != nil {
		t.Fatal(err)
	}
	return Describe(table)[0]
}

func dict(t *testing.T, text string) *value.Dict {
	t.Helper()
	v, err := value.FromJSON([]byte(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return v.(*value.Dict)
}

func TestDecode(t *testing.T) {
	s := sample(t)
	for _, c := range []struct{ args, want string }{
		{`{"name":"a"}`, `{"Name":"a","State":"present","Count":3}`},
		{`{"pkg":1,"count":"1_0"}`, `{"Name":"1","State":"present","Count":10}`},
		{`{"name":"a","count":"1e1","ratio":"0.5"}`, `{"Name":"a","State":"present","Count":10,"Ratio":0.5}`},
		{`{"name":["x",1.0,null,true]}`, `{"Name":"['x', 1.0, None, True]","State":"present","Count":3}`},
		{`{"name":"a","enabled":"Yes","tags":"a, b","ports":"1,2"}`, `{"Name":"a","State":"present","Enabled":true,"Count":3,"Tags":["a"," b"],"Ports":[1,2]}`},
		{`{"name":"a","state":false}`, `{"Name":"a","State":"no","Count":3}`},
		{`{"name":"a","env":"k=v l='x y'"}`, `{"Name":"a","State":"present","Count":3,"Env":{"k":"v","l":"x y"}}`},
		{`{"name":"a","env":"{'k': 1, \"l\": None,}"}`, `{"Name":"a","State":"present","Count":3,"Env":{"k":"1","l":"None"}}`},
		{`{"name":"a","rules":[{"port":"80"},{"port":53,"proto":"udp"}]}`, `{"Name":"a","State":"present","Count":3,"Rules":[{"Port":80,"Proto":"tcp"},{"Port":53,"Proto":"udp"}]}`},
		{`{"name":"a","body":{"z":[1,null],"a":"ü<"}}`, `{"Name":"a","State":"present","Count":3,"Body":{"z":[1,null],"a":"ü<"}}`},
		{`{"name":"a","mode":420}`, `{"Mode":"0644","Name":"a","State":"present","Count":3}`},
		{`{"name":"a","mode":644}`, `{"Mode":"01204","Name":"a","State":"present","Count":3}`},
		{`{"name":"a","mode":"644"}`, `{"Mode":"0644","Name":"a","State":"present","Count":3}`},
		{`{"name":"a","mode":"u=rwX,g-w"}`, `{"Mode":"u=rwX,g-w","Name":"a","State":"present","Count":3}`},
		{`{"name":"a","tags":7,"enabled":null,"content":""}`, `{"Name":"a","State":"present","Count":3,"Tags":["7"],"Content":""}`},

		{`{}`, "missing required arguments: name"},
		{`{"name":"a","nme":1}`, `Unsupported parameters for (sample) module: nme. Supported parameters include: body, content, count, enabled, env, mode, name, ports, ratio, rules, state, tags, url_user (dest, pkg). | did you mean "name"?`},
		{`{"name":"a","state":"there"}`, "value of state must be one of: present, absent, no, got: there"},
		{`{"name":"a","count":"x","enabled":2}`, "argument 'enabled' is of type <class 'int'> and we were unable to convert to bool: The value '2' is not a valid boolean.  Valid booleans include: 0, 'on', 'f', 'false', 1, 'no', 'n', '1', '0', 't', 'y', 'off', 'yes', 'true'\nargument 'count' is of type <class 'str'> and we were unable to convert to int: \"'x'\" cannot be converted to an int"},
		{`{"name":"a","count":null}`, `argument 'count' is of type <class 'NoneType'> and we were unable to convert to int: "None" cannot be converted to an int`},
		{`{"name":"a","ports":[1,"b"]}`, "Elements value for option 'ports' is of type <class 'str'> and we were unable to convert to int: \"'b'\" cannot be converted to an int"},
		{`{"name":"a","rules":[{"proto":"icmp"}]}`, "value of proto must be one of: tcp, udp, got: icmp found in rules\nmissing required arguments: port found in rules"},
		{`{"name":"a","rules":[{"port":1,"prot":1}]}`, `Unsupported parameters for (sample) module: rules.prot. Supported parameters include: port, proto. | did you mean "port"?`},
		{`{"name":"a","mode":"rw"}`, `argument 'mode' is of type <class 'str'> and we were unable to convert to raw: mode must be in octal or symbolic form, got "rw"`},
		{`{"name":"a","enabled":true,"state":"absent"}`, "state absent and enabled are mutually exclusive"},
		{`{"name":"a","env":"x"}`, "argument 'env' is of type <class 'str'> and we were unable to convert to dict: dictionary requested, could not parse JSON or key=value"},
		{`{"name":"a","dest":"b"}`, "warning: Both option name and its alias dest are set."},
	} {
		m, diags := s.Decode(dict(t, c.args), nil)
		if got := show(t, m, diags); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.args, got, c.want)
		}
	}
}

// show is the module as JSON without empty fields, or the diagnostics.
func show(t *testing.T, m any, diags source.Diagnostics) string {
	t.Helper()
	var lines []string
	for _, d := range diags {
		line := d.Msg
		if d.Severity == source.Warning {
			line = "warning: " + line
		}
		if d.Hint != "" {
			line += " | " + d.Hint
		}
		lines = append(lines, line)
	}
	if lines != nil {
		return strings.Join(lines, "\n")
	}
	raw, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	v, err := value.FromJSON(raw)
	if err != nil {
		t.Fatal(err)
	}
	out := value.NewDict(8)
	for k, x := range v.(*value.Dict).All() {
		if _, none := x.(value.None); !none && value.String(x) != "" || value.String(k) == "Content" && value.String(x) == "" {
			_ = out.Set(k, x)
		}
	}
	raw, err = JSON(out)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func TestAliasAndNameWarns(t *testing.T) {
	m, diags := sample(t).Decode(dict(t, `{"name":"a","dest":"b"}`), nil)
	if len(diags) != 1 || m.(*Sample).Name != "b" {
		t.Errorf("got %v, %v", m, diags)
	}
}

func TestCheckLiteral(t *testing.T) {
	s := sample(t)
	isTemplate := func(v value.Value) bool {
		str, ok := v.(value.Str)
		return ok && strings.Contains(str.S, "{{")
	}
	at := func(name string) source.Pos { return source.Pos{File: "f", Line: len(name)} }
	diags := s.CheckLiteral(dict(t, `{"name":"{{ x }}","count":"{{ y }}","enabled":"perhaps","state":"{{ z }}","ports":["{{ p }}"]}`), at, isTemplate)
	if len(diags) != 1 || !strings.Contains(diags[0].Msg, "argument 'enabled'") || diags[0].Pos.Line != len("enabled") {
		t.Errorf("got %+v", diags)
	}
	// The rules between arguments need them all.
	if diags := s.CheckLiteral(dict(t, `{"name":"{{ x }}","enabled":true,"state":"absent"}`), at, isTemplate); len(diags) != 0 {
		t.Errorf("got %+v", diags)
	}
	if diags := s.CheckLiteral(dict(t, `{"name":"x","enabled":true,"state":"absent"}`), at, isTemplate); len(diags) != 1 {
		t.Errorf("got %+v", diags)
	}
}

func TestRegistry(t *testing.T) {
	entry := func(name string) modules.Entry {
		return modules.Bind(name, func() modules.HostModule { return &Sample{} }, modules.Alias(strings.ReplaceAll(name, "copy", "copy_alias")))
	}
	host := Table{World: Host, Entries: []modules.Entry{entry("ansible.builtin.copy"), entry("community.general.ini_file")}}
	site := Table{World: Site, Entries: []modules.Entry{entry("ansible.builtin.copy")}}
	site.Entries[0].Aliases = nil
	host.Entries[1].Aliases = nil
	for _, tables := range [][]Table{{host, site}, {site, host}} {
		r, err := NewRegistry(tables...)
		if err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]string{
			"copy": "ansible.builtin.copy site", "ansible.legacy.copy": "ansible.builtin.copy site", "ansible.builtin.copy": "ansible.builtin.copy site",
			"ini_file": "community.general.ini_file host", "copy_alias": "ansible.builtin.copy host", "a.b.copy": "<nil>", "cpoy": "<nil>",
		} {
			got := "<nil>"
			if s, ok := r.Lookup(name, nil); ok {
				got = fmt.Sprint(s.Name, " ", s.World)
			}
			if got != want {
				t.Errorf("%s: got %s, want %s", name, got, want)
			}
		}
		if got := r.Suggest("cpoy"); got != "copy" {
			t.Errorf("suggestion %q", got)
		}
		if got := r.Suggest("zzzzzz"); got != "" {
			t.Errorf("suggestion %q", got)
		}
		if got := fmt.Sprint(r.Names()); got != "[ansible.builtin.copy community.general.ini_file]" {
			t.Errorf("names %s", got)
		}
	}
	if _, err := NewRegistry(host, host); err == nil {
		t.Error("a name twice in a world is no error")
	}
}

func TestDoc(t *testing.T) {
	table := Table{World: Host, Entries: []modules.Entry{modules.Bind("ansible.builtin.sample", func() modules.HostModule { return &Sample{} })}}
	s := Describe(table)[0]
	c, err := parseText("sample.go", testSource, "schema_test.go")
	if err != nil {
		t.Fatal(err)
	}
	d := Doc{Args: map[string]string{}}
	d.fill("", s.Args, func(k string) string { return c[k] })
	for name, want := range map[string]string{"mode": "Permissions of the file.", "enabled": "whether it is on", "rules.port": "Port to open."} {
		if d.Args[name] != want {
			t.Errorf("%s: %q", name, d.Args[name])
		}
	}
	if got := summary(c["Sample"], "Sample"); got != "Does nothing at all" {
		t.Errorf("summary %q", got)
	}
}

// parseText parses one file under another name, since files named _test.go are left out.
func parseText(_ string, fsys embed.FS, name string) (structs, error) {
	src, err := fsys.ReadFile(name)
	if err != nil {
		return nil, err
	}
	out := structs{}
	return out, out.addFile(name, src)
}

func TestJSONSchema(t *testing.T) {
	raw, err := sample(t).JSONSchema()
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Properties map[string]struct {
			Type  []string
			AnyOf []struct{ Enum []string }
		}
		AdditionalProperties bool
	}
	if err := json.Unmarshal(raw, &got); err != nil {
		t.Fatal(err)
	}
	if got.AdditionalProperties || len(got.Properties["pkg"].Type) != 3 || got.Properties["state"].AnyOf[0].Enum[1] != "absent" {
		t.Errorf("got %s", raw)
	}
}

func TestBadStructs(t *testing.T) {
	type BadTag struct {
		Sample
		X string `orch:"requried"`
	}
	type BadType struct {
		Sample
		C chan int
	}
	for _, build := range []func() modules.HostModule{
		func() modules.HostModule { return &BadTag{} },
		func() modules.HostModule { return &BadType{} },
	} {
		if _, err := NewRegistry(Table{World: Host, Entries: []modules.Entry{modules.Bind("a.b.c", build)}}); err == nil {
			t.Errorf("%T is no error", build())
		}
	}
}
