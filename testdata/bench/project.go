package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// The size of the generated project: that of a company's whole infrastructure.
const (
	projectRoles = 105
	projectTasks = 1500
	projectHosts = 200
	manyHosts    = 10_000
)

// project writes a project of many roles and an inventory of many hosts into a folder.
func project(args []string) error {
	if len(args) != 1 {
		return errors.New("usage: project FOLDER")
	}
	dir := args[0]
	site := "- name: Everything\n  hosts: all\n  gather_facts: false\n  roles:\n"
	files := map[string]string{}
	left := projectTasks
	for i := range projectRoles {
		role := fmt.Sprintf("part%03d", i)
		site += "    - " + role + "\n"
		count := left / (projectRoles - i)
		left -= count
		base := filepath.Join("roles", role)
		files[filepath.Join(base, "tasks", "main.yml")] = roleTasks(role, count)
		files[filepath.Join(base, "defaults", "main.yml")] = roleDefaults(role)
		files[filepath.Join(base, "handlers", "main.yml")] = fmt.Sprintf("- name: restart %s\n  ansible.builtin.service: {name: \"{{ %s_service }}\", state: restarted}\n", role, role)
		files[filepath.Join(base, "templates", "main.conf.j2")] = fmt.Sprintf("{%% for k, v in %s_settings | dictsort %%}\n{{ k }} = {{ v }}\n{%% endfor %%}\n", role)
	}
	files["site.yml"] = site
	files["hosts.ini"] = inventoryOf(projectHosts)
	files["many.ini"] = inventoryOf(manyHosts)
	for i := range 10 {
		files[filepath.Join("group_vars", fmt.Sprintf("g%d.yml", i))] = fmt.Sprintf("zone: zone%d\nports: [80, 443, 80%02d]\nlabels: {team: t%d, tier: \"{{ zone }}-x\"}\n", i, i, i)
	}
	for path, text := range files {
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

func roleDefaults(role string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%[1]s_enabled: true\n%[1]s_service: %[1]s\n%[1]s_root: /opt/%[1]s\n%[1]s_settings:\n", role)
	for i := range 10 {
		fmt.Fprintf(&b, "  key%d: \"{{ %s_root }}/value%d\"\n", i, role, i)
	}
	fmt.Fprintf(&b, "%s_users:\n  - {name: one, groups: [a, b]}\n  - {name: two, groups: [c]}\n", role)
	return b.String()
}

// roleTasks are tasks of the kinds roles are made of.
func roleTasks(role string, count int) string {
	kinds := []string{
		"  ansible.builtin.apt: {name: [%[1]s, %[1]s-common], state: present}\n  when: %[1]s_enabled | bool\n",
		"  ansible.builtin.file: {path: \"{{ %[1]s_root }}/%[2]d\", state: directory, mode: \"0755\"}\n  loop: \"{{ %[1]s_users }}\"\n",
		"  ansible.builtin.template: {src: main.conf.j2, dest: \"/etc/%[1]s/%[2]d.conf\", mode: \"0644\"}\n  notify: restart %[1]s\n",
		"  ansible.builtin.command: \"/usr/bin/%[1]s --check {{ inventory_hostname }}\"\n  register: out%[2]d\n  changed_when: out%[2]d.rc == 2\n  tags: [check]\n",
		"  when: ansible_check_mode or %[1]s_enabled\n  block:\n    - name: Look\n      ansible.builtin.stat: {path: \"/etc/%[1]s\"}\n      register: st%[2]d\n  rescue:\n    - ansible.builtin.debug: {msg: \"{{ st%[2]d | default('nothing') }}\"}\n",
		"  ansible.builtin.lineinfile: {path: /etc/%[1]s.list, line: \"{{ item.name }}:{{ item.groups | join(',') }}\"}\n  loop: \"{{ %[1]s_users | selectattr('name', 'ne', 'x') | list }}\"\n  become: true\n",
		"  ansible.builtin.service: {name: \"{{ %[1]s_service }}\", state: started, enabled: true}\n",
	}
	var b strings.Builder
	for i := 0; i < count; i++ {
		fmt.Fprintf(&b, "- name: Step %d of %s\n", i, role)
		fmt.Fprintf(&b, kinds[i%len(kinds)], role, i)
		if strings.Contains(kinds[i%len(kinds)], "rescue") {
			i++ // the block holds two
		}
	}
	return b.String()
}

func inventoryOf(hosts int) string {
	var b strings.Builder
	for g := range 10 {
		fmt.Fprintf(&b, "[g%d]\n", g)
		for i := g; i < hosts; i += 10 {
			fmt.Fprintf(&b, "n%05d ansible_host=127.0.0.1 rack=%d weight=%d\n", i, i%40, i)
		}
	}
	b.WriteString("[europe:children]\ng0\ng1\ng2\n[world:children]\neurope\ng3\ng4\ng5\ng6\ng7\ng8\ng9\n")
	return b.String()
}
