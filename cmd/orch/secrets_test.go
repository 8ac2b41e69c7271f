package main

import (
	"encoding/base64"
	"encoding/json"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What is planted, and where: see the playbook below.
const (
	secretToken  = "t0ken-Zq8vX2"
	secretQuoted = `it's a "quoted" \ secret`
	secretURL    = "p@ss/w0rd?Zx"
	secretConn   = "c0nn-pass-Wk3"
	secretBecome = "bec0me-pass-Jf7"
	secretHidden = "h1dden-output-Rt5"
	secretTyped  = "typed-pass-Lm9"
	secretAsked  = "asked-pass-Vu4"
	secretKey    = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQ\nAAAEDvQmFzZTY0TGluZVR3b09mVGhlS2V5SXNIZXJl\n-----END OPENSSH PRIVATE KEY-----\n"
)

const secretPlaybook = `
- hosts: all
  gather_facts: false
  vars_files: [secret.yml]
  tasks:
    - command: echo {{ token }}
      register: r
      environment: {TOKEN: "{{ token }}", KEY: "{{ key }}"}
    - debug: {var: r}
    - name: deploy with {{ token }}
      shell: printf %s {{ key | quote }} {{ quoted | quote }}
      register: printed
    - debug: {var: printed}
    - debug: {msg: ["{{ token | b64encode }}", "{{ key | b64encode }}", "{{ ('user:' ~ quoted) | b64encode }}", "{{ quoted | to_json }}", "{{ urlpw | urlencode }}"]}
    - debug: {msg: "{{ [token, key, {'a': quoted}] | to_nice_json }} {{ [quoted] | to_nice_yaml }}"}
    - uri: {url: "http://user:{{ urlpw | urlencode }}@127.0.0.1:1/", timeout: 2}
      ignore_errors: true
    - get_url: {url: "http://user:{{ urlpw }}@127.0.0.1:1/x", dest: "{{ playbook_dir }}/planted-x", timeout: 2}
      ignore_errors: true
    - copy: {content: "{{ key }}{{ quoted }}\n", dest: "{{ playbook_dir }}/planted", mode: "0600"}
    - lineinfile: {path: "{{ playbook_dir }}/planted", line: "token={{ token }}"}
    - template: {src: t.j2, dest: "{{ playbook_dir }}/planted-t"}
    - fail: {msg: "cannot log in with {{ token }} or {{ quoted }}"}
      ignore_errors: true
    - assert: {that: ["token == 'other'"], fail_msg: "{{ token }} is wrong"}
      ignore_errors: true
    - command: "false {{ token }} {{ quoted | quote }}"
      ignore_errors: true
    - command: "{{ token }}"
      ignore_errors: true
    - debug: {msg: "{{ {}[token] }}"}
      ignore_errors: true
    - debug: {msg: "{{ token | int(base=quoted) }}"}
      ignore_errors: true
    - debug: {msg: "{{ lookup('file', '/nowhere/' ~ token) }}"}
      ignore_errors: true
    - debug: {msg: item}
      loop: ["{{ token }}", "{{ quoted }}"]
      loop_control: {label: "{{ item }}"}
    - set_fact: {kept: "{{ token }}", kept_key: "{{ key }}", cacheable: true}
    - debug: {msg: "{{ kept }} {{ ansible_facts.kept_key | default('') }} {{ ansible_password }} {{ ansible_become_password }}"}
    - debug: {var: "hostvars[inventory_hostname]"}
    - command: echo h1dden-output-Rt5
      no_log: true
      register: hidden
    - debug: {var: hidden}
    - debug: {msg: "{{ hidden.stdout }}"}
    - command: echo {{ item }}
      loop: [h1dden-output-Rt5]
      no_log: true
    - user: {name: "{{ lookup('pipe', 'id -un') }}", password: "{{ token }}"}
      check_mode: true
      ignore_errors: true
    - debug: {msg: "{{ lookup('file', 'cp') }} {{ lookup('file', 'bp') }}"}
    - set_stats: {data: {token: "{{ token }}"}}
    - add_host: {name: other, groups: "{{ token }}", secret: "{{ quoted }}"}
`

// What a run before has left in the fact cache is read back by one that has the vault.
const secretCached = `
- hosts: all
  gather_facts: false
  vars_files: [secret.yml]
  tasks:
    - debug: {msg: "{{ token }} is {{ kept }} and {{ ansible_facts.kept_key }}"}
    - debug: {var: ansible_facts}
    - debug: {var: "hostvars[inventory_hostname]"}
    - assert: {that: [kept == token, ansible_facts.kept_key == key]}
`

// TestSecretsAreNeverShown plants secrets wherever a run meets them and looks for what is
// left of them in all that orch prints and writes, in every view.
func TestSecretsAreNeverShown(t *testing.T) {
	vars, err := json.Marshal(map[string]string{
		"key": secretKey, "quoted": secretQuoted, "urlpw": secretURL, "token": secretToken,
	})
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{
		"secret.yml": string(vars), "pw": "vault-pw\n", "cp": secretTyped + "\n", "bp": secretAsked + "\n",
		"site.yml": secretPlaybook, "cached.yml": secretCached, "t.j2": "{{ key }}and {{ token }}\n",
		"hosts": "here ansible_connection=local ansible_password=" + secretConn + " ansible_become_password=" + secretBecome + "\n",
	}
	dir := write(t, files)
	orch(t, dir, nil, "vault", "encrypt", "secret.yml", "--vault-password-file", "pw").want(t, "vault", 0)
	for _, c := range []struct {
		name, play string
		args       []string
	}{
		{"plain", "site.yml", []string{"--output", "plain"}},
		{"plain -vvvv", "site.yml", []string{"--output", "plain", "-vvvv", "--diff"}},
		{"terminal", "site.yml", []string{"--output", "terminal", "-v", "--diff"}},
		{"ansible", "site.yml", []string{"--output", "ansible", "-vvvv", "--diff"}},
		{"json", "site.yml", []string{"--output", "json", "-vvvv", "--diff"}},
		{"junit", "site.yml", []string{"--output", "junit=report.xml", "-vvv", "--diff"}},
		{"check", "site.yml", []string{"--output", "plain", "-vvvv", "--diff", "--check"}},
		{"from the cache", "cached.yml", []string{"--output", "plain", "-vvvv"}},
		{"from the cache, json", "cached.yml", []string{"--output", "json", "-vvvv"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, name := range []string{"planted", "planted-t", "run.log"} {
				_ = os.Remove(filepath.Join(dir, name))
			}
			home := t.TempDir()
			env := []string{
				"HOME=" + home, "XDG_CACHE_HOME=" + home + "/.cache", "XDG_STATE_HOME=" + home + "/.state", "ANSIBLE_LOG_PATH=run.log",
				"ANSIBLE_CACHE_PLUGIN=jsonfile", "ANSIBLE_CACHE_PLUGIN_CONNECTION=" + filepath.Join(dir, "facts"),
			}
			args := []string{"run", c.play, "-i", "hosts", "--vault-password-file", "pw", "--connection-password-file", "cp", "--become-password-file", "bp"}
			r := orch(t, dir, env, append(args, c.args...)...)
			r.want(t, "the run", 0)
			shown := map[string]string{"stdout": r.out, "stderr": r.err}
			for _, name := range []string{"run.log", "report.xml"} {
				text, err := os.ReadFile(filepath.Join(dir, name))
				if err != nil && (name == "run.log" || c.name == "junit") {
					t.Fatal(err)
				}
				shown[name] = string(text)
			}
			if err := fs.WalkDir(os.DirFS(home), ".", func(path string, d fs.DirEntry, err error) error {
				if err != nil || !d.Type().IsRegular() {
					return err
				}
				text, err := os.ReadFile(filepath.Join(home, path))
				shown[path] = string(text)
				return err
			}); err != nil {
				t.Fatal(err)
			}
			masked := false
			for where, text := range shown {
				leaks(t, where, text)
				masked = masked || strings.Contains(text, "********")
			}
			if !masked {
				t.Error("nothing was masked: the test plants nothing")
			}
		})
	}
	// The twin: what is no secret is shown, so the search would find it.
	plain := write(t, map[string]string{
		"site.yml": "- hosts: localhost\n  gather_facts: false\n  vars: " + string(vars) + "\n  tasks:\n    - debug: {msg: [\"{{ token }}\", \"{{ key | b64encode }}\", \"{{ quoted | to_json }}\"]}\n",
	})
	r := orch(t, plain, nil, "run", "site.yml")
	r.want(t, "the twin", 0)
	if !strings.Contains(r.out, secretToken) {
		t.Errorf("an ordinary value was hidden:\n%s", r.out)
	}
}

// leaks looks for every secret, in every form, line by line.
func leaks(t *testing.T, where, text string) {
	t.Helper()
	for _, secret := range []string{secretToken, secretQuoted, secretURL, secretConn, secretBecome, secretHidden, secretKey, secretTyped, secretAsked} {
		quoted, err := json.Marshal(secret)
		if err != nil {
			t.Fatal(err)
		}
		inner := strings.Trim(string(quoted), `"`)
		twice, err := json.Marshal(inner)
		if err != nil {
			t.Fatal(err)
		}
		forms := []string{
			secret, inner, strings.Trim(string(twice), `"`), url.QueryEscape(secret), url.PathEscape(secret),
			strings.ReplaceAll(secret, "'", `'"'"'`), strings.ReplaceAll(secret, "'", `'\''`), strings.ReplaceAll(secret, "'", "''"),
			base64.StdEncoding.EncodeToString([]byte(secret))[:8],
		}
		for _, line := range strings.Split(secret, "\n") {
			if len(line) >= 8 && !strings.HasPrefix(line, "-----") {
				forms = append(forms, line)
			}
		}
		for _, form := range forms {
			if i := strings.Index(text, form); i >= 0 && form != "" {
				t.Errorf("%s shows %q: …%s…", where, form, text[max(0, i-200):min(len(text), i+len(form)+60)])
				break
			}
		}
	}
}
