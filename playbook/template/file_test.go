package template_test

import (
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"testing"

	"orch/playbook/jinja/value"
	"orch/playbook/source"
	"orch/playbook/template"
)

func (b *bench) render(f template.File) (string, error) {
	v, err := b.engine.Render(ctx, f, b)
	if err != nil {
		return "", err
	}
	return value.String(v), nil
}

func TestRenderFile(t *testing.T) {
	b := newBench(t, template.Options{}, "n: 5\nl: [a, b]\ntext: 'True'\nnothing: null\ntrailing: \"x\\n\"", "evil: \"{{ n }}\"")
	b.write("templates/part.j2", "part {{ n }} {{ local is defined }}\n")
	b.write("templates/macros.j2", "{% macro hi(x) %}hi {{ x }}{% endmacro %}")
	b.write("templates/base.j2", "<{% block body %}base{% endblock %}>")
	for _, c := range []struct{ name, text, want string }{
		{"plain", "a\nb\n", "a\nb\n"},
		{"no newline at the end", "{{ n }}", "5"},
		{"newlines are kept", "{{ n }}\n\n\n", "5\n\n\n"},
		{"trim_blocks", "{% if true %}\nx\n{% endif %}\n", "x\n"},
		{"stays text", "{{ l }}", "['a', 'b']"},
		{"bool stays text", "{{ text }}\n", "True\n"},
		{"none prints nothing", "[{{ nothing }}]", "[]"},
		{"backslashes are Python's", `{{ 'a\nb' }}`, "a\nb"},
		{"data is not evaluated", "{{ evil }}", "{{ n }}"},
		{"include", "{% set local = 1 %}{% include 'part.j2' %}.", "part 5 True."},
		{"include from templates/", "{% include 'templates/part.j2' %}", "part 5 False"},
		{"include missing", "{% include 'nope.j2' ignore missing %}.", "."},
		{"import", "{% import 'macros.j2' as m %}{{ m.hi(n) }}", "hi 5"},
		{"from import", "{% from 'macros.j2' import hi %}{{ hi('x') }}", "hi x"},
		{"extends", "{% extends 'base.j2' %}{% block body %}own {{ super() }}{% endblock %}", "<own base>"},
		{"header", "#jinja2: lstrip_blocks: True, trim_blocks: False\n  {% if true %}\nx\n  {% endif %}\n", "\nx\n"},
		{"header delimiters", "#jinja2: variable_start_string: '[%', variable_end_string: '%]'\n[% n %] {{ n }}\n", "5 {{ n }}\n"},
		{"line statements", "#jinja2: line_statement_prefix: '%%'\n%% for x in l\n{{ x }}\n%% endfor\n", "a\nb\n"},
		{"managed", "# {{ ansible_managed }}\n", "# Ansible managed\n"},
		{"mutation", "{% set _ = l.append('c') %}{{ l | length }}", "3"},
		{"mutation did not last", "{{ l | length }}", "2"},
	} {
		path := b.write("templates/t.j2", c.text)
		got, err := b.render(template.File{Path: path, Overrides: template.DefaultOverrides()})
		if err != nil || got != c.want {
			t.Errorf("%s: got %q, %v, want %q", c.name, got, err, c.want)
		}
	}
}

func TestTemplateVariables(t *testing.T) {
	b := newBench(t, template.Options{Managed: "{file} by {uid} on {host} %Y"}, "mine: '{{ template_path }}!'", "")
	path := b.write("templates/t.j2", strings.Join([]string{
		"{{ template_path }}", "{{ template_fullpath }}", "{{ template_destpath }}", "{{ template_uid }}", "{{ template_host }}", "{{ ansible_managed }}", "{{ mine }}",
	}, "\n"))
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	host, _ := os.Hostname()
	got, err := b.render(template.File{Path: path, Name: "t.j2", Dest: "/etc/x", Overrides: template.DefaultOverrides()})
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(got, "\n")
	info, _ := os.Stat(path)
	for i, want := range []string{
		"t.j2", path, "/etc/x", me.Username, host, "t.j2 by " + me.Username + " on " + host + " " + info.ModTime().Format("2006"), "t.j2!",
	} {
		if lines[i] != want {
			t.Errorf("line %d: got %q, want %q", i+1, lines[i], want)
		}
	}
}

func TestRenderOptions(t *testing.T) {
	b := newBench(t, template.Options{}, "n: 5", "")
	over := template.DefaultOverrides()
	over.VariableStart, over.VariableEnd = "<<", ">>"
	over.BlockStart, over.BlockEnd = "<%", "%>"
	over.CommentStart, over.CommentEnd = "<#", "#>"
	got, err := b.render(template.File{Text: "<< n >> {{ n }}<# c #><% if true %>x<% endif %>", Overrides: over})
	if err != nil || got != "5 {{ n }}x" {
		t.Errorf("delimiters: %q, %v", got, err)
	}
	over = template.DefaultOverrides()
	over.NewlineSequence = `\r\n`
	if got, err = b.render(template.File{Text: "a\n{{ n }}\nb\n", Overrides: over}); err != nil || got != "a\r\n5\r\nb\r\n" {
		t.Errorf("newline_sequence: %q, %v", got, err)
	}
	for _, f := range []template.File{
		{Text: "x", Overrides: template.Overrides{NewlineSequence: "x"}},
		{Text: "x", Encoding: "latin-1"},
		{Text: "x", Engine: "mustache"},
		{Path: "/does/not/exist.j2"},
		{Text: "#jinja2: nonsense\nx"},
		{Text: "#jinja2: no_such_option: True\nx"},
		{Text: "#jinja2: trim_blocks: nope\nx"},
	} {
		if got, err := b.render(f); err == nil {
			t.Errorf("%+v: no error but %q", f, got)
		}
	}
	path := b.write("bad.j2", "a\xff")
	if _, err = b.render(template.File{Path: path}); err == nil || !strings.Contains(err.Error(), "utf-8") {
		t.Errorf("a file that is no utf-8: %v", err)
	}
	path = b.write("sealed.j2", "$ANSIBLE_VAULT;1.1;AES256\n00")
	b.site.OpenVault = func([]byte) ([]byte, error) { return []byte("opened {{ n }}"), nil }
	if got, err = b.render(template.File{Path: path}); err != nil || got != "opened 5" {
		t.Errorf("an encrypted template: %q, %v", got, err)
	}
}

func TestFilePlaces(t *testing.T) {
	b := newBench(t, template.Options{}, "n: 5", "")
	inc := b.write("templates/inc.j2", "fine\n  {{ nope }}\n")
	for _, c := range []struct{ name, text, place, msg string }{
		{"undefined", "a\nb {{ nope }}\n", "main.j2:2:6", "'nope' is undefined"},
		{"after a header", "#jinja2: trim_blocks: False\n{{ nope }}\n", "main.j2:2:4", "'nope' is undefined"},
		{"syntax", "a\n{% if %}\n", "main.j2:2:7", "Expected an expression"},
		{"included", "x\n{% include 'inc.j2' %}\n", "inc.j2:2:6", "'nope' is undefined"},
		{"not found", "{% include 'gone.j2' %}", "main.j2:1:", "gone.j2"},
	} {
		path := b.write("templates/main.j2", c.text)
		_, err := b.render(template.File{Path: path, Overrides: template.DefaultOverrides()})
		if err == nil {
			t.Errorf("%s: no error", c.name)
			continue
		}
		d := template.Diagnose(err)
		dir := filepath.Dir(inc) + "/"
		if place := source.Place(d.Pos); !strings.HasPrefix(place, dir+c.place) || !strings.Contains(d.Msg, c.msg) {
			t.Errorf("%s: got %s: %s, want %s: %s", c.name, place, d.Msg, c.place, c.msg)
		}
	}
}

func TestGoTemplates(t *testing.T) {
	b := newBench(t, template.Options{}, strings.Join([]string{
		"name: web", "replicas: 3", "labels: {app: web, tier: front}", "list: [a, b]", "ref: '{{ name }}-ref'", "broken: '{{ nope }}'",
		"snippet: '!'", "empty: ''", "nested: {a: {b: deep}}",
	}, "\n"), "evil: \"{{ .name }}\"")
	b.write("templates/_helpers.tpl", `{{ define "labels" }}{{ range $k, $v := .labels }}{{ $k }}={{ $v }};{{ end }}{{ end }}`)
	b.write("templates/part.gotmpl", `part {{ .name }}`)
	for _, c := range []struct{ name, text, want string }{
		{"a variable", "{{ .name }}-{{ .replicas }}", "web-3"},
		{"templated before", "{{ .ref }}", "web-ref"},
		{"sprig", `{{ .name | upper | quote }} {{ .list | join "," }}`, `"WEB" a,b`},
		{"toYaml", "labels:\n{{ toYaml .labels | indent 2 }}", "labels:\n  app: web\n  tier: front"},
		{"toJson", "{{ toJson .labels }}", `{"app":"web","tier":"front"}`},
		{"fromYaml", `{{ (fromYaml "a: {b: 1}").a.b }} {{ (fromJson "[1]") }}`, "1 [1]"},
		{"include", `{{ include "labels" . }}`, "app=web;tier=front;"},
		{"include a file", `{{ include "part.gotmpl" . }}`, "part web"},
		{"template", `{{ template "labels" . }}`, "app=web;tier=front;"},
		{"required", `{{ required "name it" .name }}`, "web"},
		{"tpl of a constant", `{{ tpl "{{ .name }}!" . }}`, "web!"},
		{"tpl of text", `{{ tpl .snippet . }}`, "!"},
		{"data is not evaluated", "{{ .evil }}", "{{ .name }}"},
		{"range and root", `{{ range .list }}{{ . }}{{ $.name }} {{ end }}`, "aweb bweb "},
		{"index", `{{ index . "name" }}`, "web"},
		{"hasKey", `{{ hasKey . "gone" }} {{ hasKey . "name" }}`, "false true"},
		{"dig", `{{ dig "nested" "a" "b" "none" . }}`, "deep"},
		{"dot as a whole", `{{ range $k, $v := . }}{{ if eq $k "name" }}{{ $v }}{{ end }}{{ end }}`, "web"},
		{"with", `{{ with .nested }}{{ .a.b }}{{ end }}`, "deep"},
	} {
		path := b.write("templates/t.gotmpl", c.text)
		got, err := b.render(template.File{Path: path})
		if err != nil || got != c.want {
			t.Errorf("%s: got %q, %v, want %q", c.name, got, err, c.want)
		}
	}
	for _, c := range []struct{ name, text, place, msg string }{
		{"missing key", "a\n {{ .gone }}", ":2:", `map has no entry for key "gone"`},
		{"missing below", "{{ .nested.gone }}", ":1:", `no entry for key "gone"`},
		{"undefined inside", "{{ .broken }}", ":1:", `no entry for key "broken"`},
		{"required", `{{ required "name it" .empty }}`, ":1:", "name it"},
		{"tpl of data", "{{ tpl .evil . }}", ":1:", "the text is data"},
		{"syntax", "a\n{{ if }}", ":2", "missing value for if"},
		{"unknown function", "{{ nofunc }}", ":1", `function "nofunc" not defined`},
		{"include nothing", `{{ include "gone" . }}`, ":1:", `no template "gone" is defined`},
		{"endless", `{{ define "x" }}{{ include "x" . }}{{ end }}{{ include "x" . }}`, ":1:", "without end"},
		{"fail", `{{ fail "stop" }}`, ":1:", "stop"},
	} {
		path := b.write("templates/t.gotmpl", c.text)
		_, err := b.render(template.File{Path: path})
		if err == nil {
			t.Errorf("%s: no error", c.name)
			continue
		}
		d := template.Diagnose(err)
		if !strings.HasPrefix(source.Place(d.Pos), path+c.place) || !strings.Contains(d.Msg, c.msg) {
			t.Errorf("%s: got %s: %s, want %s: %s", c.name, source.Place(d.Pos), d.Msg, path+c.place, c.msg)
		}
	}
	b.top = []value.Named{{Name: "name", Val: value.Unknown{Of: "name"}}}
	v, err := b.engine.Render(ctx, template.File{Text: "{{ .name }}", Engine: "go"}, b)
	if err != nil || !value.IsUnknown(v) {
		t.Errorf("unknown: %v, %v", v, err)
	}
	if got, err := b.render(template.File{Text: "{{ .replicas }}", Engine: "go"}); err != nil || got != "3" {
		t.Errorf("engine go: %q, %v", got, err)
	}
	b.top = nil
	b.write("templates/look.gotmpl", "look {{ .name }}")
	b.want("{{ lookup('template', 'look.gotmpl') }}", "str 'look web'")
}
