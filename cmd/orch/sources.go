package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// projectFolders are where inventories of a project are looked for by name.
var projectFolders = []string{"inventories", "inventory"}

// resolveInventory finds what -i NAME means: a path if it exists, a list if it has a
// comma, else a name in inventories/ or inventory/, with or without its ending.
func resolveInventory(name string) (string, error) {
	if strings.Contains(name, ",") {
		return name, nil
	}
	if _, err := os.Stat(name); err == nil {
		return name, nil
	}
	var tried []string
	for _, dir := range projectFolders {
		for _, ext := range []string{"", ".yml", ".yaml", ".ini"} {
			path := filepath.Join(dir, name+ext)
			if _, err := os.Stat(path); err == nil {
				return path, nil
			}
		}
		tried = append(tried, filepath.Join(dir, name))
	}
	return "", fmt.Errorf("no inventory %q: neither a path nor %s\nhint: %s", name, strings.Join(tried, " or "), inventoryHint())
}

// inventoryHint lists the inventories of the project, for somebody who mistyped one.
func inventoryHint() string {
	var names []string
	for _, dir := range projectFolders {
		entries, _ := os.ReadDir(dir)
		for _, e := range entries {
			if n := e.Name(); n[0] != '.' && n != "group_vars" && n != "host_vars" {
				names = append(names, strings.TrimSuffix(n, filepath.Ext(n)))
			}
		}
	}
	if len(names) == 0 {
		return "name a file, a folder, or hosts with a comma: -i web1,"
	}
	return "this project has " + strings.Join(names, ", ")
}

// defaultInventory is what is used without -i and without a setting: the project's dev.
func defaultInventory() []string {
	if src, err := resolveInventory("dev"); err == nil {
		return []string{src}
	}
	return nil
}
