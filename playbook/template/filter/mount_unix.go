package filter

import (
	"os"
	"path/filepath"
	"syscall"
)

// isMount is os.path.ismount: a folder on another device than its parent, or the root.
func isMount(c *call) (bool, error) {
	path, err := c.input()
	if err != nil {
		return false, err
	}
	info, err := os.Lstat(path)
	if err != nil || info.Mode()&os.ModeSymlink != 0 {
		return false, nil
	}
	parent, err := filepath.EvalSymlinks(joinPath(path, ".."))
	if err != nil {
		return false, nil
	}
	above, err := os.Lstat(parent)
	if err != nil {
		return false, nil
	}
	a, okA := info.Sys().(*syscall.Stat_t)
	b, okB := above.Sys().(*syscall.Stat_t)
	return okA && okB && (a.Dev != b.Dev || a.Ino == b.Ino), nil
}
