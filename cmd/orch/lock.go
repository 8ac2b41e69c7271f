package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A runLock keeps a second run away from the same inventory. The kernel drops it when
// the process ends, however it ends.
type runLock struct{ file *os.File }

// lockRun takes the lock of a set of inventory sources, waiting for at most timeout.
func lockRun(ctx context.Context, sources []string, timeout time.Duration) (*runLock, error) {
	var names []string
	for _, s := range sources {
		if abs, err := filepath.Abs(s); err == nil && !strings.Contains(s, ",") {
			s = abs
		}
		names = append(names, s)
	}
	sum := sha256.Sum256([]byte(strings.Join(names, "\n")))
	dir, err := os.UserCacheDir()
	if err != nil {
		dir = filepath.Join(os.TempDir(), fmt.Sprintf("orch-%d", os.Getuid()))
	}
	dir = filepath.Join(dir, "orch", "locks")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make lock folder: %w", err)
	}
	path := filepath.Join(dir, hex.EncodeToString(sum[:8])+".lock")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open lock: %w", err)
	}
	for deadline := time.Now().Add(timeout); ; {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			break
		}
		if !errors.Is(err, unix.EWOULDBLOCK) {
			f.Close()
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		if time.Now().After(deadline) {
			holder := make([]byte, 200)
			n, _ := f.ReadAt(holder, 0)
			f.Close()
			return nil, fmt.Errorf("another run uses this inventory (%s)\nhint: wait for it, or give it time with --lock-timeout 5m",
				strings.TrimSpace(string(holder[:n])))
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
	_ = f.Truncate(0)
	_, _ = f.WriteAt(fmt.Appendf(nil, "pid %d since %s", os.Getpid(), time.Now().Format(time.RFC3339)), 0)
	return &runLock{f}, nil
}

// Close gives the lock back.
func (l *runLock) Close() error {
	if l == nil {
		return nil
	}
	return l.file.Close()
}
