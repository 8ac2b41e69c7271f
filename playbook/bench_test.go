package playbook

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// project writes a project of roles of tasks each, and a playbook that uses them.
func project(tb testing.TB, roles, tasks int) string {
	tb.Helper()
	dir := tb.TempDir()
	write := func(name, text string) {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			tb.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	var site strings.Builder
	for i := range roles {
		if i%5 == 0 {
			fmt.Fprintf(&site, "- name: play %d\n  hosts: group%d\n  vars: {port: %d}\n  roles:\n", i/5, i/5, 8000+i)
		}
		fmt.Fprintf(&site, "    - {role: role%d, tags: [t%d], when: enabled | default(true)}\n", i, i)
		role := fmt.Sprintf("roles/role%d/", i)
		var text strings.Builder
		for k := range tasks {
			fmt.Fprintf(&text, `- name: install package %d of {{ role_name }}
  copy:
    src: "file%d.j2"
    dest: "{{ base_dir }}/{{ item.name | default('x') }}/%d"
    mode: "0644"
    owner: "{{ owner | default('root') }}"
  loop: "{{ things_%d }}"
  loop_control: {label: "{{ item.name }}"}
  when:
    - item.enabled | default(true)
    - ansible_os_family == "Debian"
  register: result_%d
  notify: restart %d
  tags: [config]
`, k, k, k, i, k, i)
		}
		write(role+"tasks/main.yml", text.String())
		write(role+"defaults/main.yml", fmt.Sprintf("things_%d: [{name: a}, {name: b}]\nbase_dir: /srv\nowner: root\n", i))
		write(role+"vars/main.yml", fmt.Sprintf("internal_%d: \"{{ base_dir }}/x\"\n", i))
		write(role+"handlers/main.yml", fmt.Sprintf("- name: restart %d\n  service: {name: s, state: restarted}\n", i))
		if i > 0 && i%10 == 0 {
			write(role+"meta/main.yml", fmt.Sprintf("dependencies: [role%d]\n", i-1))
		}
	}
	write("site.yml", site.String())
	return dir
}

// BenchmarkLoad loads and resolves 1,500 tasks in 105 roles, from nothing.
func BenchmarkLoad(b *testing.B) {
	dir := project(b, 105, 14)
	for b.Loop() {
		pb, diags := newTestLoader(b, dir).Load(filepath.Join(dir, "site.yml"))
		if len(diags) > 0 {
			b.Fatal(diags)
		}
		n := 0
		for _, p := range Resolve(pb, ResolveOptions{}).Plays {
			n += len(p.Tasks)
		}
		if n < 1500 {
			b.Fatalf("only %d tasks", n)
		}
	}
}
