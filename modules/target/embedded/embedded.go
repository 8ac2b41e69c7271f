// Package embedded holds the helpers built into orch: gzip-compressed programs named
// orch-helper-linux-ARCH.gz.
package embedded

import (
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"sync"
)

//go:embed *
var files embed.FS

// A helper is a program and its hash, worked out once.
type helper struct {
	once sync.Once
	sum  string
	err  error
}

var helpers sync.Map // arch → *helper

// Helper returns the hex sha256 of the helper for a Go architecture and a function that
// opens it, uncompressed. fs.ErrNotExist says that there is none.
func Helper(arch string) (sum string, open func() (io.ReadCloser, error), err error) {
	if _, err := fs.Stat(files, name(arch)); err != nil {
		return "", nil, fmt.Errorf("no helper for %s: %w", arch, err)
	}
	open = func() (io.ReadCloser, error) { return unpack(arch) }
	got, _ := helpers.LoadOrStore(arch, &helper{})
	h, ok := got.(*helper)
	if !ok {
		return "", nil, fmt.Errorf("no helper for %s", arch)
	}
	h.once.Do(func() {
		// The packer notes the hash in the header, so that it need not be unpacked to be named.
		r, err := unpack(arch)
		if err != nil {
			h.err = err
			return
		}
		if h.sum = r.Comment; len(h.sum) == 64 {
			return
		}
		d := sha256.New()
		_, h.err = io.Copy(d, r)
		h.sum = hex.EncodeToString(d.Sum(nil))
	})
	return h.sum, open, h.err
}

func name(arch string) string { return "orch-helper-linux-" + arch + ".gz" }

// unpack reads the helper where it lies: ReadFile would make a copy of megabytes for
// every host.
func unpack(arch string) (*gzip.Reader, error) {
	f, err := files.Open(name(arch))
	if err != nil {
		return nil, err
	}
	return gzip.NewReader(f)
}

// Size is the compressed size of the helper for a Go architecture.
func Size(arch string) (int64, error) {
	st, err := fs.Stat(files, name(arch))
	if err != nil {
		return 0, fmt.Errorf("no helper for %s: %w", arch, err)
	}
	return st.Size(), nil
}
