package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"orch/inventory"
	"orch/playbook/settings"
	"orch/playbook/source"
	"orch/playbook/vault"
)

// ansibleHosts is the inventory Ansible reads when none is named.
const ansibleHosts = "/etc/ansible/hosts"

// noTargets is Ansible's answer to a limit, or a pattern, that leaves nothing.
const noTargets = "Specified inventory, host pattern and/or --limit leaves us with no hosts to target."

// unparsed deals with sources that could not be read as Ansible does: it warns of them
// and goes on, unless the settings want an error.
func (p *persona) unparsed(inv *inventory.Inventory, s *settings.Settings) error {
	for _, f := range inv.Failed {
		path := f.Source
		if abs, err := filepath.Abs(path); err == nil && !strings.Contains(path, ",") {
			path = abs
		}
		_, err := os.Stat(path)
		if path == ansibleHosts && err != nil {
			continue
		}
		for _, a := range f.Attempts {
			why, _ := p.mistake(source.Diagnostics{a.Why})
			p.display.Warn("\n* Failed to parse " + path + " with " + a.Kind + " plugin: " + why)
		}
		if s.Bool("INVENTORY_ANY_UNPARSED_IS_FAILED") {
			return ansibleFail("Completely failed to parse inventory source %s", path)
		}
		p.display.Warn("Unable to parse " + path + " as an inventory source")
	}
	switch {
	case inv.Parsed:
	case s.Bool("INVENTORY_UNPARSED_IS_FAILED"):
		return &ansibleExit{code: ansibleError, text: "No inventory was parsed, please check your configuration and options."}
	case s.Bool("INVENTORY_UNPARSED_WARNING"):
		p.display.Warn("No inventory was parsed, only implicit localhost is available")
	}
	return nil
}

// passwordFiles refuses vault password files that are not there at once, needed or not,
// as Ansible does.
func (p *persona) passwordFiles(sources []vault.Source) error {
	for _, s := range sources {
		if s.File == "" {
			continue
		}
		path, err := filepath.Abs(s.File)
		if err != nil {
			return err
		}
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			msg := "The vault password file " + path + " was not found"
			p.display.Warn("Error getting vault password file (" + s.ID + "): " + msg)
			return ansibleFail("%s", msg)
		}
	}
	return nil
}

// empty warns of an inventory without hosts; pattern is what a command works on.
func (p *persona) empty(inv *inventory.Inventory, s *settings.Settings, pattern string) bool {
	if len(inv.Hosts()) > 0 {
		return false
	}
	switch pattern {
	case "localhost", "127.0.0.1", "::1":
	default:
		if s.Bool("LOCALHOST_WARNING") {
			p.display.Warn("provided hosts list is empty, only localhost is available. Note that the implicit localhost does not match 'all'")
		}
	}
	return true
}

// targets checks that a pattern leaves hosts within the limit, as Ansible does before it
// runs anything. It returns the names.
func (p *project) targets(pattern string) ([]string, error) {
	none := p.as.empty(p.inv, p.settings, pattern)
	hosts, err := p.inv.Match(pattern)
	if err := p.mismatch(err); err != nil {
		return nil, err
	}
	if hosts, err = p.inv.Narrow(hosts, p.limit); err != nil && !errors.As(err, new(*inventory.NoMatch)) {
		return nil, err
	}
	switch {
	case len(hosts) > 0 || none:
	case pattern == inventory.All || len(p.limit.Terms) > 0:
		return nil, ansibleFail(noTargets)
	default:
		p.as.display.Warn("No hosts matched, nothing to do")
	}
	names := make([]string, len(hosts))
	for i, h := range hosts {
		names[i] = h.Name
	}
	return names, nil
}
