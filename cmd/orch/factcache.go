package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"orch/playbook/run"
	"orch/playbook/settings"
)

// A jsonFiles keeps facts as one JSON file per host in a folder, laid out as Ansible's
// jsonfile cache lays it out, so that both may use one.
type jsonFiles struct {
	dir, prefix string
	timeout     time.Duration
}

// openFactCache returns the cache of the settings; nil for memory, which lasts for a run.
func openFactCache(s *settings.Settings) (run.FactCache, error) {
	switch plugin := s.Str("CACHE_PLUGIN"); plugin {
	case "memory", "ansible.builtin.memory", "":
		return nil, nil
	case "jsonfile", "ansible.builtin.jsonfile":
		dir := s.Path("CACHE_PLUGIN_CONNECTION")
		if dir == "" {
			return nil, inputError(fmt.Errorf("fact_caching = jsonfile wants a folder in fact_caching_connection"))
		}
		return &jsonFiles{dir, s.Str("CACHE_PLUGIN_PREFIX"), time.Duration(s.Int("CACHE_PLUGIN_TIMEOUT")) * time.Second}, nil
	default:
		return nil, inputError(fmt.Errorf("fact_caching = %s is not supported, one of memory, jsonfile", plugin))
	}
}

func (c *jsonFiles) path(host string) string { return filepath.Join(c.dir, c.prefix+host) }

// Get implements run.FactCache.
func (c *jsonFiles) Get(host string) ([]byte, bool) {
	info, err := os.Stat(c.path(host))
	if err != nil || c.timeout > 0 && time.Since(info.ModTime()) > c.timeout {
		return nil, false
	}
	text, err := os.ReadFile(c.path(host))
	return text, err == nil
}

// Set implements run.FactCache.
func (c *jsonFiles) Set(host string, facts []byte) error {
	if err := os.MkdirAll(c.dir, 0o700); err != nil {
		return fmt.Errorf("make fact cache: %w", err)
	}
	tmp, err := os.CreateTemp(c.dir, ".tmp-")
	if err != nil {
		return fmt.Errorf("write fact cache: %w", err)
	}
	defer os.Remove(tmp.Name()) // gone already when all went well
	if _, err := tmp.Write(facts); err != nil {
		tmp.Close()
		return fmt.Errorf("write fact cache: %w", err)
	}
	if err := tmp.Close(); err != nil {
		return fmt.Errorf("write fact cache: %w", err)
	}
	if err := os.Rename(tmp.Name(), c.path(host)); err != nil {
		return fmt.Errorf("write fact cache: %w", err)
	}
	return nil
}

// Clear implements run.FactCache.
func (c *jsonFiles) Clear(host string) error {
	if err := os.Remove(c.path(host)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("clear fact cache: %w", err)
	}
	return nil
}

// flushFacts clears the facts of every host of the inventory (--flush-cache).
func (j *job) flushFacts(facts run.FactCache) error {
	if facts == nil { // memory: nothing is kept between runs
		return nil
	}
	hosts := j.inv.Hosts()
	if h := j.inv.Localhost(); h != nil {
		hosts = append(hosts, h)
	}
	for _, h := range hosts {
		if err := facts.Clear(h.Name); err != nil {
			return err
		}
	}
	return nil
}
