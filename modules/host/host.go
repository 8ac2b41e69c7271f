// Package host holds the modules that run on a machine: file, copy, apt, systemd, user …
//
// A module touches the machine only through modules.View and modules.Target, so that it
// runs unchanged in this process, inside the helper on the machine, and on the controller
// over a plain shell. What os, os/exec and net would give it is out of its reach.
//
// What an earlier task of the same run may still bring about (a parent folder, a user, a
// service) is missed by a step's Do, not by Plan: a check run must not fail for it.
package host

import (
	"embed"

	"orch/modules"
)

// Source is the package's source, for the manual.
//
//go:embed *.go
var Source embed.FS

// Modules is the table of this world.
func Modules() []modules.Entry {
	const builtin = "ansible.builtin."
	bind := func(name string, build func() modules.HostModule, opts ...func(*modules.Entry)) modules.Entry {
		return modules.Bind(builtin+name, build, opts...)
	}
	raw := modules.FreeForm("cmd")
	return []modules.Entry{
		bind("apt", func() modules.HostModule { return &Apt{} }),
		bind("apt_key", func() modules.HostModule { return &AptKey{} }),
		bind("apt_repository", func() modules.HostModule { return &AptRepository{} }),
		bind("assemble", func() modules.HostModule { return &Assemble{} }),
		bind("blockinfile", func() modules.HostModule { return &Blockinfile{} }),
		bind("command", func() modules.HostModule { return &Command{} }, raw),
		bind("copy", func() modules.HostModule { return &Copy{} }),
		bind("cron", func() modules.HostModule { return &Cron{} }),
		bind("deb822_repository", func() modules.HostModule { return &Deb822Repository{} }),
		bind("debconf", func() modules.HostModule { return &Debconf{} }),
		bind("dpkg_selections", func() modules.HostModule { return &DpkgSelections{} }),
		bind("file", func() modules.HostModule { return &File{} }),
		bind("find", func() modules.HostModule { return &Find{} }),
		bind("get_url", func() modules.HostModule { return &GetURL{} }),
		bind("getent", func() modules.HostModule { return &Getent{} }),
		bind("git", func() modules.HostModule { return &Git{} }),
		bind("group", func() modules.HostModule { return &Group{} }),
		bind("hostname", func() modules.HostModule { return &Hostname{} }),
		bind("iptables", func() modules.HostModule { return &Iptables{} }),
		bind("known_hosts", func() modules.HostModule { return &KnownHosts{} }),
		bind("lineinfile", func() modules.HostModule { return &Lineinfile{} }),
		bind("package_facts", func() modules.HostModule { return &PackageFacts{} }),
		bind("ping", func() modules.HostModule { return &Ping{} }),
		bind("pip", func() modules.HostModule { return &Pip{} }),
		bind("replace", func() modules.HostModule { return &Replace{} }),
		bind("script", func() modules.HostModule { return &Script{} }),
		bind("service_facts", func() modules.HostModule { return &ServiceFacts{} }),
		bind("setup", func() modules.HostModule { return &Setup{} }),
		bind("shell", func() modules.HostModule { return &Shell{} }, raw),
		bind("slurp", func() modules.HostModule { return &Slurp{} }),
		bind("stat", func() modules.HostModule { return &Stat{} }),
		bind("systemd", func() modules.HostModule { return &Systemd{} }, modules.Alias(builtin+"systemd_service")),
		bind("sysvinit", func() modules.HostModule { return &Sysvinit{} }),
		bind("tempfile", func() modules.HostModule { return &Tempfile{} }),
		bind("unarchive", func() modules.HostModule { return &Unarchive{} }),
		bind("uri", func() modules.HostModule { return &URI{} }),
		bind("user", func() modules.HostModule { return &User{} }),
		bind("wait_for", func() modules.HostModule { return &WaitFor{} }),
	}
}
